/*
 * pass.c - passing through: one function for each op, made from the list, and plain wrapper
 * handles. Floor 1. A layer names these in its table; nothing passes by accident.
 */
#include <stdlib.h>

#include "vfs/internal.h"

#define VFS_OP_FS(name, class, params, args, doc)                                                  \
    apr_status_t vfs_pass_##name(vfs_t *fs, VFS_UNPACK params)                                     \
    {                                                                                              \
        return vfs_call_##name(fs->lower, VFS_UNPACK args);                                        \
    }
#define VFS_OP_FILE(name, class, params, args, doc)                                                \
    apr_status_t vfs_pass_##name(vfs_file_t *file, VFS_UNPACK params)                              \
    {                                                                                              \
        return vfs_call_##name(file->lower, VFS_UNPACK args);                                      \
    }
#define VFS_OP_DIR(name, class, params, args, doc)                                                 \
    apr_status_t vfs_pass_##name(vfs_dir_t *dir, VFS_UNPACK params)                                \
    {                                                                                              \
        return vfs_call_##name(dir->lower, VFS_UNPACK args);                                       \
    }
#include "vfs/vfs_ops.def"

apr_status_t vfs_pass_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                           const vfs_path_t *path, uint32_t flags, uint32_t mode, vfs_attr_t *attr,
                           vfs_validator_t *validator)
{
    return vfs_call_open(file, fs->lower, ctx, path, flags, mode, attr, validator);
}

apr_status_t vfs_pass_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                              const vfs_path_t *path, uint32_t flags)
{
    return vfs_call_opendir(dir, fs->lower, ctx, path, flags);
}

apr_status_t vfs_wrap_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                           const vfs_path_t *path, uint32_t flags, uint32_t mode, vfs_attr_t *attr,
                           vfs_validator_t *validator)
{
    vfs_file_t *lower = NULL;
    vfs_file_t *own = malloc(sizeof(*own));
    if (own == NULL) return APR_ENOMEM;
    apr_status_t status = vfs_call_open(&lower, fs->lower, ctx, path, flags, mode, attr, validator);
    if (status != APR_SUCCESS) {
        free(own);
        return status;
    }
    vfs_file_init(own, fs, flags, lower);
    *file = own;
    return APR_SUCCESS;
}

apr_status_t vfs_wrap_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                              const vfs_path_t *path, uint32_t flags)
{
    vfs_dir_t *lower = NULL;
    vfs_dir_t *own = malloc(sizeof(*own));
    if (own == NULL) return APR_ENOMEM;
    apr_status_t status = vfs_call_opendir(&lower, fs->lower, ctx, path, flags);
    if (status != APR_SUCCESS) {
        free(own);
        return status;
    }
    vfs_dir_init(own, fs, flags, lower);
    *dir = own;
    return APR_SUCCESS;
}

apr_status_t vfs_pass_close(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    apr_status_t status = vfs_close(file->lower, ctx);
    file->magic = VFS__DEAD_MAGIC;
    free(file);
    return status;
}

apr_status_t vfs_pass_closedir(vfs_dir_t *dir)
{
    apr_status_t status = vfs_closedir(dir->lower);
    dir->magic = VFS__DEAD_MAGIC;
    free(dir);
    return status;
}

apr_status_t vfs_pass_copy_range(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                                 vfs_file_t *dst, apr_off_t dst_off, size_t len, size_t *copied)
{
    return vfs_copy_range(src->lower, ctx, src_off, dst->lower, dst_off, len, copied);
}
