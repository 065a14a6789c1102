/*
 * base.c - the version below that a node is based on: what is told of it, and reading it.
 * Floor 1, private to vfs/objects/.
 *
 * Whatever the lower layer says of the path of a clean node is its base from then on: whoever
 * writes next, writes on what he was told. The base of a staged node stays, so that the commit
 * finds out if it is another one below by then.
 */
#include <stdlib.h>

#include "vfs/objects/objects.h"

uint64_t objects__size(const node_t *n)
{
    return n->stages > 0 ? n->stage[n->stages - 1].size : n->base.attr.size;
}

void objects__strip(vfs_attr_t *attr)
{
    attr->flags &= ~VFS_ATTR_STABLE_ID; /* a commit may make another file below */
    attr->dev = attr->ino = 0;
    if (attr->type == VFS_TYPE_FILE && attr->nlink > 1) attr->nlink = 1;
}

void objects__attr(const node_t *n, vfs_attr_t *attr)
{
    *attr = n->base.attr;
    if (!n->base.exists) {
        *attr = (vfs_attr_t){.type = VFS_TYPE_FILE,
                             .flags = VFS_ATTR_DIRECT,
                             .mode = n->mode,
                             .uid = n->uid,
                             .gid = n->gid,
                             .blksize = 4096};
    }
    if (n->stages > 0) {
        attr->size = objects__size(n);
        attr->allocated = attr->size;
        attr->mtime_ns = attr->ctime_ns = n->mtime_ns;
        if (attr->atime_ns == 0) attr->atime_ns = n->mtime_ns;
    }
    attr->nlink = !n->nameless;
    objects__strip(attr);
}

static void staged_version(const objects_t *o, const node_t *n, vfs_validator_t *val)
{
    uint8_t tag[sizeof(o->id) + 2 * sizeof(uint64_t)];
    memcpy(tag, o->id, sizeof(o->id));
    memcpy(tag + sizeof(o->id), &n->number, sizeof(n->number));
    memcpy(tag + sizeof(o->id) + sizeof(n->number), &n->seq, sizeof(n->seq));
    vfs_validator_from_tag(val, VFS_VALIDATOR_VERSION, tag, sizeof(tag));
}

void objects__version(const objects_t *o, const node_t *n, vfs_validator_t *val)
{
    if (n->stages > 0)
        staged_version(o, n, val);
    else
        *val = n->told ? n->told_val : n->base.val;
}

void objects__touch(node_t *n)
{
    n->seq++;
    n->mtime_ns = vfs_now_ns();
}

uint32_t objects__epoch(node_t *n)
{
    if (n == NULL) return 0;
    pthread_mutex_lock(&n->mutex);
    uint32_t epoch = n->epoch;
    pthread_mutex_unlock(&n->mutex);
    return epoch;
}

/* Nobody new reads by it. Returns what is to be closed. */
static vfs_file_t *reader_drop(node_t *n)
{
    reader_t *r = n->reader;
    n->reader = NULL;
    if (r == NULL || --r->refs > 0) return NULL;
    vfs_file_t *file = r->file;
    free(r);
    return file;
}

vfs_file_t *objects__base_set(node_t *n, int exists, const vfs_attr_t *attr,
                              const vfs_validator_t *val)
{
    int moved = !n->base.known && exists; /* the first answer is about what it was before */
    n->base = (base_t){.known = 1, .exists = exists};
    n->just = 0;
    if (exists) {
        n->base.attr = *attr;
        n->base.val = *val;
    }
    n->told = n->told && moved;
    n->epoch++;
    return reader_drop(n);
}

void objects__base_learn(objects_t *o, node_t *n, uint32_t epoch, const vfs_attr_t *attr,
                         vfs_validator_t *val)
{
    vfs_file_t *idle = NULL;
    if (n == NULL || attr->type != VFS_TYPE_FILE) return;
    pthread_mutex_lock(&n->mutex);
    if (n->stages == 0 && n->epoch == epoch) {
        int same = n->base.known && n->base.exists && vfs_validator_equal(&n->base.val, val);
        if (same)
            n->base.attr = *attr;
        else
            idle = objects__base_set(n, 1, attr, val);
        if (n->told) *val = n->told_val;
    } else if (n->stages == 0 && n->told && vfs_validator_equal(&n->base.val, val)) {
        *val = n->told_val;
    }
    pthread_mutex_unlock(&n->mutex);
    (void)o;
    if (idle != NULL) (void)vfs_close(idle, NULL); /* it only read */
}

/* ---- reading it */

static reader_t *reader_use(node_t *n)
{
    pthread_mutex_lock(&n->mutex);
    reader_t *r = n->base.known ? n->reader : NULL;
    if (r != NULL) r->refs++;
    pthread_mutex_unlock(&n->mutex);
    return r;
}

void objects__reader_put(node_t *n, reader_t *r)
{
    vfs_file_t *idle = NULL;
    if (r == NULL) return;
    pthread_mutex_lock(&n->mutex);
    if (--r->refs == 0) {
        idle = r->file;
        free(r);
    }
    pthread_mutex_unlock(&n->mutex);
    if (idle != NULL) (void)vfs_close(idle, NULL); /* it only read */
}

/* A new handle below, and what it is of: the base of a clean node; that of a staged one must be the
 * same, unless it was moved. Path claimed. */
static apr_status_t reader_open(objects_t *o, node_t *n, const vfs_ctx_t *ctx,
                                const vfs_path_t *path)
{
    vfs_attr_t attr;
    vfs_validator_t val;
    vfs_file_t *file, *idle = NULL;
    reader_t *r = malloc(sizeof(*r));
    if (r == NULL) return APR_ENOMEM;
    apr_status_t status = vfs_call_open(&file, o->lower, ctx, path, VFS_O_READ, 0, &attr, &val);
    if (status != APR_SUCCESS) {
        free(r);
        return APR_STATUS_IS_ENOENT(status) || APR_STATUS_IS_ENOTDIR(status) ? VFS_ESTALE : status;
    }
    *r = (reader_t){file, 1};
    pthread_mutex_lock(&n->mutex);
    if (n->base.known && n->base.exists && vfs_validator_equal(&n->base.val, &val))
        idle = reader_drop(n);
    else if (attr.type == VFS_TYPE_FILE && (n->stages == 0 || !n->base.known))
        idle = objects__base_set(n, 1, &attr, &val);
    else
        status = VFS_ESTALE; /* another version than what is staged is based on */
    if (status == APR_SUCCESS) n->reader = r;
    pthread_mutex_unlock(&n->mutex);
    if (status != APR_SUCCESS) {
        free(r);
        idle = file;
    }
    if (idle != NULL) (void)vfs_close(idle, ctx); /* it only read */
    return status;
}

apr_status_t objects__reader(objects_t *o, node_t *n, const vfs_ctx_t *ctx, int claimed,
                             reader_t **out)
{
    claim_t c;
    apr_status_t status = APR_SUCCESS;
    *out = reader_use(n);
    if (*out != NULL) return APR_SUCCESS;
    if (!claimed) status = objects__claim_node(o, ctx, &c, n);
    if (status != APR_SUCCESS) return status;
    *out = reader_use(n);
    if (*out == NULL) {
        vfs_path_t path = objects__node_path(n); /* it moves with a claim alone */
        status = n->gone ? VFS_ESTALE : reader_open(o, n, ctx, &path);
        if (status == APR_SUCCESS) *out = reader_use(n);
    }
    if (!claimed) objects__release(o, &c);
    return status;
}

apr_status_t objects__base_ask(objects_t *o, node_t *n, const vfs_ctx_t *ctx, int claimed)
{
    reader_t *r;
    pthread_mutex_lock(&n->mutex);
    int known = n->base.known;
    pthread_mutex_unlock(&n->mutex);
    if (known) return APR_SUCCESS;
    apr_status_t status = objects__reader(o, n, ctx, claimed, &r);
    if (status == APR_SUCCESS) objects__reader_put(n, r);
    return status;
}

apr_status_t objects__base_read(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                                uint64_t off, const vfs_validator_t *val)
{
    vfs_iovec_t iov = {buf, len};
    vfs_validator_t now;
    size_t got = 0;
    apr_status_t status = vfs_call_fetch(file, ctx, &iov, 1, (apr_off_t)off, &got, &now);
    if (APR_STATUS_IS_ENOTIMPL(status)) {
        status = vfs_call_read_at(file, ctx, buf, len, (apr_off_t)off, &got);
        if (status == APR_SUCCESS) status = vfs_call_fstat(file, ctx, NULL, &now);
    }
    if (status != APR_SUCCESS) return status;
    if (val->kind != VFS_VALIDATOR_NONE && !vfs_validator_equal(val, &now)) return VFS_ESTALE;
    return got == len ? APR_SUCCESS : VFS_ESTALE;
}
