/*
 * turns.h - threads that take turns, and every order of that, one after the other. Floor 4, private
 * to tests/explore/.
 *
 * One thread runs at a time. It gives its turn away only where it says so (turns_point), where it
 * waits for a condition or a thread, and at its end; a schedule is the list of who went on there.
 * To go on with another thread than the one that could have gone on is a preemption, and schedules
 * have at most so many of them. The threads of the code under test (a flusher, a keeper) run, when
 * they are woken, until they wait again; their waits with a time limit end early only if nobody
 * else can go on. The program is linked with --wrap of the functions of pthread that this needs,
 * and of the clock, which stands still while scripts run.
 */
#ifndef TESTS_EXPLORE_TURNS_H
#define TESTS_EXPLORE_TURNS_H

#include <stddef.h>

/* Once, by the thread that calls all of these. */
void turns_init(void);
/* Clock and random bytes are as they were in the beginning. */
void turns_again(void);
/* Begin with the first schedule. */
void turns_first(unsigned preemptions);
/* Prepare the next one. 0: there is none. */
int turns_next(void);
/* Run the scripts by the schedule, until all have ended. `at` is called at each point, by the
 * thread that came there: its number, from 1, and whether no schedule before came to it by the same
 * way. May be called again for the same schedule. */
void turns_run(void (*const *scripts)(void), size_t n, void (*at)(unsigned point, int fresh));
/* From now on nobody is preempted, and the schedule does not count. */
void turns_calm(void);
/* Others may go on here. */
void turns_point(void);

_Noreturn void turns_fail(const char *what);

#endif
