/*
 * fill.c - the miss path: one read below for a run of missing bytes, published block by block.
 * Floor 2, private to cachefs/.
 *
 *     enter the gate of the run       somebody else fills it: wait, and look again
 *     chunks for its blocks           none to be had: read around the cache, into the caller's
 * buffer alone fetch, with no lock held is it still the version?        no: learn the new one,
 * begin again bytes to the caller; chunks become blocks; leave the gate
 */
#include "cachefs/engine.h"
#include "cachefs/ahead.h"
#include "cachefs/copy.h"
#include "cachefs/run.h"

void cachefs__choose_shift(cache_t *c, obj_t *o, uint64_t want)
{
    if (atomic_load_explicit(&o->shift, memory_order_relaxed)) return;
    uint64_t size = atomic_load_explicit(&o->size, memory_order_relaxed);
    uint32_t shift = want >= (64u << 10) && size > (64u << 10) ? 16 : 14;
    if (c->burst_bytes < RUN_SHARE * 2 * (64u << 10)) shift = 14;
    if (c->fixed.block_bytes) shift = (uint32_t)__builtin_ctz(c->fixed.block_bytes);
    while (shift < BLOCK_SHIFT_MAX && size >> shift > UINT32_MAX)
        shift += 2;
    while (cachefs__class_of(&c->arena, 1ull << shift) > c->arena.class_max)
        shift -= 2;
    cachefs__obj_bytes_begin(o); /* a hit that began without one is none */
    atomic_store_explicit(&o->shift, shift, memory_order_release);
    cachefs__obj_bytes_end(o);
}

apr_status_t cachefs__fetch(cache_t *c, vfs_file_t *file, const vfs_ctx_t *ctx,
                            const vfs_iovec_t *iov, size_t count, uint64_t off, size_t *got,
                            vfs_validator_t *validator)
{
    int64_t start = cachefs__clock_us();
    apr_status_t st = APR_ENOTIMPL;
    memset(validator, 0, sizeof(*validator));
    CACHE_NO_LOCKS_HELD();
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    cachefs__count(&c->counters, CNT_BACKEND_READS, 1);
    if (!atomic_load_explicit(&c->no_fetch, memory_order_relaxed)) {
        st = vfs_call_fetch(file, ctx, iov, count, (apr_off_t)off, got, validator);
        if (APR_STATUS_IS_ENOTIMPL(st)) atomic_store(&c->no_fetch, 1);
    }
    if (APR_STATUS_IS_ENOTIMPL(st)) {
        st = vfs_call_readv_at(file, ctx, iov, count, (apr_off_t)off, got);
        if (!st && !c->lower_is_far) {
            vfs_attr_t attr;
            if (vfs_call_fstat(file, ctx, &attr, validator)) validator->kind = VFS_VALIDATOR_NONE;
        }
    }
    uint64_t us = (uint64_t)(cachefs__clock_us() - start);
    cachefs__link_told(c, st, us, *got);
    if (!st) cachefs__count(&c->counters, CNT_BACKEND_READ_BYTES, *got);
    if (c->lat[LAT_BACKEND_READ]) metrics_record(c->lat[LAT_BACKEND_READ], us * 1000);
    return st;
}

static void to_sink(const run_t *r, cachefs__sink_t *sink)
{
    uint64_t at = r->start, want = sink->off + sink->done, stop = sink->off + sink->len;
    for (uint32_t i = 0; i < r->count; i++) {
        uint64_t end = at + r->iov[i].len;
        if (want >= at && want < end && want < stop) {
            uint64_t n = cachefs__min64(end, stop) - want;
            memcpy(sink->buf + sink->done, (uint8_t *)r->iov[i].base + (want - at), n);
            sink->done += n;
            want += n;
        }
        at = end;
    }
}

/* Is the use of what ends at `stop` still to come? It is where nobody asked for it yet, or somebody
 * who reads on asked for a part. */
static int first_use(const run_t *r, const cachefs__sink_t *sink, unsigned flags, uint64_t at,
                     uint64_t stop)
{
    if (flags & FILL_AHEAD) return 1;
    if (!sink || !sink->buf) return 0;
    uint64_t end = sink->off + sink->len;
    return at >= end || stop <= sink->off || ((flags & FILL_ON) && stop > end && end < r->size);
}

/* Returns where what the cache kept of it ends: it ends sooner where there was no room. */
static uint64_t publish(cache_t *c, obj_t *o, run_t *r, const vfs_ctx_t *ctx, unsigned flags,
                        const cachefs__sink_t *sink)
{
    uint64_t at = r->start, kept = at;
    for (uint32_t i = 0; i < r->count; i++) {
        uint64_t no = at >> r->shift, base = no << r->shift, stop = at + r->iov[i].len;
        cachefs__put_t p = {.ver = r->ver, .no = (uint32_t)no, .shift = r->shift};
        p.from = (uint32_t)(at - base);
        p.to = (uint32_t)(stop - base);
        p.bytes = r->iov[i].base;
        p.valid = cachefs__granules(r->shift, p.from, p.to);
        p.end = (uint32_t)cachefs__min64(1ull << r->shift, r->size - base);
        p.only_missing = 1;
        p.low = ctx && ctx->priority == VFS_PRIORITY_LOW;
        p.keep = ctx && ctx->priority == VFS_PRIORITY_HIGH;
        p.first = first_use(r, sink, flags, at, stop);
        p.ahead = (flags & FILL_AHEAD) || (p.first && sink && (flags & FILL_REGION) &&
                                           (stop <= sink->off || at >= sink->off + sink->len));
        p.wanted = (flags & FILL_WANTED) && !p.low;
        uint32_t chunk = r->chunk[i];
        r->chunk[i] = 0;
        if (p.from == 0) p.chunk = chunk; /* becomes the block's memory, or is freed */
        if (!cachefs__block_put(c, o, &p) && kept == at) kept = stop;
        if (p.from != 0) cachefs__chunk_put(c, chunk);
        at = stop;
    }
    return kept;
}

/* ---- the version */

/* Do the bytes belong to the version that we fill? Learns the new one if not. */
static apr_status_t check_version(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, run_t *r,
                                  const vfs_validator_t *val, uint64_t asked)
{
    cachefs__obj_lock(c, o);
    /* where ours is not all below, or came there under the read, neither its version nor its end
     * says anything about others */
    int ours = o->dirty_bytes || !cachefs__obj_quiet(o, asked);
    int moved = atomic_load(&o->ver) != r->ver;
    int other = 0, brief = !ours && r->start + r->got < r->end;
    if (!ours && val->kind != VFS_VALIDATOR_NONE) {
        if ((o->flags & OBJ_OWN_CHANGE) || o->validator.kind == VFS_VALIDATOR_NONE) {
            o->validator = *val;
            o->flags &= ~OBJ_OWN_CHANGE;
            if (val->flags & VFS_VALIDATOR_YOUNG) o->flags |= OBJ_YOUNG;
        } else {
            other = !vfs_validator_equal(&o->validator, val);
        }
    }
    cachefs__obj_unlock(c, o);
    if (moved) return FILL_RESTART;
    if (!other && !brief) return APR_SUCCESS;
    apr_status_t st = cachefs__obj_refresh(c, o, ctx, NULL);
    if (st) return st;
    if (atomic_load(&o->ver) != r->ver) return FILL_RESTART;
    if (brief && atomic_load(&o->size) >= r->end)
        return VFS_ESTALE; /* it ends before its own size */
    return APR_SUCCESS;    /* it was ours after all, or is the same by now */
}

apr_status_t cachefs__read_belongs(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint64_t ver,
                                   uint64_t off, uint64_t len, uint64_t got,
                                   const vfs_validator_t *val, uint64_t asked)
{
    run_t r;
    r.ver = ver;
    r.start = off;
    r.end = off + len;
    r.got = got;
    return check_version(c, o, ctx, &r, val, asked);
}

/* Behind the end of the file below lies what we made longer and did not flush yet: a hole. */
static void zero_rest(run_t *r)
{
    uint64_t at = r->start, stop = r->start + r->got;
    for (uint32_t i = 0; i < r->count; i++) {
        uint64_t end = at + r->iov[i].len, from = stop > at ? stop : at;
        if (from < end) cachefs__zero_in((uint8_t *)r->iov[i].base + (from - at), end - from);
        at = end;
    }
}

/* No memory: the caller's bytes only, straight into its buffer. */
static apr_status_t read_around(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, run_t *r,
                                cachefs__sink_t *sink, uint64_t *fetched)
{
    uint64_t at = sink->off + sink->done, stop = cachefs__min64(sink->off + sink->len, r->end);
    vfs_file_t *file;
    vfs_validator_t val;
    size_t got = 0;
    if (at >= stop) return VFS_ELIMIT;
    apr_status_t st = cachefs__lower_use(c, o, ctx, LOWER_READ, &file);
    if (st) return st;
    vfs_iovec_t iov = {sink->buf + sink->done, (size_t)(stop - at)};
    uint64_t asked = atomic_load(&c->mut_seq);
    st = cachefs__fetch(c, file, ctx, &iov, 1, at, &got, &val);
    cachefs__lower_done(c, o);
    cachefs__count(&c->counters, CNT_BYPASS, 1);
    if (st) return st;
    r->start = at;
    r->end = stop;
    r->got = got;
    *fetched += got;
    st = check_version(c, o, ctx, r, &val, asked);
    if (st) return st;
    if (got < stop - at) memset(sink->buf + sink->done + got, 0, stop - at - got);
    sink->done += stop - at;
    return APR_SUCCESS;
}

/* Bytes of the run that nobody asked for. */
static uint64_t beside(const run_t *r, const cachefs__sink_t *sink)
{
    uint64_t end = r->start + r->got, stop = sink->off + sink->len, n = 0;
    if (r->start < sink->off) n += cachefs__min64(end, sink->off) - r->start;
    if (end > stop) n += end - (r->start > stop ? r->start : stop);
    return n;
}

/* The run's bytes are known: to who waits for them, and into blocks. */
static apr_status_t give_out(cache_t *c, obj_t *o, run_t *r, const vfs_ctx_t *ctx, unsigned flags,
                             cachefs__sink_t *sink)
{
    if (sink && sink->buf) to_sink(r, sink);
    if (flags & FILL_AHEAD)
        cachefs__count(&c->counters, CNT_READAHEAD_BYTES, r->got);
    else if (sink && (flags & FILL_REGION))
        cachefs__count(&c->counters, CNT_READAHEAD_BYTES, beside(r, sink));
    uint64_t kept = publish(c, o, r, ctx, flags, sink);
    if (!sink || sink->buf) return APR_SUCCESS; /* no room: the bytes are simply not kept */
    if (kept > sink->off) sink->done = kept - sink->off;
    return sink->done ? APR_SUCCESS : VFS_ELIMIT;
}

/* The run that is missing, with its gate entered and `file` in use. */
static apr_status_t fill_run(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, run_t *r, vfs_file_t *file,
                             unsigned flags, cachefs__sink_t *sink, uint64_t *fetched)
{
    vfs_validator_t val;
    size_t got = 0;
    uint64_t end = r->end; /* behind it lies what the cache has, dirty perhaps */
    if (!cachefs__run_memory_for(c, r, ctx && ctx->priority == VFS_PRIORITY_LOW, sink)) {
        if (!sink || !sink->buf) return VFS_ELIMIT;
        r->end = end;
        return read_around(c, o, ctx, r, sink, fetched);
    }
    uint64_t asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
    apr_status_t st = cachefs__fetch(c, file, ctx, r->iov, r->count, r->start, &got, &val);
    if (st) return st;
    r->got = got;
    *fetched += got;
    st = check_version(c, o, ctx, r, &val, asked);
    if (st) return st;
    if (r->start + got < r->end) zero_rest(r);
    if (r->keyed && r->start + got == r->end) {
        cachefs__tier_keep(c, o, &r->key, &val, r->start, r->iov, r->count, got);
        if (!r->start) cachefs__tier_note_object(c, o); /* once a file, about */
    }
    return give_out(c, o, r, ctx, flags, sink);
}

/* Has the run not been read from the disk tier often enough to be worth memory? Somebody wants it
 * now, and what he can be given of it is whole blocks, or all that he wants. */
static int stays_there(cache_t *c, const vfs_ctx_t *ctx, const run_t *r, unsigned flags,
                       const cachefs__sink_t *sink)
{
    if (c->fixed.l2_promote < 2 || !sink || !sink->buf || (flags & (FILL_AHEAD | FILL_WANTED)))
        return 0;
    uint64_t at = sink->off + sink->done, end = sink->off + sink->len,
             stop = cachefs__min64(end, r->end);
    if (at < r->start || at >= stop || (ctx && ctx->priority == VFS_PRIORITY_HIGH)) return 0;
    if (stop < end && stop >> r->shift == at >> r->shift) return 0;
    return cachefs__l2_uses(c->l2, &r->key.key, at) + 1 < c->fixed.l2_promote;
}

/* From the disk tier straight to who wants it. APR_NOTFOUND: it cannot be had. The gate is kept, or
 * lost: FILL_AGAIN. */
static apr_status_t past_memory(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, const run_t *r,
                                gate_t *gate, cachefs__sink_t *sink, uint64_t *fetched)
{
    uint64_t at = sink->off + sink->done, len = cachefs__min64(sink->off + sink->len, r->end) - at;
    vfs_iovec_t iov = {sink->buf + sink->done, (size_t)len};
    int read = !cachefs__tier_read(c, &r->key, ctx, at, &iov, 1);
    if (!cachefs__gate_keep(c, o, gate)) return FILL_AGAIN;
    if (!read) return APR_NOTFOUND;
    if (atomic_load(&o->ver) != r->ver) return FILL_RESTART;
    sink->done += len;
    *fetched += len;
    cachefs__count(&c->counters, CNT_L2_UNPROMOTED, 1);
    return APR_SUCCESS;
}

/* The run from the disk tier into memory, and to who wants it. As past_memory. */
static apr_status_t into_memory(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, run_t *r, gate_t *gate,
                                unsigned flags, cachefs__sink_t *sink, uint64_t *fetched)
{
    apr_status_t st = APR_NOTFOUND;
    cachefs__room_hold(c);
    int read = cachefs__run_memory(c, r, ctx && ctx->priority == VFS_PRIORITY_LOW) &&
               !cachefs__tier_read(c, &r->key, ctx, r->start, r->iov, r->count);
    if (!cachefs__gate_keep(c, o, gate)) {
        st = FILL_AGAIN;
    } else if (read) {
        r->got = r->end - r->start;
        *fetched += r->got;
        st = atomic_load(&o->ver) == r->ver ? give_out(c, o, r, ctx, flags, sink) : FILL_RESTART;
    }
    int held = r->count > 0;
    cachefs__run_free(c, r);
    cachefs__room_free(c, held);
    return st;
}

/* All of the run from the disk tier, if it has that. APR_NOTFOUND: it has not; the run is cut to
 * what it does not have. Its gate is kept, or lost: FILL_AGAIN. */
static apr_status_t from_tier(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, run_t *r, gate_t *gate,
                              uint64_t off, unsigned flags, cachefs__sink_t *sink,
                              uint64_t *fetched)
{
    uint64_t start = r->start, end = r->end, at = off > start ? off : start;
    apr_status_t st = APR_NOTFOUND;
    cachefs__obj_look(c, o);
    r->keyed = atomic_load(&o->ver) == r->ver && cachefs__tier_key(c, o, &r->key);
    int asked = o->checked_us != CHECKED_NEVER; /* else what is below now may be another version */
    cachefs__obj_looked(c, o);
    if (!r->keyed || !asked ||
        !cachefs__tier_extent(c, &r->key, at, cachefs__granule(r->shift), r->size, &r->start,
                              &r->end))
        return cachefs__gate_keep(c, o, gate) ? st : FILL_AGAIN;
    st = stays_there(c, ctx, r, flags, sink)
             ? past_memory(c, o, ctx, r, gate, sink, fetched)
             : into_memory(c, o, ctx, r, gate, flags, sink, fetched);
    if (st != APR_NOTFOUND) return st;
    r->start = start;
    r->end = end;
    return st;
}

/* Find the run. *file: its gate is entered and a handle below in use, since neither took waiting,
 * and no fill that ended before that is overlooked. */
static apr_status_t find_and_enter(cache_t *c, obj_t *o, run_t *r, uint64_t off, uint64_t end,
                                   gate_t *gate, vfs_file_t **file)
{
    apr_status_t st = APR_SUCCESS;
    *file = NULL;
    cachefs__obj_lock(c, o);
    cachefs__choose_shift(c, o, end - off);
    r->shift = atomic_load(&o->shift);
    r->size = atomic_load(&o->size);
    if (atomic_load(&o->ver) != r->ver)
        st = FILL_RESTART;
    else if (off >= r->size || !cachefs__run_find(c, r, off, end))
        st = FILL_AGAIN;
    if (!st) {
        gate->start = r->start;
        gate->end = r->end;
        *file = cachefs__gate_lower(o, gate, LOWER_READ);
    }
    cachefs__obj_unlock(c, o);
    return st;
}

/* The gate was waited for: another fill may have ended since the run was found. */
static apr_status_t find_again(cache_t *c, obj_t *o, run_t *r, uint64_t off, uint64_t end)
{
    uint64_t start = r->start, stop = r->end;
    r->size = atomic_load(&o->size);
    if (!cachefs__run_find(c, r, off, end) || r->start != start || r->size < stop)
        return FILL_AGAIN;
    r->end = cachefs__min64(r->end, stop);
    return APR_SUCCESS;
}

static void leave(cache_t *c, obj_t *o, gate_t *gate, vfs_file_t *file, apr_status_t status)
{
    if (!file) {
        cachefs__gate_leave(c, o, gate, status);
        return;
    }
    cachefs__obj_lock(c, o);
    cachefs__lowers_t idle = cachefs__gate_lower_end(c, o, gate, status);
    cachefs__obj_unlock(c, o);
    (void)cachefs__lower_close(c, o, &idle); /* it only read; what was written had its own status */
}

apr_status_t cachefs__fill(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint64_t ver, uint64_t off,
                           uint64_t end, unsigned flags, cachefs__sink_t *sink, uint64_t *fetched)
{
    run_t r; /* not set to zero: its arrays are long */
    gate_t gate = {.kind = GATE_FILL};
    vfs_file_t *file;
    if (c->l2) gate.patience_us = cachefs__l2_patience_us(c->l2);
    r.ver = ver;
    r.count = 0;
    r.keyed = 0;
    cachefs__run_limit(c, &r, sink, off, end);
    apr_status_t st = find_and_enter(c, o, &r, off, end, &gate, &file);
    if (st) return st;
    if (!file) {
        int waited;
        st = cachefs__gate_enter(c, o, ctx, &gate, &waited);
        if (st) return st;
        if (waited) return FILL_AGAIN;
        st = find_again(c, o, &r, off, end);
    }
    int here = !st && c->l2; /* it is looked for in the disk tier first */
    if (here) st = from_tier(c, o, ctx, &r, &gate, off, flags, sink, fetched);
    if (st == APR_NOTFOUND) here = 0, st = APR_SUCCESS;
    if (!st && !here && !file) st = cachefs__lower_use(c, o, ctx, LOWER_READ, &file);
    if (!st && !here) {
        cachefs__room_hold(c);
        st = fill_run(c, o, ctx, &r, file, flags, sink, fetched);
        int held = r.count > 0;
        cachefs__run_free(c, &r);
        cachefs__room_free(c, held);
    }
    /* what only our caller may not do, or has no time for, is no answer to those who wait */
    int retry = st == FILL_AGAIN || st == FILL_RESTART || st == VFS_ELIMIT ||
                APR_STATUS_IS_EACCES(st) || (st && vfs_ctx_check(ctx));
    leave(c, o, &gate, file, retry ? APR_SUCCESS : st);
    return st;
}

apr_status_t cachefs__read_at_once(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint64_t ver,
                                   cachefs__sink_t *sink, uint64_t *fetched)
{
    gate_t gate = {.start = sink->off, .end = sink->off + sink->len, .kind = GATE_WRITE};
    apr_status_t st = cachefs__gate_enter(c, o, ctx, &gate, NULL);
    if (st) return st;
    run_t r = {.ver = ver, .start = sink->off, .size = atomic_load(&o->size)};
    r.end = cachefs__min64(gate.end, r.size);
    if (c->mode == CACHEFS_BACK) st = cachefs__flush_data(c, o, ctx);
    if (!st) st = r.start < r.end ? read_around(c, o, ctx, &r, sink, fetched) : FILL_AGAIN;
    cachefs__gate_leave(c, o, &gate, APR_SUCCESS);
    return st;
}
