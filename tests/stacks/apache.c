/*
 * apache.c - starts Apache. Floor 4: test support.
 *
 * It makes its sockets itself. So one that is bound to the port, and does not listen, keeps it from
 * others until Apache, which sets SO_REUSEADDR as that one does, listens there.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/stacks/webserver.h"

static int reserve(int *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&at, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0) {
        (void)close(fd); /* the error that counts is that of before */
        return -1;
    }
    *port = ntohs(at.sin_port);
    return fd;
}

/* A directory in which it may write, as whoever it is. */
static int make_var(const webserver_t *web)
{
    char var[96];
    snprintf(var, sizeof(var), "%s/var", web->dir);
    return chmod(web->dir, 0755) == 0 && mkdir(var, 0700) == 0 && chmod(var, 0777) == 0;
}

static void load_modules(FILE *file, int dav)
{
    static const char *const names[] = {"mpm_event", "authz_core", "dir",   "autoindex",
                                        "mime",      "dav",        "dav_fs"};
    size_t count = sizeof(names) / sizeof(names[0]) - (dav ? 0 : 2);
    for (size_t i = 0; i < count; i++)
        fprintf(file, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", names[i],
                names[i]);
}

static int configure(const webserver_t *web, const char *root, const char *lines, int dav)
{
    char name[96], locks[128] = "";
    const char *d = web->dir;
    snprintf(name, sizeof(name), "%s/apache.conf", d);
    FILE *file = fopen(name, "we");
    if (file == NULL) return 0;
    load_modules(file, dav);
    if (dav) snprintf(locks, sizeof(locks), "DavLockDB %s/var/locks\n", d);
    fprintf(file,
            "ServerRoot %s\nDefaultRuntimeDir %s\nPidFile %s/pid\nErrorLog %s/error.log\n"
            "%sServerName localhost\nListen 127.0.0.1:%d\nStartServers 1\nServerLimit 1\n"
            "ThreadsPerChild 25\nMaxRequestWorkers 25\nMaxKeepAliveRequests 0\n"
            "TypesConfig /dev/null\n%sDocumentRoot %s\n"
            "<Directory %s>\nRequire all granted\nOptions Indexes FollowSymLinks\n%s\n%s\n"
            "</Directory>\n",
            d, d, d, d, geteuid() == 0 ? "User www-data\nGroup www-data\n" : "", web->port, locks,
            root, root, dav ? "Dav On" : "", lines);
    return fclose(file) == 0;
}

int apache_start(webserver_t *web, const char *root, const char *lines, int flags)
{
    char conf[96];
    const char *const argv[] = {"/usr/sbin/apache2", "-D", "FOREGROUND", "-f", conf, NULL};
    const int dav = flags & WEBSERVER_DAV;
    int fd = webserver__begin(web) ? reserve(&web->port) : -1;
    snprintf(conf, sizeof(conf), "%s/apache.conf", web->dir);
    int ready = fd >= 0 && (!dav || make_var(web)) && configure(web, root, lines, dav) &&
                webserver__spawn(web, -1, NULL, argv) && webserver__wait(web);
    int error = errno;
    if (fd >= 0) (void)close(fd); /* Apache has the port */
    if (!ready) webserver_stop(web);
    errno = error;
    return ready;
}
