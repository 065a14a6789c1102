/*
 * test_figures.c - what the backend says that it has done.
 */
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "metrics/metrics.h"
#include "tests/sftp/support_rig.h"

static rig_t rig;

static vfs_remote_figures_t figures_of(vfs_t *fs)
{
    vfs_remote_figures_t now = {.size = sizeof(now)};
    cr_assert_eq(vfs_remote_figures(fs, &now), APR_SUCCESS);
    return now;
}

Test(sftp_figures, requests_bytes_and_attempts_are_counted)
{
    vfs_file_t *file = NULL;
    vfs_attr_t attr;
    size_t n = 0;
    rig_start(&rig, "silent", 0, RIG_LATER);
    vfs_t *fs = rig_fs(&rig, 0, "connections=1");
    cr_assert_eq(rig_read_big(&rig, fs), APR_SUCCESS); /* an open and a read; a close is none */
    vfs_remote_figures_t now = figures_of(fs);
    cr_expect_eq(now.requests, 2);
    cr_expect_eq(now.attempts, 2);
    cr_expect_eq(now.bytes_in, RIG_BYTES);
    cr_expect_eq(now.bytes_out, 0);
    cr_expect_eq(now.connections, 1);
    cr_assert_eq(vfs_open(&file, fs, NULL, "/big", VFS_O_WRITE, 0, NULL, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_write_at(file, NULL, "abc", 3, 0, &n, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    rig_cut(&rig);
    cr_expect_eq(vfs_stat(fs, NULL, "/big", &attr), APR_SUCCESS, "by another connection");
    now = figures_of(fs);
    cr_expect_eq(now.requests, 5);
    cr_expect_eq(now.attempts, 6);
    cr_expect_eq(now.failures, 1);
    cr_expect_eq(now.bytes_out, 3);
    cr_expect_eq(now.connections, 2);
    cr_expect_eq(now.refused + now.breaker_open + now.breaker_opened, 0);
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    rig_stop(&rig);
}

Test(sftp_figures, a_server_that_is_away_shows_in_the_metrics)
{
    static const char *const rows[] = {
        "cachefs_remote_requests_total 7\n",        "cachefs_remote_attempts_total 5\n",
        "cachefs_remote_failed_attempts_total 5\n", "cachefs_remote_refused_total 2\n",
        "cachefs_remote_breaker_open 1\n",          "cachefs_remote_breaker_opened_total 1\n",
        "cachefs_remote_received_bytes_total 0\n",  "cachefs_remote_connections_total 1\n"};
    metrics_registry_t *registry = NULL;
    metrics_snapshot_t *now = NULL;
    vfs_attr_t attr;
    char *text = NULL;
    rig_start(&rig, NULL, 0, 0);
    vfs_t *fs = rig_fs(&rig, 0, "retries=0");
    cr_assert_eq(metrics_registry_create(&registry, rig.pool), APR_SUCCESS);
    cr_assert_eq(vfs_remote_metrics(fs, registry), APR_SUCCESS);
    sshd_stop(&rig.sshd);
    for (int i = 0; i < 7; i++)
        cr_expect_eq(vfs_stat(fs, NULL, "/big", &attr), VFS_EOFFLINE);
    cr_assert_eq(metrics_snapshot(&now, registry, rig.pool), APR_SUCCESS);
    cr_assert_eq(metrics_export(&text, NULL, now, METRICS_PROMETHEUS, rig.pool), APR_SUCCESS);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_not_null(strstr(text, rows[i]), "%s in %s", rows[i], text);
    metrics_registry_destroy(registry);
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    rig_stop(&rig);
}
