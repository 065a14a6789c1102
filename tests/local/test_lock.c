/*
 * test_lock.c - advisory locks: between handles, between owners, with waiting, deadlines and
 * cancellation.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/local/support_box.h"

TestSuite(local_lock, .init = box_open, .fini = box_close);

static vfs_file_t *open_rw(void)
{
    vfs_file_t *file;
    uint32_t flags = VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE;
    cr_assert_eq(vfs_open(&file, box.fs, NULL, "/f", flags, 0644, NULL, NULL), APR_SUCCESS);
    return file;
}

static apr_status_t lock_of(vfs_file_t *file, vfs_lock_e type, uint32_t flags, uint64_t owner,
                            apr_off_t start, apr_off_t len)
{
    vfs_lock_t lock = {type, flags, start, len, owner, 0};
    return vfs_lock(file, NULL, &lock);
}

Test(local_lock, ranges_of_two_handles_conflict_where_they_overlap)
{
    vfs_file_t *a = open_rw(), *b = open_rw();
    vfs_lock_t test = {VFS_LOCK_WRITE, VFS_LOCK_TEST, 15, 1, 0, 0};
    cr_expect_eq(lock_of(a, VFS_LOCK_WRITE, 0, 0, 10, 10), APR_SUCCESS);
    cr_expect_eq(lock_of(b, VFS_LOCK_WRITE, 0, 0, 19, 1), APR_EAGAIN);
    cr_expect_eq(lock_of(b, VFS_LOCK_READ, 0, 0, 0, 0), APR_EAGAIN);
    cr_expect_eq(lock_of(b, VFS_LOCK_WRITE, 0, 0, 20, 0), APR_SUCCESS);
    cr_assert_eq(vfs_lock(b, NULL, &test), APR_SUCCESS);
    cr_expect_eq(test.type, VFS_LOCK_WRITE);
    cr_expect_eq(test.start, 10);
    cr_expect_eq(test.len, 10);
    cr_expect_eq(lock_of(a, VFS_LOCK_UNLOCK, 0, 0, 0, 0), APR_SUCCESS);
    test = (vfs_lock_t){VFS_LOCK_READ, VFS_LOCK_TEST, 15, 1, 0, 0};
    cr_assert_eq(vfs_lock(b, NULL, &test), APR_SUCCESS);
    cr_expect_eq(test.type, VFS_LOCK_UNLOCK);
    cr_expect_eq(lock_of(a, VFS_LOCK_READ, 0, 0, 0, 10), APR_SUCCESS);
    cr_expect_eq(lock_of(b, VFS_LOCK_READ, 0, 0, 0, 10), APR_SUCCESS);
    test = (vfs_lock_t){VFS_LOCK_WRITE, VFS_LOCK_TEST, 0, 1, 0, 0};
    cr_assert_eq(vfs_lock(b, NULL, &test), APR_SUCCESS);
    cr_expect_eq(test.type, VFS_LOCK_READ);
    cr_expect_eq(lock_of(b, VFS_LOCK_WRITE, 0, 0, 0, 10), APR_EAGAIN);
    cr_assert_eq(vfs_close(a, NULL), APR_SUCCESS);
    cr_expect_eq(lock_of(b, VFS_LOCK_WRITE, 0, 0, 0, 10), APR_SUCCESS, "close drops them");
    cr_assert_eq(vfs_close(b, NULL), APR_SUCCESS);
}

Test(local_lock, owners_on_one_handle_conflict_and_one_owner_never_with_itself)
{
    vfs_file_t *a = open_rw(), *b = open_rw();
    cr_expect_eq(lock_of(a, VFS_LOCK_WRITE, 0, 1, 0, 10), APR_SUCCESS);
    cr_expect_eq(lock_of(a, VFS_LOCK_WRITE, 0, 2, 0, 10), APR_EAGAIN);
    cr_expect_eq(lock_of(a, VFS_LOCK_WRITE, 0, 0, 0, 10), APR_EAGAIN);
    cr_expect_eq(lock_of(a, VFS_LOCK_READ, 0, 1, 5, 10), APR_SUCCESS);
    cr_expect_eq(lock_of(b, VFS_LOCK_WRITE, 0, 1, 0, 20), APR_SUCCESS, "the same owner");
    cr_expect_eq(lock_of(b, VFS_LOCK_WRITE, 0, 2, 30, 1), APR_SUCCESS);
    cr_expect_eq(lock_of(a, VFS_LOCK_WRITE, 0, 3, 30, 1), APR_EAGAIN);
    cr_assert_eq(vfs_close(b, NULL), APR_SUCCESS);
    cr_expect_eq(lock_of(a, VFS_LOCK_WRITE, 0, 3, 0, 0), APR_SUCCESS, "close drops its owners'");
    cr_expect_eq(lock_of(a, VFS_LOCK_WRITE, 0, 2, 0, 0), APR_EAGAIN);
    cr_expect_eq(lock_of(a, VFS_LOCK_UNLOCK, 0, 3, 0, 0), APR_SUCCESS);
    cr_expect_eq(lock_of(a, VFS_LOCK_WRITE, 0, 2, 0, 0), APR_SUCCESS);
    cr_assert_eq(vfs_close(a, NULL), APR_SUCCESS);
}

Test(local_lock, an_owner_locks_two_files_apart)
{
    vfs_file_t *a = open_rw(), *b;
    cr_assert_eq(vfs_open(&b, box.fs, NULL, "/g", VFS_O_WRITE | VFS_O_CREATE, 0200, NULL, NULL),
                 APR_SUCCESS);
    cr_expect_eq(lock_of(a, VFS_LOCK_WRITE, 0, 1, 0, 10), APR_SUCCESS);
    cr_expect_eq(lock_of(b, VFS_LOCK_WRITE, 0, 2, 0, 10), APR_SUCCESS);
    cr_expect_eq(lock_of(b, VFS_LOCK_READ, 0, 2, 0, 10), APR_EBADF);
    cr_assert_eq(vfs_close(a, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_close(b, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_open(&b, box.fs, NULL, "/", VFS_O_READ | VFS_O_DIRECTORY, 0, NULL, NULL),
                 APR_SUCCESS);
    cr_expect_eq(lock_of(b, VFS_LOCK_READ, 0, 2, 0, 10), APR_SUCCESS, "read locks on a directory");
    cr_assert_eq(vfs_close(b, NULL), APR_SUCCESS);
}

Test(local_lock, whole_file_locks_belong_to_the_handle)
{
    vfs_file_t *a = open_rw(), *b = open_rw();
    uint32_t whole = VFS_LOCK_WHOLE;
    cr_expect_eq(lock_of(a, VFS_LOCK_READ, whole, 0, 0, 0), APR_SUCCESS);
    cr_expect_eq(lock_of(b, VFS_LOCK_READ, whole, 7, 0, 0), APR_SUCCESS);
    cr_expect_eq(lock_of(a, VFS_LOCK_WRITE, whole, 0, 0, 0), APR_EAGAIN);
    cr_expect_eq(lock_of(b, VFS_LOCK_UNLOCK, whole, 0, 0, 0), APR_SUCCESS);
    cr_expect_eq(lock_of(a, VFS_LOCK_WRITE, whole, 0, 0, 0), APR_SUCCESS);
    int fd = open(os("/f"), O_RDONLY);
    cr_expect_eq(flock(fd, LOCK_SH | LOCK_NB), -1, "other programs see it");
    close(fd);
    cr_expect_eq(lock_of(a, VFS_LOCK_WRITE, whole | VFS_LOCK_TEST, 0, 0, 0), APR_ENOTIMPL);
    cr_assert_eq(vfs_close(a, NULL), APR_SUCCESS);
    cr_expect_eq(lock_of(b, VFS_LOCK_WRITE, whole, 0, 0, 0), APR_SUCCESS);
    cr_assert_eq(vfs_close(b, NULL), APR_SUCCESS);
}

Test(local_lock, waiting_ends_at_the_deadline_or_when_cancelled)
{
    vfs_file_t *a = open_rw(), *b = open_rw();
    vfs_lock_t lock = {VFS_LOCK_WRITE, VFS_LOCK_WAIT, 0, 0, 0, 0};
    vfs_ctx_t ctx = VFS_CTX_INIT;
    vfs_cancel_t *cancel;
    cr_assert_eq(lock_of(a, VFS_LOCK_WRITE, 0, 0, 0, 0), APR_SUCCESS);
    apr_time_t begin = apr_time_now();
    ctx.deadline = begin + 60000;
    cr_expect_eq(vfs_lock(b, &ctx, &lock), APR_TIMEUP);
    cr_expect_geq(apr_time_now() - begin, 60000);
    lock.flags = VFS_LOCK_WAIT | VFS_LOCK_WHOLE;
    cr_assert_eq(lock_of(a, VFS_LOCK_WRITE, VFS_LOCK_WHOLE, 0, 0, 0), APR_SUCCESS);
    ctx.deadline = apr_time_now() + 20000;
    cr_expect_eq(vfs_lock(b, &ctx, &lock), APR_TIMEUP);
    cr_assert_eq(vfs_cancel_create(&cancel, box.pool), APR_SUCCESS);
    ctx.deadline = 0;
    ctx.cancel = cancel;
    vfs_cancel_raise(cancel);
    cr_expect_eq(vfs_lock(b, &ctx, &lock), VFS_ECANCELED);
    cr_assert_eq(vfs_close(a, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_close(b, NULL), APR_SUCCESS);
}

static void *unlock_later(void *baton)
{
    usleep(50000);
    cr_expect_eq(lock_of(baton, VFS_LOCK_UNLOCK, 0, 0, 0, 0), APR_SUCCESS);
    return NULL;
}

Test(local_lock, a_waiter_gets_the_lock_when_it_is_free)
{
    pthread_t thread;
    vfs_file_t *a = open_rw(), *b = open_rw();
    vfs_ctx_t ctx = VFS_CTX_INIT;
    const vfs_ctx_t *contexts[] = {NULL, &ctx};
    ctx.deadline = apr_time_now() + apr_time_from_sec(300);
    for (int i = 0; i < 2; i++) {
        vfs_lock_t lock = {VFS_LOCK_WRITE, VFS_LOCK_WAIT, 0, 0, 9, 0};
        cr_assert_eq(lock_of(a, VFS_LOCK_WRITE, 0, 0, 0, 0), APR_SUCCESS);
        cr_assert_eq(pthread_create(&thread, NULL, unlock_later, a), 0);
        cr_expect_eq(vfs_lock(b, contexts[i], &lock), APR_SUCCESS);
        cr_assert_eq(pthread_join(thread, NULL), 0);
        cr_expect_eq(lock_of(b, VFS_LOCK_UNLOCK, 0, 9, 0, 0), APR_SUCCESS);
    }
    cr_assert_eq(vfs_close(a, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_close(b, NULL), APR_SUCCESS);
}

Test(local_lock, the_process_in_the_way_is_named)
{
    int ready[2], done[2];
    char byte = 0;
    vfs_file_t *a = open_rw();
    vfs_lock_t test = {VFS_LOCK_WRITE, VFS_LOCK_TEST, 0, 0, 0, 0};
    cr_assert_eq(pipe(ready) | pipe(done), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct flock os_lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 3, .l_len = 4};
        int fd = open(os("/f"), O_RDWR);
        byte = fcntl(fd, F_SETLK, &os_lock) == 0;
        if (write(ready[1], &byte, 1) != 1 || read(done[0], &byte, 1) < 0) _exit(1);
        _exit(0);
    }
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    cr_assert_eq(byte, 1);
    cr_assert_eq(vfs_lock(a, NULL, &test), APR_SUCCESS);
    cr_expect_eq(test.type, VFS_LOCK_WRITE);
    cr_expect_eq(test.start, 3);
    cr_expect_eq(test.len, 4);
    cr_expect_eq(test.pid, pid);
    cr_assert_eq(write(done[1], &byte, 1), 1);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    cr_assert_eq(vfs_close(a, NULL), APR_SUCCESS);
}
