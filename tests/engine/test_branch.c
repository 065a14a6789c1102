/*
 * test_branch.c - the tree of cached names against a look at every name; walks while it changes.
 */
#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h listing_ttl=1h "

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A path of up to five short components: many share beginnings, as bytes and as components. */
static void some_path(char *path, size_t size, uint64_t *state)
{
    static const char *const names[] = {"a", "b", "ab", "abc", "a b", "x"};
    unsigned depth = (unsigned)(next_random(state) % 6);
    size_t len = 0;

    for (unsigned i = 0; i < depth; i++)
        len += (size_t)snprintf(path + len, size - len, "/%s", names[next_random(state) % 6]);
    if (!depth) (void)snprintf(path, size, "/");
}

static vfs_path_t path_of(rig_t *rig, const node_t *n)
{
    return (vfs_path_t){cachefs__node_path(rig->c, n), n->path_len, n->hash, 0};
}

static int used(const node_t *n)
{
    return (n->flags & NODE_USED) != 0;
}

/* Names within `below`, by a look at every entry; with `stale`, how many of them ask again. */
static uint64_t names_within(rig_t *rig, const vfs_path_t *below, uint64_t *stale)
{
    uint64_t n = 0;

    *stale = 0;
    for (uint32_t i = 1; i < rig->c->node_pool.high; i++) {
        const node_t *nd = &rig->c->nodes[i];
        if (!used(nd)) continue;
        vfs_path_t path = path_of(rig, nd);
        if (!vfs_path_within(&path, below)) continue;
        n++;
        *stale += nd->checked_us < 0;
    }
    return n;
}

/* Every name is listed by the branch of its directory, every branch by the one above, and none is
 * empty. */
static void check_tree(rig_t *rig)
{
    cache_t *c = rig->c;
    uint64_t listed = 0, branches = 0, names = 0, roots = 0;
    uint32_t b = 1;

    while (b) {
        const branch_t *n = &c->branches[b];
        uint32_t before = 0;
        branches++;
        CHECK(b == 1 || n->first_node || n->first_child);
        for (uint32_t i = n->first_node; i; before = i, i = c->nodes[i].kin_next) {
            char buf[VFS_PATH_MAX + 1];
            vfs_path_t path = path_of(rig, &c->nodes[i]), dir;
            CHECK(used(&c->nodes[i]));
            EQ(c->nodes[i].branch, b);
            EQ(c->nodes[i].kin_prev, before);
            (void)vfs_path_parent(&dir, &path, buf);
            EQ(dir.len, b == 1 ? 1 : n->len);
            if (b != 1) EQ(dir.hash, n->hash);
            listed++;
        }
        if (n->first_child) {
            b = n->first_child;
            EQ(c->branches[b].sib_prev, NONE);
        } else {
            while (b && b != 1 && !c->branches[b].sib_next)
                b = c->branches[b].up;
            b = b == 1 ? 0 : c->branches[b].sib_next;
        }
    }
    for (uint32_t i = 1; i < c->node_pool.high; i++) {
        names += used(&c->nodes[i]);
        roots += used(&c->nodes[i]) && c->nodes[i].path_len == 1;
    }
    EQ(listed + roots, names);
    EQ(names, atomic_load(&c->name_count));
    EQ(branches, c->branch_pool.used);
    CHECK(c->tree.walks == NULL);
}

static void change(rig_t *rig, obj_t *o, uint64_t *state, int evict)
{
    char text[128];
    some_path(text, sizeof(text), state);
    vfs_path_t path = rig_path(text);

    switch (next_random(state) % 8) {
    case 0:
        cachefs__name_drop(rig->c, &path);
        break;
    case 1:
        if (evict)
            (void)cachefs__node_evict(rig->c,
                                      &rig->c->shards[next_random(state) % rig->c->shard_count]);
        break;
    default:
        cachefs__node_set(rig->c, &path, next_random(state) % 4 == 0,
                          next_random(state) % 3 ? o : NULL, VFS_ATTR_DIRECT,
                          atomic_load(&rig->c->mut_seq));
    }
}

static void sweep_one(rig_t *rig, uint64_t *state)
{
    vfs_path_t all = rig_path("/");
    cachefs__sweep_e how = (cachefs__sweep_e)(next_random(state) % 3);
    uint64_t stale, stale_all, stale_now, dirty = 0;
    char text[128];
    some_path(text, sizeof(text), state);
    vfs_path_t below = rig_path(text);
    uint64_t within = names_within(rig, &below, &stale);
    uint64_t total = names_within(rig, &all, &stale_all);
    uint64_t fresh_before = total - stale_all - (within - stale);

    EQ(cachefs__node_sweep(rig->c, &below, NULL, NULL, how, &dirty), within);
    EQ(dirty, 0);
    EQ(names_within(rig, &below, &stale_now), how == SWEEP_FORGET ? 0 : within);
    EQ(stale_now, how == SWEEP_FORGET ? 0 : within);
    EQ(names_within(rig, &all, &stale_now), how == SWEEP_FORGET ? total - within : total);
    total = names_within(rig, &all, &stale_now);
    EQ(total - stale_now, fresh_before); /* no other name asks again */
}

static void random_run(const char *keys, uint64_t seed)
{
    rig_t rig;
    int made;
    uint64_t state = seed * 0x9e3779b97f4a7c15ull;
    vfs_attr_t a = {.flags = VFS_ATTR_STABLE_ID, .type = VFS_TYPE_FILE, .dev = 7, .ino = 1};

    rig_open(&rig, keys);
    obj_t *o = cachefs__obj_get(rig.c, &a, &made);
    for (int i = 0; i < 4000; i++) {
        change(&rig, o, &state, 1);
        if (i % 40 == 0) sweep_one(&rig, &state);
        if (i % 100 == 0) check_tree(&rig);
    }
    OK(cachefs_clear(rig.fs, NULL));
    EQ(rig.c->branch_pool.used, 1);
    EQ(rig_stats(&rig).names, 0);
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}

Test(branch, a_sweep_finds_what_a_look_at_every_name_finds)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        random_run(LONG "shards=4", seed);
        random_run(LONG "shards=4 metadata_entries_max=40", seed); /* evicted all the time */
    }
}

Test(branch, a_glob_looks_below_its_literal_directory_and_finds_all)
{
    static const struct {
        const char *pattern;
        uint64_t count;
    } cases[] = {{"/d/e/*.c", 1}, {"/d/e/f.c", 1},  {"/d/**", 6},      {"/d/e", 1},
                 {"/**/f.c", 2},  {"/d\\e/f.c", 0}, {"//d/e/f.c", 1},  {"/*", 1},
                 {"/nope/*", 0},  {"/d/e*/**", 4},  {"/d/[e]/f.*", 2}, {"/../d", 0},
                 {"/d/ea/?", 0}};
    rig_t rig;

    rig_open(&rig, LONG);
    OK(vfs_mkdir_all(rig.bottom, NULL, "/d/e", 0755));
    OK(vfs_mkdir_all(rig.bottom, NULL, "/d/ea", 0755));
    rig_text(&rig, "/d/f.c", "1");
    rig_text(&rig, "/d/e/f.c", "2");
    rig_text(&rig, "/d/e/f.h", "3");
    static const char *const known[] = {"/d", "/d/f.c", "/d/e/f.c", "/d/e/f.h", "/d/e", "/d/ea"};
    for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
        uint64_t count;
        OK(cachefs_clear(rig.fs, NULL));
        for (size_t i = 0; i < 6; i++)
            OK(vfs_stat(rig.fs, NULL, known[i], NULL));
        OK(cachefs_invalidate_glob(rig.fs, cases[k].pattern, &count, NULL));
        cr_assert(count == cases[k].count, "%s: %d", cases[k].pattern, (int)count);
    }
    rig_close(&rig);
}

static const char *const walked[] = {"/d/a",     "/d/b",   "/d/s/a",    "/d/s/b",
                                     "/d/s/t/a", "/d/u/a", "/d/u/v/w/a"};
#define WALKED (sizeof(walked) / sizeof(walked[0]))

/* A walk of all names, `before` of which it meets before those from `first` to `last` go. */
static void walk_while_they_go(rig_t *rig, obj_t *o, size_t before, size_t first, size_t last)
{
    vfs_path_t dir = rig_path("/d"), other = rig_path("/e/x/y/z"); /* their entries serve again */
    cachefs__met_t met;
    cachefs__walk_t w;
    unsigned times[WALKED] = {0};

    for (size_t i = 0; i < WALKED; i++) {
        vfs_path_t p = rig_path(walked[i]);
        cachefs__node_set(rig->c, &p, 0, o, VFS_ATTR_DIRECT, atomic_load(&rig->c->mut_seq));
    }
    cachefs__walk_begin(rig->c, &w, &dir);
    for (size_t n = 0;; n++) {
        for (size_t i = first; n == before && i <= last; i++) {
            vfs_path_t p = rig_path(walked[i]);
            cachefs__name_drop(rig->c, &p);
        }
        if (n == before)
            cachefs__node_set(rig->c, &other, 0, o, VFS_ATTR_DIRECT, atomic_load(&rig->c->mut_seq));
        if (!cachefs__walk_some(rig->c, &w, &met, 1)) break;
        CHECK(used(&rig->c->nodes[met.node]));
        for (size_t i = 0; i < WALKED; i++)
            times[i] +=
                strcmp(cachefs__node_path(rig->c, &rig->c->nodes[met.node]), walked[i]) == 0;
    }
    cachefs__walk_end(rig->c, &w);
    cachefs__name_drop(rig->c, &other);
    for (size_t i = 0; i < WALKED; i++)
        cr_assert(times[i] == 1 || (i >= first && i <= last && times[i] == 0),
                  "%s met %u times: %d met, then %d to %d went", walked[i], times[i], (int)before,
                  (int)first, (int)last);
}

Test(branch, a_walk_goes_on_when_what_it_stands_at_goes)
{
    rig_t rig;
    int made;
    vfs_attr_t a = {.flags = VFS_ATTR_STABLE_ID, .type = VFS_TYPE_FILE, .dev = 7, .ino = 1};

    rig_open(&rig, LONG);
    obj_t *o = cachefs__obj_get(rig.c, &a, &made);
    for (size_t before = 0; before <= WALKED; before++)
        for (size_t first = 0; first < WALKED; first++)
            for (size_t last = first; last < WALKED; last++)
                walk_while_they_go(&rig, o, before, first, last);
    check_tree(&rig);
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}

typedef struct churn_t {
    rig_t *rig;
    obj_t *o;
    uint64_t seed;
    _Atomic int *stop;
} churn_t;

static void *churn(void *arg)
{
    churn_t *k = arg;

    while (!atomic_load(k->stop))
        for (int i = 0; i < 100; i++)
            change(k->rig, k->o, &k->seed, 0);
    return NULL;
}

Test(branch, a_name_that_stays_is_met_whatever_comes_and_goes_around_it)
{
    rig_t rig;
    int made;
    pthread_t threads[2];
    _Atomic int stop = 0;
    vfs_attr_t a = {.flags = VFS_ATTR_STABLE_ID, .type = VFS_TYPE_FILE, .dev = 7, .ino = 1};
    vfs_path_t below = rig_path("/a");
    char text[64];

    rig_open(&rig, LONG);
    obj_t *o = cachefs__obj_get(rig.c, &a, &made);
    churn_t k[2] = {{&rig, o, 77, &stop}, {&rig, o, 78, &stop}};
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, churn, &k[i]);
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < 200; i++) { /* names that the others do not use, where they work */
            (void)snprintf(text, sizeof(text), "/a/%s/stays%d", i % 2 ? "b" : "ab/x", i);
            vfs_path_t p = rig_path(text);
            cachefs__node_set(rig.c, &p, 0, o, VFS_ATTR_DIRECT, atomic_load(&rig.c->mut_seq));
        }
        CHECK(cachefs__node_sweep(rig.c, &below, NULL, NULL, SWEEP_EXPIRE, NULL) >= 200);
        for (int i = 0; i < 200; i++) {
            obj_t *found;
            unsigned said;
            (void)snprintf(text, sizeof(text), "/a/%s/stays%d", i % 2 ? "b" : "ab/x", i);
            vfs_path_t p = rig_path(text);
            EQ(cachefs__node_find(rig.c, &p, 0, &found, &said), KNOWN_STALE);
            cachefs__obj_put(rig.c, found);
        }
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    check_tree(&rig);
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}
