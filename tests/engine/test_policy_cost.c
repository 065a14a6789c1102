/*
 * test_policy_cost.c - every op of every policy costs the same with a thousand entries as with a
 * million, in machine instructions, and allocates nothing. The instructions are counted one by one:
 * with the trap flag of x86 set, each raises SIGTRAP. (The Go original takes 1.8 to 11 ms for a
 * victim among 100,000 entries.)
 */
#include <criterion/criterion.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/engine/support_policy.h"

static void churn(policy_rig_t *rig, uint64_t *random, unsigned steps)
{
    unsigned i;

    for (i = 0; i < steps; i++) {
        uint32_t victim = rig->ops->victim(rig->state);
        uint32_t other = (uint32_t)(policy_random(random) % rig->entries_max);

        rig->ops->insert(rig->state, victim, policy_random(random), 4096);
        rig->ops->touch(rig->state, other, 1 + (uint32_t)(policy_random(random) % 9));
        rig->ops->remove(rig->state, other);
        rig->ops->insert(rig->state, other, other, 4096);
        policy_rig_time += 3;
    }
}

static void fill(policy_rig_t *rig, const char *name, uint32_t entries, uint64_t *random)
{
    uint32_t i;

    policy_rig_open(rig, name, entries, (uint64_t)entries * 2);
    for (i = 0; i < entries; i++) {
        rig->ops->insert(rig->state, i, i, 4096);
        if (i % 3 == 0) rig->ops->touch(rig->state, i, 1 + i % 300);
    }
    churn(rig, random, entries / 2);
}

#if defined(__x86_64__)
static volatile sig_atomic_t traps;

static void on_trap(int sig)
{
    (void)sig;
    traps++;
}

/* The flag is changed below the red zone, where the compiler keeps nothing. */
#define TRAP_FLAG(op)                                                                              \
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\t" op                                     \
                     "\n\tpopfq\n\tlea 128(%%rsp), %%rsp"                                          \
                     :                                                                             \
                     :                                                                             \
                     : "memory", "cc")

static double instructions(const char *name, uint32_t entries)
{
    enum { STEPS = 10 };
    uint64_t random = 4242;
    policy_rig_t rig;

    fill(&rig, name, entries, &random);
    traps = 0;
    TRAP_FLAG("orq $0x100, (%%rsp)");
    churn(&rig, &random, STEPS);
    TRAP_FLAG("andq $~0x100, (%%rsp)");
    policy_rig_close(&rig);
    return (double)traps / STEPS;
}

Test(policy_cost, instructions_do_not_grow_with_the_entries, .timeout = 300)
{
    struct sigaction action;
    const cachefs_policy_ops_t *ops;
    size_t i;

    memset(&action, 0, sizeof(action));
    action.sa_handler = on_trap;
    cr_assert_eq(sigaction(SIGTRAP, &action, NULL), 0);
    for (i = 0; (ops = cachefs_policy_at(i)) != NULL; i++) {
        double few = instructions(ops->name, 1000), many = instructions(ops->name, 1000000);

        cr_log_info("%s: %.0f instructions at 1,000 entries, %.0f at 1,000,000", ops->name, few,
                    many);
        if (few < 50.0) cr_skip_test("nobody traps here: an emulator such as valgrind");
        cr_assert_lt(many, few * 1.25, "%s: %.0f, then %.0f", ops->name, few, many);
    }
}
#endif

static uint64_t no_key(const void *baton, uint32_t entry)
{
    (void)baton;
    return entry;
}

static apr_time_t no_time(void)
{
    return 1;
}

/* Bytes of address space: pools are mapped. */
static size_t mapped(void)
{
    size_t pages = 0;
    FILE *in = fopen("/proc/self/statm", "r");

    cr_assert_not_null(in);
    cr_assert_eq(fscanf(in, "%zu", &pages), 1);
    (void)fclose(in);
    return pages * 4096;
}

Test(policy_cost, an_instance_is_sized_by_what_it_will_hold_not_by_all_entries)
{
    enum { ENTRIES = 8u << 20 };
    const cachefs_policy_ops_t *ops;
    size_t i;

    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    for (i = 0; (ops = cachefs_policy_at(i)) != NULL; i++) {
        cachefs_policy_config_t config = {.size = sizeof(config),
                                          .entries_max = ENTRIES,
                                          .entries_hint = 100,
                                          .capacity_bytes = 409600,
                                          .ttl_us = 1000000,
                                          .now = no_time,
                                          .key_of = no_key};
        apr_pool_t *pool;
        void *state;
        size_t before;

        config.nodes = malloc(ENTRIES * sizeof(*config.nodes));
        config.extras = malloc((size_t)ENTRIES * ops->entry_bytes + 1);
        cr_assert(config.nodes != NULL && config.extras != NULL);
        cr_assert_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
        before = mapped();
        cr_assert_eq(ops->create(&state, &config, pool), APR_SUCCESS, "%s", ops->name);
        cr_assert_leq(mapped(), before + (2u << 20), "%s", ops->name);
        apr_pool_destroy(pool);
        free(config.extras);
        free(config.nodes);
    }
    apr_terminate();
}

Test(policy_cost, nothing_is_allocated_after_create)
{
    const cachefs_policy_ops_t *ops;
    size_t i;

    for (i = 0; (ops = cachefs_policy_at(i)) != NULL; i++) {
        uint64_t random = 99;
        policy_rig_t rig;
        size_t before, after;

        fill(&rig, ops->name, 5000, &random);
        before = mallinfo2().uordblks; /* always 0 under AddressSanitizer: plain builds count */
        churn(&rig, &random, 50000);
        after = mallinfo2().uordblks;
        cr_assert_eq(before, after, "%s: %zu bytes, then %zu", ops->name, before, after);
        policy_rig_close(&rig);
    }
}
