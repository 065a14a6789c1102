/*
 * control.c - what only a cache can do with one path or all: invalidate, flush, prefetch, pin.
 * Floor 2. Implements cachefs.h together with batch.c, figures.c, layer.c and borrow.c.
 */
#include "cachefs/engine.h"

/* ---- invalidation */

apr_status_t cachefs_invalidate(vfs_t *fs, const char *path, uint64_t *count, uint64_t *dirty_kept)
{
    CACHE_OF(c, fs);
    return cachefs_invalidate_batch(c->fs, &path, 1, count, dirty_kept);
}

static vfs_path_t root(void)
{
    return (vfs_path_t){"/", 1, vfs_path_hash("/", 1), 0};
}

static int match_glob(void *baton, const vfs_path_t *path)
{
    return vfs_glob_match(baton, path->str);
}

static apr_status_t sweep(cache_t *c, const vfs_path_t *below, const char *pattern, uint64_t *count,
                          uint64_t *dirty_kept)
{
    uint64_t dirty = 0;
    cachefs__listed_forget(c, NULL);
    uint64_t n = cachefs__node_sweep(c, below, pattern ? match_glob : NULL,
                                     (void *)(uintptr_t)pattern, SWEEP_CLEAN, &dirty);
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
    return st ? st : sweep(c, &prefix, NULL, count, dirty_kept);
}

/* All that can match lie below the directory that the pattern names literally. */
static void literal_part(vfs_path_t *below, const char *pattern, char *buf)
{
    char text[VFS_PATH_MAX + 1];
    size_t len = strcspn(pattern, "*?[\\");
    while (len > 1 && pattern[len - 1] != '/')
        len--;
    if (len > VFS_PATH_MAX) len = 1;
    memcpy(text, pattern, len);
    text[len] = '\0';
    if (vfs_path_init(below, text, buf)) *below = root();
}

apr_status_t cachefs_invalidate_glob(vfs_t *fs, const char *pattern, uint64_t *count,
                                     uint64_t *dirty_kept)
{
    CACHE_OF(c, fs);
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t below;
    VFS_CHECK_ARG(pattern && pattern[0] == '/');
    VFS_CHECK_ARG(cachefs__glob_valid(pattern));
    literal_part(&below, pattern, buf);
    return sweep(c, &below, pattern, count, dirty_kept);
}

apr_status_t cachefs_clear(vfs_t *fs, uint64_t *dirty_kept)
{
    CACHE_OF(c, fs);
    vfs_path_t all = root();
    cachefs__listed_forget(c, NULL);
    if (c->l2) cachefs__l2_clear(c->l2); /* nothing old comes from there during the sweep */
    (void)cachefs__node_sweep(c, &all, NULL, NULL, SWEEP_CLEAN, NULL);
    (void)cachefs__node_sweep(c, &all, NULL, NULL, SWEEP_FORGET, NULL);
    cachefs__blocks_drop(c, 0, 0); /* of versions that nothing leads to any more */
    (void)cachefs__shrink(c, UINT64_MAX);
    if (c->l2) cachefs__l2_clear(c->l2); /* and nothing stays that fills brought there under it */
    if (dirty_kept) *dirty_kept = atomic_load(&c->dirty_bytes);
    return APR_SUCCESS;
}

/* ---- one path */

static int by_hash(const void *a, const void *b)
{
    uint32_t x = ((const cachefs__wanted_t *)a)->path->hash;
    uint32_t y = ((const cachefs__wanted_t *)b)->path->hash;
    return (x > y) - (x < y);
}

/* The dirty object `o` is called `name`: give it to all who want it. */
static void give_dirty(obj_t *o, const vfs_path_t *name, cachefs__wanted_t *wanted, size_t count)
{
    cachefs__wanted_t key = {.path = name};
    cachefs__wanted_t *w = bsearch(&key, wanted, count, sizeof(*wanted), by_hash);
    while (w && w > wanted && w[-1].path->hash == name->hash)
        w--;
    for (; w && w < wanted + count && w->path->hash == name->hash; w++) {
        if (w->obj || w->path->len != name->len || memcmp(w->path->str, name->str, name->len) != 0)
            continue;
        w->obj = o;
        cachefs__obj_ref(o);
    }
}

void cachefs__dirty_named(cache_t *c, cachefs__wanted_t *wanted, size_t count)
{
    obj_t **objs;
    size_t n;
    if (!count || !atomic_load(&c->dirty_bytes) || cachefs__dirty_all(c, &objs, &n)) return;
    qsort(wanted, count, sizeof(*wanted), by_hash);
    for (size_t i = 0; i < n; i++) {
        char buf[VFS_PATH_MAX + 1];
        vfs_path_t name;
        cachefs__obj_look(c, objs[i]);
        int named = !cachefs__obj_name(c, objs[i], &name, buf);
        cachefs__obj_looked(c, objs[i]);
        if (named) give_dirty(objs[i], &name, wanted, count);
        cachefs__obj_put(c, objs[i]);
    }
    free(objs);
}

/* The object that a path is cached as, referenced, links followed where that is cached. */
static obj_t *cached_obj(cache_t *c, const vfs_path_t *path, cachefs__known_e *known,
                         unsigned *said)
{
    obj_t *o = NULL;
    *known = cachefs__node_find(c, path, 0, &o, said);
    if (o) {
        cachefs__obj_lock(c, o);
        int is_link = o->attr.type == VFS_TYPE_LINK;
        cachefs__obj_unlock(c, o);
        if (!is_link) return o;
        cachefs__obj_put(c, o);
        o = NULL;
    } else if (*said & NODE_NEGATIVE) {
        return NULL;
    }
    *known = cachefs__node_find(c, path, 1, &o, said);
    if (o) return o;
    cachefs__wanted_t wanted = {.path = path};
    cachefs__dirty_named(c, &wanted, 1);
    return wanted.obj;
}

static uint64_t stored(cache_t *c, const char *raw)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t path;
    cachefs__known_e known;
    cachefs__tier_key_t key;
    unsigned said;
    obj_t *o = vfs_path_init(&path, raw, buf) ? NULL : cached_obj(c, &path, &known, &said);
    if (!o) return 0;
    cachefs__obj_lock(c, o);
    int can = cachefs__tier_key(c, o, &key);
    cachefs__obj_unlock(c, o);
    uint64_t bytes = can ? cachefs__tier_bytes(c, &key) : 0;
    cachefs__obj_put(c, o);
    return bytes;
}

apr_status_t cachefs_stored(vfs_t *fs, const char *const *paths, size_t count, uint64_t *bytes)
{
    CACHE_OF(c, fs);
    VFS_CHECK_ARG((paths && bytes) || !count);
    for (size_t i = 0; i < count; i++)
        bytes[i] = c->l2 && paths[i] ? stored(c, paths[i]) : 0;
    return APR_SUCCESS;
}

apr_status_t cachefs_discard(vfs_t *fs, const char *path, uint64_t *bytes)
{
    CACHE_OF(c, fs);
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t p;
    cachefs__known_e known;
    unsigned said;
    apr_status_t st = vfs_path_init(&p, path, buf);
    if (st) return st;
    if (bytes) *bytes = 0;
    obj_t *o = cached_obj(c, &p, &known, &said);
    if (!o) return APR_NOTFOUND;
    st = cachefs__flush_begin(c, o, NULL);
    if (!st) {
        uint64_t gone = cachefs__dirty_discard(c, o, 0);
        cachefs__durable_discard(c, o);
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
    int64_t end = cachefs__later_us(cachefs__clock_us(), timeout_us);
    for (;;) {
        apr_status_t st = o ? cachefs__flush_obj(c, o, ctx) : cachefs__flush_many(c, ctx, tree);
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
    unsigned said;
    apr_status_t st = vfs_path_init(&p, path ? path : "/", buf);
    if (!st) st = vfs_ctx_check(ctx);
    if (st) return st;
    obj_t *o = path ? cached_obj(c, &p, &known, &said) : NULL;
    int is_file = 0;
    if (o) {
        cachefs__obj_lock(c, o);
        is_file = o->attr.type == VFS_TYPE_FILE;
        cachefs__obj_unlock(c, o);
    }
    st = flush_until(c, ctx, is_file ? o : NULL, &p, timeout_us);
    if (o) cachefs__obj_put(c, o);
    if (st || path || !(c->lower->caps.bits & VFS_CAP_STAGED)) return st;
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    st = vfs_call_sync_fs(c->lower, ctx); /* what could not be committed is clean here */
    return st ? st : cachefs__commit_kept(c, ctx);
}

/* ---- prefetch */

apr_status_t cachefs_prefetch(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t off, apr_off_t len,
                              uint64_t *fetched)
{
    uint64_t bytes = 0;
    VFS_CHECK_ARG(file && off >= 0 && len >= 0);
    VFS_CHECK_ARG(cachefs_is(vfs_file_fs(file)));
    if (!(vfs_file_flags(file) & VFS_O_READ)) return APR_EBADF;
    handle_t *h = cachefs__handle(file);
    uint64_t end = len ? (uint64_t)off + (uint64_t)len : UINT64_MAX;
    apr_status_t st = vfs_ctx_check(ctx);
    if (!st) st = cachefs__prefetch(h->cache, h->obj, ctx, (uint64_t)off, end, FILL_WANTED, &bytes);
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
    cachefs__use_t use;
    uint64_t got = 0;
    if (bytes) *bytes = 0;
    if (fetched) *fetched = 0;
    apr_status_t st = vfs_path_init(&p, path, buf);
    if (!st) st = vfs_ctx_check(ctx);
    if (!st)
        st = cachefs__use_begin(&use, c, ctx, &p, LOOKUP_FOLLOW | LOOKUP_BYTES | LOOKUP_WANTED,
                                &attr, NULL);
    if (st) return st;
    got = cachefs__lookup_fetched();
    if (attr.type == VFS_TYPE_DIR) st = APR_FROM_OS_ERROR(EISDIR);
    if (!st && attr.type != VFS_TYPE_FILE) st = APR_EINVAL;
    if (!st) {
        st = cachefs__prefetch(c, use.obj, ctx, 0, UINT64_MAX, FILL_WANTED, &got);
        if (bytes) *bytes = atomic_load(&use.obj->size);
    }
    if (fetched) *fetched = got;
    cachefs__use_end(&use, c);
    return st;
}

apr_status_t cachefs_pin(vfs_t *fs, const char *path, int pinned)
{
    CACHE_OF(c, fs);
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t p;
    cachefs__known_e known;
    unsigned said;
    apr_status_t st = vfs_path_init(&p, path, buf);
    if (st) return st;
    obj_t *o = cached_obj(c, &p, &known, &said);
    if (!o) return APR_NOTFOUND;
    cachefs__obj_lock(c, o);
    o->pins = pinned != 0;
    uint64_t ver = atomic_load(&o->ver), size = atomic_load(&o->size);
    uint32_t shift = atomic_load(&o->shift);
    cachefs__obj_unlock(c, o);
    if (shift && size) st = cachefs__version_keep(c, ver, ((size - 1) >> shift) + 1, pinned);
    cachefs__obj_put(c, o);
    return st;
}
