/*
 * block.c - the block index: find, put, cut, drop.
 * Floor 2, private to cachefs/. Knows versions and numbers; not names, not the lower layer.
 *
 * A bucket is a chain of blocks. A reader walks it without a lock: entries never change their type,
 * so the walk may stray into another chain when a block moves, but reads no foreign memory; it is
 * bounded by WALK_MAX, and what it finds counts only if the key matches between two equal, even
 * sequences. A miss found so may be wrong; the miss path looks again under the shard's lock. The
 * reader is in hit.c.
 */
#include "cachefs/engine.h"
#include "cachefs/copy.h"

/* A change of the block begins: readers that started before see the sequence move, and nobody
 * borrows from here on. 0: somebody does, and `alone` was asked for; else *borrowers receives how
 * many do, whom the block does not count any more. Acquire: who gave bytes back read them before.
 * Shard locked. */
static int state_begin(block_t *b, int alone, uint32_t *borrowers)
{
    uint64_t state = LOAD(b->state), odd;
    do {
        VFS_ASSERT(!(state & STATE_ODD));
        *borrowers = (uint32_t)((state & STATE_BORROWERS) / STATE_BORROW);
        if (alone && *borrowers) return 0;
        odd = (state & ~STATE_BORROWERS) + STATE_ODD;
    } while (!atomic_compare_exchange_weak_explicit(&b->state, &state, odd, memory_order_acquire,
                                                    memory_order_relaxed));
    atomic_thread_fence(memory_order_release); /* no store below is seen before the odd sequence */
    return 1;
}

/* For a change that takes the memory away. Returns how many borrow it. */
static uint32_t seq_begin(block_t *b)
{
    uint32_t borrowers;
    (void)state_begin(b, 0, &borrowers); /* which it cannot refuse */
    return borrowers;
}

/* For a change in place. 0: the bytes are borrowed, and it did not begin. */
static int seq_begin_alone(block_t *b)
{
    uint32_t none;
    return state_begin(b, 1, &none);
}

/* Nobody else writes the state while it is odd. */
static void seq_end(block_t *b)
{
    atomic_store_explicit(&b->state, LOAD(b->state) + STATE_ODD, memory_order_release);
}

uint32_t cachefs__block_find(cache_t *c, uint64_t ver, uint32_t no, uint32_t mix)
{
    uint32_t i = LOAD(*cachefs__head(c, mix));
    while (i != NONE) {
        block_t *b = &c->blocks[i];
        if (LOAD(b->ver) == ver && LOAD(b->no) == no) return i;
        i = LOAD(b->next);
    }
    return NONE;
}

uint32_t cachefs__block_read_locked(cache_t *c, uint32_t i, uint32_t shift, uint32_t boff,
                                    uint32_t n, int use, uint8_t *dst)
{
    block_t *b = &c->blocks[i];
    uint32_t done = 0, g = cachefs__granule(shift);
    uint32_t bits = atomic_load_explicit(&b->bits, memory_order_relaxed);
    uint32_t cap = cachefs__class_bytes(bits >> BLOCK_CLASS_SHIFT & 15);
    uint8_t *data =
        cachefs__chunk_ptr(&c->arena, atomic_load_explicit(&b->data, memory_order_relaxed));
    while (done < n && (bits & 1u << ((boff + done) / g))) {
        uint32_t at = boff + done, stop = (at / g + 1) * g, m = stop - at;
        if (m > n - done) m = n - done;
        uint32_t in = at >= cap ? 0 : at + m > cap ? cap - at : m;
        cachefs__copy_out(dst + done, data + at, in);
        memset(dst + done + in, 0, m - in); /* a valid granule is zero behind its memory */
        done += m;
    }
    if (use && done && !(bits & BLOCK_FIRST)) cachefs__block_mark(b);
    if (use && done) STORE(b->bits, bits & ~(BLOCK_AHEAD | BLOCK_FIRST));
    return done;
}

uint32_t cachefs__block_read(cache_t *c, uint64_t ver, uint32_t no, uint32_t shift, uint32_t boff,
                             uint32_t n, int use, uint8_t *dst)
{
    uint32_t mix = cachefs__mix(ver, no);
    shard_t *s = cachefs__block_shard(c, mix);
    cachefs__lock(&s->lock, RANK_SHARD);
    uint32_t i = cachefs__block_find(c, ver, no, mix);
    uint32_t done = i ? cachefs__block_read_locked(c, i, shift, boff, n, use, dst) : 0;
    cachefs__unlock(&s->lock, RANK_SHARD);
    return done;
}

static unsigned block_class(const block_t *b)
{
    return LOAD(b->bits) >> BLOCK_CLASS_SHIFT & 15;
}

static void account(cache_t *c, const block_t *b, int64_t bytes)
{
    uint64_t ver = LOAD(b->ver);
    obj_t *o = &c->objs[(uint32_t)ver];
    shard_t *s = cachefs__block_shard(c, cachefs__mix(ver, LOAD(b->no)));
    STORE(s->bytes, LOAD(s->bytes) + (uint64_t)bytes);
    atomic_fetch_add_explicit(&o->resident, (uint64_t)bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->resident_bytes, (uint64_t)bytes, memory_order_relaxed);
}

/* The block's memory is given up: freed, or left to those who borrowed it. */
static void data_release(cache_t *c, block_t *b, uint32_t borrowers)
{
    uint32_t chunk = LOAD(b->data);
    if (!borrowers || cachefs__arena_leave(&c->arena, chunk, borrowers))
        cachefs__chunk_put(c, chunk);
}

void cachefs__block_free(cache_t *c, shard_t *s, uint32_t i)
{
    block_t *b = &c->blocks[i];
    uint32_t mix = cachefs__mix(LOAD(b->ver), LOAD(b->no));
    VFS_ASSERT(!(LOAD(b->bits) & BLOCK_DIRTY)); /* invariant 3 */
    cachefs__block_unlist(c, s, i);
    cachefs__block_unprotect(c, i);
    _Atomic uint32_t *at = cachefs__head(c, mix);
    while (LOAD(*at) != i) {
        VFS_ASSERT(LOAD(*at) != NONE);
        at = &c->blocks[LOAD(*at)].next;
    }
    account(c, b, -(int64_t)cachefs__class_bytes(block_class(b)));
    uint32_t borrowers = seq_begin(b);
    atomic_store_explicit(at, LOAD(b->next), memory_order_release);
    STORE(b->ver, 0);
    data_release(c, b, borrowers);
    STORE(b->data, 0);
    STORE(b->bits, 0);
    STORE(b->state, LOAD(b->state) & ~STATE_TOUCHED);
    seq_end(b);
    cachefs__part(c, mix)->blocks--;
    atomic_fetch_sub_explicit(&c->block_count, 1, memory_order_relaxed);
    cachefs__pool_put(c, &c->block_pool, i);
}

/* Bytes [from, to) of a range that lies in granule g, given that granule's bounds. */
static void clamp(uint32_t g, uint32_t size, uint32_t *from, uint32_t *to)
{
    uint32_t lo = g * size, hi = lo + size;
    *from = *from < lo ? lo : *from > hi ? hi : *from;
    *to = *to < lo ? lo : *to > hi ? hi : *to;
}

/* With the pages that are whole from the beginning on: all that a hit looks at in most cases. */
static uint32_t with_whole(uint32_t bits, uint32_t shift)
{
    uint32_t bytes = (uint32_t)__builtin_ctz(~bits | ~BLOCK_VALID_MASK)
                     << cachefs__granule_shift(shift);
    uint32_t cap = cachefs__class_bytes(bits >> BLOCK_CLASS_SHIFT & 15);
    if (bytes > cap) bytes = cap;
    return (bits & ((1u << BLOCK_WHOLE_SHIFT) - 1)) | bytes >> BLOCK_PAGE_SHIFT
                                                                   << BLOCK_WHOLE_SHIFT;
}

/* Bytes [from, to) of the block, of those that are given. */
static void put_given(uint8_t *data, const cachefs__put_t *p, uint32_t from, uint32_t to)
{
    if (!p->bytes)
        cachefs__pieces_copy(p->pieces, p->pos + (from - p->from), to - from, data + from);
    else if ((const uint8_t *)p->bytes != data + p->from) /* it may be the block's own memory */
        cachefs__copy_in(data + from, (const uint8_t *)p->bytes + (from - p->from), to - from);
}

/* The bytes and, before and behind them, the rest of the granules [lo, hi). */
static void put_bytes(uint8_t *data, const cachefs__put_t *p, uint32_t lo, uint32_t hi)
{
    put_given(data, p, p->from, p->to);
    if (p->from > lo) cachefs__zero_in(data + lo, p->from - lo);
    if (p->to < hi) cachefs__zero_in(data + p->to, hi - p->to);
}

/* Granule by granule, since some are valid already and others are not. Returns those that are. */
static uint32_t put_granules(uint8_t *data, const cachefs__put_t *p, uint32_t valid, uint32_t cap)
{
    uint32_t size = cachefs__granule(p->shift);
    for (uint32_t g = 0; g * size < cap; g++) {
        uint32_t bit = 1u << g, from = p->from, to = p->to, lo = g * size, hi = lo + size;
        if (p->only_missing && (valid & bit)) continue;
        clamp(g, size, &from, &to);
        if (from < to) put_given(data, p, from, to);
        if (!(p->valid & bit) || (valid & bit)) continue;
        if (hi > cap) hi = cap;
        if (from >= to) from = to = hi; /* nothing given: all of it is zero */
        if (from > lo) cachefs__zero_in(data + lo, from - lo);
        if (to < hi) cachefs__zero_in(data + to, hi - to);
        valid |= bit;
    }
    return valid;
}

/* Put the bytes in. The block's memory holds put->end bytes at least. Begun. */
static void apply(cache_t *c, uint32_t i, const cachefs__put_t *p)
{
    block_t *b = &c->blocks[i];
    uint32_t bits = LOAD(b->bits), valid = bits & BLOCK_VALID_MASK;
    uint32_t cap = cachefs__class_bytes(block_class(b)), size = cachefs__granule(p->shift);
    uint32_t all = cachefs__granules(p->shift, p->from, p->to);
    uint8_t *data = cachefs__chunk_ptr(&c->arena, LOAD(b->data));
    if (p->valid == all && !(valid & all)) {
        uint32_t hi = (p->to + size - 1) & ~(size - 1);
        put_bytes(data, p, p->from & ~(size - 1), hi < cap ? hi : cap);
        valid |= all;
    } else {
        valid = put_granules(data, p, valid, cap);
    }
    bits = (bits & ~BLOCK_VALID_MASK) | valid;
    if (!p->ahead) bits &= ~BLOCK_AHEAD;
    if (!p->first) bits &= ~BLOCK_FIRST;
    STORE(b->bits, with_whole(bits, p->shift));
}

int cachefs__block_overwrite(cache_t *c, uint32_t i, uint32_t from, uint32_t to, const void *bytes)
{
    block_t *b = &c->blocks[i];
    if (!seq_begin_alone(b)) return 0;
    cachefs__copy_in((uint8_t *)cachefs__chunk_ptr(&c->arena, LOAD(b->data)) + from, bytes,
                     to - from);
    STORE(b->bits, LOAD(b->bits) & ~(BLOCK_AHEAD | BLOCK_FIRST));
    return 1;
}

void cachefs__block_overwritten(cache_t *c, uint32_t i)
{
    seq_end(&c->blocks[i]);
}

/* A change begins that moves the block to larger or unshared memory. Shard locked. */
static void move_data(cache_t *c, uint32_t i, uint32_t chunk, uint32_t shift)
{
    block_t *b = &c->blocks[i];
    uint32_t old_bytes = cachefs__class_bytes(block_class(b));
    unsigned cls = cachefs__arena_class(&c->arena, chunk);
    uint32_t new_bytes = cachefs__class_bytes(cls);
    uint8_t *to = cachefs__chunk_ptr(&c->arena, chunk);
    uint32_t borrowers = seq_begin(b);
    uint32_t n = old_bytes < new_bytes ? old_bytes : new_bytes;
    cachefs__copy_in(to, cachefs__chunk_ptr(&c->arena, LOAD(b->data)), n);
    if (n < new_bytes) cachefs__zero_in(to + n, new_bytes - n);
    data_release(c, b, borrowers);
    STORE(b->data, chunk);
    uint32_t bits = (LOAD(b->bits) & ~(15u << BLOCK_CLASS_SHIFT)) | cls << BLOCK_CLASS_SHIFT;
    STORE(b->bits, with_whole(bits, shift));
    cachefs__arena_set_owner(&c->arena, chunk, OWNER_BLOCK | i);
    account(c, b, (int64_t)new_bytes - (int64_t)old_bytes);
}

int cachefs__block_move(cache_t *c, uint32_t i, uint32_t chunk)
{
    block_t *b = &c->blocks[i];
    if (!seq_begin_alone(b)) return 0;
    VFS_ASSERT(cachefs__arena_class(&c->arena, chunk) == block_class(b));
    cachefs__copy_in(cachefs__chunk_ptr(&c->arena, chunk),
                     cachefs__chunk_ptr(&c->arena, LOAD(b->data)),
                     cachefs__class_bytes(block_class(b)));
    cachefs__chunk_put(c, LOAD(b->data));
    STORE(b->data, chunk);
    seq_end(b);
    return 1;
}

/* The change that makes the block begins. Shard locked. */
static void block_insert(cache_t *c, uint32_t i, uint32_t mix, uint32_t chunk,
                         const cachefs__put_t *p)
{
    block_t *b = &c->blocks[i];
    _Atomic uint32_t *head = cachefs__head(c, mix);
    unsigned cls = cachefs__arena_class(&c->arena, chunk);
    uint32_t borrowers = seq_begin(b);
    VFS_ASSERT(!borrowers);
    STORE(b->ver, p->ver);
    STORE(b->no, p->no);
    STORE(b->data, chunk);
    STORE(b->bits,
          cls << BLOCK_CLASS_SHIFT | (p->ahead ? BLOCK_AHEAD : 0) | (p->first ? BLOCK_FIRST : 0));
    STORE(b->next, LOAD(*head));
    cachefs__arena_set_owner(&c->arena, chunk, OWNER_BLOCK | i);
    account(c, b, cachefs__class_bytes(cls));
    atomic_store_explicit(head, i, memory_order_release);
    cachefs__part(c, mix)->blocks++;
    atomic_fetch_add_explicit(&c->block_count, 1, memory_order_relaxed);
}

/* A read that is announced counts as two uses: the announcement, and the read to come. One is what
 * any newcomer has, and policies that wait for the second let it go. Shard locked. */
#define WANTED_USES 2u

static void wanted(cache_t *c, shard_t *s, uint32_t i)
{
    block_t *b = &c->blocks[i];
    STORE(b->bits, LOAD(b->bits) & ~(BLOCK_AHEAD | BLOCK_FIRST));
    if (LOAD(b->bits) & BLOCK_LISTED) c->policy->touch(s->policy, i, WANTED_USES);
}

/* Who holds the block from now on: the flusher, nobody (protected), or the policy. */
static void settle(cache_t *c, shard_t *s, obj_t *o, uint32_t i, const cachefs__put_t *p)
{
    if (p->dirty) {
        cachefs__block_unlist(c, s, i);
        cachefs__dirty_add(c, o, i, cachefs__granules(p->shift, p->from, p->to));
    }
    cachefs__block_rest(c, s, i, p->keep || atomic_load(&o->pins));
    if (p->wanted) wanted(c, s, i);
}

/* The bytes are in: the change ends. A block is dirty before anybody can borrow it as it is now. */
static void change_end(cache_t *c, shard_t *s, obj_t *o, uint32_t i, const cachefs__put_t *p)
{
    apply(c, i, p);
    settle(c, s, o, i, p);
    seq_end(&c->blocks[i]);
}

/* Change a block that is there: in place, or, if it needs more memory or somebody borrowed it, in
 * *spare, which it takes. 0: it needs some and there is none. Shard locked. */
static int change(cache_t *c, shard_t *s, obj_t *o, uint32_t i, uint32_t need, uint32_t *spare,
                  const cachefs__put_t *p)
{
    block_t *b = &c->blocks[i];
    if (cachefs__class_bytes(block_class(b)) < need || !seq_begin_alone(b)) {
        int kept = (LOAD(b->bits) & BLOCK_KEEP) != 0;
        if (!*spare) return 0;
        cachefs__block_unlist(c, s, i); /* its size changes */
        cachefs__block_unprotect(c, i);
        move_data(c, i, *spare, p->shift);
        *spare = 0;
        cachefs__block_rest(c, s, i, kept);
    }
    change_end(c, s, o, i, p);
    return 1;
}

/* An entry for a new block; evicts one for it where the table is full. */
static uint32_t entry_get(cache_t *c, uint32_t hint, int low)
{
    for (int tries = 0; tries < 16; tries++) {
        uint32_t i = cachefs__pool_get(c, &c->block_pool);
        if (i) return i;
        if (low || !cachefs__evict_one(c, hint)) return NONE;
    }
    return NONE;
}

static int chunk_fits(cache_t *c, uint32_t chunk, uint32_t need)
{
    return cachefs__class_bytes(cachefs__arena_class(&c->arena, chunk)) >= need;
}

apr_status_t cachefs__block_put(cache_t *c, obj_t *o, const cachefs__put_t *p)
{
    uint32_t mix = cachefs__mix(p->ver, p->no), hint;
    shard_t *s = cachefs__block_shard(c, mix);
    uint32_t spare = p->chunk, entry = NONE;
    uint32_t need = p->end > p->to ? p->end : p->to;
    apr_status_t st = APR_SUCCESS;
    int taken = 0; /* p->chunk became the block's */
    hint = (uint32_t)(s - c->shards);
    VFS_ASSERT(p->ver != 0 && need <= 1u << p->shift);
    for (;;) {
        cachefs__lock(&s->lock, RANK_SHARD);
        uint32_t i = cachefs__block_find(c, p->ver, p->no, mix);
        if (p->leans & ~(i ? LOAD(c->blocks[i].bits) : 0u)) {
            st = FILL_AGAIN; /* the block left while there was no lock: what was known of it is not
                              */
            break;
        }
        uint32_t other = spare == p->chunk ? 0 : spare; /* bytes are not copied onto themselves */
        if (i && change(c, s, o, i, need, &other, p)) {
            if (!other && spare != p->chunk) spare = 0;
            break;
        }
        if (!i && p->existing) {
            st = APR_NOTFOUND;
            break;
        }
        if (!i && spare && entry && chunk_fits(c, spare, need)) {
            block_insert(c, entry, mix, spare, p);
            change_end(c, s, o, entry, p);
            if (spare == p->chunk) taken = 1;
            entry = NONE;
            spare = 0;
            break;
        }
        cachefs__unlock(&s->lock, RANK_SHARD);
        if (!i && !entry) entry = entry_get(c, hint, p->low);
        if (!spare || (i && spare == p->chunk) || !chunk_fits(c, spare, need)) {
            if (spare && spare != p->chunk) cachefs__chunk_put(c, spare);
            spare = cachefs__chunk_get(c, need, OWNER_PRIVATE, hint, p->low);
        }
        if (!spare || (!i && !entry)) {
            st = VFS_ELIMIT;
            goto done;
        }
    }
    cachefs__unlock(&s->lock, RANK_SHARD);
done:
    if (entry) cachefs__pool_put(c, &c->block_pool, entry);
    if (spare && spare != p->chunk) cachefs__chunk_put(c, spare);
    if (p->chunk && !taken) cachefs__chunk_put(c, p->chunk);
    return st;
}

void cachefs__block_cut(cache_t *c, uint64_t ver, uint32_t no, uint32_t shift, uint32_t from,
                        uint32_t to, int zero)
{
    uint32_t mix = cachefs__mix(ver, no);
    shard_t *s = cachefs__block_shard(c, mix);
    cachefs__lock(&s->lock, RANK_SHARD);
    uint32_t i = cachefs__block_find(c, ver, no, mix);
    if (i) {
        block_t *b = &c->blocks[i];
        uint32_t cap = cachefs__class_bytes(block_class(b));
        uint32_t end = to > cap ? cap : to; /* a granule is valid behind its memory too: zeros */
        if (!seq_begin_alone(b)) {          /* it is borrowed, so it is clean */
            cachefs__block_free(c, s, i);   /* whoever borrowed the bytes keeps them as they are */
            cachefs__unlock(&s->lock, RANK_SHARD);
            return;
        }
        if (zero && from < end)
            cachefs__zero_in((uint8_t *)cachefs__chunk_ptr(&c->arena, LOAD(b->data)) + from,
                             end - from);
        if (!zero)
            STORE(b->bits, with_whole(LOAD(b->bits) & ~cachefs__granules(shift, from, to), shift));
        seq_end(b);
    }
    cachefs__unlock(&s->lock, RANK_SHARD);
}

uint32_t cachefs__valid_mask(cache_t *c, uint64_t ver, uint32_t no, int *dirty)
{
    uint32_t mix = cachefs__mix(ver, no), valid = 0;
    shard_t *s = cachefs__block_shard(c, mix);
    cachefs__lock(&s->lock, RANK_SHARD);
    uint32_t i = cachefs__block_find(c, ver, no, mix);
    if (i) valid = LOAD(c->blocks[i].bits) & BLOCK_VALID_MASK;
    if (dirty) *dirty = i && (LOAD(c->blocks[i].bits) & BLOCK_DIRTY);
    cachefs__unlock(&s->lock, RANK_SHARD);
    return valid;
}

uint32_t cachefs__block_wanted(cache_t *c, uint64_t ver, uint32_t no)
{
    uint32_t mix = cachefs__mix(ver, no), valid = 0;
    shard_t *s = cachefs__block_shard(c, mix);
    cachefs__lock(&s->lock, RANK_SHARD);
    uint32_t i = cachefs__block_find(c, ver, no, mix);
    if (i) {
        valid = LOAD(c->blocks[i].bits) & BLOCK_VALID_MASK;
        wanted(c, s, i);
    }
    cachefs__unlock(&s->lock, RANK_SHARD);
    return valid;
}

int cachefs__block_is_there(cache_t *c, uint64_t ver, uint32_t no, int used)
{
    uint32_t mix = cachefs__mix(ver, no);
    shard_t *s = cachefs__block_shard(c, mix);
    cachefs__lock(&s->lock, RANK_SHARD);
    uint32_t i = cachefs__block_find(c, ver, no, mix);
    int is = i && (LOAD(c->blocks[i].bits) & BLOCK_VALID_MASK) &&
             !(used && (LOAD(c->blocks[i].bits) & BLOCK_AHEAD));
    cachefs__unlock(&s->lock, RANK_SHARD);
    return is;
}
