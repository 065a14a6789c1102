/*
 * support_model.h - policies with ghosts against slow models of them: lists are plain arrays of
 * keys, sizes come from a table, everything is searched from one end to the other.
 */
#ifndef TESTS_ENGINE_SUPPORT_MODEL_H
#define TESTS_ENGINE_SUPPORT_MODEL_H

#include "cachefs/policy/past.h"
#include "tests/engine/support_policy.h"

#define MODEL_KEYS 1000u
#define MODEL_NONE UINT32_MAX
#define MODEL_LISTS 5u

/* The head, the youngest, is at 0. */
typedef struct model_list_t {
    uint32_t keys[MODEL_KEYS];
    uint32_t count;
} model_list_t;

typedef struct model_t {
    model_list_t lists[MODEL_LISTS]; /* what they are is the model's */
    uint32_t size[MODEL_KEYS];
    uint32_t flag[MODEL_KEYS];
    uint64_t stamp[MODEL_KEYS];
    uint32_t count;    /* resident */
    uint64_t bytes;    /* resident */
    uint64_t capacity; /* as held.h says */
    uint32_t slots;    /* of ghosts, that the instance has */
    uint32_t expected; /* as held.h says */
    double target;
    uint64_t target_bytes, floor;
    void *more;
    apr_pool_t *pool;
    cachefs__past_t *past; /* ghosts in epochs, which have a test of their own; NULL: in a list */
} model_t;

typedef struct model_ops_t {
    const char *name;
    void (*start)(model_t *model);                /* may be NULL */
    void (*insert)(model_t *model, uint32_t key); /* counted already */
    void (*touch)(model_t *model, uint32_t key, uint32_t hits);
    void (*remove)(model_t *model, uint32_t key); /* still counted */
    uint32_t (*victim)(model_t *model);           /* takes it off its lists; still counted */
} model_ops_t;

void model_push(model_t *model, uint32_t list, uint32_t key);
/* Take a key off a list. Was it there? */
int model_take(model_t *model, uint32_t list, uint32_t key);
int model_has(const model_t *model, uint32_t list, uint32_t key);
uint32_t model_tail(const model_t *model, uint32_t list); /* MODEL_NONE: empty */
uint64_t model_bytes(const model_t *model, uint32_t list);
/* A past as the instance has it, for so many per cent of what it may hold. */
void model_past(model_t *model, uint32_t percent);

/* A cache of at most `entries` entries and so many bytes over random traces; with `sizes`, of
 * objects of 1 to 32 bytes. Every victim must be the same. */
void model_compare(const model_ops_t *ops, uint32_t entries, int sizes, uint64_t seed,
                   unsigned steps);
/* The same over small and larger caches, with and without sizes. */
void model_sweep(const model_ops_t *ops);
/* How often a loop over `loop` keys, that many times, hits in a cache of so many entries. */
uint32_t model_loop_hits(const char *name, uint32_t entries, uint32_t loop, uint32_t rounds);

#endif
