/*
 * held.h - what most policies keep account of: which entries they hold, and how many bytes.
 * Floor 2, private to cachefs/policy/ and its tests.
 *
 * The word of a node is HELD (8 bits), the size of the entry (11), whose it is (2; of instances
 * that share nodes, see auto.c), and what the policy notes (11). Sizes are rounded down to 6
 * significant bits, once, when the entry comes in: so sums of them come out even. Powers of two are
 * exact, and shares need not be.
 *
 * Capacity. Limits of parts ("a tenth for newcomers") are shares of what the shard really holds,
 * which is not the configured number: dirty blocks are not the policy's, and shards share one
 * memory. But whenever a victim is asked for, the memory is full, so what is held then is the
 * capacity. Until the first victim it is the configured one, and never less than what is held.
 */
#ifndef CACHEFS_POLICY_HELD_H
#define CACHEFS_POLICY_HELD_H

#include "cachefs/policy/policies.h"

#define CACHEFS__NOTE_BITS 11u
#define CACHEFS__NOTE_MASK ((1u << CACHEFS__NOTE_BITS) - 1u)
#define CACHEFS__WHOSE_SHIFT CACHEFS__NOTE_BITS
#define CACHEFS__WHOSE_MASK 3u
#define CACHEFS__SIZE_SHIFT (CACHEFS__NOTE_BITS + 2u)
#define CACHEFS__SIZE_BITS 11u
#define CACHEFS__SIZE_MASK ((1u << CACHEFS__SIZE_BITS) - 1u)
#define CACHEFS__TYPICAL_BYTES 4096u /* an entry, where nobody says how many there will be */

/* The first member of every state, so that who runs several can say whose entries are whose. */
typedef struct cachefs__held_t {
    cachefs_policy_node_t *nodes;
    uint32_t entries_max;
    uint32_t count;
    uint32_t whose; /* which of the instances that share nodes; 0: there is only one */
    uint64_t bytes;
    uint64_t capacity;
    uint64_t burst; /* that newcomers have room for, at least */
    uint64_t (*key_of)(const void *baton, uint32_t entry);
    const void *key_baton;
    uint64_t *keys; /* where there is no key_of; NULL: the policy needs none */
} cachefs__held_t;

static inline void cachefs__held_init(cachefs__held_t *held, const cachefs_policy_config_t *config)
{
    held->nodes = config->nodes;
    held->entries_max = config->entries_max;
    held->count = 0;
    held->whose = 0;
    held->bytes = 0;
    held->capacity = config->capacity_bytes;
    held->burst = config->burst_bytes;
    held->key_of = config->key_of;
    held->key_baton = config->key_baton;
    held->keys = NULL;
}

/* For policies that must know the key of a resident entry; call it after cachefs__held_init. */
static inline apr_status_t cachefs__keys_create(const cachefs_policy_config_t *config,
                                                cachefs__held_t *held, apr_pool_t *pool)
{
    if (held->key_of != NULL) return APR_SUCCESS;
    held->keys = cachefs__policy_alloc(config, pool, sizeof(*held->keys) * held->entries_max);
    return held->keys != NULL ? APR_SUCCESS : APR_ENOMEM;
}

static inline uint32_t cachefs__size_pack(uint32_t bytes)
{
    uint32_t shift = bytes < 64u ? 0 : 26u - (uint32_t)__builtin_clz(bytes);

    return shift << 6 | bytes >> shift;
}

static inline uint32_t cachefs__size_unpack(uint32_t packed)
{
    return (packed & 0x3fu) << (packed >> 6);
}

static inline uint32_t cachefs__size(const cachefs__held_t *held, uint32_t entry)
{
    return cachefs__size_unpack(held->nodes[entry].word >> CACHEFS__SIZE_SHIFT &
                                CACHEFS__SIZE_MASK);
}

static inline uint32_t cachefs__note(const cachefs__held_t *held, uint32_t entry)
{
    return held->nodes[entry].word & CACHEFS__NOTE_MASK;
}

static inline void cachefs__set_note(cachefs__held_t *held, uint32_t entry, uint32_t note)
{
    VFS_ASSERT(note <= CACHEFS__NOTE_MASK);
    held->nodes[entry].word = (held->nodes[entry].word & ~CACHEFS__NOTE_MASK) | note;
}

/* The entry is the policy's from now on. Returns its size as it is accounted. */
static inline uint32_t cachefs__hold(cachefs__held_t *held, uint32_t entry, uint32_t bytes,
                                     uint32_t note)
{
    uint32_t packed = cachefs__size_pack(bytes);

    VFS_ASSERT(entry < held->entries_max);
    VFS_ASSERT(held->count < held->entries_max);
    VFS_ASSERT(note <= CACHEFS__NOTE_MASK);
    held->nodes[entry].word =
        CACHEFS__HELD | packed << CACHEFS__SIZE_SHIFT | held->whose << CACHEFS__WHOSE_SHIFT | note;
    held->count++;
    held->bytes += cachefs__size_unpack(packed);
    if (held->bytes > held->capacity) held->capacity = held->bytes;
    return cachefs__size_unpack(packed);
}

/* What every touch and remove begins with. */
static inline void cachefs__check_held(const cachefs__held_t *held, uint32_t entry)
{
    VFS_ASSERT(entry < held->entries_max);
    VFS_ASSERT(cachefs__held(held->nodes, entry));
}

/* The entry is the engine's again. */
static inline void cachefs__let_go(cachefs__held_t *held, uint32_t entry)
{
    uint32_t bytes = cachefs__size(held, entry);

    cachefs__check_held(held, entry);
    VFS_ASSERT(held->count > 0);
    VFS_ASSERT(held->bytes >= bytes);
    held->nodes[entry].word = 0;
    held->count--;
    held->bytes -= bytes;
}

/* A victim is asked for: this is all that fits. */
static inline void cachefs__full(cachefs__held_t *held)
{
    held->capacity = held->bytes;
}

/* The share of newcomers: so many hundredths, but room for a burst, and for one of `one` bytes. */
static inline uint64_t cachefs__newcomers(const cachefs__held_t *held, uint32_t percent,
                                          uint32_t one)
{
    uint64_t bytes = held->capacity * percent / 100;

    if (bytes < held->burst) bytes = held->burst;
    return bytes < one ? one : bytes;
}

/* How many entries to expect, for tables that are sized once. */
static inline uint64_t cachefs__expected(const cachefs_policy_config_t *config)
{
    uint64_t expected = config->entries_hint;

    if (expected == 0) expected = config->capacity_bytes / CACHEFS__TYPICAL_BYTES;
    if (expected > config->entries_max) expected = config->entries_max;
    return expected < 32 ? 32 : expected;
}

/* Keys of neighbouring blocks differ in a few bits: spread them (the end of MurmurHash3). */
static inline uint64_t cachefs__mix(uint64_t key)
{
    key ^= key >> 33;
    key *= 0xff51afd7ed558ccdull;
    key ^= key >> 33;
    key *= 0xc4ceb9fe1a85ec53ull;
    return key ^ key >> 33;
}

/* The mixed key of an entry that is held. */
static inline uint64_t cachefs__hash_of(const cachefs__held_t *held, uint32_t entry)
{
    return cachefs__mix(held->keys != NULL ? held->keys[entry]
                                           : held->key_of(held->key_baton, entry));
}

/* cachefs__hold for policies that need keys. Returns the mixed key. */
static inline uint64_t cachefs__hold_key(cachefs__held_t *held, uint32_t entry, uint64_t key,
                                         uint32_t bytes, uint32_t note)
{
    (void)cachefs__hold(held, entry, bytes, note);
    if (held->keys != NULL) held->keys[entry] = key;
    return cachefs__mix(key);
}

/* A list that knows its bytes. */
typedef struct cachefs__queue_t {
    cachefs__plist_t list;
    uint64_t bytes;
} cachefs__queue_t;

static inline void cachefs__queue_init(cachefs__queue_t *queue)
{
    cachefs__plist_init(&queue->list);
    queue->bytes = 0;
}

static inline void cachefs__queue_push(cachefs__queue_t *queue, cachefs__held_t *held,
                                       uint32_t entry)
{
    cachefs__plist_push(&queue->list, held->nodes, entry);
    queue->bytes += cachefs__size(held, entry);
}

static inline void cachefs__queue_unlink(cachefs__queue_t *queue, cachefs__held_t *held,
                                         uint32_t entry)
{
    cachefs__plist_unlink(&queue->list, held->nodes, entry);
    VFS_ASSERT(queue->bytes >= cachefs__size(held, entry));
    queue->bytes -= cachefs__size(held, entry);
}

/* Out of the one, to the head of the other (which may be the same). */
static inline void cachefs__queue_move(cachefs__queue_t *from, cachefs__queue_t *to,
                                       cachefs__held_t *held, uint32_t entry)
{
    cachefs__queue_unlink(from, held, entry);
    cachefs__queue_push(to, held, entry);
}

#endif
