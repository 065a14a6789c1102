/*
 * misses.c - reads that the cache cannot answer: over a disk, and behind a round trip.
 * Floor 4, private to bench/.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"

#define SIZE (64u << 10)
#define RTT_US 1000u

typedef struct missing_t {
    vfs_file_t *file, *bare;
    int fd;
    unsigned char *buf;
    uint64_t pieces, ours, theirs;
} missing_t;

/* Steps that reach every piece (a prime) and never go straight on. */
static apr_off_t next(uint64_t *at, uint64_t pieces)
{
    *at = (*at + 7919) % pieces;
    return (apr_off_t)(*at * SIZE);
}

static void read_file(vfs_file_t *file, missing_t *m, uint64_t *at)
{
    size_t got;
    apr_status_t st = vfs_read_at(file, NULL, m->buf, SIZE, next(at, m->pieces), &got);
    if (st || got != SIZE) bench_die(__FILE__, __LINE__, "a short read", st);
}

static void read_ours(void *baton, uint64_t n)
{
    missing_t *m = baton;
    for (uint64_t i = 0; i < n; i++)
        read_file(m->file, m, &m->ours);
}

static void read_bare(void *baton, uint64_t n)
{
    missing_t *m = baton;
    for (uint64_t i = 0; i < n; i++)
        read_file(m->bare, m, &m->theirs);
}

static void read_system(void *baton, uint64_t n)
{
    missing_t *m = baton;
    for (uint64_t i = 0; i < n; i++)
        if (pread(m->fd, m->buf, SIZE, next(&m->theirs, m->pieces)) != (ssize_t)SIZE)
            bench_die(__FILE__, __LINE__, "a short pread", 0);
}

/* Nothing was a hit: the file is several times the cache. */
static void premise(bench_world_t *w)
{
    cachefs_stats_t s;
    bench_stats(w, &s);
    BENCH_CHECK(s.misses > 0 && s.hits * 100 <= s.misses);
}

static void over_disk(void)
{
    const char *keys[] = {"ram", "32m", NULL};
    bench_world_t w;
    missing_t m = {.pieces = 4096, .buf = bench_memory(1u << 20)}; /* 256 MiB */
    m.fd = bench_scratch("cold", m.pieces * SIZE, 0);
    bench_world_local(&w, keys);
    m.file = bench_open(w.cache, "/cold", VFS_O_READ);
    m.bare = bench_open(w.lower, "/cold", VFS_O_READ);
    read_ours(&m, 2048); /* fill the cache: from here on something must go each time */
    bench_run(&(bench_case_t){.id = "read/miss_local/64KiB/t1",
                              .ours = read_ours,
                              .baton = &m,
                              .peer = "pread ext4",
                              .theirs = read_system,
                              .peer_baton = &m,
                              .goal_kind = GOAL_AT_MOST,
                              .goal = 1.3});
    premise(&w);
    BENCH_OK(vfs_close(m.file, NULL));
    BENCH_OK(vfs_close(m.bare, NULL));
    bench_world_end(&w);
    (void)close(m.fd); /* a scratch file */
}

static void over_remote(void)
{
    const char *keys[] = {"ram", "32m", "readahead", "0", NULL}; /* nothing but the miss */
    bench_world_t w;
    missing_t m = {.pieces = 4096, .buf = bench_memory(1u << 20)};
    bench_world_delay(&w, RTT_US, keys);
    bench_file(w.lower, "/cold", m.pieces * SIZE, 1);
    m.file = bench_open(w.cache, "/cold", VFS_O_READ);
    m.bare = bench_open(w.delay, "/cold", VFS_O_READ);
    bench_run(&(bench_case_t){.id = "read/miss_1ms/64KiB/t1",
                              .ours = read_ours,
                              .baton = &m,
                              .peer = "the remote alone",
                              .theirs = read_bare,
                              .peer_baton = &m,
                              .goal_kind = GOAL_AT_MOST,
                              .goal = 1.01,
                              .waits = 1,
                              .sample_ops = 20});
    premise(&w);
    BENCH_OK(vfs_close(m.file, NULL));
    BENCH_OK(vfs_close(m.bare, NULL));
    bench_world_end(&w);
}

void bench_misses(void)
{
    if (bench_wanted("read/miss_local")) over_disk();
    if (bench_wanted("read/miss_1ms")) over_remote();
}
