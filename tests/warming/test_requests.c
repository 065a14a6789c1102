/*
 * test_requests.c - what warming costs a remote: one round trip for a small file, and workers that
 * overlap.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/warming/support_stack.h"

TestSuite(requests, .init = warm_test_begin, .fini = warm_test_end);

enum { FILES = 1000, SIZE = 700 };

Test(requests, thousand_small_files_cost_one_get_each_and_nothing_else)
{
    warm_progress_t progress;
    warm_stack_t stack;
    warm_plan_t *plan = NULL;
    vfs_counts_t counts;
    char err[256] = "";

    stack_open(&stack, NULL);
    stack_files(&stack, "d", FILES, SIZE);
    plan = stack_plan_files("d", FILES);
    cr_assert_eq(warm_run(stack.cache, plan, NULL, &progress, err, sizeof(err), warm_pool),
                 APR_SUCCESS, "%s", err);
    vfs_count_get(stack.count, &counts);
    cr_assert_eq(counts.calls[VFS_OPID_get], FILES);
    cr_assert_eq(vfs_counts_requests(&counts), FILES);
    cr_assert_eq(counts.bytes_read, FILES * SIZE);
    cr_assert_eq(progress.files_done, FILES);
    cr_assert_eq(progress.bytes_done, FILES * SIZE);
    cr_assert_eq(progress.bytes_fetched, FILES * SIZE);
    stack_close(&stack);
}

Test(requests, warm_files_cost_nothing_again)
{
    warm_progress_t progress;
    warm_stack_t stack;
    warm_plan_t *plan;

    stack_open(&stack, NULL);
    stack_files(&stack, "d", 100, SIZE);
    plan = stack_plan_files("d", 100);
    cr_assert_eq(warm_run(stack.cache, plan, NULL, &progress, NULL, 0, warm_pool), APR_SUCCESS);
    vfs_count_reset(stack.count);
    cr_assert_eq(warm_run(stack.cache, plan, NULL, &progress, NULL, 0, warm_pool), APR_SUCCESS);
    cr_assert_eq(stack_requests(&stack), 0);
    cr_assert_eq(progress.bytes_done, 100 * SIZE);
    cr_assert_eq(progress.bytes_fetched, 0);
    stack_close(&stack);
}

/* A round trip ends when every worker is on one: were they one behind the other anywhere, they
 * would never meet. So the job takes as many times that of one request as there are rounds here. */
Test(requests, workers_overlap_round_trips, .timeout = 600)
{
    enum { WORKERS = 16 };
    vfs_fault_t block = {.what = VFS_FAULT_BLOCK};
    warm_options_t options = WARM_OPTIONS_INIT;
    warm_stack_t stack;
    vfs_counts_t counts;
    warm_job_t *job;
    uint64_t begun = 0, rounds = 0;

    stack_open(&stack, NULL);
    stack_files(&stack, "d", FILES, SIZE);
    VFS_FAULT_OP(block, VFS_OPID_get);
    cr_assert_eq(vfs_fault_add(stack.fault, &block), APR_SUCCESS);
    options.workers = WORKERS;
    cr_assert_eq(
        warm_start(&job, stack.cache, stack_plan_files("d", FILES), &options, NULL, 0, warm_pool),
        APR_SUCCESS);
    for (; begun < FILES; rounds++) {
        begun = FILES - begun < WORKERS ? FILES : begun + WORKERS;
        stack_wait_injected(&stack, begun);
        vfs_fault_release(stack.fault);
    }
    cr_assert_eq(warm_wait(job, 0), APR_SUCCESS);
    cr_assert_eq(rounds, (FILES + WORKERS - 1) / WORKERS);
    vfs_count_get(stack.count, &counts);
    cr_assert_eq(counts.in_flight_max, WORKERS);
    cr_assert_eq(vfs_counts_requests(&counts), FILES);
    warm_job_destroy(job);
    stack_close(&stack);
}

Test(requests, large_file_is_read_once)
{
    enum { LARGE = 20 << 20 };
    const char *const paths[] = {"/large", "/small"};
    warm_progress_t progress;
    warm_stack_t stack;
    warm_plan_t *plan = NULL;
    vfs_counts_t counts;

    stack_open(&stack, NULL);
    warm_test_file(stack.mem, "/large", LARGE);
    warm_test_file(stack.mem, "/small", 10);
    cr_assert_eq(warm_run(stack.cache, stack_plan(paths, 2), NULL, &progress, NULL, 0, warm_pool),
                 APR_SUCCESS);
    vfs_count_get(stack.count, &counts);
    cr_assert_eq(counts.bytes_read, LARGE + 10);
    cr_assert_eq(progress.bytes_done, LARGE + 10);
    cr_assert_eq(progress.bytes_fetched, LARGE + 10);
    cr_assert(stack_is_warm(&stack, "/large"));

    /* with a size from a listing it comes in pieces */
    stack_new_cache(&stack, NULL);
    cr_assert_eq(warm_plan_create(&plan, warm_pool), APR_SUCCESS);
    cr_assert_eq(warm_plan_tree(plan, stack.cache, NULL, "/", NULL, 0), APR_SUCCESS);
    vfs_count_reset(stack.count);
    cr_assert_eq(warm_run(stack.cache, plan, NULL, &progress, NULL, 0, warm_pool), APR_SUCCESS);
    vfs_count_get(stack.count, &counts);
    cr_assert_eq(counts.bytes_read, LARGE + 10);
    cr_assert_eq(progress.bytes_done, LARGE + 10);
    cr_assert_eq(progress.bytes_fetched, LARGE + 10);
    cr_assert(stack_is_warm(&stack, "/large"));
    cr_assert(warm_test_same(stack.cache, "/large", LARGE));
    stack_close(&stack);
}
