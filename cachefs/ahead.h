/*
 * ahead.h - what is read before anybody asked for it, over a lower layer that is far: what its link
 * can carry, and what is known of files that are read here and there. Floor 2, private to cachefs/
 * and its tests.
 */
#ifndef CACHEFS_AHEAD_H
#define CACHEFS_AHEAD_H

/* Of the way to the lower layer, as its reads show it. Guesses, so races do no harm. */
typedef struct cachefs__link_t {
    _Atomic uint64_t trip_us; /* of a read of few bytes; 0: none came yet */
    _Atomic uint64_t bytes_per_s;
    _Atomic int away; /* the last read found nobody: nothing is read ahead */
} cachefs__link_t;

#define REGION_FILES 64u
#define REGION_RECENT 8u

/* A version of a file that is read here and there. Guarded by region_lock. */
typedef struct cachefs__scattered_t {
    uint64_t ver;                   /* 0: none */
    uint32_t misses;                /* so far */
    uint32_t wait;                  /* as many go by before a region is brought */
    uint32_t pause;                 /* and as many more after it was given up */
    uint64_t bytes;                 /* of the last region; 0: none yet */
    uint64_t most;                  /* of the next, since it was seen that they do not pay */
    uint64_t unproven;              /* bytes brought since it was seen that they pay */
    uint64_t recent[REGION_RECENT]; /* regions: see region_note */
    unsigned next;
} cachefs__scattered_t;

struct cachefs__ahead_t {
    cachefs__link_t link;
    pthread_mutex_t region_lock; /* a leaf */
    cachefs__scattered_t files[REGION_FILES];
};

/* Do its round trips cost enough to read ahead? */
static inline int cachefs__far(const cache_t *c)
{
    return c->lower_is_far || c->lower->caps.round_trip_us;
}

/* ---- link.c */
apr_status_t cachefs__ahead_create(cache_t *c);
void cachefs__ahead_destroy(cache_t *c);
/* A read brought `got` bytes within `us`, or failed. */
void cachefs__link_told(cache_t *c, apr_status_t st, uint64_t us, uint64_t got);
/* Bytes that come in the time of a round trip. */
uint64_t cachefs__link_free_bytes(const cache_t *c);
/* What one read shall bring of much that is wanted: more costs fewer round trips, but nobody sees
 * any of it before all is there. Between `least` and `most`. */
uint64_t cachefs__link_piece(const cache_t *c, uint64_t least, uint64_t most);
/* Did the last read find nobody there? */
int cachefs__link_away(const cache_t *c);

/* ---- ahead.c */
#define AHEAD_FIRST (128u << 10)
/* Before and after a read that is no hit: how far ahead it is worth reading, as *window, and
 * FILL_* flags. */
uint64_t cachefs__ahead_window(cache_t *c, handle_t *h, uint64_t off, size_t len, unsigned *flags);
void cachefs__ahead_went(handle_t *h, uint64_t next, uint64_t off, size_t len, size_t got);
void cachefs__ahead_start(cache_t *c, handle_t *h, uint64_t from, uint64_t window);
/* Does [off, ...) follow what ended at `next`? */
int cachefs__ahead_goes_on(uint64_t next, uint64_t off, size_t len);
/* Have a worker read [from, end) of a version ahead. 0: there is none to be had, or too much is
 * read ahead already. */
int cachefs__ahead_piece(cache_t *c, obj_t *o, uint64_t ver, uint64_t from, uint64_t end);
/* Of one reader, and of all. */
uint64_t cachefs__ahead_most(const cache_t *c);

/* ---- ahead_region.c */
/* A read here and there, before its miss: what that shall bring besides; workers may have begun to
 * bring more. Returns FILL_REGION, or 0: nothing. */
unsigned cachefs__region(cache_t *c, obj_t *o, uint64_t off, uint64_t len, cachefs__reach_t *reach);

#endif
