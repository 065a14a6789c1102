/*
 * lock.c - advisory locks, which are those of the lower layer.
 * Floor 2, private to cachefs/.
 *
 * Locks belong to a handle, and the lower handle of an object is shared: each handle that locks
 * gets one of its own below, opened by the file's name. A file without a name cannot be opened any
 * more. If just one handle of it is left, that may lock by the shared one. For more, as many lower
 * handles as they are (SPARES_MAX at most) are opened before the name goes; who locks first takes
 * one.
 */
#include "cachefs/engine.h"

#define SPARES_MAX 64u
#define NAME_TRIES 8 /* the name may change, or go, while the file is opened by it */

struct cachefs__lockers_t {
    uint32_t count;
    vfs_file_t *file[SPARES_MAX];
};

/* VFS_ESTALE: the name leads to another file, which is not ours to lock. */
static apr_status_t open_named(cache_t *c, const obj_t *o, const vfs_ctx_t *ctx,
                               const vfs_path_t *path, uint32_t flags, vfs_file_t **file)
{
    vfs_attr_t attr;
    CACHE_NO_LOCKS_HELD();
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    apr_status_t st = vfs_call_open(file, c->lower, ctx, path, flags, 0, &attr, NULL);
    if (st || cachefs__may_be(o, &attr)) return st;
    (void)vfs_close(*file, NULL); /* nothing was done through it */
    return VFS_ESTALE;
}

/* ---- before the name goes */

/* 0: it is one too many, all handles are closed by now, or there is no memory for it. */
static int put_spare(cache_t *c, obj_t *o, vfs_file_t *file)
{
    cachefs__lockers_t *fresh = calloc(1, sizeof(*fresh));
    cachefs__obj_lock(c, o);
    if (!o->spares && o->handles) { /* else nobody would give it back */
        o->spares = fresh;
        fresh = NULL;
    }
    int room = o->handles && o->spares && o->spares->count < SPARES_MAX;
    if (room) o->spares->file[o->spares->count++] = file;
    cachefs__obj_unlock(c, o);
    free(fresh);
    return room;
}

void cachefs__lock_keep(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t path;
    vfs_file_t *file;
    cachefs__obj_lock(c, o);
    uint32_t handles = o->handles - o->holds, have = o->spares ? o->spares->count : 0;
    uint32_t flags = o->writers ? VFS_O_READ | VFS_O_WRITE : VFS_O_READ;
    int named = o->attr.type == VFS_TYPE_FILE && !cachefs__obj_name(c, o, &path, buf);
    cachefs__obj_unlock(c, o);
    if (handles < 2 || !named || !(vfs_caps(c->lower)->bits & VFS_CAP_LOCK)) return;
    for (; have < handles && have < SPARES_MAX; have++) {
        if (open_named(c, o, ctx, &path, flags, &file)) return;
        if (put_spare(c, o, file)) continue;
        (void)vfs_close(file, NULL); /* nothing was done through it */
        return;
    }
}

/* Object locked. */
static vfs_file_t *take_spare(obj_t *o)
{
    return o->spares && o->spares->count ? o->spares->file[--o->spares->count] : NULL;
}

cachefs__lockers_t *cachefs__lock_take_spares(obj_t *o)
{
    cachefs__lockers_t *spares = o->spares;
    o->spares = NULL;
    return spares;
}

void cachefs__lock_end_spares(cachefs__lockers_t *spares)
{
    CACHE_NO_LOCKS_HELD();
    for (uint32_t i = 0; spares && i < spares->count; i++)
        (void)vfs_close(spares->file[i], NULL); /* nobody locked by it */
    free(spares);
}

/* ---- locking */

/* A handle below tells which name it has, where that is in doubt. */
static void settle_name(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    vfs_file_t *file;
    cachefs__obj_look(c, o);
    int doubt = o->name_more != 0;
    cachefs__obj_looked(c, o);
    if (doubt && !cachefs__lower_use(c, o, ctx, LOWER_ANY, &file)) cachefs__lower_done(c, o);
}

/* By the shared handle: no other handle of it is left, and none comes. */
static apr_status_t lock_alone(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_lock_t *lock)
{
    handle_t *h = cachefs__handle(file);
    cachefs__lower_e how = file->flags & VFS_O_WRITE ? LOWER_WRITE : LOWER_READ;
    vfs_file_t *lower;
    apr_status_t st = cachefs__lower_use(h->cache, h->obj, ctx, how, &lower);
    if (st) return st;
    st = vfs_call_lock(lower, ctx, lock);
    cachefs__lower_done(h->cache, h->obj);
    return st;
}

/* Another thread of this handle may be first. */
static vfs_file_t *own_lower(cache_t *c, handle_t *h, vfs_file_t *made)
{
    cachefs__obj_lock(c, h->obj);
    vfs_file_t *lower = h->lock_lower ? h->lock_lower : made;
    h->lock_lower = lower;
    cachefs__obj_unlock(c, h->obj);
    if (lower != made) (void)vfs_close(made, NULL); /* nothing was done through it */
    return lower;
}

apr_status_t cachefs_op_lock(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_lock_t *lock)
{
    handle_t *h = cachefs__handle(file);
    cache_t *c = h->cache;
    obj_t *o = h->obj;
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t path;
    uint32_t flags = file->flags & (VFS_O_READ | VFS_O_WRITE);
    apr_status_t st = VFS_ESTALE;
    settle_name(c, o, ctx);
    for (int tries = 0; tries < NAME_TRIES; tries++) {
        vfs_file_t *made;
        cachefs__obj_lock(c, o);
        int named = !cachefs__obj_name(c, o, &path, buf);
        if (!h->lock_lower && !named) h->lock_lower = take_spare(o);
        vfs_file_t *lower = h->lock_lower;
        int alone = o->handles - o->holds == 1;
        cachefs__obj_unlock(c, o);
        if (lower) return vfs_call_lock(lower, ctx, lock);
        if (!named) return alone ? lock_alone(file, ctx, lock) : VFS_ESTALE;
        st = open_named(c, o, ctx, &path, flags, &made);
        if (!st) return vfs_call_lock(own_lower(c, h, made), ctx, lock);
        if (st != VFS_ESTALE && !APR_STATUS_IS_ENOENT(st)) return st;
        apr_status_t gone = cachefs__mut_wait(c, ctx, &path); /* we may be changing it ourselves */
        if (gone) return gone;
    }
    return st;
}
