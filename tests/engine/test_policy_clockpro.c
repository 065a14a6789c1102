/*
 * test_policy_clockpro.c - the policy "clockpro" against a model.
 */
#include <criterion/criterion.h>

#include "tests/engine/support_model.h"

/* `stamp` is the epoch in which a key came to the head, `floor` the last whose tests are over. */
enum { HOT, COLD, TESTS };
enum { USED = 1, TEST = 2 };

static void start(model_t *model)
{
    model->epoch = 256;
    model->target_bytes = model->capacity / 100 > 0 ? model->capacity / 100 : 1;
}

static void less_cold(model_t *model, uint32_t bytes)
{
    uint64_t least = model->capacity / 100 > bytes ? model->capacity / 100 : bytes;

    model->target_bytes = model->target_bytes > bytes ? model->target_bytes - bytes : 0;
    if (model->target_bytes < least) model->target_bytes = least;
}

static void more_cold(model_t *model, uint32_t bytes)
{
    model->target_bytes += bytes;
    if (model->target_bytes > model->capacity) model->target_bytes = model->capacity;
}

static void push(model_t *model, uint32_t list, uint32_t key, uint32_t flags)
{
    model->epoch_bytes += model->size[key];
    if (model->epoch_bytes > model->capacity / 32) {
        model->epoch_bytes = 0;
        model->epoch++;
    }
    model->stamp[key] = model->epoch;
    model->flag[key] = flags;
    model_push(model, list, key);
}

static uint32_t pop(model_t *model, uint32_t list)
{
    uint32_t key = model_tail(model, list);

    cr_assert(model_take(model, list, key));
    return key;
}

static void run_hot(model_t *model)
{
    uint32_t key = pop(model, HOT);
    /* an entry notes the epoch modulo 256 */
    uint64_t stamp = model->epoch - (model->epoch - model->stamp[key]) % 256;

    if (stamp > model->floor) model->floor = stamp;
    while (model->lists[TESTS].count > 0 && model->stamp[model_tail(model, TESTS)] <= model->floor)
        less_cold(model, model->size[pop(model, TESTS)]);
    push(model, model->flag[key] & USED ? HOT : COLD, key, 0);
}

static void limit_hot(model_t *model)
{
    while (model->lists[HOT].count > 0 &&
           model_bytes(model, HOT) + model->target_bytes > model->capacity)
        run_hot(model);
}

static void insert(model_t *model, uint32_t key)
{
    if (model_take(model, TESTS, key)) {
        more_cold(model, model->size[key]);
        push(model, HOT, key, 0);
        limit_hot(model);
    } else if (model_bytes(model, HOT) + model->size[key] + model->target_bytes <=
               model->capacity) {
        push(model, HOT, key, 0);
    } else {
        push(model, COLD, key, TEST);
    }
}

static void touch(model_t *model, uint32_t key, uint32_t hits)
{
    (void)hits;
    model->flag[key] |= USED;
}

static void leave(model_t *model, uint32_t key)
{
    cr_assert_eq(model_take(model, HOT, key) + model_take(model, COLD, key), 1);
}

static uint32_t victim(model_t *model)
{
    limit_hot(model);
    for (;;) {
        uint32_t key = model_tail(model, COLD);
        int tested, on_test;

        if (key == MODEL_NONE) {
            run_hot(model);
            continue;
        }
        tested = (model->flag[key] & TEST) != 0;
        on_test = tested && model->epoch - (model->epoch - model->stamp[key]) % 256 > model->floor;
        if (!(model->flag[key] & USED)) {
            if (on_test) {
                while (model->lists[TESTS].count > 0 &&
                       (model_bytes(model, TESTS) + model->size[key] > model->capacity ||
                        model->lists[TESTS].count == model->slots))
                    less_cold(model, model->size[pop(model, TESTS)]);
                model_push(model, TESTS, key);
            } else if (tested) {
                less_cold(model, model->size[key]);
            }
            leave(model, key);
            return key;
        }
        leave(model, key);
        if (!on_test) {
            push(model, COLD, key, TEST);
            continue;
        }
        more_cold(model, model->size[key]);
        push(model, HOT, key, 0);
        limit_hot(model);
    }
}

static const model_ops_t clockpro = {"clockpro", start, insert, touch, leave, victim};

Test(policy_clockpro, chooses_as_its_model)
{
    model_sweep(&clockpro);
}

Test(policy_clockpro, loop_larger_than_the_cache_hits_nearly_as_often_as_it_can)
{
    /* the optimum hits 199 of 250; LRU never */
    cr_assert_gt(model_loop_hits("clockpro", 200, 250, 40), 39 * 190);
}
