/*
 * shadow.c - see shadow.h.
 * Floor 2. Knows keys, never the entries of the cache.
 */
#include "cachefs/policy/shadow.h"

static uint64_t shadow_key(const void *baton, uint32_t slot)
{
    return ((const cachefs__shadow_t *)baton)->keys[slot];
}

apr_status_t cachefs__shadow_create(const cachefs_policy_config_t *of, cachefs__shadow_t *shadow,
                                    const cachefs_policy_ops_t *ops, uint64_t entries,
                                    uint64_t bytes, apr_pool_t *pool)
{
    cachefs_policy_config_t config = {
        .size = sizeof(config), .capacity_bytes = bytes, .memory = of->memory};
    apr_status_t status = cachefs__ghosts_create(of, &shadow->table, entries, pool);

    if (status != APR_SUCCESS) return status;
    shadow->ops = ops;
    shadow->used = 0;
    shadow->keys = cachefs__policy_alloc(of, pool, sizeof(*shadow->keys) * shadow->table.slots_max);
    config.nodes = cachefs__policy_alloc(of, pool, sizeof(*config.nodes) * shadow->table.slots_max);
    if (shadow->keys == NULL || config.nodes == NULL) return APR_ENOMEM;
    if (ops->entry_bytes != 0) {
        config.extras =
            cachefs__policy_alloc(of, pool, (size_t)ops->entry_bytes * shadow->table.slots_max);
        if (config.extras == NULL) return APR_ENOMEM;
    }
    config.entries_max = shadow->table.slots_max;
    config.entries_hint = entries;
    config.key_of = shadow_key;
    config.key_baton = shadow;
    return ops->create(&shadow->state, &config, pool);
}

static void shadow_evict(cachefs__shadow_t *shadow)
{
    uint32_t slot = shadow->ops->victim(shadow->state);

    VFS_ASSERT(slot != CACHEFS_POLICY_NONE);
    shadow->used -= cachefs__ghost_bytes(&shadow->table, slot);
    cachefs__ghosts_give(&shadow->table, slot);
}

int cachefs__shadow_ask(cachefs__shadow_t *shadow, uint64_t hash, uint32_t bytes, uint64_t capacity)
{
    uint32_t slot = cachefs__ghosts_find(&shadow->table, hash);

    if (slot != CACHEFS_POLICY_NONE) {
        shadow->ops->touch(shadow->state, slot, 1);
        return 1;
    }
    while (shadow->table.count > 0 &&
           (shadow->used + bytes > capacity || shadow->table.count == shadow->table.slots_max))
        shadow_evict(shadow);
    slot = cachefs__ghosts_take(&shadow->table, hash, bytes);
    VFS_ASSERT(slot != CACHEFS_POLICY_NONE);
    shadow->keys[slot] = hash;
    shadow->used += cachefs__ghost_bytes(&shadow->table, slot);
    shadow->ops->insert(shadow->state, slot, hash, bytes);
    return 0;
}
