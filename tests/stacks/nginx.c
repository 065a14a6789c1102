/*
 * nginx.c - starts nginx. Floor 4: test support.
 *
 * The sockets are bound here, to ports that the system chooses, and inherited: nginx takes those
 * named by the variable NGINX, which it uses itself to hand sockets to a new version of its
 * program.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/stacks/webserver.h"

#define DAV_MODULE "load_module /usr/lib/nginx/modules/ngx_http_dav_ext_module.so;\n"
#define DAV_LINES                                                                                  \
    "client_max_body_size 0; dav_methods PUT DELETE MKCOL COPY MOVE; "                             \
    "dav_ext_methods PROPFIND OPTIONS LOCK UNLOCK; dav_ext_lock zone=locks;"

static int configure(const webserver_t *web, const char *root, const char *lines, int dav)
{
    char name[96], tls[256] = "";
    const char *d = web->dir;
    snprintf(name, sizeof(name), "%s/nginx.conf", d);
    if (web->tls_port != 0)
        snprintf(tls, sizeof(tls),
                 "listen 127.0.0.1:%d ssl http2; ssl_certificate %s/cert.pem; "
                 "ssl_certificate_key %s/key.pem;",
                 web->tls_port, d, d);
    FILE *file = fopen(name, "we");
    if (file == NULL) return 0;
    fprintf(file,
            "%s%sdaemon off; worker_processes 1; pid %s/pid; error_log %s/error.log;\n"
            "events { worker_connections 256; }\n"
            "http { access_log %s/access.log; client_body_temp_path %s/t1; proxy_temp_path %s/t2;\n"
            "fastcgi_temp_path %s/t3; uwsgi_temp_path %s/t4; scgi_temp_path %s/t5;\n"
            "default_type application/octet-stream;\n%s\n"
            "server { listen 127.0.0.1:%d; %s root %s; %s %s } }\n",
            dav ? DAV_MODULE : "", geteuid() == 0 ? "user root; " : "", d, d, d, d, d, d, d, d,
            dav ? "dav_ext_lock_zone zone=locks:1m;" : "", web->port, tls, root,
            dav ? DAV_LINES : "", lines);
    return fclose(file) == 0;
}

static int spawn(webserver_t *web, int fd, int tls_fd)
{
    char conf[96], variable[80];
    const char *const argv[] = {"/usr/sbin/nginx", "-p", web->dir, "-c", conf, NULL};
    snprintf(conf, sizeof(conf), "%s/nginx.conf", web->dir);
    if (tls_fd >= 0)
        snprintf(variable, sizeof(variable), "NGINX=%d;%d;", fd, tls_fd);
    else
        snprintf(variable, sizeof(variable), "NGINX=%d;", fd);
    return webserver__spawn(web, -1, variable, argv);
}

int nginx_start(webserver_t *web, const char *root, const char *lines, int flags)
{
    int tls = (flags & WEBSERVER_TLS) != 0, tls_fd = -1;
    int fd = webserver__begin(web) ? webserver__listen(&web->port) : -1;
    if (tls) tls_fd = webserver__listen(&web->tls_port);
    int ready = fd >= 0 && (!tls || (tls_fd >= 0 && webserver__certificate(web))) &&
                configure(web, root, lines, flags & WEBSERVER_DAV) && spawn(web, fd, tls_fd);
    int error = errno;
    if (fd >= 0) (void)close(fd); /* the child has them */
    if (tls_fd >= 0) (void)close(tls_fd);
    if (!ready) webserver_stop(web);
    errno = error;
    return ready;
}
