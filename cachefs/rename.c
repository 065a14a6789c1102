/*
 * rename.c - renaming, and what it needs of all that is below a directory.
 * Floor 2, private to cachefs/. How a name changes is in names.c.
 *
 * A directory that moves takes the names of open files and of dirty data along: they are what is
 * opened and flushed by name later. All others are known by their nodes alone, which go. While it
 * moves no other name changes below (cachefs__mut_tree), and no name is noted that was found
 * before, so those who have a name when the call below begins are all who must be told.
 */
#include "cachefs/engine.h"

/* Has it a name within `dir`, or may it have: we know one name of a file at most. Object locked. */
static int may_be_within(cache_t *c, const obj_t *o, const vfs_path_t *dir)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t name;
    if (o->flags & OBJ_UNLINKED) return 0;
    return o->attr.nlink > 1 || cachefs__obj_name(c, o, &name, buf) || vfs_path_within(&name, dir);
}

apr_status_t cachefs__flush_within(cache_t *c, obj_t *o, const vfs_ctx_t *ctx,
                                   const vfs_path_t *dir)
{
    cachefs__obj_lock(c, o);
    int below = may_be_within(c, o, dir);
    int gone = (o->flags & OBJ_UNLINKED) && !o->handles;
    cachefs__obj_unlock(c, o);
    if (below) return cachefs__flush_obj(c, o, ctx);
    if (gone && !cachefs__flush_begin(c, o, ctx))
        cachefs__flush_end(c, o); /* its data ends with the flush that is under way */
    return APR_SUCCESS;
}

apr_status_t cachefs__flush_tree(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *dir)
{
    obj_t **objs;
    size_t n;
    apr_status_t st = cachefs__dirty_all(c, &objs, &n);
    for (size_t i = 0; i < n && objs; i++) {
        apr_status_t one = cachefs__flush_within(c, objs[i], ctx, dir);
        if (!st) st = one;
        cachefs__obj_put(c, objs[i]);
    }
    free(objs);
    return st;
}

/* What has no name may be there: no other file is taken for it where its path was its identity. */
static void unhash_nameless(cache_t *c, obj_t *o)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t name;
    cachefs__obj_lock(c, o);
    int lost = cachefs__obj_name(c, o, &name, buf) && (o->flags & OBJ_BY_PATH);
    cachefs__obj_unlock(c, o);
    if (lost) cachefs__obj_unhash(c, o);
}

/* What is open or dirty below `from` is below `to` now. */
static void move_name(cache_t *c, obj_t *o, const cachefs__move_t *move)
{
    char buf[VFS_PATH_MAX + 1], moved[2 * VFS_PATH_MAX + 2];
    vfs_path_t name, out;
    const vfs_path_t *a = NULL, *b = NULL;
    cachefs__obj_lock(c, o);
    int named = !cachefs__obj_name(c, o, &name, buf), doubt = o->name_more != 0;
    cachefs__obj_unlock(c, o);
    unhash_nameless(c, o);
    if (doubt) cachefs__names_move(c, o, move);
    if (named && vfs_path_within(&name, move->from))
        a = move->from, b = move->to;
    else if (named && move->swap && vfs_path_within(&name, move->to))
        a = move->to, b = move->from;
    if (!a) return;
    size_t tail = name.len - a->len, len = b->len + tail;
    if (len > VFS_PATH_MAX) { /* by no name that a call below would take */
        cachefs__name_lost(c, o, &name);
        return;
    }
    memcpy(moved, b->str, b->len);
    memcpy(moved + b->len, name.str + a->len, tail + 1);
    out = (vfs_path_t){moved, (uint32_t)len, 0, 0};
    cachefs__obj_set_name(c, o, &out);
}

/* It may be below `to` now. With a handle below it goes on by that. */
static void doubt_name(cache_t *c, obj_t *o, const cachefs__move_t *move)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t name;
    cachefs__obj_lock(c, o);
    int named = cachefs__obj_name_nth(c, o, 0, &name, buf), doubt = o->name_more != 0;
    cachefs__obj_unlock(c, o);
    int meets = named && (vfs_path_within(&name, move->from) || vfs_path_within(&name, move->to));
    if (!meets && !doubt) return;
    cachefs__name_doubt(c, o, move);
    if (meets) cachefs__name_lost(c, o, &name);
}

typedef struct rename_t {
    const vfs_path_t *from, *to;
    uint32_t flags;
    obj_t *source, *target;
    int flushing, target_kept, tree;
    obj_t **open; /* where a directory moves: all that must be told */
    size_t open_count;
} rename_t;

static cachefs__move_t move_of(const rename_t *r, int sure)
{
    return (cachefs__move_t){r->from, r->to, (r->flags & VFS_RENAME_EXCHANGE) != 0, sure};
}

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
        cachefs__drop_tree(c, r->from);
        cachefs__drop_tree(c, r->to);
        cachefs__move_t move = move_of(r, 1);
        for (size_t i = 0; i < r->open_count; i++)
            move_name(c, r->open[i], &move);
    }
    if (r->target && !swap)
        cachefs__name_gone(c, r->target, r->to, cachefs__was_last_name(c, r->target, ctx));
    if (!r->tree && r->source) cachefs__obj_set_name(c, r->source, r->to);
    if (!r->tree && r->target && swap) cachefs__obj_set_name(c, r->target, r->from);
    if (r->source && !swap && !r->tree) {
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
    cachefs__move_t move = move_of(r, 0);
    if (r->tree) {
        cachefs__drop_tree(c, r->from);
        cachefs__drop_tree(c, r->to);
        for (size_t i = 0; i < r->open_count; i++) {
            unhash_nameless(c, r->open[i]);
            doubt_name(c, r->open[i], &move);
        }
        return;
    }
    if (r->source) doubt_name(c, r->source, &move);
    if (r->target) doubt_name(c, r->target, &move);
}

static apr_status_t rename_ready(cache_t *c, const vfs_ctx_t *ctx, rename_t *r)
{
    apr_status_t st = APR_SUCCESS;
    r->source = cachefs__named_obj(c, ctx, r->from, 1);
    int swap = (r->flags & VFS_RENAME_EXCHANGE) != 0;
    r->target = cachefs__named_obj(c, ctx, r->to, swap);
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

static apr_status_t rename_once(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *from,
                                const vfs_path_t *to, uint32_t flags)
{
    cachefs__mut_t m;
    rename_t r = {.from = from, .to = to, .flags = flags};
    obj_t *pa = NULL, *pb = NULL;
    int64_t start = cachefs__clock_us();
    uint64_t move = 0;
    cachefs__done_e done = DONE_NO;
    apr_status_t st = cachefs__mut_begin(c, ctx, from, to, &m);
    if (st) return st;
    st = cachefs__parent_begin(c, ctx, from, &pa);
    if (!st) st = cachefs__parent_begin(c, ctx, to, &pb);
    if (!st) st = rename_ready(c, ctx, &r);
    if (!st && r.tree) st = cachefs__mut_tree(c, ctx, &m);
    if (!st && r.tree) st = cachefs__open_objs(c, &r.open, &r.open_count);
    int swap = (flags & VFS_RENAME_EXCHANGE) != 0, replaced = !swap && r.target != r.source;
    if (!st && replaced) st = cachefs__durable_unlink(c, r.target, ctx);
    if (!st) st = cachefs__durable_move(c, ctx, from, to, swap, &move);
    if (!st) st = cachefs__mut_below(c, ctx, &m);
    if (!st) {
        if (r.source) (void)cachefs__obj_change_begin(c, r.source);
        if (r.target) (void)cachefs__obj_change_begin(c, r.target);
        CACHE_NO_LOCKS_HELD();
        st = vfs_call_rename(c->lower, ctx, from, to, flags);
        cachefs__observe_change(c, start);
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
    if (done == DONE_NO && replaced) cachefs__durable_stays(c, r.target);
    cachefs__durable_moved(c, ctx, from, to, move, done == DONE_YES ? 1 : done == DONE_NO ? 0 : -1);
    if (r.flushing) cachefs__flush_end(c, r.source);
    if (r.target_kept) cachefs__lower_done(c, r.target);
    cachefs__mut_end(c, &m, r.tree && done);
    cachefs__parent_end(c, ctx, from, pa, done != DONE_NO);
    cachefs__parent_end(c, ctx, to, pb, done != DONE_NO);
    for (size_t i = 0; i < r.open_count; i++)
        cachefs__obj_put(c, r.open[i]);
    free(r.open);
    if (r.source) cachefs__obj_put(c, r.source);
    if (r.target) cachefs__obj_put(c, r.target);
    return st;
}

apr_status_t cachefs_op_rename(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                               const vfs_path_t *to, uint32_t flags)
{
    cache_t *c = cachefs__of(fs);
    apr_status_t st;
    do {
        st = cachefs__durable_void(c, ctx);
        cachefs__durable_names_begin(c);
        if (!st) st = rename_once(c, ctx, from, to, flags);
        cachefs__durable_names_end(c);
    } while (st == DURABLE_AGAIN);
    return st;
}
