/*
 * job.c - a warming job: started, watched, waited for, ended. Floor 3.
 * The job's own thread reports progress and keeps the resume file; the workers are in run.c.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "warming/internal.h"

#define WORKERS_MAX 1024u
#define TICK_US 20000           /* how soon a raised cancel flag is seen */
#define PROGRESS_US 100000      /* between two reports */
#define SAVE_US 1000000         /* between two writes of the resume file, at least, ... */
#define SAVE_COST 20            /* ... and so many times what the last one took */
#define PARTIAL_AFTER_US 200000 /* a call that takes so long is asked how far it is */

/* ---- errors, stopping */

void warm__job_error(warm_job_t *job, const char *path, apr_status_t status)
{
    char *copy;

    if (job->error_count == WARM__ERRORS_MAX) return;
    copy = strdup(path);
    if (copy == NULL) return; /* it is counted all the same */
    job->errors[job->error_count].path = copy;
    job->errors[job->error_count++].status = status;
}

void warm__job_stop(warm_job_t *job)
{
    job->stopping = 1;
    vfs_cancel_raise(job->cancel);
    pthread_cond_broadcast(&job->wake);
}

void warm_cancel(warm_job_t *job)
{
    pthread_mutex_lock(&job->lock);
    if (!job->over) job->canceled = 1;
    warm__job_stop(job);
    pthread_mutex_unlock(&job->lock);
}

/* ---- progress */

/* Things that this run looked at, against those that it has yet to. -1: not known yet. */
static double seconds_left(const warm_job_t *job, double seconds, uint64_t partial)
{
    uint64_t done = job->files_done - job->files_earlier;
    uint64_t left = job->plan->count - job->files_done;
    uint64_t size_done = job->size_done + partial;

    if (left == 0) return 0;
    if (job->sizes_known && size_done > 0)
        return seconds *
               (double)(job->size_left - (partial < job->size_left ? partial : job->size_left)) /
               (double)size_done;
    return done == 0 ? -1 : seconds * (double)left / (double)done;
}

/* Locked. */
static void measure(const warm_job_t *job, warm_progress_t *out)
{
    int64_t now = job->over ? job->end_us : warm__now_us();
    uint64_t partial = 0;
    uint32_t i;

    for (i = 0; i < job->worker_count; i++)
        partial += job->workers[i].partial;
    memset(out, 0, sizeof(*out));
    out->files_total = job->plan->count;
    out->files_done = job->files_done;
    out->files_failed = job->files_failed;
    out->files_skipped = job->files_skipped;
    out->bytes_done = job->bytes_done + partial;
    out->bytes_fetched = job->bytes_fetched;
    out->seconds = (double)(now - job->begin_us) / 1e6;
    if (out->seconds > 0) out->bytes_per_second = (double)out->bytes_done / out->seconds;
    out->seconds_left = job->running == 0 ? 0 : seconds_left(job, out->seconds, partial);
    out->finished = job->over;
}

void warm_poll(warm_job_t *job, warm_progress_t *out)
{
    pthread_mutex_lock(&job->lock);
    measure(job, out);
    pthread_mutex_unlock(&job->lock);
}

/* A large file that comes in one call counts with what the cache holds of it by now. */
static void look_at_calls(warm_job_t *job)
{
    uint32_t i;

    for (i = 0; i < job->worker_count; i++) {
        warm__worker_t *worker = &job->workers[i];
        cachefs_entry_t entry;
        const char *path;
        uint64_t unit;

        pthread_mutex_lock(&job->lock);
        path = warm__now_us() - worker->since_us >= PARTIAL_AFTER_US ? worker->asking : NULL;
        unit = worker->unit;
        pthread_mutex_unlock(&job->lock);
        if (path == NULL || cachefs_entry(job->fs, path, &entry) != APR_SUCCESS) continue;
        if (entry.resident > entry.size) entry.resident = entry.size;
        pthread_mutex_lock(&job->lock);
        if (worker->unit == unit && worker->asking == path) worker->partial = entry.resident;
        pthread_mutex_unlock(&job->lock);
    }
}

static void report(warm_job_t *job, int finished)
{
    warm_progress_t progress;

    if (job->options.progress == NULL) return;
    if (!finished) look_at_calls(job);
    pthread_mutex_lock(&job->lock);
    measure(job, &progress);
    pthread_mutex_unlock(&job->lock);
    progress.finished = finished;
    if (job->options.progress(job->options.progress_baton, &progress) != 0 && !finished)
        warm_cancel(job);
}

/* ---- the resume file */

/* Write it, if something changed since `*saved`. Returns when it may be written again. */
static int64_t save(warm_job_t *job, uint64_t *saved)
{
    size_t bytes = (job->plan->count + 7) / 8;
    unsigned char *copy = malloc(bytes);
    int64_t begin = warm__now_us(), took;
    apr_status_t status = APR_ENOMEM;
    uint64_t changes;

    if (copy != NULL) {
        pthread_mutex_lock(&job->lock);
        memcpy(copy, job->done, bytes);
        changes = job->changes;
        pthread_mutex_unlock(&job->lock);
        status = changes == *saved
                     ? APR_SUCCESS
                     : warm__resume_save(job->resume_file, job->plan_hash, job->plan->count, copy);
        *saved = changes;
        free(copy);
    }
    if (status != APR_SUCCESS) {
        pthread_mutex_lock(&job->lock);
        warm__job_error(job, job->resume_file, status);
        pthread_mutex_unlock(&job->lock);
        return INT64_MAX; /* said once */
    }
    took = warm__now_us() - begin;
    return begin + took + (took * SAVE_COST > SAVE_US ? took * SAVE_COST : SAVE_US);
}

/* ---- the job's thread */

/* Wait for the workers to end, or for a tick. Returns whether they ended. */
static int wait_tick(warm_job_t *job)
{
    int64_t at = warm__now_us() + TICK_US;
    struct timespec until = {.tv_sec = at / 1000000, .tv_nsec = at % 1000000 * 1000};
    int ended;

    pthread_mutex_lock(&job->lock);
    if (vfs_cancel_raised(job->options.cancel) && !job->stopping) {
        job->canceled = 1;
        warm__job_stop(job);
    }
    if (job->running > 0) pthread_cond_timedwait(&job->wake, &job->lock, &until);
    ended = job->running == 0;
    pthread_mutex_unlock(&job->lock);
    return ended;
}

static apr_status_t result_of(const warm_job_t *job)
{
    if (job->canceled && job->files_done < job->plan->count) return VFS_ECANCELED;
    return job->first_error;
}

static void *job_main(void *arg)
{
    warm_job_t *job = arg;
    int64_t report_at = 0, save_at = 0;
    uint64_t saved = 0;
    apr_status_t result;
    uint32_t i;

    while (!wait_tick(job)) {
        if (warm__now_us() >= report_at) {
            report(job, 0);
            report_at = warm__now_us() + PROGRESS_US;
        }
        if (job->resume_file != NULL && warm__now_us() >= save_at) save_at = save(job, &saved);
    }
    for (i = 0; i < job->worker_count; i++)
        pthread_join(job->workers[i].thread, NULL);
    pthread_mutex_lock(&job->lock);
    result = result_of(job);
    pthread_mutex_unlock(&job->lock);
    if (job->resume_file != NULL && save_at != INT64_MAX) {
        if (result == APR_SUCCESS)
            (void)remove(job->resume_file); /* there may be none yet */
        else
            (void)save(job, &saved);
    }
    report(job, 1);
    pthread_mutex_lock(&job->lock);
    job->result = result;
    job->end_us = warm__now_us();
    job->over = 1;
    pthread_cond_broadcast(&job->ended);
    pthread_mutex_unlock(&job->lock);
    return NULL;
}

/* ---- start */

static apr_status_t check_options(const warm_options_t *options, char *err, size_t errlen)
{
    if (options->workers < 1 || options->workers > WORKERS_MAX) {
        warm__say(err, errlen, "workers: \"%u\" is not accepted; expected 1 to %u",
                  options->workers, WORKERS_MAX);
        return APR_EINVAL;
    }
    if ((unsigned)options->priority > VFS_PRIORITY_HIGH) {
        warm__say(err, errlen, "priority: \"%d\" is not accepted; expected normal, low or high",
                  (int)options->priority);
        return APR_EINVAL;
    }
    if ((unsigned)options->on_error > WARM_STOP) {
        warm__say(err, errlen, "on_error: \"%d\" is not accepted; expected skip or stop",
                  (int)options->on_error);
        return APR_EINVAL;
    }
    return APR_SUCCESS;
}

/* What an earlier run did counts as done, and skipped. */
static void count_plan(warm_job_t *job)
{
    size_t i;

    job->sizes_known = 1;
    for (i = 0; i < job->plan->count; i++) {
        const warm__item_t *item = &job->plan->items[i];
        uint64_t size = item->len != 0 ? item->len : item->size;

        if (warm__bit(job->done, i)) {
            job->files_earlier++;
        } else {
            if (size == WARM__SIZE_UNKNOWN) job->sizes_known = 0;
            job->size_left += size;
        }
    }
    job->files_done = job->files_skipped = job->files_earlier;
}

static void init_sync(warm_job_t *job)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&job->lock, NULL);
    pthread_cond_init(&job->wake, &attr);
    pthread_cond_init(&job->ended, &attr);
    pthread_condattr_destroy(&attr);
}

/* All of a job but its threads. */
static apr_status_t job_init(warm_job_t *job, const char *resume_file, char *err, size_t errlen)
{
    size_t count = job->plan->count,
           most = count < job->options.workers ? count : job->options.workers;
    apr_status_t status = vfs_cancel_create(&job->cancel, job->pool);

    if (status != APR_SUCCESS) return status;
    job->done = apr_pcalloc(job->pool, (count + 7) / 8 + 1);
    job->workers = apr_pcalloc(job->pool, (most + 1) * sizeof(*job->workers));
    if (job->done == NULL || job->workers == NULL) return APR_ENOMEM;
    job->rate.bytes_per_second = job->options.bytes_per_second;
    job->budget = job->options.job_bytes_max;
    job->plan_hash = warm__plan_hash(job->plan);
    if (resume_file != NULL) {
        job->resume_file = apr_pstrdup(job->pool, resume_file);
        if (job->resume_file == NULL) return APR_ENOMEM;
        status = warm__resume_load(resume_file, job->plan_hash, count, job->done, err, errlen);
        if (status != APR_SUCCESS) return status;
    }
    count_plan(job);
    job->worker_count = (uint32_t)(most < count - job->files_done ? most : count - job->files_done);
    job->begin_us = warm__now_us();
    return APR_SUCCESS;
}

static void job_free(warm_job_t *job)
{
    size_t i;

    for (i = 0; i < job->error_count; i++)
        free((char *)job->errors[i].path);
    pthread_cond_destroy(&job->ended);
    pthread_cond_destroy(&job->wake);
    pthread_mutex_destroy(&job->lock);
    apr_pool_destroy(job->pool);
    free(job);
}

/* Start the threads; if one fails, end those before it. Signals stay with the program's own
 * threads. */
static apr_status_t start_threads(warm_job_t *job)
{
    sigset_t all, before;
    uint32_t started;
    int rc = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    job->running = job->worker_count;
    for (started = 0; started < job->worker_count && rc == 0; started += rc == 0) {
        job->workers[started].job = job;
        rc = pthread_create(&job->workers[started].thread, NULL, warm__worker_main,
                            &job->workers[started]);
    }
    if (rc == 0) rc = pthread_create(&job->thread, NULL, job_main, job);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0) return APR_SUCCESS;
    pthread_mutex_lock(&job->lock);
    warm__job_stop(job);
    pthread_mutex_unlock(&job->lock);
    while (started > 0)
        pthread_join(job->workers[--started].thread, NULL);
    return APR_FROM_OS_ERROR(rc);
}

apr_status_t warm_start(warm_job_t **out, vfs_t *fs, const warm_plan_t *plan,
                        const warm_options_t *options, char *err, size_t errlen, apr_pool_t *pool)
{
    const warm_options_t defaults = WARM_OPTIONS_INIT;
    warm_job_t *job;
    apr_status_t status;

    VFS_CHECK_ARG(out != NULL && plan != NULL && pool != NULL);
    if (options == NULL) options = &defaults;
    if (fs == NULL || !cachefs_is(fs)) {
        warm__say(err, errlen, "there is no cache to warm");
        return APR_EINVAL;
    }
    if (options->size < offsetof(warm_options_t, thing)) { /* the first header's */
        warm__say(err, errlen, "options that WARM_OPTIONS_INIT did not make");
        return APR_EINVAL;
    }
    status = check_options(options, err, errlen);
    if (status != APR_SUCCESS) return status;
    job = calloc(1, sizeof(*job));
    if (job == NULL) return APR_ENOMEM;
    status = apr_pool_create(&job->pool, pool);
    if (status != APR_SUCCESS) {
        free(job);
        return status;
    }
    job->fs = fs;
    job->plan = plan;
    job->options = defaults;
    memcpy(&job->options, options,
           options->size < sizeof(defaults) ? options->size : sizeof(defaults));
    init_sync(job);
    status = job_init(job, options->resume_file, err, errlen);
    if (status == APR_SUCCESS) status = start_threads(job);
    if (status != APR_SUCCESS) {
        job_free(job);
        return status;
    }
    *out = job;
    return APR_SUCCESS;
}

/* ---- end */

apr_status_t warm_wait(warm_job_t *job, uint64_t timeout_us)
{
    int64_t now = warm__now_us(), at = INT64_MAX;
    struct timespec until;
    apr_status_t status;
    int rc = 0;

    if (timeout_us != 0 && timeout_us < (uint64_t)(INT64_MAX - now)) at = now + (int64_t)timeout_us;
    until.tv_sec = at / 1000000;
    until.tv_nsec = at % 1000000 * 1000;
    pthread_mutex_lock(&job->lock);
    while (!job->over && rc == 0)
        rc = timeout_us == 0 ? pthread_cond_wait(&job->ended, &job->lock)
                             : pthread_cond_timedwait(&job->ended, &job->lock, &until);
    status = job->over ? job->result : APR_TIMEUP;
    pthread_mutex_unlock(&job->lock);
    return status;
}

size_t warm_errors(warm_job_t *job, const warm_error_t **errors)
{
    size_t count;

    pthread_mutex_lock(&job->lock);
    count = job->error_count;
    pthread_mutex_unlock(&job->lock);
    *errors = job->errors; /* entries do not change once they are counted */
    return count;
}

void warm_job_destroy(warm_job_t *job)
{
    if (job == NULL) return;
    warm_cancel(job);
    pthread_join(job->thread, NULL);
    job_free(job);
}

apr_status_t warm_run(vfs_t *fs, const warm_plan_t *plan, const warm_options_t *options,
                      warm_progress_t *result, char *err, size_t errlen, apr_pool_t *pool)
{
    warm_job_t *job;
    apr_status_t status = warm_start(&job, fs, plan, options, err, errlen, pool);
    char text[128];

    if (status != APR_SUCCESS) return status;
    status = warm_wait(job, 0);
    if (status != APR_SUCCESS && job->error_count > 0)
        warm__say(err, errlen, "\"%.200s\": %s", job->errors[0].path,
                  vfs_strerror(job->errors[0].status, text, sizeof(text)));
    if (result != NULL) warm_poll(job, result);
    warm_job_destroy(job);
    return status;
}
