/*
 * port_linux_io.c - bytes, locks and directory entries of open files. Floor 2, Linux.
 * Reads and writes go on until all is done, the end of the file, or an error: the contract knows no
 * other short transfer.
 */
#include "backends/local/port.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

_Static_assert(sizeof(vfs_iovec_t) == sizeof(struct iovec) &&
                   offsetof(vfs_iovec_t, base) == offsetof(struct iovec, iov_base) &&
                   offsetof(vfs_iovec_t, len) == offsetof(struct iovec, iov_len),
               "our vectors are the system's");

/* ---- bytes */

apr_status_t port__read(int fd, void *buf, size_t len, apr_off_t off, size_t *got)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(fd, (char *)buf + done, len - done, off + (apr_off_t)done);
        if (n == 0) break;
        if (n > 0) {
            done += (size_t)n;
        } else if (errno != EINTR) {
            *got = 0;
            return port__status(errno);
        }
    }
    *got = done;
    return APR_SUCCESS;
}

static ssize_t write_some(int fd, const void *buf, size_t len, apr_off_t off)
{
    if (off != VFS_OFFSET_END) return pwrite(fd, buf, len, off);
    struct iovec iov;
    iov.iov_base = (void *)(uintptr_t)buf; /* pwritev2 does not write through it */
    iov.iov_len = len;
    return pwritev2(fd, &iov, 1, 0, RWF_APPEND);
}

apr_status_t port__write(int fd, const void *buf, size_t len, apr_off_t off, size_t *written)
{
    size_t done = 0;
    while (done < len) {
        apr_off_t at = off == VFS_OFFSET_END ? off : off + (apr_off_t)done;
        ssize_t n = write_some(fd, (const char *)buf + done, len - done, at);
        if (n > 0) {
            done += (size_t)n;
        } else if (n == 0) {
            *written = done;
            return APR_FROM_OS_ERROR(EIO); /* no progress, and no reason given */
        } else if (errno != EINTR) {
            *written = done;
            return port__status(errno);
        }
    }
    *written = done;
    return APR_SUCCESS;
}

static size_t total(const vfs_iovec_t *iov, size_t count)
{
    size_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += iov[i].len;
    return sum;
}

/* The vectored call usually does it all; what it leaves is done piece by piece. */
apr_status_t port__readv(int fd, const vfs_iovec_t *iov, size_t count, apr_off_t off, size_t *got)
{
    ssize_t n;
    do {
        n = preadv(fd, (const struct iovec *)(const void *)iov, (int)count, off);
    } while (n < 0 && errno == EINTR);
    if (n < 0) return port__status(errno);
    size_t done = (size_t)n;
    size_t skip = done;
    if (done == 0 || done == total(iov, count)) count = 0;
    for (size_t i = 0; i < count; i++) {
        if (skip >= iov[i].len) {
            skip -= iov[i].len;
            continue;
        }
        size_t more;
        size_t want = iov[i].len - skip;
        apr_status_t status =
            port__read(fd, (char *)iov[i].base + skip, want, off + (apr_off_t)done, &more);
        if (status != APR_SUCCESS) return status;
        done += more;
        skip = 0;
        if (more < want) break;
    }
    *got = done;
    return APR_SUCCESS;
}

apr_status_t port__writev(int fd, const vfs_iovec_t *iov, size_t count, apr_off_t off,
                          size_t *written)
{
    const struct iovec *os = (const struct iovec *)(const void *)iov;
    ssize_t n;
    do {
        n = off == VFS_OFFSET_END ? pwritev2(fd, os, (int)count, 0, RWF_APPEND)
                                  : pwritev(fd, os, (int)count, off);
    } while (n < 0 && errno == EINTR);
    if (n < 0) return port__status(errno);
    size_t done = (size_t)n;
    size_t skip = done;
    apr_status_t status = APR_SUCCESS;
    if (done == total(iov, count)) count = 0;
    for (size_t i = 0; i < count && status == APR_SUCCESS; i++) {
        if (skip >= iov[i].len) {
            skip -= iov[i].len;
            continue;
        }
        size_t more;
        apr_off_t at = off == VFS_OFFSET_END ? off : off + (apr_off_t)done;
        status = port__write(fd, (char *)iov[i].base + skip, iov[i].len - skip, at, &more);
        done += more;
        skip = 0;
    }
    *written = done;
    return status;
}

apr_status_t port__ftruncate(int fd, apr_off_t size)
{
    int got;
    do {
        got = ftruncate(fd, size);
    } while (got != 0 && errno == EINTR);
    return got == 0 ? APR_SUCCESS : port__status(errno);
}

apr_status_t port__sync(int fd, uint32_t flags)
{
    int all = (flags & VFS_SYNC_ALL) || (flags & VFS_SYNC_DATA) == 0;
    int got;
    do {
        got = all ? fsync(fd) : fdatasync(fd);
    } while (got != 0 && errno == EINTR);
    return got == 0 ? APR_SUCCESS : port__status(errno);
}

static apr_status_t sync_below(const port_root_t *root, const char *path)
{
    int fd;
    int direct;
    apr_status_t status = port__open(root, path, VFS_O_DIRECTORY, &fd, &direct);
    if (status == APR_SUCCESS) {
        status = syncfs(fd) == 0 ? APR_SUCCESS : port__status(errno);
        port__close(fd);
    }
    return status;
}

/* Undo the "\\040" of /proc/self/mountinfo, in place. */
static void unescape(char *text)
{
    char *out = text;
    for (; *text != '\0'; text++) {
        if (text[0] == '\\' && text[1] != '\0' && text[2] != '\0' && text[3] != '\0') {
            *out++ = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0'));
            text += 3;
        } else {
            *out++ = *text;
        }
    }
    *out = '\0';
}

/* Other file systems may be mounted below the root. One that cannot be named is left to sync(2),
 * which does them all, but tells no error. */
static void sync_mounts(const port_root_t *root)
{
    char *line = NULL;
    size_t size = 0;
    size_t len = strlen(root->names[1]);
    int all = 0;
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    while (mounts != NULL && getline(&line, &size, mounts) > 0) {
        char *rest = line;
        char *name = NULL;
        for (int field = 0; field < 5; field++)
            name = strsep(&rest, " ");
        if (name == NULL) continue;
        unescape(name);
        if (strncmp(name, root->names[1], len) != 0) continue;
        if (len > 1 && name[len] != '/') continue; /* the root itself, or another name */
        if (sync_below(root, name + (len > 1 ? len : 0)) != APR_SUCCESS) all = 1;
    }
    free(line);
    if (mounts == NULL || all) sync();
    if (mounts != NULL) (void)fclose(mounts); /* it was only read */
}

apr_status_t port__sync_fs(const port_root_t *root)
{
    sync_mounts(root);
    return sync_below(root, "/");
}

apr_status_t port__allocate(int fd, uint32_t flags, apr_off_t off, apr_off_t len)
{
    int mode = ((flags & VFS_ALLOC_KEEP_SIZE) ? FALLOC_FL_KEEP_SIZE : 0) |
               ((flags & VFS_ALLOC_PUNCH_HOLE) ? FALLOC_FL_PUNCH_HOLE : 0) |
               ((flags & VFS_ALLOC_ZERO_RANGE) ? FALLOC_FL_ZERO_RANGE : 0) |
               ((flags & VFS_ALLOC_COLLAPSE) ? FALLOC_FL_COLLAPSE_RANGE : 0) |
               ((flags & VFS_ALLOC_INSERT) ? FALLOC_FL_INSERT_RANGE : 0);
    int got;
    do {
        got = fallocate(fd, mode, off, len);
    } while (got != 0 && errno == EINTR);
    return got == 0 ? APR_SUCCESS : port__status(errno);
}

apr_status_t port__seek_extent(int fd, apr_off_t off, vfs_whence_e whence, apr_off_t *where)
{
    off_t got = lseek(fd, off, whence == VFS_SEEK_DATA ? SEEK_DATA : SEEK_HOLE);
    if (got < 0) return errno == ENXIO ? VFS_ENODATA : port__status(errno);
    *where = got;
    return APR_SUCCESS;
}

apr_status_t port__copy_range(int src, apr_off_t src_off, int dst, apr_off_t dst_off, size_t len,
                              size_t *copied)
{
    size_t done = 0;
    while (done < len) {
        loff_t from = src_off + (apr_off_t)done;
        loff_t to = dst_off + (apr_off_t)done;
        ssize_t n = copy_file_range(src, &from, dst, &to, len - done, 0);
        if (n == 0) break;
        if (n > 0) {
            done += (size_t)n;
        } else if (errno != EINTR) {
            *copied = done;
            return errno == EXDEV ? APR_ENOTIMPL : port__status(errno);
        }
    }
    *copied = done;
    return APR_SUCCESS;
}

/* ---- locks */

static void os_lock(const vfs_lock_t *lock, struct flock *os)
{
    memset(os, 0, sizeof(*os)); /* l_pid must be 0 */
    os->l_type = lock->type == VFS_LOCK_READ    ? F_RDLCK
                 : lock->type == VFS_LOCK_WRITE ? F_WRLCK
                                                : F_UNLCK;
    os->l_whence = SEEK_SET;
    os->l_start = lock->start;
    os->l_len = lock->len;
}

static apr_status_t lock_result(int got)
{
    if (got == 0) return APR_SUCCESS;
    return errno == EACCES || errno == EWOULDBLOCK ? APR_EAGAIN : port__status(errno);
}

apr_status_t port__lock(int fd, const vfs_lock_t *lock, int wait)
{
    struct flock os;
    os_lock(lock, &os);
    int got;
    do {
        got = fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &os);
    } while (got != 0 && errno == EINTR);
    return lock_result(got);
}

apr_status_t port__lock_test(int fd, vfs_lock_t *lock)
{
    struct flock os;
    os_lock(lock, &os);
    if (fcntl(fd, F_OFD_GETLK, &os) != 0) return port__status(errno);
    lock->type = os.l_type == F_UNLCK   ? VFS_LOCK_UNLOCK
                 : os.l_type == F_RDLCK ? VFS_LOCK_READ
                                        : VFS_LOCK_WRITE;
    lock->pid = 0;
    if (os.l_type == F_UNLCK) return APR_SUCCESS;
    lock->start = os.l_start;
    lock->len = os.l_len;
    if (os.l_pid > 0) lock->pid = os.l_pid; /* -1: the lock belongs to an open file, as ours do */
    return APR_SUCCESS;
}

apr_status_t port__lock_whole(int fd, vfs_lock_e type, int wait)
{
    int how = type == VFS_LOCK_READ ? LOCK_SH : type == VFS_LOCK_WRITE ? LOCK_EX : LOCK_UN;
    int got;
    do {
        got = flock(fd, how | (wait ? 0 : LOCK_NB));
    } while (got != 0 && errno == EINTR);
    return lock_result(got);
}

/* ---- directories */

typedef struct raw_dirent_t { /* struct linux_dirent64 of getdents(2) */
    uint64_t ino;
    int64_t off;
    uint16_t len;
    uint8_t type;
    char name[];
} raw_dirent_t;

#define RAW_NAME offsetof(raw_dirent_t, name)

apr_status_t port__getdents(int fd, void *buf, size_t size, size_t *got)
{
    long n;
    do {
        n = syscall(SYS_getdents64, fd, buf, size);
    } while (n < 0 && errno == EINTR);
    *got = 0;
    /* A directory that was removed under the handle has no entries. */
    if (n < 0) return errno == ENOENT ? APR_SUCCESS : port__status(errno);
    *got = (size_t)n;
    return APR_SUCCESS;
}

static vfs_type_e type_of(uint8_t type)
{
    switch (type) {
    case DT_REG:
        return VFS_TYPE_FILE;
    case DT_DIR:
        return VFS_TYPE_DIR;
    case DT_LNK:
        return VFS_TYPE_LINK;
    case DT_FIFO:
        return VFS_TYPE_FIFO;
    case DT_SOCK:
        return VFS_TYPE_SOCKET;
    case DT_CHR:
        return VFS_TYPE_CHAR;
    case DT_BLK:
        return VFS_TYPE_BLOCK;
    default:
        return VFS_TYPE_UNKNOWN;
    }
}

void port__dirent(const char *buf, size_t *pos, port_dirent_t *entry)
{
    raw_dirent_t raw;
    memcpy(&raw, buf + *pos, RAW_NAME);
    entry->name = buf + *pos + RAW_NAME;
    entry->ino = raw.ino;
    entry->cookie = (uint64_t)raw.off;
    entry->type = type_of(raw.type);
    *pos += raw.len;
}

apr_status_t port__seekdir(int fd, uint64_t cookie)
{
    return lseek(fd, (off_t)cookie, SEEK_SET) >= 0 ? APR_SUCCESS : port__status(errno);
}
