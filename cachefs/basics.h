/*
 * basics.h - small inline parts of the engine: hashes, shards, stripes, sequences, granules,
 * clocks. Included by engine.h, which has the types. Floor 2, private to cachefs/ and its tests.
 */
#ifndef CACHEFS_BASICS_H
#define CACHEFS_BASICS_H

/* Relaxed: what orders it stands beside. */
#define LOAD(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define STORE(x, v) atomic_store_explicit(&(x), (v), memory_order_relaxed)

/* What policies know a block by after it left. Versions of neighbours differ by one, so a small
 * factor would give a block of one file the key of a later block of the file before it: to those
 * who remember what left, a scan of new files would be one of files that come back. */
static inline uint64_t cachefs__block_key(uint64_t ver, uint64_t no)
{
    return ver * 0x9e3779b97f4a7c15ull + no;
}
/* Multiplied, folded and multiplied again: of the product, the top half is mixed well. */
static inline uint32_t cachefs__mix(uint64_t ver, uint64_t no)
{
    uint64_t x = cachefs__block_key(ver, no);
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93ull;
    return (uint32_t)(x >> 32);
}
/* The shard's number: the top bits; 64 bits wide, since one shard has none and shifts by 32. */
static inline uint32_t cachefs__top(const cache_t *c, uint32_t x)
{
    return (uint32_t)((uint64_t)x >> (32 - c->shard_bits));
}
static inline cachefs__part_t *cachefs__part(cache_t *c, uint32_t x)
{
    return &c->parts[(uint64_t)x >> (32 - c->part_bits)];
}
static inline shard_t *cachefs__block_shard(cache_t *c, uint32_t mix)
{
    return &c->shards[cachefs__top(c, mix)];
}
/* The chain of a block. Chains of one shard lie side by side: the top bits say which shard, those
 * that follow which chain of it. */
static inline _Atomic uint32_t *cachefs__head(const cache_t *c, uint32_t mix)
{
    return &c->heads[(uint64_t)mix >> c->heads_shift];
}
static inline uint32_t cachefs__spread(uint32_t hash)
{
    return hash * 0x9e3779b1u; /* FNV's low bits are good, its high bits are not */
}
static inline shard_t *cachefs__node_shard(cache_t *c, uint32_t hash)
{
    return &c->shards[cachefs__top(c, cachefs__spread(hash))];
}
static inline const char *cachefs__node_path(const cache_t *c, const node_t *n)
{
    return cachefs__chunk_ptr(&c->arena, n->path);
}
/* It asks before its next answer. Shard locked. */
static inline void cachefs__node_stale(node_t *n)
{
    n->checked_us = CHECKED_NEVER;
}
/* What a node's epoch must be for it to answer. */
static inline uint32_t cachefs__node_epoch(cache_t *c, unsigned direct)
{
    return atomic_load_explicit(direct ? &c->meta_epoch : &c->ns_epoch, memory_order_acquire);
}
static inline uint32_t cachefs__obj_index(const cache_t *c, const obj_t *o)
{
    return (uint32_t)(o - c->objs);
}
static inline cachefs__ostripe_t *cachefs__stripe(cache_t *c, const obj_t *o)
{
    return &c->ostripes[cachefs__obj_index(c, o) % OSTRIPES];
}
/* To look at an object, not to change it. */
static inline void cachefs__obj_look(cache_t *c, const obj_t *o)
{
    cachefs__lock(&cachefs__stripe(c, o)->mutex, RANK_OBJECT);
}
static inline void cachefs__obj_looked(cache_t *c, const obj_t *o)
{
    cachefs__unlock(&cachefs__stripe(c, o)->mutex, RANK_OBJECT);
}
/* What a reader without a lock copies between here and the end counts for nothing. */
static inline void cachefs__obj_seq_begin(obj_t *o)
{
    uint32_t seq = atomic_load_explicit(&o->attr_seq, memory_order_relaxed);
    VFS_ASSERT(!(seq & 1));
    atomic_store_explicit(&o->attr_seq, seq + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release); /* no store below is seen before the odd sequence */
}
static inline void cachefs__obj_seq_end(obj_t *o)
{
    uint32_t seq = atomic_load_explicit(&o->attr_seq, memory_order_relaxed);
    atomic_store_explicit(&o->attr_seq, seq + 1, memory_order_release);
}
static inline void cachefs__obj_lock(cache_t *c, obj_t *o)
{
    cachefs__obj_look(c, o);
    cachefs__obj_seq_begin(o);
}
static inline void cachefs__obj_unlock(cache_t *c, obj_t *o)
{
    cachefs__obj_seq_end(o);
    cachefs__obj_looked(c, o);
}
/* Version, block size or end change: reads without a lock that began before the end of it start
 * again. While the object is in doubt (doubt.c) nobody reads without a lock: the sequence stays
 * odd. Object locked. */
static inline void cachefs__obj_bytes_begin(obj_t *o)
{
    uint32_t seq = atomic_load_explicit(&o->seq, memory_order_relaxed);
    if (o->flags & OBJ_DOUBT) return;
    VFS_ASSERT(!(seq & 1));
    atomic_store_explicit(&o->seq, seq + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release); /* no store below is seen before the odd sequence */
}
static inline void cachefs__obj_bytes_end(obj_t *o)
{
    uint32_t seq = atomic_load_explicit(&o->seq, memory_order_relaxed);
    if (o->flags & OBJ_DOUBT) return;
    VFS_ASSERT(seq & 1);
    atomic_store_explicit(&o->seq, seq + 1, memory_order_release);
}
/* The end of a version that others made: a read that took it for that of the version before starts
 * again. Object locked. */
static inline void cachefs__obj_size_learned(obj_t *o, uint64_t size)
{
    if (atomic_load_explicit(&o->size, memory_order_relaxed) == size) return;
    cachefs__obj_bytes_begin(o);
    atomic_store_explicit(&o->size, size, memory_order_relaxed);
    cachefs__obj_bytes_end(o);
}
/* Shard locked. */
static inline uint32_t cachefs__block_seq(const block_t *b)
{
    return (uint32_t)(atomic_load_explicit(&b->state, memory_order_relaxed) >> STATE_SEQ_SHIFT);
}
/* How many borrow its memory; there may be more at once. */
static inline uint32_t cachefs__block_borrowers(const block_t *b)
{
    return (uint32_t)((atomic_load_explicit(&b->state, memory_order_relaxed) & STATE_BORROWERS) /
                      STATE_BORROW);
}
static inline int cachefs__block_touched(const block_t *b)
{
    return (atomic_load_explicit(&b->state, memory_order_relaxed) & STATE_TOUCHED) != 0;
}
/* The mark has a byte of the state for itself, so to set it takes no locked instruction, which
 * would wait for the stores of a copy before it. Whoever changes the state by compare and exchange
 * starts again; a mark that comes between the load and the store of who owns the state, while it is
 * odd, or after the block went, is one use more or less for the policy. */
static inline void cachefs__block_mark_as(block_t *b, uint8_t touched)
{
    uint8_t *bytes = (uint8_t *)&b->state;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    __atomic_store_n(&bytes[0], touched, __ATOMIC_RELAXED);
#else
    __atomic_store_n(&bytes[sizeof(b->state) - 1], touched, __ATOMIC_RELAXED);
#endif
}
static inline void cachefs__block_mark(block_t *b)
{
    cachefs__block_mark_as(b, STATE_TOUCHED);
}
/* The policy hears of what was noted. Shard locked. */
static inline void cachefs__block_untouch(block_t *b)
{
    cachefs__block_mark_as(b, 0);
}
static inline uint32_t cachefs__granule_shift(uint32_t shift)
{
    return shift <= 16 ? 12 : shift - 4;
}
static inline uint32_t cachefs__granule(uint32_t shift)
{
    return 1u << cachefs__granule_shift(shift);
}
/* The granules that hold bytes [from, to) of a block. */
static inline uint32_t cachefs__granules(uint32_t shift, uint32_t from, uint32_t to)
{
    uint32_t g = cachefs__granule_shift(shift);
    return to <= from ? 0 : (2u << ((to - 1) >> g)) - (1u << (from >> g));
}
static inline int64_t cachefs__now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
static inline uint64_t cachefs__min64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}
static inline int64_t cachefs__clock_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
/* So much after `now`, or as late as can be said. */
static inline int64_t cachefs__later_us(int64_t now, uint64_t us)
{
    return us < (uint64_t)(INT64_MAX - now) ? now + (int64_t)us : INT64_MAX;
}
static inline uint64_t cachefs__clock_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}
static inline cache_t *cachefs__of(const vfs_t *fs)
{
    cache_t *c = fs->state;
    VFS_ASSERT(c->magic == CACHE_MAGIC);
    return c;
}
static inline handle_t *cachefs__handle(vfs_file_t *file)
{
    handle_t *h = (handle_t *)file;
    VFS_ASSERT(h->magic == HANDLE_MAGIC);
    return h;
}

#endif
