/*
 * test_creds.c - keys that are lent for a time: by STS, by the agent of a container, by the
 * metadata service of a machine. They come, are replaced before they end, and what is wrong is told
 * with what to do. All of these are scripted, on loopback.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/remote/support_server.h"
#include "tests/s3/support_bucket.h"

#define TEXT_MAX 2048
#define NO_MORE                                                                                    \
    {                                                                                              \
        NULL, NULL, 0, 0, NULL, 0                                                                  \
    }

static bucket_t b;
static server_t *issuer;
static char base[64];

static void begin(void)
{
    memset(&b, 0, sizeof(b));
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&b.pool, NULL), APR_SUCCESS);
    cr_assert_neq(s3server_start(&b.web, NULL), 0);
    s3server_credentials(0);
    unsetenv("AWS_ACCESS_KEY_ID");
    setenv("HOME", b.web.dir, 1);
    setenv("no_proxy", "*", 1);
}

static void end_issuer(void)
{
    if (issuer != NULL) server_stop(issuer);
    issuer = NULL;
}

static void end(void)
{
    bucket_stop(&b);
    end_issuer();
}

TestSuite(s3_creds, .init = begin, .fini = end);

static void start(const reply_t *replies)
{
    int port = 0;
    end_issuer();
    issuer = server_start(replies, &port);
    snprintf(base, sizeof(base), "http://127.0.0.1:%d", port);
}

static const char *answer(char text[TEXT_MAX], const char *status, const char *body)
{
    snprintf(text, TEXT_MAX, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body),
             body);
    return text;
}

/* A key as JSON, that ends so many seconds from now. */
static const char *json(char text[TEXT_MAX], const char *id, const char *token, int seconds)
{
    char body[512], date[32];
    const time_t then = time(NULL) + seconds;
    struct tm tm;
    gmtime_r(&then, &tm);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(
        body, sizeof(body),
        "{\n \"Code\" : \"Success\", \"AccessKeyId\" : \"%s\",\n\"SecretAccessKey\":\"SECRET\","
        "\"Token\":\"%s\",\"Expiration\":\"%s\", \"Count\": 3, \"more\": null}",
        id, token, date);
    return answer(text, "200 OK", body);
}

static void write_file(const char *name, const char *text, char path[128])
{
    snprintf(path, 128, "%s/%s", b.web.dir, name);
    FILE *out = fopen(path, "we");
    cr_assert_not_null(out);
    fputs(text, out);
    cr_assert_eq(fclose(out), 0);
}

static apr_status_t open_bucket(void)
{
    return bucket_open(&b, b.web.port, "test", "");
}

static void use_container(const char *path)
{
    char url[128];
    snprintf(url, sizeof(url), "%s%s", base, path);
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
}

static unsigned count(const char *what)
{
    unsigned n = 0;
    for (const char *at = server_heard(issuer); (at = strstr(at, what)) != NULL; at++)
        n++;
    return n;
}

/* It cannot be opened; what is said tells what to do, and no secret. */
static void expect_refused(apr_status_t want, const char *says)
{
    cr_expect_eq(open_bucket(), want, "%s", b.err);
    cr_expect_not_null(strstr(b.err, says), "not '%s': %s", says, b.err);
    cr_expect_null(strstr(b.err, "topsecret"), "%s", b.err);
}

#define REFUSED APR_FROM_OS_ERROR(EACCES)

/* ---- STS */

#define STS(id)                                                                                    \
    "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"      \
    "<AssumeRoleWithWebIdentityResult><Credentials><SessionToken>lent</SessionToken>"              \
    "<SecretAccessKey>SECRET</SecretAccessKey><Expiration>2100-01-01T00:00:00Z</Expiration>"       \
    "<AccessKeyId>" id "</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult>"            \
    "</AssumeRoleWithWebIdentityResponse>"
#define STS_ERROR(code)                                                                            \
    "<ErrorResponse><Error><Type>Sender</Type><Code>" code "</Code>"                               \
    "<Message>topsecret</Message></Error></ErrorResponse>"

static void use_web(const char *token, char path[128])
{
    write_file("token", token, path);
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", path, 1);
    setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/reader", 1);
    setenv("AWS_ENDPOINT_URL_STS", base, 1);
}

Test(s3_creds, a_web_identity_is_traded_for_a_key)
{
    char text[TEXT_MAX], path[128], trace[128], options[256], line[4096] = "";
    const reply_t replies[] = {{"POST / ", answer(text, "200 OK", STS("KEY")), 0, 0, NULL, 0},
                               NO_MORE};
    start(replies);
    use_web("topsecret.a+b/c==\n", path);
    write_file("trace", "", trace);
    snprintf(options, sizeof(options), "&trace=%s", trace);
    cr_assert_eq(bucket_open(&b, b.web.port, "test", options), APR_SUCCESS, "%s", b.err);
    cr_expect_str_eq(bucket_state(&b)->creds.token, "lent");
    const char *heard = server_heard(issuer);
    cr_expect_not_null(strstr(heard, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&"));
    cr_expect_not_null(strstr(heard, "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Freader&"));
    cr_expect_not_null(strstr(heard, "WebIdentityToken=topsecret.a%2Bb%2Fc%3D%3D"));
    cr_expect_not_null(strstr(heard, "Content-Type: application/x-www-form-urlencoded"));
    FILE *file = fopen(trace, "re");
    cr_assert_not_null(file);
    line[fread(line, 1, sizeof(line) - 1, file)] = '\0';
    cr_assert_eq(fclose(file), 0);
    cr_expect_not_null(strstr(line, "GET"));
    cr_expect_null(strstr(line, "topsecret"));
    cr_expect_null(strstr(line, "lent"));
}

Test(s3_creds, what_is_wrong_with_a_web_identity_is_told)
{
    static const struct {
        const char *status, *body, *says;
    } rows[] = {
        {"400 Bad", STS_ERROR("ExpiredTokenException"), "has to write a new one"},
        {"400 Bad", STS_ERROR("InvalidIdentityToken"), "is not accepted"},
        {"403 No", STS_ERROR("AccessDenied"), "whom the role trusts"},
        {"400 Bad", STS_ERROR("ValidationError"), "AWS_ROLE_ARN"},
        {"404 None", "<html/>", "AWS_ENDPOINT_URL_STS"},
        {"302 Found\r\nLocation: http://127.0.0.1:1/", "", "HTTP 302"},
    };
    static const char *const bad[] = {"", "topsecret", "{}", "<a/>", "<a><AccessKeyId>K"};
    char text[TEXT_MAX], path[128];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const reply_t replies[] = {{"", answer(text, rows[i].status, rows[i].body), 0, 0, NULL, 0},
                                   NO_MORE};
        start(replies);
        use_web("topsecret", path);
        expect_refused(REFUSED, rows[i].says);
        cr_expect_not_null(strstr(b.err, "arn:aws:iam::1:role/reader"), "%s", b.err);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const reply_t replies[] = {{"", answer(text, "200 OK", bad[i]), 0, 0, NULL, 0}, NO_MORE};
        start(replies);
        use_web("topsecret", path);
        expect_refused(VFS_EFORMAT, "no key");
    }
    end_issuer();
    expect_refused(VFS_EOFFLINE, "AWS_ENDPOINT_URL_STS");
    write_file("token", "", path);
    expect_refused(REFUSED, "is empty");
    write_file("token", "topsecret two", path);
    expect_refused(REFUSED, "several words");
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/none/token", 1);
    expect_refused(REFUSED, "/none/token: No such file");
    unsetenv("AWS_ROLE_ARN");
    expect_refused(REFUSED, "AWS_ROLE_ARN is not");
}

/* ---- containers */

Test(s3_creds, the_agent_of_a_container_lends_a_key)
{
    char text[TEXT_MAX], path[128];
    const reply_t replies[] = {{"GET /v2/x?a=b ", json(text, "KEY", "lent", 3600), 0, 0, NULL, 0},
                               NO_MORE};
    start(replies);
    use_container("/v2/x?a=b");
    cr_assert_eq(open_bucket(), APR_SUCCESS, "%s", b.err);
    cr_expect_str_eq(bucket_state(&b)->creds.token, "lent");
    cr_expect_eq(count("Authorization"), 0);
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic topsecret", 1);
    cr_assert_eq(open_bucket(), APR_SUCCESS, "%s", b.err);
    cr_expect_eq(count("Authorization: Basic topsecret\r\n"), 1);
    write_file("agent", "topsecret-of-file\n", path);
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path, 1);
    cr_assert_eq(open_bucket(), APR_SUCCESS, "%s", b.err);
    cr_expect_eq(count("Authorization: topsecret-of-file\r\n"), 1);
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/none/token", 1);
    expect_refused(REFUSED, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: /none/token");
    unsetenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "topsecret\r\nHost: other", 1);
    expect_refused(REFUSED, "is no token");
}

Test(s3_creds, what_is_wrong_with_a_container_is_told)
{
    static const struct {
        const char *status, *body;
        apr_status_t want;
        const char *says;
    } rows[] = {
        {"403 No", "{\"code\":\"AccessDeniedException\",\"message\":\"topsecret\"}", REFUSED,
         "AccessDeniedException; has the task a role"},
        {"404 None", "", REFUSED, "HTTP 404"},
        {"200 OK", "", VFS_EFORMAT, "no key"},
        {"200 OK", "topsecret", VFS_EFORMAT, "no key"},
        {"200 OK", "{\"AccessKeyId\":\"KEY\"}", VFS_EFORMAT, "no key"},
        {"200 OK", "{\"AccessKeyId\":\"K\\nx: y\",\"SecretAccessKey\":\"topsecret\"}", VFS_EFORMAT,
         "no key"},
        {"200 OK", "{\"AccessKeyId\":\"KEY\",\"SecretAccessKey\":[[[[\"topsecret\"]]]]}",
         VFS_EFORMAT, "no key"},
        {"200 OK", "{\"AccessKeyId\":\"KEY\",\"SecretAccessKey\":\"topsecret\"", VFS_EFORMAT,
         "no key"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[TEXT_MAX];
        const reply_t replies[] = {{"", answer(text, rows[i].status, rows[i].body), 0, 0, NULL, 0},
                                   NO_MORE};
        start(replies);
        use_container("/");
        expect_refused(rows[i].want, rows[i].says);
    }
    end_issuer();
    expect_refused(VFS_EOFFLINE, "is it up");
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.org/", 1);
    expect_refused(REFUSED, "has to be https://");
}

Test(s3_creds, without_tls_an_agent_is_near)
{
    static const struct {
        const char *url;
        int good;
    } rows[] = {{"https://example.org/x", 1},
                {"http://127.0.0.1/x", 1},
                {"http://127.9.9.9:80/x", 1},
                {"http://localhost:1338/x", 1},
                {"http://[::1]:80/x", 1},
                {"http://169.254.170.2/x", 1},
                {"http://169.254.170.23/v1/credentials", 1},
                {"http://[fd00:ec2::23]/v1/credentials", 1},
                {"http://169.254.169.254/x", 0},
                {"http://example.org/x", 0},
                {"http://127.0.0.1.example.org/x", 0},
                {"http://127.0.0.1@example.org/x", 0},
                {"http://[::1]@example.org/x", 0},
                {"http://[::1", 0},
                {"http://10.0.0.1/x", 0},
                {"http://example.org?@127.0.0.1/", 0},
                {"http:///x", 0},
                {"file:///etc/passwd", 0},
                {"", 0}};
    char out[128];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_eq(s3__container_url(out, sizeof(out), NULL, rows[i].url) == NULL, rows[i].good,
                     "%s", rows[i].url);
    cr_expect_null(s3__container_url(out, sizeof(out), "/v2/a", "http://example.org/"));
    cr_expect_str_eq(out, "http://169.254.170.2/v2/a", "this one first");
    cr_expect_not_null(s3__container_url(out, sizeof(out), "@example.org/", NULL));
    cr_expect_not_null(s3__container_url(out, sizeof(out), ".example.org/", NULL));
}

/* ---- machines */

#define ROLES "/latest/meta-data/iam/security-credentials/"

static void use_machine(void)
{
    char url[80];
    snprintf(url, sizeof(url), "%s/", base);
    setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url, 1);
    unsetenv("AWS_EC2_METADATA_DISABLED");
}

Test(s3_creds, a_machine_lends_a_key_to_who_has_none)
{
    char token[TEXT_MAX], role[TEXT_MAX], key[TEXT_MAX];
    const reply_t replies[] = {
        {"PUT /latest/api/token ", answer(token, "200 OK", "tok"), 0, 0, NULL, 0},
        {"GET " ROLES " ", answer(role, "200 OK", "reader\nother\n"), 0, 0, NULL, 0},
        {"GET " ROLES "reader ", json(key, "KEY", "lent", 3600), 0, 0, NULL, 0},
        NO_MORE};
    start(replies);
    use_machine();
    cr_assert_eq(open_bucket(), APR_SUCCESS, "%s", b.err);
    cr_expect_str_eq(bucket_state(&b)->creds.token, "lent");
    cr_expect_eq(count("X-aws-ec2-metadata-token-ttl-seconds: 21600\r\n"), 1);
    cr_expect_eq(count("X-aws-ec2-metadata-token: tok\r\n"), 2);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    expect_refused(REFUSED, "no credentials: set AWS_ACCESS_KEY_ID");
    cr_expect_null(strstr(b.err, "metadata service"), "%s", b.err);
    unsetenv("AWS_EC2_METADATA_DISABLED");
    setenv("AWS_PROFILE", "work", 1);
    expect_refused(REFUSED, "no credentials");
    unsetenv("AWS_PROFILE");
    setenv("AWS_ACCESS_KEY_ID", "KEY", 1);
    cr_assert_eq(open_bucket(), APR_SUCCESS, "%s", b.err);
    cr_expect_eq(count("PUT "), 1, "no other time is it asked");
}

Test(s3_creds, a_machine_without_a_key_is_told_of_beside_the_rest)
{
    static const struct {
        const char *token, *role, *key;
        apr_status_t want;
        const char *says;
    } rows[] = {
        {"403 No", "200 OK", "{}", REFUSED, "HTTP 403"},
        {"200 OK", "404 None", "{}", REFUSED, "instance profile"},
        {"200 OK", "200 OK", "{\"Code\":\"AssumeRoleUnauthorizedAccess\"}", VFS_EFORMAT,
         "AssumeRoleUnauthorizedAccess"},
        {"200 OK", "200 OK", "<html>topsecret", VFS_EFORMAT, "no key"},
    };
    char token[TEXT_MAX], role[TEXT_MAX], key[TEXT_MAX];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const reply_t replies[] = {
            {"PUT ", answer(token, rows[i].token, "topsecret"), 0, 0, NULL, 0},
            {"GET " ROLES " ", answer(role, rows[i].role, "reader"), 0, 0, NULL, 0},
            {"GET " ROLES "reader ", answer(key, "200 OK", rows[i].key), 0, 0, NULL, 0},
            NO_MORE};
        start(replies);
        use_machine();
        expect_refused(rows[i].want, rows[i].says);
        cr_expect_not_null(strstr(b.err, "AWS_ACCESS_KEY_ID"), "%s", b.err);
    }
    const reply_t odd[] = {{"PUT ", answer(token, "200 OK", "t"), 0, 0, NULL, 0},
                           {"GET ", answer(role, "200 OK", "../../x"), 0, 0, NULL, 0},
                           NO_MORE};
    start(odd);
    use_machine();
    expect_refused(VFS_EFORMAT, "no key");
    cr_expect_eq(count("GET "), 1);
    end_issuer();
    expect_refused(REFUSED, "AWS_ACCESS_KEY_ID");
    cr_expect_not_null(strstr(b.err, "metadata service"), "%s", b.err);
}

/* ---- time */

Test(s3_creds, a_key_that_ends_soon_is_replaced_and_used_while_it_is_good)
{
    char one[TEXT_MAX], two[TEXT_MAX];
    vfs_attr_t attr;
    const reply_t replies[] = {
        {"GET ", json(one, "KEY", "one", 100), 0, 1, NULL, 0},
        {"GET ", json(two, "KEY", "two", 200), 0, 1, NULL, 0},
        {"GET ", "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", 0, 0, NULL, 0},
        NO_MORE};
    start(replies);
    use_container("/");
    cr_assert_eq(open_bucket(), APR_SUCCESS, "%s", b.err);
    s3_t *s = bucket_state(&b);
    cr_expect_str_eq(s->creds.token, "one", "who lends is not asked again at once");
    cr_expect_eq(vfs_stat(b.fs, NULL, "/", &attr), APR_SUCCESS);
    cr_expect_eq(count("GET "), 1);
    s->creds_pause_us = 0;
    bucket_put(&b, "/f", 0, "x", 1, NULL, 0);
    cr_expect_str_eq(s->creds.token, "two");
    cr_expect_eq(vfs_stat(b.fs, NULL, "/f", &attr), APR_SUCCESS, "it is good for a while");
    cr_expect_geq(count("GET "), 3);
    s->creds.expires_us = 1;
    cr_expect_eq(vfs_stat(b.fs, NULL, "/f", &attr), REFUSED);
    end_issuer();
    cr_expect_eq(vfs_stat(b.fs, NULL, "/f", &attr), VFS_EOFFLINE, "and may come back");
    s->creds_pause_us = 60000000;
    cr_expect_eq(vfs_stat(b.fs, NULL, "/f", &attr), VFS_EOFFLINE, "as it was a moment ago");
    s->creds_pause_us = 0;
    const reply_t again[] = {{"GET ", json(one, "KEY", "three", 3600), 0, 0, NULL, 0}, NO_MORE};
    start(again);
    use_container("/");
    cr_expect_eq(vfs_stat(b.fs, NULL, "/f", &attr), APR_SUCCESS);
    cr_expect_eq(vfs_stat(b.fs, NULL, "/f", &attr), APR_SUCCESS);
    cr_expect_eq(count("GET "), 1, "this one lasts");
}

Test(s3_creds, a_key_that_the_server_refuses_is_replaced)
{
    char one[TEXT_MAX], two[TEXT_MAX];
    vfs_attr_t attr;
    const reply_t replies[] = {{"GET ", json(one, "OLD", "one", 36000), 0, 1, NULL, 0},
                               {"GET ", json(two, "KEY", "two", 36000), 0, 0, NULL, 0},
                               NO_MORE};
    start(replies);
    use_container("/");
    cr_assert_eq(bucket_open(&b, b.web.port, "test", "&probe=no"), APR_SUCCESS, "%s", b.err);
    cr_expect_eq(vfs_stat(b.fs, NULL, "/f", &attr), REFUSED, "who lends is not asked at once");
    bucket_state(&b)->creds_pause_us = 0;
    cr_expect_eq(vfs_stat(b.fs, NULL, "/f", &attr), APR_ENOENT);
    cr_expect_eq(count("GET "), 2);
}

Test(s3_creds, who_lends_may_be_away_when_a_bucket_is_opened_without_a_probe)
{
    char text[TEXT_MAX];
    vfs_attr_t attr;
    const reply_t replies[] = {{"", json(text, "KEY", "lent", 3600), 0, 0, NULL, 0}, NO_MORE};
    start(replies);
    use_container("/");
    end_issuer();
    cr_assert_eq(bucket_open(&b, b.web.port, "test", "&probe=no"), APR_SUCCESS, "%s", b.err);
    cr_expect_eq(vfs_stat(b.fs, NULL, "/f", &attr), VFS_EOFFLINE, "not as somebody anonymous");
    bucket_state(&b)->creds_pause_us = 0;
    start(replies);
    use_container("/");
    cr_expect_eq(vfs_stat(b.fs, NULL, "/f", &attr), APR_ENOENT);
}

static void *stat_once(void *baton)
{
    vfs_attr_t attr;
    (void)baton;
    return (void *)(intptr_t)(vfs_stat(b.fs, NULL, "/f", &attr) == APR_ENOENT);
}

Test(s3_creds, of_many_who_need_a_key_one_asks)
{
    char one[TEXT_MAX], two[TEXT_MAX];
    pthread_t threads[8];
    int port = 0, slow_port = 0;
    char url[64];
    vfs_ctx_t ctx = VFS_CTX_INIT;
    vfs_attr_t attr;
    const reply_t replies[] = {{"GET ", json(one, "KEY", "one", 3600), 0, 1, NULL, 0},
                               {"GET ", json(two, "KEY", "two", 3600), 0, 0, NULL, 0},
                               NO_MORE};
    issuer = server_start(replies, &port);
    proxy_t *proxy = proxy_start(port, FAULT_DELAY, 300, 0, &slow_port);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", slow_port);
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
    cr_assert_eq(open_bucket(), APR_SUCCESS, "%s", b.err);
    s3_t *s = bucket_state(&b);
    s->creds.expires_us = 1;
    s->creds_us = 0;
    ctx.deadline = apr_time_now() + 1000;
    cr_expect_eq(vfs_stat(b.fs, &ctx, "/f", &attr), APR_TIMEUP, "nobody waits beyond his time");
    for (size_t i = 0; i < 8; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, stat_once, NULL), 0);
    for (size_t i = 0; i < 8; i++) {
        void *good = NULL;
        cr_assert_eq(pthread_join(threads[i], &good), 0);
        cr_expect_not_null(good);
    }
    cr_expect_str_eq(s->creds.token, "two");
    cr_expect_leq(count("GET "), 3, "first, for who had no time, and for all");
    proxy_stop(proxy);
}
