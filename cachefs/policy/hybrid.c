/*
 * hybrid.c - the policy "hybrid": what expired, else what is seldom used, of that what was not used
 * for longest. Floor 2. Knows entries by number only.
 *
 * Three orders in one. An entry is in a class by the logarithm of its uses: class c holds 2^c to
 * 2^(c+1) - 1 uses, the last of the eight everything from 128 on. Within a class a list goes by
 * recency. A second list goes by insertion, and because all live equally long its tail expires
 * first. The victim is
 *
 *     the tail of the insertion list, if it is older than the TTL;
 *     else the tail of the lowest class that is not empty.
 *
 * Aging: whenever as many victims left as entries are held (one turnover), all counts are halved.
 * Half the uses is one class less, so the classes step down as wholes: class 1 is put before the
 * head of class 0 (who was used more often counts as more recent), and the others are renamed by
 * turning a ring. A count is halved when it is next looked at: an entry keeps the turn at which it
 * was counted, and its count is shifted right by the turns since. 16 bits of turn are plenty. An
 * untouched entry is in class 0 after eight turns; then nobody comes between it and the tails, a
 * turn takes at least as many victims as the longer of its two queues, so what is before it shrinks
 * by a third each turn: it leaves before the hundredth.
 *
 * Insertion times are in ticks of a 4096th of the TTL, 32 bits: exact to that, and unique for half
 * a million TTLs.
 */
#include "cachefs/policy/policies.h"

#define HYBRID_CLASSES 8u
#define HYBRID_USES_MAX 255u
#define HYBRID_TICKS 4096u /* in one TTL */

/* The second list, and when: the extra of an entry. Only with a TTL. */
typedef struct hybrid_age_t {
    uint32_t older, younger;
    uint32_t born; /* tick */
} hybrid_age_t;

/* word of a node: HELD (8 bits), turn (16), uses (8) */
typedef struct hybrid_t {
    cachefs_policy_node_t *nodes;
    hybrid_age_t *ages; /* NULL: nothing expires */
    apr_time_t (*now)(void);
    uint64_t tick_us;
    uint64_t ttl_ticks;
    uint32_t oldest, youngest;
    uint32_t entries_max;
    uint32_t count;
    uint32_t turn;
    uint32_t left;                         /* victims since the last turn */
    cachefs__plist_t ring[HYBRID_CLASSES]; /* class c at (turn + c) mod 8 */
} hybrid_t;

static apr_status_t hybrid_create(void **state, const cachefs_policy_config_t *config,
                                  apr_pool_t *pool)
{
    apr_status_t status = cachefs__policy_check(config);
    hybrid_t *hybrid;
    uint32_t i;

    if (status != APR_SUCCESS) return status;
    VFS_CHECK_ARG(config->extras != NULL);
    hybrid = cachefs__policy_calloc(config, pool, sizeof(*hybrid));
    if (hybrid == NULL) return APR_ENOMEM;
    hybrid->nodes = config->nodes;
    hybrid->entries_max = config->entries_max;
    hybrid->oldest = hybrid->youngest = CACHEFS_POLICY_NONE;
    for (i = 0; i < HYBRID_CLASSES; i++)
        cachefs__plist_init(&hybrid->ring[i]);
    if (config->ttl_us != 0 && config->now != NULL) {
        hybrid->ages = config->extras;
        hybrid->now = config->now;
        hybrid->tick_us = config->ttl_us <= HYBRID_TICKS ? 1 : config->ttl_us / HYBRID_TICKS;
        hybrid->ttl_ticks = config->ttl_us / hybrid->tick_us;
    }
    *state = hybrid;
    return APR_SUCCESS;
}

static uint32_t hybrid_tick(const hybrid_t *hybrid)
{
    return (uint32_t)((uint64_t)hybrid->now() / hybrid->tick_us);
}

/* The uses of an entry, halved once for each turn since they were counted; at least 1. */
static uint32_t hybrid_uses(const hybrid_t *hybrid, uint32_t entry)
{
    uint32_t word = hybrid->nodes[entry].word;
    uint32_t turns = (hybrid->turn - (word >> 8)) & 0xffffu;
    uint32_t uses = turns < 8 ? (word & 0xffu) >> turns : 0;

    return uses != 0 ? uses : 1;
}

static cachefs__plist_t *hybrid_class(hybrid_t *hybrid, uint32_t uses)
{
    uint32_t class = 31u - (uint32_t)__builtin_clz(uses);

    VFS_ASSERT(class < HYBRID_CLASSES);
    return &hybrid->ring[(hybrid->turn + class) % HYBRID_CLASSES];
}

static void hybrid_link(hybrid_t *hybrid, uint32_t entry, uint32_t uses)
{
    cachefs__plist_push(hybrid_class(hybrid, uses), hybrid->nodes, entry);
    hybrid->nodes[entry].word = CACHEFS__HELD | (hybrid->turn & 0xffffu) << 8 | uses;
}

static void hybrid_insert(void *state, uint32_t entry, uint64_t key, uint32_t bytes)
{
    hybrid_t *hybrid = state;

    (void)key;
    (void)bytes;
    VFS_ASSERT(entry < hybrid->entries_max);
    VFS_ASSERT(hybrid->count < hybrid->entries_max);
    hybrid_link(hybrid, entry, 1);
    hybrid->count++;
    if (hybrid->ages == NULL) return;
    hybrid->ages[entry].born = hybrid_tick(hybrid);
    hybrid->ages[entry].older = hybrid->youngest;
    hybrid->ages[entry].younger = CACHEFS_POLICY_NONE;
    if (hybrid->youngest == CACHEFS_POLICY_NONE)
        hybrid->oldest = entry;
    else
        hybrid->ages[hybrid->youngest].younger = entry;
    hybrid->youngest = entry;
}

static void hybrid_touch(void *state, uint32_t entry, uint32_t hits)
{
    hybrid_t *hybrid = state;
    uint32_t uses;

    VFS_ASSERT(entry < hybrid->entries_max);
    VFS_ASSERT(cachefs__held(hybrid->nodes, entry));
    uses = hybrid_uses(hybrid, entry);
    cachefs__plist_unlink(hybrid_class(hybrid, uses), hybrid->nodes, entry);
    hybrid_link(hybrid, entry, hits > HYBRID_USES_MAX - uses ? HYBRID_USES_MAX : uses + hits);
}

static void hybrid_forget_age(hybrid_t *hybrid, uint32_t entry)
{
    uint32_t older = hybrid->ages[entry].older, younger = hybrid->ages[entry].younger;

    if (older == CACHEFS_POLICY_NONE)
        hybrid->oldest = younger;
    else
        hybrid->ages[older].younger = younger;
    if (younger == CACHEFS_POLICY_NONE)
        hybrid->youngest = older;
    else
        hybrid->ages[younger].older = older;
}

static void hybrid_remove(void *state, uint32_t entry)
{
    hybrid_t *hybrid = state;

    VFS_ASSERT(entry < hybrid->entries_max);
    VFS_ASSERT(cachefs__held(hybrid->nodes, entry));
    cachefs__plist_unlink(hybrid_class(hybrid, hybrid_uses(hybrid, entry)), hybrid->nodes, entry);
    if (hybrid->ages != NULL) hybrid_forget_age(hybrid, entry);
    hybrid->nodes[entry].word = 0;
    hybrid->count--;
}

/* Halve everything: class 1 joins class 0, and takes its place on the ring when that turns. */
static void hybrid_turn(hybrid_t *hybrid)
{
    cachefs__plist_t *lowest = &hybrid->ring[hybrid->turn % HYBRID_CLASSES];
    cachefs__plist_t *next = &hybrid->ring[(hybrid->turn + 1) % HYBRID_CLASSES];
    cachefs__plist_t joined = *lowest;

    cachefs__plist_prepend(&joined, hybrid->nodes, next);
    *next = joined;
    cachefs__plist_init(lowest);
    hybrid->turn++;
    hybrid->left = 0;
}

static uint32_t hybrid_choose(const hybrid_t *hybrid)
{
    uint32_t c;

    if (hybrid->ages != NULL) {
        uint32_t age = hybrid_tick(hybrid) - hybrid->ages[hybrid->oldest].born;

        /* the other half of the numbers: a clock that was set back */
        if (age >= hybrid->ttl_ticks && age <= INT32_MAX) return hybrid->oldest;
    }
    for (c = 0; c < HYBRID_CLASSES; c++) {
        const cachefs__plist_t *list = &hybrid->ring[(hybrid->turn + c) % HYBRID_CLASSES];

        if (!cachefs__plist_empty(list)) return list->tail;
    }
    return CACHEFS_POLICY_NONE;
}

static uint32_t hybrid_victim(void *state)
{
    hybrid_t *hybrid = state;
    uint32_t entry;

    if (hybrid->count == 0) return CACHEFS_POLICY_NONE;
    entry = hybrid_choose(hybrid);
    VFS_ASSERT(entry != CACHEFS_POLICY_NONE);
    hybrid_remove(hybrid, entry);
    if (++hybrid->left >= hybrid->count) hybrid_turn(hybrid);
    return entry;
}

static uint32_t hybrid_count(void *state)
{
    return ((const hybrid_t *)state)->count;
}

const cachefs_policy_ops_t cachefs__policy_hybrid = {
    .abi = CACHEFS_POLICY_ABI,
    .size = sizeof(cachefs_policy_ops_t),
    .name = "hybrid",
    .create = hybrid_create,
    .insert = hybrid_insert,
    .touch = hybrid_touch,
    .remove = hybrid_remove,
    .victim = hybrid_victim,
    .count = hybrid_count,
    .entry_bytes = sizeof(hybrid_age_t),
};
