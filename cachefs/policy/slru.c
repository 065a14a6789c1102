/*
 * slru.c - the policy "slru": segments of LRU; each touch raises an entry by one.
 * Floor 2. Knows entries by number only.
 *
 * The capacity is divided into segments, each with an LRU list. What comes in starts at the bottom,
 * a touch raises it to the head of the next segment (in the topmost, to the head of that), and what
 * overflows a segment falls to the head of the one below. The victim is the tail of the lowest
 * segment that is not empty. An entry must be used again and again to be high up, so a scan passes
 * through the lowest segment only. (Karedla, Love, Wherry: "Caching strategies to improve disk
 * system performance", IEEE Computer 1994, with two segments.) A touch moves at most one entry down
 * from each segment, with entries of one size: O(1).
 *
 * Parameters: four segments, a quarter of the capacity each. While the memory fills, entries come
 * into the lowest segment with room, whichever that is.
 */
#include "cachefs/policy/held.h"

#define SLRU_SEGMENTS 4u

typedef struct slru_t {
    cachefs__held_t held;
    cachefs__queue_t segments[SLRU_SEGMENTS]; /* the note of an entry is its segment */
} slru_t;

static apr_status_t slru_create(void **state, const cachefs_policy_config_t *config,
                                apr_pool_t *pool)
{
    apr_status_t status = cachefs__policy_check(config);
    slru_t *slru;
    uint32_t i;

    if (status != APR_SUCCESS) return status;
    slru = cachefs__policy_calloc(config, pool, sizeof(*slru));
    if (slru == NULL) return APR_ENOMEM;
    cachefs__held_init(&slru->held, config);
    for (i = 0; i < SLRU_SEGMENTS; i++)
        cachefs__queue_init(&slru->segments[i]);
    *state = slru;
    return APR_SUCCESS;
}

static uint64_t slru_limit(const slru_t *slru)
{
    return slru->held.capacity / SLRU_SEGMENTS;
}

static void slru_insert(void *state, uint32_t entry, uint64_t key, uint32_t bytes)
{
    slru_t *slru = state;
    uint32_t size = cachefs__hold(&slru->held, entry, bytes, 0), segment = 0;

    (void)key;
    while (segment < SLRU_SEGMENTS && slru->segments[segment].bytes + size > slru_limit(slru))
        segment++;
    if (segment == SLRU_SEGMENTS) segment = 0;
    cachefs__set_note(&slru->held, entry, segment);
    cachefs__queue_push(&slru->segments[segment], &slru->held, entry);
}

static void slru_move(slru_t *slru, uint32_t entry, uint32_t to)
{
    cachefs__queue_move(&slru->segments[cachefs__note(&slru->held, entry)], &slru->segments[to],
                        &slru->held, entry);
    cachefs__set_note(&slru->held, entry, to);
}

static void slru_touch(void *state, uint32_t entry, uint32_t hits)
{
    slru_t *slru = state;
    uint32_t segment;

    (void)hits;
    cachefs__check_held(&slru->held, entry);
    segment = cachefs__note(&slru->held, entry);
    if (segment + 1 < SLRU_SEGMENTS) segment++;
    slru_move(slru, entry, segment);
    for (; segment > 0; segment--)
        while (slru->segments[segment].bytes > slru_limit(slru) &&
               slru->segments[segment].list.tail != slru->segments[segment].list.head)
            slru_move(slru, slru->segments[segment].list.tail, segment - 1);
}

static void slru_remove(void *state, uint32_t entry)
{
    slru_t *slru = state;

    cachefs__check_held(&slru->held, entry);
    cachefs__queue_unlink(&slru->segments[cachefs__note(&slru->held, entry)], &slru->held, entry);
    cachefs__let_go(&slru->held, entry);
}

static uint32_t slru_victim(void *state)
{
    slru_t *slru = state;
    uint32_t segment = 0, entry;

    if (slru->held.count == 0) return CACHEFS_POLICY_NONE;
    cachefs__full(&slru->held);
    while (cachefs__plist_empty(&slru->segments[segment].list))
        segment++;
    entry = slru->segments[segment].list.tail;
    slru_remove(slru, entry);
    return entry;
}

static uint32_t slru_count(void *state)
{
    return ((const slru_t *)state)->held.count;
}

const cachefs_policy_ops_t cachefs__policy_slru = {
    .abi = CACHEFS_POLICY_ABI,
    .size = sizeof(cachefs_policy_ops_t),
    .name = "slru",
    .create = slru_create,
    .insert = slru_insert,
    .touch = slru_touch,
    .remove = slru_remove,
    .victim = slru_victim,
    .count = slru_count,
};
