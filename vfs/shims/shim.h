/*
 * shim.h - what the shims share: a call as one value, handles that remember their path, clock and
 * wait. Floor 1, private to vfs/shims. shim_ops.def makes a whole table of ops around one `begin`
 * and one `end`.
 */
#ifndef VFS_SHIMS_SHIM_H
#define VFS_SHIMS_SHIM_H

#include <stdint.h>

#include "vfs/shims/shims.h"
#include "vfs/vfs_ops.h"

/** A number among the arguments of a call, for the trace. name is NULL where there is none. */
typedef struct shim_num_t {
    const char *name;
    int64_t value;
} shim_num_t;

/** An open file of a shim. */
typedef struct shim_file_t {
    vfs_file_t base;
    uint64_t id; /**< unique in the process, from 1 */
    char path[]; /**< by which it was opened */
} shim_file_t;

/** An open directory of a shim. As a directory handle has one user at a time, nothing guards it. */
typedef struct shim_dir_t {
    vfs_dir_t base;
    uint64_t id;
    uint64_t entries; /**< delivered since the page began */
    uint64_t cookie;  /**< of the latest entry */
    char path[];
} shim_dir_t;

/** One call, as far as a shim may want to know it. Pointers live as long as the call. */
typedef struct shim_call_t {
    vfs_opid_e op;
    int act; /**< the shim's own note from begin to end */
    vfs_t *fs;
    vfs_file_t *file; /**< the handle below, for ops on files */
    shim_dir_t *dir;  /**< this shim's handle, for ops on directories */
    uint64_t handle;  /**< its number, 0 without one */
    const vfs_ctx_t *ctx;
    const vfs_path_t *where; /**< for ops by path */
    const char *path;        /**< or that of the handle; NULL: the call has none */
    const char *to;          /**< the second path of rename, link and copy_range */
    const char *text;        /**< the target of symlink, the name of an extended attribute */
    void *into;              /**< memory of get, read_at */
    const void *from;        /**< memory of write_at */
    const vfs_iovec_t *iov;  /**< memory of readv_at and writev_at */
    size_t count;
    size_t len; /**< bytes asked for */
    int64_t off;
    uint64_t bytes; /**< that a commit brings */
    size_t *done;   /**< bytes moved, once the call has ended */
    vfs_dirent_t *entry;
    vfs_attr_t *attr;
    vfs_validator_t *validator;
    shim_num_t num[3];
    int64_t since_ns; /**< the shim's own note of when it began */
    uint64_t note;    /**< the shim's own note, likewise */
} shim_call_t;

/* SHIM_OF_op: how the arguments of an op fill a shim_call_t. Ops on handles leave fs, file, dir,
 * handle and path to shim_ops.def. A new op needs a line here; without it no shim compiles. */
#define SHIM_PATH_ .ctx = ctx, .where = path, .path = path->str
#define SHIM_OF_open SHIM_PATH_, .num = {{"flags", flags}, {"mode", mode}}
#define SHIM_OF_opendir SHIM_PATH_, .num = {{"flags", flags}}
#define SHIM_OF_get                                                                                \
    SHIM_PATH_, .into = buf, .len = len, .done = got, .attr = attr, .validator = validator,        \
                .num = {{"len", (int64_t)len}}
#define SHIM_OF_stat SHIM_PATH_, .attr = attr, .validator = validator
#define SHIM_OF_lstat SHIM_PATH_, .attr = attr, .validator = validator
#define SHIM_OF_access SHIM_PATH_, .num = {{"mask", mask}}
#define SHIM_OF_mknod SHIM_PATH_, .num = {{"type", type}, {"mode", mode}, {"rdev", (int64_t)rdev}}
#define SHIM_OF_mkdir SHIM_PATH_, .num = {{"mode", mode}}
#define SHIM_OF_rmdir SHIM_PATH_
#define SHIM_OF_unlink SHIM_PATH_
#define SHIM_OF_rename                                                                             \
    .ctx = ctx, .where = from, .path = from->str, .to = to->str, .num = {{"flags", flags}}
#define SHIM_OF_link .ctx = ctx, .where = from, .path = from->str, .to = to->str
#define SHIM_OF_symlink SHIM_PATH_, .text = target
#define SHIM_OF_readlink SHIM_PATH_, .num = {{"size", (int64_t)size}}
#define SHIM_OF_truncate SHIM_PATH_, .num = {{"size", size}}
#define SHIM_OF_chmod SHIM_PATH_, .num = {{"mode", mode}, {"flags", flags}}
#define SHIM_OF_chown SHIM_PATH_, .num = {{"uid", uid}, {"gid", gid}, {"flags", flags}}
#define SHIM_OF_utimens                                                                            \
    SHIM_PATH_, .num = {{"atime", atime_ns}, {"mtime", mtime_ns}, {"flags", flags}}
#define SHIM_OF_statfs SHIM_PATH_
#define SHIM_OF_getxattr                                                                           \
    SHIM_PATH_, .text = name, .num = {{"size", (int64_t)size}, {"flags", flags}}
#define SHIM_OF_setxattr                                                                           \
    SHIM_PATH_, .text = name, .num = {{"len", (int64_t)len}, {"how", how}, {"flags", flags}}
#define SHIM_OF_listxattr SHIM_PATH_, .num = {{"size", (int64_t)size}, {"flags", flags}}
#define SHIM_OF_removexattr SHIM_PATH_, .text = name, .num = {{"flags", flags}}
#define SHIM_OF_sync_dir SHIM_PATH_
#define SHIM_OF_sync_fs .ctx = ctx
#define SHIM_OF_commit                                                                             \
    SHIM_PATH_,                                                                                    \
        .bytes = source->size, .attr = attr, .validator = validator,                               \
        .num = {{"size", (int64_t)source->size}, {"flags", how->flags}, {"mode", how->mode}}
#define SHIM_OF_watch SHIM_PATH_
#define SHIM_OF_unwatch .num = {{"watch", (int64_t)watch}}
#define SHIM_OF_read_at                                                                            \
    .ctx = ctx, .into = buf, .len = len, .off = off, .done = got,                                  \
    .num = {{"len", (int64_t)len}, {"off", off}}
#define SHIM_OF_write_at                                                                           \
    .ctx = ctx, .from = buf, .len = len, .off = off, .done = written, .validator = validator,      \
    .num = {{"len", (int64_t)len}, {"off", off}}
#define SHIM_OF_readv_at                                                                           \
    .ctx = ctx, .iov = iov, .count = count, .len = vfs__shim_iov_len(iov, count), .off = off,      \
    .done = got,                                                                                   \
    .num = {                                                                                       \
        {"len", (int64_t)vfs__shim_iov_len(iov, count)}, {"off", off}, {"count", (int64_t)count}}
#define SHIM_OF_writev_at                                                                          \
    .ctx = ctx, .iov = iov, .count = count, .len = vfs__shim_iov_len(iov, count), .off = off,      \
    .done = written, .validator = validator,                                                       \
    .num = {                                                                                       \
        {"len", (int64_t)vfs__shim_iov_len(iov, count)}, {"off", off}, {"count", (int64_t)count}}
#define SHIM_OF_fetch                                                                              \
    .ctx = ctx, .iov = iov, .count = count, .len = vfs__shim_iov_len(iov, count), .off = off,      \
    .done = got, .validator = validator,                                                           \
    .num = {                                                                                       \
        {"len", (int64_t)vfs__shim_iov_len(iov, count)}, {"off", off}, {"count", (int64_t)count}}
#define SHIM_OF_fstat .ctx = ctx, .attr = attr, .validator = validator
#define SHIM_OF_ftruncate .ctx = ctx, .num = {{"size", size}}
#define SHIM_OF_fchmod .ctx = ctx, .num = {{"mode", mode}}
#define SHIM_OF_fchown .ctx = ctx, .num = {{"uid", uid}, {"gid", gid}}
#define SHIM_OF_futimens .ctx = ctx, .num = {{"atime", atime_ns}, {"mtime", mtime_ns}}
#define SHIM_OF_fgetxattr .ctx = ctx, .text = name, .num = {{"size", (int64_t)size}}
#define SHIM_OF_fsetxattr .ctx = ctx, .text = name, .num = {{"len", (int64_t)len}, {"how", how}}
#define SHIM_OF_flistxattr .ctx = ctx, .num = {{"size", (int64_t)size}}
#define SHIM_OF_fremovexattr .ctx = ctx, .text = name
#define SHIM_OF_flush .ctx = ctx
#define SHIM_OF_sync .ctx = ctx, .num = {{"flags", flags}}
#define SHIM_OF_lock                                                                               \
    .ctx = ctx, .num = {{"type", lock->type}, {"start", lock->start}, {"len", lock->len}}
#define SHIM_OF_copy_range                                                                         \
    .ctx = ctx, .len = len, .done = copied,                                                        \
    .num = {{"len", (int64_t)len}, {"off", src_off}, {"to", dst_off}}
#define SHIM_OF_seek_extent .ctx = ctx, .num = {{"off", off}, {"whence", whence}}
#define SHIM_OF_allocate .ctx = ctx, .num = {{"flags", flags}, {"off", off}, {"len", len}}
#define SHIM_OF_close .ctx = ctx
#define SHIM_OF_readdir .ctx = ctx, .entry = entry
#define SHIM_OF_seekdir .ctx = ctx, .note = cookie, .num = {{"cookie", (int64_t)cookie}}

/** Make this shim's handle around one that it opens below. @return as vfs_open, or APR_ENOMEM
 * (nothing is open then) */
apr_status_t vfs__shim_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                            const vfs_path_t *path, uint32_t flags, uint32_t mode, vfs_attr_t *attr,
                            vfs_validator_t *validator);
apr_status_t vfs__shim_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                               const vfs_path_t *path, uint32_t flags);
/** Close the handle that an open brought but that its shim answers with an error. Returns `status`.
 */
apr_status_t vfs__shim_refuse(vfs_file_t **file, apr_status_t status);
apr_status_t vfs__shim_refuse_dir(vfs_dir_t **dir, apr_status_t status);

size_t vfs__shim_iov_len(const vfs_iovec_t *iov, size_t count);
/** The first `bytes` bytes of a vector as a vector in `out` (room for `count`). Returns its pieces.
 */
size_t vfs__shim_iov_head(vfs_iovec_t *out, const vfs_iovec_t *iov, size_t count, size_t bytes);
#define SHIM_IOV_MAX 1024u /**< pieces of a vector, by vfs.h */
/** Monotonic time in nanoseconds. */
int64_t vfs__shim_now_ns(void);
/** Sleep until a monotonic time. @return APR_SUCCESS; APR_TIMEUP or VFS_ECANCELED as soon as the
 * context says so (a flag is looked at once a millisecond) */
apr_status_t vfs__shim_sleep_until(const vfs_ctx_t *ctx, int64_t when_ns);

/** A step of splitmix64 (Steele, Lea and Flood 2014): random bits from a counter, without state. */
static inline uint64_t vfs__shim_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}
/** The same as a number in [0, 1). */
static inline double vfs__shim_unit(uint64_t x)
{
    return (double)(vfs__shim_mix(x) >> 11) * 0x1p-53;
}

#endif
