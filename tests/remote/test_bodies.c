/*
 * test_bodies.c - requests that bring a body or change something: what is sent, what is sent again,
 * and what is not.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>

#include <criterion/criterion.h>

#include "backends/remote/remote.h"
#include "tests/remote/support_server.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define NO_MORE                                                                                    \
    {                                                                                              \
        NULL, NULL, 0, 0, NULL, 0                                                                  \
    }
#define BIG (24u << 20)

static remote_t *remote;
static char base[64];
static char err[256];

static void begin(void)
{
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
}

static void end(void)
{
    if (remote != NULL) remote__destroy(remote);
}

TestSuite(remote_bodies, .init = begin, .fini = end);

static void open_port(int port, void (*change)(remote_config_t *config))
{
    remote_config_t config;
    remote__config_init(&config);
    snprintf(base, sizeof(base), "http://127.0.0.1:%d/x?secret", port);
    config.base = base;
    config.proxy = "";
    config.retries = 2;
    if (change != NULL) change(&config);
    cr_assert_eq(remote__create(&remote, &config, err, sizeof(err)), APR_SUCCESS, "%s", err);
}

static apr_status_t ask(const char *method, uint32_t flags, const remote_send_t *send,
                        remote_answer_t *answer)
{
    const remote_request_t request = {.method = method, .url = base, .flags = flags, .send = send};
    return remote__send(remote, NULL, &request, answer);
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
        n++;
    return n;
}

Test(remote_bodies, each_method_brings_what_it_shall)
{
    static const reply_t replies[] = {{"", OK, 0, 0, NULL, 0}, NO_MORE};
    static const char *const bare[] = {"DELETE", "MKCOL", "MOVE", "COPY", "PROPFIND"};
    const remote_send_t send = {.data = "hello", .len = 5};
    remote_answer_t answer;
    vfs_remote_figures_t figures;
    int port = 0;
    server_t *server = server_start(replies, &port);
    open_port(port, NULL);
    for (size_t i = 0; i < 5; i++) {
        char line[64];
        cr_assert_eq(ask(bare[i], 0, NULL, &answer), APR_SUCCESS);
        cr_expect_eq(answer.status, 200);
        remote__answer_free(&answer);
        snprintf(line, sizeof(line), "%s /x?secret HTTP/1.1\r\n", bare[i]);
        cr_expect_not_null(strstr(server_heard(server), line), "%s", bare[i]);
    }
    cr_expect_null(strstr(server_heard(server), "Content-Length"), "nothing was brought");
    cr_assert_eq(ask("POST", 0, NULL, &answer), APR_SUCCESS);
    remote__answer_free(&answer);
    cr_expect_not_null(strstr(server_heard(server), "Content-Length: 0\r\n"));
    cr_assert_eq(ask("PROPFIND", 0, &send, &answer), APR_SUCCESS);
    remote__answer_free(&answer);
    cr_assert_eq(ask("PUT", 0, &send, &answer), APR_SUCCESS);
    remote__answer_free(&answer);
    cr_expect_eq(count(server_heard(server), "Content-Length: 5\r\n"), 2);
    cr_expect_eq(count(server_heard(server), "\r\n\r\nhello"), 2);
    cr_expect_null(strstr(server_heard(server), "Expect"));
    remote__figures(remote, &figures);
    cr_expect_eq(figures.bytes_out, 10);
    cr_expect_eq(figures.connections, 1);
    server_stop(server);
}

/* The bytes of a source are their own offsets, in a way. */
static apr_status_t read_source(void *baton, void *buf, size_t len, apr_off_t off)
{
    unsigned char *bytes = buf;
    apr_status_t *fails = baton;
    if (fails != NULL) return *fails;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)('a' + (uint64_t)(off + (apr_off_t)i) % 23);
    return APR_SUCCESS;
}

Test(remote_bodies, a_body_is_read_anew_by_each_attempt)
{
    static const reply_t replies[] = {
        {"", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", 0, 1, NULL, 0},
        {"", "", REPLY_CLOSE, 1, NULL, 0},
        {"", OK, 0, 0, NULL, 0},
        NO_MORE};
    const vfs_source_t source = {read_source, NULL, 100};
    const remote_send_t send = {.source = &source, .off = 7, .len = 20};
    char body[32] = "\r\n\r\n";
    remote_answer_t answer;
    int port = 0;
    server_t *server = server_start(replies, &port);
    cr_assert_eq(read_source(NULL, body + 4, 20, 7), APR_SUCCESS);
    open_port(port, NULL);
    cr_assert_eq(ask("PUT", REMOTE_AGAIN, &send, &answer), APR_SUCCESS);
    cr_expect_eq(answer.status, 200);
    cr_expect_neq(answer.unknown, 0, "the second attempt may have been obeyed");
    cr_expect_eq(count(server_heard(server), body), 3);
    remote__answer_free(&answer);
    server_stop(server);
}

/* A body of which a part is read from the server while it is sent there. */
static apr_status_t read_there(void *baton, void *buf, size_t len, apr_off_t off)
{
    const remote_request_t request = {.method = "GET", .url = baton, .flags = REMOTE_AGAIN};
    vfs_ctx_t soon = VFS_CTX_INIT;
    remote_answer_t answer;
    soon.deadline = apr_time_now() + apr_time_from_sec(20); /* else it would wait for ever */
    apr_status_t status = remote__send(remote, &soon, &request, &answer);
    remote__answer_free(&answer);
    return status != APR_SUCCESS ? status : read_source(NULL, buf, len, off);
}

static void one_connection(remote_config_t *config)
{
    config->connections = 1;
    config->retries = 0;
}

Test(remote_bodies, a_source_may_ask_the_same_server)
{
    static const reply_t replies[] = {{"", OK, 0, 0, NULL, 0}, NO_MORE};
    char other[64];
    int port = 0, other_port = 0;
    remote_answer_t answer;
    server_t *server = server_start(replies, &port), *beside = server_start(replies, &other_port);
    snprintf(other, sizeof(other), "http://127.0.0.1:%d/base", other_port);
    const vfs_source_t source = {read_there, other, 100000};
    const remote_send_t send = {.source = &source, .len = source.size};
    open_port(port, one_connection);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(ask("PUT", 0, &send, &answer), APR_SUCCESS);
        cr_expect_eq(answer.status, 200);
        remote__answer_free(&answer);
    }
    server_stop(server);
    server_stop(beside);
}

Test(remote_bodies, what_the_source_says_ends_it)
{
    static const reply_t replies[] = {{"", OK, 0, 0, NULL, 0}, NO_MORE};
    apr_status_t fails = APR_FROM_OS_ERROR(EIO);
    const vfs_source_t source = {read_source, &fails, 100};
    const remote_send_t send = {.source = &source, .len = 100};
    remote_answer_t answer;
    int port = 0;
    server_t *server = server_start(replies, &port);
    open_port(port, NULL);
    cr_expect_eq(ask("PUT", REMOTE_AGAIN, &send, &answer), fails);
    remote__answer_free(&answer);
    server_stop(server);
}

/* The first request keeps the connection open, the second is heard there and not answered. */
Test(remote_bodies, what_must_not_be_done_twice_is_sent_once)
{
    static const char *const methods[] = {"MOVE", "POST"};
    for (size_t i = 0; i < 2; i++) {
        for (int warm = 0; warm < 2; warm++) {
            static reply_t replies[] = {
                {"GET", OK, 0, 0, NULL, 0}, {"", "", REPLY_CLOSE, 0, NULL, 0}, NO_MORE};
            const remote_send_t send = {.data = "deed", .len = 4};
            remote_answer_t answer;
            int port = 0;
            server_t *server = server_start(replies, &port);
            open_port(port, NULL);
            if (warm) cr_assert_eq(ask("GET", 0, NULL, &answer), APR_SUCCESS);
            if (warm) remote__answer_free(&answer);
            cr_expect_eq(ask(methods[i], 0, &send, &answer), VFS_EOFFLINE);
            cr_expect_neq(answer.unknown, 0);
            remote__answer_free(&answer);
            cr_expect_eq(count(server_heard(server), "\r\n\r\ndeed"), 1, "%s", methods[i]);
            remote__destroy(remote);
            remote = NULL;
            server_stop(server);
        }
    }
}

Test(remote_bodies, what_did_not_arrive_is_sent_again_whatever_it_is)
{
    remote_answer_t answer;
    int port = 0;
    server_t *server = server_start((const reply_t[]){NO_MORE}, &port);
    server_stop(server); /* nobody listens there now */
    open_port(port, NULL);
    cr_expect_eq(ask("MOVE", 0, NULL, &answer), VFS_EOFFLINE);
    cr_expect_eq(answer.unknown, 0);
    remote__answer_free(&answer);
    vfs_remote_figures_t figures;
    remote__figures(remote, &figures);
    cr_expect_eq(figures.attempts, 3);
}

static int told; /* headers of the last answer */

static void on_header(void *baton, const char *name, const char *value)
{
    (void)baton;
    told = name == NULL ? 0 : told + (strcmp(name, "X-Why") == 0 && strcmp(value, "so") == 0);
}

Test(remote_bodies, a_refusal_is_told_if_it_is_wanted_and_within_bounds)
{
    static const reply_t replies[] = {
        {"GET", "HTTP/1.1 503 Busy\r\nX-Why: so\r\nContent-Length: 3\r\n\r\nbad", 0, 1, NULL, 0},
        {"GET", "HTTP/1.1 403 No\r\nX-Why: so\r\nContent-Length: 6\r\n\r\n<Code>", 0, 0, NULL, 0},
        {"HEAD", "HTTP/1.1 403 No\r\nContent-Length: 6\r\n\r\n", 0, 0, NULL, 0},
        {"PUT", "HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n", REPLY_ENDLESS, 0,
         "10\r\n0123456789abcdef\r\n", 0},
        NO_MORE};
    remote_answer_t answer;
    int port = 0;
    server_t *server = server_start(replies, &port);
    open_port(port, NULL);
    const remote_request_t request = {
        .method = "GET", .url = base, .flags = REMOTE_TELL | REMOTE_AGAIN, .header = on_header};
    cr_assert_eq(remote__send(remote, NULL, &request, &answer), APR_SUCCESS);
    cr_expect_eq(answer.status, 403);
    cr_expect_str_eq(answer.said, "<Code>");
    cr_expect_eq(told, 1, "that of the answer before is forgotten");
    remote__answer_free(&answer);
    cr_assert_eq(ask("GET", 0, NULL, &answer), APR_SUCCESS);
    cr_expect_null(answer.said, "not wanted");
    remote__answer_free(&answer);
    cr_assert_eq(ask("HEAD", REMOTE_TELL, NULL, &answer), APR_SUCCESS);
    cr_expect_null(answer.said, "there is none");
    remote__answer_free(&answer);
    cr_assert_eq(ask("PUT", REMOTE_TELL, NULL, &answer), APR_SUCCESS);
    cr_expect_eq(answer.status, 400);
    cr_expect_leq(answer.said_len, REMOTE_REFUSAL_MAX);
    cr_expect_gt(answer.said_len, 0);
    remote__answer_free(&answer);
    server_stop(server);
}

static void be_strict(remote_config_t *config)
{
    config->connect_us = 100000;
    config->first_byte_us = 1500000;
    config->stall_us = 1500000;
    config->retries = 0;
}

/* What the system takes at once (some MiB on loopback) has to pass within the time for an answer.
 */
Test(remote_bodies, a_slow_upload_that_moves_is_no_stall)
{
    static const reply_t replies[] = {{"", OK, 0, 0, NULL, 0}, NO_MORE};
    const vfs_source_t source = {read_source, NULL, BIG};
    const remote_send_t send = {.source = &source, .len = BIG};
    remote_answer_t answer;
    int port = 0, proxy_port = 0;
    server_t *server = server_start(replies, &port);
    proxy_t *proxy = proxy_start(port, FAULT_SLOW_UP, 8192, 0, &proxy_port);
    open_port(proxy_port, be_strict);
    apr_time_t from = apr_time_now();
    cr_expect_eq(ask("PUT", 0, &send, &answer), APR_SUCCESS, "%s", answer.why);
    cr_expect_eq(answer.status, 200);
    cr_expect_gt(apr_time_now() - from, 1600000, "longer than any limit for it as a whole");
    remote__answer_free(&answer);
    proxy_stop(proxy);
    server_stop(server);
}

static void stall_soon(remote_config_t *config)
{
    config->stall_us = 200000;
    config->retries = 0;
}

Test(remote_bodies, an_upload_that_does_not_move_ends)
{
    static const reply_t replies[] = {{"", OK, 0, 0, NULL, 0}, NO_MORE};
    const vfs_source_t source = {read_source, NULL, BIG};
    const remote_send_t send = {.source = &source, .len = BIG};
    remote_answer_t answer;
    int port = 0, proxy_port = 0;
    server_t *server = server_start(replies, &port);
    proxy_t *proxy = proxy_start(port, FAULT_STALL_UP, 100000, 0, &proxy_port);
    open_port(proxy_port, stall_soon);
    apr_time_t from = apr_time_now();
    cr_expect_eq(ask("PUT", 0, &send, &answer), VFS_EOFFLINE);
    cr_expect_lt(apr_time_now() - from, 20000000, "not after the time for an answer");
    cr_expect_neq(answer.unknown, 0);
    remote__answer_free(&answer);
    proxy_stop(proxy);
    server_stop(server);
}

static void be_short(remote_config_t *config)
{
    config->connect_us = config->first_byte_us = config->stall_us = 50000;
    config->slow_us = 20000000;
    config->retries = 0;
}

static apr_status_t take_all(void *baton, const void *data, size_t len)
{
    (void)data;
    *(size_t *)baton += len;
    return APR_SUCCESS;
}

/* The same, to the end of the answer's body. */
static apr_status_t ask_all(uint32_t flags, size_t *len, remote_answer_t *answer)
{
    const remote_request_t request = {
        .method = "PUT", .url = base, .flags = flags, .body = take_all, .baton = len};
    *len = 0;
    return remote__send(remote, NULL, &request, answer);
}

Test(remote_bodies, what_may_be_slow_has_time)
{
    static char text[3000];
    static const struct {
        fault_e fault;
        uint64_t amount;
    } rows[] = {{FAULT_DELAY, 400}, {FAULT_SLOW, 8}};
    static const reply_t replies[] = {{"", text, 0, 0, NULL, 0}, NO_MORE};
    int head = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: 2048\r\n\r\n");
    memset(text + head, ' ', 2048);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        remote_answer_t answer;
        int port = 0, proxy_port = 0;
        size_t len = 0;
        server_t *server = server_start(replies, &port);
        proxy_t *proxy = proxy_start(port, rows[i].fault, rows[i].amount, 0, &proxy_port);
        open_port(proxy_port, be_short);
        cr_expect_eq(ask_all(REMOTE_AGAIN, &len, &answer), VFS_EOFFLINE, "%zu", i);
        remote__answer_free(&answer);
        cr_expect_eq(ask_all(REMOTE_AGAIN | REMOTE_SLOW, &len, &answer), APR_SUCCESS, "%zu: %s", i,
                     answer.why);
        cr_expect_eq(len, 2048);
        remote__answer_free(&answer);
        if (i == 0) remote__destroy(remote); /* the last one is ended with the test */
        proxy_stop(proxy);
        server_stop(server);
    }
}

static void be_short_in_all(remote_config_t *config)
{
    be_short(config);
    config->retries = 3;
    config->slow_us = 50000;
}

Test(remote_bodies, who_is_late_with_what_may_be_slow_is_not_away)
{
    static const reply_t replies[] = {
        {"PUT", "HTTP/1.1 ", REPLY_SILENT, 0, NULL, 0}, {"", OK, 0, 0, NULL, 0}, NO_MORE};
    remote_answer_t answer;
    int port = 0;
    server_t *server = server_start(replies, &port);
    open_port(port, be_short_in_all);
    for (unsigned i = 0; i < 8; i++) {
        cr_expect_eq(ask("PUT", REMOTE_AGAIN | REMOTE_SLOW, NULL, &answer), VFS_EOFFLINE);
        cr_expect(answer.unknown, "it may be done yet");
        remote__answer_free(&answer);
    }
    cr_expect_eq(count(server_heard(server), "PUT "), 8, "each once");
    cr_expect_eq(ask("DELETE", REMOTE_AGAIN, NULL, &answer), APR_SUCCESS, "%s", answer.why);
    remote__answer_free(&answer);
    server_stop(server);
}
