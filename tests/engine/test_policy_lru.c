/*
 * test_policy_lru.c - the policy "lru" against its definition.
 */
#include <criterion/criterion.h>

#include "tests/engine/support_policy.h"

static void naive_insert(naive_t *naive, uint32_t entry)
{
    naive->entries[entry].order = naive->clock;
}

static void naive_touch(naive_t *naive, uint32_t entry, uint32_t hits)
{
    (void)hits;
    naive->entries[entry].order = naive->clock;
}

static uint32_t naive_victim(naive_t *naive)
{
    return naive_smallest(naive);
}

static const naive_ops_t naive_lru = {naive_insert, naive_touch, naive_victim, NULL};

Test(policy_lru, chooses_as_its_definition_on_random_traces)
{
    uint64_t seed;

    for (seed = 1; seed <= 20; seed++)
        policy_compare("lru", &naive_lru, seed % 2 == 0 ? 200 : 7, 0, 0, seed * 99991, 20000);
}

Test(policy_lru, least_recently_touched_leaves_first)
{
    policy_rig_t rig;

    policy_rig_open(&rig, "lru", 4, 0);
    rig.ops->insert(rig.state, 2, 2, 1);
    rig.ops->insert(rig.state, 0, 0, 1);
    rig.ops->insert(rig.state, 3, 3, 1);
    rig.ops->touch(rig.state, 2, 1);
    rig.ops->touch(rig.state, 2, 100);
    cr_assert_eq(rig.ops->victim(rig.state), 0);
    cr_assert_eq(rig.ops->victim(rig.state), 3);
    cr_assert_eq(rig.ops->victim(rig.state), 2);
    cr_assert_eq(rig.ops->victim(rig.state), CACHEFS_POLICY_NONE);
    policy_rig_close(&rig);
}
