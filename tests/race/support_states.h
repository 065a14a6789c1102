/*
 * support_states.h - a search through all states that can be reached: those still to be looked at,
 * and which were met already. Floor 4, private to tests/race/.
 */
#ifndef TESTS_RACE_SUPPORT_STATES_H
#define TESTS_RACE_SUPPORT_STATES_H

#include <stddef.h>
#include <stdint.h>

/* States are equal if their bytes are; of those that were met only hashes are kept. */
typedef struct states_t {
    size_t bytes; /* of a state */
    unsigned char *stack;
    size_t depth, room;
    uint64_t *seen;
    size_t count, mask;
} states_t;

void states_begin(states_t *x, size_t bytes);
/* The state can be reached. */
void states_reach(states_t *x, const void *state);
/* The next one to look at; 0: there is none. */
int states_next(states_t *x, void *state);
void states_end(states_t *x);

#endif
