/*
 * support_programs.h - programs that many use, at work on a mount: each checks its own work. For
 * the tests of the mount.
 */
#ifndef TESTS_MOUNT_SUPPORT_PROGRAMS_H
#define TESTS_MOUNT_SUPPORT_PROGRAMS_H

#include "tests/mount/support_rig.h"

/** Commits, a clone, checks, packing. */
void programs_git(rig_t *rig);
/** Two processes write to one data base, with each kind of journal. */
void programs_sqlite(rig_t *rig);
/** make, twice. */
void programs_make(rig_t *rig);
#define PROGRAMS_MODES 0x1u /**< modes and owners are kept */
#define PROGRAMS_LINKS 0x2u /**< a file can have two names */
/** rsync -c, tar, cp, mv and diff over a copy of the tree `from`. */
void programs_copy(rig_t *rig, const char *from, unsigned kept);

#endif
