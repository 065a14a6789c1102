/*
 * mount_control.c - the socket of a mount: one request after another, by one thread.
 * Floor 4, private to tools/. The socket is its owner's alone, by its mode and that of its
 * directory, and who speaks is asked for by the kernel besides.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/mount.h"

#define REQUEST_MAX 256
#define TURN_MS 200
#define REQUEST_WAIT_S 5

/* ---- lines */

/* Whoever asked may be gone; then nobody misses the answer. */
static void send_line(int fd, const char *kind, const char *text)
{
    char line[512];
    int len = snprintf(line, sizeof(line), "%s%s%s\n", kind, text[0] != '\0' ? " " : "", text);
    if (len >= (int)sizeof(line)) len = (int)sizeof(line) - 1;
    (void)send(fd, line, (size_t)len, MSG_NOSIGNAL);
}

static void note(void *baton, const char *line)
{
    send_line(*(int *)baton, "note", line);
}

/* One line without its end. 0: none came. */
static int read_line(int fd, char *line, size_t size)
{
    size_t len = 0;
    while (len + 1 < size) {
        ssize_t got = recv(fd, line + len, 1, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return 0;
        if (line[len] == '\n') {
            line[len] = '\0';
            return 1;
        }
        len++;
    }
    return 0;
}

static int may_speak(int fd)
{
    struct ucred who;
    socklen_t len = sizeof(who);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0) return 0;
    return who.uid == 0 || who.uid == geteuid();
}

/* ---- requests */

static uint64_t dirty_now(mount_run_t *run)
{
    cachefs_stats_t stats = {.size = sizeof(stats)};
    if (run->stack.cache == NULL || cachefs_stats(run->stack.cache, &stats) != APR_SUCCESS)
        return 0;
    return stats.dirty_bytes;
}

/* NULL: it is out of the tree. Else why not; then all is as it was. */
static const char *leave_tree(mount_run_t *run, const char *how, uint64_t timeout_us, int fd)
{
    if (strcmp(how, "fail") == 0 && dirty_now(run) > 0)
        return "there is data that is not yet written to the origin";
    if (strcmp(how, "wait") == 0) {
        apr_time_t until = timeout_us != 0 ? apr_time_now() + (apr_time_t)timeout_us : 0;
        if (mount_flush(run, until, note, &fd))
            return "not all could be written to the origin in time; it is still mounted";
    }
    int error = mount_point_leave(run->point, strcmp(how, "detach") == 0);
    if (error == 0) return NULL;
    return error == EBUSY ? "it is in use; it is still mounted" : strerror(error);
}

/* 1: who asked waits for the end. */
static int unmount(mount_run_t *run, const char *how, uint64_t timeout_us, int fd)
{
    int detach = strcmp(how, "detach") == 0;
    const char *wrong = leave_tree(run, how, timeout_us, fd);
    if (wrong != NULL || detach)
        send_line(fd, wrong != NULL ? "error" : "ok", wrong != NULL ? wrong : "");
    return wrong == NULL && !detach;
}

static int answer(mount_run_t *run, char *request, int fd)
{
    char *rest = NULL, *end = NULL;
    const char *verb = strtok_r(request, " ", &rest), *how = strtok_r(NULL, " ", &rest);
    const char *time = strtok_r(NULL, " ", &rest);
    uint64_t timeout_us = time != NULL ? strtoull(time, &end, 10) : 0;
    if (verb == NULL || strcmp(verb, "unmount") != 0 || time == NULL || *end != '\0' ||
        (strcmp(how, "wait") != 0 && strcmp(how, "detach") != 0 && strcmp(how, "fail") != 0)) {
        send_line(fd, "error", "what was asked is not known here");
        return 0;
    }
    return unmount(run, how, timeout_us, fd);
}

static void serve(mount_run_t *run, int fd)
{
    static const struct timeval wait = {REQUEST_WAIT_S, 0};
    char request[REQUEST_MAX];
    int waits = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)); /* else it waits longer */
    if (may_speak(fd) && read_line(fd, request, sizeof(request)) && mount_enter(run)) {
        waits = answer(run, request, fd);
        if (waits) {
            (void)pthread_mutex_lock(&run->mutex);
            run->asker = fd;
            (void)pthread_mutex_unlock(&run->mutex);
        }
        mount_leave(run);
    }
    if (!waits) (void)close(fd); /* all was sent */
}

void *mount_control(void *baton)
{
    mount_run_t *run = baton;
    struct pollfd poller = {.fd = run->listener, .events = POLLIN};
    while (mount_enter(run)) {
        mount_look(run->mount);
        mount_leave(run);
        if (poll(&poller, 1, TURN_MS) <= 0) continue;
        int fd = accept4(run->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) serve(run, fd);
    }
    return NULL;
}

/* ---- life */

static int make_address(cli_t *cli, struct sockaddr_un *address, const char *path)
{
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    if (path == NULL || strlen(path) >= sizeof(address->sun_path)) {
        if (cli != NULL)
            cli_error(cli, "no place for the control socket: %s",
                      path != NULL ? "its directory has too long a name" : strerror(errno));
        return 0;
    }
    memcpy(address->sun_path, path, strlen(path) + 1);
    return 1;
}

int mount_control_open(mount_run_t *run)
{
    struct sockaddr_un address;
    run->asker = -1;
    run->listener = -1;
    run->socket = mount_socket(run->point, 1, run->cli->pool);
    if (!make_address(run->cli, &address, run->socket)) return CLI_USAGE;
    run->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)unlink(run->socket); /* of an earlier mount here, which has died */
    mode_t before = umask(0177);
    int bound = run->listener >= 0 &&
                bind(run->listener, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
                listen(run->listener, 8) == 0;
    int error = errno;
    (void)umask(before); /* cannot fail */
    if (bound) return CLI_DONE;
    cli_error(run->cli, "%s: %s", run->socket, strerror(error));
    if (run->listener >= 0) (void)close(run->listener); /* nothing was sent */
    return CLI_INTERNAL;
}

void mount_control_end(mount_run_t *run, pthread_t thread, int code)
{
    (void)pthread_join(thread, NULL); /* it has nothing to say */
    (void)unlink(run->socket);        /* another mount here may have taken it over */
    (void)close(run->listener);       /* nobody speaks */
    if (run->asker < 0) return;
    if (code == CLI_DONE)
        send_line(run->asker, "ok", "");
    else
        send_line(run->asker, "error", "data could not be written to the origin and is lost");
    (void)close(run->asker); /* all was sent */
}

/* ---- asking */

int mount_ask(cli_t *cli, const char *point, const char *request)
{
    struct sockaddr_un address;
    char line[512];
    int code = -1;
    if (!make_address(NULL, &address, mount_socket(point, 0, cli->pool))) return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        if (fd >= 0) (void)close(fd); /* nothing was sent */
        return -1;
    }
    send_line(fd, request, "");
    while (code < 0 && read_line(fd, line, sizeof(line))) {
        if (strncmp(line, "note ", 5) == 0)
            cli_note(cli, "%s", line + 5);
        else
            code = strcmp(line, "ok") == 0 ? CLI_DONE : CLI_SOME_FAILED;
        if (code == CLI_SOME_FAILED)
            cli_error(cli, "%s: %s", point, strncmp(line, "error ", 6) == 0 ? line + 6 : line);
    }
    if (code < 0) {
        cli_error(cli, "%s: the program of the mount ended without an answer", point);
        code = CLI_SOME_FAILED;
    }
    (void)close(fd); /* all is read */
    return code;
}
