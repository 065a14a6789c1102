/*
 * test_hostile.c - a server that lies: wrong lengths, versions that change, headers and bodies
 * without end, redirects to elsewhere, names that lead out. Each ends in right bytes or a clear
 * error.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>

#include <criterion/criterion.h>

#include "backends/backends.h"
#include "tests/remote/support_server.h"

static apr_pool_t *pool;
static server_t *server;
static vfs_t *fs;
static char err[512];

static void begin(void)
{
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
}

static void end(void)
{
    if (fs != NULL) cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    if (server != NULL) server_stop(server);
    apr_pool_destroy(pool);
}

TestSuite(remote_hostile, .init = begin, .fini = end);

static apr_status_t open_fs(const reply_t *replies, const char *options)
{
    char uri[256];
    int port = 0;
    server = server_start(replies, &port);
    snprintf(uri, sizeof(uri), "http://127.0.0.1:%d/root?proxy=none&%s", port, options);
    return vfs_http_create(&fs, uri, err, sizeof(err), pool);
}

static void must_open(const reply_t *replies, const char *options)
{
    cr_assert_eq(open_fs(replies, options), APR_SUCCESS, "%s", err);
}

static apr_status_t read_file(const char *path, char **text)
{
    size_t len = 0;
    return vfs_read_file(text, &len, fs, NULL, path, 0, pool);
}

#define QUICK "probe=no&retries=1"
#define OK200(length) "HTTP/1.1 200 OK\r\nETag: \"one\"\r\nContent-Length: " length "\r\n\r\n"
#define PART(tag, range, length)                                                                   \
    "HTTP/1.1 206 Part\r\nETag: " tag "\r\nContent-Range: bytes " range                            \
    "\r\nContent-Length: " length "\r\n\r\n"

static apr_status_t read_part(size_t len, apr_off_t off, char *buf, size_t *got)
{
    vfs_file_t *file = NULL;
    apr_status_t status = vfs_open(&file, fs, NULL, "/f", VFS_O_READ, 0, NULL, NULL);
    cr_assert_eq(status, APR_SUCCESS);
    status = vfs_read_at(file, NULL, buf, len, off, got);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    return status;
}

Test(remote_hostile, answers_that_do_not_fit_their_range_are_refused)
{
    static const char *const wrong[] = {
        PART("\"one\"", "5-9/100", "5") "abcde",     /* another range */
        PART("\"one\"", "0-9/100", "5") "abcde",     /* two lengths */
        PART("\"one\"", "9-0/100", "5") "abcde",     /* backwards */
        PART("\"one\"", "0-9/5", "10") "abcdefghij", /* behind the end */
        PART("\"one\"", "0-99999999999999999999/5", "5") "abcde",
        PART("\"one\"", "x", "5") "abcde",
        "HTTP/1.1 206 Part\r\nETag: \"one\"\r\nContent-Length: 5\r\n\r\nabcde",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nabcde",
        "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nabcde", /* its end may be a broken connection
                                                              */
        "HTTP/1.1 204 None\r\n\r\n",
        "HTTP/1.1 416 No\r\nContent-Range: bytes */100\r\nContent-Length: 0\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const reply_t replies[] = {{"HEAD", OK200("100"), 0, 0, NULL, 0},
                                   {"GET", wrong[i], REPLY_CLOSE, 0, NULL, 0},
                                   {NULL, NULL, 0, 0, NULL, 0}};
        char buf[16];
        size_t got = 99;
        must_open(replies, QUICK);
        cr_expect_eq(read_part(10, 0, buf, &got), VFS_EFORMAT, "%zu", i);
        cr_expect_eq(got, 0);
        cr_assert_eq(vfs_destroy(fs), APR_SUCCESS);
        server_stop(server);
        fs = NULL;
        server = NULL;
    }
}

Test(remote_hostile, a_body_that_is_too_short_is_no_end_of_file)
{
    static const reply_t replies[] = {
        {"HEAD", OK200("10"), 0, 0, NULL, 0},
        {"GET", PART("\"one\"", "0-9/10", "10") "abc", REPLY_CLOSE, 0, NULL, 0},
        {NULL, NULL, 0, 0, NULL, 0}};
    char buf[16];
    size_t got = 99;
    must_open(replies, QUICK);
    cr_expect_neq(read_part(10, 0, buf, &got), APR_SUCCESS);
    cr_expect_eq(got, 0);
}

Test(remote_hostile, the_rest_of_a_broken_answer_is_asked_for)
{
    static const reply_t replies[] = {
        {"HEAD", OK200("10"), 0, 0, NULL, 0},
        {"bytes=0-", PART("\"one\"", "0-9/10", "10") "abc", REPLY_CLOSE, 0, NULL, 0},
        {"bytes=3-9", PART("\"one\"", "3-9/10", "7") "defghij", 0, 0, NULL, 0},
        {NULL, NULL, 0, 0, NULL, 0}};
    char buf[16];
    size_t got = 0;
    must_open(replies, QUICK);
    cr_expect_eq(read_part(10, 0, buf, &got), APR_SUCCESS);
    cr_expect_eq(got, 10);
    cr_expect_arr_eq(buf, "abcdefghij", 10);
    cr_expect_not_null(strstr(server_heard(server), "If-Match: \"one\""));
}

Test(remote_hostile, bytes_of_two_versions_are_never_mixed)
{
    static const reply_t replies[] = {
        {"HEAD", OK200("10"), 0, 0, NULL, 0},
        {"bytes=0-", PART("\"one\"", "0-9/10", "10") "abc", REPLY_CLOSE, 1, NULL, 0},
        {"bytes=3-", PART("\"two\"", "3-9/10", "7") "DEFGHIJ", 0, 1, NULL, 0},
        {"bytes=0-", PART("\"two\"", "0-9/10", "10") "ABCDEFGHIJ", 0, 1, NULL, 0},
        {NULL, NULL, 0, 0, NULL, 0}};
    char buf[16];
    size_t got = 0;
    must_open(replies, QUICK);
    cr_expect_eq(read_part(10, 0, buf, &got), APR_SUCCESS);
    cr_expect_eq(got, 10);
    cr_expect_arr_eq(buf, "ABCDEFGHIJ", 10);
}

Test(remote_hostile, a_file_that_changes_twice_in_a_read_is_stale)
{
    static const reply_t replies[] = {
        {"HEAD", OK200("10"), 0, 0, NULL, 0},
        {"bytes=3-", "HTTP/1.1 412 Changed\r\nContent-Length: 0\r\n\r\n", 0, 0, NULL, 0},
        {"bytes=0-", PART("\"one\"", "0-9/10", "10") "abc", REPLY_CLOSE, 0, NULL, 0},
        {NULL, NULL, 0, 0, NULL, 0}};
    char buf[16];
    size_t got = 99;
    must_open(replies, QUICK);
    cr_expect_eq(read_part(10, 0, buf, &got), VFS_ESTALE);
    cr_expect_eq(got, 0);
}

Test(remote_hostile, a_server_without_ranges_is_read_as_far_as_skip_max)
{
    static const reply_t replies[] = {{"HEAD", OK200("10"), 0, 0, NULL, 0},
                                      {"GET", OK200("10") "abcdefghij", 0, 0, NULL, 0},
                                      {NULL, NULL, 0, 0, NULL, 0}};
    char buf[16];
    size_t got = 0;
    must_open(replies, QUICK "&skip_max=4");
    cr_expect_eq(read_part(3, 4, buf, &got), APR_SUCCESS);
    cr_expect_eq(got, 3);
    cr_expect_arr_eq(buf, "efg", 3);
    cr_expect_eq(read_part(3, 5, buf, &got), APR_ENOTIMPL);
    cr_expect_eq(read_part(3, 10, buf, &got), APR_SUCCESS);
    cr_expect_eq(got, 0);
}

Test(remote_hostile, a_server_without_head_is_asked_for_a_byte)
{
    static const reply_t replies[] = {
        {"HEAD", "HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n", 0, 0, NULL, 0},
        {"GET /root/f", PART("\"one\"", "0-0/1234", "1") "a", 0, 0, NULL, 0},
        {"GET /root/e", "HTTP/1.1 416 No\r\nContent-Range: bytes */0\r\nContent-Length: 0\r\n\r\n",
         0, 0, NULL, 0},
        {NULL, NULL, 0, 0, NULL, 0}};
    vfs_attr_t attr;
    must_open(replies, QUICK);
    cr_expect_eq(vfs_stat(fs, NULL, "/f", &attr), APR_SUCCESS);
    cr_expect_eq(attr.size, 1234);
    cr_expect_eq(vfs_stat(fs, NULL, "/e", &attr), APR_SUCCESS);
    cr_expect_eq(attr.size, 0);
}

Test(remote_hostile, headers_without_end_are_cut_off)
{
    static const reply_t replies[] = {
        {"HEAD /root/a", "HTTP/1.1 200 OK\r\n", REPLY_ENDLESS, 0, "X-Long: 0123456789abcdef\r\n",
         0},
        {"HEAD /root/b", "HTTP/1.1 200 OK\r\nX-Longer: ", REPLY_ENDLESS, 0, "0123456789abcdef", 0},
        {"HEAD /root/c", "HTTP/1.1 100 Go on\r\n\r\n", REPLY_ENDLESS, 0,
         "HTTP/1.1 100 Go on\r\n\r\n", 0},
        {NULL, NULL, 0, 0, NULL, 0}};
    vfs_attr_t attr;
    must_open(replies, QUICK);
    cr_expect_eq(vfs_stat(fs, NULL, "/a", &attr), VFS_EFORMAT);
    cr_expect_neq(vfs_stat(fs, NULL, "/b", &attr), APR_SUCCESS);
    cr_expect_eq(vfs_stat(fs, NULL, "/c", &attr), VFS_EFORMAT);
}

Test(remote_hostile, what_is_no_http_is_said_to_be_none)
{
    static const reply_t replies[] = {{"HEAD", "SSH-2.0-OpenSSH\r\n\r\n", REPLY_CLOSE, 0, NULL, 0},
                                      {NULL, NULL, 0, 0, NULL, 0}};
    cr_expect_eq(open_fs(replies, "retries=0"), VFS_EFORMAT, "%s", err);
    cr_expect_neq(err[0], '\0');
}

Test(remote_hostile, a_server_that_says_nothing_is_given_up)
{
    static const reply_t replies[] = {{"HEAD", "HTTP/1.1 200 OK\r\n", REPLY_SILENT, 0, NULL, 0},
                                      {NULL, NULL, 0, 0, NULL, 0}};
    vfs_attr_t attr;
    vfs_ctx_t ctx = VFS_CTX_INIT;
    must_open(replies, "probe=no&retries=1&connect_timeout=50ms&first_byte_timeout=50ms");
    cr_expect_eq(vfs_stat(fs, NULL, "/f", &attr), VFS_EOFFLINE);
    ctx.deadline = apr_time_now() + 20000;
    cr_expect_eq(vfs_stat(fs, &ctx, "/f", &attr), APR_TIMEUP);
}

/* Raises the flag when the second GET has come. */
static void *raise_when_asked(void *cancel)
{
    const char *first = NULL;
    do {
        (void)poll(NULL, 0, 1); /* one who is woken early looks again */
        first = strstr(server_heard(server), "GET ");
    } while (first == NULL || strstr(first + 1, "GET ") == NULL);
    vfs_cancel_raise(cancel);
    return NULL;
}

Test(remote_hostile, a_raised_cancel_flag_ends_a_request)
{
    pthread_t thread;
    static const reply_t replies[] = {
        {"HEAD", OK200("10"), 0, 0, NULL, 0},
        {"GET", PART("\"one\"", "0-9/10", "10") "abc", REPLY_SILENT, 0, NULL, 0},
        {NULL, NULL, 0, 0, NULL, 0}};
    vfs_ctx_t ctx = VFS_CTX_INIT;
    vfs_cancel_t *cancel = NULL;
    vfs_file_t *file = NULL;
    char buf[10];
    size_t got = 0;
    must_open(replies, "probe=no");
    cr_assert_eq(vfs_cancel_create(&cancel, pool), APR_SUCCESS);
    cr_assert_eq(vfs_open(&file, fs, NULL, "/f", VFS_O_READ, 0, NULL, NULL), APR_SUCCESS);
    ctx.deadline = apr_time_now() + 50000;
    cr_expect_eq(vfs_read_at(file, &ctx, buf, 10, 0, &got), APR_TIMEUP);
    ctx.deadline = 0;
    ctx.cancel = cancel;
    cr_assert_eq(pthread_create(&thread, NULL, raise_when_asked, cancel), 0);
    cr_expect_eq(vfs_read_at(file, &ctx, buf, 10, 0, &got), VFS_ECANCELED);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}

Test(remote_hostile, a_server_that_is_away_is_not_asked_for_a_while)
{
    static const reply_t replies[] = {
        {"/root/f", "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n", 0, 0, NULL,
         0},
        {NULL, NULL, 0, 0, NULL, 0}};
    vfs_remote_figures_t figures = {.size = sizeof(figures)};
    vfs_attr_t attr;
    must_open(replies, "probe=no&retries=9");
    cr_expect_eq(vfs_stat(fs, NULL, "/f", &attr), VFS_EOFFLINE);
    cr_assert_eq(vfs_remote_figures(fs, &figures), APR_SUCCESS);
    cr_expect_eq(figures.attempts, 5, "%d", (int)figures.attempts);
    cr_expect_eq(figures.breaker_opened, 1);
    cr_expect_eq(figures.refused, 1);
    cr_expect_eq(vfs_stat(fs, NULL, "/g", &attr), VFS_EOFFLINE, "at once, whatever is asked");
    cr_assert_eq(vfs_remote_figures(fs, &figures), APR_SUCCESS);
    cr_expect_eq(figures.attempts, 5);
}

Test(remote_hostile, retry_after_is_obeyed_or_given_up)
{
    static const reply_t replies[] = {
        {"/root/f", "HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", 0, 1, NULL,
         0},
        {"/root/f", OK200("7"), 0, 0, NULL, 0},
        {"/root/g", "HTTP/1.1 429 Slow\r\nRetry-After: 86400\r\nContent-Length: 0\r\n\r\n", 0, 0,
         NULL, 0},
        {NULL, NULL, 0, 0, NULL, 0}};
    vfs_attr_t attr;
    must_open(replies, "probe=no");
    apr_time_t before = apr_time_now();
    cr_expect_eq(vfs_stat(fs, NULL, "/f", &attr), APR_SUCCESS);
    cr_expect_geq(apr_time_now() - before, 1000000);
    cr_expect_eq(vfs_stat(fs, NULL, "/g", &attr), VFS_EOFFLINE);
}

Test(remote_hostile, names_that_lead_out_are_left_out)
{
    static const char head[] =
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n";
    static const char body[] =
        "<html><head><title>Index of /root/</title></head><body><a href=\"../\">up</a>"
        "<a href=\"..\">x</a><a href=\"/etc/passwd\">x</a><a href=\"//evil/x\">x</a>"
        "<a href=\"http://evil/y\">x</a><a href=\"..%2fz\">x</a><a href=\"%2e%2e\">x</a>"
        "<a href=\"a/b\">x</a><a href=\"a%00b\">x</a><a href=\"%zz\">x</a><a href=\"?C=N\">x</a>"
        "<a href=\"&#47;w\">x</a><a href=\"javascript:x\">x</a><a href=\"./\">x</a>"
        "<A HREF='good'>x</A><a class=k href=dir/>x</a></body></html>";
    static char whole[2048];
    static const reply_t replies[] = {{"GET", whole, 0, 0, NULL, 0}, {NULL, NULL, 0, 0, NULL, 0}};
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    snprintf(whole, sizeof(whole), "%s%zx\r\n%s\r\n0\r\n\r\n", head, strlen(body), body);
    must_open(replies, QUICK);
    cr_assert_eq(vfs_opendir(&dir, fs, NULL, "/", 0), APR_SUCCESS);
    cr_assert_eq(vfs_readdir(dir, NULL, &entry), APR_SUCCESS);
    cr_expect_str_eq(entry.name, "dir");
    cr_expect_eq(entry.type, VFS_TYPE_DIR);
    cr_assert_eq(vfs_readdir(dir, NULL, &entry), APR_SUCCESS);
    cr_expect_str_eq(entry.name, "good");
    cr_expect_eq(vfs_readdir(dir, NULL, &entry), APR_EOF);
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
}

Test(remote_hostile, the_page_of_pythons_server_is_a_listing)
{
    static const reply_t replies[] = {
        {"GET /root/a/",
         OK200("81") "<html><head><title>Directory listing for /</title></head><a href=\"x\">x</a>"
                     "</html>",
         0, 0, NULL, 0},
        {NULL, NULL, 0, 0, NULL, 0}};
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    must_open(replies, "probe=no");
    cr_assert_eq(vfs_opendir(&dir, fs, NULL, "/a", 0), APR_SUCCESS);
    cr_assert_eq(vfs_readdir(dir, NULL, &entry), APR_SUCCESS);
    cr_expect_str_eq(entry.name, "x");
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
}

Test(remote_hostile, a_page_that_is_no_index_is_no_listing)
{
    static const reply_t replies[] = {
        {"GET /root/a/", OK200("44") "<html><title>Home</title><a href=\"x\"></html>", 0, 0, NULL,
         0},
        {"GET /root/b/", OK200("35") "<title>Index of /</title><a href=x>", 0, 0, NULL, 0},
        {"GET /root/c/",
         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14"
         "\r\n\r\n[{\"name\":\"x\"},",
         0, 0, NULL, 0},
        {NULL, NULL, 0, 0, NULL, 0}};
    vfs_dir_t *dir = NULL;
    must_open(replies, QUICK);
    cr_expect_eq(vfs_opendir(&dir, fs, NULL, "/a", 0), VFS_EFORMAT);
    cr_expect_eq(vfs_opendir(&dir, fs, NULL, "/b", 0), VFS_EFORMAT, "cut off");
    cr_expect_eq(vfs_opendir(&dir, fs, NULL, "/c", 0), VFS_EFORMAT, "cut off");
}

Test(remote_hostile, no_credential_goes_to_another_server)
{
    static reply_t here[3];
    static char redirect[256];
    static const reply_t there[] = {{"HEAD", OK200("3"), 0, 0, NULL, 0},
                                    {"GET", OK200("3") "abc", 0, 0, NULL, 0},
                                    {NULL, NULL, 0, 0, NULL, 0}};
    static const char *const ways[] = {"auth=bearer", "auth=basic&user=joe"};
    for (size_t i = 0; i < 2; i++) {
        int port = 0;
        char *text = NULL, options[64];
        server_t *other = server_start(there, &port);
        snprintf(
            redirect, sizeof(redirect),
            "HTTP/1.1 302 There\r\nLocation: http://127.0.0.1:%d/x\r\nContent-Length: 0\r\n\r\n",
            port);
        here[0] = (reply_t){"/root/f", redirect, 0, 0, NULL, 0};
        cr_assert_eq(setenv("CACHEFS_SECRET", "topsecret", 1), 0);
        snprintf(options, sizeof(options), "probe=no&%s", ways[i]);
        must_open(here, options);
        cr_expect_eq(read_file("/f", &text), APR_SUCCESS);
        cr_expect_str_eq(text, "abc");
        cr_expect_not_null(strstr(server_heard(server), "Authorization: "), "%s", ways[i]);
        cr_expect_null(strstr(server_heard(other), "Authorization"), "%s", ways[i]);
        cr_assert_eq(vfs_destroy(fs), APR_SUCCESS);
        server_stop(server);
        server_stop(other);
        fs = NULL;
        server = NULL;
    }
}

Test(remote_hostile, redirects_end_and_can_be_forbidden)
{
    static const reply_t replies[] = {
        {"/root/loop", "HTTP/1.1 302 Round\r\nLocation: /root/loop\r\nContent-Length: 0\r\n\r\n", 0,
         0, NULL, 0},
        {"/root/file",
         "HTTP/1.1 302 Local\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n", 0, 0,
         NULL, 0},
        {"/root/none", "HTTP/1.1 302 Nowhere\r\nContent-Length: 0\r\n\r\n", 0, 0, NULL, 0},
        {"/root/away",
         "HTTP/1.1 301 Away\r\nLocation: http://localhost:9/\r\nContent-Length: 0\r\n\r\n", 0, 0,
         NULL, 0},
        {NULL, NULL, 0, 0, NULL, 0}};
    vfs_attr_t attr;
    must_open(replies, QUICK "&redirects=origin");
    cr_expect_eq(vfs_stat(fs, NULL, "/loop", &attr), APR_FROM_OS_ERROR(EACCES));
    cr_expect_eq(vfs_stat(fs, NULL, "/file", &attr), APR_FROM_OS_ERROR(EACCES));
    cr_expect_eq(vfs_stat(fs, NULL, "/none", &attr), VFS_EFORMAT);
    cr_expect_eq(vfs_stat(fs, NULL, "/away", &attr), APR_FROM_OS_ERROR(EACCES));
}
