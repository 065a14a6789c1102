/*
 * shadow.c - see shadow.h.
 * Floor 2. Knows keys, never the entries of the cache.
 */
#include "cachefs/policy/shadow.h"

#define NONE CACHEFS_POLICY_NONE

static uint64_t shadow_key(const void *baton, uint32_t slot)
{
    return ((const cachefs__shadow_t *)baton)->slots[slot].tag;
}

static apr_status_t shadow_table(const cachefs_policy_config_t *of, cachefs__shadow_t *shadow,
                                 uint64_t entries, apr_pool_t *pool)
{
    uint32_t heads = 16;

    VFS_ASSERT(entries > 0 && entries < INT32_MAX);
    while (heads < entries)
        heads *= 2;
    shadow->slots = cachefs__policy_alloc(of, pool, sizeof(*shadow->slots) * (size_t)entries);
    shadow->heads = cachefs__policy_alloc(of, pool, sizeof(*shadow->heads) * heads);
    if (shadow->slots == NULL || shadow->heads == NULL) return APR_ENOMEM;
    memset(shadow->heads, 0xff, sizeof(*shadow->heads) * heads); /* NONE */
    shadow->mask = heads - 1;
    shadow->slots_max = (uint32_t)entries;
    shadow->fresh = 0;
    shadow->free = NONE;
    return APR_SUCCESS;
}

apr_status_t cachefs__shadow_create(const cachefs_policy_config_t *of, cachefs__shadow_t *shadow,
                                    const cachefs_policy_ops_t *ops, uint64_t entries,
                                    uint64_t bytes, apr_pool_t *pool)
{
    cachefs_policy_config_t config = {
        .size = sizeof(config), .capacity_bytes = bytes, .memory = of->memory};
    uint64_t of_bytes = of->capacity_bytes != 0 ? of->capacity_bytes : 1;
    apr_status_t status = shadow_table(of, shadow, entries, pool);
    void *state = NULL;

    VFS_ASSERT(ops->entry_bytes == 0);
    if (status != APR_SUCCESS) return status;
    config.nodes = cachefs__policy_alloc(of, pool, sizeof(*config.nodes) * shadow->slots_max);
    if (config.nodes == NULL) return APR_ENOMEM;
    config.entries_max = shadow->slots_max;
    config.entries_hint = entries;
    config.burst_bytes = (uint64_t)((double)of->burst_bytes * (double)bytes / (double)of_bytes);
    config.key_of = shadow_key;
    config.key_baton = shadow;
    status = ops->create(&state, &config, pool);
    shadow->ops = ops;
    shadow->state = state;
    return status;
}

static uint32_t *shadow_head(const cachefs__shadow_t *shadow, uint32_t tag)
{
    return &shadow->heads[tag & shadow->mask]; /* mixed already */
}

static void shadow_evict(cachefs__shadow_t *shadow)
{
    uint32_t slot = shadow->ops->victim(shadow->state), *at;

    VFS_ASSERT(slot != NONE);
    for (at = shadow_head(shadow, shadow->slots[slot].tag); *at != slot;
         at = &shadow->slots[*at].chain)
        VFS_ASSERT(*at != NONE);
    *at = shadow->slots[slot].chain;
    shadow->slots[slot].chain = shadow->free;
    shadow->free = slot;
}

int cachefs__shadow_ask(cachefs__shadow_t *shadow, uint64_t hash, uint32_t bytes, uint64_t capacity)
{
    const cachefs__held_t *held = shadow->state;
    uint32_t tag = (uint32_t)hash, *head = shadow_head(shadow, tag), slot;

    for (slot = *head; slot != NONE; slot = shadow->slots[slot].chain)
        if (shadow->slots[slot].tag == tag) {
            shadow->ops->touch(shadow->state, slot, 1);
            return 1;
        }
    while (held->count > 0 && (held->bytes + bytes > capacity || held->count == shadow->slots_max))
        shadow_evict(shadow);
    slot = shadow->free;
    if (slot != NONE)
        shadow->free = shadow->slots[slot].chain;
    else
        slot = shadow->fresh++;
    shadow->slots[slot].tag = tag;
    shadow->slots[slot].chain = *head;
    *head = slot;
    shadow->ops->insert(shadow->state, slot, tag, bytes);
    return 0;
}
