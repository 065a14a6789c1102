/*
 * probe.c - for each capability the ops that must answer APR_ENOTIMPL without it. Floor 4.
 */
#include "tests/conformance/probe.h"

static apr_status_t zeros(void *baton, void *buf, size_t len, apr_off_t off)
{
    (void)baton;
    (void)off;
    memset(buf, 0, len);
    return APR_SUCCESS;
}

static void no_event(void *baton, uint32_t events, const char *path)
{
    (void)baton;
    (void)events;
    (void)path;
}

static void probe_links(conf_t *t, uint64_t missing)
{
    char buf[64];
    vfs_attr_t attr;
    if (missing & VFS_CAP_SYMLINK) {
        IS(APR_ENOTIMPL, vfs_symlink(t->fs, NULL, "f", "/new"));
        IS(APR_ENOTIMPL, vfs_readlink(t->fs, NULL, "/f", buf, sizeof buf, NULL));
    }
    if (missing & VFS_CAP_HARDLINK) IS(APR_ENOTIMPL, vfs_link(t->fs, NULL, "/f", "/new"));
    if (missing & VFS_CAP_SPECIAL)
        IS(APR_ENOTIMPL, vfs_mknod(t->fs, NULL, "/new", VFS_TYPE_FIFO, 0644, 0));
    if (missing & VFS_CAP_RENAME_NOREPLACE)
        IS(APR_ENOTIMPL, vfs_rename(t->fs, NULL, "/f", "/new", VFS_RENAME_NOREPLACE));
    IS(APR_ENOENT, vfs_lstat(t->fs, NULL, "/new", &attr));
}

static void probe_attrs(conf_t *t, uint64_t missing, vfs_file_t *f)
{
    char buf[64];
    size_t len = 0;
    if (missing & VFS_CAP_XATTR) {
        IS(APR_ENOTIMPL, vfs_setxattr(t->fs, NULL, "/f", "user.a", "v", 1, 0, 0));
        IS(APR_ENOTIMPL, vfs_getxattr(t->fs, NULL, "/f", "user.a", buf, sizeof buf, &len, 0));
        IS(APR_ENOTIMPL, vfs_listxattr(t->fs, NULL, "/f", buf, sizeof buf, &len, 0));
        IS(APR_ENOTIMPL, vfs_removexattr(t->fs, NULL, "/f", "user.a", 0));
        IS(APR_ENOTIMPL, vfs_fsetxattr(f, NULL, "user.a", "v", 1, 0));
        IS(APR_ENOTIMPL, vfs_fgetxattr(f, NULL, "user.a", buf, sizeof buf, &len));
        IS(APR_ENOTIMPL, vfs_flistxattr(f, NULL, buf, sizeof buf, &len));
        IS(APR_ENOTIMPL, vfs_fremovexattr(f, NULL, "user.a"));
    }
    if (missing & VFS_CAP_MODE) {
        IS(APR_ENOTIMPL, vfs_chmod(t->fs, NULL, "/f", 0600, 0));
        IS(APR_ENOTIMPL, vfs_fchmod(f, NULL, 0600));
    }
    if (missing & VFS_CAP_OWNER) {
        IS(APR_ENOTIMPL, vfs_chown(t->fs, NULL, "/f", 1, 1, 0));
        IS(APR_ENOTIMPL, vfs_fchown(f, NULL, 1, 1));
    }
    if (missing & VFS_CAP_TIMES) {
        IS(APR_ENOTIMPL, vfs_utimens(t->fs, NULL, "/f", 1, 1, 0));
        IS(APR_ENOTIMPL, vfs_futimens(f, NULL, 1, 1));
    }
}

static void probe_ranges(conf_t *t, uint64_t missing, vfs_file_t *f)
{
    apr_off_t where = 0;
    size_t copied = 0;
    vfs_lock_t lock = {VFS_LOCK_WRITE, 0, 0, 0, 0, 0};
    if (missing & VFS_CAP_SPARSE)
        IS(APR_ENOTIMPL, vfs_seek_extent(f, NULL, 0, VFS_SEEK_DATA, &where));
    if (missing & VFS_CAP_ALLOCATE) IS(APR_ENOTIMPL, vfs_allocate(f, NULL, 0, 0, 100));
    if (missing & VFS_CAP_SHIFT) {
        IS(APR_ENOTIMPL, vfs_allocate(f, NULL, VFS_ALLOC_COLLAPSE, 0, 4096));
        IS(APR_ENOTIMPL, vfs_allocate(f, NULL, VFS_ALLOC_INSERT, 0, 4096));
    }
    if (missing & VFS_CAP_COPY_RANGE)
        IS(APR_ENOTIMPL, vfs_copy_range(f, NULL, 0, f, 100, 4, &copied));
    if (missing & VFS_CAP_LOCK) IS(APR_ENOTIMPL, vfs_lock(f, NULL, &lock));
}

static void probe_objects(conf_t *t, uint64_t missing)
{
    vfs_commit_t how = VFS_COMMIT_INIT;
    vfs_source_t source = {zeros, NULL, 4};
    uint64_t watch = 0;
    if (missing & VFS_CAP_COMMIT)
        IS(APR_ENOTIMPL, vfs_commit(t->fs, NULL, "/f", &source, &how, NULL, NULL));
    if (missing & VFS_CAP_WATCH)
        IS(APR_ENOTIMPL, vfs_watch(t->fs, NULL, "/f", no_event, NULL, &watch));
}

void conf_probe(conf_t *t, uint64_t missing)
{
    if ((missing & CONF_RW) != 0 || !PUT("/f", "data")) {
        (void)conf_fail(HERE, "no behaviour applies without write, random write and directories");
        return;
    }
    NEED_OPEN(f, "/f", RW);
    probe_links(t, missing);
    probe_attrs(t, missing, f);
    probe_ranges(t, missing, f);
    probe_objects(t, missing);
    CLOSE(f);
    HOLDS("/f", "data");
}
