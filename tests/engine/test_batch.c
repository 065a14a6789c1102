/*
 * test_batch.c - how often the locks of shards are taken: by a batch once each, however many paths
 * and shards there are; by a call on a huge file not once for each block that it could have.
 *
 * The C library lets a program bring its own pthread_mutex_lock: this one counts those of the
 * shards of one cache, and passes all on.
 */
#include <dlfcn.h>
#include <stdlib.h>

#include "tests/engine/support_rig.h"

#define PATHS 1000
#define SHARDS_MAX 1024

typedef int (*mutex_fn)(pthread_mutex_t *m);

static _Atomic(cache_t *) watched;
static _Atomic unsigned taken[SHARDS_MAX];

int pthread_mutex_lock(pthread_mutex_t *m)
{
    static _Atomic(mutex_fn) next;
    mutex_fn fn = atomic_load(&next);
    if (!fn) {
        *(void **)&fn = dlsym(RTLD_NEXT, "pthread_mutex_lock");
        atomic_store(&next, fn);
    }
    cache_t *c = atomic_load(&watched);
    if (c && (char *)m >= (char *)c->shards && (char *)m < (char *)(c->shards + c->shard_count))
        atomic_fetch_add(&taken[(size_t)((char *)m - (char *)c->shards) / sizeof(shard_t)], 1);
    return fn(m);
}

typedef struct locks_t {
    unsigned most, sum; /* of the lock that was taken most; of all */
} locks_t;

static void watch(rig_t *rig)
{
    for (int i = 0; i < SHARDS_MAX; i++)
        atomic_store(&taken[i], 0);
    atomic_store(&watched, rig->c);
}

static locks_t watched_end(void)
{
    locks_t locks = {0, 0};
    atomic_store(&watched, NULL);
    for (int i = 0; i < SHARDS_MAX; i++) {
        unsigned n = atomic_load(&taken[i]);
        if (n > locks.most) locks.most = n;
        locks.sum += n;
    }
    return locks;
}

#define TAKES(count, e)                                                                            \
    do {                                                                                           \
        watch(&rig);                                                                               \
        OK(e);                                                                                     \
        locks_t locks_ = watched_end();                                                            \
        cr_assert(locks_.most == (count), "%s, %s shards: %u times, %u in all", #e, shards,        \
                  locks_.most, locks_.sum);                                                        \
    } while (0)

/* Names that differ in length, from "/f0" on. */
static void names(char buf[PATHS][32], const char *paths[PATHS])
{
    for (int i = 0; i < PATHS; i++) {
        (void)snprintf(buf[i], 32, i % 2 ? "/f%d" : "/some-longer-name-%d", i);
        paths[i] = buf[i];
    }
}

static void once_each(const char *shards)
{
    static char buf[PATHS][32];
    static const char *paths[PATHS];
    static cachefs_entry_t all[PATHS];
    rig_t rig;
    char keys[200];

    names(buf, paths);
    (void)snprintf(keys, sizeof(keys),
                   "mode=back flush_interval=1h dirty_age=1h flush_on_close=off ram=64m shards=%s",
                   shards);
    rig_open(&rig, keys);
    TAKES(1, cachefs_entries(rig.fs, paths, PATHS, all)); /* nothing is known */
    for (int i = 0; i < PATHS; i++) {
        IS(APR_NOTFOUND, all[i].status);
        rig_text(&rig, paths[i], "text");
        rig_holds_text(rig.fs, paths[i], "text");
    }
    TAKES(0, cachefs_entries(rig.fs, paths, PATHS, all)); /* by looks without a lock */
    TAKES(0, cachefs_prefetch_batch(rig.fs, NULL, paths, PATHS, NULL));
    for (int i = 0; i < PATHS; i++)
        EQ(all[i].resident, 4);
    TAKES(1, cachefs_flush_batch(rig.fs, NULL, paths, PATHS, NULL));
    TAKES(2, cachefs_invalidate_batch(rig.fs, paths, PATHS, NULL, NULL)); /* names, and blocks */
    EQ(rig_stats(&rig).resident_bytes, 0);
    for (int i = 0; i < PATHS; i++)
        rig_save(&rig, paths[i], "more text", 9);
    TAKES(1, cachefs_entries(rig.fs, paths, PATHS, all)); /* what is dirty needs the lock */
    for (int i = 0; i < PATHS; i++)
        CHECK(all[i].dirty >= 9);
    rig_close(&rig);
}

Test(batch, each_shards_lock_is_taken_once)
{
    static const char *const shards[] = {"1", "8", "32", "128", "1024"};

    for (int i = 0; i < 5; i++)
        once_each(shards[i]);
}

/* 2^27 blocks and more would fit into it. */
#define HUGE_BYTES ((apr_off_t)8 << 40)
#define FAR ((apr_off_t)4 << 40)

static vfs_file_t *huge(rig_t *rig, const char *keys)
{
    rig_open_local(rig, keys);
    rig_text(rig, "/huge", "begin");
    OK(vfs_truncate(rig->bottom, NULL, "/huge", HUGE_BYTES));
    rig_poke(rig, "/huge", FAR, "far", 3);
    vfs_file_t *f = rig_file(rig->fs, "/huge", RIG_W);
    rig_read(f, FAR, "far", 3);
    return f;
}

Test(batch, a_huge_file_is_pinned_by_the_blocks_that_it_has)
{
    rig_t rig;
    vfs_file_t *f = huge(&rig, "ram=8m readahead=0");

    watch(&rig);
    OK(cachefs_pin(rig.fs, "/huge", 1));
    CHECK(rig_stats(&rig).pinned_bytes > 0);
    OK(cachefs_pin(rig.fs, "/huge", 0));
    EQ(rig_stats(&rig).pinned_bytes, 0);
    locks_t locks = watched_end();
    cr_assert(locks.sum >= 2 && locks.sum < 1000, "%u locks", locks.sum);
    OK(vfs_close(f, NULL));
    rig_close(&rig);
}

Test(batch, what_is_clean_of_a_huge_dirty_file_is_invalidated)
{
    rig_t rig;
    uint64_t kept = 0;
    vfs_file_t *f = huge(
        &rig, "ram=8m readahead=0 mode=back flush_interval=1h dirty_age=1h flush_on_close=off");

    rig_write(f, 0, "BEGIN", 5);
    uint64_t before = rig_entry(&rig, "/huge").resident;
    watch(&rig);
    OK(cachefs_invalidate(rig.fs, "/huge", NULL, &kept));
    locks_t locks = watched_end();
    CHECK(kept >= 5);
    CHECK(rig_entry(&rig, "/huge").resident < before);
    cr_assert(locks.sum < 1000, "%u locks", locks.sum);
    rig_reset(&rig);
    rig_read(f, FAR, "far", 3);
    CHECK(rig_moved(&rig) > 0); /* it was asked for below */
    rig_read(f, 0, "BEGIN", 5);
    OK(vfs_close(f, NULL));
    rig_close(&rig);
}
