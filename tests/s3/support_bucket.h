/*
 * support_bucket.h - a server of S3 with a bucket, and a file system over it. Floor 4: test
 * support.
 */
#ifndef TESTS_S3_SUPPORT_BUCKET_H
#define TESTS_S3_SUPPORT_BUCKET_H

#include <apr_general.h>

#include "backends/backends.h"
#include "backends/s3/s3.h"
#include "tests/stacks/s3server.h"

typedef struct bucket_t {
    webserver_t web;
    apr_pool_t *pool;
    vfs_t *fs;
    char err[768];
} bucket_t;

/** A server (`how`: see s3server_start), and a file system over "test/PREFIX" with such options. It
 * must work. */
void bucket_start(bucket_t *b, const char *how, const char *prefix, const char *options);
/** Another file system in place of the one there is. The status is of the constructor; err says
 * why. */
apr_status_t bucket_open(bucket_t *b, int port, const char *place, const char *options);
void bucket_stop(bucket_t *b);
/** Store an object, without the code under test for writes. */
void bucket_put(bucket_t *b, const char *path, int slash, const char *data, size_t len,
                const s3_header_t *meta, size_t nmeta);
/** A header of an object, in `out`; NULL: it has none. */
const char *bucket_header(bucket_t *b, const char *path, const char *name, char *out, size_t size);
/** Uploads in parts that were begun and not ended. */
unsigned bucket_uploads(bucket_t *b);
/** The instance below all layers. */
s3_t *bucket_state(const bucket_t *b);
/** Bytes of bodies that were sent so far. */
uint64_t bucket_bytes_out(const bucket_t *b);
/** Attempts so far. */
uint64_t bucket_requests(const bucket_t *b);

/** A status that must be a success; for tests that include Criterion. */
#define OK(expr)                                                                                   \
    do {                                                                                           \
        char why_[128];                                                                            \
        apr_status_t st_ = (expr);                                                                 \
        cr_assert_eq(st_, APR_SUCCESS, "%s: %s", #expr, vfs_strerror(st_, why_, sizeof(why_)));    \
    } while (0)

#endif
