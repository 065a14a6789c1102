/*
 * nginx.c - starts and ends nginx. Floor 4: test support.
 *
 * The sockets are bound here, to ports that the system chooses, and inherited: nginx takes those
 * named by the variable NGINX, which it uses itself to hand sockets to a new version of its
 * program.
 */
#include "tests/stacks/nginx.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKLOG 64

static int listen_anywhere(int *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
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

static int run(const char *const argv[])
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

static int make_certificate(const nginx_t *nginx)
{
    char key[96], cert[96];
    snprintf(key, sizeof(key), "%s/key.pem", nginx->dir);
    snprintf(cert, sizeof(cert), "%s/cert.pem", nginx->dir);
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
    return run(argv);
}

static int configure(const nginx_t *nginx, const char *root, const char *lines)
{
    char name[96], tls[256] = "";
    const char *d = nginx->dir;
    snprintf(name, sizeof(name), "%s/nginx.conf", d);
    if (nginx->tls_port != 0)
        snprintf(tls, sizeof(tls),
                 "listen 127.0.0.1:%d ssl http2; ssl_certificate %s/cert.pem; "
                 "ssl_certificate_key %s/key.pem;",
                 nginx->tls_port, d, d);
    FILE *file = fopen(name, "we");
    if (file == NULL) return 0;
    fprintf(file,
            "%sdaemon off; worker_processes 1; pid %s/pid; error_log %s/error.log;\n"
            "events { worker_connections 256; }\n"
            "http { access_log %s/access.log; client_body_temp_path %s/t1; proxy_temp_path %s/t2;\n"
            "fastcgi_temp_path %s/t3; uwsgi_temp_path %s/t4; scgi_temp_path %s/t5;\n"
            "default_type application/octet-stream;\n"
            "server { listen 127.0.0.1:%d; %s root %s; %s } }\n",
            geteuid() == 0 ? "user root; " : "", d, d, d, d, d, d, d, d, nginx->port, tls, root,
            lines);
    return fclose(file) == 0;
}

static void become_nginx(const nginx_t *nginx, int fd, int tls_fd, pid_t parent)
{
    char conf[96], sockets[64];
    snprintf(conf, sizeof(conf), "%s/nginx.conf", nginx->dir);
    if (tls_fd >= 0)
        snprintf(sockets, sizeof(sockets), "%d;%d;", fd, tls_fd);
    else
        snprintf(sockets, sizeof(sockets), "%d;", fd);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* it ends its worker, too; cannot fail on Linux */
    if (getppid() != parent) _exit(1);
    char path[] = "PATH=/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/sbin:/bin";
    char variable[80];
    snprintf(variable, sizeof(variable), "NGINX=%s", sockets);
    char *const env[] = {path, variable, NULL};
    char log[96];
    snprintf(log, sizeof(log), "%s/start.log", nginx->dir);
    int out = open(log, O_WRONLY | O_CREAT, 0600);
    if (out >= 0) (void)(dup2(out, 1) + dup2(out, 2)); /* what it says goes with its directory */
    const char *const argv[] = {"nginx", "-p", nginx->dir, "-c", conf, NULL};
    execvpe("nginx", (char *const *)argv, env);
    execve("/usr/sbin/nginx", (char *const *)argv, env); /* not in the PATH of every user */
    _exit(127);
}

int nginx_start(nginx_t *nginx, const char *root, const char *lines, int tls)
{
    int tls_fd = -1;
    memset(nginx, 0, sizeof(*nginx));
    strcpy(nginx->dir, "/tmp/cachefs-nginx-XXXXXX");
    if (mkdtemp(nginx->dir) == NULL) return 0;
    int fd = listen_anywhere(&nginx->port);
    if (tls) tls_fd = listen_anywhere(&nginx->tls_port);
    int ready = fd >= 0 && (!tls || tls_fd >= 0) && (!tls || make_certificate(nginx)) &&
                configure(nginx, root, lines);
    if (ready) {
        pid_t parent = getpid(), pid = fork();
        if (pid == 0) become_nginx(nginx, fd, tls_fd, parent);
        nginx->pid = pid > 0 ? pid : 0;
    }
    int error = errno;
    if (fd >= 0) (void)close(fd); /* the child has them */
    if (tls_fd >= 0) (void)close(tls_fd);
    if (nginx->pid == 0) nginx_stop(nginx);
    errno = error;
    return nginx->pid != 0;
}

void nginx_stop(nginx_t *nginx)
{
    if (nginx->pid != 0) {
        (void)kill(nginx->pid, SIGTERM); /* it is ours; its worker ends before it does */
        (void)waitpid(nginx->pid, NULL, 0);
    }
    nginx->pid = 0;
    if (nginx->dir[0] == '\0') return;
    const char *const argv[] = {"rm", "-rf", nginx->dir, NULL};
    (void)run(argv); /* what stays in /tmp is the system's to clean */
    nginx->dir[0] = '\0';
}
