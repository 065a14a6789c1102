/*
 * stage.c - what was written and is not below yet: extents of a file in the spool directory that
 * has no name. Floor 1, private to vfs/objects/. Knows no file system of ours.
 *
 * A byte lies in the spool file at its own offset, so an edit in the middle of a large file takes
 * the bytes that were written and no more, where the directory's file system has holes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vfs/objects/objects.h"

void objects__stage_init(stage_t *s, spool_t *spool, uint64_t size, uint64_t keep)
{
    *s = (stage_t){.spool = spool, .fd = -1, .size = size, .keep = keep};
}

static uint64_t bytes_of(const stage_t *s)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < s->count; i++)
        bytes += s->list[i].to - s->list[i].from;
    return bytes;
}

void objects__stage_end(stage_t *s)
{
    atomic_fetch_sub(&s->spool->used, bytes_of(s));
    if (s->fd >= 0) (void)close(s->fd); /* nobody wants its bytes any more */
    free(s->list);
    *s = (stage_t){.fd = -1};
}

apr_status_t objects__spool_file(const spool_t *spool, int *fd)
{
    char name[4096];
    int len = snprintf(name, sizeof(name), "%s/cachefs-spool-XXXXXX", spool->dir);
    if (len < 0 || (size_t)len >= sizeof(name)) return APR_ENAMETOOLONG;
    *fd = mkostemp(name, O_CLOEXEC); /* of mode 0600 */
    if (*fd < 0) return APR_FROM_OS_ERROR(errno);
    if (unlink(name) == 0) return APR_SUCCESS;
    apr_status_t status = APR_FROM_OS_ERROR(errno);
    (void)close(*fd); /* nothing was written */
    *fd = -1;
    return status;
}

size_t objects__stage_find(const stage_t *s, uint64_t off)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->list[mid].to > off)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

/* Bytes of [from, to) that are in no extent. */
static uint64_t new_bytes(const stage_t *s, uint64_t from, uint64_t to)
{
    uint64_t fresh = to - from;
    for (size_t i = objects__stage_find(s, from); i < s->count && s->list[i].from < to; i++) {
        uint64_t a = s->list[i].from > from ? s->list[i].from : from;
        uint64_t b = s->list[i].to < to ? s->list[i].to : to;
        fresh -= b - a;
    }
    return fresh;
}

/* Count bytes, against the limit if they are `limited`. */
static apr_status_t reserve(spool_t *spool, uint64_t bytes, int limited)
{
    uint64_t used = atomic_fetch_add(&spool->used, bytes);
    if (!limited || spool->max == 0 || used + bytes <= spool->max) return APR_SUCCESS;
    atomic_fetch_sub(&spool->used, bytes);
    return APR_ENOSPC;
}

/* So that adding an extent cannot fail. */
static apr_status_t make_room(stage_t *s)
{
    if (s->count < s->room) return APR_SUCCESS;
    size_t room = s->room ? s->room * 2 : 8;
    extent_t *list = realloc(s->list, room * sizeof(*list));
    if (list == NULL) return APR_ENOMEM;
    s->list = list;
    s->room = room;
    return APR_SUCCESS;
}

/* [from, to) is in the spool; it joins those that it meets or touches. */
static void add(stage_t *s, uint64_t from, uint64_t to)
{
    size_t first = from > 0 ? objects__stage_find(s, from - 1) : 0, end = first;
    for (; end < s->count && s->list[end].from <= to; end++) {
        if (s->list[end].from < from) from = s->list[end].from;
        if (s->list[end].to > to) to = s->list[end].to;
    }
    if (end == first) {
        VFS_ASSERT(s->count < s->room);
        memmove(s->list + first + 1, s->list + first, (s->count - first) * sizeof(*s->list));
        s->count++;
    } else if (end > first + 1) {
        memmove(s->list + first + 1, s->list + end, (s->count - end) * sizeof(*s->list));
        s->count -= end - first - 1;
    }
    s->list[first] = (extent_t){from, to};
}

static apr_status_t put_bytes(int fd, const char *buf, size_t len, uint64_t off, size_t *done)
{
    *done = 0;
    while (*done < len) {
        ssize_t n = pwrite(fd, buf + *done, len - *done, (off_t)(off + *done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return APR_FROM_OS_ERROR(n < 0 ? errno : EIO);
        *done += (size_t)n;
    }
    return APR_SUCCESS;
}

static apr_status_t put(stage_t *s, const void *buf, size_t len, uint64_t off, int limited,
                        size_t *written)
{
    *written = 0;
    uint64_t fresh = new_bytes(s, off, off + len);
    apr_status_t status = make_room(s);
    if (status == APR_SUCCESS) status = reserve(s->spool, fresh, limited);
    if (status != APR_SUCCESS) return status;
    if (s->fd < 0) status = objects__spool_file(s->spool, &s->fd);
    if (status == APR_SUCCESS) status = put_bytes(s->fd, buf, len, off, written);
    if (*written < len)
        atomic_fetch_sub(&s->spool->used, fresh - new_bytes(s, off, off + *written));
    if (*written == 0) return status;
    add(s, off, off + *written);
    if (s->size < off + *written) s->size = off + *written;
    return status;
}

apr_status_t objects__stage_write(stage_t *s, const void *buf, size_t len, uint64_t off,
                                  size_t *written)
{
    return put(s, buf, len, off, 1, written);
}

apr_status_t objects__stage_read(const stage_t *s, void *buf, size_t len, uint64_t off)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(s->fd, (char *)buf + done, len - done, (off_t)(off + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return APR_FROM_OS_ERROR(n < 0 ? errno : EIO);
        done += (size_t)n;
    }
    return APR_SUCCESS;
}

/* No extent is left at or behind `size`. */
static void drop_behind(stage_t *s, uint64_t size)
{
    uint64_t before = bytes_of(s);
    size_t left = objects__stage_find(s, size);
    if (left < s->count && s->list[left].from < size) s->list[left++].to = size;
    s->count = left;
    atomic_fetch_sub(&s->spool->used, before - bytes_of(s));
    /* only to give the disk its room back: nothing looks at what is in no extent */
    if (s->fd >= 0 && before != bytes_of(s)) (void)!ftruncate(s->fd, (off_t)size);
}

/* The spool file has zeros there, and takes no room for them where it can be without. */
static apr_status_t put_zeros(int fd, uint64_t from, uint64_t to)
{
    enum { PIECE = 64 << 10 };
    static const char zeros[PIECE];
    const int how = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    struct stat st;
    apr_status_t status = fstat(fd, &st) == 0 ? APR_SUCCESS : APR_FROM_OS_ERROR(errno);
    if (status == APR_SUCCESS && (uint64_t)st.st_size < to && ftruncate(fd, (off_t)to) != 0)
        status = APR_FROM_OS_ERROR(errno);
    if (status != APR_SUCCESS || (uint64_t)st.st_size <= from) return status; /* all is new */
    if (fallocate(fd, how, (off_t)from, (off_t)(to - from)) == 0) return APR_SUCCESS;
    while (from < to && status == APR_SUCCESS) {
        size_t n = to - from < PIECE ? (size_t)(to - from) : PIECE, done;
        status = put_bytes(fd, zeros, n, from, &done);
        from += n;
    }
    return status;
}

/* [from, to) becomes an extent of zeros. */
static apr_status_t zero(stage_t *s, uint64_t from, uint64_t to)
{
    uint64_t fresh = new_bytes(s, from, to);
    apr_status_t status = reserve(s->spool, fresh, 1);
    if (status != APR_SUCCESS) return status;
    if (s->fd < 0) status = objects__spool_file(s->spool, &s->fd);
    if (status == APR_SUCCESS) status = put_zeros(s->fd, from, to);
    if (status == APR_SUCCESS)
        add(s, from, to);
    else
        atomic_fetch_sub(&s->spool->used, fresh);
    return status;
}

/* No extent is left in [from, to), under which nothing shows. */
static void drop(stage_t *s, uint64_t from, uint64_t to)
{
    uint64_t before = bytes_of(s);
    size_t first = objects__stage_find(s, from), end = first;
    if (first < s->count && s->list[first].from < from) {
        VFS_ASSERT(s->count < s->room);
        memmove(s->list + first + 1, s->list + first, (s->count - first) * sizeof(*s->list));
        s->count++;
        s->list[first].to = from;
        s->list[first + 1].from = from;
        end = ++first;
    }
    while (end < s->count && s->list[end].to <= to)
        end++;
    if (end < s->count && s->list[end].from < to) s->list[end].from = to;
    memmove(s->list + first, s->list + end, (s->count - end) * sizeof(*s->list));
    s->count -= end - first;
    atomic_fetch_sub(&s->spool->used, before - bytes_of(s));
    /* only to give the disk its room back: nothing looks at what is in no extent */
    if (before != bytes_of(s)) (void)put_zeros(s->fd, from, to);
}

apr_status_t objects__stage_zero(stage_t *s, uint64_t from, uint64_t to)
{
    uint64_t shown = s->keep < from ? from : s->keep < to ? s->keep : to;
    apr_status_t status = make_room(s);
    if (status == APR_SUCCESS && shown > from) status = zero(s, from, shown);
    if (status == APR_SUCCESS) status = make_room(s);
    if (status == APR_SUCCESS && to > shown) drop(s, shown, to);
    return status;
}

void objects__stage_cut(stage_t *s, uint64_t size)
{
    drop_behind(s, size);
    if (s->keep > size) s->keep = size;
    s->size = size;
}

/* Those of `top` are counted already, and go. */
static apr_status_t copy_extent(stage_t *s, const stage_t *top, extent_t e)
{
    enum { PIECE = 256 << 10 };
    char *buf = malloc(PIECE);
    apr_status_t status = buf == NULL ? APR_ENOMEM : APR_SUCCESS;
    for (uint64_t at = e.from; at < e.to && status == APR_SUCCESS;) {
        size_t n = e.to - at < PIECE ? (size_t)(e.to - at) : PIECE, done;
        status = objects__stage_read(top, buf, n, at);
        if (status == APR_SUCCESS) status = put(s, buf, n, at, 0, &done);
        at += n;
    }
    free(buf);
    return status;
}

apr_status_t objects__stage_merge(stage_t *s, stage_t *top)
{
    apr_status_t status = APR_SUCCESS;
    drop_behind(s, top->keep); /* which `top` hides */
    if (s->keep > top->keep) s->keep = top->keep;
    for (size_t i = 0; i < top->count && status == APR_SUCCESS; i++)
        status = copy_extent(s, top, top->list[i]);
    if (status != APR_SUCCESS) return status;
    s->size = top->size;
    objects__stage_end(top);
    return APR_SUCCESS;
}
