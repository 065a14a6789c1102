/**
 * @file
 * cachefs.h - the cache: a layer that keeps names, attributes and bytes of the layer below in
 * memory. Floor 2, public.
 *
 * A cache is a vfs_t like any other: use it through vfs.h. What is below is what only a cache can
 * do. Every function takes the vfs_t that cachefs_create made; with any other it answers
 * APR_EINVAL. Unless it says otherwise a function may be called from any thread at any time.
 */
#ifndef CACHEFS_CACHEFS_H
#define CACHEFS_CACHEFS_H

#include "metrics/metrics.h"
#include "vfs/vfs.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- configuration */

/** When a write returns. */
typedef enum cachefs_mode_e {
    CACHEFS_THROUGH = 0, /**< a write returns when the lower layer has it */
    CACHEFS_BACK,        /**< a write returns when the cache has it; it is flushed later */
    CACHEFS_AROUND       /**< a write goes below, the cached range is dropped */
} cachefs_mode_e;

/** What a flush does when the file changed below since the dirty data was based on it. */
typedef enum cachefs_conflict_e {
    CACHEFS_KEEP_BOTH = 0, /**< ours is written beside it as NAME.conflict-HOST-TIME */
    CACHEFS_OURS,          /**< ours wins */
    CACHEFS_THEIRS         /**< ours is thrown away */
} cachefs_conflict_e;

/** What a sync means in write-back with a store. */
typedef enum cachefs_fsync_e {
    CACHEFS_FSYNC_JOURNAL = 0, /**< the journal in the store is on stable storage */
    CACHEFS_FSYNC_REMOTE       /**< flushed to the lower layer, and that synced */
} cachefs_fsync_e;

/** What of the bytes that come from below is written to the store. */
typedef enum cachefs_l2_admit_e {
    CACHEFS_ADMIT_ALWAYS = 0, /**< all */
    CACHEFS_ADMIT_SAMPLED,    /**< l2_admit_percent of a hundred, by chance */
    CACHEFS_ADMIT_SECOND,     /**< what came a second time */
    CACHEFS_ADMIT_SKETCH      /**< all while there is room, then what came a second time */
} cachefs_l2_admit_e;

/** How bytes in a store are packed. */
typedef enum cachefs_l2_compress_e {
    CACHEFS_COMPRESS_NONE = 0, /**< as they are */
    CACHEFS_COMPRESS_ZSTD      /**< what gets smaller, by zstd, at l2_compress_level */
} cachefs_l2_compress_e;

/** Asked for memory, because it is short: called before the cache gives any back, with no lock
 * held.
 *  @param baton  pressure_baton of the configuration
 *  @param pressure  0 to 1: how short it is
 *  @param ram_used  bytes that the cache holds
 *  @param ram_max  bytes that it may hold */
typedef void (*cachefs_pressure_fn)(void *baton, double pressure, uint64_t ram_used,
                                    uint64_t ram_max);
/** Hears one line for each thing that an operator should know, on any thread, with no lock held.
 *  @param baton  log_baton of the configuration
 *  @param level  0 error, 1 warning, 2 note
 *  @param line  without a line end; valid during the call */
typedef void (*cachefs_log_fn)(void *baton, int level, const char *line);

/** How a cache shall be. Make it with CACHEFS_CONFIG_INIT and change what matters, by field or, in
 * text, by cachefs_config_set. The key of a field in text is its name without unit ("ram",
 * "attr_ttl"). */
typedef struct cachefs_config_t {
    size_t size;         /**< sizeof(cachefs_config_t) */
    cachefs_mode_e mode; /**< "mode": through, back, around */
    const char *policy;  /**< "policy": a name of policy.h */
    uint64_t ram_bytes;  /**< "ram": data and index together, hard; 1 MiB to 256 GiB. Beside it: the
                            index and the four write buffers (4 MiB) of a store */
    uint32_t shards;     /**< "shards": 1 to 1024, a power of two; 0: 32, of which several share a
                            lock and a policy where memory is small */
    uint32_t block_bytes; /**< "block_size": 0 adapts; else 4, 16, 64 or 256 KiB, but at most 16 KiB
                             below 4 MiB of ram, and 64 KiB below 32 MiB */
    uint64_t entries_max; /**< "entries_max": blocks resident; 0: as memory allows */
    uint64_t metadata_entries_max; /**< "metadata_entries_max": names, at least 16; 0: as a quarter
                                      of ram allows */
    uint32_t handles_max;   /**< "handles_max": open files and directories; then VFS_ELIMIT */
    uint32_t workers;       /**< "workers": threads for read-ahead and flushing, 1 to 256 */
    uint64_t pin_bytes_max; /**< "pin_bytes_max": borrowed or protected; 0: a quarter of ram */
    /* freshness */
    uint64_t attr_ttl_us;     /**< "attr_ttl" */
    uint64_t negative_ttl_us; /**< "negative_ttl" */
    uint64_t listing_ttl_us;  /**< "listing_ttl" */
    uint64_t data_ttl_us;     /**< "data_ttl": what the ttl and hybrid policies age by */
    int serve_stale; /**< "serve_stale": answer from the cache while the backend is unreachable */
    int watch;       /**< "watch": let the backend's change events invalidate */
    /* misses */
    uint64_t readahead_bytes;     /**< "readahead": most bytes ahead of one reader; 0: none */
    uint64_t readahead_bytes_max; /**< "readahead_max": of all readers together */
    uint32_t get_bytes; /**< "get_size": bytes that a cold open asks for in the same round trip */
    /* write-back */
    uint64_t dirty_bytes_max;   /**< "dirty_max"; 0: half of ram; at most three quarters */
    uint64_t flush_interval_us; /**< "flush_interval" */
    uint64_t
        dirty_age_us;   /**< "dirty_age": no dirty byte gets older while the lower layer answers */
    int flush_on_close; /**< "flush_on_close" */
    uint64_t retry_min_us;  /**< "retry_min" */
    uint64_t retry_max_us;  /**< "retry_max" */
    uint64_t write_wait_us; /**< "write_wait_max": how long a writer waits for room; 0: for ever */
    cachefs_conflict_e conflict; /**< "conflict": keep-both, ours, theirs */
    /* observation */
    int metrics;                  /**< "metrics": on or off */
    int heat;                     /**< "heat": note which blocks are read, for warming */
    cachefs_log_fn log;           /**< or NULL: nothing is logged */
    void *log_baton;              /**< handed to log */
    cachefs_pressure_fn pressure; /**< or NULL */
    void *pressure_baton;         /**< handed to pressure */
    int pressure_watch; /**< "pressure": give memory back when the control group or the machine is
                           short */
    const char
        *ttl_rules; /**< "ttl": "GLOB=DURATION,GLOB=DURATION": the first that matches counts */
    /* the store */
    vfs_t *store; /**< its root is a directory for this cache alone, where cached bytes outlive it;
                     NULL: none. It must outlive the cache, which does not end it */
    const char *store_name; /**< what messages call it, such as its directory; may be NULL */
    const char *origin;   /**< "origin": what the layer below is called, such as its URI: bytes in a
                             store are of one origin. Needed where that layer has no
                             VFS_CAP_STABLE_ID, or its root no time of birth; may be NULL */
    uint64_t store_bytes; /**< "store_bytes": of cached data in the store */
    uint64_t store_free_min; /**< "store_free_min": no segment is added with less free on its file
                                system; 0: a twentieth of it */
    cachefs_l2_admit_e l2_admit; /**< "l2_admit": what is written to the store */
    uint32_t l2_admit_percent;   /**< "l2_admit_percent": of CACHEFS_ADMIT_SAMPLED */
    uint64_t
        scrub_bytes_per_s;  /**< "scrub_rate": bytes of the store that are read in a second to
                               look for damage, all once an hour at most; 0, the default: none */
    uint64_t journal_bytes; /**< "journal_bytes": of the write-back journal in the store; a writer
                               that finds it full writes back what is oldest in it */
    cachefs_fsync_e fsync;  /**< "fsync": what a sync means in write-back with a store */
    cachefs_l2_compress_e l2_compress; /**< "l2_compress": how cached data in the store is packed;
                                          only what a program with libzstd has can be chosen */
    uint32_t l2_compress_level;        /**< "l2_compress_level": of CACHEFS_COMPRESS_ZSTD */
    uint32_t l2_promote; /**< "l2_promote": bytes of the store enter memory with that read of them;
                            those before are served, and leave memory as it is */
    int store_names; /**< "store_names": an end in order leaves names, absent ones and listings in
                        the store; the next start knows them, as old as they are by then. Not with
                        `watch` */
} cachefs_config_t;

/** The defaults: write-through, the policy `auto`, 256 MiB, 32 shards as its memory allows. */
#define CACHEFS_CONFIG_INIT                                                                        \
    {                                                                                              \
        .size = sizeof(cachefs_config_t), .mode = CACHEFS_THROUGH, .policy = "auto",               \
        .ram_bytes = 256u << 20, .shards = 0, .block_bytes = 0, .handles_max = 65536,              \
        .workers = 8, .attr_ttl_us = 1000000, .negative_ttl_us = 1000000,                          \
        .listing_ttl_us = 5000000, .data_ttl_us = 300000000, .readahead_bytes = 32u << 20,         \
        .readahead_bytes_max = 64u << 20, .get_bytes = 64u << 10, .flush_interval_us = 5000000,    \
        .dirty_age_us = 30000000, .flush_on_close = 1, .retry_min_us = 1000000,                    \
        .retry_max_us = 60000000, .metrics = 1, .store_bytes = 10ull << 30,                        \
        .l2_admit_percent = 50, .journal_bytes = 1ull << 30, .l2_compress_level = 1,               \
        .l2_promote = 1                                                                            \
    }

/** Set one key of a configuration from text: sizes as "512m" (1024-based; k, m, g, t), durations as
 * "5s" (us, ms, s, m, h), booleans as on or off.
 *  @param config  the configuration
 *  @param key  such as "ram"
 *  @param value  in text
 *  @param err  receives a sentence that names the key, the value and what would be accepted; may be
 * NULL
 *  @param errlen  bytes of err
 *  @param pool  gets a copy of a value that is a string
 *  @return APR_SUCCESS; APR_EINVAL (config is as it was); APR_ENOMEM.
 *  Threads: one for one config. Blocks: no. Owns: strings are copied to `pool`. */
VFS_API apr_status_t cachefs_config_set(cachefs_config_t *config, const char *key,
                                        const char *value, char *err, size_t errlen,
                                        apr_pool_t *pool);
/** What there is to know of a key. */
typedef struct cachefs_key_t {
    const char *name;    /**< such as "ram" */
    const char *kind;    /**< "size", "duration", "count", "flag", "choice", "text" */
    const char *help;    /**< a sentence about it */
    int online;          /**< cachefs_set can change it on a running cache */
    const char *initial; /**< its default */
} cachefs_key_t;
/** The i-th key, to go through all of them.
 *  @param i  from 0
 *  @return the key; NULL behind the last one; lives for ever. Threads: any. Blocks: no. Owns:
 * nothing. */
VFS_API const cachefs_key_t *cachefs_key_at(size_t i);
/** The value of a key in text, as cachefs_config_set takes it.
 *  @param config  the configuration
 *  @param key  such as "ram"
 *  @param buf  receives the text and a NUL
 *  @param size  bytes of buf
 *  @return APR_SUCCESS; APR_EINVAL (no such key, a NULL); ERANGE (buf is too small).
 *  Threads: one for one config. Blocks: no. Owns: fills `buf`. */
VFS_API apr_status_t cachefs_config_get(const cachefs_config_t *config, const char *key, char *buf,
                                        size_t size);

/* ---- life */

/** Put a cache on `lower`.
 *  @param out  the cache
 *  @param lower  what it stands on; may be a cache too
 *  @param config  NULL: all defaults; copied
 *  @param err  receives a sentence for the user on failure; may be NULL
 *  @param errlen  bytes of err
 *  @param pool  parent of the cache's own pool; no data comes from it
 *  @return APR_SUCCESS; APR_EINVAL (a NULL, a bad configuration, named in err); APR_ENOMEM; what
 * starting threads and vfs_watch (key "watch") say. Threads: any. Blocks: no. Owns: `lower` stays
 * the caller's and must outlive the cache. */
VFS_API apr_status_t cachefs_create(vfs_t **out, vfs_t *lower, const cachefs_config_t *config,
                                    char *err, size_t errlen, apr_pool_t *pool);

/** What happens to dirty data at the end. */
typedef enum cachefs_end_e {
    CACHEFS_END_WAIT = 0, /**< flush, and try again until all is clean or the time is over */
    CACHEFS_END_FAIL,     /**< do nothing if anything is dirty */
    CACHEFS_END_DISCARD,  /**< throw dirty data away */
    CACHEFS_END_KEEP      /**< leave it in the journal, and write it back at the next start; do
                             nothing if there is dirty data that the journal does not have */
} cachefs_end_e;
/** End a cache. vfs_destroy does it with CACHEFS_END_WAIT and 60 seconds.
 *  @param fs  the cache
 *  @param how  what happens to dirty data
 *  @param timeout_us  microseconds, for CACHEFS_END_WAIT; 0: for ever
 *  @param dirty_bytes  receives what was still dirty, with CACHEFS_END_KEEP what of it the journal
 * does not have; may be NULL
 *  @return APR_SUCCESS; APR_EINVAL (no cache, an unknown `how`); VFS_EDIRTY: dirty data is left,
 * and the cache still exists (call again); what the store says, if a journal that failed could not
 * be made void: the cache is gone, and the next start would write old bytes over newer ones.
 * Threads: one, as vfs_destroy. Blocks: up to the timeout. Owns: frees `fs` on success. */
VFS_API apr_status_t cachefs_destroy(vfs_t *fs, cachefs_end_e how, uint64_t timeout_us,
                                     uint64_t *dirty_bytes);
/** Is this a cache?
 *  @param fs  any file system; NULL is none
 *  @return 1 or 0. Threads: any. Blocks: no. Owns: nothing. */
VFS_API int cachefs_is(const vfs_t *fs);

/* ---- on line */

/** Change a key of a running cache.
 *  @param fs  the cache
 *  @param key  one that is `online`
 *  @param value  as in cachefs_config_set
 *  @param err  receives a sentence that names the key, the value and what would be accepted; may be
 * NULL
 *  @param errlen  bytes of err
 *  @return APR_SUCCESS; APR_EINVAL (no cache, an unknown key, not changeable, a bad value);
 * APR_ENOMEM. Threads: any. Blocks: no; a smaller limit holds for what comes: what is dirty or
 * pinned stays so. Owns: copies the value. */
VFS_API apr_status_t cachefs_set(vfs_t *fs, const char *key, const char *value, char *err,
                                 size_t errlen);
/** The value that a key has now, in text.
 *  @param fs  the cache
 *  @param key  such as "ram"
 *  @param buf  receives the text and a NUL
 *  @param size  bytes of buf
 *  @return APR_SUCCESS; APR_EINVAL (no cache, no such key, a NULL); ERANGE (buf is too small).
 *  Threads: any. Blocks: no. Owns: fills `buf`. */
VFS_API apr_status_t cachefs_get(vfs_t *fs, const char *key, char *buf, size_t size);

/** Make names and clean bytes of one path unreachable, so that the next use asks below. Dirty data
 * stays. Bytes in a store are forgotten where the cache knows the file; else its validator decides
 * about them.
 *  @param fs  the cache
 *  @param path  the file or directory
 *  @param count  receives the names and files that were affected; may be NULL
 *  @param dirty_kept  receives the bytes that stayed because they are dirty; may be NULL
 *  @return APR_SUCCESS; APR_EINVAL (no cache, a bad path); APR_ENOENT, APR_ENAMETOOLONG (a bad
 * path); APR_ENOMEM. Threads: any. Blocks: no. Owns: nothing. */
VFS_API apr_status_t cachefs_invalidate(vfs_t *fs, const char *path, uint64_t *count,
                                        uint64_t *dirty_kept);
/** Invalidate `path` and all below it, by whole components.
 *  @param fs  the cache
 *  @param path  the top; "/" for everything
 *  @param count  as in cachefs_invalidate
 *  @param dirty_kept  as in cachefs_invalidate
 *  @return as cachefs_invalidate. Threads: any. Blocks: no. Owns: nothing. */
VFS_API apr_status_t cachefs_invalidate_prefix(vfs_t *fs, const char *path, uint64_t *count,
                                               uint64_t *dirty_kept);
/** Invalidate all names that match a pattern of vfs_glob.
 *  @param fs  the cache
 *  @param pattern  the pattern
 *  @param count  as in cachefs_invalidate
 *  @param dirty_kept  as in cachefs_invalidate
 *  @return APR_SUCCESS (also with no match); APR_EINVAL (no cache, a relative or broken pattern);
 * APR_ENOMEM. Threads: any. Blocks: no. Owns: nothing. */
VFS_API apr_status_t cachefs_invalidate_glob(vfs_t *fs, const char *pattern, uint64_t *count,
                                             uint64_t *dirty_kept);
/** Drop everything that is clean, what is protected too: with a file's name its protection ends.
 * Bytes that somebody borrowed stay for him alone. What others bring meanwhile may stay.
 *  @param fs  the cache
 *  @param dirty_kept  receives the bytes that stayed because they are dirty; may be NULL
 *  @return APR_SUCCESS; APR_EINVAL (no cache). Threads: any. Blocks: no. Owns: nothing. */
VFS_API apr_status_t cachefs_clear(vfs_t *fs, uint64_t *dirty_kept);
/** Throw the dirty data of one file away, for good. Beside it only CACHEFS_END_DISCARD and
 * CACHEFS_THEIRS do.
 *  @param fs  the cache
 *  @param path  the file
 *  @param bytes  receives how much it was; may be NULL
 *  @return APR_SUCCESS; APR_EINVAL (no cache, a bad path); APR_ENOENT, APR_ENAMETOOLONG (a bad
 * path); APR_NOTFOUND (the cache holds no such file). Threads: any. Blocks: for a flush of this
 * file that is under way. Owns: nothing. */
VFS_API apr_status_t cachefs_discard(vfs_t *fs, const char *path, uint64_t *bytes);

/** Push dirty data below; of several files on `workers` threads where the lower layer takes its
 * time, so in no order.
 *  @param fs  the cache
 *  @param ctx  the context; may be NULL
 *  @param path  a file, a directory (all below it), or NULL for everything
 *  @param timeout_us  microseconds; 0: one attempt at each file; else try again until clean or the
 * time is over
 *  @return APR_SUCCESS (all of it is clean; also of what the cache does not know); APR_EINVAL (no
 * cache, a bad path); APR_ENOENT, APR_ENAMETOOLONG (a bad path); the first error; APR_TIMEUP (the
 * time or the deadline is over); VFS_ECANCELED. Threads: any. Blocks: as writing below does. Owns:
 * nothing. */
VFS_API apr_status_t cachefs_flush(vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                                   uint64_t timeout_us);

/** Bring bytes [off, off + len) of an open file into the cache. With priority LOW only free memory
 * is used. Else, where nothing can be evicted at the moment, dirty data is flushed, and memory that
 * other calls hold is waited for. What is in may be evicted again as anything else.
 *  @param file  a handle of this cache, open for reading
 *  @param ctx  the context, with the priority; may be NULL
 *  @param off  in bytes, not negative
 *  @param len  in bytes; 0: to the end of the file
 *  @param fetched  receives the bytes read from below or from the store; may be NULL
 *  @return APR_SUCCESS; APR_EINVAL (no handle of a cache, a bad range); APR_EBADF (not open for
 * reading); VFS_ELIMIT (LOW: no free memory; else: all of it is pinned, or dirty and cannot be
 * flushed); as vfs_read_at. Threads: any. Blocks: as reading below does, and as flushing does.
 * Owns: nothing. */
VFS_API apr_status_t cachefs_prefetch(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t off,
                                      apr_off_t len, uint64_t *fetched);
/** Bring a whole file in: one `get` where it is small.
 *  @param fs  the cache
 *  @param ctx  the context, with the priority; may be NULL
 *  @param path  the file
 *  @param bytes  receives its size; may be NULL
 *  @param fetched  receives the bytes read from below or from the store; may be NULL
 *  @return APR_SUCCESS; APR_EINVAL (no cache, neither file nor directory); EISDIR; as vfs_open and
 * cachefs_prefetch.
 *  Threads: any. Blocks: as reading below does. Owns: nothing. */
VFS_API apr_status_t cachefs_prefetch_path(vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                                           uint64_t *bytes, uint64_t *fetched);
/** Protect the cached blocks of a file, and those that come later, from eviction, or stop it. Its
 * name stays with them. Not from invalidation: what comes again is protected again.
 *  @param fs  the cache
 *  @param path  the file
 *  @param pinned  1: protect; 0: stop
 *  @return APR_SUCCESS; APR_EINVAL (no cache, a bad path); APR_ENOENT, APR_ENAMETOOLONG (a bad
 * path); APR_NOTFOUND (not cached); VFS_ELIMIT (pin_bytes_max: not all of it is protected; what is
 * stays so until it is told to stop). Threads: any. Blocks: no. Owns: nothing. */
VFS_API apr_status_t cachefs_pin(vfs_t *fs, const char *path, int pinned);

/* ---- batches: many paths in one call. Names are looked up with the lock of each shard taken once
 * for 1024 paths; what a look without a lock tells takes none. */

/** What the cache holds of one path. */
typedef struct cachefs_entry_t {
    apr_status_t status;   /**< APR_SUCCESS, APR_NOTFOUND (not cached); APR_EINVAL, APR_ENOENT,
                              APR_ENAMETOOLONG (a bad path) */
    uint64_t size;         /**< of the file */
    uint64_t resident;     /**< bytes in memory */
    uint64_t dirty;        /**< bytes not flushed */
    uint64_t dirty_age_us; /**< since the file was clean, microseconds */
    int negative;          /**< known to be absent */
    int fresh;             /**< within its TTL */
    int pinned;            /**< protected from eviction */
} cachefs_entry_t;
/** What the cache holds of one path. Nothing is asked below.
 *  @param fs  the cache
 *  @param path  the path
 *  @param out  receives it
 *  @return APR_SUCCESS; APR_EINVAL (no cache, a NULL); else out->status.
 *  Threads: any. Blocks: no. Owns: nothing. */
VFS_API apr_status_t cachefs_entry(vfs_t *fs, const char *path, cachefs_entry_t *out);
/** What the cache holds of many paths.
 *  @param fs  the cache
 *  @param paths  the paths
 *  @param count  how many
 *  @param out  receives one for each, with a status of its own
 *  @return APR_SUCCESS; APR_EINVAL (no cache, a NULL); APR_ENOMEM. Threads: any. Blocks: no. Owns:
 * nothing. */
VFS_API apr_status_t cachefs_entries(vfs_t *fs, const char *const *paths, size_t count,
                                     cachefs_entry_t *out);
/** How much the disk tier has of many files, in the version that the stack shows. Nothing is asked
 * below, and nothing read: what counts is what it could find. It has nothing of a file that is
 * dirty, and nothing is known of one that the cache does not know; of a file of over 16 GiB the
 * first 16 GiB are looked at. Links are followed where that is cached.
 *  @param fs  the cache
 *  @param paths  the files
 *  @param count  how many
 *  @param bytes  receives one number for each; 0: nothing, also of a path that is bad
 *  @return APR_SUCCESS; APR_EINVAL (no cache, a NULL). Threads: any. Blocks: no. Owns: nothing. */
VFS_API apr_status_t cachefs_stored(vfs_t *fs, const char *const *paths, size_t count,
                                    uint64_t *bytes);
/** Invalidate many paths: see cachefs_invalidate.
 *  @param fs  the cache
 *  @param paths  the paths
 *  @param count  how many
 *  @param affected  receives the names and files that were affected; may be NULL
 *  @param dirty_kept  as in cachefs_invalidate
 *  @return APR_SUCCESS; APR_EINVAL (no cache, a NULL); the first error of a path, with the others
 * done; APR_ENOMEM. Threads: any. Blocks: no. Owns: nothing. */
VFS_API apr_status_t cachefs_invalidate_batch(vfs_t *fs, const char *const *paths, size_t count,
                                              uint64_t *affected, uint64_t *dirty_kept);
/** Push the dirty data of many files below: one attempt at each, on `workers` threads where the
 * lower layer takes its time, so in no order. What is not cached is clean.
 *  @param fs  the cache
 *  @param ctx  the context; may be NULL
 *  @param paths  the files
 *  @param count  how many
 *  @param status  receives one for each path; may be NULL
 *  @return APR_SUCCESS; APR_EINVAL (no cache, a NULL); the first error of a path, with the others
 * done; APR_ENOMEM. Threads: any. Blocks: as writing below does. Owns: nothing. */
VFS_API apr_status_t cachefs_flush_batch(vfs_t *fs, const vfs_ctx_t *ctx, const char *const *paths,
                                         size_t count, apr_status_t *status);
/** Bring many whole files in, on `workers` threads: see cachefs_prefetch_path. Those that are in
 * memory under a fresh name are passed over before any thread is asked.
 *  @param fs  the cache
 *  @param ctx  the context, with the priority; may be NULL
 *  @param paths  the files
 *  @param count  how many
 *  @param status  receives one for each path; may be NULL
 *  @return APR_SUCCESS; APR_EINVAL (no cache, a NULL); the first error of a path, with the others
 * done; APR_ENOMEM. Threads: any. Blocks: until all are done. Owns: nothing. */
VFS_API apr_status_t cachefs_prefetch_batch(vfs_t *fs, const vfs_ctx_t *ctx,
                                            const char *const *paths, size_t count,
                                            apr_status_t *status);

/* ---- borrowed bytes */

/** Bytes that are borrowed from the cache. */
typedef struct cachefs_ref_t cachefs_ref_t;
/** Read without a copy: `iov` points at cached bytes until cachefs_ref_release. They are a version
 * of their own: later writes do not show in them. What is dirty is copied once, within the cache's
 * memory. Blocks that are borrowed count against pin_bytes_max, of which a thread may keep a 64th
 * for the next time.
 *  @param ref  receives what is borrowed
 *  @param file  a handle of this cache, open for reading
 *  @param ctx  the context; may be NULL
 *  @param len  in bytes
 *  @param off  in bytes, not negative
 *  @param iov  receives at most *count pieces
 *  @param count  their number: room in `iov` before the call, pieces after it
 *  @param got  receives the bytes in them: fewer than len at the end of file or when iov is full
 *  @return APR_SUCCESS; APR_EINVAL (no handle of a cache, no room, a NULL); APR_EBADF (not open for
 * reading); APR_ENOMEM; VFS_ELIMIT (pin_bytes_max, or the cache cannot hold the bytes); as
 * vfs_read_at. Threads: any. Blocks: as vfs_read_at. Owns: give it back with cachefs_ref_release.
 */
VFS_API apr_status_t cachefs_read_ref(cachefs_ref_t **ref, vfs_file_t *file, const vfs_ctx_t *ctx,
                                      size_t len, apr_off_t off, vfs_iovec_t *iov, size_t *count,
                                      size_t *got);
/** Give borrowed bytes back; their pieces must not be read any more.
 *  @param ref  may be NULL
 *  Threads: any. Blocks: no. Owns: frees it. */
VFS_API void cachefs_ref_release(cachefs_ref_t *ref);

/* ---- what it did */

/** What a cache did since it was made or cachefs_stats_reset, and what it holds now. Numbers are
 * read one after another. */
typedef struct cachefs_stats_t {
    size_t size;                  /**< sizeof(cachefs_stats_t): set it before the call */
    uint64_t hits;                /**< read calls served wholly from memory */
    uint64_t misses;              /**< other read calls */
    uint64_t hit_bytes;           /**< bytes of read calls that were in memory when asked for */
    uint64_t miss_bytes;          /**< bytes of read calls that were not */
    uint64_t attr_hits;           /**< attributes answered from the cache */
    uint64_t attr_misses;         /**< attributes asked below */
    uint64_t negative_hits;       /**< answered from the cache: there is no such name */
    uint64_t listing_hits;        /**< directories listed from the cache */
    uint64_t listing_misses;      /**< directories listed below */
    uint64_t reads;               /**< read calls */
    uint64_t writes;              /**< write calls */
    uint64_t opens;               /**< open calls */
    uint64_t backend_reads;       /**< reads of the lower layer */
    uint64_t backend_read_bytes;  /**< bytes that they brought */
    uint64_t backend_writes;      /**< writes to the lower layer */
    uint64_t backend_write_bytes; /**< bytes that they took */
    uint64_t backend_calls; /**< calls of the lower layer, but closing, pages of a listing, locks */
    uint64_t evictions;     /**< blocks that made room for others */
    uint64_t evicted_bytes; /**< memory that they freed */
    uint64_t metadata_evictions; /**< names that made room for others */
    uint64_t invalidations;   /**< files and directories made to ask again: by calls, by commits and
                                 by events that were lost */
    uint64_t flushes;         /**< files whose dirty data went below */
    uint64_t flush_errors;    /**< attempts that failed */
    uint64_t flush_retries;   /**< attempts after one that failed */
    uint64_t conflicts;       /**< flushes that met a file that somebody else had changed */
    uint64_t readahead_bytes; /**< brought before they were asked for */
    uint64_t readahead_wasted_bytes; /**< of these, memory of blocks that were evicted unread */
    uint64_t single_flight_waits;    /**< waits for another call on the same range or path */
    uint64_t revalidations;          /**< questions whether a version is still the one */
    uint64_t stale_served; /**< answers from the cache while the backend was unreachable */
    /* now */
    uint64_t ram_used;            /**< bytes of the arena in use */
    uint64_t ram_max;             /**< bytes of the arena */
    uint64_t resident_bytes;      /**< memory of blocks: data, listings, texts of links */
    uint64_t blocks;              /**< in memory */
    uint64_t names;               /**< nodes */
    uint64_t files;               /**< file objects */
    uint64_t open_handles;        /**< files and directories */
    uint64_t dirty_bytes;         /**< not flushed */
    uint64_t dirty_files;         /**< files with such bytes */
    uint64_t oldest_dirty_age_us; /**< since the oldest dirty file was clean, microseconds */
    uint64_t pinned_bytes;        /**< borrowed or protected */
    /* the disk tier; 0 without one */
    uint64_t l2_hits;          /**< pieces of at most 64 KiB read from the store */
    uint64_t l2_misses;        /**< reads of it that failed, after all: they went below */
    uint64_t l2_hit_bytes;     /**< bytes read from the store instead of below */
    uint64_t l2_put_bytes;     /**< bytes taken in */
    uint64_t l2_written_bytes; /**< bytes written to the store, all told; over l2_put_bytes this is
                                  the write amplification */
    uint64_t l2_bytes;         /**< now: of its segments */
    uint64_t l2_index_bytes;   /**< now: memory of its index, which `ram` does not count */
    uint64_t l2_bad;           /**< records that were not what they should be */
    uint64_t l2_errors;        /**< calls to the store that failed, or took too long */
    uint64_t compacted_bytes;  /**< memory of blocks that moved, to make room of another size */
    /* the journal; 0 without one */
    uint64_t journal_bytes;  /**< now: of its files and buffers */
    uint64_t journal_max;    /**< what they may come to */
    uint64_t journal_failed; /**< now, 1: its disk failed; 2: and it is void: see durability.md */
    uint64_t recovering;     /**< now, 1: the recovery goes on behind the cache */
    uint64_t recovery_lost;  /**< acknowledged records that the start could not read */
    /* write-back */
    uint64_t retrying_files; /**< now: dirty files whose last flush failed, and is tried again */
    uint64_t retry_error;    /**< now: the apr_status_t of the last of those flushes; 0: none */
} cachefs_stats_t;
/** What the cache did.
 *  @param fs  the cache
 *  @param out  receives it; its `size` must be set; of a smaller struct only what it has is filled
 *  @return APR_SUCCESS; APR_EINVAL (no cache, a NULL, no size). Threads: any. Blocks: no. Owns:
 * nothing. */
VFS_API apr_status_t cachefs_stats(vfs_t *fs, cachefs_stats_t *out);
/** A file with dirty data. */
typedef struct cachefs_dirty_t {
    size_t size;        /**< sizeof(cachefs_dirty_t) of the library */
    const char *path;   /**< one of its names; NULL: it has none */
    uint64_t bytes;     /**< not flushed */
    uint64_t age_us;    /**< since it was clean, microseconds */
    apr_status_t error; /**< of its last flush; APR_SUCCESS: that did not fail, or there was none */
    uint64_t retry_us;  /**< until it is tried again, microseconds; 0: it is not, or at once */
} cachefs_dirty_t;
/** Hears of a file; called with no lock held.
 *  @param baton  as given to cachefs_dirty_files
 *  @param file  valid during the call, as is its path */
typedef void (*cachefs_dirty_fn)(void *baton, const cachefs_dirty_t *file);
/** Hear of the files with dirty data, the oldest first.
 *  @param fs  the cache
 *  @param max  of so many at most
 *  @param fn  hears of each
 *  @param baton  handed to `fn`
 *  @return APR_SUCCESS; APR_EINVAL (no cache, no `fn`); APR_ENOMEM. Threads: any. Blocks: no. Owns:
 * nothing. */
VFS_API apr_status_t cachefs_dirty_files(vfs_t *fs, size_t max, cachefs_dirty_fn fn, void *baton);
/** How many names and blocks each shard holds.
 *  @param fs  the cache
 *  @param names  receives one number for each shard; may be NULL
 *  @param blocks  receives one number for each shard; may be NULL
 *  @param count  must be the number of shards, by default 32
 *  @return APR_SUCCESS; APR_EINVAL (no cache, another count). Threads: any. Blocks: no. Owns:
 * nothing. */
VFS_API apr_status_t cachefs_shard_stats(vfs_t *fs, uint64_t *names, uint64_t *blocks,
                                         size_t count);
/** The metrics of this cache.
 *  @param fs  the cache
 *  @return its registry; NULL if it is no cache. Threads: any. Blocks: no. Owns: lives as long as
 * the cache. */
VFS_API metrics_registry_t *cachefs_metrics(vfs_t *fs);
/** Set the counters to zero, those of the metrics too; what is held now stays.
 *  @param fs  the cache
 *  @return APR_SUCCESS; APR_EINVAL (no cache). Threads: any. Blocks: no. Owns: nothing. */
VFS_API apr_status_t cachefs_stats_reset(vfs_t *fs);

/** Hears of a read call that brought bytes (key "heat" on): called on the reader's thread, with no
 * lock held.
 *  @param baton  as given to cachefs_on_heat
 *  @param path  the file, by the name that it was last opened by or renamed to; valid during the
 * call
 *  @param off,len  what was read of it, in bytes
 *  @param hit  1: all of it was in memory; 0: perhaps not all */
typedef void (*cachefs_heat_fn)(void *baton, const char *path, apr_off_t off, size_t len, int hit);
/** Hear of each read call, for recorders. There is one listener: a further call replaces
 * it. A read that is under way may still call the earlier one after that, with its baton. A few
 * bytes for each new pair of `fn` and `baton` are kept until the cache ends.
 *  @param fs  the cache
 *  @param fn  hears of each read call; NULL: nobody does
 *  @param baton  handed to `fn`; must live as long as the cache
 *  @return APR_SUCCESS; APR_EINVAL (no cache); APR_ENOMEM (the earlier listener stays). Threads:
 * any. Blocks: no. Owns: nothing. */
VFS_API apr_status_t cachefs_on_heat(vfs_t *fs, cachefs_heat_fn fn, void *baton);

#ifdef __cplusplus
}
#endif
#endif
