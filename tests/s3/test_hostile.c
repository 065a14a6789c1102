/*
 * test_hostile.c - a server that lies in the words of S3: XML that is none, or without end, names
 * that lead out, pages without end, redirects to elsewhere, another clock. Each ends in right
 * answers or a clear error.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <apr_general.h>

#include <criterion/criterion.h>

#include "backends/backends.h"
#include "tests/remote/support_server.h"
#include "tests/stacks/s3server.h"

static apr_pool_t *pool;
static server_t *server;
static vfs_t *fs;
static char err[768];

#define NO_MORE                                                                                    \
    {                                                                                              \
        NULL, NULL, 0, 0, NULL, 0                                                                  \
    }
#define TEXT_MAX 4096

static void stop(void)
{
    if (fs != NULL) cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    if (server != NULL) server_stop(server);
    fs = NULL;
    server = NULL;
}

static void begin(void)
{
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
    s3server_credentials(0);
}

static void end(void)
{
    stop();
    apr_pool_destroy(pool);
}

TestSuite(s3_hostile, .init = begin, .fini = end);

static apr_status_t open_fs(const reply_t *replies, const char *options)
{
    char uri[256];
    int port = 0;
    server = server_start(replies, &port);
    s3server_uri(uri, sizeof(uri), port, "test/in", options);
    return vfs_s3_create(&fs, uri, err, sizeof(err), pool);
}

/* An answer of this body. */
static const char *answer(char text[TEXT_MAX], const char *status, const char *headers,
                          const char *body)
{
    int len = snprintf(text, TEXT_MAX, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status,
                       headers, strlen(body), body);
    cr_assert_lt(len, TEXT_MAX);
    return text;
}

/* All names of the root, with ',' behind each. */
static apr_status_t list(char *names, size_t size)
{
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    names[0] = '\0';
    apr_status_t status = vfs_opendir(&dir, fs, NULL, "/", VFS_DIR_ATTRS);
    if (status != APR_SUCCESS) return status;
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS)
        snprintf(names + strlen(names), size - strlen(names), "%s,", entry.name);
    return vfs_closedir(dir);
}

#define CONTENTS(key) "<Contents><Key>" key "</Key><Size>1</Size></Contents>"
#define RESULT(text) "<ListBucketResult>" text "</ListBucketResult>"
#define QUICK "&probe=no&retries=1"

Test(s3_hostile, listings_that_are_none_are_refused)
{
    static const char *const bad[] = {
        "",
        "hello",
        "<html><body>S3</body></html>",
        "<ListBucketResult>" CONTENTS("in/a"), /* cut */
        "<Error><Code>SlowDown</Code></Error>",
        "<!DOCTYPE x [<!ENTITY a 'in/ha'><!ENTITY b '&a;&a;&a;'>]>" RESULT(CONTENTS("&b;")),
        RESULT("<IsTruncated>true</IsTruncated>" CONTENTS("in/a")), /* without a token */
        RESULT("<EncodingType>url</EncodingType>" CONTENTS("in/%zz")),
        RESULT("<EncodingType>url</EncodingType>" CONTENTS("in/%00"))};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[TEXT_MAX], names[256];
        const reply_t replies[] = {{"GET", answer(text, "200 OK", "", bad[i]), 0, 0, NULL, 0},
                                   NO_MORE};
        cr_assert_eq(open_fs(replies, QUICK), APR_SUCCESS, "%s", err);
        cr_expect_eq(list(names, sizeof(names)), VFS_EFORMAT, "%s", bad[i]);
        stop();
        if (strstr(bad[i], "IsTruncated") != NULL) continue; /* one page is all that is wanted */
        cr_expect_eq(open_fs(replies, "&retries=0"), VFS_EFORMAT, "%s", bad[i]);
        cr_expect_not_null(strstr(err, "no S3"), "%s", err);
        stop();
    }
}

Test(s3_hostile, an_error_without_a_code_is_no_S3)
{
    static const char *const said[] = {"404 Not Found", "400 Bad Request", "405 Not Allowed"};
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        char text[TEXT_MAX];
        const reply_t replies[] = {
            {"GET", answer(text, said[i], "", "<html>none of ours</html>"), 0, 0, NULL, 0},
            NO_MORE};
        cr_expect_neq(open_fs(replies, "&retries=0"), APR_SUCCESS, "%s", said[i]);
        cr_expect_not_null(strstr(err, "no S3"), "%s: %s", said[i], err);
        stop();
    }
}

Test(s3_hostile, a_name_is_one_component_below_its_directory)
{
    static const char body[] = RESULT(
        CONTENTS("in/") CONTENTS("in/a") CONTENTS("in/..") CONTENTS("in/.") CONTENTS("in/b/c")
            CONTENTS("out") CONTENTS("/etc/passwd") CONTENTS("../in/x") CONTENTS("") CONTENTS("in")
                CONTENTS("in/a") "<CommonPrefixes><Prefix>in/../</Prefix></CommonPrefixes>"
                                 "<CommonPrefixes><Prefix>in/d/</Prefix></CommonPrefixes>"
                                 "<CommonPrefixes><Prefix>in//</Prefix></CommonPrefixes>"
                                 "<Contents><Size>3</Size></Contents>");
    char text[TEXT_MAX], names[256];
    const reply_t replies[] = {{"GET", answer(text, "200 OK", "", body), 0, 0, NULL, 0}, NO_MORE};
    cr_assert_eq(open_fs(replies, QUICK), APR_SUCCESS, "%s", err);
    cr_assert_eq(list(names, sizeof(names)), APR_SUCCESS);
    cr_expect_str_eq(names, "a,d,");
}

Test(s3_hostile, pages_without_end_end)
{
    char text[TEXT_MAX], names[256];
    const reply_t replies[] = {
        {"GET",
         answer(text, "200 OK", "",
                RESULT("<IsTruncated>true</IsTruncated><NextContinuationToken>t"
                       "</NextContinuationToken>" CONTENTS("in/a"))),
         0, 0, NULL, 0},
        NO_MORE};
    cr_assert_eq(open_fs(replies, QUICK), APR_SUCCESS, "%s", err);
    cr_expect_eq(list(names, sizeof(names)), VFS_EFORMAT, "the same token twice");
}

Test(s3_hostile, a_page_without_end_ends)
{
    static const reply_t replies[] = {
        {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n12\r\n<ListBucketResult>\r\n",
         REPLY_ENDLESS, 0,
         "80\r\n<x>0123456789abcdef0123456789abcdef0123456789abcdef0123456789</x>"
         "<x>0123456789abcdef0123456789abcdef0123456789abcdef0123456</x>\r\n",
         0},
        NO_MORE};
    char names[256];
    cr_assert_eq(open_fs(replies, QUICK), APR_SUCCESS, "%s", err);
    cr_expect_eq(list(names, sizeof(names)), VFS_ELIMIT);
}

Test(s3_hostile, a_page_that_broke_is_read_anew)
{
    char first[TEXT_MAX], second[TEXT_MAX], names[256];
    const reply_t replies[] = {
        {"GET", answer(first, "200 OK", "", RESULT(CONTENTS("in/gone") CONTENTS("in/a"))),
         REPLY_CLOSE, 1, NULL, 90},
        {"GET", answer(second, "200 OK", "", RESULT(CONTENTS("in/a"))), 0, 0, NULL, 0},
        NO_MORE};
    cr_assert_gt(strlen(first), 90);
    cr_assert_eq(open_fs(replies, QUICK), APR_SUCCESS, "%s", err);
    cr_assert_eq(list(names, sizeof(names)), APR_SUCCESS);
    cr_expect_str_eq(names, "a,", "what the broken answer had is forgotten");
}

Test(s3_hostile, no_redirect_is_followed_and_no_credential_goes_elsewhere)
{
    static const reply_t there[] = {
        {"", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 0, 0, NULL, 0}, NO_MORE};
    static const char *const statuses[] = {"301 Moved", "302 Found", "307 Temporary",
                                           "308 Permanent"};
    int port = 0;
    server_t *other = server_start(there, &port);
    for (size_t i = 0; i < 4; i++) {
        char text[TEXT_MAX], headers[128];
        vfs_attr_t attr;
        snprintf(headers, sizeof(headers),
                 "Location: http://127.0.0.1:%d/test/in/f\r\nx-amz-bucket-region: moon-1\r\n",
                 port);
        const reply_t replies[] = {{"", answer(text, statuses[i], headers, ""), 0, 0, NULL, 0},
                                   NO_MORE};
        cr_assert_eq(open_fs(replies, QUICK), APR_SUCCESS, "%s", err);
        cr_expect_neq(vfs_stat(fs, NULL, "/f", &attr), APR_SUCCESS);
        stop();
        cr_expect_neq(open_fs(replies, "&retries=0"), APR_SUCCESS);
        cr_expect_not_null(strstr(err, "region=moon-1"), "%s", err);
        stop();
    }
    cr_expect_str_eq(server_heard(other), "", "nobody asked there");
    server_stop(other);
}

Test(s3_hostile, another_clock_is_gone_by)
{
    char text[TEXT_MAX], headers[128], date[64], day[32];
    const time_t then = time(NULL) + 86400;
    struct tm tm;
    vfs_attr_t attr;
    gmtime_r(&then, &tm);
    strftime(date, sizeof(date), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
    strftime(day, sizeof(day), "x-amz-date: %Y%m%d", &tm);
    snprintf(headers, sizeof(headers), "%s", date);
    const reply_t replies[] = {
        {day, "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 7\r\n\r\n", 0, 0, NULL, 0},
        {"", answer(text, "403 Forbidden", headers, ""), 0, 0, NULL, 0},
        NO_MORE};
    cr_assert_eq(open_fs(replies, QUICK), APR_SUCCESS, "%s", err);
    cr_expect_eq(vfs_stat(fs, NULL, "/f", &attr), APR_SUCCESS, "signed anew, by its clock");
    cr_expect_eq(attr.size, 7);
}

Test(s3_hostile, a_secret_is_in_no_request_and_no_trace)
{
    char text[TEXT_MAX], options[128], trace[] = "/tmp/cachefs-s3-trace-XXXXXX", line[8192];
    const reply_t replies[] = {
        {"", answer(text, "200 OK", "", RESULT(CONTENTS("in/a"))), 0, 0, NULL, 0}, NO_MORE};
    int fd = mkstemp(trace);
    cr_assert_geq(fd, 0);
    close(fd);
    setenv("AWS_SECRET_ACCESS_KEY", "topsecret", 1);
    setenv("AWS_SESSION_TOKEN", "sessiontoken", 1);
    snprintf(options, sizeof(options), "&trace=%s", trace);
    cr_assert_eq(open_fs(replies, options), APR_SUCCESS, "%s", err);
    cr_expect_null(strstr(server_heard(server), "topsecret"));
    cr_expect_not_null(strstr(server_heard(server), "x-amz-security-token: sessiontoken"));
    FILE *file = fopen(trace, "re");
    cr_assert_not_null(file);
    size_t n = fread(line, 1, sizeof(line) - 1, file);
    line[n] = '\0';
    cr_expect_gt(n, 0);
    cr_expect_null(strstr(line, "topsecret"));
    cr_expect_null(strstr(line, "sessiontoken"));
    cr_expect_null(strstr(line, "Signature"));
    cr_assert_eq(fclose(file), 0);
    cr_expect_eq(unlink(trace), 0);
}

Test(s3_hostile, what_a_refusal_says_cannot_harm)
{
    static char huge[3000];
    memset(huge, 'x', sizeof(huge) - 1);
    char text[TEXT_MAX], body[TEXT_MAX];
    snprintf(body, sizeof(body), "<Error><Code>%s</Code><Region>a&#10;b</Region></Error>", huge);
    const reply_t replies[] = {{"", answer(text, "400 Bad", "", body), 0, 0, NULL, 0}, NO_MORE};
    cr_expect_neq(open_fs(replies, "&retries=0"), APR_SUCCESS);
    cr_expect_null(strchr(err, '\n'), "%s", err);
    cr_expect_lt(strlen(err), sizeof(err) - 1);
}

#define HEAD_OK "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 1\r\n\r\n"
#define NOT_THERE "HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n"

Test(s3_hostile, a_refusal_with_status_200_is_one)
{
    static const char *const bodies[] = {"<Error><Code>InternalError</Code></Error>",
                                         "<Error><Code>AccessDenied</Code></Error>", "",
                                         "<CopyObjectResult><ETag>"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        char text[TEXT_MAX], list_text[TEXT_MAX];
        const reply_t replies[] = {
            {"HEAD /test/in/f", HEAD_OK, 0, 0, NULL, 0},
            {"HEAD", NOT_THERE, 0, 0, NULL, 0},
            {"GET", answer(list_text, "200 OK", "", RESULT("")), 0, 0, NULL, 0},
            {"PUT", answer(text, "200 OK", "", bodies[i]), 0, 0, NULL, 0},
            NO_MORE};
        cr_assert_eq(open_fs(replies, QUICK), APR_SUCCESS, "%s", err);
        cr_expect_neq(vfs_rename(fs, NULL, "/f", "/g", 0), APR_SUCCESS, "%s", bodies[i]);
        cr_expect_not_null(strstr(server_heard(server), "x-amz-copy-source: /test/in/f\r\n"));
        cr_expect_null(strstr(server_heard(server), "DELETE"), "the old one is all there is");
        stop();
    }
}

static apr_status_t read_x(void *baton, void *buf, size_t len, apr_off_t off)
{
    (void)baton;
    (void)off;
    memset(buf, 'x', len);
    return APR_SUCCESS;
}

Test(s3_hostile, no_condition_is_of_an_empty_tag)
{
    static const reply_t replies[] = {
        {"HEAD",
         "HTTP/1.1 200 OK\r\nLast-Modified: Sat, 01 Jan 2000 00:00:00 GMT\r\n"
         "Content-Length: 1\r\n\r\n",
         0, 0, NULL, 0},
        NO_MORE};
    const vfs_source_t source = {read_x, NULL, 1};
    vfs_commit_t how = VFS_COMMIT_INIT;
    cr_assert_eq(open_fs(replies, QUICK "&meta=yes&conditional=yes"), APR_SUCCESS, "%s", err);
    cr_assert_eq(vfs_validator(fs, NULL, "/f", &how.expected), APR_SUCCESS);
    how.flags = VFS_COMMIT_IF_MATCH;
    cr_expect_eq(vfs_commit(fs, NULL, "/f", &source, &how, NULL, NULL), VFS_EFORMAT);
    cr_expect_eq(vfs_chmod(fs, NULL, "/f", 0600, 0), VFS_EFORMAT);
    cr_expect_null(strstr(server_heard(server), "PUT"));
}

Test(s3_hostile, a_tag_of_other_bytes_is_found_where_tags_are_md5)
{
    static const reply_t replies[] = {
        {"HEAD", NOT_THERE, 0, 0, NULL, 0},
        {"GET",
         "HTTP/1.1 200 OK\r\nContent-Length: 39\r\n\r\n<ListBucketResult></ListBucketResult>  ", 0,
         0, NULL, 0},
        {"/wrong",
         "HTTP/1.1 200 OK\r\nETag: \"00000000000000000000000000000000\"\r\nContent-Length: "
         "0\r\n\r\n",
         0, 0, NULL, 0},
        {"/right",
         "HTTP/1.1 200 OK\r\nETag: \"9dd4e461268c8034f5c8564e155c67a6\"\r\nContent-Length: "
         "0\r\n\r\n",
         0, 0, NULL, 0},
        NO_MORE};
    const vfs_source_t source = {read_x, NULL, 1};
    cr_assert_eq(open_fs(replies, QUICK), APR_SUCCESS, "%s", err);
    cr_expect_eq(vfs_commit(fs, NULL, "/wrong", &source, NULL, NULL, NULL), APR_SUCCESS,
                 "there are servers whose tags are no MD5");
    cr_expect_eq(vfs_commit(fs, NULL, "/right", &source, NULL, NULL, NULL), APR_SUCCESS);
    cr_expect_eq(vfs_commit(fs, NULL, "/wrong", &source, NULL, NULL, NULL), VFS_ECHECKSUM);
}

/* The first answer is lost; then the server's clock turns out to be another, and what is there by
 * then is our own. */
Test(s3_hostile, a_lost_answer_is_not_forgotten_when_it_is_asked_anew)
{
    char text[TEXT_MAX], headers[128], tag[128];
    const time_t then = time(NULL) + 86400;
    struct tm tm;
    gmtime_r(&then, &tm);
    strftime(headers, sizeof(headers), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
    snprintf(tag, sizeof(tag), "HTTP/1.1 200 OK\r\nETag: \"%s\"\r\nContent-Length: 1\r\n\r\n",
             "9dd4e461268c8034f5c8564e155c67a6");
    const reply_t replies[] = {
        {"PUT /test/in/f", "HTTP/1.1 200", REPLY_CLOSE, 1, NULL, 0},
        {"PUT /test/in/f", answer(text, "403 Forbidden", headers, ""), 0, 1, NULL, 0},
        {"PUT /test/in/f", "HTTP/1.1 412 No\r\nContent-Length: 0\r\n\r\n", 0, 0, NULL, 0},
        {"HEAD /test/in/f", tag, 0, 0, NULL, 0},
        {"GET",
         "HTTP/1.1 200 OK\r\nContent-Length: 39\r\n\r\n<ListBucketResult></ListBucketResult>  ", 0,
         0, NULL, 0},
        NO_MORE};
    const vfs_source_t source = {read_x, NULL, 1};
    vfs_commit_t how = VFS_COMMIT_INIT;
    how.flags = VFS_COMMIT_IF_NONE;
    cr_assert_eq(open_fs(replies, QUICK "&conditional=yes"), APR_SUCCESS, "%s", err);
    cr_expect_eq(vfs_commit(fs, NULL, "/f", &source, &how, NULL, NULL), APR_SUCCESS);
}
