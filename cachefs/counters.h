/*
 * counters.h - what an instance counts, in stripes of its own so that a hit writes to no line that
 * another thread reads. Floor 2, private to cachefs/.
 */
#ifndef CACHEFS_COUNTERS_H
#define CACHEFS_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

#define COUNTER_STRIPES 16u

typedef enum counter_e {
    CNT_HITS = 0,
    CNT_MISSES,
    CNT_HIT_BYTES,
    CNT_MISS_BYTES,
    CNT_ATTR_HITS,
    CNT_ATTR_MISSES,
    CNT_NEGATIVE_HITS,
    CNT_LISTING_HITS,
    CNT_LISTING_MISSES,
    CNT_WRITES,
    CNT_OPENS,
    CNT_BACKEND_READS,
    CNT_BACKEND_READ_BYTES,
    CNT_BACKEND_WRITES,
    CNT_BACKEND_WRITE_BYTES,
    CNT_BACKEND_CALLS,
    CNT_EVICTIONS,
    CNT_EVICTED_BYTES,
    CNT_METADATA_EVICTIONS,
    CNT_INVALIDATIONS,
    CNT_FLUSHES,
    CNT_FLUSH_ERRORS,
    CNT_FLUSH_RETRIES,
    CNT_CONFLICTS,
    CNT_READAHEAD_BYTES,
    CNT_READAHEAD_WASTED,
    CNT_WAITS,
    CNT_REVALIDATIONS,
    CNT_STALE_SERVED,
    CNT_CHECKSUM_ERRORS,
    CNT_WRITTEN_BYTES,
    CNT_READ_BYTES,
    CNT_VERSIONS,
    CNT_BYPASS,
    CNT_THROTTLED,
    CNT_COUNT
} counter_e;

typedef struct counter_stripe_t {
    _Atomic uint64_t v[CNT_COUNT];
} __attribute__((aligned(128))) counter_stripe_t;
typedef struct counters_t {
    counter_stripe_t *stripes;
} counters_t;

#define SAMPLE_HITS 64u /* one hit in so many is timed, and counts for them all */

typedef enum latency_e {
    LAT_READ_HIT = 0,
    LAT_READ_MISS,
    LAT_WRITE,
    LAT_OPEN_HIT,
    LAT_OPEN_MISS,
    LAT_STAT_HIT,
    LAT_STAT_MISS,
    LAT_READDIR_HIT,
    LAT_READDIR_MISS,
    LAT_FLUSH,
    LAT_SYNC,
    LAT_BACKEND_READ,
    LAT_BACKEND_WRITE,
    LAT_BACKEND_META,
    LAT_CHANGE,
    LAT_COUNT
} latency_e;

/* The stripe of this thread: threads are spread over the stripes as they come. */
unsigned cachefs__thread_stripe(void);

static inline void cachefs__count(counters_t *c, counter_e what, uint64_t n)
{
    atomic_fetch_add_explicit(&c->stripes[cachefs__thread_stripe()].v[what], n,
                              memory_order_relaxed);
}
uint64_t cachefs__counter(const counters_t *c, counter_e what);
/* Of this thread's stripe alone. */
uint64_t cachefs__counter_here(const counters_t *c, counter_e what);

#endif
