/*
 * prefetch.c - bringing bytes in that nobody waits for, and keeping those that came unasked.
 * Floor 2, private to cachefs/.
 */
#include "cachefs/engine.h"

void cachefs__put_bytes(cache_t *c, obj_t *o, uint64_t ver, uint32_t shift, const void *buf,
                        uint64_t off, size_t len, unsigned flags, const vfs_ctx_t *ctx)
{
    uint64_t size = atomic_load(&o->size), block = 1ull << shift, g = cachefs__granule(shift);
    uint64_t stop = off + len >= size ? size : (off + len) / g * g;
    for (uint64_t at = off; at < stop;) {
        uint64_t no = at >> shift, base = no << shift, end = cachefs__min64(base + block, stop);
        cachefs__put_t p = {.ver = ver, .no = (uint32_t)no, .shift = shift, .only_missing = 1};
        p.ahead = p.first = (flags & FILL_AHEAD) != 0;
        p.from = (uint32_t)(at - base);
        p.to = (uint32_t)(end - base);
        p.bytes = (const uint8_t *)buf + (at - off);
        p.valid = cachefs__granules(shift, p.from, p.to);
        p.end = (uint32_t)cachefs__min64(block, size - base);
        p.low = ctx && ctx->priority == VFS_PRIORITY_LOW;
        p.keep = ctx && ctx->priority == VFS_PRIORITY_HIGH;
        p.wanted = (flags & FILL_WANTED) && !p.low;
        if (cachefs__block_put(c, o, &p)) return; /* no room: the rest is read when it is needed */
        at = end;
    }
}

/* Where what is there of the block of `at`, from `at` on, ends. */
static uint64_t pass_over(cache_t *c, uint64_t ver, uint32_t shift, uint64_t at, int wanted)
{
    uint64_t no = at >> shift, g = cachefs__granule(shift), granule = (at - (no << shift)) / g;
    uint32_t valid = wanted ? cachefs__block_wanted(c, ver, (uint32_t)no)
                            : cachefs__valid_mask(c, ver, (uint32_t)no, NULL);
    uint32_t from_here = (valid & BLOCK_VALID_MASK) >> granule;
    if (!(from_here & 1)) return at;
    return at / g * g + (uint64_t)__builtin_ctz(~from_here) * g;
}

apr_status_t cachefs__prefetch(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint64_t off,
                               uint64_t end, unsigned flags, uint64_t *fetched)
{
    int low = ctx && ctx->priority == VFS_PRIORITY_LOW;
    int hasty = low || (flags & (FILL_AHEAD | FILL_HASTY));
    cachefs__patience_t patience = {0, 0};
    uint64_t at = off;
    for (;;) {
        uint64_t ver = atomic_load(&o->ver), size = atomic_load(&o->size);
        uint64_t stop = end < size ? end : size;
        uint32_t shift = atomic_load(&o->shift);
        if (at >= stop) return APR_SUCCESS;
        uint64_t there = shift ? pass_over(c, ver, shift, at, !low && (flags & FILL_WANTED)) : at;
        if (there > at) {
            at = there;
            continue;
        }
        cachefs__sink_t sink = {NULL, at, stop - at, 0, NULL};
        apr_status_t st = cachefs__fill(c, o, ctx, ver, at, stop, flags, &sink, fetched);
        at += sink.done;
        if (sink.done) patience = (cachefs__patience_t){0, 0};
        if (st == FILL_RESTART && (flags & FILL_AHEAD)) return st; /* another one's version */
        if (st == VFS_ELIMIT && !hasty) st = cachefs__room_wait(c, ctx, &patience);
        if (st && st != FILL_AGAIN && st != FILL_RESTART) return st;
    }
}
