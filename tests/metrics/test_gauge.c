/*
 * Gauges and callback metrics.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>

#include "tests/metrics/support_registry.h"

TestSuite(metrics_gauge, .init = registry_setup, .fini = registry_teardown);

static metrics_gauge_t *gauge(void)
{
    metrics_gauge_t *made;
    cr_assert_eq(metrics_gauge(&made, registry, "queue_bytes", NULL, "Help."), APR_SUCCESS);
    return made;
}

Test(metrics_gauge, starts_at_zero_and_holds_what_was_set)
{
    metrics_gauge_t *g = gauge();
    static const double values[] = {1, -2.5, 0, 1e300, -1e-300, INFINITY, -INFINITY};
    cr_expect_eq(metrics_gauge_value(g), 0);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        metrics_gauge_set(g, values[i]);
        cr_expect_eq(metrics_gauge_value(g), values[i]);
    }
    metrics_gauge_set(g, NAN);
    cr_expect(isnan(metrics_gauge_value(g)));
}

Test(metrics_gauge, adds_and_takes_away)
{
    metrics_gauge_t *g = gauge();
    metrics_gauge_set(g, 10);
    metrics_gauge_add(g, 2.5);
    metrics_gauge_add(g, -20);
    cr_expect_eq(metrics_gauge_value(g), -7.5);
}

Test(metrics_gauge, goes_on_when_recording_is_off)
{
    metrics_gauge_t *g = gauge();
    metrics_gauge_add(g, 1);
    metrics_set_enabled(registry, 0);
    metrics_gauge_add(g, -1);
    metrics_set_enabled(registry, 1);
    cr_expect_eq(metrics_gauge_value(g), 0);
}

Test(metrics_gauge, survives_a_reset)
{
    metrics_gauge_t *g = gauge();
    metrics_gauge_set(g, 3);
    metrics_reset(registry);
    cr_expect_eq(metrics_gauge_value(g), 3);
}

static void *up_and_down(void *data)
{
    for (unsigned i = 0; i < 20000; i++) {
        metrics_gauge_add(data, 3);
        metrics_gauge_add(data, -2);
    }
    return NULL;
}

Test(metrics_gauge, loses_no_change_among_threads)
{
    metrics_gauge_t *g = gauge();
    pthread_t ids[4];
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(pthread_create(&ids[i], NULL, up_and_down, g), 0);
    }
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(pthread_join(ids[i], NULL), 0);
    cr_expect_eq(metrics_gauge_value(g), 80000);
}

static double answer(void *baton)
{
    return ++*(double *)baton;
}

Test(metrics_gauge, a_callback_is_asked_by_each_snapshot)
{
    double value = 41, read;
    metrics_snapshot_t *snapshot;
    cr_assert_eq(metrics_callback(registry, "asked", NULL, "Help.", 0, answer, &value),
                 APR_SUCCESS);
    cr_assert_eq(metrics_callback(registry, "asked_total", NULL, "Help.", 1, answer, &value),
                 APR_EINVAL); /* one name in OpenMetrics */
    cr_assert_eq(metrics_callback(registry, "other_total", "a=\"b\"", "Help.", 1, answer, &value),
                 APR_SUCCESS);
    cr_assert_eq(metrics_snapshot(&snapshot, registry, pool), APR_SUCCESS);
    cr_expect_eq(value, 43);
    cr_expect_eq(metrics_snapshot_value(snapshot, "asked", NULL, &read), APR_SUCCESS);
    cr_expect_eq(read, 42);
    cr_expect_eq(metrics_snapshot_value(snapshot, "other_total", "a=\"b\"", &read), APR_SUCCESS);
    cr_expect_eq(read, 43);
}

Test(metrics_gauge, a_callback_again_is_harmless_but_keeps_its_source)
{
    double one = 0, two = 0;
    metrics_gauge_t *g;
    for (unsigned i = 0; i < 2; i++) {
        cr_expect_eq(metrics_callback(registry, "asked", NULL, "Help.", 0, answer, &one),
                     APR_SUCCESS);
    }
    cr_expect_eq(metrics_callback(registry, "asked", NULL, "Help.", 0, answer, &two), APR_EINVAL);
    cr_expect_eq(metrics_gauge(&g, registry, "asked", NULL, "Help."), APR_EINVAL);
    cr_expect_null(g);
    cr_expect_eq(metrics_gauge(&g, registry, "asked", "a=\"b\"", "Help."), APR_SUCCESS);
    cr_expect_eq(metrics_callback(registry, "asked", "a=\"b\"", "Help.", 0, answer, &one),
                 APR_EINVAL);
    cr_expect_eq(metrics_callback(registry, "more", NULL, "Help.", 0, NULL, NULL), APR_EINVAL);
    cr_expect_eq(metrics_callback(NULL, "more", NULL, "Help.", 0, answer, NULL), APR_EINVAL);
    cr_expect_eq(metrics_callback(registry, "more_total", NULL, "Help.", 0, answer, NULL),
                 APR_EINVAL);
    cr_expect_eq(metrics_callback(registry, "more", NULL, "Help.", 1, answer, NULL), APR_EINVAL);
}
