/*
 * test_copy.c - a file that is copied to another name, as cp does on a mount: by the server, where
 * it can, and else by bytes; the same bytes either way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "cachefs/cachefs.h"
#include "tests/s3/support_bucket.h"
#include "vfs/objects.h"
#include "vfs/vfs_ops.h"

#define SIZE (9u << 20)
#define SMALL (256u << 10) /* of a look-up a cache brings the first bytes, too */

static bucket_t b;
static vfs_t *lower, *fs;
static char *data, *found;

static void end(void)
{
    if (fs != lower) OK(vfs_destroy(fs));
    if (lower != NULL) OK(vfs_destroy(lower));
    fs = lower = NULL;
    free(data);
    free(found);
    bucket_stop(&b);
}

TestSuite(s3_copy, .fini = end);

static void begin(const char *how, const char *options, int cached)
{
    char uri[1024];
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    bucket_start(&b, how, "", "");
    s3server_uri(uri, sizeof(uri), b.web.port, "test/", options);
    OK(vfs_backends_register_all());
    OK(vfs_open_uri(&lower, uri, b.err, sizeof(b.err), b.pool)); /* b.fs is for the test */
    fs = lower;
    if (cached) OK(cachefs_create(&fs, lower, &config, b.err, sizeof(b.err), b.pool));
    data = malloc(SIZE);
    found = malloc(SIZE + 1);
    cr_assert(data != NULL && found != NULL);
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (char)((i * 2654435761u >> 13) ^ i);
    OK(vfs_write_file(fs, NULL, "/from", data, SIZE, 0640));
}

static void holds(const char *path, size_t len)
{
    size_t got = 0;
    vfs_file_t *file;
    OK(vfs_open(&file, b.fs, NULL, path, VFS_O_READ, 0, NULL, NULL));
    OK(vfs_read_at(file, NULL, found, SIZE + 1, 0, &got));
    OK(vfs_close(file, NULL));
    cr_assert_eq(got, len, "%s has %zu bytes", path, got);
    cr_assert_eq(memcmp(found, data, len), 0, "%s has others", path);
}

static vfs_remote_figures_t figures(void)
{
    vfs_remote_figures_t figures = {.size = sizeof(figures)};
    OK(vfs_remote_figures(lower, &figures));
    return figures;
}

/* As cp does it. Returns the bytes that went to and fro for it. */
static uint64_t copy(const char *to)
{
    vfs_file_t *src, *dst;
    size_t copied = 0;
    vfs_remote_figures_t before = figures();
    OK(vfs_open(&src, fs, NULL, "/from", VFS_O_READ, 0, NULL, NULL));
    OK(vfs_open(&dst, fs, NULL, to, VFS_O_WRITE | VFS_O_CREATE | VFS_O_TRUNC, 0644, NULL, NULL));
    OK(vfs_copy_range(src, NULL, 0, dst, 0, 1u << 30, &copied));
    cr_assert_eq(copied, SIZE);
    OK(vfs_copy_range(src, NULL, SIZE, dst, SIZE, 1u << 30, &copied));
    cr_assert_eq(copied, 0u);
    OK(vfs_close(src, NULL));
    OK(vfs_close(dst, NULL));
    vfs_remote_figures_t after = figures();
    return after.bytes_in - before.bytes_in + after.bytes_out - before.bytes_out;
}

Test(s3_copy, a_whole_file_is_copied_by_the_server)
{
    static const char *const servers[] = {NULL, "plain", "careful"};
    for (size_t i = 0; i < 6; i++) {
        begin(servers[i / 2], "&part_size=5m&meta=yes", i % 2);
        cr_expect_lt(copy("/new"), SMALL, "server %zu", i);
        holds("/new", SIZE);
        OK(vfs_write_file(fs, NULL, "/old", "old", 3, 0600));
        cr_expect_lt(copy("/old"), SMALL, "server %zu", i);
        holds("/old", SIZE);
        cr_expect_eq(bucket_uploads(&b), 0u);
        if (i < 5) end();
    }
}

Test(s3_copy, what_is_copied_is_a_file_like_any)
{
    vfs_attr_t attr;
    vfs_file_t *file;
    size_t n;
    begin(NULL, "&part_size=5m&meta=yes", 1);
    OK(vfs_write_file(fs, NULL, "/to", "old", 3, 0600));
    (void)copy("/to");
    OK(vfs_stat(fs, NULL, "/to", &attr));
    cr_expect_eq(attr.size, SIZE);
    cr_expect_eq(attr.mode & 07777, 0600u, "its own mode, as cp leaves it");
    OK(vfs_open(&file, fs, NULL, "/to", VFS_O_READ | VFS_O_WRITE, 0, NULL, NULL));
    OK(vfs_write_at(file, NULL, "edit", 4, 100, &n, NULL));
    memcpy(data + 100, "edit", 4);
    OK(vfs_read_at(file, NULL, found, SIZE, 0, &n));
    cr_expect(n == SIZE && memcmp(found, data, SIZE) == 0);
    OK(vfs_close(file, NULL));
    holds("/to", SIZE);
}

Test(s3_copy, bytes_go_where_the_server_cannot)
{
    vfs_file_t *src, *dst;
    size_t copied, n;
    begin(NULL, "&part_size=5m", 1);
    /* what is written and not below yet is part of the file */
    OK(vfs_open(&src, fs, NULL, "/from", VFS_O_READ | VFS_O_WRITE, 0, NULL, NULL));
    OK(vfs_open(&dst, fs, NULL, "/to", VFS_O_WRITE | VFS_O_CREATE, 0644, NULL, NULL));
    memcpy(data + 5, "fresh", 5);
    OK(vfs_write_at(src, NULL, data + 5, 5, 5, &n, NULL));
    OK(vfs_copy_range(src, NULL, 0, dst, 0, SIZE, &copied));
    cr_expect_eq(copied, SIZE);
    OK(vfs_close(dst, NULL));
    holds("/to", SIZE);
    OK(vfs_close(src, NULL));
    /* a part of it; and over one that is longer */
    OK(vfs_open(&src, fs, NULL, "/from", VFS_O_READ, 0, NULL, NULL));
    OK(vfs_open(&dst, fs, NULL, "/to", VFS_O_WRITE, 0, NULL, NULL));
    OK(vfs_ftruncate(dst, NULL, SIZE + 1));
    OK(vfs_copy_range(src, NULL, 0, dst, 0, SIZE, &copied));
    OK(vfs_ftruncate(dst, NULL, SIZE));
    OK(vfs_close(dst, NULL));
    OK(vfs_close(src, NULL));
    holds("/to", SIZE);
    /* a server that copies no parts */
    vfs_t *objects = vfs__links_lower(lower) != NULL ? vfs__links_lower(lower) : lower;
    s3_t *s3 = vfs__objects_lower(objects)->state;
    atomic_store(&s3->no_part_copy, 1);
    cr_expect_gt(copy("/other"), SIZE);
    holds("/other", SIZE);
}

Test(s3_copy, others_that_change_the_source_are_not_mixed_in)
{
    vfs_file_t *src, *dst;
    size_t copied = 0;
    char *theirs = malloc(SIZE);
    cr_assert_not_null(theirs);
    memset(theirs, 't', SIZE);
    begin(NULL, "&part_size=5m", 0);
    OK(vfs_open(&src, fs, NULL, "/from", VFS_O_READ, 0, NULL, NULL));
    OK(vfs_open(&dst, fs, NULL, "/to", VFS_O_WRITE | VFS_O_CREATE, 0644, NULL, NULL));
    bucket_put(&b, "/from", 0, theirs, SIZE, NULL, 0);
    memcpy(data, theirs, SIZE);
    OK(vfs_copy_range(src, NULL, 0, dst, 0, SIZE, &copied));
    OK(vfs_close(src, NULL));
    OK(vfs_close(dst, NULL));
    holds("/to", SIZE);
    free(theirs);
}

Test(s3_copy, others_that_take_the_name_meanwhile_are_not_overwritten)
{
    vfs_file_t *src, *dst;
    size_t copied = 0;
    char text[8] = "";
    begin(NULL, "&part_size=5m", 0);
    OK(vfs_open(&src, fs, NULL, "/from", VFS_O_READ, 0, NULL, NULL));
    OK(vfs_open(&dst, fs, NULL, "/to", VFS_O_WRITE | VFS_O_CREATE, 0644, NULL, NULL));
    bucket_put(&b, "/to", 0, "theirs", 6, NULL, 0);
    OK(vfs_copy_range(src, NULL, 0, dst, 0, SIZE, &copied));
    OK(vfs_close(src, NULL));
    cr_expect_eq(vfs_close(dst, NULL), VFS_ECONFLICT);
    OK(vfs_open(&src, b.fs, NULL, "/to", VFS_O_READ, 0, NULL, NULL));
    OK(vfs_read_at(src, NULL, text, sizeof(text), 0, &copied));
    OK(vfs_close(src, NULL));
    cr_expect_str_eq(text, "theirs");
}
