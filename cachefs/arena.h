/*
 * arena.h - the memory of an instance: one region, cut into slabs, cut into chunks of size classes.
 * Floor 2, private to cachefs/. Knows nothing of blocks, names or files.
 *
 * The region is as large as the RAM limit and never grows: what is not in it does not exist. A slab
 * serves one class at a time and goes back when its last chunk does. A slab can also be lent as a
 * credit: it stays untouched, and a table outside of the region may use as many bytes (entries of
 * tables keep their type for the life of the instance, so that readers without a lock never see
 * other things in their place; chunks change their type).
 *
 * A chunk is named by its offset in units of 64 bytes; 0 is none. Each chunk has an owner word, so
 * that whoever wants a whole slab back can ask the owners to leave.
 */
#ifndef CACHEFS_ARENA_H
#define CACHEFS_ARENA_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <apr_errno.h>

#define ARENA_UNIT 64u
#define ARENA_BYTES_MAX ((uint64_t)ARENA_UNIT << 32) /* a chunk's name has 32 bits */
#define ARENA_CLASSES 9u /* 64, 128, 256, 512 bytes; 1, 4, 16, 64, 256 KiB */
#define ARENA_TAIL                                                                                 \
    (256u << 10) /* mapped behind the region, and never written: who reads without a               \
                    lock may take a chunk for a larger one */

/* owner words: 2 bits of kind, 30 bits of index */
#define OWNER_FREE 0u
#define OWNER_BLOCK (1u << 30)
#define OWNER_NODE (2u << 30)
#define OWNER_PRIVATE (3u << 30) /* cannot be asked to leave */
/* An orphan: its block is gone, or will be in a moment; who borrowed it holds it. The rest of the
 * word is how many do. That is less than ORPHAN_ZERO while some gave it back before the block told
 * how many there are. */
#define OWNER_ORPHAN (OWNER_PRIVATE | 1u << 29)
#define ORPHAN_ZERO (1u << 28)
#define OWNER_KIND(owner) ((owner) & (3u << 30))
#define OWNER_INDEX(owner) ((owner) & ((1u << 30) - 1))

typedef struct slab_t {
    uint32_t prev, next; /* on a list of slabs: numbers + 1; 0: none */
    uint16_t used, capacity;
    uint16_t free;            /* first free chunk + 1 */
    uint8_t cls;              /* ARENA_CLASSES: none */
    uint8_t state;            /* SLAB_* */
    uint8_t stuck;            /* not all of it could leave, and nobody left since */
    _Atomic uint32_t *owners; /* one a chunk; for a free chunk the next free one + 1 */
    _Atomic uint32_t own[64]; /* owners of classes with at most 64 chunks in a slab */
} slab_t;

typedef struct arena_t {
    uint8_t *base;
    void *map; /* what was mapped, and is as much larger as it takes to begin on a huge page */
    size_t map_bytes;
    size_t bytes, slab_bytes;
    uint32_t slab_count, slab_shift;
    unsigned class_max; /* largest class that fits into a slab */
    pthread_mutex_t lock;
    slab_t *slabs;                 /* in the region's first slabs */
    uint32_t free_list, free_last; /* free slabs, those never used in rising order */
    uint32_t free_slabs;
    uint32_t partial[ARENA_CLASSES];
    uint32_t spare[ARENA_CLASSES]; /* free chunks of the slabs on these lists */
    uint32_t lent;                 /* slabs lent as credits */
    size_t huge_end;               /* huge pages serve the region up to here */
    size_t huge_stop;              /* and no further: from here on slabs were lent */
    uint32_t fixed;                /* slabs of the arena's own tables */
    _Atomic uint64_t used_bytes;   /* slabs in use, lent or fixed */
} arena_t;

/* APR_ENOMEM: no memory, or more than 256 GiB. */
apr_status_t cachefs__arena_create(arena_t *a, uint64_t bytes);
void cachefs__arena_destroy(arena_t *a);
/* Bytes of a class; the smallest class that holds `bytes` (ARENA_CLASSES: too large). */
static inline uint32_t cachefs__class_bytes(unsigned cls)
{
    static const uint32_t bytes[ARENA_CLASSES] = {64,   128,   256,   512,   1024,
                                                  4096, 16384, 65536, 262144};
    return bytes[cls];
}
unsigned cachefs__class_of(const arena_t *a, uint64_t bytes);
static inline void *cachefs__chunk_ptr(const arena_t *a, uint32_t chunk)
{
    return a->base + (size_t)chunk * ARENA_UNIT;
}
/* 0: no chunk of this class without eviction. */
uint32_t cachefs__arena_alloc(arena_t *a, unsigned cls, uint32_t owner);
void cachefs__arena_free(arena_t *a, uint32_t chunk);
void cachefs__arena_set_owner(arena_t *a, uint32_t chunk, uint32_t owner);
unsigned cachefs__arena_class(arena_t *a, uint32_t chunk);
/* The chunk's owner leaves it to `borrowers`; one of them gives it back. 1: nobody holds it any
 * more, and the caller frees it. Both may come first. */
int cachefs__arena_leave(arena_t *a, uint32_t chunk, uint32_t borrowers);
int cachefs__arena_give_back(arena_t *a, uint32_t chunk);
/* Lend `n` slabs for good. 0: not so many are free. */
int cachefs__arena_lend(arena_t *a, uint32_t n);
/* A chunk of the slab that is the cheapest to empty: those of its class have a slab's worth of free
 * chunks between them. 0: there is none. */
uint32_t cachefs__arena_sparse(arena_t *a);
/* Drain the slab of a chunk: no new chunk comes from it until cachefs__arena_undrain, which is owed
 * unless the answer is 0: somebody else drains it. Fills `owners` with at most `max` owner words of
 * used chunks, `chunks` with their names, and returns how many. */
size_t cachefs__arena_drain(arena_t *a, uint32_t chunk, uint32_t *owners, uint32_t *chunks,
                            size_t max);
/* 1: it is empty, and free; or, so that nobody is quicker than who emptied it, *got is a chunk of
 * class `cls` of it, for `owner` (ARENA_CLASSES: none). */
int cachefs__arena_undrain(arena_t *a, uint32_t chunk, unsigned cls, uint32_t owner, uint32_t *got);
/* Can a slab be had without eviction? */
int cachefs__arena_has_slab(arena_t *a);
/* Give the memory of free slabs back to the system. */
void cachefs__arena_trim(arena_t *a);

#endif
