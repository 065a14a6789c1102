/*
 * test_hedge.c - reads that take long are asked for twice, where that is wanted: the first answer
 * is taken, and no request is sent a third time.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <apr_general.h>

#include <criterion/criterion.h>

#include "tests/remote/support_server.h"
#include "tests/remote/support_site.h"

#define USUAL 60         /* reads that tell what is usual */
#define HANG_US 30000000 /* the time limit of the first byte is twice that */
#define PATIENT "proxy=none&probe=no&connect_timeout=60s&first_byte_timeout=60s&retries=0"
#define HEAD_5 "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nAccept-Ranges: bytes\r\nContent-Length: 5\r\n\r\n"
#define PART                                                                                       \
    "HTTP/1.1 206 Part\r\nETag: \"a\"\r\nContent-Range: bytes 0-4/5\r\nContent-Length: 5\r\n\r\n"  \
    "bytes"
#define LAST                                                                                       \
    {                                                                                              \
        NULL, NULL, 0, 0, NULL, 0                                                                  \
    }

static apr_pool_t *pool;
static vfs_t *fs;
static vfs_file_t *file;
static server_t *server;
static unsigned reads; /* asked for, of the one that is open */

static void begin(void)
{
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
}

static void end(void)
{
    apr_pool_destroy(pool);
}

TestSuite(remote_hedge, .init = begin, .fini = end);

static void start(const reply_t *replies, const char *options)
{
    char uri[320], err[256] = "";
    int port = 0;
    reads = 0;
    server = server_start(replies, &port);
    snprintf(uri, sizeof(uri), "http://127.0.0.1:%d/?%s", port, options);
    cr_assert_eq(vfs_http_create(&fs, uri, err, sizeof(err), pool), APR_SUCCESS, "%s", err);
    cr_assert_eq(vfs_open(&file, fs, NULL, "/f", VFS_O_READ, 0, NULL, NULL), APR_SUCCESS);
}

static void finish(void)
{
    cr_expect_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    server_stop(server);
}

static apr_status_t read_once(void)
{
    char buf[5];
    size_t got = 0;
    reads++;
    apr_status_t status = vfs_read_at(file, NULL, buf, sizeof(buf), 0, &got);
    if (status == APR_SUCCESS) cr_expect(got == 5 && memcmp(buf, "bytes", 5) == 0);
    return status;
}

static void read_usual(void)
{
    for (unsigned i = 0; i < USUAL; i++)
        cr_expect_eq(read_once(), APR_SUCCESS, "%u", i);
}

static uint64_t hedged(void)
{
    vfs_remote_figures_t figures = {.size = sizeof(figures)};
    cr_assert_eq(vfs_remote_figures(fs, &figures), APR_SUCCESS);
    return figures.hedged;
}

static unsigned heard(const char *what)
{
    unsigned count = 0;
    for (const char *at = server_heard(server); (at = strstr(at, what)) != NULL; at++)
        count++;
    return count;
}

Test(remote_hedge, a_read_without_an_answer_is_asked_for_once_more)
{
    const reply_t replies[] = {{"HEAD", HEAD_5, 0, 0, NULL, 0},
                               {"GET", PART, 0, USUAL, NULL, 0},
                               {"GET", "", REPLY_SILENT, 1, NULL, 0},
                               {"GET", PART, 0, 0, NULL, 0},
                               LAST};
    start(replies, PATIENT "&hedge=yes");
    read_usual();
    apr_time_t begun = apr_time_now();
    cr_expect_eq(read_once(), APR_SUCCESS);
    cr_expect_lt(apr_time_now() - begun, HANG_US);
    cr_expect_geq(hedged(), 1);
    cr_expect_leq(heard("GET "), reads + hedged());
    cr_expect_eq(read_once(), APR_SUCCESS, "the connection that is left is well");
    finish();
}

Test(remote_hedge, it_is_not_asked_for_a_third_time)
{
    const reply_t replies[] = {{"HEAD", HEAD_5, 0, 0, NULL, 0},
                               {"GET", PART, 0, USUAL, NULL, 0},
                               {"GET", "", REPLY_SILENT, 0, NULL, 0},
                               LAST};
    start(replies, "proxy=none&probe=no&retries=0&connect_timeout=200ms&first_byte_timeout=800ms&"
                   "hedge=yes");
    for (unsigned i = 0; i < USUAL; i++)
        (void)read_once(); /* a slow machine hedges some of them, and uses up their answers */
    apr_status_t status = APR_SUCCESS;
    for (unsigned i = 0; i < USUAL && status == APR_SUCCESS; i++)
        status = read_once();
    cr_expect_eq(status, VFS_EOFFLINE);
    cr_expect_geq(hedged(), 1);
    cr_expect_leq(heard("GET "), reads + hedged());
    finish();
}

Test(remote_hedge, who_does_not_want_it_gets_none)
{
    const reply_t replies[] = {{"HEAD", HEAD_5, 0, 0, NULL, 0},
                               {"GET", PART, 0, USUAL, NULL, 0},
                               {"GET", "", REPLY_SILENT, 1, NULL, 0},
                               {"GET", PART, 0, 0, NULL, 0},
                               LAST};
    start(replies, "proxy=none&probe=no&retries=2&connect_timeout=200ms&first_byte_timeout=500ms");
    read_usual();
    cr_expect_eq(read_once(), APR_SUCCESS, "by another attempt");
    cr_expect_eq(hedged(), 0);
    finish();
}

Test(remote_hedge, an_answer_that_sends_us_away_leaves_it_to_the_other)
{
    const reply_t replies[] = {
        {"HEAD", HEAD_5, 0, 0, NULL, 0},
        {"GET", PART, 0, USUAL, NULL, 0},
        {"GET", "", REPLY_SILENT, 1, NULL, 0},
        {"GET", "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n", 0, 1, NULL, 0},
        {"GET", PART, 0, 0, NULL, 0},
        LAST};
    start(replies, "proxy=none&probe=no&retries=3&connect_timeout=200ms&first_byte_timeout=500ms&"
                   "hedge=yes");
    read_usual();
    for (unsigned i = 0; i < 3; i++)
        cr_expect_eq(read_once(), APR_SUCCESS);
    finish();
}

Test(remote_hedge, a_connection_that_stalls_is_overtaken_by_another)
{
    static const char *const schemes[] = {"http", "dav"};
    site_t site;
    site_start_with(&site, nginx_start, "", WEBSERVER_DAV);
    for (size_t i = 0; i < 2; i++) {
        char uri[320], err[256] = "", buf[64];
        int port = 0;
        size_t got = 0;
        proxy_t *proxy = proxy_start(site.web.port, FAULT_STALL, 30000, 1, &port);
        snprintf(uri, sizeof(uri), "%s://127.0.0.1:%d/?" PATIENT "&hedge=yes", schemes[i], port);
        cr_assert_eq(
            (i == 0 ? vfs_http_create : vfs_webdav_create)(&fs, uri, err, sizeof(err), pool),
            APR_SUCCESS, "%s", err);
        cr_assert_eq(vfs_open(&file, fs, NULL, "/big", VFS_O_READ, 0, NULL, NULL), APR_SUCCESS);
        apr_time_t begun = apr_time_now();
        for (apr_off_t off = 0; off < 200; off++) {
            cr_expect_eq(vfs_read_at(file, NULL, buf, sizeof(buf), off * 100, &got), APR_SUCCESS);
            cr_expect_eq(memcmp(buf, site.bytes + off * 100, sizeof(buf)), 0);
        }
        cr_expect_lt(apr_time_now() - begun, 2 * HANG_US, "%s", schemes[i]);
        cr_expect_geq(hedged(), 1, "%s", schemes[i]);
        cr_expect_leq(hedged(), 200, "%s", schemes[i]);
        cr_expect_geq(proxy_connections(proxy), 2, "%s", schemes[i]);
        cr_expect_eq(vfs_close(file, NULL), APR_SUCCESS);
        cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
        proxy_stop(proxy);
    }
    site_stop(&site);
}
