/*
 * test_write.c - objects that are replaced, in one request or in parts, on conditions or without;
 * names that come and go.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/remote/support_server.h"
#include "tests/s3/support_bucket.h"

#define MIB (1u << 20)

static bucket_t b;

static void end(void)
{
    bucket_stop(&b);
}

TestSuite(s3_write, .fini = end);

/* ---- sources */

/* Bytes that differ by place; `edit` says where others stand. */
typedef struct bytes_t {
    uint64_t edit, edit_len;
    apr_off_t fail_at; /* 0: never */
} bytes_t;

static apr_status_t read_bytes(void *baton, void *buf, size_t len, apr_off_t off)
{
    const bytes_t *bytes = baton;
    unsigned char *out = buf;
    if (bytes->fail_at != 0 && off + (apr_off_t)len > bytes->fail_at) return APR_FROM_OS_ERROR(EIO);
    for (size_t i = 0; i < len; i++) {
        uint64_t at = (uint64_t)off + i;
        out[i] = (unsigned char)((at * 2654435761u >> 13) ^ at);
        if (at >= bytes->edit && at < bytes->edit + bytes->edit_len) out[i] ^= 0x55;
    }
    return APR_SUCCESS;
}

static apr_status_t commit_bytes(const char *path, bytes_t *bytes, uint64_t size,
                                 const vfs_commit_t *how, vfs_validator_t *validator)
{
    const vfs_source_t source = {read_bytes, bytes, size};
    vfs_attr_t attr;
    return vfs_commit(b.fs, NULL, path, &source, how, &attr, validator);
}

static apr_status_t read_text(void *baton, void *buf, size_t len, apr_off_t off)
{
    memcpy(buf, (const char *)baton + off, len);
    return APR_SUCCESS;
}

static apr_status_t commit(const char *path, const char *text, const vfs_commit_t *how,
                           vfs_validator_t *validator)
{
    const vfs_source_t source = {read_text, (void *)(uintptr_t)text, strlen(text)};
    vfs_attr_t attr;
    return vfs_commit(b.fs, NULL, path, &source, how, &attr, validator);
}

static void expect_text(const char *path, const char *want)
{
    char *text = NULL;
    size_t len = 0;
    cr_expect_eq(vfs_read_file(&text, &len, b.fs, NULL, path, 0, b.pool), APR_SUCCESS, "%s", path);
    cr_expect(text != NULL && len == strlen(want) && memcmp(text, want, len) == 0, "%s: %s", path,
              text);
}

static void expect_bytes(const char *path, bytes_t *bytes, uint64_t size)
{
    char *text = NULL, *want = malloc(size);
    size_t len = 0;
    cr_assert_eq(vfs_read_file(&text, &len, b.fs, NULL, path, 0, b.pool), APR_SUCCESS, "%s", path);
    cr_assert_eq(read_bytes(bytes, want, size, 0), APR_SUCCESS);
    cr_expect(len == size && memcmp(text, want, len) == 0, "%s", path);
    free(want);
}

/* ---- whole objects */

Test(s3_write, a_commit_holds_to_its_conditions)
{
    static const char *const servers[] = {NULL, "ceph,late", "never", "plain"};
    for (size_t i = 0; i < 4; i++) {
        vfs_commit_t how = VFS_COMMIT_INIT;
        vfs_validator_t one, two, now;
        vfs_attr_t attr;
        vfs_dir_t *dir = NULL;
        vfs_dirent_t entry;
        bucket_start(&b, servers[i], "in", "");
        cr_expect_eq((vfs_caps(b.fs)->bits & VFS_CAP_CONDITIONAL) != 0, i < 3);
        cr_assert_eq(vfs_opendir(&dir, b.fs, NULL, "/", 0), APR_SUCCESS);
        cr_expect_eq(vfs_readdir(dir, NULL, &entry), APR_EOF, "asking left nothing");
        cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
        cr_assert_eq(commit("/f", "first", NULL, &one), APR_SUCCESS);
        cr_assert_eq(vfs_validator(b.fs, NULL, "/f", &now), APR_SUCCESS);
        cr_expect(vfs_validator_equal(&one, &now), "a commit tells the version");
        expect_text("/f", "first");
        how.flags = VFS_COMMIT_IF_NONE;
        cr_expect_eq(commit("/f", "never", &how, NULL), VFS_ECONFLICT);
        cr_expect_eq(commit("/g", "new", &how, NULL), APR_SUCCESS);
        how.flags = VFS_COMMIT_IF_MATCH;
        how.expected = one;
        cr_expect_eq(commit("/none", "never", &how, NULL), VFS_ECONFLICT);
        cr_expect_eq(vfs_stat(b.fs, NULL, "/none", &attr), APR_ENOENT);
        cr_assert_eq(commit("/f", "second", &how, &two), APR_SUCCESS);
        cr_expect_eq(commit("/f", "third", &how, NULL), VFS_ECONFLICT, "that was the first");
        expect_text("/f", "second");
        cr_expect_eq(commit("/none/f", "x", NULL, NULL), APR_ENOENT);
        cr_expect_eq(commit("/f/f", "x", NULL, NULL), APR_FROM_OS_ERROR(ENOTDIR));
        cr_assert_eq(vfs_mkdir(b.fs, NULL, "/d", 0755), APR_SUCCESS);
        cr_expect_eq(commit("/d", "x", NULL, NULL), APR_FROM_OS_ERROR(EISDIR));
        cr_expect_eq(commit("/", "x", NULL, NULL), APR_FROM_OS_ERROR(EISDIR));
        cr_assert_eq(commit("/f", "", NULL, NULL), APR_SUCCESS);
        expect_text("/f", "");
        if (i < 3) bucket_stop(&b);
    }
}

Test(s3_write, what_an_object_had_beside_its_bytes_is_kept)
{
    static const s3_header_t had[] = {{"content-type", "text/html"},
                                      {"x-amz-meta-color", "red"},
                                      {"x-amz-meta-uid", "77"},
                                      {"x-amz-meta-mode", "33216"},
                                      {"x-amz-storage-class", "STANDARD_IA"}};
    static const char *const metas[] = {"&meta=no", "&meta=yes"};
    vfs_commit_t how = VFS_COMMIT_INIT;
    bytes_t bytes = {0, 0, 0};
    char text[64];
    vfs_attr_t attr;
    for (size_t i = 0; i < 2; i++) {
        char options[64];
        snprintf(options, sizeof(options), "%s&part_size=5m", metas[i]);
        bucket_start(&b, NULL, "", options);
        bucket_put(&b, "/f", 0, "x", 1, had, 5);
        how.mtime_ns = 1500000000123456789;
        for (int large = 0; large < 2; large++) {
            if (large)
                cr_assert_eq(commit_bytes("/f", &bytes, 11 * MIB, &how, NULL), APR_SUCCESS);
            else
                cr_assert_eq(commit("/f", "<html>", &how, NULL), APR_SUCCESS);
            for (size_t k = 0; k < 5; k++) {
                cr_expect_not_null(bucket_header(&b, "/f", had[k].name, text, sizeof(text)), "%s",
                                   had[k].name);
                cr_expect_str_eq(text, had[k].value, "%s, %d", had[k].name, large);
            }
            cr_assert_eq(vfs_stat(b.fs, NULL, "/f", &attr), APR_SUCCESS);
            cr_expect_eq(attr.mtime_ns == how.mtime_ns, i == 1);
            cr_expect_eq(attr.uid == 77, i == 1);
            cr_expect_eq(attr.mode, i == 1 ? 0700 : 0644);
        }
        if (i == 0) bucket_stop(&b);
    }
}

Test(s3_write, a_lost_answer_to_a_commit_is_found_out)
{
    vfs_commit_t how = VFS_COMMIT_INIT;
    char place[64];
    int port = 0;
    bytes_t bytes = {0, 0, 0};
    vfs_validator_t told, now;
    bucket_start(&b, NULL, "", "");
    for (int large = 0; large < 2; large++) {
        snprintf(place, sizeof(place), "test/%d", large);
        /* the first connection ends with the first answer: of the PUT, or of the upload's begin */
        proxy_t *proxy = proxy_start(b.web.port, FAULT_LOST, 0, 2, &port);
        cr_assert_eq(
            bucket_open(&b, port, place, "&probe=no&conditional=yes&part_size=5m&connections=1"),
            APR_SUCCESS, "%s", b.err);
        how.flags = VFS_COMMIT_IF_NONE;
        apr_status_t status = large ? commit_bytes("/f", &bytes, 11 * MIB, &how, &told)
                                    : commit("/f", "once", &how, &told);
        cr_expect_eq(status, APR_SUCCESS, "it was our own that was there: %d", large);
        cr_assert_eq(vfs_validator(b.fs, NULL, "/f", &now), APR_SUCCESS);
        cr_expect(vfs_validator_equal(&told, &now));
        cr_expect_geq(proxy_connections(proxy), 2);
        cr_assert_eq(vfs_destroy(b.fs), APR_SUCCESS);
        b.fs = NULL;
        proxy_stop(proxy);
    }
}

Test(s3_write, a_broken_connection_ends_in_right_bytes_or_a_clear_error)
{
    /* five failures in a row, and the server is taken for away */
    static const struct {
        fault_e fault;
        uint64_t amount;
        unsigned times;
    } rows[] = {{FAULT_RESET, 0, 2},       {FAULT_RESET, 100, 3}, {FAULT_HALF_CLOSE, 0, 2},
                {FAULT_HALF_CLOSE, 50, 3}, {FAULT_LOST, 0, 4},    {FAULT_SLOW_UP, 65536, 0},
                {FAULT_RESET, 100, 0},     {FAULT_LOST, 0, 0}};
    bucket_start(&b, NULL, "", "");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bytes_t bytes = {0, 0, 0};
        int port = 0, lasts = rows[i].times == 0 && rows[i].fault != FAULT_SLOW_UP;
        proxy_t *proxy =
            proxy_start(b.web.port, rows[i].fault, rows[i].amount, rows[i].times, &port);
        cr_assert_eq(bucket_open(&b, port, "test",
                                 lasts ? "&probe=no&retries=1&part_size=5m"
                                       : "&probe=no&retries=9&part_size=5m"),
                     APR_SUCCESS, "%s", b.err);
        apr_status_t status = commit_bytes("/f", &bytes, 12 * MIB, NULL, NULL);
        cr_expect_eq(status, lasts ? VFS_EOFFLINE : APR_SUCCESS, "%zu", i);
        if (!lasts) expect_bytes("/f", &bytes, 12 * MIB);
        cr_assert_eq(vfs_destroy(b.fs), APR_SUCCESS);
        b.fs = NULL;
        proxy_stop(proxy);
    }
}

/* ---- parts */

Test(s3_write, an_edit_of_a_large_object_sends_the_part_that_it_touches)
{
    bytes_t bytes = {0, 0, 0}, edited = {17 * MIB + 5, 1, 0};
    const vfs_range_t kept[] = {{0, edited.edit}, {edited.edit + 1, 40 * MIB - edited.edit - 1}};
    vfs_commit_t how = VFS_COMMIT_INIT;
    vfs_validator_t one;
    bucket_start(&b, NULL, "", "&part_size=5m");
    cr_assert_eq(commit_bytes("/f", &bytes, 40 * MIB, NULL, &one), APR_SUCCESS);
    expect_bytes("/f", &bytes, 40 * MIB);
    how.flags = VFS_COMMIT_IF_MATCH;
    how.expected = one;
    how.kept = kept;
    how.kept_count = 2;
    uint64_t requests = bucket_requests(&b), sent = bucket_bytes_out(&b);
    cr_assert_eq(commit_bytes("/f", &edited, 40 * MIB, &how, NULL), APR_SUCCESS);
    cr_expect_eq(bucket_requests(&b) - requests, 7,
                 "HEAD, begin, two copies, a part, HEAD, the end");
    cr_expect_lt(bucket_bytes_out(&b) - sent, 6 * MIB);
    expect_bytes("/f", &edited, 40 * MIB);
    cr_expect_eq(commit_bytes("/f", &bytes, 40 * MIB, &how, NULL), VFS_ECONFLICT,
                 "what is kept is of another version");
    expect_bytes("/f", &edited, 40 * MIB);
    cr_expect_eq(bucket_uploads(&b), 0);
}

/* Somebody else replaces the object while its new bytes are on their way. */
static apr_status_t read_late(void *baton, void *buf, size_t len, apr_off_t off)
{
    if (off > 5 * MIB) bucket_put(&b, "/f", 0, "other", 5, NULL, 0);
    return read_bytes(baton, buf, len, off);
}

Test(s3_write, a_large_commit_holds_to_its_conditions_at_its_end)
{
    static const char *const servers[] = {NULL, "late", "plain"};
    for (size_t i = 0; i < 6; i++) {
        bytes_t bytes = {0, 0, 0};
        const vfs_source_t source = {read_late, &bytes, 11 * MIB};
        vfs_commit_t how = VFS_COMMIT_INIT;
        vfs_attr_t attr;
        bucket_start(&b, servers[i / 2], "", "&part_size=5m&parallel=1");
        how.flags = VFS_COMMIT_IF_NONE;
        if (i % 2 == 1) {
            cr_assert_eq(commit("/f", "old", NULL, &how.expected), APR_SUCCESS);
            how.flags = VFS_COMMIT_IF_MATCH;
        }
        cr_expect_eq(vfs_commit(b.fs, NULL, "/f", &source, &how, &attr, NULL), VFS_ECONFLICT, "%zu",
                     i);
        expect_text("/f", "other");
        cr_expect_eq(bucket_uploads(&b), 0);
        if (i < 5) bucket_stop(&b);
    }
}

Test(s3_write, a_large_copy_is_of_one_version)
{
    bytes_t bytes = {0, 0, 0};
    bucket_start(&b, "careful", "", "&meta=yes&part_size=5m");
    cr_assert_eq(commit_bytes("/f", &bytes, 23 * MIB, NULL, NULL), APR_SUCCESS);
    bucket_state(&b)->copy_max = 10 * MIB;
    cr_assert_eq(vfs_chmod(b.fs, NULL, "/f", 0604, 0), APR_SUCCESS);
    expect_bytes("/f", &bytes, 23 * MIB);
    cr_assert_eq(vfs_rename(b.fs, NULL, "/f", "/g", 0), APR_SUCCESS);
    expect_bytes("/g", &bytes, 23 * MIB);
    /* its size was another when somebody looked */
    const s3_copy_t grown = {.from = "/g", .to = "/h", .size = 50 * MIB};
    cr_assert_eq(s3__copy(bucket_state(&b), NULL, &grown), APR_SUCCESS);
    expect_bytes("/h", &bytes, 23 * MIB);
    cr_assert_eq(commit("/g", "small", NULL, NULL), APR_SUCCESS);
    const s3_copy_t shrunk = {.from = "/g", .to = "/i", .size = 50 * MIB};
    cr_assert_eq(s3__copy(bucket_state(&b), NULL, &shrunk), APR_SUCCESS);
    expect_text("/i", "small");
    cr_expect_eq(bucket_uploads(&b), 0);
}

Test(s3_write, an_upload_that_fails_leaves_nothing)
{
    bytes_t bytes = {0, 0, 12 * MIB};
    vfs_attr_t attr;
    vfs_ctx_t ctx = VFS_CTX_INIT;
    vfs_cancel_t *cancel = NULL;
    bucket_start(&b, NULL, "", "&part_size=5m");
    cr_expect_eq(commit_bytes("/f", &bytes, 40 * MIB, NULL, NULL), APR_FROM_OS_ERROR(EIO));
    cr_expect_eq(bucket_uploads(&b), 0);
    cr_expect_eq(vfs_stat(b.fs, NULL, "/f", &attr), APR_ENOENT);
    vfs_commit_t how = VFS_COMMIT_INIT;
    bytes.fail_at = 0;
    how.flags = VFS_COMMIT_IF_NONE;
    cr_assert_eq(commit("/f", "there", NULL, NULL), APR_SUCCESS);
    cr_expect_eq(commit_bytes("/f", &bytes, 11 * MIB, &how, NULL), VFS_ECONFLICT);
    cr_expect_eq(bucket_uploads(&b), 0);
    expect_text("/f", "there");
    cr_assert_eq(vfs_cancel_create(&cancel, b.pool), APR_SUCCESS);
    ctx.deadline = apr_time_now() + 20000;
    const vfs_source_t source = {read_bytes, &bytes, 400 * MIB};
    cr_expect_eq(vfs_commit(b.fs, &ctx, "/f", &source, NULL, &attr, NULL), APR_TIMEUP);
    cr_expect_eq(bucket_uploads(&b), 0, "thrown away, though the time was over");
    expect_text("/f", "there");
}

/* ---- names */

static const char *names(const char *path)
{
    static char text[4096];
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    text[0] = '\0';
    if (vfs_opendir(&dir, b.fs, NULL, path, 0) != APR_SUCCESS) return "(none)";
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", entry.name);
    cr_expect_eq(vfs_closedir(dir), APR_SUCCESS);
    return text;
}

Test(s3_write, a_directory_stays_when_its_last_name_goes)
{
    vfs_attr_t attr;
    bucket_start(&b, NULL, "in", "");
    bucket_put(&b, "/made/by/key", 0, "x", 1, NULL, 0);
    cr_assert_eq(vfs_unlink(b.fs, NULL, "/made/by/key"), APR_SUCCESS);
    cr_assert_eq(vfs_stat(b.fs, NULL, "/made/by", &attr), APR_SUCCESS);
    cr_expect_eq(attr.type, VFS_TYPE_DIR);
    cr_expect_str_eq(names("/made/by"), "");
    cr_expect_eq(vfs_unlink(b.fs, NULL, "/made/by/key"), APR_ENOENT);
    cr_expect_eq(vfs_unlink(b.fs, NULL, "/made"), APR_FROM_OS_ERROR(EISDIR));
    cr_expect_eq(vfs_rmdir(b.fs, NULL, "/made"), APR_FROM_OS_ERROR(ENOTEMPTY));
    cr_assert_eq(vfs_rmdir(b.fs, NULL, "/made/by"), APR_SUCCESS);
    cr_expect_str_eq(names("/"), "made ", "it stays, too");
    cr_assert_eq(vfs_rmdir(b.fs, NULL, "/made"), APR_SUCCESS);
    cr_expect_str_eq(names("/"), "");
    cr_expect_eq(vfs_rmdir(b.fs, NULL, "/made"), APR_ENOENT);
    cr_assert_eq(vfs_mkdir(b.fs, NULL, "/d", 0755), APR_SUCCESS);
    cr_expect_eq(vfs_mkdir(b.fs, NULL, "/d", 0755), APR_EEXIST);
    cr_expect_eq(vfs_mkdir(b.fs, NULL, "/x/y", 0755), APR_ENOENT);
    cr_assert_eq(commit("/d/f", "x", NULL, NULL), APR_SUCCESS);
    cr_expect_eq(vfs_mkdir(b.fs, NULL, "/d/f", 0755), APR_EEXIST);
    cr_expect_eq(vfs_rmdir(b.fs, NULL, "/d/f"), APR_FROM_OS_ERROR(ENOTDIR));
    uint64_t before = bucket_requests(&b);
    cr_assert_eq(vfs_unlink(b.fs, NULL, "/d/f"), APR_SUCCESS);
    cr_expect_eq(bucket_requests(&b) - before, 2, "the marker is known");
}

Test(s3_write, a_directory_stays_when_its_last_directory_moves)
{
    vfs_attr_t attr;
    bucket_start(&b, NULL, "", "");
    bucket_put(&b, "/p/d/x", 0, "x", 1, NULL, 0);
    bucket_put(&b, "/p/d/y", 0, "y", 1, NULL, 0);
    cr_assert_eq(vfs_rename(b.fs, NULL, "/p/d", "/q", 0), APR_SUCCESS);
    cr_assert_eq(vfs_stat(b.fs, NULL, "/p", &attr), APR_SUCCESS);
    cr_expect_eq(attr.type, VFS_TYPE_DIR);
    cr_expect_str_eq(names("/p"), "");
    cr_expect_str_eq(names("/q"), "x y ");
}

Test(s3_write, a_directory_with_names_that_no_path_has_does_not_move)
{
    static const char *const odd[] = {"/d//",    "/d//x",    "/d/s//x", "/d/..",
                                      "/d/../x", "/d/s/./x", "/d/."};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        char text[16];
        bucket_start(&b, NULL, "", "");
        bucket_put(&b, "/d", 1, "", 0, NULL, 0);
        bucket_put(&b, "/d/f", 0, "x", 1, NULL, 0);
        bucket_put(&b, odd[i], 0, "x", 1, NULL, 0);
        cr_expect_eq(vfs_rename(b.fs, NULL, "/d", "/e", 0), VFS_EFORMAT, "%s", odd[i]);
        (void)bucket_header(&b, odd[i], "etag", text, sizeof(text)); /* asserts that it is there */
        expect_text("/d/f", "x");
        cr_expect_str_eq(names("/e"), "(none)");
        if (i + 1 < sizeof(odd) / sizeof(odd[0])) bucket_stop(&b);
    }
}

Test(s3_write, a_directory_moves_with_all_that_is_below)
{
    char path[64];
    vfs_attr_t attr;
    bucket_start(&b, NULL, "in", "&parallel=8");
    for (unsigned i = 0; i < 1100; i++) {
        snprintf(path, sizeof(path), "/d/s/%u", i);
        bucket_put(&b, path, 0, path, strlen(path), NULL, 0);
    }
    bucket_put(&b, "/d/\x01<&\"'>", 0, "odd", 3, NULL, 0);
    bucket_put(&b, "/d/a b+c%41", 0, "plus", 4, NULL, 0);
    bucket_put(&b, "/d/empty", 1, "", 0, NULL, 0);
    bucket_put(&b, "/dd", 0, "other", 5, NULL, 0);
    cr_expect_eq(vfs_rename(b.fs, NULL, "/d", "/d/s/x", 0), APR_EINVAL);
    cr_expect_eq(vfs_rename(b.fs, NULL, "/d", "/dd", 0), APR_FROM_OS_ERROR(ENOTDIR));
    cr_expect_eq(vfs_rename(b.fs, NULL, "/none", "/e", 0), APR_ENOENT);
    cr_expect_eq(vfs_rename(b.fs, NULL, "/dd", "/d", 0), APR_FROM_OS_ERROR(EISDIR));
    cr_assert_eq(vfs_mkdir(b.fs, NULL, "/e", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_rename(b.fs, NULL, "/d", "/e", 0), APR_SUCCESS, "onto an empty one");
    cr_expect_str_eq(names("/"), "dd e ");
    cr_expect_str_eq(names("/e"), "\x01<&\"'> a b+c%41 empty s ");
    cr_assert_eq(vfs_stat(b.fs, NULL, "/d", &attr), APR_ENOENT);
    expect_text("/e/s/1099", "/d/s/1099");
    expect_text("/e/a b+c%41", "plus");
    cr_assert_eq(vfs_mkdir(b.fs, NULL, "/t", 0755), APR_SUCCESS);
    cr_expect_eq(vfs_rename(b.fs, NULL, "/t", "/e", 0), APR_FROM_OS_ERROR(ENOTEMPTY));
    cr_assert_eq(vfs_rename(b.fs, NULL, "/dd", "/t/f", 0), APR_SUCCESS);
    expect_text("/t/f", "other");
    cr_expect_eq(vfs_rename(b.fs, NULL, "/t/f", "/none/f", 0), APR_ENOENT);
    cr_expect_eq(vfs_rename(b.fs, NULL, "/t/f", "/t/f", 0), APR_SUCCESS);
    expect_text("/t/f", "other");
}

Test(s3_write, attributes_are_metadata_that_others_read)
{
    char text[64];
    vfs_attr_t attr;
    bytes_t bytes = {0, 0, 0};
    static const s3_header_t type[] = {{"content-type", "image/png"}};
    bucket_start(&b, NULL, "", "&meta=yes&part_size=5m");
    bucket_put(&b, "/f", 0, "x", 1, type, 1);
    cr_assert_eq(vfs_chmod(b.fs, NULL, "/f", 0640, 0), APR_SUCCESS);
    cr_assert_eq(vfs_chown(b.fs, NULL, "/f", 12, (uint32_t)-1, 0), APR_SUCCESS);
    cr_assert_eq(vfs_utimens(b.fs, NULL, "/f", VFS_TIME_OMIT, 1354276831123456789, 0), APR_SUCCESS);
    cr_expect_str_eq(bucket_header(&b, "/f", "x-amz-meta-mode", text, sizeof(text)), "33184");
    cr_expect_str_eq(bucket_header(&b, "/f", "x-amz-meta-uid", text, sizeof(text)), "12");
    cr_expect_str_eq(bucket_header(&b, "/f", "x-amz-meta-mtime", text, sizeof(text)),
                     "1354276831.123456789");
    cr_expect_str_eq(bucket_header(&b, "/f", "content-type", text, sizeof(text)), "image/png");
    expect_text("/f", "x");
    bucket_put(&b, "/made/by/key", 0, "x", 1, NULL, 0);
    cr_assert_eq(vfs_chmod(b.fs, NULL, "/made", 0700, 0), APR_SUCCESS, "it gets a marker");
    cr_assert_eq(vfs_stat(b.fs, NULL, "/made", &attr), APR_SUCCESS);
    cr_expect_eq(attr.mode, 0700);
    cr_expect_eq(vfs_chmod(b.fs, NULL, "/none", 0700, 0), APR_ENOENT);
    cr_assert_eq(vfs_mkdir(b.fs, NULL, "/d", 0710), APR_SUCCESS);
    cr_assert_eq(vfs_stat(b.fs, NULL, "/d", &attr), APR_SUCCESS);
    cr_expect_eq(attr.mode, 0710);
    /* what is too large for one request is copied in parts */
    cr_assert_eq(commit_bytes("/f", &bytes, 23 * MIB, NULL, NULL), APR_SUCCESS);
    bucket_state(&b)->copy_max = 10 * MIB;
    cr_assert_eq(vfs_chmod(b.fs, NULL, "/f", 0604, 0), APR_SUCCESS);
    cr_assert_eq(vfs_rename(b.fs, NULL, "/f", "/g", 0), APR_SUCCESS);
    cr_assert_eq(vfs_stat(b.fs, NULL, "/g", &attr), APR_SUCCESS);
    cr_expect_eq(attr.mode, 0604);
    expect_bytes("/g", &bytes, 23 * MIB);
    cr_expect_eq(bucket_open(&b, b.web.port, "test", "&meta=no"), APR_SUCCESS);
    cr_expect_eq(vfs_chmod(b.fs, NULL, "/g", 0600, 0), APR_ENOTIMPL);
    cr_expect_eq(vfs_caps(b.fs)->bits & (VFS_CAP_MODE | VFS_CAP_OWNER | VFS_CAP_TIMES), 0);
}
