/*
 * fuzz.h - what a fuzz target is made of: the entry of libFuzzer, seeds, and checks that end the
 * process. Floor 4. A target checks properties of what the parser answered, not only that it
 * answered.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_pools.h>

/** The entry, as libFuzzer calls it. Always answers 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** Inputs to begin with, and pieces worth inserting; NULL ends each. Every target has its own. */
extern const char *const fuzz_seeds[];
extern const char *const fuzz_pieces[];

/** A property that must hold for every input. */
#define FUZZ_CHECK(cond)                                                                           \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #cond);              \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/** The input as a string: its bytes before the first NUL, in memory of just that size. Free it. */
char *fuzz_text(const uint8_t *data, size_t size);
/** A pool that is emptied by each call. */
apr_pool_t *fuzz_pool(void);
/** The input as a file: its name, valid until the next call. */
const char *fuzz_file(const uint8_t *data, size_t size);
/** Is it a normal absolute path, looked at naively? */
int fuzz_is_normal(const char *path);

#endif
