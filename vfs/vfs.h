/*
 * vfs.h - the virtual file system as its users see it: open a backend, stack layers, read, write.
 * Floor 1, public. Backend and layer authors read vfs_ops.h beside it.
 *
 * Rules that hold for every function here:
 *  - Paths are absolute, '/'-separated bytes. "//", "." and ".." are resolved before any operation;
 *    ".." above the root stays at the root; a trailing '/' asks for a directory. An empty path is
 *    APR_ENOENT, a component over VFS_NAME_MAX or a path over VFS_PATH_MAX bytes APR_ENAMETOOLONG.
 *  - `ctx` may be NULL: own credentials, no deadline, normal priority.
 *  - APR_ENOTIMPL means that the layer or backend cannot do it; nothing was changed.
 *  - Any function may be called from any thread at any time, except vfs_destroy and
 *    vfs_destroy_stack, which must be the last call on a file system, and vfs_close and
 *    vfs_closedir, which must be the last call on a handle.
 *  - An expired deadline is APR_TIMEUP, a raised cancel flag VFS_ECANCELED.
 */
#ifndef VFS_VFS_H
#define VFS_VFS_H

#include <stddef.h>
#include <stdint.h>

#include <apr_errno.h>
#include <apr_pools.h>
#include <apr_time.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define VFS_API __attribute__((visibility("default")))
#else
#define VFS_API
#endif

/* ---- limits and versions ------------------------------------------------------------------- */

#define VFS_NAME_MAX 255u  /**< bytes in one path component */
#define VFS_PATH_MAX 4096u /**< bytes in a path, without the final NUL */

#define VFS_VERSION_MAJOR 0
#define VFS_VERSION_MINOR 1
#define VFS_VERSION_PATCH 0

/* ---- status codes -------------------------------------------------------------------------- */

#define VFS_ESTART (APR_OS_START_USERERR + 7300)
#define VFS_ECHECKSUM (VFS_ESTART + 1) /**< stored bytes do not match their checksum */
#define VFS_EOFFLINE (VFS_ESTART + 2)  /**< the backend cannot be reached */
#define VFS_ESTALE (VFS_ESTART + 3)    /**< the file changed twice under one call, or is gone */
#define VFS_EDIRTY (VFS_ESTART + 4)    /**< dirty data is left */
#define VFS_ELIMIT (VFS_ESTART + 5)    /**< a limit of the instance is reached */
#define VFS_EABI (VFS_ESTART + 6)      /**< built against another ABI version */
#define VFS_ECANCELED (VFS_ESTART + 7) /**< the caller raised its cancel flag */
#define VFS_ECONFLICT (VFS_ESTART + 8) /**< the file is not in the state that the call demanded */
#define VFS_EFORMAT (VFS_ESTART + 9)   /**< bytes from outside are not in the expected format */
#define VFS_EEND (VFS_ESTART + 10)     /**< first unused code */

/* ---- handles ------------------------------------------------------------------------------- */

typedef struct vfs_t vfs_t;               /**< a file system: a backend or a layer on another one */
typedef struct vfs_file_t vfs_file_t;     /**< an open file */
typedef struct vfs_dir_t vfs_dir_t;       /**< an open directory */
typedef struct vfs_cancel_t vfs_cancel_t; /**< a flag that ends the calls that carry it */

/* ---- the context of a call ------------------------------------------------------------------ */

typedef enum vfs_priority_e {
    VFS_PRIORITY_NORMAL = 0,
    VFS_PRIORITY_LOW = 1, /**< only spare capacity: never pushes out something hotter */
    VFS_PRIORITY_HIGH = 2 /**< what it brings is protected from eviction, up to a limit */
} vfs_priority_e;

#define VFS_CTX_CREDS 0x1u /**< uid, gid and groups are given; else the process's own count */
#define VFS_CTX_UMASK 0x2u /**< umask is given; else modes are taken as they are */

/** What a caller can say about one call. Make it with VFS_CTX_INIT, then set what matters. */
typedef struct vfs_ctx_t {
    size_t size;            /**< sizeof(vfs_ctx_t), set by VFS_CTX_INIT */
    uint32_t flags;         /**< VFS_CTX_* */
    uint32_t uid;           /**< user id, with VFS_CTX_CREDS */
    uint32_t gid;           /**< group id, with VFS_CTX_CREDS */
    uint32_t umask;         /**< mode bits taken away from what is created, with VFS_CTX_UMASK */
    const uint32_t *groups; /**< supplementary groups, with VFS_CTX_CREDS; may be NULL */
    size_t ngroups;
    apr_time_t deadline;        /**< absolute, microseconds since 1970; 0: none */
    const vfs_cancel_t *cancel; /**< or NULL */
    vfs_priority_e priority;
    uint64_t trace_id; /**< appears in traces and logs; 0: none */
} vfs_ctx_t;

#define VFS_CTX_INIT                                                                               \
    {                                                                                              \
        sizeof(vfs_ctx_t), 0, 0, 0, 0, NULL, 0, 0, NULL, VFS_PRIORITY_NORMAL, 0                    \
    }

/** Make a lowered cancel flag. Returns APR_SUCCESS or APR_ENOMEM.
 *  Threads: any. Blocks: no. Owns: freed with `pool`. */
VFS_API apr_status_t vfs_cancel_create(vfs_cancel_t **out, apr_pool_t *pool);
/** Raise the flag: calls that carry it end soon with VFS_ECANCELED. Threads: any, a signal handler
 *  too. Blocks: no. Owns: nothing. */
VFS_API void vfs_cancel_raise(vfs_cancel_t *cancel);
/** Is the flag raised? NULL is never raised. Threads: any. Blocks: no. Owns: nothing. */
VFS_API int vfs_cancel_raised(const vfs_cancel_t *cancel);
/** Is the call still wanted? Returns APR_SUCCESS, VFS_ECANCELED or APR_TIMEUP.
 *  Threads: any. Blocks: no. Owns: nothing. */
VFS_API apr_status_t vfs_ctx_check(const vfs_ctx_t *ctx);

/* ---- attributes and validators --------------------------------------------------------------- */

typedef enum vfs_type_e {
    VFS_TYPE_UNKNOWN = 0,
    VFS_TYPE_FILE,
    VFS_TYPE_DIR,
    VFS_TYPE_LINK,
    VFS_TYPE_FIFO,
    VFS_TYPE_SOCKET,
    VFS_TYPE_CHAR,
    VFS_TYPE_BLOCK
} vfs_type_e;

#define VFS_ATTR_DIRECT 0x1u    /**< no symbolic link was followed to reach it (absent: unknown) */
#define VFS_ATTR_STABLE_ID 0x2u /**< (dev, ino) names the file for its whole life */
#define VFS_ATTR_STALE 0x4u     /**< answered from the cache while the backend was unreachable */

/** The attributes of a file. Times are nanoseconds since 1970, sizes are bytes. */
typedef struct vfs_attr_t {
    uint32_t flags; /**< VFS_ATTR_* */
    vfs_type_e type;
    uint32_t mode; /**< permission bits, 07777 */
    uint32_t nlink;
    uint32_t uid;
    uint32_t gid;
    uint64_t rdev; /**< device number of a VFS_TYPE_CHAR or VFS_TYPE_BLOCK */
    uint64_t dev;  /**< with ino: the identity of the file within the backend */
    uint64_t ino;
    uint64_t size;
    uint64_t allocated; /**< bytes of storage in use; smaller than size where there are holes */
    uint32_t blksize;   /**< preferred unit of input and output */
    uint32_t reserved;
    int64_t atime_ns;
    int64_t mtime_ns;
    int64_t ctime_ns;
    int64_t btime_ns; /**< 0 where the backend has none */
} vfs_attr_t;

typedef enum vfs_validator_e {
    VFS_VALIDATOR_NONE = 0, /**< not known */
    VFS_VALIDATOR_TIMES,    /**< ctime, mtime, size, device and inode */
    VFS_VALIDATOR_ETAG,     /**< an entity tag */
    VFS_VALIDATOR_VERSION,  /**< a version id or generation */
    VFS_VALIDATOR_DIGEST    /**< hash of a tag that is too long to keep */
} vfs_validator_e;

#define VFS_VALIDATOR_YOUNG 0x1u /**< younger than the backend's clock step: a change can hide */
#define VFS_VALIDATOR_WEAK 0x2u  /**< equal validators may stand for different bytes */
#define VFS_VALIDATOR_BYTES 60u

/** What tells two versions of a file apart. Compare with vfs_validator_equal. */
typedef struct vfs_validator_t {
    uint8_t kind; /**< vfs_validator_e */
    uint8_t flags;
    uint8_t len; /**< of data, at most VFS_VALIDATOR_BYTES */
    uint8_t reserved;
    uint8_t data[VFS_VALIDATOR_BYTES];
} vfs_validator_t;

/** Do both name the same version? Flags do not count; NONE equals nothing, not even itself.
 *  Threads: any. Blocks: no. Owns: nothing. */
VFS_API int vfs_validator_equal(const vfs_validator_t *a, const vfs_validator_t *b);

/* ---- flags ----------------------------------------------------------------------------------- */

/* vfs_open */
#define VFS_O_READ 0x0001u
#define VFS_O_WRITE 0x0002u
#define VFS_O_CREATE 0x0004u
#define VFS_O_EXCL 0x0008u /**< with VFS_O_CREATE: fail if the name exists, a link included */
#define VFS_O_TRUNC 0x0010u
#define VFS_O_APPEND 0x0020u
#define VFS_O_NOFOLLOW 0x0040u  /**< a symbolic link as the last component is APR_ELOOP-like */
#define VFS_O_DIRECTORY 0x0080u /**< anything but a directory is APR_ENOTDIR */
#define VFS_O_SYNC 0x0100u      /**< each write returns when it would survive a power loss */
#define VFS_O_DIRECT 0x0200u    /**< around every cache of ours */
#define VFS_O_ALL 0x03ffu

/* path operations */
#define VFS_NOFOLLOW 0x1u /**< act on a symbolic link itself */

/* vfs_rename */
#define VFS_RENAME_NOREPLACE 0x1u /**< APR_EEXIST if the new name exists */
#define VFS_RENAME_EXCHANGE 0x2u  /**< swap the two names atomically */

/* vfs_sync */
#define VFS_SYNC_DATA 0x1u /**< data, and only the attributes needed to read it */
#define VFS_SYNC_ALL 0x2u

/* vfs_access */
#define VFS_ACCESS_EXIST 0x0u
#define VFS_ACCESS_EXEC 0x1u
#define VFS_ACCESS_WRITE 0x2u
#define VFS_ACCESS_READ 0x4u

/* vfs_setxattr */
#define VFS_XATTR_CREATE 0x1u  /**< APR_EEXIST if it exists */
#define VFS_XATTR_REPLACE 0x2u /**< VFS_ENODATA if it does not exist */

/* vfs_allocate */
#define VFS_ALLOC_KEEP_SIZE 0x1u
#define VFS_ALLOC_PUNCH_HOLE 0x2u /**< needs VFS_ALLOC_KEEP_SIZE too */
#define VFS_ALLOC_ZERO_RANGE 0x4u
#define VFS_ALLOC_COLLAPSE 0x8u
#define VFS_ALLOC_INSERT 0x10u

/* vfs_opendir */
#define VFS_DIR_ATTRS 0x1u /**< entries shall carry attributes where that costs no trip each */

#define VFS_ENODATA APR_FROM_OS_ERROR(61) /**< no such extended attribute; no data behind offset */

/** Where a time should come from, instead of nanoseconds. */
#define VFS_TIME_NOW INT64_MAX
#define VFS_TIME_OMIT INT64_MIN

/** The offset of a write that goes to the end of the file, whatever that is by then. */
#define VFS_OFFSET_END ((apr_off_t)-1)

/* ---- capabilities ---------------------------------------------------------------------------- */

#define VFS_CAP_WRITE (1ull << 0)
#define VFS_CAP_RANDOM_WRITE (1ull << 1) /**< write_at at any offset; else commit only */
#define VFS_CAP_DIRS (1ull << 2)         /**< directories exist of their own */
#define VFS_CAP_SYMLINK (1ull << 3)
#define VFS_CAP_HARDLINK (1ull << 4)
#define VFS_CAP_XATTR (1ull << 5)
#define VFS_CAP_SPECIAL (1ull << 6) /**< mknod of fifos, sockets and devices */
#define VFS_CAP_SPARSE (1ull << 7)  /**< holes take no storage, seek_data and seek_hole find them */
#define VFS_CAP_MODE (1ull << 8)
#define VFS_CAP_OWNER (1ull << 9)
#define VFS_CAP_TIMES (1ull << 10)
#define VFS_CAP_ATOMIC_RENAME (1ull << 11)
#define VFS_CAP_RENAME_NOREPLACE (1ull << 12)
#define VFS_CAP_RENAME_EXCHANGE (1ull << 13)
#define VFS_CAP_STABLE_ID (1ull << 14)
#define VFS_CAP_EXCL_CREATE (1ull << 15) /**< VFS_O_EXCL is exclusive against everybody */
#define VFS_CAP_COMMIT (1ull << 16)      /**< whole-object commit */
#define VFS_CAP_CONDITIONAL (1ull << 17) /**< commit checks the validator atomically */
#define VFS_CAP_LOCK (1ull << 18)
#define VFS_CAP_COPY_RANGE (1ull << 19)
#define VFS_CAP_ALLOCATE (1ull << 20)
#define VFS_CAP_WATCH (1ull << 21)
#define VFS_CAP_SYNC (1ull << 22)        /**< sync really reaches stable storage */
#define VFS_CAP_UNLINKED_OPEN (1ull << 23) /**< an open file survives the unlink of its name */
#define VFS_CAP_APPEND (1ull << 24)      /**< appends are atomic against other appenders */
#define VFS_CAP_CREDS (1ull << 25)       /**< the credentials of the context are obeyed */
#define VFS_CAP_CONFINED (1ull << 26)    /**< never leaves its root, through a link either */

/** What a file system can do. A layer masks what it cannot carry. */
typedef struct vfs_caps_t {
    size_t size;                  /**< sizeof(vfs_caps_t) */
    uint64_t bits;                /**< VFS_CAP_* */
    uint64_t time_granularity_ns; /**< a change within it may not show in the validator */
    uint64_t file_size_max;
    uint32_t name_max;
    uint32_t round_trip_us; /**< what a round trip costs, as far as known; 0: local */
} vfs_caps_t;

/* ---- life of a file system --------------------------------------------------------------------- */

/** Open the backend that a URI names: "file:///dir", "mem:", or a scheme that vfs_register_scheme
 *  or a plug-in brought.
 *
 *  @param out  the file system
 *  @param uri  the origin, with its options behind '?'
 *  @param err  receives a sentence for the user on failure; may be NULL
 *  @param errlen  bytes of err
 *  @param pool  lives at least as long as the file system
 *  @return APR_SUCCESS; APR_EINVAL (no URI, an unknown option); APR_ENOTIMPL (an unknown scheme);
 *          what the backend says (APR_ENOENT, APR_EACCES, VFS_EOFFLINE ...).
 *  Threads: any. Blocks: as the backend does. Owns: the caller destroys it with vfs_destroy. */
VFS_API apr_status_t vfs_open_uri(vfs_t **out, const char *uri, char *err, size_t errlen,
                                  apr_pool_t *pool);
/** Make a backend of a scheme. `uri` is borrowed for the call. */
typedef apr_status_t (*vfs_scheme_open_fn)(vfs_t **out, const char *uri, char *err, size_t errlen,
                                           apr_pool_t *pool);
/** Add a scheme to the registry, or replace it.
 *  @return APR_SUCCESS; APR_EINVAL (a name that is no scheme of RFC 3986); APR_ENOMEM.
 *  Threads: any. Blocks: no. Owns: copies the name. */
VFS_API apr_status_t vfs_register_scheme(const char *scheme, vfs_scheme_open_fn open);
/** Call `fn` for each registered scheme, in alphabetical order. */
VFS_API void vfs_each_scheme(void (*fn)(void *baton, const char *scheme), void *baton);
/** Load a plug-in: a shared object that exports `vfs_plugin_init` (see vfs_ops.h).
 *  @return APR_SUCCESS; APR_EDSOOPEN or APR_ESYMNOTFOUND; VFS_EABI; what the plug-in says.
 *  Threads: any. Blocks: while loading. Owns: the object stays loaded until the process ends. */
VFS_API apr_status_t vfs_load_plugin(const char *file, char *err, size_t errlen);

/** End this layer; its lower stays. @return APR_SUCCESS; VFS_EDIRTY or the first error of a last
 *  flush, where there was something to flush: the file system is gone all the same.
 *  Threads: one, and nobody else in a call. Blocks: as the last flush does. Owns: frees `fs`. */
VFS_API apr_status_t vfs_destroy(vfs_t *fs);
/** End this layer and all below it, from the top. Returns the first error. As vfs_destroy. */
VFS_API apr_status_t vfs_destroy_stack(vfs_t *fs);

/** The name of the layer or backend, such as "local". Never NULL. Threads: any. */
VFS_API const char *vfs_name(const vfs_t *fs);
/** The layer below, or NULL for a backend. Threads: any. */
VFS_API vfs_t *vfs_lower(const vfs_t *fs);
/** The first layer of that name in the stack from `fs` down, or NULL. Threads: any. */
VFS_API vfs_t *vfs_find_layer(vfs_t *fs, const char *name);
/** What it can do. Threads: any. Blocks: no. Owns: valid as long as `fs`. */
VFS_API const vfs_caps_t *vfs_caps(const vfs_t *fs);

/* ---- layers of the library ----------------------------------------------------------------------- */

/** A subtree as a root of its own: `path` of `lower` becomes "/".
 *  @return APR_SUCCESS; APR_ENOENT, APR_ENOTDIR and what stat of the lower layer says; APR_ENOMEM.
 *  Threads: any. Blocks: one stat. Owns: `lower` stays the caller's. */
VFS_API apr_status_t vfs_sub_create(vfs_t **out, vfs_t *lower, const char *path, apr_pool_t *pool);
/** The same files, but nothing can be changed: each attempt is APR_EROFS-like (EROFS).
 *  @return APR_SUCCESS or APR_ENOMEM. Threads: any. Blocks: no. Owns: `lower` stays the caller's. */
VFS_API apr_status_t vfs_readonly_create(vfs_t **out, vfs_t *lower, apr_pool_t *pool);

/* ---- files ---------------------------------------------------------------------------------------- */

/** Open a file.
 *
 *  @param file  the handle
 *  @param flags  VFS_O_*; VFS_O_READ or VFS_O_WRITE at least, or VFS_O_DIRECTORY
 *  @param mode  permission bits of a file that is created
 *  @param attr  receives the attributes at open; may be NULL
 *  @param validator  receives the version at open; may be NULL
 *  @return APR_SUCCESS; APR_EINVAL (flags); APR_ENOENT; APR_EEXIST; APR_EACCES; APR_ENOTDIR; EISDIR
 *          (a directory with VFS_O_WRITE); ELOOP; VFS_ELIMIT (handles_max); what the backend says.
 *  Threads: any. Blocks: at most one round trip of the backend. Owns: close it with vfs_close. */
VFS_API apr_status_t vfs_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                              uint32_t flags, uint32_t mode, vfs_attr_t *attr,
                              vfs_validator_t *validator);
/** Close: frees the handle always, and returns the pending write-back error of the file, if any, or
 *  the error of the close itself. Threads: the last call on `file`. Blocks: as a flush, where
 *  flush-on-close asks for it. Owns: frees `file`. */
VFS_API apr_status_t vfs_close(vfs_file_t *file, const vfs_ctx_t *ctx);

/** Read at an offset. Success with *got < len means end of file, and only that; on an error nothing
 *  was read and *got is 0.
 *  @param len  bytes of buf; 0 reads nothing   @param off  in bytes, not negative
 *  @param got  receives the number of bytes read
 *  @return APR_SUCCESS; APR_EINVAL (negative offset, overflow); APR_EBADF (not open for reading);
 *          EISDIR; VFS_ESTALE (the file changed twice during the call); what the backend says.
 *  Threads: any. Blocks: on a miss, one round trip. Owns: fills `buf`. */
VFS_API apr_status_t vfs_read_at(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                                 apr_off_t off, size_t *got);
/** Write at an offset, or at the end of file with VFS_OFFSET_END or on a handle with VFS_O_APPEND.
 *  @param written  receives the number of bytes accepted: less than len only with an error
 *  @param validator  receives the new version where it is known, else VFS_VALIDATOR_NONE; may be NULL
 *  @return APR_SUCCESS; APR_EINVAL; APR_EBADF (not open for writing); EFBIG; ENOSPC; VFS_ELIMIT; what
 *          the backend says. Threads: any. Blocks: see the write mode. Owns: borrows `buf`. */
VFS_API apr_status_t vfs_write_at(vfs_file_t *file, const vfs_ctx_t *ctx, const void *buf, size_t len,
                                  apr_off_t off, size_t *written, vfs_validator_t *validator);

/** One piece of memory of a vectored call. */
typedef struct vfs_iovec_t {
    void *base;
    size_t len;
} vfs_iovec_t;

/** As vfs_read_at, into several pieces. `count` is at most 1024. */
VFS_API apr_status_t vfs_readv_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                  size_t count, apr_off_t off, size_t *got);
/** As vfs_write_at, from several pieces. `count` is at most 1024. */
VFS_API apr_status_t vfs_writev_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                   size_t count, apr_off_t off, size_t *written,
                                   vfs_validator_t *validator);

/** Read at the handle's cursor and move it. As vfs_read_at; two readers of one handle get different
 *  bytes. */
VFS_API apr_status_t vfs_read(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                              size_t *got);
/** Write at the handle's cursor and move it. As vfs_write_at. */
VFS_API apr_status_t vfs_write(vfs_file_t *file, const vfs_ctx_t *ctx, const void *buf, size_t len,
                               size_t *written);

typedef enum vfs_whence_e {
    VFS_SEEK_SET = 0,
    VFS_SEEK_CUR,
    VFS_SEEK_END,
    VFS_SEEK_DATA, /**< the next byte of data at or behind `off` */
    VFS_SEEK_HOLE  /**< the next hole at or behind `off`; the end of the file is one */
} vfs_whence_e;

/** Move the cursor. @param where receives the new position; may be NULL.
 *  @return APR_SUCCESS; APR_EINVAL (the position would be negative; the cursor stays);
 *          VFS_ENODATA (no data, or past the end, for DATA and HOLE); what fstat says for END. */
VFS_API apr_status_t vfs_seek(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t off,
                              vfs_whence_e whence, apr_off_t *where);
/** Find data or a hole without moving the cursor. As vfs_seek with VFS_SEEK_DATA or VFS_SEEK_HOLE. */
VFS_API apr_status_t vfs_seek_extent(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t off,
                                     vfs_whence_e whence, apr_off_t *where);

VFS_API apr_status_t vfs_fstat(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_attr_t *attr);
VFS_API apr_status_t vfs_ftruncate(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t size);
VFS_API apr_status_t vfs_fchmod(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t mode);
/** Change owner and group; (uint32_t)-1 leaves one as it is. */
VFS_API apr_status_t vfs_fchown(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t uid, uint32_t gid);
VFS_API apr_status_t vfs_futimens(vfs_file_t *file, const vfs_ctx_t *ctx, int64_t atime_ns,
                                  int64_t mtime_ns);
VFS_API apr_status_t vfs_fgetxattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name, void *buf,
                                   size_t size, size_t *len);
VFS_API apr_status_t vfs_fsetxattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name,
                                   const void *value, size_t len, uint32_t flags);
VFS_API apr_status_t vfs_flistxattr(vfs_file_t *file, const vfs_ctx_t *ctx, char *buf, size_t size,
                                    size_t *len);
VFS_API apr_status_t vfs_fremovexattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name);
/** Push this file's dirty data to the lower layer: one attempt, now. Returns its error, or the
 *  error of an earlier background attempt that this handle was not told yet. */
VFS_API apr_status_t vfs_flush(vfs_file_t *file, const vfs_ctx_t *ctx);
/** Return success only when the data would survive a power loss. @param flags VFS_SYNC_* */
VFS_API apr_status_t vfs_sync(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags);
/** Reserve, punch, zero, collapse or insert a range. @param flags VFS_ALLOC_* */
VFS_API apr_status_t vfs_allocate(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags,
                                  apr_off_t off, apr_off_t len);
/** Copy between two files of one file system without moving the bytes through the caller.
 *  @param copied  receives the number of bytes copied; fewer than len at the end of the source.
 *  @return APR_SUCCESS; APR_EINVAL (files of two file systems, overlap); APR_ENOTIMPL; ... */
VFS_API apr_status_t vfs_copy_range(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                                    vfs_file_t *dst, apr_off_t dst_off, size_t len, size_t *copied);
/** The version of the file behind the handle. */
VFS_API apr_status_t vfs_fvalidator(vfs_file_t *file, const vfs_ctx_t *ctx,
                                    vfs_validator_t *validator);
/** The file system whose operations serve this handle (a filter may have handed out its lower's). */
VFS_API vfs_t *vfs_file_fs(const vfs_file_t *file);
/** The flags that the handle was opened with. */
VFS_API uint32_t vfs_file_flags(const vfs_file_t *file);

typedef enum vfs_lock_e { VFS_LOCK_READ = 0, VFS_LOCK_WRITE, VFS_LOCK_UNLOCK } vfs_lock_e;
#define VFS_LOCK_WAIT 0x1u  /**< wait until it is free, the deadline or cancellation */
#define VFS_LOCK_TEST 0x2u  /**< do not lock: put what is in the way into the struct */
#define VFS_LOCK_WHOLE 0x4u /**< flock semantics: one lock on the whole file for each handle */

/** An advisory lock on bytes [start, start + len); len 0 means to the end of the file. */
typedef struct vfs_lock_t {
    vfs_lock_e type;
    uint32_t flags; /**< VFS_LOCK_* */
    apr_off_t start;
    apr_off_t len;
    uint64_t owner; /**< who locks; two owners on one handle conflict. 0: the handle itself */
    int32_t pid;    /**< who is in the way, for VFS_LOCK_TEST */
} vfs_lock_t;

/** Lock, unlock or test. @return APR_SUCCESS; APR_EAGAIN (held by another); APR_TIMEUP;
 *  VFS_ECANCELED; APR_EDEADLK-like (EDEADLK); APR_ENOTIMPL. All locks of a handle end with it. */
VFS_API apr_status_t vfs_lock(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_lock_t *lock);

/* ---- names ------------------------------------------------------------------------------------------ */

/** Attributes, version and the first bytes of a file in one round trip.
 *  @param len  bytes of buf; may be 0    @param got  bytes put there; for anything but a regular file
 *  0. @return as vfs_open for reading. */
VFS_API apr_status_t vfs_get(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, void *buf, size_t len,
                             size_t *got, vfs_attr_t *attr, vfs_validator_t *validator);
VFS_API apr_status_t vfs_stat(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr);
/** As vfs_stat, of the symbolic link itself. */
VFS_API apr_status_t vfs_lstat(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr);
/** The version that `path` has now. */
VFS_API apr_status_t vfs_validator(vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                                   vfs_validator_t *validator);
/** May the caller do this? @param mask VFS_ACCESS_* @return APR_SUCCESS, APR_EACCES, APR_ENOENT ... */
VFS_API apr_status_t vfs_access(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, uint32_t mask);
/** Make a file of any type but a directory or a link. `rdev` counts for devices only. */
VFS_API apr_status_t vfs_mknod(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, vfs_type_e type,
                               uint32_t mode, uint64_t rdev);
VFS_API apr_status_t vfs_mkdir(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, uint32_t mode);
VFS_API apr_status_t vfs_rmdir(vfs_t *fs, const vfs_ctx_t *ctx, const char *path);
VFS_API apr_status_t vfs_unlink(vfs_t *fs, const vfs_ctx_t *ctx, const char *path);
/** @param flags VFS_RENAME_* */
VFS_API apr_status_t vfs_rename(vfs_t *fs, const vfs_ctx_t *ctx, const char *from, const char *to,
                                uint32_t flags);
VFS_API apr_status_t vfs_link(vfs_t *fs, const vfs_ctx_t *ctx, const char *from, const char *to);
/** Make `path` a symbolic link whose text is `target`, as it is. */
VFS_API apr_status_t vfs_symlink(vfs_t *fs, const vfs_ctx_t *ctx, const char *target,
                                 const char *path);
/** @param buf receives the text and a NUL; a text that does not fit is APR_ENAMETOOLONG-like (ERANGE).
 *  @param len receives its length without the NUL; may be NULL */
VFS_API apr_status_t vfs_readlink(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, char *buf,
                                  size_t size, size_t *len);
VFS_API apr_status_t vfs_truncate(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, apr_off_t size);
/** @param flags 0 or VFS_NOFOLLOW, here and below */
VFS_API apr_status_t vfs_chmod(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, uint32_t mode,
                               uint32_t flags);
VFS_API apr_status_t vfs_chown(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, uint32_t uid,
                               uint32_t gid, uint32_t flags);
/** Times in nanoseconds since 1970, VFS_TIME_NOW or VFS_TIME_OMIT. */
VFS_API apr_status_t vfs_utimens(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, int64_t atime_ns,
                                 int64_t mtime_ns, uint32_t flags);
/** @param size 0 asks for the length only @param len receives the length; a buffer that is too small is
 *  ERANGE. @return APR_SUCCESS; VFS_ENODATA (no such attribute); ERANGE; APR_ENOTIMPL; ... */
VFS_API apr_status_t vfs_getxattr(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, const char *name,
                                  void *buf, size_t size, size_t *len, uint32_t flags);
/** @param flags VFS_XATTR_*, shifted left by 8, or VFS_NOFOLLOW: use VFS_XATTR_FLAGS */
VFS_API apr_status_t vfs_setxattr(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, const char *name,
                                  const void *value, size_t len, uint32_t how, uint32_t flags);
/** The names, each ended by a NUL. */
VFS_API apr_status_t vfs_listxattr(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, char *buf,
                                   size_t size, size_t *len, uint32_t flags);
VFS_API apr_status_t vfs_removexattr(vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                                     const char *name, uint32_t flags);

/** Space and names of the file system that holds `path`, in bytes and in files. */
typedef struct vfs_statfs_t {
    uint64_t bytes_total, bytes_free, bytes_available;
    uint64_t files_total, files_free;
    uint32_t block_size;
    uint32_t name_max;
} vfs_statfs_t;
VFS_API apr_status_t vfs_statfs(vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                                vfs_statfs_t *out);
/** Make the entries of a directory survive a power loss. */
VFS_API apr_status_t vfs_sync_dir(vfs_t *fs, const vfs_ctx_t *ctx, const char *path);
/** Make all that was written so far survive a power loss. */
VFS_API apr_status_t vfs_sync_fs(vfs_t *fs, const vfs_ctx_t *ctx);

/* ---- directories --------------------------------------------------------------------------------------- */

/** One entry. "." and ".." never appear. The name belongs to the directory handle and is valid until
 *  the next call on it. */
typedef struct vfs_dirent_t {
    const char *name;
    size_t name_len;
    vfs_type_e type;
    int has_attr;    /**< attr is filled (as lstat would) */
    uint64_t ino;    /**< 0: not known */
    uint64_t cookie; /**< vfs_seekdir with it goes on behind this entry; 0 is the beginning */
    vfs_attr_t attr;
    vfs_validator_t validator; /**< the version, with has_attr; NONE where it is not known */
} vfs_dirent_t;

/** @param flags 0 or VFS_DIR_ATTRS */
VFS_API apr_status_t vfs_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                                 uint32_t flags);
/** The next entry. @return APR_SUCCESS; APR_EOF behind the last one; what the backend says.
 *  An entry that is neither added nor removed while the handle is open comes exactly once. */
VFS_API apr_status_t vfs_readdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, vfs_dirent_t *entry);
/** Go to a position: 0 is the beginning (which reads the directory anew), else a cookie of this
 *  handle, or of an earlier one where the directory did not change in between. */
VFS_API apr_status_t vfs_seekdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, uint64_t cookie);
VFS_API apr_status_t vfs_closedir(vfs_dir_t *dir);

/* ---- whole objects and change events ---------------------------------------------------------------------- */

/** Where the bytes of a commit come from. `read_at` fills `buf` wholly, or fails. */
typedef struct vfs_source_t {
    apr_status_t (*read_at)(void *baton, void *buf, size_t len, apr_off_t off);
    void *baton;
    uint64_t size;
} vfs_source_t;

#define VFS_COMMIT_IF_MATCH 0x1u /**< only if the file has the version `expected` */
#define VFS_COMMIT_IF_NONE 0x2u  /**< only if there is no such file */

/** How to commit: VFS_COMMIT_INIT, then set. */
typedef struct vfs_commit_t {
    size_t size; /**< sizeof(vfs_commit_t) */
    uint32_t flags;
    uint32_t mode;
    int64_t mtime_ns; /**< VFS_TIME_NOW: as it comes */
    vfs_validator_t expected;
} vfs_commit_t;
#define VFS_COMMIT_INIT                                                                            \
    {                                                                                              \
        sizeof(vfs_commit_t), 0, 0644, VFS_TIME_NOW, { 0, 0, 0, 0, { 0 } }                         \
    }

/** Replace the whole content of `path` at once: readers see the old bytes or the new ones.
 *  @param attr  receives the new attributes; may be NULL  @param validator  the new version; may be NULL
 *  @return APR_SUCCESS; VFS_ECONFLICT (the condition does not hold; nothing changed); what the
 *          source or the backend says (nothing changed). */
VFS_API apr_status_t vfs_commit(vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                                const vfs_source_t *source, const vfs_commit_t *how, vfs_attr_t *attr,
                                vfs_validator_t *validator);

#define VFS_EVENT_CHANGED 0x1u  /**< bytes or attributes of `path` */
#define VFS_EVENT_CREATED 0x2u  /**< `path` appeared */
#define VFS_EVENT_REMOVED 0x4u  /**< `path` went away */
#define VFS_EVENT_OVERFLOW 0x8u /**< events were lost: anything below `path` may have changed */

/** Hears of a change. Called on a thread of the backend; must not call vfs_unwatch. */
typedef void (*vfs_event_fn)(void *baton, uint32_t events, const char *path);
/** Hear of changes at and below `path`, whoever makes them.
 *  @param watch  receives a number for vfs_unwatch
 *  @return APR_SUCCESS; APR_ENOTIMPL; APR_ENOENT; VFS_ELIMIT (no more watches to be had). */
VFS_API apr_status_t vfs_watch(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, vfs_event_fn fn,
                               void *baton, uint64_t *watch);
/** Stop; when it returns, `fn` runs no more. */
VFS_API apr_status_t vfs_unwatch(vfs_t *fs, uint64_t watch);

/* ---- conveniences --------------------------------------------------------------------------------------------- */

/** Read a whole file. @param data receives bytes from `pool` and a NUL behind them
 *  @param max  VFS_ELIMIT above it; 0: no limit */
VFS_API apr_status_t vfs_read_file(char **data, size_t *len, vfs_t *fs, const vfs_ctx_t *ctx,
                                   const char *path, uint64_t max, apr_pool_t *pool);
/** Replace a file atomically: through commit where the backend has it, else through a temporary file
 *  beside it, a sync and a rename. An existing file keeps its mode; a new one gets `mode`. */
VFS_API apr_status_t vfs_write_file(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, const void *data,
                                    size_t len, uint32_t mode);
/** Copy one file, between file systems too: bytes, mode and mtime. The target appears only when whole.
 *  @param bytes receives the size; may be NULL */
VFS_API apr_status_t vfs_copy(vfs_t *from_fs, const char *from, vfs_t *to_fs, const char *to,
                              const vfs_ctx_t *ctx, uint64_t *bytes);
/** Make a directory and those above it; one that exists is fine. */
VFS_API apr_status_t vfs_mkdir_all(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, uint32_t mode);
/** Remove a tree or a file; nothing there is fine. Symbolic links are removed, not followed. The root
 *  itself stays. */
VFS_API apr_status_t vfs_remove_all(vfs_t *fs, const vfs_ctx_t *ctx, const char *path);

#define VFS_WALK_SKIP (VFS_EEND + 1) /**< from a walk callback: do not go into this directory */
#define VFS_WALK_STOP (VFS_EEND + 2) /**< from a walk callback: end, the walk returns APR_SUCCESS */
/** Called for each name. `status` is not success where the name could not be read; returning it ends
 *  the walk with it, returning APR_SUCCESS goes on. */
typedef apr_status_t (*vfs_walk_fn)(void *baton, const char *path, const vfs_attr_t *attr,
                                    apr_status_t status);
/** Visit `path` and all below it, parents first, names of one directory in byte order. Links are not
 *  followed. Depth is bounded by VFS_PATH_MAX, not by the stack of the thread. */
VFS_API apr_status_t vfs_walk(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, vfs_walk_fn fn,
                              void *baton);
/** Visit the names that match a pattern: '*' and '?' within a component, '[a-z]', '\\' before a
 *  literal, "**" as a component for any number of directories. Byte order.
 *  @return APR_SUCCESS (also with no match); APR_EINVAL (a broken pattern); the walk's status. */
VFS_API apr_status_t vfs_glob(vfs_t *fs, const vfs_ctx_t *ctx, const char *pattern, vfs_walk_fn fn,
                              void *baton);
/** Does `path` match `pattern`, by the rules of vfs_glob? */
VFS_API int vfs_glob_match(const char *pattern, const char *path);
/** Create and open a new file of its own name, "DIR/PREFIX<random>".
 *  @param path receives the name @param size bytes of path, VFS_PATH_MAX + 1 always suffice */
VFS_API apr_status_t vfs_temp_file(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx, const char *dir,
                                   const char *prefix, char *path, size_t size);

/* ---- texts --------------------------------------------------------------------------------------------------------- */

/** A sentence for any status of APR or of ours. Returns buf. Threads: any. */
VFS_API char *vfs_strerror(apr_status_t status, char *buf, size_t size);
/** The name of one of our codes, such as "VFS_ESTALE", or NULL. Threads: any. */
VFS_API const char *vfs_status_name(apr_status_t status);
/** The errno that a status stands for, for a caller that needs one (EIO where there is none). */
VFS_API int vfs_status_errno(apr_status_t status);
/** The version of the library, "0.1.0". */
VFS_API const char *vfs_version(void);

#ifdef __cplusplus
}
#endif
#endif
