/*
 * test_asks.c - which calls go below, one by one, for the things that programs do with names and
 * small files. Exact lists: a call more is a round trip more over a far lower layer.
 */
#include "tests/engine/support_rig.h"
#include "tests/stacks/sut.h"

#define SAID 4096u

typedef struct asks_t {
    apr_pool_t *pool;
    vfs_t *mem, *trace, *objects, *fs;
    size_t len;
    char said[SAID]; /* "op path" of each call, in the order in which they ended */
} asks_t;

/* Of a line "op "path"#7 name=1 -> ok, 0, 1" the op and the path; what costs no round trip is left
 * out. */
static void hear(void *baton, const char *line)
{
    asks_t *a = baton;
    size_t op = strcspn(line, " ");
    const char *from = strchr(line, '"'), *to = from ? strchr(from + 1, '"') : NULL;
    if (!strncmp(line, "readdir", op) || !strncmp(line, "closedir", op)) return;
    int n = snprintf(a->said + a->len, SAID - a->len, "%s%.*s", a->len ? ", " : "", (int)op, line);
    if (to)
        n += snprintf(a->said + a->len + n, SAID - a->len - (size_t)n, " %.*s",
                      (int)(to - from - 1), from + 1);
    a->len += (size_t)n;
    cr_assert_lt(a->len, SAID - 256);
}

/* A far lower layer without numbers of files; `whole`: that takes whole objects. */
static void begin(asks_t *a, int whole, const char *keys)
{
    cachefs_config_t config;
    char err[200];
    vfs_t *noid, *taker, *far;
    vfs_delay_t how = {.rtt_us = 1};
    memset(a, 0, sizeof(*a));
    OK(apr_initialize());
    apr_pool_create(&a->pool, NULL);
    OK(vfs_mem_create(&a->mem, 0, a->pool));
    OK(sut_noid_create(&noid, a->mem, a->pool));
    taker = noid;
    if (whole) OK(sut_whole_create(&taker, a->mem, a->pool));
    OK(vfs_delay_create(&far, taker, &how, a->pool));
    OK(vfs_trace_create(&a->trace, far, hear, a, a->pool));
    if (whole) OK(vfs_objects_create(&a->objects, a->trace, NULL, a->pool));
    rig_config(&config, keys, a->pool);
    cr_assert_eq(
        cachefs_create(&a->fs, whole ? a->objects : a->trace, &config, err, sizeof(err), a->pool),
        APR_SUCCESS, "%s", err);
    OK(vfs_mkdir(a->mem, NULL, "/d", 0755));
    OK(vfs_write_file(a->mem, NULL, "/d/old", "old", 3, 0644));
}

static void end(asks_t *a)
{
    OK(vfs_destroy(a->fs));
    if (a->objects) OK(vfs_destroy(a->objects));
    OK(vfs_destroy_stack(a->trace));
    apr_pool_destroy(a->pool);
}

static void forget(asks_t *a)
{
    a->len = 0;
    a->said[0] = '\0';
}

#define SAID_IS(a, expected)                                                                       \
    do {                                                                                           \
        cr_expect_str_eq((a)->said, expected, "said: %s\nnot:  %s", (a)->said, expected);          \
        forget(a);                                                                                 \
    } while (0)

/* What a mount does for `echo text >d/new`, up to the close. */
static void make(asks_t *a, const char *path)
{
    vfs_attr_t attr;
    vfs_file_t *f;
    cr_assert(APR_STATUS_IS_ENOENT(vfs_lstat(a->fs, NULL, path, &attr)));
    OK(vfs_open(&f, a->fs, NULL, path, VFS_O_WRITE | VFS_O_CREATE | VFS_O_TRUNC | VFS_O_NOFOLLOW,
                0644, &attr, NULL));
    rig_write(f, 0, "0123456789", 10);
    OK(vfs_flush(f, NULL));
    OK(vfs_close(f, NULL));
}

static void list(asks_t *a, const char *path)
{
    vfs_dir_t *dir;
    vfs_dirent_t e;
    OK(vfs_opendir(&dir, a->fs, NULL, path, VFS_DIR_ATTRS));
    while (!vfs_readdir(dir, NULL, &e)) {
    }
    OK(vfs_closedir(dir));
}

static void write_old(asks_t *a)
{
    vfs_file_t *f = rig_file(a->fs, "/d/old", RIG_W);
    rig_write(f, 0, "0123456789", 10);
    OK(vfs_flush(f, NULL));
    OK(vfs_close(f, NULL));
}

/* What each thing takes, in this order, of a directory whose attributes are known. */
typedef struct row_t {
    const char *keys;
    int whole;
    const char *make;      /* a small file */
    const char *file;      /* its attributes */
    const char *dir;       /* those of the directory */
    const char *in_listed; /* one more, when the directory was listed */
    const char *write;     /* a file that is there */
} row_t;

static void takes(const row_t *row)
{
    asks_t a;
    vfs_attr_t attr;
    begin(&a, row->whole, row->keys);
    OK(vfs_stat(a.fs, NULL, "/d", &attr));
    forget(&a);
    make(&a, "/d/new");
    SAID_IS(&a, row->make);
    OK(vfs_lstat(a.fs, NULL, "/d/new", &attr));
    SAID_IS(&a, row->file);
    OK(vfs_lstat(a.fs, NULL, "/d", &attr));
    SAID_IS(&a, row->dir);
    list(&a, "/d");
    SAID_IS(&a, "opendir /d");
    make(&a, "/d/new2");
    SAID_IS(&a, row->in_listed);
    write_old(&a);
    SAID_IS(&a, row->write);
    end(&a);
}

Test(asks, a_far_file_that_is_written_in_place)
{
    static const row_t rows[] = {
        {"mode=through", 0, "lstat /d/new, open /d/new, write_at /d/new, flush /d/new",
         "lstat /d/new", "lstat /d", "open /d/new2, write_at /d/new2, flush /d/new2",
         "open /d/old, write_at /d/old, flush /d/old"},
        {"mode=around", 0, "lstat /d/new, open /d/new, write_at /d/new, flush /d/new",
         "lstat /d/new", "lstat /d", "open /d/new2, write_at /d/new2, flush /d/new2",
         "open /d/old, write_at /d/old, flush /d/old"},
        /* has somebody changed it? the bytes; the time of the write; the version of all that */
        {"mode=back flush_interval=1h", 0,
         "lstat /d/new, open /d/new, "
         "stat /d/new, write_at /d/new, futimens /d/new, fstat /d/new, flush /d/new",
         "", "lstat /d",
         "open /d/new2, "
         "stat /d/new2, write_at /d/new2, futimens /d/new2, fstat /d/new2, flush /d/new2",
         "open /d/old, "
         "stat /d/old, write_at /d/old, futimens /d/old, fstat /d/old, flush /d/old"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        takes(&rows[i]);
}

Test(asks, a_far_file_that_is_replaced_as_a_whole)
{
    static const row_t rows[] = {
        {"mode=through", 1, "lstat /d/new, commit /d/new", "", "lstat /d",
         "open /d/new2, commit /d/new2", "open /d/old, commit /d/old"},
        {"mode=around", 1, "lstat /d/new, commit /d/new", "", "lstat /d",
         "open /d/new2, commit /d/new2", "open /d/old, commit /d/old"},
        {"mode=back flush_interval=1h", 1, "lstat /d/new, commit /d/new", "", "lstat /d",
         "open /d/new2, commit /d/new2", "open /d/old, stat /d/old, commit /d/old"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        takes(&rows[i]);
}

Test(asks, names_that_come_and_go)
{
    for (int whole = 0; whole < 2; whole++) {
        asks_t a;
        vfs_attr_t attr;
        begin(&a, whole, "mode=through");
        list(&a, "/d");
        make(&a, "/d/tmp");
        forget(&a);
        OK(vfs_rename(a.fs, NULL, "/d/tmp", "/d/old", 0));
        SAID_IS(&a, "rename /d/tmp");
        OK(vfs_unlink(a.fs, NULL, "/d/old"));
        SAID_IS(&a, "unlink /d/old");
        for (int i = 0; i < 2; i++) /* who removed it knows that it is not there */
            cr_expect(APR_STATUS_IS_ENOENT(vfs_lstat(a.fs, NULL, "/d/old", &attr)));
        SAID_IS(&a, "");
        OK(vfs_write_file(a.fs, NULL, "/d/old", "new", 3, 0644));
        forget(&a);
        OK(vfs_lstat(a.fs, NULL, "/d/old", &attr));
        cr_expect_eq(attr.size, 3u);
        cr_expect(APR_STATUS_IS_ENOENT(vfs_lstat(a.fs, NULL, "/d/sub", &attr)));
        forget(&a);
        OK(vfs_mkdir(a.fs, NULL, "/d/sub", 0755));
        OK(vfs_lstat(a.fs, NULL, "/d/sub", &attr));
        SAID_IS(&a, "mkdir /d/sub, lstat /d/sub");
        OK(vfs_rmdir(a.fs, NULL, "/d/sub"));
        SAID_IS(&a, "rmdir /d/sub");
        end(&a);
    }
}
