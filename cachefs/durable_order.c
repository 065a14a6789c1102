/*
 * durable_order.c - what becomes durable before what, where one file's bytes go below, are synced
 * or are done with. Floor 2, private to cachefs/. durable.c has the whole order.
 */
#include "cachefs/durable_private.h"

void cachefs__durable_before(cache_t *c, obj_t *o, uint64_t lsn, uint64_t *sure)
{
    if (!cachefs__journal_on(c)) return;
    cachefs__obj_lock(c, o);
    o->j_flags |= J_SENT;
    uint64_t last = o->j_last;
    cachefs__obj_unlock(c, o);
    if (lsn <= *sure) return;
    (void)cachefs__durable_wait(c, NULL, last); /* without a deadline only death ends it */
    *sure = last;
}

/* From here on what differs below may be our work. Without room for the note, a recovery takes it
 * for a change by others, and keeps both. */
static void note_flush(cache_t *c, obj_t *o, uint64_t id)
{
    apr_status_t st = cachefs__journal_note(c->journal, NULL, JOURNAL_FLUSH, id, 0);
    if (st && st != VFS_ELIMIT) cachefs__journal_died(c, st);
    if (st) return;
    cachefs__obj_lock(c, o);
    if (o->j_id == id) o->j_flags |= J_FLUSH;
    cachefs__obj_unlock(c, o);
}

void cachefs__durable_changing(cache_t *c, obj_t *o, int data)
{
    if (!c->journal) return;
    if (!data) cachefs__durable_thin(c, NULL, 0);
    cachefs__obj_lock(c, o);
    int file = o->attr.type == VFS_TYPE_FILE;
    if (!data && file) cachefs__owes(c, o, J_BELOW);
    uint64_t id = o->j_flags & J_FLUSH ? 0 : o->j_id, retired = o->j_id || data ? 0 : o->j_last;
    cachefs__obj_unlock(c, o);
    if (retired && cachefs__journal_on(c))
        (void)cachefs__durable_wait(c, NULL, retired); /* as above */
    if (id && cachefs__journal_on(c)) note_flush(c, o, id);
}

/* Held, flushed and synced: its records are not needed any more, durably. */
static apr_status_t retire_now(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    size_t room = cachefs__jsize(8);
    uint64_t lsn = 0;
    apr_status_t st = cachefs__journal_reserve(c->journal, ctx, room, JOURNAL_CONTROL);
    if (st && !cachefs__gave_up(st)) { /* VFS_ELIMIT too: nobody could ever make room again */
        cachefs__journal_died(c, st);
        return APR_SUCCESS;
    }
    if (st) return st;
    cachefs__obj_lock(c, o);
    if (o->j_id) lsn = cachefs__journal_done(c->journal, JOURNAL_RETIRE, o->j_id, o->j_last);
    if (lsn) o->j_last = lsn;
    o->j_id = 0;
    o->j_flags &= ~J_SENT;
    o->j_seq++;
    cachefs__obj_unlock(c, o);
    if (!lsn) cachefs__durable_unroom(c, room);
    if (lsn) st = cachefs__durable_wait(c, ctx, lsn);
    if (st || !cachefs__journal_on(c)) return st;
    cachefs__obj_lock(c, o);
    if (!o->j_id && o->j_last == lsn) o->j_last = 0; /* nothing of it counts any more */
    cachefs__obj_unlock(c, o);
    return APR_SUCCESS;
}

apr_status_t cachefs__durable_settle(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    apr_status_t st = APR_SUCCESS;
    if (!cachefs__journal_on(c)) return st;
    cachefs__obj_lock(c, o);
    while ((o->j_flags & J_HOLD) && !st)
        st = cachefs__obj_wait(c, o, ctx, 0);
    int needed = !st && o->j_id;
    uint64_t retired = o->j_id ? 0 : o->j_last;
    if (needed) o->j_flags |= J_HOLD;
    cachefs__obj_unlock(c, o);
    if (!st && retired) st = cachefs__durable_wait(c, ctx, retired);
    if (!needed) return st;
    st = cachefs__flush_obj(c, o, ctx);
    if (!st) st = cachefs__durable_below(c, o, ctx);
    if (!st && cachefs__journal_on(c)) st = retire_now(c, o, ctx);
    cachefs__obj_lock(c, o);
    o->j_flags &= ~J_HOLD;
    cachefs__obj_wake(c, o);
    cachefs__obj_unlock(c, o);
    return st;
}

apr_status_t cachefs__durable_hold(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    apr_status_t st = cachefs__durable_settle(c, o, ctx);
    return st ? st : cachefs__flush_hold(c, o, ctx);
}

void cachefs__durable_after(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    if (!cachefs__journal_on(c) || !cachefs__durable_below(c, o, ctx)) return;
    cachefs__obj_lock(c, o);
    cachefs__owes(c, o, J_OFF);
    cachefs__obj_unlock(c, o);
}

void cachefs__durable_made(cache_t *c, obj_t *o)
{
    if (!cachefs__journal_on(c)) return;
    cachefs__durable_thin(c, NULL, 1);
    cachefs__obj_lock(c, o);
    cachefs__owes(c, o, J_NEW);
    cachefs__obj_unlock(c, o);
}

void cachefs__durable_discard(cache_t *c, obj_t *o)
{
    if (!c->journal) return;
    cachefs__obj_lock(c, o);
    uint64_t id = o->j_id;
    o->j_id = 0; /* j_last stays: until that is durable, there are records of it */
    o->j_seq++;
    cachefs__obj_unlock(c, o);
    if (!id || !cachefs__journal_on(c)) return;
    apr_status_t st = cachefs__journal_note(c->journal, NULL, JOURNAL_DISCARD, id, UINT64_MAX);
    if (st) cachefs__journal_died(c, st);
}

/* ---- sync */

/* Object locked. */
static int covers(const obj_t *o)
{
    return o->j_id && !(o->j_flags & (J_OFF | J_BELOW));
}

int cachefs__durable_covers(cache_t *c, obj_t *o)
{
    if (!cachefs__journal_on(c)) return 0;
    cachefs__obj_lock(c, o);
    int yes = covers(o);
    cachefs__obj_unlock(c, o);
    return yes;
}

apr_status_t cachefs__durable_sync(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    if (!cachefs__journal_on(c) || c->fixed.fsync == CACHEFS_FSYNC_REMOTE) return VFS_EOFFLINE;
    cachefs__obj_lock(c, o);
    int yes = covers(o);
    uint64_t lsn = o->j_last;
    cachefs__obj_unlock(c, o);
    if (!yes) return VFS_EOFFLINE;
    apr_status_t st = cachefs__journal_sync(c->journal, ctx, lsn);
    if (!st || cachefs__gave_up(st)) return st;
    cachefs__journal_died(c, st);
    return VFS_EOFFLINE;
}

uint32_t cachefs__durable_mark(cache_t *c, obj_t *o)
{
    if (!c->journal) return 0;
    cachefs__obj_lock(c, o);
    uint32_t mark = o->j_seq;
    cachefs__obj_unlock(c, o);
    return mark;
}

apr_status_t cachefs__durable_synced(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint32_t mark)
{
    if (!c->journal) return APR_SUCCESS;
    cachefs__obj_lock(c, o);
    if (o->j_seq == mark && !o->dirty_bytes) o->j_flags &= ~(J_OFF | J_BELOW | J_NEW);
    int recorded = o->j_id || o->j_last;
    cachefs__obj_unlock(c, o);
    return recorded ? cachefs__durable_void(c, ctx) : APR_SUCCESS;
}
