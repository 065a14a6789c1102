/*
 * test_webdav_staged.c - what "dav:" opens: files that are written anywhere, and go up whole.
 * labels: webdav
 */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/remote/support_dav.h"

static dav_t dav;
static vfs_t *fs;

TestSuite(remote_webdav_staged);

static void open_staged(void)
{
    char uri[128];
    cr_assert_eq(vfs_backends_register_all(), APR_SUCCESS);
    snprintf(uri, sizeof(uri), "dav://127.0.0.1:%d/?proxy=none", dav.web.port);
    cr_assert_eq(vfs_open_uri(&fs, uri, dav.err, sizeof(dav.err), dav.pool), APR_SUCCESS, "%s",
                 dav.err);
}

Test(remote_webdav_staged, a_byte_in_the_middle_is_one_put_on_a_condition)
{
    for (size_t i = 0; i < DAV_SERVERS; i++) {
        vfs_remote_figures_t before = {.size = sizeof(before)}, after = before;
        vfs_file_t *file = NULL;
        size_t n = 0;
        dav_start(&dav, i, "");
        open_staged();
        cr_expect_str_eq(vfs_name(fs), "webdav");
        dav_shell(&dav, "echo -n 0123456789 >f && chmod 666 f");
        cr_assert_eq(vfs_open(&file, fs, NULL, "/f", VFS_O_WRITE, 0, NULL, NULL), APR_SUCCESS);
        cr_assert_eq(vfs_write_at(file, NULL, "x", 1, 4, &n, NULL), APR_SUCCESS);
        cr_expect(dav_holds(&dav, "/f", "0123456789"), "%s: it is not there yet", dav.name);
        cr_assert_eq(vfs_remote_figures(fs, &before), APR_SUCCESS, "it is seen through the layer");
        cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS, "%s", dav.name);
        cr_assert_eq(vfs_remote_figures(fs, &after), APR_SUCCESS);
        cr_expect_geq(after.bytes_out - before.bytes_out, 10, "%s", dav.name);
        cr_expect(dav_holds(&dav, "/f", "0123x56789"), "%s", dav.name);
        cr_expect_str_eq(dav_on_disk(&dav, "/"), "f ", "%s: nothing else is left", dav.name);
        cr_assert_eq(vfs_destroy(fs), APR_SUCCESS);
        dav_stop(&dav);
    }
}

Test(remote_webdav_staged, what_others_wrote_meanwhile_is_kept_beside_ours)
{
    for (size_t i = 0; i < DAV_SERVERS; i++) {
        vfs_file_t *file = NULL;
        size_t n = 0;
        dav_start(&dav, i, "");
        open_staged();
        dav_shell(&dav, "echo -n 0123456789 >f && chmod 666 f");
        cr_assert_eq(vfs_open(&file, fs, NULL, "/f", VFS_O_WRITE, 0, NULL, NULL), APR_SUCCESS);
        cr_assert_eq(vfs_write_at(file, NULL, "x", 1, 10, &n, NULL), APR_SUCCESS);
        dav_shell(&dav, "echo -n 'theirs, which is longer' >f");
        apr_status_t status = vfs_close(file, NULL);
        cr_expect_eq(status, VFS_ECONFLICT, "%s: %d", dav.name, status);
        cr_expect(dav_holds(&dav, "/f", "theirs, which is longer"), "%s", dav.name);
        cr_expect_not_null(strstr(dav_on_disk(&dav, "/"), "f f.conflict-"), "%s: %s", dav.name,
                           dav_on_disk(&dav, "/"));
        cr_assert_eq(vfs_destroy(fs), APR_SUCCESS);
        dav_stop(&dav);
    }
}
