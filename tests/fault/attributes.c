/*
 * attributes.c - calls about files that are not about their bytes: modes, times, extended
 * attributes, locks, extents, watches. Floor 4. None of this is kept in a cache longer than it is
 * true, so what a call says is compared with the backend.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/fault/sweep.h"

#define NAME "user.name"

static int below(sweep_t *s, const char *path, vfs_attr_t *attr)
{
    return path[0] != '\0' && vfs_lstat(s->sut.bottom, NULL, path, attr) == APR_SUCCESS;
}

/* The time is below, or staged for it. */
static int has_time(sweep_t *s, const char *path, int64_t mtime_ns)
{
    vfs_attr_t attr;
    if (below(s, path, &attr) && attr.mtime_ns == mtime_ns) return 1;
    return (s->sut.traits & SUT_STAGED) &&
           vfs_lstat(s->sut.lower, NULL, path, &attr) == APR_SUCCESS && attr.mtime_ns == mtime_ns;
}

/* What was asked for and granted is below, and what is told is what is below. */
static void check_attr(sweep_t *s, const char *what, const char *path, const vfs_attr_t *told)
{
    vfs_attr_t attr;
    if (!below(s, path, &attr)) return;
    if (told->mode != attr.mode)
        sweep_wrong(s, "%s says mode 0%o, and it is 0%o below", what, told->mode, attr.mode);
    if (told->nlink != attr.nlink)
        sweep_wrong(s, "%s says %u names, and there are %u below", what, told->nlink, attr.nlink);
}

/* A value that a call told is the one below. */
static void check_value(sweep_t *s, const char *what, const char *path, apr_status_t rv,
                        const char *value, size_t len)
{
    char real[16];
    size_t n = 0;
    if (!sweep_said(s, what, "", rv)) return;
    rv = vfs_getxattr(s->sut.bottom, NULL, path, NAME, real, sizeof real, &n, 0);
    if (rv != APR_SUCCESS || n != len || memcmp(real, value, n) != 0)
        sweep_wrong(s, "%s tells a value that is not below", what);
}

static int has_value(sweep_t *s, const char *path)
{
    size_t n = 0;
    return vfs_getxattr(s->sut.bottom, NULL, path, NAME, NULL, 0, &n, 0) == APR_SUCCESS;
}

void sweep_attributes(sweep_t *s, const char *path)
{
    char buf[64];
    size_t n = 0;
    vfs_attr_t attr;
    if (!below(s, path, &attr)) return;
    if (sweep_said(s, "setxattr", path, vfs_setxattr(s->fs, NULL, path, NAME, "one", 3, 0, 0)) &&
        !has_value(s, path))
        sweep_wrong(s, "setxattr said yes, and it is not below");
    if (has_value(s, path)) {
        apr_status_t rv = vfs_getxattr(s->fs, NULL, path, NAME, buf, sizeof buf, &n, 0);
        check_value(s, "getxattr", path, rv, buf, n);
    }
    (void)sweep_said(s, "listxattr", path,
                     vfs_listxattr(s->fs, NULL, path, buf, sizeof buf, &n, 0));
    if (has_value(s, path) &&
        sweep_said(s, "removexattr", path, vfs_removexattr(s->fs, NULL, path, NAME, 0)) &&
        has_value(s, path))
        sweep_wrong(s, "removexattr said yes, and it is still below");
    if (sweep_said(s, "chown", path, vfs_chown(s->fs, NULL, path, geteuid(), getegid(), 0)) &&
        sweep_said(s, "stat", path, vfs_stat(s->fs, NULL, path, &attr)))
        check_attr(s, "stat", path, &attr);
}

void sweep_attributes_open(sweep_t *s, track_t *t)
{
    char buf[64];
    size_t n = 0;
    vfs_attr_t attr;
    if (t->file == NULL || !below(s, t->path, &attr)) return;
    int moded = sweep_said(s, "fchmod", "", vfs_fchmod(t->file, NULL, 0640));
    (void)sweep_said(s, "fchown", "", vfs_fchown(t->file, NULL, geteuid(), getegid()));
    int timed = sweep_said(s, "futimens", "", vfs_futimens(t->file, NULL, 1000, 3000000000));
    (void)sweep_said(s, "fsetxattr", "", vfs_fsetxattr(t->file, NULL, NAME, "two", 3, 0));
    if (has_value(s, t->path)) {
        apr_status_t rv = vfs_fgetxattr(t->file, NULL, NAME, buf, sizeof buf, &n);
        check_value(s, "fgetxattr", t->path, rv, buf, n);
    }
    (void)sweep_said(s, "flistxattr", "", vfs_flistxattr(t->file, NULL, buf, sizeof buf, &n));
    if (has_value(s, t->path) &&
        sweep_said(s, "fremovexattr", "", vfs_fremovexattr(t->file, NULL, NAME)) &&
        has_value(s, t->path))
        sweep_wrong(s, "fremovexattr said yes, and it is still below");
    if (!sweep_said(s, "fstat", "", vfs_fstat(t->file, NULL, &attr))) return;
    check_attr(s, "fstat", t->path, &attr);
    if (moded && attr.mode != 0640)
        sweep_wrong(s, "fchmod said yes, and the mode is 0%o", attr.mode);
    if (timed && (attr.mtime_ns != 3000000000 || !has_time(s, t->path, 3000000000)))
        sweep_wrong(s, "futimens said yes, and mtime is another");
}

/* A lock that was granted keeps others out below, and goes with its handle, whatever failed. */
void sweep_locks(sweep_t *s, track_t *t)
{
    vfs_file_t *other = NULL;
    vfs_lock_t mine = {.type = VFS_LOCK_WRITE, .len = 100}, theirs;
    if (t->file == NULL || t->path[0] == '\0') return;
    int locked = sweep_said(s, "lock", "", vfs_lock(t->file, NULL, &mine));
    if (vfs_open(&other, s->sut.bottom, NULL, t->path, VFS_O_READ | VFS_O_WRITE, 0, NULL, NULL))
        return;
    theirs = (vfs_lock_t){.type = VFS_LOCK_WRITE, .len = 100, .owner = 99};
    apr_status_t rv = vfs_lock(other, NULL, &theirs);
    if (locked && rv == APR_SUCCESS) sweep_wrong(s, "a lock was granted, and others get it too");
    if (rv == APR_SUCCESS) {
        theirs.type = VFS_LOCK_UNLOCK;
        (void)vfs_lock(other, NULL, &theirs); /* of the backend, no fault */
    }
    mine.type = VFS_LOCK_UNLOCK;
    if (locked && sweep_said(s, "unlock", "", vfs_lock(t->file, NULL, &mine))) {
        theirs = (vfs_lock_t){.type = VFS_LOCK_WRITE, .len = 100, .owner = 99};
        rv = vfs_lock(other, NULL, &theirs);
        if (rv != APR_SUCCESS) sweep_wrong(s, "unlock said yes, and the lock is still there");
    }
    (void)vfs_close(other, NULL); /* nothing was written */
}

void sweep_extents(sweep_t *s, track_t *t)
{
    vfs_file_t *other = NULL;
    apr_off_t hole = -1, real = -2;
    if (t->file == NULL || t->path[0] == '\0') return;
    apr_status_t rv = vfs_seek_extent(t->file, NULL, 0, VFS_SEEK_HOLE, &hole);
    if (!sweep_said(s, "seek_extent", "", rv)) return;
    if (vfs_open(&other, s->sut.bottom, NULL, t->path, VFS_O_READ, 0, NULL, NULL)) return;
    if (vfs_seek_extent(other, NULL, 0, VFS_SEEK_HOLE, &real) == APR_SUCCESS && real != hole)
        sweep_wrong(s, "the first hole is at %ld, and below at %ld", (long)hole, (long)real);
    (void)vfs_close(other, NULL); /* only read */
}

static void hear(void *baton, uint32_t events, const char *path)
{
    (void)events;
    (void)path;
    (*(unsigned *)baton)++;
}

void sweep_watch(sweep_t *s)
{
    static unsigned heard; /* outlives a watch that could not be ended */
    uint64_t watch = 0;
    if (!sweep_said(s, "watch", "/", vfs_watch(s->fs, NULL, "/", hear, &heard, &watch))) return;
    (void)sweep_said(s, "unwatch", "", vfs_unwatch(s->fs, watch));
}
