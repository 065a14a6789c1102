/*
 * noid.c - a layer whose files have no numbers, as those of many a remote: a path is all that names
 * one, so there are no links either. Floor 4: test support.
 */
#include "tests/stacks/sut.h"
#include "vfs/vfs_ops.h"

static void hide(apr_status_t st, vfs_attr_t *attr)
{
    if (st || !attr) return;
    attr->flags &= ~VFS_ATTR_STABLE_ID;
    attr->dev = attr->ino = 0;
}

static apr_status_t noid_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                              const vfs_path_t *path, uint32_t flags, uint32_t mode,
                              vfs_attr_t *attr, vfs_validator_t *validator)
{
    apr_status_t st = vfs_wrap_open(file, fs, ctx, path, flags, mode, attr, validator);
    hide(st, attr);
    return st;
}

static apr_status_t noid_get(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, void *buf,
                             size_t len, size_t *got, vfs_attr_t *attr, vfs_validator_t *validator)
{
    apr_status_t st = vfs_pass_get(fs, ctx, path, buf, len, got, attr, validator);
    hide(st, attr);
    return st;
}

static apr_status_t noid_stat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              vfs_attr_t *attr, vfs_validator_t *validator)
{
    apr_status_t st = vfs_pass_stat(fs, ctx, path, attr, validator);
    hide(st, attr);
    return st;
}

static apr_status_t noid_lstat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               vfs_attr_t *attr, vfs_validator_t *validator)
{
    apr_status_t st = vfs_pass_lstat(fs, ctx, path, attr, validator);
    hide(st, attr);
    return st;
}

static apr_status_t noid_fstat(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_attr_t *attr,
                               vfs_validator_t *validator)
{
    apr_status_t st = vfs_pass_fstat(file, ctx, attr, validator);
    hide(st, attr);
    return st;
}

static apr_status_t noid_readdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, vfs_dirent_t *entry)
{
    apr_status_t st = vfs_pass_readdir(dir, ctx, entry);
    hide(st, &entry->attr);
    if (!st) entry->ino = 0;
    return st;
}

static const vfs_ops_t noid_ops = {
    .abi = VFS_ABI,
    .size = sizeof(vfs_ops_t),
    .name = "noid",
    .open = noid_open,
    .opendir = vfs_wrap_opendir,
    .close = vfs_pass_close,
    .closedir = vfs_pass_closedir,
    .get = noid_get,
    .stat = noid_stat,
    .lstat = noid_lstat,
    .mkdir = vfs_pass_mkdir,
    .rmdir = vfs_pass_rmdir,
    .unlink = vfs_pass_unlink,
    .rename = vfs_pass_rename,
    .truncate = vfs_pass_truncate,
    .statfs = vfs_pass_statfs,
    .sync_dir = vfs_pass_sync_dir,
    .sync_fs = vfs_pass_sync_fs,
    .read_at = vfs_pass_read_at,
    .fetch = vfs_pass_fetch,
    .write_at = vfs_pass_write_at,
    .fstat = noid_fstat,
    .ftruncate = vfs_pass_ftruncate,
    .flush = vfs_pass_flush,
    .sync = vfs_pass_sync,
    .readdir = noid_readdir,
    .seekdir = vfs_pass_seekdir,
};

apr_status_t sut_noid_create(vfs_t **out, vfs_t *lower, apr_pool_t *pool)
{
    vfs_caps_t caps = *vfs_caps(lower);
    caps.bits &= VFS_CAP_WRITE | VFS_CAP_RANDOM_WRITE | VFS_CAP_DIRS | VFS_CAP_UNLINKED_OPEN |
                 VFS_CAP_APPEND | VFS_CAP_EXCL_CREATE | VFS_CAP_ATOMIC_RENAME |
                 VFS_CAP_RENAME_NOREPLACE | VFS_CAP_RENAME_EXCHANGE | VFS_CAP_LISTS_ALL;
    return vfs_create(out, &noid_ops, lower, NULL, &caps, pool);
}
