/*
 * ahead_region.c - files that are read here and there. Floor 2, private to cachefs/.
 *
 * While a miss waits for its round trip, the way to a far lower layer is idle: so many bytes as
 * come in that time cost little. After a few such misses in one version each brings the aligned
 * region around it, which grows to what a round trip can carry. At most that doubles what a miss
 * takes, and where others hit the region, it saves their round trips.
 *
 *     128 KiB, four times as much with each miss, up to the link's bytes of a round trip
 *     much was brought, and little of it was read?   a quarter of it, until it was
 *     less than the first?                           none, for twice as many misses as the last
 * time
 *
 * How much may come before it pays: half of a file that fits well into memory, of others little.
 */
#include "cachefs/engine.h"
#include "cachefs/ahead.h"

#define REGION_FIRST AHEAD_FIRST
#define REGION_MAX (16u << 20)
#define REGION_AFTER 3u /* misses that bring nothing else */
#define REGION_GROWS 4u
#define REGION_SHRINKS 4u
#define REGION_UNPROVEN (32u << 20)
#define REGION_FITS 4u /* a file of that part of the memory is not too large */
#define REGION_PAUSE 64u
#define REGION_ALL (1u << 20)  /* a region of so much comes with the miss itself */
#define MOVE_BYTES (16u << 10) /* what a cold random read moves at most */

/* In one word: its first byte, a multiple of REGION_FIRST; the blocks that were there before it;
 * log2 of its bytes. */
#define NOTE_LOG 5u
#define NOTE_HAD_MAX ((REGION_FIRST >> NOTE_LOG) - 1)

static uint64_t region_note(uint64_t from, uint64_t bytes, uint64_t had)
{
    if (had > NOTE_HAD_MAX) had = NOTE_HAD_MAX;
    return from | had << NOTE_LOG | (uint64_t)__builtin_ctzll(bytes);
}

/* Blocks of [from, to) that are there, unless nobody read them yet (`used`). */
static uint64_t blocks_there(cache_t *c, uint64_t ver, uint32_t shift, uint64_t from, uint64_t to,
                             int used)
{
    uint64_t count = 0;
    for (uint64_t no = from >> shift; no << shift < to; no++)
        count += (uint64_t)cachefs__block_is_there(c, ver, (uint32_t)no, used);
    return count;
}

/* Were those regions read by more than the misses that brought them? */
static int paid(cache_t *c, uint64_t ver, uint32_t shift, const uint64_t *recent, uint64_t limit)
{
    uint64_t used = 0, bytes = 0, size = 0;
    for (unsigned i = 0; i < REGION_RECENT; i++) {
        if (!recent[i]) continue;
        uint64_t from = recent[i] & ~(uint64_t)(REGION_FIRST - 1);
        uint64_t had = (recent[i] >> NOTE_LOG & NOTE_HAD_MAX) + 1;
        size = 1ull << (recent[i] & ((1u << NOTE_LOG) - 1));
        uint64_t now = blocks_there(c, ver, shift, from, from + size, 1);
        used += now > had ? now - had : 0;
        bytes += size;
    }
    return used && used * limit * REGION_RECENT >= bytes;
}

/* What a region may have now. 0: a round trip carries too little, or nothing shall be read ahead.
 */
static uint64_t region_limit(const cache_t *c)
{
    uint64_t most = cachefs__min64(cachefs__ahead_most(c), REGION_MAX);
    uint64_t carries = cachefs__link_free_bytes(c), limit = REGION_FIRST;
    if (most < REGION_FIRST || carries < REGION_FIRST / 2) return 0;
    while (limit < carries && limit * 2 <= most)
        limit *= 2;
    return limit;
}

/* So much is brought before it is seen to pay. */
static uint64_t trust(const cache_t *c, uint64_t size, uint64_t limit)
{
    uint64_t most = cachefs__min64(limit * REGION_RECENT, REGION_UNPROVEN);
    if (most > c->burst_bytes) most = c->burst_bytes;
    return size <= c->arena.bytes / REGION_FITS && size / 2 > most ? size / 2 : most;
}

static cachefs__scattered_t *file_of(cache_t *c, uint64_t ver)
{
    cachefs__scattered_t *f = &c->ahead->files[cachefs__mix(ver, 0) % REGION_FILES];
    if (f->ver != ver)
        *f = (cachefs__scattered_t){
            .ver = ver, .wait = REGION_AFTER, .pause = REGION_PAUSE, .most = REGION_MAX};
    return f;
}

/* They did not pay. */
static void shrink(cachefs__scattered_t *f, uint64_t trusted)
{
    f->most = f->bytes / REGION_SHRINKS;
    f->unproven = trusted - trusted / 4;
    if (f->most >= REGION_FIRST) return;
    f->most = REGION_MAX;
    f->wait = f->misses + f->pause;
    if (f->pause < UINT32_MAX / 4) f->pause *= 2;
    f->bytes = f->unproven = 0;
    memset(f->recent, 0, sizeof(f->recent));
}

/* Bytes of the region of this miss. 0: none. */
static uint64_t region_bytes(cache_t *c, uint64_t ver, uint32_t shift, uint64_t size)
{
    uint64_t limit = region_limit(c), trusted = trust(c, size, limit), bytes = 0;
    uint64_t recent[REGION_RECENT];
    pthread_mutex_t *lock = &c->ahead->region_lock;
    cachefs__lock(lock, RANK_LEAF);
    cachefs__scattered_t *f = file_of(c, ver);
    int due = f->misses++ >= f->wait && limit, over = f->unproven > trusted;
    memcpy(recent, f->recent, sizeof(recent));
    cachefs__unlock(lock, RANK_LEAF);
    if (!due) return 0;
    int pays = over && paid(c, ver, shift, recent, limit);
    cachefs__lock(lock, RANK_LEAF);
    f = file_of(c, ver);
    if (pays) {
        f->unproven = 0;
        f->most = REGION_MAX;
    } else if (over) {
        shrink(f, trusted);
    }
    if (f->misses > f->wait) {
        bytes = f->bytes ? f->bytes * REGION_GROWS : REGION_FIRST;
        bytes = f->bytes = cachefs__min64(bytes, cachefs__min64(limit, f->most));
    }
    cachefs__unlock(lock, RANK_LEAF);
    return bytes;
}

static void note(cache_t *c, uint64_t ver, uint64_t region, uint64_t brings)
{
    pthread_mutex_t *lock = &c->ahead->region_lock;
    cachefs__lock(lock, RANK_LEAF);
    cachefs__scattered_t *f = file_of(c, ver);
    f->recent[f->next++ % REGION_RECENT] = region;
    f->unproven += brings;
    cachefs__unlock(lock, RANK_LEAF);
}

/* Does the miss go below? What the disk tier has costs no round trip. */
static int goes_below(cache_t *c, obj_t *o, uint64_t ver, uint32_t shift, uint64_t off)
{
    if (!shift) return 1;
    uint64_t granule = cachefs__granule(shift), at = off & ~(granule - 1);
    uint64_t start = at, end = at + granule;
    cachefs__tier_key_t key;
    uint32_t valid = cachefs__valid_mask(c, ver, (uint32_t)(off >> shift), NULL);
    if (valid >> ((off & ((1ull << shift) - 1)) / granule) & 1) return 0;
    if (!c->l2) return 1;
    cachefs__obj_look(c, o);
    int keyed = cachefs__tier_key(c, o, &key);
    cachefs__obj_looked(c, o);
    return !keyed || !cachefs__tier_extent(c, &key, at, granule, key.size, &start, &end);
}

/* The smaller side comes with the miss, the other one by a worker; a small region as a whole.
 * Returns how much that is. */
static uint64_t share_out(cache_t *c, obj_t *o, uint64_t ver, uint64_t from, uint64_t to,
                          cachefs__reach_t *reach)
{
    uint64_t stop = cachefs__min64((reach->to + MOVE_BYTES - 1) & ~(uint64_t)(MOVE_BYTES - 1), to);
    uint64_t start = reach->from & ~(uint64_t)(MOVE_BYTES - 1), bytes = 0;
    int all = to - from <= REGION_ALL, left = start - from <= to - stop;
    if ((all || left) && !c->l2) start = from; /* of what lies there the tier may have some */
    if (all || !left) stop = to;
    if (from < start && cachefs__ahead_piece(c, o, ver, from, start)) bytes += start - from;
    if (stop < to && cachefs__ahead_piece(c, o, ver, stop, to)) bytes += to - stop;
    reach->from = start;
    reach->to = stop;
    return bytes + (stop - start);
}

unsigned cachefs__region(cache_t *c, obj_t *o, uint64_t off, uint64_t len, cachefs__reach_t *reach)
{
    uint64_t ver = atomic_load_explicit(&o->ver, memory_order_acquire);
    uint32_t shift = atomic_load_explicit(&o->shift, memory_order_acquire);
    uint64_t size = atomic_load_explicit(&o->size, memory_order_acquire);
    if (!cachefs__far(c) || cachefs__link_away(c) || !ver || off >= size) return 0;
    if (!goes_below(c, o, ver, shift, off)) return 0;
    uint64_t bytes = region_bytes(c, ver, shift, size);
    if (bytes <= len || !shift) return 0;
    uint64_t from = off & ~(bytes - 1), to = cachefs__min64(from + bytes, size);
    uint64_t had = blocks_there(c, ver, shift, from, to, 0), there = had << shift;
    uint64_t brings = share_out(c, o, ver, from, to, reach);
    note(c, ver, region_note(from, bytes, had), brings > there ? brings - there : 0);
    return FILL_REGION;
}
