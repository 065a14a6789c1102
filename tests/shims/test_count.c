/*
 * test_count.c - the count shim counts every op, its errors, its bytes, and what is open or under
 * way.
 */
#include <pthread.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/shims/support_shims.h"

Test(shims_count, every_op_and_every_error_is_counted)
{
    static script_t script;
    static vfs_counts_t counts;
    apr_pool_t *pool = test_pool();
    vfs_t *lower = test_mem(pool), *fs;
    cr_assert_eq(vfs_count_create(&fs, lower, pool), APR_SUCCESS);
    script_run(&script, fs);
    vfs_count_get(fs, &counts);
    uint64_t requests = 0;
    for (unsigned op = 0; op < VFS_OPID_COUNT; op++) {
        const char *name = vfs_op_name((vfs_opid_e)op);
        cr_assert_eq(counts.calls[op], (uint64_t)script.ran[op], "%s", name);
        cr_assert_eq(counts.errors[op], (uint64_t)script.failed[op], "%s", name);
        requests += counts.calls[op];
    }
    cr_assert_eq(counts.errors[VFS_OPID_readdir], 0);
    cr_assert(counts.errors[VFS_OPID_unlink] > 0);
    requests -= counts.calls[VFS_OPID_close] + counts.calls[VFS_OPID_closedir] +
                counts.calls[VFS_OPID_unwatch] + counts.calls[VFS_OPID_seekdir] +
                counts.calls[VFS_OPID_readdir];
    cr_assert_eq(vfs_counts_requests(&counts), requests);
    cr_assert_eq(counts.open_files, 0);
    cr_assert_eq(counts.open_dirs, 0);
    cr_assert_eq(counts.in_flight_max, 1);
    vfs_destroy_stack(fs);
    apr_pool_destroy(pool);
}

Test(shims_count, bytes_are_those_that_moved)
{
    vfs_counts_t counts;
    char buf[100];
    size_t n;
    apr_pool_t *pool = test_pool();
    vfs_t *lower = test_mem(pool), *fs;
    cr_assert_eq(vfs_count_create(&fs, lower, pool), APR_SUCCESS);
    test_put(fs, "/a", "12345");
    vfs_file_t *file = test_open(fs, "/a", VFS_O_READ);
    cr_assert_eq(vfs_read_at(file, NULL, buf, sizeof(buf), 2, &n), APR_SUCCESS);
    vfs_iovec_t iov = {buf, 2};
    cr_assert_eq(vfs_readv_at(file, NULL, &iov, 1, 0, &n), APR_SUCCESS);
    cr_assert_eq(vfs_get(fs, NULL, "/a", buf, sizeof(buf), &n, NULL, NULL), APR_SUCCESS);
    vfs_count_get(fs, &counts);
    cr_assert_eq(counts.bytes_written, 5);
    cr_assert_eq(counts.bytes_read, 3 + 2 + 5);
    cr_assert_eq(counts.open_files, 1);
    vfs_count_reset(fs);
    vfs_count_get(fs, &counts);
    cr_assert_eq(counts.bytes_read, 0);
    cr_assert_eq(counts.calls[VFS_OPID_get], 0);
    cr_assert_eq(counts.open_files, 1, "what is open stays open");
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    vfs_count_get(fs, &counts);
    cr_assert_eq(counts.open_files, 0);
    vfs_destroy_stack(fs);
    apr_pool_destroy(pool);
}

enum { THREADS = 4, CALLS = 2000 };

static void *stat_often(void *baton)
{
    vfs_attr_t attr;
    for (int i = 0; i < CALLS; i++)
        (void)vfs_stat(baton, NULL, "/", &attr);
    return NULL;
}

Test(shims_count, threads_lose_no_count)
{
    vfs_counts_t counts;
    pthread_t threads[THREADS];
    apr_pool_t *pool = test_pool();
    vfs_t *lower = test_mem(pool), *fs;
    cr_assert_eq(vfs_count_create(&fs, lower, pool), APR_SUCCESS);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, stat_often, fs), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    vfs_count_get(fs, &counts);
    cr_assert_eq(counts.calls[VFS_OPID_stat], THREADS * CALLS);
    cr_assert(counts.in_flight_max >= 1 && counts.in_flight_max <= THREADS);
    vfs_destroy_stack(fs);
    apr_pool_destroy(pool);
}

static void *get_once(void *baton)
{
    char byte;
    size_t got;
    (void)vfs_get(baton, NULL, "/", &byte, 1, &got, NULL, NULL);
    return NULL;
}

Test(shims_count, calls_under_way_are_seen_at_their_most)
{
    vfs_counts_t counts;
    pthread_t threads[3];
    apr_pool_t *pool = test_pool();
    vfs_t *lower = test_mem(pool), *fault, *fs;
    cr_assert_eq(vfs_fault_create(&fault, lower, 1, pool), APR_SUCCESS);
    cr_assert_eq(vfs_count_create(&fs, fault, pool), APR_SUCCESS);
    vfs_fault_t block = {.what = VFS_FAULT_BLOCK};
    cr_assert_eq(vfs_fault_add(fault, &block), APR_SUCCESS);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, get_once, fs), 0);
    while (vfs_fault_blocked(fault) < 3)
        apr_sleep(1000);
    vfs_fault_clear(fault);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    vfs_count_get(fs, &counts);
    cr_assert_eq(counts.in_flight_max, 3);
    vfs_destroy_stack(fs);
    apr_pool_destroy(pool);
}
