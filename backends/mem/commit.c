/*
 * commit.c - replace a whole file at once, conditionally. Floor 2.
 *
 * The bytes are read into pages of their own with no lock held; then the condition is checked and
 * the pages are exchanged under the locks. The file keeps its number, names, mode and handles: a
 * reader, by whatever handle, sees the old bytes or the new ones, and the version says which.
 */
#include <stdlib.h>

#include "backends/mem/mem.h"

/* Does the end of the walk allow the commit? fs->names held. */
static apr_status_t commit_check(const mem_walk_t *w, const mem_fs_t *m, const mem_user_t *user,
                                 const vfs_commit_t *how)
{
    vfs_validator_t now;

    if (w->inode == NULL) {
        if ((how->flags & VFS_COMMIT_IF_MATCH) != 0) return VFS_ECONFLICT;
        if (w->slash) return MEM_ERR(EISDIR);
        return mem__may(w->dir, user, VFS_ACCESS_WRITE | VFS_ACCESS_EXEC);
    }
    if (w->inode->type == VFS_TYPE_DIR) return MEM_ERR(EISDIR);
    if ((how->flags & VFS_COMMIT_IF_NONE) != 0) return VFS_ECONFLICT;
    if (w->inode->type != VFS_TYPE_FILE) return APR_EINVAL;
    mem__rd(&w->inode->lock);
    apr_status_t status = mem__may_locked(w->inode, user, VFS_ACCESS_WRITE);
    mem__inode_attr(m, w->inode, 0, NULL, &now);
    mem__un(&w->inode->lock);
    if (status != APR_SUCCESS) return status;
    if ((how->flags & VFS_COMMIT_IF_MATCH) != 0 && !vfs_validator_equal(&now, &how->expected))
        return VFS_ECONFLICT;
    return APR_SUCCESS;
}

/* Read the source into an inode that has no name. */
static apr_status_t commit_fill(mem_fs_t *m, const vfs_ctx_t *ctx, const vfs_source_t *source,
                                mem_inode_t *fresh)
{
    enum { PIECE = 256 << 10 };
    unsigned char *buf = malloc(PIECE);
    apr_status_t status = buf == NULL ? APR_ENOMEM : APR_SUCCESS;
    uint64_t off = 0;

    while (status == APR_SUCCESS && off < source->size) {
        size_t n = source->size - off < PIECE ? (size_t)(source->size - off) : PIECE, put;
        status = source->read_at(source->baton, buf, n, (apr_off_t)off);
        if (status == APR_SUCCESS) status = mem__data_write(m, fresh, buf, n, off, &put);
        if (status == APR_SUCCESS) status = vfs_ctx_check(ctx);
        off += n;
    }
    free(buf);
    return status;
}

/* Exchange the bytes. inode->lock held for writing; the old bytes go with `fresh`. */
static void commit_swap(mem_inode_t *inode, mem_inode_t *fresh, const mem_user_t *user,
                        int64_t mtime_ns)
{
    mem_pages_t pages = inode->u.pages;

    inode->u.pages = fresh->u.pages;
    fresh->u.pages = pages;
    inode->size = fresh->size;
    mem__inode_unprivilege(inode, user);
    int64_t kept = inode->mtime_ns;
    mem__inode_changed(inode, vfs_now_ns());
    if (mtime_ns == VFS_TIME_OMIT)
        inode->mtime_ns = kept;
    else if (mtime_ns != VFS_TIME_NOW)
        inode->mtime_ns = mtime_ns;
}

static apr_status_t commit_publish(mem_fs_t *m, const vfs_ctx_t *ctx, const mem_user_t *user,
                                   const vfs_path_t *path, const vfs_commit_t *how,
                                   mem_inode_t *fresh, vfs_attr_t *attr, vfs_validator_t *validator)
{
    mem_walk_t w;
    int made = 0;
    apr_status_t status;

    mem__wr(&m->names);
    status = mem__walk(&w, m, user, path->str, 1);
    if (status == APR_SUCCESS) status = commit_check(&w, m, user, how);
    if (status == APR_SUCCESS && w.inode == NULL) {
        mem_new_t what = {.type = VFS_TYPE_FILE, .mode = how->mode, .rdev = 0, .target = NULL};
        status = mem__make(m, ctx, user, &w, &what, &w.inode);
        made = status == APR_SUCCESS;
    }
    if (status == APR_SUCCESS) {
        vfs_validator_t now;
        mem__wr(&w.inode->lock);
        mem__inode_attr(m, w.inode, 0, NULL, &now);
        /* A writer with a handle may have come between the check and this lock. */
        if ((how->flags & VFS_COMMIT_IF_MATCH) != 0 && !vfs_validator_equal(&now, &how->expected))
            status = VFS_ECONFLICT;
        else
            commit_swap(w.inode, fresh, user, how->mtime_ns);
        if (status == APR_SUCCESS) mem__inode_attr(m, w.inode, w.direct, attr, validator);
        mem__un(&w.inode->lock);
    }
    if (status == APR_SUCCESS && !made) mem__event_inode(m, VFS_EVENT_CHANGED, w.inode);
    mem__un(&m->names);
    return status;
}

apr_status_t mem_commit(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                        const vfs_source_t *source, const vfs_commit_t *how, vfs_attr_t *attr,
                        vfs_validator_t *validator)
{
    mem_fs_t *m = fs->state;
    mem_user_t user = mem__user(m, ctx);
    mem_inode_t *fresh;
    mem_walk_t w;
    apr_status_t status;

    /* Say no before the bytes are fetched, where it is known. */
    mem__rd(&m->names);
    status = mem__walk(&w, m, &user, path->str, 1);
    if (status == APR_SUCCESS) status = commit_check(&w, m, &user, how);
    mem__un(&m->names);
    if (status != APR_SUCCESS) return status;
    fresh = mem__inode_new(m, VFS_TYPE_FILE, 0, 0, 0, 0);
    if (fresh == NULL) return APR_ENOMEM;
    status = commit_fill(m, ctx, source, fresh);
    if (status == APR_SUCCESS)
        status = commit_publish(m, ctx, &user, path, how, fresh, attr, validator);
    mem__inode_put(m, fresh);
    return status;
}
