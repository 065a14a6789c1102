/*
 * file.c - open files of the local backend: opening with attributes and version, get, bytes, sync,
 * extents. Floor 2. read_at and write_at are one system call each: nothing is added to them.
 */
#include "backends/local/local.h"

#include <errno.h>
#include <stdlib.h>

#define FETCH_TURNS 4

/* No system says how coarse the stamps of a file system are. One without a part below the second
 * may have been rounded: a second change can hide behind it for so long. One in 10^9 of fine stamps
 * looks like that by chance, and is then young for longer, which is only slower. ctime decides, for
 * mtime can be set to anything. */
void local__validate(const vfs_attr_t *attr, int64_t asked_ns, vfs_validator_t *validator)
{
    int coarse = attr->ctime_ns % 1000000000 == 0;
    uint64_t step_ns = LOCAL_GRANULARITY_NS + (coarse ? LOCAL_COARSE_NS : 0);
    vfs_validator_from_attr(validator, attr, asked_ns, step_ns);
}

uint64_t local__print(const vfs_attr_t *attr)
{
    uint64_t print = (uint64_t)attr->ctime_ns * 0x9e3779b97f4a7c15u;
    print = (print ^ (print >> 29) ^ (uint64_t)attr->mtime_ns) * 0xbf58476d1ce4e5b9u;
    print = (print ^ (print >> 32) ^ attr->size) * 0x94d049bb133111ebu;
    return print | 1;
}

static apr_status_t open_fd(local_t *self, const vfs_ctx_t *ctx, const vfs_path_t *path,
                            uint32_t flags, uint32_t mode, int *fd, int *direct, vfs_attr_t *attr)
{
    port_creds_t creds;
    *direct = 0;
    apr_status_t status = port__creds_enter(&self->root, ctx, &creds);
    if (status != APR_SUCCESS) return status;
    if (flags & VFS_O_CREATE) {
        status = local__open_create(self, &creds, ctx, path->str, flags, mode, fd, direct, attr);
    } else {
        status = port__open(&self->root, path->str, flags, fd, direct);
        if (status == APR_SUCCESS) {
            status = port__stat(*fd, attr);
            if (status != APR_SUCCESS) port__close(*fd);
        }
    }
    port__creds_leave(&creds);
    return status;
}

apr_status_t local__open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                         uint32_t flags, uint32_t mode, vfs_attr_t *attr,
                         vfs_validator_t *validator)
{
    int direct;
    int64_t asked_ns = vfs_now_ns();
    local_file_t *own = malloc(sizeof(*own));
    if (own == NULL) return APR_ENOMEM;
    apr_status_t status = open_fd(local__of(fs), ctx, path, flags, mode, &own->fd, &direct, attr);
    if (direct) attr->flags |= VFS_ATTR_DIRECT;
    if (status != APR_SUCCESS) {
        free(own);
        return status;
    }
    own->direct = direct ? VFS_ATTR_DIRECT : 0;
    own->uses = NULL;
    atomic_init(&own->seen, local__print(attr));
    vfs_file_init(&own->base, fs, flags, NULL);
    local__validate(attr, asked_ns, validator);
    *file = &own->base;
    return APR_SUCCESS;
}

apr_status_t local__close(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    local_file_t *own = local__file(file);
    (void)ctx; /* a close is never cancelled */
    local__locks_end(local__of(file->fs), own);
    apr_status_t status = port__close_checked(own->fd);
    free(own);
    return status;
}

/* What can be looked at, but not opened: a socket, a device without a driver. */
static apr_status_t look_only(const port_root_t *root, const char *path, vfs_attr_t *attr)
{
    int ref;
    int direct;
    apr_status_t status = port__open(root, path, PORT_O_PATH, &ref, &direct);
    if (status != APR_SUCCESS) return status;
    status = port__access(ref, VFS_ACCESS_READ);
    if (status == APR_SUCCESS) status = port__stat(ref, attr);
    port__close(ref);
    return status;
}

/* The first bytes of a file that `attr` was read of, with the version that they belong to, as in
 * local__fetch. attr: as it is then. */
static apr_status_t get_bytes(int fd, int64_t asked_ns, void *buf, size_t len, size_t *got,
                              vfs_attr_t *attr, vfs_validator_t *validator)
{
    for (int turn = 0; turn < FETCH_TURNS; turn++) {
        uint64_t before = local__print(attr);
        apr_status_t status = port__read(fd, buf, len, 0, got);
        int64_t again_ns = vfs_now_ns();
        if (status == APR_SUCCESS) status = port__stat(fd, attr);
        if (status != APR_SUCCESS) return status;
        if (local__print(attr) == before) {
            local__validate(attr, asked_ns, validator);
            return APR_SUCCESS;
        }
        asked_ns = again_ns;
    }
    return VFS_ESTALE;
}

apr_status_t local__get(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, void *buf,
                        size_t len, size_t *got, vfs_attr_t *attr, vfs_validator_t *validator)
{
    const port_root_t *root = &local__of(fs)->root;
    port_creds_t creds;
    int fd = -1;
    int direct;
    int64_t asked_ns = vfs_now_ns();
    apr_status_t status = port__creds_enter(root, ctx, &creds);
    if (status != APR_SUCCESS) return status;
    status = port__open(root, path->str, VFS_O_READ, &fd, &direct);
    if (status == APR_SUCCESS) {
        status = port__stat(fd, attr);
    } else if (status == APR_FROM_OS_ERROR(ENXIO)) {
        status = look_only(root, path->str, attr);
    }
    port__creds_leave(&creds);
    if (status == APR_SUCCESS && attr->type == VFS_TYPE_FILE && len > 0) {
        status = get_bytes(fd, asked_ns, buf, len, got, attr, validator);
    } else if (status == APR_SUCCESS) {
        local__validate(attr, asked_ns, validator);
    }
    if (direct) attr->flags |= VFS_ATTR_DIRECT; /* the one that counts after APR_ENOENT */
    port__close(fd);
    return status;
}

/* ---- bytes */

apr_status_t local__read_at(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                            apr_off_t off, size_t *got)
{
    (void)ctx; /* the right to read was checked by open */
    return port__read(local__file(file)->fd, buf, len, off, got);
}

apr_status_t local__readv_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                             size_t count, apr_off_t off, size_t *got)
{
    (void)ctx; /* as above */
    return port__readv(local__file(file)->fd, iov, count, off, got);
}

/* The bytes belong to a version if it was there before the read and still is after it. What was
 * there before is known from the last look at the file, so that this is one call more than a read,
 * not two. If it has changed since, the bytes are read again; a file that changes faster than it
 * can be read has no version that could be told. A version that was young when the read began is
 * told as young: a change under the read can have left its stamps as they were. */
apr_status_t local__fetch(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                          size_t count, apr_off_t off, size_t *got, vfs_validator_t *validator)
{
    local_file_t *own = local__file(file);
    vfs_attr_t attr;
    vfs_validator_t now;
    uint64_t before = atomic_load_explicit(&own->seen, memory_order_acquire);
    if (before == 0) {
        apr_status_t status = local__fstat(file, ctx, &attr, &now);
        if (status != APR_SUCCESS) return status;
        before = local__print(&attr);
    }
    for (int turn = 0; turn < FETCH_TURNS; turn++) {
        int64_t begun_ns = vfs_now_ns();
        apr_status_t status = port__readv(own->fd, iov, count, off, got);
        if (status == APR_SUCCESS) status = local__fstat(file, ctx, &attr, &now);
        if (status != APR_SUCCESS) return status;
        uint64_t after = local__print(&attr);
        if (after == before) {
            local__validate(&attr, begun_ns, validator);
            return APR_SUCCESS;
        }
        before = after;
    }
    return APR_SUCCESS;
}

static int has_creds(const vfs_ctx_t *ctx)
{
    return ctx != NULL && (ctx->flags & VFS_CTX_CREDS) != 0;
}

/* What was known of the file is so no more: a fetch that trusted it would read twice. */
static int about_to_write(vfs_file_t *file)
{
    local_file_t *own = local__file(file);
    atomic_store_explicit(&own->seen, 0, memory_order_relaxed);
    return own->fd;
}

/* The bytes are to be written, with the caller's rights: whose write it is counts for the set-id
 * bits, which a write of an ordinary user clears, and for quotas. */
static apr_status_t put(vfs_file_t *file, const vfs_ctx_t *ctx, int fd, const vfs_iovec_t *iov,
                        size_t count, apr_off_t off, size_t *written)
{
    if (!has_creds(ctx)) return port__writev(fd, iov, count, off, written);
    port_creds_t creds;
    apr_status_t status = port__creds_enter(&local__of(file->fs)->root, ctx, &creds);
    if (status != APR_SUCCESS) return status;
    status = port__writev(fd, iov, count, off, written);
    port__creds_leave(&creds);
    return status;
}

/* A write of a file while some sync has failed, or that syncs: what it makes good, and what it may
 * lose. */
static apr_status_t put_noted(vfs_file_t *file, const vfs_ctx_t *ctx, int fd,
                              const vfs_iovec_t *iov, size_t count, apr_off_t off, size_t *written)
{
    local_t *self = local__of(file->fs);
    pthread_mutex_t *syncing = NULL;
    if (file->flags & VFS_O_SYNC) {
        apr_status_t begun = local__sync_begin(self, fd, &syncing);
        if (begun != APR_SUCCESS) return begun;
    }
    uint64_t turn = local__lost_turn(self, fd);
    apr_status_t status = put(file, ctx, fd, iov, count, off, written);
    if (off >= 0) local__lost_again(self, fd, turn, (uint64_t)off, (uint64_t)off + *written);
    if ((file->flags & VFS_O_SYNC) && status == APR_FROM_OS_ERROR(EIO)) /* no mere refusal */
        local__lost(self, fd, status);
    if (syncing != NULL) local__sync_done(syncing);
    return status;
}

static int is_noted(const vfs_file_t *file)
{
    local_t *self = local__of(file->fs);
    return (file->flags & VFS_O_SYNC) ||
           atomic_load_explicit(&self->lost_count, memory_order_relaxed) > 0;
}

/* The new version is not asked for: that would be a second system call. */
apr_status_t local__write_at(vfs_file_t *file, const vfs_ctx_t *ctx, const void *buf, size_t len,
                             apr_off_t off, size_t *written, vfs_validator_t *validator)
{
    int fd = about_to_write(file);
    (void)validator; /* stays VFS_VALIDATOR_NONE */
    if (!has_creds(ctx) && !is_noted(file)) return port__write(fd, buf, len, off, written);
    vfs_iovec_t iov = {(void *)(uintptr_t)buf, len};
    return is_noted(file) ? put_noted(file, ctx, fd, &iov, 1, off, written)
                          : put(file, ctx, fd, &iov, 1, off, written);
}

apr_status_t local__writev_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                              size_t count, apr_off_t off, size_t *written,
                              vfs_validator_t *validator)
{
    int fd = about_to_write(file);
    (void)validator; /* as above */
    return is_noted(file) ? put_noted(file, ctx, fd, iov, count, off, written)
                          : put(file, ctx, fd, iov, count, off, written);
}

apr_status_t local__copy_range(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                               vfs_file_t *dst, apr_off_t dst_off, size_t len, size_t *copied)
{
    port_creds_t creds;
    apr_status_t status = port__creds_enter(&local__of(dst->fs)->root, ctx, &creds);
    if (status != APR_SUCCESS) return status;
    status =
        port__copy_range(local__file(src)->fd, src_off, local__file(dst)->fd, dst_off, len, copied);
    port__creds_leave(&creds);
    return status;
}

apr_status_t local__ftruncate(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t size)
{
    port_creds_t creds;
    apr_status_t status = port__creds_enter(&local__of(file->fs)->root, ctx, &creds);
    if (status != APR_SUCCESS) return status;
    status = port__ftruncate(local__file(file)->fd, size);
    port__creds_leave(&creds);
    return status;
}

apr_status_t local__allocate(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags, apr_off_t off,
                             apr_off_t len)
{
    port_creds_t creds;
    apr_status_t status = port__creds_enter(&local__of(file->fs)->root, ctx, &creds);
    if (status != APR_SUCCESS) return status;
    status = port__allocate(local__file(file)->fd, flags, off, len);
    port__creds_leave(&creds);
    return status;
}

apr_status_t local__seek_extent(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t off,
                                vfs_whence_e whence, apr_off_t *where)
{
    (void)ctx; /* asks nothing that open did not allow */
    return port__seek_extent(local__file(file)->fd, off, whence, where);
}

/* ---- sync */

/* What was written is the system's already: there is nothing to push. */
apr_status_t local__flush(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    (void)file;
    (void)ctx;
    return APR_SUCCESS;
}

apr_status_t local__sync(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags)
{
    (void)ctx; /* the system's sync cannot be interrupted */
    return local__sync_fd(local__of(file->fs), local__file(file)->fd, flags);
}

apr_status_t local__sync_dir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    local_t *self = local__of(fs);
    port_creds_t creds;
    int fd = -1;
    int direct;
    apr_status_t status = port__creds_enter(&self->root, ctx, &creds);
    if (status != APR_SUCCESS) return status;
    status = port__open(&self->root, path->str, VFS_O_DIRECTORY, &fd, &direct);
    port__creds_leave(&creds);
    if (status != APR_SUCCESS) return status;
    status = local__sync_fd(self, fd, VFS_SYNC_ALL);
    port__close(fd);
    return status;
}

apr_status_t local__sync_fs(vfs_t *fs, const vfs_ctx_t *ctx)
{
    (void)ctx; /* anybody may ask for durability */
    return local__sync_all(local__of(fs));
}
