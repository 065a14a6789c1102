/*
 * test_policy_auto.c - the policy "auto" beside those that it chooses from, over generated traces;
 * and the shadow caches by which it chooses.
 */
#include <apr_general.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/policy/shadow.h"
#include "tests/engine/support_policy.h"
#include "tests/sweep.h"

enum { KEYS = 20000, ENTRIES = 1000, REQUESTS = 200000 };

typedef uint32_t (*trace_fn)(uint32_t i, uint64_t *random);

static double zipf_rank[KEYS]; /* cumulated */

static void make_zipf(void)
{
    double sum = 0;
    uint32_t i;

    for (i = 0; i < KEYS; i++)
        zipf_rank[i] = sum += pow(i + 1.0, -0.9);
    for (i = 0; i < KEYS; i++)
        zipf_rank[i] /= sum;
}

static uint32_t zipf(uint32_t i, uint64_t *random)
{
    double u = (double)(policy_random(random) >> 11) / 9007199254740992.0;
    uint32_t low = 0, high = KEYS - 1;

    (void)i;
    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (zipf_rank[middle] < u)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint32_t drifting(uint32_t i, uint64_t *random)
{
    return (zipf(i, random) + i / 20) % KEYS;
}

static uint32_t loop(uint32_t i, uint64_t *random)
{
    (void)random;
    return i % (ENTRIES * 5 / 4);
}

/* A scan of all keys after each 20,000 popular ones. */
static uint32_t scans(uint32_t i, uint64_t *random)
{
    return i % 40000 < 20000 ? zipf(i, random) : i % KEYS;
}

static uint32_t phases(uint32_t i, uint64_t *random)
{
    if (i < REQUESTS / 2) return loop(i, random);
    return i % 3 == 0 ? (uint32_t)(policy_random(random) % KEYS) : drifting(i, random);
}

/* A cache of ENTRIES over a trace. Returns its miss ratio. With `chaos`, entries leave now and
 * then for other reasons. */
static double miss_ratio(const char *name, trace_fn trace, uint64_t seed, int chaos)
{
    uint32_t *entry_of = malloc(KEYS * sizeof(*entry_of)), *key_of, free_entries[ENTRIES];
    uint32_t i, frees = ENTRIES, misses = 0;
    policy_rig_t rig;

    key_of = calloc(ENTRIES, sizeof(*key_of));
    cr_assert(entry_of != NULL && key_of != NULL);
    memset(entry_of, 0xff, KEYS * sizeof(*entry_of));
    for (i = 0; i < ENTRIES; i++)
        free_entries[i] = i;
    policy_rig_open(&rig, name, ENTRIES, 0);
    for (i = 0; i < REQUESTS; i++) {
        uint32_t key = trace(i, &seed), entry = entry_of[key];

        if (entry != CACHEFS_POLICY_NONE && chaos && i % 50 == 0) {
            rig.ops->remove(rig.state, entry);
            entry_of[key] = CACHEFS_POLICY_NONE;
            free_entries[frees++] = entry;
        } else if (entry != CACHEFS_POLICY_NONE) {
            rig.ops->touch(rig.state, entry, 1);
        } else {
            misses++;
            if (frees > 0) {
                entry = free_entries[--frees];
            } else {
                entry = rig.ops->victim(rig.state);
                cr_assert_lt(entry, ENTRIES);
                cr_assert_eq(entry_of[key_of[entry]], entry);
                entry_of[key_of[entry]] = CACHEFS_POLICY_NONE;
            }
            rig.ops->insert(rig.state, entry, key, 4096);
            entry_of[key] = entry;
            key_of[entry] = key;
        }
        cr_assert_eq(rig.ops->count(rig.state), ENTRIES - frees);
    }
    policy_rig_close(&rig);
    free(entry_of);
    free(key_of);
    return (double)misses / REQUESTS;
}

Test(policy_auto, is_near_the_best_of_its_parts_on_each_trace, .timeout = 300)
{
    static const struct {
        const char *name;
        trace_fn trace;
    } traces[] = {{"zipf", zipf},
                  {"drifting", drifting},
                  {"loop", loop},
                  {"scans", scans},
                  {"phases", phases}};
    static const char *const parts[] = {"lirs", "clockpro", "s3fifo", "wtinylfu"};
    size_t t, p;

    make_zipf();
    for (t = 0; t < sizeof(traces) / sizeof(traces[0]); t += sweep_step()) {
        double best = 1, ours = miss_ratio("auto", traces[t].trace, 42, 0);

        for (p = 0; p < 4; p++) {
            double part = miss_ratio(parts[p], traces[t].trace, 42, 0);

            cr_log_info("%s: %s %.4f", traces[t].name, parts[p], part);
            if (part < best) best = part;
        }
        cr_log_info("%s: auto %.4f, best part %.4f", traces[t].name, ours, best);
        cr_assert_leq(ours, best + 0.02, "%s: %.4f, best part %.4f", traces[t].name, ours, best);
    }
}

Test(policy_auto, keeps_its_accounts_when_entries_leave_during_a_switch)
{
    make_zipf();
    cr_assert_leq(miss_ratio("auto", phases, 7, 1), miss_ratio("auto", phases, 7, 0) + 0.03);
}

/* popularity that drifts fast: no single key weighs much in the sample */
Test(policy_auto, sampled_shadow_hits_as_often_as_the_whole)
{
    const cachefs_policy_ops_t *clock = cachefs_policy_find("clock");
    uint32_t i, asked[2] = {0, 0}, hits[2] = {0, 0};
    cachefs__shadow_t whole, sample;
    uint64_t random = 11;
    apr_pool_t *pool;

    make_zipf();
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
    cr_assert_eq(cachefs__shadow_create(&policy_uncounted, &whole, clock, 2000, 2000, pool),
                 APR_SUCCESS);
    cr_assert_eq(cachefs__shadow_create(&policy_uncounted, &sample, clock, 500, 500, pool),
                 APR_SUCCESS);
    for (i = 0; i < REQUESTS; i++) {
        uint64_t hash = cachefs__mix(drifting(i * 20, &random));

        asked[0]++;
        hits[0] += (uint32_t)cachefs__shadow_ask(&whole, hash, 1, 2000);
        cr_assert_leq(whole.state->bytes, 2000);
        if ((hash >> 32 & 3) != 0) continue;
        asked[1]++;
        hits[1] += (uint32_t)cachefs__shadow_ask(&sample, hash, 1, 500);
    }
    cr_assert_float_eq((double)hits[0] / asked[0], (double)hits[1] / asked[1], 0.03);
    cr_assert_eq(cachefs__shadow_ask(&whole, 1, 1, 100), 0);
    cr_assert_leq(whole.state->bytes, 100, "it gives way at once when it may hold less");
    apr_pool_destroy(pool);
    apr_terminate();
}
