/*
 * test_s3rver.c - a bucket of s3rver, a server of others. It checks neither signatures of version 4
 * nor checksums, knows no conditions and no copies into parts, answers a range of an empty object
 * wrongly, and does not find the source of a copy that has a '+' in its name. Where it is not
 * installed (scripts/test.sh does that) the test says so.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/s3/support_bucket.h"

#define LARGE (12u << 20)

static void check_files(vfs_t *fs, apr_pool_t *pool)
{
    static const char *const texts[] = {"", "hello", "hello, world"};
    char *text = NULL;
    size_t len = 0;
    vfs_attr_t attr;
    cr_assert_eq(vfs_mkdir(fs, NULL, "/d", 0755), APR_SUCCESS);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(vfs_write_file(fs, NULL, "/d/a b", texts[i], strlen(texts[i]), 0640),
                     APR_SUCCESS);
        cr_assert_eq(vfs_read_file(&text, &len, fs, NULL, "/d/a b", 0, pool), APR_SUCCESS);
        cr_expect_eq(len, strlen(texts[i]));
        cr_expect_str_eq(text, texts[i]);
    }
    cr_assert_eq(vfs_stat(fs, NULL, "/d/a b", &attr), APR_SUCCESS);
    cr_expect_eq(attr.mode, 0640);
    cr_assert_eq(vfs_chmod(fs, NULL, "/d/a b", 0600, 0), APR_SUCCESS);
    cr_assert_eq(vfs_rename(fs, NULL, "/d", "/e", 0), APR_SUCCESS);
    cr_expect_eq(vfs_stat(fs, NULL, "/d", &attr), APR_ENOENT);
    cr_assert_eq(vfs_stat(fs, NULL, "/e/a b", &attr), APR_SUCCESS);
    cr_expect_eq(attr.mode, 0600);
    cr_expect_eq(attr.size, strlen(texts[2]));
    cr_expect_eq(vfs_rmdir(fs, NULL, "/e"), APR_FROM_OS_ERROR(ENOTEMPTY));
    cr_assert_eq(vfs_remove_all(fs, NULL, "/e"), APR_SUCCESS);
}

static void check_links(vfs_t *fs, apr_pool_t *pool)
{
    char *text = NULL, target[16];
    size_t len = 0;
    vfs_attr_t attr;
    cr_assert_eq(vfs_symlink(fs, NULL, "d/f", "/l"), APR_SUCCESS);
    cr_expect_eq(vfs_stat(fs, NULL, "/l", &attr), APR_ENOENT);
    cr_assert_eq(vfs_mkdir(fs, NULL, "/d", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_write_file(fs, NULL, "/l", "through", 7, 0644), APR_SUCCESS);
    cr_assert_eq(vfs_rename(fs, NULL, "/l", "/d/m", 0), APR_SUCCESS);
    cr_assert_eq(vfs_readlink(fs, NULL, "/d/m", target, sizeof(target), NULL), APR_SUCCESS);
    cr_expect_str_eq(target, "d/f");
    cr_assert_eq(vfs_symlink(fs, NULL, "d", "/way"), APR_SUCCESS);
    cr_assert_eq(vfs_read_file(&text, &len, fs, NULL, "/way/f", 0, pool), APR_SUCCESS);
    cr_expect_str_eq(text, "through");
    cr_assert_eq(vfs_unlink(fs, NULL, "/way"), APR_SUCCESS);
    cr_assert_eq(vfs_remove_all(fs, NULL, "/d"), APR_SUCCESS);
}

/* In parts, then one byte of it: the server cannot copy into a part, so all is sent again. */
static void check_large(vfs_t *fs, apr_pool_t *pool)
{
    char *bytes = malloc(LARGE), *text = NULL;
    size_t len = 0, done = 0;
    vfs_file_t *file = NULL;
    for (size_t i = 0; i < LARGE; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    cr_assert_eq(vfs_write_file(fs, NULL, "/large", bytes, LARGE, 0644), APR_SUCCESS);
    bytes[7654321] = 'x';
    cr_assert_eq(vfs_open(&file, fs, NULL, "/large", VFS_O_WRITE, 0, NULL, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_write_at(file, NULL, "x", 1, 7654321, &done, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_read_file(&text, &len, fs, NULL, "/large", 0, pool), APR_SUCCESS);
    cr_expect(len == LARGE && memcmp(text, bytes, len) == 0);
    free(bytes);
}

Test(s3_s3rver, files_are_written_read_and_moved)
{
    bucket_t b;
    char uri[256];
    memset(&b, 0, sizeof(b));
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    if (!s3rver_start(&b.web)) {
        cr_assert_eq(errno, ENOENT, "%s", strerror(errno));
        cr_skip_test("SKIPPED: there is no s3rver; scripts/test.sh installs it");
    }
    cr_assert_eq(apr_pool_create(&b.pool, NULL), APR_SUCCESS);
    s3server_credentials(1);
    cr_assert_eq(vfs_backends_register_all(), APR_SUCCESS);
    s3server_uri(uri, sizeof(uri), b.web.port, "test/in", "&meta=yes&part_size=5m");
    cr_assert_eq(vfs_open_uri(&b.fs, uri, b.err, sizeof(b.err), b.pool), APR_SUCCESS, "%s", b.err);
    cr_expect_eq(vfs_caps(b.fs)->bits & VFS_CAP_CONDITIONAL, 0);
    cr_expect_neq(vfs_caps(b.fs)->bits & VFS_CAP_RANDOM_WRITE, 0);
    cr_expect_gt(bucket_requests(&b), 0, "the figures are those of the backend below");
    check_files(b.fs, b.pool);
    check_links(b.fs, b.pool);
    check_large(b.fs, b.pool);
    cr_assert_eq(vfs_destroy(b.fs), APR_SUCCESS);
    b.fs = NULL;
    webserver_stop(&b.web);
    apr_pool_destroy(b.pool);
}
