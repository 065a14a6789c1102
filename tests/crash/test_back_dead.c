/*
 * test_back_dead.c - a journal whose disk fails, and comes back with old records on it.
 */
#include "tests/crash/support_stack.h"

static void disk_fails(rig_t *r)
{
    rig_fail(r->bad, VFS_OPID_write_at, EIO_STATUS);
    rig_fail(r->bad, VFS_OPID_sync, EIO_STATUS);
}

/* The next sync makes it void, and is one of the lower layer. */
Test(back_dead, it_is_void_before_anything_newer_is_acknowledged)
{
    rig_t r;
    rig_open(&r, "");
    vfs_file_t *f = rig_file(&r, "/f"), *g = rig_file(&r, "/g");
    rig_acknowledge(f, 1);
    rig_acknowledge(g, 1);
    disk_fails(&r);
    rig_acknowledge(f, 2);
    EQ(rig_journal_files(&r), 0);
    EQ(rig_metric(&r, "cachefs_journal_failed"), 2);
    EQ(rig_metric(&r, "cachefs_journal_failures_total"), 1);
    rig_holds(r.lower, "/f", 0, 2, 1000);
    rig_holds(r.lower, "/g", 0, 1, 1000); /* its record is gone with the others */
    rig_acknowledge(f, 3);
    rig_kill(&r);
    OK(rig_begin(&r, ""));
    EQ(rig_metric(&r, "cachefs_recovery_files"), 0);
    rig_holds(r.fs, "/f", 0, 3, 1000);
    rig_holds(r.fs, "/g", 0, 1, 1000);
    rig_close(&r);
}

/* Its records would be done again: nothing newer is acknowledged, and no name changes. */
Test(back_dead, while_it_cannot_be_removed_a_sync_fails)
{
    rig_t r;
    rig_open(&r, "");
    vfs_file_t *f = rig_file(&r, "/f"), *other;
    rig_acknowledge(f, 1);
    disk_fails(&r);
    rig_fail(r.bad, VFS_OPID_unlink, EIO_STATUS);
    rig_put(f, 0, 2, 1000);
    for (int i = 0; i < 3; i++)
        IS(EIO_STATUS, vfs_sync(f, NULL, VFS_SYNC_DATA));
    IS(EIO_STATUS, vfs_rename(r.fs, NULL, "/f", "/g", 0));
    IS(EIO_STATUS, vfs_unlink(r.fs, NULL, "/f"));
    IS(EIO_STATUS, vfs_sync_fs(r.fs, NULL));
    EQ(rig_metric(&r, "cachefs_journal_failed"), 1);
    CHECK(rig_metric(&r, "cachefs_journal_void_failures_total") >= 3);
    other = rig_file(&r, "/other"); /* it has no records of this one */
    rig_acknowledge(other, 7);
    rig_holds(r.lower, "/other", 0, 7, 1000);
    vfs_fault_clear(r.bad);
    OK(vfs_sync(f, NULL, VFS_SYNC_DATA));
    CHECK(rig_metric(&r, "cachefs_journal_failed") != 1); /* 0: it was taken back already */
    OK(vfs_rename(r.fs, NULL, "/f", "/g", 0));
    rig_kill(&r);
    OK(rig_begin(&r, ""));
    rig_holds(r.fs, "/g", 0, 2, 1000);
    rig_close(&r);
}

/* With the origin away, too, what was acknowledged is in the journal alone: it stays. */
Test(back_dead, while_nothing_can_go_below_it_stays)
{
    rig_t r;
    rig_open(&r, "");
    vfs_file_t *f = rig_file(&r, "/f");
    rig_acknowledge(f, 1);
    disk_fails(&r);
    rig_fail(r.away, VFS_OPID_write_at, VFS_EOFFLINE);
    rig_put(f, 500, 2, 1000);
    CHECK(vfs_sync(f, NULL, VFS_SYNC_DATA) != APR_SUCCESS);
    CHECK(rig_journal_files(&r) > 0);
    rig_kill(&r);
    OK(rig_begin(&r, ""));
    EQ(rig_metric(&r, "cachefs_recovery_files"), 1);
    rig_holds(r.fs, "/f", 0, 1, 1000);
    rig_close(&r);
}

/* Nobody has to ask for it. */
Test(back_dead, it_is_made_void_by_itself)
{
    rig_t r;
    rig_open(&r, "");
    vfs_file_t *f = rig_file(&r, "/f");
    rig_acknowledge(f, 1);
    disk_fails(&r);
    rig_put(f, 0, 2, 1000);
    OK(vfs_flush(f, NULL)); /* its record cannot be written */
    while (rig_metric(&r, "cachefs_journal_failed") != 2)
        apr_sleep(1000);
    EQ(rig_journal_files(&r), 0);
    rig_close(&r);
}

/* An end that could not make it void says so. */
Test(back_dead, an_end_tells_what_the_next_start_would_undo)
{
    rig_t r;
    rig_open(&r, "");
    vfs_file_t *f = rig_file(&r, "/f");
    rig_acknowledge(f, 1);
    disk_fails(&r);
    rig_fail(r.bad, VFS_OPID_unlink, EIO_STATUS);
    rig_put(f, 0, 2, 1000);
    CHECK(vfs_sync(f, NULL, VFS_SYNC_DATA) != APR_SUCCESS);
    (void)vfs_close(r.files[--r.nfiles], NULL);
    IS(EIO_STATUS, vfs_destroy(r.fs));
    r.fs = NULL;
    rig_holds(r.lower, "/f", 0, 2, 1000);
    rig_close(&r);
}

static void until(rig_t *r, const char *metric, double value)
{
    while (rig_metric(r, metric) != value)
        apr_sleep(1000);
}

/* Void, with data that has no record. */
static vfs_file_t *put_aside(rig_t *r)
{
    rig_open(r, "");
    vfs_file_t *f = rig_file(r, "/f");
    rig_acknowledge(f, 1);
    disk_fails(r);
    rig_acknowledge(f, 2);
    EQ(rig_metric(r, "cachefs_journal_failed"), 2);
    rig_put(f, 0, 3, 1000);
    return f;
}

/* What was written meanwhile counts as safe when it is below, and only then the journal is asked
 * again. */
Test(back_dead, a_disk_that_works_again_is_used_again)
{
    rig_t r;
    vfs_file_t *f = put_aside(&r);
    vfs_fault_clear(r.bad);
    until(&r, "cachefs_journal_failed", 0);
    EQ(rig_metric(&r, "cachefs_journal_taken_back_total"), 1);
    uint64_t below = rig_below(&r, VFS_OPID_sync);
    OK(vfs_sync(f, NULL, VFS_SYNC_DATA));
    EQ(rig_below(&r, VFS_OPID_sync), below + 1);
    rig_holds(r.lower, "/f", 0, 3, 1000);
    uint64_t written = rig_below(&r, VFS_OPID_write_at);
    rig_acknowledge(f, 4);
    EQ(rig_below(&r, VFS_OPID_write_at), written);
    rig_holds(r.lower, "/f", 0, 3, 1000);
    rig_kill(&r);
    OK(rig_begin(&r, ""));
    EQ(rig_metric(&r, "cachefs_recovery_files"), 1);
    rig_holds(r.fs, "/f", 0, 4, 1000);
    rig_close(&r);
}

/* What cannot go below is recorded as soon as there is a journal. */
Test(back_dead, what_cannot_go_below_is_recorded_when_it_is_back)
{
    rig_t r;
    vfs_file_t *f = put_aside(&r);
    rig_put(f, 20000, 5, 1000);
    rig_fail(r.away, VFS_OPID_write_at, VFS_EOFFLINE);
    CHECK(vfs_sync(f, NULL, VFS_SYNC_DATA) != APR_SUCCESS);
    vfs_fault_clear(r.bad);
    until(&r, "cachefs_journal_moved_total", 1);
    OK(vfs_sync(f, NULL, VFS_SYNC_DATA));
    rig_kill(&r);
    rig_holds(r.lower, "/f", 0, 2, 1000);
    OK(rig_begin(&r, ""));
    EQ(rig_metric(&r, "cachefs_recovery_files"), 1);
    EQ(rig_metric(&r, "cachefs_recovery_conflicts"), 0);
    rig_holds(r.fs, "/f", 0, 3, 1000);
    rig_holds(r.fs, "/f", 20000, 5, 1000);
    rig_close(&r);
}

/* It fails again, and is put aside again. */
Test(back_dead, it_can_die_twice)
{
    rig_t r;
    vfs_file_t *f = put_aside(&r);
    vfs_fault_clear(r.bad);
    until(&r, "cachefs_journal_failed", 0);
    OK(vfs_sync(f, NULL, VFS_SYNC_DATA));
    rig_acknowledge(f, 4);
    disk_fails(&r);
    rig_acknowledge(f, 5);
    EQ(rig_metric(&r, "cachefs_journal_failures_total"), 2);
    EQ(rig_journal_files(&r), 0);
    rig_kill(&r);
    OK(rig_begin(&r, ""));
    EQ(rig_metric(&r, "cachefs_recovery_files"), 0);
    rig_holds(r.fs, "/f", 0, 5, 1000);
    rig_close(&r);
}
