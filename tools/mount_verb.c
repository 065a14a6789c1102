/*
 * mount_verb.c - the verbs mount and unmount.
 * Floor 4.
 *
 * The program that mounts goes behind: all that can be wrong is checked, and the stack is opened,
 * before the one in front ends, which waits until the kernel had its first answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_strings.h>

#include "tools/mount.h"
#include "tools/mount_http.h"

/* ---- what the mount is told */

static void share_ttl(mount_run_t *run, cachefs_config_t *cache, mount_config_t *config)
{
    mount_ttl_t *ttl = &run->ttl;
    ttl->attr_us = cache->attr_ttl_us;
    ttl->negative_us = cache->negative_ttl_us;
    ttl->by_path = cache->ttl_rules != NULL && cache->ttl_rules[0] != '\0';
    cache->attr_ttl_us = mount_ttl_cache(ttl, ttl->attr_us);
    cache->negative_ttl_us = mount_ttl_cache(ttl, ttl->negative_us);
    config->attr_ttl_us = mount_ttl_kernel(ttl, ttl->attr_us);
    config->negative_ttl_us = mount_ttl_kernel(ttl, ttl->negative_us);
}

/* What cannot be written is mounted read-only; what root mounts is for all. */
static const char *kernel_options(const cli_t *cli, vfs_t *fs)
{
    const char *given = cli->opt.kernel_options != NULL ? cli->opt.kernel_options : "";
    const char *list = given;
    if (!(vfs_caps(fs)->bits & VFS_CAP_WRITE))
        list = apr_pstrcat(cli->pool, list, list[0] != '\0' ? ",ro" : "ro", NULL);
    if (geteuid() == 0 && strstr(given, "allow_") == NULL)
        list = apr_pstrcat(cli->pool, list, list[0] != '\0' ? ",allow_other" : "allow_other", NULL);
    return list;
}

static int start_access(mount_run_t *run)
{
    char why[VFS_PATH_MAX + 256];
    if (run->cli->opt.access_log == NULL) return CLI_DONE;
    const char *wrong = mount_access_set(run, run->cli->opt.access_log, why, sizeof(why));
    if (wrong == NULL) return CLI_DONE;
    cli_error(run->cli, "--access-log: %s", wrong);
    return CLI_USAGE;
}

static int start(mount_run_t *run)
{
    cli_t *cli = run->cli;
    char err[512] = "";
    mount_config_t config = {.mountpoint = run->point,
                             .source = cli->opt.fsname != NULL ? cli->opt.fsname : cli->args[0],
                             .inodes_max = cli->opt.inodes_max,
                             .threads = cli->opt.threads,
                             .state = mount_state,
                             .state_baton = run,
                             .access = mount_access_line,
                             .log = mount_say,
                             .baton = cli};
    if (cli->opt.log_level != NULL) (void)mount_log_set(cli->opt.log_level); /* it is one */
    share_ttl(run, &cli->opt.config, &config);
    config.watch = cli->opt.config.watch;
    cli->opt.config.log = mount_say;
    cli->opt.config.log_baton = cli;
    int code = cli_stack_open(cli, &run->stack, cli->args[0], 1);
    if (code != CLI_DONE) return code;
    config.options = kernel_options(cli, run->stack.top);
    config.flush_on_close = cli->opt.config.mode == CACHEFS_BACK
                                ? cli->opt.config.flush_on_close
                                : (vfs_caps(run->stack.top)->bits & VFS_CAP_STAGED) != 0;
    code = mount_control_open(run);
    if (code == CLI_DONE) {
        if (mount_open(&run->mount, run->stack.top, &config, err, sizeof(err)) != APR_SUCCESS) {
            cli_error(cli, "%s: %s", run->point, err);
            code = CLI_UNREACHABLE;
        } else {
            code = start_access(run);
            if (code == CLI_DONE) code = mount_http_open(&run->http, run);
            if (code != CLI_DONE) {
                mount_close(run->mount);
                mount_access_end();
            }
        }
        if (code != CLI_DONE) mount_control_close(run);
    }
    if (code != CLI_DONE) (void)cli_stack_close(cli, &run->stack); /* nothing was written */
    return code;
}

static int serve(mount_run_t *run)
{
    /* before there is any thread, so that none of them gets these */
    (void)sigemptyset(&run->signals);
    (void)sigaddset(&run->signals, SIGINT);
    (void)sigaddset(&run->signals, SIGTERM);
    (void)sigaddset(&run->signals, SIGHUP);
    (void)sigaddset(&run->signals, SIGUSR1); /* by which its threads are told that it is over */
    (void)pthread_sigmask(SIG_BLOCK, &run->signals, NULL);
    int code = start(run);
    if (code != CLI_DONE) return code;
    code = mount_run(run);
    int closed = cli_stack_close(run->cli, &run->stack);
    return code != CLI_DONE ? code : closed;
}

/* ---- going behind */

/* It must not keep a terminal, a pipe or a directory that others wait for. */
static void go_behind(void)
{
    (void)setsid();   /* we are no leader of a group: just forked */
    (void)chdir("/"); /* it is always there */
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    (void)dup2(fd, STDIN_FILENO); /* these are there */
    (void)dup2(fd, STDOUT_FILENO);
    if (fd > STDERR_FILENO) (void)close(fd);
}

/* In front: "+" says that it answers; the end of the pipe that there is an exit code. */
static int await(cli_t *cli, pid_t pid, int fd)
{
    char sign = 0;
    int status = 0;
    ssize_t got;
    while ((got = read(fd, &sign, 1)) < 0 && errno == EINTR)
        if (cli_signalled(NULL) > 0) (void)kill(pid, SIGTERM); /* it says how it ends */
    if (got == 1) return CLI_DONE;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0) return WEXITSTATUS(status);
    cli_error(cli, "the mount ended before it answered");
    return CLI_INTERNAL;
}

static int serve_behind(mount_run_t *run)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        cli_error(run->cli, "%s", strerror(errno));
        return CLI_INTERNAL;
    }
    (void)fflush(NULL); /* so that nothing is written twice */
    pid_t pid = fork();
    if (pid < 0) {
        cli_error(run->cli, "%s", strerror(errno));
        return CLI_INTERNAL;
    }
    if (pid > 0) {
        (void)close(ends[1]); /* else its end never comes */
        return await(run->cli, pid, ends[0]);
    }
    (void)close(ends[0]); /* the other's */
    run->report = ends[1];
    go_behind();
    return serve(run);
}

static const char *mount_origin(cli_t *cli, const char *text)
{
    return text[0] == '/' || text[0] == '.' ? cli_file_uri(text, cli->pool) : text;
}

/* What the command line names, else what the file does. A directory may be named by its path, as in
 * fstab. */
static int take_places(cli_t *cli)
{
    const char **args = apr_palloc(cli->pool, 2 * sizeof(*args));
    if (cli->nargs == 2) {
        args[0] = mount_origin(cli, cli->args[0]);
        args[1] = cli->args[1];
        cli->args = args;
        return CLI_DONE;
    }
    if (cli->nargs == 1) {
        cli_error(cli, "something is missing; usage: cachefs mount %s", cli->verb->usage);
        return CLI_USAGE;
    }
    if (cli->opt.source == NULL || cli->opt.mountpoint == NULL) {
        cli_error(cli, "which %s? usage: cachefs mount %s; or --config FILE with `%s = ...` in it",
                  cli->opt.source == NULL ? "origin" : "mountpoint", cli->verb->usage,
                  cli->opt.source == NULL ? "source" : "mountpoint");
        return CLI_USAGE;
    }
    args[0] = mount_origin(cli, cli->opt.source);
    args[1] = cli->opt.mountpoint;
    cli->args = args;
    cli->nargs = 2;
    return CLI_DONE;
}

static int run_mount(cli_t *cli)
{
    static mount_run_t run; /* its threads may look at it until the very end */
    int code = take_places(cli);
    if (code != CLI_DONE) return code;
    mount_run_init(&run, cli);
    if (!cli_is_origin(cli->args[0])) {
        cli_error(cli, "%s is a path; an origin begins with its scheme: write %s", cli->args[0],
                  cli_file_uri(cli->args[0], cli->pool));
        return CLI_USAGE;
    }
    run.point = mount_point(cli->args[1], cli->pool);
    if (run.point == NULL) {
        cli_error(cli, "%s: %s%s", cli->args[1], strerror(errno),
                  errno == ENOTCONN ? " (the program of an earlier mount has died; umount it)"
                                    : "");
        return CLI_USAGE;
    }
    code = mount_point_check(cli, run.point, cli->args[0]);
    if (code != CLI_DONE) return code;
    /* behind, the working directory is another one */
    if (cli->opt.store != NULL) cli->opt.store = cli_absolute(cli->opt.store, cli->pool);
    if (cli->opt.access_log != NULL)
        cli->opt.access_log = cli_absolute(cli->opt.access_log, cli->pool);
    return cli->opt.foreground ? serve(&run) : serve_behind(&run);
}

const cli_verb_t cli_mount = {
    .name = "mount",
    .bit = CLI_MOUNT,
    .args_min = 0,
    .args_max = 2,
    .usage = "ORIGIN MOUNTPOINT [-o LIST] [options]",
    .summary = "put the files of an origin into the tree, behind a cache",
    .text =
        "Mounts the stack of ORIGIN (a URI, or a directory's path) at the directory MOUNTPOINT, "
        "and goes behind\n"
        "as soon as it answers. What root mounts is for all users, by the rights that the files "
        "have. -o takes\n"
        "what mount(8) takes, and every option and key of ours by its name: "
        "-o ro,mode=back,attr_ttl=5s\n"
        "\n"
        "  cachefs mount file:///srv/data /mnt --mode back --ram 1g\n"
        "  cachefs unmount /mnt\n"
        "\n"
        "A file for --config has lines such as `mode = back`, `metrics = 127.0.0.1:9470` or "
        "`options = ro`,\n"
        "and `source` and `mountpoint` for what is not on the command line.\n"
        "\n"
        "It ends by `cachefs unmount`, by umount(8), or by a signal; what is dirty is written "
        "to the origin\n"
        "before the program ends.\n",
    .run = run_mount,
};

/* ---- unmount */

/* Nobody listens: the program has died, or its socket was lost. What is left of it goes too. */
static int leave_alone(cli_t *cli, const control_place_t *place)
{
    const char *point = place->point, *left = NULL;
    int error = mount_point_leave(point, strcmp(cli->opt.how, "detach") == 0);
    for (int i = 0; error == 0; i++) {
        left = mount_socket_of(point, place->uid, i, cli->pool);
        if (left == NULL) return CLI_DONE;
        (void)unlink(left); /* it may not be there */
    }
    cli_error(cli, "%s: %s", point, error == EBUSY ? MOUNT_IN_USE : strerror(error));
    return CLI_SOME_FAILED;
}

static int run_unmount(cli_t *cli)
{
    control_place_t place;
    char timeout[24];
    (void)snprintf(timeout, sizeof(timeout), "%llu",
                   (unsigned long long)cli->opt.unmount_timeout_us);
    const char *words[] = {"unmount", cli->opt.how != NULL ? cli->opt.how : "wait", timeout};
    cli->opt.how = words[1];
    int code = control_find(cli, cli->args[0], &place);
    if (code != CLI_DONE) return CLI_SOME_FAILED;
    if (strcmp(place.path, "/") != 0) {
        cli_error(cli, "%s is no mount itself; it lies in %s", cli->args[0], place.point);
        return CLI_USAGE;
    }
    if (!control_reaches(cli, &place)) return leave_alone(cli, &place);
    return control_ask(cli, &place, words, 3, NULL, NULL);
}

const cli_verb_t cli_unmount = {
    .name = "unmount",
    .bit = CLI_UNMOUNT,
    .args_min = 1,
    .args_max = 1,
    .usage = "MOUNTPOINT [--how wait|detach|fail] [--timeout TIME]",
    .summary = "take a mount out of the tree when all is written",
    .text =
        "Ends what `cachefs mount` began, and tells when all is written to the origin.\n"
        "\n"
        "  wait    write out what is dirty, for at most --timeout; then take it away, unless it "
        "is in use\n"
        "  detach  take it away at once; who has files open keeps them, and what is dirty is "
        "written later\n"
        "  fail    do nothing if something is dirty, or in use\n",
    .run = run_unmount,
};
