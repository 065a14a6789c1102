/*
 * warm.c - `cachefs warm`: fill a cache on purpose, and say how it went.
 * Floor 4.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "tools/control.h"
#include "tools/warm.h"

typedef struct bar_t {
    cli_t *cli;
    cli_progress_t *progress;
} bar_t;

static int on_progress(void *baton, const warm_progress_t *now)
{
    bar_t *bar = baton;
    if (bar->progress == NULL)
        bar->progress = cli_progress_start(bar->cli, "warming", now->files_total);
    cli_progress_set(bar->progress, now->files_done, now->bytes_done);
    return 0;
}

static void print_json(const warm_progress_t *result, uint64_t resident, uint64_t ram_used)
{
    json_t json;
    json_start(&json, stdout);
    json_object(&json, NULL);
    json_uint(&json, "files", result->files_total);
    json_uint(&json, "warmed", result->files_done - result->files_failed - result->files_skipped);
    json_uint(&json, "skipped", result->files_skipped);
    json_uint(&json, "failed", result->files_failed);
    json_uint(&json, "bytes", result->bytes_done);
    json_uint(&json, "fetched_bytes", result->bytes_fetched);
    json_double(&json, "seconds", result->seconds);
    json_double(&json, "bytes_per_second", result->bytes_per_second);
    json_uint(&json, "resident_bytes", resident);
    json_uint(&json, "ram_used_bytes", ram_used);
    json_close(&json, '}');
    json_end(&json);
}

static void print_text(const warm_progress_t *result, uint64_t ram_used)
{
    char bytes[32], time[32], rate[32], ram[32];
    (void)printf(
        "%s%llu of %llu files warm (%llu skipped, %llu failed): %s in %s, %s/s; "
        "the cache uses %s\n",
        cli_signalled(NULL) > 0 ? "interrupted: " : "",
        (unsigned long long)(result->files_done - result->files_failed - result->files_skipped),
        (unsigned long long)result->files_total, (unsigned long long)result->files_skipped,
        (unsigned long long)result->files_failed,
        cli_show_bytes(bytes, sizeof(bytes), (double)result->bytes_done),
        cli_show_us(time, sizeof(time), result->seconds * 1e6),
        cli_show_bytes(rate, sizeof(rate), result->bytes_per_second),
        cli_show_bytes(ram, sizeof(ram), (double)ram_used));
}

void warm_report(cli_t *cli, const warm_progress_t *result, uint64_t resident_bytes,
                 uint64_t ram_bytes)
{
    if (cli->opt.json)
        print_json(result, resident_bytes, ram_bytes);
    else
        print_text(result, ram_bytes);
    if (result->files_total == 0 && !cli_stopped(cli))
        cli_note(cli, "there is no file to warm: nothing is listed or matches");
}

static void report(cli_t *cli, const cli_stack_t *stack, const warm_progress_t *result)
{
    cachefs_stats_t stats = {.size = sizeof(stats)};
    if (cachefs_stats(stack->cache, &stats) != APR_SUCCESS) stats.ram_used = 0;
    warm_report(cli, result, stats.resident_bytes, stats.ram_used);
}

static int warm(cli_t *cli, cli_stack_t *stack, const warm_plan_t *plan)
{
    const cli_options_t *opt = &cli->opt;
    warm_options_t options = WARM_OPTIONS_INIT;
    warm_progress_t result = {0};
    warm_job_t *job = NULL;
    const warm_error_t *errors = NULL;
    char err[1024] = "", why[256];
    bar_t bar = {.cli = cli};
    if (opt->jobs > 0) options.workers = opt->jobs;
    options.priority = opt->priority;
    options.on_error = opt->stop ? WARM_STOP : WARM_SKIP;
    options.file_bytes_max = opt->file_bytes_max;
    options.job_bytes_max = opt->job_bytes_max;
    options.bytes_per_second = opt->rate;
    options.progress = on_progress;
    options.progress_baton = &bar;
    options.cancel = cli->cancel;
    options.resume_file = opt->resume;
    apr_status_t status =
        warm_start(&job, stack->cache, plan, &options, err, sizeof(err), cli->pool);
    if (status != APR_SUCCESS) {
        cli_error(cli, "%s", err[0] != '\0' ? err : vfs_strerror(status, why, sizeof(why)));
        return status == APR_EINVAL || status == VFS_EFORMAT ? CLI_USAGE : CLI_INTERNAL;
    }
    status = warm_wait(job, 0);
    warm_poll(job, &result);
    cli_progress_end(bar.progress);
    size_t count = warm_errors(job, &errors);
    for (size_t i = 0; i < count; i++)
        cli_file_failed(cli, stack->uri, errors[i].path, errors[i].status);
    report(cli, stack, &result);
    warm_job_destroy(job);
    /* the files' own errors are counted; what else ended the job is not */
    return status != APR_SUCCESS && count == 0 ? CLI_SOME_FAILED : CLI_DONE;
}

/* Known before the work, not when an interrupted job has to be written down. */
static int can_resume(const cli_t *cli)
{
    const char *file = cli->opt.resume, *slash = file != NULL ? strrchr(file, '/') : NULL;
    if (file == NULL) return 1;
    const char *dir =
        slash != NULL ? apr_pstrndup(cli->pool, file, (apr_size_t)(slash - file) + 1) : ".";
    if (access(dir, W_OK | X_OK) == 0) return 1;
    cli_error(cli, "--resume %s cannot be written: %s", file, strerror(errno));
    return 0;
}

static int run(cli_t *cli)
{
    cli_stack_t stack;
    warm_plan_t *plan = NULL;
    const warm_progress_t none = {0};
    if (!can_resume(cli)) return CLI_USAGE;
    if (!cli_is_origin(cli->args[0])) return warm_mount(cli);
    int code = cli_stack_open(cli, &stack, cli->args[0], 1);
    if (code != CLI_DONE) return code;
    code = cli_plan(cli, &plan, stack.top, cli->args[0]);
    if (code == CLI_DONE)
        code = warm(cli, &stack, plan);
    else if (cli_signalled(NULL) > 0)
        report(cli, &stack, &none); /* interrupted before it was known what is to be done */
    int closed = cli_stack_close(cli, &stack);
    return code != CLI_DONE ? code : closed;
}

const cli_verb_t cli_warm = {
    .name = "warm",
    .bit = CLI_WARM,
    .args_min = 1,
    .args_max = -1,
    .usage = "ORIGIN [PATH...] | MOUNTPOINT[/PATH]... [options]",
    .summary = "fill a cache, and say how long that takes and what it holds",
    .text =
        "Brings files into a cache: those named (a directory stands for all files below it), of a "
        "list, a\n"
        "pattern, a tree or a heat log. With an ORIGIN the cache ends with the program: it tells "
        "what warming\n"
        "costs, and whether the files fit. With a path in a mount it is the cache of the mount; "
        "the options of\n"
        "the cache mean nothing then, and FILEs are read by the mount's program.\n"
        "\n"
        "  cachefs warm /mnt/src /mnt/include\n"
        "  cachefs warm file:///usr/include --glob '/linux/**/*.h' --delay 5ms --jobs 32\n"
        "\n"
        "--json prints one object: files, warmed, skipped, failed, bytes, fetched_bytes, seconds,\n"
        "bytes_per_second, resident_bytes, ram_used_bytes. Ctrl-C ends it and prints what was "
        "done; with\n"
        "--resume FILE the next run goes on from there.\n",
    .run = run,
};
