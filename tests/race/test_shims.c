/*
 * test_shims.c - all shims in one stack under many threads, for ThreadSanitizer: changes, reads,
 * faults that block, a delay that is reset, and power that goes and comes back. A plain program: 0
 * if all went well.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <apr_general.h>

#include "backends/backends.h"
#include "vfs/shims/shims.h"
#include "vfs/vfs_ops.h"

enum { THREADS = 4, ROUNDS = 150, LIVES = 4 };

typedef struct stack_t_ {
    vfs_t *top, *crash, *fault, *delay, *count;
    _Atomic unsigned lines;
    _Atomic int stop;
} stack_t_;

typedef struct worker_t {
    stack_t_ *stack;
    int number;
    pthread_t thread;
} worker_t;

static void hear(void *baton, const char *line)
{
    stack_t_ *stack = baton;
    if (strstr(line, " -> ") != NULL) atomic_fetch_add(&stack->lines, 1);
}

/* A bit of everything on files that others use too; what power, faults and others do to it is all
 * right. */
static void use(stack_t_ *stack, int number, int round)
{
    char path[32], other[32], buf[64];
    size_t n;
    vfs_attr_t attr;
    vfs_file_t *file;
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.deadline = apr_time_now() + 200000;
    snprintf(path, sizeof(path), "/f%d", (number + round) % 3);
    snprintf(other, sizeof(other), "/f%d", round % 3);
    const uint32_t flags = VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE;
    if (vfs_open(&file, stack->top, &ctx, path, flags, 0644, NULL, NULL) == APR_SUCCESS) {
        (void)vfs_write_at(file, &ctx, "some bytes", 10, round % 50, &n, NULL);
        (void)vfs_read_at(file, &ctx, buf, sizeof(buf), 0, &n);
        if (round % 4 == 0) (void)vfs_sync(file, &ctx, VFS_SYNC_ALL);
        (void)vfs_fstat(file, &ctx, &attr);
        (void)vfs_close(file, NULL);
    }
    (void)vfs_rename(stack->top, &ctx, path, other, 0);
    (void)vfs_stat(stack->top, &ctx, other, &attr);
    (void)vfs_get(stack->top, &ctx, other, buf, sizeof(buf), &n, NULL, NULL);
    if (round % 7 == 0) (void)vfs_unlink(stack->top, &ctx, other);
    if (round % 11 == 0) (void)vfs_sync_dir(stack->top, &ctx, "/");
}

static void *work(void *baton)
{
    worker_t *worker = baton;
    for (int round = 0; round < ROUNDS; round++)
        use(worker->stack, worker->number, round);
    return NULL;
}

static void *disturb(void *baton)
{
    stack_t_ *stack = baton;
    static vfs_counts_t counts;
    for (unsigned i = 0; !atomic_load(&stack->stop); i++) {
        vfs_fault_t block = {.what = VFS_FAULT_BLOCK, .nth = 20, .times = 2};
        vfs_delay_t how = {.rtt_us = i % 3, .bytes_per_second = 100000000, .jitter_percent = 10};
        (void)vfs_fault_add(stack->fault, &block);
        (void)vfs_delay_set(stack->delay, &how);
        vfs_count_get(stack->count, &counts);
        apr_sleep(2000);
        vfs_fault_release(stack->fault);
        vfs_fault_clear(stack->fault);
    }
    return NULL;
}

static int make(stack_t_ *stack, vfs_t **copy, apr_pool_t *pool)
{
    vfs_t *mem, *corfs;
    vfs_delay_t how = {.rtt_us = 10};
    return vfs_mem_create(&mem, 0, pool) == APR_SUCCESS &&
           vfs_mem_create(copy, 0, pool) == APR_SUCCESS &&
           vfs_fault_create(&stack->fault, mem, 1, pool) == APR_SUCCESS &&
           vfs_delay_create(&stack->delay, stack->fault, &how, pool) == APR_SUCCESS &&
           vfs_crash_create(&stack->crash, stack->delay, pool) == APR_SUCCESS &&
           vfs_count_create(&stack->count, stack->crash, pool) == APR_SUCCESS &&
           vfs_corfs_create(&corfs, stack->count, *copy, VFS_CORFS_SERVE, pool) == APR_SUCCESS &&
           vfs_trace_create(&stack->top, corfs, hear, stack, pool) == APR_SUCCESS;
}

static int live(stack_t_ *stack, int life)
{
    worker_t workers[THREADS];
    int failed = 0;
    vfs_crash_at(stack->crash, life % 2 == 0 ? 0 : 100);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker_t){.stack = stack, .number = i};
        failed |= pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0;
    }
    apr_sleep(20000);
    apr_status_t status = vfs_crash_now(stack->crash, VFS_CRASH_RANDOM, (uint64_t)life, 0);
    vfs_crash_restart(stack->crash);
    for (int i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    return failed || status != APR_SUCCESS;
}

int main(void)
{
    static stack_t_ stack;
    apr_pool_t *pool;
    vfs_t *copy;
    pthread_t thread;
    int failed = 0;
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS) return 2;
    if (!make(&stack, &copy, pool)) return 2;
    if (pthread_create(&thread, NULL, disturb, &stack) != 0) return 2;
    for (int life = 0; life < LIVES; life++)
        failed |= live(&stack, life);
    atomic_store(&stack.stop, 1);
    pthread_join(thread, NULL);
    vfs_counts_t counts;
    vfs_count_get(stack.count, &counts);
    if (counts.open_files != 0 || atomic_load(&stack.lines) == 0) failed = 1;
    vfs_destroy_stack(stack.top);
    vfs_destroy(copy);
    apr_pool_destroy(pool);
    printf("%s\n", failed ? "failed" : "ok");
    return failed;
}
