/*
 * webserver.h - web servers of the test's own, on loopback over a directory: nginx, Apache and
 * lighttpd. Floor 4. Shared by the stacks under test and the tests of backends over HTTP.
 */
#ifndef TESTS_STACKS_WEBSERVER_H
#define TESTS_STACKS_WEBSERVER_H

#include <sys/types.h>

#define WEBSERVER_TLS 0x1 /**< also by TLS, with a certificate in DIR/cert.pem for "localhost" */
#define WEBSERVER_DAV 0x2 /**< by WebDAV, with locks; everybody may change everything */

typedef struct webserver_t {
    pid_t pid; /**< 0: none */
    int port;
    int tls_port;
    char dir[64]; /**< its own: configuration, logs, temporary files */
} webserver_t;

/** Start one. Who connects waits until it answers, and no other program can take its ports. It ends
 * with the thread that starts it, whatever happens to that.
 *  @param root  the directory it serves
 *  @param lines  more for its configuration, such as "autoindex on;": of the `server` block of
 *                nginx, of the directory at Apache, of the whole at lighttpd
 *  @param flags  WEBSERVER_*
 *  @return 1; 0: errno says why it cannot be started. */
typedef int (*webserver_start_fn)(webserver_t *web, const char *root, const char *lines, int flags);
int nginx_start(webserver_t *web, const char *root, const char *lines, int flags);
/** Not by TLS. As root it runs as www-data, so what it shall read or write must be open to that. */
int apache_start(webserver_t *web, const char *root, const char *lines, int flags);
/** Not by TLS. */
int lighttpd_start(webserver_t *web, const char *root, const char *lines, int flags);
/** End it, and remove its directory. May be called for one that was not started. */
void webserver_stop(webserver_t *web);

/* ---- what the three have in common, in webserver.c */

/** Its directory. Returns 1; 0: errno. */
int webserver__begin(webserver_t *web);
/** A listening socket, which a child inherits, on a port that the system chooses; -1: errno. */
int webserver__listen(int *port);
/** In a new process: standard input is `in` unless that is -1, what it prints goes to
 * DIR/start.log, and `env` is one more variable, or NULL. `argv[0]` is a path. Returns 1; 0: errno.
 */
int webserver__spawn(webserver_t *web, int in, const char *env, const char *const argv[]);
/** Run a program to its end. Returns 1 if that is well. */
int webserver__run(const char *const argv[]);
/** Make DIR/cert.pem and DIR/key.pem: "localhost" and 127.0.0.1, signed by itself. Returns 1 if
 * that is well. */
int webserver__certificate(const webserver_t *web);
/** Wait until it takes connections. Returns 0 if it ends instead. */
int webserver__wait(webserver_t *web);

#endif
