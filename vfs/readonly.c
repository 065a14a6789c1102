/*
 * readonly.c - a layer through which nothing can be changed: what asks or reads passes, the rest is
 * EROFS. Floor 1. The class of an op in vfs_ops.def decides; so a new op that changes something is
 * refused.
 */
#include "vfs/internal.h"

#define EROFS_STATUS APR_FROM_OS_ERROR(EROFS)

#define WRITING                                                                                    \
    (VFS_CAP_WRITE | VFS_CAP_RANDOM_WRITE | VFS_CAP_EXCL_CREATE | VFS_CAP_COMMIT |                 \
     VFS_CAP_CONDITIONAL | VFS_CAP_COPY_RANGE | VFS_CAP_ALLOCATE | VFS_CAP_APPEND |                \
     VFS_CAP_ATOMIC_RENAME | VFS_CAP_RENAME_NOREPLACE | VFS_CAP_RENAME_EXCHANGE | VFS_CAP_STAGED)

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter" /* a refusal looks at nothing */
#define REFUSE(type, name, params)                                                                 \
    static apr_status_t readonly_##name(type, VFS_UNPACK params)                                   \
    {                                                                                              \
        return EROFS_STATUS;                                                                       \
    }
#define LET_PASS(type, name, params)
#define READONLY_CHANGE REFUSE
#define READONLY_WRITE REFUSE
#define READONLY_READ LET_PASS
#define READONLY_META LET_PASS
#define READONLY_SYNC LET_PASS
#define READONLY_HANDLE LET_PASS
#define VFS_OP_FS(name, class, params, args, doc) READONLY_##class(vfs_t * fs, name, params)
#define VFS_OP_FILE(name, class, params, args, doc)                                                \
    READONLY_##class(vfs_file_t * file, name, params)
#include "vfs/vfs_ops.def"
#pragma GCC diagnostic pop

static apr_status_t readonly_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                                  const vfs_path_t *path, uint32_t flags, uint32_t mode,
                                  vfs_attr_t *attr, vfs_validator_t *validator)
{
    if (flags & VFS_O_WRITE) return EROFS_STATUS;
    if (flags & VFS_O_EXCL) {
        apr_status_t status = vfs_call_lstat(fs->lower, ctx, path, attr, validator);
        if (status == APR_SUCCESS) return APR_EEXIST;
        return APR_STATUS_IS_ENOENT(status) ? EROFS_STATUS : status;
    }
    apr_status_t status =
        vfs_wrap_open(file, fs, ctx, path, flags & ~VFS_O_CREATE, mode, attr, validator);
    return (flags & VFS_O_CREATE) && APR_STATUS_IS_ENOENT(status) ? EROFS_STATUS : status;
}

static apr_status_t readonly_access(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                    uint32_t mask)
{
    apr_status_t status = vfs_call_access(fs->lower, ctx, path, mask & ~VFS_ACCESS_WRITE);
    return status == APR_SUCCESS && (mask & VFS_ACCESS_WRITE) ? EROFS_STATUS : status;
}

static const vfs_ops_t readonly_ops = {
    .abi = VFS_ABI,
    .size = sizeof(vfs_ops_t),
    .name = "readonly",
    .open = readonly_open,
    .opendir = vfs_pass_opendir,
    .close = vfs_pass_close,
    .get = vfs_pass_get,
    .stat = vfs_pass_stat,
    .lstat = vfs_pass_lstat,
    .access = readonly_access,
    .mknod = readonly_mknod,
    .mkdir = readonly_mkdir,
    .rmdir = readonly_rmdir,
    .unlink = readonly_unlink,
    .rename = readonly_rename,
    .link = readonly_link,
    .symlink = readonly_symlink,
    .readlink = vfs_pass_readlink,
    .truncate = readonly_truncate,
    .chmod = readonly_chmod,
    .chown = readonly_chown,
    .utimens = readonly_utimens,
    .statfs = vfs_pass_statfs,
    .getxattr = vfs_pass_getxattr,
    .setxattr = readonly_setxattr,
    .listxattr = vfs_pass_listxattr,
    .removexattr = readonly_removexattr,
    .sync_dir = vfs_pass_sync_dir,
    .sync_fs = vfs_pass_sync_fs,
    .commit = readonly_commit,
    .watch = vfs_pass_watch,
    .unwatch = vfs_pass_unwatch,
    .read_at = vfs_pass_read_at,
    .write_at = readonly_write_at,
    .readv_at = vfs_pass_readv_at,
    .writev_at = readonly_writev_at,
    .fstat = vfs_pass_fstat,
    .ftruncate = readonly_ftruncate,
    .fchmod = readonly_fchmod,
    .fchown = readonly_fchown,
    .futimens = readonly_futimens,
    .fgetxattr = vfs_pass_fgetxattr,
    .fsetxattr = readonly_fsetxattr,
    .flistxattr = vfs_pass_flistxattr,
    .fremovexattr = readonly_fremovexattr,
    .flush = vfs_pass_flush,
    .sync = vfs_pass_sync,
    .lock = vfs_pass_lock,
    .seek_extent = vfs_pass_seek_extent,
    .allocate = readonly_allocate,
    .fetch = vfs_pass_fetch,
};

apr_status_t vfs_readonly_create(vfs_t **out, vfs_t *lower, apr_pool_t *pool)
{
    VFS_CHECK_ARG(out != NULL && lower != NULL && pool != NULL);
    vfs_caps_t caps = *vfs_caps(lower);
    caps.bits &= ~WRITING;
    return vfs_create(out, &readonly_ops, lower, NULL, &caps, pool);
}
