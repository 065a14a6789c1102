/*
 * table_readonly.c - behaviours of a stack that nothing can be changed through: it reads, and each
 * attempt is EROFS.
 */
#include <stdlib.h>

#include "tests/conformance/conf.h"

#define EROFS_STATUS E(EROFS)

/* "/f" of "data" and a directory "/d", made below. */
static int make_below(conf_t *t)
{
    return OK(vfs_write_file(t->sut.lower, NULL, "/f", "data", 4, 0644)) &&
           OK(vfs_mkdir(t->sut.lower, NULL, "/d", 0755));
}

static void readonly_reads_what_is_below(conf_t *t)
{
    vfs_attr_t attr;
    char buf[8];
    size_t n = 0;
    NEED(make_below(t));
    HOLDS("/f", "data");
    NAMES("/", "d f ");
    NEED_OPEN(f, "/f", RD);
    OK(vfs_fstat(f, NULL, &attr));
    EQ(attr.size, 4);
    CLOSE(f);
    OK(vfs_get(t->fs, NULL, "/f", buf, sizeof buf, &n, &attr, NULL));
    EQ(n, 4);
    OK(vfs_access(t->fs, NULL, "/f", VFS_ACCESS_READ));
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/missing", &attr));
}

static void readonly_has_no_capability_to_write(conf_t *t)
{
    EQ(vfs_caps(t->fs)->bits & (VFS_CAP_WRITE | VFS_CAP_RANDOM_WRITE), 0);
}

static void readonly_refuses_to_open_for_writing(conf_t *t)
{
    vfs_file_t *f = NULL;
    NEED(make_below(t));
    IS(EROFS_STATUS, vfs_open(&f, t->fs, NULL, "/f", WR, 0, NULL, NULL));
    IS(EROFS_STATUS, vfs_open(&f, t->fs, NULL, "/f", RW, 0, NULL, NULL));
    IS(EROFS_STATUS, vfs_open(&f, t->fs, NULL, "/f", WR | VFS_O_TRUNC, 0, NULL, NULL));
    IS(EROFS_STATUS, vfs_open(&f, t->fs, NULL, "/new", WR | CR, 0644, NULL, NULL));
    CHECK(f == NULL);
    IS(EROFS_STATUS, vfs_access(t->fs, NULL, "/f", VFS_ACCESS_WRITE));
    LOWER_HOLDS("/f", "data");
    NAMES("/", "d f ");
}

static void readonly_refuses_to_change_names(conf_t *t)
{
    NEED(make_below(t));
    IS(EROFS_STATUS, vfs_mkdir(t->fs, NULL, "/e", 0755));
    IS(EROFS_STATUS, vfs_rmdir(t->fs, NULL, "/d"));
    IS(EROFS_STATUS, vfs_unlink(t->fs, NULL, "/f"));
    IS(EROFS_STATUS, vfs_rename(t->fs, NULL, "/f", "/g", 0));
    IS(EROFS_STATUS, vfs_link(t->fs, NULL, "/f", "/g"));
    IS(EROFS_STATUS, vfs_symlink(t->fs, NULL, "f", "/l"));
    IS(EROFS_STATUS, vfs_mknod(t->fs, NULL, "/n", VFS_TYPE_FILE, 0644, 0));
    IS(EROFS_STATUS, vfs_write_file(t->fs, NULL, "/f", "new", 3, 0644));
    IS(EROFS_STATUS, vfs_remove_all(t->fs, NULL, "/d"));
    NAMES("/", "d f ");
}

static void readonly_refuses_to_change_attributes(conf_t *t)
{
    vfs_attr_t before, after;
    memset(&before, 0, sizeof before);
    memset(&after, 0, sizeof after);
    NEED(make_below(t));
    OK(vfs_stat(t->sut.lower, NULL, "/f", &before));
    NEED_OPEN(f, "/f", RD);
    IS(EROFS_STATUS, vfs_truncate(t->fs, NULL, "/f", 0));
    IS(EROFS_STATUS, vfs_chmod(t->fs, NULL, "/f", 0600, 0));
    IS(EROFS_STATUS, vfs_chown(t->fs, NULL, "/f", 1, 1, 0));
    IS(EROFS_STATUS, vfs_utimens(t->fs, NULL, "/f", 1, 1, 0));
    IS(EROFS_STATUS, vfs_setxattr(t->fs, NULL, "/f", "user.a", "v", 1, 0, 0));
    IS(EROFS_STATUS, vfs_removexattr(t->fs, NULL, "/f", "user.a", 0));
    IS(EROFS_STATUS, vfs_fchmod(f, NULL, 0600));
    IS(EROFS_STATUS, vfs_fchown(f, NULL, 1, 1));
    IS(EROFS_STATUS, vfs_futimens(f, NULL, 1, 1));
    IS(EROFS_STATUS, vfs_fsetxattr(f, NULL, "user.a", "v", 1, 0));
    CLOSE(f);
    OK(vfs_stat(t->sut.lower, NULL, "/f", &after));
    EQ(after.mode, before.mode);
    EQ(after.uid, before.uid);
    EQ(after.mtime_ns, before.mtime_ns);
    EQ(after.ctime_ns, before.ctime_ns);
    LOWER_HOLDS("/f", "data");
}

static apr_status_t no_bytes(void *baton, void *buf, size_t len, apr_off_t off)
{
    (void)baton;
    (void)buf;
    (void)len;
    (void)off;
    return APR_SUCCESS;
}

static void readonly_refuses_to_commit(conf_t *t)
{
    vfs_source_t source = {no_bytes, NULL, 0};
    NEED(make_below(t));
    IS(EROFS_STATUS, vfs_commit(t->fs, NULL, "/f", &source, NULL, NULL, NULL));
    LOWER_HOLDS("/f", "data");
}

static void readonly_can_be_synced(conf_t *t)
{
    NEED(make_below(t));
    NEED_OPEN(f, "/f", RD);
    OK(vfs_flush(f, NULL));
    OK(vfs_sync(f, NULL, VFS_SYNC_ALL));
    CLOSE(f);
    OK(vfs_sync_fs(t->fs, NULL));
}

static void readonly_reads_at_every_offset(conf_t *t)
{
    enum { SIZE = 300000 };
    static const struct {
        size_t off, len, want;
    } rows[] = {{0, 1, 1},     {0, SIZE, SIZE},          {0, SIZE + 1, SIZE}, {1, 4096, 4096},
                {65535, 2, 2}, {131072, 100000, 100000}, {SIZE - 1, 1, 1},    {SIZE - 1, 100, 1},
                {SIZE, 10, 0}, {SIZE + 100000, 10, 0}};
    char *data = malloc(SIZE), *buf = malloc(SIZE + 1);
    size_t n = 0;
    conf_fill(data, SIZE, 7);
    (void)OK(vfs_write_file(t->sut.lower, NULL, "/big", data, SIZE, 0644));
    vfs_file_t *f = OPEN("/big", RD);
    for (size_t i = 0; f != NULL && i < sizeof rows / sizeof rows[0]; i++) {
        OK(vfs_read_at(f, NULL, buf, rows[i].len, (apr_off_t)rows[i].off, &n));
        EQ(n, rows[i].want);
        if (n > 0) SAME(buf, data + rows[i].off, n);
    }
    vfs_iovec_t iov[] = {{buf, 10}, {buf + 10, 0}, {buf + 10, 5000}};
    if (f != NULL && OK(vfs_readv_at(f, NULL, iov, 3, 99, &n)) && EQ(n, 5010))
        SAME(buf, data + 99, n);
    if (f != NULL) CLOSE(f);
    free(data);
    free(buf);
}

static void readonly_reads_an_empty_file(conf_t *t)
{
    vfs_attr_t attr;
    char buf[8];
    size_t n = 1;
    NEED(OK(vfs_write_file(t->sut.lower, NULL, "/e", "", 0, 0644)));
    HOLDS("/e", "");
    OK(vfs_get(t->fs, NULL, "/e", buf, sizeof buf, &n, &attr, NULL));
    EQ(n, 0);
    EQ(attr.size, 0);
    EQ(attr.type, VFS_TYPE_FILE);
}

static void readonly_tells_files_from_directories(conf_t *t)
{
    vfs_attr_t attr;
    vfs_file_t *f = NULL;
    vfs_dir_t *dir = NULL;
    char buf[8];
    size_t n = 1;
    NEED(make_below(t));
    OK(vfs_stat(t->fs, NULL, "/", &attr));
    EQ(attr.type, VFS_TYPE_DIR);
    OK(vfs_lstat(t->fs, NULL, "/d", &attr));
    EQ(attr.type, VFS_TYPE_DIR);
    OK(vfs_stat(t->fs, NULL, "/d/", &attr));
    OK(vfs_get(t->fs, NULL, "/d", buf, sizeof buf, &n, &attr, NULL));
    EQ(attr.type, VFS_TYPE_DIR);
    EQ(n, 0);
    IS(APR_ENOTDIR, vfs_stat(t->fs, NULL, "/f/", &attr));
    IS(APR_ENOTDIR, vfs_open(&f, t->fs, NULL, "/f", VFS_O_DIRECTORY, 0, NULL, NULL));
    IS(APR_ENOTDIR, vfs_opendir(&dir, t->fs, NULL, "/f", 0));
    IS(APR_ENOENT, vfs_opendir(&dir, t->fs, NULL, "/missing", 0));
    NAMES("/d", "");
    NEED_OPEN(d, "/d", RD);
    IS(E(EISDIR), vfs_read_at(d, NULL, buf, sizeof buf, 0, &n));
    CLOSE(d);
}

static void readonly_finds_every_name(conf_t *t)
{
    static const char *const names[] = {"a b", "100%",   "q?x",      "h#y", "<&>\"'", "c:d",
                                        "+",   "%41",    "\xc3\xbc", "~z",  "a\\b",   "[x]",
                                        "=",   "https:", "&amp;",    ";",   "@",      "0123456789"};
    char path[300], want[201] = "";
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    size_t found = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "/%s", names[i]);
        NEED(OK(vfs_write_file(t->sut.lower, NULL, path, names[i], strlen(names[i]), 0644)));
        HOLDS(path, names[i]);
    }
    memset(want, 'n', 200);
    snprintf(path, sizeof path, "/%s", want);
    NEED(OK(vfs_mkdir(t->sut.lower, NULL, path, 0755)));
    NEED(OK(vfs_opendir(&dir, t->fs, NULL, "/", VFS_DIR_ATTRS)));
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS) {
        int known = strcmp(entry.name, want) == 0;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            known |= strcmp(entry.name, names[i]) == 0;
        if (!known) (void)conf_fail(HERE, "a name that nobody made: %s", entry.name);
        if (entry.has_attr && entry.type == VFS_TYPE_FILE) EQ(entry.attr.size, entry.name_len);
        found++;
    }
    EQ(found, sizeof names / sizeof names[0] + 1);
    OK(vfs_closedir(dir));
}

static void readonly_sees_a_change_below(conf_t *t)
{
    vfs_validator_t before, after;
    NEED(make_below(t));
    conf_grow_old(t);
    conf_grow_old(t);
    HOLDS("/f", "data");
    OK(vfs_validator(t->fs, NULL, "/f", &before));
    NEED(OK(vfs_write_file(t->sut.lower, NULL, "/f", "other", 5, 0644)));
    NEED(OK(vfs_write_file(t->sut.lower, NULL, "/g", "new", 3, 0644)));
    HOLDS("/f", "other");
    HOLDS("/g", "new");
    OK(vfs_validator(t->fs, NULL, "/f", &after));
    CHECK(!vfs_validator_equal(&before, &after));
    NAMES("/", "d f g ");
    NEED(OK(vfs_unlink(t->sut.lower, NULL, "/g")));
    vfs_attr_t attr;
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/g", &attr));
}

#define READONLY(fn)                                                                               \
    {                                                                                              \
#fn, fn, 0, CONF_READONLY, NULL                                                            \
    }
static const conf_behaviour_t behaviours[] = {
    READONLY(readonly_reads_what_is_below),
    READONLY(readonly_has_no_capability_to_write),
    READONLY(readonly_refuses_to_open_for_writing),
    READONLY(readonly_refuses_to_change_names),
    READONLY(readonly_refuses_to_change_attributes),
    READONLY(readonly_refuses_to_commit),
    READONLY(readonly_can_be_synced),
    READONLY(readonly_reads_at_every_offset),
    READONLY(readonly_reads_an_empty_file),
    READONLY(readonly_tells_files_from_directories),
    READONLY(readonly_finds_every_name),
    {"readonly_sees_a_change_below", readonly_sees_a_change_below, 0, CONF_READONLY,
     "attr_ttl=0,negative_ttl=0,listing_ttl=0"},
};
CONF_TABLE(readonly, behaviours);
