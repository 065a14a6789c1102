/*
 * test_policy_s3fifo.c - the policy "s3fifo" against a model.
 */
#include <criterion/criterion.h>

#include "tests/engine/support_model.h"

enum { SMALL, MAIN };

static uint32_t pop(model_t *model, uint32_t list)
{
    uint32_t key = model_tail(model, list);

    cr_assert(model_take(model, list, key));
    return key;
}

static void start(model_t *model)
{
    model_past(model, 90);
}

static void insert(model_t *model, uint32_t key)
{
    int known = cachefs__past_take(model->past, cachefs__mix(key), model->size[key]);

    model->flag[key] = 0;
    model_push(model, known ? MAIN : SMALL, key);
}

static void touch(model_t *model, uint32_t key, uint32_t hits)
{
    model->flag[key] = model->flag[key] + hits > 3 ? 3 : model->flag[key] + hits;
}

static void leave(model_t *model, uint32_t key)
{
    cr_assert_eq(model_take(model, SMALL, key) + model_take(model, MAIN, key), 1);
}

static void remember(model_t *model, uint32_t key)
{
    uint64_t limit = model->capacity * 9 / 10;

    (void)cachefs__past_pass(model->past, model->size[key], limit / 32);
    (void)cachefs__past_limit(model->past, model->size[key], limit);
    if (model->size[key] > limit) return;
    cachefs__past_add(model->past, cachefs__mix(key), model->past->now, model->size[key]);
}

static uint32_t victim(model_t *model)
{
    int from_main = model_bytes(model, MAIN) > model->capacity - model->capacity / 10;
    uint32_t key;

    for (;;) {
        if (model->lists[SMALL].count == 0) from_main = 1;
        key = pop(model, from_main ? MAIN : SMALL);
        if (from_main && model->flag[key] == 0) return key;
        if (from_main) {
            model->flag[key]--;
        } else if (model->flag[key] >= 2) {
            model->flag[key] = 0;
        } else {
            remember(model, key);
            return key;
        }
        model_push(model, MAIN, key);
    }
}

static const model_ops_t s3fifo = {"s3fifo", start, insert, touch, leave, victim};

Test(policy_s3fifo, chooses_as_its_model)
{
    model_sweep(&s3fifo);
}

Test(policy_s3fifo, scan_passes_through_the_small_queue)
{
    enum { ENTRIES = 100 };
    policy_rig_t rig;
    uint32_t i;

    policy_rig_open(&rig, "s3fifo", ENTRIES, 0);
    for (i = 0; i < ENTRIES; i++)
        rig.ops->insert(rig.state, i, i, 4096);
    for (i = 0; i < 90; i++)
        rig.ops->touch(rig.state, i, 3);
    for (i = 0; i < 10000; i++) {
        uint32_t victim = rig.ops->victim(rig.state);

        cr_assert_geq(victim, 90, "step %u: a hot entry left", i);
        rig.ops->insert(rig.state, victim, 1000 + i, 4096);
        rig.ops->touch(rig.state, i % 90, 1);
    }
    policy_rig_close(&rig);
}
