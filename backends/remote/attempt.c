/*
 * attempt.c - one attempt of a request: libcurl, driven so that deadlines, cancellation and limits
 * of ours end it soon. Floor 2.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/remote/attempt.h"
#include "vfs/wait.h"

/* A server may close a connection that is idle for longer, just when a request sets out on it. Then
 * nobody knows whether the request was heard. */
#define FRESH_S 2L

/* What we wait ourselves is not the server's. */
static void put_off(attempt_t *a, int64_t us)
{
    a->begun_us += us;
    a->mark_us += us;
    if (a->ready_us != 0) a->ready_us += us;
}

/* Bytes of a body go by: not too fast. */
static int pace(attempt_t *a, size_t len)
{
    int64_t waited = 0;
    apr_status_t status = remote__pace(a->remote, &a->remote->byte_rate, a->ctx, len, &waited);
    put_off(a, waited);
    if (status != APR_SUCCESS) a->status = status;
    return status == APR_SUCCESS;
}

/* The headers are whole. Those of an answer on the way (1xx) are followed by others. */
static int headers_end(attempt_t *a)
{
    if (a->answer->status < 200) return 1;
    if (!remote__race_won(a)) return 0;
    a->in_body = 1;
    a->mark_us = remote__now_us();
    if (a->request->begin != NULL) a->status = a->request->begin(a->request->baton, a->answer);
    a->enough = a->status == REMOTE_ENOUGH;
    if (a->enough) a->status = APR_SUCCESS;
    return a->status == APR_SUCCESS && !a->enough;
}

static size_t on_header(char *line, size_t one, size_t len, void *baton)
{
    attempt_t *a = baton;
    long version = 0;
    (void)one; /* always 1, says libcurl */
    a->header_bytes += len;
    if (a->header_bytes > REMOTE_HEADERS_MAX) {
        a->status = VFS_EFORMAT;
        return 0;
    }
    if (a->in_body) return len; /* a trailer */
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        remote__answer_clear(a->answer);
        if (a->request->header != NULL) a->request->header(a->request->baton, NULL, NULL);
        (void)curl_easy_getinfo(a->easy, CURLINFO_RESPONSE_CODE, &a->answer->status);
        (void)curl_easy_getinfo(a->easy, CURLINFO_HTTP_VERSION, &version);
        a->answer->framed = version >= CURL_HTTP_VERSION_2_0; /* has frames of its own */
        return len;
    }
    if (len > 2 || (line[0] != '\r' && line[0] != '\n')) {
        remote__answer_header(a->answer, a->request, line, len);
        return len;
    }
    return headers_end(a) ? len : 0;
}

/* What a refusal says, as far as it is wanted. */
static size_t on_refusal(attempt_t *a, const char *data, size_t len)
{
    remote_answer_t *answer = a->answer;
    if (a->body_bytes > REMOTE_REFUSAL_MAX) {
        a->enough = 1; /* what it means is in its status */
        return 0;
    }
    if (!(a->request->flags & REMOTE_TELL)) return len;
    if (answer->said == NULL) answer->said = malloc(REMOTE_REFUSAL_MAX + 1);
    if (answer->said == NULL) return len;
    memcpy(answer->said + answer->said_len, data, len);
    answer->said_len += len;
    answer->said[answer->said_len] = '\0';
    return len;
}

static size_t on_body(char *data, size_t one, size_t len, void *baton)
{
    attempt_t *a = baton;
    (void)one; /* always 1 */
    a->body_bytes += len;
    if (!pace(a, len)) return 0;
    if (a->answer->status < 200 || a->answer->status > 299) return on_refusal(a, data, len);
    apr_status_t status =
        a->request->body != NULL ? a->request->body(a->request->baton, data, len) : REMOTE_ENOUGH;
    if (status == APR_SUCCESS) return len;
    if (status == REMOTE_ENOUGH)
        a->enough = 1;
    else
        a->status = status;
    return 0;
}

/* More of our body. */
static size_t on_fill(char *data, size_t one, size_t room, void *baton)
{
    attempt_t *a = baton;
    const remote_send_t *send = a->request->send;
    (void)one; /* always 1 */
    uint64_t left = send != NULL ? send->len - a->given : 0;
    size_t len = left < room ? (size_t)left : room;
    if (len == 0) return 0;
    if (!pace(a, len)) return CURL_READFUNC_ABORT;
    if (send->data != NULL) {
        memcpy(data, (const char *)send->data + a->given, len);
    } else {
        int64_t begun = remote__now_us();
        a->status =
            send->source->read_at(send->source->baton, data, len, send->off + (apr_off_t)a->given);
        put_off(a, remote__now_us() - begun);
    }
    if (a->status != APR_SUCCESS) return CURL_READFUNC_ABORT;
    a->given += len;
    return len;
}

/* libcurl begins again: the connection turned out to be dead. */
static int on_rewind(void *baton, curl_off_t off, int origin)
{
    attempt_t *a = baton;
    const remote_send_t *send = a->request->send;
    if (origin != SEEK_SET || off < 0 || (uint64_t)off > (send != NULL ? send->len : 0))
        return CURL_SEEKFUNC_CANTSEEK;
    a->given = a->mark_bytes = (uint64_t)off;
    return CURL_SEEKFUNC_OK;
}

/* A request sets out. If a connection ends before an answer, libcurl sends it once more on another
 * one, whatever it asks for. */
static int on_set_out(void *baton, char *ip, char *own_ip, int port, int own_port)
{
    attempt_t *a = baton;
    (void)ip;
    (void)own_ip;
    (void)port;
    (void)own_port;
    a->lost = a->sent > 0 && !(a->request->flags & REMOTE_AGAIN);
    a->sent++;
    return a->lost ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* The method, and the body that it brings. No server is waited for to say "100 Continue": most
 * never would, and one that refuses early is heard all the same. */
static apr_status_t set_method(attempt_t *a, struct curl_slist *headers)
{
    const remote_request_t *request = a->request;
    CURL *easy = a->easy;
    int head = strcmp(request->method, "HEAD") == 0;
    if (head || strcmp(request->method, "GET") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, head ? 1L : 0L);
        return APR_SUCCESS;
    }
    if (request->send != NULL || strcmp(request->method, "PUT") == 0 ||
        strcmp(request->method, "POST") == 0) {
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_fill);
        curl_easy_setopt(easy, CURLOPT_READDATA, a);
        curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_rewind);
        curl_easy_setopt(easy, CURLOPT_SEEKDATA, a);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE,
                         (curl_off_t)(request->send != NULL ? request->send->len : 0));
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    return curl_slist_append(headers, "Expect:") != NULL ? APR_SUCCESS : APR_ENOMEM;
}

static void set_credentials(attempt_t *a)
{
    const remote_config_t *config = &a->remote->config;
    if (config->auth == REMOTE_AUTH_NONE || (a->request->flags & REMOTE_FOREIGN)) return;
    if (config->auth == REMOTE_AUTH_BEARER) {
        curl_easy_setopt(a->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        curl_easy_setopt(a->easy, CURLOPT_XOAUTH2_BEARER, a->remote->secret);
        return;
    }
    curl_easy_setopt(a->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    curl_easy_setopt(a->easy, CURLOPT_USERNAME, config->user);
    curl_easy_setopt(a->easy, CURLOPT_PASSWORD, a->remote->secret);
}

static void set_network(attempt_t *a)
{
    const remote_config_t *config = &a->remote->config;
    CURL *easy = a->easy;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(config->connect_us / 1000 + 1));
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    if (config->proxy != NULL) curl_easy_setopt(easy, CURLOPT_PROXY, config->proxy);
    if (config->cacert != NULL) curl_easy_setopt(easy, CURLOPT_CAINFO, config->cacert);
    if (!config->verify) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (config->socket != NULL && !(a->request->flags & REMOTE_FOREIGN))
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, config->socket);
}

/* The handle keeps its connections through a reset, and nothing else. Redirects are the caller's to
 * follow: it alone knows what may go where. */
apr_status_t remote__set_up(attempt_t *a, struct curl_slist **headers)
{
    CURL *easy = a->easy;
    apr_status_t status = APR_SUCCESS;
    *headers = curl_slist_append(NULL, "Accept-Encoding: identity");
    if (*headers == NULL) return APR_ENOMEM;
    if (a->request->prepare != NULL) {
        status = a->request->prepare(a->request->baton, headers);
        if (status != APR_SUCCESS) return status;
    }
    curl_easy_reset(easy);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, a);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, a->answer->why);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "cachefs");
    curl_easy_setopt(easy, CURLOPT_URL, a->request->url);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    status = set_method(a, *headers);
    if (status != APR_SUCCESS) return status;
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, *headers);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_set_out);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, a);
    if (!(a->request->flags & REMOTE_AGAIN)) curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, FRESH_S);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, a);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, a);
    set_network(a);
    set_credentials(a);
    return APR_SUCCESS;
}

static remote_end_t judge(const attempt_t *a, CURLcode code)
{
    remote_end_t end = {.twice = a->sent > 1};
    if (a->status != APR_SUCCESS) {
        end.status = a->status;
        end.caller = !a->in_body;
        end.untouched = !a->sent;
        return end;
    }
    if (a->enough || (code == CURLE_OK && a->in_body)) {
        long s = a->answer->status;
        end.transient = s == 408 || s == 429 || s == 500 || (s >= 502 && s <= 504);
        end.untouched = s == 429 || s == 503;
        return end;
    }
    end.untouched = !a->sent;
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        end.status = APR_FROM_OS_ERROR(EACCES);
        break;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
        if (!a->late) {
            end.status = APR_ENOMEM;
            end.caller = 1;
            break;
        }
        end.status = VFS_EOFFLINE;
        end.caller = (a->request->flags & REMOTE_SLOW) != 0;
        end.transient = !end.caller; /* it would take as long again */
        break;
    case CURLE_URL_MALFORMAT:
        end.status = APR_EINVAL;
        break;
    case CURLE_UNSUPPORTED_PROTOCOL: /* also: no HTTP came */
    case CURLE_WEIRD_SERVER_REPLY:
        end.status = VFS_EFORMAT;
        break;
    default:
        end.status = VFS_EOFFLINE;
        end.transient = 1;
    }
    return end;
}

static void account(attempt_t *a)
{
    long made = 0;
    char *to = NULL;
    curl_off_t up = 0;
    (void)curl_easy_getinfo(a->easy, CURLINFO_SIZE_UPLOAD_T, &up);
    atomic_fetch_add_explicit(&a->remote->bytes_out, (uint64_t)up, memory_order_relaxed);
    (void)curl_easy_getinfo(a->easy, CURLINFO_NUM_CONNECTS, &made);
    atomic_fetch_add_explicit(&a->remote->connections, (uint64_t)made, memory_order_relaxed);
    atomic_fetch_add_explicit(&a->remote->bytes_in, a->body_bytes, memory_order_relaxed);
    if (a->answer->status >= 300 && a->answer->status < 400 &&
        curl_easy_getinfo(a->easy, CURLINFO_REDIRECT_URL, &to) == CURLE_OK && to != NULL)
        a->answer->location = strdup(to);
}

/* What came of the attempt that counts. */
static remote_end_t conclude(attempt_t *a)
{
    remote_end_t end = judge(a, a->code);
    remote_answer_t *answer = a->answer;
    if (end.status != APR_SUCCESS && answer->why[0] == '\0')
        (void)snprintf(answer->why, sizeof(answer->why), "%s",
                       a->late ? "the server does not answer in time"
                               : curl_easy_strerror(a->code));
    if (a->lost)
        (void)snprintf(answer->why, sizeof(answer->why),
                       "the answer is lost, and it must not be done twice");
    return end;
}

remote_end_t remote__attempt(remote_t *remote, remote_slot_t *slot, const vfs_ctx_t *ctx,
                             const remote_request_t *request, remote_answer_t *answer)
{
    attempt_t a = {.remote = remote,
                   .ctx = ctx,
                   .request = request,
                   .answer = answer,
                   .easy = slot->easy,
                   .code = CURLE_FAILED_INIT};
    struct curl_slist *headers = NULL;
    remote_end_t end = {.untouched = 1, .caller = 1};
    remote_race_t race;
    remote__answer_clear(answer);
    answer->why[0] = '\0';
    a.begun_us = remote__now_us();
    remote__race_begin(&race, &a);
    end.status = remote__set_up(&a, &headers);
    uint64_t bytes = 0;
    if (end.status == APR_SUCCESS) {
        attempt_t *which = remote__transfer(&a, slot->multi, ctx);
        account(&a);
        if (race.second.easy != NULL) account(&race.second);
        end = conclude(which);
        bytes = which->body_bytes;
        if (which != &a) { /* its answer is the one */
            remote__answer_clear(answer);
            *answer = race.answer;
            memset(&race.answer, 0, sizeof(race.answer));
        }
    }
    curl_easy_reset(slot->easy); /* the headers go now, and `a` with this frame */
    curl_slist_free_all(headers);
    remote__race_end(&race);
    remote__trace(remote, ctx, request, answer, &end, remote__now_us() - a.begun_us, bytes);
    return end;
}
