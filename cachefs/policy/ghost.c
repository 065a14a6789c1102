/*
 * ghost.c - see ghost.h.
 * Floor 2. Knows keys, never entries.
 */
#include "cachefs/policy/ghost.h"

#define NONE CACHEFS_POLICY_NONE

apr_status_t cachefs__ghosts_create(const cachefs_policy_config_t *config,
                                    cachefs__ghosts_t *ghosts, uint64_t slots, apr_pool_t *pool)
{
    uint32_t heads = 16, i;

    if (slots > INT32_MAX) slots = INT32_MAX; /* so that slots and entries fit in one numbering */
    VFS_ASSERT(slots > 0);
    while (heads < slots)
        heads *= 2;
    ghosts->slots = cachefs__policy_alloc(config, pool, sizeof(*ghosts->slots) * (size_t)slots);
    ghosts->heads = cachefs__policy_alloc(config, pool, sizeof(*ghosts->heads) * heads);
    if (ghosts->slots == NULL || ghosts->heads == NULL) return APR_ENOMEM;
    for (i = 0; i < heads; i++)
        ghosts->heads[i] = NONE;
    ghosts->mask = heads - 1;
    ghosts->slots_max = (uint32_t)slots;
    ghosts->fresh = 0;
    ghosts->free = NONE;
    ghosts->count = 0;
    return APR_SUCCESS;
}

static uint32_t *head_of(const cachefs__ghosts_t *ghosts, uint32_t tag)
{
    return &ghosts->heads[tag & ghosts->mask]; /* mixed already */
}

/* The lower half names the key, and chooses its bucket: the tag must do for both, since a slot that
 * is given back has nothing else. */
uint32_t cachefs__ghosts_find(const cachefs__ghosts_t *ghosts, uint64_t hash)
{
    uint32_t tag = (uint32_t)hash, slot = *head_of(ghosts, tag);

    while (slot != NONE && ghosts->slots[slot].tag != tag)
        slot = ghosts->slots[slot].chain;
    return slot;
}

uint32_t cachefs__ghosts_take(cachefs__ghosts_t *ghosts, uint64_t hash, uint32_t bytes)
{
    uint32_t tag = (uint32_t)hash, *head = head_of(ghosts, tag), slot = ghosts->free;
    cachefs__ghost_t *ghost;

    if (slot != NONE) {
        ghosts->free = ghosts->slots[slot].chain;
    } else {
        if (ghosts->fresh == ghosts->slots_max) return NONE;
        slot = ghosts->fresh++;
    }
    ghost = &ghosts->slots[slot];
    ghost->node.prev = ghost->node.next = NONE;
    ghost->node.word = cachefs__size_pack(bytes) << CACHEFS__GHOST_BITS;
    ghost->tag = tag;
    ghost->chain = *head;
    *head = slot;
    ghosts->count++;
    return slot;
}

void cachefs__ghosts_give(cachefs__ghosts_t *ghosts, uint32_t slot)
{
    uint32_t *at = head_of(ghosts, ghosts->slots[slot].tag);

    while (*at != slot) {
        VFS_ASSERT(*at != NONE);
        at = &ghosts->slots[*at].chain;
    }
    *at = ghosts->slots[slot].chain;
    ghosts->slots[slot].chain = ghosts->free;
    ghosts->free = slot;
    VFS_ASSERT(ghosts->count > 0);
    ghosts->count--;
}

void cachefs__glist_init(cachefs__glist_t *list)
{
    list->head = list->tail = NONE;
    list->count = 0;
    list->bytes = 0;
}

void cachefs__glist_push(cachefs__glist_t *list, cachefs__ghosts_t *ghosts, uint32_t slot)
{
    cachefs_policy_node_t *node = &ghosts->slots[slot].node;

    node->prev = NONE;
    node->next = list->head;
    if (list->head == NONE)
        list->tail = slot;
    else
        ghosts->slots[list->head].node.prev = slot;
    list->head = slot;
    list->count++;
    list->bytes += cachefs__ghost_bytes(ghosts, slot);
}

static void unlink_slot(cachefs__glist_t *list, cachefs__ghosts_t *ghosts, uint32_t slot)
{
    uint32_t prev = ghosts->slots[slot].node.prev, next = ghosts->slots[slot].node.next;

    VFS_ASSERT(list->count > 0);
    if (prev == NONE)
        list->head = next;
    else
        ghosts->slots[prev].node.next = next;
    if (next == NONE)
        list->tail = prev;
    else
        ghosts->slots[next].node.prev = prev;
    list->count--;
    list->bytes -= cachefs__ghost_bytes(ghosts, slot);
}

void cachefs__glist_drop(cachefs__glist_t *list, cachefs__ghosts_t *ghosts, uint32_t slot)
{
    unlink_slot(list, ghosts, slot);
    cachefs__ghosts_give(ghosts, slot);
}
