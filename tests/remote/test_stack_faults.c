/*
 * test_stack_faults.c - connections that are slow, break, stall, lose answers or change bytes,
 * below a cache over HTTP and WebDAV: what is read is right or an error; what was written is there
 * once the network is well again, and nothing else. labels: webdav tier: long
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_general.h>

#include <criterion/criterion.h>

#include "cachefs/cachefs.h"
#include "tests/remote/support_server.h"
#include "tests/remote/support_site.h"
#include "tests/stacks/webserver.h"

#define HANG_US 120000000 /* only a hang takes so long */
#define NEW_BYTES 600000u
#define QUICK                                                                                      \
    "probe=no&proxy=none&retries=1&connect_timeout=250ms&first_byte_timeout=250ms&"                \
    "stall_timeout=250ms"

typedef struct cell_t {
    fault_e fault;
    uint64_t amount;
} cell_t;

/* Bytes of requests or answers on one connection: each first one has some hundred. */
static const cell_t cells[] = {
    {FAULT_DELAY, 20},
    {FAULT_SLOW, 16000},
    {FAULT_SLOW_UP, 16384},
    {FAULT_RESET, 0},
    {FAULT_RESET, 300},
    {FAULT_RESET, 100000},
    {FAULT_RESET_UP, 100},
    {FAULT_RESET_UP, 300000},
    {FAULT_HALF_CLOSE, 0},
    {FAULT_HALF_CLOSE, 300},
    {FAULT_HALF_CLOSE, 100000},
    {FAULT_STALL, 0},
    {FAULT_STALL, 300},
    {FAULT_STALL, 100000},
    {FAULT_STALL_UP, 100},
    {FAULT_STALL_UP, 300000},
    {FAULT_LOST, 0},
};
/* What changes bytes is found by TLS alone. */
static const cell_t changed[] = {{FAULT_CORRUPT, 20},      {FAULT_CORRUPT, 5000},
                                 {FAULT_CORRUPT, 100000},  {FAULT_CORRUPT_UP, 20},
                                 {FAULT_CORRUPT_UP, 3000}, {FAULT_CORRUPT_UP, 300000},
                                 {FAULT_RESET, 5000},      {FAULT_LOST, 0}};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static apr_pool_t *pool;
static site_t site;
static proxy_t *proxy;
static vfs_t *lower, *fs;
static char what[128];
static unsigned failures; /* of deeds */

TestSuite(remote_stack_faults);

/* ---- the stack */

static void open_stack(const char *scheme, const char *options, const cell_t *cell, unsigned times)
{
    char uri[512], err[256] = "";
    const int tls = strchr(scheme, 's') != NULL;
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    int port = 0;
    snprintf(what, sizeof(what), "%s: fault %d at %llu, %s", scheme, (int)cell->fault,
             (unsigned long long)cell->amount, times == 0 ? "for ever" : "at first");
    proxy = proxy_start(tls ? site.web.tls_port : site.web.port, cell->fault, cell->amount, times,
                        &port);
    snprintf(uri, sizeof(uri), "%s://127.0.0.1:%d/?" QUICK "%s%s%s%s", scheme, port, options,
             tls ? "&cacert=" : "", tls ? site.web.dir : "", tls ? "/cert.pem" : "");
    cr_assert_eq(vfs_backends_register_all(), APR_SUCCESS);
    cr_assert_eq(vfs_open_uri(&lower, uri, err, sizeof(err), pool), APR_SUCCESS, "%s", err);
    config.mode = CACHEFS_BACK;
    config.retry_min_us = 10000;
    config.retry_max_us = 100000;
    cr_assert_eq(cachefs_create(&fs, lower, &config, err, sizeof(err), pool), APR_SUCCESS, "%s",
                 err);
}

static void close_stack(void)
{
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS, "%s", what);
    cr_expect_eq(vfs_destroy(lower), APR_SUCCESS, "%s", what);
    proxy_stop(proxy);
}

static void start(webserver_start_fn server, int flags)
{
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
    site_start_with(&site, server, "", flags);
    cr_assert_eq(chmod(site.root, 0777), 0);
}

static void stop(void)
{
    char command[160];
    snprintf(command, sizeof(command), "rm -rf %s/.cachefs-trial-*", site.root);
    const char *const argv[] = {"sh", "-c", command, NULL};
    cr_expect_neq(webserver__run(argv), 0);
    site_stop(&site); /* fails if anything else is left */
    apr_pool_destroy(pool);
}

/* ---- deeds */

/* It could not be done, and that is why. */
static int is_clear(apr_status_t status)
{
    return status == VFS_EOFFLINE || status == APR_FROM_OS_ERROR(EIO) || status == VFS_EFORMAT;
}

static void right_or_error(apr_status_t status, const char *deed)
{
    cr_expect(status == APR_SUCCESS || is_clear(status), "%s: %s: %d", what, deed, status);
    failures += status != APR_SUCCESS;
}

/* Until it succeeds, but for a hang. */
#define AT_LAST(expr)                                                                              \
    do {                                                                                           \
        const apr_time_t until = apr_time_now() + HANG_US;                                         \
        apr_status_t last;                                                                         \
        while ((last = (expr)) != APR_SUCCESS && apr_time_now() < until)                           \
            (void)usleep(20000);                                                                   \
        cr_assert_eq(last, APR_SUCCESS, "%s: %s: %d", what, #expr, last);                          \
    } while (0)

/* site_read_big says itself if bytes are wrong. */
static void read_deed(void)
{
    right_or_error(site_read_big(&site, fs), "read");
    proxy_mend(proxy);
    AT_LAST(site_read_big(&site, fs));
}

static void on_disk(const char *name, char path[160])
{
    snprintf(path, 160, "%s/%s", site.root, name);
}

/* Is it exactly what was written? */
static int holds_ours(const char *name)
{
    char path[160], *data = malloc(NEW_BYTES + 1);
    on_disk(name, path);
    FILE *file = fopen(path, "re");
    size_t n = file != NULL ? fread(data, 1, NEW_BYTES + 1, file) : 0;
    if (file != NULL) (void)fclose(file); /* it was read only */
    int same = n == NEW_BYTES && memcmp(data, site.bytes, NEW_BYTES) == 0;
    free(data);
    return same;
}

static apr_status_t write_file(const char *path)
{
    vfs_file_t *file = NULL;
    size_t n = 0;
    apr_status_t status =
        vfs_open(&file, fs, NULL, path, VFS_O_WRITE | VFS_O_CREATE | VFS_O_TRUNC, 0666, NULL, NULL);
    if (status != APR_SUCCESS) return status;
    cr_expect_eq(vfs_write_at(file, NULL, site.bytes, NEW_BYTES, 0, &n, NULL), APR_SUCCESS, "%s",
                 what);
    status = vfs_sync(file, NULL, VFS_SYNC_ALL);
    right_or_error(status, "sync");
    if (status == APR_SUCCESS) cr_expect(holds_ours(path + 1), "%s: synced %s", what, path);
    right_or_error(vfs_close(file, NULL), "close");
    return APR_SUCCESS;
}

/* What is dirty is served, and goes where it belongs when it can. */
static void is_safe(const char *path)
{
    char *data = NULL;
    size_t len = 0;
    apr_status_t status = vfs_read_file(&data, &len, fs, NULL, path, 0, pool);
    right_or_error(status, "reading it back");
    if (status == APR_SUCCESS)
        cr_expect(len == NEW_BYTES && memcmp(data, site.bytes, len) == 0, "%s: %s", what, path);
}

static void write_deed(void)
{
    char path[160];
    static const char *const names[] = {"/o", "/n"};
    on_disk("o", path);
    FILE *file = fopen(path, "we");
    cr_assert(file != NULL && fputs("old", file) >= 0 && fclose(file) == 0 &&
              chmod(path, 0666) == 0);
    int written[2];
    for (size_t i = 0; i < 2; i++) {
        apr_status_t status = write_file(names[i]);
        right_or_error(status, "open");
        written[i] = status == APR_SUCCESS;
        if (written[i]) is_safe(names[i]);
    }
    proxy_mend(proxy);
    AT_LAST(cachefs_flush(fs, NULL, NULL, 0));
    for (size_t i = 0; i < 2; i++) {
        if (written[i]) cr_expect(holds_ours(names[i] + 1), "%s: %s", what, names[i]);
        if (written[i] || i == 0) AT_LAST(vfs_unlink(fs, NULL, names[i]));
    }
}

static void each(const char *scheme, const char *options, const cell_t *list, size_t count,
                 void (*deed)(void))
{
    for (size_t i = 0; i < count; i++) {
        for (unsigned times = 0; times <= 2; times += 2) {
            open_stack(scheme, options, &list[i], times);
            deed();
            close_stack();
        }
    }
    cr_expect_gt(failures, count / 2, "%s: the faults are felt: %u", scheme, failures);
    failures = 0;
}

Test(remote_stack_faults, what_is_read_by_http_is_right_or_an_error)
{
    start(nginx_start, WEBSERVER_TLS);
    each("http", "", cells, COUNT(cells), read_deed);
    each("https", "", changed, COUNT(changed), read_deed);
    stop();
}

Test(remote_stack_faults, what_is_read_by_webdav_is_right_or_an_error)
{
    start(nginx_start, WEBSERVER_TLS | WEBSERVER_DAV);
    each("dav", "", cells, COUNT(cells), read_deed);
    each("davs", "", changed, COUNT(changed), read_deed);
    stop();
}

Test(remote_stack_faults, what_is_written_is_there_once)
{
    start(lighttpd_start, WEBSERVER_DAV);
    each("dav", "", cells, COUNT(cells), write_deed);
    stop();
}

/* A lock whose answer is lost lasts for a minute: not here. */
Test(remote_stack_faults, what_is_written_without_locks_is_there_once)
{
    start(nginx_start, WEBSERVER_TLS | WEBSERVER_DAV);
    each("dav", "&locks=no", cells, COUNT(cells), write_deed);
    each("davs", "&locks=no", changed, COUNT(changed), write_deed);
    stop();
}
