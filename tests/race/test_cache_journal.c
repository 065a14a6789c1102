/*
 * test_cache_journal.c - write-back with a small journal: writers that sync, move and chmod their
 * files, a reader of figures, and a store that fails, works again and is used again, and fails for
 * good while all of that goes on. No byte is lost, and none counts as foreign. A plain program, for
 * ThreadSanitizer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/race/support_race.h"

#define FILES 3u
#define WRITERS (FILES * 2) /* two a file, each with every second block */
#define BLOCKS 16u
#define BLOCK (16u << 10)

typedef struct journal_t {
    race_t r;
    vfs_t *store, *bad;
    int64_t end_ms;
    atomic_int moved[FILES]; /* has its second name */
    uint32_t last[FILES][BLOCKS];
    atomic_uint writing, syncs;
    atomic_int failed; /* how often the store did */
} journal_t;

static void path_of(char *path, unsigned file, int moved)
{
    sprintf(path, moved ? "/moved%u" : "/file%u", file);
}

/* The even writer of a file changes its name as well. */
static void change_names(journal_t *t, unsigned file, vfs_file_t *f, uint32_t what)
{
    char from[16], to[16];
    int moved = atomic_load(&t->moved[file]);
    path_of(from, file, moved);
    path_of(to, file, !moved);
    if (what % 3 == 0) {
        CHECK_OK(vfs_rename(t->r.cache, NULL, from, to, 0));
        atomic_store(&t->moved[file], !moved);
    } else if (what % 3 == 1) {
        CHECK_OK(vfs_fchmod(f, NULL, 0600 + what % 64));
    } else {
        CHECK_OK(vfs_ftruncate(f, NULL, (apr_off_t)BLOCKS * BLOCK));
    }
}

static void write_on(journal_t *t, unsigned me)
{
    char path[16], *buf = malloc(BLOCK);
    unsigned file = me / 2, mine = me % 2;
    uint32_t rnd = me + 5;
    path_of(path, file, 0);
    vfs_file_t *f = race_file(t->r.cache, path, VFS_O_READ | VFS_O_WRITE);
    CHECK(buf != NULL);
    atomic_fetch_add(&t->writing, 1);
    while (atomic_load(&t->writing) < WRITERS) /* names change when all have opened theirs */
        race_sleep_us(100);
    for (uint32_t seq = 2;
         race_go_on(t->end_ms, atomic_load(&t->syncs) > 200 && atomic_load(&t->failed) > 1);
         seq++) {
        unsigned b = race_random(&rnd) % (BLOCKS / 2) * 2 + mine;
        race_fill(buf, BLOCK, file, b, seq);
        race_write(f, buf, BLOCK, (apr_off_t)b * BLOCK);
        t->last[file][b] = seq;
        if (seq % 4 == 0) {
            CHECK_OK(vfs_sync(f, NULL, VFS_SYNC_DATA));
            atomic_fetch_add(&t->syncs, 1);
        }
        if (seq % 9 == 0) {
            race_read(f, buf, BLOCK, (apr_off_t)b * BLOCK);
            CHECK(race_seq(buf, BLOCK, file, b, "just written") == seq);
        }
        if (!mine && seq % 50 == 0) change_names(t, file, f, seq / 50);
    }
    atomic_fetch_sub(&t->writing, 1);
    free(buf);
    CHECK_OK(vfs_close(f, NULL));
}

static double figure(journal_t *t, const char *name)
{
    metrics_snapshot_t *snap;
    apr_pool_t *pool;
    double value = 0;
    CHECK_OK(apr_pool_create(&pool, t->r.pool));
    CHECK_OK(metrics_snapshot(&snap, cachefs_metrics(t->r.cache), pool));
    CHECK(!metrics_snapshot_value(snap, name, NULL, &value));
    apr_pool_destroy(pool);
    return value;
}

static void fail(journal_t *t)
{
    vfs_fault_t rule = {.what = VFS_FAULT_ERROR};
    VFS_FAULT_OP(rule, VFS_OPID_write_at);
    VFS_FAULT_OP(rule, VFS_OPID_sync);
    CHECK_OK(vfs_fault_add(t->bad, &rule));
    atomic_fetch_add(&t->failed, 1);
}

/* It fails after a while, works again as soon as that is known, and fails again when it was used
 * for a while. */
static void watch(journal_t *t)
{
    while (atomic_load(&t->writing) == 0)
        race_sleep_us(100);
    for (int64_t since = race_now_ms(); atomic_load(&t->writing);) {
        double state = figure(t, "cachefs_journal_failed");
        int failed = atomic_load(&t->failed);
        (void)cachefs_flush(t->r.cache, NULL, NULL, 0); /* the names move under it */
        race_sleep_us(2000);
        if (failed == 1 && state == 2) vfs_fault_clear(t->bad);
        int used = failed == 0 || figure(t, "cachefs_journal_taken_back_total") == 1;
        if (state != 0 || !used) since = race_now_ms();
        if (failed < 2 && race_now_ms() > since + 500) fail(t);
    }
}

static void journal_thread(void *baton, unsigned me)
{
    if (me < WRITERS)
        write_on(baton, me);
    else
        watch(baton);
}

static void begin(journal_t *t)
{
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    char err[256];
    CHECK_OK(vfs_mem_create(&t->store, 0, t->r.pool));
    CHECK_OK(vfs_fault_create(&t->bad, t->store, 1, t->r.pool));
    config.mode = CACHEFS_BACK;
    config.ram_bytes = 8u << 20;
    config.shards = 4;
    config.flush_interval_us = 20000;
    config.store = t->bad;
    config.store_bytes = config.journal_bytes = 4u << 20;
    config.store_free_min = 1;
    config.origin = "race";
    CHECK_OK(cachefs_create(&t->r.cache, t->r.delay, &config, err, sizeof(err), t->r.pool));
}

static void compare(journal_t *t)
{
    char path[16], *buf = malloc(BLOCK);
    CHECK(buf != NULL);
    for (unsigned i = 0; i < FILES; i++) {
        path_of(path, i, atomic_load(&t->moved[i]));
        vfs_file_t *f = race_file(t->r.mem, path, VFS_O_READ);
        for (unsigned b = 0; b < BLOCKS; b++) {
            race_read(f, buf, BLOCK, (apr_off_t)b * BLOCK);
            CHECK(race_seq(buf, BLOCK, i, b, "below") == (t->last[i][b] ? t->last[i][b] : 1));
        }
        CHECK_OK(vfs_close(f, NULL));
    }
    free(buf);
}

int main(void)
{
    static journal_t t;
    char path[16];
    cachefs_stats_t stats = {.size = sizeof(stats)};
    race_begin();
    race_open(&t.r, NULL, 0);
    for (unsigned i = 0; i < FILES; i++) {
        path_of(path, i, 0);
        race_make(t.r.mem, path, i, BLOCKS, BLOCK, 1);
    }
    begin(&t);
    t.end_ms = race_now_ms() + 3000;
    race_run(WRITERS + 1, journal_thread, &t);
    CHECK_OK(cachefs_flush(t.r.cache, NULL, NULL, 60000000));
    CHECK_OK(cachefs_stats(t.r.cache, &stats));
    CHECK(stats.dirty_bytes == 0 && stats.conflicts == 0); /* nobody else wrote */
    CHECK(figure(&t, "cachefs_journal_taken_back_total") == 1);
    race_end_cache(&t.r);
    compare(&t);
    CHECK_OK(vfs_destroy(t.bad));
    CHECK_OK(vfs_destroy(t.store));
    race_close(&t.r);
    return 0;
}
