/*
 * call_file.c - dispatch of the operations on open files: each checks its arguments, the handle and
 * the context, calls the op, and holds the layer to its contract. Floor 1. vfs_read_at is the hot
 * path of every cache hit: it stays a few dozen instructions.
 */
#include <string.h>

#include "vfs/internal.h"

/* Arguments first, then the table, then the context: the same order everywhere. */
#define ENTER(name)                                                                                \
    do {                                                                                           \
        if (file->fs->ops.name == NULL) return APR_ENOTIMPL;                                       \
        apr_status_t entered = vfs__ctx_check(ctx);                                                \
        if (entered != APR_SUCCESS) return entered;                                                \
    } while (0)

/* The whole of a read. What is the same for every context is made twice by the compiler, so that
 * the common call, which has none, keeps its arguments in registers. */
static inline __attribute__((always_inline)) apr_status_t
read_at(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len, apr_off_t off, size_t *got)
{
    vfs__assert_file(file);
    VFS_CHECK_ARG(got != NULL);
    *got = 0;
    VFS_CHECK_ARG(vfs__range_ok(off, len));
    if (!(file->flags & VFS_O_READ)) return APR_EBADF;
    ENTER(read_at);
    if (len == 0) return APR_SUCCESS;
    VFS_CHECK_ARG(buf != NULL);
    apr_status_t status = file->fs->ops.read_at(file, ctx, buf, len, off, got);
    if (__builtin_expect(status != APR_SUCCESS, 0)) *got = 0;
    VFS_ASSERT(*got <= len);
    return status;
}

static __attribute__((noinline)) apr_status_t read_under(vfs_file_t *file, const vfs_ctx_t *ctx,
                                                         void *buf, size_t len, apr_off_t off,
                                                         size_t *got)
{
    return read_at(file, ctx, buf, len, off, got);
}

apr_status_t vfs_call_read_at(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                              apr_off_t off, size_t *got)
{
    if (ctx != NULL) return read_under(file, ctx, buf, len, off, got);
    return read_at(file, NULL, buf, len, off, got);
}

apr_status_t vfs_read_at(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                         apr_off_t off, size_t *got)
{
    if (ctx != NULL) return read_under(file, ctx, buf, len, off, got);
    return read_at(file, NULL, buf, len, off, got);
}

static void clear_validator(vfs_validator_t *validator)
{
    memset(validator, 0, sizeof(*validator));
}

apr_status_t vfs_call_write_at(vfs_file_t *file, const vfs_ctx_t *ctx, const void *buf, size_t len,
                               apr_off_t off, size_t *written, vfs_validator_t *validator)
{
    vfs_validator_t unwanted;
    vfs__assert_file(file);
    VFS_CHECK_ARG(written != NULL);
    *written = 0;
    if (validator == NULL) validator = &unwanted;
    clear_validator(validator);
    VFS_CHECK_ARG(off == VFS_OFFSET_END ? len <= (uint64_t)VFS__OFF_MAX : vfs__range_ok(off, len));
    if (!(file->flags & VFS_O_WRITE)) return APR_EBADF;
    ENTER(write_at);
    if (len == 0) return APR_SUCCESS;
    VFS_CHECK_ARG(buf != NULL);
    if (file->flags & VFS_O_APPEND) off = VFS_OFFSET_END;
    apr_status_t status = file->fs->ops.write_at(file, ctx, buf, len, off, written, validator);
    VFS_ASSERT(*written <= len);
    VFS_ASSERT(status != APR_SUCCESS || *written == len);
    VFS_ASSERT(validator->len <= VFS_VALIDATOR_BYTES);
    return status;
}

apr_status_t vfs_write_at(vfs_file_t *file, const vfs_ctx_t *ctx, const void *buf, size_t len,
                          apr_off_t off, size_t *written, vfs_validator_t *validator)
{
    return vfs_call_write_at(file, ctx, buf, len, off, written, validator);
}

static apr_status_t check_iov(const vfs_iovec_t *iov, size_t count, apr_off_t off, uint64_t *total)
{
    *total = 0;
    VFS_CHECK_ARG(count <= VFS__IOV_MAX && (iov != NULL || count == 0));
    for (size_t i = 0; i < count; i++) {
        VFS_CHECK_ARG(iov[i].base != NULL || iov[i].len == 0);
        VFS_CHECK_ARG(vfs__range_ok(off, *total) &&
                      iov[i].len <= (uint64_t)VFS__OFF_MAX - (uint64_t)off - *total);
        *total += iov[i].len;
    }
    return APR_SUCCESS;
}

apr_status_t vfs_call_readv_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                               size_t count, apr_off_t off, size_t *got)
{
    vfs__assert_file(file);
    VFS_CHECK_ARG(got != NULL);
    *got = 0;
    VFS_CHECK_ARG(off >= 0);
    uint64_t total;
    apr_status_t status = check_iov(iov, count, off, &total);
    if (status != APR_SUCCESS) return status;
    if (!(file->flags & VFS_O_READ)) return APR_EBADF;
    if (file->fs->ops.readv_at == NULL) {
        ENTER(read_at);
        return vfs__compose_readv(file, ctx, iov, count, off, got);
    }
    ENTER(readv_at);
    if (total == 0) return APR_SUCCESS;
    status = file->fs->ops.readv_at(file, ctx, iov, count, off, got);
    if (status != APR_SUCCESS) *got = 0;
    VFS_ASSERT(*got <= total);
    return status;
}

apr_status_t vfs_call_fetch(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                            size_t count, apr_off_t off, size_t *got, vfs_validator_t *validator)
{
    vfs_validator_t unwanted;
    vfs__assert_file(file);
    VFS_CHECK_ARG(got != NULL);
    *got = 0;
    if (validator == NULL) validator = &unwanted;
    clear_validator(validator);
    VFS_CHECK_ARG(off >= 0);
    uint64_t total;
    apr_status_t status = check_iov(iov, count, off, &total);
    if (status != APR_SUCCESS) return status;
    if (!(file->flags & VFS_O_READ)) return APR_EBADF;
    ENTER(fetch);
    if (total == 0) return APR_SUCCESS;
    status = file->fs->ops.fetch(file, ctx, iov, count, off, got, validator);
    VFS_ASSERT(*got <= total);
    VFS_ASSERT(validator->len <= VFS_VALIDATOR_BYTES);
    if (status == APR_SUCCESS) return APR_SUCCESS;
    *got = 0;
    clear_validator(validator);
    return status;
}

apr_status_t vfs_call_writev_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                size_t count, apr_off_t off, size_t *written,
                                vfs_validator_t *validator)
{
    vfs_validator_t unwanted;
    vfs__assert_file(file);
    VFS_CHECK_ARG(written != NULL);
    *written = 0;
    if (validator == NULL) validator = &unwanted;
    clear_validator(validator);
    VFS_CHECK_ARG(off >= 0 || off == VFS_OFFSET_END);
    uint64_t total;
    apr_status_t status = check_iov(iov, count, off == VFS_OFFSET_END ? 0 : off, &total);
    if (status != APR_SUCCESS) return status;
    if (!(file->flags & VFS_O_WRITE)) return APR_EBADF;
    if (file->flags & VFS_O_APPEND) off = VFS_OFFSET_END;
    if (file->fs->ops.writev_at == NULL) {
        ENTER(write_at);
        return vfs__compose_writev(file, ctx, iov, count, off, written, validator);
    }
    ENTER(writev_at);
    if (total == 0) return APR_SUCCESS;
    status = file->fs->ops.writev_at(file, ctx, iov, count, off, written, validator);
    VFS_ASSERT(*written <= total);
    VFS_ASSERT(status != APR_SUCCESS || *written == total);
    return status;
}

apr_status_t vfs_call_fstat(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_attr_t *attr,
                            vfs_validator_t *validator)
{
    vfs_attr_t attr_unwanted;
    vfs_validator_t validator_unwanted;
    vfs__assert_file(file);
    if (attr == NULL) attr = &attr_unwanted;
    if (validator == NULL) validator = &validator_unwanted;
    vfs__attr_clear(attr);
    clear_validator(validator);
    ENTER(fstat);
    return file->fs->ops.fstat(file, ctx, attr, validator);
}

apr_status_t vfs_call_ftruncate(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t size)
{
    vfs__assert_file(file);
    VFS_CHECK_ARG(size >= 0);
    if (!(file->flags & VFS_O_WRITE)) return APR_EBADF;
    ENTER(ftruncate);
    return file->fs->ops.ftruncate(file, ctx, size);
}

apr_status_t vfs_call_fchmod(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t mode)
{
    vfs__assert_file(file);
    VFS_CHECK_ARG((mode & ~VFS__MODE_BITS) == 0);
    ENTER(fchmod);
    return file->fs->ops.fchmod(file, ctx, mode);
}

apr_status_t vfs_call_fchown(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t uid, uint32_t gid)
{
    vfs__assert_file(file);
    ENTER(fchown);
    return file->fs->ops.fchown(file, ctx, uid, gid);
}

apr_status_t vfs_call_futimens(vfs_file_t *file, const vfs_ctx_t *ctx, int64_t atime_ns,
                               int64_t mtime_ns)
{
    vfs__assert_file(file);
    ENTER(futimens);
    return file->fs->ops.futimens(file, ctx, atime_ns, mtime_ns);
}

apr_status_t vfs_call_fgetxattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name, void *buf,
                                size_t size, size_t *len)
{
    size_t unwanted;
    vfs__assert_file(file);
    if (len == NULL) len = &unwanted;
    *len = 0;
    VFS_CHECK_ARG(name != NULL && name[0] != '\0' && (buf != NULL || size == 0));
    ENTER(fgetxattr);
    apr_status_t status = file->fs->ops.fgetxattr(file, ctx, name, buf, size, len);
    VFS_ASSERT(status != APR_SUCCESS || size == 0 || *len <= size);
    return status;
}

apr_status_t vfs_call_fsetxattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name,
                                const void *value, size_t len, uint32_t how)
{
    vfs__assert_file(file);
    VFS_CHECK_ARG(name != NULL && name[0] != '\0' && (value != NULL || len == 0));
    VFS_CHECK_ARG(how == 0 || how == VFS_XATTR_CREATE || how == VFS_XATTR_REPLACE);
    ENTER(fsetxattr);
    return file->fs->ops.fsetxattr(file, ctx, name, value, len, how);
}

apr_status_t vfs_call_flistxattr(vfs_file_t *file, const vfs_ctx_t *ctx, char *buf, size_t size,
                                 size_t *len)
{
    size_t unwanted;
    vfs__assert_file(file);
    if (len == NULL) len = &unwanted;
    *len = 0;
    VFS_CHECK_ARG(buf != NULL || size == 0);
    ENTER(flistxattr);
    apr_status_t status = file->fs->ops.flistxattr(file, ctx, buf, size, len);
    VFS_ASSERT(status != APR_SUCCESS || size == 0 || *len <= size);
    return status;
}

apr_status_t vfs_call_fremovexattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name)
{
    vfs__assert_file(file);
    VFS_CHECK_ARG(name != NULL && name[0] != '\0');
    ENTER(fremovexattr);
    return file->fs->ops.fremovexattr(file, ctx, name);
}

apr_status_t vfs_call_flush(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    vfs__assert_file(file);
    ENTER(flush);
    return file->fs->ops.flush(file, ctx);
}

apr_status_t vfs_call_sync(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags)
{
    vfs__assert_file(file);
    VFS_CHECK_ARG((flags & ~(VFS_SYNC_DATA | VFS_SYNC_ALL)) == 0);
    ENTER(sync);
    /* An op sees exactly one of the two. */
    return file->fs->ops.sync(file, ctx, flags == VFS_SYNC_DATA ? VFS_SYNC_DATA : VFS_SYNC_ALL);
}

/* Byte-range locks need a handle that could do what they protect, as fcntl(2) has it. */
static int may_lock(const vfs_file_t *file, const vfs_lock_t *lock)
{
    if ((lock->flags & (VFS_LOCK_WHOLE | VFS_LOCK_TEST)) != 0) return 1;
    if (lock->type == VFS_LOCK_READ) return (file->flags & VFS_O_READ) != 0;
    return lock->type != VFS_LOCK_WRITE || (file->flags & VFS_O_WRITE) != 0;
}

apr_status_t vfs_call_lock(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_lock_t *lock)
{
    vfs__assert_file(file);
    VFS_CHECK_ARG(lock != NULL);
    VFS_CHECK_ARG(lock->type == VFS_LOCK_READ || lock->type == VFS_LOCK_WRITE ||
                  lock->type == VFS_LOCK_UNLOCK);
    VFS_CHECK_ARG((lock->flags & ~(VFS_LOCK_WAIT | VFS_LOCK_TEST | VFS_LOCK_WHOLE)) == 0);
    VFS_CHECK_ARG(!(lock->flags & VFS_LOCK_TEST) || lock->type != VFS_LOCK_UNLOCK);
    VFS_CHECK_ARG(lock->len >= 0 && vfs__range_ok(lock->start, (uint64_t)lock->len));
    if (!may_lock(file, lock)) return APR_EBADF;
    ENTER(lock);
    return file->fs->ops.lock(file, ctx, lock);
}

apr_status_t vfs_call_seek_extent(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t off,
                                  vfs_whence_e whence, apr_off_t *where)
{
    vfs__assert_file(file);
    VFS_CHECK_ARG(where != NULL);
    *where = 0;
    VFS_CHECK_ARG(off >= 0 && (whence == VFS_SEEK_DATA || whence == VFS_SEEK_HOLE));
    ENTER(seek_extent);
    apr_status_t status = file->fs->ops.seek_extent(file, ctx, off, whence, where);
    VFS_ASSERT(status != APR_SUCCESS || *where >= off);
    return status;
}

static int alloc_flags_ok(uint32_t flags)
{
    switch (flags & ~VFS_ALLOC_KEEP_SIZE) {
    case 0:
    case VFS_ALLOC_ZERO_RANGE:
        return 1;
    case VFS_ALLOC_PUNCH_HOLE:
        return (flags & VFS_ALLOC_KEEP_SIZE) != 0;
    case VFS_ALLOC_COLLAPSE:
    case VFS_ALLOC_INSERT:
        return (flags & VFS_ALLOC_KEEP_SIZE) == 0;
    default:
        return 0;
    }
}

apr_status_t vfs_call_allocate(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags,
                               apr_off_t off, apr_off_t len)
{
    vfs__assert_file(file);
    VFS_CHECK_ARG(alloc_flags_ok(flags));
    VFS_CHECK_ARG(len > 0 && vfs__range_ok(off, (uint64_t)len));
    if (!(file->flags & VFS_O_WRITE)) return APR_EBADF;
    ENTER(allocate);
    return file->fs->ops.allocate(file, ctx, flags, off, len);
}

apr_status_t vfs_copy_range(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                            vfs_file_t *dst, apr_off_t dst_off, size_t len, size_t *copied)
{
    vfs__assert_file(src);
    vfs__assert_file(dst);
    VFS_CHECK_ARG(copied != NULL);
    *copied = 0;
    VFS_CHECK_ARG(vfs__range_ok(src_off, len) && vfs__range_ok(dst_off, len));
    VFS_CHECK_ARG(src->fs == dst->fs);
    uint64_t apart =
        src_off > dst_off ? (uint64_t)(src_off - dst_off) : (uint64_t)(dst_off - src_off);
    VFS_CHECK_ARG(src != dst || apart >= len);
    if (!(src->flags & VFS_O_READ) || !(dst->flags & VFS_O_WRITE)) return APR_EBADF;
    if (dst->flags & VFS_O_APPEND) return APR_EBADF;
    vfs_file_t *file = src;
    ENTER(copy_range);
    if (len == 0) return APR_SUCCESS;
    apr_status_t status = file->fs->ops.copy_range(src, ctx, src_off, dst, dst_off, len, copied);
    VFS_ASSERT(*copied <= len);
    return status;
}
