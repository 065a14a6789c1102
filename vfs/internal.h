/*
 * internal.h - what the files of vfs/ share: magic numbers, checks in line, and the one order of
 * checks. Floor 1, private to vfs/.
 */
#ifndef VFS_INTERNAL_H
#define VFS_INTERNAL_H

#include <errno.h>
#include <string.h>

#include "vfs/vfs_ops.h"

#define VFS__FS_MAGIC 0x76667331u
#define VFS__FILE_MAGIC 0x76666631u
#define VFS__DIR_MAGIC 0x76666431u
#define VFS__DEAD_MAGIC 0xdeadf5f5u

#define VFS__MODE_BITS 07777u
#define VFS__OFF_MAX INT64_MAX
#define VFS__IOV_MAX 1024u

/** vfs_ctx_check without the call in the common case of no context. */
static inline apr_status_t vfs__ctx_check(const vfs_ctx_t *ctx)
{
    return ctx == NULL ? APR_SUCCESS : vfs_ctx_check(ctx);
}

/** Does [off, off + len) lie within what an apr_off_t can name? */
static inline int vfs__range_ok(apr_off_t off, uint64_t len)
{
    uint64_t from = (uint64_t)off; /* none of the three has the sign's bit: so nothing wrapped */
    return ((from | len | (from + len)) >> 63) == 0;
}

static inline void vfs__assert_fs(const vfs_t *fs)
{
    VFS_ASSERT(fs != NULL);
    VFS_ASSERT(fs->magic == VFS__FS_MAGIC);
}

static inline void vfs__assert_file(const vfs_file_t *file)
{
    VFS_ASSERT(file != NULL);
    VFS_ASSERT(file->magic == VFS__FILE_MAGIC);
}

static inline void vfs__assert_dir(const vfs_dir_t *dir)
{
    VFS_ASSERT(dir != NULL);
    VFS_ASSERT(dir->magic == VFS__DIR_MAGIC);
}

static inline int vfs__is_root(const vfs_path_t *path)
{
    return path->len == 1;
}

/** Attributes as they come to an op: all 0. In two steps, of which compilers make a few wide stores
 * each; the whole is too long for that, and becomes a loop. */
static inline void vfs__attr_clear(vfs_attr_t *attr)
{
    const size_t half = 64;
    memset(attr, 0, half);
    memset((char *)attr + half, 0, sizeof(*attr) - half);
}

/** FNV-1a goes on: the hash of a longer string from that of its beginning. */
uint32_t vfs__hash_more(uint32_t hash, const char *str, size_t len);

/** A child of `parent` with an allocator of its own, so that two owners never share one. */
apr_status_t vfs__pool_create(apr_pool_t **out, apr_pool_t *parent);

/* Trailing slashes (slash.c): what a path that ended in '/' means to an operation, as Linux answers
 * it. */

/** `path` must name a directory, links followed: APR_SUCCESS, APR_ENOTDIR or what stat says. */
apr_status_t vfs__slash_dir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path);
/** The name of something that is made and is no directory: APR_EEXIST or APR_ENOENT, never success.
 */
apr_status_t vfs__slash_make(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path);
/** The name of something that is unlinked: EISDIR, APR_ENOTDIR or what lstat says. */
apr_status_t vfs__slash_unlink(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path);
/** The names of a rename, one of which ends in '/'. */
apr_status_t vfs__slash_rename(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                               const vfs_path_t *to, uint32_t flags);
/** The names of a link, one of which ends in '/': never success. */
apr_status_t vfs__slash_link(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                             const vfs_path_t *to);

/* Ops composed from others, where a layer has none of its own (compose.c). */
apr_status_t vfs__compose_get(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, void *buf,
                              size_t len, size_t *got, vfs_attr_t *attr,
                              vfs_validator_t *validator);
apr_status_t vfs__compose_access(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                 uint32_t mask);
apr_status_t vfs__compose_readv(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                size_t count, apr_off_t off, size_t *got);
apr_status_t vfs__compose_writev(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                 size_t count, apr_off_t off, size_t *written,
                                 vfs_validator_t *validator);

#endif
