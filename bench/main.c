/*
 * main.c - `cachefs-bench`: what the paths of the cache cost, each against a peer that runs beside
 * it. Floor 4. scripts/bench.sh builds and runs it; bench.h says how it measures.
 */
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_general.h>

#include "bench/bench.h"

static const char *const help =
    "usage: cachefs-bench [OPTION VALUE]...\n"
    "  --only PREFIX        families or cases whose id begins so\n"
    "  --json FILE          rows as JSON lines\n"
    "  --dir DIR            where files for the comparison with the disk are made; default "
    "/var/tmp\n"
    "  --rounds N           pairs of samples (31)\n"
    "  --sample-us N        length of a sample (300)\n"
    "  --big-mib N          of the random reads and the turnovers (256)\n"
    "  --blocks-max N       largest cache of the eviction cases (100000)\n"
    "  --entries-max N      largest policy alone (100000)\n"
    "  --names-max N        names around the prefix (100000)\n"
    "  --files-max N        files for a remote (1000)\n"
    "  --turnovers N        of the capacity, before memory is looked at (12)\n"
    "  --full 1             the sizes of the goals: 1 GiB, 2,000,000 blocks, 10,000,000 entries,\n"
    "                       1,000,000 names, 10,000 files, 100 turnovers\n"
    "  --smoke 1            everything once, as small as it gets\n"
    "  --count N            run each case N times for callgrind, and measure nothing\n";

static char scratch[512];

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    (void)remove(path); /* what stays is in a temporary directory */
    return 0;
}

static void remove_scratch(void)
{
    if (scratch[0]) (void)nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_scratch(const char *dir)
{
    (void)snprintf(scratch, sizeof(scratch), "%s/cachefs-bench-XXXXXX", dir);
    if (!mkdtemp(scratch)) {
        scratch[0] = '\0';
        bench_die(__FILE__, __LINE__, dir, APR_FROM_OS_ERROR(errno));
    }
    bench_opt.dir = scratch;
    (void)atexit(remove_scratch); /* if it cannot be noted, files stay */
}

static void full(void)
{
    bench_opt.big_bytes = 1ull << 30;
    bench_opt.blocks_max = 2000000;
    bench_opt.entries_max = 10000000;
    bench_opt.names_max = 1000000;
    bench_opt.files_max = 10000;
    bench_opt.turnovers = 100;
}

static void smoke(void)
{
    bench_opt.rounds = 1;
    bench_opt.sample_us = 20;
    bench_opt.big_bytes = 16u << 20;
    bench_opt.blocks_max = 10000;
    bench_opt.entries_max = 1000;
    bench_opt.names_max = 2000;
    bench_opt.files_max = 10;
    bench_opt.turnovers = 3;
    bench_opt.small = 1;
}

static int text_option(const char *name, const char *value, const char **dir)
{
    if (!strcmp(name, "--only")) {
        bench_opt.only = value;
    } else if (!strcmp(name, "--dir")) {
        *dir = value;
    } else if (!strcmp(name, "--json")) {
        bench_opt.json = fopen(value, "we");
        return bench_opt.json != NULL;
    } else {
        return 0;
    }
    return 1;
}

static int number_option(const char *name, const char *value)
{
    char *end = NULL;
    unsigned long long number = strtoull(value, &end, 10);
    if (!*value || *end) return 0;
    if (!strcmp(name, "--rounds")) {
        bench_opt.rounds = (unsigned)(number ? number : 1);
    } else if (!strcmp(name, "--sample-us")) {
        bench_opt.sample_us = (unsigned)number;
    } else if (!strcmp(name, "--big-mib")) {
        bench_opt.big_bytes = number << 20;
    } else if (!strcmp(name, "--blocks-max")) {
        bench_opt.blocks_max = number;
    } else if (!strcmp(name, "--entries-max")) {
        bench_opt.entries_max = number;
    } else if (!strcmp(name, "--names-max")) {
        bench_opt.names_max = number;
    } else if (!strcmp(name, "--files-max")) {
        bench_opt.files_max = number ? number : 1;
    } else if (!strcmp(name, "--turnovers")) {
        bench_opt.turnovers = (unsigned)number;
    } else if (!strcmp(name, "--count")) {
        bench_opt.count = number;
    } else if (!strcmp(name, "--full")) {
        full();
    } else if (!strcmp(name, "--smoke")) {
        smoke();
    } else {
        return 0;
    }
    return 1;
}

int main(int argc, char **argv)
{
    const char *dir = "/var/tmp"; /* a disk, where /tmp may be memory */
    bench_opt = (bench_opt_t){.rounds = 31,
                              .sample_us = 300,
                              .big_bytes = 256u << 20,
                              .blocks_max = 100000,
                              .entries_max = 100000,
                              .names_max = 100000,
                              .files_max = 1000,
                              .turnovers = 12};
    for (int i = 1; i < argc; i += 2)
        if (i + 1 >= argc ||
            (!text_option(argv[i], argv[i + 1], &dir) && !number_option(argv[i], argv[i + 1]))) {
            fprintf(stderr, "cachefs-bench: what is %s?\n%s", argv[i], help);
            return 2;
        }
    if (apr_initialize()) return 2;
    make_scratch(dir);
    bench_pin(0);
    if (!bench_opt.count)
        printf("%-34s %12s %-4s %-26s %12s %9s %9s %-5s %s\n", "case", "ours", "", "peer", "theirs",
               "ratio", "goal", "met", "spread");
    bench_reads();
    bench_names();
    bench_threads();
    bench_misses();
    bench_l2();
    bench_writes();
    bench_durable();
    bench_batches();
    bench_memory_use();
    bench_policies();
    bench_evictions();
    if (bench_opt.json && fclose(bench_opt.json)) bench_die(__FILE__, __LINE__, "--json", 0);
    return 0;
}
