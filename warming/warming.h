/*
 * warming.h - fills a cache on purpose: from paths, a list file, a glob, a tree or a heat log.
 * Floor 3, public. Drives the cache through cachefs.h alone.
 */
#ifndef WARMING_WARMING_H
#define WARMING_WARMING_H

#include "cachefs/cachefs.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A list of things to warm, in order. Lives in the pool that it was made from. */
typedef struct warm_plan_t warm_plan_t;

/** @return APR_SUCCESS or APR_ENOMEM. Threads: one for one plan. Blocks: no. Owns: in `pool`. */
VFS_API apr_status_t warm_plan_create(warm_plan_t **out, apr_pool_t *pool);
/** Add paths of the stack. A relative one counts from the root. @return APR_SUCCESS; APR_EINVAL and the like with
 *  a sentence in err: it names the path and what was wrong with it; nothing was added. */
VFS_API apr_status_t warm_plan_paths(warm_plan_t *plan, const char *const *paths, size_t count,
                                     char *err, size_t errlen);
/** Add the paths of a list file: one a line, `#` begins a comment line, blank lines are passed over, "-" is standard
 *  input. A bad line is reported with its number. An OS path that lies under `origin_root` (may be NULL) gets an error
 *  that names the right form. */
VFS_API apr_status_t warm_plan_list(warm_plan_t *plan, const char *file, const char *origin_root,
                                    char *err, size_t errlen);
/** Add the regular files that match a pattern of vfs_glob. */
VFS_API apr_status_t warm_plan_glob(warm_plan_t *plan, vfs_t *fs, const vfs_ctx_t *ctx,
                                    const char *pattern, char *err, size_t errlen);
/** Add the regular files below a directory, in byte order; links are not followed. */
VFS_API apr_status_t warm_plan_tree(warm_plan_t *plan, vfs_t *fs, const vfs_ctx_t *ctx,
                                    const char *path, char *err, size_t errlen);
/** Add the block ranges of a heat log, hottest first. A damaged line is VFS_EFORMAT with its number. */
VFS_API apr_status_t warm_plan_heat(warm_plan_t *plan, const char *file, char *err, size_t errlen);
/** Things in the plan. */
VFS_API size_t warm_plan_count(const warm_plan_t *plan);
/** The path of the i-th thing. NULL behind the last one. */
VFS_API const char *warm_plan_path(const warm_plan_t *plan, size_t i);

typedef enum warm_on_error_e { WARM_SKIP = 0, WARM_STOP } warm_on_error_e;

/** How far a job is. */
typedef struct warm_progress_t {
    uint64_t files_total, files_done; /**< done: warmed, skipped or failed */
    uint64_t files_failed, files_skipped; /**< skipped: over a limit, or done by an earlier run */
    uint64_t bytes_done;   /**< of files warmed */
    uint64_t bytes_fetched; /**< read from below */
    double seconds;        /**< since the start */
    double bytes_per_second;
    double seconds_left;   /**< -1: not known yet */
    int finished;
} warm_progress_t;
/** Called from the job's thread, at most ten times a second and once at the end. Returning other than 0
 *  cancels the job. */
typedef int (*warm_progress_fn)(void *baton, const warm_progress_t *progress);

/** How to warm: WARM_OPTIONS_INIT, then set. */
typedef struct warm_options_t {
    size_t size;              /**< sizeof(warm_options_t) */
    uint32_t workers;         /**< 1 to 1024 */
    vfs_priority_e priority;  /**< HIGH is protected from eviction up to pin_bytes_max; LOW takes free space only */
    warm_on_error_e on_error;
    uint64_t file_bytes_max;  /**< larger files are skipped; 0: no limit */
    uint64_t job_bytes_max;   /**< ends when so many bytes are warm; the rest is skipped; 0: no limit */
    uint64_t bytes_per_second; /**< 0: no limit */
    warm_progress_fn progress;
    void *progress_baton;
    const vfs_cancel_t *cancel; /**< or NULL */
    const char *resume_file; /**< an OS file that remembers what is done, so that a job that was interrupted goes
                                  on there; removed when the job ends well; NULL: none */
} warm_options_t;
#define WARM_OPTIONS_INIT                                                                          \
    {                                                                                              \
        sizeof(warm_options_t), 16, VFS_PRIORITY_NORMAL, WARM_SKIP, 0, 0, 0, NULL, NULL, NULL, NULL \
    }

typedef struct warm_job_t warm_job_t;
typedef struct warm_error_t {
    const char *path;
    apr_status_t status;
} warm_error_t;

/** Start a job and return. @param fs a cache @param plan must not change until the job ended
 *  @return APR_SUCCESS; APR_EINVAL (no cache, no workers, ...: see err); VFS_EFORMAT (a resume file of another
 *  plan); APR_ENOMEM. Threads: any. Blocks: no. Owns: end it with warm_job_destroy. */
VFS_API apr_status_t warm_start(warm_job_t **out, vfs_t *fs, const warm_plan_t *plan,
                                const warm_options_t *options, char *err, size_t errlen,
                                apr_pool_t *pool);
/** How far is it? Never blocks. */
VFS_API void warm_poll(warm_job_t *job, warm_progress_t *out);
/** Wait for the end. @param timeout_us 0: for ever @return APR_SUCCESS (all warmed or skipped); the first error
 *  of a file; VFS_ECANCELED; APR_TIMEUP (it goes on). */
VFS_API apr_status_t warm_wait(warm_job_t *job, uint64_t timeout_us);
/** Ask it to stop. */
VFS_API void warm_cancel(warm_job_t *job);
/** The errors, at most the first 1000, in no order. Valid until warm_job_destroy; call it after the end. */
VFS_API size_t warm_errors(warm_job_t *job, const warm_error_t **errors);
/** Cancel, wait and free. */
VFS_API void warm_job_destroy(warm_job_t *job);
/** Start, wait, free: the whole job in one call. @param result may be NULL */
VFS_API apr_status_t warm_run(vfs_t *fs, const warm_plan_t *plan, const warm_options_t *options,
                              warm_progress_t *result, char *err, size_t errlen, apr_pool_t *pool);

/* heat: which blocks were read */

typedef struct warm_heat_t warm_heat_t;
/** Record what is read through a cache from now on. @param entries_max ranges kept; the coldest are dropped
 *  above it. @return APR_SUCCESS; APR_EINVAL; APR_ENOMEM. Owns: end with warm_heat_stop, before the cache ends. */
VFS_API apr_status_t warm_heat_start(warm_heat_t **out, vfs_t *fs, size_t entries_max,
                                     apr_pool_t *pool);
/** Write a heat log: a text file, replaced atomically. */
VFS_API apr_status_t warm_heat_write(warm_heat_t *heat, const char *file);
VFS_API void warm_heat_stop(warm_heat_t *heat);

#ifdef __cplusplus
}
#endif
#endif
