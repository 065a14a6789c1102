/*
 * test_links.c - symbolic links in a bucket, as s3fs has them: what is stored, what is read of its,
 * what a listing can tell, and what a path costs that meets one.
 * tier: medium
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/s3/support_bucket.h"

static bucket_t b;
static vfs_t *fs; /* which follows */

/* Links are followed over what is `b`. */
static void start(const char *options)
{
    bucket_start(&b, NULL, "in", options);
    cr_assert_eq(vfs_links_create(&fs, b.fs, 0, b.pool), APR_SUCCESS);
}

static void stop(void)
{
    if (fs != NULL) cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    bucket_stop(&b);
}

TestSuite(s3_links, .fini = stop);

/* 41471 is S_IFLNK | 0777, 40960 no more than S_IFLNK, as an s3fs of long ago has it. */
static void put_link(const char *path, const char *mode, const char *text, size_t len)
{
    const s3_header_t meta[] = {{"x-amz-meta-mode", mode}};
    bucket_put(&b, path, 0, text, len, meta, 1);
}

Test(s3_links, a_link_of_ours_is_stored_as_s3fs_stores_one)
{
    char text[64];
    vfs_attr_t attr;
    start("&meta=yes");
    cr_assert_eq(vfs_symlink(fs, NULL, "../else where", "/l"), APR_SUCCESS);
    cr_expect_str_eq(bucket_header(&b, "/l", "x-amz-meta-mode", text, sizeof(text)), "41471");
    cr_expect_str_eq(bucket_header(&b, "/l", "content-length", text, sizeof(text)), "13");
    cr_assert_eq(vfs_lstat(fs, NULL, "/l", &attr), APR_SUCCESS);
    cr_expect_eq(attr.type, VFS_TYPE_LINK);
    cr_expect_eq(attr.mode, 0777);
    cr_expect_eq(attr.size, 13);
    cr_expect_eq(vfs_symlink(fs, NULL, "x", "/l"), APR_EEXIST);
    cr_assert_eq(vfs_chown(fs, NULL, "/l", 7, 8, VFS_NOFOLLOW), APR_SUCCESS);
    cr_expect_str_eq(bucket_header(&b, "/l", "x-amz-meta-mode", text, sizeof(text)), "41471");
    cr_expect_str_eq(bucket_header(&b, "/l", "x-amz-meta-uid", text, sizeof(text)), "7");
    cr_assert_eq(vfs_readlink(fs, NULL, "/l", text, sizeof(text), NULL), APR_SUCCESS);
    cr_expect_str_eq(text, "../else where");
}

Test(s3_links, links_of_s3fs_are_read_whatever_else_their_mode_says)
{
    static const char *const modes[] = {"41471", "40960", "41453"};
    char path[16], text[64];
    vfs_attr_t attr;
    start("&meta=yes");
    bucket_put(&b, "/f", 0, "bytes", 5, NULL, 0);
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "/l%zu", i);
        put_link(path, modes[i], "f", 1);
        cr_assert_eq(vfs_lstat(fs, NULL, path, &attr), APR_SUCCESS);
        cr_expect_eq(attr.type, VFS_TYPE_LINK);
        cr_expect_eq(attr.mode, 0777);
        cr_assert_eq(vfs_readlink(fs, NULL, path, text, sizeof(text), NULL), APR_SUCCESS);
        cr_expect_str_eq(text, "f");
        cr_assert_eq(vfs_stat(fs, NULL, path, &attr), APR_SUCCESS);
        cr_expect_eq(attr.type, VFS_TYPE_FILE);
        cr_expect_eq(attr.size, 5);
    }
}

/* What can be no text of a link is no link, or says so. */
Test(s3_links, what_calls_itself_a_link_and_is_none_does_no_harm)
{
    static char large[VFS_PATH_MAX + 1];
    char text[VFS_PATH_MAX];
    vfs_attr_t attr;
    start("&meta=yes");
    memset(large, 'x', sizeof(large));
    put_link("/empty", "41471", "", 0);
    put_link("/large", "41471", large, VFS_PATH_MAX);
    put_link("/most", "41471", large, VFS_PATH_MAX - 1);
    put_link("/nul", "41471", "a\0b", 3);
    put_link("/out", "41471", "../../../etc/passwd", 19);
    cr_assert_eq(vfs_stat(fs, NULL, "/empty", &attr), APR_SUCCESS);
    cr_expect_eq(attr.type, VFS_TYPE_FILE);
    cr_assert_eq(vfs_stat(fs, NULL, "/large", &attr), APR_SUCCESS);
    cr_expect_eq(attr.type, VFS_TYPE_FILE);
    cr_expect_eq(vfs_readlink(fs, NULL, "/empty", text, sizeof(text), NULL), APR_EINVAL);
    cr_expect_eq(vfs_readlink(fs, NULL, "/large", text, sizeof(text), NULL), APR_EINVAL);
    cr_expect_eq(vfs_readlink(fs, NULL, "/most", text, sizeof(text), NULL), APR_SUCCESS);
    cr_expect_eq(vfs_stat(fs, NULL, "/most", &attr), APR_ENAMETOOLONG);
    cr_expect_eq(vfs_readlink(fs, NULL, "/nul", text, sizeof(text), NULL), VFS_EFORMAT);
    cr_expect_eq(vfs_stat(fs, NULL, "/nul", &attr), VFS_EFORMAT);
    cr_expect_eq(vfs_stat(fs, NULL, "/out", &attr), APR_EACCES);
    cr_assert_eq(vfs_unlink(fs, NULL, "/nul"), APR_SUCCESS, "each can be removed");
}

/* What is told of a link that leads nowhere would be taken for what is there. */
Test(s3_links, of_what_a_link_does_not_lead_to_nothing_is_told)
{
    static const char *const targets[] = {"nowhere", "none/../x", "l", "../../x"};
    static const apr_status_t want[] = {APR_ENOENT, APR_ENOENT, APR_FROM_OS_ERROR(ELOOP),
                                        APR_EACCES};
    char text[16];
    size_t got = 0;
    vfs_attr_t attr;
    start("&meta=yes");
    for (size_t i = 0; i < 4; i++) {
        put_link("/l", "41471", targets[i], strlen(targets[i]));
        cr_expect_eq(vfs_get(fs, NULL, "/l", text, sizeof(text), &got, &attr, NULL), want[i]);
        cr_expect(got == 0 && attr.type == VFS_TYPE_UNKNOWN && attr.flags == 0, "%s", targets[i]);
        cr_expect_eq(vfs_stat(fs, NULL, "/l", &attr), want[i]);
        cr_expect(attr.type == VFS_TYPE_UNKNOWN && attr.flags == 0, "%s", targets[i]);
    }
}

/* The type is in no listing. What is too large to be a link is known to be none. */
static vfs_type_e listed(vfs_t *of, const char *name, unsigned *count)
{
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    vfs_type_e type = VFS_TYPE_FIFO;
    cr_assert_eq(vfs_opendir(&dir, of, NULL, "/", VFS_DIR_ATTRS), APR_SUCCESS);
    for (*count = 0; vfs_readdir(dir, NULL, &entry) == APR_SUCCESS; ++*count) {
        if (strcmp(entry.name, name) != 0) continue;
        type = entry.type;
        cr_expect_eq(entry.has_attr, !(vfs_caps(of)->bits & VFS_CAP_MODE));
    }
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
    return type;
}

Test(s3_links, a_listing_leaves_open_what_may_be_a_link_and_costs_one_request)
{
    static char large[VFS_PATH_MAX];
    unsigned count = 0;
    start("&meta=yes");
    put_link("/l", "41471", "small", 5);
    bucket_put(&b, "/small", 0, "x", 1, NULL, 0);
    bucket_put(&b, "/large", 0, large, sizeof(large), NULL, 0);
    bucket_put(&b, "/d", 1, "", 0, NULL, 0);
    uint64_t before = bucket_requests(&b);
    cr_expect_eq(listed(fs, "l", &count), VFS_TYPE_UNKNOWN);
    cr_expect_eq(bucket_requests(&b) - before, 1);
    cr_expect_eq(count, 4);
    cr_expect_eq(listed(fs, "small", &count), VFS_TYPE_UNKNOWN);
    cr_expect_eq(listed(fs, "large", &count), VFS_TYPE_FILE);
    cr_expect_eq(listed(fs, "d", &count), VFS_TYPE_DIR);
    cr_assert_eq(vfs_destroy(fs), APR_SUCCESS);
    fs = NULL;
    cr_assert_eq(bucket_open(&b, b.web.port, "test/in", "&meta=yes&links=no"), APR_SUCCESS);
    cr_expect_eq(listed(b.fs, "l", &count), VFS_TYPE_FILE);
    cr_assert_eq(bucket_open(&b, b.web.port, "test/in", ""), APR_SUCCESS);
    cr_expect_eq(listed(b.fs, "l", &count), VFS_TYPE_FILE, "with its size and time, as ever");
}

Test(s3_links, a_path_without_a_link_costs_what_it_did)
{
    char text[16];
    vfs_attr_t attr;
    size_t got = 0;
    static const char *const paths[] = {"/d/e/f", "/d/e", "/d/e/none"};
    start("&meta=yes");
    bucket_put(&b, "/d/e/f", 0, "x", 1, NULL, 0);
    for (size_t i = 0; i < 3; i++) {
        uint64_t before = bucket_requests(&b);
        apr_status_t below = vfs_get(b.fs, NULL, paths[i], text, sizeof(text), &got, &attr, NULL);
        uint64_t between = bucket_requests(&b);
        apr_status_t above = vfs_get(fs, NULL, paths[i], text, sizeof(text), &got, &attr, NULL);
        cr_expect_eq(above, below);
        cr_expect_leq(bucket_requests(&b) - between, between - before, "%s", paths[i]);
    }
}

Test(s3_links, the_option_off_makes_them_files_and_without_metadata_it_is_refused)
{
    char text[16];
    vfs_attr_t attr;
    start("&meta=yes");
    put_link("/l", "41471", "target", 6);
    cr_assert_eq(vfs_destroy(fs), APR_SUCCESS);
    fs = NULL;
    cr_assert_eq(bucket_open(&b, b.web.port, "test/in", "&meta=yes&links=no"), APR_SUCCESS);
    cr_assert_eq(vfs_lstat(b.fs, NULL, "/l", &attr), APR_SUCCESS);
    cr_expect_eq(attr.type, VFS_TYPE_FILE);
    cr_expect_eq(vfs_readlink(b.fs, NULL, "/l", text, sizeof(text), NULL), APR_ENOTIMPL);
    cr_expect_eq(vfs_symlink(b.fs, NULL, "x", "/m"), APR_ENOTIMPL);
    cr_expect_eq(vfs_links_create(&fs, b.fs, 0, b.pool), APR_EINVAL);
    cr_expect_eq(bucket_open(&b, b.web.port, "test/in", "&links=yes"), APR_EINVAL);
    cr_expect_not_null(strstr(b.err, "meta=yes"), "%s", b.err);
}

Test(s3_links, a_stack_by_uri_follows_and_writes_where_a_link_leads)
{
    char uri[256], *text = NULL;
    size_t len = 0;
    vfs_t *whole = NULL;
    bucket_start(&b, NULL, "in", "&meta=yes");
    cr_assert_eq(vfs_backends_register_all(), APR_SUCCESS);
    s3server_uri(uri, sizeof(uri), b.web.port, "test/in", "&meta=yes");
    cr_assert_eq(vfs_open_uri(&whole, uri, b.err, sizeof(b.err), b.pool), APR_SUCCESS);
    cr_expect_neq(vfs_caps(whole)->bits & VFS_CAP_SYMLINK, 0);
    cr_expect_str_eq(vfs_name(whole), "s3");
    cr_assert_eq(vfs_symlink(whole, NULL, "d/f", "/l"), APR_SUCCESS);
    cr_assert_eq(vfs_mkdir(whole, NULL, "/d", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_write_file(whole, NULL, "/l", "by the link", 11, 0644), APR_SUCCESS);
    cr_assert_eq(vfs_read_file(&text, &len, whole, NULL, "/d/f", 0, b.pool), APR_SUCCESS);
    cr_expect_str_eq(text, "by the link");
    vfs_remote_figures_t figures = {.size = sizeof(figures)};
    cr_assert_eq(vfs_remote_figures(whole, &figures), APR_SUCCESS, "they are of the backend");
    cr_expect_gt(figures.requests, 0);
    cr_assert_eq(vfs_destroy(whole), APR_SUCCESS);
}
