/*
 * handle_pool.c - how many files and directories may be open, and the memory of open files.
 * Floor 2, private to cachefs/.
 *
 * A handle that is closed stays with its credit (one of handles_max) in a slot of its thread's
 * stripe, for the next open there: two exchanges with a line that other threads seldom touch. Who
 * finds the credits used up takes them from the slots of others, so the limit is exact.
 */
#include "cachefs/engine.h"

static cachefs__spares_t *own_spares(cache_t *c)
{
    static _Atomic unsigned next;
    static _Thread_local unsigned mine;
    if (!mine) mine = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed) % SPARE_STRIPES + 1;
    return &c->spares[mine - 1];
}

/* Sequentially consistent, see invariant 23: an open that others do not see here sees their claim.
 */
static handle_t *take_spare(cachefs__spares_t *s)
{
    for (unsigned i = 0; i < SPARES; i++) {
        if (!atomic_load_explicit(&s->slot[i], memory_order_relaxed)) continue;
        handle_t *h = atomic_exchange(&s->slot[i], NULL);
        if (h) return h;
    }
    return NULL;
}

static int put_spare(cachefs__spares_t *s, handle_t *h)
{
    for (unsigned i = 0; i < SPARES; i++) {
        handle_t *none = NULL;
        if (atomic_load_explicit(&s->slot[i], memory_order_relaxed)) continue;
        if (atomic_compare_exchange_strong(&s->slot[i], &none, h)) return 1;
    }
    return 0;
}

static void shelve(cache_t *c, handle_t *h)
{
    cachefs__lock(&c->handle_lock, RANK_LEAF);
    h->free_next = c->handle_free;
    c->handle_free = h;
    cachefs__unlock(&c->handle_lock, RANK_LEAF);
}

int cachefs__handle_take(cache_t *c)
{
    uint64_t held = atomic_load(&c->handle_count);
    while (held < c->fixed.handles_max)
        if (atomic_compare_exchange_weak(&c->handle_count, &held, held + 1)) return 1;
    for (unsigned i = 0; i < SPARE_STRIPES; i++) {
        handle_t *h = take_spare(&c->spares[i]);
        if (!h) continue;
        shelve(c, h); /* its credit is ours */
        return 1;
    }
    return 0;
}

void cachefs__handle_give(cache_t *c)
{
    atomic_fetch_sub(&c->handle_count, 1);
}

uint64_t cachefs__handles_open(cache_t *c)
{
    atomic_thread_fence(memory_order_seq_cst);
    uint64_t spare = 0, held = atomic_load(&c->handle_count);
    for (unsigned i = 0; i < SPARE_STRIPES; i++)
        for (unsigned k = 0; k < SPARES; k++)
            spare += atomic_load_explicit(&c->spares[i].slot[k], memory_order_relaxed) != NULL;
    return held > spare ? held - spare : 0;
}

handle_t *cachefs__handle_alloc(cache_t *c)
{
    handle_t *h = take_spare(own_spares(c));
    if (h) return h;
    if (!cachefs__handle_take(c)) return NULL;
    cachefs__lock(&c->handle_lock, RANK_LEAF);
    h = c->handle_free;
    if (h) c->handle_free = h->free_next;
    cachefs__unlock(&c->handle_lock, RANK_LEAF);
    if (!h) h = malloc(sizeof(*h));
    if (!h) cachefs__handle_give(c);
    return h;
}

void cachefs__handle_free(cache_t *c, handle_t *h)
{
    h->magic = 0;
    if (put_spare(own_spares(c), h)) return;
    shelve(c, h);
    cachefs__handle_give(c);
}

void cachefs__handles_destroy(cache_t *c)
{
    for (unsigned i = 0; i < SPARE_STRIPES; i++)
        for (handle_t *h; (h = take_spare(&c->spares[i])) != NULL;)
            free(h);
    while (c->handle_free) {
        handle_t *h = c->handle_free;
        c->handle_free = h->free_next;
        free(h);
    }
}
