/*
 * support_model.c - see support_model.h.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/engine/support_model.h"

void model_push(model_t *model, uint32_t list, uint32_t key)
{
    model_list_t *l = &model->lists[list];

    cr_assert_lt(l->count, MODEL_KEYS);
    memmove(&l->keys[1], &l->keys[0], l->count * sizeof(l->keys[0]));
    l->keys[0] = key;
    l->count++;
}

static uint32_t index_of(const model_t *model, uint32_t list, uint32_t key)
{
    uint32_t i = 0;

    while (i < model->lists[list].count && model->lists[list].keys[i] != key)
        i++;
    return i;
}

int model_take(model_t *model, uint32_t list, uint32_t key)
{
    model_list_t *l = &model->lists[list];
    uint32_t i = index_of(model, list, key);

    if (i == l->count) return 0;
    l->count--;
    memmove(&l->keys[i], &l->keys[i + 1], (l->count - i) * sizeof(l->keys[0]));
    return 1;
}

int model_has(const model_t *model, uint32_t list, uint32_t key)
{
    return index_of(model, list, key) < model->lists[list].count;
}

uint32_t model_tail(const model_t *model, uint32_t list)
{
    const model_list_t *l = &model->lists[list];

    return l->count > 0 ? l->keys[l->count - 1] : MODEL_NONE;
}

uint64_t model_bytes(const model_t *model, uint32_t list)
{
    uint64_t bytes = 0;
    uint32_t i;

    for (i = 0; i < model->lists[list].count; i++)
        bytes += model->size[model->lists[list].keys[i]];
    return bytes;
}

void model_past(model_t *model, uint32_t percent)
{
    cr_assert_eq(cachefs__past_create(&policy_uncounted, &model->past,
                                      model->expected * percent / 100, model->pool),
                 APR_SUCCESS);
}

/* ---- the cache around both */

typedef struct pair_t {
    const model_ops_t *ops;
    model_t *model;
    policy_rig_t rig;
    uint32_t entry_of[MODEL_KEYS]; /* MODEL_NONE: not resident */
    uint32_t key_of[MODEL_KEYS];   /* of entries */
    uint64_t limit;                /* bytes */
    unsigned step;
} pair_t;

static void evict(pair_t *pair)
{
    model_t *model = pair->model;
    uint32_t entry, expected, got;

    if (model->count > 0) model->capacity = model->bytes;
    expected = model->count > 0 ? pair->ops->victim(model) : MODEL_NONE;
    entry = pair->rig.ops->victim(pair->rig.state);
    if (expected == MODEL_NONE) {
        cr_assert_eq(entry, CACHEFS_POLICY_NONE);
        return;
    }
    cr_assert_lt(entry, pair->rig.entries_max);
    got = pair->key_of[entry];
    cr_assert_eq(got, expected, "%s, step %u: %u leaves, expected %u", pair->ops->name, pair->step,
                 got, expected);
    model->count--;
    model->bytes -= model->size[got];
    pair->entry_of[got] = MODEL_NONE;
    pair->key_of[entry] = MODEL_NONE;
}

static void insert(pair_t *pair, uint32_t key)
{
    model_t *model = pair->model;
    uint32_t entry = 0;

    while (model->count == pair->rig.entries_max || model->bytes + model->size[key] > pair->limit)
        evict(pair);
    while (pair->key_of[entry] != MODEL_NONE)
        entry++;
    model->count++;
    model->bytes += model->size[key];
    if (model->bytes > model->capacity) model->capacity = model->bytes;
    pair->entry_of[key] = entry;
    pair->key_of[entry] = key;
    pair->ops->insert(model, key);
    pair->rig.ops->insert(pair->rig.state, entry, key, model->size[key]);
}

static void leave(pair_t *pair, uint32_t key)
{
    pair->ops->remove(pair->model, key);
    pair->rig.ops->remove(pair->rig.state, pair->entry_of[key]);
    pair->model->count--;
    pair->model->bytes -= pair->model->size[key];
    pair->key_of[pair->entry_of[key]] = MODEL_NONE;
    pair->entry_of[key] = MODEL_NONE;
}

/* Some hot keys that drift, a loop, and now and then a key that never comes again. */
static uint32_t next_key(uint64_t *random, uint32_t entries, unsigned step)
{
    uint64_t roll = policy_random(random);
    uint32_t universe = entries * 3 < MODEL_KEYS ? entries * 3 : MODEL_KEYS;
    uint32_t key = (uint32_t)(roll >> 32) % universe;

    if (roll % 8 < 4) return (key % (entries / 2 + 1) + step / 2000) % universe;
    if (roll % 8 < 6) return step % (entries + entries / 4 + 1);
    return key;
}

void model_compare(const model_ops_t *ops, uint32_t entries, int sizes, uint64_t seed,
                   unsigned steps)
{
    pair_t *pair = calloc(1, sizeof(*pair));
    model_t *model = calloc(1, sizeof(*model));
    uint64_t random = seed;
    uint32_t i;

    cr_assert_not_null(pair);
    cr_assert_not_null(model);
    pair->ops = ops;
    pair->model = model;
    pair->limit = sizes ? entries * 6ull : entries;
    for (i = 0; i < MODEL_KEYS; i++) {
        model->size[i] = sizes ? 1u << policy_random(&random) % 6 : 1;
        pair->entry_of[i] = pair->key_of[i] = MODEL_NONE;
        if (model->size[i] > pair->limit) model->size[i] = 1;
    }
    policy_rig_open_bytes(&pair->rig, ops->name, entries, pair->limit);
    model->capacity = pair->limit;
    model->slots = entries < 64 ? 64 : entries;
    model->expected = entries < 32 ? 32 : entries;
    model->pool = pair->rig.pool;
    if (ops->start != NULL) ops->start(model);
    for (pair->step = 0; pair->step < steps; pair->step++) {
        uint32_t key = next_key(&random, entries, pair->step);
        unsigned what = (unsigned)(policy_random(&random) % 1000);

        if (what < 5) {
            evict(pair);
        } else if (pair->entry_of[key] == MODEL_NONE) {
            insert(pair, key);
        } else if (what < 15) {
            leave(pair, key);
        } else {
            ops->touch(model, key, 1 + what % 2);
            pair->rig.ops->touch(pair->rig.state, pair->entry_of[key], 1 + what % 2);
        }
        cr_assert_eq(pair->rig.ops->count(pair->rig.state), model->count);
    }
    while (model->count > 0)
        evict(pair);
    evict(pair);
    policy_rig_close(&pair->rig);
    free(model->more);
    free(model);
    free(pair);
}

void model_sweep(const model_ops_t *ops)
{
    uint64_t seed;

    for (seed = 1; seed <= 16; seed++)
        model_compare(ops, seed % 4 < 2 ? 200 : 3 + (uint32_t)seed, seed % 2 == 0, seed * 104729,
                      seed % 4 < 2 ? 10000 : 3000);
}

uint32_t model_loop_hits(const char *name, uint32_t entries, uint32_t loop, uint32_t rounds)
{
    uint32_t entry_of[MODEL_KEYS], key_of[MODEL_KEYS], hits = 0, used = 0, i;
    policy_rig_t rig;

    cr_assert(entries < loop && loop <= MODEL_KEYS);
    for (i = 0; i < loop; i++)
        entry_of[i] = MODEL_NONE;
    policy_rig_open(&rig, name, entries, 0);
    for (i = 0; i < loop * rounds; i++) {
        uint32_t key = i % loop, entry = entry_of[key];

        if (entry != MODEL_NONE) {
            rig.ops->touch(rig.state, entry, 1);
            hits++;
            continue;
        }
        if (used < entries) {
            entry = used++;
        } else {
            entry = rig.ops->victim(rig.state);
            entry_of[key_of[entry]] = MODEL_NONE;
        }
        entry_of[key] = entry;
        key_of[entry] = key;
        rig.ops->insert(rig.state, entry, key, 4096);
    }
    policy_rig_close(&rig);
    return hits;
}
