/*
 * batch.c - many paths at once: ask what is cached, invalidate, flush, prefetch. Floor 2. Part of
 * cachefs.h.
 */
#include "cachefs/engine.h"
#include "cachefs/hit.h"

#define SOME 1024u /* paths for which each shard's lock is taken once */
#define GROUP 32u  /* paths whose nodes are fetched side by side */

typedef struct item_t {
    vfs_path_t path;
    apr_status_t status;
    cachefs__names_t names;
    char *buf;
} item_t;

static void batch_free(cache_t *c, item_t *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (int k = 0; k < 2; k++)
            if (items[i].names.obj[k]) cachefs__obj_put(c, items[i].names.obj[k]);
        free(items[i].buf);
    }
    free(items);
}

/* Those without a node may be dirty all the same. 0: no memory. */
static int find_dirty(cache_t *c, item_t *items, size_t count)
{
    size_t n = 0;
    if (!atomic_load(&c->dirty_bytes)) return 1;
    cachefs__wanted_t *wanted = calloc(count + 1, sizeof(*wanted));
    if (!wanted) return 0;
    for (size_t i = 0; i < count; i++) {
        const cachefs__names_t *k = &items[i].names;
        if (!items[i].status && k->known[0] == KNOWN_NOTHING && k->known[1] == KNOWN_NOTHING)
            wanted[n++] = (cachefs__wanted_t){.path = &items[i].path, .tag = i};
    }
    cachefs__dirty_named(c, wanted, n);
    for (size_t k = 0; k < n; k++) {
        if (!wanted[k].obj) continue;
        items[wanted[k].tag].names.obj[0] = wanted[k].obj;
        items[wanted[k].tag].names.known[0] = KNOWN_STALE;
    }
    free(wanted);
    return 1;
}

/* The path of an item that is not plain. */
static void item_path(item_t *item, const char *raw)
{
    char buf[VFS_PATH_MAX + 1];
    item->status = vfs_path_init(&item->path, raw, buf);
    if (item->status || item->path.str != buf) return;
    item->buf = strdup(buf);
    item->path.str = item->buf;
    if (!item->buf) item->status = APR_ENOMEM;
}

/* A group of paths, and what the processor will need to find their nodes. */
static void items_init(cache_t *c, item_t *items, uint32_t *shards, const char *const *paths,
                       size_t count)
{
    vfs_path_t path[GROUP];
    vfs_path_init_many(path, paths, count);
    for (size_t i = 0; i < count; i++) {
        items[i].path = path[i];
        if (!path[i].str) item_path(&items[i], paths[i]);
        if (items[i].status) continue;
        shards[i] = (uint32_t)(cachefs__node_shard(c, items[i].path.hash) - c->shards);
        if (count > 1) cachefs__peek_head(c, &items[i].path);
    }
    for (size_t i = 0; count > 1 && i < count; i++)
        if (!items[i].status) cachefs__peek_node(c, &items[i].path);
}

/* Find the nodes of all paths, each shard's lock taken once. The objects come referenced. */
static item_t *batch_find(cache_t *c, const char *const *paths, size_t count, int expire)
{
    item_t *items = calloc(count + 1, sizeof(*items) + 2 * sizeof(uint32_t));
    if (!items) return NULL;
    uint32_t *order = (uint32_t *)(void *)(items + count + 1), *shards = order + count + 1;
    int64_t now = cachefs__now_us();
    for (size_t i = 0; i < count; i += GROUP)
        items_init(c, items + i, shards + i, paths + i, count - i < GROUP ? count - i : GROUP);
    if (count > 1) cachefs__sort_by(shards, c->shard_count, count, order); /* the one is at 0 */
    for (size_t i = 0; i < count;) {
        uint32_t shard = shards[order[i]];
        shard_t *s = &c->shards[shard];
        cachefs__lock(&s->lock, RANK_SHARD);
        for (; i < count && shards[order[i]] == shard; i++) {
            item_t *item = &items[order[i]];
            if (!item->status) cachefs__names_locked(c, s, &item->path, expire, now, &item->names);
        }
        cachefs__unlock(&s->lock, RANK_SHARD);
    }
    if (find_dirty(c, items, count)) return items;
    batch_free(c, items, count);
    return NULL;
}

static size_t some(size_t left)
{
    return left < SOME ? left : SOME;
}

/* Objects that are made to ask again, and what they had. */
typedef struct dropping_t {
    obj_t *obj;
    cachefs__dropped_t was;
} dropping_t;

/* Drop what is clean of these objects, the lock of each stripe and shard taken once. */
static apr_status_t drop_clean(cache_t *c, dropping_t *of, size_t count, uint64_t *dirty)
{
    uint32_t *order = calloc(2 * count, sizeof(*order));
    cachefs__drops_t drops;
    if (!order) return APR_ENOMEM;
    uint32_t *stripe = order + count;
    for (size_t i = 0; i < count; i++)
        stripe[i] = cachefs__obj_index(c, of[i].obj) % OSTRIPES;
    cachefs__sort_by(stripe, OSTRIPES, count, order);
    for (size_t i = 0; i < count;) {
        const obj_t *first = of[order[i]].obj;
        cachefs__obj_look(c, first);
        for (uint32_t at = stripe[order[i]]; i < count && stripe[order[i]] == at; i++) {
            dropping_t *one = &of[order[i]];
            cachefs__obj_seq_begin(one->obj);
            cachefs__obj_drop_begin(c, one->obj, dirty, &one->was);
            cachefs__obj_seq_end(one->obj);
        }
        cachefs__obj_looked(c, first);
    }
    drops.cache = c;
    drops.count = 0;
    for (size_t i = 0; i < count; i++) /* of a dirty version the clean blocks */
        cachefs__drops_add(&drops, of[i].obj, &of[i].was);
    cachefs__drops_run(&drops);
    free(order);
    return APR_SUCCESS;
}

static apr_status_t drop_objects(cache_t *c, const item_t *items, size_t count, uint64_t *dirty)
{
    size_t n = 0;
    apr_status_t st = APR_SUCCESS;
    dropping_t *of = malloc((2 * count + 1) * sizeof(*of));
    if (!of) return APR_ENOMEM;
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < 2; k++)
            if (items[i].names.obj[k]) of[n++].obj = items[i].names.obj[k];
    if (n > 1)
        st = drop_clean(c, of, n, dirty);
    else if (n)
        cachefs__obj_drop_clean(c, of[0].obj, dirty);
    free(of);
    return st;
}

static apr_status_t invalidate_some(cache_t *c, const char *const *paths, size_t count, uint64_t *n,
                                    uint64_t *dirty)
{
    item_t *items = batch_find(c, paths, count, 1);
    if (!items) return APR_ENOMEM;
    apr_status_t st = drop_objects(c, items, count, dirty);
    for (size_t i = 0; i < count; i++) {
        const cachefs__names_t *names = &items[i].names;
        if (items[i].status && !st) st = items[i].status;
        *n += names->known[0] != KNOWN_NOTHING || names->known[1] != KNOWN_NOTHING;
    }
    batch_free(c, items, count);
    return st;
}

apr_status_t cachefs_invalidate_batch(vfs_t *fs, const char *const *paths, size_t count,
                                      uint64_t *affected, uint64_t *dirty_kept)
{
    CACHE_OF(c, fs);
    VFS_CHECK_ARG(paths || !count);
    uint64_t n = 0, dirty = 0;
    apr_status_t st = APR_SUCCESS;
    cachefs__listed_forget(c, NULL);
    for (size_t i = 0; i < count; i += SOME) {
        apr_status_t one = invalidate_some(c, paths + i, some(count - i), &n, &dirty);
        if (!st) st = one;
    }
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
        e->negative = ((item->names.said[0] | item->names.said[1]) & NODE_NEGATIVE) != 0;
        e->fresh = item->names.known[0] == KNOWN_ABSENT || item->names.known[1] == KNOWN_ABSENT;
        if (!e->negative) e->status = APR_NOTFOUND;
        return;
    }
    cachefs__obj_look(c, o);
    e->size = o->attr.type == VFS_TYPE_FILE ? atomic_load(&o->size) : o->attr.size;
    e->resident = atomic_load(&o->resident);
    if (e->resident > e->size && o->attr.type == VFS_TYPE_FILE) e->resident = e->size;
    e->dirty = o->dirty_bytes;
    if (o->dirty_bytes) e->dirty_age_us = (uint64_t)(cachefs__clock_us() - o->dirty_since_us);
    e->fresh =
        item->names.known[k] == KNOWN_FRESH && cachefs__obj_fresh(c, o, item->names.ttl_us[k]);
    e->pinned = o->pins != 0;
    cachefs__obj_looked(c, o);
}

/* Those that a look without a lock does not answer. `which`: their places. */
static apr_status_t entries_slowly(cache_t *c, const char *const *paths, const uint32_t *which,
                                   size_t count, cachefs_entry_t *out)
{
    const char *raw[SOME];
    for (size_t i = 0; i < count; i++)
        raw[i] = paths[which[i]];
    item_t *items = batch_find(c, raw, count, 0);
    if (!items) return APR_ENOMEM;
    for (size_t i = 0; i < count; i++)
        entry_of(c, &items[i], &out[which[i]]);
    batch_free(c, items, count);
    return APR_SUCCESS;
}

/* In steps, so that the processor fetches what the next one needs for all of them at once. */
static size_t entries_group(cache_t *c, const char *const *paths, size_t first, size_t count,
                            int64_t now, cachefs_entry_t *out, uint32_t *slow)
{
    vfs_path_t path[GROUP];
    char buf[VFS_PATH_MAX + 1];
    size_t left = 0;
    vfs_path_init_many(path, paths + first, count);
    for (size_t i = 0; i < count; i++) {
        if (!path[i].str && (vfs_path_init(&path[i], paths[first + i], buf) || path[i].str == buf))
            path[i].str = NULL; /* none, or not as it is written */
        if (path[i].str) cachefs__peek_head(c, &path[i]);
    }
    for (size_t i = 0; count > 1 && i < count; i++)
        if (path[i].str) cachefs__peek_node(c, &path[i]);
    for (size_t i = 0; i < count; i++)
        if (!path[i].str || !cachefs__peek_entry(c, &path[i], now, &out[first + i]))
            slow[left++] = (uint32_t)(first + i);
    return left;
}

apr_status_t cachefs_entries(vfs_t *fs, const char *const *paths, size_t count,
                             cachefs_entry_t *out)
{
    CACHE_OF(c, fs);
    VFS_CHECK_ARG((paths && out) || !count);
    apr_status_t st = APR_SUCCESS;
    int64_t now = cachefs__now_us();
    for (size_t i = 0; i < count && !st; i += SOME) {
        uint32_t slow[SOME];
        size_t n = some(count - i), left = 0;
        for (size_t k = 0; k < n; k += GROUP)
            left += entries_group(c, paths + i, k, n - k < GROUP ? n - k : GROUP, now, out + i,
                                  slow + left);
        if (left) st = entries_slowly(c, paths + i, slow, left, out + i);
    }
    return st;
}

apr_status_t cachefs_entry(vfs_t *fs, const char *path, cachefs_entry_t *out)
{
    VFS_CHECK_ARG(out);
    apr_status_t st = cachefs_entries(fs, &path, 1, out);
    return st ? st : out->status;
}

/* ---- one call for each of many, on several threads */

#define HELP_AFTER_US 200 /* a call that takes longer waits for something: others wait with it */

typedef struct each_t {
    cache_t *cache;
    const vfs_ctx_t *ctx;
    void (*one)(struct each_t *each, size_t i);
    size_t count;
    _Atomic size_t next, running;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    const char *const *paths; /* of a prefetch */
    apr_status_t *status;
    apr_status_t first; /* failure; under `lock` */
    const size_t *cold; /* places in paths and status */
    item_t *items;      /* of a flush */
    obj_t **objs;       /* of a flush of what is below `dir` */
    const vfs_path_t *dir;
} each_t;

static int each_next(each_t *e)
{
    size_t k = atomic_fetch_add(&e->next, 1);
    if (k >= e->count) return 0;
    e->one(e, k);
    return 1;
}

static void each_work(void *baton)
{
    each_t *e = baton;
    while (each_next(e))
        ;
    cachefs__lock(&e->lock, RANK_LEAF);
    atomic_fetch_sub(&e->running, 1);
    pthread_cond_broadcast(&e->cond);
    cachefs__unlock(&e->lock, RANK_LEAF);
}

/* Workers for what is left. They that are busy are not waited for: those that we have do it all. */
static void each_help(each_t *e)
{
    size_t left = e->count - atomic_load(&e->next);
    for (uint32_t i = 1; i < e->cache->fixed.workers && i < left; i++) {
        atomic_fetch_add(&e->running, 1);
        if (!vfs_workers_try(e->cache->workers, each_work, e)) continue;
        atomic_fetch_sub(&e->running, 1);
        break;
    }
}

/* The caller's thread works too. Unless all are `slow`, it begins alone: waking others costs more
 * than a call that waits for nothing. */
static void each_run(each_t *e, int slow)
{
    int64_t start = cachefs__clock_us();
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->cond, NULL);
    atomic_store(&e->running, 1);
    while (!slow && each_next(e)) {
        int64_t now = cachefs__clock_us();
        slow = now - start > HELP_AFTER_US;
        start = now;
    }
    if (atomic_load(&e->next) < e->count) each_help(e);
    each_work(e);
    cachefs__lock(&e->lock, RANK_LEAF);
    while (atomic_load(&e->running))
        pthread_cond_wait(&e->cond, &e->lock);
    cachefs__unlock(&e->lock, RANK_LEAF);
    pthread_mutex_destroy(&e->lock);
    pthread_cond_destroy(&e->cond);
}

static void flush_one(each_t *e, size_t i)
{
    item_t *item = &e->items[i];
    if (!item->status) item->status = vfs_ctx_check(e->ctx);
    for (int k = 0; k < 2 && !item->status; k++)
        if (item->names.obj[k])
            item->status = cachefs__flush_obj(e->cache, item->names.obj[k], e->ctx);
}

apr_status_t cachefs_flush_batch(vfs_t *fs, const vfs_ctx_t *ctx, const char *const *paths,
                                 size_t count, apr_status_t *status)
{
    CACHE_OF(c, fs);
    VFS_CHECK_ARG(paths || !count);
    apr_status_t first = APR_SUCCESS;
    item_t *items = batch_find(c, paths, count, 0);
    if (!items) return APR_ENOMEM;
    each_t e = {.cache = c, .ctx = ctx, .one = flush_one, .count = count, .items = items};
    each_run(&e, 0);
    for (size_t i = 0; i < count; i++) {
        if (status) status[i] = items[i].status;
        if (!first) first = items[i].status;
    }
    batch_free(c, items, count);
    return first;
}

static void flush_below(each_t *e, size_t i)
{
    apr_status_t st = cachefs__flush_within(e->cache, e->objs[i], e->ctx, e->dir);
    cachefs__obj_put(e->cache, e->objs[i]);
    cachefs__lock(&e->lock, RANK_LEAF);
    if (st && !e->first) e->first = st;
    cachefs__unlock(&e->lock, RANK_LEAF);
}

apr_status_t cachefs__flush_many(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *dir)
{
    each_t e = {.cache = c, .ctx = ctx, .one = flush_below, .dir = dir};
    apr_status_t st = cachefs__dirty_all(c, &e.objs, &e.count);
    if (!st && e.count) each_run(&e, 0);
    free(e.objs);
    return st ? st : e.first;
}

/* ---- prefetch */

/* All of the file is in memory. */
static int is_whole(cache_t *c, const obj_t *o)
{
    uint64_t ver = atomic_load(&o->ver), size = atomic_load(&o->size);
    uint32_t shift = atomic_load(&o->shift);
    if (!shift) return !size;
    for (uint64_t at = 0; at < size; at += 1ull << shift) {
        uint64_t left = size - at < 1ull << shift ? size - at : 1ull << shift;
        if (!cachefs__block_whole(c, ver, at >> shift, shift, (uint32_t)left)) return 0;
    }
    return 1;
}

/* Nothing of this file is missing, and nobody has to be asked. Looks without a lock. */
static int is_warm(cache_t *c, const char *raw)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t path;
    vfs_attr_t attr;
    obj_t *o = NULL;
    if (vfs_path_init(&path, raw, buf) || (path.flags & VFS_PATH_DIR)) return 0;
    if (cachefs__peek_ref(c, &path, LOOKUP_FOLLOW, &attr, NULL, &o) != KNOWN_FRESH) return 0;
    int warm = attr.type == VFS_TYPE_FILE && is_whole(c, o);
    cachefs__obj_put(c, o);
    return warm;
}

/* The places of the paths that there is something to do for. The others are done. */
static size_t find_cold(cache_t *c, const vfs_ctx_t *ctx, const char *const *paths, size_t count,
                        apr_status_t *status, size_t *cold)
{
    size_t n = 0;
    /* who may ask, and what is to be protected, is for others to say */
    int quick = !ctx || (!(ctx->flags & VFS_CTX_CREDS) && ctx->priority != VFS_PRIORITY_HIGH);
    if (vfs_ctx_check(ctx)) quick = 0; /* each path is told why */
    for (size_t i = 0; i < count; i++) {
        if (!quick || !is_warm(c, paths[i]))
            cold[n++] = i;
        else if (status)
            status[i] = APR_SUCCESS;
    }
    cachefs__count(&c->counters, CNT_ATTR_HITS, count - n);
    return n;
}

static void fetch_one(each_t *e, size_t k)
{
    size_t i = e->cold[k];
    apr_status_t st = cachefs_prefetch_path(e->cache->fs, e->ctx, e->paths[i], NULL, NULL);
    if (e->status) e->status[i] = st;
    cachefs__lock(&e->lock, RANK_LEAF);
    if (st && !e->first) e->first = st;
    cachefs__unlock(&e->lock, RANK_LEAF);
}

apr_status_t cachefs_prefetch_batch(vfs_t *fs, const vfs_ctx_t *ctx, const char *const *paths,
                                    size_t count, apr_status_t *status)
{
    CACHE_OF(c, fs);
    VFS_CHECK_ARG(paths || !count);
    size_t *cold = malloc((count + 1) * sizeof(*cold));
    if (!cold) return APR_ENOMEM;
    size_t n = find_cold(c, ctx, paths, count, status, cold);
    each_t e = {.cache = c,
                .ctx = ctx,
                .one = fetch_one,
                .count = n,
                .paths = paths,
                .status = status,
                .cold = cold};
    if (n) each_run(&e, 1);
    free(cold);
    return e.first;
}
