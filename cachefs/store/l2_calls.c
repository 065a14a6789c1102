/*
 * l2_calls.c - what becomes of the calls that the disk tier makes to its store: one that fails, one
 * that ends late, one that does not end. Floor 2, private to cachefs/store/. All with the lock
 * held.
 *
 * A call that hangs holds who made it, and nothing can be done for that thread. But it is known to
 * be under way: the next one who wants something of the store finds it overdue, puts the store
 * aside, and goes on from below. While it hangs nobody is sent to try the store: who tries would
 * hang too. When it ended the writer tries.
 */
#include <stdio.h>

#include "cachefs/rank.h"
#include "cachefs/store/l2_log.h"

/* Unlocks meanwhile. */
static void say(cachefs__l2_t *l2, int level, const char *what)
{
    cachefs__unlock(&l2->lock, RANK_LEAF);
    cachefs__l2_say(l2, level, what);
    cachefs__lock(&l2->lock, RANK_LEAF);
}

/* The store was put aside, or is used again. Unlocks meanwhile. */
static void say_turned(cachefs__l2_t *l2, const char *why)
{
    char what[256];
    if (!l2->breaker.open) {
        say(l2, 2, "the disk tier is used again");
        return;
    }
    (void)snprintf(what, sizeof(what), "the disk tier is put aside, reads go on from below: %s",
                   why);
    say(l2, 1, what);
}

void cachefs__l2_began(cachefs__l2_t *l2, l2_call_t *call)
{
    call->start_us = cachefs__l2_now_us();
    call->before = l2->newest;
    call->behind = NULL;
    call->trial = 0;
    *(l2->newest ? &l2->newest->behind : &l2->oldest) = call;
    l2->newest = call;
}

void cachefs__l2_ended(cachefs__l2_t *l2, l2_call_t *call, apr_status_t st)
{
    char text[128];
    int64_t now = cachefs__l2_now_us();
    int slow = now - call->start_us > (int64_t)l2->config.slow_us;
    *(call->before ? &call->before->behind : &l2->oldest) = call->behind;
    *(call->behind ? &call->behind->before : &l2->newest) = call->before;
    if (st || slow) l2->stats.errors++;
    vfs__breaker_e how = st || slow ? VFS__BREAKER_BAD : VFS__BREAKER_GOOD;
    if (vfs__breaker_ended(&l2->breaker, how, now, call->trial))
        say_turned(l2, st ? vfs_strerror(st, text, sizeof(text)) : "it is too slow");
    if (l2->breaker.open) pthread_cond_signal(&l2->work); /* it may wait for this one */
}

int cachefs__l2_hangs(const cachefs__l2_t *l2, int64_t now_us)
{
    return l2->oldest && now_us - l2->oldest->start_us > (int64_t)l2->config.slow_us;
}

int cachefs__l2_aside(cachefs__l2_t *l2)
{
    int suspected = l2->suspected;
    l2->suspected = 0;
    if (l2->breaker.open || !l2->oldest) return l2->breaker.open;
    int64_t now = cachefs__l2_now_us();
    if (!suspected && !cachefs__l2_hangs(l2, now)) return 0;
    if (vfs__breaker_trip(&l2->breaker, now)) say_turned(l2, "a call does not come back");
    return l2->breaker.open;
}
