/*
 * support_registry.h - a pool, a registry and text at hand for the tests of metrics/.
 */
#ifndef TESTS_METRICS_SUPPORT_REGISTRY_H
#define TESTS_METRICS_SUPPORT_REGISTRY_H

#include <apr_pools.h>

#include "metrics/metrics.h"

extern apr_pool_t *pool;
extern metrics_registry_t *registry;

/* Around each test: pool and registry. */
void registry_setup(void);
void registry_teardown(void);
/* The registry as it is now, as text. */
const char *exported(metrics_format_e format);
/* How often `part` is in `text`. */
unsigned occurrences(const char *text, const char *part);
/* Feeds text to a command. Returns its exit status, or -1 if it did not run. Its output goes to
 * `out`. */
int filter(const char *const *argv, const char *text, char *out, size_t size);
/* Is the program in PATH? */
int have_program(const char *name);

#endif
