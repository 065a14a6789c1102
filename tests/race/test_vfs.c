/*
 * test_vfs.c - the cursor, the lock table, the workers and the registry under many threads: a plain
 * program, for ThreadSanitizer. What is counted must come out exactly.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>

#include "backends/backends.h"
#include "vfs/locktable.h"
#include "vfs/vfs_ops.h"

#define THREADS 6
#define ROUNDS 3000
#define RECORD 8

static void check(int ok, const char *what)
{
    if (ok) return;
    fprintf(stderr, "failed: %s\n", what);
    exit(1);
}
#define CHECK(cond) check(cond, #cond)

static void run_threads(void *(*fn)(void *))
{
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, fn, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

/* ---- the cursor: records written by many, then read by many, each exactly once */

static vfs_file_t *file;
static atomic_uint seen[THREADS * ROUNDS];

static void *write_records(void *me)
{
    char record[RECORD + 1];
    size_t n;
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(record, sizeof(record), "%08d", (int)(uintptr_t)me * ROUNDS + i);
        CHECK(vfs_write(file, NULL, record, RECORD, &n) == APR_SUCCESS && n == RECORD);
    }
    return NULL;
}

static void *read_records(void *me)
{
    char record[RECORD + 1] = "";
    size_t n;
    (void)me; /* all readers are alike */
    while (vfs_read(file, NULL, record, RECORD, &n) == APR_SUCCESS && n == RECORD)
        atomic_fetch_add_explicit(&seen[atoi(record)], 1, memory_order_relaxed);
    return NULL;
}

static void test_cursor(apr_pool_t *pool)
{
    vfs_t *fs;
    CHECK(vfs_mem_create(&fs, 0, pool) == APR_SUCCESS);
    CHECK(vfs_open(&file, fs, NULL, "/f", VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE, 0600, NULL,
                   NULL) == APR_SUCCESS);
    run_threads(write_records);
    CHECK(vfs_seek(file, NULL, 0, VFS_SEEK_SET, NULL) == APR_SUCCESS);
    run_threads(read_records);
    for (int i = 0; i < THREADS * ROUNDS; i++)
        CHECK(seen[i] == 1);
    CHECK(vfs_close(file, NULL) == APR_SUCCESS);
    CHECK(vfs_destroy(fs) == APR_SUCCESS);
}

/* ---- locks: what a write lock guards is a plain variable */

static vfs__locktable_t *table;
static vfs__locks_t locks;
static unsigned long guarded[4]; /* [i] by a lock on byte i */
static atomic_ulong locked_bytes;
static char handles[THREADS];

static apr_status_t ask(const void *handle, vfs_lock_e type, apr_off_t start, apr_off_t len)
{
    vfs_lock_t lock = {type, VFS_LOCK_WAIT, start, len, 0, 0};
    return vfs__locktable_lock(table, &locks, handle, NULL, &lock);
}

static void *count_under_locks(void *me)
{
    const char *handle = &handles[(uintptr_t)me];
    unsigned state = (unsigned)(uintptr_t)me + 1;
    for (int i = 0; i < ROUNDS; i++) {
        apr_off_t first = rand_r(&state) % 4;
        apr_off_t len = 1 + rand_r(&state) % (4 - first);
        CHECK(ask(handle, VFS_LOCK_WRITE, first, len) == APR_SUCCESS);
        for (apr_off_t b = first; b < first + len; b++)
            guarded[b]++;
        CHECK(ask(handle, VFS_LOCK_UNLOCK, first, len) == APR_SUCCESS);
        atomic_fetch_add_explicit(&locked_bytes, (unsigned long)len, memory_order_relaxed);
    }
    vfs__locktable_release(table, &locks, handle);
    return NULL;
}

static void test_locks(void)
{
    CHECK(vfs__locktable_create(&table) == APR_SUCCESS);
    run_threads(count_under_locks);
    CHECK(guarded[0] + guarded[1] + guarded[2] + guarded[3] == atomic_load(&locked_bytes));
    CHECK(locks.ranges == NULL);
    vfs__locktable_destroy(table);
}

/* ---- workers */

static vfs_workers_t *workers;
static atomic_uint jobs;

static void job(void *baton)
{
    (void)baton; /* counting needs none */
    atomic_fetch_add_explicit(&jobs, 1, memory_order_relaxed);
}

static void *push_jobs(void *me)
{
    for (int i = 0; i < ROUNDS; i++) {
        if ((uintptr_t)me % 2 == 0 && vfs_workers_try(workers, job, NULL) == APR_SUCCESS) continue;
        CHECK(vfs_workers_push(workers, NULL, job, NULL) == APR_SUCCESS);
        if (i % 1000 == 0) vfs_workers_drain(workers);
    }
    return NULL;
}

static void test_workers(apr_pool_t *pool)
{
    CHECK(vfs_workers_create(&workers, 3, 5, pool) == APR_SUCCESS);
    run_threads(push_jobs);
    vfs_workers_destroy(workers);
    CHECK(jobs == THREADS * ROUNDS);
}

/* ---- the registry */

static apr_status_t refuse(vfs_t **out, const char *uri, char *err, size_t errlen, apr_pool_t *pool)
{
    (void)out, (void)uri, (void)pool; /* it only refuses */
    (void)snprintf(err, errlen, "no");
    return APR_EACCES;
}

static void count_scheme(void *baton, const char *scheme)
{
    (void)scheme; /* only how many */
    ++*(int *)baton;
}

static void *use_registry(void *me)
{
    char name[16], err[64];
    apr_pool_t *pool;
    vfs_t *fs;
    int count = 0;
    CHECK(apr_pool_create_unmanaged_ex(&pool, NULL, NULL) == APR_SUCCESS);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "s%d", (i + (int)(uintptr_t)me) % 50);
        CHECK(vfs_register_scheme(name, refuse) == APR_SUCCESS);
        strcat(name, ":");
        CHECK(vfs_open_uri(&fs, name, err, sizeof(err), pool) == APR_EACCES);
        vfs_each_scheme(count_scheme, &count);
    }
    CHECK(count >= 200);
    apr_pool_destroy(pool);
    return NULL;
}

int main(void)
{
    apr_pool_t *pool;
    CHECK(apr_initialize() == APR_SUCCESS);
    CHECK(apr_pool_create(&pool, NULL) == APR_SUCCESS);
    test_cursor(pool);
    test_locks();
    test_workers(pool);
    run_threads(use_registry);
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}
