/*
 * hit.h - a look at a block without a lock: what copies its bytes (hit.c) and what lends them
 * (borrow.c) have in common. Floor 2, private to cachefs/.
 *
 * What was seen is to be believed only if the block's sequence is the same afterwards.
 * docs/hot-path.md says in which order what is read, and why that suffices.
 */
#ifndef CACHEFS_HIT_H
#define CACHEFS_HIT_H

#include "cachefs/engine.h"

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define ALWAYS_INLINE inline __attribute__((always_inline))

typedef struct seen_t {
    block_t *block;
    uint64_t state; /* as it is if nothing changes, nobody borrows, and it was touched before */
    uint32_t bits, chunk;
} seen_t;

/* The first hit since the policy heard of the block, noted in its state: for the ring, too. */
void cachefs__touch_note(cache_t *c, const block_t *b);
/* Bytes [from, to) of the block are valid and in memory, wherever they lie. */
int cachefs__holds_part(uint32_t bits, uint32_t shift, uint32_t from, uint32_t to);
/* Bytes [0, to) of the block are in memory, at one moment of the call. It counts as no use. */
int cachefs__block_whole(const cache_t *c, uint64_t ver, uint64_t no, uint32_t shift, uint32_t to);
/* The chain goes on behind i. */
uint32_t cachefs__chain_walk(const cache_t *c, uint64_t ver, uint32_t no, uint32_t i);

/* The ring of this thread if it has one of its own, as the row; else NULL. */
static inline ring_t *cachefs__own_ring(const cache_t *c)
{
    ptrdiff_t row = metrics__row;
    return row > 0 ? (ring_t *)(void *)((char *)c->rings + row - METRICS__ROW_BYTES) : NULL;
}

/* One comparison, unless what is there does not begin with the block. */
static ALWAYS_INLINE int cachefs__holds(uint32_t bits, uint32_t shift, uint32_t from, uint32_t to)
{
    return LIKELY(to <= bits >> BLOCK_WHOLE_SHIFT << BLOCK_PAGE_SHIFT) ||
           cachefs__holds_part(bits, shift, from, to);
}

static ALWAYS_INLINE uint64_t cachefs__state_seen(block_t *b)
{
    uint64_t state = atomic_load_explicit(&b->state, memory_order_acquire);
    return (state & ~STATE_ODD) | STATE_TOUCHED;
}

/* It is the block, if its sequence is the same afterwards. */
static ALWAYS_INLINE int cachefs__is_key(const block_t *b, uint64_t ver, uint64_t no)
{
    return LOAD(b->ver) == ver && LOAD(b->no) == (uint32_t)no;
}

/* The block's memory. 0: [from, to) is not all there. */
static ALWAYS_INLINE int cachefs__see_part(block_t *b, uint32_t shift, uint32_t from, uint32_t to,
                                           seen_t *seen)
{
    seen->bits = LOAD(b->bits);
    if (UNLIKELY(!cachefs__holds(seen->bits, shift, from, to))) return 0;
    seen->block = b;
    seen->chunk = LOAD(b->data);
    return 1;
}

/* Find the block and its memory. 0: not there, or not whole. What was found in a block that was
 * changing is not believed later: its sequence is noted as an even one, and was odd. */
static ALWAYS_INLINE int cachefs__see(const cache_t *c, uint64_t ver, uint64_t no, uint32_t shift,
                                      uint32_t from, uint32_t to, seen_t *seen)
{
    uint32_t i =
        atomic_load_explicit(cachefs__head(c, cachefs__mix(ver, no)), memory_order_acquire);
    if (UNLIKELY(i == NONE)) return 0;
    block_t *b = &c->blocks[i];
    seen->state = cachefs__state_seen(b);
    if (UNLIKELY(!cachefs__is_key(b, ver, no))) {
        i = cachefs__chain_walk(c, ver, (uint32_t)no, i);
        if (i == NONE) return 0;
        b = &c->blocks[i];
        seen->state = cachefs__state_seen(b);
        if (!cachefs__is_key(b, ver, no)) return 0;
    }
    return cachefs__see_part(b, shift, from, to, seen);
}

/* The same for [0, to) of a block that is the first of its chain and begins with so many whole
 * pages. An empty chain leads to entry 0, which has no page. */
static ALWAYS_INLINE int cachefs__see_pages(const cache_t *c, uint64_t ver, uint64_t no,
                                            uint64_t to, seen_t *seen)
{
    uint32_t i =
        atomic_load_explicit(cachefs__head(c, cachefs__mix(ver, no)), memory_order_acquire);
    seen->block = &c->blocks[i];
    seen->state = cachefs__state_seen(seen->block);
    if (UNLIKELY(!cachefs__is_key(seen->block, ver, no))) return 0;
    seen->bits = LOAD(seen->block->bits);
    seen->chunk = LOAD(seen->block->data);
    return LIKELY(to <= (uint64_t)(seen->bits >> BLOCK_WHOLE_SHIFT) << BLOCK_PAGE_SHIFT);
}

#endif
