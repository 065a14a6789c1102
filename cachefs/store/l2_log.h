/*
 * l2_log.h - the parts of the disk tier and how they hold together.
 * Floor 2, private to cachefs/store/ and its tests.
 *
 * A segment's life:
 *
 *   free -> spare -> active -> full -> sealed -> leaving -> free
 *
 * spare: its file is there and empty. active: records get their places in it. full: it gets no
 * more, but some are not written yet, or its footer is not. sealed: it is only read. leaving:
 * nobody finds it any more. A segment whose writes fail goes from active or full to leaving.
 *
 * One lock (a leaf) guards all; no call to the store is made under it. One thread, the writer,
 * makes all calls that change the store.
 */
#ifndef CACHEFS_STORE_L2_LOG_H
#define CACHEFS_STORE_L2_LOG_H

#include <pthread.h>

#include "cachefs/store/l2.h"
#include "cachefs/store/l2_admit.h"
#include "cachefs/store/l2_index.h"
#include "cachefs/store/l2_pack.h"
#include "vfs/breaker.h"

#define L2_BUFFERS 4u
#define L2_FILES_MAX 128u /* open files of segments */

typedef enum l2_state_e {
    L2_FREE = 0,
    L2_SPARE,
    L2_ACTIVE,
    L2_FULL,
    L2_SEALED,
    L2_LEAVING
} l2_state_e;

typedef struct l2_seg_t {
    l2_state_e state;
    uint32_t seq;
    uint32_t users;   /* who reads it right now */
    uint32_t records; /* rows that its footer will have */
    uint64_t used;    /* bytes that have a place */
    uint64_t written; /* of these, from the beginning on */
    uint64_t bytes;   /* of the file, for the limit */
    vfs_file_t *file; /* or NULL: not open */
} l2_seg_t;

typedef struct l2_buffer_t {
    uint8_t *mem;
    uint32_t slot;      /* L2_SLOTS_MAX: its segment is gone */
    uint64_t base, len; /* place in the segment */
} l2_buffer_t;

/* A call to the store that is under way; on the stack of who makes it. */
typedef struct l2_call_t {
    struct l2_call_t *before, *behind;
    int64_t start_us;
    int trial; /* the one that tells whether the store works again */
} l2_call_t;

/* Where a scrub is: the entry `next` of segment `seq`, which had that slot. */
typedef struct l2_scrub_t {
    uint32_t slot, seq, next;
    int64_t due_us;
} l2_scrub_t;

struct cachefs__l2_t {
    cachefs__store_t *store;
    vfs_t *fs;
    cachefs__l2_config_t config;
    uint64_t segment_bytes, buffer_bytes;
    pthread_mutex_t lock;
    pthread_cond_t work, idle; /* for the writer; for who waits for it, or for readers */
    pthread_t writer;
    int started, stop, draining, clearing;
    int forgetting; /* so many clear it just now: nothing is moved */
    cachefs__l2_index_t index;
    cachefs__l2_admit_t admit;
    l2_seg_t *segs;
    uint32_t slots, files, full; /* full: segments that wait for their footer */
    uint32_t next_seq;
    int active, spare; /* slots, or -1 */
    l2_buffer_t buffers[L2_BUFFERS];
    unsigned first, filling, queued; /* of the ring: the oldest one; is one being filled; queued */
    int64_t filled_us;               /* when the one being filled got its first record */
    int evicted;                     /* something had to make room */
    int no_space;                    /* the disk is full: no new segment until it is not */
    int64_t space_us;                /* when to look again */
    l2_scrub_t scrub;
    l2_call_t *oldest, *newest; /* calls that are under way */
    int suspected;              /* one of them holds somebody for too long */
    vfs__breaker_t breaker;
    cachefs__l2_packer_t *packers; /* that nobody uses just now */
    unsigned idle_packers;
    cachefs__l2_stats_t stats;
};

/* ---- l2_log.c: places for records. Locked. */
/* No record comes any more to the buffer that is being filled. */
void cachefs__l2_queue(cachefs__l2_t *l2);
/* Would there be a place, as far as can be said without its size? */
int cachefs__l2_may_place(const cachefs__l2_t *l2);
/* A place for a record that takes so much: its bytes are to be written behind its head, at once.
 * NULL: none just now. */
uint8_t *cachefs__l2_place(cachefs__l2_t *l2, uint32_t space, uint32_t *slot, uint32_t *off);
/* They are there, and *r says what they are, but for its segment: its head is written, and whoever
 * looks for it finds it. */
void cachefs__l2_placed(cachefs__l2_t *l2, uint8_t *at, uint32_t slot, uint32_t off,
                        cachefs__l2_record_t *r);
/* The i-th buffer of the queue; the one being filled is behind it. */
static inline l2_buffer_t *cachefs__l2_buffer(cachefs__l2_t *l2, unsigned i)
{
    return &l2->buffers[(l2->first + i) % L2_BUFFERS];
}
/* Bytes of a segment that are not written yet, or NULL. */
const uint8_t *cachefs__l2_unwritten(cachefs__l2_t *l2, uint32_t slot, uint32_t off);
/* The file of a segment, which stays open until cachefs__l2_left. Unlocks meanwhile. */
apr_status_t cachefs__l2_enter(cachefs__l2_t *l2, uint32_t slot, vfs_file_t **file);
void cachefs__l2_left(cachefs__l2_t *l2, uint32_t slot);

/* ---- l2_calls.c: what becomes of calls to the store. Locked. */
void cachefs__l2_began(cachefs__l2_t *l2, l2_call_t *call);
/* It ended. Unlocks meanwhile. */
void cachefs__l2_ended(cachefs__l2_t *l2, l2_call_t *call, apr_status_t st);
/* Is one under way that should have ended? */
int cachefs__l2_hangs(const cachefs__l2_t *l2, int64_t now_us);
/* Is the store put aside? It is from now on if a call hangs. Unlocks meanwhile. */
int cachefs__l2_aside(cachefs__l2_t *l2);

/* ---- l2_write.c: the writer */
void *cachefs__l2_writer(void *l2);
void cachefs__l2_name(char *buf, size_t size, uint32_t seq);

/* ---- l2_scrub.c */
/* Look at one record, if it is time to. Returns 1 if it was. Locked; unlocks meanwhile. */
int cachefs__l2_scrub(cachefs__l2_t *l2, int64_t now_us);

/* ---- l2_open.c: what a store has */
/* The number in a name such as seg-0000002a; 0: it is no segment of ours. */
uint32_t cachefs__l2_seq(const char *name);
/* The numbers of all segments, newest first; the caller's to free(), also after an error. */
apr_status_t cachefs__l2_list(vfs_t *fs, uint32_t **seq, size_t *count);
apr_status_t cachefs__l2_rebuild(cachefs__l2_t *l2);

/* ---- l2_put.c */
/* For who packs or unpacks: one that is idle, or a new one, or NULL: no memory. Locked. */
cachefs__l2_packer_t *cachefs__l2_packer_take(cachefs__l2_t *l2);
void cachefs__l2_packer_give(cachefs__l2_t *l2, cachefs__l2_packer_t *p);

/* ---- l2.c */
/* Read and check a record: `bytes` is as they lie there, L2_CELL at most. Locked; unlocks
 * meanwhile. 1: here it is; 0: it could not be read just now; -1: it is not what it should be, or
 * lies where nothing can be read. */
int cachefs__l2_load(cachefs__l2_t *l2, uint32_t slot, const cachefs__l2_row_t *row, uint8_t *head,
                     uint8_t *bytes, const vfs_ctx_t *ctx, cachefs__l2_record_t *r);
/* Entry i no longer is the record that was looked up, since the lock was given up. Locked. */
int cachefs__l2_moved(const cachefs__l2_t *l2, uint32_t i, uint32_t slot,
                      const cachefs__l2_row_t *row);

int64_t cachefs__l2_now_us(void);
void cachefs__l2_say(const cachefs__l2_t *l2, int level, const char *what);

#endif
