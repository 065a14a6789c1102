/*
 * main.c - the model test: model SPEC [--seed N] [--ops N] [--threads N] [--replay FILE]
 * [--no-shrink]. Floor 4. Sequences of 4,000 steps run on fresh stacks until `ops` are done. The
 * seed is printed; a sequence that fails is made short and printed as lines that --replay takes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>

#include "tests/model/model.h"

#define SEQUENCE 4000u

typedef struct options_t {
    const char *spec, *replay;
    uint64_t seed, ops;
    unsigned threads;
    int shrink;
} options_t;

static int run_sequences(const options_t *o)
{
    model_op_t *ops = malloc(SEQUENCE * sizeof *ops);
    int same = 1;
    for (uint64_t done = 0; done < o->ops && same; done += SEQUENCE) {
        size_t count = o->ops - done < SEQUENCE ? (size_t)(o->ops - done) : SEQUENCE, failed = 0;
        model_rng_t rng = {o->seed + done};
        char why[400] = "", line[256];
        for (size_t i = 0; i < count; i++)
            ops[i] = model_generate(&rng, "");
        printf("sequence with --seed %" PRIu64 " --ops %zu\n", o->seed + done, count);
        (void)fflush(stdout); /* so that it is known if the process dies */
        same = model_try(o->spec, ops, count, &failed, why, sizeof why);
        if (same) continue;
        line[0] = '\0';
        if (failed < count) model_print(&ops[failed], line, sizeof line);
        printf("FAIL [%s] at step %zu of %zu: %s: %s\n", o->spec, failed, count, line, why);
        if (o->shrink) model_shrink(o->spec, ops, failed < count ? failed + 1 : count);
    }
    free(ops);
    return same;
}

static int run_replay(const options_t *o)
{
    model_op_t *ops = malloc(SEQUENCE * sizeof *ops);
    char line[300], why[400] = "";
    size_t count = 0, failed = 0;
    FILE *file = fopen(o->replay, "r");
    if (file == NULL) {
        printf("FAIL cannot open %s\n", o->replay);
        free(ops);
        return 0;
    }
    while (count < SEQUENCE && fgets(line, sizeof line, file) != NULL) {
        if (line[0] != '#' && line[0] != '\n' && !model_parse(&ops[count++], line))
            printf("not a step: %s", line);
    }
    (void)fclose(file); /* only read */
    int same = model_run(o->spec, ops, count, &failed, why, sizeof why);
    printf("%s: %zu steps%s%s\n", same ? "same" : "FAIL", count, same ? "" : ": ", why);
    if (!same) printf("at step %zu\n", failed);
    free(ops);
    return same;
}

static int parse(options_t *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--no-shrink") == 0) {
            o->shrink = 0;
            continue;
        }
        if (argv[i][0] != '-') {
            o->spec = argv[i];
            continue;
        }
        if (value == NULL) return 0;
        if (strcmp(argv[i], "--seed") == 0)
            o->seed = strtoull(value, NULL, 0);
        else if (strcmp(argv[i], "--ops") == 0)
            o->ops = strtoull(value, NULL, 0);
        else if (strcmp(argv[i], "--threads") == 0)
            o->threads = (unsigned)strtoul(value, NULL, 0);
        else if (strcmp(argv[i], "--replay") == 0)
            o->replay = value;
        else
            return 0;
        i++;
    }
    return o->spec != NULL && o->threads > 0 && o->threads <= 16;
}

int main(int argc, char **argv)
{
    options_t o = {NULL, NULL, 0, 20000, 1, 1};
    apr_initialize();
    o.seed = (uint64_t)apr_time_now();
    if (!parse(&o, argc, argv)) {
        fprintf(stderr, "usage: model SPEC [--seed N] [--ops N] [--threads N] [--replay FILE]\n");
        return 2;
    }
    int same;
    if (o.replay != NULL) {
        same = run_replay(&o);
    } else if (o.threads == 1) {
        same = run_sequences(&o);
    } else {
        printf("%u threads with --seed %" PRIu64 " --ops %" PRIu64 "\n", o.threads, o.seed, o.ops);
        same = model_threads(o.spec, o.threads, (size_t)o.ops, o.seed);
    }
    printf("%s: %s\n", o.spec, same ? "no difference" : "DIFFERENT");
    return same ? 0 : 1;
}
