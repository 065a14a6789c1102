/*
 * test_tls.c - a bucket by TLS: the same as without, but for what is signed; who has no certificate
 * that we trust gets no request.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/s3/support_bucket.h"

#define MIB (1u << 20)

static bucket_t b;

static void begin(void)
{
    memset(&b, 0, sizeof(b));
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&b.pool, NULL), APR_SUCCESS);
    s3server_credentials(0);
    cr_assert_neq(s3server_start(&b.web, "tls"), 0);
}

static void end(void)
{
    bucket_stop(&b);
}

TestSuite(s3_tls, .init = begin, .fini = end);

/* `options` may name the certificate: "%s" is the server's directory. */
static apr_status_t open_tls(const char *host, const char *options)
{
    char uri[512], more[256];
    if (b.fs != NULL) cr_assert_eq(vfs_destroy(b.fs), APR_SUCCESS);
    b.fs = NULL;
    const char *at = strstr(options, "%s");
    snprintf(more, sizeof(more), "%.*s%s%s", at != NULL ? (int)(at - options) : 0, options,
             at != NULL ? b.web.dir : "", at != NULL ? at + 2 : options);
    snprintf(uri, sizeof(uri), "s3://test?endpoint=https://%s:%d&proxy=none&retries=0%s", host,
             b.web.port, more);
    return vfs_s3_create(&b.fs, uri, b.err, sizeof(b.err), b.pool);
}

static apr_status_t read_x(void *baton, void *buf, size_t len, apr_off_t off)
{
    (void)baton;
    for (size_t i = 0; i < len; i++)
        ((char *)buf)[i] = (char)(((size_t)off + i) * 7 >> 8);
    return APR_SUCCESS;
}

static void commit(const char *path, uint64_t size)
{
    const vfs_source_t source = {read_x, NULL, size};
    cr_assert_eq(vfs_commit(b.fs, NULL, path, &source, NULL, NULL, NULL), APR_SUCCESS, "%s", path);
}

static void expect_whole(const char *path, uint64_t size)
{
    char *text = NULL, *want = malloc(size + 1);
    size_t len = 0;
    cr_assert_eq(vfs_read_file(&text, &len, b.fs, NULL, path, 0, b.pool), APR_SUCCESS, "%s", path);
    (void)read_x(NULL, want, size, 0); /* it has no errors */
    cr_expect(len == size && memcmp(text, want, len) == 0, "%s", path);
    free(want);
}

Test(s3_tls, a_bucket_is_read_and_written)
{
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    cr_assert_eq(open_tls("localhost", "&cacert=%s/cert.pem&part_size=5m&meta=yes"), APR_SUCCESS,
                 "%s", b.err);
    cr_expect(vfs_caps(b.fs)->bits & VFS_CAP_CONDITIONAL);
    cr_assert_eq(vfs_mkdir(b.fs, NULL, "/d", 0755), APR_SUCCESS);
    commit("/d/small", 1000);
    commit("/d/empty", 0);
    commit("/d/large", 11 * MIB);
    cr_assert_eq(vfs_rename(b.fs, NULL, "/d", "/e", 0), APR_SUCCESS);
    cr_assert_eq(vfs_chmod(b.fs, NULL, "/e/small", 0600, 0), APR_SUCCESS);
    expect_whole("/e/small", 1000);
    expect_whole("/e/empty", 0);
    expect_whole("/e/large", 11 * MIB);
    cr_assert_eq(vfs_unlink(b.fs, NULL, "/e/small"), APR_SUCCESS);
    cr_assert_eq(vfs_opendir(&dir, b.fs, NULL, "/e", 0), APR_SUCCESS);
    cr_assert_eq(vfs_readdir(dir, NULL, &entry), APR_SUCCESS);
    cr_expect_str_eq(entry.name, "empty");
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
}

Test(s3_tls, who_is_not_trusted_gets_no_request)
{
    const apr_status_t refused = APR_FROM_OS_ERROR(EACCES);
    cr_expect_eq(open_tls("localhost", ""), refused, "%s", b.err);
    cr_expect_not_null(strstr(b.err, "cacert=FILE"), "%s", b.err);
    cr_expect_eq(open_tls("other.localhost", "&cacert=%s/cert.pem"), refused, "%s", b.err);
    cr_expect_not_null(strstr(b.err, "other.localhost"), "%s", b.err);
    cr_expect_not_null(strstr(b.err, "cacert=FILE"), "%s", b.err);
    cr_expect_eq(open_tls("localhost", "&cacert=/none.pem"), refused, "%s", b.err);
    cr_expect_not_null(strstr(b.err, "/none.pem"), "%s", b.err);
    cr_assert_eq(open_tls("other.localhost", "&verify=no"), APR_SUCCESS, "%s", b.err);
    commit("/f", 10);
    expect_whole("/f", 10);
    cr_assert_eq(open_tls("localhost", "&probe=no"), APR_SUCCESS, "%s", b.err);
    vfs_attr_t attr;
    cr_expect_eq(vfs_stat(b.fs, NULL, "/f", &attr), refused, "later, too");
}
