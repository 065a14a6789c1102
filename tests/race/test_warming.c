/*
 * test_warming.c - jobs, a recorder that starts and stops, readers and a poller at once: for
 * ThreadSanitizer. Plain main(), since Criterion does not work under it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_general.h>

#include "backends/backends.h"
#include "warming/warming.h"

enum { FILES = 60, BYTES = 50000, READERS = 2, ROUNDS = 15 };

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static vfs_t *cache;
static _Atomic int over;

static void name_of(char *buf, size_t size, unsigned i)
{
    (void)snprintf(buf, size, "/d%u/f%u", i % 5, i);
}

static void *reader(void *arg)
{
    unsigned random = *(unsigned *)arg;
    unsigned char buf[4096];

    while (!atomic_load(&over)) {
        char path[64];
        vfs_file_t *file;
        size_t got;

        random = random * 1664525u + 1013904223u;
        name_of(path, sizeof(path), (random >> 8) % FILES);
        MUST(vfs_open(&file, cache, NULL, path, VFS_O_READ, 0, NULL, NULL) == APR_SUCCESS);
        MUST(vfs_read_at(file, NULL, buf, sizeof(buf), (random >> 20) % 10 * 4096, &got) ==
             APR_SUCCESS);
        MUST(got == sizeof(buf) && buf[0] == buf[4095]);
        MUST(vfs_close(file, NULL) == APR_SUCCESS);
    }
    return NULL;
}

static int heard(void *baton, const warm_progress_t *progress)
{
    (void)baton;
    return progress->files_done > progress->files_total; /* never */
}

static void make_files(vfs_t *mem, warm_plan_t *plan)
{
    unsigned char *bytes = malloc(BYTES);
    unsigned i;

    MUST(bytes != NULL);
    for (i = 0; i < FILES; i++) {
        char path[64];
        const char *one = path;

        name_of(path, sizeof(path), i);
        memset(bytes, (int)i + 1, BYTES);
        if (i < 5) {
            path[3] = '\0';
            MUST(vfs_mkdir(mem, NULL, path, 0755) == APR_SUCCESS);
            path[3] = '/';
        }
        MUST(vfs_write_file(mem, NULL, path, bytes, BYTES, 0644) == APR_SUCCESS);
        MUST(warm_plan_paths(plan, &one, 1, NULL, 0) == APR_SUCCESS);
    }
    free(bytes);
}

static void round_of(unsigned round, const warm_plan_t *plan, apr_pool_t *pool, const char *log)
{
    warm_options_t options = WARM_OPTIONS_INIT;
    warm_heat_t *heat;
    warm_job_t *one, *other;
    warm_progress_t progress;

    options.progress = heard;
    options.workers = 4;
    MUST(cachefs_invalidate_prefix(cache, "/", NULL, NULL) == APR_SUCCESS);
    MUST(warm_heat_start(&heat, cache, 50 + round * 100, pool) == APR_SUCCESS);
    MUST(warm_start(&one, cache, plan, &options, NULL, 0, pool) == APR_SUCCESS);
    options.bytes_per_second = 20000000;
    options.priority = VFS_PRIORITY_LOW;
    MUST(warm_start(&other, cache, plan, &options, NULL, 0, pool) == APR_SUCCESS);
    do {
        warm_poll(one, &progress);
        MUST(warm_heat_write(heat, log) == APR_SUCCESS);
    } while (warm_wait(one, 2000) == APR_TIMEUP);
    if (round % 2 == 0) warm_cancel(other);
    (void)warm_wait(other, 0);
    MUST(progress.files_failed == 0);
    warm_job_destroy(one);
    warm_job_destroy(other);
    warm_heat_stop(heat);
}

int main(void)
{
    char directory[] = "/tmp/cachefs-race-XXXXXX", log[64];
    pthread_t threads[READERS];
    unsigned seeds[READERS], i;
    warm_plan_t *plan;
    apr_pool_t *pool;
    vfs_t *mem;

    MUST(apr_initialize() == APR_SUCCESS && apr_pool_create(&pool, NULL) == APR_SUCCESS);
    MUST(mkdtemp(directory) != NULL);
    (void)snprintf(log, sizeof(log), "%s/heat", directory);
    MUST(vfs_mem_create(&mem, 0, pool) == APR_SUCCESS);
    MUST(warm_plan_create(&plan, pool) == APR_SUCCESS);
    make_files(mem, plan);
    MUST(cachefs_create(&cache, mem, NULL, NULL, 0, pool) == APR_SUCCESS);
    for (i = 0; i < READERS; i++) {
        seeds[i] = i + 1;
        MUST(pthread_create(&threads[i], NULL, reader, &seeds[i]) == 0);
    }
    for (i = 0; i < ROUNDS; i++)
        round_of(i, plan, pool, log);
    atomic_store(&over, 1);
    for (i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    MUST(remove(log) == 0 && rmdir(directory) == 0);
    MUST(vfs_destroy_stack(cache) == APR_SUCCESS);
    apr_pool_destroy(pool);
    apr_terminate();
    (void)puts("ok");
    return 0;
}
