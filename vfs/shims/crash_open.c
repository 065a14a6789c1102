/*
 * crash_open.c - open of the crash shim: it may make a name, take bytes away, or neither.
 * Floor 1. What changes something takes its turn; a handle that will write has a reader beside it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vfs/shims/crash.h"

#define LINKS_MAX 40

/* Where a file would be made: the end of a chain of links. Written to `out`, whose text is in
 * `buf`. */
static apr_status_t follow(vfs_t *lower, const vfs_path_t *path, vfs_path_t *out, char *buf)
{
    char text[VFS_PATH_MAX + 1], raw[2 * VFS_PATH_MAX + 3], parent_buf[VFS_PATH_MAX + 1];
    memcpy(buf, path->str, path->len + 1);
    *out = *path;
    out->str = buf;
    for (int i = 0; i < LINKS_MAX; i++) {
        vfs_attr_t attr;
        vfs_path_t parent, next;
        apr_status_t status = vfs_call_lstat(lower, NULL, out, &attr, NULL);
        if (APR_STATUS_IS_ENOENT(status)) return APR_SUCCESS;
        if (status != APR_SUCCESS || attr.type != VFS_TYPE_LINK) return status;
        status = vfs_call_readlink(lower, NULL, out, text, sizeof(text), NULL);
        if (status != APR_SUCCESS) return status;
        (void)vfs_path_parent(&parent, out, parent_buf);
        size_t used = 0;
        if (text[0] != '/') {
            memcpy(raw, parent.str, parent.len);
            raw[parent.len] = '/';
            used = parent.len + 1;
        }
        memcpy(raw + used, text, strlen(text) + 1);
        char normal[VFS_PATH_MAX + 1];
        status = vfs_path_init(&next, raw, normal);
        if (status != APR_SUCCESS) return status;
        memcpy(buf, next.str, next.len);
        buf[next.len] = '\0';
        *out = next;
        out->str = buf;
        out->flags = 0;
    }
    return APR_FROM_OS_ERROR(ELOOP);
}

/* Bring the new handle together: `reader` reads what writes will replace. */
static apr_status_t finish_open(vfs_file_t **file, vfs_t *fs, const vfs_path_t *path,
                                uint32_t flags, const vfs_attr_t *attr, vfs_file_t *lower,
                                crash_file_t *own)
{
    own->reader = lower;
    int apart = attr->type == VFS_TYPE_FILE && (flags & VFS_O_WRITE) &&
                (!(flags & VFS_O_READ) || (flags & VFS_O_DIRECT));
    apr_status_t status = APR_SUCCESS;
    if (apart)
        status = vfs_call_open(&own->reader, fs->lower, NULL, path, VFS_O_READ, 0, NULL, NULL);
    if (status != APR_SUCCESS) {
        (void)vfs_close(lower, NULL); /* the answer is an error already */
        free(own);
        return status;
    }
    vfs_file_init(&own->base, fs, flags, lower);
    *file = &own->base;
    return APR_SUCCESS;
}

/* An open that may make the name. */
static apr_status_t open_making(vfs_file_t **lower, vfs_t *fs, const vfs_ctx_t *ctx,
                                const vfs_path_t *path, uint32_t flags, uint32_t mode,
                                vfs_attr_t *attr, vfs_validator_t *validator)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t end = *path;
    apr_status_t status = APR_SUCCESS;
    if (!(flags & (VFS_O_EXCL | VFS_O_NOFOLLOW))) status = follow(fs->lower, path, &end, buf);
    if (status != APR_SUCCESS) return status;
    return vfs__crash_make_open(lower, fs, ctx, path, &end, flags, mode, attr, validator);
}

/* What O_TRUNC will take away. */
typedef struct truncation_t {
    crash_node_t *node; /**< held; NULL: it takes nothing away */
    crash_change_t *change;
} truncation_t;

static apr_status_t truncation_begin(truncation_t *trunc, crash_t *crash, const vfs_path_t *path)
{
    vfs_file_t *reader;
    vfs_attr_t attr;
    apr_status_t status = vfs_call_stat(crash->lower, NULL, path, &attr, NULL);
    if (APR_STATUS_IS_ENOENT(status)) return APR_SUCCESS;
    if (status != APR_SUCCESS || attr.type != VFS_TYPE_FILE || attr.size == 0) return status;
    status = vfs_call_open(&reader, crash->lower, NULL, path, VFS_O_READ, 0, NULL, NULL);
    if (status != APR_SUCCESS) return status;
    trunc->change = vfs__crash_change(CRASH_SET_BYTES, 0);
    trunc->node = trunc->change == NULL ? NULL : vfs__crash_node(crash, &attr);
    if (trunc->node == NULL) {
        status = APR_ENOMEM;
    } else {
        trunc->node->refs++;
        status = vfs__crash_note_bytes(crash, trunc->node, reader, &attr, 0, attr.size);
    }
    (void)vfs_close(reader, NULL); /* it only read */
    return status;
}

/* If the log was given up meanwhile, nothing is noted any more, and the truncation is durable too.
 */
static void truncation_end(truncation_t *trunc, crash_t *crash, int done)
{
    crash_node_t *node = trunc->node;
    if (node == NULL || !node->bytes_noted || !done) {
        free(trunc->change);
    } else {
        trunc->change->size = 0;
        vfs__crash_log(crash, node, trunc->change);
    }
    if (node == NULL) return;
    node->refs--;
    vfs__crash_tidy(crash, node);
}

static apr_status_t open_turn(vfs_file_t **lower, vfs_t *fs, const vfs_ctx_t *ctx,
                              const vfs_path_t *path, uint32_t flags, uint32_t mode,
                              vfs_attr_t *attr, vfs_validator_t *validator)
{
    truncation_t trunc = {NULL, NULL};
    apr_status_t status = APR_SUCCESS;
    if ((flags & VFS_O_TRUNC) && !(flags & VFS_O_EXCL))
        status = truncation_begin(&trunc, fs->state, path);
    if (status == APR_SUCCESS && (flags & VFS_O_CREATE))
        status = open_making(lower, fs, ctx, path, flags, mode, attr, validator);
    else if (status == APR_SUCCESS)
        status = vfs_call_open(lower, fs->lower, ctx, path, flags, mode, attr, validator);
    truncation_end(&trunc, fs->state, status == APR_SUCCESS);
    return status;
}

/* An open that changes nothing and will change nothing needs no turn. */
static apr_status_t open_reading(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                                 const vfs_path_t *path, uint32_t flags, vfs_attr_t *attr,
                                 vfs_validator_t *validator, crash_file_t *own)
{
    vfs_file_t *lower = NULL;
    apr_status_t status = vfs__crash_check(fs->state, &own->epoch);
    if (status == APR_SUCCESS)
        status = vfs_call_open(&lower, fs->lower, ctx, path, flags, 0, attr, validator);
    if (status != APR_SUCCESS) {
        free(own);
        return status;
    }
    return finish_open(file, fs, path, flags, attr, lower, own);
}

static apr_status_t open_writing(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                                 const vfs_path_t *path, uint32_t flags, uint32_t mode,
                                 vfs_attr_t *attr, vfs_validator_t *validator, crash_file_t *own)
{
    int counts = (flags & (VFS_O_CREATE | VFS_O_TRUNC)) != 0;
    vfs_file_t *lower = NULL;
    apr_status_t status = vfs__crash_enter(fs, ctx, &own->epoch, !counts);
    if (status != APR_SUCCESS) {
        free(own);
        return status;
    }
    status = open_turn(&lower, fs, ctx, path, flags, mode, attr, validator);
    if (status == APR_SUCCESS)
        status = finish_open(file, fs, path, flags, attr, lower, own);
    else
        free(own);
    return vfs__crash_leave(fs, status);
}

apr_status_t vfs__crash_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                             const vfs_path_t *path, uint32_t flags, uint32_t mode,
                             vfs_attr_t *attr, vfs_validator_t *validator)
{
    int changes = (flags & (VFS_O_WRITE | VFS_O_CREATE | VFS_O_TRUNC)) != 0;
    apr_status_t status = vfs__crash_visible(path, flags & VFS_O_CREATE ? APR_EACCES : APR_ENOENT);
    if (status != APR_SUCCESS) return status;
    crash_file_t *own = calloc(1, sizeof(*own));
    if (own == NULL) return APR_ENOMEM;
    own->epoch = vfs__crash_epoch(fs->state);
    status = changes ? open_writing(file, fs, ctx, path, flags, mode, attr, validator, own)
                     : open_reading(file, fs, ctx, path, flags, attr, validator, own);
    if (status == APR_SUCCESS) vfs__crash_show(fs->state, attr);
    return status;
}
