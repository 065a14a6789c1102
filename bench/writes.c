/*
 * writes.c - a write-through write over a disk, and a write-back write into memory.
 * Floor 4, private to bench/.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"

#define SIZE 4096u
#define PIECES 1024u

typedef struct writer_t {
    vfs_file_t *file;
    int fd;
    unsigned char *buf, *memory;
    uint64_t ours, theirs;
} writer_t;

static uint64_t next(uint64_t *at)
{
    *at = (*at + 331) % PIECES;
    return *at * SIZE;
}

static void write_ours(void *baton, uint64_t n)
{
    writer_t *w = baton;
    for (uint64_t i = 0; i < n; i++) {
        size_t done;
        apr_status_t st =
            vfs_write_at(w->file, NULL, w->buf, SIZE, (apr_off_t)next(&w->ours), &done, NULL);
        if (st || done != SIZE) bench_die(__FILE__, __LINE__, "a short write", st);
    }
}

static void write_system(void *baton, uint64_t n)
{
    writer_t *w = baton;
    for (uint64_t i = 0; i < n; i++)
        if (pwrite(w->fd, w->buf, SIZE, (off_t)next(&w->theirs)) != (ssize_t)SIZE)
            bench_die(__FILE__, __LINE__, "a short pwrite", 0);
}

static void write_memory(void *baton, uint64_t n)
{
    writer_t *w = baton;
    for (uint64_t i = 0; i < n; i++) {
        memcpy(w->memory + next(&w->theirs), w->buf, SIZE);
        bench_use(w->memory);
    }
}

static void through(writer_t *w)
{
    const char *keys[] = {"ram", "64m", "mode", "through", NULL};
    bench_world_t world;
    (void)close(bench_scratch("ours", PIECES * SIZE, 0)); /* scratch files */
    w->fd = bench_scratch("theirs", PIECES * SIZE, 0);
    bench_world_local(&world, keys);
    w->file = bench_open(world.cache, "/ours", VFS_O_READ | VFS_O_WRITE);
    bench_run(&(bench_case_t){.id = "write/through/4KiB/t1",
                              .ours = write_ours,
                              .baton = w,
                              .peer = "pwrite ext4",
                              .theirs = write_system,
                              .peer_baton = w,
                              .goal_kind = GOAL_AT_MOST,
                              .goal = 1.1});
    cachefs_stats_t s;
    bench_stats(&world, &s);
    BENCH_CHECK(s.writes > 0 && s.backend_writes == s.writes);
    BENCH_OK(vfs_close(w->file, NULL));
    bench_world_end(&world);
    (void)close(w->fd); /* a scratch file */
}

static void back(writer_t *w)
{
    const char *keys[] = {"ram", "64m",       "mode", "back", "dirty_max", "40m", "flush_interval",
                          "1h",  "dirty_age", "2h",   NULL};
    bench_world_t world;
    bench_world_mem(&world, keys);
    bench_file(world.lower, "/ours", PIECES * SIZE, 0);
    w->file = bench_open(world.cache, "/ours", VFS_O_READ | VFS_O_WRITE);
    bench_run(&(bench_case_t){.id = "write/back/4KiB/t1",
                              .ours = write_ours,
                              .baton = w,
                              .peer = "memcpy",
                              .theirs = write_memory,
                              .peer_baton = w,
                              .goal_kind = GOAL_AT_MOST,
                              .goal = 3});
    cachefs_stats_t s;
    bench_stats(&world, &s);
    BENCH_CHECK(s.writes > 0 && s.backend_writes == 0 && s.dirty_bytes > 0);
    BENCH_OK(cachefs_discard(world.cache, "/ours", NULL));
    BENCH_OK(vfs_close(w->file, NULL));
    bench_world_end(&world);
}

void bench_writes(void)
{
    if (!bench_wanted("write")) return;
    writer_t w = {.buf = bench_memory(1u << 20), .memory = bench_memory(PIECES * SIZE)};
    if (bench_wanted("write/through")) through(&w);
    if (bench_wanted("write/back")) back(&w);
}
