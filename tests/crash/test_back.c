/*
 * test_back.c - write-back with a journal, through the engine: store and lower layer lose power at
 * any operation. After the recovery each file is a prefix of its own history, and what a sync
 * acknowledged is there.
 */
#include "tests/crash/support_world.h"

/* At the k-th operation of the disk, for every k. */
static void every_operation(uint32_t seed)
{
    for (uint64_t k = 1, over = 0; !over; k++) {
        world_t w;
        world_open(&w, seed);
        uint64_t before = vfs_crash_ops(w.crash);
        vfs_crash_at(w.crash, k);
        world_live(&w, 90);
        over = vfs_crash_ops(w.crash) - before < k;
        world_power(&w, k + seed);
        OK(world_begin(&w));
        world_check(&w);
        world_close(&w);
    }
}

Test(back, after_a_loss_at_each_operation_files_are_prefixes)
{
    for (uint32_t seed = 1; seed <= 12; seed++)
        every_operation(seed);
}
