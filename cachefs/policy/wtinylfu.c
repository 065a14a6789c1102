/*
 * wtinylfu.c - the policy "wtinylfu": who comes in must have been asked for more often than who
 * would leave for it. Floor 2. Knows entries by number, and what was seen by its key.
 *
 * A sketch counts how often each key was seen lately, resident or not (sketch.h). Newcomers go into
 * a window, an LRU list; who falls out of it is the candidate for the main part, against the next
 * to leave there, and the one that was seen less often leaves. The main part is an SLRU: on
 * probation first, protected from a touch on:
 *
 *     newcomer -> [ window ] -> candidate --seen more--> [ probation ] <--> [ protected ]
 *                                   `-- else gone             `-> loses against a candidate: gone
 *
 * (Einziger, Friedman, Manes: "TinyLFU: a highly efficient cache admission policy", ACM ToS 2017.)
 *
 * The window is what recency gets, the rest goes by frequency, and no fixed share fits all. So it
 * climbs: after each sample, of ten times the entries held, the share moves on in the same
 * direction if the hit ratio rose, else it turns round; the step shrinks by 2 % each time, and is
 * whole again when the hit ratio changed by more than 5 points. (Einziger, Eytan, Friedman, Manes:
 * "Adaptive software cache management", Middleware 2018; Caffeine does so.)
 *
 * Parameters: a window of 1 % at first (as libCacheSim's, which keeps it), at most 80 %; of the
 * main part 80 % protected; a first step of 6.25 %.
 */
#include "cachefs/policy/sketch.h"

#define TINY_WINDOW 0u /* notes */
#define TINY_PROBATION 1u
#define TINY_PROTECTED 2u
#define TINY_QUEUES 3u
#define TINY_SAMPLE 10u
#define TINY_STEP 0.0625
#define TINY_STEP_DECAY 0.98
#define TINY_RESTART 0.05
#define TINY_SHARE_MIN 0.01
#define TINY_SHARE_MAX 0.80

typedef struct wtinylfu_t {
    cachefs__held_t held;
    cachefs__queue_t queues[TINY_QUEUES];
    cachefs__sketch_t sketch;
    double share;          /* of the window */
    double step;           /* what is added to it next */
    double last;           /* hit ratio of the sample before; negative: there is none */
    uint64_t hits, misses; /* of this sample */
} wtinylfu_t;

static apr_status_t wtinylfu_create(void **state, const cachefs_policy_config_t *config,
                                    apr_pool_t *pool)
{
    apr_status_t status = cachefs__policy_check(config);
    wtinylfu_t *tiny;
    uint32_t i;

    if (status != APR_SUCCESS) return status;
    tiny = cachefs__policy_calloc(config, pool, sizeof(*tiny));
    if (tiny == NULL) return APR_ENOMEM;
    cachefs__held_init(&tiny->held, config);
    status = cachefs__keys_create(config, &tiny->held, pool);
    if (status != APR_SUCCESS) return status;
    for (i = 0; i < TINY_QUEUES; i++)
        cachefs__queue_init(&tiny->queues[i]);
    status = cachefs__sketch_create(config, &tiny->sketch, cachefs__expected(config), pool);
    if (status != APR_SUCCESS) return status;
    tiny->share = TINY_SHARE_MIN;
    tiny->step = TINY_STEP;
    tiny->last = -1.0;
    *state = tiny;
    return APR_SUCCESS;
}

static uint64_t wtinylfu_window_limit(const wtinylfu_t *tiny)
{
    uint64_t limit = (uint64_t)((double)tiny->held.capacity * tiny->share);

    return limit < tiny->held.burst ? tiny->held.burst : limit;
}

static void wtinylfu_move(wtinylfu_t *tiny, uint32_t entry, uint32_t to)
{
    cachefs__queue_move(&tiny->queues[cachefs__note(&tiny->held, entry)], &tiny->queues[to],
                        &tiny->held, entry);
    cachefs__set_note(&tiny->held, entry, to);
}

/* The end of a sample: go on, or turn round. */
static void wtinylfu_climb(wtinylfu_t *tiny)
{
    double ratio = (double)tiny->hits / (double)(tiny->hits + tiny->misses);
    double change = tiny->last < 0 ? 0 : ratio - tiny->last;
    double size = change > TINY_RESTART || change < -TINY_RESTART
                      ? TINY_STEP
                      : (tiny->step < 0 ? -tiny->step : tiny->step) * TINY_STEP_DECAY;
    int up = (change >= 0) == (tiny->step >= 0);

    tiny->step = up ? size : -size;
    tiny->share += tiny->step;
    if (tiny->share < TINY_SHARE_MIN) tiny->share = TINY_SHARE_MIN;
    if (tiny->share > TINY_SHARE_MAX) tiny->share = TINY_SHARE_MAX;
    tiny->last = ratio;
    tiny->hits = tiny->misses = 0;
}

static void wtinylfu_insert(void *state, uint32_t entry, uint64_t key, uint32_t bytes)
{
    wtinylfu_t *tiny = state;
    cachefs__queue_t *window = &tiny->queues[TINY_WINDOW];
    uint64_t hash = cachefs__hold_key(&tiny->held, entry, key, bytes, TINY_WINDOW);

    cachefs__queue_push(window, &tiny->held, entry);
    cachefs__sketch_see(&tiny->sketch, hash, tiny->held.count);
    tiny->misses++;
    /* nobody has to compete while there is room, or when the window shrank */
    while (window->bytes > wtinylfu_window_limit(tiny) && window->list.tail != entry)
        wtinylfu_move(tiny, window->list.tail, TINY_PROBATION);
    if (tiny->hits + tiny->misses >= (uint64_t)TINY_SAMPLE * tiny->held.count) wtinylfu_climb(tiny);
}

static void wtinylfu_touch(void *state, uint32_t entry, uint32_t hits)
{
    wtinylfu_t *tiny = state;
    cachefs__queue_t *safe = &tiny->queues[TINY_PROTECTED];
    uint64_t limit;
    uint32_t queue;

    cachefs__check_held(&tiny->held, entry);
    cachefs__sketch_see(&tiny->sketch, cachefs__hash_of(&tiny->held, entry), tiny->held.count);
    tiny->hits += hits;
    queue = cachefs__note(&tiny->held, entry);
    wtinylfu_move(tiny, entry, queue == TINY_WINDOW ? TINY_WINDOW : TINY_PROTECTED);
    limit = wtinylfu_window_limit(tiny);
    limit = tiny->held.capacity > limit ? (tiny->held.capacity - limit) / 5 * 4 : 0;
    while (safe->bytes > limit && safe->list.tail != entry)
        wtinylfu_move(tiny, safe->list.tail, TINY_PROBATION);
}

static void wtinylfu_remove(void *state, uint32_t entry)
{
    wtinylfu_t *tiny = state;

    cachefs__check_held(&tiny->held, entry);
    cachefs__queue_unlink(&tiny->queues[cachefs__note(&tiny->held, entry)], &tiny->held, entry);
    cachefs__let_go(&tiny->held, entry);
}

/* The next to leave the main part, or NONE. */
static uint32_t wtinylfu_main_tail(const wtinylfu_t *tiny)
{
    uint32_t entry = tiny->queues[TINY_PROBATION].list.tail;

    return entry != CACHEFS_POLICY_NONE ? entry : tiny->queues[TINY_PROTECTED].list.tail;
}

static uint32_t wtinylfu_choose(wtinylfu_t *tiny)
{
    uint32_t candidate = tiny->queues[TINY_WINDOW].list.tail, rival = wtinylfu_main_tail(tiny);

    if (rival == CACHEFS_POLICY_NONE) return candidate;
    if (candidate == CACHEFS_POLICY_NONE ||
        tiny->queues[TINY_WINDOW].bytes < wtinylfu_window_limit(tiny))
        return rival; /* the window may grow */
    if (cachefs__sketch_seen(&tiny->sketch, cachefs__hash_of(&tiny->held, candidate)) <=
        cachefs__sketch_seen(&tiny->sketch, cachefs__hash_of(&tiny->held, rival)))
        return candidate;
    wtinylfu_move(tiny, candidate, TINY_PROBATION);
    return rival;
}

static uint32_t wtinylfu_victim(void *state)
{
    wtinylfu_t *tiny = state;
    uint32_t entry;

    if (tiny->held.count == 0) return CACHEFS_POLICY_NONE;
    cachefs__full(&tiny->held);
    entry = wtinylfu_choose(tiny);
    wtinylfu_remove(tiny, entry);
    return entry;
}

static uint32_t wtinylfu_count(void *state)
{
    return ((const wtinylfu_t *)state)->held.count;
}

const cachefs_policy_ops_t cachefs__policy_wtinylfu = {
    .abi = CACHEFS_POLICY_ABI,
    .size = sizeof(cachefs_policy_ops_t),
    .name = "wtinylfu",
    .create = wtinylfu_create,
    .insert = wtinylfu_insert,
    .touch = wtinylfu_touch,
    .remove = wtinylfu_remove,
    .victim = wtinylfu_victim,
    .count = wtinylfu_count,
};
