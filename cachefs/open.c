/*
 * open.c - opening a file.
 * Floor 2, private to cachefs/.
 *
 * Opening for reading asks for the name (or not, while it is fresh) and for nothing else: the
 * handle below is opened when a miss first needs it. Opening for writing opens the handle below at
 * once, since writing will need it and only the lower layer can say whether it is allowed.
 */
#include "cachefs/engine.h"

static apr_status_t give_handle(vfs_file_t **file, cache_t *c, obj_t *o, const vfs_ctx_t *ctx,
                                uint32_t flags)
{
    handle_t *h = cachefs__handle_new(c, o, ctx, flags);
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
                             VFS_O_DIRECTORY | VFS_O_DIRECT);
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
static apr_status_t opened(vfs_file_t **file, cache_t *c, const vfs_ctx_t *ctx,
                           const vfs_path_t *path, uint32_t flags, vfs_file_t *lower,
                           uint32_t lower_flags, vfs_attr_t *attr, vfs_validator_t *validator,
                           uint64_t asked, cachefs__claim_e mine, obj_t **obj)
{
    int made = 0;
    obj_t *o = cachefs__obj_at(c, attr, path, asked, mine, &made);
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
    *obj = o;
    cachefs__obj_ref(o); /* for our caller; give_handle takes or drops the first */
    apr_status_t st = give_handle(file, c, o, ctx, flags);
    cachefs__lower_adopt(c, o, lower, lower_flags);
    if (!st)
        (void)cachefs__obj_name_seen(c, o, path, asked, mine,
                                     attr->flags); /* else it has that handle */
    if (!st && made && cachefs__obj_outdates(c, o, asked))
        (void)cachefs__obj_ask(c, o, ctx, NULL); /* who cannot be asked has told what it knew */
    if (!st && !mine) { /* removed before our handle was known: what was dirty of it is gone */
        int moving = !cachefs__name_quiet(c, path, asked);
        cachefs__obj_lock(c, o);
        int removed = (o->flags & OBJ_UNLINKED) != 0;
        cachefs__obj_unlock(c, o);
        if (!removed && moving) removed = cachefs__is_removed(c, o, ctx) == 1;
        if (!removed) return APR_SUCCESS;
        (void)cachefs_op_close(*file, NULL); /* nothing was done through it */
        *file = NULL;
        *obj = NULL;
        cachefs__obj_put(c, o);
        return APR_FROM_OS_ERROR(ENOENT);
    }
    if (st) {
        cachefs__lower_idle(c, o);
        cachefs__obj_put(c, o);
        *obj = NULL;
    }
    return st;
}

/* A file without a number is known by its path: nobody moves that while it is opened. Else the
 * claim is empty. */
static apr_status_t path_claim(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               cachefs__mut_t *m)
{
    apr_status_t st = APR_SUCCESS;
    *m = (cachefs__mut_t){.count = 0};
    if (!(c->lower->caps.bits & VFS_CAP_STABLE_ID)) {
        st = cachefs__mut_begin(c, ctx, path, NULL, m);
        if (st) return st;
        st = cachefs__mut_below(c, ctx, m);
        if (st) cachefs__mut_release(c, m);
    }
    m->asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
    return st;
}

static void path_release(cache_t *c, cachefs__mut_t *m)
{
    if (m->count) cachefs__mut_release(c, m);
    m->count = 0;
}

/* The name was changing while it was looked up: who changes it may not know of our handle, and let
 * the file go. Open it below, which is there for good, or not there. Ends *file. */
static apr_status_t open_moving(vfs_file_t **file, cache_t *c, const vfs_ctx_t *ctx,
                                const vfs_path_t *path, uint32_t flags, vfs_attr_t *attr,
                                vfs_validator_t *validator)
{
    obj_t *o = NULL;
    vfs_file_t *lower = NULL;
    uint32_t lower_flags = 0;
    cachefs__mut_t m;
    (void)cachefs_op_close(*file, ctx); /* nothing was done through it */
    *file = NULL;
    apr_status_t st = path_claim(c, ctx, path, &m);
    if (st) return st;
    st = open_below(c, ctx, path, flags, 0, &lower, &lower_flags, attr, validator);
    if (!st && is_plain(attr->type))
        st = opened(file, c, ctx, path, flags, lower, lower_flags, attr, validator, m.asked,
                    cachefs__claim_of(&m), &o);
    else if (!st)
        *file = lower;
    path_release(c, &m);
    if (!st && o) {
        cachefs__obj_lock(c, o);
        cachefs__obj_attr_told(o, attr, attr);
        cachefs__obj_validator(o, validator);
        cachefs__obj_unlock(c, o);
    }
    if (o) cachefs__obj_put(c, o);
    return st;
}

/* May the caller read it, by the mode bits? Who this process is takes a system call: it is enough
 * to know who it was when it last asked below. */
static int may_read(cache_t *c, const vfs_ctx_t *ctx, const vfs_attr_t *attr)
{
    if (!ctx || !(ctx->flags & VFS_CTX_CREDS)) {
        uint32_t uid = atomic_load_explicit(&c->own_uid, memory_order_relaxed);
        if (uid == 0 || (uid == attr->uid && (attr->mode & 0400))) return 1;
    }
    return !vfs_attr_access(attr, ctx, VFS_ACCESS_READ);
}

/* A file or directory that is known and may be read. 0: it takes more than that. */
static int open_hit(vfs_file_t **file, cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                    uint32_t flags, vfs_attr_t *attr, vfs_validator_t *validator, apr_status_t *st)
{
    static _Thread_local unsigned tick;
    int timed = ++tick % SAMPLE_HITS == 0, sure = 0;
    uint64_t start = timed ? cachefs__clock_ns() : 0;
    uint64_t asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
    unsigned want = flags & VFS_O_NOFOLLOW ? 0 : LOOKUP_FOLLOW;
    obj_t *o = NULL;
    if ((flags & VFS_O_DIRECT) || cachefs__searches(ctx)) return 0;
    if (cachefs__peek_ref(c, path, want, attr, validator, &o) != KNOWN_FRESH) return 0;
    int good =
        attr->type == VFS_TYPE_DIR || (attr->type == VFS_TYPE_FILE && !(flags & VFS_O_DIRECTORY));
    if (good && (flags & VFS_O_READ)) good = may_read(c, ctx, attr) && !cachefs__hungry(c, o, attr);
    handle_t *h =
        good ? cachefs__handle_named(c, o, ctx, flags, path, asked, attr->flags, &sure) : NULL;
    if (!h) {
        cachefs__obj_put(c, o);
        return 0;
    }
    cachefs__count(&c->counters, CNT_ATTR_HITS, 1);
    cachefs__count(&c->counters, CNT_OPENS, 1);
    if (timed) metrics_record_n(c->lat[LAT_OPEN_HIT], cachefs__clock_ns() - start, SAMPLE_HITS);
    *file = &h->base;
    *st = sure ? APR_SUCCESS : open_moving(file, c, ctx, path, flags, attr, validator);
    return 1;
}

static apr_status_t open_read(vfs_file_t **file, cache_t *c, const vfs_ctx_t *ctx,
                              const vfs_path_t *path, uint32_t flags, vfs_attr_t *attr,
                              vfs_validator_t *validator)
{
    unsigned want = flags & VFS_O_NOFOLLOW ? 0 : LOOKUP_FOLLOW;
    obj_t *o = NULL;
    vfs_file_t *lower = NULL;
    if (flags & VFS_O_READ && !(flags & (VFS_O_DIRECTORY | VFS_O_DIRECT))) want |= LOOKUP_BYTES;
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
    uint64_t fetched = cachefs__lookup_fetched();
    st = give_handle(file, c, o, ctx, flags);
    if (!st && fetched) /* its first pass */
        atomic_store_explicit(&cachefs__handle(*file)->window, HANDLE_WATCHED,
                              memory_order_relaxed);
    return st || cachefs__obj_name_seen(c, o, path, asked, CLAIM_NONE, attr->flags)
               ? st
               : open_moving(file, c, ctx, path, flags, attr, validator);
}

/* A file that we know by another name may have been cut. */
static void ask_again(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    obj_t *o = NULL;
    if (!cachefs__lookup(c, ctx, path, LOOKUP_FOLLOW | LOOKUP_FORCE, &o, NULL, NULL))
        cachefs__obj_put(c, o);
}

static int is_file(cache_t *c, obj_t *o)
{
    cachefs__obj_look(c, o);
    int yes = o->attr.type == VFS_TYPE_FILE;
    cachefs__obj_looked(c, o);
    return yes;
}

static apr_status_t open_write(vfs_file_t **file, cache_t *c, const vfs_ctx_t *ctx,
                               const vfs_path_t *path, uint32_t flags, uint32_t mode, int sure,
                               vfs_attr_t *attr, vfs_validator_t *validator)
{
    cachefs__mut_t m = {.count = 0};
    obj_t *parent = NULL, *stale = NULL, *o = NULL;
    vfs_file_t *lower = NULL;
    uint32_t lower_flags = 0, below = flags;
    unsigned said;
    int creates = (flags & VFS_O_CREATE) != 0;
    apr_status_t st = APR_SUCCESS;
    cachefs__known_e known = cachefs__node_find(c, path, 0, &stale, &said);
    if (known == KNOWN_FRESH && !(flags & VFS_O_EXCL) && !sure && is_file(c, stale)) {
        creates = 0; /* it is there; if it is not, it is made with the name claimed */
        below &= ~VFS_O_CREATE;
    }
    st = creates ? cachefs__mut_begin(c, ctx, path, NULL, &m) : path_claim(c, ctx, path, &m);
    int claimed = creates && !st, release = !st && m.count && !creates;
    if (claimed) st = cachefs__parent_begin(c, ctx, path, &parent);
    if (claimed && !st && !(c->lower->caps.bits & VFS_CAP_STABLE_ID))
        st = cachefs__mut_below(c, ctx, &m); /* no directory above it moves either */
    if (claimed) m.asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
    below &= ~VFS_O_TRUNC; /* cut it in order with what is dirty, whatever name that came by */
    if (!st) st = open_below(c, ctx, path, below, mode, &lower, &lower_flags, attr, validator);
    int plain = !st && is_plain(attr->type), lost = st && !cachefs__refused(st);
    if (lost && claimed) cachefs__name_drop(c, path); /* it may have been made */
    if (plain)
        st = opened(file, c, ctx, path, flags, lower, lower_flags, attr, validator, m.asked,
                    cachefs__claim_of(&m), &o);
    else if (!st)
        *file = lower;
    if (plain && !st && (below & VFS_O_CREATE)) {
        cachefs__durable_made(c, o);
        cachefs__below_staged(c, o);
    }
    if (plain && !st && (below & VFS_O_EXCL)) cachefs__xattr_made(c, o);
    if (release) path_release(c, &m);
    if (claimed && !st && !(attr->flags & VFS_ATTR_DIRECT)) /* it may have been made elsewhere */
        atomic_fetch_add(&c->meta_epoch, 1);
    if (claimed) cachefs__mut_end(c, &m, 0);
    if (claimed) cachefs__parent_end(c, ctx, path, parent, !st || lost);
    if (lost && (below & VFS_O_TRUNC)) ask_again(c, ctx, path);
    if (!st && plain && (flags & VFS_O_TRUNC) &&
        (!creates || attr->size || atomic_load(&o->size) || atomic_load(&o->resident))) {
        st = cachefs__obj_truncate(c, o, ctx, 0);
        if (st) {
            (void)cachefs_op_close(*file, ctx); /* the error of the cut is the caller's */
            *file = NULL;
        }
    }
    if (!st && plain) {
        cachefs__obj_lock(c, o);
        cachefs__obj_attr_told(o, attr, attr);
        cachefs__obj_validator(o, validator);
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
        apr_status_t st = cachefs__recovered(c, ctx, path, 0);
        if (st) return st;
        st = open_write(file, c, ctx, path, flags, mode, 0, attr, validator);
        if (APR_STATUS_IS_ENOENT(st) && (flags & VFS_O_CREATE)) /* it went away meanwhile */
            st = open_write(file, c, ctx, path, flags, mode, 1, attr, validator);
        return st;
    }
    apr_status_t st;
    if (open_hit(file, c, ctx, path, flags, attr, validator, &st)) return st;
    memset(attr, 0, sizeof(*attr)); /* nothing is left of a look without a lock */
    memset(validator, 0, sizeof(*validator));
    return open_read(file, c, ctx, path, flags, attr, validator);
}

/* ---- files that are read by their path */

apr_status_t cachefs__use_begin(cachefs__use_t *use, cache_t *c, const vfs_ctx_t *ctx,
                                const vfs_path_t *path, unsigned want, vfs_attr_t *attr,
                                vfs_validator_t *validator)
{
    uint64_t asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
    vfs_validator_t own;
    *use = (cachefs__use_t){.obj = NULL};
    apr_status_t st = cachefs__lookup(c, ctx, path, want, &use->obj, attr, validator);
    if (st || attr->type != VFS_TYPE_FILE) return st;
    cachefs__hold(c, use->obj, &use->holder);
    if (cachefs__obj_name_seen(c, use->obj, path, asked, CLAIM_NONE, attr->flags))
        return APR_SUCCESS;
    cachefs__use_end(use, c); /* it moves: what is there is there by its handle */
    st = cachefs_op_open(&use->file, c->fs, ctx, path, VFS_O_READ, 0, attr,
                         validator ? validator : &own);
    if (st) return st;
    if (use->file->fs != c->fs) { /* no file any more */
        (void)vfs_close(use->file, ctx);
        use->file = NULL;
        return VFS_ESTALE;
    }
    use->obj = cachefs__handle(use->file)->obj;
    return APR_SUCCESS;
}

void cachefs__use_end(cachefs__use_t *use, cache_t *c)
{
    obj_t *o = use->obj;
    use->obj = NULL;
    if (use->file) {
        (void)cachefs_op_close(use->file, NULL); /* it only read */
        use->file = NULL;
    } else if (o) {
        if (use->holder.obj) cachefs__unhold(c, &use->holder);
        use->holder.obj = NULL;
        cachefs__obj_put(c, o);
    }
}
