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
};
CONF_TABLE(readonly, behaviours);
