/*
 * plain.c - a layer whose symbolic links are told of, and not followed (VFS_CAP_PLAIN_LINKS), as
 * those of S3. Floor 4: test support.
 */
#include <errno.h>
#include <string.h>

#include "tests/stacks/sut.h"
#include "vfs/vfs_ops.h"

/* ENOTDIR where a link lies on the way, ELOOP where one lies at its end that would be followed. */
static apr_status_t look(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, int follow)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_attr_t attr;
    for (uint32_t len = 1; len <= path->len; len++) {
        int last = len == path->len;
        if (!last && path->str[len] != '/') continue;
        memcpy(buf, path->str, len);
        buf[len] = '\0';
        const vfs_path_t part = {buf, len, vfs_path_hash(buf, len), 0};
        if (vfs_call_lstat(fs->lower, ctx, &part, &attr, NULL) != APR_SUCCESS) break;
        if (attr.type == VFS_TYPE_LINK && !last) return APR_FROM_OS_ERROR(ENOTDIR);
        if (attr.type == VFS_TYPE_LINK && follow) return APR_FROM_OS_ERROR(ELOOP);
    }
    return APR_SUCCESS;
}

#define PLAIN(name, params, args, follow)                                                          \
    static apr_status_t plain_##name(vfs_t *fs, VFS_UNPACK params)                                 \
    {                                                                                              \
        apr_status_t status = look(fs, ctx, path, follow);                                         \
        return status == APR_SUCCESS ? vfs_call_##name(fs->lower, VFS_UNPACK args) : status;       \
    }
#define ITSELF(name, params, args) PLAIN(name, params, args, 0)
#define FOLLOWS(name, params, args) PLAIN(name, params, args, 1)
#define BY_FLAG(name, params, args) PLAIN(name, params, args, !(flags & VFS_NOFOLLOW))
#define OWN(name, params, args)
#define PLAIN_get OWN
#define PLAIN_stat OWN
#define PLAIN_lstat ITSELF
#define PLAIN_access FOLLOWS
#define PLAIN_mknod ITSELF
#define PLAIN_mkdir ITSELF
#define PLAIN_rmdir ITSELF
#define PLAIN_unlink ITSELF
#define PLAIN_rename OWN
#define PLAIN_link OWN
#define PLAIN_symlink ITSELF
#define PLAIN_readlink ITSELF
#define PLAIN_truncate FOLLOWS
#define PLAIN_chmod BY_FLAG
#define PLAIN_chown BY_FLAG
#define PLAIN_utimens BY_FLAG
#define PLAIN_statfs FOLLOWS
#define PLAIN_getxattr BY_FLAG
#define PLAIN_setxattr BY_FLAG
#define PLAIN_listxattr BY_FLAG
#define PLAIN_removexattr BY_FLAG
#define PLAIN_sync_dir FOLLOWS
#define PLAIN_sync_fs OWN
#define PLAIN_commit FOLLOWS
#define PLAIN_watch FOLLOWS
#define PLAIN_unwatch OWN
#define VFS_OP_FS(name, class, params, args, doc) PLAIN_##name(name, params, args)
#include "vfs/vfs_ops.def"

static apr_status_t plain_get(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, void *buf,
                              size_t len, size_t *got, vfs_attr_t *attr, vfs_validator_t *validator)
{
    apr_status_t status = plain_lstat(fs, ctx, path, attr, validator);
    if (status != APR_SUCCESS || attr->type == VFS_TYPE_LINK) return status;
    return vfs_call_get(fs->lower, ctx, path, buf, len, got, attr, validator);
}

static apr_status_t plain_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                               const vfs_path_t *path, uint32_t flags, uint32_t mode,
                               vfs_attr_t *attr, vfs_validator_t *validator)
{
    int follow = !(flags & (VFS_O_NOFOLLOW | VFS_O_EXCL));
    apr_status_t status = look(fs, ctx, path, follow);
    return status == APR_SUCCESS
               ? vfs_call_open(file, fs->lower, ctx, path, flags, mode, attr, validator)
               : status;
}

static apr_status_t plain_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                                  const vfs_path_t *path, uint32_t flags)
{
    apr_status_t status = look(fs, ctx, path, 1);
    if (status == APR_FROM_OS_ERROR(ELOOP)) status = APR_FROM_OS_ERROR(ENOTDIR);
    return status == APR_SUCCESS ? vfs_call_opendir(dir, fs->lower, ctx, path, flags) : status;
}

static apr_status_t look_at_two(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                                const vfs_path_t *to)
{
    apr_status_t status = look(fs, ctx, from, 0);
    return status == APR_SUCCESS ? look(fs, ctx, to, 0) : status;
}

static apr_status_t plain_rename(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                                 const vfs_path_t *to, uint32_t flags)
{
    apr_status_t status = look_at_two(fs, ctx, from, to);
    return status == APR_SUCCESS ? vfs_call_rename(fs->lower, ctx, from, to, flags) : status;
}

static apr_status_t plain_link(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                               const vfs_path_t *to)
{
    apr_status_t status = look_at_two(fs, ctx, from, to);
    return status == APR_SUCCESS ? vfs_call_link(fs->lower, ctx, from, to) : status;
}

static const vfs_ops_t plain_ops = {
    .abi = VFS_ABI,
    .size = sizeof(vfs_ops_t),
    .name = "plain",
    .open = plain_open,
    .opendir = plain_opendir,
    .get = plain_get,
    .stat = plain_lstat,
    .lstat = plain_lstat,
    .access = plain_access,
    .mknod = plain_mknod,
    .mkdir = plain_mkdir,
    .rmdir = plain_rmdir,
    .unlink = plain_unlink,
    .rename = plain_rename,
    .link = plain_link,
    .symlink = plain_symlink,
    .readlink = plain_readlink,
    .truncate = plain_truncate,
    .chmod = plain_chmod,
    .chown = plain_chown,
    .utimens = plain_utimens,
    .statfs = plain_statfs,
    .getxattr = plain_getxattr,
    .setxattr = plain_setxattr,
    .listxattr = plain_listxattr,
    .removexattr = plain_removexattr,
    .sync_dir = plain_sync_dir,
    .sync_fs = vfs_pass_sync_fs,
    .commit = plain_commit,
    .watch = plain_watch,
    .unwatch = vfs_pass_unwatch,
};

apr_status_t sut_plain_create(vfs_t **out, vfs_t *lower, apr_pool_t *pool)
{
    vfs_caps_t caps = *vfs_caps(lower);
    caps.bits = (caps.bits & ~VFS_CAP_SYMLINK) | VFS_CAP_PLAIN_LINKS;
    return vfs_create(out, &plain_ops, lower, NULL, &caps, pool);
}
