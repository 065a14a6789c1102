/*
 * l2.h - the disk tier: clean bytes of files in a store, found again after a restart.
 * Floor 2, private to cachefs/ and its tests. Knows keys and bytes; neither names nor blocks.
 *
 * Bytes are known by the version that they are of (cachefs__l2_key), so nothing ever has to be
 * invalidated: another version is another key, and what nobody asks for any more leaves in its
 * time. Nothing here is owed to anybody: what cannot be kept is dropped, what cannot be read is a
 * miss.
 */
#ifndef CACHEFS_STORE_L2_H
#define CACHEFS_STORE_L2_H

#include "cachefs/store/l2_format.h"

/* Who may enter. */
typedef enum cachefs__l2_admit_e {
    L2_ADMIT_ALWAYS = 0, /* everybody */
    L2_ADMIT_SAMPLED,    /* so many of a hundred, by chance */
    L2_ADMIT_SECOND,     /* whose cell was offered before, not long ago */
    L2_ADMIT_SKETCH      /* the same once it is full; a frequency sketch remembers */
} cachefs__l2_admit_e;

typedef struct cachefs__l2_config_t {
    uint64_t bytes;         /* of the segments; at least 4 MiB */
    uint64_t free_min;      /* bytes of the store's file system that stay free; 0: a twentieth */
    uint64_t segment_bytes; /* 0: a 64th of `bytes`, between 1 and 64 MiB */
    cachefs__l2_admit_e admit;
    uint32_t admit_percent;     /* of L2_ADMIT_SAMPLED */
    uint64_t scrub_bytes_per_s; /* read so many to look for damage; 0: none */
    uint64_t slow_us;           /* a call that takes longer has failed; 0: 2 s */
    uint32_t pack_level;        /* of zstd, from 1 to 19; 0: nothing is packed */
    cachefs_log_fn log;         /* or NULL */
    void *log_baton;
} cachefs__l2_config_t;

typedef struct cachefs__l2_stats_t {
    uint64_t hits, misses, hit_bytes; /* of reads, by piece of a cell */
    uint64_t puts, put_bytes;         /* taken in */
    uint64_t saved_bytes;             /* that these took less, since they were packed */
    uint64_t refused;                 /* by admission */
    uint64_t dropped;                 /* no room to take it in just then */
    uint64_t bad;                     /* records that were not what they should be */
    uint64_t errors;                  /* calls to the store that failed, or were slow */
    uint64_t written_bytes; /* to the store, all told: over put_bytes, the amplification */
    uint64_t moved_bytes;   /* of these, kept when their segment left */
    uint64_t evicted_bytes;
    uint64_t segments, bytes;      /* now */
    uint64_t records, index_bytes; /* now */
    uint64_t found;                /* records, at open */
    uint64_t discarded;            /* segments that were no use, at open */
    uint64_t breaker_opened;
    uint64_t open;           /* the breaker: put aside, 1 or 0 */
    uint64_t culling;        /* the disk is short of space: 1 or 0 */
    uint64_t scrubbed_bytes; /* read by a scrub, and sound */
    uint64_t scrub_bad;      /* records that a scrub found damaged; of `bad` */
    uint64_t scrubs;         /* passes over all segments */
    int64_t open_us;         /* how long opening took */
} cachefs__l2_stats_t;

typedef struct cachefs__l2_t cachefs__l2_t;

/* Open what a store has, or begin anew. Its damage is no error, only its refusal: what the file
 * system says. `store` and its file system must outlive it. */
apr_status_t cachefs__l2_open(cachefs__l2_t **out, cachefs__store_t *store,
                              const cachefs__l2_config_t *config);
/* Write out what was taken in. May be NULL. */
void cachefs__l2_close(cachefs__l2_t *l2);
/* Wait until what was taken in before is written, or cannot be. */
void cachefs__l2_drain(cachefs__l2_t *l2);

/* Has it byte `off` of a version? If so *stop is where what it has from there on ends, else where
 * the next that it has begins; `end` at most. Nothing is read for it. No lock held. */
int cachefs__l2_extent(cachefs__l2_t *l2, const cachefs__l2_key_t *key, uint64_t off, uint64_t end,
                       uint64_t *stop);
/* Read from `off` on, all of the pieces. Anything but success: it cannot be had from here. No lock
 * held. */
apr_status_t cachefs__l2_read(cachefs__l2_t *l2, const cachefs__l2_key_t *key, const vfs_ctx_t *ctx,
                              uint64_t off, const vfs_iovec_t *iov, size_t count);
/* How often the piece with that byte was read, as far as it counts (3), since it was written. */
unsigned cachefs__l2_uses(cachefs__l2_t *l2, const cachefs__l2_key_t *key, uint64_t off);
/* Who reads longer than that hangs, */
int64_t cachefs__l2_patience_us(const cachefs__l2_t *l2);
/* and somebody says so: whoever wants something of it next puts the store aside. Any lock may be
 * held below RANK_LEAF. */
void cachefs__l2_suspect(cachefs__l2_t *l2);
/* Take bytes in, if there is room and it is worth it: they are copied. `off` lies on a granule of 4
 * KiB, and so does the end, unless it is that of the file. What it has already it does not take.
 * Any lock may be held below RANK_LEAF. */
void cachefs__l2_put(cachefs__l2_t *l2, const cachefs__l2_key_t *key, uint64_t off,
                     const vfs_iovec_t *iov, size_t count, uint64_t len);
/* More cells than this are not looked for one by one: then all goes. */
#define L2_FORGET_MAX (1u << 18)

/* Nobody finds bytes of that version any more, of a file of so many bytes; all of it. They are gone
 * from memory only: after a restart what a segment has counts again. Any lock may be held below
 * RANK_LEAF. */
void cachefs__l2_forget(cachefs__l2_t *l2, const cachefs__l2_key_t *key, uint64_t size);
/* All goes, from the disk too as soon as the writer comes to it. */
void cachefs__l2_clear(cachefs__l2_t *l2);
/* A hint is a key alone: that something was here. */
void cachefs__l2_hint(cachefs__l2_t *l2, const cachefs__l2_key_t *key);
int cachefs__l2_hinted(cachefs__l2_t *l2, const cachefs__l2_key_t *key);

void cachefs__l2_stats(cachefs__l2_t *l2, cachefs__l2_stats_t *out);
/* Count from zero again; what is now stays. */
void cachefs__l2_stats_reset(cachefs__l2_t *l2);

#endif
