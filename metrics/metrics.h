/*
 * metrics.h - counters, gauges and latency histograms, and their export.
 * Floor 1, public. Knows nothing of file systems.
 *
 * A registry owns its metrics; a metric is found by its handle, and costs no look-up. Counters and histograms
 * are striped: a thread writes to cache lines that few others write to, a reader adds the stripes up.
 * Names and labels follow Prometheus: base units (seconds, bytes), `_total` for counters.
 *
 * Any function may be called from any thread at any time, except metrics_registry_destroy, which must be the
 * last. None blocks but for a short lock while metrics are made or exported.
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

#if defined(__GNUC__)
#define METRICS_API __attribute__((visibility("default")))
#else
#define METRICS_API
#endif

typedef struct metrics_registry_t metrics_registry_t;
typedef struct metrics_counter_t metrics_counter_t;
typedef struct metrics_gauge_t metrics_gauge_t;
typedef struct metrics_histogram_t metrics_histogram_t;

/** @return APR_SUCCESS or APR_ENOMEM. Owns: metrics_registry_destroy, or with `pool`. */
METRICS_API apr_status_t metrics_registry_create(metrics_registry_t **out, apr_pool_t *pool);
METRICS_API void metrics_registry_destroy(metrics_registry_t *registry);
/** Switch recording on or off (on at first). Off, an update costs one load and one branch. */
METRICS_API void metrics_set_enabled(metrics_registry_t *registry, int enabled);
METRICS_API int metrics_enabled(const metrics_registry_t *registry);

/* Making metrics. `name` without suffix rules is checked: [a-zA-Z_:][a-zA-Z0-9_:]*; counters end in `_total`.
 * `labels` is "key=\"value\",..." or NULL. The same name and labels give the same metric again; the same name with
 * another type or help is APR_EINVAL.
 * @return APR_SUCCESS; APR_EINVAL; APR_ENOMEM. Owns: the registry; strings are copied. */
METRICS_API apr_status_t metrics_counter(metrics_counter_t **out, metrics_registry_t *registry,
                                         const char *name, const char *labels, const char *help);
METRICS_API apr_status_t metrics_gauge(metrics_gauge_t **out, metrics_registry_t *registry,
                                       const char *name, const char *labels, const char *help);
/** A histogram of durations: values are recorded in nanoseconds, exported in seconds. */
METRICS_API apr_status_t metrics_histogram(metrics_histogram_t **out, metrics_registry_t *registry,
                                           const char *name, const char *labels, const char *help);
/** A gauge or counter whose value is asked for when it is read: `fn` must be quick and take no lock that its
 *  caller may hold. `is_counter` decides type and suffix rule. */
typedef double (*metrics_read_fn)(void *baton);
METRICS_API apr_status_t metrics_callback(metrics_registry_t *registry, const char *name,
                                          const char *labels, const char *help, int is_counter,
                                          metrics_read_fn fn, void *baton);

/* Updating. No allocation, no lock, no shared line in the common case. */
METRICS_API void metrics_add(metrics_counter_t *counter, uint64_t n);
METRICS_API uint64_t metrics_counter_value(const metrics_counter_t *counter);
METRICS_API void metrics_gauge_set(metrics_gauge_t *gauge, double value);
METRICS_API void metrics_gauge_add(metrics_gauge_t *gauge, double delta);
METRICS_API double metrics_gauge_value(const metrics_gauge_t *gauge);
METRICS_API void metrics_record(metrics_histogram_t *histogram, uint64_t ns);
/** Record the same value `n` times: for a sampled path. */
METRICS_API void metrics_record_n(metrics_histogram_t *histogram, uint64_t ns, uint64_t n);

/** The figures of a histogram at one moment. Quantiles have a relative error of at most 1 %. */
typedef struct metrics_summary_t {
    uint64_t count;
    double sum_ns;
    uint64_t min_ns, max_ns; /**< 0 where count is 0 */
    uint64_t p50_ns, p90_ns, p95_ns, p99_ns, p999_ns, p9999_ns;
} metrics_summary_t;
METRICS_API void metrics_histogram_summary(const metrics_histogram_t *histogram,
                                           metrics_summary_t *out);
/** Any quantile, 0 < q <= 1; 0 where the histogram is empty. */
METRICS_API uint64_t metrics_histogram_quantile(const metrics_histogram_t *histogram, double q);

/* Snapshots: all values of a registry at one moment, for differences and resets. */
typedef struct metrics_snapshot_t metrics_snapshot_t;
METRICS_API apr_status_t metrics_snapshot(metrics_snapshot_t **out,
                                          const metrics_registry_t *registry, apr_pool_t *pool);
/** What happened between two snapshots of one registry: counters and histograms are subtracted, gauges are those
 *  of `newer`. */
METRICS_API apr_status_t metrics_snapshot_diff(metrics_snapshot_t **out,
                                               const metrics_snapshot_t *newer,
                                               const metrics_snapshot_t *older, apr_pool_t *pool);
/** Value of a counter or gauge in a snapshot; `labels` as at making, or NULL. @return APR_SUCCESS or
 *  APR_NOTFOUND. */
METRICS_API apr_status_t metrics_snapshot_value(const metrics_snapshot_t *snapshot, const char *name,
                                                const char *labels, double *value);
METRICS_API apr_status_t metrics_snapshot_summary(const metrics_snapshot_t *snapshot,
                                                  const char *name, const char *labels,
                                                  metrics_summary_t *out);
/** Set counters and histograms to zero; gauges and callbacks stay. */
METRICS_API void metrics_reset(metrics_registry_t *registry);

typedef enum metrics_format_e {
    METRICS_PROMETHEUS = 0, /**< text exposition format 0.0.4 */
    METRICS_OPENMETRICS,    /**< OpenMetrics 1.0, ends with # EOF */
    METRICS_JSON
} metrics_format_e;
/** Write a snapshot as text. @param text NUL-terminated, from `pool`; @param len its bytes; may be NULL */
METRICS_API apr_status_t metrics_export(char **text, size_t *len, const metrics_snapshot_t *snapshot,
                                        metrics_format_e format, apr_pool_t *pool);
/** The content type of a format, for an HTTP answer. */
METRICS_API const char *metrics_content_type(metrics_format_e format);

#ifdef __cplusplus
}
#endif
#endif
