/*
 * names.c - names that come and go: directories made and removed, objects removed. Floor 2. A
 * directory that somebody made by a key below it gets a marker before its last key goes: else it
 * would go with that.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/s3/s3.h"

/* The first two keys of a directory, or (not `deep`) names. */
typedef struct s3_two_t {
    unsigned count;
    int marker;
    char first[VFS_PATH_MAX];
} s3_two_t;

static apr_status_t take_two(void *baton, const s3_item_t *item)
{
    s3_two_t *two = baton;
    if (item->key[0] == '\0') two->marker = 1;
    if (two->count++ == 0) (void)snprintf(two->first, sizeof(two->first), "%s", item->key);
    return APR_SUCCESS;
}

static void forget_two(void *baton)
{
    memset(baton, 0, sizeof(s3_two_t));
}

static apr_status_t list_two(s3_t *s, const vfs_ctx_t *ctx, const char *path, int deep,
                             s3_two_t *two)
{
    const s3_lister_t lister = {
        .max = 2, .deep = deep, .take = take_two, .again = forget_two, .baton = two};
    memset(two, 0, sizeof(*two));
    return s3__list(s, ctx, path, &lister);
}

apr_status_t s3__mark(s3_t *s, const vfs_ctx_t *ctx, const char *path, const s3_meta_t *meta,
                      int fresh)
{
    s3_request_t request = {.method = "PUT", .path = path, .slash = 1, .flags = REMOTE_AGAIN};
    remote_answer_t answer;
    s3__header(&request, "content-type", "application/x-directory");
    s3__meta_add(meta, &request);
    if (fresh && s->conditional) s3__header(&request, "if-none-match", "*");
    apr_status_t status = s3__do(s, ctx, &request, &answer, NULL);
    /* after a lost answer it may be our own that is there */
    if (status == VFS_ECONFLICT) status = answer.unknown ? APR_SUCCESS : APR_EEXIST;
    remote__answer_free(&answer);
    if (status == APR_SUCCESS) s3__seen(s, path, 1);
    return status;
}

apr_status_t s3__keep_parent(s3_t *s, const vfs_ctx_t *ctx, const char *path, int slash)
{
    char parent[VFS_PATH_MAX + 1], name[VFS_PATH_MAX + 2];
    const char *last = strrchr(path, '/');
    s3_two_t two;
    size_t len = (size_t)(last - path);
    if (len == 0) return APR_SUCCESS; /* the root needs no key */
    memcpy(parent, path, len);
    parent[len] = '\0';
    if (s3__marked(s, parent)) return APR_SUCCESS;
    apr_status_t status = list_two(s, ctx, parent, 0, &two);
    if (status != APR_SUCCESS) return status;
    if (two.marker) {
        s3__seen(s, parent, 1);
        return APR_SUCCESS;
    }
    (void)snprintf(name, sizeof(name), "%s%s", last + 1, slash ? "/" : "");
    if (two.count != 1 || strcmp(two.first, name) != 0) return APR_SUCCESS;
    s3_meta_t meta;
    status = s3__meta_of(&meta, s, NULL);
    if (status != APR_SUCCESS) return status;
    status = s3__mark(s, ctx, parent, &meta, 1);
    s3__meta_free(&meta);
    return status;
}

apr_status_t s3__delete(s3_t *s, const vfs_ctx_t *ctx, const char *path, int slash)
{
    const s3_request_t request = {
        .method = "DELETE", .path = path, .slash = slash, .flags = REMOTE_AGAIN};
    remote_answer_t answer;
    apr_status_t status = s3__do(s, ctx, &request, &answer, NULL);
    remote__answer_free(&answer);
    return APR_STATUS_IS_ENOENT(status) ? APR_SUCCESS : status; /* it is not there, then */
}

apr_status_t s3__unlink(s3_t *s, const vfs_ctx_t *ctx, const char *path)
{
    vfs_attr_t attr;
    vfs_validator_t validator;
    apr_status_t status = s3__stat(s, ctx, path, &attr, &validator);
    if (status == APR_SUCCESS && attr.type == VFS_TYPE_DIR) status = APR_FROM_OS_ERROR(EISDIR);
    if (status == APR_SUCCESS) status = s3__keep_parent(s, ctx, path, 0);
    return status == APR_SUCCESS ? s3__delete(s, ctx, path, 0) : status;
}

apr_status_t s3__parent_is_dir(s3_t *s, const vfs_ctx_t *ctx, const char *path)
{
    char parent[VFS_PATH_MAX + 1];
    vfs_attr_t attr;
    vfs_validator_t validator;
    size_t len = (size_t)(strrchr(path, '/') - path);
    if (len == 0) return APR_SUCCESS;
    memcpy(parent, path, len);
    parent[len] = '\0';
    if (s3__was_seen(s, parent)) return APR_SUCCESS;
    apr_status_t status = s3__stat(s, ctx, parent, &attr, &validator);
    if (status != APR_SUCCESS) return status;
    return attr.type == VFS_TYPE_DIR ? APR_SUCCESS : APR_FROM_OS_ERROR(ENOTDIR);
}

apr_status_t s3__mkdir(s3_t *s, const vfs_ctx_t *ctx, const char *path, uint32_t mode)
{
    vfs_attr_t attr;
    vfs_validator_t validator;
    s3_meta_t meta;
    apr_status_t status = s3__stat(s, ctx, path, &attr, &validator);
    if (status == APR_SUCCESS) return APR_EEXIST;
    if (APR_STATUS_IS_ENOENT(status)) status = s3__parent_is_dir(s, ctx, path);
    if (status != APR_SUCCESS) return status;
    s3__attr(s, NULL, VFS_TYPE_DIR, 0, path, &attr);
    attr.mode = mode;
    attr.mtime_ns = attr.atime_ns = vfs_now_ns();
    if (ctx != NULL && (ctx->flags & VFS_CTX_CREDS)) {
        attr.uid = ctx->uid;
        attr.gid = ctx->gid;
    }
    status = s3__meta_of(&meta, s, NULL);
    if (status != APR_SUCCESS) return status;
    status = s3__meta_attr(&meta, s, &attr);
    if (status == APR_SUCCESS) status = s3__mark(s, ctx, path, &meta, 1);
    s3__meta_free(&meta);
    return status;
}

apr_status_t s3__is_empty(s3_t *s, const vfs_ctx_t *ctx, const char *path)
{
    s3_two_t two;
    apr_status_t status = list_two(s, ctx, path, 1, &two);
    if (status != APR_SUCCESS) return status;
    if (two.count == 0) return APR_FROM_OS_ERROR(ENOENT);
    return two.count > 1 || !two.marker ? APR_FROM_OS_ERROR(ENOTEMPTY) : APR_SUCCESS;
}

apr_status_t s3__rmdir(s3_t *s, const vfs_ctx_t *ctx, const char *path)
{
    vfs_attr_t attr;
    vfs_validator_t validator;
    int blind = 0;
    if (path[1] == '\0') return APR_FROM_OS_ERROR(EBUSY);
    apr_status_t status = s3__head(s, ctx, path, &attr, &validator, &blind);
    if (status == APR_SUCCESS) return APR_FROM_OS_ERROR(ENOTDIR);
    if (!APR_STATUS_IS_ENOENT(status)) return status;
    status = s3__is_empty(s, ctx, path);
    if (APR_STATUS_IS_ENOENT(status)) return s3__absent(s, ctx, path);
    if (status == APR_SUCCESS) status = s3__keep_parent(s, ctx, path, 1);
    if (status == APR_SUCCESS) status = s3__delete(s, ctx, path, 1);
    if (status == APR_SUCCESS) s3__unseen(s, path);
    return status;
}
