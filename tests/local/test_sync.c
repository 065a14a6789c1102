/*
 * test_sync.c - syncs of the local backend that failed. The system's calls are ours here: one that
 * fails does so once, as Linux does, and the next one succeeds.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/local/support_box.h"

TestSuite(local_sync, .init = box_open, .fini = box_close);

#define RW (VFS_O_READ | VFS_O_WRITE)
#define EIO_ APR_FROM_OS_ERROR(EIO)

static atomic_int failures; /* of calls to come */

static void (*when_told)(void); /* once, in whom the system tells a failure */

static int sync_or_fail(long call, int fd)
{
    if (atomic_load(&failures) > 0) {
        void (*then)(void) = when_told;
        atomic_fetch_sub(&failures, 1);
        when_told = NULL;
        if (then != NULL) then();
        errno = EIO;
        return -1;
    }
    return (int)syscall(call, fd);
}

int fsync(int fd)
{
    return sync_or_fail(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return sync_or_fail(SYS_fdatasync, fd);
}

int syncfs(int fd)
{
    return sync_or_fail(SYS_syncfs, fd);
}

static void (*after_write)(void); /* once, within the call of the system */

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t off)
{
    void (*then)(void) = after_write;
    ssize_t n = syscall(SYS_pwritev, fd, iov, count, (long)off, 0L);
    after_write = NULL;
    if (then != NULL) then();
    return n;
}

static vfs_file_t *open_ok(const char *path, uint32_t flags)
{
    vfs_file_t *file;
    cr_assert_eq(vfs_open(&file, box.fs, NULL, path, flags, 0644, NULL, NULL), APR_SUCCESS);
    return file;
}

static void write_at(vfs_file_t *file, apr_off_t off, const char *text)
{
    size_t n;
    cr_assert_eq(vfs_write_at(file, NULL, text, strlen(text), off, &n, NULL), APR_SUCCESS);
}

static apr_status_t sync_of(vfs_file_t *file)
{
    return vfs_sync(file, NULL, VFS_SYNC_DATA);
}

/* A file of ten bytes whose sync failed. */
static vfs_file_t *failed(const char *path)
{
    vfs_file_t *file = open_ok(path, RW | VFS_O_CREATE);
    write_at(file, 0, "0123456789");
    atomic_store(&failures, 1);
    cr_assert_eq(sync_of(file), EIO_);
    return file;
}

Test(local_sync, after_a_failure_no_handle_says_that_all_is_safe)
{
    vfs_file_t *file = failed("/f"), *other = open_ok("/f", RW);
    cr_assert_eq(sync_of(file), EIO_);
    cr_assert_eq(vfs_sync(other, NULL, VFS_SYNC_ALL), EIO_);
    cr_assert_eq(vfs_sync_fs(box.fs, NULL), EIO_);
    vfs_close(file, NULL);
    vfs_close(other, NULL);
    other = open_ok("/f", RW);
    cr_assert_eq(sync_of(other), EIO_);
    vfs_close(other, NULL);
}

Test(local_sync, another_file_is_none_of_its_business)
{
    vfs_file_t *file = failed("/f"), *other = open_ok("/g", RW | VFS_O_CREATE);
    write_at(other, 0, "text");
    cr_assert_eq(sync_of(other), APR_SUCCESS);
    vfs_close(file, NULL);
    cr_assert_eq(vfs_unlink(box.fs, NULL, "/f"), APR_SUCCESS);
    file = open_ok("/f", RW | VFS_O_CREATE); /* perhaps of the same number */
    cr_assert_eq(sync_of(file), APR_SUCCESS);
    vfs_close(file, NULL);
    vfs_close(other, NULL);
}

Test(local_sync, what_was_written_again_as_a_whole_is_safe)
{
    vfs_file_t *file = failed("/f"), *other = open_ok("/f", RW);
    write_at(other, 4, "4567");
    cr_assert_eq(sync_of(file), EIO_);
    write_at(file, 0, "0123");
    cr_assert_eq(sync_of(other), EIO_);
    vfs_iovec_t iov[2] = {{(void *)(uintptr_t) "8", 1}, {(void *)(uintptr_t) "9and more", 9}};
    size_t n;
    cr_assert_eq(vfs_writev_at(other, NULL, iov, 2, 8, &n, NULL), APR_SUCCESS);
    cr_assert_eq(sync_of(file), APR_SUCCESS);
    cr_assert_eq(sync_of(other), APR_SUCCESS);
    cr_assert_eq(vfs_sync_fs(box.fs, NULL), APR_SUCCESS);
    vfs_close(file, NULL);
    vfs_close(other, NULL);
}

Test(local_sync, what_was_written_again_before_another_failure_is_not)
{
    vfs_file_t *file = failed("/f");
    write_at(file, 0, "0123456789");
    atomic_store(&failures, 1);
    cr_assert_eq(sync_of(file), EIO_);
    cr_assert_eq(sync_of(file), EIO_);
    write_at(file, 0, "0123456789");
    cr_assert_eq(sync_of(file), APR_SUCCESS);
    vfs_close(file, NULL);
}

Test(local_sync, what_was_cut_away_need_not_be_written_again)
{
    vfs_file_t *file = failed("/f");
    cr_assert_eq(vfs_ftruncate(file, NULL, 4), APR_SUCCESS);
    cr_assert_eq(sync_of(file), EIO_);
    write_at(file, 0, "0123");
    write_at(file, 4, "and more");
    cr_assert_eq(sync_of(file), APR_SUCCESS);
    vfs_close(file, NULL);
    file = failed("/g");
    vfs_close(open_ok("/g", RW | VFS_O_TRUNC), NULL);
    cr_assert_eq(sync_of(file), APR_SUCCESS);
    vfs_close(file, NULL);
}

/* A write with more gaps than are remembered does not count, and loses nothing. */
Test(local_sync, bytes_that_are_written_again_in_any_order_count)
{
    vfs_file_t *file = open_ok("/f", RW | VFS_O_CREATE);
    for (int i = 0; i < 200; i++)
        write_at(file, i, "x");
    atomic_store(&failures, 1);
    cr_assert_eq(sync_of(file), EIO_);
    for (int i = 0; i < 200; i += 2)
        write_at(file, i, "x");
    cr_assert_eq(sync_of(file), EIO_);
    for (int i = 1; i < 200; i += 2)
        write_at(file, i, "x");
    apr_status_t status = sync_of(file);
    cr_assert(status == EIO_, "more than 64 gaps were remembered");
    for (int i = 199; i >= 0; i--)
        write_at(file, i, "x");
    cr_assert_eq(sync_of(file), APR_SUCCESS);
    vfs_close(file, NULL);
}

static pthread_t second;
static sem_t second_done;
static int second_syncs_all;
static apr_status_t second_status;

static void *sync_second(void *baton)
{
    vfs_file_t *file = baton;
    second_status = second_syncs_all ? vfs_sync_fs(box.fs, NULL) : sync_of(file);
    (void)sem_post(&second_done);
    return NULL;
}

static vfs_file_t *shared;

/* The second one is given time to be done before the first knows of its failure. Where the two are
 * one step it cannot be, and the time runs out. */
static void start_second(void)
{
    struct timespec until;
    cr_assert_eq(pthread_create(&second, NULL, sync_second, shared), 0);
    cr_assert_eq(clock_gettime(CLOCK_REALTIME, &until), 0);
    until.tv_sec++;
    (void)sem_timedwait(&second_done, &until);
}

Test(local_sync, of_two_syncs_at_once_both_fail_though_one_is_told)
{
    for (second_syncs_all = 0; second_syncs_all < 2; second_syncs_all++) {
        cr_assert_eq(sem_init(&second_done, 0, 0), 0);
        shared = open_ok(second_syncs_all ? "/g" : "/f", RW | VFS_O_CREATE);
        write_at(shared, 0, "0123456789");
        when_told = start_second;
        atomic_store(&failures, 1);
        cr_expect_eq(sync_of(shared), EIO_);
        cr_assert_eq(pthread_join(second, NULL), 0);
        cr_expect_eq(second_status, EIO_, "a sync of %s", second_syncs_all ? "all" : "the file");
        write_at(shared, 0, "0123456789");
        cr_expect_eq(sync_of(shared), APR_SUCCESS);
        vfs_close(shared, NULL);
        cr_assert_eq(sem_destroy(&second_done), 0);
    }
}

static void make_good_and_fail_again(void)
{
    vfs_file_t *other = open_ok("/f", RW);
    write_at(other, 0, "0123456789");
    cr_assert_eq(sync_of(other), APR_SUCCESS);
    atomic_store(&failures, 1);
    cr_assert_eq(sync_of(other), EIO_);
    vfs_close(other, NULL);
}

Test(local_sync, a_write_that_began_before_a_failure_makes_good_none_of_it)
{
    vfs_file_t *file = failed("/f");
    after_write = make_good_and_fail_again;
    write_at(file, 0, "0123456789");
    cr_assert_null(after_write);
    cr_assert_eq(sync_of(file), EIO_);
    vfs_close(file, NULL);
}

/* As a program rewrites a file in place, when no gap more can be remembered. */
Test(local_sync, a_file_that_is_full_of_gaps_is_made_good_from_its_start)
{
    vfs_file_t *file = open_ok("/f", RW | VFS_O_CREATE);
    for (int i = 0; i < 400; i++)
        write_at(file, i, "x");
    atomic_store(&failures, 1);
    cr_assert_eq(sync_of(file), EIO_);
    for (int i = 3; i < 400; i += 4) /* ranges of three bytes: no write below removes a whole one */
        write_at(file, i, "x");
    for (int i = 0; i < 400; i++)
        write_at(file, i, "x");
    cr_assert_eq(sync_of(file), APR_SUCCESS);
    vfs_close(file, NULL);
}

Test(local_sync, names_of_a_directory_whose_sync_failed_are_never_known_to_be_safe)
{
    cr_assert_eq(vfs_mkdir(box.fs, NULL, "/d", 0755), APR_SUCCESS);
    atomic_store(&failures, 1);
    cr_assert_eq(vfs_sync_dir(box.fs, NULL, "/d"), EIO_);
    cr_assert_eq(vfs_sync_dir(box.fs, NULL, "/d"), EIO_);
    cr_assert_eq(vfs_sync_dir(box.fs, NULL, "/"), APR_SUCCESS);
}

Test(local_sync, a_sync_of_everything_that_failed_fails_again)
{
    atomic_store(&failures, 1);
    cr_assert_eq(vfs_sync_fs(box.fs, NULL), EIO_);
    cr_assert_eq(vfs_sync_fs(box.fs, NULL), EIO_);
    vfs_file_t *file = open_ok("/f", RW | VFS_O_CREATE);
    write_at(file, 0, "text");
    cr_assert_eq(sync_of(file), APR_SUCCESS);
    vfs_close(file, NULL);
}
