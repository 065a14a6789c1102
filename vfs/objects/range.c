/*
 * range.c - ranges that are zeroed, and copied between files, in what is staged.
 * Floor 1, private to vfs/objects/.
 */
#include <stdlib.h>

#include "vfs/objects/objects.h"

#define PIECE (1u << 20) /* how long a writer may have to wait for a copy */

static handle_t *handle_of(vfs_file_t *file)
{
    return (handle_t *)file;
}

/* ---- allocate */

/* Nothing is reserved: there is no room of the lower layer's to be had before the commit. Mutex
 * held, the base known. */
static apr_status_t allocate(objects_t *o, node_t *n, uint32_t flags, uint64_t off, uint64_t end)
{
    uint64_t size = objects__size(n), inside = end < size ? end : size;
    unsigned before = n->stages;
    apr_status_t status = APR_SUCCESS;
    if ((flags & (VFS_ALLOC_PUNCH_HOLE | VFS_ALLOC_ZERO_RANGE)) && off < inside) {
        status = objects__stage_zero(objects__top_stage(o, n), off, inside);
        if (status == APR_SUCCESS || n->stages == before)
            objects__touch(n); /* after an error a part may be zero */
        else
            objects__untouch(n, before);
    }
    if (status == APR_SUCCESS && !(flags & VFS_ALLOC_KEEP_SIZE) && end > size)
        status = objects__node_cut(o, n, end);
    return status;
}

apr_status_t objects_allocate(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags, apr_off_t off,
                              apr_off_t len)
{
    handle_t *h = handle_of(file);
    uint64_t most = h->o->fs->caps.file_size_max, end = (uint64_t)off + (uint64_t)len;
    if (flags & (VFS_ALLOC_COLLAPSE | VFS_ALLOC_INSERT)) return APR_ENOTIMPL;
    if (most != 0 && end > most) return APR_FROM_OS_ERROR(EFBIG);
    apr_status_t status = objects__lock_based(h->o, h->node, ctx);
    if (status != APR_SUCCESS) return status;
    status = allocate(h->o, h->node, flags, (uint64_t)off, end);
    pthread_mutex_unlock(&h->node->mutex);
    if (status == APR_SUCCESS && (file->flags & VFS_O_SYNC))
        status = objects_sync(file, ctx, VFS_SYNC_DATA);
    return status;
}

/* ---- copy_range */

/* The file that is copied, as it lies below. */
typedef struct other_t {
    const vfs_ctx_t *ctx;
    reader_t *reader;
    vfs_validator_t val;
    char path[VFS_PATH_MAX + 1];
} other_t;

static apr_status_t read_other(void *baton, void *buf, size_t len, apr_off_t off)
{
    other_t *other = baton;
    return objects__base_read(other->reader->file, other->ctx, buf, len, (uint64_t)off,
                              &other->val);
}

/* 1: it has nothing staged, and this size. With a reader then. */
static int other_begin(other_t *other, const handle_t *from, uint64_t size)
{
    objects_t *o = from->o;
    node_t *n = from->node;
    if (objects__reader(o, n, other->ctx, 0, &other->reader) != APR_SUCCESS) return 0;
    pthread_mutex_lock(&o->lock);
    pthread_mutex_lock(&n->mutex);
    int fit = !n->gone && n->stages == 0 && n->base.known && n->base.exists &&
              n->base.attr.size == size && n->base.val.kind != VFS_VALIDATOR_NONE;
    if (fit) memcpy(other->path, n->str, n->len + 1);
    other->val = n->base.val;
    pthread_mutex_unlock(&n->mutex);
    pthread_mutex_unlock(&o->lock);
    if (!fit) objects__reader_put(n, other->reader);
    return fit;
}

/* Over all that `n` is, and on the condition that it stays that. Path claimed. */
static apr_status_t replace_by(objects_t *o, node_t *n, other_t *other, uint64_t size,
                               const vfs_path_t *path)
{
    const vfs_source_t source = {read_other, other, size};
    const vfs_ctx_t *ctx = other->ctx;
    vfs_commit_t how = VFS_COMMIT_INIT;
    vfs_ctx_t maker;
    vfs_attr_t attr;
    vfs_validator_t val;
    apr_status_t status = objects__base_ask(o, n, ctx, 1);
    if (status != APR_SUCCESS) return status;
    pthread_mutex_lock(&n->mutex);
    how.flags = VFS_COMMIT_IF_MATCH;
    objects__version(o, n, &how.expected);
    how.mode = n->base.exists ? n->base.attr.mode & VFS__MODE_BITS : n->mode;
    if (!n->base.exists) ctx = objects__as_maker(o, n->uid, n->gid, ctx, &maker);
    int covered = objects__size(n) <= size;
    pthread_mutex_unlock(&n->mutex);
    if (!covered || how.expected.kind == VFS_VALIDATOR_NONE) return APR_ENOTIMPL;
    how.same_as = other->path;
    how.same_version = other->val;
    status = objects__commit_whole(o, ctx, path, &source, &how, &attr, &val);
    if (status != APR_SUCCESS) return status;
    pthread_mutex_lock(&n->mutex);
    n->just = n->stages == 0;
    pthread_mutex_unlock(&n->mutex);
    return APR_SUCCESS;
}

/* All of a file over all of another, by the layer below and at once. APR_ENOTIMPL: by bytes. */
static apr_status_t copy_below(const handle_t *from, const handle_t *to, const vfs_ctx_t *ctx,
                               uint64_t size, size_t *copied)
{
    objects_t *o = from->o;
    other_t other = {.ctx = ctx};
    claim_t c;
    if (!(o->lower->caps.bits & VFS_CAP_COPY) || from->node == to->node) return APR_ENOTIMPL;
    if (!other_begin(&other, from, size)) return APR_ENOTIMPL;
    apr_status_t status = objects__claim_node(o, ctx, &c, to->node);
    if (status == APR_SUCCESS) {
        status = replace_by(o, to->node, &other, size, &c.a);
        objects__release(o, &c);
    }
    objects__reader_put(from->node, other.reader);
    if (status == APR_SUCCESS) *copied = (size_t)size;
    /* others were at one of the two, or it has no name */
    return status == VFS_ECONFLICT || status == VFS_ESTALE ? APR_ENOTIMPL : status;
}

static apr_status_t copy_bytes(const handle_t *from, uint64_t src_off, const handle_t *to,
                               uint64_t dst_off, const vfs_ctx_t *ctx, size_t len, size_t *copied)
{
    VFS_ASSERT(len > 0);
    char *buf = malloc(len < PIECE ? len : PIECE);
    apr_status_t status = buf == NULL ? APR_ENOMEM : APR_SUCCESS;
    while (*copied < len && status == APR_SUCCESS) {
        vfs_iovec_t iov = {buf, len - *copied < PIECE ? len - *copied : PIECE};
        vfs_validator_t unwanted;
        size_t got = 0, written = 0;
        status =
            objects__node_read(from->o, from->node, ctx, &iov, 1, src_off + *copied, &got, NULL);
        if (status != APR_SUCCESS || got == 0) break;
        status = objects__node_write(to->o, to->node, ctx, buf, got, (apr_off_t)(dst_off + *copied),
                                     &written, &unwanted);
        *copied += written;
    }
    free(buf);
    return status;
}

apr_status_t objects_copy_range(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                                vfs_file_t *dst, apr_off_t dst_off, size_t len, size_t *copied)
{
    handle_t *from = handle_of(src), *to = handle_of(dst);
    uint64_t apart =
        src_off > dst_off ? (uint64_t)(src_off - dst_off) : (uint64_t)(dst_off - src_off);
    if (from->node == to->node && apart < len) return APR_EINVAL;
    apr_status_t status = objects__lock_based(from->o, from->node, ctx);
    if (status != APR_SUCCESS) return status;
    uint64_t size = objects__size(from->node); /* it ends where it ends now, if it is copied into */
    pthread_mutex_unlock(&from->node->mutex);
    if ((uint64_t)src_off >= size) return APR_SUCCESS;
    if (len > size - (uint64_t)src_off) len = (size_t)(size - (uint64_t)src_off);
    status = APR_ENOTIMPL;
    if (src_off == 0 && dst_off == 0 && len == size)
        status = copy_below(from, to, ctx, size, copied);
    if (status == APR_ENOTIMPL)
        status = copy_bytes(from, (uint64_t)src_off, to, (uint64_t)dst_off, ctx, len, copied);
    if (status == APR_SUCCESS && *copied > 0 && (dst->flags & VFS_O_SYNC)) {
        status = objects_sync(dst, ctx, VFS_SYNC_DATA);
        if (status != APR_SUCCESS) *copied = 0; /* staged, and not safe */
    }
    return status;
}
