/*
 * mount_http_missing.c - instead of mount_http.c, where the program is built without libmicrohttpd.
 * Floor 4, private to tools/.
 */
#include "tools/mount_http.h"

int mount_http_open(mount_http_t **http, mount_run_t *run)
{
    *http = NULL;
    if (run->cli->opt.metrics == NULL) return CLI_DONE;
    cli_error(run->cli, "--metrics: this program was built without libmicrohttpd");
    return CLI_USAGE;
}

void mount_http_close(mount_http_t *http)
{
    (void)http;
}

const char *mount_http_version(void)
{
    return NULL;
}
