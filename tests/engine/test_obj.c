/*
 * test_obj.c - objects: identity, what is learned and what is not believed, versions.
 */
#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h "

static vfs_attr_t some_attr(uint64_t ino, uint64_t size)
{
    vfs_attr_t a = {.flags = VFS_ATTR_STABLE_ID | VFS_ATTR_DIRECT, .type = VFS_TYPE_FILE};

    a.dev = 7;
    a.ino = ino;
    a.size = size;
    a.nlink = 1;
    a.mode = 0644;
    return a;
}

static vfs_validator_t some_version(const char *tag, uint8_t flags)
{
    vfs_validator_t v = {.kind = VFS_VALIDATOR_ETAG, .flags = flags, .len = (uint8_t)strlen(tag)};

    memcpy(v.data, tag, v.len);
    return v;
}

static uint64_t now_seq(rig_t *rig)
{
    return atomic_load(&rig->c->mut_seq);
}

Test(obj, what_a_forgotten_object_did_is_remembered)
{
    rig_t rig;
    int made;

    rig_open(&rig, LONG);
    vfs_attr_t a = some_attr(1, 10), new = some_attr(1, 20);
    vfs_validator_t v = some_version("v", 0);
    uint64_t asked = now_seq(&rig);
    obj_t *o = cachefs__obj_get(rig.c, &a, &made);
    (void)cachefs__obj_change_begin(rig.c, o);
    cachefs__obj_change_end(rig.c, o, 1);
    cachefs__obj_put(rig.c, o);
    o = cachefs__obj_get(rig.c, &a, &made);
    EQ(made, 1);
    cachefs__obj_learn(rig.c, o, &a, &v, asked); /* of before that change */
    CHECK(cachefs__obj_outdates(rig.c, o, asked));
    CHECK(!cachefs__obj_fresh(rig.c, o, UINT64_MAX / 2));
    cachefs__obj_learn(rig.c, o, &new, &v, now_seq(&rig));
    CHECK(!cachefs__obj_outdates(rig.c, o, now_seq(&rig)));
    EQ(o->size, 20);
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}

Test(obj, one_identity_is_one_object)
{
    rig_t rig;
    int made;

    rig_open(&rig, LONG);
    vfs_attr_t a = some_attr(1, 10), b = some_attr(2, 10), d = some_attr(1, 10);
    obj_t *x = cachefs__obj_get(rig.c, &a, &made);
    EQ(made, 1);
    obj_t *y = cachefs__obj_get(rig.c, &a, &made);
    EQ(made, 0);
    CHECK(x == y);
    obj_t *z = cachefs__obj_get(rig.c, &b, &made);
    CHECK(z != x);
    d.dev = 8;
    obj_t *w = cachefs__obj_get(rig.c, &d, &made);
    CHECK(w != x && w != z);
    EQ(rig_stats(&rig).files, 3);
    cachefs__obj_put(rig.c, x);
    EQ(rig_stats(&rig).files, 3);
    cachefs__obj_put(rig.c, y);
    EQ(rig_stats(&rig).files, 2);
    cachefs__obj_unhash(rig.c, z); /* it has no name any more: its identity is another's */
    obj_t *again = cachefs__obj_get(rig.c, &b, &made);
    CHECK(made == 1 && again != z);
    cachefs__obj_put(rig.c, again);
    cachefs__obj_put(rig.c, z);
    cachefs__obj_put(rig.c, w);
    a.flags = 0; /* without an identity each is its own */
    x = cachefs__obj_get(rig.c, &a, &made);
    y = cachefs__obj_get(rig.c, &a, &made);
    CHECK(x != y);
    cachefs__obj_put(rig.c, x);
    cachefs__obj_put(rig.c, y);
    EQ(rig_stats(&rig).files, 0);
    rig_close(&rig);
}

Test(obj, a_validator_that_differs_makes_a_version_that_was_never_used)
{
    rig_t rig;
    int made;

    rig_open(&rig, LONG);
    vfs_attr_t a = some_attr(1, 10);
    vfs_validator_t v1 = some_version("one", 0), v2 = some_version("two", 0);
    obj_t *o = cachefs__obj_get(rig.c, &a, &made);
    EQ(cachefs__obj_learn(rig.c, o, &a, &v1, now_seq(&rig)), 0);
    uint64_t first = atomic_load(&o->ver);
    CHECK(first != 0);
    EQ(cachefs__obj_learn(rig.c, o, &a, &v1, now_seq(&rig)), 0);
    EQ(atomic_load(&o->ver), first);
    uint64_t last = first;
    for (int i = 0; i < 50; i++) {
        EQ(cachefs__obj_learn(rig.c, o, &a, i % 2 ? &v1 : &v2, now_seq(&rig)), 1);
        CHECK(atomic_load(&o->ver) > last); /* also when an old one comes back */
        last = atomic_load(&o->ver);
        EQ((uint32_t)last, cachefs__obj_index(rig.c, o));
    }
    uint32_t index = cachefs__obj_index(rig.c, o);
    cachefs__obj_put(rig.c, o);
    o = cachefs__obj_get(rig.c, &a, &made); /* nor does the next user of the slot get one again */
    EQ(cachefs__obj_index(rig.c, o), index);
    (void)cachefs__obj_learn(rig.c, o, &a, &v1, now_seq(&rig));
    CHECK(atomic_load(&o->ver) > last);
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}

Test(obj, without_validators_size_and_mtime_tell)
{
    rig_t rig;
    int made;

    rig_open(&rig, LONG);
    vfs_attr_t a = some_attr(1, 10);
    vfs_validator_t none = {0};
    obj_t *o = cachefs__obj_get(rig.c, &a, &made);
    (void)cachefs__obj_learn(rig.c, o, &a, &none, now_seq(&rig));
    EQ(cachefs__obj_learn(rig.c, o, &a, &none, now_seq(&rig)), 0);
    a.size = 11;
    EQ(cachefs__obj_learn(rig.c, o, &a, &none, now_seq(&rig)), 1);
    a.mtime_ns = 5;
    EQ(cachefs__obj_learn(rig.c, o, &a, &none, now_seq(&rig)), 1);
    a.mode = 0600; /* attributes alone make no version */
    EQ(cachefs__obj_learn(rig.c, o, &a, &none, now_seq(&rig)), 0);
    EQ(o->attr.mode, 0600);
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}

Test(obj, a_young_validator_is_not_trusted_the_next_time)
{
    rig_t rig;
    int made;

    rig_open(&rig, LONG);
    vfs_attr_t a = some_attr(1, 10);
    vfs_validator_t young = some_version("one", VFS_VALIDATOR_YOUNG), old = some_version("one", 0);
    obj_t *o = cachefs__obj_get(rig.c, &a, &made);
    (void)cachefs__obj_learn(rig.c, o, &a, &young, now_seq(&rig));
    uint64_t ver = atomic_load(&o->ver);
    EQ(cachefs__obj_learn(rig.c, o, &a, &young, now_seq(&rig)), 0); /* no bytes: nothing to lose */
    cachefs__put_t p = {.ver = ver, .shift = 14, .to = 10, .bytes = "0123456789", .end = 10};
    p.valid = 1;
    atomic_store(&o->shift, 14);
    OK(cachefs__block_put(rig.c, o, &p));
    EQ(cachefs__obj_learn(rig.c, o, &a, &old, now_seq(&rig)), 1);
    CHECK(atomic_load(&o->ver) != ver);
    EQ(atomic_load(&o->resident), 0);
    p.ver = atomic_load(&o->ver);
    atomic_store(&o->shift, 14);
    OK(cachefs__block_put(rig.c, o, &p));
    EQ(cachefs__obj_learn(rig.c, o, &a, &old, now_seq(&rig)), 0); /* from now on it is */
    EQ(atomic_load(&o->resident), 64);
    cachefs__obj_put(rig.c, o);
    EQ(rig_stats(&rig).resident_bytes, 0); /* its blocks go with the object */
    rig_close(&rig);
}

Test(obj, an_answer_that_a_change_of_ours_overlapped_is_not_believed)
{
    rig_t rig;
    int made;

    rig_open(&rig, LONG);
    vfs_attr_t a = some_attr(1, 10), late = some_attr(1, 99);
    vfs_validator_t v1 = some_version("one", 0), v2 = some_version("two", 0);
    obj_t *o = cachefs__obj_get(rig.c, &a, &made);
    (void)cachefs__obj_learn(rig.c, o, &a, &v1, now_seq(&rig));
    uint64_t ver = atomic_load(&o->ver), asked = now_seq(&rig);
    cachefs__obj_change_begin(rig.c, o);
    EQ(cachefs__obj_learn(rig.c, o, &late, &v2, asked), 0); /* while it lasts */
    EQ(atomic_load(&o->size), 10);
    cachefs__obj_change_end(rig.c, o, 1);
    vfs_attr_t told = late, seen; /* what we did before shows: the bytes and times are ours */
    told.mode = 0600;
    cachefs__obj_attr_told(o, &told, &seen);
    EQ(seen.mode, 0600);
    EQ(seen.size, 10);
    EQ(cachefs__obj_learn(rig.c, o, &late, &v2, asked), 0); /* asked before its end */
    EQ(atomic_load(&o->size), 10);
    EQ(atomic_load(&o->ver), ver);
    EQ(cachefs__obj_fresh(rig.c, o, UINT64_MAX / 2), 0);
    EQ(cachefs__obj_learn(rig.c, o, &a, &v2, now_seq(&rig)), 0); /* our own version */
    EQ(atomic_load(&o->ver), ver);
    EQ(cachefs__obj_fresh(rig.c, o, 3600000000u), 1);
    EQ(cachefs__obj_learn(rig.c, o, &late, &v1, now_seq(&rig)), 1); /* and then another's */
    EQ(atomic_load(&o->size), 99);
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}

Test(obj, our_own_version_of_another_size_is_not_ours_alone)
{
    rig_t rig;
    int made;

    rig_open(&rig, LONG);
    vfs_attr_t a = some_attr(1, 10), other = some_attr(1, 12);
    vfs_validator_t v1 = some_version("one", 0), v2 = some_version("two", 0);
    obj_t *o = cachefs__obj_get(rig.c, &a, &made);
    (void)cachefs__obj_learn(rig.c, o, &a, &v1, now_seq(&rig));
    uint64_t ver = atomic_load(&o->ver);
    cachefs__obj_change_begin(rig.c, o);
    cachefs__obj_change_end(rig.c, o, 1);
    EQ(cachefs__obj_learn(rig.c, o, &other, &v2, now_seq(&rig)), 1);
    CHECK(atomic_load(&o->ver) != ver);
    EQ(atomic_load(&o->size), 12);
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}

Test(obj, a_version_that_a_change_brought_counts_only_if_no_other_change_overlapped)
{
    rig_t rig;

    rig_open(&rig, LONG);
    vfs_attr_t a = some_attr(1, 10);
    vfs_validator_t v1 = some_version("one", 0), v2 = some_version("two", 0);
    int made;
    obj_t *o = cachefs__obj_get(rig.c, &a, &made);
    (void)cachefs__obj_learn(rig.c, o, &a, &v1, now_seq(&rig));
    uint64_t first = cachefs__obj_change_begin(rig.c, o);
    uint64_t second = cachefs__obj_change_begin(rig.c, o);
    cachefs__obj_changed(rig.c, o, 1, second, &v2); /* the first is still under way */
    CHECK(o->flags & OBJ_OWN_CHANGE);
    cachefs__obj_changed(rig.c, o, 1, first, &v1); /* the second came between */
    CHECK(o->flags & OBJ_OWN_CHANGE);
    first = cachefs__obj_change_begin(rig.c, o);
    cachefs__obj_changed(rig.c, o, 1, first, &v2);
    CHECK(!(o->flags & OBJ_OWN_CHANGE));
    CHECK(vfs_validator_equal(&o->validator, &v2));
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}

Test(obj, what_is_learned_under_dirty_data_changes_neither_its_base_nor_a_byte)
{
    rig_t rig;

    rig_open(&rig,
             LONG "mode=back flush_interval=1h dirty_age=1h flush_on_close=off conflict=ours");
    rig_text(&rig, "/f", "old text");
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_W);
    rig_write(w, 0, "OUR", 3);
    obj_t *o = rig_obj(&rig, "/f");
    uint64_t ver = atomic_load(&o->ver);
    vfs_attr_t a = o->attr;
    vfs_validator_t v = some_version("theirs", 0);
    a.size = 3;
    EQ(cachefs__obj_learn(rig.c, o, &a, &v, now_seq(&rig)), 0);
    CHECK(!vfs_validator_equal(&o->validator, &v)); /* ours is based on what was there before */
    EQ(atomic_load(&o->ver), ver);
    rig_read(w, 0, "OUR text", 8);
    cachefs__obj_put(rig.c, o);
    OK(vfs_close(w, NULL));
    rig_close(&rig);
}

Test(obj, the_name_is_kept_until_the_last_name_is_gone)
{
    rig_t rig;
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t name, p = rig_path("/some/name"), q = rig_path("/other");

    rig_open(&rig, LONG);
    vfs_attr_t a = some_attr(1, 10);
    int made;
    obj_t *o = cachefs__obj_get(rig.c, &a, &made);
    IS(APR_NOTFOUND, cachefs__obj_name(rig.c, o, &name, buf));
    cachefs__obj_set_name(rig.c, o, &p);
    cachefs__obj_set_name(rig.c, o, &p);
    OK(cachefs__obj_name(rig.c, o, &name, buf));
    cr_assert_str_eq(name.str, "/some/name");
    EQ(name.hash, p.hash);
    cachefs__obj_set_name(rig.c, o, &q);
    OK(cachefs__obj_name(rig.c, o, &name, buf));
    cr_assert_str_eq(name.str, "/other");
    o->flags |= OBJ_UNLINKED;
    IS(APR_NOTFOUND, cachefs__obj_name(rig.c, o, &name, buf));
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}

Test(obj, a_name_by_a_link_is_taken_only_where_there_is_no_other)
{
    rig_t rig;
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t name, f = rig_path("/f"), l = rig_path("/l"), m = rig_path("/m");
    cachefs__holder_t holder;
    int made;

    rig_open(&rig, LONG);
    vfs_attr_t a = some_attr(1, 10);
    obj_t *o = cachefs__obj_get(rig.c, &a, &made);
    cachefs__hold(rig.c, o, &holder);
    EQ(cachefs__obj_name_seen(rig.c, o, &l, now_seq(&rig), CLAIM_NONE, 0), 1);
    CHECK(o->flags & OBJ_BY_LINK);
    EQ(cachefs__obj_name_seen(rig.c, o, &m, now_seq(&rig), CLAIM_NONE, 0), 1);
    OK(cachefs__obj_name(rig.c, o, &name, buf));
    cr_assert_str_eq(name.str, "/m");
    EQ(cachefs__obj_name_seen(rig.c, o, &f, now_seq(&rig), CLAIM_NONE, VFS_ATTR_DIRECT), 1);
    CHECK(!(o->flags & OBJ_BY_LINK));
    EQ(cachefs__obj_name_seen(rig.c, o, &l, now_seq(&rig), CLAIM_NONE, 0), 1);
    OK(cachefs__obj_name(rig.c, o, &name, buf));
    cr_assert_str_eq(name.str, "/f");
    CHECK(!(o->flags & OBJ_BY_LINK));
    cachefs__unhold(rig.c, &holder);
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}

Test(obj, a_name_that_is_changing_is_noted_by_nobody_but_who_changes_it)
{
    rig_t rig;
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t name, p = rig_path("/d/f"), q = rig_path("/d/g"), dir = rig_path("/d");
    cachefs__mut_t m, tree;
    cachefs__holder_t first, second;
    int made;

    rig_open(&rig, LONG);
    vfs_attr_t a = some_attr(1, 10);
    obj_t *o = cachefs__obj_get(rig.c, &a, &made);
    cachefs__hold(rig.c, o, &first);
    uint64_t before = now_seq(&rig);
    OK(cachefs__mut_begin(rig.c, NULL, &p, NULL, &m));
    EQ(cachefs__obj_name_seen(rig.c, o, &p, now_seq(&rig), CLAIM_NONE, VFS_ATTR_DIRECT), 0);
    IS(APR_NOTFOUND,
       cachefs__obj_name(rig.c, o, &name, buf)); /* none is better than one that goes */
    EQ(cachefs__obj_name_seen(rig.c, o, &p, m.asked, CLAIM_NAME, VFS_ATTR_DIRECT), 1);
    OK(cachefs__obj_name(rig.c, o, &name, buf));
    cachefs__mut_end(rig.c, &m, 0);
    EQ(cachefs__obj_name_seen(rig.c, o, &p, before, CLAIM_NONE, VFS_ATTR_DIRECT),
       0); /* asked before it changed */
    OK(cachefs__mut_begin(rig.c, NULL, &q, NULL, &m));
    OK(cachefs__mut_begin(rig.c, NULL, &dir, NULL, &tree));
    OK(cachefs__mut_tree(rig.c, NULL, &tree));
    EQ(cachefs__obj_name_seen(rig.c, o, &q, m.asked, CLAIM_NAME, VFS_ATTR_DIRECT),
       0); /* all names move, his too */
    cachefs__mut_end(rig.c, &tree, 1);
    EQ(cachefs__obj_name_seen(rig.c, o, &q, m.asked, CLAIM_NAME, VFS_ATTR_DIRECT), 0);
    cachefs__mut_end(rig.c, &m, 0);
    OK(cachefs__obj_name(rig.c, o, &name, buf));
    cr_assert_str_eq(name.str, "/d/f");

    cachefs__hold(rig.c, o, &second); /* whoever comes to an open file believes its name */
    OK(cachefs__obj_name(rig.c, o, &name, buf));
    cachefs__unhold(rig.c, &first);
    cachefs__unhold(rig.c, &second);
    cachefs__hold(rig.c, o, &first); /* of one that was closed nobody was told */
    IS(APR_NOTFOUND, cachefs__obj_name(rig.c, o, &name, buf));
    cachefs__unhold(rig.c, &first);
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}
