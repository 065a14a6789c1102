/*
 * replay.h - one run of a trace through a policy.
 * Floor 4, private to tools/.
 */
#ifndef TOOLS_REPLAY_H
#define TOOLS_REPLAY_H

#include "cachefs/policy.h"
#include "tools/trace.h"

#define REPLAY_BELADY "belady" /* not of the registry: it knows the future */

typedef struct replay_run_t {
    const trace_t *trace;
    const cachefs_policy_ops_t *policy; /* NULL: the optimum */
    uint64_t capacity;                  /* objects, or bytes where the trace has sizes */
    uint32_t shards;
    int (*stopped)(const void *baton); /* asked now and then */
    const void *baton;
    /* results */
    uint64_t misses, missed_bytes;
} replay_run_t;

/* 0; -1: no memory; 1: stopped. */
int replay_run(replay_run_t *run);

#endif
