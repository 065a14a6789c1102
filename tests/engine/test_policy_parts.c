/*
 * test_policy_parts.c - what the policies are made of: packed sizes, accounts, ghosts, the sketch.
 */
#include <apr_general.h>
#include <criterion/criterion.h>

#include "cachefs/policy/ghost.h"
#include "cachefs/policy/past.h"
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

/* Against the epochs of all keys, with room enough that no bucket is full: what is known is what
 * was added to an epoch that has not ended, and the bytes are theirs; over many rounds of the
 * numbers. */
Test(policy_parts, past_knows_what_its_epochs_know)
{
    enum { KEYS = 200 };
    uint32_t epoch_of[KEYS] = {0}, now, i, k, known = 0; /* 0: not known */
    uint64_t random = 9, left[CACHEFS__PAST_LIVE] = {0};
    cachefs__past_t *past;

    cr_assert_eq(cachefs__past_create(&policy_uncounted, &past, 10 * KEYS, pool), APR_SUCCESS);
    now = past->now;
    for (i = 0; i < 400000; i++) {
        uint64_t roll = policy_random(&random), ended, bytes = 0;
        uint32_t key = (uint32_t)(roll >> 40) % KEYS, size = 1 + key % 7, before = past->ended;

        ended = i % 4 == 0 ? cachefs__past_pass(past, size, 3 + i / 50000) : 0;
        if (roll % 500 == 0 && i > 200000) ended += cachefs__past_end(past, past->now - 1);
        if (roll % 50 == 1) ended += cachefs__past_limit(past, size, 300);
        cr_assert_leq(past->now - now, 1);
        cr_assert_leq(past->now - past->ended, CACHEFS__PAST_LIVE);
        now = past->now;
        for (; before != past->ended; before++) {
            bytes += left[(before + 1) % CACHEFS__PAST_LIVE];
            left[(before + 1) % CACHEFS__PAST_LIVE] = 0;
        }
        cr_assert_eq(ended, bytes);
        for (k = 0; k < KEYS; k++)
            if (epoch_of[k] <= past->ended) epoch_of[k] = 0;
        if (roll % 3 != 0) {
            uint32_t epoch = now - (uint32_t)(roll >> 20) % 4;

            if (epoch <= past->ended) continue;
            if (epoch_of[key] != 0) left[epoch_of[key] % CACHEFS__PAST_LIVE] -= size;
            cachefs__past_add(past, cachefs__mix(key), epoch, size);
            epoch_of[key] = epoch;
            left[epoch % CACHEFS__PAST_LIVE] += size;
        } else {
            int was = epoch_of[key] != 0;

            known += (uint32_t)was;
            if (was) left[epoch_of[key] % CACHEFS__PAST_LIVE] -= size;
            epoch_of[key] = 0;
            cr_assert_eq(cachefs__past_take(past, cachefs__mix(key), size), was, "step %u", i);
        }
        for (bytes = 0, k = 0; k < CACHEFS__PAST_LIVE; k++)
            bytes += left[k];
        cr_assert_eq(past->bytes, bytes, "step %u", i);
    }
    cr_assert_gt(now, 10000);
    cr_assert(known > 20000 && known < 130000, "%u", known);
}

Test(policy_parts, past_that_is_full_forgets_the_oldest_of_a_bucket)
{
    enum { GHOSTS = 10000 };
    cachefs__past_t *past;
    uint32_t i, known = 0;

    cr_assert_eq(cachefs__past_create(&policy_uncounted, &past, GHOSTS, pool), APR_SUCCESS);
    for (i = 0; i < 3 * GHOSTS; i++) {
        (void)cachefs__past_pass(past, 1, GHOSTS / 32);
        cachefs__past_add(past, cachefs__mix(i), past->now, 1);
    }
    for (i = 2 * GHOSTS + GHOSTS / 32; i < 3 * GHOSTS; i++)
        known += (uint32_t)cachefs__past_take(past, cachefs__mix(i), 1);
    cr_assert_gt(known, GHOSTS * 9 / 10, "%u of the youngest", known);
    for (i = 0, known = 0; i < GHOSTS; i++)
        known += (uint32_t)cachefs__past_take(past, cachefs__mix(i), 1);
    cr_assert_lt(known, GHOSTS / 20, "%u of the oldest", known);
    for (i = 0, known = 0; i < GHOSTS; i++)
        known += (uint32_t)cachefs__past_take(past, cachefs__mix(77777777 + i), 1);
    cr_assert_leq(known, 1, "%u that never came", known);
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
