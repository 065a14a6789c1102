/*
 * rate.c - not more than so many requests and bytes in a second. Floor 2.
 *
 * For each there is a time at which the next one may go; what goes moves it on by what it costs at
 * that rate (the generic cell rate algorithm, ITU-T I.371). A tenth of a second that nobody used
 * may be used at once.
 */
#include "backends/remote/private.h"
#include "vfs/wait.h"

#define BURST_US 100000

int64_t remote__rate_take(remote_rate_t *rate, uint64_t n, int64_t now_us)
{
    if (rate->per_s == 0) return 0;
    if (rate->next_us < now_us - BURST_US) rate->next_us = now_us - BURST_US;
    int64_t wait_us = rate->next_us - now_us;
    rate->next_us += (int64_t)((double)n * 1e6 / (double)rate->per_s);
    return wait_us > 0 ? wait_us : 0;
}

apr_status_t remote__wait(remote_t *r, const vfs_ctx_t *ctx, int64_t us)
{
    const vfs_ctx_t none = VFS_CTX_INIT;
    vfs_ctx_t until = ctx != NULL ? *ctx : none;
    apr_status_t status = APR_SUCCESS;
    apr_time_t end = apr_time_now() + us;
    if (until.deadline == 0 || end < until.deadline) until.deadline = end;
    pthread_mutex_lock(&r->mutex);
    while (status == APR_SUCCESS)
        status = vfs__cond_wait(&r->pause, &r->mutex, &until);
    pthread_mutex_unlock(&r->mutex);
    return status == APR_TIMEUP ? vfs_ctx_check(ctx) : status;
}

apr_status_t remote__pace(remote_t *r, remote_rate_t *rate, const vfs_ctx_t *ctx, uint64_t n,
                          int64_t *waited_us)
{
    *waited_us = 0;
    if (rate->per_s == 0) return APR_SUCCESS; /* never changes */
    pthread_mutex_lock(&r->mutex);
    *waited_us = remote__rate_take(rate, n, (int64_t)apr_time_now());
    pthread_mutex_unlock(&r->mutex);
    return *waited_us > 0 ? remote__wait(r, ctx, *waited_us) : APR_SUCCESS;
}
