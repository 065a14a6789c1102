/*
 * lfu.c - the policy "lfu": who was used least often leaves, and old fame fades.
 * Floor 2. Knows entries by number only.
 *
 * Plain LFU never forgets: a block that was hot last week stays. LFU with dynamic aging (LFU-DA;
 * Arlitt, Cherkasova, Dilley, Friedrich, Jin: "Evaluating content management techniques for Web
 * proxy caches", 2000) gives each entry the rank
 *
 *     K = F + L      F: how often it was used since its insertion
 *                    L: the rank of the last victim, so it only grows
 *
 * taken anew at each use. The lowest rank leaves; of equal ranks the one that has had it for
 * longest. What comes in now starts at L + 1, so an entry with F = 100 that is used no more is
 * overtaken after a hundred rounds.
 *
 * O(1), after Shah, Mitra, Matani: "An O(1) algorithm for implementing the LFU cache eviction
 * scheme", 2010: entries of one rank share a bucket, a list. Theirs keeps the buckets in a list
 * too, which serves for steps of one; aging jumps. Here F ends at 255, so all ranks lie in [L, L +
 * 255], and the buckets are a ring of 256 indexed by K mod 256: any jump is one index, and the
 * lowest bucket that is not empty comes from a bitmap of four words. An instance takes 2 KiB.
 */
#include "cachefs/policy/policies.h"

#define LFU_RANKS 256u
#define LFU_WORDS (LFU_RANKS / 64u)
#define LFU_USES_MAX (LFU_RANKS - 1u)

/* word of a node: HELD (8 bits), unused (8), slot (8), F (8) */
typedef struct lfu_t {
    cachefs_policy_node_t *nodes;
    uint32_t entries_max;
    uint32_t count;
    uint32_t floor; /* L mod 256 */
    uint64_t used[LFU_WORDS];
    cachefs__plist_t ring[LFU_RANKS]; /* by K mod 256 */
} lfu_t;

static apr_status_t lfu_create(void **state, const cachefs_policy_config_t *config,
                               apr_pool_t *pool)
{
    apr_status_t status = cachefs__policy_check(config);
    lfu_t *lfu;
    uint32_t i;

    if (status != APR_SUCCESS) return status;
    lfu = cachefs__policy_calloc(config, pool, sizeof(*lfu));
    if (lfu == NULL) return APR_ENOMEM;
    lfu->nodes = config->nodes;
    lfu->entries_max = config->entries_max;
    for (i = 0; i < LFU_RANKS; i++)
        cachefs__plist_init(&lfu->ring[i]);
    *state = lfu;
    return APR_SUCCESS;
}

static void lfu_link(lfu_t *lfu, uint32_t entry, uint32_t uses)
{
    uint32_t slot = (lfu->floor + uses) % LFU_RANKS;

    cachefs__plist_push(&lfu->ring[slot], lfu->nodes, entry);
    lfu->used[slot / 64] |= 1ull << (slot % 64);
    lfu->nodes[entry].word = CACHEFS__HELD | slot << 8 | uses;
}

static void lfu_unlink(lfu_t *lfu, uint32_t entry)
{
    uint32_t slot = lfu->nodes[entry].word >> 8 & 0xffu;

    cachefs__plist_unlink(&lfu->ring[slot], lfu->nodes, entry);
    if (cachefs__plist_empty(&lfu->ring[slot])) lfu->used[slot / 64] &= ~(1ull << (slot % 64));
}

static void lfu_insert(void *state, uint32_t entry, uint64_t key, uint32_t bytes)
{
    lfu_t *lfu = state;

    (void)key;
    (void)bytes;
    VFS_ASSERT(entry < lfu->entries_max);
    VFS_ASSERT(lfu->count < lfu->entries_max);
    lfu_link(lfu, entry, 1);
    lfu->count++;
}

static void lfu_touch(void *state, uint32_t entry, uint32_t hits)
{
    lfu_t *lfu = state;
    uint32_t uses;

    VFS_ASSERT(entry < lfu->entries_max);
    VFS_ASSERT(cachefs__held(lfu->nodes, entry));
    uses = lfu->nodes[entry].word & 0xffu;
    uses = hits > LFU_USES_MAX - uses ? LFU_USES_MAX : uses + hits;
    lfu_unlink(lfu, entry);
    lfu_link(lfu, entry, uses);
}

static void lfu_remove(void *state, uint32_t entry)
{
    lfu_t *lfu = state;

    VFS_ASSERT(entry < lfu->entries_max);
    VFS_ASSERT(cachefs__held(lfu->nodes, entry));
    lfu_unlink(lfu, entry);
    lfu->nodes[entry].word = 0;
    lfu->count--;
}

/* The first slot in use from the floor on, around the ring: the word of the floor is looked at
 * twice, for the bits from it on and, last, for those before it. */
static uint32_t lfu_lowest(const lfu_t *lfu)
{
    uint32_t first = lfu->floor / 64, i;
    uint64_t above = ~0ull << (lfu->floor % 64);

    for (i = 0; i <= LFU_WORDS; i++) {
        uint32_t word = (first + i) % LFU_WORDS;
        uint64_t bits = lfu->used[word];

        if (i == 0) bits &= above;
        if (i == LFU_WORDS) bits &= ~above;
        if (bits != 0) return word * 64 + (uint32_t)__builtin_ctzll(bits);
    }
    return CACHEFS_POLICY_NONE;
}

static uint32_t lfu_victim(void *state)
{
    lfu_t *lfu = state;
    uint32_t slot = lfu_lowest(lfu), entry;

    VFS_ASSERT((slot == CACHEFS_POLICY_NONE) == (lfu->count == 0));
    if (slot == CACHEFS_POLICY_NONE) return CACHEFS_POLICY_NONE;
    entry = lfu->ring[slot].tail;
    lfu->floor = slot;
    lfu_remove(lfu, entry);
    return entry;
}

static uint32_t lfu_count(void *state)
{
    return ((const lfu_t *)state)->count;
}

const cachefs_policy_ops_t cachefs__policy_lfu = {
    .abi = CACHEFS_POLICY_ABI,
    .size = sizeof(cachefs_policy_ops_t),
    .name = "lfu",
    .create = lfu_create,
    .insert = lfu_insert,
    .touch = lfu_touch,
    .remove = lfu_remove,
    .victim = lfu_victim,
    .count = lfu_count,
};
