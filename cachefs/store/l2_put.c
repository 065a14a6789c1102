/*
 * l2_put.c - the disk tier: taking bytes in. Floor 2, private to cachefs/store/.
 *
 * Bytes are packed by whoever brings them, with no lock held: so as many are packed at once as come
 * at once, and the writer, of whom there is one, only writes.
 */
#include "cachefs/store/l2_log.h"

#include <string.h>

#include "cachefs/rank.h"

#define PACKERS_IDLE 8u /* that are kept for the next ones */

cachefs__l2_packer_t *cachefs__l2_packer_take(cachefs__l2_t *l2)
{
    cachefs__l2_packer_t *p = l2->packers;
    if (!p) return cachefs__l2_packer_create();
    l2->packers = p->next;
    l2->idle_packers--;
    return p;
}

void cachefs__l2_packer_give(cachefs__l2_t *l2, cachefs__l2_packer_t *p)
{
    if (l2->idle_packers == PACKERS_IDLE) {
        cachefs__l2_packer_destroy(p);
        return;
    }
    p->next = l2->packers;
    l2->packers = p;
    l2->idle_packers++;
}

static void gather(uint8_t *to, const vfs_iovec_t *iov, size_t count, uint64_t at, uint64_t n)
{
    for (size_t i = 0; i < count && n; i++) {
        if (at >= iov[i].len) {
            at -= iov[i].len;
            continue;
        }
        uint64_t part = iov[i].len - at < n ? iov[i].len - at : n;
        memcpy(to, (const uint8_t *)iov[i].base + at, part);
        to += part;
        n -= part;
        at = 0;
    }
}

/* Is it worth a place? Locked. */
static int wanted(cachefs__l2_t *l2, const cachefs__l2_record_t *r, uint64_t tag)
{
    uint32_t next;
    if (!r->len) return 1; /* a hint */
    if (cachefs__l2_index_find(&l2->index, tag, r->from * L2_GRANULE, &next)) return 0;
    int room = !l2->evicted && !l2->no_space;
    if (cachefs__l2_admitted(&l2->admit, tag + r->from * 0x9e3779b97f4a7c15ull, room)) return 1;
    l2->stats.refused++;
    return 0;
}

/* Pack the record's bytes, if that is asked for and of use: *p has them then. Locked; unlocks
 * meanwhile. */
static void pack(cachefs__l2_t *l2, cachefs__l2_record_t *r, cachefs__l2_packer_t **p,
                 const vfs_iovec_t *iov, size_t count, uint64_t at)
{
    *p = NULL;
    if (!l2->config.pack_level || !r->len || l2->breaker.open || !cachefs__l2_may_place(l2)) return;
    if (!(*p = cachefs__l2_packer_take(l2))) return;
    cachefs__unlock(&l2->lock, RANK_LEAF);
    gather((*p)->plain, iov, count, at, r->len);
    r->packed = cachefs__l2_pack(*p, (int)l2->config.pack_level, (*p)->plain, r->len);
    r->sum = cachefs__l2_sum(r->packed ? (*p)->packed : (*p)->plain, cachefs__l2_record_bytes(r));
    cachefs__lock(&l2->lock, RANK_LEAF);
}

/* The record gets its place. 0: there is none. Locked. */
static int place(cachefs__l2_t *l2, cachefs__l2_record_t *r, const cachefs__l2_packer_t *p,
                 const vfs_iovec_t *iov, size_t count, uint64_t at)
{
    uint32_t slot, off, bytes = cachefs__l2_record_bytes(r), space = cachefs__l2_record_space(r);
    uint8_t *to = l2->breaker.open ? NULL : cachefs__l2_place(l2, space, &slot, &off);
    if (!to) return 0;
    if (p) {
        memcpy(to + L2_HEAD, r->packed ? p->packed : p->plain, bytes);
    } else {
        gather(to + L2_HEAD, iov, count, at, bytes);
        r->sum = cachefs__l2_sum(to + L2_HEAD, bytes);
    }
    cachefs__l2_placed(l2, to, slot, off, r);
    l2->stats.puts++;
    l2->stats.put_bytes += r->len;
    l2->stats.saved_bytes += cachefs__l2_space(r->len, 0) - space;
    return 1;
}

/* n bytes of one cell, from byte `at` of the pieces on. Locked; unlocks meanwhile. */
static void put_piece(cachefs__l2_t *l2, const cachefs__l2_key_t *key, uint64_t off,
                      const vfs_iovec_t *iov, size_t count, uint64_t at, uint32_t n)
{
    uint64_t cell = off >> L2_CELL_SHIFT, tag = cachefs__l2_tag(key, cell);
    uint32_t inside = (uint32_t)(off & (L2_CELL - 1));
    cachefs__l2_record_t r = {.key = *key, .cell = cell, .from = inside / L2_GRANULE, .len = n};
    cachefs__l2_packer_t *p;
    if (!wanted(l2, &r, tag)) return;
    pack(l2, &r, &p, iov, count, at);
    /* who brought the same meanwhile has it there twice, which does no harm */
    if (!place(l2, &r, p, iov, count, at)) l2->stats.dropped++;
    if (p) cachefs__l2_packer_give(l2, p);
}

void cachefs__l2_put(cachefs__l2_t *l2, const cachefs__l2_key_t *key, uint64_t off,
                     const vfs_iovec_t *iov, size_t count, uint64_t len)
{
    uint64_t at = 0;
    VFS_ASSERT(off % L2_GRANULE == 0);
    while (at < len) {
        uint64_t left = L2_CELL - ((off + at) & (L2_CELL - 1));
        uint32_t n = (uint32_t)(len - at < left ? len - at : left);
        cachefs__lock(&l2->lock, RANK_LEAF);
        put_piece(l2, key, off + at, iov, count, at, n);
        cachefs__unlock(&l2->lock, RANK_LEAF);
        at += n;
    }
}

void cachefs__l2_hint(cachefs__l2_t *l2, const cachefs__l2_key_t *key)
{
    cachefs__lock(&l2->lock, RANK_LEAF);
    if (!cachefs__l2_index_hint(&l2->index, cachefs__l2_tag(key, 0)))
        put_piece(l2, key, 0, NULL, 0, 0, 0);
    cachefs__unlock(&l2->lock, RANK_LEAF);
}
