/*
 * walk.c - visiting a tree. Floor 1.
 *
 * The directories on the way down are a stack in memory that is ours, one frame for each: its
 * names, read at once and sorted, and how far we are. No handle stays open and no lock is held
 * while the callback runs.
 */
#include <stdlib.h>
#include <string.h>

#include "vfs/internal.h"

typedef struct name_t {
    size_t at; /* in the frame's bytes */
    size_t len;
    int has_attr;
    vfs_attr_t attr;
} name_t;

typedef struct frame_t {
    struct frame_t *up;
    char *bytes; /* the names, each ended by a NUL */
    size_t bytes_len, bytes_max;
    name_t *names;
    size_t count, names_max;
    size_t next;
    uint32_t path_len; /* of the directory */
} frame_t;

typedef struct walk_t {
    vfs_t *fs;
    const vfs_ctx_t *ctx;
    vfs_walk_fn fn;
    void *baton;
    frame_t *top;
    char buf[VFS_PATH_MAX + 1]; /* the path of the moment */
} walk_t;

static void free_frame(frame_t *frame)
{
    free(frame->bytes);
    free(frame->names);
    free(frame);
}

/* Room for `need` more elements; *max grows by half. */
static int make_room(void **array, size_t count, size_t need, size_t *max, size_t size)
{
    if (*max - count >= need) return 1;
    size_t bigger = *max + *max / 2 + need + 16;
    void *moved = realloc(*array, bigger * size);
    if (moved == NULL) return 0;
    *array = moved;
    *max = bigger;
    return 1;
}

static apr_status_t add(frame_t *frame, const vfs_dirent_t *entry)
{
    void *bytes = frame->bytes;
    void *names = frame->names;
    int ok = make_room(&bytes, frame->bytes_len, entry->name_len + 1, &frame->bytes_max, 1) &&
             make_room(&names, frame->count, 1, &frame->names_max, sizeof(name_t));
    frame->bytes = bytes;
    frame->names = names;
    if (!ok) return APR_ENOMEM;
    name_t *name = &frame->names[frame->count++];
    name->at = frame->bytes_len;
    name->len = entry->name_len;
    name->has_attr = entry->has_attr;
    if (entry->has_attr) name->attr = entry->attr;
    memcpy(frame->bytes + name->at, entry->name, entry->name_len);
    frame->bytes[name->at + entry->name_len] = '\0';
    frame->bytes_len += entry->name_len + 1;
    return APR_SUCCESS;
}

static int by_bytes(const void *a, const void *b, void *bytes)
{
    const name_t *x = a, *y = b;
    return strcmp((char *)bytes + x->at, (char *)bytes + y->at);
}

/* Read the names of a directory. What was read before an error is in the frame. */
static apr_status_t read_names(walk_t *walk, const vfs_path_t *path, frame_t *frame)
{
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    apr_status_t status = vfs_call_opendir(&dir, walk->fs, walk->ctx, path, VFS_DIR_ATTRS);
    if (status != APR_SUCCESS) return status;
    while ((status = vfs_call_readdir(dir, walk->ctx, &entry)) == APR_SUCCESS) {
        status = add(frame, &entry);
        if (status != APR_SUCCESS) break;
    }
    apr_status_t closed = vfs_closedir(dir);
    if (frame->count > 1) {
        VFS_ASSERT(frame->names != NULL);
        qsort_r(frame->names, frame->count, sizeof(name_t), by_bytes, frame->bytes);
    }
    return status == APR_EOF ? closed : status;
}

/* Errors that say nothing about this one name, but end the walk. */
static int is_fatal(apr_status_t status)
{
    return status == VFS_ECANCELED || status == APR_TIMEUP || APR_STATUS_IS_ENOMEM(status);
}

static apr_status_t say(walk_t *walk, const vfs_attr_t *attr, apr_status_t status)
{
    if (is_fatal(status)) return status;
    return walk->fn(walk->baton, walk->buf, attr, status);
}

/* Visit the name at `path`, which is in walk->buf, and go into it if it is a directory. */
static apr_status_t visit(walk_t *walk, const vfs_path_t *path, const vfs_attr_t *attr)
{
    apr_status_t status = say(walk, attr, APR_SUCCESS);
    if (status == VFS_WALK_SKIP) return APR_SUCCESS;
    if (status != APR_SUCCESS || attr->type != VFS_TYPE_DIR) return status;
    frame_t *frame = calloc(1, sizeof(*frame));
    if (frame == NULL) return APR_ENOMEM;
    frame->path_len = path->len;
    status = read_names(walk, path, frame);
    frame->up = walk->top;
    walk->top = frame;
    if (status == APR_SUCCESS || APR_STATUS_IS_ENOENT(status)) return APR_SUCCESS;
    status = say(walk, attr, status);
    if (status == VFS_WALK_SKIP) {
        frame->next = frame->count;
        return APR_SUCCESS;
    }
    return status;
}

/* Take the next name of the frame on top. */
static apr_status_t step(walk_t *walk, frame_t *frame)
{
    name_t *name = &frame->names[frame->next++];
    vfs_path_t dir = {walk->buf, frame->path_len, 0, 0};
    vfs_path_t path;
    walk->buf[frame->path_len] = '\0';
    dir.hash = vfs_path_hash(dir.str, dir.len);
    apr_status_t status = vfs_path_join(&path, &dir, frame->bytes + name->at, name->len, walk->buf);
    if (status == APR_SUCCESS && !name->has_attr)
        status = vfs_call_lstat(walk->fs, walk->ctx, &path, &name->attr, NULL);
    if (status == APR_SUCCESS) return visit(walk, &path, &name->attr);
    if (APR_STATUS_IS_ENOENT(status)) return APR_SUCCESS; /* it went away under us */
    status = say(walk, NULL, status);
    return status == VFS_WALK_SKIP ? APR_SUCCESS : status;
}

static apr_status_t run(walk_t *walk, const vfs_path_t *start)
{
    vfs_attr_t attr;
    vfs_path_t path = *start;
    apr_status_t status = vfs_call_lstat(walk->fs, walk->ctx, start, &attr, NULL);
    if (start->str != walk->buf) memcpy(walk->buf, start->str, start->len + 1u);
    path.str = walk->buf;
    path.flags = 0;
    if (status != APR_SUCCESS) {
        status = say(walk, NULL, status);
        return status == VFS_WALK_SKIP ? APR_SUCCESS : status;
    }
    status = visit(walk, &path, &attr);
    while (status == APR_SUCCESS && walk->top != NULL) {
        frame_t *frame = walk->top;
        if (frame->next < frame->count) {
            status = step(walk, frame);
        } else {
            walk->top = frame->up;
            free_frame(frame);
        }
    }
    return status;
}

apr_status_t vfs_walk(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, vfs_walk_fn fn,
                      void *baton)
{
    walk_t walk = {fs, ctx, fn, baton, NULL, {0}};
    vfs_path_t start;
    vfs__assert_fs(fs);
    VFS_CHECK_ARG(fn != NULL);
    apr_status_t status = vfs_path_init(&start, path, walk.buf);
    if (status != APR_SUCCESS) return status;
    status = run(&walk, &start);
    while (walk.top != NULL) {
        frame_t *frame = walk.top;
        walk.top = frame->up;
        free_frame(frame);
    }
    return status == VFS_WALK_STOP ? APR_SUCCESS : status;
}
