/*
 * support_rig.h - a mount for one test: started by the program itself, used by shell scripts, taken
 * away at the end, whatever happens. For the tests of the mount.
 */
#ifndef TESTS_MOUNT_SUPPORT_RIG_H
#define TESTS_MOUNT_SUPPORT_RIG_H

#include <stddef.h>
#include <sys/types.h>

/* A directory of its own with "origin", "mnt" and "tmp" in it. */
typedef struct rig_t {
    char dir[64];
    char origin[80]; /* the directory behind file:// */
    char mnt[80];
    pid_t pid; /* of the program that serves it, in front; 0: none */
} rig_t;

/* Make the directories. Fails the test where there is no /dev/fuse, with the reason. */
void rig_make(rig_t *rig);
/* Mount `origin` ("mem:", or "file:", which is the rig's directory) with more arguments, divided by
 * spaces, or NULL; returns when it answers. */
void rig_mount(rig_t *rig, const char *origin, const char *args);
/* `cachefs unmount`; the program must end with 0. */
void rig_unmount(rig_t *rig);
/* Unmount if need be, and remove all. */
void rig_end(rig_t *rig);

/* Run a script by sh, with the mount as its directory, and these variables: M the mount, O the
 * origin's directory, T a directory for files that lie in neither, CACHEFS the program. It
 * may call `serve` and `no` (support_rig.c). It must end with 0 within five minutes; else the test
 * fails, with what it wrote. */
void rig_sh(const rig_t *rig, const char *script);
/* The same, in the rig's directory: `mnt` may be busy, or gone. */
void rig_sh_beside(const rig_t *rig, const char *script);

/* Run `body` on a fresh mount of each origin and in each write mode. */
void rig_everywhere(void (*body)(rig_t *rig));

#endif
