/*
 * breaker.h - a circuit breaker: who cannot be reached is not asked, but for one call now and then
 * that tries. Floor 1, shared. Takes no lock; the clock is the caller's.
 *
 *   closed --so many failures in a row--> open --its time is over--> half open: one call tries
 *     ^                                     ^                           |       |
 *     +----------- it succeeds -------------|---------------------------+       |
 *                                           +--- it fails: twice as long -------+
 *
 * (Nygard, Release It!, "Circuit Breaker".)
 */
#ifndef VFS_BREAKER_H
#define VFS_BREAKER_H

#include <stdint.h>

/** What a call's end says of who was called. */
typedef enum vfs__breaker_e {
    VFS__BREAKER_GOOD, /**< it answered */
    VFS__BREAKER_BAD,  /**< it did not */
    VFS__BREAKER_NONE  /**< neither: the caller gave up */
} vfs__breaker_e;

/** Set the first three; zeros else. */
typedef struct vfs__breaker_t {
    unsigned failures_max; /**< so many in a row open it */
    int64_t min_us;        /**< how long it is open at first */
    int64_t max_us;        /**< and at most */
    unsigned failures;     /**< in a row */
    int open;
    int trying;       /**< half open: somebody's call is under way */
    int64_t until_us; /**< when it may be tried again */
    int64_t wait_us;  /**< how long it was open last */
    uint64_t opened;  /**< how often it was */
} vfs__breaker_t;

/** May a call go on? Who is told so says how it ended: `*trial` goes back with that. */
static inline int vfs__breaker_may(vfs__breaker_t *b, int64_t now_us, int *trial)
{
    *trial = 0;
    if (!b->open) return 1;
    if (b->trying || now_us < b->until_us) return 0;
    b->trying = *trial = 1;
    return 1;
}

/** A call ended that was let go on. Returns 1 if that opened the breaker, or closed it. */
static inline int vfs__breaker_ended(vfs__breaker_t *b, vfs__breaker_e how, int64_t now_us,
                                     int trial)
{
    int was = b->open;
    if (trial) b->trying = 0;
    if (was && !trial) return 0; /* it began before the failures */
    if (how == VFS__BREAKER_NONE) return 0;
    if (how == VFS__BREAKER_GOOD) {
        b->failures = 0;
        b->open = 0;
        b->wait_us = 0;
        return was;
    }
    if (++b->failures < b->failures_max && !was) return 0;
    if (!was) b->opened++;
    b->open = 1;
    b->wait_us = b->wait_us ? b->wait_us * 2 : b->min_us;
    if (b->wait_us > b->max_us) b->wait_us = b->max_us;
    b->until_us = now_us + b->wait_us;
    return !was;
}

/** A call does not come back: it is opened at once. Returns 1 if it was closed. */
static inline int vfs__breaker_trip(vfs__breaker_t *b, int64_t now_us)
{
    if (b->open) return 0;
    b->failures = b->failures_max;
    return vfs__breaker_ended(b, VFS__BREAKER_BAD, now_us, 0);
}

#endif
