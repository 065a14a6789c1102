/*
 * support_lockstep.h - random steps on a mount and beside it (lockstep.h), for the tests of the
 * mount.
 */
#ifndef TESTS_MOUNT_SUPPORT_LOCKSTEP_H
#define TESTS_MOUNT_SUPPORT_LOCKSTEP_H

#include "tests/mount/support_remote.h"

/* So many steps on a fresh mount of a directory; then that directory must be what the other is. */
void lockstep_on_mount(const char *args, unsigned long seed, unsigned long ops);

/* The same where not all of it is there: what is lacking is left out. Then a mount that is new has
 * to show what the other directory has. */
void lockstep_on_remote(rig_t *rig, const remote_t *remote, const char *args, unsigned long seed,
                        unsigned long ops);

#endif
