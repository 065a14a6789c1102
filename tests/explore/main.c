/*
 * main.c - explore --preemptions N: the life of a block over the real engine, journal and recovery.
 * Two write to one file and sync it, one flushes, retires and evicts, and power is lost once. Every
 * order in which their calls to the store and the lower layer, and what lies between, can follow
 * each other with at most so many preemptions; in each, a loss at every point, in seven ways.
 * explore --mutants N: the same with one thing taken away at a time, and each must go wrong.
 * Floor 4. docs/invariants.md has the states.
 *
 * Two points at which the disks have been told the same, in the same order each, and the same is
 * acknowledged, leave the same to a recovery: only the first of them is looked at.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>

#include "tests/explore/turns.h"
#include "tests/explore/world.h"

static const char *const names[MUTANTS] = {
    "nothing",
    "syncs of the store do nothing",
    "syncs of the lower layer do nothing",
    "bytes go below before their records are durable",
    "it is not noted that the file below is about to change",
    "what was written during a flush is clean after it",
    "a write has no record",
};

#define SLOTS (1u << 20)
static uint64_t met[SLOTS];
static unsigned states, losses, schedules;
static unsigned todo[4096], ntodo;

static void seen(unsigned point, uint64_t state)
{
    uint64_t key = state | 1;
    size_t at = (size_t)(key >> 1) & (SLOTS - 1);
    for (; met[at]; at = (at + 1) & (SLOTS - 1))
        if (met[at] == key) return;
    if (++states > SLOTS / 2 || ntodo == sizeof(todo) / sizeof(todo[0]))
        turns_fail("too many states");
    met[at] = key;
    todo[ntodo++] = point;
}

/* All lives of the schedule. 1: one went wrong. */
static int lives(void)
{
    ntodo = 0;
    schedules++;
    const char *what = world_life((loss_t){0, 0}, seen);
    if (what) printf("  schedule %u: %s\n", schedules, what);
    for (unsigned i = 0; i < ntodo && !what; i++)
        for (unsigned way = 0; way < WAYS && !what; way++) {
            losses++;
            what = world_life((loss_t){todo[i], way}, NULL);
            if (what)
                printf("  schedule %u, power lost at point %u in way %u: %s\n", schedules, todo[i],
                       way, what);
        }
    return what != NULL;
}

static int explore(unsigned preemptions)
{
    int wrong;
    memset(met, 0, sizeof(met));
    states = losses = schedules = 0;
    turns_first(preemptions);
    do {
        wrong = lives();
    } while (!wrong && turns_next());
    printf("without %s: %u schedules, %u states, %u losses: %s\n", names[mutant], schedules, states,
           losses, wrong ? "wrong" : "right");
    (void)fflush(stdout);
    return wrong;
}

/* In a process of its own: an assertion may be what finds it. */
static int is_missed(mutant_e m, unsigned preemptions)
{
    int status = 0;
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        mutant = m;
        exit(explore(preemptions));
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid) turns_fail("no process");
    return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Each of them must be missed. */
static int mutants(unsigned preemptions)
{
    int wrong = 0;
    for (unsigned m = NOTHING + 1; m < MUTANTS; m++)
        if (!is_missed((mutant_e)m, preemptions)) {
            printf("FAIL nobody misses it: %s\n", names[m]);
            wrong = 1;
        }
    return wrong;
}

int main(int argc, char **argv)
{
    if (argc != 3 || (strcmp(argv[1], "--preemptions") != 0 && strcmp(argv[1], "--mutants") != 0)) {
        fprintf(stderr, "usage: explore --preemptions N | explore --mutants N\n");
        return 2;
    }
    unsigned preemptions = (unsigned)strtoul(argv[2], NULL, 10);
    /* thousands of lives: memory goes from one to the next */
    (void)mallopt(M_MMAP_THRESHOLD, 64 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 512 << 20);
    if (apr_initialize()) return 2;
    turns_init();
    return strcmp(argv[1], "--mutants") == 0 ? mutants(preemptions) : explore(preemptions);
}
