/*
 * borrow.c - reads without a copy: the caller gets counted references to cached bytes.
 * Floor 2, private to cachefs/.
 *
 * A block counts its borrowers beside its sequence, in one word: so a borrower is counted only if
 * the block is still what he looked at, and no lock is needed for that (borrow_hit). Whoever
 * changes the block makes its sequence odd and learns how many borrow it, both at once. If there
 * are any he leaves the memory to them and takes other memory; the old chunk is an orphan then,
 * whose owner word counts them, and the last one frees it. A dirty block changes in place, so it is
 * never lent: its bytes are copied, once, to a chunk that is an orphan from the beginning. So are
 * zeros that are known and have no memory.
 */
#include "cachefs/engine.h"
#include "cachefs/hit.h"

typedef struct borrowed_t {
    block_t *block;
    uint64_t state; /* as it was without us */
    uint32_t chunk;
} borrowed_t;

struct cachefs_ref_t {
    cache_t *cache;
    size_t count, room;
    uint64_t bytes; /* taken of pin_bytes_max */
    /* What it lends, if that is one piece, and can lend again once it is given back, if the block's
     * state is still b[0].state: bytes [start, stop) of a version, which lie at `memory`. */
    uint64_t ver, start, stop;
    uint8_t *memory;
    borrowed_t b[];
};

/* ---- references
 *
 * A thread with a ring of its own keeps one that it gave back: a hit takes nothing from the heap
 * then, nor, if it borrows the same block again, from the count of what is pinned, which all
 * threads share. So the limit is never passed; at worst a 64th of it waits with each thread. */

#define SPARE_ROOM 16u /* pieces of one that is kept */
#define SPARE_PART 64u

static int may_keep(const ring_t *ring, const cachefs_ref_t *r)
{
    return ring && r->room == SPARE_ROOM && !LOAD(ring->spare);
}

/* A reference for so many pieces, without any. */
static cachefs_ref_t *ref_new(cache_t *c, size_t pieces)
{
    size_t room = pieces < SPARE_ROOM ? SPARE_ROOM : pieces;
    cachefs_ref_t *r = NULL;
    ring_t *ring = cachefs__own_ring(c);
    if (ring && room == SPARE_ROOM && (r = LOAD(ring->spare))) STORE(ring->spare, NULL);
    if (!r && (r = malloc(sizeof(*r) + room * sizeof(borrowed_t))))
        *r = (cachefs_ref_t){.cache = c, .room = room};
    if (r) r->count = 0;
    return r;
}

/* It counts for so many bytes. 0: pin_bytes_max. */
static int charge(cachefs_ref_t *r, uint64_t bytes)
{
    if (bytes > r->bytes && !cachefs__pin_take(r->cache, bytes - r->bytes)) return 0;
    if (bytes < r->bytes) cachefs__pin_give(r->cache, r->bytes - bytes);
    r->bytes = bytes;
    return 1;
}

/* It holds nothing any more. */
static void ref_free(cachefs_ref_t *r)
{
    cache_t *c = r->cache;
    ring_t *ring = cachefs__own_ring(c);
    int keep = may_keep(ring, r);
    if (!keep || r->bytes > LOAD(c->t.pin_bytes_max) / SPARE_PART) {
        (void)charge(r, 0); /* less is never refused */
        r->ver = 0;         /* it cannot lend again without */
    }
    if (keep) {
        STORE(ring->spare_bytes, r->bytes);
        STORE(ring->spare, r);
    } else {
        free(r);
    }
}

void cachefs__refs_end(cache_t *c)
{
    for (unsigned i = 0; c->rings && i < THREAD_RINGS; i++)
        free(LOAD(c->rings[i].spare));
}

uint64_t cachefs__pinned(const cache_t *c)
{
    uint64_t kept = 0;
    for (unsigned i = 0; i < THREAD_RINGS; i++)
        if (LOAD(c->rings[i].spare)) kept += LOAD(c->rings[i].spare_bytes);
    uint64_t taken = LOAD(c->pinned_bytes);
    return taken < kept ? 0 : taken - kept; /* less: they were of different moments */
}

/* ---- giving back */

/* As long as the block has the chunk it counts us: nobody can have the chunk while we hold it, so
 * it is not there again for somebody else. */
static void unborrow(cache_t *c, borrowed_t *b)
{
    uint64_t state = b->state + STATE_BORROW;
    while (!(state & STATE_ODD) && LOAD(b->block->data) == b->chunk) {
        uint64_t less = state - STATE_BORROW;
        if (!atomic_compare_exchange_weak_explicit(&b->block->state, &state, less,
                                                   memory_order_release, memory_order_acquire))
            continue;
        b->state = less;
        return;
    }
    if (cachefs__arena_give_back(&c->arena, b->chunk)) cachefs__chunk_put(c, b->chunk);
}

/* Give all back; the reference itself stays, and what it takes of the limit. */
static void give_back(cachefs_ref_t *r)
{
    while (r->count)
        unborrow(r->cache, &r->b[--r->count]);
}

static __attribute__((noinline)) void release_any(cachefs_ref_t *ref)
{
    give_back(ref);
    ref_free(ref);
}

/* Straight: one piece, from a block that is as it was, by a thread that keeps the reference as it
 * is for the next time. */
void cachefs_ref_release(cachefs_ref_t *ref)
{
    if (!ref) return;
    ring_t *ring = cachefs__own_ring(ref->cache);
    if (LIKELY(ref->count == 1 && may_keep(ring, ref) && LOAD(ring->spare_bytes) == ref->bytes)) {
        const borrowed_t *b = &ref->b[0];
        uint64_t state = b->state + STATE_BORROW;
        if (LIKELY(LOAD(b->block->data) == b->chunk &&
                   atomic_compare_exchange_strong_explicit(&b->block->state, &state, b->state,
                                                           memory_order_release,
                                                           memory_order_relaxed))) {
            STORE(ring->spare, ref);
            return;
        }
    }
    release_any(ref);
}

/* ---- hits: no lock, and of what others read nothing is written but the count of the block */

/* Lend bytes [from, from + n) of a block. 0: it changed, or is not lent as it is. Returns what
 * counts against the limit. */
static ALWAYS_INLINE uint32_t lend_hit(cache_t *c, const seen_t *seen, uint32_t from, uint32_t n,
                                       borrowed_t *b, vfs_iovec_t *iov)
{
    uint64_t now = seen->state, ours;
    if (UNLIKELY(seen->bits & BLOCK_DIRTY)) return 0;
    atomic_thread_fence(memory_order_acquire); /* all was read before we are counted */
    for (;;) {
        ours = (now | STATE_TOUCHED) + STATE_BORROW;
        if (UNLIKELY((now & STATE_BORROWERS) / STATE_BORROW >= BORROWERS_MAX)) return 0;
        if (LIKELY(atomic_compare_exchange_weak_explicit(
                &seen->block->state, &now, ours, memory_order_relaxed, memory_order_relaxed)))
            break;
        if ((now ^ seen->state) >> STATE_SEQ_SHIFT) return 0;
    }
    if (UNLIKELY(!(now & STATE_TOUCHED))) cachefs__touch_note(c, seen->block);
    b->block = seen->block;
    b->state = ours - STATE_BORROW;
    b->chunk = seen->chunk;
    *iov = (vfs_iovec_t){c->memory + (size_t)seen->chunk * ARENA_UNIT + from, n};
    return cachefs__class_bytes(seen->bits >> BLOCK_CLASS_SHIFT & 15);
}

/* What can be lent again: the block's whole pages. */
static void note_lent(cachefs_ref_t *r, uint64_t ver, uint64_t start, uint32_t bits)
{
    uint64_t bytes = (uint64_t)(bits >> BLOCK_WHOLE_SHIFT) << BLOCK_PAGE_SHIFT;
    r->ver = ver;
    r->start = start;
    r->stop = start + bytes;
    r->memory = r->cache->memory + (size_t)r->b[0].chunk * ARENA_UNIT;
}

/* Block after block. Returns where they end; 0: not all are lent. *bytes grows by what counts. */
static uint64_t lend_blocks(cache_t *c, uint64_t ver, uint32_t shift, cachefs_ref_t *r,
                            vfs_iovec_t *iov, size_t max, uint64_t at, uint64_t end,
                            uint64_t *bytes)
{
    for (; r->count < max && at < end; r->count++) {
        uint64_t no = at >> shift, stop = (no + 1) << shift;
        uint32_t from = (uint32_t)(at - (no << shift)), to = (uint32_t)(1u << shift);
        seen_t seen;
        if (stop > end) {
            to -= (uint32_t)(stop - end);
            stop = end;
        }
        if (!cachefs__see(c, ver, no, shift, from, to, &seen)) return 0;
        uint32_t lent = lend_hit(c, &seen, from, to - from, &r->b[r->count], &iov[r->count]);
        if (!lent) return 0;
        if (!r->count) note_lent(r, ver, no << shift, seen.bits);
        *bytes += lent;
        at = stop;
    }
    if (r->count != 1) r->ver = 0;
    return at;
}

/* Borrow [off, off + len), all of one version, as read_hit copies it (hit.c). 0: the slow path
 * shall say. */
static int borrow_hit(cache_t *c, const obj_t *o, cachefs_ref_t *r, vfs_iovec_t *iov, size_t max,
                      uint64_t off, uint64_t len, size_t *got)
{
    uint32_t seq = atomic_load_explicit(&o->seq, memory_order_acquire) & ~1u;
    uint64_t ver = LOAD(o->ver), size = LOAD(o->size), bytes = 0;
    uint32_t shift = LOAD(o->shift);
    if (!shift || off >= size || !len) return 0;
    uint64_t end =
        lend_blocks(c, ver, shift, r, iov, max, off, len < size - off ? off + len : size, &bytes);
    if (end && LOAD(o->seq) == seq && charge(r, bytes)) {
        *got = (size_t)(end - off);
        return 1;
    }
    give_back(r);
    return 0;
}

/* ---- under locks */

/* Bytes [boff, boff + n) of a block. */
typedef struct want_t {
    uint64_t ver;
    uint32_t no, shift, boff, n;
} want_t;

typedef enum lent_e {
    LENT_NOT = 0, /* the first byte is not there */
    LENT_SOME,
    LENT_APART, /* it is there, and can only be copied */
    LENT_FULL,  /* no memory for a copy */
    LENT_LIMIT  /* pin_bytes_max */
} lent_e;

/* How many bytes from boff on can be lent as they lie. Shard locked. */
static uint32_t in_place(const block_t *k, const want_t *w)
{
    uint32_t bits = atomic_load(&k->bits),
             cap = cachefs__class_bytes(bits >> BLOCK_CLASS_SHIFT & 15);
    uint32_t g = cachefs__granule_shift(w->shift), first = w->boff >> g;
    if ((bits & BLOCK_DIRTY) || w->boff >= cap) return 0;
    uint32_t gone = ~((bits & BLOCK_VALID_MASK) >> first); /* has a bit: 16 are always unset */
    uint32_t end = (first + (uint32_t)__builtin_ctz(gone)) << g;
    if (end > cap) end = cap;
    if (end <= w->boff) return 0;
    return end - w->boff < w->n ? end - w->boff : w->n;
}

/* Lend the block's own memory, as far as it goes. */
static lent_e lend(cache_t *c, const want_t *w, cachefs_ref_t *r, vfs_iovec_t *iov)
{
    uint32_t mix = cachefs__mix(w->ver, w->no);
    shard_t *s = cachefs__block_shard(c, mix);
    lent_e lent = LENT_NOT;
    cachefs__lock(&s->lock, RANK_SHARD);
    uint32_t i = cachefs__block_find(c, w->ver, w->no, mix);
    block_t *k = &c->blocks[i];
    if (i && (atomic_load(&k->bits) & 1u << (w->boff / cachefs__granule(w->shift)))) {
        uint32_t cap = cachefs__class_bytes(atomic_load(&k->bits) >> BLOCK_CLASS_SHIFT & 15);
        uint32_t n = in_place(k, w);
        if (cachefs__block_borrowers(k) >= BORROWERS_MAX) n = 0;
        lent = !n ? LENT_APART : charge(r, r->bytes + cap) ? LENT_SOME : LENT_LIMIT;
        if (lent == LENT_SOME) {
            uint32_t chunk = atomic_load(&k->data);
            r->b[r->count] = (borrowed_t){k, atomic_fetch_add(&k->state, STATE_BORROW), chunk};
            *iov = (vfs_iovec_t){(uint8_t *)cachefs__chunk_ptr(&c->arena, chunk) + w->boff, n};
        }
    }
    cachefs__unlock(&s->lock, RANK_SHARD);
    return lent;
}

/* Lend a copy. */
static lent_e lend_copy(cache_t *c, const want_t *w, cachefs_ref_t *r, vfs_iovec_t *iov)
{
    uint32_t hint = cachefs__top(c, cachefs__mix(w->ver, w->no)), n = 0;
    uint32_t chunk = cachefs__chunk_get(c, w->n, OWNER_PRIVATE | 1, hint, 0);
    if (!chunk) return LENT_FULL;
    uint32_t bytes = cachefs__class_bytes(cachefs__arena_class(&c->arena, chunk));
    int room = charge(r, r->bytes + bytes);
    uint8_t *to = cachefs__chunk_ptr(&c->arena, chunk);
    if (room) n = cachefs__block_read(c, w->ver, w->no, w->shift, w->boff, w->n, 1, to);
    if (!n) {
        cachefs__chunk_put(c, chunk);
        if (room) (void)charge(r, r->bytes - bytes); /* less is never refused */
        return room ? LENT_NOT : LENT_LIMIT;
    }
    int free_already = cachefs__arena_leave(&c->arena, chunk, 1);
    VFS_ASSERT(!free_already);
    r->b[r->count] = (borrowed_t){&c->blocks[NONE], STATE_ODD, chunk};
    *iov = (vfs_iovec_t){to, n};
    return LENT_SOME;
}

#define LEND_TRIES 4 /* how often bytes may leave again before they are lent */

/* While nobody cuts the object. */
static uint32_t bytes_seq(cache_t *c, const obj_t *o)
{
    cachefs__obj_look(c, o);
    uint32_t seq = atomic_load(&o->seq);
    cachefs__obj_looked(c, o);
    return seq;
}

/* Borrow [off, off + len) as far as iov has room, all of one version. FILL_RESTART: that went, or
 * was cut meanwhile: then what was lent may be what came after the cut. */
static apr_status_t borrow_range(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, cachefs_ref_t *r,
                                 vfs_iovec_t *iov, size_t max, uint64_t off, uint64_t len,
                                 uint64_t *fetched)
{
    uint32_t seq = bytes_seq(c, o);
    uint64_t ver = atomic_load(&o->ver), size = atomic_load(&o->size), at = off;
    uint64_t end = at >= size ? at : size - at < len ? size : at + len;
    apr_status_t st = APR_SUCCESS;
    cachefs__patience_t patience = {0, 0};
    int tries = 0;
    while (at < end && r->count < max && !st) {
        uint32_t shift = atomic_load(&o->shift);
        lent_e lent = LENT_NOT;
        if (shift) {
            want_t w = {ver, (uint32_t)(at >> shift), shift, (uint32_t)(at & ((1ull << shift) - 1)),
                        0};
            uint64_t left = (1ull << shift) - w.boff;
            w.n = (uint32_t)(left < end - at ? left : end - at);
            lent = lend(c, &w, r, &iov[r->count]);
            if (lent == LENT_APART) lent = lend_copy(c, &w, r, &iov[r->count]);
        }
        if (lent == LENT_LIMIT) return VFS_ELIMIT;
        if (lent == LENT_SOME) {
            at += iov[r->count++].len;
            tries = 0;
            continue;
        }
        if (tries++ == LEND_TRIES) return VFS_ELIMIT;
        st = lent == LENT_FULL ? VFS_ELIMIT
                               : cachefs__fill(c, o, ctx, ver, at, end, 0, NULL, fetched);
        if (st == VFS_ELIMIT && !(st = cachefs__room_wait(c, ctx, &patience))) tries = 0;
        if (st == FILL_AGAIN) st = APR_SUCCESS;
        if (!st && atomic_load(&o->size) < end) st = FILL_RESTART; /* it was cut */
    }
    if (!st && atomic_load(&o->seq) != seq) st = FILL_RESTART;
    return st;
}

/* The same, again on the new version where there is one, as a read does. */
static apr_status_t borrow_all(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, cachefs_ref_t *r,
                               vfs_iovec_t *iov, size_t max, uint64_t off, uint64_t len,
                               uint64_t *fetched)
{
    uint32_t changes = atomic_load_explicit(&o->changes, memory_order_relaxed);
    for (;;) {
        apr_status_t st = borrow_range(c, o, ctx, r, iov, max, off, len, fetched);
        if (st != FILL_RESTART) return st;
        if (atomic_load_explicit(&o->changes, memory_order_relaxed) - changes >= GET_GUARD)
            return VFS_ESTALE;
        give_back(r);
        (void)charge(r, 0); /* less is never refused */
    }
}

static apr_status_t borrow_slow(cachefs_ref_t *r, handle_t *h, const vfs_ctx_t *ctx,
                                vfs_iovec_t *iov, size_t max, uint64_t off, uint64_t len,
                                size_t *got)
{
    cache_t *c = h->cache;
    uint64_t fetched = 0;
    r->ver = 0;
    (void)charge(r, 0); /* less is never refused; then piece by piece */
    apr_status_t st = cachefs__obj_sure(c, h->obj, ctx);
    if (!st) st = borrow_all(c, h->obj, ctx, r, iov, max, off, len, &fetched);
    if (st) return st;
    for (size_t i = 0; i < r->count; i++)
        *got += iov[i].len;
    uint64_t missed = fetched < *got ? fetched : *got; /* it may have brought more than was asked */
    cachefs__count(&c->counters, fetched ? CNT_MISSES : CNT_HITS, 1);
    cachefs__count(&c->counters, CNT_MISS_BYTES, missed);
    cachefs__count(&c->counters, CNT_HIT_BYTES, *got - missed);
    return APR_SUCCESS;
}

static __attribute__((noinline)) apr_status_t borrow_any(cachefs_ref_t **ref, vfs_file_t *file,
                                                         const vfs_ctx_t *ctx, size_t len,
                                                         apr_off_t off, vfs_iovec_t *iov,
                                                         size_t *count, size_t *got)
{
    handle_t *h = cachefs__handle(file);
    size_t most = 2 * (len / GRANULE_MIN + 2); /* a granule is two pieces at most */
    size_t max = *count < most ? *count : most;
    cachefs_ref_t *r = ref_new(h->cache, max);
    *got = *count = 0;
    *ref = NULL;
    if (!r) return APR_ENOMEM;
    if (borrow_hit(h->cache, h->obj, r, iov, max, (uint64_t)off, len, got)) {
        cachefs__count(&h->cache->counters, CNT_HITS, 1);
        cachefs__count(&h->cache->counters, CNT_HIT_BYTES, *got);
    } else {
        apr_status_t st = borrow_slow(r, h, ctx, iov, max, (uint64_t)off, len, got);
        if (st) {
            release_any(r);
            return st;
        }
    }
    *count = r->count;
    *ref = r;
    return APR_SUCCESS;
}

/* The object moved after `r` was counted once more. */
static __attribute__((noinline)) apr_status_t borrow_anew(cachefs_ref_t **ref, vfs_file_t *file,
                                                          const vfs_ctx_t *ctx, size_t len,
                                                          apr_off_t off, vfs_iovec_t *iov,
                                                          size_t *count, size_t *got)
{
    cache_t *c = cachefs__handle(file)->cache;
    unborrow(c, &LOAD(cachefs__own_ring(c)->spare)->b[0]);
    return borrow_any(ref, file, ctx, len, off, iov, count, got);
}

static ALWAYS_INLINE int may_borrow(cachefs_ref_t **ref, const vfs_file_t *file, apr_off_t off,
                                    const vfs_iovec_t *iov, const size_t *count, const size_t *got)
{
    return ref && file && iov && count && got && *count && off >= 0 && file->fs &&
           file->fs->ops.destroy == cachefs_op_destroy && (file->flags & VFS_O_READ);
}

/* Straight: one piece, of the block that this thread gave back just before. */
static ALWAYS_INLINE apr_status_t borrow_straight(cachefs_ref_t **ref, vfs_file_t *file,
                                                  const vfs_ctx_t *ctx, size_t len, apr_off_t off,
                                                  vfs_iovec_t *iov, size_t *count, size_t *got)
{
    const handle_t *h = cachefs__handle(file);
    cache_t *c = h->cache;
    ring_t *ring = cachefs__own_ring(c);
    cachefs_ref_t *r = LIKELY(ring) ? LOAD(ring->spare) : NULL;
    const obj_t *o = h->obj;
    uint32_t seq = atomic_load_explicit(&o->seq, memory_order_acquire) & ~1u;
    uint64_t ver = LOAD(o->ver), size = LOAD(o->size), from = (uint64_t)off, end = from + len;
    if (end > size) end = size;
    if (UNLIKELY(!r || ver != r->ver || from < r->start || end > r->stop || from >= end))
        return borrow_any(ref, file, ctx, len, off, iov, count, got);
    uint64_t state = r->b[0].state;
    atomic_thread_fence(memory_order_acquire); /* the object was read before we are counted */
    if (UNLIKELY(!atomic_compare_exchange_strong_explicit(
            &r->b[0].block->state, &state, state + STATE_BORROW, memory_order_relaxed,
            memory_order_relaxed)))
        return borrow_any(ref, file, ctx, len, off, iov, count, got);
    if (UNLIKELY(LOAD(o->seq) != seq))
        return borrow_anew(ref, file, ctx, len, off, iov, count, got);
    counter_row_t *row = cachefs__own_row(&c->counters);
    STORE(ring->spare, NULL);
    metrics__cell_add(&row->v[CNT_HITS], 1);
    metrics__cell_add(&row->v[CNT_HIT_BYTES], end - from);
    iov->base = r->memory + (from - r->start);
    iov->len = *got = end - from;
    *count = 1;
    *ref = r;
    return APR_SUCCESS;
}

static __attribute__((noinline)) apr_status_t borrow_ctx(cachefs_ref_t **ref, vfs_file_t *file,
                                                         const vfs_ctx_t *ctx, size_t len,
                                                         apr_off_t off, vfs_iovec_t *iov,
                                                         size_t *count, size_t *got)
{
    apr_status_t st = vfs_ctx_check(ctx);
    return st ? st : borrow_straight(ref, file, ctx, len, off, iov, count, got);
}

apr_status_t cachefs_read_ref(cachefs_ref_t **ref, vfs_file_t *file, const vfs_ctx_t *ctx,
                              size_t len, apr_off_t off, vfs_iovec_t *iov, size_t *count,
                              size_t *got)
{
    if (UNLIKELY(!may_borrow(ref, file, off, iov, count, got))) {
        VFS_CHECK_ARG(ref && file && iov && count && got && *count && off >= 0);
        VFS_CHECK_ARG(cachefs_is(vfs_file_fs(file)));
        return APR_EBADF; /* not open for reading */
    }
    if (UNLIKELY(ctx != NULL)) return borrow_ctx(ref, file, ctx, len, off, iov, count, got);
    return borrow_straight(ref, file, NULL, len, off, iov, count, got);
}
