/*
 * sshd.c - starts and ends sshd. Floor 4: test support.
 *
 * The socket is bound here, to a port that the system chooses. A process of our own accepts, and
 * begins `sshd -i` for each connection: sshd itself cannot be handed a socket that listens.
 */
#include "tests/stacks/sshd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/stacks/webserver.h"

/* It wants an absolute path, and is not in the PATH of every user. */
#define SSHD "/usr/sbin/sshd"

static int make_key(const sshd_t *sshd, const char *name)
{
    char file[96];
    snprintf(file, sizeof(file), "%s/%s", sshd->dir, name);
    const char *const argv[] = {"ssh-keygen", "-q",     "-t", "ed25519", "-N", "",
                                "-C",         "a test", "-f", file,      NULL};
    return webserver__run(argv);
}

static int copy_line(const char *from, const char *to, const char *before)
{
    char line[512];
    FILE *in = fopen(from, "re");
    FILE *out = in != NULL ? fopen(to, "we") : NULL;
    int done = out != NULL && fgets(line, sizeof(line), in) != NULL &&
               fprintf(out, "%s%s", before, line) > 0;
    if (in != NULL) (void)fclose(in); /* it was read only */
    return out != NULL && fclose(out) == 0 && done;
}

int sshd_know(const sshd_t *sshd, int port)
{
    char from[96], to[96], name[32];
    snprintf(from, sizeof(from), "%s/host.pub", sshd->dir);
    snprintf(to, sizeof(to), "%s/known_hosts", sshd->dir);
    snprintf(name, sizeof(name), "[127.0.0.1]:%d ", port);
    return copy_line(from, to, name);
}

static int configure(const sshd_t *sshd, const char *lines)
{
    char name[96], from[96], to[96];
    const char *d = sshd->dir;
    snprintf(from, sizeof(from), "%s/user.pub", d);
    snprintf(to, sizeof(to), "%s/authorized_keys", d);
    if (!make_key(sshd, "host") || !make_key(sshd, "user") || !copy_line(from, to, "")) return 0;
    snprintf(name, sizeof(name), "%s/sshd_config", d);
    FILE *file = fopen(name, "we");
    if (file == NULL) return 0;
    fprintf(file,
            "HostKey %s/host\nAuthorizedKeysFile %s/authorized_keys\nPidFile none\nUsePAM no\n"
            "StrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nLogLevel VERBOSE\n%s\n",
            d, d, lines != NULL ? lines : "");
    if (lines == NULL || strstr(lines, "Subsystem") == NULL)
        fprintf(file, "Subsystem sftp internal-sftp -u 000\n");
    if (fclose(file) != 0) return 0;
    if (geteuid() == 0) (void)mkdir("/run/sshd", 0755); /* of the package; not where none booted */
    return sshd_know(sshd, sshd->port);
}

/* Nothing but system calls: the process that was copied may have threads. */
static void serve(int fd, const char *const argv[])
{
    (void)signal(SIGCHLD, SIG_IGN); /* they go by themselves */
    for (;;) {
        int client = accept(fd, NULL, NULL);
        if (client < 0) continue;
        if (fork() == 0) {
            (void)signal(SIGCHLD, SIG_DFL);
            (void)close(fd);
            int null = open("/dev/null", O_WRONLY);
            if (dup2(client, 0) < 0 || dup2(client, 1) < 0 || dup2(null, 2) < 0) _exit(126);
            execv(SSHD, (char *const *)argv);
            _exit(127);
        }
        (void)close(client); /* the child has it */
    }
}

int sshd_start(sshd_t *sshd, const char *lines)
{
    char conf[96], log[96];
    memset(sshd, 0, sizeof(*sshd));
    strcpy(sshd->dir, "/tmp/cachefs-sshd-XXXXXX");
    if (access(SSHD, X_OK) != 0 || mkdtemp(sshd->dir) == NULL) {
        sshd->dir[0] = '\0';
        return 0;
    }
    int fd = webserver__listen(&sshd->port);
    snprintf(conf, sizeof(conf), "%s/sshd_config", sshd->dir);
    snprintf(log, sizeof(log), "%s/log", sshd->dir);
    const char *const argv[] = {SSHD, "-i", "-f", conf, "-E", log, NULL};
    if (fd >= 0 && configure(sshd, lines)) {
        pid_t parent = getpid(), pid = fork();
        if (pid == 0) {
            (void)setpgid(0, 0);                    /* so that all can be ended at once */
            (void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* cannot fail on Linux */
            if (getppid() != parent) _exit(1);
            serve(fd, argv);
        }
        if (pid > 0) (void)setpgid(pid, pid); /* here too: whoever comes first */
        sshd->pid = pid > 0 ? pid : 0;
    }
    int error = errno;
    if (fd >= 0) (void)close(fd); /* the child has it */
    if (sshd->pid == 0) sshd_stop(sshd);
    errno = error;
    return sshd->pid != 0;
}

const char *sshd_uri(const sshd_t *sshd, int port, const char *root, const char *more, char *buf,
                     size_t size)
{
    snprintf(buf, size,
             "sftp://127.0.0.1:%d%s?identity=%s/user&known_hosts=%s/known_hosts&clock_skew=0%s%s",
             port != 0 ? port : sshd->port, root, sshd->dir, sshd->dir, more[0] != '\0' ? "&" : "",
             more);
    return buf;
}

void sshd_stop(sshd_t *sshd)
{
    if (sshd->pid != 0) {
        (void)kill(-sshd->pid, SIGTERM); /* the group is ours */
        (void)waitpid(sshd->pid, NULL, 0);
    }
    sshd->pid = 0;
    if (sshd->dir[0] == '\0') return;
    const char *const argv[] = {"rm", "-rf", sshd->dir, NULL};
    (void)webserver__run(argv); /* what stays in /tmp is the system's to clean */
    sshd->dir[0] = '\0';
}
