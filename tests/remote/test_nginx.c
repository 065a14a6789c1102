/*
 * test_nginx.c - what a user meets: credentials, certificates, wrong names, and how few requests
 * it takes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_general.h>

#include <criterion/criterion.h>

#include "tests/remote/support_site.h"

#define LOCKED                                                                                     \
    "if ($http_authorization != \"Basic am9lOnRvcHNlY3JldA==\") { return 401; }" /* joe:topsecret  \
                                                                                  */

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

TestSuite(remote_nginx, .init = begin, .fini = end);

/* Opens, and ends it again where it was opened. */
static apr_status_t try_open(const char *format, int port, const char *rest)
{
    char uri[256];
    snprintf(uri, sizeof(uri), format, port, rest);
    err[0] = '\0';
    apr_status_t status = vfs_http_create(&fs, uri, err, sizeof(err), pool);
    if (status == APR_SUCCESS) cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    return status;
}

Test(remote_nginx, wrong_credentials_are_told_and_right_ones_never)
{
    const apr_status_t refused = APR_FROM_OS_ERROR(EACCES);
    char options[192], secret[96];
    site_start(&site, LOCKED, 0);
    int port = site.web.port;
    cr_assert_eq(unsetenv("CACHEFS_SECRET"), 0);
    cr_expect_eq(try_open("http://127.0.0.1:%d/?proxy=none%s", port, ""), refused);
    cr_expect_not_null(strstr(err, "the server asks who we are"), "%s", err);
    cr_expect_eq(try_open("http://joe@127.0.0.1:%d/?proxy=none%s", port, ""), refused);
    cr_expect_not_null(strstr(err, "no password or token"), "%s", err);
    cr_expect_eq(try_open("http://joe:topsecret@127.0.0.1:%d/%s", port, ""), APR_EINVAL);
    cr_expect_null(strstr(err, "topsecret"), "%s", err);
    cr_assert_eq(setenv("CACHEFS_SECRET", "wrongsecret", 1), 0);
    cr_expect_eq(try_open("http://joe@127.0.0.1:%d/?proxy=none%s", port, ""), refused);
    cr_expect_null(strstr(err, "wrongsecret"), "%s", err);
    cr_assert_eq(setenv("CACHEFS_SECRET", "topsecret", 1), 0);
    cr_expect_eq(try_open("http://joe@127.0.0.1:%d/?proxy=none&listing=off%s", port, ""), 0, "%s",
                 err);
    cr_assert_eq(unsetenv("CACHEFS_SECRET"), 0);
    snprintf(secret, sizeof(secret), "%s/secret", site.web.dir);
    FILE *file = fopen(secret, "we");
    cr_assert_not_null(file);
    cr_assert_geq(fputs("topsecret\n", file), 0);
    cr_assert_eq(fclose(file), 0);
    snprintf(options, sizeof(options), "&user=joe&auth=basic&secret_file=%s", secret);
    cr_expect_eq(try_open("http://127.0.0.1:%d/?proxy=none%s", port, options), 0, "%s", err);
    snprintf(options, sizeof(options), "&user=joe&secret_file=%s", secret); /* as USER@HOST */
    cr_expect_eq(try_open("http://127.0.0.1:%d/?proxy=none%s", port, options), 0, "%s", err);
    site_stop(&site);
}

Test(remote_nginx, a_certificate_is_checked_unless_that_is_turned_off)
{
    char options[192];
    site_start(&site, "", 1);
    int port = site.web.tls_port;
    cr_expect_eq(try_open("https://127.0.0.1:%d/?proxy=none%s", port, ""),
                 APR_FROM_OS_ERROR(EACCES));
    cr_expect_not_null(strstr(err, "cacert=FILE"), "%s", err);
    cr_expect_eq(try_open("https://127.0.0.1:%d/?proxy=none%s", port, "&verify=no"), 0, "%s", err);
    cr_expect_neq(try_open("http://127.0.0.1:%d/?proxy=none%s", port, "&retries=0"), APR_SUCCESS);
    cr_expect_not_null(strstr(err, "is it https://"), "%s", err);
    snprintf(options, sizeof(options), "&cacert=%s/cert.pem", site.web.dir);
    cr_expect_eq(try_open("https://127.0.0.1:%d/?proxy=none%s", port, options), 0, "%s", err);
    site_stop(&site);
}

Test(remote_nginx, what_is_not_there_is_said_to_be_away)
{
    site_start(&site, "", 0);
    int port = site.web.port;
    cr_expect_eq(try_open("http://127.0.0.1:%d/none%s", port, "?proxy=none"), APR_ENOENT);
    cr_expect_not_null(strstr(err, "no such directory"), "%s", err);
    site_stop(&site);
    cr_expect_eq(try_open("http://127.0.0.1:%d/%s", port, "?proxy=none&retries=0"), VFS_EOFFLINE);
    cr_expect_not_null(strstr(err, "is the server up"), "%s", err);
    cr_expect_eq(try_open("http://127.0.0.1:%d/%s", port, "?proxy=none&probe=no"), 0, "%s", err);
}

Test(remote_nginx, a_wrong_option_is_refused_with_what_would_be_right)
{
    static const char *const rows[][2] = {{"listing=apache", "auto,html,json,off"},
                                          {"colour=red", "unknown option 'colour'"},
                                          {"connections=0", "from 1 to 1024"},
                                          {"stall_timeout=5", "a time, such as 10s"},
                                          {"verify=maybe", "yes or no"},
                                          {"skip_max=-1", "a size, such as 16m"},
                                          {"auth=basic", "needs a user"},
                                          {"secret_file=/none", "user=NAME, or auth=bearer"},
                                          {"user=%zz", "hexadecimal"},
                                          {"probe=perhaps", "no,yes"},
                                          {"redirects=", "any,origin,none"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_expect_eq(try_open("http://127.0.0.1:%d/?%s", 9, rows[i][0]), APR_EINVAL, "%s",
                     rows[i][0]);
        cr_expect_not_null(strstr(err, rows[i][1]), "%s: %s", rows[i][0], err);
    }
}

Test(remote_nginx, it_takes_few_requests_on_one_connection)
{
    vfs_remote_figures_t figures = {.size = sizeof(figures)};
    char uri[256], trace[96], buf[100], line[256];
    vfs_attr_t attr;
    vfs_validator_t validator;
    struct stat st;
    size_t got = 0;
    site_start(&site, "", 0);
    snprintf(trace, sizeof(trace), "%s/trace", site.web.dir);
    snprintf(uri, sizeof(uri), "http://127.0.0.1:%d/?proxy=none&probe=no&trace=%s", site.web.port,
             trace);
    cr_assert_eq(vfs_http_create(&fs, uri, err, sizeof(err), pool), APR_SUCCESS, "%s", err);
    cr_assert_eq(vfs_get(fs, NULL, "/big", buf, sizeof(buf), &got, &attr, &validator), APR_SUCCESS);
    cr_expect_eq(got, sizeof(buf));
    cr_expect_eq(attr.size, SITE_BYTES);
    cr_expect_eq(validator.kind, VFS_VALIDATOR_ETAG);
    cr_assert_eq(vfs_remote_figures(fs, &figures), APR_SUCCESS);
    cr_expect_eq(figures.attempts, 1);
    cr_expect_eq(figures.bytes_in, sizeof(buf));
    cr_expect_eq(site_read_big(&site, fs), APR_SUCCESS);
    cr_assert_eq(vfs_remote_figures(fs, &figures), APR_SUCCESS);
    cr_expect_eq(figures.attempts, 3, "HEAD and GET");
    cr_expect_eq(figures.connections, 1);
    cr_assert_eq(vfs_destroy(fs), APR_SUCCESS);
    cr_assert_eq(stat(trace, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);
    FILE *file = fopen(trace, "re");
    cr_assert_not_null(file);
    cr_assert_not_null(fgets(line, sizeof(line), file));
    cr_expect_not_null(strstr(line, "/big 206 100 bytes"), "%s", line);
    cr_assert_eq(fclose(file), 0);
    site_stop(&site);
}

Test(remote_nginx, a_listing_is_gone_through_by_cookies_and_read_anew_from_its_beginning)
{
    char uri[128], name[96];
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    site_start(&site, "autoindex on; autoindex_format json;", 0);
    snprintf(uri, sizeof(uri), "http://127.0.0.1:%d/?proxy=none", site.web.port);
    cr_assert_eq(vfs_http_create(&fs, uri, err, sizeof(err), pool), APR_SUCCESS, "%s", err);
    cr_assert_eq(vfs_opendir(&dir, fs, NULL, "/", VFS_DIR_ATTRS), APR_SUCCESS);
    cr_assert_eq(vfs_readdir(dir, NULL, &entry), APR_SUCCESS);
    cr_expect_str_eq(entry.name, "big");
    cr_expect_neq(entry.has_attr, 0);
    cr_expect_eq(entry.attr.size, SITE_BYTES);
    cr_expect_eq(vfs_readdir(dir, NULL, &entry), APR_EOF);
    snprintf(name, sizeof(name), "%s/a", site.root);
    cr_assert_eq(mkdir(name, 0755), 0);
    cr_expect_eq(vfs_seekdir(dir, NULL, 2), APR_EINVAL, "there is no such entry");
    cr_assert_eq(vfs_seekdir(dir, NULL, 1), APR_SUCCESS);
    cr_expect_eq(vfs_readdir(dir, NULL, &entry), APR_EOF, "behind the only one");
    cr_assert_eq(vfs_seekdir(dir, NULL, 0), APR_SUCCESS);
    cr_assert_eq(vfs_readdir(dir, NULL, &entry), APR_SUCCESS);
    cr_expect_str_eq(entry.name, "a");
    cr_expect_eq(entry.type, VFS_TYPE_DIR);
    cr_assert_eq(vfs_readdir(dir, NULL, &entry), APR_SUCCESS);
    cr_expect_str_eq(entry.name, "big");
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
    cr_assert_eq(vfs_destroy(fs), APR_SUCCESS);
    cr_assert_eq(rmdir(name), 0);
    site_stop(&site);
}

Test(remote_nginx, figures_are_metrics_of_a_registry)
{
    static const char *const rows[] = {
        "cachefs_remote_requests_total 2\n",    "cachefs_remote_attempts_total 2\n",
        "cachefs_remote_connections_total 1\n", "cachefs_remote_received_bytes_total 100\n",
        "cachefs_remote_breaker_open 0\n",      "cachefs_remote_failed_attempts_total 0\n"};
    char uri[128], buf[100];
    metrics_registry_t *registry = NULL;
    metrics_snapshot_t *now = NULL;
    char *text = NULL;
    size_t got = 0;
    vfs_attr_t attr;
    site_start(&site, "", 0);
    snprintf(uri, sizeof(uri), "http://127.0.0.1:%d/?proxy=none&probe=no", site.web.port);
    cr_assert_eq(vfs_http_create(&fs, uri, err, sizeof(err), pool), APR_SUCCESS, "%s", err);
    cr_assert_eq(metrics_registry_create(&registry, pool), APR_SUCCESS);
    cr_assert_eq(vfs_remote_metrics(fs, registry), APR_SUCCESS);
    cr_assert_eq(vfs_stat(fs, NULL, "/big", &attr), APR_SUCCESS);
    cr_assert_eq(vfs_get(fs, NULL, "/big", buf, sizeof(buf), &got, &attr, NULL), APR_SUCCESS);
    cr_assert_eq(metrics_snapshot(&now, registry, pool), APR_SUCCESS);
    cr_assert_eq(metrics_export(&text, NULL, now, METRICS_PROMETHEUS, pool), APR_SUCCESS);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_not_null(strstr(text, rows[i]), "%s in %s", rows[i], text);
    cr_expect_null(strstr(text, "cost"), "nobody said a price");
    metrics_registry_destroy(registry);
    cr_expect_eq(vfs_remote_metrics(NULL, registry), APR_EINVAL);
    cr_assert_eq(vfs_destroy(fs), APR_SUCCESS);
    site_stop(&site);
}
