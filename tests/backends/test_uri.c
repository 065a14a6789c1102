/*
 * test_uri.c - the backends by URI: which forms are understood, and in which words the others are
 * refused.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_general.h>

#include <criterion/criterion.h>

#include "backends/backends.h"

static apr_pool_t *pool;
static char dir[64];
static char err[512];

static void begin(void)
{
    char path[128];
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_backends_register_all(), APR_SUCCESS);
    cr_assert_eq(vfs_backends_register_all(), APR_SUCCESS, "again is harmless");
    snprintf(dir, sizeof(dir), "/tmp/cachefs-uri-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/a b?%%", dir);
    cr_assert_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/file", dir);
    fclose(fopen(path, "w"));
}

static void end(void)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/a b?%%", dir);
    cr_expect_eq(rmdir(path), 0);
    snprintf(path, sizeof(path), "%s/file", dir);
    cr_expect_eq(unlink(path), 0);
    cr_expect_eq(rmdir(dir), 0);
    apr_pool_destroy(pool);
}

TestSuite(backends_uri, .init = begin, .fini = end);

static apr_status_t open_close(const char *uri)
{
    vfs_t *fs;
    err[0] = '\0';
    apr_status_t status = vfs_open_uri(&fs, uri, err, sizeof(err), pool);
    if (status == APR_SUCCESS) cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    return status;
}

Test(backends_uri, every_form_of_a_directory_is_understood)
{
    char uri[256];
    const char *forms[] = {"file://%s",
                           "file:%s",
                           "file://localhost%s",
                           "file://LocalHost%s",
                           "FILE:%s",
                           "file://%s/a%%20b%%3F%%25",
                           "file:%s/a%%20b%%3f%%25/",
                           "file://%s/.?"};
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        const char *at = strstr(forms[i], "%s");
        snprintf(uri, sizeof(uri), "%.*s%s", (int)(at - forms[i]), forms[i], dir);
        size_t len = strlen(uri);
        for (const char *c = at + 2; *c != '\0'; c++) { /* "%%" is "%" */
            uri[len++] = *c;
            if (*c == '%') c++;
        }
        uri[len] = '\0';
        cr_expect_eq(open_close(uri), APR_SUCCESS, "%s: %s", uri, err);
    }
    cr_assert_eq(chdir("/tmp"), 0);
    snprintf(uri, sizeof(uri), "file:%s", dir + 5);
    cr_expect_eq(open_close(uri), APR_SUCCESS, "%s: %s", uri, err);
    cr_expect_eq(open_close("file:."), APR_SUCCESS);
}

Test(backends_uri, what_cannot_be_opened_is_refused_in_a_sentence)
{
    char file[128], long_uri[5000];
    snprintf(file, sizeof(file), "file://%s/file", dir);
    memset(long_uri, 'x', sizeof(long_uri));
    memcpy(long_uri, "file:/", 6);
    long_uri[sizeof(long_uri) - 1] = '\0';
    const struct {
        const char *uri;
        apr_status_t status;
        const char *words;
    } rows[] = {
        {"file:///nope", APR_ENOENT, "file:///nope: no such directory"},
        {file, APR_ENOTDIR, "not a directory"},
        {"file:", APR_EINVAL, "no directory is named"},
        {"file://", APR_EINVAL, "no directory is named"},
        {"file://server/dir", APR_EINVAL, "'server' is another host; write file:///DIR"},
        {"file://server", APR_EINVAL, "'server' is another host"},
        {"file:///tmp?cache=1", APR_EINVAL, "takes no options"},
        {"file:///tmp/%zz", APR_EINVAL, "two hexadecimal digits"},
        {"file:///tmp/%4", APR_EINVAL, "two hexadecimal digits"},
        {"file:///tmp/%", APR_EINVAL, "two hexadecimal digits"},
        {"file:///tmp/%00", APR_EINVAL, "cannot hold the byte 0"},
        {long_uri, APR_EINVAL, "xxx"},
        {"mem:?size", APR_EINVAL, "unknown option 'size'; accepted is size=BYTES"},
        {"mem:?colour=red&size=1", APR_EINVAL, "unknown option 'colour=red'; accepted is"},
        {"mem:?size=1&x", APR_EINVAL, "unknown option 'x'; accepted is"},
        {"mem:?size=", APR_EINVAL, "'' is no size"},
        {"mem:?size=12q", APR_EINVAL, "'12q' is no size"},
        {"mem:?size=12mm", APR_EINVAL, "'12mm' is no size"},
        {"mem:?size=-1", APR_EINVAL, "'-1' is no size"},
        {"mem:?size=99999999999999999999", APR_EINVAL, "is no size"},
        {"mem:?size=99999999999t", APR_EINVAL, "is no size"},
        {"mem:dir", APR_EINVAL, "mem: has no path"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_expect_eq(open_close(rows[i].uri), rows[i].status, "%s: %s", rows[i].uri, err);
        cr_expect_not_null(strstr(err, rows[i].words), "%s: %s", rows[i].uri, err);
    }
    vfs_t *fs;
    cr_expect_eq(vfs_open_uri(&fs, "file:///nope", NULL, 0, pool), APR_ENOENT);
}

Test(backends_uri, a_memory_has_the_size_that_was_asked_for)
{
    vfs_t *fs;
    vfs_statfs_t st;
    const char *plain[] = {"mem:", "mem://", "mem:///", "mem:?", "MEM:", "mem:?size=0"};
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        cr_expect_eq(open_close(plain[i]), APR_SUCCESS, "%s: %s", plain[i], err);
    }
    const struct {
        const char *uri;
        uint64_t size;
    } rows[] = {{"mem:?size=65536", 65536},
                {"mem:?size=64k", 65536},
                {"mem:?size=64M", 64u << 20},
                {"mem:///?size=2g", 2ull << 30},
                {"mem:?size=1k&size=1t", 1ull << 40}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_assert_eq(vfs_open_uri(&fs, rows[i].uri, err, sizeof(err), pool), APR_SUCCESS);
        cr_assert_eq(vfs_statfs(fs, NULL, "/", &st), APR_SUCCESS);
        cr_expect_eq(st.bytes_total, rows[i].size, "%s: %llu", rows[i].uri,
                     (unsigned long long)st.bytes_total);
        cr_assert_eq(vfs_destroy(fs), APR_SUCCESS);
    }
}
