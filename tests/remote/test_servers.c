/*
 * test_servers.c - the pages, ranges and versions of nginx, Apache and lighttpd, as they really
 * are.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_general.h>

#include <criterion/criterion.h>

#include "tests/remote/support_site.h"

/* Unless told so, it refuses names that are no text. */
#define LIGHTTPD_LIST                                                                              \
    "dir-listing.activate = \"enable\"\ndir-listing.hide-dotfiles = \"disable\"\n"                 \
    "server.http-parseopts = ( \"url-invalid-utf8-reject\" => \"disable\" )"

static const struct {
    const char *name;
    webserver_start_fn start;
    const char *lines;
} servers[] = {
    {"nginx", nginx_start, "autoindex on;"},
    {"nginx, JSON", nginx_start, "autoindex on; autoindex_format json;"},
    {"Apache", apache_start, ""},
    {"Apache, fancy", apache_start, "IndexOptions FancyIndexing VersionSort NameWidth=*"},
    {"Apache, a table", apache_start, "IndexOptions FancyIndexing HTMLTable"},
    {"lighttpd", lighttpd_start, LIGHTTPD_LIST},
};
#define SERVERS (sizeof(servers) / sizeof(servers[0]))

static apr_pool_t *pool;
static site_t site;
static vfs_t *fs;
static char err[512];

static void begin(void)
{
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
}

static void end(void)
{
    apr_pool_destroy(pool);
}

TestSuite(remote_servers, .init = begin, .fini = end);

static void start(size_t i)
{
    char uri[64];
    site_start_with(&site, servers[i].start, servers[i].lines, 0);
    snprintf(uri, sizeof(uri), "http://127.0.0.1:%d/?proxy=none", site.web.port);
    cr_assert_eq(vfs_http_create(&fs, uri, err, sizeof(err), pool), APR_SUCCESS, "%s: %s",
                 servers[i].name, err);
}

static void finish(void)
{
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    site_stop(&site);
}

Test(remote_servers, every_name_of_a_directory_is_listed_once_and_can_be_read)
{
    /* in the order of their bytes; "big" is the site's */
    static const char *const names[] = {" blank",
                                        "#hash",
                                        "%41",
                                        "&amp;",
                                        "'quote",
                                        "+plus",
                                        "<a href>",
                                        ".dot",
                                        "?C=N",
                                        "a:b",
                                        "a\\b",
                                        "b\"c",
                                        "big",
                                        "c;d=e@",
                                        "index of",

                                        "t\xc3\xa4t\xe2\x82\xac",
                                        "{}|^`~",
                                        "\xff\xfe"};
    enum { COUNT = sizeof(names) / sizeof(names[0]) };
    for (size_t i = 0; i < SERVERS; i++) {
        unsigned seen[COUNT] = {0};
        char path[384];
        vfs_dirent_t entry;
        vfs_dir_t *dir = NULL;
        start(i);
        for (size_t n = 0; n < COUNT; n++) {
            if (strcmp(names[n], "big") == 0) continue;
            snprintf(path, sizeof(path), "%s/%s", site.root, names[n]);
            FILE *file = fopen(path, "we");
            cr_assert_not_null(file);
            cr_assert_eq(fputs(names[n], file) >= 0 && fclose(file) == 0, 1);
        }
        cr_assert_eq(vfs_opendir(&dir, fs, NULL, "/", 0), APR_SUCCESS, "%s", servers[i].name);
        while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS) {
            size_t n = 0;
            while (n < COUNT && strcmp(names[n], entry.name) != 0)
                n++;
            cr_expect_lt(n, COUNT, "%s lists '%s'", servers[i].name, entry.name);
            if (n < COUNT) seen[n]++;
        }
        cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
        for (size_t n = 0; n < COUNT; n++) {
            char *text = NULL;
            size_t len = 0;
            int hidden = names[n][0] == '.' && servers[i].start == nginx_start;
            cr_expect_eq(seen[n], hidden ? 0 : 1, "%s lists '%s' %u times", servers[i].name,
                         names[n], seen[n]);
            if (strcmp(names[n], "big") == 0) continue;
            snprintf(path, sizeof(path), "/%s", names[n]);
            cr_expect_eq(vfs_read_file(&text, &len, fs, NULL, path, 0, pool), APR_SUCCESS,
                         "%s: '%s'", servers[i].name, names[n]);
            cr_expect(text != NULL && strcmp(text, names[n]) == 0, "%s: '%s'", servers[i].name,
                      names[n]);
            snprintf(path, sizeof(path), "%s/%s", site.root, names[n]);
            cr_assert_eq(unlink(path), 0);
        }
        finish();
    }
}

static void expect_range(size_t i, vfs_file_t *file, apr_off_t off, size_t len, size_t want)
{
    char buf[4096];
    size_t got = 99;
    cr_expect_eq(vfs_read_at(file, NULL, buf, len, off, &got), APR_SUCCESS, "%s: %lld",
                 servers[i].name, (long long)off);
    cr_expect_eq(got, want, "%s: %lld: %zu", servers[i].name, (long long)off, got);
    cr_expect(got != want || memcmp(buf, site.bytes + off, got) == 0, "%s: %lld", servers[i].name,
              (long long)off);
}

Test(remote_servers, ranges_are_what_was_asked_for)
{
    for (size_t i = 0; i < SERVERS; i++) {
        vfs_file_t *file = NULL;
        start(i);
        cr_assert_eq(vfs_open(&file, fs, NULL, "/big", VFS_O_READ, 0, NULL, NULL), APR_SUCCESS);
        expect_range(i, file, 0, 1, 1);
        expect_range(i, file, 123456, 4096, 4096);
        expect_range(i, file, SITE_BYTES - 100, 4096, 100);
        expect_range(i, file, SITE_BYTES, 4096, 0);
        expect_range(i, file, SITE_BYTES + 5000, 4096, 0);
        cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
        cr_expect_eq(site_read_big(&site, fs), APR_SUCCESS, "%s", servers[i].name);
        finish();
    }
}

Test(remote_servers, a_new_version_has_another_validator_and_size)
{
    for (size_t i = 0; i < SERVERS; i++) {
        char name[96];
        vfs_attr_t attr;
        vfs_validator_t before, after;
        start(i);
        cr_assert_eq(vfs_validator(fs, NULL, "/big", &before), APR_SUCCESS);
        cr_expect_eq(before.kind, VFS_VALIDATOR_ETAG, "%s", servers[i].name);
        cr_expect_neq(before.flags & VFS_VALIDATOR_YOUNG, 0, "%s: it was made just now",
                      servers[i].name);
        snprintf(name, sizeof(name), "%s/big", site.root);
        cr_assert_eq(truncate(name, 1000), 0);
        cr_assert_eq(vfs_validator(fs, NULL, "/big", &after), APR_SUCCESS);
        cr_expect_not(vfs_validator_equal(&before, &after), "%s", servers[i].name);
        cr_assert_eq(vfs_stat(fs, NULL, "/big", &attr), APR_SUCCESS);
        cr_expect_eq(attr.size, 1000, "%s", servers[i].name);
        finish();
    }
}

Test(remote_servers, a_directory_is_told_from_a_file)
{
    for (size_t i = 0; i < SERVERS; i++) {
        char name[96];
        vfs_attr_t attr;
        vfs_dir_t *dir = NULL;
        vfs_dirent_t entry;
        start(i);
        snprintf(name, sizeof(name), "%s/a dir", site.root);
        cr_assert_eq(mkdir(name, 0755), 0);
        cr_expect_eq(vfs_stat(fs, NULL, "/a dir", &attr), APR_SUCCESS, "%s", servers[i].name);
        cr_expect_eq(attr.type, VFS_TYPE_DIR, "%s", servers[i].name);
        cr_assert_eq(vfs_opendir(&dir, fs, NULL, "/a dir", 0), APR_SUCCESS, "%s", servers[i].name);
        cr_expect_eq(vfs_readdir(dir, NULL, &entry), APR_EOF, "%s", servers[i].name);
        cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
        cr_expect_eq(vfs_opendir(&dir, fs, NULL, "/big", 0), APR_FROM_OS_ERROR(ENOTDIR), "%s",
                     servers[i].name);
        cr_expect_eq(vfs_opendir(&dir, fs, NULL, "/none", 0), APR_ENOENT, "%s", servers[i].name);
        cr_assert_eq(rmdir(name), 0);
        finish();
    }
}
