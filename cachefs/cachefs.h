/*
 * cachefs.h - the cache: a layer that keeps names, attributes and bytes of the layer below in memory.
 * Floor 2, public.
 *
 * A cache is a vfs_t like any other: use it through vfs.h. What is below is what only a cache can do. Every
 * function takes the vfs_t that cachefs_create made; with any other it answers APR_EINVAL.
 * Unless it says otherwise a function may be called from any thread at any time.
 */
#ifndef CACHEFS_CACHEFS_H
#define CACHEFS_CACHEFS_H

#include "metrics/metrics.h"
#include "vfs/vfs.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- configuration ----------------------------------------------------------------------------- */

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

/** Asked for memory: `wanted` bytes should go. Returns how many the program could spare itself. */
typedef void (*cachefs_pressure_fn)(void *baton, double pressure, uint64_t ram_used, uint64_t ram_max);
/** Hears one line for each thing that an operator should know. level: 0 error, 1 warning, 2 note. */
typedef void (*cachefs_log_fn)(void *baton, int level, const char *line);

/** How a cache shall be. Make it with CACHEFS_CONFIG_INIT and change what matters, by field or, in text, by
 *  cachefs_config_set. The key of a field in text is its name without unit ("ram", "attr_ttl"). */
typedef struct cachefs_config_t {
    size_t size;                  /**< sizeof(cachefs_config_t) */
    cachefs_mode_e mode;          /**< "mode": through, back, around */
    const char *policy;           /**< "policy": a name of policy.h */
    uint64_t ram_bytes;           /**< "ram": data and index together, hard; at least 1 MiB */
    uint32_t shards;              /**< "shards": 1 to 1024, a power of two */
    uint32_t block_bytes;         /**< "block_size": 0 adapts; else 4, 16, 64 or 256 KiB */
    uint64_t entries_max;         /**< "entries_max": blocks resident; 0: as memory allows */
    uint64_t metadata_entries_max; /**< "metadata_entries_max": names; 0: as a quarter of ram allows */
    uint32_t handles_max;         /**< "handles_max": open files and directories; then VFS_ELIMIT */
    uint32_t workers;             /**< "workers": threads for read-ahead and flushing, 1 to 256 */
    uint64_t pin_bytes_max;       /**< "pin_bytes_max": borrowed or protected; 0: a quarter of ram */
    /* freshness */
    uint64_t attr_ttl_us;     /**< "attr_ttl" */
    uint64_t negative_ttl_us; /**< "negative_ttl" */
    uint64_t listing_ttl_us;  /**< "listing_ttl" */
    uint64_t data_ttl_us;     /**< "data_ttl": what the ttl and hybrid policies age by */
    int serve_stale;          /**< "serve_stale": answer from the cache while the backend is unreachable */
    int watch;                /**< "watch": let the backend's change events invalidate */
    /* misses */
    uint64_t readahead_bytes;     /**< "readahead": most bytes ahead of one reader; 0: none */
    uint64_t readahead_bytes_max; /**< "readahead_max": of all readers together */
    uint32_t get_bytes;           /**< "get_size": bytes that a cold open asks for in the same round trip */
    /* write-back */
    uint64_t dirty_bytes_max;   /**< "dirty_max"; 0: half of ram */
    uint64_t flush_interval_us; /**< "flush_interval" */
    uint64_t dirty_age_us;      /**< "dirty_age": no dirty byte gets older while the lower layer answers */
    int flush_on_close;         /**< "flush_on_close" */
    uint64_t retry_min_us;      /**< "retry_min" */
    uint64_t retry_max_us;      /**< "retry_max" */
    uint64_t write_wait_us;     /**< "write_wait_max": how long a writer waits for room; 0: for ever */
    cachefs_conflict_e conflict; /**< "conflict": keep-both, ours, theirs */
    /* observation */
    int metrics;          /**< "metrics": on or off */
    int heat;             /**< "heat": note which blocks are read, for warming */
    cachefs_log_fn log;   /**< or NULL: nothing is logged */
    void *log_baton;
    cachefs_pressure_fn pressure; /**< or NULL */
    void *pressure_baton;
    int pressure_watch; /**< "pressure": give memory back when the control group or the machine is short */
    const char *ttl_rules; /**< "ttl": "GLOB=DURATION,GLOB=DURATION": the first that matches counts */
} cachefs_config_t;

#define CACHEFS_CONFIG_INIT                                                                        \
    {                                                                                              \
        .size = sizeof(cachefs_config_t), .mode = CACHEFS_THROUGH, .policy = "lru",                \
        .ram_bytes = 256u << 20, .shards = 32, .block_bytes = 0, .handles_max = 65536,             \
        .workers = 8, .attr_ttl_us = 1000000, .negative_ttl_us = 1000000,                          \
        .listing_ttl_us = 5000000, .data_ttl_us = 300000000, .readahead_bytes = 4u << 20,          \
        .readahead_bytes_max = 32u << 20, .get_bytes = 64u << 10, .flush_interval_us = 5000000,    \
        .dirty_age_us = 30000000, .flush_on_close = 1, .retry_min_us = 1000000,                    \
        .retry_max_us = 60000000, .metrics = 1                                                     \
    }

/** Set one key of a configuration from text: sizes as "512m" (1024-based; k, m, g, t), durations as "5s"
 *  (us, ms, s, m, h), booleans as on or off.
 *  @param err receives a sentence that names the key, the value and what would be accepted; may be NULL
 *  @return APR_SUCCESS; APR_EINVAL (config is as it was). Threads: one for one config. Blocks: no.
 *  Owns: strings are copied to `pool`. */
VFS_API apr_status_t cachefs_config_set(cachefs_config_t *config, const char *key, const char *value,
                                        char *err, size_t errlen, apr_pool_t *pool);
/** The i-th key, with its default and a sentence about it; NULL behind the last one. */
typedef struct cachefs_key_t {
    const char *name;
    const char *kind; /**< "size", "duration", "count", "flag", "choice", "text" */
    const char *help;
    int online; /**< cachefs_set can change it on a running cache */
    const char *initial; /**< its default */
} cachefs_key_t;
VFS_API const cachefs_key_t *cachefs_key_at(size_t i);
/** The value of a key in text, as cachefs_config_set takes it. APR_EINVAL: no such key. ERANGE: buf is too small. */
VFS_API apr_status_t cachefs_config_get(const cachefs_config_t *config, const char *key, char *buf,
                                        size_t size);

/* ---- life ----------------------------------------------------------------------------------------- */

/** Put a cache on `lower`.
 *  @param config  NULL: all defaults; copied  @param err  a sentence on failure; may be NULL
 *  @return APR_SUCCESS; APR_EINVAL (a bad configuration, named in err); APR_ENOMEM; what starting threads says.
 *  Threads: any. Blocks: no. Owns: `lower` stays the caller's and must outlive the cache. */
VFS_API apr_status_t cachefs_create(vfs_t **out, vfs_t *lower, const cachefs_config_t *config,
                                    char *err, size_t errlen, apr_pool_t *pool);

typedef enum cachefs_end_e {
    CACHEFS_END_WAIT = 0, /**< flush, and try again until all is clean or the time is over */
    CACHEFS_END_FAIL,     /**< do nothing if anything is dirty */
    CACHEFS_END_DISCARD   /**< throw dirty data away */
} cachefs_end_e;
/** End a cache. vfs_destroy does it with CACHEFS_END_WAIT and 60 seconds.
 *  @param timeout_us  for CACHEFS_END_WAIT; 0: for ever   @param dirty_bytes  what was still dirty; may be NULL
 *  @return APR_SUCCESS; VFS_EDIRTY: dirty data is left, and the cache still exists (call again). Threads: one, as
 *  vfs_destroy. Blocks: up to the timeout. Owns: frees `fs` on success. */
VFS_API apr_status_t cachefs_destroy(vfs_t *fs, cachefs_end_e how, uint64_t timeout_us,
                                     uint64_t *dirty_bytes);
/** Is this a cache? */
VFS_API int cachefs_is(const vfs_t *fs);

/* ---- on line ------------------------------------------------------------------------------------------ */

/** Change a key of a running cache. @return APR_SUCCESS; APR_EINVAL (unknown, not changeable, bad value: see err). */
VFS_API apr_status_t cachefs_set(vfs_t *fs, const char *key, const char *value, char *err,
                                 size_t errlen);
/** The value that a key has now. */
VFS_API apr_status_t cachefs_get(vfs_t *fs, const char *key, char *buf, size_t size);

/** Make names and clean bytes unreachable, so that the next use asks below. Dirty data stays, and counts in
 *  *dirty_kept. @param count names and files that were affected; may be NULL, as dirty_kept may
 *  @return APR_SUCCESS; APR_EINVAL (a bad path or pattern). Blocks: no. */
VFS_API apr_status_t cachefs_invalidate(vfs_t *fs, const char *path, uint64_t *count,
                                        uint64_t *dirty_kept);
/** The same for `path` and all below it, by whole components. */
VFS_API apr_status_t cachefs_invalidate_prefix(vfs_t *fs, const char *path, uint64_t *count,
                                               uint64_t *dirty_kept);
/** The same for all names that match a pattern of vfs_glob. */
VFS_API apr_status_t cachefs_invalidate_glob(vfs_t *fs, const char *pattern, uint64_t *count,
                                             uint64_t *dirty_kept);
/** Drop everything that is clean. */
VFS_API apr_status_t cachefs_clear(vfs_t *fs, uint64_t *dirty_kept);
/** Throw the dirty data of one file away, for good: the only call that does. @param bytes how much it was */
VFS_API apr_status_t cachefs_discard(vfs_t *fs, const char *path, uint64_t *bytes);

/** Push dirty data below. @param path  a file, a directory (all below it), or NULL for everything
 *  @param timeout_us  0: one attempt at each file; else try again until clean or the time is over
 *  @return APR_SUCCESS (all of it is clean); the first error; APR_TIMEUP. */
VFS_API apr_status_t cachefs_flush(vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                                   uint64_t timeout_us);

/** Bring bytes [off, off + len) of an open file into the cache; len 0: to its end. *fetched receives the bytes read
 *  from below. With priority LOW only free memory is used. */
VFS_API apr_status_t cachefs_prefetch(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t off,
                                      apr_off_t len, uint64_t *fetched);
/** Bring a whole file in: one `get` where it is small. *bytes receives its size, *fetched what was read below. */
VFS_API apr_status_t cachefs_prefetch_path(vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                                           uint64_t *bytes, uint64_t *fetched);
/** Protect the cached blocks of a file from eviction (up to pin_bytes_max, then VFS_ELIMIT), or stop it. */
VFS_API apr_status_t cachefs_pin(vfs_t *fs, const char *path, int pinned);

/* ---- batches: each shard's lock is taken once --------------------------------------------------------- */

/** What the cache holds of one path. */
typedef struct cachefs_entry_t {
    apr_status_t status;  /**< APR_SUCCESS, APR_NOTFOUND (not cached), APR_EINVAL (a bad path) */
    uint64_t size;        /**< of the file */
    uint64_t resident;    /**< bytes in memory */
    uint64_t dirty;       /**< bytes not flushed */
    uint64_t dirty_age_us;
    int negative;         /**< known to be absent */
    int fresh;            /**< within its TTL */
    int pinned;
} cachefs_entry_t;
VFS_API apr_status_t cachefs_entry(vfs_t *fs, const char *path, cachefs_entry_t *out);
VFS_API apr_status_t cachefs_entries(vfs_t *fs, const char *const *paths, size_t count,
                                     cachefs_entry_t *out);
VFS_API apr_status_t cachefs_invalidate_batch(vfs_t *fs, const char *const *paths, size_t count,
                                              uint64_t *affected, uint64_t *dirty_kept);
/** @param status receives one for each path; may be NULL. Returns the first error. */
VFS_API apr_status_t cachefs_flush_batch(vfs_t *fs, const vfs_ctx_t *ctx, const char *const *paths,
                                         size_t count, apr_status_t *status);
/** On `workers` threads. */
VFS_API apr_status_t cachefs_prefetch_batch(vfs_t *fs, const vfs_ctx_t *ctx,
                                            const char *const *paths, size_t count,
                                            apr_status_t *status);

/* ---- borrowed bytes ---------------------------------------------------------------------------------------- */

typedef struct cachefs_ref_t cachefs_ref_t;
/** Read without a copy: `iov` points at cached bytes until cachefs_ref_release. They are a version of their own: later
 *  writes do not show in them. Blocks that are borrowed count against pin_bytes_max, then VFS_ELIMIT.
 *  @param iov  receives at most *count pieces; *count receives how many  @param got bytes in them: fewer than len at
 *  the end of file or when iov is full
 *  @return APR_SUCCESS; VFS_ELIMIT; APR_EINVAL; as vfs_read_at. */
VFS_API apr_status_t cachefs_read_ref(cachefs_ref_t **ref, vfs_file_t *file, const vfs_ctx_t *ctx,
                                      size_t len, apr_off_t off, vfs_iovec_t *iov, size_t *count,
                                      size_t *got);
VFS_API void cachefs_ref_release(cachefs_ref_t *ref);

/* ---- what it did ---------------------------------------------------------------------------------------------- */

typedef struct cachefs_stats_t {
    size_t size; /**< sizeof(cachefs_stats_t): set it before the call */
    uint64_t hits, misses;             /**< read calls served wholly from memory; others */
    uint64_t hit_bytes, miss_bytes;    /**< bytes of read calls by where they were when asked for */
    uint64_t attr_hits, attr_misses, negative_hits, listing_hits, listing_misses;
    uint64_t reads, writes, opens;     /**< calls */
    uint64_t backend_reads, backend_read_bytes, backend_writes, backend_write_bytes;
    uint64_t backend_calls;            /**< of any kind */
    uint64_t evictions, evicted_bytes, metadata_evictions, invalidations;
    uint64_t flushes, flush_errors, flush_retries, conflicts;
    uint64_t readahead_bytes, readahead_wasted_bytes, single_flight_waits, revalidations, stale_served;
    uint64_t checksum_errors;
    /* now */
    uint64_t ram_used, ram_max;        /**< bytes of the arena */
    uint64_t resident_bytes;           /**< of file data */
    uint64_t blocks, names, files, open_handles;
    uint64_t dirty_bytes, dirty_files, oldest_dirty_age_us;
    uint64_t pinned_bytes;
} cachefs_stats_t;
VFS_API apr_status_t cachefs_stats(vfs_t *fs, cachefs_stats_t *out);
/** How many names and blocks each shard holds. `count` must be the number of shards. */
VFS_API apr_status_t cachefs_shard_stats(vfs_t *fs, uint64_t *names, uint64_t *blocks, size_t count);
/** The metrics of this cache. NULL if it is none. Lives as long as the cache. */
VFS_API metrics_registry_t *cachefs_metrics(vfs_t *fs);
/** Set the counters to zero. */
VFS_API apr_status_t cachefs_stats_reset(vfs_t *fs);

/** Hear of each block that is read (key "heat" on), for recorders: called on the reader's thread, at most once a
 *  block and pass. */
typedef void (*cachefs_heat_fn)(void *baton, const char *path, apr_off_t off, size_t len, int hit);
VFS_API apr_status_t cachefs_on_heat(vfs_t *fs, cachefs_heat_fn fn, void *baton);

#ifdef __cplusplus
}
#endif
#endif
