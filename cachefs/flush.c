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

#define LOAD(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define BATCH 128u /* blocks that one round of a flush takes */

/* ---- staging
 * ---------------------------------------------------------------------------------------------- */

uint32_t cachefs__stage_get(cache_t *c, size_t *size)
{
    for (uint32_t bytes = 256u << 10; bytes >= 16u << 10; bytes /= 4) {
        if (cachefs__class_of(&c->arena, bytes) == ARENA_CLASSES) continue;
        *size = bytes;
        uint32_t chunk = cachefs__chunk_get(c, bytes, OWNER_PRIVATE | 5, 0, 1);
        if (chunk) return chunk;
    }
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    while (c->stage_busy)
        pthread_cond_wait(&c->wb_cond, &c->wb_lock);
    c->stage_busy = 1;
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    *size = cachefs__class_bytes(cachefs__arena_class(&c->arena, c->stage_chunk));
    return c->stage_chunk;
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

/* ---- a flush
 * -------------------------------------------------------------------------------------------------
 */

typedef struct piece_t {
    uint32_t block, no, seq, mask;
} piece_t;

static int piece_cmp(const void *a, const void *b)
{
    const piece_t *x = a, *y = b;
    return x->no < y->no ? -1 : x->no > y->no;
}

static size_t take_pieces(cache_t *c, obj_t *o, piece_t *p)
{
    size_t n = 0;
    cachefs__obj_lock(c, o);
    for (uint32_t i = o->dirty_first; i != NONE && n < BATCH; i = c->links[i].next)
        p[n++] = (piece_t){i, LOAD(c->blocks[i].no), 0, 0};
    cachefs__obj_unlock(c, o);
    qsort(p, n, sizeof(*p), piece_cmp);
    return n;
}

/* Bytes on their way below: `len` of them, for offset `at` of the file. */
typedef struct stage_t {
    uint32_t chunk;
    uint8_t *buf;
    size_t size, len;
    uint64_t at;
} stage_t;

/* Copy the dirty granules of a block to the stage, as far as they go on where it ends and fit. 0:
 * some are left. */
static int stage_block(cache_t *c, obj_t *o, piece_t *p, stage_t *st)
{
    block_t *b = &c->blocks[p->block];
    uint32_t shift = atomic_load(&o->shift), g = cachefs__granule(shift);
    uint64_t base = (uint64_t)p->no << shift;
    shard_t *s = cachefs__block_shard(c, cachefs__mix(atomic_load(&o->ver), p->no));
    int whole = 1;
    cachefs__lock(&s->lock, RANK_SHARD);
    if (LOAD(b->ver) != atomic_load(&o->ver) || LOAD(b->no) != p->no ||
        !(LOAD(b->bits) & BLOCK_DIRTY)) {
        p->mask = 0; /* cut away meanwhile */
        cachefs__unlock(&s->lock, RANK_SHARD);
        return 1;
    }
    if (!p->mask) {
        p->mask = c->links[p->block].word;
        p->seq = LOAD(b->seq);
    } else if (p->seq != LOAD(b->seq)) {
        p->seq = LOAD(b->seq) | 1; /* never equal to an even one: it stays dirty */
    }
    uint32_t cap = cachefs__class_bytes(LOAD(b->bits) >> BLOCK_CLASS_SHIFT & 15);
    uint64_t size = atomic_load(&o->size);
    uint8_t *data = cachefs__chunk_ptr(&c->arena, LOAD(b->data));
    for (uint32_t k = 0; k < 16; k++) {
        uint64_t off = base + (uint64_t)k * g;
        if (!(p->mask & 1u << k)) continue;
        if (off >= size) { /* a write that has not told its new size yet: it stays dirty */
            p->mask &= ~(1u << k);
            p->seq |= 1;
            continue;
        }
        uint32_t n = size - off < g ? (uint32_t)(size - off) : g;
        if (st->len && (st->at + st->len != off || st->len + n > st->size)) {
            whole = 0;
            break;
        }
        if (!st->len) st->at = off;
        uint32_t in = k * g >= cap ? 0 : k * g + n > cap ? cap - k * g : n;
        memcpy(st->buf + st->len, data + (size_t)k * g, in);
        memset(st->buf + st->len + in, 0, n - in);
        st->len += n;
        p->mask &= ~(1u << k);
    }
    cachefs__unlock(&s->lock, RANK_SHARD);
    return whole;
}

/* The file is at least `size` bytes long below: a truncation that is in doubt compares with it. */
static void size_below(cache_t *c, obj_t *o, uint64_t size)
{
    cachefs__obj_lock(c, o);
    if (o->attr.size < size) o->attr.size = size;
    cachefs__obj_unlock(c, o);
}

static apr_status_t stage_write(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, stage_t *stage)
{
    vfs_file_t *file;
    vfs_validator_t val;
    size_t written = 0;
    int64_t start = cachefs__clock_us();
    if (!stage->len) return APR_SUCCESS;
    apr_status_t st = cachefs__lower_use(c, o, ctx, 1, &file);
    if (st) return st;
    CACHE_NO_LOCKS_HELD();
    st = vfs_call_write_at(file, ctx, stage->buf, stage->len, (apr_off_t)stage->at, &written, &val);
    if (!st) size_below(c, o, stage->at + stage->len);
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
        if (LOAD(b->ver) == atomic_load(&o->ver) && LOAD(b->no) == p[k].no &&
            (LOAD(b->bits) & BLOCK_DIRTY) && LOAD(b->seq) == p[k].seq)
            cachefs__dirty_to_clean(c, o, s, p[k].block); /* invariant 6 */
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

/* Times and version of the file that is clean now. Flush begun. */
static void learn_clean(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    vfs_file_t *file;
    vfs_attr_t attr;
    vfs_validator_t val;
    cachefs__obj_lock(c, o);
    int64_t mtime = o->dirty_bytes ? 0 : o->local_mtime_ns;
    uint64_t seq = o->changed_seq;
    cachefs__obj_unlock(c, o);
    if (!mtime || cachefs__lower_use(c, o, ctx, 1, &file)) return;
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 2);
    CACHE_NO_LOCKS_HELD();
    (void)vfs_call_futimens(file, ctx, VFS_TIME_OMIT,
                            mtime); /* a backend without times keeps its own */
    apr_status_t st = vfs_call_fstat(file, ctx, &attr, &val);
    cachefs__lower_done(c, o);
    cachefs__obj_lock(c, o);
    if (!o->dirty_bytes && o->changed_seq == seq && !o->changing) {
        o->local_mtime_ns = 0;
        if (!st && attr.size == atomic_load(&o->size)) {
            o->attr = attr;
            o->validator = val;
            o->checked_us = cachefs__now_us();
            o->flags &= ~(OBJ_ATTR_OLD | OBJ_OWN_CHANGE | OBJ_YOUNG);
            if (val.flags & VFS_VALIDATOR_YOUNG) o->flags |= OBJ_YOUNG;
        } else {
            o->flags |= OBJ_ATTR_OLD | OBJ_OWN_CHANGE;
        }
    }
    cachefs__obj_unlock(c, o);
}

apr_status_t cachefs__flush_begin(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    cachefs__ostripe_t *stripe = cachefs__stripe(c, o);
    apr_status_t st = APR_SUCCESS;
    cachefs__lock(&stripe->lock, RANK_OBJECT);
    while (o->flushing && !st)
        st = cachefs__wait(&stripe->cond, &stripe->lock, ctx, 0);
    if (!st) o->flushing = 1;
    cachefs__unlock(&stripe->lock, RANK_OBJECT);
    return st;
}

void cachefs__flush_end(cache_t *c, obj_t *o)
{
    cachefs__ostripe_t *stripe = cachefs__stripe(c, o);
    vfs_file_t *file = NULL;
    cachefs__lock(&stripe->lock, RANK_OBJECT);
    o->flushing = 0;
    if (!o->io && !o->handles && !o->dirty_bytes && !o->opening) {
        file = o->lower_file;
        o->lower_file = NULL;
    }
    pthread_cond_broadcast(&stripe->cond);
    cachefs__unlock(&stripe->lock, RANK_OBJECT);
    if (file) (void)vfs_close(file, NULL); /* all data was written with its own status */
}

static void note_result(cache_t *c, obj_t *o, apr_status_t st)
{
    int drop = 0;
    cachefs__obj_lock(c, o);
    if (st) {
        uint64_t least = atomic_load(&c->t.retry_min_us), most = atomic_load(&c->t.retry_max_us);
        uint64_t wait = o->retry_wait_us ? (uint64_t)o->retry_wait_us * 2 : least;
        if (wait > most) wait = most;
        o->retry_wait_us = (int64_t)wait;
        uint64_t jitter = (uint64_t)cachefs__clock_us() * 2654435761u % (wait / 4 + 1);
        o->retry_at_us = cachefs__clock_us() + (int64_t)(wait - jitter);
        o->err = st;
        o->err_seq++;
        cachefs__count(&c->counters, CNT_FLUSH_ERRORS, 1);
    } else {
        drop = cachefs__dirty_done(c, o);
        cachefs__count(&c->counters, CNT_FLUSHES, 1);
    }
    cachefs__obj_unlock(c, o);
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    pthread_cond_broadcast(&c->wb_cond); /* there may be room */
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    if (drop) cachefs__obj_put(c, o);
}

/* Some of it may be below: what is there now is ours, and what comes later is not. Who cannot be
 * asked leaves it open. */
static void learn_torn(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    vfs_file_t *file;
    vfs_attr_t attr;
    vfs_validator_t val;
    if (cachefs__lower_use(c, o, ctx, 0, &file)) return;
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    apr_status_t st = vfs_call_fstat(file, ctx, &attr, &val);
    cachefs__lower_done(c, o);
    if (st) return;
    size_below(c, o, attr.size);
    if (val.kind == VFS_VALIDATOR_NONE) return;
    cachefs__obj_lock(c, o);
    if (!o->changing) {
        o->validator = val;
        o->flags &= ~OBJ_OWN_CHANGE;
    }
    cachefs__obj_unlock(c, o);
}

static apr_status_t flush_dirty(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    piece_t p[BATCH];
    stage_t stage = {0};
    int theirs = 0;
    apr_status_t st = cachefs__settle(c, o, ctx);
    if (!st) st = cachefs__conflict(c, o, ctx, &theirs);
    if (st || theirs) return st;
    stage.chunk = cachefs__stage_get(c, &stage.size);
    stage.buf = cachefs__chunk_ptr(&c->arena, stage.chunk);
    cachefs__obj_lock(c, o);
    uint64_t left =
        (o->dirty_bytes >> 12) + BATCH; /* a writer that never stops must not keep us for ever */
    cachefs__obj_unlock(c, o);
    cachefs__obj_change_begin(c, o);
    while (!st) {
        size_t n = take_pieces(c, o, p);
        if (!n) break;
        st = flush_batch(c, o, ctx, p, n, &stage);
        if (left <= n) break;
        left -= n;
    }
    cachefs__obj_change_end(c, o, 1);
    cachefs__stage_put(c, stage.chunk);
    if (st) learn_torn(c, o, ctx);
    return st;
}

apr_status_t cachefs__flush_obj(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    int64_t start = cachefs__clock_us();
    cachefs__obj_lock(c, o);
    int idle = !o->dirty_bytes && !o->flushing;
    cachefs__obj_unlock(c, o);
    if (idle) return APR_SUCCESS;
    apr_status_t st = cachefs__flush_begin(c, o, ctx);
    if (st) return st;
    cachefs__obj_lock(c, o);
    idle = !o->dirty_bytes;
    int again = o->retry_wait_us != 0;
    cachefs__obj_unlock(c, o);
    if (!idle) {
        if (again) cachefs__count(&c->counters, CNT_FLUSH_RETRIES, 1);
        cachefs__obj_ref(o); /* the queue's reference may be the last one */
        st = flush_dirty(c, o, ctx);
        if (!st) learn_clean(c, o, ctx);
        note_result(c, o, st);
        cachefs__flush_end(c, o);
        if (c->lat[LAT_FLUSH])
            metrics_record(c->lat[LAT_FLUSH], (uint64_t)(cachefs__clock_us() - start) * 1000);
        if (st)
            cachefs__log(c, 1, "flush failed, the data stays dirty and is tried again: status %d",
                         st);
        cachefs__obj_put(c, o);
    } else {
        cachefs__flush_end(c, o);
    }
    return st;
}

apr_status_t cachefs__pending_error(cache_t *c, handle_t *h)
{
    apr_status_t st = APR_SUCCESS;
    cachefs__obj_lock(c, h->obj);
    if (h->err_seen != h->obj->err_seq) {
        h->err_seen = h->obj->err_seq;
        st = h->obj->err;
    }
    cachefs__obj_unlock(c, h->obj);
    return st;
}
