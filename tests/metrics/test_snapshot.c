/*
 * Snapshots: reading, differences, looking up.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "tests/metrics/support_registry.h"

static metrics_counter_t *c;
static metrics_gauge_t *g;
static metrics_histogram_t *h;
static double asked;

static double ask(void *baton)
{
    (void)baton;
    return asked;
}

static void setup(void)
{
    registry_setup();
    cr_assert_eq(metrics_counter(&c, registry, "c_total", "a=\"1\",b=\"2\"", "Help."), APR_SUCCESS);
    cr_assert_eq(metrics_gauge(&g, registry, "g", NULL, "Help."), APR_SUCCESS);
    cr_assert_eq(metrics_histogram(&h, registry, "h_seconds", NULL, "Help."), APR_SUCCESS);
    cr_assert_eq(metrics_callback(registry, "ask_total", NULL, "Help.", 1, ask, NULL), APR_SUCCESS);
}

TestSuite(metrics_snapshot, .init = setup, .fini = registry_teardown);

static metrics_snapshot_t *snapshot(void)
{
    metrics_snapshot_t *taken;
    cr_assert_eq(metrics_snapshot(&taken, registry, pool), APR_SUCCESS);
    return taken;
}

static metrics_snapshot_t *diff(const metrics_snapshot_t *newer, const metrics_snapshot_t *older)
{
    metrics_snapshot_t *made;
    cr_assert_eq(metrics_snapshot_diff(&made, newer, older, pool), APR_SUCCESS);
    return made;
}

static double value(const metrics_snapshot_t *s, const char *name, const char *labels)
{
    double v = NAN;
    cr_expect_eq(metrics_snapshot_value(s, name, labels, &v), APR_SUCCESS, "%s", name);
    return v;
}

static metrics_summary_t summary(const metrics_snapshot_t *s)
{
    metrics_summary_t out = {0};
    cr_expect_eq(metrics_snapshot_summary(s, "h_seconds", NULL, &out), APR_SUCCESS);
    return out;
}

Test(metrics_snapshot, holds_the_values_of_its_moment)
{
    metrics_add(c, 5);
    metrics_gauge_set(g, -1.5);
    metrics_record(h, 100);
    metrics_snapshot_t *s = snapshot();
    metrics_add(c, 1);
    metrics_gauge_set(g, 9);
    metrics_record(h, 200);
    cr_expect_eq(value(s, "c_total", "b=\"2\",a=\"1\""), 5);
    cr_expect_eq(value(s, "g", NULL), -1.5);
    cr_expect_eq(value(s, "g", ""), -1.5);
    cr_expect_eq(summary(s).count, 1);
    cr_expect_eq(summary(s).p50_ns, 100);
    cr_expect_eq(summary(s).sum_ns, 100);
}

Test(metrics_snapshot, outlives_its_registry)
{
    metrics_registry_t *short_lived;
    metrics_gauge_t *gauge;
    metrics_snapshot_t *s;
    char *text;
    cr_assert_eq(metrics_registry_create(&short_lived, pool), APR_SUCCESS);
    cr_assert_eq(metrics_gauge(&gauge, short_lived, "g", "a=\"b\"", "Help."), APR_SUCCESS);
    metrics_gauge_set(gauge, 3);
    cr_assert_eq(metrics_snapshot(&s, short_lived, pool), APR_SUCCESS);
    metrics_registry_destroy(short_lived);
    cr_expect_eq(value(s, "g", "a=\"b\""), 3);
    cr_assert_eq(metrics_export(&text, NULL, s, METRICS_PROMETHEUS, pool), APR_SUCCESS);
    cr_expect_str_eq(text, "# HELP g Help.\n# TYPE g gauge\ng{a=\"b\"} 3\n");
}

Test(metrics_snapshot, finds_nothing_by_another_name_type_or_label)
{
    double v;
    metrics_summary_t out;
    metrics_snapshot_t *s = snapshot();
    cr_expect_eq(metrics_snapshot_value(s, "none", NULL, &v), APR_NOTFOUND);
    cr_expect_eq(metrics_snapshot_value(s, "c_total", NULL, &v), APR_NOTFOUND);
    cr_expect_eq(metrics_snapshot_value(s, "c_total", "a=\"1\"", &v), APR_NOTFOUND);
    cr_expect_eq(metrics_snapshot_value(s, "c_total", "no labels", &v), APR_NOTFOUND);
    cr_expect_eq(metrics_snapshot_value(s, "h_seconds", NULL, &v), APR_NOTFOUND);
    cr_expect_eq(metrics_snapshot_summary(s, "g", NULL, &out), APR_NOTFOUND);
    cr_expect_eq(metrics_snapshot_summary(s, "h_seconds", "a=\"1\"", &out), APR_NOTFOUND);
}

Test(metrics_snapshot, refuses_null)
{
    double v;
    metrics_summary_t out;
    metrics_snapshot_t *s = snapshot(), *made;
    char *text;
    cr_expect_eq(metrics_snapshot(NULL, registry, pool), APR_EINVAL);
    cr_expect_eq(metrics_snapshot(&made, NULL, pool), APR_EINVAL);
    cr_expect_eq(metrics_snapshot(&made, registry, NULL), APR_EINVAL);
    cr_expect_eq(metrics_snapshot_diff(NULL, s, s, pool), APR_EINVAL);
    cr_expect_eq(metrics_snapshot_diff(&made, NULL, s, pool), APR_EINVAL);
    cr_expect_eq(metrics_snapshot_diff(&made, s, NULL, pool), APR_EINVAL);
    cr_expect_eq(metrics_snapshot_diff(&made, s, s, NULL), APR_EINVAL);
    cr_expect_eq(metrics_snapshot_value(NULL, "g", NULL, &v), APR_EINVAL);
    cr_expect_eq(metrics_snapshot_value(s, NULL, NULL, &v), APR_EINVAL);
    cr_expect_eq(metrics_snapshot_value(s, "g", NULL, NULL), APR_EINVAL);
    cr_expect_eq(metrics_snapshot_summary(s, "h_seconds", NULL, NULL), APR_EINVAL);
    cr_expect_eq(metrics_snapshot_summary(NULL, "h_seconds", NULL, &out), APR_EINVAL);
    cr_expect_eq(metrics_export(NULL, NULL, s, METRICS_JSON, pool), APR_EINVAL);
    cr_expect_eq(metrics_export(&text, NULL, NULL, METRICS_JSON, pool), APR_EINVAL);
    cr_expect_eq(metrics_export(&text, NULL, s, METRICS_JSON, NULL), APR_EINVAL);
    cr_expect_eq(metrics_export(&text, NULL, s, (metrics_format_e)9, pool), APR_EINVAL);
}

Test(metrics_snapshot, a_difference_subtracts_counts_and_keeps_gauges)
{
    metrics_add(c, 10);
    metrics_gauge_set(g, 4);
    asked = 100;
    metrics_record_n(h, 1000, 50);
    metrics_record(h, 7);
    metrics_snapshot_t *older = snapshot();
    metrics_add(c, 3);
    metrics_gauge_set(g, 6);
    asked = 130;
    metrics_record_n(h, 5000, 20);
    metrics_record(h, 3000);
    metrics_snapshot_t *d = diff(snapshot(), older);
    cr_expect_eq(value(d, "c_total", "a=\"1\",b=\"2\""), 3);
    cr_expect_eq(value(d, "ask_total", NULL), 30);
    cr_expect_eq(value(d, "g", NULL), 6);
    metrics_summary_t s = summary(d);
    cr_expect_eq(s.count, 21);
    cr_expect_eq(s.sum_ns, 103000);
    cr_expect_leq(fabs((double)s.p50_ns - 5000), 50);
    cr_expect_leq(fabs((double)s.min_ns - 3000), 48); /* the cell's edge: 7 was in the older one */
    cr_expect_eq(s.max_ns, 5000);
}

Test(metrics_snapshot, an_empty_difference_is_empty)
{
    metrics_add(c, 10);
    metrics_record(h, 1000);
    metrics_snapshot_t *s = snapshot(), *d = diff(s, s);
    cr_expect_eq(value(d, "c_total", "a=\"1\",b=\"2\""), 0);
    cr_expect_eq(summary(d).count, 0);
    cr_expect_eq(summary(d).max_ns, 0);
    cr_expect_eq(summary(d).sum_ns, 0);
}

Test(metrics_snapshot, a_difference_across_a_reset_is_what_came_after)
{
    metrics_add(c, 10);
    metrics_record_n(h, 1000, 5);
    metrics_snapshot_t *older = snapshot();
    metrics_reset(registry);
    metrics_add(c, 2);
    metrics_record_n(h, 1000, 3);
    metrics_snapshot_t *d = diff(snapshot(), older);
    cr_expect_eq(value(d, "c_total", "a=\"1\",b=\"2\""), 2);
    cr_expect_eq(summary(d).count, 3);
    cr_expect_eq(summary(d).sum_ns, 3000);
}

Test(metrics_snapshot, metrics_made_in_between_count_in_full)
{
    metrics_counter_t *more, *other;
    metrics_histogram_t *new_histogram;
    metrics_snapshot_t *older = snapshot();
    cr_assert_eq(metrics_counter(&more, registry, "c_total", "a=\"9\"", "Help."), APR_SUCCESS);
    cr_assert_eq(metrics_counter(&other, registry, "d_total", NULL, "Help."), APR_SUCCESS);
    cr_assert_eq(metrics_histogram(&new_histogram, registry, "h_seconds", "a=\"9\"", "Help."),
                 APR_SUCCESS);
    metrics_add(more, 4);
    metrics_add(other, 5);
    metrics_record(new_histogram, 77);
    metrics_snapshot_t *d = diff(snapshot(), older);
    metrics_summary_t s;
    cr_expect_eq(value(d, "c_total", "a=\"9\""), 4);
    cr_expect_eq(value(d, "d_total", NULL), 5);
    cr_assert_eq(metrics_snapshot_summary(d, "h_seconds", "a=\"9\"", &s), APR_SUCCESS);
    cr_expect_eq(s.count, 1);
    cr_expect_eq(s.max_ns, 77);
}

Test(metrics_snapshot, a_difference_of_strangers_or_the_wrong_way_round_is_refused)
{
    metrics_registry_t *other;
    metrics_gauge_t *gauge;
    metrics_counter_t *more;
    metrics_snapshot_t *older = snapshot(), *made, *stranger;
    cr_assert_eq(metrics_registry_create(&other, pool), APR_SUCCESS);
    cr_assert_eq(metrics_gauge(&gauge, other, "g", NULL, "Help."), APR_SUCCESS);
    cr_assert_eq(metrics_snapshot(&stranger, other, pool), APR_SUCCESS);
    cr_expect_eq(metrics_snapshot_diff(&made, older, stranger, pool), APR_EINVAL);
    cr_expect_null(made);
    cr_expect_eq(metrics_snapshot_diff(&made, stranger, older, pool), APR_EINVAL);
    cr_assert_eq(metrics_counter(&more, registry, "c_total", NULL, "Help."), APR_SUCCESS);
    metrics_snapshot_t *newer = snapshot();
    cr_expect_eq(metrics_snapshot_diff(&made, older, newer, pool), APR_EINVAL);
    metrics_registry_destroy(other);
}
