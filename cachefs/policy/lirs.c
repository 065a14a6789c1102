/*
 * lirs.c - the policy "lirs": who is used again after the fewest others stays.
 * Floor 2. Knows entries by number, and what left by its key.
 *
 * The inter-reference recency of a block is how many others were used between its last two uses.
 * Those with a low one (LIR) have nearly all of the memory and never leave it; those with a high
 * one (HIR) pass through the last hundredth, a queue. The paper orders by recency on a stack:
 *
 *     S   from the top: LIR blocks, HIR blocks, ghosts of HIR blocks that left; its bottom is
 *         always LIR (pruning drops whatever else comes to lie there)
 *     Q   HIR blocks that are in memory; the victim is the one that came first
 *
 * A HIR block or ghost that is used while still on S has, by its place above the bottom, a lower
 * recency than the LIR block there: they change roles, the bottom one goes to Q. A HIR block that
 * is used when no longer on S starts anew at its top, and at the end of Q. (Jiang, Zhang: "LIRS: an
 * efficient low inter-reference recency set replacement policy to improve buffer cache
 * performance", SIGMETRICS 2002.)
 *
 * Of the stack, only this is asked: who is the LIR block at the bottom, and was another one used
 * since that was? So there is no stack: LIR blocks are on a list by recency, and each block and
 * each ghost notes in which epoch it was used last, a 32nd of the capacity coming in. Whoever was
 * used in an epoch that the bottom's is later than is no longer on S: pruning ends these epochs
 * (past.h). O(1) amortised.
 *
 * Parameters, those of libCacheSim: Q has 1 % of the capacity; S holds twice the capacity at most,
 * then the oldest ghosts are dropped. With it, a use of a HIR block that is not on S makes room in
 * the LIR part (the bottom one goes to Q): the next newcomer becomes LIR there.
 */
#include "cachefs/policy/past.h"

#define LIRS_LIR 1u
#define LIRS_OFF_S 2u /* HIR: it was LIR, at the bottom */
#define LIRS_USED 2u  /* LIR: it was used again since it came in */
#define LIRS_EPOCH_SHIFT 2u
#define LIRS_EPOCHS (1u << (CACHEFS__NOTE_BITS - LIRS_EPOCH_SHIFT)) /* they wrap */
#define LIRS_EPOCHS_PER_CAPACITY 32u
#define LIRS_Q_PERCENT 1u

typedef struct lirs_t {
    cachefs__held_t held;
    cachefs__queue_t lir;  /* by recency: the tail is the bottom of S */
    cachefs__queue_t q;    /* the tail came first */
    cachefs__past_t *past; /* its epochs: who was used last in one that ended is not on S */
} lirs_t;

apr_status_t cachefs__lirs_make(void **state, const cachefs_policy_config_t *config,
                                cachefs__past_t *past, apr_pool_t *pool)
{
    apr_status_t status = cachefs__policy_check(config);
    lirs_t *lirs;

    if (status != APR_SUCCESS) return status;
    lirs = cachefs__policy_calloc(config, pool, sizeof(*lirs));
    if (lirs == NULL) return APR_ENOMEM;
    cachefs__held_init(&lirs->held, config);
    status = cachefs__keys_create(config, &lirs->held, pool);
    if (status != APR_SUCCESS) return status;
    cachefs__queue_init(&lirs->lir);
    cachefs__queue_init(&lirs->q);
    lirs->past = past;
    if (past == NULL)
        status = cachefs__past_create(config, &lirs->past, cachefs__expected(config), pool);
    if (status == APR_SUCCESS) *state = lirs;
    return status;
}

static apr_status_t lirs_create(void **state, const cachefs_policy_config_t *config,
                                apr_pool_t *pool)
{
    return cachefs__lirs_make(state, config, NULL, pool);
}

/* When an entry was used last. */
static uint32_t lirs_epoch(const lirs_t *lirs, uint32_t entry)
{
    return cachefs__past_epoch(lirs->past, cachefs__note(&lirs->held, entry) >> LIRS_EPOCH_SHIFT,
                               LIRS_EPOCHS);
}

static int lirs_on_s(const lirs_t *lirs, uint32_t entry)
{
    return !(cachefs__note(&lirs->held, entry) & LIRS_OFF_S) &&
           lirs_epoch(lirs, entry) > lirs->past->ended;
}

/* The entry is used now, in this role. */
static void lirs_note(lirs_t *lirs, uint32_t entry, uint32_t role)
{
    cachefs__set_note(&lirs->held, entry,
                      (lirs->past->now & (LIRS_EPOCHS - 1u)) << LIRS_EPOCH_SHIFT | role);
}

/* A LIR block is used: to the top of S. */
static void lirs_raise(lirs_t *lirs, uint32_t entry)
{
    lirs_note(lirs, entry, LIRS_LIR | LIRS_USED);
    cachefs__plist_unlink(&lirs->lir.list, lirs->held.nodes, entry);
    cachefs__plist_push(&lirs->lir.list, lirs->held.nodes, entry);
}

/* An entry that is on neither list is used now: to the top of S, and the head of its list. */
static void lirs_push(lirs_t *lirs, uint32_t entry, uint32_t role)
{
    lirs_note(lirs, entry, role);
    cachefs__queue_push(role & LIRS_LIR ? &lirs->lir : &lirs->q, &lirs->held, entry);
}

/* What was not used since the LIR block at the bottom was, tells nothing more. */
static void lirs_prune(lirs_t *lirs)
{
    uint32_t bottom = lirs->lir.list.tail;

    (void)cachefs__past_end(lirs->past, bottom != CACHEFS_POLICY_NONE ? lirs_epoch(lirs, bottom)
                                                                      : lirs->past->now);
}

static void lirs_limit_stack(lirs_t *lirs)
{
    uint64_t limit = 2 * lirs->held.capacity;

    (void)cachefs__past_limit(lirs->past, 0,
                              limit > lirs->held.bytes ? limit - lirs->held.bytes : 0);
}

/* The share of LIR, if the queue must have room for at least so many bytes. */
static uint64_t lirs_limit(const lirs_t *lirs, uint32_t bytes)
{
    uint64_t q = cachefs__newcomers(&lirs->held, LIRS_Q_PERCENT, bytes);

    return lirs->held.capacity > q ? lirs->held.capacity - q : 0;
}

/* The LIR block at the bottom goes to the end of Q, until so many bytes more fit. */
static void lirs_make_room(lirs_t *lirs, uint32_t bytes)
{
    uint32_t entry;

    while (lirs->lir.bytes + bytes > lirs_limit(lirs, bytes) &&
           (entry = lirs->lir.list.tail) != CACHEFS_POLICY_NONE) {
        cachefs__queue_move(&lirs->lir, &lirs->q, &lirs->held, entry);
        cachefs__set_note(&lirs->held, entry, LIRS_OFF_S);
        lirs_prune(lirs);
    }
}

static void lirs_insert(void *state, uint32_t entry, uint64_t key, uint32_t bytes)
{
    lirs_t *lirs = state;
    uint64_t hash = cachefs__hold_key(&lirs->held, entry, key, bytes, 0);
    uint32_t size = cachefs__size(&lirs->held, entry);
    int known = cachefs__past_take(lirs->past, hash, size);

    (void)cachefs__past_pass(lirs->past, size, lirs->held.capacity / LIRS_EPOCHS_PER_CAPACITY);
    if (known) {
        lirs_make_room(lirs, size);
        lirs_push(lirs, entry, LIRS_LIR | LIRS_USED);
    } else {
        lirs_push(lirs, entry, lirs->lir.bytes + size <= lirs_limit(lirs, size) ? LIRS_LIR : 0);
    }
    lirs_limit_stack(lirs);
}

static void lirs_touch(void *state, uint32_t entry, uint32_t hits)
{
    lirs_t *lirs = state;
    uint32_t size;

    (void)hits;
    cachefs__check_held(&lirs->held, entry);
    if (cachefs__note(&lirs->held, entry) & LIRS_LIR) {
        lirs_raise(lirs, entry);
        lirs_prune(lirs);
        return;
    }
    size = cachefs__size(&lirs->held, entry);
    cachefs__queue_unlink(&lirs->q, &lirs->held, entry);
    if (lirs_on_s(lirs, entry)) {
        lirs_make_room(lirs, size);
        lirs_push(lirs, entry, LIRS_LIR | LIRS_USED);
    } else {
        lirs_push(lirs, entry, 0);
        lirs_make_room(lirs, size);
    }
}

static void lirs_remove(void *state, uint32_t entry)
{
    lirs_t *lirs = state;
    int lir;

    cachefs__check_held(&lirs->held, entry);
    lir = (cachefs__note(&lirs->held, entry) & LIRS_LIR) != 0;
    cachefs__queue_unlink(lir ? &lirs->lir : &lirs->q, &lirs->held, entry);
    cachefs__let_go(&lirs->held, entry);
    if (lir) lirs_prune(lirs);
}

/* Who leaves where all are LIR, since the memory became less: the one at the bottom, but who was
 * never used again before who was. (Whoever came while there was room is LIR.) */
static uint32_t lirs_last(lirs_t *lirs)
{
    uint32_t entry;

    while (cachefs__note(&lirs->held, entry = lirs->lir.list.tail) & LIRS_USED) {
        lirs_raise(lirs, entry);
        lirs_note(lirs, entry, LIRS_LIR);
    }
    return entry;
}

static uint32_t lirs_victim(void *state)
{
    lirs_t *lirs = state;
    uint32_t entry;

    if (lirs->held.count == 0) return CACHEFS_POLICY_NONE;
    cachefs__full(&lirs->held);
    entry = lirs->q.list.tail;
    if (entry == CACHEFS_POLICY_NONE)
        entry = lirs_last(lirs);
    else if (lirs_on_s(lirs, entry))
        cachefs__past_add(lirs->past, cachefs__hash_of(&lirs->held, entry), lirs_epoch(lirs, entry),
                          cachefs__size(&lirs->held, entry));
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
