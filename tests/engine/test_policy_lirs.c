/*
 * test_policy_lirs.c - the policy "lirs" against a model.
 */
#include <criterion/criterion.h>

#include "tests/engine/support_model.h"

/* GHOSTS are on STACK too, by when they left. A flag tells what a key on STACK or in QUEUE is. */
enum { STACK, QUEUE, GHOSTS };
enum { HIR, LIR, GONE };

static uint64_t lir_bytes(const model_t *model)
{
    uint64_t bytes = 0;
    uint32_t i;

    for (i = 0; i < model->lists[STACK].count; i++)
        if (model->flag[model->lists[STACK].keys[i]] == LIR)
            bytes += model->size[model->lists[STACK].keys[i]];
    return bytes;
}

static uint64_t limit(const model_t *model, uint32_t bytes)
{
    uint64_t queue = model->capacity / 100;

    if (queue < bytes) queue = bytes;
    return model->capacity > queue ? model->capacity - queue : 0;
}

static void prune(model_t *model)
{
    while (model->lists[STACK].count > 0 && model->flag[model_tail(model, STACK)] != LIR) {
        uint32_t key = model_tail(model, STACK);

        (void)model_take(model, STACK, key);
        (void)model_take(model, GHOSTS, key);
    }
}

static int queue_has_room(const model_t *model)
{
    return model->lists[QUEUE].count < 64 + model->slots / 16;
}

static void make_room(model_t *model, uint32_t bytes)
{
    while (lir_bytes(model) + bytes > limit(model, bytes) && model->lists[STACK].count > 0 &&
           queue_has_room(model)) {
        uint32_t key = model_tail(model, STACK);

        (void)model_take(model, STACK, key);
        model->flag[key] = HIR;
        model_push(model, QUEUE, key);
        prune(model);
    }
}

static void limit_stack(model_t *model)
{
    while (model_bytes(model, STACK) > 2 * model->capacity && model->lists[GHOSTS].count > 0) {
        uint32_t key = model_tail(model, GHOSTS);

        (void)model_take(model, GHOSTS, key);
        (void)model_take(model, STACK, key);
    }
}

static void insert(model_t *model, uint32_t key)
{
    uint32_t bytes = model->size[key];

    if (model_take(model, GHOSTS, key)) {
        (void)model_take(model, STACK, key);
        make_room(model, bytes);
        model->flag[key] = LIR;
    } else {
        model->flag[key] =
            lir_bytes(model) + bytes <= limit(model, bytes) || !queue_has_room(model) ? LIR : HIR;
    }
    model_push(model, STACK, key);
    if (model->flag[key] == HIR) model_push(model, QUEUE, key);
    prune(model);
    limit_stack(model);
}

static void touch(model_t *model, uint32_t key, uint32_t hits)
{
    int on_stack = model_take(model, STACK, key);

    (void)hits;
    if (model->flag[key] == LIR) {
        model_push(model, STACK, key);
        prune(model);
        return;
    }
    (void)model_take(model, QUEUE, key);
    if (on_stack) {
        make_room(model, model->size[key]);
        model->flag[key] = LIR;
        model_push(model, STACK, key);
        return;
    }
    model_push(model, QUEUE, key);
    make_room(model, model->size[key]);
    model_push(model, STACK, key);
    prune(model);
    limit_stack(model);
}

static void leave(model_t *model, uint32_t key)
{
    (void)model_take(model, STACK, key);
    (void)model_take(model, QUEUE, key);
    prune(model);
}

static uint32_t victim(model_t *model)
{
    uint32_t key = model_tail(model, QUEUE);

    if (key == MODEL_NONE) {
        key = model_tail(model, STACK);
        leave(model, key);
        return key;
    }
    if (!model_has(model, STACK, key)) {
        leave(model, key);
        return key;
    }
    if (model->lists[GHOSTS].count == model->slots + model->slots / 16) {
        uint32_t oldest = model_tail(model, GHOSTS);

        (void)model_take(model, GHOSTS, oldest);
        (void)model_take(model, STACK, oldest);
    }
    model->flag[key] = GONE;
    model_push(model, GHOSTS, key);
    (void)model_take(model, QUEUE, key);
    prune(model);
    return key;
}

static const model_ops_t lirs = {"lirs", NULL, insert, touch, leave, victim};

Test(policy_lirs, chooses_as_its_model)
{
    model_sweep(&lirs);
}

Test(policy_lirs, loop_larger_than_the_cache_hits_nearly_as_often_as_it_can)
{
    /* the optimum hits 199 of 250; LRU never */
    cr_assert_gt(model_loop_hits("lirs", 200, 250, 40), 39 * 190);
}
