/*
 * write.c - writes and truncation, in the three modes.
 * Floor 2, private to cachefs/. docs/architecture.md has the data path.
 *
 * A write holds the gate of its range from the first byte to the last, so it meets no fill and no
 * other write of the same bytes. A granule of a block is valid only when all of it is known: a
 * write that covers a part of one makes it valid if the rest was valid already, lies behind the end
 * of the file, or was read from below before.
 */
#include "cachefs/engine.h"

static uint64_t max64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Granules of block `no` that are wholly known once [from, to) of the block is written, where `old`
 * bytes of the file existed before and `had` granules were valid. */
static uint32_t known_after(uint32_t shift, uint64_t base, uint32_t from, uint32_t to, uint64_t old,
                            uint32_t had)
{
    uint32_t g = cachefs__granule(shift), valid = 0;
    for (uint32_t lo = from / g * g; lo < to; lo += g) {
        uint32_t bit = 1u << (lo / g);
        uint64_t existed = old > base + lo ? cachefs__min64(old - base - lo, g) : 0;
        int covered = from <= lo && (uint64_t)to >= lo + existed;
        if ((had & bit) || !existed || covered) valid |= bit;
    }
    return valid;
}

/* A version and its block size: taken together, since whoever clears the cache begins a new
 * version, which has no block size yet. */
typedef struct place_t {
    uint64_t ver;
    uint32_t shift;
} place_t;

/* Where bytes that are written now belong. Object locked. */
static place_t place_now(cache_t *c, obj_t *o, uint64_t want)
{
    cachefs__choose_shift(c, o, want);
    return (place_t){atomic_load(&o->ver), atomic_load(&o->shift)};
}

/* Put what was written, bytes of buf from pos on, into the blocks of [off, off + len), each in one
 * change. Object locked where `dirty`. */
static apr_status_t put_range(cache_t *c, obj_t *o, place_t place, const cachefs__pieces_t *buf,
                              uint64_t pos, uint64_t len, uint64_t off, uint64_t old, uint64_t size,
                              int is_dirty, uint64_t *done)
{
    uint64_t ver = place.ver;
    uint32_t shift = place.shift;
    for (*done = 0; *done < len;) {
        uint64_t at = off + *done, no = at >> shift, base = no << shift;
        uint64_t n = cachefs__min64((1ull << shift) - (at - base), len - *done);
        cachefs__put_t p = {.ver = ver, .no = (uint32_t)no, .shift = shift, .dirty = is_dirty};
        p.from = (uint32_t)(at - base);
        p.to = (uint32_t)(at - base + n);
        p.pieces = buf;
        p.pos = pos + *done;
        p.bytes = cachefs__pieces_at(buf, p.pos, n);
        p.end = (uint32_t)cachefs__min64(1ull << shift, size - base);
        uint32_t had = cachefs__valid_mask(c, ver, (uint32_t)no, NULL);
        p.valid = known_after(shift, base, p.from, p.to, old, had);
        p.leans = p.valid & ~known_after(shift, base, p.from, p.to, old, 0);
        if (is_dirty && p.valid != cachefs__granules(shift, p.from, p.to)) return FILL_AGAIN;
        if (!is_dirty) p.existing = p.valid == 0;
        apr_status_t st = cachefs__block_put(c, o, &p);
        if (st && is_dirty) return st;
        if (st) (void)cachefs__block_drop(c, ver, (uint32_t)no); /* no room for what is below now */
        *done += n;
    }
    return APR_SUCCESS;
}

void cachefs__grow(cache_t *c, obj_t *o, uint64_t end)
{
    cachefs__obj_lock(c, o);
    if (atomic_load(&o->size) < end) atomic_store_explicit(&o->size, end, memory_order_release);
    cachefs__obj_unlock(c, o);
}

void cachefs__forget(cache_t *c, obj_t *o, uint64_t off, uint64_t end)
{
    uint64_t ver = atomic_load(&o->ver);
    uint32_t shift = atomic_load(&o->shift);
    if (!shift || !ver) return;
    for (uint64_t at = off; at < end && atomic_load(&o->resident);) {
        uint64_t no = at >> shift, base = no << shift,
                 stop = cachefs__min64(base + (1ull << shift), end);
        int is_dirty = 0;
        (void)cachefs__valid_mask(c, ver, (uint32_t)no, &is_dirty);
        if (!is_dirty)
            cachefs__block_cut(c, ver, (uint32_t)no, shift, (uint32_t)(at - base),
                               (uint32_t)(stop - base), 0);
        at = stop;
    }
}

/* ---- through and around */

void cachefs__write_known(cache_t *c, obj_t *o, const cachefs__pieces_t *buf, size_t len,
                          uint64_t off, int keep, apr_status_t st, size_t written, uint64_t since,
                          const vfs_validator_t *val)
{
    uint64_t old = atomic_load(&o->size), end = off + written;
    if (written && keep && !st) {
        uint64_t done;
        cachefs__obj_lock(c, o);
        place_t place = place_now(c, o, len);
        cachefs__obj_unlock(c, o);
        (void)put_range(c, o, place, buf, 0, written, off, old, max64(old, end), 0, &done);
    } else {
        /* what is below is not known for sure: all that was asked for is dropped */
        cachefs__forget(c, o, off, st ? off + len : end);
    }
    if (written) cachefs__grow(c, o, end);
    cachefs__below_staged(c, o);
    cachefs__obj_changed(c, o, 1, since, val);
}

/* Bytes of buf from pos on. */
static apr_status_t write_through(cache_t *c, obj_t *o, const vfs_ctx_t *ctx,
                                  const cachefs__pieces_t *buf, uint64_t pos, size_t len,
                                  uint64_t off, int keep, size_t *written, vfs_validator_t *val)
{
    vfs_file_t *file;
    uint64_t since = cachefs__obj_change_begin(c, o);
    memset(val, 0, sizeof(*val));
    *written = 0;
    apr_status_t st = cachefs__lower_use(c, o, ctx, LOWER_WRITE, &file);
    if (!st) {
        st = cachefs__write_pieces(c, o, file, ctx, buf, pos, len, off, written, val);
        cachefs__lower_done(c, o);
    }
    VFS_ASSERT(!keep || !pos); /* what is kept is all of it */
    cachefs__write_known(c, o, buf, len, off, keep, st, *written, since, val);
    return st;
}

/* ---- back */

#define BACK_STEP (1u << 20) /* bytes between two looks at the dirty limit, at most */
#define BACK_TRIES 8

/* Read the granules that the write covers in part, from below. No gate held. */
static apr_status_t read_edges(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint64_t off,
                               uint64_t len)
{
    uint64_t fetched = 0, size = atomic_load(&o->size), edges[2] = {off, off + len};
    cachefs__obj_lock(c, o);
    cachefs__choose_shift(c, o, len);
    uint32_t g = cachefs__granule(atomic_load(&o->shift));
    cachefs__obj_unlock(c, o);
    for (int i = 0; i < 2; i++) {
        uint64_t lo = edges[i] / g * g;
        if (lo == edges[i] || lo >= size) continue;
        if (i == 1 && edges[1] >= size && lo >= off) continue; /* covered up to the end of file */
        apr_status_t st =
            cachefs__prefetch(c, o, ctx, lo, cachefs__min64(lo + g, size), FILL_HASTY, &fetched);
        if (st && st != VFS_ELIMIT) return st;
    }
    return APR_SUCCESS;
}

/* While a conflict is settled nothing becomes dirty: what is copied beside is all there is. Object
 * locked. */
static apr_status_t wait_settled(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    apr_status_t st = APR_SUCCESS;
    while ((o->flags & OBJ_SETTLING) && !st) {
        cachefs__count(&c->counters, CNT_WAITS, 1);
        st = cachefs__obj_wait(c, o, ctx, 0);
    }
    return st;
}

#define BACK_AROUND                                                                                \
    (VFS_EEND + 66) /* what fills the memory is not dirty, or comes back at once                   \
                     */

/* Room is reserved, gate held. FILL_AGAIN: an edge is not known, or the end to append to has moved.
 */
static apr_status_t back_step(cache_t *c, obj_t *o, const vfs_ctx_t *ctx,
                              const cachefs__pieces_t *buf, uint64_t pos, uint64_t len,
                              uint64_t off, int append, uint64_t *done)
{
    cachefs__dirty_wait_t room;
    cachefs__dirty_wait_begin(c, &room);
    *done = 0;
    for (int tries = 0; tries < BACK_TRIES;) {
        uint64_t n = 0;
        size_t log_room;
        apr_status_t st = cachefs__durable_room(c, o, ctx, len - *done, buf->count, &log_room);
        if (st) return st;
        cachefs__obj_lock(c, o);
        st = wait_settled(c, o, ctx);
        if (!st && !cachefs__durable_ready(c, o, log_room)) {
            cachefs__obj_unlock(c, o); /* it came into the journal, or is being settled */
            cachefs__durable_unroom(c, log_room);
            st = cachefs__durable_pause(c, o, ctx);
            if (st) return st;
            continue;
        }
        if (!st && append && atomic_load(&o->size) != off + *done) st = FILL_AGAIN;
        if (st) {
            cachefs__obj_unlock(c, o);
            cachefs__durable_unroom(c, log_room);
            return st;
        }
        uint64_t old = atomic_load(&o->size), end = off + len;
        st = put_range(c, o, place_now(c, o, len), buf, pos + *done, len - *done, off + *done, old,
                       max64(old, end), 1, &n);
        *done += n;
        if (*done && old < off + *done)
            atomic_store_explicit(&o->size, off + *done, memory_order_release);
        if (n) o->local_mtime_ns = vfs_now_ns();
        if (n) cachefs__durable_wrote(c, o, buf, pos + *done - n, n, off + *done - n, &log_room);
        cachefs__obj_unlock(c, o);
        cachefs__durable_unroom(c, log_room);
        if (st != VFS_ELIMIT) return st;
        apr_status_t flushed = cachefs__flush_some(c, ctx);
        if (flushed == APR_NOTFOUND) break;
        tries += !flushed;
        st = cachefs__dirty_wait(c, ctx, &room, flushed);
        if (st) return st;
    }
    return BACK_AROUND;
}

/* The cache cannot take it: all that is dirty of this file goes first, then this. Gate held. */
static apr_status_t back_around(cache_t *c, obj_t *o, const vfs_ctx_t *ctx,
                                const cachefs__pieces_t *buf, uint64_t pos, uint64_t len,
                                uint64_t off, uint64_t *done)
{
    size_t n = 0;
    vfs_validator_t val;
    cachefs__dirty_wait_t room;
    apr_status_t st;
    *done = 0;
    cachefs__dirty_wait_begin(c, &room);
    while ((st = cachefs__durable_hold(c, o, ctx)) !=
           APR_SUCCESS) { /* nothing older may land after it */
        st = cachefs__dirty_wait(c, ctx, &room, st);
        if (st) return st;
    }
    st = write_through(c, o, ctx, buf, pos, len, off, 0, &n, &val);
    cachefs__flush_end(c, o);
    cachefs__durable_after(c, o, ctx);
    cachefs__count(&c->counters, CNT_BYPASS, 1);
    *done = n;
    return st;
}

/* Bytes between two looks at the dirty limit: whole blocks, or a reader would see one half written
 * while we wait for room. */
static uint64_t back_step_bytes(const cache_t *c, uint32_t shift, uint64_t max)
{
    uint64_t most = c->journal ? BACK_STEP / 4 : BACK_STEP; /* a buffer of the journal holds two */
    uint64_t step = cachefs__min64(most, max / 4) >> shift << shift;
    return step ? step : 1ull << shift;
}

/* One pass with the gate held, from *pos on. FILL_AGAIN: an edge must be read first. */
static apr_status_t back_pass(cache_t *c, obj_t *o, const vfs_ctx_t *ctx,
                              const cachefs__pieces_t *buf, uint64_t len, uint64_t off, int append,
                              uint64_t *pos, int last)
{
    apr_status_t st = APR_SUCCESS;
    while (*pos < len && !st) {
        uint64_t max = atomic_load(&c->t.dirty_bytes_max), n = 0;
        uint32_t shift = atomic_load(&o->shift); /* 0: somebody began a new version */
        if (!shift) shift = BLOCK_SHIFT_MAX;
        uint64_t step = back_step_bytes(c, shift, max),
                 m = cachefs__min64(step - (off + *pos) % step, len - *pos);
        uint64_t g = cachefs__granule(shift), at = off + *pos;
        uint64_t room = (at + m + g - 1) / g * g - at / g * g; /* granules that it touches */
        st = room > max ? BACK_AROUND : cachefs__dirty_reserve(c, ctx, room, max);
        if (st && st != BACK_AROUND) break; /* the wait is over, with a status of its own */
        if (!st) {
            st = back_step(c, o, ctx, buf, *pos, m, off + *pos, append, &n);
            cachefs__dirty_unreserve(c, room);
        }
        *pos += n;
        if (st == BACK_AROUND || (st == FILL_AGAIN && last)) {
            st = back_around(c, o, ctx, buf, *pos, m - n, off + *pos, &n);
            *pos += n;
        }
    }
    return st;
}

static apr_status_t write_back(cache_t *c, obj_t *o, const vfs_ctx_t *ctx,
                               const cachefs__pieces_t *buf, size_t len, apr_off_t off,
                               size_t *written)
{
    apr_status_t st = APR_SUCCESS;
    uint64_t pos = 0, at = (uint64_t)off;
    int append = off == VFS_OFFSET_END;
    int cut = 0; /* behind the largest file */
    uint64_t most = c->lower->caps.file_size_max ? c->lower->caps.file_size_max : INT64_MAX;
    cachefs__learn_base(c, o, ctx, 1);
    for (int tries = 0; tries <= BACK_TRIES; tries++) {
        st = APR_SUCCESS;
        if (append) at = atomic_load(&o->size);
        if (at >= most)
            st = APR_FROM_OS_ERROR(EFBIG); /* what the lower layer would say at the flush */
        if (st) break;
        if (len > most - at) {
            len = (size_t)(most - at);
            cut = 1;
        }
        st = read_edges(c, o, ctx, at + pos, len - pos);
        if (st) break;
        gate_t gate = {
            .start = at + pos, .end = append ? UINT64_MAX : at + len, .kind = GATE_WRITE};
        cachefs__gate_widen(c, &gate);
        st = cachefs__gate_enter(c, o, ctx, &gate, NULL);
        if (st) break;
        if (append && atomic_load(&o->size) != at) { /* another appender was first */
            cachefs__gate_leave(c, o, &gate, APR_SUCCESS);
            tries -= tries > 0;
            continue;
        }
        st = back_pass(c, o, ctx, buf, len, at, append, &pos, tries == BACK_TRIES);
        cachefs__gate_leave(c, o, &gate, APR_SUCCESS);
        if (st != FILL_AGAIN) break;
        if (pos) append = 0; /* the place is ours: it began there */
    }
    *written = (size_t)pos;
    return !st && cut ? APR_FROM_OS_ERROR(EFBIG) : st;
}

/* ---- all modes */

apr_status_t cachefs__write(cache_t *c, handle_t *h, const vfs_ctx_t *ctx,
                            const cachefs__pieces_t *buf, size_t len, apr_off_t off,
                            size_t *written, vfs_validator_t *validator)
{
    obj_t *o = h->obj;
    int direct = (h->base.flags & VFS_O_DIRECT) != 0;
    apr_status_t st;
    memset(validator, 0, sizeof(*validator));
    *written = 0;
    if (c->mode == CACHEFS_BACK && !direct) {
        st = write_back(c, o, ctx, buf, len, off, written);
        return st == FILL_AGAIN || st == FILL_RESTART ? VFS_ESTALE : st;
    }
    for (;;) {
        uint64_t at = off == VFS_OFFSET_END ? atomic_load(&o->size) : (uint64_t)off;
        gate_t gate = {.start = at, .end = at + len, .kind = GATE_WRITE};
        if (off == VFS_OFFSET_END) gate.end = UINT64_MAX;
        cachefs__gate_widen(c, &gate);
        st = cachefs__gate_enter(c, o, ctx, &gate, NULL);
        if (st) return st;
        int again = off == VFS_OFFSET_END && atomic_load(&o->size) != at, hold = 0;
        if (!again && c->mode == CACHEFS_BACK) { /* what is dirty of the range goes first */
            st = cachefs__durable_hold(c, o, ctx);
            hold = !st;
        }
        if (!again && !st)
            st = write_through(c, o, ctx, buf, 0, len, at, c->mode == CACHEFS_THROUGH && !direct,
                               written, validator);
        if (hold) cachefs__flush_end(c, o);
        if (hold) cachefs__durable_after(c, o, ctx);
        cachefs__gate_leave(c, o, &gate, APR_SUCCESS);
        if (!again) return st;
    }
}

/* ---- size */

/* Drop the blocks of a version from number `first` on: by number where they are few, else by a look
 * at all blocks. */
static void drop_from(cache_t *c, obj_t *o, uint64_t ver, uint64_t first, uint64_t last)
{
    if (last - first <= 4096) {
        for (uint64_t no = first; no < last && atomic_load(&o->resident); no++)
            (void)cachefs__block_drop(c, ver, (uint32_t)no);
        return;
    }
    cachefs__blocks_drop(c, ver, first);
}

void cachefs__cut(cache_t *c, obj_t *o, uint64_t size)
{
    uint64_t ver, old;
    uint32_t shift;
    (void)cachefs__dirty_discard(c, o, size);
    cachefs__obj_lock(c, o);
    ver = atomic_load(&o->ver);
    shift = atomic_load(&o->shift);
    old = atomic_load(&o->size);
    if (size < old) {
        cachefs__obj_bytes_begin(o);
        atomic_store_explicit(&o->size, size, memory_order_release);
        if (shift && ver) {
            uint64_t no = size >> shift, base = no << shift;
            if (size > base)
                cachefs__block_cut(c, ver, (uint32_t)no, shift, (uint32_t)(size - base),
                                   1u << shift, 1);
            drop_from(c, o, ver, size > base ? no + 1 : no, ((old - 1) >> shift) + 1);
        }
        cachefs__obj_bytes_end(o);
    } else {
        atomic_store_explicit(&o->size, size, memory_order_release);
    }
    if (o->dirty_bytes) o->local_mtime_ns = vfs_now_ns(); /* what is left must not set it back */
    cachefs__obj_unlock(c, o);
}

/* It failed, and may have been done: ask at once. Where nobody can be asked now, what is cached may
 * be old even if the answer names the same size: it may have been cut and made longer. So it goes,
 * unless what may be old is wanted then. */
static void truncate_failed(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint64_t size)
{
    cachefs__doubt(c, o, size);
    uint32_t shift = atomic_load(&o->shift);
    if (cachefs__settle(c, o, ctx) && !atomic_load(&c->t.serve_stale) && shift)
        drop_from(c, o, atomic_load(&o->ver), 0, (atomic_load(&o->size) >> shift) + 1);
}

/* Gate held, flush begun. */
static apr_status_t truncate_below(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint64_t size)
{
    vfs_file_t *file;
    (void)cachefs__obj_change_begin(c, o);
    apr_status_t st = cachefs__lower_use(c, o, ctx, LOWER_WRITE, &file);
    int asked = !st;
    if (asked) {
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
        CACHE_NO_LOCKS_HELD();
        st = vfs_call_ftruncate(file, ctx, (apr_off_t)size);
        cachefs__lower_done(c, o);
    }
    if (!st) {
        cachefs__cut(c, o, size);
        cachefs__obj_lock(c, o);
        o->attr.size = size;
        cachefs__obj_unlock(c, o);
    }
    if (asked) cachefs__below_staged(c, o);
    cachefs__obj_change_end(c, o, asked);
    if (st && asked && !cachefs__refused(st)) truncate_failed(c, o, ctx, size);
    return st;
}

apr_status_t cachefs__obj_truncate(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint64_t size)
{
    uint64_t old = atomic_load(&o->size), low = cachefs__min64(old, size);
    gate_t gate = {.start = low, .end = UINT64_MAX, .kind = GATE_WRITE};
    apr_status_t st = cachefs__gate_enter(c, o, ctx, &gate, NULL);
    if (st) return st;
    st = cachefs__durable_settle(c, o, ctx);
    if (!st) st = cachefs__flush_begin(c, o, ctx); /* no flush may write behind the new end */
    if (!st) {
        st = truncate_below(c, o, ctx, size);
        cachefs__learn_base(c, o, ctx, 0);
        cachefs__flush_end(c, o);
        cachefs__durable_after(c, o, ctx);
    }
    cachefs__gate_leave(c, o, &gate, APR_SUCCESS);
    return st;
}
