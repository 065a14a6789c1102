/*
 * counters.c - rows of counters, and the metrics that show them.
 * Floor 2, private to cachefs/.
 */
#include "cachefs/engine.h"

#include <apr_strings.h>

apr_status_t cachefs__counters_create(counters_t *c)
{
    size_t bytes = (METRICS__ROWS + 1) * sizeof(*c->rows);
    /* two lines, because processors fetch them in pairs */
    c->rows = aligned_alloc(128, bytes);
    if (!c->rows) return APR_ENOMEM;
    memset(c->rows, 0, bytes);
    return APR_SUCCESS;
}

void cachefs__counters_destroy(counters_t *c)
{
    free(c->rows);
    c->rows = NULL;
}

/* The number of this thread's row, from 1. */
static size_t row_number(ptrdiff_t row)
{
    return (size_t)(row < 0 ? -row : row) / sizeof(counter_row_t);
}

unsigned cachefs__thread_ring(void)
{
    return (unsigned)row_number(metrics__row_get()) - 1;
}

void cachefs__count_slow(counters_t *c, counter_e what, uint64_t n)
{
    ptrdiff_t row = metrics__row_get();
    _Atomic uint64_t *cell = &c->rows[row_number(row)].v[what];
    if (row > 0)
        metrics__cell_add(cell, n);
    else
        atomic_fetch_add_explicit(cell, n, memory_order_relaxed);
}

static uint64_t rows_sum(const counters_t *c, unsigned what)
{
    uint64_t sum = 0;
    for (unsigned i = 1; i <= METRICS__ROWS; i++)
        sum += atomic_load_explicit(&c->rows[i].v[what], memory_order_relaxed);
    return sum;
}

uint64_t cachefs__counter(const counters_t *c, counter_e what)
{
    /* the base first: whoever sees it sees rows at least as new as those that it was made of */
    uint64_t base = atomic_load_explicit(&c->rows[0].v[what], memory_order_acquire);
    return rows_sum(c, what) - base;
}

uint64_t cachefs__counter_here(const counters_t *c, counter_e what)
{
    size_t row = row_number(metrics__row_get());
    return atomic_load_explicit(&c->rows[row].v[what], memory_order_relaxed);
}

void cachefs__counters_reset(counters_t *c)
{
    for (unsigned what = 0; what < CNT_COUNT; what++)
        atomic_store_explicit(&c->rows[0].v[what], rows_sum(c, what), memory_order_release);
}

_Static_assert(sizeof(counter_row_t) == METRICS__ROW_BYTES, "rows are as far apart as in metrics");

/* ---- metrics */

typedef struct metric_t {
    cache_t *cache;
    int what;
} metric_t;

static double read_counter(void *baton)
{
    metric_t *m = baton;
    return (double)cachefs__counter(&m->cache->counters, (counter_e)m->what);
}

static const struct {
    counter_e what;
    const char *name, *labels, *help;
} counter_metrics[] = {
    {CNT_HITS, "cachefs_reads_total", "result=\"hit\"", "Read calls, by where the bytes were."},
    {CNT_MISSES, "cachefs_reads_total", "result=\"miss\"", "Read calls, by where the bytes were."},
    {CNT_HIT_BYTES, "cachefs_read_bytes_total", "result=\"hit\"",
     "Bytes read, by where they were."},
    {CNT_MISS_BYTES, "cachefs_read_bytes_total", "result=\"miss\"",
     "Bytes read, by where they were."},
    {CNT_WRITES, "cachefs_writes_total", NULL, "Write calls."},
    {CNT_WRITTEN_BYTES, "cachefs_written_bytes_total", NULL, "Bytes written by callers."},
    {CNT_OPENS, "cachefs_opens_total", NULL, "Files opened."},
    {CNT_ATTR_HITS, "cachefs_lookups_total", "result=\"hit\"", "Look-ups of names, by answer."},
    {CNT_ATTR_MISSES, "cachefs_lookups_total", "result=\"miss\"", "Look-ups of names, by answer."},
    {CNT_NEGATIVE_HITS, "cachefs_lookups_total", "result=\"negative_hit\"",
     "Look-ups of names, by answer."},
    {CNT_LISTING_HITS, "cachefs_listings_total", "result=\"hit\"", "Directories opened."},
    {CNT_LISTING_MISSES, "cachefs_listings_total", "result=\"miss\"", "Directories opened."},
    {CNT_BACKEND_CALLS, "cachefs_backend_calls_total", NULL, "Calls into the lower layer."},
    {CNT_BACKEND_READS, "cachefs_backend_reads_total", NULL, "Reads from the lower layer."},
    {CNT_BACKEND_READ_BYTES, "cachefs_backend_read_bytes_total", NULL,
     "Bytes read from the lower layer."},
    {CNT_BACKEND_WRITES, "cachefs_backend_writes_total", NULL, "Writes to the lower layer."},
    {CNT_BACKEND_WRITE_BYTES, "cachefs_backend_written_bytes_total", NULL,
     "Bytes written to the lower layer."},
    {CNT_EVICTED_BYTES, "cachefs_evicted_bytes_total", NULL,
     "Bytes of memory that evictions freed."},
    {CNT_COMPACTED_BYTES, "cachefs_compacted_bytes_total", NULL,
     "Memory of blocks that moved, so that a slab became free."},
    {CNT_METADATA_EVICTIONS, "cachefs_metadata_evictions_total", NULL, "Names evicted."},
    {CNT_INVALIDATIONS, "cachefs_invalidations_total", NULL, "Files invalidated."},
    {CNT_FLUSHES, "cachefs_flushes_total", NULL, "Files flushed."},
    {CNT_FLUSH_ERRORS, "cachefs_flush_errors_total", NULL,
     "Flushes that failed; the data stays dirty."},
    {CNT_FLUSH_RETRIES, "cachefs_flush_retries_total", NULL, "Flushes tried again after an error."},
    {CNT_CONFLICTS, "cachefs_conflicts_total", NULL, "Files that changed below under dirty data."},
    {CNT_READAHEAD_BYTES, "cachefs_readahead_bytes_total", NULL, "Bytes read ahead."},
    {CNT_READAHEAD_WASTED, "cachefs_readahead_wasted_bytes_total", NULL,
     "Bytes read ahead and evicted unread."},
    {CNT_WAITS, "cachefs_single_flight_waits_total", NULL,
     "Calls that waited for another that does the same."},
    {CNT_REVALIDATIONS, "cachefs_revalidations_total", NULL, "Known names asked for again."},
    {CNT_STALE_SERVED, "cachefs_stale_served_total", NULL,
     "Answers from the cache while the backend was unreachable."},
    {CNT_VERSIONS, "cachefs_versions_total", NULL, "Versions of files seen."},
    {CNT_BYPASS, "cachefs_bypasses_total", NULL, "Reads and writes around a cache without room."},
    {CNT_L2_UNPROMOTED, "cachefs_l2_unpromoted_total", NULL,
     "Reads from the store of bytes that did not enter memory."},
    {CNT_THROTTLED, "cachefs_throttled_writes_total", NULL,
     "Writes slowed down at the dirty limit."},
    {CNT_L2_UNUSABLE, "cachefs_store_unusable_total", NULL,
     "Starts without the disk tier, since it could not be had."},
    {CNT_STORE_RENEWED, "cachefs_store_renewed_total", NULL,
     "Stores begun anew, since their identity was damaged or of another format."},
    {CNT_JOURNAL_FULL, "cachefs_journal_full_total", NULL,
     "Writes without a record, since the journal was full."},
    {CNT_JOURNAL_FAILED, "cachefs_journal_failures_total", NULL, "Journals whose disk failed."},
    {CNT_JOURNAL_VOID_FAILED, "cachefs_journal_void_failures_total", NULL,
     "Attempts to make such a journal void that failed."},
    {CNT_JOURNAL_AGAIN, "cachefs_journal_taken_back_total", NULL,
     "Journals whose disk worked again."},
    {CNT_JOURNAL_MOVED, "cachefs_journal_moved_total", NULL,
     "Files whose dirty data was recorded again, to make the journal shorter."},
};

enum {
    G_RAM_USED,
    G_RAM_MAX,
    G_RESIDENT,
    G_BLOCKS,
    G_NAMES,
    G_FILES,
    G_HANDLES,
    G_DIRTY,
    G_DIRTY_FILES,
    G_DIRTY_AGE,
    G_RETRYING,
    G_PINNED,
    G_HIT_RATIO,
    G_REDUCTION
};

static double read_gauge(void *baton)
{
    metric_t *m = baton;
    cachefs_stats_t s = {.size = sizeof(s)};
    (void)cachefs_stats(m->cache->fs, &s); /* it is a cache */
    double served = (double)(s.hit_bytes + s.miss_bytes);
    switch (m->what) {
    case G_RAM_USED:
        return (double)s.ram_used;
    case G_RAM_MAX:
        return (double)s.ram_max;
    case G_RESIDENT:
        return (double)s.resident_bytes;
    case G_BLOCKS:
        return (double)s.blocks;
    case G_NAMES:
        return (double)s.names;
    case G_FILES:
        return (double)s.files;
    case G_HANDLES:
        return (double)s.open_handles;
    case G_DIRTY:
        return (double)s.dirty_bytes;
    case G_DIRTY_FILES:
        return (double)s.dirty_files;
    case G_DIRTY_AGE:
        return (double)s.oldest_dirty_age_us / 1e6;
    case G_RETRYING:
        return (double)s.retrying_files;
    case G_PINNED:
        return (double)s.pinned_bytes;
    case G_HIT_RATIO:
        return served > 0 ? (double)s.hit_bytes / served : 0;
    default:
        return served > 0 ? 1 - (double)s.backend_read_bytes / served : 0;
    }
}

static const struct {
    int what;
    const char *name, *help;
} gauge_metrics[] = {
    {G_RAM_USED, "cachefs_ram_used_bytes", "Memory of the arena in use."},
    {G_RAM_MAX, "cachefs_ram_limit_bytes", "Memory that the arena may use."},
    {G_RESIDENT, "cachefs_resident_bytes", "Memory of cached blocks."},
    {G_BLOCKS, "cachefs_blocks", "Cached blocks."},
    {G_NAMES, "cachefs_names", "Cached names."},
    {G_FILES, "cachefs_files", "Known files."},
    {G_HANDLES, "cachefs_open_handles", "Open files and directories."},
    {G_DIRTY, "cachefs_dirty_bytes", "Bytes not flushed yet."},
    {G_DIRTY_FILES, "cachefs_dirty_files", "Files with bytes not flushed yet."},
    {G_DIRTY_AGE, "cachefs_oldest_dirty_age_seconds", "Age of the oldest byte not flushed yet."},
    {G_RETRYING, "cachefs_retrying_files", "Dirty files whose last flush failed."},
    {G_PINNED, "cachefs_pinned_bytes", "Bytes protected from eviction or borrowed."},
    {G_HIT_RATIO, "cachefs_hit_ratio", "Bytes served from the cache over bytes read."},
    {G_REDUCTION, "cachefs_backend_io_reduction_ratio",
     "Share of the bytes read that the lower layer did not have to deliver."},
};

static const char *const latency_labels[LAT_COUNT] = {
    [LAT_READ_HIT] = "op=\"read\",result=\"hit\"",
    [LAT_READ_MISS] = "op=\"read\",result=\"miss\"",
    [LAT_WRITE] = "op=\"write\",result=\"done\"",
    [LAT_OPEN_HIT] = "op=\"open\",result=\"hit\"",
    [LAT_OPEN_MISS] = "op=\"open\",result=\"miss\"",
    [LAT_STAT_HIT] = "op=\"stat\",result=\"hit\"",
    [LAT_STAT_MISS] = "op=\"stat\",result=\"miss\"",
    [LAT_READDIR_HIT] = "op=\"opendir\",result=\"hit\"",
    [LAT_READDIR_MISS] = "op=\"opendir\",result=\"miss\"",
    [LAT_FLUSH] = "op=\"flush\",result=\"done\"",
    [LAT_SYNC] = "op=\"sync\",result=\"done\"",
    [LAT_BACKEND_READ] = "op=\"read\",result=\"backend\"",
    [LAT_BACKEND_WRITE] = "op=\"write\",result=\"backend\"",
    [LAT_BACKEND_META] = "op=\"stat\",result=\"backend\"",
    [LAT_CHANGE] = "op=\"change\",result=\"done\"",
};

static metric_t *baton(cache_t *c, int what)
{
    metric_t *m = apr_palloc(c->fs->pool, sizeof(*m));
    m->cache = c;
    m->what = what;
    return m;
}

apr_status_t cachefs__metrics_create(cache_t *c)
{
    apr_status_t st = metrics_registry_create(&c->metrics, c->fs->pool);
    for (size_t i = 0; !st && i < sizeof(counter_metrics) / sizeof(*counter_metrics); i++)
        st = metrics_callback(c->metrics, counter_metrics[i].name, counter_metrics[i].labels,
                              counter_metrics[i].help, 1, read_counter,
                              baton(c, (int)counter_metrics[i].what));
    for (size_t i = 0; !st && i < sizeof(gauge_metrics) / sizeof(*gauge_metrics); i++)
        st = metrics_callback(c->metrics, gauge_metrics[i].name, NULL, gauge_metrics[i].help, 0,
                              read_gauge, baton(c, gauge_metrics[i].what));
    if (!st)
        st = metrics_callback(c->metrics, "cachefs_evictions_total",
                              apr_psprintf(c->fs->pool, "policy=\"%s\"", c->policy->name),
                              "Blocks evicted, by policy.", 1, read_counter,
                              baton(c, CNT_EVICTIONS));
    for (int i = 0; !st && i < LAT_COUNT; i++)
        st = metrics_histogram(&c->lat[i], c->metrics, "cachefs_operation_duration_seconds",
                               latency_labels[i], "Time that operations take; hits are sampled.");
    if (!st) metrics_set_enabled(c->metrics, c->config.metrics);
    return st;
}
