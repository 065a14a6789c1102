/*
 * support_policy.h - an instance of a policy on its own, and a random trace that drives it beside a
 * naive reference.
 */
#ifndef TESTS_ENGINE_SUPPORT_POLICY_H
#define TESTS_ENGINE_SUPPORT_POLICY_H

#include "cachefs/policy.h"

typedef struct policy_rig_t {
    const cachefs_policy_ops_t *ops;
    void *state;
    apr_pool_t *pool;
    cachefs_policy_node_t *nodes;
    void *extras;
    uint32_t entries_max;
} policy_rig_t;

/* A configuration for parts of policies, whose memory nobody counts. */
extern const cachefs_policy_config_t policy_uncounted;

/* The clock of every rig: tests move it. */
extern apr_time_t policy_rig_time;

void policy_rig_open(policy_rig_t *rig, const char *name, uint32_t entries_max, uint64_t ttl_us);
/* Of so many bytes, instead of 4096 for each entry. */
void policy_rig_open_bytes(policy_rig_t *rig, const char *name, uint32_t entries_max,
                           uint64_t bytes);
void policy_rig_close(policy_rig_t *rig);

/* xorshift64*, for traces that can be run again. */
uint64_t policy_random(uint64_t *state);

/* A policy as its definition says, however slowly. `entries_max` is at most NAIVE_MAX. */
#define NAIVE_MAX 256u
typedef struct naive_entry_t {
    int held;
    uint64_t order; /* the smaller leaves first, among equals of rank */
    uint64_t rank;  /* the smaller leaves first */
    uint32_t uses;
    apr_time_t born;
    uint64_t inserted; /* running number */
} naive_entry_t;
typedef struct naive_t {
    naive_entry_t entries[NAIVE_MAX];
    uint64_t clock; /* running number of everything that happens */
    uint64_t floor; /* lfu */
    uint32_t count;
    uint32_t left; /* hybrid: victims since the last halving */
    uint64_t ttl_us;
} naive_t;
typedef struct naive_ops_t {
    void (*insert)(naive_t *naive, uint32_t entry);
    void (*touch)(naive_t *naive, uint32_t entry, uint32_t hits);
    uint32_t (*victim)(naive_t *naive);           /* chooses; the driver forgets */
    void (*left)(naive_t *naive, uint32_t entry); /* after the victim was forgotten; may be NULL */
} naive_ops_t;

/* The held entry with the smallest (rank, order), or NONE. */
uint32_t naive_smallest(const naive_t *naive);

/* Drive both through `steps` random operations with at most `entries_max` entries; every victim and
 * every count must be the same. The clock moves on by up to `step_us` at each step. */
void policy_compare(const char *name, const naive_ops_t *ops, uint32_t entries_max, uint64_t ttl_us,
                    uint64_t step_us, uint64_t seed, unsigned steps);

#endif
