/*
 * l2.c - hits of the disk tier: bytes that are in the store and not in memory.
 * Floor 4, private to bench/.
 *
 * Beside what nobody can do without who keeps bytes in a file, believes none of them, and hands out
 * copies: pread, a checksum, memcpy. With the page cache dropped only the disk counts: pread alone.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/backends.h"
#include "bench/bench.h"
#include "vfs/digest.h"

#define SIZE (64u << 10)
#define PIECES 1536u /* 96 MiB: three times the memory, and a few segments */
#define KEPT 384u    /* 24 MiB: what a cache of 32 MiB holds of blocks */
#define SEGMENTS_MAX 64u

typedef struct l2_t {
    vfs_file_t *file;
    int fd;                     /* of the peer */
    int segments[SEGMENTS_MAX]; /* to drop their pages */
    unsigned count;
    unsigned char *buf;
    unsigned char *kept;
    uint64_t ours, theirs, turn, sum;
} l2_t;

/* Steps that reach every piece (a prime) and never go straight on. */
static apr_off_t next(uint64_t *at)
{
    *at = (*at + 709) % PIECES;
    return (apr_off_t)(*at * SIZE);
}

static void read_at(const l2_t *l, apr_off_t off)
{
    size_t got;
    apr_status_t st = vfs_read_at(l->file, NULL, l->buf, SIZE, off, &got);
    if (st || got != SIZE) bench_die(__FILE__, __LINE__, "a short read", st);
}

static void read_ours(void *baton, uint64_t n)
{
    l2_t *l = baton;
    for (uint64_t i = 0; i < n; i++)
        read_at(l, next(&l->ours));
}

static void read_bytes(l2_t *l, unsigned char *to)
{
    if (pread(l->fd, to, SIZE, next(&l->theirs)) != (ssize_t)SIZE)
        bench_die(__FILE__, __LINE__, "a short pread", 0);
}

static void verify_and_copy(l2_t *l, unsigned char *block)
{
    read_bytes(l, block);
    l->sum ^= vfs__hash64(block, SIZE, 0);
    memcpy(l->buf, block, SIZE);
    bench_use(l->buf);
}

/* As by who keeps what he has read, which is what a cache is for. */
static void read_kept(void *baton, uint64_t n)
{
    l2_t *l = baton;
    for (uint64_t i = 0; i < n; i++) {
        verify_and_copy(l, l->kept + l->turn * SIZE);
        l->turn = (l->turn + 1) % KEPT;
    }
}

/* As by who does not: one buffer, which never leaves the cache of the processor. */
static void read_hot(void *baton, uint64_t n)
{
    l2_t *l = baton;
    for (uint64_t i = 0; i < n; i++)
        verify_and_copy(l, l->kept);
}

static void read_bare(void *baton, uint64_t n)
{
    l2_t *l = baton;
    for (uint64_t i = 0; i < n; i++)
        read_bytes(l, l->buf);
}

static void drop_pages(void *baton, uint64_t n)
{
    l2_t *l = baton;
    (void)n;
    for (unsigned i = 0; i < l->count; i++)
        BENCH_CHECK(posix_fadvise(l->segments[i], 0, 0, POSIX_FADV_DONTNEED) == 0);
    BENCH_CHECK(posix_fadvise(l->fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
}

/* Files of the store; their pages can be dropped once they are on the disk. */
static void open_segments(l2_t *l, const char *dir)
{
    char path[1000];
    struct dirent *e;
    DIR *d = opendir(dir);
    BENCH_CHECK(d != NULL);
    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] == '.') continue;
        (void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        BENCH_CHECK(l->count < SEGMENTS_MAX);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        BENCH_CHECK(fd >= 0 && fsync(fd) == 0);
        l->segments[l->count++] = fd;
    }
    (void)closedir(d); /* only read */
    BENCH_CHECK(fsync(l->fd) == 0);
}

/* Read until all of it is in the store: neither what is younger than its clock's step is, nor what
 * comes before there is room in a buffer. */
static void fill(bench_world_t *w, l2_t *l)
{
    cachefs_stats_t s = {0};
    for (int i = 0; s.l2_put_bytes < (uint64_t)PIECES * SIZE; i++) {
        if (l->file) BENCH_OK(vfs_close(l->file, NULL));
        l->file = bench_open(w->cache, "/f", VFS_O_READ);
        for (uint64_t at = 0; at < PIECES; at++) /* so that the log has another order than reads */
            read_at(l, (apr_off_t)(at * SIZE));
        bench_stats(w, &s);
        BENCH_CHECK(i < 100);
    }
    BENCH_OK(cachefs_set(w->cache, "attr_ttl", "24h", NULL, 0));
}

static void cases(bench_world_t *w, l2_t *l, const char *segments)
{
    cachefs_stats_t before, after;
    open_segments(l, segments);
    read_ours(l, PIECES); /* what the filling left in memory is gone then */
    bench_stats(w, &before);
    bench_run(&(bench_case_t){.id = "l2/hit/64KiB/t1",
                              .ours = read_ours,
                              .baton = l,
                              .peer = "pread + checksum + memcpy",
                              .theirs = read_kept,
                              .peer_baton = l,
                              .goal_kind = GOAL_AT_MOST,
                              .goal = 1.15});
    bench_run(&(bench_case_t){.id = "l2/hit_beside_hot/64KiB/t1",
                              .ours = read_ours,
                              .baton = l,
                              .peer = "the same in one buffer",
                              .theirs = read_hot,
                              .peer_baton = l,
                              .goal_kind = GOAL_AT_MOST,
                              .goal = 1.15});
    bench_run(&(bench_case_t){.id = "l2/hit_cold/64KiB/t1",
                              .ours = read_ours,
                              .baton = l,
                              .peer = "pread, cold",
                              .theirs = read_bare,
                              .peer_baton = l,
                              .prepare = drop_pages,
                              .goal_kind = GOAL_AT_MOST,
                              .goal = 1.1});
    bench_stats(w, &after);
    /* all of them came from the store, and nothing of them from below */
    BENCH_CHECK(after.backend_calls == before.backend_calls);
    BENCH_CHECK(after.l2_bad == 0 && after.l2_errors == 0);
    BENCH_CHECK(after.hits == before.hits && after.misses > before.misses);
}

void bench_l2(void)
{
    /* least recently used first: a cycle that is larger than the memory has no hit */
    const char *keys[] = {"ram",      "32m", "block_size", "64k", "readahead",      "0",
                          "attr_ttl", "0",   "policy",     "lru", "store_free_min", "1",
                          NULL};
    char dir[600], segments[640];
    l2_t l = {.buf = bench_memory(SIZE), .kept = bench_memory((size_t)KEPT * SIZE)};
    bench_world_t w;
    if (!bench_wanted("l2/hit")) return;
    BENCH_CHECK(mkdir(bench_scratch_name(dir, sizeof(dir), "store"), 0700) == 0);
    (void)snprintf(segments, sizeof(segments), "%s/l2", dir);
    l.fd = bench_scratch("l2-peer", (uint64_t)PIECES * SIZE, 0);
    bench_world_store(&w, dir, keys);
    bench_file(w.lower, "/f", (uint64_t)PIECES * SIZE, 0);
    fill(&w, &l);
    cases(&w, &l, segments);
    BENCH_OK(vfs_close(l.file, NULL));
    bench_world_end(&w);
    for (unsigned i = 0; i < l.count; i++)
        (void)close(l.segments[i]); /* only read */
    (void)close(l.fd);              /* a scratch file */
}
