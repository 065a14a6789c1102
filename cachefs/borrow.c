/*
 * borrow.c - reads without a copy: the caller gets counted references to cached bytes.
 * Floor 2, private to cachefs/.
 *
 * A borrowed block is not evicted. If it is to change or to go, it leaves its memory to the
 * borrowers and takes other memory; the old chunk is an orphan then, and the last borrower frees
 * it. A dirty block changes in place, so it is never lent: its bytes are copied, once, to a chunk
 * that is an orphan from the beginning. So are zeros that are known and have no memory.
 */
#include "cachefs/engine.h"

typedef struct orphan_t {
    struct orphan_t *next;
    uint32_t chunk, borrowers;
} orphan_t;

typedef struct borrowed_t {
    uint32_t block, chunk;
} borrowed_t;

struct cachefs_ref_t {
    cache_t *cache;
    size_t count, room;
    uint64_t bytes;
    borrowed_t b[];
};

/* ---- references: each thread keeps one that it gave back, so that a hit takes nothing from the
 * heap */

#define SPARE_ROOM 16u /* pieces of one that is kept */

static cachefs_ref_t *ref_new(cache_t *c, size_t pieces)
{
    size_t room = pieces < SPARE_ROOM ? SPARE_ROOM : pieces;
    cachefs_ref_t *r = NULL;
    if (room == SPARE_ROOM)
        r = atomic_exchange_explicit(&c->rings[cachefs__thread_ring()].spare, NULL,
                                     memory_order_acquire);
    if (!r) r = malloc(sizeof(*r) + room * sizeof(borrowed_t));
    if (r) *r = (cachefs_ref_t){.cache = c, .room = room};
    return r;
}

static void ref_free(cachefs_ref_t *r)
{
    if (r->room == SPARE_ROOM) /* one that was kept before is given to the heap in its place */
        r = atomic_exchange_explicit(&r->cache->rings[cachefs__thread_ring()].spare, r,
                                     memory_order_acq_rel);
    free(r);
}

void cachefs__refs_end(cache_t *c)
{
    for (unsigned i = 0; c->rings && i < THREAD_RINGS; i++)
        free(atomic_load_explicit(&c->rings[i].spare, memory_order_relaxed));
}

/* ---- chunks that only their borrowers hold */

void cachefs__orphan_add(cache_t *c, uint32_t chunk, uint32_t borrowers)
{
    orphan_t *o = malloc(sizeof(*o));
    VFS_ASSERT(o != NULL); /* 16 bytes: without them nobody could free the chunk */
    cachefs__lock(&c->orphan_lock, RANK_LEAF);
    *o = (orphan_t){c->orphans, chunk, borrowers};
    c->orphans = o;
    cachefs__unlock(&c->orphan_lock, RANK_LEAF);
}

/* 1: the chunk was an orphan, and one borrower less holds it. */
static int orphan_put(cache_t *c, uint32_t chunk)
{
    orphan_t *gone = NULL;
    int found = 0;
    cachefs__lock(&c->orphan_lock, RANK_LEAF);
    for (orphan_t **at = &c->orphans; *at; at = &(*at)->next) {
        if ((*at)->chunk != chunk) continue;
        found = 1;
        if (--(*at)->borrowers == 0) {
            gone = *at;
            *at = gone->next;
        }
        break;
    }
    cachefs__unlock(&c->orphan_lock, RANK_LEAF);
    if (gone) {
        cachefs__chunk_put(c, chunk);
        free(gone);
    }
    return found;
}

static void unborrow(cache_t *c, const borrowed_t *b)
{
    block_t *block = &c->blocks[b->block];
    for (;;) {
        uint64_t ver = atomic_load(&block->ver);
        uint32_t no = atomic_load(&block->no);
        shard_t *s = cachefs__block_shard(c, cachefs__mix(ver, no));
        cachefs__lock(&s->lock, RANK_SHARD);
        int same = ver && atomic_load(&block->ver) == ver && atomic_load(&block->no) == no;
        int holds = same && atomic_load(&block->data) == b->chunk &&
                    atomic_load(&block->mark) >= MARK_BORROW;
        if (holds) atomic_fetch_sub(&block->mark, MARK_BORROW);
        cachefs__unlock(&s->lock, RANK_SHARD);
        if (holds || orphan_put(c, b->chunk)) return;
        /* the block was moving between the two looks: look again */
    }
}

/* Give all back; the reference itself stays. */
static void give_back(cachefs_ref_t *r)
{
    while (r->count)
        unborrow(r->cache, &r->b[--r->count]);
    cachefs__pin_give(r->cache, r->bytes);
    r->bytes = 0;
}

void cachefs_ref_release(cachefs_ref_t *ref)
{
    if (!ref) return;
    give_back(ref);
    ref_free(ref);
}

/* Bytes [boff, boff + n) of a block. */
typedef struct want_t {
    uint64_t ver;
    uint32_t no, shift, boff, n;
} want_t;

typedef enum lent_e {
    LENT_NOT = 0, /* the first byte is not there */
    LENT_SOME,
    LENT_APART, /* it is there, and can only be copied */
    LENT_FULL,  /* no memory for a copy */
    LENT_LIMIT  /* pin_bytes_max */
} lent_e;

/* How many bytes from boff on can be lent as they lie. Shard locked. */
static uint32_t in_place(const block_t *k, const want_t *w)
{
    uint32_t bits = atomic_load(&k->bits),
             cap = cachefs__class_bytes(bits >> BLOCK_CLASS_SHIFT & 15);
    uint32_t g = cachefs__granule_shift(w->shift), first = w->boff >> g;
    if ((bits & BLOCK_DIRTY) || w->boff >= cap) return 0;
    uint32_t gone = ~((bits & BLOCK_VALID_MASK) >> first); /* has a bit: 16 are always unset */
    uint32_t end = (first + (uint32_t)__builtin_ctz(gone)) << g;
    if (end > cap) end = cap;
    if (end <= w->boff) return 0;
    return end - w->boff < w->n ? end - w->boff : w->n;
}

/* Lend the block's own memory. */
static lent_e lend(cache_t *c, const want_t *w, cachefs_ref_t *r, vfs_iovec_t *iov)
{
    uint32_t mix = cachefs__mix(w->ver, w->no);
    shard_t *s = cachefs__block_shard(c, mix);
    lent_e lent = LENT_NOT;
    cachefs__lock(&s->lock, RANK_SHARD);
    uint32_t i = cachefs__block_find(c, w->ver, w->no, mix);
    block_t *k = &c->blocks[i];
    if (i && (atomic_load(&k->bits) & 1u << (w->boff / cachefs__granule(w->shift)))) {
        uint32_t cap = cachefs__class_bytes(atomic_load(&k->bits) >> BLOCK_CLASS_SHIFT & 15);
        uint32_t n = in_place(k, w);
        lent = !n ? LENT_APART : cachefs__pin_take(c, cap) ? LENT_SOME : LENT_LIMIT;
        if (lent == LENT_SOME) {
            uint32_t chunk = atomic_load(&k->data);
            atomic_fetch_add(&k->mark, MARK_BORROW);
            r->b[r->count] = (borrowed_t){i, chunk};
            r->bytes += cap;
            *iov = (vfs_iovec_t){(uint8_t *)cachefs__chunk_ptr(&c->arena, chunk) + w->boff, n};
        }
    }
    cachefs__unlock(&s->lock, RANK_SHARD);
    return lent;
}

/* Lend a copy. */
static lent_e lend_copy(cache_t *c, const want_t *w, cachefs_ref_t *r, vfs_iovec_t *iov)
{
    uint32_t hint = cachefs__top(c, cachefs__mix(w->ver, w->no)), n = 0;
    uint32_t chunk = cachefs__chunk_get(c, w->n, OWNER_PRIVATE | 1, hint, 0);
    if (!chunk) return LENT_FULL;
    uint32_t bytes = cachefs__class_bytes(cachefs__arena_class(&c->arena, chunk));
    int room = cachefs__pin_take(c, bytes);
    uint8_t *to = cachefs__chunk_ptr(&c->arena, chunk);
    if (room) n = cachefs__block_read(c, w->ver, w->no, w->shift, w->boff, w->n, to);
    if (!n) {
        cachefs__chunk_put(c, chunk);
        if (room) cachefs__pin_give(c, bytes);
        return room ? LENT_NOT : LENT_LIMIT;
    }
    cachefs__orphan_add(c, chunk, 1);
    r->b[r->count] = (borrowed_t){NONE, chunk};
    r->bytes += bytes;
    *iov = (vfs_iovec_t){to, n};
    return LENT_SOME;
}

#define LEND_TRIES 4 /* how often bytes may leave again before they are lent */

/* Borrow [off, off + len) as far as iov has room, all of one version. FILL_RESTART: that went. */
static apr_status_t borrow_range(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, cachefs_ref_t *r,
                                 vfs_iovec_t *iov, size_t max, uint64_t off, uint64_t len,
                                 uint64_t *fetched)
{
    uint64_t ver = atomic_load(&o->ver), size = atomic_load(&o->size), at = off;
    uint64_t end = at >= size ? at : size - at < len ? size : at + len;
    apr_status_t st = APR_SUCCESS;
    cachefs__patience_t patience = {0, 0};
    int tries = 0;
    while (at < end && r->count < max && !st) {
        uint32_t shift = atomic_load(&o->shift);
        lent_e lent = LENT_NOT;
        if (shift) {
            want_t w = {ver, (uint32_t)(at >> shift), shift, (uint32_t)(at & ((1ull << shift) - 1)),
                        0};
            uint64_t left = (1ull << shift) - w.boff;
            w.n = (uint32_t)(left < end - at ? left : end - at);
            lent = lend(c, &w, r, &iov[r->count]);
            if (lent == LENT_APART) lent = lend_copy(c, &w, r, &iov[r->count]);
        }
        if (lent == LENT_LIMIT) return VFS_ELIMIT;
        if (lent == LENT_SOME) {
            at += iov[r->count++].len;
            tries = 0;
            continue;
        }
        if (tries++ == LEND_TRIES) return VFS_ELIMIT;
        st = lent == LENT_FULL ? VFS_ELIMIT
                               : cachefs__fill(c, o, ctx, ver, at, end, 0, NULL, fetched);
        if (st == VFS_ELIMIT && !(st = cachefs__room_wait(c, ctx, &patience))) tries = 0;
        if (st == FILL_AGAIN) st = APR_SUCCESS;
        if (!st && atomic_load(&o->size) < end) st = FILL_RESTART; /* it was cut */
    }
    if (!st && atomic_load(&o->ver) != ver) st = FILL_RESTART;
    return st;
}

/* The same, again on the new version where there is one, as a read does. */
static apr_status_t borrow_all(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, cachefs_ref_t *r,
                               vfs_iovec_t *iov, size_t max, uint64_t off, uint64_t len,
                               uint64_t *fetched)
{
    uint32_t changes = atomic_load_explicit(&o->changes, memory_order_relaxed);
    for (;;) {
        apr_status_t st = borrow_range(c, o, ctx, r, iov, max, off, len, fetched);
        if (st != FILL_RESTART) return st;
        if (atomic_load_explicit(&o->changes, memory_order_relaxed) - changes >= GET_GUARD)
            return VFS_ESTALE;
        give_back(r);
    }
}

static int is_cache_file(const vfs_file_t *file);

apr_status_t cachefs_read_ref(cachefs_ref_t **ref, vfs_file_t *file, const vfs_ctx_t *ctx,
                              size_t len, apr_off_t off, vfs_iovec_t *iov, size_t *count,
                              size_t *got)
{
    VFS_CHECK_ARG(ref && file && iov && count && got && *count && off >= 0);
    VFS_CHECK_ARG(is_cache_file(file));
    if (!(vfs_file_flags(file) & VFS_O_READ)) return APR_EBADF;
    apr_status_t st = vfs_ctx_check(ctx);
    if (st) return st;
    handle_t *h = cachefs__handle(file);
    cache_t *c = h->cache;
    size_t most = 2 * (len / GRANULE_MIN + 2); /* a granule is two pieces at most */
    size_t max = *count < most ? *count : most;
    uint64_t fetched = 0;
    cachefs_ref_t *r = ref_new(c, max);
    *got = *count = 0;
    *ref = NULL;
    if (!r) return APR_ENOMEM;
    st = cachefs__obj_sure(c, h->obj, ctx);
    if (!st) st = borrow_all(c, h->obj, ctx, r, iov, max, (uint64_t)off, len, &fetched);
    if (st) {
        cachefs_ref_release(r);
        return st;
    }
    *count = r->count;
    for (size_t i = 0; i < r->count; i++)
        *got += iov[i].len;
    uint64_t missed = fetched < *got ? fetched : *got; /* it may have brought more than was asked */
    cachefs__count(&c->counters, fetched ? CNT_MISSES : CNT_HITS, 1);
    cachefs__count(&c->counters, CNT_MISS_BYTES, missed);
    cachefs__count(&c->counters, CNT_HIT_BYTES, *got - missed);
    *ref = r;
    return APR_SUCCESS;
}

static int is_cache_file(const vfs_file_t *file)
{
    return cachefs_is(vfs_file_fs(file));
}
