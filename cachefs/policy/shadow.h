/*
 * shadow.h - a cache of keys only, run by a real policy: what would it have hit?
 * Floor 2, private to cachefs/policy/ and its tests.
 *
 * It sees a sample of the keys, chosen by their hash, and has the same share of the capacity:
 * what it hits is then the same share of what the whole cache would (Waldspurger, Garthwaite,
 * Ahmad: "Efficient MRC construction with SHARDS", FAST 2015). An entry is the policy's node and 32
 * bits of the key, found through chained buckets: 24 to 28 bytes.
 */
#ifndef CACHEFS_POLICY_SHADOW_H
#define CACHEFS_POLICY_SHADOW_H

#include "cachefs/policy/held.h"

typedef struct cachefs__shadow_t {
    const cachefs_policy_ops_t *ops;
    cachefs__held_t *state; /* of a policy whose state begins with it */
    struct {
        uint32_t tag, chain;
    } * slots;
    uint32_t *heads;
    uint32_t mask; /* of heads */
    uint32_t slots_max;
    uint32_t fresh; /* slots from here on were never used */
    uint32_t free;  /* used before: chained */
} cachefs__shadow_t;

/* Of up to so many entries, and so many bytes at first, for an instance that is made for `of`. */
apr_status_t cachefs__shadow_create(const cachefs_policy_config_t *of, cachefs__shadow_t *shadow,
                                    const cachefs_policy_ops_t *ops, uint64_t entries,
                                    uint64_t bytes, apr_pool_t *pool);
/* A mixed key is asked for, of so many bytes; the shadow may hold `capacity`. Did it hit? */
int cachefs__shadow_ask(cachefs__shadow_t *shadow, uint64_t hash, uint32_t bytes,
                        uint64_t capacity);

#endif
