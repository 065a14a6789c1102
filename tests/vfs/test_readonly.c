/*
 * test_readonly.c - a layer through which nothing changes: every op that could is refused.
 */
#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#include "support_fake.h"

#define EROFS_STATUS APR_FROM_OS_ERROR(EROFS)

static apr_pool_t *pool;
static vfs_t *mem, *fs;

static void setup(void)
{
    pool = test_pool();
    mem = mem_create(pool);
    put(mem, "/d/f", "bytes");
    cr_assert_eq(vfs_symlink(mem, NULL, "d/f", "/l"), APR_SUCCESS);
    cr_assert_eq(vfs_readonly_create(&fs, mem, pool), APR_SUCCESS);
}

static void teardown(void)
{
    cr_assert_eq(vfs_destroy_stack(fs), APR_SUCCESS);
    apr_pool_destroy(pool);
}

/* An op that is new to the list has to be decided on here: by its class. */
Test(vfs_readonly, every_op_that_changes_something_is_refused, .init = setup, .fini = teardown)
{
    vfs_ops_t low = fake_ops();
    unsigned refused = 0, passed = 0;
#define CLASS_READ 0
#define CLASS_META 0
#define CLASS_SYNC 0
#define CLASS_HANDLE 0
#define CLASS_WRITE 1
#define CLASS_CHANGE 1
#define CHECK(name, class)                                                                         \
    cr_assert_not_null(fs->ops.name, #name);                                                       \
    cr_assert((const void *)(uintptr_t)fs->ops.name != (const void *)(uintptr_t)low.name);         \
    if (CLASS_##class) {                                                                           \
        cr_assert((uintptr_t)fs->ops.name != (uintptr_t)vfs_pass_##name, #name);                   \
        refused++;                                                                                 \
    } else {                                                                                       \
        passed++;                                                                                  \
    }
#define VFS_OP_FS(name, class, params, args, doc) CHECK(name, class)
#define VFS_OP_FILE(name, class, params, args, doc) CHECK(name, class)
#include "vfs/vfs_ops.def"
    cr_assert_gt(refused, 15u);
    cr_assert_gt(passed, 15u);
}

Test(vfs_readonly, names_cannot_be_changed, .init = setup, .fini = teardown)
{
    vfs_source_t empty = {NULL, NULL, 0};
    cr_assert_eq(vfs_mkdir(fs, NULL, "/n", 0755), EROFS_STATUS);
    cr_assert_eq(vfs_mknod(fs, NULL, "/n", VFS_TYPE_FILE, 0644, 0), EROFS_STATUS);
    cr_assert_eq(vfs_rmdir(fs, NULL, "/d"), EROFS_STATUS);
    cr_assert_eq(vfs_unlink(fs, NULL, "/d/f"), EROFS_STATUS);
    cr_assert_eq(vfs_rename(fs, NULL, "/d", "/e", 0), EROFS_STATUS);
    cr_assert_eq(vfs_link(fs, NULL, "/d/f", "/n"), EROFS_STATUS);
    cr_assert_eq(vfs_symlink(fs, NULL, "t", "/n"), EROFS_STATUS);
    cr_assert_eq(vfs_truncate(fs, NULL, "/d/f", 0), EROFS_STATUS);
    cr_assert_eq(vfs_chmod(fs, NULL, "/d/f", 0, 0), EROFS_STATUS);
    cr_assert_eq(vfs_chown(fs, NULL, "/d/f", 1, 1, 0), EROFS_STATUS);
    cr_assert_eq(vfs_utimens(fs, NULL, "/d/f", 1, 1, 0), EROFS_STATUS);
    cr_assert_eq(vfs_setxattr(fs, NULL, "/d/f", "user.x", "v", 1, 0, 0), EROFS_STATUS);
    cr_assert_eq(vfs_removexattr(fs, NULL, "/d/f", "user.x", 0), EROFS_STATUS);
    cr_assert_eq(vfs_commit(fs, NULL, "/d/f", &empty, NULL, NULL, NULL), EROFS_STATUS);
    cr_assert_str_eq(text_of(mem, "/d/f"), "bytes");
    cr_assert_eq(vfs_caps(fs)->bits & (VFS_CAP_WRITE | VFS_CAP_COMMIT | VFS_CAP_RANDOM_WRITE), 0u);
    cr_assert_eq(vfs_readonly_create(&fs, NULL, pool), APR_EINVAL);
}

Test(vfs_readonly, files_open_for_reading_only, .init = setup, .fini = teardown)
{
    uint32_t create = VFS_O_READ | VFS_O_CREATE;
    vfs_file_t *file;
#define OPENS(path, flags) vfs_open(&file, fs, NULL, path, flags, 0644, NULL, NULL)
    cr_assert_eq(OPENS("/d/f", VFS_O_WRITE), EROFS_STATUS);
    cr_assert_eq(OPENS("/d/f", VFS_O_READ | VFS_O_WRITE | VFS_O_TRUNC), EROFS_STATUS);
    cr_assert_eq(OPENS("/new", create), EROFS_STATUS);
    cr_assert_eq(OPENS("/new", create | VFS_O_EXCL), EROFS_STATUS);
    cr_assert_eq(OPENS("/d/f", create | VFS_O_EXCL), APR_EEXIST);
    cr_assert_eq(OPENS("/l", create | VFS_O_EXCL), APR_EEXIST);
    cr_assert_eq(OPENS("/d/f/x", create | VFS_O_EXCL), APR_ENOTDIR);
    cr_assert_eq(OPENS("/none", VFS_O_READ), APR_ENOENT);
    cr_assert_eq(OPENS("/d/f", create), APR_SUCCESS, "it is there, so nothing is made");
    cr_assert_eq((void *)vfs_file_fs(file), (void *)fs);
    cr_assert_eq(vfs_fchmod(file, NULL, 0), EROFS_STATUS);
    cr_assert_eq(vfs_fchown(file, NULL, 1, 1), EROFS_STATUS);
    cr_assert_eq(vfs_futimens(file, NULL, 1, 1), EROFS_STATUS);
    cr_assert_eq(vfs_fsetxattr(file, NULL, "user.x", "v", 1, 0), EROFS_STATUS);
    cr_assert_eq(vfs_fremovexattr(file, NULL, "user.x"), EROFS_STATUS);
    file->flags |= VFS_O_WRITE; /* past what dispatch looks at */
    vfs_iovec_t iov = {&create, sizeof(create)};
    size_t n;
    cr_assert_eq(vfs_write_at(file, NULL, "x", 1, 0, &n, NULL), EROFS_STATUS);
    cr_assert_eq(vfs_writev_at(file, NULL, &iov, 1, 0, &n, NULL), EROFS_STATUS);
    cr_assert_eq(vfs_ftruncate(file, NULL, 0), EROFS_STATUS);
    cr_assert_eq(vfs_allocate(file, NULL, 0, 0, 1), EROFS_STATUS);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}

Test(vfs_readonly, reading_is_as_below, .init = setup, .fini = teardown)
{
    char buf[16];
    size_t n;
    vfs_attr_t attr;
    cr_assert_str_eq(text_of(fs, "/l"), "bytes");
    cr_assert_eq(vfs_get(fs, NULL, "/d/f", buf, 3, &n, &attr, NULL), APR_SUCCESS);
    cr_assert_eq(n, 3u);
    cr_assert_eq(vfs_access(fs, NULL, "/d/f", VFS_ACCESS_READ), APR_SUCCESS);
    cr_assert_eq(vfs_access(fs, NULL, "/d/f", VFS_ACCESS_WRITE), EROFS_STATUS);
    cr_assert_eq(vfs_access(fs, NULL, "/none", VFS_ACCESS_WRITE), APR_ENOENT);
    cr_assert_eq(type_at(fs, "/l"), VFS_TYPE_LINK);
    vfs_lock_t lock = {.type = VFS_LOCK_READ};
    vfs_file_t *file;
    cr_assert_eq(vfs_open(&file, fs, NULL, "/d/f", VFS_O_READ, 0, NULL, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_lock(file, NULL, &lock), APR_SUCCESS);
    cr_assert_eq(vfs_sync(file, NULL, VFS_SYNC_ALL), APR_SUCCESS);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}
