/*
 * xattr.c - extended attributes: "user.*" on files and directories, as Linux has it (fs/xattr.c,
 * xattr(7)). Floor 2. They are few, so a list in the order of their making serves.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/mem/mem.h"

#define USER_PREFIX "user."
#define USER_PREFIX_LEN 5

static apr_status_t name_check(const char *name)
{
    if (name[0] == '\0' || strlen(name) > MEM_XATTR_NAME_MAX) return MEM_ERR(ERANGE);
    if (strncmp(name, USER_PREFIX, USER_PREFIX_LEN) != 0) return APR_ENOTIMPL;
    return name[USER_PREFIX_LEN] == '\0' ? APR_EINVAL : APR_SUCCESS;
}

/* inode->lock held. */
static apr_status_t may_read(const mem_inode_t *inode, const mem_user_t *user)
{
    if (inode->type != VFS_TYPE_FILE && inode->type != VFS_TYPE_DIR) return VFS_ENODATA;
    return mem__may_locked(inode, user, VFS_ACCESS_READ);
}

/* inode->lock held. */
static apr_status_t may_write(const mem_inode_t *inode, const mem_user_t *user)
{
    if (inode->type != VFS_TYPE_FILE && inode->type != VFS_TYPE_DIR) return MEM_ERR(EPERM);
    if (inode->type == VFS_TYPE_DIR && (inode->mode & MEM_STICKY) != 0 && !user->root &&
        user->uid != inode->uid)
        return MEM_ERR(EPERM);
    return mem__may_locked(inode, user, VFS_ACCESS_WRITE);
}

/* The place that points to the attribute, or the end of the list. */
static mem_xattr_t **xattr_find(mem_inode_t *inode, const char *name)
{
    mem_xattr_t **at = &inode->xattrs;

    while (*at != NULL && strcmp((*at)->bytes, name) != 0)
        at = &(*at)->next;
    return at;
}

static mem_xattr_t *xattr_new(mem_fs_t *m, const char *name, const void *value, size_t len,
                              apr_status_t *status)
{
    size_t name_len = strlen(name);
    mem_xattr_t *xattr;

    *status = APR_ENOSPC;
    if (!mem__charge(m, name_len + len)) return NULL;
    xattr = malloc(sizeof(*xattr) + name_len + 1 + len);
    if (xattr == NULL) {
        mem__refund(m, name_len + len);
        *status = APR_ENOMEM;
        return NULL;
    }
    *status = APR_SUCCESS;
    xattr->next = NULL;
    xattr->len = len;
    xattr->name_len = name_len;
    memcpy(xattr->bytes, name, name_len + 1);
    if (len > 0) memcpy(xattr->bytes + name_len + 1, value, len);
    return xattr;
}

static void xattr_free(mem_fs_t *m, mem_xattr_t *xattr)
{
    mem__refund(m, xattr->name_len + xattr->len);
    free(xattr);
}

static apr_status_t get_inode(mem_inode_t *inode, const mem_user_t *user, const char *name,
                              void *buf, size_t size, size_t *len)
{
    apr_status_t status = name_check(name);

    if (status != APR_SUCCESS) return status;
    mem__rd(&inode->lock);
    status = may_read(inode, user);
    if (status == APR_SUCCESS) {
        const mem_xattr_t *xattr = *xattr_find(inode, name);
        if (xattr == NULL)
            status = VFS_ENODATA;
        else if (size != 0 && size < xattr->len)
            status = MEM_ERR(ERANGE);
        else
            *len = xattr->len;
        if (status == APR_SUCCESS && size != 0 && xattr->len > 0)
            memcpy(buf, xattr->bytes + xattr->name_len + 1, xattr->len);
    }
    mem__un(&inode->lock);
    return status;
}

/* inode->lock held for writing. Replaces, in place in the list. */
static apr_status_t set_locked(mem_fs_t *m, mem_inode_t *inode, const char *name, const void *value,
                               size_t len, uint32_t how)
{
    mem_xattr_t **at = xattr_find(inode, name), *xattr;
    size_t more = *at == NULL ? strlen(name) + 1 : 0;
    apr_status_t status;

    if (*at != NULL && (how & VFS_XATTR_CREATE) != 0) return APR_EEXIST;
    if (*at == NULL && (how & VFS_XATTR_REPLACE) != 0) return VFS_ENODATA;
    if (inode->xattr_names + more > MEM_XATTR_MAX) return APR_ENOSPC;
    xattr = xattr_new(m, name, value, len, &status);
    if (xattr == NULL) return status;
    if (*at != NULL) {
        xattr->next = (*at)->next;
        xattr_free(m, *at);
    }
    *at = xattr;
    inode->xattr_names += more;
    inode->ctime_ns = vfs_now_ns();
    return APR_SUCCESS;
}

static apr_status_t set_inode(mem_fs_t *m, mem_inode_t *inode, const mem_user_t *user,
                              const char *name, const void *value, size_t len, uint32_t how)
{
    apr_status_t status = name_check(name);

    if (status != APR_SUCCESS) return status;
    if (len > MEM_XATTR_MAX) return MEM_ERR(E2BIG);
    mem__wr(&inode->lock);
    status = may_write(inode, user);
    if (status == APR_SUCCESS) status = set_locked(m, inode, name, value, len, how);
    mem__un(&inode->lock);
    if (status == APR_SUCCESS) mem__event_changed(m, inode);
    return status;
}

static apr_status_t list_inode(mem_inode_t *inode, char *buf, size_t size, size_t *len)
{
    apr_status_t status = APR_SUCCESS;

    mem__rd(&inode->lock);
    if (size != 0 && size < inode->xattr_names) {
        status = MEM_ERR(ERANGE);
    } else {
        *len = inode->xattr_names;
        for (const mem_xattr_t *at = inode->xattrs; at != NULL && size != 0; at = at->next) {
            memcpy(buf, at->bytes, at->name_len + 1);
            buf += at->name_len + 1;
        }
    }
    mem__un(&inode->lock);
    return status;
}

static apr_status_t remove_inode(mem_fs_t *m, mem_inode_t *inode, const mem_user_t *user,
                                 const char *name)
{
    apr_status_t status = name_check(name);

    if (status != APR_SUCCESS) return status;
    mem__wr(&inode->lock);
    status = may_write(inode, user);
    mem_xattr_t **at = xattr_find(inode, name), *xattr = *at;
    if (status == APR_SUCCESS && xattr == NULL) status = VFS_ENODATA;
    if (status == APR_SUCCESS) {
        *at = xattr->next;
        inode->xattr_names -= xattr->name_len + 1;
        xattr_free(m, xattr);
        inode->ctime_ns = vfs_now_ns();
    }
    mem__un(&inode->lock);
    if (status == APR_SUCCESS) mem__event_changed(m, inode);
    return status;
}

/* ---- by handle */

apr_status_t mem_fgetxattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name, void *buf,
                           size_t size, size_t *len)
{
    mem_user_t user = mem__user(file->fs->state, ctx);

    return get_inode(((mem_file_t *)file)->inode, &user, name, buf, size, len);
}

apr_status_t mem_fsetxattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name,
                           const void *value, size_t len, uint32_t how)
{
    mem_fs_t *m = file->fs->state;
    mem_user_t user = mem__user(m, ctx);

    return set_inode(m, ((mem_file_t *)file)->inode, &user, name, value, len, how);
}

apr_status_t mem_flistxattr(vfs_file_t *file, const vfs_ctx_t *ctx, char *buf, size_t size,
                            size_t *len)
{
    (void)ctx;
    return list_inode(((mem_file_t *)file)->inode, buf, size, len);
}

apr_status_t mem_fremovexattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name)
{
    mem_fs_t *m = file->fs->state;
    mem_user_t user = mem__user(m, ctx);

    return remove_inode(m, ((mem_file_t *)file)->inode, &user, name);
}

/* ---- by name */

static apr_status_t find(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t flags,
                         mem_user_t *user, mem_inode_t **inode)
{
    *user = mem__user(fs->state, ctx);
    return mem__lookup(inode, fs->state, user, path, (flags & VFS_NOFOLLOW) == 0, NULL);
}

apr_status_t mem_getxattr(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, const char *name,
                          void *buf, size_t size, size_t *len, uint32_t flags)
{
    mem_user_t user;
    mem_inode_t *inode;
    apr_status_t status = find(fs, ctx, path, flags, &user, &inode);

    if (status == APR_SUCCESS) status = get_inode(inode, &user, name, buf, size, len);
    mem__inode_put(fs->state, inode);
    return status;
}

apr_status_t mem_setxattr(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, const char *name,
                          const void *value, size_t len, uint32_t how, uint32_t flags)
{
    mem_user_t user;
    mem_inode_t *inode;
    apr_status_t status = find(fs, ctx, path, flags, &user, &inode);

    if (status == APR_SUCCESS) status = set_inode(fs->state, inode, &user, name, value, len, how);
    mem__inode_put(fs->state, inode);
    return status;
}

apr_status_t mem_listxattr(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, char *buf,
                           size_t size, size_t *len, uint32_t flags)
{
    mem_user_t user;
    mem_inode_t *inode;
    apr_status_t status = find(fs, ctx, path, flags, &user, &inode);

    if (status == APR_SUCCESS) status = list_inode(inode, buf, size, len);
    mem__inode_put(fs->state, inode);
    return status;
}

apr_status_t mem_removexattr(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                             const char *name, uint32_t flags)
{
    mem_user_t user;
    mem_inode_t *inode;
    apr_status_t status = find(fs, ctx, path, flags, &user, &inode);

    if (status == APR_SUCCESS) status = remove_inode(fs->state, inode, &user, name);
    mem__inode_put(fs->state, inode);
    return status;
}
