/*
 * figures.c - what a cache can tell of itself: statistics, metrics, heat.
 * Floor 2. Part of cachefs.h.
 */
#include "cachefs/engine.h"

static uint64_t oldest_age(cache_t *c)
{
    int64_t since = cachefs__dirty_oldest(c);
    return since == INT64_MAX ? 0 : (uint64_t)(cachefs__clock_us() - since);
}

apr_status_t cachefs_stats(vfs_t *fs, cachefs_stats_t *out)
{
    CACHE_OF(c, fs);
    VFS_CHECK_ARG(out && out->size >= sizeof(size_t) && out->size <= sizeof(*out));
    cachefs_stats_t s = {.size = out->size};
    static const struct {
        size_t at;
        counter_e what;
    } map[] = {
#define FIELD(f, w) {offsetof(cachefs_stats_t, f), w}
        FIELD(hits, CNT_HITS),
        FIELD(misses, CNT_MISSES),
        FIELD(hit_bytes, CNT_HIT_BYTES),
        FIELD(miss_bytes, CNT_MISS_BYTES),
        FIELD(attr_hits, CNT_ATTR_HITS),
        FIELD(attr_misses, CNT_ATTR_MISSES),
        FIELD(negative_hits, CNT_NEGATIVE_HITS),
        FIELD(listing_hits, CNT_LISTING_HITS),
        FIELD(listing_misses, CNT_LISTING_MISSES),
        FIELD(writes, CNT_WRITES),
        FIELD(opens, CNT_OPENS),
        FIELD(backend_reads, CNT_BACKEND_READS),
        FIELD(backend_read_bytes, CNT_BACKEND_READ_BYTES),
        FIELD(backend_writes, CNT_BACKEND_WRITES),
        FIELD(backend_write_bytes, CNT_BACKEND_WRITE_BYTES),
        FIELD(backend_calls, CNT_BACKEND_CALLS),
        FIELD(evictions, CNT_EVICTIONS),
        FIELD(evicted_bytes, CNT_EVICTED_BYTES),
        FIELD(compacted_bytes, CNT_COMPACTED_BYTES),
        FIELD(metadata_evictions, CNT_METADATA_EVICTIONS),
        FIELD(invalidations, CNT_INVALIDATIONS),
        FIELD(flushes, CNT_FLUSHES),
        FIELD(flush_errors, CNT_FLUSH_ERRORS),
        FIELD(flush_retries, CNT_FLUSH_RETRIES),
        FIELD(conflicts, CNT_CONFLICTS),
        FIELD(readahead_bytes, CNT_READAHEAD_BYTES),
        FIELD(readahead_wasted_bytes, CNT_READAHEAD_WASTED),
        FIELD(single_flight_waits, CNT_WAITS),
        FIELD(revalidations, CNT_REVALIDATIONS),
        FIELD(stale_served, CNT_STALE_SERVED),
#undef FIELD
    };
    for (size_t i = 0; i < sizeof(map) / sizeof(*map); i++) {
        uint64_t v = cachefs__counter(&c->counters, map[i].what);
        memcpy((char *)&s + map[i].at, &v, sizeof(v));
    }
    s.reads = s.hits + s.misses;
    s.ram_used = atomic_load(&c->arena.used_bytes);
    s.ram_max = c->arena.bytes;
    s.resident_bytes = atomic_load(&c->resident_bytes);
    s.blocks = atomic_load(&c->block_count);
    s.names = atomic_load(&c->name_count);
    s.files = atomic_load(&c->obj_count);
    s.open_handles = cachefs__handles_open(c);
    s.dirty_bytes = atomic_load(&c->dirty_bytes);
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    s.dirty_files = c->wb_files;
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    s.oldest_dirty_age_us = oldest_age(c);
    s.retrying_files = atomic_load(&c->retrying);
    s.retry_error = s.retrying_files ? (uint64_t)atomic_load(&c->retry_error) : 0;
    s.pinned_bytes = cachefs__pinned(c);
    cachefs__l2_stats_t l2;
    cachefs__tier_stats(c, &l2);
    s.l2_hits = l2.hits;
    s.l2_misses = l2.misses;
    s.l2_hit_bytes = l2.hit_bytes;
    s.l2_put_bytes = l2.put_bytes;
    s.l2_written_bytes = l2.written_bytes;
    s.l2_bytes = l2.bytes;
    s.l2_index_bytes = l2.index_bytes;
    s.l2_bad = l2.bad;
    s.l2_errors = l2.errors;
    cachefs__durable_stats(c, &s);
    memcpy(out, &s, out->size);
    return APR_SUCCESS;
}

/* ---- the files with dirty data */

typedef struct aged_t {
    obj_t *obj;
    int64_t since_us;
} aged_t;

static int by_age(const void *a, const void *b)
{
    int64_t one = ((const aged_t *)a)->since_us, other = ((const aged_t *)b)->since_us;
    return (one > other) - (one < other);
}

/* 0: it is clean meanwhile. */
static int look(cache_t *c, obj_t *o, int64_t now, char *buf, cachefs_dirty_t *file)
{
    vfs_path_t path;
    cachefs__obj_look(c, o);
    int64_t since = atomic_load(&o->dirty_since_us);
    *file = (cachefs_dirty_t){.size = sizeof(*file), .bytes = o->dirty_bytes};
    if (!cachefs__obj_name(c, o, &path, buf)) file->path = path.str;
    if (now > since) file->age_us = (uint64_t)(now - since);
    if (o->retry_wait_us) file->error = o->err;
    if (o->retry_wait_us && o->retry_at_us > now) file->retry_us = (uint64_t)(o->retry_at_us - now);
    cachefs__obj_looked(c, o);
    return file->bytes != 0;
}

apr_status_t cachefs_dirty_files(vfs_t *fs, size_t max, cachefs_dirty_fn fn, void *baton)
{
    CACHE_OF(c, fs);
    VFS_CHECK_ARG(fn);
    char buf[VFS_PATH_MAX + 1];
    cachefs_dirty_t file;
    obj_t **objs;
    size_t n;
    int64_t now = cachefs__clock_us();
    apr_status_t st = cachefs__dirty_all(c, &objs, &n);
    aged_t *aged = st ? NULL : malloc((n + 1) * sizeof(*aged));
    if (!st && !aged) st = APR_ENOMEM;
    for (size_t i = 0; aged && i < n; i++)
        aged[i] = (aged_t){objs[i], atomic_load(&objs[i]->dirty_since_us)};
    if (aged) qsort(aged, n, sizeof(*aged), by_age);
    for (size_t i = 0; aged && i < n && max; i++) {
        if (!look(c, aged[i].obj, now, buf, &file)) continue;
        fn(baton, &file);
        max--;
    }
    for (size_t i = 0; i < n; i++)
        cachefs__obj_put(c, objs[i]);
    free(aged);
    free(objs);
    return st;
}

apr_status_t cachefs_shard_stats(vfs_t *fs, uint64_t *names, uint64_t *blocks, size_t count)
{
    CACHE_OF(c, fs);
    VFS_CHECK_ARG(count == c->part_count);
    for (size_t i = 0; i < count; i++) {
        shard_t *s = &c->shards[i >> (c->part_bits - c->shard_bits)];
        cachefs__lock(&s->lock, RANK_SHARD);
        if (names) names[i] = c->parts[i].names;
        if (blocks) blocks[i] = c->parts[i].blocks;
        cachefs__unlock(&s->lock, RANK_SHARD);
    }
    return APR_SUCCESS;
}

apr_status_t cachefs_stats_reset(vfs_t *fs)
{
    CACHE_OF(c, fs);
    cachefs__counters_reset(&c->counters);
    metrics_reset(c->metrics);
    if (c->l2) cachefs__l2_stats_reset(c->l2);
    return APR_SUCCESS;
}

metrics_registry_t *cachefs_metrics(vfs_t *fs)
{
    cache_t *c = cachefs__if_cache(fs);
    return c ? c->metrics : NULL;
}

/* The pair of a function and its baton, published as one and kept until the cache ends. The
 * configuration is locked. */
static cachefs__heat_t *heat_of(cache_t *c, cachefs_heat_fn fn, void *baton)
{
    for (cachefs__heat_t *h = c->heats; h; h = h->older)
        if (h->fn == fn && h->baton == baton) return h;
    cachefs__heat_t *heat = malloc(sizeof(*heat));
    if (!heat) return NULL;
    *heat = (cachefs__heat_t){c->heats, fn, baton};
    return c->heats = heat;
}

apr_status_t cachefs_on_heat(vfs_t *fs, cachefs_heat_fn fn, void *baton)
{
    CACHE_OF(c, fs);
    cachefs__lock(&c->config_lock, RANK_LEAF);
    cachefs__heat_t *heat = fn ? heat_of(c, fn, baton) : NULL;
    if (!fn || heat) atomic_store_explicit(&c->heat, heat, memory_order_release);
    cachefs__unlock(&c->config_lock, RANK_LEAF);
    return !fn || heat ? APR_SUCCESS : APR_ENOMEM;
}
