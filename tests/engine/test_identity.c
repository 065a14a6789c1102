/*
 * test_identity.c - files of a backend without numbers: one path, one object. The programs model
 * and conformance over `noid` hold the rest.
 */
#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h "

static obj_t *at(rig_t *rig, const char *path, vfs_type_e type, int *made)
{
    vfs_attr_t a = {.flags = VFS_ATTR_DIRECT, .type = type, .nlink = 1};
    vfs_path_t p = rig_path(path);

    return cachefs__obj_at(rig->c, &a, &p, atomic_load(&rig->c->mut_seq), CLAIM_NONE, made);
}

/* Somebody has it open. */
static obj_t *open_at(rig_t *rig, const char *path, vfs_type_e type, int *made)
{
    obj_t *o = at(rig, path, type, made);

    o->handles++;
    return o;
}

static void close_it(rig_t *rig, obj_t *o)
{
    o->handles--;
    cachefs__obj_put(rig->c, o);
}

static void is_at(rig_t *rig, const char *path, const obj_t *o)
{
    int made;
    obj_t *found = at(rig, path, VFS_TYPE_FILE, &made);

    cr_assert(found == o && !made, "%s leads to another object", path);
    cachefs__obj_put(rig->c, found);
}

static int is_new(rig_t *rig, const char *path)
{
    int made;
    obj_t *found = at(rig, path, VFS_TYPE_FILE, &made);

    cachefs__obj_put(rig->c, found);
    return made;
}

Test(identity, one_path_is_one_object_whatever_came_between)
{
    rig_t rig;
    int made;

    rig_open(&rig, LONG);
    obj_t *o = open_at(&rig, "/f", VFS_TYPE_FILE, &made);
    EQ(made, 1);
    is_at(&rig, "/f", o); /* no name leads to it, as when that was evicted */
    obj_t *other = at(&rig, "/g", VFS_TYPE_FILE, &made);
    CHECK(made && other != o);
    obj_t *link = at(&rig, "/f", VFS_TYPE_LINK, &made); /* the link itself, not what it leads to */
    CHECK(made && link != o);
    is_at(&rig, "/f", o);
    cachefs__obj_put(rig.c, link);
    cachefs__obj_put(rig.c, other);
    close_it(&rig, o);
    CHECK(is_new(&rig, "/f")); /* the last reference is the end */
    EQ(rig_stats(&rig).files, 0);
    rig_close(&rig);
}

Test(identity, an_object_moves_with_its_path)
{
    rig_t rig;
    int made;
    vfs_path_t a = rig_path("/a"), b = rig_path("/b");

    rig_open(&rig, LONG);
    obj_t *x = open_at(&rig, "/a", VFS_TYPE_FILE, &made);
    obj_t *y = open_at(&rig, "/b", VFS_TYPE_FILE, &made);
    cachefs__obj_set_name(rig.c, x, &b); /* exchanged */
    cachefs__obj_set_name(rig.c, y, &a);
    is_at(&rig, "/b", x);
    is_at(&rig, "/a", y);
    cachefs__obj_set_name(rig.c, x, &a); /* over the other, which is known by nothing then */
    is_at(&rig, "/a", x);
    CHECK(is_new(&rig, "/b"));
    close_it(&rig, y);
    is_at(&rig, "/a", x);
    x->flags |= OBJ_UNLINKED;
    cachefs__obj_unhash(rig.c, x);
    cachefs__obj_set_name(rig.c, x, &b); /* what has no name gets none again */
    CHECK(is_new(&rig, "/a"));
    CHECK(is_new(&rig, "/b"));
    close_it(&rig, x);
    rig_close(&rig);
}

Test(identity, what_is_about_to_end_is_not_taken_for_the_next_file_of_that_path)
{
    rig_t rig;
    int made;
    vfs_path_t p = rig_path("/f");

    rig_open(&rig, LONG);
    obj_t *o = at(&rig, "/f", VFS_TYPE_FILE, &made); /* by somebody who looks at it no longer */
    obj_t *next = at(&rig, "/f", VFS_TYPE_FILE, &made);
    CHECK(made && next != o);
    cachefs__node_set(rig.c, &p, 0, next, VFS_ATTR_DIRECT, atomic_load(&rig.c->mut_seq));
    is_at(&rig, "/f", next); /* a cached name leads to it */
    cachefs__obj_put(rig.c, next);
    cachefs__obj_put(rig.c, o);
    cachefs__name_drop(rig.c, &p);
    CHECK(is_new(&rig, "/f"));
    rig_close(&rig);
}

Test(identity, a_directory_that_goes_elsewhere_leaves_a_claimed_name_alone)
{
    rig_t rig;
    int made;
    cachefs__mut_t m, other;
    vfs_path_t p = rig_path("/f"), q = rig_path("/gone");
    vfs_attr_t a = {.flags = VFS_ATTR_DIRECT, .type = VFS_TYPE_FILE};

    rig_open(&rig, LONG);
    OK(cachefs__mut_begin(rig.c, NULL, &p, NULL, &m));
    OK(cachefs__mut_below(rig.c, NULL, &m));
    OK(cachefs__mut_begin(rig.c, NULL, &q, NULL, &other));
    OK(cachefs__mut_below(rig.c, NULL, &other));
    cachefs__mut_end(rig.c, &other, 1); /* as rmdir does: all names are stamped */
    obj_t *o = cachefs__obj_at(rig.c, &a, &p, m.asked, cachefs__claim_of(&m), &made);
    o->handles++;
    cachefs__mut_end(rig.c, &m, 0);
    is_at(&rig, "/f", o); /* whoever opens it next gets the same */
    close_it(&rig, o);
    rig_close(&rig);
}

Test(identity, while_a_name_changes_its_answer_is_its_caller_s_alone)
{
    rig_t rig;
    int made;
    cachefs__mut_t m;
    cachefs__holder_t holder;
    vfs_path_t p = rig_path("/f"), q = rig_path("/known");
    vfs_attr_t a = {.flags = VFS_ATTR_DIRECT, .type = VFS_TYPE_FILE};

    rig_open(&rig, LONG);
    obj_t *known = open_at(&rig, "/known", VFS_TYPE_FILE, &made);
    OK(cachefs__mut_begin(rig.c, NULL, &p, &q, &m));
    is_at(&rig, "/known", known); /* who is known is found: a rename looks for its source */
    obj_t *o = at(&rig, "/f", VFS_TYPE_FILE, &made);
    CHECK(made && is_new(&rig, "/f"));
    cachefs__mut_release(rig.c, &m);
    cachefs__hold(rig.c, o, &holder);
    EQ(cachefs__obj_name_seen(rig.c, o, &p, atomic_load(&rig.c->mut_seq), CLAIM_NONE,
                              VFS_ATTR_DIRECT),
       0); /* not to be opened */
    cachefs__unhold(rig.c, &holder);
    OK(cachefs__mut_begin(rig.c, NULL, &p, NULL, &m));
    obj_t *mine = cachefs__obj_at(rig.c, &a, &p, m.asked, CLAIM_NAME, &made);
    cachefs__mut_release(rig.c, &m);
    CHECK(made && mine != o);
    mine->handles++;
    is_at(&rig, "/f", mine);
    close_it(&rig, mine);
    cachefs__obj_put(rig.c, o);
    close_it(&rig, known);
    rig_close(&rig);
}
