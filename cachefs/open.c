/*
 * open.c - handles: open, close, and the calls on a handle that are not reads or writes.
 * Floor 2, private to cachefs/.
 *
 * Opening for reading asks for the name (or not, while it is fresh) and for nothing else: the
 * handle below is opened when a miss first needs it. Opening for writing opens the handle below at
 * once, since writing will need it and only the lower layer can say whether it is allowed.
 */
#include "cachefs/engine.h"

/* ---- handles
 * ------------------------------------------------------------------------------------------- */

handle_t *cachefs__handle_new(cache_t *c, obj_t *o, uint32_t flags)
{
    handle_t *h;
    if (atomic_fetch_add(&c->handle_count, 1) >= c->fixed.handles_max) {
        atomic_fetch_sub(&c->handle_count, 1);
        return NULL;
    }
    cachefs__lock(&c->handle_lock, RANK_LEAF);
    h = c->handle_free;
    if (h) c->handle_free = h->free_next;
    cachefs__unlock(&c->handle_lock, RANK_LEAF);
    if (!h) h = malloc(sizeof(*h));
    if (!h) {
        atomic_fetch_sub(&c->handle_count, 1);
        return NULL;
    }
    memset(h, 0, sizeof(*h));
    vfs_file_init(&h->base, c->fs, flags, NULL);
    h->magic = HANDLE_MAGIC;
    h->cache = c;
    h->obj = o;
    cachefs__obj_lock(c, o);
    o->handles++;
    if (flags & VFS_O_WRITE) o->writers++;
    h->err_seen = o->err_seq;
    cachefs__obj_unlock(c, o);
    return h;
}

void cachefs__handle_free(cache_t *c, handle_t *h)
{
    h->magic = 0;
    cachefs__lock(&c->handle_lock, RANK_LEAF);
    h->free_next = c->handle_free;
    c->handle_free = h;
    cachefs__unlock(&c->handle_lock, RANK_LEAF);
    atomic_fetch_sub(&c->handle_count, 1);
}

/* The last handle of an object is gone: close below, forget what has no name. */
static void last_handle(cache_t *c, obj_t *o)
{
    cachefs__ostripe_t *stripe = cachefs__stripe(c, o);
    vfs_file_t *file = NULL;
    cachefs__lock(&stripe->lock, RANK_OBJECT);
    int orphan = (o->flags & OBJ_UNLINKED) && !o->handles;
    cachefs__unlock(&stripe->lock, RANK_OBJECT);
    if (orphan && !cachefs__flush_begin(c, o, NULL)) {
        (void)cachefs__dirty_discard(c, o,
                                     0); /* contract: with the last name and the last handle */
        cachefs__flush_end(c, o);
    }
    cachefs__lock(&stripe->lock, RANK_OBJECT);
    if (!o->handles && !o->io && !o->dirty_bytes && !o->flushing && !o->opening) {
        file = o->lower_file;
        o->lower_file = NULL;
    }
    cachefs__unlock(&stripe->lock, RANK_OBJECT);
    if (file) {
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
        (void)vfs_close(file, NULL); /* what was written through it had its own status */
    }
}

void cachefs__hold(cache_t *c, obj_t *o)
{
    cachefs__obj_lock(c, o);
    o->handles++;
    cachefs__obj_unlock(c, o);
}

void cachefs__unhold(cache_t *c, obj_t *o)
{
    cachefs__obj_lock(c, o);
    VFS_ASSERT(o->handles > 0);
    int last = --o->handles == 0;
    cachefs__obj_unlock(c, o);
    if (last) last_handle(c, o);
}

/* Our own writes made a version that nobody asked for yet: learn it while the handle is open. */
static void learn_own(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    cachefs__obj_lock(c, o);
    int wanted = (o->flags & OBJ_OWN_CHANGE) && o->lower_file && !o->dirty_bytes && !o->changing &&
                 !(o->flags & OBJ_UNLINKED) && o->attr.type == VFS_TYPE_FILE;
    cachefs__obj_unlock(c, o);
    if (wanted && !c->lower_is_far)
        (void)cachefs__obj_refresh(c, o, ctx); /* else at the next open */
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
        if (!doomed) {
            st = cachefs__flush_obj(c, o, ctx);
            if (st) (void)cachefs__pending_error(c, h); /* this handle is told now */
        }
    }
    if (!st) st = cachefs__pending_error(c, h); /* contract: once to each handle, readers too */
    if (writer) learn_own(c, o, ctx);
    if (h->lock_lower) (void)vfs_close(h->lock_lower, ctx); /* its locks go with it */
    cachefs__obj_lock(c, o);
    VFS_ASSERT(o->handles > 0);
    o->handles--;
    if (writer) o->writers--;
    int last = !o->handles;
    cachefs__obj_unlock(c, o);
    if (last) last_handle(c, o);
    cachefs__handle_free(c, h);
    cachefs__obj_put(c, o);
    return st;
}

/* ---- open
 * ---------------------------------------------------------------------------------------------- */

static apr_status_t give_handle(vfs_file_t **file, cache_t *c, obj_t *o, uint32_t flags)
{
    handle_t *h = cachefs__handle_new(c, o, flags);
    if (!h) {
        cachefs__obj_put(c, o);
        return VFS_ELIMIT;
    }
    cachefs__count(&c->counters, CNT_OPENS, 1);
    *file = &h->base;
    return APR_SUCCESS;
}

static int is_plain(vfs_type_e type)
{
    return type == VFS_TYPE_FILE || type == VFS_TYPE_DIR;
}

/* Open below for writing; without the right to read, for writing only. */
static apr_status_t open_below(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               uint32_t flags, uint32_t mode, vfs_file_t **lower, uint32_t *got,
                               vfs_attr_t *attr, vfs_validator_t *validator)
{
    uint32_t keep = flags & (VFS_O_CREATE | VFS_O_EXCL | VFS_O_TRUNC | VFS_O_NOFOLLOW |
                             VFS_O_DIRECTORY | VFS_O_SYNC | VFS_O_DIRECT);
    *got = VFS_O_READ | (flags & VFS_O_WRITE);
    CACHE_NO_LOCKS_HELD();
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    apr_status_t st = vfs_call_open(lower, c->lower, ctx, path, *got | keep, mode, attr, validator);
    if (APR_STATUS_IS_EACCES(st) && !(flags & VFS_O_READ)) {
        *got = VFS_O_WRITE;
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
        st = vfs_call_open(lower, c->lower, ctx, path, *got | keep, mode, attr, validator);
    }
    if (!(c->lower->caps.bits & VFS_CAP_SYMLINK)) attr->flags |= VFS_ATTR_DIRECT;
    return st;
}

/* What an open below told, and a handle for it. `asked`: before the call; `mine`: the name is
 * claimed. */
static apr_status_t opened(vfs_file_t **file, cache_t *c, const vfs_path_t *path, uint32_t flags,
                           vfs_file_t *lower, uint32_t lower_flags, vfs_attr_t *attr,
                           vfs_validator_t *validator, obj_t *stale, uint64_t asked, int mine,
                           obj_t **obj)
{
    int made;
    obj_t *o = stale;
    if (stale && !(attr->flags & VFS_ATTR_STABLE_ID))
        cachefs__obj_ref(stale);
    else
        o = cachefs__obj_get(c, attr, &made);
    if (!o) {
        (void)vfs_close(lower, NULL); /* opened a moment ago, nothing written */
        return VFS_ELIMIT;
    }
    cachefs__obj_learn(c, o, attr, validator, asked);
    int follow = !(flags & VFS_O_NOFOLLOW) && !(attr->flags & VFS_ATTR_DIRECT);
    if (mine)
        cachefs__node_put(c, path, follow, o, attr->flags, asked);
    else
        cachefs__node_set(c, path, follow, o, attr->flags, asked);
    cachefs__obj_name_seen(c, o, path, mine ? UINT64_MAX : asked);
    apr_status_t st = APR_SUCCESS;
    *obj = o;
    cachefs__obj_ref(o); /* for our caller; give_handle takes or drops the first */
    st = give_handle(file, c, o, flags);
    cachefs__lower_adopt(c, o, lower, lower_flags);
    if (!st && !mine) { /* removed before our handle was known: what was dirty of it is gone */
        cachefs__obj_lock(c, o);
        int removed = (o->flags & OBJ_UNLINKED) != 0;
        cachefs__obj_unlock(c, o);
        if (!removed) return APR_SUCCESS;
        (void)cachefs_op_close(*file, NULL); /* nothing was done through it */
        *file = NULL;
        *obj = NULL;
        cachefs__obj_put(c, o);
        return APR_FROM_OS_ERROR(ENOENT);
    }
    if (st) {
        last_handle(c, o);
        cachefs__obj_put(c, o);
        *obj = NULL;
    }
    return st;
}

/* The name was changing while it was looked up: who changes it may not know of our handle, and let
 * the file go. Open it below, which is there for good, or not there. Ends *file. */
static apr_status_t open_moving(vfs_file_t **file, cache_t *c, const vfs_ctx_t *ctx,
                                const vfs_path_t *path, uint32_t flags, vfs_attr_t *attr,
                                vfs_validator_t *validator)
{
    obj_t *stale = cachefs__handle(*file)->obj, *o = NULL;
    vfs_file_t *lower = NULL;
    uint32_t lower_flags = 0;
    cachefs__obj_ref(stale);
    (void)cachefs_op_close(*file, ctx); /* nothing was done through it */
    *file = NULL;
    uint64_t asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
    apr_status_t st = open_below(c, ctx, path, flags, 0, &lower, &lower_flags, attr, validator);
    if (!st && is_plain(attr->type))
        st = opened(file, c, path, flags, lower, lower_flags, attr, validator, stale, asked, 0, &o);
    else if (!st)
        *file = lower;
    if (!st && o) {
        cachefs__obj_lock(c, o);
        cachefs__obj_attr(o, attr);
        *validator = o->validator;
        cachefs__obj_unlock(c, o);
    }
    if (o) cachefs__obj_put(c, o);
    cachefs__obj_put(c, stale);
    return st;
}

static apr_status_t open_read(vfs_file_t **file, cache_t *c, const vfs_ctx_t *ctx,
                              const vfs_path_t *path, uint32_t flags, vfs_attr_t *attr,
                              vfs_validator_t *validator)
{
    unsigned want = flags & VFS_O_NOFOLLOW ? 0 : LOOKUP_FOLLOW;
    obj_t *o = NULL;
    vfs_file_t *lower = NULL;
    if (flags & VFS_O_READ && !(flags & (VFS_O_DIRECTORY | VFS_O_NOFOLLOW | VFS_O_DIRECT)))
        want |= LOOKUP_BYTES;
    if (flags & VFS_O_DIRECT) want |= LOOKUP_FORCE;
    uint64_t asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
    uint64_t before = cachefs__counter_here(&c->counters, CNT_ATTR_HITS);
    int64_t start = cachefs__clock_us();
    apr_status_t st = cachefs__lookup(c, ctx, path, want, &o, attr, validator);
    if (st) return st;
    if (c->lat[LAT_OPEN_HIT])
        metrics_record(
            c->lat[cachefs__counter_here(&c->counters, CNT_ATTR_HITS) != before ? LAT_OPEN_HIT
                                                                                : LAT_OPEN_MISS],
            (uint64_t)(cachefs__clock_us() - start) * 1000);
    if (attr->type == VFS_TYPE_LINK)
        st = flags & VFS_O_DIRECTORY ? APR_ENOTDIR : APR_FROM_OS_ERROR(ELOOP);
    if (!st && (flags & VFS_O_DIRECTORY) && attr->type != VFS_TYPE_DIR) st = APR_ENOTDIR;
    if (!st &&
        !is_plain(attr->type)) { /* a fifo or device: its bytes are not the cache's business */
        cachefs__obj_put(c, o);
        return vfs_call_open(file, c->lower, ctx, path, flags, 0, attr, validator);
    }
    if (!st && (flags & VFS_O_READ) && vfs_attr_access(attr, ctx, VFS_ACCESS_READ)) {
        /* by the mode bits no; an access control list may know better */
        st = vfs_call_open(&lower, c->lower, ctx, path, flags, 0, NULL, NULL);
        if (!st) cachefs__lower_adopt(c, o, lower, VFS_O_READ);
    }
    if (st) {
        cachefs__obj_put(c, o);
        return st;
    }
    cachefs__obj_name_seen(c, o, path, asked);
    st = give_handle(file, c, o, flags);
    return st || cachefs__name_quiet(c, path, asked)
               ? st
               : open_moving(file, c, ctx, path, flags, attr, validator);
}

static apr_status_t open_write(vfs_file_t **file, cache_t *c, const vfs_ctx_t *ctx,
                               const vfs_path_t *path, uint32_t flags, uint32_t mode, int sure,
                               vfs_attr_t *attr, vfs_validator_t *validator)
{
    cachefs__mut_t m = {.count = 0};
    obj_t *parent = NULL, *stale = NULL, *o = NULL;
    vfs_file_t *lower = NULL;
    uint32_t lower_flags = 0, below = flags;
    int negative, creates = (flags & VFS_O_CREATE) != 0;
    apr_status_t st = APR_SUCCESS;
    cachefs__known_e known = cachefs__node_find(c, path, 0, &stale, &negative);
    if (known == KNOWN_FRESH && !(flags & VFS_O_EXCL) && !sure) creates = 0; /* it is there */
    if (!creates && stale) { /* if a known file is not there, it is made with the name claimed */
        cachefs__obj_lock(c, stale);
        if (stale->attr.type == VFS_TYPE_FILE) below &= ~VFS_O_CREATE;
        cachefs__obj_unlock(c, stale);
    }
    if (creates) st = cachefs__mut_begin(c, ctx, path, NULL, &m);
    if (!creates) m.asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
    int claimed = creates && !st;
    if (claimed) st = cachefs__parent_begin(c, ctx, path, &parent);
    if (claimed) m.asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
    if (stale) below &= ~VFS_O_TRUNC; /* cut it in order with what is dirty, through the handle */
    if (!st) st = open_below(c, ctx, path, below, mode, &lower, &lower_flags, attr, validator);
    int plain = !st && is_plain(attr->type);
    if (plain)
        st = opened(file, c, path, flags, lower, lower_flags, attr, validator, stale, m.asked,
                    claimed, &o);
    else if (!st)
        *file = lower;
    if (claimed) cachefs__mut_end(c, &m, 0);
    if (parent) cachefs__parent_end(c, parent, !st);
    if (!st && plain && (flags & VFS_O_TRUNC) &&
        (!(below & VFS_O_TRUNC) || atomic_load(&o->size) || atomic_load(&o->resident))) {
        st = cachefs__obj_truncate(c, o, ctx, 0);
        if (st) {
            (void)cachefs_op_close(*file, ctx); /* the error of the cut is the caller's */
            *file = NULL;
        }
    }
    if (!st && plain) {
        cachefs__obj_lock(c, o);
        cachefs__obj_attr(o, attr);
        *validator = o->validator;
        cachefs__obj_unlock(c, o);
    }
    if (o) cachefs__obj_put(c, o);
    if (stale) cachefs__obj_put(c, stale);
    if (APR_STATUS_IS_ENOENT(st) && !creates) cachefs__node_expire_name(c, path);
    return st;
}

apr_status_t cachefs_op_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                             const vfs_path_t *path, uint32_t flags, uint32_t mode,
                             vfs_attr_t *attr, vfs_validator_t *validator)
{
    cache_t *c = cachefs__of(fs);
    if (flags & (VFS_O_WRITE | VFS_O_CREATE | VFS_O_TRUNC)) {
        apr_status_t st = open_write(file, c, ctx, path, flags, mode, 0, attr, validator);
        if (APR_STATUS_IS_ENOENT(st) && (flags & VFS_O_CREATE)) /* it went away meanwhile */
            st = open_write(file, c, ctx, path, flags, mode, 1, attr, validator);
        return st;
    }
    return open_read(file, c, ctx, path, flags, attr, validator);
}

/* ---- calls on a handle
 * ------------------------------------------------------------------------------------ */

apr_status_t cachefs_op_fstat(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_attr_t *attr,
                              vfs_validator_t *validator)
{
    handle_t *h = cachefs__handle(file);
    cache_t *c = h->cache;
    obj_t *o = h->obj;
    apr_status_t st = APR_SUCCESS;
    cachefs__obj_lock(c, o);
    int fresh = cachefs__obj_fresh(c, o, atomic_load(&c->t.attr_ttl_us));
    cachefs__obj_unlock(c, o);
    if (!fresh) st = cachefs__obj_refresh(c, o, ctx);
    if (st && cachefs__unreachable(st) && atomic_load(&c->t.serve_stale)) {
        cachefs__count(&c->counters, CNT_STALE_SERVED, 1);
        st = APR_SUCCESS;
        attr->flags |= VFS_ATTR_STALE;
    }
    if (st) return st;
    uint32_t stale = attr->flags & VFS_ATTR_STALE;
    cachefs__obj_lock(c, o);
    cachefs__obj_attr(o, attr);
    *validator = o->validator;
    cachefs__obj_unlock(c, o);
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
        apr_status_t st = flush_first ? cachefs__flush_obj(c, h->obj, ctx) : APR_SUCCESS;          \
        if (!st) st = cachefs__lower_use(c, h->obj, ctx, 0, &lower);                               \
        if (st) return st;                                                                         \
        cachefs__obj_change_begin(c, h->obj);                                                      \
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);                                        \
        st = vfs_call_##name args;                                                                 \
        cachefs__obj_change_end(c, h->obj, 1);                                                     \
        cachefs__lower_done(c, h->obj);                                                            \
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
        apr_status_t st = cachefs__lower_use(c, h->obj, ctx, 0, &lower);                           \
        if (st) return st;                                                                         \
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);                                        \
        st = vfs_call_##name args;                                                                 \
        cachefs__lower_done(c, h->obj);                                                            \
        return st;                                                                                 \
    }
FILE_ASK((vfs_file_t * file, const vfs_ctx_t *ctx, const char *name, void *buf, size_t size,
          size_t *len),
         (lower, ctx, name, buf, size, len), fgetxattr)
FILE_ASK((vfs_file_t * file, const vfs_ctx_t *ctx, char *buf, size_t size, size_t *len),
         (lower, ctx, buf, size, len), flistxattr)

apr_status_t cachefs_op_write_at(vfs_file_t *file, const vfs_ctx_t *ctx, const void *buf,
                                 size_t len, apr_off_t off, size_t *written,
                                 vfs_validator_t *validator)
{
    handle_t *h = cachefs__handle(file);
    cache_t *c = h->cache;
    int64_t start = cachefs__clock_us();
    apr_status_t st = cachefs__write(c, h, ctx, buf, len, off, written, validator);
    cachefs__count(&c->counters, CNT_WRITES, 1);
    cachefs__count(&c->counters, CNT_WRITTEN_BYTES, *written);
    if (!st && (file->flags & VFS_O_SYNC) && c->mode == CACHEFS_BACK)
        st = cachefs_op_sync(file, ctx, VFS_SYNC_DATA);
    if (c->lat[LAT_WRITE])
        metrics_record(c->lat[LAT_WRITE], (uint64_t)(cachefs__clock_us() - start) * 1000);
    return st;
}

apr_status_t cachefs_op_flush(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    handle_t *h = cachefs__handle(file);
    cache_t *c = h->cache;
    vfs_file_t *lower;
    apr_status_t st = cachefs__flush_obj(c, h->obj, ctx), told = cachefs__pending_error(c, h);
    if (!st) st = told;
    if (st || !(file->flags & VFS_O_WRITE)) return st;
    st = cachefs__lower_use(c, h->obj, ctx, 1, &lower);
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
    apr_status_t st = cachefs__flush_obj(c, h->obj, ctx), told = cachefs__pending_error(c, h);
    if (!st) st = told;
    if (st) return st;
    st = cachefs__lower_use(c, h->obj, ctx, (file->flags & VFS_O_WRITE) != 0, &lower);
    if (st) return st;
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    st = vfs_call_sync(lower, ctx, flags);
    cachefs__lower_done(c, h->obj);
    if (c->lat[LAT_SYNC])
        metrics_record(c->lat[LAT_SYNC], (uint64_t)(cachefs__clock_us() - start) * 1000);
    return st;
}

/* Locks belong to a handle, and the lower handle is shared: each handle that locks gets one of its
 * own. */
apr_status_t cachefs_op_lock(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_lock_t *lock)
{
    handle_t *h = cachefs__handle(file);
    cache_t *c = h->cache;
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t path;
    vfs_file_t *made = NULL;
    cachefs__obj_lock(c, h->obj);
    vfs_file_t *lower = h->lock_lower;
    apr_status_t named = lower ? APR_SUCCESS : cachefs__obj_name(c, h->obj, &path, buf);
    cachefs__obj_unlock(c, h->obj);
    if (named) return VFS_ESTALE;
    if (!lower) {
        uint32_t flags = file->flags & (VFS_O_READ | VFS_O_WRITE);
        apr_status_t st = vfs_call_open(&made, c->lower, ctx, &path, flags, 0, NULL, NULL);
        if (st) return st;
        cachefs__obj_lock(c, h->obj);
        if (!h->lock_lower) {
            h->lock_lower = made;
            made = NULL;
        }
        lower = h->lock_lower;
        cachefs__obj_unlock(c, h->obj);
        if (made) (void)vfs_close(made, ctx); /* another thread of this handle was first */
    }
    return vfs_call_lock(lower, ctx, lock);
}

apr_status_t cachefs_op_seek_extent(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t off,
                                    vfs_whence_e whence, apr_off_t *where)
{
    handle_t *h = cachefs__handle(file);
    cache_t *c = h->cache;
    vfs_file_t *lower;
    apr_status_t st =
        cachefs__flush_obj(c, h->obj, ctx); /* only the lower layer knows where data is */
    if (!st) st = cachefs__lower_use(c, h->obj, ctx, 0, &lower);
    if (st) return st;
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    st = vfs_call_seek_extent(lower, ctx, off, whence, where);
    cachefs__lower_done(c, h->obj);
    return st;
}

/* Bytes that the lower layer changes by itself: what is dirty goes first, what is cached of the
 * range is forgotten. */
static apr_status_t range_begin(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, gate_t *gate)
{
    apr_status_t st = cachefs__gate_enter(c, o, ctx, gate, NULL);
    if (st) return st;
    st = cachefs__flush_obj(c, o, ctx);
    if (!st) st = cachefs__flush_begin(c, o, ctx);
    if (st)
        cachefs__gate_leave(c, o, gate, APR_SUCCESS);
    else
        cachefs__obj_change_begin(c, o);
    return st;
}

static void range_end(cache_t *c, obj_t *o, gate_t *gate, uint64_t off, uint64_t end)
{
    uint64_t stop = atomic_load(&o->size);
    cachefs__forget(c, o, off, end < stop ? end : stop);
    cachefs__obj_change_end(c, o, 1);
    cachefs__flush_end(c, o);
    cachefs__gate_leave(c, o, gate, APR_SUCCESS);
}

/* The size that the lower layer has now. */
static void take_size(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, vfs_file_t *lower)
{
    vfs_attr_t attr;
    vfs_validator_t val;
    if (!vfs_call_fstat(lower, ctx, &attr, &val)) cachefs__cut(c, o, attr.size);
}

apr_status_t cachefs_op_allocate(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags,
                                 apr_off_t off, apr_off_t len)
{
    handle_t *h = cachefs__handle(file);
    cache_t *c = h->cache;
    obj_t *o = h->obj;
    vfs_file_t *lower;
    int moves = (flags & (VFS_ALLOC_COLLAPSE | VFS_ALLOC_INSERT)) != 0;
    gate_t gate = {.start = (uint64_t)off,
                   .end = moves ? UINT64_MAX : (uint64_t)off + (uint64_t)len,
                   .kind = GATE_WRITE};
    if (!moves && !(flags & VFS_ALLOC_KEEP_SIZE)) gate.end = UINT64_MAX;
    apr_status_t st = range_begin(c, o, ctx, &gate);
    if (st) return st;
    st = cachefs__lower_use(c, o, ctx, 1, &lower);
    if (!st) {
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 2);
        st = vfs_call_allocate(lower, ctx, flags, off, len);
        cachefs__forget(c, o, (uint64_t)off,
                        gate.end == UINT64_MAX ? atomic_load(&o->size) : gate.end);
        if (!st && (moves || !(flags & VFS_ALLOC_KEEP_SIZE))) take_size(c, o, ctx, lower);
        cachefs__lower_done(c, o);
    }
    range_end(c, o, &gate, (uint64_t)off, gate.end);
    return st;
}

apr_status_t cachefs_op_copy_range(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                                   vfs_file_t *dst, apr_off_t dst_off, size_t len, size_t *copied)
{
    handle_t *hs = cachefs__handle(src), *hd = cachefs__handle(dst);
    cache_t *c = hd->cache;
    vfs_file_t *ls = NULL, *ld = NULL;
    gate_t gate = {.start = (uint64_t)dst_off, .end = (uint64_t)dst_off + len, .kind = GATE_WRITE};
    int same = hs->obj == hd->obj;
    if (same && src_off < dst_off + (apr_off_t)len && dst_off < src_off + (apr_off_t)len)
        return APR_EINVAL;
    apr_status_t st = cachefs__flush_obj(c, hs->obj, ctx);
    if (!st) st = range_begin(c, hd->obj, ctx, &gate);
    if (st) return st;
    st = cachefs__lower_use(c, hd->obj, ctx, 1, &ld);
    if (!st) st = cachefs__lower_use(c, hs->obj, ctx, 0, &ls);
    if (!st) {
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
        st = vfs_copy_range(ls, ctx, src_off, ld, dst_off, len, copied);
        uint64_t end = (uint64_t)dst_off + *copied;
        cachefs__forget(c, hd->obj, (uint64_t)dst_off, atomic_load(&hd->obj->size));
        if (*copied && end > atomic_load(&hd->obj->size)) cachefs__cut(c, hd->obj, end);
    }
    if (ld) cachefs__lower_done(c, hd->obj);
    if (ls) cachefs__lower_done(c, hs->obj);
    range_end(c, hd->obj, &gate, gate.start, gate.end);
    return st;
}

apr_status_t cachefs_op_fetch(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                              size_t count, apr_off_t off, size_t *got, vfs_validator_t *validator)
{
    handle_t *h = cachefs__handle(file);
    cache_t *c = h->cache;
    obj_t *o = h->obj;
    for (int tries = 0; tries < GET_GUARD + 1; tries++) {
        size_t total = 0, n = 0;
        apr_status_t st = APR_SUCCESS;
        cachefs__obj_lock(c, o);
        uint64_t ver = atomic_load(&o->ver);
        *validator = o->validator;
        if (o->flags & OBJ_OWN_CHANGE || o->dirty_bytes) validator->kind = VFS_VALIDATOR_NONE;
        cachefs__obj_unlock(c, o);
        for (size_t i = 0; i < count && !st; i++) {
            st = cachefs_op_read_at(file, ctx, iov[i].base, iov[i].len, off + (apr_off_t)total, &n);
            total += n;
            if (n < iov[i].len) break;
        }
        if (st) return st;
        *got = total;
        if (atomic_load(&o->ver) == ver) return APR_SUCCESS;
    }
    return VFS_ESTALE;
}
