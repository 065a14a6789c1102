/*
 * listing.c - open directories. Floor 2.
 * A handle remembers the seq of the entry that it gave last; that is the cookie. It gives only
 * entries that were there when the listing began, so a reader that renames what it reads comes to
 * an end.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/mem/mem.h"

typedef struct mem_listing_t {
    vfs_dir_t base;
    mem_inode_t *inode;
    int direct;
    pthread_mutex_t lock; /**< guards the rest; taken before every other lock */
    uint64_t at;          /**< seq of the entry given last; 0: none */
    uint64_t limit;       /**< the latest seq when the listing began */
    size_t hint;
    char name[VFS_NAME_MAX + 1];
} mem_listing_t;

static mem_listing_t *listing_of(vfs_dir_t *dir)
{
    return (mem_listing_t *)dir;
}

apr_status_t mem_opendir(vfs_dir_t **out, vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                         uint32_t flags)
{
    mem_fs_t *m = fs->state;
    mem_user_t user = mem__user(m, ctx);
    mem_listing_t *listing = calloc(1, sizeof(*listing));
    apr_status_t status;

    if (listing == NULL) return APR_ENOMEM;
    status = mem__lookup(&listing->inode, m, &user, path, 1, &listing->direct);
    if (status == APR_SUCCESS && listing->inode->type != VFS_TYPE_DIR) status = APR_ENOTDIR;
    if (status == APR_SUCCESS) status = mem__may(listing->inode, &user, VFS_ACCESS_READ);
    if (status == APR_SUCCESS && pthread_mutex_init(&listing->lock, NULL) != 0) status = APR_ENOMEM;
    if (status != APR_SUCCESS) {
        mem__inode_put(m, listing->inode);
        free(listing);
        return status;
    }
    vfs_dir_init(&listing->base, fs, flags, NULL);
    mem__rd(&m->names);
    listing->limit = listing->inode->u.dir.seq;
    mem__un(&m->names);
    *out = &listing->base;
    return APR_SUCCESS;
}

apr_status_t mem_readdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, vfs_dirent_t *entry)
{
    mem_fs_t *m = dir->fs->state;
    mem_listing_t *listing = listing_of(dir);
    mem_inode_t *inode = NULL;

    pthread_mutex_lock(&listing->lock);
    mem__rd(&m->names);
    mem_dirent_t *found =
        mem__dir_next(&listing->inode->u.dir, listing->at, listing->limit, &listing->hint);
    if (found != NULL) {
        listing->at = found->seq;
        memcpy(listing->name, found->name, found->len + 1);
        entry->name = listing->name;
        entry->name_len = found->len;
        entry->cookie = found->seq;
        inode = found->inode;
        mem__inode_get(inode);
    }
    mem__un(&m->names);
    pthread_mutex_unlock(&listing->lock);
    if (inode == NULL) return APR_EOF;

    entry->type = inode->type;
    entry->ino = inode->ino;
    entry->has_attr = 0;
    if ((dir->flags & VFS_DIR_ATTRS) != 0) {
        mem_user_t user = mem__user(m, ctx);
        entry->has_attr = mem__may(listing->inode, &user, VFS_ACCESS_EXEC) == APR_SUCCESS;
        if (entry->has_attr)
            mem__inode_stat(m, inode, listing->direct, &entry->attr, &entry->validator);
    }
    mem__inode_put(m, inode);
    return APR_SUCCESS;
}

apr_status_t mem_seekdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, uint64_t cookie)
{
    mem_fs_t *m = dir->fs->state;
    mem_listing_t *listing = listing_of(dir);

    (void)ctx;
    pthread_mutex_lock(&listing->lock);
    listing->at = cookie;
    if (cookie == 0) {
        mem__rd(&m->names);
        listing->limit = listing->inode->u.dir.seq;
        mem__un(&m->names);
    }
    pthread_mutex_unlock(&listing->lock);
    return APR_SUCCESS;
}

apr_status_t mem_closedir(vfs_dir_t *dir)
{
    mem_fs_t *m = dir->fs->state;
    mem_listing_t *listing = listing_of(dir);

    (void)pthread_mutex_destroy(&listing->lock); /* the last call: nobody holds it */
    mem__inode_put(m, listing->inode);
    free(listing);
    return APR_SUCCESS;
}
