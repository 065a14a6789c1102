/*
 * test_read.c - objects as files to be read: what they are, in how few requests, of one version.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/s3/support_bucket.h"

static bucket_t b;

static void end(void)
{
    bucket_stop(&b);
}

TestSuite(s3_read, .fini = end);

static void put(const char *path, const char *text)
{
    bucket_put(&b, path, 0, text, strlen(text), NULL, 0);
}

static void expect_text(const char *path, const char *want)
{
    char *text = NULL;
    size_t len = 0;
    cr_expect_eq(vfs_read_file(&text, &len, b.fs, NULL, path, 0, b.pool), APR_SUCCESS, "%s", path);
    cr_expect(text != NULL && len == strlen(want) && memcmp(text, want, len) == 0, "%s", path);
}

Test(s3_read, an_object_is_a_file_and_what_keys_share_a_directory)
{
    vfs_attr_t attr;
    vfs_validator_t one, two;
    char buf[8];
    size_t got = 0;
    bucket_start(&b, NULL, "pre/fix", "");
    put("/f", "hello");
    put("/empty", "");
    put("/a b/c+d&\xc3\xa4%41", "odd");
    bucket_put(&b, "/marked", 1, "", 0, NULL, 0);
    cr_assert_eq(vfs_stat(b.fs, NULL, "/f", &attr), APR_SUCCESS);
    cr_expect_eq(attr.type, VFS_TYPE_FILE);
    cr_expect_eq(attr.size, 5);
    cr_expect_eq(attr.mode, 0644);
    cr_expect_gt(attr.mtime_ns, 0);
    cr_assert_eq(vfs_stat(b.fs, NULL, "/a b", &attr), APR_SUCCESS);
    cr_expect_eq(attr.type, VFS_TYPE_DIR);
    cr_assert_eq(vfs_stat(b.fs, NULL, "/marked", &attr), APR_SUCCESS);
    cr_expect_eq(attr.type, VFS_TYPE_DIR);
    cr_assert_eq(vfs_stat(b.fs, NULL, "/", &attr), APR_SUCCESS);
    cr_expect_eq(attr.type, VFS_TYPE_DIR);
    cr_expect_eq(vfs_stat(b.fs, NULL, "/none", &attr), APR_ENOENT);
    cr_expect_eq(vfs_stat(b.fs, NULL, "/a", &attr), APR_ENOENT, "only by whole components");
    cr_expect_eq(vfs_stat(b.fs, NULL, "/f/x", &attr), APR_FROM_OS_ERROR(ENOTDIR));
    cr_expect_eq(vfs_stat(b.fs, NULL, "/none/x", &attr), APR_ENOENT);
    expect_text("/f", "hello");
    expect_text("/empty", "");
    expect_text("/a b/c+d&\xc3\xa4%41", "odd");
    cr_assert_eq(vfs_get(b.fs, NULL, "/f", buf, 3, &got, &attr, &one), APR_SUCCESS);
    cr_expect_eq(got, 3);
    cr_expect_eq(attr.size, 5);
    cr_assert_eq(vfs_validator(b.fs, NULL, "/f", &two), APR_SUCCESS);
    cr_expect(vfs_validator_equal(&one, &two));
    cr_expect_eq(one.kind, VFS_VALIDATOR_ETAG);
    cr_expect_eq(one.flags, 0, "it is of the bytes, and not young");
    put("/f", "hullo");
    cr_assert_eq(vfs_validator(b.fs, NULL, "/f", &two), APR_SUCCESS);
    cr_expect(!vfs_validator_equal(&one, &two));
}

Test(s3_read, a_listing_takes_a_request_for_a_thousand_names)
{
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    vfs_attr_t attr;
    vfs_validator_t validator;
    char path[32], last[32] = "";
    unsigned count = 0;
    bucket_start(&b, NULL, "", "");
    for (unsigned i = 0; i < 2100; i++) {
        snprintf(path, sizeof(path), "/d/f%05u", i);
        put(path, "x");
    }
    put("/d/sub/f", "1");
    put("/d/sub/g", "2");
    put("/d/sub", "a file of the same name");
    bucket_put(&b, "/d", 1, "", 0, NULL, 0);
    uint64_t before = bucket_requests(&b);
    cr_assert_eq(vfs_opendir(&dir, b.fs, NULL, "/d", VFS_DIR_ATTRS), APR_SUCCESS);
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS) {
        cr_expect_lt(strcmp(last, entry.name), 0);
        snprintf(last, sizeof(last), "%s", entry.name);
        cr_expect_eq(entry.type, VFS_TYPE_FILE, "%s", entry.name);
        cr_expect_neq(entry.has_attr, 0);
        count++;
    }
    cr_expect_eq(count, 2101, "sub once, as the file that its path means, and no marker");
    cr_expect_eq(bucket_requests(&b) - before, 3);
    cr_assert_eq(vfs_seekdir(dir, NULL, 1), APR_SUCCESS);
    cr_assert_eq(vfs_readdir(dir, NULL, &entry), APR_SUCCESS);
    cr_expect_str_eq(entry.name, "f00001");
    cr_assert_eq(vfs_stat(b.fs, NULL, "/d/f00001", &attr), APR_SUCCESS);
    cr_assert_eq(vfs_validator(b.fs, NULL, "/d/f00001", &validator), APR_SUCCESS);
    cr_expect_eq(entry.attr.size, attr.size);
    cr_expect_eq(entry.attr.mtime_ns, attr.mtime_ns);
    cr_expect_eq(entry.attr.ino, attr.ino);
    cr_expect(vfs_validator_equal(&entry.validator, &validator), "the listing tells the version");
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
    cr_expect_eq(vfs_opendir(&dir, b.fs, NULL, "/none", 0), APR_ENOENT);
    cr_expect_eq(vfs_opendir(&dir, b.fs, NULL, "/d/f00001", 0), APR_FROM_OS_ERROR(ENOTDIR));
    cr_assert_eq(vfs_opendir(&dir, b.fs, NULL, "/", 0), APR_SUCCESS);
    cr_assert_eq(vfs_readdir(dir, NULL, &entry), APR_SUCCESS);
    cr_expect_str_eq(entry.name, "d");
    cr_expect_eq(entry.type, VFS_TYPE_DIR);
    cr_expect_eq(vfs_readdir(dir, NULL, &entry), APR_EOF);
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
}

Test(s3_read, questions_take_few_requests)
{
    vfs_attr_t attr;
    vfs_file_t *file = NULL;
    char buf[16];
    size_t got = 0;
    bucket_start(&b, NULL, "", "&probe=no");
    put("/d/f", "0123456789");
    uint64_t at = bucket_requests(&b);
    cr_assert_eq(vfs_stat(b.fs, NULL, "/d/f", &attr), APR_SUCCESS);
    cr_expect_eq(bucket_requests(&b) - at, 1, "HEAD");
    at = bucket_requests(&b);
    cr_assert_eq(vfs_stat(b.fs, NULL, "/d", &attr), APR_SUCCESS);
    cr_expect_eq(bucket_requests(&b) - at, 2, "HEAD, and a listing of one key");
    at = bucket_requests(&b);
    cr_assert_eq(vfs_stat(b.fs, NULL, "/d/none", &attr), APR_ENOENT);
    cr_expect_eq(bucket_requests(&b) - at, 2, "its directory was just seen");
    at = bucket_requests(&b);
    cr_assert_eq(vfs_get(b.fs, NULL, "/d/f", buf, sizeof(buf), &got, &attr, NULL), APR_SUCCESS);
    cr_expect_eq(bucket_requests(&b) - at, 1, "GET");
    cr_assert_eq(vfs_open(&file, b.fs, NULL, "/d/f", VFS_O_READ, 0, NULL, NULL), APR_SUCCESS);
    at = bucket_requests(&b);
    cr_assert_eq(vfs_read_at(file, NULL, buf, 4, 3, &got), APR_SUCCESS);
    cr_expect_eq(got, 4);
    cr_expect_arr_eq(buf, "3456", 4);
    cr_expect_eq(bucket_requests(&b) - at, 1);
    cr_assert_eq(vfs_read_at(file, NULL, buf, 4, 100, &got), APR_SUCCESS);
    cr_expect_eq(got, 0, "behind the end");
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}

Test(s3_read, metadata_of_s3fs_and_rclone_is_understood)
{
    static const s3_header_t meta[] = {{"x-amz-meta-mode", "33152"},
                                       {"x-amz-meta-uid", "1234"},
                                       {"x-amz-meta-gid", "99"},
                                       {"x-amz-meta-mtime", "1354276831.123456789"},
                                       {"x-amz-meta-atime", "1354276832"}};
    static const s3_header_t odd[] = {{"x-amz-meta-mode", "rw-r--r--"},
                                      {"x-amz-meta-uid", "-1"},
                                      {"x-amz-meta-mtime", "99999999999999999999"},
                                      {"x-amz-meta-gid", "4294967296"}};
    vfs_attr_t attr;
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    bucket_start(&b, NULL, "", "&meta=yes");
    bucket_put(&b, "/f", 0, "x", 1, meta, 5);
    bucket_put(&b, "/odd", 0, "x", 1, odd, 4);
    bucket_put(&b, "/d", 1, "", 0, meta, 5);
    cr_assert_eq(vfs_stat(b.fs, NULL, "/f", &attr), APR_SUCCESS);
    cr_expect_eq(attr.mode, 0600);
    cr_expect_eq(attr.uid, 1234);
    cr_expect_eq(attr.gid, 99);
    cr_expect_eq(attr.mtime_ns, 1354276831123456789);
    cr_expect_eq(attr.atime_ns, 1354276832000000000);
    cr_assert_eq(vfs_stat(b.fs, NULL, "/d", &attr), APR_SUCCESS);
    cr_expect_eq(attr.type, VFS_TYPE_DIR);
    cr_expect_eq(attr.mode, 0600);
    cr_assert_eq(vfs_stat(b.fs, NULL, "/odd", &attr), APR_SUCCESS);
    cr_expect_eq(attr.mode, 0644, "as without");
    cr_expect_eq(attr.uid, (uint32_t)geteuid());
    cr_expect_gt(attr.mtime_ns, 0);
    cr_assert_eq(vfs_opendir(&dir, b.fs, NULL, "/", VFS_DIR_ATTRS), APR_SUCCESS);
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS)
        cr_expect_eq(entry.has_attr, 0, "a listing does not know the metadata");
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
}

static void open_fails(const char *place, const char *options, apr_status_t want, const char *says)
{
    cr_expect_eq(bucket_open(&b, b.web.port, place, options), want, "%s%s", place, options);
    cr_expect_not_null(strstr(b.err, says), "%s%s: %s", place, options, b.err);
    cr_expect_null(strstr(b.err, "topsecret"), "%s", b.err);
}

Test(s3_read, what_is_wrong_is_told_with_what_to_do)
{
    const apr_status_t refused = APR_FROM_OS_ERROR(EACCES);
    char file[96];
    bucket_start(&b, NULL, "", "");
    open_fails("other", "", APR_ENOENT, "there is no such bucket");
    open_fails("test", "&region=eu-north-1", APR_FROM_OS_ERROR(EIO), "region=us-east-1");
    open_fails("test", "&anonymous=yes", refused, "may not");
    setenv("AWS_SECRET_ACCESS_KEY", "topsecretwrong", 1);
    open_fails("test", "", refused, "AWS_SECRET_ACCESS_KEY");
    setenv("AWS_ACCESS_KEY_ID", "WHO", 1);
    open_fails("test", "", refused, "AWS_ACCESS_KEY_ID");
    unsetenv("AWS_ACCESS_KEY_ID");
    snprintf(file, sizeof(file), "%s/credentials", b.web.dir);
    setenv("AWS_SHARED_CREDENTIALS_FILE", file, 1);
    open_fails("test", "", refused, "no credentials");
    FILE *out = fopen(file, "we");
    cr_assert_not_null(out);
    fputs("# mine\n[default]\naws_access_key_id = KEY\naws_secret_access_key=topsecret\n"
          "[other]\n; right\naws_access_key_id=KEY\n aws_secret_access_key = SECRET \n[half]\n"
          "aws_access_key_id=KEY\n",
          out);
    cr_assert_eq(fclose(out), 0);
    open_fails("test", "", refused, "AWS_SECRET_ACCESS_KEY");
    open_fails("test", "&profile=none", refused, "no such profile");
    open_fails("test", "&profile=half", refused, "without");
    cr_expect_eq(bucket_open(&b, b.web.port, "test", "&profile=other"), APR_SUCCESS, "%s", b.err);
    setenv("AWS_PROFILE", "other", 1);
    cr_expect_eq(bucket_open(&b, b.web.port, "test", ""), APR_SUCCESS, "%s", b.err);
    s3server_credentials(0);
    webserver_stop(&b.web);
    open_fails("test", "&retries=0", VFS_EOFFLINE, "is the server up");
}

Test(s3_read, credentials_that_change_are_read_again)
{
    char file[96];
    vfs_attr_t attr;
    bucket_start(&b, NULL, "", "");
    put("/f", "x");
    snprintf(file, sizeof(file), "%s/credentials", b.web.dir);
    setenv("AWS_SHARED_CREDENTIALS_FILE", file, 1);
    unsetenv("AWS_ACCESS_KEY_ID");
    static const char *const ids[] = {"OLD", "KEY"};
    for (size_t i = 0; i < 2; i++) {
        FILE *out = fopen(file, "we");
        cr_assert_not_null(out);
        fprintf(out, "[default]\naws_access_key_id=%s\naws_secret_access_key=SECRET\n", ids[i]);
        cr_assert_eq(fclose(out), 0);
        if (i == 0)
            cr_assert_eq(bucket_open(&b, b.web.port, "test", "&probe=no"), APR_SUCCESS);
        else
            apr_sleep(300000); /* a file is not read again sooner */
        cr_expect_eq(vfs_stat(b.fs, NULL, "/f", &attr),
                     i == 0 ? APR_FROM_OS_ERROR(EACCES) : APR_SUCCESS);
    }
}

Test(s3_read, a_wrong_option_is_refused_with_what_would_be_right)
{
    static const char *const rows[][3] = {{"test", "&colour=red", "unknown option 'colour'"},
                                          {"test", "&auth=basic", "AWS_ACCESS_KEY_ID"},
                                          {"test", "&meta=maybe", "no,yes"},
                                          {"test", "&region=a/b", "such as eu-central-1"},
                                          {"test", "&path_style=2", "no,yes"},
                                          {"", "", "no bucket is named"},
                                          {"id:topsecret@test", "", "credentials in a URI"},
                                          {"te$t", "", "letters"},
                                          {"test/%zz", "", "hexadecimal"}};
    bucket_start(&b, NULL, "", "");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        open_fails(rows[i][0], rows[i][1], APR_EINVAL, rows[i][2]);
}

Test(s3_read, headers_may_be_empty_or_have_blanks)
{
    static const s3_header_t odd[] = {
        {"x-amz-meta-a", ""}, {"x-amz-meta-b", "x   y \t z"}, {"x-amz-meta-c", "  z  "}};
    char text[64];
    bucket_start(&b, NULL, "", "&meta=yes");
    bucket_put(&b, "/f", 0, "x", 1, odd, 3);
    cr_expect_str_eq(bucket_header(&b, "/f", "x-amz-meta-a", text, sizeof(text)), "");
    cr_assert_eq(vfs_chmod(b.fs, NULL, "/f", 0600, 0), APR_SUCCESS, "they come along");
    cr_expect_str_eq(bucket_header(&b, "/f", "x-amz-meta-a", text, sizeof(text)), "");
    cr_expect_str_eq(bucket_header(&b, "/f", "x-amz-meta-b", text, sizeof(text)), "x   y \t z");
}

Test(s3_read, a_listing_may_say_last_how_it_is_encoded)
{
    static const char *const how[] = {NULL, "last"};
    for (size_t i = 0; i < 2; i++) {
        vfs_dir_t *dir = NULL;
        vfs_dirent_t entry;
        bucket_start(&b, how[i], "in", "");
        bucket_put(&b, "/a b+c%41", 0, "x", 1, NULL, 0);
        cr_assert_eq(vfs_opendir(&dir, b.fs, NULL, "/", 0), APR_SUCCESS);
        cr_assert_eq(vfs_readdir(dir, NULL, &entry), APR_SUCCESS);
        cr_expect_str_eq(entry.name, "a b+c%41", "%zu", i);
        cr_expect_eq(vfs_readdir(dir, NULL, &entry), APR_EOF);
        cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
        if (i == 0) bucket_stop(&b);
    }
}
