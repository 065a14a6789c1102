/*
 * corfs_fill.c - one file on its way into the copy: a temporary file that gets the bytes as they
 * are read, in any order, and the file's name once it has them all. Floor 1. Best effort: what
 * fails ends the fill, not the read.
 *
 * Which bytes are there is a sorted list of disjoint ranges. It is short for a reader that goes
 * forward, or several of them; one that leaves more than RANGES_MAX gaps has its further pieces
 * dropped, and the file does not become complete through this handle.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "vfs/shims/corfs_fill.h"
#include "vfs/shims/shim.h"

#define RANGES_MAX 64u

typedef struct range_t {
    uint64_t start, end;
} range_t;

/*   state    file  means
 *   NEW      NULL  nothing came yet
 *   OPENING  NULL  one thread makes the temporary file; what others bring meanwhile is dropped
 *   OPEN     file  it takes bytes
 *   FULL     file  complete: no more bytes are taken; publish or free may end it
 *   ENDED    NULL  published, or failed */
typedef enum fill_state_e { NEW = 0, OPENING, OPEN, FULL, ENDED } fill_state_e;

struct corfs_fill_t {
    pthread_mutex_t lock; /**< guards state, ranges and nranges */
    fill_state_e state;
    range_t ranges[RANGES_MAX];
    size_t nranges;
    vfs_t *copy;
    vfs_file_t *file;
    vfs_attr_t attr;
    char temp[VFS_PATH_MAX + 1];
    char path[];
};

corfs_fill_t *vfs__corfs_fill_new(vfs_t *copy, const vfs_path_t *path, const vfs_attr_t *attr)
{
    corfs_fill_t *fill = calloc(1, sizeof(*fill) + path->len + 1);
    if (fill == NULL) return NULL;
    int err = pthread_mutex_init(&fill->lock, NULL);
    VFS_ASSERT(err == 0);
    fill->copy = copy;
    fill->attr = *attr;
    memcpy(fill->path, path->str, path->len + 1);
    return fill;
}

/* Add a range, merging it with those that it touches. lock is held. */
static void add_range(corfs_fill_t *fill, uint64_t start, uint64_t end)
{
    size_t from = 0;
    while (from < fill->nranges && fill->ranges[from].end < start)
        from++;
    size_t to = from;
    for (; to < fill->nranges && fill->ranges[to].start <= end; to++) {
        if (fill->ranges[to].start < start) start = fill->ranges[to].start;
        if (fill->ranges[to].end > end) end = fill->ranges[to].end;
    }
    if (to == from && fill->nranges == RANGES_MAX) return;
    memmove(&fill->ranges[from + 1], &fill->ranges[to],
            (fill->nranges - to) * sizeof(fill->ranges[0]));
    fill->ranges[from] = (range_t){.start = start, .end = end};
    fill->nranges = fill->nranges + 1 - (to - from);
}

static void set_state(corfs_fill_t *fill, fill_state_e state)
{
    pthread_mutex_lock(&fill->lock);
    fill->state = state;
    pthread_mutex_unlock(&fill->lock);
}

/* Make the temporary file if nobody did. Returns whether it is there. */
static int ready(corfs_fill_t *fill)
{
    char dir[VFS_PATH_MAX + 1];
    vfs_path_t path, parent;
    pthread_mutex_lock(&fill->lock);
    fill_state_e state = fill->state;
    if (state == NEW) fill->state = OPENING;
    pthread_mutex_unlock(&fill->lock);
    if (state != NEW) return state == OPEN;
    apr_status_t status = vfs_path_init(&path, fill->path, dir);
    VFS_ASSERT(status == APR_SUCCESS);
    (void)vfs_path_parent(&parent, &path, dir);
    status = vfs_mkdir_all(fill->copy, NULL, parent.str, 0755);
    if (status == APR_SUCCESS)
        status = vfs_temp_file(&fill->file, fill->copy, NULL, parent.str, ".corfs-", fill->temp,
                               sizeof(fill->temp));
    set_state(fill, status == APR_SUCCESS ? OPEN : ENDED);
    return status == APR_SUCCESS;
}

int vfs__corfs_fill_put(corfs_fill_t *fill, const vfs_iovec_t *iov, size_t count, uint64_t len,
                        uint64_t off)
{
    vfs_iovec_t head[SHIM_IOV_MAX];
    size_t written = 0;
    if (off + len > fill->attr.size || !ready(fill)) return 0;
    count = vfs__shim_iov_head(head, iov, count, (size_t)len);
    apr_status_t status = APR_SUCCESS;
    if (count > 0)
        status = vfs_writev_at(fill->file, NULL, head, count, (apr_off_t)off, &written, NULL);
    pthread_mutex_lock(&fill->lock);
    if (status == APR_SUCCESS && len > 0) add_range(fill, off, off + len);
    int covers =
        fill->nranges == 1 && fill->ranges[0].start == 0 && fill->ranges[0].end == fill->attr.size;
    int full = fill->state == OPEN && (covers || fill->attr.size == 0);
    if (full) fill->state = FULL;
    pthread_mutex_unlock(&fill->lock);
    return full;
}

/* The temporary file's time is set last, so that a copy is never valid before it is whole. */
void vfs__corfs_fill_publish(corfs_fill_t *fill)
{
    VFS_ASSERT(fill->state == FULL);
    apr_status_t status = vfs_futimens(fill->file, NULL, fill->attr.atime_ns, fill->attr.mtime_ns);
    apr_status_t closed = vfs_close(fill->file, NULL);
    fill->file = NULL;
    if (status == APR_SUCCESS) status = closed;
    if (status == APR_SUCCESS) status = vfs_rename(fill->copy, NULL, fill->temp, fill->path, 0);
    if (status != APR_SUCCESS) (void)vfs_unlink(fill->copy, NULL, fill->temp); /* best effort */
    set_state(fill, ENDED);
}

void vfs__corfs_fill_free(corfs_fill_t *fill)
{
    if (fill == NULL) return;
    if (fill->file != NULL) {
        (void)vfs_close(fill->file, NULL); /* what it says does not matter any more */
        (void)vfs_unlink(fill->copy, NULL, fill->temp);
    }
    pthread_mutex_destroy(&fill->lock);
    free(fill);
}
