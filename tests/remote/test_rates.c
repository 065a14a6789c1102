/*
 * test_rates.c - so many requests and bytes in a second, and no more.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>

#include <criterion/criterion.h>

#include "backends/remote/private.h"
#include "tests/remote/support_site.h"

static apr_pool_t *pool;
static site_t site;
static vfs_t *fs;
static char err[512];

static void begin(void)
{
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
}

static void end(void)
{
    apr_pool_destroy(pool);
}

TestSuite(remote_rates, .init = begin, .fini = end);

Test(remote_rates, what_goes_is_so_much_a_second_after_a_tenth_at_once)
{
    enum { START = 1000000000, N = 1000 };
    remote_rate_t rate = {.per_s = 1000}, none = {0};
    int64_t now = START;
    for (unsigned i = 0; i < N; i++)
        now += remote__rate_take(&rate, 10, now);
    cr_expect_eq(now - START, 10 * (N - 1) * 1000 - 100000);
    now += 60000000; /* a minute of silence is not made up for */
    int64_t again = now;
    for (unsigned i = 0; i < N; i++)
        now += remote__rate_take(&rate, 10, now);
    cr_expect_eq(now - again, 10 * (N - 1) * 1000 - 100000);
    cr_expect_eq(remote__rate_take(&none, 1u << 30, now), 0);
}

static void start(const char *options)
{
    char uri[128];
    site_start(&site, "", 0);
    snprintf(uri, sizeof(uri), "http://127.0.0.1:%d/?probe=no&proxy=none&%s", site.web.port,
             options);
    cr_assert_eq(vfs_http_create(&fs, uri, err, sizeof(err), pool), APR_SUCCESS, "%s", err);
}

static void finish(void)
{
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    site_stop(&site);
}

Test(remote_rates, bytes_are_held_back)
{
    start("bytes_per_second=2000000&stall_timeout=100ms"); /* what we hold back is no stall */
    apr_time_t before = apr_time_now();
    cr_expect_eq(site_read_big(&site, fs), APR_SUCCESS);
    cr_expect_geq(apr_time_now() - before, 300000);
    finish();
}

Test(remote_rates, requests_are_held_back)
{
    vfs_attr_t attr;
    start("requests_per_second=20");
    apr_time_t before = apr_time_now();
    for (unsigned i = 0; i < 10; i++)
        cr_expect_eq(vfs_stat(fs, NULL, "/big", &attr), APR_SUCCESS);
    cr_expect_geq(apr_time_now() - before, 300000);
    finish();
}

Test(remote_rates, waiting_ends_with_the_call)
{
    char buf[65536];
    size_t got = 0;
    vfs_attr_t attr;
    vfs_ctx_t ctx = VFS_CTX_INIT;
    start("bytes_per_second=1&retries=0");
    ctx.deadline = apr_time_now() + 200000;
    cr_expect_eq(vfs_get(fs, &ctx, "/big", buf, sizeof(buf), &got, &attr, NULL), APR_TIMEUP);
    finish();
}
