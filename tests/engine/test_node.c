/*
 * test_node.c - names: what they lead to, for how long, what is believed, limits and recency.
 */
#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h listing_ttl=1h "

static obj_t *some_obj(rig_t *rig, uint64_t ino)
{
    vfs_attr_t a = {.flags = VFS_ATTR_STABLE_ID | VFS_ATTR_DIRECT, .type = VFS_TYPE_FILE};
    vfs_validator_t v = {.kind = VFS_VALIDATOR_ETAG, .len = 1, .data = {1}};
    int made;

    a.dev = 7;
    a.ino = ino;
    a.nlink = 1;
    obj_t *o = cachefs__obj_get(rig->c, &a, &made);
    (void)cachefs__obj_learn(rig->c, o, &a, &v, atomic_load(&rig->c->mut_seq));
    return o;
}

static cachefs__known_e find(rig_t *rig, const char *path, int follow, obj_t **obj)
{
    vfs_path_t p = rig_path(path);
    unsigned said;
    cachefs__known_e known = cachefs__node_find(rig->c, &p, follow, obj, &said);

    if (*obj) cachefs__obj_put(rig->c, *obj);
    return known;
}

static void set(rig_t *rig, const char *path, int follow, obj_t *o, uint32_t flags)
{
    vfs_path_t p = rig_path(path);

    cachefs__node_set(rig->c, &p, follow, o, flags, atomic_load(&rig->c->mut_seq));
}

Test(node, a_name_is_nothing_then_fresh_then_stale)
{
    rig_t rig;
    obj_t *found;

    rig_open(&rig, "attr_ttl=1h negative_ttl=1h");
    obj_t *o = some_obj(&rig, 1);
    EQ(find(&rig, "/f", 0, &found), KNOWN_NOTHING);
    set(&rig, "/f", 0, o, VFS_ATTR_DIRECT);
    EQ(find(&rig, "/f", 0, &found), KNOWN_FRESH);
    CHECK(found == o);
    EQ(find(&rig, "/f", 1, &found), KNOWN_NOTHING); /* where it leads to is another question */
    set(&rig, "/g", 0, NULL, VFS_ATTR_DIRECT);
    EQ(find(&rig, "/g", 0, &found), KNOWN_ABSENT);
    CHECK(found == NULL);
    rig_set(&rig, "attr_ttl", "1ms");
    rig_set(&rig, "negative_ttl", "1ms");
    rig_nap(20);
    EQ(find(&rig, "/f", 0, &found), KNOWN_STALE);
    CHECK(found == o);
    EQ(find(&rig, "/g", 0, &found), KNOWN_STALE);
    EQ(rig_stats(&rig).names, 2);
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}

Test(node, a_name_through_links_answers_only_until_any_name_changes)
{
    rig_t rig;
    obj_t *found;
    cachefs__mut_t m;

    rig_open(&rig, LONG);
    obj_t *o = some_obj(&rig, 1);
    set(&rig, "/direct", 0, o, VFS_ATTR_DIRECT);
    set(&rig, "/l/f", 0, o, 0);
    set(&rig, "/l", 1, o, 0);
    EQ(find(&rig, "/l/f", 0, &found), KNOWN_FRESH);
    EQ(find(&rig, "/l", 1, &found), KNOWN_FRESH);
    vfs_path_t p = rig_path("/unrelated");
    OK(cachefs__mut_begin(rig.c, NULL, &p, NULL, &m));
    cachefs__mut_end(rig.c, &m, 0);
    EQ(find(&rig, "/l/f", 0, &found), KNOWN_STALE);
    EQ(find(&rig, "/l", 1, &found), KNOWN_STALE);
    EQ(find(&rig, "/direct", 0, &found), KNOWN_FRESH);
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}

Test(node, an_answer_that_a_change_of_the_name_overlapped_is_not_kept)
{
    rig_t rig;
    obj_t *found;
    cachefs__mut_t m;
    vfs_path_t p = rig_path("/f"), other = rig_path("/g");

    rig_open(&rig, LONG);
    obj_t *o = some_obj(&rig, 1);
    uint64_t asked = atomic_load(&rig.c->mut_seq);
    OK(cachefs__mut_begin(rig.c, NULL, &p, NULL, &m));
    cachefs__node_set(rig.c, &p, 0, o, VFS_ATTR_DIRECT, atomic_load(&rig.c->mut_seq));
    EQ(find(&rig, "/f", 0, &found), KNOWN_NOTHING);
    cachefs__node_put(rig.c, &p, 0, o, VFS_ATTR_DIRECT, m.asked); /* whoever changes it may */
    EQ(find(&rig, "/f", 0, &found), KNOWN_FRESH);
    cachefs__mut_end(rig.c, &m, 0);
    cachefs__node_set(rig.c, &p, 0, NULL, VFS_ATTR_DIRECT, asked); /* asked before */
    EQ(find(&rig, "/f", 0, &found), KNOWN_FRESH);
    cachefs__node_forget(rig.c, &p, 0, asked);
    EQ(find(&rig, "/f", 0, &found), KNOWN_FRESH);
    cachefs__node_set(rig.c, &other, 0, o, VFS_ATTR_DIRECT, asked); /* another name */
    EQ(find(&rig, "/g", 0, &found), KNOWN_FRESH);
    OK(cachefs__mut_begin(rig.c, NULL, &p, NULL, &m)); /* a directory moves: no name is believed */
    cachefs__mut_end(rig.c, &m, 1);
    cachefs__node_set(rig.c, &other, 0, NULL, VFS_ATTR_DIRECT, asked);
    EQ(find(&rig, "/g", 0, &found), KNOWN_FRESH);
    cachefs__node_set(rig.c, &other, 0, NULL, VFS_ATTR_DIRECT, atomic_load(&rig.c->mut_seq));
    EQ(find(&rig, "/g", 0, &found), KNOWN_ABSENT);
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}

typedef struct claim_t {
    rig_t *rig;
    _Atomic int begun;
} claim_t;

static void *claim(void *arg)
{
    claim_t *k = arg;
    vfs_path_t p = rig_path("/f"), q = rig_path("/other");
    cachefs__mut_t m;

    if (cachefs__mut_begin(k->rig->c, NULL, &q, &p, &m)) return arg;
    atomic_store(&k->begun, 1);
    cachefs__mut_end(k->rig->c, &m, 0);
    return NULL;
}

Test(node, two_who_change_one_name_come_one_after_the_other)
{
    rig_t rig;
    cachefs__mut_t m;
    pthread_t thread;
    vfs_path_t p = rig_path("/f");
    vfs_ctx_t hurry = VFS_CTX_INIT;
    void *failed;

    rig_open(&rig, LONG);
    OK(cachefs__mut_begin(rig.c, NULL, &p, NULL, &m));
    claim_t k = {.rig = &rig};
    pthread_create(&thread, NULL, claim, &k);
    rig_nap(30);
    EQ(atomic_load(&k.begun), 0);
    cachefs__mut_t n;
    hurry.deadline = apr_time_now() + 10000;
    IS(APR_TIMEUP, cachefs__mut_begin(rig.c, &hurry, &p, NULL, &n));
    cachefs__mut_end(rig.c, &m, 0);
    pthread_join(thread, &failed);
    CHECK(failed == NULL && atomic_load(&k.begun));
    OK(cachefs__mut_wait(rig.c, NULL, &p));
    rig_close(&rig);
}

Test(node, a_sweep_meets_each_name_that_matches_and_no_other)
{
    rig_t rig;
    obj_t *found;
    char path[64];
    vfs_path_t d = rig_path("/d");

    rig_open(&rig, LONG);
    obj_t *o = some_obj(&rig, 1);
    for (int i = 0; i < 500; i++) {
        (void)snprintf(path, sizeof(path), "/d/f%d", i);
        set(&rig, path, 0, i % 3 ? o : NULL, VFS_ATTR_DIRECT);
        (void)snprintf(path, sizeof(path), "/data/f%d", i);
        set(&rig, path, 0, o, VFS_ATTR_DIRECT);
    }
    set(&rig, "/d", 0, o, VFS_ATTR_DIRECT);
    EQ(cachefs__node_sweep(rig.c, &d, NULL, NULL, SWEEP_CLEAN, NULL), 501);
    EQ(rig_stats(&rig).names, 1001); /* expired, not forgotten */
    EQ(find(&rig, "/d/f1", 0, &found), KNOWN_STALE);
    EQ(find(&rig, "/d/f0", 0, &found), KNOWN_STALE);
    EQ(cachefs__node_sweep(rig.c, &d, NULL, NULL, SWEEP_FORGET, NULL), 501);
    EQ(rig_stats(&rig).names, 500);
    EQ(find(&rig, "/d/f1", 0, &found), KNOWN_NOTHING);
    EQ(find(&rig, "/data/f1", 0, &found) != KNOWN_NOTHING, 1);
    EQ(cachefs__node_sweep(rig.c, &d, NULL, NULL, SWEEP_FORGET, NULL), 0);
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}

Test(node, the_limit_of_names_holds_and_the_coldest_leave)
{
    rig_t rig;
    obj_t *found;
    char path[64];

    rig_open(&rig, LONG "metadata_entries_max=64 shards=1");
    obj_t *o = some_obj(&rig, 1);
    set(&rig, "/hot", 0, o, VFS_ATTR_DIRECT);
    for (int i = 0; i < 300; i++) {
        (void)snprintf(path, sizeof(path), "/f%d", i);
        set(&rig, path, 0, o, VFS_ATTR_DIRECT);
        EQ(find(&rig, "/hot", 0, &found), KNOWN_FRESH);
        CHECK(rig_stats(&rig).names <= 64);
    }
    EQ(rig_stats(&rig).names, 64);
    EQ(find(&rig, "/f299", 0, &found), KNOWN_FRESH);
    EQ(find(&rig, "/f0", 0, &found), KNOWN_NOTHING);
    EQ(rig_stats(&rig).metadata_evictions, 301 - 64);
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}

Test(node, rules_by_path_replace_both_ttls)
{
    rig_t rig;
    obj_t *found;

    rig_open(&rig, "attr_ttl=1h negative_ttl=1h ttl=/brief/**=1ms,/never/**=0,/**=1h");
    obj_t *o = some_obj(&rig, 1);
    set(&rig, "/brief/f", 0, o, VFS_ATTR_DIRECT);
    set(&rig, "/brief/g", 0, NULL, VFS_ATTR_DIRECT);
    set(&rig, "/never/f", 0, o, VFS_ATTR_DIRECT);
    set(&rig, "/f", 0, o, VFS_ATTR_DIRECT);
    EQ(find(&rig, "/never/f", 0, &found), KNOWN_STALE);
    rig_nap(20);
    EQ(find(&rig, "/brief/f", 0, &found), KNOWN_STALE);
    EQ(find(&rig, "/brief/g", 0, &found), KNOWN_STALE);
    EQ(find(&rig, "/f", 0, &found), KNOWN_FRESH);
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}

Test(node, no_answer_is_kept_while_a_directory_moves)
{
    rig_t rig;
    obj_t *found;
    cachefs__mut_t m;
    vfs_path_t dir = rig_path("/d");

    rig_open(&rig, LONG);
    obj_t *o = some_obj(&rig, 1);
    OK(cachefs__mut_begin(rig.c, NULL, &dir, NULL, &m));
    OK(cachefs__mut_tree(rig.c, NULL, &m));
    set(&rig, "/d/f", 0, o, VFS_ATTR_DIRECT); /* asked and answered meanwhile */
    EQ(find(&rig, "/d/f", 0, &found), KNOWN_NOTHING);
    cachefs__mut_end(rig.c, &m, 0); /* it failed */
    set(&rig, "/d/f", 0, o, VFS_ATTR_DIRECT);
    CHECK(find(&rig, "/d/f", 0, &found) != KNOWN_NOTHING); /* kept again */
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}

Test(node, absence_ends_with_creation_while_a_directory_moves_too)
{
    rig_t rig;
    obj_t *found;
    cachefs__mut_t m;
    vfs_path_t dir = rig_path("/d"), made = rig_path("/new");

    rig_open(&rig, LONG);
    obj_t *o = some_obj(&rig, 1);
    set(&rig, "/new", 0, NULL, VFS_ATTR_DIRECT);
    EQ(find(&rig, "/new", 0, &found), KNOWN_ABSENT);
    OK(cachefs__mut_begin(rig.c, NULL, &dir, NULL, &m));
    OK(cachefs__mut_tree(rig.c, NULL, &m));
    cachefs__node_put(rig.c, &made, 0, o, VFS_ATTR_DIRECT, atomic_load(&rig.c->mut_seq));
    CHECK(find(&rig, "/new", 0, &found) != KNOWN_ABSENT);
    cachefs__mut_end(rig.c, &m, 1);
    CHECK(find(&rig, "/new", 0, &found) != KNOWN_ABSENT);
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}

Test(node, dropping_and_expiring_concern_both_kinds_of_a_name)
{
    rig_t rig;
    obj_t *found;
    vfs_path_t p = rig_path("/l");

    rig_open(&rig, LONG);
    obj_t *link = some_obj(&rig, 1), *target = some_obj(&rig, 2);
    set(&rig, "/l", 0, link, VFS_ATTR_DIRECT);
    set(&rig, "/l", 1, target, 0);
    cachefs__node_expire_name(rig.c, &p);
    EQ(find(&rig, "/l", 0, &found), KNOWN_STALE);
    EQ(find(&rig, "/l", 1, &found), KNOWN_STALE);
    obj_t *gone = cachefs__node_drop(rig.c, &p);
    CHECK(gone == link);
    cachefs__obj_put(rig.c, gone);
    EQ(find(&rig, "/l", 0, &found), KNOWN_NOTHING);
    EQ(find(&rig, "/l", 1, &found), KNOWN_NOTHING);
    CHECK(cachefs__node_drop(rig.c, &p) == NULL);
    cachefs__obj_put(rig.c, link);
    cachefs__obj_put(rig.c, target);
    EQ(rig_stats(&rig).files, 0);
    rig_close(&rig);
}
