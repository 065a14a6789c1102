/*
 * test_ctx.c - contexts: what ends a call, and when a wait notices.
 */
#include <pthread.h>

#include <criterion/criterion.h>

#include "support_fake.h"
#include "vfs/wait.h"

Test(vfs_ctx, no_context_is_always_wanted)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;
    cr_assert_eq(vfs_ctx_check(NULL), APR_SUCCESS);
    cr_assert_eq(vfs_ctx_check(&ctx), APR_SUCCESS);
    ctx.size = 0;
    cr_assert_eq(vfs_ctx_check(&ctx), APR_EINVAL, "made without VFS_CTX_INIT");
}

Test(vfs_ctx, a_deadline_passes)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.deadline = apr_time_now() + apr_time_from_sec(100);
    cr_assert_eq(vfs_ctx_check(&ctx), APR_SUCCESS);
    ctx.deadline = apr_time_now();
    cr_assert_eq(vfs_ctx_check(&ctx), APR_TIMEUP);
}

Test(vfs_ctx, a_raised_flag_cancels_and_wins_over_the_deadline)
{
    apr_pool_t *pool = test_pool();
    vfs_ctx_t ctx = VFS_CTX_INIT;
    vfs_cancel_t *cancel;
    cr_assert_eq(vfs_cancel_create(&cancel, pool), APR_SUCCESS);
    ctx.cancel = cancel;
    ctx.deadline = 1;
    cr_assert_not(vfs_cancel_raised(cancel));
    cr_assert_eq(vfs_ctx_check(&ctx), APR_TIMEUP);
    vfs_cancel_raise(cancel);
    cr_assert(vfs_cancel_raised(cancel));
    cr_assert_eq(vfs_ctx_check(&ctx), VFS_ECANCELED);
    cr_assert_not(vfs_cancel_raised(NULL));
    cr_assert_eq(vfs_cancel_create(NULL, pool), APR_EINVAL);
    apr_pool_destroy(pool);
}

Test(vfs_ctx, the_umask_counts_only_when_it_is_given)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.umask = 027;
    cr_assert_eq(vfs_ctx_mode(NULL, 0777), 0777u);
    cr_assert_eq(vfs_ctx_mode(&ctx, 0777), 0777u);
    ctx.flags = VFS_CTX_UMASK;
    cr_assert_eq(vfs_ctx_mode(&ctx, 0777), 0750u);
}

Test(vfs_ctx, the_clock_is_the_wall_clock)
{
    int64_t now = vfs_now_ns();
    apr_time_t us = apr_time_now();
    cr_assert_leq(now / 1000, us);
    cr_assert_lt(us - now / 1000, apr_time_from_sec(3600));
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static apr_status_t wait_for_ever(const vfs_ctx_t *ctx)
{
    apr_status_t status;
    pthread_mutex_lock(&mutex);
    do {
        status = vfs__cond_wait(&cond, &mutex, ctx);
    } while (status == APR_SUCCESS);
    pthread_mutex_unlock(&mutex);
    return status;
}

Test(vfs_ctx, a_wait_ends_at_its_deadline_and_not_before)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.deadline = apr_time_now() + 30000;
    cr_assert_eq(wait_for_ever(&ctx), APR_TIMEUP);
    cr_assert_geq(apr_time_now(), ctx.deadline);
    cr_assert_eq(wait_for_ever(&ctx), APR_TIMEUP, "and at once when it has passed");
}

static void *raise_soon(void *cancel)
{
    apr_sleep(20000);
    vfs_cancel_raise(cancel);
    return NULL;
}

Test(vfs_ctx, a_wait_notices_a_cancel_flag_that_nobody_signals)
{
    apr_pool_t *pool = test_pool();
    vfs_ctx_t ctx = VFS_CTX_INIT;
    vfs_cancel_t *cancel;
    pthread_t thread;
    cr_assert_eq(vfs_cancel_create(&cancel, pool), APR_SUCCESS);
    ctx.cancel = cancel;
    ctx.deadline = apr_time_now() + apr_time_from_sec(60);
    pthread_create(&thread, NULL, raise_soon, cancel);
    cr_assert_eq(wait_for_ever(&ctx), VFS_ECANCELED);
    pthread_join(thread, NULL);
    apr_pool_destroy(pool);
}
