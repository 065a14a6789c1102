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

static apr_status_t copy_bytes(const handle_t *from, uint64_t src_off, const handle_t *to,
                               uint64_t dst_off, const vfs_ctx_t *ctx, size_t len, size_t *copied)
{
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
    status = copy_bytes(from, (uint64_t)src_off, to, (uint64_t)dst_off, ctx, len, copied);
    if (status == APR_SUCCESS && *copied > 0 && (dst->flags & VFS_O_SYNC)) {
        status = objects_sync(dst, ctx, VFS_SYNC_DATA);
        if (status != APR_SUCCESS) *copied = 0; /* staged, and not safe */
    }
    return status;
}
