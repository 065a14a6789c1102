/*
 * file.c - open files: open, get, read, write, copy, allocate, lock, close. Floor 2.
 * Each call locks the inode once, so a reader sees every write of one call wholly or not at all.
 */
#include <stdlib.h>

#include "backends/mem/mem.h"

static mem_file_t *mem_of(vfs_file_t *file)
{
    return (mem_file_t *)file;
}

/* Permissions do not count for a handle, but what it is open on does. */
static apr_status_t must_be_file(const mem_inode_t *inode)
{
    if (inode->type == VFS_TYPE_FILE) return APR_SUCCESS;
    return inode->type == VFS_TYPE_DIR ? MEM_ERR(EISDIR) : APR_EINVAL;
}

/* ---- open */

/* What stands in the way of opening something that exists, in the order of Linux (do_open,
 * may_open). */
static apr_status_t open_check(const mem_walk_t *w, const mem_user_t *user, uint32_t flags)
{
    vfs_type_e type = w->inode->type;
    uint32_t mask = 0;
    apr_status_t status;

    if ((flags & VFS_O_EXCL) != 0) return APR_EEXIST;
    if ((flags & VFS_O_CREATE) != 0 && type == VFS_TYPE_DIR) return MEM_ERR(EISDIR);
    if ((flags & VFS_O_DIRECTORY) != 0 && type != VFS_TYPE_DIR) return APR_ENOTDIR;
    if (type == VFS_TYPE_LINK) return MEM_ERR(ELOOP);
    if ((flags & VFS_O_WRITE) != 0 && type == VFS_TYPE_DIR) return MEM_ERR(EISDIR);
    if ((flags & VFS_O_READ) != 0 || (flags & VFS_O_WRITE) == 0) mask |= VFS_ACCESS_READ;
    if ((flags & VFS_O_WRITE) != 0) mask |= VFS_ACCESS_WRITE;
    status = mem__may(w->inode, user, mask);
    if (status != APR_SUCCESS) return status;
    /* Nobody is behind a fifo, a socket or a device here. */
    return type == VFS_TYPE_FILE || type == VFS_TYPE_DIR ? APR_SUCCESS : MEM_ERR(ENXIO);
}

/* Find the file, or make it. It comes with a reference. fs->names is held for writing only if a
 * name is to be made. */
static apr_status_t open_find(mem_fs_t *m, const vfs_ctx_t *ctx, const mem_user_t *user,
                              const vfs_path_t *path, uint32_t flags, uint32_t mode, mem_walk_t *w,
                              int *made)
{
    int excl = (flags & VFS_O_EXCL) != 0, writing = 0;
    int follow = !excl && (flags & VFS_O_NOFOLLOW) == 0;
    apr_status_t status;

    *made = 0;
    for (;;) {
        if (writing)
            mem__wr(&m->names);
        else
            mem__rd(&m->names);
        status = mem__walk(w, m, user, path->str, follow);
        if (status != APR_SUCCESS || w->inode != NULL || writing || (flags & VFS_O_CREATE) == 0)
            break;
        mem__un(&m->names);
        writing = 1;
    }
    if (status == APR_SUCCESS && w->inode != NULL) {
        status = open_check(w, user, flags);
    } else if (status == APR_SUCCESS && !writing) {
        status = APR_ENOENT;
    } else if (status == APR_SUCCESS && w->slash) {
        status = MEM_ERR(EISDIR);
    } else if (status == APR_SUCCESS) {
        mem_new_t what = {.type = VFS_TYPE_FILE, .mode = mode, .rdev = 0, .target = NULL};
        status = mem__make(m, ctx, user, w, &what, &w->inode);
        *made = status == APR_SUCCESS;
    }
    if (status == APR_SUCCESS) mem__inode_get(w->inode);
    mem__un(&m->names);
    return status;
}

apr_status_t mem_open(vfs_file_t **out, vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                      uint32_t flags, uint32_t mode, vfs_attr_t *attr, vfs_validator_t *validator)
{
    mem_fs_t *m = fs->state;
    mem_user_t user = mem__user(m, ctx);
    mem_file_t *file = malloc(sizeof(*file));
    mem_walk_t w;
    int made;
    apr_status_t status;

    if (file == NULL) return APR_ENOMEM;
    status = open_find(m, ctx, &user, path, flags, mode, &w, &made);
    if (status != APR_SUCCESS) {
        attr->flags = w.direct ? VFS_ATTR_DIRECT : 0;
        free(file);
        return status;
    }
    file->inode = w.inode;
    file->direct = w.direct;
    vfs_file_init(&file->base, fs, flags, NULL);
    if ((flags & VFS_O_TRUNC) != 0 && !made) {
        mem__wr(&w.inode->lock);
        mem__data_truncate(m, w.inode, &user, 0);
        mem__inode_attr(m, w.inode, w.direct, attr, validator);
        mem__un(&w.inode->lock);
        mem__event_changed(m, w.inode);
    } else {
        mem__inode_stat(m, w.inode, w.direct, attr, validator);
    }
    *out = &file->base;
    return APR_SUCCESS;
}

apr_status_t mem_close(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    mem_fs_t *m = file->fs->state;
    mem_inode_t *inode = mem_of(file)->inode;

    (void)ctx;
    vfs__locktable_release(m->locktable, &inode->locks, file);
    free(file);
    mem__inode_put(m, inode);
    return APR_SUCCESS;
}

apr_status_t mem_get(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, void *buf, size_t len,
                     size_t *got, vfs_attr_t *attr, vfs_validator_t *validator)
{
    mem_fs_t *m = fs->state;
    mem_user_t user = mem__user(m, ctx);
    mem_inode_t *inode;
    int direct;
    apr_status_t status = mem__lookup(&inode, m, &user, path, 1, &direct);

    if (status != APR_SUCCESS) {
        attr->flags = direct ? VFS_ATTR_DIRECT : 0;
        return status;
    }
    mem__rd(&inode->lock);
    status = mem__may_locked(inode, &user, VFS_ACCESS_READ);
    if (status == APR_SUCCESS) {
        mem__inode_attr(m, inode, direct, attr, validator);
        if (inode->type == VFS_TYPE_FILE) *got = mem__data_read(inode, buf, len, 0);
    }
    mem__un(&inode->lock);
    mem__inode_put(m, inode);
    return status;
}

apr_status_t mem_fstat(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_attr_t *attr,
                       vfs_validator_t *validator)
{
    (void)ctx;
    mem__inode_stat(file->fs->state, mem_of(file)->inode, mem_of(file)->direct, attr, validator);
    return APR_SUCCESS;
}

/* ---- read and write */

apr_status_t mem_fetch(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov, size_t count,
                       apr_off_t off, size_t *got, vfs_validator_t *validator)
{
    mem_inode_t *inode = mem_of(file)->inode;
    apr_status_t status = must_be_file(inode);
    size_t done = 0;

    (void)ctx;
    if (status != APR_SUCCESS) return status;
    mem__rd(&inode->lock);
    for (size_t i = 0; i < count; i++) {
        size_t n = mem__data_read(inode, iov[i].base, iov[i].len, (uint64_t)off + done);
        done += n;
        if (n < iov[i].len) break;
    }
    mem__inode_attr(file->fs->state, inode, 0, NULL, validator);
    mem__un(&inode->lock);
    *got = done;
    return APR_SUCCESS;
}

apr_status_t mem_readv_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                          size_t count, apr_off_t off, size_t *got)
{
    return mem_fetch(file, ctx, iov, count, off, got, NULL);
}

apr_status_t mem_read_at(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                         apr_off_t off, size_t *got)
{
    vfs_iovec_t iov = {buf, len};

    return mem_fetch(file, ctx, &iov, 1, off, got, NULL);
}

apr_status_t mem_writev_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                           size_t count, apr_off_t off, size_t *written, vfs_validator_t *validator)
{
    mem_fs_t *m = file->fs->state;
    mem_user_t user = mem__user(m, ctx);
    mem_inode_t *inode = mem_of(file)->inode;
    apr_status_t status = must_be_file(inode);
    size_t done = 0;

    if (status != APR_SUCCESS) return status;
    mem__wr(&inode->lock);
    uint64_t at = off == VFS_OFFSET_END ? inode->size : (uint64_t)off;
    for (size_t i = 0; i < count && status == APR_SUCCESS; i++) {
        size_t n = 0;
        status = mem__data_write(m, inode, iov[i].base, iov[i].len, at + done, &n);
        done += n;
    }
    if (done > 0) {
        mem__inode_unprivilege(inode, &user);
        mem__inode_changed(inode, vfs_now_ns());
    }
    mem__inode_attr(m, inode, 0, NULL, validator);
    mem__un(&inode->lock);
    *written = done;
    if (done > 0) mem__event_changed(m, inode);
    return status;
}

apr_status_t mem_write_at(vfs_file_t *file, const vfs_ctx_t *ctx, const void *buf, size_t len,
                          apr_off_t off, size_t *written, vfs_validator_t *validator)
{
    vfs_iovec_t iov = {(void *)(uintptr_t)buf, len}; /* writev_at does not write through it */

    return mem_writev_at(file, ctx, &iov, 1, off, written, validator);
}

/* ---- ranges */

/* Copy a piece under the locks of both files, the lower number first. */
static apr_status_t copy_piece(mem_fs_t *m, mem_inode_t *src, uint64_t src_off, mem_inode_t *dst,
                               uint64_t dst_off, size_t len, const mem_user_t *user, size_t *copied)
{
    apr_status_t status;

    if (src->ino < dst->ino) mem__rd(&src->lock);
    mem__wr(&dst->lock);
    if (src->ino > dst->ino) mem__rd(&src->lock);
    status = mem__data_copy(m, src, src_off, dst, dst_off, len, copied);
    if (*copied > 0) {
        mem__inode_unprivilege(dst, user);
        mem__inode_changed(dst, vfs_now_ns());
    }
    if (src != dst) mem__un(&src->lock);
    mem__un(&dst->lock);
    return status;
}

apr_status_t mem_copy_range(vfs_file_t *src_file, const vfs_ctx_t *ctx, apr_off_t src_off,
                            vfs_file_t *dst_file, apr_off_t dst_off, size_t len, size_t *copied)
{
    enum { PIECE = 8 << 20 }; /* how long others may have to wait */
    mem_fs_t *m = src_file->fs->state;
    mem_user_t user = mem__user(m, ctx);
    mem_inode_t *src = mem_of(src_file)->inode, *dst = mem_of(dst_file)->inode;
    uint64_t apart =
        src_off > dst_off ? (uint64_t)(src_off - dst_off) : (uint64_t)(dst_off - src_off);
    apr_status_t status = must_be_file(src);
    size_t done = 0;

    if (status == APR_SUCCESS) status = must_be_file(dst);
    if (status == APR_SUCCESS && src == dst && apart < len) status = APR_EINVAL;
    if (status != APR_SUCCESS) return status;
    mem__rd(&src->lock); /* the source ends where it ends now, even if the copy itself makes it
                            longer */
    uint64_t left = (uint64_t)src_off < src->size ? src->size - (uint64_t)src_off : 0;
    mem__un(&src->lock);
    if (len > left) len = (size_t)left;
    while (done < len && status == APR_SUCCESS) {
        size_t want = len - done < PIECE ? len - done : PIECE, n = 0;
        status = copy_piece(m, src, (uint64_t)src_off + done, dst, (uint64_t)dst_off + done, want,
                            &user, &n);
        done += n;
        if (n < want) break;
        if (status == APR_SUCCESS) status = vfs_ctx_check(ctx);
    }
    *copied = done;
    if (done > 0) mem__event_changed(m, dst);
    return status;
}

apr_status_t mem_seek_extent(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t off,
                             vfs_whence_e whence, apr_off_t *where)
{
    mem_inode_t *inode = mem_of(file)->inode;
    uint64_t found = 0;
    apr_status_t status = must_be_file(inode);

    (void)ctx;
    if (status != APR_SUCCESS) return status;
    mem__rd(&inode->lock);
    status = mem__data_seek(inode, (uint64_t)off, whence == VFS_SEEK_HOLE, &found);
    mem__un(&inode->lock);
    if (status == APR_SUCCESS) *where = (apr_off_t)found;
    return status;
}

apr_status_t mem_allocate(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags, apr_off_t off,
                          apr_off_t len)
{
    mem_fs_t *m = file->fs->state;
    mem_user_t user = mem__user(m, ctx);
    mem_inode_t *inode = mem_of(file)->inode;
    apr_status_t status = must_be_file(inode);

    if (status != APR_SUCCESS) return status;
    mem__wr(&inode->lock);
    status = mem__data_allocate(m, inode, flags, (uint64_t)off, (uint64_t)len);
    if (status == APR_SUCCESS) mem__inode_unprivilege(inode, &user);
    mem__un(&inode->lock);
    if (status == APR_SUCCESS) mem__event_changed(m, inode);
    return status;
}

apr_status_t mem_lock(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_lock_t *lock)
{
    mem_fs_t *m = file->fs->state;

    return vfs__locktable_lock(m->locktable, &mem_of(file)->inode->locks, file, ctx, lock);
}

/* Memory has nothing below it to push to. */
apr_status_t mem_flush(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    (void)file;
    (void)ctx;
    return APR_SUCCESS;
}

apr_status_t mem_sync(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags)
{
    (void)file;
    (void)ctx;
    (void)flags;
    return APR_SUCCESS;
}
