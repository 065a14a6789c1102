/*
 * pieces.c - memory of a call in several pieces, and reads into it. Floor 2, private to cachefs/.
 *
 * What a read takes of a block comes from one look at it, so where pieces meet within a block they
 * are filled together, under one sequence of the block; where one piece has all that is wanted of
 * some blocks it is a read like any other. A block that does not hold still, or finds no memory, is
 * read below while nobody writes there.
 */
#include "cachefs/copy.h"
#include "cachefs/engine.h"

#define LOOKS 4          /* at a block, before it is read below */
#define SLICE_PIECES 16u /* of one call below */

uint64_t cachefs__pieces_bytes(const cachefs__pieces_t *m)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < m->count; i++)
        bytes += m->iov[i].len;
    return bytes;
}

/* The piece that holds byte *pos, which becomes its place there. */
static size_t piece_of(const cachefs__pieces_t *m, uint64_t *pos)
{
    size_t i = 0;
    while (i < m->count && *pos >= m->iov[i].len)
        *pos -= m->iov[i++].len;
    return i;
}

void *cachefs__pieces_at(const cachefs__pieces_t *m, uint64_t pos, uint64_t n)
{
    size_t i = piece_of(m, &pos);
    return i < m->count && n <= m->iov[i].len - pos ? (uint8_t *)m->iov[i].base + pos : NULL;
}

uint64_t cachefs__pieces_slice(const cachefs__pieces_t *m, uint64_t pos, uint64_t n,
                               vfs_iovec_t *out, size_t max, size_t *count)
{
    uint64_t bytes = 0;
    *count = 0;
    for (size_t i = piece_of(m, &pos); i < m->count && bytes < n && *count < max; i++) {
        uint64_t part = m->iov[i].len - pos;
        if (part > n - bytes) part = n - bytes;
        if (part) out[(*count)++] = (vfs_iovec_t){(uint8_t *)m->iov[i].base + pos, (size_t)part};
        bytes += part;
        pos = 0;
    }
    return bytes;
}

void cachefs__pieces_copy(const cachefs__pieces_t *m, uint64_t pos, uint64_t n, void *shared)
{
    uint8_t *to = shared;
    for (size_t i = piece_of(m, &pos); n; i++, pos = 0) {
        uint64_t part = m->iov[i].len - pos;
        if (part > n) part = n;
        if (part) /* one of no bytes may have no address */
            cachefs__copy_in(to, (const uint8_t *)m->iov[i].base + pos, (size_t)part);
        to += part;
        n -= part;
    }
}

/* ---- reads */

/* A read into pieces: bytes [off, off + n) of a version. */
typedef struct want_t {
    cache_t *c;
    handle_t *h;
    const vfs_ctx_t *ctx;
    const cachefs__pieces_t *to;
    uint64_t ver, off, n;
} want_t;

/* Bytes of the read from pos on that lie in one block. */
static uint64_t in_block(const want_t *w, uint32_t shift, uint64_t pos)
{
    uint64_t block = 1ull << shift, left = w->n - pos, stop = block - (w->off + pos) % block;
    return stop < left ? stop : left;
}

/* All is in memory: no lock, as in hit.c. 0: it is not so. */
static int read_hit(want_t *w)
{
    const obj_t *o = w->h->obj;
    uint32_t seq = atomic_load_explicit(&o->seq, memory_order_acquire) & ~1u;
    uint64_t size = atomic_load_explicit(&o->size, memory_order_relaxed);
    uint32_t shift = atomic_load_explicit(&o->shift, memory_order_relaxed);
    w->ver = atomic_load_explicit(&o->ver, memory_order_relaxed);
    if (!shift || w->off >= size) return 0;
    if (w->n > size - w->off) w->n = size - w->off;
    for (uint64_t pos = 0, m; pos < w->n; pos += m) {
        uint64_t at = w->off + pos, no = at >> shift;
        m = in_block(w, shift, pos);
        if (!cachefs__block_scatter(w->c, w->ver, (uint32_t)no, shift,
                                    (uint32_t)(at - (no << shift)), (uint32_t)m, w->to, pos))
            return 0;
    }
    return atomic_load_explicit(&o->seq, memory_order_relaxed) == seq; /* see read_hit of hit.c */
}

/* Read some of [pos, pos + m) below: *got bytes, the rest of a hole that we made too. Gate held. */
static apr_status_t fetch_some(const want_t *w, vfs_file_t *lower, uint64_t pos, uint64_t m,
                               uint64_t *got)
{
    vfs_iovec_t iov[SLICE_PIECES];
    size_t count, part = 0;
    vfs_validator_t val;
    obj_t *o = w->h->obj;
    uint64_t at = w->off + pos, asked = atomic_load(&w->c->mut_seq);
    *got = cachefs__pieces_slice(w->to, pos, m, iov, SLICE_PIECES, &count);
    apr_status_t st = cachefs__fetch(w->c, lower, w->ctx, iov, count, at, &part, &val);
    if (!st) st = cachefs__read_belongs(w->c, o, w->ctx, w->ver, at, *got, part, &val, asked);
    for (size_t i = 0; i < count && !st; i++) {
        size_t there = part < iov[i].len ? part : iov[i].len;
        memset((uint8_t *)iov[i].base + there, 0, iov[i].len - there);
        part -= there;
    }
    return st;
}

/* Read [pos, pos + m) below, while nobody writes there. */
static apr_status_t read_below(const want_t *w, uint64_t pos, uint64_t m)
{
    cache_t *c = w->c;
    obj_t *o = w->h->obj;
    vfs_file_t *lower;
    gate_t gate = {.start = w->off + pos, .end = w->off + pos + m, .kind = GATE_WRITE};
    if (!m) return APR_SUCCESS;
    apr_status_t st = cachefs__gate_enter(c, o, w->ctx, &gate, NULL);
    if (st) return st;
    if (c->mode == CACHEFS_BACK) st = cachefs__flush_data(c, o, w->ctx);
    if (!st) st = cachefs__lower_use(c, o, w->ctx, LOWER_READ, &lower);
    int used = !st;
    for (uint64_t n = 0; !st && m; pos += n, m -= n)
        st = fetch_some(w, lower, pos, m, &n);
    if (used) cachefs__lower_done(c, o);
    cachefs__count(&c->counters, CNT_BYPASS, 1);
    cachefs__gate_leave(c, o, &gate, APR_SUCCESS);
    return st;
}

/* What there is of [boff, boff + n) of a block, into the pieces at `pos`, from one state of it;
 * `use`: it counts as a use. */
static uint32_t block_readv(cache_t *c, uint64_t ver, uint32_t no, uint32_t shift, uint32_t boff,
                            uint32_t n, int use, const cachefs__pieces_t *to, uint64_t pos)
{
    uint32_t mix = cachefs__mix(ver, no), done = 0, part = 0, got = 0;
    shard_t *s = cachefs__block_shard(c, mix);
    cachefs__lock(&s->lock, RANK_SHARD);
    uint32_t i = cachefs__block_find(c, ver, no, mix);
    for (; i && done < n && got == part; done += got) {
        vfs_iovec_t iov = {NULL, 0};
        size_t count;
        part = (uint32_t)cachefs__pieces_slice(to, pos + done, n - done, &iov, 1, &count);
        got = cachefs__block_read_locked(c, i, shift, boff + done, part, use, iov.base);
    }
    cachefs__unlock(&s->lock, RANK_SHARD);
    return done;
}

/* Bytes [pos, pos + m) lie in one block and several pieces. */
static apr_status_t read_shared(const want_t *w, uint32_t shift, uint64_t pos, uint64_t m)
{
    uint64_t at = w->off + pos, no = at >> shift, fetched = 0;
    for (int looks = 0; looks < LOOKS; looks++) {
        if (block_readv(w->c, w->ver, (uint32_t)no, shift, (uint32_t)(at - (no << shift)),
                        (uint32_t)m, !fetched, w->to, pos) == m) {
            cachefs__count(&w->c->counters, fetched ? CNT_MISS_BYTES : CNT_HIT_BYTES, m);
            return APR_SUCCESS;
        }
        apr_status_t st =
            cachefs__prefetch(w->c, w->h->obj, w->ctx, at, at + m, FILL_HASTY, &fetched);
        if (st == VFS_ELIMIT) break;
        if (st) return st;
    }
    return read_below(w, pos, m);
}

static uint32_t shift_of(const want_t *w)
{
    obj_t *o = w->h->obj;
    uint32_t shift = atomic_load_explicit(&o->shift, memory_order_acquire);
    if (shift) return shift;
    cachefs__obj_lock(w->c, o);
    cachefs__choose_shift(w->c, o, w->n);
    shift = atomic_load(&o->shift);
    cachefs__obj_unlock(w->c, o);
    return shift;
}

/* From pos on, a block or more: *m bytes are wanted, and *got came, fewer at the end of the file.
 */
static apr_status_t read_some(const want_t *w, uint64_t pos, uint64_t *m, uint64_t *got)
{
    uint32_t shift = shift_of(w);
    size_t count, n = 0;
    vfs_iovec_t iov = {NULL, 0};
    *m = in_block(w, shift, pos);
    uint64_t one = cachefs__pieces_slice(w->to, pos, w->n - pos, &iov, 1, &count);
    if (one < *m) {
        *got = *m;
        return read_shared(w, shift, pos, *m);
    }
    if (pos + one < w->n && one > *m) /* where the next piece begins they share a block */
        one -= (w->off + pos + one) & ((1ull << shift) - 1);
    *m = one;
    apr_status_t st = cachefs_op_read_at(&w->h->base, w->ctx, iov.base, (size_t)one,
                                         (apr_off_t)(w->off + pos), &n);
    *got = n;
    return st;
}

static apr_status_t read_pieces(const want_t *w, uint64_t *got)
{
    apr_status_t st = APR_SUCCESS;
    uint64_t m = 0, part = 0;
    *got = 0;
    for (; !st && *got < w->n && part == m; *got += part)
        st = read_some(w, *got, &m, &part);
    return st;
}

/* All of one version, which is the one that there is at the end. */
static apr_status_t read_slow(want_t *w, size_t *got)
{
    obj_t *o = w->h->obj;
    uint64_t most = cachefs__pieces_bytes(w->to), n;
    apr_status_t st = cachefs__read_begin(w->c, o, w->ctx);
    if (st) return st;
    uint32_t changes = atomic_load_explicit(&o->changes, memory_order_relaxed);
    do {
        w->ver = atomic_load_explicit(&o->ver, memory_order_acquire);
        uint64_t size = atomic_load_explicit(&o->size, memory_order_acquire);
        w->n = w->off >= size ? 0 : size - w->off < most ? size - w->off : most;
        st = read_pieces(w, &n);
        if (st && st != FILL_RESTART) return st;
        size = atomic_load_explicit(&o->size, memory_order_acquire);
        if (w->off + n > size) n = size > w->off ? size - w->off : 0; /* it was cut */
        *got = (size_t)n;
        if (!st && atomic_load_explicit(&o->ver, memory_order_acquire) == w->ver)
            return APR_SUCCESS;
    } while (atomic_load_explicit(&o->changes, memory_order_relaxed) - changes < GET_GUARD);
    return VFS_ESTALE;
}

apr_status_t cachefs_op_readv_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                 size_t count, apr_off_t off, size_t *got)
{
    handle_t *h = cachefs__handle(file);
    cachefs__pieces_t to = {iov, count};
    uint64_t len = cachefs__pieces_bytes(&to);
    void *one = cachefs__pieces_at(&to, 0, len);
    if (one) return cachefs_op_read_at(file, ctx, one, (size_t)len, off, got);
    want_t w = {.c = h->cache, .h = h, .ctx = ctx, .to = &to, .off = (uint64_t)off, .n = len};
    if (file->flags & VFS_O_DIRECT) return cachefs__read_direct(w.c, h, ctx, iov, count, off, got);
    if (!read_hit(&w)) return read_slow(&w, got);
    cachefs__count(&w.c->counters, CNT_HITS, 1);
    cachefs__count(&w.c->counters, CNT_HIT_BYTES, w.n);
    *got = (size_t)w.n;
    cachefs__read_after(w.c, h, w.off, *got);
    return APR_SUCCESS;
}
