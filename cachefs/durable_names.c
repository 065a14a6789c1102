/*
 * durable_names.c - names of files that the journal has records of: moved, removed, several.
 * Floor 2, private to cachefs/.
 */
#include "cachefs/durable_private.h"

/* The same if it died while the name's change was noted. If it had no room, a recovery takes the
 * change for one by others, and keeps both. */
static apr_status_t noted(cache_t *c, apr_status_t st)
{
    if (st == VFS_ELIMIT) return APR_SUCCESS;
    if (!st || cachefs__gave_up(st)) return st;
    cachefs__journal_died(c, st);
    return DURABLE_AGAIN;
}

apr_status_t cachefs__durable_move(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *from,
                                   const vfs_path_t *to, int exchange, uint64_t *move)
{
    *move = 0;
    if (cachefs__journal_dead(c)) return DURABLE_AGAIN; /* since the caller looked: begin again */
    if (!cachefs__journal_on(c)) return APR_SUCCESS;
    return noted(c, cachefs__journal_rename(c->journal, ctx, from->str, to->str,
                                            exchange ? JOURNAL_EXCHANGE : 0, move));
}

void cachefs__durable_moved(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *from,
                            const vfs_path_t *to, uint64_t move, int done)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t dir;
    apr_status_t st = APR_SUCCESS;
    /* while it is in doubt both names count */
    if (!move || !cachefs__journal_on(c) || done < 0) return;
    for (int i = 0; i < 2 && done && !st; i++) {
        (void)vfs_path_parent(&dir, i ? from : to, buf);
        CACHE_NO_LOCKS_HELD();
        st = vfs_call_sync_dir(c->lower, ctx, &dir);
        if (APR_STATUS_IS_ENOTIMPL(st)) st = APR_SUCCESS;
    }
    if (!st) st = cachefs__journal_reserve(c->journal, NULL, cachefs__jsize(8), JOURNAL_CONTROL);
    if (st)
        cachefs__retire_move(c, move);
    else
        (void)cachefs__journal_done(c->journal, JOURNAL_RETIRE, move, UINT64_MAX);
}

void cachefs__durable_renamed(cache_t *c, obj_t *o)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t path;
    size_t room = BASE_ROOM;
    if (!cachefs__journal_on(c)) return;
    apr_status_t st = cachefs__journal_reserve(c->journal, NULL, room, JOURNAL_CONTROL);
    if (st) {
        if (st != VFS_ELIMIT) cachefs__journal_died(c, st);
        return; /* the move itself is noted, and says it too */
    }
    cachefs__obj_lock(c, o);
    if (o->j_id && !cachefs__obj_name(c, o, &path, buf)) cachefs__record_base(c, o, 0, &room);
    cachefs__obj_unlock(c, o);
    cachefs__journal_unreserve(c->journal, room);
}

apr_status_t cachefs__durable_unlink(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    if (cachefs__journal_dead(c)) return DURABLE_AGAIN; /* since the caller looked: begin again */
    if (!o || !cachefs__journal_on(c)) return APR_SUCCESS;
    cachefs__obj_lock(c, o);
    uint64_t id = o->j_id;
    int more = o->attr.nlink > 1;
    if (!more) o->j_flags |= J_DROP;
    cachefs__obj_unlock(c, o);
    if (more || !id) return cachefs__durable_settle(c, o, ctx); /* and what is retired is durable */
    return noted(c, cachefs__journal_note(c->journal, ctx, JOURNAL_DROP, id, 0));
}

apr_status_t cachefs__durable_link(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    int settled = !c->journal;
    while (!settled) {
        apr_status_t st = cachefs__durable_settle(c, o, ctx);
        if (st) return st;
        cachefs__obj_lock(c, o);
        settled = !o->j_id || !cachefs__journal_on(c);
        if (settled) cachefs__owes(c, o, J_OFF | J_LINKS);
        cachefs__obj_unlock(c, o);
    }
    return APR_SUCCESS;
}

void cachefs__durable_stays(cache_t *c, obj_t *o)
{
    if (!o || !c->journal) return;
    cachefs__obj_lock(c, o);
    uint64_t id = cachefs__journal_on(c) ? o->j_id : 0;
    o->j_flags &= ~J_DROP;
    cachefs__obj_unlock(c, o);
    apr_status_t st =
        id ? cachefs__journal_note(c->journal, NULL, JOURNAL_DROP, id, 1) : APR_SUCCESS;
    if (st && st != VFS_ELIMIT) cachefs__journal_died(c, st);
}

void cachefs__durable_names_begin(cache_t *c)
{
    cachefs__lock(&c->j_lock, RANK_LEAF);
    c->j_naming++;
    cachefs__unlock(&c->j_lock, RANK_LEAF);
}

void cachefs__durable_names_end(cache_t *c)
{
    cachefs__lock(&c->j_lock, RANK_LEAF);
    c->j_naming--;
    cachefs__unlock(&c->j_lock, RANK_LEAF);
}

void cachefs__durable_gone(cache_t *c, obj_t *o, int last)
{
    if (!c->journal) return;
    cachefs__obj_lock(c, o);
    cachefs__owes(c, o, last > 0 ? J_OFF : J_BELOW);
    cachefs__obj_unlock(c, o);
}
