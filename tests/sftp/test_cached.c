/*
 * tier: medium
 * test_cached.c - a write-back cache over a connection with each fault that the proxy has: what is
 * read is right, or an error says that it could not be had; what was written stays dirty until the
 * server has it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "cachefs/cachefs.h"
#include "tests/remote/support_server.h"
#include "tests/sftp/support_rig.h"

#define PART 300000u
#define PLACE 200000
#define ATTEMPTS 40

static rig_t rig;
static char on_disk[RIG_BYTES + 1];

static int is_clear(apr_status_t status)
{
    return status == VFS_EOFFLINE || status == APR_FROM_OS_ERROR(EIO) || status == APR_TIMEUP ||
           status == VFS_ESTALE || status == APR_EACCES || status == VFS_EFORMAT;
}

static vfs_t *cache_over(vfs_t *lower, const char *mode)
{
    vfs_t *fs = NULL;
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    const char *const keys[][2] = {
        {"ram", "16m"}, {"mode", mode}, {"flush_interval", "1h"}, {"dirty_age", "1h"}};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        apr_status_t status =
            cachefs_config_set(&config, keys[i][0], keys[i][1], rig.err, sizeof(rig.err), rig.pool);
        cr_assert_eq(status, APR_SUCCESS, "%s", rig.err);
    }
    cr_assert_eq(cachefs_create(&fs, lower, &config, rig.err, sizeof(rig.err), rig.pool),
                 APR_SUCCESS, "%s", rig.err);
    return fs;
}

static uint64_t dirty_of(vfs_t *fs)
{
    cachefs_stats_t stats = {.size = sizeof(stats)};
    cr_assert_eq(cachefs_stats(fs, &stats), APR_SUCCESS);
    return stats.dirty_bytes;
}

/* As often as it takes; each attempt ends in right bytes or a clear error. */
static void read_all(vfs_t *fs, size_t row)
{
    apr_status_t status = VFS_EOFFLINE;
    for (int i = 0; i < ATTEMPTS && status != APR_SUCCESS; i++) {
        status = rig_read_big(&rig, fs);
        cr_expect(status == APR_SUCCESS || is_clear(status), "row %zu: %d", row, status);
    }
    cr_expect_eq(status, APR_SUCCESS, "row %zu: the fault had passed", row);
}

static vfs_file_t *open_it(vfs_t *fs, size_t row)
{
    vfs_file_t *file = NULL;
    apr_status_t status = VFS_EOFFLINE;
    for (int i = 0; i < ATTEMPTS && status != APR_SUCCESS; i++) {
        status = vfs_open(&file, fs, NULL, "/big", VFS_O_READ | VFS_O_WRITE, 0, NULL, NULL);
        cr_expect(status == APR_SUCCESS || is_clear(status), "row %zu: %d", row, status);
    }
    cr_assert_eq(status, APR_SUCCESS, "row %zu", row);
    return file;
}

static void write_part(vfs_t *fs, int back, size_t row)
{
    vfs_file_t *file = open_it(fs, row);
    apr_status_t status = VFS_EOFFLINE;
    size_t n = 0;
    memset(rig.bytes + PLACE, (int)('a' + row), PART);
    for (int i = 0; i < ATTEMPTS && status != APR_SUCCESS; i++) {
        status = vfs_write_at(file, NULL, rig.bytes + PLACE, PART, PLACE, &n, NULL);
        cr_expect(status == APR_SUCCESS || is_clear(status), "row %zu: %d", row, status);
        if (status == VFS_ESTALE) { /* nobody can tell whose file it is: the user opens it anew */
            (void)vfs_close(file, NULL);
            file = open_it(fs, row);
        }
    }
    cr_expect_eq(status, APR_SUCCESS, "row %zu", row);
    for (int i = 0, done = 0; i < ATTEMPTS && !done; i++) {
        status = vfs_sync(file, NULL, VFS_SYNC_ALL);
        cr_expect(status == APR_SUCCESS || is_clear(status), "row %zu: %d", row, status);
        done = status == APR_SUCCESS && dirty_of(fs) == 0;
        if (back && status != APR_SUCCESS)
            cr_expect_gt(dirty_of(fs), 0, "row %zu: what failed is still to be done", row);
    }
    cr_expect_eq(status, APR_SUCCESS, "row %zu", row);
    cr_expect_eq(dirty_of(fs), 0, "row %zu", row);
    (void)vfs_close(file, NULL); /* it can tell of a flush that failed before */
    cr_expect_eq(rig_read_big(&rig, fs), APR_SUCCESS, "row %zu", row);
}

static void is_on_disk(size_t row)
{
    char path[96];
    snprintf(path, sizeof(path), "%s/big", rig.root);
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file);
    cr_expect_eq(fread(on_disk, 1, sizeof(on_disk), file), RIG_BYTES);
    (void)fclose(file); /* it was read only */
    cr_expect_eq(memcmp(on_disk, rig.bytes, RIG_BYTES), 0, "row %zu", row);
}

static void through_faults(const char *mode)
{
    /* a greeting takes some 3 KB each way; each fault while we log in, read and write. SSH finds
     * what was spoilt on its way. */
    static const struct {
        fault_e fault;
        uint64_t amount;
        unsigned times;
    } rows[] = {{FAULT_NONE, 0, 0},          {FAULT_DELAY, 2, 0},
                {FAULT_SLOW, 8000, 0},       {FAULT_SLOW_UP, 8000, 0},
                {FAULT_RESET, 1000, 2},      {FAULT_RESET, 5000, 2},
                {FAULT_RESET, 300000, 2},    {FAULT_RESET, 1003500, 2},
                {FAULT_HALF_CLOSE, 5000, 2}, {FAULT_HALF_CLOSE, 500000, 2},
                {FAULT_STALL, 5000, 2},      {FAULT_STALL, 400000, 2},
                {FAULT_STALL, 1004500, 1},   {FAULT_STALL_UP, 3500, 1},
                {FAULT_STALL_UP, 60000, 1},  {FAULT_LOST, 0, 2},
                {FAULT_CORRUPT, 6000, 2},    {FAULT_CORRUPT, 500000, 2},
                {FAULT_CORRUPT, 1004500, 1}};
    rig_start(&rig, NULL, 0, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int port = 0;
        proxy_t *proxy =
            proxy_start(rig.sshd.port, rows[i].fault, rows[i].amount, rows[i].times, &port);
        vfs_t *lower = rig_fs(&rig, port,
                              "probe=no&connections=1&retries=2&connect_timeout=500ms&"
                              "stall_timeout=200ms");
        vfs_t *fs = cache_over(lower, mode);
        read_all(fs, i);
        write_part(fs, mode[0] == 'b', i);
        is_on_disk(i);
        if (rows[i].times > 0)
            cr_expect_gt(proxy_connections(proxy), 1, "row %zu: the fault struck", i);
        cr_expect_eq(vfs_destroy(fs), APR_SUCCESS, "row %zu", i);
        cr_expect_eq(vfs_destroy(lower), APR_SUCCESS);
        proxy_stop(proxy);
    }
    rig_stop(&rig);
}

Test(sftp_cached, each_fault_leaves_right_bytes_in_write_back)
{
    through_faults("back");
}

Test(sftp_cached, each_fault_leaves_right_bytes_in_write_through)
{
    through_faults("through");
}

Test(sftp_cached, what_was_written_while_the_server_was_away_is_there_when_it_is_back)
{
    rig_start(&rig, "+silent", 6,
              RIG_LATER); /* no answer to a write, as long as the flag is there */
    vfs_t *lower = rig_fs(&rig, 0, "connections=1&retries=0&stall_timeout=100ms");
    vfs_t *fs = cache_over(lower, "back");
    vfs_file_t *file = open_it(fs, 0);
    size_t n = 0;
    rig_again(&rig);
    memset(rig.bytes + PLACE, 'w', PART);
    cr_assert_eq(vfs_write_at(file, NULL, rig.bytes + PLACE, PART, PLACE, &n, NULL), APR_SUCCESS);
    for (int i = 0; i < 3; i++) {
        apr_status_t status = vfs_sync(file, NULL, VFS_SYNC_ALL);
        cr_expect(status != APR_SUCCESS && is_clear(status), "%d", status);
        cr_expect_gt(dirty_of(fs), 0);
        cr_expect_eq(rig_read_big(&rig, fs), APR_SUCCESS, "our own bytes can be read meanwhile");
    }
    (void)remove(rig.flag); /* it was made above */
    apr_status_t status = VFS_EOFFLINE;
    for (int i = 0; i < ATTEMPTS && status != APR_SUCCESS; i++)
        status = vfs_sync(file, NULL, VFS_SYNC_ALL);
    cr_expect_eq(status, APR_SUCCESS);
    cr_expect_eq(dirty_of(fs), 0);
    (void)vfs_close(file, NULL); /* it can tell of a flush that failed before */
    is_on_disk(0);
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    cr_expect_eq(vfs_destroy(lower), APR_SUCCESS);
    rig_stop(&rig);
}
