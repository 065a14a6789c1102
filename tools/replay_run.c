/*
 * replay_run.c - a cache of no content: the real policies, and the optimum, over a trace.
 * Floor 4, private to tools/. Entries are the numbers of objects, so a look-up is an index.
 *
 * As in the engine, objects are spread over shards by a mix of their key, each shard has a policy
 * of its own, and all share one capacity: a miss takes its victims from its own shard, from the
 * next ones where that has none. Unlike there, hits are told at once.
 *
 * The optimum (Belady, 1966) drops what is needed again last: a heap of what is resident by the
 * next request. Where sizes count it is a good guess only.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_pools.h>

#include "tools/replay.h"

#define ASK_EVERY 65536u

typedef struct cache_t {
    replay_run_t *run;
    apr_pool_t *pool;
    cachefs_policy_node_t *nodes;
    void *extras;       /* what the policy notes of each object */
    uint32_t *resident; /* bytes that each object takes; 0: not resident */
    void **shards;
    uint64_t used;
    uint64_t clock; /* requests */
    /* the optimum */
    uint32_t *next_of; /* of each request: the next one of its object */
    uint32_t *next;    /* of each object */
    uint32_t *heap;    /* objects, the one needed last on top */
    uint32_t *place;   /* of each object in it */
    uint32_t heap_count;
} cache_t;

static uint32_t bytes_of(const trace_t *trace, uint64_t i)
{
    uint32_t bytes = trace->bytes != NULL ? trace->bytes[i] : 1;
    return bytes != 0 ? bytes : 1;
}

static uint64_t key_of(const void *baton, uint32_t entry)
{
    return ((const trace_t *)baton)->ids[entry];
}

static uint32_t shard_of(const cache_t *cache, uint32_t object)
{
    uint64_t key = cache->run->trace->ids[object] * 0x9e3779b97f4a7c15ull;
    key = (key ^ key >> 32) * 0xd6e8feb86659fd93ull;
    return (uint32_t)((key >> 32) * cache->run->shards >> 32);
}

/* ---- the policies */

static int policies_create(cache_t *cache)
{
    const trace_t *trace = cache->run->trace;
    void *common = NULL;
    uint64_t average = trace->objects_bytes / trace->objects;
    cachefs_policy_config_t config = {.size = sizeof(config), .entries_max = trace->objects};
    config.capacity_bytes = cache->run->capacity / cache->run->shards;
    config.entries_hint = config.capacity_bytes / (average != 0 ? average : 1) + 1;
    config.nodes = cache->nodes;
    config.extras = cache->extras;
    config.key_of = key_of;
    config.key_baton = trace;
    config.shards = cache->run->shards;
    config.common = &common;
    for (; config.shard < config.shards; config.shard++)
        if (cache->run->policy->create(&cache->shards[config.shard], &config, cache->pool) !=
            APR_SUCCESS)
            return -1;
    return 0;
}

/* Until so many bytes fit. */
static void evict(cache_t *cache, uint32_t shard, uint64_t bytes)
{
    const cachefs_policy_ops_t *policy = cache->run->policy;
    while (cache->used + bytes > cache->run->capacity) {
        uint32_t victim = policy->victim(cache->shards[shard]);
        if (victim == CACHEFS_POLICY_NONE) {
            shard = (shard + 1) % cache->run->shards;
            continue;
        }
        cache->used -= cache->resident[victim];
        cache->resident[victim] = 0;
    }
}

static int request(cache_t *cache, uint64_t i)
{
    const trace_t *trace = cache->run->trace;
    const cachefs_policy_ops_t *policy = cache->run->policy;
    uint32_t object = trace->requests[i], bytes, shard;
    shard = cache->run->shards == 1 ? 0 : shard_of(cache, object);
    if (cache->resident[object] != 0) {
        policy->touch(cache->shards[shard], object, 1);
        return 1;
    }
    bytes = bytes_of(trace, i);
    if (bytes > cache->run->capacity) return 0;
    evict(cache, shard, bytes);
    policy->insert(cache->shards[shard], object, trace->ids[object], bytes);
    cache->resident[object] = bytes;
    cache->used += bytes;
    return 0;
}

/* ---- the optimum */

static int optimum_create(cache_t *cache)
{
    const trace_t *trace = cache->run->trace;
    size_t objects = trace->objects;
    cache->next_of = apr_palloc(cache->pool, trace->count * sizeof(uint32_t));
    cache->next = apr_palloc(cache->pool, objects * sizeof(uint32_t));
    cache->heap = apr_palloc(cache->pool, objects * sizeof(uint32_t));
    cache->place = apr_palloc(cache->pool, objects * sizeof(uint32_t));
    if (cache->next_of == NULL || cache->next == NULL || cache->heap == NULL ||
        cache->place == NULL)
        return -1;
    memset(cache->next, 0xff, objects * sizeof(uint32_t));
    for (uint64_t i = trace->count; i-- > 0;) {
        cache->next_of[i] = cache->next[trace->requests[i]];
        cache->next[trace->requests[i]] = (uint32_t)i;
    }
    return 0;
}

static void heap_put(cache_t *cache, uint32_t at, uint32_t object)
{
    cache->heap[at] = object;
    cache->place[object] = at;
}

/* What stands at `at` may be needed later than what is above it. */
static void heap_rise(cache_t *cache, uint32_t at)
{
    uint32_t object = cache->heap[at];
    while (at > 0 && cache->next[cache->heap[(at - 1) / 2]] < cache->next[object]) {
        heap_put(cache, at, cache->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(cache, at, object);
}

static uint32_t heap_pop(cache_t *cache)
{
    uint32_t top = cache->heap[0], object = cache->heap[--cache->heap_count], at = 0, child;
    while ((child = 2 * at + 1) < cache->heap_count) {
        if (child + 1 < cache->heap_count &&
            cache->next[cache->heap[child + 1]] > cache->next[cache->heap[child]])
            child++;
        if (cache->next[cache->heap[child]] <= cache->next[object]) break;
        heap_put(cache, at, cache->heap[child]);
        at = child;
    }
    heap_put(cache, at, object);
    return top;
}

static int request_optimum(cache_t *cache, uint64_t i)
{
    const trace_t *trace = cache->run->trace;
    uint32_t object = trace->requests[i], bytes = bytes_of(trace, i);
    cache->next[object] = cache->next_of[i]; /* never sooner than before: it can only rise */
    if (cache->resident[object] != 0) {
        heap_rise(cache, cache->place[object]);
        return 1;
    }
    if (bytes > cache->run->capacity) return 0;
    while (cache->used + bytes > cache->run->capacity) {
        uint32_t victim = heap_pop(cache);
        cache->used -= cache->resident[victim];
        cache->resident[victim] = 0;
    }
    cache->resident[object] = bytes;
    cache->used += bytes;
    heap_put(cache, cache->heap_count, object);
    heap_rise(cache, cache->heap_count++);
    return 0;
}

/* ---- both */

static int create(cache_t *cache, replay_run_t *run)
{
    memset(cache, 0, sizeof(*cache));
    cache->run = run;
    if (apr_pool_create(&cache->pool, NULL) != APR_SUCCESS) return -1;
    cache->resident = apr_pcalloc(cache->pool, run->trace->objects * sizeof(uint32_t));
    if (cache->resident == NULL) return -1;
    if (run->policy == NULL) return optimum_create(cache);
    cache->nodes = apr_pcalloc(cache->pool, run->trace->objects * sizeof(*cache->nodes));
    cache->extras =
        apr_pcalloc(cache->pool, (size_t)run->trace->objects * run->policy->entry_bytes + 1);
    cache->shards = apr_pcalloc(cache->pool, run->shards * sizeof(void *));
    if (cache->nodes == NULL || cache->extras == NULL || cache->shards == NULL) return -1;
    return policies_create(cache);
}

int replay_run(replay_run_t *run)
{
    cache_t cache;
    int result = create(&cache, run);
    run->misses = run->missed_bytes = 0;
    for (uint64_t i = 0; i < run->trace->count && result == 0; i++) {
        int hit = run->policy != NULL ? request(&cache, i) : request_optimum(&cache, i);
        run->misses += !hit;
        if (!hit) run->missed_bytes += run->trace->bytes != NULL ? run->trace->bytes[i] : 1;
        if (i % ASK_EVERY == 0 && run->stopped != NULL && run->stopped(run->baton)) result = 1;
    }
    if (cache.pool != NULL) apr_pool_destroy(cache.pool);
    return result;
}
