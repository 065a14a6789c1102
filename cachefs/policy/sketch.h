/*
 * sketch.h - how often keys were seen lately, in four bits each, about.
 * Floor 2, private to cachefs/policy/ and its tests. Knows mixed keys only.
 *
 * A count-min sketch (Cormode, Muthukrishnan, 2005): a key has four counters of four bits, in four
 * rows; seeing it raises the smallest of them ("conservative update"), and the smallest tells how
 * often it was seen, or more where keys collide. Old counts fade: each is halved once while ten
 * times the entries held are seen (the "reset" of TinyLFU). Not all at once, which would stop the
 * shard for a table of megabytes: a hand goes through the words, a few at a time.
 */
#ifndef CACHEFS_POLICY_SKETCH_H
#define CACHEFS_POLICY_SKETCH_H

#include "cachefs/policy/held.h"

#define CACHEFS__SKETCH_PERIOD 10u /* seen in one round of the hand, for each entry held */
#define CACHEFS__SKETCH_MAX 15u

typedef struct cachefs__sketch_t {
    uint64_t *words; /* 16 counters each: four of each row */
    uint32_t mask;
    uint32_t hand;
    uint64_t owed; /* halvings, in 1/2^16 of a word */
} cachefs__sketch_t;

static inline apr_status_t cachefs__sketch_create(const cachefs_policy_config_t *config,
                                                  cachefs__sketch_t *sketch, uint64_t entries,
                                                  apr_pool_t *pool)
{
    uint32_t words = 64;

    while (words < entries && words < 1u << 30)
        words *= 2;
    sketch->words = cachefs__policy_calloc(config, pool, sizeof(*sketch->words) * words);
    sketch->mask = words - 1;
    sketch->hand = 0;
    sketch->owed = 0;
    return sketch->words != NULL ? APR_SUCCESS : APR_ENOMEM;
}

/* The counter of a key in a row: its word, and the shift in it. */
static inline uint64_t *cachefs__sketch_at(const cachefs__sketch_t *sketch, uint64_t hash,
                                           uint32_t row, uint32_t *shift)
{
    uint64_t mixed = (hash + row) * 0x9e3779b97f4a7c15ull;

    mixed ^= mixed >> 32;
    *shift = row * 16u + (uint32_t)(mixed & 3u) * 4u;
    return &sketch->words[mixed >> 2 & sketch->mask];
}

static inline uint32_t cachefs__sketch_seen(const cachefs__sketch_t *sketch, uint64_t hash)
{
    uint32_t least = CACHEFS__SKETCH_MAX, row, shift;

    for (row = 0; row < 4; row++) {
        const uint64_t *word = cachefs__sketch_at(sketch, hash, row, &shift);
        uint32_t seen = (uint32_t)(*word >> shift & 15u);

        if (seen < least) least = seen;
    }
    return least;
}

/* A key is seen, while so many entries are held. */
static inline void cachefs__sketch_see(cachefs__sketch_t *sketch, uint64_t hash, uint32_t held)
{
    uint32_t least = cachefs__sketch_seen(sketch, hash), row, shift;
    uint64_t period = (uint64_t)CACHEFS__SKETCH_PERIOD * (held != 0 ? held : 1u);

    for (row = 0; row < 4 && least < CACHEFS__SKETCH_MAX; row++) {
        uint64_t *word = cachefs__sketch_at(sketch, hash, row, &shift);

        if ((*word >> shift & 15u) == least) *word += 1ull << shift;
    }
    sketch->owed += (((uint64_t)sketch->mask + 1) << 16) / period;
    if (sketch->owed > 64ull << 16) sketch->owed = 64ull << 16; /* while hardly anything is held */
    for (; sketch->owed >= 1u << 16; sketch->owed -= 1u << 16) {
        sketch->words[sketch->hand] = sketch->words[sketch->hand] >> 1 & 0x7777777777777777ull;
        sketch->hand = (sketch->hand + 1) & sketch->mask;
    }
}

#endif
