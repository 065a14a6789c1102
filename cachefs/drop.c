/*
 * drop.c - clean blocks that go though nobody needs their room: one, those of a version, those of
 * many versions at once. Floor 2, private to cachefs/.
 *
 * Blocks of a version are found by number. Where a file has more numbers than there are blocks, all
 * blocks are looked at instead, so no size of a file makes a drop long. Many numbers are gathered
 * and sorted by shard first: each shard's lock is taken once for all of them that lie in it.
 */
#include "cachefs/engine.h"

#define LOAD(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define FEW 8u     /* drops that are not worth sorting */
#define MANY 4096u /* numbers of a file that are more than its blocks, perhaps */

void cachefs__sort_by(const uint32_t *key, uint32_t keys, size_t count, uint32_t *order)
{
    uint32_t begin[SORT_KEYS_MAX + 1];
    VFS_ASSERT(keys <= SORT_KEYS_MAX);
    memset(begin, 0, (keys + 1) * sizeof(*begin));
    for (size_t i = 0; i < count; i++)
        begin[key[i] + 1]++;
    for (uint32_t k = 0; k < keys; k++)
        begin[k + 1] += begin[k];
    for (size_t i = 0; i < count; i++)
        order[begin[key[i]]++] = (uint32_t)i;
}

uint32_t cachefs__blocks_end(cache_t *c)
{
    cachefs__lock(&c->arena.lock, RANK_ARENA);
    uint32_t end = c->block_pool.high;
    cachefs__unlock(&c->arena.lock, RANK_ARENA);
    return end;
}

static int drop_locked(cache_t *c, shard_t *s, uint64_t ver, uint32_t no, uint32_t mix)
{
    uint32_t i = cachefs__block_find(c, ver, no, mix);
    if (!i) return 0;
    if (LOAD(c->blocks[i].bits) & BLOCK_DIRTY) return -1;
    cachefs__block_free(c, s, i);
    return 1;
}

int cachefs__block_drop(cache_t *c, uint64_t ver, uint32_t no)
{
    uint32_t mix = cachefs__mix(ver, no);
    shard_t *s = cachefs__block_shard(c, mix);
    cachefs__lock(&s->lock, RANK_SHARD);
    int was = drop_locked(c, s, ver, no, mix);
    cachefs__unlock(&s->lock, RANK_SHARD);
    return was;
}

void cachefs__blocks_drop(cache_t *c, uint64_t ver, uint64_t first)
{
    uint32_t end = cachefs__blocks_end(c);
    for (uint32_t i = 1; i < end; i++) { /* a block never changes its entry */
        uint64_t of = LOAD(c->blocks[i].ver);
        uint32_t no = LOAD(c->blocks[i].no);
        if (of && (!ver || of == ver) && no >= first) (void)cachefs__block_drop(c, of, no);
    }
}

void cachefs__drops_run(cachefs__drops_t *d)
{
    cache_t *c = d->cache;
    uint32_t order[DROPS_MAX];
    size_t count = d->count;
    d->count = 0;
    if (count <= FEW) {
        for (size_t i = 0; i < count; i++)
            (void)cachefs__block_drop(c, d->ver[i], d->no[i]); /* dirty ones are their flusher's */
        return;
    }
    cachefs__sort_by(d->shard, c->shard_count, count, order);
    for (size_t i = 0; i < count;) {
        uint32_t shard = d->shard[order[i]];
        shard_t *s = &c->shards[shard];
        cachefs__lock(&s->lock, RANK_SHARD);
        for (; i < count && d->shard[order[i]] == shard; i++) {
            uint64_t ver = d->ver[order[i]];
            uint32_t no = d->no[order[i]];
            (void)drop_locked(c, s, ver, no, cachefs__mix(ver, no)); /* as above */
        }
        cachefs__unlock(&s->lock, RANK_SHARD);
    }
}

void cachefs__drops_add(cachefs__drops_t *d, const obj_t *o, const cachefs__dropped_t *was)
{
    cache_t *c = d->cache;
    uint64_t count = was->size ? ((was->size - 1) >> was->shift) + 1 : 0;
    if (!was->ver || !LOAD(o->resident)) return;
    if (count > MANY && count > cachefs__blocks_end(c)) {
        cachefs__blocks_drop(c, was->ver, 0);
        return;
    }
    for (uint64_t no = 0; no < count; no++) {
        uint32_t mix = cachefs__mix(was->ver, (uint32_t)no);
        d->ver[d->count] = was->ver;
        d->no[d->count] = (uint32_t)no;
        d->shard[d->count++] = (uint32_t)(cachefs__block_shard(c, mix) - c->shards);
        if (d->count < DROPS_MAX) continue;
        cachefs__drops_run(d);
        if (!LOAD(o->resident)) return;
    }
}

void cachefs__version_drop(cache_t *c, obj_t *o, uint64_t ver, uint64_t size, uint32_t shift)
{
    cachefs__drops_t d; /* large, so not all of it is set */
    d.cache = c;
    d.count = 0;
    cachefs__drops_add(&d, o, &(cachefs__dropped_t){ver, size, shift});
    cachefs__drops_run(&d);
}
