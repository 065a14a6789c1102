/*
 * arc.c - the policy "arc": recency and frequency, in shares that ghosts settle.
 * Floor 2. Knows entries by number, and what left by its key.
 *
 * Two LRU lists: T1 holds what was used once lately, T2 what was used more than once. Each has a
 * ghost list behind it, B1 and B2, of what it lost. A miss that B1 remembers says that T1 is too
 * small, one that B2 remembers that T2 is; so p, the target of T1, is moved up or down, by more the
 * shorter that ghost list is against the other. The victim is the tail of T1 if T1 is larger than
 * p, else the tail of T2:
 *
 *     B1 <- [ T1: p ] --touch--> [ T2: c - p ] -> B2       T1 + B1 <= c; all four <= 2 c
 *
 * What comes back from a ghost list was used twice, and goes to T2. (Megiddo, Modha: "ARC: a
 * self-tuning, low overhead replacement cache", FAST 2003.) Every step is O(1).
 *
 * Here a victim is asked for before it is known what comes in, so p moves after the eviction that
 * it would have governed, and B1 is cut after it. Parameters: none; p starts at 0.
 */
#include "cachefs/policy/ghost.h"

#define ARC_T2 1u /* in the note of an entry; else T1 */
#define ARC_B2 1u /* in the word of a ghost; else B1 */

typedef struct arc_t {
    cachefs__held_t held;
    cachefs__queue_t t1, t2;
    cachefs__ghosts_t ghosts;
    cachefs__glist_t b1, b2;
    double p; /* bytes */
} arc_t;

static apr_status_t arc_create(void **state, const cachefs_policy_config_t *config,
                               apr_pool_t *pool)
{
    apr_status_t status = cachefs__policy_check(config);
    arc_t *arc;

    if (status != APR_SUCCESS) return status;
    arc = cachefs__policy_calloc(config, pool, sizeof(*arc));
    if (arc == NULL) return APR_ENOMEM;
    cachefs__held_init(&arc->held, config);
    status = cachefs__keys_create(config, &arc->held, pool);
    if (status != APR_SUCCESS) return status;
    cachefs__queue_init(&arc->t1);
    cachefs__queue_init(&arc->t2);
    cachefs__glist_init(&arc->b1);
    cachefs__glist_init(&arc->b2);
    /* four lists of 2 c, two of them c: at most c ghosts, and those of one victim */
    status = cachefs__ghosts_create(config, &arc->ghosts, cachefs__expected(config) + 2, pool);
    if (status != APR_SUCCESS) return status;
    *state = arc;
    return APR_SUCCESS;
}

static cachefs__glist_t *arc_ghosts_of(arc_t *arc, uint32_t ghost)
{
    return arc->ghosts.slots[ghost].node.word & ARC_B2 ? &arc->b2 : &arc->b1;
}

static double arc_ratio(uint64_t other, uint64_t own)
{
    return other > own ? (double)other / (double)own : 1.0;
}

/* A miss that a ghost remembers. */
static void arc_learn(arc_t *arc, uint32_t ghost)
{
    uint64_t b1 = arc->b1.bytes, b2 = arc->b2.bytes;
    double bytes = (double)cachefs__ghost_bytes(&arc->ghosts, ghost);

    if (arc_ghosts_of(arc, ghost) == &arc->b1) {
        arc->p += bytes * arc_ratio(b2, b1);
        if (arc->p > (double)arc->held.capacity) arc->p = (double)arc->held.capacity;
    } else {
        arc->p -= bytes * arc_ratio(b1, b2);
        if (arc->p < 0) arc->p = 0;
    }
}

/* T1 and B1 fit in the capacity, all four lists in twice that. */
static void arc_trim(arc_t *arc)
{
    uint64_t c = arc->held.capacity;

    while (arc->b1.count > 0 && arc->t1.bytes + arc->b1.bytes > c)
        cachefs__glist_drop(&arc->b1, &arc->ghosts, arc->b1.tail);
    while (arc->b2.count > 0 && arc->held.bytes + arc->b1.bytes + arc->b2.bytes > 2 * c)
        cachefs__glist_drop(&arc->b2, &arc->ghosts, arc->b2.tail);
}

static void arc_insert(void *state, uint32_t entry, uint64_t key, uint32_t bytes)
{
    arc_t *arc = state;
    uint64_t hash = cachefs__hold_key(&arc->held, entry, key, bytes, 0);
    uint32_t ghost = cachefs__ghosts_find(&arc->ghosts, hash);

    if (ghost == CACHEFS_POLICY_NONE) {
        cachefs__queue_push(&arc->t1, &arc->held, entry);
        arc_trim(arc);
        return;
    }
    arc_learn(arc, ghost);
    cachefs__glist_drop(arc_ghosts_of(arc, ghost), &arc->ghosts, ghost);
    cachefs__set_note(&arc->held, entry, ARC_T2);
    cachefs__queue_push(&arc->t2, &arc->held, entry);
}

static cachefs__queue_t *arc_queue_of(arc_t *arc, uint32_t entry)
{
    return cachefs__note(&arc->held, entry) == ARC_T2 ? &arc->t2 : &arc->t1;
}

static void arc_touch(void *state, uint32_t entry, uint32_t hits)
{
    arc_t *arc = state;

    (void)hits;
    cachefs__check_held(&arc->held, entry);
    cachefs__queue_move(arc_queue_of(arc, entry), &arc->t2, &arc->held, entry);
    cachefs__set_note(&arc->held, entry, ARC_T2);
}

static void arc_remove(void *state, uint32_t entry)
{
    arc_t *arc = state;

    cachefs__check_held(&arc->held, entry);
    cachefs__queue_unlink(arc_queue_of(arc, entry), &arc->held, entry);
    cachefs__let_go(&arc->held, entry);
}

static void arc_remember(arc_t *arc, uint32_t entry, int in_b2)
{
    uint64_t hash = cachefs__hash_of(&arc->held, entry);
    uint32_t ghost = cachefs__ghosts_find(&arc->ghosts, hash);

    if (ghost != CACHEFS_POLICY_NONE)
        cachefs__glist_drop(arc_ghosts_of(arc, ghost), &arc->ghosts, ghost);
    while (arc->ghosts.count >= arc->ghosts.slots_max) {
        cachefs__glist_t *longer = arc->b1.count > arc->b2.count ? &arc->b1 : &arc->b2;

        cachefs__glist_drop(longer, &arc->ghosts, longer->tail);
    }
    ghost = cachefs__ghosts_take(&arc->ghosts, hash, cachefs__size(&arc->held, entry));
    VFS_ASSERT(ghost != CACHEFS_POLICY_NONE);
    if (in_b2) arc->ghosts.slots[ghost].node.word |= ARC_B2;
    cachefs__glist_push(in_b2 ? &arc->b2 : &arc->b1, &arc->ghosts, ghost);
}

static uint32_t arc_victim(void *state)
{
    arc_t *arc = state;
    uint32_t entry;
    int from_t2;

    if (arc->held.count == 0) return CACHEFS_POLICY_NONE;
    cachefs__full(&arc->held);
    from_t2 = cachefs__plist_empty(&arc->t1.list) ||
              (!cachefs__plist_empty(&arc->t2.list) && (double)arc->t1.bytes <= arc->p);
    entry = from_t2 ? arc->t2.list.tail : arc->t1.list.tail;
    arc_remember(arc, entry, from_t2);
    arc_remove(arc, entry);
    return entry;
}

static uint32_t arc_count(void *state)
{
    return ((const arc_t *)state)->held.count;
}

const cachefs_policy_ops_t cachefs__policy_arc = {
    .abi = CACHEFS_POLICY_ABI,
    .size = sizeof(cachefs_policy_ops_t),
    .name = "arc",
    .create = arc_create,
    .insert = arc_insert,
    .touch = arc_touch,
    .remove = arc_remove,
    .victim = arc_victim,
    .count = arc_count,
};
