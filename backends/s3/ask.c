/*
 * ask.c - one question to S3: its URL, its signature, and what a refusal means. Floor 2. A redirect
 * is never followed: a bucket that lies elsewhere is opened where it lies.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/remote/xml.h"
#include "backends/s3/hash.h"
#include "backends/s3/s3.h"

#define NS_PER_S 1000000000
#define SKEW_MAX_S 900 /* S3 takes no request that is older, or from further ahead */
#define TRIES 3u

/* One request under way. */
typedef struct s3_call_t {
    s3_t *s;
    const s3_request_t *request;
    char *url;
    char payload[2 * S3_SHA256_BYTES + 1];
    s3_creds_t creds;
} s3_call_t;

/* ---- what a refusal says */

static apr_status_t on_error_text(void *baton, const char *space, const char *name,
                                  const char *text, size_t len)
{
    s3_error_t *error = baton;
    const struct {
        const char *name;
        char *out;
        size_t size;
    } rows[] = {{"Code", error->code, sizeof(error->code)},
                {"Message", error->message, sizeof(error->message)},
                {"Region", error->region, sizeof(error->region)}};
    (void)space;
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(name, rows[i].name) != 0 || rows[i].out[0] != '\0') continue;
        size_t n = 0;
        for (; n < len && n + 1 < rows[i].size; n++)
            rows[i].out[n] = (unsigned char)text[n] < ' ' ? ' ' : text[n];
        rows[i].out[n] = '\0';
    }
    return APR_SUCCESS;
}

void s3__parse_error(s3_error_t *error, const char *text, size_t len)
{
    static const remote_xml_events_t events = {NULL, on_error_text};
    remote_xml_t *xml = NULL;
    memset(error, 0, sizeof(*error));
    if (text == NULL || remote__xml_new(&xml, &events, error) != APR_SUCCESS) return;
    (void)remote__xml_feed(xml, text, len); /* what was understood counts */
    remote__xml_free(xml);
}

apr_status_t s3__status(const remote_answer_t *answer, const s3_error_t *error)
{
    static const struct {
        const char *code;
        apr_status_t status;
    } rows[] = {
        {"NoSuchKey", APR_FROM_OS_ERROR(ENOENT)},
        {"NoSuchBucket", APR_FROM_OS_ERROR(ENOENT)},
        {"ConditionalRequestConflict", VFS_ECONFLICT}, /* two at once: neither may win */
        {"EntityTooLarge", APR_FROM_OS_ERROR(EFBIG)},
        {"KeyTooLongError", APR_ENAMETOOLONG},
        {"NotImplemented", APR_ENOTIMPL},
        {"ExpiredToken", APR_FROM_OS_ERROR(EACCES)},
        {"TokenRefreshRequired", APR_FROM_OS_ERROR(EACCES)},
        {"InvalidToken", APR_FROM_OS_ERROR(EACCES)},
        {"BadDigest", VFS_ECHECKSUM},
        {"InvalidDigest", VFS_ECHECKSUM},
        {"XAmzContentSHA256Mismatch", VFS_ECHECKSUM},
        {"InternalError", VFS_EOFFLINE}, /* "try again", in a 200 too */
        {"SlowDown", VFS_EOFFLINE},
        {"ServiceUnavailable", VFS_EOFFLINE},
        {"QuotaExceeded", APR_FROM_OS_ERROR(ENOSPC)},
        {"InvalidObjectState", APR_FROM_OS_ERROR(EACCES)}, /* archived */
    };
    for (size_t i = 0; error != NULL && i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(error->code, rows[i].code) == 0) return rows[i].status;
    return remote__status(answer);
}

/* ---- sending */

void s3__header(s3_request_t *request, const char *name, const char *value)
{
    if (value == NULL) return;
    VFS_ASSERT(request->nheaders < S3_HEADERS_MAX);
    request->headers[request->nheaders++] = (s3_header_t){name, value};
}

int s3__query_add(char *out, size_t size, const char *name, const char *value)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t len = strlen(out);
    if (len + strlen(name) + 3 > size) return 0;
    len += (size_t)snprintf(out + len, size - len, "%s%s=", len > 0 ? "&" : "", name);
    for (const unsigned char *at = (const unsigned char *)value; *at != '\0'; at++) {
        if (len + 4 > size) return 0;
        int plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                    (*at >= '0' && *at <= '9') || strchr("-._~", *at) != NULL;
        if (plain) {
            out[len++] = (char)*at;
        } else {
            out[len++] = '%';
            out[len++] = digits[*at >> 4];
            out[len++] = digits[*at & 15];
        }
    }
    out[len] = '\0';
    return 1;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const s3_header_t *)a)->name, ((const s3_header_t *)b)->name);
}

/* A header behind the others. What has no value is written in another way: else libcurl takes it
 * for one that shall not be sent. */
static int add_line(struct curl_slist **headers, const char *name, const char *value)
{
    size_t size = strlen(name) + strlen(value) + 3;
    char *line = malloc(size);
    if (line == NULL) return 0;
    if (value[strspn(value, " \t")] != '\0')
        (void)snprintf(line, size, "%s: %s", name, value);
    else
        (void)snprintf(line, size, "%s;", name);
    struct curl_slist *more = curl_slist_append(*headers, line);
    free(line);
    if (more != NULL) *headers = more;
    return more != NULL;
}

static int add_signature(const s3_call_t *call, const s3_header_t *all, size_t count,
                         const char *date, struct curl_slist **headers)
{
    size_t host = strcspn(call->url, "/") + 2;
    const char *path = strchr(call->url + host, '/');
    const char *query = call->request->query;
    char *own_path = strndup(path, strcspn(path, "?"));
    if (own_path == NULL) return 0;
    const s3_sign_t what = {.method = call->request->method,
                            .path = own_path,
                            .query = query != NULL ? query : "",
                            .headers = all,
                            .nheaders = count,
                            .payload = call->payload,
                            .date = date,
                            .region = call->s->region,
                            .service = "s3"};
    char *signature = s3__sign(&what, &call->creds);
    int good = signature != NULL && add_line(headers, "authorization", signature);
    free(signature);
    free(own_path);
    return good;
}

/* The signature is of a moment, so each attempt has its own. */
static apr_status_t prepare(void *baton, struct curl_slist **headers)
{
    const s3_call_t *call = baton;
    const s3_request_t *request = call->request;
    s3_header_t all[S3_HEADERS_MAX + 5];
    size_t count = request->nheaders;
    char date[17];
    apr_status_t status =
        request->prepare != NULL ? request->prepare(request->baton, headers) : APR_SUCCESS;
    if (status != APR_SUCCESS) return status;
    memcpy(all, request->headers, count * sizeof(all[0]));
    if (call->s->payer) all[count++] = (s3_header_t){"x-amz-request-payer", "requester"};
    size_t sent = count;
    if (call->creds.id[0] != '\0') {
        int64_t now_s = vfs_now_ns() / NS_PER_S;
        s3__date(date, now_s + atomic_load_explicit(&call->s->skew_s, memory_order_relaxed));
        all[count++] = (s3_header_t){"x-amz-content-sha256", call->payload};
        all[count++] = (s3_header_t){"x-amz-date", date};
        if (call->creds.token[0] != '\0')
            all[count++] = (s3_header_t){"x-amz-security-token", call->creds.token};
        sent = count;
        all[count++] = (s3_header_t){"host", call->s->host}; /* libcurl sends it */
    }
    for (size_t i = 0; i < sent; i++)
        if (!add_line(headers, all[i].name, all[i].value)) return APR_ENOMEM;
    if (call->creds.id[0] == '\0') return APR_SUCCESS;
    qsort(all, count, sizeof(all[0]), by_name);
    return add_signature(call, all, count, date, headers) ? APR_SUCCESS : APR_ENOMEM;
}

static apr_status_t begin(void *baton, const remote_answer_t *answer)
{
    const s3_request_t *request = ((const s3_call_t *)baton)->request;
    return request->begin != NULL ? request->begin(request->baton, answer) : APR_SUCCESS;
}

static apr_status_t body(void *baton, const void *data, size_t len)
{
    const s3_request_t *request = ((const s3_call_t *)baton)->request;
    return request->body != NULL ? request->body(request->baton, data, len) : APR_SUCCESS;
}

/* Over TLS nobody changes a body on its way; else it is signed too. */
static void hash_payload(s3_call_t *call)
{
    unsigned char hash[S3_SHA256_BYTES];
    if (call->s->https && call->request->len > 0) {
        (void)snprintf(call->payload, sizeof(call->payload), "UNSIGNED-PAYLOAD");
        return;
    }
    s3__sha256(hash, call->request->data, call->request->len);
    s3__hex(call->payload, hash, sizeof(hash));
}

static apr_status_t make_url(s3_call_t *call)
{
    const s3_t *s = call->s;
    const s3_request_t *request = call->request;
    char path[VFS_PATH_MAX + 2 * S3_KEY_MAX] = "/";
    if (request->path != NULL) {
        int n = snprintf(path, sizeof(path), "/%s%s", s->prefix, request->path + 1);
        if (n + request->slash > (int)S3_KEY_MAX + 1) return APR_ENAMETOOLONG;
    }
    char *plain = remote__url(s->base, path, request->slash);
    if (plain == NULL || request->query == NULL) {
        call->url = plain;
        return plain != NULL ? APR_SUCCESS : APR_ENOMEM;
    }
    size_t size = strlen(plain) + strlen(request->query) + 2;
    call->url = malloc(size);
    if (call->url != NULL) (void)snprintf(call->url, size, "%s?%s", plain, request->query);
    free(plain);
    return call->url != NULL ? APR_SUCCESS : APR_ENOMEM;
}

/* Does the server's clock differ from ours, as it sees it? Then go by its own. */
static int adjust_clock(s3_t *s, const remote_answer_t *answer, const s3_error_t *error)
{
    if (answer->date_s < 0 || answer->status != 403) return 0;
    int64_t before = atomic_load_explicit(&s->skew_s, memory_order_relaxed);
    int64_t skew = answer->date_s - vfs_now_ns() / NS_PER_S;
    int64_t off = skew > before ? skew - before : before - skew;
    if (strcmp(error->code, "RequestTimeTooSkewed") != 0 &&
        (error->code[0] != '\0' || off < SKEW_MAX_S))
        return 0;
    if (off < SKEW_MAX_S / 2) return 0; /* that is not it */
    atomic_store_explicit(&s->skew_s, skew, memory_order_relaxed);
    return 1;
}

/* May other credentials help? An answer to HEAD does not say why it is a refusal. */
static int is_stale(const remote_answer_t *answer, const s3_error_t *error)
{
    static const char *const codes[] = {"ExpiredToken", "InvalidToken", "TokenRefreshRequired",
                                        "InvalidAccessKeyId", "SignatureDoesNotMatch"};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (strcmp(error->code, codes[i]) == 0) return 1;
    return error->code[0] == '\0' && (answer->status == 403 || answer->status == 401);
}

/* What it costs, as AWS has it: a listing is a question to the bucket. */
static uint32_t price_of(const s3_request_t *request)
{
    int deletes = request->query != NULL && strcmp(request->query, "delete=") == 0;
    if (deletes || strcmp(request->method, "DELETE") == 0) return REMOTE_FREE;
    int plain = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
    return plain && request->path != NULL ? 0 : REMOTE_DEAR;
}

apr_status_t s3__send(s3_t *s, const vfs_ctx_t *ctx, const s3_request_t *request,
                      remote_answer_t *answer, s3_error_t *error)
{
    s3_error_t own;
    s3_call_t *call = calloc(1, sizeof(*call));
    if (error == NULL) error = &own;
    memset(error, 0, sizeof(*error));
    memset(answer, 0, sizeof(*answer));
    if (call == NULL) return APR_ENOMEM;
    call->s = s;
    call->request = request;
    hash_payload(call);
    int unknown = 0;
    apr_status_t status = make_url(call);
    for (unsigned i = 0; status == APR_SUCCESS && i < TRIES; i++) {
        const remote_send_t send = {.data = request->data, .len = request->len};
        const remote_request_t to_send = {.method = request->method,
                                          .url = call->url,
                                          .flags = request->flags | price_of(request) | REMOTE_TELL,
                                          .prepare = prepare,
                                          .begin = begin,
                                          .body = body,
                                          .baton = call,
                                          .send = request->len > 0 ? &send : NULL,
                                          .keep = ""};
        status = s3__creds_get(s, ctx, &call->creds);
        if (status != APR_SUCCESS) break;
        remote__answer_free(answer);
        status = remote__send(s->state.remote, ctx, &to_send, answer);
        unknown |= answer->unknown; /* another round does not undo it */
        if (status != APR_SUCCESS || answer->status < 300) break;
        s3__parse_error(error, answer->said, answer->said_len);
        if (!adjust_clock(s, answer, error) &&
            !(is_stale(answer, error) && s3__creds_renew(s, ctx, &call->creds)))
            break;
    }
    answer->unknown = unknown;
    explicit_bzero(&call->creds, sizeof(call->creds));
    free(call->url);
    free(call);
    return status;
}

apr_status_t s3__do(s3_t *s, const vfs_ctx_t *ctx, const s3_request_t *request,
                    remote_answer_t *answer, s3_error_t *error)
{
    s3_error_t own;
    if (error == NULL) error = &own;
    apr_status_t status = s3__send(s, ctx, request, answer, error);
    return status == APR_SUCCESS ? s3__status(answer, error) : status;
}

/* ---- for the user */

/* What to do about a refusal; `region`: where the bucket is, if that was told. */
static void advise(const s3_t *s, const remote_answer_t *answer, const s3_error_t *error,
                   apr_status_t status, char *out, size_t size)
{
    static const struct {
        const char *code, *advice;
    } rows[] = {
        {"NoSuchBucket", "there is no such bucket: check its name, and endpoint=URL if it is not "
                         "one of AWS"},
        {"InvalidAccessKeyId", "the server does not know this access key: check AWS_ACCESS_KEY_ID, "
                               "or the profile, and whether the endpoint is the right one"},
        {"SignatureDoesNotMatch", "the secret does not belong to the access key: check "
                                  "AWS_SECRET_ACCESS_KEY, or the profile"},
        {"ExpiredToken", "the session has ended: get new credentials (they are read again when "
                         "they change)"},
        {"InvalidToken", "the session token is none: check AWS_SESSION_TOKEN, or unset it"},
        {"RequestTimeTooSkewed", "the clocks differ by more than 15 minutes: set this one right"},
        {"AccessDenied", "who asks is known, or anonymous, and may not: it takes s3:ListBucket on "
                         "the bucket and s3:GetObject on its objects; where the requester pays, "
                         "requester_pays=yes"},
        {"AllAccessDisabled", "the bucket is closed"},
    };
    char region[64] = "";
    const char *told = remote__kept(answer, "x-amz-bucket-region", region, sizeof(region));
    if (told == NULL && error->region[0] != '\0') told = error->region;
    out[0] = '\0';
    if (told != NULL && strcmp(told, s->region) != 0) {
        (void)snprintf(out, size, "the bucket is in the region %s, not %s: region=%s", told,
                       s->region, told);
        return;
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(error->code, rows[i].code) == 0) (void)snprintf(out, size, "%s", rows[i].advice);
    if (out[0] != '\0') return;
    const char *advice = "";
    if (answer->status >= 300 && answer->status < 400)
        advice = "the bucket is served elsewhere: region=NAME, or endpoint=URL";
    else if (status == VFS_EOFFLINE)
        advice = "is the name of the host right, is the server up, is there a proxy (proxy=URL)? "
                 "probe=no opens it all the same";
    else if (answer->status == 0 && APR_STATUS_IS_EACCES(status))
        advice = "the server's certificate is not trusted: cacert=FILE names who signed it; "
                 "verify=no turns the check off";
    else if (answer->status == 403 || answer->status == 401)
        advice = "the server forbids it";
    else if (status == VFS_EFORMAT || (answer->status >= 400 && answer->status < 500 &&
                                       error->code[0] == '\0')) /* S3 says a code */
        advice = "what answers is no S3: check endpoint=URL, its scheme and port, too";
    (void)snprintf(out, size, "%s", advice);
}

static apr_status_t no_item(void *baton, const s3_item_t *item)
{
    (void)item;
    (*(unsigned *)baton)++;
    return APR_SUCCESS;
}

apr_status_t s3__probe(s3_t *s, char *err, size_t errlen)
{
    char advice[320], text[128];
    unsigned items = 0;
    remote_answer_t answer = {.status = 0};
    s3_error_t error = {.code = ""};
    const s3_lister_t lister = {
        .max = 1, .deep = 1, .take = no_item, .baton = &items, .answer = &answer, .error = &error};
    apr_status_t status = s3__list(s, NULL, "/", &lister);
    if (status != APR_SUCCESS) {
        advise(s, &answer, &error, status, advice, sizeof(advice));
        const char *what = error.code[0] != '\0'   ? error.code
                           : answer.why[0] != '\0' ? answer.why
                                                   : vfs_strerror(status, text, sizeof(text));
        (void)snprintf(err, errlen, "s3://%s at %s: %s%s%s", s->bucket, s->base, what,
                       advice[0] != '\0' ? "; " : "", advice);
    }
    remote__answer_free(&answer);
    return status;
}
