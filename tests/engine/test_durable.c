/*
 * test_durable.c - what a sync acknowledged survives a power loss of the lower layer.
 */
#include "tests/engine/support_rig.h"

static const char *const modes[] = {"mode=through", "mode=around",
                                    "mode=back flush_interval=1h dirty_age=1h flush_on_close=off"};

/* A cache over a layer that can lose power, over memory. */
typedef struct power_t {
    apr_pool_t *pool;
    vfs_t *mem, *fault, *crash, *fs;
} power_t;

static void power_open(power_t *p, const char *keys)
{
    cachefs_config_t config;
    char err[256] = "";

    OK(apr_pool_create(&p->pool, NULL));
    OK(vfs_mem_create(&p->mem, 0, p->pool));
    OK(vfs_crash_create(&p->crash, p->mem, p->pool));
    OK(vfs_fault_create(&p->fault, p->crash, 1, p->pool));
    rig_config(&config, keys, p->pool);
    OK(cachefs_create(&p->fs, p->fault, &config, err, sizeof(err), p->pool));
}

/* Power goes and takes what was not synced; the file below holds exactly `text` after that. */
static void power_goes(power_t *p, const char *path, const char *text)
{
    uint64_t dirty;

    OK(vfs_crash_now(p->crash, VFS_CRASH_DROP_UNSYNCED, 1, 0));
    rig_holds_text(p->mem, path, text);
    (void)cachefs_destroy(p->fs, CACHEFS_END_DISCARD, 0, &dirty);
    vfs_crash_restart(p->crash);
    OK(vfs_destroy_stack(p->fault));
    apr_pool_destroy(p->pool);
}

/* Ways to have the bytes of /f acknowledged; `w` wrote them. */
static void by_its_writer(power_t *p, vfs_file_t *w)
{
    (void)p;
    OK(vfs_sync(w, NULL, VFS_SYNC_ALL));
}

static void of_its_data_alone(power_t *p, vfs_file_t *w)
{
    (void)p;
    OK(vfs_sync(w, NULL, VFS_SYNC_DATA));
}

static void by_another_writer(power_t *p, vfs_file_t *w)
{
    (void)w;
    vfs_file_t *other = rig_file(p->fs, "/f", RIG_W);
    OK(vfs_sync(other, NULL, VFS_SYNC_ALL));
    OK(vfs_close(other, NULL));
}

static void by_a_reader(power_t *p, vfs_file_t *w)
{
    (void)w;
    vfs_file_t *other = rig_file(p->fs, "/f", RIG_R);
    OK(vfs_sync(other, NULL, VFS_SYNC_ALL));
    OK(vfs_close(other, NULL));
}

static void after_a_flush(power_t *p, vfs_file_t *w)
{
    OK(cachefs_flush(p->fs, NULL, NULL, 0)); /* nothing is dirty, and nothing durable */
    OK(vfs_sync(w, NULL, VFS_SYNC_ALL));
}

static void of_everything(power_t *p, vfs_file_t *w)
{
    (void)w;
    OK(vfs_sync_fs(p->fs, NULL));
}

Test(durable, what_sync_acknowledged_survives_a_power_loss)
{
    static void (*const ways[])(power_t * p, vfs_file_t * w) = {
        by_its_writer, of_its_data_alone, by_another_writer,
        by_a_reader,   after_a_flush,     of_everything};

    OK(apr_initialize());
    for (int m = 0; m < 3; m++)
        for (size_t k = 0; k < sizeof(ways) / sizeof(ways[0]); k++) {
            power_t p;
            power_open(&p, modes[m]);
            vfs_file_t *w = rig_file(p.fs, "/f", RIG_C);
            rig_write(w, 0, "precious bytes", 14);
            OK(vfs_ftruncate(w, NULL, 8));
            ways[k](&p, w);
            rig_write(w, 0, "not", 3); /* acknowledged by nobody */
            OK(vfs_close(w, NULL));
            power_goes(&p, "/f", "precious");
        }
}

/* A sync that failed says nothing is durable; the one that succeeds after it makes all so. */
Test(durable, a_sync_that_failed_is_made_up_for_by_the_next)
{
    static const vfs_opid_e ops[] = {VFS_OPID_sync, VFS_OPID_write_at};

    OK(apr_initialize());
    for (int m = 0; m < 3; m++)
        for (int k = 0; k < (m == 2 ? 2 : 1);
             k++) { /* only a write that is put off can fail there */
            power_t p;
            vfs_fault_t rule = {
                .what = VFS_FAULT_ERROR, .status = APR_FROM_OS_ERROR(EIO), .times = 3};
            power_open(&p, modes[m]);
            vfs_file_t *w = rig_file(p.fs, "/f", RIG_C);
            rig_write(w, 0, "precious", 8);
            VFS_FAULT_OP(rule, ops[k]);
            OK(vfs_fault_add(p.fault, &rule));
            for (int i = 0; i < 3; i++)
                IS(APR_FROM_OS_ERROR(EIO), vfs_sync(w, NULL, VFS_SYNC_ALL));
            OK(vfs_sync(w, NULL, VFS_SYNC_ALL));
            OK(vfs_close(w, NULL));
            power_goes(&p, "/f", "precious");
        }
}

/* And of everything: no file is left out because another one failed. */
Test(durable, a_sync_of_everything_fails_while_one_file_does)
{
    power_t p;
    vfs_fault_t rule = {
        .what = VFS_FAULT_ERROR, .status = APR_FROM_OS_ERROR(ENOSPC), .glob = "/bad", .times = 2};

    OK(apr_initialize());
    power_open(&p, modes[2]);
    vfs_file_t *bad = rig_file(p.fs, "/bad", RIG_C), *w = rig_file(p.fs, "/f", RIG_C);
    rig_write(bad, 0, "bad", 3);
    rig_write(w, 0, "precious", 8);
    VFS_FAULT_OP(rule, VFS_OPID_write_at);
    OK(vfs_fault_add(p.fault, &rule));
    for (int i = 0; i < 2; i++)
        IS(APR_FROM_OS_ERROR(ENOSPC), vfs_sync_fs(p.fs, NULL));
    OK(vfs_sync_fs(p.fs, NULL));
    OK(vfs_close(w, NULL));
    (void)vfs_close(bad, NULL); /* the error of before is told here */
    power_goes(&p, "/f", "precious");
}
