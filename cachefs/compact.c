/*
 * compact.c - slabs that are emptied by moving who is in them. Floor 2, private to cachefs/. Knows
 * blocks and nodes as owners of memory, not what they mean.
 *
 * Evictions leave holes where the policy chose, and a chunk of another class needs a slab. Whoever
 * has a hole's neighbours leave with it throws out what is hot. So they move: as soon as the slabs
 * of a class have as many free chunks between them as one slab has, the emptiest of these fits into
 * the others, and nobody leaves the memory for it. Until then evictions go on, so what is free but
 * of no use is less than a slab of each class. A slab's worth of evictions pays for moving less
 * than a slab.
 *
 * Blocks that are dirty or borrowed stay where they are, and so does the slab: until one of its
 * chunks is freed it is left alone. Names move nowhere: they leave, and are asked for again.
 */
#include "cachefs/engine.h"

/* Is the clean block still the owner of the chunk? Then it moves. It counts if the index has it in
 * the shard that is locked: an entry that comes into another one right now may look as if it were
 * of this. */
static void move_block(cache_t *c, uint32_t i, uint32_t chunk, unsigned cls)
{
    const block_t *b = &c->blocks[i];
    uint64_t ver = LOAD(b->ver);
    uint32_t no = LOAD(b->no), mix = cachefs__mix(ver, no), to = 0;
    shard_t *s = cachefs__block_shard(c, mix);
    cachefs__lock(&s->lock, RANK_SHARD);
    if (ver && cachefs__block_find(c, ver, no, mix) == i && LOAD(b->data) == chunk &&
        !(LOAD(b->bits) & BLOCK_DIRTY) && !cachefs__block_borrowers(b))
        to = cachefs__arena_alloc(&c->arena, cls, OWNER_BLOCK | i);
    if (to && cachefs__block_move(c, i, to))
        cachefs__count(&c->counters, CNT_COMPACTED_BYTES, cachefs__class_bytes(cls));
    else if (to)
        cachefs__chunk_put(c, to);
    cachefs__unlock(&s->lock, RANK_SHARD);
}

static void ask_node(cache_t *c, uint32_t i, uint32_t chunk)
{
    node_t *n = &c->nodes[i];
    uint32_t hash = __atomic_load_n(&n->hash, __ATOMIC_RELAXED);
    shard_t *s = cachefs__node_shard(c, hash);
    obj_t *o = NULL;
    cachefs__lock(&s->lock, RANK_SHARD);
    if (cachefs__node_linked(c, s, i, hash) && n->path == chunk && !cachefs__node_kept(c, n)) {
        o = n->object ? &c->objs[n->object] : NULL;
        cachefs__node_free(c, s, i);
        cachefs__count(&c->counters, CNT_METADATA_EVICTIONS, 1);
    }
    cachefs__unlock(&s->lock, RANK_SHARD);
    if (o) cachefs__obj_put(c, o);
}

#define SLAB_CHUNKS 4096u

int cachefs__compact(cache_t *c, cachefs__wish_t *wish)
{
    uint32_t slab = cachefs__arena_sparse(&c->arena), *owners;
    if (!slab) return 0;
    owners = malloc(2 * SLAB_CHUNKS * sizeof(uint32_t));
    if (!owners) return 0;
    uint32_t *chunks = owners + SLAB_CHUNKS;
    size_t n = cachefs__arena_drain(&c->arena, slab, owners, chunks, SLAB_CHUNKS);
    unsigned cls = n ? cachefs__arena_class(&c->arena, slab) : 0; /* of which it stays meanwhile */
    for (size_t i = 0; i < n; i++) {
        uint32_t kind = OWNER_KIND(owners[i]), at = OWNER_INDEX(owners[i]);
        if (kind == OWNER_BLOCK) move_block(c, at, chunks[i], cls);
        if (kind == OWNER_NODE) ask_node(c, at, chunks[i]);
    }
    free(owners);
    return n && cachefs__arena_undrain(&c->arena, slab, wish->cls, wish->owner, &wish->chunk);
}
