/*
 * compare.c - `cachefs-compare`: the same work through cachefs, through copy-on-read as Go's corfs
 * does it and as a user expects it, and through the backend alone; over memory, over a disk, behind
 * 1 ms and behind 20 ms. Floor 4. scripts/compare.sh makes COMPARISON.md of what it prints.
 *
 * Each layer has a backend and files of its own, and its defaults but for `ram`. In a round the
 * layers take turns at a workload; each line of JSON is the median of the rounds, with the spread
 * of the middle half, and the median of the ratios to the bare backend of the same round.
 */
#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <apr_general.h>

#include "backends/backends.h"
#include "bench/bench.h"

#define ROUNDS_MAX 99u
#define SMALL 1024u
#define LARGE (8u << 20)
#define PIECE (64u << 10)
#define LAYERS 4u
#define BEST_OF 15

static const char *const layer_names[LAYERS] = {"bare", "cachefs", "corfs", "corfs that serves"};
enum { BARE, CACHEFS, CORFS, CORFS_SERVE };

typedef struct backend_kind_t {
    const char *name;
    uint64_t rtt_us;
    int disk;
    unsigned files, ops, pieces; /* small files; operations a round; pieces of the large file */
} backend_kind_t;
static const backend_kind_t backends[] = {{"memory", 0, 0, 400, 2000, 128},
                                          {"ext4", 0, 1, 400, 2000, 128},
                                          {"memory behind 1 ms", 1000, 0, 100, 60, 32},
                                          {"memory behind 20 ms", 20000, 0, 6, 10, 32}};

typedef struct layers_t {
    apr_pool_t *pool;
    vfs_t *lower, *delay, *copy, *top;
} layers_t;

typedef struct work_t {
    const backend_kind_t *kind;
    layers_t *s;
    unsigned char *buf;
    uint64_t state;
    const uint32_t *zipf;
} work_t;

/* ---- stacks */

static char scratch[512];

static vfs_t *below(layers_t *s)
{
    return s->delay ? s->delay : s->lower;
}

static void make_lower(layers_t *s, const backend_kind_t *kind, unsigned layer)
{
    BENCH_OK(apr_pool_create(&s->pool, NULL));
    if (kind->disk) {
        char dir[600];
        (void)snprintf(dir, sizeof(dir), "%s/%u", scratch, layer);
        BENCH_CHECK(!mkdir(dir, 0700) || errno == EEXIST);
        BENCH_OK(vfs_local_create(&s->lower, dir, s->pool));
    } else {
        BENCH_OK(vfs_mem_create(&s->lower, 0, s->pool));
    }
    for (unsigned i = 0; i < kind->files; i++) {
        char path[32];
        (void)snprintf(path, sizeof(path), "/f%04u", i);
        bench_file(s->lower, path, SMALL, 0);
    }
    bench_file(s->lower, "/large", LARGE, 0);
    vfs_delay_t how = {.rtt_us = kind->rtt_us};
    if (kind->rtt_us) BENCH_OK(vfs_delay_create(&s->delay, s->lower, &how, s->pool));
}

static void put_layer(layers_t *s, unsigned layer, const char *ram)
{
    char err[200] = "";
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    s->top = below(s);
    s->copy = NULL;
    if (layer == BARE) return;
    if (layer == CACHEFS) {
        BENCH_OK(cachefs_config_set(&config, "ram", ram, err, sizeof(err), s->pool));
        BENCH_OK(cachefs_config_set(&config, "attr_ttl", "60s", err, sizeof(err), s->pool));
        BENCH_OK(cachefs_create(&s->top, below(s), &config, err, sizeof(err), s->pool));
        return;
    }
    BENCH_OK(vfs_mem_create(&s->copy, 0, s->pool));
    BENCH_OK(vfs_corfs_create(&s->top, below(s), s->copy,
                              layer == CORFS ? VFS_CORFS_EXACT : VFS_CORFS_SERVE, s->pool));
}

static void take_layer(layers_t *s)
{
    if (s->top != below(s)) BENCH_OK(vfs_destroy(s->top));
    if (s->copy) BENCH_OK(vfs_destroy(s->copy));
}

static void end_lower(layers_t *s)
{
    if (s->delay) BENCH_OK(vfs_destroy(s->delay));
    BENCH_OK(vfs_destroy(s->lower));
    apr_pool_destroy(s->pool);
}

/* ---- work */

static void read_small(work_t *w, unsigned char *buf, unsigned file)
{
    char path[32];
    size_t got = 0;
    (void)snprintf(path, sizeof(path), "/f%04u", file);
    vfs_file_t *f = bench_open(w->s->top, path, VFS_O_READ);
    BENCH_OK(vfs_read_at(f, NULL, buf, PIECE, 0, &got));
    BENCH_CHECK(got == SMALL);
    BENCH_OK(vfs_close(f, NULL));
}

static void write_small(work_t *w, unsigned file)
{
    char path[32];
    size_t done = 0;
    (void)snprintf(path, sizeof(path), "/f%04u", file);
    vfs_file_t *f = bench_open(w->s->top, path, VFS_O_WRITE);
    BENCH_OK(vfs_write_at(f, NULL, w->buf, SMALL, 0, &done, NULL));
    BENCH_OK(vfs_close(f, NULL));
}

static void one_file(void *baton, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        read_small(baton, ((work_t *)baton)->buf, 0);
}

static void each_file(void *baton, uint64_t n)
{
    work_t *w = baton;
    for (uint64_t i = 0; i < n; i++)
        read_small(w, w->buf, (unsigned)(i % w->kind->files));
}

static void any_file(void *baton, uint64_t n)
{
    work_t *w = baton;
    for (uint64_t i = 0; i < n; i++)
        read_small(w, w->buf, (unsigned)(bench_random(&w->state) % w->kind->files));
}

static void zipf_file(void *baton, uint64_t n)
{
    work_t *w = baton;
    for (uint64_t i = 0; i < n; i++)
        read_small(w, w->buf, w->zipf[bench_random(&w->state) % 4096]);
}

static void writes(void *baton, uint64_t n)
{
    work_t *w = baton;
    for (uint64_t i = 0; i < n; i++)
        write_small(w, (unsigned)(i % w->kind->files));
}

static void mixed(void *baton, uint64_t n)
{
    work_t *w = baton;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t r = bench_random(&w->state);
        if (r % 10 == 0)
            write_small(w, (unsigned)(r / 10 % w->kind->files));
        else
            read_small(w, w->buf, (unsigned)(r / 10 % w->kind->files));
    }
}

static void pieces(void *baton, uint64_t n)
{
    work_t *w = baton;
    vfs_file_t *f = bench_open(w->s->top, "/large", VFS_O_READ);
    for (uint64_t i = 0; i < n; i++) {
        size_t got;
        apr_off_t off = (apr_off_t)(i * PIECE % LARGE);
        BENCH_OK(vfs_read_at(f, NULL, w->buf, PIECE, off, &got));
        BENCH_CHECK(got == PIECE);
    }
    BENCH_OK(vfs_close(f, NULL));
}

static void *other(void *baton)
{
    work_t w = *(work_t *)baton;
    unsigned char *buf = bench_memory(PIECE);
    bench_pin(1);
    for (unsigned i = 0; i < w.kind->ops / 2; i++)
        read_small(&w, buf, i % 10);
    BENCH_CHECK(!munmap(buf, PIECE));
    return NULL;
}

static void two_threads(void *baton, uint64_t n)
{
    work_t *w = baton;
    pthread_t thread;
    BENCH_CHECK(!pthread_create(&thread, NULL, other, w));
    for (uint64_t i = 0; i < n / 2; i++)
        read_small(w, w->buf, (unsigned)(i % 10));
    BENCH_CHECK(!pthread_join(thread, NULL));
}

static const struct {
    const char *name, *ram;
    bench_fn fn;
    int cold;  /* a new layer each round */
    int large; /* operations are pieces of the large file */
    int waits; /* wall time counts, over memory too */
} work[] = {{"read hit", "64m", one_file, 0, 0, 0},
            {"read miss", "64m", each_file, 1, 0, 0},
            {"write-through", "64m", writes, 0, 0, 0},
            {"sequential over small files", "64m", each_file, 0, 0, 0},
            {"random over small files", "64m", any_file, 0, 0, 0},
            {"eviction: a set larger than the cache", "1m", pieces, 0, 1, 0},
            {"concurrent, two threads", "64m", two_threads, 0, 0, 1},
            {"zipf 0.99 over small files", "64m", zipf_file, 0, 0, 0},
            {"scan of a large file, cold", "64m", pieces, 1, 1, 0},
            {"large file again", "64m", pieces, 0, 1, 0},
            {"mixed, one write in ten", "64m", mixed, 0, 0, 0}};

/* ---- rounds */

static double timed_once(const backend_kind_t *kind, size_t which, work_t *w, uint64_t n)
{
    uint64_t cpu = bench_cpu_ns(), wall = bench_now_ns();
    work[which].fn(w, n);
    wall = bench_now_ns() - wall;
    cpu = bench_cpu_ns() - cpu;
    int by_cpu = !kind->rtt_us && !work[which].waits; /* neighbours on the machine do not count */
    return (double)(by_cpu ? cpu : wall) / (double)n;
}

/* Two threads need both processors at once: there the best of some runs counts. */
static double timed(const backend_kind_t *kind, size_t which, work_t *w, uint64_t n)
{
    double best = timed_once(kind, which, w, n);
    for (int i = 1; work[which].waits && !kind->rtt_us && i < BEST_OF; i++) {
        double t = timed_once(kind, which, w, n);
        if (t < best) best = t;
    }
    return best;
}

/* A cache that was warm did hit, else its figures would be those of something else. */
static void premise(size_t which, const layers_t *s)
{
    cachefs_stats_t stats = {.size = sizeof(stats)};
    if (work[which].cold || work[which].fn == writes || !strcmp(work[which].ram, "1m")) return;
    BENCH_OK(cachefs_stats(s->top, &stats));
    BENCH_CHECK(stats.hits > stats.misses);
}

static void compare(const backend_kind_t *kind, size_t which, const uint32_t *zipf,
                    unsigned char *buf, unsigned rounds)
{
    static double ns[LAYERS][ROUNDS_MAX], ratio[LAYERS][ROUNDS_MAX];
    layers_t s[LAYERS];
    uint64_t n = work[which].large ? kind->pieces : kind->ops;
    if (work[which].cold && n > kind->files && !work[which].large) n = kind->files;
    memset(s, 0, sizeof(s));
    for (unsigned l = 0; l < LAYERS; l++) {
        make_lower(&s[l], kind, l);
        put_layer(&s[l], l, work[which].ram);
    }
    for (unsigned r = 0; r < rounds + 1; r++) /* the first one warms up */
        for (unsigned l = 0; l < LAYERS; l++) {
            work_t w = {kind, &s[l], buf, r, zipf};
            if (work[which].cold && r) {
                take_layer(&s[l]);
                put_layer(&s[l], l, work[which].ram);
            }
            if (r == 0 && !work[which].cold && !work[which].large) each_file(&w, kind->files);
            double t = timed(kind, which, &w, n);
            if (r) ns[l][r - 1] = t;
        }
    premise(which, &s[CACHEFS]);
    for (unsigned l = 0; l < LAYERS; l++)
        for (unsigned r = 0; r < rounds; r++)
            ratio[l][r] = ns[BARE][r] / ns[l][r];
    for (unsigned l = 0; l < LAYERS; l++) {
        bench_stat_t t = bench_stat(ns[l], rounds), x = bench_stat(ratio[l], rounds);
        printf("{\"backend\":\"%s\",\"work\":\"%s\",\"layer\":\"%s\",\"ns\":%.1f,\"spread\":%.3f,"
               "\"faster\":%.4f,\"faster_spread\":%.3f,\"rounds\":%u}\n",
               kind->name, work[which].name, layer_names[l], t.median, t.spread, x.median, x.spread,
               rounds);
        take_layer(&s[l]);
        end_lower(&s[l]);
    }
    (void)fflush(stdout); /* so that a pipe shows progress */
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    (void)remove(path); /* what stays is in a temporary directory */
    return 0;
}

static void remove_scratch(void)
{
    (void)nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* as in remove_one */
}

int main(int argc, char **argv)
{
    uint64_t state = 7;
    static uint32_t zipf[4096];
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 5;
    if (rounds < 1 || rounds > ROUNDS_MAX || argc > 3) {
        fprintf(stderr, "usage: cachefs-compare [ROUNDS [DIRECTORY-ON-A-DISK]]\n");
        return 2;
    }
    BENCH_OK(apr_initialize());
    (void)snprintf(scratch, sizeof(scratch), "%s/cachefs-compare-XXXXXX",
                   argc > 2 ? argv[2] : "/var/tmp");
    BENCH_CHECK(mkdtemp(scratch) != NULL);
    (void)atexit(remove_scratch); /* if it cannot be noted, files stay */
    bench_pin(0);
    unsigned char *buf = bench_memory(1u << 20);
    for (size_t b = 0; b < sizeof(backends) / sizeof(backends[0]); b++) {
        bench_zipf(zipf, 4096, backends[b].files, &state);
        for (size_t i = 0; i < sizeof(work) / sizeof(work[0]); i++)
            compare(&backends[b], i, zipf, buf, rounds);
    }
    return 0;
}
