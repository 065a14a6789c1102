/*
 * meta.c - what an object has beside its bytes, in the headers of a request that stores it: what it
 * had before, what was asked for, what the URI says. Floor 2. S3 replaces all of it or nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "backends/s3/s3.h"

#define NS_PER_S 1000000000
#define TRIES 4u /* changes of others that come between reading and writing */

/* What a copy by the server does not bring along. */
static const char sse_prefix[] = "x-amz-server-side-encryption";
static const char *const own[] = {"x-amz-storage-class", "x-amz-website-redirect-location",
                                  sse_prefix, "x-amz-server-side-encryption-aws-kms-key-id",
                                  "x-amz-server-side-encryption-bucket-key-enabled"};
#define OWN (sizeof(own) / sizeof(own[0]))

static int is_own(const char *name)
{
    for (size_t i = 0; i < OWN; i++)
        if (strcmp(name, own[i]) == 0) return 1;
    return 0;
}

/* Is it kept when the object is replaced? "aws-chunked" is how a request was coded, not an object;
 * and another encryption has no use for what the one before needed. */
static int is_kept(const s3_t *s, const char *name, const char *value)
{
    static const char *const names[] = {"content-type",     "content-encoding",
                                        "content-language", "content-disposition",
                                        "cache-control",    "expires"};
    if (s->sse != NULL && strncmp(name, sse_prefix, sizeof(sse_prefix) - 1) == 0) return 0;
    if (strcmp(name, "content-encoding") == 0 && strstr(value, "aws-chunked") != NULL) return 0;
    if (is_own(name)) return 1;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0) return 1;
    return strncmp(name, "x-amz-meta-", 11) == 0;
}

static apr_status_t add(s3_meta_t *meta, const char *name, const char *value)
{
    for (size_t i = 0; i < meta->count; i++) {
        if (strcmp(meta->headers[i].name, name) != 0) continue;
        meta->headers[i].value = value;
        return APR_SUCCESS;
    }
    if (meta->count == S3_META_MAX) return VFS_ELIMIT; /* rather than losing one */
    meta->headers[meta->count++] = (s3_header_t){name, value};
    return APR_SUCCESS;
}

apr_status_t s3__meta_of(s3_meta_t *meta, const s3_t *s, const remote_answer_t *answer)
{
    char *text = NULL;
    apr_status_t status = APR_SUCCESS;
    memset(meta, 0, sizeof(*meta));
    if (answer != NULL && answer->kept != NULL) {
        text = strdup(answer->kept);
        if (text == NULL) return APR_ENOMEM;
    }
    for (char *at = text; at != NULL && *at != '\0' && status == APR_SUCCESS;) {
        char *end = strchr(at, '\n'), *value = strchr(at, ':');
        *end = '\0';
        *value = '\0';
        if (is_kept(s, at, value + 2)) status = add(meta, at, value + 2);
        at = end + 1;
    }
    meta->text = text;
    if (s->storage_class != NULL && status == APR_SUCCESS)
        status = add(meta, "x-amz-storage-class", s->storage_class);
    if (s->sse != NULL && status == APR_SUCCESS) status = add(meta, sse_prefix, s->sse);
    if (s->sse_key != NULL && status == APR_SUCCESS)
        status = add(meta, "x-amz-server-side-encryption-aws-kms-key-id", s->sse_key);
    if (status != APR_SUCCESS) s3__meta_free(meta);
    return status;
}

void s3__meta_free(s3_meta_t *meta)
{
    free(meta->text);
    meta->text = NULL;
}

static void put_time(char out[S3_META_TEXT], int64_t ns)
{
    uint64_t n = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    (void)snprintf(out, S3_META_TEXT, "%s%" PRIu64 ".%09" PRIu64, ns < 0 ? "-" : "", n / NS_PER_S,
                   n % NS_PER_S);
}

apr_status_t s3__meta_attr(s3_meta_t *meta, const s3_t *s, const vfs_attr_t *attr)
{
    if (!s->meta) return APR_SUCCESS;
    uint32_t mode = attr->mode | (attr->type == VFS_TYPE_DIR    ? S_IFDIR
                                  : attr->type == VFS_TYPE_LINK ? S_IFLNK
                                                                : S_IFREG);
    (void)snprintf(meta->mode, S3_META_TEXT, "%" PRIu32, mode);
    (void)snprintf(meta->uid, S3_META_TEXT, "%" PRIu32, attr->uid);
    (void)snprintf(meta->gid, S3_META_TEXT, "%" PRIu32, attr->gid);
    put_time(meta->mtime, attr->mtime_ns);
    put_time(meta->atime, attr->atime_ns);
    put_time(meta->ctime, vfs_now_ns());
    const s3_header_t all[] = {
        {"x-amz-meta-mode", meta->mode},   {"x-amz-meta-uid", meta->uid},
        {"x-amz-meta-gid", meta->gid},     {"x-amz-meta-mtime", meta->mtime},
        {"x-amz-meta-atime", meta->atime}, {"x-amz-meta-ctime", meta->ctime}};
    apr_status_t status = APR_SUCCESS;
    for (size_t i = 0; i < 6 && status == APR_SUCCESS; i++)
        status = add(meta, all[i].name, all[i].value);
    return status;
}

void s3__meta_add(const s3_meta_t *meta, s3_request_t *request)
{
    for (size_t i = 0; i < meta->count; i++)
        s3__header(request, meta->headers[i].name, meta->headers[i].value);
}

void s3__meta_add_own(const s3_meta_t *meta, s3_request_t *request)
{
    for (size_t i = 0; i < meta->count; i++)
        if (is_own(meta->headers[i].name))
            s3__header(request, meta->headers[i].name, meta->headers[i].value);
}

/* Who writes plain bytes over gzip does not say so: the first two tell. Of other codings nothing
 * does. */
apr_status_t s3__meta_coding(s3_meta_t *meta, const vfs_source_t *source)
{
    unsigned char head[2] = {0, 0};
    apr_status_t status = APR_SUCCESS;
    size_t at = 0;
    while (at < meta->count && strcmp(meta->headers[at].name, "content-encoding") != 0)
        at++;
    if (at == meta->count || strcasecmp(meta->headers[at].value, "gzip") != 0) return APR_SUCCESS;
    if (source->size >= sizeof(head))
        status = source->read_at(source->baton, head, sizeof(head), 0);
    if (status == APR_SUCCESS && (head[0] != 0x1f || head[1] != 0x8b))
        meta->headers[at] = meta->headers[--meta->count];
    return status;
}

/* ---- changing attributes alone */

static void change(vfs_attr_t *attr, const s3_change_t *how)
{
    if (how->set & S3_SET_MODE) attr->mode = how->mode & 07777;
    if ((how->set & S3_SET_OWNER) && how->uid != UINT32_MAX) attr->uid = how->uid;
    if ((how->set & S3_SET_OWNER) && how->gid != UINT32_MAX) attr->gid = how->gid;
    if ((how->set & S3_SET_OWNER) && attr->type == VFS_TYPE_FILE)
        attr->mode &= attr->mode & S_IXGRP ? ~(uint32_t)(S_ISUID | S_ISGID) : ~(uint32_t)S_ISUID;
    if (!(how->set & S3_SET_TIMES)) return;
    int64_t now = vfs_now_ns();
    if (how->atime_ns != VFS_TIME_OMIT)
        attr->atime_ns = how->atime_ns == VFS_TIME_NOW ? now : how->atime_ns;
    if (how->mtime_ns != VFS_TIME_OMIT)
        attr->mtime_ns = how->mtime_ns == VFS_TIME_NOW ? now : how->mtime_ns;
}

/* A directory has a marker that carries them. */
static apr_status_t change_dir(s3_t *s, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr,
                               const s3_change_t *how)
{
    s3_meta_t meta;
    if (path[1] == '\0') return APR_FROM_OS_ERROR(EPERM); /* it has no key */
    change(attr, how);
    apr_status_t status = s3__meta_of(&meta, s, NULL);
    if (status != APR_SUCCESS) return status;
    status = s3__meta_attr(&meta, s, attr);
    if (status == APR_SUCCESS) status = s3__mark(s, ctx, path, &meta, 0);
    s3__meta_free(&meta);
    return status;
}

/* What a link leads to is not looked for here; and it has no mode. */
static apr_status_t may_change(const vfs_attr_t *attr, const s3_change_t *how)
{
    if (attr->type != VFS_TYPE_LINK) return APR_SUCCESS;
    if (!how->itself) return APR_FROM_OS_ERROR(ELOOP);
    return how->set & S3_SET_MODE ? APR_ENOTIMPL : APR_SUCCESS;
}

/* Copy it onto itself. *again: somebody else replaced it meanwhile. */
static apr_status_t change_file(s3_t *s, const vfs_ctx_t *ctx, const char *path,
                                const s3_change_t *how, int *again)
{
    const s3_request_t head = {.method = "HEAD", .path = path, .flags = REMOTE_AGAIN};
    remote_answer_t answer;
    vfs_attr_t attr;
    s3_meta_t meta = {.text = NULL};
    *again = 0;
    apr_status_t status = s3__do(s, ctx, &head, &answer, NULL);
    if (status == APR_SUCCESS && answer.length < 0) status = VFS_EFORMAT;
    if (status == APR_SUCCESS) status = s3__meta_of(&meta, s, &answer);
    if (status == APR_SUCCESS) {
        s3__attr(s, &answer, VFS_TYPE_FILE, (uint64_t)answer.length, path, &attr);
        change(&attr, how);
        status = may_change(&attr, how);
    }
    if (status == APR_SUCCESS) status = s3__meta_attr(&meta, s, &attr);
    if (status == APR_SUCCESS) {
        const s3_copy_t copy = {
            .from = path, .to = path, .size = attr.size, .etag = answer.etag, .meta = &meta};
        status = s3__copy(s, ctx, &copy);
        *again = status == VFS_ECONFLICT;
    }
    s3__meta_free(&meta);
    remote__answer_free(&answer);
    return status;
}

apr_status_t s3__change(s3_t *s, const vfs_ctx_t *ctx, const char *path, const s3_change_t *how)
{
    vfs_attr_t attr;
    vfs_validator_t validator;
    int again = 1;
    apr_status_t status = APR_SUCCESS;
    if (!s->meta) return APR_ENOTIMPL;
    for (unsigned i = 0; i < TRIES && again; i++) {
        status = path[1] != '\0' ? change_file(s, ctx, path, how, &again) : APR_ENOENT;
        if (!APR_STATUS_IS_ENOENT(status)) continue;
        status = s3__stat(s, ctx, path, &attr, &validator);
        if (status != APR_SUCCESS) return status;
        again = attr.type != VFS_TYPE_DIR; /* it came just now */
        if (!again) status = change_dir(s, ctx, path, &attr, how);
    }
    return status;
}
