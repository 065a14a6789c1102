/*
 * rank.h - the order in which a thread may take locks, asserted in debug builds.
 * Floor 2, private to cachefs/. Knows no lock, only ranks.
 *
 * A thread takes locks in rising order of their ranks, never two of one rank, and holds none when
 * it calls into the lower layer or a callback. So no two threads can wait for each other by locks
 * alone. Each thread notes the ranks that it holds as bits of one word. With NDEBUG all of it is
 * nothing.
 */
#ifndef CACHEFS_RANK_H
#define CACHEFS_RANK_H

#include <pthread.h>

#include "vfs/vfs_ops.h"

typedef enum cachefs__rank_e {
    RANK_OBJECT = 1, /* object stripes */
    RANK_SHARD,      /* nodes, blocks, policy */
    RANK_TREE,       /* tree of names */
    RANK_IDS,        /* identity table */
    RANK_ARENA,      /* arena and pools */
    RANK_LEAF        /* handle list, dirty queue, configuration, names, flights */
} cachefs__rank_e;

#ifdef NDEBUG
#define CACHE_NO_LOCKS_HELD() ((void)0)
static inline void cachefs__rank_take(cachefs__rank_e rank)
{
    (void)rank;
}
static inline void cachefs__rank_drop(cachefs__rank_e rank)
{
    (void)rank;
}
#else
/* No ranked lock is held by this thread: before every call that leaves the cache. */
#define CACHE_NO_LOCKS_HELD() VFS_ASSERT(cachefs__ranks_held == 0)
extern _Thread_local unsigned cachefs__ranks_held; /* bit r: a lock of rank r */
static inline void cachefs__rank_take(cachefs__rank_e rank)
{
    VFS_ASSERT(cachefs__ranks_held >> rank == 0); /* ranks rise, and none is taken twice */
    cachefs__ranks_held |= 1u << rank;
}
static inline void cachefs__rank_drop(cachefs__rank_e rank)
{
    VFS_ASSERT(cachefs__ranks_held >> rank & 1u);
    cachefs__ranks_held &= ~(1u << rank);
}
#endif

static inline void cachefs__lock(pthread_mutex_t *m, cachefs__rank_e rank)
{
    cachefs__rank_take(rank);
    int rc = pthread_mutex_lock(m);
    VFS_DEBUG_ASSERT(rc == 0);
    (void)rc;
}
/* 1: taken. A lock that is only tried cannot be waited for, but what is taken after it can. */
static inline int cachefs__trylock(pthread_mutex_t *m, cachefs__rank_e rank)
{
    if (pthread_mutex_trylock(m) != 0) return 0;
    cachefs__rank_take(rank);
    return 1;
}
static inline void cachefs__unlock(pthread_mutex_t *m, cachefs__rank_e rank)
{
    cachefs__rank_drop(rank);
    pthread_mutex_unlock(m);
}

#endif
