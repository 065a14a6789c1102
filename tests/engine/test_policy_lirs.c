/*
 * test_policy_lirs.c - the policy "lirs" against a model.
 */
#include <criterion/criterion.h>

#include "tests/engine/support_model.h"

/* LIR by recency. `stamp` is the epoch of the past in which a key was used last, 0 if it is not on
 * the stack. */
enum { LIR, QUEUE };
static int used[MODEL_KEYS]; /* LIR: again, since it came in */

static void start(model_t *model)
{
    model_past(model, 100);
}

/* An entry notes the epoch modulo 512. */
static uint32_t epoch_of(const model_t *model, uint32_t key)
{
    return (uint32_t)(model->past->now - (model->past->now - model->stamp[key]) % 512);
}

static uint64_t limit(const model_t *model, uint32_t bytes)
{
    uint64_t queue = model->capacity / 100;

    if (queue < bytes) queue = bytes;
    return model->capacity > queue ? model->capacity - queue : 0;
}

static void push(model_t *model, uint32_t list, uint32_t key)
{
    model->stamp[key] = model->past->now;
    model_push(model, list, key);
}

static void prune(model_t *model)
{
    uint32_t bottom = model_tail(model, LIR);

    (void)cachefs__past_end(model->past,
                            bottom != MODEL_NONE ? epoch_of(model, bottom) : model->past->now);
}

static void make_room(model_t *model, uint32_t bytes)
{
    while (model->lists[LIR].count > 0 && model_bytes(model, LIR) + bytes > limit(model, bytes)) {
        uint32_t key = model_tail(model, LIR);

        (void)model_take(model, LIR, key);
        model_push(model, QUEUE, key);
        model->stamp[key] = 0;
        prune(model);
    }
}

static int on_stack(const model_t *model, uint32_t key)
{
    return model->stamp[key] != 0 && epoch_of(model, key) > model->past->ended;
}

static void insert(model_t *model, uint32_t key)
{
    uint32_t bytes = model->size[key];
    int known = cachefs__past_take(model->past, cachefs__mix(key), bytes);
    uint64_t stack = 2 * model->capacity;

    (void)cachefs__past_pass(model->past, bytes, model->capacity / 32);
    if (known) make_room(model, bytes);
    used[key] = known;
    if (known || model_bytes(model, LIR) + bytes <= limit(model, bytes))
        push(model, LIR, key);
    else
        push(model, QUEUE, key);
    (void)cachefs__past_limit(model->past, 0, stack > model->bytes ? stack - model->bytes : 0);
}

static void touch(model_t *model, uint32_t key, uint32_t hits)
{
    (void)hits;
    used[key] = 1;
    if (model_take(model, LIR, key)) {
        push(model, LIR, key);
        prune(model);
        return;
    }
    cr_assert(model_take(model, QUEUE, key));
    if (on_stack(model, key)) {
        make_room(model, model->size[key]);
        push(model, LIR, key);
    } else {
        push(model, QUEUE, key);
        make_room(model, model->size[key]);
    }
}

static void leave(model_t *model, uint32_t key)
{
    if (model_take(model, LIR, key))
        prune(model);
    else
        cr_assert(model_take(model, QUEUE, key));
}

/* All are LIR: who was never used again leaves first. */
static uint32_t last(model_t *model)
{
    uint32_t key = model_tail(model, LIR);

    for (; used[key]; key = model_tail(model, LIR)) {
        (void)model_take(model, LIR, key);
        push(model, LIR, key);
        used[key] = 0;
    }
    return key;
}

static uint32_t victim(model_t *model)
{
    uint32_t key = model_tail(model, QUEUE);

    if (key == MODEL_NONE)
        key = last(model);
    else if (on_stack(model, key))
        cachefs__past_add(model->past, cachefs__mix(key), epoch_of(model, key), model->size[key]);
    leave(model, key);
    return key;
}

static const model_ops_t lirs = {"lirs", start, insert, touch, leave, victim};

Test(policy_lirs, chooses_as_its_model)
{
    model_sweep(&lirs);
}

Test(policy_lirs, loop_larger_than_the_cache_hits_nearly_as_often_as_it_can)
{
    /* the optimum hits 199 of 250; LRU never */
    cr_assert_gt(model_loop_hits("lirs", 200, 250, 40), 39 * 190);
}
