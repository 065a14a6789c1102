/*
 * support_lockstep.h - random steps on a mount and beside it (lockstep.h), for the tests of the
 * mount.
 */
#ifndef TESTS_MOUNT_SUPPORT_LOCKSTEP_H
#define TESTS_MOUNT_SUPPORT_LOCKSTEP_H

/* So many steps on a fresh mount of a directory; then that directory must be what the other is. */
void lockstep_on_mount(const char *args, unsigned long seed, unsigned long ops);

#endif
