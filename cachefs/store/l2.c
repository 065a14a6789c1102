/*
 * l2.c - the disk tier as its users see it: its life, reading, taking in.
 * Floor 2, private to cachefs/store/. The idea of the log is in l2_write.c.
 */
#include "cachefs/store/l2_log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cachefs/rank.h"

#define SEGMENT_MIN (1u << 20)
#define BUFFER_BYTES (1u << 20)
/* what the index is sized for; it fills sooner where they are smaller */
#define RECORD_BYTES 16384u
#define PACKED_BYTES 8192u
#define SLOW_US 2000000u
/* When the store is put aside, and for how long. */
#define BREAKER_FAILURES 3u
#define BREAKER_MIN_US 1000000
#define BREAKER_MAX_US 60000000
#define AT_ONCE 4096u /* records that are forgotten under one hold of the lock */

int64_t cachefs__l2_now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void cachefs__l2_say(const cachefs__l2_t *l2, int level, const char *what)
{
    char line[512];
    if (!l2->config.log) return;
    CACHE_NO_LOCKS_HELD();
    (void)snprintf(line, sizeof(line), "%s: %s", cachefs__store_name(l2->store), what);
    l2->config.log(l2->config.log_baton, level, line);
}

/* ---- life */

static uint64_t clamp(uint64_t v, uint64_t min, uint64_t max)
{
    return v < min ? min : v > max ? max : v;
}

static apr_status_t memory(cachefs__l2_t *l2)
{
    uint64_t bytes = l2->config.bytes, each = l2->config.pack_level ? PACKED_BYTES : RECORD_BYTES;
    uint64_t entries = clamp(bytes / each, 1024, 1u << 30);
    l2->segment_bytes = l2->config.segment_bytes ? l2->config.segment_bytes
                                                 : clamp(bytes / 64, SEGMENT_MIN, L2_SEGMENT_MAX);
    while (bytes / l2->segment_bytes + 66 > L2_SLOTS_MAX)
        l2->segment_bytes *= 2;
    VFS_ASSERT(l2->segment_bytes <= L2_SEGMENT_MAX && l2->segment_bytes >= 2 * L2_CELL);
    /* one may be leaving, one come; and there may be smaller ones from before */
    l2->slots = (uint32_t)(bytes / l2->segment_bytes) + 66;
    l2->buffer_bytes = clamp(l2->segment_bytes / 4, 2 * L2_CELL, BUFFER_BYTES);
    l2->segs = calloc(l2->slots, sizeof(*l2->segs));
    if (!l2->segs) return APR_ENOMEM;
    for (unsigned i = 0; i < L2_BUFFERS; i++) {
        l2->buffers[i].mem = malloc(l2->buffer_bytes);
        if (!l2->buffers[i].mem) return APR_ENOMEM;
    }
    apr_status_t st = cachefs__l2_index_create(&l2->index, (uint32_t)entries, l2->slots);
    return st ? st
              : cachefs__l2_admit_create(&l2->admit, l2->config.admit, l2->config.admit_percent,
                                         (uint32_t)entries);
}

static void locks(cachefs__l2_t *l2)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&l2->lock, NULL);
    pthread_cond_init(&l2->work, &attr);
    pthread_cond_init(&l2->idle, &attr);
    pthread_condattr_destroy(&attr);
}

static void l2_free(cachefs__l2_t *l2)
{
    for (uint32_t i = 0; l2->segs && i < l2->slots; i++)
        if (l2->segs[i].file) (void)vfs_close(l2->segs[i].file, NULL); /* nothing is owed */
    for (unsigned i = 0; i < L2_BUFFERS; i++)
        free(l2->buffers[i].mem);
    for (cachefs__l2_packer_t *p = l2->packers, *next; p; p = next) {
        next = p->next;
        cachefs__l2_packer_destroy(p);
    }
    cachefs__l2_index_destroy(&l2->index);
    cachefs__l2_admit_destroy(&l2->admit);
    pthread_cond_destroy(&l2->work);
    pthread_cond_destroy(&l2->idle);
    pthread_mutex_destroy(&l2->lock);
    free(l2->segs);
    free(l2);
}

apr_status_t cachefs__l2_open(cachefs__l2_t **out, cachefs__store_t *store,
                              const cachefs__l2_config_t *config)
{
    int64_t start = cachefs__l2_now_us();
    *out = NULL;
    cachefs__l2_t *l2 = calloc(1, sizeof(*l2));
    if (!l2) return APR_ENOMEM;
    l2->store = store;
    l2->fs = cachefs__store_fs(store);
    l2->config = *config;
    if (!l2->config.slow_us) l2->config.slow_us = SLOW_US;
    l2->breaker.failures_max = BREAKER_FAILURES;
    l2->breaker.min_us = BREAKER_MIN_US;
    l2->breaker.max_us = BREAKER_MAX_US;
    l2->active = l2->spare = -1;
    l2->next_seq = 1;
    locks(l2);
    apr_status_t st = memory(l2);
    if (!st) st = cachefs__l2_rebuild(l2);
    if (!st && pthread_create(&l2->writer, NULL, cachefs__l2_writer, l2) != 0) st = APR_ENOMEM;
    if (st) {
        l2_free(l2);
        return st;
    }
    l2->started = 1;
    l2->stats.open_us = cachefs__l2_now_us() - start;
    *out = l2;
    return APR_SUCCESS;
}

void cachefs__l2_close(cachefs__l2_t *l2)
{
    if (!l2) return;
    cachefs__lock(&l2->lock, RANK_LEAF);
    l2->stop = 1;
    pthread_cond_signal(&l2->work);
    cachefs__unlock(&l2->lock, RANK_LEAF);
    pthread_join(l2->writer, NULL);
    l2_free(l2);
}

void cachefs__l2_drain(cachefs__l2_t *l2)
{
    cachefs__lock(&l2->lock, RANK_LEAF);
    l2->draining++;
    pthread_cond_signal(&l2->work);
    while (l2->filling || l2->queued)
        pthread_cond_wait(&l2->idle, &l2->lock);
    l2->draining--;
    cachefs__unlock(&l2->lock, RANK_LEAF);
}

void cachefs__l2_stats(cachefs__l2_t *l2, cachefs__l2_stats_t *out)
{
    cachefs__lock(&l2->lock, RANK_LEAF);
    *out = l2->stats;
    out->records = l2->index.used;
    out->index_bytes = cachefs__l2_index_bytes(&l2->index);
    out->open = l2->breaker.open || cachefs__l2_hangs(l2, cachefs__l2_now_us());
    out->breaker_opened = l2->breaker.opened;
    out->culling = (uint64_t)l2->no_space;
    out->segments = out->bytes = 0;
    for (uint32_t i = 0; i < l2->slots; i++) {
        if (l2->segs[i].state == L2_FREE) continue;
        out->segments++;
        out->bytes += l2->segs[i].bytes;
    }
    cachefs__unlock(&l2->lock, RANK_LEAF);
}

void cachefs__l2_stats_reset(cachefs__l2_t *l2)
{
    cachefs__lock(&l2->lock, RANK_LEAF);
    cachefs__l2_stats_t began = {
        .found = l2->stats.found, .discarded = l2->stats.discarded, .open_us = l2->stats.open_us};
    l2->stats = began;
    l2->breaker.opened = 0;
    cachefs__unlock(&l2->lock, RANK_LEAF);
}

int64_t cachefs__l2_patience_us(const cachefs__l2_t *l2)
{
    return (int64_t)(l2->config.slow_us + l2->config.slow_us / 8);
}

void cachefs__l2_suspect(cachefs__l2_t *l2)
{
    cachefs__lock(&l2->lock, RANK_LEAF);
    l2->suspected = 1;
    cachefs__unlock(&l2->lock, RANK_LEAF);
}

/* ---- reading */

int cachefs__l2_extent(cachefs__l2_t *l2, const cachefs__l2_key_t *key, uint64_t off, uint64_t end,
                       uint64_t *stop)
{
    uint64_t at = off;
    int has = 0;
    *stop = end;
    cachefs__lock(&l2->lock, RANK_LEAF);
    int aside = cachefs__l2_aside(l2);
    while (at < end && !aside) {
        uint64_t cell = at >> L2_CELL_SHIFT, base = cell << L2_CELL_SHIFT;
        uint32_t next, slot, i;
        cachefs__l2_row_t row;
        i = cachefs__l2_index_find(&l2->index, cachefs__l2_tag(key, cell), (uint32_t)(at - base),
                                   &next);
        if (at == off) has = i != L2_NONE;
        if ((i != L2_NONE) != has) break;
        if (!i && next < L2_CELL) {
            at = base + next;
            break;
        }
        if (i) cachefs__l2_index_get(&l2->index, i, &slot, &row);
        at = base + (i ? row.from * L2_GRANULE + row.len : L2_CELL);
    }
    cachefs__unlock(&l2->lock, RANK_LEAF);
    if (!aside && at < end) *stop = at;
    return has;
}

unsigned cachefs__l2_uses(cachefs__l2_t *l2, const cachefs__l2_key_t *key, uint64_t off)
{
    uint64_t cell = off >> L2_CELL_SHIFT;
    uint32_t next;
    cachefs__lock(&l2->lock, RANK_LEAF);
    uint32_t i = cachefs__l2_index_find(&l2->index, cachefs__l2_tag(key, cell),
                                        (uint32_t)(off & (L2_CELL - 1)), &next);
    unsigned uses = i ? cachefs__l2_index_uses(&l2->index, i) : 0;
    cachefs__unlock(&l2->lock, RANK_LEAF);
    return uses;
}

/* Head and bytes of a record, from the buffer that it is in still, or from its segment. */
static apr_status_t bytes_of(cachefs__l2_t *l2, uint32_t slot, const cachefs__l2_row_t *row,
                             uint8_t *head, uint8_t *bytes, const vfs_ctx_t *ctx)
{
    const uint8_t *mem = cachefs__l2_unwritten(l2, slot, row->off);
    vfs_file_t *file;
    size_t got = 0, stored = cachefs__l2_stored(row->len, row->parts);
    if (mem) {
        memcpy(head, mem, L2_HEAD);
        memcpy(bytes, mem + L2_HEAD, stored);
        return APR_SUCCESS;
    }
    l2_call_t call;
    if (l2->breaker.open) return VFS_EOFFLINE; /* the writer finds out when it works again */
    cachefs__l2_began(l2, &call);
    apr_status_t st = cachefs__l2_enter(l2, slot, &file);
    if (!st) {
        vfs_iovec_t iov[2] = {{head, L2_HEAD}, {bytes, stored}};
        vfs_ctx_t timed = VFS_CTX_INIT;
        if (ctx) timed = *ctx;
        apr_time_t until = apr_time_now() + (apr_time_t)l2->config.slow_us;
        if (!timed.deadline || timed.deadline > until) timed.deadline = until;
        timed.flags = 0; /* the store is ours, whoever reads */
        cachefs__unlock(&l2->lock, RANK_LEAF);
        CACHE_NO_LOCKS_HELD();
        st = vfs_readv_at(file, &timed, iov, stored ? 2 : 1, row->off, &got);
        cachefs__lock(&l2->lock, RANK_LEAF);
        cachefs__l2_left(l2, slot);
    }
    /* that the caller has no time is no failure of the store */
    cachefs__l2_ended(l2, &call, st && vfs_ctx_check(ctx) ? APR_SUCCESS : st);
    return !st && got < L2_HEAD + stored ? APR_EOF : st;
}

int cachefs__l2_load(cachefs__l2_t *l2, uint32_t slot, const cachefs__l2_row_t *row, uint8_t *head,
                     uint8_t *bytes, const vfs_ctx_t *ctx, cachefs__l2_record_t *r)
{
    uint32_t seq = l2->segs[slot].seq;
    apr_status_t st = bytes_of(l2, slot, row, head, bytes, ctx);
    /* a place that cannot be read is not tried again: else it puts the store aside each time */
    if (st == APR_FROM_OS_ERROR(EIO) && !vfs_ctx_check(ctx)) return -1;
    if (st && st != APR_EOF) return 0;
    cachefs__unlock(&l2->lock, RANK_LEAF);
    int good = !st && cachefs__l2_record_read(head, seq, r) && r->from == row->from &&
               r->len == row->len && cachefs__l2_parts(r->len, r->packed) == row->parts &&
               r->sum == cachefs__l2_sum(bytes, cachefs__l2_record_bytes(r));
    cachefs__lock(&l2->lock, RANK_LEAF);
    if (!good) l2->stats.bad++;
    return good ? 1 : -1;
}

/* What of the pieces has n bytes from `at` on in one piece: its place, or NULL. */
static uint8_t *in_one(const vfs_iovec_t *iov, size_t count, uint64_t at, uint64_t n)
{
    for (size_t i = 0; i < count; i++) {
        if (at < iov[i].len) return at + n <= iov[i].len ? (uint8_t *)iov[i].base + at : NULL;
        at -= iov[i].len;
    }
    return NULL;
}

static void spread(const vfs_iovec_t *iov, size_t count, uint64_t at, const uint8_t *from,
                   uint64_t n)
{
    for (size_t i = 0; i < count && n; i++) {
        if (at >= iov[i].len) {
            at -= iov[i].len;
            continue;
        }
        uint64_t part = iov[i].len - at < n ? iov[i].len - at : n;
        uint8_t *to = iov[i].base;
        VFS_ASSERT(to != NULL);
        memcpy(to + at, from, part);
        from += part;
        n -= part;
        at = 0;
    }
}

int cachefs__l2_moved(const cachefs__l2_t *l2, uint32_t i, uint32_t slot,
                      const cachefs__l2_row_t *row)
{
    cachefs__l2_row_t now;
    uint32_t s;
    cachefs__l2_index_get(&l2->index, i, &s, &now);
    return now.tag != row->tag || s != slot || now.off != row->off;
}

/* Read a record of that key and cell; its bytes in `to`, unpacked. As cachefs__l2_load. */
static int load_plain(cachefs__l2_t *l2, const cachefs__l2_key_t *key, uint64_t cell, uint32_t slot,
                      const cachefs__l2_row_t *row, uint8_t *to, const vfs_ctx_t *ctx)
{
    cachefs__l2_packer_t *p = row->parts ? cachefs__l2_packer_take(l2) : NULL;
    uint8_t head[L2_HEAD];
    cachefs__l2_record_t r;
    if (row->parts && !p) return 0;
    int good = cachefs__l2_load(l2, slot, row, head, p ? p->packed : to, ctx, &r);
    if (good > 0 && (memcmp(&r.key, key, sizeof(*key)) != 0 || r.cell != cell)) good = -1;
    if (good > 0 && p) {
        cachefs__unlock(&l2->lock, RANK_LEAF);
        int whole = cachefs__l2_unpack(p, r.packed, to, r.len);
        cachefs__lock(&l2->lock, RANK_LEAF);
        l2->stats.bad += !whole;
        good = whole ? 1 : -1;
    }
    if (p) cachefs__l2_packer_give(l2, p);
    return good;
}

/* The piece of one cell that has byte `at` of the file. *done: bytes of it. Locked. */
static apr_status_t read_piece(cachefs__l2_t *l2, const cachefs__l2_key_t *key,
                               const vfs_ctx_t *ctx, const vfs_iovec_t *iov, size_t count,
                               uint64_t off, uint64_t at, uint64_t end, uint64_t *done)
{
    uint64_t cell = at >> L2_CELL_SHIFT, base = cell << L2_CELL_SHIFT;
    uint8_t *scratch = NULL;
    cachefs__l2_row_t row;
    uint32_t slot, next;
    uint32_t i = cachefs__l2_index_find(&l2->index, cachefs__l2_tag(key, cell),
                                        (uint32_t)(at - base), &next);
    if (!i) return APR_NOTFOUND;
    cachefs__l2_index_get(&l2->index, i, &slot, &row);
    uint64_t start = base + row.from * L2_GRANULE, stop = start + row.len;
    uint64_t n = (stop < end ? stop : end) - at;
    uint8_t *to = start == at && n == row.len ? in_one(iov, count, at - off, n) : NULL;
    if (!to && !(scratch = malloc(L2_CELL))) return APR_ENOMEM;
    int good = load_plain(l2, key, cell, slot, &row, to ? to : scratch, ctx);
    if (good > 0 && scratch) spread(iov, count, at - off, scratch + (at - start), n);
    free(scratch);
    if (good < 0 && !cachefs__l2_moved(l2, i, slot, &row)) cachefs__l2_index_forget(&l2->index, i);
    if (good <= 0) return VFS_ECHECKSUM;
    if (!cachefs__l2_moved(l2, i, slot, &row)) cachefs__l2_index_use(&l2->index, i);
    l2->stats.hits++;
    l2->stats.hit_bytes += n;
    *done = n;
    return APR_SUCCESS;
}

apr_status_t cachefs__l2_read(cachefs__l2_t *l2, const cachefs__l2_key_t *key, const vfs_ctx_t *ctx,
                              uint64_t off, const vfs_iovec_t *iov, size_t count)
{
    uint64_t end = off, at = off, done;
    apr_status_t st = APR_SUCCESS;
    for (size_t i = 0; i < count; i++)
        end += iov[i].len;
    CACHE_NO_LOCKS_HELD();
    cachefs__lock(&l2->lock, RANK_LEAF);
    if (cachefs__l2_aside(l2)) st = VFS_EOFFLINE;
    while (at < end && !st) {
        st = read_piece(l2, key, ctx, iov, count, off, at, end, &done);
        if (!st) at += done;
    }
    if (st) l2->stats.misses++;
    cachefs__unlock(&l2->lock, RANK_LEAF);
    return st;
}

/* ---- forgetting */

/* So much was done under the lock at once: let others have it. A mutex is not fair, so that takes a
 * nap. Locked; unlocks meanwhile. */
static void breathe(cachefs__l2_t *l2)
{
    static const struct timespec nap = {0, 50000};
    cachefs__unlock(&l2->lock, RANK_LEAF);
    (void)nanosleep(&nap, NULL); /* a shorter one will do */
    cachefs__lock(&l2->lock, RANK_LEAF);
}

/* All records that there are. Locked; unlocks meanwhile. Nothing is moved until it is done: so none
 * gets behind us. */
static void clear(cachefs__l2_t *l2)
{
    l2->clearing = 1;
    l2->forgetting++;
    for (uint32_t i = 1; i < l2->index.high; i++) {
        cachefs__l2_index_forget(&l2->index, i);
        if (i % AT_ONCE == 0) breathe(l2);
    }
    l2->forgetting--;
    pthread_cond_signal(&l2->work);
}

void cachefs__l2_forget(cachefs__l2_t *l2, const cachefs__l2_key_t *key, uint64_t size)
{
    uint64_t cells = (size + L2_CELL - 1) >> L2_CELL_SHIFT;
    cachefs__lock(&l2->lock, RANK_LEAF);
    if (cells > L2_FORGET_MAX) {
        clear(l2);
        cells = 0;
    }
    for (uint64_t cell = 0; cell < cells; cell++) {
        uint64_t tag = cachefs__l2_tag(key, cell);
        for (uint32_t at = 0, next = 0; at < L2_CELL; at = next) {
            uint32_t i = cachefs__l2_index_find(&l2->index, tag, at, &next);
            if (i) cachefs__l2_index_forget(&l2->index, i);
            if (i) next = at; /* another one may have the same */
        }
        if (cell % AT_ONCE == AT_ONCE - 1) breathe(l2);
    }
    cachefs__unlock(&l2->lock, RANK_LEAF);
}

void cachefs__l2_clear(cachefs__l2_t *l2)
{
    cachefs__lock(&l2->lock, RANK_LEAF);
    clear(l2);
    cachefs__unlock(&l2->lock, RANK_LEAF);
}

int cachefs__l2_hinted(cachefs__l2_t *l2, const cachefs__l2_key_t *key)
{
    cachefs__lock(&l2->lock, RANK_LEAF);
    uint32_t i = L2_NONE; /* of what cannot be read nothing is known */
    if (!l2->breaker.open) i = cachefs__l2_index_hint(&l2->index, cachefs__l2_tag(key, 0));
    if (i) cachefs__l2_index_use(&l2->index, i);
    cachefs__unlock(&l2->lock, RANK_LEAF);
    return i != L2_NONE;
}
