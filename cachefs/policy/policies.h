/*
 * policies.h - the policies that come with the library, and the list that they are made of.
 * Floor 2, private to cachefs/policy/ and its tests.
 */
#ifndef CACHEFS_POLICY_POLICIES_H
#define CACHEFS_POLICY_POLICIES_H

#include <string.h>

#include "cachefs/policy.h"
#include "vfs/vfs_ops.h"

extern const cachefs_policy_ops_t cachefs__policy_lru;
extern const cachefs_policy_ops_t cachefs__policy_lfu;
extern const cachefs_policy_ops_t cachefs__policy_ttl;
extern const cachefs_policy_ops_t cachefs__policy_hybrid;
extern const cachefs_policy_ops_t cachefs__policy_fifo;
extern const cachefs_policy_ops_t cachefs__policy_clock;
extern const cachefs_policy_ops_t cachefs__policy_slru;
extern const cachefs_policy_ops_t cachefs__policy_arc;
extern const cachefs_policy_ops_t cachefs__policy_lirs;
extern const cachefs_policy_ops_t cachefs__policy_clockpro;
extern const cachefs_policy_ops_t cachefs__policy_s3fifo;
extern const cachefs_policy_ops_t cachefs__policy_sieve;
extern const cachefs_policy_ops_t cachefs__policy_wtinylfu;
extern const cachefs_policy_ops_t cachefs__policy_auto;

/* What some of them remember of entries that left; `past`: with others whose entries are of the
 * same shard (auto.c), or NULL. */
struct cachefs__past_t;
apr_status_t cachefs__clockpro_make(void **state, const cachefs_policy_config_t *config,
                                    struct cachefs__past_t *past, apr_pool_t *pool);
apr_status_t cachefs__lirs_make(void **state, const cachefs_policy_config_t *config,
                                struct cachefs__past_t *past, apr_pool_t *pool);
apr_status_t cachefs__s3fifo_make(void **state, const cachefs_policy_config_t *config,
                                  struct cachefs__past_t *past, apr_pool_t *pool);

/* Every entry that a policy holds has this mark in the top byte of its word: an entry that is
 * touched or removed without being held is a bug of the engine, and would tear the lists. */
#define CACHEFS__HELD 0x5a000000u
#define CACHEFS__HELD_MASK 0xff000000u

static inline int cachefs__held(const cachefs_policy_node_t *nodes, uint32_t entry)
{
    return (nodes[entry].word & CACHEFS__HELD_MASK) == CACHEFS__HELD;
}

/* A list of entries through their nodes: the head is the youngest, the tail leaves first. */
typedef struct cachefs__plist_t {
    uint32_t head, tail; /* CACHEFS_POLICY_NONE: empty */
} cachefs__plist_t;

static inline void cachefs__plist_init(cachefs__plist_t *list)
{
    list->head = CACHEFS_POLICY_NONE;
    list->tail = CACHEFS_POLICY_NONE;
}

static inline int cachefs__plist_empty(const cachefs__plist_t *list)
{
    return list->tail == CACHEFS_POLICY_NONE;
}

static inline void cachefs__plist_push(cachefs__plist_t *list, cachefs_policy_node_t *nodes,
                                       uint32_t entry)
{
    nodes[entry].prev = CACHEFS_POLICY_NONE;
    nodes[entry].next = list->head;
    if (list->head == CACHEFS_POLICY_NONE)
        list->tail = entry;
    else
        nodes[list->head].prev = entry;
    list->head = entry;
}

static inline void cachefs__plist_unlink(cachefs__plist_t *list, cachefs_policy_node_t *nodes,
                                         uint32_t entry)
{
    uint32_t prev = nodes[entry].prev, next = nodes[entry].next;

    if (prev == CACHEFS_POLICY_NONE) {
        VFS_ASSERT(list->head == entry);
        list->head = next;
    } else {
        nodes[prev].next = next;
    }
    if (next == CACHEFS_POLICY_NONE) {
        VFS_ASSERT(list->tail == entry);
        list->tail = prev;
    } else {
        nodes[next].prev = prev;
    }
}

/* Put all of `young` before the head of `list`; `young` is empty then. */
static inline void cachefs__plist_prepend(cachefs__plist_t *list, cachefs_policy_node_t *nodes,
                                          cachefs__plist_t *young)
{
    if (cachefs__plist_empty(young)) return;
    if (cachefs__plist_empty(list)) {
        list->tail = young->tail;
    } else {
        nodes[young->tail].next = list->head;
        nodes[list->head].prev = young->tail;
    }
    list->head = young->head;
    cachefs__plist_init(young);
}

/* What every create checks. */
static inline apr_status_t cachefs__policy_check(const cachefs_policy_config_t *config)
{
    if (config->size < sizeof(*config)) return VFS_EABI;
    if (config->entries_max == 0 || config->entries_max == CACHEFS_POLICY_NONE ||
        config->nodes == NULL)
        return APR_EINVAL;
    return APR_SUCCESS;
}

/* Memory of an instance, which counts; the second: all zero. NULL: none. */
static inline void *cachefs__policy_alloc(const cachefs_policy_config_t *config, apr_pool_t *pool,
                                          size_t bytes)
{
    void *memory = apr_palloc(pool, bytes);

    if (memory != NULL && config->memory != NULL) *config->memory += bytes;
    return memory;
}

static inline void *cachefs__policy_calloc(const cachefs_policy_config_t *config, apr_pool_t *pool,
                                           size_t bytes)
{
    void *memory = cachefs__policy_alloc(config, pool, bytes);

    return memory != NULL ? memset(memory, 0, bytes) : NULL;
}

#endif
