/*
 * staged.c - what we wrote below and the lower layer holds back until a flush (VFS_CAP_STAGED).
 * Floor 2, private to cachefs/.
 *
 * Such a layer makes one commit of all that was written to a file since the last one, which may
 * send the whole of it. So it is flushed where somebody waits for that: at a flush, a sync, a
 * close, and when the flusher has written what was due; never where a flush only makes room, or a
 * stream would go below again and again. Its flush is a change of ours, and the version that it
 * makes is asked for at once.
 */
#include "cachefs/engine.h"

#define PAUSE 9 /* times the time of a commit, until the flusher has the next one made */

void cachefs__below_staged(cache_t *c, obj_t *o)
{
    if (!(c->lower->caps.bits & VFS_CAP_STAGED)) return;
    cachefs__obj_lock(c, o);
    o->flags |= OBJ_STAGED;
    cachefs__obj_unlock(c, o);
}

/* Takes the flag, behind whoever has it: what is written from now on sets it again. 0: nothing is
 * staged, or `st` says why not. */
static int take_flag(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, apr_status_t *st)
{
    *st = APR_SUCCESS;
    cachefs__obj_lock(c, o);
    while (((o->flags & OBJ_COMMITTING) || o->flushing) && !*st)
        *st = cachefs__obj_wait(c, o, ctx, 0);
    int staged = !*st && (o->flags & (OBJ_STAGED | OBJ_UNLINKED)) == OBJ_STAGED;
    if (staged) o->flags = (o->flags & ~OBJ_STAGED) | OBJ_COMMITTING;
    cachefs__obj_unlock(c, o);
    return staged;
}

static void give_flag(cache_t *c, obj_t *o)
{
    cachefs__obj_lock(c, o);
    o->flags &= ~OBJ_COMMITTING;
    cachefs__obj_wake(c, o);
    cachefs__obj_unlock(c, o);
}

/* It failed: whoever flushes next finds it, and the flusher does. Object locked. */
static void keep(cache_t *c, obj_t *o)
{
    o->flags |= OBJ_STAGED;
    if (!(o->flags & OBJ_STAGED_KEPT)) {
        o->flags |= OBJ_STAGED_KEPT;
        cachefs__obj_ref(o);
        atomic_fetch_add(&c->kept, 1);
    }
    cachefs__wb_wake(c, o->retry_at_us);
}

/* Object locked. 1: the caller drops a reference. */
static int keep_end(cache_t *c, obj_t *o)
{
    if (!(o->flags & OBJ_STAGED_KEPT)) return 0;
    o->flags &= ~OBJ_STAGED_KEPT;
    atomic_fetch_sub(&c->kept, 1);
    cachefs__retry_over(c, o);
    return 1;
}

int cachefs__staged_over(cache_t *c, obj_t *o)
{
    return (o->flags & OBJ_UNLINKED) ? keep_end(c, o) : 0;
}

/* What a commit came to. Of a conflict nothing is left, and a flush too many does no harm. The
 * caller had no more time (`gave_up`): that says nothing about the file. Object locked. 1: as for
 * keep_end. */
static int note_result(cache_t *c, obj_t *o, apr_status_t st, int gave_up)
{
    if (!st) return keep_end(c, o);
    if (st == VFS_ECONFLICT) {
        o->flags |= OBJ_STAGED;
        o->err = st;
        o->err_seq++;
        cachefs__count(&c->counters, CNT_FLUSH_ERRORS, 1);
        return keep_end(c, o);
    }
    if (!gave_up) cachefs__retry_later(c, o, st);
    keep(c, o);
    return 0;
}

void cachefs__staged_closed(cache_t *c, obj_t *o, const cachefs__lowers_t *l, apr_status_t st)
{
    cachefs__obj_lock(c, o);
    int drop = o->flags & OBJ_UNLINKED ? cachefs__staged_over(c, o) : note_result(c, o, st, 0);
    if (st == VFS_ECONFLICT && o->dirty_bytes) o->flags |= OBJ_BESIDE; /* who opened it since */
    cachefs__obj_unlock(c, o);
    if (st == VFS_ECONFLICT) { /* as in cachefs__commit_below; a flush may be under way here */
        cachefs__count(&c->counters, CNT_CONFLICTS, 1);
        cachefs__listed_forget(c, NULL);
        cachefs__obj_drop_clean(c, o, NULL);
    }
    if (l->committing) give_flag(c, o);
    if (drop) cachefs__obj_put(c, o);
}

/* `lost`: its name leads to it no more, so what is staged is the business of the layer below alone,
 * unless somebody still has it open. */
static void committed(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, int64_t start, apr_status_t st,
                      int lost)
{
    int64_t now = cachefs__clock_us(), rest = now + (now - start) * PAUSE;
    int gave_up = (APR_STATUS_IS_TIMEUP(st) || st == VFS_ECANCELED) && vfs_ctx_check(ctx);
    cachefs__obj_lock(c, o);
    int drop = lost && !o->handles ? keep_end(c, o) : note_result(c, o, st, gave_up);
    if (!st && o->retry_at_us < rest) o->retry_at_us = rest;
    cachefs__obj_unlock(c, o);
    if (drop) cachefs__obj_put(c, o);
}

apr_status_t cachefs__commit_below(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    vfs_file_t *file;
    apr_status_t st;
    int64_t start = cachefs__clock_us();
    if (!(c->lower->caps.bits & VFS_CAP_STAGED)) return APR_SUCCESS;
    if (!take_flag(c, o, ctx, &st)) return st;
    st = cachefs__lower_use(c, o, ctx, LOWER_WRITE, &file);
    int lost = st == VFS_ESTALE;
    if (!st) {
        (void)cachefs__obj_change_begin(c, o);
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
        CACHE_NO_LOCKS_HELD();
        st = vfs_call_flush(file, ctx);
        cachefs__obj_change_end(c, o, 1);
        cachefs__lower_done(c, o);
    }
    committed(c, o, ctx, start, st, lost);
    if (st == VFS_ECONFLICT) { /* ours is beside it; what is cached is of ours */
        cachefs__listed_forget(c, NULL); /* by a name that only the lower layer knows */
        cachefs__count(&c->counters, CNT_CONFLICTS, 1);
        cachefs__conflict_below(c, o, ctx);
    }
    (void)cachefs__obj_ask(c, o, ctx, NULL); /* who cannot be asked leaves it open */
    give_flag(c, o);
    return st;
}

apr_status_t cachefs__commit_kept(cache_t *c, const vfs_ctx_t *ctx)
{
    apr_status_t first = APR_SUCCESS;
    uint32_t end = cachefs__objs_end(c);
    for (uint32_t i = 1; i < end && atomic_load(&c->kept); i++) {
        obj_t *o = &c->objs[i];
        cachefs__obj_lock(c, o);
        int kept = (o->flags & OBJ_STAGED_KEPT) != 0;
        if (kept) cachefs__obj_ref(o);
        cachefs__obj_unlock(c, o);
        if (!kept) continue;
        apr_status_t st = cachefs__commit_below(c, o, ctx);
        cachefs__obj_lock(c, o);
        int lost = st == VFS_ESTALE && !(o->flags & OBJ_STAGED_KEPT);
        cachefs__obj_unlock(c, o);
        if (!first && !lost) first = st;
        cachefs__obj_put(c, o);
    }
    return first;
}
