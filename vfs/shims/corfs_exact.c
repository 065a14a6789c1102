/*
 * corfs_exact.c - copy on read as Go's absfs/corfs v1.0.0 does it, for comparisons.
 * Floor 1.
 *
 * An open with write flags opens the primary, then the copy, whose error is ignored. An open to
 * read opens the primary; only if that fails, the copy. A read goes to the primary, and its bytes
 * are written to the copy, opened when first needed (created, never truncated), at the copy's own
 * position. All else goes to the primary, then to the copy, and the primary's answer counts; stat
 * and listings fall back to the copy. So nothing is served from the copy while the primary works.
 * Questions other than these have one answer and go to the primary alone; so do locks. `get` is an
 * open, a read and a close.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "vfs/shims/corfs.h"
#include "vfs/shims/shim.h"

typedef struct exact_file_t {
    vfs_file_t base;
    _Atomic(vfs_file_t *) copy; /**< NULL until it is needed */
    _Atomic uint64_t position;  /**< in the copy */
    vfs_path_t path;
    char text[];
} exact_file_t;

/* ---- files */

static apr_status_t exact_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                               const vfs_path_t *path, uint32_t flags, uint32_t mode,
                               vfs_attr_t *attr, vfs_validator_t *validator)
{
    vfs_file_t *primary = NULL, *copy = NULL;
    int writes = (flags & (VFS_O_WRITE | VFS_O_CREATE)) != 0;
    exact_file_t *own = malloc(sizeof(*own) + path->len + 1);
    if (own == NULL) return APR_ENOMEM;
    apr_status_t status =
        vfs_call_open(&primary, fs->lower, ctx, path, flags, mode, attr, validator);
    if (status != APR_SUCCESS) {
        free(own);
        if (writes) return status;
        apr_status_t second =
            vfs_call_open(file, corfs_copy(fs), ctx, path, flags, mode, attr, validator);
        return second == APR_SUCCESS ? APR_SUCCESS : status;
    }
    if (writes) /* best effort: without the copy it works as well */
        (void)vfs_call_open(&copy, corfs_copy(fs), ctx, path, flags, mode, NULL, NULL);
    vfs_file_init(&own->base, fs, flags, primary);
    atomic_init(&own->copy, copy);
    atomic_init(&own->position, 0);
    own->path = *path;
    own->path.str = own->text;
    memcpy(own->text, path->str, path->len + 1);
    *file = &own->base;
    return APR_SUCCESS;
}

static vfs_file_t *copy_of(vfs_file_t *file)
{
    return atomic_load_explicit(&((exact_file_t *)file)->copy, memory_order_acquire);
}

/* The copy to write what was read to; opened when first needed. NULL: it cannot be had. */
static vfs_file_t *copy_to_fill(vfs_file_t *file)
{
    exact_file_t *own = (exact_file_t *)file;
    vfs_file_t *copy = copy_of(file), *expected = NULL;
    if (copy != NULL) return copy;
    apr_status_t status = vfs_call_open(&copy, corfs_copy(file->fs), NULL, &own->path,
                                        VFS_O_CREATE | VFS_O_WRITE, 0644, NULL, NULL);
    if (status != APR_SUCCESS) return NULL;
    if (atomic_compare_exchange_strong_explicit(&own->copy, &expected, copy, memory_order_acq_rel,
                                                memory_order_acquire))
        return copy;
    (void)vfs_close(copy, NULL); /* another thread was first */
    return expected;
}

static void append_to_copy(vfs_file_t *file, const vfs_iovec_t *iov, size_t count, size_t got)
{
    exact_file_t *own = (exact_file_t *)file;
    vfs_iovec_t head[SHIM_IOV_MAX];
    size_t written;
    vfs_file_t *copy = got > 0 ? copy_to_fill(file) : NULL;
    if (copy == NULL) return;
    count = vfs__shim_iov_head(head, iov, count, got);
    uint64_t at = atomic_fetch_add_explicit(&own->position, got, memory_order_relaxed);
    (void)vfs_writev_at(copy, NULL, head, count, (apr_off_t)at, &written, NULL); /* best effort */
}

static apr_status_t exact_read_at(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                                  apr_off_t off, size_t *got)
{
    apr_status_t status = vfs_call_read_at(file->lower, ctx, buf, len, off, got);
    vfs_iovec_t iov = {.base = buf, .len = len};
    if (status == APR_SUCCESS) append_to_copy(file, &iov, 1, *got);
    return status;
}

static apr_status_t exact_readv_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                   size_t count, apr_off_t off, size_t *got)
{
    apr_status_t status = vfs_call_readv_at(file->lower, ctx, iov, count, off, got);
    if (status == APR_SUCCESS) append_to_copy(file, iov, count, *got);
    return status;
}

static apr_status_t exact_fetch(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                size_t count, apr_off_t off, size_t *got,
                                vfs_validator_t *validator)
{
    apr_status_t status = vfs_call_fetch(file->lower, ctx, iov, count, off, got, validator);
    if (status == APR_SUCCESS) append_to_copy(file, iov, count, *got);
    return status;
}

static apr_status_t exact_writev_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                    size_t count, apr_off_t off, size_t *written,
                                    vfs_validator_t *validator)
{
    vfs_iovec_t head[SHIM_IOV_MAX];
    size_t copied;
    apr_status_t status = vfs_call_writev_at(file->lower, ctx, iov, count, off, written, validator);
    vfs_file_t *copy = copy_of(file);
    if (copy == NULL || *written == 0) return status;
    count = vfs__shim_iov_head(head, iov, count, *written);
    (void)vfs_writev_at(copy, ctx, head, count, off, &copied, NULL); /* best effort */
    return status;
}

static apr_status_t exact_write_at(vfs_file_t *file, const vfs_ctx_t *ctx, const void *buf,
                                   size_t len, apr_off_t off, size_t *written,
                                   vfs_validator_t *validator)
{
    size_t copied;
    apr_status_t status = vfs_call_write_at(file->lower, ctx, buf, len, off, written, validator);
    vfs_file_t *copy = copy_of(file);
    if (copy != NULL && *written > 0)
        (void)vfs_write_at(copy, ctx, buf, *written, off, &copied, NULL); /* best effort */
    return status;
}

static apr_status_t exact_copy_range(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                                     vfs_file_t *dst, apr_off_t dst_off, size_t len, size_t *copied)
{
    size_t also;
    apr_status_t status =
        vfs_copy_range(src->lower, ctx, src_off, dst->lower, dst_off, len, copied);
    if (copy_of(src) != NULL && copy_of(dst) != NULL) /* best effort */
        (void)vfs_copy_range(copy_of(src), ctx, src_off, copy_of(dst), dst_off, len, &also);
    return status;
}

static apr_status_t exact_close(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    vfs_file_t *copy = copy_of(file);
    apr_status_t status = vfs_close(file->lower, ctx);
    if (copy != NULL) (void)vfs_close(copy, ctx); /* best effort */
    free(file);
    return status;
}

/* ---- names */

static apr_status_t exact_get(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, void *buf,
                              size_t len, size_t *got, vfs_attr_t *attr, vfs_validator_t *validator)
{
    vfs_file_t *copy;
    size_t written;
    apr_status_t status = vfs_call_get(fs->lower, ctx, path, buf, len, got, attr, validator);
    if (status != APR_SUCCESS) {
        apr_status_t second =
            vfs_call_get(corfs_copy(fs), ctx, path, buf, len, got, attr, validator);
        return second == APR_SUCCESS ? APR_SUCCESS : status;
    }
    if (*got == 0) return APR_SUCCESS;
    apr_status_t opened = vfs_call_open(&copy, corfs_copy(fs), NULL, path,
                                        VFS_O_CREATE | VFS_O_WRITE, 0644, NULL, NULL);
    if (opened != APR_SUCCESS) return APR_SUCCESS;
    (void)vfs_write_at(copy, NULL, buf, *got, 0, &written, NULL); /* best effort */
    (void)vfs_close(copy, NULL);
    return APR_SUCCESS;
}

static apr_status_t exact_stat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               vfs_attr_t *attr, vfs_validator_t *validator)
{
    apr_status_t status = vfs_call_stat(fs->lower, ctx, path, attr, validator);
    if (status == APR_SUCCESS) return status;
    return vfs_call_stat(corfs_copy(fs), ctx, path, attr, validator);
}

static apr_status_t exact_lstat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                vfs_attr_t *attr, vfs_validator_t *validator)
{
    apr_status_t status = vfs_call_lstat(fs->lower, ctx, path, attr, validator);
    if (status == APR_SUCCESS) return status;
    return vfs_call_lstat(corfs_copy(fs), ctx, path, attr, validator);
}

static apr_status_t exact_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                                  const vfs_path_t *path, uint32_t flags)
{
    apr_status_t status = vfs_call_opendir(dir, fs->lower, ctx, path, flags);
    if (status == APR_SUCCESS) return status;
    apr_status_t second = vfs_call_opendir(dir, corfs_copy(fs), ctx, path, flags);
    return second == APR_SUCCESS ? APR_SUCCESS : status;
}

/* The condition of a commit was the primary's to judge. */
static apr_status_t exact_commit(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                 const vfs_source_t *source, const vfs_commit_t *how,
                                 vfs_attr_t *attr, vfs_validator_t *validator)
{
    apr_status_t status = vfs_call_commit(fs->lower, ctx, path, source, how, attr, validator);
    vfs_commit_t plain = *how;
    plain.flags = 0;
    if (status == APR_SUCCESS) /* best effort */
        (void)vfs_call_commit(corfs_copy(fs), ctx, path, source, &plain, NULL, NULL);
    return status;
}

/* ---- all else */

#define EXACT_FS_READ(name, params, args)
#define EXACT_FS_WRITE(name, params, args)
#define EXACT_FS_META(name, params, args)
#define EXACT_FS_CHANGE(name, params, args)                                                        \
    static apr_status_t exact_##name(vfs_t *fs, VFS_UNPACK params)                                 \
    {                                                                                              \
        apr_status_t status = vfs_call_##name(fs->lower, VFS_UNPACK args);                         \
        (void)vfs_call_##name(corfs_copy(fs), VFS_UNPACK args); /* best effort */                  \
        return status;                                                                             \
    }
#define EXACT_FS_SYNC(name, params, args) EXACT_FS_CHANGE(name, params, args)
#define EXACT_FILE_READ(name, params, args)
#define EXACT_FILE_WRITE(name, params, args)
#define EXACT_FILE_META(name, params, args)
#define EXACT_FILE_HANDLE(name, params, args)
#define EXACT_FILE_CHANGE(name, params, args)                                                      \
    static apr_status_t exact_##name(vfs_file_t *file, VFS_UNPACK params)                          \
    {                                                                                              \
        apr_status_t status = vfs_call_##name(file->lower, VFS_UNPACK args);                       \
        vfs_file_t *copy = copy_of(file);                                                          \
        if (copy != NULL) (void)vfs_call_##name(copy, VFS_UNPACK args); /* best effort */          \
        return status;                                                                             \
    }
#define EXACT_FILE_SYNC(name, params, args) EXACT_FILE_CHANGE(name, params, args)
#define VFS_OP_FS(name, class, params, args, doc) EXACT_FS_##class(name, params, args)
#define VFS_OP_FILE(name, class, params, args, doc) EXACT_FILE_##class(name, params, args)
#include "vfs/vfs_ops.def"
EXACT_FILE_CHANGE(allocate, (const vfs_ctx_t *ctx, uint32_t flags, apr_off_t off, apr_off_t len),
                  (ctx, flags, off, len))

#define EXACT_TABLE_FS_READ(name)
#define EXACT_TABLE_FS_WRITE(name)
#define EXACT_TABLE_FS_META(name)
#define EXACT_TABLE_FS_CHANGE(name) .name = exact_##name,
#define EXACT_TABLE_FS_SYNC(name) .name = exact_##name,
#define EXACT_TABLE_FILE_READ(name) .name = exact_##name,
#define EXACT_TABLE_FILE_WRITE(name) .name = exact_##name,
#define EXACT_TABLE_FILE_META(name) .name = vfs_pass_##name,
#define EXACT_TABLE_FILE_HANDLE(name) .name = vfs_pass_##name,
#define EXACT_TABLE_FILE_CHANGE(name) .name = exact_##name,
#define EXACT_TABLE_FILE_SYNC(name) .name = exact_##name,

const vfs_ops_t vfs__corfs_exact_ops = {
    .abi = VFS_ABI,
    .size = sizeof(vfs_ops_t),
    .name = "corfs",
    .destroy = vfs__corfs_destroy,
    .open = exact_open,
    .opendir = exact_opendir,
    .close = exact_close,
    .copy_range = exact_copy_range,
    .get = exact_get,
    .commit = exact_commit,
    .stat = exact_stat,
    .lstat = exact_lstat,
    .access = vfs_pass_access,
    .readlink = vfs_pass_readlink,
    .statfs = vfs_pass_statfs,
    .getxattr = vfs_pass_getxattr,
    .listxattr = vfs_pass_listxattr,
    .watch = vfs_pass_watch,
    .unwatch = vfs_pass_unwatch,
#define VFS_OP_FS(name_, class, params, args, doc) EXACT_TABLE_FS_##class(name_)
#define VFS_OP_FILE(name_, class, params, args, doc) EXACT_TABLE_FILE_##class(name_)
#include "vfs/vfs_ops.def"
};
