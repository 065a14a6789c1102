/*
 * batches.c - many paths in one call against a loop of calls; a prefix among few names and many.
 * Floor 4, private to bench/.
 */
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

#define PATHS_MAX 1000u

typedef struct batch_t {
    vfs_t *cache;
    const char *paths[PATHS_MAX];
    cachefs_entry_t entries[PATHS_MAX];
    size_t count;
} batch_t;

/* The cache knows all of the names again. */
static void know_names(void *baton, uint64_t n)
{
    batch_t *b = baton;
    (void)n; /* once is enough */
    for (size_t i = 0; i < b->count; i++)
        BENCH_OK(vfs_stat(b->cache, NULL, b->paths[i], NULL));
}

static void invalidate_batch(void *baton, uint64_t n)
{
    batch_t *b = baton;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t hit;
        BENCH_OK(cachefs_invalidate_batch(b->cache, b->paths, b->count, &hit, NULL));
        BENCH_CHECK(hit >= b->count);
    }
}

static void invalidate_loop(void *baton, uint64_t n)
{
    batch_t *b = baton;
    for (uint64_t i = 0; i < n; i++)
        for (size_t k = 0; k < b->count; k++) {
            uint64_t hit;
            BENCH_OK(cachefs_invalidate(b->cache, b->paths[k], &hit, NULL));
            BENCH_CHECK(hit >= 1);
        }
}

static void entries_batch(void *baton, uint64_t n)
{
    batch_t *b = baton;
    for (uint64_t i = 0; i < n; i++) {
        BENCH_OK(cachefs_entries(b->cache, b->paths, b->count, b->entries));
        BENCH_CHECK(!b->entries[b->count - 1].status);
    }
}

static void entries_loop(void *baton, uint64_t n)
{
    batch_t *b = baton;
    for (uint64_t i = 0; i < n; i++)
        for (size_t k = 0; k < b->count; k++)
            BENCH_OK(cachefs_entry(b->cache, b->paths[k], &b->entries[k]));
}

static void prefetch_batch(void *baton, uint64_t n)
{
    batch_t *b = baton;
    for (uint64_t i = 0; i < n; i++)
        BENCH_OK(cachefs_prefetch_batch(b->cache, NULL, b->paths, b->count, NULL));
}

static void prefetch_loop(void *baton, uint64_t n)
{
    batch_t *b = baton;
    for (uint64_t i = 0; i < n; i++)
        for (size_t k = 0; k < b->count; k++)
            BENCH_OK(cachefs_prefetch_path(b->cache, NULL, b->paths[k], NULL, NULL));
}

static void flush_batch(void *baton, uint64_t n)
{
    batch_t *b = baton;
    for (uint64_t i = 0; i < n; i++)
        BENCH_OK(cachefs_flush_batch(b->cache, NULL, b->paths, b->count, NULL));
}

static void flush_loop(void *baton, uint64_t n)
{
    batch_t *b = baton;
    for (uint64_t i = 0; i < n; i++)
        for (size_t k = 0; k < b->count; k++)
            BENCH_OK(cachefs_flush(b->cache, NULL, b->paths[k], 0));
}

/* Each of the files has a dirty byte. */
static void make_dirty(void *baton, uint64_t n)
{
    batch_t *b = baton;
    cachefs_stats_t s = {.size = sizeof(s)};
    (void)n; /* once is enough */
    for (size_t i = 0; i < b->count; i++) {
        size_t done;
        vfs_file_t *f = bench_open(b->cache, b->paths[i], VFS_O_WRITE);
        BENCH_OK(vfs_write_at(f, NULL, "x", 1, 0, &done, NULL));
        BENCH_OK(vfs_close(f, NULL));
    }
    BENCH_OK(cachefs_stats(b->cache, &s));
    BENCH_CHECK(s.dirty_files == b->count);
}

static void make_names(bench_world_t *w, batch_t *b)
{
    BENCH_OK(vfs_mkdir_all(w->lower, NULL, "/a/directory", 0755));
    for (size_t i = 0; i < PATHS_MAX; i++) {
        char *path = apr_palloc(w->pool, 64);
        (void)snprintf(path, 64, "/a/directory/name-of-a-file-%08zu", i);
        bench_file(w->lower, path, 1, 0);
        b->paths[i] = path;
    }
}

/* The batch beside a loop that calls for one path at a time. */
static void beside_loop(batch_t *b, bench_case_t one)
{
    one.baton = one.peer_baton = b;
    one.peer = "the loop";
    one.goal_kind = GOAL_FASTER;
    bench_run(&one);
}

static void batches(void)
{
    static const struct {
        size_t count;
        const char *invalidate, *stats, *prefetch;
        double goal;
    } sizes[] = {
        {100, "batch/invalidate/100/t1", "batch/stats/100/t1", "batch/prefetch/100/t1", 2},
        {1000, "batch/invalidate/1000/t1", "batch/stats/1000/t1", "batch/prefetch/1000/t1", 3}};
    const char *keys[] = {"ram", "64m", NULL};
    bench_world_t w;
    batch_t *b = calloc(1, sizeof(*b));
    BENCH_CHECK(b != NULL);
    bench_world_mem(&w, keys);
    b->cache = w.cache;
    make_names(&w, b);
    for (size_t i = 0; i < 2; i++) {
        b->count = sizes[i].count;
        beside_loop(b, (bench_case_t){.id = sizes[i].invalidate,
                                      .ours = invalidate_batch,
                                      .theirs = invalidate_loop,
                                      .goal = sizes[i].goal,
                                      .prepare = know_names});
        know_names(b, 1);
        beside_loop(b, (bench_case_t){.id = sizes[i].stats,
                                      .ours = entries_batch,
                                      .theirs = entries_loop,
                                      .goal = sizes[i].goal});
        prefetch_loop(b, 1);
        beside_loop(b, (bench_case_t){.id = sizes[i].prefetch,
                                      .ours = prefetch_batch,
                                      .theirs = prefetch_loop,
                                      .goal = 2});
    }
    bench_world_end(&w);
    free(b);
}

static void flushes(void)
{
    static const struct {
        size_t count;
        uint64_t rtt_us;
        const char *id;
        double goal;
    } sizes[] = {{100, 0, "batch/flush/100/t1", 1},
                 {1000, 0, "batch/flush/1000/t1", 1},
                 {32, 1000, "batch/flush_1ms/32/t1", 3}};
    const char *keys[] = {
        "ram", "64m",       "mode", "back", "flush_on_close", "off", "flush_interval",
        "1h",  "dirty_age", "2h",   NULL};
    batch_t *b = calloc(1, sizeof(*b));
    BENCH_CHECK(b != NULL);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        bench_world_t w;
        if (!bench_wanted(sizes[i].id)) continue;
        if (sizes[i].rtt_us)
            bench_world_delay(&w, sizes[i].rtt_us, keys);
        else
            bench_world_mem(&w, keys);
        b->cache = w.cache;
        make_names(&w, b);
        b->count = sizes[i].count;
        beside_loop(b, (bench_case_t){.id = sizes[i].id,
                                      .ours = flush_batch,
                                      .theirs = flush_loop,
                                      .goal = sizes[i].goal,
                                      .prepare = make_dirty,
                                      .sample_ops = sizes[i].rtt_us ? 1 : 0});
        bench_world_end(&w);
    }
    free(b);
}

/* ---- a prefix */

#define PREFIX_NAMES 10u
#define PER_DIR 1000u

typedef struct forest_t {
    bench_world_t w;
    uint64_t names;
} forest_t;

static void know_prefix(void *baton, uint64_t n)
{
    forest_t *f = baton;
    (void)n; /* once is enough */
    for (unsigned i = 0; i < PREFIX_NAMES; i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "/ten/%u", i);
        BENCH_OK(vfs_stat(f->w.cache, NULL, path, NULL));
    }
}

static void invalidate_prefix(void *baton, uint64_t n)
{
    forest_t *f = baton;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t hit;
        BENCH_OK(cachefs_invalidate_prefix(f->w.cache, "/ten", &hit, NULL));
        BENCH_CHECK(hit >= PREFIX_NAMES);
    }
}

/* Both are made ready, since one of them runs. */
static void know_both(void *baton, uint64_t n)
{
    forest_t *f = baton;
    know_prefix(&f[0], n);
    know_prefix(&f[1], n);
}

static void grow(forest_t *f, uint64_t names)
{
    char ram[32];
    (void)snprintf(ram, sizeof(ram), "%llum", (unsigned long long)(names / 350 + 64));
    const char *keys[] = {"ram", ram, NULL};
    bench_world_mem(&f->w, keys);
    f->names = names;
    BENCH_OK(vfs_mkdir(f->w.lower, NULL, "/ten", 0755));
    for (uint64_t i = 0; i < names; i++) {
        char path[64];
        if (i % PER_DIR == 0) {
            (void)snprintf(path, sizeof(path), "/dir%llu", (unsigned long long)(i / PER_DIR));
            BENCH_OK(vfs_mkdir(f->w.lower, NULL, path, 0755));
        }
        if (i < PREFIX_NAMES)
            (void)snprintf(path, sizeof(path), "/ten/%u", (unsigned)i);
        else
            (void)snprintf(path, sizeof(path), "/dir%llu/%llu", (unsigned long long)(i / PER_DIR),
                           (unsigned long long)i);
        BENCH_OK(vfs_mknod(f->w.lower, NULL, path, VFS_TYPE_FILE, 0600, 0));
        BENCH_OK(vfs_stat(f->w.cache, NULL, path, NULL));
    }
    cachefs_stats_t s;
    bench_stats(&f->w, &s);
    BENCH_CHECK(s.names >= names);
}

static void prefix(void)
{
    static forest_t f[2]; /* the large one first */
    char id[64];
    (void)snprintf(id, sizeof(id), "invalidate_prefix/10_of_%llu/t1",
                   (unsigned long long)bench_opt.names_max);
    grow(&f[0], bench_opt.names_max);
    grow(&f[1], PER_DIR);
    bench_run(&(bench_case_t){.id = id,
                              .ours = invalidate_prefix,
                              .baton = f,
                              .peer = "10 of 1,000",
                              .theirs = invalidate_prefix,
                              .peer_baton = &f[1],
                              .goal_kind = GOAL_AT_MOST,
                              .goal = 2,
                              .prepare = know_both});
    bench_world_end(&f[0].w);
    bench_world_end(&f[1].w);
}

void bench_batches(void)
{
    if (bench_wanted("batch")) batches();
    if (bench_wanted("batch/flush")) flushes();
    if (bench_wanted("invalidate_prefix") && !bench_opt.count) prefix();
}
