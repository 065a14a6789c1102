/*
 * read.c - reads: the hit path, and the loop around the miss path.
 * Floor 2, private to cachefs/. docs/architecture.md has the data path.
 */
#include "cachefs/engine.h"
#include "cachefs/copy.h"

/* Bytes of a block that are there from boff on, at most n; shard locked inside. For blocks that are
 * whole only in part, or that moved under the reader without a lock. */
static uint32_t copy_locked(cache_t *c, uint64_t ver, uint32_t no, uint32_t shift, uint32_t boff,
                            uint32_t n, void *dst)
{
    uint32_t mix = cachefs__mix(ver, no), done = 0, g = cachefs__granule(shift);
    shard_t *s = cachefs__block_shard(c, mix);
    cachefs__lock(&s->lock);
    uint32_t i = cachefs__block_find(c, s, ver, no, mix);
    if (i) {
        block_t *b = &c->blocks[i];
        uint32_t bits = atomic_load_explicit(&b->bits, memory_order_relaxed);
        uint32_t cap = cachefs__class_bytes(bits >> BLOCK_CLASS_SHIFT & 15);
        uint8_t *data =
            cachefs__chunk_ptr(&c->arena, atomic_load_explicit(&b->data, memory_order_relaxed));
        while (done < n && (bits & 1u << ((boff + done) / g))) {
            uint32_t at = boff + done, stop = (at / g + 1) * g, m = stop - at;
            if (m > n - done) m = n - done;
            uint32_t in = at >= cap ? 0 : at + m > cap ? cap - at : m;
            cachefs__copy_out((uint8_t *)dst + done, data + at, in);
            memset((uint8_t *)dst + done + in, 0,
                   m - in); /* a valid granule is zero behind its memory */
            done += m;
        }
        if (done) atomic_fetch_or_explicit(&b->mark, MARK_TOUCHED, memory_order_relaxed);
    }
    cachefs__unlock(&s->lock);
    return done;
}

apr_status_t cachefs__read_obj(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, void *buf, size_t len,
                               uint64_t off, size_t *got, uint64_t ahead, uint64_t *missed)
{
    uint32_t changes = __atomic_load_n(&o->changes, __ATOMIC_RELAXED);
    apr_status_t st = APR_SUCCESS;
    for (;;) {
        uint64_t ver = atomic_load_explicit(&o->ver, memory_order_acquire);
        uint64_t size = atomic_load_explicit(&o->size, memory_order_acquire);
        uint64_t n = off >= size ? 0 : size - off < len ? size - off : len, pos = 0, fetched = 0;
        st = APR_SUCCESS;
        while (pos < n && !st) {
            uint32_t shift = atomic_load_explicit(&o->shift, memory_order_acquire);
            uint32_t k = 0;
            if (shift) {
                uint64_t at = off + pos, no = at >> shift,
                         left = (1ull << shift) - (at - (no << shift));
                uint32_t m = (uint32_t)(left < n - pos ? left : n - pos);
                k = copy_locked(c, ver, (uint32_t)no, shift, (uint32_t)(at - (no << shift)), m,
                                (uint8_t *)buf + pos);
            }
            pos += k;
            if (k) {
                cachefs__count(&c->counters, CNT_HIT_BYTES, k);
                continue;
            }
            cachefs__sink_t sink = {(uint8_t *)buf + pos, off + pos, n - pos, 0};
            st = cachefs__fill(c, o, ctx, ver, off + pos, off + n + ahead, 0, &sink, &fetched);
            cachefs__count(&c->counters, CNT_MISS_BYTES, sink.done);
            *missed += sink.done;
            pos += sink.done;
            if (st == FILL_AGAIN) st = APR_SUCCESS;
            if (!st && atomic_load_explicit(&o->ver, memory_order_acquire) != ver)
                st = FILL_RESTART;
            if (!st && atomic_load_explicit(&o->size, memory_order_acquire) < off + n) {
                n = atomic_load(&o->size) > off ? atomic_load(&o->size) - off : 0; /* it was cut */
            }
        }
        if (!st && atomic_load_explicit(&o->ver, memory_order_acquire) != ver) st = FILL_RESTART;
        if (st == FILL_RESTART) {
            if (__atomic_load_n(&o->changes, __ATOMIC_RELAXED) - changes >= GET_GUARD)
                return VFS_ESTALE;
            continue;
        }
        *got = st ? 0 : (size_t)(pos < n ? pos : n);
        return st;
    }
}

/* ---- read-ahead
 * --------------------------------------------------------------------------------------------- */

typedef struct ahead_t {
    cache_t *cache;
    obj_t *obj;
    uint64_t off, end;
} ahead_t;

static void ahead_work(void *baton)
{
    ahead_t *a = baton;
    cache_t *c = a->cache;
    uint64_t fetched = 0;
    /* a failure shows when the bytes are read for real */
    (void)cachefs__prefetch(c, a->obj, NULL, a->off, a->end, FILL_AHEAD, &fetched);
    atomic_fetch_sub_explicit(&c->ahead_bytes, a->end - a->off, memory_order_relaxed);
    cachefs__obj_put(c, a->obj);
    free(a);
}

#define AHEAD_FIRST (128u << 10)

/* How far ahead of this read it is worth reading; grows while the reader goes straight on. */
static uint64_t ahead_window(cache_t *c, handle_t *h, uint64_t off, size_t len)
{
    uint64_t most = atomic_load_explicit(&c->t.readahead_bytes, memory_order_relaxed);
    uint64_t next = atomic_load_explicit(&h->next_off, memory_order_relaxed);
    uint64_t window = atomic_load_explicit(&h->window, memory_order_relaxed);
    if (next != off || off == 0)
        window = off == 0 && len >= AHEAD_FIRST / 2 ? AHEAD_FIRST : 0;
    else
        window = window ? window * 2 : AHEAD_FIRST;
    if (window > most) window = most;
    atomic_store_explicit(&h->window, window, memory_order_relaxed);
    return window;
}

static void ahead_start(cache_t *c, handle_t *h, uint64_t from, uint64_t window)
{
    uint64_t size = atomic_load(&h->obj->size), end = from + window;
    uint64_t begun = atomic_load_explicit(&h->ahead_end, memory_order_relaxed);
    if (end > size) end = size;
    if (begun < from || begun > end + window) begun = from;
    if (end < begun + window / 2 && end != size) return; /* still far enough ahead */
    if (end <= begun) return;
    if (atomic_fetch_add(&c->ahead_bytes, end - begun) + (end - begun) >
        atomic_load(&c->t.readahead_bytes_max)) {
        atomic_fetch_sub(&c->ahead_bytes, end - begun);
        return;
    }
    ahead_t *a = malloc(sizeof(*a));
    if (a) {
        *a = (ahead_t){c, h->obj, begun, end};
        cachefs__obj_ref(h->obj);
        if (!vfs_workers_try(c->workers, ahead_work, a)) {
            atomic_store_explicit(&h->ahead_end, end, memory_order_relaxed);
            return;
        }
        cachefs__obj_put(c, h->obj);
        free(a);
    }
    atomic_fetch_sub(&c->ahead_bytes, end - begun);
}

/* ---- the op
 * ---------------------------------------------------------------------------------------------------
 */

static void heat(cache_t *c, handle_t *h, uint64_t off, size_t len, int hit)
{
    cachefs_heat_fn fn = atomic_load(&c->heat_fn);
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t path;
    if (!fn || !len) return;
    cachefs__obj_lock(c, h->obj);
    apr_status_t st = cachefs__obj_name(c, h->obj, &path, buf);
    cachefs__obj_unlock(c, h->obj);
    if (!st) fn(atomic_load(&c->heat_baton), buf, (apr_off_t)off, len, hit);
}

static apr_status_t read_slow(cache_t *c, handle_t *h, const vfs_ctx_t *ctx, void *buf, size_t len,
                              uint64_t off, size_t *got)
{
    int64_t start = cachefs__clock_us();
    cachefs__obj_lock(c, h->obj);
    int is_dir = h->obj->attr.type == VFS_TYPE_DIR;
    cachefs__obj_unlock(c, h->obj);
    if (is_dir) return APR_FROM_OS_ERROR(EISDIR);
    uint64_t window = ahead_window(c, h, off, len);
    int far = c->lower_is_far || c->lower->caps.round_trip_us;
    uint64_t near = window > AHEAD_FIRST ? AHEAD_FIRST : window;
    uint64_t missed = 0;
    apr_status_t st = cachefs__read_obj(c, h->obj, ctx, buf, len, off, got, near, &missed);
    cachefs__count(&c->counters, missed || st ? CNT_MISSES : CNT_HITS, 1);
    if (!st) atomic_store_explicit(&h->next_off, off + *got, memory_order_relaxed);
    if (!st && far && window) ahead_start(c, h, off + *got, window);
    if (c->lat[LAT_READ_MISS])
        metrics_record(c->lat[LAT_READ_MISS], (uint64_t)(cachefs__clock_us() - start) * 1000);
    if (!st && atomic_load_explicit(&c->t.heat, memory_order_relaxed)) heat(c, h, off, *got, 0);
    return st;
}

/* All of [off, off + n) without a lock. */
static int read_hit(cache_t *c, obj_t *o, uint8_t *buf, size_t len, uint64_t off, size_t *got)
{
    uint32_t seq = atomic_load_explicit(&o->seq, memory_order_acquire);
    uint64_t ver = atomic_load_explicit(&o->ver, memory_order_relaxed);
    uint64_t size = atomic_load_explicit(&o->size, memory_order_relaxed);
    uint32_t shift = atomic_load_explicit(&o->shift, memory_order_relaxed);
    uint64_t n = off >= size ? 0 : size - off < len ? size - off : len, pos = 0;
    if ((seq & 1) || !n || !shift || !ver) return 0; /* the end of file is not worth a fast path */
    while (pos < n) {
        uint64_t at = off + pos, no = at >> shift, boff = at & ((1ull << shift) - 1);
        uint64_t m = (1ull << shift) - boff < n - pos ? (1ull << shift) - boff : n - pos;
        if (!cachefs__block_copy(c, ver, (uint32_t)no, shift, (uint32_t)boff, (uint32_t)m,
                                 buf + pos))
            return 0;
        pos += m;
    }
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&o->seq, memory_order_relaxed) != seq) return 0;
    *got = (size_t)n;
    return 1;
}

#define SAMPLE_HITS 64u /* one hit in so many is timed */

apr_status_t cachefs_op_read_at(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                                apr_off_t off, size_t *got)
{
    handle_t *h = cachefs__handle(file);
    cache_t *c = h->cache;
    static _Thread_local unsigned tick;
    int timed = ++tick % SAMPLE_HITS == 0 && c->lat[LAT_READ_HIT];
    struct timespec a, b;
    if (file->flags & VFS_O_DIRECT) return cachefs__read_direct(c, h, ctx, buf, len, off, got);
    if (timed) clock_gettime(CLOCK_MONOTONIC, &a);
    if (!read_hit(c, h->obj, buf, len, (uint64_t)off, got))
        return read_slow(c, h, ctx, buf, len, (uint64_t)off, got);
    counter_stripe_t *stripe = &c->counters.stripes[cachefs__thread_stripe()];
    atomic_fetch_add_explicit(&stripe->v[CNT_HITS], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&stripe->v[CNT_HIT_BYTES], *got, memory_order_relaxed);
    if (timed) {
        clock_gettime(CLOCK_MONOTONIC, &b);
        metrics_record_n(c->lat[LAT_READ_HIT],
                         (uint64_t)((b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec),
                         SAMPLE_HITS);
    }
    if (atomic_load_explicit(&h->window, memory_order_relaxed) &&
        atomic_load_explicit(&h->next_off, memory_order_relaxed) == (uint64_t)off) {
        /* a straight reader that runs on what was read ahead: keep ahead of it */
        atomic_store_explicit(&h->next_off, (uint64_t)off + *got, memory_order_relaxed);
        ahead_start(c, h, (uint64_t)off + *got,
                    atomic_load_explicit(&h->window, memory_order_relaxed));
    }
    if (atomic_load_explicit(&c->t.heat, memory_order_relaxed)) heat(c, h, (uint64_t)off, *got, 1);
    return APR_SUCCESS;
}

apr_status_t cachefs__read_direct(cache_t *c, handle_t *h, const vfs_ctx_t *ctx, void *buf,
                                  size_t len, apr_off_t off, size_t *got)
{
    vfs_file_t *lower;
    apr_status_t st = APR_SUCCESS;
    if (c->mode == CACHEFS_BACK)
        st = cachefs__flush_obj(c, h->obj, ctx); /* around the cache, not around order */
    if (!st) st = cachefs__lower_use(c, h->obj, ctx, 0, &lower);
    if (st) return st;
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    cachefs__count(&c->counters, CNT_BACKEND_READS, 1);
    st = vfs_call_read_at(lower, ctx, buf, len, off, got);
    if (!st) cachefs__count(&c->counters, CNT_BACKEND_READ_BYTES, *got);
    cachefs__lower_done(c, h->obj);
    return st;
}
