/*
 * tier: medium
 * test_faults.c - a connection that is slow, breaks, stalls or lies, and replies that are lost: a
 * fault that passes ends in right bytes, one that lasts in a clear error; what may have been done
 * is not done again.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/remote/support_server.h"
#include "tests/sftp/support_rig.h"

static rig_t rig;
static proxy_t *proxy;
static int port;

static vfs_t *through(fault_e fault, uint64_t amount, unsigned times, const char *more)
{
    proxy = proxy_start(rig.sshd.port, fault, amount, times, &port);
    return rig_fs(&rig, port, more);
}

static void finish(vfs_t *fs)
{
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    proxy_stop(proxy);
}

typedef struct row_t {
    fault_e fault;
    uint64_t amount;
} row_t;

Test(sftp_faults, a_fault_that_passes_ends_in_right_bytes)
{
    /* at each point of the greeting, and in the bytes of the file */
    static const uint64_t at[] = {0,    10,   100,  700,  1200, 1700,  2000,   2200,
                                  2400, 2600, 2800, 3200, 4000, 40000, 300000, 900000};
    static const fault_e faults[] = {FAULT_RESET, FAULT_HALF_CLOSE, FAULT_CORRUPT};
    rig_start(&rig, NULL, 0, 0);
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        for (size_t k = 0; k < 3; k++) {
            vfs_t *fs =
                through(faults[k], at[i], 2, "probe=no&stall_timeout=2s&connect_timeout=5s");
            apr_status_t status = rig_read_big(&rig, fs);
            /* a spoilt greeting can look like a key that has changed, or no SSH: that is said */
            int greeting = faults[k] == FAULT_CORRUPT && at[i] < 4000;
            cr_expect(status == APR_SUCCESS || (greeting && status != VFS_ESTALE),
                      "fault %d at %d: %d", faults[k], (int)at[i], status);
            finish(fs);
        }
    }
    rig_stop(&rig);
}

Test(sftp_faults, a_slow_connection_is_waited_for)
{
    static const row_t rows[] = {
        {FAULT_NONE, 0}, {FAULT_DELAY, 1}, {FAULT_SLOW, 8000}, {FAULT_SLOW_UP, 500}};
    rig_start(&rig, NULL, 0, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        vfs_t *fs = through(rows[i].fault, rows[i].amount, 0, "");
        cr_expect_eq(rig_read_big(&rig, fs), APR_SUCCESS, "%zu", i);
        cr_expect_eq(proxy_connections(proxy), 1);
        finish(fs);
    }
    rig_stop(&rig);
}

Test(sftp_faults, a_fault_that_lasts_is_offline_and_then_at_once)
{
    vfs_attr_t attr;
    rig_start(&rig, NULL, 0, 0);
    vfs_t *fs = through(FAULT_RESET, 100, 0, "probe=no&retries=1");
    cr_expect_eq(rig_read_big(&rig, fs), VFS_EOFFLINE);
    cr_expect_eq(proxy_connections(proxy), 2, "it was tried again");
    for (int i = 0; i < 6; i++)
        cr_expect_eq(vfs_stat(fs, NULL, "/big", &attr), VFS_EOFFLINE);
    unsigned before = proxy_connections(proxy);
    cr_expect_leq(before, 8u, "after five failures nobody asks");
    finish(fs);
    rig_stop(&rig);
}

Test(sftp_faults, a_server_that_stalls_is_given_up)
{
    rig_start(&rig, NULL, 0, 0);
    vfs_t *fs = through(FAULT_STALL, 100000, 0, "retries=1&stall_timeout=100ms");
    cr_expect_eq(rig_read_big(&rig, fs), VFS_EOFFLINE);
    finish(fs);
    fs = through(FAULT_STALL, 0, 0, "probe=no&retries=1&connect_timeout=100ms");
    cr_expect_eq(rig_read_big(&rig, fs), VFS_EOFFLINE);
    finish(fs);
    rig_stop(&rig);
}

Test(sftp_faults, a_deadline_and_a_cancel_flag_end_a_call_and_not_the_connection)
{
    char *buf = malloc(RIG_BYTES);
    vfs_file_t *file = NULL;
    vfs_attr_t attr;
    size_t got = 0;
    rig_start(&rig, "silent", 5, 1); /* one reply to a request for bytes is not sent */
    vfs_t *fs = rig_fs(&rig, 0, "connections=1");
    vfs_ctx_t ctx = VFS_CTX_INIT;
    cr_assert_eq(vfs_open(&file, fs, NULL, "/big", VFS_O_READ, 0, NULL, NULL), APR_SUCCESS);
    ctx.deadline = apr_time_now() + 50000;
    cr_expect_eq(vfs_read_at(file, &ctx, buf, RIG_BYTES, 0, &got), APR_TIMEUP);
    cr_expect_eq(got, 0);
    cr_expect_eq(vfs_stat(fs, NULL, "/big", &attr), APR_SUCCESS, "the connection lives");
    rig_again(&rig);
    vfs_cancel_t *cancel;
    cr_assert_eq(vfs_cancel_create(&cancel, rig.pool), APR_SUCCESS);
    ctx.deadline = 0;
    ctx.cancel = cancel;
    vfs_cancel_raise(cancel);
    cr_expect_eq(vfs_read_at(file, &ctx, buf, RIG_BYTES, 0, &got), VFS_ECANCELED);
    (void)unlink(rig.flag);
    cr_expect_eq(vfs_read_at(file, NULL, buf, RIG_BYTES, 0, &got), APR_SUCCESS);
    cr_expect_eq(got, RIG_BYTES);
    cr_expect_eq(memcmp(buf, rig.bytes, RIG_BYTES), 0);
    cr_expect_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    free(buf);
    rig_stop(&rig);
}

/* ---- lost replies */

Test(sftp_faults, a_change_whose_reply_is_lost_is_not_repeated)
{
    rig_start(&rig, "lost", 18, 1); /* FXP_RENAME */
    vfs_t *fs = rig_fs(&rig, 0, "");
    rig_put(&rig, "a", "a", 1);
    cr_expect_eq(vfs_rename(fs, NULL, "/a", "/b", VFS_RENAME_NOREPLACE), APR_FROM_OS_ERROR(EIO));
    cr_expect(rig_has(&rig, "b"), "it was done, and nobody heard of it");
    cr_expect(!rig_has(&rig, "a"));
    cr_expect_eq(vfs_rename(fs, NULL, "/b", "/c", VFS_RENAME_NOREPLACE), APR_SUCCESS);
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    rig_stop(&rig);
    static const int requests[] = {13, 14, 15}; /* REMOVE, MKDIR, RMDIR */
    for (size_t i = 0; i < 3; i++) {
        rig_start(&rig, "lost", requests[i], 1);
        fs = rig_fs(&rig, 0, "");
        rig_put(&rig, "f", "x", 1);
        if (requests[i] == 15) cr_expect_eq(vfs_mkdir(fs, NULL, "/d", 0755), APR_SUCCESS);
        apr_status_t status = requests[i] == 13   ? vfs_unlink(fs, NULL, "/f")
                              : requests[i] == 14 ? vfs_mkdir(fs, NULL, "/d", 0755)
                                                  : vfs_rmdir(fs, NULL, "/d");
        cr_expect_eq(status, APR_FROM_OS_ERROR(EIO), "%d: %d", requests[i], status);
        cr_expect_eq(rig_has(&rig, requests[i] == 13 ? "f" : "d"), requests[i] == 14);
        cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
        rig_stop(&rig);
    }
}

Test(sftp_faults, an_append_whose_reply_is_lost_is_there_once)
{
    vfs_file_t *file = NULL;
    size_t n = 0, len = 0;
    char *text = NULL;
    rig_start(&rig, "lost", 6, 1); /* FXP_WRITE */
    vfs_t *fs = rig_fs(&rig, 0, "");
    rig_put(&rig, "log", "one ", 4);
    cr_assert_eq(vfs_open(&file, fs, NULL, "/log", VFS_O_WRITE | VFS_O_APPEND, 0, NULL, NULL),
                 APR_SUCCESS);
    cr_expect_eq(vfs_write_at(file, NULL, "two ", 4, 0, &n, NULL), APR_FROM_OS_ERROR(EIO));
    cr_expect_eq(vfs_write_at(file, NULL, "three", 5, 0, &n, NULL), APR_SUCCESS);
    cr_expect_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_read_file(&text, &len, fs, NULL, "/log", 0, rig.pool), APR_SUCCESS);
    cr_expect(len == 13 && memcmp(text, "one two three", 13) == 0, "%.*s", (int)len, text);
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    rig_stop(&rig);
}

Test(sftp_faults, a_write_at_an_offset_and_a_read_are_repeated)
{
    vfs_file_t *file = NULL;
    size_t n = 0;
    rig_start(&rig, "lost", 6, 1);
    vfs_t *fs = rig_fs(&rig, 0, "");
    cr_assert_eq(vfs_open(&file, fs, NULL, "/big", VFS_O_READ | VFS_O_WRITE, 0, NULL, NULL),
                 APR_SUCCESS);
    memset(rig.bytes + 1000, 'w', 300000);
    cr_expect_eq(vfs_write_at(file, NULL, rig.bytes + 1000, 300000, 1000, &n, NULL), APR_SUCCESS);
    cr_expect_eq(n, 300000);
    cr_expect_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_expect_eq(rig_read_big(&rig, fs), APR_SUCCESS);
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    rig_stop(&rig);
    rig_start(&rig, "lost", 5, 1); /* FXP_READ */
    fs = rig_fs(&rig, 0, "");
    cr_expect_eq(rig_read_big(&rig, fs), APR_SUCCESS);
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    rig_stop(&rig);
}

Test(sftp_faults, a_handle_lives_through_a_broken_connection_if_its_file_is_the_same)
{
    static const char *const does[] = {"nothing", "rewrites", "removes", "renames by us"};
    for (int what = 0; what < 4; what++) {
        vfs_file_t *file = NULL;
        vfs_attr_t attr;
        char buf[100];
        size_t got = 0;
        rig_start(&rig, "lost", 17,
                  0); /* each FXP_STAT ends the connection; not the probe's: below */
        sshd_stop(&rig.sshd);
        char line[256];
        snprintf(line, sizeof(line), "Subsystem sftp %s lost 8 %s", SPOILER, rig.flag);
        cr_assert(sshd_start(&rig.sshd, line)); /* FXP_FSTAT, once the flag is there */
        vfs_t *fs = rig_fs(&rig, 0, "connections=1");
        cr_assert_eq(vfs_open(&file, fs, NULL, "/big", VFS_O_READ, 0, NULL, NULL), APR_SUCCESS);
        cr_expect_eq(vfs_read_at(file, NULL, buf, 100, 0, &got), APR_SUCCESS);
        if (what == 3) cr_expect_eq(vfs_rename(fs, NULL, "/big", "/other", 0), APR_SUCCESS);
        rig_again(&rig);
        if (what == 1) rig_put(&rig, "big", "shorter", 7);
        if (what == 2) cr_expect_eq(vfs_unlink(fs, NULL, "/big"), APR_SUCCESS);
        apr_status_t status = vfs_fstat(file, NULL, &attr);
        cr_expect_eq(status, what == 1 || what == 2 ? VFS_ESTALE : APR_SUCCESS, "who %s: %d",
                     does[what], status);
        cr_expect(!rig_has(&rig, "flag"));
        status = vfs_read_at(file, NULL, buf, 100, 500, &got);
        cr_expect_eq(status, what == 1 || what == 2 ? VFS_ESTALE : APR_SUCCESS, "who %s: %d",
                     does[what], status);
        if (status == APR_SUCCESS) cr_expect_eq(memcmp(buf, rig.bytes + 500, 100), 0);
        cr_expect_eq(vfs_close(file, NULL), APR_SUCCESS);
        cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
        rig_stop(&rig);
    }
}
