/*
 * snapshot.c - the values of a registry, kept in a pool; their differences, and looking them up.
 * Floor 1.
 *
 * A snapshot copies all it needs, so it outlives its registry. Groups and values are in the order
 * of making: an older snapshot of the same registry is a prefix of a newer one, group by group.
 */
#include <math.h>
#include <string.h>

#include <apr_strings.h>

#include "metrics/metrics_private.h"

/* Keep the cells in the pool. */
static apr_status_t figures_keep(metrics__figures_t *figures, apr_pool_t *pool)
{
    if (figures->used == 0) return APR_SUCCESS;
    figures->cells = apr_pmemdup(pool, figures->cells, figures->used * sizeof *figures->cells);
    return figures->cells != NULL ? APR_SUCCESS : APR_ENOMEM;
}

static apr_status_t value_read(metrics__value_t *value, const metrics__metric_t *metric,
                               apr_pool_t *pool)
{
    uint64_t scratch[METRICS__CELLS];
    switch (metric->source) {
    case METRICS__FROM_COUNTER:
        value->exact = 1;
        value->whole = metrics_counter_value(metric->counter);
        return APR_SUCCESS;
    case METRICS__FROM_GAUGE:
        value->number = metrics_gauge_value(&metric->gauge);
        return APR_SUCCESS;
    case METRICS__FROM_CALLBACK:
        value->number = metric->fn(metric->baton);
        return APR_SUCCESS;
    case METRICS__FROM_HISTOGRAM:
        metrics__figures_read(&value->figures, metric->histogram, scratch);
        return figures_keep(&value->figures, pool);
    }
    METRICS_ASSERT(!"a source that does not exist");
}

static apr_status_t group_read(metrics__group_t *group, const metrics__family_t *family,
                               apr_pool_t *pool)
{
    metrics__value_t **end = &group->first;
    group->name = apr_pstrdup(pool, family->name);
    group->help = apr_pstrdup(pool, family->help);
    group->type = family->type;
    const metrics__metric_t *metric = atomic_load_explicit(&family->first, memory_order_acquire);
    for (; metric != NULL; metric = atomic_load_explicit(&metric->next, memory_order_acquire)) {
        metrics__value_t *value = apr_pcalloc(pool, sizeof *value);
        if (value == NULL) return APR_ENOMEM;
        value->labels = apr_pstrdup(pool, metric->labels);
        apr_status_t status = value_read(value, metric, pool);
        if (status != APR_SUCCESS) return status;
        *end = value;
        end = &value->next;
    }
    return APR_SUCCESS;
}

apr_status_t metrics_snapshot(metrics_snapshot_t **out, const metrics_registry_t *registry,
                              apr_pool_t *pool)
{
    METRICS_CHECK_ARG(out != NULL && registry != NULL && pool != NULL);
    *out = NULL;
    metrics_snapshot_t *snapshot = apr_pcalloc(pool, sizeof *snapshot);
    if (snapshot == NULL) return APR_ENOMEM;
    snapshot->taken = apr_time_now();
    metrics__group_t **end = &snapshot->first;
    const metrics__family_t *family = atomic_load_explicit(&registry->first, memory_order_acquire);
    for (; family != NULL; family = atomic_load_explicit(&family->next, memory_order_acquire)) {
        metrics__group_t *group = apr_pcalloc(pool, sizeof *group);
        if (group == NULL) return APR_ENOMEM;
        apr_status_t status = group_read(group, family, pool);
        if (status != APR_SUCCESS) return status;
        *end = group;
        end = &group->next;
    }
    *out = snapshot;
    return APR_SUCCESS;
}

/* ---- differences */

/* newer - older. A counter that went back was reset between them: what it counted since is the
 * answer. */
static apr_status_t value_subtract(metrics__value_t *value, const metrics__value_t *older,
                                   metrics__type_e type, apr_pool_t *pool)
{
    uint64_t scratch[METRICS__CELLS];
    if (type == METRICS__COUNTER) {
        if (value->whole >= older->whole) value->whole -= older->whole;
        if (value->number >= older->number) value->number -= older->number;
    }
    if (type != METRICS__HISTOGRAM) return APR_SUCCESS;
    metrics__figures_t newer = value->figures;
    metrics__figures_diff(&value->figures, &newer, &older->figures, scratch);
    return figures_keep(&value->figures, pool);
}

static apr_status_t group_subtract(metrics__group_t *group, const metrics__group_t *newer,
                                   const metrics__group_t *older, apr_pool_t *pool)
{
    metrics__value_t **end = &group->first;
    const metrics__value_t *now = newer->first, *then = older != NULL ? older->first : NULL;
    group->name = apr_pstrdup(pool, newer->name);
    group->help = apr_pstrdup(pool, newer->help);
    group->type = newer->type;
    for (; now != NULL; now = now->next) {
        metrics__value_t *value = apr_pmemdup(pool, now, sizeof *now);
        if (value == NULL) return APR_ENOMEM;
        value->labels = apr_pstrdup(pool, now->labels);
        value->next = NULL;
        apr_status_t status = figures_keep(&value->figures, pool);
        if (status == APR_SUCCESS && then != NULL) {
            if (strcmp(then->labels, now->labels) != 0) return APR_EINVAL;
            status = value_subtract(value, then, group->type, pool);
            then = then->next;
        }
        if (status != APR_SUCCESS) return status;
        *end = value;
        end = &value->next;
    }
    return then == NULL ? APR_SUCCESS : APR_EINVAL;
}

apr_status_t metrics_snapshot_diff(metrics_snapshot_t **out, const metrics_snapshot_t *newer,
                                   const metrics_snapshot_t *older, apr_pool_t *pool)
{
    METRICS_CHECK_ARG(out != NULL && newer != NULL && older != NULL && pool != NULL);
    *out = NULL;
    metrics_snapshot_t *diff = apr_pcalloc(pool, sizeof *diff);
    if (diff == NULL) return APR_ENOMEM;
    diff->taken = newer->taken;
    metrics__group_t **end = &diff->first;
    const metrics__group_t *now = newer->first, *then = older->first;
    for (; now != NULL; now = now->next) {
        metrics__group_t *group = apr_pcalloc(pool, sizeof *group);
        if (group == NULL) return APR_ENOMEM;
        /* Another order is another registry, or the wrong way round. */
        METRICS_CHECK_ARG(then == NULL ||
                          (strcmp(then->name, now->name) == 0 && then->type == now->type));
        apr_status_t status = group_subtract(group, now, then, pool);
        if (status != APR_SUCCESS) return status;
        if (then != NULL) then = then->next;
        *end = group;
        end = &group->next;
    }
    METRICS_CHECK_ARG(then == NULL);
    *out = diff;
    return APR_SUCCESS;
}

/* ---- looking up */

static apr_status_t find(const metrics__value_t **out, const metrics_snapshot_t *snapshot,
                         const char *name, const char *labels, int histogram)
{
    char sorted[METRICS__LABELS_MAX + 1];
    METRICS_CHECK_ARG(snapshot != NULL && name != NULL);
    const metrics__group_t *group = snapshot->first;
    while (group != NULL && strcmp(group->name, name) != 0)
        group = group->next;
    if (group == NULL || (group->type == METRICS__HISTOGRAM) != histogram) return APR_NOTFOUND;
    if (metrics__labels_sort(sorted, labels, group->type) != APR_SUCCESS) return APR_NOTFOUND;
    const metrics__value_t *value = group->first;
    while (value != NULL && strcmp(value->labels, sorted) != 0)
        value = value->next;
    *out = value;
    return value != NULL ? APR_SUCCESS : APR_NOTFOUND;
}

apr_status_t metrics_snapshot_value(const metrics_snapshot_t *snapshot, const char *name,
                                    const char *labels, double *value)
{
    const metrics__value_t *found;
    METRICS_CHECK_ARG(value != NULL);
    apr_status_t status = find(&found, snapshot, name, labels, 0);
    if (status != APR_SUCCESS) return status;
    *value = found->exact ? (double)found->whole : found->number;
    return APR_SUCCESS;
}

apr_status_t metrics_snapshot_summary(const metrics_snapshot_t *snapshot, const char *name,
                                      const char *labels, metrics_summary_t *out)
{
    const metrics__value_t *found;
    METRICS_CHECK_ARG(out != NULL);
    apr_status_t status = find(&found, snapshot, name, labels, 1);
    if (status != APR_SUCCESS) return status;
    metrics__figures_summary(&found->figures, out);
    return APR_SUCCESS;
}
