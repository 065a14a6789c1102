/*
 * uses.c - what the policies hear of hits, and when. Floor 2, private to cachefs/. Hits note blocks
 * in rings without a lock (hit.c).
 *
 * A policy takes a touch for a second use. So it must not hear of the first one: that of a block
 * that came before it was asked for, or of which a part was asked for by somebody who reads on.
 * Such a block is BLOCK_FIRST until that use is over, at its end if the reader goes straight on.
 */
#include "cachefs/engine.h"

/* Is the entry in the chain of this hash, whose shard is locked? Then it stays there. It may have
 * left since it was noted, and may be on its way into another shard right now. */
static int in_chain(cache_t *c, uint32_t mix, uint32_t i)
{
    uint32_t at = LOAD(*cachefs__head(c, mix));
    while (at != NONE && at != i)
        at = LOAD(c->blocks[at].next);
    return at != NONE;
}

void cachefs__block_first_used(cache_t *c, block_t *b)
{
    uint32_t mix = cachefs__mix(LOAD(b->ver), LOAD(b->no));
    shard_t *s = cachefs__block_shard(c, mix);
    if (!cachefs__trylock(&s->lock, RANK_SHARD)) return; /* the next one is taken for the first */
    if (in_chain(c, mix, (uint32_t)(b - c->blocks)))
        STORE(b->bits, LOAD(b->bits) & ~(BLOCK_AHEAD | BLOCK_FIRST));
    cachefs__unlock(&s->lock, RANK_SHARD);
}

/* Shard of the hash locked. */
static void hear(cache_t *c, shard_t *s, uint32_t i, uint32_t mix)
{
    block_t *b = &c->blocks[i];
    if (!cachefs__block_touched(b) || !in_chain(c, mix, i)) return;
    uint32_t bits = LOAD(b->bits);
    cachefs__block_untouch(b);
    STORE(b->bits, bits & ~(BLOCK_AHEAD | BLOCK_FIRST));
    if ((bits & BLOCK_LISTED) && !(bits & BLOCK_FIRST)) c->policy->touch(s->policy, i, 1);
}

/* Each shard's lock once, and what it hears in the order of the hits: entries of one shard are
 * chained. */
void cachefs__touch_drain(cache_t *c, ring_t *ring)
{
    uint32_t n = atomic_exchange_explicit(&ring->n, 0, memory_order_relaxed);
    uint32_t entry[RING_LEN], mix[RING_LEN];
    uint8_t first[RING_LEN], next[RING_LEN], last = RING_LEN;
    shard_t *shard[RING_LEN];
    if (n > RING_LEN) n = RING_LEN;
    memset(first, last, sizeof(first));
    for (uint32_t k = n; k-- > 0;) {
        const block_t *b = &c->blocks[entry[k] = LOAD(ring->entry[k])];
        __builtin_prefetch(&c->links[entry[k]], 1); /* comes while we look at the others */
        mix[k] = cachefs__mix(LOAD(b->ver), LOAD(b->no));
        shard[k] = cachefs__block_shard(c, mix[k]);
        uint8_t *head = &first[(size_t)(shard[k] - c->shards) % RING_LEN];
        next[k] = *head;
        *head = (uint8_t)k;
    }
    for (uint32_t k = 0; k < n; k++) {
        /* cppcheck-suppress uninitvar ; the loop above set all n */
        shard_t *s = shard[k];
        if (entry[k] == NONE || !cachefs__trylock(&s->lock, RANK_SHARD))
            continue; /* the mark stays: the evictor looks at it */
        for (uint32_t j = k; j < last; j = next[j]) {
            if (shard[j] != s) continue;
            if (entry[j] != NONE) hear(c, s, entry[j], mix[j]);
            entry[j] = NONE;
        }
        cachefs__unlock(&s->lock, RANK_SHARD);
    }
}
