/*
 * test_policy_clockpro.c - the policy "clockpro" against a model.
 */
#include <criterion/criterion.h>

#include "tests/engine/support_model.h"

/* `stamp` is the epoch of the past in which a key came to the head. */
enum { HOT, COLD };
enum { USED = 1, TEST = 2 };

static void start(model_t *model)
{
    model_past(model, 100);
    model->target_bytes = model->capacity / 100 > 0 ? model->capacity / 100 : 1;
}

static void less_cold(model_t *model, uint64_t bytes, uint32_t one)
{
    uint64_t least = model->capacity / 100 > one ? model->capacity / 100 : one;

    if (bytes == 0) return;
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
    less_cold(model, cachefs__past_pass(model->past, model->size[key], model->capacity / 32),
              model->size[key]);
    model->stamp[key] = model->past->now;
    model->flag[key] = flags;
    model_push(model, list, key);
}

static uint32_t pop(model_t *model, uint32_t list)
{
    uint32_t key = model_tail(model, list);

    cr_assert(model_take(model, list, key));
    return key;
}

/* An entry notes the epoch modulo 256. */
static uint32_t epoch_of(const model_t *model, uint32_t key)
{
    return (uint32_t)(model->past->now - (model->past->now - model->stamp[key]) % 256);
}

static void run_hot(model_t *model)
{
    uint32_t key = pop(model, HOT);

    less_cold(model, cachefs__past_end(model->past, epoch_of(model, key)), model->size[key]);
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
    if (cachefs__past_take(model->past, cachefs__mix(key), model->size[key])) {
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
        on_test = tested && epoch_of(model, key) > model->past->ended;
        if (!(model->flag[key] & USED)) {
            if (on_test) {
                uint32_t size = model->size[key];

                less_cold(model, cachefs__past_limit(model->past, size, model->capacity), size);
                cachefs__past_add(model->past, cachefs__mix(key), epoch_of(model, key), size);
            } else if (tested) {
                less_cold(model, model->size[key], model->size[key]);
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
