/*
 * request.c - a request: a slot, attempts with pauses between them, and the breaker, which answers
 * at once while the server is known to be away. Floor 2.
 *
 * A pause is half fixed, half by chance, and doubles; or it is what the server asked for
 * (Brooker, "Exponential Backoff And Jitter").
 */
#include <stdlib.h>

#include "backends/remote/private.h"
#include "vfs/wait.h"

/* Requests of this thread that are under way: the source of a body may ask as well. */
static _Thread_local unsigned inside;

static remote_slot_t *slot_new(void)
{
    remote_slot_t *slot = calloc(1, sizeof(*slot));
    if (slot == NULL) return NULL;
    slot->easy = curl_easy_init();
    slot->multi = curl_multi_init();
    if (slot->easy != NULL && slot->multi != NULL) return slot;
    curl_easy_cleanup(slot->easy);
    if (slot->multi != NULL) (void)curl_multi_cleanup(slot->multi); /* it is empty */
    free(slot);
    return NULL;
}

/* Whoever has a slot already gets one more at once: else those who have all wait for each other. */
static apr_status_t slot_get(remote_t *r, const vfs_ctx_t *ctx, remote_slot_t **slot)
{
    apr_status_t status = APR_SUCCESS;
    *slot = NULL;
    pthread_mutex_lock(&r->mutex);
    while (r->idle == NULL && r->nslots >= r->config.connections && inside == 0 &&
           status == APR_SUCCESS)
        status = vfs__cond_wait(&r->room, &r->mutex, ctx);
    if (status != APR_SUCCESS) {
        pthread_cond_signal(&r->room); /* the signal may have been meant for another */
    } else if (r->idle != NULL) {
        *slot = r->idle;
        r->idle = (*slot)->next;
    } else if ((*slot = slot_new()) != NULL) {
        r->nslots++;
    } else {
        status = APR_ENOMEM;
    }
    pthread_mutex_unlock(&r->mutex);
    return status;
}

static void slot_put(remote_t *r, remote_slot_t *slot)
{
    pthread_mutex_lock(&r->mutex);
    int extra = r->nslots > r->config.connections;
    if (extra) {
        r->nslots--;
    } else {
        slot->next = r->idle;
        r->idle = slot;
    }
    pthread_cond_signal(&r->room);
    pthread_mutex_unlock(&r->mutex);
    if (extra) remote__slot_end(slot);
}

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t chance(remote_t *r)
{
    uint64_t z = atomic_fetch_add_explicit(&r->chance, 0x9e3779b97f4a7c15u, memory_order_relaxed);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static int64_t pause_us(remote_t *r, const remote_answer_t *answer, uint64_t attempt)
{
    if (answer->retry_us >= 0) return answer->retry_us;
    int64_t us = REMOTE_PAUSE_MAX_US;
    if (attempt < 16 && (int64_t)REMOTE_PAUSE_MIN_US << attempt < us)
        us = (int64_t)REMOTE_PAUSE_MIN_US << attempt;
    return us / 2 + (int64_t)(chance(r) % (uint64_t)(us / 2));
}

static vfs__breaker_e verdict(const remote_end_t *end, const remote_answer_t *answer)
{
    if (end->caller) return VFS__BREAKER_NONE;
    if (end->status != APR_SUCCESS) return end->transient ? VFS__BREAKER_BAD : VFS__BREAKER_GOOD;
    return answer->status >= 502 && answer->status <= 504 ? VFS__BREAKER_BAD : VFS__BREAKER_GOOD;
}

/* Who fails to serve a request does not ask for its price. */
static void bill(remote_t *r, const remote_request_t *request, const remote_answer_t *answer)
{
    if (answer->status == 0 || answer->status >= 500 || (request->flags & REMOTE_FREE)) return;
    atomic_fetch_add_explicit(request->flags & REMOTE_DEAR ? &r->billed_puts : &r->billed_gets, 1,
                              memory_order_relaxed);
}

static remote_end_t attempt_once(remote_t *r, remote_slot_t *slot, const vfs_ctx_t *ctx,
                                 const remote_request_t *request, remote_answer_t *answer)
{
    int trial = 0;
    pthread_mutex_lock(&r->mutex);
    int may = vfs__breaker_may(&r->breaker, apr_time_now(), &trial);
    pthread_mutex_unlock(&r->mutex);
    if (!may) {
        remote_end_t away = {.status = VFS_EOFFLINE, .untouched = 1, .caller = 1};
        atomic_fetch_add_explicit(&r->refused, 1, memory_order_relaxed);
        return away;
    }
    inside++;
    remote_end_t end = remote__attempt(r, slot, ctx, request, answer);
    inside--;
    atomic_fetch_add_explicit(&r->attempts, 1, memory_order_relaxed);
    bill(r, request, answer);
    if (end.transient) atomic_fetch_add_explicit(&r->failures, 1, memory_order_relaxed);
    pthread_mutex_lock(&r->mutex);
    (void)vfs__breaker_ended(&r->breaker, verdict(&end, answer), apr_time_now(), trial);
    pthread_mutex_unlock(&r->mutex);
    return end;
}

apr_status_t remote__send(remote_t *r, const vfs_ctx_t *ctx, const remote_request_t *request,
                          remote_answer_t *answer)
{
    remote_slot_t *slot = NULL;
    remote_end_t end = {.status = APR_SUCCESS};
    int unknown = 0;
    int64_t waited = 0;
    answer->location = answer->said = answer->kept = NULL;
    remote__answer_clear(answer);
    answer->why[0] = '\0';
    atomic_fetch_add_explicit(&r->requests, 1, memory_order_relaxed);
    for (uint64_t attempt = 0;; attempt++) {
        end.status = remote__pace(r, &r->request_rate, ctx, 1, &waited);
        if (end.status == APR_SUCCESS) end.status = slot_get(r, ctx, &slot);
        if (end.status != APR_SUCCESS) break;
        end = attempt_once(r, slot, ctx, request, answer);
        slot_put(r, slot); /* others may go on while this one waits */
        unknown |= end.twice || ((end.status != APR_SUCCESS || end.transient) && !end.untouched);
        if (!end.transient || attempt >= r->config.retries) break;
        if (!(request->flags & REMOTE_AGAIN) && !end.untouched) break;
        int64_t us = pause_us(r, answer, attempt);
        if (us > REMOTE_RETRY_AFTER_MAX_US) break;
        apr_status_t status = remote__wait(r, ctx, us);
        if (status != APR_SUCCESS) {
            end.status = status;
            break;
        }
    }
    answer->unknown = unknown;
    return end.status;
}
