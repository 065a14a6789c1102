/*
 * engine.h - the parts of the cache layer and how they hold together.
 * Floor 2, private to cachefs/ and its tests. Knows vfs and metrics; never a backend.
 *
 * Names and bytes are apart. A node says what a path leads to: an object, or nothing (negative). An
 * object is a file of the lower layer, whatever its names: attributes, validator, the version that
 * its cached bytes belong to, dirty state. A block is an aligned range of one version. Nodes and
 * blocks live in shards; objects in a table by identity.
 *
 *     path --hash--> shard.nodes --> node --> object --version-->
 *         mix(version, number) --> shard.blocks --> block --> arena
 *
 * Locks have ranks (rank.h). A thread takes them in rising order only, and holds none across a call
 * into the lower layer or into a callback:
 *
 * 1. object stripe: attributes, gate, dirty list, lower handles of the objects of the stripe
 * 2. shard: nodes, blocks, policy
 * 3. tree of names
 * 4. identity table
 * 5. arena and pools
 * 6. leaves: handle list, dirty queue, configuration text, borrowed chunks
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
#include "cachefs/listed.h"
#include "cachefs/policy.h"
#include "cachefs/rank.h"
#include "cachefs/store/l2.h"
#include "cachefs/store/replay.h"
#include "vfs/vfs_ops.h"

#define CACHE_MAGIC 0xcac4ef51u
#define HANDLE_MAGIC 0xcac4e4a1u
#define BLOCK_SHIFT_MAX 18u     /* log2 of the largest block */
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
typedef struct cachefs__recovery_t cachefs__recovery_t;

/* ---- blocks
 *
 *   free -> clean -> free                  fill or write-through; eviction, invalidation
 *            |  ^
 *            v  |  (flushed, and not written since)
 *           dirty                          a write in write-back; the evictor cannot see it
 *
 * `state` holds the block's sequence, how many borrow its memory, and whether it was touched. The
 * sequence is even while the block is stable, and changes by 2 with every change of key, memory or
 * bytes; a reader without a lock believes what it copied only if the sequence was even before and
 * the same after. All other fields change under the shard's lock while the sequence is odd. Readers
 * write `state` alone, and only while the sequence is the even one that they saw: so who borrows
 * has the bytes that were looked at, and who makes the sequence odd knows of all who borrow.
 */
typedef struct block_t {
    _Atomic uint64_t state;
    _Atomic uint64_t ver;  /* version: generation in the upper half, object in the lower; 0: free */
    _Atomic uint32_t no;   /* number within its version */
    _Atomic uint32_t next; /* in the chain of its bucket */
    _Atomic uint32_t data; /* arena chunk */
    _Atomic uint32_t bits; /* BLOCK_* and the valid granules */
} block_t;

#define STATE_SEQ_SHIFT 32
#define STATE_ODD (1ull << STATE_SEQ_SHIFT)
#define STATE_BORROWERS (STATE_ODD - STATE_BORROW)
#define STATE_BORROW (1ull << 8) /* one borrower */
#define STATE_TOUCHED 1ull       /* has the lowest byte for itself: cachefs__block_mark */
#define BORROWERS_MAX (1u << 23) /* of a block: beyond that they get copies */

#define BLOCK_VALID_MASK 0xffffu /* one bit a granule */
#define BLOCK_CLASS_SHIFT 16     /* 4 bits: arena class of data */
#define BLOCK_DIRTY (1u << 20)   /* on its object's dirty list */
#define BLOCK_LISTED (1u << 21)  /* the policy holds it */
#define BLOCK_KEEP (1u << 22)    /* protected, and counted: clean, it is not with the policy */
#define BLOCK_AHEAD (1u << 23)   /* brought by read-ahead, not read yet */
#define BLOCK_FIRST (1u << 24)   /* its first use is to come, or goes on: it is no reuse */
#define BLOCK_WHOLE_SHIFT                                                                          \
    25                      /* 7 bits: pages from its beginning on that are valid and in memory    \
                             */
#define BLOCK_PAGE_SHIFT 12 /* these pages: 4 KiB */

/* A time of a question: none was asked since it was last doubted. */
#define CHECKED_NEVER (INT64_MIN / 2)

/* ---- nodes
 *
 * Guarded by the shard's lock, and read without it (peek.c): seq is odd while path, object, flags
 * and epoch change; `next` and the heads of chains are stored with release. `mark` alone is written
 * by readers. A node is for the path itself (lstat), or, with NODE_FOLLOW, for what a path that
 * ends in a symbolic link leads to. */
typedef struct node_t {
    _Atomic uint32_t seq;
    uint32_t next;         /* chain */
    _Atomic uint32_t mark; /* used since it was last looked at for eviction */
    uint32_t lru_prev, lru_next;
    uint32_t hash;
    uint32_t path; /* arena chunk */
    uint16_t path_len;
    uint16_t flags;
    uint32_t object; /* NONE: negative */
    uint32_t
        epoch; /* meta_epoch, and for a path through links ns_epoch, at the time of checked_us */
    int64_t checked_us;
    uint32_t branch, kin_prev, kin_next; /* in the tree of names; its lock, but `branch` */
} node_t;

#define NODE_USED 0x1u
#define NODE_NEGATIVE 0x2u
#define NODE_FOLLOW 0x4u
#define NODE_DIRECT 0x8u /* no symbolic link on the way */

/* The path of a directory below which names are cached (branch.c). Guarded by the tree's lock. */
typedef struct branch_t {
    uint32_t hash, len; /* of the path */
    uint32_t next;      /* chain */
    uint32_t up, sib_prev, sib_next;
    uint32_t first_child, first_node;
} branch_t;

/* Where a walk over the names below a path stands. */
typedef struct cachefs__walk_t {
    struct cachefs__walk_t *next;
    uint32_t top;    /* branch of the path */
    uint32_t branch; /* where it is; NONE: at the end */
    uint32_t node;   /* the next one of that branch */
} cachefs__walk_t;

/* ---- objects */

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
    int64_t patience_us;  /* how long others wait for it; 0: as long as it takes */
    int64_t until_us;     /* when that is over; 0: never */
    int lost;             /* it was, and somebody took the gate away */
} gate_t;

/* Guarded by the object's stripe, unless it says otherwise. */
typedef struct obj_t {
    _Atomic uint32_t seq;      /* odd while version, shift or a shrinking size change */
    _Atomic uint32_t refs;     /* nodes, handles, calls, dirty list */
    _Atomic uint32_t attr_seq; /* odd while somebody holds the lock to change it */
    _Atomic uint32_t shift;    /* log2 of the block size */
    _Atomic uint64_t ver;      /* current version; 0: none yet */
    _Atomic uint64_t size;     /* of the file as the stack sees it */
    _Atomic uint64_t resident; /* bytes of arena in blocks of this slot */
    uint32_t gen;              /* last generation of this slot; survives reuse */
    uint32_t flags;            /* OBJ_* */
    uint64_t dev, ino;         /* identity; it moves with the path (OBJ_BY_PATH); identity lock */
    int64_t born_ns;           /* with them: 0 where the backend does not tell */
    uint32_t id_next;          /* identity chain (identity lock) */
    uint32_t changing;         /* changes of ours under way */
    vfs_attr_t attr;           /* as of checked_us, and as changed by us since */
    vfs_validator_t validator;
    _Atomic uint32_t changes; /* versions that others made */
    int64_t checked_us;
    uint64_t changed_seq; /* mut_seq of our last change */
    uint32_t name;        /* path chunk of one of its names, or NONE */
    uint32_t name_len;
    uint32_t name_more; /* bytes of names behind it: it may have any of them (doubt_name.c) */
    /* listing of a directory: content of the version, list_bytes long */
    uint64_t list_bytes;
    int64_t list_checked_us;
    /* open */
    uint32_t handles, writers; /* handles: `holds` of them are cachefs__hold's */
    uint32_t holds;
    uint32_t opening; /* a thread opens a lower handle */
    uint32_t io;      /* calls using lower_file */
    uint32_t lower_flags;
    struct cachefs__creds_t *opener; /* opener.c */
    vfs_file_t *lower_file;          /* can be read; lower_flags: written too? */
    vfs_file_t *lower_writer;        /* beside it: can only be written */
    vfs_file_t *lower_old;           /* a better one took its place; closed when nobody uses any */
    struct cachefs__lockers_t *spares; /* lower handles for who locks it without a name; lock.c */
    gate_t *gates;
    /* write-back */
    uint32_t dirty_first, dirty_last; /* by the policy nodes of the blocks */
    uint64_t dirty_bytes;
    uint32_t dirty_blocks;
    uint32_t flushing;
    _Atomic int64_t dirty_since_us;
    _Atomic uint32_t err_seq; /* counts failed flushes */
    apr_status_t err;
    int64_t retry_at_us, retry_wait_us;
    uint32_t queue_prev, queue_next; /* dirty queue (its own lock) */
    int64_t local_mtime_ns;          /* last write that is not below; 0 where nothing is dirty */
    uint64_t doubt_cut; /* one more than the size that a truncation in doubt asked for; 0: none */
    _Atomic uint32_t pins; /* cachefs_pin */
    /* durable*.c */
    uint64_t j_id, j_last;   /* its id in the journal, 0: none; LSN of its last record */
    uint32_t j_flags, j_seq; /* what it owes; counts what has to become durable */
    uint32_t j_prev, j_next; /* list of those that owe something */
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
#define OBJ_STAGED 0x8000u   /* what we wrote below may be staged there (VFS_CAP_STAGED) */
#define OBJ_YOUNG 0x200u     /* the validator was young when the bytes were read */
#define OBJ_NAMED 0x1000u    /* `name` is its name: whoever changes it knows that we have it */
#define OBJ_BY_PATH 0x2000u  /* the backend has no number for it: its path is its identity */
#define OBJ_BY_LINK 0x4000u  /* `name` may lead to it by a symbolic link, which may change alone */
#define OBJ_NO_CAPS 0x10000u /* it has no extended attribute of some name: xattr.c */
#define OBJ_NO_LABEL 0x20000u
#define OBJ_NO_ACL 0x40000u
#define OBJ_NO_DEFAULT_ACL 0x80000u
#define OBJ_NO_XATTRS (OBJ_NO_CAPS | OBJ_NO_LABEL | OBJ_NO_ACL | OBJ_NO_DEFAULT_ACL)
#define OBJ_COMMITTING 0x100000u  /* somebody flushes it there */
#define OBJ_STAGED_KEPT 0x200000u /* that failed: referenced until it is done, or has no name */
#define OBJ_BESIDE 0x400000u      /* what is dirty is based on ours, which others replaced */

/* Somebody who has an object open. */
typedef struct cachefs__holder_t {
    struct cachefs__holder_t *prev, *next; /* of the stripe */
    obj_t *obj;
} cachefs__holder_t;

/* For one object taken by cachefs__obj_lock alone, which moves its attr_seq. */
typedef struct cachefs__ostripe_t {
    pthread_mutex_t mutex;
    pthread_cond_t cond;        /* gates, lower_file, flushing */
    cachefs__holder_t *holders; /* of the stripe's objects */
} cachefs__ostripe_t;

/* ---- shards */

typedef struct shard_t {
    pthread_mutex_t lock;
    uint32_t node_mask;
    uint32_t *node_heads;
    uint32_t lru_first, lru_last; /* of nodes: the next to leave is the last, unless marked */
    void *policy;
    uint64_t names;
    _Atomic uint64_t bytes; /* of its blocks; changed under the lock */
} __attribute__((aligned(64))) shard_t;

/* What a shard of the configuration holds: where the memory is small, several share the lock and
 * the policy of one above. Changed under that lock. */
typedef struct cachefs__part_t {
    uint64_t names, blocks;
} cachefs__part_t;

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
    _Atomic(cachefs_ref_t *) spare; /* a reference to borrowed blocks that the thread gave back */
    _Atomic uint64_t spare_bytes;   /* of pin_bytes_max that it took */
} __attribute__((aligned(512))) ring_t;
_Static_assert(sizeof(ring_t) == METRICS__ROW_BYTES, "a thread's ring is as far as its row");

/* Closed handles, for the next opens of the threads of a stripe (handle_pool.c). */
#define SPARE_STRIPES 16u
#define SPARES 6u
typedef struct cachefs__spares_t {
    struct handle_t *_Atomic slot[SPARES];
} __attribute__((aligned(64))) cachefs__spares_t;

/* What can be changed on line, read without a lock. */
typedef struct tunables_t {
    _Atomic uint64_t attr_ttl_us, negative_ttl_us, listing_ttl_us;
    _Atomic uint64_t readahead_bytes, readahead_bytes_max;
    _Atomic uint64_t pin_bytes_max, dirty_bytes_max, flush_interval_us, dirty_age_us;
    _Atomic uint64_t retry_min_us, retry_max_us, write_wait_us;
    _Atomic uint32_t get_bytes;
    _Atomic int serve_stale, flush_on_close, conflict, heat, metrics;
} tunables_t;

/* A listener of cachefs_on_heat. Once published it does not change. */
typedef struct cachefs__heat_t {
    struct cachefs__heat_t *older;
    cachefs_heat_fn fn;
    void *baton;
} cachefs__heat_t;

/* Its members are grouped by what they are for.
 * NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct cache_t {
    /* what a hit reads: made once, on a line of its own that nobody writes */
    uint32_t magic;
    uint32_t heads_shift;    /* see cachefs__head */
    _Atomic uint32_t *heads; /* of the chains of blocks; changed under their shard's lock */
    block_t *blocks;
    uint8_t *memory; /* of the arena */
    counters_t counters;
    _Atomic uint64_t plain_mask; /* a hit is out of line where this has no bit of its number */
    vfs_t *fs, *lower;
    cachefs_mode_e mode;
    int lower_is_far; /* a round trip costs: no call that could be spared */

    cachefs_config_t config; /* config_lock */
    cachefs_config_t fixed;  /* as it was made: for keys that never change */
    apr_pool_t *config_pool;
    pthread_mutex_t config_lock;
    tunables_t t;
    cachefs__ttl_rules_t *rules;
    const cachefs_policy_ops_t *policy;
    _Atomic int no_fetch;     /* the lower layer has no `fetch` */
    _Atomic int lists_attrs;  /* its listings bring attributes */
    _Atomic uint32_t own_uid; /* of this process, when it last asked below */

    arena_t arena;
    cachefs_policy_node_t *links; /* one for each block */
    void *extras;                 /* what the policy notes of it besides; NULL: nothing */
    node_t *nodes;
    obj_t *objs;
    branch_t *branches;
    cachefs__pool_t block_pool, node_pool, branch_pool, obj_pool;
    uint64_t entries_max, metadata_max;
    uint64_t burst_bytes; /* that come in before any of them is used, at most; see policy.h */
    _Atomic uint64_t block_count, name_count, obj_count, resident_bytes, pinned_bytes;

    shard_t *shards;
    uint32_t shard_count, shard_bits;
    cachefs__part_t *parts;
    uint32_t part_count, part_bits;
    size_t heads_bytes;
    cachefs__ostripe_t ostripes[OSTRIPES];
    struct {
        pthread_mutex_t lock;
        uint32_t *heads;
        uint32_t mask;
        uint64_t ended[NAME_SLOTS]; /* the last change of an object that ended, by identity */
    } ids;
    struct {
        pthread_mutex_t lock;
        uint32_t *heads; /* of branches, by path */
        uint32_t mask;
        cachefs__walk_t *walks; /* under way */
    } tree;

    _Atomic uint64_t mut_seq; /* counts our changes of names and attributes */
    _Atomic uint64_t
        name_mut[NAME_SLOTS];  /* mut_seq of the last change; NAME_CLAIMED, NAME_BELOW */
    _Atomic uint64_t tree_mut; /* last change that touches any path: a directory moved */
    _Atomic uint64_t ns_mut;   /* last change of any name: it may be where a link leads */
    pthread_mutex_t mut_lock;  /* a leaf */
    pthread_cond_t mut_cond;
    _Atomic unsigned tree_ops;        /* directories on the move: 0 or 1; changed under mut_lock */
    unsigned tree_waits, names_below; /* who wants to move one; other names that change below */
    _Atomic uint32_t meta_epoch, ns_epoch;
    _Atomic int links_seen; /* a file of several names was met */

    cachefs__listed_dirs_t listed;

    ring_t *rings;
    metrics_registry_t *metrics;
    metrics_histogram_t *lat[LAT_COUNT];

    /* write-back */
    pthread_mutex_t wb_lock; /* a leaf */
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
    _Atomic uint32_t room_held, room_waiters; /* work that holds memory; who waits for its end */
    uint32_t stage_chunk;                     /* the last resort; wb_lock */
    int stage_busy;
    uint8_t *far_stage; /* NULL: none. For one flush at a time that has many bytes; wb_lock */
    size_t far_stage_bytes;
    int far_stage_busy;
    _Atomic uint64_t retrying; /* objects whose last flush failed */
    _Atomic uint64_t kept;     /* objects with OBJ_STAGED_KEPT */
    _Atomic int retry_error;   /* why the one did that failed last */

    cachefs__store_t *store; /* NULL: none */
    cachefs__l2_t *l2;       /* NULL: no disk tier */
    uint8_t origin_id[CACHEFS__STORE_ID_BYTES];

    cachefs__journal_t *journal; /* NULL: none. Set before the first call */
    _Atomic int journal_state;   /* durable_private.h */
    pthread_mutex_t j_lock;      /* a leaf: what follows */
    pthread_cond_t j_cond;
    uint32_t j_first;
    _Atomic size_t j_count; /* changed under it */
    int j_thinning;
    int64_t j_thin_at_us;
    uint64_t *j_moves; /* of names, to be retired */
    size_t j_move_count;
    int j_kick, j_stop;
    unsigned j_naming; /* calls that change names */
    int keep;          /* it ends with dirty data that the journal has */
    int journal_empty; /* it ended with nothing that the next start would read */
    int64_t j_again_us, j_again_wait_us, j_good_us; /* of a void one: durable_void.c */
    int j_voiding, j_told; /* somebody makes it void, and alone has the second */
    pthread_t j_thread;
    cachefs__replayed_t replayed; /* what the recovery did, and how long it took */
    uint64_t replay_us;
    uint64_t journal_lost;  /* acknowledged records that the start could not read */
    _Atomic int recovering; /* it goes on: durable_recover.c */
    cachefs__recovery_t *recovery;

    vfs_workers_t *workers;
    _Atomic uint64_t ahead_bytes; /* of read-ahead under way */
    struct cachefs__ahead_t *ahead;

    pthread_mutex_t handle_lock; /* a leaf */
    struct handle_t *handle_free;
    _Atomic uint64_t handle_count; /* credits: open files, open directories, spares */
    cachefs__spares_t spares[SPARE_STRIPES];

    pthread_mutex_t flight_lock; /* a leaf: look-ups under way */
    pthread_cond_t flight_cond;
    struct cachefs__flight_t *flights;

    _Atomic(const cachefs__heat_t *) heat; /* who hears of reads now; NULL: nobody */
    cachefs__heat_t *heats; /* all that ever did: a reader may still call them; config_lock */
    uint64_t watch;
    int watching;
    pthread_mutex_t watch_lock; /* a leaf */
    cachefs__watch_t *watches;  /* of our callers */
    pthread_t tune_thread;
    int tune_started;
    _Atomic int tune_stop;
    pthread_mutex_t tune_lock;
    pthread_cond_t tune_cond;
    const char *tune_root; /* "" but in tests */
};

/* A window of who may go on from where he is, and is not read ahead of yet. */
#define HANDLE_WATCHED 1u

/* An open file of ours. */
typedef struct handle_t {
    vfs_file_t base;
    uint32_t magic;
    cache_t *cache;
    obj_t *obj;
    const obj_t
        *hits; /* obj; of a handle that reads around the cache entry 0, which has no bytes */
    cachefs__holder_t holder;
    _Atomic uint32_t err_seen; /* obj->err_seq that this handle was told */
    vfs_file_t *lock_lower;    /* own handle below, for advisory locks; stripe */
    struct handle_t *free_next;
    /* read-ahead; a guess, so races do no harm */
    _Atomic uint64_t next_off, window, ahead_end; /* window: or HANDLE_WATCHED */
    _Atomic int heat_last;
} handle_t;

#include "cachefs/basics.h"
#include "cachefs/index.h"
#include "cachefs/paths.h"
#include "cachefs/tier.h"
#include "cachefs/durable.h"

#endif
