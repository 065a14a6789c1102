/*
 * nginx.h - a web server of the test's own: nginx on loopback over a directory. Floor 4. Shared by
 * the stacks under test and the tests of backends over HTTP.
 */
#ifndef TESTS_STACKS_NGINX_H
#define TESTS_STACKS_NGINX_H

#include <sys/types.h>

typedef struct nginx_t {
    pid_t pid; /**< 0: none */
    int port;
    int tls_port;
    char dir[64]; /**< its own: configuration, logs, temporary files */
} nginx_t;

/** Start it. Its sockets are there before it is, so whoever connects waits until it answers, and no
 * other program can take the ports. It ends with the thread that starts it, whatever happens to
 * that.
 *  @param root  the directory it serves
 *  @param lines  more for its `server` block, such as "autoindex on;"
 *  @param tls  also by TLS, with a certificate in DIR/cert.pem for "localhost"
 *  @return 1; 0: errno says why it cannot be started. */
int nginx_start(nginx_t *nginx, const char *root, const char *lines, int tls);
/** End it, and remove its directory. May be called for one that was not started. */
void nginx_stop(nginx_t *nginx);

#endif
