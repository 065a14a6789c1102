/*
 * durable_retire.c - records that are not needed any more: in the background, and where the journal
 * is full. Floor 2, private to cachefs/.
 *
 * A round looks at who has nothing on his way below, syncs the lower layer once for all of them,
 * and retires their records. Until these RETIREs are durable themselves nobody forgets the object:
 * what is done to the file without a record has to wait for that (j_last).
 */
#include "cachefs/durable_private.h"

#define THIN_AGAIN_US 100000 /* after an attempt that brought too little */

/* The lower layer was synced since d was looked at: append that. Returns the LSN, 0: it was not
 * done. */
static uint64_t retire(cache_t *c, cachefs__debtor_t *d)
{
    obj_t *o = d->obj;
    size_t room = cachefs__journal_on(c) ? cachefs__jsize(8) : 0;
    d->ready = 0;
    if (room && cachefs__journal_reserve(c->journal, NULL, room, JOURNAL_CONTROL))
        return 0; /* next time */
    cachefs__obj_lock(c, o);
    if (o->j_seq == d->seq && !o->dirty_bytes && !(o->j_flags & J_HOLD) && (room || !o->j_id)) {
        if (o->j_id) {
            int type = o->flags & OBJ_UNLINKED ? JOURNAL_DISCARD : JOURNAL_RETIRE;
            o->j_last =
                cachefs__journal_done(c->journal, (cachefs__jtype_e)type, o->j_id, o->j_last);
            room = 0;
        }
        o->j_id = 0;
        o->j_flags &= J_LISTED | J_LINKS | J_DROP | (o->flags & OBJ_UNLINKED ? J_OFF : 0);
        d->last = o->j_last;
        d->ready = 1;
    }
    cachefs__obj_unlock(c, o);
    cachefs__durable_unroom(c, room);
    return d->ready ? d->last : 0;
}

apr_status_t cachefs__retire_obj(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    apr_status_t st = cachefs__durable_settle(c, o, ctx);
    if (!st || cachefs__gave_up(st) || !cachefs__record_pays(c)) return st;
    return cachefs__record_again(c, o, ctx) ? st : APR_SUCCESS;
}

/* That is durable: it owes nothing, unless something came since. */
static void forget(cache_t *c, const cachefs__debtor_t *d)
{
    obj_t *o = d->obj;
    cachefs__obj_lock(c, o);
    int drop = o->j_seq == d->seq && !o->j_id && o->j_last == d->last;
    if (drop) o->j_last = 0;
    if (drop) drop = cachefs__owes_nothing(c, o);
    cachefs__obj_unlock(c, o);
    if (drop) cachefs__obj_put(c, o);
}

/* ---- moves of names */

void cachefs__retire_move(cache_t *c, uint64_t id)
{
    cachefs__lock(&c->j_lock, RANK_LEAF);
    uint64_t *moves = realloc(c->j_moves, (c->j_move_count + 1) * sizeof(*moves));
    if (moves) { /* else it stays in the journal, which makes that longer and harms nobody */
        moves[c->j_move_count++] = id;
        c->j_moves = moves;
    }
    cachefs__unlock(&c->j_lock, RANK_LEAF);
}

static size_t take_moves(cache_t *c, uint64_t **moves)
{
    cachefs__lock(&c->j_lock, RANK_LEAF);
    size_t n = c->j_move_count;
    *moves = c->j_moves;
    c->j_moves = NULL;
    c->j_move_count = 0;
    cachefs__unlock(&c->j_lock, RANK_LEAF);
    return n;
}

/* The lower layer was synced since they were taken (`synced`), or they are looked at again. */
static void retire_moves(cache_t *c, uint64_t *moves, size_t n, int synced)
{
    for (size_t i = 0; i < n; i++) {
        if (synced &&
            !cachefs__journal_reserve(c->journal, NULL, cachefs__jsize(8), JOURNAL_CONTROL))
            (void)cachefs__journal_done(c->journal, JOURNAL_RETIRE, moves[i], UINT64_MAX);
        else
            cachefs__retire_move(c, moves[i]);
    }
    free(moves);
}

/* ---- a round */

static size_t look(cache_t *c, cachefs__debtor_t *due, size_t n)
{
    size_t ready = 0;
    for (size_t i = 0; i < n; i++) {
        obj_t *o = due[i].obj;
        cachefs__obj_lock(c, o);
        due[i].ready = !o->dirty_bytes && !o->flushing && !o->changing;
        due[i].seq = o->j_seq;
        cachefs__obj_unlock(c, o);
        ready += (size_t)due[i].ready;
    }
    return ready;
}

void cachefs__retire_all(cache_t *c)
{
    cachefs__debtor_t *due;
    uint64_t *moves, last = 0;
    size_t nmoves = take_moves(c, &moves), n = cachefs__debtors(c, &due);
    size_t ready = look(c, due, n);
    CACHE_NO_LOCKS_HELD();
    apr_status_t st = ready || nmoves ? vfs_call_sync_fs(c->lower, NULL) : APR_SUCCESS;
    int each = APR_STATUS_IS_ENOTIMPL(st);
    retire_moves(c, moves, nmoves, !st);
    for (size_t i = 0; i < n; i++) {
        int synced = due[i].ready && (each ? !cachefs__durable_below(c, due[i].obj, NULL) : !st);
        uint64_t lsn = synced ? retire(c, &due[i]) : 0;
        if (!synced) due[i].ready = 0;
        if (lsn > last) last = lsn;
    }
    if (last)
        (void)cachefs__durable_wait(c, NULL, last); /* without a deadline only death ends it */
    if (!cachefs__journal_dead(c))
        for (size_t i = 0; i < n; i++)
            if (due[i].ready) forget(c, &due[i]);
    cachefs__debtors_put(c, due, n);
}

apr_status_t cachefs__retire_oldest(cache_t *c, const vfs_ctx_t *ctx)
{
    cachefs__jstats_t stats;
    cachefs__debtor_t *due;
    apr_status_t st = APR_NOTFOUND;
    cachefs__journal_stats(c->journal, &stats);
    if (stats.error || !stats.oldest) return st;
    size_t n = cachefs__debtors(c, &due);
    for (size_t i = 0; i < n; i++) {
        cachefs__obj_lock(c, due[i].obj);
        int it = due[i].obj->j_id == stats.oldest;
        cachefs__obj_unlock(c, due[i].obj);
        if (it) st = cachefs__retire_obj(c, due[i].obj, ctx);
    }
    cachefs__debtors_put(c, due, n);
    return st;
}

void cachefs__durable_thin(cache_t *c, const vfs_ctx_t *ctx, int flush)
{
    size_t most = (size_t)c->metadata_max / 4;
    if (atomic_load_explicit(&c->j_count, memory_order_relaxed) < most) return;
    if (!c->journal || cachefs__journal_dead(c)) return;
    cachefs__lock(&c->j_lock, RANK_LEAF);
    int busy = c->j_thinning || cachefs__clock_us() < c->j_thin_at_us;
    if (!busy) c->j_thinning = 1;
    cachefs__unlock(&c->j_lock, RANK_LEAF);
    if (busy) return;
    cachefs__retire_all(c);
    if (flush && atomic_load(&c->j_count) >= most && !cachefs__flush_some(c, ctx))
        cachefs__retire_all(c);
    cachefs__lock(&c->j_lock, RANK_LEAF);
    c->j_thinning = 0;
    if (atomic_load(&c->j_count) >= most) c->j_thin_at_us = cachefs__clock_us() + THIN_AGAIN_US;
    cachefs__unlock(&c->j_lock, RANK_LEAF);
}

/* The files that keep the journal long make room, oldest first, each of them once. */
static void shorten(cache_t *c)
{
    cachefs__jstats_t stats;
    cachefs__journal_stats(c->journal, &stats);
    for (uint64_t end = stats.next;;) {
        cachefs__journal_stats(c->journal, &stats);
        if (stats.bytes < stats.bytes_max / 2 || stats.oldest_lsn >= end) return;
        if (cachefs__retire_oldest(c, NULL) || cachefs__journal_trim(c->journal)) return;
    }
}

/* What has no record and cannot be written back either: now there may be room for it. */
static void take_in(cache_t *c)
{
    cachefs__jstats_t stats;
    cachefs__debtor_t *due;
    size_t n = cachefs__debtors(c, &due);
    for (size_t i = 0; i < n; i++) {
        obj_t *o = due[i].obj;
        cachefs__journal_stats(c->journal, &stats);
        cachefs__obj_lock(c, o);
        int stuck = (o->j_flags & J_OFF) && !o->j_id && o->retry_wait_us && o->dirty_bytes &&
                    stats.bytes + o->dirty_bytes < stats.bytes_max / 2;
        cachefs__obj_unlock(c, o);
        if (stuck) (void)cachefs__record_again(c, o, NULL); /* else its sync goes on to go below */
    }
    cachefs__debtors_put(c, due, n);
}

void cachefs__durable_round(cache_t *c)
{
    if (cachefs__journal_dead(c)) return;
    cachefs__retire_all(c);
    if (!cachefs__journal_on(c)) return;
    shorten(c);
    take_in(c);
    (void)cachefs__journal_trim(c->journal); /* tried again in the next round */
    cachefs__journal_mark(c->journal);
}
