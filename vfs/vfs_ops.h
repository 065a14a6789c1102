/**
 * @file
 * vfs_ops.h - what the author of a backend or of a layer implements, and what it may call.
 * Floor 1, public. Users of a file system need vfs.h only.
 *
 * The rules of the table:
 *  - It is `static const`, with designated initialisers. vfs_create copies min(size) bytes of it
 * into a zeroed table, so a table of an older header works with a newer library; ops are only ever
 * added at the end.
 *  - A NULL op means APR_ENOTIMPL, in every layer. Passing through is written out:
 *    `.rename = vfs_pass_rename`.
 *  - Dispatch has done its work before an op runs: paths are normal, arguments checked, flags
 * known, the context neither expired nor cancelled, required out-parameters not NULL and zeroed.
 * `attr` and `validator` of open, get, stat, lstat, fstat, write_at and commit are never NULL in an
 * op, nor is `how` of commit, which has all fields of this header.
 *  - An op borrows its arguments, keeps no pointer after it returns, and never writes through
 * const.
 *  - An op may be called by many threads at once. close and closedir are the last call on a handle.
 *  - No lock of a layer is held across a vfs_call_* on its lower.
 */
#ifndef VFS_VFS_OPS_H
#define VFS_VFS_OPS_H

#include "vfs/vfs.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The version of the table below. It changes when a table of an older header cannot work any more.
 */
#define VFS_ABI 1u

/** A path that dispatch has made normal: it begins with '/', has no "//", "." or "..", ends without
 * '/' (but for the root, "/"), and is NUL-terminated. */
typedef struct vfs_path_t {
    const char *str; /**< NUL-terminated */
    uint32_t len;    /**< bytes of str */
    uint32_t hash;   /**< FNV-1a, 32 bits, of str */
    uint32_t flags;  /**< VFS_PATH_DIR: the caller wrote a trailing '/' (dispatch deals with it) */
} vfs_path_t;
#define VFS_PATH_DIR 0x1u /**< of vfs_path_t */

/** Normalise a path. Uses `buf` only if `raw` is not normal yet: else out->str is `raw` itself.
 *  @param out  the normal path
 *  @param raw  what a caller wrote
 *  @param buf  VFS_PATH_MAX + 1 bytes
 *  @return APR_SUCCESS; APR_ENOENT (empty); APR_EINVAL (NULL, relative); APR_ENAMETOOLONG.
 *  Threads: any. Blocks: no. Owns: `out` borrows `raw` or `buf`. */
VFS_API apr_status_t vfs_path_init(vfs_path_t *out, const char *raw, char *buf);
/** Many paths at once, which is quicker where one begins as the one before, as the names of a
 *  directory do: what they have in common is checked and hashed once.
 *  @param out  one for each path; its str is NULL if the path is not normal already, or long, or no
 *              path: vfs_path_init says more of it
 *  @param raw  what a caller wrote; each may be NULL
 *  @param count  how many
 *  Threads: any. Blocks: no. Owns: `out` borrows `raw`. */
VFS_API void vfs_path_init_many(vfs_path_t *out, const char *const *raw, size_t count);
/** The path of a name within a directory.
 *  @param out  the path
 *  @param parent  of the directory
 *  @param name  one component; needs no NUL
 *  @param name_len  its bytes
 *  @param buf  VFS_PATH_MAX + 1 bytes; where the path is written
 *  @return APR_SUCCESS; APR_ENAMETOOLONG; APR_EINVAL (name is NULL, empty, "." or "..", or has a
 * '/' or NUL). Threads: any. Blocks: no. Owns: `out` borrows `buf`. */
VFS_API apr_status_t vfs_path_join(vfs_path_t *out, const vfs_path_t *parent, const char *name,
                                   size_t name_len, char *buf);
/** The parent of a path; the root is its own parent.
 *  @param out  the parent
 *  @param path  the path
 *  @param buf  VFS_PATH_MAX + 1 bytes; where the parent is written
 *  @return the last component, which points into path->str; "" for the root.
 *  Threads: any. Blocks: no. Owns: `out` borrows `buf`. */
VFS_API const char *vfs_path_parent(vfs_path_t *out, const vfs_path_t *path, char *buf);
/** Is a path the prefix itself, or below it? By whole components: "/a" does not hold "/ab".
 *  @param path  the path
 *  @param prefix  the prefix
 *  @return 1 or 0. Threads: any. Blocks: no. Owns: nothing. */
VFS_API int vfs_path_within(const vfs_path_t *path, const vfs_path_t *prefix);
/** The hash of vfs_path_t: FNV-1a, 32 bits (Fowler, Noll, Vo; the parameters of RFC 9923).
 *  @param str  the bytes
 *  @param len  how many
 *  @return the hash. Threads: any. Blocks: no. Owns: nothing. */
VFS_API uint32_t vfs_path_hash(const char *str, size_t len);

/* ---- the table */

/** (a, b) without its parentheses, for vfs_ops.def. */
#define VFS_UNPACK(...) __VA_ARGS__
typedef struct vfs_ops_t vfs_ops_t; /**< the table of a layer */
/** The table of a layer. The ops that vfs_ops.def lists come behind these, in its order, each with
 * its object (`vfs_t *fs`, `vfs_file_t *file` or `vfs_dir_t *dir`) first: see vfs_NAME in vfs.h for
 * what each one does. */
struct vfs_ops_t {
    uint32_t abi;     /**< VFS_ABI */
    uint32_t size;    /**< sizeof(vfs_ops_t) */
    const char *name; /**< of the layer, such as "local" */

    /** Free fs->state; flush first. Errors are reported, not obeyed. May be NULL. */
    apr_status_t (*destroy)(vfs_t *fs);
    /** Open; *file is a handle with an embedded vfs_file_t. */
    apr_status_t (*open)(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                         uint32_t flags, uint32_t mode, vfs_attr_t *attr,
                         vfs_validator_t *validator);
    /** Open a directory; *dir is a handle with an embedded vfs_dir_t. */
    apr_status_t (*opendir)(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                            const vfs_path_t *path, uint32_t flags);
    /** Free the handle, always. */
    apr_status_t (*close)(vfs_file_t *file, const vfs_ctx_t *ctx);
    /** Free the handle, always. */
    apr_status_t (*closedir)(vfs_dir_t *dir);
    /** Both files belong to this layer. */
    apr_status_t (*copy_range)(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                               vfs_file_t *dst, apr_off_t dst_off, size_t len, size_t *copied);

#define VFS_OP_FS(name, class, params, args, doc)                                                  \
    apr_status_t (*name)(vfs_t * fs, VFS_UNPACK params);
#define VFS_OP_FILE(name, class, params, args, doc)                                                \
    apr_status_t (*name)(vfs_file_t * file, VFS_UNPACK params);
#define VFS_OP_DIR(name, class, params, args, doc)                                                 \
    apr_status_t (*name)(vfs_dir_t * dir, VFS_UNPACK params);
#include "vfs/vfs_ops.def"
};

/* ---- the objects */

/** A file system. A layer reads `lower` and `state`; everything else is dispatch's. */
struct vfs_t {
    uint32_t magic;    /**< what it is, for assertions */
    uint32_t reserved; /**< 0 */
    vfs_ops_t ops;     /**< a copy, zeros behind what the layer's table has */
    vfs_caps_t caps;   /**< what vfs_caps answers */
    vfs_t *lower;      /**< the layer below, or NULL */
    void *state;       /**< the layer's own */
    apr_pool_t *pool;  /**< the layer's own; made by vfs_create, gone with vfs_destroy */
};

/** An open file. A layer embeds it as the first member of its own handle, and initialises it with
 *  vfs_file_init; a layer that has nothing to add sets `lower` and uses it as it is. */
struct vfs_file_t {
    uint32_t magic;          /**< what it is, for assertions */
    uint32_t flags;          /**< VFS_O_* of the open */
    vfs_t *fs;               /**< whose operations serve it */
    vfs_file_t *lower;       /**< the handle below, where there is one */
    apr_off_t cursor;        /**< vfs/file.c alone touches these two */
    uint32_t cursor_claimed; /**< somebody moves the cursor */
    uint32_t reserved;       /**< 0 */
};

/** An open directory, likewise. */
struct vfs_dir_t {
    uint32_t magic;   /**< what it is, for assertions */
    uint32_t flags;   /**< VFS_DIR_* */
    vfs_t *fs;        /**< whose operations serve it */
    vfs_dir_t *lower; /**< the handle below, where there is one */
};

/** Make a file system from a table.
 *  @param out  the file system
 *  @param ops  the table
 *  @param lower  the layer below, or NULL
 *  @param state  the layer's own; freed by its destroy
 *  @param caps  what it can do; NULL: those of lower
 *  @param pool  parent of the layer's own pool
 *  @return APR_SUCCESS; VFS_EABI (another ABI, or a table smaller than its header); APR_EINVAL (no
 * name, no caps, a NULL); APR_ENOMEM. On an error `state` stays the caller's. Threads: any. Blocks:
 * no. Owns: copies ops and caps. */
VFS_API apr_status_t vfs_create(vfs_t **out, const vfs_ops_t *ops, vfs_t *lower, void *state,
                                const vfs_caps_t *caps, apr_pool_t *pool);
/** Set up the embedded part of a handle.
 *  @param file  the handle
 *  @param fs  the layer that it belongs to
 *  @param flags  VFS_O_* of the open
 *  @param lower  the handle below, or NULL
 *  Threads: the one that opens. Blocks: no. Owns: `lower` is the handle's to close. */
VFS_API void vfs_file_init(vfs_file_t *file, vfs_t *fs, uint32_t flags, vfs_file_t *lower);
/** Set up the embedded part of a directory handle.
 *  @param dir  the handle
 *  @param fs  the layer that it belongs to
 *  @param flags  VFS_DIR_* of the open
 *  @param lower  the handle below, or NULL
 *  Threads: the one that opens. Blocks: no. Owns: `lower` is the handle's to close. */
VFS_API void vfs_dir_init(vfs_dir_t *dir, vfs_t *fs, uint32_t flags, vfs_dir_t *lower);

/* ---- calling a layer with a normal path */
/* vfs_call_NAME is what vfs_NAME does after it has normalised the path: the checks of arguments,
 * context and table, then the op. Layers use these on their lower. `attr` and `validator` may be
 * NULL here. */

#define VFS_OP_FS(name, class, params, args, doc)                                                  \
    VFS_API apr_status_t vfs_call_##name(vfs_t *fs, VFS_UNPACK params);
#define VFS_OP_FILE(name, class, params, args, doc)                                                \
    VFS_API apr_status_t vfs_call_##name(vfs_file_t *file, VFS_UNPACK params);
#define VFS_OP_DIR(name, class, params, args, doc)                                                 \
    VFS_API apr_status_t vfs_call_##name(vfs_dir_t *dir, VFS_UNPACK params);
#include "vfs/vfs_ops.def"
/** What vfs_open does after it has normalised the path.
 *  @param file,fs,ctx,path,flags,mode,attr,validator  as in vfs_open
 *  @return as vfs_open. Threads: any. Blocks: as vfs_open. Owns: close it with vfs_close. */
VFS_API apr_status_t vfs_call_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                                   const vfs_path_t *path, uint32_t flags, uint32_t mode,
                                   vfs_attr_t *attr, vfs_validator_t *validator);
/** What vfs_opendir does after it has normalised the path.
 *  @param dir,fs,ctx,path,flags  as in vfs_opendir
 *  @return as vfs_opendir. Threads: any. Blocks: as vfs_opendir. Owns: close it with vfs_closedir.
 */
VFS_API apr_status_t vfs_call_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                                      const vfs_path_t *path, uint32_t flags);

/* ---- passing through */
/* vfs_pass_NAME hands the call to the lower layer or handle, unchanged. vfs_pass_open and
 * vfs_pass_opendir hand out the lower's own handle; vfs_wrap_open and vfs_wrap_opendir wrap it in a
 * plain vfs_file_t or vfs_dir_t of this layer, so that the layer's file ops are used;
 * vfs_pass_close and vfs_pass_closedir close and free such a plain wrapper. */

#define VFS_OP_FS(name, class, params, args, doc)                                                  \
    VFS_API apr_status_t vfs_pass_##name(vfs_t *fs, VFS_UNPACK params);
#define VFS_OP_FILE(name, class, params, args, doc)                                                \
    VFS_API apr_status_t vfs_pass_##name(vfs_file_t *file, VFS_UNPACK params);
#define VFS_OP_DIR(name, class, params, args, doc)                                                 \
    VFS_API apr_status_t vfs_pass_##name(vfs_dir_t *dir, VFS_UNPACK params);
#include "vfs/vfs_ops.def"
/** Open below, and hand out the lower's own handle: its operations serve it from then on.
 *  @param file,fs,ctx,path,flags,mode,attr,validator  as in vfs_open
 *  @return what the lower says. Threads: any. Blocks: as the lower does. Owns: the handle is the
 * lower's. */
VFS_API apr_status_t vfs_pass_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                                   const vfs_path_t *path, uint32_t flags, uint32_t mode,
                                   vfs_attr_t *attr, vfs_validator_t *validator);
/** Open a directory below, and hand out the lower's own handle.
 *  @param dir,fs,ctx,path,flags  as in vfs_opendir
 *  @return what the lower says. Threads: any. Blocks: as the lower does. Owns: the handle is the
 * lower's. */
VFS_API apr_status_t vfs_pass_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                                      const vfs_path_t *path, uint32_t flags);
/** Open below, and wrap the handle in a plain vfs_file_t of this layer.
 *  @param file,fs,ctx,path,flags,mode,attr,validator  as in vfs_open
 *  @return what the lower says; APR_ENOMEM. Threads: any. Blocks: as the lower does. Owns:
 * vfs_pass_close ends it. */
VFS_API apr_status_t vfs_wrap_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                                   const vfs_path_t *path, uint32_t flags, uint32_t mode,
                                   vfs_attr_t *attr, vfs_validator_t *validator);
/** Open a directory below, and wrap the handle in a plain vfs_dir_t of this layer.
 *  @param dir,fs,ctx,path,flags  as in vfs_opendir
 *  @return what the lower says; APR_ENOMEM. Threads: any. Blocks: as the lower does. Owns:
 * vfs_pass_closedir ends it. */
VFS_API apr_status_t vfs_wrap_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                                      const vfs_path_t *path, uint32_t flags);
/** Close the handle below, and free the plain one around it.
 *  @param file,ctx  as in vfs_close
 *  @return what the lower says. Threads: the last call on `file`. Blocks: as the lower does. Owns:
 * frees `file`. */
VFS_API apr_status_t vfs_pass_close(vfs_file_t *file, const vfs_ctx_t *ctx);
/** Close the directory handle below, and free the plain one around it.
 *  @param dir  as in vfs_closedir
 *  @return what the lower says. Threads: the last call on `dir`. Blocks: as the lower does. Owns:
 * frees `dir`. */
VFS_API apr_status_t vfs_pass_closedir(vfs_dir_t *dir);
/** Copy below, between the handles below.
 *  @param src,ctx,src_off,dst,dst_off,len,copied  as in vfs_copy_range
 *  @return what the lower says. Threads: any. Blocks: as the lower does. Owns: nothing. */
VFS_API apr_status_t vfs_pass_copy_range(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                                         vfs_file_t *dst, apr_off_t dst_off, size_t len,
                                         size_t *copied);

/* ---- for authors */

/** The validator of VFS_VALIDATOR_TIMES for these attributes. It is VFS_VALIDATOR_YOUNG if mtime or
 * ctime lies within `granularity_ns` of `now_ns`, or behind it.
 *  @param out  the validator
 *  @param attr  its ctime, mtime, size, dev and ino
 *  @param now_ns  nanoseconds since 1970: when the attributes were asked for
 *  @param granularity_ns  nanoseconds: the step of the backend's clock
 *  Threads: any. Blocks: no. Owns: nothing. */
VFS_API void vfs_validator_from_attr(vfs_validator_t *out, const vfs_attr_t *attr, int64_t now_ns,
                                     uint64_t granularity_ns);
/** A validator from an opaque tag: as it is up to VFS_VALIDATOR_BYTES, else its 128-bit hash (kind
 * DIGEST). A tag of length 0 gives NONE.
 *  @param out  the validator
 *  @param kind  VFS_VALIDATOR_ETAG or VFS_VALIDATOR_VERSION
 *  @param tag  its bytes
 *  @param len  how many
 *  Threads: any. Blocks: no. Owns: nothing. */
VFS_API void vfs_validator_from_tag(vfs_validator_t *out, vfs_validator_e kind, const void *tag,
                                    size_t len);
/** POSIX permission check of the context's user against mode bits; without VFS_CTX_CREDS the user
 * is the process.
 *  @param attr  the file's mode, owner and group
 *  @param ctx  who asks; may be NULL
 *  @param mask  VFS_ACCESS_*
 *  @return APR_SUCCESS or APR_EACCES. Threads: any. Blocks: no. Owns: nothing. */
VFS_API apr_status_t vfs_attr_access(const vfs_attr_t *attr, const vfs_ctx_t *ctx, uint32_t mask);
/** The mode of a new file: what was asked for, without the umask of the context.
 *  @param ctx  the context; may be NULL
 *  @param mode  permission bits
 *  @return mode & ~umask. Threads: any. Blocks: no. Owns: nothing. */
VFS_API uint32_t vfs_ctx_mode(const vfs_ctx_t *ctx, uint32_t mode);
/** Wall clock.
 *  @return nanoseconds since 1970. Threads: any. Blocks: no. Owns: nothing. */
VFS_API int64_t vfs_now_ns(void);

/** What a plug-in exports as `vfs_plugin_init`: registers its schemes.
 *  @param abi  the library's VFS_ABI
 *  @param pool  lives until the process ends
 *  @return APR_SUCCESS; VFS_EABI if the ABI is not its own; why it cannot be used. */
typedef apr_status_t (*vfs_plugin_init_fn)(uint32_t abi, apr_pool_t *pool);

/** A bounded pool of worker threads. */
typedef struct vfs_workers_t vfs_workers_t;
/** A job.
 *  @param baton  as given with it */
typedef void (*vfs_work_fn)(void *baton);
/** Start worker threads.
 *  @param out  the workers
 *  @param threads  1 to 1024
 *  @param queue_max  jobs that may wait, at least 1
 *  @param pool  parent of their own pool
 *  @return APR_SUCCESS; APR_EINVAL; APR_ENOMEM; what the thread creation says.
 *  Threads: any. Blocks: no. Owns: end them with vfs_workers_destroy. */
VFS_API apr_status_t vfs_workers_create(vfs_workers_t **out, unsigned threads, size_t queue_max,
                                        apr_pool_t *pool);
/** Queue a job, if there is room.
 *  @param workers  who shall do it
 *  @param fn  the job
 *  @param baton  handed to `fn`; must live until it has run
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); VFS_ELIMIT (the queue is full); VFS_ECANCELED
 * (stopping). Threads: any. Blocks: no. Owns: nothing. */
VFS_API apr_status_t vfs_workers_try(vfs_workers_t *workers, vfs_work_fn fn, void *baton);
/** Queue a job, waiting for room until the context's deadline or cancellation.
 *  @param workers  who shall do it
 *  @param ctx  the context; may be NULL
 *  @param fn  the job
 *  @param baton  handed to `fn`; must live until it has run
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); VFS_ECANCELED (cancelled, or stopping); APR_TIMEUP.
 *  Threads: any. Blocks: while the queue is full. Owns: nothing. */
VFS_API apr_status_t vfs_workers_push(vfs_workers_t *workers, const vfs_ctx_t *ctx, vfs_work_fn fn,
                                      void *baton);
/** Wait until no job waits or runs.
 *  @param workers  the workers
 *  Threads: any but a worker. Blocks: until then. Owns: nothing. */
VFS_API void vfs_workers_drain(vfs_workers_t *workers);
/** Run what waits, then end the threads. The last call.
 *  @param workers  may be NULL
 *  Threads: any but a worker. Blocks: until the last job has ended. Owns: frees them. */
VFS_API void vfs_workers_destroy(vfs_workers_t *workers);

/** Says what did not hold, and aborts. Assertions: a broken one is a bug in the caller or in us,
 * never bad input.
 *  @param what  the condition
 *  @param file  where
 *  @param line  where
 *  @param func  where
 *  Threads: any. Blocks: never returns. Owns: nothing. */
VFS_API void vfs_assert_failed(const char *what, const char *file, int line, const char *func)
    __attribute__((noreturn));
/** Always on: cheap conditions. */
#define VFS_ASSERT(cond)                                                                           \
    (__builtin_expect(!!(cond), 1) ? (void)0                                                       \
                                   : vfs_assert_failed(#cond, __FILE__, __LINE__, __func__))
/** In debug builds: conditions that may walk a list. */
#ifdef NDEBUG
#define VFS_DEBUG_ASSERT(cond) ((void)0)
#else
#define VFS_DEBUG_ASSERT(cond) VFS_ASSERT(cond)
#endif
/** At a public boundary: a bad argument is an answer, not an assertion. */
#define VFS_CHECK_ARG(cond)                                                                        \
    do {                                                                                           \
        if (!(cond)) return APR_EINVAL;                                                            \
    } while (0)

#ifdef __cplusplus
}
#endif
#endif
