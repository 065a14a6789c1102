/*
 * auto.c - the policy "auto": whichever of LIRS, CLOCK-Pro, S3-FIFO and W-TinyLFU would have hit
 * more. Floor 2. Knows entries by number, and keys.
 *
 * No policy is the best one everywhere. LIRS keeps what it can of a loop that is larger than the
 * memory, and CLOCK-Pro does nearly as well, but gives recency more where that pays; S3-FIFO is
 * better where most blocks are used once, W-TinyLFU where popularity is steep and steady. So all
 * run as shadow caches, of keys only, over a sample of what is asked for (shadow.h), and the memory
 * is run by the one whose shadow hits most.
 *
 * The shards of a cache choose together. Each gets a random part of the keys, so the first few of
 * them are a sample: as many as have 2048 entries between them have shadows, or the first has, of a
 * part of its keys. What shadows hit goes to scores that all shards read. Two that add to one at
 * the same time may lose a hit: a lock would cost more than that is worth.
 *
 * A score is the hits of a shadow, and fades over a window of sixteen capacities of what is asked.
 * A switch costs misses, up to a capacity of them; so, as one buys skis when the rent has come to
 * their price, another takes over when it is ahead by the hits of a third of a capacity, and by
 * three standard deviations of a fair coin thrown as often as they disagreed, so that chance does
 * not make it switch.
 *
 * A switch moves nothing. From then on newcomers are the new leader's. What the old one still holds
 * becomes the new one's when it is used. Victims come from the old one while the new one has less
 * than an eighth, then from both in turn: so the new one sorts its newcomers from the beginning.
 * Until the old one is empty there is no third. Those who keep ghosts keep them in one past, which
 * knows whatever left. All is O(1) amortised, as its parts are.
 *
 * Parameters: 2048 entries with shadows, the window and the margins above; a sketch of a quarter of
 * what W-TinyLFU alone has, since it leads where few keys matter.
 */
#include <stdatomic.h>

#include "cachefs/policy/past.h"
#include "cachefs/policy/shadow.h"

#define AUTO_PARTS 4u /* as many as held.h can tell apart */
#define AUTO_SHADOW_MAX 2048u
#define AUTO_WINDOW_CAPACITIES 16.0
#define AUTO_AHEAD (1.0 / 3.0 / AUTO_WINDOW_CAPACITIES) /* of the window */
#define AUTO_START_SHARE 8u
#define AUTO_SIGMAS 3.0
#define AUTO_SKETCH_SHARE 4u

typedef struct auto_common_t {
    _Atomic uint32_t leader;
    _Atomic double score[AUTO_PARTS];
    _Atomic double disagreed[AUTO_PARTS]
                            [AUTO_PARTS]; /* how often one of two hit, by first < second */
} auto_common_t;

typedef struct auto_t {
    cachefs__held_t held; /* of keys and nodes only: the parts keep the accounts */
    const cachefs_policy_ops_t *ops[AUTO_PARTS];
    void *state[AUTO_PARTS];    /* each begins with its cachefs__held_t */
    cachefs__past_t *past;      /* what left, for those who ask */
    cachefs__shadow_t *shadows; /* AUTO_PARTS; NULL: other shards have them */
    auto_common_t *common;
    uint32_t leader;       /* of this shard: it follows when it can */
    uint32_t drained;      /* led before the leader, and may still hold something */
    uint32_t sample_shift; /* a key is in the sample if so many bits of its hash are 0 */
    uint32_t turn;         /* of victims, while two hold something */
    double window;         /* in what is asked of shadows */
} auto_t;

static cachefs__held_t *auto_part(const auto_t *all, uint32_t part)
{
    return all->state[part];
}

static uint64_t auto_key_of(const void *baton, uint32_t entry)
{
    return ((const auto_t *)baton)->held.keys[entry];
}

static apr_status_t auto_find_common(auto_t *all, const cachefs_policy_config_t *config,
                                     apr_pool_t *pool)
{
    if (config->common != NULL) all->common = *config->common;
    if (all->common == NULL) {
        all->common = cachefs__policy_calloc(config, pool, sizeof(*all->common));
        if (config->common != NULL) *config->common = all->common;
    }
    return all->common != NULL ? APR_SUCCESS : APR_ENOMEM;
}

static apr_status_t auto_create_shadows(auto_t *all, const cachefs_policy_config_t *config,
                                        apr_pool_t *pool)
{
    uint64_t entries = cachefs__expected(config), sample;
    uint32_t shards = config->shards != 0 ? config->shards : 1, part;
    apr_status_t status = APR_SUCCESS;

    sample = shards * (config->entries_hint != 0 ? config->entries_hint : entries);
    if (sample > AUTO_SHADOW_MAX) sample = AUTO_SHADOW_MAX;
    shards = (uint32_t)(sample / entries);
    if (shards == 0) shards = 1;
    while (entries >> all->sample_shift > AUTO_SHADOW_MAX)
        all->sample_shift++;
    entries >>= all->sample_shift;
    all->window = (double)(entries * shards) * AUTO_WINDOW_CAPACITIES;
    if (config->shard >= shards) return APR_SUCCESS;
    all->shadows = cachefs__policy_calloc(config, pool, sizeof(*all->shadows) * AUTO_PARTS);
    if (all->shadows == NULL) return APR_ENOMEM;
    for (part = 0; part < AUTO_PARTS && status == APR_SUCCESS; part++)
        status = cachefs__shadow_create(config, &all->shadows[part], all->ops[part],
                                        entries + entries / 8 + 16,
                                        config->capacity_bytes >> all->sample_shift, pool);
    return status;
}

static apr_status_t auto_create_parts(auto_t *all, cachefs_policy_config_t config, apr_pool_t *pool)
{
    apr_status_t status =
        cachefs__past_create(&config, &all->past, cachefs__expected(&config), pool);
    uint32_t part;

    if (config.key_of == NULL) {
        config.key_of = auto_key_of;
        config.key_baton = all;
    }
    all->ops[0] = &cachefs__policy_lirs;
    all->ops[1] = &cachefs__policy_clockpro;
    all->ops[2] = &cachefs__policy_s3fifo;
    all->ops[3] = &cachefs__policy_wtinylfu;
    if (status == APR_SUCCESS)
        status = cachefs__lirs_make(&all->state[0], &config, all->past, pool);
    if (status == APR_SUCCESS)
        status = cachefs__clockpro_make(&all->state[1], &config, all->past, pool);
    if (status == APR_SUCCESS)
        status = cachefs__s3fifo_make(&all->state[2], &config, all->past, pool);
    config.entries_hint = cachefs__expected(&config) / AUTO_SKETCH_SHARE;
    if (status == APR_SUCCESS) status = all->ops[3]->create(&all->state[3], &config, pool);
    for (part = 0; part < AUTO_PARTS && status == APR_SUCCESS; part++)
        auto_part(all, part)->whose = part;
    return status;
}

static apr_status_t auto_create(void **state, const cachefs_policy_config_t *config,
                                apr_pool_t *pool)
{
    apr_status_t status = cachefs__policy_check(config);
    auto_t *all;

    if (status != APR_SUCCESS) return status;
    all = cachefs__policy_calloc(config, pool, sizeof(*all));
    if (all == NULL) return APR_ENOMEM;
    cachefs__held_init(&all->held, config);
    status = cachefs__keys_create(config, &all->held, pool);
    if (status == APR_SUCCESS) status = auto_find_common(all, config, pool);
    if (status == APR_SUCCESS) status = auto_create_parts(all, *config, pool);
    if (status == APR_SUCCESS) status = auto_create_shadows(all, config, pool);
    if (status == APR_SUCCESS) *state = all;
    return status;
}

/* ---- who leads */

static int auto_is_drained(const auto_t *all)
{
    return all->drained == all->leader || auto_part(all, all->drained)->count == 0;
}

/* What the shards chose is done here too, as soon as there would be two and not three. */
static void auto_follow(auto_t *all)
{
    uint32_t leader = atomic_load_explicit(&all->common->leader, memory_order_relaxed);

    if (leader == all->leader || (leader != all->drained && !auto_is_drained(all))) return;
    all->drained = all->leader;
    all->leader = leader;
}

static void auto_add(_Atomic double *sum, double fade, int more)
{
    double old = atomic_load_explicit(sum, memory_order_relaxed);

    atomic_store_explicit(sum, old * fade + more, memory_order_relaxed);
}

/* A part that is clearly ahead of the leader leads from now on, if the leader before it is through.
 */
static void auto_judge(auto_t *all, uint32_t part)
{
    auto_common_t *common = all->common;
    uint32_t leader = atomic_load_explicit(&common->leader, memory_order_relaxed);
    uint32_t first = part < leader ? part : leader, second = part < leader ? leader : part;
    double ahead = atomic_load_explicit(&common->score[part], memory_order_relaxed) -
                   atomic_load_explicit(&common->score[leader], memory_order_relaxed);
    double disagreed =
        atomic_load_explicit(&common->disagreed[first][second], memory_order_relaxed);

    if (ahead >= AUTO_AHEAD * all->window &&
        ahead * ahead >= AUTO_SIGMAS * AUTO_SIGMAS * disagreed && auto_is_drained(all))
        atomic_store_explicit(&common->leader, part, memory_order_relaxed);
}

/* A key is asked for in a shard with shadows: what do they say? */
static void auto_ask(auto_t *all, uint64_t hash, uint32_t bytes)
{
    uint64_t capacity = all->held.capacity >> all->sample_shift;
    double fade = 1.0 - 1.0 / all->window;
    int hit[AUTO_PARTS];
    uint32_t part, other, leader = all->leader;

    /* the bits that choose are not those that name the key in a shadow */
    if ((hash >> 32 & ((1ull << all->sample_shift) - 1)) != 0) return;
    for (part = 0; part < AUTO_PARTS; part++)
        hit[part] = cachefs__shadow_ask(&all->shadows[part], hash, bytes, capacity);
    for (part = 0; part < AUTO_PARTS; part++) {
        auto_add(&all->common->score[part], fade, hit[part]);
        for (other = part + 1; other < AUTO_PARTS; other++)
            auto_add(&all->common->disagreed[part][other], fade, hit[part] != hit[other]);
    }
    for (part = 0; part < AUTO_PARTS; part++)
        if (part != leader && hit[part] && !hit[leader]) auto_judge(all, part);
}

static uint32_t auto_count(void *state)
{
    const auto_t *all = state;
    uint32_t count = 0, part;

    for (part = 0; part < AUTO_PARTS; part++)
        count += auto_part(all, part)->count;
    return count;
}

static uint64_t auto_bytes(const auto_t *all)
{
    uint64_t bytes = 0;
    uint32_t part;

    for (part = 0; part < AUTO_PARTS; part++)
        bytes += auto_part(all, part)->bytes;
    return bytes;
}

static void auto_insert(void *state, uint32_t entry, uint64_t key, uint32_t bytes)
{
    auto_t *all = state;
    uint64_t held;

    VFS_ASSERT(entry < all->held.entries_max);
    VFS_ASSERT(auto_count(all) < all->held.entries_max);
    if (all->held.keys != NULL) all->held.keys[entry] = key;
    auto_follow(all);
    if (all->shadows != NULL) auto_ask(all, cachefs__mix(key), bytes);
    all->ops[all->leader]->insert(all->state[all->leader], entry, key, bytes);
    held = auto_bytes(all);
    if (held > all->held.capacity) all->held.capacity = held;
}

static uint32_t auto_holder(const auto_t *all, uint32_t entry)
{
    return all->held.nodes[entry].word >> CACHEFS__WHOSE_SHIFT & CACHEFS__WHOSE_MASK;
}

/* The old leader's entry becomes the leader's. */
static void auto_move(auto_t *all, uint32_t entry, uint32_t holder)
{
    uint32_t bytes = cachefs__size(&all->held, entry);
    uint64_t key = all->held.keys != NULL ? all->held.keys[entry]
                                          : all->held.key_of(all->held.key_baton, entry);

    all->ops[holder]->remove(all->state[holder], entry);
    all->ops[all->leader]->insert(all->state[all->leader], entry, key, bytes);
}

static void auto_touch(void *state, uint32_t entry, uint32_t hits)
{
    auto_t *all = state;
    uint32_t holder;

    cachefs__check_held(&all->held, entry);
    auto_follow(all);
    if (all->shadows != NULL)
        auto_ask(all, cachefs__hash_of(&all->held, entry), cachefs__size(&all->held, entry));
    holder = auto_holder(all, entry);
    if (holder != all->leader) auto_move(all, entry, holder);
    all->ops[all->leader]->touch(all->state[all->leader], entry, hits);
}

static void auto_remove(void *state, uint32_t entry)
{
    auto_t *all = state;
    uint32_t holder;

    cachefs__check_held(&all->held, entry);
    holder = auto_holder(all, entry);
    all->ops[holder]->remove(all->state[holder], entry);
}

static uint32_t auto_victim(void *state)
{
    auto_t *all = state;
    uint32_t from = all->drained;
    uint64_t held = auto_bytes(all);

    if (held > 0) all->held.capacity = held;
    if (auto_part(all, from)->count == 0 ||
        (auto_part(all, all->leader)->bytes > held / AUTO_START_SHARE && ++all->turn % 2 != 0))
        from = all->leader;
    return all->ops[from]->victim(all->state[from]);
}

const cachefs_policy_ops_t cachefs__policy_auto = {
    .abi = CACHEFS_POLICY_ABI,
    .size = sizeof(cachefs_policy_ops_t),
    .name = "auto",
    .create = auto_create,
    .insert = auto_insert,
    .touch = auto_touch,
    .remove = auto_remove,
    .victim = auto_victim,
    .count = auto_count,
};
