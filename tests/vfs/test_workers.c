/*
 * test_workers.c - the bounded pool of threads.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "support_fake.h"

static apr_pool_t *pool;
static atomic_int started, done, gate, most;

static void setup(void)
{
    pool = test_pool();
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

static void count(void *baton)
{
    (void)baton; /* counting needs none */
    atomic_fetch_add(&done, 1);
}

static void wait_at_gate(void *baton)
{
    (void)baton; /* one gate for all */
    int now = atomic_fetch_add(&started, 1) + 1;
    int before = atomic_load(&most);
    while (now > before && !atomic_compare_exchange_weak(&most, &before, now))
        ;
    while (!atomic_load(&gate))
        apr_sleep(500);
    atomic_fetch_sub(&started, 1);
    atomic_fetch_add(&done, 1);
}

static void wait_for(atomic_int *value, int least)
{
    apr_time_t until = apr_time_now() + apr_time_from_sec(300);
    while (atomic_load(value) < least && apr_time_now() < until)
        apr_sleep(500);
    cr_assert_geq(atomic_load(value), least);
}

Test(vfs_workers, bounds_are_checked, .init = setup, .fini = teardown)
{
    vfs_workers_t *workers = (vfs_workers_t *)&done;
    cr_assert_eq(vfs_workers_create(&workers, 0, 1, pool), APR_EINVAL);
    cr_assert_null(workers);
    cr_assert_eq(vfs_workers_create(&workers, 1025, 1, pool), APR_EINVAL);
    cr_assert_eq(vfs_workers_create(&workers, 1, 0, pool), APR_EINVAL);
    cr_assert_eq(vfs_workers_create(&workers, 1, 1, NULL), APR_EINVAL);
    cr_assert_eq(vfs_workers_create(NULL, 1, 1, pool), APR_EINVAL);
    cr_assert_eq(vfs_workers_create(&workers, 1, SIZE_MAX, pool), APR_ENOMEM);
    cr_assert_eq(vfs_workers_try(NULL, count, NULL), APR_EINVAL);
    cr_assert_eq(vfs_workers_push(NULL, NULL, count, NULL), APR_EINVAL);
    vfs_workers_destroy(NULL);
}

Test(vfs_workers, every_job_runs_once, .init = setup, .fini = teardown)
{
    vfs_workers_t *workers;
    cr_assert_eq(vfs_workers_create(&workers, 4, 3, pool), APR_SUCCESS);
    for (int i = 1; i <= 5000; i++) {
        cr_assert_eq(vfs_workers_push(workers, NULL, count, NULL), APR_SUCCESS);
        if (i % 1000 != 0) continue;
        vfs_workers_drain(workers);
        cr_assert_eq(atomic_load(&done), i, "nothing waits or runs behind a drain");
    }
    vfs_workers_destroy(workers);
    cr_assert_eq(atomic_load(&done), 5000);
}

Test(vfs_workers, the_queue_and_the_threads_are_bounded, .init = setup, .fini = teardown)
{
    vfs_workers_t *workers;
    vfs_ctx_t ctx = VFS_CTX_INIT;
    vfs_cancel_t *cancel;
    cr_assert_eq(vfs_workers_create(&workers, 2, 3, pool), APR_SUCCESS);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(vfs_workers_push(workers, NULL, wait_at_gate, NULL), APR_SUCCESS);
    wait_for(&started, 2);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(vfs_workers_try(workers, wait_at_gate, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_workers_try(workers, wait_at_gate, NULL), VFS_ELIMIT);
    ctx.deadline = apr_time_now() + 20000;
    cr_assert_eq(vfs_workers_push(workers, &ctx, wait_at_gate, NULL), APR_TIMEUP);
    ctx.deadline = 0;
    cr_assert_eq(vfs_cancel_create(&cancel, pool), APR_SUCCESS);
    vfs_cancel_raise(cancel);
    ctx.cancel = cancel;
    cr_assert_eq(vfs_workers_push(workers, &ctx, wait_at_gate, NULL), VFS_ECANCELED);
    atomic_store(&gate, 1);
    vfs_workers_drain(workers);
    cr_assert_eq(atomic_load(&done), 5);
    cr_assert_eq(atomic_load(&most), 2);
    vfs_workers_destroy(workers);
}

static void *push_one(void *workers)
{
    static apr_status_t status;
    status = vfs_workers_push(workers, NULL, count, NULL);
    return &status;
}

Test(vfs_workers, a_push_waits_for_room, .init = setup, .fini = teardown)
{
    vfs_workers_t *workers;
    pthread_t thread;
    void *status;
    cr_assert_eq(vfs_workers_create(&workers, 1, 1, pool), APR_SUCCESS);
    cr_assert_eq(vfs_workers_push(workers, NULL, wait_at_gate, NULL), APR_SUCCESS);
    wait_for(&started, 1);
    cr_assert_eq(vfs_workers_try(workers, wait_at_gate, NULL), APR_SUCCESS);
    pthread_create(&thread, NULL, push_one, workers);
    apr_sleep(10000);
    atomic_store(&gate, 1);
    pthread_join(thread, &status);
    cr_assert_eq(*(apr_status_t *)status, APR_SUCCESS);
    vfs_workers_destroy(workers);
    cr_assert_eq(atomic_load(&done), 3);
}

static vfs_workers_t *whole;
static atomic_int refused;

/* A job that tries to push another one until the end has come: before that the queue is full. */
static void push_late(void *baton)
{
    apr_status_t status;
    wait_at_gate(baton);
    while ((status = vfs_workers_try(whole, count, NULL)) == VFS_ELIMIT)
        apr_sleep(500);
    if (status == VFS_ECANCELED) atomic_fetch_add(&refused, 1);
}

Test(vfs_workers, destroy_runs_what_waits_and_takes_nothing_new, .init = setup, .fini = teardown)
{
    cr_assert_eq(vfs_workers_create(&whole, 1, 10, pool), APR_SUCCESS);
    cr_assert_eq(vfs_workers_push(whole, NULL, push_late, NULL), APR_SUCCESS);
    wait_for(&started, 1);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(vfs_workers_try(whole, count, NULL), APR_SUCCESS);
    atomic_store(&gate, 1);
    vfs_workers_destroy(whole);
    cr_assert_eq(atomic_load(&done), 11);
    cr_assert_eq(atomic_load(&refused), 1);
}

static atomic_int handled_by_worker;
static pthread_t main_thread;

static void on_signal(int number)
{
    (void)number; /* SIGUSR1 is the only one */
    if (!pthread_equal(pthread_self(), main_thread)) atomic_store(&handled_by_worker, 1);
    atomic_fetch_add(&done, 1);
}

Test(vfs_workers, signals_of_the_program_stay_its_own, .init = setup, .fini = teardown)
{
    vfs_workers_t *workers;
    main_thread = pthread_self();
    signal(SIGUSR1, on_signal);
    cr_assert_eq(vfs_workers_create(&workers, 4, 4, pool), APR_SUCCESS);
    for (int i = 1; i <= 20; i++) {
        kill(getpid(), SIGUSR1);
        wait_for(&done, i);
    }
    cr_assert_eq(atomic_load(&handled_by_worker), 0);
    vfs_workers_destroy(workers);
}

static void drain_from_inside(void *workers)
{
    vfs_workers_drain(workers);
}

Test(vfs_workers, draining_from_a_job_is_noticed, .signal = SIGABRT, .init = setup)
{
    vfs_workers_t *workers;
    cr_assert_eq(vfs_workers_create(&workers, 1, 1, pool), APR_SUCCESS);
    (void)vfs_workers_push(workers, NULL, drain_from_inside, workers);
    vfs_workers_destroy(workers);
}
