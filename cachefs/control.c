/*
 * control.c - what only a cache can do: invalidate, flush, prefetch, pin, ask what is cached.
 * Floor 2. Implements cachefs.h together with layer.c and borrow.c.
 */
#include "cachefs/engine.h"

static cache_t *the_cache(vfs_t *fs)
{
    return cachefs_is(fs) ? cachefs__of(fs) : NULL;
}

#define CACHE_OF(c, fs)                                                                            \
    cache_t *c = the_cache(fs);                                                                    \
    if (!c) return APR_EINVAL

/* ---- invalidation
 * ----------------------------------------------------------------------------------------- */

apr_status_t cachefs_invalidate(vfs_t *fs, const char *path, uint64_t *count, uint64_t *dirty_kept)
{
    CACHE_OF(c, fs);
    return cachefs_invalidate_batch(c->fs, &path, 1, count, dirty_kept);
}

static int match_within(void *baton, const vfs_path_t *path)
{
    return vfs_path_within(path, baton);
}

static int match_glob(void *baton, const vfs_path_t *path)
{
    return vfs_glob_match(baton, path->str);
}

static int match_all(void *baton, const vfs_path_t *path)
{
    (void)baton;
    (void)path;
    return 1;
}

static apr_status_t sweep(cache_t *c, cachefs__match_fn match, const void *baton, uint64_t *count,
                          uint64_t *dirty_kept)
{
    uint64_t dirty = 0;
    uint64_t n = cachefs__node_sweep(c, match, (void *)(uintptr_t)baton, 0, &dirty);
    if (count) *count = n;
    if (dirty_kept) *dirty_kept = dirty;
    return APR_SUCCESS;
}

apr_status_t cachefs_invalidate_prefix(vfs_t *fs, const char *path, uint64_t *count,
                                       uint64_t *dirty_kept)
{
    CACHE_OF(c, fs);
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t prefix;
    apr_status_t st = vfs_path_init(&prefix, path, buf);
    return st ? st : sweep(c, match_within, &prefix, count, dirty_kept);
}

apr_status_t cachefs_invalidate_glob(vfs_t *fs, const char *pattern, uint64_t *count,
                                     uint64_t *dirty_kept)
{
    CACHE_OF(c, fs);
    VFS_CHECK_ARG(pattern && pattern[0] == '/');
    VFS_CHECK_ARG(cachefs__glob_valid(pattern));
    return sweep(c, match_glob, pattern, count, dirty_kept);
}

apr_status_t cachefs_clear(vfs_t *fs, uint64_t *dirty_kept)
{
    CACHE_OF(c, fs);
    uint64_t dirty = 0;
    (void)cachefs__node_sweep(c, match_all, NULL, 0, &dirty);
    (void)cachefs__node_sweep(c, match_all, NULL, 1, NULL);
    for (uint32_t hint = 0; cachefs__evict_one(c, hint); hint++) {
    } /* blocks of versions that nothing leads to any more */
    (void)cachefs__shrink(c, UINT64_MAX);
    if (dirty_kept) *dirty_kept = atomic_load(&c->dirty_bytes);
    return APR_SUCCESS;
}

/* ---- one path
 * ------------------------------------------------------------------------------------------------
 */

/* The object with dirty data that has this name, referenced, or NULL: its node may have been
 * evicted or cleared, what is dirty of it stays. */
static obj_t *dirty_named(cache_t *c, const vfs_path_t *path)
{
    if (!atomic_load(&c->dirty_bytes)) return NULL;
    obj_t **objs, *found = NULL;
    size_t n;
    if (cachefs__dirty_all(c, &objs, &n)) return NULL;
    for (size_t i = 0; i < n; i++) {
        char buf[VFS_PATH_MAX + 1];
        vfs_path_t name;
        cachefs__obj_lock(c, objs[i]);
        int same = !found && !cachefs__obj_name(c, objs[i], &name, buf) && name.len == path->len &&
                   memcmp(name.str, path->str, name.len) == 0;
        cachefs__obj_unlock(c, objs[i]);
        if (same)
            found = objs[i];
        else
            cachefs__obj_put(c, objs[i]);
    }
    free(objs);
    return found;
}

/* The object that a path is cached as, referenced, links followed where that is cached. */
static obj_t *cached_obj(cache_t *c, const vfs_path_t *path, cachefs__known_e *known, int *negative)
{
    obj_t *o = NULL;
    *known = cachefs__node_find(c, path, 0, &o, negative);
    if (o) {
        cachefs__obj_lock(c, o);
        int is_link = o->attr.type == VFS_TYPE_LINK;
        cachefs__obj_unlock(c, o);
        if (!is_link) return o;
        cachefs__obj_put(c, o);
        o = NULL;
    } else if (*negative) {
        return NULL;
    }
    *known = cachefs__node_find(c, path, 1, &o, negative);
    return o ? o : dirty_named(c, path);
}

apr_status_t cachefs_discard(vfs_t *fs, const char *path, uint64_t *bytes)
{
    CACHE_OF(c, fs);
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t p;
    cachefs__known_e known;
    int negative;
    apr_status_t st = vfs_path_init(&p, path, buf);
    if (st) return st;
    if (bytes) *bytes = 0;
    obj_t *o = cached_obj(c, &p, &known, &negative);
    if (!o) return APR_NOTFOUND;
    st = cachefs__flush_begin(c, o, NULL);
    if (!st) {
        uint64_t gone = cachefs__dirty_discard(c, o, 0);
        if (bytes) *bytes = gone;
        cachefs__obj_lock(c, o);
        o->local_mtime_ns = 0;
        o->flags |= OBJ_ATTR_OLD;
        cachefs__obj_unlock(c, o);
        cachefs__flush_end(c, o);
        if (gone) cachefs__obj_drop_clean(c, o, NULL);
    }
    cachefs__obj_put(c, o);
    return st;
}

/* Until it is clean or the time is over; with 0 once. */
static apr_status_t flush_until(cache_t *c, const vfs_ctx_t *ctx, obj_t *o, const vfs_path_t *tree,
                                uint64_t timeout_us)
{
    int64_t end = cachefs__clock_us() + (int64_t)timeout_us;
    for (;;) {
        apr_status_t st = o ? cachefs__flush_obj(c, o, ctx) : cachefs__flush_tree(c, ctx, tree);
        if (!st || !timeout_us) return st;
        if (cachefs__clock_us() >= end) return APR_TIMEUP;
        apr_status_t gone = vfs_ctx_check(ctx);
        if (gone) return gone;
        struct timespec nap = {0, 20000000};
        nanosleep(&nap, NULL);
    }
}

apr_status_t cachefs_flush(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, uint64_t timeout_us)
{
    CACHE_OF(c, fs);
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t p;
    cachefs__known_e known;
    int negative;
    apr_status_t st = vfs_path_init(&p, path ? path : "/", buf);
    if (st) return st;
    obj_t *o = path ? cached_obj(c, &p, &known, &negative) : NULL;
    int is_file = 0;
    if (o) {
        cachefs__obj_lock(c, o);
        is_file = o->attr.type == VFS_TYPE_FILE;
        cachefs__obj_unlock(c, o);
    }
    st = flush_until(c, ctx, is_file ? o : NULL, &p, timeout_us);
    if (o) cachefs__obj_put(c, o);
    return st;
}

/* ---- prefetch
 * ---------------------------------------------------------------------------------------------------
 */

apr_status_t cachefs_prefetch(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t off, apr_off_t len,
                              uint64_t *fetched)
{
    uint64_t bytes = 0;
    VFS_CHECK_ARG(file && off >= 0 && len >= 0);
    VFS_CHECK_ARG(cachefs_is(vfs_file_fs(file)));
    if (!(vfs_file_flags(file) & VFS_O_READ)) return APR_EBADF;
    handle_t *h = cachefs__handle(file);
    uint64_t end = len ? (uint64_t)off + (uint64_t)len : UINT64_MAX;
    apr_status_t st = cachefs__prefetch(h->cache, h->obj, ctx, (uint64_t)off, end, 0, &bytes);
    if (fetched) *fetched = bytes;
    return st;
}

apr_status_t cachefs_prefetch_path(vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                                   uint64_t *bytes, uint64_t *fetched)
{
    CACHE_OF(c, fs);
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t p;
    vfs_attr_t attr = {0};
    obj_t *o = NULL;
    uint64_t got = 0, asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
    if (bytes) *bytes = 0;
    if (fetched) *fetched = 0;
    apr_status_t st = vfs_path_init(&p, path, buf);
    if (!st) st = cachefs__lookup(c, ctx, &p, LOOKUP_FOLLOW | LOOKUP_BYTES, &o, &attr, NULL);
    if (st) return st;
    got = cachefs__lookup_fetched();
    if (attr.type == VFS_TYPE_DIR) st = APR_FROM_OS_ERROR(EISDIR);
    if (!st && attr.type != VFS_TYPE_FILE) st = APR_EINVAL;
    if (!st) {
        cachefs__obj_name_seen(c, o, &p, asked);
        cachefs__hold(c, o);
        st = cachefs__prefetch(c, o, ctx, 0, UINT64_MAX, 0, &got);
        cachefs__unhold(c, o);
        if (bytes) *bytes = atomic_load(&o->size);
    }
    if (fetched) *fetched = got;
    cachefs__obj_put(c, o);
    return st;
}

apr_status_t cachefs_pin(vfs_t *fs, const char *path, int pinned)
{
    CACHE_OF(c, fs);
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t p;
    cachefs__known_e known;
    int negative;
    apr_status_t st = vfs_path_init(&p, path, buf);
    if (st) return st;
    obj_t *o = cached_obj(c, &p, &known, &negative);
    if (!o) return APR_NOTFOUND;
    cachefs__obj_lock(c, o);
    o->pins = pinned != 0;
    uint64_t ver = atomic_load(&o->ver), size = atomic_load(&o->size);
    uint32_t shift = atomic_load(&o->shift);
    cachefs__obj_unlock(c, o);
    uint64_t count = shift && size ? ((size - 1) >> shift) + 1 : 0;
    for (uint64_t no = 0; no < count && !st; no++)
        st = cachefs__block_keep(c, ver, (uint32_t)no, pinned);
    cachefs__obj_put(c, o);
    return st;
}

/* ---- batches
 * ------------------------------------------------------------------------------------------------------
 */

typedef struct item_t {
    vfs_path_t path;
    uint32_t shard;
    uint32_t index; /* place in the caller's array */
    apr_status_t status;
    cachefs__names_t names;
    char *buf;
} item_t;

static int by_shard(const void *a, const void *b)
{
    const item_t *x = a, *y = b;
    return x->shard < y->shard   ? -1
           : x->shard > y->shard ? 1
                                 : (x->index > y->index) - (x->index < y->index);
}

/* Find the nodes of all paths, each shard's lock taken once. The objects come referenced. */
static item_t *batch_find(cache_t *c, const char *const *paths, size_t count, int expire)
{
    item_t *items = calloc(count ? count : 1, sizeof(*items));
    if (!items) return NULL;
    for (size_t i = 0; i < count; i++) {
        char buf[VFS_PATH_MAX + 1];
        items[i].index = (uint32_t)i;
        items[i].status = vfs_path_init(&items[i].path, paths[i], buf);
        if (items[i].status) continue;
        if (items[i].path.str == buf) {
            items[i].buf = strdup(buf);
            items[i].path.str = items[i].buf;
            if (!items[i].buf) items[i].status = APR_ENOMEM;
        }
        items[i].shard = (uint32_t)(cachefs__node_shard(c, items[i].path.hash) - c->shards);
    }
    if (count > 1) qsort(items, count, sizeof(*items), by_shard);
    for (size_t i = 0; i < count;) {
        size_t end = i;
        shard_t *s = &c->shards[items[i].shard];
        cachefs__lock(&s->lock, RANK_SHARD);
        for (; end < count && items[end].shard == items[i].shard; end++)
            if (!items[end].status)
                cachefs__names_locked(c, s, &items[end].path, expire, &items[end].names);
        cachefs__unlock(&s->lock, RANK_SHARD);
        i = end;
    }
    for (size_t i = 0; i < count; i++) {
        cachefs__names_t *n = &items[i].names;
        if (items[i].status || n->known[0] != KNOWN_NOTHING || n->known[1] != KNOWN_NOTHING)
            continue;
        n->obj[0] = dirty_named(c, &items[i].path);
        if (n->obj[0]) n->known[0] = KNOWN_STALE;
    }
    return items;
}

static void batch_free(cache_t *c, item_t *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (int k = 0; k < 2; k++)
            if (items[i].names.obj[k]) cachefs__obj_put(c, items[i].names.obj[k]);
        free(items[i].buf);
    }
    free(items);
}

apr_status_t cachefs_invalidate_batch(vfs_t *fs, const char *const *paths, size_t count,
                                      uint64_t *affected, uint64_t *dirty_kept)
{
    CACHE_OF(c, fs);
    VFS_CHECK_ARG(paths || !count);
    uint64_t n = 0, dirty = 0;
    apr_status_t st = APR_SUCCESS;
    item_t *items = batch_find(c, paths, count, 1);
    if (!items) return APR_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        if (items[i].status && !st) st = items[i].status;
        n += items[i].names.known[0] != KNOWN_NOTHING || items[i].names.known[1] != KNOWN_NOTHING;
        for (int k = 0; k < 2; k++)
            if (items[i].names.obj[k]) cachefs__obj_drop_clean(c, items[i].names.obj[k], &dirty);
    }
    batch_free(c, items, count);
    if (affected) *affected = n;
    if (dirty_kept) *dirty_kept = dirty;
    return st;
}

static void entry_of(cache_t *c, const item_t *item, cachefs_entry_t *e)
{
    memset(e, 0, sizeof(*e));
    e->status = item->status;
    if (item->status) return;
    int k = item->names.obj[0] ? 0 : 1;
    if (item->names.obj[0] && item->names.obj[1]) k = 1; /* a link, and what it leads to */
    obj_t *o = item->names.obj[k];
    if (!o) {
        e->negative = item->names.negative[0] || item->names.negative[1];
        e->fresh = item->names.known[0] == KNOWN_ABSENT || item->names.known[1] == KNOWN_ABSENT;
        if (!e->negative) e->status = APR_NOTFOUND;
        return;
    }
    cachefs__obj_lock(c, o);
    e->size = o->attr.type == VFS_TYPE_FILE ? atomic_load(&o->size) : o->attr.size;
    e->resident = atomic_load(&o->resident);
    if (e->resident > e->size && o->attr.type == VFS_TYPE_FILE) e->resident = e->size;
    e->dirty = o->dirty_bytes;
    if (o->dirty_bytes) e->dirty_age_us = (uint64_t)(cachefs__clock_us() - o->dirty_since_us);
    e->fresh =
        item->names.known[k] == KNOWN_FRESH && cachefs__obj_fresh(c, o, item->names.ttl_us[k]);
    e->pinned = o->pins != 0;
    cachefs__obj_unlock(c, o);
}

apr_status_t cachefs_entries(vfs_t *fs, const char *const *paths, size_t count,
                             cachefs_entry_t *out)
{
    CACHE_OF(c, fs);
    VFS_CHECK_ARG((paths && out) || !count);
    item_t *items = batch_find(c, paths, count, 0);
    if (!items) return APR_ENOMEM;
    for (size_t i = 0; i < count; i++)
        entry_of(c, &items[i], &out[items[i].index]);
    batch_free(c, items, count);
    return APR_SUCCESS;
}

apr_status_t cachefs_entry(vfs_t *fs, const char *path, cachefs_entry_t *out)
{
    VFS_CHECK_ARG(out);
    apr_status_t st = cachefs_entries(fs, &path, 1, out);
    return st ? st : out->status;
}

apr_status_t cachefs_flush_batch(vfs_t *fs, const vfs_ctx_t *ctx, const char *const *paths,
                                 size_t count, apr_status_t *status)
{
    CACHE_OF(c, fs);
    VFS_CHECK_ARG(paths || !count);
    apr_status_t first = APR_SUCCESS;
    item_t *items = batch_find(c, paths, count, 0);
    if (!items) return APR_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        apr_status_t st = items[i].status;
        for (int k = 0; k < 2 && !st; k++)
            if (items[i].names.obj[k]) st = cachefs__flush_obj(c, items[i].names.obj[k], ctx);
        if (status) status[items[i].index] = st;
        if (st && !first) first = st;
    }
    batch_free(c, items, count);
    return first;
}

typedef struct fetch_job_t {
    cache_t *cache;
    const vfs_ctx_t *ctx;
    const char *const *paths;
    apr_status_t *status;
    size_t count;
    _Atomic size_t next, running;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    apr_status_t first;
} fetch_job_t;

static void fetch_work(void *baton)
{
    fetch_job_t *j = baton;
    size_t i;
    while ((i = atomic_fetch_add(&j->next, 1)) < j->count) {
        apr_status_t st = cachefs_prefetch_path(j->cache->fs, j->ctx, j->paths[i], NULL, NULL);
        if (j->status) j->status[i] = st;
        cachefs__lock(&j->lock, RANK_LEAF);
        if (st && !j->first) j->first = st;
        cachefs__unlock(&j->lock, RANK_LEAF);
    }
    cachefs__lock(&j->lock, RANK_LEAF);
    atomic_fetch_sub(&j->running, 1);
    pthread_cond_broadcast(&j->cond);
    cachefs__unlock(&j->lock, RANK_LEAF);
}

apr_status_t cachefs_prefetch_batch(vfs_t *fs, const vfs_ctx_t *ctx, const char *const *paths,
                                    size_t count, apr_status_t *status)
{
    CACHE_OF(c, fs);
    VFS_CHECK_ARG(paths || !count);
    fetch_job_t j = {
        .cache = c, .ctx = ctx, .paths = paths, .status = status, .count = count, .running = 1};
    pthread_mutex_init(&j.lock, NULL);
    pthread_cond_init(&j.cond, NULL);
    for (uint32_t i = 1; i < c->fixed.workers && i < count; i++) {
        atomic_fetch_add(&j.running, 1);
        if (vfs_workers_try(c->workers, fetch_work, &j)) {
            atomic_fetch_sub(&j.running, 1);
            break; /* the workers are busy: those that we have do it all */
        }
    }
    fetch_work(&j); /* the caller's thread works too */
    cachefs__lock(&j.lock, RANK_LEAF);
    while (atomic_load(&j.running))
        pthread_cond_wait(&j.cond, &j.lock);
    cachefs__unlock(&j.lock, RANK_LEAF);
    pthread_mutex_destroy(&j.lock);
    pthread_cond_destroy(&j.cond);
    return j.first;
}

/* ---- figures
 * ----------------------------------------------------------------------------------------------------------
 */

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
        FIELD(checksum_errors, CNT_CHECKSUM_ERRORS),
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
    s.open_handles = atomic_load(&c->handle_count);
    s.dirty_bytes = atomic_load(&c->dirty_bytes);
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    s.dirty_files = c->wb_files;
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    s.oldest_dirty_age_us = oldest_age(c);
    s.pinned_bytes = atomic_load(&c->pinned_bytes);
    memcpy(out, &s, out->size);
    return APR_SUCCESS;
}

apr_status_t cachefs_shard_stats(vfs_t *fs, uint64_t *names, uint64_t *blocks, size_t count)
{
    CACHE_OF(c, fs);
    VFS_CHECK_ARG(count == c->shard_count);
    for (size_t i = 0; i < count; i++) {
        cachefs__lock(&c->shards[i].lock, RANK_SHARD);
        if (names) names[i] = c->shards[i].names;
        if (blocks) blocks[i] = c->shards[i].blocks;
        cachefs__unlock(&c->shards[i].lock, RANK_SHARD);
    }
    return APR_SUCCESS;
}

apr_status_t cachefs_stats_reset(vfs_t *fs)
{
    CACHE_OF(c, fs);
    for (unsigned i = 0; i < COUNTER_STRIPES; i++)
        for (int k = 0; k < CNT_COUNT; k++)
            atomic_store_explicit(&c->counters.stripes[i].v[k], 0, memory_order_relaxed);
    metrics_reset(c->metrics);
    return APR_SUCCESS;
}

metrics_registry_t *cachefs_metrics(vfs_t *fs)
{
    cache_t *c = the_cache(fs);
    return c ? c->metrics : NULL;
}

apr_status_t cachefs_on_heat(vfs_t *fs, cachefs_heat_fn fn, void *baton)
{
    CACHE_OF(c, fs);
    atomic_store(&c->heat_fn, (cachefs_heat_fn)NULL); /* never a new function with an old baton */
    atomic_store(&c->heat_baton, baton);
    atomic_store(&c->heat_fn, fn);
    return APR_SUCCESS;
}
