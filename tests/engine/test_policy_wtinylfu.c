/*
 * test_policy_wtinylfu.c - the policy "wtinylfu" against a model, which has the sketch of the
 * library but plain lists.
 */
#include <apr_general.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "cachefs/policy/sketch.h"
#include "tests/engine/support_model.h"

enum { WINDOW, PROBATION, PROTECTED };

typedef struct more_t {
    cachefs__sketch_t sketch;
    double step, last;
    uint64_t hits, misses;
} more_t;

static apr_pool_t *pool;

static void start(model_t *model)
{
    more_t *more = calloc(1, sizeof(*more));

    cr_assert_not_null(more);
    cr_assert_eq(cachefs__sketch_create(&policy_uncounted, &more->sketch, model->slots, pool),
                 APR_SUCCESS);
    more->step = 0.0625;
    more->last = -1;
    model->target = 0.01;
    model->more = more;
}

static uint64_t window_limit(const model_t *model)
{
    return (uint64_t)((double)model->capacity * model->target);
}

static uint32_t seen(const model_t *model, uint32_t key)
{
    return cachefs__sketch_seen(&((more_t *)model->more)->sketch, cachefs__mix(key));
}

static void move(model_t *model, uint32_t from, uint32_t to, uint32_t key)
{
    cr_assert(model_take(model, from, key));
    model_push(model, to, key);
}

static void climb(model_t *model)
{
    more_t *more = model->more;
    double ratio = (double)more->hits / (double)(more->hits + more->misses);
    double change = more->last < 0 ? 0 : ratio - more->last;
    double size = fabs(change) > 0.05 ? 0.0625 : fabs(more->step) * 0.98;

    if (change < 0)
        more->step = more->step < 0 ? size : -size;
    else
        more->step = more->step < 0 ? -size : size;
    model->target = fmin(0.8, fmax(0.01, model->target + more->step));
    more->last = ratio;
    more->hits = more->misses = 0;
}

static void insert(model_t *model, uint32_t key)
{
    more_t *more = model->more;

    model_push(model, WINDOW, key);
    cachefs__sketch_see(&more->sketch, cachefs__mix(key), model->count);
    more->misses++;
    while (model_bytes(model, WINDOW) > window_limit(model) && model->lists[WINDOW].count > 1)
        move(model, WINDOW, PROBATION, model_tail(model, WINDOW));
    if (more->hits + more->misses >= 10ull * model->count) climb(model);
}

static void touch(model_t *model, uint32_t key, uint32_t hits)
{
    more_t *more = model->more;
    uint32_t from = model_has(model, WINDOW, key)      ? WINDOW
                    : model_has(model, PROBATION, key) ? PROBATION
                                                       : PROTECTED;

    cachefs__sketch_see(&more->sketch, cachefs__mix(key), model->count);
    more->hits += hits;
    move(model, from, from == WINDOW ? WINDOW : PROTECTED, key);
    while (model_bytes(model, PROTECTED) > (model->capacity - window_limit(model)) / 5 * 4 &&
           model_tail(model, PROTECTED) != key)
        move(model, PROTECTED, PROBATION, model_tail(model, PROTECTED));
}

static void leave(model_t *model, uint32_t key)
{
    cr_assert_eq(model_take(model, WINDOW, key) + model_take(model, PROBATION, key) +
                     model_take(model, PROTECTED, key),
                 1);
}

static uint32_t victim(model_t *model)
{
    uint32_t candidate = model_tail(model, WINDOW), rival = model_tail(model, PROBATION);
    uint32_t loser = candidate;

    if (rival == MODEL_NONE) rival = model_tail(model, PROTECTED);
    if (candidate == MODEL_NONE ||
        (rival != MODEL_NONE && model_bytes(model, WINDOW) < window_limit(model))) {
        loser = rival;
    } else if (rival != MODEL_NONE && seen(model, candidate) > seen(model, rival)) {
        move(model, WINDOW, PROBATION, candidate);
        loser = rival;
    }
    leave(model, loser);
    return loser;
}

static const model_ops_t wtinylfu = {"wtinylfu", start, insert, touch, leave, victim};

Test(policy_wtinylfu, chooses_as_its_model)
{
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
    model_sweep(&wtinylfu);
    apr_pool_destroy(pool);
    apr_terminate();
}
