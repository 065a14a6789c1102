/*
 * test_names.c - names and attributes of the local backend, by path and by handle.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/local/support_box.h"

TestSuite(local_names, .init = box_open, .fini = box_close);

static vfs_attr_t lstat_ok(const char *path)
{
    vfs_attr_t attr;
    cr_assert_eq(vfs_lstat(box.fs, NULL, path, &attr), APR_SUCCESS, "%s", path);
    return attr;
}

Test(local_names, every_type_of_file_can_be_made)
{
    const struct {
        const char *path;
        vfs_type_e type;
        uint64_t rdev;
        int root_only;
    } rows[] = {
        {"/file", VFS_TYPE_FILE, 0, 0},
        {"/fifo", VFS_TYPE_FIFO, 0, 0},
        {"/socket", VFS_TYPE_SOCKET, 0, 0},
        {"/char", VFS_TYPE_CHAR, makedev(1, 3), 1},
        {"/block", VFS_TYPE_BLOCK, makedev(7, 300), 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        apr_status_t status =
            vfs_mknod(box.fs, NULL, rows[i].path, rows[i].type, 0620, rows[i].rdev);
        if (rows[i].root_only && !am_root()) {
            cr_expect_eq(status, APR_FROM_OS_ERROR(EPERM));
            continue;
        }
        cr_assert_eq(status, APR_SUCCESS, "%s", rows[i].path);
        vfs_attr_t attr = lstat_ok(rows[i].path);
        cr_expect_eq(attr.type, rows[i].type);
        cr_expect_eq(attr.mode, 0620);
        cr_expect_eq(attr.rdev, rows[i].rdev);
        cr_expect_eq(vfs_mknod(box.fs, NULL, rows[i].path, rows[i].type, 0620, rows[i].rdev),
                     APR_EEXIST);
    }
    cr_expect_eq(vfs_mkdir(box.fs, NULL, "/dir", 01750), APR_SUCCESS);
    cr_expect_eq(lstat_ok("/dir").type, VFS_TYPE_DIR);
    cr_expect_eq(lstat_ok("/dir").mode, 01750);
    cr_expect_eq(vfs_mkdir(box.fs, NULL, "/dir", 0755), APR_EEXIST);
    cr_expect_eq(vfs_mkdir(box.fs, NULL, "/no/dir", 0755), APR_ENOENT);
    cr_expect_eq(vfs_mkdir(box.fs, NULL, "/file/dir", 0755), APR_ENOTDIR);
}

Test(local_names, names_are_removed_by_their_kind)
{
    cr_assert_eq(vfs_mkdir(box.fs, NULL, "/d", 0755), APR_SUCCESS);
    put("/d/f", "f");
    cr_expect_eq(vfs_rmdir(box.fs, NULL, "/d"), APR_FROM_OS_ERROR(ENOTEMPTY));
    cr_expect_eq(vfs_unlink(box.fs, NULL, "/d"), APR_FROM_OS_ERROR(EISDIR));
    cr_expect_eq(vfs_rmdir(box.fs, NULL, "/d/f"), APR_ENOTDIR);
    cr_expect_eq(vfs_unlink(box.fs, NULL, "/d/f"), APR_SUCCESS);
    cr_expect_eq(vfs_rmdir(box.fs, NULL, "/d"), APR_SUCCESS);
    cr_expect_eq(vfs_rmdir(box.fs, NULL, "/d"), APR_ENOENT);
    cr_expect_eq(vfs_unlink(box.fs, NULL, "/d/f"), APR_ENOENT);
}

Test(local_names, rename_replaces_refuses_or_exchanges)
{
    put("/a", "a");
    put("/b", "b");
    cr_expect_eq(vfs_rename(box.fs, NULL, "/a", "/b", VFS_RENAME_NOREPLACE), APR_EEXIST);
    cr_expect_eq(vfs_rename(box.fs, NULL, "/a", "/b", VFS_RENAME_EXCHANGE), APR_SUCCESS);
    cr_expect(holds("/a", "b"));
    cr_expect_eq(vfs_rename(box.fs, NULL, "/a", "/b", 0), APR_SUCCESS);
    cr_expect(holds("/b", "b"));
    cr_expect_eq(vfs_rename(box.fs, NULL, "/b", "/c", VFS_RENAME_NOREPLACE), APR_SUCCESS);
    cr_expect_eq(vfs_rename(box.fs, NULL, "/b", "/c", 0), APR_ENOENT);
    cr_expect_eq(vfs_rename(box.fs, NULL, "/c", "/no/c", 0), APR_ENOENT);
    cr_expect_eq(vfs_rename(box.fs, NULL, "/no/c", "/c", 0), APR_ENOENT);
    cr_expect(holds("/c", "b"));
}

Test(local_names, links_share_the_file_and_are_not_followed)
{
    char buf[16];
    size_t len;
    put("/a", "a");
    cr_assert_eq(vfs_link(box.fs, NULL, "/a", "/b"), APR_SUCCESS);
    cr_expect_eq(lstat_ok("/a").ino, lstat_ok("/b").ino);
    cr_expect_eq(lstat_ok("/b").nlink, 2);
    cr_expect_eq(vfs_link(box.fs, NULL, "/a", "/b"), APR_EEXIST);
    cr_expect_eq(vfs_link(box.fs, NULL, "/a", "/no/b"), APR_ENOENT);
    cr_assert_eq(vfs_symlink(box.fs, NULL, "a", "/s"), APR_SUCCESS);
    cr_assert_eq(vfs_link(box.fs, NULL, "/s", "/t"), APR_SUCCESS);
    cr_expect_eq(lstat_ok("/t").type, VFS_TYPE_LINK);
    cr_expect_eq(vfs_symlink(box.fs, NULL, "a", "/s"), APR_EEXIST);
    cr_expect_eq(vfs_symlink(box.fs, NULL, "a", "/no/s"), APR_ENOENT);
    cr_expect_eq(vfs_readlink(box.fs, NULL, "/t", buf, sizeof(buf), &len), APR_SUCCESS);
    cr_expect_str_eq(buf, "a");
    cr_expect_eq(vfs_readlink(box.fs, NULL, "/a", buf, sizeof(buf), &len), APR_EINVAL);
    cr_expect_eq(vfs_readlink(box.fs, NULL, "/", buf, sizeof(buf), &len), APR_EINVAL);
    cr_expect_eq(vfs_readlink(box.fs, NULL, "/t", buf, 1, &len), APR_FROM_OS_ERROR(ERANGE));
    cr_expect_eq(vfs_readlink(box.fs, NULL, "/t", buf, 2, &len), APR_SUCCESS);
}

Test(local_names, modes_owners_and_times_are_set_on_the_file_or_the_link)
{
    vfs_file_t *file;
    vfs_attr_t attr;
    put("/f", "f");
    cr_assert_eq(vfs_symlink(box.fs, NULL, "f", "/l"), APR_SUCCESS);
    cr_expect_eq(vfs_chmod(box.fs, NULL, "/l", 0601, 0), APR_SUCCESS);
    cr_expect_eq(lstat_ok("/f").mode, 0601);
    cr_expect_eq(vfs_chmod(box.fs, NULL, "/l", 0600, VFS_NOFOLLOW), APR_ENOTIMPL);
    cr_expect_eq(vfs_chmod(box.fs, NULL, "/f", 04711, VFS_NOFOLLOW), APR_SUCCESS);
    cr_expect_eq(lstat_ok("/f").mode, 04711);
    if (am_root()) {
        cr_expect_eq(vfs_chown(box.fs, NULL, "/l", 12, 13, 0), APR_SUCCESS);
        cr_expect_eq(lstat_ok("/f").uid, 12);
        cr_expect_eq(lstat_ok("/f").mode, 0711, "a change of owner clears the set-id bit");
        cr_expect_eq(vfs_chown(box.fs, NULL, "/l", 14, (uint32_t)-1, VFS_NOFOLLOW), APR_SUCCESS);
        cr_expect_eq(lstat_ok("/l").uid, 14);
        cr_expect_eq(lstat_ok("/f").uid, 12);
        cr_expect_eq(lstat_ok("/f").gid, 13);
    }
    cr_expect_eq(vfs_utimens(box.fs, NULL, "/l", 1000000007, -1500000000, 0), APR_SUCCESS);
    attr = lstat_ok("/f");
    cr_expect_eq(attr.atime_ns, 1000000007);
    cr_expect_eq(attr.mtime_ns, -1500000000);
    cr_expect_eq(vfs_utimens(box.fs, NULL, "/l", 5, VFS_TIME_OMIT, VFS_NOFOLLOW), APR_SUCCESS);
    cr_expect_eq(lstat_ok("/l").atime_ns, 5);
    cr_expect_eq(lstat_ok("/f").atime_ns, 1000000007);
    cr_assert_eq(vfs_open(&file, box.fs, NULL, "/f", VFS_O_READ | VFS_O_WRITE, 0, NULL, NULL),
                 APR_SUCCESS);
    cr_expect_eq(vfs_futimens(file, NULL, VFS_TIME_OMIT, VFS_TIME_NOW), APR_SUCCESS);
    cr_expect_eq(vfs_fchmod(file, NULL, 0640), APR_SUCCESS);
    cr_expect_eq(vfs_fchown(file, NULL, (uint32_t)-1, (uint32_t)-1), APR_SUCCESS);
    cr_expect_eq(vfs_fstat(file, NULL, &attr), APR_SUCCESS);
    cr_expect_eq(attr.atime_ns, 1000000007);
    cr_expect_gt(attr.mtime_ns, 1000000000000000000);
    cr_expect_eq(attr.mode, 0640);
    cr_expect_eq(vfs_close(file, NULL), APR_SUCCESS);
}

Test(local_names, extended_attributes_by_name_and_by_handle)
{
    char buf[64];
    size_t len;
    vfs_file_t *file;
    put("/f", "f");
    cr_assert_eq(vfs_symlink(box.fs, NULL, "f", "/l"), APR_SUCCESS);
    cr_expect_eq(vfs_getxattr(box.fs, NULL, "/f", "user.a", buf, sizeof(buf), &len, 0),
                 VFS_ENODATA);
    cr_assert_eq(vfs_setxattr(box.fs, NULL, "/l", "user.a", "one", 3, VFS_XATTR_CREATE, 0),
                 APR_SUCCESS);
    cr_expect_eq(vfs_setxattr(box.fs, NULL, "/f", "user.a", "x", 1, VFS_XATTR_CREATE, 0),
                 APR_EEXIST);
    cr_expect_eq(vfs_setxattr(box.fs, NULL, "/f", "user.b", "x", 1, VFS_XATTR_REPLACE, 0),
                 VFS_ENODATA);
    cr_expect_eq(vfs_getxattr(box.fs, NULL, "/f", "user.a", NULL, 0, &len, 0), APR_SUCCESS);
    cr_expect_eq(len, 3);
    cr_expect_eq(vfs_getxattr(box.fs, NULL, "/f", "user.a", buf, 2, &len, 0),
                 APR_FROM_OS_ERROR(ERANGE));
    cr_expect_eq(vfs_getxattr(box.fs, NULL, "/f", "user.a", buf, sizeof(buf), &len, 0),
                 APR_SUCCESS);
    cr_expect_eq(memcmp(buf, "one", 3), 0);
    cr_expect_neq(vfs_setxattr(box.fs, NULL, "/l", "user.a", "x", 1, 0, VFS_NOFOLLOW), APR_SUCCESS,
                  "Linux has no user attributes of links");
    cr_assert_eq(vfs_open(&file, box.fs, NULL, "/f", VFS_O_READ | VFS_O_WRITE, 0, NULL, NULL),
                 APR_SUCCESS);
    cr_expect_eq(vfs_fsetxattr(file, NULL, "user.b", "", 0, 0), APR_SUCCESS);
    cr_expect_eq(vfs_fgetxattr(file, NULL, "user.b", buf, sizeof(buf), &len), APR_SUCCESS);
    cr_expect_eq(len, 0);
    cr_expect_eq(vfs_fgetxattr(file, NULL, "user.c", buf, sizeof(buf), &len), VFS_ENODATA);
    cr_expect_eq(vfs_flistxattr(file, NULL, NULL, 0, &len), APR_SUCCESS);
    cr_expect_geq(len, 14);
    cr_expect_eq(vfs_flistxattr(file, NULL, buf, 1, &len), APR_FROM_OS_ERROR(ERANGE));
    cr_expect_eq(vfs_fremovexattr(file, NULL, "user.b"), APR_SUCCESS);
    cr_expect_eq(vfs_fremovexattr(file, NULL, "user.b"), VFS_ENODATA);
    cr_expect_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_expect_eq(vfs_listxattr(box.fs, NULL, "/f", buf, sizeof(buf), &len, 0), APR_SUCCESS);
    cr_expect_eq(len, 7);
    cr_expect_str_eq(buf, "user.a");
    cr_expect_eq(vfs_listxattr(box.fs, NULL, "/f", buf, 1, &len, 0), APR_FROM_OS_ERROR(ERANGE));
    cr_expect_eq(vfs_removexattr(box.fs, NULL, "/l", "user.a", 0), APR_SUCCESS);
    cr_expect_eq(vfs_removexattr(box.fs, NULL, "/l", "user.a", 0), VFS_ENODATA);
    cr_expect_eq(vfs_removexattr(box.fs, NULL, "/no", "user.a", 0), APR_ENOENT);
}

Test(local_names, space_is_told)
{
    vfs_statfs_t st;
    cr_assert_eq(vfs_statfs(box.fs, NULL, "/", &st), APR_SUCCESS);
    cr_expect_gt(st.bytes_total, st.bytes_available);
    cr_expect_geq(st.bytes_free, st.bytes_available);
    cr_expect_gt(st.block_size, 0);
    cr_expect_eq(st.name_max, 255);
    cr_expect_eq(vfs_statfs(box.fs, NULL, "/no", &st), APR_ENOENT);
}

Test(local_names, access_asks_the_kernel)
{
    put("/f", "f");
    cr_assert_eq(chmod(os("/f"), 0600), 0);
    cr_expect_eq(vfs_access(box.fs, NULL, "/f", VFS_ACCESS_READ | VFS_ACCESS_WRITE), APR_SUCCESS);
    cr_expect_eq(vfs_access(box.fs, NULL, "/f", VFS_ACCESS_EXEC), APR_EACCES);
    cr_expect_eq(vfs_access(box.fs, NULL, "/f", VFS_ACCESS_EXIST), APR_SUCCESS);
    cr_expect_eq(vfs_access(box.fs, NULL, "/no", VFS_ACCESS_EXIST), APR_ENOENT);
}

Test(local_names, commit_replaces_the_whole_file_or_nothing)
{
    vfs_attr_t attr;
    vfs_validator_t version, now;
    put("/f", "old");
    cr_assert_eq(vfs_write_file(box.fs, NULL, "/f", "new!", 4, 0600), APR_SUCCESS);
    cr_expect(holds("/f", "new!"));
    cr_assert_eq(vfs_symlink(box.fs, NULL, "f", "/l"), APR_SUCCESS);
    cr_assert_eq(vfs_write_file(box.fs, NULL, "/l", "link", 4, 0600), APR_SUCCESS);
    cr_expect(holds("/f", "link"));
    cr_expect_eq(lstat_ok("/l").type, VFS_TYPE_LINK);
    vfs_source_t none = {NULL, NULL, 0};
    vfs_commit_t how = VFS_COMMIT_INIT;
    how.flags = VFS_COMMIT_IF_NONE;
    how.mode = 0621;
    how.mtime_ns = 12345;
    cr_expect_eq(vfs_commit(box.fs, NULL, "/f", &none, &how, NULL, NULL), VFS_ECONFLICT);
    cr_expect_eq(vfs_commit(box.fs, NULL, "/g", &none, &how, &attr, &version), APR_SUCCESS);
    cr_expect_eq(attr.mode, 0621);
    cr_expect_eq(attr.mtime_ns, 12345);
    cr_expect_neq(attr.flags & VFS_ATTR_DIRECT, 0);
    cr_assert_eq(vfs_validator(box.fs, NULL, "/g", &now), APR_SUCCESS);
    cr_expect(vfs_validator_equal(&version, &now));
    how.flags = VFS_COMMIT_IF_MATCH;
    how.expected = version;
    cr_expect_eq(vfs_commit(box.fs, NULL, "/f", &none, &how, NULL, NULL), VFS_ECONFLICT);
    cr_expect_eq(vfs_commit(box.fs, NULL, "/no", &none, &how, NULL, NULL), VFS_ECONFLICT);
    cr_expect_eq(vfs_commit(box.fs, NULL, "/g", &none, &how, &attr, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_mkdir(box.fs, NULL, "/d", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_mknod(box.fs, NULL, "/fifo", VFS_TYPE_FIFO, 0600, 0), APR_SUCCESS);
    cr_assert_eq(vfs_symlink(box.fs, NULL, ".", "/here"), APR_SUCCESS);
    how.flags = 0;
    cr_expect_eq(vfs_commit(box.fs, NULL, "/d", &none, &how, NULL, NULL),
                 APR_FROM_OS_ERROR(EISDIR));
    cr_expect_eq(vfs_commit(box.fs, NULL, "/here", &none, &how, NULL, NULL),
                 APR_FROM_OS_ERROR(EISDIR));
    cr_expect_eq(vfs_commit(box.fs, NULL, "/fifo", &none, &how, NULL, NULL), APR_EINVAL);
    cr_expect_eq(vfs_commit(box.fs, NULL, "/no/f", &none, &how, NULL, NULL), APR_ENOENT);
}

static apr_status_t broken_source(void *baton, void *buf, size_t len, apr_off_t off)
{
    memset(buf, 'x', len);
    if (off == 0) put((const char *)baton, "changed meanwhile");
    return off == 0 ? APR_SUCCESS : APR_FROM_OS_ERROR(EIO);
}

Test(local_names, a_commit_that_fails_leaves_nothing_behind)
{
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    char name[] = "/f";
    vfs_source_t source = {broken_source, name, 300000};
    vfs_commit_t how = VFS_COMMIT_INIT;
    put("/f", "old");
    cr_expect_eq(vfs_commit(box.fs, NULL, "/f", &source, &how, NULL, NULL), APR_FROM_OS_ERROR(EIO));
    cr_expect(holds("/f", "changed meanwhile"));
    cr_assert_eq(vfs_validator(box.fs, NULL, "/f", &how.expected), APR_SUCCESS);
    how.flags = VFS_COMMIT_IF_MATCH;
    source.size = 10;
    usleep(20000);
    cr_expect_eq(vfs_commit(box.fs, NULL, "/f", &source, &how, NULL, NULL), VFS_ECONFLICT);
    how.flags = VFS_COMMIT_IF_NONE;
    char other[] = "/g";
    source.baton = other;
    cr_expect_eq(vfs_commit(box.fs, NULL, "/g", &source, &how, NULL, NULL), VFS_ECONFLICT);
    cr_expect(holds("/g", "changed meanwhile"));
    int count = 0;
    cr_assert_eq(vfs_opendir(&dir, box.fs, NULL, "/", 0), APR_SUCCESS);
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS)
        count++;
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
    cr_expect_eq(count, 2, "no temporary file stays");
}
