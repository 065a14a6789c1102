/*
 * test_slash.c - a trailing slash, over a real tree: what Linux answers.
 */
#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#include "support_fake.h"

#define EISDIR_STATUS APR_FROM_OS_ERROR(EISDIR)

static apr_pool_t *pool;
static vfs_t *fs;

/* /d (with /d/f), /f, /ld -> d, /lf -> f, /dangling */
static void setup(void)
{
    pool = test_pool();
    fs = mem_create(pool);
    put(fs, "/d/f", "inner");
    put(fs, "/f", "outer");
    cr_assert_eq(vfs_symlink(fs, NULL, "d", "/ld"), APR_SUCCESS);
    cr_assert_eq(vfs_symlink(fs, NULL, "f", "/lf"), APR_SUCCESS);
    cr_assert_eq(vfs_symlink(fs, NULL, "nowhere", "/dangling"), APR_SUCCESS);
}

static void teardown(void)
{
    cr_assert_eq(vfs_destroy(fs), APR_SUCCESS);
    apr_pool_destroy(pool);
}

/* What asks or changes attributes: a directory is needed, and a link is followed. */
Test(vfs_slash, whatever_asks_needs_a_directory_and_follows_links, .init = setup, .fini = teardown)
{
    static const struct {
        const char *path;
        apr_status_t status;
    } cases[] = {{"/d/", APR_SUCCESS},      {"/d/.", APR_SUCCESS}, {"/ld/", APR_SUCCESS},
                 {"/d/x/..", APR_SUCCESS},  {"/f/", APR_ENOTDIR},  {"/lf/", APR_ENOTDIR},
                 {"/nothing/", APR_ENOENT}, {"/f/.", APR_ENOTDIR}, {"/dangling/", APR_ENOENT},
                 {"/f/x/..", APR_ENOTDIR},  {"/", APR_SUCCESS}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *p = cases[i].path;
        apr_status_t e = cases[i].status;
        vfs_attr_t attr;
        vfs_statfs_t space;
        vfs_file_t *file;
        vfs_dir_t *dir;
        char buf[64];
        size_t n;
        cr_assert_eq(vfs_stat(fs, NULL, p, &attr), e, "%s", p);
        cr_assert_eq(vfs_lstat(fs, NULL, p, &attr), e, "%s", p);
        if (e == APR_SUCCESS) cr_assert_eq(attr.type, VFS_TYPE_DIR, "%s", p);
        cr_assert_eq(vfs_access(fs, NULL, p, VFS_ACCESS_EXIST), e, "%s", p);
        cr_assert_eq(vfs_chmod(fs, NULL, p, 0755, VFS_NOFOLLOW), e, "%s", p);
        cr_assert_eq(vfs_chown(fs, NULL, p, UINT32_MAX, UINT32_MAX, 0), e, "%s", p);
        cr_assert_eq(vfs_utimens(fs, NULL, p, 1, 1, VFS_NOFOLLOW), e, "%s", p);
        cr_assert_eq(vfs_setxattr(fs, NULL, p, "user.x", "v", 1, 0, VFS_NOFOLLOW), e, "%s", p);
        cr_assert_eq(vfs_getxattr(fs, NULL, p, "user.x", buf, sizeof(buf), &n, 0), e, "%s", p);
        cr_assert_eq(vfs_listxattr(fs, NULL, p, buf, sizeof(buf), &n, 0), e, "%s", p);
        cr_assert_eq(vfs_removexattr(fs, NULL, p, "user.x", 0), e, "%s", p);
        cr_assert_eq(vfs_statfs(fs, NULL, p, &space), e, "%s", p);
        cr_assert_eq(vfs_sync_dir(fs, NULL, p), e, "%s", p);
        cr_assert_eq(vfs_get(fs, NULL, p, buf, sizeof(buf), &n, &attr, NULL), e, "%s", p);
        cr_assert_eq(vfs_readlink(fs, NULL, p, buf, sizeof(buf), &n),
                     e == APR_SUCCESS ? APR_EINVAL : e, "%s", p);
        cr_assert_eq(vfs_truncate(fs, NULL, p, 0), e == APR_SUCCESS ? EISDIR_STATUS : e, "%s", p);
        apr_status_t status = vfs_opendir(&dir, fs, NULL, p, 0);
        cr_assert_eq(status, e, "%s", p);
        if (status == APR_SUCCESS) cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
        status = vfs_open(&file, fs, NULL, p, VFS_O_READ | VFS_O_NOFOLLOW, 0, NULL, NULL);
        cr_assert_eq(status, e, "%s", p);
        if (status == APR_SUCCESS) cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    }
    cr_assert_str_eq(text_of(fs, "/f"), "outer");
}

Test(vfs_slash, nothing_but_a_directory_is_made_through_it, .init = setup, .fini = teardown)
{
    static const char *const there[] = {"/d/", "/f/", "/ld/", "/dangling/"};
    static const vfs_source_t source = {NULL, NULL, 0};
    vfs_file_t *file;
    uint32_t create = VFS_O_WRITE | VFS_O_CREATE;
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(vfs_mknod(fs, NULL, there[i], VFS_TYPE_FILE, 0644, 0), APR_EEXIST);
        cr_assert_eq(vfs_symlink(fs, NULL, "t", there[i]), APR_EEXIST);
        cr_assert_eq(vfs_link(fs, NULL, "/f", there[i]), APR_EEXIST);
    }
    cr_assert_eq(vfs_mknod(fs, NULL, "/new/", VFS_TYPE_FILE, 0644, 0), APR_ENOENT);
    cr_assert_eq(vfs_symlink(fs, NULL, "t", "/new/"), APR_ENOENT);
    cr_assert_eq(vfs_link(fs, NULL, "/f", "/new/"), APR_ENOENT);
    cr_assert_eq(vfs_open(&file, fs, NULL, "/new/", create, 0644, NULL, NULL), EISDIR_STATUS);
    cr_assert_eq(vfs_open(&file, fs, NULL, "/f/", create, 0644, NULL, NULL), EISDIR_STATUS);
    cr_assert_eq(vfs_open(&file, fs, NULL, "/f/", VFS_O_WRITE, 0644, NULL, NULL), APR_ENOTDIR);
    cr_assert_eq(vfs_open(&file, fs, NULL, "/d/", VFS_O_WRITE, 0644, NULL, NULL), EISDIR_STATUS);
    cr_assert_eq(vfs_commit(fs, NULL, "/new/", &source, NULL, NULL, NULL), EISDIR_STATUS);
    cr_assert_eq(type_at(fs, "/new"), VFS_TYPE_UNKNOWN);
    cr_assert_eq(vfs_mkdir(fs, NULL, "/new/", 0755), APR_SUCCESS);
    cr_assert_eq(type_at(fs, "/new"), VFS_TYPE_DIR);
}

Test(vfs_slash, removing_through_it_takes_directories_only, .init = setup, .fini = teardown)
{
    cr_assert_eq(vfs_unlink(fs, NULL, "/f/"), APR_ENOTDIR);
    cr_assert_eq(vfs_unlink(fs, NULL, "/d/"), EISDIR_STATUS);
    cr_assert_eq(vfs_unlink(fs, NULL, "/ld/"), APR_ENOTDIR);
    cr_assert_eq(vfs_unlink(fs, NULL, "/nothing/"), APR_ENOENT);
    cr_assert_eq(vfs_rmdir(fs, NULL, "/f/"), APR_ENOTDIR);
    cr_assert_eq(vfs_rmdir(fs, NULL, "/ld/"), APR_ENOTDIR);
    cr_assert_eq(vfs_mkdir(fs, NULL, "/e", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_rmdir(fs, NULL, "/e/"), APR_SUCCESS);
}

Test(vfs_slash, a_directory_has_one_name, .init = setup, .fini = teardown)
{
    apr_status_t eperm = APR_FROM_OS_ERROR(EPERM);
    cr_assert_eq(vfs_link(fs, NULL, "/d/", "/new"), eperm);
    cr_assert_eq(vfs_link(fs, NULL, "/ld/", "/new"), eperm, "the link is followed");
    cr_assert_eq(vfs_link(fs, NULL, "/", "/new"), eperm);
    cr_assert_eq(vfs_link(fs, NULL, "/d/", "/f"), APR_EEXIST);
    cr_assert_eq(vfs_link(fs, NULL, "/d/", "/new/"), APR_ENOENT);
    cr_assert_eq(vfs_link(fs, NULL, "/f/", "/new"), APR_ENOTDIR);
    cr_assert_eq(vfs_link(fs, NULL, "/nothing/", "/new"), APR_ENOENT);
    cr_assert_eq(vfs_link(fs, NULL, "/nothing", "/new/"), APR_ENOENT);
}

Test(vfs_slash, only_directories_are_renamed_through_it, .init = setup, .fini = teardown)
{
    cr_assert_eq(vfs_rename(fs, NULL, "/f/", "/g", 0), APR_ENOTDIR);
    cr_assert_eq(vfs_rename(fs, NULL, "/f", "/g/", 0), APR_ENOTDIR);
    cr_assert_eq(vfs_rename(fs, NULL, "/ld/", "/g", 0), APR_ENOTDIR, "a link is not followed");
    cr_assert_eq(vfs_rename(fs, NULL, "/nothing/", "/g", 0), APR_ENOENT);
    cr_assert_eq(vfs_rename(fs, NULL, "/d/", "/g/", 0), APR_SUCCESS);
    cr_assert_str_eq(text_of(fs, "/g/f"), "inner");
    cr_assert_eq(vfs_mkdir(fs, NULL, "/h", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_rename(fs, NULL, "/g/", "/f", VFS_RENAME_EXCHANGE), APR_SUCCESS);
    cr_assert_eq(vfs_rename(fs, NULL, "/f/", "/g/", VFS_RENAME_EXCHANGE), APR_ENOTDIR);
    cr_assert_eq(vfs_rename(fs, NULL, "/g/", "/f/", VFS_RENAME_EXCHANGE), APR_ENOTDIR);
    cr_assert_eq(vfs_rename(fs, NULL, "/f/", "/no/", VFS_RENAME_EXCHANGE), APR_ENOENT);
    cr_assert_eq(vfs_rename(fs, NULL, "/f/", "/h/", VFS_RENAME_EXCHANGE), APR_SUCCESS);
    cr_assert_str_eq(text_of(fs, "/h/f"), "inner");
}

Test(vfs_slash, the_op_never_sees_it, .init = setup, .fini = teardown)
{
    fake_t fake = {.type = VFS_TYPE_DIR};
    vfs_ops_t ops = fake_ops();
    vfs_t *plain = fake_create(&fake, &ops, pool);
    cr_assert_eq(vfs_chmod(plain, NULL, "/x/", 0, VFS_NOFOLLOW), APR_SUCCESS);
    cr_assert_eq(fake.path_flags, 0u);
    cr_assert_eq(fake.flags, 0u, "what ends in a slash is followed");
    cr_assert_eq(fake.calls, 2u, "one stat, one chmod");
    cr_assert_eq(vfs_chmod(plain, NULL, "/x", 0, VFS_NOFOLLOW), APR_SUCCESS);
    cr_assert_eq(fake.flags, VFS_NOFOLLOW);
    cr_assert_eq(fake.calls, 3u);
    cr_assert_eq(vfs_destroy(plain), APR_SUCCESS);
}
