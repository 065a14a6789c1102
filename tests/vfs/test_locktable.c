/*
 * test_locktable.c - the lock table against a model that knows every byte, and its waits.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "support_fake.h"
#include "vfs/locktable.h"

static vfs__locktable_t *table;
static vfs__locks_t locks;
static char handles[8]; /* their addresses are what counts */

static void setup(void)
{
    cr_assert_eq(vfs__locktable_create(&table), APR_SUCCESS);
    memset(&locks, 0, sizeof(locks));
}

static void teardown(void)
{
    for (int i = 0; i < 8; i++)
        vfs__locktable_release(table, &locks, &handles[i]);
    cr_assert_null(locks.ranges);
    cr_assert_null(locks.wholes);
    vfs__locktable_destroy(table);
}

static apr_status_t ask(int handle, vfs_lock_e type, uint32_t flags, apr_off_t start, apr_off_t len,
                        uint64_t owner)
{
    vfs_lock_t lock = {type, flags, start, len, owner, 0};
    return vfs__locktable_lock(table, &locks, &handles[handle], NULL, &lock);
}

/* ---- the model */

#define BYTES 24
#define OWNERS 4

/* Owner o uses number o, or for the last two 0, so that the handle is the owner. Each owner has two
 * handles, but one without a number is its handle. */
typedef struct cell_t {
    int type; /* -1: none, else vfs_lock_e */
    int handle;
} cell_t;
static cell_t model[OWNERS][BYTES + 1]; /* the last stands for all behind */

static int model_conflict(int owner, vfs_lock_e type, int start, int end)
{
    for (int o = 0; o < OWNERS; o++) {
        for (int b = start; o != owner && b <= end; b++) {
            if (model[o][b].type < 0) continue;
            if (model[o][b].type == VFS_LOCK_WRITE || type == VFS_LOCK_WRITE) return 1;
        }
    }
    return 0;
}

static void model_clear(void)
{
    for (int o = 0; o < OWNERS; o++) {
        for (int b = 0; b <= BYTES; b++)
            model[o][b].type = -1;
    }
}

/* What a test lock of a stranger finds at one byte. */
static void compare_byte(int byte)
{
    for (int type = VFS_LOCK_READ; type <= VFS_LOCK_WRITE; type++) {
        vfs_lock_t lock = {(vfs_lock_e)type, VFS_LOCK_TEST, byte, 1, 99, 0};
        cr_assert_eq(vfs__locktable_lock(table, &locks, &handles[7], NULL, &lock), APR_SUCCESS);
        int expected = model_conflict(-1, (vfs_lock_e)type, byte, byte);
        cr_assert_eq(lock.type != VFS_LOCK_UNLOCK, expected, "byte %d", byte);
        if (!expected) continue;
        cr_assert_leq(lock.start, byte);
        cr_assert(lock.len == 0 || lock.start + lock.len > byte);
        cr_assert_eq(lock.pid, (int32_t)getpid());
    }
}

Test(vfs_locktable, random_locks_are_what_the_model_says, .init = setup, .fini = teardown)
{
    for (unsigned seed = 1; seed <= 60; seed++) {
        srand(seed);
        model_clear();
        for (int step = 0; step < 150; step++) {
            int owner = rand() % OWNERS;
            uint64_t number = owner < 2 ? (uint64_t)owner + 1 : 0;
            int handle = number != 0 ? owner * 2 + rand() % 2 : owner * 2;
            if (rand() % 25 == 0) {
                vfs__locktable_release(table, &locks, &handles[handle]);
                for (int b = 0; b <= BYTES; b++) {
                    if (model[owner][b].handle == handle) model[owner][b].type = -1;
                }
                continue;
            }
            int start = rand() % BYTES;
            int len = rand() % 8 == 0 ? 0 : 1 + rand() % (BYTES - start);
            int end = len == 0 ? BYTES : start + len - 1;
            vfs_lock_e type = (vfs_lock_e)(rand() % 3);
            int in_the_way = type != VFS_LOCK_UNLOCK && model_conflict(owner, type, start, end);
            cr_assert_eq(ask(handle, type, 0, start, len, number),
                         in_the_way ? APR_EAGAIN : APR_SUCCESS, "seed %u step %d", seed, step);
            for (int b = start; !in_the_way && b <= end; b++)
                model[owner][b] = (cell_t){type == VFS_LOCK_UNLOCK ? -1 : (int)type, handle};
            compare_byte(rand() % (BYTES + 1));
        }
        for (int b = 0; b <= BYTES; b++)
            compare_byte(b);
        for (int i = 0; i < 8; i++)
            vfs__locktable_release(table, &locks, &handles[i]);
        cr_assert_null(locks.ranges);
    }
}

Test(vfs_locktable, neighbours_of_one_kind_become_one_lock, .init = setup, .fini = teardown)
{
    cr_assert_eq(ask(0, VFS_LOCK_WRITE, 0, 0, 10, 0), APR_SUCCESS);
    cr_assert_eq(ask(0, VFS_LOCK_WRITE, 0, 20, 10, 0), APR_SUCCESS);
    cr_assert_eq(ask(0, VFS_LOCK_WRITE, 0, 10, 10, 0), APR_SUCCESS);
    vfs_lock_t lock = {VFS_LOCK_READ, VFS_LOCK_TEST, 15, 1, 0, 0};
    cr_assert_eq(vfs__locktable_lock(table, &locks, &handles[1], NULL, &lock), APR_SUCCESS);
    cr_assert_eq(lock.type, VFS_LOCK_WRITE);
    cr_assert_eq(lock.start, 0);
    cr_assert_eq(lock.len, 30);
    cr_assert_eq(ask(0, VFS_LOCK_WRITE, 0, 30, 0, 0), APR_SUCCESS);
    lock = (vfs_lock_t){VFS_LOCK_READ, VFS_LOCK_TEST, INT64_MAX - 1, 1, 0, 0};
    cr_assert_eq(vfs__locktable_lock(table, &locks, &handles[1], NULL, &lock), APR_SUCCESS);
    cr_assert_eq(lock.start, 0);
    cr_assert_eq(lock.len, 0, "to the end");
    cr_assert_eq(ask(0, VFS_LOCK_UNLOCK, 0, 5, 5, 0), APR_SUCCESS);
    cr_assert_eq(ask(1, VFS_LOCK_WRITE, 0, 5, 5, 0), APR_SUCCESS, "a gap in the middle");
    cr_assert_eq(ask(1, VFS_LOCK_WRITE, 0, 4, 1, 0), APR_EAGAIN);
    cr_assert_eq(ask(1, VFS_LOCK_WRITE, 0, 10, 1, 0), APR_EAGAIN);
}

Test(vfs_locktable, the_process_that_locks_can_be_named, .init = setup, .fini = teardown)
{
    vfs_lock_t lock = {VFS_LOCK_WRITE, 0, 3, 4, 77, 4242};
    cr_assert_eq(vfs__locktable_lock(table, &locks, &handles[0], NULL, &lock), APR_SUCCESS);
    lock = (vfs_lock_t){VFS_LOCK_WRITE, VFS_LOCK_TEST, 0, 0, 78, 1};
    cr_assert_eq(vfs__locktable_lock(table, &locks, &handles[0], NULL, &lock), APR_SUCCESS);
    cr_assert_eq(lock.pid, 4242);
    cr_assert_eq(lock.owner, 77u);
    cr_assert_eq(lock.start, 3);
    cr_assert_eq(lock.len, 4);
}

Test(vfs_locktable, whole_file_locks_belong_to_the_handle_and_do_not_meet_ranges, .init = setup,
     .fini = teardown)
{
    uint32_t whole = VFS_LOCK_WHOLE;
    cr_assert_eq(ask(0, VFS_LOCK_READ, whole, 0, 0, 5), APR_SUCCESS);
    cr_assert_eq(ask(1, VFS_LOCK_READ, whole, 0, 0, 5), APR_SUCCESS);
    cr_assert_eq(ask(1, VFS_LOCK_WRITE, whole, 0, 0, 5), APR_EAGAIN, "one owner, two handles");
    cr_assert_eq(ask(0, VFS_LOCK_WRITE, 0, 0, 0, 5), APR_SUCCESS, "ranges are another matter");
    vfs_lock_t lock = {VFS_LOCK_WRITE, VFS_LOCK_TEST | whole, 0, 0, 0, 0};
    cr_assert_eq(vfs__locktable_lock(table, &locks, &handles[1], NULL, &lock), APR_SUCCESS);
    cr_assert_eq(lock.type, VFS_LOCK_READ, "its own lock is still there");
    cr_assert_eq(ask(0, VFS_LOCK_UNLOCK, whole, 0, 0, 0), APR_SUCCESS);
    cr_assert_eq(ask(1, VFS_LOCK_WRITE, whole, 0, 0, 0), APR_SUCCESS);
    cr_assert_eq(ask(0, VFS_LOCK_READ, whole, 0, 0, 0), APR_EAGAIN);
    vfs__locktable_release(table, &locks, &handles[1]);
    cr_assert_eq(ask(0, VFS_LOCK_READ, whole, 0, 0, 0), APR_SUCCESS);
}

/* ---- waiting */

typedef struct waiting_t {
    int handle;
    vfs_lock_e type;
    uint32_t flags;
    apr_off_t start;
    apr_status_t status;
    atomic_int done;
    pthread_t thread;
} waiting_t;

static void *wait_main(void *arg)
{
    waiting_t *w = arg;
    w->status = ask(w->handle, w->type, w->flags | VFS_LOCK_WAIT, w->start, 1, 0);
    atomic_store(&w->done, 1);
    return NULL;
}

/* Let it wait; what is asserted is right without it too. */
static void start_waiting(waiting_t *w)
{
    cr_assert_eq(pthread_create(&w->thread, NULL, wait_main, w), 0);
    apr_sleep(20000);
}

/* The one of n that has its answer; at most one can have it. */
static int wait_for_one(waiting_t *const *w, int n)
{
    apr_time_t until = apr_time_now() + apr_time_from_sec(300);
    for (;;) {
        for (int i = 0; i < n; i++)
            if (atomic_load(&w[i]->done)) return i;
        cr_assert_lt(apr_time_now(), until, "nobody of %d goes on", n);
        apr_sleep(500);
    }
}

Test(vfs_locktable, a_waiter_gets_the_lock_when_it_is_free, .init = setup, .fini = teardown)
{
    static const uint32_t kinds[] = {0, VFS_LOCK_WHOLE};
    for (int i = 0; i < 2; i++) {
        waiting_t w = {.handle = 1, .type = VFS_LOCK_WRITE, .flags = kinds[i]};
        cr_assert_eq(ask(0, VFS_LOCK_WRITE, kinds[i], 0, 1, 0), APR_SUCCESS);
        start_waiting(&w);
        cr_assert_eq(atomic_load(&w.done), 0);
        if (i == 0)
            cr_assert_eq(ask(0, VFS_LOCK_UNLOCK, 0, 0, 1, 0), APR_SUCCESS);
        else
            vfs__locktable_release(table, &locks, &handles[0]);
        pthread_join(w.thread, NULL);
        cr_assert_eq(w.status, APR_SUCCESS);
        cr_assert_eq(ask(0, VFS_LOCK_READ, kinds[i], 0, 1, 0), APR_EAGAIN);
        vfs__locktable_release(table, &locks, &handles[1]);
    }
}

Test(vfs_locktable, a_wait_ends_with_its_context, .init = setup, .fini = teardown)
{
    apr_pool_t *pool = test_pool();
    vfs_ctx_t ctx = VFS_CTX_INIT;
    vfs_cancel_t *cancel;
    vfs_lock_t lock = {VFS_LOCK_READ, VFS_LOCK_WAIT, 0, 0, 0, 0};
    cr_assert_eq(ask(0, VFS_LOCK_WRITE, 0, 5, 1, 0), APR_SUCCESS);
    ctx.deadline = apr_time_now() + 20000;
    cr_assert_eq(vfs__locktable_lock(table, &locks, &handles[1], &ctx, &lock), APR_TIMEUP);
    ctx.deadline = 0;
    cr_assert_eq(vfs_cancel_create(&cancel, pool), APR_SUCCESS);
    vfs_cancel_raise(cancel);
    ctx.cancel = cancel;
    cr_assert_eq(vfs__locktable_lock(table, &locks, &handles[1], &ctx, &lock), VFS_ECANCELED);
    apr_pool_destroy(pool);
}

Test(vfs_locktable, converting_a_whole_lock_gives_it_up_while_waiting, .init = setup,
     .fini = teardown)
{
    waiting_t a = {.handle = 0, .type = VFS_LOCK_WRITE, .flags = VFS_LOCK_WHOLE};
    waiting_t b = {.handle = 1, .type = VFS_LOCK_WRITE, .flags = VFS_LOCK_WHOLE};
    cr_assert_eq(ask(0, VFS_LOCK_READ, VFS_LOCK_WHOLE, 0, 0, 0), APR_SUCCESS);
    cr_assert_eq(ask(1, VFS_LOCK_READ, VFS_LOCK_WHOLE, 0, 0, 0), APR_SUCCESS);
    start_waiting(&a);
    cr_assert_eq(atomic_load(&a.done), 0);
    start_waiting(&b);
    int first = wait_for_one((waiting_t *[]){&a, &b}, 2);
    cr_assert_eq(atomic_load(&a.done) + atomic_load(&b.done), 1, "the other waits");
    vfs__locktable_release(table, &locks, &handles[first]);
    pthread_join(a.thread, NULL);
    pthread_join(b.thread, NULL);
    cr_assert_eq(a.status, APR_SUCCESS);
    cr_assert_eq(b.status, APR_SUCCESS);
}

Test(vfs_locktable, a_circle_of_any_length_is_found_by_its_last_member, .init = setup,
     .fini = teardown)
{
    for (int n = 2; n <= 6; n++) {
        waiting_t w[6], *all[6];
        for (int i = 0; i < n; i++)
            cr_assert_eq(ask(i, VFS_LOCK_WRITE, 0, i, 1, 0), APR_SUCCESS);
        for (int i = 0; i < n; i++) {
            all[i] = &w[i];
            w[i] = (waiting_t){.handle = i, .type = VFS_LOCK_WRITE, .start = (i + 1) % n};
            cr_assert_eq(pthread_create(&w[i].thread, NULL, wait_main, &w[i]), 0);
        }
        int last = wait_for_one(all, n);
        pthread_join(w[last].thread, NULL);
        cr_assert_eq(w[last].status, APR_FROM_OS_ERROR(EDEADLK), "%d", n);
        vfs__locktable_release(table, &locks, &handles[last]);
        for (int k = 1; k < n; k++) {
            int i = (last + n - k) % n;
            pthread_join(w[i].thread, NULL);
            cr_assert_eq(w[i].status, APR_SUCCESS);
            vfs__locktable_release(table, &locks, &handles[i]);
        }
    }
}

Test(vfs_locktable, waiting_for_one_who_waits_for_another_is_no_circle, .init = setup,
     .fini = teardown)
{
    waiting_t b = {.handle = 1, .type = VFS_LOCK_WRITE, .start = 0};
    waiting_t c = {.handle = 2, .type = VFS_LOCK_READ, .start = 1};
    cr_assert_eq(ask(0, VFS_LOCK_WRITE, 0, 0, 1, 0), APR_SUCCESS);
    cr_assert_eq(ask(1, VFS_LOCK_WRITE, 0, 1, 1, 0), APR_SUCCESS);
    start_waiting(&b);
    start_waiting(&c);
    cr_assert_eq(atomic_load(&b.done) + atomic_load(&c.done), 0);
    vfs__locktable_release(table, &locks, &handles[0]);
    pthread_join(b.thread, NULL);
    cr_assert_eq(b.status, APR_SUCCESS);
    vfs__locktable_release(table, &locks, &handles[1]);
    pthread_join(c.thread, NULL);
    cr_assert_eq(c.status, APR_SUCCESS);
}
