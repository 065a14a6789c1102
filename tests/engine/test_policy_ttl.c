/*
 * test_policy_ttl.c - the policy "ttl" against its definition.
 */
#include <criterion/criterion.h>

#include "tests/engine/support_policy.h"

static void naive_insert(naive_t *naive, uint32_t entry)
{
    naive->entries[entry].rank = (uint64_t)naive->entries[entry].born + naive->ttl_us;
    naive->entries[entry].order = naive->entries[entry].inserted;
}

static void naive_touch(naive_t *naive, uint32_t entry, uint32_t hits)
{
    (void)naive;
    (void)entry;
    (void)hits;
}

static uint32_t naive_victim(naive_t *naive)
{
    return naive_smallest(naive);
}

static const naive_ops_t naive_ttl = {naive_insert, naive_touch, naive_victim, NULL};

Test(policy_ttl, first_to_expire_leaves_on_random_traces)
{
    uint64_t seed;

    for (seed = 1; seed <= 20; seed++)
        policy_compare("ttl", &naive_ttl, seed % 2 == 0 ? 200 : 7, 5000, seed, seed * 77773, 20000);
}

Test(policy_ttl, touch_does_not_renew_but_insert_does)
{
    policy_rig_t rig;

    policy_rig_open(&rig, "ttl", 4, 1000);
    rig.ops->insert(rig.state, 1, 1, 1);
    rig.ops->insert(rig.state, 2, 2, 1);
    rig.ops->insert(rig.state, 3, 3, 1);
    rig.ops->touch(rig.state, 1, 50);
    rig.ops->remove(rig.state, 2);
    rig.ops->insert(rig.state, 2, 2, 1);
    cr_assert_eq(rig.ops->victim(rig.state), 1);
    cr_assert_eq(rig.ops->victim(rig.state), 3);
    cr_assert_eq(rig.ops->victim(rig.state), 2);
    policy_rig_close(&rig);
}
