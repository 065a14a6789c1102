/*
 * l2_scrub.c - reading what nobody asked for, to find what a disk has lost before it is asked for.
 * Floor 2, private to cachefs/store/. By the writer, when it has nothing else to do; locked.
 *
 * Sealed segments one after another by their number, of each one record at a time, so many bytes a
 * second; then nothing for an hour. A record that is not what it should be is forgotten: its next
 * reader goes below at once. What is scrubbed does not count as used.
 */
#include <stdlib.h>

#include "cachefs/store/l2_log.h"

#define AGAIN_US 3600000000 /* between two passes */
#define LATER_US 5000000    /* after a read that failed */

/* The sealed segment with the least number above `seq`, or -1. */
static int segment_behind(const cachefs__l2_t *l2, uint32_t seq)
{
    int found = -1;
    for (uint32_t i = 0; i < l2->slots; i++) {
        const l2_seg_t *seg = &l2->segs[i];
        if (seg->state == L2_SEALED && seg->seq > seq &&
            (found < 0 || seg->seq < l2->segs[found].seq))
            found = (int)i;
    }
    return found;
}

/* The record whose turn it is, or L2_NONE: all had theirs. An entry of a sealed segment stays in
 * its list until the writer, who we are, drops the segment. */
static uint32_t turn(cachefs__l2_t *l2)
{
    l2_scrub_t *s = &l2->scrub;
    for (;;) {
        const l2_seg_t *seg = &l2->segs[s->slot];
        if (seg->state != L2_SEALED || seg->seq != s->seq) s->next = L2_NONE; /* it is gone */
        for (uint32_t i = s->next; i; i = s->next) {
            const cachefs__l2_entry_t *e = &l2->index.entries[i];
            s->next = e->peer;
            if (e->tag) return i;
        }
        int slot = segment_behind(l2, s->seq);
        if (slot < 0) return L2_NONE;
        s->slot = (uint32_t)slot;
        s->seq = l2->segs[slot].seq;
        s->next = l2->index.first[slot];
    }
}

int cachefs__l2_scrub(cachefs__l2_t *l2, int64_t now_us)
{
    uint64_t rate = l2->config.scrub_bytes_per_s;
    uint8_t head[L2_HEAD], *bytes;
    cachefs__l2_record_t r;
    cachefs__l2_row_t row;
    uint32_t slot;
    if (!rate || now_us < l2->scrub.due_us) return 0;
    uint32_t i = turn(l2);
    l2->scrub.due_us = now_us + (i ? LATER_US : AGAIN_US);
    if (!i) {
        l2->scrub.seq = 0;
        l2->stats.scrubs++;
        return 0;
    }
    if (!(bytes = malloc(L2_CELL))) return 0;
    cachefs__l2_index_get(&l2->index, i, &slot, &row);
    int good = cachefs__l2_load(l2, slot, &row, head, bytes, NULL, &r);
    free(bytes);
    if (good > 0 && cachefs__l2_tag(&r.key, r.cell) != row.tag) good = -1;
    uint64_t bytes_read = cachefs__l2_stored(row.len, row.parts);
    if (good) l2->scrub.due_us = now_us + (int64_t)((bytes_read + L2_HEAD) * 1000000ull / rate);
    l2->stats.scrubbed_bytes += good > 0 ? bytes_read : 0;
    l2->stats.scrub_bad += good < 0;
    if (good < 0 && !cachefs__l2_moved(l2, i, slot, &row)) cachefs__l2_index_forget(&l2->index, i);
    return 1;
}
