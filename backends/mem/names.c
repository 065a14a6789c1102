/*
 * names.c - names that come and go: mknod, mkdir, symlink, link, unlink, rmdir; and readlink.
 * Floor 2. The order of the checks is that of Linux (fs/namei.c), so that the same error wins.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/mem/mem.h"

/* The mode and group of what is made in `dir`: a directory with the sgid bit hands down its group.
 */
static void make_owner(mem_inode_t *dir, const mem_user_t *user, vfs_type_e type, uint32_t *mode,
                       uint32_t *gid)
{
    *gid = user->gid;
    mem__rd(&dir->lock);
    if ((dir->mode & MEM_SGID) != 0) {
        *gid = dir->gid;
        if (type == VFS_TYPE_DIR)
            *mode |= MEM_SGID;
        else if ((*mode & (MEM_SGID | MEM_XGRP)) == (MEM_SGID | MEM_XGRP) && !user->root &&
                 !mem__in_group(user, *gid))
            *mode &= ~MEM_SGID;
    }
    mem__un(&dir->lock);
}

apr_status_t mem__make(mem_fs_t *fs, const vfs_ctx_t *ctx, const mem_user_t *user,
                       const mem_walk_t *w, const mem_new_t *what, mem_inode_t **made)
{
    uint32_t mode = vfs_ctx_mode(ctx, what->mode), gid;
    int is_dir = what->type == VFS_TYPE_DIR;
    int64_t now = vfs_now_ns();
    mem_inode_t *inode;
    apr_status_t status = mem__may(w->dir, user, VFS_ACCESS_WRITE | VFS_ACCESS_EXEC);

    if (status != APR_SUCCESS) return status;
    if ((what->type == VFS_TYPE_CHAR || what->type == VFS_TYPE_BLOCK) && !user->root)
        return MEM_ERR(EPERM);
    if (is_dir) mode &= 01777;
    if (what->target != NULL) mode = 0777;
    make_owner(w->dir, user, what->type, &mode, &gid);
    inode = mem__inode_new(fs, what->type, mode, user->uid, gid, now);
    if (inode == NULL) return APR_ENOMEM;
    if (what->type == VFS_TYPE_CHAR || what->type == VFS_TYPE_BLOCK) inode->rdev = what->rdev;
    if (what->target != NULL) {
        inode->size = strlen(what->target);
        inode->u.target = strdup(what->target);
        if (inode->u.target == NULL) goto failed;
    }
    inode->nlink++;
    if (mem__dir_add(w->dir, w->name, w->len, w->hash, inode) != APR_SUCCESS) goto failed;
    mem__dir_touch(w->dir, now, is_dir);
    mem__event_name(fs, VFS_EVENT_CREATED, w->dir, w->name, w->len, 0);
    if (made != NULL) *made = inode;
    return APR_SUCCESS;
failed:
    mem__inode_put(fs, inode);
    return APR_ENOMEM;
}

static apr_status_t make_at(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                            const mem_new_t *what)
{
    mem_fs_t *m = fs->state;
    mem_user_t user = mem__user(m, ctx);
    mem_walk_t w;
    apr_status_t status;

    mem__wr(&m->names);
    status = mem__walk(&w, m, &user, path->str, 0);
    if (status == APR_SUCCESS && w.inode != NULL) status = APR_EEXIST;
    if (status == APR_SUCCESS) status = mem__make(m, ctx, &user, &w, what, NULL);
    mem__un(&m->names);
    return status;
}

apr_status_t mem_mknod(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, vfs_type_e type,
                       uint32_t mode, uint64_t rdev)
{
    mem_new_t what = {.type = type, .mode = mode, .rdev = rdev, .target = NULL};

    return make_at(fs, ctx, path, &what);
}

apr_status_t mem_mkdir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t mode)
{
    mem_new_t what = {.type = VFS_TYPE_DIR, .mode = mode, .rdev = 0, .target = NULL};

    return make_at(fs, ctx, path, &what);
}

apr_status_t mem_symlink(vfs_t *fs, const vfs_ctx_t *ctx, const char *target,
                         const vfs_path_t *path)
{
    mem_new_t what = {.type = VFS_TYPE_LINK, .mode = 0777, .rdev = 0, .target = target};

    return make_at(fs, ctx, path, &what);
}

apr_status_t mem_readlink(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, char *buf,
                          size_t size, size_t *len)
{
    mem_fs_t *m = fs->state;
    mem_user_t user = mem__user(m, ctx);
    mem_inode_t *inode;
    apr_status_t status = mem__lookup(&inode, m, &user, path, 0, NULL);

    if (status != APR_SUCCESS) return status;
    if (inode->type != VFS_TYPE_LINK) {
        status = APR_EINVAL;
    } else if (inode->size >= size) {
        status = MEM_ERR(ERANGE);
    } else {
        *len = (size_t)inode->size;
        memcpy(buf, inode->u.target, *len + 1);
    }
    mem__inode_put(m, inode);
    return status;
}

/* link(2) does not follow a link as the old name. */
static apr_status_t link_walked(mem_fs_t *m, const mem_user_t *user, const mem_walk_t *from,
                                const mem_walk_t *to)
{
    int64_t now = vfs_now_ns();
    apr_status_t status;

    if (to->inode != NULL) return APR_EEXIST;
    status = mem__may(to->dir, user, VFS_ACCESS_WRITE | VFS_ACCESS_EXEC);
    if (status != APR_SUCCESS) return status;
    if (from->inode->type == VFS_TYPE_DIR) return MEM_ERR(EPERM);
    /* nlink changes under fs->names only, which is held for writing */
    if (from->inode->nlink >= MEM_LINK_MAX) return MEM_ERR(EMLINK);
    mem__event_inode(m, VFS_EVENT_CHANGED, from->inode);
    status = mem__dir_add(to->dir, to->name, to->len, to->hash, from->inode);
    if (status != APR_SUCCESS) return status;
    mem__inode_get(from->inode);
    mem__inode_touch(from->inode, now, 1);
    mem__dir_touch(to->dir, now, 0);
    mem__event_name(m, VFS_EVENT_CREATED, to->dir, to->name, to->len, 0);
    return APR_SUCCESS;
}

apr_status_t mem_link(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from, const vfs_path_t *to)
{
    mem_fs_t *m = fs->state;
    mem_user_t user = mem__user(m, ctx);
    mem_walk_t old, new;
    apr_status_t status;

    mem__wr(&m->names);
    status = mem__walk(&old, m, &user, from->str, 0);
    if (status == APR_SUCCESS && old.inode == NULL) status = APR_ENOENT;
    if (status == APR_SUCCESS) status = mem__walk(&new, m, &user, to->str, 0);
    if (status == APR_SUCCESS) status = link_walked(m, &user, &old, &new);
    mem__un(&m->names);
    return status;
}

/* In a sticky directory only the owner of the name, of the directory, or root may take a name away.
 */
static int sticky_denies(mem_inode_t *dir, mem_inode_t *inode, const mem_user_t *user)
{
    uint32_t dir_mode, dir_uid, uid;

    if (user->root) return 0;
    mem__rd(&dir->lock);
    dir_mode = dir->mode;
    dir_uid = dir->uid;
    mem__un(&dir->lock);
    if ((dir_mode & MEM_STICKY) == 0 || dir_uid == user->uid) return 0;
    mem__rd(&inode->lock);
    uid = inode->uid;
    mem__un(&inode->lock);
    return uid != user->uid;
}

apr_status_t mem__may_remove(const mem_walk_t *w, const mem_user_t *user, int as_dir)
{
    apr_status_t status = mem__may(w->dir, user, VFS_ACCESS_WRITE | VFS_ACCESS_EXEC);

    if (status != APR_SUCCESS) return status;
    if (sticky_denies(w->dir, w->inode, user)) return MEM_ERR(EPERM);
    if (as_dir) return w->inode->type == VFS_TYPE_DIR ? APR_SUCCESS : APR_ENOTDIR;
    return w->inode->type == VFS_TYPE_DIR ? MEM_ERR(EISDIR) : APR_SUCCESS;
}

static apr_status_t remove_at(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, int as_dir)
{
    mem_fs_t *m = fs->state;
    mem_user_t user = mem__user(m, ctx);
    mem_inode_t *gone = NULL;
    mem_walk_t w;
    apr_status_t status;

    mem__wr(&m->names);
    status = mem__walk(&w, m, &user, path->str, 0);
    if (status == APR_SUCCESS && w.inode == NULL) status = APR_ENOENT;
    if (status == APR_SUCCESS) status = mem__may_remove(&w, &user, as_dir);
    if (status == APR_SUCCESS && as_dir && w.inode->u.dir.count > 0) status = APR_ENOTEMPTY;
    if (status == APR_SUCCESS) {
        int64_t now = vfs_now_ns();
        gone = mem__dir_remove(w.entry);
        mem__inode_touch(gone, now, as_dir ? -2 : -1);
        mem__dir_touch(w.dir, now, as_dir ? -1 : 0);
        mem__event_name(m, VFS_EVENT_REMOVED, w.dir, w.name, w.len, 0);
        mem__event_inode(m, VFS_EVENT_CHANGED, gone);
    }
    mem__un(&m->names);
    mem__inode_put(m, gone);
    return status;
}

apr_status_t mem_unlink(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    return remove_at(fs, ctx, path, 0);
}

apr_status_t mem_rmdir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    return remove_at(fs, ctx, path, 1);
}
