/*
 * s3server.h - servers of S3 of the test's own, on loopback. Floor 4. Shared by the stacks under
 * test and the tests of backends/s3. End them with webserver_stop.
 */
#ifndef TESTS_STACKS_S3SERVER_H
#define TESTS_STACKS_S3SERVER_H

#include "tests/stacks/webserver.h"

/** tests/s3/server.py, which checks what S3 checks. `how`: its argument, or NULL. The bucket is
 * "test". With "tls" it speaks TLS, by DIR/cert.pem. Returns 1; 0: errno. */
int s3server_start(webserver_t *web, const char *how);
/** s3rver, from npm, with the bucket "test". Where it is not installed errno is ENOENT. */
int s3rver_start(webserver_t *web);
/** Put what both accept into the environment, and nothing else that counts. */
void s3server_credentials(int s3rver);
/** A URI for that server: `place` is "bucket/prefix", `more` other options with '&' before each. */
void s3server_uri(char *out, size_t size, int port, const char *place, const char *more);

#endif
