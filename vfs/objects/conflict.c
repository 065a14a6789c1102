/*
 * conflict.c - somebody else replaced the file under what is staged. Floor 1, private to
 * vfs/objects/.
 *
 * What is there may be the same bytes: then all is well. Else ours is
 * committed beside it: what is staged, over the base, and where that is gone over the file as it is
 * now, which the log says. If there is none, ours cannot be put together, and stays staged.
 */
#include <stdlib.h>

#include <inttypes.h>
#include <stdio.h>

#include "vfs/conflict_name.h"
#include "vfs/objects/objects.h"

/* Does `file` hold all that is staged? What is not is theirs either way. */
static apr_status_t compare(const stage_t *s, const vfs_ctx_t *ctx, vfs_file_t *file, int *same)
{
    enum { PIECE = 128 << 10 };
    char *buf = malloc((size_t)2 * PIECE);
    apr_status_t status = buf == NULL ? APR_ENOMEM : APR_SUCCESS;
    *same = 1;
    for (size_t i = 0; i < s->count && *same && status == APR_SUCCESS; i++)
        for (uint64_t at = s->list[i].from; at < s->list[i].to && *same && status == APR_SUCCESS;) {
            size_t n = s->list[i].to - at < PIECE ? (size_t)(s->list[i].to - at) : PIECE, got = 0;
            status = objects__stage_read(s, buf, n, at);
            if (status == APR_SUCCESS)
                status = vfs_call_read_at(file, ctx, buf + PIECE, n, (apr_off_t)at, &got);
            *same = got == n && memcmp(buf, buf + PIECE, n) == 0;
            at += n;
        }
    free(buf);
    return status;
}

/* All of it, where nothing of a base shows: also the zeros between what was written. */
static int says_all(const stage_t *s)
{
    return s->count == 1 ? s->list[0].from == 0 && s->list[0].to == s->size : s->size == 0;
}

static void tell(objects_t *o, const vfs_path_t *path, const vfs_path_t *beside, uint64_t borrowed)
{
    char line[3 * VFS_PATH_MAX], more[96] = "";
    if (o->log == NULL) return;
    if (borrowed)
        (void)snprintf(more, sizeof(more),
                       "; %" PRIu64 " bytes of its base are gone, and from what is there now",
                       borrowed);
    (void)snprintf(line, sizeof(line), "%s changed below under staged data: ours is in %s%s",
                   path->str, beside->str, more);
    o->log(o->log_baton, line);
}

static apr_status_t commit_beside(objects_t *o, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                  source_t *from, uint32_t mode)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t beside;
    vfs_source_t source = {objects__source_read, from, from->n->stage[0].size};
    vfs_commit_t how = VFS_COMMIT_INIT;
    apr_status_t status = APR_SUCCESS;
    how.mode = mode;
    if (o->lower->caps.bits & VFS_CAP_CONDITIONAL) how.flags = VFS_COMMIT_IF_NONE;
    for (int k = 0; k < 100; k++) {
        from->borrowed = 0;
        status = vfs__conflict_path(path, k, &beside, buf);
        if (status == APR_SUCCESS && how.flags == 0) {
            status = vfs_call_lstat(o->lower, ctx, &beside, NULL, NULL);
            if (status == APR_SUCCESS) status = VFS_ECONFLICT;
            if (APR_STATUS_IS_ENOENT(status)) status = APR_SUCCESS;
        }
        if (status == APR_SUCCESS)
            status = vfs_call_commit(o->lower, ctx, &beside, &source, &how, NULL, NULL);
        objects__made(o, &beside);
        if (status != VFS_ECONFLICT) break;
    }
    if (status == APR_SUCCESS) tell(o, path, &beside, from->borrowed);
    return status;
}

apr_status_t objects__was_done(objects_t *o, node_t *n, const vfs_ctx_t *ctx,
                               const vfs_path_t *path, vfs_attr_t *attr, vfs_validator_t *val,
                               int *done)
{
    vfs_file_t *now = NULL;
    const stage_t *s = &n->stage[0];
    *done = 0;
    apr_status_t status = vfs_call_open(&now, o->lower, ctx, path, VFS_O_READ, 0, attr, val);
    if (APR_STATUS_IS_ENOENT(status)) return APR_SUCCESS;
    if (status != APR_SUCCESS) return status;
    int is_base = n->base.exists && vfs_validator_equal(&n->base.val, val);
    if (!is_base && attr->type == VFS_TYPE_FILE && attr->size == s->size)
        status = compare(s, ctx, now, done);
    (void)vfs_close(now, NULL); /* it only read */
    return status;
}

/* Nothing is written from now on, and what was while the commit went is of ours too: on top of
 * theirs it would be a piece of a file that is not there. */
static apr_status_t settle_begin(node_t *n)
{
    apr_status_t status = APR_SUCCESS;
    pthread_mutex_lock(&n->mutex);
    if (n->stages == 2) status = objects__stage_merge(&n->stage[0], &n->stage[1]);
    if (status == APR_SUCCESS) {
        n->stages = 1;
        n->settling = 1;
    }
    pthread_mutex_unlock(&n->mutex);
    return status;
}

apr_status_t objects__conflict(objects_t *o, node_t *n, const vfs_ctx_t *ctx,
                               const vfs_path_t *path, vfs_attr_t *attr, vfs_validator_t *val,
                               int *exists)
{
    vfs_file_t *theirs = NULL;
    stage_t *s = &n->stage[0];
    int same = 0;
    apr_status_t status = vfs_call_open(&theirs, o->lower, ctx, path, VFS_O_READ, 0, attr, val);
    *exists = status == APR_SUCCESS;
    if (APR_STATUS_IS_ENOENT(status)) status = APR_SUCCESS;
    if (status == APR_SUCCESS && *exists && attr->type != VFS_TYPE_FILE) status = VFS_ESTALE;
    if (status == APR_SUCCESS && *exists && attr->size == s->size && says_all(s))
        status = compare(s, ctx, theirs, &same);
    if (status == APR_SUCCESS && !same) status = settle_begin(n);
    if (status == APR_SUCCESS && !same) {
        source_t from = {.o = o, .n = n, .ctx = ctx, .val = n->base.val};
        status = commit_beside(o, ctx, path, &from, n->base.exists ? n->base.attr.mode : n->mode);
        objects__reader_put(n, from.reader);
        if (status == VFS_ESTALE && *exists) { /* the base is gone */
            from.reader = NULL;
            from.instead = theirs;
            status = commit_beside(o, ctx, path, &from, attr->mode);
        }
        if (status == APR_SUCCESS)
            status = VFS_ECONFLICT;
        else if (status == VFS_ECONFLICT)
            status = APR_EEXIST; /* a hundred names are taken */
    }
    if (theirs != NULL) (void)vfs_close(theirs, NULL); /* it only read */
    return status;
}
