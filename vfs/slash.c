/*
 * slash.c - what a trailing '/' means to each kind of operation, as Linux answers it (namei.c):
 * the name must be a directory, links are followed, and nothing but a directory is made through it.
 * Floor 1. Looks with stat and lstat only; so against a racing rename the answer is as of then.
 */
#include "vfs/internal.h"

static apr_status_t type_of(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, int follow,
                            vfs_type_e *type)
{
    vfs_attr_t attr;
    vfs_path_t plain = *path;
    plain.flags &= ~VFS_PATH_DIR;
    apr_status_t status = follow ? vfs_call_stat(fs, ctx, &plain, &attr, NULL)
                                 : vfs_call_lstat(fs, ctx, &plain, &attr, NULL);
    *type = status == APR_SUCCESS ? attr.type : VFS_TYPE_UNKNOWN;
    return status;
}

apr_status_t vfs__slash_dir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    vfs_type_e type;
    apr_status_t status = type_of(fs, ctx, path, 1, &type);
    if (status != APR_SUCCESS) return status;
    return type == VFS_TYPE_DIR ? APR_SUCCESS : APR_ENOTDIR;
}

apr_status_t vfs__slash_make(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    vfs_type_e type;
    apr_status_t status = type_of(fs, ctx, path, 0, &type);
    return status == APR_SUCCESS ? APR_EEXIST : status;
}

apr_status_t vfs__slash_unlink(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    vfs_type_e type;
    apr_status_t status = type_of(fs, ctx, path, 0, &type);
    if (status != APR_SUCCESS) return status;
    return type == VFS_TYPE_DIR ? APR_FROM_OS_ERROR(EISDIR) : APR_ENOTDIR;
}

apr_status_t vfs__slash_rename(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                               const vfs_path_t *to, uint32_t flags)
{
    vfs_type_e type;
    apr_status_t status = type_of(fs, ctx, from, 0, &type);
    if (status != APR_SUCCESS) return status;
    if (flags != VFS_RENAME_EXCHANGE) return type == VFS_TYPE_DIR ? APR_SUCCESS : APR_ENOTDIR;
    if ((from->flags & VFS_PATH_DIR) && type != VFS_TYPE_DIR) return APR_ENOTDIR;
    if (!(to->flags & VFS_PATH_DIR)) return APR_SUCCESS;
    status = type_of(fs, ctx, to, 0, &type);
    if (status != APR_SUCCESS) return status;
    return type == VFS_TYPE_DIR ? APR_SUCCESS : APR_ENOTDIR;
}

apr_status_t vfs__slash_link(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                             const vfs_path_t *to)
{
    vfs_type_e type;
    int from_dir = vfs__is_root(from) || (from->flags & VFS_PATH_DIR);
    apr_status_t status =
        from_dir ? vfs__slash_dir(fs, ctx, from) : type_of(fs, ctx, from, 0, &type);
    if (status != APR_SUCCESS) return status;
    status = type_of(fs, ctx, to, 0, &type);
    if (status == APR_SUCCESS) return APR_EEXIST;
    if (!APR_STATUS_IS_ENOENT(status) || (to->flags & VFS_PATH_DIR)) return status;
    return APR_FROM_OS_ERROR(EPERM); /* a directory has one name only */
}
