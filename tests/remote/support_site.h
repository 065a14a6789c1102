/*
 * support_site.h - a directory with a file of known bytes, and a web server over it. Floor 4: test
 * support.
 */
#ifndef TESTS_REMOTE_SUPPORT_SITE_H
#define TESTS_REMOTE_SUPPORT_SITE_H

#include "backends/backends.h"
#include "tests/stacks/webserver.h"

#define SITE_BYTES 1000000u

typedef struct site_t {
    char root[64];
    char *bytes; /**< of the file "big" */
    webserver_t web;
} site_t;

/** With nginx. It must work. @param tls  by TLS, too */
void site_start(site_t *site, const char *lines, int tls);
/** The same, with any server. */
void site_start_with(site_t *site, webserver_start_fn start, const char *lines, int flags);
void site_stop(site_t *site);
/** Read "/big" from its beginning to its end by one call. APR_SUCCESS: the bytes are right. */
apr_status_t site_read_big(const site_t *site, vfs_t *fs);

#endif
