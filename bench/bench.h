/*
 * bench.h - what the families of cases of `cachefs-bench` share. Floor 4, private to bench/.
 *
 * A case runs ours and its peer in turns on one pinned thread: A B A B, each turn a sample of some
 * hundred microseconds. A sample that was disturbed (the thread was not on its processor all the
 * time) is taken again. Of each pair the ratio is taken; what is printed is the median of the
 * ratios, and how far the middle half of them lies apart.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdio.h>

#include "cachefs/cachefs.h"
#include "vfs/shims/shims.h"

/* ---- premises: a bench whose premise does not hold ends with a sentence, not with a number */

#define BENCH_CHECK(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) bench_die(__FILE__, __LINE__, #condition, 0);                            \
    } while (0)
#define BENCH_OK(call)                                                                             \
    do {                                                                                           \
        apr_status_t bench_status = (call);                                                        \
        if (bench_status) bench_die(__FILE__, __LINE__, #call, bench_status);                      \
    } while (0)
_Noreturn void bench_die(const char *file, int line, const char *what, apr_status_t status);

/* ---- options */

typedef struct bench_opt_t {
    const char *only;     /* families or ids that begin with it; NULL: all */
    const char *dir;      /* a directory of its own on the disk of the comparison */
    FILE *json;           /* rows as JSON lines; NULL: none */
    unsigned rounds;      /* pairs of samples */
    unsigned sample_us;   /* how long a sample shall take */
    uint64_t big_bytes;   /* of the random reads and the turnovers */
    uint64_t blocks_max;  /* most blocks of the eviction cases */
    uint64_t names_max;   /* most names of the prefix case */
    unsigned turnovers;   /* of the capacity, before the memory is looked at */
    uint64_t count;       /* above 0: run ours of each case so often, in bench_counted, and print
                             nothing: for callgrind */
    uint64_t entries_max; /* most entries of the cases of a policy alone */
    uint64_t files_max;   /* files for a remote */
    int small;            /* everything once, as small as it gets */
} bench_opt_t;
extern bench_opt_t bench_opt;

/* ---- cases */

typedef enum bench_goal_e {
    GOAL_NONE,     /* only shown */
    GOAL_AT_MOST,  /* ours / peer is at most this */
    GOAL_FASTER,   /* peer / ours is at least this */
    GOAL_AT_LEAST, /* ours / peer is at least this */
    GOAL_VALUE_MAX /* ours itself is at most this, in its unit */
} bench_goal_e;

/* Do it n times. */
typedef void (*bench_fn)(void *baton, uint64_t n);

typedef struct bench_case_t {
    const char *id; /* op/variant/size/threads */
    bench_fn ours;
    void *baton;
    const char *peer; /* its name; NULL: no peer */
    bench_fn theirs;
    void *peer_baton;
    bench_goal_e goal_kind;
    double goal;
    int waits;           /* it waits for something else than a processor: wall time counts */
    bench_fn prepare;    /* before each single run of either, not timed; NULL: nothing to prepare */
    uint64_t sample_ops; /* 0: as many as sample_us takes */
} bench_case_t;
/* Is this family or case asked for? */
int bench_wanted(const char *id);
/* Run, print, write. The median of ours, in nanoseconds; 0 if it is not asked for. */
double bench_run(const bench_case_t *c);
/* A row beside a constant that was measured elsewhere. */
void bench_constant(const char *id, double ours, const char *peer, double peer_ns,
                    bench_goal_e kind, double goal);
/* A row of a number that is no time. */
void bench_value(const char *id, const char *unit, double ours, const char *peer, double theirs,
                 double ratio, bench_goal_e kind, double goal, double spread);

/* ---- measuring */

typedef struct bench_stat_t {
    double median, spread; /* spread: middle half, as a share of the median */
} bench_stat_t;
bench_stat_t bench_stat(double *values, size_t count);
uint64_t bench_now_ns(void);
uint64_t bench_cpu_ns(void);
void bench_pin(unsigned cpu);
/* And threads made from now on, on any processor. */
void bench_unpin(void);
/* Where callgrind collects. */
void bench_counted(bench_fn fn, void *baton, uint64_t n);
/* Keep the compiler from seeing through a buffer. */
static inline void bench_use(void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}
/* A generator that is the same in each run: splitmix64. */
uint64_t bench_random(uint64_t *state);
/* Ranks by Zipf's law with exponent 0.99. */
void bench_zipf(uint32_t *out, size_t count, uint32_t ranks, uint64_t *state);

/* ---- worlds: stacks and files */

typedef struct bench_world_t {
    apr_pool_t *pool;
    vfs_t *lower, *delay, *store, *cache; /* delay and store may be NULL */
    vfs_t *disk, *count; /* of bench_world_journal: below the store's own count; below the cache */
} bench_world_t;
/* A cache over memory; `keys` are pairs of key and value, ended by NULL. */
void bench_world_mem(bench_world_t *w, const char *const *keys);
/* The same with a store in a directory. */
void bench_world_store(bench_world_t *w, const char *dir, const char *const *keys);
/* The same where calls to the store (`store`) and to the lower layer (`count`) are counted; the
 * latter behind round trips, if rtt_us is not 0. */
void bench_world_journal(bench_world_t *w, const char *dir, uint64_t rtt_us,
                         const char *const *keys);
/* The same over a directory, which is `bench_opt.dir`. */
void bench_world_local(bench_world_t *w, const char *const *keys);
/* The same over memory behind round trips. */
void bench_world_delay(bench_world_t *w, uint64_t rtt_us, const char *const *keys);
void bench_world_end(bench_world_t *w);
/* A file of so many bytes in `fs`, with a pattern, or all hole. */
void bench_file(vfs_t *fs, const char *path, uint64_t size, int hole);
/* A file of the disk for the system calls; removed by bench_scratch_end. */
int bench_scratch(const char *name, uint64_t size, int flags);
/* Its whole name. */
const char *bench_scratch_name(char *buf, size_t size, const char *name);
vfs_file_t *bench_open(vfs_t *fs, const char *path, uint32_t flags);
void bench_stats(const bench_world_t *w, cachefs_stats_t *out);
/* Memory of this process in bytes. */
uint64_t bench_rss(void);
/* Page-aligned memory, huge pages if there are. */
void *bench_memory(size_t bytes);

/* ---- families */

void bench_reads(void);
void bench_names(void);
void bench_threads(void);
void bench_misses(void);
void bench_l2(void);
void bench_evictions(void);
void bench_policies(void);
void bench_writes(void);
void bench_durable(void);
void bench_batches(void);
void bench_memory_use(void);

#endif
