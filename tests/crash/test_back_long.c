/*
 * test_back_long.c - test_back.c over one run of more than 2,000 operations: power is lost at each
 * of them, and all, nothing, or a random part of what was not synced survives, or the last write is
 * torn at one place; at each 10th at every place. At each 50th it is lost once more, at every
 * operation of the recovery. What comes after a loss happens in processes of their own, so that a
 * run is made once for all ways.
 * tier: long
 */
#include "tests/crash/support_world.h"

#define STEPS 1250
#define SEED 5

/* The process of it is gone, power is off. 0: the run has not so many operations. */
static int loses_power_at(world_t *w, uint64_t k)
{
    world_open(w, SEED);
    uint64_t before = vfs_crash_ops(w->crash);
    vfs_crash_at(w->crash, k);
    world_live(w, STEPS);
    if (vfs_crash_ops(w->crash) - before < k) return 0;
    world_gone(w);
    return 1;
}

static int recovers(world_t *w, size_t way, size_t unused)
{
    (void)unused;
    world_power(w, way);
    OK(world_begin(w));
    world_check(w);
    return 0;
}

/* 0: the recovery has not so many operations. */
static int recovers_again(world_t *w, size_t way, size_t n)
{
    world_power(w, way);
    vfs_crash_at(w->crash, n);
    (void)world_begin(w); /* it ends where power goes */
    int off = world_power_is_off(w);
    if (off) {
        world_power(w, n + way);
        OK(world_begin(w));
    }
    world_check(w);
    return off;
}

/* In each kind of way, at least. */
static unsigned every_way(world_t *w, uint64_t k)
{
    unsigned losses = 0;
    size_t tears = world_ways(w) - WORLD_TEARS_FROM;
    for (size_t way = 0; way < world_ways(w); way++) {
        size_t tear = way - WORLD_TEARS_FROM, random = way - WORLD_RANDOM_FROM;
        if (k % 10 && way == 0 && k % 4) continue; /* as if nothing had been lost */
        if (k % 10 && way >= WORLD_TEARS_FROM && tear != k / 2 % tears) continue;
        if (k % 10 && way >= WORLD_RANDOM_FROM && way < WORLD_TEARS_FROM && random != k % 2)
            continue;
        (void)world_apart(w, recovers, way, 0);
        losses++;
    }
    return losses;
}

Test(back_long, after_a_loss_at_each_operation_files_are_prefixes, .timeout = 800)
{
    uint64_t k = 1, losses = 0;
    world_t w;
    for (; loses_power_at(&w, k); k++) {
        losses += every_way(&w, k);
        for (size_t n = 1; k % 50 == 0 && world_apart(&w, recovers_again, k / 50, n); n++)
            losses++;
        world_close(&w);
    }
    world_close(&w);
    cr_log_info("%" PRIu64 " losses at %" PRIu64 " operations", losses, k - 1);
    cr_assert(k > 2000, "there were %" PRIu64 " operations", k);
}
