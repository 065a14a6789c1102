/*
 * port.h - what the local backend asks of the operating system; port_*.c answers it.
 * Floor 2, private to backends/local. Nothing outside port_*.c makes a system call of its own.
 * Every function returns an APR status; what the system cannot do is APR_ENOTIMPL. Interrupted
 * calls are taken up again. Paths are those of the stack ("/a/b") and never leave the root.
 */
#ifndef BACKENDS_LOCAL_PORT_H
#define BACKENDS_LOCAL_PORT_H

#include "vfs/vfs_ops.h"

/* ---- the root, and credentials */

/** The directory that is "/" of the stack. */
typedef struct port_root_t {
    int fd;         /**< a reference to the directory, held for the life of the instance */
    int privileged; /**< the process may act as other users */
    uint32_t uid;   /**< the process's own */
    uint32_t gid;
    char *names[2]; /**< its absolute names: as given, and with links resolved */
} port_root_t;

apr_status_t port__root_open(port_root_t *root, const char *dir);
void port__root_close(port_root_t *root);

#define PORT_GROUPS_FEW 32

/** What port__creds_leave needs to undo port__creds_enter. Only this thread is affected. */
typedef struct port_creds_t {
    int active;   /**< bits: uid, gid, groups were changed */
    uint32_t uid; /**< what to go back to */
    uint32_t gid;
    uint32_t as_uid; /**< who the caller is now */
    int count;
    uint32_t *groups; /**< few, or malloc'ed */
    uint32_t few[PORT_GROUPS_FEW];
} port_creds_t;

/** Act as the context's user, on this thread, until port__creds_leave; without VFS_CTX_CREDS as the
 *  process. An unprivileged process can be itself only: anybody else is APR_EACCES. */
apr_status_t port__creds_enter(const port_root_t *root, const vfs_ctx_t *ctx, port_creds_t *creds);
void port__creds_leave(port_creds_t *creds);

/* ---- from a path to a descriptor */

#define PORT_O_PATH                                                                                \
    0x10000u /**< with VFS_O_*: a reference only, which asks no right on the object */

/** Open what exists: VFS_O_CREATE and VFS_O_EXCL are not looked at. Never blocks on a fifo.
 *  `direct` tells whether no link was met, after APR_ENOENT too. */
apr_status_t port__open(const port_root_t *root, const char *path, uint32_t flags, int *fd,
                        int *direct);

/** A directory, and a name in it. */
typedef struct port_at_t {
    int fd;
    int owned; /**< fd is to be closed */
    int direct;
    char name[VFS_NAME_MAX + 1]; /**< "" when the path is the root */
} port_at_t;

/** Open the parent of `path`. With `follow`, links in the last component are followed first, so
 * that the name is one where a file can be made or replaced. Close with port__at_close. */
apr_status_t port__at_open(const port_root_t *root, const char *path, int follow, port_at_t *at);
void port__at_close(port_at_t *at);

/** Make a regular file that must not exist yet, and open it. */
apr_status_t port__create(const port_at_t *at, uint32_t flags, uint32_t mode, int *fd);
/** Open a name itself, within `at`: a link is not followed, and refused unless PORT_O_PATH is set.
 */
apr_status_t port__openat(const port_at_t *at, uint32_t flags, int *fd);
/** Another, independent open of the same file: for reading and writing, or as `flags` say. */
apr_status_t port__reopen(int fd, uint32_t flags, int *out);
void port__close(int fd);
/** Close a descriptor whose error counts. */
apr_status_t port__close_checked(int fd);

/* ---- names */

apr_status_t port__mkdir(const port_at_t *at, uint32_t mode);
apr_status_t port__mknod(const port_at_t *at, vfs_type_e type, uint32_t mode, uint64_t rdev);
apr_status_t port__unlink(const port_at_t *at, int dir);
apr_status_t port__rename(const port_at_t *from, const port_at_t *to, uint32_t flags);
apr_status_t port__link(const port_at_t *from, const port_at_t *to);
apr_status_t port__symlink(const char *target, const port_at_t *at);
apr_status_t port__readlink(const port_at_t *at, char *buf, size_t size, size_t *len);
/** Does the directory hand out access rules of its own (a default ACL)? Then no umask counts. */
int port__has_default_acl(int dir);

/* ---- attributes: fd may be a PORT_O_PATH one */

/** Fills all but VFS_ATTR_DIRECT. */
apr_status_t port__stat(int fd, vfs_attr_t *attr);
/** Of a name in a directory, links not followed. */
apr_status_t port__statat(int dir, const char *name, vfs_attr_t *attr);
apr_status_t port__access(int fd, uint32_t mask);
apr_status_t port__chmod(int fd, uint32_t mode);
apr_status_t port__chown(int fd, uint32_t uid, uint32_t gid);
apr_status_t port__utimens(int fd, int64_t atime_ns, int64_t mtime_ns);
apr_status_t port__truncate(int fd, apr_off_t size);
apr_status_t port__statfs(int fd, vfs_statfs_t *out);
/** With `is_path`, fd is a PORT_O_PATH one. */
apr_status_t port__getxattr(int fd, int is_path, const char *name, void *buf, size_t size,
                            size_t *len);
apr_status_t port__setxattr(int fd, int is_path, const char *name, const void *value, size_t len,
                            uint32_t how);
apr_status_t port__listxattr(int fd, int is_path, char *buf, size_t size, size_t *len);
apr_status_t port__removexattr(int fd, int is_path, const char *name);

/* ---- bytes */

apr_status_t port__read(int fd, void *buf, size_t len, apr_off_t off, size_t *got);
/** VFS_OFFSET_END appends. */
apr_status_t port__write(int fd, const void *buf, size_t len, apr_off_t off, size_t *written);
apr_status_t port__readv(int fd, const vfs_iovec_t *iov, size_t count, apr_off_t off, size_t *got);
apr_status_t port__writev(int fd, const vfs_iovec_t *iov, size_t count, apr_off_t off,
                          size_t *written);
apr_status_t port__ftruncate(int fd, apr_off_t size);
apr_status_t port__sync(int fd, uint32_t flags);
apr_status_t port__sync_fs(const port_root_t *root);
apr_status_t port__allocate(int fd, uint32_t flags, apr_off_t off, apr_off_t len);
apr_status_t port__seek_extent(int fd, apr_off_t off, vfs_whence_e whence, apr_off_t *where);
apr_status_t port__copy_range(int src, apr_off_t src_off, int dst, apr_off_t dst_off, size_t len,
                              size_t *copied);

/* ---- locks: they belong to the open, not to the process */

/** Set or drop a range lock; with `wait` until it is free. @return APR_EAGAIN: held by another. */
apr_status_t port__lock(int fd, const vfs_lock_t *lock, int wait);
/** What is in the way of `lock`, written into it; type VFS_LOCK_UNLOCK if nothing. */
apr_status_t port__lock_test(int fd, vfs_lock_t *lock);
/** The lock of flock(2). */
apr_status_t port__lock_whole(int fd, vfs_lock_e type, int wait);

/* ---- directories */

typedef struct port_dirent_t {
    const char *name;
    uint64_t ino;
    uint64_t cookie;
    vfs_type_e type;
} port_dirent_t;

/** Read some raw entries; *got 0 at the end. */
apr_status_t port__getdents(int fd, void *buf, size_t size, size_t *got);
/** The entry at *pos of what port__getdents gave, and *pos behind it. */
void port__dirent(const char *buf, size_t *pos, port_dirent_t *entry);
apr_status_t port__seekdir(int fd, uint64_t cookie);

/* ---- change events */

#define PORT_EVENT_DIR 0x100u   /**< with VFS_EVENT_*: the name is a directory's */
#define PORT_EVENT_GONE 0x200u  /**< the watch itself is no more */
#define PORT_EVENT_MOVED 0x400u /**< with VFS_EVENT_REMOVED: it lives on under another name */

typedef struct port_event_t {
    int wd;           /**< which watch; -1: all of them (VFS_EVENT_OVERFLOW) */
    uint32_t events;  /**< VFS_EVENT_*, PORT_EVENT_* */
    const char *name; /**< in the watched directory; "" is the directory itself */
} port_event_t;

/** A queue of events. */
typedef struct port_watch_t {
    int fd;
    int wake;
} port_watch_t;

/** @return VFS_ELIMIT where the system has no more queues. */
apr_status_t port__watch_open(port_watch_t *watch);
void port__watch_close(port_watch_t *watch);
/** Hear of changes in a directory. The same directory gives the same number again.
 *  @return VFS_ELIMIT where the system has no more watches. */
apr_status_t port__watch_add(const port_watch_t *watch, int dir, int *wd);
void port__watch_remove(const port_watch_t *watch, int wd);
/** End a port__watch_wait of another thread, now or the next one. */
void port__watch_wake(const port_watch_t *watch);
/** Wait for events, at most timeout_ms (-1: no limit), and read some into buf.
 *  @return APR_SUCCESS, *got 0 on time-out; APR_EOF after port__watch_wake. */
apr_status_t port__watch_wait(const port_watch_t *watch, void *buf, size_t size, int timeout_ms,
                              size_t *got);
/** The event at *pos of what port__watch_wait gave, and *pos behind it. */
void port__watch_event(const char *buf, size_t *pos, port_event_t *event);

/** Sleep on this thread. */
void port__sleep_us(int64_t us);
/** The status of an errno value. */
apr_status_t port__status(int err);

#endif
