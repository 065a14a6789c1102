/*
 * read.c - reads that are no hits: the loop around the miss path.
 * Floor 2, private to cachefs/. Hits are in hit.c; docs/architecture.md has the data path.
 */
#include "cachefs/engine.h"
#include "cachefs/ahead.h"
#include "cachefs/copy.h"

#define PIECE_TRIES 4 /* looks at a block that is there in part, before it is read at once */

/* A read under way: bytes [off, off + n) of a version, of which the first `pos` are in buf. */
typedef struct progress_t {
    uint8_t *buf;
    uint64_t ver, off, n, pos;
    int tries;        /* at the block that begins at pos */
    uint64_t brought; /* bytes that we read below for that block */
    uint64_t missed;  /* of the read, not in memory when asked for */
    int met;          /* a miss: what comes before it, the look for a hit has noted as used */
} progress_t;

static void advance(cache_t *c, progress_t *p, uint64_t n, uint64_t missed)
{
    cachefs__count(&c->counters, CNT_HIT_BYTES, n - missed);
    cachefs__count(&c->counters, CNT_MISS_BYTES, missed);
    p->pos += n;
    p->missed += missed;
    p->tries = 0;
    p->brought = 0;
}

/* How far the miss may go. */
static uint64_t fill_end(const obj_t *o, const progress_t *p, const cachefs__reach_t *reach)
{
    uint64_t end = p->off + p->n, size = atomic_load_explicit(&o->size, memory_order_relaxed);
    uint64_t to = reach ? cachefs__min64(reach->to, size) : 0;
    return to > end ? to : end;
}

/* Go on by a block or more. What is taken of a block comes from one look at it, or from one read
 * below that no write overlapped, so that a write shows in all of it or in nothing of it: where a
 * part is there the rest is brought in, and all is copied anew. */
static apr_status_t read_step(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, progress_t *p,
                              const cachefs__reach_t *reach, unsigned flags)
{
    uint32_t shift = atomic_load_explicit(&o->shift, memory_order_acquire), k = 0;
    uint64_t at = p->off + p->pos, left = p->n - p->pos, m = left, done;
    cachefs__sink_t sink = {p->buf + p->pos, at, left, 0, NULL};
    apr_status_t st;
    if (shift) {
        uint64_t no = at >> shift, boff = at - (no << shift);
        if ((1ull << shift) - boff < m) m = (1ull << shift) - boff;
        int ends = (at + m) >> shift != no || at + m == atomic_load(&o->size);
        k = cachefs__block_read(c, p->ver, (uint32_t)no, shift, (uint32_t)boff, (uint32_t)m,
                                p->met && (ends || !(flags & FILL_ON)), sink.buf);
        if (k == m) {
            advance(c, p, m, p->brought < m ? p->brought : m);
            return APR_SUCCESS;
        }
    }
    p->met = 1;
    if (p->tries++ >= PIECE_TRIES) {
        sink.len = m;
        st = cachefs__read_at_once(c, o, ctx, p->ver, &sink, &p->brought);
    } else {
        uint64_t end = fill_end(o, p, reach);
        if ((flags & FILL_REGION) && !p->pos) sink.reach = reach;
        st = cachefs__fill(c, o, ctx, p->ver, at + k, end, flags, k ? NULL : &sink, &p->brought);
        if (st == VFS_ELIMIT && k) { /* no memory for the rest */
            p->tries = PIECE_TRIES;
            st = APR_SUCCESS;
        }
    }
    shift = atomic_load_explicit(&o->shift, memory_order_acquire);
    done = sink.done;
    if (done < left && shift) { /* whole blocks only */
        uint64_t stop = (at + done) >> shift << shift;
        done = stop > at ? stop - at : 0;
    }
    if (done) advance(c, p, done, done);
    return st;
}

apr_status_t cachefs__read_obj(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, void *buf, size_t len,
                               uint64_t off, size_t *got, const cachefs__reach_t *reach,
                               unsigned flags, uint64_t *missed)
{
    uint32_t changes = atomic_load_explicit(&o->changes, memory_order_relaxed);
    for (;;) {
        progress_t p = {.buf = buf, .off = off, .met = !(flags & FILL_LOOKED)};
        apr_status_t st = APR_SUCCESS;
        p.ver = atomic_load_explicit(&o->ver, memory_order_acquire);
        uint64_t size = atomic_load_explicit(&o->size, memory_order_acquire);
        p.n = off >= size ? 0 : size - off < len ? size - off : len;
        while (p.pos < p.n && !st) {
            st = read_step(c, o, ctx, &p, reach, flags);
            if (st == FILL_AGAIN) st = APR_SUCCESS;
            if (!st && atomic_load_explicit(&o->ver, memory_order_acquire) != p.ver)
                st = FILL_RESTART;
            size = atomic_load_explicit(&o->size, memory_order_acquire);
            if (!st && size < off + p.n) p.n = size > off ? size - off : 0; /* it was cut */
        }
        *missed += p.missed;
        if (!st && atomic_load_explicit(&o->ver, memory_order_acquire) != p.ver) st = FILL_RESTART;
        if (st == FILL_RESTART) {
            if (atomic_load_explicit(&o->changes, memory_order_relaxed) - changes >= GET_GUARD)
                return VFS_ESTALE;
            continue;
        }
        *got = st ? 0 : (size_t)(p.pos < p.n ? p.pos : p.n);
        return st;
    }
}

/* ---- around a read */

static void tell_heat(cache_t *c, handle_t *h, uint64_t off, size_t len, int hit)
{
    const cachefs__heat_t *heat = atomic_load_explicit(&c->heat, memory_order_acquire);
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t path;
    if (!heat || !len) return;
    cachefs__obj_lock(c, h->obj);
    apr_status_t st = cachefs__obj_name(c, h->obj, &path, buf);
    cachefs__obj_unlock(c, h->obj);
    CACHE_NO_LOCKS_HELD();
    if (!st) heat->fn(heat->baton, buf, (apr_off_t)off, len, hit);
}

apr_status_t cachefs__read_begin(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    cachefs__obj_look(c, o);
    int is_dir = o->attr.type == VFS_TYPE_DIR, doubt = (o->flags & OBJ_DOUBT) != 0;
    cachefs__obj_looked(c, o);
    if (is_dir) return APR_FROM_OS_ERROR(EISDIR);
    return doubt ? cachefs__read_sure(c, o, ctx) : APR_SUCCESS;
}

apr_status_t cachefs__read_slow(cache_t *c, handle_t *h, const vfs_ctx_t *ctx, void *buf,
                                size_t len, uint64_t off, size_t *got)
{
    int64_t start = cachefs__clock_us();
    apr_status_t st = cachefs__read_begin(c, h->obj, ctx);
    if (st) return st;
    unsigned flags;
    uint64_t next = atomic_load_explicit(&h->next_off, memory_order_relaxed);
    uint64_t window = cachefs__ahead_window(c, h, off, len, &flags), missed = 0;
    cachefs__reach_t reach = {off, off + len};
    if (flags & FILL_ON)
        reach.to += window > AHEAD_FIRST ? AHEAD_FIRST : window;
    else
        flags |= cachefs__region(c, h->obj, off, len, &reach);
    st = cachefs__read_obj(c, h->obj, ctx, buf, len, off, got, &reach, flags, &missed);
    cachefs__count(&c->counters, missed || st ? CNT_MISSES : CNT_HITS, 1);
    if (!st) cachefs__ahead_went(h, next, off, len, *got);
    if (!st && window) cachefs__ahead_start(c, h, off + *got, window);
    if (c->lat[LAT_READ_MISS])
        metrics_record(c->lat[LAT_READ_MISS], (uint64_t)(cachefs__clock_us() - start) * 1000);
    if (!st && atomic_load_explicit(&c->t.heat, memory_order_relaxed))
        tell_heat(c, h, off, *got, 0);
    return st;
}

void cachefs__read_after(cache_t *c, handle_t *h, uint64_t off, size_t got)
{
    uint64_t window = atomic_load_explicit(&h->window, memory_order_relaxed);
    uint64_t next = atomic_load_explicit(&h->next_off, memory_order_relaxed);
    if (window && cachefs__ahead_goes_on(next, off, got)) {
        /* a straight reader that runs on what was read ahead: keep ahead of it */
        cachefs__ahead_went(h, next, off, got, got);
        if (window > HANDLE_WATCHED) cachefs__ahead_start(c, h, off + got, window);
    }
    if (atomic_load_explicit(&c->t.heat, memory_order_relaxed)) tell_heat(c, h, off, got, 1);
}

apr_status_t cachefs__read_direct(cache_t *c, handle_t *h, const vfs_ctx_t *ctx,
                                  const vfs_iovec_t *iov, size_t count, apr_off_t off, size_t *got)
{
    vfs_file_t *lower;
    cachefs__pieces_t to = {iov, count};
    uint64_t len = cachefs__pieces_bytes(&to);
    gate_t gate = {.start = (uint64_t)off, .end = (uint64_t)off + len, .kind = GATE_WRITE};
    *got = 0;
    if (!len) return APR_SUCCESS;
    apr_status_t st = cachefs__gate_enter(c, h->obj, ctx, &gate, NULL); /* no write comes between */
    if (st) return st;
    if (c->mode == CACHEFS_BACK)
        st = cachefs__flush_data(c, h->obj, ctx); /* around the cache, not around order */
    if (!st) st = cachefs__lower_use(c, h->obj, ctx, LOWER_READ, &lower);
    if (!st) {
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
        cachefs__count(&c->counters, CNT_BACKEND_READS, 1);
        st = count == 1 ? vfs_call_read_at(lower, ctx, iov->base, iov->len, off, got)
                        : vfs_call_readv_at(lower, ctx, iov, count, off, got);
        if (!st) cachefs__count(&c->counters, CNT_BACKEND_READ_BYTES, *got);
        cachefs__lower_done(c, h->obj);
    }
    cachefs__gate_leave(c, h->obj, &gate, APR_SUCCESS);
    return st;
}
