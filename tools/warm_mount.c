/*
 * warm_mount.c - `cachefs warm` on a mount: its own program does the work, and says how far it is.
 * Floor 4.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "tools/control.h"
#include "tools/warm.h"

typedef struct request_t {
    cli_t *cli;
    control_place_t place;
    const char *words[CONTROL_WORDS_MAX + 1];
    size_t count;
    /* of the answer */
    cli_progress_t *progress;
    warm_progress_t result;
    uint64_t resident_bytes, ram_bytes;
} request_t;

/* ---- asking */

static void add(request_t *req, const char *key, const char *value)
{
    if (req->count > CONTROL_WORDS_MAX) return; /* control_ask says that it is too much */
    req->words[req->count++] = apr_pstrcat(req->cli->pool, key, "=", value, NULL);
}

static void add_number(request_t *req, const char *key, uint64_t value)
{
    if (value != 0) add(req, key, apr_psprintf(req->cli->pool, "%" APR_UINT64_T_FMT, value));
}

/* What the program of the mount shall open, whose working directory is another. */
static int add_file(request_t *req, const char *key, const char *path)
{
    if (path == NULL) return CLI_DONE;
    if (strcmp(path, "-") == 0) {
        cli_error(req->cli, "--%s - cannot be read by the program of the mount; name a file", key);
        return CLI_USAGE;
    }
    add(req, key, cli_absolute(path, req->cli->pool));
    return CLI_DONE;
}

/* A pattern or a directory that counts from the root of the mount, or is a path in it. */
static void add_path(request_t *req, const char *key, const char *path)
{
    if (path != NULL) add(req, key, cli_stack_path(path, req->cli->pool));
}

static int add_paths(request_t *req)
{
    cli_t *cli = req->cli;
    const cli_options_t *opt = &cli->opt;
    for (int i = 0; i < cli->nargs; i++) {
        control_place_t place;
        int code = control_find(cli, cli->args[i], &place);
        if (code != CLI_DONE) return code;
        if (i > 0 && strcmp(place.point, req->place.point) != 0) {
            cli_error(cli, "%s lies in another mount (%s) than %s; warm one after the other",
                      cli->args[i], place.point, cli->args[0]);
            return CLI_USAGE;
        }
        if (i == 0) req->place = place;
        int whole = i == 0 && strcmp(place.path, "/") == 0;
        if (!whole || (!opt->list && !opt->glob && !opt->tree && !opt->heat && cli->nargs == 1))
            add(req, "path", place.path);
    }
    return CLI_DONE;
}

static int make_request(request_t *req)
{
    const cli_options_t *opt = &req->cli->opt;
    req->words[req->count++] = "warm";
    add_number(req, "jobs", opt->jobs);
    add_number(req, "rate", opt->rate);
    add_number(req, "max_file", opt->file_bytes_max);
    add_number(req, "max_bytes", opt->job_bytes_max);
    add_number(req, "priority", (uint64_t)opt->priority);
    add_number(req, "stop", (uint64_t)opt->stop);
    int code = add_paths(req);
    add_path(req, "glob", opt->glob);
    add_path(req, "tree", opt->tree);
    if (code == CLI_DONE) code = add_file(req, "list", opt->list);
    if (code == CLI_DONE) code = add_file(req, "heat", opt->heat);
    if (code == CLI_DONE) code = add_file(req, "resume", opt->resume);
    return code;
}

/* ---- the answer */

static void take_number(request_t *req, const char *name, uint64_t value)
{
    warm_progress_t *result = &req->result;
    const struct {
        const char *name;
        uint64_t *to;
    } numbers[] = {
        {"files", &result->files_total},          {"done", &result->files_done},
        {"skipped", &result->files_skipped},      {"failed", &result->files_failed},
        {"bytes", &result->bytes_done},           {"fetched_bytes", &result->bytes_fetched},
        {"resident_bytes", &req->resident_bytes}, {"ram_used_bytes", &req->ram_bytes},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (strcmp(numbers[i].name, name) == 0) *numbers[i].to = value;
    if (strcmp(name, "us") == 0) result->seconds = (double)value / 1e6;
}

static void on_line(void *baton, const control_line_t *line)
{
    request_t *req = baton;
    const char *kind = line->word[0];
    if (strcmp(kind, "progress") == 0 && line->count == 4) {
        if (req->progress == NULL)
            req->progress =
                cli_progress_start(req->cli, "warming", strtoull(line->word[2], NULL, 10));
        cli_progress_set(req->progress, strtoull(line->word[1], NULL, 10),
                         strtoull(line->word[3], NULL, 10));
    } else if (strcmp(kind, "number") == 0 && line->count == 3) {
        take_number(req, line->word[1], strtoull(line->word[2], NULL, 10));
    } else if (strcmp(kind, "failed") == 0 && line->count == 3) {
        atomic_fetch_add_explicit(&req->cli->failures, 1, memory_order_relaxed);
        cli_error(req->cli, "%s: %s", line->word[1], line->word[2]);
    }
}

int warm_mount(cli_t *cli)
{
    request_t *req = apr_pcalloc(cli->pool, sizeof(*req));
    req->cli = cli;
    int code = make_request(req);
    if (code != CLI_DONE) return code;
    code = control_ask(cli, &req->place, req->words, req->count, on_line, req);
    cli_progress_end(req->progress);
    if (code != CLI_DONE && req->result.files_total == 0) return code;
    if (req->result.seconds > 0)
        req->result.bytes_per_second = (double)req->result.bytes_done / req->result.seconds;
    warm_report(cli, &req->result, req->resident_bytes, req->ram_bytes);
    return code;
}
