/*
 * test_faults.c - a connection that is slow, breaks, stalls or lies, between the backend and nginx:
 * a fault that passes ends in right bytes, one that lasts in a clear error.
 */
#include <stdio.h>

#include <apr_general.h>

#include <criterion/criterion.h>

#include "tests/remote/support_server.h"
#include "tests/remote/support_site.h"

static apr_pool_t *pool;
static site_t site;
static proxy_t *proxy;
static vfs_t *fs;
static char err[512];

static void begin(void)
{
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
    site_start(&site, "", 1);
}

static void end(void)
{
    site_stop(&site);
    apr_pool_destroy(pool);
}

TestSuite(remote_faults, .init = begin, .fini = end);

static void start(fault_e fault, uint64_t amount, unsigned times, int tls, const char *options)
{
    char uri[320];
    int port = 0;
    proxy = proxy_start(tls ? site.web.tls_port : site.web.port, fault, amount, times, &port);
    if (tls)
        snprintf(uri, sizeof(uri),
                 "https://127.0.0.1:%d/?probe=no&proxy=none&cacert=%s/cert.pem&%s", port,
                 site.web.dir, options);
    else
        snprintf(uri, sizeof(uri), "http://127.0.0.1:%d/?probe=no&proxy=none&%s", port, options);
    cr_assert_eq(vfs_http_create(&fs, uri, err, sizeof(err), pool), APR_SUCCESS, "%s", err);
}

static void finish(void)
{
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    proxy_stop(proxy);
}

Test(remote_faults, a_fault_that_passes_ends_in_right_bytes)
{
    /* bytes of answers on one connection: the one to HEAD has about 250 */
    static const struct {
        fault_e fault;
        uint64_t amount;
    } rows[] = {{FAULT_NONE, 0},          {FAULT_DELAY, 1},           {FAULT_SLOW, 16000},
                {FAULT_RESET, 0},         {FAULT_RESET, 100},         {FAULT_RESET, 300},
                {FAULT_RESET, 500000},    {FAULT_HALF_CLOSE, 0},      {FAULT_HALF_CLOSE, 100},
                {FAULT_HALF_CLOSE, 1000}, {FAULT_HALF_CLOSE, 900000}, {FAULT_LOST, 0}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int tls = 0; tls < 2; tls++) {
            start(rows[i].fault, rows[i].amount, 2, tls, "");
            cr_expect_eq(site_read_big(&site, fs), APR_SUCCESS, "%zu by %s", i,
                         tls ? "https" : "http");
            finish();
        }
    }
}

Test(remote_faults, a_fault_that_lasts_ends_in_an_error)
{
    static const struct {
        fault_e fault;
        uint64_t amount;
    } rows[] = {{FAULT_RESET, 0},
                {FAULT_RESET, 300},
                {FAULT_HALF_CLOSE, 0},
                {FAULT_HALF_CLOSE, 300},
                {FAULT_LOST, 0}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        start(rows[i].fault, rows[i].amount, 0, 0, "retries=1");
        cr_expect_eq(site_read_big(&site, fs), VFS_EOFFLINE, "%zu", i);
        cr_expect_geq(proxy_connections(proxy), 2, "%zu: it was tried again", i);
        finish();
    }
}

Test(remote_faults, a_connection_that_stalls_is_given_up)
{
    start(FAULT_STALL, 100000, 0, 0, "retries=1&stall_timeout=50ms");
    cr_expect_eq(site_read_big(&site, fs), VFS_EOFFLINE);
    finish();
    /* how long a connection may take is not added to the time for the first byte */
    start(FAULT_STALL, 0, 0, 0, "retries=1&connect_timeout=10m&first_byte_timeout=50ms");
    apr_time_t begun = apr_time_now();
    cr_expect_eq(site_read_big(&site, fs), VFS_EOFFLINE);
    cr_expect_lt(apr_time_now() - begun, 60 * APR_USEC_PER_SEC);
    finish();
}

Test(remote_faults, a_byte_that_is_changed_on_the_way_is_found_by_tls)
{
    start(FAULT_CORRUPT, 500000, 1, 1, "");
    cr_expect_eq(site_read_big(&site, fs), APR_SUCCESS);
    cr_expect_geq(proxy_connections(proxy), 2, "the first was given up");
    finish();
    start(FAULT_CORRUPT, 500000, 0, 1, "retries=1");
    apr_status_t status = site_read_big(&site, fs); /* the rest may be too short to be hit */
    cr_expect(status == APR_SUCCESS || status == VFS_EOFFLINE, "%d", status);
    finish();
}
