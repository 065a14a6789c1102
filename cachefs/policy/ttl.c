/*
 * ttl.c - the policy "ttl": who expires first leaves.
 * Floor 2. Knows entries by number only.
 *
 * All entries live equally long from their insertion, and nothing but an insertion renews them. So
 * the order of expiry is the order of insertion, expired entries are always the first of it, and
 * one list in that order is the whole policy: it needs neither a clock nor a heap, and a touch
 * changes nothing. Whether an entry may still be served is not asked here: freshness is the
 * coherence of names (attr_ttl), this is only about who makes room.
 */
#include "cachefs/policy/policies.h"

typedef struct ttl_t {
    cachefs_policy_node_t *nodes;
    cachefs__plist_t list; /* the tail was inserted first */
    uint32_t entries_max;
    uint32_t count;
} ttl_t;

static apr_status_t ttl_create(void **state, const cachefs_policy_config_t *config,
                               apr_pool_t *pool)
{
    apr_status_t status = cachefs__policy_check(config);
    ttl_t *ttl;

    if (status != APR_SUCCESS) return status;
    ttl = cachefs__policy_calloc(config, pool, sizeof(*ttl));
    if (ttl == NULL) return APR_ENOMEM;
    ttl->nodes = config->nodes;
    ttl->entries_max = config->entries_max;
    cachefs__plist_init(&ttl->list);
    *state = ttl;
    return APR_SUCCESS;
}

static void ttl_insert(void *state, uint32_t entry, uint64_t key, uint32_t bytes)
{
    ttl_t *ttl = state;

    (void)key;
    (void)bytes;
    VFS_ASSERT(entry < ttl->entries_max);
    VFS_ASSERT(ttl->count < ttl->entries_max);
    cachefs__plist_push(&ttl->list, ttl->nodes, entry);
    ttl->nodes[entry].word = CACHEFS__HELD;
    ttl->count++;
}

static void ttl_touch(void *state, uint32_t entry, uint32_t hits)
{
    const ttl_t *ttl = state;

    (void)hits;
    VFS_ASSERT(entry < ttl->entries_max);
    VFS_ASSERT(cachefs__held(ttl->nodes, entry));
}

static void ttl_remove(void *state, uint32_t entry)
{
    ttl_t *ttl = state;

    VFS_ASSERT(entry < ttl->entries_max);
    VFS_ASSERT(cachefs__held(ttl->nodes, entry));
    cachefs__plist_unlink(&ttl->list, ttl->nodes, entry);
    ttl->nodes[entry].word = 0;
    ttl->count--;
}

static uint32_t ttl_victim(void *state)
{
    ttl_t *ttl = state;
    uint32_t entry = ttl->list.tail;

    if (entry != CACHEFS_POLICY_NONE) ttl_remove(ttl, entry);
    return entry;
}

static uint32_t ttl_count(void *state)
{
    return ((const ttl_t *)state)->count;
}

const cachefs_policy_ops_t cachefs__policy_ttl = {
    .abi = CACHEFS_POLICY_ABI,
    .size = sizeof(cachefs_policy_ops_t),
    .name = "ttl",
    .create = ttl_create,
    .insert = ttl_insert,
    .touch = ttl_touch,
    .remove = ttl_remove,
    .victim = ttl_victim,
    .count = ttl_count,
};
