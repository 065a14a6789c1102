/*
 * range.c - bytes that the lower layer changes by itself: allocated, punched, moved, copied.
 * Floor 2, private to cachefs/.
 *
 * What is dirty goes below first, nobody reads or writes the range meanwhile, and what is cached of
 * it is forgotten. A copy is made here where below it would be one of bytes that go there and back.
 */
#include <stdlib.h>

#include "cachefs/engine.h"

#define COPY_PIECE (1u << 20)
#define COPY_BELOW_MIN (8u << 20) /* smaller files go below by one request anyway */

static apr_status_t range_begin(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, gate_t *gate)
{
    cachefs__gate_widen(c, gate);
    apr_status_t st = cachefs__gate_enter(c, o, ctx, gate, NULL);
    if (st) return st;
    st = cachefs__durable_hold(c, o, ctx);
    if (st)
        cachefs__gate_leave(c, o, gate, APR_SUCCESS);
    else
        (void)cachefs__obj_change_begin(c, o);
    return st;
}

static void range_end(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, gate_t *gate, uint64_t off,
                      uint64_t end)
{
    uint64_t stop = atomic_load(&o->size);
    cachefs__forget(c, o, off, end < stop ? end : stop);
    cachefs__obj_change_end(c, o, 1);
    cachefs__flush_end(c, o);
    cachefs__durable_after(c, o, ctx);
    cachefs__gate_leave(c, o, gate, APR_SUCCESS);
}

/* The size that the lower layer has now. */
static void take_size(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, vfs_file_t *lower)
{
    vfs_attr_t attr;
    vfs_validator_t val;
    if (vfs_call_fstat(lower, ctx, &attr, &val))
        cachefs__doubt(c, o, UINT64_MAX);
    else
        cachefs__cut(c, o, attr.size);
}

apr_status_t cachefs_op_allocate(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags,
                                 apr_off_t off, apr_off_t len)
{
    handle_t *h = cachefs__handle(file);
    cache_t *c = h->cache;
    obj_t *o = h->obj;
    vfs_file_t *lower;
    int moves = (flags & (VFS_ALLOC_COLLAPSE | VFS_ALLOC_INSERT)) != 0;
    gate_t gate = {.start = (uint64_t)off,
                   .end = moves ? UINT64_MAX : (uint64_t)off + (uint64_t)len,
                   .kind = GATE_WRITE};
    if (!moves && !(flags & VFS_ALLOC_KEEP_SIZE)) gate.end = UINT64_MAX;
    apr_status_t st = range_begin(c, o, ctx, &gate);
    if (st) return st;
    st = cachefs__lower_use(c, o, ctx, LOWER_WRITE, &lower);
    if (!st) {
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 2);
        st = vfs_call_allocate(lower, ctx, flags, off, len);
        cachefs__forget(c, o, (uint64_t)off,
                        gate.end == UINT64_MAX ? atomic_load(&o->size) : gate.end);
        cachefs__below_staged(c, o);
        if (!st && (moves || !(flags & VFS_ALLOC_KEEP_SIZE))) take_size(c, o, ctx, lower);
        if (st && !cachefs__refused(st)) cachefs__doubt(c, o, UINT64_MAX);
        cachefs__lower_done(c, o);
    }
    range_end(c, o, ctx, &gate, (uint64_t)off, gate.end);
    return st;
}

static apr_status_t copy_below(handle_t *hs, const vfs_ctx_t *ctx, apr_off_t src_off, handle_t *hd,
                               apr_off_t dst_off, size_t len, size_t *copied)
{
    cache_t *c = hd->cache;
    vfs_file_t *ls = NULL, *ld = NULL;
    gate_t gate = {.start = (uint64_t)dst_off, .end = (uint64_t)dst_off + len, .kind = GATE_WRITE};
    apr_status_t st = cachefs__flush_data(c, hs->obj, ctx);
    if (!st) st = range_begin(c, hd->obj, ctx, &gate);
    if (st) return st;
    st = cachefs__lower_use(c, hd->obj, ctx, LOWER_WRITE, &ld);
    if (!st) st = cachefs__lower_use(c, hs->obj, ctx, LOWER_READ, &ls);
    if (!st) {
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
        st = vfs_copy_range(ls, ctx, src_off, ld, dst_off, len, copied);
        uint64_t end = (uint64_t)dst_off + *copied;
        cachefs__forget(c, hd->obj, (uint64_t)dst_off, atomic_load(&hd->obj->size));
        if (*copied) cachefs__grow(c, hd->obj, end);
        cachefs__below_staged(c, hd->obj);
        if (st && (*copied || !cachefs__refused(st))) cachefs__doubt(c, hd->obj, UINT64_MAX);
    }
    if (ld) cachefs__lower_done(c, hd->obj);
    if (ls) cachefs__lower_done(c, hs->obj);
    range_end(c, hd->obj, ctx, &gate, gate.start, gate.end);
    return st;
}

/* As its user would: read and written. */
static apr_status_t copy_here(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                              vfs_file_t *dst, apr_off_t dst_off, size_t len, size_t *copied)
{
    vfs_validator_t unwanted;
    VFS_ASSERT(len > 0);
    char *buf = malloc(len < COPY_PIECE ? len : COPY_PIECE);
    apr_status_t st = buf ? APR_SUCCESS : APR_ENOMEM;
    while (!st && *copied < len) {
        size_t want = len - *copied < COPY_PIECE ? len - *copied : COPY_PIECE, got = 0, done = 0;
        st = cachefs_op_read_at(src, ctx, buf, want, src_off + (apr_off_t)*copied, &got);
        if (st || !got) break;
        st =
            cachefs_op_write_at(dst, ctx, buf, got, dst_off + (apr_off_t)*copied, &done, &unwanted);
        *copied += done;
    }
    free(buf);
    return st;
}

/* Can the layer below copy all of one file over all of the other, without their bytes? */
static int copies_whole(cache_t *c, obj_t *src, uint64_t size, obj_t *dst)
{
    if (!(c->lower->caps.bits & VFS_CAP_COPY) || size < COPY_BELOW_MIN || src == dst) return 0;
    if (atomic_load(&dst->size) > size) return 0;
    cachefs__obj_lock(c, src);
    int below = !src->dirty_bytes && !(src->flags & (OBJ_STAGED | OBJ_COMMITTING));
    cachefs__obj_unlock(c, src);
    return below;
}

/* A layer that stages would bring the bytes from below and send them there. */
static apr_status_t copy_staged(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                                vfs_file_t *dst, apr_off_t dst_off, size_t len, size_t *copied)
{
    handle_t *hs = cachefs__handle(src), *hd = cachefs__handle(dst);
    vfs_attr_t attr;
    vfs_validator_t unwanted;
    apr_status_t st = cachefs_op_fstat(src, ctx, &attr, &unwanted);
    if (st || (uint64_t)src_off >= attr.size) return st;
    if (len > attr.size - (uint64_t)src_off) len = (size_t)(attr.size - (uint64_t)src_off);
    if (!src_off && !dst_off && len == attr.size && copies_whole(hd->cache, hs->obj, len, hd->obj))
        return copy_below(hs, ctx, 0, hd, 0, len, copied);
    return copy_here(src, ctx, src_off, dst, dst_off, len, copied);
}

apr_status_t cachefs_op_copy_range(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                                   vfs_file_t *dst, apr_off_t dst_off, size_t len, size_t *copied)
{
    handle_t *hs = cachefs__handle(src), *hd = cachefs__handle(dst);
    int same = hs->obj == hd->obj;
    if (same && src_off < dst_off + (apr_off_t)len && dst_off < src_off + (apr_off_t)len)
        return APR_EINVAL;
    /* to a synchronous file it is one commit below, and would be one for each piece here */
    if ((hd->cache->lower->caps.bits & VFS_CAP_STAGED) && !(dst->flags & VFS_O_SYNC))
        return copy_staged(src, ctx, src_off, dst, dst_off, len, copied);
    return copy_below(hs, ctx, src_off, hd, dst_off, len, copied);
}
