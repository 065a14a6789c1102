/*
 * registry.c - the owner of metrics: making them, finding them again, switching and resetting.
 * Floor 1.
 *
 * Families and their metrics are only ever added, at the end of their lists, and stay until the
 * registry goes. So the lock is for those who add; readers follow the lists without it, and no
 * callback runs under it.
 */
#include <stdlib.h>
#include <string.h>

#include "metrics/metrics_private.h"

static void metric_free(metrics__metric_t *metric)
{
    metrics__histogram_destroy(metric->histogram);
    free(metric->labels);
    free(metric);
}

static void family_free(metrics__family_t *family)
{
    metrics__metric_t *metric = atomic_load_explicit(&family->first, memory_order_relaxed);
    while (metric != NULL) {
        metrics__metric_t *next = atomic_load_explicit(&metric->next, memory_order_relaxed);
        metric_free(metric);
        metric = next;
    }
    free(family->name);
    free(family->help);
    free(family);
}

static apr_status_t registry_free(void *data)
{
    metrics_registry_t *registry = data;
    metrics__family_t *family = atomic_load_explicit(&registry->first, memory_order_relaxed);
    while (family != NULL) {
        metrics__family_t *next = atomic_load_explicit(&family->next, memory_order_relaxed);
        family_free(family);
        family = next;
    }
    while (registry->chunks != NULL) {
        metrics__chunk_t *next = registry->chunks->next;
        free(registry->chunks);
        registry->chunks = next;
    }
    (void)pthread_mutex_destroy(&registry->lock); /* nobody holds it any more */
    free(registry);
    return APR_SUCCESS;
}

apr_status_t metrics_registry_create(metrics_registry_t **out, apr_pool_t *pool)
{
    METRICS_CHECK_ARG(out != NULL && pool != NULL);
    *out = NULL;
    metrics_registry_t *registry = calloc(1, sizeof *registry);
    if (registry == NULL) return APR_ENOMEM;
    if (pthread_mutex_init(&registry->lock, NULL) != 0) {
        free(registry);
        return APR_ENOMEM;
    }
    atomic_store_explicit(&registry->enabled, 1, memory_order_relaxed);
    registry->pool = pool;
    apr_pool_cleanup_register(pool, registry, registry_free, apr_pool_cleanup_null);
    *out = registry;
    return APR_SUCCESS;
}

void metrics_registry_destroy(metrics_registry_t *registry)
{
    if (registry == NULL) return;
    (void)apr_pool_cleanup_run(registry->pool, registry, registry_free); /* never fails */
}

static void lock(metrics_registry_t *registry)
{
    int failed = pthread_mutex_lock(&registry->lock);
    METRICS_ASSERT(!failed);
}

static void unlock(metrics_registry_t *registry)
{
    int failed = pthread_mutex_unlock(&registry->lock);
    METRICS_ASSERT(!failed);
}

/* ---- every metric of a registry, under the lock */

static void each(metrics_registry_t *registry, void (*fn)(metrics__metric_t *metric, int arg),
                 int arg)
{
    metrics__family_t *family = atomic_load_explicit(&registry->first, memory_order_relaxed);
    for (; family != NULL; family = atomic_load_explicit(&family->next, memory_order_relaxed)) {
        metrics__metric_t *metric = atomic_load_explicit(&family->first, memory_order_relaxed);
        for (; metric != NULL; metric = atomic_load_explicit(&metric->next, memory_order_relaxed)) {
            fn(metric, arg);
        }
    }
}

static void metric_switch(metrics__metric_t *metric, int enabled)
{
    if (metric->counter != NULL) {
        atomic_store_explicit(&metric->counter->enabled, (uint32_t)enabled, memory_order_relaxed);
    }
    if (metric->histogram != NULL) {
        atomic_store_explicit(&metric->histogram->enabled, (uint32_t)enabled, memory_order_relaxed);
    }
}

static void metric_reset(metrics__metric_t *metric, int unused)
{
    (void)unused;
    if (metric->counter != NULL) metrics__counter_reset(metric->counter);
    if (metric->histogram != NULL) metrics__histogram_reset(metric->histogram);
}

void metrics_set_enabled(metrics_registry_t *registry, int enabled)
{
    lock(registry);
    atomic_store_explicit(&registry->enabled, enabled != 0, memory_order_relaxed);
    each(registry, metric_switch, enabled != 0);
    unlock(registry);
}

int metrics_enabled(const metrics_registry_t *registry)
{
    return atomic_load_explicit(&registry->enabled, memory_order_relaxed);
}

void metrics_reset(metrics_registry_t *registry)
{
    lock(registry);
    each(registry, metric_reset, 0);
    unlock(registry);
}

/* ---- making */

/* What is asked for, checked. */
typedef struct want_t {
    const char *name, *help;
    char labels[METRICS__LABELS_MAX + 1];
    metrics__type_e type;
    metrics__source_e source;
    metrics_read_fn fn;
    void *baton;
} want_t;

/* The function and baton of a callback stay as they are. */
static apr_status_t want_check(want_t *want, const char *name, const char *labels, const char *help,
                               metrics__type_e type, metrics__source_e source)
{
    want->name = name;
    want->help = help != NULL ? help : "";
    want->type = type;
    want->source = source;
    METRICS_CHECK_ARG(name != NULL && metrics__name_ok(name, type));
    METRICS_CHECK_ARG(metrics__utf8_ok(want->help, METRICS__HELP_MAX));
    return metrics__labels_sort(want->labels, labels, type);
}

/* The family of that name. APR_EINVAL if it is another kind of family, or the name clashes with
 * one. */
static apr_status_t family_find(metrics__family_t **out, metrics_registry_t *registry,
                                const want_t *want)
{
    metrics__family_t *family = atomic_load_explicit(&registry->first, memory_order_relaxed);
    *out = NULL;
    for (; family != NULL; family = atomic_load_explicit(&family->next, memory_order_relaxed)) {
        if (strcmp(family->name, want->name) == 0) {
            METRICS_CHECK_ARG(family->type == want->type);
            METRICS_CHECK_ARG(strcmp(family->help, want->help) == 0);
            *out = family;
            return APR_SUCCESS;
        }
        METRICS_CHECK_ARG(
            !metrics__names_clash(family->name, family->type, want->name, want->type));
    }
    return APR_SUCCESS;
}

static metrics__metric_t *metric_find(const metrics__family_t *family, const char *labels)
{
    metrics__metric_t *metric = atomic_load_explicit(&family->first, memory_order_relaxed);
    while (metric != NULL && strcmp(metric->labels, labels) != 0) {
        metric = atomic_load_explicit(&metric->next, memory_order_relaxed);
    }
    return metric;
}

static metrics__family_t *family_create(const want_t *want)
{
    metrics__family_t *family = calloc(1, sizeof *family);
    if (family == NULL) return NULL;
    family->type = want->type;
    family->name = strdup(want->name);
    family->help = strdup(want->help);
    if (family->name == NULL || family->help == NULL) {
        family_free(family);
        return NULL;
    }
    return family;
}

static metrics_counter_t *counter_create(metrics_registry_t *registry)
{
    int enabled = metrics_enabled(registry);
    metrics_counter_t *counter = metrics__chunk_take(registry->chunks, enabled);
    if (counter != NULL) return counter;
    metrics__chunk_t *chunk = metrics__chunk_create();
    if (chunk == NULL) return NULL;
    chunk->next = registry->chunks;
    registry->chunks = chunk;
    return metrics__chunk_take(chunk, enabled);
}

static metrics__metric_t *metric_create(metrics_registry_t *registry, const want_t *want)
{
    size_t size = (sizeof(metrics__metric_t) + METRICS__LINE - 1) & ~(size_t)(METRICS__LINE - 1);
    metrics__metric_t *metric = aligned_alloc(METRICS__LINE, size);
    if (metric == NULL) return NULL;
    memset(metric, 0, size);
    metric->source = want->source;
    metric->fn = want->fn;
    metric->baton = want->baton;
    metric->labels = strdup(want->labels);
    int complete = metric->labels != NULL;
    if (complete && want->source == METRICS__FROM_HISTOGRAM) {
        metric->histogram = metrics__histogram_create(metrics_enabled(registry));
        complete = metric->histogram != NULL;
    }
    /* Last, because a counter that was taken is not given back. */
    if (complete && want->source == METRICS__FROM_COUNTER) {
        metric->counter = counter_create(registry);
        complete = metric->counter != NULL;
    }
    if (!complete) {
        metric_free(metric);
        return NULL;
    }
    return metric;
}

/* release: who finds it on a list finds it complete */
static void metric_add(metrics__family_t *family, metrics__metric_t *metric)
{
    metrics__metric_t *_Atomic *end = family->last != NULL ? &family->last->next : &family->first;
    atomic_store_explicit(end, metric, memory_order_release);
    family->last = metric;
}

static void family_add(metrics_registry_t *registry, metrics__family_t *family)
{
    metrics__family_t *_Atomic *end =
        registry->last != NULL ? &registry->last->next : &registry->first;
    atomic_store_explicit(end, family, memory_order_release);
    registry->last = family;
}

static apr_status_t make_locked(metrics__metric_t **out, metrics_registry_t *registry,
                                const want_t *want)
{
    metrics__family_t *family;
    apr_status_t status = family_find(&family, registry, want);
    if (status != APR_SUCCESS) return status;
    metrics__metric_t *metric = family != NULL ? metric_find(family, want->labels) : NULL;
    if (metric != NULL) {
        METRICS_CHECK_ARG(metric->source == want->source);
        METRICS_CHECK_ARG(metric->fn == want->fn && metric->baton == want->baton);
        *out = metric;
        return APR_SUCCESS;
    }
    metric = metric_create(registry, want);
    if (metric == NULL) return APR_ENOMEM;
    if (family != NULL) {
        metric_add(family, metric);
    } else {
        family = family_create(want);
        if (family == NULL) {
            metric_free(metric);
            return APR_ENOMEM;
        }
        metric_add(family, metric); /* first, so that a family is never seen empty */
        family_add(registry, family);
    }
    *out = metric;
    return APR_SUCCESS;
}

/* The metric that is wanted, new or found. On an error NULL and a status. */
static metrics__metric_t *make(apr_status_t *status, metrics_registry_t *registry,
                               const want_t *want)
{
    metrics__metric_t *metric = NULL;
    lock(registry);
    *status = make_locked(&metric, registry, want);
    unlock(registry);
    return metric;
}

apr_status_t metrics_counter(metrics_counter_t **out, metrics_registry_t *registry,
                             const char *name, const char *labels, const char *help)
{
    want_t want = {.fn = NULL};
    METRICS_CHECK_ARG(out != NULL && registry != NULL);
    *out = NULL;
    apr_status_t status =
        want_check(&want, name, labels, help, METRICS__COUNTER, METRICS__FROM_COUNTER);
    if (status != APR_SUCCESS) return status;
    const metrics__metric_t *metric = make(&status, registry, &want);
    if (metric != NULL) *out = metric->counter;
    return status;
}

apr_status_t metrics_gauge(metrics_gauge_t **out, metrics_registry_t *registry, const char *name,
                           const char *labels, const char *help)
{
    want_t want = {.fn = NULL};
    METRICS_CHECK_ARG(out != NULL && registry != NULL);
    *out = NULL;
    apr_status_t status =
        want_check(&want, name, labels, help, METRICS__GAUGE, METRICS__FROM_GAUGE);
    if (status != APR_SUCCESS) return status;
    metrics__metric_t *metric = make(&status, registry, &want);
    if (metric != NULL) *out = &metric->gauge;
    return status;
}

apr_status_t metrics_histogram(metrics_histogram_t **out, metrics_registry_t *registry,
                               const char *name, const char *labels, const char *help)
{
    want_t want = {.fn = NULL};
    METRICS_CHECK_ARG(out != NULL && registry != NULL);
    *out = NULL;
    apr_status_t status =
        want_check(&want, name, labels, help, METRICS__HISTOGRAM, METRICS__FROM_HISTOGRAM);
    if (status != APR_SUCCESS) return status;
    const metrics__metric_t *metric = make(&status, registry, &want);
    if (metric != NULL) *out = metric->histogram;
    return status;
}

apr_status_t metrics_callback(metrics_registry_t *registry, const char *name, const char *labels,
                              const char *help, int is_counter, metrics_read_fn fn, void *baton)
{
    want_t want = {.fn = fn, .baton = baton};
    METRICS_CHECK_ARG(registry != NULL && fn != NULL);
    apr_status_t status =
        want_check(&want, name, labels, help, is_counter ? METRICS__COUNTER : METRICS__GAUGE,
                   METRICS__FROM_CALLBACK);
    if (status == APR_SUCCESS) (void)make(&status, registry, &want); /* it says so in status */
    return status;
}
