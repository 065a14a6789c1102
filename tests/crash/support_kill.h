/*
 * support_kill.h - a process that writes and syncs, and is killed; what it was told to be durable
 * is noted by another one.
 */
#ifndef TESTS_CRASH_SUPPORT_KILL_H
#define TESTS_CRASH_SUPPORT_KILL_H

/* So many times, each on what the one before left. Nothing acknowledged is missing. */
void kill_often(unsigned times, unsigned seed);

#endif
