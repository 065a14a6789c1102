/*
 * test_full.c - memory full of dirty data: who writes waits, as at the dirty limit.
 */
#include "tests/engine/support_rig.h"

#define LAZY                                                                                       \
    "attr_ttl=1h negative_ttl=1h mode=back flush_interval=1h dirty_age=1h flush_on_close=off "
/* Memory that dirty data fills is waited for like the dirty limit: a page is written in each block.
 */
#define FULL LAZY "ram=2m dirty_max=1m block_size=16k retry_min=1ms retry_max=2ms "
#define BLOCK 16384u
#define LAST (BLOCK - 4096u)
#define PAGES 200u

static vfs_file_t *hole(rig_t *rig, const char *keys)
{
    rig_open(rig, keys);
    vfs_file_t *w = rig_file(rig->fs, "/f", RIG_C);
    OK(vfs_ftruncate(w, NULL, PAGES * BLOCK));
    return w;
}

Test(full, a_writer_waits_for_memory_until_a_flush_succeeds)
{
    rig_t rig;
    char *data = rig_bytes(PAGES * BLOCK, 1);
    vfs_file_t *w = hole(&rig, FULL);

    rig_fail(&rig, VFS_OPID_write_at, VFS_EOFFLINE, 0, 5);
    for (size_t at = 0; at < PAGES * BLOCK; at += BLOCK) {
        rig_write(w, (apr_off_t)(at + LAST), data + at + LAST, 4096);
        memset(data + at, 0, LAST);
    }
    EQ(vfs_fault_injected(rig.fault, NULL), 5);
    (void)vfs_close(w, NULL); /* tells of those */
    rig_holds(rig.fs, "/f", data, PAGES * BLOCK);
    OK(cachefs_flush(rig.fs, NULL, NULL, 0));
    rig_holds(rig.bottom, "/f", data, PAGES * BLOCK);
    free(data);
    rig_close(&rig);
}

Test(full, a_wait_for_memory_ends_as_a_wait_for_the_dirty_limit_does)
{
    static const apr_status_t below[] = {VFS_EOFFLINE, APR_FROM_OS_ERROR(ENOSPC)};
    for (int i = 0; i < 2; i++) {
        rig_t rig;
        char *data = rig_bytes(4096, 1);
        size_t page = 0, written = 0;
        apr_status_t st = APR_SUCCESS;
        vfs_file_t *w = hole(&rig, FULL "write_wait_max=50ms");

        rig_fail(&rig, VFS_OPID_write_at, below[i], 0, 0);
        for (; !st && page < PAGES; page += !st) {
            int64_t start = cachefs__clock_us();
            st =
                vfs_write_at(w, NULL, data, 4096, (apr_off_t)(page * BLOCK + LAST), &written, NULL);
            CHECK(!st || cachefs__clock_us() - start >= 50000);
        }
        cr_assert(st == (i ? VFS_ELIMIT : VFS_EOFFLINE), "%s", rig_status(st));
        EQ(rig_stats(&rig).dirty_bytes, page * 4096); /* what was accepted stays */
        vfs_fault_clear(rig.fault);
        OK(cachefs_flush(rig.fs, NULL, NULL, 0));
        for (size_t k = 0; k < page; k++)
            rig_read(w, (apr_off_t)(k * BLOCK + LAST), data, 4096);
        (void)vfs_close(w, NULL);
        free(data);
        rig_close(&rig);
    }
}

/* Below is only slow: nobody said that it cannot be reached. */
Test(full, a_deadline_that_ends_the_first_flush_is_no_word_on_what_is_below)
{
    static const char *const limits[] = {"", "ram=4m dirty_max=512k"};
    for (int i = 0; i < 2; i++) {
        rig_t rig;
        char *data = rig_bytes(4096, 1), keys[256];
        size_t page = 0, written = 0;
        apr_status_t st = APR_SUCCESS;
        vfs_ctx_t ctx = VFS_CTX_INIT;

        (void)snprintf(keys, sizeof(keys), FULL "%s", limits[i]);
        vfs_file_t *w = hole(&rig, keys);
        rig_block(&rig, VFS_OPID_write_at, 0);
        for (; !st && page < PAGES; page += !st) {
            ctx.deadline = apr_time_now() + 20000;
            st =
                vfs_write_at(w, &ctx, data, 4096, (apr_off_t)(page * BLOCK + LAST), &written, NULL);
        }
        cr_assert(st == VFS_ELIMIT, "limit %d: %s", i, rig_status(st));
        vfs_fault_clear(rig.fault);
        (void)vfs_close(w, NULL); /* tells of the flush that had no time */
        OK(cachefs_flush(rig.fs, NULL, NULL, 0));
        free(data);
        rig_close(&rig);
    }
}
