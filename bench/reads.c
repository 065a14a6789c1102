/*
 * reads.c - hits: copied and borrowed, hot, at random, one after another; with metrics and without.
 * Floor 4, private to bench/.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"

#define KIB 1024u
#define MIB (1024u * KIB)
#define ORDER (1u << 18) /* offsets in the random order */

/* Where the next operation reads. A hot one reads at 0 always. */
typedef struct place_t {
    uint64_t at, span; /* one after another over [0, span) */
    uint32_t *order;   /* or in this order of pieces */
    uint32_t next;
} place_t;

static inline uint64_t step(place_t *p, size_t len)
{
    if (p->order) return (uint64_t)p->order[p->next++ % ORDER] * len;
    uint64_t at = p->at;
    p->at = at + 2 * len > p->span ? 0 : at + len;
    return at;
}

typedef struct reader_t {
    vfs_file_t *file;
    int fd;
    unsigned char *buf;
    size_t len;
    uint8_t **pages; /* where each `len` bytes of the file lie, for memcpy */
    place_t ours, memory, system;
} reader_t;

static void read_ours(void *baton, uint64_t n)
{
    reader_t *r = baton;
    for (uint64_t i = 0; i < n; i++) {
        size_t got;
        apr_status_t st =
            vfs_read_at(r->file, NULL, r->buf, r->len, (apr_off_t)step(&r->ours, r->len), &got);
        if (st || got != r->len) bench_die(__FILE__, __LINE__, "a short read", st);
    }
}

static void read_memory(void *baton, uint64_t n)
{
    reader_t *r = baton;
    for (uint64_t i = 0; i < n; i++) {
        const uint8_t *from = r->pages[step(&r->memory, r->len) / r->len];
        memcpy(r->buf, from, r->len);
        bench_use(r->buf);
    }
}

static void read_system(void *baton, uint64_t n)
{
    reader_t *r = baton;
    for (uint64_t i = 0; i < n; i++)
        if (pread(r->fd, r->buf, r->len, (off_t)step(&r->system, r->len)) != (ssize_t)r->len)
            bench_die(__FILE__, __LINE__, "a short pread", 0);
}

static void read_borrowed(void *baton, uint64_t n)
{
    reader_t *r = baton;
    for (uint64_t i = 0; i < n; i++) {
        cachefs_ref_t *ref;
        vfs_iovec_t iov[16];
        size_t count = 16, got;
        apr_status_t st = cachefs_read_ref(&ref, r->file, NULL, r->len,
                                           (apr_off_t)step(&r->ours, r->len), iov, &count, &got);
        if (st || got != r->len) bench_die(__FILE__, __LINE__, "a short borrowed read", st);
        bench_use(iov[0].base);
        cachefs_ref_release(ref);
    }
}

/* Bring the file in, and read it whole once more. */
static void warm(vfs_file_t *file, uint64_t size)
{
    unsigned char *buf = malloc(MIB);
    BENCH_CHECK(buf != NULL);
    for (int pass = 0; pass < 2; pass++)
        for (uint64_t off = 0; off < size; off += MIB) {
            size_t got;
            BENCH_OK(vfs_read_at(file, NULL, buf, MIB, (apr_off_t)off, &got));
        }
    free(buf);
}

static void premise(bench_world_t *w, const cachefs_stats_t *before)
{
    cachefs_stats_t after;
    bench_stats(w, &after);
    BENCH_CHECK(after.misses == before->misses);
    BENCH_CHECK(after.backend_calls == before->backend_calls);
}

/* ---- the addresses of the cached bytes: memcpy from there is what a hit cannot beat */

typedef struct held_t {
    cachefs_ref_t **refs;
    size_t count;
} held_t;

static held_t hold_pages(reader_t *r, uint64_t size)
{
    held_t held = {calloc((size_t)(size / r->len), sizeof(*held.refs)), 0};
    r->pages = calloc((size_t)(size / r->len), sizeof(*r->pages));
    BENCH_CHECK(held.refs && r->pages);
    for (uint64_t off = 0; off < size;) { /* a piece is a block: its borrowing counts as a whole */
        vfs_iovec_t iov[1];
        size_t count = 1, got;
        BENCH_OK(cachefs_read_ref(&held.refs[held.count++], r->file, NULL,
                                  (size_t)(size - off < MIB ? size - off : MIB), (apr_off_t)off,
                                  iov, &count, &got));
        BENCH_CHECK(got && got % r->len == 0);
        for (size_t i = 0; i < got; i += r->len)
            r->pages[(off + i) / r->len] = (uint8_t *)iov[0].base + i;
        off += got;
    }
    return held;
}

static void let_pages(reader_t *r, held_t *held)
{
    for (size_t i = 0; i < held->count; i++)
        cachefs_ref_release(held->refs[i]);
    free(held->refs);
    free(r->pages);
    r->pages = NULL;
}

/* ---- hot, with metrics and without */

static void hot(void)
{
    const char *keys[] = {"ram", "64m", NULL};
    bench_world_t w;
    cachefs_stats_t before;
    reader_t r = {.len = 4 * KIB, .buf = bench_memory(MIB)};
    bench_world_mem(&w, keys);
    bench_file(w.lower, "/hot", MIB, 0);
    r.file = bench_open(w.cache, "/hot", VFS_O_READ);
    r.fd = bench_scratch("hot", MIB, 0);
    warm(r.file, MIB);
    bench_stats(&w, &before);
    r.ours.span = r.memory.span = r.system.span = r.len;
    held_t held = hold_pages(&r, r.len);
    bench_run(&(bench_case_t){.id = "read/hit/4KiB/t1",
                              .ours = read_ours,
                              .baton = &r,
                              .peer = "memcpy",
                              .theirs = read_memory,
                              .peer_baton = &r,
                              .goal_kind = GOAL_AT_MOST,
                              .goal = 1.75});
    if (!bench_opt.count)
        bench_run(&(bench_case_t){.id = "read/hit/4KiB/t1",
                                  .ours = read_ours,
                                  .baton = &r,
                                  .peer = "pread ext4",
                                  .theirs = read_system,
                                  .peer_baton = &r,
                                  .goal_kind = GOAL_FASTER,
                                  .goal = 7});
    let_pages(&r, &held);
    static const struct {
        const char *id;
        size_t len;
    } borrowed[] = {{"borrow/hit/4KiB/t1", 4 * KIB}, {"borrow/hit/64KiB/t1", 64 * KIB}};
    for (size_t i = 0; i < 2; i++) {
        r.len = borrowed[i].len;
        bench_run(&(bench_case_t){.id = borrowed[i].id,
                                  .ours = read_borrowed,
                                  .baton = &r,
                                  .goal_kind = GOAL_VALUE_MAX,
                                  .goal = 20});
    }
    premise(&w, &before);
    BENCH_OK(vfs_close(r.file, NULL));
    bench_world_end(&w);
    (void)close(r.fd); /* a scratch file */
}

static void metrics(void)
{
    static const struct {
        const char *id, *off_id;
        size_t len;
        bench_goal_e kind;
    } sizes[] = {{"metrics/on/4KiB/t1", "metrics/off/4KiB/t1", 4 * KIB, GOAL_NONE},
                 {"metrics/on/64KiB/t1", "metrics/off/64KiB/t1", 64 * KIB, GOAL_AT_MOST}};
    const char *on[] = {"ram", "64m", "metrics", "on", NULL};
    const char *off[] = {"ram", "64m", "metrics", "off", NULL};
    bench_world_t w[2];
    reader_t r[2] = {{.buf = bench_memory(MIB)}, {.buf = bench_memory(MIB)}};
    for (int i = 0; i < 2; i++) {
        bench_world_mem(&w[i], i ? off : on);
        bench_file(w[i].lower, "/hot", MIB, 0);
        r[i].file = bench_open(w[i].cache, "/hot", VFS_O_READ);
        warm(r[i].file, MIB);
    }
    for (size_t i = 0; i < 2; i++) {
        for (int k = 0; k < 2; k++)
            r[k].len = r[k].ours.span = sizes[i].len;
        bench_run(&(bench_case_t){.id = sizes[i].id,
                                  .ours = read_ours,
                                  .baton = &r[0],
                                  .peer = "metrics off",
                                  .theirs = read_ours,
                                  .peer_baton = &r[1],
                                  .goal_kind = sizes[i].kind,
                                  .goal = 1.02});
        if (bench_opt.count)
            bench_run(&(bench_case_t){.id = sizes[i].off_id, .ours = read_ours, .baton = &r[1]});
    }
    for (int i = 0; i < 2; i++) {
        BENCH_OK(vfs_close(r[i].file, NULL));
        bench_world_end(&w[i]);
    }
}

/* ---- large */

static uint32_t *shuffled(uint64_t pieces)
{
    uint32_t *order = malloc(ORDER * sizeof(*order));
    uint64_t state = 42;
    BENCH_CHECK(order != NULL);
    for (size_t i = 0; i < ORDER; i++)
        order[i] = (uint32_t)(bench_random(&state) % pieces);
    return order;
}

/* Each of those that take turns is at another place, so that none finds what another left in the
 * processor's caches. */
static void spread_out(reader_t *r, uint64_t size, uint32_t *order)
{
    r->ours = (place_t){0, size, order, 0};
    r->memory = (place_t){size / 2, size, order, ORDER / 3};
    r->system = (place_t){size / 4, size, order, ORDER / 3 * 2};
}

static void sequential(reader_t *r, uint64_t size)
{
    static const struct {
        const char *id;
        size_t len;
        double goal;
    } sizes[] = {{"read/sequential/64KiB/t1", 64 * KIB, 1.06},
                 {"read/sequential/1MiB/t1", MIB, 1.03}};
    uint8_t *flat = NULL;
    for (size_t i = 0; i < 2; i++) {
        if (!bench_wanted(sizes[i].id)) continue;
        if (!flat) flat = bench_memory((size_t)size);
        r->len = sizes[i].len;
        r->pages = calloc((size_t)(size / r->len), sizeof(*r->pages));
        BENCH_CHECK(r->pages != NULL);
        for (size_t k = 0; k < size / r->len; k++)
            r->pages[k] = flat + k * r->len;
        spread_out(r, size, NULL);
        bench_run(&(bench_case_t){.id = sizes[i].id,
                                  .ours = read_ours,
                                  .baton = r,
                                  .peer = "memcpy",
                                  .theirs = read_memory,
                                  .peer_baton = r,
                                  .goal_kind = GOAL_AT_MOST,
                                  .goal = sizes[i].goal});
        free(r->pages);
    }
    r->pages = NULL;
    r->len = MIB;
    bench_run(&(bench_case_t){.id = "borrow/hit/1MiB/t1", .ours = read_borrowed, .baton = r});
}

static void at_random(reader_t *r, uint64_t size)
{
    if (!bench_wanted("read/random/4KiB/t1")) return;
    r->len = 4 * KIB;
    uint32_t *order = shuffled(size / r->len);
    held_t held = hold_pages(r, size);
    spread_out(r, size, order);
    bench_run(&(bench_case_t){.id = "read/random/4KiB/t1",
                              .ours = read_ours,
                              .baton = r,
                              .peer = "memcpy",
                              .theirs = read_memory,
                              .peer_baton = r,
                              .goal_kind = GOAL_AT_MOST,
                              .goal = 1.35});
    if (!bench_opt.count) {
        r->fd = bench_scratch("big", size, 0);
        bench_run(&(bench_case_t){.id = "read/random/4KiB/t1",
                                  .ours = read_ours,
                                  .baton = r,
                                  .peer = "pread ext4",
                                  .theirs = read_system,
                                  .peer_baton = r,
                                  .goal_kind = GOAL_FASTER,
                                  .goal = 1.8});
        (void)close(r->fd); /* a scratch file */
    }
    let_pages(r, &held);
    free(order);
}

static void large(void)
{
    char ram[32];
    uint64_t size = bench_opt.big_bytes / MIB * MIB;
    (void)snprintf(ram, sizeof(ram), "%llum", (unsigned long long)(size / MIB * 5 / 4 + 64));
    const char *keys[] = {"ram", ram, "pin_bytes_max", ram, NULL};
    bench_world_t w;
    cachefs_stats_t before;
    reader_t r = {.buf = bench_memory(MIB)};
    bench_world_mem(&w, keys);
    bench_file(w.lower, "/big", size, 1);
    r.file = bench_open(w.cache, "/big", VFS_O_READ);
    warm(r.file, size);
    bench_stats(&w, &before);
    sequential(&r, size);
    at_random(&r, size);
    premise(&w, &before);
    BENCH_OK(vfs_close(r.file, NULL));
    bench_world_end(&w);
}

void bench_reads(void)
{
    if (bench_wanted("read/hit") || bench_wanted("borrow/hit/4KiB") ||
        bench_wanted("borrow/hit/64KiB"))
        hot();
    if (bench_wanted("metrics")) metrics();
    if (bench_wanted("read/sequential") || bench_wanted("read/random") ||
        bench_wanted("borrow/hit/1MiB"))
        large();
}
