/*
 * rename.c - rename in its three kinds. Floor 2. The order of the checks is that of Linux
 * (do_renameat2 and vfs_rename in fs/namei.c). A name that is replaced keeps its place in the
 * listing, so that a reader of the directory sees it exactly once.
 */
#include "backends/mem/mem.h"

static int is_dir(const mem_inode_t *inode)
{
    return inode != NULL && inode->type == VFS_TYPE_DIR;
}

/* Is `above` the directory `dir`, or on the way to it from the root? */
static int is_above(const mem_inode_t *above, mem_inode_t *dir)
{
    while (dir != above) {
        mem_inode_t *parent = mem__parent(dir);
        if (parent == dir) return 0;
        dir = parent;
    }
    return 1;
}

static apr_status_t rename_check(const mem_user_t *user, const mem_walk_t *from,
                                 const mem_walk_t *to, int exchange)
{
    int target_dir = exchange ? is_dir(to->inode) : is_dir(from->inode);
    apr_status_t status = mem__may_remove(from, user, is_dir(from->inode));

    if (status != APR_SUCCESS) return status;
    status = to->inode == NULL ? mem__may(to->dir, user, VFS_ACCESS_WRITE | VFS_ACCESS_EXEC)
                               : mem__may_remove(to, user, target_dir);
    if (status != APR_SUCCESS) return status;
    if (from->dir != to->dir) { /* the ".." of what moves is written */
        if (is_dir(from->inode)) status = mem__may(from->inode, user, VFS_ACCESS_WRITE);
        if (status == APR_SUCCESS && exchange && is_dir(to->inode))
            status = mem__may(to->inode, user, VFS_ACCESS_WRITE);
        if (status != APR_SUCCESS) return status;
    }
    if (!exchange && is_dir(to->inode) && to->inode->u.dir.count > 0) return APR_ENOTEMPTY;
    return APR_SUCCESS;
}

static void rename_exchange(mem_fs_t *m, const mem_walk_t *from, const mem_walk_t *to)
{
    int64_t now = vfs_now_ns();
    int delta = 0;

    if (from->dir != to->dir) delta = is_dir(to->inode) - is_dir(from->inode);
    mem__event_name(m, VFS_EVENT_REMOVED, from->dir, from->name, from->len, is_dir(from->inode));
    mem__event_name(m, VFS_EVENT_REMOVED, to->dir, to->name, to->len, is_dir(to->inode));
    mem_inode_t *a = mem__dir_swap(from->entry, to->inode);
    /* Each entry hands out the reference that the other takes over. The inode `to` has two names
     * for a moment, and loses the older one here. */
    mem_inode_t *b = mem__dir_swap(to->entry, a);
    VFS_ASSERT(a == from->inode && b == to->inode);
    mem__inode_touch(a, now, 0);
    mem__inode_touch(b, now, 0);
    mem__dir_touch(from->dir, now, delta);
    if (from->dir != to->dir) mem__dir_touch(to->dir, now, -delta);
    mem__event_name(m, VFS_EVENT_CREATED, from->dir, from->name, from->len, is_dir(b));
    mem__event_name(m, VFS_EVENT_CREATED, to->dir, to->name, to->len, is_dir(a));
}

static apr_status_t rename_move(mem_fs_t *m, const mem_walk_t *from, const mem_walk_t *to,
                                mem_inode_t **gone)
{
    mem_inode_t *inode = from->inode;
    int64_t now = vfs_now_ns();
    int dir = is_dir(inode);

    if (to->entry == NULL) {
        apr_status_t status = mem__dir_add(to->dir, to->name, to->len, to->hash, inode);
        if (status != APR_SUCCESS) return status;
    } else {
        *gone = mem__dir_swap(to->entry, inode);
        mem__event_name(m, VFS_EVENT_REMOVED, to->dir, to->name, to->len, dir);
        mem__inode_touch(*gone, now, dir ? -2 : -1);
        mem__event_inode(m, VFS_EVENT_CHANGED, *gone);
    }
    mem_inode_t *same = mem__dir_remove(from->entry);
    VFS_ASSERT(same == inode);
    mem__inode_touch(inode, now, 0);
    mem__dir_touch(from->dir, now, dir ? -1 : 0);
    mem__dir_touch(to->dir, now, dir && *gone == NULL ? 1 : 0);
    mem__event_name(m, VFS_EVENT_REMOVED, from->dir, from->name, from->len, dir);
    mem__event_name(m, VFS_EVENT_CREATED, to->dir, to->name, to->len, dir);
    return APR_SUCCESS;
}

static apr_status_t rename_walked(mem_fs_t *m, const mem_user_t *user, const mem_walk_t *from,
                                  const mem_walk_t *to, uint32_t flags, mem_inode_t **gone)
{
    int exchange = (flags & VFS_RENAME_EXCHANGE) != 0;
    apr_status_t status;

    VFS_ASSERT(from->dir != NULL && to->dir != NULL); /* dispatch keeps the root away */
    if (from->inode == NULL) return APR_ENOENT;
    if ((flags & VFS_RENAME_NOREPLACE) != 0 && to->inode != NULL) return APR_EEXIST;
    if (exchange && to->inode == NULL) return APR_ENOENT;
    if (is_dir(from->inode) && is_above(from->inode, to->dir)) return APR_EINVAL;
    if (is_dir(to->inode) && is_above(to->inode, from->dir))
        return exchange ? APR_EINVAL : APR_ENOTEMPTY;
    if (from->inode == to->inode) return APR_SUCCESS;
    status = rename_check(user, from, to, exchange);
    if (status != APR_SUCCESS) return status;
    if (!exchange) return rename_move(m, from, to, gone);
    rename_exchange(m, from, to);
    return APR_SUCCESS;
}

apr_status_t mem_rename(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                        const vfs_path_t *to, uint32_t flags)
{
    mem_fs_t *m = fs->state;
    mem_user_t user = mem__user(m, ctx);
    mem_inode_t *gone = NULL;
    mem_walk_t old, new;
    apr_status_t status;

    mem__wr(&m->names);
    status = mem__walk(&old, m, &user, from->str, 0);
    if (status == APR_SUCCESS) status = mem__walk(&new, m, &user, to->str, 0);
    if (status == APR_SUCCESS) status = rename_walked(m, &user, &old, &new, flags, &gone);
    mem__un(&m->names);
    mem__inode_put(m, gone);
    return status;
}
