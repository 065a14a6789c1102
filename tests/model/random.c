/*
 * random.c - see random.h. Floor 4.
 */
#include "tests/model/random.h"

uint64_t model_random(model_rng_t *rng, uint64_t below)
{
    uint64_t z = (rng->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % below;
}

void model_bytes(void *buf, size_t len, uint64_t seed)
{
    unsigned char *p = buf;
    uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;
    size_t each = seed & 1 ? 8 : 32; /* what repeats can be packed */
    for (size_t i = 0; i < len; i++) {
        if (i % each == 0) x = x * 6364136223846793005u + 1442695040888963407u;
        p[i] = (unsigned char)(x >> (i % 8 * 8));
    }
}

uint64_t model_random_off(model_rng_t *rng)
{
    static const uint64_t edges[] = {0,     1024,  4096,   8192,   16384,  32768,
                                     65536, 81920, 131072, 196608, 262144, 266240};
    switch (model_random(rng, 4)) {
    case 0:
        return model_random(rng, 200);
    case 1:
        return model_random(rng, 270000);
    default:
        break;
    }
    uint64_t edge = edges[model_random(rng, sizeof edges / sizeof edges[0])];
    uint64_t near = model_random(rng, 5);
    return edge + near < 2 ? 0 : edge + near - 2;
}

uint64_t model_random_len(model_rng_t *rng)
{
    switch (model_random(rng, 6)) {
    case 0:
        return 4096;
    case 1:
        return 1 + model_random(rng, 45000);
    case 2:
        return 1 + model_random(rng, 9000);
    default:
        return 1 + model_random(rng, 300);
    }
}
