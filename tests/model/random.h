/*
 * random.h - random numbers, and the offsets and lengths that find mistakes: at the edges of blocks
 * and pages. Floor 4; shared by the generators of random steps.
 */
#ifndef TESTS_MODEL_RANDOM_H
#define TESTS_MODEL_RANDOM_H

#include <stddef.h>
#include <stdint.h>

typedef struct model_rng_t {
    uint64_t state;
} model_rng_t;
uint64_t model_random(model_rng_t *rng, uint64_t below);
/** Bytes that nobody else has. */
void model_bytes(void *buf, size_t len, uint64_t seed);
/** Below 270,000. */
uint64_t model_random_off(model_rng_t *rng);
/** From 1 to 45,000. */
uint64_t model_random_len(model_rng_t *rng);

#endif
