/*
 * test_policy_arc.c - the policy "arc" against a model.
 */
#include <criterion/criterion.h>

#include "tests/engine/support_model.h"

enum { T1, T2, B1, B2 };

static void drop_tail(model_t *model, uint32_t list)
{
    cr_assert(model_take(model, list, model_tail(model, list)));
}

static double ratio(const model_t *model, uint32_t other, uint32_t own)
{
    uint64_t a = model_bytes(model, other), b = model_bytes(model, own);

    return a > b ? (double)a / (double)b : 1.0;
}

static void insert(model_t *model, uint32_t key)
{
    double c = (double)model->capacity;

    if (model_has(model, B1, key)) {
        model->target += model->size[key] * ratio(model, B2, B1);
        if (model->target > c) model->target = c;
        (void)model_take(model, B1, key);
        model_push(model, T2, key);
    } else if (model_has(model, B2, key)) {
        model->target -= model->size[key] * ratio(model, B1, B2);
        if (model->target < 0) model->target = 0;
        (void)model_take(model, B2, key);
        model_push(model, T2, key);
    } else {
        model_push(model, T1, key);
        while (model->lists[B1].count > 0 &&
               model_bytes(model, T1) + model_bytes(model, B1) > model->capacity)
            drop_tail(model, B1);
        while (model->lists[B2].count > 0 &&
               model->bytes + model_bytes(model, B1) + model_bytes(model, B2) > 2 * model->capacity)
            drop_tail(model, B2);
    }
}

static void leave(model_t *model, uint32_t key)
{
    cr_assert_eq(model_take(model, T1, key) + model_take(model, T2, key), 1);
}

static void touch(model_t *model, uint32_t key, uint32_t hits)
{
    (void)hits;
    leave(model, key);
    model_push(model, T2, key);
}

static uint32_t victim(model_t *model)
{
    int second = model->lists[T1].count == 0 ||
                 (model->lists[T2].count > 0 && (double)model_bytes(model, T1) <= model->target);
    uint32_t key = model_tail(model, second ? T2 : T1);

    (void)(model_take(model, B1, key) || model_take(model, B2, key));
    while (model->lists[B1].count + model->lists[B2].count >= model->slots + 2)
        drop_tail(model, model->lists[B1].count > model->lists[B2].count ? B1 : B2);
    leave(model, key);
    model_push(model, second ? B2 : B1, key);
    return key;
}

static const model_ops_t arc = {"arc", NULL, insert, touch, leave, victim};

Test(policy_arc, chooses_as_its_model)
{
    model_sweep(&arc);
}
