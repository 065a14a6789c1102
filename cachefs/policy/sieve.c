/*
 * sieve.c - the policy "sieve": CLOCK whose survivors stay where they are.
 * Floor 2. Knows entries by number only.
 *
 * A list in the order of insertion, a mark on each entry, set by a touch, and a hand that goes from
 * the tail to the head and round again. It takes the mark of a used entry away and leaves the entry
 * in its place; the first unmarked one is the victim, and the hand stops before it. So newcomers,
 * behind the hand's back at the head, are looked at soon, while what survived has a whole round:
 * the survivors are sieved out towards the tail. (Zhang, Yang, Yue, Vigfusson, Rashmi: "SIEVE is
 * simpler than LRU", NSDI 2024.) It has no answer to a scan or loop beyond the cache that touches
 * everything twice. Each step takes a mark away that a touch has set: O(1) amortised.
 *
 * Parameters: one bit of use, new entries unmarked.
 */
#include "cachefs/policy/held.h"

#define SIEVE_USED 1u

typedef struct sieve_t {
    cachefs__held_t held;
    cachefs__plist_t list;
    uint32_t hand; /* the next to be looked at; NONE: the tail */
} sieve_t;

static apr_status_t sieve_create(void **state, const cachefs_policy_config_t *config,
                                 apr_pool_t *pool)
{
    apr_status_t status = cachefs__policy_check(config);
    sieve_t *sieve;

    if (status != APR_SUCCESS) return status;
    sieve = cachefs__policy_calloc(config, pool, sizeof(*sieve));
    if (sieve == NULL) return APR_ENOMEM;
    cachefs__held_init(&sieve->held, config);
    cachefs__plist_init(&sieve->list);
    sieve->hand = CACHEFS_POLICY_NONE;
    *state = sieve;
    return APR_SUCCESS;
}

static void sieve_insert(void *state, uint32_t entry, uint64_t key, uint32_t bytes)
{
    sieve_t *sieve = state;

    (void)key;
    (void)cachefs__hold(&sieve->held, entry, bytes, 0);
    cachefs__plist_push(&sieve->list, sieve->held.nodes, entry);
}

static void sieve_touch(void *state, uint32_t entry, uint32_t hits)
{
    sieve_t *sieve = state;

    (void)hits;
    cachefs__check_held(&sieve->held, entry);
    cachefs__set_note(&sieve->held, entry, SIEVE_USED);
}

static void sieve_remove(void *state, uint32_t entry)
{
    sieve_t *sieve = state;

    cachefs__check_held(&sieve->held, entry);
    if (sieve->hand == entry) sieve->hand = sieve->held.nodes[entry].prev;
    cachefs__plist_unlink(&sieve->list, sieve->held.nodes, entry);
    cachefs__let_go(&sieve->held, entry);
}

static uint32_t sieve_victim(void *state)
{
    sieve_t *sieve = state;
    uint32_t entry = sieve->hand;

    if (sieve->held.count == 0) return CACHEFS_POLICY_NONE;
    if (entry == CACHEFS_POLICY_NONE) entry = sieve->list.tail;
    while (cachefs__note(&sieve->held, entry) != 0) {
        cachefs__set_note(&sieve->held, entry, 0);
        entry = sieve->held.nodes[entry].prev;
        if (entry == CACHEFS_POLICY_NONE) entry = sieve->list.tail;
    }
    sieve->hand = entry;
    sieve_remove(sieve, entry); /* moves the hand on */
    return entry;
}

static uint32_t sieve_count(void *state)
{
    return ((const sieve_t *)state)->held.count;
}

const cachefs_policy_ops_t cachefs__policy_sieve = {
    .abi = CACHEFS_POLICY_ABI,
    .size = sizeof(cachefs_policy_ops_t),
    .name = "sieve",
    .create = sieve_create,
    .insert = sieve_insert,
    .touch = sieve_touch,
    .remove = sieve_remove,
    .victim = sieve_victim,
    .count = sieve_count,
};
