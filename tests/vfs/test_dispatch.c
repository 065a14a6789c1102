/*
 * test_dispatch.c - what dispatch does for every op alike, swept over the one list.
 */
#include <string.h>

#include <criterion/criterion.h>

#include "support_world.h"

/* One valid call of each op. */
#define CALL_get(ctx) vfs_call_get(w.fs, ctx, &w.path, buf, 8, &n, NULL, NULL)
#define CALL_stat(ctx) vfs_call_stat(w.fs, ctx, &w.path, NULL, NULL)
#define CALL_lstat(ctx) vfs_call_lstat(w.fs, ctx, &w.path, NULL, NULL)
#define CALL_access(ctx) vfs_call_access(w.fs, ctx, &w.path, 0)
#define CALL_mknod(ctx) vfs_call_mknod(w.fs, ctx, &w.path, VFS_TYPE_FIFO, 0644, 0)
#define CALL_mkdir(ctx) vfs_call_mkdir(w.fs, ctx, &w.path, 0755)
#define CALL_rmdir(ctx) vfs_call_rmdir(w.fs, ctx, &w.path)
#define CALL_unlink(ctx) vfs_call_unlink(w.fs, ctx, &w.path)
#define CALL_rename(ctx) vfs_call_rename(w.fs, ctx, &w.path, &w.path2, 0)
#define CALL_link(ctx) vfs_call_link(w.fs, ctx, &w.path, &w.path2)
#define CALL_symlink(ctx) vfs_call_symlink(w.fs, ctx, "target", &w.path)
#define CALL_readlink(ctx) vfs_call_readlink(w.fs, ctx, &w.path, buf, 8, NULL)
#define CALL_truncate(ctx) vfs_call_truncate(w.fs, ctx, &w.path, 0)
#define CALL_chmod(ctx) vfs_call_chmod(w.fs, ctx, &w.path, 0644, VFS_NOFOLLOW)
#define CALL_chown(ctx) vfs_call_chown(w.fs, ctx, &w.path, 1, 1, 0)
#define CALL_utimens(ctx) vfs_call_utimens(w.fs, ctx, &w.path, 1, 1, 0)
#define CALL_statfs(ctx) vfs_call_statfs(w.fs, ctx, &w.path, &space)
#define CALL_getxattr(ctx) vfs_call_getxattr(w.fs, ctx, &w.path, "user.x", buf, 8, NULL, 0)
#define CALL_setxattr(ctx) vfs_call_setxattr(w.fs, ctx, &w.path, "user.x", buf, 8, 0, 0)
#define CALL_listxattr(ctx) vfs_call_listxattr(w.fs, ctx, &w.path, buf, 8, NULL, 0)
#define CALL_removexattr(ctx) vfs_call_removexattr(w.fs, ctx, &w.path, "user.x", 0)
#define CALL_sync_dir(ctx) vfs_call_sync_dir(w.fs, ctx, &w.path)
#define CALL_sync_fs(ctx) vfs_call_sync_fs(w.fs, ctx)
#define CALL_commit(ctx) vfs_call_commit(w.fs, ctx, &w.path, &source, NULL, NULL, NULL)
#define CALL_watch(ctx) vfs_call_watch(w.fs, ctx, &w.path, hear, NULL, &number)
#define CALL_unwatch(ctx) vfs_call_unwatch(w.fs, 1)
#define CALL_read_at(ctx) vfs_call_read_at(&w.file, ctx, buf, 8, 0, &n)
#define CALL_write_at(ctx) vfs_call_write_at(&w.file, ctx, buf, 8, 0, &n, NULL)
#define CALL_readv_at(ctx) vfs_call_readv_at(&w.file, ctx, &iov, 1, 0, &n)
#define CALL_writev_at(ctx) vfs_call_writev_at(&w.file, ctx, &iov, 1, 0, &n, NULL)
#define CALL_fetch(ctx) vfs_call_fetch(&w.file, ctx, &iov, 1, 0, &n, NULL)
#define CALL_fstat(ctx) vfs_call_fstat(&w.file, ctx, NULL, NULL)
#define CALL_ftruncate(ctx) vfs_call_ftruncate(&w.file, ctx, 0)
#define CALL_fchmod(ctx) vfs_call_fchmod(&w.file, ctx, 0644)
#define CALL_fchown(ctx) vfs_call_fchown(&w.file, ctx, 1, 1)
#define CALL_futimens(ctx) vfs_call_futimens(&w.file, ctx, 1, 1)
#define CALL_fgetxattr(ctx) vfs_call_fgetxattr(&w.file, ctx, "user.x", buf, 8, NULL)
#define CALL_fsetxattr(ctx) vfs_call_fsetxattr(&w.file, ctx, "user.x", buf, 8, 0)
#define CALL_flistxattr(ctx) vfs_call_flistxattr(&w.file, ctx, buf, 8, NULL)
#define CALL_fremovexattr(ctx) vfs_call_fremovexattr(&w.file, ctx, "user.x")
#define CALL_flush(ctx) vfs_call_flush(&w.file, ctx)
#define CALL_sync(ctx) vfs_call_sync(&w.file, ctx, VFS_SYNC_DATA)
#define CALL_lock(ctx) vfs_call_lock(&w.file, ctx, &wish)
#define CALL_seek_extent(ctx) vfs_call_seek_extent(&w.file, ctx, 0, VFS_SEEK_DATA, &where)
#define CALL_allocate(ctx) vfs_call_allocate(&w.file, ctx, 0, 0, 1)
#define CALL_readdir(ctx) vfs_call_readdir(&w.dir, ctx, &entry)
#define CALL_seekdir(ctx) vfs_call_seekdir(&w.dir, ctx, 0)
#define CALL_copy_range(ctx) vfs_copy_range(&w.file, ctx, 0, &w.other, 0, 8, &n)

static apr_status_t call_open(const vfs_ctx_t *ctx)
{
    vfs_file_t *file;
    apr_status_t status = vfs_call_open(&file, w.fs, ctx, &w.path, VFS_O_READ, 0, NULL, NULL);
    if (status != APR_SUCCESS)
        cr_assert_null(file);
    else
        w.fs->ops.close(file, NULL), w.fake.calls--, w.fake.last = "open";
    return status;
}

static apr_status_t call_opendir(const vfs_ctx_t *ctx)
{
    vfs_dir_t *dir;
    apr_status_t status = vfs_call_opendir(&dir, w.fs, ctx, &w.path, 0);
    if (status != APR_SUCCESS)
        cr_assert_null(dir);
    else
        w.fs->ops.closedir(dir), w.fake.calls--, w.fake.last = "opendir";
    return status;
}
#define CALL_open(ctx) call_open(ctx)
#define CALL_opendir(ctx) call_opendir(ctx)

/* The ops that the list has by hand, but close and closedir, which take no notice of contexts. */
#define BY_HAND                                                                                    \
    DO(open)                                                                                       \
    DO(opendir)                                                                                    \
    DO(copy_range)

Test(vfs_dispatch, null_op_is_enotimpl)
{
    vfs_ops_t none = {.abi = VFS_ABI, .size = sizeof(none), .name = "none"};
    setup_with(&none);
#define DO(name) cr_assert_eq(CALL_##name(NULL), APR_ENOTIMPL, #name);
    BY_HAND
#define VFS_OP_FS(name, class, params, args, doc) DO(name)
#define VFS_OP_FILE(name, class, params, args, doc) DO(name)
#define VFS_OP_DIR(name, class, params, args, doc) DO(name)
#include "vfs/vfs_ops.def"
#undef DO
    cr_assert_eq(vfs_close(&w.file, NULL), APR_ENOTIMPL);
    cr_assert_eq(vfs_closedir(&w.dir), APR_ENOTIMPL);
    cr_assert_eq(w.fake.calls, 0u);
    teardown();
}

Test(vfs_dispatch, an_op_is_called_once_and_its_answer_is_ours, .init = setup, .fini = teardown)
{
    static const apr_status_t answers[] = {APR_SUCCESS, APR_EGENERAL, VFS_EOFFLINE};
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        w.fake.answer = answers[i];
#define DO(name)                                                                                   \
    w.fake.calls = 0;                                                                              \
    cr_assert_eq(CALL_##name(NULL), answers[i], #name);                                            \
    cr_assert_eq(w.fake.calls, 1u, #name);                                                         \
    cr_assert_str_eq(w.fake.last, #name);
        BY_HAND
#define VFS_OP_FS(name, class, params, args, doc) DO(name)
#define VFS_OP_FILE(name, class, params, args, doc) DO(name)
#define VFS_OP_DIR(name, class, params, args, doc) DO(name)
#include "vfs/vfs_ops.def"
#undef DO
        w.fake.answer = APR_SUCCESS;
    }
}

Test(vfs_dispatch, a_context_that_has_ended_stops_every_op, .init = setup, .fini = teardown)
{
    vfs_ctx_t late = VFS_CTX_INIT, cancelled = VFS_CTX_INIT;
    vfs_cancel_t *cancel;
    late.deadline = 1;
    cr_assert_eq(vfs_cancel_create(&cancel, w.pool), APR_SUCCESS);
    vfs_cancel_raise(cancel);
    cancelled.cancel = cancel;
    unsigned before = w.fake.calls;
#define DO(name)                                                                                   \
    if (strcmp(#name, "unwatch") != 0) {                                                           \
        cr_assert_eq(CALL_##name(&late), APR_TIMEUP, #name);                                       \
        cr_assert_eq(CALL_##name(&cancelled), VFS_ECANCELED, #name);                               \
    } else {                                                                                       \
        before += 2;                                                                               \
        cr_assert_eq(CALL_##name(&late), APR_SUCCESS);                                             \
        cr_assert_eq(CALL_##name(&late), APR_SUCCESS);                                             \
    }
    BY_HAND
#define VFS_OP_FS(name, class, params, args, doc) DO(name)
#define VFS_OP_FILE(name, class, params, args, doc) DO(name)
#define VFS_OP_DIR(name, class, params, args, doc) DO(name)
#include "vfs/vfs_ops.def"
#undef DO
    cr_assert_eq(w.fake.calls, before);
}

Test(vfs_dispatch, close_frees_the_handle_whatever_the_context_says, .init = setup,
     .fini = teardown)
{
    vfs_ctx_t late = VFS_CTX_INIT;
    vfs_file_t *file;
    late.deadline = 1;
    cr_assert_eq(vfs_open(&file, w.fs, NULL, "/a", VFS_O_READ, 0, NULL, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_close(file, &late), APR_SUCCESS);
    cr_assert_str_eq(w.fake.last, "close");
}

Test(vfs_dispatch, every_path_is_normal_when_an_op_sees_it, .init = setup, .fini = teardown)
{
    vfs_attr_t attr;
    cr_assert_eq(vfs_stat(w.fs, NULL, "//x/./y/../z", &attr), APR_SUCCESS);
    cr_assert_str_eq(w.fake.path, "/x/z");
    cr_assert_eq(vfs_mkdir(w.fs, NULL, "/../d/", 0755), APR_SUCCESS);
    cr_assert_str_eq(w.fake.path, "/d");
    cr_assert_eq(w.fake.path_flags, 0u, "the slash is dispatch's own business");
}

/* Every public function with a path, on a path that is none. */
Test(vfs_dispatch, every_public_function_refuses_a_bad_path, .init = setup, .fini = teardown)
{
    static const char *const bad[] = {NULL, "", "relative"};
    static const apr_status_t answer[] = {APR_EINVAL, APR_ENOENT, APR_EINVAL};
    vfs_attr_t attr;
    vfs_validator_t validator;
    vfs_file_t *file;
    vfs_dir_t *dir;
    vfs_t *fs = w.fs;
    for (int i = 0; i < 3; i++) {
        const char *p = bad[i];
        apr_status_t e = answer[i];
        cr_assert_eq(vfs_open(&file, fs, NULL, p, VFS_O_READ, 0, NULL, NULL), e);
        cr_assert_eq(vfs_opendir(&dir, fs, NULL, p, 0), e);
        cr_assert_eq(vfs_get(fs, NULL, p, buf, 8, &n, NULL, NULL), e);
        cr_assert_eq(vfs_stat(fs, NULL, p, &attr), e);
        cr_assert_eq(vfs_lstat(fs, NULL, p, &attr), e);
        cr_assert_eq(vfs_validator(fs, NULL, p, &validator), e);
        cr_assert_eq(vfs_access(fs, NULL, p, 0), e);
        cr_assert_eq(vfs_mknod(fs, NULL, p, VFS_TYPE_FILE, 0, 0), e);
        cr_assert_eq(vfs_mkdir(fs, NULL, p, 0), e);
        cr_assert_eq(vfs_rmdir(fs, NULL, p), e);
        cr_assert_eq(vfs_unlink(fs, NULL, p), e);
        cr_assert_eq(vfs_rename(fs, NULL, p, "/x", 0), e);
        cr_assert_eq(vfs_rename(fs, NULL, "/x", p, 0), e);
        cr_assert_eq(vfs_link(fs, NULL, p, "/x"), e);
        cr_assert_eq(vfs_link(fs, NULL, "/x", p), e);
        cr_assert_eq(vfs_symlink(fs, NULL, "t", p), e);
        cr_assert_eq(vfs_readlink(fs, NULL, p, buf, 8, &n), e);
        cr_assert_eq(vfs_truncate(fs, NULL, p, 0), e);
        cr_assert_eq(vfs_chmod(fs, NULL, p, 0, 0), e);
        cr_assert_eq(vfs_chown(fs, NULL, p, 0, 0, 0), e);
        cr_assert_eq(vfs_utimens(fs, NULL, p, 0, 0, 0), e);
        cr_assert_eq(vfs_getxattr(fs, NULL, p, "n", buf, 8, &n, 0), e);
        cr_assert_eq(vfs_setxattr(fs, NULL, p, "n", buf, 8, 0, 0), e);
        cr_assert_eq(vfs_listxattr(fs, NULL, p, buf, 8, &n, 0), e);
        cr_assert_eq(vfs_removexattr(fs, NULL, p, "n", 0), e);
        cr_assert_eq(vfs_statfs(fs, NULL, p, &space), e);
        cr_assert_eq(vfs_sync_dir(fs, NULL, p), e);
        cr_assert_eq(vfs_commit(fs, NULL, p, &source, NULL, NULL, NULL), e);
        cr_assert_eq(vfs_watch(fs, NULL, p, hear, NULL, &number), e);
    }
    cr_assert_eq(w.fake.calls, 0u);
}

/* And each of them reaches its own op. */
Test(vfs_dispatch, every_public_function_reaches_its_op, .init = setup, .fini = teardown)
{
    vfs_attr_t attr;
    vfs_validator_t validator;
    vfs_t *fs = w.fs;
#define REACHES(op, call)                                                                          \
    cr_assert_eq(call, APR_SUCCESS, #op);                                                          \
    cr_assert_str_eq(w.fake.last, #op)
    REACHES(get, vfs_get(fs, NULL, "/p", buf, 8, &n, NULL, NULL));
    REACHES(lstat, vfs_lstat(fs, NULL, "/p", &attr));
    REACHES(stat, vfs_validator(fs, NULL, "/p", &validator));
    cr_assert_eq(validator.kind, VFS_VALIDATOR_ETAG);
    REACHES(access, vfs_access(fs, NULL, "/p", VFS_ACCESS_READ));
    REACHES(mknod, vfs_mknod(fs, NULL, "/p", VFS_TYPE_FILE, 0644, 0));
    REACHES(rmdir, vfs_rmdir(fs, NULL, "/p"));
    REACHES(unlink, vfs_unlink(fs, NULL, "/p"));
    REACHES(rename, vfs_rename(fs, NULL, "/p", "/q", VFS_RENAME_NOREPLACE));
    REACHES(link, vfs_link(fs, NULL, "/p", "/q"));
    REACHES(symlink, vfs_symlink(fs, NULL, "t", "/p"));
    REACHES(readlink, vfs_readlink(fs, NULL, "/p", buf, 8, &n));
    REACHES(truncate, vfs_truncate(fs, NULL, "/p", 0));
    REACHES(chmod, vfs_chmod(fs, NULL, "/p", 0, 0));
    REACHES(chown, vfs_chown(fs, NULL, "/p", 0, 0, VFS_NOFOLLOW));
    REACHES(utimens, vfs_utimens(fs, NULL, "/p", VFS_TIME_NOW, VFS_TIME_OMIT, 0));
    REACHES(getxattr, vfs_getxattr(fs, NULL, "/p", "n", NULL, 0, &n, 0));
    REACHES(setxattr, vfs_setxattr(fs, NULL, "/p", "n", NULL, 0, VFS_XATTR_CREATE, 0));
    REACHES(listxattr, vfs_listxattr(fs, NULL, "/p", NULL, 0, &n, 0));
    REACHES(removexattr, vfs_removexattr(fs, NULL, "/p", "n", 0));
    REACHES(statfs, vfs_statfs(fs, NULL, "/p", &space));
    REACHES(sync_dir, vfs_sync_dir(fs, NULL, "/p"));
    REACHES(sync_fs, vfs_sync_fs(fs, NULL));
    REACHES(commit, vfs_commit(fs, NULL, "/p", &source, NULL, NULL, NULL));
    REACHES(watch, vfs_watch(fs, NULL, "/p", hear, NULL, &number));
    REACHES(unwatch, vfs_unwatch(fs, 1));
    REACHES(readv_at, vfs_readv_at(&w.file, NULL, &iov, 1, 0, &n));
    REACHES(writev_at, vfs_writev_at(&w.file, NULL, &iov, 1, 0, &n, NULL));
    REACHES(seek_extent, vfs_seek_extent(&w.file, NULL, 0, VFS_SEEK_HOLE, &where));
    REACHES(fstat, vfs_fstat(&w.file, NULL, &attr));
    REACHES(fstat, vfs_fvalidator(&w.file, NULL, &validator));
    REACHES(ftruncate, vfs_ftruncate(&w.file, NULL, 0));
    REACHES(fchmod, vfs_fchmod(&w.file, NULL, 07777));
    REACHES(fchown, vfs_fchown(&w.file, NULL, 0, 0));
    REACHES(futimens, vfs_futimens(&w.file, NULL, 0, 0));
    REACHES(fgetxattr, vfs_fgetxattr(&w.file, NULL, "n", NULL, 0, &n));
    REACHES(fsetxattr, vfs_fsetxattr(&w.file, NULL, "n", NULL, 0, VFS_XATTR_REPLACE));
    REACHES(flistxattr, vfs_flistxattr(&w.file, NULL, NULL, 0, &n));
    REACHES(fremovexattr, vfs_fremovexattr(&w.file, NULL, "n"));
    REACHES(flush, vfs_flush(&w.file, NULL));
    REACHES(sync, vfs_sync(&w.file, NULL, 0));
    cr_assert_eq(w.fake.flags, VFS_SYNC_ALL, "nothing said is everything");
    REACHES(sync, vfs_sync(&w.file, NULL, VFS_SYNC_DATA | VFS_SYNC_ALL));
    cr_assert_eq(w.fake.flags, VFS_SYNC_ALL);
    REACHES(allocate,
            vfs_allocate(&w.file, NULL, VFS_ALLOC_ZERO_RANGE | VFS_ALLOC_KEEP_SIZE, 0, 1));
    REACHES(lock, vfs_lock(&w.file, NULL, &wish));
    REACHES(readdir, vfs_readdir(&w.dir, NULL, &entry));
    REACHES(seekdir, vfs_seekdir(&w.dir, NULL, 3));
}
