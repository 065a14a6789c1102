/*
 * figures.c - what a remote backend has done, whatever it speaks: as figures and as metrics.
 * Floor 2.
 */
#include "backends/figures.h"

#include <stddef.h>

#include "metrics/metrics.h"
#include "vfs/objects.h"
#include "vfs/vfs_ops.h"

/* Where a metric is in the figures. */
typedef struct metric_t {
    const vfs_t *backend;
    size_t at;
} metric_t;

static int figures_of(const vfs_t *fs, vfs_remote_figures_t *out)
{
    return remote__figures_of(fs, out) || sftp__figures_of(fs, out);
}

/* The remote backend at the bottom; NULL: it is none. */
static const vfs_t *backend_of(const vfs_t *fs)
{
    while (fs != NULL && !figures_of(fs, NULL)) {
        const vfs_t *inner = vfs__links_lower(fs);
        if (inner == NULL) inner = vfs__objects_lower(fs);
        fs = inner != NULL ? inner : fs->lower;
    }
    return fs;
}

static double read_metric(void *baton)
{
    const metric_t *m = baton;
    vfs_remote_figures_t figures;
    (void)figures_of(m->backend, &figures); /* it was one when this was made */
    return (double)*(const uint64_t *)((const char *)&figures + m->at);
}

static double read_away(void *baton)
{
    const metric_t *m = baton;
    vfs_remote_figures_t figures;
    (void)figures_of(m->backend, &figures); /* as above */
    return figures.breaker_open;
}

static double read_cost(void *baton)
{
    const metric_t *m = baton;
    vfs_remote_figures_t figures;
    (void)figures_of(m->backend, &figures); /* as above */
    return figures.cost;
}

apr_status_t vfs_remote_figures(vfs_t *fs, vfs_remote_figures_t *out)
{
    VFS_CHECK_ARG(fs != NULL && out != NULL && out->size == sizeof(*out));
    const vfs_t *backend = backend_of(fs);
    VFS_CHECK_ARG(backend != NULL);
    *out = (vfs_remote_figures_t){.size = sizeof(*out)};
    (void)figures_of(backend, out); /* as above */
    return APR_SUCCESS;
}

apr_status_t vfs_remote_metrics(vfs_t *fs, metrics_registry_t *registry)
{
    static const struct {
        size_t at;
        int is_counter;
        const char *name, *help;
    } rows[] = {
#define ROW(field, is_counter, name, help)                                                         \
    {offsetof(vfs_remote_figures_t, field), is_counter, name, help}
        ROW(requests, 1, "cachefs_remote_requests_total",
            "Requests to the origin's server, redirects that are followed too."),
        ROW(attempts, 1, "cachefs_remote_attempts_total",
            "Requests that were sent, with those that were sent again."),
        ROW(failures, 1, "cachefs_remote_failed_attempts_total",
            "Attempts without an answer, or whose answer was that the server has too much to do."),
        ROW(refused, 1, "cachefs_remote_refused_total",
            "Attempts that were not made, because the server is known to be away."),
        ROW(bytes_in, 1, "cachefs_remote_received_bytes_total", "Bytes of bodies of answers."),
        ROW(bytes_out, 1, "cachefs_remote_sent_bytes_total", "Bytes of bodies of requests."),
        ROW(connections, 1, "cachefs_remote_connections_total", "Connections that were made."),
        ROW(breaker_opened, 1, "cachefs_remote_breaker_opened_total",
            "How often the server was found to be away."),
        ROW(hedged, 1, "cachefs_remote_hedged_total",
            "Reads that took long and were asked for once more meanwhile."),
#undef ROW
    };
    VFS_CHECK_ARG(fs != NULL && registry != NULL);
    const vfs_t *backend = backend_of(fs);
    VFS_CHECK_ARG(backend != NULL);
    metric_t *away = apr_palloc(fs->pool, sizeof(*away));
    away->backend = backend;
    apr_status_t status =
        metrics_callback(registry, "cachefs_remote_breaker_open", NULL,
                         "1 while the server is known to be away.", 0, read_away, away);
    vfs_remote_figures_t figures = {.priced = 0};
    (void)figures_of(backend, &figures); /* as above */
    if (status == APR_SUCCESS && figures.priced)
        status = metrics_callback(registry, "cachefs_remote_cost_total", NULL,
                                  "Estimated cost of requests and received bytes, in the unit of "
                                  "the prices that the origin's URI has.",
                                  1, read_cost, away);
    for (size_t i = 0; status == APR_SUCCESS && i < sizeof(rows) / sizeof(rows[0]); i++) {
        metric_t *m = apr_palloc(fs->pool, sizeof(*m));
        m->backend = backend;
        m->at = rows[i].at;
        status = metrics_callback(registry, rows[i].name, NULL, rows[i].help, rows[i].is_counter,
                                  read_metric, m);
    }
    return status;
}
