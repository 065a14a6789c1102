/*
 * ops_attr.c - calls about attributes: asking, changing, extended ones, space, texts of links.
 * Floor 4, private to mount/. What has no name left is asked, and changed, through an open handle;
 * where there is none, it is what it was when its last name went.
 */
#include "mount/mount.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#define XATTR_MAX 65536u /* XATTR_SIZE_MAX and XATTR_LIST_MAX of the kernel */

#define SET_OWNER (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)
#define SET_TIMES                                                                                  \
    (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)
#define NS_PER_S 1000000000

/* What a call is about: a handle, or a path. */
typedef struct target_t {
    open_file_t *file;
    path_t path;
} target_t;

static int target_begin(mount_t *m, inode_t *inode, const struct fuse_file_info *fi,
                        target_t *target)
{
    target->file = fi != NULL ? mount__file_of(fi) : NULL;
    target->path.last = NULL;
    if (target->file != NULL) return 0;
    int error = mount__path_of(&m->table, inode, &target->path);
    if (error != ESTALE) return error;
    target->file = mount__file_any(m, inode, 0);
    return target->file != NULL ? 0 : ESTALE;
}

static void target_end(mount_t *m, const struct fuse_file_info *fi, target_t *target)
{
    if (target->file == NULL)
        mount__path_end(&m->table, &target->path);
    else if (fi == NULL)
        mount__file_put(m, target->file);
}

static apr_status_t ask(mount_t *m, const vfs_ctx_t *ctx, const target_t *target, vfs_attr_t *attr)
{
    return target->file != NULL ? vfs_fstat(target->file->file, ctx, attr)
                                : vfs_lstat(m->fs, ctx, target->path.text, attr);
}

void mount__getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    mount_t *m = mount__of(req);
    const vfs_ctx_t *ctx = mount__ctx(req);
    inode_t *inode = mount__inode_of(m, ino);
    target_t target;
    vfs_attr_t attr;
    int error = target_begin(m, inode, fi, &target);
    if (error == ESTALE && mount__inode_removed(&m->table, inode, &attr)) {
        mount__reply_attr(req, inode, &attr);
        return;
    }
    if (error != 0) {
        (void)fuse_reply_err(req, error);
        return;
    }
    apr_status_t status = ask(m, ctx, &target, &attr);
    target_end(m, fi, &target);
    mount__heard(req, .op = "getattr", .inode = inode, .error = mount__errno(status));
    if (status == APR_SUCCESS)
        mount__reply_attr(req, inode, &attr);
    else
        mount__reply_status(req, status);
}

/* ---- changing */

static apr_status_t set_size(mount_t *m, const vfs_ctx_t *ctx, inode_t *inode,
                             const target_t *target, off_t size)
{
    open_file_t *file = target->file;
    if (file == NULL) return vfs_truncate(m->fs, ctx, target->path.text, size);
    if (file->flags & VFS_O_WRITE) return vfs_ftruncate(file->file, ctx, size);
    file = mount__file_any(m, inode, VFS_O_WRITE);
    if (file == NULL) return VFS_ESTALE;
    apr_status_t status = vfs_ftruncate(file->file, ctx, size);
    mount__file_put(m, file);
    return status;
}

static apr_status_t set_owner(mount_t *m, const vfs_ctx_t *ctx, const target_t *target,
                              const struct stat *st, int which)
{
    uint32_t uid = which & FUSE_SET_ATTR_UID ? st->st_uid : (uint32_t)-1;
    uint32_t gid = which & FUSE_SET_ATTR_GID ? st->st_gid : (uint32_t)-1;
    return target->file != NULL ? vfs_fchown(target->file->file, ctx, uid, gid)
                                : vfs_chown(m->fs, ctx, target->path.text, uid, gid, VFS_NOFOLLOW);
}

static apr_status_t set_mode(mount_t *m, const vfs_ctx_t *ctx, const target_t *target,
                             uint32_t mode)
{
    return target->file != NULL ? vfs_fchmod(target->file->file, ctx, mode)
                                : vfs_chmod(m->fs, ctx, target->path.text, mode, VFS_NOFOLLOW);
}

static int64_t ns_of(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

static apr_status_t set_times(mount_t *m, const vfs_ctx_t *ctx, const target_t *target,
                              const struct stat *st, int which)
{
    int64_t atime = VFS_TIME_OMIT, mtime = VFS_TIME_OMIT;
    if (which & FUSE_SET_ATTR_ATIME) atime = ns_of(&st->st_atim);
    if (which & FUSE_SET_ATTR_ATIME_NOW) atime = VFS_TIME_NOW;
    if (which & FUSE_SET_ATTR_MTIME) mtime = ns_of(&st->st_mtim);
    if (which & FUSE_SET_ATTR_MTIME_NOW) mtime = VFS_TIME_NOW;
    return target->file != NULL
               ? vfs_futimens(target->file->file, ctx, atime, mtime)
               : vfs_utimens(m->fs, ctx, target->path.text, atime, mtime, VFS_NOFOLLOW);
}

/* `touch` asks for it behind what it makes. */
static int is_now(mount_t *m, const vfs_attr_t *attr)
{
    int64_t since = vfs_now_ns() - attr->mtime_ns;
    return since >= 0 && since <= (int64_t)vfs_caps(m->fs)->time_granularity_ns + NS_PER_S;
}

/* Where nothing of it is kept, what is so already may be asked for: that is what programs do who
 * make a file like another one. */
static int is_so(mount_t *m, const vfs_ctx_t *ctx, const target_t *target, const struct stat *st,
                 int which)
{
    vfs_attr_t attr;
    if (ask(m, ctx, target, &attr) != APR_SUCCESS) return 0;
    return !((which & FUSE_SET_ATTR_UID) && st->st_uid != attr.uid) &&
           !((which & FUSE_SET_ATTR_GID) && st->st_gid != attr.gid) &&
           !((which & FUSE_SET_ATTR_MODE) && (st->st_mode & 07777u) != attr.mode) &&
           (!(which & SET_TIMES) || ((which & FUSE_SET_ATTR_MTIME_NOW) && is_now(m, &attr)));
}

/* ---- set-id bits */

static int is_of_group(const vfs_ctx_t *ctx, uint32_t gid)
{
    for (size_t i = 0; i < ctx->ngroups; i++)
        if (ctx->groups[i] == gid) return 1;
    return ctx->gid == gid;
}

static int keeps_group_bit(fuse_req_t req, uint32_t gid)
{
    caller_t caller;
    if (fuse_req_ctx(req)->uid == 0) return 1;
    mount__caller(req, &caller);
    int keeps = is_of_group(&caller.ctx, gid);
    mount__caller_end(&caller);
    return keeps;
}

/* The bit of a group that cannot execute the file stays for its members. */
static apr_status_t drop_bits(fuse_req_t req, const vfs_ctx_t *ctx, const target_t *target)
{
    mount_t *m = mount__of(req);
    vfs_attr_t attr;
    apr_status_t status = ask(m, ctx, target, &attr);
    if (status != APR_SUCCESS || attr.type != VFS_TYPE_FILE) return status;
    uint32_t mode = attr.mode & ~(uint32_t)S_ISUID;
    if ((mode & S_ISGID) && ((mode & S_IXGRP) || !keeps_group_bit(req, attr.gid)))
        mode &= ~(uint32_t)S_ISGID;
    return mode == attr.mode ? APR_SUCCESS : set_mode(m, ctx, target, mode);
}

/* For a write the kernel has said so before, by an empty SETATTR, and was told the mode that was
 * left. For an open that cuts the file it has not, and shall ask again: of attributes alone it may
 * be told from here, since it waits for nobody then. */
apr_status_t mount__drop_bits(fuse_req_t req, const vfs_ctx_t *ctx, open_file_t *file)
{
    mount_t *m = mount__of(req);
    inode_t *inode = file->inode;
    target_t target = {.file = file};
    (void)pthread_mutex_lock(&m->table.mutex);
    uint32_t mode = inode->attr.mode;
    (void)pthread_mutex_unlock(&m->table.mutex);
    if (!(mode & (S_ISUID | S_ISGID))) return APR_SUCCESS;
    apr_status_t status = drop_bits(req, ctx, &target);
    (void)fuse_lowlevel_notify_inval_inode(m->session, mount__ino_of(m, inode), -1, 0);
    return status;
}

/* The owner before the mode, since a change of owner takes bits of the mode away; the size before
 * the times, which it sets. */
static apr_status_t set(mount_t *m, const vfs_ctx_t *ctx, inode_t *inode, const target_t *target,
                        const struct stat *st, int which)
{
    apr_status_t status = APR_SUCCESS;
    if (which & SET_OWNER) status = set_owner(m, ctx, target, st, which);
    if (status == APR_ENOTIMPL && is_so(m, ctx, target, st, which & SET_OWNER))
        status = APR_SUCCESS;
    if (status == APR_SUCCESS && (which & FUSE_SET_ATTR_MODE)) {
        status = set_mode(m, ctx, target, st->st_mode & 07777u);
        if (status == APR_ENOTIMPL && is_so(m, ctx, target, st, FUSE_SET_ATTR_MODE))
            status = APR_SUCCESS;
    }
    if (status == APR_SUCCESS && (which & FUSE_SET_ATTR_SIZE))
        status = set_size(m, ctx, inode, target, st->st_size);
    if (status == APR_SUCCESS && (which & SET_TIMES)) {
        status = set_times(m, ctx, target, st, which);
        if (status == APR_ENOTIMPL && is_so(m, ctx, target, st, which & SET_TIMES))
            status = APR_SUCCESS;
    }
    return status;
}

void mount__setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int which,
                    struct fuse_file_info *fi)
{
    mount_t *m = mount__of(req);
    const vfs_ctx_t *ctx = mount__ctx(req);
    inode_t *inode = mount__inode_of(m, ino);
    target_t target;
    vfs_attr_t attr;
    int error = target_begin(m, inode, fi, &target);
    if (error != 0) {
        (void)fuse_reply_err(req, error);
        return;
    }
    int drops = mount__drops_bits() && !(which & FUSE_SET_ATTR_MODE);
    apr_status_t status = APR_SUCCESS;
    if (drops && !(which & SET_OWNER)) status = drop_bits(req, ctx, &target);
    if (status == APR_SUCCESS) status = set(m, ctx, inode, &target, st, which);
    if (status == APR_SUCCESS && drops && (which & SET_OWNER)) /* who is refused loses nothing */
        status = drop_bits(req, ctx, &target);
    if (status == APR_SUCCESS) status = ask(m, ctx, &target, &attr);
    target_end(m, fi, &target);
    mount__heard(req, .op = which & FUSE_SET_ATTR_SIZE ? "truncate" : "setattr", .inode = inode,
                 .bytes = which & FUSE_SET_ATTR_SIZE ? (uint64_t)st->st_size : 0,
                 .error = mount__errno(status));
    if (status == APR_SUCCESS)
        mount__reply_attr(req, inode, &attr);
    else
        mount__reply_status(req, status);
}

/* ---- links, space */

void mount__readlink(fuse_req_t req, fuse_ino_t ino)
{
    mount_t *m = mount__of(req);
    const vfs_ctx_t *ctx = mount__ctx(req);
    char text[VFS_PATH_MAX + 1];
    path_t path;
    int error = mount__path_of(&m->table, mount__inode_of(m, ino), &path);
    if (error != 0) {
        (void)fuse_reply_err(req, error);
        return;
    }
    apr_status_t status = vfs_readlink(m->fs, ctx, path.text, text, sizeof(text), NULL);
    mount__path_end(&m->table, &path);
    mount__heard(req, .op = "readlink", .inode = mount__inode_of(m, ino),
                 .error = mount__errno(status));
    if (status == APR_SUCCESS)
        (void)fuse_reply_readlink(req, text);
    else
        mount__reply_status(req, status);
}

void mount__statfs(fuse_req_t req, fuse_ino_t ino)
{
    mount_t *m = mount__of(req);
    const vfs_ctx_t *ctx = mount__ctx(req);
    vfs_statfs_t from;
    struct statvfs to;
    (void)ino; /* of which directory the kernel asks does not matter */
    apr_status_t status = vfs_statfs(m->fs, ctx, "/", &from);
    memset(&to, 0, sizeof(to));
    to.f_namemax = VFS_NAME_MAX;
    to.f_bsize = to.f_frsize = 4096;
    if (status == APR_SUCCESS) {
        unsigned long unit = from.block_size != 0 ? from.block_size : 4096;
        to.f_bsize = to.f_frsize = unit;
        to.f_blocks = from.bytes_total / unit;
        to.f_bfree = from.bytes_free / unit;
        to.f_bavail = from.bytes_available / unit;
        to.f_files = from.files_total;
        to.f_ffree = to.f_favail = from.files_free;
        if (from.name_max != 0 && from.name_max < VFS_NAME_MAX) to.f_namemax = from.name_max;
    }
    if (status == APR_SUCCESS || status == APR_ENOTIMPL)
        (void)fuse_reply_statfs(req, &to);
    else
        mount__reply_status(req, status);
}

/* ---- extended attributes */

static void reply_bytes(fuse_req_t req, apr_status_t status, const char *buf, size_t size,
                        size_t len)
{
    if (status != APR_SUCCESS)
        mount__reply_status(req, status);
    else if (size == 0)
        (void)fuse_reply_xattr(req, len);
    else
        (void)fuse_reply_buf(req, buf, len);
}

static char *room(size_t size)
{
    return malloc(size < XATTR_MAX ? size + 1 : XATTR_MAX);
}

/* Names that are ours: the state of a file. They are read, not listed, so that a copy of a file
 * does not take them along; and nobody writes them. */
#define STATE_PREFIX "user.cachefs."
#define STATE_MAX 256

static int is_state(const char *name)
{
    return strncmp(name, STATE_PREFIX, sizeof(STATE_PREFIX) - 1) == 0;
}

static void get_state(fuse_req_t req, inode_t *inode, const char *name, size_t size)
{
    mount_t *m = mount__of(req);
    const vfs_ctx_t *ctx = mount__ctx(req);
    char text[STATE_MAX] = "";
    path_t path;
    int error = mount__path_of(&m->table, inode, &path);
    apr_status_t status = VFS_ENODATA; /* without a name there is nothing to ask by */
    if (error == 0) {
        if (m->config.state != NULL)
            status = m->config.state(m->config.state_baton, ctx, path.text,
                                     name + sizeof(STATE_PREFIX) - 1, text, sizeof(text));
        mount__path_end(&m->table, &path);
    }
    size_t len = strlen(text);
    if (status == APR_SUCCESS && size > 0 && size < len) status = APR_FROM_OS_ERROR(ERANGE);
    reply_bytes(req, status, text, size, len);
}

/* The kernel asks for the length of these before a write, and takes any error for none: an origin
 * that does not answer shall not keep it from writing to the cache. Where there are some after all,
 * they go when the write arrives below. */
#define CAPS_NAME "security.capability"
#define CAPS_WAIT_US 1000000

static const vfs_ctx_t *soon(const vfs_ctx_t *ctx, vfs_ctx_t *room)
{
    if (ctx == NULL) return ctx;
    *room = *ctx;
    room->deadline = apr_time_now() + CAPS_WAIT_US;
    return room;
}

void mount__getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    mount_t *m = mount__of(req);
    if (is_state(name)) {
        get_state(req, mount__inode_of(m, ino), name, size);
        return;
    }
    const vfs_ctx_t *ctx = mount__ctx(req);
    vfs_ctx_t until;
    target_t target;
    size_t len = 0;
    char *buf = room(size);
    if (size == 0 && strcmp(name, CAPS_NAME) == 0) ctx = soon(ctx, &until);
    int error = buf != NULL ? target_begin(m, mount__inode_of(m, ino), NULL, &target) : ENOMEM;
    if (error != 0) {
        free(buf);
        (void)fuse_reply_err(req, error);
        return;
    }
    apr_status_t status =
        target.file != NULL
            ? vfs_fgetxattr(target.file->file, ctx, name, buf, size, &len)
            : vfs_getxattr(m->fs, ctx, target.path.text, name, buf, size, &len, VFS_NOFOLLOW);
    target_end(m, NULL, &target);
    mount__heard(req, .op = "getxattr", .inode = mount__inode_of(m, ino), .text = name,
                 .error = mount__errno(status));
    reply_bytes(req, status, buf, size, len);
    free(buf);
}

/* Names that only the administrator may see; the kernel leaves that to the file system. */
static size_t hide_trusted(char *buf, size_t len)
{
    size_t kept = 0;
    for (size_t at = 0; at < len;) {
        size_t one = strlen(buf + at) + 1;
        if (strncmp(buf + at, "trusted.", 8) != 0) {
            memmove(buf + kept, buf + at, one);
            kept += one;
        }
        at += one;
    }
    return kept;
}

/* The whole list first, since what is hidden does not count. */
void mount__listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    mount_t *m = mount__of(req);
    const vfs_ctx_t *ctx = mount__ctx(req);
    target_t target;
    size_t len = 0;
    char *buf = room(XATTR_MAX);
    int error = buf != NULL ? target_begin(m, mount__inode_of(m, ino), NULL, &target) : ENOMEM;
    if (error != 0) {
        free(buf);
        (void)fuse_reply_err(req, error);
        return;
    }
    apr_status_t status =
        target.file != NULL
            ? vfs_flistxattr(target.file->file, ctx, buf, XATTR_MAX, &len)
            : vfs_listxattr(m->fs, ctx, target.path.text, buf, XATTR_MAX, &len, VFS_NOFOLLOW);
    target_end(m, NULL, &target);
    mount__heard(req, .op = "listxattr", .inode = mount__inode_of(m, ino),
                 .error = mount__errno(status));
    if (status == APR_SUCCESS && fuse_req_ctx(req)->uid != 0) len = hide_trusted(buf, len);
    if (status == APR_SUCCESS && size > 0 && len > size) status = APR_FROM_OS_ERROR(ERANGE);
    reply_bytes(req, status, buf, size, len);
    free(buf);
}

/* Access rules are permissions: who changes them takes the set-group-id bit away, as by chmod,
 * unless he is of the group. The kernel would say so to a newer libfuse. */
static void drop_group_bit(mount_t *m, fuse_req_t req, const vfs_ctx_t *ctx, const target_t *target)
{
    vfs_attr_t attr;
    if (fuse_req_ctx(req)->uid == 0 || ask(m, ctx, target, &attr) != APR_SUCCESS) return;
    if ((attr.mode & S_ISGID) && !keeps_group_bit(req, attr.gid)) /* the rules are set already */
        (void)set_mode(m, ctx, target, attr.mode & ~(uint32_t)S_ISGID);
}

void mount__setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                     size_t size, int flags)
{
    mount_t *m = mount__of(req);
    const vfs_ctx_t *ctx = mount__ctx(req);
    target_t target;
    uint32_t how = (flags & XATTR_CREATE ? VFS_XATTR_CREATE : 0) |
                   (flags & XATTR_REPLACE ? VFS_XATTR_REPLACE : 0);
    int error = is_state(name) ? EPERM : target_begin(m, mount__inode_of(m, ino), NULL, &target);
    if (error != 0) {
        (void)fuse_reply_err(req, error);
        return;
    }
    apr_status_t status =
        target.file != NULL
            ? vfs_fsetxattr(target.file->file, ctx, name, value, size, how)
            : vfs_setxattr(m->fs, ctx, target.path.text, name, value, size, how, VFS_NOFOLLOW);
    if (status == APR_SUCCESS && strcmp(name, "system.posix_acl_access") == 0)
        drop_group_bit(m, req, ctx, &target);
    target_end(m, NULL, &target);
    mount__heard(req, .op = "setxattr", .inode = mount__inode_of(m, ino), .text = name,
                 .error = mount__errno(status));
    mount__reply_status(req, status);
}

void mount__removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    mount_t *m = mount__of(req);
    const vfs_ctx_t *ctx = mount__ctx(req);
    target_t target;
    int error = is_state(name) ? EPERM : target_begin(m, mount__inode_of(m, ino), NULL, &target);
    if (error != 0) {
        (void)fuse_reply_err(req, error);
        return;
    }
    apr_status_t status = target.file != NULL
                              ? vfs_fremovexattr(target.file->file, ctx, name)
                              : vfs_removexattr(m->fs, ctx, target.path.text, name, VFS_NOFOLLOW);
    target_end(m, NULL, &target);
    mount__heard(req, .op = "removexattr", .inode = mount__inode_of(m, ino), .text = name,
                 .error = mount__errno(status));
    mount__reply_status(req, status);
}
