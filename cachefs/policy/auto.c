/*
 * auto.c - the policy "auto": whichever of CLOCK-Pro, S3-FIFO and W-TinyLFU would have hit more.
 * Floor 2. Knows entries by number, and keys.
 *
 * No policy is the best one everywhere. CLOCK-Pro is never far from it, and keeps what it can of a
 * loop that is larger than the memory; S3-FIFO is better where most blocks are used once, W-TinyLFU
 * where popularity is steep and steady. So all three run as shadow caches, of keys only, over a
 * sample of what is asked for (shadow.h), and the memory is run by the one whose shadow hits most.
 *
 * The balance of each against the leader moves by one when exactly one of the two hits, and fades
 * over a window of sixteen capacities. A switch costs misses, up to a capacity of them; so, as one
 * buys skis when the rent has come to their price, another takes over when it is ahead by the hits
 * of a third of a capacity, and by three standard deviations of a fair coin thrown as often as they
 * disagreed, so that chance does not make it switch.
 *
 * A switch moves nothing. From then on newcomers are the new leader's. What the old one still holds
 * becomes the new one's when it is used. Victims come from the old one while the new one has less
 * than an eighth, then from both in turn: so the new one sorts its newcomers from the beginning.
 * Until the old one is empty there is no other switch. All is O(1) amortised, as its parts are.
 *
 * Parameters: shadows of up to 4096 entries a shard (unsampled where that is all), the window and
 * the margins above. CLOCK-Pro leads at first, because its worst case is the best.
 */
#include "cachefs/policy/shadow.h"

#define AUTO_PARTS 3u
#define AUTO_SHADOW_MAX 4096u
#define AUTO_WINDOW_CAPACITIES 16.0
#define AUTO_AHEAD (1.0 / 3.0 / AUTO_WINDOW_CAPACITIES) /* of the window */
#define AUTO_START_SHARE 8u
#define AUTO_SIGMAS 3.0

typedef struct auto_t {
    cachefs__held_t held; /* of keys and nodes only: the parts keep the accounts */
    const cachefs_policy_ops_t *ops[AUTO_PARTS];
    void *state[AUTO_PARTS]; /* each begins with its cachefs__held_t */
    cachefs__shadow_t shadows[AUTO_PARTS];
    uint32_t leader;
    uint32_t drained;             /* led before the leader, and may still hold something */
    uint32_t sample_shift;        /* a key is in the sample if so many bits of its hash are 0 */
    uint32_t turn;                /* of victims, while two hold something */
    double window;                /* in what is asked of the shadows */
    double balance[AUTO_PARTS];   /* hits that only its shadow had, less those only the leader's */
    double disagreed[AUTO_PARTS]; /* how often only one of them hit */
} auto_t;

static cachefs__held_t *auto_part(const auto_t *all, uint32_t part)
{
    return all->state[part];
}

static uint64_t auto_key_of(const void *baton, uint32_t entry)
{
    return ((const auto_t *)baton)->held.keys[entry];
}

static apr_status_t auto_create_part(auto_t *all, uint32_t part, cachefs_policy_config_t config,
                                     apr_pool_t *pool)
{
    uint64_t entries = cachefs__expected(&config);
    apr_status_t status;

    if (config.key_of == NULL) {
        config.key_of = auto_key_of;
        config.key_baton = all;
    }
    status = all->ops[part]->create(&all->state[part], &config, pool);
    if (status != APR_SUCCESS) return status;
    auto_part(all, part)->whose = part;
    entries >>= all->sample_shift;
    return cachefs__shadow_create(&config, &all->shadows[part], all->ops[part],
                                  entries + entries / 8 + 16,
                                  config.capacity_bytes >> all->sample_shift, pool);
}

static apr_status_t auto_create(void **state, const cachefs_policy_config_t *config,
                                apr_pool_t *pool)
{
    apr_status_t status = cachefs__policy_check(config);
    uint64_t entries;
    uint32_t part;
    auto_t *all;

    if (status != APR_SUCCESS) return status;
    all = cachefs__policy_calloc(config, pool, sizeof(*all));
    if (all == NULL) return APR_ENOMEM;
    cachefs__held_init(&all->held, config);
    status = cachefs__keys_create(config, &all->held, pool);
    entries = cachefs__expected(config);
    while (entries >> all->sample_shift > AUTO_SHADOW_MAX)
        all->sample_shift++;
    all->window = (double)(entries >> all->sample_shift) * AUTO_WINDOW_CAPACITIES;
    all->ops[0] = &cachefs__policy_clockpro;
    all->ops[1] = &cachefs__policy_s3fifo;
    all->ops[2] = &cachefs__policy_wtinylfu;
    for (part = 0; part < AUTO_PARTS && status == APR_SUCCESS; part++)
        status = auto_create_part(all, part, *config, pool);
    if (status == APR_SUCCESS) *state = all;
    return status;
}

/* One that is clearly ahead of the leader leads from now on, if the leader before it is through. */
static void auto_judge(auto_t *all, uint32_t part)
{
    double ahead = all->balance[part];
    uint32_t i;

    if (ahead < AUTO_AHEAD * all->window ||
        ahead * ahead < AUTO_SIGMAS * AUTO_SIGMAS * all->disagreed[part] ||
        (all->drained != all->leader && auto_part(all, all->drained)->count > 0))
        return;
    all->disagreed[all->leader] = all->disagreed[part];
    all->drained = all->leader;
    all->leader = part;
    for (i = 0; i < AUTO_PARTS; i++)
        all->balance[i] -= ahead; /* against the new one */
}

/* A key is asked for: what do the shadows say? */
static void auto_ask(auto_t *all, uint64_t hash, uint32_t bytes)
{
    uint64_t capacity = all->held.capacity >> all->sample_shift;
    double fade = 1.0 - 1.0 / all->window;
    int hit[AUTO_PARTS];
    uint32_t part, leader = all->leader;

    /* the bits that choose are not those that name the key in a table of ghosts */
    if ((hash >> 32 & ((1ull << all->sample_shift) - 1)) != 0) return;
    for (part = 0; part < AUTO_PARTS; part++)
        hit[part] = cachefs__shadow_ask(&all->shadows[part], hash, bytes, capacity);
    for (part = 0; part < AUTO_PARTS; part++) {
        all->balance[part] = all->balance[part] * fade + hit[part] - hit[leader];
        all->disagreed[part] = all->disagreed[part] * fade + (hit[part] != hit[leader]);
    }
    for (part = 0; part < AUTO_PARTS && all->leader == leader; part++)
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
    auto_ask(all, cachefs__mix(key), bytes);
    all->ops[all->leader]->insert(all->state[all->leader], entry, key, bytes);
    held = auto_bytes(all);
    if (held > all->held.capacity) all->held.capacity = held;
}

static uint32_t auto_holder(const auto_t *all, uint32_t entry)
{
    return all->held.nodes[entry].word >> CACHEFS__WHOSE_SHIFT & CACHEFS__WHOSE_MASK;
}

static void auto_touch(void *state, uint32_t entry, uint32_t hits)
{
    auto_t *all = state;
    uint32_t holder, bytes;

    cachefs__check_held(&all->held, entry);
    bytes = cachefs__size(&all->held, entry);
    auto_ask(all, cachefs__hash_of(&all->held, entry), bytes);
    holder = auto_holder(all, entry);
    if (holder != all->leader) {
        uint64_t key = all->held.keys != NULL ? all->held.keys[entry]
                                              : all->held.key_of(all->held.key_baton, entry);

        all->ops[holder]->remove(all->state[holder], entry);
        all->ops[all->leader]->insert(all->state[all->leader], entry, key, bytes);
    }
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
