/*
 * attrs.c - attributes of names and of open files: asking, changing, extended ones. Floor 2.
 * By name, the file is first taken by reference, beneath the root; all that follows is done to the
 * reference.
 */
#include "backends/local/local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A file by reference, and the caller's credentials in force. */
typedef struct target_t {
    port_creds_t creds;
    int fd;
    int direct;
} target_t;

static apr_status_t enter(target_t *target, vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                          uint32_t flags)
{
    local_t *self = local__of(fs);
    uint32_t how = PORT_O_PATH | ((flags & VFS_NOFOLLOW) ? VFS_O_NOFOLLOW : 0);
    target->direct = 0;
    apr_status_t status = port__creds_enter(&self->root, ctx, &target->creds);
    if (status != APR_SUCCESS) return status;
    status = port__open(&self->root, path->str, how, &target->fd, &target->direct);
    if (status != APR_SUCCESS) port__creds_leave(&target->creds);
    return status;
}

static apr_status_t leave(target_t *target, apr_status_t status)
{
    port__creds_leave(&target->creds);
    port__close(target->fd);
    return status;
}

/* ---- asking */

static apr_status_t stat_flags(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               uint32_t flags, vfs_attr_t *attr, vfs_validator_t *validator)
{
    target_t target;
    int64_t asked_ns = vfs_now_ns();
    apr_status_t status = enter(&target, fs, ctx, path, flags);
    if (status == APR_SUCCESS) status = leave(&target, port__stat(target.fd, attr));
    if (target.direct) attr->flags |= VFS_ATTR_DIRECT; /* the one that counts after APR_ENOENT */
    if (status == APR_SUCCESS) local__validate(attr, asked_ns, validator);
    return status;
}

apr_status_t local__stat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, vfs_attr_t *attr,
                         vfs_validator_t *validator)
{
    return stat_flags(fs, ctx, path, 0, attr, validator);
}

apr_status_t local__lstat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, vfs_attr_t *attr,
                          vfs_validator_t *validator)
{
    return stat_flags(fs, ctx, path, VFS_NOFOLLOW, attr, validator);
}

apr_status_t local__fstat(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_attr_t *attr,
                          vfs_validator_t *validator)
{
    local_file_t *own = local__file(file);
    (void)ctx; /* an open file may be asked by its holder */
    int64_t asked_ns = vfs_now_ns();
    apr_status_t status = port__stat(own->fd, attr);
    if (status != APR_SUCCESS) return status;
    attr->flags |= own->direct;
    atomic_store_explicit(&own->seen, local__print(attr), memory_order_release);
    local__validate(attr, asked_ns, validator);
    return APR_SUCCESS;
}

apr_status_t local__access(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t mask)
{
    target_t target;
    apr_status_t status = enter(&target, fs, ctx, path, 0);
    if (status != APR_SUCCESS) return status;
    return leave(&target, port__access(target.fd, mask));
}

apr_status_t local__statfs(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                           vfs_statfs_t *out)
{
    target_t target;
    apr_status_t status = enter(&target, fs, ctx, path, 0);
    if (status != APR_SUCCESS) return status;
    return leave(&target, port__statfs(target.fd, out));
}

/* ---- changing */

apr_status_t local__truncate(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                             apr_off_t size)
{
    target_t target;
    apr_status_t status = enter(&target, fs, ctx, path, 0);
    if (status != APR_SUCCESS) return status;
    return leave(&target, port__truncate(target.fd, size));
}

apr_status_t local__chmod(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t mode,
                          uint32_t flags)
{
    target_t target;
    apr_status_t status = enter(&target, fs, ctx, path, flags);
    if (status != APR_SUCCESS) return status;
    return leave(&target, port__chmod(target.fd, mode));
}

apr_status_t local__chown(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t uid,
                          uint32_t gid, uint32_t flags)
{
    target_t target;
    apr_status_t status = enter(&target, fs, ctx, path, flags);
    if (status != APR_SUCCESS) return status;
    return leave(&target, port__chown(target.fd, uid, gid));
}

apr_status_t local__utimens(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                            int64_t atime_ns, int64_t mtime_ns, uint32_t flags)
{
    target_t target;
    apr_status_t status = enter(&target, fs, ctx, path, flags);
    if (status != APR_SUCCESS) return status;
    return leave(&target, port__utimens(target.fd, atime_ns, mtime_ns));
}

/* The same on open files: the handle's right was checked by open, but the owner's is asked again.
 */
static apr_status_t enter_file(port_creds_t *creds, vfs_file_t *file, const vfs_ctx_t *ctx)
{
    return port__creds_enter(&local__of(file->fs)->root, ctx, creds);
}

static apr_status_t leave_file(port_creds_t *creds, apr_status_t status)
{
    port__creds_leave(creds);
    return status;
}

apr_status_t local__fchmod(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t mode)
{
    port_creds_t creds;
    apr_status_t status = enter_file(&creds, file, ctx);
    if (status != APR_SUCCESS) return status;
    return leave_file(&creds, port__chmod(local__file(file)->fd, mode));
}

apr_status_t local__fchown(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t uid, uint32_t gid)
{
    port_creds_t creds;
    apr_status_t status = enter_file(&creds, file, ctx);
    if (status != APR_SUCCESS) return status;
    return leave_file(&creds, port__chown(local__file(file)->fd, uid, gid));
}

apr_status_t local__futimens(vfs_file_t *file, const vfs_ctx_t *ctx, int64_t atime_ns,
                             int64_t mtime_ns)
{
    port_creds_t creds;
    apr_status_t status = enter_file(&creds, file, ctx);
    if (status != APR_SUCCESS) return status;
    return leave_file(&creds, port__utimens(local__file(file)->fd, atime_ns, mtime_ns));
}

/* ---- extended attributes */

/* setfsuid leaves CAP_SYS_ADMIN in force, which these name spaces ask for: so they are ours to
 * refuse. */
static int reserved(const local_t *self, const port_creds_t *creds, const char *name)
{
    if (!self->root.privileged || creds->as_uid == self->root.uid) return 0;
    return strncmp(name, "trusted.", 8) == 0 || strncmp(name, "security.", 9) == 0;
}

static int hidden(const local_t *self, const port_creds_t *creds, const char *name)
{
    return reserved(self, creds, name) && name[0] == 't';
}

#define REFUSED APR_FROM_OS_ERROR(EPERM)
#define LIST_MAX 65536u /* XATTR_LIST_MAX of the system */

/* A list without the names that are hidden, which do not count either. In place; its length. */
static size_t without_hidden(const local_t *self, const port_creds_t *creds, char *list, size_t len)
{
    size_t kept = 0;
    for (size_t at = 0; at < len;) {
        size_t one = strlen(list + at) + 1;
        if (!hidden(self, creds, list + at)) {
            memmove(list + kept, list + at, one);
            kept += one;
        }
        at += one;
    }
    return kept;
}

static apr_status_t list_names(const local_t *self, const port_creds_t *creds, int fd, int is_path,
                               char *buf, size_t size, size_t *len)
{
    if (!hidden(self, creds, "trusted.")) return port__listxattr(fd, is_path, buf, size, len);
    char *all = malloc(LIST_MAX);
    if (all == NULL) return APR_ENOMEM;
    apr_status_t status = port__listxattr(fd, is_path, all, LIST_MAX, len);
    if (status == APR_SUCCESS) {
        *len = without_hidden(self, creds, all, *len);
        if (size > 0 && *len > size)
            status = APR_FROM_OS_ERROR(ERANGE);
        else if (size > 0)
            memcpy(buf, all, *len);
    }
    free(all);
    return status;
}

apr_status_t local__getxattr(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                             const char *name, void *buf, size_t size, size_t *len, uint32_t flags)
{
    target_t target;
    apr_status_t status = enter(&target, fs, ctx, path, flags);
    if (status != APR_SUCCESS) return status;
    status = hidden(local__of(fs), &target.creds, name)
                 ? VFS_ENODATA
                 : port__getxattr(target.fd, 1, name, buf, size, len);
    return leave(&target, status);
}

apr_status_t local__setxattr(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                             const char *name, const void *value, size_t len, uint32_t how,
                             uint32_t flags)
{
    target_t target;
    apr_status_t status = enter(&target, fs, ctx, path, flags);
    if (status != APR_SUCCESS) return status;
    status = reserved(local__of(fs), &target.creds, name)
                 ? REFUSED
                 : port__setxattr(target.fd, 1, name, value, len, how);
    return leave(&target, status);
}

apr_status_t local__listxattr(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, char *buf,
                              size_t size, size_t *len, uint32_t flags)
{
    target_t target;
    apr_status_t status = enter(&target, fs, ctx, path, flags);
    if (status != APR_SUCCESS) return status;
    return leave(&target, list_names(local__of(fs), &target.creds, target.fd, 1, buf, size, len));
}

apr_status_t local__removexattr(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                const char *name, uint32_t flags)
{
    target_t target;
    apr_status_t status = enter(&target, fs, ctx, path, flags);
    if (status != APR_SUCCESS) return status;
    status = reserved(local__of(fs), &target.creds, name) ? REFUSED
                                                          : port__removexattr(target.fd, 1, name);
    return leave(&target, status);
}

apr_status_t local__fgetxattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name, void *buf,
                              size_t size, size_t *len)
{
    port_creds_t creds;
    apr_status_t status = enter_file(&creds, file, ctx);
    if (status != APR_SUCCESS) return status;
    status = hidden(local__of(file->fs), &creds, name)
                 ? VFS_ENODATA
                 : port__getxattr(local__file(file)->fd, 0, name, buf, size, len);
    return leave_file(&creds, status);
}

apr_status_t local__fsetxattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name,
                              const void *value, size_t len, uint32_t how)
{
    port_creds_t creds;
    apr_status_t status = enter_file(&creds, file, ctx);
    if (status != APR_SUCCESS) return status;
    status = reserved(local__of(file->fs), &creds, name)
                 ? REFUSED
                 : port__setxattr(local__file(file)->fd, 0, name, value, len, how);
    return leave_file(&creds, status);
}

apr_status_t local__flistxattr(vfs_file_t *file, const vfs_ctx_t *ctx, char *buf, size_t size,
                               size_t *len)
{
    port_creds_t creds;
    apr_status_t status = enter_file(&creds, file, ctx);
    if (status != APR_SUCCESS) return status;
    return leave_file(
        &creds, list_names(local__of(file->fs), &creds, local__file(file)->fd, 0, buf, size, len));
}

apr_status_t local__fremovexattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name)
{
    port_creds_t creds;
    apr_status_t status = enter_file(&creds, file, ctx);
    if (status != APR_SUCCESS) return status;
    status = reserved(local__of(file->fs), &creds, name)
                 ? REFUSED
                 : port__removexattr(local__file(file)->fd, 0, name);
    return leave_file(&creds, status);
}
