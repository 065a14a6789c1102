/*
 * shims.h - layers for tests and measurements: each adds one behaviour to whatever is below it.
 * Floor 1, public. None of them knows what it stands on.
 *
 * In every create function: `lower` stays the caller's, vfs_destroy ends the shim alone, the result is APR_SUCCESS,
 * APR_EINVAL (a bad option; nothing was made) or APR_ENOMEM; any thread; does not block.
 */
#ifndef VFS_SHIMS_SHIMS_H
#define VFS_SHIMS_SHIMS_H

#include "vfs/vfs.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Every op by its place in the table; VFS_OPID_open, VFS_OPID_read_at ... */
typedef enum vfs_opid_e {
#define VFS_OP_HAND(kind, name, class, doc) VFS_OPID_##name,
#define VFS_OP_FS(name, class, params, args, doc) VFS_OPID_##name,
#define VFS_OP_FILE(name, class, params, args, doc) VFS_OPID_##name,
#define VFS_OP_DIR(name, class, params, args, doc) VFS_OPID_##name,
#include "vfs/vfs_ops.def"
    VFS_OPID_COUNT
} vfs_opid_e;
/** "read_at"; NULL if there is no such op. */
VFS_API const char *vfs_op_name(vfs_opid_e op);
/** The op of that name, or VFS_OPID_COUNT. */
VFS_API vfs_opid_e vfs_op_by_name(const char *name);

/* null: passes every op through, and wraps handles. What a layer costs. */
VFS_API apr_status_t vfs_null_create(vfs_t **out, vfs_t *lower, apr_pool_t *pool);

/* trace: one line for each op, when it ends: "op path-or-handle args -> status, bytes, microseconds". */
typedef void (*vfs_trace_fn)(void *baton, const char *line);
VFS_API apr_status_t vfs_trace_create(vfs_t **out, vfs_t *lower, vfs_trace_fn fn, void *baton,
                                      apr_pool_t *pool);

/* count: calls, errors and bytes, by op. */
typedef struct vfs_counts_t {
    uint64_t calls[VFS_OPID_COUNT];
    uint64_t errors[VFS_OPID_COUNT]; /**< APR_EOF of readdir does not count */
    uint64_t bytes_read;             /**< by get, read_at, readv_at */
    uint64_t bytes_written;
    uint64_t open_files; /**< now */
    uint64_t open_dirs;  /**< now */
    uint64_t in_flight_max; /**< most calls that were under way at once */
} vfs_counts_t;
VFS_API apr_status_t vfs_count_create(vfs_t **out, vfs_t *lower, apr_pool_t *pool);
VFS_API void vfs_count_get(vfs_t *shim, vfs_counts_t *out);
VFS_API void vfs_count_reset(vfs_t *shim);
/** All calls but close, closedir, unwatch, seekdir and readdir: what a remote would count as requests. */
VFS_API uint64_t vfs_counts_requests(const vfs_counts_t *counts);

/* delay: a remote in a box. Each op that a real remote answers over the wire costs one round trip: open, get,
 * read_at, write_at, stat, lstat, opendir (the first page), a further page of readdir, each change, sync; close,
 * seekdir and attributes that came with another answer cost none. Bytes cost len / bandwidth on a link that all
 * calls share. A wait ends early with the context's deadline or cancellation. */
typedef struct vfs_delay_t {
    uint64_t rtt_us;
    uint64_t bytes_per_second; /**< 0: no limit */
    uint32_t readdir_page;     /**< entries in one page; 0: 1000 */
    uint32_t jitter_percent;   /**< of the round trip, 0 to 100, evenly spread */
    uint64_t seed;
} vfs_delay_t;
VFS_API apr_status_t vfs_delay_create(vfs_t **out, vfs_t *lower, const vfs_delay_t *how,
                                      apr_pool_t *pool);
/** Change it while it runs. */
VFS_API apr_status_t vfs_delay_set(vfs_t *shim, const vfs_delay_t *how);

/* fault: makes calls fail. Rules are tried in order; the first that applies acts. */
typedef enum vfs_fault_e {
    VFS_FAULT_ERROR = 0,   /**< answer `status`; the lower is not called */
    VFS_FAULT_SHORT_READ,  /**< read_at, readv_at, get: an error after some bytes were put into the buffer */
    VFS_FAULT_TORN_WRITE,  /**< the lower gets the first `bytes` bytes, the caller an error that says so */
    VFS_FAULT_LOST_REPLY,  /**< the lower does it all, the caller gets `status` */
    VFS_FAULT_BLOCK,       /**< the call waits until vfs_fault_release, its deadline or cancellation */
    VFS_FAULT_FLIP         /**< read_at, readv_at, get: one bit of the answer is wrong */
} vfs_fault_e;
typedef struct vfs_fault_t {
    vfs_fault_e what;
    apr_status_t status; /**< 0: EIO */
    uint64_t ops[2];     /**< bit (1 << op % 64) of word op / 64; all zero: every op but close, closedir, unwatch */
    const char *glob;    /**< only paths that match (a handle has the path it was opened by); NULL: all.
                              copied */
    uint64_t nth;        /**< only the nth matching call, from 1; 0: each */
    uint64_t times;      /**< how many calls in a row from then on; 0: for ever */
    double probability;  /**< of each matching call; 0 counts as 1 */
    size_t bytes;        /**< for SHORT_READ and TORN_WRITE */
} vfs_fault_t;
#define VFS_FAULT_OP(fault, op) ((fault).ops[(op) / 64] |= 1ull << ((op) % 64))
VFS_API apr_status_t vfs_fault_create(vfs_t **out, vfs_t *lower, uint64_t seed, apr_pool_t *pool);
VFS_API apr_status_t vfs_fault_add(vfs_t *shim, const vfs_fault_t *fault);
/** Take all rules away. Blocked calls go on. Counters go back to 0. */
VFS_API void vfs_fault_clear(vfs_t *shim);
/** Let blocked calls go on, without taking rules away. */
VFS_API void vfs_fault_release(vfs_t *shim);
/** Calls that were made to fail so far; calls that matched no rule or waited their turn in `*passed`. */
VFS_API uint64_t vfs_fault_injected(vfs_t *shim, uint64_t *passed);
/** Calls that are blocked at this moment. */
VFS_API uint64_t vfs_fault_blocked(vfs_t *shim);

/* crash: keeps what was not synced aside, so that a power loss can be played.
 * Writes, truncates and namespace changes reach the lower at once (readers see them), and are noted with what they
 * replaced. vfs_sync of a file makes its bytes and size durable, and its own name if it is new; vfs_sync_dir the names
 * in a directory; vfs_sync_fs everything. vfs_crash_now takes the lower to a state that a power loss could
 * leave, and from then on every call answers VFS_EOFFLINE until vfs_crash_restart. */
typedef enum vfs_crash_e {
    VFS_CRASH_KEEP_ALL = 0,
    VFS_CRASH_DROP_UNSYNCED,
    VFS_CRASH_RANDOM,  /**< each unsynced change stays or goes, by the seed; of one file's writes any subset */
    VFS_CRASH_TEAR_LAST /**< all stay, but the last write only up to `tear_bytes` */
} vfs_crash_e;
VFS_API apr_status_t vfs_crash_create(vfs_t **out, vfs_t *lower, apr_pool_t *pool);
/** Lose power at the n-th changing or syncing call from now (it is not carried out), n from 1; 0: never. */
VFS_API void vfs_crash_at(vfs_t *shim, uint64_t n);
/** Changing and syncing calls so far. */
VFS_API uint64_t vfs_crash_ops(vfs_t *shim);
/** Lose power now. @return APR_SUCCESS, or what the lower said while being taken back. */
VFS_API apr_status_t vfs_crash_now(vfs_t *shim, vfs_crash_e how, uint64_t seed, uint64_t tear_bytes);
/** Power is back. Handles from before answer VFS_ESTALE; close them. */
VFS_API void vfs_crash_restart(vfs_t *shim);

/* corfs: copy on read, as Go's absfs/corfs does it: for comparisons. */
#define VFS_CORFS_EXACT 0x0u  /**< that library's own behaviour: every open and read goes to the primary */
#define VFS_CORFS_SERVE 0x1u  /**< what a user expects: served from the copy once that is complete and has the primary's
                                   size and mtime; filled through a temporary file and a rename */
VFS_API apr_status_t vfs_corfs_create(vfs_t **out, vfs_t *primary, vfs_t *copy, uint32_t flags,
                                      apr_pool_t *pool);

#ifdef __cplusplus
}
#endif
#endif
