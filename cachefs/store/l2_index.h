/*
 * l2_index.h - which cells the disk tier has, and where: 28 bytes of memory a record.
 * Floor 2, private to cachefs/store/ and its tests. Takes no lock; knows no file.
 *
 * Records are in chains by the tag of their cell, 64 bits of what they are: the record itself has
 * all of it, and is looked at before its bytes are believed. Those of one segment are in a list
 * too, so that they go with it. Memory is touched only as far as it is used.
 */
#ifndef CACHEFS_STORE_L2_INDEX_H
#define CACHEFS_STORE_L2_INDEX_H

#include "cachefs/store/l2_format.h"

#define L2_NONE 0u
#define L2_SLOTS_MAX (1u << 16)
#define L2_USES_MAX 3u

typedef struct cachefs__l2_entry_t {
    uint64_t tag;   /* 0: forgotten, but still of its segment's list */
    uint64_t where; /* slot 16, place / 64 20, len 17, from 4, uses 2, parts 5 */
    uint32_t next;  /* in the chain; of a free entry, the next free one */
    uint32_t peer;  /* of the same segment */
} cachefs__l2_entry_t;

_Static_assert(sizeof(cachefs__l2_entry_t) + 2 * sizeof(uint32_t) <= 32, "32 bytes a record");

typedef struct cachefs__l2_index_t {
    cachefs__l2_entry_t *entries;
    uint32_t *heads;
    uint32_t *first;                                      /* of a slot's list */
    uint32_t mask, limit, high, free, spare, used, slots; /* spare: entries in the free list */
} cachefs__l2_index_t;

apr_status_t cachefs__l2_index_create(cachefs__l2_index_t *x, uint32_t entries, uint32_t slots);
void cachefs__l2_index_destroy(cachefs__l2_index_t *x);
/* Records that can be added before it is full. */
static inline uint32_t cachefs__l2_index_room(const cachefs__l2_index_t *x)
{
    return x->limit - x->high + x->spare;
}
/* Bytes that it uses. */
uint64_t cachefs__l2_index_bytes(const cachefs__l2_index_t *x);
/* Returns the entry, or L2_NONE: it is full. */
uint32_t cachefs__l2_index_add(cachefs__l2_index_t *x, uint32_t slot, const cachefs__l2_row_t *row);
/* The record that has byte `at` of a cell, or L2_NONE; then *stop is where the next one begins, or
 * L2_CELL. */
uint32_t cachefs__l2_index_find(const cachefs__l2_index_t *x, uint64_t tag, uint32_t at,
                                uint32_t *stop);
/* The hint of that tag. */
uint32_t cachefs__l2_index_hint(const cachefs__l2_index_t *x, uint64_t tag);
void cachefs__l2_index_get(const cachefs__l2_index_t *x, uint32_t i, uint32_t *slot,
                           cachefs__l2_row_t *row);
void cachefs__l2_index_use(cachefs__l2_index_t *x, uint32_t i);
uint32_t cachefs__l2_index_uses(const cachefs__l2_index_t *x, uint32_t i);
/* Nobody finds it any more; its entry is free when its segment goes. */
void cachefs__l2_index_forget(cachefs__l2_index_t *x, uint32_t i);
/* All records of a slot go. */
void cachefs__l2_index_drop(cachefs__l2_index_t *x, uint32_t slot);

#endif
