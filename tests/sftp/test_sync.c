/*
 * test_sync.c - what was made durable, and what only seems so: success of a sync means that the
 * server was asked for each name and said yes.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "backends/sftp/sftp.h"
#include "tests/sftp/support_rig.h"

#define EXTENDED 200
#define OPEN 3

static rig_t rig;

static vfs_t *start(const char *how, int which)
{
    rig_start(&rig, how, which, RIG_LATER);
    rig_put(&rig, "f", "x", 1);
    rig_log(&rig);
    return rig_fs(&rig, 0, "retries=0");
}

static void finish(vfs_t *fs)
{
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    rig_stop(&rig);
}

static vfs_file_t *opened(vfs_t *fs, const char *path)
{
    vfs_file_t *file = NULL;
    cr_assert_eq(vfs_open(&file, fs, NULL, path, VFS_O_READ | VFS_O_WRITE, 0, NULL, NULL),
                 APR_SUCCESS);
    return file;
}

static void put(vfs_file_t *file, const char *text)
{
    size_t n = 0;
    cr_assert_eq(vfs_write_at(file, NULL, text, strlen(text), 0, &n, NULL), APR_SUCCESS);
}

/* ---- two syncs at a time */

typedef struct other_t {
    vfs_t *fs;
    vfs_file_t *file; /* NULL: all */
    vfs_cancel_t *cancel;
    apr_status_t status;
} other_t;

static void *sync_other(void *baton)
{
    other_t *o = baton;
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.cancel = o->cancel;
    o->status = o->file != NULL ? vfs_sync(o->file, &ctx, VFS_SYNC_ALL) : vfs_sync_fs(o->fs, &ctx);
    return NULL;
}

static void until_struck(void)
{
    for (int i = 0; i < 6000 && access(rig.flag, F_OK) == 0; i++)
        usleep(10000);
    cr_assert_neq(access(rig.flag, F_OK), 0);
}

Test(sftp_sync, success_does_not_stand_on_a_sync_that_is_under_way)
{
    for (int by_handle = 0; by_handle < 2; by_handle++) {
        pthread_t thread;
        vfs_t *fs = start("silent", EXTENDED);
        vfs_file_t *file = opened(fs, "/f");
        other_t o = {.fs = fs, .file = by_handle ? file : NULL};
        put(file, "abc");
        cr_assert_eq(vfs_cancel_create(&o.cancel, rig.pool), APR_SUCCESS);
        rig_again(&rig);
        cr_assert_eq(pthread_create(&thread, NULL, sync_other, &o), 0);
        until_struck(); /* its answer is held back */
        cr_expect_eq(vfs_sync_fs(fs, NULL), APR_SUCCESS);
        cr_expect_eq(rig_logged(&rig, "fsync", "/f"), 2, "we asked ourselves");
        vfs_cancel_raise(o.cancel);
        cr_assert_eq(pthread_join(thread, NULL), 0);
        cr_expect_eq(o.status, VFS_ECANCELED);
        cr_expect_eq(vfs_close(file, NULL), APR_SUCCESS);
        finish(fs);
    }
}

Test(sftp_sync, what_failed_is_asked_for_again)
{
    vfs_t *fs = start("fail", EXTENDED);
    vfs_file_t *file = opened(fs, "/f");
    put(file, "abc");
    rig_again(&rig);
    cr_expect_eq(vfs_sync_fs(fs, NULL), APR_FROM_OS_ERROR(EIO));
    cr_expect_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_expect_eq(vfs_sync_fs(fs, NULL), APR_SUCCESS);
    cr_expect_eq(rig_logged(&rig, "fsync", "/f"), 2);
    cr_expect_eq(vfs_sync_fs(fs, NULL), APR_SUCCESS);
    cr_expect_eq(rig_logged(&rig, "fsync", "/f"), 2, "it is durable");
    finish(fs);
}

/* ---- names */

Test(sftp_sync, names_below_a_directory_that_moved_are_made_durable_where_they_are)
{
    vfs_t *fs = start("silent", EXTENDED);
    cr_assert_eq(vfs_mkdir(fs, NULL, "/d", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_write_file(fs, NULL, "/d/g", "g", 1, 0644), APR_SUCCESS);
    cr_assert_eq(vfs_rename(fs, NULL, "/d", "/e", 0), APR_SUCCESS);
    cr_expect_eq(vfs_sync_fs(fs, NULL), APR_SUCCESS);
    cr_expect_eq(rig_logged(&rig, "fsync", "/e/g"), 1);
    cr_expect_eq(rig_logged(&rig, "fsync", "/e"), 1);
    finish(fs);
}

Test(sftp_sync, a_file_that_cannot_be_read_is_opened_to_write)
{
    vfs_t *fs = start("deny", OPEN);
    vfs_file_t *file = opened(fs, "/f");
    put(file, "abc");
    cr_expect_eq(vfs_close(file, NULL), APR_SUCCESS);
    rig_again(&rig);
    cr_expect_eq(vfs_sync_fs(fs, NULL), APR_SUCCESS);
    cr_expect_eq(rig_logged(&rig, "fsync", "/f"), 1);
    finish(fs);
    fs = start("+deny", OPEN);
    file = opened(fs, "/f");
    put(file, "abc");
    rig_again(&rig);
    cr_expect_eq(vfs_sync_fs(fs, NULL), APR_EACCES, "neither way: it is not durable");
    cr_expect_eq(vfs_close(file, NULL), APR_SUCCESS);
    finish(fs);
}

Test(sftp_sync, a_name_that_was_forgotten_is_never_called_durable)
{
    char path[64];
    vfs_t *fs = start("+fail", EXTENDED);
    rig_again(&rig);
    for (unsigned i = 0; i <= 65536; i++) { /* one file, under more names than there is room for */
        char *at = path;
        for (unsigned bit = 0; bit < 17; bit++)
            at += sprintf(at, i >> bit & 1 ? "/." : "/");
        strcpy(at, "/f");
        sftp__mark(fs->state, path, 0);
    }
    cr_expect_eq(vfs_sync_fs(fs, NULL), APR_FROM_OS_ERROR(EIO));
    cr_assert_eq(unlink(rig.flag), 0);
    cr_assert_eq(vfs_unlink(fs, NULL, "/f"), APR_SUCCESS); /* what is not there takes no time */
    cr_expect_eq(vfs_sync_fs(fs, NULL), VFS_ELIMIT);
    cr_expect_eq(vfs_sync_fs(fs, NULL), VFS_ELIMIT, "nobody knows the name any more");
    finish(fs);
}
