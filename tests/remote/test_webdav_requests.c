/*
 * test_webdav_requests.c - what typical work costs in requests, through a cache over files of
 * nginx, Apache and lighttpd: no more than is written here.
 * labels: webdav
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
#include "tests/remote/support_dav.h"
#include "tests/remote/support_server.h"

#define OK(expr) cr_assert_eq(expr, APR_SUCCESS, "%s: %s", dav.name, #expr)
#define TURNS 5u /* what was seen a moment ago is asked for again where a machine is slow */

static dav_t dav;
static vfs_t *lower, *fs;
static char trace[128];

TestSuite(remote_webdav_requests);

static void open_stack(cachefs_mode_e mode)
{
    char uri[320];
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    config.mode = mode;
    config.attr_ttl_us = config.negative_ttl_us = config.listing_ttl_us = 3600000000u;
    snprintf(trace, sizeof(trace), "%s/trace", dav.web.dir);
    snprintf(uri, sizeof(uri), "dav://127.0.0.1:%d/?proxy=none&trace=%s", dav.web.port, trace);
    OK(vfs_backends_register_all());
    OK(vfs_open_uri(&lower, uri, dav.err, sizeof(dav.err), dav.pool));
    OK(cachefs_create(&fs, lower, &config, dav.err, sizeof(dav.err), dav.pool));
}

static void close_stack(void)
{
    OK(vfs_destroy(fs));
    OK(vfs_destroy(lower));
}

/* The requests since the last call, as lines of the trace. What is given back later counts as well.
 */
static unsigned asked(char *out, size_t size)
{
    unsigned count = 0;
    OK(vfs_sync_fs(lower, NULL));
    FILE *file = fopen(trace, "re");
    cr_assert_not_null(file);
    size_t n = fread(out, 1, size - 1, file);
    out[n] = '\0';
    (void)fclose(file); /* it was read only */
    for (const char *at = out; (at = strchr(at, '\n')) != NULL; at++)
        count++;
    cr_assert_eq(truncate(trace, 0), 0);
    return count;
}

/* ---- typical work; "%u" is the turn */

static const char *name(const char *form, unsigned turn)
{
    static char names[4][32];
    static unsigned next;
    char *out = names[next++ % 4];
    snprintf(out, sizeof(names[0]), form, turn);
    return out;
}

static void write_to(const char *path, uint32_t flags, apr_off_t off, const char *text)
{
    vfs_file_t *file = NULL;
    size_t n = 0;
    OK(vfs_open(&file, fs, NULL, path, VFS_O_WRITE | flags, 0644, NULL, NULL));
    OK(vfs_write_at(file, NULL, text, strlen(text), off, &n, NULL));
    OK(vfs_close(file, NULL));
}

static void list(const char *path)
{
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    vfs_attr_t attr;
    OK(vfs_opendir(&dir, fs, NULL, path, 0));
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS) {
        char below[256];
        snprintf(below, sizeof(below), "%s/%s", path, entry.name);
        OK(vfs_lstat(fs, NULL, below, &attr));
        if (attr.type == VFS_TYPE_DIR) list(below);
    }
    OK(vfs_closedir(dir));
}

static void do_stat(unsigned turn)
{
    vfs_attr_t attr;
    OK(vfs_stat(fs, NULL, name("/s%u", turn), &attr));
}

static void do_read(unsigned turn)
{
    vfs_file_t *file = NULL;
    char buf[64];
    size_t n = 0;
    OK(vfs_open(&file, fs, NULL, name("/r%u", turn), VFS_O_READ, 0, NULL, NULL));
    OK(vfs_read_at(file, NULL, buf, sizeof(buf), 0, &n));
    OK(vfs_close(file, NULL));
    cr_expect_eq(n, 5);
}

/* The first piece comes with the attributes; to open it for the rest costs nothing. */
static void do_read_large(unsigned turn)
{
    static char buf[200000];
    vfs_file_t *file = NULL;
    size_t n = 0;
    OK(vfs_open(&file, fs, NULL, name("/b%u", turn), VFS_O_READ, 0, NULL, NULL));
    OK(vfs_read_at(file, NULL, buf, sizeof(buf), 0, &n));
    OK(vfs_close(file, NULL));
    cr_expect_eq(n, sizeof(buf));
}

static void do_list(unsigned turn)
{
    list(name("/t%u", turn));
}

static void do_read_listed(unsigned turn)
{
    vfs_file_t *file = NULL;
    char buf[64];
    size_t n = 0;
    OK(vfs_open(&file, fs, NULL, name("/t%u/a/x", turn), VFS_O_READ, 0, NULL, NULL));
    OK(vfs_read_at(file, NULL, buf, sizeof(buf), 0, &n));
    OK(vfs_close(file, NULL));
}

static void do_miss(unsigned turn)
{
    vfs_attr_t attr;
    char buf[64];
    size_t n = 0;
    cr_expect_eq(vfs_get(fs, NULL, name("/k/none%u", turn), buf, sizeof(buf), &n, &attr, NULL),
                 APR_ENOENT, "%s", dav.name);
}

static void do_get_dir(unsigned turn)
{
    vfs_attr_t attr;
    char buf[64];
    size_t n = 0;
    OK(vfs_get(lower, NULL, name("/t%u", turn), buf, sizeof(buf), &n, &attr, NULL));
    cr_expect_eq(attr.type, VFS_TYPE_DIR, "%s", dav.name);
}

static void do_create(unsigned turn)
{
    write_to(name("/n%u", turn), VFS_O_CREATE | VFS_O_TRUNC, 0, "new");
}

/* What it is like now was told by the answer to the PUT; the server's clock has seconds. */
static void do_create_and_look(unsigned turn)
{
    vfs_attr_t attr;
    struct stat there;
    char on_disk[96];
    snprintf(on_disk, sizeof(on_disk), "%s/k", dav.root);
    write_to(name("/k/v%u", turn), VFS_O_CREATE, 0, "new");
    OK(vfs_stat(fs, NULL, "/k", &attr));
    cr_assert_eq(stat(on_disk, &there), 0);
    cr_expect_leq(llabs(attr.mtime_ns / 1000000000 - (int64_t)there.st_mtim.tv_sec), 2, "%s",
                  dav.name);
}

static void do_unlink_and_look(unsigned turn)
{
    vfs_attr_t attr;
    OK(vfs_unlink(fs, NULL, name("/k/v%u", turn)));
    OK(vfs_stat(fs, NULL, "/k", &attr));
}

static void do_overwrite(unsigned turn)
{
    write_to(name("/o%u", turn), VFS_O_CREATE | VFS_O_TRUNC, 0, "over");
}

static void do_overwrite_young(unsigned turn)
{
    write_to(name("/n%u", turn), VFS_O_CREATE | VFS_O_TRUNC, 0, "young");
}

static void do_edit(unsigned turn)
{
    write_to(name("/e%u", turn), 0, 3, "XY");
}

static void do_rename_new(unsigned turn)
{
    OK(vfs_rename(fs, NULL, name("/o%u", turn), name("/p%u", turn), VFS_RENAME_NOREPLACE));
}

static void do_rename(unsigned turn)
{
    OK(vfs_rename(fs, NULL, name("/p%u", turn), name("/q%u", turn), 0));
}

static void do_replace(unsigned turn)
{
    OK(vfs_rename(fs, NULL, name("/n%u", turn), name("/q%u", turn), 0));
}

static void do_unlink(unsigned turn)
{
    OK(vfs_unlink(fs, NULL, name("/q%u", turn)));
}

static void do_mkdir(unsigned turn)
{
    OK(vfs_mkdir(fs, NULL, name("/k%u", turn), 0755));
}

static void do_make_and_remove_dir(unsigned turn)
{
    OK(vfs_mkdir(fs, NULL, name("/l%u", turn), 0755));
    OK(vfs_rmdir(fs, NULL, name("/l%u", turn)));
}

/* Where a PUT obeys no condition (nginx), or the tag is weak, as that of a young file of Apache is,
 * a lock keeps others away, and is given back. nginx takes the time of a
 * new version from the request. lighttpd says which version a PUT made. */
static const struct {
    const char *what;
    void (*deed)(unsigned turn);
    unsigned most[DAV_SERVERS]; /* nginx, Apache, lighttpd */
} deeds[] = {
    {"stat", do_stat, {1, 1, 1}},
    {"open, read and close", do_read, {1, 1, 1}},
    {"open, read and close a larger file", do_read_large, {2, 2, 2}},
    /* one for each, and one for the name of the first, which Apache sends on to the one with a
       slash */
    {"list three directories with attributes", do_list, {4, 5, 4}},
    {"open, read and close what was listed", do_read_listed, {1, 1, 1}},
    {"get what is not there", do_miss, {1, 1, 1}},
    {"get a directory", do_get_dir, {2, 2, 2}},
    {"create, write and close", do_create, {4, 3, 2}},
    {"create a file, and look at its directory", do_create_and_look, {4, 3, 2}},
    {"unlink it, and look at its directory", do_unlink_and_look, {2, 2, 2}},
    {"overwrite", do_overwrite, {5, 3, 2}},
    {"overwrite what is young", do_overwrite_young, {5, 6, 2}},
    {"change two bytes", do_edit, {8, 5, 5}},
    {"rename to a name that must be new", do_rename_new, {3, 3, 3}},
    {"rename", do_rename, {3, 3, 3}},
    {"rename over a file", do_replace, {3, 3, 3}},
    {"unlink", do_unlink, {1, 1, 1}},
    {"mkdir", do_mkdir, {1, 1, 1}},
    {"mkdir and rmdir", do_make_and_remove_dir, {4, 4, 4}},
};

/* ---- */

static const char premade[] =
    "mkdir -m 777 k; for i in 0 1 2 3 4; do mkdir -m 777 t$i t$i/a t$i/b; for f in s r o e t$i/a/x "
    "t$i/b/y; do "
    "n=$f; case $f in ?) n=$f$i;; esac; echo text >$n; touch -d '1 hour ago' $n; chmod 666 $n; "
    "done; head -c 200000 /dev/zero >b$i; touch -d '1 hour ago' b$i; done; for i in 0 1 2 3 4 5 6 "
    "7 8; do echo x >u$i; chmod 666 u$i; done; "
    "echo x >w0; echo x >w1; chmod 666 w0 w1";

/* What a server does is found out once, and is not counted. */
static void find_out(void)
{
    for (unsigned i = 0; i < 9; i++)
        OK(vfs_unlink(fs, NULL, name("/u%u", i)));
    write_to("/first", VFS_O_CREATE, 0, "first");
    OK(vfs_rename(fs, NULL, "/w0", "/w1", 0));
    do_miss(TURNS);
}

static void each_deed(size_t server)
{
    static char lines[65536];
    int within[sizeof(deeds) / sizeof(deeds[0])] = {0};
    for (unsigned turn = 0; turn < TURNS; turn++) {
        for (size_t i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++) {
            (void)asked(lines, sizeof(lines));
            deeds[i].deed(turn);
            unsigned count = asked(lines, sizeof(lines));
            within[i] |= count <= deeds[i].most[server];
            if (turn + 1 == TURNS)
                cr_expect(within[i], "%s: %s: %u requests\n%s", dav.name, deeds[i].what, count,
                          lines);
        }
    }
}

Test(remote_webdav_requests, typical_work_costs_no_more)
{
    static const cachefs_mode_e modes[] = {CACHEFS_THROUGH, CACHEFS_BACK};
    for (size_t i = 0; i < DAV_SERVERS; i++) {
        for (size_t mode = 0; mode < 2; mode++) {
            dav_start(&dav, i, "");
            dav_shell(&dav, premade);
            open_stack(modes[mode]);
            find_out();
            each_deed(i);
            close_stack();
            dav_stop(&dav);
        }
    }
}

Test(remote_webdav_requests, who_removes_files_by_one_request_takes_no_directory)
{
    for (size_t i = 0; i < DAV_SERVERS; i++) {
        dav_start(&dav, i, "");
        dav_shell(&dav, premade);
        dav_shell(&dav, "mkdir -m 777 full empty && echo x >full/x && mkdir t0/none");
        open_stack(CACHEFS_THROUGH);
        find_out();
        cr_expect_eq(vfs_unlink(lower, NULL, "/full"), APR_FROM_OS_ERROR(EISDIR), "%s", dav.name);
        cr_expect_eq(vfs_unlink(lower, NULL, "/empty"), APR_FROM_OS_ERROR(EISDIR), "%s", dav.name);
        cr_expect_eq(vfs_unlink(lower, NULL, "/none"), APR_ENOENT, "%s", dav.name);
        cr_expect_eq(vfs_unlink(lower, NULL, "/r0/x"), APR_ENOTDIR, "%s", dav.name);
        cr_expect_str_eq(dav_on_disk(&dav, "/full"), "x ", "%s", dav.name);
        cr_expect_str_eq(dav_on_disk(&dav, "/empty"), "", "%s", dav.name);
        cr_expect_null(strstr(dav_on_disk(&dav, "/"), "trial"), "%s", dav.name);
        close_stack();
        dav_stop(&dav);
    }
}

Test(remote_webdav_requests, where_a_directory_goes_with_any_depth_files_are_looked_at)
{
#define FILE_F                                                                                     \
    "<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\"><D:response><D:href>/f</D:href>"       \
    "<D:propstat><D:prop><D:resourcetype/><D:getcontentlength>7</D:getcontentlength></D:prop>"     \
    "<D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>"
    char found[512], uri[96];
    snprintf(found, sizeof(found), "HTTP/1.1 207 Multi\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(FILE_F), FILE_F);
    const reply_t replies[] = {
        {"PROPFIND /f ", found, 0, 0, NULL, 0},
        {"MKCOL", "HTTP/1.1 201 Made\r\nContent-Length: 0\r\n\r\n", 0, 0, NULL, 0},
        {"DELETE", "HTTP/1.1 204 Gone\r\n\r\n", 0, 0, NULL, 0},
        {NULL, NULL, 0, 0, NULL, 0}};
    int port = 0;
    unsigned looks = 0;
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&dav.pool, NULL), APR_SUCCESS);
    server_t *server = server_start(replies, &port);
    snprintf(uri, sizeof(uri), "dav://127.0.0.1:%d/?proxy=none&probe=no", port);
    OK(vfs_webdav_create(&fs, uri, dav.err, sizeof(dav.err), dav.pool));
    for (unsigned i = 0; i < 12; i++)
        OK(vfs_unlink(fs, NULL, "/f"));
    for (const char *at = server_heard(server); (at = strstr(at, "PROPFIND ")) != NULL; at++)
        looks++;
    cr_expect_eq(looks, 12);
    cr_expect_not_null(strstr(server_heard(server), "MKCOL /.cachefs-trial-"));
    OK(vfs_destroy(fs));
    server_stop(server);
    apr_pool_destroy(dav.pool);
}
