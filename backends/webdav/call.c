/*
 * call.c - one request to the server, by any method. Floor 2.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/webdav/webdav.h"
#include "vfs/wait.h"

static int is_redirect(const remote_answer_t *answer)
{
    long s = answer->status;
    return (s >= 301 && s <= 303) || s == 307 || s == 308;
}

/* Redirects to elsewhere are not followed: what is asked may change something, and carries who we
 * are. */
static apr_status_t elsewhere(remote_answer_t *answer)
{
    (void)snprintf(
        answer->why, sizeof(answer->why),
        "the server sends us elsewhere: if that is right, its URL is to be used instead");
    return APR_FROM_OS_ERROR(EACCES);
}

/* ---- any method */

/* A call under way. */
typedef struct flight_t {
    const webdav_call_t *call;
    webdav_multi_t *multi; /* NULL: not needed yet */
    int listing;           /* the body is a multistatus */
    long error;            /* the first in it, if it is none of PROPFIND */
} flight_t;

static apr_status_t add(struct curl_slist **headers, const char *line)
{
    struct curl_slist *more = curl_slist_append(*headers, line);
    if (more == NULL) return APR_ENOMEM;
    *headers = more;
    return APR_SUCCESS;
}

static apr_status_t prepare(void *baton, struct curl_slist **headers)
{
    static const char *const depths[] = {"Depth: 0", "Depth: 1", "Depth: infinity"};
    const webdav_call_t *call = ((flight_t *)baton)->call;
    apr_status_t status = APR_SUCCESS;
    if (call->depth >= 0) status = add(headers, depths[call->depth]);
    if (status == APR_SUCCESS && call->send != NULL && call->send->data != NULL &&
        call->send->len > 0)
        status = add(headers, "Content-Type: application/xml; charset=\"utf-8\"");
    for (size_t i = 0; status == APR_SUCCESS && call->lines != NULL && call->lines[i] != NULL; i++)
        status = add(headers, call->lines[i]);
    return status;
}

static apr_status_t take_error(void *baton, const webdav_props_t *props)
{
    flight_t *f = baton;
    if (props->status >= 200 && props->status <= 299) return APR_SUCCESS;
    if (f->error == 0 || f->error == 424) f->error = props->status; /* 424: another is the reason */
    return APR_SUCCESS;
}

static apr_status_t begin(void *baton, const remote_answer_t *answer)
{
    flight_t *f = baton;
    f->listing = answer->status == 207;
    f->error = 0;
    if (!f->listing) return APR_SUCCESS;
    if (answer->coded || !answer->framed) return VFS_EFORMAT;
    if (f->multi != NULL) return webdav__multi_reset(f->multi);
    if (f->call->found != NULL) return webdav__multi_new(&f->multi, f->call->found, f->call->baton);
    return webdav__multi_new(&f->multi, take_error, f);
}

static apr_status_t body(void *baton, const void *data, size_t len)
{
    flight_t *f = baton;
    if (f->listing) return webdav__multi_feed(f->multi, data, len);
    return f->call->body != NULL ? f->call->body(f->call->baton, data, len) : APR_SUCCESS;
}

static apr_status_t send_once(webdav_t *w, const vfs_ctx_t *ctx, const webdav_call_t *call,
                              const char *url, remote_answer_t *answer)
{
    flight_t flight = {.call = call};
    const remote_request_t request = {.method = call->method,
                                      .url = url,
                                      .flags = call->flags,
                                      .prepare = prepare,
                                      .begin = begin,
                                      .body = body,
                                      .baton = &flight,
                                      .send = call->send,
                                      .keep = call->keep};
    apr_status_t status = remote__send(w->state.remote, ctx, &request, answer);
    if (status == APR_SUCCESS && flight.listing) {
        status = webdav__multi_finish(flight.multi);
        if (call->found == NULL) answer->status = flight.error != 0 ? flight.error : 500;
    }
    webdav__multi_free(flight.multi);
    return status;
}

static apr_status_t call_any(webdav_t *w, const vfs_ctx_t *ctx, webdav_call_t *call,
                             remote_answer_t *answer)
{
    for (;;) {
        char *url = remote__url(w->base, call->path, call->slash);
        if (url == NULL) return APR_ENOMEM;
        remote__answer_free(answer);
        apr_status_t status = send_once(w, ctx, call, url, answer);
        int redirect = status == APR_SUCCESS && is_redirect(answer);
        int is_dir = redirect && !call->slash && answer->location != NULL &&
                     remote__adds_slash(url, answer->location);
        free(url);
        if (!redirect) return status;
        if (!is_dir) return elsewhere(answer);
        if (call->found == NULL)
            return APR_FROM_OS_ERROR(EISDIR); /* a change is of what is meant */
        call->slash = 1;
    }
}

static apr_status_t turn_begin(webdav_t *w, const vfs_ctx_t *ctx)
{
    apr_status_t status = APR_SUCCESS;
    pthread_mutex_lock(&w->turn_lock);
    while (w->turn_taken && status == APR_SUCCESS)
        status = vfs__cond_wait(&w->turn_over, &w->turn_lock, ctx);
    if (status == APR_SUCCESS)
        w->turn_taken = 1;
    else
        pthread_cond_signal(&w->turn_over); /* the signal may have been meant for another */
    pthread_mutex_unlock(&w->turn_lock);
    return status;
}

static void turn_end(webdav_t *w)
{
    pthread_mutex_lock(&w->turn_lock);
    w->turn_taken = 0;
    pthread_cond_signal(&w->turn_over);
    pthread_mutex_unlock(&w->turn_lock);
}

static int is_one_of(const char *method, const char *const *methods)
{
    for (; *methods != NULL; methods++)
        if (strcmp(method, *methods) == 0) return 1;
    return 0;
}

apr_status_t webdav__call(webdav_t *w, const vfs_ctx_t *ctx, webdav_call_t *call,
                          remote_answer_t *answer)
{
    static const char *const meet_locks[] = {"PUT", "LOCK", "DELETE", "MOVE", NULL};
    static const char *const change_names[] = {"MKCOL", "DELETE", "MOVE", NULL};
    apr_status_t status = APR_SUCCESS;
    memset(answer, 0, sizeof(*answer));
    /* who asks has given his back, as far as he knows */
    if (is_one_of(call->method, meet_locks)) status = webdav__unlocked(w, ctx, call->path);
    if (status != APR_SUCCESS) return status;
    const int turn = call->locks && atomic_load(&w->confused);
    if (turn) status = turn_begin(w, ctx);
    if (status != APR_SUCCESS) return status;
    status = call_any(w, ctx, call, answer);
    if (turn) turn_end(w);
    if (is_one_of(call->method, change_names)) webdav__dir_moved(w, call->path);
    return status;
}

/* ---- GET */

/* Where PROPFIND tells no etags, those of GET would be other versions than what it tells. */
typedef struct untagged_t {
    const webdav_t *w;
    const remote_ask_t *ask;
} untagged_t;

static apr_status_t untagged_prepare(void *baton, struct curl_slist **headers)
{
    const remote_ask_t *ask = ((untagged_t *)baton)->ask;
    return ask->prepare != NULL ? ask->prepare(ask->baton, headers) : APR_SUCCESS;
}

static apr_status_t untagged_begin(void *baton, const remote_answer_t *answer)
{
    const untagged_t *u = baton;
    if (u->ask->begin == NULL) return APR_SUCCESS;
    if (atomic_load(&u->w->tags) != WEBDAV_NO) return u->ask->begin(u->ask->baton, answer);
    remote_answer_t *plain = malloc(sizeof(*plain));
    if (plain == NULL) return APR_ENOMEM;
    *plain = *answer; /* borrows what the answer owns */
    plain->etag[0] = '\0';
    apr_status_t status = u->ask->begin(u->ask->baton, plain);
    free(plain);
    return status;
}

static apr_status_t untagged_body(void *baton, const void *data, size_t len)
{
    const remote_ask_t *ask = ((untagged_t *)baton)->ask;
    return ask->body != NULL ? ask->body(ask->baton, data, len) : REMOTE_ENOUGH;
}

apr_status_t webdav__ask(void *state, const vfs_ctx_t *ctx, const remote_ask_t *ask,
                         remote_answer_t *answer, int *is_dir)
{
    webdav_t *w = state;
    untagged_t u = {w, ask};
    char *url = remote__url(w->base, ask->path, ask->slash);
    const remote_request_t request = {.method = ask->method,
                                      .url = url,
                                      .flags = REMOTE_AGAIN,
                                      .prepare = untagged_prepare,
                                      .begin = untagged_begin,
                                      .body = untagged_body,
                                      .baton = &u};
    *is_dir = ask->slash;
    memset(answer, 0, sizeof(*answer));
    if (url == NULL) return APR_ENOMEM;
    apr_status_t status = remote__send(w->state.remote, ctx, &request, answer);
    if (status == APR_SUCCESS && is_redirect(answer)) {
        *is_dir = answer->location != NULL && remote__adds_slash(url, answer->location);
        if (!*is_dir) status = elsewhere(answer);
    }
    free(url);
    return status;
}
