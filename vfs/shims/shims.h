/**
 * @file
 * shims.h - layers for tests and measurements: each adds one behaviour to whatever is below it.
 * Floor 1, public. None of them knows what it stands on.
 *
 * In every create function: `lower` stays the caller's and must outlive the shim, vfs_destroy ends
 * the shim alone, options are copied.
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
    VFS_OPID_COUNT /**< how many there are */
} vfs_opid_e;
/** The name of an op.
 *  @param op  the op
 *  @return such as "read_at"; NULL if there is no such op; lives for ever.
 *  Threads: any. Blocks: no. Owns: nothing. */
VFS_API const char *vfs_op_name(vfs_opid_e op);
/** The op of a name.
 *  @param name  such as "read_at"
 *  @return the op; VFS_OPID_COUNT if there is none of that name.
 *  Threads: any. Blocks: no. Owns: nothing. */
VFS_API vfs_opid_e vfs_op_by_name(const char *name);

/* ---- null: passes every op through, and wraps handles */

/** Put a layer that changes nothing on `lower`: what a layer costs.
 *  @param out  the shim
 *  @param lower  what it stands on
 *  @param pool  parent of the shim's pool
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); APR_ENOMEM.
 *  Threads: any. Blocks: no. Owns: end it with vfs_destroy; `lower` stays the caller's. */
VFS_API apr_status_t vfs_null_create(vfs_t **out, vfs_t *lower, apr_pool_t *pool);

/* ---- trace: one line for each op */

/** Hears of an op when it has ended: "op path-or-handle args -> status, bytes, microseconds", such
 * as `read_at "/a"#7 len=4096 off=0 -> ok, 512, 12`. trace.c has the whole form. Called on the
 * thread of the call, by several at once; `line` lives as long as the call of it.
 *  @param baton  as given to vfs_trace_create
 *  @param line  without a line end */
typedef void (*vfs_trace_fn)(void *baton, const char *line);
/** Tell `fn` of each op on `lower`.
 *  @param out  the shim
 *  @param lower  what it stands on
 *  @param fn  hears one line for each op
 *  @param baton  handed to `fn`; must outlive the shim
 *  @param pool  parent of the shim's pool
 *  @return APR_SUCCESS; APR_EINVAL (a NULL but `baton`); APR_ENOMEM.
 *  Threads: any. Blocks: no. Owns: end it with vfs_destroy; `lower` and `baton` stay the caller's.
 */
VFS_API apr_status_t vfs_trace_create(vfs_t **out, vfs_t *lower, vfs_trace_fn fn, void *baton,
                                      apr_pool_t *pool);

/* ---- count: calls, errors and bytes, by op */

/** What a count shim has seen. */
typedef struct vfs_counts_t {
    uint64_t calls[VFS_OPID_COUNT];  /**< calls, by op */
    uint64_t errors[VFS_OPID_COUNT]; /**< that did not succeed; APR_EOF of readdir does not count */
    uint64_t bytes_read;             /**< by get, read_at, readv_at, fetch */
    uint64_t bytes_written;          /**< by write_at, writev_at, copy_range, commit */
    uint64_t open_files;             /**< now */
    uint64_t open_dirs;              /**< now */
    uint64_t in_flight_max;          /**< most calls that were under way at once */
} vfs_counts_t;
/** Count the ops on `lower`.
 *  @param out  the shim
 *  @param lower  what it stands on
 *  @param pool  parent of the shim's pool
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); APR_ENOMEM.
 *  Threads: any. Blocks: no. Owns: end it with vfs_destroy; `lower` stays the caller's. */
VFS_API apr_status_t vfs_count_create(vfs_t **out, vfs_t *lower, apr_pool_t *pool);
/** What was counted since the last reset.
 *  @param shim  made by vfs_count_create
 *  @param out  receives the counts, read one after another
 *  Threads: any. Blocks: no. Owns: nothing. */
VFS_API void vfs_count_get(vfs_t *shim, vfs_counts_t *out);
/** Begin to count anew; what is open stays counted.
 *  @param shim  made by vfs_count_create
 *  Threads: any. Blocks: no. Owns: nothing. */
VFS_API void vfs_count_reset(vfs_t *shim);
/** What a remote would count as requests: all calls but close, closedir, unwatch, seekdir and
 * readdir.
 *  @param counts  from vfs_count_get
 *  @return their number. Threads: any. Blocks: no. Owns: nothing. */
VFS_API uint64_t vfs_counts_requests(const vfs_counts_t *counts);

/* ---- delay: a remote in a box */

/** How slow a delay shim is. Each op that a real remote answers over the wire costs one round trip:
 * open, get, read_at, write_at, stat, lstat, opendir (the first page), a further page of readdir,
 * each change, sync; close, seekdir and attributes that came with another answer cost none. Bytes
 * cost their number through bandwidth, on a link that all calls share. A wait ends early with the
 * context's deadline or cancellation. */
typedef struct vfs_delay_t {
    uint64_t rtt_us;           /**< a round trip, microseconds */
    uint64_t bytes_per_second; /**< 0: no limit */
    uint32_t readdir_page;     /**< entries in one page; 0: 1000 */
    uint32_t jitter_percent;   /**< of the round trip, 0 to 100, evenly spread */
    uint64_t seed;             /**< of the jitter */
} vfs_delay_t;
/** Make `lower` as slow as a remote.
 *  @param out  the shim
 *  @param lower  what it stands on
 *  @param how  how slow; copied
 *  @param pool  parent of the shim's pool
 *  @return APR_SUCCESS; APR_EINVAL (a NULL, jitter over 100); APR_ENOMEM.
 *  Threads: any. Blocks: no. Owns: end it with vfs_destroy; `lower` stays the caller's. */
VFS_API apr_status_t vfs_delay_create(vfs_t **out, vfs_t *lower, const vfs_delay_t *how,
                                      apr_pool_t *pool);
/** Change it while it runs; waits under way end as they began.
 *  @param shim  made by vfs_delay_create
 *  @param how  how slow from now on; copied
 *  @return APR_SUCCESS; APR_EINVAL (as vfs_delay_create).
 *  Threads: any. Blocks: no. Owns: nothing. */
VFS_API apr_status_t vfs_delay_set(vfs_t *shim, const vfs_delay_t *how);

/* ---- fault: makes calls fail */

/** What happens to a call that a rule chose. */
typedef enum vfs_fault_e {
    VFS_FAULT_ERROR = 0,  /**< answer `status`; the lower is not called */
    VFS_FAULT_SHORT_READ, /**< read_at, readv_at, fetch, get: an error after `bytes` bytes were put
                             into the buffer */
    VFS_FAULT_TORN_WRITE, /**< write_at, writev_at: the lower gets the first `bytes` bytes, the
                             caller an error that says so */
    VFS_FAULT_LOST_REPLY, /**< the lower does it all, the caller gets `status` */
    VFS_FAULT_BLOCK, /**< the call waits until vfs_fault_release, its deadline or cancellation; it
                        counts as injected, whatever comes of it */
    VFS_FAULT_FLIP   /**< read_at, readv_at, fetch, get: one bit of the answer is wrong */
} vfs_fault_e;
/** A rule: which calls, and what happens to them. Rules are tried in order; the first that applies
 * acts. */
typedef struct vfs_fault_t {
    vfs_fault_e what;    /**< what happens */
    apr_status_t status; /**< 0: EIO */
    uint64_t ops[2];     /**< bit (1 << op % 64) of word op / 64; all zero: every op but close,
                            closedir, unwatch that `what` can act on. A close that fails has closed
                            all the same */
    const char *glob;    /**< only paths that match (a handle has the path it was opened by); NULL:
                            all; copied. Of two paths either may match */
    uint64_t nth;        /**< begins with the nth matching call that no rule before took, from 1;
                            0: with the first */
    uint64_t times;      /**< how many matching calls in a row from then on; 0: for ever. "Only the
                            nth" is nth = n, times = 1 */
    double probability;  /**< of each matching call; 0 counts as 1 */
    size_t bytes;        /**< for SHORT_READ and TORN_WRITE */
} vfs_fault_t;
/** Let a rule apply to one more op: VFS_FAULT_OP(rule, VFS_OPID_read_at). */
#define VFS_FAULT_OP(fault, op) ((fault).ops[(op) / 64] |= 1ull << ((op) % 64))
/** Put a fault shim without rules on `lower`.
 *  @param out  the shim
 *  @param lower  what it stands on
 *  @param seed  decides what chance decides: the same seed and calls, the same faults
 *  @param pool  parent of the shim's pool
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); APR_ENOMEM.
 *  Threads: any. Blocks: no. Owns: end it with vfs_destroy; `lower` stays the caller's. */
VFS_API apr_status_t vfs_fault_create(vfs_t **out, vfs_t *lower, uint64_t seed, apr_pool_t *pool);
/** Add a rule behind those that there are.
 *  @param shim  made by vfs_fault_create
 *  @param fault  the rule; copied
 *  @return APR_SUCCESS; APR_EINVAL (a NULL, an unknown kind, an op that it cannot act on, an
 * empty glob, a probability outside 0 to 1); APR_ENOMEM. Threads: any. Blocks: no. Owns: copies the
 * rule. */
VFS_API apr_status_t vfs_fault_add(vfs_t *shim, const vfs_fault_t *fault);
/** Take all rules away. Blocked calls go on. Counters go back to 0.
 *  @param shim  made by vfs_fault_create
 *  Threads: any. Blocks: no. Owns: nothing. */
VFS_API void vfs_fault_clear(vfs_t *shim);
/** Let blocked calls go on, without taking rules away.
 *  @param shim  made by vfs_fault_create
 *  Threads: any. Blocks: no. Owns: nothing. */
VFS_API void vfs_fault_release(vfs_t *shim);
/** How many calls were made to fail so far.
 *  @param shim  made by vfs_fault_create
 *  @param passed  receives the calls that matched no rule or waited their turn; may be NULL
 *  @return the number since the shim was made or cleared. Threads: any. Blocks: no. Owns: nothing.
 */
VFS_API uint64_t vfs_fault_injected(vfs_t *shim, uint64_t *passed);
/** How many calls are blocked at this moment.
 *  @param shim  made by vfs_fault_create
 *  @return their number. Threads: any. Blocks: no. Owns: nothing. */
VFS_API uint64_t vfs_fault_blocked(vfs_t *shim);

/* ---- crash: keeps what was not synced aside, so that a power loss can be played */
/* Writes, truncates and namespace changes reach the lower at once (readers see them), and are noted
 * with what they replaced. vfs_sync of a file makes its bytes and size durable, and the name that
 * it was created under if that is new; vfs_sync_dir the names in a directory; vfs_sync_fs
 * everything. vfs_crash_now takes the lower to a state that a power loss could leave, and from then
 * on every call answers VFS_EOFFLINE until vfs_crash_restart. crash.c has the whole model. The
 * lower gets a hidden directory "/.vfs-crash"; whole-object commits are not offered. */

/** Which state a power loss leaves. */
typedef enum vfs_crash_e {
    VFS_CRASH_KEEP_ALL = 0,  /**< everything was written out in time */
    VFS_CRASH_DROP_UNSYNCED, /**< nothing that was not synced */
    VFS_CRASH_RANDOM, /**< each unsynced change stays or goes, by the seed; of one file's writes any
                         subset */
    VFS_CRASH_TEAR_LAST /**< all stay, but the last write only up to `tear_bytes` */
} vfs_crash_e;
/** Put a layer that can lose power on `lower`.
 *  @param out  the shim
 *  @param lower  what it stands on; nobody else may write to it
 *  @param pool  parent of the shim's pool
 *  @return APR_SUCCESS; APR_EINVAL (a NULL; a lower without VFS_CAP_STABLE_ID or VFS_CAP_HARDLINK);
 *  APR_ENOMEM.
 *  Threads: any. Blocks: no. Owns: end it with vfs_destroy; `lower` stays the caller's. */
VFS_API apr_status_t vfs_crash_create(vfs_t **out, vfs_t *lower, apr_pool_t *pool);
/** Lose power at the n-th changing or syncing call from now; it is not carried out. The lower stays
 * as it is then: vfs_crash_now chooses what of it survives; vfs_crash_restart without that keeps
 * all. An open counts if it has VFS_O_CREATE or VFS_O_TRUNC.
 *  @param shim  made by vfs_crash_create
 *  @param n  from 1; 0: never
 *  Threads: any. Blocks: no. Owns: nothing. */
VFS_API void vfs_crash_at(vfs_t *shim, uint64_t n);
/** How many changing and syncing calls came while power was on, the one included at which it went.
 *  @param shim  made by vfs_crash_create
 *  @return their number. Threads: any. Blocks: no. Owns: nothing. */
VFS_API uint64_t vfs_crash_ops(vfs_t *shim);
/** Lose power now; if it went already and nothing was chosen since, only choose.
 *  @param shim  made by vfs_crash_create
 *  @param how  which state it leaves
 *  @param seed  for VFS_CRASH_RANDOM: the same seed and calls, the same state
 *  @param tear_bytes  for VFS_CRASH_TEAR_LAST
 *  @return APR_SUCCESS; APR_EINVAL (an unknown `how`); APR_ENOMEM; what the lower said while being
 * taken back. Threads: any. Blocks: as the lower does. Owns: nothing. */
VFS_API apr_status_t vfs_crash_now(vfs_t *shim, vfs_crash_e how, uint64_t seed,
                                   uint64_t tear_bytes);
/** Power is back. Handles from before answer VFS_ESTALE; close them.
 *  @param shim  made by vfs_crash_create
 *  Threads: any. Blocks: no. Owns: nothing. */
VFS_API void vfs_crash_restart(vfs_t *shim);

/* ---- corfs: copy on read, as Go's absfs/corfs does it: for comparisons */

/** That library's own behaviour: every open and read goes to the primary. */
#define VFS_CORFS_EXACT 0x0u
/** What a user expects: served from the copy once that is complete and has the primary's size and
 * mtime; filled through a temporary file and a rename. */
#define VFS_CORFS_SERVE 0x1u
/** Copy what is read from `primary` to `copy`.
 *  @param out  the layer
 *  @param primary  where the files are
 *  @param copy  where their copies go
 *  @param flags  VFS_CORFS_EXACT or VFS_CORFS_SERVE
 *  @param pool  parent of the layer's pool
 *  @return APR_SUCCESS; APR_EINVAL (a NULL, an unknown flag); APR_ENOMEM.
 *  Threads: any. Blocks: no. Owns: end it with vfs_destroy; `primary` and `copy` stay the caller's.
 */
VFS_API apr_status_t vfs_corfs_create(vfs_t **out, vfs_t *primary, vfs_t *copy, uint32_t flags,
                                      apr_pool_t *pool);

#ifdef __cplusplus
}
#endif
#endif
