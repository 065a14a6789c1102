/*
 * l2_log.c - places for records: the active segment and the buffers in which it grows; who reads a
 * segment. Floor 2, private to cachefs/store/. All of it with the lock held.
 */
#include "cachefs/store/l2_log.h"

#include <string.h>

#include "cachefs/rank.h"

void cachefs__l2_queue(cachefs__l2_t *l2)
{
    if (!l2->filling) return;
    l2->filling = 0;
    l2->queued++;
    pthread_cond_signal(&l2->work);
}

static int fits(const cachefs__l2_t *l2, const l2_seg_t *seg, uint64_t need)
{
    return seg->used + need + cachefs__l2_footer_bytes(seg->records + 1) <= l2->segment_bytes;
}

/* An active segment with room, or -1. */
static int active_with(cachefs__l2_t *l2, uint64_t need)
{
    if (l2->active >= 0 && !fits(l2, &l2->segs[l2->active], need)) {
        cachefs__l2_queue(l2);
        l2->segs[l2->active].state = L2_FULL;
        l2->full++;
        l2->active = -1;
    }
    if (l2->active < 0 && l2->spare >= 0) {
        l2->active = l2->spare;
        l2->spare = -1;
        l2->segs[l2->active].state = L2_ACTIVE;
    }
    if (l2->spare < 0) pthread_cond_signal(&l2->work);
    return l2->active;
}

int cachefs__l2_may_place(const cachefs__l2_t *l2)
{
    return l2->queued < L2_BUFFERS && (l2->active >= 0 || l2->spare >= 0) &&
           cachefs__l2_index_room(&l2->index);
}

uint8_t *cachefs__l2_place(cachefs__l2_t *l2, uint32_t need, uint32_t *slot, uint32_t *off)
{
    if (!cachefs__l2_index_room(&l2->index) || l2->stop) return NULL;
    int active = active_with(l2, need);
    if (active < 0) return NULL;
    l2_seg_t *seg = &l2->segs[active];
    l2_buffer_t *b = l2->filling ? cachefs__l2_buffer(l2, l2->queued) : NULL;
    if (b && b->len + need > l2->buffer_bytes) {
        cachefs__l2_queue(l2);
        b = NULL;
    }
    if (!b) {
        if (l2->queued == L2_BUFFERS) return NULL;
        b = cachefs__l2_buffer(l2, l2->queued);
        b->slot = (uint32_t)active;
        b->base = seg->used;
        b->len = 0;
        l2->filling = 1;
        l2->filled_us = cachefs__l2_now_us();
        pthread_cond_signal(&l2->work); /* it will not wait for ever for more */
    }
    VFS_ASSERT(b->slot == (uint32_t)active && b->base + b->len == seg->used);
    uint8_t *at = b->mem + b->len;
    *slot = (uint32_t)active;
    *off = (uint32_t)seg->used;
    b->len += need;
    seg->used += need;
    seg->records++;
    return at;
}

void cachefs__l2_placed(cachefs__l2_t *l2, uint8_t *at, uint32_t slot, uint32_t off,
                        cachefs__l2_record_t *r)
{
    uint32_t bytes = L2_HEAD + cachefs__l2_record_bytes(r);
    cachefs__l2_row_t row = {cachefs__l2_tag(&r->key, r->cell), off, r->len, r->from,
                             cachefs__l2_parts(r->len, r->packed)};
    /* what is behind the bytes is not left to chance */
    memset(at + bytes, 0, cachefs__l2_record_space(r) - bytes);
    r->seq = l2->segs[slot].seq;
    cachefs__l2_record_write(at, r);
    uint32_t i = cachefs__l2_index_add(&l2->index, slot, &row);
    VFS_ASSERT(i != L2_NONE); /* its room was looked at before */
}

const uint8_t *cachefs__l2_unwritten(cachefs__l2_t *l2, uint32_t slot, uint32_t off)
{
    if (off < l2->segs[slot].written) return NULL;
    for (unsigned i = 0; i < l2->queued + l2->filling; i++) {
        const l2_buffer_t *b = cachefs__l2_buffer(l2, i);
        if (b->slot == slot && off >= b->base && off < b->base + b->len)
            return b->mem + (off - b->base);
    }
    return NULL;
}

/* ---- files */

/* One too many is open: close one that nobody uses. Unlocks meanwhile. */
static void close_one(cachefs__l2_t *l2)
{
    for (uint32_t i = 0; i < l2->slots; i++) {
        l2_seg_t *seg = &l2->segs[(i + l2->next_seq) % l2->slots];
        if (!seg->file || seg->users || seg->state != L2_SEALED) continue;
        vfs_file_t *file = seg->file;
        seg->file = NULL;
        l2->files--;
        cachefs__unlock(&l2->lock, RANK_LEAF);
        CACHE_NO_LOCKS_HELD();
        (void)vfs_close(file, NULL); /* it was only read since it was sealed */
        cachefs__lock(&l2->lock, RANK_LEAF);
        return;
    }
}

apr_status_t cachefs__l2_enter(cachefs__l2_t *l2, uint32_t slot, vfs_file_t **file)
{
    l2_seg_t *seg = &l2->segs[slot];
    char name[64];
    seg->users++;
    if (!seg->file) {
        vfs_file_t *opened;
        cachefs__l2_name(name, sizeof(name), seg->seq);
        if (l2->files >= L2_FILES_MAX) close_one(l2);
        cachefs__unlock(&l2->lock, RANK_LEAF);
        CACHE_NO_LOCKS_HELD();
        apr_status_t st =
            vfs_open(&opened, l2->fs, NULL, name, VFS_O_READ | VFS_O_WRITE, 0, NULL, NULL);
        cachefs__lock(&l2->lock, RANK_LEAF);
        if (st) {
            cachefs__l2_left(l2, slot);
            return st;
        }
        if (!seg->file) {
            seg->file = opened;
            l2->files++;
        } else { /* somebody was quicker */
            cachefs__unlock(&l2->lock, RANK_LEAF);
            (void)vfs_close(opened, NULL); /* nothing was done with it */
            cachefs__lock(&l2->lock, RANK_LEAF);
        }
    }
    *file = seg->file;
    return APR_SUCCESS;
}

void cachefs__l2_left(cachefs__l2_t *l2, uint32_t slot)
{
    l2_seg_t *seg = &l2->segs[slot];
    VFS_ASSERT(seg->users > 0);
    seg->users--;
    if (!seg->users && seg->state == L2_LEAVING) pthread_cond_broadcast(&l2->idle);
}
