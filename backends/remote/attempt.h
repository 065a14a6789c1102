/*
 * attempt.h - an attempt under way, and a second one for the same that may overtake it.
 * Floor 2, private to backends/remote/.
 */
#ifndef BACKENDS_REMOTE_ATTEMPT_H
#define BACKENDS_REMOTE_ATTEMPT_H

#include "backends/remote/private.h"

typedef struct remote_race_t remote_race_t;

typedef struct attempt_t {
    remote_t *remote;
    const vfs_ctx_t *ctx;
    const remote_request_t *request;
    remote_answer_t *answer;
    CURL *easy;
    remote_race_t *race;
    CURLcode code;       /* of libcurl, once it is done */
    int done;            /* libcurl has ended it */
    apr_status_t status; /* of a callback, or of the context */
    int enough;
    int in_body;
    int late; /* a limit of ours is over */
    int sent; /* so often the request set out on a connection */
    int all_sent;
    int lost; /* and again, which is not allowed: its answer was lost */
    size_t header_bytes;
    uint64_t body_bytes;
    uint64_t given;      /* bytes of our body, from its beginning */
    uint64_t mark_bytes; /* what had been moved at mark_us */
    int64_t mark_us;
    int64_t begun_us;
    int64_t ready_us; /* when there was a connection, and the request went out; 0: not yet */
} attempt_t;

/* The first whose headers are whole is listened to, and the other one ends. Until then nothing of
 * either has reached the caller. */
struct remote_race_t {
    attempt_t *first;
    attempt_t *winner; /* NULL: nobody yet */
    attempt_t second;  /* without a handle: there is none */
    remote_answer_t answer;
    struct curl_slist *headers;
    int64_t after_us; /* when the second sets out; 0: never */
};

/** Of a monotonic clock. */
int64_t remote__now_us(void);
/** In attempt.c: all that libcurl is told. The list is freed when the handle is done with it. */
apr_status_t remote__set_up(attempt_t *a, struct curl_slist **headers);
/** In transfer.c: drive it to its end. Returns the attempt that counts. */
attempt_t *remote__transfer(attempt_t *a, CURLM *multi, const vfs_ctx_t *ctx);

/* ---- hedge.c */

/** Before the attempt sets out. */
void remote__race_begin(remote_race_t *race, attempt_t *first);
/** The headers of one are whole: is it listened to? */
int remote__race_won(attempt_t *a);
/** Whose end is waited for. */
attempt_t *remote__race_current(remote_race_t *race);
/** Let the second set out, if it is time. Returns microseconds until it is; INT64_MAX: never. */
int64_t remote__race_go(remote_race_t *race, CURLM *multi);
/** Stop who was overtaken. */
void remote__race_settle(remote_race_t *race, CURLM *multi);
/** Free what it had. */
void remote__race_end(remote_race_t *race);

#endif
