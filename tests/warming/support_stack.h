/*
 * support_stack.h - memory, a delay, faults, a counter and a cache on top: what the tests of jobs
 * warm.
 */
#ifndef TESTS_WARMING_SUPPORT_STACK_H
#define TESTS_WARMING_SUPPORT_STACK_H

#include "tests/warming/support_warming.h"
#include "vfs/shims/shims.h"
#include "warming/internal.h"

typedef struct warm_stack_t {
    vfs_t *mem, *fault, *delay, *count, *cache;
} warm_stack_t;

/* config NULL: the usual one, with an hour's TTLs. */
void stack_open(warm_stack_t *stack, const cachefs_config_t *config);
void stack_close(warm_stack_t *stack);
/* A new, empty cache on the same layers; counters are 0 again. */
void stack_new_cache(warm_stack_t *stack, const cachefs_config_t *config);
void stack_delay(warm_stack_t *stack, uint64_t rtt_us, uint64_t bytes_per_second);
/* Wait until `count` calls met a fault: of those that block it is known then that they stand still.
 */
void stack_wait_injected(warm_stack_t *stack, uint64_t count);
/* `count` files "/DIR/f00000" of `size` bytes. */
void stack_files(warm_stack_t *stack, const char *dir, size_t count, size_t size);
uint64_t stack_calls(warm_stack_t *stack, vfs_opid_e op);
uint64_t stack_requests(warm_stack_t *stack);
/* What the cache holds of a file. */
cachefs_entry_t stack_entry(warm_stack_t *stack, const char *path);
int stack_is_warm(warm_stack_t *stack, const char *path);

warm_plan_t *stack_plan(const char *const *paths, size_t count);
/* The files of stack_files. */
warm_plan_t *stack_plan_files(const char *dir, size_t count);

#endif
