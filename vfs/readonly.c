/*
 * readonly.c - a layer through which nothing can be changed: what asks or reads passes, the rest is
 * EROFS. Floor 1. The class of an op in vfs_ops.def decides; so a new op that changes something is
 * refused.
 */
#include "vfs/internal.h"
#include "vfs/refuse.h"

#define WRITING                                                                                    \
    (VFS_CAP_WRITE | VFS_CAP_RANDOM_WRITE | VFS_CAP_EXCL_CREATE | VFS_CAP_COMMIT |                 \
     VFS_CAP_CONDITIONAL | VFS_CAP_COPY_RANGE | VFS_CAP_ALLOCATE | VFS_CAP_SHIFT | VFS_CAP_COPY |  \
     VFS_CAP_APPEND | VFS_CAP_ATOMIC_RENAME | VFS_CAP_RENAME_NOREPLACE | VFS_CAP_RENAME_EXCHANGE | \
     VFS_CAP_STAGED)

static apr_status_t readonly_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                                  const vfs_path_t *path, uint32_t flags, uint32_t mode,
                                  vfs_attr_t *attr, vfs_validator_t *validator)
{
    if (flags & VFS_O_WRITE) return VFS__REFUSED;
    if (flags & VFS_O_EXCL) {
        apr_status_t status = vfs_call_lstat(fs->lower, ctx, path, attr, validator);
        if (status == APR_SUCCESS) return APR_EEXIST;
        return APR_STATUS_IS_ENOENT(status) ? VFS__REFUSED : status;
    }
    apr_status_t status =
        vfs_wrap_open(file, fs, ctx, path, flags & ~VFS_O_CREATE, mode, attr, validator);
    return (flags & VFS_O_CREATE) && APR_STATUS_IS_ENOENT(status) ? VFS__REFUSED : status;
}

static apr_status_t readonly_access(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                    uint32_t mask)
{
    apr_status_t status = vfs_call_access(fs->lower, ctx, path, mask & ~VFS_ACCESS_WRITE);
    return status == APR_SUCCESS && (mask & VFS_ACCESS_WRITE) ? VFS__REFUSED : status;
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
    .mknod = vfs__refuse_mknod,
    .mkdir = vfs__refuse_mkdir,
    .rmdir = vfs__refuse_rmdir,
    .unlink = vfs__refuse_unlink,
    .rename = vfs__refuse_rename,
    .link = vfs__refuse_link,
    .symlink = vfs__refuse_symlink,
    .readlink = vfs_pass_readlink,
    .truncate = vfs__refuse_truncate,
    .chmod = vfs__refuse_chmod,
    .chown = vfs__refuse_chown,
    .utimens = vfs__refuse_utimens,
    .statfs = vfs_pass_statfs,
    .getxattr = vfs_pass_getxattr,
    .setxattr = vfs__refuse_setxattr,
    .listxattr = vfs_pass_listxattr,
    .removexattr = vfs__refuse_removexattr,
    .sync_dir = vfs_pass_sync_dir,
    .sync_fs = vfs_pass_sync_fs,
    .commit = vfs__refuse_commit,
    .watch = vfs_pass_watch,
    .unwatch = vfs_pass_unwatch,
    .read_at = vfs_pass_read_at,
    .write_at = vfs__refuse_write_at,
    .readv_at = vfs_pass_readv_at,
    .writev_at = vfs__refuse_writev_at,
    .fstat = vfs_pass_fstat,
    .ftruncate = vfs__refuse_ftruncate,
    .fchmod = vfs__refuse_fchmod,
    .fchown = vfs__refuse_fchown,
    .futimens = vfs__refuse_futimens,
    .fgetxattr = vfs_pass_fgetxattr,
    .fsetxattr = vfs__refuse_fsetxattr,
    .flistxattr = vfs_pass_flistxattr,
    .fremovexattr = vfs__refuse_fremovexattr,
    .flush = vfs_pass_flush,
    .sync = vfs_pass_sync,
    .lock = vfs_pass_lock,
    .seek_extent = vfs_pass_seek_extent,
    .allocate = vfs__refuse_allocate,
    .fetch = vfs_pass_fetch,
};

apr_status_t vfs_readonly_create(vfs_t **out, vfs_t *lower, apr_pool_t *pool)
{
    VFS_CHECK_ARG(out != NULL && lower != NULL && pool != NULL);
    vfs_caps_t caps = *vfs_caps(lower);
    caps.bits &= ~WRITING;
    return vfs_create(out, &readonly_ops, lower, NULL, &caps, pool);
}
