/*
 * names.c - stat and open + read + close of a path that the cache knows.
 * Floor 4, private to bench/.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/bench.h"

#define DEEP "/some/dirs/above/the/file/of/forty/bytes" /* 40 bytes */

typedef struct name_t {
    _Alignas(64) unsigned char buf[8192]; /* lines of the processor, as buffers of I/O are */
    vfs_t *fs;
    const char *path;
    size_t want;
    char system[700];
} name_t;

static void stat_ours(void *baton, uint64_t n)
{
    name_t *c = baton;
    vfs_attr_t attr;
    for (uint64_t i = 0; i < n; i++) {
        apr_status_t st = vfs_stat(c->fs, NULL, c->path, &attr);
        if (st) bench_die(__FILE__, __LINE__, "vfs_stat", st);
        bench_use(&attr);
    }
}

/* FNV-1a of 32 bits: what a path costs at the least that is hashed by it. */
static void hash_alone(void *baton, uint64_t n)
{
    name_t *c = baton;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t hash = 2166136261u;
        for (const unsigned char *p = (const unsigned char *)c->path; *p; p++)
            hash = (hash ^ *p) * 16777619u;
        __asm__ volatile("" : : "r"(hash) : "memory");
    }
}

static void stat_system(void *baton, uint64_t n)
{
    name_t *c = baton;
    struct stat st;
    for (uint64_t i = 0; i < n; i++) {
        if (stat(c->system, &st)) bench_die(__FILE__, __LINE__, "stat", 0);
        bench_use(&st);
    }
}

static void read_ours(void *baton, uint64_t n)
{
    name_t *c = baton;
    for (uint64_t i = 0; i < n; i++) {
        vfs_file_t *f;
        size_t got = 0;
        apr_status_t st = vfs_open(&f, c->fs, NULL, c->path, VFS_O_READ, 0, NULL, NULL);
        if (st) bench_die(__FILE__, __LINE__, "vfs_open", st);
        st = vfs_read_at(f, NULL, c->buf, 4096, 0, &got);
        if (st || got != c->want) bench_die(__FILE__, __LINE__, "a short read", st);
        st = vfs_close(f, NULL);
        if (st) bench_die(__FILE__, __LINE__, "vfs_close", st);
    }
}

static void read_system(void *baton, uint64_t n)
{
    name_t *c = baton;
    for (uint64_t i = 0; i < n; i++) {
        int fd = open(c->system, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || pread(fd, c->buf, 4096, 0) != (ssize_t)c->want || close(fd))
            bench_die(__FILE__, __LINE__, "open, pread, close", 0);
    }
}

/* The same path below bench_opt.dir, for the system calls. */
static void make_deep(name_t *c)
{
    (void)snprintf(c->system, sizeof(c->system), "%s%s", bench_opt.dir, c->path);
    char *from = c->system + strlen(bench_opt.dir) + 1;
    for (char *slash = strchr(from, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(c->system, 0700); /* it may be there */
        *slash = '/';
    }
    (void)close(bench_scratch(c->path + 1, c->want, 0)); /* a scratch file */
}

static void stats_and_opens(bench_world_t *w)
{
    name_t c = {.fs = w->cache, .path = DEEP, .want = 4096};
    BENCH_CHECK(strlen(c.path) == 40);
    BENCH_OK(vfs_mkdir_all(w->lower, NULL, "/some/dirs/above/the/file/of/forty", 0755));
    bench_file(w->lower, c.path, 4096, 0);
    make_deep(&c);
    bench_run(&(bench_case_t){.id = "stat/hit/40B/t1",
                              .ours = stat_ours,
                              .baton = &c,
                              .peer = "FNV-1a of the path",
                              .theirs = hash_alone,
                              .peer_baton = &c,
                              .goal_kind = GOAL_AT_MOST,
                              .goal = 2.5});
    if (!bench_opt.count)
        bench_run(&(bench_case_t){.id = "stat/hit/40B/t1",
                                  .ours = stat_ours,
                                  .baton = &c,
                                  .peer = "stat(2) ext4",
                                  .theirs = stat_system,
                                  .peer_baton = &c,
                                  .goal_kind = GOAL_FASTER,
                                  .goal = 8});
    bench_run(&(bench_case_t){.id = "open_read_close/hit/4KiB/t1",
                              .ours = read_ours,
                              .baton = &c,
                              .peer = "open+pread+close ext4",
                              .theirs = read_system,
                              .peer_baton = &c,
                              .goal_kind = GOAL_FASTER,
                              .goal = 6});
}

/* The figures of the Go library absfs/cachefs v1.0.0 are constants: they were measured with Go 1.19
 * on another machine of this kind, open + read + close of a cached file over backing stores in
 * memory. Nothing here runs it; COMPARISON.md quotes it likewise. */
static void small_files(bench_world_t *w)
{
    static const struct {
        const char *id, *path, *peer;
        size_t size;
        double go_ns, goal;
    } sizes[] = {
        {"open_read_close/hit/19B/t1", "/f19", "absfs/cachefs 1.0.0, constant", 19, 148, 2},
        {"open_read_close/hit/1KiB/t1", "/f1k", "absfs/cachefs 1.0.0, constant", 1024, 501, 5}};
    for (size_t i = 0; i < 2; i++) {
        name_t c = {.fs = w->cache, .path = sizes[i].path, .want = sizes[i].size};
        bench_file(w->lower, c.path, c.want, 0);
        make_deep(&c);
        double ns = bench_run(&(bench_case_t){.id = sizes[i].id,
                                              .ours = read_ours,
                                              .baton = &c,
                                              .peer = "open+pread+close ext4",
                                              .theirs = read_system,
                                              .peer_baton = &c});
        bench_constant(sizes[i].id, ns, sizes[i].peer, sizes[i].go_ns, GOAL_FASTER, sizes[i].goal);
    }
}

void bench_names(void)
{
    const char *keys[] = {"ram", "64m", NULL};
    bench_world_t w;
    cachefs_stats_t before, after;
    if (!bench_wanted("stat") && !bench_wanted("open_read_close")) return;
    bench_world_mem(&w, keys);
    stats_and_opens(&w);
    small_files(&w);
    bench_stats(&w, &before);
    name_t c = {.fs = w.cache, .path = "/f1k", .want = 1024};
    read_ours(&c, 10);
    stat_ours(&c, 10);
    bench_stats(&w, &after);
    BENCH_CHECK(after.backend_calls <=
                before.backend_calls + 1); /* asked for the first time, at most */
    bench_world_end(&w);
}
