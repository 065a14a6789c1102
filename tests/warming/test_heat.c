/*
 * test_heat.c - what is read is recorded, written, and brought back.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/warming/support_stack.h"

TestSuite(heat, .init = warm_test_begin, .fini = warm_test_end, .timeout = 600);

enum { LARGE = 4 << 20 };

static void read_at(vfs_t *fs, const char *path, apr_off_t off, size_t len)
{
    unsigned char *buf = malloc(len);
    vfs_file_t *file;
    size_t got, i;

    cr_assert_not_null(buf);
    cr_assert_eq(vfs_open(&file, fs, NULL, path, VFS_O_READ, 0, NULL, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_read_at(file, NULL, buf, len, off, &got), APR_SUCCESS);
    for (i = 0; i < got; i++)
        cr_assert_eq(buf[i], warm_test_byte(path, (size_t)off + i));
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    free(buf);
}

/* No read-ahead, so that what is resident is what was asked for. */
static cachefs_config_t quiet(void)
{
    cachefs_config_t config = CACHEFS_CONFIG_INIT;

    config.readahead_bytes = 0;
    config.get_bytes = 0;
    config.attr_ttl_us = 60000000;
    return config;
}

static warm_heat_t *record(warm_stack_t *stack, size_t entries)
{
    warm_heat_t *heat = NULL;

    cr_assert_eq(warm_heat_start(&heat, stack->cache, entries, warm_pool), APR_SUCCESS);
    return heat;
}

static warm_plan_t *replay(warm_heat_t *heat)
{
    const char *file = warm_test_path("heat");
    warm_plan_t *plan = NULL;
    char err[256] = "";

    cr_assert_eq(warm_heat_write(heat, file), APR_SUCCESS);
    cr_assert_eq(warm_plan_create(&plan, warm_pool), APR_SUCCESS);
    cr_assert_eq(warm_plan_heat(plan, file, err, sizeof(err)), APR_SUCCESS, "%s", err);
    return plan;
}

Test(heat, replay_brings_the_same_blocks)
{
    static const apr_off_t offsets[] = {0, 262144, 1048576, 1048576 + 65536, 3 << 20, LARGE - 5000};
    cachefs_config_t config = quiet();
    warm_progress_t progress;
    warm_stack_t stack;
    warm_heat_t *heat;
    warm_plan_t *plan;
    uint64_t large, odd, fetched;
    size_t i;

    stack_open(&stack, &config);
    warm_test_file(stack.mem, "/d/large", LARGE);
    warm_test_file(stack.mem, "/d/od\\d\nname\xff", 100000);
    warm_test_file(stack.mem, "/d/unread", 100000);
    heat = record(&stack, 10000);
    for (i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++)
        read_at(stack.cache, "/d/large", offsets[i], 20000);
    read_at(stack.cache, "/d/od\\d\nname\xff", 0, 100000);
    large = stack_entry(&stack, "/d/large").resident;
    odd = stack_entry(&stack, "/d/od\\d\nname\xff").resident;
    cr_assert_lt(large, LARGE / 2);
    plan = replay(heat);
    warm_heat_stop(heat);

    stack_new_cache(&stack, &config);
    cr_assert_eq(warm_run(stack.cache, plan, NULL, &progress, NULL, 0, warm_pool), APR_SUCCESS);
    cr_assert_eq(stack_entry(&stack, "/d/large").resident, large, "%llu, then %llu",
                 (unsigned long long)large,
                 (unsigned long long)stack_entry(&stack, "/d/large").resident);
    cr_assert_eq(stack_entry(&stack, "/d/od\\d\nname\xff").resident, odd);
    cr_assert_eq(stack_entry(&stack, "/d/unread").status, APR_NOTFOUND);
    fetched = progress.bytes_fetched;
    cr_assert_geq(fetched, 6 * 16384);

    vfs_count_reset(stack.count);
    for (i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++)
        read_at(stack.cache, "/d/large", offsets[i], 20000);
    read_at(stack.cache, "/d/od\\d\nname\xff", 0, 100000);
    cr_assert_eq(stack_requests(&stack), 0, "all of it was there");
    stack_close(&stack);
}

Test(heat, hotter_comes_first_and_limits_count)
{
    cachefs_config_t config = quiet();
    warm_options_t options = WARM_OPTIONS_INIT;
    warm_progress_t progress;
    warm_stack_t stack;
    warm_heat_t *heat;
    warm_plan_t *plan;
    int i;

    stack_open(&stack, &config);
    stack_files(&stack, "d", 4, 16384);
    heat = record(&stack, 100);
    for (i = 0; i < 31; i++) {
        read_at(stack.cache, "/d/f00002", 0, 16384);
        if (i % 4 == 0) read_at(stack.cache, "/d/f00001", 0, 16384);
        if (i == 0) read_at(stack.cache, "/d/f00000", 0, 16384);
    }
    plan = replay(heat);
    warm_heat_stop(heat);
    cr_assert_eq(warm_plan_count(plan), 3);
    cr_assert_str_eq(warm_plan_path(plan, 0), "/d/f00002");
    cr_assert_str_eq(warm_plan_path(plan, 1), "/d/f00001");
    cr_assert_str_eq(warm_plan_path(plan, 2), "/d/f00000");

    stack_new_cache(&stack, &config);
    options.job_bytes_max = 2 * 16384;
    options.workers = 1;
    cr_assert_eq(warm_run(stack.cache, plan, &options, &progress, NULL, 0, warm_pool), APR_SUCCESS);
    cr_assert(stack_is_warm(&stack, "/d/f00002"));
    cr_assert(stack_is_warm(&stack, "/d/f00001"));
    cr_assert_eq(stack_entry(&stack, "/d/f00000").resident, 0);
    cr_assert_eq(progress.files_skipped, 1);
    cr_assert_eq(progress.bytes_done, 2 * 16384);
    stack_close(&stack);
}

Test(heat, ranges_of_a_file_that_changed_are_cut_or_reported)
{
    cachefs_config_t config = quiet();
    warm_progress_t progress;
    warm_stack_t stack;
    warm_heat_t *heat;
    warm_plan_t *plan;

    stack_open(&stack, &config);
    warm_test_file(stack.mem, "/shrinks", 200000);
    warm_test_file(stack.mem, "/goes", 1000);
    heat = record(&stack, 100);
    read_at(stack.cache, "/shrinks", 0, 200000);
    read_at(stack.cache, "/goes", 0, 1000);
    plan = replay(heat);
    warm_heat_stop(heat);
    cr_assert_eq(vfs_truncate(stack.mem, NULL, "/shrinks", 5000), APR_SUCCESS);
    cr_assert_eq(vfs_unlink(stack.mem, NULL, "/goes"), APR_SUCCESS);
    stack_new_cache(&stack, &config);
    cr_assert(
        APR_STATUS_IS_ENOENT(warm_run(stack.cache, plan, NULL, &progress, NULL, 0, warm_pool)));
    cr_assert_eq(progress.files_failed, 1);
    cr_assert_eq(progress.bytes_done, 5000);
    stack_close(&stack);
}

Test(heat, coldest_are_dropped_above_the_limit)
{
    cachefs_config_t config = quiet();
    warm_stack_t stack;
    warm_heat_t *heat;
    warm_plan_t *plan;
    char path[32];
    size_t i, hot = 0;

    stack_open(&stack, &config);
    stack_files(&stack, "d", 200, 4096);
    heat = record(&stack, 40);
    for (i = 0; i < 200; i++) {
        size_t reads = i % 10 == 0 ? 6 : 1;

        (void)snprintf(path, sizeof(path), "/d/f%05zu", i);
        while (reads-- > 0)
            read_at(stack.cache, path, 0, 4096);
    }
    plan = replay(heat);
    warm_heat_stop(heat);
    cr_assert_leq(warm_plan_count(plan), 40);
    cr_assert_geq(warm_plan_count(plan), 30);
    for (i = 0; i < warm_plan_count(plan); i++) {
        const char *name = warm_plan_path(plan, i);

        hot += name[strlen(name) - 1] == '0';
    }
    cr_assert_eq(hot, 20, "each of the hot ones is kept, not %zu", hot);
    stack_close(&stack);
}

Test(heat, recorder_turns_the_key_on_and_leaves_it_as_it_was)
{
    warm_stack_t stack;
    warm_heat_t *heat = NULL, *other = NULL;
    char value[8];

    stack_open(&stack, NULL);
    heat = record(&stack, 10);
    cr_assert_eq(cachefs_get(stack.cache, "heat", value, sizeof(value)), APR_SUCCESS);
    cr_assert_str_eq(value, "on");
    cr_assert_eq(warm_heat_start(&other, stack.cache, 10, warm_pool), APR_EINVAL, "one is enough");
    warm_heat_stop(heat);
    cr_assert_eq(cachefs_get(stack.cache, "heat", value, sizeof(value)), APR_SUCCESS);
    cr_assert_str_eq(value, "off");

    cr_assert_eq(cachefs_set(stack.cache, "heat", "on", NULL, 0), APR_SUCCESS);
    heat = record(&stack, 10);
    warm_heat_stop(heat);
    cr_assert_eq(cachefs_get(stack.cache, "heat", value, sizeof(value)), APR_SUCCESS);
    cr_assert_str_eq(value, "on");

    cr_assert_eq(warm_heat_start(&other, stack.mem, 10, warm_pool), APR_EINVAL);
    cr_assert_eq(warm_heat_start(&other, stack.cache, 0, warm_pool), APR_EINVAL);
    cr_assert_eq(warm_heat_start(NULL, stack.cache, 10, warm_pool), APR_EINVAL);
    cr_assert_eq(warm_heat_write(NULL, "x"), APR_EINVAL);
    warm_heat_stop(NULL);
    stack_close(&stack);
}

Test(heat, log_that_cannot_be_written_is_an_error)
{
    warm_stack_t stack;
    warm_heat_t *heat;

    stack_open(&stack, NULL);
    heat = record(&stack, 10);
    cr_assert_neq(warm_heat_write(heat, warm_test_path("no/such/file")), APR_SUCCESS);
    warm_heat_stop(heat);
    stack_close(&stack);
}

/* ---- many readers */

typedef struct reader_t {
    vfs_t *fs;
    uint32_t seed;
} reader_t;

static void *reader_main(void *arg)
{
    reader_t *reader = arg;
    char path[32];
    int i;

    for (i = 0; i < 1500; i++) {
        uint32_t roll = warm_test_random(&reader->seed);

        (void)snprintf(path, sizeof(path), "/d/f%05u", roll % 50);
        read_at(reader->fs, path, (apr_off_t)(roll / 50 % 8) * 16384, 16384);
    }
    return NULL;
}

Test(heat, recorder_stands_many_readers_while_it_writes_and_stops)
{
    enum { READERS = 4 };
    pthread_t threads[READERS];
    reader_t readers[READERS];
    warm_stack_t stack;
    warm_plan_t *plan;
    size_t i, rounds;

    stack_open(&stack, NULL);
    stack_files(&stack, "d", 50, 131072);
    for (i = 0; i < READERS; i++) {
        readers[i].fs = stack.cache;
        readers[i].seed = (uint32_t)i + 1;
        cr_assert_eq(pthread_create(&threads[i], NULL, reader_main, &readers[i]), 0);
    }
    for (rounds = 0; rounds < 20; rounds++) {
        warm_heat_t *heat = record(&stack, rounds % 2 == 0 ? 100 : 5000);

        apr_sleep(3000);
        plan = replay(heat);
        for (i = 0; i < plan->count; i++)
            cr_assert_leq(plan->items[i].off + plan->items[i].len, 131072);
        warm_heat_stop(heat);
    }
    for (i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    stack_close(&stack);
}
