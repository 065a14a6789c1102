/*
 * writeback.c - dirty data and its way below.
 * Floor 2, private to cachefs/.
 *
 * A dirty block is on the list of its object, never with the policy. An object with dirty data is
 * on the queue of the instance, oldest first, and referenced by it. A flush takes the object's
 * dirty blocks as they are now, each with its sequence, writes them below in order of their offset,
 * neighbours together, and makes a block clean only if its sequence is still the same: a block that
 * was written meanwhile stays dirty. Nothing else but a truncation, a discard that was asked for,
 * or the end of the file itself takes a block from the list.
 */
#include "cachefs/engine.h"
#include "cachefs/copy.h"

#define LOAD(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define BATCH 128u /* blocks that one round of a flush takes */

/* ---- the queue
 * -------------------------------------------------------------------------------------- */

static void queue_add(cache_t *c, obj_t *o)
{
    uint32_t i = cachefs__obj_index(c, o);
    if (o->flags & OBJ_QUEUED) return;
    o->flags |= OBJ_QUEUED;
    cachefs__obj_ref(o);
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    o->queue_next = NONE;
    o->queue_prev = c->wb_last;
    if (c->wb_last)
        c->objs[c->wb_last].queue_next = i;
    else
        c->wb_first = i;
    c->wb_last = i;
    if (c->wb_files++ == 0) pthread_cond_broadcast(&c->wb_cond);
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
}

/* Object locked. 1: the caller drops the queue's reference. */
static int queue_remove(cache_t *c, obj_t *o)
{
    if (!(o->flags & OBJ_QUEUED)) return 0;
    o->flags &= ~OBJ_QUEUED;
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    if (o->queue_prev)
        c->objs[o->queue_prev].queue_next = o->queue_next;
    else
        c->wb_first = o->queue_next;
    if (o->queue_next)
        c->objs[o->queue_next].queue_prev = o->queue_prev;
    else
        c->wb_last = o->queue_prev;
    c->wb_files--;
    pthread_cond_broadcast(&c->wb_cond);
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    return 1;
}

size_t cachefs__dirty_objs(cache_t *c, obj_t **out, size_t max)
{
    size_t n = 0;
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    for (uint32_t i = c->wb_first; i != NONE && n < max; i = c->objs[i].queue_next) {
        out[n] = &c->objs[i];
        cachefs__obj_ref(out[n++]);
    }
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    return n;
}

/* ---- dirty blocks
 * --------------------------------------------------------------------------------------- */

static uint64_t dirty_size(const obj_t *o, uint32_t mask)
{
    return (uint64_t)__builtin_popcount(mask) *
           cachefs__granule(atomic_load_explicit(&o->shift, memory_order_relaxed));
}

static void dirty_count(cache_t *c, obj_t *o, int64_t bytes)
{
    o->dirty_bytes += (uint64_t)bytes;
    atomic_fetch_add_explicit(&c->dirty_bytes, (uint64_t)bytes, memory_order_relaxed);
}

void cachefs__dirty_add(cache_t *c, obj_t *o, uint32_t i, uint32_t granules)
{
    block_t *b = &c->blocks[i];
    cachefs_policy_node_t *l = &c->links[i];
    uint32_t bits = LOAD(b->bits);
    VFS_ASSERT((bits & granules) == granules); /* invariant 5: what is dirty is valid */
    VFS_ASSERT(!(bits & BLOCK_LISTED));
    if (!(bits & BLOCK_DIRTY)) {
        if (bits & BLOCK_KEEP) {
            atomic_fetch_sub_explicit(&c->pinned_bytes,
                                      cachefs__class_bytes(bits >> BLOCK_CLASS_SHIFT & 15),
                                      memory_order_relaxed);
            bits &= ~BLOCK_KEEP;
        }
        atomic_store_explicit(&b->bits, bits | BLOCK_DIRTY, memory_order_relaxed);
        l->word = 0;
        l->next = NONE;
        l->prev = o->dirty_last;
        if (o->dirty_last)
            c->links[o->dirty_last].next = i;
        else
            o->dirty_first = i;
        o->dirty_last = i;
    }
    if (!o->dirty_bytes) {
        o->dirty_since_us = cachefs__clock_us();
        queue_add(c, o);
    }
    dirty_count(c, o, (int64_t)dirty_size(o, granules & ~l->word));
    l->word |= granules;
}

/* Object and shard locked. */
static void dirty_unlink(cache_t *c, obj_t *o, uint32_t i)
{
    block_t *b = &c->blocks[i];
    cachefs_policy_node_t *l = &c->links[i];
    VFS_ASSERT(LOAD(b->bits) & BLOCK_DIRTY);
    if (l->prev)
        c->links[l->prev].next = l->next;
    else
        o->dirty_first = l->next;
    if (l->next)
        c->links[l->next].prev = l->prev;
    else
        o->dirty_last = l->prev;
    dirty_count(c, o, -(int64_t)dirty_size(o, l->word));
    l->word = 0;
    atomic_store_explicit(&b->bits, LOAD(b->bits) & ~BLOCK_DIRTY, memory_order_relaxed);
}

static shard_t *shard_of(cache_t *c, const block_t *b)
{
    return cachefs__block_shard(c, cachefs__mix(LOAD(b->ver), LOAD(b->no)));
}

/* A dirty block is clean: the policy has it again. Object and shard locked. */
static void to_clean(cache_t *c, obj_t *o, shard_t *s, uint32_t i)
{
    block_t *b = &c->blocks[i];
    dirty_unlink(c, o, i);
    atomic_store_explicit(&b->bits, LOAD(b->bits) | BLOCK_LISTED, memory_order_relaxed);
    c->policy->insert(s->policy, i, LOAD(b->ver) * 31 + LOAD(b->no),
                      cachefs__class_bytes(LOAD(b->bits) >> BLOCK_CLASS_SHIFT & 15));
}

/* Object locked. 1: drop the queue's reference. */
static int if_clean(cache_t *c, obj_t *o)
{
    if (o->dirty_bytes) return 0;
    VFS_ASSERT(o->dirty_first == NONE && o->dirty_last == NONE);
    o->retry_wait_us = o->retry_at_us = 0;
    return queue_remove(c, o);
}

uint64_t cachefs__dirty_discard(cache_t *c, obj_t *o, uint64_t from)
{
    cachefs__obj_lock(c, o);
    uint64_t before = o->dirty_bytes, g;
    uint32_t shift = atomic_load(&o->shift), next;
    int drop = 0;
    for (uint32_t i = o->dirty_first; i != NONE; i = next) {
        block_t *b = &c->blocks[i];
        shard_t *s = shard_of(c, b);
        uint64_t base = (uint64_t)LOAD(b->no) << shift;
        next = c->links[i].next;
        g = cachefs__granule(shift);
        if (base + (1ull << shift) <= from) continue;
        cachefs__lock(&s->lock, RANK_SHARD);
        if (base >= from) {
            dirty_unlink(c, o, i);
            cachefs__block_free(c, s, i);
        } else {
            uint32_t keep = (1u << ((from - base + g - 1) / g)) - 1,
                     gone = c->links[i].word & ~keep;
            dirty_count(c, o, -(int64_t)dirty_size(o, gone));
            c->links[i].word &= keep;
            if (!c->links[i].word) to_clean(c, o, s, i);
        }
        cachefs__unlock(&s->lock, RANK_SHARD);
    }
    uint64_t gone = before - o->dirty_bytes;
    if (before) drop = if_clean(c, o);
    cachefs__obj_unlock(c, o);
    if (drop) cachefs__obj_put(c, o);
    return gone;
}

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
            to_clean(c, o, s, p[k].block); /* invariant 6 */
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
        drop = if_clean(c, o);
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
    if (st || val.kind == VFS_VALIDATOR_NONE) return;
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
    apr_status_t st = cachefs__conflict(c, o, ctx, &theirs);
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

/* ---- the limit
 * --------------------------------------------------------------------------------------------------
 */

apr_status_t cachefs__flush_some(cache_t *c, const vfs_ctx_t *ctx)
{
    obj_t *objs[16];
    size_t n = cachefs__dirty_objs(c, objs, 16);
    apr_status_t st = n ? APR_SUCCESS : APR_NOTFOUND;
    int done = 0;
    for (size_t i = 0; i < n; i++) {
        if (!done) {
            st = cachefs__flush_obj(c, objs[i], ctx);
            done = !st;
        }
        cachefs__obj_put(c, objs[i]);
    }
    return done ? APR_SUCCESS : st;
}

static int reserve(cache_t *c, uint64_t bytes, uint64_t max)
{
    uint64_t held = atomic_load(&c->dirty_reserved);
    do {
        if (atomic_load(&c->dirty_bytes) + held + bytes > max &&
            (held || atomic_load(&c->dirty_bytes)))
            return 0;
    } while (!atomic_compare_exchange_weak(&c->dirty_reserved, &held, held + bytes));
    return 1;
}

/* Slow down smoothly from 80 % of the limit on: up to 10 ms a call. */
static void slow_down(cache_t *c, uint64_t max)
{
    uint64_t dirty = atomic_load(&c->dirty_bytes), soft = max / 5 * 4;
    if (dirty <= soft || max == soft) return;
    cachefs__count(&c->counters, CNT_THROTTLED, 1);
    if (!atomic_exchange(&c->wb_kick, 1)) {
        cachefs__lock(&c->wb_lock, RANK_LEAF);
        pthread_cond_broadcast(&c->wb_cond);
        cachefs__unlock(&c->wb_lock, RANK_LEAF);
    }
    uint64_t us = (dirty - soft) * 10000 / (max - soft);
    struct timespec ts = {0, (long)(us > 10000 ? 10000 : us) * 1000};
    nanosleep(&ts, NULL);
}

apr_status_t cachefs__dirty_reserve(cache_t *c, const vfs_ctx_t *ctx, uint64_t bytes)
{
    uint64_t max = atomic_load(&c->t.dirty_bytes_max), wait = atomic_load(&c->t.write_wait_us);
    int64_t until = wait ? cachefs__clock_us() + (int64_t)wait : 0;
    apr_status_t why = APR_SUCCESS;
    slow_down(c, max);
    while (!reserve(c, bytes, max)) {
        apr_status_t st = cachefs__flush_some(c, ctx);
        apr_status_t gone = vfs_ctx_check(ctx);
        if (gone == VFS_ECANCELED) return gone;
        if (!gone || !why) why = st; /* an attempt that our deadline ended says nothing new */
        if (gone || (until && cachefs__clock_us() >= until))
            return why && cachefs__unreachable(why) ? VFS_EOFFLINE : VFS_ELIMIT;
        if (!st) continue;
        int64_t nap = cachefs__clock_us() + 20000;
        cachefs__lock(&c->wb_lock, RANK_LEAF);
        (void)cachefs__wait(&c->wb_cond, &c->wb_lock, ctx, until && until < nap ? until : nap);
        cachefs__unlock(&c->wb_lock, RANK_LEAF);
    }
    return APR_SUCCESS;
}

void cachefs__dirty_unreserve(cache_t *c, uint64_t bytes)
{
    atomic_fetch_sub(&c->dirty_reserved, bytes);
}

/* ---- the flusher's thread
 * ------------------------------------------------------------------------------------------ */

typedef struct flush_job_t {
    cache_t *cache;
    obj_t *obj;
} flush_job_t;

static void flush_work(void *baton)
{
    flush_job_t *job = baton;
    cache_t *c = job->cache;
    (void)cachefs__flush_obj(c, job->obj, NULL); /* kept with the object, and tried again */
    cachefs__obj_lock(c, job->obj);
    job->obj->flags &= ~OBJ_FLUSH_JOB;
    cachefs__obj_unlock(c, job->obj);
    cachefs__obj_put(c, job->obj);
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    c->wb_busy--;
    pthread_cond_broadcast(&c->wb_cond);
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    free(job);
}

#define JOB_LOOK_US 10000 /* a job that runs may end with a time to try again */

/* Is it time for this object? Marks it if so. *next: when to look again. */
static int due(cache_t *c, obj_t *o, int hurry, int64_t *next)
{
    int64_t now = cachefs__clock_us(), interval = (int64_t)atomic_load(&c->t.flush_interval_us);
    int64_t age = (int64_t)atomic_load(&c->t.dirty_age_us);
    int yes = 0;
    cachefs__obj_lock(c, o);
    int64_t at = o->dirty_since_us + (interval < age ? interval : age);
    if (hurry) at = now;
    if (at < o->retry_at_us) at = o->retry_at_us;
    if (o->dirty_bytes && !(o->flags & OBJ_FLUSH_JOB)) {
        yes = at <= now;
        if (yes)
            o->flags |= OBJ_FLUSH_JOB;
        else if (at < *next)
            *next = at;
    }
    if ((o->flags & OBJ_FLUSH_JOB) && !yes && now + JOB_LOOK_US < *next) *next = now + JOB_LOOK_US;
    cachefs__obj_unlock(c, o);
    return yes;
}

static void start_flush(cache_t *c, obj_t *o)
{
    flush_job_t *job = malloc(sizeof(*job));
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    c->wb_busy++;
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    if (job) {
        *job = (flush_job_t){c, o};
        cachefs__obj_ref(o);
        if (vfs_workers_try(c->workers, flush_work, job))
            flush_work(job); /* all busy: by ourselves */
        return;
    }
    cachefs__obj_lock(c, o);
    o->flags &= ~OBJ_FLUSH_JOB;
    cachefs__obj_unlock(c, o);
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    c->wb_busy--;
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
}

#define ROUND 256

static void *flusher(void *arg)
{
    cache_t *c = arg;
    obj_t **objs = malloc(ROUND * sizeof(*objs));
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    while (!c->wb_stop && objs) {
        if (!c->wb_files) {
            pthread_cond_wait(&c->wb_cond, &c->wb_lock);
            continue;
        }
        cachefs__unlock(&c->wb_lock, RANK_LEAF);
        int hurry = atomic_exchange(&c->wb_kick, 0);
        int64_t next = cachefs__clock_us() + 1000000;
        size_t n = cachefs__dirty_objs(c, objs, ROUND);
        for (size_t i = 0; i < n; i++) {
            if (due(c, objs[i], hurry, &next)) start_flush(c, objs[i]);
            cachefs__obj_put(c, objs[i]);
        }
        cachefs__lock(&c->wb_lock, RANK_LEAF);
        if (!c->wb_stop && !atomic_load(&c->wb_kick))
            (void)cachefs__wait(&c->wb_cond, &c->wb_lock, NULL, next);
    }
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    free(objs);
    return NULL;
}

apr_status_t cachefs__wb_create(cache_t *c)
{
    c->stage_chunk = cachefs__chunk_get(c, 16u << 10, OWNER_PRIVATE | 6, 0, 1);
    if (!c->stage_chunk) return APR_ENOMEM;
    if (c->mode != CACHEFS_BACK) return APR_SUCCESS;
    int rc = pthread_create(&c->wb_thread, NULL, flusher, c);
    if (rc) return APR_FROM_OS_ERROR(rc);
    c->wb_started = 1;
    return APR_SUCCESS;
}

void cachefs__wb_destroy(cache_t *c)
{
    if (!c->wb_started) return;
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    c->wb_stop = 1;
    pthread_cond_broadcast(&c->wb_cond);
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    pthread_join(c->wb_thread, NULL);
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    while (c->wb_busy)
        pthread_cond_wait(&c->wb_cond, &c->wb_lock);
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    c->wb_started = 0;
}
