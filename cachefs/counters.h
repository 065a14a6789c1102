/*
 * counters.h - what an instance counts, in rows by thread, so that a hit writes to no line that
 * another thread writes. Floor 2, private to cachefs/. Whose row is whose: metrics_inline.h.
 */
#ifndef CACHEFS_COUNTERS_H
#define CACHEFS_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

#include "metrics/metrics_inline.h"

#define THREAD_RINGS METRICS__ROWS

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
    CNT_COMPACTED_BYTES,
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
    CNT_WRITTEN_BYTES,
    CNT_READ_BYTES,
    CNT_VERSIONS,
    CNT_BYPASS,
    CNT_L2_UNPROMOTED,
    CNT_THROTTLED,
    CNT_L2_UNUSABLE,
    CNT_STORE_RENEWED,
    CNT_JOURNAL_FULL,
    CNT_JOURNAL_FAILED,
    CNT_JOURNAL_VOID_FAILED,
    CNT_JOURNAL_AGAIN,
    CNT_JOURNAL_MOVED,
    CNT_COUNT
} counter_e;

_Static_assert(CNT_COUNT <= METRICS__COLUMNS, "what is counted fits into a row");

/* Rows are never set back, since their owners would overwrite that: row 0 is the base that a reset
 * moves. */
typedef struct counter_row_t {
    _Atomic uint64_t v[METRICS__COLUMNS];
} counter_row_t;
typedef struct counters_t {
    counter_row_t *rows; /* METRICS__ROWS + 1 */
} counters_t;

#define SAMPLE_HITS 64u /* one hit in so many is timed, and counts for them all; a power of two */

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

apr_status_t cachefs__counters_create(counters_t *c);
void cachefs__counters_destroy(counters_t *c);
/* Which of THREAD_RINGS is for this thread. */
unsigned cachefs__thread_ring(void);

/* The row of this thread if it has one of its own; else NULL, and cachefs__count_slow counts. */
static inline counter_row_t *cachefs__own_row(const counters_t *c)
{
    ptrdiff_t row = metrics__row;
    return row > 0 ? (counter_row_t *)(void *)((char *)c->rows + row) : NULL;
}
void cachefs__count_slow(counters_t *c, counter_e what, uint64_t n);

static inline void cachefs__count(counters_t *c, counter_e what, uint64_t n)
{
    counter_row_t *row = cachefs__own_row(c);
    if (row)
        metrics__cell_add(&row->v[what], n);
    else
        cachefs__count_slow(c, what, n);
}
uint64_t cachefs__counter(const counters_t *c, counter_e what);
/* Of this thread's row alone. */
uint64_t cachefs__counter_here(const counters_t *c, counter_e what);
void cachefs__counters_reset(counters_t *c);

#endif
