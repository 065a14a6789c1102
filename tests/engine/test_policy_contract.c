/*
 * test_policy_contract.c - what every policy must do, whoever wrote it: run over all that are
 * registered.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/engine/support_policy.h"

enum { ENTRIES = 1000, STEPS = 100000 };

static void insert(policy_rig_t *rig, unsigned char *held, uint32_t *count, uint32_t entry)
{
    rig->ops->insert(rig->state, entry, entry * 31ull, 4096);
    held[entry] = 1;
    (*count)++;
}

static void check_victim(policy_rig_t *rig, unsigned char *held, uint32_t *count)
{
    uint32_t victim = rig->ops->victim(rig->state);

    if (*count == 0) {
        cr_assert_eq(victim, CACHEFS_POLICY_NONE, "%s chose from nothing", rig->ops->name);
        return;
    }
    cr_assert_lt(victim, ENTRIES, "%s: no victim of %u", rig->ops->name, *count);
    cr_assert(held[victim], "%s: %u is not held", rig->ops->name, victim);
    held[victim] = 0;
    (*count)--;
}

/* Between two things that the policy hears, the nodes of what it does not hold are the engine's. */
static void scribble(policy_rig_t *rig, const unsigned char *held, uint64_t *random)
{
    uint32_t entry = (uint32_t)(policy_random(random) % ENTRIES);

    if (held[entry]) return;
    rig->nodes[entry].prev = (uint32_t)policy_random(random);
    rig->nodes[entry].next = (uint32_t)policy_random(random);
    rig->nodes[entry].word = (uint32_t)policy_random(random);
}

static void run(const char *name, uint64_t seed, uint64_t ttl_us)
{
    unsigned char *held = calloc(ENTRIES, 1);
    uint32_t count = 0, high = 0;
    policy_rig_t rig;
    unsigned step;

    cr_assert_not_null(held);
    policy_rig_open(&rig, name, ENTRIES, ttl_us);
    for (step = 0; step < STEPS; step++) {
        uint64_t roll = policy_random(&seed);
        uint32_t entry = (uint32_t)(roll >> 40) % ENTRIES;
        unsigned filling = step / 5000 % 2 == 0 ? 5 : 45; /* swells and shrinks */

        policy_rig_time += (apr_time_t)(roll >> 20 & 15);
        scribble(&rig, held, &seed);
        if (roll % 100 < filling)
            check_victim(&rig, held, &count);
        else if (!held[entry])
            insert(&rig, held, &count, entry);
        else if (roll % 100 < 90)
            rig.ops->touch(rig.state, entry, roll % 7 == 0 ? UINT32_MAX : 1 + (uint32_t)(roll % 5));
        else {
            rig.ops->remove(rig.state, entry);
            held[entry] = 0;
            count--;
        }
        cr_assert_eq(rig.ops->count(rig.state), count);
        if (count > high) high = count;
    }
    cr_assert_gt(high, ENTRIES / 2);
    while (count > 0)
        check_victim(&rig, held, &count);
    check_victim(&rig, held, &count);
    policy_rig_close(&rig);
    free(held);
}

Test(policy_contract, each_holds_exactly_what_it_was_given)
{
    const cachefs_policy_ops_t *ops;
    size_t i;

    for (i = 0; (ops = cachefs_policy_at(i)) != NULL; i++) {
        run(ops->name, 88172645463325252ull + i, 0);
        run(ops->name, 77ull + i, 20000);
    }
    cr_assert_geq(i, 14);
}

Test(policy_contract, each_can_be_filled_to_the_last_entry_and_emptied)
{
    const cachefs_policy_ops_t *ops;
    size_t i;

    for (i = 0; (ops = cachefs_policy_at(i)) != NULL; i++) {
        unsigned char *held = calloc(ENTRIES, 1);
        uint32_t count = 0, entry;
        policy_rig_t rig;

        cr_assert_not_null(held);
        policy_rig_open(&rig, ops->name, ENTRIES, 1000);
        for (entry = 0; entry < ENTRIES; entry++)
            insert(&rig, held, &count, entry);
        cr_assert_eq(ops->count(rig.state), ENTRIES);
        while (count > 0)
            check_victim(&rig, held, &count);
        for (entry = ENTRIES; entry-- > 0;)
            insert(&rig, held, &count, entry);
        for (entry = 0; entry < ENTRIES; entry++)
            ops->remove(rig.state, entry);
        cr_assert_eq(ops->count(rig.state), 0);
        cr_assert_eq(ops->victim(rig.state), CACHEFS_POLICY_NONE);
        policy_rig_close(&rig);
        free(held);
    }
}

Test(policy_contract, each_works_with_a_single_entry)
{
    const cachefs_policy_ops_t *ops;
    size_t i;

    for (i = 0; (ops = cachefs_policy_at(i)) != NULL; i++) {
        policy_rig_t rig;
        int round;

        policy_rig_open(&rig, ops->name, 1, 10);
        for (round = 0; round < 1000; round++) {
            policy_rig_time += round % 20;
            ops->insert(rig.state, 0, 1, 1);
            if (round % 2) ops->touch(rig.state, 0, 1 + (uint32_t)round);
            cr_assert_eq(ops->victim(rig.state), 0);
            cr_assert_eq(ops->victim(rig.state), CACHEFS_POLICY_NONE);
        }
        policy_rig_close(&rig);
    }
}

Test(policy_contract, each_refuses_a_configuration_it_cannot_serve)
{
    const cachefs_policy_ops_t *ops;
    cachefs_policy_node_t node;
    apr_pool_t *pool;
    size_t i;

    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
    for (i = 0; (ops = cachefs_policy_at(i)) != NULL; i++) {
        cachefs_policy_config_t config = {.size = sizeof(config), .entries_max = 1, .nodes = &node};
        void *state = NULL;

        config.size--;
        cr_assert_eq(ops->create(&state, &config, pool), VFS_EABI, "%s", ops->name);
        config.size++;
        config.entries_max = 0;
        cr_assert_eq(ops->create(&state, &config, pool), APR_EINVAL, "%s", ops->name);
        config.entries_max = CACHEFS_POLICY_NONE;
        cr_assert_eq(ops->create(&state, &config, pool), APR_EINVAL, "%s", ops->name);
        config.entries_max = 1;
        if (ops->entry_bytes != 0)
            cr_assert_eq(ops->create(&state, &config, pool), APR_EINVAL, "%s", ops->name);
        config.extras = &config;
        config.nodes = NULL;
        cr_assert_eq(ops->create(&state, &config, pool), APR_EINVAL, "%s", ops->name);
        cr_assert_null(state);
    }
    apr_pool_destroy(pool);
    apr_terminate();
}

/* ---- mistakes of the engine */

static void touch_stranger(policy_rig_t *rig)
{
    rig->ops->touch(rig->state, 3, 1);
}

static void remove_stranger(policy_rig_t *rig)
{
    rig->ops->remove(rig->state, 3);
}

static void remove_twice(policy_rig_t *rig)
{
    rig->ops->insert(rig->state, 3, 3, 1);
    rig->ops->remove(rig->state, 3);
    rig->ops->remove(rig->state, 3);
}

static void insert_beyond(policy_rig_t *rig)
{
    rig->ops->insert(rig->state, 4, 4, 1);
}

static void insert_more_than_there_are(policy_rig_t *rig)
{
    uint32_t i;

    for (i = 0; i < 5; i++)
        rig->ops->insert(rig->state, i % 4, i, 1);
}

/* In a child, since it shall abort. */
static int aborts(policy_rig_t *rig, void (*mistake)(policy_rig_t *rig))
{
    int status = 0;
    pid_t child = fork();

    cr_assert_geq(child, 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        if (freopen("/dev/null", "w", stderr) == NULL) _exit(1);
        mistake(rig);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

Test(policy_contract, own_policies_catch_an_engine_that_errs)
{
    static void (*const mistakes[])(policy_rig_t *) = {
        touch_stranger, remove_stranger, remove_twice, insert_beyond, insert_more_than_there_are,
    };
    const cachefs_policy_ops_t *ops;
    size_t i, j;

    for (i = 0; (ops = cachefs_policy_at(i)) != NULL; i++)
        for (j = 0; j < sizeof(mistakes) / sizeof(mistakes[0]); j++) {
            policy_rig_t rig;

            policy_rig_open(&rig, ops->name, 4, 0);
            memset(rig.nodes, 0, 4 * sizeof(*rig.nodes));
            cr_assert(aborts(&rig, mistakes[j]), "%s does not catch mistake %zu", ops->name, j);
            policy_rig_close(&rig);
        }
}
