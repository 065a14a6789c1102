/*
 * dir.c - listings: those of the lower layer, and behind them the files that are not below yet.
 * Floor 1, private to vfs/objects/.
 *
 * The new files are noted before the lower layer lists: one that is committed meanwhile is listed
 * there or not, and counts as seen if it is. So each comes once.
 */
#include <stdlib.h>

#include "vfs/objects/objects.h"

#define OURS (1ull << 63) /* of a cookie: the entry is one of ours */

typedef struct extra_t {
    char *name;
    int seen; /* the lower layer has listed it */
    int ours; /* it has not, and we did */
} extra_t;

typedef struct listing_t {
    vfs_dir_t base;
    objects_t *o;
    char path[VFS_PATH_MAX + 1];
    vfs_path_t dir;
    extra_t *extra; /* by name */
    size_t count, next;
    int below_done; /* the lower layer has no more */
    int partial;    /* it was not listed from the beginning */
} listing_t;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const extra_t *)a)->name, ((const extra_t *)b)->name);
}

static void forget(listing_t *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->extra[i].name);
    free(l->extra);
    l->extra = NULL;
    l->count = l->next = 0;
    l->below_done = l->partial = 0;
}

/* The name in the directory of what is not below yet, or NULL. */
static char *name_of(listing_t *l, node_t *n)
{
    char buf[VFS_PATH_MAX + 1], *name = NULL;
    vfs_path_t parent;
    pthread_mutex_lock(&l->o->lock);
    pthread_mutex_lock(&n->mutex);
    int fresh = objects__is_fresh(n) && !n->gone;
    pthread_mutex_unlock(&n->mutex);
    vfs_path_t path = objects__node_path(n);
    if (fresh) {
        const char *last = vfs_path_parent(&parent, &path, buf);
        if (parent.len == l->dir.len && memcmp(buf, l->dir.str, l->dir.len) == 0)
            name = strdup(last);
    }
    pthread_mutex_unlock(&l->o->lock);
    return name;
}

static apr_status_t note(listing_t *l)
{
    size_t count;
    forget(l);
    if (atomic_load(&l->o->fresh) == 0) return APR_SUCCESS;
    node_t **nodes = objects__nodes(l->o, &l->dir, &count);
    if (nodes == NULL) return APR_ENOMEM;
    l->extra = calloc(count ? count : 1, sizeof(*l->extra));
    for (size_t i = 0; i < count && l->extra != NULL; i++) {
        char *name = name_of(l, nodes[i]);
        if (name != NULL) l->extra[l->count++].name = name;
    }
    objects__nodes_put(l->o, nodes, count);
    if (l->extra == NULL) return APR_ENOMEM;
    if (l->count > 0) qsort(l->extra, l->count, sizeof(*l->extra), by_name);
    return APR_SUCCESS;
}

apr_status_t objects_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                             const vfs_path_t *path, uint32_t flags)
{
    objects_t *o = objects__of(fs);
    vfs_dir_t *lower = NULL;
    listing_t *l = calloc(1, sizeof(*l));
    if (l == NULL) return APR_ENOMEM;
    l->o = o;
    memcpy(l->path, path->str, path->len + 1);
    l->dir = (vfs_path_t){l->path, path->len, path->hash, 0};
    node_t *n = objects__node(o, path, 0);
    apr_status_t status = n != NULL && objects__staged(n) ? APR_ENOTDIR : note(l);
    if (n != NULL) objects__node_put(o, n);
    if (status == APR_SUCCESS) status = vfs_call_opendir(&lower, o->lower, ctx, path, flags);
    status = objects__missing(o, path, status);
    if (status != APR_SUCCESS) {
        forget(l);
        free(l);
        return status;
    }
    objects__dir_seen(o, path);
    vfs_dir_init(&l->base, fs, flags, lower);
    *dir = &l->base;
    return APR_SUCCESS;
}

apr_status_t objects_closedir(vfs_dir_t *dir)
{
    listing_t *l = (listing_t *)dir;
    apr_status_t status = vfs_closedir(dir->lower);
    forget(l);
    dir->magic = VFS__DEAD_MAGIC;
    free(l);
    return status;
}

/* What is told of an entry of ours. 0: it is gone. */
static int dress(listing_t *l, vfs_dirent_t *e)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t path;
    if (vfs_path_join(&path, &l->dir, e->name, e->name_len, buf) != APR_SUCCESS) return 0;
    node_t *n = objects__node(l->o, &path, 0);
    if (n == NULL) return 0;
    pthread_mutex_lock(&n->mutex);
    int ours = n->stages > 0;
    if (ours) {
        objects__attr(n, &e->attr);
        objects__version(l->o, n, &e->validator);
        e->type = VFS_TYPE_FILE;
        e->has_attr = 1;
    } else if (!n->base.known) {
        e->has_attr = 0; /* it was moved, and nobody asked since: it may be told another version */
    } else if (e->has_attr && n->told && vfs_validator_equal(&n->base.val, &e->validator)) {
        e->validator = n->told_val;
    }
    int there = ours || (n->base.known && n->base.exists);
    pthread_mutex_unlock(&n->mutex);
    objects__node_put(l->o, n);
    return there;
}

static apr_status_t next_below(listing_t *l, const vfs_ctx_t *ctx, vfs_dirent_t *e)
{
    apr_status_t status = vfs_call_readdir(l->base.lower, ctx, e);
    if (status != APR_SUCCESS) return status;
    e->ino = 0;
    if (e->has_attr) objects__strip(&e->attr);
    if (l->count > 0) {
        extra_t key = {.name = (char *)e->name};
        extra_t *found = bsearch(&key, l->extra, l->count, sizeof(*l->extra), by_name);
        if (found != NULL) found->seen = 1;
    }
    (void)dress(l, e); /* what it says of the name stands, whatever we know of it */
    return APR_SUCCESS;
}

/* Was it listed below, before we came? */
static int is_below(listing_t *l, const vfs_ctx_t *ctx, const char *name)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t path;
    if (!l->partial) return 0;
    if (vfs_path_join(&path, &l->dir, name, strlen(name), buf) != APR_SUCCESS) return 1;
    return vfs_call_lstat(l->o->lower, ctx, &path, NULL, NULL) == APR_SUCCESS;
}

apr_status_t objects_readdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, vfs_dirent_t *entry)
{
    listing_t *l = (listing_t *)dir;
    if (!l->below_done) {
        apr_status_t status = next_below(l, ctx, entry);
        if (!APR_STATUS_IS_EOF(status)) return status;
        l->below_done = 1;
    }
    while (l->next < l->count) {
        extra_t *x = &l->extra[l->next++];
        if (x->seen || (!x->ours && is_below(l, ctx, x->name))) continue;
        x->ours = 1;
        *entry = (vfs_dirent_t){.name = x->name,
                                .name_len = strlen(x->name),
                                .type = VFS_TYPE_FILE,
                                .cookie = OURS | l->next};
        if (dress(l, entry)) return APR_SUCCESS;
    }
    return APR_EOF;
}

apr_status_t objects_seekdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, uint64_t cookie)
{
    listing_t *l = (listing_t *)dir;
    if (cookie & OURS) {
        if ((cookie & ~OURS) > l->count) return APR_EINVAL;
        l->next = (size_t)(cookie & ~OURS);
        l->below_done = 1;
        return APR_SUCCESS;
    }
    apr_status_t status = vfs_call_seekdir(dir->lower, ctx, cookie);
    if (status != APR_SUCCESS) return status;
    if (cookie == 0) return note(l);
    l->partial = 1;
    l->below_done = 0;
    l->next = 0;
    return APR_SUCCESS;
}
