/*
 * test_dispatch.c - what dispatch does for every op alike, swept over the one list, and its checks
 * of arguments, out-parameters and flags one by one.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include <criterion/criterion.h>

#include "support_fake.h"

#define READ_WRITE (VFS_O_READ | VFS_O_WRITE)

/* One valid call of each op; the handles are ours, so open is not needed. */
typedef struct world_t {
    apr_pool_t *pool;
    fake_t fake;
    vfs_t *fs;
    vfs_file_t file, other;
    vfs_dir_t dir;
    vfs_path_t path, path2;
} world_t;

static world_t w;

static void setup_with(const vfs_ops_t *ops)
{
    w.pool = test_pool();
    w.fs = fake_create(&w.fake, ops, w.pool);
    vfs_file_init(&w.file, w.fs, READ_WRITE, NULL);
    vfs_file_init(&w.other, w.fs, READ_WRITE, NULL);
    vfs_dir_init(&w.dir, w.fs, 0, NULL);
    cr_assert_eq(vfs_path_init(&w.path, "/a", NULL), APR_SUCCESS);
    cr_assert_eq(vfs_path_init(&w.path2, "/b", NULL), APR_SUCCESS);
}

static void setup(void)
{
    vfs_ops_t ops = fake_ops();
    setup_with(&ops);
}

static void teardown(void)
{
    cr_assert_eq(vfs_destroy(w.fs), APR_SUCCESS);
    apr_pool_destroy(w.pool);
}

static char buf[64];
static size_t n;
static vfs_iovec_t iov = {buf, 8};
static uint64_t number;
static apr_off_t where;
static vfs_statfs_t space;
static vfs_dirent_t entry;
static vfs_lock_t wish = {.type = VFS_LOCK_READ};

static apr_status_t source_read(void *baton, void *to, size_t len, apr_off_t off)
{
    (void)baton, (void)off; /* the same bytes everywhere */
    memset(to, 's', len);
    return APR_SUCCESS;
}
static const vfs_source_t source = {source_read, NULL, 4};

static void hear(void *baton, uint32_t events, const char *path)
{
    (void)baton, (void)events, (void)path; /* never called by the fake */
}

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

Test(vfs_dispatch, open_knows_which_flags_go_together, .init = setup, .fini = teardown)
{
    static const uint32_t bad[] = {0,
                                   VFS_O_CREATE,
                                   VFS_O_READ | VFS_O_EXCL,
                                   VFS_O_READ | VFS_O_TRUNC,
                                   VFS_O_READ | VFS_O_APPEND,
                                   VFS_O_READ | (VFS_O_ALL + 1),
                                   READ_WRITE | VFS_O_CREATE | VFS_O_DIRECTORY};
    static const uint32_t good[] = {VFS_O_READ, VFS_O_DIRECTORY, VFS_O_READ | VFS_O_CREATE,
                                    VFS_O_WRITE | VFS_O_TRUNC | VFS_O_APPEND,
                                    VFS_O_ALL & ~VFS_O_DIRECTORY};
    vfs_file_t *file;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert_eq(vfs_open(&file, w.fs, NULL, "/a", bad[i], 0644, NULL, NULL), APR_EINVAL, "%zu",
                     i);
    cr_assert_eq(w.fake.calls, 0u);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        cr_assert_eq(vfs_open(&file, w.fs, NULL, "/a", good[i], 0644, NULL, NULL), APR_SUCCESS);
        cr_assert_eq(w.fake.flags, good[i]);
        cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    }
    cr_assert_eq(vfs_open(&file, w.fs, NULL, "/a", VFS_O_READ | VFS_O_CREATE, 0100644, NULL, NULL),
                 APR_EINVAL, "a mode is permission bits only");
    cr_assert_eq(vfs_open(NULL, w.fs, NULL, "/a", VFS_O_READ, 0, NULL, NULL), APR_EINVAL);
    cr_assert_eq(vfs_opendir(NULL, w.fs, NULL, "/a", 0), APR_EINVAL);
    vfs_dir_t *dir;
    cr_assert_eq(vfs_opendir(&dir, w.fs, NULL, "/a", 2), APR_EINVAL);
}

Test(vfs_dispatch, unknown_flags_and_impossible_values_are_refused, .init = setup, .fini = teardown)
{
    vfs_t *fs = w.fs;
    vfs_commit_t how = VFS_COMMIT_INIT;
    vfs_source_t nothing = {NULL, NULL, 1};
#define REFUSED(call) cr_assert_eq(call, APR_EINVAL, #call)
    REFUSED(vfs_access(fs, NULL, "/p", 8));
    REFUSED(vfs_mknod(fs, NULL, "/p", VFS_TYPE_DIR, 0, 0));
    REFUSED(vfs_mknod(fs, NULL, "/p", VFS_TYPE_LINK, 0, 0));
    REFUSED(vfs_mknod(fs, NULL, "/p", VFS_TYPE_FILE, 010000, 0));
    REFUSED(vfs_mkdir(fs, NULL, "/p", 010000));
    REFUSED(vfs_rename(fs, NULL, "/p", "/q", VFS_RENAME_NOREPLACE | VFS_RENAME_EXCHANGE));
    REFUSED(vfs_rename(fs, NULL, "/p", "/q", 4));
    REFUSED(vfs_symlink(fs, NULL, NULL, "/p"));
    REFUSED(vfs_readlink(fs, NULL, "/p", NULL, 8, &n));
    REFUSED(vfs_readlink(fs, NULL, "/p", buf, 0, &n));
    REFUSED(vfs_truncate(fs, NULL, "/p", -1));
    REFUSED(vfs_chmod(fs, NULL, "/p", 010000, 0));
    REFUSED(vfs_chmod(fs, NULL, "/p", 0, 2));
    REFUSED(vfs_chown(fs, NULL, "/p", 0, 0, 2));
    REFUSED(vfs_utimens(fs, NULL, "/p", 0, 0, 2));
    REFUSED(vfs_getxattr(fs, NULL, "/p", NULL, buf, 8, &n, 0));
    REFUSED(vfs_getxattr(fs, NULL, "/p", "", buf, 8, &n, 0));
    REFUSED(vfs_getxattr(fs, NULL, "/p", "n", NULL, 8, &n, 0));
    REFUSED(vfs_getxattr(fs, NULL, "/p", "n", buf, 8, &n, 2));
    REFUSED(vfs_setxattr(fs, NULL, "/p", "n", buf, 8, VFS_XATTR_CREATE | VFS_XATTR_REPLACE, 0));
    REFUSED(vfs_setxattr(fs, NULL, "/p", "n", NULL, 8, 0, 0));
    REFUSED(vfs_setxattr(fs, NULL, "/p", "n", buf, 8, 0, 2));
    REFUSED(vfs_listxattr(fs, NULL, "/p", NULL, 8, &n, 0));
    REFUSED(vfs_removexattr(fs, NULL, "/p", "n", 2));
    REFUSED(vfs_statfs(fs, NULL, "/p", NULL));
    REFUSED(vfs_validator(fs, NULL, "/p", NULL));
    REFUSED(vfs_get(fs, NULL, "/p", NULL, 8, &n, NULL, NULL));
    REFUSED(vfs_get(fs, NULL, "/p", buf, 8, NULL, NULL, NULL));
    REFUSED(vfs_watch(fs, NULL, "/p", NULL, NULL, &number));
    REFUSED(vfs_watch(fs, NULL, "/p", hear, NULL, NULL));
    REFUSED(vfs_commit(fs, NULL, "/p", NULL, &how, NULL, NULL));
    REFUSED(vfs_commit(fs, NULL, "/p", &nothing, &how, NULL, NULL));
    how.flags = VFS_COMMIT_IF_MATCH;
    REFUSED(vfs_commit(fs, NULL, "/p", &source, &how, NULL, NULL));
    how.expected.kind = VFS_VALIDATOR_ETAG;
    cr_assert_eq(vfs_commit(fs, NULL, "/p", &source, &how, NULL, NULL), APR_SUCCESS);
    how.flags |= VFS_COMMIT_IF_NONE;
    REFUSED(vfs_commit(fs, NULL, "/p", &source, &how, NULL, NULL));
    how.flags = 8;
    REFUSED(vfs_commit(fs, NULL, "/p", &source, &how, NULL, NULL));
    how.flags = 0;
    how.mode = 010000;
    REFUSED(vfs_commit(fs, NULL, "/p", &source, &how, NULL, NULL));
    REFUSED(vfs_ftruncate(&w.file, NULL, -1));
    REFUSED(vfs_fchmod(&w.file, NULL, 010000));
    REFUSED(vfs_fgetxattr(&w.file, NULL, "", buf, 8, &n));
    REFUSED(vfs_fsetxattr(&w.file, NULL, "n", buf, 8, 4));
    REFUSED(vfs_fsetxattr(&w.file, NULL, NULL, buf, 8, 0));
    REFUSED(vfs_flistxattr(&w.file, NULL, NULL, 8, &n));
    REFUSED(vfs_fremovexattr(&w.file, NULL, NULL));
    REFUSED(vfs_fvalidator(&w.file, NULL, NULL));
    REFUSED(vfs_sync(&w.file, NULL, 4));
    REFUSED(vfs_seek_extent(&w.file, NULL, 0, VFS_SEEK_END, &where));
    REFUSED(vfs_seek_extent(&w.file, NULL, -1, VFS_SEEK_DATA, &where));
    REFUSED(vfs_seek_extent(&w.file, NULL, 0, VFS_SEEK_DATA, NULL));
    REFUSED(vfs_readdir(&w.dir, NULL, NULL));
    cr_assert_eq(vfs_symlink(fs, NULL, "", "/p"), APR_ENOENT);
    char *longest = memset(apr_pcalloc(w.pool, VFS_PATH_MAX + 1), 't', VFS_PATH_MAX);
    cr_assert_eq(vfs_symlink(fs, NULL, longest, "/p"), APR_ENAMETOOLONG);
    longest[VFS_PATH_MAX - 1] = '\0';
    cr_assert_eq(vfs_symlink(fs, NULL, longest, "/p"), APR_SUCCESS);
}

Test(vfs_dispatch, allocate_takes_one_kind_at_a_time, .init = setup, .fini = teardown)
{
    for (uint32_t flags = 0; flags < 64; flags++) {
        int keep = (flags & VFS_ALLOC_KEEP_SIZE) != 0;
        int good = flags == 0 || flags == 1 || (flags & ~1u) == VFS_ALLOC_ZERO_RANGE ||
                   ((flags & ~1u) == VFS_ALLOC_PUNCH_HOLE && keep) || flags == VFS_ALLOC_COLLAPSE ||
                   flags == VFS_ALLOC_INSERT;
        cr_assert_eq(vfs_allocate(&w.file, NULL, flags, 0, 1), good ? APR_SUCCESS : APR_EINVAL,
                     "%u", flags);
    }
    cr_assert_eq(vfs_allocate(&w.file, NULL, 0, 0, 0), APR_EINVAL);
    cr_assert_eq(vfs_allocate(&w.file, NULL, 0, -1, 1), APR_EINVAL);
    cr_assert_eq(vfs_allocate(&w.file, NULL, 0, INT64_MAX, 1), APR_EINVAL);
    cr_assert_eq(vfs_allocate(&w.file, NULL, 0, INT64_MAX - 1, 1), APR_SUCCESS);
}

Test(vfs_dispatch, locks_are_checked_as_fcntl_does, .init = setup, .fini = teardown)
{
    vfs_lock_t lock = {.type = VFS_LOCK_WRITE};
    lock.start = -1;
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_EINVAL);
    lock.start = INT64_MAX;
    lock.len = 1;
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_EINVAL);
    lock = (vfs_lock_t){.type = VFS_LOCK_WRITE, .len = -1};
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_EINVAL);
    lock = (vfs_lock_t){.type = VFS_LOCK_WRITE, .flags = 8};
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_EINVAL);
    lock = (vfs_lock_t){.type = VFS_LOCK_UNLOCK, .flags = VFS_LOCK_TEST};
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_EINVAL);
    lock = (vfs_lock_t){.type = (vfs_lock_e)7};
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_EINVAL);
    cr_assert_eq(vfs_lock(&w.file, NULL, NULL), APR_EINVAL);

    lock = (vfs_lock_t){.type = VFS_LOCK_WRITE};
    w.file.flags = VFS_O_READ;
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_EBADF);
    lock.flags = VFS_LOCK_WHOLE;
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_SUCCESS, "flock asks for no mode");
    lock.flags = VFS_LOCK_TEST;
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_SUCCESS);
    lock = (vfs_lock_t){.type = VFS_LOCK_READ};
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_SUCCESS);
    w.file.flags = VFS_O_WRITE;
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_EBADF);
    lock.type = VFS_LOCK_UNLOCK;
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_SUCCESS);
}

Test(vfs_dispatch, a_handle_does_what_it_was_opened_for, .init = setup, .fini = teardown)
{
    w.file.flags = VFS_O_WRITE;
    cr_assert_eq(vfs_read_at(&w.file, NULL, buf, 8, 0, &n), APR_EBADF);
    cr_assert_eq(vfs_readv_at(&w.file, NULL, &iov, 1, 0, &n), APR_EBADF);
    cr_assert_eq(CALL_fetch(NULL), APR_EBADF);
    cr_assert_eq(CALL_copy_range(NULL), APR_EBADF);
    w.file.flags = VFS_O_READ;
    cr_assert_eq(vfs_write_at(&w.file, NULL, buf, 8, 0, &n, NULL), APR_EBADF);
    cr_assert_eq(vfs_writev_at(&w.file, NULL, &iov, 1, 0, &n, NULL), APR_EBADF);
    cr_assert_eq(vfs_ftruncate(&w.file, NULL, 0), APR_EBADF);
    cr_assert_eq(vfs_allocate(&w.file, NULL, 0, 0, 1), APR_EBADF);
    w.other.flags = VFS_O_READ;
    cr_assert_eq(CALL_copy_range(NULL), APR_EBADF);
    w.other.flags = VFS_O_WRITE | VFS_O_APPEND;
    cr_assert_eq(CALL_copy_range(NULL), APR_EBADF);
    cr_assert_eq(w.fake.calls, 0u);
}

Test(vfs_dispatch, offsets_are_not_negative_and_do_not_overflow, .init = setup, .fini = teardown)
{
    apr_off_t max = INT64_MAX;
    vfs_iovec_t two[2] = {{buf, 8}, {buf, 8}};
    n = 7;
    cr_assert_eq(vfs_read_at(&w.file, NULL, buf, 8, -1, &n), APR_EINVAL);
    cr_assert_eq(n, 0u);
    cr_assert_eq(vfs_read_at(&w.file, NULL, buf, 8, max - 7, &n), APR_EINVAL);
    cr_assert_eq(vfs_read_at(&w.file, NULL, buf, 8, max - 8, &n), APR_SUCCESS);
    cr_assert_eq(vfs_read_at(&w.file, NULL, buf, SIZE_MAX, 0, &n), APR_EINVAL);
    cr_assert_eq(vfs_read_at(&w.file, NULL, buf, 8, 0, NULL), APR_EINVAL);
    cr_assert_eq(vfs_read_at(&w.file, NULL, NULL, 8, 0, &n), APR_EINVAL);
    cr_assert_eq(vfs_write_at(&w.file, NULL, buf, 8, -2, &n, NULL), APR_EINVAL);
    cr_assert_eq(vfs_write_at(&w.file, NULL, buf, 8, max - 7, &n, NULL), APR_EINVAL);
    cr_assert_eq(vfs_write_at(&w.file, NULL, buf, SIZE_MAX, VFS_OFFSET_END, &n, NULL), APR_EINVAL);
    cr_assert_eq(vfs_write_at(&w.file, NULL, NULL, 8, 0, &n, NULL), APR_EINVAL);
    cr_assert_eq(vfs_write_at(&w.file, NULL, buf, 8, 0, NULL, NULL), APR_EINVAL);
    cr_assert_eq(vfs_readv_at(&w.file, NULL, two, 2, max - 15, &n), APR_EINVAL);
    cr_assert_eq(vfs_readv_at(&w.file, NULL, two, 2, max - 16, &n), APR_SUCCESS);
    cr_assert_eq(vfs_readv_at(&w.file, NULL, two, 2, -1, &n), APR_EINVAL);
    cr_assert_eq(vfs_readv_at(&w.file, NULL, two, 1025, 0, &n), APR_EINVAL);
    cr_assert_eq(vfs_readv_at(&w.file, NULL, NULL, 1, 0, &n), APR_EINVAL);
    cr_assert_eq(vfs_readv_at(&w.file, NULL, two, 2, 0, NULL), APR_EINVAL);
    cr_assert_eq(vfs_writev_at(&w.file, NULL, two, 2, -2, &n, NULL), APR_EINVAL);
    cr_assert_eq(vfs_writev_at(&w.file, NULL, two, 2, 0, NULL, NULL), APR_EINVAL);
    cr_assert_eq(vfs_call_fetch(&w.file, NULL, two, 2, -1, &n, NULL), APR_EINVAL);
    cr_assert_eq(vfs_call_fetch(&w.file, NULL, two, 2, 0, NULL, NULL), APR_EINVAL);
    cr_assert_eq(vfs_call_fetch(&w.file, NULL, two, 2, max - 15, &n, NULL), APR_EINVAL);
    two[1].len = SIZE_MAX - 4;
    cr_assert_eq(vfs_writev_at(&w.file, NULL, two, 2, VFS_OFFSET_END, &n, NULL), APR_EINVAL);
    two[1] = (vfs_iovec_t){NULL, 1};
    cr_assert_eq(vfs_writev_at(&w.file, NULL, two, 2, 0, &n, NULL), APR_EINVAL);
    cr_assert_eq(vfs_copy_range(&w.file, NULL, -1, &w.other, 0, 8, &n), APR_EINVAL);
    cr_assert_eq(vfs_copy_range(&w.file, NULL, 0, &w.other, max - 7, 8, &n), APR_EINVAL);
    cr_assert_eq(vfs_copy_range(&w.file, NULL, 0, &w.other, 0, 8, NULL), APR_EINVAL);
}

Test(vfs_dispatch, nothing_to_move_is_success_without_a_call, .init = setup, .fini = teardown)
{
    vfs_iovec_t empty[2] = {{NULL, 0}, {buf, 0}};
    vfs_validator_t validator = {.kind = VFS_VALIDATOR_ETAG};
    cr_assert_eq(vfs_read_at(&w.file, NULL, NULL, 0, 5, &n), APR_SUCCESS);
    cr_assert_eq(vfs_write_at(&w.file, NULL, NULL, 0, 5, &n, &validator), APR_SUCCESS);
    cr_assert_eq(validator.kind, VFS_VALIDATOR_NONE);
    cr_assert_eq(vfs_readv_at(&w.file, NULL, empty, 2, 5, &n), APR_SUCCESS);
    cr_assert_eq(vfs_readv_at(&w.file, NULL, NULL, 0, 5, &n), APR_SUCCESS);
    cr_assert_eq(vfs_writev_at(&w.file, NULL, empty, 2, 5, &n, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_call_fetch(&w.file, NULL, empty, 2, 5, &n, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_copy_range(&w.file, NULL, 0, &w.other, 0, 0, &n), APR_SUCCESS);
    cr_assert_eq(w.fake.calls, 0u);
    w.file.flags = VFS_O_WRITE;
    cr_assert_eq(vfs_read_at(&w.file, NULL, NULL, 0, 5, &n), APR_EBADF, "but not on any handle");
}

Test(vfs_dispatch, an_error_reads_nothing, .init = setup, .fini = teardown)
{
    w.fake.got = 5;
    w.fake.answer = APR_EGENERAL;
    cr_assert_eq(vfs_read_at(&w.file, NULL, buf, 8, 0, &n), APR_EGENERAL);
    cr_assert_eq(n, 0u);
    cr_assert_eq(vfs_readv_at(&w.file, NULL, &iov, 1, 0, &n), APR_EGENERAL);
    cr_assert_eq(n, 0u);
    cr_assert_eq(vfs_get(w.fs, NULL, "/a", buf, 8, &n, NULL, NULL), APR_EGENERAL);
    cr_assert_eq(n, 0u);
    cr_assert_eq(vfs_write_at(&w.file, NULL, buf, 8, 0, &n, NULL), APR_EGENERAL);
    cr_assert_eq(n, 5u, "but a write says what was accepted");
    cr_assert_eq(vfs_copy_range(&w.file, NULL, 0, &w.other, 0, 8, &n), APR_EGENERAL);
    cr_assert_eq(n, 5u);
    cr_assert_eq(vfs_readdir(&w.dir, NULL, &entry), APR_EGENERAL);
    cr_assert_null(entry.name);
    w.fake.answer = APR_SUCCESS;
    cr_assert_eq(vfs_read_at(&w.file, NULL, buf, 8, 0, &n), APR_SUCCESS);
    cr_assert_eq(n, 5u);
}

Test(vfs_dispatch, an_append_handle_writes_at_the_end_only, .init = setup, .fini = teardown)
{
    cr_assert_eq(vfs_write_at(&w.file, NULL, buf, 8, 3, &n, NULL), APR_SUCCESS);
    cr_assert_eq(w.fake.off, 3);
    w.file.flags |= VFS_O_APPEND;
    cr_assert_eq(vfs_write_at(&w.file, NULL, buf, 8, 3, &n, NULL), APR_SUCCESS);
    cr_assert_eq(w.fake.off, VFS_OFFSET_END);
    cr_assert_eq(vfs_writev_at(&w.file, NULL, &iov, 1, 3, &n, NULL), APR_SUCCESS);
    cr_assert_eq(w.fake.off, VFS_OFFSET_END);
}

Test(vfs_dispatch, copying_stays_within_one_file_system_and_does_not_overlap, .init = setup,
     .fini = teardown)
{
    fake_t fake = {0};
    vfs_ops_t ops = fake_ops();
    vfs_t *elsewhere = fake_create(&fake, &ops, w.pool);
    vfs_file_t far;
    vfs_file_init(&far, elsewhere, READ_WRITE, NULL);
    cr_assert_eq(vfs_copy_range(&w.file, NULL, 0, &far, 0, 8, &n), APR_EINVAL);
    cr_assert_eq(vfs_copy_range(&w.file, NULL, 0, &w.file, 7, 8, &n), APR_EINVAL);
    cr_assert_eq(vfs_copy_range(&w.file, NULL, 7, &w.file, 0, 8, &n), APR_EINVAL);
    cr_assert_eq(vfs_copy_range(&w.file, NULL, 0, &w.file, 8, 8, &n), APR_SUCCESS);
    cr_assert_eq(vfs_copy_range(&w.file, NULL, 8, &w.file, 0, 8, &n), APR_SUCCESS);
    cr_assert_eq(vfs_destroy(elsewhere), APR_SUCCESS);
}

Test(vfs_dispatch, the_root_cannot_be_made_moved_or_removed, .init = setup, .fini = teardown)
{
    apr_status_t busy = APR_FROM_OS_ERROR(EBUSY), isdir = APR_FROM_OS_ERROR(EISDIR);
    vfs_file_t *file;
    uint32_t create = READ_WRITE | VFS_O_CREATE;
    w.fake.type = VFS_TYPE_DIR;
    cr_assert_eq(vfs_unlink(w.fs, NULL, "/"), isdir);
    cr_assert_eq(vfs_rmdir(w.fs, NULL, "/"), busy);
    cr_assert_eq(vfs_rename(w.fs, NULL, "/", "/a", 0), busy);
    cr_assert_eq(vfs_rename(w.fs, NULL, "/a", "/..", 0), busy);
    cr_assert_eq(vfs_mkdir(w.fs, NULL, "/", 0755), APR_EEXIST);
    cr_assert_eq(vfs_mknod(w.fs, NULL, "/", VFS_TYPE_FILE, 0, 0), APR_EEXIST);
    cr_assert_eq(vfs_symlink(w.fs, NULL, "t", "/"), APR_EEXIST);
    cr_assert_eq(vfs_link(w.fs, NULL, "/a", "/"), APR_EEXIST);
    cr_assert_eq(vfs_commit(w.fs, NULL, "/", &source, NULL, NULL, NULL), isdir);
    cr_assert_eq(vfs_open(&file, w.fs, NULL, "/", VFS_O_WRITE, 0, NULL, NULL), isdir);
    cr_assert_eq(vfs_open(&file, w.fs, NULL, "/", VFS_O_READ | VFS_O_CREATE, 0, NULL, NULL), isdir);
    cr_assert_eq(vfs_open(&file, w.fs, NULL, "/", create | VFS_O_EXCL, 0, NULL, NULL), APR_EEXIST);
    cr_assert_eq(w.fake.calls, 0u);
}

static apr_status_t lying_read_at(vfs_file_t *file, const vfs_ctx_t *ctx, void *to, size_t len,
                                  apr_off_t off, size_t *got)
{
    (void)file, (void)ctx, (void)to, (void)off; /* it only lies */
    *got = len + 1;
    return APR_SUCCESS;
}

Test(vfs_dispatch, a_layer_that_reads_more_than_asked_is_stopped, .signal = SIGABRT, .init = setup)
{
    w.fs->ops.read_at = lying_read_at;
    (void)vfs_read_at(&w.file, NULL, buf, 8, 0, &n);
}

static apr_status_t short_write_at(vfs_file_t *file, const vfs_ctx_t *ctx, const void *from,
                                   size_t len, apr_off_t off, size_t *written,
                                   vfs_validator_t *validator)
{
    (void)file, (void)ctx, (void)from, (void)off, (void)validator; /* it only falls short */
    *written = len - 1;
    return APR_SUCCESS;
}

Test(vfs_dispatch, a_short_write_without_an_error_is_stopped, .signal = SIGABRT, .init = setup)
{
    w.fs->ops.write_at = short_write_at;
    (void)vfs_write_at(&w.file, NULL, buf, 8, 0, &n, NULL);
}

Test(vfs_dispatch, a_closed_handle_is_noticed, .signal = SIGABRT, .init = setup)
{
    w.file.magic = 0;
    (void)vfs_read_at(&w.file, NULL, buf, 8, 0, &n);
}
