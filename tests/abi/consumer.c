/*
 * consumer.c - a program of a stranger: includes every installed header, is compiled as C and as
 * C++, and sends bytes through a cache over a delayed file system in memory.
 */
#include <vfs/vfs.h>
#include <vfs/vfs_ops.h>
#include <vfs/shims/shims.h>
#include <backends/backends.h>
#include <cachefs/cachefs.h>
#include <cachefs/policy.h>
#include <metrics/metrics.h>
#include <warming/warming.h>

#include <apr_general.h>

#include <stdio.h>
#include <string.h>

static int fail(const char *what, apr_status_t status)
{
    char text[256];
    printf("%s: %s\n", what, vfs_strerror(status, text, sizeof(text)));
    return 1;
}

static int use(apr_pool_t *pool)
{
    static const char text[] = "hello through a cache";
    vfs_t *mem = NULL, *slow = NULL, *cache = NULL;
    vfs_delay_t delay;
    char *data = NULL, err[256] = "";
    size_t len = 0;
    cachefs_stats_t stats;
    apr_status_t status = vfs_mem_create(&mem, 0, pool);
    if (status != APR_SUCCESS) return fail("vfs_mem_create", status);
    memset(&delay, 0, sizeof(delay));
    delay.rtt_us = 1000;
    status = vfs_delay_create(&slow, mem, &delay, pool);
    if (status != APR_SUCCESS) return fail("vfs_delay_create", status);
    status = cachefs_create(&cache, slow, NULL, err, sizeof(err), pool);
    if (status != APR_SUCCESS) return fail(err, status);
    status = vfs_write_file(cache, NULL, "/hello", text, sizeof(text) - 1, 0644);
    if (status != APR_SUCCESS) return fail("vfs_write_file", status);
    status = vfs_read_file(&data, &len, cache, NULL, "/hello", 0, pool);
    if (status != APR_SUCCESS) return fail("vfs_read_file", status);
    stats.size = sizeof(stats);
    status = cachefs_stats(cache, &stats);
    if (status != APR_SUCCESS || stats.reads == 0) return fail("cachefs_stats", status);
    printf("cachefs %s: %s\n", vfs_version(), data);
    status = vfs_destroy_stack(cache);
    return status == APR_SUCCESS ? 0 : fail("vfs_destroy_stack", status);
}

int main(void)
{
    apr_pool_t *pool = NULL;
    int code = 1;
    if (apr_initialize() != APR_SUCCESS) return 1;
    if (apr_pool_create(&pool, NULL) == APR_SUCCESS) {
        code = use(pool);
        apr_pool_destroy(pool);
    }
    apr_terminate();
    return code;
}
