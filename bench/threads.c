/*
 * threads.c - two threads on one hot block and on different files, against what memcpy itself gains
 * from a second thread. Floor 4, private to bench/.
 *
 * A round is four short runs: memcpy alone, memcpy by two, reads alone, reads by two. In a run by
 * two both wait for each other on their processors, begin together, and each one's rate is taken
 * over its own processor time. The run counts only if both were on their processors all the time.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

#define THREADS 2u
#define SIZE 4096u
#define TRIES 200
#define ROUNDS_MAX 1001u
#define DISTURBED 1.1

typedef struct lane_t {
    vfs_file_t *file;
    unsigned char *buf, *source;
} lane_t;

typedef struct crew_t {
    lane_t lane[THREADS];
    pthread_barrier_t gate;
    atomic_uint ready;
    bench_fn fn;     /* NULL: go home */
    uint64_t n;      /* operations of each */
    unsigned active; /* lanes in this run */
    uint64_t wall[THREADS], cpu[THREADS];
} crew_t;

static void read_lane(void *baton, uint64_t n)
{
    lane_t *l = baton;
    for (uint64_t i = 0; i < n; i++) {
        size_t got;
        apr_status_t st = vfs_read_at(l->file, NULL, l->buf, SIZE, 0, &got);
        if (st || got != SIZE) bench_die(__FILE__, __LINE__, "a short read", st);
    }
}

static void copy_lane(void *baton, uint64_t n)
{
    lane_t *l = baton;
    for (uint64_t i = 0; i < n; i++) {
        memcpy(l->buf, l->source, SIZE);
        bench_use(l->buf);
    }
}

static void take_part(crew_t *c, unsigned self)
{
    if (self >= c->active) return;
    (void)atomic_fetch_add(&c->ready, 1);
    while (atomic_load_explicit(&c->ready, memory_order_relaxed) < c->active) {
    }
    uint64_t cpu = bench_cpu_ns(), wall = bench_now_ns();
    c->fn(&c->lane[self], c->n);
    c->wall[self] = bench_now_ns() - wall;
    c->cpu[self] = bench_cpu_ns() - cpu;
}

static void *second(void *baton)
{
    crew_t *c = baton;
    bench_pin(1);
    for (;;) {
        (void)pthread_barrier_wait(&c->gate);
        if (!c->fn) return NULL;
        take_part(c, 1);
        (void)pthread_barrier_wait(&c->gate);
    }
}

/* Operations a second of `active` lanes together. */
static double rate(crew_t *c, bench_fn fn, uint64_t n, unsigned active)
{
    double sum = 0;
    for (int try = 0; try < TRIES; try++) {
        int disturbed = 0;
        c->fn = fn;
        c->n = n;
        c->active = active;
        atomic_store(&c->ready, 0);
        (void)pthread_barrier_wait(&c->gate);
        take_part(c, 0);
        (void)pthread_barrier_wait(&c->gate);
        sum = 0;
        for (unsigned i = 0; i < active; i++) {
            disturbed |= (double)c->wall[i] > (double)c->cpu[i] * DISTURBED;
            sum += (double)n * 1e9 / (double)c->cpu[i];
        }
        if (!disturbed) break;
    }
    return sum;
}

static void scaling(const char *id, bench_goal_e kind, crew_t *c)
{
    static double ours[ROUNDS_MAX], copy[ROUNDS_MAX], ratio[ROUNDS_MAX];
    uint64_t n = bench_opt.sample_us * 10; /* about 100 ns each */
    unsigned rounds = bench_opt.rounds < ROUNDS_MAX ? bench_opt.rounds : ROUNDS_MAX;
    if (!bench_wanted(id) || bench_opt.count) return; /* instructions do not tell of sharing */
    for (unsigned i = 0; i < rounds; i++) {
        double one = rate(c, copy_lane, n, 1);
        copy[i] = rate(c, copy_lane, n, THREADS) / one;
        one = rate(c, read_lane, n, 1);
        ours[i] = rate(c, read_lane, n, THREADS) / one;
        ratio[i] = ours[i] / copy[i];
    }
    bench_stat_t r = bench_stat(ratio, rounds);
    bench_value(id, "x", bench_stat(ours, rounds).median, "memcpy's gain",
                bench_stat(copy, rounds).median, r.median, kind, 0.97, r.spread);
}

void bench_threads(void)
{
    const char *keys[] = {"ram", "64m", NULL};
    bench_world_t w;
    crew_t c = {.active = 0};
    pthread_t thread;
    if (!bench_wanted("threads")) return;
    bench_world_mem(&w, keys);
    bench_file(w.lower, "/one", SIZE, 0);
    bench_file(w.lower, "/two", SIZE, 0);
    vfs_file_t *files[] = {bench_open(w.cache, "/one", VFS_O_READ),
                           bench_open(w.cache, "/two", VFS_O_READ),
                           bench_open(w.cache, "/one", VFS_O_READ)};
    for (unsigned i = 0; i < THREADS; i++)
        c.lane[i] = (lane_t){files[0], bench_memory(1u << 20), bench_memory(1u << 20)};
    BENCH_CHECK(!pthread_barrier_init(&c.gate, NULL, THREADS));
    BENCH_CHECK(!pthread_create(&thread, NULL, second, &c));
    c.lane[1].source = c.lane[0].source;
    c.lane[1].file = files[0];
    scaling("threads/one_handle/4KiB/t2", GOAL_NONE, &c);
    c.lane[1].file = files[2];
    scaling("threads/one_block/4KiB/t2", GOAL_AT_LEAST, &c);
    c.lane[1].file = files[1];
    scaling("threads/two_files/4KiB/t2", GOAL_AT_LEAST, &c);
    c.fn = NULL;
    (void)pthread_barrier_wait(&c.gate);
    BENCH_CHECK(!pthread_join(thread, NULL));
    for (size_t i = 0; i < 3; i++)
        BENCH_OK(vfs_close(files[i], NULL));
    bench_world_end(&w);
}
