/**
 * @file
 * policy.h - an eviction policy: who leaves when room is needed. For authors of policies.
 * Floor 2, public. A policy knows entries by number, never blocks, files or memory.
 *
 * One instance of a policy serves one shard. The engine calls it under the shard's lock, so it
 * needs none of its own and must not block, allocate, or call back. Every op is O(1) amortised.
 *
 * An entry is a number below `entries_max`, and the policy's for as long as it is resident and
 * clean:
 *
 *     insert -> { touch }* -> remove            it became dirty, was invalidated, or replaced
 *                          -> victim            the policy chose it; it is no longer the policy's
 *
 * The engine keeps one cachefs_policy_node_t for each entry, for the lists of whoever holds it, and
 * `entry_bytes` more where the policy asks for them. Both are shared by all shards: an entry is in
 * one at a time. What a policy remembers of entries that left (ghosts, sketches) it makes in
 * `create`, sized by `entries_hint`, from the pool that it is given; never anything by
 * `entries_max`, since each shard would have it.
 *
 * Hits are reported late, and only some of them: a hit marks its block without a lock; the marks
 * come as `touch` in batches, one for any number of hits since the last. A policy reads order from
 * them, not counts, unless it uses `hits` of the touch.
 */
#ifndef CACHEFS_POLICY_H
#define CACHEFS_POLICY_H

#include "vfs/vfs.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CACHEFS_POLICY_ABI 1u          /**< of the table below; another one is VFS_EABI */
#define CACHEFS_POLICY_NONE UINT32_MAX /**< no entry */

/** What the engine keeps for a policy with each entry. */
typedef struct cachefs_policy_node_t {
    uint32_t prev; /**< for a list of the policy's */
    uint32_t next; /**< likewise */
    uint32_t word; /**< the policy's own */
} cachefs_policy_node_t;

/** What an instance is made for. */
typedef struct cachefs_policy_config_t {
    size_t size;                  /**< sizeof(cachefs_policy_config_t) */
    uint32_t entries_max;         /**< entries are below it */
    uint32_t reserved;            /**< 0 */
    uint64_t capacity_bytes;      /**< about how many bytes this shard will hold */
    uint64_t ttl_us;              /**< for policies that age by time; 0: never */
    apr_time_t (*now)(void);      /**< a cheap clock, microseconds */
    cachefs_policy_node_t *nodes; /**< entries_max of them */
    uint64_t entries_hint; /**< how many entries this shard will hold, about; 0: not known. Sizes
                              what is remembered of entries that left (ghosts, sketches) */
    /** The key with which a resident entry came in, from the engine's own tables: it takes no lock,
     * and is called in touch and victim only. NULL: policies that need keys keep them. */
    uint64_t (*key_of)(const void *baton, uint32_t entry);
    const void *key_baton; /**< passed to key_of */
    void *extras; /**< entries_max times `entry_bytes` of the policy, shared as the nodes are; NULL
                     where it asks for none */
    uint64_t *memory; /**< `create` adds to it what it takes from the pool: it counts with the
                         memory of the cache; NULL: nobody counts */
    uint32_t shard;   /**< which of the instances of this cache it is, from 0 */
    uint32_t shards;  /**< how many there will be; they are made one after the other. 0: one */
    /** One word for all instances of a cache, NULL when the first is made: what its `create` leaves
     * there that of the others finds, to share what each learns of its keys. Instances are called
     * at the same time, so it must be atomic. For `create` only. NULL: this one is by itself. */
    void **common;
    /** So many bytes may come in, of one read and what is read ahead of it, before any of them is
     * used: a policy whose part for newcomers is smaller lets them go unread. 0: one entry. */
    uint64_t burst_bytes;
} cachefs_policy_config_t;

/** A policy: what its author writes, `static const` with designated initialisers. No function may
 * be NULL. */
typedef struct cachefs_policy_ops_t {
    uint32_t abi;     /**< CACHEFS_POLICY_ABI */
    uint32_t size;    /**< sizeof(cachefs_policy_ops_t) */
    const char *name; /**< by which `policy=` chooses it, such as "lru" */
    /** Make an instance. @param state receives it; it lives in `pool`. */
    apr_status_t (*create)(void **state, const cachefs_policy_config_t *config, apr_pool_t *pool);
    /** `entry` became resident. @param key names the content (the same for the same block of the
     * same version), for ghosts @param bytes of memory that its eviction frees */
    void (*insert)(void *state, uint32_t entry, uint64_t key, uint32_t bytes);
    /** `entry` was hit `hits` times or more since the last touch (at least 1). */
    void (*touch)(void *state, uint32_t entry, uint32_t hits);
    /** `entry` goes for another reason than the policy's choice. */
    void (*remove)(void *state, uint32_t entry);
    /** Choose who leaves, and forget it. CACHEFS_POLICY_NONE if the policy holds nothing. */
    uint32_t (*victim)(void *state);
    /** Entries held. */
    uint32_t (*count)(void *state);
    /** Bytes that it notes of each entry beside its node; they come as `extras`, aligned for any
     * number, and are undefined when an entry comes in. They count with the memory of the cache. */
    uint32_t entry_bytes;
} cachefs_policy_ops_t;

/** Add a policy under its name, for `policy=` of every instance made from then on; one of the same
 * name that was added before is replaced for those.
 *  @param ops  the policy; copied
 *  @return APR_SUCCESS; VFS_EABI (another ABI, or too small a table); APR_EINVAL (a NULL, no name,
 * or the name of one of the library's own); APR_ENOMEM. Threads: any. Blocks: no. Owns: copies the
 * table; its name and functions must outlive the process's last cache. */
VFS_API apr_status_t cachefs_policy_register(const cachefs_policy_ops_t *ops);
/** The policy of a name.
 *  @param name  such as "lru"
 *  @return its table, or NULL. Threads: any. Blocks: no. Owns: nothing. */
VFS_API const cachefs_policy_ops_t *cachefs_policy_find(const char *name);
/** The i-th policy, to go through all of them.
 *  @param i  from 0; the library's own come first
 *  @return its table, or NULL behind the last one. Threads: any. Blocks: no. Owns: nothing. */
VFS_API const cachefs_policy_ops_t *cachefs_policy_at(size_t i);

#ifdef __cplusplus
}
#endif
#endif
