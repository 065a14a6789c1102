/*
 * support_keeper.h - what a test of the mount leaves behind is taken away, however the test ends.
 * For the tests of the mount.
 */
#ifndef TESTS_MOUNT_SUPPORT_KEEPER_H
#define TESTS_MOUNT_SUPPORT_KEEPER_H

/* From now on a process of its own waits for the end of this one, be it a crash. Then it kills who
 * has `dir` in his command line or environment, takes away what is mounted below it, and removes
 * it. `dir` must be a directory that only this test knows. 0: there is no such process. */
int keeper_start(const char *dir);

#endif
