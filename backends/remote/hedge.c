/*
 * hedge.c - a read that takes longer than 95 of 100 others is asked for once more, on a connection
 * of its own, and the answer that comes first is taken (Dean and Barroso, "The Tail at Scale").
 * Floor 2.
 *
 * How long others took is known from the last ones, from the request to the end of the headers.
 * Only what may be asked for twice, brings no body and hears of no single header is hedged; and not
 * where requests are counted by the second.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/remote/attempt.h"

#define FEWEST 32u      /* before that nobody knows what is usual */
#define SOONEST_US 2000 /* what is quicker than that is not worth a connection */

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void note(remote_t *r, int64_t us)
{
    pthread_mutex_lock(&r->mutex);
    r->first_bytes[r->nfirst++ % REMOTE_HEDGE_OF] = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
    pthread_mutex_unlock(&r->mutex);
}

/* 95 of 100 are quicker; 0: not known yet. */
static int64_t usual_us(remote_t *r)
{
    uint32_t sorted[REMOTE_HEDGE_OF];
    pthread_mutex_lock(&r->mutex);
    uint64_t count = r->nfirst < REMOTE_HEDGE_OF ? r->nfirst : REMOTE_HEDGE_OF;
    memcpy(sorted, r->first_bytes, count * sizeof(sorted[0]));
    pthread_mutex_unlock(&r->mutex);
    if (count < FEWEST) return 0;
    qsort(sorted, count, sizeof(sorted[0]), by_size);
    int64_t us = sorted[count * 95 / 100];
    return us < SOONEST_US ? SOONEST_US : us;
}

static int may_hedge(const attempt_t *a)
{
    const remote_request_t *q = a->request;
    const remote_config_t *config = &a->remote->config;
    return config->hedge && config->requests_per_s == 0 && (q->flags & REMOTE_AGAIN) &&
           q->send == NULL && q->header == NULL && strcmp(q->method, "GET") == 0;
}

void remote__race_begin(remote_race_t *race, attempt_t *first)
{
    memset(race, 0, sizeof(*race));
    race->first = first;
    first->race = race;
    int64_t usual = may_hedge(first) ? usual_us(first->remote) : 0;
    if (usual > 0) race->after_us = first->begun_us + usual;
}

int remote__race_won(attempt_t *a)
{
    remote_race_t *race = a->race;
    attempt_t *other = a == race->first ? &race->second : race->first;
    const long s = a->answer->status;
    if (race->winner != NULL) return race->winner == a;
    /* one that was sent away leaves it to the other */
    if (other->easy != NULL && !other->done && (s == 408 || s == 429 || s >= 500)) return 0;
    race->winner = a;
    if (may_hedge(a)) note(a->remote, remote__now_us() - race->first->begun_us);
    return 1;
}

attempt_t *remote__race_current(remote_race_t *race)
{
    if (race->winner != NULL) return race->winner;
    return race->first->done && race->second.easy != NULL && !race->second.done ? &race->second
                                                                                : race->first;
}

static void second_begin(remote_race_t *race, CURLM *multi)
{
    const attempt_t *first = race->first;
    attempt_t *second = &race->second;
    *second = (attempt_t){.remote = first->remote,
                          .ctx = first->ctx,
                          .request = first->request,
                          .answer = &race->answer,
                          .easy = curl_easy_init(),
                          .race = race,
                          .code = CURLE_FAILED_INIT,
                          .begun_us = remote__now_us()};
    if (second->easy == NULL) return;
    remote__answer_clear(&race->answer);
    apr_status_t status = remote__set_up(second, &race->headers);
    if (status == APR_SUCCESS) {
        (void)curl_easy_setopt(second->easy, CURLOPT_FRESH_CONNECT, 1L);
        if (curl_multi_add_handle(multi, second->easy) != CURLM_OK) status = APR_ENOMEM;
    }
    if (status != APR_SUCCESS) { /* the first goes on alone */
        curl_easy_cleanup(second->easy);
        second->easy = NULL;
        return;
    }
    atomic_fetch_add_explicit(&first->remote->hedged, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&first->remote->attempts, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&first->remote->billed_gets, 1, memory_order_relaxed);
}

int64_t remote__race_go(remote_race_t *race, CURLM *multi)
{
    if (race->after_us == 0 || race->winner != NULL || race->first->done) return INT64_MAX;
    int64_t left = race->after_us - remote__now_us();
    if (left > 0) return left;
    race->after_us = 0;
    second_begin(race, multi);
    return 0;
}

void remote__race_settle(remote_race_t *race, CURLM *multi)
{
    attempt_t *loser = race->winner == race->first ? &race->second : race->first;
    if (race->winner == NULL || race->second.easy == NULL || loser->done) return;
    (void)curl_multi_remove_handle(multi, loser->easy); /* its connection ends with that */
    loser->done = 1;
}

void remote__race_end(remote_race_t *race)
{
    if (race->second.easy != NULL) curl_easy_cleanup(race->second.easy);
    curl_slist_free_all(race->headers);
    remote__answer_clear(&race->answer);
}
