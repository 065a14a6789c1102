/*
 * clock.c - the policy "clock": first come, first to leave, but who was used gets another round.
 * Floor 2. Knows entries by number only.
 *
 * A list in the order of insertion, and a mark on each entry, set by a touch. The victim is the
 * first unmarked entry from the tail; marked ones that are passed lose their mark and go to the
 * head. So a touch writes one bit and moves nothing, and an entry that is used at least once a
 * round stays: LRU to within a round. (Corbato: "A paging experiment with the Multics system",
 * 1968.) A search passes only what was touched since its last round: each touch pays for one step.
 *
 * Parameters: one bit of use, new entries unmarked.
 */
#include "cachefs/policy/held.h"

#define CLOCK_USED 1u

typedef struct clock_state_t {
    cachefs__held_t held;
    cachefs__plist_t list; /* the hand is at the tail */
} clock_state_t;

static apr_status_t clock_create(void **state, const cachefs_policy_config_t *config,
                                 apr_pool_t *pool)
{
    apr_status_t status = cachefs__policy_check(config);
    clock_state_t *clock;

    if (status != APR_SUCCESS) return status;
    clock = cachefs__policy_calloc(config, pool, sizeof(*clock));
    if (clock == NULL) return APR_ENOMEM;
    cachefs__held_init(&clock->held, config);
    cachefs__plist_init(&clock->list);
    *state = clock;
    return APR_SUCCESS;
}

static void clock_insert(void *state, uint32_t entry, uint64_t key, uint32_t bytes)
{
    clock_state_t *clock = state;

    (void)key;
    (void)cachefs__hold(&clock->held, entry, bytes, 0);
    cachefs__plist_push(&clock->list, clock->held.nodes, entry);
}

static void clock_touch(void *state, uint32_t entry, uint32_t hits)
{
    clock_state_t *clock = state;

    (void)hits;
    cachefs__check_held(&clock->held, entry);
    cachefs__set_note(&clock->held, entry, CLOCK_USED);
}

static void clock_remove(void *state, uint32_t entry)
{
    clock_state_t *clock = state;

    cachefs__check_held(&clock->held, entry);
    cachefs__plist_unlink(&clock->list, clock->held.nodes, entry);
    cachefs__let_go(&clock->held, entry);
}

static uint32_t clock_victim(void *state)
{
    clock_state_t *clock = state;
    uint32_t entry;

    while ((entry = clock->list.tail) != CACHEFS_POLICY_NONE) {
        if (cachefs__note(&clock->held, entry) == 0) {
            clock_remove(clock, entry);
            break;
        }
        cachefs__set_note(&clock->held, entry, 0);
        cachefs__plist_unlink(&clock->list, clock->held.nodes, entry);
        cachefs__plist_push(&clock->list, clock->held.nodes, entry);
    }
    return entry;
}

static uint32_t clock_count(void *state)
{
    return ((const clock_state_t *)state)->held.count;
}

const cachefs_policy_ops_t cachefs__policy_clock = {
    .abi = CACHEFS_POLICY_ABI,
    .size = sizeof(cachefs_policy_ops_t),
    .name = "clock",
    .create = clock_create,
    .insert = clock_insert,
    .touch = clock_touch,
    .remove = clock_remove,
    .victim = clock_victim,
    .count = clock_count,
};
