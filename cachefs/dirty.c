/*
 * dirty.c - what is dirty: the list of each object, and the queue of the objects.
 * Floor 2, private to cachefs/.
 *
 * A dirty block is on the list of its object, never with the policy. An object with dirty data is
 * on the queue of the instance, oldest first, and referenced by it. Nothing but a flush (flush.c),
 * a truncation, a discard that was asked for, or the end of the file itself takes a block from the
 * list.
 */
#include "cachefs/engine.h"

/* ---- the queue */

/* Both with the queue locked. */
static void queue_link(cache_t *c, obj_t *o)
{
    uint32_t i = cachefs__obj_index(c, o);
    o->queue_next = NONE;
    o->queue_prev = c->wb_last;
    if (c->wb_last)
        c->objs[c->wb_last].queue_next = i;
    else
        c->wb_first = i;
    c->wb_last = i;
}

static void queue_unlink(cache_t *c, obj_t *o)
{
    if (o->queue_prev)
        c->objs[o->queue_prev].queue_next = o->queue_next;
    else
        c->wb_first = o->queue_next;
    if (o->queue_next)
        c->objs[o->queue_next].queue_prev = o->queue_prev;
    else
        c->wb_last = o->queue_prev;
}

/* Object locked. */
static void queue_add(cache_t *c, obj_t *o)
{
    if (o->flags & OBJ_QUEUED) return;
    o->flags |= OBJ_QUEUED;
    cachefs__obj_ref(o);
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    queue_link(c, o);
    c->wb_files++;
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    cachefs__wb_wake(c, cachefs__wb_due(c, o));
}

/* Object locked. 1: the caller drops the queue's reference. */
static int queue_remove(cache_t *c, obj_t *o)
{
    if (!(o->flags & OBJ_QUEUED)) return 0;
    o->flags &= ~OBJ_QUEUED;
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    queue_unlink(c, o);
    c->wb_files--;
    pthread_cond_broadcast(&c->wb_cond);
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    return 1;
}

/* Others have their turn first. It does not leave the queue for that: whoever flushes all takes
 * what he finds there. Object locked. */
static void next_turn(cache_t *c, obj_t *o)
{
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    VFS_ASSERT(o->flags & OBJ_QUEUED); /* as all that is dirty */
    queue_unlink(c, o);
    queue_link(c, o);
    pthread_cond_broadcast(&c->wb_cond); /* a part of it went: there may be room */
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    cachefs__wb_wake(c, cachefs__wb_due(c, o));
}

int64_t cachefs__dirty_oldest(cache_t *c)
{
    int64_t oldest = INT64_MAX;
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    for (uint32_t i = c->wb_first; i != NONE; i = c->objs[i].queue_next) {
        int64_t since = atomic_load(&c->objs[i].dirty_since_us);
        if (since < oldest) oldest = since;
    }
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    return oldest;
}

size_t cachefs__dirty_objs(cache_t *c, obj_t **out, size_t max)
{
    size_t n = 0;
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    for (uint32_t i = c->wb_first; i != NONE && n < max; i = c->objs[i].queue_next) {
        out[n] = &c->objs[i];
        cachefs__obj_ref(out[n++]);
    }
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    return n;
}

/* Those of the queue into `out` if they are `max` at most; returns how many they are. */
static size_t snapshot(cache_t *c, obj_t **out, size_t max)
{
    size_t n = 0;
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    size_t files = (size_t)c->wb_files;
    for (uint32_t i = files <= max ? c->wb_first : NONE; i != NONE; i = c->objs[i].queue_next) {
        VFS_ASSERT(n < max); /* the queue holds wb_files */
        out[n] = &c->objs[i];
        cachefs__obj_ref(out[n++]);
    }
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    return files;
}

apr_status_t cachefs__dirty_all(cache_t *c, obj_t ***objs, size_t *count)
{
    size_t room = 0;
    *objs = NULL;
    while ((*count = snapshot(c, *objs, room)) > room) {
        free(*objs);
        room = *count + 16; /* some may come until we look again */
        *objs = malloc(room * sizeof(**objs));
        if (!*objs) return APR_ENOMEM;
    }
    return APR_SUCCESS;
}

/* ---- dirty blocks */

/* Object and shard locked; the block is on no list. */
static void list_last(cache_t *c, obj_t *o, uint32_t i)
{
    cachefs_policy_node_t *l = &c->links[i];
    l->next = NONE;
    l->prev = o->dirty_last;
    if (o->dirty_last)
        c->links[o->dirty_last].next = i;
    else
        o->dirty_first = i;
    o->dirty_last = i;
    o->dirty_blocks++;
}

static void list_remove(cache_t *c, obj_t *o, uint32_t i)
{
    cachefs_policy_node_t *l = &c->links[i];
    if (l->prev)
        c->links[l->prev].next = l->next;
    else
        o->dirty_first = l->next;
    if (l->next)
        c->links[l->next].prev = l->prev;
    else
        o->dirty_last = l->prev;
    o->dirty_blocks--;
}

static uint64_t dirty_size(const obj_t *o, uint32_t mask)
{
    return (uint64_t)__builtin_popcount(mask) *
           cachefs__granule(atomic_load_explicit(&o->shift, memory_order_relaxed));
}

static void dirty_count(cache_t *c, obj_t *o, int64_t bytes)
{
    o->dirty_bytes += (uint64_t)bytes;
    atomic_fetch_add_explicit(&c->dirty_bytes, (uint64_t)bytes, memory_order_relaxed);
}

void cachefs__dirty_add(cache_t *c, obj_t *o, uint32_t i, uint32_t granules)
{
    block_t *b = &c->blocks[i];
    cachefs_policy_node_t *l = &c->links[i];
    uint32_t bits = LOAD(b->bits);
    VFS_ASSERT((bits & granules) == granules); /* invariant 5: what is dirty is valid */
    VFS_ASSERT(!(bits & BLOCK_LISTED));
    VFS_ASSERT(!cachefs__block_borrowers(b)); /* invariant 8: what is dirty is lent as a copy */
    if (!(bits & BLOCK_DIRTY)) {
        atomic_store_explicit(&b->bits, bits | BLOCK_DIRTY, memory_order_relaxed);
        l->word = 0;
        list_last(c, o, i);
    }
    if (!o->dirty_bytes) {
        atomic_store(&o->dirty_since_us, cachefs__clock_us());
        queue_add(c, o);
    }
    dirty_count(c, o, (int64_t)dirty_size(o, granules & ~l->word));
    l->word |= granules;
}

/* Object and shard locked. */
static void dirty_unlink(cache_t *c, obj_t *o, uint32_t i)
{
    block_t *b = &c->blocks[i];
    cachefs_policy_node_t *l = &c->links[i];
    VFS_ASSERT(LOAD(b->bits) & BLOCK_DIRTY);
    list_remove(c, o, i);
    dirty_count(c, o, -(int64_t)dirty_size(o, l->word));
    l->word = 0;
    atomic_store_explicit(&b->bits, LOAD(b->bits) & ~BLOCK_DIRTY, memory_order_relaxed);
}

void cachefs__dirty_to_last(cache_t *c, obj_t *o, uint32_t i)
{
    VFS_ASSERT(LOAD(c->blocks[i].bits) & BLOCK_DIRTY);
    list_remove(c, o, i);
    list_last(c, o, i);
}

static shard_t *shard_of(cache_t *c, const block_t *b)
{
    return cachefs__block_shard(c, cachefs__mix(LOAD(b->ver), LOAD(b->no)));
}

void cachefs__dirty_to_clean(cache_t *c, obj_t *o, shard_t *s, uint32_t i)
{
    dirty_unlink(c, o, i);
    cachefs__block_rest(c, s, i, atomic_load(&o->pins));
}

void cachefs__retry_over(cache_t *c, obj_t *o)
{
    if (o->retry_wait_us) atomic_fetch_sub(&c->retrying, 1);
    o->retry_wait_us = o->retry_at_us = 0;
}

void cachefs__retry_later(cache_t *c, obj_t *o, apr_status_t st)
{
    uint64_t least = atomic_load(&c->t.retry_min_us), most = atomic_load(&c->t.retry_max_us);
    uint64_t wait = o->retry_wait_us ? (uint64_t)o->retry_wait_us * 2 : least;
    if (!o->retry_wait_us) atomic_fetch_add(&c->retrying, 1);
    atomic_store(&c->retry_error, st);
    if (wait > most) wait = most;
    o->retry_wait_us = (int64_t)wait;
    uint64_t jitter = (uint64_t)cachefs__clock_us() * 2654435761u % (wait / 4 + 1);
    o->retry_at_us = cachefs__clock_us() + (int64_t)(wait - jitter);
    o->err = st;
    o->err_seq++;
    cachefs__count(&c->counters, CNT_FLUSH_ERRORS, 1);
}

int cachefs__dirty_done(cache_t *c, obj_t *o)
{
    if (o->dirty_bytes) {
        next_turn(c, o);
        return 0;
    }
    VFS_ASSERT(o->dirty_first == NONE && o->dirty_last == NONE && !o->dirty_blocks);
    cachefs__retry_over(c, o);
    o->local_mtime_ns = 0;
    o->flags &= ~OBJ_BESIDE;
    return queue_remove(c, o);
}

uint64_t cachefs__dirty_discard(cache_t *c, obj_t *o, uint64_t from)
{
    cachefs__obj_lock(c, o);
    uint64_t before = o->dirty_bytes, g;
    uint32_t shift = atomic_load(&o->shift), next;
    int drop = 0;
    for (uint32_t i = o->dirty_first; i != NONE; i = next) {
        block_t *b = &c->blocks[i];
        shard_t *s = shard_of(c, b);
        uint64_t base = (uint64_t)LOAD(b->no) << shift;
        next = c->links[i].next;
        g = cachefs__granule(shift);
        if (base + (1ull << shift) <= from) continue;
        cachefs__lock(&s->lock, RANK_SHARD);
        if (base >= from) {
            dirty_unlink(c, o, i);
            cachefs__block_free(c, s, i);
        } else {
            uint32_t keep = (1u << ((from - base + g - 1) / g)) - 1,
                     gone = c->links[i].word & ~keep;
            dirty_count(c, o, -(int64_t)dirty_size(o, gone));
            c->links[i].word &= keep;
            if (!c->links[i].word) cachefs__dirty_to_clean(c, o, s, i);
        }
        cachefs__unlock(&s->lock, RANK_SHARD);
    }
    uint64_t gone = before - o->dirty_bytes;
    if (before) drop = cachefs__dirty_done(c, o);
    cachefs__obj_unlock(c, o);
    if (drop) cachefs__obj_put(c, o);
    return gone;
}
