/*
 * workers.c - a bounded pool of threads: a ring of waiting jobs, and as many threads as were asked
 * for. Floor 1. Knows nothing about the jobs; no lock is held while one runs.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "vfs/internal.h"
#include "vfs/wait.h"

#define THREADS_MAX 1024u

typedef struct job_t {
    vfs_work_fn fn;
    void *baton;
} job_t;

struct vfs_workers_t {
    pthread_mutex_t mutex; /* guards all below; a leaf */
    pthread_cond_t work;   /* a job came, or the end */
    pthread_cond_t room;   /* a job was taken, or the end */
    pthread_cond_t idle;   /* nothing waits or runs */
    job_t *ring;
    size_t ring_size; /* == queue_max */
    size_t first;
    size_t waiting;
    unsigned running;
    int stopping;
    unsigned nthreads;
    pthread_t *threads;
    apr_pool_t *pool;
};

/* The pool whose job this thread runs: draining it from within would wait for ever. */
static _Thread_local const vfs_workers_t *inside;

static void *worker_main(void *arg)
{
    vfs_workers_t *workers = arg;
    inside = workers;
    pthread_mutex_lock(&workers->mutex);
    for (;;) {
        while (workers->waiting == 0 && !workers->stopping)
            pthread_cond_wait(&workers->work, &workers->mutex);
        if (workers->waiting == 0) break;
        job_t job = workers->ring[workers->first];
        workers->first = (workers->first + 1) % workers->ring_size;
        workers->waiting--;
        workers->running++;
        pthread_cond_signal(&workers->room);
        pthread_mutex_unlock(&workers->mutex);
        job.fn(job.baton);
        pthread_mutex_lock(&workers->mutex);
        workers->running--;
        if (workers->waiting == 0 && workers->running == 0) pthread_cond_broadcast(&workers->idle);
    }
    pthread_mutex_unlock(&workers->mutex);
    return NULL;
}

/* Start the threads with every signal blocked: signals are the program's, not ours. */
static apr_status_t start(vfs_workers_t *workers, unsigned threads)
{
    sigset_t all, before;
    int rc = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (workers->nthreads < threads && rc == 0) {
        rc = pthread_create(&workers->threads[workers->nthreads], NULL, worker_main, workers);
        if (rc == 0) workers->nthreads++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return APR_FROM_OS_ERROR(rc);
}

apr_status_t vfs_workers_create(vfs_workers_t **out, unsigned threads, size_t queue_max,
                                apr_pool_t *pool)
{
    apr_pool_t *own;
    VFS_CHECK_ARG(out != NULL && pool != NULL);
    *out = NULL;
    VFS_CHECK_ARG(threads >= 1 && threads <= THREADS_MAX && queue_max >= 1);
    if (queue_max > SIZE_MAX / sizeof(job_t)) return APR_ENOMEM;
    apr_status_t status = vfs__pool_create(&own, pool);
    if (status != APR_SUCCESS) return status;
    vfs_workers_t *workers = apr_pcalloc(own, sizeof(*workers));
    workers->pool = own;
    workers->threads = apr_pcalloc(own, threads * sizeof(*workers->threads));
    workers->ring_size = queue_max;
    workers->ring = malloc(queue_max * sizeof(*workers->ring)); /* may be too big for a pool */
    if (workers->ring == NULL) {
        apr_pool_destroy(own);
        return APR_ENOMEM;
    }
    pthread_mutex_init(&workers->mutex, NULL);
    pthread_cond_init(&workers->work, NULL);
    pthread_cond_init(&workers->room, NULL);
    pthread_cond_init(&workers->idle, NULL);
    status = start(workers, threads);
    if (status != APR_SUCCESS) {
        vfs_workers_destroy(workers);
        return status;
    }
    *out = workers;
    return APR_SUCCESS;
}

static apr_status_t enqueue(vfs_workers_t *workers, vfs_work_fn fn, void *baton)
{
    if (workers->stopping) return VFS_ECANCELED;
    if (workers->waiting == workers->ring_size) return VFS_ELIMIT;
    size_t at = workers->first + workers->waiting;
    if (at >= workers->ring_size) at -= workers->ring_size;
    workers->ring[at] = (job_t){fn, baton};
    workers->waiting++;
    pthread_cond_signal(&workers->work);
    return APR_SUCCESS;
}

apr_status_t vfs_workers_try(vfs_workers_t *workers, vfs_work_fn fn, void *baton)
{
    VFS_CHECK_ARG(workers != NULL && fn != NULL);
    pthread_mutex_lock(&workers->mutex);
    apr_status_t status = enqueue(workers, fn, baton);
    pthread_mutex_unlock(&workers->mutex);
    return status;
}

apr_status_t vfs_workers_push(vfs_workers_t *workers, const vfs_ctx_t *ctx, vfs_work_fn fn,
                              void *baton)
{
    VFS_CHECK_ARG(workers != NULL && fn != NULL);
    apr_status_t status = vfs__ctx_check(ctx);
    if (status != APR_SUCCESS) return status;
    pthread_mutex_lock(&workers->mutex);
    while ((status = enqueue(workers, fn, baton)) == VFS_ELIMIT) {
        status = vfs__cond_wait(&workers->room, &workers->mutex, ctx);
        if (status == APR_SUCCESS) continue;
        pthread_cond_signal(&workers->room); /* the signal may have been meant for another */
        break;
    }
    pthread_mutex_unlock(&workers->mutex);
    return status;
}

void vfs_workers_drain(vfs_workers_t *workers)
{
    VFS_ASSERT(inside != workers);
    pthread_mutex_lock(&workers->mutex);
    while (workers->waiting > 0 || workers->running > 0)
        pthread_cond_wait(&workers->idle, &workers->mutex);
    pthread_mutex_unlock(&workers->mutex);
}

void vfs_workers_destroy(vfs_workers_t *workers)
{
    if (workers == NULL) return;
    VFS_ASSERT(inside != workers);
    pthread_mutex_lock(&workers->mutex);
    workers->stopping = 1;
    pthread_cond_broadcast(&workers->work);
    pthread_cond_broadcast(&workers->room);
    pthread_mutex_unlock(&workers->mutex);
    for (unsigned i = 0; i < workers->nthreads; i++) {
        int rc = pthread_join(workers->threads[i], NULL);
        VFS_ASSERT(rc == 0);
    }
    VFS_ASSERT(workers->waiting == 0 && workers->running == 0);
    (void)pthread_cond_destroy(&workers->work); /* no thread is left to wait */
    (void)pthread_cond_destroy(&workers->room);
    (void)pthread_cond_destroy(&workers->idle);
    (void)pthread_mutex_destroy(&workers->mutex);
    free(workers->ring);
    apr_pool_destroy(workers->pool);
}
