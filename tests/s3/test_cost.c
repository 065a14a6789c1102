/*
 * test_cost.c - what a bucket is estimated to have cost, by the prices of its URI.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "metrics/metrics.h"
#include "tests/s3/support_bucket.h"

static bucket_t b;

static void end(void)
{
    bucket_stop(&b);
}

TestSuite(s3_cost, .fini = end);

static vfs_remote_figures_t figures(void)
{
    vfs_remote_figures_t out = {.size = sizeof(out)};
    cr_assert_eq(vfs_remote_figures(b.fs, &out), APR_SUCCESS);
    return out;
}

/* Puts and gets that a call took, as 10 * puts + gets. */
static unsigned since(vfs_remote_figures_t *then)
{
    vfs_remote_figures_t now = figures();
    unsigned n = (unsigned)(10 * (now.billed_puts - then->billed_puts) + now.billed_gets -
                            then->billed_gets);
    *then = now;
    return n;
}

Test(s3_cost, requests_are_counted_by_what_they_cost)
{
    char text[8];
    size_t got = 0;
    vfs_attr_t attr;
    vfs_dir_t *dir = NULL;
    bucket_start(&b, NULL, "", "");
    vfs_remote_figures_t then = figures();
    cr_expect_eq(then.priced, 0);
    bucket_put(&b, "/f", 0, "bytes", 5, NULL, 0);
    cr_expect_eq(since(&then), 10, "PUT");
    cr_assert_eq(vfs_get(b.fs, NULL, "/f", text, sizeof(text), &got, &attr, NULL), APR_SUCCESS);
    cr_expect_eq(since(&then), 1, "GET");
    cr_assert_eq(vfs_stat(b.fs, NULL, "/f", &attr), APR_SUCCESS);
    cr_expect_eq(since(&then), 1, "HEAD");
    cr_assert_eq(vfs_opendir(&dir, b.fs, NULL, "/", 0), APR_SUCCESS);
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
    cr_expect_eq(since(&then), 10, "a listing");
    cr_assert_eq(s3__delete(bucket_state(&b), NULL, "/f", 0), APR_SUCCESS);
    cr_expect_eq(since(&then), 0, "DELETE");
    bucket_put(&b, "/d/f", 0, "", 0, NULL, 0);
    (void)since(&then);
    cr_assert_eq(vfs_rename(b.fs, NULL, "/d", "/e", 0), APR_SUCCESS);
    vfs_remote_figures_t now = figures();
    cr_expect_lt(now.billed_puts + now.billed_gets - then.billed_puts - then.billed_gets,
                 now.attempts - then.attempts, "many keys are removed free, by a POST");
    cr_expect_eq(now.cost, 0.0);
}

static char *exported(void)
{
    metrics_registry_t *registry = NULL;
    metrics_snapshot_t *now = NULL;
    char *text = NULL;
    cr_assert_eq(metrics_registry_create(&registry, b.pool), APR_SUCCESS);
    cr_assert_eq(vfs_remote_metrics(b.fs, registry), APR_SUCCESS);
    cr_assert_eq(metrics_snapshot(&now, registry, b.pool), APR_SUCCESS);
    cr_assert_eq(metrics_export(&text, NULL, now, METRICS_PROMETHEUS, b.pool), APR_SUCCESS);
    metrics_registry_destroy(registry);
    return text;
}

Test(s3_cost, it_is_a_metric_where_there_are_prices)
{
    static const char name[] = "\ncachefs_remote_cost_total ";
    static char bytes[1 << 20];
    char *text = NULL;
    size_t got = 0;
    vfs_attr_t attr;
    bucket_start(&b, NULL, "", "");
    bucket_put(&b, "/f", 0, bytes, sizeof(bytes), NULL, 0);
    cr_expect_null(strstr(exported(), "cost"));
    cr_assert_eq(bucket_open(&b, b.web.port, "test", "&price_get=0"), APR_SUCCESS, "%s", b.err);
    cr_expect_not_null(strstr(exported(), "\ncachefs_remote_cost_total 0\n"));
    cr_assert_eq(
        bucket_open(&b, b.web.port, "test", "&price_put=5.25&price_get=0.4&price_gib=1024"),
        APR_SUCCESS, "%s", b.err);
    vfs_remote_figures_t then = figures();
    cr_assert_eq(vfs_get(b.fs, NULL, "/f", bytes, sizeof(bytes), &got, &attr, NULL), APR_SUCCESS);
    bucket_put(&b, "/g", 0, "x", 1, NULL, 0);
    vfs_remote_figures_t now = figures();
    cr_expect_lt(fabs(now.cost - then.cost - (1 + 0.0004 + 0.00525)), 0.001, "%f", now.cost);
    text = strstr(exported(), name);
    cr_assert_not_null(text);
    cr_expect_lt(fabs(strtod(text + strlen(name), NULL) - now.cost), 0.0001, "%.40s", text);
}

Test(s3_cost, what_is_no_price_is_refused)
{
    static const char *const bad[] = {"", "-1", "1e3", "0,5", ".5", "0.5x", "$1", "9999999999"};
    char options[64];
    bucket_start(&b, NULL, "", "");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(options, sizeof(options), "&price_gib=%s", bad[i]);
        cr_expect_eq(bucket_open(&b, b.web.port, "test", options), APR_EINVAL, "%s", bad[i]);
        cr_expect_not_null(strstr(b.err, "0.005"), "%s", b.err);
    }
    cr_assert_eq(bucket_open(&b, b.web.port, "test", "&price_gib=0.09"), APR_SUCCESS);
}
