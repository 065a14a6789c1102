/*
 * test_program.c - what the program says when a bucket cannot be opened: what is wrong, and what to
 * do about it; the same from the verbs that read and from the one that mounts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/cli/support_run.h"
#include "tests/remote/support_server.h"
#include "tests/s3/support_bucket.h"

static webserver_t web;

static void begin(void)
{
    s3server_credentials(0);
    cr_assert_neq(s3server_start(&web, NULL), 0);
    setenv("HOME", web.dir, 1);
    setenv("no_proxy", "*", 1);
}

static void end(void)
{
    webserver_stop(&web);
}

TestSuite(s3_program, .init = begin, .fini = end);

/* Each verb ends with an error before it does anything, and says these, and no secret. */
static void expect_told_with(int code, const char *uri, const char *problem, const char *advice)
{
    char *at = formatted("%s/mnt", web.dir);
    struct stat before, after;
    (void)mkdir(at, 0700); /* it is there from the second time on */
    cr_assert_eq(stat(at, &before), 0);
    for (int mount = 0; mount < 2; mount++) {
        const run_t r = mount ? run("mount", uri, at, NULL) : run("ls", uri, NULL);
        cr_expect_eq(r.code, code, "%s: %d", uri, r.code);
        cr_expect_not_null(strstr(r.err, problem), "not '%s': %s", problem, r.err);
        cr_expect_not_null(strstr(r.err, advice), "not '%s': %s", advice, r.err);
        cr_expect_null(strstr(r.err, "topsecret"), "%s", r.err);
        const char *line = strchr(r.err, '\n');
        cr_expect(line != NULL && line[1] == '\0', "one line: %s", r.err);
    }
    cr_assert_eq(stat(at, &after), 0);
    cr_expect_eq(before.st_dev, after.st_dev, "nothing is mounted");
}

static void expect_told(const char *uri, const char *problem, const char *advice)
{
    expect_told_with(3, uri, problem, advice);
}

static const char *uri_of(int port, const char *place, const char *more)
{
    char uri[512];
    s3server_uri(uri, sizeof(uri), port, place, more);
    return formatted("%s", uri);
}

Test(s3_program, wrong_credentials_are_told)
{
    const char *uri = uri_of(web.port, "test", "");
    setenv("AWS_SECRET_ACCESS_KEY", "topsecret", 1);
    expect_told(uri, "SignatureDoesNotMatch", "check AWS_SECRET_ACCESS_KEY");
    setenv("AWS_ACCESS_KEY_ID", "WHO", 1);
    expect_told(uri, "InvalidAccessKeyId", "check AWS_ACCESS_KEY_ID");
    unsetenv("AWS_ACCESS_KEY_ID");
    expect_told(uri, "no credentials", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
    expect_told(uri_of(web.port, "test", "&profile=work"), "no credentials", ".aws/credentials");
    expect_told(uri_of(web.port, "test", "&anonymous=yes"), "AccessDenied", "s3:ListBucket");
}

Test(s3_program, a_session_that_has_ended_is_told)
{
    char *token = formatted("%s/token", web.dir);
    static const char body[] = "<ErrorResponse><Error><Code>ExpiredTokenException</Code></Error>"
                               "</ErrorResponse>";
    char *text = formatted("HTTP/1.1 400 Bad\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
    const reply_t replies[] = {{"", text, 0, 0, NULL, 0}, {NULL, NULL, 0, 0, NULL, 0}};
    int port = 0;
    setenv("AWS_SESSION_TOKEN", "expired", 1);
    expect_told(uri_of(web.port, "test", ""), "ExpiredToken", "get new credentials");
    s3server_credentials(0);
    unsetenv("AWS_ACCESS_KEY_ID");
    spill(token, "topsecret", 9);
    server_t *sts = server_start(replies, &port);
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", token, 1);
    setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/reader", 1);
    setenv("AWS_ENDPOINT_URL_STS", formatted("http://127.0.0.1:%d", port), 1);
    expect_told(uri_of(web.port, "test", ""), "ExpiredTokenException", "has to write a new one");
    server_stop(sts);
}

Test(s3_program, a_wrong_bucket_is_told)
{
    expect_told(uri_of(web.port, "other", ""), "NoSuchBucket", "check its name");
    expect_told(uri_of(web.port, "test", "&region=eu-north-1"), "AuthorizationHeaderMalformed",
                "region=us-east-1");
    expect_told_with(2, "s3://te%20st", "the name of a bucket has letters", "only");
    expect_told_with(2, "s3://KEY:topsecret/+@test", "s3://KEY:***@test", "AWS_SECRET_ACCESS_KEY");
    expect_told_with(2, "https://joe:topsecret@localhost/", "https://joe:***@localhost/",
                     "environ");
}

Test(s3_program, a_wrong_host_is_told)
{
    static const reply_t replies[] = {
        {"", "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n<html>Hello!</html>\n", 0, 0, NULL, 0},
        {NULL, NULL, 0, 0, NULL, 0}};
    int port = 0;
    server_t *server = server_start(replies, &port);
    expect_told(uri_of(port, "test", ""), "at http://127.0.0.1:", "what answers is no S3");
    server_stop(server);
    expect_told(uri_of(port, "test", "&retries=0"), "connect", "is the server up");
}

Test(s3_program, a_certificate_that_is_refused_is_told)
{
    webserver_t tls;
    cr_assert_neq(s3server_start(&tls, "tls"), 0);
    char *uri = formatted("s3://test?endpoint=https://localhost:%d&proxy=none", tls.port);
    expect_told(uri, "certificate", "cacert=FILE");
    const run_t r = run("ls", formatted("%s&cacert=%s/cert.pem", uri, tls.dir), NULL);
    cr_expect_eq(r.code, 0, "%s", r.err);
    webserver_stop(&tls);
}
