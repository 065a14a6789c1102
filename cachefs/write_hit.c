/*
 * write_hit.c - the call to write, and writes of write-back whose block is in memory.
 * Floor 2, private to cachefs/.
 *
 * A gate holds others off while a call goes below. A write that only changes memory calls nobody,
 * so what a gate does for others the object's lock does: nobody enters one between our look at the
 * gates and the last byte. What is not so simple (an end that moves, a granule that is not there, a
 * limit, a conflict) is left to cachefs__write, which goes step by step.
 */
#include "cachefs/engine.h"

#define LOAD(x) atomic_load_explicit(&(x), memory_order_relaxed)

/* Nobody works on the range, and it is known what the file is below. Object locked. */
static int is_quiet(const obj_t *o, uint64_t from, uint64_t to)
{
    return !(o->flags & (OBJ_DOUBT | OBJ_SETTLING | OBJ_OWN_CHANGE)) &&
           !cachefs__gate_met(o, from, to);
}

/* Write over bytes [from, to) of a block, and make them dirty. Object and shard locked. */
static int overwrite(cache_t *c, obj_t *o, shard_t *s, uint32_t i, uint32_t shift, uint32_t from,
                     uint32_t to, const uint8_t *buf)
{
    const block_t *b = &c->blocks[i];
    uint32_t bits = LOAD(b->bits), granules = cachefs__granules(shift, from, to), clean = granules;
    uint64_t bytes = 0;
    if ((granules & ~bits) || to > cachefs__class_bytes(bits >> BLOCK_CLASS_SHIFT & 15)) return 0;
    if (LOAD(b->mark) >= MARK_BORROW) return 0; /* it must move away from who borrowed it */
    if (bits & BLOCK_DIRTY) clean &= ~c->links[i].word;
    if (clean) bytes = (uint64_t)__builtin_popcount(clean) * cachefs__granule(shift);
    if (!cachefs__dirty_try(c, bytes)) return 0;
    cachefs__block_overwrite(c, i, from, to, buf);
    if (!clean) return 1;
    cachefs__block_unlist(c, s, i);
    cachefs__dirty_add(c, o, i, clean);
    cachefs__block_rest(c, s, i, LOAD(o->pins) != 0);
    cachefs__dirty_unreserve(c, bytes);
    return 1;
}

/* All within one block that is there, before the end of the file. Object locked. */
static int write_locked(cache_t *c, obj_t *o, const uint8_t *buf, uint64_t len, uint64_t off)
{
    uint32_t shift = LOAD(o->shift);
    uint64_t ver = LOAD(o->ver), no = off >> shift, end = off + len;
    if (!shift || (end - 1) >> shift != no || end > LOAD(o->size) || !is_quiet(o, off, end))
        return 0;
    uint32_t from = (uint32_t)(off - (no << shift)), mix = cachefs__mix(ver, no);
    shard_t *s = cachefs__block_shard(c, mix);
    cachefs__lock(&s->lock, RANK_SHARD);
    uint32_t i = cachefs__block_find(c, ver, (uint32_t)no, mix);
    int done = i && overwrite(c, o, s, i, shift, from, from + (uint32_t)len, buf);
    cachefs__unlock(&s->lock, RANK_SHARD);
    if (done) o->local_mtime_ns = vfs_now_ns();
    return done;
}

static int write_hit(cache_t *c, handle_t *h, const uint8_t *buf, size_t len, apr_off_t off)
{
    if (c->mode != CACHEFS_BACK || off == VFS_OFFSET_END || (h->base.flags & VFS_O_DIRECT))
        return 0;
    if (len > 1u << BLOCK_SHIFT_MAX) return 0;
    cachefs__obj_lock(c, h->obj);
    int done = write_locked(c, h->obj, buf, len, (uint64_t)off);
    cachefs__obj_unlock(c, h->obj);
    return done;
}

/* As of hits that read, one in SAMPLE_HITS is timed. */
static int write_fast(cache_t *c, handle_t *h, const uint8_t *buf, size_t len, apr_off_t off)
{
    int timed = cachefs__counter_here(&c->counters, CNT_WRITES) % SAMPLE_HITS == 0;
    uint64_t start = timed ? cachefs__clock_ns() : 0;
    if (!write_hit(c, h, buf, len, off)) return 0;
    if (timed) metrics_record_n(c->lat[LAT_WRITE], cachefs__clock_ns() - start, SAMPLE_HITS);
    return 1;
}

static apr_status_t write_slow(cache_t *c, handle_t *h, const vfs_ctx_t *ctx, const uint8_t *buf,
                               size_t len, apr_off_t off, size_t *written,
                               vfs_validator_t *validator)
{
    uint64_t start = cachefs__clock_ns();
    apr_status_t st = cachefs__write(c, h, ctx, buf, len, off, written, validator);
    metrics_record(c->lat[LAT_WRITE], cachefs__clock_ns() - start);
    return st;
}

apr_status_t cachefs_op_write_at(vfs_file_t *file, const vfs_ctx_t *ctx, const void *buf,
                                 size_t len, apr_off_t off, size_t *written,
                                 vfs_validator_t *validator)
{
    handle_t *h = cachefs__handle(file);
    cache_t *c = h->cache;
    apr_status_t st = APR_SUCCESS;
    if (write_fast(c, h, buf, len, off))
        *written = len;
    else
        st = write_slow(c, h, ctx, buf, len, off, written, validator);
    cachefs__count(&c->counters, CNT_WRITES, 1);
    cachefs__count(&c->counters, CNT_WRITTEN_BYTES, *written);
    if (!st &&
        (file->flags & VFS_O_SYNC)) /* the handle below is everybody's: it has no such flag */
        st = cachefs_op_sync(file, ctx, VFS_SYNC_DATA);
    return st;
}
