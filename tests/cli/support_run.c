/*
 * support_run.c - runs the program under a test, and keeps what it said.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/cli/support_run.h"

#define ARGS_MAX 64
#define TOO_LONG_S 300.0

static void die(const char *what)
{
    perror(what);
    abort();
}

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static const char *need_env(const char *name)
{
    const char *value = getenv(name);
    if (value == NULL) {
        (void)fprintf(stderr, "%s is not set: run this test with ctest\n", name);
        abort();
    }
    return value;
}

const char *sick_plugin(void)
{
    return need_env("CACHEFS_PLUGIN_SICK");
}

/* A pair of ends, the first ours: a pipe, or a terminal and its other side. */
static void make_ends(int ends[2], int terminal)
{
    if (!terminal) {
        if (pipe(ends) != 0) die("pipe");
    } else {
        ends[0] = posix_openpt(O_RDWR | O_NOCTTY);
        if (ends[0] < 0 || grantpt(ends[0]) != 0 || unlockpt(ends[0]) != 0) die("posix_openpt");
        ends[1] = open(ptsname(ends[0]), O_RDWR | O_NOCTTY);
        if (ends[1] < 0) die("ptsname");
    }
    (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
}

/* Mappings of 256 GiB fail: a limit of the process's memory would also stop a sanitizer's. */
static void refuse_large_mappings(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_mmap, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1]) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 256u >> 2, 0, 1), /* the upper half of its length */
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(rules) / sizeof(rules[0]), rules};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        die("seccomp");
}

static void child(const how_t *how, const char *program, char *const *args, int out, int err)
{
    int in[2];
    if (how->input != NULL && pipe(in) == 0) {
        /* test inputs fit into a pipe */
        if (write(in[1], how->input, strlen(how->input)) < 0) _exit(99);
        (void)close(in[1]);
        (void)dup2(in[0], 0);
        (void)close(in[0]);
    } else {
        int none = open("/dev/null", O_RDONLY);
        (void)dup2(none, 0);
        (void)close(none);
    }
    if (how->out_file != NULL) out = open(how->out_file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (how->env != NULL) (void)putenv((char *)(uintptr_t)how->env);
    (void)dup2(out, 1);
    (void)dup2(err, 2);
    for (int fd = 3; fd < 20; fd++)
        (void)close(fd);
    if (how->unprivileged) {
        /* fails for who has no privilege to lose */
        (void)prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE);
        (void)prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH);
    }
    if (how->no_memory) refuse_large_mappings();
    (void)execv(program, args);
    _exit(98);
}

/* Take what is there to read. 0 at the end. */
static int take(int fd, char **text, size_t *len)
{
    char buf[65536];
    ssize_t n = read(fd, buf, sizeof(buf));
    if (n < 0 && errno == EINTR) return 1;
    if (n <= 0) return 0; /* EIO: the other side of a terminal is closed */
    *text = realloc(*text, *len + (size_t)n + 1);
    memcpy(*text + *len, buf, (size_t)n);
    *len += (size_t)n;
    (*text)[*len] = '\0';
    return 1;
}

/* Does the process catch the signal by now? */
static int catches(pid_t pid, int signal)
{
    char path[40], line[200];
    unsigned long long mask = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "SigCgt: %llx", &mask) == 1) break;
    if (file != NULL) (void)fclose(file); /* only read */
    return (mask >> (signal - 1) & 1) != 0;
}

/* Is it time to send the signal? *ready: since when it is caught, 0 before that. */
static int is_due(const run_t *run, const how_t *how, pid_t pid, double *ready)
{
    if (how->signal_on != NULL)
        return strstr(run->err, how->signal_on) != NULL || strstr(run->out, how->signal_on) != NULL;
    if (how->signal_file != NULL) return access(how->signal_file, F_OK) == 0;
    if (*ready == 0 && catches(pid, how->signal)) *ready = now();
    return *ready != 0 && now() - *ready >= how->signal_after;
}

static void listen_to(run_t *run, const how_t *how, pid_t pid, int out, int err, double started)
{
    struct pollfd fds[2] = {{out, POLLIN, 0}, {err, POLLIN, 0}};
    int told = how->signal == 0;
    double ready = 0;
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        double past = now() - started;
        (void)poll(fds, 2, 20);
        if (fds[0].fd >= 0 && fds[0].revents && !take(out, &run->out, &run->out_len))
            fds[0].fd = -1;
        if (fds[1].fd >= 0 && fds[1].revents && !take(err, &run->err, &run->err_len))
            fds[1].fd = -1;
        if (!told && is_due(run, how, pid, &ready)) {
            (void)kill(pid, how->signal);
            told = 1;
        }
        if (past > TOO_LONG_S) {
            (void)fprintf(stderr, "the program hangs; it said: %s%s\n", run->out, run->err);
            (void)kill(pid, SIGKILL);
            abort();
        }
    }
}

static run_t run_args(const how_t *how, char *const *args)
{
    run_t run = {.out = calloc(1, 1), .err = calloc(1, 1)};
    const char *program = need_env("CACHEFS_PROGRAM");
    struct rusage usage = {0};
    int out[2], err[2], status = 0;
    double started = now();
    make_ends(out, 0);
    make_ends(err, how->on_terminal);
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (pid == 0) {
        if (how->close_out) (void)close(out[0]);
        child(how, program, args, out[1], err[1]);
    }
    (void)close(out[1]);
    (void)close(err[1]);
    if (how->close_out) {
        (void)close(out[0]);
        out[0] = -1;
    }
    listen_to(&run, how, pid, out[0], err[0], started);
    while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR)
        continue;
    if (out[0] >= 0) (void)close(out[0]);
    (void)close(err[0]);
    run.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    run.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    run.seconds = now() - started;
    run.peak_rss = (uint64_t)usage.ru_maxrss * 1024;
    (void)keep(run.out);
    (void)keep(run.err);
    return run;
}

static void gather(char **args, const char *arg, va_list more)
{
    size_t n = 0;
    args[n++] = (char *)(uintptr_t) "cachefs";
    for (; arg != NULL && n < ARGS_MAX; arg = va_arg(more, const char *))
        args[n++] = (char *)(uintptr_t)arg;
    args[n] = NULL;
}

run_t run(const char *arg, ...)
{
    char *args[ARGS_MAX + 2];
    const how_t how = {0};
    va_list more;
    va_start(more, arg);
    gather(args, arg, more);
    va_end(more);
    return run_args(&how, args);
}

run_t run_how(const how_t *how, const char *arg, ...)
{
    char *args[ARGS_MAX + 2];
    va_list more;
    va_start(more, arg);
    gather(args, arg, more);
    va_end(more);
    return run_args(how, args);
}
