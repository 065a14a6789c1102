/*
 * test_cursor.c - read, write and seek at the cursor of a handle, alone and in competition.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "support_fake.h"

static apr_pool_t *pool;
static vfs_t *fs;

static void setup(void)
{
    pool = test_pool();
    fs = mem_create(pool);
    put(fs, "/f", "0123456789");
}

static void teardown(void)
{
    cr_assert_eq(vfs_destroy_stack(fs), APR_SUCCESS);
    apr_pool_destroy(pool);
}

static vfs_file_t *open_file(uint32_t flags)
{
    vfs_file_t *file;
    cr_assert_eq(vfs_open(&file, fs, NULL, "/f", flags, 0644, NULL, NULL), APR_SUCCESS);
    return file;
}

static void expect_at(vfs_file_t *file, apr_off_t at)
{
    apr_off_t where;
    cr_assert_eq(vfs_seek(file, NULL, 0, VFS_SEEK_CUR, &where), APR_SUCCESS);
    cr_assert_eq(where, at, "at %ld", (long)where);
}

Test(vfs_cursor, reading_and_writing_move_it_by_what_was_moved, .init = setup, .fini = teardown)
{
    vfs_file_t *file = open_file(VFS_O_READ | VFS_O_WRITE);
    char buf[16] = "";
    size_t n;
    cr_assert_eq(vfs_read(file, NULL, buf, 4, &n), APR_SUCCESS);
    cr_assert_eq(memcmp(buf, "0123", 4), 0);
    cr_assert_eq(vfs_write(file, NULL, "ab", 2, &n), APR_SUCCESS);
    expect_at(file, 6);
    cr_assert_eq(vfs_read(file, NULL, buf, 16, &n), APR_SUCCESS);
    cr_assert_eq(n, 4u);
    expect_at(file, 10);
    cr_assert_eq(vfs_read(file, NULL, buf, 16, &n), APR_SUCCESS);
    cr_assert_eq(n, 0u);
    cr_assert_str_eq(text_of(fs, "/f"), "0123ab6789");
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}

Test(vfs_cursor, a_seek_out_of_range_leaves_it, .init = setup, .fini = teardown)
{
    vfs_file_t *file = open_file(VFS_O_READ);
    apr_off_t where = 0;
    cr_assert_eq(vfs_seek(file, NULL, 7, VFS_SEEK_SET, &where), APR_SUCCESS);
    cr_assert_eq(where, 7);
    cr_assert_eq(vfs_seek(file, NULL, -1, VFS_SEEK_SET, &where), APR_EINVAL);
    cr_assert_eq(vfs_seek(file, NULL, -8, VFS_SEEK_CUR, NULL), APR_EINVAL);
    cr_assert_eq(vfs_seek(file, NULL, -11, VFS_SEEK_END, NULL), APR_EINVAL);
    cr_assert_eq(vfs_seek(file, NULL, INT64_MAX, VFS_SEEK_CUR, NULL), APR_EINVAL);
    cr_assert_eq(vfs_seek(file, NULL, INT64_MIN, VFS_SEEK_CUR, NULL), APR_EINVAL);
    cr_assert_eq(vfs_seek(file, NULL, 0, (vfs_whence_e)9, NULL), APR_EINVAL);
    expect_at(file, 7);
    cr_assert_eq(vfs_seek(file, NULL, -7, VFS_SEEK_CUR, NULL), APR_SUCCESS);
    expect_at(file, 0);
    cr_assert_eq(vfs_seek(file, NULL, -10, VFS_SEEK_END, NULL), APR_SUCCESS);
    expect_at(file, 0);
    cr_assert_eq(vfs_seek(file, NULL, 5, VFS_SEEK_END, &where), APR_SUCCESS);
    cr_assert_eq(where, 15, "behind the end is fine");
    cr_assert_eq(vfs_seek(file, NULL, INT64_MAX, VFS_SEEK_SET, NULL), APR_SUCCESS);
    expect_at(file, INT64_MAX);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}

Test(vfs_cursor, data_and_holes_are_found_and_seek_extent_moves_nothing, .init = setup,
     .fini = teardown)
{
    vfs_file_t *file = open_file(VFS_O_READ | VFS_O_WRITE);
    apr_off_t where;
    cr_assert_eq(vfs_seek(file, NULL, 3, VFS_SEEK_HOLE, &where), APR_SUCCESS);
    cr_assert_eq(where, 10, "the end is a hole");
    expect_at(file, 10);
    cr_assert_eq(vfs_seek_extent(file, NULL, 2, VFS_SEEK_DATA, &where), APR_SUCCESS);
    cr_assert_eq(where, 2);
    expect_at(file, 10);
    cr_assert_eq(vfs_seek(file, NULL, 10, VFS_SEEK_DATA, NULL), VFS_ENODATA);
    expect_at(file, 10);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}

Test(vfs_cursor, an_append_leaves_it_at_the_end_of_what_was_written, .init = setup,
     .fini = teardown)
{
    vfs_file_t *file = open_file(VFS_O_READ | VFS_O_WRITE | VFS_O_APPEND);
    char buf[4];
    size_t n;
    cr_assert_eq(vfs_read(file, NULL, buf, 2, &n), APR_SUCCESS);
    expect_at(file, 2);
    cr_assert_eq(vfs_write(file, NULL, "xyz", 3, &n), APR_SUCCESS);
    expect_at(file, 13);
    cr_assert_eq(vfs_seek(file, NULL, 1, VFS_SEEK_SET, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_write(file, NULL, NULL, 0, &n), APR_SUCCESS);
    expect_at(file, 1);
    cr_assert_str_eq(text_of(fs, "/f"), "0123456789xyz");
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}

static apr_status_t failing_read_at(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                                    apr_off_t off, size_t *got)
{
    (void)file, (void)ctx, (void)buf, (void)off; /* it fails on any */
    *got = len;
    return APR_EGENERAL;
}

static apr_status_t half_write_at(vfs_file_t *file, const vfs_ctx_t *ctx, const void *buf,
                                  size_t len, apr_off_t off, size_t *written,
                                  vfs_validator_t *validator)
{
    apr_status_t status = vfs_pass_write_at(file, ctx, buf, len / 2, off, written, validator);
    return status != APR_SUCCESS ? status : APR_EGENERAL;
}

Test(vfs_cursor, an_error_moves_it_by_what_was_accepted, .init = setup, .fini = teardown)
{
    vfs_ops_t ops = pass_ops();
    size_t n;
    char buf[4];
    ops.read_at = failing_read_at;
    ops.write_at = half_write_at;
    ops.fstat = NULL;
    fs = layer_create(fs, &ops, pool);
    vfs_file_t *file = open_file(VFS_O_READ | VFS_O_WRITE);
    cr_assert_eq(vfs_read(file, NULL, buf, 4, &n), APR_EGENERAL);
    cr_assert_eq(n, 0u);
    expect_at(file, 0);
    cr_assert_eq(vfs_write(file, NULL, "abcd", 4, &n), APR_EGENERAL);
    cr_assert_eq(n, 2u);
    expect_at(file, 2);
    cr_assert_eq(vfs_seek(file, NULL, 0, VFS_SEEK_END, NULL), APR_ENOTIMPL, "what fstat says");
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    file = open_file(VFS_O_WRITE | VFS_O_APPEND);
    cr_assert_eq(vfs_write(file, NULL, "abcd", 4, &n), APR_EGENERAL);
    expect_at(file, 2);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_read(file = open_file(VFS_O_READ), NULL, buf, 4, NULL), APR_EINVAL);
    cr_assert_eq(vfs_write(file, NULL, buf, 4, NULL), APR_EINVAL);
    cr_assert_eq(vfs_write(file, NULL, buf, 4, &n), APR_EBADF);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}

/* ---- competition */

#define RECORD 16
#define RECORDS 4000
#define READERS 4

/* What a reader found wrong. */
static char error[] = "error", torn[] = "torn";

static vfs_file_t *shared;
static atomic_uint seen[RECORDS];

static void *read_records(void *baton)
{
    char record[RECORD + 1] = "";
    size_t n;
    (void)baton; /* all readers are alike */
    for (;;) {
        if (vfs_read(shared, NULL, record, RECORD, &n) != APR_SUCCESS) return error;
        if (n == 0) return NULL;
        if (n != RECORD) return torn;
        atomic_fetch_add_explicit(&seen[atoi(record)], 1, memory_order_relaxed);
    }
}

Test(vfs_cursor, readers_of_one_handle_get_different_bytes, .init = setup, .fini = teardown)
{
    pthread_t threads[READERS];
    char record[RECORD + 1];
    size_t n;
    vfs_file_t *file = open_file(VFS_O_WRITE);
    for (int i = 0; i < RECORDS; i++) {
        snprintf(record, sizeof(record), "%-15d\n", i);
        cr_assert_eq(vfs_write(file, NULL, record, RECORD, &n), APR_SUCCESS);
    }
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    shared = open_file(VFS_O_READ);
    for (int i = 0; i < READERS; i++)
        pthread_create(&threads[i], NULL, read_records, NULL);
    for (int i = 0; i < READERS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        cr_assert_null(wrong, "%s", (char *)wrong);
    }
    for (int i = 0; i < RECORDS; i++)
        cr_assert_eq(seen[i], 1u, "record %d was read %u times", i, seen[i]);
    cr_assert_eq(vfs_close(shared, NULL), APR_SUCCESS);
}

static atomic_int entered, may_go;

static apr_status_t slow_read_at(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                                 apr_off_t off, size_t *got)
{
    atomic_fetch_add(&entered, 1);
    while (!atomic_load(&may_go))
        apr_sleep(1000);
    return vfs_pass_read_at(file, ctx, buf, len, off, got);
}

static void *read_two(void *baton)
{
    size_t n;
    return vfs_read(shared, NULL, baton, 2, &n) == APR_SUCCESS && n == 2 ? NULL : error;
}

Test(vfs_cursor, waiting_for_it_ends_with_the_context, .init = setup, .fini = teardown)
{
    vfs_ops_t ops = pass_ops();
    vfs_ctx_t ctx = VFS_CTX_INIT;
    vfs_cancel_t *cancel;
    pthread_t first, second;
    char buf[8], one[2], two[2];
    size_t n;
    void *wrong;
    ops.read_at = slow_read_at;
    fs = layer_create(fs, &ops, pool);
    shared = open_file(VFS_O_READ);
    pthread_create(&first, NULL, read_two, one);
    while (atomic_load(&entered) == 0)
        apr_sleep(1000);
    ctx.deadline = apr_time_now() + 20000;
    cr_assert_eq(vfs_read(shared, &ctx, buf, 2, &n), APR_TIMEUP);
    cr_assert_eq(vfs_seek(shared, &ctx, 0, VFS_SEEK_SET, NULL), APR_TIMEUP);
    cr_assert_eq(vfs_write(shared, &ctx, buf, 2, &n), APR_TIMEUP);
    ctx.deadline = 0;
    cr_assert_eq(vfs_cancel_create(&cancel, pool), APR_SUCCESS);
    vfs_cancel_raise(cancel);
    ctx.cancel = cancel;
    cr_assert_eq(vfs_read(shared, &ctx, buf, 2, &n), VFS_ECANCELED);
    cr_assert_eq(vfs_read_at(shared, NULL, buf, 0, 0, &n), APR_SUCCESS, "no cursor, no wait");
    pthread_create(&second, NULL, read_two, two);
    apr_sleep(20000);
    cr_assert_eq(atomic_load(&entered), 1, "the second waits for the first");
    atomic_store(&may_go, 1);
    pthread_join(first, &wrong);
    cr_assert_null(wrong);
    pthread_join(second, &wrong);
    cr_assert_null(wrong);
    cr_assert_eq(memcmp(one, "01", 2), 0);
    cr_assert_eq(memcmp(two, "23", 2), 0);
    cr_assert_eq(vfs_close(shared, NULL), APR_SUCCESS);
}
