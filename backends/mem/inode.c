/*
 * inode.c - a file in memory: its life, attributes, version, permissions, and the account of bytes.
 * Floor 2. Knows no names.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/mem/mem.h"

/* ---- who asks */

mem_user_t mem__user(const mem_fs_t *fs, const vfs_ctx_t *ctx)
{
    mem_user_t user = {fs->uid, fs->gid, NULL, 0, 1};

    if (ctx != NULL && (ctx->flags & VFS_CTX_CREDS) != 0) {
        user.uid = ctx->uid;
        user.gid = ctx->gid;
        user.groups = ctx->groups;
        user.ngroups = ctx->groups != NULL ? ctx->ngroups : 0;
        user.root = ctx->uid == 0;
    }
    return user;
}

int mem__in_group(const mem_user_t *user, uint32_t gid)
{
    if (user->gid == gid) return 1;
    for (size_t i = 0; i < user->ngroups; i++) {
        if (user->groups[i] == gid) return 1;
    }
    return 0;
}

apr_status_t mem__may_locked(const mem_inode_t *inode, const mem_user_t *user, uint32_t mask)
{
    uint32_t bits = inode->mode;

    if (user->root) {
        int runs = inode->type == VFS_TYPE_DIR || (inode->mode & 0111) != 0;
        return (mask & VFS_ACCESS_EXEC) != 0 && !runs ? APR_EACCES : APR_SUCCESS;
    }
    if (user->uid == inode->uid)
        bits >>= 6;
    else if (mem__in_group(user, inode->gid))
        bits >>= 3;
    return (mask & ~bits & 7u) != 0 ? APR_EACCES : APR_SUCCESS;
}

apr_status_t mem__may(mem_inode_t *inode, const mem_user_t *user, uint32_t mask)
{
    apr_status_t status;

    if (user->root && (inode->type == VFS_TYPE_DIR || (mask & VFS_ACCESS_EXEC) == 0))
        return APR_SUCCESS;
    mem__rd(&inode->lock);
    status = mem__may_locked(inode, user, mask);
    mem__un(&inode->lock);
    return status;
}

/* ---- the account */

uint64_t mem__bytes_total(const mem_fs_t *fs)
{
    if (fs->bytes_max != 0) return fs->bytes_max;
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_MAX;
}

int mem__charge(mem_fs_t *fs, uint64_t bytes)
{
    uint64_t used = atomic_load_explicit(&fs->bytes_used, memory_order_relaxed);

    do {
        if (fs->bytes_max != 0 && (used > fs->bytes_max || bytes > fs->bytes_max - used)) return 0;
    } while (!atomic_compare_exchange_weak_explicit(&fs->bytes_used, &used, used + bytes,
                                                    memory_order_relaxed, memory_order_relaxed));
    return 1;
}

void mem__refund(mem_fs_t *fs, uint64_t bytes)
{
    uint64_t used = atomic_fetch_sub_explicit(&fs->bytes_used, bytes, memory_order_relaxed);
    VFS_ASSERT(used >= bytes);
}

/* ---- life */

mem_inode_t *mem__inode_new(mem_fs_t *fs, vfs_type_e type, uint32_t mode, uint32_t uid,
                            uint32_t gid, int64_t now)
{
    mem_inode_t *inode = calloc(1, sizeof(*inode));

    if (inode == NULL) return NULL;
    if (mem__rwlock_init(&inode->lock) != 0) {
        free(inode);
        return NULL;
    }
    atomic_init(&inode->refs, 1);
    inode->type = type;
    inode->ino = 1 + atomic_fetch_add_explicit(&fs->last_ino, 1, memory_order_relaxed);
    inode->mode = mode;
    inode->uid = uid;
    inode->gid = gid;
    inode->nlink = type == VFS_TYPE_DIR ? 1 : 0;
    inode->size = type == VFS_TYPE_DIR ? MEM_PAGE : 0;
    inode->version = fs->epoch;
    inode->atime_ns = inode->mtime_ns = inode->ctime_ns = inode->btime_ns = now;
    atomic_fetch_add_explicit(&fs->inodes, 1, memory_order_relaxed);
    return inode;
}

void mem__inode_get(mem_inode_t *inode)
{
    uint32_t refs = atomic_fetch_add_explicit(&inode->refs, 1, memory_order_relaxed);
    VFS_ASSERT(refs > 0 && refs < UINT32_MAX);
}

void mem__inode_put(mem_fs_t *fs, mem_inode_t *inode)
{
    if (inode == NULL) return;
    uint32_t refs = atomic_fetch_sub_explicit(&inode->refs, 1, memory_order_acq_rel);
    VFS_ASSERT(refs > 0);
    if (refs > 1) return;
    VFS_ASSERT(inode->names == NULL);
    if (inode->type == VFS_TYPE_FILE)
        mem__pages_drop(fs, &inode->u.pages, 0, UINT64_MAX);
    else if (inode->type == VFS_TYPE_DIR)
        mem__dir_free(&inode->u.dir);
    else if (inode->type == VFS_TYPE_LINK)
        free(inode->u.target);
    while (inode->xattrs != NULL) {
        mem_xattr_t *next = inode->xattrs->next;
        mem__refund(fs, inode->xattrs->name_len + inode->xattrs->len);
        free(inode->xattrs);
        inode->xattrs = next;
    }
    (void)pthread_rwlock_destroy(&inode->lock); /* nobody is left to hold it */
    atomic_fetch_sub_explicit(&fs->inodes, 1, memory_order_relaxed);
    free(inode);
}

/* ---- attributes */

static void inode_validator(const mem_inode_t *inode, vfs_validator_t *validator)
{
    memset(validator, 0, sizeof(*validator));
    validator->kind = VFS_VALIDATOR_VERSION;
    validator->len = 16;
    memcpy(validator->data, &inode->ino, 8);
    memcpy(validator->data + 8, &inode->version, 8);
}

void mem__inode_attr(const mem_fs_t *fs, const mem_inode_t *inode, int direct, vfs_attr_t *attr,
                     vfs_validator_t *validator)
{
    if (validator != NULL) inode_validator(inode, validator);
    if (attr == NULL) return;
    memset(attr, 0, sizeof(*attr));
    attr->flags = VFS_ATTR_STABLE_ID | (direct ? VFS_ATTR_DIRECT : 0);
    attr->type = inode->type;
    attr->mode = inode->mode;
    attr->nlink = inode->nlink;
    attr->uid = inode->uid;
    attr->gid = inode->gid;
    attr->rdev = inode->rdev;
    attr->dev = fs->dev;
    attr->ino = inode->ino;
    attr->size = inode->size;
    if (inode->type == VFS_TYPE_FILE)
        attr->allocated = inode->u.pages.count * MEM_PAGE;
    else if (inode->type == VFS_TYPE_DIR)
        attr->allocated = inode->size;
    attr->blksize = MEM_PAGE;
    attr->atime_ns = inode->atime_ns;
    attr->mtime_ns = inode->mtime_ns;
    attr->ctime_ns = inode->ctime_ns;
    attr->btime_ns = inode->btime_ns;
}

void mem__inode_stat(const mem_fs_t *fs, mem_inode_t *inode, int direct, vfs_attr_t *attr,
                     vfs_validator_t *validator)
{
    mem__rd(&inode->lock);
    mem__inode_attr(fs, inode, direct, attr, validator);
    mem__un(&inode->lock);
}

void mem__inode_changed(mem_inode_t *inode, int64_t now)
{
    inode->version++;
    inode->mtime_ns = now;
    inode->ctime_ns = now;
}

void mem__inode_unprivilege(mem_inode_t *inode, const mem_user_t *user)
{
    if (user->root || inode->type != VFS_TYPE_FILE) return;
    inode->mode &= ~MEM_SUID;
    if ((inode->mode & MEM_XGRP) != 0 || !mem__in_group(user, inode->gid)) inode->mode &= ~MEM_SGID;
}

void mem__dir_touch(mem_inode_t *dir, int64_t now, int nlink_delta)
{
    VFS_DEBUG_ASSERT(dir->type == VFS_TYPE_DIR);
    mem__wr(&dir->lock);
    mem__inode_changed(dir, now);
    dir->nlink += (uint32_t)nlink_delta;
    mem__un(&dir->lock);
}

void mem__inode_touch(mem_inode_t *inode, int64_t now, int nlink_delta)
{
    mem__wr(&inode->lock);
    inode->ctime_ns = now;
    inode->nlink += (uint32_t)nlink_delta;
    mem__un(&inode->lock);
}
