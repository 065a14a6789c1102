/*
 * bare.c - a layer that can do the least: what a layer above it, or a user, gets from a backend
 * that has no links, no attributes to set, no holes: every op that a capability stands for, or that
 * dispatch can make of others, is missing. Floor 4: test support.
 */
#include "tests/stacks/sut.h"
#include "vfs/vfs_ops.h"

static const vfs_ops_t bare_ops = {
    .abi = VFS_ABI,
    .size = sizeof(vfs_ops_t),
    .name = "bare",
    .open = vfs_wrap_open,
    .opendir = vfs_wrap_opendir,
    .close = vfs_pass_close,
    .closedir = vfs_pass_closedir,
    .stat = vfs_pass_stat,
    .lstat = vfs_pass_lstat,
    .mkdir = vfs_pass_mkdir,
    .rmdir = vfs_pass_rmdir,
    .unlink = vfs_pass_unlink,
    .rename = vfs_pass_rename,
    .truncate = vfs_pass_truncate,
    .statfs = vfs_pass_statfs,
    .sync_dir = vfs_pass_sync_dir,
    .sync_fs = vfs_pass_sync_fs,
    .read_at = vfs_pass_read_at,
    .write_at = vfs_pass_write_at,
    .fstat = vfs_pass_fstat,
    .ftruncate = vfs_pass_ftruncate,
    .flush = vfs_pass_flush,
    .sync = vfs_pass_sync,
    .readdir = vfs_pass_readdir,
    .seekdir = vfs_pass_seekdir,
};

apr_status_t sut_bare_create(vfs_t **out, vfs_t *lower, apr_pool_t *pool)
{
    vfs_caps_t caps = *vfs_caps(lower);
    caps.bits &= VFS_CAP_WRITE | VFS_CAP_RANDOM_WRITE | VFS_CAP_DIRS | VFS_CAP_STABLE_ID |
                 VFS_CAP_UNLINKED_OPEN | VFS_CAP_APPEND | VFS_CAP_EXCL_CREATE |
                 VFS_CAP_ATOMIC_RENAME | VFS_CAP_RENAME_NOREPLACE | VFS_CAP_RENAME_EXCHANGE;
    return vfs_create(out, &bare_ops, lower, NULL, &caps, pool);
}
