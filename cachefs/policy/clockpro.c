/*
 * clockpro.c - the policy "clockpro": LIRS by hands of a clock; who proves a short reuse gets hot.
 * Floor 2. Knows entries by number, and what left by its key.
 *
 * Recency says when a block was last used; what counts is when it will be used again, and the best
 * guess at that is the distance between its last two uses. A newcomer is cold, and on test: if it
 * is used again before the test ends, its reuse distance is shorter than that of some hot block,
 * and it becomes hot. It may leave the memory while on test; its key then stays as a ghost. The
 * paper has all of them on one clock with three hands:
 *
 *     HAND_hot   takes the mark of a used hot entry; an unused one becomes cold (no test). Whatever
 *                it passes on the way ends its test: a ghost is dropped.
 *     HAND_cold  looks for the victim among the cold: unused, it leaves, as a ghost if on test.
 * Used and on test, it becomes hot; used but not on test, it starts one. HAND_test  ends the oldest
 * tests when there are more ghosts than fit in the memory.
 *
 * The share of the cold, m_c, adapts: a reuse during a test adds to it, a test that ends without
 * one takes from it. (Jiang, Chen, Zhang: "CLOCK-Pro: an effective improvement of the CLOCK
 * replacement", USENIX ATC 2005.)
 *
 * On one list the cold hand would pass all the hot entries for each victim. But every hand leaves
 * what it passed at the head, and whatever comes in or changes its kind comes to the head: so each
 * kind by itself is a queue, whose tail is where its hand stands, and the three are kept apart.
 * What is lost is the order between them, which HAND_hot needs for the tests: so each entry and
 * each ghost notes when it came to the head, in epochs of a 32nd of the capacity. A test is over
 * for whoever came before the hot entry that HAND_hot passed last. Every step of a hand takes a
 * mark, ends a test, or changes a kind: O(1) amortised.
 *
 * Parameters: none. m_c starts at 1 % of the capacity, and is never less than that or one entry;
 * while the memory fills, entries come in hot until only that is left.
 */
#include "cachefs/policy/ghost.h"

#define CLOCKPRO_HOT 1u
#define CLOCKPRO_USED 2u
#define CLOCKPRO_TEST 4u
#define CLOCKPRO_EPOCH_SHIFT 3u
#define CLOCKPRO_EPOCHS (1u << (CACHEFS__NOTE_BITS - CLOCKPRO_EPOCH_SHIFT)) /* they wrap */
#define CLOCKPRO_EPOCHS_PER_CAPACITY 32u
#define CLOCKPRO_COLD_PERCENT 1u

typedef struct clockpro_t {
    cachefs__held_t held;
    cachefs__queue_t hot, cold; /* the hands are at the tails */
    cachefs__ghosts_t ghosts;
    cachefs__glist_t tests; /* ghosts, in the order in which they came to the head */
    uint64_t cold_target;   /* m_c, bytes */
    uint32_t epoch;
    uint32_t test_floor;  /* whoever came in this epoch or before is not on test */
    uint64_t epoch_bytes; /* came to the head in this epoch */
} clockpro_t;

static apr_status_t clockpro_create(void **state, const cachefs_policy_config_t *config,
                                    apr_pool_t *pool)
{
    apr_status_t status = cachefs__policy_check(config);
    clockpro_t *pro;

    if (status != APR_SUCCESS) return status;
    pro = cachefs__policy_calloc(config, pool, sizeof(*pro));
    if (pro == NULL) return APR_ENOMEM;
    cachefs__held_init(&pro->held, config);
    status = cachefs__keys_create(config, &pro->held, pool);
    if (status != APR_SUCCESS) return status;
    cachefs__queue_init(&pro->hot);
    cachefs__queue_init(&pro->cold);
    cachefs__glist_init(&pro->tests);
    status = cachefs__ghosts_create(config, &pro->ghosts, cachefs__expected(config), pool);
    if (status != APR_SUCCESS) return status;
    pro->epoch = CLOCKPRO_EPOCHS; /* so that there is a past */
    pro->cold_target = config->capacity_bytes * CLOCKPRO_COLD_PERCENT / 100;
    if (pro->cold_target == 0) pro->cold_target = 1; /* or nobody would ever be on test */
    *state = pro;
    return APR_SUCCESS;
}

/* When an entry came to the head. */
static uint32_t clockpro_epoch(const clockpro_t *pro, uint32_t entry)
{
    uint32_t then = cachefs__note(&pro->held, entry) >> CLOCKPRO_EPOCH_SHIFT;

    return pro->epoch - ((pro->epoch - then) & (CLOCKPRO_EPOCHS - 1u));
}

static cachefs__queue_t *clockpro_queue_of(clockpro_t *pro, uint32_t entry)
{
    return cachefs__note(&pro->held, entry) & CLOCKPRO_HOT ? &pro->hot : &pro->cold;
}

/* An entry that is on no queue comes to the head. */
static void clockpro_push(clockpro_t *pro, uint32_t entry, uint32_t flags)
{
    uint32_t bytes = cachefs__size(&pro->held, entry);

    pro->epoch_bytes += bytes != 0 ? bytes : 1;
    if (pro->epoch_bytes > pro->held.capacity / CLOCKPRO_EPOCHS_PER_CAPACITY) {
        pro->epoch_bytes = 0;
        pro->epoch++;
    }
    cachefs__set_note(&pro->held, entry,
                      (pro->epoch & (CLOCKPRO_EPOCHS - 1u)) << CLOCKPRO_EPOCH_SHIFT | flags);
    cachefs__queue_push(clockpro_queue_of(pro, entry), &pro->held, entry);
}

static void clockpro_move(clockpro_t *pro, uint32_t entry, uint32_t flags)
{
    cachefs__queue_unlink(clockpro_queue_of(pro, entry), &pro->held, entry);
    clockpro_push(pro, entry, flags);
}

static void clockpro_more_cold(clockpro_t *pro, uint64_t bytes)
{
    pro->cold_target += bytes;
    if (pro->cold_target > pro->held.capacity) pro->cold_target = pro->held.capacity;
}

static void clockpro_less_cold(clockpro_t *pro, uint64_t bytes)
{
    uint64_t least = pro->held.capacity * CLOCKPRO_COLD_PERCENT / 100;

    if (least < bytes) least = bytes;
    pro->cold_target = pro->cold_target > bytes ? pro->cold_target - bytes : 0;
    if (pro->cold_target < least) pro->cold_target = least;
}

static void clockpro_end_oldest_test(clockpro_t *pro)
{
    uint32_t ghost = pro->tests.tail;
    uint32_t bytes = cachefs__ghost_bytes(&pro->ghosts, ghost);

    cachefs__glist_drop(&pro->tests, &pro->ghosts, ghost);
    clockpro_less_cold(pro, bytes);
}

static uint32_t clockpro_ghost_epoch(const clockpro_t *pro, uint32_t ghost)
{
    uint32_t mask = (1u << CACHEFS__GHOST_BITS) - 1u;

    return pro->epoch - ((pro->epoch - pro->ghosts.slots[ghost].node.word) & mask);
}

/* HAND_hot: one step. */
static void clockpro_run_hot(clockpro_t *pro)
{
    uint32_t entry = pro->hot.list.tail;
    uint32_t epoch = clockpro_epoch(pro, entry);
    int used = (cachefs__note(&pro->held, entry) & CLOCKPRO_USED) != 0;

    if (epoch > pro->test_floor) pro->test_floor = epoch;
    while (pro->tests.count > 0 && clockpro_ghost_epoch(pro, pro->tests.tail) <= pro->test_floor)
        clockpro_end_oldest_test(pro);
    clockpro_move(pro, entry, used ? CLOCKPRO_HOT : 0);
}

static void clockpro_limit_hot(clockpro_t *pro)
{
    while (!cachefs__plist_empty(&pro->hot.list) &&
           pro->hot.bytes + pro->cold_target > pro->held.capacity)
        clockpro_run_hot(pro);
}

static void clockpro_insert(void *state, uint32_t entry, uint64_t key, uint32_t bytes)
{
    clockpro_t *pro = state;
    uint64_t hash = cachefs__hold_key(&pro->held, entry, key, bytes, 0);
    uint32_t ghost = cachefs__ghosts_find(&pro->ghosts, hash);

    if (ghost != CACHEFS_POLICY_NONE) {
        clockpro_more_cold(pro, cachefs__ghost_bytes(&pro->ghosts, ghost));
        cachefs__glist_drop(&pro->tests, &pro->ghosts, ghost);
        clockpro_push(pro, entry, CLOCKPRO_HOT);
        clockpro_limit_hot(pro);
    } else if (pro->hot.bytes + cachefs__size(&pro->held, entry) + pro->cold_target <=
               pro->held.capacity) {
        clockpro_push(pro, entry, CLOCKPRO_HOT);
    } else {
        clockpro_push(pro, entry, CLOCKPRO_TEST);
    }
}

static void clockpro_touch(void *state, uint32_t entry, uint32_t hits)
{
    clockpro_t *pro = state;

    (void)hits;
    cachefs__check_held(&pro->held, entry);
    cachefs__set_note(&pro->held, entry, cachefs__note(&pro->held, entry) | CLOCKPRO_USED);
}

static void clockpro_remove(void *state, uint32_t entry)
{
    clockpro_t *pro = state;

    cachefs__check_held(&pro->held, entry);
    cachefs__queue_unlink(clockpro_queue_of(pro, entry), &pro->held, entry);
    cachefs__let_go(&pro->held, entry);
}

static int clockpro_on_test(const clockpro_t *pro, uint32_t entry)
{
    return (cachefs__note(&pro->held, entry) & CLOCKPRO_TEST) != 0 &&
           clockpro_epoch(pro, entry) > pro->test_floor;
}

/* It leaves while on test. HAND_test makes room. */
static void clockpro_remember(clockpro_t *pro, uint32_t entry)
{
    uint64_t hash = cachefs__hash_of(&pro->held, entry);
    uint32_t bytes = cachefs__size(&pro->held, entry);
    uint32_t ghost = cachefs__ghosts_find(&pro->ghosts, hash);

    if (ghost != CACHEFS_POLICY_NONE) cachefs__glist_drop(&pro->tests, &pro->ghosts, ghost);
    while (pro->tests.count > 0 && (pro->tests.bytes + bytes > pro->held.capacity ||
                                    pro->ghosts.count == pro->ghosts.slots_max))
        clockpro_end_oldest_test(pro);
    ghost = cachefs__ghosts_take(&pro->ghosts, hash, bytes);
    VFS_ASSERT(ghost != CACHEFS_POLICY_NONE);
    pro->ghosts.slots[ghost].node.word |=
        clockpro_epoch(pro, entry) & ((1u << CACHEFS__GHOST_BITS) - 1u);
    cachefs__glist_push(&pro->tests, &pro->ghosts, ghost);
}

/* HAND_cold: one step. NONE if who stood there stays. */
static uint32_t clockpro_run_cold(clockpro_t *pro)
{
    uint32_t entry = pro->cold.list.tail, note = cachefs__note(&pro->held, entry);
    int on_test = clockpro_on_test(pro, entry);

    if (!(note & CLOCKPRO_USED)) {
        if (on_test)
            clockpro_remember(pro, entry);
        else if (note & CLOCKPRO_TEST)
            clockpro_less_cold(pro, cachefs__size(&pro->held, entry));
        return entry;
    }
    if (!on_test) {
        clockpro_move(pro, entry, CLOCKPRO_TEST);
        return CACHEFS_POLICY_NONE;
    }
    clockpro_more_cold(pro, cachefs__size(&pro->held, entry));
    clockpro_move(pro, entry, CLOCKPRO_HOT);
    clockpro_limit_hot(pro);
    return CACHEFS_POLICY_NONE;
}

static uint32_t clockpro_victim(void *state)
{
    clockpro_t *pro = state;
    uint32_t entry = CACHEFS_POLICY_NONE;

    if (pro->held.count == 0) return CACHEFS_POLICY_NONE;
    cachefs__full(&pro->held);
    clockpro_limit_hot(pro);
    while (entry == CACHEFS_POLICY_NONE) {
        if (cachefs__plist_empty(&pro->cold.list))
            clockpro_run_hot(pro);
        else
            entry = clockpro_run_cold(pro);
    }
    clockpro_remove(pro, entry);
    return entry;
}

static uint32_t clockpro_count(void *state)
{
    return ((const clockpro_t *)state)->held.count;
}

const cachefs_policy_ops_t cachefs__policy_clockpro = {
    .abi = CACHEFS_POLICY_ABI,
    .size = sizeof(cachefs_policy_ops_t),
    .name = "clockpro",
    .create = clockpro_create,
    .insert = clockpro_insert,
    .touch = clockpro_touch,
    .remove = clockpro_remove,
    .victim = clockpro_victim,
    .count = clockpro_count,
};
