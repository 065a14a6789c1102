/*
 * replay.h - what an earlier process left in its journal goes below.
 * Floor 2, private to cachefs/ and its tests. Knows vfs and the journal, not the engine.
 */
#ifndef CACHEFS_STORE_REPLAY_H
#define CACHEFS_STORE_REPLAY_H

#include "cachefs/cachefs.h"
#include "cachefs/store/journal.h"

typedef struct cachefs__replay_options_t {
    cachefs__journal_t *journal; /* opened, not started */
    vfs_t *lower;
    cachefs_conflict_e conflict;
    int dry; /* say what would be done; change nothing, neither here nor below */
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

#endif
