/*
 * flush.c - one flush: the dirty data of an object goes below.
 * Floor 2, private to cachefs/.
 *
 * A flush takes the object's dirty blocks as they are now, each with its sequence, writes them
 * below in order of their offset, neighbours together, and makes a block clean only if its sequence
 * is still the same: a block that was written meanwhile stays dirty.
 */
#include "cachefs/copy.h"
#include "cachefs/engine.h"

#define BATCH 252u /* blocks that one round of a flush takes: of 16 KiB, a large stage */
#define FAR_STAGE_WORTH (256u << 10) /* bytes that one call takes below without the large stage */

/* ---- staging */

apr_status_t cachefs__stage_get(cache_t *c, const vfs_ctx_t *ctx, uint32_t *chunk, size_t *size)
{
    apr_status_t st = APR_SUCCESS;
    for (uint32_t bytes = 256u << 10; bytes >= 16u << 10; bytes /= 4) {
        if (cachefs__class_of(&c->arena, bytes) == ARENA_CLASSES) continue;
        *size = bytes;
        *chunk = cachefs__chunk_get(c, bytes, OWNER_PRIVATE | 5, 0, 1);
        if (*chunk) return APR_SUCCESS;
    }
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    while (c->stage_busy && !st)
        st = cachefs__wait(&c->wb_cond, &c->wb_lock, ctx, 0);
    if (!st) c->stage_busy = 1;
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    *chunk = c->stage_chunk;
    *size = cachefs__class_bytes(cachefs__arena_class(&c->arena, c->stage_chunk));
    return st;
}

void cachefs__stage_put(cache_t *c, uint32_t chunk)
{
    if (chunk != c->stage_chunk) {
        cachefs__chunk_put(c, chunk);
        return;
    }
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    c->stage_busy = 0;
    pthread_cond_broadcast(&c->wb_cond);
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
}

/* The large one, if the lower layer is far and nobody else has it. */
static uint8_t *far_stage_get(cache_t *c, size_t *size)
{
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    uint8_t *stage = c->far_stage_busy ? NULL : c->far_stage;
    if (stage) c->far_stage_busy = 1;
    *size = c->far_stage_bytes;
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    return stage;
}

static void far_stage_put(cache_t *c)
{
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    c->far_stage_busy = 0;
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
}

/* ---- a flush */

typedef struct piece_t {
    uint32_t block, no, seq, mask;
    uint32_t taken; /* its sequence when it was taken */
} piece_t;

static int piece_cmp(const void *a, const void *b)
{
    const piece_t *x = a, *y = b;
    return x->no < y->no ? -1 : x->no > y->no;
}

/* The blocks whose turn it is, in order of their offset; at most `most`. *lsn: their records are
 * not behind it. */
static size_t take_pieces(cache_t *c, obj_t *o, piece_t *p, size_t most, uint64_t *lsn)
{
    size_t n = 0;
    cachefs__obj_lock(c, o);
    for (uint32_t i = o->dirty_first; i != NONE && n < most; i = c->links[i].next)
        p[n++] = (piece_t){i, LOAD(c->blocks[i].no), 0, 0, cachefs__block_seq(&c->blocks[i])};
    *lsn = o->j_last;
    cachefs__obj_unlock(c, o);
    qsort(p, n, sizeof(*p), piece_cmp);
    return n;
}

/* Bytes on their way below: `len` of them, for offset `at` of the file. */
typedef struct stage_t {
    uint32_t chunk; /* NONE: it is the large one */
    uint8_t *buf;
    size_t size, len;
    uint64_t at;
    uint64_t lsn, sure;  /* the last record of it, and of what is known to be durable */
    int tried;           /* something was written, or may have been */
    vfs_validator_t val; /* what the last write brought */
} stage_t;

/* Copy the dirty granules of a block to the stage, as far as they go on where it ends and fit. 0:
 * some are left. Object and shard locked. */
static int stage_granules(cache_t *c, const obj_t *o, piece_t *p, stage_t *st)
{
    const block_t *b = &c->blocks[p->block];
    uint32_t shift = LOAD(o->shift), g = cachefs__granule(shift);
    uint32_t cap = cachefs__class_bytes(LOAD(b->bits) >> BLOCK_CLASS_SHIFT & 15);
    uint64_t base = (uint64_t)p->no << shift, size = LOAD(o->size);
    const uint8_t *data = cachefs__chunk_ptr(&c->arena, LOAD(b->data));
    for (uint32_t k = 0; k < 16; k++) {
        uint64_t off = base + (uint64_t)k * g;
        if (!(p->mask & 1u << k)) continue;
        VFS_ASSERT(off < size);
        uint32_t n = size - off < g ? (uint32_t)(size - off) : g;
        if (st->len && (st->at + st->len != off || st->len + n > st->size)) return 0;
        if (!st->len) st->at = off;
        uint32_t in = k * g >= cap ? 0 : k * g + n > cap ? cap - k * g : n;
        memcpy(st->buf + st->len, data + (size_t)k * g, in);
        memset(st->buf + st->len + in, 0, n - in);
        st->len += n;
        p->mask &= ~(1u << k);
    }
    return 1;
}

/* The same for a block that may have left, or been written to, meanwhile. The object's lock, since
 * a write tells its bytes and the new end of the file under it: between the two, bytes behind the
 * old end would be taken for no part of the file, and their block for clean. */
static int stage_block(cache_t *c, obj_t *o, piece_t *p, stage_t *st)
{
    block_t *b = &c->blocks[p->block];
    int whole = 1;
    cachefs__obj_lock(c, o);
    shard_t *s = cachefs__block_shard(c, cachefs__mix(LOAD(o->ver), p->no));
    cachefs__lock(&s->lock, RANK_SHARD);
    if (LOAD(b->ver) != LOAD(o->ver) || LOAD(b->no) != p->no || !(LOAD(b->bits) & BLOCK_DIRTY)) {
        p->mask = 0; /* cut away meanwhile */
    } else {
        if (!p->mask) {
            p->mask = c->links[p->block].word;
            p->seq = cachefs__block_seq(b);
        } else if (p->seq != cachefs__block_seq(b)) {
            p->seq = cachefs__block_seq(b) | 1; /* never equal to an even one: it stays dirty */
        }
        if (p->taken != cachefs__block_seq(b)) st->lsn = o->j_last; /* written since */
        whole = stage_granules(c, o, p, st);
    }
    cachefs__unlock(&s->lock, RANK_SHARD);
    cachefs__obj_unlock(c, o);
    return whole;
}

/* These bytes are below: the file is at least so long there, which a truncation that is in doubt
 * compares with, and takes room for them. */
static void is_below(cache_t *c, obj_t *o, uint64_t at, uint64_t len)
{
    cachefs__obj_lock(c, o);
    if (o->attr.size < at + len) o->attr.size = at + len;
    cachefs__attr_grow(&o->attr, o->attr.size, len);
    cachefs__obj_unlock(c, o);
}

static apr_status_t stage_write(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, stage_t *stage)
{
    vfs_file_t *file;
    size_t written = 0;
    int64_t start = cachefs__clock_us();
    if (!stage->len) return APR_SUCCESS;
    apr_status_t st = cachefs__lower_use(c, o, ctx, LOWER_WRITE, &file);
    if (st) return st;
    cachefs__durable_before(c, o, stage->lsn, &stage->sure);
    CACHE_NO_LOCKS_HELD();
    stage->tried = 1;
    memset(&stage->val, 0, sizeof(stage->val));
    st = vfs_call_write_at(file, ctx, stage->buf, stage->len, (apr_off_t)stage->at, &written,
                           &stage->val);
    if (!st) is_below(c, o, stage->at, stage->len);
    cachefs__lower_done(c, o);
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    cachefs__count(&c->counters, CNT_BACKEND_WRITES, 1);
    cachefs__count(&c->counters, CNT_BACKEND_WRITE_BYTES, written);
    if (c->lat[LAT_BACKEND_WRITE])
        metrics_record(c->lat[LAT_BACKEND_WRITE], (uint64_t)(cachefs__clock_us() - start) * 1000);
    stage->len = 0;
    return st;
}

/* The hand-over: what is below as it was taken is clean, if it is still the same. */
static void settle_pieces(cache_t *c, obj_t *o, const piece_t *p, size_t n)
{
    cachefs__obj_lock(c, o);
    for (size_t k = 0; k < n; k++) {
        block_t *b = &c->blocks[p[k].block];
        shard_t *s = cachefs__block_shard(c, cachefs__mix(atomic_load(&o->ver), p[k].no));
        cachefs__lock(&s->lock, RANK_SHARD);
        int ours = LOAD(b->ver) == atomic_load(&o->ver) && LOAD(b->no) == p[k].no &&
                   (LOAD(b->bits) & BLOCK_DIRTY);
        if (ours && cachefs__block_seq(b) == p[k].seq)
            cachefs__dirty_to_clean(c, o, s, p[k].block); /* invariant 6 */
        else if (ours)
            cachefs__dirty_to_last(c, o, p[k].block);
        cachefs__unlock(&s->lock, RANK_SHARD);
    }
    cachefs__obj_unlock(c, o);
}

static apr_status_t flush_batch(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, piece_t *p, size_t n,
                                stage_t *stage)
{
    apr_status_t st = APR_SUCCESS;
    size_t from = 0;
    for (size_t k = 0; k < n && !st;) {
        if (stage_block(c, o, &p[k], stage)) {
            k++;
            if (k < n) continue;
        }
        st = stage_write(c, o, ctx, stage);
        if (st) break;
        settle_pieces(c, o, p + from, k - from); /* those whose last byte is below */
        from = k;
    }
    return st;
}

apr_status_t cachefs__dirty_visit(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, cachefs__dirty_fn fn,
                                  void *baton)
{
    stage_t stage = {0};
    cachefs__obj_lock(c, o);
    size_t n = o->dirty_blocks;
    cachefs__obj_unlock(c, o);
    if (!n) return APR_SUCCESS;
    piece_t *p = malloc(n * sizeof(*p));
    if (!p) return APR_ENOMEM;
    apr_status_t st = cachefs__stage_get(c, ctx, &stage.chunk, &stage.size);
    if (!st) {
        stage.buf = cachefs__chunk_ptr(&c->arena, stage.chunk);
        n = take_pieces(c, o, p, n, &stage.lsn);
        for (size_t k = 0; k < n && !st;) {
            if (stage_block(c, o, &p[k], &stage) && ++k < n) continue;
            if (stage.len) st = fn(baton, stage.at, stage.buf, stage.len);
            stage.len = 0;
        }
        cachefs__stage_put(c, stage.chunk);
    }
    free(p);
    return st;
}

/* All is below: the time of the last write becomes the file's own. 1: it was set. Flush and change
 * begun. */
static int set_time(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    vfs_file_t *file;
    cachefs__obj_lock(c, o);
    int64_t mtime = o->dirty_bytes ? 0 : o->local_mtime_ns;
    cachefs__obj_unlock(c, o);
    if (!mtime || cachefs__lower_use(c, o, ctx, LOWER_WRITE, &file)) return 0;
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    CACHE_NO_LOCKS_HELD();
    (void)vfs_call_futimens(file, ctx, VFS_TIME_OMIT,
                            mtime); /* a backend without times keeps its own */
    cachefs__lower_done(c, o);
    return 1;
}

/* Behind whoever flushes it, and behind all with one of these flags. */
static apr_status_t begin(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint32_t flags)
{
    apr_status_t st = APR_SUCCESS;
    cachefs__obj_lock(c, o);
    while ((o->flushing || (o->flags & flags)) && !st)
        st = cachefs__obj_wait(c, o, ctx, 0);
    if (!st) o->flushing = 1;
    cachefs__obj_unlock(c, o);
    return st;
}

apr_status_t cachefs__flush_begin(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    return begin(c, o, ctx, 0);
}

void cachefs__flush_end(cache_t *c, obj_t *o)
{
    cachefs__lowers_t idle = {.file = NULL};
    cachefs__obj_lock(c, o);
    while (o->dirty_blocks && (o->flags & OBJ_UNLINKED) && !o->handles) {
        cachefs__obj_unlock(c, o); /* contract: it goes with the last name and the last handle */
        (void)cachefs__dirty_discard(c, o, 0);
        cachefs__obj_lock(c, o);
    }
    o->flushing = 0;
    if (cachefs__lower_unused(o)) idle = cachefs__lower_take(o);
    cachefs__obj_wake(c, o);
    cachefs__obj_unlock(c, o);
    (void)cachefs__lower_close(c, o, &idle); /* all data was written with its own status */
}

/* What the flush that began at `start` came to. What is dirty still became so later, or failed. */
static void note_result(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, int64_t start, apr_status_t st)
{
    /* the caller had no more time: that says nothing about the file */
    int gave_up = (APR_STATUS_IS_TIMEUP(st) || st == VFS_ECANCELED) && vfs_ctx_check(ctx);
    cachefs__obj_lock(c, o);
    if (st && !gave_up) {
        cachefs__retry_later(c, o, st);
    } else if (!st) {
        cachefs__retry_over(c, o);
        atomic_store(&o->dirty_since_us, start);
        cachefs__count(&c->counters, CNT_FLUSHES, 1);
    }
    int drop = cachefs__dirty_done(c, o);
    cachefs__obj_unlock(c, o);
    if (drop) cachefs__obj_put(c, o);
}

static apr_status_t flush_stage_get(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, stage_t *stage)
{
    cachefs__obj_lock(c, o);
    uint64_t dirty = o->dirty_bytes;
    cachefs__obj_unlock(c, o);
    if (dirty > FAR_STAGE_WORTH) stage->buf = far_stage_get(c, &stage->size);
    if (stage->buf) return APR_SUCCESS;
    apr_status_t st = cachefs__stage_get(c, ctx, &stage->chunk, &stage->size);
    if (!st) stage->buf = cachefs__chunk_ptr(&c->arena, stage->chunk);
    return st;
}

/* Write what is dirty now. A block that is written meanwhile goes to the end of the list, so after
 * as many blocks as there were all that was dirty at the beginning is below, and a writer that
 * never stops does not keep us for ever. */
static apr_status_t write_dirty(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, stage_t *stage)
{
    piece_t p[BATCH];
    apr_status_t st = APR_SUCCESS;
    cachefs__obj_lock(c, o);
    size_t left = o->dirty_blocks;
    cachefs__obj_unlock(c, o);
    while (left && !st) {
        size_t n = take_pieces(c, o, p, left < BATCH ? left : BATCH, &stage->lsn);
        if (!n) break;
        st = flush_batch(c, o, ctx, p, n, stage);
        left -= n;
    }
    return st;
}

/* Flush begun. From the first write to the time all is one change of ours; after it one question
 * tells the version that it made, or how far it came. */
static apr_status_t flush_dirty(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    stage_t stage = {0};
    int theirs = 0;
    apr_status_t st = cachefs__settle(c, o, ctx);
    if (!st) st = cachefs__conflict(c, o, ctx, &theirs);
    if (st || theirs) return st;
    st = flush_stage_get(c, o, ctx, &stage);
    if (st) return st;
    uint64_t since = cachefs__obj_flush_begin(c, o);
    st = write_dirty(c, o, ctx, &stage);
    int timed = !st && set_time(c, o, ctx);
    if (stage.tried) cachefs__below_staged(c, o);
    cachefs__obj_changed(c, o, stage.tried || timed, since, st || timed ? NULL : &stage.val);
    if (stage.chunk)
        cachefs__stage_put(c, stage.chunk);
    else
        far_stage_put(c);
    if (timed || (st && stage.tried))
        (void)cachefs__obj_ask(c, o, ctx, NULL); /* who cannot be asked leaves it open */
    return st;
}

apr_status_t cachefs__flush_hold(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    int64_t start = cachefs__clock_us();
    apr_status_t st = begin(c, o, ctx, OBJ_COMMITTING);
    if (st) return st;
    cachefs__obj_lock(c, o);
    int idle = !o->dirty_bytes, again = o->retry_wait_us != 0;
    cachefs__obj_unlock(c, o);
    if (idle) return APR_SUCCESS;
    if (again) cachefs__count(&c->counters, CNT_FLUSH_RETRIES, 1);
    st = flush_dirty(c, o, ctx);
    note_result(c, o, ctx, start, st);
    if (c->lat[LAT_FLUSH])
        metrics_record(c->lat[LAT_FLUSH], (uint64_t)(cachefs__clock_us() - start) * 1000);
    if (!st) return APR_SUCCESS;
    cachefs__flush_end(c, o);
    char text[100];
    cachefs__log(c, 1, "flush failed, the data stays dirty and is tried again: %s",
                 vfs_strerror(st, text, sizeof(text)));
    return st;
}

apr_status_t cachefs__flush_data(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    cachefs__obj_lock(c, o);
    int idle = !o->dirty_bytes && !o->flushing;
    cachefs__obj_unlock(c, o);
    if (idle) return APR_SUCCESS;
    apr_status_t st = cachefs__flush_hold(c, o, ctx);
    if (!st) cachefs__flush_end(c, o);
    return st;
}

apr_status_t cachefs__flush_obj(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    cachefs__obj_lock(c, o);
    int idle = !o->dirty_bytes && !o->flushing;
    cachefs__obj_unlock(c, o);
    if (idle) return cachefs__commit_below(c, o, ctx);
    apr_status_t st = cachefs__flush_hold(c, o, ctx);
    if (st) return st;
    int used = cachefs__lower_here(c, o) != NULL; /* so that no close below does the commit */
    cachefs__flush_end(c, o);
    st = cachefs__commit_below(c, o, ctx);
    if (used) cachefs__lower_done(c, o);
    return st;
}

apr_status_t cachefs__pending_error(cache_t *c, handle_t *h)
{
    apr_status_t st = APR_SUCCESS;
    if (atomic_load_explicit(&h->err_seen, memory_order_relaxed) ==
        atomic_load_explicit(&h->obj->err_seq, memory_order_acquire))
        return st;
    cachefs__obj_lock(c, h->obj);
    if (h->err_seen != h->obj->err_seq) {
        h->err_seen = h->obj->err_seq;
        st = h->obj->err;
    }
    cachefs__obj_unlock(c, h->obj);
    return st;
}
