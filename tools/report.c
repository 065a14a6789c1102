/*
 * report.c - messages, signals, and what a run comes to in the end.
 * Floor 4, private to tools/. Results go to standard output, everything else to standard error.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "tools/cli.h"

static vfs_cancel_t *signal_cancel;
static atomic_int output_error; /* the errno of the first write to standard output that failed */
static volatile sig_atomic_t signal_count, signal_number, signal_hold;

static void on_signal(int number)
{
    signal_number = number;
    signal_count = signal_count + 1;
    vfs_cancel_raise(signal_cancel);
    if (signal_count > 1 && !signal_hold) _exit(CLI_SIGNAL + number);
}

void cli_signals(cli_t *cli, int hold)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    (void)sigemptyset(&action.sa_mask);
    signal_cancel = cli->cancel;
    signal_hold = hold;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct sigaction before;
        /* what nohup or a shell's background job ignores stays ignored */
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN) continue;
        (void)sigaction(numbers[i], &action, NULL); /* these can be caught */
    }
    (void)signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of a write */
}

int cli_signalled(int *number)
{
    if (number != NULL) *number = signal_number;
    return signal_count;
}

static void say(const cli_t *cli, const char *format, va_list args)
{
    char text[VFS_PATH_MAX + 1024];
    (void)vsnprintf(text, sizeof(text), format, args);
    /* one call, so that lines of several threads do not mix; on a terminal over the progress bar */
    (void)fprintf(stderr, "%scachefs%s%s: %s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "",
                  cli->verb != NULL ? " " : "", cli->verb != NULL ? cli->verb->name : "", text);
}

void cli_error(const cli_t *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(cli, format, args);
    va_end(args);
}

void cli_note(const cli_t *cli, const char *format, ...)
{
    va_list args;
    if (cli->opt.quiet) return;
    va_start(args, format);
    say(cli, format, args);
    va_end(args);
}

/* What a user may not see in the status alone. "" if there is nothing more to say. */
static const char *hint(const char *uri, const char *path, apr_status_t status, apr_pool_t *pool)
{
    if (uri == NULL) return "";
    const char *inside = APR_STATUS_IS_ENOENT(status) ? cli_path_in_origin(uri, path, pool) : NULL;
    if (inside != NULL)
        return apr_pstrcat(pool, " (paths are those of the stack: write ", inside, ")", NULL);
    if (status == VFS_EFORMAT && strncmp(uri, "http", 4) == 0 && strstr(uri, "listing=") == NULL)
        return " (of a directory that may be a page that is no known kind of listing: listing=html "
               "behind the URI's '?' takes the links of any page)";
    if (APR_STATUS_IS_EACCES(status) && cli_leads_out(uri, path, pool))
        return " (a symbolic link leads out of the origin)";
    return "";
}

void cli_file_failed(cli_t *cli, const char *uri, const char *path, apr_status_t status)
{
    char why[256];
    apr_pool_t *scratch = NULL;
    if (status == VFS_ECANCELED && cli_signalled(NULL) > 0) return;
    atomic_fetch_add_explicit(&cli->failures, 1, memory_order_relaxed);
    if (status == VFS_EOFFLINE) atomic_fetch_add_explicit(&cli->offline, 1, memory_order_relaxed);
    if (apr_pool_create(&scratch, NULL) != APR_SUCCESS) uri = NULL;
    cli_error(cli, "%s: %s%s", path[0] != '\0' ? path : "an empty path (the root is /)",
              vfs_strerror(status, why, sizeof(why)), hint(uri, path, status, scratch));
    if (scratch != NULL) apr_pool_destroy(scratch);
}

void cli_output_failed(int error)
{
    int none = 0;
    (void)atomic_compare_exchange_strong(&output_error, &none, error != 0 ? error : EIO);
}

int cli_stopped(const cli_t *cli)
{
    int error = errno; /* of the write, if it is called right behind one */
    if (ferror(stdout)) cli_output_failed(error);
    return vfs_cancel_raised(cli->cancel) || atomic_load(&output_error) != 0;
}

int cli_finish(cli_t *cli, int code)
{
    int number = 0;
    if (fflush(stdout) != 0) cli_output_failed(errno);
    int error = atomic_load(&output_error);
    if (error != 0 && code == CLI_DONE) {
        /* whoever closed the pipe knows that */
        if (error != EPIPE) cli_error(cli, "cannot write standard output: %s", strerror(error));
        code = CLI_SOME_FAILED;
    }
    if (cli_signalled(&number) > 0) return CLI_SIGNAL + number;
    if (code != CLI_DONE) return code;
    if (atomic_load_explicit(&cli->offline, memory_order_relaxed) > 0) return CLI_UNREACHABLE;
    return atomic_load_explicit(&cli->failures, memory_order_relaxed) > 0 ? CLI_SOME_FAILED
                                                                          : CLI_DONE;
}

void cli_print_name(FILE *out, const char *name)
{
    if (!isatty(fileno(out))) {
        (void)fputs(name, out);
        return;
    }
    for (const unsigned char *s = (const unsigned char *)name; *s != 0; s++)
        (void)putc(*s < 0x20 || *s == 0x7f ? '?' : *s, out);
}
