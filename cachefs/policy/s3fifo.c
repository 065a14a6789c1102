/*
 * s3fifo.c - the policy "s3fifo": three queues, no list is ever reordered by a hit.
 * Floor 2. Knows entries by number, and what left by its key.
 *
 * Most blocks are used once and never again. So newcomers go into a small queue, a tenth of the
 * memory, and whoever is not used while passing through it leaves soon; its key goes into a ghost
 * queue. Who was used moves on to the main queue, and so does who comes back while still
 * remembered. The main queue is a CLOCK with a counter of two bits:
 *
 *     newcomer -> small --used twice--> main --not used--> gone
 *                   |                    ^ `-- used: one use less, round again
 *                   `--> ghost --missed--'
 *
 * The victim comes from the main queue when that is larger than its share, else from the small one.
 * (Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you need for cache eviction", SOSP 2023.)
 * Each step of a search either ends, moves an entry from small to main (once a stay), or takes back
 * a use that a touch has counted: O(1) amortised.
 *
 * Parameters, those of libCacheSim: small 10 %, ghosts 90 % of the capacity, moved to main from two
 * uses on, uses counted to 3. The ghost queue is one of epochs (past.h), 32 for its whole length.
 */
#include "cachefs/policy/past.h"

#define S3FIFO_SMALL_PERCENT 10u
#define S3FIFO_GHOST_PERCENT 90u
#define S3FIFO_GHOST_EPOCHS 32u
#define S3FIFO_PROMOTE_USES 2u
#define S3FIFO_USES_MAX 3u
#define S3FIFO_USES 3u /* mask in the note */
#define S3FIFO_MAIN 4u /* flag in the note */

typedef struct s3fifo_t {
    cachefs__held_t held;
    cachefs__queue_t small, main; /* in order of arrival, the tail came first */
    cachefs__past_t *ghosts;
} s3fifo_t;

apr_status_t cachefs__s3fifo_make(void **state, const cachefs_policy_config_t *config,
                                  cachefs__past_t *past, apr_pool_t *pool)
{
    apr_status_t status = cachefs__policy_check(config);
    s3fifo_t *s3;

    if (status != APR_SUCCESS) return status;
    s3 = cachefs__policy_calloc(config, pool, sizeof(*s3));
    if (s3 == NULL) return APR_ENOMEM;
    cachefs__held_init(&s3->held, config);
    status = cachefs__keys_create(config, &s3->held, pool);
    if (status != APR_SUCCESS) return status;
    cachefs__queue_init(&s3->small);
    cachefs__queue_init(&s3->main);
    s3->ghosts = past;
    if (past == NULL)
        status = cachefs__past_create(config, &s3->ghosts,
                                      cachefs__expected(config) * S3FIFO_GHOST_PERCENT / 100, pool);
    if (status == APR_SUCCESS) *state = s3;
    return status;
}

static apr_status_t s3fifo_create(void **state, const cachefs_policy_config_t *config,
                                  apr_pool_t *pool)
{
    return cachefs__s3fifo_make(state, config, NULL, pool);
}

static void s3fifo_insert(void *state, uint32_t entry, uint64_t key, uint32_t bytes)
{
    s3fifo_t *s3 = state;
    uint64_t hash = cachefs__hold_key(&s3->held, entry, key, bytes, 0);

    if (!cachefs__past_take(s3->ghosts, hash, cachefs__size(&s3->held, entry))) {
        cachefs__queue_push(&s3->small, &s3->held, entry);
        return;
    }
    cachefs__set_note(&s3->held, entry, S3FIFO_MAIN);
    cachefs__queue_push(&s3->main, &s3->held, entry);
}

static void s3fifo_touch(void *state, uint32_t entry, uint32_t hits)
{
    s3fifo_t *s3 = state;
    uint32_t note, uses;

    cachefs__check_held(&s3->held, entry);
    note = cachefs__note(&s3->held, entry);
    uses = note & S3FIFO_USES;
    uses = hits > S3FIFO_USES_MAX - uses ? S3FIFO_USES_MAX : uses + hits;
    cachefs__set_note(&s3->held, entry, (note & S3FIFO_MAIN) | uses);
}

static void s3fifo_remove(void *state, uint32_t entry)
{
    s3fifo_t *s3 = state;
    cachefs__queue_t *queue;

    cachefs__check_held(&s3->held, entry);
    queue = cachefs__note(&s3->held, entry) & S3FIFO_MAIN ? &s3->main : &s3->small;
    cachefs__queue_unlink(queue, &s3->held, entry);
    cachefs__let_go(&s3->held, entry);
}

/* Remember who left the small queue. */
static void s3fifo_remember(s3fifo_t *s3, uint32_t entry)
{
    uint64_t limit = s3->held.capacity * S3FIFO_GHOST_PERCENT / 100;
    uint64_t hash = cachefs__hash_of(&s3->held, entry);
    uint32_t bytes = cachefs__size(&s3->held, entry);

    (void)cachefs__past_pass(s3->ghosts, bytes, limit / S3FIFO_GHOST_EPOCHS);
    (void)cachefs__past_limit(s3->ghosts, bytes, limit);
    if (bytes <= limit) cachefs__past_add(s3->ghosts, hash, s3->ghosts->now, bytes);
}

/* One look at the tail of the small queue: NONE if it moved on to the main one. */
static uint32_t s3fifo_try_small(s3fifo_t *s3)
{
    uint32_t entry = s3->small.list.tail;

    if (cachefs__note(&s3->held, entry) >= S3FIFO_PROMOTE_USES) {
        cachefs__queue_move(&s3->small, &s3->main, &s3->held, entry);
        cachefs__set_note(&s3->held, entry, S3FIFO_MAIN);
        return CACHEFS_POLICY_NONE;
    }
    s3fifo_remember(s3, entry);
    return entry;
}

/* One look at the tail of the main queue: NONE if it goes round again. */
static uint32_t s3fifo_try_main(s3fifo_t *s3)
{
    uint32_t entry = s3->main.list.tail, note = cachefs__note(&s3->held, entry);

    if ((note & S3FIFO_USES) == 0) return entry;
    cachefs__set_note(&s3->held, entry, note - 1);
    cachefs__queue_move(&s3->main, &s3->main, &s3->held, entry);
    return CACHEFS_POLICY_NONE;
}

static uint32_t s3fifo_victim(void *state)
{
    s3fifo_t *s3 = state;
    uint32_t entry = CACHEFS_POLICY_NONE;
    uint64_t small;
    int from_main;

    if (s3->held.count == 0) return CACHEFS_POLICY_NONE;
    cachefs__full(&s3->held);
    /* the queue is chosen once: promotions on the way may make the main one too large */
    small = cachefs__newcomers(&s3->held, S3FIFO_SMALL_PERCENT, 0);
    from_main = s3->main.bytes > s3->held.capacity - small && s3->held.capacity > small;
    while (entry == CACHEFS_POLICY_NONE) {
        if (cachefs__plist_empty(&s3->small.list)) from_main = 1;
        entry = from_main ? s3fifo_try_main(s3) : s3fifo_try_small(s3);
    }
    s3fifo_remove(s3, entry);
    return entry;
}

static uint32_t s3fifo_count(void *state)
{
    return ((const s3fifo_t *)state)->held.count;
}

const cachefs_policy_ops_t cachefs__policy_s3fifo = {
    .abi = CACHEFS_POLICY_ABI,
    .size = sizeof(cachefs_policy_ops_t),
    .name = "s3fifo",
    .create = s3fifo_create,
    .insert = s3fifo_insert,
    .touch = s3fifo_touch,
    .remove = s3fifo_remove,
    .victim = s3fifo_victim,
    .count = s3fifo_count,
};
