/*
 * write_below.c - the calls of a write into the lower layer. Floor 2, private to cachefs/.
 */
#include "cachefs/engine.h"

#define SLICE_PIECES 16u /* of a call for a part of a write */

/* What came of a write below. */
static void wrote_below(cache_t *c, obj_t *o, uint64_t start, apr_status_t st, size_t written)
{
    metrics_record(c->lat[LAT_BACKEND_WRITE], cachefs__clock_ns() - start);
    if (st && (written || !cachefs__refused(st))) cachefs__doubt(c, o, UINT64_MAX);
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    cachefs__count(&c->counters, CNT_BACKEND_WRITES, 1);
    cachefs__count(&c->counters, CNT_BACKEND_WRITE_BYTES, written);
}

apr_status_t cachefs__write_below(cache_t *c, obj_t *o, vfs_file_t *file, const vfs_ctx_t *ctx,
                                  const uint8_t *buf, size_t len, uint64_t off, size_t *written,
                                  vfs_validator_t *val)
{
    uint64_t start = cachefs__clock_ns();
    CACHE_NO_LOCKS_HELD();
    apr_status_t st = vfs_call_write_at(file, ctx, buf, len, (apr_off_t)off, written, val);
    wrote_below(c, o, start, st, *written);
    return st;
}

static apr_status_t writev_below(cache_t *c, obj_t *o, vfs_file_t *file, const vfs_ctx_t *ctx,
                                 const cachefs__pieces_t *buf, uint64_t off, size_t *written,
                                 vfs_validator_t *val)
{
    if (buf->count == 1)
        return cachefs__write_below(c, o, file, ctx, buf->iov->base, buf->iov->len, off, written,
                                    val);
    uint64_t start = cachefs__clock_ns();
    CACHE_NO_LOCKS_HELD();
    apr_status_t st =
        vfs_call_writev_at(file, ctx, buf->iov, buf->count, (apr_off_t)off, written, val);
    wrote_below(c, o, start, st, *written);
    return st;
}

apr_status_t cachefs__write_pieces(cache_t *c, obj_t *o, vfs_file_t *file, const vfs_ctx_t *ctx,
                                   const cachefs__pieces_t *buf, uint64_t pos, size_t len,
                                   uint64_t off, size_t *written, vfs_validator_t *val)
{
    vfs_iovec_t iov[SLICE_PIECES];
    apr_status_t st = APR_SUCCESS;
    *written = 0;
    if (!pos && len == cachefs__pieces_bytes(buf))
        return writev_below(c, o, file, ctx, buf, off, written, val);
    while (*written < len && !st) {
        size_t part = 0;
        cachefs__pieces_t slice = {.iov = iov};
        (void)cachefs__pieces_slice(buf, pos + *written, len - *written, iov, SLICE_PIECES,
                                    &slice.count);
        st = writev_below(c, o, file, ctx, &slice, off + *written, &part, val);
        *written += part;
    }
    return st;
}
