/*
 * test_policy_hybrid.c - the policy "hybrid" against its definition: expired first, then by class,
 * then by recency.
 */
#include <criterion/criterion.h>

#include "tests/engine/support_policy.h"

static uint64_t class_of(uint32_t uses)
{
    uint64_t c = 0;

    while (c < 7 && uses >= 2u << c)
        c++;
    return c;
}

static void use(naive_t *naive, naive_entry_t *entry, uint32_t hits)
{
    entry->uses = entry->uses + hits > 255 ? 255 : entry->uses + hits;
    entry->rank = class_of(entry->uses);
    entry->order = ++naive->clock;
}

static void naive_insert(naive_t *naive, uint32_t entry)
{
    use(naive, &naive->entries[entry], 1);
}

static void naive_touch(naive_t *naive, uint32_t entry, uint32_t hits)
{
    use(naive, &naive->entries[entry], hits);
}

static uint32_t naive_victim(naive_t *naive)
{
    uint32_t oldest = CACHEFS_POLICY_NONE, i;

    for (i = 0; i < NAIVE_MAX; i++)
        if (naive->entries[i].held &&
            (oldest == CACHEFS_POLICY_NONE ||
             naive->entries[i].inserted < naive->entries[oldest].inserted))
            oldest = i;
    if (oldest != CACHEFS_POLICY_NONE && naive->ttl_us != 0 &&
        (uint64_t)(policy_rig_time - naive->entries[oldest].born) >= naive->ttl_us)
        return oldest;
    return naive_smallest(naive);
}

/* After a turnover all uses are halved. What comes from class 1 into class 0 is younger than what
 * is there, and keeps its order: so everything is numbered anew, in the order of before. */
static void naive_left(naive_t *naive, uint32_t entry)
{
    uint64_t last = naive->clock;
    uint32_t i, n;

    (void)entry;
    if (++naive->left < naive->count) return;
    naive->left = 0;
    for (n = 0; n < naive->count; n++) {
        uint32_t next = CACHEFS_POLICY_NONE;

        for (i = 0; i < NAIVE_MAX; i++) {
            const naive_entry_t *at = &naive->entries[i];

            if (!at->held || at->order > last) continue; /* numbered already */
            if (next == CACHEFS_POLICY_NONE || at->rank < naive->entries[next].rank ||
                (at->rank == naive->entries[next].rank && at->order < naive->entries[next].order))
                next = i;
        }
        naive->entries[next].order = ++naive->clock;
    }
    for (i = 0; i < NAIVE_MAX; i++) {
        naive_entry_t *at = &naive->entries[i];

        if (at->held && at->uses > 1) at->uses /= 2;
        at->rank = class_of(at->uses);
    }
}

static const naive_ops_t naive_hybrid = {naive_insert, naive_touch, naive_victim, naive_left};

Test(policy_hybrid, chooses_as_its_definition_without_a_ttl)
{
    uint64_t seed;

    for (seed = 1; seed <= 30; seed++)
        policy_compare("hybrid", &naive_hybrid, seed % 2 == 0 ? 250 : 9, 0, 0, seed * 65537, 10000);
}

Test(policy_hybrid, chooses_as_its_definition_with_a_ttl)
{
    uint64_t seed;

    /* up to 4096 us a tick is a microsecond, so the comparison is exact */
    for (seed = 1; seed <= 30; seed++)
        policy_compare("hybrid", &naive_hybrid, seed % 2 == 0 ? 250 : 9, 50 + 100 * seed, seed % 5,
                       seed * 524287, 10000);
}

Test(policy_hybrid, expired_leaves_before_the_least_used)
{
    policy_rig_t rig;

    policy_rig_time = 7000000000;
    policy_rig_open(&rig, "hybrid", 4, 60000000);
    rig.ops->insert(rig.state, 0, 0, 1);
    rig.ops->touch(rig.state, 0, 200);
    policy_rig_time += 59900000;
    rig.ops->insert(rig.state, 1, 1, 1);
    rig.ops->insert(rig.state, 2, 2, 1);
    rig.ops->insert(rig.state, 3, 3, 1);
    cr_assert_eq(rig.ops->victim(rig.state), 1, "nothing has expired yet");
    policy_rig_time += 200000;
    cr_assert_eq(rig.ops->victim(rig.state), 0, "expired, however hot");
    cr_assert_eq(rig.ops->victim(rig.state), 2);
    policy_rig_close(&rig);
}

Test(policy_hybrid, clock_that_goes_back_expires_nothing)
{
    policy_rig_t rig;

    policy_rig_time = 7000000000;
    policy_rig_open(&rig, "hybrid", 4, 4096);
    rig.ops->insert(rig.state, 0, 0, 1);
    rig.ops->touch(rig.state, 0, 10);
    rig.ops->insert(rig.state, 1, 1, 1);
    policy_rig_time -= 1000000;
    cr_assert_eq(rig.ops->victim(rig.state), 1);
    policy_rig_close(&rig);
}

Test(policy_hybrid, untouched_entry_leaves_within_a_hundred_turnovers)
{
    enum { ENTRIES = 64 };
    policy_rig_t rig;
    uint32_t victim = 0, i, victims = 0;

    policy_rig_open(&rig, "hybrid", ENTRIES, 0);
    for (i = 0; i < ENTRIES; i++)
        rig.ops->insert(rig.state, i, i, 1);
    rig.ops->touch(rig.state, ENTRIES - 1, 255);
    while (victim != ENTRIES - 1 && victims < 1000 * ENTRIES) {
        victim = rig.ops->victim(rig.state);
        if (victim != ENTRIES - 1) {
            rig.ops->insert(rig.state, victim, victim, 1);
            rig.ops->touch(rig.state, victim, 300);
        }
        victims++;
    }
    cr_assert_eq(victim, ENTRIES - 1);
    cr_assert_leq(victims, 100 * ENTRIES);
    policy_rig_close(&rig);
}
