/*
 * crash_files.c - the ops of the crash shim that change bytes or attributes, and those that make
 * durable. Floor 1. Each notes what is durable, lets the lower do it, and logs what came of it.
 */
#include <stdlib.h>
#include <string.h>

#include "vfs/shims/crash.h"
#include "vfs/shims/shim.h"

/* NOLINTBEGIN(clang-analyzer-*): it cannot see that vfs__crash_leave hands its status on */

/* A change of bytes on its way: which file, read through what, logged as what. */
typedef struct bytes_t {
    crash_t *crash;
    crash_node_t *node; /**< NULL: the file has no name, so nothing of it can survive */
    crash_change_t *change;
    vfs_attr_t attr; /**< before */
} bytes_t;

/* ---- bytes */

/* Begin a change of an open file; `room` bytes of it will be logged. */
static apr_status_t bytes_begin(bytes_t *bytes, vfs_file_t *file, size_t room)
{
    bytes->crash = file->fs->state;
    bytes->node = NULL;
    bytes->change = NULL;
    apr_status_t status = vfs_fstat(file->lower, NULL, &bytes->attr);
    if (status != APR_SUCCESS) return status;
    if (bytes->attr.nlink == 0 || bytes->attr.type != VFS_TYPE_FILE) return APR_SUCCESS;
    bytes->change = vfs__crash_change(CRASH_SET_BYTES, room);
    bytes->node = bytes->change == NULL ? NULL : vfs__crash_node(bytes->crash, &bytes->attr);
    if (bytes->node != NULL) return APR_SUCCESS;
    free(bytes->change);
    bytes->change = NULL;
    return APR_ENOMEM;
}

static apr_status_t bytes_note(bytes_t *bytes, vfs_file_t *reader, uint64_t from, uint64_t to)
{
    if (bytes->node == NULL) return APR_SUCCESS;
    return vfs__crash_note_bytes(bytes->crash, bytes->node, reader, &bytes->attr, from, to);
}

/* End it: log the change if something was changed. */
static void bytes_end(bytes_t *bytes, int changed)
{
    if (bytes->node == NULL) return;
    if (changed)
        vfs__crash_log(bytes->crash, bytes->node, bytes->change);
    else
        free(bytes->change);
    vfs__crash_tidy(bytes->crash, bytes->node);
    vfs__crash_limit(bytes->crash);
}

/* The bytes [from, to) as the lower has them now become those of the change. */
static apr_status_t bytes_reread(bytes_t *bytes, vfs_file_t *reader, uint64_t from, uint64_t to)
{
    vfs_attr_t attr;
    if (bytes->node == NULL) return APR_SUCCESS;
    apr_status_t status = vfs_fstat(reader, NULL, &attr);
    if (status != APR_SUCCESS) return status;
    if (to > attr.size) to = attr.size;
    size_t len = from < to ? (size_t)(to - from) : 0;
    crash_change_t *change = vfs__crash_change(CRASH_SET_BYTES, len);
    if (change == NULL) return APR_ENOMEM;
    free(bytes->change);
    bytes->change = change;
    change->size = (int64_t)attr.size;
    change->off = from;
    return vfs_read_at(reader, NULL, change->bytes, len, (apr_off_t)from, &change->len);
}

/* A handle that writes through gives what it wrote to the disk at once. */
static void write_through(crash_t *crash, vfs_file_t *file, const vfs_attr_t *attr)
{
    crash_node_t *node =
        file->flags & VFS_O_SYNC ? vfs__crash_find(crash, attr->dev, attr->ino) : NULL;
    if (node != NULL) vfs__crash_file_durable(crash, node, 1);
}

static apr_status_t write_logged(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                 size_t count, apr_off_t off, size_t *written,
                                 vfs_validator_t *validator)
{
    crash_file_t *own = (crash_file_t *)file;
    bytes_t bytes;
    size_t len = vfs__shim_iov_len(iov, count);
    apr_status_t status = bytes_begin(&bytes, file, len);
    if (status != APR_SUCCESS) return status;
    uint64_t at = off == VFS_OFFSET_END ? bytes.attr.size : (uint64_t)off;
    status = bytes_note(&bytes, own->reader, at, at + len);
    if (status == APR_SUCCESS)
        status = vfs_call_writev_at(file->lower, ctx, iov, count, off, written, validator);
    if (bytes.change != NULL) {
        bytes.change->off = at;
        bytes.change->len = *written;
        size_t put = 0;
        for (size_t i = 0; i < count && put < *written; i++) {
            size_t n = *written - put < iov[i].len ? *written - put : iov[i].len;
            memcpy(bytes.change->bytes + put, iov[i].base, n);
            put += n;
        }
    }
    bytes_end(&bytes, *written > 0);
    if (status == APR_SUCCESS) write_through(bytes.crash, file, &bytes.attr);
    return status;
}

apr_status_t vfs__crash_writev_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                  size_t count, apr_off_t off, size_t *written,
                                  vfs_validator_t *validator)
{
    apr_status_t status = vfs__crash_enter(file->fs, ctx, &((crash_file_t *)file)->epoch, 0);
    if (status != APR_SUCCESS) return status;
    status = write_logged(file, ctx, iov, count, off, written, validator);
    return vfs__crash_leave(file->fs, status);
}

apr_status_t vfs__crash_write_at(vfs_file_t *file, const vfs_ctx_t *ctx, const void *buf,
                                 size_t len, apr_off_t off, size_t *written,
                                 vfs_validator_t *validator)
{
    union {
        const void *in;
        void *base;
    } bytes = {.in = buf}; /* a vector is of both kinds; a write only reads it */
    vfs_iovec_t iov = {.base = bytes.base, .len = len};
    return vfs__crash_writev_at(file, ctx, &iov, 1, off, written, validator);
}

apr_status_t vfs__crash_ftruncate(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t size)
{
    crash_file_t *own = (crash_file_t *)file;
    bytes_t bytes;
    apr_status_t status = vfs__crash_enter(file->fs, ctx, &own->epoch, 0);
    if (status != APR_SUCCESS) return status;
    status = bytes_begin(&bytes, file, 0);
    if (status != APR_SUCCESS) return vfs__crash_leave(file->fs, status);
    status = bytes_note(&bytes, own->reader, (uint64_t)size, bytes.attr.size);
    if (status == APR_SUCCESS) status = vfs_call_ftruncate(file->lower, ctx, size);
    if (bytes.change != NULL) bytes.change->size = size;
    bytes_end(&bytes, status == APR_SUCCESS);
    return vfs__crash_leave(file->fs, status);
}

/* Where a call ends that changes bytes within [from, to) in a way that only the lower knows. */
static uint64_t reach(const vfs_attr_t *attr, uint32_t flags, uint64_t end)
{
    int shifts = (flags & (VFS_ALLOC_COLLAPSE | VFS_ALLOC_INSERT)) != 0;
    return shifts && attr->size > end ? attr->size : end;
}

apr_status_t vfs__crash_allocate(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags,
                                 apr_off_t off, apr_off_t len)
{
    crash_file_t *own = (crash_file_t *)file;
    bytes_t bytes;
    apr_status_t status = vfs__crash_enter(file->fs, ctx, &own->epoch, 0);
    if (status != APR_SUCCESS) return status;
    status = bytes_begin(&bytes, file, 0);
    if (status != APR_SUCCESS) return vfs__crash_leave(file->fs, status);
    uint64_t from = (uint64_t)off;
    uint64_t to = reach(&bytes.attr, flags, from + (uint64_t)len);
    status = bytes_note(&bytes, own->reader, from, to);
    if (status == APR_SUCCESS) status = vfs_call_allocate(file->lower, ctx, flags, off, len);
    int changed = status == APR_SUCCESS;
    if (flags & VFS_ALLOC_INSERT) to += (uint64_t)len;
    if (changed) status = bytes_reread(&bytes, own->reader, from, to);
    bytes_end(&bytes, changed);
    return vfs__crash_leave(file->fs, status);
}

apr_status_t vfs__crash_copy_range(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                                   vfs_file_t *dst, apr_off_t dst_off, size_t len, size_t *copied)
{
    crash_file_t *own = (crash_file_t *)dst;
    bytes_t bytes;
    apr_status_t status = vfs__crash_check(src->fs->state, &((crash_file_t *)src)->epoch);
    if (status == APR_SUCCESS) status = vfs__crash_enter(dst->fs, ctx, &own->epoch, 0);
    if (status != APR_SUCCESS) return status;
    status = bytes_begin(&bytes, dst, 0);
    if (status != APR_SUCCESS) return vfs__crash_leave(dst->fs, status);
    uint64_t from = (uint64_t)dst_off;
    status = bytes_note(&bytes, own->reader, from, from + len);
    if (status == APR_SUCCESS)
        status = vfs_copy_range(src->lower, ctx, src_off, dst->lower, dst_off, len, copied);
    int changed = *copied > 0;
    if (changed && bytes.node != NULL) {
        apr_status_t again = bytes_reread(&bytes, own->reader, from, from + *copied);
        if (status == APR_SUCCESS) status = again;
    }
    bytes_end(&bytes, changed);
    if (status == APR_SUCCESS) write_through(bytes.crash, dst, &bytes.attr);
    return vfs__crash_leave(dst->fs, status);
}

/* By name: through a handle of our own that only reads what goes. */
static apr_status_t truncate_logged(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                    apr_off_t size)
{
    vfs_file_t *reader;
    bytes_t bytes;
    apr_status_t status = vfs_call_open(&reader, fs->lower, NULL, path, VFS_O_READ, 0, NULL, NULL);
    if (status != APR_SUCCESS) return status;
    vfs_file_t as_ours = {.fs = fs, .lower = reader};
    status = bytes_begin(&bytes, &as_ours, 0);
    if (status == APR_SUCCESS) {
        status = bytes_note(&bytes, reader, (uint64_t)size, bytes.attr.size);
        if (status == APR_SUCCESS) status = vfs_call_truncate(fs->lower, ctx, path, size);
        if (bytes.change != NULL) bytes.change->size = size;
        bytes_end(&bytes, status == APR_SUCCESS);
    }
    (void)vfs_close(reader, NULL); /* it only read */
    return status;
}

apr_status_t vfs__crash_truncate(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                 apr_off_t size)
{
    apr_status_t status = vfs__crash_visible(path, APR_ENOENT);
    if (status == APR_SUCCESS) status = vfs__crash_enter(fs, ctx, NULL, 0);
    if (status != APR_SUCCESS) return status;
    return vfs__crash_leave(fs, truncate_logged(fs, ctx, path, size));
}

/* ---- attributes */

/* A change of attributes on its way: of an open file, or of a name. */
typedef struct attrs_t {
    crash_t *crash;
    vfs_t *fs;
    vfs_file_t *file;
    const vfs_path_t *path;
    uint32_t flags; /**< VFS_NOFOLLOW */
    vfs_attr_t attr;
    crash_node_t *node;
    crash_change_t *change;
} attrs_t;

static apr_status_t attrs_get(const attrs_t *a, vfs_attr_t *attr)
{
    if (a->file != NULL) return vfs_call_fstat(a->file->lower, NULL, attr, NULL);
    if (a->flags & VFS_NOFOLLOW) return vfs_call_lstat(a->fs->lower, NULL, a->path, attr, NULL);
    return vfs_call_stat(a->fs->lower, NULL, a->path, attr, NULL);
}

/* Take the turn and make a change ready; with an error there is no turn. */
static apr_status_t attrs_begin(attrs_t *a, const vfs_ctx_t *ctx, crash_kind_e kind, size_t room)
{
    const uint64_t *epoch = a->file != NULL ? &((crash_file_t *)a->file)->epoch : NULL;
    apr_status_t status = a->path != NULL ? vfs__crash_visible(a->path, APR_ENOENT) : APR_SUCCESS;
    if (status == APR_SUCCESS) status = vfs__crash_enter(a->fs, ctx, epoch, 0);
    if (status != APR_SUCCESS) return status;
    a->crash = a->fs->state;
    status = attrs_get(a, &a->attr);
    if (status != APR_SUCCESS) return vfs__crash_leave(a->fs, status);
    a->change = vfs__crash_change(kind, room);
    if (a->change == NULL) return vfs__crash_leave(a->fs, APR_ENOMEM);
    if (a->attr.nlink == 0) return APR_SUCCESS;
    a->node = vfs__crash_node(a->crash, &a->attr);
    if (a->node != NULL) {
        vfs__crash_note_attrs(a->node, &a->attr);
        return APR_SUCCESS;
    }
    free(a->change);
    return vfs__crash_leave(a->fs, APR_ENOMEM);
}

static apr_status_t attrs_end(attrs_t *a, apr_status_t status, uint32_t mask)
{
    a->change->mask = mask;
    int changed = status == APR_SUCCESS && a->node != NULL;
    if (changed && a->change->kind == CRASH_SET_ATTRS) status = attrs_get(a, &a->change->attr);
    int same_mode = a->change->attr.mode == a->attr.mode; /* a chown may take bits away */
    if ((mask & CRASH_OWNER) && same_mode) a->change->mask &= ~CRASH_MODE;
    if (changed)
        vfs__crash_log(a->crash, a->node, a->change);
    else
        free(a->change);
    vfs__crash_tidy(a->crash, a->node);
    vfs__crash_limit(a->crash);
    return vfs__crash_leave(a->fs, status);
}

#define CRASH_ATTRS_FS(name, bits, params, args)                                                   \
    apr_status_t vfs__crash_##name(vfs_t *fs, VFS_UNPACK params)                                   \
    {                                                                                              \
        attrs_t a = {.fs = fs, .path = path, .flags = flags};                                      \
        apr_status_t status = attrs_begin(&a, ctx, CRASH_SET_ATTRS, 0);                            \
        if (status != APR_SUCCESS) return status;                                                  \
        return attrs_end(&a, vfs_call_##name(fs->lower, VFS_UNPACK args), bits);                   \
    }
#define CRASH_ATTRS_FILE(name, bits, params, args)                                                 \
    apr_status_t vfs__crash_##name(vfs_file_t *file, VFS_UNPACK params)                            \
    {                                                                                              \
        attrs_t a = {.fs = file->fs, .file = file};                                                \
        apr_status_t status = attrs_begin(&a, ctx, CRASH_SET_ATTRS, 0);                            \
        if (status != APR_SUCCESS) return status;                                                  \
        return attrs_end(&a, vfs_call_##name(file->lower, VFS_UNPACK args), bits);                 \
    }

CRASH_ATTRS_FS(chmod, CRASH_MODE,
               (const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t mode, uint32_t flags),
               (ctx, path, mode, flags))
CRASH_ATTRS_FS(chown, CRASH_OWNER | CRASH_MODE,
               (const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t uid, uint32_t gid,
                uint32_t flags),
               (ctx, path, uid, gid, flags))
CRASH_ATTRS_FS(utimens, CRASH_TIMES,
               (const vfs_ctx_t *ctx, const vfs_path_t *path, int64_t atime_ns, int64_t mtime_ns,
                uint32_t flags),
               (ctx, path, atime_ns, mtime_ns, flags))
CRASH_ATTRS_FILE(fchmod, CRASH_MODE, (const vfs_ctx_t *ctx, uint32_t mode), (ctx, mode))
CRASH_ATTRS_FILE(fchown, CRASH_OWNER | CRASH_MODE,
                 (const vfs_ctx_t *ctx, uint32_t uid, uint32_t gid), (ctx, uid, gid))
CRASH_ATTRS_FILE(futimens, CRASH_TIMES, (const vfs_ctx_t *ctx, int64_t atime_ns, int64_t mtime_ns),
                 (ctx, atime_ns, mtime_ns))

/* ---- extended attributes */

static apr_status_t xattr_get(const attrs_t *a, const char *name, void *buf, size_t size,
                              size_t *len)
{
    if (a->file != NULL) return vfs_call_fgetxattr(a->file->lower, NULL, name, buf, size, len);
    return vfs_call_getxattr(a->fs->lower, NULL, a->path, name, buf, size, len, a->flags);
}

/* Begin a change that has both values: the old one is read, `len` bytes of `value` are the new one.
 */
static apr_status_t xattr_begin(attrs_t *a, const vfs_ctx_t *ctx, const char *name,
                                const void *value, size_t len)
{
    enum { VALUE_MAX = 65536 };
    size_t old_len = 0;
    apr_status_t status = attrs_begin(a, ctx, CRASH_SET_XATTR, VALUE_MAX + len);
    if (status != APR_SUCCESS) return status;
    crash_change_t *change = a->change;
    if (strlen(name) < sizeof(change->name)) memcpy(change->name, name, strlen(name) + 1);
    status = xattr_get(a, name, change->bytes, VALUE_MAX, &old_len);
    int absent = status == VFS_ENODATA;
    if (status != APR_SUCCESS && !absent) return attrs_end(a, status, 0);
    if (absent) old_len = 0;
    if (!absent) change->old_len = (int64_t)old_len;
    change->len = len;
    change->gone = value == NULL;
    if (len > 0) memcpy(change->bytes + old_len, value, len);
    change->room = old_len + len;
    change = realloc(change, sizeof(*change) + change->room);
    if (change != NULL) a->change = change;
    return APR_SUCCESS;
}

apr_status_t vfs__crash_setxattr(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                 const char *name, const void *value, size_t len, uint32_t how,
                                 uint32_t flags)
{
    attrs_t a = {.fs = fs, .path = path, .flags = flags};
    apr_status_t status = xattr_begin(&a, ctx, name, value != NULL ? value : "", len);
    if (status != APR_SUCCESS) return status;
    status = vfs_call_setxattr(fs->lower, ctx, path, name, value, len, how, flags);
    return attrs_end(&a, status, 0);
}

apr_status_t vfs__crash_removexattr(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                    const char *name, uint32_t flags)
{
    attrs_t a = {.fs = fs, .path = path, .flags = flags};
    apr_status_t status = xattr_begin(&a, ctx, name, NULL, 0);
    if (status != APR_SUCCESS) return status;
    return attrs_end(&a, vfs_call_removexattr(fs->lower, ctx, path, name, flags), 0);
}

apr_status_t vfs__crash_fsetxattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name,
                                  const void *value, size_t len, uint32_t how)
{
    attrs_t a = {.fs = file->fs, .file = file};
    apr_status_t status = xattr_begin(&a, ctx, name, value != NULL ? value : "", len);
    if (status != APR_SUCCESS) return status;
    return attrs_end(&a, vfs_call_fsetxattr(file->lower, ctx, name, value, len, how), 0);
}

apr_status_t vfs__crash_fremovexattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name)
{
    attrs_t a = {.fs = file->fs, .file = file};
    apr_status_t status = xattr_begin(&a, ctx, name, NULL, 0);
    if (status != APR_SUCCESS) return status;
    return attrs_end(&a, vfs_call_fremovexattr(file->lower, ctx, name), 0);
}

/* ---- making durable */

/* We are the disk: a lower that knows nothing of durability does not stop us from having it. */
static apr_status_t forgive(apr_status_t status)
{
    return status == APR_ENOTIMPL ? APR_SUCCESS : status;
}

apr_status_t vfs__crash_flush(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    apr_status_t status = vfs__crash_enter(file->fs, ctx, &((crash_file_t *)file)->epoch, 0);
    if (status != APR_SUCCESS) return status;
    return vfs__crash_leave(file->fs, forgive(vfs_call_flush(file->lower, ctx)));
}

apr_status_t vfs__crash_sync(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags)
{
    crash_t *crash = file->fs->state;
    vfs_attr_t attr;
    apr_status_t status = vfs__crash_enter(file->fs, ctx, &((crash_file_t *)file)->epoch, 0);
    if (status != APR_SUCCESS) return status;
    status = forgive(vfs_call_sync(file->lower, ctx, flags));
    if (status == APR_SUCCESS) status = vfs_fstat(file->lower, NULL, &attr);
    crash_node_t *node = status == APR_SUCCESS ? vfs__crash_find(crash, attr.dev, attr.ino) : NULL;
    if (node != NULL && node->type == VFS_TYPE_DIR)
        vfs__crash_dir_durable(crash, node);
    else if (node != NULL)
        vfs__crash_file_durable(crash, node, (flags & VFS_SYNC_DATA) == 0);
    return vfs__crash_leave(file->fs, status);
}

apr_status_t vfs__crash_sync_dir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    crash_t *crash = fs->state;
    vfs_attr_t attr;
    apr_status_t status = vfs__crash_visible(path, APR_ENOENT);
    if (status == APR_SUCCESS) status = vfs__crash_enter(fs, ctx, NULL, 0);
    if (status != APR_SUCCESS) return status;
    status = forgive(vfs_call_sync_dir(fs->lower, ctx, path));
    if (status == APR_SUCCESS) status = vfs_call_stat(fs->lower, NULL, path, &attr, NULL);
    crash_node_t *node = status == APR_SUCCESS ? vfs__crash_find(crash, attr.dev, attr.ino) : NULL;
    if (node != NULL) vfs__crash_dir_durable(crash, node);
    return vfs__crash_leave(fs, status);
}

apr_status_t vfs__crash_sync_fs(vfs_t *fs, const vfs_ctx_t *ctx)
{
    apr_status_t status = vfs__crash_enter(fs, ctx, NULL, 0);
    if (status != APR_SUCCESS) return status;
    status = forgive(vfs_call_sync_fs(fs->lower, ctx));
    if (status == APR_SUCCESS) vfs__crash_all_durable(fs->state);
    return vfs__crash_leave(fs, status);
}

/* NOLINTEND(clang-analyzer-*) */
