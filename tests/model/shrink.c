/*
 * shrink.c - runs a sequence of steps on a fresh stack, and makes a failing one short. Floor 4.
 *
 * Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input",
 * 2002): leave out ever smaller parts of the sequence for as long as the rest still fails. Each try
 * is a child process, so that a crash or a hang is a failure like another.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/model/model.h"

#define TRIES_MAX 400
#define TRY_SECONDS 60
#define SHRINK_SECONDS 240

int model_run(const char *spec, const model_op_t *ops, size_t count, size_t *failed, char *why,
              size_t whylen)
{
    sut_t sut;
    model_run_t run;
    apr_pool_t *pool = NULL;
    char err[200];
    *failed = 0;
    apr_pool_create(&pool, NULL);
    if (sut_open(&sut, spec, NULL, err, sizeof err, pool) != APR_SUCCESS) {
        snprintf(why, whylen, "the stack: %s", err);
        apr_pool_destroy(pool);
        return 0;
    }
    int same = model_start(&run, &sut, "", pool) == APR_SUCCESS;
    for (; same && *failed < count; ++*failed)
        same = model_step(&run, &ops[*failed]);
    if (!same && *failed > 0) --*failed;
    same = model_close_all(&run) && same;
    same = same && model_compare(&run, sut.fs);
    if (same && sut.lower != NULL && !(sut.traits & SUT_SUB)) {
        char text[100];
        apr_status_t rv = sut_close_upper(&sut);
        if (rv != APR_SUCCESS) {
            snprintf(run.why, sizeof run.why, "the end: %s", vfs_strerror(rv, text, sizeof text));
            same = 0;
        }
        same = same && model_compare(&run, sut.lower);
    }
    snprintf(why, whylen, "%s", run.why);
    model_end(&run);
    apr_status_t rv = sut_close(&sut);
    if (same && rv != APR_SUCCESS) {
        same = 0;
        snprintf(why, whylen, "the end of the stack: status %d", (int)rv);
    }
    apr_pool_destroy(pool);
    return same;
}

/** Shared with the child. */
typedef struct outcome_t {
    size_t failed;
    char why[400];
} outcome_t;

int model_try(const char *spec, const model_op_t *ops, size_t count, size_t *failed, char *why,
              size_t whylen)
{
    int status = 0;
    outcome_t *outcome =
        mmap(NULL, sizeof *outcome, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    VFS_ASSERT(outcome != MAP_FAILED);
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        (void)alarm(TRY_SECONDS);
        int same = model_run(spec, ops, count, &outcome->failed, outcome->why, sizeof outcome->why);
        exit(same ? 0 : 1); /* through the leak check of a sanitizer */
    }
    (void)waitpid(child, &status, 0); /* a child that is gone counts as no failure */
    *failed = outcome->failed;
    if (WIFSIGNALED(status))
        snprintf(why, whylen, "signal %d%s", WTERMSIG(status),
                 WTERMSIG(status) == SIGALRM ? " (it hung)" : "");
    else
        snprintf(why, whylen, "%s",
                 outcome->why[0] != '\0' ? outcome->why : "the process ended with an error");
    (void)munmap(outcome, sizeof *outcome); /* ours, and nobody looks at it any more */
    return status == 0;
}

static int fails(const char *spec, const model_op_t *ops, size_t count)
{
    char why[400];
    size_t failed;
    int quiet = open("/dev/null", O_WRONLY), kept = dup(STDERR_FILENO);
    (void)dup2(quiet, STDERR_FILENO); /* hundreds of reports of one crash help nobody */
    int same = model_try(spec, ops, count, &failed, why, sizeof why);
    (void)dup2(kept, STDERR_FILENO);
    (void)close(quiet);
    (void)close(kept);
    return !same;
}

static size_t without(model_op_t *to, const model_op_t *from, size_t count, size_t start,
                      size_t len)
{
    size_t end = start + len < count ? start + len : count;
    memcpy(to, from, start * sizeof *to);
    memcpy(to + start, from + end, (count - end) * sizeof *to);
    return count - (end - start);
}

void model_shrink(const char *spec, const model_op_t *ops, size_t count)
{
    model_op_t *best = malloc((count + 1) * sizeof *best),
               *next = malloc((count + 1) * sizeof *next);
    apr_time_t until = apr_time_now() + apr_time_from_sec(SHRINK_SECONDS);
    size_t len = count, part = (count + 1) / 2;
    int tries = 0;
    memcpy(best, ops, count * sizeof *best);
    if (!fails(spec, best, len)) {
        printf("  it does not fail again: it depends on timing, so it is not shrunk\n");
        part = 0;
    }
    while (part > 0 && tries < TRIES_MAX && apr_time_now() < until) {
        int shorter = 0;
        for (size_t at = 0; at < len && tries < TRIES_MAX && apr_time_now() < until;) {
            size_t rest = without(next, best, len, at, part);
            tries++;
            if (fails(spec, next, rest)) {
                memcpy(best, next, rest * sizeof *best);
                len = rest;
                shorter = 1;
            } else {
                at += part;
            }
        }
        part = part == 1 && !shorter ? 0 : part > 1 ? part / 2 : 1;
    }
    printf("  %zu of %zu steps are left after %d tries; replay them with --replay FILE %s:\n", len,
           count, tries, spec);
    for (size_t i = 0; i < len && i < 200; i++) {
        char line[256];
        model_print(&best[i], line, sizeof line);
        printf("%s\n", line);
    }
    free(best);
    free(next);
}
