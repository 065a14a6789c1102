/*
 * write_hit.c - the call to write, and writes that find their block in memory.
 * Floor 2, private to cachefs/.
 *
 * A gate holds others off while a call goes below. A write of write-back that only changes memory
 * calls nobody, so what a gate does for others the object's lock does: nobody enters one between
 * our look at the gates and the last byte. A write through takes the gate and the handle below
 * under one lock, and gives both back under the lock under which the block gets the bytes. What is
 * not so simple (an end that moves, a granule that is not there, a limit, a conflict, an error) is
 * left to cachefs__write and its parts, which go step by step.
 */
#include "cachefs/engine.h"

/* Nobody works on the range, and it is known what the file is below. Object locked. */
static int is_quiet(const obj_t *o, uint64_t from, uint64_t to)
{
    return !(o->flags & (OBJ_DOUBT | OBJ_SETTLING | OBJ_OWN_CHANGE)) &&
           !cachefs__gate_met(o, from, to);
}

/* A piece of a block, and where it is. */
typedef struct spot_t {
    shard_t *shard;
    uint64_t ver;
    uint32_t no, mix, shift;
    uint32_t from, to;
} spot_t;

/* All lies within one block, and before the end of the file? Object locked. */
static int find_spot(cache_t *c, const obj_t *o, uint64_t off, uint64_t len, spot_t *at)
{
    uint32_t shift = LOAD(o->shift);
    uint64_t no = off >> shift, end = off + len;
    if (!shift || (end - 1) >> shift != no || end > LOAD(o->size)) return 0;
    uint64_t ver = LOAD(o->ver);
    uint32_t from = (uint32_t)(off - (no << shift)), mix = cachefs__mix(ver, no);
    *at = (spot_t){cachefs__block_shard(c, mix), ver, (uint32_t)no, mix, shift, from,
                   from + (uint32_t)len};
    return 1;
}

/* Are these bytes valid and in memory? Shard locked. */
static int can_write(const block_t *b, const spot_t *at)
{
    uint32_t bits = LOAD(b->bits);
    return !(cachefs__granules(at->shift, at->from, at->to) & ~bits) &&
           at->to <= cachefs__class_bytes(bits >> BLOCK_CLASS_SHIFT & 15);
}

/* ---- back */

/* Write over a piece of a block, and make it dirty. Object and shard locked. */
static int make_dirty(cache_t *c, obj_t *o, const spot_t *at, uint32_t i, const uint8_t *buf)
{
    uint32_t granules = cachefs__granules(at->shift, at->from, at->to), clean = granules;
    uint64_t bytes = 0;
    if (!can_write(&c->blocks[i], at)) return 0;
    if (LOAD(c->blocks[i].bits) & BLOCK_DIRTY) clean &= ~c->links[i].word;
    if (clean) bytes = (uint64_t)__builtin_popcount(clean) * cachefs__granule(at->shift);
    if (!cachefs__dirty_try(c, bytes)) return 0;
    int done = cachefs__block_overwrite(c, i, at->from, at->to, buf); /* else it is borrowed */
    if (done && clean) { /* before the change ends: nobody borrows what is dirty */
        cachefs__block_unlist(c, at->shard, i);
        cachefs__dirty_add(c, o, i, clean);
        cachefs__block_rest(c, at->shard, i, LOAD(o->pins) != 0);
    }
    if (done) cachefs__block_overwritten(c, i);
    if (clean) cachefs__dirty_unreserve(c, bytes);
    return done;
}

/* Object locked. */
static int back_locked(cache_t *c, obj_t *o, const uint8_t *buf, uint64_t len, uint64_t off)
{
    spot_t at;
    if (!find_spot(c, o, off, len, &at) || !is_quiet(o, off, off + len)) return 0;
    cachefs__lock(&at.shard->lock, RANK_SHARD);
    uint32_t i = cachefs__block_find(c, at.ver, at.no, at.mix);
    int done = i && make_dirty(c, o, &at, i, buf);
    cachefs__unlock(&at.shard->lock, RANK_SHARD);
    if (done) o->local_mtime_ns = vfs_now_ns();
    return done;
}

static int write_back(cache_t *c, obj_t *o, const uint8_t *buf, uint64_t len, uint64_t off)
{
    cachefs__obj_lock(c, o);
    int done = back_locked(c, o, buf, len, off);
    cachefs__obj_unlock(c, o);
    return done;
}

/* ---- through */

#define AHEAD_BYTES 4096u /* behind them the processor sees by itself that we go on */
#define LINE 64u

/* The call below takes longer than memory: have the lines that the block's bytes will go to at hand
 * when it returns. A guess, without a lock. */
static void expect_write(cache_t *c, const obj_t *o, uint64_t off, uint64_t len)
{
    spot_t at;
    if (!find_spot(c, o, off, len, &at)) return;
    const block_t *b = &c->blocks[LOAD(*cachefs__head(c, at.mix))];
    if (LOAD(b->ver) != at.ver || LOAD(b->no) != at.no) return;
    const uint8_t *to = c->memory + (size_t)LOAD(b->data) * ARENA_UNIT + at.from;
    for (uint64_t k = 0; k < len && k < AHEAD_BYTES; k += LINE)
        __builtin_prefetch(to + k, 1, 1);
}

/* It is below: the block gets the bytes, and all that was begun ends. 0: nothing was done. */
static int through_end(cache_t *c, obj_t *o, gate_t *gate, const uint8_t *buf, uint64_t since,
                       const vfs_validator_t *val)
{
    spot_t at;
    uint32_t i = NONE;
    cachefs__lowers_t idle = {.file = NULL};
    cachefs__obj_lock(c, o);
    if (find_spot(c, o, gate->start, gate->end - gate->start, &at)) {
        cachefs__lock(&at.shard->lock, RANK_SHARD);
        i = cachefs__block_find(c, at.ver, at.no, at.mix);
        if (i && !can_write(&c->blocks[i], &at)) i = NONE;
        if (i && !cachefs__block_overwrite(c, i, at.from, at.to, buf)) i = NONE;
        if (i) cachefs__block_overwritten(c, i);
        cachefs__unlock(&at.shard->lock, RANK_SHARD);
    }
    if (i) {
        cachefs__obj_change_shut(c, o, 1, since, val);
        if (c->lower->caps.bits & VFS_CAP_STAGED) o->flags |= OBJ_STAGED;
        idle = cachefs__gate_lower_end(c, o, gate, APR_SUCCESS);
    }
    cachefs__obj_unlock(c, o);
    if (idle.old) (void)cachefs__lower_close(c, o, &idle); /* nothing was written through it */
    return i != NONE;
}

/* 0: nothing was done. */
static int write_through(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, const uint8_t *buf, size_t len,
                         uint64_t off, size_t *written, vfs_validator_t *val, apr_status_t *st)
{
    gate_t gate = {.start = off, .end = off + len, .kind = GATE_WRITE};
    uint64_t since = 0;
    cachefs__obj_lock(c, o);
    vfs_file_t *file = cachefs__gate_lower(o, &gate, LOWER_WRITE);
    if (file) since = cachefs__obj_change_open(c, o);
    cachefs__obj_unlock(c, o);
    if (!file) return 0;
    expect_write(c, o, off, len);
    *st = cachefs__write_below(c, o, file, ctx, buf, len, off, written, val);
    if (!*st && through_end(c, o, &gate, buf, since, val)) return 1;
    cachefs__pieces_t all = {&(vfs_iovec_t){(void *)(uintptr_t)buf, len}, 1};
    cachefs__write_known(c, o, &all, len, off, 1, *st, *written, since, val);
    cachefs__lower_done(c, o);
    cachefs__gate_leave(c, o, &gate, APR_SUCCESS);
    return 1;
}

/* ---- all modes */

static int write_hit(cache_t *c, handle_t *h, const vfs_ctx_t *ctx, const uint8_t *buf, size_t len,
                     apr_off_t off, size_t *written, vfs_validator_t *val, apr_status_t *st)
{
    if (off == VFS_OFFSET_END || (h->base.flags & VFS_O_DIRECT) || len > 1u << BLOCK_SHIFT_MAX)
        return 0;
    if (c->mode == CACHEFS_THROUGH)
        return write_through(c, h->obj, ctx, buf, len, (uint64_t)off, written, val, st);
    if (c->mode != CACHEFS_BACK || c->journal || !write_back(c, h->obj, buf, len, (uint64_t)off))
        return 0;
    *written = len;
    return 1;
}

/* As of hits that read, one in SAMPLE_HITS is timed; what it waits for below is, each time. */
static int write_fast(cache_t *c, handle_t *h, const vfs_ctx_t *ctx, const uint8_t *buf, size_t len,
                      apr_off_t off, size_t *written, vfs_validator_t *val, apr_status_t *st)
{
    int timed = cachefs__counter_here(&c->counters, CNT_WRITES) % SAMPLE_HITS == 0;
    uint64_t start = timed ? cachefs__clock_ns() : 0;
    if (!write_hit(c, h, ctx, buf, len, off, written, val, st)) return 0;
    if (timed) metrics_record_n(c->lat[LAT_WRITE], cachefs__clock_ns() - start, SAMPLE_HITS);
    return 1;
}

static apr_status_t write_slow(cache_t *c, handle_t *h, const vfs_ctx_t *ctx,
                               const cachefs__pieces_t *buf, size_t len, apr_off_t off,
                               size_t *written, vfs_validator_t *validator)
{
    uint64_t start = cachefs__clock_ns();
    apr_status_t st = cachefs__write(c, h, ctx, buf, len, off, written, validator);
    metrics_record(c->lat[LAT_WRITE], cachefs__clock_ns() - start);
    return st;
}

/* The handle below is everybody's: it has no flag to sync. */
static apr_status_t written_now(cache_t *c, vfs_file_t *file, const vfs_ctx_t *ctx, size_t written,
                                apr_status_t st)
{
    cachefs__count(&c->counters, CNT_WRITES, 1);
    cachefs__count(&c->counters, CNT_WRITTEN_BYTES, written);
    return !st && (file->flags & VFS_O_SYNC) ? cachefs_op_sync(file, ctx, VFS_SYNC_DATA) : st;
}

apr_status_t cachefs_op_write_at(vfs_file_t *file, const vfs_ctx_t *ctx, const void *buf,
                                 size_t len, apr_off_t off, size_t *written,
                                 vfs_validator_t *validator)
{
    handle_t *h = cachefs__handle(file);
    cache_t *c = h->cache;
    apr_status_t st = APR_SUCCESS;
    if (!write_fast(c, h, ctx, buf, len, off, written, validator, &st)) {
        cachefs__pieces_t all = {&(vfs_iovec_t){(void *)(uintptr_t)buf, len}, 1};
        st = write_slow(c, h, ctx, &all, len, off, written, validator);
    }
    return written_now(c, file, ctx, *written, st);
}

apr_status_t cachefs_op_writev_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                  size_t count, apr_off_t off, size_t *written,
                                  vfs_validator_t *validator)
{
    handle_t *h = cachefs__handle(file);
    cachefs__pieces_t all = {iov, count};
    size_t len = (size_t)cachefs__pieces_bytes(&all);
    const void *one = cachefs__pieces_at(&all, 0, len);
    if (one) return cachefs_op_write_at(file, ctx, one, len, off, written, validator);
    apr_status_t st = write_slow(h->cache, h, ctx, &all, len, off, written, validator);
    return written_now(h->cache, file, ctx, *written, st);
}
