/*
 * call_open.c - dispatch of what makes and ends handles, and of the operations on open directories.
 * Floor 1.
 */
#include <string.h>

#include "vfs/internal.h"

static int open_flags_ok(uint32_t flags)
{
    if ((flags & ~VFS_O_ALL) != 0) return 0;
    if (!(flags & (VFS_O_READ | VFS_O_WRITE | VFS_O_DIRECTORY))) return 0;
    if ((flags & VFS_O_EXCL) && !(flags & VFS_O_CREATE)) return 0;
    if ((flags & (VFS_O_TRUNC | VFS_O_APPEND)) && !(flags & VFS_O_WRITE)) return 0;
    if ((flags & VFS_O_KNOWN) && flags != (VFS_O_KNOWN | VFS_O_READ)) return 0;
    return !(flags & VFS_O_CREATE) || !(flags & VFS_O_DIRECTORY);
}

/* What the caller has asked for a moment ago. */
static int is_known(uint32_t flags, const vfs_attr_t *attr, const vfs_validator_t *validator)
{
    return (flags & VFS_O_KNOWN) && attr != NULL && attr->type == VFS_TYPE_FILE &&
           validator != NULL && validator->kind != VFS_VALIDATOR_NONE;
}

apr_status_t vfs_call_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                           const vfs_path_t *path, uint32_t flags, uint32_t mode, vfs_attr_t *attr,
                           vfs_validator_t *validator)
{
    vfs_attr_t attr_unwanted;
    vfs_validator_t validator_unwanted;
    vfs_path_t plain;
    vfs__assert_fs(fs);
    VFS_CHECK_ARG(file != NULL);
    *file = NULL;
    int known = is_known(flags, attr, validator);
    if (attr == NULL) attr = &attr_unwanted;
    if (validator == NULL) validator = &validator_unwanted;
    if (!known) {
        vfs__attr_clear(attr);
        memset(validator, 0, sizeof(*validator));
    }
    VFS_CHECK_ARG(open_flags_ok(flags));
    if (!known) flags &= ~VFS_O_KNOWN;
    VFS_CHECK_ARG(!(flags & VFS_O_CREATE) || (mode & ~VFS__MODE_BITS) == 0);
    if (fs->ops.open == NULL) return APR_ENOTIMPL;
    apr_status_t status = vfs__ctx_check(ctx);
    if (status != APR_SUCCESS) return status;
    if (path->flags & VFS_PATH_DIR) {
        /* A slash never makes a file, and follows a link; the layer tells files and directories
         * apart. */
        if (flags & VFS_O_CREATE) return APR_FROM_OS_ERROR(EISDIR);
        flags = (flags | VFS_O_DIRECTORY) & ~(VFS_O_NOFOLLOW | VFS_O_KNOWN);
        plain = *path;
        plain.flags &= ~VFS_PATH_DIR;
        path = &plain;
    }
    if (vfs__is_root(path)) {
        if (flags & VFS_O_EXCL) return APR_EEXIST;
        if (flags & (VFS_O_CREATE | VFS_O_WRITE)) return APR_FROM_OS_ERROR(EISDIR);
    }
    status = fs->ops.open(file, fs, ctx, path, flags, mode, attr, validator);
    if (status != APR_SUCCESS) {
        *file = NULL;
        return status;
    }
    vfs__assert_file(*file);
    VFS_ASSERT(validator->len <= VFS_VALIDATOR_BYTES);
    return APR_SUCCESS;
}

apr_status_t vfs_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                      uint32_t flags, uint32_t mode, vfs_attr_t *attr, vfs_validator_t *validator)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t normal;
    VFS_CHECK_ARG(file != NULL);
    *file = NULL;
    apr_status_t status = vfs_path_init(&normal, path, buf);
    if (status != APR_SUCCESS) return status;
    return vfs_call_open(file, fs, ctx, &normal, flags, mode, attr, validator);
}

apr_status_t vfs_close(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    vfs__assert_file(file);
    if (file->fs->ops.close == NULL) return APR_ENOTIMPL;
    return file->fs->ops.close(file, ctx); /* an expired context is no reason to keep a handle */
}

apr_status_t vfs_call_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                              const vfs_path_t *path, uint32_t flags)
{
    vfs_path_t plain;
    vfs__assert_fs(fs);
    VFS_CHECK_ARG(dir != NULL);
    *dir = NULL;
    VFS_CHECK_ARG((flags & ~VFS_DIR_ATTRS) == 0);
    if (fs->ops.opendir == NULL) return APR_ENOTIMPL;
    apr_status_t status = vfs__ctx_check(ctx);
    if (status != APR_SUCCESS) return status;
    if (path->flags & VFS_PATH_DIR) {
        plain = *path;
        plain.flags &= ~VFS_PATH_DIR;
        path = &plain;
    }
    status = fs->ops.opendir(dir, fs, ctx, path, flags);
    if (status != APR_SUCCESS) {
        *dir = NULL;
        return status;
    }
    vfs__assert_dir(*dir);
    return APR_SUCCESS;
}

apr_status_t vfs_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                         uint32_t flags)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t normal;
    VFS_CHECK_ARG(dir != NULL);
    *dir = NULL;
    apr_status_t status = vfs_path_init(&normal, path, buf);
    if (status != APR_SUCCESS) return status;
    return vfs_call_opendir(dir, fs, ctx, &normal, flags);
}

apr_status_t vfs_closedir(vfs_dir_t *dir)
{
    vfs__assert_dir(dir);
    if (dir->fs->ops.closedir == NULL) return APR_ENOTIMPL;
    return dir->fs->ops.closedir(dir);
}

apr_status_t vfs_call_readdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, vfs_dirent_t *entry)
{
    vfs__assert_dir(dir);
    VFS_CHECK_ARG(entry != NULL);
    memset(entry, 0, sizeof(*entry));
    if (dir->fs->ops.readdir == NULL) return APR_ENOTIMPL;
    apr_status_t status = vfs__ctx_check(ctx);
    if (status != APR_SUCCESS) return status;
    status = dir->fs->ops.readdir(dir, ctx, entry);
    if (status != APR_SUCCESS) {
        memset(entry, 0, sizeof(*entry));
        return status;
    }
    VFS_ASSERT(entry->name != NULL);
    VFS_ASSERT(entry->name_len > 0 && entry->name[entry->name_len] == '\0');
    return APR_SUCCESS;
}

apr_status_t vfs_readdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, vfs_dirent_t *entry)
{
    return vfs_call_readdir(dir, ctx, entry);
}

apr_status_t vfs_call_seekdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, uint64_t cookie)
{
    vfs__assert_dir(dir);
    if (dir->fs->ops.seekdir == NULL) return APR_ENOTIMPL;
    apr_status_t status = vfs__ctx_check(ctx);
    if (status != APR_SUCCESS) return status;
    return dir->fs->ops.seekdir(dir, ctx, cookie);
}

apr_status_t vfs_seekdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, uint64_t cookie)
{
    return vfs_call_seekdir(dir, ctx, cookie);
}
