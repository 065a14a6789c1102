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

    return cachefs__obj_at(rig->c, &a, &p, atomic_load(&rig->c->mut_seq), 0, made);
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
    obj_t *o = at(&rig, "/f", VFS_TYPE_FILE, &made);
    EQ(made, 1);
    is_at(&rig, "/f", o); /* no name leads to it, as when that was evicted */
    obj_t *other = at(&rig, "/g", VFS_TYPE_FILE, &made);
    CHECK(made && other != o);
    obj_t *link = at(&rig, "/f", VFS_TYPE_LINK, &made); /* the link itself, not what it leads to */
    CHECK(made && link != o);
    is_at(&rig, "/f", o);
    cachefs__obj_put(rig.c, link);
    cachefs__obj_put(rig.c, other);
    cachefs__obj_put(rig.c, o);
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
    obj_t *x = at(&rig, "/a", VFS_TYPE_FILE, &made);
    obj_t *y = at(&rig, "/b", VFS_TYPE_FILE, &made);
    cachefs__obj_set_name(rig.c, x, &b); /* exchanged */
    cachefs__obj_set_name(rig.c, y, &a);
    is_at(&rig, "/b", x);
    is_at(&rig, "/a", y);
    cachefs__obj_set_name(rig.c, x, &a); /* over the other, which is known by nothing then */
    is_at(&rig, "/a", x);
    CHECK(is_new(&rig, "/b"));
    cachefs__obj_put(rig.c, y);
    is_at(&rig, "/a", x);
    x->flags |= OBJ_UNLINKED;
    cachefs__obj_unhash(rig.c, x);
    cachefs__obj_set_name(rig.c, x, &b); /* what has no name gets none again */
    CHECK(is_new(&rig, "/a"));
    CHECK(is_new(&rig, "/b"));
    cachefs__obj_put(rig.c, x);
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
    obj_t *known = at(&rig, "/known", VFS_TYPE_FILE, &made);
    OK(cachefs__mut_begin(rig.c, NULL, &p, &q, &m));
    is_at(&rig, "/known", known); /* who is known is found: a rename looks for its source */
    obj_t *o = at(&rig, "/f", VFS_TYPE_FILE, &made);
    CHECK(made && is_new(&rig, "/f"));
    cachefs__mut_release(rig.c, &m);
    cachefs__hold(rig.c, o, &holder);
    EQ(cachefs__obj_name_seen(rig.c, o, &p, atomic_load(&rig.c->mut_seq), 0),
       0); /* not to be opened */
    cachefs__unhold(rig.c, &holder);
    OK(cachefs__mut_begin(rig.c, NULL, &p, NULL, &m));
    obj_t *mine = cachefs__obj_at(rig.c, &a, &p, m.asked, 1, &made);
    cachefs__mut_release(rig.c, &m);
    CHECK(made && mine != o);
    is_at(&rig, "/f", mine);
    cachefs__obj_put(rig.c, mine);
    cachefs__obj_put(rig.c, o);
    cachefs__obj_put(rig.c, known);
    rig_close(&rig);
}
