/*
 * support_bucket.c - see support_bucket.h. Floor 4: test support.
 */
#include "tests/s3/support_bucket.h"

#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

apr_status_t bucket_open(bucket_t *b, int port, const char *place, const char *options)
{
    char uri[1024];
    if (b->fs != NULL) cr_assert_eq(vfs_destroy(b->fs), APR_SUCCESS);
    b->fs = NULL;
    s3server_uri(uri, sizeof(uri), port, place, options);
    return vfs_s3_create(&b->fs, uri, b->err, sizeof(b->err), b->pool);
}

void bucket_start(bucket_t *b, const char *how, const char *prefix, const char *options)
{
    char place[256];
    memset(b, 0, sizeof(*b));
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&b->pool, NULL), APR_SUCCESS);
    s3server_credentials(0);
    cr_assert_neq(s3server_start(&b->web, how), 0);
    snprintf(place, sizeof(place), "test/%s", prefix);
    cr_assert_eq(bucket_open(b, b->web.port, place, options), APR_SUCCESS, "%s", b->err);
}

void bucket_stop(bucket_t *b)
{
    if (b->fs != NULL) cr_expect_eq(vfs_destroy(b->fs), APR_SUCCESS);
    webserver_stop(&b->web);
    apr_pool_destroy(b->pool);
}

s3_t *bucket_state(const bucket_t *b)
{
    vfs_t *fs = b->fs;
    while (fs->lower != NULL)
        fs = fs->lower;
    return fs->state;
}

void bucket_put(bucket_t *b, const char *path, int slash, const char *data, size_t len,
                const s3_header_t *meta, size_t nmeta)
{
    s3_request_t request = {
        .method = "PUT", .path = path, .slash = slash, .data = data, .len = len};
    remote_answer_t answer;
    for (size_t i = 0; i < nmeta; i++)
        s3__header(&request, meta[i].name, meta[i].value);
    cr_assert_eq(s3__do(bucket_state(b), NULL, &request, &answer, NULL), APR_SUCCESS, "%s", path);
    remote__answer_free(&answer);
}

const char *bucket_header(bucket_t *b, const char *path, const char *name, char *out, size_t size)
{
    const s3_request_t request = {.method = "HEAD", .path = path};
    remote_answer_t answer;
    cr_assert_eq(s3__do(bucket_state(b), NULL, &request, &answer, NULL), APR_SUCCESS, "%s", path);
    const char *found = remote__kept(&answer, name, out, size);
    remote__answer_free(&answer);
    return found;
}

static apr_status_t count_uploads(void *baton, const void *data, size_t len)
{
    unsigned *count = baton;
    for (size_t i = 0; i + 8 <= len; i++)
        *count += memcmp((const char *)data + i, "<Upload>", 8) == 0;
    return APR_SUCCESS;
}

unsigned bucket_uploads(bucket_t *b)
{
    unsigned count = 0;
    const s3_request_t request = {
        .method = "GET", .query = "uploads=", .body = count_uploads, .baton = &count};
    remote_answer_t answer;
    cr_assert_eq(s3__do(bucket_state(b), NULL, &request, &answer, NULL), APR_SUCCESS);
    remote__answer_free(&answer);
    return count;
}

uint64_t bucket_bytes_out(const bucket_t *b)
{
    vfs_remote_figures_t figures = {.size = sizeof(figures)};
    cr_assert_eq(vfs_remote_figures(b->fs, &figures), APR_SUCCESS);
    return figures.bytes_out;
}

uint64_t bucket_requests(const bucket_t *b)
{
    vfs_remote_figures_t figures = {.size = sizeof(figures)};
    cr_assert_eq(vfs_remote_figures(b->fs, &figures), APR_SUCCESS);
    return figures.attempts;
}
