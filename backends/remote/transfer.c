/*
 * transfer.c - an attempt, driven from its beginning to its end: limits, deadlines, cancellation.
 * Floor 2.
 */
#include <signal.h>
#include <time.h>

#include "backends/remote/attempt.h"
#include "vfs/wait.h"

#define IDLE_MS 1000 /* the longest sleep; libcurl wakes for its sockets and its own timers */

int64_t remote__now_us(void)
{
    struct timespec now;
    int rc = clock_gettime(CLOCK_MONOTONIC, &now);
    VFS_ASSERT(rc == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* A limit, for a request that may be slow. */
static int64_t stretch(const attempt_t *a, int64_t us)
{
    int64_t slow_us = a->remote->config.slow_us;
    return (a->request->flags & REMOTE_SLOW) && us < slow_us ? slow_us : us;
}

/* When the headers have to be there. */
static int64_t headers_limit(attempt_t *a, const remote_config_t *config, int64_t now)
{
    curl_off_t ready = 0;
    if (a->ready_us == 0) {
        (void)curl_easy_getinfo(a->easy, CURLINFO_PRETRANSFER_TIME_T, &ready);
        if (ready > 0) a->ready_us = now;
    }
    int64_t from = a->ready_us != 0 ? a->ready_us : a->begun_us + config->connect_us;
    return from + stretch(a, config->first_byte_us);
}

/* When is it too late? While a body is under way, ours or that of the answer, it must move; before
 * and after, the server may take its time. */
static int64_t limit(attempt_t *a, const remote_config_t *config, int64_t now)
{
    const remote_send_t *send = a->request->send;
    const uint64_t step = a->request->flags & REMOTE_SLOW ? 1 : REMOTE_STALL_BYTES;
    curl_off_t up = 0;
    if (send != NULL) (void)curl_easy_getinfo(a->easy, CURLINFO_SIZE_UPLOAD_T, &up);
    uint64_t moved = a->body_bytes + (uint64_t)up;
    if (moved < a->mark_bytes) a->mark_bytes = moved; /* it was sent anew */
    int sending = up > 0 && !a->in_body && (uint64_t)up < send->len;
    if (!a->in_body && up == 0) return headers_limit(a, config, now);
    if (moved - a->mark_bytes >= step || (!a->in_body && !sending && !a->all_sent)) {
        a->mark_bytes = moved;
        a->mark_us = now;
    }
    a->all_sent = !a->in_body && !sending;
    return a->mark_us + stretch(a, a->all_sent ? config->first_byte_us : config->stall_us);
}

/* How long may it sleep? -1: it is over. */
static int sleep_ms(attempt_t *a, const vfs_ctx_t *ctx)
{
    const remote_config_t *config = &a->remote->config;
    int64_t now = remote__now_us(), left = IDLE_MS * 1000;
    a->status = vfs_ctx_check(ctx);
    if (a->status != APR_SUCCESS) return -1;
    int64_t until = limit(a, config, now);
    a->late = now >= until;
    if (a->late) return -1;
    if (until - now < left) left = until - now;
    if (ctx != NULL && ctx->cancel != NULL && left > VFS__CANCEL_POLL_US)
        left = VFS__CANCEL_POLL_US;
    if (ctx != NULL && ctx->deadline != 0 && ctx->deadline - apr_time_now() < left)
        left = ctx->deadline - apr_time_now();
    return left <= 0 ? 0 : (int)(left / 1000 + 1);
}

/* Who has ended, and how. */
static void take_ends(CURLM *multi)
{
    CURLMsg *message;
    int left = 0;
    while ((message = curl_multi_info_read(multi, &left)) != NULL) {
        attempt_t *a = NULL;
        if (message->msg != CURLMSG_DONE) continue;
        const CURLcode code = message->data.result;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &a);
        VFS_ASSERT(a != NULL);
        a->code = code;
        a->done = 1;
    }
}

static attempt_t *transfer(attempt_t *a, CURLM *multi, const vfs_ctx_t *ctx)
{
    attempt_t *current = a;
    int running = 1;
    if (curl_multi_add_handle(multi, a->easy) != CURLM_OK) {
        a->code = CURLE_OUT_OF_MEMORY;
        return a;
    }
    for (;;) {
        CURLMcode rc = curl_multi_perform(multi, &running);
        take_ends(multi);
        remote__race_settle(a->race, multi);
        current = remote__race_current(a->race);
        int ms = !current->done && rc == CURLM_OK ? sleep_ms(current, ctx) : -1;
        if (ms < 0) break;
        int64_t us = remote__race_go(a->race, multi);
        if (us / 1000 < ms) ms = (int)(us / 1000 + (us % 1000 != 0));
        if (curl_multi_poll(multi, NULL, 0, ms, NULL) != CURLM_OK) break;
    }
    (void)curl_multi_remove_handle(multi, a->easy); /* it was added above */
    if (a->race->second.easy != NULL)
        (void)curl_multi_remove_handle(multi, a->race->second.easy); /* if it is still there */
    return current;
}

/* OpenSSL writes to sockets without MSG_NOSIGNAL: a broken connection shall not end the program. */
attempt_t *remote__transfer(attempt_t *a, CURLM *multi, const vfs_ctx_t *ctx)
{
    static const struct timespec at_once;
    sigset_t pipe, before, pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    (void)sigpending(&pending); /* cannot fail for an address of ours */
    (void)pthread_sigmask(SIG_BLOCK, &pipe, &before);
    attempt_t *current = transfer(a, multi, ctx);
    if (!sigismember(&pending, SIGPIPE)) (void)sigtimedwait(&pipe, NULL, &at_once);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return current;
}
