/*
 * l2_write.c - the writer of the disk tier: the only one who changes the store.
 * Floor 2, private to cachefs/store/.
 *
 * A log. Flash and disks alike want to be written in large steps, one after another, and freed the
 * same way: then nothing has to be moved below us (Min et al., "SFS", FAST 2012; Tang et al.,
 * "RIPQ", FAST 2015). So records go into buffers, buffers into the active segment, one after the
 * other, and the unit that is evicted is the segment that was written longest ago. Records of it
 * that were read since they were written get a second chance: they are written anew, up to half a
 * segment of them (a FIFO with reinsertion, as CacheLib's log and S3-FIFO have it). That is the
 * policy: whatever needs to move single records (LRU, ARC, LFU with their order among all) would
 * write each time that a record is read.
 *
 *     forever:  write the oldest buffer that is full, or old, or asked for
 *               else give a full segment its footer
 *               else see to it that a spare segment is there: evict for it, if need be
 *               else scrub a record, if it is time to
 *
 * A footer is a checkpoint of its segment, and all footers together are that of the index: it takes
 * as many bytes to read as one file of it would, none of them is ever written twice, and there is
 * nothing that could disagree with the segments. After a crash only the segment that was written
 * last has none; its records are gone through one by one (l2_open.c). Nothing is synced: what a
 * power loss leaves is known by its checksums.
 *
 * Space on the disk has three marks, as Linux's cachefilesd has them: below `cull` the oldest
 * segments go, below `stop` none is added, and it goes on above `run`.
 */
#include "cachefs/store/l2_log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cachefs/rank.h"

#define WRITE_AGE_US 1000000   /* a buffer waits for more so long */
#define SPACE_AGAIN_US 5000000 /* how often the disk is asked for its space */
#define SPACE_SOON_US 100000   /* the same where something was evicted for it */

void cachefs__l2_name(char *buf, size_t size, uint32_t seq)
{
    int n = snprintf(buf, size, CACHEFS__STORE_L2 "/seg-%08" PRIx32, seq);
    VFS_ASSERT(n > 0 && (size_t)n < size);
}

static int is_full_disk(apr_status_t st)
{
    return st == APR_FROM_OS_ERROR(ENOSPC) || st == APR_FROM_OS_ERROR(EDQUOT);
}

/* A call that writes ended. That the disk is full is no failure of it, but a matter of space. */
static void ended(cachefs__l2_t *l2, l2_call_t *call, apr_status_t st)
{
    int full = is_full_disk(st);
    if (full) {
        l2->no_space = 1;
        l2->space_us = cachefs__l2_now_us() + SPACE_AGAIN_US;
    }
    cachefs__l2_ended(l2, call, full ? APR_SUCCESS : st);
}

static apr_status_t write_out(cachefs__l2_t *l2, vfs_file_t *file, const void *bytes, uint64_t len,
                              uint64_t off)
{
    size_t written = 0;
    l2_call_t call;
    cachefs__l2_began(l2, &call);
    cachefs__unlock(&l2->lock, RANK_LEAF);
    CACHE_NO_LOCKS_HELD();
    apr_status_t st = vfs_write_at(file, NULL, bytes, (size_t)len, (apr_off_t)off, &written, NULL);
    cachefs__lock(&l2->lock, RANK_LEAF);
    l2->stats.written_bytes += written;
    ended(l2, &call, st);
    return st;
}

/* ---- the end of a segment */

/* The segment goes, with its file. Unlocks meanwhile. */
static void leave(cachefs__l2_t *l2, uint32_t slot)
{
    l2_seg_t *seg = &l2->segs[slot];
    vfs_file_t *file;
    l2_call_t call;
    char name[64];
    cachefs__l2_index_drop(&l2->index, slot);
    seg->state = L2_LEAVING;
    while (seg->users)
        pthread_cond_wait(&l2->idle, &l2->lock);
    file = seg->file;
    seg->file = NULL;
    if (file) l2->files--;
    cachefs__l2_name(name, sizeof(name), seg->seq);
    cachefs__l2_began(l2, &call);
    cachefs__unlock(&l2->lock, RANK_LEAF);
    CACHE_NO_LOCKS_HELD();
    if (file) (void)vfs_close(file, NULL); /* nothing of it is wanted any more */
    apr_status_t st = vfs_unlink(l2->fs, NULL, name);
    cachefs__lock(&l2->lock, RANK_LEAF);
    ended(l2, &call, APR_STATUS_IS_ENOENT(st) ? APR_SUCCESS : st);
    memset(seg, 0, sizeof(*seg));
}

/* A write failed: what the segment has is no longer known. */
static void abandon(cachefs__l2_t *l2, uint32_t slot)
{
    if (l2->active == (int)slot) {
        cachefs__l2_queue(l2);
        l2->active = -1;
    } else if (l2->segs[slot].state == L2_FULL) {
        l2->full--;
    }
    for (unsigned i = 0; i < l2->queued; i++)
        if (cachefs__l2_buffer(l2, i)->slot == slot) cachefs__l2_buffer(l2, i)->slot = L2_SLOTS_MAX;
    leave(l2, slot);
}

/* ---- writing */

static void write_one(cachefs__l2_t *l2)
{
    l2_buffer_t *b = cachefs__l2_buffer(l2, 0);
    uint32_t slot = b->slot;
    if (slot != L2_SLOTS_MAX && !write_out(l2, l2->segs[slot].file, b->mem, b->len, b->base))
        l2->segs[slot].written = b->base + b->len;
    else if (slot != L2_SLOTS_MAX)
        abandon(l2, slot);
    l2->first = (l2->first + 1) % L2_BUFFERS;
    l2->queued--;
    if (!l2->queued && !l2->filling) pthread_cond_broadcast(&l2->idle);
}

/* The footer of a segment, made from what the index has of it; NULL: no memory. */
static uint8_t *footer(cachefs__l2_t *l2, uint32_t slot, uint64_t *bytes)
{
    uint32_t count = 0, s;
    cachefs__l2_row_t row;
    uint8_t *rows = malloc(cachefs__l2_footer_bytes(l2->segs[slot].records));
    if (!rows) return NULL;
    for (uint32_t i = l2->index.first[slot]; i; i = l2->index.entries[i].peer) {
        cachefs__l2_index_get(&l2->index, i, &s, &row);
        if (!row.tag) continue;
        VFS_ASSERT(s == slot && count < l2->segs[slot].records);
        cachefs__l2_row_write(rows + (size_t)count++ * L2_ROW, &row);
    }
    cachefs__l2_trailer_write(rows + (size_t)count * L2_ROW, rows, count, l2->segs[slot].seq);
    *bytes = cachefs__l2_footer_bytes(count);
    return rows;
}

/* Give a segment that is full its footer. Without one it serves all the same. */
static int seal_one(cachefs__l2_t *l2)
{
    uint32_t slot = 0;
    uint64_t bytes = 0;
    if (!l2->full) return 0;
    while (l2->segs[slot].state != L2_FULL)
        slot++;
    l2_seg_t *seg = &l2->segs[slot];
    VFS_ASSERT(seg->written == seg->used); /* all buffers were written before */
    uint8_t *rows = footer(l2, slot, &bytes);
    l2->full--;
    if (rows && write_out(l2, seg->file, rows, bytes, seg->used)) bytes = 0;
    free(rows);
    seg->bytes = seg->used + bytes;
    seg->state = L2_SEALED;
    return 1;
}

/* ---- eviction */

static int oldest(const cachefs__l2_t *l2)
{
    int found = -1;
    for (uint32_t i = 0; i < l2->slots; i++)
        if (l2->segs[i].state == L2_SEALED && (found < 0 || l2->segs[i].seq < l2->segs[found].seq))
            found = (int)i;
    return found;
}

#define NO_ROOM UINT32_MAX

/* Write a record that takes at most `most` bytes anew. Returns them, or NO_ROOM. */
static uint32_t move(cachefs__l2_t *l2, uint32_t i, uint32_t from, uint8_t *bytes, uint64_t most)
{
    cachefs__l2_record_t r;
    cachefs__l2_row_t row;
    uint8_t head[L2_HEAD], *to;
    uint32_t slot, off;
    cachefs__l2_index_get(&l2->index, i, &slot, &row);
    if (cachefs__l2_load(l2, from, &row, head, bytes, NULL, &r) <= 0) return 0;
    uint32_t space = cachefs__l2_record_space(&r);
    if (space > most) return NO_ROOM;
    for (;;) { /* what was forgotten meanwhile must not come back */
        if (cachefs__l2_moved(l2, i, from, &row) || l2->forgetting) return 0;
        if ((to = cachefs__l2_place(l2, space, &slot, &off))) break;
        if (!l2->queued) return NO_ROOM;
        write_one(l2);
    }
    cachefs__l2_index_forget(&l2->index, i);
    memcpy(to + L2_HEAD, bytes, cachefs__l2_record_bytes(&r));
    cachefs__l2_placed(l2, to, slot, off, &r);
    l2->stats.moved_bytes += cachefs__l2_record_bytes(&r);
    return space;
}

/* The segment that was written longest ago goes; what was read since stays. 0: there is none. */
static int evict(cachefs__l2_t *l2, int keep)
{
    int slot = oldest(l2);
    if (slot < 0) return 0;
    uint64_t left = l2->segment_bytes / 2;
    uint8_t *bytes = keep ? malloc(L2_CELL) : NULL;
    /* entries of a segment stay in its list until it is dropped, which is here */
    for (uint32_t i = l2->index.first[slot]; bytes && i; i = l2->index.entries[i].peer) {
        if (!l2->index.entries[i].tag || !cachefs__l2_index_uses(&l2->index, i)) continue;
        uint32_t space = move(l2, i, (uint32_t)slot, bytes, left);
        if (space == NO_ROOM) break;
        left -= space;
    }
    free(bytes);
    l2->evicted = 1;
    l2->stats.evicted_bytes += l2->segs[slot].bytes;
    leave(l2, (uint32_t)slot);
    return 1;
}

/* ---- room */

static uint64_t total_bytes(const cachefs__l2_t *l2, int *slot)
{
    uint64_t bytes = 0;
    *slot = -1;
    for (uint32_t i = 0; i < l2->slots; i++) {
        bytes += l2->segs[i].bytes;
        if (l2->segs[i].state == L2_FREE) *slot = (int)i;
    }
    return bytes;
}

/* What segments that are there may still be written to. */
static uint64_t owed_bytes(const cachefs__l2_t *l2)
{
    uint64_t owed = 0;
    for (uint32_t i = 0; i < l2->slots; i++) {
        const l2_seg_t *seg = &l2->segs[i];
        if (seg->state == L2_SPARE || seg->state == L2_ACTIVE || seg->state == L2_FULL)
            owed += l2->segment_bytes > seg->written ? l2->segment_bytes - seg->written : 0;
    }
    return owed;
}

/* How much of the disk is free: evict for it, and say whether a segment may be added. */
static int disk_has_room(cachefs__l2_t *l2)
{
    vfs_statfs_t space;
    l2->space_us = cachefs__l2_now_us() + SPACE_AGAIN_US;
    cachefs__unlock(&l2->lock, RANK_LEAF);
    CACHE_NO_LOCKS_HELD();
    apr_status_t st = vfs_statfs(l2->fs, NULL, "/", &space);
    cachefs__lock(&l2->lock, RANK_LEAF);
    if (st) { /* it cannot say: the next write will */
        l2->no_space = 0;
        return 1;
    }
    uint64_t owed = owed_bytes(l2), there = space.bytes_available;
    uint64_t left = there > owed ? there - owed : 0;
    uint64_t floor = l2->config.free_min ? l2->config.free_min : space.bytes_total / 20;
    uint64_t step = floor / 8 > 2 * l2->segment_bytes ? floor / 8 : 2 * l2->segment_bytes;
    uint64_t stop = floor + l2->segment_bytes, cull = floor + step, run = floor + 2 * step;
    if (left >= (l2->no_space ? run : cull)) {
        l2->no_space = 0;
        return 1;
    }
    if (evict(l2, 0)) l2->space_us = cachefs__l2_now_us() + SPACE_SOON_US;
    if (!l2->no_space && left >= stop) return 1;
    l2->no_space = 1;
    return 0;
}

static int make_room(cachefs__l2_t *l2)
{
    int slot;
    while (total_bytes(l2, &slot) + l2->segment_bytes > l2->config.bytes || slot < 0)
        if (!evict(l2, 1)) return -1;
    if (!disk_has_room(l2)) return -1;
    (void)total_bytes(l2, &slot);
    return slot;
}

/* A spare segment. 0: there can be none now. */
static int prepare(cachefs__l2_t *l2)
{
    uint8_t head[L2_HEAD];
    char name[64];
    int slot = make_room(l2);
    if (slot < 0 || l2->spare >= 0) return 0;
    l2_seg_t *seg = &l2->segs[slot];
    seg->seq = l2->next_seq++;
    seg->state = L2_LEAVING; /* nobody's yet */
    cachefs__l2_name(name, sizeof(name), seg->seq);
    cachefs__l2_head_write(head, cachefs__store_id(l2->store), seg->seq);
    vfs_file_t *file = NULL;
    l2_call_t call;
    cachefs__l2_began(l2, &call);
    cachefs__unlock(&l2->lock, RANK_LEAF);
    CACHE_NO_LOCKS_HELD();
    apr_status_t st =
        vfs_open(&file, l2->fs, NULL, name, VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE | VFS_O_TRUNC,
                 0600, NULL, NULL);
    cachefs__lock(&l2->lock, RANK_LEAF);
    ended(l2, &call, st);
    seg->file = file;
    if (file) l2->files++;
    if (!st) st = write_out(l2, file, head, L2_HEAD, 0);
    if (st) {
        leave(l2, (uint32_t)slot);
        return 0;
    }
    seg->state = L2_SPARE;
    seg->used = seg->written = L2_HEAD;
    seg->bytes = l2->segment_bytes;
    l2->spare = slot;
    return 1;
}

/* ---- the loop */

/* A name written and read again. */
static apr_status_t try_store(const cachefs__l2_t *l2)
{
    static const char name[] = CACHEFS__STORE_L2 "/probe";
    char read[sizeof(name)];
    vfs_iovec_t iov = {read, sizeof(read)};
    vfs_file_t *file = NULL;
    size_t n = 0;
    apr_status_t st = vfs_open(&file, l2->fs, NULL, name, VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE,
                               0600, NULL, NULL);
    if (!st) st = vfs_write_at(file, NULL, name, sizeof(name), 0, &n, NULL);
    if (!st) st = vfs_sync(file, NULL, VFS_SYNC_DATA);
    if (!st) st = vfs_readv_at(file, NULL, &iov, 1, 0, &n);
    if (!st && (n != sizeof(name) || memcmp(read, name, n) != 0)) st = VFS_ECHECKSUM;
    if (file) (void)vfs_close(file, NULL); /* what came of it is known */
    return st ? st : vfs_unlink(l2->fs, NULL, name);
}

/* Put aside: does it work again? */
static void probe(cachefs__l2_t *l2)
{
    l2_call_t call;
    int trial;
    if (!vfs__breaker_may(&l2->breaker, cachefs__l2_now_us(), &trial)) return;
    cachefs__l2_began(l2, &call);
    call.trial = trial;
    cachefs__unlock(&l2->lock, RANK_LEAF);
    CACHE_NO_LOCKS_HELD();
    apr_status_t st = try_store(l2);
    cachefs__lock(&l2->lock, RANK_LEAF);
    ended(l2, &call, st);
}

/* May the store be tried? */
static int may_probe(const cachefs__l2_t *l2, int64_t now)
{
    return !l2->stop && now >= l2->breaker.until_us && !cachefs__l2_hangs(l2, now);
}

/* Until there may be something to do. */
static void wait_for_work(cachefs__l2_t *l2, int64_t until_us)
{
    struct timespec ts = {until_us / 1000000, until_us % 1000000 * 1000};
    (void)pthread_cond_timedwait(&l2->work, &l2->lock, &ts); /* it is looked at again anyway */
}

/* When something is due that nobody tells of. */
static int64_t due(const cachefs__l2_t *l2, int64_t now)
{
    int64_t at = l2->space_us;
    if (l2->breaker.open) at = l2->breaker.until_us;
    if (l2->breaker.open && at <= now) at = now + SPACE_AGAIN_US; /* a call hangs: its end tells */
    if (!l2->breaker.open && l2->config.scrub_bytes_per_s && l2->scrub.due_us < at)
        at = l2->scrub.due_us;
    if (l2->filling && l2->filled_us + WRITE_AGE_US < at) at = l2->filled_us + WRITE_AGE_US;
    return at;
}

/* Things to do while the store works. 0: there is nothing. */
static int tend(cachefs__l2_t *l2, int64_t now)
{
    if (seal_one(l2)) return 1;
    if (l2->stop) return 0;
    if (l2->clearing) {
        l2->clearing = evict(l2, 0);
        return 1;
    }
    if (now >= l2->space_us) {
        (void)disk_has_room(l2); /* what came of it is in l2->no_space */
        return 1;
    }
    if (cachefs__l2_index_room(&l2->index) < l2->index.limit / 64 && evict(l2, 0)) return 1;
    if (l2->spare < 0 && !l2->no_space && prepare(l2)) return 1;
    return cachefs__l2_scrub(l2, now);
}

static void step(cachefs__l2_t *l2)
{
    int64_t now = cachefs__l2_now_us();
    if (l2->filling && (l2->draining || l2->stop || now - l2->filled_us >= WRITE_AGE_US))
        cachefs__l2_queue(l2);
    if (l2->queued)
        write_one(l2);
    else if (l2->breaker.open && may_probe(l2, now))
        probe(l2);
    else if (!l2->breaker.open && tend(l2, now))
        return;
    else if (!l2->stop)
        wait_for_work(l2, due(l2, now));
    else
        l2->stop = 2;
}

/* What was taken in is written; what is not sealed gets its footer; an empty segment goes. */
static void finish(cachefs__l2_t *l2)
{
    if (l2->active >= 0) {
        l2->segs[l2->active].state = L2_FULL;
        l2->full++;
        l2->active = -1;
    }
    while (!l2->breaker.open && seal_one(l2))
        continue;
    if (l2->spare >= 0) leave(l2, (uint32_t)l2->spare);
    l2->spare = -1;
}

void *cachefs__l2_writer(void *baton)
{
    cachefs__l2_t *l2 = baton;
    cachefs__lock(&l2->lock, RANK_LEAF);
    while (l2->stop != 2)
        step(l2);
    finish(l2);
    cachefs__unlock(&l2->lock, RANK_LEAF);
    return NULL;
}
