/*
 * test_policy_parts.c - what the policies are made of: packed sizes, accounts, ghosts, the sketch.
 */
#include <apr_general.h>
#include <criterion/criterion.h>

#include "cachefs/policy/ghost.h"
#include "cachefs/policy/sketch.h"
#include "tests/engine/support_policy.h"

static apr_pool_t *pool;

static void setup(void)
{
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
}

static void teardown(void)
{
    apr_pool_destroy(pool);
    apr_terminate();
}

TestSuite(policy_parts, .init = setup, .fini = teardown);

Test(policy_parts, packed_sizes_lose_little_and_powers_of_two_nothing)
{
    uint64_t random = 5;
    uint32_t i;

    for (i = 0; i < 64; i++)
        cr_assert_eq(cachefs__size_unpack(cachefs__size_pack(i)), i);
    for (i = 0; i < 32; i++)
        cr_assert_eq(cachefs__size_unpack(cachefs__size_pack(1u << i)), 1u << i);
    for (i = 0; i < 100000; i++) {
        uint32_t bytes = (uint32_t)(policy_random(&random) >> (32 + i % 31)), back;

        cr_assert_leq(cachefs__size_pack(bytes), CACHEFS__SIZE_MASK);
        back = cachefs__size_unpack(cachefs__size_pack(bytes));
        cr_assert_leq(back, bytes);
        cr_assert_leq((double)(bytes - back), bytes / 32.0);
        cr_assert_eq(cachefs__size_pack(back), cachefs__size_pack(bytes), "packed again: %u", back);
    }
}

Test(policy_parts, capacity_follows_what_is_held)
{
    cachefs_policy_node_t nodes[4] = {{0, 0, 0}};
    cachefs_policy_config_t config = {.entries_max = 4, .capacity_bytes = 100, .nodes = nodes};
    cachefs__held_t held;

    cachefs__held_init(&held, &config);
    (void)cachefs__hold(&held, 0, 32, 5);
    cr_assert_eq(held.capacity, 100);
    cr_assert_eq(cachefs__note(&held, 0), 5);
    (void)cachefs__hold(&held, 1, 64, 0);
    (void)cachefs__hold(&held, 2, 16, 0);
    cr_assert_eq(held.capacity, 112);
    cachefs__let_go(&held, 1);
    cr_assert_eq(held.capacity, 112);
    cachefs__full(&held);
    cr_assert_eq(held.capacity, 48);
    cachefs__set_note(&held, 0, CACHEFS__NOTE_MASK);
    cr_assert_eq(cachefs__size(&held, 0), 32);
}

Test(policy_parts, expected_entries_come_from_the_hint_or_the_bytes)
{
    cachefs_policy_config_t config = {.entries_max = 100000, .capacity_bytes = 40960000};

    cr_assert_eq(cachefs__expected(&config), 10000);
    config.entries_hint = 5;
    cr_assert_eq(cachefs__expected(&config), 32);
    config.entries_hint = 70000;
    cr_assert_eq(cachefs__expected(&config), 70000);
    config.entries_max = 600;
    cr_assert_eq(cachefs__expected(&config), 600);
}

Test(policy_parts, ghosts_are_found_until_they_are_given_back)
{
    enum { SLOTS = 500 };
    uint32_t slot_of[1000], i, count = 0;
    cachefs__ghosts_t ghosts;
    uint64_t random = 3;

    cr_assert_eq(cachefs__ghosts_create(&policy_uncounted, &ghosts, SLOTS, pool), APR_SUCCESS);
    for (i = 0; i < 1000; i++)
        slot_of[i] = CACHEFS_POLICY_NONE;
    for (i = 0; i < 100000; i++) {
        uint32_t key = (uint32_t)(policy_random(&random) >> 33) % 1000;
        uint64_t hash = cachefs__mix(key);

        cr_assert_eq(cachefs__ghosts_find(&ghosts, hash), slot_of[key]);
        if (slot_of[key] != CACHEFS_POLICY_NONE) {
            cr_assert_eq(cachefs__ghost_bytes(&ghosts, slot_of[key]), key % 64);
            cachefs__ghosts_give(&ghosts, slot_of[key]);
            slot_of[key] = CACHEFS_POLICY_NONE;
            count--;
        } else {
            slot_of[key] = cachefs__ghosts_take(&ghosts, hash, key % 64);
            cr_assert_eq(slot_of[key] == CACHEFS_POLICY_NONE, count == SLOTS);
            count += slot_of[key] != CACHEFS_POLICY_NONE;
        }
        cr_assert_eq(ghosts.count, count);
    }
    cr_assert_gt(count, SLOTS * 9 / 10);
}

Test(policy_parts, ghost_lists_keep_order_and_bytes)
{
    cachefs__ghosts_t ghosts;
    cachefs__glist_t list;
    uint32_t slots[3], i;

    cr_assert_eq(cachefs__ghosts_create(&policy_uncounted, &ghosts, 8, pool), APR_SUCCESS);
    cachefs__glist_init(&list);
    for (i = 0; i < 3; i++) {
        slots[i] = cachefs__ghosts_take(&ghosts, i + 1, 10 + i);
        cachefs__glist_push(&list, &ghosts, slots[i]);
    }
    cr_assert_eq(list.bytes, 33);
    cachefs__glist_drop(&list, &ghosts, slots[1]);
    cr_assert_eq(list.tail, slots[0]);
    cr_assert_eq(list.head, slots[2]);
    cr_assert_eq(list.bytes, 22);
    cachefs__glist_drop(&list, &ghosts, slots[0]);
    cachefs__glist_drop(&list, &ghosts, slots[2]);
    cr_assert_eq(list.count, 0);
    cr_assert_eq(list.tail, CACHEFS_POLICY_NONE);
    cr_assert_eq(ghosts.count, 0);
}

Test(policy_parts, sketch_counts_to_fifteen_and_forgets)
{
    cachefs__sketch_t sketch;
    uint32_t i, wrong = 0;

    cr_assert_eq(cachefs__sketch_create(&policy_uncounted, &sketch, 1000, pool), APR_SUCCESS);
    for (i = 1; i <= 20; i++) {
        cachefs__sketch_see(&sketch, cachefs__mix(77), 1000);
        cr_assert_eq(cachefs__sketch_seen(&sketch, cachefs__mix(77)), i < 15 ? i : 15);
    }
    for (i = 0; i < 1000; i++)
        wrong += cachefs__sketch_seen(&sketch, cachefs__mix(1000 + i)) != 0;
    cr_assert_lt(wrong, 5);
    for (i = 0; i < 60000; i++) /* six rounds of the hand */
        cachefs__sketch_see(&sketch, cachefs__mix(5000 + i % 100), 1000);
    cr_assert_leq(cachefs__sketch_seen(&sketch, cachefs__mix(77)), 1);
}
