/*
 * dir.c - directories: listings, cached as the content of the directory's version.
 * Floor 2, private to cachefs/.
 *
 * A listing is a row of records (number, type, length, name) in blocks like any file's bytes, so it
 * is evicted like them. A handle takes a copy when it is opened or rewound, and walks that: an
 * entry that stays comes exactly once, whatever changes meanwhile. A directory whose listing is
 * larger than LISTING_MAX is not kept: its handle walks the lower one. Attributes of entries are
 * not in the listing: they come from the nodes, which the lower layer's answer feeds.
 */
#include "cachefs/engine.h"

#define LISTING_MAX (8u << 20)

/* ---- content */

void cachefs__content_put(cache_t *c, obj_t *o, const void *bytes, uint64_t len, uint64_t asked)
{
    cachefs__obj_lock(c, o);
    if (o->changing || o->changed_seq > asked || !(o->flags & OBJ_ATTR)) {
        cachefs__obj_unlock(c, o);
        return; /* of ours happened something meanwhile */
    }
    cachefs__obj_new_version(c, o);
    uint64_t ver = atomic_load(&o->ver);
    uint32_t shift = 14;
    while (cachefs__class_of(&c->arena, 1ull << shift) > c->arena.class_max)
        shift -= 2;
    atomic_store(&o->shift, shift);
    cachefs__obj_unlock(c, o);
    uint64_t at = 0;
    for (; at < len;) {
        uint64_t no = at >> shift, n = len - at < 1ull << shift ? len - at : 1ull << shift;
        cachefs__put_t p = {.ver = ver, .no = (uint32_t)no, .shift = shift, .to = (uint32_t)n};
        p.bytes = (const uint8_t *)bytes + at;
        p.valid = cachefs__granules(shift, 0, p.to);
        p.end = p.to;
        if (cachefs__block_put(c, o, &p)) return; /* no room: not kept */
        at += n;
    }
    cachefs__obj_lock(c, o);
    if (atomic_load(&o->ver) == ver && !o->changing && o->changed_seq <= asked) {
        o->list_bytes = len;
        o->list_checked_us = cachefs__now_us();
        o->flags |= OBJ_LISTED;
    }
    cachefs__obj_unlock(c, o);
}

/* The content, malloc'ed, or NULL if it is not all there. */
char *cachefs__content_get(cache_t *c, obj_t *o, uint64_t *len)
{
    cachefs__obj_lock(c, o);
    int listed = (o->flags & OBJ_LISTED) != 0;
    uint64_t ver = atomic_load(&o->ver), n = o->list_bytes;
    uint32_t shift = atomic_load(&o->shift);
    cachefs__obj_unlock(c, o);
    char *buf = listed ? malloc(n + 1) : NULL;
    if (!buf) return NULL;
    for (uint64_t at = 0; at < n;) {
        uint64_t no = at >> shift, m = n - at < 1ull << shift ? n - at : 1ull << shift;
        if (!cachefs__block_copy(c, ver, (uint32_t)no, shift, 0, (uint32_t)m, buf + at)) {
            free(buf);
            return NULL;
        }
        at += m;
    }
    *len = n;
    return buf;
}

/* ---- listings */

typedef struct listing_t {
    char *buf;
    uint64_t len, room;
} listing_t;

#define RECORD_HEAD 11u

static int listing_add(listing_t *l, const vfs_dirent_t *e)
{
    uint64_t need = l->len + RECORD_HEAD + e->name_len;
    if (!l->buf || need > l->room) {
        uint64_t room = l->room ? l->room * 2 : 4096;
        while (room < need)
            room *= 2;
        char *more = realloc(l->buf, room);
        if (!more) return 0;
        l->buf = more;
        l->room = room;
    }
    uint8_t *p = (uint8_t *)l->buf + l->len;
    uint16_t n = (uint16_t)e->name_len;
    memcpy(p, &e->ino, 8);
    memcpy(p + 8, &n, 2);
    p[10] = (uint8_t)e->type;
    memcpy(p + RECORD_HEAD, e->name, n);
    l->len = need;
    return 1;
}

typedef struct dirh_t {
    vfs_dir_t base; /* base.lower: the lower directory, where it is walked itself */
    cache_t *cache;
    obj_t *obj;
    listing_t list;
    uint64_t at;
    uint32_t len;
    char name[VFS_NAME_MAX + 1];
    char path[];
} dirh_t;

static vfs_path_t dir_path(const dirh_t *d)
{
    return (vfs_path_t){d->path, d->len, vfs_path_hash(d->path, d->len), 0};
}

/* What an entry of the lower layer says about its name feeds the nodes. */
static void feed(cache_t *c, const vfs_path_t *dir, const vfs_dirent_t *e, uint64_t asked)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t path;
    int made;
    if (!e->has_attr || vfs_path_join(&path, dir, e->name, e->name_len, buf)) return;
    uint32_t flags = e->attr.flags;
    if (!(c->lower->caps.bits & VFS_CAP_SYMLINK)) flags |= VFS_ATTR_DIRECT;
    obj_t *o = cachefs__obj_at(c, &e->attr, &path, asked, CLAIM_NONE, &made);
    if (!o) return;
    /* without a version it may be told of fewer attributes than by a question: for new ones only */
    if (made || e->validator.kind != VFS_VALIDATOR_NONE || (flags & VFS_ATTR_STABLE_ID)) {
        cachefs__obj_learn(c, o, &e->attr, &e->validator, asked);
        cachefs__node_set(c, &path, 0, o, flags, asked);
    }
    cachefs__obj_put(c, o);
}

/* Read the lower directory into the handle, which keeps what it has if that fails; a listing that
 * grows too large is left to the lower handle. */
static apr_status_t list_below(dirh_t *d, const vfs_ctx_t *ctx)
{
    cache_t *c = d->cache;
    vfs_path_t path = dir_path(d);
    vfs_dir_t *lower;
    vfs_dirent_t e;
    listing_t fresh = {NULL, 0, 0};
    int attrs = (d->base.flags & VFS_DIR_ATTRS) || c->lower_is_far || c->lower->caps.round_trip_us;
    uint64_t asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    apr_status_t st = vfs_call_opendir(&lower, c->lower, ctx, &path, attrs ? VFS_DIR_ATTRS : 0);
    if (st) return st;
    while ((st = vfs_readdir(lower, ctx, &e)) == APR_SUCCESS) {
        if (e.has_attr) atomic_store_explicit(&c->lists_attrs, 1, memory_order_relaxed);
        feed(c, &path, &e, asked);
        if (fresh.len > LISTING_MAX || fresh.len > c->arena.bytes / 16) {
            free(fresh.buf);
            st = vfs_seekdir(lower, ctx, 0);
            if (st) {
                (void)vfs_closedir(lower); /* the error of seekdir counts */
                return st;
            }
            d->base.lower = lower;
            d->list.len = 0;
            return APR_SUCCESS;
        }
        if (!listing_add(&fresh, &e)) {
            st = APR_ENOMEM;
            break;
        }
    }
    (void)vfs_closedir(lower); /* only read */
    if (!APR_STATUS_IS_EOF(st)) {
        free(fresh.buf);
        return st;
    }
    free(d->list.buf);
    d->list = fresh;
    cachefs__content_put(c, d->obj, d->list.buf, d->list.len, asked);
    return APR_SUCCESS;
}

/* Which names there are none of: all that are not in this whole listing. */
static void note_names(cache_t *c, cachefs__listing_t *l, const listing_t *list)
{
    uint64_t names = 0;
    uint16_t n;
    for (uint64_t at = 0; at < list->len; at += RECORD_HEAD + n, names++)
        memcpy(&n, list->buf + at + 8, 2);
    if (!cachefs__listing_room(c, l, names)) return;
    for (uint64_t at = 0; at < list->len; at += RECORD_HEAD + n) {
        memcpy(&n, list->buf + at + 8, 2);
        cachefs__listing_name(c, l, list->buf + at + RECORD_HEAD, n);
    }
    cachefs__listing_known(c, l);
}

/* The same, and what is learnt of names that are not there. */
static apr_status_t list_whole(dirh_t *d, const vfs_ctx_t *ctx)
{
    cachefs__listing_t l;
    vfs_path_t path = dir_path(d);
    cachefs__listing_begin(d->cache, &l, &path, d->obj);
    apr_status_t st = list_below(d, ctx);
    if (!st && !d->base.lower) note_names(d->cache, &l, &d->list);
    cachefs__listing_end(d->cache, &l);
    return st;
}

/* How long a listing is good. Who wants attributes as well has them for one question where the
 * lower layer lists with them, else for one each as soon as they are older than they may be. */
static int64_t listing_ttl(cache_t *c, const vfs_path_t *path, uint32_t flags)
{
    int64_t ttl = (int64_t)atomic_load(&c->t.listing_ttl_us);
    int64_t attr_ttl = (int64_t)atomic_load(&c->t.attr_ttl_us);
    if ((flags & VFS_DIR_ATTRS) && atomic_load_explicit(&c->lists_attrs, memory_order_relaxed) &&
        attr_ttl < ttl)
        ttl = attr_ttl;
    return c->rules ? cachefs__ttl_lookup(c->rules, path->str, ttl) : ttl;
}

static apr_status_t load(dirh_t *d, const vfs_ctx_t *ctx)
{
    cache_t *c = d->cache;
    vfs_path_t path = dir_path(d);
    int64_t start = cachefs__clock_us();
    int64_t ttl = listing_ttl(c, &path, d->base.flags);
    uint64_t len = 0;
    char *kept = NULL;
    cachefs__obj_lock(c, d->obj);
    int fresh = (d->obj->flags & OBJ_LISTED) && cachefs__now_us() - d->obj->list_checked_us < ttl;
    int stale = (d->obj->flags & OBJ_LISTED) != 0;
    cachefs__obj_unlock(c, d->obj);
    if (fresh) kept = cachefs__content_get(c, d->obj, &len);
    apr_status_t st = kept ? APR_SUCCESS : list_whole(d, ctx);
    if (st && stale && cachefs__unreachable(st) && atomic_load(&c->t.serve_stale)) {
        kept = cachefs__content_get(c, d->obj, &len);
        if (kept) {
            cachefs__count(&c->counters, CNT_STALE_SERVED, 1);
            st = APR_SUCCESS;
        }
    }
    if (kept) {
        free(d->list.buf);
        d->list = (listing_t){kept, len, len + 1};
    }
    if (!st) d->at = 0;
    cachefs__count(&c->counters, kept ? CNT_LISTING_HITS : CNT_LISTING_MISSES, 1);
    if (c->lat[LAT_READDIR_HIT])
        metrics_record(c->lat[kept ? LAT_READDIR_HIT : LAT_READDIR_MISS],
                       (uint64_t)(cachefs__clock_us() - start) * 1000);
    return st;
}

/* ---- the ops */

apr_status_t cachefs_op_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                                const vfs_path_t *path, uint32_t flags)
{
    cache_t *c = cachefs__of(fs);
    vfs_attr_t attr = {0};
    obj_t *o = NULL;
    apr_status_t st = cachefs__recovered(c, ctx, path, 0);
    if (!st) st = cachefs__lookup(c, ctx, path, LOOKUP_FOLLOW, &o, &attr, NULL);
    if (st) return st;
    if (attr.type != VFS_TYPE_DIR) st = APR_ENOTDIR;
    if (!st && vfs_attr_access(&attr, ctx, VFS_ACCESS_READ))
        st = vfs_call_access(c->lower, ctx, path, VFS_ACCESS_READ);
    if (!st && !cachefs__handle_take(c)) st = VFS_ELIMIT;
    if (st) {
        cachefs__obj_put(c, o);
        return st;
    }
    dirh_t *d = calloc(1, sizeof(*d) + path->len + 1);
    if (d) {
        vfs_dir_init(&d->base, fs, flags, NULL);
        d->cache = c;
        d->obj = o;
        d->len = path->len;
        memcpy(d->path, path->str, path->len + 1);
        st = load(d, ctx);
        if (!st) {
            *dir = &d->base;
            return APR_SUCCESS;
        }
        free(d->list.buf);
        free(d);
    } else {
        st = APR_ENOMEM;
    }
    cachefs__handle_give(c);
    cachefs__obj_put(c, o);
    return st;
}

/* The attributes of an entry as the stack sees them. */
static void entry_attr(dirh_t *d, vfs_dirent_t *e)
{
    cache_t *c = d->cache;
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t path, dir = dir_path(d);
    obj_t *o = NULL;
    unsigned said;
    if (vfs_path_join(&path, &dir, e->name, e->name_len, buf)) return;
    cachefs__known_e known = cachefs__node_find(c, &path, 0, &o, &said);
    if (!o) return;
    cachefs__obj_lock(c, o);
    int current = !(o->flags & OBJ_ATTR_OLD) || e->has_attr;
    if (known == KNOWN_FRESH || (o->dirty_bytes && current)) {
        cachefs__obj_attr_told(o, e->has_attr ? &e->attr : &o->attr, &e->attr);
        e->attr.flags |= cachefs__node_direct(said);
        cachefs__obj_validator(o, &e->validator);
        e->type = o->attr.type;
        e->has_attr = 1;
    }
    cachefs__obj_unlock(c, o);
    cachefs__obj_put(c, o);
}

apr_status_t cachefs_op_readdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, vfs_dirent_t *entry)
{
    dirh_t *d = (dirh_t *)dir;
    if (dir->lower) {
        apr_status_t st = vfs_readdir(dir->lower, ctx, entry);
        if (!st && (dir->flags & VFS_DIR_ATTRS)) entry_attr(d, entry);
        return st;
    }
    if (d->at + RECORD_HEAD > d->list.len) return APR_EOF;
    const uint8_t *p = (const uint8_t *)d->list.buf + d->at;
    uint16_t n;
    memset(entry, 0, sizeof(*entry));
    memcpy(&entry->ino, p, 8);
    memcpy(&n, p + 8, 2);
    entry->type = (vfs_type_e)p[10];
    VFS_ASSERT(n <= VFS_NAME_MAX && d->at + RECORD_HEAD + n <= d->list.len);
    memcpy(d->name, p + RECORD_HEAD, n);
    d->name[n] = '\0';
    entry->name = d->name;
    entry->name_len = n;
    d->at += RECORD_HEAD + n;
    entry->cookie = d->at;
    if (dir->flags & VFS_DIR_ATTRS) entry_attr(d, entry);
    return APR_SUCCESS;
}

apr_status_t cachefs_op_seekdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, uint64_t cookie)
{
    dirh_t *d = (dirh_t *)dir;
    if (!cookie) {
        vfs_dir_t *old = dir->lower;
        dir->lower = NULL;
        apr_status_t st = load(d, ctx);
        if (st)
            dir->lower = old; /* as it was */
        else if (old)
            (void)vfs_closedir(old); /* only read */
        return st;
    }
    if (dir->lower) return vfs_seekdir(dir->lower, ctx, cookie);
    /* a cookie is the end of a record: walk, so that a made-up one is refused */
    uint64_t at = 0;
    while (at < cookie && at + RECORD_HEAD <= d->list.len) {
        uint16_t n;
        memcpy(&n, d->list.buf + at + 8, 2);
        at += RECORD_HEAD + n;
    }
    if (at != cookie) return APR_EINVAL;
    d->at = at;
    return APR_SUCCESS;
}

apr_status_t cachefs_op_closedir(vfs_dir_t *dir)
{
    dirh_t *d = (dirh_t *)dir;
    cache_t *c = d->cache;
    apr_status_t st = dir->lower ? vfs_closedir(dir->lower) : APR_SUCCESS;
    free(d->list.buf);
    cachefs__obj_put(c, d->obj);
    cachefs__handle_give(c);
    free(d);
    return st;
}
