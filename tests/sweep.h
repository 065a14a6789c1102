/*
 * sweep.h - how far a sweep over every byte, length or operation steps: 1, but where one step costs
 * fifty times as much (valgrind), and the suite says so.
 */
#ifndef CACHEFS_TESTS_SWEEP_H
#define CACHEFS_TESTS_SWEEP_H

#include <stdlib.h>

static inline unsigned sweep_step(void)
{
    const char *text = getenv("CACHEFS_SWEEP");
    unsigned long step = text == NULL ? 1 : strtoul(text, NULL, 10);
    return step == 0 ? 1 : (unsigned)step;
}

#endif
