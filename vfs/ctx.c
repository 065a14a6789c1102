/*
 * ctx.c - the context of a call: cancel flags, deadlines, the umask, the clock, and waiting under
 * them. Floor 1. Knows no file system.
 */
#include <stdatomic.h>
#include <time.h>

#include "vfs/internal.h"
#include "vfs/wait.h"

#define CANCEL_MAGIC 0x76666331u

struct vfs_cancel_t {
    uint32_t magic;
    atomic_uint raised;
};

apr_status_t vfs_cancel_create(vfs_cancel_t **out, apr_pool_t *pool)
{
    VFS_CHECK_ARG(out != NULL && pool != NULL);
    vfs_cancel_t *cancel = apr_palloc(pool, sizeof(*cancel));
    *out = cancel;
    if (cancel == NULL) return APR_ENOMEM;
    cancel->magic = CANCEL_MAGIC;
    atomic_init(&cancel->raised, 0);
    return APR_SUCCESS;
}

void vfs_cancel_raise(vfs_cancel_t *cancel)
{
    VFS_ASSERT(cancel != NULL && cancel->magic == CANCEL_MAGIC);
    atomic_store_explicit(&cancel->raised, 1, memory_order_release);
}

int vfs_cancel_raised(const vfs_cancel_t *cancel)
{
    if (cancel == NULL) return 0;
    VFS_ASSERT(cancel->magic == CANCEL_MAGIC);
    return atomic_load_explicit(&cancel->raised, memory_order_acquire) != 0;
}

apr_status_t vfs_ctx_check(const vfs_ctx_t *ctx)
{
    if (ctx == NULL) return APR_SUCCESS;
    VFS_CHECK_ARG(ctx->size >= sizeof(*ctx));
    if (vfs_cancel_raised(ctx->cancel)) return VFS_ECANCELED;
    if (ctx->deadline != 0 && apr_time_now() >= ctx->deadline) return APR_TIMEUP;
    return APR_SUCCESS;
}

uint32_t vfs_ctx_mode(const vfs_ctx_t *ctx, uint32_t mode)
{
    if (ctx == NULL || !(ctx->flags & VFS_CTX_UMASK)) return mode;
    return mode & ~ctx->umask;
}

int64_t vfs_now_ns(void)
{
    struct timespec now;
    int rc = clock_gettime(CLOCK_REALTIME, &now);
    VFS_ASSERT(rc == 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

apr_status_t vfs__cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, const vfs_ctx_t *ctx)
{
    apr_status_t status = vfs__ctx_check(ctx);
    if (status != APR_SUCCESS) return status;
    apr_time_t until = 0;
    if (ctx != NULL) {
        until = ctx->deadline;
        apr_time_t poll = ctx->cancel != NULL ? apr_time_now() + VFS__CANCEL_POLL_US : 0;
        if (poll != 0 && (until == 0 || poll < until)) until = poll;
    }
    if (until == 0) return APR_FROM_OS_ERROR(pthread_cond_wait(cond, mutex));
    struct timespec abs;
    abs.tv_sec = (time_t)apr_time_sec(until);
    abs.tv_nsec = (long)apr_time_usec(until) * 1000;
    int rc = pthread_cond_timedwait(cond, mutex, &abs);
    VFS_ASSERT(rc == 0 || rc == ETIMEDOUT);
    return vfs__ctx_check(ctx);
}
