/*
 * process.c - keys that a program prints (credential_process). Floor 2. It runs without a shell, in
 * a group of its own, with nothing to read and nobody to hear its complaints: what it prints may be
 * secrets. It has a time to end in, and a bound for what it says; then its group is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/s3/profile.h"

#define WORDS_MAX 128u
#define REPLY_MAX 65536u
#define TICK_MS 50 /* how soon its end, or that of the caller's time, is seen */

/* ---- words */

/* What a backslash means: within double quotes it is one before those and itself alone. */
static int escapes(char quote, char next)
{
    if (quote == '\'' || next == '\0') return 0;
    return quote == '\0' || next == '"' || next == '\\';
}

int s3__words(char *line, char **argv, size_t max)
{
    char *out = line, quote = '\0';
    int count = 0, in_word = 0;
    for (const char *at = line; *at != '\0'; at++) {
        char c = *at;
        if (quote == '\0' && (c == ' ' || c == '\t')) {
            if (in_word) *out++ = '\0';
            in_word = 0;
            continue;
        }
        if (!in_word) {
            if ((size_t)count + 1 >= max) return -1;
            argv[count++] = out;
            in_word = 1;
        }
        if (c == '\\' && escapes(quote, at[1]))
            *out++ = *++at;
        else if (quote == '\0' && (c == '"' || c == '\''))
            quote = c;
        else if (quote != '\0' && c == quote)
            quote = '\0';
        else
            *out++ = c;
    }
    *out = '\0';
    argv[count] = NULL;
    return quote == '\0' ? count : -1;
}

/* ---- running */

typedef struct run_t {
    pid_t pid;
    int fd;            /* what it prints */
    int ended, status; /* as waitpid has it */
    char *text;
    size_t len;
} run_t;

static int spawn(run_t *r, char *const *argv)
{
    int pipes[2] = {-1, -1};
    sigset_t none, all;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    if (pipe2(pipes, O_CLOEXEC) != 0) return errno;
    (void)sigemptyset(&none); /* neither these nor those below fail for what they are given */
    (void)sigfillset(&all);
    int error = posix_spawn_file_actions_init(&files);
    if (error == 0) {
        error = posix_spawnattr_init(&attr);
        if (error == 0) {
            int kinds = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
            error = posix_spawnattr_setflags(&attr, (short)kinds);
            if (error == 0) error = posix_spawnattr_setpgroup(&attr, 0);
            if (error == 0) error = posix_spawnattr_setsigmask(&attr, &none);
            if (error == 0) error = posix_spawnattr_setsigdefault(&attr, &all);
            if (error == 0)
                error = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
            if (error == 0) error = posix_spawn_file_actions_adddup2(&files, pipes[1], 1);
            if (error == 0)
                error = posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
            if (error == 0) error = posix_spawnp(&r->pid, argv[0], &files, &attr, argv, environ);
            (void)posix_spawnattr_destroy(&attr);
        }
        (void)posix_spawn_file_actions_destroy(&files);
    }
    (void)close(pipes[1]); /* the program has its own */
    if (error != 0)
        (void)close(pipes[0]); /* nothing was read */
    else
        r->fd = pipes[0];
    return error;
}

static void look_for_end(run_t *r, int wait)
{
    pid_t found;
    if (r->ended) return;
    do
        found = waitpid(r->pid, &r->status, wait ? 0 : WNOHANG);
    while (found < 0 && errno == EINTR);
    r->ended = found == r->pid || found < 0;
    if (found < 0) r->status = 0; /* somebody else waits for all: what it printed has to tell */
}

/* Until it has ended and there is nothing more to read: who of its group still has the pipe is not
 * waited for. */
static apr_status_t hear(run_t *r, const vfs_ctx_t *ctx, apr_time_t end)
{
    int closed = 0;
    for (;;) {
        struct pollfd p = {.fd = r->fd, .events = POLLIN};
        int was_ended = r->ended;
        int ready =
            closed ? poll(NULL, 0, r->ended ? 0 : TICK_MS) : poll(&p, 1, r->ended ? 0 : TICK_MS);
        if (ready < 0 && errno != EINTR) return apr_get_os_error();
        ssize_t n = ready > 0 ? read(r->fd, r->text + r->len, REPLY_MAX - r->len) : 0;
        if (n > 0) r->len += (size_t)n;
        if (ready > 0 && n == 0) closed = 1;
        if (r->len == REPLY_MAX) return VFS_ELIMIT;
        if (was_ended && ready == 0) return APR_SUCCESS;
        apr_status_t status = vfs_ctx_check(ctx);
        if (status != APR_SUCCESS) return status;
        if (!r->ended && apr_time_now() >= end) return APR_TIMEUP;
        look_for_end(r, 0);
    }
}

static apr_status_t run(run_t *r, const vfs_ctx_t *ctx, int64_t limit_us)
{
    apr_status_t status = hear(r, ctx, apr_time_now() + limit_us);
    if (status != APR_SUCCESS) (void)kill(-r->pid, SIGKILL); /* it has gone already, then */
    look_for_end(r, 1);
    (void)close(r->fd); /* it was read only */
    return status;
}

/* ---- what came of it */

static apr_status_t judge(const run_t *r, apr_status_t status, const vfs_ctx_t *ctx,
                          int64_t limit_us, s3_creds_t *creds, char *why, size_t size)
{
    char code[64];
    if (vfs_ctx_check(ctx) != APR_SUCCESS) {
        (void)snprintf(why, size, "it was not waited for");
    } else if (status == APR_TIMEUP) {
        (void)snprintf(why, size, "it did not end in %lld s, and was killed",
                       (long long)(limit_us / 1000000));
        return VFS_EOFFLINE;
    } else if (status == VFS_ELIMIT) {
        (void)snprintf(why, size, "it printed more than %u bytes", REPLY_MAX - 1);
        return VFS_EFORMAT;
    } else if (!WIFEXITED(r->status) || WEXITSTATUS(r->status) != 0) {
        (void)snprintf(why, size, "it ended with %s %d; run it by hand to see what it says",
                       WIFEXITED(r->status) ? "code" : "signal",
                       WIFEXITED(r->status) ? WEXITSTATUS(r->status) : WTERMSIG(r->status));
        return APR_FROM_OS_ERROR(EACCES);
    } else {
        status = s3__lent_json(creds, code, r->text, r->len);
        if (status != APR_SUCCESS)
            (void)snprintf(why, size,
                           "what it printed is no key: it has to be JSON with Version 1, "
                           "AccessKeyId, SecretAccessKey, and SessionToken and Expiration where "
                           "there are such");
    }
    return status;
}

/* `line` is a copy of the command. */
static apr_status_t lend(run_t *r, char *line, const vfs_ctx_t *ctx, int64_t limit_us,
                         s3_creds_t *creds, char *why, size_t size)
{
    char *argv[WORDS_MAX];
    int count = s3__words(line, argv, WORDS_MAX);
    if (count < 1) {
        (void)snprintf(why, size, "%s",
                       count == 0 ? "no program is named"
                                  : "a quote is not closed, or it has too many words");
        return APR_FROM_OS_ERROR(EACCES);
    }
    int error = spawn(r, argv);
    if (error != 0) {
        (void)snprintf(why, size, "%s cannot be run: %s", argv[0], strerror(error));
        return APR_FROM_OS_ERROR(EACCES);
    }
    return judge(r, run(r, ctx, limit_us), ctx, limit_us, creds, why, size);
}

apr_status_t s3__lend_process(const vfs_ctx_t *ctx, const char *command, int64_t limit_us,
                              s3_creds_t *creds, char *err, size_t errlen)
{
    char why[256] = "no memory";
    size_t len = strlen(command);
    run_t r = {.fd = -1, .text = malloc(REPLY_MAX)};
    char *line = r.text != NULL ? malloc(len + 1) : NULL;
    apr_status_t status = APR_ENOMEM;
    if (line != NULL) {
        memcpy(line, command, len + 1);
        status = lend(&r, line, ctx, limit_us, creds, why, sizeof(why));
        explicit_bzero(line, len);
        explicit_bzero(r.text, REPLY_MAX);
    }
    if (status != APR_SUCCESS) (void)snprintf(err, errlen, "credential_process: %s", why);
    free(r.text);
    free(line);
    return status;
}
