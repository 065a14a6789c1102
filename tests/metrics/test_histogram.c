/*
 * Histograms: cells, quantiles, extremes, threads.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "metrics/metrics_private.h"
#include "tests/metrics/support_registry.h"

TestSuite(metrics_histogram, .init = registry_setup, .fini = registry_teardown);

static metrics_histogram_t *histogram(void)
{
    metrics_histogram_t *made;
    cr_assert_eq(metrics_histogram(&made, registry, "x_seconds", NULL, "Help."), APR_SUCCESS);
    return made;
}

static uint64_t random_state = 42;

static uint64_t random_next(void) /* xorshift64 */
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

Test(metrics_histogram, cells_follow_each_other_without_gap_or_overlap)
{
    uint64_t low, high, next = 0;
    for (uint32_t cell = 0; cell < METRICS__CELLS; cell++) {
        metrics__cell_bounds(cell, &low, &high);
        cr_assert_eq(low, next, "cell %u begins at %llu", cell, (unsigned long long)low);
        cr_assert_geq(high, low);
        cr_assert_eq(metrics__cell_of(low), cell);
        cr_assert_eq(metrics__cell_of(high), cell);
        if (cell != METRICS__CELL_OVER) {
            cr_assert_leq((double)(high - low) / 2, 0.0079 * (double)low, "cell %u", cell);
        }
        next = high + 1;
    }
    cr_expect_eq(next, 0); /* the last one reached UINT64_MAX */
}

Test(metrics_histogram, powers_of_two_are_upper_bounds)
{
    uint64_t low, high;
    for (unsigned bits = 0; bits <= METRICS__RANGE_BITS; bits++) {
        metrics__cell_bounds(metrics__cell_of(1ull << bits), &low, &high);
        cr_expect_eq(high, 1ull << bits);
    }
}

Test(metrics_histogram, an_empty_one_is_all_zero)
{
    metrics_summary_t summary;
    metrics_histogram_t *h = histogram();
    metrics_histogram_summary(h, &summary);
    cr_expect_eq(summary.count, 0);
    cr_expect_eq(summary.sum_ns, 0);
    cr_expect_eq(summary.min_ns, 0);
    cr_expect_eq(summary.max_ns, 0);
    cr_expect_eq(summary.p50_ns, 0);
    cr_expect_eq(summary.p9999_ns, 0);
    cr_expect_eq(metrics_histogram_quantile(h, 0.5), 0);
}

Test(metrics_histogram, one_value_is_every_quantile)
{
    static const uint64_t values[] = {0,    1,         2,          127,        128,       129,
                                      1000, 123456789, 1ull << 41, 1ull << 42, UINT64_MAX};
    static const double quantiles[] = {1e-9, 0.5, 0.99, 1};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        metrics_summary_t summary;
        metrics_histogram_t *h = metrics__histogram_create(1);
        cr_assert_not_null(h);
        metrics_record(h, values[i]);
        metrics_histogram_summary(h, &summary);
        cr_expect_eq(summary.count, 1);
        cr_expect_eq(summary.sum_ns, (double)values[i]);
        cr_expect_eq(summary.min_ns, values[i]);
        cr_expect_eq(summary.max_ns, values[i]);
        for (size_t q = 0; q < 4; q++) {
            cr_expect_eq(metrics_histogram_quantile(h, quantiles[q]), values[i]);
        }
        metrics__histogram_destroy(h);
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Random values with all magnitudes from 1 ns to an hour alike. */
static uint64_t any_magnitude(void)
{
    return (random_next() >> 22) >> (random_next() % 41);
}

Test(metrics_histogram, quantiles_are_within_one_percent_of_the_sorted_values)
{
    enum { COUNT = 20000 };
    static uint64_t values[COUNT];
    static const double quantiles[] = {0.0001, 0.01, 0.1,  0.25,  0.5,    0.75,
                                       0.9,    0.95, 0.99, 0.999, 0.9999, 1};
    for (unsigned round = 0; round < 20; round++) {
        metrics_histogram_t *h = metrics__histogram_create(1);
        double sum = 0;
        cr_assert_not_null(h);
        for (unsigned i = 0; i < COUNT; i++) {
            values[i] = round % 2 ? any_magnitude() : 1000 + random_next() % (1000u << round);
            metrics_record(h, values[i]);
            sum += (double)values[i];
        }
        qsort(values, COUNT, sizeof *values, compare);
        for (size_t q = 0; q < sizeof quantiles / sizeof *quantiles; q++) {
            size_t rank = (size_t)ceil(quantiles[q] * COUNT - 1e-6);
            double right = (double)values[rank - 1];
            double got = (double)metrics_histogram_quantile(h, quantiles[q]);
            cr_expect_leq(fabs(got - right), 0.01 * right, "round %u, quantile %g: %g is not %g",
                          round, quantiles[q], got, right);
        }
        metrics_summary_t summary;
        metrics_histogram_summary(h, &summary);
        cr_expect_eq(summary.count, COUNT);
        cr_expect_eq(summary.min_ns, values[0]);
        cr_expect_eq(summary.max_ns, values[COUNT - 1]);
        cr_expect_float_eq(summary.sum_ns, sum, 1e-9 * sum);
        metrics__histogram_destroy(h);
    }
}

Test(metrics_histogram, the_nearest_rank_is_exact_for_small_counts)
{
    metrics_histogram_t *h = histogram();
    for (uint64_t i = 1; i <= 100; i++)
        metrics_record(h, i);
    for (unsigned percent = 1; percent <= 100; percent++) {
        cr_expect_eq(metrics_histogram_quantile(h, percent / 100.0), percent, "%u %%", percent);
    }
    cr_expect_eq(metrics_histogram_quantile(h, 0.501), 51);
    cr_expect_eq(metrics_histogram_quantile(h, 1e-12), 1);
}

Test(metrics_histogram, a_quantile_outside_the_range_is_an_extreme)
{
    metrics_histogram_t *h = histogram();
    metrics_record(h, 10);
    metrics_record(h, 20);
    cr_expect_eq(metrics_histogram_quantile(h, 0), 10);
    cr_expect_eq(metrics_histogram_quantile(h, -3), 10);
    cr_expect_eq(metrics_histogram_quantile(h, NAN), 10);
    cr_expect_eq(metrics_histogram_quantile(h, 1.5), 20);
}

Test(metrics_histogram, what_is_above_the_range_saturates_and_keeps_the_largest)
{
    metrics_summary_t summary;
    metrics_histogram_t *h = histogram();
    uint64_t day = 86400ull * 1000000000ull;
    metrics_record(h, 1000);
    metrics_record(h, (1ull << 42) + 1);
    metrics_record(h, day);
    metrics_record(h, day / 2);
    metrics_histogram_summary(h, &summary);
    cr_expect_eq(summary.count, 4);
    cr_expect_eq(summary.max_ns, day);
    cr_expect_eq(summary.p90_ns, day);
    cr_expect_eq(summary.p50_ns, day); /* all that is known of what lies there */
    cr_expect_eq(metrics_histogram_quantile(h, 0.25), 1000);
}

Test(metrics_histogram, recording_n_is_recording_n_times)
{
    metrics_summary_t summary;
    metrics_histogram_t *h = histogram();
    metrics_record_n(h, 50, 0);
    metrics_histogram_summary(h, &summary);
    cr_expect_eq(summary.count, 0);
    cr_expect_eq(summary.max_ns, 0);
    metrics_record_n(h, 50, 99);
    metrics_record(h, 100);
    metrics_histogram_summary(h, &summary);
    cr_expect_eq(summary.count, 100);
    cr_expect_eq(summary.sum_ns, 5050);
    cr_expect_eq(summary.p99_ns, 50);
    cr_expect_eq(summary.p999_ns, 100);
}

Test(metrics_histogram, reset_forgets_values_and_extremes)
{
    metrics_summary_t summary;
    metrics_histogram_t *h = histogram();
    metrics_record(h, 5);
    metrics_record(h, 5000);
    metrics_reset(registry);
    metrics_histogram_summary(h, &summary);
    cr_expect_eq(summary.count, 0);
    cr_expect_eq(summary.sum_ns, 0);
    cr_expect_eq(summary.max_ns, 0);
    metrics_record(h, 70);
    metrics_histogram_summary(h, &summary);
    cr_expect_eq(summary.min_ns, 70);
    cr_expect_eq(summary.max_ns, 70);
    cr_expect_eq(summary.count, 1);
}

Test(metrics_histogram, extremes_that_the_cells_contradict_are_corrected)
{
    static uint64_t cells[METRICS__CELLS];
    uint64_t low, high;
    cells[metrics__cell_of(1000)] = 1;
    cells[metrics__cell_of(5000)] = 2;
    metrics__figures_t figures = {.min = 7000, .max = 3};
    metrics__figures_settle(&figures, cells);
    metrics__cell_bounds(metrics__cell_of(1000), &low, &high);
    cr_expect_eq(figures.min, low);
    metrics__cell_bounds(metrics__cell_of(5000), &low, &high);
    cr_expect_eq(figures.max, high);
    cr_expect_eq(figures.count, 3);
    cells[METRICS__CELL_OVER] = 1;
    metrics__figures_settle(&figures, cells);
    cr_expect_eq(figures.max, (1ull << 42) + 1);
}

enum { THREADS = 12, RECORDS = 5000 };

static void *record_many(void *data)
{
    for (uint64_t i = 1; i <= RECORDS; i++)
        metrics_record(data, i);
    return NULL;
}

Test(metrics_histogram, loses_nothing_among_threads)
{
    metrics_summary_t summary;
    metrics_histogram_t *h = histogram();
    pthread_t ids[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&ids[i], NULL, record_many, h), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(ids[i], NULL), 0);
    metrics_histogram_summary(h, &summary);
    cr_expect_eq(summary.count, (uint64_t)THREADS * RECORDS);
    cr_expect_eq(summary.sum_ns, (double)THREADS * RECORDS * (RECORDS + 1) / 2);
    cr_expect_eq(summary.min_ns, 1);
    cr_expect_eq(summary.max_ns, RECORDS);
}
