/*
 * durable_void.c - a journal whose disk failed.
 * Floor 2, private to cachefs/.
 *
 * It takes no more records, and what it has may be read again at the next start: then old bytes
 * would be written over newer ones. So it has to be made void before anything newer is told to be
 * durable: all files that it has records of go below and are synced there, then its files are
 * removed, oldest first, each removal durable before the next. What a power loss leaves of them is
 * always its newest part: with all that was acknowledged below, to do that again changes nothing
 * that was acknowledged.
 *
 * Until it is void
 *   - a sync of a file that it has records of tries to make it so, and answers the error if that
 *     fails;
 *   - names are not changed: a recovery would look for the files under the old ones;
 *   - the journal's thread tries it again, from a second up to a minute later.
 * A disk that cannot even remove files therefore keeps these files from being synced for as long as
 * the process lives. There is no mark elsewhere that would make the journal void: the store cannot
 * be written to, and the origin is the user's.
 *
 * Once it is void it is tried again, from a second up to a minute later: a new file is written and
 * synced. If that works the journal is taken back. What was written meanwhile has no record, and
 * its sync goes below until it is there (J_OFF), or was recorded as a whole (durable_copy.c).
 */
#include "cachefs/durable_private.h"

#define AGAIN_US_MIN 1000000
#define AGAIN_US_MAX 60000000
#define AGAIN_GOOD_US 60000000 /* what it has to work for to be trusted as before */

void cachefs__journal_died(cache_t *c, apr_status_t st)
{
    int alive = JOURNAL_ALIVE;
    char text[128];
    if (!atomic_compare_exchange_strong(&c->journal_state, &alive, JOURNAL_DEAD)) return;
    cachefs__count(&c->counters, CNT_JOURNAL_FAILED, 1);
    cachefs__log(c, 0, "the journal failed: %s; from now on data is durable only when it is below",
                 vfs_strerror(st, text, sizeof(text)));
    cachefs__durable_hurry(c);
}

/* What it has records of is durable below. What has no name any more is not looked for by a
 * recovery. */
static apr_status_t all_below(cache_t *c, const vfs_ctx_t *ctx)
{
    cachefs__debtor_t *all;
    apr_status_t st = APR_SUCCESS;
    size_t n = cachefs__debtors(c, &all);
    if (!n && c->j_count) return APR_ENOMEM;
    for (size_t i = 0; i < n && !st; i++) {
        obj_t *o = all[i].obj;
        cachefs__obj_lock(c, o);
        all[i].ready = (o->j_id || o->j_last) && !(o->flags & OBJ_UNLINKED);
        cachefs__obj_unlock(c, o);
        if (all[i].ready) st = cachefs__flush_obj(c, o, ctx);
    }
    if (!st) {
        CACHE_NO_LOCKS_HELD();
        st = vfs_call_sync_fs(c->lower, ctx);
        int each = APR_STATUS_IS_ENOTIMPL(st);
        if (each) st = APR_SUCCESS;
        for (size_t i = 0; i < n && each && !st; i++)
            if (all[i].ready) st = cachefs__durable_below(c, all[i].obj, ctx);
    }
    cachefs__debtors_put(c, all, n);
    return st;
}

/* Who took it for alive has appended what he was about to, and is on the list. */
static void quiesce(cache_t *c)
{
    for (uint32_t i = 0; i < OSTRIPES; i++) {
        cachefs__lock(&c->ostripes[i].mutex, RANK_OBJECT);
        cachefs__unlock(&c->ostripes[i].mutex, RANK_OBJECT);
    }
}

/* Nobody owes it anything: what is dirty by now was written since it died. */
static void acquit(cache_t *c)
{
    cachefs__debtor_t *all;
    size_t n = cachefs__debtors(c, &all);
    for (size_t i = 0; i < n; i++) {
        obj_t *o = all[i].obj;
        cachefs__obj_lock(c, o);
        o->j_id = o->j_last = 0;
        o->j_seq++;
        if (o->dirty_bytes) o->j_flags |= J_OFF;
        int drop = !(o->j_flags & (J_OFF | J_BELOW)) && cachefs__owes_nothing(c, o);
        cachefs__obj_unlock(c, o);
        if (drop) cachefs__obj_put(c, o);
    }
    cachefs__debtors_put(c, all, n);
    cachefs__lock(&c->j_lock, RANK_LEAF);
    c->j_move_count = 0;
    cachefs__unlock(&c->j_lock, RANK_LEAF);
}

/* The next attempt to take it back; later and later while it fails again soon. */
static void put_off(cache_t *c, int64_t now)
{
    if (now - c->j_good_us > AGAIN_GOOD_US && c->j_good_us) c->j_again_wait_us = 0;
    c->j_good_us = 0;
    c->j_again_wait_us = c->j_again_wait_us ? c->j_again_wait_us * 2 : AGAIN_US_MIN;
    if (c->j_again_wait_us > AGAIN_US_MAX) c->j_again_wait_us = AGAIN_US_MAX;
    c->j_again_us = now + c->j_again_wait_us;
}

static apr_status_t void_now(cache_t *c, const vfs_ctx_t *ctx)
{
    char text[128];
    quiesce(c);
    apr_status_t st = all_below(c, ctx);
    int removed = !st;
    if (!st) st = cachefs__journal_void(c->journal);
    if (!st) {
        acquit(c);
        put_off(c, cachefs__clock_us());
        atomic_store_explicit(&c->journal_state, JOURNAL_VOID, memory_order_release);
        cachefs__log(c, 1, "all that the journal had is below, and its files are removed");
        return st;
    }
    cachefs__count(&c->counters, CNT_JOURNAL_VOID_FAILED, 1);
    if (!c->j_told)
        cachefs__log(c, 0,
                     "the journal that failed is not void yet, %s: %s; until it is, a sync of a "
                     "file that it has records of fails, and no name can be changed",
                     removed ? "its files cannot be removed" : "what it has cannot go below",
                     vfs_strerror(st, text, sizeof(text)));
    c->j_told = 1;
    return st;
}

apr_status_t cachefs__durable_void(cache_t *c, const vfs_ctx_t *ctx)
{
    apr_status_t st = APR_SUCCESS;
    if (!cachefs__journal_dead(c)) return st;
    if (cachefs__recovering(c)) return VFS_EOFFLINE; /* it has what is not below */
    cachefs__lock(&c->j_lock, RANK_LEAF);
    while (c->j_voiding && !st)
        st = cachefs__wait(&c->j_cond, &c->j_lock, ctx, 0);
    int ours = !st && atomic_load(&c->journal_state) == JOURNAL_DEAD;
    if (ours) c->j_voiding = 1;
    cachefs__unlock(&c->j_lock, RANK_LEAF);
    if (!ours) return st;
    st = void_now(c, ctx);
    cachefs__lock(&c->j_lock, RANK_LEAF);
    c->j_voiding = 0;
    pthread_cond_broadcast(&c->j_cond);
    cachefs__unlock(&c->j_lock, RANK_LEAF);
    return st;
}

void cachefs__durable_again(cache_t *c)
{
    int64_t now = cachefs__clock_us();
    if (atomic_load_explicit(&c->journal_state, memory_order_acquire) != JOURNAL_VOID) return;
    if (now < c->j_again_us) return;
    apr_status_t st = cachefs__journal_again(c->journal);
    cachefs__lock(&c->j_lock, RANK_LEAF);
    int busy = c->j_naming != 0; /* who changes a name has noted nothing of it */
    if (!st && !busy) {
        c->j_told = 0;
        atomic_store_explicit(&c->journal_state, JOURNAL_ALIVE, memory_order_release);
    }
    cachefs__unlock(&c->j_lock, RANK_LEAF);
    if (!st && busy) {
        (void)cachefs__journal_void(c->journal); /* it is empty */
        return;
    }
    if (st) {
        put_off(c, now);
        return;
    }
    c->j_good_us = now;
    cachefs__count(&c->counters, CNT_JOURNAL_AGAIN, 1);
    cachefs__log(c, 0, "the journal's disk works again: the journal is used as before");
}
