/**
 * @file
 * metrics.h - counters, gauges and latency histograms, and their export.
 * Floor 1, public. Knows nothing of file systems.
 *
 * A registry owns its metrics; a metric is found by its handle, and costs no look-up. Counters and
 * histograms are striped: a thread writes to cache lines that few others write to, a reader adds
 * the stripes up. Names and labels follow Prometheus: base units (seconds, bytes), `_total` for
 * counters.
 *
 * Memory: a counter takes 272 bytes (they come 64 at a time, 17 KiB), a gauge 128. A histogram
 * takes 149 KiB of address space; resident are the pages that recording touched, commonly 8 to 16
 * KiB for each of its 8 stripes in use.
 *
 * Any function may be called from any thread at any time, except metrics_registry_destroy, which
 * must be the last. None blocks but for a short lock while metrics are made, switched or reset;
 * updates and reading take none.
 */
#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include <apr_errno.h>
#include <apr_pools.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Marks what the shared library exports. */
#if defined(__GNUC__)
#define METRICS_API __attribute__((visibility("default")))
#else
#define METRICS_API
#endif

typedef struct metrics_registry_t metrics_registry_t;   /**< owns metrics */
typedef struct metrics_counter_t metrics_counter_t;     /**< a whole number that only grows */
typedef struct metrics_gauge_t metrics_gauge_t;         /**< a number that goes up and down */
typedef struct metrics_histogram_t metrics_histogram_t; /**< how durations are spread */

/** Make a registry without metrics, switched on.
 *  @param out  the registry
 *  @param pool  lives at least as long as the registry; used here and in metrics_registry_destroy
 * only
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); APR_ENOMEM.
 *  Threads: any that may use `pool`. Blocks: no. Owns: metrics_registry_destroy frees it, or the
 * end of `pool`. */
METRICS_API apr_status_t metrics_registry_create(metrics_registry_t **out, apr_pool_t *pool);
/** Free a registry and its metrics: the last call on any of them. Snapshots stay.
 *  @param registry  may be NULL
 *  Threads: one that may use the registry's pool. Blocks: no. Owns: frees it. */
METRICS_API void metrics_registry_destroy(metrics_registry_t *registry);
/** Switch recording on or off (on at first). Off, an update of a counter or histogram costs one
 * load and one branch and counts nothing. Gauges and callbacks go on: one that missed a step would
 * be wrong ever after.
 *  @param registry  whose metrics, those made later too
 *  @param enabled  0: off
 *  Threads: any. Blocks: a short lock. Owns: nothing. */
METRICS_API void metrics_set_enabled(metrics_registry_t *registry, int enabled);
/** Is recording on?
 *  @param registry  the registry
 *  @return 1 or 0. Threads: any. Blocks: no. Owns: nothing. */
METRICS_API int metrics_enabled(const metrics_registry_t *registry);

/** Make a counter, or find it again. The rules of this function hold for all that make metrics.
 *
 *  The same name and labels give the same metric again, in any order of the labels. All metrics of
 * one name have one type and one help.
 *  @param out  the counter
 *  @param registry  its owner
 *  @param name  [a-zA-Z_:][a-zA-Z0-9_:]*, at most 200 bytes; counters end in `_total`, others do
 * not; no name may equal one that another metric has in an export (a histogram has `_bucket`,
 * `_sum`, `_count`)
 *  @param labels  `key="value",...` or NULL for none: in values a backslash, a quote and a line end
 * are written as two backslashes, backslash quote and backslash n; keys differ and do not begin
 * with two underscores; at most 32, and 1000 bytes
 *  @param help  a sentence in UTF-8, at most 1000 bytes; NULL for none
 *  @return APR_SUCCESS; APR_EINVAL (a name, label or help against the rules above; a NULL; the name
 * is taken with another type or help; a callback has this name and these labels); APR_ENOMEM.
 *  Threads: any. Blocks: a short lock. Owns: the registry; strings are copied. */
METRICS_API apr_status_t metrics_counter(metrics_counter_t **out, metrics_registry_t *registry,
                                         const char *name, const char *labels, const char *help);
/** Make a gauge of value 0, or find it again: see metrics_counter.
 *  @param out  the gauge
 *  @param registry  its owner
 *  @param name  as in metrics_counter
 *  @param labels  as in metrics_counter
 *  @param help  as in metrics_counter
 *  @return APR_SUCCESS; APR_EINVAL; APR_ENOMEM: as metrics_counter.
 *  Threads: any. Blocks: a short lock. Owns: the registry; strings are copied. */
METRICS_API apr_status_t metrics_gauge(metrics_gauge_t **out, metrics_registry_t *registry,
                                       const char *name, const char *labels, const char *help);
/** Make a histogram of durations, or find it again: see metrics_counter. Values are recorded in
 * nanoseconds, exported in seconds; the name should end in `_seconds`.
 *  @param out  the histogram
 *  @param registry  its owner
 *  @param name  as in metrics_counter
 *  @param labels  as in metrics_counter; no key may be `le`
 *  @param help  as in metrics_counter
 *  @return APR_SUCCESS; APR_EINVAL; APR_ENOMEM: as metrics_counter.
 *  Threads: any. Blocks: a short lock. Owns: the registry; strings are copied. */
METRICS_API apr_status_t metrics_histogram(metrics_histogram_t **out, metrics_registry_t *registry,
                                           const char *name, const char *labels, const char *help);
/** Answers the value of a callback metric. It must be quick; no lock of ours is held while it runs,
 * several threads may be in it at once, and it must take no lock that a caller of metrics_snapshot
 * may hold.
 *  @param baton  as given to metrics_callback
 *  @return the value; of a counter, never less than before. */
typedef double (*metrics_read_fn)(void *baton);
/** Make a gauge or counter whose value is asked for when it is read: see metrics_counter. Making it
 * again is harmless.
 *  @param registry  its owner
 *  @param name  as in metrics_counter
 *  @param labels  as in metrics_counter
 *  @param help  as in metrics_counter
 *  @param is_counter  decides type and suffix rule
 *  @param fn  asked by each metrics_snapshot
 *  @param baton  handed to `fn`; must outlive the registry
 *  @return APR_SUCCESS; APR_EINVAL (as metrics_counter; the same name and labels with another
 * source); APR_ENOMEM. Threads: any. Blocks: a short lock. Owns: the registry; strings are copied,
 * `baton` stays the caller's. */
METRICS_API apr_status_t metrics_callback(metrics_registry_t *registry, const char *name,
                                          const char *labels, const char *help, int is_counter,
                                          metrics_read_fn fn, void *baton);

/* Updating. No allocation, no lock, no shared line in the common case. */

/** Count `n` more. The first 24 threads that count anything have cells of their own, and pay no
 * locked instruction; further ones share.
 *  @param counter  the counter
 *  @param n  how many; the sum is modulo 2^64
 *  Threads: any; not from a signal handler. Blocks: no. Owns: nothing. */
METRICS_API void metrics_add(metrics_counter_t *counter, uint64_t n);
/** What was counted since the last reset.
 *  @param counter  the counter
 *  @return the sum over all threads; what is being added at this moment is in it or not.
 *  Threads: any. Blocks: no. Owns: nothing. */
METRICS_API uint64_t metrics_counter_value(const metrics_counter_t *counter);
/** Set a gauge.
 *  @param gauge  the gauge
 *  @param value  in base units
 *  Threads: any. Blocks: no. Owns: nothing. */
METRICS_API void metrics_gauge_set(metrics_gauge_t *gauge, double value);
/** Change a gauge; no change of another thread is lost.
 *  @param gauge  the gauge
 *  @param delta  added; may be negative
 *  Threads: any. Blocks: no. Owns: nothing. */
METRICS_API void metrics_gauge_add(metrics_gauge_t *gauge, double delta);
/** The value of a gauge.
 *  @param gauge  the gauge
 *  @return what was set last, and added since.
 *  Threads: any. Blocks: no. Owns: nothing. */
METRICS_API double metrics_gauge_value(const metrics_gauge_t *gauge);
/** Record one duration.
 *  @param histogram  the histogram
 *  @param ns  nanoseconds; above 2^42 (73 minutes) values are told apart no more, but for the
 * largest Threads: any. Blocks: no. Owns: nothing. */
METRICS_API void metrics_record(metrics_histogram_t *histogram, uint64_t ns);
/** Record the same value `n` times: for a sampled path.
 *  @param histogram  the histogram
 *  @param ns  as in metrics_record
 *  @param n  how often; 0 records nothing
 *  Threads: any. Blocks: no. Owns: nothing. */
METRICS_API void metrics_record_n(metrics_histogram_t *histogram, uint64_t ns, uint64_t n);

/** The figures of a histogram at one moment. Quantiles have a relative error of at most 1 %, min
 * and max none; in a difference of snapshots min and max are as good as quantiles. */
typedef struct metrics_summary_t {
    uint64_t count;    /**< values */
    double sum_ns;     /**< of all values; modulo 2^64 ns, 584 years */
    uint64_t min_ns;   /**< the smallest; 0 where count is 0 */
    uint64_t max_ns;   /**< the largest; 0 where count is 0 */
    uint64_t p50_ns;   /**< the median: the value that half of all do not exceed */
    uint64_t p90_ns;   /**< the value that 90 % of all do not exceed */
    uint64_t p95_ns;   /**< 95 % */
    uint64_t p99_ns;   /**< 99 % */
    uint64_t p999_ns;  /**< 99.9 % */
    uint64_t p9999_ns; /**< 99.99 % */
} metrics_summary_t;
/** The figures of a histogram. Takes 19 KiB of stack.
 *  @param histogram  the histogram
 *  @param out  the figures
 *  Threads: any. Blocks: no. Owns: nothing. */
METRICS_API void metrics_histogram_summary(const metrics_histogram_t *histogram,
                                           metrics_summary_t *out);
/** Any quantile, by the nearest rank. Takes 19 KiB of stack.
 *  @param histogram  the histogram
 *  @param q  0 < q <= 1; what is not above 0 asks for the smallest value, what is above 1 for the
 * largest
 *  @return nanoseconds, off by 1 % at most; 0 where the histogram is empty; above 2^42 the largest
 * value. Threads: any. Blocks: no. Owns: nothing. */
METRICS_API uint64_t metrics_histogram_quantile(const metrics_histogram_t *histogram, double q);

/** All values of a registry, read one after another in one go: for differences and export. */
typedef struct metrics_snapshot_t metrics_snapshot_t;
/** Take a snapshot. Updates go on meanwhile. Takes 19 KiB of stack.
 *  @param out  the snapshot
 *  @param registry  the registry
 *  @param pool  gets the values and copies of all strings
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); APR_ENOMEM.
 *  Threads: any that may use `pool`. Blocks: as the callbacks do. Owns: in `pool`, and needs the
 * registry no more. */
METRICS_API apr_status_t metrics_snapshot(metrics_snapshot_t **out,
                                          const metrics_registry_t *registry, apr_pool_t *pool);
/** What happened between two snapshots of one registry: counters and histograms are subtracted,
 * gauges are those of `newer`. Where a reset came between, what was counted since it.
 *  @param out  the difference
 *  @param newer  the later snapshot
 *  @param older  the earlier one
 *  @param pool  gets the difference, copied
 *  @return APR_SUCCESS; APR_EINVAL (a NULL; the snapshots are of two registries, or in the wrong
 * order); APR_ENOMEM. Threads: any that may use `pool`. Blocks: no. Owns: in `pool`, and needs the
 * two no more. */
METRICS_API apr_status_t metrics_snapshot_diff(metrics_snapshot_t **out,
                                               const metrics_snapshot_t *newer,
                                               const metrics_snapshot_t *older, apr_pool_t *pool);
/** Value of a counter or gauge in a snapshot.
 *  @param snapshot  the snapshot
 *  @param name  of the metric
 *  @param labels  as at making, in any order, or NULL
 *  @param value  receives it
 *  @return APR_SUCCESS; APR_NOTFOUND (no counter or gauge of this name and these labels);
 * APR_EINVAL (a NULL). Threads: any. Blocks: no. Owns: nothing. */
METRICS_API apr_status_t metrics_snapshot_value(const metrics_snapshot_t *snapshot,
                                                const char *name, const char *labels,
                                                double *value);
/** Figures of a histogram in a snapshot.
 *  @param snapshot  the snapshot
 *  @param name  of the metric
 *  @param labels  as at making, in any order, or NULL
 *  @param out  receives them
 *  @return APR_SUCCESS; APR_NOTFOUND (no histogram of this name and these labels); APR_EINVAL (a
 * NULL). Threads: any. Blocks: no. Owns: nothing. */
METRICS_API apr_status_t metrics_snapshot_summary(const metrics_snapshot_t *snapshot,
                                                  const char *name, const char *labels,
                                                  metrics_summary_t *out);
/** Set counters and histograms to zero; gauges and callbacks stay. An update under way at that
 * moment counts as before it, as after it, or (in a histogram) in part.
 *  @param registry  the registry
 *  Threads: any. Blocks: a short lock. Owns: nothing. */
METRICS_API void metrics_reset(metrics_registry_t *registry);

/** How to write a snapshot. */
typedef enum metrics_format_e {
    METRICS_PROMETHEUS = 0, /**< text exposition format 0.0.4 */
    METRICS_OPENMETRICS,    /**< OpenMetrics 1.0, ends with # EOF */
    METRICS_JSON            /**< one object: the snapshot's time, and an array of metrics */
} metrics_format_e;
/** Write a snapshot as text. A histogram becomes 29 cumulative buckets from 128 ns to 34 s, each
 * twice the one before, and one without bound; their counts are exact. The same in every locale.
 *  @param text  NUL-terminated, from `pool`
 *  @param len  its bytes; may be NULL
 *  @param snapshot  what to write
 *  @param format  how
 *  @param pool  gets the text
 *  @return APR_SUCCESS; APR_EINVAL (a NULL, an unknown format); APR_ENOMEM.
 *  Threads: any that may use `pool`. Blocks: no. Owns: in `pool`. */
METRICS_API apr_status_t metrics_export(char **text, size_t *len,
                                        const metrics_snapshot_t *snapshot, metrics_format_e format,
                                        apr_pool_t *pool);
/** The content type of a format, for an HTTP answer.
 *  @param format  the format
 *  @return a string that lives for ever; NULL for an unknown format.
 *  Threads: any. Blocks: no. Owns: nothing. */
METRICS_API const char *metrics_content_type(metrics_format_e format);

#ifdef __cplusplus
}
#endif
#endif
