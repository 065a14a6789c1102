/*
 * test_back_recovery.c - power is lost a second time, at any operation of the recovery from the
 * first: the recovery is begun again, and comes to the same.
 */
#include "tests/crash/support_world.h"

/* One loss at the k-th operation, one at the n-th of the recovery. 0: it has not so many. */
static int twice(uint32_t seed, uint64_t k, uint64_t n)
{
    world_t w;
    world_open(&w, seed);
    vfs_crash_at(w.crash, k);
    world_live(&w, 90);
    world_power(&w, k + seed);
    vfs_crash_at(w.crash, n);
    apr_status_t st = world_begin(&w);
    int off = world_power_is_off(&w);
    CHECK(off || !st);
    if (off) {
        world_power(&w, n);
        OK(world_begin(&w));
    }
    world_check(&w);
    world_close(&w);
    return off;
}

Test(back_recovery, after_a_second_loss_it_is_done_again)
{
    unsigned losses = 0;
    for (uint32_t seed = 1; seed <= 4; seed++)
        for (uint64_t k = 20 + seed; k < 220; k += 50)
            for (uint64_t n = 1; twice(seed, k, n); n++)
                losses++;
    CHECK(losses > 100);
}
