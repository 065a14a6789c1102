/*
 * test_policy_registry.c - policies by name: the library's own, and those that a program brings.
 */
#include <criterion/criterion.h>
#include <stddef.h>
#include <string.h>

#include "cachefs/policy.h"

static uint32_t forty_two(void *state)
{
    (void)state;
    return 42;
}

static uint32_t forty_three(void *state)
{
    (void)state;
    return 43;
}

static cachefs_policy_ops_t like_lru(const char *name)
{
    cachefs_policy_ops_t ops = *cachefs_policy_find("lru");

    ops.name = name;
    return ops;
}

Test(policy_registry, own_policies_come_first_and_are_found)
{
    static const char *const names[] = {"lru",    "lfu",   "ttl",      "hybrid", "fifo",
                                        "clock",  "slru",  "arc",      "lirs",   "clockpro",
                                        "s3fifo", "sieve", "wtinylfu", "auto"};
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        cr_assert_str_eq(cachefs_policy_at(i)->name, names[i]);
        cr_assert_eq(cachefs_policy_find(names[i]), cachefs_policy_at(i));
    }
    cr_assert_null(cachefs_policy_find("none-such"));
    cr_assert_null(cachefs_policy_find(NULL));
    cr_assert_null(cachefs_policy_at(1000));
}

Test(policy_registry, registered_policy_is_found_and_may_be_replaced)
{
    cachefs_policy_ops_t one = like_lru("mine"), other = like_lru("theirs");
    const cachefs_policy_ops_t *first;
    size_t count = 0;

    while (cachefs_policy_at(count) != NULL)
        count++;
    one.count = forty_two;
    cr_assert_eq(cachefs_policy_register(&one), APR_SUCCESS);
    cr_assert_eq(cachefs_policy_register(&other), APR_SUCCESS);
    first = cachefs_policy_find("mine");
    cr_assert_eq(first->count(NULL), 42);
    cr_assert_eq(cachefs_policy_at(count), first);
    cr_assert_str_eq(cachefs_policy_at(count + 1)->name, "theirs");

    one.count = forty_three;
    cr_assert_eq(cachefs_policy_register(&one), APR_SUCCESS);
    cr_assert_eq(cachefs_policy_find("mine")->count(NULL), 43);
    cr_assert_eq(first->count(NULL), 42, "an instance may still hold the old table");
    cr_assert_str_eq(cachefs_policy_at(count + 1)->name, "theirs");
    cr_assert_null(cachefs_policy_at(count + 2));
}

Test(policy_registry, own_names_and_broken_tables_are_refused)
{
    cachefs_policy_ops_t ops = like_lru("hybrid");

    cr_assert_eq(cachefs_policy_register(NULL), APR_EINVAL);
    cr_assert_eq(cachefs_policy_register(&ops), APR_EINVAL);
    ops = like_lru(NULL);
    cr_assert_eq(cachefs_policy_register(&ops), APR_EINVAL);
    ops = like_lru("");
    cr_assert_eq(cachefs_policy_register(&ops), APR_EINVAL);
    ops = like_lru("x");
    ops.abi++;
    cr_assert_eq(cachefs_policy_register(&ops), VFS_EABI);
    ops = like_lru("x");
    ops.size = offsetof(cachefs_policy_ops_t, count);
    cr_assert_eq(cachefs_policy_register(&ops), VFS_EABI);
    ops = like_lru("x");
    ops.victim = NULL;
    cr_assert_eq(cachefs_policy_register(&ops), APR_EINVAL);
    ops = like_lru("x");
    ops.count = NULL;
    cr_assert_eq(cachefs_policy_register(&ops), APR_EINVAL);
    cr_assert_null(cachefs_policy_find("x"));
}

Test(policy_registry, table_of_a_newer_header_is_taken)
{
    struct {
        cachefs_policy_ops_t ops;
        void (*later)(void);
    } newer;

    memset(&newer, 0, sizeof(newer));
    newer.ops = like_lru("newer");
    newer.ops.size = sizeof(newer);
    cr_assert_eq(cachefs_policy_register(&newer.ops), APR_SUCCESS);
    cr_assert_eq(cachefs_policy_find("newer")->size, sizeof(cachefs_policy_ops_t));
}
