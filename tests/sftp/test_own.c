/*
 * test_own.c - a connection that ends behind a change of ours: the handle goes on with its file, as
 * that change left it or can have left it, and with no other.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/sftp/support_rig.h"

#define WRITE 6
#define FSETSTAT 10
#define OLD_S 1500000000

static rig_t rig;

static vfs_file_t *opened(vfs_t *fs)
{
    vfs_file_t *file = NULL;
    cr_assert_eq(vfs_open(&file, fs, NULL, "/big", VFS_O_READ | VFS_O_WRITE, 0, NULL, NULL),
                 APR_SUCCESS);
    return file;
}

/* Long ago, so that each change of ours is seen in its time. */
static void age(void)
{
    char path[96];
    const struct timespec times[2] = {{OLD_S, 0}, {OLD_S, 0}};
    snprintf(path, sizeof(path), "%s/big", rig.root);
    cr_assert_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

static vfs_t *start(const char *how, int which)
{
    rig_start(&rig, how, which, RIG_LATER);
    age();
    return rig_fs(&rig, 0, "connections=1");
}

static void finish(vfs_t *fs)
{
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    rig_stop(&rig);
}

/* The connection ends; is it the same file behind it? */
static apr_status_t again(vfs_file_t *file)
{
    vfs_attr_t attr;
    rig_cut(&rig);
    apr_status_t status = vfs_fstat(file, NULL, &attr);
    cr_assert(rig_was_cut(&rig));
    return status;
}

/* ---- changes that were answered */

static void change(vfs_t *fs, vfs_file_t *file, int what)
{
    size_t n = 0;
    char part[100] = "x";
    vfs_file_t *other = NULL;
    switch (what) {
    case 0:
        cr_expect_eq(vfs_write_at(file, NULL, part, 100, RIG_BYTES, &n, NULL), APR_SUCCESS);
        break;
    case 1:
        cr_expect_eq(vfs_ftruncate(file, NULL, 10), APR_SUCCESS);
        break;
    case 2:
        cr_expect_eq(vfs_futimens(file, NULL, VFS_TIME_OMIT, 1234567890000000000), APR_SUCCESS);
        break;
    case 3:
        cr_expect_eq(vfs_truncate(fs, NULL, "/big", 20), APR_SUCCESS);
        break;
    case 4:
        cr_expect_eq(vfs_utimens(fs, NULL, "/big", 0, 1234567890000000000, 0), APR_SUCCESS);
        break;
    default: /* by another handle of the name */
        other = opened(fs);
        cr_expect_eq(vfs_ftruncate(other, NULL, 30), APR_SUCCESS);
        cr_expect_eq(vfs_close(other, NULL), APR_SUCCESS);
    }
}

Test(sftp_own, a_change_of_ours_makes_no_other_file)
{
    for (int what = 0; what < 6; what++) {
        vfs_t *fs = start("silent", 0);
        vfs_file_t *file = opened(fs);
        change(fs, file, what);
        cr_expect_eq(again(file), APR_SUCCESS, "change %d", what);
        cr_expect_eq(vfs_close(file, NULL), APR_SUCCESS);
        finish(fs);
    }
}

Test(sftp_own, a_write_that_failed_half_way_makes_no_other_file)
{
    size_t n = 0;
    vfs_t *fs = start("fail", WRITE);
    vfs_file_t *file = opened(fs);
    rig_again(&rig);
    cr_expect_eq(vfs_write_at(file, NULL, rig.bytes, RIG_BYTES, 500000, &n, NULL),
                 APR_FROM_OS_ERROR(EIO));
    cr_expect_eq(n, 0);
    cr_expect_eq(again(file), APR_SUCCESS);
    cr_expect_eq(again(file), APR_SUCCESS, "nothing is left in doubt");
    cr_expect_eq(vfs_close(file, NULL), APR_SUCCESS);
    finish(fs);
}

/* ---- changes that nobody answered */

/* Somebody puts another file there. */
static void replace(size_t len, time_t mtime)
{
    char from[96], to[96];
    const struct timespec times[2] = {{mtime, 0}, {mtime, 0}};
    rig_put(&rig, "new", rig.bytes, 1);
    snprintf(from, sizeof(from), "%s/new", rig.root);
    snprintf(to, sizeof(to), "%s/big", rig.root);
    cr_assert_eq(truncate(from, (off_t)len), 0);
    cr_assert_eq(utimensat(AT_FDCWD, from, times, 0), 0);
    cr_assert_eq(rename(from, to), 0);
}

Test(sftp_own, what_may_have_been_done_is_the_same_file_and_no_other_is)
{
    static const struct {
        size_t len; /* 0: nobody does anything */
        time_t mtime;
        apr_status_t want;
    } rows[] = {{0, 0, APR_SUCCESS},
                {RIG_BYTES + 101, OLD_S + 9, VFS_ESTALE},
                {RIG_BYTES - 1, OLD_S + 9, VFS_ESTALE},
                {RIG_BYTES + 50, OLD_S - 9, VFS_ESTALE}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t n = 0;
        char part[100] = "x";
        vfs_t *fs = start("silent", WRITE);
        vfs_file_t *file = opened(fs), *other = opened(fs);
        vfs_ctx_t ctx = VFS_CTX_INIT;
        rig_again(&rig);
        while (access(rig.flag, F_OK) == 0) { /* until it was sent, and not answered */
            ctx.deadline = apr_time_now() + 200000;
            cr_assert_eq(vfs_write_at(file, &ctx, part, 100, RIG_BYTES, &n, NULL), APR_TIMEUP);
        }
        if (rows[i].len != 0) replace(rows[i].len, rows[i].mtime);
        cr_expect_eq(again(file), rows[i].want, "row %zu", i);
        cr_expect_eq(again(other), rows[i].want, "row %zu, by another handle of the name", i);
        (void)vfs_close(file, NULL);
        (void)vfs_close(other, NULL);
        finish(fs);
    }
}

/* ---- changes of others */

Test(sftp_own, what_others_wrote_since_a_read_is_read_whole)
{
    static char buf[RIG_BYTES];
    size_t n = 0;
    vfs_t *fs = start("silent", 0);
    vfs_file_t *file = opened(fs);
    for (int i = 0; i < 4; i++) { /* of another time; of another size, then of that */
        const size_t len = RIG_BYTES - (i > 1 ? 500000 : 0);
        if (i > 0) memset(rig.bytes, 'o' + i, 1000);
        if (i > 0) rig_put(&rig, "big", rig.bytes, len);
        cr_assert_eq(vfs_read_at(file, NULL, buf, RIG_BYTES, 0, &n), APR_SUCCESS);
        cr_expect_eq(n, len);
        cr_expect_eq(memcmp(buf, rig.bytes, n), 0, "write %d", i);
    }
    cr_expect_eq(vfs_close(file, NULL), APR_SUCCESS);
    finish(fs);
}
