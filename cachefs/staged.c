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
    while ((o->flags & OBJ_COMMITTING) && !*st)
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

static void note_result(cache_t *c, obj_t *o, int64_t start, apr_status_t st)
{
    int64_t now = cachefs__clock_us();
    cachefs__obj_lock(c, o);
    if (st) {
        o->flags |=
            OBJ_STAGED; /* of a conflict nothing is left, and a flush too many does no harm */
        o->err = st;
        o->err_seq++;
        cachefs__count(&c->counters, CNT_FLUSH_ERRORS, 1);
    } else if (o->retry_at_us < now + (now - start) * PAUSE) {
        o->retry_at_us = now + (now - start) * PAUSE;
    }
    cachefs__obj_unlock(c, o);
}

apr_status_t cachefs__commit_below(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    vfs_file_t *file;
    apr_status_t st;
    int64_t start = cachefs__clock_us();
    if (!(c->lower->caps.bits & VFS_CAP_STAGED)) return APR_SUCCESS;
    if (!take_flag(c, o, ctx, &st)) return st;
    st = cachefs__lower_use(c, o, ctx, LOWER_WRITE, &file);
    if (!st) {
        (void)cachefs__obj_change_begin(c, o);
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
        CACHE_NO_LOCKS_HELD();
        st = vfs_call_flush(file, ctx);
        cachefs__obj_change_end(c, o, 1);
        cachefs__lower_done(c, o);
    }
    note_result(c, o, start, st);
    if (st == VFS_ECONFLICT) { /* ours is beside it; what is cached is of ours */
        cachefs__count(&c->counters, CNT_CONFLICTS, 1);
        cachefs__obj_drop_clean(c, o, NULL);
    }
    (void)cachefs__obj_ask(c, o, ctx, NULL); /* who cannot be asked leaves it open */
    give_flag(c, o);
    return st;
}
