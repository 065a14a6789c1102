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
#include "cachefs/policy/past.h"

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
    cachefs__past_t *tests; /* its epochs: who came to the head in one that ended is not on test */
    uint64_t cold_target;   /* m_c, bytes */
} clockpro_t;

apr_status_t cachefs__clockpro_make(void **state, const cachefs_policy_config_t *config,
                                    cachefs__past_t *past, apr_pool_t *pool)
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
    pro->tests = past;
    if (past == NULL)
        status = cachefs__past_create(config, &pro->tests, cachefs__expected(config), pool);
    if (status != APR_SUCCESS) return status;
    /* 1 at least: or nobody would ever be on test */
    pro->cold_target = cachefs__newcomers(&pro->held, CLOCKPRO_COLD_PERCENT, 1);
    *state = pro;
    return APR_SUCCESS;
}

static apr_status_t clockpro_create(void **state, const cachefs_policy_config_t *config,
                                    apr_pool_t *pool)
{
    return cachefs__clockpro_make(state, config, NULL, pool);
}

/* When an entry came to the head. */
static uint32_t clockpro_epoch(const clockpro_t *pro, uint32_t entry)
{
    return cachefs__past_epoch(pro->tests, cachefs__note(&pro->held, entry) >> CLOCKPRO_EPOCH_SHIFT,
                               CLOCKPRO_EPOCHS);
}

static cachefs__queue_t *clockpro_queue_of(clockpro_t *pro, uint32_t entry)
{
    return cachefs__note(&pro->held, entry) & CLOCKPRO_HOT ? &pro->hot : &pro->cold;
}

static void clockpro_more_cold(clockpro_t *pro, uint64_t bytes)
{
    pro->cold_target += bytes;
    if (pro->cold_target > pro->held.capacity) pro->cold_target = pro->held.capacity;
}

/* `one`: of an entry. */
static void clockpro_less_cold(clockpro_t *pro, uint64_t bytes, uint32_t one)
{
    uint64_t least = cachefs__newcomers(&pro->held, CLOCKPRO_COLD_PERCENT, one);

    if (bytes == 0) return;
    pro->cold_target = pro->cold_target > bytes ? pro->cold_target - bytes : 0;
    if (pro->cold_target < least) pro->cold_target = least;
}

/* An entry that is on no queue comes to the head. */
static void clockpro_push(clockpro_t *pro, uint32_t entry, uint32_t flags)
{
    uint32_t bytes = cachefs__size(&pro->held, entry);

    clockpro_less_cold(
        pro,
        cachefs__past_pass(pro->tests, bytes, pro->held.capacity / CLOCKPRO_EPOCHS_PER_CAPACITY),
        bytes);
    cachefs__set_note(&pro->held, entry,
                      (pro->tests->now & (CLOCKPRO_EPOCHS - 1u)) << CLOCKPRO_EPOCH_SHIFT | flags);
    cachefs__queue_push(clockpro_queue_of(pro, entry), &pro->held, entry);
}

static void clockpro_move(clockpro_t *pro, uint32_t entry, uint32_t flags)
{
    cachefs__queue_unlink(clockpro_queue_of(pro, entry), &pro->held, entry);
    clockpro_push(pro, entry, flags);
}

/* HAND_hot: one step. */
static void clockpro_run_hot(clockpro_t *pro)
{
    uint32_t entry = pro->hot.list.tail;
    uint32_t epoch = clockpro_epoch(pro, entry);
    int used = (cachefs__note(&pro->held, entry) & CLOCKPRO_USED) != 0;

    clockpro_less_cold(pro, cachefs__past_end(pro->tests, epoch), cachefs__size(&pro->held, entry));
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
    uint32_t size = cachefs__size(&pro->held, entry);

    if (cachefs__past_take(pro->tests, hash, size)) {
        clockpro_more_cold(pro, size);
        clockpro_push(pro, entry, CLOCKPRO_HOT);
        clockpro_limit_hot(pro);
    } else if (pro->hot.bytes + size + pro->cold_target <= pro->held.capacity) {
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
           clockpro_epoch(pro, entry) > pro->tests->ended;
}

/* It leaves while on test. HAND_test makes room. */
static void clockpro_remember(clockpro_t *pro, uint32_t entry)
{
    uint32_t bytes = cachefs__size(&pro->held, entry);

    clockpro_less_cold(pro, cachefs__past_limit(pro->tests, bytes, pro->held.capacity), bytes);
    cachefs__past_add(pro->tests, cachefs__hash_of(&pro->held, entry), clockpro_epoch(pro, entry),
                      bytes);
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
            clockpro_less_cold(pro, cachefs__size(&pro->held, entry),
                               cachefs__size(&pro->held, entry));
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
