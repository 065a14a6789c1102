/*
 * test_job.c - jobs: results, errors, progress, waiting, cancelling.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "tests/warming/support_stack.h"

TestSuite(job, .init = warm_test_begin, .fini = warm_test_end, .timeout = 600);

static warm_job_t *start(warm_stack_t *stack, const warm_plan_t *plan,
                         const warm_options_t *options)
{
    warm_job_t *job = NULL;
    char err[256] = "";

    cr_assert_eq(warm_start(&job, stack->cache, plan, options, err, sizeof(err), warm_pool),
                 APR_SUCCESS, "%s", err);
    return job;
}

Test(job, everything_in_the_plan_becomes_warm)
{
    warm_progress_t progress;
    warm_stack_t stack;
    warm_plan_t *plan = NULL;
    size_t i;

    stack_open(&stack, NULL);
    stack_files(&stack, "a", 40, 3000);
    stack_files(&stack, "b/c", 40, 300000);
    warm_test_file(stack.mem, "/empty", 0);
    cr_assert_eq(warm_plan_create(&plan, warm_pool), APR_SUCCESS);
    cr_assert_eq(warm_plan_tree(plan, stack.cache, NULL, "/", NULL, 0), APR_SUCCESS);
    cr_assert_eq(warm_plan_count(plan), 81);
    cr_assert_eq(warm_run(stack.cache, plan, NULL, &progress, NULL, 0, warm_pool), APR_SUCCESS);
    for (i = 0; i < 81; i++)
        cr_assert(stack_is_warm(&stack, warm_plan_path(plan, i)), "%s", warm_plan_path(plan, i));
    cr_assert_eq(progress.files_total, 81);
    cr_assert_eq(progress.files_done, 81);
    cr_assert_eq(progress.files_failed, 0);
    cr_assert_eq(progress.files_skipped, 0);
    cr_assert_eq(progress.bytes_done, 40 * 303000);
    cr_assert_eq(progress.seconds_left, 0);
    cr_assert_gt(progress.bytes_per_second, 0);
    cr_assert(progress.finished);
    cr_assert(warm_test_same(stack.cache, "/b/c/f00007", 300000));
    stack_close(&stack);
}

/* What was heard; the callback comes on several threads. */
typedef struct told_t {
    atomic_uint things, failed, skipped;
    atomic_ullong bytes, fetched, us_min;
} told_t;

static void be_told(void *baton, const warm_thing_t *thing)
{
    told_t *heard = baton;
    unsigned long long least = atomic_load(&heard->us_min);

    atomic_fetch_add(&heard->things, 1);
    if (thing->status != APR_SUCCESS) {
        atomic_fetch_add(&heard->failed, 1);
        cr_assert_str_eq(thing->path, "/nope");
        return;
    }
    if (thing->skipped) atomic_fetch_add(&heard->skipped, 1);
    atomic_fetch_add(&heard->bytes, thing->bytes);
    atomic_fetch_add(&heard->fetched, thing->fetched);
    while (!thing->skipped && thing->us < least)
        if (atomic_compare_exchange_weak(&heard->us_min, &least, thing->us)) break;
}

Test(job, each_thing_is_told_when_it_is_done)
{
    static const char *const nope[] = {"/nope"};
    warm_options_t options = WARM_OPTIONS_INIT;
    warm_progress_t progress;
    warm_stack_t stack;
    warm_plan_t *plan = NULL;
    told_t heard = {.us_min = UINT64_MAX};

    stack_open(&stack, NULL);
    stack_files(&stack, "a", 20, 3000);
    warm_test_file(stack.mem, "/large", 100000);
    stack_delay(&stack, 2000, 0);
    cr_assert_eq(warm_plan_create(&plan, warm_pool), APR_SUCCESS);
    cr_assert_eq(warm_plan_tree(plan, stack.cache, NULL, "/", NULL, 0), APR_SUCCESS);
    cr_assert_eq(warm_plan_paths(plan, nope, 1, NULL, 0), APR_SUCCESS);
    options.file_bytes_max = 50000;
    options.thing = be_told;
    options.thing_baton = &heard;
    cr_assert(
        APR_STATUS_IS_ENOENT(warm_run(stack.cache, plan, &options, &progress, NULL, 0, warm_pool)));
    cr_assert_eq(heard.things, 22);
    cr_assert_eq(heard.things, progress.files_done);
    cr_assert_eq(heard.failed, 1);
    cr_assert_eq(heard.skipped, 1);
    cr_assert_eq(heard.bytes, progress.bytes_done);
    cr_assert_eq(heard.fetched, progress.bytes_fetched);
    cr_assert_geq(heard.us_min, 2000, "each takes a round trip");
    stack_close(&stack);
}

Test(job, empty_plan_ends_at_once)
{
    warm_progress_t progress;
    warm_stack_t stack;

    stack_open(&stack, NULL);
    cr_assert_eq(warm_run(stack.cache, stack_plan(NULL, 0), NULL, &progress, NULL, 0, warm_pool),
                 APR_SUCCESS);
    cr_assert_eq(progress.files_total, 0);
    cr_assert(progress.finished);
    stack_close(&stack);
}

Test(job, options_that_cannot_be_are_refused_with_a_sentence)
{
    warm_options_t options = WARM_OPTIONS_INIT;
    warm_job_t *job = NULL;
    warm_plan_t *plan = stack_plan(NULL, 0);
    warm_stack_t stack;
    char err[256];

    stack_open(&stack, NULL);
    cr_assert_eq(warm_start(&job, stack.mem, plan, &options, err, sizeof(err), warm_pool),
                 APR_EINVAL);
    cr_assert_str_eq(err, "there is no cache to warm");
    cr_assert_eq(warm_start(&job, NULL, plan, &options, NULL, 0, warm_pool), APR_EINVAL);
    cr_assert_eq(warm_start(&job, stack.cache, NULL, &options, NULL, 0, warm_pool), APR_EINVAL);
    cr_assert_eq(warm_start(NULL, stack.cache, plan, &options, NULL, 0, warm_pool), APR_EINVAL);
    options.workers = 0;
    cr_assert_eq(warm_start(&job, stack.cache, plan, &options, err, sizeof(err), warm_pool),
                 APR_EINVAL);
    cr_assert_str_eq(err, "workers: \"0\" is not accepted; expected 1 to 1024");
    options.workers = 1025;
    cr_assert_eq(warm_start(&job, stack.cache, plan, &options, err, sizeof(err), warm_pool),
                 APR_EINVAL);
    options.workers = 4;
    options.priority = (vfs_priority_e)3;
    cr_assert_eq(warm_start(&job, stack.cache, plan, &options, err, sizeof(err), warm_pool),
                 APR_EINVAL);
    cr_assert_not_null(strstr(err, "normal, low or high"));
    options.priority = VFS_PRIORITY_NORMAL;
    options.on_error = (warm_on_error_e)9;
    cr_assert_eq(warm_run(stack.cache, plan, &options, NULL, err, sizeof(err), warm_pool),
                 APR_EINVAL);
    cr_assert_not_null(strstr(err, "skip or stop"));
    options.on_error = WARM_SKIP;
    options.size = 8;
    cr_assert_eq(warm_start(&job, stack.cache, plan, &options, err, sizeof(err), warm_pool),
                 APR_EINVAL);
    cr_assert_not_null(strstr(err, "WARM_OPTIONS_INIT"), "%s", err);
    cr_assert_null(job);
    warm_job_destroy(NULL);
    stack_close(&stack);
}

static void never(void *baton, const warm_thing_t *thing)
{
    (void)baton;
    cr_assert_fail("%s", thing->path);
}

Test(job, options_of_the_first_header_have_no_later_fields)
{
    warm_options_t options = WARM_OPTIONS_INIT;
    warm_stack_t stack;

    stack_open(&stack, NULL);
    stack_files(&stack, "a", 3, 100);
    options.size = offsetof(warm_options_t, thing);
    options.thing = never;
    cr_assert_eq(
        warm_run(stack.cache, stack_plan_files("a", 3), &options, NULL, NULL, 0, warm_pool),
        APR_SUCCESS);
    stack_close(&stack);
}

static apr_status_t error_of(warm_job_t *job, const char *path)
{
    const warm_error_t *errors;
    size_t count = warm_errors(job, &errors), i;

    for (i = 0; i < count; i++)
        if (strcmp(errors[i].path, path) == 0) return errors[i].status;
    return APR_SUCCESS;
}

Test(job, errors_are_listed_by_file_and_the_rest_is_warmed)
{
    static const char *const paths[] = {"/a/f00000", "/none", "/a", "/a/f00001", "/a/f00000/x",
                                        "/bad",      "a/",    "/",  "/a/f00002"};
    vfs_fault_t fault = {.status = APR_FROM_OS_ERROR(EIO), .glob = "/bad"};
    warm_progress_t progress;
    const warm_error_t *errors;
    warm_stack_t stack;
    warm_job_t *job;

    stack_open(&stack, NULL);
    stack_files(&stack, "a", 3, 5000);
    warm_test_file(stack.mem, "/bad", 5000);
    cr_assert_eq(vfs_fault_add(stack.fault, &fault), APR_SUCCESS);
    job = start(&stack, stack_plan(paths, 9), NULL);
    cr_assert_neq(warm_wait(job, 0), APR_SUCCESS);
    warm_poll(job, &progress);
    cr_assert_eq(progress.files_done, 9);
    cr_assert_eq(progress.files_failed, 6);
    cr_assert_eq(progress.bytes_done, 15000);
    cr_assert_eq(warm_errors(job, &errors), 6);
    cr_assert(APR_STATUS_IS_ENOENT(error_of(job, "/none")));
    cr_assert_eq(error_of(job, "/a"), APR_FROM_OS_ERROR(EISDIR));
    cr_assert_eq(error_of(job, "/"), APR_FROM_OS_ERROR(EISDIR));
    cr_assert(APR_STATUS_IS_ENOTDIR(error_of(job, "/a/f00000/x")));
    cr_assert_eq(error_of(job, "/bad"), APR_FROM_OS_ERROR(EIO));
    cr_assert(stack_is_warm(&stack, "/a/f00002"));
    warm_job_destroy(job);
    stack_close(&stack);
}

Test(job, first_thousand_errors_are_kept)
{
    warm_progress_t progress;
    const warm_error_t *errors;
    warm_stack_t stack;
    warm_job_t *job;

    stack_open(&stack, NULL);
    job = start(&stack, stack_plan_files("none", 1500), NULL);
    cr_assert(APR_STATUS_IS_ENOENT(warm_wait(job, 0)));
    warm_poll(job, &progress);
    cr_assert_eq(progress.files_failed, 1500);
    cr_assert_eq(warm_errors(job, &errors), 1000);
    warm_job_destroy(job);
    stack_close(&stack);
}

Test(job, stop_ends_with_the_first_error)
{
    warm_options_t options = WARM_OPTIONS_INIT;
    const char *const bad = "/bad";
    warm_progress_t progress;
    warm_stack_t stack;
    warm_plan_t *plan;
    char err[256] = "";

    stack_open(&stack, NULL);
    stack_files(&stack, "a", 300, 100);
    plan = stack_plan_files("a", 20);
    cr_assert_eq(warm_plan_paths(plan, &bad, 1, NULL, 0), APR_SUCCESS);
    cr_assert_eq(warm_plan_tree(plan, stack.mem, NULL, "/a", NULL, 0), APR_SUCCESS);
    options.on_error = WARM_STOP;
    options.workers = 1;
    cr_assert(APR_STATUS_IS_ENOENT(
        warm_run(stack.cache, plan, &options, &progress, err, sizeof(err), warm_pool)));
    cr_assert_not_null(strstr(err, "\"/bad\""), "%s", err);
    cr_assert_eq(progress.files_done, 21);
    cr_assert_eq(progress.files_failed, 1);
    cr_assert(progress.finished);
    stack_close(&stack);
}

/* ---- cancelling */

Test(job, cancel_ends_calls_that_are_under_way)
{
    vfs_fault_t block = {.what = VFS_FAULT_BLOCK};
    warm_progress_t progress;
    warm_stack_t stack;
    warm_job_t *job;

    stack_open(&stack, NULL);
    stack_files(&stack, "a", 100, 100);
    cr_assert_eq(vfs_fault_add(stack.fault, &block), APR_SUCCESS);
    job = start(&stack, stack_plan_files("a", 100), NULL);
    while (vfs_fault_blocked(stack.fault) < 16)
        apr_sleep(1000);
    cr_assert_eq(warm_wait(job, 30000), APR_TIMEUP);
    warm_poll(job, &progress);
    cr_assert_eq(progress.files_done, 0);
    cr_assert_eq(progress.seconds_left, -1);
    cr_assert_not(progress.finished);
    warm_cancel(job); /* without it they would stand still for ever */
    cr_assert_eq(warm_wait(job, 0), VFS_ECANCELED);
    warm_poll(job, &progress);
    cr_assert_eq(progress.files_failed, 0, "a call that was cancelled is no error of its file");
    cr_assert(progress.finished);
    warm_job_destroy(job);
    vfs_fault_clear(stack.fault);
    stack_close(&stack);
}

Test(job, destroy_cancels_and_waits)
{
    vfs_fault_t block = {.what = VFS_FAULT_BLOCK};
    warm_stack_t stack;
    warm_job_t *job;

    stack_open(&stack, NULL);
    stack_files(&stack, "a", 10, 100);
    cr_assert_eq(vfs_fault_add(stack.fault, &block), APR_SUCCESS);
    job = start(&stack, stack_plan_files("a", 10), NULL);
    while (vfs_fault_blocked(stack.fault) < 10)
        apr_sleep(1000);
    warm_job_destroy(job);
    cr_assert_eq(vfs_fault_blocked(stack.fault), 0);
    vfs_fault_clear(stack.fault);
    stack_close(&stack);
}

Test(job, cancel_flag_of_the_options_is_obeyed)
{
    vfs_fault_t block = {.what = VFS_FAULT_BLOCK};
    warm_options_t options = WARM_OPTIONS_INIT;
    vfs_cancel_t *cancel;
    warm_stack_t stack;
    warm_job_t *job;

    stack_open(&stack, NULL);
    stack_files(&stack, "a", 10, 100);
    cr_assert_eq(vfs_fault_add(stack.fault, &block), APR_SUCCESS);
    cr_assert_eq(vfs_cancel_create(&cancel, warm_pool), APR_SUCCESS);
    options.cancel = cancel;
    job = start(&stack, stack_plan_files("a", 10), &options);
    while (vfs_fault_blocked(stack.fault) < 10)
        apr_sleep(1000);
    vfs_cancel_raise(cancel);
    cr_assert_eq(warm_wait(job, 60000000), VFS_ECANCELED);
    warm_job_destroy(job);
    vfs_fault_clear(stack.fault);
    stack_close(&stack);
}

/* ---- progress */

typedef struct heard_t {
    warm_progress_t last;
    unsigned calls, finished, backwards, guesses;
    uint64_t cancel_at;
    int64_t first_us, last_us;
} heard_t;

static int hear(void *baton, const warm_progress_t *progress)
{
    heard_t *heard = baton;

    if (heard->calls == 0) heard->first_us = warm__now_us();
    heard->last_us = warm__now_us();
    if (progress->files_done < heard->last.files_done || progress->seconds < heard->last.seconds)
        heard->backwards++;
    if (!progress->finished && progress->seconds_left > 0) heard->guesses++;
    heard->last = *progress;
    heard->calls++;
    heard->finished += progress->finished != 0;
    return heard->cancel_at != 0 && progress->files_done >= heard->cancel_at;
}

Test(job, progress_is_heard_and_ends_with_the_end)
{
    warm_options_t options = WARM_OPTIONS_INIT;
    heard_t heard = {0};
    warm_stack_t stack;

    stack_open(&stack, NULL);
    stack_files(&stack, "a", 200, 1000);
    stack_delay(&stack, 10000, 0);
    options.workers = 4;
    options.progress = hear;
    options.progress_baton = &heard;
    cr_assert_eq(
        warm_run(stack.cache, stack_plan_files("a", 200), &options, NULL, NULL, 0, warm_pool),
        APR_SUCCESS);
    cr_assert_geq(heard.calls, 3, "%u", heard.calls);
    /* a tenth of a second apart, but for the last; the first may have been late to look */
    cr_assert_leq(heard.calls, 3 + (heard.last_us - heard.first_us) / 100000, "%u", heard.calls);
    cr_assert_eq(heard.finished, 1);
    cr_assert_eq(heard.backwards, 0);
    cr_assert_gt(heard.guesses, 0);
    cr_assert_eq(heard.last.files_done, 200);
    cr_assert_eq(heard.last.bytes_done, 200000);
    cr_assert_eq(heard.last.seconds_left, 0);
    stack_close(&stack);
}

Test(job, callback_can_cancel)
{
    warm_options_t options = WARM_OPTIONS_INIT;
    heard_t heard = {.cancel_at = 10};
    vfs_fault_t block = {.what = VFS_FAULT_BLOCK, .glob = "/a/f00499"}; /* it cannot end before */
    warm_progress_t progress;
    warm_stack_t stack;

    stack_open(&stack, NULL);
    stack_files(&stack, "a", 500, 1000);
    cr_assert_eq(vfs_fault_add(stack.fault, &block), APR_SUCCESS);
    stack_delay(&stack, 10000, 0);
    options.workers = 4;
    options.progress = hear;
    options.progress_baton = &heard;
    cr_assert_eq(
        warm_run(stack.cache, stack_plan_files("a", 500), &options, &progress, NULL, 0, warm_pool),
        VFS_ECANCELED);
    cr_assert_geq(progress.files_done, 10);
    cr_assert_lt(progress.files_done, 500);
    cr_assert_eq(progress.files_failed, 0);
    stack_close(&stack);
}

/* Wait until more than `bytes` are there; returns how many. */
static uint64_t wait_for_more(warm_job_t *job, uint64_t bytes)
{
    warm_progress_t progress;
    int tries = 0;

    for (warm_poll(job, &progress); progress.bytes_done <= bytes; warm_poll(job, &progress)) {
        cr_assert_lt(tries++, 60000, "nothing comes behind %d bytes", (int)bytes);
        apr_sleep(1000);
    }
    cr_assert_eq(progress.files_done, 0);
    return progress.bytes_done;
}

Test(job, large_file_shows_progress_while_it_comes)
{
    enum { LARGE = 24 << 20, STEPS = 3 };
    static const char *const path[] = {"/large"};
    vfs_fault_t block = {.what = VFS_FAULT_BLOCK, .times = STEPS};
    warm_options_t options = WARM_OPTIONS_INIT;
    heard_t heard = {0};
    warm_progress_t progress;
    uint64_t bytes = 0;
    warm_stack_t stack;
    warm_job_t *job;
    int i;

    stack_open(&stack, NULL);
    warm_test_file(stack.mem, "/large", LARGE);
    VFS_FAULT_OP(block, VFS_OPID_fetch);
    cr_assert_eq(vfs_fault_add(stack.fault, &block), APR_SUCCESS);
    options.progress = hear;
    options.progress_baton = &heard;
    job = start(&stack, stack_plan(path, 1), &options);
    for (i = 1; i <= STEPS; i++) { /* what came shows while its next read stands still */
        stack_wait_injected(&stack, (uint64_t)i);
        bytes = wait_for_more(job, bytes);
        cr_assert_lt(bytes, LARGE);
        vfs_fault_release(stack.fault);
    }
    cr_assert_eq(warm_wait(job, 0), APR_SUCCESS);
    warm_poll(job, &progress);
    cr_assert_eq(progress.bytes_done, LARGE);
    warm_job_destroy(job);
    stack_close(&stack);
}

Test(job, two_jobs_share_a_cache)
{
    warm_stack_t stack;
    warm_job_t *one, *other;

    stack_open(&stack, NULL);
    stack_files(&stack, "a", 200, 2000);
    stack_delay(&stack, 1000, 0);
    one = start(&stack, stack_plan_files("a", 200), NULL);
    other = start(&stack, stack_plan_files("a", 200), NULL);
    cr_assert_eq(warm_wait(one, 0), APR_SUCCESS);
    cr_assert_eq(warm_wait(other, 0), APR_SUCCESS);
    cr_assert_eq(warm_wait(other, 1), APR_SUCCESS, "waiting again answers the same");
    warm_job_destroy(one);
    warm_job_destroy(other);
    cr_assert(stack_is_warm(&stack, "/a/f00199"));
    stack_close(&stack);
}
