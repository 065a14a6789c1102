/*
 * support_stack.c - see support_stack.h.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/warming/support_stack.h"

/* What is known stays known, however slow the machine is. */
static cachefs_config_t patient(void)
{
    cachefs_config_t config = CACHEFS_CONFIG_INIT;

    config.attr_ttl_us = config.negative_ttl_us = config.listing_ttl_us = 3600000000;
    return config;
}

void stack_new_cache(warm_stack_t *stack, const cachefs_config_t *config)
{
    const cachefs_config_t hour = patient();
    char err[256] = "";

    if (config == NULL) config = &hour;
    if (stack->cache != NULL)
        cr_assert_eq(cachefs_destroy(stack->cache, CACHEFS_END_WAIT, 0, NULL), APR_SUCCESS);
    cr_assert_eq(cachefs_create(&stack->cache, stack->count, config, err, sizeof(err), warm_pool),
                 APR_SUCCESS, "%s", err);
    vfs_count_reset(stack->count);
}

void stack_open(warm_stack_t *stack, const cachefs_config_t *config)
{
    vfs_delay_t none = {0, 0, 0, 0, 1};

    memset(stack, 0, sizeof(*stack));
    stack->mem = warm_test_mem();
    cr_assert_eq(vfs_fault_create(&stack->fault, stack->mem, 1, warm_pool), APR_SUCCESS);
    cr_assert_eq(vfs_delay_create(&stack->delay, stack->fault, &none, warm_pool), APR_SUCCESS);
    cr_assert_eq(vfs_count_create(&stack->count, stack->delay, warm_pool), APR_SUCCESS);
    stack_new_cache(stack, config);
}

void stack_close(warm_stack_t *stack)
{
    cr_assert_eq(vfs_destroy_stack(stack->cache), APR_SUCCESS);
}

void stack_delay(warm_stack_t *stack, uint64_t rtt_us, uint64_t bytes_per_second)
{
    vfs_delay_t how = {rtt_us, bytes_per_second, 0, 0, 1};

    cr_assert_eq(vfs_delay_set(stack->delay, &how), APR_SUCCESS);
}

static void file_name(char *buf, size_t size, const char *dir, size_t i)
{
    (void)snprintf(buf, size, "/%s/f%05zu", dir, i);
}

void stack_files(warm_stack_t *stack, const char *dir, size_t count, size_t size)
{
    char path[300];
    size_t i;

    for (i = 0; i < count; i++) {
        file_name(path, sizeof(path), dir, i);
        warm_test_file(stack->mem, path, size);
    }
}

void stack_wait_injected(warm_stack_t *stack, uint64_t count)
{
    int tries;

    for (tries = 0; vfs_fault_injected(stack->fault, NULL) < count; tries++) {
        cr_assert_lt(tries, 60000, "%d calls met a fault, not %d",
                     (int)vfs_fault_injected(stack->fault, NULL), (int)count);
        apr_sleep(1000);
    }
}

uint64_t stack_calls(warm_stack_t *stack, vfs_opid_e op)
{
    vfs_counts_t counts;

    vfs_count_get(stack->count, &counts);
    return counts.calls[op];
}

uint64_t stack_requests(warm_stack_t *stack)
{
    vfs_counts_t counts;

    vfs_count_get(stack->count, &counts);
    return vfs_counts_requests(&counts);
}

cachefs_entry_t stack_entry(warm_stack_t *stack, const char *path)
{
    cachefs_entry_t entry;

    memset(&entry, 0, sizeof(entry));
    cr_assert_eq(cachefs_entry(stack->cache, path, &entry), entry.status);
    return entry;
}

int stack_is_warm(warm_stack_t *stack, const char *path)
{
    cachefs_entry_t entry = stack_entry(stack, path);

    return entry.status == APR_SUCCESS && entry.resident >= entry.size;
}

warm_plan_t *stack_plan(const char *const *paths, size_t count)
{
    warm_plan_t *plan = NULL;

    cr_assert_eq(warm_plan_create(&plan, warm_pool), APR_SUCCESS);
    cr_assert_eq(warm_plan_paths(plan, paths, count, NULL, 0), APR_SUCCESS);
    return plan;
}

warm_plan_t *stack_plan_files(const char *dir, size_t count)
{
    warm_plan_t *plan = stack_plan(NULL, 0);
    char path[300];
    const char *one = path;
    size_t i;

    for (i = 0; i < count; i++) {
        file_name(path, sizeof(path), dir, i);
        cr_assert_eq(warm_plan_paths(plan, &one, 1, NULL, 0), APR_SUCCESS);
    }
    return plan;
}
