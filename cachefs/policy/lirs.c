/*
 * lirs.c - the policy "lirs": who is used again after the fewest others stays.
 * Floor 2. Knows entries by number, and what left by its key.
 *
 * The inter-reference recency of a block is how many others were used between its last two uses.
 * Those with a low one (LIR) have nearly all of the memory and never leave it; those with a high
 * one (HIR) pass through the last hundredth, a queue. A stack orders by recency:
 *
 *     S   from the top: LIR blocks, HIR blocks, ghosts of HIR blocks that left; its bottom is
 *         always LIR (pruning drops whatever else comes to lie there)
 *     Q   HIR blocks that are in memory; the victim is the one that came first
 *
 * A HIR block or ghost that is used while still on S has, by its place above the bottom, a lower
 * recency than the LIR block there: they change roles, the bottom one goes to Q. A HIR block that
 * is used when no longer on S starts anew at its top, and at the end of Q. (Jiang, Zhang: "LIRS: an
 * efficient low inter-reference recency set replacement policy to improve buffer cache
 * performance", SIGMETRICS 2002.) Pruning takes what was once pushed: O(1) amortised.
 *
 * Parameters, those of libCacheSim: Q has 1 % of the capacity; S holds twice the capacity at most,
 * then the ghosts that left first are dropped. With it, a use of a HIR block that is not on S makes
 * room in the LIR part (the bottom one goes to Q): the next newcomer becomes LIR there.
 *
 * An entry's node links it into S. The few that are in Q have a slot there, found by entry number;
 * if these run out, LIR holds more than its share.
 */
#include "cachefs/policy/ghost.h"

#define LIRS_LIR 1u
#define LIRS_ON_S 2u
#define LIRS_Q_PERCENT 1u

typedef struct lirs_t {
    cachefs__held_t held;
    uint32_t top, bottom; /* of S: entries, and from entries_max on ghosts */
    uint64_t stack_bytes;
    uint64_t lir_bytes;
    cachefs__ghosts_t ghosts;     /* their nodes link them into S */
    cachefs_policy_node_t *order; /* of ghosts, by when they left */
    cachefs__plist_t left;        /* through order */
    cachefs__ghosts_t q_slots;    /* tags are entries */
    cachefs__glist_t q;           /* the tail came first */
} lirs_t;

static apr_status_t lirs_create(void **state, const cachefs_policy_config_t *config,
                                apr_pool_t *pool)
{
    apr_status_t status = cachefs__policy_check(config);
    uint64_t expected, slots, room;
    lirs_t *lirs;

    if (status != APR_SUCCESS) return status;
    lirs = cachefs__policy_calloc(config, pool, sizeof(*lirs));
    if (lirs == NULL) return APR_ENOMEM;
    cachefs__held_init(&lirs->held, config);
    status = cachefs__keys_create(config, &lirs->held, pool);
    if (status != APR_SUCCESS) return status;
    lirs->top = lirs->bottom = CACHEFS_POLICY_NONE;
    cachefs__plist_init(&lirs->left);
    cachefs__glist_init(&lirs->q);
    expected = cachefs__expected(config);
    slots = expected + expected / 16;
    room = CACHEFS_POLICY_NONE - config->entries_max; /* one numbering for both */
    if (slots > room) slots = room;
    status = cachefs__ghosts_create(config, &lirs->ghosts, slots, pool);
    if (status != APR_SUCCESS) return status;
    lirs->order =
        cachefs__policy_alloc(config, pool, sizeof(*lirs->order) * lirs->ghosts.slots_max);
    if (lirs->order == NULL) return APR_ENOMEM;
    status = cachefs__ghosts_create(config, &lirs->q_slots, 64 + expected / 16, pool);
    if (status != APR_SUCCESS) return status;
    *state = lirs;
    return APR_SUCCESS;
}

/* ---- the stack S ----------------------------------------------------------------------------- */

static int lirs_is_ghost(const lirs_t *lirs, uint32_t id)
{
    return id >= lirs->held.entries_max;
}

static cachefs_policy_node_t *lirs_node(lirs_t *lirs, uint32_t id)
{
    if (!lirs_is_ghost(lirs, id)) return &lirs->held.nodes[id];
    return &lirs->ghosts.slots[id - lirs->held.entries_max].node;
}

static uint32_t lirs_bytes(const lirs_t *lirs, uint32_t id)
{
    if (!lirs_is_ghost(lirs, id)) return cachefs__size(&lirs->held, id);
    return cachefs__ghost_bytes(&lirs->ghosts, id - lirs->held.entries_max);
}

static void lirs_push(lirs_t *lirs, uint32_t id)
{
    cachefs_policy_node_t *node = lirs_node(lirs, id);

    node->prev = CACHEFS_POLICY_NONE;
    node->next = lirs->top;
    if (lirs->top == CACHEFS_POLICY_NONE)
        lirs->bottom = id;
    else
        lirs_node(lirs, lirs->top)->prev = id;
    lirs->top = id;
    lirs->stack_bytes += lirs_bytes(lirs, id);
}

static void lirs_unlink(lirs_t *lirs, uint32_t id)
{
    uint32_t prev = lirs_node(lirs, id)->prev, next = lirs_node(lirs, id)->next;

    if (prev == CACHEFS_POLICY_NONE)
        lirs->top = next;
    else
        lirs_node(lirs, prev)->next = next;
    if (next == CACHEFS_POLICY_NONE)
        lirs->bottom = prev;
    else
        lirs_node(lirs, next)->prev = prev;
    VFS_ASSERT(lirs->stack_bytes >= lirs_bytes(lirs, id));
    lirs->stack_bytes -= lirs_bytes(lirs, id);
}

/* Take a ghost out of S, and forget it. */
static void lirs_drop_ghost(lirs_t *lirs, uint32_t ghost)
{
    lirs_unlink(lirs, lirs->held.entries_max + ghost);
    cachefs__plist_unlink(&lirs->left, lirs->order, ghost);
    cachefs__ghosts_give(&lirs->ghosts, ghost);
}

/* What lies below the lowest LIR block tells nothing more. */
static void lirs_prune(lirs_t *lirs)
{
    uint32_t id;

    while ((id = lirs->bottom) != CACHEFS_POLICY_NONE) {
        if (lirs_is_ghost(lirs, id)) {
            lirs_drop_ghost(lirs, id - lirs->held.entries_max);
            continue;
        }
        if (cachefs__note(&lirs->held, id) & LIRS_LIR) break;
        lirs_unlink(lirs, id);
        cachefs__set_note(&lirs->held, id, 0);
    }
}

static void lirs_limit_stack(lirs_t *lirs)
{
    while (lirs->stack_bytes > 2 * lirs->held.capacity && !cachefs__plist_empty(&lirs->left))
        lirs_drop_ghost(lirs, lirs->left.tail);
}

/* ---- the queue Q ----------------------------------------------------------------------------- */

static int lirs_queue_has_room(const lirs_t *lirs)
{
    return lirs->q_slots.count < lirs->q_slots.slots_max;
}

static void lirs_enqueue(lirs_t *lirs, uint32_t entry)
{
    uint32_t slot = cachefs__ghosts_take(&lirs->q_slots, entry, cachefs__size(&lirs->held, entry));

    VFS_ASSERT(slot != CACHEFS_POLICY_NONE);
    cachefs__glist_push(&lirs->q, &lirs->q_slots, slot);
}

static void lirs_dequeue(lirs_t *lirs, uint32_t entry)
{
    uint32_t slot = cachefs__ghosts_find(&lirs->q_slots, entry);

    VFS_ASSERT(slot != CACHEFS_POLICY_NONE);
    cachefs__glist_drop(&lirs->q, &lirs->q_slots, slot);
}

/* ---- roles ----------------------------------------------------------------------------------- */

/* The share of LIR, if the queue must have room for at least so many bytes. */
static uint64_t lirs_limit(const lirs_t *lirs, uint32_t bytes)
{
    uint64_t q = lirs->held.capacity * LIRS_Q_PERCENT / 100;

    if (q < bytes) q = bytes;
    return lirs->held.capacity > q ? lirs->held.capacity - q : 0;
}

/* The LIR block at the bottom goes to the end of Q, until so many bytes more fit. */
static void lirs_make_room(lirs_t *lirs, uint32_t bytes)
{
    while (lirs->lir_bytes + bytes > lirs_limit(lirs, bytes) &&
           lirs->bottom != CACHEFS_POLICY_NONE && lirs_queue_has_room(lirs)) {
        uint32_t entry = lirs->bottom;

        lirs_unlink(lirs, entry);
        cachefs__set_note(&lirs->held, entry, 0);
        lirs->lir_bytes -= cachefs__size(&lirs->held, entry);
        lirs_enqueue(lirs, entry);
        lirs_prune(lirs);
    }
}

/* An entry that is neither on S nor in Q becomes LIR, at the top. */
static void lirs_become_lir(lirs_t *lirs, uint32_t entry)
{
    cachefs__set_note(&lirs->held, entry, LIRS_LIR | LIRS_ON_S);
    lirs_push(lirs, entry);
    lirs->lir_bytes += cachefs__size(&lirs->held, entry);
}

static void lirs_insert(void *state, uint32_t entry, uint64_t key, uint32_t bytes)
{
    lirs_t *lirs = state;
    uint64_t hash = cachefs__hold_key(&lirs->held, entry, key, bytes, 0);
    uint32_t size = cachefs__size(&lirs->held, entry);
    uint32_t ghost = cachefs__ghosts_find(&lirs->ghosts, hash);

    if (ghost != CACHEFS_POLICY_NONE) {
        lirs_drop_ghost(lirs, ghost);
        lirs_make_room(lirs, size);
        lirs_become_lir(lirs, entry);
    } else if (lirs->lir_bytes + size <= lirs_limit(lirs, size) || !lirs_queue_has_room(lirs)) {
        lirs_become_lir(lirs, entry);
    } else {
        cachefs__set_note(&lirs->held, entry, LIRS_ON_S);
        lirs_push(lirs, entry);
        lirs_enqueue(lirs, entry);
        lirs_prune(lirs);
    }
    lirs_limit_stack(lirs);
}

static void lirs_touch(void *state, uint32_t entry, uint32_t hits)
{
    lirs_t *lirs = state;
    uint32_t note;

    (void)hits;
    cachefs__check_held(&lirs->held, entry);
    note = cachefs__note(&lirs->held, entry);
    if (note & LIRS_ON_S) lirs_unlink(lirs, entry);
    if (note & LIRS_LIR) {
        lirs_push(lirs, entry);
        lirs_prune(lirs);
        return;
    }
    lirs_dequeue(lirs, entry);
    if (note & LIRS_ON_S) {
        lirs_make_room(lirs, cachefs__size(&lirs->held, entry));
        lirs_become_lir(lirs, entry);
        return;
    }
    lirs_enqueue(lirs, entry);
    lirs_make_room(lirs, cachefs__size(&lirs->held, entry));
    cachefs__set_note(&lirs->held, entry, LIRS_ON_S);
    lirs_push(lirs, entry);
    lirs_prune(lirs);
    lirs_limit_stack(lirs);
}

static void lirs_remove(void *state, uint32_t entry)
{
    lirs_t *lirs = state;
    uint32_t note;

    cachefs__check_held(&lirs->held, entry);
    note = cachefs__note(&lirs->held, entry);
    if (note & LIRS_ON_S) lirs_unlink(lirs, entry);
    if (note & LIRS_LIR)
        lirs->lir_bytes -= cachefs__size(&lirs->held, entry);
    else
        lirs_dequeue(lirs, entry);
    cachefs__let_go(&lirs->held, entry);
    lirs_prune(lirs);
}

/* A block on S leaves the memory: its ghost takes its place there. */
static void lirs_leave_ghost(lirs_t *lirs, uint32_t entry)
{
    uint64_t hash = cachefs__hash_of(&lirs->held, entry);
    const cachefs_policy_node_t *node = &lirs->held.nodes[entry];
    uint32_t ghost = cachefs__ghosts_find(&lirs->ghosts, hash);
    cachefs_policy_node_t *in_place;

    if (ghost != CACHEFS_POLICY_NONE) lirs_drop_ghost(lirs, ghost);
    if (lirs->ghosts.count == lirs->ghosts.slots_max) lirs_drop_ghost(lirs, lirs->left.tail);
    ghost = cachefs__ghosts_take(&lirs->ghosts, hash, cachefs__size(&lirs->held, entry));
    VFS_ASSERT(ghost != CACHEFS_POLICY_NONE);
    cachefs__plist_push(&lirs->left, lirs->order, ghost);
    in_place = &lirs->ghosts.slots[ghost].node;
    in_place->prev = node->prev;
    in_place->next = node->next;
    ghost += lirs->held.entries_max;
    if (node->prev == CACHEFS_POLICY_NONE)
        lirs->top = ghost;
    else
        lirs_node(lirs, node->prev)->next = ghost;
    VFS_ASSERT(node->next != CACHEFS_POLICY_NONE); /* the bottom is LIR */
    lirs_node(lirs, node->next)->prev = ghost;
    cachefs__set_note(&lirs->held, entry, 0); /* on S no more */
}

static uint32_t lirs_victim(void *state)
{
    lirs_t *lirs = state;
    uint32_t entry;

    if (lirs->held.count == 0) return CACHEFS_POLICY_NONE;
    cachefs__full(&lirs->held);
    if (lirs->q.count == 0) {
        entry = lirs->bottom;
    } else {
        entry = lirs->q_slots.slots[lirs->q.tail].tag;
        if (cachefs__note(&lirs->held, entry) & LIRS_ON_S) lirs_leave_ghost(lirs, entry);
    }
    lirs_remove(lirs, entry);
    return entry;
}

static uint32_t lirs_count(void *state)
{
    return ((const lirs_t *)state)->held.count;
}

const cachefs_policy_ops_t cachefs__policy_lirs = {
    .abi = CACHEFS_POLICY_ABI,
    .size = sizeof(cachefs_policy_ops_t),
    .name = "lirs",
    .create = lirs_create,
    .insert = lirs_insert,
    .touch = lirs_touch,
    .remove = lirs_remove,
    .victim = lirs_victim,
    .count = lirs_count,
};
