/*
 * room.c - waiting for room: what is full at the moment need not be full for good.
 * Floor 2, private to cachefs/.
 *
 * Memory that nobody can evict belongs to fills under way, which end, to dirty data, which can be
 * flushed, or to what is pinned, which stays. Who must keep what he reads waits for the first, does
 * the second, and gives up at the third.
 */
#include "cachefs/engine.h"

#include <sched.h>

#define NAP_US 20000  /* until the next look, if nobody tells: something may have been unpinned */
#define IDLE_TRIES 16 /* others may be quicker with what was evicted */
#define FLUSH_TRIES 1024 /* flushes whose room others took */

void cachefs__room_hold(cache_t *c)
{
    atomic_fetch_add(&c->room_held, 1);
}

void cachefs__room_free(cache_t *c, int held)
{
    atomic_fetch_sub(&c->room_held, 1);
    /* who got nothing frees nothing: if he woke the others, all would wake each other for ever */
    if (!held || !atomic_load(&c->room_waiters)) return;
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    pthread_cond_broadcast(&c->wb_cond);
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
}

apr_status_t cachefs__room_wait(cache_t *c, const vfs_ctx_t *ctx, cachefs__patience_t *p)
{
    apr_status_t st = vfs_ctx_check(ctx);
    if (st) return st;
    if (c->mode == CACHEFS_BACK && p->flushes < FLUSH_TRIES && !cachefs__flush_some(c, ctx)) {
        p->flushes++;
        return APR_SUCCESS;
    }
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    atomic_fetch_add(&c->room_waiters, 1);
    int held = atomic_load(&c->room_held) != 0;
    if (held) st = cachefs__wait(&c->wb_cond, &c->wb_lock, ctx, cachefs__clock_us() + NAP_US);
    atomic_fetch_sub(&c->room_waiters, 1);
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    if (held) return st;
    sched_yield();
    return ++p->idle > IDLE_TRIES ? VFS_ELIMIT : APR_SUCCESS;
}
