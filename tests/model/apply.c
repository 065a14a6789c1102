/*
 * apply.c - does one step on the stack and on the reference, and compares what they answer.
 * Floor 4.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/model/model.h"

static int differs(model_run_t *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int differs(model_run_t *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(run->why, sizeof run->why, format, args);
    va_end(args);
    return 0;
}

static int same_status(model_run_t *run, const char *what, apr_status_t got, apr_status_t want)
{
    char a[100], b[100];
    if (got == want) return 1;
    return differs(run, "%s answered \"%s\", not \"%s\"", what, vfs_strerror(got, a, sizeof a),
                   vfs_strerror(want, b, sizeof b));
}

static int same_bytes(model_run_t *run, const char *what, const unsigned char *got,
                      const unsigned char *want, size_t len, uint64_t off)
{
    for (size_t i = 0; i < len; i++) {
        if (got[i] != want[i])
            return differs(run, "%s: byte %" PRIu64 " (%zu of %zu) is 0x%02x, not 0x%02x", what,
                           off + i, i, len, got[i], want[i]);
    }
    return 1;
}

static ref_node_t *slot_node(const model_run_t *run, uint32_t slot)
{
    return run->ref.slots[slot].node;
}

static int can(const model_run_t *run, uint32_t slot, uint32_t flag)
{
    return (run->ref.slots[slot].flags & flag) != 0;
}

/* Steps that would pass the limits of the reference are left out on both sides. */
static int fits(const model_run_t *run, const model_op_t *op)
{
    if (op->kind == MODEL_rename) {
        size_t from = strlen(op->path), to = strlen(op->path2);
        for (size_t i = 0; i < run->ref.count; i++) {
            size_t len = strlen(run->ref.entries[i].path);
            if (len + (to > from ? to - from : from - to) + 4 >= MODEL_PATH_MAX) return 0;
        }
    }
    return run->ref.count + 4 < MODEL_ENTRIES_MAX && op->off + op->len <= MODEL_FILE_MAX &&
           op->off2 + op->len <= MODEL_FILE_MAX;
}

static int do_open(model_run_t *run, const model_op_t *op)
{
    vfs_attr_t attr;
    if (slot_node(run, op->slot) != NULL) return 1; /* the slot is taken */
    apr_status_t want = ref_open(&run->ref, op->slot, op->path, op->flags);
    apr_status_t got =
        vfs_open(&run->files[op->slot], run->sut->fs, NULL, op->path, op->flags, 0644, &attr, NULL);
    if (!same_status(run, "open", got, want)) return 0;
    ref_node_t *node = slot_node(run, op->slot);
    if (got == APR_SUCCESS && !node->dir && attr.size != node->size)
        return differs(run, "size at open is %" PRIu64 ", not %" PRIu64, attr.size, node->size);
    return 1;
}

static int do_close(model_run_t *run, uint32_t slot)
{
    if (slot_node(run, slot) == NULL) return 1;
    ref_close(&run->ref, slot);
    vfs_file_t *file = run->files[slot];
    run->files[slot] = NULL;
    return same_status(run, "close", vfs_close(file, NULL), APR_SUCCESS);
}

static int do_read(model_run_t *run, const model_op_t *op)
{
    ref_node_t *node = slot_node(run, op->slot);
    size_t got = 0, want = 0;
    apr_status_t status = APR_SUCCESS;
    if (node == NULL) return 1;
    if (!can(run, op->slot, VFS_O_READ))
        status = APR_EBADF;
    else if (node->dir)
        status = APR_FROM_OS_ERROR(EISDIR);
    else if (op->off < node->size)
        want = node->size - op->off < op->len ? node->size - op->off : op->len;
    apr_status_t rv =
        vfs_read_at(run->files[op->slot], NULL, run->buf, op->len, (apr_off_t)op->off, &got);
    if (!same_status(run, "read", rv, status)) return 0;
    if (got != want) return differs(run, "read got %zu bytes, not %zu", got, want);
    return want == 0 || same_bytes(run, "read", run->buf, node->data + op->off, got, op->off);
}

static int do_write(model_run_t *run, const model_op_t *op, int append)
{
    ref_node_t *node = slot_node(run, op->slot);
    size_t written = 0;
    if (node == NULL) return 1;
    apr_status_t want = can(run, op->slot, VFS_O_WRITE) ? APR_SUCCESS : APR_EBADF;
    uint64_t off = append || can(run, op->slot, VFS_O_APPEND) ? node->size : op->off;
    if (off + op->len > MODEL_FILE_MAX) return 1;
    model_bytes(run->want, op->len, op->seed);
    apr_status_t got = vfs_write_at(run->files[op->slot], NULL, run->want, op->len,
                                    append ? VFS_OFFSET_END : (apr_off_t)op->off, &written, NULL);
    if (!same_status(run, "write", got, want)) return 0;
    if (written != (want == APR_SUCCESS ? op->len : 0))
        return differs(run, "%zu bytes were written of %" PRIu64, written, op->len);
    if (want == APR_SUCCESS) ref_write(node, off, run->want, op->len);
    return 1;
}

static int do_truncate(model_run_t *run, const model_op_t *op)
{
    ref_node_t *node;
    apr_status_t want = ref_lookup(&run->ref, op->path, &node);
    if (want == APR_SUCCESS) want = ref_resize(node, op->off);
    return same_status(run, "truncate",
                       vfs_truncate(run->sut->fs, NULL, op->path, (apr_off_t)op->off), want);
}

static int do_ftruncate(model_run_t *run, const model_op_t *op)
{
    ref_node_t *node = slot_node(run, op->slot);
    if (node == NULL) return 1;
    apr_status_t want = APR_EBADF;
    if (can(run, op->slot, VFS_O_WRITE)) want = ref_resize(node, op->off);
    return same_status(run, "ftruncate",
                       vfs_ftruncate(run->files[op->slot], NULL, (apr_off_t)op->off), want);
}

static int same_attr(model_run_t *run, const char *what, const vfs_attr_t *attr,
                     const ref_node_t *node)
{
    if ((attr->type == VFS_TYPE_DIR) != node->dir)
        return differs(run, "%s: the type is %d", what, (int)attr->type);
    if (attr->mode != node->mode && (vfs_caps(run->sut->fs)->bits & VFS_CAP_MODE))
        return differs(run, "%s: the mode is 0%o, not 0%o", what, attr->mode, node->mode);
    if (node->dir) return 1;
    if (attr->size != node->size)
        return differs(run, "%s: the size is %" PRIu64 ", not %" PRIu64, what, attr->size,
                       node->size);
    if (attr->nlink != node->nlink)
        return differs(run, "%s: %u links, not %u", what, attr->nlink, node->nlink);
    if (node->mtime_ns != 0 && attr->mtime_ns != node->mtime_ns)
        return differs(run, "%s: mtime is %" PRId64 ", not %" PRId64, what, attr->mtime_ns,
                       node->mtime_ns);
    return 1;
}

static int do_stat(model_run_t *run, const model_op_t *op)
{
    ref_node_t *node;
    vfs_attr_t attr;
    apr_status_t want = ref_lookup(&run->ref, op->path, &node);
    return same_status(run, "stat", vfs_stat(run->sut->fs, NULL, op->path, &attr), want) &&
           (want != APR_SUCCESS || same_attr(run, "stat", &attr, node));
}

static int do_fstat(model_run_t *run, const model_op_t *op)
{
    vfs_attr_t attr;
    ref_node_t *node = slot_node(run, op->slot);
    return node == NULL ||
           (same_status(run, "fstat", vfs_fstat(run->files[op->slot], NULL, &attr), APR_SUCCESS) &&
            same_attr(run, "fstat", &attr, node));
}

static int do_get(model_run_t *run, const model_op_t *op)
{
    ref_node_t *node;
    vfs_attr_t attr;
    size_t got = 0, expected = 0;
    apr_status_t want = ref_lookup(&run->ref, op->path, &node);
    apr_status_t rv = vfs_get(run->sut->fs, NULL, op->path, run->buf, op->len, &got, &attr, NULL);
    if (!same_status(run, "get", rv, want)) return 0;
    if (want != APR_SUCCESS) return 1;
    if (!node->dir) expected = node->size < op->len ? node->size : op->len;
    if (got != expected) return differs(run, "get got %zu bytes, not %zu", got, expected);
    return same_attr(run, "get", &attr, node) &&
           (expected == 0 || same_bytes(run, "get", run->buf, node->data, got, 0));
}

/* How many names are directly in `path`, and is `name` one of them? */
static size_t count_children(const ref_t *ref, const char *path, const char *name,
                             const ref_node_t **found)
{
    size_t count = 0, len = strcmp(path, "/") == 0 ? 0 : strlen(path);
    for (size_t i = 0; i < ref->count; i++) {
        const char *p = ref->entries[i].path;
        if (strncmp(p, path, len) != 0 || p[len] != '/' || p[len + 1] == '\0' ||
            strchr(p + len + 1, '/') != NULL)
            continue;
        count++;
        if (name != NULL && strcmp(p + len + 1, name) == 0) *found = ref->entries[i].node;
    }
    return count;
}

static int do_readdir(model_run_t *run, vfs_t *fs, const char *path)
{
    ref_node_t *node;
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    size_t seen = 0, expected = count_children(&run->ref, path, NULL, NULL);
    int same = 1;
    apr_status_t want = ref_lookup(&run->ref, path, &node);
    if (want == APR_SUCCESS && !node->dir) want = APR_ENOTDIR;
    if (!same_status(run, "opendir", vfs_opendir(&dir, fs, NULL, path, 0), want)) return 0;
    if (want != APR_SUCCESS) return 1;
    while (same && (want = vfs_readdir(dir, NULL, &entry)) == APR_SUCCESS) {
        const ref_node_t *child = NULL;
        (void)count_children(&run->ref, path, entry.name, &child);
        if (child == NULL)
            same = differs(run, "\"%s\" is listed in %s", entry.name, path);
        else if ((entry.type == VFS_TYPE_DIR) != child->dir)
            same = differs(run, "\"%s\" is listed with type %d", entry.name, (int)entry.type);
        seen++;
    }
    same = same && same_status(run, "readdir", want, APR_EOF);
    if (same && seen != expected)
        same = differs(run, "%zu names in %s, not %zu", seen, path, expected);
    return same_status(run, "closedir", vfs_closedir(dir), APR_SUCCESS) && same;
}

static int do_chmod(model_run_t *run, const model_op_t *op)
{
    ref_node_t *node;
    if (!(vfs_caps(run->sut->fs)->bits & VFS_CAP_MODE)) return 1;
    uint32_t mode = 0600 | (uint32_t)(op->seed & 0177);
    apr_status_t want = ref_lookup(&run->ref, op->path, &node);
    if (want == APR_SUCCESS) node->mode = node->dir ? mode | 0700 : mode;
    return same_status(run, "chmod",
                       vfs_chmod(run->sut->fs, NULL, op->path, node != NULL ? node->mode : mode, 0),
                       want);
}

static int do_utimens(model_run_t *run, const model_op_t *op)
{
    ref_node_t *node;
    if (!(vfs_caps(run->sut->fs)->bits & VFS_CAP_TIMES)) return 1;
    int64_t when = (int64_t)op->seed * 1000001;
    if (vfs_caps(run->sut->fs)->time_granularity_ns >= 1000000000u) when -= when % 1000000000;
    apr_status_t want = ref_lookup(&run->ref, op->path, &node);
    if (want == APR_SUCCESS) node->mtime_ns = when;
    return same_status(run, "utimens",
                       vfs_utimens(run->sut->fs, NULL, op->path, VFS_TIME_OMIT, when, 0), want);
}

static int do_rename(model_run_t *run, const model_op_t *op)
{
    apr_status_t want = ref_rename(&run->ref, op->path, op->path2, op->flags);
    apr_status_t got = vfs_rename(run->sut->fs, NULL, op->path, op->path2, op->flags);
    /* a server looks in an order of its own */
    if (want != APR_SUCCESS && (run->sut->traits & SUT_DEEP) &&
        ref_rename_fails(&run->ref, op->path, op->path2, op->flags, got))
        return 1;
    return same_status(run, "rename", got, want);
}

static int do_link(model_run_t *run, const model_op_t *op)
{
    if (!(vfs_caps(run->sut->fs)->bits & VFS_CAP_HARDLINK)) return 1;
    return same_status(run, "link", vfs_link(run->sut->fs, NULL, op->path, op->path2),
                       ref_link(&run->ref, op->path, op->path2));
}

static int do_allocate(model_run_t *run, const model_op_t *op)
{
    ref_node_t *node = slot_node(run, op->slot);
    if (node == NULL || node->dir || !(vfs_caps(run->sut->fs)->bits & VFS_CAP_ALLOCATE)) return 1;
    apr_status_t want = can(run, op->slot, VFS_O_WRITE) ? APR_SUCCESS : APR_EBADF;
    if (want == APR_SUCCESS) {
        uint64_t end = op->off + op->len, inside = end < node->size ? end : node->size;
        if ((op->flags & (VFS_ALLOC_PUNCH_HOLE | VFS_ALLOC_ZERO_RANGE)) && op->off < inside)
            memset(node->data + op->off, 0, inside - op->off);
        if (!(op->flags & VFS_ALLOC_KEEP_SIZE) && end > node->size) node->size = end;
        node->mtime_ns = 0;
    }
    return same_status(
        run, "allocate",
        vfs_allocate(run->files[op->slot], NULL, op->flags, (apr_off_t)op->off, (apr_off_t)op->len),
        want);
}

static int do_copy_range(model_run_t *run, const model_op_t *op)
{
    ref_node_t *src = slot_node(run, op->slot), *dst = slot_node(run, op->slot2);
    size_t copied = 0, expected = 0;
    if (src == NULL || dst == NULL || src == dst || src->dir || dst->dir) return 1;
    if (!(vfs_caps(run->sut->fs)->bits & VFS_CAP_COPY_RANGE)) return 1;
    int allowed = can(run, op->slot, VFS_O_READ) && can(run, op->slot2, VFS_O_WRITE) &&
                  !can(run, op->slot2, VFS_O_APPEND);
    apr_status_t rv = vfs_copy_range(run->files[op->slot], NULL, (apr_off_t)op->off,
                                     run->files[op->slot2], (apr_off_t)op->off2, op->len, &copied);
    if (!same_status(run, "copy_range", rv, allowed ? APR_SUCCESS : APR_EBADF)) return 0;
    if (allowed && op->off < src->size)
        expected = src->size - op->off < op->len ? src->size - op->off : op->len;
    if (copied != expected)
        return differs(run, "copy_range copied %zu bytes, not %zu", copied, expected);
    if (expected > 0) ref_write(dst, op->off2, src->data + op->off, expected);
    return 1;
}

static int do_sync(model_run_t *run, const model_op_t *op)
{
    vfs_file_t *file = run->files[op->slot];
    if (slot_node(run, op->slot) == NULL) return 1;
    if (op->kind == MODEL_flush)
        return same_status(run, "flush", vfs_flush(file, NULL), APR_SUCCESS);
    return same_status(run, "sync",
                       vfs_sync(file, NULL, op->seed % 2 ? VFS_SYNC_ALL : VFS_SYNC_DATA),
                       APR_SUCCESS);
}

/* What only a cache can do never changes what is read. */
static int do_cache(model_run_t *run, const model_op_t *op)
{
    vfs_t *cache = run->sut->cache;
    ref_node_t *node;
    uint64_t bytes = 0, fetched = 0;
    if (cache == NULL || cache != run->sut->fs) return 1;
    switch (op->kind) {
    case MODEL_invalidate:
        return same_status(run, "invalidate", cachefs_invalidate(cache, op->path, NULL, NULL), 0);
    case MODEL_prefix:
        return same_status(run, "invalidate_prefix",
                           cachefs_invalidate_prefix(cache, op->path, NULL, NULL), 0);
    case MODEL_clear:
        return same_status(run, "clear", cachefs_clear(cache, NULL), 0);
    case MODEL_flush_all:
        return same_status(run, "cachefs_flush", cachefs_flush(cache, NULL, NULL, 0), 0);
    default:
        break;
    }
    apr_status_t want = ref_lookup(&run->ref, op->path, &node);
    apr_status_t got = cachefs_prefetch_path(cache, NULL, op->path, &bytes, &fetched);
    if (want == APR_SUCCESS && node->dir)
        return got != APR_SUCCESS || differs(run, "a directory was prefetched");
    if (!same_status(run, "prefetch", got, want)) return 0;
    return want != APR_SUCCESS || bytes == node->size ||
           differs(run, "prefetch says %" PRIu64 " bytes, not %" PRIu64, bytes, node->size);
}

int model_step(model_run_t *run, const model_op_t *op)
{
    vfs_t *fs = run->sut->fs;
    if (!fits(run, op) ||
        !ref_claims(&run->ref, op, vfs_caps(fs)->bits, vfs_find_layer(fs, "objects") != NULL))
        return 1;
    switch (op->kind) {
    case MODEL_open:
        return do_open(run, op);
    case MODEL_close:
        return do_close(run, op->slot);
    case MODEL_read:
        return do_read(run, op);
    case MODEL_write:
        return do_write(run, op, 0);
    case MODEL_append:
        return do_write(run, op, 1);
    case MODEL_truncate:
        return do_truncate(run, op);
    case MODEL_ftruncate:
        return do_ftruncate(run, op);
    case MODEL_rename:
        return do_rename(run, op);
    case MODEL_unlink:
        return same_status(run, "unlink", vfs_unlink(fs, NULL, op->path),
                           ref_unlink(&run->ref, op->path));
    case MODEL_link:
        return do_link(run, op);
    case MODEL_mkdir:
        return same_status(run, "mkdir", vfs_mkdir(fs, NULL, op->path, 0755),
                           ref_mkdir(&run->ref, op->path));
    case MODEL_rmdir:
        return same_status(run, "rmdir", vfs_rmdir(fs, NULL, op->path),
                           ref_rmdir(&run->ref, op->path));
    case MODEL_readdir:
        return do_readdir(run, fs, op->path);
    case MODEL_stat:
        return do_stat(run, op);
    case MODEL_fstat:
        return do_fstat(run, op);
    case MODEL_chmod:
        return do_chmod(run, op);
    case MODEL_utimens:
        return do_utimens(run, op);
    case MODEL_sync:
    case MODEL_flush:
        return do_sync(run, op);
    case MODEL_get:
        return do_get(run, op);
    case MODEL_allocate:
        return do_allocate(run, op);
    case MODEL_copy_range:
        return do_copy_range(run, op);
    case MODEL_sync_fs:
        return same_status(run, "sync_fs", vfs_sync_fs(fs, NULL), APR_SUCCESS);
    default:
        return do_cache(run, op);
    }
}

apr_status_t model_start(model_run_t *run, sut_t *sut, const char *base, apr_pool_t *pool)
{
    memset(run, 0, sizeof *run);
    run->sut = sut;
    run->base = base;
    run->buf = malloc(MODEL_FILE_MAX);
    run->want = malloc(MODEL_FILE_MAX);
    ref_init(&run->ref, base);
    if (base[0] == '\0') {
        vfs_attr_t root; /* whoever made the root chose its mode */
        apr_status_t rv = vfs_stat(sut->fs, NULL, "/", &root);
        run->ref.entries[0].node->mode = root.mode;
        if (rv != APR_SUCCESS) return rv;
    }
    run->pool = pool;
    return APR_SUCCESS;
}

int model_close_all(model_run_t *run)
{
    int same = 1;
    for (uint32_t i = 0; i < MODEL_SLOTS; i++)
        same = do_close(run, i) && same;
    return same;
}

/* Nobody but us changes anything below. */
static int no_conflict(model_run_t *run)
{
    cachefs_stats_t stats = {.size = sizeof stats};
    if (run->sut->cache == NULL) return 1;
    return same_status(run, "stats", cachefs_stats(run->sut->cache, &stats), APR_SUCCESS) &&
           (stats.conflicts == 0 ||
            differs(run, "%" PRIu64 " conflicts with others were seen", stats.conflicts));
}

int model_compare(model_run_t *run, vfs_t *fs)
{
    if (fs == run->sut->fs && !no_conflict(run)) return 0;
    for (size_t i = 0; i < run->ref.count; i++) {
        const ref_entry_t *e = &run->ref.entries[i];
        vfs_attr_t attr;
        char *data = NULL;
        size_t len = 0;
        if (!same_status(run, e->path, vfs_stat(fs, NULL, e->path, &attr), APR_SUCCESS) ||
            !same_attr(run, e->path, &attr, e->node))
            return 0;
        if (e->node->dir) {
            if (!do_readdir(run, fs, e->path)) return 0;
            continue;
        }
        apr_status_t rv = vfs_read_file(&data, &len, fs, NULL, e->path, 0, run->pool);
        if (!same_status(run, e->path, rv, APR_SUCCESS)) return 0;
        if (len != e->node->size)
            return differs(run, "%s has %zu bytes, not %" PRIu64, e->path, len, e->node->size);
        if (!same_bytes(run, e->path, (unsigned char *)data, e->node->data, len, 0)) return 0;
    }
    return 1;
}

void model_end(model_run_t *run)
{
    ref_free(&run->ref);
    free(run->buf);
    free(run->want);
}
