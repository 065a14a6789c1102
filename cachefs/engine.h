/*
 * engine.h - the parts of the cache layer and how they hold together.
 * Floor 2, private to cachefs/ and its tests. Knows vfs and metrics; never a backend.
 *
 * Names and bytes are apart. A node says what a path leads to: an object, or nothing (negative). An
 * object is a file of the lower layer, whatever its names: attributes, validator, the version that
 * its cached bytes belong to, dirty state. A block is an aligned range of one version. Nodes and
 * blocks live in shards; objects in a table by identity.
 *
 *     path --hash--> shard.nodes --> node --> object --version--> mix(version, number) -->
 * shard.blocks --> block --> arena
 *
 * Lock ranks, lowest first; a thread takes locks in rising order only, and none is held across a
 * call into the lower layer or a callback: 1 object stripe (attributes, gate, dirty list, lower
 * handles of the objects of the stripe) 2 shard         (nodes, blocks, policy) 3 identity table 4
 * arena and pools 5 leaves: handle list, dirty queue, configuration text, borrowed chunks
 */
#ifndef CACHEFS_ENGINE_H
#define CACHEFS_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cachefs/arena.h"
#include "cachefs/cachefs.h"
#include "cachefs/config.h"
#include "cachefs/counters.h"
#include "cachefs/policy.h"
#include "cachefs/rank.h"
#include "vfs/vfs_ops.h"

#define CACHE_MAGIC 0xcac4ef51u
#define HANDLE_MAGIC 0xcac4e4a1u
#define GRANULE_MIN 4096u       /* validity is known per granule: this, or a 16th of the block */
#define OSTRIPES 64u            /* stripes of object locks */
#define NAME_SLOTS 1024u        /* where changes to names are noted, by path hash */
#define NAME_CLAIMED UINT64_MAX /* somebody is about to change the name */
#define NAME_BELOW (UINT64_MAX - 1) /* and is doing it below right now, waiting for nobody here */
#define WALK_MAX 64                 /* chain steps of a reader without a lock */
#define GET_GUARD 2                 /* how often a call starts again on a new version */
#define NONE 0u                     /* no index: entry 0 of every table is never used */

typedef struct cache_t cache_t;
typedef struct cachefs__watch_t cachefs__watch_t;

/* ---- blocks
 * ---------------------------------------------------------------------------------------
 *
 *   free -> clean -> free                  fill or write-through; eviction, invalidation
 *            |  ^
 *            v  |  (flushed, and not written since)
 *           dirty                          a write in write-back; the evictor cannot see it
 *
 * seq is even while the block is stable. It changes by 2 with every change of key, memory or bytes;
 * a reader without a lock believes what it copied only if seq was even before and the same after.
 * All other fields change under the shard's lock while seq is odd; mark alone is written by
 * readers.
 */
typedef struct block_t {
    _Atomic uint32_t seq;
    _Atomic uint32_t no;   /* number within its version */
    _Atomic uint64_t ver;  /* version: generation in the upper half, object in the lower; 0: free */
    _Atomic uint32_t next; /* in the chain of its bucket */
    _Atomic uint32_t data; /* arena chunk */
    _Atomic uint32_t bits; /* BLOCK_* and the valid granules */
    _Atomic uint32_t mark; /* MARK_TOUCHED, and borrowers above it */
} block_t;

#define BLOCK_VALID_MASK 0xffffu /* one bit a granule */
#define BLOCK_CLASS_SHIFT 16     /* 4 bits: arena class of data */
#define BLOCK_DIRTY (1u << 20)   /* on its object's dirty list */
#define BLOCK_LISTED (1u << 21)  /* the policy holds it */
#define BLOCK_KEEP (1u << 22)    /* protected: not with the policy */
#define BLOCK_AHEAD (1u << 23)   /* brought by read-ahead, not read yet */
#define MARK_TOUCHED 1u
#define MARK_BORROW 2u /* one borrower */

/* ---- nodes
 * ----------------------------------------------------------------------------------------- Guarded
 * by the shard's lock. A node is for the path itself (lstat), or, with NODE_FOLLOW, for what a path
 * that ends in a symbolic link leads to. */
typedef struct node_t {
    uint32_t next; /* chain */
    uint32_t lru_prev, lru_next;
    uint32_t hash;
    uint32_t path; /* arena chunk */
    uint16_t path_len;
    uint16_t flags;
    uint32_t object; /* NONE: negative */
    uint32_t
        epoch; /* meta_epoch, and for a path through links ns_epoch, at the time of checked_us */
    int64_t checked_us;
} node_t;

#define NODE_USED 0x1u
#define NODE_NEGATIVE 0x2u
#define NODE_FOLLOW 0x4u
#define NODE_DIRECT 0x8u /* no symbolic link on the way */

/* ---- objects
 * ---------------------------------------------------------------------------------------- */

typedef enum gate_e { GATE_FILL = 0, GATE_WRITE } gate_e;
/* A range under way. Fills exclude writes and each other (a second miss waits for the first),
 * writes exclude both. Lives on the stack of the thread that works. */
typedef struct gate_wait_t {
    struct gate_wait_t *next;
    int done;
    apr_status_t status;
} gate_wait_t;
typedef struct gate_t {
    struct gate_t *next;
    uint64_t start, end;
    gate_e kind;
    gate_wait_t *waiters; /* told the status at leave */
    gate_wait_t wait;     /* ours, while we wait for another */
} gate_t;

/* Guarded by the object's stripe, unless it says otherwise. */
typedef struct obj_t {
    _Atomic uint32_t seq;      /* odd while version, shift or a shrinking size change */
    _Atomic uint32_t refs;     /* nodes, handles, calls, dirty list */
    _Atomic uint64_t ver;      /* current version; 0: none yet */
    _Atomic uint64_t size;     /* of the file as the stack sees it */
    _Atomic uint32_t shift;    /* log2 of the block size */
    uint32_t gen;              /* last generation of this slot; survives reuse */
    uint64_t dev, ino;         /* identity; set once, while nobody knows the object */
    int64_t born_ns;           /* with them: 0 where the backend does not tell */
    uint32_t id_next;          /* identity chain (identity lock) */
    uint32_t flags;            /* OBJ_* */
    _Atomic uint64_t resident; /* bytes of arena in blocks of this slot */
    vfs_attr_t attr;           /* as of checked_us, and as changed by us since */
    vfs_validator_t validator;
    int64_t checked_us;
    uint64_t changed_seq; /* mut_seq of our last change */
    uint32_t changing;    /* changes of ours under way */
    uint32_t name;        /* path chunk of one of its names, or NONE */
    uint32_t name_len;
    /* listing of a directory: content of the version, list_bytes long */
    uint64_t list_bytes;
    int64_t list_checked_us;
    /* open */
    uint32_t handles, writers;
    uint32_t opening; /* a thread opens a lower handle */
    uint32_t io;      /* calls using lower_file */
    vfs_file_t *lower_file;
    uint32_t lower_flags;
    vfs_file_t *lower_old; /* a better one took its place; closed when nobody uses any */
    gate_t *gates;
    /* write-back */
    uint32_t dirty_first, dirty_last; /* by the policy nodes of the blocks */
    uint64_t dirty_bytes;
    uint32_t dirty_blocks;
    _Atomic int64_t dirty_since_us;
    uint32_t flushing;
    uint32_t err_seq; /* counts failed flushes */
    apr_status_t err;
    int64_t retry_at_us, retry_wait_us;
    uint32_t queue_prev, queue_next; /* dirty queue (its own lock) */
    _Atomic uint32_t pins;           /* cachefs_pin */
    int64_t local_mtime_ns;          /* last write that is not below; 0 where nothing is dirty */
    uint64_t doubt_cut; /* one more than the size that a truncation in doubt asked for; 0: none */
    _Atomic uint32_t changes; /* versions that others made */
} obj_t;

#define OBJ_USED 0x01u
#define OBJ_HASHED 0x02u     /* in the identity table */
#define OBJ_ATTR 0x04u       /* attr is filled */
#define OBJ_ATTR_OLD 0x08u   /* we changed the file: attr must be asked for again */
#define OBJ_OWN_CHANGE 0x10u /* our own write made a version whose validator we do not know yet */
#define OBJ_UNLINKED 0x20u   /* the last name is gone */
#define OBJ_QUEUED 0x40u     /* in the dirty queue */
#define OBJ_SETTLING 0x80u   /* a conflict is being settled: writes wait */
#define OBJ_LISTED 0x100u    /* list_bytes and the version's content are a listing */
#define OBJ_FLUSH_JOB 0x400u /* a job to flush it is queued */
#define OBJ_DOUBT 0x800u     /* a call of ours failed below: its size there is not known */
#define OBJ_YOUNG 0x200u     /* the validator was young when the bytes were read */

typedef struct cachefs__ostripe_t {
    pthread_mutex_t lock;
    pthread_cond_t cond; /* gates, lower_file, flushing */
} cachefs__ostripe_t;

/* ---- shards
 * ------------------------------------------------------------------------------------------- */

typedef struct shard_t {
    pthread_mutex_t lock;
    _Atomic uint32_t *heads; /* of block chains */
    uint32_t mask;
    uint32_t node_mask;
    uint32_t *node_heads;
    uint32_t lru_first, lru_last; /* of nodes: first is the most recent */
    void *policy;
    uint64_t names, blocks;
} __attribute__((aligned(64))) shard_t;

/* A table of equal entries whose memory keeps its type; grows by credits of the arena. Arena lock.
 */
typedef struct cachefs__pool_t {
    uint32_t limit, high, free, used;
    uint32_t step, paid; /* entries of one credit; entries that credits were lent for */
} cachefs__pool_t;

/* Lossy buffers of hits, for the policies. */
#define RING_LEN 64u
typedef struct ring_t {
    _Atomic uint32_t n;
    _Atomic uint32_t entry[RING_LEN];
} __attribute__((aligned(64))) ring_t;

/* What can be changed on line, read without a lock. */
typedef struct tunables_t {
    _Atomic uint64_t attr_ttl_us, negative_ttl_us, listing_ttl_us;
    _Atomic uint64_t readahead_bytes, readahead_bytes_max;
    _Atomic uint64_t dirty_bytes_max, flush_interval_us, dirty_age_us;
    _Atomic uint64_t retry_min_us, retry_max_us, write_wait_us;
    _Atomic uint32_t get_bytes;
    _Atomic int serve_stale, flush_on_close, conflict, heat, metrics;
} tunables_t;

struct cache_t {
    uint32_t magic;
    vfs_t *fs, *lower;
    cachefs_mode_e mode;
    cachefs_config_t config; /* config_lock */
    cachefs_config_t fixed;  /* as it was made: for keys that never change */
    apr_pool_t *config_pool;
    pthread_mutex_t config_lock;
    tunables_t t;
    cachefs__ttl_rules_t *rules;
    const cachefs_policy_ops_t *policy;
    int lower_is_far;     /* a round trip costs: no call that could be spared */
    _Atomic int no_fetch; /* the lower layer has no `fetch` */

    arena_t arena;
    block_t *blocks;
    cachefs_policy_node_t *links; /* one for each block */
    node_t *nodes;
    obj_t *objs;
    cachefs__pool_t block_pool, node_pool, obj_pool;
    uint64_t entries_max, metadata_max, pin_bytes_max;
    _Atomic uint64_t block_count, name_count, obj_count, resident_bytes, pinned_bytes;

    shard_t *shards;
    uint32_t shard_count, shard_bits;
    cachefs__ostripe_t ostripes[OSTRIPES];
    struct {
        pthread_mutex_t lock;
        uint32_t *heads;
        uint32_t mask;
    } ids;

    _Atomic uint64_t mut_seq; /* counts our changes of names and attributes */
    _Atomic uint64_t
        name_mut[NAME_SLOTS];  /* mut_seq of the last change; NAME_CLAIMED, NAME_BELOW */
    _Atomic uint64_t tree_mut; /* last change that touches any path: a directory moved */
    pthread_mutex_t mut_lock;  /* rank 5 */
    pthread_cond_t mut_cond;
    _Atomic unsigned tree_ops; /* directories on the move; changed under mut_lock */
    _Atomic uint32_t meta_epoch, ns_epoch;

    ring_t *rings;
    counters_t counters;
    metrics_registry_t *metrics;
    metrics_histogram_t *lat[LAT_COUNT];

    /* write-back */
    pthread_mutex_t wb_lock; /* rank 5 */
    pthread_cond_t wb_cond;  /* room, or work */
    uint32_t wb_first, wb_last;
    _Atomic uint64_t wb_files; /* changed under wb_lock */
    _Atomic uint64_t dirty_bytes;
    pthread_t wb_thread;
    int wb_started, wb_stop;
    int64_t wb_wake_us; /* when the flusher looks next; wb_lock */
    unsigned wb_busy;   /* flush jobs queued or running */
    _Atomic int wb_kick;
    _Atomic uint64_t dirty_reserved;
    uint32_t stage_chunk; /* the last resort; wb_lock */
    int stage_busy;

    vfs_workers_t *workers;
    _Atomic uint64_t ahead_bytes; /* of read-ahead under way */

    pthread_mutex_t handle_lock; /* rank 5 */
    struct handle_t *handle_free;
    _Atomic uint64_t handle_count;

    pthread_mutex_t orphan_lock; /* rank 5: chunks that blocks gave up while they were borrowed */
    struct orphan_t *orphans;

    pthread_mutex_t flight_lock; /* rank 5: look-ups under way */
    pthread_cond_t flight_cond;
    struct flight_t *flights;

    _Atomic(cachefs_heat_fn) heat_fn;
    void *_Atomic heat_baton;
    uint64_t watch;
    int watching;
    pthread_mutex_t watch_lock; /* rank 5 */
    cachefs__watch_t *watches;  /* of our callers */
    pthread_t tune_thread;
    int tune_started;
    _Atomic int tune_stop;
    pthread_mutex_t tune_lock;
    pthread_cond_t tune_cond;
    const char *tune_root; /* "" but in tests */
};

/* An open file of ours. */
typedef struct handle_t {
    vfs_file_t base;
    uint32_t magic;
    cache_t *cache;
    obj_t *obj;
    uint32_t err_seen;      /* obj->err_seq that this handle was told */
    vfs_file_t *lock_lower; /* own handle below, for advisory locks; stripe */
    struct handle_t *free_next;
    /* read-ahead; a guess, so races do no harm */
    _Atomic uint64_t next_off, window, ahead_end;
    _Atomic int heat_last;
} handle_t;

/* ---- inline basics
 * ---------------------------------------------------------------------------------------- */

static inline uint32_t cachefs__mix(uint64_t ver, uint32_t no)
{
    /* the finaliser of MurmurHash3 (Appleby, public domain), over version and number */
    uint64_t x = ver * 0x9e3779b97f4a7c15ull + no;
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdull;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ull;
    x ^= x >> 33;
    return (uint32_t)x;
}
/* The shard's number: the top bits; 64 bits wide, since one shard has none and shifts by 32. */
static inline uint32_t cachefs__top(const cache_t *c, uint32_t x)
{
    return (uint32_t)((uint64_t)x >> (32 - c->shard_bits));
}
static inline shard_t *cachefs__block_shard(cache_t *c, uint32_t mix)
{
    return &c->shards[cachefs__top(c, mix)];
}
static inline uint32_t cachefs__spread(uint32_t hash)
{
    return hash * 0x9e3779b1u; /* FNV's low bits are good, its high bits are not */
}
static inline shard_t *cachefs__node_shard(cache_t *c, uint32_t hash)
{
    return &c->shards[cachefs__top(c, cachefs__spread(hash))];
}
static inline uint32_t cachefs__obj_index(const cache_t *c, const obj_t *o)
{
    return (uint32_t)(o - c->objs);
}
static inline cachefs__ostripe_t *cachefs__stripe(cache_t *c, const obj_t *o)
{
    return &c->ostripes[cachefs__obj_index(c, o) % OSTRIPES];
}
static inline void cachefs__obj_lock(cache_t *c, const obj_t *o)
{
    cachefs__lock(&cachefs__stripe(c, o)->lock, RANK_OBJECT);
}
static inline void cachefs__obj_unlock(cache_t *c, const obj_t *o)
{
    cachefs__unlock(&cachefs__stripe(c, o)->lock, RANK_OBJECT);
}
static inline uint32_t cachefs__granule(uint32_t shift)
{
    return shift <= 16 ? GRANULE_MIN : 1u << (shift - 4);
}
/* The granules that hold bytes [from, to) of a block. */
static inline uint32_t cachefs__granules(uint32_t shift, uint32_t from, uint32_t to)
{
    uint32_t g = cachefs__granule(shift), a = from / g, b = (to + g - 1) / g;
    return to <= from ? 0 : ((b >= 32 ? 0u : 1u << b) - (1u << a)) & BLOCK_VALID_MASK;
}
static inline int64_t cachefs__now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
static inline int64_t cachefs__clock_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
static inline cache_t *cachefs__of(const vfs_t *fs)
{
    cache_t *c = fs->state;
    VFS_ASSERT(c->magic == CACHE_MAGIC);
    return c;
}
static inline handle_t *cachefs__handle(vfs_file_t *file)
{
    handle_t *h = (handle_t *)file;
    VFS_ASSERT(h->magic == HANDLE_MAGIC);
    return h;
}

/* ---- table.c: pools and room
 * ---------------------------------------------------------------------------------- */
apr_status_t cachefs__tables_create(cache_t *c);
void cachefs__tables_destroy(cache_t *c);
uint32_t cachefs__pool_get(cache_t *c, cachefs__pool_t *pool);
void cachefs__pool_put(cache_t *c, cachefs__pool_t *pool, uint32_t i);
/* A chunk of at least `bytes`, for `owner` (arena.h). Makes room by eviction unless `low`. 0: none
 * to be had. */
uint32_t cachefs__chunk_get(cache_t *c, uint64_t bytes, uint32_t owner, uint32_t hint, int low);
void cachefs__chunk_put(cache_t *c, uint32_t chunk);
/* Evict something; 0: nothing can go. */
int cachefs__evict_one(cache_t *c, uint32_t hint);
/* Evict until at most `target` bytes of slabs are in use. Returns what is in use. */
uint64_t cachefs__shrink(cache_t *c, uint64_t target);

/* ---- block.c: the block index
 * ------------------------------------------------------------------------------------ */
/* Copy [boff, boff + n) of a block without a lock. 0: not there, not whole, or it moved. */
int cachefs__block_copy(cache_t *c, uint64_t ver, uint32_t no, uint32_t shift, uint32_t boff,
                        uint32_t n, void *dst);
/* Copy what there is of [boff, boff + n), from boff on, under the shard's lock: for blocks that
 * are changing, and for what lies behind their memory. Returns how many bytes. */
uint32_t cachefs__block_read(cache_t *c, uint64_t ver, uint32_t no, uint32_t shift, uint32_t boff,
                             uint32_t n, uint8_t *dst);
/* The block, shard locked. NONE: not there. */
uint32_t cachefs__block_find(cache_t *c, shard_t *s, uint64_t ver, uint32_t no, uint32_t mix);
/* Put bytes into a block, making it if there is room. `valid`: granules that are wholly known once
 * the bytes are in (bytes of them that are not given and not valid yet become zero). */
typedef struct cachefs__put_t {
    uint64_t ver;
    uint32_t no, shift;
    uint32_t from, to; /* bytes given, within the block */
    const void *bytes;
    uint32_t valid;
    uint32_t leans;   /* those of `valid` that are known only because they were valid before */
    int only_missing; /* a fill: granules that are valid already stay as they are */
    int dirty;        /* becomes dirty: caller holds the object's lock */
    int low;          /* use free memory only */
    int ahead;
    int existing;   /* do not make the block */
    int keep;       /* protected */
    uint32_t end;   /* bytes of the block that the file has: sizes the memory */
    uint32_t chunk; /* private memory that holds the bytes from 0 on, to become the block's; 0:
                       none. Taken over in any case */
} cachefs__put_t;
apr_status_t cachefs__block_put(cache_t *c, obj_t *o, const cachefs__put_t *put);
/* Drop a clean block. Returns 1 if it was there and clean, -1 if it is dirty. */
int cachefs__block_drop(cache_t *c, uint64_t ver, uint32_t no);
/* Take a block out of everything, shard locked. */
void cachefs__block_free(cache_t *c, shard_t *s, uint32_t i);
/* Forget granules of a clean block, or, with `zero`, set [from, to) to zero. */
void cachefs__block_cut(cache_t *c, uint64_t ver, uint32_t no, uint32_t shift, uint32_t from,
                        uint32_t to, int zero);
/* Drop the clean blocks of a version below `size`. Returns bytes dropped. */
void cachefs__version_drop(cache_t *c, obj_t *o, uint64_t ver, uint64_t size, uint32_t shift);
/* Protect a block from eviction, or stop it. VFS_ELIMIT: pin_bytes_max. */
apr_status_t cachefs__block_keep(cache_t *c, uint64_t ver, uint32_t no, int keep);
void cachefs__touch_drain(cache_t *c, ring_t *ring);
uint32_t cachefs__valid_mask(cache_t *c, uint64_t ver, uint32_t no, int *dirty);

/* ---- obj.c: objects, identities, gates, lower handles
 * --------------------------------------------------------------- */
obj_t *cachefs__obj_get(cache_t *c, const vfs_attr_t *attr, int *made);
void cachefs__obj_ref(obj_t *o);
void cachefs__obj_unhash(cache_t *c, obj_t *o);
void cachefs__obj_put(cache_t *c, obj_t *o);
/* A new version: everything cached of the old one is unreachable. Object locked. */
void cachefs__obj_new_version(cache_t *c, obj_t *o);
/* Take what the lower layer said at `asked` (mut_seq before the call). Object not locked. Returns 1
 * if the version changed. */
int cachefs__obj_learn(cache_t *c, obj_t *o, const vfs_attr_t *attr, const vfs_validator_t *val,
                       uint64_t asked);
/* The same for an open file: bytes that are younger than the backend's clock are doubted at opens
 * only. */
int cachefs__obj_learn_open(cache_t *c, obj_t *o, const vfs_attr_t *attr,
                            const vfs_validator_t *val, uint64_t asked);
/* Can it be the same file, by the time of its birth? */
int cachefs__same_birth(const obj_t *o, const vfs_attr_t *attr);
/* What a file in doubt (doubt.c) is below: that it changed was our doing, or not. Flush begun, no
 * change of ours under way. */
void cachefs__obj_settle(cache_t *c, obj_t *o, const vfs_attr_t *attr, const vfs_validator_t *val);
/* Our own change of the file below begins and ends, whatever of it moves its validator: bytes,
 * size, times, mode, names. Answers that were under way meanwhile are not believed (invariant 18).
 * The begin answers `since`. */
uint64_t cachefs__obj_change_begin(cache_t *c, obj_t *o);
void cachefs__obj_change_end(cache_t *c, obj_t *o, int changed);
/* The same; `val`, which the change brought, is the file's if no other change of ours overlapped.
 * NULL: none came. */
void cachefs__obj_changed(cache_t *c, obj_t *o, int changed, uint64_t since,
                          const vfs_validator_t *val);
/* No change of ours overlapped the question that was put at `asked`. Object locked. */
static inline int cachefs__obj_quiet(const obj_t *o, uint64_t asked)
{
    return !o->changing && o->changed_seq <= asked;
}
/* The attributes as the stack sees them. Object locked. */
void cachefs__obj_attr(const obj_t *o, vfs_attr_t *out);
/* The same where the lower layer told `told` during this call: if that was not learned, since a
 * change of ours is under way, what we knew is older than what we did before. Object locked. */
void cachefs__obj_attr_told(const obj_t *o, const vfs_attr_t *told, vfs_attr_t *out);
/* Its version as the stack sees it: not known while it has changes of ours that the lower layer's
 * last answer did not. Object locked. */
void cachefs__obj_validator(const obj_t *o, vfs_validator_t *out);
int cachefs__obj_fresh(cache_t *c, const obj_t *o, uint64_t ttl_us);
/* Wait until no gate overlaps, then enter. A fill that waited for another fill gets its status and
 * `*waited` set, and is NOT entered: look again. */
apr_status_t cachefs__gate_enter(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, gate_t *gate,
                                 int *waited);
void cachefs__gate_leave(cache_t *c, obj_t *o, gate_t *gate, apr_status_t status);
/* The lower handle, opened when first needed, counted as in use until cachefs__lower_done. */
apr_status_t cachefs__lower_use(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, int write,
                                vfs_file_t **file);
void cachefs__lower_done(cache_t *c, obj_t *o);
/* The lower handle if there is one, counted as in use; else NULL. Waits for nobody. */
vfs_file_t *cachefs__lower_here(cache_t *c, obj_t *o);
/* Close the lower handle if nobody needs it any more. */
void cachefs__lower_idle(cache_t *c, obj_t *o);
/* Give the object a lower handle that an open brought; closed if it has a better one. */
void cachefs__lower_adopt(cache_t *c, obj_t *o, vfs_file_t *file, uint32_t flags);
apr_status_t cachefs__wait(pthread_cond_t *cond, pthread_mutex_t *lock, const vfs_ctx_t *ctx,
                           int64_t until_us);
/* The object has this name, by whoever changes it right now. */
void cachefs__obj_set_name(cache_t *c, obj_t *o, const vfs_path_t *path);
/* The object had this name at `asked`: noted if it has no other, or no change of ours overlaps. */
void cachefs__obj_name_seen(cache_t *c, obj_t *o, const vfs_path_t *path, uint64_t asked);
/* The name of an object, for a call below. Object locked. @return APR_NOTFOUND without one */
apr_status_t cachefs__obj_name(cache_t *c, const obj_t *o, vfs_path_t *out, char *buf);

/* ---- node.c: names
 * ------------------------------------------------------------------------------------------------------
 */
typedef enum cachefs__known_e {
    KNOWN_NOTHING = 0,
    KNOWN_ABSENT,
    KNOWN_STALE,
    KNOWN_FRESH
} cachefs__known_e;
/* What is known of a path. An object comes referenced. `checked` receives when it was asked; may be
 * NULL */
cachefs__known_e cachefs__node_find(cache_t *c, const vfs_path_t *path, int follow, obj_t **obj,
                                    int *negative);
/* Note what the lower layer answered at `asked`. obj NULL: absent. */
void cachefs__node_set(cache_t *c, const vfs_path_t *path, int follow, obj_t *obj,
                       uint32_t attr_flags, uint64_t asked);
/* Both nodes of a path, [1] for what its link leads to. Objects come referenced. Shard locked. */
typedef struct cachefs__names_t {
    obj_t *obj[2];
    cachefs__known_e known[2];
    int negative[2];
    uint64_t ttl_us[2];
} cachefs__names_t;
void cachefs__names_locked(cache_t *c, shard_t *s, const vfs_path_t *path, int expire,
                           cachefs__names_t *out);
/* Forget a name. Returns its object, referenced, or NULL. */
obj_t *cachefs__node_drop(cache_t *c, const vfs_path_t *path);
void cachefs__name_drop(cache_t *c, const vfs_path_t *path);
/* Make the name ask again, and drop its clean bytes. */
int cachefs__node_expire(cache_t *c, const vfs_path_t *path, uint64_t *dirty);
/* Drop one node: the lower layer answered that the name leads nowhere, and it is not to be kept. */
void cachefs__node_forget(cache_t *c, const vfs_path_t *path, int follow, uint64_t asked);
/* Make the name ask again; its bytes stay. */
void cachefs__node_expire_name(cache_t *c, const vfs_path_t *path);
/* Every node for which `match` says so; returns how many. `drop`: forget, else expire with the
 * bytes. */
typedef int (*cachefs__match_fn)(void *baton, const vfs_path_t *path);
uint64_t cachefs__node_sweep(cache_t *c, cachefs__match_fn match, void *baton, int drop,
                             uint64_t *dirty);
/* The same by whoever changes the name right now (cachefs__mut_begin). */
void cachefs__node_put(cache_t *c, const vfs_path_t *path, int follow, obj_t *obj,
                       uint32_t attr_flags, uint64_t asked);
/* A change of one or two names (b may be NULL) begins: others who change them wait; no look-up that
 * overlaps is kept. */
typedef struct cachefs__mut_t {
    uint32_t slot[2];
    int count;
    int tree; /* a directory moves */
    uint64_t asked;
} cachefs__mut_t;
apr_status_t cachefs__mut_begin(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *a,
                                const vfs_path_t *b, cachefs__mut_t *m);
void cachefs__mut_end(cache_t *c, cachefs__mut_t *m, int tree);
/* A directory is about to move: until cachefs__mut_end no answer about any name is kept. */
void cachefs__mut_tree(cache_t *c, cachefs__mut_t *m);
/* All is ready: the change goes below, and from here to cachefs__mut_end we wait for no gate, no
 * flush and no lower handle. */
void cachefs__mut_below(cache_t *c, const cachefs__mut_t *m);
/* Wait until nobody is changing this name, or a tree, below. Who only claimed it is not waited for:
 * he may be waiting for us. */
void cachefs__mut_wait(cache_t *c, const vfs_path_t *path);
/* Wait until nobody changes the name, or only claims it, until `until_us` at the latest. */
void cachefs__mut_settle(cache_t *c, const vfs_path_t *path, int64_t until_us);
/* Nobody changed the name since `asked`, or is about to. */
int cachefs__name_quiet(cache_t *c, const vfs_path_t *path, uint64_t asked);
int cachefs__node_evict(cache_t *c, shard_t *s);
void cachefs__node_free(cache_t *c, shard_t *s, uint32_t i);

/* ---- lookup.c: asking below
 * ------------------------------------------------------------------------------------------------
 */
/* What `path` is, from the cache or below; referenced. `want` LOOKUP_* */
#define LOOKUP_FOLLOW 0x1u
#define LOOKUP_BYTES 0x2u  /* the caller will read: bring the first bytes in the same trip */
#define LOOKUP_PARENT 0x8u /* asked for because of a name in it */
#define LOOKUP_FORCE 0x4u  /* ask below whatever is cached */
apr_status_t cachefs__lookup(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                             unsigned want, obj_t **obj, vfs_attr_t *attr,
                             vfs_validator_t *validator);
/* Bytes that the last look-up of this thread read below. */
uint64_t cachefs__lookup_fetched(void);
/* Ask for the attributes of an object that is open; the second settles first what is in doubt of
 * it, and so waits for its flush. `told` receives the answer as it came; may be NULL. */
apr_status_t cachefs__obj_ask(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, vfs_attr_t *told);
apr_status_t cachefs__obj_refresh(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, vfs_attr_t *told);
/* What is dirty, or will be (`writing`), must know the version that it is based on, or others could
 * not be told apart at the flush: ask for it where a change of ours left it open. */
void cachefs__learn_base(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, int writing);
int cachefs__unreachable(apr_status_t st);
apr_status_t cachefs__search_allowed(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path);

/* ---- fill.c, read.c
 * ---------------------------------------------------------------------------------------------------------------
 */
#define FILL_AHEAD 0x1u
#define FILL_RESTART (VFS_EEND + 64) /* the file has a new version: begin again */
#define FILL_AGAIN (VFS_EEND + 65)   /* somebody else worked there: look again */
/* Where a fill shall put bytes at once, besides the cache. */
typedef struct cachefs__sink_t {
    uint8_t *buf;
    uint64_t off, len;
    uint64_t done; /* bytes from off on that are in buf now */
} cachefs__sink_t;
/* Read the run of missing bytes that begins at `off` (within the file) and ends at `end` at the
 * latest, in one call below. *fetched: bytes read below. */
apr_status_t cachefs__fill(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint64_t ver, uint64_t off,
                           uint64_t end, unsigned flags, cachefs__sink_t *sink, uint64_t *fetched);
/* Read [sink->off, + len) below while nobody writes there, around the cache. FILL_AGAIN: it lies
 * behind the end by now. */
apr_status_t cachefs__read_at_once(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint64_t ver,
                                   cachefs__sink_t *sink, uint64_t *fetched);
apr_status_t cachefs__read_obj(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, void *buf, size_t len,
                               uint64_t off, size_t *got, uint64_t ahead, uint64_t *missed);
/* Bring [off, end) in. */
apr_status_t cachefs__prefetch(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint64_t off,
                               uint64_t end, unsigned flags, uint64_t *fetched);
/* Put the beginning of a file in, as a `get` brought it. Gate held. */
void cachefs__put_bytes(cache_t *c, obj_t *o, uint64_t ver, const void *buf, uint64_t off,
                        size_t len, const vfs_ctx_t *ctx);
/* Fix the block size of a version that has none; `want`: bytes that the first reader wants. Object
 * locked. */
void cachefs__choose_shift(cache_t *c, obj_t *o, uint64_t want);
/* Around the cache: dirty data is flushed first. */
apr_status_t cachefs__read_direct(cache_t *c, handle_t *h, const vfs_ctx_t *ctx, void *buf,
                                  size_t len, apr_off_t off, size_t *got);
/* A read below, with the version of the bytes where it is known. */
apr_status_t cachefs__fetch(cache_t *c, vfs_file_t *file, const vfs_ctx_t *ctx,
                            const vfs_iovec_t *iov, size_t count, uint64_t off, size_t *got,
                            vfs_validator_t *validator);

/* ---- write.c, dirty.c, flush.c, writeback.c, conflict.c
 * ------------------------------------------------------------------------------------------------
 */
apr_status_t cachefs__write(cache_t *c, handle_t *h, const vfs_ctx_t *ctx, const uint8_t *buf,
                            size_t len, apr_off_t off, size_t *written, vfs_validator_t *validator);
apr_status_t cachefs__obj_truncate(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint64_t size);
/* The file is `size` bytes long now: cut what is cached behind it, or make it longer. Gate of the
 * range held. */
void cachefs__cut(cache_t *c, obj_t *o, uint64_t size);
/* The file ends at `end` at least. */
void cachefs__grow(cache_t *c, obj_t *o, uint64_t end);
/* Bytes [off, end) changed below without us: forget them. */
void cachefs__forget(cache_t *c, obj_t *o, uint64_t off, uint64_t end);
apr_status_t cachefs__wb_create(cache_t *c);
void cachefs__wb_destroy(cache_t *c);
/* One attempt to write below all that is dirty of an object now; what becomes dirty meanwhile may
 * stay. */
apr_status_t cachefs__flush_obj(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
/* The same, and nobody flushes the object until cachefs__flush_end: for a change below that must
 * come after what is dirty now. On an error there is nothing to end. */
apr_status_t cachefs__flush_hold(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
/* Nobody flushes the object until cachefs__flush_end. */
apr_status_t cachefs__flush_begin(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
void cachefs__flush_end(cache_t *c, obj_t *o);
/* Reserve room under the dirty limit, helping to flush at the limit; give it back after the write.
 */
apr_status_t cachefs__dirty_reserve(cache_t *c, const vfs_ctx_t *ctx, uint64_t bytes);
void cachefs__dirty_unreserve(cache_t *c, uint64_t bytes);
/* Make room by flushing somebody. */
apr_status_t cachefs__flush_some(cache_t *c, const vfs_ctx_t *ctx);
/* The block became dirty; object and shard locked. */
void cachefs__dirty_add(cache_t *c, obj_t *o, uint32_t block, uint32_t granules);
/* A dirty block is clean: the policy has it again. Object and shard locked. */
void cachefs__dirty_to_clean(cache_t *c, obj_t *o, shard_t *s, uint32_t block);
/* It was written while it was flushed: it comes after all that was dirty before. Object and shard
 * locked. */
void cachefs__dirty_to_last(cache_t *c, obj_t *o, uint32_t block);
/* If nothing is dirty any more the object leaves the queue. Object locked. 1: the caller drops the
 * queue's reference. */
int cachefs__dirty_done(cache_t *c, obj_t *o);
/* Throw away the dirty data of an object from byte `from` on. Flush begun by the caller. Returns
 * bytes. */
uint64_t cachefs__dirty_discard(cache_t *c, obj_t *o, uint64_t from);
/* Objects with dirty data in the order of their turn, referenced; returns how many. */
size_t cachefs__dirty_objs(cache_t *c, obj_t **out, size_t max);
/* All of them; *objs is the caller's to free. APR_ENOMEM, with none */
apr_status_t cachefs__dirty_all(cache_t *c, obj_t ***objs, size_t *count);
/* The object had its turn: others come first. Object locked. */
void cachefs__dirty_next_turn(cache_t *c, obj_t *o);
/* Since when the oldest dirty byte is dirty; INT64_MAX: nothing is. */
int64_t cachefs__dirty_oldest(cache_t *c);
/* The flusher looks at `at_us` at the latest. */
void cachefs__wb_wake(cache_t *c, int64_t at_us);
/* It looks now, and flushes all that is not waiting for another try. */
void cachefs__wb_hurry(cache_t *c);
/* When the object's dirty data is due. Object locked. */
int64_t cachefs__wb_due(cache_t *c, const obj_t *o);
apr_status_t cachefs__pending_error(cache_t *c, handle_t *h);
/* A chunk for copies on their way below, always to be had. *size receives its bytes. */
uint32_t cachefs__stage_get(cache_t *c, size_t *size);
void cachefs__stage_put(cache_t *c, uint32_t chunk);
/* Settle it if the file changed below under our dirty data. Flush begun. *theirs: ours is not to be
 * written any more. */
apr_status_t cachefs__conflict(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, int *theirs);

/* ---- doubt.c: calls below that failed, and may have been done */
/* An error that says that nothing was done. */
int cachefs__refused(apr_status_t st);
/* Note that the size below is not known any more. `cut`: what a truncation asked for, or
 * UINT64_MAX. */
void cachefs__doubt(cache_t *c, obj_t *o, uint64_t cut);
/* Ask for it if it is not known. The first with the flush begun by the caller. */
apr_status_t cachefs__settle(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
apr_status_t cachefs__obj_sure(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);

/* What became of a change of names that answered `st`. Asks below if that does not say it. */
typedef enum cachefs__done_e { DONE_NO = 0, DONE_YES, DONE_PERHAPS } cachefs__done_e;
cachefs__done_e cachefs__was_removed(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                     apr_status_t st);
cachefs__done_e cachefs__was_renamed(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *from,
                                     const vfs_path_t *to, uint32_t flags, const obj_t *source,
                                     apr_status_t st);

/* ---- names.c: the parent of a name that changes */
apr_status_t cachefs__parent_begin(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                   obj_t **parent);
void cachefs__parent_end(cache_t *c, obj_t *parent, int changed);
/* 1: the open file has no name any more, 0: it has, -1: not known. */
int cachefs__is_removed(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
/* Nobody may lose the file when its name goes: have a lower handle. 1: cachefs__lower_done is owed.
 */
int cachefs__keep_open(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
/* What is below a directory is flushed. */
apr_status_t cachefs__flush_tree(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *dir);
/* dir.c: content of a version that is no file's: listings and link texts */
void cachefs__content_put(cache_t *c, obj_t *o, const void *bytes, uint64_t len, uint64_t asked);
char *cachefs__content_get(cache_t *c, obj_t *o, uint64_t *len);

/* ---- layer.c, handle.c, control.c, tuner.c
 * --------------------------------------------------------------------------------------------------
 */
void cachefs__log(cache_t *c, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void cachefs__tunables(cache_t *c);
int cachefs__glob_valid(const char *pattern);
/* Memory pressure, 0 to 1, by the control group (v1 or v2) and the machine's stall information
 * below `root`. */
double cachefs__pressure(const char *root);
apr_status_t cachefs__tune_start(cache_t *c);
void cachefs__tune_stop(cache_t *c);
apr_status_t cachefs__metrics_create(cache_t *c);
void cachefs__obj_drop_clean(cache_t *c, obj_t *o, uint64_t *dirty);
handle_t *cachefs__handle_new(cache_t *c, obj_t *o, uint32_t flags);
void cachefs__handle_free(cache_t *c, handle_t *h);
/* Keep the lower handle open between two calls, as an open file does. */
void cachefs__hold(cache_t *c, obj_t *o);
void cachefs__unhold(cache_t *c, obj_t *o);
/* A chunk that its block gave up while `borrowers` still read it. */
void cachefs__orphan_add(cache_t *c, uint32_t chunk, uint32_t borrowers);

/* ---- events.c */
apr_status_t cachefs__events_start(cache_t *c);
void cachefs__events_stop(cache_t *c);
void cachefs__on_event(void *baton, uint32_t events, const char *raw);

/* the ops */
#define VFS_OP_FS(name, class, params, args, doc)                                                  \
    apr_status_t cachefs_op_##name(vfs_t *fs, VFS_UNPACK params);
#define VFS_OP_FILE(name, class, params, args, doc)                                                \
    apr_status_t cachefs_op_##name(vfs_file_t *file, VFS_UNPACK params);
#define VFS_OP_DIR(name, class, params, args, doc)                                                 \
    apr_status_t cachefs_op_##name(vfs_dir_t *dir, VFS_UNPACK params);
#include "vfs/vfs_ops.def"
apr_status_t cachefs_op_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                             const vfs_path_t *path, uint32_t flags, uint32_t mode,
                             vfs_attr_t *attr, vfs_validator_t *validator);
apr_status_t cachefs_op_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                                const vfs_path_t *path, uint32_t flags);
apr_status_t cachefs_op_close(vfs_file_t *file, const vfs_ctx_t *ctx);
apr_status_t cachefs_op_closedir(vfs_dir_t *dir);
apr_status_t cachefs_op_copy_range(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                                   vfs_file_t *dst, apr_off_t dst_off, size_t len, size_t *copied);
apr_status_t cachefs_op_destroy(vfs_t *fs);

#endif
