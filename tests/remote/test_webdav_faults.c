/*
 * test_webdav_faults.c - connections that break, are silent or lose an answer, between us and
 * nginx, Apache and lighttpd: each change is done or is not, and who asked is told which, or that
 * nobody knows.
 * labels: webdav
 * tier: medium
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/remote/support_dav.h"
#include "tests/remote/support_server.h"

#define E(code) APR_FROM_OS_ERROR(code)

static dav_t dav;
static vfs_t *fs; /* through the proxy */
static proxy_t *proxy;

TestSuite(remote_webdav_faults);

static void start(fault_e fault, uint64_t amount, unsigned times, const char *options)
{
    int port = 0;
    proxy = proxy_start(dav.web.port, fault, amount, times, &port);
    cr_assert_eq(dav_open(&dav, &fs, port, options), APR_SUCCESS, "%s", dav.err);
}

static void finish(void)
{
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    proxy_stop(proxy);
}

/* Each begins in a directory of its own, for a lock whose answer was lost lasts: with "f" (old),
 * "d/" with "x" in it, "e/" (empty). */
static char top[16];

static void begin_anew(void)
{
    static unsigned number;
    char command[256];
    snprintf(top, sizeof(top), "/t%u", number++);
    snprintf(command, sizeof(command),
             "mkdir -m 777 .%s && cd .%s && mkdir -m 777 d e && echo -n old >f && echo -n x >d/x",
             top, top);
    dav_shell(&dav, command);
}

/* Of that directory; valid until the eighth call behind it. */
static const char *at(const char *name)
{
    static char paths[8][64];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s%s", top, name);
    return path;
}

static void put_if(const char *what)
{
    vfs_validator_t version;
    begin_anew();
    cr_assert_eq(vfs_validator(dav.fs, NULL, at("/f"), &version), APR_SUCCESS);
    apr_status_t status = dav_put(fs, at("/f"), "new text", VFS_COMMIT_IF_MATCH, &version);
    int is_new = dav_holds(&dav, at("/f"), "new text");
    cr_expect(is_new || dav_holds(&dav, at("/f"), "old"), "%s: half", what);
    if (status == APR_SUCCESS)
        cr_expect(is_new, "%s: told to be done", what);
    else
        cr_expect_eq(status, VFS_EOFFLINE, "%s: %d", what, status);
}

static void put_new(const char *what)
{
    begin_anew();
    apr_status_t status = dav_put(fs, at("/n"), "new text", VFS_COMMIT_IF_NONE, NULL);
    int is_new = dav_holds(&dav, at("/n"), "new text");
    if (status == APR_SUCCESS)
        cr_expect(is_new, "%s: told to be done", what);
    else
        cr_expect_eq(status, VFS_EOFFLINE, "%s: %d", what, status);
}

static void move(const char *what)
{
    begin_anew();
    apr_status_t status = vfs_rename(fs, NULL, at("/f"), at("/g"), 0);
    int is_old = strcmp(dav_on_disk(&dav, top), "d e f ") == 0;
    int is_new = strcmp(dav_on_disk(&dav, top), "d e g ") == 0;
    cr_expect(is_old || is_new, "%s: %s", what, dav_on_disk(&dav, top));
    cr_expect(dav_holds(&dav, at(is_new ? "/g" : "/f"), "old"), "%s", what);
    if (status == APR_SUCCESS)
        cr_expect(is_new, "%s: told to be done", what);
    else
        cr_expect_eq(status, VFS_EOFFLINE, "%s: %d", what, status);
}

static void remove_names(const char *what)
{
    begin_anew();
    apr_status_t status = vfs_rmdir(fs, NULL, at("/d"));
    cr_expect(status == E(ENOTEMPTY) || status == VFS_EOFFLINE, "%s: %d", what, status);
    cr_expect_str_eq(dav_on_disk(&dav, at("/d")), "x ", "%s", what);
    status = vfs_rmdir(fs, NULL, at("/e"));
    cr_expect(status == APR_SUCCESS || status == VFS_EOFFLINE, "%s: %d", what, status);
    if (status == APR_SUCCESS) cr_expect_str_eq(dav_on_disk(&dav, at("/e")), "(none)", "%s", what);
    status = vfs_unlink(fs, NULL, at("/f"));
    cr_expect(status == APR_SUCCESS || status == VFS_EOFFLINE, "%s: %d", what, status);
    if (status == APR_SUCCESS) cr_expect_null(strstr(dav_on_disk(&dav, top), "f "), "%s", what);
}

static void (*const deeds[])(const char *what) = {put_if, put_new, move, remove_names};

static void each_deed(fault_e fault, uint64_t amount, unsigned times, const char *options)
{
    for (size_t deed = 0; deed < sizeof(deeds) / sizeof(deeds[0]); deed++) {
        char what[96];
        snprintf(what, sizeof(what), "%s: fault %d at %llu, deed %zu", dav.name, (int)fault,
                 (unsigned long long)amount, deed);
        start(fault, amount, times, options);
        deeds[deed](what);
        finish();
    }
}

Test(remote_webdav_faults, a_change_is_done_or_not_and_told_right)
{
    for (size_t i = 0; i < DAV_SERVERS; i++) {
        dav_start(&dav, i, "");
        each_deed(FAULT_NONE, 0, 0, "probe=no");
        each_deed(FAULT_LOST, 0, 1, "probe=no");
        each_deed(FAULT_LOST, 0, 0, "probe=no&retries=1");
        /* an answer has some hundred bytes: so each of the first ones is hit */
        for (uint64_t at = 0; at <= 2400; at += 300)
            each_deed(FAULT_RESET, at, 1, "probe=no");
        for (uint64_t at = 150; at <= 2400; at += 750)
            each_deed(FAULT_HALF_CLOSE, at, 1, "probe=no");
        dav_stop(&dav);
    }
}

Test(remote_webdav_faults, a_server_that_says_nothing_is_given_up)
{
    dav_start(&dav, 1, "");
    for (uint64_t at = 0; at <= 1200; at += 400)
        each_deed(FAULT_STALL, at, 1,
                  "probe=no&retries=1&connect_timeout=50ms&first_byte_timeout=50ms&"
                  "stall_timeout=50ms");
    dav_stop(&dav);
}
