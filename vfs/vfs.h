/**
 * @file
 * vfs.h - the virtual file system as its users see it: open a backend, stack layers, read, write.
 * Floor 1, public. Backend and layer authors read vfs_ops.h beside it.
 *
 * Rules that hold for every function here:
 *  - Paths are absolute, '/'-separated bytes. "//", "." and ".." are resolved before any operation;
 *    ".." above the root stays at the root; a trailing '/' asks for a directory. An empty path is
 *    APR_ENOENT, a component over VFS_NAME_MAX or a path over VFS_PATH_MAX bytes APR_ENAMETOOLONG.
 *  - Parameters "as everywhere": `fs` is the file system, `file` and `dir` are open handles, `path`
 * is a path as above, `ctx` the context of the call; it may be NULL: own credentials, no deadline,
 * normal priority.
 *  - "path errors" are the answers that a bad path can have: APR_EINVAL (NULL or relative),
 * APR_ENOENT, APR_ENOTDIR, APR_EACCES, ELOOP, APR_ENAMETOOLONG.
 *  - "call errors" are what any call may answer: APR_TIMEUP, VFS_ECANCELED, APR_ENOTIMPL,
 * VFS_EOFFLINE, APR_ENOMEM, and what the operating system or the server below says, such as EIO.
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

/** Marks what the shared library exports. */
#if defined(__GNUC__)
#define VFS_API __attribute__((visibility("default")))
#else
#define VFS_API
#endif

/* ---- limits and versions */

#define VFS_NAME_MAX 255u  /**< bytes in one path component */
#define VFS_PATH_MAX 4096u /**< bytes in a path, without the final NUL */

#define VFS_VERSION_MAJOR 0 /**< changes when a program must change */
#define VFS_VERSION_MINOR 1 /**< changes when there is something new */
#define VFS_VERSION_PATCH 0 /**< changes when something was mended */

/* ---- status codes */

/** The first of our own status codes. */
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

/* ---- handles */

typedef struct vfs_t vfs_t;               /**< a file system: a backend or a layer on another one */
typedef struct vfs_file_t vfs_file_t;     /**< an open file */
typedef struct vfs_dir_t vfs_dir_t;       /**< an open directory */
typedef struct vfs_cancel_t vfs_cancel_t; /**< a flag that ends the calls that carry it */

/* ---- the context of a call */

/** How much a call matters. */
typedef enum vfs_priority_e {
    VFS_PRIORITY_NORMAL = 0, /**< as it comes */
    VFS_PRIORITY_LOW = 1,    /**< only spare capacity: never pushes out something hotter */
    VFS_PRIORITY_HIGH = 2    /**< what it brings is protected from eviction, up to a limit */
} vfs_priority_e;

#define VFS_CTX_CREDS 0x1u /**< uid, gid and groups are given; else the process's own count */
#define VFS_CTX_UMASK 0x2u /**< umask is given; else modes are taken as they are */

#define VFS_CTX_READS 0x4u /**< who asks for attributes will read: bytes may come along */

/** What a caller can say about one call. Make it with VFS_CTX_INIT, then set what matters. */
typedef struct vfs_ctx_t {
    size_t size;            /**< sizeof(vfs_ctx_t), set by VFS_CTX_INIT */
    uint32_t flags;         /**< VFS_CTX_* */
    uint32_t uid;           /**< user id, with VFS_CTX_CREDS */
    uint32_t gid;           /**< group id, with VFS_CTX_CREDS */
    uint32_t umask;         /**< mode bits taken away from what is created, with VFS_CTX_UMASK */
    const uint32_t *groups; /**< supplementary groups, with VFS_CTX_CREDS; may be NULL */
    size_t ngroups;         /**< of them */
    apr_time_t deadline;    /**< absolute, microseconds since 1970; 0: none */
    const vfs_cancel_t *cancel; /**< or NULL */
    vfs_priority_e priority;    /**< how much it matters */
    uint64_t trace_id;          /**< appears in traces and logs; 0: none */
} vfs_ctx_t;

/** Nothing said: own credentials, modes as they are, no deadline, normal priority. */
#define VFS_CTX_INIT                                                                               \
    {                                                                                              \
        sizeof(vfs_ctx_t), 0, 0, 0, 0, NULL, 0, 0, NULL, VFS_PRIORITY_NORMAL, 0                    \
    }

/** Make a lowered cancel flag.
 *  @param out  the flag
 *  @param pool  where it lives
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); APR_ENOMEM.
 *  Threads: any that may use `pool`. Blocks: no. Owns: freed with `pool`. */
VFS_API apr_status_t vfs_cancel_create(vfs_cancel_t **out, apr_pool_t *pool);
/** Raise the flag: calls that carry it end soon with VFS_ECANCELED. It is never lowered again.
 *  @param cancel  the flag
 *  Threads: any, a signal handler too. Blocks: no. Owns: nothing. */
VFS_API void vfs_cancel_raise(vfs_cancel_t *cancel);
/** Is the flag raised?
 *  @param cancel  the flag; NULL is never raised
 *  @return 1 or 0. Threads: any. Blocks: no. Owns: nothing. */
VFS_API int vfs_cancel_raised(const vfs_cancel_t *cancel);
/** Is the call still wanted?
 *  @param ctx  its context; NULL always is
 *  @return APR_SUCCESS; VFS_ECANCELED; APR_TIMEUP; APR_EINVAL (not made by VFS_CTX_INIT).
 *  Threads: any. Blocks: no. Owns: nothing. */
VFS_API apr_status_t vfs_ctx_check(const vfs_ctx_t *ctx);

/* ---- attributes and validators */

/** What kind of file it is. */
typedef enum vfs_type_e {
    VFS_TYPE_UNKNOWN = 0, /**< not known yet, or none of these */
    VFS_TYPE_FILE,        /**< a regular file */
    VFS_TYPE_DIR,         /**< a directory */
    VFS_TYPE_LINK,        /**< a symbolic link */
    VFS_TYPE_FIFO,        /**< a named pipe */
    VFS_TYPE_SOCKET,      /**< a socket */
    VFS_TYPE_CHAR,        /**< a character device */
    VFS_TYPE_BLOCK        /**< a block device */
} vfs_type_e;

#define VFS_ATTR_DIRECT 0x1u    /**< no symbolic link was followed to reach it (absent: unknown) */
#define VFS_ATTR_STABLE_ID 0x2u /**< (dev, ino) names the file for its whole life */
#define VFS_ATTR_STALE 0x4u     /**< answered from the cache while the backend was unreachable */

/** The attributes of a file. Times are nanoseconds since 1970, sizes are bytes. */
typedef struct vfs_attr_t {
    uint32_t flags;     /**< VFS_ATTR_* */
    vfs_type_e type;    /**< what kind of file */
    uint32_t mode;      /**< permission bits, 07777 */
    uint32_t nlink;     /**< names that it has */
    uint32_t uid;       /**< owner */
    uint32_t gid;       /**< group */
    uint64_t rdev;      /**< device number of a VFS_TYPE_CHAR or VFS_TYPE_BLOCK */
    uint64_t dev;       /**< with ino: the identity of the file within the backend */
    uint64_t ino;       /**< with dev */
    uint64_t size;      /**< bytes, holes included */
    uint64_t allocated; /**< bytes of storage in use; smaller than size where there are holes */
    uint32_t blksize;   /**< preferred unit of input and output */
    uint32_t reserved;  /**< 0 */
    int64_t atime_ns;   /**< last read */
    int64_t mtime_ns;   /**< last change of the bytes */
    int64_t ctime_ns;   /**< last change of bytes or attributes */
    int64_t btime_ns;   /**< 0 where the backend has none */
} vfs_attr_t;

/** What a validator is made of, from weak to strong. */
typedef enum vfs_validator_e {
    VFS_VALIDATOR_NONE = 0, /**< not known */
    VFS_VALIDATOR_TIMES,    /**< ctime, mtime, size, device and inode */
    VFS_VALIDATOR_ETAG,     /**< an entity tag */
    VFS_VALIDATOR_VERSION,  /**< a version id or generation */
    VFS_VALIDATOR_DIGEST    /**< hash of a tag that is too long to keep */
} vfs_validator_e;

#define VFS_VALIDATOR_YOUNG 0x1u /**< younger than the backend's clock step: a change can hide */
#define VFS_VALIDATOR_WEAK 0x2u  /**< equal validators may stand for different bytes */
/** A longer tag becomes a VFS_VALIDATOR_DIGEST. */
#define VFS_VALIDATOR_BYTES 60u

/** What tells two versions of a file apart. Compare with vfs_validator_equal. */
typedef struct vfs_validator_t {
    uint8_t kind;                      /**< vfs_validator_e */
    uint8_t flags;                     /**< VFS_VALIDATOR_YOUNG, VFS_VALIDATOR_WEAK */
    uint8_t len;                       /**< of data, at most VFS_VALIDATOR_BYTES */
    uint8_t reserved;                  /**< 0 */
    uint8_t data[VFS_VALIDATOR_BYTES]; /**< what is compared */
} vfs_validator_t;

/** Do both name the same version? Flags do not count; NONE equals nothing, not even itself.
 *  @param a  one
 *  @param b  the other
 *  @return 1 or 0. Threads: any. Blocks: no. Owns: nothing. */
VFS_API int vfs_validator_equal(const vfs_validator_t *a, const vfs_validator_t *b);

/* ---- flags */

/* vfs_open */
#define VFS_O_READ 0x0001u      /**< for reading */
#define VFS_O_WRITE 0x0002u     /**< for writing */
#define VFS_O_CREATE 0x0004u    /**< make the file if there is none */
#define VFS_O_EXCL 0x0008u      /**< with VFS_O_CREATE: fail if the name exists, a link included */
#define VFS_O_TRUNC 0x0010u     /**< with VFS_O_WRITE: to size 0 */
#define VFS_O_APPEND 0x0020u    /**< each write goes to the end of the file */
#define VFS_O_NOFOLLOW 0x0040u  /**< a symbolic link as the last component is APR_ELOOP-like */
#define VFS_O_DIRECTORY 0x0080u /**< anything but a directory is APR_ENOTDIR */
#define VFS_O_SYNC 0x0100u      /**< each write returns when it would survive a power loss */
#define VFS_O_DIRECT 0x0200u    /**< around every cache of ours */
#define VFS_O_KNOWN                                                                                \
    0x0400u               /**< to read a file of which `attr` and `validator` say what there was */
#define VFS_O_ALL 0x07ffu /**< every flag that there is */

/* path operations */
#define VFS_NOFOLLOW 0x1u /**< act on a symbolic link itself */

/* vfs_rename */
#define VFS_RENAME_NOREPLACE 0x1u /**< APR_EEXIST if the new name exists */
#define VFS_RENAME_EXCHANGE 0x2u  /**< swap the two names atomically */

/* vfs_sync */
#define VFS_SYNC_DATA 0x1u /**< data, and only the attributes needed to read it */
#define VFS_SYNC_ALL 0x2u  /**< data and attributes */

/* vfs_access */
#define VFS_ACCESS_EXIST 0x0u /**< is it there? */
#define VFS_ACCESS_EXEC 0x1u  /**< run it, or look into the directory */
#define VFS_ACCESS_WRITE 0x2u /**< write */
#define VFS_ACCESS_READ 0x4u  /**< read */

/* vfs_setxattr */
#define VFS_XATTR_CREATE 0x1u  /**< APR_EEXIST if it exists */
#define VFS_XATTR_REPLACE 0x2u /**< VFS_ENODATA if it does not exist */

/* vfs_allocate */
#define VFS_ALLOC_KEEP_SIZE 0x1u  /**< the size stays, whatever is reserved */
#define VFS_ALLOC_PUNCH_HOLE 0x2u /**< needs VFS_ALLOC_KEEP_SIZE too */
#define VFS_ALLOC_ZERO_RANGE 0x4u /**< the range reads as zeros */
#define VFS_ALLOC_COLLAPSE 0x8u   /**< the range goes; what is behind it moves up */
#define VFS_ALLOC_INSERT 0x10u    /**< a hole comes in; what is behind it moves back */

/* vfs_opendir */
#define VFS_DIR_ATTRS 0x1u /**< entries shall carry attributes where that costs no trip each */

#define VFS_ENODATA                                                                                \
    APR_FROM_OS_ERROR(61) /**< no such extended attribute; no data behind offset                   \
                           */

/** Instead of nanoseconds: the time of now. */
#define VFS_TIME_NOW INT64_MAX
/** Instead of nanoseconds: leave this time as it is. */
#define VFS_TIME_OMIT INT64_MIN

/** The offset of a write that goes to the end of the file, whatever that is by then. */
#define VFS_OFFSET_END ((apr_off_t)-1)

/* ---- capabilities */

#define VFS_CAP_WRITE (1ull << 0)        /**< anything can be changed */
#define VFS_CAP_RANDOM_WRITE (1ull << 1) /**< write_at at any offset; else commit only */
#define VFS_CAP_DIRS (1ull << 2)         /**< directories exist of their own */
#define VFS_CAP_SYMLINK (1ull << 3)      /**< symbolic links */
#define VFS_CAP_HARDLINK (1ull << 4)     /**< several names of one file */
#define VFS_CAP_XATTR (1ull << 5)        /**< extended attributes */
#define VFS_CAP_SPECIAL (1ull << 6)      /**< mknod of fifos, sockets and devices */
#define VFS_CAP_SPARSE                                                                             \
    (1ull << 7)                    /**< holes take no storage, seek_data and seek_hole find them   \
                                    */
#define VFS_CAP_MODE (1ull << 8)   /**< permission bits are kept */
#define VFS_CAP_OWNER (1ull << 9)  /**< owner and group are kept */
#define VFS_CAP_TIMES (1ull << 10) /**< times can be set */
#define VFS_CAP_ATOMIC_RENAME (1ull << 11)    /**< nobody sees a rename half done */
#define VFS_CAP_RENAME_NOREPLACE (1ull << 12) /**< VFS_RENAME_NOREPLACE */
#define VFS_CAP_RENAME_EXCHANGE (1ull << 13)  /**< VFS_RENAME_EXCHANGE */
#define VFS_CAP_STABLE_ID (1ull << 14)        /**< VFS_ATTR_STABLE_ID */
#define VFS_CAP_EXCL_CREATE (1ull << 15)      /**< VFS_O_EXCL is exclusive against everybody */
#define VFS_CAP_COMMIT (1ull << 16)           /**< whole-object commit */
#define VFS_CAP_CONDITIONAL (1ull << 17)      /**< commit checks the validator atomically */
#define VFS_CAP_LOCK (1ull << 18)             /**< vfs_lock */
#define VFS_CAP_COPY_RANGE (1ull << 19)       /**< vfs_copy_range */
#define VFS_CAP_ALLOCATE (1ull << 20)         /**< vfs_allocate, but for what VFS_CAP_SHIFT is */
#define VFS_CAP_WATCH (1ull << 21)            /**< vfs_watch */
#define VFS_CAP_SYNC (1ull << 22)             /**< sync really reaches stable storage */
#define VFS_CAP_UNLINKED_OPEN (1ull << 23)    /**< an open file survives the unlink of its name */
#define VFS_CAP_APPEND (1ull << 24)           /**< appends are atomic against other appenders */
#define VFS_CAP_CREDS (1ull << 25)            /**< the credentials of the context are obeyed */
#define VFS_CAP_CONFINED (1ull << 26)         /**< never leaves its root, through a link either */
#define VFS_CAP_STAGED (1ull << 27) /**< what was written is below after flush, sync or close */
#define VFS_CAP_STILL_DIRS                                                                         \
    (1ull << 28) /**< names that come and go leave the attributes of their directory as they are   \
                  */
#define VFS_CAP_SHIFT (1ull << 29) /**< VFS_ALLOC_COLLAPSE and VFS_ALLOC_INSERT */
/** A listing has every name of the directory that can be looked up, though perhaps in other letters
 * (upper or lower case, another form of Unicode): what it has not is not there. */
#define VFS_CAP_LISTS_ALL (1ull << 30)
#define VFS_CAP_PLAIN_LINKS                                                                        \
    (1ull << 31) /**< symbolic links are made and told of, and not followed: vfs_links_create */
#define VFS_CAP_COPY                                                                               \
    (1ull << 32) /**< whole files are copied there, without moving their bytes: `same_as` of a     \
                  * commit, and by a layer that stages, vfs_copy_range of all of a file */

/** What a file system can do. A layer masks what it cannot carry. */
typedef struct vfs_caps_t {
    size_t size;                  /**< sizeof(vfs_caps_t) */
    uint64_t bits;                /**< VFS_CAP_* */
    uint64_t time_granularity_ns; /**< a change within it may not show in the validator */
    uint64_t file_size_max;       /**< bytes */
    uint32_t name_max;            /**< bytes in one component */
    uint32_t round_trip_us;       /**< what a round trip costs, as far as known; 0: local */
} vfs_caps_t;

/* ---- life of a file system */

/** Open the backend that a URI names: "file:///dir", "mem:", or a scheme that vfs_register_scheme
 * or a plug-in brought.
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
/** Makes a backend of a scheme: see vfs_open_uri, whose arguments and answers it has.
 *  @param out  the file system
 *  @param uri  the origin; borrowed for the call
 *  @param err  receives a sentence for the user on failure; may be NULL
 *  @param errlen  bytes of err
 *  @param pool  parent of the file system's own pool
 *  @return APR_SUCCESS; APR_EINVAL (an unknown option); what opening it says. */
typedef apr_status_t (*vfs_scheme_open_fn)(vfs_t **out, const char *uri, char *err, size_t errlen,
                                           apr_pool_t *pool);
/** Add a scheme to the registry, or replace it.
 *  @param scheme  such as "s3", in any case
 *  @param open  makes its backends
 *  @return APR_SUCCESS; APR_EINVAL (a NULL, or a name that is no scheme of RFC 3986); APR_ENOMEM.
 *  Threads: any. Blocks: no. Owns: copies the name. */
VFS_API apr_status_t vfs_register_scheme(const char *scheme, vfs_scheme_open_fn open);
/** Call `fn` for each registered scheme, in alphabetical order.
 *  @param fn  hears one scheme; `scheme` is valid during its call
 *  @param baton  handed to `fn`
 *  Threads: any. Blocks: as `fn` does. Owns: nothing. */
VFS_API void vfs_each_scheme(void (*fn)(void *baton, const char *scheme), void *baton);
/** Load a plug-in: a shared object that exports `vfs_plugin_init` (see vfs_ops.h).
 *  @param file  a file of the operating system
 *  @param err  receives a sentence for the user on failure; may be NULL
 *  @param errlen  bytes of err
 *  @return APR_SUCCESS; APR_EINVAL (no file); APR_EDSOOPEN; APR_ESYMNOTFOUND; VFS_EABI; what the
 * plug-in says. Threads: any. Blocks: while loading. Owns: the object stays loaded until the
 * process ends. */
VFS_API apr_status_t vfs_load_plugin(const char *file, char *err, size_t errlen);

/** End this layer; its lower stays. The file system is gone, whatever the answer.
 *  @param fs  the file system
 *  @return APR_SUCCESS; VFS_EDIRTY or the first error of a last flush, where there was something to
 * flush. Threads: one, and nobody else in a call. Blocks: as the last flush does. Owns: frees `fs`.
 */
VFS_API apr_status_t vfs_destroy(vfs_t *fs);
/** End this layer and all below it, from the top.
 *  @param fs  the topmost layer
 *  @return the first error: see vfs_destroy.
 *  Threads: one, and nobody else in a call. Blocks: as the last flushes do. Owns: frees all layers.
 */
VFS_API apr_status_t vfs_destroy_stack(vfs_t *fs);

/** The name of the layer or backend.
 *  @param fs  the file system
 *  @return such as "local"; never NULL. Threads: any. Blocks: no. Owns: valid as long as `fs`. */
VFS_API const char *vfs_name(const vfs_t *fs);
/** The layer below.
 *  @param fs  the file system
 *  @return NULL for a backend. Threads: any. Blocks: no. Owns: nothing. */
VFS_API vfs_t *vfs_lower(const vfs_t *fs);
/** The first layer of a name in the stack from `fs` down.
 *  @param fs  the topmost layer
 *  @param name  such as "cachefs"
 *  @return the layer, or NULL. Threads: any. Blocks: no. Owns: nothing. */
VFS_API vfs_t *vfs_find_layer(vfs_t *fs, const char *name);
/** What it can do.
 *  @param fs  the file system
 *  @return its capabilities; never NULL. Threads: any. Blocks: no. Owns: valid as long as `fs`. */
VFS_API const vfs_caps_t *vfs_caps(const vfs_t *fs);

/* ---- layers of the library */

/** A subtree as a root of its own: `path` of `lower` becomes "/". Paths stay in it; links do not:
 * it is `lower` that follows them, so one can lead out of the subtree, though not out of `lower`,
 * and an absolute one counts there. Who must be kept in opens a backend on the directory: see
 * VFS_CAP_CONFINED, which this layer has not.
 *  @param out  the file system
 *  @param lower  what it stands on
 *  @param path  a directory of it
 *  @param pool  parent of the layer's own pool
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); APR_ENOENT, APR_ENOTDIR and what stat of the lower
 * layer says; APR_ENOMEM. Threads: any. Blocks: one stat. Owns: end it with vfs_destroy; `lower`
 * stays the caller's. */
VFS_API apr_status_t vfs_sub_create(vfs_t **out, vfs_t *lower, const char *path, apr_pool_t *pool);
/** The same files, but nothing can be changed: each attempt is EROFS.
 *  @param out  the file system
 *  @param lower  what it stands on
 *  @param pool  parent of the layer's own pool
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); APR_ENOMEM.
 *  Threads: any. Blocks: no. Owns: end it with vfs_destroy; `lower` stays the caller's. */
VFS_API apr_status_t vfs_readonly_create(vfs_t **out, vfs_t *lower, apr_pool_t *pool);

/** Symbolic links are followed, over a layer that only tells of them (VFS_CAP_PLAIN_LINKS). Such a
 * one answers ENOTDIR for a path through a link, and ELOOP where a link at the end of a path would
 * have to be followed; its stat, and its get, tell of the link itself. So what meets no link costs
 * no more than below; what meets one, a look at each name of the path. An absolute link counts from
 * the root; none leads out of it.
 *  @param out  the file system
 *  @param lower  what it stands on
 *  @param owns_lower  the two are one: `lower` ends with the layer, gives it its name, and is not
 * seen by vfs_lower; if the layer is not created it stays the caller's
 *  @param pool  parent of the layer's own pool
 *  @return APR_SUCCESS; APR_EINVAL (a NULL, or a lower without VFS_CAP_PLAIN_LINKS); APR_ENOMEM.
 *  Threads: any. Blocks: no. Owns: end it with vfs_destroy. */
VFS_API apr_status_t vfs_links_create(vfs_t **out, vfs_t *lower, int owns_lower, apr_pool_t *pool);

/** How to write files over a layer that takes whole ones: VFS_OBJECTS_CONFIG_INIT, then set. */
typedef struct vfs_objects_config_t {
    size_t size; /**< sizeof(vfs_objects_config_t) */
    /** Where staged bytes lie, in files without a name: a directory of the operating system. NULL:
     * the one for temporary files. */
    const char *spool_dir;
    uint64_t spool_bytes; /**< staged bytes of all files together; 0: what the directory holds */
    int owns_lower; /**< the two are one: `lower` ends with the layer, gives it its name, and is not
                       seen by vfs_lower; if the layer is not created it stays the caller's */
    /** Hears what nobody is told by a status, such as where a conflict was kept. May be NULL. It is
     * called by any thread, and calls no file system. */
    void (*log)(void *baton, const char *line);
    void *log_baton; /**< handed to `log` */
} vfs_objects_config_t;
/** The directory for temporary files, no limit, `lower` stays the caller's, no log. */
#define VFS_OBJECTS_CONFIG_INIT                                                                    \
    {                                                                                              \
        sizeof(vfs_objects_config_t), NULL, 0, 0, NULL, NULL                                       \
    }
/** Files that can be written anywhere, over a layer that only replaces whole ones (VFS_CAP_COMMIT).
 * What is written is staged: it lies in a file beside, is seen by everybody on this layer at once,
 * and goes below as one commit at flush, sync, sync_fs, or with the last handle that could write
 * (VFS_CAP_STAGED). What was not written is read from the version below, or kept there: no byte of
 * it is fetched for a write. A new file is below when it is committed, no sooner.
 *
 * A commit that fails leaves all staged; the call has its status, and the next of these calls tries
 * again, as vfs_destroy does. Where others replaced the file meanwhile, the bytes are committed
 * beside it as NAME.conflict-HOST-TIME, and the call answers VFS_ECONFLICT. A file is known by its
 * path: there are no hard links and no numbers, and a link that is followed leads below to what is
 * committed.
 *  @param out  the file system
 *  @param lower  what it stands on
 *  @param config  NULL: VFS_OBJECTS_CONFIG_INIT
 *  @param pool  parent of the layer's own pool
 *  @return APR_SUCCESS; APR_EINVAL (a NULL, or a lower without VFS_CAP_WRITE or VFS_CAP_COMMIT);
 * what making a file in the spool directory says; APR_ENOMEM. Threads: any. Blocks: no. Owns: end
 * it with vfs_destroy, which is VFS_EDIRTY if something could not be committed, and lost. */
VFS_API apr_status_t vfs_objects_create(vfs_t **out, vfs_t *lower,
                                        const vfs_objects_config_t *config, apr_pool_t *pool);

/* ---- files */

/** Open a file.
 *
 *  @param file  the handle
 *  @param fs,ctx,path  as everywhere
 *  @param flags  VFS_O_*; VFS_O_READ or VFS_O_WRITE at least, or VFS_O_DIRECTORY
 *  @param mode  permission bits of a file that is created
 *  @param attr  receives the attributes at open; may be NULL. With VFS_O_KNOWN, which goes with
 *               VFS_O_READ alone: what was told of a file at this path, and may be told again, by
 *               a layer whose reads find out by themselves if it is another one; so for validator.
 *               If they do not say what file, the flag does nothing
 *  @param validator  receives the version at open; may be NULL
 *  @return APR_SUCCESS; APR_EINVAL (flags, mode); APR_EEXIST; EISDIR (a directory with VFS_O_WRITE
 * or VFS_O_CREATE); EROFS; ENOSPC; VFS_ELIMIT (handles_max); path errors; call errors. Threads:
 * any. Blocks: as the backend does: one round trip to open what exists, more to create or to cut,
 * or where a first answer does not settle it; and behind a change of the same name. Owns: close it
 * with vfs_close. */
VFS_API apr_status_t vfs_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                              uint32_t flags, uint32_t mode, vfs_attr_t *attr,
                              vfs_validator_t *validator);
/** Close: frees the handle always, whatever the answer.
 *  @param file,ctx  as everywhere; the handle must not be NULL
 *  @return APR_SUCCESS; the pending write-back error of the file; the error of the close itself.
 *  Threads: the last call on `file`. Blocks: as the backend's close does; as a flush, where
 * flush-on-close asks for it, until the deadline or cancellation. Owns: frees `file`. */
VFS_API apr_status_t vfs_close(vfs_file_t *file, const vfs_ctx_t *ctx);

/** Read at an offset. Success with *got < len means end of file, and only that; on an error nothing
 * was read and *got is 0.
 *  @param file,ctx  as everywhere
 *  @param buf  receives the bytes
 *  @param len  bytes of buf; 0 reads nothing
 *  @param off  in bytes, not negative
 *  @param got  receives the number of bytes read
 *  @return APR_SUCCESS; APR_EINVAL (negative offset, overflow, a NULL); APR_EBADF (not open for
 * reading); EISDIR; VFS_ESTALE (the file changed twice during the call); call errors. Threads: any.
 * Blocks: on a miss, one round trip. Owns: fills `buf`. */
VFS_API apr_status_t vfs_read_at(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                                 apr_off_t off, size_t *got);
/** Write at an offset, or at the end of file with VFS_OFFSET_END or on a handle with VFS_O_APPEND.
 *  @param file,ctx  as everywhere
 *  @param buf  the bytes
 *  @param len  how many
 *  @param off  in bytes, or VFS_OFFSET_END
 *  @param written  receives the number of bytes accepted: less than len only with an error
 *  @param validator  receives the new version where it is known, else VFS_VALIDATOR_NONE; may be
 * NULL
 *  @return APR_SUCCESS; APR_EINVAL (as vfs_read_at); APR_EBADF (not open for writing); EFBIG;
 * ENOSPC; VFS_ELIMIT or VFS_EOFFLINE (write-back: no room for more dirty data, and none came before
 * the deadline or write_wait_max; the second where what is below cannot be reached); call errors.
 * Threads: any. Blocks: see the write mode. Owns: borrows `buf`. */
VFS_API apr_status_t vfs_write_at(vfs_file_t *file, const vfs_ctx_t *ctx, const void *buf,
                                  size_t len, apr_off_t off, size_t *written,
                                  vfs_validator_t *validator);

/** One piece of memory of a vectored call. */
typedef struct vfs_iovec_t {
    void *base; /**< where it begins */
    size_t len; /**< bytes */
} vfs_iovec_t;

/** As vfs_read_at, into several pieces.
 *  @param file,ctx  as everywhere
 *  @param iov  the pieces, filled in their order
 *  @param count  of them, at most 1024
 *  @param off  in bytes, not negative
 *  @param got  receives the number of bytes read
 *  @return as vfs_read_at; APR_EINVAL also for too many pieces.
 *  Threads: any. Blocks: on a miss, one round trip. Owns: fills the pieces. */
VFS_API apr_status_t vfs_readv_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                  size_t count, apr_off_t off, size_t *got);
/** As vfs_write_at, from several pieces.
 *  @param file,ctx  as everywhere
 *  @param iov  the pieces, written in their order
 *  @param count  of them, at most 1024
 *  @param off  in bytes, or VFS_OFFSET_END
 *  @param written  receives the number of bytes accepted: less than all only with an error
 *  @param validator  as in vfs_write_at
 *  @return as vfs_write_at; APR_EINVAL also for too many pieces.
 *  Threads: any. Blocks: see the write mode. Owns: borrows the pieces. */
VFS_API apr_status_t vfs_writev_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                   size_t count, apr_off_t off, size_t *written,
                                   vfs_validator_t *validator);

/** Read at the handle's cursor and move it. Two readers of one handle get different bytes.
 *  @param file,ctx  as everywhere
 *  @param buf  receives the bytes
 *  @param len  bytes of buf
 *  @param got  receives the number of bytes read
 *  @return as vfs_read_at; on an error the cursor stays.
 *  Threads: any. Blocks: as vfs_read_at, and behind another use of the cursor. Owns: fills `buf`.
 */
VFS_API apr_status_t vfs_read(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                              size_t *got);
/** Write at the handle's cursor and move it by what was accepted; to the end of file with
 * VFS_O_APPEND.
 *  @param file,ctx  as everywhere
 *  @param buf  the bytes
 *  @param len  how many
 *  @param written  receives the number of bytes accepted: less than len only with an error
 *  @return as vfs_write_at.
 *  Threads: any. Blocks: as vfs_write_at, and behind another use of the cursor. Owns: borrows
 * `buf`. */
VFS_API apr_status_t vfs_write(vfs_file_t *file, const vfs_ctx_t *ctx, const void *buf, size_t len,
                               size_t *written);

/** What an offset counts from, or what is sought. */
typedef enum vfs_whence_e {
    VFS_SEEK_SET = 0, /**< from the beginning */
    VFS_SEEK_CUR,     /**< from the cursor */
    VFS_SEEK_END,     /**< from the end */
    VFS_SEEK_DATA,    /**< the next byte of data at or behind `off` */
    VFS_SEEK_HOLE     /**< the next hole at or behind `off`; the end of the file is one */
} vfs_whence_e;

/** Move the cursor.
 *  @param file,ctx  as everywhere
 *  @param off  bytes, from where `whence` says
 *  @param whence  VFS_SEEK_*
 *  @param where  receives the new position; may be NULL
 *  @return APR_SUCCESS; APR_EINVAL (the position would be negative or too large; the cursor stays);
 * VFS_ENODATA (no data, or past the end, for DATA and HOLE); what vfs_fstat says for END; call
 * errors. Threads: any. Blocks: for END, DATA and HOLE as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_seek(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t off,
                              vfs_whence_e whence, apr_off_t *where);
/** Find data or a hole without moving the cursor.
 *  @param file,ctx  as everywhere
 *  @param off  where to begin, in bytes, not negative
 *  @param whence  VFS_SEEK_DATA or VFS_SEEK_HOLE
 *  @param where  receives the position
 *  @return APR_SUCCESS; VFS_ENODATA (no data behind `off`, or it is past the end); APR_EINVAL; call
 * errors. Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_seek_extent(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t off,
                                     vfs_whence_e whence, apr_off_t *where);

/** The attributes of an open file, as this stack sees them.
 *  @param file,ctx  as everywhere
 *  @param attr  receives them; may be NULL
 *  @return APR_SUCCESS; VFS_ESTALE (the file is gone, where an open file does not survive that);
 * call errors. Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_fstat(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_attr_t *attr);
/** Set the size of an open file: what is behind it is dropped, a gap becomes a hole.
 *  @param file,ctx  as everywhere
 *  @param size  in bytes, not negative
 *  @return APR_SUCCESS; APR_EINVAL; APR_EBADF (not open for writing); EFBIG; ENOSPC; call errors.
 *  Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_ftruncate(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t size);
/** Set the permission bits of an open file.
 *  @param file,ctx  as everywhere
 *  @param mode  07777 at most
 *  @return APR_SUCCESS; APR_EINVAL (other bits); APR_EACCES or EPERM; EROFS; call errors.
 *  Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_fchmod(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t mode);
/** Change owner and group of an open file.
 *  @param file,ctx  as everywhere
 *  @param uid  the owner; (uint32_t)-1 leaves it as it is
 *  @param gid  the group; (uint32_t)-1 leaves it as it is
 *  @return APR_SUCCESS; EPERM; EROFS; call errors.
 *  Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_fchown(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t uid, uint32_t gid);
/** Set the times of an open file.
 *  @param file,ctx  as everywhere
 *  @param atime_ns,mtime_ns  nanoseconds since 1970, VFS_TIME_NOW or VFS_TIME_OMIT
 *  @return APR_SUCCESS; APR_EACCES or EPERM; EROFS; call errors.
 *  Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_futimens(vfs_file_t *file, const vfs_ctx_t *ctx, int64_t atime_ns,
                                  int64_t mtime_ns);
/** Read an extended attribute of an open file: see vfs_getxattr.
 *  @param file,ctx  as everywhere
 *  @param name  such as "user.key"
 *  @param buf  receives the value
 *  @param size  bytes of buf; 0 asks for the length only
 *  @param len  receives the length; may be NULL
 *  @return as vfs_getxattr, without path errors.
 *  Threads: any. Blocks: as the backend does. Owns: fills `buf`. */
VFS_API apr_status_t vfs_fgetxattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name,
                                   void *buf, size_t size, size_t *len);
/** Write an extended attribute of an open file: see vfs_setxattr.
 *  @param file,ctx  as everywhere
 *  @param name  such as "user.key"
 *  @param value  the bytes
 *  @param len  how many
 *  @param flags  0, VFS_XATTR_CREATE or VFS_XATTR_REPLACE
 *  @return as vfs_setxattr, without path errors.
 *  Threads: any. Blocks: as the backend does. Owns: borrows `value`. */
VFS_API apr_status_t vfs_fsetxattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name,
                                   const void *value, size_t len, uint32_t flags);
/** The names of the extended attributes of an open file: see vfs_listxattr.
 *  @param file,ctx  as everywhere
 *  @param buf  receives the names, each ended by a NUL
 *  @param size  bytes of buf; 0 asks for the length only
 *  @param len  receives the length of all; may be NULL
 *  @return as vfs_listxattr, without path errors.
 *  Threads: any. Blocks: as the backend does. Owns: fills `buf`. */
VFS_API apr_status_t vfs_flistxattr(vfs_file_t *file, const vfs_ctx_t *ctx, char *buf, size_t size,
                                    size_t *len);
/** Remove an extended attribute of an open file.
 *  @param file,ctx  as everywhere
 *  @param name  such as "user.key"
 *  @return APR_SUCCESS; APR_EINVAL (no name); VFS_ENODATA (no such attribute); APR_EACCES; EROFS;
 * call errors. Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_fremovexattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name);
/** Push this file's dirty data to the lower layer: one attempt, now.
 *  @param file,ctx  as everywhere
 *  @return APR_SUCCESS; the error of this attempt; the error of an earlier background attempt that
 * this handle was not told yet; call errors. Threads: any. Blocks: as writing below does. Owns:
 * nothing. */
VFS_API apr_status_t vfs_flush(vfs_file_t *file, const vfs_ctx_t *ctx);
/** Return success only when the data would survive a power loss.
 *  @param file,ctx  as everywhere
 *  @param flags  VFS_SYNC_DATA or VFS_SYNC_ALL
 *  @return APR_SUCCESS; APR_EINVAL; as vfs_flush.
 *  Threads: any. Blocks: until it is on stable storage. Owns: nothing. */
VFS_API apr_status_t vfs_sync(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags);
/** Reserve, punch, zero, collapse or insert a range.
 *  @param file,ctx  as everywhere
 *  @param flags  VFS_ALLOC_*; 0 reserves and grows the file
 *  @param off,len  the range, in bytes; len above 0
 *  @return APR_SUCCESS; APR_EINVAL (flags that do not go together, a range that the backend cannot
 * take); APR_ENOTIMPL (not this kind: VFS_CAP_SHIFT); APR_EBADF (not open for writing); EFBIG;
 * ENOSPC; call errors. Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_allocate(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags,
                                  apr_off_t off, apr_off_t len);
/** Copy between two files of one file system without moving the bytes through the caller.
 *  @param src  from here
 *  @param ctx  as everywhere
 *  @param src_off  in bytes
 *  @param dst  to here; may be `src`
 *  @param dst_off  in bytes
 *  @param len  how many bytes
 *  @param copied  receives the number of bytes copied; fewer than len at the end of the source
 *  @return APR_SUCCESS; APR_EINVAL (files of two file systems, overlap); APR_EBADF (src not open
 * for reading, dst not for writing or with VFS_O_APPEND); EFBIG; ENOSPC; call errors. Threads: any.
 * Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_copy_range(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                                    vfs_file_t *dst, apr_off_t dst_off, size_t len, size_t *copied);
/** The version of the file behind the handle.
 *  @param file,ctx  as everywhere
 *  @param validator  receives it
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); as vfs_fstat.
 *  Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_fvalidator(vfs_file_t *file, const vfs_ctx_t *ctx,
                                    vfs_validator_t *validator);
/** The file system whose operations serve this handle; a filter may have handed out its lower's.
 *  @param file  the handle
 *  @return never NULL. Threads: any. Blocks: no. Owns: nothing. */
VFS_API vfs_t *vfs_file_fs(const vfs_file_t *file);
/** The flags that the handle was opened with.
 *  @param file  the handle
 *  @return VFS_O_*. Threads: any. Blocks: no. Owns: nothing. */
VFS_API uint32_t vfs_file_flags(const vfs_file_t *file);

/** What is asked of a lock. */
typedef enum vfs_lock_e {
    VFS_LOCK_READ = 0, /**< shared */
    VFS_LOCK_WRITE,    /**< exclusive */
    VFS_LOCK_UNLOCK    /**< none */
} vfs_lock_e;
#define VFS_LOCK_WAIT 0x1u  /**< wait until it is free, the deadline or cancellation */
#define VFS_LOCK_TEST 0x2u  /**< do not lock: put what is in the way into the struct */
#define VFS_LOCK_WHOLE 0x4u /**< flock semantics: one lock on the whole file for each handle */

/** An advisory lock on bytes [start, start + len); len 0 means to the end of the file. */
typedef struct vfs_lock_t {
    vfs_lock_e type; /**< what is asked */
    uint32_t flags;  /**< VFS_LOCK_* */
    apr_off_t start; /**< first byte */
    apr_off_t len;   /**< bytes; 0: to the end */
    uint64_t owner;  /**< who locks; two owners on one handle conflict. 0: the handle itself */
    int32_t pid;     /**< who is in the way, for VFS_LOCK_TEST */
} vfs_lock_t;

/** Lock, unlock or test. All locks of a handle end with it.
 *  @param file,ctx  as everywhere
 *  @param lock  what is asked; with VFS_LOCK_TEST it receives what is in the way, or
 * VFS_LOCK_UNLOCK
 *  @return APR_SUCCESS; APR_EAGAIN (held by another); EDEADLK; APR_EINVAL; APR_EBADF (the handle
 * cannot read or write what it locks); call errors. Threads: any. Blocks: with VFS_LOCK_WAIT until
 * it is free, the deadline or cancellation. Owns: nothing. */
VFS_API apr_status_t vfs_lock(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_lock_t *lock);

/* ---- names */

/** Attributes, version and the first bytes of a file in one round trip.
 *  @param fs,ctx,path  as everywhere
 *  @param buf  receives the bytes
 *  @param len  bytes of buf; may be 0
 *  @param got  receives the bytes put there; for anything but a regular file 0
 *  @param attr  receives the attributes; may be NULL
 *  @param validator  receives the version; may be NULL
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); path errors; call errors.
 *  Threads: any. Blocks: one round trip. Owns: fills `buf`. */
VFS_API apr_status_t vfs_get(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, void *buf,
                             size_t len, size_t *got, vfs_attr_t *attr, vfs_validator_t *validator);
/** The attributes of a file; a symbolic link is followed.
 *  @param fs,ctx,path  as everywhere
 *  @param attr  receives them; may be NULL
 *  @return APR_SUCCESS; path errors; call errors.
 *  Threads: any. Blocks: one round trip. Owns: nothing. */
VFS_API apr_status_t vfs_stat(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr);
/** The attributes of a name; of the symbolic link itself, if it is one.
 *  @param fs,ctx,path  as everywhere
 *  @param attr  receives them; may be NULL
 *  @return APR_SUCCESS; path errors; call errors.
 *  Threads: any. Blocks: one round trip. Owns: nothing. */
VFS_API apr_status_t vfs_lstat(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr);
/** The version that `path` has now.
 *  @param fs,ctx,path  as everywhere
 *  @param validator  receives it
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); path errors; call errors.
 *  Threads: any. Blocks: one round trip. Owns: nothing. */
VFS_API apr_status_t vfs_validator(vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                                   vfs_validator_t *validator);
/** May the caller do this?
 *  @param fs,ctx,path  as everywhere
 *  @param mask  VFS_ACCESS_*
 *  @return APR_SUCCESS; APR_EACCES; EROFS (VFS_ACCESS_WRITE where nothing can be written);
 * APR_EINVAL (other bits); path errors; call errors. Threads: any. Blocks: one round trip. Owns:
 * nothing. */
VFS_API apr_status_t vfs_access(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, uint32_t mask);
/** Make a file of any type but a directory or a link.
 *  @param fs,ctx,path  as everywhere
 *  @param type  VFS_TYPE_FILE, FIFO, SOCKET, CHAR or BLOCK
 *  @param mode  permission bits
 *  @param rdev  the device number; counts for devices only
 *  @return APR_SUCCESS; APR_EINVAL (type, mode); APR_EEXIST; EPERM; EROFS; ENOSPC; path errors;
 * call errors. Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_mknod(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, vfs_type_e type,
                               uint32_t mode, uint64_t rdev);
/** Make a directory.
 *  @param fs,ctx,path  as everywhere
 *  @param mode  permission bits
 *  @return APR_SUCCESS; APR_EINVAL (mode); APR_EEXIST; EROFS; ENOSPC; path errors; call errors.
 *  Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_mkdir(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, uint32_t mode);
/** Remove an empty directory.
 *  @param fs,ctx,path  as everywhere
 *  @return APR_SUCCESS; APR_ENOTEMPTY; EBUSY (the root); EROFS; path errors; call errors.
 *  Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_rmdir(vfs_t *fs, const vfs_ctx_t *ctx, const char *path);
/** Remove a name of a file or a link; open handles live on.
 *  @param fs,ctx,path  as everywhere
 *  @return APR_SUCCESS; EISDIR (a directory, the root); EROFS; path errors; call
 * errors. Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_unlink(vfs_t *fs, const vfs_ctx_t *ctx, const char *path);
/** Move a name, together with what is dirty. A file replaces a file, a directory an empty
 * directory, atomically.
 *  @param fs,ctx  as everywhere
 *  @param from  the name now; a link is moved, not followed
 *  @param to  the name from now on
 *  @param flags  0, VFS_RENAME_NOREPLACE or VFS_RENAME_EXCHANGE
 *  @return APR_SUCCESS; APR_EINVAL (flags, a directory into itself); APR_EEXIST (NOREPLACE);
 * APR_ENOTEMPTY; EISDIR; APR_EXDEV-like (EXDEV); EBUSY (the root); EROFS; path errors; call errors.
 * On an error nothing changed. Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_rename(vfs_t *fs, const vfs_ctx_t *ctx, const char *from, const char *to,
                                uint32_t flags);
/** Give a file one more name.
 *  @param fs,ctx  as everywhere
 *  @param from  a name that it has; a link is not followed
 *  @param to  the new one
 *  @return APR_SUCCESS; APR_EEXIST; EPERM (a directory); EMLINK; EXDEV; EROFS; ENOSPC; path errors;
 * call errors. Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_link(vfs_t *fs, const vfs_ctx_t *ctx, const char *from, const char *to);
/** Make `path` a symbolic link whose text is `target`, as it is.
 *  @param fs,ctx  as everywhere
 *  @param target  any text up to VFS_PATH_MAX - 1 bytes; leading out of the root is allowed,
 * following that is not
 *  @param path  the link
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); APR_EEXIST; EROFS; ENOSPC; path errors (of an empty or
 * too long target too); call errors. Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_symlink(vfs_t *fs, const vfs_ctx_t *ctx, const char *target,
                                 const char *path);
/** The text of a symbolic link.
 *  @param fs,ctx,path  as everywhere
 *  @param buf  receives the text and a NUL
 *  @param size  bytes of buf, above 0
 *  @param len  receives the length without the NUL; may be NULL
 *  @return APR_SUCCESS; APR_EINVAL (no link, no buf); ERANGE (it does not fit); path errors; call
 * errors. Threads: any. Blocks: as the backend does. Owns: fills `buf`. */
VFS_API apr_status_t vfs_readlink(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, char *buf,
                                  size_t size, size_t *len);
/** Set the size of a file by name: see vfs_ftruncate.
 *  @param fs,ctx,path  as everywhere
 *  @param size  in bytes, not negative
 *  @return APR_SUCCESS; APR_EINVAL; EISDIR; EFBIG; ENOSPC; EROFS; path errors; call errors.
 *  Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_truncate(vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                                  apr_off_t size);
/** Set permission bits.
 *  @param fs,ctx,path  as everywhere
 *  @param mode  07777 at most
 *  @param flags  0 or VFS_NOFOLLOW
 *  @return APR_SUCCESS; APR_EINVAL (other bits); EPERM; EROFS; path errors; call errors
 * (APR_ENOTIMPL also for a link itself). Threads: any. Blocks: as the backend does. Owns: nothing.
 */
VFS_API apr_status_t vfs_chmod(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, uint32_t mode,
                               uint32_t flags);
/** Change owner and group.
 *  @param fs,ctx,path  as everywhere
 *  @param uid  the owner; (uint32_t)-1 leaves it as it is
 *  @param gid  the group; (uint32_t)-1 leaves it as it is
 *  @param flags  0 or VFS_NOFOLLOW
 *  @return APR_SUCCESS; APR_EINVAL (flags); EPERM; EROFS; path errors; call errors.
 *  Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_chown(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, uint32_t uid,
                               uint32_t gid, uint32_t flags);
/** Set the times of a file.
 *  @param fs,ctx,path  as everywhere
 *  @param atime_ns,mtime_ns  nanoseconds since 1970, VFS_TIME_NOW or VFS_TIME_OMIT
 *  @param flags  0 or VFS_NOFOLLOW
 *  @return APR_SUCCESS; APR_EINVAL (flags); EPERM; EROFS; path errors; call errors.
 *  Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_utimens(vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                                 int64_t atime_ns, int64_t mtime_ns, uint32_t flags);
/** Read an extended attribute.
 *  @param fs,ctx,path  as everywhere
 *  @param name  such as "user.key"
 *  @param buf  receives the value
 *  @param size  bytes of buf; 0 asks for the length only
 *  @param len  receives the length; may be NULL
 *  @param flags  0 or VFS_NOFOLLOW
 *  @return APR_SUCCESS; APR_EINVAL (no name, flags); VFS_ENODATA (no such attribute); ERANGE (it
 * does not fit); path errors; call errors. Threads: any. Blocks: as the backend does. Owns: fills
 * `buf`. */
VFS_API apr_status_t vfs_getxattr(vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                                  const char *name, void *buf, size_t size, size_t *len,
                                  uint32_t flags);
/** Write an extended attribute.
 *  @param fs,ctx,path  as everywhere
 *  @param name  such as "user.key"
 *  @param value  the bytes
 *  @param len  how many
 *  @param how  0, VFS_XATTR_CREATE or VFS_XATTR_REPLACE
 *  @param flags  0 or VFS_NOFOLLOW
 *  @return APR_SUCCESS; APR_EINVAL (no name, how, flags); APR_EEXIST (CREATE); VFS_ENODATA
 * (REPLACE); ENOSPC; ERANGE or E2BIG (too large); EPERM; EROFS; path errors; call errors. Threads:
 * any. Blocks: as the backend does. Owns: borrows `value`. */
VFS_API apr_status_t vfs_setxattr(vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                                  const char *name, const void *value, size_t len, uint32_t how,
                                  uint32_t flags);
/** The names of the extended attributes.
 *  @param fs,ctx,path  as everywhere
 *  @param buf  receives the names, each ended by a NUL
 *  @param size  bytes of buf; 0 asks for the length only
 *  @param len  receives the length of all; may be NULL
 *  @param flags  0 or VFS_NOFOLLOW
 *  @return APR_SUCCESS; APR_EINVAL (flags); ERANGE (they do not fit); path errors; call errors.
 *  Threads: any. Blocks: as the backend does. Owns: fills `buf`. */
VFS_API apr_status_t vfs_listxattr(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, char *buf,
                                   size_t size, size_t *len, uint32_t flags);
/** Remove an extended attribute.
 *  @param fs,ctx,path  as everywhere
 *  @param name  such as "user.key"
 *  @param flags  0 or VFS_NOFOLLOW
 *  @return APR_SUCCESS; APR_EINVAL (no name, flags); VFS_ENODATA (no such attribute); EPERM; EROFS;
 * path errors; call errors. Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_removexattr(vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                                     const char *name, uint32_t flags);

/** Space and names of the file system that holds `path`, in bytes and in files. */
typedef struct vfs_statfs_t {
    uint64_t bytes_total;     /**< of the whole file system */
    uint64_t bytes_free;      /**< not in use */
    uint64_t bytes_available; /**< not in use, and to be had without privilege */
    uint64_t files_total;     /**< names that it can hold; 0: not known */
    uint64_t files_free;      /**< of these, not in use */
    uint32_t block_size;      /**< unit of allocation */
    uint32_t name_max;        /**< bytes in one component */
} vfs_statfs_t;
/** Space and names of the file system that holds `path`.
 *  @param fs,ctx,path  as everywhere
 *  @param out  receives them
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); path errors; call errors.
 *  Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_statfs(vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                                vfs_statfs_t *out);
/** Make the entries of a directory survive a power loss.
 *  @param fs,ctx,path  as everywhere
 *  @return APR_SUCCESS; path errors; call errors.
 *  Threads: any. Blocks: until they are on stable storage. Owns: nothing. */
VFS_API apr_status_t vfs_sync_dir(vfs_t *fs, const vfs_ctx_t *ctx, const char *path);
/** Make all that was written so far survive a power loss.
 *  @param fs,ctx  as everywhere
 *  @return APR_SUCCESS; the first error of a flush; call errors.
 *  Threads: any. Blocks: until it is on stable storage. Owns: nothing. */
VFS_API apr_status_t vfs_sync_fs(vfs_t *fs, const vfs_ctx_t *ctx);

/* ---- directories */

/** One entry. "." and ".." never appear. The name belongs to the directory handle and is valid
 * until the next call on it. */
typedef struct vfs_dirent_t {
    const char *name; /**< NUL-terminated, one component */
    size_t name_len;  /**< its bytes */
    vfs_type_e type;  /**< UNKNOWN where it would cost a trip */
    int has_attr;     /**< attr is filled (as lstat would) */
    uint64_t ino;     /**< 0: not known */
    uint64_t cookie;  /**< vfs_seekdir with it goes on behind this entry; 0 is the beginning */
    vfs_attr_t attr;  /**< with has_attr */
    vfs_validator_t validator; /**< the version, with has_attr; NONE where it is not known */
} vfs_dirent_t;

/** Open a directory.
 *  @param dir  the handle
 *  @param fs,ctx,path  as everywhere
 *  @param flags  0 or VFS_DIR_ATTRS
 *  @return APR_SUCCESS; APR_EINVAL (flags); VFS_ELIMIT (handles_max); path errors; call errors.
 *  Threads: any. Blocks: one round trip. Owns: close it with vfs_closedir. */
VFS_API apr_status_t vfs_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                                 uint32_t flags);
/** The next entry. One that is neither added nor removed while the handle is open comes exactly
 * once.
 *  @param dir,ctx  as everywhere; a directory handle has one user at a time
 *  @param entry  receives it; its name is valid until the next call on the handle
 *  @return APR_SUCCESS; APR_EOF behind the last one; APR_EINVAL (a NULL); call errors.
 *  Threads: one at a time for one handle. Blocks: for a further page, one round trip. Owns:
 * nothing. */
VFS_API apr_status_t vfs_readdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, vfs_dirent_t *entry);
/** Go to a position.
 *  @param dir,ctx  as everywhere
 *  @param cookie  0 is the beginning (which reads the directory anew), else that of an entry of
 * this handle, or of an earlier one where the directory did not change in between
 *  @return APR_SUCCESS; APR_EINVAL (no such position); call errors.
 *  Threads: one at a time for one handle. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_seekdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, uint64_t cookie);
/** Close: frees the handle always.
 *  @param dir  the handle; must not be NULL
 *  @return APR_SUCCESS; what the backend says.
 *  Threads: the last call on `dir`. Blocks: as the backend's close does. Owns: frees `dir`. */
VFS_API apr_status_t vfs_closedir(vfs_dir_t *dir);

/* ---- whole objects and change events */

/** Where the bytes of a commit come from. `read_at` fills `buf` wholly, or fails. */
typedef struct vfs_source_t {
    apr_status_t (*read_at)(void *baton, void *buf, size_t len, apr_off_t off); /**< as above */
    void *baton;   /**< handed to read_at */
    uint64_t size; /**< bytes of the whole */
} vfs_source_t;

/** A range of a file. */
typedef struct vfs_range_t {
    uint64_t off; /**< its first byte */
    uint64_t len; /**< bytes */
} vfs_range_t;

#define VFS_COMMIT_IF_MATCH 0x1u /**< only if the file has the version `expected` */
#define VFS_COMMIT_IF_NONE 0x2u  /**< only if there is no such file */

/** How to commit: VFS_COMMIT_INIT, then set. One of an older header ends behind `expected`. */
typedef struct vfs_commit_t {
    size_t size;              /**< sizeof(vfs_commit_t) */
    uint32_t flags;           /**< VFS_COMMIT_* */
    uint32_t mode;            /**< permission bits of a new file */
    int64_t mtime_ns;         /**< VFS_TIME_NOW: as it comes */
    vfs_validator_t expected; /**< with VFS_COMMIT_IF_MATCH or `kept` */
    /** What of the new bytes is the same, at the same place, in the version `expected`: a backend
     * that can copy may take it from there instead of asking the source, which has it all the same.
     * Ascending, no two overlap, none is empty or leaves the source. */
    const vfs_range_t *kept;
    size_t kept_count; /**< of these */
    /** All of the new bytes are those of this other file, a normal path, in its version
     * `same_version`: a backend that can copy (VFS_CAP_COPY) may take them from there instead of
     * asking the source, which has them all the same. NULL: none. */
    const char *same_as;
    vfs_validator_t same_version; /**< with `same_as` */
} vfs_commit_t;
/** No condition, mode 0644, the time of now. */
#define VFS_COMMIT_INIT                                                                            \
    {                                                                                              \
        sizeof(vfs_commit_t), 0, 0644, VFS_TIME_NOW, {0, 0, 0, 0, {0}}, NULL, 0, NULL,             \
        {                                                                                          \
            0, 0, 0, 0,                                                                            \
            {                                                                                      \
                0                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

/** Replace the whole content of `path` at once: readers see the old bytes or the new ones.
 *  @param fs,ctx,path  as everywhere
 *  @param source  the new bytes
 *  @param how  conditions and attributes; NULL: VFS_COMMIT_INIT
 *  @param attr  receives the new attributes; may be NULL
 *  @param validator  receives the new version; may be NULL
 *  @return APR_SUCCESS; APR_EINVAL (source, how); VFS_ECONFLICT (the condition does not hold);
 * EISDIR; ENOSPC; EROFS; what the source says; path errors; call errors. On an error nothing
 * changed. Threads: any. Blocks: while the bytes go below. Owns: borrows `source` and `how`. */
VFS_API apr_status_t vfs_commit(vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                                const vfs_source_t *source, const vfs_commit_t *how,
                                vfs_attr_t *attr, vfs_validator_t *validator);

#define VFS_EVENT_CHANGED 0x1u  /**< bytes or attributes of `path` */
#define VFS_EVENT_CREATED 0x2u  /**< `path` appeared */
#define VFS_EVENT_REMOVED 0x4u  /**< `path` went away */
#define VFS_EVENT_OVERFLOW 0x8u /**< events were lost: anything below `path` may have changed */

/** Hears of a change, on a thread of the backend. It must be quick and must not call vfs_unwatch.
 *  @param baton  as given to vfs_watch
 *  @param events  VFS_EVENT_*
 *  @param path  what changed; valid during the call */
typedef void (*vfs_event_fn)(void *baton, uint32_t events, const char *path);
/** Hear of changes at and below `path`, whoever makes them.
 *  @param fs,ctx,path  as everywhere
 *  @param fn  hears of each change, or of several at once
 *  @param baton  handed to `fn`
 *  @param watch  receives a number for vfs_unwatch
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); VFS_ELIMIT (no more watches to be had); path errors;
 * call errors. Threads: any. Blocks: as the backend does. Owns: end it with vfs_unwatch; `baton`
 * must live until then. */
VFS_API apr_status_t vfs_watch(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, vfs_event_fn fn,
                               void *baton, uint64_t *watch);
/** Hear no more; when it returns, `fn` runs no more.
 *  @param fs  the file system
 *  @param watch  from vfs_watch
 *  @return APR_SUCCESS; APR_EINVAL (no such watch); APR_ENOTIMPL.
 *  Threads: any but that of `fn`. Blocks: until a running `fn` has returned. Owns: ends the watch.
 */
VFS_API apr_status_t vfs_unwatch(vfs_t *fs, uint64_t watch);

/* ---- conveniences */

/** Read a whole file.
 *  @param data  receives bytes from `pool` and a NUL behind them
 *  @param len  receives their number, without the NUL
 *  @param fs,ctx,path  as everywhere
 *  @param max  VFS_ELIMIT above so many bytes; 0: no limit
 *  @param pool  gets the bytes
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); VFS_ELIMIT; EISDIR; as vfs_open and vfs_read_at.
 *  Threads: any that may use `pool`. Blocks: as reading does. Owns: in `pool`. */
VFS_API apr_status_t vfs_read_file(char **data, size_t *len, vfs_t *fs, const vfs_ctx_t *ctx,
                                   const char *path, uint64_t max, apr_pool_t *pool);
/** Replace a file atomically: through commit where the backend has it, else through a temporary
 * file beside it, a sync and a rename. An existing file keeps its mode; without a commit, a
 * symbolic link at `path` is replaced, not followed.
 *  @param fs,ctx,path  as everywhere
 *  @param data  the bytes
 *  @param len  how many
 *  @param mode  permission bits of a new file
 *  @return APR_SUCCESS; APR_EINVAL (a NULL, mode); as vfs_commit, or as vfs_temp_file,
 * vfs_write_at, vfs_sync and vfs_rename. On an error the old file is still there, whole. Threads:
 * any. Blocks: as writing does. Owns: borrows `data`. */
VFS_API apr_status_t vfs_write_file(vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                                    const void *data, size_t len, uint32_t mode);
/** Copy one file, between file systems too: bytes, mode and mtime. The target appears only when
 * whole.
 *  @param from_fs  the file system of the source
 *  @param from  the source
 *  @param to_fs  the file system of the target
 *  @param to  the target; replaced if it exists
 *  @param ctx  as everywhere
 *  @param bytes  receives the size; may be NULL
 *  @return APR_SUCCESS; EISDIR or APR_EINVAL (the source is no regular file); as vfs_open and
 * vfs_read_at of the source, and as vfs_write_file of the target. Threads: any. Blocks: as reading
 * and writing do. Owns: nothing. */
VFS_API apr_status_t vfs_copy(vfs_t *from_fs, const char *from, vfs_t *to_fs, const char *to,
                              const vfs_ctx_t *ctx, uint64_t *bytes);
/** Make a directory and those above it; one that exists is fine.
 *  @param fs,ctx,path  as everywhere
 *  @param mode  permission bits of each that is made
 *  @return APR_SUCCESS; APR_EEXIST (`path` is no directory), APR_ENOTDIR (one above it is none); as
 * vfs_mkdir.
 *  Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_mkdir_all(vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                                   uint32_t mode);
/** Remove a tree or a file; nothing there is fine. Symbolic links are removed, not followed. The
 * root itself stays.
 *  @param fs,ctx,path  as everywhere
 *  @return APR_SUCCESS; the first error of listing or removing, with the rest still there.
 *  Threads: any. Blocks: as the backend does. Owns: nothing. */
VFS_API apr_status_t vfs_remove_all(vfs_t *fs, const vfs_ctx_t *ctx, const char *path);

#define VFS_WALK_SKIP (VFS_EEND + 1) /**< from a walk callback: do not go into this directory */
#define VFS_WALK_STOP                                                                              \
    (VFS_EEND + 2) /**< from a walk callback: end, the walk returns APR_SUCCESS                    \
                    */
/** Hears of one name.
 *  @param baton  as given to the walk
 *  @param path  the name; valid during the call
 *  @param attr  as vfs_lstat would; NULL where that failed
 *  @param status  not success where the name, or the directory behind it, could not be read
 *  @return APR_SUCCESS goes on; VFS_WALK_SKIP, VFS_WALK_STOP; anything else ends the walk with it.
 */
typedef apr_status_t (*vfs_walk_fn)(void *baton, const char *path, const vfs_attr_t *attr,
                                    apr_status_t status);
/** Visit `path` and all below it, parents first, names of one directory in byte order. Links are
 * not followed. Depth is bounded by VFS_PATH_MAX, not by the stack of the thread.
 *  @param fs,ctx,path  as everywhere
 *  @param fn  hears of each name
 *  @param baton  handed to `fn`
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); what `fn` returned; path errors of `path`; APR_ENOMEM;
 * call errors. Threads: any. Blocks: as the backend and `fn` do. Owns: nothing. */
VFS_API apr_status_t vfs_walk(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, vfs_walk_fn fn,
                              void *baton);
/** Visit the names that match a pattern, in the order of vfs_walk: '*' and '?' within a component,
 * '[a-z]' and '[!a-z]', '\\' before a literal, "**" as a component for any number of components,
 * none included. So what has "**" behind "/a/" matches "/a" and all below it. A dot in front is
 * nothing special. A link among the components before the first such place is followed.
 *  @param fs,ctx  as everywhere
 *  @param pattern  an absolute path with such places
 *  @param fn  hears of each name that matches
 *  @param baton  handed to `fn`
 *  @return APR_SUCCESS (also with no match); APR_EINVAL (a broken pattern, a NULL); as vfs_walk.
 *  Threads: any. Blocks: as the backend and `fn` do. Owns: nothing. */
VFS_API apr_status_t vfs_glob(vfs_t *fs, const vfs_ctx_t *ctx, const char *pattern, vfs_walk_fn fn,
                              void *baton);
/** Does `path` match `pattern`, by the rules of vfs_glob?
 *  @param pattern  the pattern; a broken one matches nothing
 *  @param path  a normal path
 *  @return 1 or 0. Threads: any. Blocks: no. Owns: nothing. */
VFS_API int vfs_glob_match(const char *pattern, const char *path);
/** Create and open a new file of its own name, "DIR/PREFIX<random>", for reading and writing, mode
 * 0600.
 *  @param file  the handle
 *  @param fs,ctx  as everywhere
 *  @param dir  an existing directory
 *  @param prefix  the beginning of the name
 *  @param path  receives the whole name
 *  @param size  bytes of path; VFS_PATH_MAX + 1 always suffice
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); APR_ENAMETOOLONG (the name does not fit); as vfs_open.
 *  Threads: any. Blocks: as vfs_open. Owns: close it with vfs_close; the file stays until it is
 * removed. */
VFS_API apr_status_t vfs_temp_file(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                                   const char *dir, const char *prefix, char *path, size_t size);

/* ---- texts */

/** A sentence for any status of APR or of ours.
 *  @param status  the status
 *  @param buf  receives it, cut if need be, with a NUL
 *  @param size  bytes of buf
 *  @return buf. Threads: any. Blocks: no. Owns: nothing. */
VFS_API char *vfs_strerror(apr_status_t status, char *buf, size_t size);
/** The name of one of our codes.
 *  @param status  the status
 *  @return such as "VFS_ESTALE"; NULL for any other; lives for ever. Threads: any. Blocks: no.
 * Owns: nothing. */
VFS_API const char *vfs_status_name(apr_status_t status);
/** The errno that a status stands for, for a caller that needs one.
 *  @param status  the status
 *  @return 0 for APR_SUCCESS; EIO where there is none. Threads: any. Blocks: no. Owns: nothing. */
VFS_API int vfs_status_errno(apr_status_t status);
/** The version of the library.
 *  @return such as "0.1.0"; lives for ever. Threads: any. Blocks: no. Owns: nothing. */
VFS_API const char *vfs_version(void);

#ifdef __cplusplus
}
#endif
#endif
