/*
 * test_crash_errors.c - the crash shim over a lower whose calls fail, one after the other, and many
 * threads over it.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/shims/support_shims.h"

/* What the durable part of a run looks like: it must not depend on what failed afterwards. */
static void make_durable(vfs_t *fs)
{
    cr_assert_eq(vfs_mkdir(fs, NULL, "/safe", 0755), APR_SUCCESS);
    test_put(fs, "/safe/a", "durable a");
    test_put(fs, "/safe/b", "durable b");
    cr_assert_eq(vfs_symlink(fs, NULL, "a", "/safe/l"), APR_SUCCESS);
    cr_assert_eq(vfs_mkdir(fs, NULL, "/safe/d", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_setxattr(fs, NULL, "/safe/a", "user.k", "v", 1, 0, 0), APR_SUCCESS);
    cr_assert_eq(vfs_sync_fs(fs, NULL), APR_SUCCESS);
}

static int is_durable(vfs_t *fs, apr_pool_t *pool)
{
    char text[8] = "", value[8];
    size_t len = 0;
    vfs_attr_t attr;
    return strcmp(test_text(fs, "/safe/a", pool), "durable a") == 0 &&
           strcmp(test_text(fs, "/safe/b", pool), "durable b") == 0 &&
           vfs_readlink(fs, NULL, "/safe/l", text, sizeof(text), NULL) == APR_SUCCESS &&
           strcmp(text, "a") == 0 && vfs_stat(fs, NULL, "/safe/d", &attr) == APR_SUCCESS &&
           vfs_getxattr(fs, NULL, "/safe/a", "user.k", value, 8, &len, 0) == APR_SUCCESS &&
           len == 1 && value[0] == 'v' &&
           APR_STATUS_IS_ENOENT(vfs_lstat(fs, NULL, "/new", &attr)) &&
           APR_STATUS_IS_ENOENT(vfs_lstat(fs, NULL, "/safe/new", &attr));
}

static void use_files(vfs_t *fs)
{
    const uint32_t flags = VFS_O_READ | VFS_O_WRITE;
    size_t n;
    vfs_file_t *a = NULL, *b = NULL;
    (void)vfs_open(&a, fs, NULL, "/safe/a", flags, 0, NULL, NULL);
    (void)vfs_open(&b, fs, NULL, "/safe/b", VFS_O_WRITE | VFS_O_APPEND, 0, NULL, NULL);
    if (a != NULL && b != NULL) {
        (void)vfs_write_at(a, NULL, "overwritten", 11, 3, &n, NULL);
        (void)vfs_write_at(b, NULL, "appended", 8, 0, &n, NULL);
        (void)vfs_copy_range(a, NULL, 0, b, 2, 4, &n);
        (void)vfs_allocate(a, NULL, VFS_ALLOC_PUNCH_HOLE | VFS_ALLOC_KEEP_SIZE, 1, 3);
        (void)vfs_ftruncate(a, NULL, 5);
        (void)vfs_fchmod(a, NULL, 0600);
        (void)vfs_fchown(a, NULL, 1, 1);
        (void)vfs_futimens(a, NULL, 1, 1);
        (void)vfs_fsetxattr(a, NULL, "user.k", "changed", 7, 0);
        (void)vfs_fremovexattr(a, NULL, "user.k");
    }
    if (a != NULL) (void)vfs_close(a, NULL);
    if (b != NULL) (void)vfs_close(b, NULL);
}

/* Changes of every kind; what fails, fails. Nothing is synced. */
static void use(vfs_t *fs)
{
    vfs_file_t *file;
    use_files(fs);
    (void)vfs_truncate(fs, NULL, "/safe/b", 2);
    (void)vfs_chmod(fs, NULL, "/safe/b", 0600, 0);
    (void)vfs_removexattr(fs, NULL, "/safe/a", "user.k", 0);
    (void)vfs_mkdir(fs, NULL, "/new", 0755);
    (void)vfs_mknod(fs, NULL, "/safe/new", VFS_TYPE_FIFO, 0644, 0);
    (void)vfs_link(fs, NULL, "/safe/a", "/new/link");
    (void)vfs_rename(fs, NULL, "/safe/a", "/new/a", 0);
    (void)vfs_rename(fs, NULL, "/safe/b", "/new/a", 0);
    (void)vfs_rename(fs, NULL, "/safe/d", "/new/d", 0);
    (void)vfs_mkdir(fs, NULL, "/safe/d", 0755);
    (void)vfs_rename(fs, NULL, "/safe/d", "/new/d", 0);
    (void)vfs_unlink(fs, NULL, "/safe/l");
    (void)vfs_unlink(fs, NULL, "/new/link");
    (void)vfs_rmdir(fs, NULL, "/new/d");
    const uint32_t flags = VFS_O_WRITE | VFS_O_CREATE | VFS_O_TRUNC;
    if (vfs_open(&file, fs, NULL, "/new/a", flags, 0644, NULL, NULL) == APR_SUCCESS)
        (void)vfs_close(file, NULL);
}

/* Runs after which more was there than was synced: the shim could not see what it had made. */
static int given_up;

static uint64_t run_with_fault(apr_pool_t *pool, uint64_t n, vfs_fault_e what, vfs_crash_e how)
{
    vfs_t *lower = test_mem(pool), *fault, *fs;
    cr_assert_eq(vfs_fault_create(&fault, lower, n, pool), APR_SUCCESS);
    cr_assert_eq(vfs_crash_create(&fs, fault, pool), APR_SUCCESS);
    make_durable(fs);
    vfs_fault_t broken = {.what = what, .nth = n, .times = 1};
    cr_assert_eq(vfs_fault_add(fault, &broken), APR_SUCCESS);
    use(fs);
    uint64_t injected = vfs_fault_injected(fault, NULL);
    vfs_fault_clear(fault);
    cr_assert_eq(vfs_crash_now(fs, how, n, 3), APR_SUCCESS, "n = %d", (int)n);
    vfs_crash_restart(fs);
    if (how == VFS_CRASH_DROP_UNSYNCED) given_up += !is_durable(fs, pool);
    vfs_attr_t attr;
    cr_assert(APR_STATUS_IS_ENOENT(vfs_lstat(lower, NULL, "/.vfs-crash", &attr)));
    cr_assert_eq(vfs_stat(fs, NULL, "/safe", &attr), APR_SUCCESS);
    vfs_destroy_stack(fs);
    return injected;
}

Test(shims_crash_errors, what_was_durable_survives_any_single_error_below)
{
    apr_pool_t *pool = test_pool();
    uint64_t n = 1;
    while (run_with_fault(pool, n, VFS_FAULT_ERROR, VFS_CRASH_DROP_UNSYNCED) > 0)
        n++;
    cr_assert(n > 100, "%d calls below", (int)n);
    cr_assert(given_up <= 4, "%d: mkdir twice, mknod and link", given_up);
    apr_pool_destroy(pool);
}

Test(shims_crash_errors, any_survivor_can_be_reached_after_an_error_below)
{
    apr_pool_t *pool = test_pool();
    for (uint64_t n = 1; run_with_fault(pool, n, VFS_FAULT_ERROR, VFS_CRASH_RANDOM) > 0; n++)
        (void)run_with_fault(pool, n, VFS_FAULT_ERROR, VFS_CRASH_TEAR_LAST);
    apr_pool_destroy(pool);
}

Test(shims_crash_errors, a_loss_of_power_that_fails_says_so)
{
    apr_pool_t *pool = test_pool();
    unsigned told = 0;
    for (uint64_t n = 1, injected = 1; injected > 0; n++) {
        vfs_t *lower = test_mem(pool), *fault, *fs;
        cr_assert_eq(vfs_fault_create(&fault, lower, n, pool), APR_SUCCESS);
        cr_assert_eq(vfs_crash_create(&fs, fault, pool), APR_SUCCESS);
        make_durable(fs);
        use(fs);
        vfs_fault_t broken = {.status = VFS_ELIMIT, .nth = n, .times = 1};
        cr_assert_eq(vfs_fault_add(fault, &broken), APR_SUCCESS);
        apr_status_t status = vfs_crash_now(fs, VFS_CRASH_DROP_UNSYNCED, 0, 0);
        cr_assert(status == APR_SUCCESS || status == VFS_ELIMIT, "%d", status);
        told += status == VFS_ELIMIT;
        injected = vfs_fault_injected(fault, NULL);
        vfs_fault_clear(fault);
        vfs_crash_restart(fs);
        vfs_destroy_stack(fs);
    }
    cr_assert(told > 20);
    apr_pool_destroy(pool);
}

Test(shims_crash_errors, a_lower_without_links_is_refused)
{
    apr_pool_t *pool = test_pool();
    vfs_t *lower = test_mem(pool), *fs;
    lower->caps.bits &= ~VFS_CAP_HARDLINK;
    cr_assert_eq(vfs_crash_create(&fs, lower, pool), APR_EINVAL);
    cr_assert_eq(vfs_crash_now(lower, VFS_CRASH_KEEP_ALL, 0, 0), APR_EINVAL);
    vfs_destroy(lower);
    apr_pool_destroy(pool);
}

enum { THREADS = 4 };

typedef struct worker_t {
    vfs_t *fs;
    int number;
    int syncs; /* values up to it were synced */
    int wrote;
    pthread_t thread;
} worker_t;

/* Write a counter into a file of its own, and sync it, until power goes. */
static void *work(void *baton)
{
    worker_t *w = baton;
    char path[16];
    size_t n;
    vfs_file_t *file;
    snprintf(path, sizeof(path), "/w%d", w->number);
    if (vfs_open(&file, w->fs, NULL, path, VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE, 0644, NULL,
                 NULL) != APR_SUCCESS)
        return NULL;
    for (int i = 1;; i++) {
        w->wrote = i;
        if (vfs_write_at(file, NULL, &i, sizeof(i), 0, &n, NULL) != APR_SUCCESS) break;
        int seen = 0;
        apr_status_t status = vfs_read_at(file, NULL, &seen, sizeof(seen), 0, &n);
        cr_assert(status == VFS_EOFFLINE || seen == i);
        if (i % 3 != 0) continue;
        if (vfs_sync(file, NULL, VFS_SYNC_ALL) != APR_SUCCESS) break;
        w->syncs = i;
    }
    vfs_close(file, NULL);
    return NULL;
}

Test(shims_crash_errors, what_any_thread_synced_before_power_went_is_there)
{
    apr_pool_t *pool = test_pool();
    for (uint64_t n = 1; n < 400; n += 13) {
        worker_t workers[THREADS];
        vfs_t *lower = test_mem(pool), *fs;
        cr_assert_eq(vfs_crash_create(&fs, lower, pool), APR_SUCCESS);
        vfs_crash_at(fs, n);
        for (int i = 0; i < THREADS; i++) {
            workers[i] = (worker_t){.fs = fs, .number = i};
            cr_assert_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
        }
        for (int i = 0; i < THREADS; i++)
            pthread_join(workers[i].thread, NULL);
        cr_assert_eq(vfs_crash_now(fs, VFS_CRASH_RANDOM, n, 0), APR_SUCCESS);
        vfs_crash_restart(fs);
        for (int i = 0; i < THREADS; i++) {
            char path[16];
            int value = 0;
            size_t got = 0;
            snprintf(path, sizeof(path), "/w%d", i);
            (void)vfs_get(fs, NULL, path, &value, sizeof(value), &got, NULL, NULL);
            cr_assert(value >= workers[i].syncs && value <= workers[i].wrote, "%d: %d not in %d-%d",
                      (int)n, value, workers[i].syncs, workers[i].wrote);
        }
        vfs_destroy_stack(fs);
    }
    apr_pool_destroy(pool);
}
