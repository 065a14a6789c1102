/*
 * handles.c - the public operations on open files that differ from dispatch in name or in what they
 * leave out. Reading, writing and copying are in call_file.c, the cursor in file.c. Floor 1.
 */
#include "vfs/internal.h"

apr_status_t vfs_readv_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                          size_t count, apr_off_t off, size_t *got)
{
    return vfs_call_readv_at(file, ctx, iov, count, off, got);
}

apr_status_t vfs_writev_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                           size_t count, apr_off_t off, size_t *written, vfs_validator_t *validator)
{
    return vfs_call_writev_at(file, ctx, iov, count, off, written, validator);
}

apr_status_t vfs_seek_extent(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t off,
                             vfs_whence_e whence, apr_off_t *where)
{
    return vfs_call_seek_extent(file, ctx, off, whence, where);
}

apr_status_t vfs_fstat(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_attr_t *attr)
{
    return vfs_call_fstat(file, ctx, attr, NULL);
}

apr_status_t vfs_fvalidator(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_validator_t *validator)
{
    VFS_CHECK_ARG(validator != NULL);
    return vfs_call_fstat(file, ctx, NULL, validator);
}

apr_status_t vfs_ftruncate(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t size)
{
    return vfs_call_ftruncate(file, ctx, size);
}

apr_status_t vfs_fchmod(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t mode)
{
    return vfs_call_fchmod(file, ctx, mode);
}

apr_status_t vfs_fchown(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t uid, uint32_t gid)
{
    return vfs_call_fchown(file, ctx, uid, gid);
}

apr_status_t vfs_futimens(vfs_file_t *file, const vfs_ctx_t *ctx, int64_t atime_ns,
                          int64_t mtime_ns)
{
    return vfs_call_futimens(file, ctx, atime_ns, mtime_ns);
}

apr_status_t vfs_fgetxattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name, void *buf,
                           size_t size, size_t *len)
{
    return vfs_call_fgetxattr(file, ctx, name, buf, size, len);
}

apr_status_t vfs_fsetxattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name,
                           const void *value, size_t len, uint32_t flags)
{
    return vfs_call_fsetxattr(file, ctx, name, value, len, flags);
}

apr_status_t vfs_flistxattr(vfs_file_t *file, const vfs_ctx_t *ctx, char *buf, size_t size,
                            size_t *len)
{
    return vfs_call_flistxattr(file, ctx, buf, size, len);
}

apr_status_t vfs_fremovexattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name)
{
    return vfs_call_fremovexattr(file, ctx, name);
}

apr_status_t vfs_flush(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    return vfs_call_flush(file, ctx);
}

apr_status_t vfs_sync(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags)
{
    return vfs_call_sync(file, ctx, flags);
}

apr_status_t vfs_allocate(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags, apr_off_t off,
                          apr_off_t len)
{
    return vfs_call_allocate(file, ctx, flags, off, len);
}

apr_status_t vfs_lock(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_lock_t *lock)
{
    return vfs_call_lock(file, ctx, lock);
}
