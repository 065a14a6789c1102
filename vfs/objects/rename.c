/*
 * rename.c - renaming. Floor 1, private to vfs/objects/.
 *
 * What is staged at and below the old name is committed first: what moves below is all of it. At
 * and below the new one a directory's new files are committed, so that the lower layer sees that it
 * is not empty. A file that is staged at the new name is replaced, and lives on in its handles.
 */
#include <stdlib.h>

#include "vfs/objects/objects.h"

typedef struct move_t {
    const vfs_path_t *from, *to;
    uint32_t flags;
    node_t *target;
    int target_fresh; /* the new name is that of a file that is not below */
    kept_t kept;      /* of it */
} move_t;

static int is_swap(const move_t *m)
{
    return (m->flags & VFS_RENAME_EXCHANGE) != 0;
}

/* The lower layer does not know that there is something: it answers for that. */
static apr_status_t meet_fresh(objects_t *o, const vfs_ctx_t *ctx, const move_t *m)
{
    vfs_attr_t attr;
    apr_status_t status = vfs_call_lstat(o->lower, ctx, m->from, &attr, NULL);
    if (status != APR_SUCCESS) return status;
    if (m->flags & VFS_RENAME_NOREPLACE) return APR_EEXIST;
    return attr.type == VFS_TYPE_DIR ? APR_ENOTDIR : APR_SUCCESS;
}

static apr_status_t target_ready(objects_t *o, const vfs_ctx_t *ctx, move_t *m)
{
    apr_status_t status = APR_SUCCESS;
    m->target = objects__node(o, m->to, 0);
    if (is_swap(m) || objects__holds_fresh(o, m->to)) status = objects__commit_tree(o, m->to, ctx);
    if (status != APR_SUCCESS || m->target == NULL) return status;
    pthread_mutex_lock(&m->target->mutex);
    m->target_fresh = objects__is_fresh(m->target);
    pthread_mutex_unlock(&m->target->mutex);
    if (m->target_fresh) status = meet_fresh(o, ctx, m);
    if (status == APR_SUCCESS && !is_swap(m)) status = objects__keep(o, m->target, ctx, &m->kept);
    return status;
}

/* What was written while they moved is based on what they are below now. */
static apr_status_t moved(objects_t *o, const vfs_ctx_t *ctx, const vfs_path_t *to)
{
    size_t count;
    node_t **nodes = objects__nodes(o, to, &count);
    if (nodes == NULL) return APR_ENOMEM;
    for (size_t i = 0; i < count; i++)
        if (objects__staged(nodes[i]))
            (void)objects__base_ask(o, nodes[i], ctx, 1); /* else whoever needs it asks */
    objects__nodes_put(o, nodes, count);
    return APR_SUCCESS;
}

/* Has the name the version that the node is based on? */
static int is_at(objects_t *o, const vfs_ctx_t *ctx, node_t *n, const vfs_path_t *path)
{
    vfs_validator_t now;
    if (vfs_call_lstat(o->lower, ctx, path, NULL, &now) != APR_SUCCESS) return 0;
    pthread_mutex_lock(&n->mutex);
    int is = n->base.known && n->base.exists && vfs_validator_equal(&n->base.val, &now);
    pthread_mutex_unlock(&n->mutex);
    return is;
}

/* It failed. 1: it was done all the same, as one of the files shows that moved with it. Where none
 * does, the nodes stay: what is staged finds another version below, and goes beside it. */
static int was_done(objects_t *o, const vfs_ctx_t *ctx, const move_t *m, const vfs_path_t *from,
                    const vfs_path_t *to)
{
    char buf[2 * VFS_PATH_MAX + 2];
    size_t count;
    int done = 0, known = 0;
    node_t **nodes = objects__nodes(o, from, &count);
    for (size_t i = 0; nodes != NULL && i < count && !known; i++) {
        vfs_path_t old = objects__node_path(nodes[i]);
        size_t tail = old.len - from->len, len = to->len + tail;
        if (len > VFS_PATH_MAX) continue;
        memcpy(buf, to->str, to->len);
        memcpy(buf + to->len, old.str + from->len, tail + 1);
        vfs_path_t new = {buf, (uint32_t)len, vfs_path_hash(buf, len), 0};
        done = is_at(o, ctx, nodes[i], &new);
        known = done || is_at(o, ctx, nodes[i], &old);
    }
    if (nodes != NULL) objects__nodes_put(o, nodes, count);
    if (!known && is_swap(m) && from == m->from) return was_done(o, ctx, m, m->to, m->from);
    return done;
}

static apr_status_t rename_claimed(objects_t *o, const vfs_ctx_t *ctx, move_t *m)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t parent;
    apr_status_t status = APR_SUCCESS;
    if (objects__under_file(o, m->from)) return APR_ENOTDIR;
    if (objects__under_file(o, m->to)) { /* where there may be something to move comes first */
        (void)vfs_path_parent(&parent, m->from, buf);
        status = vfs_call_stat(o->lower, ctx, &parent, NULL, NULL);
        return status != APR_SUCCESS ? status : APR_ENOTDIR;
    }
    status = objects__commit_tree(o, m->from, ctx);
    if (status == APR_SUCCESS) status = target_ready(o, ctx, m);
    if (status != APR_SUCCESS) return status;
    status = vfs_call_rename(o->lower, ctx, m->from, m->to, m->flags);
    if (status != APR_SUCCESS && !objects__refused(status) && was_done(o, ctx, m, m->from, m->to))
        status = APR_SUCCESS; /* it was its answer that was lost */
    objects__keep_end(&m->kept, status == APR_SUCCESS);
    m->kept.node = NULL;
    if (status != APR_SUCCESS) return status;
    if (m->target != NULL && !is_swap(m)) objects__node_gone(o, m->target);
    status = objects__nodes_move(o, m->from, m->to, is_swap(m));
    if (status == APR_SUCCESS) status = moved(o, ctx, m->to);
    if (status == APR_SUCCESS && is_swap(m)) status = moved(o, ctx, m->from);
    return status;
}

apr_status_t objects_rename(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                            const vfs_path_t *to, uint32_t flags)
{
    objects_t *o = objects__of(fs);
    move_t m = {.from = from, .to = to, .flags = flags};
    claim_t c;
    if (from->len == to->len && memcmp(from->str, to->str, from->len) == 0) {
        vfs_attr_t attr;
        apr_status_t found = vfs_call_lstat(fs, ctx, from, &attr, NULL);
        if (found != APR_SUCCESS) return found;
        return flags & VFS_RENAME_NOREPLACE ? APR_EEXIST : APR_SUCCESS;
    }
    apr_status_t status = objects__claim(o, ctx, &c, from, to, 1);
    if (status != APR_SUCCESS) return status;
    status = rename_claimed(o, ctx, &m);
    objects__keep_end(&m.kept, 0); /* where it did not come to it */
    if (m.target != NULL) objects__node_put(o, m.target);
    objects__dirs_forget(o);
    objects__made(o, NULL);
    objects__release(o, &c);
    return status;
}
