/*
 * compare.c - `cachefs compare`: the same files through cachefs, through corfs and directly, in one
 * table. Floor 4. The parent: it prepares, runs one child a layer, gathers the rows; see compare.h.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_strings.h>

#include "backends/backends.h"
#include "tools/compare.h"

#define ROWS_MAX (CLI_LAYERS_MAX * CLI_PHASES_MAX)

typedef struct parent_t {
    cli_t *cli;
    char *work_dir; /* ours alone; removed in the end */
    row_t rows[ROWS_MAX];
    size_t row_count;
} parent_t;

static int layer_wanted(const cli_t *cli, unsigned layer)
{
    return cli->opt.layers == 0 || (cli->opt.layers & 1u << layer);
}

static size_t rows_wanted(const cli_t *cli)
{
    size_t count = 0;
    for (unsigned layer = 0; layer < CLI_LAYERS_MAX; layer++)
        for (unsigned phase = 0; phase < CLI_PHASES_MAX; phase++)
            count += layer_wanted(cli, layer) &&
                     (cli->opt.phases == 0 || (cli->opt.phases & 1u << phase)) &&
                     compare_has((compare_layer_e)layer, (compare_phase_e)phase);
    return count;
}

/* ---- the directory */

static int make_work_dir(parent_t *parent)
{
    const char *tmp = getenv("TMPDIR");
    if (tmp == NULL || tmp[0] == '\0') tmp = "/tmp";
    parent->work_dir = apr_pstrcat(parent->cli->pool, tmp, "/cachefs-compare-XXXXXX", NULL);
    if (mkdtemp(parent->work_dir) != NULL) return CLI_DONE;
    cli_error(parent->cli, "%s: %s (TMPDIR names another place)", tmp, strerror(errno));
    parent->work_dir = NULL;
    return CLI_USAGE;
}

void compare_remove(const cli_t *cli, const char *dir)
{
    vfs_t *fs = NULL;
    char why[256];
    apr_pool_t *pool = NULL;
    apr_status_t status = apr_pool_create(&pool, NULL);
    if (status == APR_SUCCESS) status = vfs_local_create(&fs, dir, pool);
    if (status == APR_SUCCESS) {
        status = vfs_remove_all(fs, NULL, "/");
        (void)vfs_destroy(fs); /* it holds nothing back */
    }
    if (rmdir(dir) != 0 && status == APR_SUCCESS) status = APR_FROM_OS_ERROR(errno);
    if (status != APR_SUCCESS)
        cli_error(cli, "%s is left behind: %s", dir, vfs_strerror(status, why, sizeof(why)));
    if (pool != NULL) apr_pool_destroy(pool);
}

/* ---- the reference */

static void print_head(const parent_t *parent, const reference_t *reference)
{
    const cli_t *cli = parent->cli;
    char bytes[32], ttl[64] = "", rtt[32], ram[64] = "";
    FILE *out = cli->opt.json ? stderr : stdout;
    /* both keys are there, whatever the values */
    (void)cachefs_config_get(&cli->opt.config, "attr_ttl", ttl, sizeof(ttl));
    (void)cachefs_config_get(&cli->opt.config, "ram", ram, sizeof(ram));
    if (cli->opt.json && cli->opt.quiet) return;
    (void)fprintf(out, "%zu file%s, %s, of %s", reference->count, reference->count == 1 ? "" : "s",
                  cli_show_bytes(bytes, sizeof(bytes), (double)reference->bytes), cli->args[0]);
    if (cli->opt.delay.rtt_us > 0)
        (void)fprintf(out, ", behind a simulated remote with a round trip of %s",
                      cli_show_us(rtt, sizeof(rtt), (double)cli->opt.delay.rtt_us));
    (void)fprintf(
        out,
        "\ncachefs: ram %s, attr_ttl %s (this verb's default is 1 h; --attr-ttl changes it;\n"
        "the phase revalidated runs with 0); corfs: %s\n\n",
        ram, ttl,
        cli->opt.corfs_flags == VFS_CORFS_SERVE ? "served from its copy once that is whole"
                                                : "exactly as the Go library does");
    if (reference->bytes > cli->opt.config.ram_bytes)
        cli_note(cli, "the files are larger than the cache: --ram makes it larger");
}

/* Read every file straight from the origin, without a delay. */
static int make_reference(parent_t *parent)
{
    cli_t *cli = parent->cli;
    cli_stack_t stack;
    warm_plan_t *plan = NULL;
    reference_t reference = {0};
    char why[256];
    vfs_delay_t delay = cli->opt.delay;
    memset(&cli->opt.delay, 0, sizeof(cli->opt.delay));
    int code = cli_stack_open(cli, &stack, cli->args[0], 0);
    cli->opt.delay = delay;
    if (code != CLI_DONE) return code;
    code = cli_plan(cli, &plan, stack.top, cli->args[0]);
    if (code == CLI_DONE) code = reference_make(cli, &reference, stack.top, plan);
    if (code == CLI_DONE && reference.count == 0 && !cli_stopped(cli)) {
        cli_error(cli, "there is no file to read");
        code = atomic_load(&cli->failures) > 0 ? CLI_SOME_FAILED : CLI_USAGE;
    }
    if (code == CLI_DONE && !cli_stopped(cli)) {
        const char *file = apr_pstrcat(cli->pool, parent->work_dir, "/reference", NULL);
        apr_status_t status = reference_save(&reference, file);
        if (status != APR_SUCCESS) {
            cli_error(cli, "%s: %s (TMPDIR names another place)", file,
                      vfs_strerror(status, why, sizeof(why)));
            code = CLI_SOME_FAILED;
        } else {
            print_head(parent, &reference);
        }
    }
    reference_free(&reference);
    int closed = cli_stack_close(cli, &stack);
    return code != CLI_DONE ? code : closed;
}

/* ---- children */

/* Our own command line, and what makes a child of it. */
static char *const *child_args(const parent_t *parent, const char *layer)
{
    const cli_t *cli = parent->cli;
    apr_pool_t *pool = cli->pool;
    char **args = apr_pcalloc(pool, ((size_t)cli->argc + 5) * sizeof(*args));
    int n = 0;
    args[n++] = apr_pstrdup(pool, cli->argv[0]);
    args[n++] = apr_pstrdup(pool, cli->verb->name);
    args[n++] =
        apr_pstrcat(pool, "--as=", layer, NULL); /* first: behind a "--" it would be a PATH */
    args[n++] = apr_pstrcat(pool, "--work-dir=", parent->work_dir, NULL);
    for (int i = 1; i < cli->argc; i++)
        args[n++] = apr_pstrdup(pool, cli->argv[i]);
    return args;
}

static pid_t start_child(parent_t *parent, const char *layer, int *rows_fd)
{
    char *const *args = child_args(parent, layer);
    int ends[2];
    if (pipe(ends) != 0) return -1;
    (void)fflush(stdout); /* or the child had it too; cli_finish reports a failure */
    pid_t pid = fork();
    if (pid == 0) {
        /* between fork and exec: system calls only */
        if (ends[1] != COMPARE_REPORT_FD) {
            (void)dup2(ends[1], COMPARE_REPORT_FD);
            (void)close(ends[1]);
        }
        if (ends[0] != COMPARE_REPORT_FD) (void)close(ends[0]);
        (void)execv("/proc/self/exe", args);
        (void)execvp(args[0], args);
        _exit(CLI_INTERNAL);
    }
    (void)close(ends[1]);
    *rows_fd = ends[0];
    if (pid < 0) (void)close(ends[0]);
    return pid;
}

static void take_row(parent_t *parent, const row_t *row)
{
    if (parent->row_count == ROWS_MAX || row->layer >= CLI_LAYERS_MAX ||
        row->phase >= CLI_PHASES_MAX)
        return;
    parent->rows[parent->row_count++] = *row;
    if (!parent->cli->opt.json) report_row(row);
}

/* Take rows until the child is done. A signal to us is one to it; a second one, or ten seconds
 * more, kill it. */
static void take_rows(parent_t *parent, pid_t pid, int fd)
{
    struct pollfd wait = {fd, POLLIN, 0};
    row_t row;
    size_t len = 0;
    int told = 0;
    uint64_t told_ns = 0;
    for (;;) {
        int count = cli_signalled(NULL);
        if (told > 0 && cli_now_ns() - told_ns > 10000000000u) count = told + 1;
        if (count > told) {
            (void)kill(pid, count > 1 ? SIGKILL : SIGTERM);
            told = count;
            told_ns = cli_now_ns();
        }
        /* a signal may come between the look and the wait */
        if (poll(&wait, 1, 100) <= 0) continue;
        ssize_t n = read(fd, (char *)&row + len, sizeof(row) - len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        len += (size_t)n;
        if (len < sizeof(row)) continue;
        take_row(parent, &row);
        len = 0;
    }
}

static int run_child(parent_t *parent, const char *layer)
{
    cli_t *cli = parent->cli;
    int fd = -1, how = 0;
    pid_t pid = start_child(parent, layer, &fd);
    if (pid < 0) {
        cli_error(cli, "cannot start a process: %s", strerror(errno));
        return CLI_INTERNAL;
    }
    take_rows(parent, pid, fd);
    (void)close(fd);
    while (waitpid(pid, &how, 0) < 0 && errno == EINTR)
        continue;
    if (cli_stopped(cli)) return CLI_DONE; /* cli_finish knows why */
    if (WIFEXITED(how)) return WEXITSTATUS(how);
    cli_error(cli, "the process of %s was ended by signal %d", layer, WTERMSIG(how));
    return CLI_INTERNAL;
}

static int run_layers(parent_t *parent)
{
    cli_t *cli = parent->cli;
    int worst = CLI_DONE;
    if (!cli->opt.json) report_head();
    for (unsigned layer = 0; layer < CLI_LAYERS_MAX && !cli_stopped(cli); layer++) {
        if (!layer_wanted(cli, layer)) continue;
        int code = run_child(parent, compare_layers[layer]);
        if (code > worst) worst = code;
    }
    return worst;
}

static void report(const parent_t *parent)
{
    const cli_t *cli = parent->cli;
    if (cli->opt.json)
        report_json(parent->rows, parent->row_count);
    else if (!cli_stopped(cli))
        report_tail(parent->rows, parent->row_count);
    if (cli_signalled(NULL) > 0)
        cli_error(cli, "interrupted: %zu of %zu rows are there", parent->row_count,
                  rows_wanted(cli));
}

static int run(cli_t *cli)
{
    parent_t parent = {.cli = cli};
    cli_signals(cli, 1); /* a second signal must not leave the directory, nor cut a child off */
    if (cli->opt.child_layer != NULL) return compare_child(cli);
    if (rows_wanted(cli) == 0) {
        cli_error(
            cli,
            "none of these layers has any of these phases; warm and revalidated are cachefs's");
        return CLI_USAGE;
    }
    int code = make_work_dir(&parent);
    if (code == CLI_DONE) code = make_reference(&parent);
    if (code == CLI_DONE && !cli_stopped(cli)) code = run_layers(&parent);
    if (code == CLI_DONE || parent.row_count > 0 || cli_signalled(NULL) > 0) report(&parent);
    if (parent.work_dir != NULL) compare_remove(cli, parent.work_dir);
    return code;
}

const cli_verb_t cli_compare = {
    .name = "compare",
    .bit = CLI_COMPARE,
    .args_min = 1,
    .args_max = -1,
    .usage = "ORIGIN [PATH...] --list FILE [options]",
    .summary = "read the same files through cachefs, corfs and directly, in one table",
    .text = "Reads files cold, warms them, reads them hot, with each open revalidated, at random "
            "and in\n"
            "parallel: directly, through corfs (a plain copy-on-read layer, with its copy on disk) "
            "and through\n"
            "cachefs. Everything that is read is compared, by checksum, with a first reading of "
            "the origin.\n"
            "Each layer runs in a process of its own.\n"
            "\n"
            "  cachefs ls file:///usr/include -R --files > list\n"
            "  cachefs compare file:///usr/include --list list --delay 5ms\n"
            "\n"
            "Layers: direct, corfs, cachefs. Phases, of those layers that have them: cold (nothing "
            "is there),\n"
            "warm (filled on purpose, by --jobs threads, 16 by default), hot (all is there), "
            "revalidated (the same,\n"
            "but attributes are trusted for no time), random (4 KiB anywhere, opened and closed "
            "for each),\n"
            "parallel (hot, on --jobs threads, 4 by default).\n"
            "\n"
            "It trusts attributes for 1 h (attr_ttl) unless told otherwise, and says so.\n"
            "--json prints an array of objects with layer, phase, files, bytes, seconds, p50_us, "
            "p99_us,\n"
            "hit_ratio, backend_bytes and rss_bytes (the most memory of the layer's process so "
            "far). A file that\n"
            "fails, or whose bytes differ, makes the exit code 1.\n",
    .run = run,
};
