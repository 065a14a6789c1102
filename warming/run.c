/*
 * run.c - what a worker of a job does: take the next thing, bring it into the cache, book it.
 * Floor 3. Asks the cache by its public calls; holds no lock meanwhile.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "warming/internal.h"

#define PIECE_BYTES (8u << 20) /* of a large file, between two looks at limits and progress */
#define RANGES_AT_ONCE 64u     /* of one file, behind one open */
#define RATE_PIECE_MIN (64u << 10)
#define RATE_GUESS 4096u /* what an open brings, before any did */

/* What came of one thing. */
typedef struct outcome_t {
    apr_status_t status;
    int skipped; /* over a limit */
    uint64_t bytes, fetched;
} outcome_t;

int64_t warm__now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* ---- limits */

/* Wait until `bytes` may be read. VFS_ECANCELED: the job ends. */
static apr_status_t rate_wait(warm_job_t *job, uint64_t bytes)
{
    apr_status_t status = APR_SUCCESS;
    int64_t at;

    if (job->options.bytes_per_second == 0) return APR_SUCCESS;
    pthread_mutex_lock(&job->lock);
    at = warm__rate_take(&job->rate, warm__now_us(), bytes);
    while (!job->stopping && warm__now_us() < at) {
        struct timespec until = {.tv_sec = at / 1000000, .tv_nsec = at % 1000000 * 1000};

        pthread_cond_timedwait(&job->wake, &job->lock, &until);
    }
    if (job->stopping) status = VFS_ECANCELED;
    pthread_mutex_unlock(&job->lock);
    return status;
}

static void rate_settle(warm_job_t *job, uint64_t booked, uint64_t actual)
{
    if (job->options.bytes_per_second == 0) return;
    pthread_mutex_lock(&job->lock);
    warm__rate_settle(&job->rate, booked, actual);
    pthread_mutex_unlock(&job->lock);
}

/* Reserve up to `want` bytes of what may still become warm. */
static uint64_t budget_take(warm_job_t *job, uint64_t want)
{
    uint64_t take;

    if (job->options.job_bytes_max == 0) return want;
    pthread_mutex_lock(&job->lock);
    take = want < job->budget ? want : job->budget;
    job->budget -= take;
    pthread_mutex_unlock(&job->lock);
    return take;
}

static void budget_return(warm_job_t *job, uint64_t bytes)
{
    if (job->options.job_bytes_max == 0 || bytes == 0) return;
    pthread_mutex_lock(&job->lock);
    job->budget += bytes;
    pthread_mutex_unlock(&job->lock);
}

static int too_large(const warm_job_t *job, uint64_t size)
{
    return job->options.file_bytes_max != 0 && size > job->options.file_bytes_max;
}

static uint64_t piece_bytes(const warm_job_t *job)
{
    uint64_t quarter = job->options.bytes_per_second / 4;

    if (quarter == 0 || quarter > PIECE_BYTES) return PIECE_BYTES;
    return quarter < RATE_PIECE_MIN ? RATE_PIECE_MIN : quarter;
}

/* ---- one thing */

/* What the cache holds of a file, as bytes of the file. */
static void look(warm_job_t *job, const char *path, cachefs_entry_t *entry)
{
    memset(entry, 0, sizeof(*entry));
    entry->status = cachefs_entry(job->fs, path, entry);
    if (entry->status != APR_SUCCESS) entry->resident = 0;
    if (entry->resident > entry->size) entry->resident = entry->size;
}

static void set_partial(warm__worker_t *worker, const char *asking, uint64_t bytes)
{
    pthread_mutex_lock(&worker->job->lock);
    worker->asking = asking;
    worker->partial = bytes;
    pthread_mutex_unlock(&worker->job->lock);
}

/* Bring [off, off + len) of an open file, of which about `missing` bytes are not there yet. */
static apr_status_t warm_range(warm__worker_t *worker, vfs_file_t *file, const vfs_ctx_t *ctx,
                               uint64_t off, uint64_t len, uint64_t missing, outcome_t *out)
{
    warm_job_t *job = worker->job;
    uint64_t step = piece_bytes(job), end = off + len;
    apr_status_t status = APR_SUCCESS;

    while (off < end && status == APR_SUCCESS) {
        uint64_t piece = end - off < step ? end - off : step;
        uint64_t booked = missing < piece ? missing : piece, fetched = 0;

        status = rate_wait(job, booked);
        if (status == APR_SUCCESS)
            status = cachefs_prefetch(file, ctx, (apr_off_t)off, (apr_off_t)piece, &fetched);
        rate_settle(job, booked, fetched);
        out->fetched += fetched;
        if (status != APR_SUCCESS) break;
        missing -= booked;
        off += piece;
        out->bytes += piece;
        set_partial(worker, NULL, out->bytes);
    }
    return status;
}

/* What an open will bring: what opens brought so far, on average; nothing if nothing is missing. */
static uint64_t guess_open(warm_job_t *job, const cachefs_entry_t *entry)
{
    uint64_t guess;

    if (entry->status == APR_SUCCESS && entry->resident >= entry->size) return 0;
    pthread_mutex_lock(&job->lock);
    guess = (job->open_bytes + RATE_GUESS) / (job->opens + 1);
    pthread_mutex_unlock(&job->lock);
    return guess;
}

/* Open a file, and count what the open itself brought. *missing receives about what is not there.
 */
static apr_status_t open_file(warm_job_t *job, const vfs_ctx_t *ctx, const char *path,
                              vfs_file_t **file, uint64_t *size, uint64_t *missing, outcome_t *out)
{
    cachefs_entry_t before, after;
    uint64_t booked, brought = 0;
    vfs_attr_t attr;
    apr_status_t status;

    look(job, path, &before);
    booked = guess_open(job, &before);
    status = rate_wait(job, booked);
    if (status != APR_SUCCESS) return status;
    status = vfs_open(file, job->fs, ctx, path, VFS_O_READ, 0, &attr, NULL);
    look(job, path, &after);
    if (after.resident > before.resident) brought = after.resident - before.resident;
    out->fetched += brought;
    pthread_mutex_lock(&job->lock);
    warm__rate_settle(&job->rate, booked, brought);
    job->opens++;
    job->open_bytes += brought;
    pthread_mutex_unlock(&job->lock);
    if (status != APR_SUCCESS) return status;
    *size = attr.size;
    *missing = attr.size > after.resident ? attr.size - after.resident : 0;
    if (attr.type == VFS_TYPE_FILE) return APR_SUCCESS;
    (void)vfs_close(*file, ctx); /* it was only looked at */
    return attr.type == VFS_TYPE_DIR ? APR_FROM_OS_ERROR(EISDIR) : APR_EINVAL;
}

/* A whole file in pieces: its size is known before most of it is read. */
static void warm_pieces(warm__worker_t *worker, const warm__item_t *item, const vfs_ctx_t *ctx,
                        outcome_t *out)
{
    warm_job_t *job = worker->job;
    uint64_t size = 0, missing = 0, take;
    vfs_file_t *file = NULL;
    apr_status_t closed;

    out->status = open_file(job, ctx, item->path, &file, &size, &missing, out);
    if (out->status != APR_SUCCESS) return;
    take = too_large(job, size) ? 0 : budget_take(job, size);
    out->skipped = take < size;
    out->status = warm_range(worker, file, ctx, 0, take, missing, out);
    budget_return(job, take - out->bytes);
    closed = vfs_close(file, ctx);
    if (out->status == APR_SUCCESS) out->status = closed;
}

/* A whole file: in one call, if nothing has to be known of it before. */
static void warm_file(warm__worker_t *worker, const warm__item_t *item, const vfs_ctx_t *ctx,
                      outcome_t *out)
{
    warm_job_t *job = worker->job;
    const warm_options_t *options = &job->options;
    int limited = options->job_bytes_max != 0 || options->bytes_per_second != 0;
    int known = item->size != WARM__SIZE_UNKNOWN;

    if (known && too_large(job, item->size)) {
        out->skipped = 1;
    } else if (limited || (known ? item->size > PIECE_BYTES : options->file_bytes_max != 0)) {
        warm_pieces(worker, item, ctx, out);
    } else {
        set_partial(worker, item->path, 0);
        out->status = cachefs_prefetch_path(job->fs, ctx, item->path, &out->bytes, &out->fetched);
    }
}

/* The wish to keep it. The limit of what can be kept, and bytes that are gone again, are no error
 * of the file. */
static apr_status_t protect(warm_job_t *job, const char *path)
{
    apr_status_t status;

    if (job->options.priority != VFS_PRIORITY_HIGH) return APR_SUCCESS;
    status = cachefs_pin(job->fs, path, 1);
    return status == VFS_ELIMIT || APR_STATUS_IS_NOTFOUND(status) ? APR_SUCCESS : status;
}

/* ---- booking */

/* Tell who wants to hear of each thing; no lock. */
static void tell(const warm_job_t *job, const warm__item_t *item, const outcome_t *out, int64_t us)
{
    const warm_thing_t thing = {.path = item->path,
                                .status = out->status,
                                .skipped = out->skipped,
                                .bytes = out->bytes,
                                .fetched = out->fetched,
                                .us = (uint64_t)us};

    if (job->options.thing != NULL) job->options.thing(job->options.thing_baton, &thing);
}

/* Enter what came of thing `i`. */
static void book(warm__worker_t *worker, size_t i, const outcome_t *out)
{
    warm_job_t *job = worker->job;
    const warm__item_t *item = &job->plan->items[i];
    uint64_t size = item->len != 0 ? item->len : item->size;
    int64_t now = warm__now_us(), us;
    int cancelled = 0;

    pthread_mutex_lock(&job->lock);
    worker->asking = NULL;
    worker->partial = 0;
    worker->unit++;
    us = now - worker->since_us;
    worker->since_us = now; /* of the next range behind the same open */
    job->bytes_fetched += out->fetched;
    cancelled = out->status == VFS_ECANCELED && job->stopping;
    if (cancelled) goto done; /* not its fault */
    job->files_done++;
    if (job->sizes_known) {
        job->size_left -= size;
        job->size_done += size;
    }
    if (out->status == VFS_ELIMIT && job->options.priority == VFS_PRIORITY_LOW) {
        job->full = 1;
        job->files_skipped++;
        goto done;
    }
    if (out->status != APR_SUCCESS) {
        job->files_failed++;
        if (job->first_error == APR_SUCCESS) job->first_error = out->status;
        warm__job_error(job, item->path, out->status);
        if (job->options.on_error == WARM_STOP) warm__job_stop(job);
        goto done;
    }
    job->bytes_done += out->bytes;
    if (out->skipped) {
        job->files_skipped++;
    } else {
        job->done[i / 8] |= (unsigned char)(1u << (i % 8));
        job->changes++;
    }
done:
    pthread_mutex_unlock(&job->lock);
    if (!cancelled) tell(job, item, out, us);
}

/* Nothing more can become warm: all that nobody began with is skipped; locked. */
static void skip_rest(warm_job_t *job)
{
    for (; job->next < job->plan->count; job->next++) {
        if (warm__bit(job->done, job->next)) continue;
        job->files_done++;
        job->files_skipped++;
    }
}

/* The next things: one, or ranges of one file. Returns how many; 0: there are no more. */
static size_t next_things(warm__worker_t *worker, size_t *first)
{
    warm_job_t *job = worker->job;
    const warm_plan_t *plan = job->plan;
    size_t count = 0;

    pthread_mutex_lock(&job->lock);
    if (job->full || (job->options.job_bytes_max != 0 && job->budget == 0)) skip_rest(job);
    while (job->next < plan->count && warm__bit(job->done, job->next))
        job->next++;
    if (!job->stopping && job->next < plan->count) {
        const warm__item_t *item = &plan->items[job->next];

        *first = job->next;
        do {
            count++;
            job->next++;
        } while (item->len != 0 && count < RANGES_AT_ONCE && job->next < plan->count &&
                 !warm__bit(job->done, job->next) && plan->items[job->next].len != 0 &&
                 strcmp(plan->items[job->next].path, item->path) == 0);
    }
    worker->since_us = warm__now_us();
    pthread_mutex_unlock(&job->lock);
    return count;
}

/* Ranges of one file, behind one open. */
static void warm_ranges(warm__worker_t *worker, size_t first, size_t count, const vfs_ctx_t *ctx)
{
    warm_job_t *job = worker->job;
    const warm__item_t *items = job->plan->items;
    outcome_t opened = {0, 0, 0, 0};
    uint64_t size = 0, missing = 0;
    vfs_file_t *file = NULL;
    size_t i;

    opened.status = open_file(job, ctx, items[first].path, &file, &size, &missing, &opened);
    for (i = first; i < first + count; i++) {
        outcome_t out = opened;

        opened.fetched = 0; /* counted with the first */
        if (out.status == APR_SUCCESS && items[i].off < size) {
            uint64_t room = size - items[i].off;
            uint64_t len = items[i].len < room ? items[i].len : room;
            uint64_t may = too_large(job, size) ? 0 : budget_take(job, len);

            out.skipped = may < len;
            out.status = warm_range(worker, file, ctx, items[i].off, may, missing, &out);
            budget_return(job, may - out.bytes);
        }
        if (out.status == APR_SUCCESS && !out.skipped) out.status = protect(job, items[i].path);
        book(worker, i, &out);
    }
    if (opened.status == APR_SUCCESS) (void)vfs_close(file, ctx); /* nothing was written */
}

void *warm__worker_main(void *arg)
{
    warm__worker_t *worker = arg;
    warm_job_t *job = worker->job;
    vfs_ctx_t ctx = VFS_CTX_INIT;
    size_t first, count;

    ctx.cancel = job->cancel;
    ctx.priority = job->options.priority;
    while ((count = next_things(worker, &first)) > 0) {
        const warm__item_t *item = &job->plan->items[first];
        outcome_t out = {item->status, 0, 0, 0};

        if (item->len != 0) {
            warm_ranges(worker, first, count, &ctx);
            continue;
        }
        if (out.status == APR_SUCCESS) warm_file(worker, item, &ctx, &out);
        if (out.status == APR_SUCCESS && !out.skipped) out.status = protect(job, item->path);
        book(worker, first, &out);
    }
    pthread_mutex_lock(&job->lock);
    job->running--;
    pthread_cond_broadcast(&job->wake);
    pthread_mutex_unlock(&job->lock);
    return NULL;
}
