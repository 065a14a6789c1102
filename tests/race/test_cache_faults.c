/*
 * test_cache_faults.c - write-back while the lower layer fails, tears writes and loses replies, and
 * recovers: no byte that a write accepted is lost in the end, and none of it counts as foreign.
 * A plain program, for ThreadSanitizer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/race/support_race.h"

#define FILES 3u
#define BLOCKS 16u
#define BLOCK (16u << 10)

typedef struct faults_t {
    race_t r;
    int64_t end_ms;
    uint32_t last[FILES][BLOCKS]; /* each by its file's writer alone */
    atomic_int over;
    atomic_uint told, injected, flush_errors;
} faults_t;

static void path_of(char *path, unsigned file)
{
    sprintf(path, "/file%u", file);
}

static int enough(faults_t *t)
{
    return atomic_load(&t->injected) > 0 && atomic_load(&t->told) > 0 &&
           atomic_load(&t->flush_errors) > 0;
}

static void fault_write(faults_t *t, unsigned file)
{
    char path[16], *buf = malloc(BLOCK);
    uint32_t rnd = file + 77;
    path_of(path, file);
    vfs_file_t *f = race_file(t->r.cache, path, VFS_O_READ | VFS_O_WRITE);
    CHECK(buf != NULL);
    for (uint32_t seq = 2; race_go_on(t->end_ms, enough(t)); seq++) {
        unsigned b = race_random(&rnd) % BLOCKS;
        race_fill(buf, BLOCK, file, b, seq);
        race_write(f, buf, BLOCK, (apr_off_t)b * BLOCK);
        t->last[file][b] = seq;
        if (seq % 4 == 0) { /* what was written is there to be read, faults or not */
            race_read(f, buf, BLOCK, (apr_off_t)b * BLOCK);
            CHECK(race_seq(buf, BLOCK, file, b, "just written") == seq);
        }
        if (seq % 16 == 0 && vfs_sync(f, NULL, VFS_SYNC_DATA)) atomic_fetch_add(&t->told, 1);
        if (seq % 8 == 0) race_sleep_us(300);
    }
    /* a sync that succeeds leaves nothing that is not durable */
    vfs_fault_clear(t->r.fault);
    atomic_store(&t->over, 1);
    free(buf);
    (void)vfs_close(f, NULL); /* may tell of a flush that failed before */
}

static void bring_faults(faults_t *t)
{
    static const vfs_fault_e kinds[] = {VFS_FAULT_ERROR, VFS_FAULT_TORN_WRITE,
                                        VFS_FAULT_LOST_REPLY};
    uint32_t rnd = 99;
    cachefs_stats_t stats = {.size = sizeof(stats)};
    while (!atomic_load(&t->over)) {
        vfs_fault_t rule = {.what = kinds[race_random(&rnd) % 3],
                            .probability = 0.5,
                            .bytes = race_random(&rnd) % BLOCK};
        VFS_FAULT_OP(rule, VFS_OPID_write_at);
        if (rule.what == VFS_FAULT_ERROR) {
            VFS_FAULT_OP(rule, VFS_OPID_fstat);
            VFS_FAULT_OP(rule, VFS_OPID_futimens);
            VFS_FAULT_OP(rule, VFS_OPID_sync);
        }
        CHECK_OK(vfs_fault_add(t->r.fault, &rule));
        race_sleep_us(20000);
        atomic_fetch_add(&t->injected, (unsigned)vfs_fault_injected(t->r.fault, NULL));
        vfs_fault_clear(t->r.fault);
        CHECK_OK(cachefs_stats(t->r.cache, &stats));
        atomic_store(&t->flush_errors, (unsigned)stats.flush_errors);
        race_sleep_us(race_random(&rnd) % 10000);
    }
}

static void fault_thread(void *baton, unsigned me)
{
    if (me < FILES)
        fault_write(baton, me);
    else
        bring_faults(baton);
}

static void no_byte_is_lost(const char *keys)
{
    faults_t t = {.end_ms = 0};
    char path[16], *buf = malloc(BLOCK);
    cachefs_stats_t stats = {.size = sizeof(stats)};
    CHECK(buf != NULL);
    race_open(&t.r, NULL, 0);
    for (unsigned i = 0; i < FILES; i++) {
        path_of(path, i);
        race_make(t.r.mem, path, i, BLOCKS, BLOCK, 1);
    }
    race_cache(&t.r, keys);
    t.end_ms = race_now_ms() + 2500;
    race_run(FILES + 1, fault_thread, &t);
    vfs_fault_clear(t.r.fault);
    CHECK_OK(cachefs_flush(t.r.cache, NULL, NULL, 60000000));
    CHECK_OK(cachefs_stats(t.r.cache, &stats));
    CHECK(stats.dirty_bytes == 0 && stats.flush_errors > 0);
    CHECK(stats.conflicts == 0); /* nobody else wrote */
    for (unsigned i = 0; i < FILES; i++) {
        path_of(path, i);
        vfs_file_t *f = race_file(t.r.mem, path, VFS_O_READ);
        for (unsigned b = 0; b < BLOCKS; b++) {
            race_read(f, buf, BLOCK, (apr_off_t)b * BLOCK);
            CHECK(race_seq(buf, BLOCK, i, b, "below") == (t.last[i][b] ? t.last[i][b] : 1));
        }
        CHECK_OK(vfs_close(f, NULL));
    }
    free(buf);
    race_close(&t.r);
}

int main(void)
{
    race_begin();
    no_byte_is_lost("mode=back,ram=8m,shards=4,flush_interval=5ms,retry_min=2ms,retry_max=20ms");
    no_byte_is_lost("mode=back,ram=4m,shards=4,flush_interval=1ms,retry_min=1ms,retry_max=5ms,"
                    "attr_ttl=0,block_size=16k,dirty_max=2m");
    return 0;
}
