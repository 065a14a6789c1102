/*
 * mount_http.h - the endpoint of a mount for monitoring: /metrics, /stats.json, /healthz.
 * Floor 4, private to tools/. Without libmicrohttpd it cannot be had (mount_http_missing.c).
 */
#ifndef TOOLS_MOUNT_HTTP_H
#define TOOLS_MOUNT_HTTP_H

#include "tools/mount.h"

typedef struct mount_http_t mount_http_t;

/* Listen where the options say. CLI_DONE, or an exit code after a message; *http is NULL where
 * nothing is asked for. */
int mount_http_open(mount_http_t **http, mount_run_t *run);
/* NULL is none. */
void mount_http_close(mount_http_t *http);
/* NULL: it is missing. */
const char *mount_http_version(void);

#endif
