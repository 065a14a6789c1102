/*
 * test_requests.c - what each kind of work costs: which requests, and which of them at once. A
 * round trip each, where the server is far.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "cachefs/cachefs.h"
#include "tests/sftp/support_rig.h"

#define OK(expr) cr_assert_eq(expr, APR_SUCCESS, "%s", #expr)
#define HOUR_US 3600000000u

static rig_t rig;
static vfs_t *lower, *fs; /* fs: the one that is asked */
static vfs_file_t *file;

static void start(int cached)
{
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    rig_start(&rig, "silent", 0, RIG_LATER);
    rig_put(&rig, "small", "text", 4);
    rig_put(&rig, "other", "text", 4);
    lower = fs = rig_fs(&rig, 0, "connections=1");
    config.attr_ttl_us = config.negative_ttl_us = config.listing_ttl_us = HOUR_US;
    if (cached) OK(cachefs_create(&fs, lower, &config, rig.err, sizeof(rig.err), rig.pool));
}

static void finish(void)
{
    if (fs != lower) OK(vfs_destroy(fs));
    OK(vfs_destroy(lower));
    rig_stop(&rig);
}

/* ---- work, as a mount does it */

static void do_lstat(void)
{
    vfs_attr_t attr;
    OK(vfs_lstat(fs, NULL, "/small", &attr));
}

static void look_up(const char *path, apr_status_t want)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;
    vfs_attr_t attr;
    ctx.flags = VFS_CTX_READS;
    cr_assert_eq(vfs_lstat(fs, &ctx, path, &attr), want, "%s", path);
}

static void do_look_up(void)
{
    look_up("/small", APR_SUCCESS);
}

static void do_look_up_absent(void)
{
    look_up("/new", APR_FROM_OS_ERROR(ENOENT));
}

static void do_get(void)
{
    char buf[64];
    size_t got = 0;
    vfs_attr_t attr;
    OK(vfs_get(fs, NULL, "/small", buf, sizeof(buf), &got, &attr, NULL));
    cr_expect_eq(got, 4);
}

static void open_it(const char *path, uint32_t flags)
{
    OK(vfs_open(&file, fs, NULL, path, flags | VFS_O_NOFOLLOW, 0644, NULL, NULL));
}

static void do_open(void)
{
    open_it("/other", VFS_O_READ | VFS_O_WRITE);
}

static void do_create(void)
{
    open_it("/new", VFS_O_WRITE | VFS_O_CREATE | VFS_O_TRUNC);
}

static void do_create_there(void)
{
    open_it("/small", VFS_O_WRITE | VFS_O_CREATE);
}

static void do_write(void)
{
    size_t n = 0;
    OK(vfs_write_at(file, NULL, "12345", 5, 0, &n, NULL));
}

static void do_close(void)
{
    OK(vfs_close(file, NULL));
}

static void do_read(void)
{
    char buf[16];
    size_t got = 0;
    OK(vfs_read_at(file, NULL, buf, sizeof(buf), 0, &got));
    cr_expect_eq(got, 4);
}

typedef struct row_t {
    void (*work)(void);
    const char *want;
} row_t;

static void expect(const row_t *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char got[512] = "";
        rig_ask_anew(&rig);
        rows[i].work();
        /* what is closed without waiting for it comes a little later */
        for (int n = 0; n < 1000 && strlen(got) < strlen(rows[i].want); n++) {
            if (n > 0) usleep(10000);
            rig_asked(&rig, got, sizeof(got));
        }
        rig_asked(&rig, got, sizeof(got));
        cr_expect_str_eq(got, rows[i].want, "row %zu: \"%s\" instead of \"%s\"", i, got,
                         rows[i].want);
    }
}

Test(sftp_requests, each_call_asks_no_more_than_it_must)
{
    static const row_t rows[] = {
        {do_lstat, "lstat realpath"},
        {do_get, "open lstat realpath; read fstat; close"},
        {do_open, "open lstat realpath"},
        {do_read, "read fstat"},
        {do_write, "write fstat"},
        {do_close, "close"},
        {do_create, "open lstat realpath"},
        {do_write, "write fstat"},
        {do_close, "close"},
        {do_create_there, "open lstat realpath; open lstat realpath"},
        {do_close, "close"},
    };
    start(0);
    expect(rows, sizeof(rows) / sizeof(rows[0]));
    finish();
}

Test(sftp_requests, a_file_made_through_a_cache_takes_three_round_trips)
{
    static const row_t rows[] = {
        {do_look_up, "open lstat realpath; read fstat; close"},
        {do_look_up, ""},
        {do_look_up_absent, "open lstat realpath"},
        {do_look_up_absent, ""},
        {do_create, "open lstat realpath"},
        {do_write, "write fstat"},
        {do_close, "close"},
    };
    vfs_attr_t attr;
    start(1);
    OK(vfs_lstat(fs, NULL, "/", &attr));
    expect(rows, sizeof(rows) / sizeof(rows[0]));
    finish();
}
