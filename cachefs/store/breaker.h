/*
 * breaker.h - putting aside what fails, and trying it again.
 * Floor 2, private to cachefs/store/ and its tests. Takes no lock; the clock is the caller's.
 *
 *   closed --so many failures in a row--> open --its time is over--> half open: one call tries
 *     ^                                     ^                           |       |
 *     +----------- it succeeds -------------|---------------------------+       |
 *                                           +--- it fails: twice as long -------+
 *
 * (Nygard, Release It!, "Circuit Breaker".)
 */
#ifndef CACHEFS_STORE_BREAKER_H
#define CACHEFS_STORE_BREAKER_H

#include <stdint.h>

#define CACHEFS__BREAKER_FAILURES 3u
#define CACHEFS__BREAKER_MIN_US 1000000
#define CACHEFS__BREAKER_MAX_US 60000000

typedef struct cachefs__breaker_t {
    unsigned failures; /* in a row */
    int open;
    int trying;       /* half open: somebody's call is under way */
    int64_t until_us; /* when it may be tried again */
    int64_t wait_us;
    uint64_t opened; /* how often it was */
} cachefs__breaker_t;

/* May a call go on? Who is told so says how it ended. */
static inline int cachefs__breaker_may(cachefs__breaker_t *b, int64_t now_us)
{
    if (!b->open) return 1;
    if (b->trying || now_us < b->until_us) return 0;
    b->trying = 1;
    return 1;
}
/* A call ended. Returns 1 if that opened or closed the breaker. */
static inline int cachefs__breaker_ended(cachefs__breaker_t *b, int good, int64_t now_us)
{
    int was = b->open;
    if (good) {
        if (was && !b->trying) return 0; /* it began before the failures */
        b->failures = 0;
        b->open = b->trying = 0;
        b->wait_us = 0;
        return was;
    }
    b->failures++;
    if (was ? !b->trying : b->failures < CACHEFS__BREAKER_FAILURES) return 0;
    b->trying = 0;
    b->open = 1;
    b->wait_us = b->wait_us ? b->wait_us * 2 : CACHEFS__BREAKER_MIN_US;
    if (b->wait_us > CACHEFS__BREAKER_MAX_US) b->wait_us = CACHEFS__BREAKER_MAX_US;
    b->until_us = now_us + b->wait_us;
    if (!was) b->opened++;
    return !was;
}

/* A call does not come back: it is opened at once. Returns 1 if it was closed. */
static inline int cachefs__breaker_trip(cachefs__breaker_t *b, int64_t now_us)
{
    if (b->open) return 0;
    b->failures = CACHEFS__BREAKER_FAILURES;
    return cachefs__breaker_ended(b, 0, now_us);
}

#endif
