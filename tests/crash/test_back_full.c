/*
 * test_back_full.c - a journal that is full: it makes room, and where it cannot, writers wait.
 */
#include "tests/crash/support_stack.h"

/* Many times its size, into files that are written again and again: none waits for ever, nothing
 * is lost, and the journal keeps to its limit. */
Test(back_full, it_makes_room)
{
    rig_t r;
    vfs_file_t *f[4];
    char path[8];
    rig_open(&r, "");
    for (int i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof(path), "/f%d", i);
        f[i] = rig_file(&r, path);
    }
    for (int round = 0; round < 40; round++)
        for (int i = 0; i < 4; i++) {
            rig_put(f[i], (round % 3) * 100000, (uint8_t)(round + i), 150000);
            if (round % 5 == i) OK(vfs_sync(f[i], NULL, VFS_SYNC_ALL));
            CHECK(rig_metric(&r, "cachefs_journal_bytes") <= 4u << 20);
        }
    CHECK(rig_metric(&r, "cachefs_journal_appended_bytes_total") > 4u << 20);
    for (int i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof(path), "/f%d", i);
        rig_holds(r.fs, path, 0, (uint8_t)(39 + i), 100000);
    }
    OK(cachefs_flush(r.fs, NULL, NULL, 0));
    rig_holds(r.lower, "/f3", 0, 42, 100000);
    rig_close(&r);
}

/* Where the i-th write of until_refused goes: all of it stays dirty. */
static apr_off_t place(int i)
{
    return (apr_off_t)(i / 2) * 100000;
}

/* Write, each time another file, until one is refused. Returns which. */
static int until_refused(rig_t *r, apr_status_t *st)
{
    static uint8_t buf[100000];
    char path[16];
    size_t n;
    vfs_file_t *f[2] = {rig_file(r, "/a"), rig_file(r, "/b")};
    for (int i = 0; i < 500; i++) {
        vfs_ctx_t ctx = VFS_CTX_INIT;
        ctx.deadline = apr_time_now() + 200000;
        memset(buf, i + 1, sizeof(buf));
        *st = vfs_write_at(f[i % 2], &ctx, buf, sizeof(buf), place(i), &n, NULL);
        if (*st) return i;
    }
    (void)snprintf(path, sizeof(path), "no end");
    cr_assert_fail("%s", path);
    return 0;
}

/* The dirty limit is far, the journal's is near. */
static void lower_layer_is(apr_status_t gone, apr_status_t said)
{
    rig_t r;
    apr_status_t st;
    size_t n;
    rig_open(&r, "ram=32m");
    rig_fail(r.away, VFS_OPID_write_at, gone);
    int i = until_refused(&r, &st);
    cr_assert(st == said, "%d", st);
    CHECK(i > 20);
    for (int k = 0; k < 2; k++) {                        /* what was accepted is in the journal */
        (void)vfs_sync(r.files[k], NULL, VFS_SYNC_DATA); /* tells once that its flush failed */
        OK(vfs_sync(r.files[k], NULL, VFS_SYNC_DATA));
    }
    vfs_fault_clear(r.away);
    OK(vfs_write_at(r.files[0], NULL, "again", 5, 0, &n, NULL));
    rig_kill(&r);
    OK(rig_begin(&r, ""));
    for (int k = 0; k < i; k++)
        rig_holds(r.fs, k % 2 ? "/b" : "/a", place(k) + 200, (uint8_t)(k + 1), 1000);
    rig_close(&r);
}

Test(back_full, while_the_origin_is_away_writers_wait_to_their_deadline)
{
    lower_layer_is(VFS_EOFFLINE, VFS_EOFFLINE);
}

Test(back_full, while_the_origin_refuses_writers_wait_to_their_deadline)
{
    lower_layer_is(APR_FROM_OS_ERROR(ENOSPC), VFS_ELIMIT);
}

/* A store without space is no reason to refuse anything: it goes on without. */
Test(back_full, a_store_without_space_stops_nobody)
{
    rig_t r;
    rig_open(&r, "");
    vfs_file_t *f = rig_file(&r, "/f");
    rig_put(f, 0, 1, 1000);
    rig_fail(r.bad, VFS_OPID_write_at, APR_FROM_OS_ERROR(ENOSPC));
    for (int i = 0; i < 80; i++) {
        rig_put(f, 0, (uint8_t)(i + 1), 100000);
        OK(vfs_sync(f, NULL, VFS_SYNC_DATA));
    }
    rig_holds(r.lower, "/f", 0, 80, 100000);
    EQ(rig_metric(&r, "cachefs_journal_failed"), 2);
    rig_close(&r);
}

/* The origin takes all files but one: neither do the others lose their records by that, nor does
 * what was acknowledged of it. */
Test(back_full, one_file_that_cannot_be_written_back_does_not_fill_it)
{
    rig_t r;
    vfs_fault_t rule = {.what = VFS_FAULT_ERROR, .status = APR_FROM_OS_ERROR(EACCES)};
    rig_open(&r, "");
    vfs_file_t *stuck = rig_file(&r, "/stuck"), *f = rig_file(&r, "/f");
    rule.glob = "/stuck";
    VFS_FAULT_OP(rule, VFS_OPID_write_at);
    OK(vfs_fault_add(r.away, &rule));
    rig_acknowledge(stuck, 1);
    for (int i = 0; i < 120; i++) {
        rig_put(f, 0, (uint8_t)(i + 1), 100000);
        if (i % 40 == 20) rig_put(stuck, 500 + i, (uint8_t)i, 1000);
    }
    (void)vfs_sync(stuck, NULL, VFS_SYNC_DATA); /* tells once that its flush failed */
    OK(vfs_sync(stuck, NULL, VFS_SYNC_DATA));
    OK(vfs_sync(f, NULL, VFS_SYNC_DATA));
    EQ(rig_metric(&r, "cachefs_journal_full_total"), 0);
    CHECK(rig_metric(&r, "cachefs_journal_moved_total") > 0);
    CHECK(rig_metric(&r, "cachefs_journal_appended_bytes_total") > 8u << 20);
    rig_kill(&r);
    OK(rig_begin(&r, ""));
    rig_holds(r.fs, "/f", 0, 120, 100000);
    rig_holds(r.fs, "/stuck", 0, 1, 500);
    rig_holds(r.fs, "/stuck", 520, 20, 40);
    rig_holds(r.fs, "/stuck", 600, 100, 1000);
    rig_close(&r);
}

/* The origin takes nothing: what is written again and again keeps its room. */
Test(back_full, its_length_follows_what_is_dirty)
{
    rig_t r;
    rig_open(&r, "");
    rig_fail(r.away, VFS_OPID_write_at, VFS_EOFFLINE);
    vfs_file_t *f = rig_file(&r, "/f");
    for (int i = 0; i < 120; i++)
        rig_put(f, i * 10, (uint8_t)(i + 1), 100000);
    (void)vfs_sync(f, NULL, VFS_SYNC_DATA); /* as above */
    OK(vfs_sync(f, NULL, VFS_SYNC_DATA));
    EQ(rig_metric(&r, "cachefs_journal_full_total"), 0);
    CHECK(rig_metric(&r, "cachefs_journal_moved_total") > 0);
    rig_kill(&r);
    OK(rig_begin(&r, ""));
    for (int i = 0; i < 119; i++)
        rig_holds(r.fs, "/f", i * 10, (uint8_t)(i + 1), 10);
    rig_holds(r.fs, "/f", 1190, 120, 100000);
    rig_close(&r);
}
