/*
 * test_policy_queues.c - the policies without ghosts, "fifo", "clock", "sieve" and "slru", against
 * models.
 */
#include <criterion/criterion.h>

#include "tests/engine/support_model.h"

static void push_first(model_t *model, uint32_t key)
{
    model->flag[key] = 0;
    model_push(model, 0, key);
}

static void mark(model_t *model, uint32_t key, uint32_t hits)
{
    (void)hits;
    model->flag[key] = 1;
}

static void take_first(model_t *model, uint32_t key)
{
    cr_assert(model_take(model, 0, key));
}

static uint32_t pop_first(model_t *model)
{
    uint32_t key = model_tail(model, 0);

    take_first(model, key);
    return key;
}

static uint32_t clock_victim(model_t *model)
{
    uint32_t key;

    while (model->flag[key = pop_first(model)] != 0)
        push_first(model, key);
    return key;
}

static const model_ops_t fifo = {"fifo", NULL, push_first, mark, take_first, pop_first};
static const model_ops_t clock_model = {"clock", NULL, push_first, mark, take_first, clock_victim};

Test(policy_queues, fifo_chooses_as_its_model)
{
    model_sweep(&fifo);
}

Test(policy_queues, clock_chooses_as_its_model)
{
    model_sweep(&clock_model);
}

/* ---- sieve: `floor` is the key under the hand, plus 1; 0: none */

static uint32_t towards_head(const model_t *model, uint32_t key)
{
    uint32_t i = 0;

    while (model->lists[0].keys[i] != key)
        i++;
    return i > 0 ? model->lists[0].keys[i - 1] : MODEL_NONE;
}

static void sieve_remove(model_t *model, uint32_t key)
{
    if (model->floor == key + 1ull) model->floor = towards_head(model, key) + 1ull;
    if (model->floor == MODEL_NONE + 1ull) model->floor = 0;
    take_first(model, key);
}

static uint32_t sieve_victim(model_t *model)
{
    uint32_t key = model->floor != 0 ? (uint32_t)(model->floor - 1) : model_tail(model, 0);

    while (model->flag[key] != 0) {
        model->flag[key] = 0;
        key = towards_head(model, key);
        if (key == MODEL_NONE) key = model_tail(model, 0);
    }
    model->floor = key + 1ull;
    sieve_remove(model, key);
    return key;
}

static const model_ops_t sieve = {"sieve", NULL, push_first, mark, sieve_remove, sieve_victim};

Test(policy_queues, sieve_chooses_as_its_model)
{
    model_sweep(&sieve);
}

/* ---- slru: lists 0 to 3 are the segments */

static uint32_t segment_of(const model_t *model, uint32_t key)
{
    uint32_t segment = 0;

    while (!model_has(model, segment, key))
        segment++;
    return segment;
}

static void slru_insert(model_t *model, uint32_t key)
{
    uint32_t segment;

    for (segment = 0; segment < 4; segment++)
        if (model_bytes(model, segment) + model->size[key] <= model->capacity / 4) break;
    model_push(model, segment % 4, key);
}

static void slru_remove(model_t *model, uint32_t key)
{
    cr_assert(model_take(model, segment_of(model, key), key));
}

static void slru_touch(model_t *model, uint32_t key, uint32_t hits)
{
    uint32_t segment = segment_of(model, key), up = segment < 3 ? segment + 1 : 3;

    (void)hits;
    slru_remove(model, key);
    model_push(model, up, key);
    for (; up > 0; up--)
        while (model_bytes(model, up) > model->capacity / 4 && model->lists[up].count > 1) {
            uint32_t cool = model_tail(model, up);

            cr_assert(model_take(model, up, cool));
            model_push(model, up - 1, cool);
        }
}

static uint32_t slru_victim(model_t *model)
{
    uint32_t segment = 0, key;

    while (model->lists[segment].count == 0)
        segment++;
    key = model_tail(model, segment);
    cr_assert(model_take(model, segment, key));
    return key;
}

static const model_ops_t slru = {"slru", NULL, slru_insert, slru_touch, slru_remove, slru_victim};

Test(policy_queues, slru_chooses_as_its_model)
{
    model_sweep(&slru);
}

Test(policy_queues, sieve_keeps_what_was_used_where_it_is)
{
    policy_rig_t rig;
    uint32_t i;

    policy_rig_open(&rig, "sieve", 5, 0);
    for (i = 0; i < 4; i++)
        rig.ops->insert(rig.state, i, i, 1);
    rig.ops->touch(rig.state, 0, 1);
    cr_assert_eq(rig.ops->victim(rig.state), 1);
    rig.ops->insert(rig.state, 4, 4, 1);
    rig.ops->touch(rig.state, 2, 1);
    /* the hand goes on from where it was: 2 loses its mark, 3 leaves, 0 is not asked again yet */
    cr_assert_eq(rig.ops->victim(rig.state), 3);
    cr_assert_eq(rig.ops->victim(rig.state), 4);
    cr_assert_eq(rig.ops->victim(rig.state), 0);
    cr_assert_eq(rig.ops->victim(rig.state), 2);
    policy_rig_close(&rig);
}
