/*
 * s3server.c - starts servers of S3, which take their listening socket from standard input. Floor
 * 4: test support.
 */
#include "tests/stacks/s3server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int start(webserver_t *web, const char *env, const char *const argv[])
{
    int fd = webserver__listen(&web->port);
    int ready = fd >= 0 && webserver__spawn(web, fd, env, argv);
    int error = errno;
    if (fd >= 0) (void)close(fd); /* the child has it */
    if (!ready) webserver_stop(web);
    errno = error;
    return ready;
}

int s3server_start(webserver_t *web, const char *how)
{
    const char *const argv[] = {"/usr/bin/python3", S3_SERVER_PY, how, web->dir, NULL};
    if (!webserver__begin(web)) return 0;
    if (how == NULL || strstr(how, "tls") == NULL || webserver__certificate(web))
        return start(web, NULL, argv);
    webserver_stop(web);
    errno = EIO;
    return 0;
}

int s3rver_start(webserver_t *web)
{
    static const char script[] =
        "const S3rver = require(process.argv[1]), http = require('http');"
        "require('fs').mkdirSync(process.argv[2]);"
        "const app = new S3rver({directory: process.argv[2], silent: true, vhostBuckets: false,"
        "  configureBuckets: [{name: 'test'}]});"
        "app.configureBuckets().then(() => http.createServer(app.callback()).listen({fd: 0}));";
    char dir[96]; /* its tokens are encrypted by DES, which OpenSSL 3 calls legacy */
    const char *node = access("/usr/bin/node", X_OK) == 0 ? "/usr/bin/node" : "/usr/local/bin/node";
    const char *const argv[] = {node, "--openssl-legacy-provider", "-e", script, S3RVER_DIR, dir,
                                NULL};
    memset(web, 0, sizeof(*web));
    if (access(node, X_OK) != 0 || access(S3RVER_DIR "/package.json", R_OK) != 0) {
        errno = ENOENT;
        return 0;
    }
    if (!webserver__begin(web)) return 0;
    snprintf(dir, sizeof(dir), "%s/data", web->dir);
    return start(web, NULL, argv);
}

void s3server_credentials(int s3rver)
{
    static const char *const unwanted[] = {"AWS_SESSION_TOKEN",
                                           "AWS_PROFILE",
                                           "AWS_ENDPOINT_URL",
                                           "AWS_ENDPOINT_URL_S3",
                                           "AWS_ENDPOINT_URL_STS",
                                           "AWS_REGION",
                                           "AWS_DEFAULT_REGION",
                                           "AWS_SHARED_CREDENTIALS_FILE",
                                           "AWS_WEB_IDENTITY_TOKEN_FILE",
                                           "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                                           "AWS_CONTAINER_CREDENTIALS_FULL_URI"};
    for (size_t i = 0; i < sizeof(unwanted) / sizeof(unwanted[0]); i++)
        (void)unsetenv(unwanted[i]);                      /* a name without '=' is always good */
    (void)setenv("AWS_EC2_METADATA_DISABLED", "true", 1); /* nobody beyond loopback is asked */
    (void)setenv("AWS_ACCESS_KEY_ID", s3rver ? "S3RVER" : "KEY", 1);
    (void)setenv("AWS_SECRET_ACCESS_KEY", s3rver ? "S3RVER" : "SECRET", 1);
}

void s3server_uri(char *out, size_t size, int port, const char *place, const char *more)
{
    snprintf(out, size, "s3://%s?endpoint=http://127.0.0.1:%d&proxy=none%s", place, port, more);
}
