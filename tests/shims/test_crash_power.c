/*
 * test_crash_power.c - how the crash shim behaves while power is off, what it hides, and what a
 * change that fails leaves.
 */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/shims/support_shims.h"

typedef struct stand_t {
    apr_pool_t *pool;
    vfs_t *lower;
    vfs_t *fs;
} stand_t;

static stand_t stand_up(void)
{
    stand_t s;
    s.pool = test_pool();
    s.lower = test_mem(s.pool);
    cr_assert_eq(vfs_crash_create(&s.fs, s.lower, s.pool), APR_SUCCESS);
    return s;
}

static void tear_down(stand_t *s)
{
    vfs_destroy(s->fs);
    vfs_attr_t attr;
    cr_assert(APR_STATUS_IS_ENOENT(vfs_lstat(s->lower, NULL, "/.vfs-crash", &attr)));
    vfs_destroy(s->lower);
    apr_pool_destroy(s->pool);
}

static void lose(stand_t *s, vfs_crash_e how)
{
    cr_assert_eq(vfs_crash_now(s->fs, how, 0, 0), APR_SUCCESS);
    vfs_crash_restart(s->fs);
}

#define cr_text(fs, path, expected) cr_assert_str_eq(test_text(fs, path, s.pool), expected)

static int exists(vfs_t *fs, const char *path)
{
    vfs_attr_t attr;
    return vfs_lstat(fs, NULL, path, &attr) == APR_SUCCESS;
}

Test(shims_crash_power, while_power_is_off_every_op_is_offline)
{
    static script_t script;
    stand_t s = stand_up();
    test_put(s.fs, "/a", "x");
    vfs_file_t *file = test_open(s.fs, "/a", VFS_O_READ | VFS_O_WRITE);
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    char buf[4];
    size_t n;
    cr_assert_eq(vfs_opendir(&dir, s.fs, NULL, "/", 0), APR_SUCCESS);
    cr_assert_eq(vfs_crash_now(s.fs, VFS_CRASH_KEEP_ALL, 0, 0), APR_SUCCESS);
    script_run(&script, s.fs);
    for (unsigned op = 0; op < VFS_OPID_COUNT; op++)
        if (script.ran[op] > 0 && op != VFS_OPID_commit)
            cr_assert_eq(script.status[op], VFS_EOFFLINE, "%s", vfs_op_name((vfs_opid_e)op));
    cr_assert_eq(vfs_read_at(file, NULL, buf, 1, 0, &n), VFS_EOFFLINE);
    cr_assert_eq(vfs_write_at(file, NULL, "y", 1, 0, &n, NULL), VFS_EOFFLINE);
    cr_assert_eq(vfs_readdir(dir, NULL, &entry), VFS_EOFFLINE);
    vfs_crash_restart(s.fs);
    cr_assert_eq(vfs_read_at(file, NULL, buf, 1, 0, &n), VFS_ESTALE);
    cr_assert_eq(vfs_write_at(file, NULL, "y", 1, 0, &n, NULL), VFS_ESTALE);
    cr_assert_eq(vfs_sync(file, NULL, VFS_SYNC_ALL), VFS_ESTALE);
    cr_assert_eq(vfs_ftruncate(file, NULL, 0), VFS_ESTALE);
    cr_assert_eq(vfs_fchmod(file, NULL, 0600), VFS_ESTALE);
    cr_assert_eq(vfs_readdir(dir, NULL, &entry), VFS_ESTALE);
    cr_assert_eq(vfs_seekdir(dir, NULL, 0), VFS_ESTALE);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
    cr_text(s.fs, "/a", "x");
    tear_down(&s);
}

Test(shims_crash_power, power_goes_at_the_nth_changing_call)
{
    stand_t s = stand_up();
    test_put(s.fs, "/a", "x"); /* an open and a write */
    cr_assert_eq(vfs_crash_ops(s.fs), 2);
    vfs_crash_at(s.fs, 2);
    cr_assert_eq(vfs_mkdir(s.fs, NULL, "/d", 0755), APR_SUCCESS);
    cr_assert(exists(s.fs, "/d"));
    cr_assert_eq(vfs_mkdir(s.fs, NULL, "/e", 0755), VFS_EOFFLINE);
    cr_assert(!exists(s.lower, "/e"));
    cr_assert_eq(vfs_mkdir(s.fs, NULL, "/f", 0755), VFS_EOFFLINE);
    cr_assert_eq(vfs_crash_now(s.fs, VFS_CRASH_DROP_UNSYNCED, 0, 0), APR_SUCCESS);
    cr_assert_eq(vfs_crash_now(s.fs, VFS_CRASH_KEEP_ALL, 0, 0), APR_SUCCESS, "it is over");
    vfs_crash_restart(s.fs);
    cr_assert(!exists(s.fs, "/d") && !exists(s.fs, "/a"));
    vfs_crash_at(s.fs, 1);
    cr_assert_eq(vfs_mkdir(s.fs, NULL, "/g", 0755), VFS_EOFFLINE);
    vfs_crash_restart(s.fs);
    vfs_crash_restart(s.fs);
    cr_assert(!exists(s.fs, "/g"));
    cr_assert_eq(vfs_crash_now(s.fs, (vfs_crash_e)9, 0, 0), APR_EINVAL);
    tear_down(&s);
}

Test(shims_crash_power, the_hidden_directory_is_not_seen)
{
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    vfs_attr_t attr;
    stand_t s = stand_up();
    test_put(s.fs, "/a", "kept");
    vfs_file_t *file = test_open(s.fs, "/a", VFS_O_READ);
    cr_assert_eq(vfs_unlink(s.fs, NULL, "/a"), APR_SUCCESS);
    cr_assert_eq(vfs_fstat(file, NULL, &attr), APR_SUCCESS);
    cr_assert_eq(attr.nlink, 0);
    cr_assert_eq(vfs_opendir(&dir, s.fs, NULL, "/", VFS_DIR_ATTRS), APR_SUCCESS);
    cr_assert_eq(vfs_readdir(dir, NULL, &entry), APR_EOF);
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
    cr_assert(APR_STATUS_IS_ENOENT(vfs_stat(s.fs, NULL, "/.vfs-crash", &attr)));
    cr_assert(APR_STATUS_IS_ENOENT(vfs_unlink(s.fs, NULL, "/.vfs-crash/0")));
    cr_assert(APR_STATUS_IS_EACCES(vfs_mkdir(s.fs, NULL, "/.vfs-crash/x", 0755)));
    cr_assert(exists(s.lower, "/.vfs-crash"));
    cr_assert_eq(vfs_sync_dir(s.fs, NULL, "/"), APR_SUCCESS);
    cr_assert_eq(vfs_fstat(file, NULL, &attr), APR_SUCCESS);
    cr_assert_eq(attr.nlink, 0);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    tear_down(&s);
}

Test(shims_crash_power, a_file_made_through_a_dangling_link_is_where_the_link_leads)
{
    stand_t s = stand_up();
    cr_assert_eq(vfs_mkdir(s.fs, NULL, "/d", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_symlink(s.fs, NULL, "d/made", "/l"), APR_SUCCESS);
    cr_assert_eq(vfs_sync_fs(s.fs, NULL), APR_SUCCESS);
    test_put(s.fs, "/l", "x");
    cr_text(s.fs, "/d/made", "x");
    lose(&s, VFS_CRASH_DROP_UNSYNCED);
    cr_assert(!exists(s.fs, "/d/made"));
    cr_assert(exists(s.fs, "/l"));
    tear_down(&s);
}

Test(shims_crash_power, failing_changes_leave_nothing_behind)
{
    stand_t s = stand_up();
    test_put(s.fs, "/a", "x");
    cr_assert_eq(vfs_mkdir(s.fs, NULL, "/d", 0755), APR_SUCCESS);
    test_put(s.fs, "/d/f", "y");
    cr_assert_eq(vfs_sync_fs(s.fs, NULL), APR_SUCCESS);
    cr_assert_neq(vfs_rmdir(s.fs, NULL, "/d"), APR_SUCCESS);
    cr_assert_neq(vfs_rename(s.fs, NULL, "/a", "/d", 0), APR_SUCCESS);
    cr_assert_neq(vfs_rename(s.fs, NULL, "/a", "/d/f", VFS_RENAME_NOREPLACE), APR_SUCCESS);
    cr_assert_neq(vfs_rename(s.fs, NULL, "/d", "/d/e", 0), APR_SUCCESS);
    cr_assert_neq(vfs_mkdir(s.fs, NULL, "/a", 0755), APR_SUCCESS);
    cr_assert_neq(vfs_unlink(s.fs, NULL, "/none"), APR_SUCCESS);
    cr_assert_neq(vfs_unlink(s.fs, NULL, "/none/none"), APR_SUCCESS);
    cr_assert_neq(vfs_truncate(s.fs, NULL, "/none", 1), APR_SUCCESS);
    cr_assert_neq(vfs_chmod(s.fs, NULL, "/none", 0600, 0), APR_SUCCESS);
    cr_assert_eq(vfs_rename(s.fs, NULL, "/a", "/a", 0), APR_SUCCESS);
    vfs_attr_t attr;
    cr_assert_eq(vfs_stat(s.lower, NULL, "/d/f", &attr), APR_SUCCESS);
    cr_assert_eq(attr.nlink, 1, "no link is left in limbo");
    lose(&s, VFS_CRASH_DROP_UNSYNCED);
    cr_text(s.fs, "/a", "x");
    cr_text(s.fs, "/d/f", "y");
    tear_down(&s);
}

Test(shims_crash_power, a_full_log_is_written_back_by_itself)
{
    enum { MANY = 17000 };
    char path[16];
    int left = 0;
    stand_t s = stand_up();
    for (int i = 0; i < MANY; i++) {
        snprintf(path, sizeof(path), "/%d", i);
        cr_assert_eq(vfs_mkdir(s.fs, NULL, path, 0755), APR_SUCCESS);
    }
    lose(&s, VFS_CRASH_DROP_UNSYNCED);
    for (int i = 0; i < MANY; i++) {
        snprintf(path, sizeof(path), "/%d", i);
        int there = exists(s.fs, path);
        cr_assert(!there || left == i, "what was written back is a prefix");
        left += there;
    }
    cr_assert(left > 16000 && left < MANY, "%d", left);
    tear_down(&s);
}
