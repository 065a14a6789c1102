/*
 * test_back_faults.c - each call to the store fails, one after the other, once or from then on.
 * After that power is lost, and the store is whole again: what a sync acknowledged is there. If it
 * failed once, each file is a prefix of its history, too.
 */
#include "tests/crash/support_world.h"

/* 0: there were not so many calls. */
static int at(uint32_t seed, vfs_fault_t rule, uint64_t nth, int once)
{
    world_t w;
    rule.nth = nth;
    rule.times = once ? 1 : 0;
    world_open(&w, seed);
    OK(vfs_fault_add(w.store, &rule));
    world_live(&w, 60);
    int injected = vfs_fault_injected(w.store, NULL) != 0;
    world_power(&w, nth + seed);
    vfs_fault_clear(w.store);
    OK(world_begin(&w));
    if (once)
        world_check(&w);
    else
        world_check_acknowledged(&w);
    world_close(&w);
    return injected;
}

static void sweep(vfs_fault_t rule, int once, unsigned seeds)
{
    unsigned faults = 0;
    for (uint32_t seed = 1; seed <= seeds; seed++)
        for (uint64_t nth = 1; at(seed, rule, nth, once); nth++)
            faults++;
    CHECK(faults > 50);
}

static vfs_fault_t of(vfs_fault_e what, vfs_opid_e a, vfs_opid_e b)
{
    vfs_fault_t rule = {.what = what, .status = APR_FROM_OS_ERROR(EIO), .bytes = 100};
    VFS_FAULT_OP(rule, a);
    VFS_FAULT_OP(rule, b);
    return rule;
}

Test(back_faults, one_call_that_fails_costs_nothing)
{
    sweep((vfs_fault_t){.what = VFS_FAULT_ERROR, .status = APR_FROM_OS_ERROR(EIO)}, 1, 2);
}

Test(back_faults, one_reply_that_is_lost_costs_nothing)
{
    sweep((vfs_fault_t){.what = VFS_FAULT_LOST_REPLY, .status = APR_FROM_OS_ERROR(EIO)}, 1, 2);
}

Test(back_faults, one_torn_write_costs_nothing)
{
    vfs_fault_t rule = {.what = VFS_FAULT_TORN_WRITE, .bytes = 100};
    VFS_FAULT_OP(rule, VFS_OPID_write_at);
    sweep(rule, 1, 4);
}

/* Its files cannot be removed either: what it has records of is not acknowledged any more. */
Test(back_faults, a_store_that_fails_for_good_costs_nothing_acknowledged)
{
    sweep((vfs_fault_t){.what = VFS_FAULT_ERROR, .status = APR_FROM_OS_ERROR(EIO)}, 0, 3);
}

/* It is made void, and the cache goes on as without a store. */
Test(back_faults, a_store_that_cannot_be_written_costs_nothing_acknowledged)
{
    sweep(of(VFS_FAULT_ERROR, VFS_OPID_write_at, VFS_OPID_sync), 0, 3);
}
