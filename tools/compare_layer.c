/*
 * compare_layer.c - the child of `cachefs compare`: one layer, all its phases, a row for each.
 * Floor 4. A process of its own, so that its memory is that of this layer and no other.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "backends/backends.h"
#include "tools/compare.h"

#define PARALLEL_DEFAULT 4
#define WARM_DEFAULT 16

typedef struct child_t {
    cli_t *cli;
    cli_stack_t stack;
    compare_layer_e layer;
    vfs_t *copy; /* of corfs */
    reference_t reference;
    int filled; /* was everything read or warmed once? */
} child_t;

int compare_has(compare_layer_e layer, compare_phase_e phase)
{
    /* only the cache can be warmed without a reader, and only it trusts attributes: the others ask
     * at each open */
    if (phase == PHASE_WARM || phase == PHASE_REVALIDATED) return layer == LAYER_CACHEFS;
    return 1;
}

/* Most memory that this process ever had, from the kernel: getrusage would count the time before
 * exec too. */
static uint64_t peak_rss(void)
{
    static const char name[] = "VmHWM:";
    char line[256];
    uint64_t kib = 0;
    FILE *in = fopen("/proc/self/status", "r");
    struct rusage usage;
    while (in != NULL && kib == 0 && fgets(line, sizeof(line), in) != NULL)
        if (strncmp(line, name, sizeof(name) - 1) == 0)
            kib = strtoull(line + sizeof(name) - 1, NULL, 10);
    if (in != NULL) (void)fclose(in); /* it was only read */
    if (kib == 0 && getrusage(RUSAGE_SELF, &usage) == 0) kib = (uint64_t)usage.ru_maxrss;
    return kib * 1024;
}

/* ---- the stack */

static int open_corfs(child_t *child)
{
    cli_t *cli = child->cli;
    vfs_t *fs = NULL;
    const char *dir = apr_pstrcat(cli->pool, cli->opt.work_dir, "/copy", NULL);
    apr_status_t status = APR_SUCCESS;
    if (mkdir(dir, 0700) != 0) status = APR_FROM_OS_ERROR(errno);
    if (status == APR_SUCCESS) status = vfs_local_create(&child->copy, dir, cli->pool);
    if (status == APR_SUCCESS)
        status =
            vfs_corfs_create(&fs, child->stack.top, child->copy, cli->opt.corfs_flags, cli->pool);
    return cli_stack_push(cli, &child->stack, fs, status, "corfs");
}

static int open_stack(child_t *child)
{
    cli_t *cli = child->cli;
    int code = cli_stack_open(cli, &child->stack, cli->args[0], child->layer == LAYER_CACHEFS);
    if (code == CLI_DONE && child->layer == LAYER_CORFS) code = open_corfs(child);
    return code;
}

static int close_stack(child_t *child)
{
    int code = cli_stack_close(child->cli, &child->stack);
    if (child->copy != NULL) (void)vfs_destroy(child->copy); /* nobody needs the copy any more */
    return code;
}

/* ---- phases */

static int set_ttl(child_t *child, const char *value)
{
    char err[512] = "";
    if (cachefs_set(child->stack.cache, "attr_ttl", value, err, sizeof(err)) == APR_SUCCESS)
        return CLI_DONE;
    cli_error(child->cli, "%s", err);
    return CLI_INTERNAL;
}

typedef struct warmed_t {
    uint64_t *times;
    size_t room;
    atomic_size_t count;
} warmed_t;

static void on_thing(void *baton, const warm_thing_t *thing)
{
    warmed_t *warmed = baton;
    if (thing->status != APR_SUCCESS || thing->skipped) return;
    size_t i = atomic_fetch_add_explicit(&warmed->count, 1, memory_order_relaxed);
    if (i < warmed->room) warmed->times[i] = thing->us * 1000;
}

static int warm(child_t *child, reading_t *out)
{
    cli_t *cli = child->cli;
    warm_plan_t *plan = NULL;
    warm_options_t options = WARM_OPTIONS_INIT;
    warm_progress_t result = {0};
    warmed_t warmed = {0};
    char err[1024] = "", why[256];
    const char **paths = apr_palloc(cli->pool, (child->reference.count + 1) * sizeof(*paths));
    for (size_t i = 0; i < child->reference.count; i++)
        paths[i] = child->reference.files[i].path;
    warmed.room = child->reference.count;
    warmed.times = apr_palloc(cli->pool, (warmed.room + 1) * sizeof(*warmed.times));
    options.workers = cli->opt.jobs > 0 ? cli->opt.jobs : WARM_DEFAULT;
    options.cancel = cli->cancel;
    options.thing = on_thing;
    options.thing_baton = &warmed;
    apr_status_t status = warm_plan_create(&plan, cli->pool);
    if (status == APR_SUCCESS)
        status = warm_plan_paths(plan, paths, child->reference.count, err, sizeof(err));
    if (status == APR_SUCCESS)
        status = warm_run(child->stack.cache, plan, &options, &result, err, sizeof(err), cli->pool);
    if (status != APR_SUCCESS && !cli_stopped(cli)) {
        atomic_fetch_add(&cli->failures, 1);
        cli_error(cli, "warming: %s",
                  err[0] != '\0' ? err : vfs_strerror(status, why, sizeof(why)));
    }
    out->files = result.files_done - result.files_failed - result.files_skipped;
    out->bytes = result.bytes_done;
    out->seconds = result.seconds;
    compare_quantiles(out, warmed.times, atomic_load(&warmed.count));
    child->filled = 1;
    return CLI_DONE;
}

/* What must have been before a phase, when the phases for it were not asked for. */
static int prepare(child_t *child, compare_phase_e phase)
{
    reading_t ignored;
    if (phase == PHASE_WARM)
        return cachefs_clear(child->stack.cache, NULL) == APR_SUCCESS ? CLI_DONE : CLI_INTERNAL;
    if (phase == PHASE_COLD || child->filled || child->layer == LAYER_DIRECT) return CLI_DONE;
    child->filled = 1;
    if (child->layer == LAYER_CACHEFS) return warm(child, &ignored);
    return compare_read_all(child->cli, &ignored, child->stack.top, &child->reference, 1,
                            "filling");
}

static int run_phase(child_t *child, compare_phase_e phase, reading_t *out)
{
    cli_t *cli = child->cli;
    vfs_t *fs = child->stack.top;
    const reference_t *reference = &child->reference;
    const char *what =
        apr_pstrcat(cli->pool, compare_layers[child->layer], " ", compare_phases[phase], NULL);
    unsigned threads = cli->opt.jobs > 0 ? cli->opt.jobs : PARALLEL_DEFAULT;
    uint64_t reads = cli->opt.random_reads > 0 ? cli->opt.random_reads : reference->count;
    int code = CLI_DONE;
    char ttl[64] = "";
    switch (phase) {
    case PHASE_WARM:
        return warm(child, out);
    case PHASE_COLD:
        child->filled = 1;
        break;
    case PHASE_HOT:
        break;
    case PHASE_RANDOM:
        return compare_read_random(cli, out, fs, reference, reads, what);
    case PHASE_PARALLEL:
        return compare_read_all(cli, out, fs, reference, threads, what);
    case PHASE_REVALIDATED:
        if (cachefs_get(child->stack.cache, "attr_ttl", ttl, sizeof(ttl)) != APR_SUCCESS)
            return CLI_INTERNAL;
        code = set_ttl(child, "0s");
        break;
    }
    if (code == CLI_DONE) code = compare_read_all(cli, out, fs, reference, 1, what);
    if (code == CLI_DONE && ttl[0] != '\0') code = set_ttl(child, ttl);
    return code;
}

/* ---- measuring them */

/* Bytes served from the cache over bytes read, the same for every layer: what the origin had to
 * send during the phase was not served from a cache, also where it came with the open of a file and
 * was in memory when it was read. */
static double hit_ratio(const row_t *row)
{
    if (row->phase == PHASE_WARM || row->backend_bytes >= row->bytes) return 0.0;
    return 1.0 - (double)row->backend_bytes / (double)row->bytes;
}

static int measure(child_t *child, compare_phase_e phase)
{
    vfs_counts_t from, to;
    reading_t reading;
    row_t row = {.layer = child->layer, .phase = phase};
    int code = prepare(child, phase);
    if (code != CLI_DONE || cli_stopped(child->cli)) return code;
    vfs_count_get(child->stack.counter, &from);
    code = run_phase(child, phase, &reading);
    vfs_count_get(child->stack.counter, &to);
    /* a phase that was cut off says nothing */
    if (code != CLI_DONE || cli_stopped(child->cli)) return code;
    row.files = reading.files;
    row.bytes = reading.bytes;
    row.seconds = reading.seconds;
    row.p50_us = reading.p50_us;
    row.p99_us = reading.p99_us;
    row.backend_bytes = to.bytes_read - from.bytes_read;
    row.hit_ratio = hit_ratio(&row);
    row.rss_bytes = peak_rss();
    if (child->layer == LAYER_CORFS && phase == PHASE_HOT && row.backend_bytes > 0 &&
        child->cli->opt.corfs_flags == VFS_CORFS_SERVE)
        cli_error(child->cli,
                  "corfs has not all files in its copy: is there room in %s? (TMPDIR names another "
                  "place)",
                  child->cli->opt.work_dir);
    /* shorter than PIPE_BUF: it goes in one piece, or the parent is gone */
    return write(COMPARE_REPORT_FD, &row, sizeof(row)) == (ssize_t)sizeof(row) ? CLI_DONE
                                                                               : CLI_INTERNAL;
}

/* Nobody reads our rows any more: the parent is gone, without a chance to tidy up. */
static void *watch_parent(void *baton)
{
    const cli_t *cli = baton;
    struct pollfd pipe_end = {COMPARE_REPORT_FD, 0, 0};
    while (poll(&pipe_end, 1, -1) <= 0 || !(pipe_end.revents & POLLERR))
        continue;
    compare_remove(cli, cli->opt.work_dir);
    _exit(CLI_INTERNAL);
}

int compare_child(cli_t *cli)
{
    child_t child = {.cli = cli};
    char why[256];
    unsigned layer = 0;
    while (layer < CLI_LAYERS_MAX && strcmp(compare_layers[layer], cli->opt.child_layer) != 0)
        layer++;
    if (layer == CLI_LAYERS_MAX || cli->opt.work_dir == NULL) return CLI_USAGE;
    child.layer = (compare_layer_e)layer;
    const char *file = apr_pstrcat(cli->pool, cli->opt.work_dir, "/reference", NULL);
    apr_status_t status = reference_load(&child.reference, file);
    if (status != APR_SUCCESS) {
        cli_error(cli, "%s: %s", file, vfs_strerror(status, why, sizeof(why)));
        return CLI_INTERNAL;
    }
    pthread_t watcher;
    if (pthread_create(&watcher, NULL, watch_parent, cli) == 0) (void)pthread_detach(watcher);
    int code = open_stack(&child);
    for (unsigned phase = 0; phase < CLI_PHASES_MAX && code == CLI_DONE; phase++) {
        if (cli->opt.phases != 0 && !(cli->opt.phases & 1u << phase)) continue;
        if (cli_stopped(cli)) break;
        if (compare_has(child.layer, (compare_phase_e)phase))
            code = measure(&child, (compare_phase_e)phase);
    }
    int closed = close_stack(&child);
    reference_free(&child.reference);
    return code != CLI_DONE ? code : closed;
}
