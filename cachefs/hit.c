/*
 * hit.c - reads that find everything in memory. Floor 2, private to cachefs/.
 *
 * No lock, and nothing written that another thread reads: docs/hot-path.md argues line by line why
 * that suffices. Most reads lie within one block, so one look and one copy are laid out straight;
 * what is rare (the timed hit, a read of several blocks, a reader to be kept ahead of) is out of
 * line. Whatever does not come out right is left to cachefs__read_slow, which looks again under
 * locks.
 */
#include "cachefs/engine.h"
#include "cachefs/copy.h"
#include "cachefs/hit.h"

/* ---- a block */

void cachefs__touch_note(cache_t *c, const block_t *b)
{
    ring_t *ring = cachefs__own_ring(c);
    uint32_t n;
    if (LIKELY(ring)) { /* no locked addition */
        n = LOAD(ring->n);
        STORE(ring->n, n + 1);
    } else {
        ring = &c->rings[cachefs__thread_ring()];
        n = atomic_fetch_add_explicit(&ring->n, 1, memory_order_relaxed);
    }
    if (n < RING_LEN) STORE(ring->entry[n], (uint32_t)(b - c->blocks));
    if (n + 1 >= RING_LEN) cachefs__touch_drain(c, ring);
}

int cachefs__holds_part(uint32_t bits, uint32_t shift, uint32_t from, uint32_t to)
{
    return !(cachefs__granules(shift, from, to) & ~bits) &&
           to <= cachefs__class_bytes(bits >> BLOCK_CLASS_SHIFT & 15);
}

uint32_t cachefs__chain_walk(const cache_t *c, uint64_t ver, uint32_t no, uint32_t i)
{
    for (int steps = 0; steps < WALK_MAX; steps++) {
        i = atomic_load_explicit(&c->blocks[i].next, memory_order_acquire);
        if (i == NONE || (LOAD(c->blocks[i].ver) == ver && LOAD(c->blocks[i].no) == no)) return i;
    }
    return NONE;
}

int cachefs__block_whole(const cache_t *c, uint64_t ver, uint64_t no, uint32_t shift, uint32_t to)
{
    seen_t seen;
    if (!cachefs__see(c, ver, no, shift, 0, to, &seen)) return 0;
    atomic_thread_fence(memory_order_acquire);
    return !((LOAD(seen.block->state) ^ seen.state) >> STATE_SEQ_SHIFT);
}

/* The state is another one than `seen`: the sequence moved (0), somebody borrows the block, or it
 * is its first hit since the policy heard of it, which is noted, unless it is its first of all. */
static __attribute__((noinline)) int state_same(cache_t *c, block_t *b, uint64_t seen)
{
    uint64_t now = LOAD(b->state);
    if ((now ^ seen) >> STATE_SEQ_SHIFT) return 0;
    if (now & STATE_TOUCHED) return 1;
    if (UNLIKELY(LOAD(b->bits) & BLOCK_FIRST)) {
        cachefs__block_first_used(c, b);
        return 1;
    }
    cachefs__block_mark(b);
    cachefs__touch_note(c, b);
    return 1;
}

/* After the copy: it was a copy of that block, and of one state of it. */
static ALWAYS_INLINE int seen_same(cache_t *c, const seen_t *seen)
{
    atomic_thread_fence(memory_order_acquire); /* the copy is done before we look again */
    return LIKELY(LOAD(seen->block->state) == seen->state) ||
           state_same(c, seen->block, seen->state);
}

static ALWAYS_INLINE int copy_block(cache_t *c, uint64_t ver, uint64_t no, uint32_t shift,
                                    uint32_t boff, uint32_t n, void *dst)
{
    seen_t seen;
    if (!cachefs__see(c, ver, no, shift, boff, boff + n, &seen)) return 0;
    cachefs__copy_out(dst, c->memory + (size_t)seen.chunk * ARENA_UNIT + boff, n);
    return seen_same(c, &seen);
}

int cachefs__block_copy(cache_t *c, uint64_t ver, uint32_t no, uint32_t shift, uint32_t boff,
                        uint32_t n, void *dst)
{
    return copy_block(c, ver, no, shift, boff, n, dst);
}

int cachefs__block_scatter(cache_t *c, uint64_t ver, uint32_t no, uint32_t shift, uint32_t boff,
                           uint32_t n, const cachefs__pieces_t *to, uint64_t pos)
{
    seen_t seen;
    if (!cachefs__see(c, ver, no, shift, boff, boff + n, &seen)) return 0;
    const uint8_t *from = c->memory + (size_t)seen.chunk * ARENA_UNIT + boff;
    while (n) {
        vfs_iovec_t iov;
        size_t count;
        uint32_t part = (uint32_t)cachefs__pieces_slice(to, pos, n, &iov, 1, &count);
        cachefs__copy_out(iov.base, from, part);
        from += part;
        pos += part;
        n -= part;
    }
    return seen_same(c, &seen);
}

/* ---- a read
 *
 * Three ways, each for what the one before it leaves: read_pages, laid out for as few instructions
 * as can be; read_block for what one block has of it; read_rare. */

/* [off, off + n), block after block. */
static __attribute__((noinline)) int copy_blocks(cache_t *c, uint64_t ver, uint32_t shift,
                                                 uint64_t off, uint64_t n, uint8_t *dst)
{
    uint64_t block = 1ull << shift;
    while (n) {
        uint64_t boff = off & (block - 1), m = block - boff < n ? block - boff : n;
        if (!cachefs__block_copy(c, ver, (uint32_t)(off >> shift), shift, (uint32_t)boff,
                                 (uint32_t)m, dst))
            return 0;
        off += m;
        dst += m;
        n -= m;
    }
    return 1;
}

/* All that the file has of [off, off + len), of one version: *got bytes. 0: the slow path shall
 * say. */
static ALWAYS_INLINE int read_hit(cache_t *c, const obj_t *o, uint8_t *buf, uint64_t len,
                                  uint64_t off, size_t *got)
{
    uint32_t seq = atomic_load_explicit(&o->seq, memory_order_acquire) & ~1u;
    uint64_t ver = LOAD(o->ver), size = LOAD(o->size);
    uint32_t shift = LOAD(o->shift);
    if (off + len > size) { /* dispatch saw to it that this does not wrap */
        if (off >= size) return 0;
        len = size - off;
    }
    if (UNLIKELY(!shift)) return 0;
    uint64_t no = off >> shift;
    if (LIKELY((off + len - 1) >> shift == no)) {
        if (!copy_block(c, ver, no, shift, (uint32_t)(off - (no << shift)), (uint32_t)len, buf))
            return 0;
    } else if (!copy_blocks(c, ver, shift, off, len, buf)) {
        return 0;
    }
    /* the fence of the last block's look stands between its copy and this; what was odd differs */
    *got = len;
    return LIKELY(LOAD(o->seq) == seq);
}

/* The same for a reader that goes straight on, each block with a look of its own: his pass over a
 * block is one use of it, which is over when he comes to its end. */
static int read_on(cache_t *c, const obj_t *o, uint8_t *buf, uint64_t len, uint64_t off,
                   size_t *got)
{
    uint32_t seq = atomic_load_explicit(&o->seq, memory_order_acquire) & ~1u;
    uint64_t ver = LOAD(o->ver), size = LOAD(o->size), at = off;
    uint32_t shift = LOAD(o->shift);
    if (!shift || off >= size) return 0;
    if (len > size - off) len = size - off;
    while (at < off + len) {
        uint64_t no = at >> shift, end = (no + 1) << shift;
        uint64_t stop = end < off + len ? end : off + len;
        uint32_t boff = (uint32_t)(at - (no << shift)), n = (uint32_t)(stop - at);
        seen_t seen;
        if (!cachefs__see(c, ver, no, shift, boff, boff + n, &seen)) return 0;
        cachefs__copy_out(buf + (at - off), c->memory + (size_t)seen.chunk * ARENA_UNIT + boff, n);
        if (stop == end || stop == size) {
            if (!seen_same(c, &seen)) return 0;
        } else {
            atomic_thread_fence(memory_order_acquire); /* as there */
            if ((LOAD(seen.block->state) ^ seen.state) >> STATE_SEQ_SHIFT) return 0;
        }
        at = stop;
    }
    *got = len;
    return LOAD(o->seq) == seq;
}

/* Any hit; out of line are those that are timed, of threads without a row of their own, told to
 * others, or of a reader that goes straight on; and reads around the cache. */
static __attribute__((noinline)) apr_status_t
read_rare(handle_t *h, const vfs_ctx_t *ctx, void *buf, size_t len, uint64_t off, size_t *got)
{
    cache_t *c = h->cache;
    vfs_iovec_t all = {buf, len};
    if (h->base.flags & VFS_O_DIRECT)
        return cachefs__read_direct(c, h, ctx, &all, 1, (apr_off_t)off, got);
    int timed = cachefs__counter_here(&c->counters, CNT_HITS) % SAMPLE_HITS == 0;
    uint64_t start = timed ? cachefs__clock_ns() : 0;
    int on = LOAD(h->next_off) == off && LOAD(h->window);
    if (!(on ? read_on(c, h->obj, buf, len, off, got) : read_hit(c, h->obj, buf, len, off, got)))
        return cachefs__read_slow(c, h, ctx, buf, len, off, got);
    cachefs__count(&c->counters, CNT_HITS, 1);
    cachefs__count(&c->counters, CNT_HIT_BYTES, *got);
    if (timed) metrics_record_n(c->lat[LAT_READ_HIT], cachefs__clock_ns() - start, SAMPLE_HITS);
    cachefs__read_after(c, h, off, *got);
    return APR_SUCCESS;
}

static ALWAYS_INLINE int is_rare(const cache_t *c, const handle_t *h, const counter_row_t *row,
                                 uint64_t off)
{
    return !row || !(LOAD(row->v[CNT_HITS]) & LOAD(c->plain_mask)) ||
           (LOAD(h->next_off) == off && LOAD(h->window));
}

static ALWAYS_INLINE void count_hit(counter_row_t *row, uint64_t n)
{
    metrics__cell_add(&row->v[CNT_HITS], 1);
    metrics__cell_add(&row->v[CNT_HIT_BYTES], n);
}

/* Up to the end of the file, in a block that is not the first of its chain or does not begin with
 * whole pages, or in several. */
static __attribute__((noinline)) apr_status_t
read_block(handle_t *h, const vfs_ctx_t *ctx, void *buf, size_t len, uint64_t off, size_t *got)
{
    cache_t *c = h->cache;
    counter_row_t *row = cachefs__own_row(&c->counters);
    if (UNLIKELY(is_rare(c, h, row, off))) return read_rare(h, ctx, buf, len, off, got);
    if (UNLIKELY(!read_hit(c, h->hits, buf, len, off, got)))
        return read_rare(h, ctx, buf, len, off, got);
    count_hit(row, *got);
    return APR_SUCCESS;
}

/* [off, off + len) lies within the whole pages that one block begins with, so nobody asks whether
 * it lies within a block. `seq` was read before. What is needed after the copy is read again there:
 * over it little is remembered. */
static ALWAYS_INLINE int read_pages(const handle_t *h, uint32_t seq, uint8_t *buf, size_t len,
                                    uint64_t off)
{
    const cache_t *c = h->cache;
    uint64_t ver = LOAD(h->hits->ver);
    uint32_t shift = LOAD(h->hits->shift); /* if there is none yet, the sequence moves with it */
    uint64_t no = off >> shift, boff = off - (no << shift);
    seen_t seen;
    if (UNLIKELY(!cachefs__see_pages(c, ver, no, boff + len, &seen))) return 0;
    cachefs__copy_out(buf, c->memory + (size_t)seen.chunk * ARENA_UNIT + boff, len);
    return LIKELY(seen_same(h->cache, &seen)) && LIKELY(LOAD(h->hits->seq) == seq);
}

apr_status_t cachefs_op_read_at(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                                apr_off_t off, size_t *got)
{
    handle_t *h = (handle_t *)file;
    VFS_DEBUG_ASSERT(h->magic == HANDLE_MAGIC); /* dispatch saw that it is an open file of ours */
    uint32_t seq = atomic_load_explicit(&h->hits->seq, memory_order_acquire) & ~1u;
    if ((uint64_t)off + len > LOAD(h->hits->size)) /* dispatch saw to it that this does not wrap */
        return read_block(h, ctx, buf, len, (uint64_t)off, got);
    counter_row_t *row = cachefs__own_row(&h->cache->counters);
    if (UNLIKELY(is_rare(h->cache, h, row, (uint64_t)off)) ||
        UNLIKELY(!read_pages(h, seq, buf, len, (uint64_t)off)))
        return read_rare(h, ctx, buf, len, (uint64_t)off, got);
    count_hit(row, len);
    *got = len;
    return APR_SUCCESS;
}
