/*
 * threads.c - several threads on one stack: each runs the model in a directory of its own, and all
 * use shared files. Floor 4.
 *
 * A shared file is made of records of 4 KiB. A record says which it is, who wrote it and as which
 * one of his, and is filled from that, so any reader can tell a whole record from a torn one.
 * Record i is written by thread i modulo the number of threads, with rising numbers; what was
 * published before a read began must not be missing in it.
 */
#include <stdatomic.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_thread_proc.h>

#include "tests/model/model.h"

#define RECORD 4096u
#define RECORDS 48u
#define FILES 2u
#define THREADS_MAX 16u
#define LAST_STEPS 40u /* of its own, that a thread tells of when it differs */

typedef struct shared_t {
    const char *spec;
    sut_t *sut;
    unsigned threads;
    size_t ops;
    atomic_uint_fast64_t published[FILES][RECORDS];
    atomic_int stop;
    int check_torn;
} shared_t;

typedef struct worker_t {
    shared_t *shared;
    unsigned id;
    model_rng_t rng;
    uint64_t last[FILES][RECORDS]; /**< the highest number that this thread read */
    uint64_t next;                 /**< of its own records */
    model_run_t run;
    vfs_file_t *files[FILES];
    model_op_t steps[LAST_STEPS]; /**< step i at i modulo LAST_STEPS */
    size_t done;
    char why[500];
    char base[16];
} worker_t;

static void record_make(unsigned char *buf, unsigned file, unsigned record, uint64_t number)
{
    uint64_t head[3] = {file * 1000 + record, number, ~number};
    model_bytes(buf, RECORD, head[0] * 1000003 + number);
    memcpy(buf, head, sizeof head);
}

static int complain(worker_t *w, const char *what, unsigned file, unsigned record, uint64_t got,
                    uint64_t want)
{
    snprintf(w->why, sizeof w->why,
             "thread %u, shared file %u, record %u: %s (number %" PRIu64 ", want %" PRIu64 ")",
             w->id, file, record, what, got, want);
    return 0;
}

static int complain_status(worker_t *w, const char *what, unsigned file, unsigned record,
                           apr_status_t status)
{
    char text[100];
    snprintf(w->why, sizeof w->why, "thread %u, shared file %u, record %u: %s: \"%s\"", w->id, file,
             record, what, vfs_strerror(status, text, sizeof text));
    return 0;
}

static int record_check(worker_t *w, const unsigned char *buf, unsigned file, unsigned record,
                        uint64_t at_least)
{
    unsigned char want[RECORD];
    uint64_t head[3];
    memcpy(head, buf, sizeof head);
    if (head[1] != ~head[2] || head[0] != file * 1000 + record)
        return complain(w, "not a record of its place", file, record, head[1], at_least);
    record_make(want, file, record, head[1]);
    if (memcmp(want, buf, RECORD) != 0)
        return complain(w, "a torn record", file, record, head[1], at_least);
    if (head[1] < at_least) return complain(w, "an old record", file, record, head[1], at_least);
    w->last[file][record] = head[1];
    return 1;
}

static int shared_write(worker_t *w, unsigned file)
{
    unsigned char buf[RECORD];
    size_t written = 0;
    unsigned per = RECORDS / w->shared->threads;
    unsigned record = (unsigned)model_random(&w->rng, per) * w->shared->threads + w->id;
    record_make(buf, file, record, ++w->next);
    apr_status_t rv =
        vfs_write_at(w->files[file], NULL, buf, RECORD, (apr_off_t)record * RECORD, &written, NULL);
    if (rv != APR_SUCCESS) return complain_status(w, "write", file, record, rv);
    atomic_store_explicit(&w->shared->published[file][record], w->next, memory_order_release);
    w->last[file][record] = w->next;
    return 1;
}

static int shared_read(worker_t *w, unsigned file)
{
    unsigned char buf[4 * RECORD];
    uint64_t floor[4];
    size_t got = 0;
    unsigned first = (unsigned)model_random(&w->rng, RECORDS - 3);
    unsigned count = 1 + (unsigned)model_random(&w->rng, 4);
    for (unsigned i = 0; i < count; i++) {
        floor[i] =
            atomic_load_explicit(&w->shared->published[file][first + i], memory_order_acquire);
        if (w->last[file][first + i] > floor[i]) floor[i] = w->last[file][first + i];
    }
    apr_status_t rv = vfs_read_at(w->files[file], NULL, buf, (size_t)count * RECORD,
                                  (apr_off_t)first * RECORD, &got);
    if (rv != APR_SUCCESS || got != (size_t)count * RECORD)
        return rv != APR_SUCCESS ? complain_status(w, "read", file, first, rv)
                                 : complain(w, "a short read", file, first, got, count);
    for (unsigned i = 0; i < count && w->shared->check_torn; i++) {
        if (!record_check(w, buf + (size_t)i * RECORD, file, first + i, floor[i])) return 0;
    }
    return 1;
}

static int shared_reopen(worker_t *w, unsigned file)
{
    char path[16];
    snprintf(path, sizeof path, "/shared%u", file);
    apr_status_t rv = w->files[file] != NULL ? vfs_close(w->files[file], NULL) : APR_SUCCESS;
    w->files[file] = NULL;
    if (rv == APR_SUCCESS)
        rv = vfs_open(&w->files[file], w->shared->sut->fs, NULL, path, VFS_O_READ | VFS_O_WRITE, 0,
                      NULL, NULL);
    return rv == APR_SUCCESS || complain_status(w, "reopening", file, 0, rv);
}

static int shared_step(worker_t *w)
{
    vfs_t *cache = w->shared->sut->cache;
    unsigned file = (unsigned)model_random(&w->rng, FILES);
    char path[16];
    uint64_t bytes, fetched;
    apr_status_t rv = APR_SUCCESS;
    const char *what = "flush";
    snprintf(path, sizeof path, "/shared%u", file);
    switch (model_random(&w->rng, 40)) {
    case 0:
        return shared_reopen(w, file);
    case 1:
        rv = vfs_flush(w->files[file], NULL);
        break;
    case 2:
        what = "invalidate";
        if (cache != NULL && cache == w->shared->sut->fs)
            rv = cachefs_invalidate(cache, path, NULL, NULL);
        break;
    case 3:
        what = "clear";
        if (cache != NULL && cache == w->shared->sut->fs) rv = cachefs_clear(cache, NULL);
        break;
    case 4:
        what = "prefetch";
        if (cache != NULL && cache == w->shared->sut->fs)
            rv = cachefs_prefetch_path(cache, NULL, path, &bytes, &fetched);
        if (rv == VFS_ELIMIT) rv = APR_SUCCESS; /* no room while others write: it may say so */
        break;
    default:
        return model_random(&w->rng, 3) == 0 ? shared_write(w, file) : shared_read(w, file);
    }
    return rv == APR_SUCCESS || complain_status(w, what, file, 0, rv);
}

/* What the thread did in its own directory before it differed; the others did theirs meanwhile. */
static void print_steps(const worker_t *w)
{
    char line[256];
    size_t first = w->done > LAST_STEPS ? w->done - LAST_STEPS : 0;
    flockfile(stdout);
    printf("the last steps of thread %u:\n", w->id);
    for (size_t i = first; i < w->done; i++) {
        model_print(&w->steps[i % LAST_STEPS], line, sizeof line);
        printf("%s\n", line);
    }
    funlockfile(stdout);
}

static void *APR_THREAD_FUNC work(apr_thread_t *thread, void *baton)
{
    worker_t *w = baton;
    int same = 1;
    for (unsigned i = 0; i < FILES; i++)
        same = same && shared_reopen(w, i);
    for (size_t i = 0; i < w->shared->ops && same && !atomic_load(&w->shared->stop); i++) {
        if (model_random(&w->rng, 2) == 0) {
            same = shared_step(w);
            continue;
        }
        model_op_t op = model_generate(&w->rng, w->base);
        if (op.kind == MODEL_clear && model_random(&w->rng, 8) != 0) continue;
        w->steps[w->done++ % LAST_STEPS] = op;
        same = model_step(&w->run, &op);
        if (!same) {
            print_steps(w);
            char line[256];
            model_print(&op, line, sizeof line);
            snprintf(w->why, sizeof w->why, "thread %u: %.220s (%s)", w->id, w->run.why, line);
        }
    }
    if (!model_close_all(&w->run) && same)
        snprintf(w->why, sizeof w->why, "thread %u: %.300s", w->id, w->run.why);
    for (unsigned i = 0; i < FILES; i++) {
        apr_status_t rv = w->files[i] != NULL ? vfs_close(w->files[i], NULL) : APR_SUCCESS;
        if (rv != APR_SUCCESS && w->why[0] == '\0') (void)complain_status(w, "close", i, 0, rv);
    }
    if (w->why[0] != '\0') atomic_store(&w->shared->stop, 1);
    (void)thread;
    return NULL;
}

static apr_status_t make_shared(shared_t *shared)
{
    unsigned char *data = malloc(RECORDS * RECORD);
    apr_status_t rv = APR_SUCCESS;
    for (unsigned file = 0; file < FILES && rv == APR_SUCCESS; file++) {
        char path[16];
        snprintf(path, sizeof path, "/shared%u", file);
        for (unsigned i = 0; i < RECORDS; i++)
            record_make(data + (size_t)i * RECORD, file, i, 0);
        rv = vfs_write_file(shared->sut->fs, NULL, path, data, RECORDS * RECORD, 0644);
    }
    free(data);
    return rv;
}

/* What everybody wrote last is there, in `fs`. */
static int check_shared(shared_t *shared, vfs_t *fs, worker_t *w, apr_pool_t *pool)
{
    for (unsigned file = 0; file < FILES; file++) {
        char path[16], *data = NULL;
        size_t len = 0;
        snprintf(path, sizeof path, "/shared%u", file);
        apr_status_t rv = vfs_read_file(&data, &len, fs, NULL, path, 0, pool);
        if (rv != APR_SUCCESS || len != RECORDS * RECORD)
            return rv != APR_SUCCESS ? complain_status(w, "reading at the end", file, 0, rv)
                                     : complain(w, "its length", file, 0, len, RECORDS * RECORD);
        for (unsigned i = 0; i < RECORDS; i++) {
            uint64_t want = atomic_load(&shared->published[file][i]), head[3];
            memcpy(head, data + (size_t)i * RECORD, sizeof head);
            if (!record_check(w, (unsigned char *)data + (size_t)i * RECORD, file, i, want))
                return 0;
            if (head[1] != want)
                return complain(w, "a record that nobody wrote", file, i, head[1], want);
        }
    }
    return 1;
}

static int run_threads(shared_t *shared, worker_t *workers, uint64_t seed, apr_pool_t *pool)
{
    apr_thread_t *threads[THREADS_MAX];
    apr_status_t ended;
    int same = 1;
    for (unsigned i = 0; i < shared->threads; i++) {
        worker_t *w = &workers[i];
        snprintf(w->base, sizeof w->base, "/t%u", i);
        w->shared = shared;
        w->id = i;
        w->rng.state = seed * 31 + i;
        if (vfs_mkdir(shared->sut->fs, NULL, w->base, 0755) != APR_SUCCESS ||
            model_start(&w->run, shared->sut, w->base, pool) != APR_SUCCESS)
            abort();
    }
    for (unsigned i = 0; i < shared->threads; i++) {
        if (apr_thread_create(&threads[i], NULL, work, &workers[i], pool) != APR_SUCCESS) abort();
    }
    for (unsigned i = 0; i < shared->threads; i++)
        (void)apr_thread_join(&ended, threads[i]); /* a thread of ours that runs can be joined */
    for (unsigned i = 0; i < shared->threads; i++) {
        if (workers[i].why[0] != '\0') same = 0;
    }
    return same;
}

/* Compare with every reference, by the stack and then below it. */
static int compare_all(shared_t *shared, worker_t *workers, vfs_t *fs, apr_pool_t *pool)
{
    if (!check_shared(shared, fs, &workers[0], pool)) return 0;
    for (unsigned i = 0; i < shared->threads; i++) {
        if (!model_compare(&workers[i].run, fs)) {
            snprintf(workers[i].why, sizeof workers[i].why, "thread %u, at the end, in %s: %.300s",
                     i, vfs_name(fs), workers[i].run.why);
            return 0;
        }
    }
    return 1;
}

int model_threads(const char *spec, unsigned threads, size_t ops, uint64_t seed)
{
    shared_t *shared = calloc(1, sizeof *shared);
    worker_t *workers = calloc(THREADS_MAX, sizeof *workers);
    apr_pool_t *pool = NULL;
    sut_t sut;
    char err[200];
    VFS_ASSERT(threads > 0 && threads <= THREADS_MAX);
    apr_pool_create(&pool, NULL);
    apr_status_t rv = sut_open(&sut, spec, NULL, err, sizeof err, pool);
    if (rv != APR_SUCCESS) {
        printf("FAIL [%s] the stack: %s\n", spec, err);
        free(shared);
        free(workers);
        apr_pool_destroy(pool);
        return 0;
    }
    *shared = (shared_t){.spec = spec, .sut = &sut, .threads = threads, .ops = ops / threads};
    /* The kernel's own reads are not atomic against writes: a directory without a cache on it
     * promises less. */
    shared->check_torn = !(sut.traits & SUT_LOCAL) || (sut.traits & SUT_CACHE);
    int same = make_shared(shared) == APR_SUCCESS && run_threads(shared, workers, seed, pool);
    same = same && compare_all(shared, workers, sut.fs, pool);
    if (same && sut.lower != NULL && !(sut.traits & SUT_SUB)) {
        rv = sut_close_upper(&sut);
        same = rv == APR_SUCCESS && compare_all(shared, workers, sut.lower, pool);
    }
    for (unsigned i = 0; i < threads; i++) {
        if (workers[i].why[0] != '\0')
            printf("FAIL [%s] seed %" PRIu64 ": %s\n", spec, seed, workers[i].why);
        model_end(&workers[i].run);
    }
    apr_status_t end = sut_close(&sut);
    rv = rv != APR_SUCCESS ? rv : end;
    if (rv != APR_SUCCESS)
        printf("FAIL [%s] seed %" PRIu64 ": ending it answered %d\n", spec, seed, (int)rv);
    free(shared);
    free(workers);
    apr_pool_destroy(pool);
    return same && rv == APR_SUCCESS;
}
