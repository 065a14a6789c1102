/*
 * support_policy.c - see support_policy.h.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/engine/support_policy.h"

const cachefs_policy_config_t policy_uncounted = {.size = sizeof(policy_uncounted)};

apr_time_t policy_rig_time;

static apr_time_t rig_now(void)
{
    return policy_rig_time;
}

static void rig_open(policy_rig_t *rig, const char *name, uint32_t entries_max, uint64_t ttl_us,
                     uint64_t bytes)
{
    cachefs_policy_config_t config = {.size = sizeof(config), .entries_max = entries_max};

    memset(rig, 0, sizeof(*rig));
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&rig->pool, NULL), APR_SUCCESS);
    rig->ops = cachefs_policy_find(name);
    cr_assert_not_null(rig->ops, "no policy %s", name);
    rig->entries_max = entries_max;
    rig->nodes = malloc(entries_max * sizeof(*rig->nodes));
    cr_assert_not_null(rig->nodes);
    memset(rig->nodes, 0xa5, entries_max * sizeof(*rig->nodes)); /* whoever held them before */
    rig->extras = malloc((size_t)entries_max * rig->ops->entry_bytes + 1);
    cr_assert_not_null(rig->extras);
    memset(rig->extras, 0xa5, (size_t)entries_max * rig->ops->entry_bytes + 1);
    config.extras = rig->extras;
    config.capacity_bytes = bytes;
    config.entries_hint = entries_max;
    config.ttl_us = ttl_us;
    config.now = rig_now;
    config.nodes = rig->nodes;
    cr_assert_eq(rig->ops->create(&rig->state, &config, rig->pool), APR_SUCCESS);
}

void policy_rig_open(policy_rig_t *rig, const char *name, uint32_t entries_max, uint64_t ttl_us)
{
    rig_open(rig, name, entries_max, ttl_us, (uint64_t)entries_max * 4096);
}

void policy_rig_open_bytes(policy_rig_t *rig, const char *name, uint32_t entries_max,
                           uint64_t bytes)
{
    rig_open(rig, name, entries_max, 0, bytes);
}

void policy_rig_close(policy_rig_t *rig)
{
    apr_pool_destroy(rig->pool);
    free(rig->nodes);
    free(rig->extras);
    apr_terminate();
}

uint64_t policy_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

uint32_t naive_smallest(const naive_t *naive)
{
    uint32_t best = CACHEFS_POLICY_NONE, i;

    for (i = 0; i < NAIVE_MAX; i++) {
        const naive_entry_t *entry = &naive->entries[i];

        if (!entry->held) continue;
        if (best == CACHEFS_POLICY_NONE || entry->rank < naive->entries[best].rank ||
            (entry->rank == naive->entries[best].rank && entry->order < naive->entries[best].order))
            best = i;
    }
    return best;
}

static void both_insert(policy_rig_t *rig, naive_t *naive, const naive_ops_t *ops, uint32_t entry)
{
    naive_entry_t *at = &naive->entries[entry];

    memset(at, 0, sizeof(*at));
    at->held = 1;
    at->inserted = ++naive->clock;
    at->born = policy_rig_time;
    naive->count++;
    ops->insert(naive, entry);
    rig->ops->insert(rig->state, entry, entry * 7919ull, 4096);
}

static void both_victim(policy_rig_t *rig, naive_t *naive, const naive_ops_t *ops, uint64_t seed,
                        unsigned step)
{
    uint32_t expected = ops->victim(naive);
    uint32_t got = rig->ops->victim(rig->state);

    cr_assert_eq(got, expected, "%s, seed %llu, step %u: victim %u, expected %u", rig->ops->name,
                 (unsigned long long)seed, step, got, expected);
    if (expected == CACHEFS_POLICY_NONE) return;
    naive->entries[expected].held = 0;
    naive->count--;
    if (ops->left != NULL) ops->left(naive, expected);
}

void policy_compare(const char *name, const naive_ops_t *ops, uint32_t entries_max, uint64_t ttl_us,
                    uint64_t step_us, uint64_t seed, unsigned steps)
{
    naive_t *naive = calloc(1, sizeof(*naive));
    policy_rig_t rig;
    uint64_t random = seed;
    unsigned step;

    cr_assert_not_null(naive);
    cr_assert_leq(entries_max, NAIVE_MAX);
    naive->ttl_us = ttl_us;
    policy_rig_time = 1000000;
    policy_rig_open(&rig, name, entries_max, ttl_us);
    for (step = 0; step < steps; step++) {
        uint64_t roll = policy_random(&random);
        uint32_t entry = (uint32_t)(roll >> 32) % entries_max;
        unsigned what = (unsigned)(roll % 100);

        if (entry % 3 != 0) entry /= 2; /* some are used more than others */
        policy_rig_time += step_us == 0 ? 0 : (apr_time_t)(policy_random(&random) % (step_us + 1));
        naive->clock++;
        if (what < 15) {
            both_victim(&rig, naive, ops, seed, step);
        } else if (!naive->entries[entry].held) {
            both_insert(&rig, naive, ops, entry);
        } else if (what < 95) {
            uint32_t hits = what < 90 ? 1 : (uint32_t)(policy_random(&random) % 400) + 1;

            ops->touch(naive, entry, hits);
            rig.ops->touch(rig.state, entry, hits);
        } else {
            naive->entries[entry].held = 0;
            naive->count--;
            rig.ops->remove(rig.state, entry);
        }
        cr_assert_eq(rig.ops->count(rig.state), naive->count);
    }
    while (naive->count > 0)
        both_victim(&rig, naive, ops, seed, step++);
    cr_assert_eq(rig.ops->victim(rig.state), CACHEFS_POLICY_NONE);
    policy_rig_close(&rig);
    free(naive);
}
