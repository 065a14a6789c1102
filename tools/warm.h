/*
 * warm.h - what the two ways of `cachefs warm` share: on an origin, and on a mount.
 * Floor 4, private to tools/.
 */
#ifndef TOOLS_WARM_H
#define TOOLS_WARM_H

#include "tools/cli.h"

/* What was done, and what the cache holds then. */
void warm_report(cli_t *cli, const warm_progress_t *result, uint64_t resident_bytes,
                 uint64_t ram_bytes);

#endif
