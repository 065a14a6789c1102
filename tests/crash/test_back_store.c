/*
 * test_back_store.c - write-back with a journal: what a sync costs, what it means, how it ends.
 */
#include "tests/crash/support_stack.h"

/* A new file too: its creation is in the journal. */
Test(back_store, a_sync_asks_the_journal_alone)
{
    rig_t r;
    rig_open(&r, "");
    vfs_file_t *f = rig_file(&r, "/f");
    for (int i = 0; i < 5; i++) {
        rig_put(f, i * 1000, (uint8_t)(i + 1), 1000);
        OK(vfs_sync(f, NULL, VFS_SYNC_ALL));
    }
    EQ(rig_below(&r, VFS_OPID_write_at), 0);
    EQ(rig_below(&r, VFS_OPID_sync), 0);
    EQ(rig_metric(&r, "cachefs_journal_acknowledged_total"), 5);
    OK(cachefs_flush(r.fs, NULL, NULL, 0));
    for (int i = 0; i < 5; i++)
        rig_holds(r.lower, "/f", i * 1000, (uint8_t)(i + 1), 1000);
    rig_close(&r);
}

/* Nothing is below when it returns, and nobody waits for the age of the data. */
Test(back_store, a_close_queues_the_upload)
{
    rig_t r;
    vfs_file_t *f;
    rig_open(&r, "flush_on_close=on");
    vfs_fault_t held = {.what = VFS_FAULT_BLOCK};
    VFS_FAULT_OP(held, VFS_OPID_write_at);
    OK(vfs_fault_add(r.away, &held));
    OK(vfs_open(&f, r.fs, NULL, "/f", VFS_O_WRITE | VFS_O_CREATE, 0644, NULL, NULL));
    rig_put(f, 0, 1, 1000);
    OK(vfs_close(f, NULL));
    while (!vfs_fault_blocked(r.away)) /* it comes by itself */
        apr_sleep(1000);
    vfs_fault_clear(r.away);
    OK(cachefs_flush(r.fs, NULL, NULL, 60000000));
    rig_holds(r.lower, "/f", 0, 1, 1000);
    rig_close(&r);
}

Test(back_store, with_fsync_remote_it_asks_the_origin)
{
    rig_t r;
    rig_open(&r, "fsync=remote");
    vfs_file_t *f = rig_file(&r, "/f");
    rig_put(f, 0, 1, 1000);
    OK(vfs_sync(f, NULL, VFS_SYNC_ALL));
    EQ(rig_below(&r, VFS_OPID_sync), 1);
    rig_holds(r.lower, "/f", 0, 1, 1000);
    rig_close(&r);
}

/* What the journal does not hold makes the next sync one of the lower layer. */
Test(back_store, what_is_not_in_the_journal_is_synced_below)
{
    rig_t r;
    rig_open(&r, "");
    vfs_file_t *f = rig_file(&r, "/f");
    rig_put(f, 0, 1, 1000);
    OK(vfs_fchmod(f, NULL, 0600));
    OK(vfs_sync(f, NULL, VFS_SYNC_ALL));
    EQ(rig_below(&r, VFS_OPID_sync), 1);
    rig_put(f, 0, 2, 1000);
    OK(vfs_sync(f, NULL, VFS_SYNC_ALL));
    EQ(rig_below(&r, VFS_OPID_sync), 1);
    OK(vfs_link(r.fs, NULL, "/f", "/g")); /* two names: no record could say which */
    for (int i = 0; i < 3; i++) {
        uint64_t before = rig_below(&r, VFS_OPID_sync);
        rig_put(f, 0, (uint8_t)(3 + i), 1000);
        OK(vfs_sync(f, NULL, VFS_SYNC_ALL));
        EQ(rig_below(&r, VFS_OPID_sync), before + 1);
        rig_holds(r.lower, "/g", 0, (uint8_t)(3 + i), 1000);
        cachefs__durable_round(r.fs->state);
    }
    rig_close(&r);
}

/* ---- the end, and the next start */

Test(back_store, an_end_that_leaves_nothing_leaves_an_empty_journal)
{
    rig_t r;
    rig_open(&r, "");
    rig_put(rig_file(&r, "/f"), 0, 1, 1000);
    CHECK(rig_journal_files(&r) > 0);
    (void)vfs_close(r.files[--r.nfiles], NULL);
    OK(vfs_destroy(r.fs));
    r.fs = NULL;
    EQ(rig_journal_files(&r), 0);
    rig_holds(r.lower, "/f", 0, 1, 1000);
    rig_close(&r);
}

Test(back_store, an_end_that_keeps_leaves_it_to_the_next_start)
{
    rig_t r;
    uint64_t left = 1;
    rig_open(&r, "");
    rig_put(rig_file(&r, "/f"), 0, 1, 1000);
    rig_fail(r.away, VFS_OPID_write_at, VFS_EOFFLINE);
    (void)vfs_close(r.files[--r.nfiles], NULL);
    OK(cachefs_destroy(r.fs, CACHEFS_END_KEEP, 0, &left));
    EQ(left, 0);
    EQ(rig_below(&r, VFS_OPID_write_at), 0);
    vfs_fault_clear(r.away);
    OK(rig_begin(&r, ""));
    EQ(rig_metric(&r, "cachefs_recovery_files"), 1);
    rig_holds(r.lower, "/f", 0, 1, 1000);
    rig_close(&r);
}

Test(back_store, an_end_that_keeps_refuses_what_the_journal_does_not_have)
{
    rig_t r;
    uint64_t left = 0;
    rig_open(&r, "");
    OK(vfs_link(r.fs, NULL, "/f", "/g") ? APR_SUCCESS : APR_EGENERAL); /* there is none yet */
    vfs_file_t *f = rig_file(&r, "/f");
    OK(vfs_link(r.fs, NULL, "/f", "/g"));
    rig_put(f, 0, 1, 1000);
    IS(VFS_EDIRTY, cachefs_destroy(r.fs, CACHEFS_END_KEEP, 0, &left));
    CHECK(left > 0);
    OK(cachefs_flush(r.fs, NULL, NULL, 0));
    rig_holds(r.lower, "/g", 0, 1, 1000);
    rig_close(&r);
}

/* Nobody begins without it unseen, whatever he is going to do. */
Test(back_store, a_cache_of_another_mode_writes_it_back_first)
{
    rig_t r;
    rig_open(&r, "");
    vfs_file_t *f = rig_file(&r, "/f");
    rig_acknowledge(f, 1);
    rig_kill(&r);
    OK(rig_begin(&r, "mode=through"));
    rig_holds(r.fs, "/f", 0, 1, 1000);
    rig_holds(r.lower, "/f", 0, 1, 1000);
    EQ(rig_journal_files(&r), 0);
    rig_close(&r);
}

Test(back_store, another_origin_is_refused_and_the_journal_stays)
{
    rig_t r;
    rig_open(&r, "");
    vfs_file_t *f = rig_file(&r, "/f");
    rig_acknowledge(f, 1);
    rig_kill(&r);
    IS(VFS_ECONFLICT, rig_begin(&r, "origin=another"));
    CHECK(strstr(r.err, "origin") != NULL);
    OK(rig_begin(&r, ""));
    rig_holds(r.fs, "/f", 0, 1, 1000);
    rig_close(&r);
}

/* While the origin does not answer there is no start, and nothing is lost by that. */
Test(back_store, a_recovery_that_fails_is_said_and_begun_again)
{
    rig_t r;
    rig_open(&r, "");
    vfs_file_t *f = rig_file(&r, "/f");
    rig_acknowledge(f, 1);
    rig_kill(&r);
    rig_fail(r.away, VFS_OPID_write_at, VFS_EOFFLINE);
    IS(VFS_EOFFLINE, rig_begin(&r, ""));
    CHECK(strstr(r.err, "journal") != NULL);
    vfs_fault_clear(r.away);
    OK(rig_begin(&r, ""));
    rig_holds(r.fs, "/f", 0, 1, 1000);
    rig_close(&r);
}

/* Many more files than the cache has names for. */
Test(back_store, records_keep_no_names_from_others)
{
    rig_t r;
    char path[16];
    rig_open(&r, "metadata_entries_max=64");
    for (int i = 0; i < 600; i++) {
        vfs_file_t *f;
        (void)snprintf(path, sizeof(path), "/f%d", i);
        OK(vfs_open(&f, r.fs, NULL, path, VFS_O_WRITE | VFS_O_CREATE, 0644, NULL, NULL));
        rig_put(f, 0, (uint8_t)(1 + i % 200), 100);
        OK(vfs_sync(f, NULL, VFS_SYNC_DATA));
        OK(vfs_close(f, NULL));
    }
    rig_kill(&r);
    OK(rig_begin(&r, ""));
    for (int i = 0; i < 600; i += 7) {
        (void)snprintf(path, sizeof(path), "/f%d", i);
        rig_holds(r.fs, path, 0, (uint8_t)(1 + i % 200), 100);
    }
    rig_close(&r);
}

/* A write of more pieces than a journal keeps room for: its sync is one of the lower layer, and
 * what the journal had of the file is below before. */
Test(back_store, a_write_of_very_many_pieces_has_no_record)
{
    static uint8_t bytes[600];
    vfs_iovec_t iov[600];
    size_t n;
    rig_t r;
    rig_open(&r, "");
    vfs_file_t *f = rig_file(&r, "/f");
    rig_acknowledge(f, 1);
    memset(bytes, 2, sizeof(bytes));
    for (size_t i = 0; i < 600; i++)
        iov[i] = (vfs_iovec_t){.base = bytes + i, .len = 1};
    OK(vfs_writev_at(f, NULL, iov, 600, 0, &n, NULL));
    EQ(n, 600);
    rig_holds(r.lower, "/f", 0, 1, 1000);
    uint64_t below = rig_below(&r, VFS_OPID_sync);
    OK(vfs_sync(f, NULL, VFS_SYNC_DATA));
    EQ(rig_below(&r, VFS_OPID_sync), below + 1);
    rig_kill(&r);
    OK(rig_begin(&r, ""));
    rig_holds(r.fs, "/f", 0, 2, 600);
    rig_holds(r.fs, "/f", 600, 1, 400);
    rig_close(&r);
}
