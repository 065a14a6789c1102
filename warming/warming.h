/**
 * @file
 * warming.h - fills a cache on purpose: from paths, a list file, a glob, a tree or a heat log.
 * Floor 3, public. Drives the cache through cachefs.h alone.
 */
#ifndef WARMING_WARMING_H
#define WARMING_WARMING_H

#include "cachefs/cachefs.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- plans */

/** A list of things to warm, in order. Lives in the pool that it was made from. */
typedef struct warm_plan_t warm_plan_t;

/** Make an empty plan.
 *  @param out  the plan
 *  @param pool  where it lives
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); APR_ENOMEM.
 *  Threads: one for one plan, until a job has it. Blocks: no. Owns: in `pool`. */
VFS_API apr_status_t warm_plan_create(warm_plan_t **out, apr_pool_t *pool);
/** Add paths of the stack, in the order given. A relative one counts from the root.
 *  @param plan  the plan
 *  @param paths  the paths; copied
 *  @param count  how many
 *  @param err  receives a sentence that names the path and what is wrong with it; may be NULL
 *  @param errlen  bytes of err
 *  @return APR_SUCCESS; APR_EINVAL, APR_ENOENT (an empty path), APR_ENAMETOOLONG; APR_ENOMEM. On an
 * error nothing was added. Threads: one for one plan. Blocks: no. Owns: copies the paths. */
VFS_API apr_status_t warm_plan_paths(warm_plan_t *plan, const char *const *paths, size_t count,
                                     char *err, size_t errlen);
/** Add the paths of a list file: one a line, `#` begins a comment line, blank lines are passed
 * over. A bad line is reported with its number.
 *  @param plan  the plan
 *  @param file  a file of the operating system; "-" is standard input
 *  @param origin_root  the directory that the stack shows as its root, or NULL: an OS path that
 * lies under it gets an error that names the right form
 *  @param err  receives a sentence on failure; may be NULL
 *  @param errlen  bytes of err
 *  @return APR_SUCCESS; APR_EINVAL, APR_ENAMETOOLONG (a bad line); what opening and reading the
 * file says; APR_ENOMEM. On an error nothing was added. Threads: one for one plan. Blocks: reads
 * the file. Owns: copies the paths. */
VFS_API apr_status_t warm_plan_list(warm_plan_t *plan, const char *file, const char *origin_root,
                                    char *err, size_t errlen);
/** Add the regular files that match a pattern of vfs_glob, in byte order.
 *  @param plan  the plan
 *  @param fs  the stack
 *  @param ctx  the context of the look-ups, or NULL
 *  @param pattern  "**" stands for any number of directories
 *  @param err  receives a sentence on failure; may be NULL
 *  @param errlen  bytes of err
 *  @return APR_SUCCESS (also with no match); APR_EINVAL (a broken pattern); what vfs_glob says;
 * APR_ENOMEM. On an error nothing was added. Threads: one for one plan. Blocks: lists directories.
 * Owns: copies the paths. */
VFS_API apr_status_t warm_plan_glob(warm_plan_t *plan, vfs_t *fs, const vfs_ctx_t *ctx,
                                    const char *pattern, char *err, size_t errlen);
/** Add the regular files below a directory, in byte order; links are not followed.
 *  @param plan  the plan
 *  @param fs  the stack
 *  @param ctx  the context of the look-ups, or NULL
 *  @param path  the directory
 *  @param err  receives a sentence on failure; may be NULL
 *  @param errlen  bytes of err
 *  @return APR_SUCCESS; what vfs_walk says; APR_ENOMEM. On an error nothing was added.
 *  Threads: one for one plan. Blocks: lists directories. Owns: copies the paths. */
VFS_API apr_status_t warm_plan_tree(warm_plan_t *plan, vfs_t *fs, const vfs_ctx_t *ctx,
                                    const char *path, char *err, size_t errlen);
/** Add the block ranges of a heat log, hottest first.
 *  @param plan  the plan
 *  @param file  a file of the operating system, written by warm_heat_write
 *  @param err  receives a sentence on failure, with the number of a damaged line; may be NULL
 *  @param errlen  bytes of err
 *  @return APR_SUCCESS; VFS_EFORMAT (a damaged line); what opening and reading the file says;
 * APR_ENOMEM. On an error nothing was added. Threads: one for one plan. Blocks: reads the file.
 * Owns: copies what it needs. */
VFS_API apr_status_t warm_plan_heat(warm_plan_t *plan, const char *file, char *err, size_t errlen);
/** How many things are in the plan.
 *  @param plan  the plan
 *  @return their number. Threads: one for one plan. Blocks: no. Owns: nothing. */
VFS_API size_t warm_plan_count(const warm_plan_t *plan);
/** The path of the i-th thing.
 *  @param plan  the plan
 *  @param i  from 0
 *  @return a path of the stack, the plan's own; NULL behind the last one.
 *  Threads: one for one plan. Blocks: no. Owns: nothing. */
VFS_API const char *warm_plan_path(const warm_plan_t *plan, size_t i);

/* ---- jobs */

/** What a job does after a file that could not be warmed. */
typedef enum warm_on_error_e {
    WARM_SKIP = 0, /**< goes on */
    WARM_STOP      /**< ends */
} warm_on_error_e;

/** How far a job is. */
typedef struct warm_progress_t {
    uint64_t files_total;    /**< things in the plan */
    uint64_t files_done;     /**< warmed, skipped or failed */
    uint64_t files_failed;   /**< see warm_errors */
    uint64_t files_skipped;  /**< over a limit, or done by an earlier run */
    uint64_t bytes_done;     /**< of files warmed */
    uint64_t bytes_fetched;  /**< read from below */
    double seconds;          /**< since the start */
    double bytes_per_second; /**< of bytes_done */
    double seconds_left;     /**< -1: not known yet */
    int finished;            /**< the job has ended */
} warm_progress_t;
/** Hears how far a job is: called from the job's thread, at most ten times a second and once at the
 * end.
 *  @param baton  progress_baton of the options
 *  @param progress  valid during the call
 *  @return 0 to go on; anything else cancels the job. */
typedef int (*warm_progress_fn)(void *baton, const warm_progress_t *progress);

/** What came of one thing of a plan. */
typedef struct warm_thing_t {
    const char *path;    /**< of the stack */
    apr_status_t status; /**< of warming it */
    int skipped;         /**< it was over a limit, wholly or in part */
    uint64_t bytes;      /**< of it that are warm now */
    uint64_t fetched;    /**< read from below */
    uint64_t us;         /**< how long it took, microseconds */
} warm_thing_t;
/** Hears of each thing when it is done; not of what an earlier run did, nor of what a cancelled job
 * left. Called on the job's worker threads, several at once, without a lock.
 *  @param baton  thing_baton of the options
 *  @param thing  valid during the call */
typedef void (*warm_thing_fn)(void *baton, const warm_thing_t *thing);

/** How to warm: WARM_OPTIONS_INIT, then set. */
typedef struct warm_options_t {
    size_t size;              /**< sizeof(warm_options_t) */
    uint32_t workers;         /**< 1 to 1024 */
    vfs_priority_e priority;  /**< HIGH is protected from eviction up to pin_bytes_max; LOW takes
                                 free space only */
    warm_on_error_e on_error; /**< go on, or end */
    uint64_t file_bytes_max;  /**< larger files are skipped; 0: no limit */
    uint64_t
        job_bytes_max; /**< ends when so many bytes are warm; the rest is skipped; 0: no limit */
    uint64_t bytes_per_second;  /**< 0: no limit */
    warm_progress_fn progress;  /**< or NULL */
    void *progress_baton;       /**< handed to progress */
    const vfs_cancel_t *cancel; /**< or NULL */
    const char
        *resume_file;    /**< an OS file that remembers what is done, so that a job that was
                            interrupted goes on there; removed when the job ends well; NULL: none */
    warm_thing_fn thing; /**< or NULL */
    void *thing_baton;   /**< handed to thing */
} warm_options_t;
/** 16 workers, normal priority, errors are skipped, no limits. */
#define WARM_OPTIONS_INIT                                                                          \
    {                                                                                              \
        sizeof(warm_options_t), 16, VFS_PRIORITY_NORMAL, WARM_SKIP, 0, 0, 0, NULL, NULL, NULL,     \
            NULL, NULL, NULL                                                                       \
    }

/** A job that warms a cache on threads of its own. */
typedef struct warm_job_t warm_job_t;
/** A file that could not be warmed. */
typedef struct warm_error_t {
    const char *path;    /**< the job's own */
    apr_status_t status; /**< why */
} warm_error_t;

/** Start a job and return.
 *  @param out  the job
 *  @param fs  a cache
 *  @param plan  what to warm; must not change until the job ended
 *  @param options  how; copied; NULL: WARM_OPTIONS_INIT
 *  @param err  receives a sentence on failure; may be NULL
 *  @param errlen  bytes of err
 *  @param pool  parent of the job's pool
 *  @return APR_SUCCESS; APR_EINVAL (no cache, no workers, ...: see err); VFS_EFORMAT (a resume file
 * of another plan); what opening the resume file and starting threads says; APR_ENOMEM. Threads:
 * any. Blocks: no. Owns: end it with warm_job_destroy. */
VFS_API apr_status_t warm_start(warm_job_t **out, vfs_t *fs, const warm_plan_t *plan,
                                const warm_options_t *options, char *err, size_t errlen,
                                apr_pool_t *pool);
/** How far is it?
 *  @param job  the job
 *  @param out  receives the answer
 *  Threads: any. Blocks: no. Owns: nothing. */
VFS_API void warm_poll(warm_job_t *job, warm_progress_t *out);
/** Wait for the end.
 *  @param job  the job
 *  @param timeout_us  microseconds; 0: for ever
 *  @return APR_SUCCESS (all warmed or skipped); the first error of a file, the resume file too;
 * VFS_ECANCELED; APR_TIMEUP (it goes on). Threads: any. Blocks: until the end or the timeout. Owns:
 * nothing. */
VFS_API apr_status_t warm_wait(warm_job_t *job, uint64_t timeout_us);
/** Ask it to stop; it ends with VFS_ECANCELED soon.
 *  @param job  the job
 *  Threads: any. Blocks: no. Owns: nothing. */
VFS_API void warm_cancel(warm_job_t *job);
/** The errors, at most the first 1000, in no order. Call it after the end.
 *  @param job  the job
 *  @param errors  receives an array, the job's own
 *  @return how many there are in it.
 *  Threads: any. Blocks: no. Owns: valid until warm_job_destroy. */
VFS_API size_t warm_errors(warm_job_t *job, const warm_error_t **errors);
/** Cancel, wait and free: the last call on a job.
 *  @param job  may be NULL
 *  Threads: one. Blocks: until the calls under way have ended. Owns: frees it. */
VFS_API void warm_job_destroy(warm_job_t *job);
/** Start, wait, free: the whole job in one call.
 *  @param fs  a cache
 *  @param plan  what to warm
 *  @param options  how; NULL: WARM_OPTIONS_INIT
 *  @param result  receives how far it came; may be NULL
 *  @param err  receives a sentence if it could not start; may be NULL
 *  @param errlen  bytes of err
 *  @param pool  parent of the job's pool
 *  @return as warm_start, then as warm_wait.
 *  Threads: any. Blocks: until the job has ended. Owns: nothing. */
VFS_API apr_status_t warm_run(vfs_t *fs, const warm_plan_t *plan, const warm_options_t *options,
                              warm_progress_t *result, char *err, size_t errlen, apr_pool_t *pool);

/* ---- heat: which blocks were read */

/** A recorder of what is read through one cache. */
typedef struct warm_heat_t warm_heat_t;
/** Record what is read through a cache from now on.
 *  @param out  the recorder
 *  @param fs  the cache; its key "heat" is turned on
 *  @param entries_max  ranges kept; the coldest are dropped above it
 *  @param pool  parent of the recorder's pool
 *  @return APR_SUCCESS; APR_EINVAL (no cache, a NULL, no entries, or one records this cache
 * already); APR_ENOMEM. Threads: any. Blocks: no. Owns: end it with warm_heat_stop, before the
 * cache ends. */
VFS_API apr_status_t warm_heat_start(warm_heat_t **out, vfs_t *fs, size_t entries_max,
                                     apr_pool_t *pool);
/** Write a heat log: a text file, replaced atomically.
 *  @param heat  the recorder; it goes on
 *  @param file  a file of the operating system
 *  @return APR_SUCCESS; what writing and renaming the file says; APR_ENOMEM.
 *  Threads: any. Blocks: writes the file. Owns: nothing. */
VFS_API apr_status_t warm_heat_write(warm_heat_t *heat, const char *file);
/** End the recorder and free it: the last call on it.
 *  @param heat  may be NULL
 *  Threads: one. Blocks: until no reader is in it. Owns: frees it. */
VFS_API void warm_heat_stop(warm_heat_t *heat);

#ifdef __cplusplus
}
#endif
#endif
