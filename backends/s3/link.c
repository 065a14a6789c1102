/*
 * link.c - symbolic links, as s3fs has them: an object whose metadata says that it is one, and
 * whose bytes are its text. Floor 2. Nothing follows one here: see vfs_links_create. s3fs reads a
 * text without the blanks around it; we take it as it is.
 */
#include <errno.h>
#include <string.h>

#include "backends/s3/hash.h"
#include "backends/s3/s3.h"

#define TEXT_MAX (VFS_PATH_MAX - 1u) /* as vfs_symlink takes it */

int s3__may_be_link(const s3_t *s, uint64_t size)
{
    return s->links && size > 0 && size <= TEXT_MAX;
}

static apr_status_t check_free(s3_t *s, const vfs_ctx_t *ctx, const char *path)
{
    vfs_attr_t attr;
    vfs_validator_t validator;
    apr_status_t status = s3__stat(s, ctx, path, &attr, &validator);
    if (status == APR_SUCCESS) return APR_EEXIST;
    return APR_STATUS_IS_ENOENT(status) ? s3__parent_is_dir(s, ctx, path) : status;
}

static apr_status_t fill_meta(s3_t *s, const vfs_ctx_t *ctx, const char *path, size_t len,
                              s3_meta_t *meta)
{
    vfs_attr_t attr;
    s3__attr(s, NULL, VFS_TYPE_LINK, len, path, &attr);
    attr.mtime_ns = attr.atime_ns = vfs_now_ns();
    if (ctx != NULL && (ctx->flags & VFS_CTX_CREDS)) {
        attr.uid = ctx->uid;
        attr.gid = ctx->gid;
    }
    apr_status_t status = s3__meta_of(meta, s, NULL);
    if (status == APR_SUCCESS) status = s3__meta_attr(meta, s, &attr);
    return status;
}

/* A name that is taken after a lost answer: is it our own work that is there? */
static int is_ours(s3_t *s, const vfs_ctx_t *ctx, const char *target, const char *path)
{
    char text[VFS_PATH_MAX];
    size_t len = 0;
    return s3__readlink(s, ctx, path, text, sizeof(text), &len) == APR_SUCCESS &&
           strcmp(text, target) == 0;
}

apr_status_t s3__symlink(s3_t *s, const vfs_ctx_t *ctx, const char *target, const char *path)
{
    unsigned char md5[S3_MD5_BYTES];
    char hex[2 * S3_MD5_BYTES + 1], said[32];
    s3_meta_t meta = {.text = NULL};
    remote_answer_t answer;
    s3_request_t request = {.method = "PUT",
                            .path = path,
                            .data = target,
                            .len = strlen(target),
                            .flags = REMOTE_AGAIN};
    if (!s->links) return APR_ENOTIMPL;
    apr_status_t status = check_free(s, ctx, path);
    if (status == APR_SUCCESS) status = fill_meta(s, ctx, path, request.len, &meta);
    if (status != APR_SUCCESS) return status;
    s3__md5(md5, target, request.len);
    s3__hex(hex, md5, sizeof(md5));
    s3__base64(said, md5, sizeof(md5));
    s3__header(&request, "content-md5", said);
    s3__header(&request, "content-type", "application/octet-stream");
    if (s->conditional) s3__header(&request, "if-none-match", "*");
    s3__meta_add(&meta, &request);
    status = s3__do(s, ctx, &request, &answer, NULL);
    if (status == APR_SUCCESS) status = s3__check_tag(s, &answer, hex);
    if (status == VFS_ECONFLICT)
        status = answer.unknown && is_ours(s, ctx, target, path) ? APR_SUCCESS : APR_EEXIST;
    remote__answer_free(&answer);
    s3__meta_free(&meta);
    return status;
}

apr_status_t s3__readlink(s3_t *s, const vfs_ctx_t *ctx, const char *path, char *buf, size_t size,
                          size_t *len)
{
    char text[VFS_PATH_MAX];
    const vfs_iovec_t iov = {text, sizeof(text)};
    vfs_attr_t attr;
    vfs_validator_t validator;
    size_t got = 0;
    if (!s->links) return APR_ENOTIMPL;
    if (path[1] == '\0') return APR_EINVAL;
    apr_status_t status =
        remote__read(&s3__backend, s, 0, ctx, path, &iov, 1, 0, &got, &attr, &validator, NULL);
    if (APR_STATUS_IS_ENOENT(status) || status == VFS_EFORMAT) {
        /* a directory, or an empty object; what the second means is not told by every server */
        apr_status_t there = s3__stat(s, ctx, path, &attr, &validator);
        return there == APR_SUCCESS && attr.type != VFS_TYPE_LINK ? APR_EINVAL
               : there == APR_SUCCESS                             ? status
                                                                  : there;
    }
    if (status != APR_SUCCESS) return status;
    if (attr.type != VFS_TYPE_LINK) return APR_EINVAL;
    if (got != attr.size || memchr(text, '\0', got) != NULL) return VFS_EFORMAT;
    if (got >= size) return APR_FROM_OS_ERROR(ERANGE);
    memcpy(buf, text, got);
    buf[got] = '\0';
    *len = got;
    return APR_SUCCESS;
}
