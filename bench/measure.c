/*
 * measure.c - samples in turns, medians of ratios, rows.
 * Floor 4, private to bench/.
 */
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_START_INSTRUMENTATION ((void)0)
#define CALLGRIND_STOP_INSTRUMENTATION ((void)0)
#endif

#include "bench/bench.h"

#define ROUNDS_MAX 1001u
#define DISTURBED 1.05 /* wall time over processor time, from which on a sample does not count */
#define TRIES 40       /* at a sample, before a disturbed one is taken as it is */

bench_opt_t bench_opt;

_Noreturn void bench_die(const char *file, int line, const char *what, apr_status_t status)
{
    char buf[200] = "";
    if (status) (void)vfs_strerror(status, buf, sizeof(buf));
    fprintf(stderr, "cachefs-bench: %s:%d: %s%s%s\n", file, line, what, status ? ": " : "", buf);
    exit(2);
}

static uint64_t clock_ns(clockid_t id)
{
    struct timespec t;
    (void)clock_gettime(id, &t); /* these clocks are always there */
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t bench_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t bench_cpu_ns(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

void bench_pin(unsigned cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    (void)sched_setaffinity(0, sizeof(set),
                            &set); /* not allowed: the numbers are noisier, no more */
}

void bench_unpin(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
        CPU_SET(cpu, &set);
    (void)sched_setaffinity(0, sizeof(set), &set); /* not allowed: one processor has to do */
}

uint64_t bench_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void bench_zipf(uint32_t *out, size_t count, uint32_t ranks, uint64_t *state)
{
    double sum = 0;
    for (uint32_t i = 0; i < ranks; i++)
        sum += pow(i + 1.0, -0.99);
    for (size_t k = 0; k < count; k++) {
        double u = (double)(bench_random(state) >> 11) * 0x1p-53 * sum;
        uint32_t i = 0;
        while (i + 1 < ranks && (u -= pow(i + 1.0, -0.99)) > 0)
            i++;
        out[k] = i;
    }
}

__attribute__((noinline)) void bench_counted(bench_fn fn, void *baton, uint64_t n)
{
    fn(baton, n);
    __asm__ volatile("" : : : "memory"); /* no tail call: callgrind must see the return */
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

bench_stat_t bench_stat(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), by_value);
    double median = values[count / 2];
    double spread = median > 0 ? (values[count * 3 / 4] - values[count / 4]) / median : 0;
    return (bench_stat_t){median, spread};
}

int bench_wanted(const char *id)
{
    if (!bench_opt.only) return 1;
    size_t a = strlen(id), b = strlen(bench_opt.only);
    return strncmp(id, bench_opt.only, a < b ? a : b) == 0;
}

/* ---- samples */

/* Nanoseconds an operation. Runs that need preparing are timed one by one, and the median counts.
 */
static double sample_prepared(const bench_case_t *c, bench_fn fn, void *baton, uint64_t n)
{
    double each[64];
    if (n > 64) n = 64;
    for (uint64_t i = 0; i < n; i++) {
        c->prepare(c->baton, 1);
        uint64_t start = bench_now_ns();
        fn(baton, 1);
        each[i] = (double)(bench_now_ns() - start);
    }
    return bench_stat(each, (size_t)n).median;
}

static double sample(const bench_case_t *c, bench_fn fn, void *baton, uint64_t n)
{
    if (c->prepare) return sample_prepared(c, fn, baton, n);
    for (int try = 0;; try++) {
        uint64_t cpu = bench_cpu_ns(), wall = bench_now_ns();
        fn(baton, n);
        wall = bench_now_ns() - wall;
        cpu = bench_cpu_ns() - cpu;
        if (c->waits) return (double)wall / (double)n;
        if ((double)wall <= (double)cpu * DISTURBED || try == TRIES) return (double)cpu / (double)n;
    }
}

/* How often, so that it takes about sample_us; warms up on the way. */
static uint64_t calibrate(const bench_case_t *c, bench_fn fn, void *baton)
{
    uint64_t n = 1;
    if (c->sample_ops) {
        (void)sample(c, fn, baton, c->sample_ops);
        return c->sample_ops;
    }
    if (c->prepare) return 15;
    for (;;) {
        double us = sample(c, fn, baton, n) * (double)n / 1000;
        if (us >= bench_opt.sample_us) return n;
        n = us * 4 < bench_opt.sample_us ? n * 4 : n * 2;
    }
}

/* ---- rows */

static const char *goal_text(char *buf, size_t size, bench_goal_e kind, double goal)
{
    if (kind == GOAL_NONE)
        (void)snprintf(buf, size, "-");
    else
        (void)snprintf(buf, size, "%s %g%s",
                       kind == GOAL_FASTER || kind == GOAL_AT_LEAST ? ">=" : "<=", goal,
                       kind == GOAL_VALUE_MAX ? "" : "x");
    return buf;
}

static void row(const char *id, const char *unit, double ours, const char *peer, double theirs,
                double ratio, bench_goal_e kind, double goal, double spread)
{
    char want[40];
    double judged = kind == GOAL_VALUE_MAX ? ours : ratio;
    int least = kind == GOAL_FASTER || kind == GOAL_AT_LEAST;
    int holds = kind == GOAL_NONE || (least ? judged >= goal : judged <= goal);
    goal_text(want, sizeof(want), kind, goal);
    printf("%-34s %12.2f %-4s %-26s %12.2f %9.3f %9s %-5s +-%.1f%%\n", id, ours, unit,
           peer ? peer : "-", theirs, ratio, want,
           kind == GOAL_NONE ? ""
           : holds           ? "yes"
                             : "NO",
           spread * 50);
    (void)fflush(stdout); /* so that a pipe shows progress */
    if (!bench_opt.json) return;
    fprintf(bench_opt.json, "{\"id\":\"%s\",\"unit\":\"%s\",\"ns\":%.3f,\"spread\":%.4f,", id, unit,
            ours, spread);
    if (peer) fprintf(bench_opt.json, "\"peer\":\"%s\",\"peer_ns\":%.3f,", peer, theirs);
    if (peer) fprintf(bench_opt.json, "\"ratio\":%.4f,", ratio);
    if (kind != GOAL_NONE) fprintf(bench_opt.json, "\"goal\":\"%s\",", want);
    fprintf(bench_opt.json, "\"holds\":%s}\n",
            kind == GOAL_NONE ? "null"
            : holds           ? "true"
                              : "false");
}

void bench_value(const char *id, const char *unit, double ours, const char *peer, double theirs,
                 double ratio, bench_goal_e kind, double goal, double spread)
{
    if (bench_opt.count || !bench_wanted(id)) return;
    row(id, unit, ours, peer, theirs, ratio, kind, goal, spread);
}

void bench_constant(const char *id, double ours, const char *peer, double peer_ns,
                    bench_goal_e kind, double goal)
{
    if (ours <= 0) return; /* the case did not run */
    bench_value(id, "ns", ours, peer, peer_ns, peer_ns / ours, kind, goal, 0);
}

double bench_run(const bench_case_t *c)
{
    static double a[ROUNDS_MAX], b[ROUNDS_MAX], ratio[ROUNDS_MAX];
    if (!bench_wanted(c->id)) return 0;
    if (bench_opt.count) {
        if (c->prepare) return 0; /* what prepares it would be counted too */
        c->ours(c->baton, bench_opt.count);
        CALLGRIND_START_INSTRUMENTATION; /* with --instr-atstart=no what prepares it is quick */
        bench_counted(c->ours, c->baton, bench_opt.count);
        CALLGRIND_STOP_INSTRUMENTATION;
        return 0;
    }
    unsigned rounds = bench_opt.rounds < ROUNDS_MAX ? bench_opt.rounds : ROUNDS_MAX;
    uint64_t n = calibrate(c, c->ours, c->baton), m = 0;
    if (c->theirs) m = calibrate(c, c->theirs, c->peer_baton);
    for (unsigned i = 0; i < rounds; i++) {
        a[i] = sample(c, c->ours, c->baton, n);
        if (!c->theirs) continue;
        b[i] = sample(c, c->theirs, c->peer_baton, m);
        ratio[i] = c->goal_kind == GOAL_FASTER ? b[i] / a[i] : a[i] / b[i];
    }
    bench_stat_t ours = bench_stat(a, rounds), theirs = {0, 0}, r = ours;
    if (c->theirs) theirs = bench_stat(b, rounds);
    if (c->theirs) r = bench_stat(ratio, rounds);
    row(c->id, "ns", ours.median, c->theirs ? c->peer : NULL, theirs.median,
        c->theirs ? r.median : 0, c->goal_kind, c->goal, r.spread);
    return ours.median;
}
