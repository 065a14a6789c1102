/*
 * webserver.c - starts and ends processes that serve the web. Floor 4: test support.
 */
#include "tests/stacks/webserver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKLOG 64
#define PAUSE_MS 5
#define PAUSES_MAX 12000 /* a minute: only a hang gets there */

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

int webserver__listen(int *port)
{
    struct sockaddr_in at = loopback(0);
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* inherited: no CLOEXEC */
    if (fd < 0) return -1;
    if (bind(fd, (struct sockaddr *)&at, len) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0) {
        (void)close(fd); /* the error that counts is that of before */
        return -1;
    }
    *port = ntohs(at.sin_port);
    return fd;
}

int webserver__begin(webserver_t *web)
{
    memset(web, 0, sizeof(*web));
    strcpy(web->dir, "/tmp/cachefs-web-XXXXXX");
    if (mkdtemp(web->dir) != NULL) return 1;
    web->dir[0] = '\0';
    return 0;
}

int webserver__run(const char *const argv[])
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        if (null >= 0) (void)(dup2(null, 1) + dup2(null, 2)); /* without it there is more to read */
        execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid) return 0;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int webserver__certificate(const webserver_t *web)
{
    char key[96], cert[96];
    snprintf(key, sizeof(key), "%s/key.pem", web->dir);
    snprintf(cert, sizeof(cert), "%s/cert.pem", web->dir);
    const char *const argv[] = {"openssl",
                                "req",
                                "-x509",
                                "-newkey",
                                "ec",
                                "-pkeyopt",
                                "ec_paramgen_curve:P-256",
                                "-nodes",
                                "-subj",
                                "/CN=localhost",
                                "-addext",
                                "subjectAltName=DNS:localhost,IP:127.0.0.1",
                                "-days",
                                "2",
                                "-keyout",
                                key,
                                "-out",
                                cert,
                                NULL};
    return webserver__run(argv);
}

static void become(const webserver_t *web, int in, const char *variable, const char *const argv[],
                   pid_t parent)
{
    char log[96], path[] = "PATH=/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/sbin:/bin";
    char *const env[] = {path, (char *)variable, NULL};
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* it ends its workers, too; cannot fail on Linux */
    if (getppid() != parent) _exit(1);
    snprintf(log, sizeof(log), "%s/start.log", web->dir);
    int out = open(log, O_WRONLY | O_CREAT, 0600);
    if (out >= 0) (void)(dup2(out, 1) + dup2(out, 2)); /* what it says goes with its directory */
    if (in < 0) in = open("/dev/null", O_RDWR);
    if (in >= 0 && dup2(in, 0) == 0) execve(argv[0], (char *const *)argv, env);
    _exit(127);
}

int webserver__spawn(webserver_t *web, int in, const char *variable, const char *const argv[])
{
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) become(web, in, variable, argv, parent);
    web->pid = pid > 0 ? pid : 0;
    return web->pid != 0;
}

int webserver__wait(webserver_t *web)
{
    struct sockaddr_in at = loopback(web->port);
    for (unsigned i = 0; i < PAUSES_MAX; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int there = fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
        if (fd >= 0) (void)close(fd); /* nothing was said */
        if (there) return 1;
        if (waitpid(web->pid, NULL, WNOHANG) != 0) break;
        (void)poll(NULL, 0, PAUSE_MS);
    }
    web->pid = 0;
    errno = ECHILD;
    return 0;
}

void webserver_stop(webserver_t *web)
{
    if (web->pid != 0) {
        (void)kill(web->pid, SIGTERM); /* it is ours; its workers end before it does */
        (void)waitpid(web->pid, NULL, 0);
    }
    web->pid = 0;
    if (web->dir[0] == '\0') return;
    const char *const argv[] = {"rm", "-rf", web->dir, NULL};
    (void)webserver__run(argv); /* what stays in /tmp is the system's to clean */
    web->dir[0] = '\0';
}
