/*
 * test_cache_limits.c - the limits hold while several threads come for their last piece: blocks,
 * names, what is pinned. A plain program, for ThreadSanitizer.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/race/support_race.h"

#define FILES 60u
#define BLOCKS 4u
#define BLOCK (16u << 10)
#define BLOCKS_MAX 40u
#define NAMES_MAX 32u
#define PINNED_MAX (256u << 10)
#define WORKERS 4u

typedef struct limits_t {
    race_t r;
    int64_t end_ms;
    atomic_int over;
    atomic_uint full; /* how often the limit of what is pinned was met */
} limits_t;

static const char *path_of(char *buf, size_t size, unsigned file)
{
    (void)snprintf(buf, size, "/f%u", file);
    return buf;
}

/* Borrow a few blocks of some file, for as long as that of another is read. */
static cachefs_ref_t *borrow(limits_t *t, vfs_file_t *f)
{
    cachefs_ref_t *ref = NULL;
    vfs_iovec_t iov[2 * BLOCKS];
    size_t count = 2 * BLOCKS, got = 0;
    apr_status_t st = cachefs_read_ref(&ref, f, NULL, BLOCKS * BLOCK, 0, iov, &count, &got);
    CHECK(st == APR_SUCCESS || st == VFS_ELIMIT);
    if (st) atomic_fetch_add(&t->full, 1);
    return ref;
}

static void work(limits_t *t, unsigned me)
{
    char *buf = malloc(BLOCK), name[32];
    cachefs_ref_t *ref = NULL;
    uint32_t rnd = me + 7;
    CHECK(buf != NULL);
    while (!atomic_load(&t->over)) {
        unsigned i = race_random(&rnd) % FILES, b = race_random(&rnd) % BLOCKS;
        vfs_file_t *f = race_file(t->r.cache, path_of(name, sizeof(name), i), VFS_O_READ);
        race_read(f, buf, BLOCK, (apr_off_t)b * BLOCK);
        (void)race_seq(buf, BLOCK, i, b, name);
        if (i % 4 == 0) {
            apr_status_t st = cachefs_pin(t->r.cache, name, race_random(&rnd) % 2 == 0);
            CHECK(st == APR_SUCCESS || st == APR_NOTFOUND || st == VFS_ELIMIT);
        }
        cachefs_ref_release(ref);
        ref = borrow(t, f);
        CHECK_OK(vfs_close(f, NULL));
    }
    cachefs_ref_release(ref);
    free(buf);
}

static void look(limits_t *t)
{
    cachefs_stats_t s = {.size = sizeof(s)};
    uint64_t looks = 0;
    while (race_go_on(t->end_ms, looks > 1000 && atomic_load(&t->full) > 10)) {
        CHECK_OK(cachefs_stats(t->r.cache, &s));
        CHECK(s.blocks <= BLOCKS_MAX);
        CHECK(s.names <= NAMES_MAX);
        CHECK(s.pinned_bytes <= PINNED_MAX);
        CHECK(s.ram_used <= s.ram_max);
        looks++;
    }
    atomic_store(&t->over, 1);
}

static void limits_thread(void *baton, unsigned me)
{
    if (me == WORKERS)
        look(baton);
    else
        work(baton, me);
}

int main(void)
{
    limits_t t = {.end_ms = 0};
    cachefs_stats_t s = {.size = sizeof(s)};
    char name[32], keys[200];
    race_begin();
    race_open(&t.r, NULL, 0);
    for (unsigned i = 0; i < FILES; i++)
        race_make(t.r.mem, path_of(name, sizeof(name), i), i, BLOCKS, BLOCK, 1);
    (void)snprintf(keys, sizeof(keys),
                   "ram=4m,shards=4,block_size=16k,entries_max=%u,metadata_entries_max=%u,"
                   "pin_bytes_max=%u",
                   BLOCKS_MAX, NAMES_MAX, PINNED_MAX);
    race_cache(&t.r, keys);
    t.end_ms = race_now_ms() + 2000;
    race_run(WORKERS + 1, limits_thread, &t);
    for (unsigned i = 0; i < FILES; i += 4)
        (void)cachefs_pin(t.r.cache, path_of(name, sizeof(name), i), 0); /* if it is cached */
    CHECK_OK(cachefs_stats(t.r.cache, &s));
    CHECK(s.pinned_bytes == 0);
    race_end_cache(&t.r);
    race_close(&t.r);
    return 0;
}
