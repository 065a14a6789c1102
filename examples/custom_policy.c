/*
 * custom_policy.c - an eviction policy of your own: first in, first out (the library has one too,
 * "fifo"). A cache of 1 MiB reads 4 MiB under it.
 *
 * usage: custom_policy
 */
#include <stdio.h>
#include <string.h>

#include <apr_general.h>

#include "backends/backends.h"
#include "cachefs/cachefs.h"
#include "cachefs/policy.h"

#define FILES 64
#define FILE_BYTES 65536

/* ---- the policy: a list, in at the head, out at the tail */

typedef struct fifo_t {
    cachefs_policy_node_t *nodes; /* the engine's, one for each entry */
    uint32_t head, tail, count;
} fifo_t;

static apr_status_t fifo_create(void **state, const cachefs_policy_config_t *config,
                                apr_pool_t *pool)
{
    fifo_t *fifo = apr_palloc(pool, sizeof(*fifo));
    fifo->nodes = config->nodes;
    fifo->head = fifo->tail = CACHEFS_POLICY_NONE;
    fifo->count = 0;
    *state = fifo;
    return APR_SUCCESS;
}

static void fifo_insert(void *state, uint32_t entry, uint64_t key, uint32_t bytes)
{
    fifo_t *fifo = state;
    (void)key;
    (void)bytes;
    fifo->nodes[entry].prev = CACHEFS_POLICY_NONE;
    fifo->nodes[entry].next = fifo->head;
    if (fifo->head != CACHEFS_POLICY_NONE)
        fifo->nodes[fifo->head].prev = entry;
    else
        fifo->tail = entry;
    fifo->head = entry;
    fifo->count++;
}

static void fifo_touch(void *state, uint32_t entry, uint32_t hits)
{
    /* who came first goes first, however often it was used */
    (void)state;
    (void)entry;
    (void)hits;
}

static void fifo_remove(void *state, uint32_t entry)
{
    fifo_t *fifo = state;
    uint32_t prev = fifo->nodes[entry].prev, next = fifo->nodes[entry].next;
    if (prev != CACHEFS_POLICY_NONE)
        fifo->nodes[prev].next = next;
    else
        fifo->head = next;
    if (next != CACHEFS_POLICY_NONE)
        fifo->nodes[next].prev = prev;
    else
        fifo->tail = prev;
    fifo->count--;
}

static uint32_t fifo_victim(void *state)
{
    fifo_t *fifo = state;
    uint32_t entry = fifo->tail;
    if (entry != CACHEFS_POLICY_NONE) fifo_remove(fifo, entry);
    return entry;
}

static uint32_t fifo_count(void *state)
{
    return ((const fifo_t *)state)->count;
}

static const cachefs_policy_ops_t fifo_ops = {
    .abi = CACHEFS_POLICY_ABI,
    .size = sizeof(cachefs_policy_ops_t),
    .name = "my-fifo",
    .create = fifo_create,
    .insert = fifo_insert,
    .touch = fifo_touch,
    .remove = fifo_remove,
    .victim = fifo_victim,
    .count = fifo_count,
};

/* ---- using it */

/* Write more than the cache can hold, and read it twice. */
static apr_status_t use(vfs_t *cache, apr_pool_t *pool)
{
    static char bytes[FILE_BYTES];
    char path[32], *back = NULL;
    size_t len = 0;
    for (int i = 0; i < 3 * FILES; i++) {
        int file = i % FILES, first = i < FILES;
        apr_status_t status;
        snprintf(path, sizeof(path), "/file%d", file);
        memset(bytes, 'a' + file % 26, sizeof(bytes));
        if (first) {
            status = vfs_write_file(cache, NULL, path, bytes, sizeof(bytes), 0644);
            if (status != APR_SUCCESS) return status;
            continue;
        }
        apr_pool_t *scratch = NULL;
        status = apr_pool_create(&scratch, pool);
        if (status == APR_SUCCESS)
            status = vfs_read_file(&back, &len, cache, NULL, path, 0, scratch);
        if (status == APR_SUCCESS && (len != sizeof(bytes) || memcmp(back, bytes, len) != 0))
            status = VFS_ECHECKSUM;
        apr_pool_destroy(scratch);
        if (status != APR_SUCCESS) return status;
    }
    return APR_SUCCESS;
}

static apr_status_t report(vfs_t *cache)
{
    cachefs_stats_t stats = {.size = sizeof(stats)};
    apr_status_t status = cachefs_stats(cache, &stats);
    if (status != APR_SUCCESS) return status;
    printf("%llu bytes read, %llu blocks evicted, %llu of %llu bytes of memory in use\n",
           (unsigned long long)(stats.hit_bytes + stats.miss_bytes),
           (unsigned long long)stats.evictions, (unsigned long long)stats.ram_used,
           (unsigned long long)stats.ram_max);
    return stats.evictions > 0 && stats.ram_used <= stats.ram_max ? APR_SUCCESS : APR_EGENERAL;
}

int main(void)
{
    apr_pool_t *pool = NULL;
    vfs_t *origin = NULL, *cache = NULL;
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    char err[256] = "", text[256];
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS) return 4;
    config.policy = "my-fifo";
    config.ram_bytes = 1u << 20;
    config.shards = 1; /* of so little memory, many shards would hold a block or two each */
    apr_status_t status = cachefs_policy_register(&fifo_ops);
    if (status == APR_SUCCESS) status = vfs_mem_create(&origin, 0, pool);
    if (status == APR_SUCCESS)
        status = cachefs_create(&cache, origin, &config, err, sizeof(err), pool);
    if (status == APR_SUCCESS) status = use(cache, pool);
    if (status == APR_SUCCESS) status = report(cache);
    if (status != APR_SUCCESS)
        fprintf(stderr, "custom_policy: %s\n",
                err[0] != '\0' ? err : vfs_strerror(status, text, sizeof(text)));
    if (cache != NULL && vfs_destroy_stack(cache) != APR_SUCCESS && status == APR_SUCCESS)
        status = VFS_EDIRTY;
    apr_pool_destroy(pool);
    apr_terminate();
    return status == APR_SUCCESS ? 0 : 1;
}
