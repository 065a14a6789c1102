/*
 * replay.c - `cachefs replay`: traces through policies, and their miss ratios.
 * Floor 4. One job is one trace, policy and size; all run in parallel, a trace is in memory from
 * its first job to its last.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "tools/cli.h"
#include "tools/replay.h"

#define SIZES_MAX 64
#define POLICIES_MAX 64

typedef struct amount_t {
    const char *text;
    double share;     /* of the distinct objects or bytes; 0: the number counts */
    uint64_t objects; /* or bytes */
} amount_t;

/* One trace, and who still needs it. */
typedef struct slot_t {
    const char *path, *name;
    pthread_mutex_t lock; /* guards the rest */
    trace_t trace;
    int read, failed;
    unsigned jobs_left;
} slot_t;

typedef struct job_t {
    slot_t *slot;
    const char *policy; /* REPLAY_BELADY: the optimum */
    const amount_t *amount;
    int done;
    uint64_t requests, capacity, misses;
    double miss_ratio, byte_miss_ratio;
    uint64_t ns;
} job_t;

typedef struct replay_t {
    cli_t *cli;
    trace_format_e format;
    slot_t *slots;
    const char *policies[POLICIES_MAX + 1];
    amount_t sizes[SIZES_MAX];
    size_t policy_count, size_count, job_count;
    job_t *jobs;
    cli_progress_t *progress;
} replay_t;

/* ---- the command line */

static int take_policies(replay_t *replay)
{
    cli_t *cli = replay->cli;
    const char *list = cli->opt.policies != NULL ? cli->opt.policies : "auto";
    char *last = NULL;
    for (char *name = apr_strtok(apr_pstrdup(cli->pool, list), ",", &last); name != NULL;
         name = apr_strtok(NULL, ",", &last)) {
        if (strcmp(name, REPLAY_BELADY) == 0) continue; /* it is always there */
        if (cachefs_policy_find(name) == NULL) {
            cli_error(cli, "--policy: there is no policy %s; see cachefs version", name);
            return CLI_USAGE;
        }
        if (replay->policy_count == POLICIES_MAX) {
            cli_error(cli, "--policy: %d policies at most", POLICIES_MAX);
            return CLI_USAGE;
        }
        replay->policies[replay->policy_count++] = name;
    }
    replay->policies[replay->policy_count++] = REPLAY_BELADY;
    return CLI_DONE;
}

static int take_size(const cli_t *cli, amount_t *amount, const char *text)
{
    char *end = NULL;
    size_t length = strlen(text);
    amount->text = text;
    if (length > 1 && text[length - 1] == '%') {
        double percent = strtod(text, &end);
        amount->share = percent / 100.0;
        return end == text + length - 1 && percent > 0 && percent <= 100 ? 0 : -1;
    }
    if (cli->opt.bytes) return cli_parse_size(text, &amount->objects) == APR_SUCCESS ? 0 : -1;
    return cli_parse_number(text, &amount->objects) == APR_SUCCESS ? 0 : -1;
}

static int take_sizes(replay_t *replay)
{
    cli_t *cli = replay->cli;
    const char *list = cli->opt.sizes != NULL ? cli->opt.sizes : "1%,10%";
    char *last = NULL;
    for (char *text = apr_strtok(apr_pstrdup(cli->pool, list), ",", &last); text != NULL;
         text = apr_strtok(NULL, ",", &last)) {
        amount_t *amount = &replay->sizes[replay->size_count];
        if (replay->size_count == SIZES_MAX || take_size(cli, amount, text) != 0 ||
            (amount->share == 0 && amount->objects == 0)) {
            cli_error(cli, "--size %s: it takes shares such as 10%%, or %s, up to %d of them", text,
                      cli->opt.bytes ? "sizes such as 64m" : "numbers of objects", SIZES_MAX);
            return CLI_USAGE;
        }
        replay->size_count++;
    }
    if (replay->size_count > 0) return CLI_DONE;
    cli_error(cli, "--size: it takes at least one size");
    return CLI_USAGE;
}

static int take_format(replay_t *replay)
{
    const char *name = replay->cli->opt.format;
    int format = name != NULL ? trace_format_find(name) : TRACE_GUESS;
    if (format < 0) {
        cli_error(replay->cli, "--format %s: it is oracle, csv, lirs, arc or access", name);
        return CLI_USAGE;
    }
    replay->format = (trace_format_e)format;
    return CLI_DONE;
}

/* The name of the file, without what every trace's name ends in. */
static const char *name_of(const char *path, apr_pool_t *pool)
{
    static const char *const ends[] = {".zst", ".bin",  ".oracleGeneral", ".csv",
                                       ".trc", ".lirs", ".lis",           ".arc"};
    const char *base = strrchr(path, '/');
    char *name = apr_pstrdup(pool, base != NULL ? base + 1 : path);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        size_t length = strlen(name), end = strlen(ends[i]);
        if (length > end && strcmp(name + length - end, ends[i]) == 0) name[length - end] = '\0';
    }
    return name;
}

static void plan(replay_t *replay)
{
    cli_t *cli = replay->cli;
    size_t n = 0;
    replay->job_count = (size_t)cli->nargs * replay->policy_count * replay->size_count;
    replay->slots = apr_pcalloc(cli->pool, (size_t)cli->nargs * sizeof(*replay->slots));
    replay->jobs = apr_pcalloc(cli->pool, replay->job_count * sizeof(*replay->jobs));
    for (int i = 0; i < cli->nargs; i++) {
        slot_t *slot = &replay->slots[i];
        slot->path = cli->args[i];
        slot->name = name_of(slot->path, cli->pool);
        slot->jobs_left = (unsigned)(replay->policy_count * replay->size_count);
        (void)pthread_mutex_init(&slot->lock, NULL);
        for (size_t s = 0; s < replay->size_count; s++)
            for (size_t p = 0; p < replay->policy_count; p++, n++) {
                replay->jobs[n].slot = slot;
                replay->jobs[n].policy = replay->policies[p];
                replay->jobs[n].amount = &replay->sizes[s];
            }
    }
}

/* ---- jobs */

static int stopped(const void *baton)
{
    return cli_stopped(baton);
}

/* The trace, read by whoever comes first. NULL if it cannot be. */
static const trace_t *need(replay_t *replay, slot_t *slot)
{
    char why[256];
    (void)pthread_mutex_lock(&slot->lock);
    if (!slot->read && !slot->failed) {
        const char *wrong = trace_read(&slot->trace, slot->path, replay->format,
                                       replay->cli->opt.bytes, why, sizeof(why));
        slot->read = wrong == NULL;
        slot->failed = wrong != NULL;
        if (wrong != NULL) {
            cli_error(replay->cli, "%s: %s", slot->path, wrong);
            atomic_fetch_add_explicit(&replay->cli->failures, 1, memory_order_relaxed);
        }
    }
    (void)pthread_mutex_unlock(&slot->lock);
    return slot->failed ? NULL : &slot->trace;
}

static void no_longer_need(slot_t *slot)
{
    (void)pthread_mutex_lock(&slot->lock);
    if (--slot->jobs_left == 0) trace_free(&slot->trace);
    (void)pthread_mutex_unlock(&slot->lock);
}

static uint64_t capacity_of(const amount_t *amount, const trace_t *trace)
{
    double all = (double)trace->objects_bytes; /* of 1 each, where sizes do not count */
    uint64_t capacity = amount->share > 0 ? (uint64_t)(all * amount->share) : amount->objects;
    return capacity > 0 ? capacity : 1;
}

static void run_job(void *baton, unsigned thread, size_t i)
{
    replay_t *replay = baton;
    job_t *job = &replay->jobs[i];
    const trace_t *trace = need(replay, job->slot);
    (void)thread;
    if (trace != NULL) {
        replay_run_t run = {.trace = trace, .shards = replay->cli->opt.replay_shards};
        uint64_t start = cli_now_ns();
        run.policy = cachefs_policy_find(job->policy); /* NULL: belady */
        run.capacity = capacity_of(job->amount, trace);
        run.stopped = stopped;
        run.baton = replay->cli;
        int result = replay_run(&run);
        if (result < 0) {
            cli_error(replay->cli, "%s, %s: out of memory", job->slot->name, job->policy);
            atomic_fetch_add_explicit(&replay->cli->failures, 1, memory_order_relaxed);
        }
        job->done = result == 0;
        job->ns = cli_now_ns() - start;
        job->requests = trace->count;
        job->capacity = run.capacity;
        job->misses = run.misses;
        job->miss_ratio = (double)run.misses / (double)trace->count;
        job->byte_miss_ratio = trace->requests_bytes != 0
                                   ? (double)run.missed_bytes / (double)trace->requests_bytes
                                   : job->miss_ratio;
    }
    no_longer_need(job->slot);
    cli_progress_add(replay->progress, trace != NULL ? trace->count : 0);
}

/* ---- results */

static void print_json(const replay_t *replay)
{
    json_t json;
    json_start(&json, stdout);
    json_array(&json, NULL);
    for (size_t i = 0; i < replay->job_count; i++) {
        const job_t *job = &replay->jobs[i];
        if (!job->done) continue;
        json_object(&json, NULL);
        json_string(&json, "trace", job->slot->name);
        json_string(&json, "policy", job->policy);
        json_string(&json, "size", job->amount->text);
        json_uint(&json, "capacity", job->capacity);
        json_uint(&json, "shards", replay->cli->opt.replay_shards);
        json_uint(&json, "requests", job->requests);
        json_double(&json, "miss_ratio", job->miss_ratio);
        json_double(&json, "byte_miss_ratio", job->byte_miss_ratio);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_end(&json);
}

static void print_table(const replay_t *replay)
{
    (void)printf("%-24s %-10s %8s %12s %12s %10s %10s\n", "trace", "policy", "size", "capacity",
                 "requests", "misses", "of bytes");
    for (size_t i = 0; i < replay->job_count && !cli_stopped(replay->cli); i++) {
        const job_t *job = &replay->jobs[i];
        if (!job->done) continue;
        (void)printf("%-24s %-10s %8s %12" PRIu64 " %12" PRIu64 " %9.2f%% %9.2f%%\n",
                     job->slot->name, job->policy, job->amount->text, job->capacity, job->requests,
                     job->miss_ratio * 100.0, job->byte_miss_ratio * 100.0);
    }
}

static void tell_speed(const replay_t *replay)
{
    for (size_t p = 0; p + 1 < replay->policy_count; p++) {
        uint64_t requests = 0, ns = 0;
        for (size_t i = p; i < replay->job_count; i += replay->policy_count) {
            if (!replay->jobs[i].done) continue;
            requests += replay->jobs[i].requests;
            ns += replay->jobs[i].ns;
        }
        if (ns > 0)
            cli_note(replay->cli, "%s: %.1f million requests a second on a thread",
                     replay->policies[p], (double)requests * 1e3 / (double)ns);
    }
}

static int run(cli_t *cli)
{
    replay_t replay = {.cli = cli};
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int code = take_policies(&replay);
    if (code == CLI_DONE) code = take_sizes(&replay);
    if (code == CLI_DONE) code = take_format(&replay);
    if (code != CLI_DONE) return code;
    if (cli->opt.replay_shards == 0) cli->opt.replay_shards = 1;
    if (cli->opt.jobs == 0) cli->opt.jobs = processors > 0 ? (uint32_t)processors : 1;
    plan(&replay);
    replay.progress = cli_progress_start(cli, "replay", replay.job_count);
    cli_progress_units(replay.progress, "runs", "requests");
    (void)cli_each(cli, replay.job_count, cli->opt.jobs, run_job, &replay);
    cli_progress_end(replay.progress);
    if (cli->opt.json)
        print_json(&replay);
    else
        print_table(&replay);
    tell_speed(&replay);
    for (int i = 0; i < cli->nargs; i++) {
        trace_free(&replay.slots[i].trace); /* of a run that was stopped */
        (void)pthread_mutex_destroy(&replay.slots[i].lock);
    }
    return CLI_DONE;
}

const cli_verb_t cli_replay = {
    .name = "replay",
    .bit = CLI_REPLAY,
    .args_min = 1,
    .args_max = -1,
    .usage = "TRACE... [options]",
    .summary = "run traces of accesses through eviction policies",
    .text =
        "Runs each trace through each policy at each size, and shows which share of the requests\n"
        "misses; belady is the optimum, which knows the future. A size is a share of the distinct\n"
        "objects (10%) or a number of them; with --bytes the sizes of objects count, a share is "
        "one of\n"
        "their bytes, and a plain size is bytes. Formats of traces: oracle (libCacheSim's "
        "oracleGeneral),\n"
        "csv, lirs, arc, access (the access log of a mount); a name that ends in .zst is "
        "unpacked.\n"
        "It is the code that the cache runs.\n",
    .run = run,
};
