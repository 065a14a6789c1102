/*
 * test_requests.c - what typical work asks of a bucket, request by request, through a cache as a
 * mount uses it: a name is looked up before it is opened, and its directory after it was made.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "cachefs/cachefs.h"
#include "tests/s3/support_bucket.h"

#define TURNS 5u /* what was seen a moment ago is asked for again where a machine is slow */
#define LINES 4096u
#define LARGE (128u << 10) /* two of what a look-up brings along */

static bucket_t b;
static vfs_t *lower, *fs;
static char trace[128];

static void end(void)
{
    if (fs != NULL) OK(vfs_destroy(fs));
    if (lower != NULL) OK(vfs_destroy(lower));
    fs = lower = NULL;
    bucket_stop(&b);
}

TestSuite(s3_requests, .fini = end);

static void open_stack(cachefs_mode_e mode, const char *how)
{
    char options[256], uri[1024];
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    config.mode = mode;
    config.attr_ttl_us = config.negative_ttl_us = config.listing_ttl_us = 3600000000u;
    bucket_start(&b, how, "", "");
    snprintf(trace, sizeof(trace), "%s/trace", b.web.dir);
    snprintf(options, sizeof(options), "&trace=%s", trace);
    s3server_uri(uri, sizeof(uri), b.web.port, "test/", options);
    OK(vfs_backends_register_all());
    OK(vfs_open_uri(&lower, uri, b.err, sizeof(b.err), b.pool)); /* b.fs is for the test */
    OK(cachefs_create(&fs, lower, &config, b.err, sizeof(b.err), b.pool));
}

/* The requests since the last call, as "METHOD /path", one behind the other; a listing has no path.
 */
static const char *asked(void)
{
    static char out[LINES], line[1024];
    size_t len = 0;
    FILE *file = fopen(trace, "re");
    cr_assert_not_null(file);
    out[0] = '\0';
    while (fgets(line, sizeof(line), file) != NULL) {
        char method[16], url[512];
        cr_assert_eq(sscanf(line, "%15s %511s", method, url), 2);
        const char *path = strstr(url, "/test");
        cr_assert_not_null(path);
        path += strlen("/test");
        int list = path[strspn(path, "/")] == '\0';
        len += (size_t)snprintf(out + len, sizeof(out) - len, "%s%s%s%s", len > 0 ? ", " : "",
                                list ? "LIST" : method, list ? "" : " ", list ? "" : path);
        cr_assert_lt(len, sizeof(out));
    }
    (void)fclose(file); /* it was read only */
    cr_assert_eq(truncate(trace, 0), 0);
    return out;
}

/* ---- typical work; "%u" is the turn */

static const char *name(const char *form, unsigned turn)
{
    static char names[4][64];
    static unsigned next;
    char *out = names[next++ % 4];
    snprintf(out, sizeof(names[0]), form, turn);
    return out;
}

static void look_up(const char *path, apr_status_t want)
{
    vfs_attr_t attr;
    cr_expect_eq(vfs_lstat(fs, NULL, path, &attr), want, "%s", path);
}

static void look_up_to_read(const char *path, apr_status_t want)
{
    vfs_attr_t attr;
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.flags |= VFS_CTX_READS;
    cr_expect_eq(vfs_lstat(fs, &ctx, path, &attr), want, "%s", path);
}

static void write_to(const char *path, uint32_t flags, apr_off_t off, const char *text)
{
    vfs_file_t *file = NULL;
    size_t n = 0;
    OK(vfs_open(&file, fs, NULL, path, VFS_O_WRITE | flags, 0644, NULL, NULL));
    OK(vfs_write_at(file, NULL, text, strlen(text), off, &n, NULL));
    OK(vfs_close(file, NULL));
}

static void read_from(const char *path)
{
    vfs_file_t *file = NULL;
    char buf[64];
    size_t n = 0;
    OK(vfs_open(&file, fs, NULL, path, VFS_O_READ, 0, NULL, NULL));
    OK(vfs_read_at(file, NULL, buf, sizeof(buf), 0, &n));
    OK(vfs_close(file, NULL));
}

static void do_absent(unsigned turn)
{
    look_up(name("/d/absent%u", turn), APR_ENOENT);
}

static void do_absent_to_read(unsigned turn)
{
    look_up_to_read(name("/d/none%u", turn), APR_ENOENT);
}

static void do_stat(unsigned turn)
{
    look_up(name("/d/s%u", turn), APR_SUCCESS);
}

static void do_read(unsigned turn)
{
    look_up_to_read(name("/d/r%u", turn), APR_SUCCESS);
    read_from(name("/d/r%u", turn));
}

static void do_read_large(unsigned turn)
{
    static char buf[LARGE];
    vfs_file_t *file = NULL;
    size_t n = 0;
    OK(vfs_open(&file, fs, NULL, name("/d/b%u", turn), VFS_O_READ, 0, NULL, NULL));
    OK(vfs_read_at(file, NULL, buf, LARGE / 2, 0, &n));
    OK(vfs_read_at(file, NULL, buf, LARGE / 2, LARGE / 2, &n));
    cr_expect_eq(n, LARGE / 2);
    cr_expect_eq(buf[LARGE / 2 - 1], 'b');
    OK(vfs_close(file, NULL));
}

static void do_list(unsigned turn)
{
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    OK(vfs_opendir(&dir, fs, NULL, name("/l%u", turn), 0));
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS)
        look_up(name("/l%u/f", turn), APR_SUCCESS);
    OK(vfs_closedir(dir));
}

static void do_read_listed(unsigned turn)
{
    static char buf[LARGE];
    vfs_file_t *file = NULL;
    size_t n = 0;
    OK(vfs_open(&file, fs, NULL, name("/l%u/f", turn), VFS_O_READ, 0, NULL, NULL));
    OK(vfs_read_at(file, NULL, buf, LARGE, 0, &n));
    cr_expect_eq(n, LARGE);
    OK(vfs_close(file, NULL));
}

static void make(const char *path, uint32_t flags)
{
    look_up_to_read(path, APR_ENOENT);
    write_to(path, VFS_O_CREATE | flags, 0, "new");
    look_up("/d", APR_SUCCESS);
}

static void do_create(unsigned turn)
{
    make(name("/d/n%u", turn), VFS_O_TRUNC);
}

static void do_create_next(unsigned turn)
{
    make(name("/d/m%u", turn), VFS_O_TRUNC);
}

static void do_create_alone(unsigned turn)
{
    make(name("/d/x%u", turn), VFS_O_EXCL);
}

static void do_overwrite(unsigned turn)
{
    write_to(name("/d/o%u", turn), VFS_O_CREATE | VFS_O_TRUNC, 0, "over");
}

static void do_unlink(unsigned turn)
{
    OK(vfs_unlink(fs, NULL, name("/d/o%u", turn)));
    look_up("/d", APR_SUCCESS);
}

static void do_mkdir(unsigned turn)
{
    OK(vfs_mkdir(fs, NULL, name("/d/k%u", turn), 0755));
    look_up("/d", APR_SUCCESS);
}

/* After two names that were not there one listing tells of the next what two requests would; that
 * is one too many for the first that is there again. To overwrite takes a HEAD for the version that
 * is opened, and one for what else the object has, which is kept. */
static const struct {
    const char *what;
    void (*deed)(unsigned turn);
    const char *want; /* in both modes */
} deeds[] = {
    {"stat", do_stat, "HEAD /d/s%u"},
    {"overwrite", do_overwrite, "HEAD /d/o%u, HEAD /d/o%u, PUT /d/o%u"},
    {"unlink", do_unlink, "HEAD /d/o%u, LIST, DELETE /d/o%u"},
    {"look up a name that is not there", do_absent, "HEAD /d/absent%u, LIST"},
    {"the same, to read it", do_absent_to_read, "GET /d/none%u, LIST"},
    {"create after two that were not there", do_create, "LIST, PUT /d/n%u"},
    {"look up and read", do_read, "LIST, GET /d/r%u"},
    {"create after one that was there", do_create_next, "GET /d/m%u, LIST, PUT /d/m%u"},
    {"create what nobody else may have", do_create_alone, "GET /d/x%u, LIST, LIST, PUT /d/x%u"},
    {"mkdir", do_mkdir, "LIST, PUT /d/k%u/"},
    {"read a larger file", do_read_large, "LIST, GET /d/b%u, GET /d/b%u"},
    {"list", do_list, "HEAD /l%u, LIST, LIST"},
    {"read a larger file that was listed", do_read_listed, "GET /l%u/f"},
};

static const char *wanted(const char *form, unsigned turn)
{
    static char out[LINES];
    snprintf(out, sizeof(out), form, turn, turn, turn, turn, turn, turn);
    return out;
}

static void premade(void)
{
    static char large[LARGE];
    memset(large, 'b', sizeof(large));
    for (unsigned turn = 0; turn < TURNS; turn++) {
        bucket_put(&b, name("/d/s%u", turn), 0, "text", 4, NULL, 0);
        bucket_put(&b, name("/d/r%u", turn), 0, "text", 4, NULL, 0);
        bucket_put(&b, name("/d/o%u", turn), 0, "text", 4, NULL, 0);
        bucket_put(&b, name("/d/b%u", turn), 0, large, sizeof(large), NULL, 0);
        bucket_put(&b, name("/l%u/f", turn), 0, large, sizeof(large), NULL, 0);
    }
    look_up("/d", APR_SUCCESS);
    write_to("/d/first", VFS_O_CREATE, 0, "first");
}

static void each_deed(void)
{
    int as_wanted[sizeof(deeds) / sizeof(deeds[0])] = {0};
    for (unsigned turn = 0; turn < TURNS; turn++) {
        for (size_t i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++) {
            (void)asked();
            deeds[i].deed(turn);
            const char *lines = asked(), *want = wanted(deeds[i].want, turn);
            as_wanted[i] |= strcmp(lines, want) == 0;
            if (turn + 1 == TURNS)
                cr_expect(as_wanted[i], "%s: %s\nwanted: %s", deeds[i].what, lines, want);
        }
    }
}

Test(s3_requests, typical_work_takes_these_requests)
{
    static const cachefs_mode_e modes[] = {CACHEFS_THROUGH, CACHEFS_BACK};
    for (size_t mode = 0; mode < 2; mode++) {
        open_stack(modes[mode], NULL);
        premade();
        each_deed();
        if (mode == 0) end();
    }
}

/* ---- others are quicker */

static unsigned count_beside(const char *start)
{
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    unsigned count = 0;
    OK(vfs_opendir(&dir, b.fs, NULL, "/d", 0));
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS)
        count += strncmp(entry.name, start, strlen(start)) == 0;
    OK(vfs_closedir(dir));
    return count;
}

/* 1: the name was taken for one that is not there. */
static int create_late(const char *path)
{
    vfs_file_t *file = NULL;
    char *text = NULL, beside[80];
    size_t n = 0, len = 0;
    look_up(path, APR_ENOENT);
    bucket_put(&b, path, 0, "theirs", 6, NULL, 0);
    OK(vfs_open(&file, fs, NULL, path, VFS_O_WRITE | VFS_O_CREATE, 0644, NULL, NULL));
    OK(vfs_write_at(file, NULL, "ours", 4, 0, &n, NULL));
    apr_status_t closed = vfs_close(file, NULL);
    cr_expect(closed == APR_SUCCESS || closed == VFS_ECONFLICT);
    OK(vfs_read_file(&text, &len, b.fs, NULL, path, 0, b.pool));
    snprintf(beside, sizeof(beside), "%s.conflict-", strrchr(path, '/') + 1);
    if (closed == APR_SUCCESS) { /* it was looked for again */
        cr_expect_eq(memcmp(text, "oursrs", 6), 0);
        return 0;
    }
    cr_expect(len == 6 && memcmp(text, "theirs", 6) == 0, "%s", path);
    cr_expect_eq(count_beside(beside), 1, "%s", path);
    return 1;
}

Test(s3_requests, what_others_made_since_the_look_up_stays)
{
    static const char *const servers[] = {NULL, "ceph,late", "plain"};
    for (size_t i = 0; i < 3; i++) {
        int late = 0;
        open_stack(CACHEFS_THROUGH, servers[i]);
        premade();
        for (unsigned turn = 0; turn < TURNS; turn++) {
            vfs_file_t *file = NULL;
            late |= create_late(name("/d/late%u", turn));
            look_up(name("/d/mine%u", turn), APR_ENOENT);
            bucket_put(&b, name("/d/mine%u", turn), 0, "theirs", 6, NULL, 0);
            cr_expect_eq(vfs_open(&file, fs, NULL, name("/d/mine%u", turn),
                                  VFS_O_WRITE | VFS_O_CREATE | VFS_O_EXCL, 0644, NULL, NULL),
                         APR_EEXIST);
        }
        cr_expect(late, "a look-up of that moment does");
        if (i < 2) end();
    }
}
