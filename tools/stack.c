/*
 * stack.c - builds what a verb works on: origin -> delay -> trace -> count -> cache, as the options
 * say. Floor 4, private to tools/.
 */
#include <string.h>

#include <apr_file_io.h>
#include <apr_strings.h>

#include "backends/backends.h"
#include "tools/cli.h"

#define FLUSH_TIMEOUT_US 60000000u

static void trace_line(void *baton, const char *line)
{
    (void)baton;
    (void)fprintf(stderr, "%s\n", line);
}

/* What an origin stands on is its own: a plug-in may bring a whole stack. Nothing here holds
 * anything back. */
static void end_all(cli_stack_t *stack)
{
    if (stack->top != NULL) (void)vfs_destroy_stack(stack->top);
    if (stack->store != NULL) (void)vfs_destroy(stack->store);
    stack->top = stack->store = NULL;
}

int cli_stack_push(cli_t *cli, cli_stack_t *stack, vfs_t *layer, apr_status_t status,
                   const char *what)
{
    char why[256];
    if (status != APR_SUCCESS) {
        cli_error(cli, "%s: %s", what, vfs_strerror(status, why, sizeof(why)));
        end_all(stack);
        return CLI_INTERNAL;
    }
    stack->top = layer;
    return CLI_DONE;
}

static int open_origin(cli_t *cli, cli_stack_t *stack, const char *uri)
{
    char err[1024] = "", why[256];
    vfs_t *fs = NULL;
    if (uri[0] == '\0') {
        cli_error(cli, "the origin is empty; write file:///DIR for a directory");
        return CLI_USAGE;
    }
    if (!cli_is_origin(uri)) {
        cli_error(cli, "%s is a path; an origin begins with its scheme: write %s", uri,
                  cli_file_uri(uri, cli->pool));
        return CLI_USAGE;
    }
    apr_status_t status = vfs_open_uri(&fs, uri, err, sizeof(err), cli->pool);
    if (status == APR_SUCCESS) return cli_stack_push(cli, stack, fs, status, uri);
    if (strncmp(err, uri, strlen(uri)) == 0) /* it names the origin itself */
        cli_error(cli, "%s", err);
    else
        cli_error(cli, "%s: %s", cli_origin_shown(uri, cli->pool),
                  err[0] != '\0' ? err : vfs_strerror(status, why, sizeof(why)));
    if (status == APR_EINVAL || status == APR_ENOTIMPL) return CLI_USAGE;
    return APR_STATUS_IS_ENOMEM(status) ? CLI_INTERNAL : CLI_UNREACHABLE;
}

static void log_line(void *baton, int level, const char *line)
{
    cli_t *cli = baton;
    if (level < 2 || !cli->opt.quiet) cli_error(cli, "%s", line);
}

/* The directory of --store, for the first stack that is opened: it serves one. */
static int open_store(cli_t *cli, cli_stack_t *stack, cachefs_config_t *config)
{
    char why[256];
    if (cli->opt.store == NULL || cli->store_given) return CLI_DONE;
    const char *dir = cli->opt.store;
    apr_status_t status =
        apr_dir_make(dir, APR_FPROT_UREAD | APR_FPROT_UWRITE | APR_FPROT_UEXECUTE, cli->pool);
    if (status == APR_SUCCESS || APR_STATUS_IS_EEXIST(status))
        status = vfs_open_uri(&stack->store, cli_file_uri(dir, cli->pool), NULL, 0, cli->pool);
    if (status != APR_SUCCESS) {
        cli_error(cli, "--store %s: %s", dir, vfs_strerror(status, why, sizeof(why)));
        end_all(stack);
        return CLI_USAGE;
    }
    cli->store_given = 1;
    config->store = stack->store;
    config->store_name = dir;
    if (config->origin == NULL || config->origin[0] == '\0') config->origin = stack->uri;
    if (config->log == NULL) { /* a mount has its own */
        config->log = log_line;
        config->log_baton = cli;
    }
    return CLI_DONE;
}

static int add_cache(cli_t *cli, cli_stack_t *stack)
{
    char err[512] = "", ram[64] = "";
    vfs_t *fs = NULL;
    cachefs_config_t config = cli->opt.config;
    int code = open_store(cli, stack, &config);
    if (code != CLI_DONE) return code;
    apr_status_t status = cachefs_create(&fs, stack->top, &config, err, sizeof(err), cli->pool);
    if (APR_STATUS_IS_EINVAL(status) || (status != APR_SUCCESS && stack->store != NULL)) {
        cli_error(cli, "%s", err);
        end_all(stack);
        return APR_STATUS_IS_EINVAL(status) ? CLI_USAGE : CLI_UNREACHABLE;
    }
    /* the key is there */
    (void)cachefs_config_get(&cli->opt.config, "ram", ram, sizeof(ram));
    stack->cache = fs;
    if (status == APR_SUCCESS) /* most origins have none */
        (void)vfs_remote_metrics(stack->top, cachefs_metrics(fs));
    return cli_stack_push(cli, stack, fs, status,
                          apr_psprintf(cli->pool, "cannot make a cache with ram %s", ram));
}

int cli_stack_open(cli_t *cli, cli_stack_t *stack, const char *uri, int with_cache)
{
    vfs_t *fs = NULL;
    apr_status_t status;
    memset(stack, 0, sizeof(*stack));
    stack->uri = uri;
    int code = open_origin(cli, stack, uri);
    if (code == CLI_DONE && (cli->opt.delay.rtt_us > 0 || cli->opt.delay.bytes_per_second > 0)) {
        status = vfs_delay_create(&fs, stack->top, &cli->opt.delay, cli->pool);
        code = cli_stack_push(cli, stack, fs, status, "cannot simulate a remote");
    }
    if (code == CLI_DONE && cli->opt.trace) {
        status = vfs_trace_create(&fs, stack->top, trace_line, NULL, cli->pool);
        code = cli_stack_push(cli, stack, fs, status, "cannot trace");
    }
    if (code == CLI_DONE) {
        status = vfs_count_create(&fs, stack->top, cli->pool);
        stack->counter = fs;
        code = cli_stack_push(cli, stack, fs, status, "cannot count");
    }
    if (code == CLI_DONE && with_cache) code = add_cache(cli, stack);
    return code;
}

static void show_stats(const cli_t *cli, cli_stack_t *stack)
{
    char read[32], below[32];
    vfs_counts_t counts;
    cachefs_stats_t stats = {.size = sizeof(stats)};
    vfs_count_get(stack->counter, &counts);
    uint64_t requests = vfs_counts_requests(&counts);
    cli_show_bytes(below, sizeof(below), (double)counts.bytes_read);
    if (stack->cache == NULL || cachefs_stats(stack->cache, &stats) != APR_SUCCESS) {
        cli_error(cli, "%llu request%s to %s, %s read from it", (unsigned long long)requests,
                  requests == 1 ? "" : "s", stack->uri, below);
        return;
    }
    double all = (double)(stats.hit_bytes + stats.miss_bytes), sent = (double)counts.bytes_read;
    cli_show_bytes(read, sizeof(read), all);
    cli_error(cli,
              "%llu request%s to %s, %s read from it; %s read through the cache, hit ratio %.3f",
              (unsigned long long)requests, requests == 1 ? "" : "s", stack->uri, below, read,
              all > sent ? 1.0 - sent / all : 0.0);
}

apr_status_t cli_stack_give_up(const cli_t *cli, cli_stack_t *stack, uint64_t dirty, char *line,
                               size_t len)
{
    char shown[32];
    uint64_t lost = 0;
    apr_status_t status = cachefs_destroy(stack->cache, CACHEFS_END_KEEP, 0, &lost);
    int kept = status != VFS_EDIRTY;
    cli_show_bytes(shown, sizeof(shown), (double)(kept ? dirty : lost));
    if (kept)
        (void)snprintf(line, len,
                       "%s could not be written to %s; %s has them, for the next cache on it",
                       shown, stack->uri, cli->opt.store);
    else
        (void)snprintf(line, len, "%s could not be written to %s and are lost", shown, stack->uri);
    if (kept) return status;
    if (stack->store == NULL) return cachefs_destroy(stack->cache, CACHEFS_END_DISCARD, 0, NULL);
    status = vfs_destroy(stack->cache); /* what its journal has stays there */
    return status == VFS_EDIRTY ? APR_SUCCESS : status;
}

int cli_stack_close(cli_t *cli, cli_stack_t *stack)
{
    char why[2 * VFS_PATH_MAX];
    uint64_t dirty = 0;
    int code = CLI_DONE;
    if (cli->opt.stats && stack->top != NULL) show_stats(cli, stack);
    if (stack->cache != NULL) {
        apr_status_t status =
            cachefs_destroy(stack->cache, CACHEFS_END_WAIT, FLUSH_TIMEOUT_US, &dirty);
        if (status == VFS_EDIRTY) {
            status = cli_stack_give_up(cli, stack, dirty, why, sizeof(why));
            cli_error(cli, "%s", why);
            code = CLI_SOME_FAILED;
        }
        if (status != APR_SUCCESS) {
            cli_error(cli, "%s: %s", stack->uri, vfs_strerror(status, why, sizeof(why)));
            code = CLI_SOME_FAILED;
        }
        stack->cache = NULL;
        stack->top = stack->counter;
    }
    end_all(stack);
    return code;
}
