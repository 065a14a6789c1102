/*
 * ghost.h - keys of entries that left, to be known again when they come back.
 * Floor 2, private to cachefs/policy/ and its tests. Knows keys, never entries.
 *
 * A fixed number of slots, found through chained buckets by 32 bits of the mixed key: two keys that
 * agree in them are taken for one, which among a million ghosts happens to one look-up in four
 * thousand, and costs a wrong guess, never a wrong byte. A slot is 20 bytes, its share of the
 * buckets 4 to 8.
 */
#ifndef CACHEFS_POLICY_GHOST_H
#define CACHEFS_POLICY_GHOST_H

#include "cachefs/policy/held.h"

#define CACHEFS__GHOST_BITS 21u

typedef struct cachefs__ghost_t {
    cachefs_policy_node_t node; /* links: whose list it is on; word: packed size (11 bits), then
                                 * 21 bits of the policy's */
    uint32_t chain;
    uint32_t tag;
} cachefs__ghost_t;

typedef struct cachefs__ghosts_t {
    cachefs__ghost_t *slots;
    uint32_t *heads;
    uint32_t mask; /* of heads */
    uint32_t slots_max;
    uint32_t fresh; /* slots from here on were never used */
    uint32_t free;  /* used before: chained */
    uint32_t count;
} cachefs__ghosts_t;

/* A list of ghosts, as cachefs__queue_t. */
typedef struct cachefs__glist_t {
    uint32_t head, tail;
    uint32_t count;
    uint64_t bytes;
} cachefs__glist_t;

apr_status_t cachefs__ghosts_create(const cachefs_policy_config_t *config,
                                    cachefs__ghosts_t *ghosts, uint64_t slots, apr_pool_t *pool);
/* The slot of a mixed key (cachefs__mix), or CACHEFS_POLICY_NONE. */
uint32_t cachefs__ghosts_find(const cachefs__ghosts_t *ghosts, uint64_t hash);
/* A slot for a mixed key that has none; it is on no list yet. NONE if all are taken. */
uint32_t cachefs__ghosts_take(cachefs__ghosts_t *ghosts, uint64_t hash, uint32_t bytes);
/* Forget a slot that is on no list. */
void cachefs__ghosts_give(cachefs__ghosts_t *ghosts, uint32_t slot);

static inline uint32_t cachefs__ghost_bytes(const cachefs__ghosts_t *ghosts, uint32_t slot)
{
    return cachefs__size_unpack(ghosts->slots[slot].node.word >> CACHEFS__GHOST_BITS);
}

void cachefs__glist_init(cachefs__glist_t *list);
void cachefs__glist_push(cachefs__glist_t *list, cachefs__ghosts_t *ghosts, uint32_t slot);
/* Unlink, and forget. */
void cachefs__glist_drop(cachefs__glist_t *list, cachefs__ghosts_t *ghosts, uint32_t slot);

#endif
