/*
 * borrow.c - reads without a copy: the caller gets counted references to cached bytes.
 * Floor 2, private to cachefs/.
 *
 * A borrowed block is not evicted. If it is to change or to go, it leaves its memory to the
 * borrowers and takes other memory; the old chunk is an orphan then, and the last borrower frees
 * it.
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
    size_t count;
    uint64_t bytes;
    borrowed_t b[];
};

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

void cachefs_ref_release(cachefs_ref_t *ref)
{
    if (!ref) return;
    cache_t *c = ref->cache;
    for (size_t i = 0; i < ref->count; i++)
        unborrow(c, &ref->b[i]);
    atomic_fetch_sub(&c->pinned_bytes, ref->bytes);
    free(ref);
}

/* Borrow what is there of a block from boff on, at most n bytes. 0: nothing. */
static uint32_t borrow(cache_t *c, uint64_t ver, uint32_t no, uint32_t shift, uint32_t boff,
                       uint32_t n, borrowed_t *b, vfs_iovec_t *iov, uint64_t *bytes)
{
    uint32_t mix = cachefs__mix(ver, no), done = 0, g = cachefs__granule(shift);
    shard_t *s = cachefs__block_shard(c, mix);
    cachefs__lock(&s->lock, RANK_SHARD);
    uint32_t i = cachefs__block_find(c, s, ver, no, mix);
    if (i) {
        block_t *k = &c->blocks[i];
        uint32_t bits = atomic_load(&k->bits),
                 cap = cachefs__class_bytes(bits >> BLOCK_CLASS_SHIFT & 15);
        while (done < n && boff + done < cap && (bits & 1u << ((boff + done) / g))) {
            uint32_t m = g - (boff + done) % g;
            done += m < n - done ? m : n - done;
        }
        if (boff + done > cap) done = cap - boff;
        if (done) {
            atomic_fetch_add(&k->mark, MARK_BORROW);
            *b = (borrowed_t){i, atomic_load(&k->data)};
            iov->base = (uint8_t *)cachefs__chunk_ptr(&c->arena, b->chunk) + boff;
            iov->len = done;
            *bytes += cap;
        }
    }
    cachefs__unlock(&s->lock, RANK_SHARD);
    return done;
}

/* Borrow [off, off + len) as far as iov has room, all of one version. FILL_RESTART: that went. */
static apr_status_t borrow_range(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, cachefs_ref_t *r,
                                 vfs_iovec_t *iov, size_t max, uint64_t off, uint64_t len,
                                 uint64_t *fetched)
{
    uint64_t ver = atomic_load(&o->ver), size = atomic_load(&o->size), at = off;
    uint64_t end = at >= size ? at : size - at < len ? size : at + len;
    apr_status_t st = APR_SUCCESS;
    int tries = 0;
    while (at < end && r->count < max && !st) {
        uint32_t shift = atomic_load(&o->shift), n = 0;
        if (shift) {
            uint64_t no = at >> shift, left = (1ull << shift) - (at - (no << shift));
            n = borrow(c, ver, (uint32_t)no, shift, (uint32_t)(at - (no << shift)),
                       (uint32_t)(left < end - at ? left : end - at), &r->b[r->count],
                       &iov[r->count], &r->bytes);
        }
        if (n) {
            r->count++;
            at += n;
            tries = 0;
            continue;
        }
        if (atomic_load(&c->pinned_bytes) + r->bytes >= c->pin_bytes_max || tries++ == 4)
            return VFS_ELIMIT;
        st = cachefs__fill(c, o, ctx, ver, at, end, 0, NULL, fetched);
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
        while (r->count)
            unborrow(c, &r->b[--r->count]);
        r->bytes = 0;
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
    handle_t *h = cachefs__handle(file);
    cache_t *c = h->cache;
    size_t max = *count;
    uint64_t fetched = 0;
    cachefs_ref_t *r = malloc(sizeof(*r) + max * sizeof(borrowed_t));
    *got = *count = 0;
    *ref = NULL;
    if (!r) return APR_ENOMEM;
    *r = (cachefs_ref_t){.cache = c};
    apr_status_t st = cachefs__obj_sure(c, h->obj, ctx);
    if (!st) st = borrow_all(c, h->obj, ctx, r, iov, max, (uint64_t)off, len, &fetched);
    if (atomic_fetch_add(&c->pinned_bytes, r->bytes) + r->bytes > c->pin_bytes_max && r->count &&
        !st)
        st = VFS_ELIMIT;
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
