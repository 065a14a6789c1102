/*
 * attr.c - stat, access, and the calls that set attributes, by name and by handle. Floor 2.
 * Who may do what is as in Linux (setattr_prepare in fs/attr.c, utimes.c, open.c).
 */
#include "backends/mem/mem.h"

static apr_status_t stat_at(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, int follow,
                            vfs_attr_t *attr, vfs_validator_t *validator)
{
    mem_fs_t *m = fs->state;
    mem_user_t user = mem__user(m, ctx);
    mem_inode_t *inode;
    int direct;
    apr_status_t status = mem__lookup(&inode, m, &user, path, follow, &direct);

    if (status != APR_SUCCESS) {
        attr->flags = direct ? VFS_ATTR_DIRECT : 0;
        return status;
    }
    mem__inode_stat(m, inode, direct, attr, validator);
    mem__inode_put(m, inode);
    return APR_SUCCESS;
}

apr_status_t mem_stat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, vfs_attr_t *attr,
                      vfs_validator_t *validator)
{
    return stat_at(fs, ctx, path, 1, attr, validator);
}

apr_status_t mem_lstat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, vfs_attr_t *attr,
                       vfs_validator_t *validator)
{
    return stat_at(fs, ctx, path, 0, attr, validator);
}

apr_status_t mem_access(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t mask)
{
    mem_fs_t *m = fs->state;
    mem_user_t user = mem__user(m, ctx);
    mem_inode_t *inode;
    apr_status_t status = mem__lookup(&inode, m, &user, path, 1, NULL);

    if (status != APR_SUCCESS) return status;
    status = mem__may(inode, &user, mask);
    mem__inode_put(m, inode);
    return status;
}

/* ---- one inode: its lock held for writing */

static apr_status_t set_mode(mem_inode_t *inode, const mem_user_t *user, uint32_t mode)
{
    if (inode->type == VFS_TYPE_LINK) return APR_ENOTIMPL;
    if (!user->root && user->uid != inode->uid) return MEM_ERR(EPERM);
    if (!user->root && !mem__in_group(user, inode->gid)) mode &= ~MEM_SGID;
    inode->mode = mode;
    inode->ctime_ns = vfs_now_ns();
    return APR_SUCCESS;
}

static apr_status_t set_owner(mem_inode_t *inode, const mem_user_t *user, uint32_t uid,
                              uint32_t gid)
{
    const uint32_t keep = (uint32_t)-1;
    uint32_t mode = inode->mode;
    int owner = user->root || user->uid == inode->uid;

    if (!user->root) {
        if (uid != keep && !(owner && uid == inode->uid)) return MEM_ERR(EPERM);
        if (gid != keep && !(owner && (gid == inode->gid || mem__in_group(user, gid))))
            return MEM_ERR(EPERM);
    }
    if (inode->type != VFS_TYPE_DIR) {
        mode &= ~MEM_SUID;
        if ((mode & MEM_XGRP) != 0 || !(user->root || mem__in_group(user, inode->gid)))
            mode &= ~MEM_SGID;
    }
    if (mode != inode->mode && !owner) return MEM_ERR(EPERM);
    inode->mode = mode;
    if (uid != keep) inode->uid = uid;
    if (gid != keep) inode->gid = gid;
    inode->ctime_ns = vfs_now_ns();
    return APR_SUCCESS;
}

static apr_status_t set_times(mem_inode_t *inode, const mem_user_t *user, int64_t atime_ns,
                              int64_t mtime_ns)
{
    int touch = atime_ns == VFS_TIME_NOW && mtime_ns == VFS_TIME_NOW;
    int owner = user->root || user->uid == inode->uid;
    int64_t now = vfs_now_ns();

    if (atime_ns == VFS_TIME_OMIT && mtime_ns == VFS_TIME_OMIT) return APR_SUCCESS;
    if (!owner && !touch) return MEM_ERR(EPERM);
    if (!owner && mem__may_locked(inode, user, VFS_ACCESS_WRITE) != APR_SUCCESS) return APR_EACCES;
    if (atime_ns != VFS_TIME_OMIT) inode->atime_ns = atime_ns == VFS_TIME_NOW ? now : atime_ns;
    if (mtime_ns != VFS_TIME_OMIT) inode->mtime_ns = mtime_ns == VFS_TIME_NOW ? now : mtime_ns;
    inode->ctime_ns = now;
    return APR_SUCCESS;
}

static apr_status_t set_size(mem_fs_t *m, mem_inode_t *inode, const mem_user_t *user,
                             apr_off_t size)
{
    if ((uint64_t)size > MEM_FILE_MAX) return MEM_ERR(EFBIG);
    mem__data_truncate(m, inode, user, (uint64_t)size);
    return APR_SUCCESS;
}

/* ---- what to set, by name or by handle */

typedef struct set_attr_t {
    enum { SET_MODE, SET_OWNER, SET_TIMES, SET_SIZE } what;
    uint32_t mode, uid, gid;
    int64_t atime_ns, mtime_ns;
    apr_off_t size;
} set_attr_t;

static apr_status_t set_inode(mem_fs_t *m, mem_inode_t *inode, const mem_user_t *user,
                              const set_attr_t *set)
{
    apr_status_t status = APR_EINVAL;

    mem__wr(&inode->lock);
    switch (set->what) {
    case SET_MODE:
        status = set_mode(inode, user, set->mode);
        break;
    case SET_OWNER:
        status = set_owner(inode, user, set->uid, set->gid);
        break;
    case SET_TIMES:
        status = set_times(inode, user, set->atime_ns, set->mtime_ns);
        break;
    case SET_SIZE:
        status = set_size(m, inode, user, set->size);
        break;
    }
    mem__un(&inode->lock);
    if (status == APR_SUCCESS) mem__event_changed(m, inode);
    return status;
}

static apr_status_t set_at(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t flags,
                           const set_attr_t *set)
{
    mem_fs_t *m = fs->state;
    mem_user_t user = mem__user(m, ctx);
    mem_inode_t *inode;
    apr_status_t status = mem__lookup(&inode, m, &user, path, (flags & VFS_NOFOLLOW) == 0, NULL);

    if (status != APR_SUCCESS) return status;
    if (set->what == SET_SIZE) {
        if (inode->type != VFS_TYPE_FILE)
            status = inode->type == VFS_TYPE_DIR ? MEM_ERR(EISDIR) : APR_EINVAL;
        else
            status = mem__may(inode, &user, VFS_ACCESS_WRITE);
    }
    if (status == APR_SUCCESS) status = set_inode(m, inode, &user, set);
    mem__inode_put(m, inode);
    return status;
}

static apr_status_t set_file(vfs_file_t *file, const vfs_ctx_t *ctx, const set_attr_t *set)
{
    mem_fs_t *m = file->fs->state;
    mem_user_t user = mem__user(m, ctx);

    return set_inode(m, ((mem_file_t *)file)->inode, &user, set);
}

apr_status_t mem_chmod(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t mode,
                       uint32_t flags)
{
    set_attr_t set = {.what = SET_MODE, .mode = mode};
    return set_at(fs, ctx, path, flags, &set);
}

apr_status_t mem_fchmod(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t mode)
{
    set_attr_t set = {.what = SET_MODE, .mode = mode};
    return set_file(file, ctx, &set);
}

apr_status_t mem_chown(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t uid,
                       uint32_t gid, uint32_t flags)
{
    set_attr_t set = {.what = SET_OWNER, .uid = uid, .gid = gid};
    return set_at(fs, ctx, path, flags, &set);
}

apr_status_t mem_fchown(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t uid, uint32_t gid)
{
    set_attr_t set = {.what = SET_OWNER, .uid = uid, .gid = gid};
    return set_file(file, ctx, &set);
}

apr_status_t mem_utimens(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, int64_t atime_ns,
                         int64_t mtime_ns, uint32_t flags)
{
    set_attr_t set = {.what = SET_TIMES, .atime_ns = atime_ns, .mtime_ns = mtime_ns};
    return set_at(fs, ctx, path, flags, &set);
}

apr_status_t mem_futimens(vfs_file_t *file, const vfs_ctx_t *ctx, int64_t atime_ns,
                          int64_t mtime_ns)
{
    set_attr_t set = {.what = SET_TIMES, .atime_ns = atime_ns, .mtime_ns = mtime_ns};
    return set_file(file, ctx, &set);
}

apr_status_t mem_truncate(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, apr_off_t size)
{
    set_attr_t set = {.what = SET_SIZE, .size = size};
    return set_at(fs, ctx, path, 0, &set);
}

apr_status_t mem_ftruncate(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t size)
{
    set_attr_t set = {.what = SET_SIZE, .size = size};
    return set_file(file, ctx, &set);
}
