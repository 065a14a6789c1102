/*
 * keep.c - who holds a block that is not dirty: the policy, or nobody, since it is protected; and
 * the limit of all that is pinned, protected or borrowed. Floor 2, private to cachefs/.
 *
 * Protection is a flag of the block, and its memory is counted for as long as it is set, dirty or
 * not: so a protected block that is written back is protected still. The limit is reserved before a
 * block is protected or lent, so that no two threads share its last bytes.
 */
#include "cachefs/engine.h"

int cachefs__pin_take(cache_t *c, uint64_t bytes)
{
    uint64_t most = LOAD(c->t.pin_bytes_max), held = LOAD(c->pinned_bytes);
    do {
        if (held > most || bytes > most - held) return 0; /* it may have been made smaller */
    } while (!atomic_compare_exchange_weak(&c->pinned_bytes, &held, held + bytes));
    return 1;
}

void cachefs__pin_give(cache_t *c, uint64_t bytes)
{
    uint64_t before = atomic_fetch_sub(&c->pinned_bytes, bytes);
    VFS_ASSERT(before >= bytes);
}

static uint32_t memory_of(const block_t *b)
{
    return cachefs__class_bytes(LOAD(b->bits) >> BLOCK_CLASS_SHIFT & 15);
}

void cachefs__block_list(cache_t *c, shard_t *s, uint32_t i)
{
    block_t *b = &c->blocks[i];
    VFS_ASSERT(!(LOAD(b->bits) & (BLOCK_LISTED | BLOCK_DIRTY | BLOCK_KEEP)));
    STORE(b->bits, LOAD(b->bits) | BLOCK_LISTED);
    c->policy->insert(s->policy, i, cachefs__block_key(LOAD(b->ver), LOAD(b->no)), memory_of(b));
}

void cachefs__block_unlist(cache_t *c, shard_t *s, uint32_t i)
{
    block_t *b = &c->blocks[i];
    if (!(LOAD(b->bits) & BLOCK_LISTED)) return;
    STORE(b->bits, LOAD(b->bits) & ~BLOCK_LISTED);
    c->policy->remove(s->policy, i);
}

/* 0: pin_bytes_max. Shard locked. */
static int protect(cache_t *c, shard_t *s, uint32_t i)
{
    block_t *b = &c->blocks[i];
    if (LOAD(b->bits) & BLOCK_KEEP) return 1;
    if (!cachefs__pin_take(c, memory_of(b))) return 0;
    cachefs__block_unlist(c, s, i);
    STORE(b->bits, LOAD(b->bits) | BLOCK_KEEP);
    return 1;
}

void cachefs__block_unprotect(cache_t *c, uint32_t i)
{
    block_t *b = &c->blocks[i];
    if (!(LOAD(b->bits) & BLOCK_KEEP)) return;
    STORE(b->bits, LOAD(b->bits) & ~BLOCK_KEEP);
    cachefs__pin_give(c, memory_of(b));
}

void cachefs__block_rest(cache_t *c, shard_t *s, uint32_t i, int keep)
{
    if (keep) (void)protect(c, s, i); /* beyond the limit it is as any other */
    if (!(LOAD(c->blocks[i].bits) & (BLOCK_LISTED | BLOCK_DIRTY | BLOCK_KEEP)))
        cachefs__block_list(c, s, i);
}

apr_status_t cachefs__block_keep(cache_t *c, uint64_t ver, uint32_t no, int keep)
{
    uint32_t mix = cachefs__mix(ver, no);
    shard_t *s = cachefs__block_shard(c, mix);
    apr_status_t st = APR_SUCCESS;
    cachefs__lock(&s->lock, RANK_SHARD);
    uint32_t i = cachefs__block_find(c, ver, no, mix);
    if (i && keep && !protect(c, s, i)) st = VFS_ELIMIT;
    if (i && !keep) {
        cachefs__block_unprotect(c, i);
        cachefs__block_rest(c, s, i, 0);
    }
    cachefs__unlock(&s->lock, RANK_SHARD);
    return st;
}

apr_status_t cachefs__version_keep(cache_t *c, uint64_t ver, uint64_t count, int keep)
{
    apr_status_t st = APR_SUCCESS;
    uint32_t end = cachefs__blocks_end(c);
    if (count < end) {
        for (uint32_t no = 0; no < count && !st; no++)
            st = cachefs__block_keep(c, ver, no, keep);
        return st;
    }
    for (uint32_t i = 1; i < end && !st; i++) /* a block never changes its entry */
        if (LOAD(c->blocks[i].ver) == ver)
            st = cachefs__block_keep(c, ver, LOAD(c->blocks[i].no), keep);
    return st;
}
