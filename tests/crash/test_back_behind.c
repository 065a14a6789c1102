/*
 * test_back_behind.c - a recovery that takes long goes on behind a cache that answers: what the
 * journal has is seen recovered or not at all, everything else at once.
 */
#include "tests/crash/support_stack.h"

static void blocked(rig_t *r)
{
    vfs_fault_t rule = {.what = VFS_FAULT_BLOCK, .glob = "/d/f", .times = 1};
    VFS_FAULT_OP(rule, VFS_OPID_write_at);
    OK(vfs_fault_add(r->away, &rule));
}

/* The journal has /d/f, and its recovery stops at the first byte; /other is below. */
static void goes_on_behind(rig_t *r)
{
    rig_open(r, "");
    OK(vfs_write_file(r->lower, NULL, "/other", "other", 5, 0644));
    OK(vfs_mkdir(r->lower, NULL, "/d", 0755));
    OK(vfs_symlink(r->lower, NULL, "d", "/link"));
    rig_acknowledge(rig_file(r, "/d/f"), 1);
    rig_kill(r);
    blocked(r);
    cachefs__recovery_patience_us = 1000;
    OK(rig_begin(r, ""));
    while (!vfs_fault_blocked(r->away))
        apr_sleep(1000);
    EQ(rig_metric(r, "cachefs_recovery_running"), 1);
}

static apr_status_t stat_soon(rig_t *r, const char *path)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;
    vfs_attr_t attr;
    ctx.deadline = apr_time_now() + 30000;
    return vfs_stat(r->fs, &ctx, path, &attr);
}

static apr_status_t list_soon(rig_t *r, const char *path)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;
    vfs_dir_t *dir;
    ctx.deadline = apr_time_now() + 30000;
    apr_status_t st = vfs_opendir(&dir, r->fs, &ctx, path, 0);
    if (!st) OK(vfs_closedir(dir));
    return st;
}

static apr_status_t rename_soon(rig_t *r, const char *from, const char *to)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.deadline = apr_time_now() + 30000;
    return vfs_rename(r->fs, &ctx, from, to, 0);
}

static void until_over(rig_t *r)
{
    while (rig_metric(r, "cachefs_recovery_running") != 0)
        apr_sleep(1000);
}

Test(back_behind, what_the_journal_does_not_have_is_there_at_once)
{
    rig_t r;
    goes_on_behind(&r);
    rig_holds(r.fs, "/other", 0, 'o', 1);
    rig_acknowledge(rig_file(&r, "/new"), 2);
    OK(rename_soon(&r, "/other", "/moved"));
    OK(vfs_mkdir(r.fs, NULL, "/e", 0755));
    IS(APR_ENOENT, stat_soon(&r, "/nothing"));
    OK(stat_soon(&r, "/d")); /* it is there, whatever comes into it */
    OK(stat_soon(&r, "/"));
    vfs_fault_clear(r.away);
    until_over(&r);
    EQ(rig_metric(&r, "cachefs_recovery_files"), 1);
    rig_holds(r.fs, "/d/f", 0, 1, 1000);
    rig_holds(r.fs, "/new", 0, 2, 1000);
    rig_close(&r);
}

Test(back_behind, what_the_journal_has_is_waited_for)
{
    rig_t r;
    vfs_ctx_t ctx = VFS_CTX_INIT;
    goes_on_behind(&r);
    IS(APR_TIMEUP, stat_soon(&r, "/d/f"));
    IS(APR_TIMEUP, stat_soon(&r, "/link/f")); /* leads there */
    IS(APR_TIMEUP, list_soon(&r, "/d"));
    IS(APR_TIMEUP, list_soon(&r, "/"));
    IS(APR_TIMEUP, rename_soon(&r, "/d", "/x"));
    IS(APR_TIMEUP, rename_soon(&r, "/other", "/d/f"));
    ctx.deadline = apr_time_now() + 30000;
    IS(APR_TIMEUP, vfs_unlink(r.fs, &ctx, "/d/f"));
    EQ(rig_metric(&r, "cachefs_recovery_running"), 1);
    vfs_fault_clear(r.away);
    rig_holds(r.fs, "/d/f", 0, 1, 1000); /* without a deadline */
    EQ(rig_metric(&r, "cachefs_recovery_running"), 0);
    OK(list_soon(&r, "/"));
    rig_close(&r);
}

/* What was acknowledged meanwhile is behind what was there. */
Test(back_behind, a_second_death_loses_neither)
{
    rig_t r;
    goes_on_behind(&r);
    rig_acknowledge(rig_file(&r, "/new"), 2);
    rig_kill(&r);
    OK(rig_begin(&r, ""));
    until_over(&r);
    EQ(rig_metric(&r, "cachefs_recovery_conflicts"), 0);
    rig_holds(r.fs, "/d/f", 0, 1, 1000);
    rig_holds(r.fs, "/new", 0, 2, 1000);
    rig_close(&r);
}

static void fails(rig_t *r)
{
    goes_on_behind(r);
    vfs_fault_t rule = {.what = VFS_FAULT_ERROR, .glob = "/d/f"};
    VFS_FAULT_OP(rule, VFS_OPID_sync);
    OK(vfs_fault_add(r->away, &rule));
    vfs_fault_release(r->away);
    apr_status_t st = APR_TIMEUP;
    while (APR_STATUS_IS_TIMEUP(st)) /* the attempt is under way */
        st = stat_soon(r, "/d/f");
    IS(VFS_EOFFLINE, st);
}

Test(back_behind, it_is_tried_again)
{
    rig_t r;
    fails(&r);
    rig_holds(r.fs, "/other", 0, 'o', 1);
    vfs_fault_clear(r.away);
    until_over(&r);
    rig_holds(r.fs, "/d/f", 0, 1, 1000);
    EQ(rig_metric(&r, "cachefs_recovery_conflicts"), 0);
    rig_close(&r);
}

Test(back_behind, its_end_leaves_the_rest_to_the_next_start)
{
    rig_t r;
    fails(&r);
    OK(vfs_destroy(r.fs));
    CHECK(rig_journal_files(&r) > 0);
    vfs_fault_clear(r.away);
    OK(rig_begin(&r, ""));
    until_over(&r);
    rig_holds(r.fs, "/d/f", 0, 1, 1000);
    EQ(rig_metric(&r, "cachefs_recovery_conflicts"), 0);
    rig_close(&r);
}
