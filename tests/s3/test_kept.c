/*
 * test_kept.c - what an object has beside its bytes when it is replaced, moved or changed: its
 * class, its encryption, what it is served with. Bytes that are stored coded are given as stored.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/remote/support_server.h"
#include "tests/s3/support_bucket.h"

static bucket_t b;

static void end(void)
{
    bucket_stop(&b);
}

TestSuite(s3_kept, .fini = end);

#define CLASS "x-amz-storage-class"
#define SSE "x-amz-server-side-encryption"
#define SSE_KEY "x-amz-server-side-encryption-aws-kms-key-id"
#define GZIP "\x1f\x8b\x08\x00rest"

static apr_status_t read_text(void *baton, void *buf, size_t len, apr_off_t off)
{
    memcpy(buf, (const char *)baton + off, len);
    return APR_SUCCESS;
}

static void commit(const char *path, const char *text, size_t len)
{
    const vfs_source_t source = {read_text, (void *)(uintptr_t)text, len};
    cr_assert_eq(vfs_commit(b.fs, NULL, path, &source, NULL, NULL, NULL), APR_SUCCESS);
}

/* The object has that header with that value; NULL: it has none. */
static void expect_header(const char *path, const char *name, const char *want)
{
    char text[128] = "";
    const char *found = bucket_header(&b, path, name, text, sizeof(text));
    if (want == NULL)
        cr_expect_null(found, "%s: %s is %s", path, name, text);
    else
        cr_expect_str_eq(text, want, "%s: %s", path, name);
}

static const s3_header_t had[] = {{"cache-control", "no-cache"},
                                  {"content-encoding", "br"},
                                  {"content-type", "text/html"},
                                  {"x-amz-meta-color", "red"},
                                  {SSE, "aws:kms"},
                                  {SSE_KEY, "one"},
                                  {CLASS, "STANDARD_IA"},
                                  {"x-amz-website-redirect-location", "/there"}};
#define HAD (sizeof(had) / sizeof(had[0]))

Test(s3_kept, a_file_that_moves_takes_along_what_it_has)
{
    bucket_start(&b, NULL, "", "&meta=yes");
    bucket_put(&b, "/f", 0, "x", 1, had, HAD);
    cr_assert_eq(vfs_rename(b.fs, NULL, "/f", "/g", 0), APR_SUCCESS);
    for (size_t i = 0; i < HAD; i++)
        expect_header("/g", had[i].name, had[i].value);
    cr_assert_eq(vfs_chmod(b.fs, NULL, "/g", 0600, 0), APR_SUCCESS);
    for (size_t i = 0; i < HAD; i++)
        expect_header("/g", had[i].name, had[i].value);
    bucket_put(&b, "/d/f", 0, "x", 1, had, HAD);
    bucket_put(&b, "/d/plain", 0, "x", 1, NULL, 0);
    cr_assert_eq(vfs_rename(b.fs, NULL, "/d", "/e", 0), APR_SUCCESS);
    expect_header("/e/f", CLASS, "STANDARD_IA");
    expect_header("/e/f", "content-encoding", "br");
    expect_header("/e/plain", CLASS, NULL);
}

Test(s3_kept, what_the_uri_says_goes_with_all_that_is_stored)
{
    bucket_start(&b, NULL, "in", "&meta=yes&storage_class=GLACIER_IR&sse=aws:kms&sse_key=two");
    static const char *const paths[] = {"/new", "/old", "/moved", "/e/f", "/e/deep/f"};
    bucket_put(&b, "/old", 0, "x", 1, had, HAD);
    bucket_put(&b, "/mode", 0, "x", 1, had, HAD);
    bucket_put(&b, "/m", 0, "x", 1, had, HAD);
    bucket_put(&b, "/d/f", 0, "x", 1, had, HAD);
    bucket_put(&b, "/d/deep/f", 0, "x", 1, NULL, 0);
    commit("/new", "text", 4);
    commit("/old", "text", 4);
    cr_assert_eq(vfs_rename(b.fs, NULL, "/m", "/moved", 0), APR_SUCCESS);
    cr_assert_eq(vfs_rename(b.fs, NULL, "/d", "/e", 0), APR_SUCCESS);
    cr_assert_eq(vfs_chmod(b.fs, NULL, "/mode", 0600, 0), APR_SUCCESS);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        expect_header(paths[i], CLASS, "GLACIER_IR");
        expect_header(paths[i], SSE, "aws:kms");
        expect_header(paths[i], SSE_KEY, "two");
    }
    /* another kind of encryption has no use for the key of the one before */
    cr_assert_eq(bucket_open(&b, b.web.port, "test/in", "&sse=AES256"), APR_SUCCESS, "%s", b.err);
    commit("/moved", "text", 4);
    cr_assert_eq(vfs_rename(b.fs, NULL, "/new", "/newer", 0), APR_SUCCESS);
    expect_header("/moved", SSE, "AES256");
    expect_header("/newer", SSE, "AES256");
    expect_header("/newer", SSE_KEY, NULL);
    expect_header("/newer", CLASS, "GLACIER_IR");
}

Test(s3_kept, a_key_is_one_of_kms)
{
    bucket_start(&b, NULL, "", "&sse_key=three");
    commit("/f", "x", 1);
    expect_header("/f", SSE, "aws:kms");
    expect_header("/f", SSE_KEY, "three");
    cr_expect_eq(bucket_open(&b, b.web.port, "test", "&sse=AES256&sse_key=three"), APR_EINVAL);
    cr_expect_not_null(strstr(b.err, "sse=aws:kms"), "%s", b.err);
}

Test(s3_kept, where_all_has_to_be_encrypted_all_is)
{
    vfs_attr_t attr;
    bucket_start(&b, "sealed", "in", "&sse=AES256");
    cr_expect(vfs_caps(b.fs)->bits & VFS_CAP_CONDITIONAL, "it can be asked for");
    commit("/f", "x", 1);
    cr_assert_eq(vfs_mkdir(b.fs, NULL, "/d", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_rename(b.fs, NULL, "/f", "/d/f", 0), APR_SUCCESS);
    const s3_header_t sse = {SSE, "AES256"};
    bucket_put(&b, "/by/key", 0, "x", 1, &sse, 1);
    cr_assert_eq(vfs_unlink(b.fs, NULL, "/by/key"), APR_SUCCESS);
    cr_expect_eq(vfs_stat(b.fs, NULL, "/by", &attr), APR_SUCCESS, "a marker was stored");
}

Test(s3_kept, the_requester_pays_when_told_to)
{
    bucket_start(&b, "payer", "", "&requester_pays=yes");
    commit("/f", "x", 1);
    cr_assert_eq(vfs_mkdir(b.fs, NULL, "/d", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_rename(b.fs, NULL, "/f", "/d/f", 0), APR_SUCCESS);
    cr_assert_eq(vfs_rename(b.fs, NULL, "/d", "/e", 0), APR_SUCCESS);
    cr_expect_neq(bucket_open(&b, b.web.port, "test", ""), APR_SUCCESS);
    cr_expect_not_null(strstr(b.err, "requester_pays=yes"), "%s", b.err);
}

/* ---- coded bytes */

static void expect_bytes(const char *path, const char *want, size_t want_len)
{
    char *text = NULL;
    size_t len = 0;
    vfs_attr_t attr;
    cr_assert_eq(vfs_stat(b.fs, NULL, path, &attr), APR_SUCCESS, "%s", path);
    cr_expect_eq(attr.size, want_len);
    cr_assert_eq(vfs_read_file(&text, &len, b.fs, NULL, path, 0, b.pool), APR_SUCCESS, "%s", path);
    cr_expect(len == want_len && memcmp(text, want, len) == 0, "%s", path);
}

Test(s3_kept, coded_bytes_are_given_and_taken_as_they_are_stored)
{
    static const s3_header_t gzip[] = {{"content-encoding", "gzip"}};
    static const s3_header_t chunked[] = {{"content-encoding", "aws-chunked"}};
    char buf[3];
    size_t got = 0;
    vfs_file_t *file = NULL;
    bucket_start(&b, NULL, "", "");
    bucket_put(&b, "/f", 0, GZIP, 8, gzip, 1);
    expect_bytes("/f", GZIP, 8);
    cr_assert_eq(vfs_open(&file, b.fs, NULL, "/f", VFS_O_READ, 0, NULL, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_read_at(file, NULL, buf, 3, 4, &got), APR_SUCCESS);
    cr_expect(got == 3 && memcmp(buf, "res", 3) == 0);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    commit("/f", GZIP GZIP, 16);
    expect_bytes("/f", GZIP GZIP, 16);
    expect_header("/f", "content-encoding", "gzip");
    commit("/f", "plain", 5);
    expect_bytes("/f", "plain", 5);
    expect_header("/f", "content-encoding", NULL);
    bucket_put(&b, "/g", 0, GZIP, 8, gzip, 1);
    commit("/g", "", 0);
    expect_header("/g", "content-encoding", NULL);
    /* that was of the request that stored it, and some servers keep it */
    bucket_put(&b, "/h", 0, "x", 1, chunked, 1);
    commit("/h", "y", 1);
    expect_header("/h", "content-encoding", NULL);
}

Test(s3_kept, bytes_that_were_coded_on_their_way_are_refused)
{
    static const reply_t replies[] = {
        {"",
         "HTTP/1.1 200 OK\r\nETag: W/\"a\"\r\nContent-Encoding: gzip\r\nContent-Length: "
         "4\r\n\r\n\x1f\x8b..",
         0, 0, NULL, 0},
        {NULL, NULL, 0, 0, NULL, 0}};
    char buf[8];
    int port = 0;
    vfs_attr_t attr;
    size_t got = 0;
    bucket_start(&b, NULL, "", "");
    server_t *server = server_start(replies, &port);
    cr_assert_eq(bucket_open(&b, port, "test", "&probe=no&retries=0"), APR_SUCCESS, "%s", b.err);
    cr_expect_eq(vfs_stat(b.fs, NULL, "/f", &attr), VFS_EFORMAT);
    cr_expect_eq(vfs_get(b.fs, NULL, "/f", buf, sizeof(buf), &got, NULL, NULL), VFS_EFORMAT);
    server_stop(server);
}
