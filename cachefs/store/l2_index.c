/*
 * l2_index.c - see l2_index.h. Floor 2, private to cachefs/store/.
 */
#include "cachefs/store/l2_index.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PLACE_SHIFT 16
#define LEN_SHIFT 36
#define FROM_SHIFT 53
#define USES_SHIFT 57
#define PARTS_SHIFT 59

static void *map(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

apr_status_t cachefs__l2_index_create(cachefs__l2_index_t *x, uint32_t entries, uint32_t slots)
{
    memset(x, 0, sizeof(*x));
    VFS_ASSERT(slots <= L2_SLOTS_MAX && entries < 1u << 31);
    x->limit = entries + 1; /* entry 0 is L2_NONE */
    x->high = 1;
    x->slots = slots;
    uint32_t heads = 64;
    while (heads < entries / 2)
        heads *= 2;
    x->mask = heads - 1;
    x->entries = map((size_t)x->limit * sizeof(*x->entries));
    x->heads = map((size_t)heads * sizeof(*x->heads));
    x->first = calloc(slots, sizeof(*x->first));
    return x->entries && x->heads && x->first ? APR_SUCCESS : APR_ENOMEM;
}

void cachefs__l2_index_destroy(cachefs__l2_index_t *x)
{
    if (x->entries) munmap(x->entries, (size_t)x->limit * sizeof(*x->entries));
    if (x->heads) munmap(x->heads, ((size_t)x->mask + 1) * sizeof(*x->heads));
    free(x->first);
    memset(x, 0, sizeof(*x));
}

uint64_t cachefs__l2_index_bytes(const cachefs__l2_index_t *x)
{
    return x->high * sizeof(*x->entries) + ((uint64_t)x->mask + 1) * sizeof(*x->heads) +
           x->slots * sizeof(*x->first);
}

static uint32_t *head_of(const cachefs__l2_index_t *x, uint64_t tag)
{
    return &x->heads[tag & x->mask];
}

uint32_t cachefs__l2_index_add(cachefs__l2_index_t *x, uint32_t slot, const cachefs__l2_row_t *row)
{
    uint32_t i = x->free;
    VFS_ASSERT(slot < x->slots && row->tag != 0 && row->off < L2_SEGMENT_MAX);
    VFS_ASSERT(row->parts < L2_PARTS);
    if (i) {
        x->free = x->entries[i].next;
        x->spare--;
    } else if (x->high < x->limit) {
        i = x->high++;
    } else {
        return L2_NONE;
    }
    cachefs__l2_entry_t *e = &x->entries[i];
    uint32_t *head = head_of(x, row->tag);
    e->tag = row->tag;
    e->where = slot | (uint64_t)(row->off / L2_ALIGN) << PLACE_SHIFT |
               (uint64_t)row->len << LEN_SHIFT | (uint64_t)row->from << FROM_SHIFT |
               (uint64_t)row->parts << PARTS_SHIFT;
    e->next = *head;
    e->peer = x->first[slot];
    *head = i;
    x->first[slot] = i;
    x->used++;
    return i;
}

static uint32_t len_of(const cachefs__l2_entry_t *e)
{
    return (uint32_t)(e->where >> LEN_SHIFT & 0x1ffff);
}

static uint32_t start_of(const cachefs__l2_entry_t *e)
{
    return (uint32_t)(e->where >> FROM_SHIFT & 15) * L2_GRANULE;
}

uint32_t cachefs__l2_index_find(const cachefs__l2_index_t *x, uint64_t tag, uint32_t at,
                                uint32_t *stop)
{
    *stop = L2_CELL;
    for (uint32_t i = *head_of(x, tag); i; i = x->entries[i].next) {
        const cachefs__l2_entry_t *e = &x->entries[i];
        if (e->tag != tag || !len_of(e)) continue;
        uint32_t start = start_of(e);
        if (start <= at && at < start + len_of(e)) return i;
        if (start > at && start < *stop) *stop = start;
    }
    return L2_NONE;
}

uint32_t cachefs__l2_index_hint(const cachefs__l2_index_t *x, uint64_t tag)
{
    for (uint32_t i = *head_of(x, tag); i; i = x->entries[i].next)
        if (x->entries[i].tag == tag && !len_of(&x->entries[i])) return i;
    return L2_NONE;
}

void cachefs__l2_index_get(const cachefs__l2_index_t *x, uint32_t i, uint32_t *slot,
                           cachefs__l2_row_t *row)
{
    const cachefs__l2_entry_t *e = &x->entries[i];
    *slot = (uint32_t)(e->where & (L2_SLOTS_MAX - 1));
    row->tag = e->tag;
    row->off = (uint32_t)(e->where >> PLACE_SHIFT & 0xfffff) * L2_ALIGN;
    row->len = len_of(e);
    row->from = start_of(e) / L2_GRANULE;
    row->parts = (uint32_t)(e->where >> PARTS_SHIFT);
}

uint32_t cachefs__l2_index_uses(const cachefs__l2_index_t *x, uint32_t i)
{
    return (uint32_t)(x->entries[i].where >> USES_SHIFT & L2_USES_MAX);
}

void cachefs__l2_index_use(cachefs__l2_index_t *x, uint32_t i)
{
    if (cachefs__l2_index_uses(x, i) < L2_USES_MAX) x->entries[i].where += 1ull << USES_SHIFT;
}

void cachefs__l2_index_forget(cachefs__l2_index_t *x, uint32_t i)
{
    cachefs__l2_entry_t *e = &x->entries[i];
    if (!e->tag) return;
    uint32_t *at = head_of(x, e->tag);
    while (*at != i) {
        VFS_ASSERT(*at != L2_NONE);
        at = &x->entries[*at].next;
    }
    *at = e->next;
    e->tag = 0;
    x->used--;
}

void cachefs__l2_index_drop(cachefs__l2_index_t *x, uint32_t slot)
{
    uint32_t i = x->first[slot];
    x->first[slot] = L2_NONE;
    while (i) {
        uint32_t peer = x->entries[i].peer;
        cachefs__l2_index_forget(x, i);
        x->entries[i].next = x->free;
        x->free = i;
        x->spare++;
        i = peer;
    }
}
