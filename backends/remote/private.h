/*
 * private.h - what the files of backends/remote/ share. Floor 2, private.
 */
#ifndef BACKENDS_REMOTE_PRIVATE_H
#define BACKENDS_REMOTE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "backends/remote/remote.h"
#include "vfs/breaker.h"

#define REMOTE_HEDGE_OF 128u    /* so many reads tell what is usual */
#define REMOTE_HEADER_MAX 2176u /* bytes of a header that is looked at */

/** A handle of libcurl, and the connections that it keeps. */
typedef struct remote_slot_t {
    CURL *easy;
    CURLM *multi;
    struct remote_slot_t *next; /**< in the list of idle ones */
} remote_slot_t;

/** So many in a second. */
typedef struct remote_rate_t {
    uint64_t per_s;  /**< 0: no limit */
    int64_t next_us; /**< when the next may go, since 1970 */
} remote_rate_t;

/** mutex guards idle, nslots, breaker, rates and first_bytes; it is a leaf. */
struct remote_t {
    remote_config_t config;
    char *secret; /**< password or token */
    int trace_fd; /**< -1: none */
    pthread_mutex_t mutex;
    pthread_cond_t room;  /**< a slot came back */
    pthread_cond_t pause; /**< never signalled: for waiting until a deadline */
    remote_slot_t *idle;  /**< the one used last first: its connection is the likeliest to live */
    uint64_t nslots;
    vfs__breaker_t breaker;
    remote_rate_t request_rate, byte_rate;
    _Atomic uint64_t requests, attempts, failures, refused, bytes_in, bytes_out, connections;
    _Atomic uint64_t billed_puts, billed_gets;
    _Atomic uint64_t hedged;
    _Atomic uint64_t chance;
    uint64_t nfirst;                       /**< reads of which first_bytes has the last ones */
    uint32_t first_bytes[REMOTE_HEDGE_OF]; /**< microseconds to the end of the headers */
};

/** How an attempt ended. */
typedef struct remote_end_t {
    apr_status_t status; /**< APR_SUCCESS: there is an answer */
    int transient;       /**< another attempt may help */
    int untouched;       /**< nothing reached the server */
    int caller;          /**< the caller's doing: says nothing of the server */
    int twice;           /**< libcurl sent it once more */
} remote_end_t;

/** In remote.c: close its connections. */
void remote__slot_end(remote_slot_t *slot);
/** One attempt, in attempt.c. */
remote_end_t remote__attempt(remote_t *remote, remote_slot_t *slot, const vfs_ctx_t *ctx,
                             const remote_request_t *request, remote_answer_t *answer);
/** Take `n`. Returns microseconds until they may go. */
int64_t remote__rate_take(remote_rate_t *rate, uint64_t n, int64_t now_us);
/** Take `n`, and wait until they may go; *waited_us: so long. */
apr_status_t remote__pace(remote_t *remote, remote_rate_t *rate, const vfs_ctx_t *ctx, uint64_t n,
                          int64_t *waited_us);
/** Empty an answer, but for `why`. */
void remote__answer_clear(remote_answer_t *answer);
/** One line of the headers, in answer.c. */
void remote__answer_header(remote_answer_t *answer, const remote_request_t *request,
                           const char *line, size_t len);
/** A line for who traces: no query, no user, no header. */
void remote__trace(remote_t *remote, const vfs_ctx_t *ctx, const remote_request_t *request,
                   const remote_answer_t *answer, const remote_end_t *end, int64_t us,
                   uint64_t bytes);

#endif
