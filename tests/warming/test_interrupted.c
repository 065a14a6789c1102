/*
 * test_interrupted.c - jobs that go on where they were cancelled.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/warming/support_stack.h"

TestSuite(interrupted, .init = warm_test_begin, .fini = warm_test_end, .timeout = 600);

enum { FILES = 400 };

typedef struct stop_t {
    uint64_t at;
} stop_t;

static int stop_at(void *baton, const warm_progress_t *progress)
{
    return progress->files_done >= ((const stop_t *)baton)->at;
}

Test(interrupted, job_that_was_cancelled_reads_only_the_rest)
{
    warm_options_t options = WARM_OPTIONS_INIT;
    warm_plan_t *plan = stack_plan_files("a", FILES);
    const char *file = warm_test_path("resume");
    stop_t stop = {100};
    warm_progress_t first, second;
    warm_stack_t stack;
    uint64_t got;

    stack_open(&stack, NULL);
    stack_files(&stack, "a", FILES, 1000);
    stack_delay(&stack, 10000, 0);
    options.workers = 4;
    options.resume_file = file;
    options.progress = stop_at;
    options.progress_baton = &stop;
    cr_assert_eq(warm_run(stack.cache, plan, &options, &first, NULL, 0, warm_pool), VFS_ECANCELED);
    cr_assert_geq(first.files_done, 100);
    cr_assert_lt(first.files_done, FILES);
    cr_assert(warm_test_exists(file));
    got = stack_calls(&stack, VFS_OPID_get);
    cr_assert_geq(got, first.files_done);
    cr_assert_leq(got, first.files_done + 4);

    /* in another process the cache would be empty: the rest is read all the same, and nothing else
     */
    stack_new_cache(&stack, NULL);
    stack_delay(&stack, 0, 0);
    stop.at = UINT64_MAX;
    cr_assert_eq(warm_run(stack.cache, plan, &options, &second, NULL, 0, warm_pool), APR_SUCCESS);
    cr_assert_eq(second.files_done, FILES);
    cr_assert_eq(second.files_skipped, first.files_done);
    cr_assert_eq(stack_calls(&stack, VFS_OPID_get), FILES - first.files_done);
    cr_assert_eq(second.bytes_done, 1000 * (FILES - first.files_done));
    cr_assert_not(warm_test_exists(file), "the job ended well");
    cr_assert_eq(warm_test_files(), 0);
    stack_close(&stack);
}

Test(interrupted, failed_files_are_tried_again)
{
    static const char *const paths[] = {"/a/f00000", "/late", "/a/f00001"};
    warm_options_t options = WARM_OPTIONS_INIT;
    warm_progress_t progress;
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    warm_stack_t stack;

    config.negative_ttl_us = 0;
    stack_open(&stack, &config);
    stack_files(&stack, "a", 2, 1000);
    options.resume_file = warm_test_path("resume");
    cr_assert(APR_STATUS_IS_ENOENT(
        warm_run(stack.cache, stack_plan(paths, 3), &options, &progress, NULL, 0, warm_pool)));
    cr_assert_eq(progress.files_failed, 1);
    cr_assert_str_eq(strchr(strchr(warm_test_read(options.resume_file, NULL), '\n') + 1, '\n') + 1,
                     "done 0-0\ndone 2-2\nend 2\n");
    warm_test_file(stack.mem, "/late", 77);
    vfs_count_reset(stack.count);
    cr_assert_eq(
        warm_run(stack.cache, stack_plan(paths, 3), &options, &progress, NULL, 0, warm_pool),
        APR_SUCCESS);
    cr_assert_eq(progress.files_skipped, 2);
    cr_assert_eq(progress.bytes_done, 77);
    cr_assert_eq(stack_requests(&stack), 1);
    cr_assert_not(warm_test_exists(options.resume_file));
    stack_close(&stack);
}

Test(interrupted, resume_file_of_another_plan_is_refused_and_stays)
{
    static const char *const paths[] = {"/none", "/a/f00000"};
    warm_options_t options = WARM_OPTIONS_INIT;
    warm_progress_t progress;
    warm_stack_t stack;
    char err[256] = "";

    stack_open(&stack, NULL);
    stack_files(&stack, "a", 3, 1000);
    options.resume_file = warm_test_path("resume");
    cr_assert_neq(
        warm_run(stack.cache, stack_plan(paths, 2), &options, &progress, NULL, 0, warm_pool),
        APR_SUCCESS);
    vfs_count_reset(stack.count);
    cr_assert_eq(warm_run(stack.cache, stack_plan_files("a", 3), &options, &progress, err,
                          sizeof(err), warm_pool),
                 VFS_EFORMAT);
    cr_assert_not_null(strstr(err, "another plan"));
    cr_assert_eq(stack_requests(&stack), 0);
    cr_assert(warm_test_exists(options.resume_file));
    stack_close(&stack);
}

Test(interrupted, resume_file_is_written_while_the_job_runs)
{
    warm_options_t options = WARM_OPTIONS_INIT;
    warm_plan_t *plan = stack_plan_files("a", FILES);
    vfs_fault_t block = {.what = VFS_FAULT_BLOCK, .glob = "/a/f00399"};
    unsigned char done[FILES / 8];
    warm_stack_t stack;
    warm_job_t *job;
    int tries;

    stack_open(&stack, NULL);
    stack_files(&stack, "a", FILES, 1000);
    cr_assert_eq(vfs_fault_add(stack.fault, &block), APR_SUCCESS);
    options.resume_file = warm_test_path("resume");
    cr_assert_eq(warm_start(&job, stack.cache, plan, &options, NULL, 0, warm_pool), APR_SUCCESS);
    for (tries = 0; tries < 6000; tries++) {
        memset(done, 0, sizeof(done));
        cr_assert_eq(
            warm__resume_load(options.resume_file, warm__plan_hash(plan), FILES, done, NULL, 0),
            APR_SUCCESS, "never torn");
        if (done[0] == 0xff && done[FILES / 8 - 1] == 0x7f) break;
        apr_sleep(10000);
    }
    cr_assert_lt(tries, 6000);
    warm_job_destroy(job);
    vfs_fault_clear(stack.fault);
    stack_close(&stack);
}

Test(interrupted, resume_file_that_cannot_be_written_is_an_error_of_its_own)
{
    warm_options_t options = WARM_OPTIONS_INIT;
    vfs_fault_t block = {.what = VFS_FAULT_BLOCK, .glob = "/a/f00019"};
    const warm_error_t *errors;
    warm_progress_t progress;
    warm_stack_t stack;
    warm_job_t *job;

    stack_open(&stack, NULL);
    stack_files(&stack, "a", 20, 1000);
    cr_assert_eq(vfs_fault_add(stack.fault, &block), APR_SUCCESS);
    options.resume_file = warm_test_path("no/such/dir");
    cr_assert_eq(
        warm_start(&job, stack.cache, stack_plan_files("a", 20), &options, NULL, 0, warm_pool),
        APR_SUCCESS);
    while (warm_errors(job, &errors) == 0)
        apr_sleep(5000);
    vfs_fault_clear(stack.fault);
    cr_assert_eq(warm_wait(job, 0), APR_SUCCESS, "the files are warm");
    warm_poll(job, &progress);
    cr_assert_eq(progress.files_failed, 0);
    cr_assert_eq(warm_errors(job, &errors), 1);
    cr_assert_str_eq(errors[0].path, options.resume_file);
    cr_assert_neq(errors[0].status, APR_SUCCESS);
    warm_job_destroy(job);
    stack_close(&stack);
}
