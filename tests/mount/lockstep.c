/*
 * lockstep.c - lockstep MOUNTED PLAIN [--seed N] [--ops N] [--replay FILE] [--lacks WORD,...]:
 * random steps in two directories at once; lockstep --compare A B: are two trees the same? As root.
 * Floor 4.
 *
 * Sequences of steps, each in fresh directories. One whose answers differ is made shorter for as
 * long as they still do (as tests/model/shrink.c does it), and printed.
 */
#include "tests/mount/lockstep.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SEQUENCE 2500u
#define COMPARE_EVERY 500u
#define TRIES_MAX 300

typedef struct pair_t {
    side_t mounted, plain;
    unsigned turns; /* sequences so far: each has directories of its own */
    int direct;     /* O_DIRECT is there */
    char why[600];
} pair_t;

/* ---- one sequence */

static int begin_side(side_t *side, unsigned turn)
{
    (void)snprintf(side->base, sizeof(side->base), "%s/%u", side->root, turn);
    for (unsigned i = 0; i < LOCKSTEP_SLOTS; i++)
        side->fd[i] = -1;
    if (mkdir(side->base, 0777) == 0 &&
        (lockstep_lacks_it(LACKS_modes) || chmod(side->base, 0777) == 0))
        return 1;
    (void)fprintf(stderr, "%s: %s\n", side->base, strerror(errno));
    return 0;
}

static int end_slots(pair_t *pair)
{
    int same = 1;
    for (unsigned i = 0; i < LOCKSTEP_SLOTS; i++) {
        step_t step = {.kind = LOCKSTEP_close, .slot = i};
        if (!lockstep_apply(&pair->mounted, &step) || !lockstep_apply(&pair->plain, &step))
            continue;
        same = same && lockstep_same_outcome(&pair->mounted.outcome, &pair->plain.outcome,
                                             pair->why, sizeof(pair->why));
    }
    return same;
}

static int do_step(pair_t *pair, const step_t *step)
{
    int one = lockstep_apply(&pair->mounted, step), other = lockstep_apply(&pair->plain, step);
    if (!one && !other) return 1;
    return lockstep_same_outcome(&pair->mounted.outcome, &pair->plain.outcome, pair->why,
                                 sizeof(pair->why));
}

static int same_trees(pair_t *pair)
{
    return lockstep_same_tree(pair->mounted.base, pair->plain.base, pair->why, sizeof(pair->why));
}

/* 1: no difference. Else `failed` is the step, or `count` for the end. */
static int run_steps(pair_t *pair, const step_t *steps, size_t count, size_t *failed)
{
    int same = 1;
    unsigned turn = pair->turns++;
    *failed = 0;
    if (!begin_side(&pair->mounted, turn) || !begin_side(&pair->plain, turn)) exit(2);
    for (size_t i = 0; same && i < count; i++) {
        same = do_step(pair, &steps[i]);
        if (same && i % COMPARE_EVERY == COMPARE_EVERY - 1) same = same_trees(pair);
        *failed = same ? i + 1 : i;
    }
    if (!same) {
        char kept[sizeof(pair->why)];
        memcpy(kept, pair->why, sizeof(kept));
        (void)end_slots(pair); /* they are known to differ */
        memcpy(pair->why, kept, sizeof(kept));
        return 0;
    }
    return end_slots(pair) && same_trees(pair);
}

/* ---- a short one that still fails */

static size_t without(step_t *to, const step_t *from, size_t count, size_t start, size_t len)
{
    size_t end = start + len < count ? start + len : count;
    memcpy(to, from, start * sizeof(*to));
    memcpy(to + start, from + end, (count - end) * sizeof(*to));
    return count - (end - start);
}

static size_t shrink(pair_t *pair, step_t *best, size_t count)
{
    step_t *next = malloc((count + 1) * sizeof(*next));
    size_t failed = 0, len = count, part = (count + 1) / 2;
    int tries = 0;
    while (next != NULL && part > 0 && tries < TRIES_MAX) {
        int shorter = 0;
        for (size_t at = 0; at < len && tries < TRIES_MAX; tries++) {
            size_t rest = without(next, best, len, at, part);
            if (run_steps(pair, next, rest, &failed)) {
                at += part;
                continue;
            }
            len = failed + 1 < rest ? failed + 1 : rest;
            memcpy(best, next, len * sizeof(*best));
            shorter = 1;
        }
        part = part == 1 && !shorter ? 0 : part > 1 ? part / 2 : 1;
    }
    free(next);
    return len;
}

static void report(pair_t *pair, step_t *steps, size_t count, size_t failed)
{
    char line[256];
    size_t again = 0, len = failed + 1 < count ? failed + 1 : count;
    (void)printf("step %zu differs: %s\n", failed, pair->why);
    if (failed < count) {
        lockstep_print(&steps[failed], line, sizeof(line));
        (void)printf("  %s\n", line);
    }
    if (run_steps(pair, steps, len, &again)) {
        (void)printf("it does not differ again: it depends on timing, so it is not made shorter\n");
        return;
    }
    len = shrink(pair, steps, len);
    (void)run_steps(pair, steps, len, &again); /* for its reason */
    (void)printf("%zu steps are left, for --replay FILE; %s\n", len, pair->why);
    for (size_t i = 0; i < len; i++) {
        lockstep_print(&steps[i], line, sizeof(line));
        (void)printf("%s\n", line);
    }
}

/* ---- runs */

static int run_random(pair_t *pair, uint64_t seed, uint64_t ops)
{
    step_t *steps = malloc(SEQUENCE * sizeof(*steps));
    size_t failed = 0;
    if (steps == NULL) return 2;
    for (uint64_t done = 0; done < ops; done += SEQUENCE, seed++) {
        model_rng_t rng = {seed};
        (void)printf("seed %" PRIu64 "\n", seed);
        (void)fflush(stdout); /* it is known if this dies */
        for (size_t i = 0; i < SEQUENCE; i++) {
            steps[i] = lockstep_random_step(&rng, pair->direct);
            lockstep_without(&steps[i]);
        }
        if (run_steps(pair, steps, SEQUENCE, &failed)) continue;
        report(pair, steps, SEQUENCE, failed);
        free(steps);
        return 1;
    }
    free(steps);
    return 0;
}

static int run_file(pair_t *pair, const char *path)
{
    char line[256];
    size_t count = 0, failed = 0;
    step_t *steps = malloc(SEQUENCE * sizeof(*steps));
    FILE *file = fopen(path, "re");
    if (file == NULL || steps == NULL) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        if (file != NULL) (void)fclose(file); /* only read */
        free(steps);
        return 2;
    }
    while (count < SEQUENCE && fgets(line, sizeof(line), file) != NULL)
        if (lockstep_parse(&steps[count], line)) count++;
    (void)fclose(file); /* only read */
    int same = run_steps(pair, steps, count, &failed);
    if (!same) (void)printf("step %zu of %zu differs: %s\n", failed, count, pair->why);
    free(steps);
    return same ? 0 : 1;
}

static int has_direct(const char *dir)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/probe", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
    if (fd >= 0) (void)close(fd); /* nothing was written */
    (void)unlink(path);           /* it may not be there */
    return fd >= 0;
}

static int compare(const char *a, const char *b)
{
    char why[600];
    if (lockstep_same_tree(a, b, why, sizeof(why))) return 0;
    (void)printf("%s\n", why);
    return 1;
}

int main(int argc, char **argv)
{
    static pair_t pair;
    uint64_t seed = (uint64_t)time(NULL), ops = 10 * SEQUENCE;
    const char *file = NULL;
    int known = 1;
    if (argc == 6 && strcmp(argv[4], "--lacks") == 0) known &= lockstep_lacks_parse(argv[5]);
    if ((argc == 4 || argc == 6) && strcmp(argv[1], "--compare") == 0 && known)
        return compare(argv[2], argv[3]);
    for (int i = 3; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0) seed = strtoull(argv[i + 1], NULL, 0);
        if (strcmp(argv[i], "--ops") == 0) ops = strtoull(argv[i + 1], NULL, 0);
        if (strcmp(argv[i], "--replay") == 0) file = argv[i + 1];
        if (strcmp(argv[i], "--lacks") == 0) known &= lockstep_lacks_parse(argv[i + 1]);
    }
    if (argc < 3 || argc % 2 == 0 || geteuid() != 0 || !known) {
        (void)fprintf(stderr, "usage, as root: lockstep MOUNTED PLAIN [--seed N] [--ops N] "
                              "[--replay FILE] [--lacks WORD,...], or lockstep --compare A B\n");
        return 2;
    }
    (void)umask(027);
    pair.mounted.root = argv[1];
    pair.plain.root = argv[2];
    pair.mounted.outcome.buf = aligned_alloc(4096, LOCKSTEP_BYTES / 4096 * 4096 + 4096);
    pair.plain.outcome.buf = aligned_alloc(4096, LOCKSTEP_BYTES / 4096 * 4096 + 4096);
    pair.direct = has_direct(argv[2]);
    int code = file != NULL ? run_file(&pair, file) : run_random(&pair, seed, ops);
    free(pair.mounted.outcome.buf);
    free(pair.plain.outcome.buf);
    return code;
}
