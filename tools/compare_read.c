/*
 * compare_read.c - the readers of `cachefs compare`: whole files on one thread or several, and
 * random blocks. Floor 4. The clock runs from open to close; checksums are computed while it
 * stands.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/compare.h"
#include "vfs/digest.h"

/* What one thread has. */
typedef struct reader_t {
    char *buf;
    uint64_t files, bytes, ns;
} reader_t;

typedef struct job_t {
    cli_t *cli;
    vfs_t *fs;
    const reference_t *reference;
    reader_t *readers;
    uint64_t *times; /* of each read that succeeded, ns */
    atomic_size_t done;
    cli_progress_t *progress;
    uint64_t random; /* state of the generator */
} job_t;

static void failed(job_t *job, const char *path, apr_status_t status)
{
    cli_file_failed(job->cli, NULL, path, status);
}

static void finished(job_t *job, reader_t *reader, uint64_t ns, uint64_t bytes)
{
    size_t i = atomic_fetch_add_explicit(&job->done, 1, memory_order_relaxed);
    job->times[i] = ns;
    reader->files++;
    reader->bytes += bytes;
    reader->ns += ns;
}

static void differs(job_t *job, const char *path)
{
    atomic_fetch_add(&job->cli->failures, 1);
    cli_error(job->cli, "%s: what was read is not what the origin had", path);
}

/* Read a whole file, and check it. */
static void read_whole(void *baton, unsigned thread, size_t i)
{
    job_t *job = baton;
    reader_t *reader = &job->readers[thread];
    const reference_file_t *want = &job->reference->files[i];
    const vfs_ctx_t *ctx = &job->cli->ctx;
    vfs_file_t *file = NULL;
    uint64_t bytes = 0, hash = 0;
    size_t got = COMPARE_CHUNK;
    uint64_t started = cli_now_ns(), stood = 0;
    apr_status_t status = vfs_open(&file, job->fs, ctx, want->path, VFS_O_READ, 0, NULL, NULL);
    while (status == APR_SUCCESS && got == COMPARE_CHUNK) {
        status = vfs_read_at(file, ctx, reader->buf, COMPARE_CHUNK, (apr_off_t)bytes, &got);
        bytes += got;
        if (status != APR_SUCCESS || got < COMPARE_CHUNK) break;
        uint64_t stop = cli_now_ns();
        hash = vfs__hash64(reader->buf, got, hash);
        stood += cli_now_ns() - stop;
    }
    if (file != NULL) {
        apr_status_t closed = vfs_close(file, ctx);
        if (status == APR_SUCCESS) status = closed;
    }
    uint64_t ns = cli_now_ns() - started - stood;
    if (status != APR_SUCCESS) {
        failed(job, want->path, status);
        return;
    }
    hash = vfs__hash64(reader->buf, got, hash);
    if (bytes != want->size || hash != want->hash)
        differs(job, want->path);
    else
        finished(job, reader, ns, bytes);
    cli_progress_add(job->progress, bytes);
}

/* splitmix64 (Steele, Lea, Flood 2014): good enough to spread reads, the same on every run. */
static uint64_t next_random(job_t *job)
{
    uint64_t z = (job->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Read one block of one file, and check it. */
static void read_block(void *baton, unsigned thread, size_t i)
{
    job_t *job = baton;
    reader_t *reader = &job->readers[thread];
    const vfs_ctx_t *ctx = &job->cli->ctx;
    const reference_file_t *want = &job->reference->files[next_random(job) % job->reference->count];
    uint64_t blocks = want->size / COMPARE_BLOCK + (want->size % COMPARE_BLOCK != 0);
    uint64_t block = blocks > 0 ? next_random(job) % blocks : 0;
    uint64_t rest = want->size - block * COMPARE_BLOCK;
    vfs_file_t *file = NULL;
    size_t got = 0;
    (void)i;
    uint64_t started = cli_now_ns();
    apr_status_t status = vfs_open(&file, job->fs, ctx, want->path, VFS_O_READ, 0, NULL, NULL);
    if (status == APR_SUCCESS) {
        status = vfs_read_at(file, ctx, reader->buf, COMPARE_BLOCK,
                             (apr_off_t)(block * COMPARE_BLOCK), &got);
        apr_status_t closed = vfs_close(file, ctx);
        if (status == APR_SUCCESS) status = closed;
    }
    uint64_t ns = cli_now_ns() - started;
    if (status != APR_SUCCESS)
        failed(job, want->path, status);
    else if (got != (rest < COMPARE_BLOCK ? rest : COMPARE_BLOCK) ||
             (got > 0 && reference_block_hash(reader->buf, got) !=
                             job->reference->blocks[want->first_block + block]))
        differs(job, want->path);
    else
        finished(job, reader, ns, got);
    cli_progress_add(job->progress, got);
}

static int by_time(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The nearest rank. */
static double quantile_us(const uint64_t *sorted, size_t count, unsigned percent)
{
    if (count == 0) return 0.0;
    size_t rank = (count * percent + 99) / 100;
    return (double)sorted[rank > 0 ? rank - 1 : 0] / 1e3;
}

void compare_quantiles(reading_t *out, uint64_t *times, size_t count)
{
    qsort(times, count, sizeof(*times), by_time);
    out->p50_us = quantile_us(times, count, 50);
    out->p99_us = quantile_us(times, count, 99);
}

static void end_readers(job_t *job, unsigned threads)
{
    for (unsigned i = 0; job->readers != NULL && i < threads; i++)
        free(job->readers[i].buf);
    free(job->readers);
    free(job->times);
}

static int make_readers(job_t *job, unsigned threads, size_t count)
{
    job->readers = calloc(threads, sizeof(*job->readers));
    job->times = calloc(count + 1, sizeof(*job->times));
    if (job->readers == NULL || job->times == NULL) return 0;
    for (unsigned i = 0; i < threads; i++) {
        job->readers[i].buf = malloc(COMPARE_CHUNK);
        if (job->readers[i].buf == NULL) return 0;
        memset(job->readers[i].buf, 0, COMPARE_CHUNK); /* its pages are had before the clock runs */
    }
    return 1;
}

static int run(job_t *job, reading_t *out, unsigned threads, size_t count, cli_each_fn fn,
               const char *what)
{
    memset(out, 0, sizeof(*out));
    if (!make_readers(job, threads, count)) {
        end_readers(job, threads);
        cli_error(job->cli, "out of memory");
        return CLI_INTERNAL;
    }
    job->progress = cli_progress_start(job->cli, what, count);
    (void)cli_each(job->cli, count, threads, fn, job);
    cli_progress_end(job->progress);
    uint64_t ns = 0;
    for (unsigned i = 0; i < threads; i++) {
        out->files += job->readers[i].files;
        out->bytes += job->readers[i].bytes;
        if (job->readers[i].ns > ns) ns = job->readers[i].ns;
    }
    out->seconds = (double)ns / 1e9;
    compare_quantiles(out, job->times, atomic_load(&job->done));
    end_readers(job, threads);
    return CLI_DONE;
}

int compare_read_all(cli_t *cli, reading_t *out, vfs_t *fs, const reference_t *reference,
                     unsigned threads, const char *what)
{
    job_t job = {.cli = cli, .fs = fs, .reference = reference};
    return run(&job, out, threads, reference->count, read_whole, what);
}

int compare_read_random(cli_t *cli, reading_t *out, vfs_t *fs, const reference_t *reference,
                        uint64_t count, const char *what)
{
    job_t job = {.cli = cli, .fs = fs, .reference = reference, .random = cli->opt.seed};
    return run(&job, out, 1, (size_t)count, read_block, what);
}
