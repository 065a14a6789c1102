/*
 * delay.c - the shim that makes any file system as slow as a remote one.
 * Floor 1.
 *
 * The idea: a call waits one round trip before it reaches the lower, each call for itself, so that
 * many may wait at once. Its bytes go over one link that all calls share. The link is a single
 * number, the time at which it is free: who sends n bytes takes [max(now, free), + n / bandwidth)
 * for itself, moves `free` to the end and sleeps until then. Written bytes are sent ahead, so link
 * and round trip add up to one sleep before the lower is called, and a call that is given up then
 * changed nothing. Bytes that are read (and copied, whose number is known afterwards) follow the
 * lower's answer; giving up then is like losing the answer.
 */
#include <pthread.h>
#include <stdlib.h>

#include "vfs/shims/shim.h"

#define READDIR_PAGE 1000u

typedef struct delay_t {
    pthread_mutex_t lock;
    vfs_delay_t how; /**< guarded by lock */
    int64_t free_ns; /**< when the link is free; guarded by lock */
    uint64_t trips;  /**< so far, to draw the jitter from; guarded by lock */
} delay_t;

/* Does the call have to ask the remote? Opening a directory brought its first page. */
static int needs_trip(delay_t *delay, shim_call_t *call)
{
    switch (call->op) {
    case VFS_OPID_close:
    case VFS_OPID_closedir:
    case VFS_OPID_unwatch:
    case VFS_OPID_seekdir:
        return 0;
    case VFS_OPID_readdir:
        return call->dir->entries >= delay->how.readdir_page;
    default:
        return 1;
    }
}

static int64_t trip_ns(delay_t *delay)
{
    int64_t rtt_ns = (int64_t)delay->how.rtt_us * 1000;
    if (delay->how.jitter_percent == 0) return rtt_ns;
    double part = vfs__shim_unit(delay->how.seed + delay->trips) * 2 - 1;
    return rtt_ns + (int64_t)((double)rtt_ns * part * delay->how.jitter_percent / 100);
}

/* Take the link for so many bytes; returns when the last one is through. */
static int64_t send_ns(delay_t *delay, int64_t now_ns, uint64_t bytes)
{
    if (delay->how.bytes_per_second == 0 || bytes == 0) return now_ns;
    double ns = (double)bytes * 1e9 / (double)delay->how.bytes_per_second;
    int64_t start = delay->free_ns > now_ns ? delay->free_ns : now_ns;
    delay->free_ns = ns < 9e17 ? start + (int64_t)ns : INT64_MAX / 2;
    return delay->free_ns;
}

static uint64_t bytes_ahead(const shim_call_t *call)
{
    int writes = call->op == VFS_OPID_write_at || call->op == VFS_OPID_writev_at;
    return writes ? call->len : call->bytes;
}

static uint64_t bytes_behind(const shim_call_t *call)
{
    int writes = call->op == VFS_OPID_write_at || call->op == VFS_OPID_writev_at;
    return call->done != NULL && !writes ? *call->done : 0;
}

static apr_status_t delay_begin(shim_call_t *call)
{
    delay_t *delay = call->fs->state;
    pthread_mutex_lock(&delay->lock);
    int trip = needs_trip(delay, call);
    int64_t now_ns = vfs__shim_now_ns();
    int64_t until_ns = now_ns;
    if (trip) {
        until_ns = send_ns(delay, now_ns, bytes_ahead(call)) + trip_ns(delay);
        delay->trips++;
    }
    pthread_mutex_unlock(&delay->lock);
    if (!trip) return APR_SUCCESS;
    apr_status_t status = vfs__shim_sleep_until(call->ctx, until_ns);
    if (status == APR_SUCCESS && call->op == VFS_OPID_readdir) call->dir->entries = 0;
    return status;
}

/* Which page the next entry is in. After a seek elsewhere it is in one that has to be asked for. */
static void count_entry(const shim_call_t *call)
{
    shim_dir_t *dir = call->dir;
    if (call->op == VFS_OPID_readdir) {
        dir->entries++;
        dir->cookie = call->entry->cookie;
    } else if (call->op == VFS_OPID_seekdir && call->note != dir->cookie) {
        dir->entries = UINT64_MAX / 2;
        dir->cookie = call->note;
    }
}

static apr_status_t delay_end(shim_call_t *call, apr_status_t status)
{
    if (status != APR_SUCCESS) return status;
    if (call->dir != NULL) count_entry(call);
    uint64_t bytes = bytes_behind(call);
    if (bytes == 0) return APR_SUCCESS;
    delay_t *delay = call->fs->state;
    pthread_mutex_lock(&delay->lock);
    int64_t now_ns = vfs__shim_now_ns();
    int64_t until_ns = send_ns(delay, now_ns, bytes);
    pthread_mutex_unlock(&delay->lock);
    if (until_ns > now_ns) status = vfs__shim_sleep_until(call->ctx, until_ns);
    if (status != APR_SUCCESS) *call->done = 0;
    return status;
}

static apr_status_t delay_destroy(vfs_t *fs)
{
    delay_t *delay = fs->state;
    pthread_mutex_destroy(&delay->lock);
    free(delay);
    return APR_SUCCESS;
}

#define SHIM delay
#include "vfs/shims/shim_ops.def"

static int delay_valid(const vfs_delay_t *how)
{
    return how != NULL && how->jitter_percent <= 100 && how->rtt_us <= INT64_MAX / 4000;
}

static vfs_delay_t delay_filled(const vfs_delay_t *how)
{
    vfs_delay_t filled = *how;
    if (filled.readdir_page == 0) filled.readdir_page = READDIR_PAGE;
    return filled;
}

apr_status_t vfs_delay_create(vfs_t **out, vfs_t *lower, const vfs_delay_t *how, apr_pool_t *pool)
{
    VFS_CHECK_ARG(out != NULL && lower != NULL && pool != NULL && delay_valid(how));
    delay_t *delay = calloc(1, sizeof(*delay));
    if (delay == NULL) return APR_ENOMEM;
    int err = pthread_mutex_init(&delay->lock, NULL);
    VFS_ASSERT(err == 0);
    delay->how = delay_filled(how);
    vfs_caps_t caps = *vfs_caps(lower);
    caps.round_trip_us = how->rtt_us < UINT32_MAX ? (uint32_t)how->rtt_us : UINT32_MAX;
    apr_status_t status = vfs_create(out, &delay_ops, lower, delay, &caps, pool);
    if (status == APR_SUCCESS) return APR_SUCCESS;
    pthread_mutex_destroy(&delay->lock);
    free(delay);
    return status;
}

apr_status_t vfs_delay_set(vfs_t *shim, const vfs_delay_t *how)
{
    VFS_CHECK_ARG(shim != NULL && shim->ops.destroy == delay_destroy && delay_valid(how));
    delay_t *delay = shim->state;
    pthread_mutex_lock(&delay->lock);
    delay->how = delay_filled(how);
    delay->free_ns = 0; /* the old link's queue is not the new one's */
    pthread_mutex_unlock(&delay->lock);
    return APR_SUCCESS;
}
