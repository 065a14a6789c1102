/*
 * upload.c - an object in parts. Floor 2. Several threads send them, one at a time reads the
 * source; a part that fails for now is sent again by itself. Nobody sees anything before the last
 * request, and if it does not come to that the parts are thrown away.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/remote/xml.h"
#include "backends/s3/hash.h"
#include "backends/s3/s3.h"

#define QUERY_MAX 4096u
#define ABORT_US 10000000 /* how long throwing away may take, whatever the caller's deadline */
#define MEMORY_MAX (256u << 20)
#define THREADS_MAX 64u

typedef struct s3_crew_t {
    s3_t *s;
    const vfs_ctx_t *ctx;
    s3_upload_t *upload;
    const char *id;
    size_t buffer;
    pthread_mutex_t lock; /* guards the next two, and the source */
    size_t next;
    apr_status_t status; /* the first error */
} s3_crew_t;

static apr_status_t begin_upload(s3_t *s, const vfs_ctx_t *ctx, const s3_upload_t *u,
                                 s3_result_t *result)
{
    s3_request_t request = {
        .method = "POST", .path = u->path, .query = "uploads=", .flags = REMOTE_AGAIN};
    remote_answer_t answer;
    s3__meta_add(u->meta, &request);
    apr_status_t status = s3__do_xml(s, ctx, &request, &answer, result);
    remote__answer_free(&answer);
    return status == APR_SUCCESS && result->upload[0] == '\0' ? VFS_EFORMAT : status;
}

static void part_query(char query[QUERY_MAX], const char *id, size_t number)
{
    char text[16];
    (void)snprintf(text, sizeof(text), "%zu", number);
    query[0] = '\0';
    int good = (number == 0 || s3__query_add(query, QUERY_MAX, "partNumber", text)) &&
               s3__query_add(query, QUERY_MAX, "uploadId", id);
    VFS_ASSERT(good); /* an id has a quarter of that at most */
}

static void keep_etag(s3_part_t *part, const char *etag, apr_status_t *status)
{
    if (*status != APR_SUCCESS) return;
    if (etag[0] == '\0' || strlen(etag) >= sizeof(part->etag)) *status = VFS_EFORMAT;
    (void)snprintf(part->etag, sizeof(part->etag), "%s", etag);
}

/* Is what the server has what we sent, as far as its tag tells? */
apr_status_t s3__check_tag(s3_t *s, const remote_answer_t *answer, const char *hex)
{
    char text[64];
    size_t len = strlen(hex);
    int same = strlen(answer->etag) == len + 2 && strncmp(answer->etag + 1, hex, len) == 0;
    if (same) {
        atomic_store_explicit(&s->tags_are_md5, 1, memory_order_relaxed);
        return APR_SUCCESS;
    }
    if (strlen(answer->etag) != len + 2 || /* encrypted by a key, the tag is no MD5 */
        remote__kept(answer, "x-amz-server-side-encryption-customer-algorithm", text,
                     sizeof(text)) != NULL ||
        (remote__kept(answer, "x-amz-server-side-encryption", text, sizeof(text)) != NULL &&
         strcmp(text, "AES256") != 0))
        return APR_SUCCESS;
    int known = atomic_load_explicit(&s->tags_are_md5, memory_order_relaxed);
    return known ? VFS_ECHECKSUM : APR_SUCCESS;
}

static apr_status_t send_part(const s3_crew_t *crew, size_t i, const char *data)
{
    s3_part_t *part = &crew->upload->parts[i];
    unsigned char md5[S3_MD5_BYTES];
    char query[QUERY_MAX], said[32], hex[2 * S3_MD5_BYTES + 1];
    s3_request_t request = {.method = "PUT",
                            .path = crew->upload->path,
                            .query = query,
                            .data = data,
                            .len = (size_t)part->len,
                            .flags = REMOTE_AGAIN};
    remote_answer_t answer;
    s3__md5(md5, data, (size_t)part->len);
    s3__base64(said, md5, sizeof(md5));
    s3__hex(hex, md5, sizeof(md5));
    s3__header(&request, "content-md5", said);
    part_query(query, crew->id, i + 1);
    apr_status_t status = s3__do(crew->s, crew->ctx, &request, &answer, NULL);
    if (status == APR_SUCCESS) status = s3__check_tag(crew->s, &answer, hex);
    keep_etag(part, answer.etag, &status);
    remote__answer_free(&answer);
    return status;
}

static apr_status_t copy_part(const s3_crew_t *crew, size_t i)
{
    const s3_upload_t *u = crew->upload;
    s3_part_t *part = &u->parts[i];
    char query[QUERY_MAX], range[64];
    s3_request_t request = {
        .method = "PUT", .path = u->path, .query = query, .flags = REMOTE_AGAIN | REMOTE_SLOW};
    remote_answer_t answer;
    s3_result_t *result = calloc(1, sizeof(*result));
    char *source = s3__copy_source(crew->s, u->from, 0);
    apr_status_t status = result != NULL && source != NULL ? APR_SUCCESS : APR_ENOMEM;
    (void)snprintf(range, sizeof(range), "bytes=%" PRIu64 "-%" PRIu64, part->off,
                   part->off + part->len - 1);
    if (status == APR_SUCCESS) {
        s3__header(&request, "x-amz-copy-source", source);
        s3__header(&request, "x-amz-copy-source-range", range);
        s3__header(&request, "x-amz-copy-source-if-match", u->from_etag);
        part_query(query, crew->id, i + 1);
        status = s3__do_xml(crew->s, crew->ctx, &request, &answer, result);
        keep_etag(part, result->etag, &status);
        remote__answer_free(&answer);
    }
    free(source);
    free(result);
    return status;
}

/* The next part that nobody has; its bytes are in `data` if it is no copy. 0: there is none. */
static int take_part(s3_crew_t *crew, char *data, size_t *i)
{
    pthread_mutex_lock(&crew->lock);
    int more = crew->status == APR_SUCCESS && crew->next < crew->upload->count;
    if (more) {
        *i = crew->next++;
        const s3_part_t *part = &crew->upload->parts[*i];
        const vfs_source_t *source = crew->upload->source;
        if (!part->copied)
            crew->status =
                source->read_at(source->baton, data, (size_t)part->len, (apr_off_t)part->off);
        if (crew->status == APR_SUCCESS) crew->status = vfs_ctx_check(crew->ctx);
        more = crew->status == APR_SUCCESS;
    }
    pthread_mutex_unlock(&crew->lock);
    return more;
}

static void *work(void *baton)
{
    s3_crew_t *crew = baton;
    char *data = crew->buffer > 0 ? malloc(crew->buffer) : NULL;
    size_t i = 0;
    int able = data != NULL || crew->buffer == 0;
    while (able && take_part(crew, data, &i)) {
        apr_status_t status =
            crew->upload->parts[i].copied ? copy_part(crew, i) : send_part(crew, i, data);
        if (status == APR_SUCCESS) continue;
        pthread_mutex_lock(&crew->lock);
        if (crew->status == APR_SUCCESS) crew->status = status;
        pthread_mutex_unlock(&crew->lock);
    }
    free(data);
    return able ? crew : NULL;
}

/* All parts, by this thread and others. Those that cannot be had are done without. */
static apr_status_t send_parts(s3_crew_t *crew)
{
    pthread_t threads[THREADS_MAX];
    size_t count = 0, wanted = crew->s->parallel;
    for (size_t i = 0; i < crew->upload->count; i++)
        if (!crew->upload->parts[i].copied && crew->upload->parts[i].len > crew->buffer)
            crew->buffer = (size_t)crew->upload->parts[i].len;
    if (crew->buffer > 0 && wanted > MEMORY_MAX / crew->buffer) wanted = MEMORY_MAX / crew->buffer;
    if (wanted > crew->upload->count) wanted = crew->upload->count;
    while (count + 1 < wanted && count < THREADS_MAX &&
           pthread_create(&threads[count], NULL, work, crew) == 0)
        count++;
    int able = work(crew) != NULL;
    for (size_t i = 0; i < count; i++) {
        void *did = NULL;
        (void)pthread_join(threads[i], &did); /* it was made above */
        able |= did != NULL;
    }
    return able ? crew->status : APR_ENOMEM;
}

static void abandon(s3_t *s, const s3_upload_t *u, const char *id)
{
    char query[QUERY_MAX];
    vfs_ctx_t ctx = VFS_CTX_INIT;
    const s3_request_t request = {
        .method = "DELETE", .path = u->path, .query = query, .flags = REMOTE_AGAIN};
    remote_answer_t answer;
    ctx.deadline = apr_time_now() + ABORT_US;
    part_query(query, id, 0);
    (void)s3__do(s, &ctx, &request, &answer, NULL); /* else a rule of the bucket clears it up */
    remote__answer_free(&answer);
}

/* The list of parts, in XML. */
static char *part_list(const s3_upload_t *u, size_t *len)
{
    enum { PART_TEXT = 256 };
    size_t size = u->count * PART_TEXT + 128, at = 0;
    char *text = malloc(size);
    if (text == NULL) return NULL;
    at += (size_t)snprintf(text, size, "<CompleteMultipartUpload>");
    for (size_t i = 0; i < u->count; i++) {
        char etag[6 * sizeof(u->parts[i].etag)];
        if (remote__xml_escape(etag, etag + sizeof(etag), u->parts[i].etag) == NULL ||
            strlen(etag) + 80 > PART_TEXT) {
            free(text);
            return NULL;
        }
        at += (size_t)snprintf(text + at, size - at,
                               "<Part><PartNumber>%zu</PartNumber><ETag>%s</ETag></Part>", i + 1,
                               etag);
    }
    at += (size_t)snprintf(text + at, size - at, "</CompleteMultipartUpload>");
    *len = at;
    return text;
}

/* The tag that the whole has, where tags are MD5: that of its parts' and their number. */
static int whole_tag(const s3_upload_t *u, char *out, size_t size)
{
    unsigned char *sums = malloc(u->count * S3_MD5_BYTES), md5[S3_MD5_BYTES];
    char hex[2 * S3_MD5_BYTES + 1];
    int good = sums != NULL;
    for (size_t i = 0; good && i < u->count; i++) {
        const char *etag = u->parts[i].etag;
        good = strlen(etag) == 2 * S3_MD5_BYTES + 2 &&
               strspn(etag + 1, "0123456789abcdef") == 2 * S3_MD5_BYTES;
        for (size_t k = 0; good && k < S3_MD5_BYTES; k++) {
            const char two[3] = {etag[1 + 2 * k], etag[2 + 2 * k], '\0'};
            sums[i * S3_MD5_BYTES + k] = (unsigned char)strtoul(two, NULL, 16);
        }
    }
    if (good) {
        s3__md5(md5, sums, u->count * S3_MD5_BYTES);
        s3__hex(hex, md5, sizeof(md5));
        (void)snprintf(out, size, "\"%s-%zu\"", hex, u->count);
    }
    free(sums);
    return good;
}

const char *s3__tag_sent(const s3_t *s, const char *etag, char out[REMOTE_TAG_MAX])
{
    if (etag == NULL || !s->conditional) return NULL;
    size_t len = strlen(etag);
    int bare = s->bare_tags && len > 2 && etag[0] == '"';
    (void)snprintf(out, REMOTE_TAG_MAX, "%.*s", bare ? (int)len - 2 : (int)len, etag + bare);
    return out;
}

int s3__has_tag(s3_t *s, const vfs_ctx_t *ctx, const char *path, const char *etag)
{
    const s3_request_t request = {.method = "HEAD", .path = path, .flags = REMOTE_AGAIN};
    remote_answer_t answer;
    apr_status_t status = s3__do(s, ctx, &request, &answer, NULL);
    int same = status == APR_SUCCESS && strcmp(answer.etag, etag) == 0;
    remote__answer_free(&answer);
    return same;
}

/* Do the conditions hold by now? Servers that honour those of PUT may ignore them here. */
static apr_status_t check_conditions(s3_t *s, const vfs_ctx_t *ctx, const s3_upload_t *u)
{
    const s3_request_t head = {.method = "HEAD", .path = u->path, .flags = REMOTE_AGAIN};
    remote_answer_t answer;
    if (u->if_match == NULL && !u->if_none) return APR_SUCCESS;
    apr_status_t status = s3__do(s, ctx, &head, &answer, NULL);
    if (APR_STATUS_IS_ENOENT(status))
        status = u->if_match != NULL ? VFS_ECONFLICT : APR_SUCCESS;
    else if (status == APR_SUCCESS && (u->if_none || strcmp(answer.etag, u->if_match) != 0))
        status = VFS_ECONFLICT;
    remote__answer_free(&answer);
    return status;
}

/* *gone: there is no such upload any more. If an answer was lost, what it refuses then may be its
 * own work: the tag tells. */
static apr_status_t finish(s3_t *s, const vfs_ctx_t *ctx, s3_upload_t *u, const char *id, int *gone)
{
    char query[QUERY_MAX], tag[80], sent[REMOTE_TAG_MAX];
    s3_request_t request = {
        .method = "POST", .path = u->path, .query = query, .flags = REMOTE_AGAIN | REMOTE_SLOW};
    remote_answer_t answer;
    s3_result_t *result = calloc(1, sizeof(*result));
    char *list = part_list(u, &request.len);
    request.data = list;
    part_query(query, id, 0);
    s3__header(&request, "content-type", "application/xml");
    s3__header(&request, "if-match", s3__tag_sent(s, u->if_match, sent));
    if (s->conditional && u->if_none) s3__header(&request, "if-none-match", "*");
    if (result == NULL || list == NULL) {
        free(result);
        free(list);
        return APR_ENOMEM;
    }
    apr_status_t status = s3__do_xml(s, ctx, &request, &answer, result);
    *gone = status == APR_SUCCESS || strcmp(result->error.code, "NoSuchUpload") == 0;
    memcpy(u->etag, result->etag, sizeof(u->etag));
    u->date_s = answer.date_s;
    int doubt = status != APR_SUCCESS && answer.unknown;
    remote__answer_free(&answer);
    free(result);
    free(list);
    if (doubt && whole_tag(u, tag, sizeof(tag)) && s3__has_tag(s, ctx, u->path, tag)) {
        (void)snprintf(u->etag, sizeof(u->etag), "%s", tag);
        status = APR_SUCCESS;
    }
    if (status == APR_FROM_OS_ERROR(ENOENT) && u->if_match != NULL && !*gone) return VFS_ECONFLICT;
    return status;
}

apr_status_t s3__upload(s3_t *s, const vfs_ctx_t *ctx, s3_upload_t *u)
{
    s3_result_t *result = calloc(1, sizeof(*result));
    int gone = 0;
    if (result == NULL) return APR_ENOMEM;
    apr_status_t status = begin_upload(s, ctx, u, result);
    if (status == APR_SUCCESS) {
        s3_crew_t crew = {.s = s, .ctx = ctx, .upload = u, .id = result->upload};
        pthread_mutex_init(&crew.lock, NULL);
        status = send_parts(&crew);
        (void)pthread_mutex_destroy(&crew.lock); /* the others have ended */
        u->sent = status == APR_SUCCESS;
        if (status == APR_SUCCESS) status = check_conditions(s, ctx, u);
        if (status == APR_SUCCESS) status = finish(s, ctx, u, result->upload, &gone);
        if (status != APR_SUCCESS && !gone) abandon(s, u, result->upload);
    }
    free(result);
    return status;
}
