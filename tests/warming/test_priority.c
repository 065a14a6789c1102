/*
 * test_priority.c - what warming may push out, and what may push out what was warmed.
 */
#include <criterion/criterion.h>

#include "tests/warming/support_stack.h"

TestSuite(priority, .init = warm_test_begin, .fini = warm_test_end, .timeout = 600);

enum { SIZE = 65536 };

/* 4 MiB: room for some sixty of the files. */
static void open_policy(warm_stack_t *stack, const char *policy)
{
    cachefs_config_t config = CACHEFS_CONFIG_INIT;

    config.ram_bytes = 4u << 20;
    config.shards = 4;
    config.policy = policy;
    config.attr_ttl_us = 60000000;
    stack_open(stack, &config);
}

static void open_small(warm_stack_t *stack)
{
    open_policy(stack, "auto");
}

static size_t warm_of(warm_stack_t *stack, const warm_plan_t *plan)
{
    size_t i, count = 0;

    for (i = 0; i < warm_plan_count(plan); i++)
        count += stack_is_warm(stack, warm_plan_path(plan, i)) != 0;
    return count;
}

static warm_progress_t run(warm_stack_t *stack, const warm_plan_t *plan, vfs_priority_e priority)
{
    warm_options_t options = WARM_OPTIONS_INIT;
    warm_progress_t progress;
    char err[256] = "";

    options.priority = priority;
    options.workers = 4;
    cr_assert_eq(warm_run(stack->cache, plan, &options, &progress, err, sizeof(err), warm_pool),
                 APR_SUCCESS, "%s", err);
    cr_assert_eq(progress.files_failed, 0);
    return progress;
}

Test(priority, low_takes_free_space_only)
{
    warm_plan_t *hot = stack_plan_files("hot", 40), *cold = stack_plan_files("cold", 500);
    warm_progress_t progress;
    cachefs_stats_t stats = {.size = sizeof(stats)};
    warm_stack_t stack;
    size_t warm;

    open_small(&stack);
    stack_files(&stack, "hot", 40, SIZE);
    stack_files(&stack, "cold", 500, SIZE);
    (void)run(&stack, hot, VFS_PRIORITY_NORMAL);
    cr_assert_eq(warm_of(&stack, hot), 40);
    vfs_count_reset(stack.count);
    progress = run(&stack, cold, VFS_PRIORITY_LOW);
    cr_assert_eq(warm_of(&stack, hot), 40, "nothing was pushed out");
    warm = warm_of(&stack, cold);
    cr_assert_gt(warm, 0, "there was room for some");
    cr_assert_lt(warm, 40);
    cr_assert_eq(progress.files_done, 500);
    cr_assert_geq(progress.files_skipped, 500 - warm);
    cr_assert_lt(stack_requests(&stack), 100, "it does not ask for what has no room");
    cr_assert_eq(cachefs_stats(stack.cache, &stats), APR_SUCCESS);
    cr_assert_eq(stats.evictions, 0);
    stack_close(&stack);
}

/* Who warms says that he will read it: newcomers of that kind need not prove themselves first. */
static void pushes_out_older(const char *policy)
{
    warm_plan_t *old = stack_plan_files("old", 40), *recent = stack_plan_files("new", 40);
    warm_stack_t stack;

    open_policy(&stack, policy);
    stack_files(&stack, "old", 40, SIZE);
    stack_files(&stack, "new", 40, SIZE);
    (void)run(&stack, old, VFS_PRIORITY_NORMAL);
    (void)run(&stack, recent, VFS_PRIORITY_NORMAL);
    cr_log_info("%s: %zu new, %zu old", policy, warm_of(&stack, recent), warm_of(&stack, old));
    /* shards evict apart, and an admission filter lets a tie be won by who is there: not all of the
     * new ones stay, but most of what stays is new */
    cr_expect_geq(warm_of(&stack, recent), 16, "%s: %zu new", policy, warm_of(&stack, recent));
    cr_expect_gt(warm_of(&stack, recent), warm_of(&stack, old), "%s: %zu old", policy,
                 warm_of(&stack, old));
    stack_close(&stack);
}

Test(priority, normal_pushes_out_what_is_older)
{
    static const char *const policies[] = {"lru", "s3fifo", "lirs", "clockpro", "wtinylfu", "auto"};

    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++)
        pushes_out_older(policies[i]);
}

Test(priority, high_survives_what_comes_later)
{
    warm_plan_t *dear = stack_plan_files("dear", 8), *flood = stack_plan_files("flood", 500);
    warm_stack_t stack;
    size_t i;

    open_small(&stack);
    stack_files(&stack, "dear", 8, SIZE);
    stack_files(&stack, "flood", 500, SIZE);
    (void)run(&stack, dear, VFS_PRIORITY_HIGH);
    for (i = 0; i < 8; i++)
        cr_assert(stack_entry(&stack, warm_plan_path(dear, i)).pinned);
    (void)run(&stack, flood, VFS_PRIORITY_NORMAL);
    for (i = 0; i < 500; i++)
        cr_assert(warm_test_same(stack.cache, warm_plan_path(flood, i), SIZE));
    cr_assert_eq(warm_of(&stack, dear), 8);
    stack_close(&stack);
}

Test(priority, high_is_protected_up_to_the_limit_only)
{
    warm_plan_t *dear = stack_plan_files("dear", 45), *flood = stack_plan_files("flood", 200);
    cachefs_stats_t stats = {.size = sizeof(stats)};
    warm_stack_t stack;
    size_t i, warm;

    open_policy(&stack, "lru"); /* which keeps nothing that is not protected from a flood */
    stack_files(&stack, "dear", 45, SIZE);
    stack_files(&stack, "flood", 200, SIZE);
    (void)run(&stack, dear, VFS_PRIORITY_HIGH);
    cr_assert_eq(cachefs_stats(stack.cache, &stats), APR_SUCCESS);
    cr_assert_gt(stats.pinned_bytes, 0);
    cr_assert_leq(stats.pinned_bytes, 1u << 20, "a quarter of ram");
    for (i = 0; i < 200; i++)
        cr_assert(warm_test_same(stack.cache, warm_plan_path(flood, i), SIZE));
    warm = warm_of(&stack, dear);
    cr_assert_gt(warm, 5);
    cr_assert_lt(warm, 20, "%zu", warm);
    stack_close(&stack);
}
