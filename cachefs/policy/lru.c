/*
 * lru.c - the policy "lru": who was not used for longest leaves.
 * Floor 2. Knows entries by number only.
 *
 * One list. An entry comes in at the head, a touch moves it there again, the tail is the victim.
 * How often it was touched does not count. Because the engine reports hits late and in batches, the
 * order within one batch is the order in which the engine walks its marks, not that of the hits: it
 * is the order of a CLOCK hand then.
 */
#include "cachefs/policy/policies.h"

typedef struct lru_t {
    cachefs_policy_node_t *nodes;
    cachefs__plist_t list;
    uint32_t entries_max;
    uint32_t count;
} lru_t;

static apr_status_t lru_create(void **state, const cachefs_policy_config_t *config,
                               apr_pool_t *pool)
{
    apr_status_t status = cachefs__policy_check(config);
    lru_t *lru;

    if (status != APR_SUCCESS) return status;
    lru = cachefs__policy_calloc(config, pool, sizeof(*lru));
    if (lru == NULL) return APR_ENOMEM;
    lru->nodes = config->nodes;
    lru->entries_max = config->entries_max;
    cachefs__plist_init(&lru->list);
    *state = lru;
    return APR_SUCCESS;
}

static void lru_insert(void *state, uint32_t entry, uint64_t key, uint32_t bytes)
{
    lru_t *lru = state;

    (void)key;
    (void)bytes;
    VFS_ASSERT(entry < lru->entries_max);
    VFS_ASSERT(lru->count < lru->entries_max);
    cachefs__plist_push(&lru->list, lru->nodes, entry);
    lru->nodes[entry].word = CACHEFS__HELD;
    lru->count++;
}

static void lru_touch(void *state, uint32_t entry, uint32_t hits)
{
    lru_t *lru = state;

    (void)hits;
    VFS_ASSERT(entry < lru->entries_max);
    VFS_ASSERT(cachefs__held(lru->nodes, entry));
    if (lru->list.head == entry) return;
    cachefs__plist_unlink(&lru->list, lru->nodes, entry);
    cachefs__plist_push(&lru->list, lru->nodes, entry);
}

static void lru_remove(void *state, uint32_t entry)
{
    lru_t *lru = state;

    VFS_ASSERT(entry < lru->entries_max);
    VFS_ASSERT(cachefs__held(lru->nodes, entry));
    cachefs__plist_unlink(&lru->list, lru->nodes, entry);
    lru->nodes[entry].word = 0;
    lru->count--;
}

static uint32_t lru_victim(void *state)
{
    lru_t *lru = state;
    uint32_t entry = lru->list.tail;

    if (entry != CACHEFS_POLICY_NONE) lru_remove(lru, entry);
    return entry;
}

static uint32_t lru_count(void *state)
{
    return ((const lru_t *)state)->count;
}

const cachefs_policy_ops_t cachefs__policy_lru = {
    .abi = CACHEFS_POLICY_ABI,
    .size = sizeof(cachefs_policy_ops_t),
    .name = "lru",
    .create = lru_create,
    .insert = lru_insert,
    .touch = lru_touch,
    .remove = lru_remove,
    .victim = lru_victim,
    .count = lru_count,
};
