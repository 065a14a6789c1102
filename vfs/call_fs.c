/*
 * call_fs.c - dispatch of the operations by path. Each vfs_call_NAME checks the arguments, the
 * table and the context, in this order, settles a trailing slash, and calls the op. Floor 1. An op
 * sees normal paths, known flags, and out-parameters that are there and zeroed.
 */
#include <string.h>

#include "vfs/internal.h"

#define EISDIR_STATUS APR_FROM_OS_ERROR(EISDIR)
#define EBUSY_STATUS APR_FROM_OS_ERROR(EBUSY)

/* The table and the context. */
#define ENTER(name)                                                                                \
    do {                                                                                           \
        if (fs->ops.name == NULL) return APR_ENOTIMPL;                                             \
        apr_status_t entered = vfs__ctx_check(ctx);                                                \
        if (entered != APR_SUCCESS) return entered;                                                \
    } while (0)

/* A path with a trailing slash asks for a directory; what the op gets has none. */
static apr_status_t settle(vfs_path_t *own, vfs_t *fs, const vfs_ctx_t *ctx,
                           const vfs_path_t **path)
{
    if (!((*path)->flags & VFS_PATH_DIR)) return APR_SUCCESS;
    *own = **path;
    own->flags &= ~VFS_PATH_DIR;
    *path = own;
    return vfs__slash_dir(fs, ctx, own);
}
#define SETTLE()                                                                                   \
    vfs_path_t plain;                                                                              \
    do {                                                                                           \
        apr_status_t settled = settle(&plain, fs, ctx, &path);                                     \
        if (settled != APR_SUCCESS) return settled;                                                \
    } while (0)

/* The same where the slash stands behind a link too: then the link is followed. */
#define SETTLE_LINK(flags)                                                                         \
    if (path->flags & VFS_PATH_DIR) (flags) &= ~VFS_NOFOLLOW;                                      \
    SETTLE()

/* For mkdir and rmdir a slash says nothing new. */
static const vfs_path_t *without_slash(vfs_path_t *own, const vfs_path_t *path)
{
    if (!(path->flags & VFS_PATH_DIR)) return path;
    *own = *path;
    own->flags &= ~VFS_PATH_DIR;
    return own;
}

/* ---- asking */

apr_status_t vfs_call_get(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, void *buf,
                          size_t len, size_t *got, vfs_attr_t *attr, vfs_validator_t *validator)
{
    vfs_attr_t attr_unwanted;
    vfs_validator_t validator_unwanted;
    vfs__assert_fs(fs);
    if (attr == NULL) attr = &attr_unwanted;
    if (validator == NULL) validator = &validator_unwanted;
    vfs__attr_clear(attr);
    memset(validator, 0, sizeof(*validator));
    VFS_CHECK_ARG(got != NULL);
    *got = 0;
    VFS_CHECK_ARG(buf != NULL || len == 0);
    VFS_CHECK_ARG(len <= (uint64_t)VFS__OFF_MAX);
    if (fs->ops.get == NULL) {
        ENTER(open);
        return vfs__compose_get(fs, ctx, path, buf, len, got, attr, validator);
    }
    ENTER(get);
    SETTLE();
    apr_status_t status = fs->ops.get(fs, ctx, path, buf, len, got, attr, validator);
    if (status != APR_SUCCESS) *got = 0;
    VFS_ASSERT(*got <= len);
    return status;
}

apr_status_t vfs_call_stat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                           vfs_attr_t *attr, vfs_validator_t *validator)
{
    vfs_attr_t attr_unwanted;
    vfs_validator_t validator_unwanted;
    vfs__assert_fs(fs);
    if (attr == NULL) attr = &attr_unwanted;
    if (validator == NULL) validator = &validator_unwanted;
    vfs__attr_clear(attr);
    memset(validator, 0, sizeof(*validator));
    ENTER(stat);
    vfs_path_t plain;
    apr_status_t status = fs->ops.stat(fs, ctx, without_slash(&plain, path), attr, validator);
    if (status != APR_SUCCESS || !(path->flags & VFS_PATH_DIR)) return status;
    return attr->type == VFS_TYPE_DIR ? APR_SUCCESS : APR_ENOTDIR;
}

apr_status_t vfs_call_lstat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                            vfs_attr_t *attr, vfs_validator_t *validator)
{
    vfs_attr_t attr_unwanted;
    vfs_validator_t validator_unwanted;
    vfs__assert_fs(fs);
    if (path->flags & VFS_PATH_DIR) return vfs_call_stat(fs, ctx, path, attr, validator);
    if (attr == NULL) attr = &attr_unwanted;
    if (validator == NULL) validator = &validator_unwanted;
    vfs__attr_clear(attr);
    memset(validator, 0, sizeof(*validator));
    ENTER(lstat);
    return fs->ops.lstat(fs, ctx, path, attr, validator);
}

apr_status_t vfs_call_access(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t mask)
{
    vfs__assert_fs(fs);
    VFS_CHECK_ARG((mask & ~(VFS_ACCESS_READ | VFS_ACCESS_WRITE | VFS_ACCESS_EXEC)) == 0);
    if (fs->ops.access == NULL) {
        ENTER(stat);
        return vfs__compose_access(fs, ctx, path, mask);
    }
    ENTER(access);
    SETTLE();
    return fs->ops.access(fs, ctx, path, mask);
}

apr_status_t vfs_call_readlink(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, char *buf,
                               size_t size, size_t *len)
{
    size_t unwanted;
    vfs__assert_fs(fs);
    if (len == NULL) len = &unwanted;
    *len = 0;
    VFS_CHECK_ARG(buf != NULL && size > 0);
    buf[0] = '\0';
    ENTER(readlink);
    SETTLE();
    if (path == &plain) return APR_EINVAL; /* a directory, even if through a link */
    apr_status_t status = fs->ops.readlink(fs, ctx, path, buf, size, len);
    VFS_ASSERT(status != APR_SUCCESS || *len < size);
    return status;
}

apr_status_t vfs_call_statfs(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                             vfs_statfs_t *out)
{
    vfs__assert_fs(fs);
    VFS_CHECK_ARG(out != NULL);
    memset(out, 0, sizeof(*out));
    ENTER(statfs);
    SETTLE();
    return fs->ops.statfs(fs, ctx, path, out);
}

apr_status_t vfs_call_watch(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                            vfs_event_fn fn, void *baton, uint64_t *watch)
{
    vfs__assert_fs(fs);
    VFS_CHECK_ARG(fn != NULL && watch != NULL);
    *watch = 0;
    ENTER(watch);
    SETTLE();
    return fs->ops.watch(fs, ctx, path, fn, baton, watch);
}

apr_status_t vfs_call_unwatch(vfs_t *fs, uint64_t watch)
{
    vfs__assert_fs(fs);
    if (fs->ops.unwatch == NULL) return APR_ENOTIMPL;
    return fs->ops.unwatch(fs, watch);
}

/* ---- names */

apr_status_t vfs_call_mknod(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                            vfs_type_e type, uint32_t mode, uint64_t rdev)
{
    vfs__assert_fs(fs);
    VFS_CHECK_ARG(type == VFS_TYPE_FILE || type == VFS_TYPE_FIFO || type == VFS_TYPE_SOCKET ||
                  type == VFS_TYPE_CHAR || type == VFS_TYPE_BLOCK);
    VFS_CHECK_ARG((mode & ~VFS__MODE_BITS) == 0);
    ENTER(mknod);
    if (vfs__is_root(path)) return APR_EEXIST;
    if (path->flags & VFS_PATH_DIR) return vfs__slash_make(fs, ctx, path);
    return fs->ops.mknod(fs, ctx, path, type, mode, rdev);
}

apr_status_t vfs_call_mkdir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t mode)
{
    vfs_path_t plain;
    vfs__assert_fs(fs);
    VFS_CHECK_ARG((mode & ~VFS__MODE_BITS) == 0);
    ENTER(mkdir);
    if (vfs__is_root(path)) return APR_EEXIST;
    return fs->ops.mkdir(fs, ctx, without_slash(&plain, path), mode);
}

apr_status_t vfs_call_rmdir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    vfs_path_t plain;
    vfs__assert_fs(fs);
    ENTER(rmdir);
    if (vfs__is_root(path)) return EBUSY_STATUS;
    return fs->ops.rmdir(fs, ctx, without_slash(&plain, path));
}

apr_status_t vfs_call_unlink(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    vfs__assert_fs(fs);
    ENTER(unlink);
    if (vfs__is_root(path)) return EISDIR_STATUS;
    if (path->flags & VFS_PATH_DIR) return vfs__slash_unlink(fs, ctx, path);
    return fs->ops.unlink(fs, ctx, path);
}

apr_status_t vfs_call_rename(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                             const vfs_path_t *to, uint32_t flags)
{
    vfs_path_t plain_from, plain_to;
    vfs__assert_fs(fs);
    VFS_CHECK_ARG(flags == 0 || flags == VFS_RENAME_NOREPLACE || flags == VFS_RENAME_EXCHANGE);
    ENTER(rename);
    if (vfs__is_root(from) || vfs__is_root(to)) return EBUSY_STATUS;
    if ((from->flags | to->flags) & VFS_PATH_DIR) {
        apr_status_t status = vfs__slash_rename(fs, ctx, from, to, flags);
        if (status != APR_SUCCESS) return status;
    }
    return fs->ops.rename(fs, ctx, without_slash(&plain_from, from), without_slash(&plain_to, to),
                          flags);
}

apr_status_t vfs_call_link(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                           const vfs_path_t *to)
{
    vfs__assert_fs(fs);
    ENTER(link);
    if (vfs__is_root(to)) return APR_EEXIST;
    if (vfs__is_root(from) || ((from->flags | to->flags) & VFS_PATH_DIR))
        return vfs__slash_link(fs, ctx, from, to);
    return fs->ops.link(fs, ctx, from, to);
}

apr_status_t vfs_call_symlink(vfs_t *fs, const vfs_ctx_t *ctx, const char *target,
                              const vfs_path_t *path)
{
    vfs__assert_fs(fs);
    VFS_CHECK_ARG(target != NULL);
    if (target[0] == '\0') return APR_ENOENT;
    if (strnlen(target, VFS_PATH_MAX) == VFS_PATH_MAX) return APR_ENAMETOOLONG;
    ENTER(symlink);
    if (vfs__is_root(path)) return APR_EEXIST;
    if (path->flags & VFS_PATH_DIR) return vfs__slash_make(fs, ctx, path);
    return fs->ops.symlink(fs, ctx, target, path);
}

/* ---- attributes */

apr_status_t vfs_call_truncate(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               apr_off_t size)
{
    vfs__assert_fs(fs);
    VFS_CHECK_ARG(size >= 0);
    ENTER(truncate);
    SETTLE();
    return fs->ops.truncate(fs, ctx, path, size);
}

apr_status_t vfs_call_chmod(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t mode,
                            uint32_t flags)
{
    vfs__assert_fs(fs);
    VFS_CHECK_ARG((mode & ~VFS__MODE_BITS) == 0 && (flags & ~VFS_NOFOLLOW) == 0);
    ENTER(chmod);
    SETTLE_LINK(flags);
    return fs->ops.chmod(fs, ctx, path, mode, flags);
}

apr_status_t vfs_call_chown(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t uid,
                            uint32_t gid, uint32_t flags)
{
    vfs__assert_fs(fs);
    VFS_CHECK_ARG((flags & ~VFS_NOFOLLOW) == 0);
    ENTER(chown);
    SETTLE_LINK(flags);
    return fs->ops.chown(fs, ctx, path, uid, gid, flags);
}

apr_status_t vfs_call_utimens(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              int64_t atime_ns, int64_t mtime_ns, uint32_t flags)
{
    vfs__assert_fs(fs);
    VFS_CHECK_ARG((flags & ~VFS_NOFOLLOW) == 0);
    ENTER(utimens);
    SETTLE_LINK(flags);
    return fs->ops.utimens(fs, ctx, path, atime_ns, mtime_ns, flags);
}

apr_status_t vfs_call_getxattr(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               const char *name, void *buf, size_t size, size_t *len,
                               uint32_t flags)
{
    size_t unwanted;
    vfs__assert_fs(fs);
    if (len == NULL) len = &unwanted;
    *len = 0;
    VFS_CHECK_ARG(name != NULL && name[0] != '\0' && (buf != NULL || size == 0));
    VFS_CHECK_ARG((flags & ~VFS_NOFOLLOW) == 0);
    ENTER(getxattr);
    SETTLE_LINK(flags);
    apr_status_t status = fs->ops.getxattr(fs, ctx, path, name, buf, size, len, flags);
    VFS_ASSERT(status != APR_SUCCESS || size == 0 || *len <= size);
    return status;
}

apr_status_t vfs_call_setxattr(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               const char *name, const void *value, size_t len, uint32_t how,
                               uint32_t flags)
{
    vfs__assert_fs(fs);
    VFS_CHECK_ARG(name != NULL && name[0] != '\0' && (value != NULL || len == 0));
    VFS_CHECK_ARG(how == 0 || how == VFS_XATTR_CREATE || how == VFS_XATTR_REPLACE);
    VFS_CHECK_ARG((flags & ~VFS_NOFOLLOW) == 0);
    ENTER(setxattr);
    SETTLE_LINK(flags);
    return fs->ops.setxattr(fs, ctx, path, name, value, len, how, flags);
}

apr_status_t vfs_call_listxattr(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, char *buf,
                                size_t size, size_t *len, uint32_t flags)
{
    size_t unwanted;
    vfs__assert_fs(fs);
    if (len == NULL) len = &unwanted;
    *len = 0;
    VFS_CHECK_ARG((buf != NULL || size == 0) && (flags & ~VFS_NOFOLLOW) == 0);
    ENTER(listxattr);
    SETTLE_LINK(flags);
    apr_status_t status = fs->ops.listxattr(fs, ctx, path, buf, size, len, flags);
    VFS_ASSERT(status != APR_SUCCESS || size == 0 || *len <= size);
    return status;
}

apr_status_t vfs_call_removexattr(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                  const char *name, uint32_t flags)
{
    vfs__assert_fs(fs);
    VFS_CHECK_ARG(name != NULL && name[0] != '\0' && (flags & ~VFS_NOFOLLOW) == 0);
    ENTER(removexattr);
    SETTLE_LINK(flags);
    return fs->ops.removexattr(fs, ctx, path, name, flags);
}

/* ---- durability and whole objects */

apr_status_t vfs_call_sync_dir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    vfs__assert_fs(fs);
    ENTER(sync_dir);
    SETTLE();
    return fs->ops.sync_dir(fs, ctx, path);
}

apr_status_t vfs_call_sync_fs(vfs_t *fs, const vfs_ctx_t *ctx)
{
    vfs__assert_fs(fs);
    ENTER(sync_fs);
    return fs->ops.sync_fs(fs, ctx);
}

/* What is kept: ranges of the new bytes, in order, and of a version that is named. */
static int kept_ok(const vfs_commit_t *how, uint64_t size)
{
    uint64_t end = 0;
    if (how->kept_count == 0) return 1;
    if (how->kept == NULL || how->expected.kind == VFS_VALIDATOR_NONE) return 0;
    if (how->flags & VFS_COMMIT_IF_NONE) return 0;
    for (size_t i = 0; i < how->kept_count; i++) {
        const vfs_range_t *range = &how->kept[i];
        if (range->len == 0 || range->off < end || range->off > size) return 0;
        if (range->len > size - range->off) return 0;
        end = range->off + range->len;
    }
    return 1;
}

static int commit_ok(const vfs_commit_t *how, uint64_t size)
{
    if ((how->flags & ~(VFS_COMMIT_IF_MATCH | VFS_COMMIT_IF_NONE)) != 0) return 0;
    if ((how->mode & ~VFS__MODE_BITS) != 0 || !kept_ok(how, size)) return 0;
    if (how->same_as != NULL && how->same_version.kind == VFS_VALIDATOR_NONE) return 0;
    if (!(how->flags & VFS_COMMIT_IF_MATCH)) return 1;
    return !(how->flags & VFS_COMMIT_IF_NONE) && how->expected.kind != VFS_VALIDATOR_NONE;
}

apr_status_t vfs_call_commit(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                             const vfs_source_t *source, const vfs_commit_t *how, vfs_attr_t *attr,
                             vfs_validator_t *validator)
{
    vfs_commit_t whole = VFS_COMMIT_INIT; /* what a caller of an older header did not know is 0 */
    vfs_attr_t attr_unwanted;
    vfs_validator_t validator_unwanted;
    vfs__assert_fs(fs);
    if (attr == NULL) attr = &attr_unwanted;
    if (validator == NULL) validator = &validator_unwanted;
    vfs__attr_clear(attr);
    memset(validator, 0, sizeof(*validator));
    VFS_CHECK_ARG(source != NULL && (source->read_at != NULL || source->size == 0));
    VFS_CHECK_ARG(source->size <= (uint64_t)VFS__OFF_MAX);
    if (how != NULL) {
        VFS_CHECK_ARG(how->size >= offsetof(vfs_commit_t, kept));
        memcpy(&whole, how, how->size < sizeof(whole) ? how->size : sizeof(whole));
        whole.size = sizeof(whole);
    }
    VFS_CHECK_ARG(commit_ok(&whole, source->size));
    ENTER(commit);
    if (vfs__is_root(path) || (path->flags & VFS_PATH_DIR)) return EISDIR_STATUS;
    return fs->ops.commit(fs, ctx, path, source, &whole, attr, validator);
}
