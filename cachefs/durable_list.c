/*
 * durable_list.c - who owes something: objects with records in the journal, or with changes below
 * that are not durable there. Floor 2, private to cachefs/.
 *
 * The list refers to its objects, so one that has records is not forgotten: what its j_id and
 * j_last say is known until no record of it counts any more, durably.
 */
#include "cachefs/durable_private.h"

void cachefs__owes(cache_t *c, obj_t *o, uint32_t flags)
{
    o->j_flags |= flags;
    o->j_seq++;
    if (o->j_flags & J_LISTED) return;
    o->j_flags |= J_LISTED;
    cachefs__obj_ref(o);
    cachefs__lock(&c->j_lock, RANK_LEAF);
    o->j_prev = NONE;
    o->j_next = c->j_first;
    if (c->j_first) c->objs[c->j_first].j_prev = cachefs__obj_index(c, o);
    c->j_first = cachefs__obj_index(c, o);
    c->j_count++;
    cachefs__unlock(&c->j_lock, RANK_LEAF);
}

int cachefs__owes_nothing(cache_t *c, obj_t *o)
{
    if (!(o->j_flags & J_LISTED)) return 0;
    o->j_flags &= ~J_LISTED;
    cachefs__lock(&c->j_lock, RANK_LEAF);
    if (o->j_prev)
        c->objs[o->j_prev].j_next = o->j_next;
    else
        c->j_first = o->j_next;
    if (o->j_next) c->objs[o->j_next].j_prev = o->j_prev;
    c->j_count--;
    cachefs__unlock(&c->j_lock, RANK_LEAF);
    return 1;
}

size_t cachefs__debtors(cache_t *c, cachefs__debtor_t **out)
{
    cachefs__lock(&c->j_lock, RANK_LEAF);
    size_t n = 0, room = c->j_count;
    *out = room ? malloc(room * sizeof(**out)) : NULL;
    for (uint32_t i = *out ? c->j_first : NONE; i != NONE; i = c->objs[i].j_next) {
        (*out)[n] = (cachefs__debtor_t){.obj = &c->objs[i]};
        cachefs__obj_ref((*out)[n++].obj);
    }
    cachefs__unlock(&c->j_lock, RANK_LEAF);
    return n;
}

void cachefs__debtors_put(cache_t *c, cachefs__debtor_t *debtors, size_t n)
{
    for (size_t i = 0; i < n; i++)
        cachefs__obj_put(c, debtors[i].obj);
    free(debtors);
}

apr_status_t cachefs__durable_below(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    vfs_file_t *file;
    apr_status_t st = cachefs__lower_use(c, o, ctx, LOWER_ANY, &file);
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    CACHE_NO_LOCKS_HELD();
    if (st) { /* what is clean and closed may have no name that we know */
        apr_status_t all = vfs_call_sync_fs(c->lower, ctx);
        return APR_STATUS_IS_ENOTIMPL(all) ? st : all;
    }
    st = vfs_call_sync(file, ctx, VFS_SYNC_ALL);
    cachefs__lower_done(c, o);
    return st;
}
