/*
 * Threads that count, record, make, switch, reset, read and export at once: for ThreadSanitizer.
 * Afterwards every update that was counted must be there.
 */
#include <apr_general.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "metrics/metrics_inline.h"

#define CHECK(cond)                                                                                \
    ((cond) ? (void)0                                                                              \
            : (fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #cond), abort()))

enum { WRITERS = 40, UPDATES = 3000, ROUNDS = 40 };

static metrics_registry_t *registry;
static metrics_counter_t *counter;
static metrics_gauge_t *gauge;
static metrics_histogram_t *histogram;
static _Atomic int writing;

static double ask(void *baton)
{
    return (double)metrics_counter_value(baton);
}

static void *writer(void *data)
{
    for (uint64_t i = 1; i <= UPDATES; i++) {
        metrics_add(counter, 1);
        metrics__add_inline(counter, 1);
        metrics_gauge_add(gauge, 1);
        metrics_record(histogram, i);
    }
    return data;
}

static void *maker(void *data)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        metrics_counter_t *made, *again;
        char labels[40];
        (void)snprintf(labels, sizeof labels, "i=\"%u\"", i);
        CHECK(metrics_counter(&made, registry, "made_total", labels, "Made.") == APR_SUCCESS);
        metrics_add(made, 1);
        CHECK(metrics_counter(&again, registry, "made_total", labels, "Made.") == APR_SUCCESS);
        CHECK(made == again);
    }
    return data;
}

static void *reader(void *data)
{
    double last = 0;
    apr_pool_t *pool;
    CHECK(apr_pool_create(&pool, NULL) == APR_SUCCESS);
    metrics_snapshot_t *first, *now, *diff;
    CHECK(metrics_snapshot(&first, registry, pool) == APR_SUCCESS);
    do {
        apr_pool_t *round;
        char *text;
        double value;
        metrics_summary_t summary;
        CHECK(apr_pool_create(&round, pool) == APR_SUCCESS);
        CHECK(metrics_snapshot(&now, registry, round) == APR_SUCCESS);
        CHECK(metrics_snapshot_value(now, "counted_total", NULL, &value) == APR_SUCCESS);
        CHECK(value >= last); /* a counter never goes back */
        last = value;
        CHECK(metrics_snapshot_summary(now, "recorded_seconds", NULL, &summary) == APR_SUCCESS);
        CHECK(summary.min_ns <= summary.p50_ns && summary.p50_ns <= summary.p9999_ns);
        CHECK(summary.p9999_ns <= summary.max_ns);
        CHECK(metrics_snapshot_diff(&diff, now, first, round) == APR_SUCCESS);
        CHECK(metrics_export(&text, NULL, diff, METRICS_JSON, round) == APR_SUCCESS);
        apr_pool_destroy(round);
    } while (atomic_load_explicit(&writing, memory_order_acquire));
    apr_pool_destroy(pool);
    return data;
}

static void *disturber(void *data)
{
    do {
        metrics_set_enabled(registry, 0);
        metrics_set_enabled(registry, 1);
        metrics_reset(registry);
    } while (atomic_load_explicit(&writing, memory_order_acquire));
    return data;
}

/* Writers, more than there are rows of their own, with makers, a reader and, if asked for, someone
 * who resets. */
static void run(void *(*other)(void *))
{
    pthread_t writers[WRITERS], makers[2], third;
    atomic_store_explicit(&writing, 1, memory_order_release);
    CHECK(pthread_create(&third, NULL, other, NULL) == 0);
    for (unsigned i = 0; i < 2; i++)
        CHECK(pthread_create(&makers[i], NULL, maker, NULL) == 0);
    for (unsigned i = 0; i < WRITERS; i++) {
        CHECK(pthread_create(&writers[i], NULL, writer, NULL) == 0);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        CHECK(pthread_join(writers[i], NULL) == 0);
    for (unsigned i = 0; i < 2; i++)
        CHECK(pthread_join(makers[i], NULL) == 0);
    atomic_store_explicit(&writing, 0, memory_order_release);
    CHECK(pthread_join(third, NULL) == 0);
}

int main(void)
{
    apr_pool_t *pool;
    metrics_summary_t summary;
    CHECK(apr_initialize() == APR_SUCCESS);
    CHECK(apr_pool_create(&pool, NULL) == APR_SUCCESS);
    CHECK(metrics_registry_create(&registry, pool) == APR_SUCCESS);
    CHECK(metrics_counter(&counter, registry, "counted_total", NULL, NULL) == APR_SUCCESS);
    CHECK(metrics_gauge(&gauge, registry, "level", NULL, NULL) == APR_SUCCESS);
    CHECK(metrics_histogram(&histogram, registry, "recorded_seconds", NULL, NULL) == APR_SUCCESS);
    CHECK(metrics_callback(registry, "asked_total", NULL, NULL, 1, ask, counter) == APR_SUCCESS);

    run(reader);
    CHECK(metrics_counter_value(counter) == 2ull * WRITERS * UPDATES);
    CHECK(metrics_gauge_value(gauge) == (double)WRITERS * UPDATES);
    metrics_histogram_summary(histogram, &summary);
    CHECK(summary.count == (uint64_t)WRITERS * UPDATES);
    CHECK(summary.min_ns == 1 && summary.max_ns == UPDATES);
    CHECK(summary.sum_ns == (double)WRITERS * UPDATES * (UPDATES + 1) / 2);

    run(disturber);
    CHECK(metrics_counter_value(counter) <= 2ull * WRITERS * UPDATES);
    CHECK(metrics_gauge_value(gauge) == 2.0 * WRITERS * UPDATES); /* never reset, never off */
    metrics_reset(registry);
    CHECK(metrics_counter_value(counter) == 0);

    metrics_registry_destroy(registry);
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}
