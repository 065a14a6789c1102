/*
 * test_handles.c - handles of the server: each that was opened for us is closed, also where a call
 * ended before it could use it.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/sftp/support_rig.h"

static rig_t rig;

/* One call, with that context. */
static apr_status_t do_call(vfs_t *fs, const vfs_ctx_t *ctx, int what)
{
    char buf[100];
    size_t got = 0;
    vfs_file_t *file = NULL;
    vfs_dir_t *dir = NULL;
    vfs_attr_t attr;
    vfs_validator_t version;
    apr_status_t status;
    switch (what) {
    case 0:
        status = vfs_open(&file, fs, ctx, "/big", VFS_O_READ, 0, NULL, NULL);
        if (status == APR_SUCCESS) (void)vfs_close(file, NULL); /* only counted */
        return status;
    case 1:
        status = vfs_opendir(&dir, fs, ctx, "/", 0);
        if (status == APR_SUCCESS) (void)vfs_closedir(dir);
        return status;
    case 2:
        return vfs_get(fs, ctx, "/big", buf, sizeof(buf), &got, &attr, &version);
    default:
        return vfs_access(fs, ctx, "/big", VFS_ACCESS_READ);
    }
}

Test(sftp_handles, a_call_that_ends_early_leaves_none_behind)
{
    /* OPEN, READ, LSTAT, FSTAT, OPENDIR, READDIR, REALPATH, STAT; what comes late comes for nobody
     */
    static const struct {
        const char *how;
        int which, call;
    } rows[] = {{"silent", 17, 0}, {"silent", 16, 0}, {"late", 3, 0},   {"silent", 12, 1},
                {"silent", 16, 1}, {"late", 11, 1},   {"silent", 5, 2}, {"silent", 8, 2},
                {"silent", 7, 2},  {"late", 3, 2},    {"late", 3, 3}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        vfs_ctx_t ctx = VFS_CTX_INIT;
        vfs_attr_t attr;
        rig_start(&rig, rows[i].how, rows[i].which, RIG_LATER);
        vfs_t *fs = rig_fs(&rig, 0, "connections=1");
        rig_log(&rig);
        rig_again(&rig);
        while (access(rig.flag, F_OK) == 0) { /* until it was sent, and not answered */
            ctx.deadline = apr_time_now() + 200000;
            apr_status_t status = do_call(fs, &ctx, rows[i].call);
            cr_assert(status == APR_TIMEUP || status == APR_SUCCESS, "row %zu: %d", i, status);
        }
        cr_expect_eq(vfs_stat(fs, NULL, "/big", &attr), APR_SUCCESS, "row %zu", i);
        cr_expect_geq(rig_logged(&rig, "open", NULL), 1);
        cr_expect(rig_all_closed(&rig), "row %zu", i);
        cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
        rig_stop(&rig);
    }
}

Test(sftp_handles, a_close_whose_time_is_over_closes)
{
    for (int writes = 0; writes < 2; writes++) {
        vfs_file_t *file = NULL;
        vfs_ctx_t ctx = VFS_CTX_INIT;
        rig_start(&rig, "silent", 0, RIG_LATER);
        vfs_t *fs = rig_fs(&rig, 0, "connections=1");
        rig_log(&rig);
        cr_assert_eq(vfs_open(&file, fs, NULL, "/big", VFS_O_READ | (writes ? VFS_O_WRITE : 0), 0,
                              NULL, NULL),
                     APR_SUCCESS);
        ctx.deadline = apr_time_now() - 1;
        (void)vfs_close(file, &ctx); /* what it says of its time is not the point */
        cr_expect(rig_all_closed(&rig), "writes %d", writes);
        cr_expect_eq(rig_logged(&rig, "close", "/big"), 1);
        cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
        rig_stop(&rig);
    }
}

Test(sftp_handles, a_file_that_was_to_be_opened_again_is_closed)
{
    vfs_file_t *file = NULL;
    vfs_attr_t attr;
    vfs_ctx_t ctx = VFS_CTX_INIT;
    rig_start(&rig, "silent", 8, RIG_LATER); /* FXP_FSTAT, by which it is known */
    vfs_t *fs = rig_fs(&rig, 0, "connections=1");
    cr_assert_eq(vfs_open(&file, fs, NULL, "/big", VFS_O_READ, 0, NULL, NULL), APR_SUCCESS);
    rig_cut(&rig);
    while (!rig_was_cut(&rig)) { /* another call finds the end */
        ctx.deadline = apr_time_now() + 200000;
        apr_status_t status = vfs_stat(fs, &ctx, "/big", &attr);
        cr_assert(status == APR_SUCCESS || status == APR_TIMEUP);
    }
    rig_log(&rig);
    rig_again(&rig);
    while (access(rig.flag, F_OK) == 0) {
        ctx.deadline = apr_time_now() + 1000000;
        cr_assert_eq(vfs_fstat(file, &ctx, &attr), APR_TIMEUP);
    }
    cr_expect_eq(vfs_stat(fs, NULL, "/big", &attr), APR_SUCCESS);
    cr_expect_geq(rig_logged(&rig, "open", "/big"), 1);
    cr_expect(rig_all_closed(&rig));
    cr_expect_eq(vfs_fstat(file, NULL, &attr), APR_SUCCESS);
    cr_expect_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_expect(rig_all_closed(&rig));
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    rig_stop(&rig);
}
