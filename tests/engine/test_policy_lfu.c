/*
 * test_policy_lfu.c - the policy "lfu" against its definition, LFU-DA with F <= 255.
 */
#include <criterion/criterion.h>

#include "tests/engine/support_policy.h"

static void rank(naive_t *naive, naive_entry_t *entry, uint32_t hits)
{
    entry->uses = entry->uses + hits > 255 ? 255 : entry->uses + hits;
    entry->rank = naive->floor + entry->uses;
    entry->order = naive->clock;
}

static void naive_insert(naive_t *naive, uint32_t entry)
{
    rank(naive, &naive->entries[entry], 1);
}

static void naive_touch(naive_t *naive, uint32_t entry, uint32_t hits)
{
    rank(naive, &naive->entries[entry], hits);
}

static uint32_t naive_victim(naive_t *naive)
{
    return naive_smallest(naive);
}

static void naive_left(naive_t *naive, uint32_t entry)
{
    naive->floor = naive->entries[entry].rank;
}

static const naive_ops_t naive_lfu = {naive_insert, naive_touch, naive_victim, naive_left};

Test(policy_lfu, chooses_as_its_definition_on_random_traces)
{
    uint64_t seed;

    for (seed = 1; seed <= 30; seed++)
        policy_compare("lfu", &naive_lfu, seed % 2 == 0 ? 250 : 11, 0, 0, seed * 131071, 20000);
}

Test(policy_lfu, least_used_leaves_first_and_ties_go_by_age)
{
    policy_rig_t rig;
    uint32_t i;

    policy_rig_open(&rig, "lfu", 5, 0);
    for (i = 0; i < 5; i++)
        rig.ops->insert(rig.state, i, i, 1);
    rig.ops->touch(rig.state, 0, 3);
    rig.ops->touch(rig.state, 1, 1);
    rig.ops->touch(rig.state, 1, 1);
    cr_assert_eq(rig.ops->victim(rig.state), 2);
    cr_assert_eq(rig.ops->victim(rig.state), 3);
    cr_assert_eq(rig.ops->victim(rig.state), 4);
    cr_assert_eq(rig.ops->victim(rig.state), 1);
    cr_assert_eq(rig.ops->victim(rig.state), 0);
    policy_rig_close(&rig);
}

Test(policy_lfu, old_fame_fades)
{
    policy_rig_t rig;
    uint32_t victim, rounds = 0;

    policy_rig_open(&rig, "lfu", 9, 0);
    rig.ops->insert(rig.state, 8, 8, 1);
    rig.ops->touch(rig.state, 8, 1000); /* the most that counts: 255 */
    for (victim = 0; victim < 8; victim++)
        rig.ops->insert(rig.state, victim, victim, 1);
    for (victim = 0; victim != 8 && rounds < 100000; rounds++) {
        victim = rig.ops->victim(rig.state);
        rig.ops->insert(rig.state, victim, victim, 1);
    }
    cr_assert_eq(victim, 8);
    /* the floor rises by one in a round of the eight others */
    cr_assert_geq(rounds, 253 * 8);
    cr_assert_leq(rounds, 257 * 8);
    policy_rig_close(&rig);
}
