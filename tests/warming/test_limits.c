/*
 * test_limits.c - jobs with limits: size of a file, bytes of the job, rate.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/warming/support_stack.h"

TestSuite(limits, .init = warm_test_begin, .fini = warm_test_end, .timeout = 600);

static warm_progress_t run(warm_stack_t *stack, const warm_plan_t *plan,
                           const warm_options_t *options)
{
    warm_progress_t progress;
    char err[256] = "";

    cr_assert_eq(warm_run(stack->cache, plan, options, &progress, err, sizeof(err), warm_pool),
                 APR_SUCCESS, "%s", err);
    return progress;
}

static warm_plan_t *tree(warm_stack_t *stack)
{
    warm_plan_t *plan = NULL;

    cr_assert_eq(warm_plan_create(&plan, warm_pool), APR_SUCCESS);
    cr_assert_eq(warm_plan_tree(plan, stack->mem, NULL, "/", NULL, 0), APR_SUCCESS);
    return plan;
}

Test(limits, larger_files_are_skipped)
{
    static const char *const paths[] = {"/small", "/just", "/over", "/huge"};
    warm_options_t options = WARM_OPTIONS_INIT;
    warm_progress_t progress;
    warm_stack_t stack;
    vfs_counts_t counts;

    stack_open(&stack, NULL);
    warm_test_file(stack.mem, "/small", 10);
    warm_test_file(stack.mem, "/just", 100000);
    warm_test_file(stack.mem, "/over", 100001);
    warm_test_file(stack.mem, "/huge", 5000000);
    options.file_bytes_max = 100000;
    progress = run(&stack, stack_plan(paths, 4), &options);
    cr_assert_eq(progress.files_done, 4);
    cr_assert_eq(progress.files_skipped, 2);
    cr_assert_eq(progress.bytes_done, 100010);
    cr_assert(stack_is_warm(&stack, "/just"));
    cr_assert_not(stack_is_warm(&stack, "/huge"));
    vfs_count_get(stack.count, &counts);
    cr_assert_lt(counts.bytes_read, 400000, "no more than the opens brought");

    /* sizes that are known from a listing cost no request */
    stack_new_cache(&stack, NULL);
    progress = run(&stack, tree(&stack), &options);
    cr_assert_eq(progress.files_skipped, 2);
    vfs_count_get(stack.count, &counts);
    cr_assert_eq(counts.bytes_read, 100010);
    stack_close(&stack);
}

Test(limits, job_ends_when_its_bytes_are_warm)
{
    warm_options_t options = WARM_OPTIONS_INIT;
    warm_progress_t progress;
    warm_stack_t stack;
    int known;

    stack_open(&stack, NULL);
    stack_files(&stack, "a", 100, 20000);
    options.job_bytes_max = 410000;
    for (known = 0; known < 2; known++) {
        stack_new_cache(&stack, NULL);
        progress = run(&stack, known ? tree(&stack) : stack_plan_files("a", 100), &options);
        cr_assert_eq(progress.files_done, 100);
        cr_assert_eq(progress.files_skipped, 80, "%d", (int)progress.files_skipped);
        cr_assert_eq(progress.bytes_done, 410000, "the last one as far as it may");
        cr_assert_eq(progress.files_failed, 0);
        cr_assert_leq(progress.bytes_fetched, 450000 + 16 * 20000);
    }
    stack_close(&stack);
}

Test(limits, failed_file_does_not_use_up_the_bytes_of_the_job)
{
    static const char *const paths[] = {"/bad", "/good"};
    vfs_fault_t fault = {.status = APR_EGENERAL, .glob = "/bad"};
    warm_options_t options = WARM_OPTIONS_INIT;
    warm_progress_t progress;
    warm_stack_t stack;

    stack_open(&stack, NULL);
    warm_test_file(stack.mem, "/bad", 1000000);
    warm_test_file(stack.mem, "/good", 1000000);
    VFS_FAULT_OP(fault, VFS_OPID_read_at);
    VFS_FAULT_OP(fault, VFS_OPID_readv_at);
    VFS_FAULT_OP(fault, VFS_OPID_fetch);
    cr_assert_eq(vfs_fault_add(stack.fault, &fault), APR_SUCCESS);
    options.job_bytes_max = 1000000;
    options.workers = 1;
    cr_assert_neq(
        warm_run(stack.cache, stack_plan(paths, 2), &options, &progress, NULL, 0, warm_pool),
        APR_SUCCESS);
    cr_assert_eq(progress.files_failed, 1);
    cr_assert_eq(progress.files_skipped, 0);
    cr_assert_eq(progress.bytes_done, 1000000);
    cr_assert(stack_is_warm(&stack, "/good"));
    stack_close(&stack);
}

Test(limits, rate_is_kept)
{
    warm_options_t options = WARM_OPTIONS_INIT;
    warm_progress_t progress;
    warm_stack_t stack;
    int known;

    stack_open(&stack, NULL);
    stack_files(&stack, "a", 40, 30000);
    warm_test_file(stack.mem, "/b/large", 1000000);
    options.bytes_per_second = 4000000;
    for (known = 0; known < 2; known++) {
        warm_plan_t *plan = known ? tree(&stack) : stack_plan_files("a", 40);
        const char *const large = "/b/large";

        if (!known) cr_assert_eq(warm_plan_paths(plan, &large, 1, NULL, 0), APR_SUCCESS);
        stack_new_cache(&stack, NULL);
        progress = run(&stack, plan, &options);
        cr_assert_eq(progress.bytes_done, 2200000);
        cr_assert_eq(progress.bytes_fetched, 2200000, "%llu",
                     (unsigned long long)progress.bytes_fetched);
        /* 0.55 s; what the opens bring is guessed at first */
        cr_assert_gt(progress.seconds, 0.55 * 0.85, "%.3f s", progress.seconds);
        cr_assert(stack_is_warm(&stack, large));
    }
    stack_close(&stack);
}

Test(limits, what_is_cached_does_not_wait_for_the_rate)
{
    warm_options_t options = WARM_OPTIONS_INIT;
    warm_progress_t progress;
    warm_stack_t stack;

    stack_open(&stack, NULL);
    stack_files(&stack, "a", 40, 30000);
    (void)run(&stack, stack_plan_files("a", 40), NULL);
    options.bytes_per_second = 1000; /* the suite's time is over long before twenty minutes are */
    progress = run(&stack, stack_plan_files("a", 40), &options);
    cr_assert_eq(progress.bytes_done, 1200000);
    cr_assert_eq(progress.bytes_fetched, 0);
    stack_close(&stack);
}

Test(limits, waiting_for_the_rate_can_be_cancelled)
{
    warm_options_t options = WARM_OPTIONS_INIT;
    warm_progress_t progress;
    warm_stack_t stack;
    warm_job_t *job;

    stack_open(&stack, NULL);
    stack_files(&stack, "a", 40, 30000);
    options.bytes_per_second = 1000;
    cr_assert_eq(
        warm_start(&job, stack.cache, stack_plan_files("a", 40), &options, NULL, 0, warm_pool),
        APR_SUCCESS);
    cr_assert_eq(warm_wait(job, 100000), APR_TIMEUP);
    warm_cancel(job); /* it would take twenty minutes, and half a minute for the next file */
    cr_assert_eq(warm_wait(job, 0), VFS_ECANCELED);
    warm_poll(job, &progress);
    cr_assert_lt(progress.files_done, 40);
    cr_assert_eq(progress.files_failed, 0);
    warm_job_destroy(job);
    stack_close(&stack);
}
