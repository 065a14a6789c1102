/*
 * The registry: names, labels, making twice, switching.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "metrics/metrics_private.h"
#include "tests/metrics/support_registry.h"

TestSuite(metrics_registry, .init = registry_setup, .fini = registry_teardown);

static apr_status_t make_counter(const char *name, const char *labels, const char *help)
{
    metrics_counter_t *made;
    apr_status_t status = metrics_counter(&made, registry, name, labels, help);
    cr_expect_eq(status == APR_SUCCESS, made != NULL);
    return status;
}

static apr_status_t make_gauge(const char *name, const char *labels, const char *help)
{
    metrics_gauge_t *made;
    apr_status_t status = metrics_gauge(&made, registry, name, labels, help);
    cr_expect_eq(status == APR_SUCCESS, made != NULL);
    return status;
}

static apr_status_t make_histogram(const char *name, const char *labels, const char *help)
{
    metrics_histogram_t *made;
    apr_status_t status = metrics_histogram(&made, registry, name, labels, help);
    cr_expect_eq(status == APR_SUCCESS, made != NULL);
    return status;
}

Test(metrics_registry, refuses_null)
{
    metrics_registry_t *r;
    metrics_counter_t *c;
    metrics_gauge_t *g;
    metrics_histogram_t *h;
    cr_expect_eq(metrics_registry_create(NULL, pool), APR_EINVAL);
    cr_expect_eq(metrics_registry_create(&r, NULL), APR_EINVAL);
    cr_expect_eq(metrics_counter(NULL, registry, "a_total", NULL, NULL), APR_EINVAL);
    cr_expect_eq(metrics_counter(&c, NULL, "a_total", NULL, NULL), APR_EINVAL);
    cr_expect_eq(metrics_gauge(NULL, registry, "a", NULL, NULL), APR_EINVAL);
    cr_expect_eq(metrics_gauge(&g, NULL, "a", NULL, NULL), APR_EINVAL);
    cr_expect_eq(metrics_histogram(NULL, registry, "a", NULL, NULL), APR_EINVAL);
    cr_expect_eq(metrics_histogram(&h, NULL, "a", NULL, NULL), APR_EINVAL);
    cr_expect_eq(make_counter(NULL, NULL, NULL), APR_EINVAL);
    metrics_registry_destroy(NULL);
}

Test(metrics_registry, goes_with_its_pool)
{
    apr_pool_t *child;
    metrics_registry_t *r;
    metrics_counter_t *c;
    metrics_histogram_t *h;
    cr_assert_eq(apr_pool_create(&child, pool), APR_SUCCESS);
    cr_assert_eq(metrics_registry_create(&r, child), APR_SUCCESS);
    cr_assert_eq(metrics_counter(&c, r, "a_total", NULL, NULL), APR_SUCCESS);
    cr_assert_eq(metrics_histogram(&h, r, "b_seconds", NULL, NULL), APR_SUCCESS);
    apr_pool_destroy(child); /* the leak sanitizer looks on */
}

Test(metrics_registry, accepts_the_names_of_prometheus_only)
{
    static const char *const good[] = {"a", "A:b_9", "_x", ":", "total", "total_"};
    static const char *const bad[] = {"", "9a", "a-b", "a b", "a.b", "\xc3\xa4", "a_total", "a\n"};
    char longest[METRICS__NAME_MAX + 2];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_expect_eq(make_gauge(good[i], NULL, NULL), APR_SUCCESS, "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_eq(make_gauge(bad[i], NULL, NULL), APR_EINVAL, "%s", bad[i]);
        cr_expect_eq(make_histogram(bad[i], NULL, NULL), APR_EINVAL, "%s", bad[i]);
    }
    cr_expect_eq(make_counter("a", NULL, NULL), APR_EINVAL);
    cr_expect_eq(make_counter("_total", NULL, NULL), APR_EINVAL);
    cr_expect_eq(make_counter("b_total", NULL, NULL), APR_SUCCESS);
    memset(longest, 'x', sizeof longest);
    longest[METRICS__NAME_MAX] = '\0';
    cr_expect_eq(make_gauge(longest, NULL, NULL), APR_SUCCESS);
    longest[METRICS__NAME_MAX] = 'x';
    longest[METRICS__NAME_MAX + 1] = '\0';
    cr_expect_eq(make_gauge(longest, NULL, NULL), APR_EINVAL);
}

Test(metrics_registry, accepts_well_formed_labels_only)
{
    static const char *const good[] = {"",
                                       "a=\"\"",
                                       "a=\"1\",b=\"2\"",
                                       "_a9=\"x y,=\"",
                                       "a=\"\\\\ \\\" \\n\"",
                                       "a=\"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80\"",
                                       "le=\"1\""};
    static const char *const bad[] = {"a",
                                      "a=",
                                      "a=\"",
                                      "a=\"x",
                                      "a=x",
                                      "a=\"x\",",
                                      ",a=\"x\"",
                                      "a=\"x\" ,b=\"y\"",
                                      "a=\"x\"b=\"y\"",
                                      "9a=\"x\"",
                                      "__a=\"x\"",
                                      "a-b=\"x\"",
                                      "=\"x\"",
                                      "a=\"\\t\"",
                                      "a=\"\\",
                                      "a=\"x\ny\"",
                                      "a=\"1\",a=\"2\"",
                                      "b=\"1\",a=\"2\",b=\"3\"",
                                      "a=\"\xff\"",
                                      "a=\"\xc3\""};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_expect_eq(make_gauge("g", good[i], NULL), APR_SUCCESS, "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_eq(make_gauge("g", bad[i], NULL), APR_EINVAL, "%s", bad[i]);
    }
    cr_expect_eq(make_histogram("h", "le=\"1\"", NULL), APR_EINVAL);
    cr_expect_eq(make_histogram("h", "lf=\"1\"", NULL), APR_SUCCESS);
}

Test(metrics_registry, labels_have_limits)
{
    char labels[METRICS__LABELS_MAX + 2];
    size_t len = 0;
    for (unsigned i = 0; i <= METRICS__PAIRS_MAX; i++) {
        cr_expect_eq(make_gauge("many", i == 0 ? "" : labels, NULL), APR_SUCCESS, "%u", i);
        len += (size_t)snprintf(labels + len, sizeof labels - len, "%sk%u=\"v\"", i ? "," : "", i);
    }
    cr_expect_eq(make_gauge("many", labels, NULL), APR_EINVAL);
    memset(labels, 'x', sizeof labels);
    memcpy(labels, "a=\"", 3);
    labels[METRICS__LABELS_MAX - 1] = '"';
    labels[METRICS__LABELS_MAX] = '\0';
    cr_expect_eq(make_gauge("long", labels, NULL), APR_SUCCESS);
    labels[METRICS__LABELS_MAX - 1] = 'x';
    labels[METRICS__LABELS_MAX] = '"';
    labels[METRICS__LABELS_MAX + 1] = '\0';
    cr_expect_eq(make_gauge("long", labels, NULL), APR_EINVAL);
}

Test(metrics_registry, help_is_utf8)
{
    static const char *const bad[] = {"\x80",         "\xc0\x80",         "\xc3",
                                      "\xe0\x9f\xbf", "\xed\xa0\x80",     "\xf0\x8f\xbf\xbf",
                                      "\xe2\x82",     "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                                      "\xc3("};
    char longest[METRICS__HELP_MAX + 2];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_eq(make_gauge("g", NULL, bad[i]), APR_EINVAL, "help %zu", i);
    }
    cr_expect_eq(make_gauge("g", NULL, "\xe0\xa0\x80\xed\x9f\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"),
                 APR_SUCCESS);
    memset(longest, 'x', sizeof longest);
    longest[METRICS__HELP_MAX + 1] = '\0';
    cr_expect_eq(make_gauge("long", NULL, longest), APR_EINVAL);
    longest[METRICS__HELP_MAX] = '\0';
    cr_expect_eq(make_gauge("long", NULL, longest), APR_SUCCESS);
}

Test(metrics_registry, the_same_name_and_labels_are_the_same_metric)
{
    metrics_counter_t *a, *b, *c;
    metrics_histogram_t *h, *i;
    metrics_gauge_t *g, *f;
    const char *here = "x=\"1\",ab=\"2\",a=\"3\"", *there = "a=\"3\",ab=\"2\",x=\"1\"";
    cr_assert_eq(metrics_counter(&a, registry, "a_total", here, "Help."), APR_SUCCESS);
    cr_assert_eq(metrics_counter(&b, registry, "a_total", there, "Help."), APR_SUCCESS);
    cr_assert_eq(metrics_counter(&c, registry, "a_total", NULL, "Help."), APR_SUCCESS);
    cr_expect_eq(a, b);
    cr_expect_neq(a, c);
    cr_assert_eq(metrics_gauge(&f, registry, "f", here, NULL), APR_SUCCESS);
    cr_assert_eq(metrics_gauge(&g, registry, "f", there, ""), APR_SUCCESS);
    cr_expect_eq(f, g);
    cr_assert_eq(metrics_histogram(&h, registry, "h", here, NULL), APR_SUCCESS);
    cr_assert_eq(metrics_histogram(&i, registry, "h", there, NULL), APR_SUCCESS);
    cr_expect_eq(h, i);
}

Test(metrics_registry, a_name_has_one_type_and_one_help)
{
    cr_assert_eq(make_gauge("g", NULL, "Help."), APR_SUCCESS);
    cr_expect_eq(make_gauge("g", "a=\"1\"", "Other."), APR_EINVAL);
    cr_expect_eq(make_gauge("g", "a=\"1\"", NULL), APR_EINVAL);
    cr_expect_eq(make_gauge("g", "a=\"1\"", "Help."), APR_SUCCESS);
    cr_expect_eq(make_histogram("g", NULL, "Help."), APR_EINVAL);
}

Test(metrics_registry, names_that_an_export_would_mix_up_are_refused)
{
    cr_assert_eq(make_histogram("h", NULL, NULL), APR_SUCCESS);
    cr_expect_eq(make_gauge("h_bucket", NULL, NULL), APR_EINVAL);
    cr_expect_eq(make_gauge("h_sum", NULL, NULL), APR_EINVAL);
    cr_expect_eq(make_gauge("h_count", NULL, NULL), APR_EINVAL);
    cr_expect_eq(make_gauge("h_other", NULL, NULL), APR_SUCCESS);
    cr_assert_eq(make_gauge("i_count", NULL, NULL), APR_SUCCESS);
    cr_expect_eq(make_histogram("i", NULL, NULL), APR_EINVAL);
    cr_assert_eq(make_counter("c_total", NULL, NULL), APR_SUCCESS);
    cr_expect_eq(make_gauge("c", NULL, NULL), APR_EINVAL);
    cr_assert_eq(make_gauge("d", NULL, NULL), APR_SUCCESS);
    cr_expect_eq(make_counter("d_total", NULL, NULL), APR_EINVAL);
}

Test(metrics_registry, switched_off_counts_nothing)
{
    metrics_counter_t *before, *after;
    metrics_histogram_t *h, *later;
    metrics_summary_t summary;
    cr_expect(metrics_enabled(registry));
    cr_assert_eq(metrics_counter(&before, registry, "a_total", NULL, NULL), APR_SUCCESS);
    cr_assert_eq(metrics_histogram(&h, registry, "a_seconds", NULL, NULL), APR_SUCCESS);
    metrics_set_enabled(registry, 0);
    cr_expect_not(metrics_enabled(registry));
    cr_assert_eq(metrics_counter(&after, registry, "b_total", NULL, NULL), APR_SUCCESS);
    cr_assert_eq(metrics_histogram(&later, registry, "b_seconds", NULL, NULL), APR_SUCCESS);
    for (unsigned on = 0; on < 2; on++) {
        metrics_set_enabled(registry, on ? 7 : 0); /* any true value */
        cr_expect_eq(metrics_enabled(registry), (int)on);
        metrics_add(before, 1);
        metrics__add_inline(before, 1);
        metrics_add(after, 1);
        metrics_record(h, 5);
        metrics_record(later, 5);
        cr_expect_eq(metrics_counter_value(before), 2 * on);
        cr_expect_eq(metrics_counter_value(after), on);
        metrics_histogram_summary(h, &summary);
        cr_expect_eq(summary.count, on);
        metrics_histogram_summary(later, &summary);
        cr_expect_eq(summary.count, on);
    }
}

Test(metrics_registry, switching_one_leaves_another_alone)
{
    metrics_registry_t *other;
    metrics_counter_t *c;
    cr_assert_eq(metrics_registry_create(&other, pool), APR_SUCCESS);
    cr_assert_eq(metrics_counter(&c, other, "a_total", NULL, NULL), APR_SUCCESS);
    metrics_set_enabled(registry, 0);
    metrics_add(c, 1);
    cr_expect_eq(metrics_counter_value(c), 1);
    metrics_registry_destroy(other);
}
