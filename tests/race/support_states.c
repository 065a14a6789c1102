/*
 * support_states.c - see support_states.h.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/race/support_race.h"
#include "tests/race/support_states.h"

static uint64_t hash_of(const states_t *x, const unsigned char *state)
{
    uint64_t h = 14695981039346656037ull;
    for (size_t i = 0; i < x->bytes; i++)
        h = (h ^ state[i]) * 1099511628211ull;
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93ull;
    return (h ^ h >> 32) | 1; /* 0 is a free slot */
}

/* 1: it is new */
static int seen_add(states_t *x, uint64_t hash)
{
    size_t at = (size_t)(hash >> 1) & x->mask;
    while (x->seen[at]) {
        if (x->seen[at] == hash) return 0;
        at = (at + 1) & x->mask;
    }
    x->seen[at] = hash;
    x->count++;
    return 1;
}

static void seen_init(states_t *x, size_t slots)
{
    x->seen = calloc(slots, sizeof(*x->seen));
    CHECK(x->seen != NULL);
    x->mask = slots - 1;
    x->count = 0;
}

void states_begin(states_t *x, size_t bytes)
{
    memset(x, 0, sizeof(*x));
    x->bytes = bytes;
    seen_init(x, 1u << 16);
}

void states_reach(states_t *x, const void *state)
{
    if (x->count * 2 >= x->mask) {
        uint64_t *old = x->seen;
        size_t slots = x->mask + 1;
        seen_init(x, slots * 2);
        for (size_t i = 0; i < slots; i++)
            if (old[i]) CHECK(seen_add(x, old[i]));
        free(old);
    }
    if (!seen_add(x, hash_of(x, state))) return;
    if (x->depth == x->room) {
        x->room = x->room ? x->room * 2 : 1024;
        x->stack = realloc(x->stack, x->room * x->bytes);
        CHECK(x->stack != NULL);
    }
    memcpy(x->stack + x->depth++ * x->bytes, state, x->bytes);
}

int states_next(states_t *x, void *state)
{
    if (!x->depth) return 0;
    memcpy(state, x->stack + --x->depth * x->bytes, x->bytes);
    return 1;
}

void states_end(states_t *x)
{
    free(x->stack);
    free(x->seen);
}
