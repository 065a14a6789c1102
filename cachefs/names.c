/*
 * names.c - operations that change names: create is in open.c, all others are here.
 * Floor 2, private to cachefs/.
 *
 * Each goes below at once. Before it: the name is claimed (node.c), so that look-ups under way are
 * not kept and others who change it wait; dirty data that it depends on is flushed; a file that
 * somebody has open gets a lower handle, so that it survives its name. After it: the nodes of the
 * name, and of all below it where a directory moved, are dropped, and the parent's listing and
 * attributes are asked for again. If it is refused
 * nothing has changed; if it failed in another way doubt.c asks what became of it.
 */
#include "cachefs/engine.h"

/* ---- parents */

apr_status_t cachefs__parent_begin(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                   obj_t **parent)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t dir;
    vfs_attr_t attr = {0};
    int negative;
    (void)vfs_path_parent(&dir, path, buf);
    cachefs__known_e known = cachefs__node_find(c, &dir, 0, parent, &negative);
    if (!*parent && known == KNOWN_NOTHING && (c->lower->caps.bits & VFS_CAP_SYMLINK)) {
        vfs_ctx_t own =
            VFS_CTX_INIT; /* our own question: the caller's rights are the lower layer's to judge */
        if (ctx) own.deadline = ctx->deadline, own.cancel = ctx->cancel;
        apr_status_t st = cachefs__lookup(c, &own, &dir, LOOKUP_FOLLOW, parent, &attr, NULL);
        if (st && !APR_STATUS_IS_ENOENT(st) && !APR_STATUS_IS_ENOTDIR(st)) return st;
        if (!st && !(attr.flags & VFS_ATTR_DIRECT)) {
            /* the names that change are known by other paths too */
            atomic_fetch_add(&c->meta_epoch, 1);
            atomic_fetch_add(&c->ns_epoch, 1);
        }
    }
    if (*parent) (void)cachefs__obj_change_begin(c, *parent);
    return APR_SUCCESS;
}

void cachefs__parent_end(cache_t *c, obj_t *parent, int changed)
{
    if (!parent) return;
    cachefs__obj_change_end(c, parent, changed);
    if (changed) {
        cachefs__obj_lock(c, parent);
        uint64_t old = atomic_load(&parent->ver), size = parent->list_bytes;
        uint32_t shift = atomic_load(&parent->shift);
        int listed = (parent->flags & OBJ_LISTED) != 0;
        if (listed) cachefs__obj_new_version(c, parent);
        cachefs__obj_unlock(c, parent);
        if (listed) cachefs__version_drop(c, parent, old, size, shift);
    }
    cachefs__obj_put(c, parent);
}

/* ---- the file behind a name */

/* The object of a name itself, referenced, or NULL; asks below only if somebody could lose a file
 * otherwise. */
static obj_t *named_obj(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path, int always)
{
    obj_t *o = NULL;
    int negative;
    (void)cachefs__node_find(c, path, 0, &o, &negative);
    if (o || !(always || atomic_load(&c->handle_count) || c->wb_files)) return o;
    if (cachefs__lookup(c, ctx, path, LOOKUP_FORCE, &o, NULL, NULL)) return NULL;
    return o;
}

int cachefs__keep_open(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    vfs_file_t *file;
    cachefs__obj_lock(c, o);
    int plain = o->attr.type == VFS_TYPE_FILE || o->attr.type == VFS_TYPE_DIR;
    int needed = plain && (o->handles || o->dirty_bytes);
    int write = o->writers || o->dirty_bytes;
    cachefs__obj_unlock(c, o);
    return needed && !cachefs__lower_use(c, o, ctx, write, &file);
}

/* The chunk of the object's name if that is `path`; it has none then. Object locked. */
static uint32_t take_name(cache_t *c, obj_t *o, const vfs_path_t *path)
{
    uint32_t chunk = o->name;
    if (!chunk || o->name_len != path->len ||
        memcmp(cachefs__chunk_ptr(&c->arena, chunk), path->str, path->len) != 0)
        return NONE;
    o->name = NONE;
    return chunk;
}

/* Whether the file still has this name cannot be known. It goes on without one, by its handle
 * below, until somebody comes by one of its names; without a handle there is nothing better than
 * this name. */
static void name_lost(cache_t *c, obj_t *o, const vfs_path_t *path)
{
    cachefs__obj_lock(c, o);
    uint32_t chunk = o->lower_file ? take_name(c, o, path) : NONE;
    o->flags |= OBJ_ATTR_OLD | OBJ_OWN_CHANGE;
    cachefs__obj_unlock(c, o);
    if (chunk) cachefs__chunk_put(c, chunk);
}

/* The name is gone below. `last`: 1: it was the only one; 0: there are others; -1: nobody knows,
 * and what has the file's number from now on may be another file, so its version decides. */
static void name_gone(cache_t *c, obj_t *o, const vfs_path_t *path, int last)
{
    cachefs__obj_lock(c, o);
    uint32_t chunk = take_name(c, o, path);
    if (last > 0) o->flags |= OBJ_UNLINKED;
    o->flags |= OBJ_ATTR_OLD | (last < 0 ? 0 : OBJ_OWN_CHANGE);
    int idle = last > 0 && !o->handles;
    cachefs__obj_unlock(c, o);
    if (chunk) cachefs__chunk_put(c, chunk);
    if (last > 0) cachefs__obj_unhash(c, o);
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

/* A name of it is gone below: was that the last one? Of two names that go at the same time the
 * later one finds none left, so the lower layer is asked, through the handle that is there if
 * anybody could lose bytes. Where there is none, nobody can: the object is left as it is, since
 * another name may lead to it, and ends with its last reference. */
static int was_last_name(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    cachefs__obj_lock(c, o);
    int dir = o->attr.type == VFS_TYPE_DIR, lost = o->attr.nlink <= 1 && o->dirty_bytes;
    cachefs__obj_unlock(c, o);
    if (dir || !(c->lower->caps.bits & VFS_CAP_HARDLINK)) return 1;
    int removed = cachefs__is_removed(c, o, ctx);
    return removed < 0 && lost ? 1 : removed;
}

void cachefs__name_taken(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path, obj_t *o)
{
    name_gone(c, o, path, was_last_name(c, o, ctx));
}

static void drop_tree(cache_t *c, const vfs_path_t *path)
{
    (void)cachefs__node_sweep(c, path, NULL, NULL, SWEEP_FORGET, NULL);
}

static void observe(cache_t *c, int64_t start)
{
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    if (c->lat[LAT_CHANGE])
        metrics_record(c->lat[LAT_CHANGE], (uint64_t)(cachefs__clock_us() - start) * 1000);
}

/* ---- removing */

static apr_status_t remove_name(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, int dir)
{
    cache_t *c = cachefs__of(fs);
    cachefs__mut_t m;
    obj_t *parent = NULL, *o = NULL;
    int64_t start = cachefs__clock_us();
    int kept = 0, flushing = 0;
    cachefs__done_e done = DONE_NO;
    apr_status_t st = cachefs__mut_begin(c, ctx, path, NULL, &m);
    if (st) return st;
    st = cachefs__parent_begin(c, ctx, path, &parent);
    if (!st) o = named_obj(c, ctx, path, 0);
    if (!st && o) {
        kept = cachefs__keep_open(c, o, ctx);
        st = cachefs__flush_begin(c, o, ctx); /* no flush while the name goes */
        flushing = !st;
    }
    if (!st) {
        if (o) (void)cachefs__obj_change_begin(c, o); /* the number of its names */
        cachefs__mut_below(c, &m);
        CACHE_NO_LOCKS_HELD();
        st = dir ? vfs_call_rmdir(c->lower, ctx, path) : vfs_call_unlink(c->lower, ctx, path);
        observe(c, start);
        done = cachefs__was_removed(c, ctx, path, st);
        if (done) {
            cachefs__name_drop(c, path);
            if (dir) drop_tree(c, path);
        } else {
            cachefs__node_expire_name(c, path);
        }
        if (o && done == DONE_YES) name_gone(c, o, path, was_last_name(c, o, ctx));
        if (o && done == DONE_PERHAPS) name_lost(c, o, path);
        if (o) cachefs__obj_change_end(c, o, done == DONE_PERHAPS); /* else name_gone noted it */
    }
    if (flushing) cachefs__flush_end(c, o);
    if (kept) cachefs__lower_done(c, o);
    cachefs__mut_end(c, &m, dir && done);
    cachefs__parent_end(c, parent, done != DONE_NO);
    if (o) cachefs__obj_put(c, o);
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
    if (!st && how->from) source = named_obj(c, ctx, how->from, 1);
    if (source) (void)cachefs__obj_change_begin(c, source);
    if (!st) {
        st = make_below(c, ctx, path, how);
        observe(c, start);
        made = !st || !cachefs__refused(st); /* or may be there, which drops the same */
        if (made)
            cachefs__name_drop(c, path);
        else
            cachefs__node_expire_name(c, path);
        if (made) drop_tree(c, path); /* of what was there before; names behind a new link */
    }
    if (source) {
        cachefs__obj_change_end(c, source, made); /* the number of its links */
        cachefs__obj_put(c, source);
    }
    cachefs__mut_end(c, &m, made && how->target != NULL);
    cachefs__parent_end(c, parent, made);
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

/* ---- renaming */

/* Has it a name within `dir`, or may it have: we know one name of a file at most. Object locked. */
static int may_be_within(cache_t *c, const obj_t *o, const vfs_path_t *dir)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t name;
    if (o->flags & OBJ_UNLINKED) return 0;
    return o->attr.nlink > 1 || cachefs__obj_name(c, o, &name, buf) || vfs_path_within(&name, dir);
}

apr_status_t cachefs__flush_tree(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *dir)
{
    obj_t **objs;
    size_t n;
    apr_status_t st = cachefs__dirty_all(c, &objs, &n);
    for (size_t i = 0; i < n && objs; i++) {
        cachefs__obj_lock(c, objs[i]);
        int below = may_be_within(c, objs[i], dir);
        cachefs__obj_unlock(c, objs[i]);
        if (below) {
            apr_status_t one = cachefs__flush_obj(c, objs[i], ctx);
            if (!st) st = one;
        }
        cachefs__obj_put(c, objs[i]);
    }
    free(objs);
    return st;
}

/* Objects below `from` are below `to` now; with `swap` also the other way round. `to` NULL: nobody
 * knows where they are. */
static void move_names(cache_t *c, const vfs_path_t *from, const vfs_path_t *to, int swap)
{
    cachefs__lock(&c->arena.lock, RANK_ARENA);
    uint32_t high = c->obj_pool.high;
    cachefs__unlock(&c->arena.lock, RANK_ARENA);
    for (uint32_t i = 1; i < high; i++) {
        obj_t *o = &c->objs[i];
        char buf[VFS_PATH_MAX + 1], moved[2 * VFS_PATH_MAX + 2];
        vfs_path_t name, out;
        cachefs__lock(&c->ids.lock, RANK_IDS); /* whoever is being freed is left alone */
        int used = atomic_load(&o->refs) != 0;
        if (used) atomic_fetch_add(&o->refs, 1);
        cachefs__unlock(&c->ids.lock, RANK_IDS);
        if (!used) continue;
        cachefs__obj_lock(c, o);
        int named = !cachefs__obj_name(c, o, &name, buf);
        cachefs__obj_unlock(c, o);
        const vfs_path_t *a = NULL, *b = NULL;
        if (named && vfs_path_within(&name, from))
            a = from, b = to;
        else if (named && swap && vfs_path_within(&name, to))
            a = to, b = from;
        if (a && !b) name_lost(c, o, &name);
        if (a && b) {
            size_t tail = name.len - a->len;
            memcpy(moved, b->str, b->len);
            memcpy(moved + b->len, name.str + a->len, tail + 1);
            out = (vfs_path_t){moved, (uint32_t)(b->len + tail), 0, 0};
            if (out.len <= VFS_PATH_MAX) cachefs__obj_set_name(c, o, &out);
        }
        cachefs__obj_put(c, o);
    }
}

typedef struct rename_t {
    const vfs_path_t *from, *to;
    uint32_t flags;
    obj_t *source, *target;
    int flushing, target_kept, tree;
} rename_t;

static int is_dir(cache_t *c, obj_t *o)
{
    if (!o) return 0;
    cachefs__obj_lock(c, o);
    int yes = o->attr.type == VFS_TYPE_DIR;
    cachefs__obj_unlock(c, o);
    return yes;
}

static void renamed(cache_t *c, const vfs_ctx_t *ctx, rename_t *r, const cachefs__mut_t *m)
{
    int swap = (r->flags & VFS_RENAME_EXCHANGE) != 0;
    if (r->source && r->source == r->target) { /* two names of one file: nothing happened */
        cachefs__name_drop(c, r->from);
        cachefs__name_drop(c, r->to);
        return;
    }
    cachefs__name_drop(c, r->from);
    cachefs__name_drop(c, r->to);
    if (r->tree) {
        drop_tree(c, r->from);
        drop_tree(c, r->to);
        move_names(c, r->from, r->to, swap);
    }
    if (r->target && !swap) name_gone(c, r->target, r->to, was_last_name(c, r->target, ctx));
    if (!r->tree && r->source) cachefs__obj_set_name(c, r->source, r->to);
    if (!r->tree && r->target && swap) cachefs__obj_set_name(c, r->target, r->from);
    if (r->source && !swap && !r->tree && (c->lower->caps.bits & VFS_CAP_STABLE_ID)) {
        /* keep the object, and with it the bytes: the next look-up finds it by its identity */
        cachefs__node_put(c, r->to, 0, r->source, 0, m->asked);
        cachefs__node_expire_name(c, r->to);
    }
}

/* It failed, and may have been done. */
static void perhaps_renamed(cache_t *c, rename_t *r)
{
    cachefs__name_drop(c, r->from);
    cachefs__name_drop(c, r->to);
    if (r->tree) {
        drop_tree(c, r->from);
        drop_tree(c, r->to);
        move_names(c, r->from, NULL, 0);
        move_names(c, r->to, NULL, 0);
        return;
    }
    if (r->source) name_lost(c, r->source, r->from);
    if (r->target) name_lost(c, r->target, r->to);
}

static apr_status_t rename_ready(cache_t *c, const vfs_ctx_t *ctx, rename_t *r)
{
    apr_status_t st = APR_SUCCESS;
    r->source = named_obj(c, ctx, r->from, 1);
    int swap = (r->flags & VFS_RENAME_EXCHANGE) != 0;
    r->target = named_obj(c, ctx, r->to, swap);
    /* what is cached below one of them tells a directory that others put there */
    r->tree = !r->source || is_dir(c, r->source) || is_dir(c, r->target) || (swap && !r->target) ||
              cachefs__branch_is(c, r->from) || cachefs__branch_is(c, r->to);
    if (c->mode == CACHEFS_BACK) {
        if (r->source && !is_dir(c, r->source)) st = cachefs__flush_obj(c, r->source, ctx);
        if (!st && r->tree) st = cachefs__flush_tree(c, ctx, r->from);
        if (!st && swap) st = cachefs__flush_tree(c, ctx, r->to);
    }
    if (!st && r->target && r->target != r->source) {
        r->target_kept = cachefs__keep_open(c, r->target, ctx);
    }
    if (!st && r->source && !r->tree) { /* no flush looks for it by a name that is going */
        st = cachefs__flush_begin(c, r->source, ctx);
        r->flushing = !st;
    }
    return st;
}

apr_status_t cachefs_op_rename(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                               const vfs_path_t *to, uint32_t flags)
{
    cache_t *c = cachefs__of(fs);
    cachefs__mut_t m;
    rename_t r = {.from = from, .to = to, .flags = flags};
    obj_t *pa = NULL, *pb = NULL;
    int64_t start = cachefs__clock_us();
    cachefs__done_e done = DONE_NO;
    apr_status_t st = cachefs__mut_begin(c, ctx, from, to, &m);
    if (st) return st;
    st = cachefs__parent_begin(c, ctx, from, &pa);
    if (!st) st = cachefs__parent_begin(c, ctx, to, &pb);
    if (!st) st = rename_ready(c, ctx, &r);
    if (!st) {
        if (r.tree) cachefs__mut_tree(c, &m);
        if (r.source) (void)cachefs__obj_change_begin(c, r.source);
        if (r.target) (void)cachefs__obj_change_begin(c, r.target);
        cachefs__mut_below(c, &m);
        CACHE_NO_LOCKS_HELD();
        st = vfs_call_rename(c->lower, ctx, from, to, flags);
        observe(c, start);
        done = cachefs__was_renamed(c, ctx, from, to, flags, r.source, st);
        if (done == DONE_YES) renamed(c, ctx, &r, &m);
        if (done == DONE_PERHAPS) perhaps_renamed(c, &r);
        if (done == DONE_NO) {
            cachefs__node_expire_name(c, from);
            cachefs__node_expire_name(c, to);
        }
        if (r.source) cachefs__obj_change_end(c, r.source, done != DONE_NO);
        if (r.target) /* else name_gone noted it */
            cachefs__obj_change_end(c, r.target,
                                    done == DONE_PERHAPS ||
                                        (done == DONE_YES && (flags & VFS_RENAME_EXCHANGE)));
    }
    if (r.flushing) cachefs__flush_end(c, r.source);
    if (r.target_kept) cachefs__lower_done(c, r.target);
    cachefs__mut_end(c, &m, r.tree && done);
    cachefs__parent_end(c, pa, done != DONE_NO);
    cachefs__parent_end(c, pb, done != DONE_NO);
    if (r.source) cachefs__obj_put(c, r.source);
    if (r.target) cachefs__obj_put(c, r.target);
    return st;
}
