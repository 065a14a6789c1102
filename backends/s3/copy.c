/*
 * copy.c - objects that are copied on the server: at once, or in parts where they are too large for
 * that. Floor 2.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/s3/s3.h"

char *s3__copy_source(const s3_t *s, const char *path, int slash)
{
    char key[VFS_PATH_MAX + 2 * S3_KEY_MAX], bucket[300];
    (void)snprintf(bucket, sizeof(bucket), "/%s", s->bucket);
    (void)snprintf(key, sizeof(key), "/%s%s", s->prefix, path + 1);
    return remote__url(bucket, key, slash);
}

/* `meta`: of it only what does not come along by itself. */
static apr_status_t copy_at_once(s3_t *s, const vfs_ctx_t *ctx, const s3_copy_t *copy,
                                 const s3_meta_t *meta, const char *source)
{
    s3_request_t request = {.method = "PUT",
                            .path = copy->to,
                            .slash = copy->slash,
                            .flags = REMOTE_AGAIN | REMOTE_SLOW};
    remote_answer_t answer;
    s3_result_t *result = calloc(1, sizeof(*result));
    if (result == NULL) return APR_ENOMEM;
    s3__header(&request, "x-amz-copy-source", source);
    s3__header(&request, "x-amz-copy-source-if-match", copy->etag);
    if (copy->meta != NULL) {
        s3__header(&request, "x-amz-metadata-directive", "REPLACE");
        s3__meta_add(copy->meta, &request);
    } else {
        s3__meta_add_own(meta, &request);
        if (copy->class != NULL && s->storage_class == NULL)
            s3__header(&request, "x-amz-storage-class", copy->class);
    }
    apr_status_t status = s3__do_xml(s, ctx, &request, &answer, result);
    remote__answer_free(&answer);
    free(result);
    return status;
}

/* Equal parts, as few as may be. */
static apr_status_t copy_in_parts(s3_t *s, const vfs_ctx_t *ctx, const s3_copy_t *copy,
                                  const s3_meta_t *meta)
{
    size_t count = (size_t)((copy->size + s->copy_max - 1) / s->copy_max);
    uint64_t len = (copy->size + count - 1) / count;
    s3_upload_t *u = calloc(1, sizeof(*u));
    s3_part_t *parts = calloc(count, sizeof(*parts));
    apr_status_t status = u != NULL && parts != NULL ? APR_SUCCESS : APR_ENOMEM;
    for (size_t i = 0; status == APR_SUCCESS && i < count; i++) {
        uint64_t off = i * len;
        parts[i] = (s3_part_t){
            .off = off, .len = copy->size - off < len ? copy->size - off : len, .copied = 1};
    }
    if (status == APR_SUCCESS) {
        u->path = copy->to;
        u->meta = meta;
        u->from = copy->from;
        u->from_etag = copy->etag;
        if (strcmp(copy->from, copy->to) == 0) u->if_match = copy->etag;
        u->parts = parts;
        u->count = count;
        status = s3__upload(s, ctx, u);
    }
    free(parts);
    free(u);
    return status;
}

static apr_status_t copy_small(s3_t *s, const vfs_ctx_t *ctx, const s3_copy_t *copy,
                               const s3_meta_t *meta)
{
    char *source = s3__copy_source(s, copy->from, copy->slash);
    if (source == NULL) return APR_ENOMEM;
    apr_status_t status = copy_at_once(s, ctx, copy, meta, source);
    free(source);
    return status;
}

/* In parts nothing comes along by itself, and each could be of another version: so it is that of
 * now, or the one that is wanted. */
static apr_status_t copy_looked(s3_t *s, const vfs_ctx_t *ctx, const s3_copy_t *copy)
{
    const s3_request_t head = {
        .method = "HEAD", .path = copy->from, .slash = copy->slash, .flags = REMOTE_AGAIN};
    remote_answer_t answer;
    s3_meta_t meta = {.text = NULL};
    s3_copy_t now = *copy;
    apr_status_t status = s3__do(s, ctx, &head, &answer, NULL);
    int large = answer.length > (int64_t)s->copy_max;
    if (status == APR_SUCCESS && (answer.length < 0 || (large && answer.etag[0] == '\0')))
        status = VFS_EFORMAT;
    if (status == APR_SUCCESS && copy->etag != NULL && strcmp(copy->etag, answer.etag) != 0)
        status = VFS_ECONFLICT;
    if (status == APR_SUCCESS) status = s3__meta_of(&meta, s, &answer);
    now.size = (uint64_t)answer.length;
    if (large) now.etag = answer.etag;
    now.class = NULL; /* it is in `meta` */
    if (status == APR_SUCCESS)
        status = large ? copy_in_parts(s, ctx, &now, copy->meta != NULL ? copy->meta : &meta)
                       : copy_small(s, ctx, &now, &meta);
    remote__answer_free(&answer);
    s3__meta_free(&meta);
    return status;
}

apr_status_t s3__copy(s3_t *s, const vfs_ctx_t *ctx, const s3_copy_t *copy)
{
    if (copy->etag != NULL && copy->etag[0] == '\0') return VFS_EFORMAT; /* it would be any */
    if (copy->size > s->copy_max || copy->look) return copy_looked(s, ctx, copy);
    s3_meta_t meta;
    apr_status_t status = s3__meta_of(&meta, s, NULL);
    if (status != APR_SUCCESS) return status;
    status = copy_small(s, ctx, copy, &meta);
    s3__meta_free(&meta);
    return status;
}
