/*
 * table_lock.c - behaviours of advisory locks: ranges, whole files, owners, waiting.
 */
#include <stdlib.h>

#include <apr_thread_proc.h>

#include "tests/conformance/conf.h"

static vfs_lock_t range(vfs_lock_e type, uint32_t flags, apr_off_t start, apr_off_t len)
{
    return (vfs_lock_t){type, flags, start, len, 0, 0};
}

static apr_status_t set(vfs_file_t *f, vfs_lock_e type, uint32_t flags, apr_off_t start,
                        apr_off_t len)
{
    vfs_lock_t lock = range(type, flags, start, len);
    return vfs_lock(f, NULL, &lock);
}

static void write_locks_exclude_each_other(conf_t *t)
{
    PUT("/f", "0123456789");
    NEED_OPEN(f, "/f", RW);
    NEED_OPEN(g, "/f", RW);
    OK(set(f, VFS_LOCK_WRITE, 0, 0, 10));
    IS(APR_EAGAIN, set(g, VFS_LOCK_WRITE, 0, 0, 10));
    IS(APR_EAGAIN, set(g, VFS_LOCK_WRITE, 0, 9, 1));
    IS(APR_EAGAIN, set(g, VFS_LOCK_READ, 0, 5, 1));
    OK(set(g, VFS_LOCK_WRITE, 0, 10, 5));
    OK(set(f, VFS_LOCK_UNLOCK, 0, 0, 10));
    OK(set(g, VFS_LOCK_WRITE, 0, 0, 10));
    CLOSE(f);
    CLOSE(g);
}

static void read_locks_share(conf_t *t)
{
    PUT("/f", "x");
    NEED_OPEN(f, "/f", RW);
    NEED_OPEN(g, "/f", RW);
    OK(set(f, VFS_LOCK_READ, 0, 0, 0));
    OK(set(g, VFS_LOCK_READ, 0, 0, 0));
    IS(APR_EAGAIN, set(g, VFS_LOCK_WRITE, 0, 0, 1));
    OK(set(f, VFS_LOCK_UNLOCK, 0, 0, 0));
    OK(set(g, VFS_LOCK_WRITE, 0, 0, 1));
    CLOSE(f);
    CLOSE(g);
}

static void locks_of_a_handle_end_with_it(conf_t *t)
{
    PUT("/f", "x");
    NEED_OPEN(f, "/f", RW);
    NEED_OPEN(g, "/f", RW);
    OK(set(f, VFS_LOCK_WRITE, 0, 0, 0));
    IS(APR_EAGAIN, set(g, VFS_LOCK_WRITE, 0, 0, 0));
    CLOSE(f);
    OK(set(g, VFS_LOCK_WRITE, 0, 0, 0));
    CLOSE(g);
}

static void a_lock_can_be_converted_and_split(conf_t *t)
{
    PUT("/f", "x");
    NEED_OPEN(f, "/f", RW);
    NEED_OPEN(g, "/f", RW);
    OK(set(f, VFS_LOCK_WRITE, 0, 0, 100));
    OK(set(f, VFS_LOCK_UNLOCK, 0, 40, 20));
    OK(set(g, VFS_LOCK_WRITE, 0, 40, 20));
    IS(APR_EAGAIN, set(g, VFS_LOCK_WRITE, 0, 39, 1));
    IS(APR_EAGAIN, set(g, VFS_LOCK_WRITE, 0, 60, 1));
    OK(set(f, VFS_LOCK_READ, 0, 0, 40));
    OK(set(g, VFS_LOCK_READ, 0, 0, 40));
    CLOSE(f);
    CLOSE(g);
}

static void test_tells_who_is_in_the_way(conf_t *t)
{
    PUT("/f", "x");
    NEED_OPEN(f, "/f", RW);
    NEED_OPEN(g, "/f", RW);
    OK(set(f, VFS_LOCK_WRITE, 0, 10, 5));
    vfs_lock_t lock = range(VFS_LOCK_WRITE, VFS_LOCK_TEST, 0, 0);
    OK(vfs_lock(g, NULL, &lock));
    EQ(lock.type, VFS_LOCK_WRITE);
    EQ(lock.start, 10);
    EQ(lock.len, 5);
    lock = range(VFS_LOCK_WRITE, VFS_LOCK_TEST, 0, 10);
    OK(vfs_lock(g, NULL, &lock));
    EQ(lock.type, VFS_LOCK_UNLOCK);
    lock = range(VFS_LOCK_WRITE, VFS_LOCK_TEST, 0, 0);
    OK(vfs_lock(f, NULL, &lock));
    EQ(lock.type, VFS_LOCK_UNLOCK);
    CLOSE(f);
    CLOSE(g);
}

static void two_owners_on_one_handle_conflict(conf_t *t)
{
    PUT("/f", "x");
    NEED_OPEN(f, "/f", RW);
    vfs_lock_t a = {VFS_LOCK_WRITE, 0, 0, 10, 1, 0}, b = {VFS_LOCK_WRITE, 0, 5, 10, 2, 0};
    OK(vfs_lock(f, NULL, &a));
    IS(APR_EAGAIN, vfs_lock(f, NULL, &b));
    a.type = VFS_LOCK_UNLOCK;
    OK(vfs_lock(f, NULL, &a));
    OK(vfs_lock(f, NULL, &b));
    CLOSE(f);
}

static void whole_file_locks_are_of_the_handle(conf_t *t)
{
    PUT("/f", "x");
    NEED_OPEN(f, "/f", RW);
    NEED_OPEN(g, "/f", RD);
    OK(set(f, VFS_LOCK_WRITE, VFS_LOCK_WHOLE, 0, 0));
    IS(APR_EAGAIN, set(g, VFS_LOCK_READ, VFS_LOCK_WHOLE, 0, 0));
    OK(set(f, VFS_LOCK_READ, VFS_LOCK_WHOLE, 0, 0));
    OK(set(g, VFS_LOCK_READ, VFS_LOCK_WHOLE, 0, 0));
    CLOSE(f);
    OK(set(g, VFS_LOCK_UNLOCK, VFS_LOCK_WHOLE, 0, 0));
    CLOSE(g);
}

static void locks_need_a_handle_that_could_do_it(conf_t *t)
{
    PUT("/f", "x");
    NEED_OPEN(f, "/f", RD);
    NEED_OPEN(g, "/f", WR);
    IS(APR_EBADF, set(f, VFS_LOCK_WRITE, 0, 0, 1));
    IS(APR_EBADF, set(g, VFS_LOCK_READ, 0, 0, 1));
    CLOSE(f);
    CLOSE(g);
}

static void a_wait_for_a_lock_ends_with_its_deadline(conf_t *t)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;
    vfs_lock_t lock = range(VFS_LOCK_WRITE, VFS_LOCK_WAIT, 0, 0);
    PUT("/f", "x");
    NEED_OPEN(f, "/f", RW);
    NEED_OPEN(g, "/f", RW);
    OK(set(f, VFS_LOCK_WRITE, 0, 0, 0));
    apr_time_t start = apr_time_now();
    ctx.deadline = start + 50000;
    IS(APR_TIMEUP, vfs_lock(g, &ctx, &lock));
    CHECK(apr_time_now() - start >= 49000);
    CLOSE(f);
    CLOSE(g);
}

typedef struct waiter_t {
    vfs_file_t *f;
    const vfs_cancel_t *cancel;
    apr_status_t rv;
} waiter_t;

static void *APR_THREAD_FUNC wait_for_lock(apr_thread_t *thread, void *baton)
{
    waiter_t *w = baton;
    vfs_ctx_t ctx = VFS_CTX_INIT;
    vfs_lock_t lock = range(VFS_LOCK_WRITE, VFS_LOCK_WAIT, 0, 0);
    ctx.cancel = w->cancel;
    w->rv = vfs_lock(w->f, &ctx, &lock);
    (void)thread;
    return NULL;
}

static void a_waiter_gets_the_lock_when_it_is_free(conf_t *t)
{
    apr_thread_t *thread;
    apr_status_t ended;
    PUT("/f", "x");
    NEED_OPEN(f, "/f", RW);
    NEED_OPEN(g, "/f", RW);
    OK(set(f, VFS_LOCK_WRITE, 0, 0, 0));
    waiter_t w = {g, NULL, APR_EGENERAL};
    NEED(OK(apr_thread_create(&thread, NULL, wait_for_lock, &w, t->pool)));
    apr_sleep(30000); /* let it wait; right without it too */
    OK(set(f, VFS_LOCK_UNLOCK, 0, 0, 0));
    OK(apr_thread_join(&ended, thread));
    OK(w.rv);
    IS(APR_EAGAIN, set(f, VFS_LOCK_WRITE, 0, 0, 0));
    CLOSE(f);
    CLOSE(g);
}

static void a_wait_for_a_lock_can_be_cancelled(conf_t *t)
{
    apr_thread_t *thread;
    apr_status_t ended;
    vfs_cancel_t *cancel = NULL;
    PUT("/f", "x");
    NEED(OK(vfs_cancel_create(&cancel, t->pool)));
    NEED_OPEN(f, "/f", RW);
    NEED_OPEN(g, "/f", RW);
    OK(set(f, VFS_LOCK_WRITE, 0, 0, 0));
    waiter_t w = {g, cancel, APR_EGENERAL};
    NEED(OK(apr_thread_create(&thread, NULL, wait_for_lock, &w, t->pool)));
    apr_sleep(30000); /* let it wait; right without it too */
    vfs_cancel_raise(cancel);
    OK(apr_thread_join(&ended, thread));
    IS(VFS_ECANCELED, w.rv);
    CLOSE(f);
    CLOSE(g);
}

/* Two handles that locked nothing before, one that did, and one that can only read. */
static void lock_without_a_name(conf_t *t, int replaced)
{
    PUT("/f", "x");
    PUT("/g", "y");
    NEED_OPEN(f, "/f", RW);
    NEED_OPEN(g, "/f", RW);
    NEED_OPEN(h, "/f", RW);
    NEED_OPEN(r, "/f", RD);
    OK(set(h, VFS_LOCK_WRITE, 0, 100, 10));
    NEED(OK(replaced ? vfs_rename(t->fs, NULL, "/g", "/f", 0) : vfs_unlink(t->fs, NULL, "/f")));
    OK(set(f, VFS_LOCK_WRITE, 0, 0, 10));
    IS(APR_EAGAIN, set(g, VFS_LOCK_WRITE, 0, 5, 10));
    IS(APR_EAGAIN, set(r, VFS_LOCK_READ, 0, 0, 0));
    IS(APR_EAGAIN, set(g, VFS_LOCK_WRITE, 0, 100, 1));
    OK(set(g, VFS_LOCK_WRITE, 0, 10, 5));
    OK(set(r, VFS_LOCK_READ, 0, 20, 5));
    OK(set(f, VFS_LOCK_WRITE, VFS_LOCK_WHOLE, 0, 0));
    IS(APR_EAGAIN, set(g, VFS_LOCK_READ, VFS_LOCK_WHOLE, 0, 0));
    CLOSE(f);
    OK(set(g, VFS_LOCK_READ, VFS_LOCK_WHOLE, 0, 0));
    OK(set(g, VFS_LOCK_WRITE, 0, 0, 10));
    CLOSE(g);
    CLOSE(h);
    CLOSE(r);
}

static void a_file_without_a_name_can_be_locked(conf_t *t)
{
    lock_without_a_name(t, 0);
}

static void a_file_whose_name_was_taken_can_be_locked(conf_t *t)
{
    lock_without_a_name(t, 1);
}

/* The one handle is all that there is of it. */
static void the_only_handle_of_a_file_without_a_name_can_lock(conf_t *t)
{
    PUT("/f", "x");
    NEED_OPEN(f, "/f", RW);
    NEED(OK(vfs_unlink(t->fs, NULL, "/f")));
    vfs_lock_t a = {VFS_LOCK_WRITE, 0, 0, 10, 1, 0}, b = {VFS_LOCK_WRITE, 0, 5, 10, 2, 0};
    OK(vfs_lock(f, NULL, &a));
    IS(APR_EAGAIN, vfs_lock(f, NULL, &b));
    a.type = VFS_LOCK_UNLOCK;
    OK(vfs_lock(f, NULL, &a));
    OK(vfs_lock(f, NULL, &b));
    OK(set(f, VFS_LOCK_WRITE, VFS_LOCK_WHOLE, 0, 0));
    CLOSE(f);
}

static void wrong_arguments_of_lock(conf_t *t)
{
    PUT("/f", "x");
    NEED_OPEN(f, "/f", RW);
    IS(APR_EINVAL, set(f, (vfs_lock_e)77, 0, 0, 0));
    IS(APR_EINVAL, set(f, VFS_LOCK_WRITE, 0x80, 0, 0));
    IS(APR_EINVAL, set(f, VFS_LOCK_WRITE, 0, -1, 0));
    IS(APR_EINVAL, set(f, VFS_LOCK_WRITE, 0, 0, -1));
    IS(APR_EINVAL, vfs_lock(f, NULL, NULL));
    CLOSE(f);
}

static const conf_behaviour_t behaviours[] = {
    B_CAPS(write_locks_exclude_each_other, VFS_CAP_LOCK),
    B_CAPS(read_locks_share, VFS_CAP_LOCK),
    B_CAPS(locks_of_a_handle_end_with_it, VFS_CAP_LOCK),
    B_CAPS(a_lock_can_be_converted_and_split, VFS_CAP_LOCK),
    B_CAPS(test_tells_who_is_in_the_way, VFS_CAP_LOCK),
    B_CAPS(two_owners_on_one_handle_conflict, VFS_CAP_LOCK),
    B_CAPS(whole_file_locks_are_of_the_handle, VFS_CAP_LOCK),
    B_CAPS(locks_need_a_handle_that_could_do_it, VFS_CAP_LOCK),
    B_CAPS(a_wait_for_a_lock_ends_with_its_deadline, VFS_CAP_LOCK),
    B_CAPS(a_waiter_gets_the_lock_when_it_is_free, VFS_CAP_LOCK),
    B_CAPS(a_wait_for_a_lock_can_be_cancelled, VFS_CAP_LOCK),
    B_CAPS(a_file_without_a_name_can_be_locked, VFS_CAP_LOCK),
    B_CAPS(a_file_whose_name_was_taken_can_be_locked, VFS_CAP_LOCK),
    B_CAPS(the_only_handle_of_a_file_without_a_name_can_lock, VFS_CAP_LOCK),
    B_CAPS(wrong_arguments_of_lock, VFS_CAP_LOCK),
};
CONF_TABLE(lock, behaviours);
