/*
 * ops_file.c - calls on open files.
 * Floor 4, private to mount/.
 *
 * The kernel keeps pages of a file from one open to the next only if the version has not changed
 * meanwhile: each inode remembers of which version its pages are. Behind a write nobody knows: the
 * version that it made may hold what others wrote as well. The next open reads from the stack.
 */
#include "mount/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

/* ---- handles of an inode */

static open_file_t *file_new(mount_t *m, inode_t *inode, vfs_file_t *file, uint32_t flags)
{
    open_file_t *open = calloc(1, sizeof(*open));
    if (open == NULL) return NULL;
    open->file = file;
    open->inode = inode;
    open->flags = flags;
    open->refs = 1;
    (void)pthread_mutex_lock(&m->table.mutex);
    open->next = inode->files;
    if (open->next != NULL) open->next->prev = open;
    inode->files = open;
    (void)pthread_mutex_unlock(&m->table.mutex);
    return open;
}

open_file_t *mount__file_any(mount_t *m, inode_t *inode, uint32_t flags)
{
    (void)pthread_mutex_lock(&m->table.mutex);
    open_file_t *file = inode->files;
    while (file != NULL && (file->flags & flags) != flags)
        file = file->next;
    if (file != NULL) file->refs++;
    (void)pthread_mutex_unlock(&m->table.mutex);
    return file;
}

void mount__file_put(mount_t *m, open_file_t *file)
{
    (void)pthread_mutex_lock(&m->table.mutex);
    int last = --file->refs == 0;
    if (last) {
        if (file->prev != NULL)
            file->prev->next = file->next;
        else
            file->inode->files = file->next;
        if (file->next != NULL) file->next->prev = file->prev;
        mount__inode_drop(&m->table, file->inode);
    }
    (void)pthread_mutex_unlock(&m->table.mutex);
    if (!last) return;
    (void)vfs_close(file->file, NULL); /* who closed it has his answer from flush */
    free(file);
}

void mount__files_end(mount_t *m)
{
    for (inode_t *inode = m->table.all; inode != NULL; inode = inode->all_next) {
        while (inode->files != NULL) {
            open_file_t *file = inode->files;
            inode->files = file->next;
            (void)vfs_close(file->file, NULL); /* what it could not flush stays dirty */
            free(file);
        }
    }
}

/* ---- opening */

static uint32_t open_flags(int flags)
{
    uint32_t how = VFS_O_NOFOLLOW; /* the kernel has followed what is to be followed */
    int access = flags & O_ACCMODE;
    if (access != O_WRONLY) how |= VFS_O_READ;
    if (access != O_RDONLY) how |= VFS_O_WRITE;
    if (access != O_RDONLY && (flags & O_TRUNC)) how |= VFS_O_TRUNC;
    if (flags & O_EXCL) how |= VFS_O_EXCL;
    if (flags & O_SYNC) how |= VFS_O_SYNC;
    return how;
}

/* May the kernel keep its pages? At the first open it has none, and need not look for them. From
 * now on they are of this version. */
static int keeps_pages(mount_t *m, inode_t *inode, const vfs_validator_t *validator)
{
    (void)pthread_mutex_lock(&m->table.mutex);
    int same = !inode->opened || (vfs_validator_equal(&inode->pages, validator) &&
                                  !((inode->pages.flags | validator->flags) & VFS_VALIDATOR_YOUNG));
    inode->opened = 1;
    inode->pages = *validator;
    (void)pthread_mutex_unlock(&m->table.mutex);
    return same;
}

static void opened(mount_t *m, struct fuse_file_info *fi, open_file_t *file,
                   const vfs_validator_t *validator)
{
    int reads = atomic_load_explicit(&m->reads, memory_order_relaxed);
    if (file->flags & VFS_O_READ) /* see looked_up */
        atomic_store_explicit(&m->reads, reads + (READS_ALL - reads) / 8, memory_order_relaxed);
    fi->fh = (uint64_t)(uintptr_t)file;
    fi->keep_cache = (unsigned)keeps_pages(m, file->inode, validator) & 1u;
}

/* A file without a name, opened again by /proc/self/fd: what is open serves. */
static open_file_t *open_again(mount_t *m, const vfs_ctx_t *ctx, inode_t *inode, uint32_t flags,
                               apr_status_t *status)
{
    open_file_t *file = mount__file_any(m, inode, flags & (VFS_O_READ | VFS_O_WRITE));
    *status = file != NULL ? APR_SUCCESS : VFS_ESTALE;
    if (file != NULL && (flags & VFS_O_TRUNC)) *status = vfs_ftruncate(file->file, ctx, 0);
    if (file != NULL && *status != APR_SUCCESS) {
        mount__file_put(m, file);
        file = NULL;
    }
    return file;
}

static open_file_t *open_named(mount_t *m, const vfs_ctx_t *ctx, inode_t *inode, const char *path,
                               int cut, uint32_t flags, vfs_validator_t *validator,
                               apr_status_t *status)
{
    vfs_file_t *file = NULL;
    open_file_t *open = NULL;
    *status = cut ? vfs_truncate(m->fs, ctx, path, 0) : APR_SUCCESS;
    if (*status == APR_SUCCESS)
        *status = vfs_open(&file, m->fs, ctx, path, flags, 0, NULL, validator);
    if (*status == APR_SUCCESS) open = file_new(m, inode, file, flags);
    if (*status == APR_SUCCESS && open == NULL) {
        (void)vfs_close(file, NULL); /* nothing was done through it */
        *status = APR_ENOMEM;
    }
    return open;
}

void mount__open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    mount_t *m = mount__of(req);
    const vfs_ctx_t *ctx = mount__ctx(req);
    inode_t *inode = mount__inode_of(m, ino);
    uint32_t flags = open_flags(fi->flags) & ~VFS_O_EXCL;
    int cut = (fi->flags & O_TRUNC) && !(flags & VFS_O_TRUNC);
    vfs_validator_t validator = {0};
    apr_status_t status = APR_SUCCESS;
    open_file_t *file = NULL;
    path_t path;
    int error = mount__path_of(&m->table, inode, &path);
    if (error == 0) {
        file = open_named(m, ctx, inode, path.text, cut, flags, &validator, &status);
        mount__path_end(&m->table, &path);
    } else if (error == ESTALE) {
        file = open_again(m, ctx, inode, flags, &status);
    }
    if (status == APR_SUCCESS && file != NULL && mount__drops_bits()) { /* it was cut */
        status = mount__drop_bits(req, ctx, file);
        if (status != APR_SUCCESS) {
            mount__file_put(m, file);
            file = NULL;
        }
    }
    if (status != APR_SUCCESS) error = mount__errno(status);
    mount__heard(req, .op = "open", .inode = inode, .error = file == NULL ? error : 0);
    if (file == NULL) {
        (void)fuse_reply_err(req, error);
        return;
    }
    opened(m, fi, file, &validator);
    mount__hot(m, inode);
    if (fuse_reply_open(req, fi) != 0) mount__file_put(m, file);
}

/* The new file as the kernel is told of it, and a handle; `file` is ended on an error. */
static int created(mount_t *m, inode_t *dir, const char *name, const vfs_attr_t *attr,
                   vfs_file_t *file, uint32_t flags, struct fuse_entry_param *entry,
                   open_file_t **open)
{
    int error = mount__entry(m, dir, name, attr, NULL, entry);
    *open = error == 0 ? file_new(m, mount__inode_of(m, entry->ino), file, flags) : NULL;
    if (error == 0 && *open == NULL) {
        mount__inode_forget(&m->table, mount__inode_of(m, entry->ino), 1);
        error = ENOMEM;
    }
    if (error != 0) (void)vfs_close(file, NULL); /* nothing was done through it */
    return error;
}

/* As ourselves: see mount__stands_in. Somebody else may have made it meanwhile; then he has no
 * right to it. */
static apr_status_t create_for(mount_t *m, const inode_t *dir, const caller_t *caller,
                               const char *path, uint32_t flags, mode_t mode, vfs_file_t **file,
                               vfs_attr_t *attr, vfs_validator_t *validator)
{
    uint32_t gid = mount__gives_group(dir, caller);
    apr_status_t status = vfs_open(file, m->fs, caller->own, path, flags | VFS_O_EXCL,
                                   mode & S_IRWXU, attr, validator);
    if (APR_STATUS_IS_EEXIST(status)) return APR_EACCES;
    if (status != APR_SUCCESS) return status;
    status = vfs_fchown(*file, caller->own, caller->ctx.uid, gid);
    if (status == APR_SUCCESS)
        status = vfs_fchmod(*file, caller->own, mode & 07777u & ~caller->ctx.umask);
    if (status == APR_SUCCESS) status = vfs_fstat(*file, caller->own, attr);
    if (status != APR_SUCCESS) (void)vfs_close(*file, NULL); /* nothing was written */
    return status;
}

void mount__create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                   struct fuse_file_info *fi)
{
    mount_t *m = mount__of(req);
    inode_t *dir = mount__inode_of(m, parent);
    uint32_t flags = open_flags(fi->flags) | VFS_O_CREATE;
    struct fuse_entry_param entry;
    vfs_validator_t validator;
    open_file_t *open = NULL;
    vfs_file_t *file = NULL;
    caller_t caller;
    vfs_attr_t attr;
    path_t path;
    int error = mount__path_in(&m->table, dir, name, &path);
    if (error == 0) {
        mount__caller(req, &caller);
        apr_status_t status =
            vfs_open(&file, m->fs, &caller.ctx, path.text, flags, mode & 07777u, &attr, &validator);
        if (mount__stands_in(&caller, status))
            status = create_for(m, dir, &caller, path.text, flags, mode, &file, &attr, &validator);
        mount__caller_end(&caller);
        mount__path_end(&m->table, &path);
        error = mount__errno(status);
    }
    if (error == 0) error = created(m, dir, name, &attr, file, flags, &entry, &open);
    mount__heard(req, .op = "create", .inode = dir, .name = name, .error = error);
    if (error != 0) {
        (void)fuse_reply_err(req, error);
        return;
    }
    opened(m, fi, open, &validator);
    mount__hot(m, open->inode);
    if (fuse_reply_create(req, &entry, fi) != 0) {
        mount__file_put(m, open);
        mount__inode_forget(&m->table, mount__inode_of(m, entry.ino), 1);
    }
}

void mount__release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    mount__file_put(mount__of(req), mount__file_of(fi));
    (void)fuse_reply_err(req, 0);
}

/* ---- bytes */

void mount__read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    size_t got = 0;
    char *buf = malloc(size);
    mount__hot(mount__of(req), mount__inode_of(mount__of(req), ino));
    apr_status_t status =
        buf != NULL ? vfs_read_at(mount__file_of(fi)->file, mount__ctx(req), buf, size, off, &got)
                    : APR_ENOMEM;
    mount__heard(req, .op = "read", .inode = mount__inode_of(mount__of(req), ino),
                 .offset = (uint64_t)off, .bytes = size, .done = got,
                 .error = mount__errno(status));
    if (status == APR_SUCCESS)
        (void)fuse_reply_buf(req, buf, got);
    else
        mount__reply_status(req, status);
    free(buf);
}

static void wrote(mount_t *m, inode_t *inode)
{
    (void)pthread_mutex_lock(&m->table.mutex);
    inode->pages.kind = VFS_VALIDATOR_NONE;
    (void)pthread_mutex_unlock(&m->table.mutex);
}

/* With O_APPEND the stack finds the end, since the kernel may not know it; but pages that were
 * changed in memory go where they belong. */
void mount__write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                  struct fuse_file_info *fi)
{
    mount_t *m = mount__of(req);
    const vfs_ctx_t *ctx = mount__ctx(req);
    open_file_t *file = mount__file_of(fi);
    int appends = (fi->flags & O_APPEND) && !fi->writepage;
    size_t written = 0;
    apr_status_t status = mount__drops_bits() ? mount__drop_bits(req, ctx, file) : APR_SUCCESS;
    if (status == APR_SUCCESS)
        status = vfs_write_at(file->file, ctx, buf, size, appends ? VFS_OFFSET_END : off, &written,
                              NULL);
    wrote(m, mount__inode_of(m, ino));
    mount__hot(m, mount__inode_of(m, ino));
    mount__heard(req, .op = "write", .inode = mount__inode_of(m, ino), .offset = (uint64_t)off,
                 .bytes = size, .done = written, .error = mount__errno(status));
    if (status == APR_SUCCESS || written > 0)
        (void)fuse_reply_write(req, written);
    else
        mount__reply_status(req, status);
}

/* close(2) waits for this, and returns its answer. */
void mount__flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    mount_t *m = mount__of(req);
    const vfs_ctx_t *ctx = mount__ctx(req);
    open_file_t *file = mount__file_of(fi);
    apr_status_t status = APR_SUCCESS;
    if (m->locks && file->inode->locks) mount__unlock_owner(file, fi->lock_owner);
    if (m->config.flush_on_close && (file->flags & VFS_O_WRITE))
        status = vfs_flush(file->file, ctx);
    if (status == APR_ENOTIMPL) status = APR_SUCCESS;
    mount__heard(req, .op = "close", .inode = mount__inode_of(m, ino),
                 .error = mount__errno(status));
    mount__reply_status(req, status);
}

void mount__fsync(fuse_req_t req, fuse_ino_t ino, int data, struct fuse_file_info *fi)
{
    uint32_t how = data ? VFS_SYNC_DATA : VFS_SYNC_ALL;
    apr_status_t status = vfs_sync(mount__file_of(fi)->file, mount__ctx(req), how);
    mount__heard(req, .op = "fsync", .inode = mount__inode_of(mount__of(req), ino),
                 .error = mount__errno(status));
    mount__reply_status(req, status);
}

/* ---- ranges */

void mount__fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
                      struct fuse_file_info *fi)
{
    static const struct {
        int mode;
        uint32_t flag;
    } flags[] = {
        {FALLOC_FL_KEEP_SIZE, VFS_ALLOC_KEEP_SIZE},
        {FALLOC_FL_PUNCH_HOLE, VFS_ALLOC_PUNCH_HOLE},
        {FALLOC_FL_ZERO_RANGE, VFS_ALLOC_ZERO_RANGE},
        {FALLOC_FL_COLLAPSE_RANGE, VFS_ALLOC_COLLAPSE},
        {FALLOC_FL_INSERT_RANGE, VFS_ALLOC_INSERT},
    };
    mount_t *m = mount__of(req);
    const vfs_ctx_t *ctx = mount__ctx(req);
    uint32_t how = 0;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (mode & flags[i].mode) how |= flags[i].flag;
        mode &= ~flags[i].mode;
    }
    if (mode != 0) {
        (void)fuse_reply_err(req, EOPNOTSUPP);
        return;
    }
    apr_status_t status = vfs_allocate(mount__file_of(fi)->file, ctx, how, off, len);
    wrote(m, mount__inode_of(m, ino));
    mount__heard(req, .op = "allocate", .inode = mount__inode_of(m, ino), .offset = (uint64_t)off,
                 .bytes = (uint64_t)len, .error = mount__errno(status));
    mount__reply_status(req, status);
}

void mount__lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
    apr_off_t where = 0;
    (void)ino; /* the kernel does all other kinds itself */
    if (off < 0) {
        (void)fuse_reply_err(req, ENXIO); /* as beyond the end */
        return;
    }
    apr_status_t status =
        vfs_seek_extent(mount__file_of(fi)->file, mount__ctx(req), off,
                        whence == SEEK_DATA ? VFS_SEEK_DATA : VFS_SEEK_HOLE, &where);
    if (status == APR_SUCCESS)
        (void)fuse_reply_lseek(req, where);
    else if (status == APR_ENOTIMPL)
        (void)fuse_reply_err(req, ENOSYS); /* the kernel does it: all is data, up to the end */
    else
        (void)fuse_reply_err(req, status == VFS_ENODATA ? ENXIO : mount__errno(status));
}

void mount__copy_file_range(fuse_req_t req, fuse_ino_t ino, off_t off, struct fuse_file_info *fi,
                            fuse_ino_t to_ino, off_t to_off, struct fuse_file_info *to_fi,
                            size_t len, int flags)
{
    mount_t *m = mount__of(req);
    const vfs_ctx_t *ctx = mount__ctx(req);
    size_t copied = 0;
    (void)flags; /* there are none yet */
    apr_status_t status = vfs_copy_range(mount__file_of(fi)->file, ctx, off,
                                         mount__file_of(to_fi)->file, to_off, len, &copied);
    wrote(m, mount__inode_of(m, to_ino));
    mount__heard(req, .op = "copy", .inode = mount__inode_of(m, ino),
                 .to_dir = mount__inode_of(m, to_ino), .offset = (uint64_t)off, .bytes = len,
                 .done = copied, .error = mount__errno(status));
    if (status == APR_SUCCESS || copied > 0)
        (void)fuse_reply_write(req, copied);
    else
        mount__reply_status(req, status);
}
