/*
 * replay.h - what an earlier process left in its journal goes below.
 * Floor 2, private to cachefs/ and its tests. Knows vfs and the journal, not the engine.
 */
#ifndef CACHEFS_STORE_REPLAY_H
#define CACHEFS_STORE_REPLAY_H

#include <stdatomic.h>

#include "cachefs/cachefs.h"
#include "cachefs/store/journal.h"

typedef struct cachefs__replay_options_t {
    cachefs__journal_t *journal; /* opened, not started */
    vfs_t *lower;
    cachefs_conflict_e conflict;
    int dry;                 /* say what would be done; change nothing, neither here nor below */
    int again;               /* the same process tried before: what differs below may be its work */
    const _Atomic int *stop; /* not 0: end with VFS_ECANCELED; or NULL */
    cachefs__jlog_fn log;
    void *baton;
} cachefs__replay_options_t;

typedef struct cachefs__replayed_t {
    uint64_t objects;       /* that were not retired */
    uint64_t writes, bytes; /* written below */
    uint64_t created;       /* files made again: their names had not become durable */
    uint64_t conflicts;     /* files that others changed or removed */
    uint64_t discarded;     /* objects that are gone by our own doing, or by the policy */
    uint64_t orphans;       /* records of objects that damage left without a name */
} cachefs__replayed_t;

/** Write below what is not retired, make it durable there, and begin a session (unless `dry`).
 *  @return APR_SUCCESS; what the store or the lower layer says: the journal is as it was then, and
 * the next attempt does it all again. Threads: one. Blocks: until all is durable below. */
apr_status_t cachefs__replay(const cachefs__replay_options_t *options, cachefs__replayed_t *out);

/* ---- the same in steps, for who answers meanwhile */

typedef struct cachefs__replay_t cachefs__replay_t;

/** Look at what is to be done; with `start`, begin a session: from then on others may append.
 *  @return APR_SUCCESS; APR_ENOMEM; what the store says. Owns: end it with cachefs__replay_end. */
apr_status_t cachefs__replay_begin(cachefs__replay_t **out,
                                   const cachefs__replay_options_t *options, int start);
/** Do it, once. The journal is as it was after an error. */
apr_status_t cachefs__replay_run(cachefs__replay_t *r);
/** How far it is. Threads: who called cachefs__replay_run, from its `log` too. */
const cachefs__replayed_t *cachefs__replay_done(const cachefs__replay_t *r);
void cachefs__replay_end(cachefs__replay_t *r);

/* replay_names.c: the names that a recovery concerns. Does not change: any thread may ask. */
typedef struct cachefs__jnames_t cachefs__jnames_t;
typedef enum cachefs__jnear_e {
    JOURNAL_FAR = 0, /* it has nothing to do with any of them */
    JOURNAL_ABOVE,   /* some of them are below it */
    JOURNAL_NEAR     /* it is one of them, or below one */
} cachefs__jnear_e;
/** NULL: no memory. Owns: end them with cachefs__jnames_free. */
cachefs__jnames_t *cachefs__replay_names(const cachefs__replay_t *r);
cachefs__jnear_e cachefs__jnames_near(const cachefs__jnames_t *names, const char *path, size_t len);
void cachefs__jnames_free(cachefs__jnames_t *names);

#endif
