/*
 * names.c - the public operations by path: each makes its path normal and calls dispatch.
 * Floor 1.
 */
#include "vfs/internal.h"

/* PATH(p): the caller's string p as the normal path `path`, or the function ends here. */
#define PATH_AS(normal, buf, raw)                                                                  \
    char buf[VFS_PATH_MAX + 1];                                                                    \
    vfs_path_t normal;                                                                             \
    do {                                                                                           \
        apr_status_t made = vfs_path_init(&normal, (raw), buf);                                    \
        if (made != APR_SUCCESS) return made;                                                      \
    } while (0)
#define PATH() PATH_AS(normal, buf_of_path, path)

apr_status_t vfs_get(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, void *buf, size_t len,
                     size_t *got, vfs_attr_t *attr, vfs_validator_t *validator)
{
    VFS_CHECK_ARG(got != NULL);
    *got = 0;
    PATH();
    return vfs_call_get(fs, ctx, &normal, buf, len, got, attr, validator);
}

apr_status_t vfs_stat(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr)
{
    PATH();
    return vfs_call_stat(fs, ctx, &normal, attr, NULL);
}

apr_status_t vfs_lstat(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr)
{
    PATH();
    return vfs_call_lstat(fs, ctx, &normal, attr, NULL);
}

apr_status_t vfs_validator(vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                           vfs_validator_t *validator)
{
    VFS_CHECK_ARG(validator != NULL);
    PATH();
    return vfs_call_stat(fs, ctx, &normal, NULL, validator);
}

apr_status_t vfs_access(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, uint32_t mask)
{
    PATH();
    return vfs_call_access(fs, ctx, &normal, mask);
}

apr_status_t vfs_mknod(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, vfs_type_e type,
                       uint32_t mode, uint64_t rdev)
{
    PATH();
    return vfs_call_mknod(fs, ctx, &normal, type, mode, rdev);
}

apr_status_t vfs_mkdir(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, uint32_t mode)
{
    PATH();
    return vfs_call_mkdir(fs, ctx, &normal, mode);
}

apr_status_t vfs_rmdir(vfs_t *fs, const vfs_ctx_t *ctx, const char *path)
{
    PATH();
    return vfs_call_rmdir(fs, ctx, &normal);
}

apr_status_t vfs_unlink(vfs_t *fs, const vfs_ctx_t *ctx, const char *path)
{
    PATH();
    return vfs_call_unlink(fs, ctx, &normal);
}

apr_status_t vfs_rename(vfs_t *fs, const vfs_ctx_t *ctx, const char *from, const char *to,
                        uint32_t flags)
{
    PATH_AS(normal_from, buf_of_from, from);
    PATH_AS(normal_to, buf_of_to, to);
    return vfs_call_rename(fs, ctx, &normal_from, &normal_to, flags);
}

apr_status_t vfs_link(vfs_t *fs, const vfs_ctx_t *ctx, const char *from, const char *to)
{
    PATH_AS(normal_from, buf_of_from, from);
    PATH_AS(normal_to, buf_of_to, to);
    return vfs_call_link(fs, ctx, &normal_from, &normal_to);
}

apr_status_t vfs_symlink(vfs_t *fs, const vfs_ctx_t *ctx, const char *target, const char *path)
{
    PATH();
    return vfs_call_symlink(fs, ctx, target, &normal);
}

apr_status_t vfs_readlink(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, char *buf, size_t size,
                          size_t *len)
{
    if (len != NULL) *len = 0;
    PATH();
    return vfs_call_readlink(fs, ctx, &normal, buf, size, len);
}

apr_status_t vfs_truncate(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, apr_off_t size)
{
    PATH();
    return vfs_call_truncate(fs, ctx, &normal, size);
}

apr_status_t vfs_chmod(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, uint32_t mode,
                       uint32_t flags)
{
    PATH();
    return vfs_call_chmod(fs, ctx, &normal, mode, flags);
}

apr_status_t vfs_chown(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, uint32_t uid,
                       uint32_t gid, uint32_t flags)
{
    PATH();
    return vfs_call_chown(fs, ctx, &normal, uid, gid, flags);
}

apr_status_t vfs_utimens(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, int64_t atime_ns,
                         int64_t mtime_ns, uint32_t flags)
{
    PATH();
    return vfs_call_utimens(fs, ctx, &normal, atime_ns, mtime_ns, flags);
}

apr_status_t vfs_getxattr(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, const char *name,
                          void *buf, size_t size, size_t *len, uint32_t flags)
{
    if (len != NULL) *len = 0;
    PATH();
    return vfs_call_getxattr(fs, ctx, &normal, name, buf, size, len, flags);
}

apr_status_t vfs_setxattr(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, const char *name,
                          const void *value, size_t len, uint32_t how, uint32_t flags)
{
    PATH();
    return vfs_call_setxattr(fs, ctx, &normal, name, value, len, how, flags);
}

apr_status_t vfs_listxattr(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, char *buf,
                           size_t size, size_t *len, uint32_t flags)
{
    if (len != NULL) *len = 0;
    PATH();
    return vfs_call_listxattr(fs, ctx, &normal, buf, size, len, flags);
}

apr_status_t vfs_removexattr(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, const char *name,
                             uint32_t flags)
{
    PATH();
    return vfs_call_removexattr(fs, ctx, &normal, name, flags);
}

apr_status_t vfs_statfs(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, vfs_statfs_t *out)
{
    PATH();
    return vfs_call_statfs(fs, ctx, &normal, out);
}

apr_status_t vfs_sync_dir(vfs_t *fs, const vfs_ctx_t *ctx, const char *path)
{
    PATH();
    return vfs_call_sync_dir(fs, ctx, &normal);
}

apr_status_t vfs_sync_fs(vfs_t *fs, const vfs_ctx_t *ctx)
{
    return vfs_call_sync_fs(fs, ctx);
}

apr_status_t vfs_commit(vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                        const vfs_source_t *source, const vfs_commit_t *how, vfs_attr_t *attr,
                        vfs_validator_t *validator)
{
    PATH();
    return vfs_call_commit(fs, ctx, &normal, source, how, attr, validator);
}

apr_status_t vfs_watch(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, vfs_event_fn fn,
                       void *baton, uint64_t *watch)
{
    PATH();
    return vfs_call_watch(fs, ctx, &normal, fn, baton, watch);
}

apr_status_t vfs_unwatch(vfs_t *fs, uint64_t watch)
{
    return vfs_call_unwatch(fs, watch);
}
