/*
 * control_pages.c - what programs changed in mapped memory, and the kernel has not written yet.
 * Floor 4, private to tools/. It has to be asked through the mount itself, where one may wait for
 * ever and a signal does not help: so a child asks, who can be killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/control.h"

#define TURN_MS 200

static void child(const char *point)
{
    int fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _exit(fd >= 0 && syncfs(fd) == 0 ? 0 : 1);
}

/* Until the child ends, who has the other end of the pipe. */
static int await(cli_t *cli, int fd, uint64_t timeout_us)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    uint64_t until = cli_now_ns() + timeout_us * 1000;
    while (!cli_stopped(cli) && (timeout_us == 0 || cli_now_ns() < until))
        if (poll(&poller, 1, TURN_MS) > 0) return 1;
    return 0;
}

int control_write_pages(cli_t *cli, const char *point, uint64_t timeout_us)
{
    int ends[2], status = 0;
    if (pipe2(ends, O_CLOEXEC) != 0) return 0;
    (void)fflush(NULL); /* so that nothing is written twice */
    pid_t pid = fork();
    if (pid == 0) child(point);
    (void)close(ends[1]); /* else its end never comes */
    if (pid > 0 && !await(cli, ends[0], timeout_us)) (void)kill(pid, SIGKILL);
    (void)close(ends[0]); /* nothing comes */
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
