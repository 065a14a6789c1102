/*
 * past.c - see past.h.
 * Floor 2. Knows keys, never entries.
 */
#include "cachefs/policy/past.h"

#define WAYS CACHEFS__PAST_WAYS
#define LIVE CACHEFS__PAST_LIVE
#define EPOCH_MASK 0xffu

apr_status_t cachefs__past_create(const cachefs_policy_config_t *config, cachefs__past_t **out,
                                  uint64_t ghosts, apr_pool_t *pool)
{
    cachefs__past_t *past = cachefs__policy_calloc(config, pool, sizeof(*past));
    uint64_t buckets = (ghosts + ghosts / 4) / WAYS + 1;

    if (past == NULL) return APR_ENOMEM;
    past->buckets = buckets > UINT32_MAX ? UINT32_MAX : (uint32_t)buckets;
    past->slots =
        cachefs__policy_calloc(config, pool, sizeof(*past->slots) * WAYS * (size_t)past->buckets);
    if (past->slots == NULL) return APR_ENOMEM;
    past->now = 2 * LIVE; /* so that there was one before */
    past->ended = past->now - 1;
    *out = past;
    return APR_SUCCESS;
}

static uint32_t *bucket_of(const cachefs__past_t *past, uint64_t hash)
{
    return past->slots + ((hash >> 32) * past->buckets >> 32) * WAYS;
}

static uint32_t tag_of(uint64_t hash)
{
    uint32_t tag = (uint32_t)hash & ~EPOCH_MASK;

    return tag != 0 ? tag : ~EPOCH_MASK;
}

static uint32_t age_of(const cachefs__past_t *past, uint32_t slot)
{
    return (past->now - slot) & EPOCH_MASK;
}

static int is_live(const cachefs__past_t *past, uint32_t slot)
{
    return slot != 0 && age_of(past, slot) < past->now - past->ended;
}

static void discount(cachefs__past_t *past, uint32_t epoch, uint64_t bytes)
{
    uint64_t *of = &past->bytes_of[epoch % LIVE];

    if (bytes > *of) bytes = *of;
    *of -= bytes;
    past->bytes -= bytes;
}

static uint64_t end_oldest(cachefs__past_t *past)
{
    uint64_t bytes = past->bytes_of[++past->ended % LIVE];

    discount(past, past->ended, bytes);
    return bytes;
}

uint64_t cachefs__past_end(cachefs__past_t *past, uint32_t epoch)
{
    uint64_t bytes = 0;

    VFS_ASSERT((int32_t)(past->now - epoch) >= 0);
    while ((int32_t)(epoch - past->ended) > 0)
        bytes += end_oldest(past);
    return bytes;
}

uint64_t cachefs__past_limit(cachefs__past_t *past, uint32_t bytes, uint64_t limit)
{
    uint64_t ended = 0;

    while (past->bytes + bytes > limit && past->now - past->ended > 1)
        ended += end_oldest(past);
    return ended;
}

static void sweep_one(cachefs__past_t *past)
{
    uint32_t *bucket = past->slots + (size_t)past->hand * WAYS, i;

    for (i = 0; i < WAYS; i++)
        if (!is_live(past, bucket[i])) bucket[i] = 0;
    past->hand = past->hand + 1 < past->buckets ? past->hand + 1 : 0;
    past->swept++;
}

uint64_t cachefs__past_pass(cachefs__past_t *past, uint32_t bytes, uint64_t epoch_bytes)
{
    uint32_t quota = past->buckets / (2 * LIVE) + 1; /* all of them in less than 2 LIVE epochs */

    past->passed += bytes != 0 ? bytes : 1;
    while (past->swept < quota && past->swept * epoch_bytes < past->passed * quota)
        sweep_one(past);
    if (past->passed <= epoch_bytes) return 0;
    past->passed = 0;
    past->swept = 0;
    past->now++;
    VFS_ASSERT(past->now - past->ended <= LIVE + 1);
    return past->now - past->ended > LIVE ? end_oldest(past) : 0;
}

void cachefs__past_add(cachefs__past_t *past, uint64_t hash, uint32_t epoch, uint32_t bytes)
{
    uint32_t *bucket = bucket_of(past, hash), tag = tag_of(hash), at = 0, oldest = 0, i;

    if ((int32_t)(epoch - past->ended) <= 0) return;
    for (i = 0; i < WAYS; i++) {
        uint32_t age = is_live(past, bucket[i]) ? age_of(past, bucket[i]) : LIVE;

        if (age < LIVE && (bucket[i] & ~EPOCH_MASK) == tag) {
            at = i;
            break;
        }
        if (age > oldest) {
            oldest = age;
            at = i;
        }
    }
    if (is_live(past, bucket[at])) discount(past, past->now - age_of(past, bucket[at]), bytes);
    bucket[at] = tag | (epoch & EPOCH_MASK);
    past->bytes_of[epoch % LIVE] += bytes;
    past->bytes += bytes;
}

int cachefs__past_take(cachefs__past_t *past, uint64_t hash, uint32_t bytes)
{
    uint32_t *bucket = bucket_of(past, hash), tag = tag_of(hash), i;

    for (i = 0; i < WAYS; i++)
        if ((bucket[i] & ~EPOCH_MASK) == tag && is_live(past, bucket[i])) {
            discount(past, past->now - age_of(past, bucket[i]), bytes);
            bucket[i] = 0;
            return 1;
        }
    return 0;
}
