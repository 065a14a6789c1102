/*
 * whole.c - a layer that takes whole objects only, as S3 does: no file can be opened to write, none
 * has a number or a second name, and a version is an entity tag. Floor 4: test support.
 */
#include "tests/stacks/sut.h"
#include "vfs/vfs_ops.h"

/* The bytes of a version below are those of its tag here. */
static void to_tag(apr_status_t st, vfs_validator_t *v)
{
    if (st || v->kind == VFS_VALIDATOR_NONE) return;
    v->kind = VFS_VALIDATOR_ETAG;
    v->flags = 0;
}

static void hide(apr_status_t st, vfs_attr_t *attr)
{
    if (st) return;
    attr->flags &= ~VFS_ATTR_STABLE_ID;
    attr->dev = attr->ino = 0;
}

static apr_status_t whole_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                               const vfs_path_t *path, uint32_t flags, uint32_t mode,
                               vfs_attr_t *attr, vfs_validator_t *validator)
{
    if (flags & (VFS_O_WRITE | VFS_O_CREATE)) return APR_ENOTIMPL;
    apr_status_t st = vfs_wrap_open(file, fs, ctx, path, flags, mode, attr, validator);
    hide(st, attr);
    to_tag(st, validator);
    return st;
}

#define ASK(name)                                                                                  \
    static apr_status_t whole_##name(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,      \
                                     vfs_attr_t *attr, vfs_validator_t *validator)                 \
    {                                                                                              \
        apr_status_t st = vfs_pass_##name(fs, ctx, path, attr, validator);                         \
        hide(st, attr);                                                                            \
        to_tag(st, validator);                                                                     \
        return st;                                                                                 \
    }
ASK(stat)
ASK(lstat)

static apr_status_t whole_get(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, void *buf,
                              size_t len, size_t *got, vfs_attr_t *attr, vfs_validator_t *validator)
{
    apr_status_t st = vfs_pass_get(fs, ctx, path, buf, len, got, attr, validator);
    hide(st, attr);
    to_tag(st, validator);
    return st;
}

static apr_status_t whole_fstat(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_attr_t *attr,
                                vfs_validator_t *validator)
{
    apr_status_t st = vfs_pass_fstat(file, ctx, attr, validator);
    hide(st, attr);
    to_tag(st, validator);
    return st;
}

static apr_status_t whole_fetch(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                size_t count, apr_off_t off, size_t *got,
                                vfs_validator_t *validator)
{
    apr_status_t st = vfs_pass_fetch(file, ctx, iov, count, off, got, validator);
    to_tag(st, validator);
    return st;
}

static apr_status_t whole_readdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, vfs_dirent_t *entry)
{
    apr_status_t st = vfs_pass_readdir(dir, ctx, entry);
    hide(st, &entry->attr);
    to_tag(st, &entry->validator);
    if (!st) entry->ino = 0;
    return st;
}

static apr_status_t whole_commit(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                 const vfs_source_t *source, const vfs_commit_t *how,
                                 vfs_attr_t *attr, vfs_validator_t *validator)
{
    vfs_commit_t below = *how;
    vfs_validator_t now;
    if (how->expected.kind != VFS_VALIDATOR_NONE) { /* of which kind they are below */
        if (vfs_call_stat(fs->lower, ctx, path, NULL, &now)) return VFS_ECONFLICT;
        below.expected.kind = now.kind;
    }
    apr_status_t st = vfs_pass_commit(fs, ctx, path, source, &below, attr, validator);
    hide(st, attr);
    to_tag(st, validator);
    return st;
}

static const vfs_ops_t whole_ops = {
    .abi = VFS_ABI,
    .size = sizeof(vfs_ops_t),
    .name = "whole",
    .open = whole_open,
    .opendir = vfs_wrap_opendir,
    .close = vfs_pass_close,
    .closedir = vfs_pass_closedir,
    .get = whole_get,
    .stat = whole_stat,
    .lstat = whole_lstat,
    .mkdir = vfs_pass_mkdir,
    .rmdir = vfs_pass_rmdir,
    .unlink = vfs_pass_unlink,
    .rename = vfs_pass_rename,
    .chmod = vfs_pass_chmod,
    .utimens = vfs_pass_utimens,
    .statfs = vfs_pass_statfs,
    .getxattr = vfs_pass_getxattr,
    .setxattr = vfs_pass_setxattr,
    .listxattr = vfs_pass_listxattr,
    .removexattr = vfs_pass_removexattr,
    .sync_dir = vfs_pass_sync_dir,
    .sync_fs = vfs_pass_sync_fs,
    .commit = whole_commit,
    .read_at = vfs_pass_read_at,
    .fetch = whole_fetch,
    .fstat = whole_fstat,
    .flush = vfs_pass_flush, /* of a directory */
    .sync = vfs_pass_sync,
    .readdir = whole_readdir,
    .seekdir = vfs_pass_seekdir,
};

apr_status_t sut_whole_create(vfs_t **out, vfs_t *lower, apr_pool_t *pool)
{
    vfs_caps_t caps = *vfs_caps(lower);
    caps.bits &= VFS_CAP_WRITE | VFS_CAP_DIRS | VFS_CAP_MODE | VFS_CAP_TIMES | VFS_CAP_XATTR |
                 VFS_CAP_ATOMIC_RENAME | VFS_CAP_RENAME_NOREPLACE | VFS_CAP_RENAME_EXCHANGE |
                 VFS_CAP_COMMIT | VFS_CAP_CONDITIONAL | VFS_CAP_UNLINKED_OPEN | VFS_CAP_LISTS_ALL;
    caps.time_granularity_ns = 0; /* a tag tells each version */
    return vfs_create(out, &whole_ops, lower, NULL, &caps, pool);
}
