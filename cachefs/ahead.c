/*
 * ahead.c - read-ahead of readers that go straight on. Floor 2, private to cachefs/.
 *
 * A window grows with each miss and lies ahead of the reader. It is brought in pieces, by workers,
 * several at a time: as much as a round trip lasts is always under way.
 */
#include "cachefs/engine.h"
#include "cachefs/ahead.h"

#define AHEAD_GROWS 4u
#define AHEAD_MIXED (512u << 10)   /* as far apart may reads be that are one after the other */
#define AHEAD_PIECE (1u << 20)     /* what one worker reads ahead at a time */
#define AHEAD_PIECE_MAX (8u << 20) /* and of a wide window, so that it costs fewer requests */
#define AHEAD_SHARE 2u             /* of a burst, that is read ahead */

typedef struct ahead_t {
    cache_t *cache;
    obj_t *obj;
    uint64_t ver, off, end;
} ahead_t;

/* Does anybody have it open, and is it still what we were to read? */
static int still_wanted(const ahead_t *a)
{
    if (atomic_load(&a->obj->ver) != a->ver) return 0;
    cachefs__obj_look(a->cache, a->obj);
    int open = a->obj->handles > 0;
    cachefs__obj_looked(a->cache, a->obj);
    return open;
}

static void ahead_work(void *baton)
{
    ahead_t *a = baton;
    cache_t *c = a->cache;
    uint64_t fetched = 0;
    /* a failure shows when the bytes are read for real */
    if (still_wanted(a))
        (void)cachefs__prefetch(c, a->obj, NULL, a->off, a->end, FILL_AHEAD, &fetched);
    atomic_fetch_sub_explicit(&c->ahead_bytes, a->end - a->off, memory_order_relaxed);
    cachefs__obj_put(c, a->obj);
    free(a);
}

/* Does the reader go straight on? Large reads of one reader may come by several threads, as those
 * of a kernel do that reads ahead itself: in any order, but near each other. */
int cachefs__ahead_goes_on(uint64_t next, uint64_t off, size_t len)
{
    if (off == next) return 1;
    return len >= AHEAD_FIRST / 2 && next != 0 && off + AHEAD_MIXED >= next &&
           off <= next + AHEAD_MIXED;
}

/* Where he goes on, after a read that went straight on or not. */
void cachefs__ahead_went(handle_t *h, uint64_t next, uint64_t off, size_t len, size_t got)
{
    uint64_t end = off + got;
    if (off != 0 && end < next && cachefs__ahead_goes_on(next, off, len)) end = next;
    atomic_store_explicit(&h->next_off, end, memory_order_relaxed);
}

uint64_t cachefs__ahead_most(const cache_t *c)
{
    return cachefs__min64(atomic_load_explicit(&c->t.readahead_bytes, memory_order_relaxed),
                          c->burst_bytes / AHEAD_SHARE); /* or it leaves unread */
}

uint64_t cachefs__ahead_window(cache_t *c, handle_t *h, uint64_t off, size_t len, unsigned *flags)
{
    uint64_t most = cachefs__ahead_most(c);
    uint64_t next = atomic_load_explicit(&h->next_off, memory_order_relaxed);
    uint64_t window = atomic_load_explicit(&h->window, memory_order_relaxed);
    int on = off == 0 || cachefs__ahead_goes_on(next, off, len);
    if (off == 0)
        window = len >= AHEAD_FIRST / 2 ? AHEAD_FIRST : 0;
    else
        window = !on ? 0 : window > HANDLE_WATCHED ? window * AHEAD_GROWS : AHEAD_FIRST;
    if (window > off * AHEAD_GROWS)
        window = off ? off * AHEAD_GROWS : window; /* or it is a guess */
    if (window > most) window = most;
    atomic_store_explicit(&h->window, on && !window ? HANDLE_WATCHED : window,
                          memory_order_relaxed);
    *flags = FILL_LOOKED | (on ? FILL_ON : 0);
    return window;
}

int cachefs__ahead_piece(cache_t *c, obj_t *o, uint64_t ver, uint64_t from, uint64_t end)
{
    uint64_t most = atomic_load(&c->t.readahead_bytes_max);
    if (most > c->burst_bytes / AHEAD_SHARE) most = c->burst_bytes / AHEAD_SHARE;
    if (atomic_fetch_add(&c->ahead_bytes, end - from) + (end - from) <= most) {
        ahead_t *a = malloc(sizeof(*a));
        if (a) {
            *a = (ahead_t){c, o, ver, from, end};
            cachefs__obj_ref(o);
            if (!vfs_workers_try(c->workers, ahead_work, a)) return 1;
            cachefs__obj_put(c, o);
            free(a);
        }
    }
    atomic_fetch_sub(&c->ahead_bytes, end - from);
    return 0;
}

/* Who comes as far as to want more is a longer reader than it was known. */
static void widen(const cache_t *c, handle_t *h, uint64_t from, uint64_t window)
{
    uint64_t wide = cachefs__min64(window * 2, cachefs__min64(from, UINT32_MAX) * AHEAD_GROWS);
    wide = cachefs__min64(wide, cachefs__ahead_most(c));
    if (wide > window) atomic_store_explicit(&h->window, wide, memory_order_relaxed);
}

/* Over a lower layer that is near, what a miss brings in the call itself is all: a worker would
 * come too late. */
void cachefs__ahead_start(cache_t *c, handle_t *h, uint64_t from, uint64_t window)
{
    if (!cachefs__far(c) || cachefs__link_away(c)) return;
    uint64_t ver = atomic_load(&h->obj->ver);
    uint64_t size = atomic_load(&h->obj->size), end = from + window;
    uint64_t begun = atomic_load_explicit(&h->ahead_end, memory_order_relaxed);
    uint64_t piece = cachefs__link_piece(c, AHEAD_PIECE, AHEAD_PIECE_MAX);
    while (piece > AHEAD_PIECE && piece > window / 4)
        piece /= 2;
    if (end > size) end = size;
    if (begun < from || begun > end + window) begun = from;
    if (end < begun + cachefs__min64(piece, window / 2) && end != size)
        return; /* still far enough ahead */
    widen(c, h, from, window);
    while (begun < end) { /* as many trips at once as there are workers */
        uint64_t stop = cachefs__min64(end, (begun / piece + 1) * piece);
        if (stop == end && end != size && stop - begun < piece / 2 && window >= 2 * piece)
            return; /* the rest of it comes with what is behind it */
        if (!cachefs__ahead_piece(c, h->obj, ver, begun, stop)) return;
        begun = stop;
        atomic_store_explicit(&h->ahead_end, begun, memory_order_relaxed);
    }
}
