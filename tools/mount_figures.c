/*
 * mount_figures.c - what a mount has done, in numbers with names: for `stats`, and for monitoring.
 * Floor 4, private to tools/.
 */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include <apr_strings.h>

#include "tools/mount.h"

static const struct {
    const char *name;
    size_t offset;
} figures[] = {
#define FIGURE(field)                                                                              \
    {                                                                                              \
#field, offsetof(cachefs_stats_t, field)                                                   \
    }
    FIGURE(hits),
    FIGURE(misses),
    FIGURE(hit_bytes),
    FIGURE(miss_bytes),
    FIGURE(attr_hits),
    FIGURE(attr_misses),
    FIGURE(negative_hits),
    FIGURE(listing_hits),
    FIGURE(listing_misses),
    FIGURE(reads),
    FIGURE(writes),
    FIGURE(opens),
    FIGURE(backend_reads),
    FIGURE(backend_read_bytes),
    FIGURE(backend_writes),
    FIGURE(backend_write_bytes),
    FIGURE(backend_calls),
    FIGURE(evictions),
    FIGURE(evicted_bytes),
    FIGURE(metadata_evictions),
    FIGURE(invalidations),
    FIGURE(flushes),
    FIGURE(flush_errors),
    FIGURE(flush_retries),
    FIGURE(conflicts),
    FIGURE(readahead_bytes),
    FIGURE(readahead_wasted_bytes),
    FIGURE(single_flight_waits),
    FIGURE(revalidations),
    FIGURE(stale_served),
    FIGURE(ram_used),
    FIGURE(ram_max),
    FIGURE(resident_bytes),
    FIGURE(blocks),
    FIGURE(names),
    FIGURE(files),
    FIGURE(open_handles),
    FIGURE(dirty_bytes),
    FIGURE(dirty_files),
    FIGURE(oldest_dirty_age_us),
    FIGURE(pinned_bytes),
    FIGURE(l2_hits),
    FIGURE(l2_misses),
    FIGURE(l2_hit_bytes),
    FIGURE(l2_put_bytes),
    FIGURE(l2_written_bytes),
    FIGURE(l2_bytes),
    FIGURE(l2_index_bytes),
    FIGURE(l2_bad),
    FIGURE(l2_errors),
    FIGURE(journal_bytes),
    FIGURE(journal_max),
    FIGURE(journal_failed),
    FIGURE(recovering),
    FIGURE(recovery_lost),
    FIGURE(compacted_bytes),
    FIGURE(retrying_files),
#undef FIGURE
};

static const struct {
    const char *op, *result;
} times[] = {
    {"read", "hit"},   {"read", "miss"},     {"read", "backend"}, {"write", "done"},
    {"open", "hit"},   {"open", "miss"},     {"stat", "hit"},     {"stat", "miss"},
    {"flush", "done"}, {"write", "backend"},
};

/* How long operations took: the median and what one in a hundred exceeds. */
static void put_times(mount_run_t *run, apr_pool_t *pool, mount_figure_fn put, void *baton)
{
    metrics_snapshot_t *now = NULL;
    metrics_summary_t sum;
    if (metrics_snapshot(&now, cachefs_metrics(run->stack.cache), pool) != APR_SUCCESS) return;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        const char *labels =
            apr_psprintf(pool, "op=\"%s\",result=\"%s\"", times[i].op, times[i].result);
        const char *name = apr_pstrcat(pool, times[i].op, "_", times[i].result, NULL);
        if (metrics_snapshot_summary(now, "cachefs_operation_duration_seconds", labels, &sum) !=
            APR_SUCCESS)
            continue;
        put(baton, apr_pstrcat(pool, name, "_p50_ns", NULL), sum.p50_ns);
        put(baton, apr_pstrcat(pool, name, "_p99_ns", NULL), sum.p99_ns);
    }
}

apr_status_t mount_figures(mount_run_t *run, apr_pool_t *pool, mount_figure_fn put, void *baton)
{
    cachefs_stats_t now = {.size = sizeof(now)};
    uint64_t lines = 0, left_out = 0;
    apr_status_t status = cachefs_stats(run->stack.cache, &now);
    if (status != APR_SUCCESS) return status;
    put(baton, "up_us", (uint64_t)(apr_time_now() - run->began_us));
    put(baton, "kernel_inodes", mount_inodes(run->mount));
    mount_access_counts(&lines, &left_out);
    put(baton, "access_log_lines", lines);
    put(baton, "access_log_left_out", left_out);
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        uint64_t value = 0;
        memcpy(&value, (const char *)&now + figures[i].offset, sizeof(value));
        put(baton, figures[i].name, value);
    }
    put_times(run, pool, put, baton);
    return APR_SUCCESS;
}

/* ---- lists */

#define ROWS_MAX 20u

typedef struct lists_t {
    mount_row_fn put;
    void *baton;
} lists_t;

static void put_hot(void *baton, const char *path, uint64_t calls)
{
    const lists_t *to = baton;
    char number[24];
    const char *words[] = {"row", "calls", number, "path", path};
    (void)snprintf(number, sizeof(number), "%" PRIu64, calls);
    to->put(to->baton, words, sizeof(words) / sizeof(words[0]));
}

static void put_dirty(void *baton, const cachefs_dirty_t *file)
{
    const lists_t *to = baton;
    char bytes[24], age[24], retry[24], why[256] = "";
    const char *words[] = {"row", "dirty_bytes", bytes, "age_us", age,       "retry_in_us",
                           retry, "error",       why,   "path",   file->path};
    (void)snprintf(bytes, sizeof(bytes), "%" PRIu64, file->bytes);
    (void)snprintf(age, sizeof(age), "%" PRIu64, file->age_us);
    (void)snprintf(retry, sizeof(retry), "%" PRIu64, file->retry_us);
    if (file->error != APR_SUCCESS) (void)vfs_strerror(file->error, why, sizeof(why));
    if (file->path == NULL) words[10] = "";
    to->put(to->baton, words, sizeof(words) / sizeof(words[0]));
}

void mount_lists(mount_run_t *run, mount_row_fn put, void *baton)
{
    static const char *const hottest[] = {"list", "hottest"}, *const queue[] = {"list", "queue"};
    lists_t to = {put, baton};
    put(baton, hottest, 2);
    mount_hottest(run->mount, ROWS_MAX, put_hot, &to);
    put(baton, queue, 2);
    (void)cachefs_dirty_files(run->stack.cache, ROWS_MAX, put_dirty, &to); /* or none is shown */
}
