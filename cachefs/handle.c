/*
 * handle.c - open files: their life, and the calls on them that are not reads or writes.
 * Floor 2, private to cachefs/. How they are opened is in open.c.
 */
#include "cachefs/engine.h"

/* ---- life */

/* Of an object that nobody has open and that has no dirty data nobody is told where it moves
 * (cachefs__open_objs): what it was called then is not believed. Object locked. */
static void holder_add(cache_t *c, obj_t *o, cachefs__holder_t *k)
{
    cachefs__ostripe_t *stripe = cachefs__stripe(c, o);
    if (!o->handles++ && !o->dirty_bytes) o->flags &= ~OBJ_NAMED;
    *k = (cachefs__holder_t){.next = stripe->holders, .obj = o};
    if (k->next) k->next->prev = k;
    stripe->holders = k;
}

/* Object locked. 1: it was the last. */
static int holder_remove(cache_t *c, obj_t *o, cachefs__holder_t *k)
{
    VFS_ASSERT(o->handles > 0 && k->obj == o);
    if (k->prev)
        k->prev->next = k->next;
    else
        cachefs__stripe(c, o)->holders = k->next;
    if (k->next) k->next->prev = k->prev;
    return --o->handles == 0;
}

static handle_t *handle_init(cache_t *c, obj_t *o, uint32_t flags)
{
    handle_t *h = cachefs__handle_alloc(c);
    if (!h) return NULL;
    const size_t from = sizeof(h->base), half = 64; /* halves are a few wide stores, all a loop */
    memset((char *)h + from, 0, half);
    memset((char *)h + from + half, 0, sizeof(*h) - from - half);
    vfs_file_init(&h->base, c->fs, flags, NULL);
    h->magic = HANDLE_MAGIC;
    h->cache = c;
    h->obj = o;
    h->hits = flags & VFS_O_DIRECT ? c->objs : o;
    return h;
}

/* What a look without a lock copies stays as it is, so attr_seq does. */
static void note_handle(cache_t *c, handle_t *h)
{
    holder_add(c, h->obj, &h->holder);
    if (h->base.flags & VFS_O_WRITE) h->obj->writers++;
    atomic_store_explicit(&h->err_seen, atomic_load(&h->obj->err_seq), memory_order_relaxed);
}

handle_t *cachefs__handle_new(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint32_t flags)
{
    handle_t *h = handle_init(c, o, flags);
    if (!h) return NULL;
    cachefs__obj_look(c, o);
    note_handle(c, h);
    cachefs__obj_looked(c, o);
    cachefs__opener_note(c, o, ctx);
    return h;
}

handle_t *cachefs__handle_named(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint32_t flags,
                                const vfs_path_t *path, uint64_t asked, uint32_t attr_flags,
                                int *good)
{
    handle_t *h = handle_init(c, o, flags);
    if (!h) return NULL;
    cachefs__obj_look(c, o);
    note_handle(c, h);
    *good = cachefs__obj_name_confirmed(c, o, path, asked, attr_flags);
    cachefs__obj_looked(c, o);
    if (ctx) cachefs__opener_note(c, o, ctx);
    if (!*good) *good = cachefs__obj_name_seen(c, o, path, asked, CLAIM_NONE, attr_flags);
    return h;
}

/* The last handle of an object is gone: close below, forget what has no name. What was written
 * below had its own status, but the lower layer may have held it back. */
static apr_status_t last_handle(cache_t *c, obj_t *o)
{
    cachefs__lowers_t idle = {.file = NULL};
    cachefs__creds_t *opener = NULL;
    cachefs__lockers_t *spares = NULL;
    int wrote = 0;
    cachefs__obj_lock(c, o);
    int orphan = (o->flags & OBJ_UNLINKED) && !o->handles && !o->flushing;
    if (orphan) o->flushing = 1;
    cachefs__obj_unlock(c, o);
    if (orphan) cachefs__flush_end(c, o); /* discards; a flush under way does so when it ends */
    cachefs__obj_lock(c, o);
    if (!o->handles) opener = cachefs__opener_end(o);
    if (!o->handles) spares = cachefs__lock_take_spares(o);
    if (cachefs__lower_unused(o)) {
        idle = cachefs__lower_take(o);
        wrote = (idle.writer || (o->lower_flags & VFS_O_WRITE)) && !(o->flags & OBJ_UNLINKED);
    }
    int drop = cachefs__staged_over(c, o);
    cachefs__obj_unlock(c, o);
    free(opener);
    cachefs__lock_end_spares(spares);
    if (drop) cachefs__obj_put(c, o); /* the caller has one too */
    if (!idle.file && !idle.writer) return APR_SUCCESS;
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    apr_status_t st = cachefs__lower_close(c, o, &idle);
    return wrote ? st : APR_SUCCESS;
}

void cachefs__hold(cache_t *c, obj_t *o, cachefs__holder_t *k)
{
    cachefs__obj_lock(c, o);
    holder_add(c, o, k);
    o->holds++;
    cachefs__obj_unlock(c, o);
}

void cachefs__unhold(cache_t *c, cachefs__holder_t *k)
{
    obj_t *o = k->obj;
    cachefs__obj_lock(c, o);
    VFS_ASSERT(o->holds > 0);
    o->holds--;
    int last = holder_remove(c, o, k);
    cachefs__obj_unlock(c, o);
    if (last) (void)last_handle(c, o); /* it only read */
}

/* Our own writes made a version that nobody asked for yet: learn it while the handle is open. */
static void learn_own(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    cachefs__obj_lock(c, o);
    int wanted = (o->flags & OBJ_OWN_CHANGE) && (o->lower_file || o->lower_writer) &&
                 !o->dirty_bytes && !o->changing && !(o->flags & OBJ_UNLINKED) &&
                 o->attr.type == VFS_TYPE_FILE;
    cachefs__obj_unlock(c, o);
    if (wanted && !c->lower_is_far)
        (void)cachefs__obj_refresh(c, o, ctx, NULL); /* else at the next open */
}

apr_status_t cachefs_op_close(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    handle_t *h = cachefs__handle(file);
    cache_t *c = h->cache;
    obj_t *o = h->obj;
    int writer = (file->flags & VFS_O_WRITE) != 0;
    apr_status_t st = APR_SUCCESS;
    if (writer && c->mode == CACHEFS_BACK && atomic_load(&c->t.flush_on_close)) {
        cachefs__obj_lock(c, o);
        int doomed = (o->flags & OBJ_UNLINKED) != 0;
        cachefs__obj_unlock(c, o);
        if (!doomed && cachefs__durable_covers(c, o)) {
            cachefs__wb_queue(c, o);
        } else if (!doomed) {
            st = cachefs__flush_obj(c, o, ctx);
            if (st) (void)cachefs__pending_error(c, h); /* this handle is told now */
        }
    }
    if (writer && c->mode != CACHEFS_BACK && !st) {
        st = cachefs__commit_below(c, o, ctx);
        if (st) (void)cachefs__pending_error(c, h); /* as above */
    }
    if (!st) st = cachefs__pending_error(c, h); /* contract: once to each handle, readers too */
    if (writer) learn_own(c, o, ctx);
    if (h->lock_lower) (void)vfs_close(h->lock_lower, ctx); /* its locks go with it */
    cachefs__obj_look(c, o);
    int last = holder_remove(c, o, &h->holder);
    if (writer) o->writers--;
    int work = last && (o->lower_file || o->lower_writer || o->opener || o->spares ||
                        (o->flags & OBJ_UNLINKED));
    cachefs__obj_looked(c, o);
    apr_status_t end = work ? last_handle(c, o) : APR_SUCCESS;
    if (!st) st = end;
    cachefs__handle_free(c, h);
    cachefs__obj_put(c, o);
    return st;
}

/* ---- all that are open */

/* Their objects into `out` as far as there is room; returns how many there are. */
static size_t holders(cache_t *c, obj_t **out, size_t max)
{
    size_t n = 0;
    for (unsigned k = 0; k < OSTRIPES; k++) {
        cachefs__ostripe_t *stripe = &c->ostripes[k];
        cachefs__lock(&stripe->mutex, RANK_OBJECT);
        for (const cachefs__holder_t *h = stripe->holders; h; h = h->next, n++)
            if (n < max) cachefs__obj_ref(out[n] = h->obj);
        cachefs__unlock(&stripe->mutex, RANK_OBJECT);
    }
    return n;
}

static void put_objs(cache_t *c, obj_t *const *objs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cachefs__obj_put(c, objs[i]);
}

static int by_address(const void *a, const void *b)
{
    const obj_t *x = *(obj_t *const *)a, *y = *(obj_t *const *)b;
    return (x > y) - (x < y);
}

apr_status_t cachefs__open_objs(cache_t *c, obj_t ***objs, size_t *count)
{
    size_t dirty, n, room = 0, kept = 0;
    apr_status_t st = cachefs__dirty_all(c, objs, &dirty);
    *count = 0;
    if (st) return st;
    while ((n = holders(c, room ? *objs + dirty : NULL, room)) > room) {
        put_objs(c, *objs + dirty, room);
        room = n + 16; /* some may come until we look again */
        obj_t **more = realloc(*objs, (dirty + room) * sizeof(*more));
        if (!more) {
            put_objs(c, *objs, dirty);
            free(*objs);
            *objs = NULL;
            return APR_ENOMEM;
        }
        *objs = more;
    }
    n += dirty;
    if (n) qsort(*objs, n, sizeof(**objs), by_address);
    for (size_t i = 0; i < n; i++) {
        if (kept && (*objs)[kept - 1] == (*objs)[i])
            cachefs__obj_put(c, (*objs)[i]);
        else
            (*objs)[kept++] = (*objs)[i];
    }
    *count = kept;
    return APR_SUCCESS;
}

/* ---- calls */

/* Its TTL is that of its name, as for who comes by that. */
static int is_fresh(cache_t *c, obj_t *o)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t path;
    int64_t ttl = (int64_t)atomic_load(&c->t.attr_ttl_us);
    cachefs__obj_look(c, o);
    if (c->rules && !cachefs__obj_name(c, o, &path, buf))
        ttl = cachefs__ttl_lookup(c->rules, path.str, ttl);
    int fresh = cachefs__obj_fresh(c, o, (uint64_t)ttl);
    cachefs__obj_looked(c, o);
    return fresh;
}

apr_status_t cachefs_op_fstat(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_attr_t *attr,
                              vfs_validator_t *validator)
{
    handle_t *h = cachefs__handle(file);
    cache_t *c = h->cache;
    obj_t *o = h->obj;
    vfs_attr_t told;
    apr_status_t st = APR_SUCCESS;
    int fresh = is_fresh(c, o);
    if (!fresh) st = cachefs__obj_refresh(c, o, ctx, &told);
    int asked = !fresh && !st;
    if (st && cachefs__unreachable(st) && atomic_load(&c->t.serve_stale)) {
        cachefs__count(&c->counters, CNT_STALE_SERVED, 1);
        st = APR_SUCCESS;
        attr->flags |= VFS_ATTR_STALE;
    }
    if (st) return st;
    uint32_t stale = attr->flags & VFS_ATTR_STALE;
    cachefs__obj_look(c, o);
    cachefs__obj_attr_told(o, asked ? &told : &o->attr, attr);
    cachefs__obj_validator(o, validator);
    cachefs__obj_looked(c, o);
    attr->flags |= stale;
    return APR_SUCCESS;
}

apr_status_t cachefs_op_ftruncate(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t size)
{
    handle_t *h = cachefs__handle(file);
    return cachefs__obj_truncate(h->cache, h->obj, ctx, (uint64_t)size);
}

/* A change of attributes through the lower handle: `call` does it. */
#define FILE_CHANGE(params, args, name, flush_first)                                               \
    apr_status_t cachefs_op_##name params                                                          \
    {                                                                                              \
        handle_t *h = cachefs__handle(file);                                                       \
        cache_t *c = h->cache;                                                                     \
        vfs_file_t *lower;                                                                         \
        apr_status_t st = flush_first ? cachefs__flush_hold(c, h->obj, ctx) : APR_SUCCESS;         \
        if (st) return st;                                                                         \
        st = cachefs__lower_use(c, h->obj, ctx, LOWER_ANY, &lower);                                \
        if (!st) {                                                                                 \
            (void)cachefs__obj_change_begin(c, h->obj);                                            \
            cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);                                    \
            st = vfs_call_##name args;                                                             \
            cachefs__xattr_forget(c, h->obj);                                                      \
            cachefs__obj_change_end(c, h->obj, 1);                                                 \
            cachefs__learn_base(c, h->obj, ctx, 0);                                                \
            cachefs__lower_done(c, h->obj);                                                        \
        }                                                                                          \
        if (flush_first) cachefs__flush_end(c, h->obj);                                            \
        return st;                                                                                 \
    }
FILE_CHANGE((vfs_file_t * file, const vfs_ctx_t *ctx, uint32_t mode), (lower, ctx, mode), fchmod, 0)
FILE_CHANGE((vfs_file_t * file, const vfs_ctx_t *ctx, uint32_t uid, uint32_t gid),
            (lower, ctx, uid, gid), fchown, 0)
FILE_CHANGE((vfs_file_t * file, const vfs_ctx_t *ctx, int64_t atime_ns, int64_t mtime_ns),
            (lower, ctx, atime_ns, mtime_ns), futimens, 1)
FILE_CHANGE((vfs_file_t * file, const vfs_ctx_t *ctx, const char *name, const void *value,
             size_t len, uint32_t how),
            (lower, ctx, name, value, len, how), fsetxattr, 0)
FILE_CHANGE((vfs_file_t * file, const vfs_ctx_t *ctx, const char *name), (lower, ctx, name),
            fremovexattr, 0)

/* A question that the lower handle answers. */
#define FILE_ASK(params, args, name)                                                               \
    apr_status_t cachefs_op_##name params                                                          \
    {                                                                                              \
        handle_t *h = cachefs__handle(file);                                                       \
        cache_t *c = h->cache;                                                                     \
        vfs_file_t *lower;                                                                         \
        apr_status_t st = cachefs__lower_use(c, h->obj, ctx, LOWER_ANY, &lower);                   \
        if (st) return st;                                                                         \
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);                                        \
        st = vfs_call_##name args;                                                                 \
        cachefs__lower_done(c, h->obj);                                                            \
        return st;                                                                                 \
    }
FILE_ASK((vfs_file_t * file, const vfs_ctx_t *ctx, char *buf, size_t size, size_t *len),
         (lower, ctx, buf, size, len), flistxattr)

apr_status_t cachefs_op_flush(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    handle_t *h = cachefs__handle(file);
    cache_t *c = h->cache;
    vfs_file_t *lower;
    apr_status_t st = cachefs__flush_obj(c, h->obj, ctx), told = cachefs__pending_error(c, h);
    if (!st) st = told;
    if (st || !(file->flags & VFS_O_WRITE)) return st;
    if (c->lower->caps.bits & VFS_CAP_STAGED) return st; /* it was, as a change of ours */
    st = cachefs__lower_use(c, h->obj, ctx, LOWER_WRITE, &lower);
    if (st) return st;
    st = vfs_call_flush(lower, ctx);
    cachefs__lower_done(c, h->obj);
    return APR_STATUS_IS_ENOTIMPL(st) ? APR_SUCCESS
                                      : st; /* a lower layer that holds nothing back */
}

apr_status_t cachefs_op_sync(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags)
{
    handle_t *h = cachefs__handle(file);
    cache_t *c = h->cache;
    vfs_file_t *lower;
    int64_t start = cachefs__clock_us();
    apr_status_t st = cachefs__durable_sync(c, h->obj, ctx);
    if (st != VFS_EOFFLINE) { /* the journal has it, or the caller has no more time */
        apr_status_t told = cachefs__pending_error(c, h);
        if (c->lat[LAT_SYNC])
            metrics_record(c->lat[LAT_SYNC], (uint64_t)(cachefs__clock_us() - start) * 1000);
        return st ? st : told;
    }
    uint32_t mark = cachefs__durable_mark(c, h->obj);
    st = cachefs__flush_obj(c, h->obj, ctx);
    apr_status_t told = cachefs__pending_error(c, h);
    if (!st) st = told;
    if (st) return st;
    st = cachefs__lower_use(c, h->obj, ctx, file->flags & VFS_O_WRITE ? LOWER_WRITE : LOWER_ANY,
                            &lower);
    if (st) return st;
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    st = vfs_call_sync(lower, ctx, flags);
    cachefs__lower_done(c, h->obj);
    if (!st) st = cachefs__durable_synced(c, h->obj, ctx, mark);
    if (c->lat[LAT_SYNC])
        metrics_record(c->lat[LAT_SYNC], (uint64_t)(cachefs__clock_us() - start) * 1000);
    return st;
}

apr_status_t cachefs_op_seek_extent(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t off,
                                    vfs_whence_e whence, apr_off_t *where)
{
    handle_t *h = cachefs__handle(file);
    cache_t *c = h->cache;
    vfs_file_t *lower;
    apr_status_t st =
        cachefs__flush_data(c, h->obj, ctx); /* only the lower layer knows where data is */
    if (!st) st = cachefs__lower_use(c, h->obj, ctx, LOWER_ANY, &lower);
    if (st) return st;
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    st = vfs_call_seek_extent(lower, ctx, off, whence, where);
    cachefs__lower_done(c, h->obj);
    return st;
}

apr_status_t cachefs_op_fetch(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                              size_t count, apr_off_t off, size_t *got, vfs_validator_t *validator)
{
    handle_t *h = cachefs__handle(file);
    cache_t *c = h->cache;
    obj_t *o = h->obj;
    uint32_t changes = atomic_load_explicit(&o->changes, memory_order_relaxed);
    do {
        cachefs__obj_lock(c, o);
        uint64_t ver = atomic_load(&o->ver);
        cachefs__obj_validator(o, validator);
        cachefs__obj_unlock(c, o);
        apr_status_t st = cachefs_op_readv_at(file, ctx, iov, count, off, got);
        if (st) return st;
        if (atomic_load(&o->ver) == ver) return APR_SUCCESS;
    } while (atomic_load_explicit(&o->changes, memory_order_relaxed) - changes < GET_GUARD);
    return VFS_ESTALE;
}
