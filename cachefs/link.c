/*
 * link.c - what the way to a far lower layer costs and carries, learned from the reads that go over
 * it. Floor 2, private to cachefs/.
 *
 * The time of a read of few bytes is a round trip. What a read of many takes longer than that is
 * the time of its bytes. A way that is busy looks longer and narrower than it is, so what looks
 * better is believed sooner than what looks worse.
 */
#include "cachefs/engine.h"
#include "cachefs/ahead.h"

#define FEW (64u << 10)
#define MANY (128u << 10)
#define BETTER 2u                 /* 1 / how much of a better sample is believed */
#define WORSE 16u                 /* and of a worse one */
#define BYTES_PER_S 1000000000ull /* before anything is known: the first region tells */
#define TRIP_MIN_US 50u           /* what is less than that is no way to speak of */
#define PIECE_US 50000u           /* that the bytes of one read may take */

apr_status_t cachefs__ahead_create(cache_t *c)
{
    c->ahead = calloc(1, sizeof(*c->ahead));
    if (!c->ahead) return APR_ENOMEM;
    pthread_mutex_init(&c->ahead->region_lock, NULL);
    return APR_SUCCESS;
}

void cachefs__ahead_destroy(cache_t *c)
{
    if (!c->ahead) return;
    (void)pthread_mutex_destroy(&c->ahead->region_lock);
    free(c->ahead);
}

static void learn(_Atomic uint64_t *known, uint64_t sample, int better)
{
    uint64_t was = atomic_load_explicit(known, memory_order_relaxed);
    uint64_t part = better ? BETTER : WORSE;
    uint64_t now = !was ? sample : was - was / part + sample / part;
    atomic_store_explicit(known, now ? now : 1, memory_order_relaxed);
}

void cachefs__link_told(cache_t *c, apr_status_t st, uint64_t us, uint64_t got)
{
    cachefs__link_t *link = &c->ahead->link;
    if (st && !cachefs__unreachable(st)) return;
    if (atomic_load_explicit(&link->away, memory_order_relaxed) != (st != APR_SUCCESS))
        atomic_store_explicit(&link->away, st != APR_SUCCESS, memory_order_relaxed);
    if (st || !got) return;
    uint64_t trip = atomic_load_explicit(&link->trip_us, memory_order_relaxed);
    if (got <= FEW) {
        learn(&link->trip_us, us, us < trip);
    } else if (got >= MANY && trip) {
        uint64_t busy = us > trip + us / 8 ? us - trip : us / 8 + 1;
        uint64_t rate = got * 1000000 / busy;
        learn(&link->bytes_per_s, rate,
              rate > atomic_load_explicit(&link->bytes_per_s, memory_order_relaxed));
    }
}

uint64_t cachefs__link_free_bytes(const cache_t *c)
{
    const cachefs__link_t *link = &c->ahead->link;
    uint64_t trip = atomic_load_explicit(&link->trip_us, memory_order_relaxed);
    uint64_t rate = atomic_load_explicit(&link->bytes_per_s, memory_order_relaxed);
    if (!trip) trip = c->lower->caps.round_trip_us;
    if (!rate) rate = BYTES_PER_S;
    if (trip < TRIP_MIN_US) return 0;
    return (rate >> 10) * trip / 1000000 << 10;
}

uint64_t cachefs__link_piece(const cache_t *c, uint64_t least, uint64_t most)
{
    uint64_t rate = atomic_load_explicit(&c->ahead->link.bytes_per_s, memory_order_relaxed);
    uint64_t piece = least, carries = rate ? (rate >> 10) * PIECE_US / 1000000 << 10 : most;
    while (piece < most && piece < carries)
        piece *= 2;
    return piece;
}

int cachefs__link_away(const cache_t *c)
{
    return atomic_load_explicit(&c->ahead->link.away, memory_order_relaxed);
}
