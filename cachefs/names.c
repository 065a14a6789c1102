/*
 * names.c - operations that make and remove names; create is in open.c, rename in rename.c.
 * Floor 2, private to cachefs/.
 *
 * Each goes below at once. Before it: the name is claimed (claim.c), so that look-ups under way are
 * not kept and others who change it wait; dirty data that it depends on is flushed; a file that
 * somebody has open gets a lower handle, so that it survives its name. After it: the nodes of the
 * name, and of all below it where a directory moved, are dropped, and the parent's listing and
 * attributes are asked for again. If it is refused
 * nothing has changed; if it failed in another way doubt.c asks what became of it.
 */
#include "cachefs/engine.h"

/* ---- parents */

/* May a directory be known that no cached name leads to? Its listing lives while it is open. */
static int known_otherwise(cache_t *c)
{
    return (c->lower->caps.bits & VFS_CAP_SYMLINK) || cachefs__handles_open(c);
}

static apr_status_t parent_find(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                obj_t **parent)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t dir;
    vfs_attr_t attr = {0};
    unsigned said;
    (void)vfs_path_parent(&dir, path, buf);
    cachefs__known_e known = cachefs__node_find(c, &dir, 0, parent, &said);
    if (*parent || known != KNOWN_NOTHING || !known_otherwise(c)) return APR_SUCCESS;
    vfs_ctx_t own =
        VFS_CTX_INIT; /* our own question: the caller's rights are the lower layer's to judge */
    if (ctx) own.deadline = ctx->deadline, own.cancel = ctx->cancel;
    apr_status_t st = cachefs__lookup(c, &own, &dir, LOOKUP_FOLLOW, parent, &attr, NULL);
    if (APR_STATUS_IS_ENOENT(st) || APR_STATUS_IS_ENOTDIR(st)) return APR_SUCCESS;
    if (!st && !(attr.flags & VFS_ATTR_DIRECT)) {
        /* the names that change are known by other paths too */
        atomic_fetch_add(&c->meta_epoch, 1);
        atomic_fetch_add(&c->ns_epoch, 1);
    }
    return st;
}

apr_status_t cachefs__parent_begin(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                   obj_t **parent)
{
    apr_status_t st = parent_find(c, ctx, path, parent);
    if (*parent) (void)cachefs__obj_change_begin(c, *parent);
    return st;
}

/* Its change ends, and with it our reference. What it lists is another, whether its attributes are
 * or not. */
static void parent_changed(cache_t *c, obj_t *parent, int changed)
{
    int still = (c->lower->caps.bits & VFS_CAP_STILL_DIRS) != 0;
    cachefs__obj_change_end(c, parent, changed && !still);
    if (changed) {
        cachefs__obj_lock(c, parent);
        cachefs__dropped_t was = cachefs__obj_was(parent);
        int listed = (parent->flags & OBJ_LISTED) != 0;
        if (listed) cachefs__obj_new_version(c, parent);
        cachefs__obj_unlock(c, parent);
        if (listed) cachefs__obj_drop_end(c, parent, &was);
    }
    cachefs__obj_put(c, parent);
}

/* Is that the object that an answer about the directory finds? */
static int is_found(cache_t *c, obj_t *parent)
{
    if (!parent) return 0;
    cachefs__obj_lock(c, parent);
    int found = (parent->flags & (OBJ_BY_PATH | OBJ_HASHED)) != OBJ_BY_PATH;
    cachefs__obj_unlock(c, parent);
    return found;
}

void cachefs__parent_end(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path, obj_t *parent,
                         int changed)
{
    if (changed && !is_found(c, parent)) { /* who came to know it meanwhile may have listed it */
        obj_t *now = NULL;
        if (parent_find(c, ctx, path, &now)) atomic_fetch_add(&c->meta_epoch, 1);
        if (now) (void)cachefs__obj_change_begin(c, now);
        if (now) parent_changed(c, now, 1);
    }
    if (parent) parent_changed(c, parent, changed);
}

/* ---- the file behind a name */

obj_t *cachefs__named_obj(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path, int always)
{
    obj_t *o = NULL;
    unsigned said;
    (void)cachefs__node_find(c, path, 0, &o, &said);
    /* a file of another name too may be cached by that one, and has a name less soon */
    int owing = c->wb_files || atomic_load(&c->j_count);
    if (o || !(always || cachefs__handles_open(c) || owing || atomic_load(&c->links_seen)))
        return o;
    if (cachefs__lookup(c, ctx, path, LOOKUP_FORCE, &o, NULL, NULL)) return NULL;
    return o;
}

int cachefs__keep_open(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    vfs_file_t *file;
    cachefs__obj_lock(c, o);
    int plain = o->attr.type == VFS_TYPE_FILE || o->attr.type == VFS_TYPE_DIR;
    int needed = plain && (o->handles || o->dirty_bytes);
    int write = o->writers || o->dirty_bytes, read = o->handles > o->writers;
    cachefs__obj_unlock(c, o);
    if (!needed) return 0;
    int kept = !cachefs__lower_use(c, o, ctx, write ? LOWER_WRITE : LOWER_READ, &file);
    if (kept && write && read && !cachefs__lower_use(c, o, ctx, LOWER_READ, &file))
        cachefs__lower_done(c, o); /* it stays as long as the first */
    cachefs__lock_keep(c, o, ctx);
    return kept;
}

/* The chunk of the object's name if that is `path`; it has none then. Object locked. */
static uint32_t take_name(cache_t *c, obj_t *o, const vfs_path_t *path)
{
    uint32_t chunk = o->name;
    if (!(o->flags & OBJ_NAMED) || o->name_len != path->len ||
        memcmp(cachefs__chunk_ptr(&c->arena, chunk), path->str, path->len) != 0)
        return NONE;
    o->name = NONE;
    o->name_more = 0;
    o->flags &= ~OBJ_NAMED;
    return chunk;
}

void cachefs__name_lost(cache_t *c, obj_t *o, const vfs_path_t *path)
{
    cachefs__obj_lock(c, o);
    uint32_t chunk = o->lower_file || o->lower_writer ? take_name(c, o, path) : NONE;
    o->flags |= OBJ_ATTR_OLD | OBJ_OWN_CHANGE;
    cachefs__obj_unlock(c, o);
    if (chunk) cachefs__chunk_put(c, chunk);
}

void cachefs__name_gone(cache_t *c, obj_t *o, const vfs_path_t *path, int last)
{
    cachefs__obj_lock(c, o);
    uint32_t chunk = take_name(c, o, path);
    if (last > 0) o->flags |= OBJ_UNLINKED;
    o->flags |= OBJ_ATTR_OLD | (last < 0 ? 0 : OBJ_OWN_CHANGE);
    int idle = last > 0 && !o->handles, drop = cachefs__staged_over(c, o);
    cachefs__obj_unlock(c, o);
    if (drop) cachefs__obj_put(c, o); /* the caller has one too */
    if (chunk) cachefs__chunk_put(c, chunk);
    if (last > 0) cachefs__obj_unhash(c, o);
    cachefs__durable_gone(c, o, last);
    if (idle) {
        (void)cachefs__dirty_discard(c, o, 0); /* contract: it ends with the last name and handle */
        cachefs__lower_idle(c, o);             /* which stayed open for that data alone */
    }
}

int cachefs__is_removed(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    vfs_attr_t attr;
    vfs_validator_t val;
    vfs_file_t *file = cachefs__lower_here(c, o);
    if (!file) return -1;
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    apr_status_t st = vfs_call_fstat(file, ctx, &attr, &val);
    cachefs__lower_done(c, o);
    return st ? -1 : attr.nlink == 0;
}

/* Of two names that go at the same time the
 * later one finds none left, so the lower layer is asked, through the handle that is there if
 * anybody could lose bytes. Where there is none, nobody can: the object is left as it is, since
 * another name may lead to it, and ends with its last reference. */
int cachefs__was_last_name(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    cachefs__obj_lock(c, o);
    int dir = o->attr.type == VFS_TYPE_DIR, lost = o->attr.nlink <= 1 && o->dirty_bytes;
    cachefs__obj_unlock(c, o);
    if (dir || !(c->lower->caps.bits & VFS_CAP_HARDLINK)) return 1;
    int removed = cachefs__is_removed(c, o, ctx);
    return removed < 0 && lost ? 1 : removed;
}

void cachefs__name_taken(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path, obj_t *o,
                         cachefs__done_e done)
{
    if (done == DONE_YES)
        cachefs__name_gone(c, o, path, cachefs__was_last_name(c, o, ctx));
    else
        cachefs__name_lost(c, o, path);
}

void cachefs__drop_tree(cache_t *c, const vfs_path_t *path)
{
    (void)cachefs__node_sweep(c, path, NULL, NULL, SWEEP_FORGET, NULL);
}

void cachefs__observe_change(cache_t *c, int64_t start)
{
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    if (c->lat[LAT_CHANGE])
        metrics_record(c->lat[LAT_CHANGE], (uint64_t)(cachefs__clock_us() - start) * 1000);
}

/* ---- removing */

/* No symbolic link lies on the way, as far as is known. */
static int is_direct(cache_t *c, const vfs_path_t *path)
{
    obj_t *o = NULL;
    unsigned said;
    if (!(c->lower->caps.bits & VFS_CAP_SYMLINK)) return 1;
    (void)cachefs__node_find(c, path, 0, &o, &said);
    if (o) cachefs__obj_put(c, o);
    return cachefs__node_direct(said) != 0;
}

static apr_status_t remove_once(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path, int dir)
{
    cachefs__mut_t m;
    obj_t *parent = NULL, *o = NULL;
    int64_t start = cachefs__clock_us();
    int kept = 0, flushing = 0;
    cachefs__done_e done = DONE_NO;
    apr_status_t st = cachefs__mut_begin(c, ctx, path, NULL, &m);
    if (st) return st;
    st = cachefs__parent_begin(c, ctx, path, &parent);
    int direct = is_direct(c, path);
    if (!st) o = cachefs__named_obj(c, ctx, path, 0);
    if (!st && o) {
        kept = cachefs__keep_open(c, o, ctx);
        st = cachefs__durable_unlink(c, o, ctx);
        if (!st) st = cachefs__flush_begin(c, o, ctx); /* no flush while the name goes */
        flushing = !st;
    }
    if (!st) st = cachefs__mut_below(c, ctx, &m);
    if (!st) {
        if (o) (void)cachefs__obj_change_begin(c, o); /* the number of its names */
        CACHE_NO_LOCKS_HELD();
        st = dir ? vfs_call_rmdir(c->lower, ctx, path) : vfs_call_unlink(c->lower, ctx, path);
        cachefs__observe_change(c, start);
        done = cachefs__was_removed(c, ctx, path, st);
        if (done) {
            cachefs__name_drop(c, path);
            if (dir) cachefs__drop_tree(c, path);
            if (!dir && !st && parent && direct && !c->watching) /* others are told of in time */
                cachefs__node_put(c, path, 0, NULL, VFS_ATTR_DIRECT, m.asked);
        } else {
            cachefs__node_expire_name(c, path);
        }
        if (o && done == DONE_YES)
            cachefs__name_gone(c, o, path, cachefs__was_last_name(c, o, ctx));
        if (done == DONE_NO) cachefs__durable_stays(c, o);
        if (o && done == DONE_PERHAPS) cachefs__name_lost(c, o, path);
        if (o) cachefs__obj_change_end(c, o, done == DONE_PERHAPS); /* else name_gone noted it */
    }
    if (flushing) cachefs__flush_end(c, o);
    if (kept) cachefs__lower_done(c, o);
    cachefs__mut_end(c, &m, dir && done);
    cachefs__parent_end(c, ctx, path, parent, done != DONE_NO);
    if (o) cachefs__obj_put(c, o);
    return st;
}

static apr_status_t remove_name(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, int dir)
{
    cache_t *c = cachefs__of(fs);
    apr_status_t st;
    do {
        st = cachefs__durable_void(c, ctx);
        cachefs__durable_names_begin(c);
        if (!st) st = remove_once(c, ctx, path, dir);
        cachefs__durable_names_end(c);
    } while (st == DURABLE_AGAIN);
    return st;
}

apr_status_t cachefs_op_unlink(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    return remove_name(fs, ctx, path, 0);
}

apr_status_t cachefs_op_rmdir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    return remove_name(fs, ctx, path, 1);
}

/* ---- making */

typedef struct make_t {
    vfs_type_e type;
    uint32_t mode;
    uint64_t rdev;
    const char *target;
    const vfs_path_t *from;
} make_t;

static apr_status_t make_below(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               const make_t *how)
{
    CACHE_NO_LOCKS_HELD();
    if (how->from) return vfs_call_link(c->lower, ctx, how->from, path);
    if (how->target) return vfs_call_symlink(c->lower, ctx, how->target, path);
    if (how->type == VFS_TYPE_DIR) return vfs_call_mkdir(c->lower, ctx, path, how->mode);
    return vfs_call_mknod(c->lower, ctx, path, how->type, how->mode, how->rdev);
}

static apr_status_t make_name(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              const make_t *how)
{
    cache_t *c = cachefs__of(fs);
    cachefs__mut_t m;
    obj_t *parent = NULL, *source = NULL;
    int64_t start = cachefs__clock_us();
    int made = 0;
    apr_status_t st = cachefs__mut_begin(c, ctx, path, how->from, &m);
    if (st) return st;
    st = cachefs__parent_begin(c, ctx, path, &parent);
    if (!st && how->from) source = cachefs__named_obj(c, ctx, how->from, 1);
    if (source && !st) st = cachefs__durable_link(c, source, ctx);
    if (source) (void)cachefs__obj_change_begin(c, source);
    if (!st) {
        st = make_below(c, ctx, path, how);
        cachefs__observe_change(c, start);
        made = !st || !cachefs__refused(st); /* or may be there, which drops the same */
        if (made)
            cachefs__name_drop(c, path);
        else
            cachefs__node_expire_name(c, path);
        if (made)
            cachefs__drop_tree(c, path); /* of what was there before; names behind a new link */
    }
    if (source) {
        cachefs__obj_change_end(c, source, made); /* the number of its links */
        cachefs__obj_put(c, source);
    }
    cachefs__mut_end(c, &m, made && how->target != NULL);
    cachefs__parent_end(c, ctx, path, parent, made);
    return st;
}

apr_status_t cachefs_op_mkdir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              uint32_t mode)
{
    make_t how = {.type = VFS_TYPE_DIR, .mode = mode};
    return make_name(fs, ctx, path, &how);
}

apr_status_t cachefs_op_mknod(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              vfs_type_e type, uint32_t mode, uint64_t rdev)
{
    make_t how = {.type = type, .mode = mode, .rdev = rdev};
    return make_name(fs, ctx, path, &how);
}

apr_status_t cachefs_op_symlink(vfs_t *fs, const vfs_ctx_t *ctx, const char *target,
                                const vfs_path_t *path)
{
    make_t how = {.type = VFS_TYPE_LINK, .target = target};
    return make_name(fs, ctx, path, &how);
}

apr_status_t cachefs_op_link(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                             const vfs_path_t *to)
{
    make_t how = {.type = VFS_TYPE_FILE, .from = from};
    return make_name(fs, ctx, to, &how);
}
