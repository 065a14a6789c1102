/*
 * track.c - one call each, and what it leaves possible. Floor 4.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fault/sweep.h"

void sweep_wrong(sweep_t *s, const char *format, ...)
{
    va_list args;
    printf("FAIL [%s] %s: ", s->sut.spec, s->fault);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    s->wrong++;
}

int sweep_said(sweep_t *s, const char *what, const char *path, apr_status_t status)
{
    vfs_attr_t attr;
    if (status == APR_SUCCESS) return 1;
    if (APR_STATUS_IS_ENOTIMPL(status)) return 0; /* a stack that cannot do it at all */
    s->failed++;
    /* "It could not be asked" is no "it is not there". */
    if (APR_STATUS_IS_ENOENT(status) && path[0] != '\0' &&
        vfs_lstat(s->sut.bottom, NULL, path, &attr) == APR_SUCCESS)
        sweep_wrong(s, "%s of %s says that it does not exist, and it does", what, path);
    return 0;
}

static void fill(unsigned char *data, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i++)
        data[i] =
            (unsigned char)((seed * 131 + i * 7 + i / 251) | 1); /* never the zero of a hole */
}

static int same(const content_t *a, const unsigned char *data, size_t len)
{
    return a->len == len && memcmp(a->data, data, len) == 0;
}

static int is_possible(const track_t *t, const unsigned char *data, size_t len)
{
    for (size_t i = 0; i < t->count; i++) {
        if (same(&t->can[i], data, len)) return 1;
    }
    return 0;
}

/* Another content that may be there. */
static void add(sweep_t *s, track_t *t, const content_t *content)
{
    if (is_possible(t, content->data, content->len)) return;
    if (t->count == TRACK_CANDIDATES) {
        sweep_wrong(s, "more contents of %s are possible than the scenario keeps", t->path);
        return;
    }
    t->can[t->count++] = *content;
}

static void settle(track_t *t, const unsigned char *data, size_t len)
{
    memset(t->can[0].data, 0, TRACK_BYTES);
    if (len > 0) memcpy(t->can[0].data, data, len);
    t->can[0].len = len;
    t->count = 1;
}

static int is_back(const sweep_t *s)
{
    return (s->sut.traits & (SUT_BACK | SUT_STAGED)) != 0; /* a staged one likewise */
}

/* What the backend holds at `path`. @return 0: nothing. */
static int bottom_read(sweep_t *s, const char *path, unsigned char **data, size_t *len)
{
    char *text = NULL;
    if (path[0] == '\0' ||
        vfs_read_file(&text, len, s->sut.bottom, NULL, path, TRACK_BYTES, s->pool) != APR_SUCCESS)
        return 0;
    *data = (unsigned char *)text;
    return 1;
}

void track_check_bottom(sweep_t *s, track_t *t, const char *when)
{
    unsigned char *data;
    size_t len;
    if (t->path[0] == '\0') return;
    if (!bottom_read(s, t->path, &data, &len)) {
        sweep_wrong(s, "%s is not below %s", t->path, when);
        return;
    }
    if (!is_possible(t, data, len)) {
        size_t at = 0;
        while (at < len && at < t->can[0].len && data[at] == t->can[0].data[at])
            at++;
        sweep_wrong(s, "%s is wrong below %s: %zu bytes, not %zu; the first wrong one is %zu",
                    t->path, when, len, t->can[0].len, at);
        return;
    }
    settle(t, data, len);
}

/* After a call that failed, where calls go below at once: what happened is what is below. */
static void look_below(sweep_t *s, track_t *t, const char *what)
{
    if (!is_back(s)) track_check_bottom(s, t, what);
}

void track_create(sweep_t *s, track_t *t, const char *path)
{
    vfs_attr_t attr;
    apr_status_t rv =
        vfs_open(&t->file, s->fs, NULL, path, VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE | VFS_O_TRUNC,
                 0644, NULL, NULL);
    t->path[0] = '\0';
    t->count = 0;
    if (sweep_said(s, "create", path, rv) ||
        vfs_lstat(s->sut.bottom, NULL, path, &attr) == APR_SUCCESS) {
        strcpy(t->path, path);
        settle(t, NULL, 0);
    }
}

void track_open(sweep_t *s, track_t *t)
{
    vfs_attr_t attr;
    if (t->path[0] == '\0') return;
    apr_status_t rv =
        vfs_open(&t->file, s->fs, NULL, t->path, VFS_O_READ | VFS_O_WRITE, 0, &attr, NULL);
    if (!sweep_said(s, "open", t->path, rv)) return;
    for (size_t i = 0; i < t->count; i++) {
        if (t->can[i].len == attr.size) return;
    }
    sweep_wrong(s, "open of %s says %lu bytes", t->path, (unsigned long)attr.size);
}

static void overlay(content_t *c, size_t off, const unsigned char *bytes, size_t len)
{
    memcpy(c->data + off, bytes, len);
    if (len > 0 && off + len > c->len) c->len = off + len;
}

/* A write of `len` bytes failed after `written`: those are in, of the others any may be. */
static void write_failed(sweep_t *s, track_t *t, apr_off_t off, const unsigned char *bytes,
                         size_t len, size_t written)
{
    unsigned char *data;
    size_t below;
    content_t *old = malloc(sizeof *old), *c = malloc(sizeof *c);
    if (is_back(s)) {
        size_t count = t->count;
        for (size_t i = 0; i < count; i++) {
            size_t at = off == VFS_OFFSET_END ? t->can[i].len : (size_t)off;
            overlay(&t->can[i], at, bytes, written);
            *c = t->can[i];
            overlay(c, at, bytes, len);
            if (written > 0) continue; /* what was not accepted is not there */
            add(s, t, c);
        }
    } else if (bottom_read(s, t->path, &data, &below)) {
        *old = t->can[0];
        size_t at = off == VFS_OFFSET_END ? old->len : (size_t)off;
        int fits = below >= old->len;
        for (size_t i = 0; i < below && fits; i++) {
            int is_new = i >= at && i < at + len && data[i] == bytes[i - at];
            fits = is_new || (data[i] == old->data[i] && !(i >= at && i < at + written));
        }
        if (!fits)
            sweep_wrong(
                s, "a write to %s that failed after %zu of %zu bytes left something else below",
                t->path, written, len);
        settle(t, data, below);
    }
    free(old);
    free(c);
}

/* Three pieces of the same bytes. */
static void split(vfs_iovec_t iov[3], unsigned char *bytes, size_t len)
{
    size_t third = len / 3;
    iov[0] = (vfs_iovec_t){bytes, third};
    iov[1] = (vfs_iovec_t){bytes + third, third};
    iov[2] = (vfs_iovec_t){bytes + 2 * third, len - 2 * third};
}

static void write_bytes(sweep_t *s, track_t *t, apr_off_t off, size_t len, uint64_t seed,
                        int pieces)
{
    unsigned char *bytes;
    vfs_iovec_t iov[3];
    size_t written = 0;
    if (t->file == NULL) return;
    bytes = malloc(len);
    fill(bytes, len, seed);
    split(iov, bytes, len);
    apr_status_t rv = pieces ? vfs_writev_at(t->file, NULL, iov, 3, off, &written, NULL)
                             : vfs_write_at(t->file, NULL, bytes, len, off, &written, NULL);
    if (sweep_said(s, "write", "", rv)) {
        for (size_t i = 0; i < t->count; i++)
            overlay(&t->can[i], off == VFS_OFFSET_END ? t->can[i].len : (size_t)off, bytes, len);
        look_below(s, t, "after a write");
    } else {
        write_failed(s, t, off, bytes, len, written);
    }
    free(bytes);
}

void track_write(sweep_t *s, track_t *t, apr_off_t off, size_t len, uint64_t seed)
{
    write_bytes(s, t, off, len, seed, 0);
}

void track_writev(sweep_t *s, track_t *t, apr_off_t off, size_t len, uint64_t seed)
{
    write_bytes(s, t, off, len, seed, 1);
}

static apr_status_t give(void *baton, void *buf, size_t len, apr_off_t off)
{
    memcpy(buf, ((content_t *)baton)->data + off, len);
    return APR_SUCCESS;
}

static void cut(content_t *c, size_t size)
{
    if (size < c->len) memset(c->data + size, 0, c->len - size);
    c->len = size;
}

/* A change that `rv` says was made, or may have been: `made` is what each content would be. */
static void changed(sweep_t *s, track_t *t, const content_t *made, size_t count, apr_status_t rv,
                    const char *what)
{
    if (sweep_said(s, what, "", rv)) {
        t->count = 0;
        for (size_t i = 0; i < count; i++)
            add(s, t, &made[i]);
    } else {
        for (size_t i = 0; i < count; i++)
            add(s, t, &made[i]);
    }
    look_below(s, t, what);
}

void track_truncate(sweep_t *s, track_t *t, size_t size, int by_path)
{
    if (by_path ? t->path[0] == '\0' : t->file == NULL) return;
    content_t *made = malloc(TRACK_CANDIDATES * sizeof *made);
    memcpy(made, t->can, t->count * sizeof *made);
    for (size_t i = 0; i < t->count; i++)
        cut(&made[i], size);
    apr_status_t rv = by_path ? vfs_truncate(s->fs, NULL, t->path, (apr_off_t)size)
                              : vfs_ftruncate(t->file, NULL, (apr_off_t)size);
    changed(s, t, made, t->count, rv, "after a truncate");
    free(made);
}

void track_punch(sweep_t *s, track_t *t, size_t off, size_t len)
{
    if (t->file == NULL) return;
    content_t *made = malloc(TRACK_CANDIDATES * sizeof *made);
    memcpy(made, t->can, t->count * sizeof *made);
    for (size_t i = 0; i < t->count; i++) {
        if (off < made[i].len)
            memset(made[i].data + off, 0, off + len < made[i].len ? len : made[i].len - off);
    }
    apr_status_t rv = vfs_allocate(t->file, NULL, VFS_ALLOC_PUNCH_HOLE | VFS_ALLOC_KEEP_SIZE,
                                   (apr_off_t)off, (apr_off_t)len);
    changed(s, t, made, t->count, rv, "after punching");
    free(made);
}

void track_copy(sweep_t *s, track_t *from, track_t *to, size_t off, size_t len)
{
    size_t copied = 0;
    if (from->file == NULL || to->file == NULL || from->count != 1 || to->count != 1)
        return; /* with more than one of each there is too much that may be */
    if (from->can[0].len < len) return;
    content_t *made = malloc(sizeof *made);
    *made = to->can[0];
    overlay(made, off, from->can[0].data, len);
    apr_status_t rv = vfs_copy_range(from->file, NULL, 0, to->file, (apr_off_t)off, len, &copied);
    if (rv == APR_SUCCESS && copied != len)
        sweep_wrong(s, "copy_range copied %zu of %zu bytes", copied, len);
    changed(s, to, made, 1, rv, "after copy_range");
    free(made);
}

void track_commit(sweep_t *s, track_t *t, size_t len, uint64_t seed)
{
    if (t->path[0] == '\0') return;
    content_t *made = calloc(1, sizeof *made);
    fill(made->data, len, seed);
    made->len = len;
    vfs_source_t source = {give, made, len};
    apr_status_t rv = vfs_commit(s->fs, NULL, t->path, &source, NULL, NULL, NULL);
    if (!APR_STATUS_IS_ENOTIMPL(rv)) changed(s, t, made, 1, rv, "after a commit");
    free(made);
}

/* Bytes that were read are one of the contents; from now on it is that one. */
static void check_read(sweep_t *s, track_t *t, const unsigned char *data, size_t len,
                       const char *how)
{
    if (is_possible(t, data, len)) {
        settle(t, data, len);
        return;
    }
    size_t at = 0;
    while (at < len && at < t->can[0].len && data[at] == t->can[0].data[at])
        at++;
    sweep_wrong(s, "%s of %s: %zu bytes, not %zu; the first wrong one is %zu", how, t->path, len,
                t->can[0].len, at);
}

static void read_bytes(sweep_t *s, track_t *t, int pieces)
{
    static unsigned char buf[TRACK_BYTES];
    size_t got = 0;
    if (t->file == NULL) return;
    vfs_iovec_t iov[3];
    split(iov, buf, sizeof buf);
    apr_status_t rv = pieces ? vfs_readv_at(t->file, NULL, iov, 3, 0, &got)
                             : vfs_read_at(t->file, NULL, buf, sizeof buf, 0, &got);
    if (sweep_said(s, "read", "", rv))
        check_read(s, t, buf, got, "a read");
    else if (got != 0)
        sweep_wrong(s, "a read that failed says %zu bytes", got);
}

void track_read(sweep_t *s, track_t *t)
{
    read_bytes(s, t, 0);
}

void track_readv(sweep_t *s, track_t *t)
{
    read_bytes(s, t, 1);
}

void track_get(sweep_t *s, track_t *t)
{
    static unsigned char buf[TRACK_BYTES];
    size_t got = 0;
    vfs_attr_t attr;
    if (t->path[0] == '\0') return;
    apr_status_t rv = vfs_get(s->fs, NULL, t->path, buf, sizeof buf, &got, &attr, NULL);
    if (!sweep_said(s, "get", t->path, rv)) return;
    check_read(s, t, buf, got, "get");
    if (attr.size != got)
        sweep_wrong(s, "get of %s says %lu bytes and gives %zu", t->path, (unsigned long)attr.size,
                    got);
}

void track_sync(sweep_t *s, track_t *t, int flush_only)
{
    if (t->file == NULL) return;
    apr_status_t rv = flush_only ? vfs_flush(t->file, NULL) : vfs_sync(t->file, NULL, VFS_SYNC_ALL);
    int said = sweep_said(s, flush_only ? "flush" : "sync", "", rv);
    if (said && (flush_only || !(s->sut.traits & SUT_JOURNAL)))
        track_check_bottom(s, t, flush_only ? "after flush said so" : "after sync said so");
}

/* Is there such a name, below or staged for it? */
static int has_name(sweep_t *s, const char *path)
{
    vfs_attr_t attr;
    if (vfs_lstat(s->sut.bottom, NULL, path, &attr) == APR_SUCCESS) return 1;
    return (s->sut.traits & SUT_STAGED) &&
           vfs_lstat(s->sut.lower, NULL, path, &attr) == APR_SUCCESS;
}

void track_rename(sweep_t *s, track_t *t, const char *to)
{
    vfs_attr_t attr;
    char dir[32];
    if (t->path[0] == '\0') return;
    snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(to, '/') - to), to);
    int has_dir = dir[0] == '\0' || vfs_lstat(s->sut.bottom, NULL, dir, &attr) == APR_SUCCESS;
    apr_status_t rv = vfs_rename(s->fs, NULL, t->path, to, 0);
    if (!sweep_said(s, "rename", has_dir ? t->path : "", rv) && has_name(s, t->path))
        return; /* it was not done */
    strcpy(t->path, to);
}

void track_exchange(sweep_t *s, track_t *a, track_t *b)
{
    vfs_attr_t old = {0}, new = {0};
    char path[sizeof a->path];
    if (a->path[0] == '\0' || b->path[0] == '\0') return;
    if (vfs_lstat(s->sut.bottom, NULL, a->path, &old) != APR_SUCCESS) return;
    apr_status_t rv = vfs_rename(s->fs, NULL, a->path, b->path, VFS_RENAME_EXCHANGE);
    int said = sweep_said(s, "exchange", a->path, rv);
    int done = vfs_lstat(s->sut.bottom, NULL, a->path, &new) == APR_SUCCESS && new.ino != old.ino;
    if (said && !done) sweep_wrong(s, "exchange said yes, and nothing has changed below");
    if (!done) return;
    strcpy(path, a->path);
    strcpy(a->path, b->path);
    strcpy(b->path, path);
}

void track_unlink(sweep_t *s, track_t *t)
{
    if (t->path[0] == '\0') return;
    if (!sweep_said(s, "unlink", t->path, vfs_unlink(s->fs, NULL, t->path)) && has_name(s, t->path))
        return; /* it was not done */
    t->path[0] = '\0';
}

void track_close(sweep_t *s, track_t *t)
{
    if (t->file == NULL) return;
    apr_status_t rv = vfs_close(t->file, NULL);
    t->file = NULL;
    if (sweep_said(s, "close", "", rv) && !(s->sut.traits & SUT_LAZY_CLOSE))
        track_check_bottom(s, t, "after close said so");
}

/* As vfs_read_file; but what closing says does not count: a flush that met the last faults may end
 * only now, and its error is for all who have the file open. */
static apr_status_t read_again(sweep_t *s, const char *path, char **data, size_t *len)
{
    vfs_file_t *file;
    vfs_attr_t attr;
    apr_status_t rv = vfs_open(&file, s->fs, NULL, path, VFS_O_READ, 0, &attr, NULL);
    if (rv != APR_SUCCESS) return rv;
    *data = apr_palloc(s->pool, TRACK_BYTES + 1);
    rv = vfs_read_at(file, NULL, *data, TRACK_BYTES + 1, 0, len);
    (void)vfs_close(file, NULL);
    return rv;
}

void track_check_end(sweep_t *s, track_t *t)
{
    char *data = NULL, text[100];
    size_t len = 0;
    vfs_attr_t attr;
    if (t->path[0] == '\0') return;
    apr_status_t rv = read_again(s, t->path, &data, &len);
    if (rv != APR_SUCCESS) {
        sweep_wrong(s, "%s cannot be read when the faults are gone: %s", t->path,
                    vfs_strerror(rv, text, sizeof text));
        return;
    }
    check_read(s, t, (unsigned char *)data, len, "reading again");
    rv = vfs_stat(s->fs, NULL, t->path, &attr);
    if (rv != APR_SUCCESS || attr.size != len)
        sweep_wrong(s, "stat of %s says %lu bytes, and %zu were read", t->path,
                    (unsigned long)attr.size, len);
}
