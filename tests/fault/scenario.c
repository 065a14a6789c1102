/*
 * scenario.c - what programs do with files, once through: create, write, read, cut, rename, list,
 * warm, remove. Floor 4. Every call may fail; what a failure leaves possible is kept by track.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/fault/sweep.h"

static int exists_below(sweep_t *s, const char *path)
{
    vfs_attr_t attr;
    if (vfs_lstat(s->sut.bottom, NULL, path, &attr) == APR_SUCCESS) return 1;
    /* what could not be committed is staged */
    return (s->sut.traits & SUT_STAGED) &&
           vfs_lstat(s->sut.lower, NULL, path, &attr) == APR_SUCCESS;
}

static void make_dir(sweep_t *s, const char *path)
{
    apr_status_t rv = vfs_mkdir(s->fs, NULL, path, 0755);
    (void)sweep_said(s, "mkdir", "", rv); /* whether it is there shows in what follows */
    if (rv == APR_SUCCESS && !exists_below(s, path))
        sweep_wrong(s, "mkdir of %s succeeded, and it is not below", path);
}

/* A listing that succeeds names what is below, no more and no less. */
static void list_dir(sweep_t *s, const char *path, uint32_t flags)
{
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    size_t count = 0, below = 0, again = 0;
    apr_status_t rv = vfs_opendir(&dir, s->fs, NULL, path, flags);
    if (!sweep_said(s, "opendir", path, rv)) return;
    while ((rv = vfs_readdir(dir, NULL, &entry)) == APR_SUCCESS) {
        char full[300];
        snprintf(full, sizeof full, "%s/%s", strcmp(path, "/") == 0 ? "" : path, entry.name);
        if (!exists_below(s, full)) sweep_wrong(s, "%s is listed, and it is not below", full);
        if (strstr(entry.name, ".conflict-")) /* nobody else writes */
            sweep_wrong(s, "%s is our own work, taken for that of others", full);
        count++;
    }
    int whole = rv == APR_EOF;
    if (whole && sweep_said(s, "seekdir", "", vfs_seekdir(dir, NULL, 0))) { /* the same again */
        while ((rv = vfs_readdir(dir, NULL, &entry)) == APR_SUCCESS)
            again++;
        if (rv == APR_EOF && again != count)
            sweep_wrong(s, "%zu names are listed in %s, and %zu then", count, path, again);
    }
    if (!whole) (void)sweep_said(s, "readdir", "", rv);
    (void)sweep_said(s, "closedir", "", vfs_closedir(dir));
    if (!whole || vfs_opendir(&dir, s->sut.bottom, NULL, path, 0) != APR_SUCCESS) return;
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS)
        below++;
    (void)vfs_closedir(dir); /* of a backend in memory, only read */
    if (count != below && !((s->sut.traits & SUT_STAGED) && count > below))
        sweep_wrong(s, "%zu names are listed in %s, and %zu are below", count, path, below);
}

/* A call that makes or takes away a name, and succeeds, has done it below. */
static void name_is(sweep_t *s, const char *what, const char *path, apr_status_t rv, int there)
{
    if (sweep_said(s, what, "", rv) && exists_below(s, path) != there)
        sweep_wrong(s, "%s of %s said yes, and it is %s below", what, path,
                    there ? "not" : "still");
}

/* Names of all kinds, and what belongs to them; none of them is left, if nothing fails. */
static void other_names(sweep_t *s)
{
    char text[64];
    size_t n = 0;
    vfs_statfs_t room;
    name_is(s, "symlink", "/l", vfs_symlink(s->fs, NULL, "d/away", "/l"), 1);
    if (exists_below(s, "/l")) {
        apr_status_t rv = vfs_readlink(s->fs, NULL, "/l", text, sizeof text, &n);
        if (sweep_said(s, "readlink", "/l", rv) && strcmp(text, "d/away") != 0)
            sweep_wrong(s, "readlink answers %s", text);
        name_is(s, "unlink", "/l", vfs_unlink(s->fs, NULL, "/l"), 0);
    }
    name_is(s, "mknod", "/n", vfs_mknod(s->fs, NULL, "/n", VFS_TYPE_FILE, 0600, 0), 1);
    if (exists_below(s, "/n")) {
        name_is(s, "link", "/m", vfs_link(s->fs, NULL, "/n", "/m"), 1);
        if (exists_below(s, "/m")) name_is(s, "unlink", "/m", vfs_unlink(s->fs, NULL, "/m"), 0);
        (void)sweep_said(s, "access", "/n", vfs_access(s->fs, NULL, "/n", VFS_ACCESS_READ));
        (void)sweep_said(s, "chown", "/n", vfs_chown(s->fs, NULL, "/n", geteuid(), getegid(), 0));
        name_is(s, "unlink", "/n", vfs_unlink(s->fs, NULL, "/n"), 0);
    }
    name_is(s, "mkdir", "/e", vfs_mkdir(s->fs, NULL, "/e", 0700), 1);
    if (exists_below(s, "/e")) name_is(s, "rmdir", "/e", vfs_rmdir(s->fs, NULL, "/e"), 0);
    (void)sweep_said(s, "statfs", "/", vfs_statfs(s->fs, NULL, "/", &room));
}

static void look_at(sweep_t *s, const char *path)
{
    vfs_attr_t attr;
    apr_status_t rv = vfs_stat(s->fs, NULL, path, &attr);
    if (rv == APR_SUCCESS && !exists_below(s, path))
        sweep_wrong(s, "stat finds %s, and it is not below", path);
    if (!APR_STATUS_IS_ENOENT(rv) || exists_below(s, path)) (void)sweep_said(s, "stat", path, rv);
}

static void set_attributes(sweep_t *s, const char *path)
{
    vfs_attr_t attr;
    if (!exists_below(s, path)) return;
    int chmod_ok = sweep_said(s, "chmod", path, vfs_chmod(s->fs, NULL, path, 0600, 0));
    int times_ok =
        sweep_said(s, "utimens", path, vfs_utimens(s->fs, NULL, path, 1000000000, 2000000000, 0));
    (void)sweep_said(s, "setxattr", path, vfs_setxattr(s->fs, NULL, path, "user.a", "v", 1, 0, 0));
    if (!sweep_said(s, "stat", path, vfs_stat(s->fs, NULL, path, &attr))) return;
    if (chmod_ok && attr.mode != 0600)
        sweep_wrong(s, "chmod of %s said yes, and the mode is 0%o", path, attr.mode);
    if (times_ok && attr.mtime_ns != 2000000000)
        sweep_wrong(s, "utimens of %s said yes, and mtime is another", path);
}

/* Names that are no files of their own. What a failure left shows in what is found and listed. */
static void make_names(sweep_t *s, const char *path)
{
    char text[100];
    size_t len;
    if (sweep_said(s, "symlink", "", vfs_symlink(s->fs, NULL, ".", "/d/link")) &&
        !exists_below(s, "/d/link"))
        sweep_wrong(s, "symlink said yes, and it is not below");
    look_at(s, "/d/link");
    if (exists_below(s, "/d/link") &&
        sweep_said(s, "readlink", "/d/link",
                   vfs_readlink(s->fs, NULL, "/d/link", text, sizeof text, &len)) &&
        strcmp(text, ".") != 0)
        sweep_wrong(s, "the link says %s", text);
    if (sweep_said(s, "link", path, vfs_link(s->fs, NULL, path, "/d/hard")) &&
        !exists_below(s, "/d/hard"))
        sweep_wrong(s, "link said yes, and it is not below");
    look_at(s, "/d/hard");
    (void)sweep_said(s, "mknod", "", vfs_mknod(s->fs, NULL, "/d/fifo", VFS_TYPE_FIFO, 0600, 0));
    look_at(s, "/d/fifo");
    make_dir(s, "/d/e");
    list_dir(s, "/d", 0);
}

static void remove_names(sweep_t *s)
{
    static const char *const names[] = {"/d/link", "/d/hard", "/d/fifo"};
    for (size_t i = 0; i < 3; i++) {
        if (exists_below(s, names[i]) &&
            sweep_said(s, "unlink", names[i], vfs_unlink(s->fs, NULL, names[i])) &&
            exists_below(s, names[i]))
            sweep_wrong(s, "unlink of %s said yes, and it is below", names[i]);
        look_at(s, names[i]);
    }
    if (exists_below(s, "/d/e") && sweep_said(s, "rmdir", "/d/e", vfs_rmdir(s->fs, NULL, "/d/e")) &&
        exists_below(s, "/d/e"))
        sweep_wrong(s, "rmdir said yes, and it is below");
    look_at(s, "/d/e");
    list_dir(s, "/d", VFS_DIR_ATTRS);
}

static void warm(sweep_t *s, const track_t *t)
{
    uint64_t bytes, fetched;
    if (s->sut.cache == NULL || t->path[0] == '\0') return;
    (void)sweep_said(s, "prefetch", t->path,
                     cachefs_prefetch_path(s->sut.cache, NULL, t->path, &bytes, &fetched));
}

static void forget(sweep_t *s)
{
    if (s->sut.cache != NULL && cachefs_clear(s->sut.cache, NULL) != APR_SUCCESS)
        sweep_wrong(s, "clear failed");
}

static void write_and_read(sweep_t *s, track_t *a, track_t *b)
{
    track_create(s, a, "/a");
    track_write(s, a, 0, 4000, 1);
    track_write(s, a, 4000, 6000, 2);
    track_sync(s, a, 0);
    track_write(s, a, 9000, 3000, 3);
    track_read(s, a);
    track_close(s, a);
    track_create(s, b, "/d/b");
    track_write(s, b, 0, 20000, 4);
    track_close(s, b);
    track_open(s, a);
    track_read(s, a);
    track_write(s, a, 5000, 100, 5);
    track_write(s, a, VFS_OFFSET_END, 300, 6);
    track_sync(s, a, 1);
    track_readv(s, a);
    track_writev(s, a, 300, 900, 16);
    sweep_locks(s, a);
    sweep_attributes_open(s, a);
    track_close(s, a);
    forget(s);
    track_open(s, b);
    track_write(s, b, 7000, 50, 7); /* into a block that is not there */
    track_read(s, b);
    track_close(s, b);
}

static void cut_and_move(sweep_t *s, track_t *a, track_t *b)
{
    look_at(s, "/a");
    look_at(s, "/missing");
    list_dir(s, "/", VFS_DIR_ATTRS);
    track_truncate(s, a, 4000, 1);
    track_get(s, a);
    track_open(s, b);
    track_truncate(s, b, 15000, 0);
    track_write(s, b, 18000, 500, 8);
    track_read(s, b);
    track_punch(s, b, 2000, 9000);
    track_open(s, a);
    track_copy(s, a, b, 12000, 2000);
    track_close(s, a);
    sweep_extents(s, b);
    track_sync(s, b, 0);
    track_close(s, b);
    sweep_attributes(s, b->path);
    track_rename(s, a, "/d/c");
    track_rename(s, b, "/b");
    track_get(s, a);
    track_get(s, b);
    list_dir(s, "/d", 0);
    list_dir(s, "/", 0);
}

static void make_and_exchange(sweep_t *s, track_t *a, track_t *b)
{
    if (b->path[0] != '\0') make_names(s, b->path);
    track_open(s, a);
    track_write(s, a, 50, 500, 12);
    track_open(s, b);
    track_write(s, b, 70, 700, 13);
    track_exchange(s, a, b);
    track_write(s, a, 60, 600, 14);
    track_write(s, b, 80, 800, 15);
    track_close(s, a);
    track_close(s, b);
    track_get(s, a);
    track_exchange(s, a, b);
    track_get(s, b);
    remove_names(s);
}

static void remove_and_warm(sweep_t *s, track_t *a, track_t *b, track_t *c)
{
    set_attributes(s, "/b");
    track_open(s, a);
    track_write(s, a, 100, 200, 9);
    track_unlink(s, a);
    track_read(s, a);
    track_close(s, a);
    track_create(s, c, "/d/new");
    track_write(s, c, 0, 8192, 10);
    track_rename(s, c, "/d/moved"); /* while it is open, and dirty perhaps */
    track_write(s, c, 8192, 8192, 11);
    track_close(s, c);
    forget(s);
    warm(s, b);
    warm(s, c);
    track_get(s, b);
    track_open(s, c);
    track_read(s, c);
    track_close(s, c);
    track_commit(s, c, 5000, 17);
    track_open(s, c);
    track_write(s, c, 4000, 2000, 18);
    track_commit(s, c, 6000, 19); /* over a file that is open, and dirty perhaps */
    track_close(s, c);
    track_get(s, c);
    sweep_watch(s);
    (void)sweep_said(s, "sync_fs", "", vfs_sync_fs(s->fs, NULL));
    (void)sweep_said(s, "sync_dir", "/d", vfs_sync_dir(s->fs, NULL, "/d"));
}

void sweep_scenario(sweep_t *s)
{
    track_t *t = s->tracks;
    make_dir(s, "/d");
    write_and_read(s, &t[0], &t[1]);
    cut_and_move(s, &t[0], &t[1]);
    make_and_exchange(s, &t[0], &t[1]);
    remove_and_warm(s, &t[0], &t[1], &t[2]);
    other_names(s);
    list_dir(s, "/", 0);
    list_dir(s, "/d", VFS_DIR_ATTRS);
}
