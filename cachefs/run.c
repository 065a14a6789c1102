/*
 * run.c - which missing bytes one read below brings: where they begin and end, memory for them.
 * Floor 2, private to cachefs/.
 */
#include "cachefs/engine.h"
#include "cachefs/ahead.h"
#include "cachefs/run.h"

#define RUN_NEAR 64u           /* and of one that is near */
#define RUN_BYTES (256u << 10) /* a scan moves in steps of this */
#define RUN_AHEAD (4u << 20)   /* a prefetch in steps of this */
#define RUN_FAR (16u << 20)    /* from afar at most, where the link carries it in a moment */
#define RUN_WANTED 16u         /* of the memory, that one may take of what a caller waits for */
#define MOVE_BYTES (16u << 10) /* what a cold random read moves at most */

/* Where the granules of a block that are not valid end, from granule k on: the first that is,
 * or 32.
 */
static uint32_t missing_end(uint32_t valid, uint32_t k)
{
    uint32_t above = valid >> k;
    return above ? k + (uint32_t)__builtin_ctz(above) : 32;
}

/* The run may begin further back, where all from there on is missing: `bare` is where what is
 * missing of block `no` begins. Returns the first block of it. */
static uint64_t reach_back(cache_t *c, run_t *r, uint64_t no, uint64_t bare)
{
    uint32_t gs = cachefs__granule_shift(r->shift), most = 1u << (r->shift - gs);
    uint64_t first = no;
    if (r->back >= r->start) return no;
    while (bare == first << r->shift && bare > r->back && no - first + 1 < r->blocks) {
        uint32_t valid = cachefs__valid_mask(c, r->ver, (uint32_t)first - 1, NULL);
        uint32_t there = valid ? 32 - (uint32_t)__builtin_clz(valid) : 0;
        if (there == most) break;
        bare = (--first << r->shift) + ((uint64_t)there << gs);
    }
    if (bare < r->back) bare = r->back;
    r->start = bare;
    return bare >> r->shift;
}

int cachefs__run_find(cache_t *c, run_t *r, uint64_t off, uint64_t end)
{
    uint32_t gs = cachefs__granule_shift(r->shift), most = 1u << (r->shift - gs);
    uint64_t g = 1ull << gs, align = g > MOVE_BYTES ? g : MOVE_BYTES, floor = off & ~(align - 1);
    uint64_t no = off >> r->shift, first, base = no << r->shift;
    uint64_t limit = cachefs__min64((end + align - 1) & ~(align - 1), (off & ~(g - 1)) + r->most);
    uint32_t valid = cachefs__valid_mask(c, r->ver, (uint32_t)no, NULL);
    uint32_t k = (uint32_t)((off - base) >> gs), below = valid & ((1u << k) - 1), stop;
    if (valid >> k & 1) return 0;
    r->start = below ? base + ((uint64_t)(32 - __builtin_clz(below)) << gs) : base;
    if (r->start < floor) r->start = floor;
    r->here = r->start;
    first =
        reach_back(c, r, no, below ? base + ((uint64_t)(32 - __builtin_clz(below)) << gs) : base);
    limit = cachefs__min64((limit + g - 1) & ~(g - 1), r->size);
    while ((stop = missing_end(valid, k)) >= most && base + (1ull << r->shift) < limit &&
           no + 1 - first < r->blocks) {
        base = ++no << r->shift;
        valid = cachefs__valid_mask(c, r->ver, (uint32_t)no, NULL);
        k = 0;
    }
    if (stop > most) stop = most;
    r->end = cachefs__min64(base + ((uint64_t)stop << gs), limit);
    return 1;
}

void cachefs__run_free(cache_t *c, run_t *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (r->chunk[i]) cachefs__chunk_put(c, r->chunk[i]);
    r->count = 0;
}

int cachefs__run_memory(cache_t *c, run_t *r, int low)
{
    uint64_t block = 1ull << r->shift, at = r->start;
    for (r->count = 0; at < r->end && r->count < r->blocks; r->count++) {
        uint64_t no = at >> r->shift, base = no << r->shift,
                 stop = cachefs__min64(base + block, r->end);
        uint64_t need = at == base ? cachefs__min64(block, r->size - base) : stop - at;
        uint32_t hint = cachefs__top(c, cachefs__mix(r->ver, (uint32_t)no));
        uint32_t chunk = cachefs__chunk_get(c, need, OWNER_PRIVATE | 4, hint, low);
        if (!chunk) {
            r->end = at;
            break;
        }
        r->chunk[r->count] = chunk;
        r->iov[r->count].base = cachefs__chunk_ptr(&c->arena, chunk);
        r->iov[r->count].len = (size_t)(stop - at);
        at = stop;
    }
    if (at < r->end) r->end = at;
    return r->count > 0;
}

int cachefs__run_memory_for(cache_t *c, run_t *r, int low, const cachefs__sink_t *sink)
{
    uint64_t end = r->end, want = sink ? sink->off + sink->done : r->here;
    if (cachefs__run_memory(c, r, low) && (r->end > want || r->start == r->here)) return 1;
    if (r->start == r->here) return 0;
    cachefs__run_free(c, r);
    r->start = r->here;
    r->end = end;
    return cachefs__run_memory(c, r, low);
}

/* How much it may bring, and from where. */
void cachefs__run_limit(cache_t *c, run_t *r, const cachefs__sink_t *sink, uint64_t off,
                        uint64_t end)
{
    int far = cachefs__far(c), back = sink && sink->reach && sink->reach->from < off && !c->l2;
    r->blocks = far ? RUN_BLOCKS : RUN_NEAR;
    r->back = back ? sink->reach->from : UINT64_MAX;
    VFS_DEBUG_ASSERT(!back || r->back % MOVE_BYTES == 0);
    if (sink && sink->buf) {
        uint64_t all = end - (back ? r->back : off);
        r->most = far ? cachefs__min64(all, c->burst_bytes / RUN_SHARE) : 0;
        if (r->most < RUN_BYTES) r->most = RUN_BYTES;
        r->most = cachefs__min64(r->most, c->arena.bytes / RUN_WANTED);
    } else {
        r->most = far ? cachefs__link_piece(c, RUN_AHEAD, RUN_FAR) : RUN_AHEAD;
        r->most = cachefs__min64(r->most, c->burst_bytes / RUN_SHARE);
    }
}
