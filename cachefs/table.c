/*
 * table.c - the tables of an instance and the room in them: pools of entries, chunks, and eviction
 * when there is none. Floor 2, private to cachefs/. Knows blocks and nodes as owners of memory, not
 * what they mean.
 *
 * Room for a chunk is made in this order: a free chunk of the class; a free slab; one that can be
 * emptied without anybody leaving the memory (compact.c); victims of the policies, until one of
 * these is there. So the policy alone says who leaves, and no class can hold memory that the others
 * starve for.
 */
#include "cachefs/engine.h"

#include <sys/mman.h>

#define ROOM_TRIES 8192 /* for a chunk: a slab of the smallest, of each class */

static void *map_table(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static size_t blocks_bytes(const cache_t *c)
{
    return (size_t)c->block_pool.limit * sizeof(block_t);
}

static size_t extras_bytes(const cache_t *c)
{
    return (size_t)c->block_pool.limit * c->policy->entry_bytes;
}

static void pool_init(cachefs__pool_t *p, uint64_t limit, size_t entry, size_t slab)
{
    p->limit = limit > OWNER_INDEX(~0u) ? OWNER_INDEX(~0u) : (uint32_t)limit;
    p->high = 1; /* entry 0 is NONE */
    p->free = NONE;
    p->used = 0;
    p->step = (uint32_t)(slab / entry);
    p->paid = 0;
}

static uint32_t pow2_at_least(uint64_t n)
{
    uint32_t p = 1;
    while (p < n && p < (1u << 30))
        p <<= 1;
    return p;
}

#define DATA_SHARE 4 /* of the memory at least is left for data, where the cache is empty */

/* Memory outside of the arena that counts. VFS_ELIMIT: `ram` is too little for it. */
static apr_status_t lend(cache_t *c, uint64_t bytes)
{
    uint64_t credits = (bytes + c->arena.slab_bytes - 1) >> c->arena.slab_shift;
    if (credits > c->arena.slab_count) return VFS_ELIMIT;
    return cachefs__arena_lend(&c->arena, (uint32_t)credits) ? APR_SUCCESS : VFS_ELIMIT;
}

static apr_status_t shards_create(cache_t *c)
{
    uint32_t buckets = pow2_at_least(c->arena.bytes / GRANULE_MIN / c->shard_count);
    uint32_t node_buckets = pow2_at_least(c->metadata_max / c->shard_count);
    size_t each = (size_t)(buckets + node_buckets) * sizeof(uint32_t);
    size_t all = each * c->shard_count;
    apr_status_t st = lend(c, all);
    if (st) return st;
    c->heads = map_table(all);
    c->shards = c->heads ? aligned_alloc(64, c->shard_count * sizeof(shard_t)) : NULL;
    c->parts = calloc(c->part_count, sizeof(*c->parts));
    if (!c->shards || !c->parts) return APR_ENOMEM;
    c->heads_bytes = all;
    c->heads_shift = 32 - c->shard_bits - (uint32_t)__builtin_ctz(buckets);
    memset(c->shards, 0, c->shard_count * sizeof(shard_t));
    uint32_t *node_heads = (uint32_t *)(void *)c->heads + (size_t)buckets * c->shard_count;
    for (uint32_t i = 0; i < c->shard_count; i++) {
        shard_t *s = &c->shards[i];
        pthread_mutex_init(&s->lock, NULL);
        s->node_heads = node_heads + (size_t)i * node_buckets;
        s->node_mask = node_buckets - 1;
    }
    return APR_SUCCESS;
}

static uint64_t key_of(const void *baton, uint32_t entry)
{
    const block_t *b = &((const cache_t *)baton)->blocks[entry];
    return cachefs__block_key(atomic_load_explicit(&b->ver, memory_order_relaxed),
                              atomic_load_explicit(&b->no, memory_order_relaxed));
}

static apr_status_t policies_create(cache_t *c)
{
    uint64_t taken = 0;
    void *common = NULL;
    for (uint32_t i = 0; i < c->shard_count; i++) {
        cachefs_policy_config_t pc = {.size = sizeof(pc),
                                      .entries_max = c->block_pool.limit,
                                      .capacity_bytes = c->arena.bytes / c->shard_count,
                                      .ttl_us = c->config.data_ttl_us,
                                      .now = cachefs__now_us,
                                      .nodes = c->links,
                                      .entries_hint = c->arena.bytes / c->shard_count / 4096,
                                      .key_of = key_of,
                                      .key_baton = c,
                                      .extras = c->extras,
                                      .memory = &taken,
                                      .shard = i,
                                      .shards = c->shard_count,
                                      .common = &common,
                                      .burst_bytes = c->burst_bytes / c->shard_count};
        apr_status_t st = c->policy->create(&c->shards[i].policy, &pc, c->fs->pool);
        if (st) return st;
    }
    return lend(c, taken);
}

/* Each table has its first step from the beginning: bytes alone cannot starve names and objects. */
static apr_status_t pools_begin(cache_t *c)
{
    cachefs__pool_t *pools[] = {&c->block_pool, &c->node_pool, &c->obj_pool, &c->branch_pool};
    for (size_t i = 0; i < sizeof(pools) / sizeof(pools[0]); i++) {
        uint32_t entry = cachefs__pool_get(c, pools[i]);
        if (!entry) return VFS_ELIMIT;
        if (pools[i] != &c->branch_pool) /* whose first entry is the root */
            cachefs__pool_put(c, pools[i], entry);
    }
    return APR_SUCCESS;
}

/* The chains of objects by identity, and of branches by path. */
static apr_status_t heads_create(cache_t *c)
{
    c->ids.mask = pow2_at_least(c->metadata_max) - 1;
    c->tree.mask = pow2_at_least(c->metadata_max / 4) - 1;
    size_t ids = ((size_t)c->ids.mask + 1) * 4, tree = ((size_t)c->tree.mask + 1) * 4;
    c->ids.heads = map_table(ids);
    c->tree.heads = map_table(tree);
    pthread_mutex_init(&c->ids.lock, NULL);
    pthread_mutex_init(&c->tree.lock, NULL);
    if (!c->ids.heads || !c->tree.heads) return APR_ENOMEM;
    return lend(c, ids + tree);
}

#define FAR_STAGE_SHARE 64u /* of the memory */
#define FAR_STAGE_MIN (1u << 20)
#define FAR_STAGE_MAX                                                                              \
    ((4u << 20) - (64u << 10)) /* with what it is wrapped in, below two windows of SSH */

/* Room for what one call takes below where each call costs a round trip. */
static apr_status_t far_stage_create(cache_t *c)
{
    uint64_t bytes = cachefs__min64(c->arena.bytes / FAR_STAGE_SHARE, FAR_STAGE_MAX);
    if (c->mode != CACHEFS_BACK || !c->lower_is_far || bytes < FAR_STAGE_MIN) return APR_SUCCESS;
    apr_status_t st = lend(c, bytes);
    if (st) return st;
    c->far_stage = map_table(bytes);
    c->far_stage_bytes = bytes;
    return c->far_stage ? APR_SUCCESS : APR_ENOMEM;
}

apr_status_t cachefs__tables_create(cache_t *c)
{
    size_t slab = c->arena.slab_bytes;
    uint64_t blocks = c->arena.bytes / 1024 + 64; /* their tables are the limits: nobody passes */
    if (c->entries_max && c->entries_max < blocks) blocks = c->entries_max + 1;
    pool_init(&c->block_pool, blocks, sizeof(block_t) + sizeof(*c->links) + c->policy->entry_bytes,
              slab);
    pool_init(&c->node_pool, c->metadata_max + 1, sizeof(node_t), slab);
    pool_init(&c->branch_pool, 2 * c->metadata_max + 64, sizeof(branch_t), slab);
    pool_init(&c->obj_pool, c->metadata_max + c->config.handles_max + 64, sizeof(obj_t), slab);
    c->blocks = map_table(blocks_bytes(c));
    c->links = map_table((size_t)c->block_pool.limit * sizeof(*c->links));
    if (c->policy->entry_bytes) c->extras = map_table(extras_bytes(c));
    c->nodes = map_table((size_t)c->node_pool.limit * sizeof(node_t));
    c->objs = map_table((size_t)c->obj_pool.limit * sizeof(obj_t));
    c->branches = map_table((size_t)c->branch_pool.limit * sizeof(branch_t));
    apr_status_t st = heads_create(c);
    if (st) return st;
    if (!c->blocks || !c->links || !c->nodes || !c->objs || !c->branches ||
        (c->policy->entry_bytes && !c->extras))
        return APR_ENOMEM;
    st = shards_create(c);
    if (!st) st = policies_create(c);
    if (!st) st = far_stage_create(c);
    if (!st) st = pools_begin(c);
    /* a cache that is all index could not even keep what a prefetch brings */
    return !st && c->arena.free_slabs < c->arena.slab_count / DATA_SHARE ? VFS_ELIMIT : st;
}

void cachefs__tables_destroy(cache_t *c)
{
    if (c->blocks) munmap(c->blocks, blocks_bytes(c));
    if (c->links) munmap(c->links, (size_t)c->block_pool.limit * sizeof(*c->links));
    if (c->extras) munmap(c->extras, extras_bytes(c));
    if (c->nodes) munmap(c->nodes, (size_t)c->node_pool.limit * sizeof(node_t));
    if (c->objs) munmap(c->objs, (size_t)c->obj_pool.limit * sizeof(obj_t));
    if (c->branches) munmap(c->branches, (size_t)c->branch_pool.limit * sizeof(branch_t));
    if (c->ids.heads) munmap(c->ids.heads, ((size_t)c->ids.mask + 1) * sizeof(uint32_t));
    if (c->tree.heads) munmap(c->tree.heads, ((size_t)c->tree.mask + 1) * sizeof(uint32_t));
    if (c->heads) munmap((void *)c->heads, c->heads_bytes);
    if (c->far_stage) munmap(c->far_stage, c->far_stage_bytes);
    if (c->shards) {
        for (uint32_t i = 0; i < c->shard_count; i++)
            pthread_mutex_destroy(&c->shards[i].lock);
        free(c->shards);
    }
    free(c->parts);
    pthread_mutex_destroy(&c->ids.lock);
    pthread_mutex_destroy(&c->tree.lock);
}

/* ---- pools */

static uint32_t *pool_link(cache_t *c, cachefs__pool_t *p, uint32_t i)
{
    if (p == &c->block_pool) return &c->links[i].next;
    if (p == &c->node_pool) return &c->nodes[i].next;
    if (p == &c->branch_pool) return &c->branches[i].next;
    return &c->objs[i].id_next;
}

/* *more: 1: it could grow by a credit, 2: that is not its caller's way */
static uint32_t pool_try(cache_t *c, cachefs__pool_t *p, int *more)
{
    uint32_t i = NONE;
    cachefs__lock(&c->arena.lock, RANK_ARENA);
    if (p->free) {
        i = p->free;
        p->free = *pool_link(c, p, i);
    } else if (p->high < p->limit && p->high < p->paid) {
        i = p->high++;
    }
    if (i) p->used++;
    *more = p->high >= p->limit ? 0 : p == &c->block_pool && p->paid ? 2 : 1;
    cachefs__unlock(&c->arena.lock, RANK_ARENA);
    return i;
}

/* The table may use memory for another step. 0: none is free. */
static int pool_grow(cache_t *c, cachefs__pool_t *p)
{
    if (!cachefs__arena_lend(&c->arena, 1)) return 0;
    cachefs__lock(&c->arena.lock, RANK_ARENA);
    p->paid += p->step;
    cachefs__unlock(&c->arena.lock, RANK_ARENA);
    return 1;
}

uint32_t cachefs__pool_take(cache_t *c, cachefs__pool_t *p)
{
    int more;
    uint32_t i = pool_try(c, p, &more);
    return i || !more || !pool_grow(c, p) ? i : pool_try(c, p, &more);
}

static int evict_any(cache_t *c, uint32_t hint);

/* A slab becomes free, or wish->chunk is one of it. 0: nothing can go. `any`: if one is free that
 * will do. */
static int free_slab(cache_t *c, uint32_t hint, int any, cachefs__wish_t *wish)
{
    for (;;) {
        if (cachefs__compact(c, wish)) return 1;
        if (any && cachefs__arena_has_slab(&c->arena)) return 1;
        if (!evict_any(c, hint)) return 0;
        if (!any) return 1; /* the caller looks at what came of it */
    }
}

uint32_t cachefs__pool_get(cache_t *c, cachefs__pool_t *p)
{
    for (int tries = 0; tries < 64; tries++) { /* others may be quicker with what we free */
        int more;
        uint32_t i = pool_try(c, p, &more);
        if (i || !more) return i;
        if (pool_grow(c, p)) continue;
        if (more == 2) return NONE; /* who wants a block's entry evicts a block */
        cachefs__wish_t wish = WISH_SLAB;
        if (!free_slab(c, 0, 1, &wish)) return NONE;
    }
    return NONE;
}

void cachefs__pool_put(cache_t *c, cachefs__pool_t *p, uint32_t i)
{
    VFS_ASSERT(i != NONE);
    cachefs__lock(&c->arena.lock, RANK_ARENA);
    /* a reader without a lock may have strayed here (peek.c) */
    __atomic_store_n(pool_link(c, p, i), p->free, __ATOMIC_RELAXED);
    p->free = i;
    VFS_ASSERT(p->used > 0);
    p->used--;
    cachefs__unlock(&c->arena.lock, RANK_ARENA);
}

/* ---- eviction */

static void count_eviction(cache_t *c, uint32_t bytes)
{
    cachefs__count(&c->counters, CNT_EVICTIONS, 1);
    cachefs__count(&c->counters, CNT_EVICTED_BYTES, bytes);
}

/* Take a victim of one shard, which is locked. Returns the block, forgotten by the policy but still
 * in place, or NONE. */
static uint32_t choose_victim(cache_t *c, shard_t *s)
{
    for (int tries = 0; tries < 64; tries++) {
        uint32_t i = c->policy->victim(s->policy);
        if (i == CACHEFS_POLICY_NONE) return NONE;
        block_t *b = &c->blocks[i];
        uint32_t bits = atomic_load_explicit(&b->bits, memory_order_relaxed);
        VFS_ASSERT(bits & BLOCK_LISTED);
        VFS_ASSERT(
            !(bits & BLOCK_DIRTY)); /* invariant 3: dirty is a state the evictor cannot see */
        int touched = cachefs__block_touched(b);
        if (!cachefs__block_borrowers(b) && !touched) {
            atomic_store_explicit(&b->bits, bits & ~BLOCK_LISTED, memory_order_relaxed);
            return i;
        }
        /* borrowed, or hit since the policy last heard of it */
        unsigned cls = bits >> BLOCK_CLASS_SHIFT & 15;
        uint64_t ver = atomic_load_explicit(&b->ver, memory_order_relaxed);
        uint32_t no = atomic_load_explicit(&b->no, memory_order_relaxed);
        c->policy->insert(s->policy, i, cachefs__block_key(ver, no), cachefs__class_bytes(cls));
        if (touched) {
            cachefs__block_untouch(b);
            c->policy->touch(s->policy, i, 1);
        }
    }
    return NONE;
}

static shard_t *shard_at(cache_t *c, uint32_t hint, uint32_t i)
{
    return &c->shards[(hint + i) & (c->shard_count - 1)];
}

/* Of the shard that asks and another one, that which holds more: so all hold about the same,
 * whoever takes what was evicted. */
static uint32_t fuller(cache_t *c, uint32_t hint)
{
    uint32_t other = hint + c->shard_count / 2;
    uint64_t here = atomic_load_explicit(&shard_at(c, hint, 0)->bytes, memory_order_relaxed);
    uint64_t there = atomic_load_explicit(&shard_at(c, other, 0)->bytes, memory_order_relaxed);
    return there > here ? other : hint;
}

#define EVICT_LOOKS 32u /* at least: where few shards hold much, many in a row may be marked */

int cachefs__evict_one(cache_t *c, uint32_t hint)
{
    uint32_t first = fuller(c, hint);
    for (uint32_t k = 0; k < c->shard_count || k < EVICT_LOOKS; k++) {
        shard_t *s = shard_at(c, first, k);
        cachefs__lock(&s->lock, RANK_SHARD);
        uint32_t i = choose_victim(c, s);
        if (i) {
            uint32_t bits = atomic_load_explicit(&c->blocks[i].bits, memory_order_relaxed);
            uint32_t bytes = cachefs__class_bytes(bits >> BLOCK_CLASS_SHIFT & 15);
            if (bits & BLOCK_AHEAD) cachefs__count(&c->counters, CNT_READAHEAD_WASTED, bytes);
            cachefs__block_free(c, s, i);
            count_eviction(c, bytes);
        }
        cachefs__unlock(&s->lock, RANK_SHARD);
        if (i) return 1;
    }
    return 0;
}

/* Evict a block; where the policies have none, a name: these alone may hold slabs. */
static int evict_any(cache_t *c, uint32_t hint)
{
    if (cachefs__evict_one(c, hint)) return 1;
    for (uint32_t k = 0; k < c->shard_count; k++)
        if (cachefs__node_evict(c, shard_at(c, hint, k))) return 1;
    return 0;
}

uint32_t cachefs__chunk_get(cache_t *c, uint64_t bytes, uint32_t owner, uint32_t hint, int low)
{
    unsigned cls = cachefs__class_of(&c->arena, bytes);
    if (cls == ARENA_CLASSES) return 0;
    for (int tries = 0; tries < ROOM_TRIES; tries++) {
        uint32_t chunk = cachefs__arena_alloc(&c->arena, cls, owner);
        if (chunk || low) return chunk;
        cachefs__wish_t wish = {cls, owner, 0};
        if (cachefs__compact(c, &wish)) {
            if (wish.chunk) return wish.chunk;
        } else if (!evict_any(c, hint)) {
            return 0;
        }
    }
    return 0;
}

void cachefs__chunk_put(cache_t *c, uint32_t chunk)
{
    cachefs__arena_free(&c->arena, chunk);
}

uint64_t cachefs__shrink(cache_t *c, uint64_t target)
{
    uint32_t hint = 0;
    cachefs__listed_forget(c, NULL);
    while (atomic_load_explicit(&c->arena.used_bytes, memory_order_relaxed) > target) {
        cachefs__wish_t wish = WISH_SLAB;
        if (!free_slab(c, hint++, 0, &wish)) break;
    }
    cachefs__arena_trim(&c->arena);
    return atomic_load_explicit(&c->arena.used_bytes, memory_order_relaxed);
}
