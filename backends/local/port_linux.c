/*
 * port_linux.c - names and attributes: the system calls behind port.h. Floor 2, Linux (5.8 or
 * newer). A PORT_O_PATH descriptor names a file without a right to it; where no call takes one, the
 * way is /proc/self/fd/N, which leads to that very file and checks the caller's rights on it.
 */
#include "backends/local/port.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ll

apr_status_t port__status(int err)
{
    if (err == 0) return APR_SUCCESS;
    if (err == ENOSYS || err == EOPNOTSUPP) return APR_ENOTIMPL;
    return APR_FROM_OS_ERROR(err);
}

static apr_status_t result(int got)
{
    return got == 0 ? APR_SUCCESS : port__status(errno);
}

typedef struct fd_name_t {
    char str[32];
} fd_name_t;

static const char *fd_name(int fd, fd_name_t *name)
{
    (void)snprintf(name->str, sizeof(name->str), "/proc/self/fd/%d", fd); /* always fits */
    return name->str;
}

void port__close(int fd)
{
    if (fd >= 0) (void)close(fd); /* nothing was written through it, or its error was asked for */
}

apr_status_t port__close_checked(int fd)
{
    /* Linux frees the descriptor on EINTR too. */
    return close(fd) == 0 || errno == EINTR ? APR_SUCCESS : port__status(errno);
}

/* ---- attributes */

static vfs_type_e type_of(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return VFS_TYPE_FILE;
    case S_IFDIR:
        return VFS_TYPE_DIR;
    case S_IFLNK:
        return VFS_TYPE_LINK;
    case S_IFIFO:
        return VFS_TYPE_FIFO;
    case S_IFSOCK:
        return VFS_TYPE_SOCKET;
    case S_IFCHR:
        return VFS_TYPE_CHAR;
    case S_IFBLK:
        return VFS_TYPE_BLOCK;
    default:
        return VFS_TYPE_UNKNOWN;
    }
}

static int64_t ns_of(const struct statx_timestamp *t)
{
    return (int64_t)t->tv_sec * NS_PER_S + (int64_t)t->tv_nsec;
}

static apr_status_t statx_of(int dir, const char *name, int flags, vfs_attr_t *attr)
{
    struct statx st;
    if (statx(dir, name, flags, STATX_BASIC_STATS | STATX_BTIME, &st) != 0) {
        return port__status(errno);
    }
    memset(attr, 0, sizeof(*attr));
    attr->flags = VFS_ATTR_STABLE_ID;
    attr->type = type_of(st.stx_mode);
    attr->mode = st.stx_mode & 07777u;
    attr->nlink = st.stx_nlink;
    attr->uid = st.stx_uid;
    attr->gid = st.stx_gid;
    if (attr->type == VFS_TYPE_CHAR || attr->type == VFS_TYPE_BLOCK) {
        attr->rdev = makedev(st.stx_rdev_major, st.stx_rdev_minor);
    }
    attr->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
    attr->ino = st.stx_ino;
    attr->size = st.stx_size;
    attr->allocated = st.stx_blocks * 512u;
    attr->blksize = st.stx_blksize;
    attr->atime_ns = ns_of(&st.stx_atime);
    attr->mtime_ns = ns_of(&st.stx_mtime);
    attr->ctime_ns = ns_of(&st.stx_ctime);
    attr->btime_ns = (st.stx_mask & STATX_BTIME) ? ns_of(&st.stx_btime) : 0;
    return APR_SUCCESS;
}

apr_status_t port__stat(int fd, vfs_attr_t *attr)
{
    return statx_of(fd, "", AT_EMPTY_PATH, attr);
}

apr_status_t port__statat(int dir, const char *name, vfs_attr_t *attr)
{
    return statx_of(dir, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, attr);
}

apr_status_t port__access(int fd, uint32_t mask)
{
    int mode = ((mask & VFS_ACCESS_READ) ? R_OK : 0) | ((mask & VFS_ACCESS_WRITE) ? W_OK : 0) |
               ((mask & VFS_ACCESS_EXEC) ? X_OK : 0);
    /* Raw: the C library's emulation for old kernels would look at real ids. */
    long got = syscall(SYS_faccessat2, fd, "", mode, AT_EACCESS | AT_EMPTY_PATH);
    return got == 0 ? APR_SUCCESS : port__status(errno);
}

apr_status_t port__chmod(int fd, uint32_t mode)
{
    struct stat st;
    fd_name_t name;
    if (fchmod(fd, mode & 07777u) == 0) return APR_SUCCESS;
    if (errno != EBADF) return port__status(errno);
    if (fstat(fd, &st) != 0) return port__status(errno);
    if (S_ISLNK(st.st_mode)) return APR_ENOTIMPL; /* Linux has no modes of links */
    return result(chmod(fd_name(fd, &name), mode & 07777u));
}

apr_status_t port__chown(int fd, uint32_t uid, uint32_t gid)
{
    return result(fchownat(fd, "", uid, gid, AT_EMPTY_PATH));
}

static struct timespec timespec_of(int64_t ns)
{
    struct timespec t = {0, 0};
    if (ns == VFS_TIME_NOW || ns == VFS_TIME_OMIT) {
        t.tv_nsec = ns == VFS_TIME_NOW ? UTIME_NOW : UTIME_OMIT;
        return t;
    }
    int64_t rest = ns % NS_PER_S;
    if (rest < 0) rest += NS_PER_S;
    t.tv_sec = (time_t)((ns - rest) / NS_PER_S);
    t.tv_nsec = (long)rest;
    return t;
}

apr_status_t port__utimens(int fd, int64_t atime_ns, int64_t mtime_ns)
{
    struct timespec times[2] = {timespec_of(atime_ns), timespec_of(mtime_ns)};
    return result(utimensat(fd, "", times, AT_EMPTY_PATH));
}

apr_status_t port__truncate(int fd, apr_off_t size)
{
    fd_name_t name;
    int got;
    do {
        got = truncate(fd_name(fd, &name), size);
    } while (got != 0 && errno == EINTR);
    return result(got);
}

apr_status_t port__statfs(int fd, vfs_statfs_t *out)
{
    struct statvfs st;
    if (fstatvfs(fd, &st) != 0) return port__status(errno);
    uint64_t unit = st.f_frsize != 0 ? st.f_frsize : st.f_bsize;
    out->bytes_total = st.f_blocks * unit;
    out->bytes_free = st.f_bfree * unit;
    out->bytes_available = st.f_bavail * unit;
    out->files_total = st.f_files;
    out->files_free = st.f_ffree;
    out->block_size = (uint32_t)unit;
    out->name_max = (uint32_t)st.f_namemax;
    return APR_SUCCESS;
}

/* ---- extended attributes */

apr_status_t port__getxattr(int fd, int is_path, const char *name, void *buf, size_t size,
                            size_t *len)
{
    fd_name_t self;
    ssize_t got =
        is_path ? getxattr(fd_name(fd, &self), name, buf, size) : fgetxattr(fd, name, buf, size);
    if (got < 0) return port__status(errno);
    *len = (size_t)got;
    return APR_SUCCESS;
}

apr_status_t port__setxattr(int fd, int is_path, const char *name, const void *value, size_t len,
                            uint32_t how)
{
    fd_name_t self;
    int flags = ((how & VFS_XATTR_CREATE) ? XATTR_CREATE : 0) |
                ((how & VFS_XATTR_REPLACE) ? XATTR_REPLACE : 0);
    return result(is_path ? setxattr(fd_name(fd, &self), name, value, len, flags)
                          : fsetxattr(fd, name, value, len, flags));
}

apr_status_t port__listxattr(int fd, int is_path, char *buf, size_t size, size_t *len)
{
    fd_name_t self;
    ssize_t got = is_path ? listxattr(fd_name(fd, &self), buf, size) : flistxattr(fd, buf, size);
    if (got < 0) return port__status(errno);
    *len = (size_t)got;
    return APR_SUCCESS;
}

apr_status_t port__removexattr(int fd, int is_path, const char *name)
{
    fd_name_t self;
    return result(is_path ? removexattr(fd_name(fd, &self), name) : fremovexattr(fd, name));
}

int port__has_default_acl(int dir)
{
    fd_name_t self;
    return getxattr(fd_name(dir, &self), "system.posix_acl_default", NULL, 0) > 0;
}

/* ---- names */

apr_status_t port__mkdir(const port_at_t *at, uint32_t mode)
{
    return result(mkdirat(at->fd, at->name, mode & 07777u));
}

static mode_t mode_of(vfs_type_e type)
{
    switch (type) {
    case VFS_TYPE_FILE:
        return S_IFREG;
    case VFS_TYPE_FIFO:
        return S_IFIFO;
    case VFS_TYPE_SOCKET:
        return S_IFSOCK;
    case VFS_TYPE_CHAR:
        return S_IFCHR;
    case VFS_TYPE_BLOCK:
        return S_IFBLK;
    default:
        return 0;
    }
}

apr_status_t port__mknod(const port_at_t *at, vfs_type_e type, uint32_t mode, uint64_t rdev)
{
    mode_t kind = mode_of(type);
    if (kind == 0) return APR_EINVAL;
    dev_t dev = kind == S_IFCHR || kind == S_IFBLK ? (dev_t)rdev : 0;
    return result(mknodat(at->fd, at->name, kind | (mode & 07777u), dev));
}

apr_status_t port__unlink(const port_at_t *at, int dir)
{
    return result(unlinkat(at->fd, at->name, dir ? AT_REMOVEDIR : 0));
}

apr_status_t port__rename(const port_at_t *from, const port_at_t *to, uint32_t flags)
{
    unsigned how = ((flags & VFS_RENAME_NOREPLACE) ? RENAME_NOREPLACE : 0u) |
                   ((flags & VFS_RENAME_EXCHANGE) ? RENAME_EXCHANGE : 0u);
    return result(renameat2(from->fd, from->name, to->fd, to->name, how));
}

apr_status_t port__link(const port_at_t *from, const port_at_t *to)
{
    return result(linkat(from->fd, from->name, to->fd, to->name, 0));
}

apr_status_t port__symlink(const char *target, const port_at_t *at)
{
    return result(symlinkat(target, at->fd, at->name));
}

apr_status_t port__readlink(const port_at_t *at, char *buf, size_t size, size_t *len)
{
    ssize_t got = readlinkat(at->fd, at->name, buf, size);
    if (got < 0) return port__status(errno);
    if ((size_t)got >= size) return APR_FROM_OS_ERROR(ERANGE);
    buf[got] = '\0';
    *len = (size_t)got;
    return APR_SUCCESS;
}

void port__sleep_us(int64_t us)
{
    struct timespec t = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    (void)nanosleep(&t, NULL); /* waking early is harmless */
}
