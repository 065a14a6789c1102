/*
 * test_back_long.c - test_back.c over one run of more than 2,000 operations: power is lost at each
 * of them; at each 50th in every way, and at each 50th once more at every operation of the
 * recovery. tier: long
 */
#include "tests/crash/support_world.h"

#define STEPS 1500

static int loses_power_at(world_t *w, uint32_t seed, uint64_t k, size_t way)
{
    world_open(w, seed);
    uint64_t before = vfs_crash_ops(w->crash);
    vfs_crash_at(w->crash, k);
    world_live(w, STEPS);
    int over = vfs_crash_ops(w->crash) - before < k;
    world_power(w, way);
    return !over;
}

/* 0: the recovery has not so many operations. */
static int again_at(uint32_t seed, uint64_t k, uint64_t n)
{
    world_t w;
    (void)loses_power_at(&w, seed, k, k);
    vfs_crash_at(w.crash, n);
    (void)world_begin(&w);
    int off = world_power_is_off(&w);
    if (off) {
        world_power(&w, n);
        OK(world_begin(&w));
    }
    world_check(&w);
    world_close(&w);
    return off;
}

static int once(uint32_t seed, uint64_t k, size_t way)
{
    world_t w;
    int there = loses_power_at(&w, seed, k, way);
    OK(world_begin(&w));
    world_check(&w);
    world_close(&w);
    return there;
}

Test(back_long, after_a_loss_at_each_operation_files_are_prefixes, .timeout = 800)
{
    uint64_t k = 1;
    for (; once(5, k, k); k++) {
        for (size_t way = 0; way < WORLD_WAYS && k % 50 == 0; way++)
            (void)once(5, k, way);
        for (uint64_t n = 1; k % 50 == 0 && again_at(5, k, n); n++)
            ;
    }
    cr_assert(k > 2000, "there were %" PRIu64 " operations", k);
}
