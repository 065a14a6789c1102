/*
 * whole.c - a commit by somebody else than us: the user's own whole object, over what is staged.
 * Floor 1, private to vfs/objects/.
 *
 * What it demands is compared with what is told here; what the lower layer is asked to compare is
 * the version that this is based on.
 */
#include <stdlib.h>

#include "vfs/objects/objects.h"

/* Does the demand hold here, and what is it below? The stage stands still from then on, and who
 * writes waits: what he writes is on top of all of the new one, which may be longer or shorter. */
static apr_status_t meet(objects_t *o, node_t *n, vfs_commit_t *how, int *staged)
{
    vfs_validator_t now;
    apr_status_t status = APR_SUCCESS;
    pthread_mutex_lock(&n->mutex);
    if (n->stages == 2) status = objects__stage_merge(&n->stage[0], &n->stage[1]);
    if (n->stages == 2 && status == APR_SUCCESS) n->stages = 1;
    *staged = n->stages > 0;
    objects__version(o, n, &now);
    int asks = (how->flags & VFS_COMMIT_IF_MATCH) != 0;
    if (*staged && (how->flags & VFS_COMMIT_IF_NONE)) status = VFS_ECONFLICT;
    if (*staged && asks && !vfs_validator_equal(&now, &how->expected)) status = VFS_ECONFLICT;
    if (!*staged && n->told && vfs_validator_equal(&now, &how->expected))
        how->expected = n->base.val;
    if (status == APR_SUCCESS) n->settling = 1;
    if (*staged && status == APR_SUCCESS) {
        how->kept = NULL; /* of what is not below */
        how->kept_count = 0;
        if (asks && n->base.exists) how->expected = n->base.val;
        if (asks && !n->base.exists)
            how->flags = (how->flags & ~VFS_COMMIT_IF_MATCH) | VFS_COMMIT_IF_NONE;
        n->committing = 1;
    }
    pthread_mutex_unlock(&n->mutex);
    return status;
}

/* What was staged is replaced. */
static void replaced(objects_t *o, node_t *n, int staged, apr_status_t status,
                     const vfs_attr_t *attr, const vfs_validator_t *val)
{
    vfs_file_t *idle = NULL;
    pthread_mutex_lock(&n->mutex);
    if (staged) n->committing = 0;
    n->settling = 0;
    VFS_ASSERT(n->stages == (unsigned)staged);
    if (status == APR_SUCCESS) {
        int fresh = objects__is_fresh(n);
        idle = objects__base_set(n, 1, attr, val);
        if (staged) objects__stage_end(&n->stage[--n->stages]);
        n->doubt = 0;
        if (fresh) atomic_fetch_sub(&o->fresh, 1);
    }
    pthread_mutex_unlock(&n->mutex);
    if (idle != NULL) (void)vfs_close(idle, NULL); /* it only read */
}

/* It failed. 1: what is there now is what was sent. */
static int was_sent(objects_t *o, const vfs_ctx_t *ctx, const vfs_path_t *path,
                    const vfs_source_t *source, vfs_attr_t *attr, vfs_validator_t *val)
{
    enum { PIECE = 128 << 10 };
    vfs_file_t *now;
    char *buf = malloc((size_t)2 * PIECE);
    if (buf == NULL) return 0;
    if (vfs_call_open(&now, o->lower, ctx, path, VFS_O_READ, 0, attr, val) != APR_SUCCESS) {
        free(buf);
        return 0;
    }
    int same = attr->type == VFS_TYPE_FILE && attr->size == source->size;
    for (uint64_t at = 0; at < source->size && same;) {
        size_t n = source->size - at < PIECE ? (size_t)(source->size - at) : PIECE, got = 0;
        same = source->read_at(source->baton, buf, n, (apr_off_t)at) == APR_SUCCESS &&
               vfs_call_read_at(now, ctx, buf + PIECE, n, (apr_off_t)at, &got) == APR_SUCCESS &&
               got == n && memcmp(buf, buf + PIECE, n) == 0;
        at += n;
    }
    (void)vfs_close(now, NULL); /* it only read */
    free(buf);
    return same;
}

apr_status_t objects__commit_whole(objects_t *o, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                   const vfs_source_t *source, const vfs_commit_t *how,
                                   vfs_attr_t *attr, vfs_validator_t *validator)
{
    vfs_commit_t below = *how;
    int staged = 0;
    node_t *n = objects__node(o, path, 0);
    apr_status_t status =
        n != NULL && objects__staged(n) ? objects__base_ask(o, n, ctx, 1) : APR_SUCCESS;
    if (n != NULL && status == APR_SUCCESS)
        status = objects__resolve(o, n, ctx, path, COMMIT_KEEPS);
    if (n != NULL && status == APR_SUCCESS) status = meet(o, n, &below, &staged);
    if (status == APR_SUCCESS) {
        status = vfs_call_commit(o->lower, ctx, path, source, &below, attr, validator);
        if (status != APR_SUCCESS && status != VFS_ECONFLICT && staged &&
            was_sent(o, ctx, path, source, attr, validator))
            status = APR_SUCCESS; /* it was its answer that was lost */
        if (n != NULL) replaced(o, n, staged, status, attr, validator);
    }
    if (n != NULL) objects__node_put(o, n);
    return status;
}

apr_status_t objects_commit(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                            const vfs_source_t *source, const vfs_commit_t *how, vfs_attr_t *attr,
                            vfs_validator_t *validator)
{
    objects_t *o = objects__of(fs);
    vfs_commit_t mine = *how;
    claim_t c;
    apr_status_t status = objects__claim(o, ctx, &c, path, NULL, 0);
    if (status != APR_SUCCESS) return status;
    mine.same_as = NULL; /* of a version that is told here, perhaps, and not below */
    status = objects__under_file(o, path)
                 ? APR_ENOTDIR
                 : objects__commit_whole(o, ctx, path, source, &mine, attr, validator);
    objects__made(o, path);
    objects__release(o, &c);
    if (status == APR_SUCCESS) objects__strip(attr);
    return status;
}
