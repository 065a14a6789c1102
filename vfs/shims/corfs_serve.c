/*
 * corfs_serve.c - copy on read as a user expects it.
 * Floor 1.
 *
 * An open to read looks at the copy. If that has the file, one stat of the primary tells whether
 * size and mtime are still the same (and whether the caller may read it); then all reads go to the
 * copy, and the primary is not opened. Else the primary is opened, and what is read goes into a
 * temporary file of the copy (corfs_fill.c), which gets the file's name when it is complete and the
 * primary has not changed meanwhile. All else goes to the primary alone; what changes a file's
 * bytes or its name drops the copy. Locks and attributes of a handle that is served from the copy
 * go to a handle of the primary that is opened when first needed.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "vfs/shims/corfs_fill.h"
#include "vfs/shims/shim.h"

typedef struct serve_file_t {
    vfs_file_t base; /**< lower: what is read from, the primary's handle or the copy's */
    int served;      /**< from the copy */
    vfs_attr_t attr; /**< served: of the primary, at open */
    vfs_validator_t validator;
    corfs_fill_t *fill;            /**< or NULL */
    _Atomic(vfs_file_t *) primary; /**< served: opened when first needed */
    vfs_path_t path;
    char text[];
} serve_file_t;

static int same_version(const vfs_attr_t *copy, const vfs_attr_t *primary)
{
    return primary->type == VFS_TYPE_FILE && copy->size == primary->size &&
           copy->mtime_ns == primary->mtime_ns;
}

/* Ask the primary about a file that the copy has. Returns whether the copy may be served; *status
 * is not success where the primary or its permissions say no. */
static int copy_is_good(apr_status_t *status, vfs_t *fs, const vfs_ctx_t *ctx,
                        const vfs_path_t *path, vfs_attr_t *attr, vfs_validator_t *validator)
{
    vfs_attr_t copy;
    *status = vfs_call_stat(corfs_copy(fs), NULL, path, &copy, NULL);
    int there = *status == APR_SUCCESS && copy.type == VFS_TYPE_FILE;
    *status = APR_SUCCESS;
    if (!there) return 0;
    *status = vfs_call_stat(fs->lower, ctx, path, attr, validator);
    if (*status != APR_SUCCESS || !same_version(&copy, attr)) return 0;
    *status = vfs_attr_access(attr, ctx, VFS_ACCESS_READ);
    return *status == APR_SUCCESS;
}

/* Open what the reads will come from: with *served the copy. */
static apr_status_t open_source(vfs_file_t **source, int *served, vfs_t *fs, const vfs_ctx_t *ctx,
                                const vfs_path_t *path, uint32_t flags, uint32_t mode,
                                vfs_attr_t *attr, vfs_validator_t *validator)
{
    apr_status_t status = APR_SUCCESS;
    int special = (flags & ~(VFS_O_READ | VFS_O_SYNC)) != 0;
    *served = !special && copy_is_good(&status, fs, ctx, path, attr, validator);
    if (status != APR_SUCCESS) return status;
    if (*served) {
        status = vfs_call_open(source, corfs_copy(fs), NULL, path, VFS_O_READ, 0, NULL, NULL);
        if (status == APR_SUCCESS) return APR_SUCCESS;
        *served = 0; /* it went away in between */
    }
    return vfs_call_open(source, fs->lower, ctx, path, flags, mode, attr, validator);
}

static void drop(vfs_t *fs, const vfs_path_t *path)
{
    (void)vfs_remove_all(corfs_copy(fs), NULL,
                         path->str); /* a stale copy fails validation as well */
}

static apr_status_t serve_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                               const vfs_path_t *path, uint32_t flags, uint32_t mode,
                               vfs_attr_t *attr, vfs_validator_t *validator)
{
    vfs_file_t *source = NULL;
    serve_file_t *own = calloc(1, sizeof(*own) + path->len + 1);
    if (own == NULL) return APR_ENOMEM;
    apr_status_t status =
        open_source(&source, &own->served, fs, ctx, path, flags, mode, attr, validator);
    if (status != APR_SUCCESS) {
        free(own);
        return status;
    }
    vfs_file_init(&own->base, fs, flags, source);
    own->attr = *attr;
    own->validator = *validator;
    own->path = *path;
    own->path.str = own->text;
    memcpy(own->text, path->str, path->len + 1);
    int fills =
        !own->served && !(flags & (VFS_O_WRITE | VFS_O_DIRECT)) && attr->type == VFS_TYPE_FILE;
    if (fills) own->fill = vfs__corfs_fill_new(corfs_copy(fs), path, attr);
    if (flags & VFS_O_WRITE) drop(fs, path);
    *file = &own->base;
    return APR_SUCCESS;
}

static apr_status_t serve_close(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    serve_file_t *own = (serve_file_t *)file;
    vfs_file_t *primary = atomic_load_explicit(&own->primary, memory_order_acquire);
    vfs__corfs_fill_free(own->fill);
    apr_status_t status = vfs_close(file->lower, ctx);
    if (file->flags & VFS_O_WRITE) drop(file->fs, &own->path);
    if (primary != NULL) {
        apr_status_t second = vfs_close(primary, ctx);
        if (status == APR_SUCCESS) status = second;
    }
    free(own);
    return status;
}

/* ---- reads */

/* What was read goes into the copy; a complete one counts if the primary is still the same. */
static void fill(vfs_file_t *file, const vfs_iovec_t *iov, size_t count, size_t got, apr_off_t off)
{
    serve_file_t *own = (serve_file_t *)file;
    vfs_attr_t now;
    if (own->fill == NULL || (got == 0 && own->attr.size > 0)) return;
    if (got == 0) off = 0;
    if (!vfs__corfs_fill_put(own->fill, iov, count, got, (uint64_t)off)) return;
    apr_status_t status = vfs_fstat(file->lower, NULL, &now);
    if (status == APR_SUCCESS && same_version(&own->attr, &now)) vfs__corfs_fill_publish(own->fill);
}

static apr_status_t serve_readv_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                   size_t count, apr_off_t off, size_t *got)
{
    apr_status_t status = vfs_call_readv_at(file->lower, ctx, iov, count, off, got);
    if (status == APR_SUCCESS) fill(file, iov, count, *got, off);
    return status;
}

static apr_status_t serve_read_at(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                                  apr_off_t off, size_t *got)
{
    apr_status_t status = vfs_call_read_at(file->lower, ctx, buf, len, off, got);
    vfs_iovec_t iov = {.base = buf, .len = len};
    if (status == APR_SUCCESS) fill(file, &iov, 1, *got, off);
    return status;
}

static apr_status_t serve_fetch(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                size_t count, apr_off_t off, size_t *got,
                                vfs_validator_t *validator)
{
    serve_file_t *own = (serve_file_t *)file;
    apr_status_t status = vfs_call_fetch(file->lower, ctx, iov, count, off, got, validator);
    if (status == APR_SUCCESS && own->served) *validator = own->validator;
    if (status == APR_SUCCESS) fill(file, iov, count, *got, off);
    return status;
}

static apr_status_t serve_seek_extent(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t off,
                                      vfs_whence_e whence, apr_off_t *where)
{
    return vfs_call_seek_extent(file->lower, ctx, off, whence, where);
}

static apr_status_t serve_fstat(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_attr_t *attr,
                                vfs_validator_t *validator)
{
    const serve_file_t *own = (const serve_file_t *)file;
    if (!own->served) return vfs_call_fstat(file->lower, ctx, attr, validator);
    *attr = own->attr;
    *validator = own->validator;
    return APR_SUCCESS;
}

/* A whole file in one answer: into the copy with it. */
static void keep_whole(vfs_t *fs, const vfs_path_t *path, void *buf, size_t got,
                       const vfs_attr_t *attr)
{
    vfs_iovec_t iov = {.base = buf, .len = got};
    corfs_fill_t *fills = vfs__corfs_fill_new(corfs_copy(fs), path, attr);
    if (fills == NULL) return;
    if (vfs__corfs_fill_put(fills, &iov, 1, got, 0)) vfs__corfs_fill_publish(fills);
    vfs__corfs_fill_free(fills);
}

static apr_status_t serve_get(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, void *buf,
                              size_t len, size_t *got, vfs_attr_t *attr, vfs_validator_t *validator)
{
    apr_status_t status;
    if (copy_is_good(&status, fs, ctx, path, attr, validator)) {
        status = vfs_call_get(corfs_copy(fs), NULL, path, buf, len, got, NULL, NULL);
        if (status == APR_SUCCESS) return APR_SUCCESS;
    } else if (status != APR_SUCCESS) {
        return status;
    }
    status = vfs_call_get(fs->lower, ctx, path, buf, len, got, attr, validator);
    if (status == APR_SUCCESS && attr->type == VFS_TYPE_FILE && *got == attr->size)
        keep_whole(fs, path, buf, *got, attr);
    return status;
}

/* ---- all else on files */

/* The primary's handle; NULL with *status where it cannot be had. */
static vfs_file_t *primary_of(vfs_file_t *file, const vfs_ctx_t *ctx, apr_status_t *status)
{
    serve_file_t *own = (serve_file_t *)file;
    vfs_file_t *opened = NULL, *expected = NULL;
    *status = APR_SUCCESS;
    if (!own->served) return file->lower;
    vfs_file_t *primary = atomic_load_explicit(&own->primary, memory_order_acquire);
    if (primary != NULL) return primary;
    *status = vfs_call_open(&opened, file->fs->lower, ctx, &own->path, file->flags, 0, NULL, NULL);
    if (*status != APR_SUCCESS) return NULL;
    if (atomic_compare_exchange_strong_explicit(&own->primary, &expected, opened,
                                                memory_order_acq_rel, memory_order_acquire))
        return opened;
    (void)vfs_close(opened, ctx); /* another thread was first */
    return expected;
}

static apr_status_t serve_copy_range(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                                     vfs_file_t *dst, apr_off_t dst_off, size_t len, size_t *copied)
{
    apr_status_t status;
    vfs_file_t *from = primary_of(src, ctx, &status);
    if (from == NULL) return status;
    return vfs_copy_range(from, ctx, src_off, dst->lower, dst_off, len, copied);
}

#define SERVE_PRIMARY(name, params, args)                                                          \
    static apr_status_t serve_##name(vfs_file_t *file, VFS_UNPACK params)                          \
    {                                                                                              \
        apr_status_t status;                                                                       \
        vfs_file_t *primary = primary_of(file, ctx, &status);                                      \
        return primary == NULL ? status : vfs_call_##name(primary, VFS_UNPACK args);               \
    }
#define SERVE_FILE_READ(name, params, args)
#define SERVE_FILE_META(name, params, args)
#define SERVE_FILE_WRITE(name, params, args) SERVE_PRIMARY(name, params, args)
#define SERVE_FILE_HANDLE(name, params, args) SERVE_PRIMARY(name, params, args)
#define SERVE_FILE_CHANGE(name, params, args) SERVE_PRIMARY(name, params, args)
#define SERVE_FILE_SYNC(name, params, args) SERVE_PRIMARY(name, params, args)
#define VFS_OP_FILE(name, class, params, args, doc) SERVE_FILE_##class(name, params, args)
#include "vfs/vfs_ops.def"
SERVE_PRIMARY(fgetxattr,
              (const vfs_ctx_t *ctx, const char *name, void *buf, size_t size, size_t *len),
              (ctx, name, buf, size, len))
SERVE_PRIMARY(flistxattr, (const vfs_ctx_t *ctx, char *buf, size_t size, size_t *len),
              (ctx, buf, size, len))

/* ---- names: what changes bytes, or lets another file have the name, drops the copy */

static apr_status_t serve_rename(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                                 const vfs_path_t *to, uint32_t flags)
{
    apr_status_t status = vfs_call_rename(fs->lower, ctx, from, to, flags);
    drop(fs, from);
    drop(fs, to);
    return status;
}

static apr_status_t serve_link(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                               const vfs_path_t *to)
{
    apr_status_t status = vfs_call_link(fs->lower, ctx, from, to);
    drop(fs, to);
    return status;
}

#define SERVE_DROPS(name, params, args)                                                            \
    static apr_status_t serve_##name(vfs_t *fs, VFS_UNPACK params)                                 \
    {                                                                                              \
        apr_status_t status = vfs_call_##name(fs->lower, VFS_UNPACK args);                         \
        drop(fs, path);                                                                            \
        return status;                                                                             \
    }
SERVE_DROPS(mknod,
            (const vfs_ctx_t *ctx, const vfs_path_t *path, vfs_type_e type, uint32_t mode,
             uint64_t rdev),
            (ctx, path, type, mode, rdev))
SERVE_DROPS(symlink, (const vfs_ctx_t *ctx, const char *target, const vfs_path_t *path),
            (ctx, target, path))
SERVE_DROPS(rmdir, (const vfs_ctx_t *ctx, const vfs_path_t *path), (ctx, path))
SERVE_DROPS(unlink, (const vfs_ctx_t *ctx, const vfs_path_t *path), (ctx, path))
SERVE_DROPS(truncate, (const vfs_ctx_t *ctx, const vfs_path_t *path, apr_off_t size),
            (ctx, path, size))
SERVE_DROPS(utimens,
            (const vfs_ctx_t *ctx, const vfs_path_t *path, int64_t atime_ns, int64_t mtime_ns,
             uint32_t flags),
            (ctx, path, atime_ns, mtime_ns, flags))
SERVE_DROPS(commit,
            (const vfs_ctx_t *ctx, const vfs_path_t *path, const vfs_source_t *source,
             const vfs_commit_t *how, vfs_attr_t *attr, vfs_validator_t *validator),
            (ctx, path, source, how, attr, validator))

#define SERVE_TABLE_READ(name) .name = serve_##name,
#define SERVE_TABLE_META(name) .name = serve_##name,
#define SERVE_TABLE_WRITE(name) .name = serve_##name,
#define SERVE_TABLE_HANDLE(name) .name = serve_##name,
#define SERVE_TABLE_CHANGE(name) .name = serve_##name,
#define SERVE_TABLE_SYNC(name) .name = serve_##name,

const vfs_ops_t vfs__corfs_serve_ops = {
    .abi = VFS_ABI,
    .size = sizeof(vfs_ops_t),
    .name = "corfs",
    .destroy = vfs__corfs_destroy,
    .open = serve_open,
    .close = serve_close,
    .opendir = vfs_pass_opendir,
    .copy_range = serve_copy_range,
    .get = serve_get,
    .stat = vfs_pass_stat,
    .lstat = vfs_pass_lstat,
    .access = vfs_pass_access,
    .mknod = serve_mknod,
    .mkdir = vfs_pass_mkdir,
    .rmdir = serve_rmdir,
    .unlink = serve_unlink,
    .rename = serve_rename,
    .link = serve_link,
    .symlink = serve_symlink,
    .readlink = vfs_pass_readlink,
    .truncate = serve_truncate,
    .chmod = vfs_pass_chmod,
    .chown = vfs_pass_chown,
    .utimens = serve_utimens,
    .statfs = vfs_pass_statfs,
    .getxattr = vfs_pass_getxattr,
    .setxattr = vfs_pass_setxattr,
    .listxattr = vfs_pass_listxattr,
    .removexattr = vfs_pass_removexattr,
    .sync_dir = vfs_pass_sync_dir,
    .sync_fs = vfs_pass_sync_fs,
    .commit = serve_commit,
    .watch = vfs_pass_watch,
    .unwatch = vfs_pass_unwatch,
#define VFS_OP_FILE(name_, class, params, args, doc) SERVE_TABLE_##class(name_)
#include "vfs/vfs_ops.def"
};
