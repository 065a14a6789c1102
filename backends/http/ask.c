/*
 * ask.c - one question to the server: where redirects lead, what an answer says of a file. Floor 2.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/http/http.h"

#define NS_PER_S 1000000000

static int is_redirect(const remote_answer_t *answer)
{
    long s = answer->status;
    return (s >= 301 && s <= 303) || s == 307 || s == 308;
}

static apr_status_t send_to(http_t *h, const vfs_ctx_t *ctx, const remote_ask_t *ask,
                            const char *url, remote_answer_t *answer)
{
    remote_request_t request = {.method = ask->method,
                                .url = url,
                                .flags = REMOTE_AGAIN,
                                .prepare = ask->prepare,
                                .begin = ask->begin,
                                .body = ask->body,
                                .baton = ask->baton};
    if (!remote__same_origin(h->base, url)) request.flags |= REMOTE_FOREIGN;
    return remote__send(h->state.remote, ctx, &request, answer);
}

static int may_follow(const http_t *h, const char *from, const char *to)
{
    if (h->redirects == HTTP_REDIRECTS_NONE || !remote__may_follow(from, to)) return 0;
    return h->redirects == HTTP_REDIRECTS_ANY || remote__same_origin(h->base, to);
}

apr_status_t http__ask(void *state, const vfs_ctx_t *ctx, const remote_ask_t *ask,
                       remote_answer_t *answer, int *is_dir)
{
    http_t *h = state;
    char *url = remote__url(h->base, ask->path, ask->slash);
    apr_status_t status = url != NULL ? APR_SUCCESS : APR_ENOMEM;
    *is_dir = ask->slash;
    memset(answer, 0, sizeof(*answer));
    for (unsigned hops = 0; status == APR_SUCCESS; hops++) {
        remote__answer_free(answer);
        status = send_to(h, ctx, ask, url, answer);
        if (status != APR_SUCCESS || !is_redirect(answer)) break;
        if (!*is_dir && answer->location != NULL && remote__adds_slash(url, answer->location)) {
            *is_dir = 1;
            break;
        }
        if (answer->location == NULL) {
            status = VFS_EFORMAT;
        } else if (hops == HTTP_REDIRECTS_MAX || !may_follow(h, url, answer->location)) {
            status = APR_FROM_OS_ERROR(EACCES);
            (void)snprintf(answer->why, sizeof(answer->why),
                           "the server sends us elsewhere, and we may not go there");
        } else {
            free(url);
            url = strdup(answer->location);
            if (url == NULL) status = APR_ENOMEM;
        }
    }
    free(url);
    return status;
}

void http__attr(const void *state, const remote_answer_t *answer, vfs_type_e type, uint64_t size,
                const char *path, vfs_attr_t *attr)
{
    const http_t *h = state;
    remote__attr(answer, type, size, path, attr);
    attr->mode = type == VFS_TYPE_DIR ? 0555 : 0444;
    attr->uid = h->uid;
    attr->gid = h->gid;
    attr->dev = 0x68747470; /* "http", so that it is known in a listing */
}

/* A server that says nothing of a size, or does not know HEAD: read a byte. */
static apr_status_t stat_by_reading(http_t *h, const vfs_ctx_t *ctx, const char *path,
                                    vfs_attr_t *attr, vfs_validator_t *validator)
{
    char byte;
    const vfs_iovec_t iov = {&byte, 1};
    size_t got = 0;
    int is_dir = 0;
    apr_status_t status = remote__read(&http__backend, h, h->skip_max, ctx, path, &iov, 1, 0, &got,
                                       attr, validator, &is_dir);
    if (status == APR_SUCCESS && is_dir) http__attr(h, NULL, VFS_TYPE_DIR, 0, path, attr);
    return status;
}

/* The root is a directory, whatever the server says of it: it may hide it and serve what is below.
 */
static int root_is_there(const http_t *h, const remote_answer_t *answer)
{
    if (answer->status == 404 || answer->status == 410) return h->listing == HTTP_LISTING_OFF;
    return answer->status == 403 || answer->status == 405 || answer->status == 501 ||
           (answer->status >= 200 && answer->status < 300);
}

static apr_status_t describe_file(http_t *h, const remote_answer_t *answer, const char *path,
                                  vfs_attr_t *attr, vfs_validator_t *validator)
{
    apr_status_t status = remote__status(answer);
    if (status != APR_SUCCESS) return status;
    if (answer->coded || answer->length < 0) return VFS_EFORMAT;
    http__attr(h, answer, VFS_TYPE_FILE, (uint64_t)answer->length, path, attr);
    remote__validator(validator, answer, attr);
    return APR_SUCCESS;
}

apr_status_t http__head(void *state, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr,
                        vfs_validator_t *validator, int *blind)
{
    http_t *h = state;
    const int root = path[1] == '\0';
    const remote_ask_t ask = {.method = "HEAD", .path = path, .slash = root};
    remote_answer_t answer;
    int is_dir = 0;
    memset(validator, 0, sizeof(*validator));
    apr_status_t status = http__ask(h, ctx, &ask, &answer, &is_dir);
    *blind = !root && !is_dir &&
             (answer.status == 405 || answer.status == 501 ||
              (answer.status == 200 && answer.length < 0));
    if (status == APR_SUCCESS && (root ? root_is_there(h, &answer) : is_dir))
        http__attr(h, &answer, VFS_TYPE_DIR, 0, path, attr);
    else if (status == APR_SUCCESS && !*blind)
        status = describe_file(h, &answer, path, attr, validator);
    remote__answer_free(&answer);
    return status;
}

apr_status_t http__stat(void *state, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr,
                        vfs_validator_t *validator)
{
    http_t *h = state;
    int blind = 0;
    apr_status_t status = http__head(h, ctx, path, attr, validator, &blind);
    return status == APR_SUCCESS && blind ? stat_by_reading(h, ctx, path, attr, validator) : status;
}

apr_status_t http__probe(http_t *h, char *err, size_t errlen)
{
    const remote_ask_t ask = {.method = "HEAD", .path = "/", .slash = 1};
    remote_answer_t answer;
    int is_dir = 0;
    apr_status_t status = http__ask(h, NULL, &ask, &answer, &is_dir);
    if (status == APR_SUCCESS && !root_is_there(h, &answer)) status = remote__status(&answer);
    const char *own = answer.status == 404 || answer.status == 410
                          ? "there is no such directory; listing=off, if the server just has no "
                            "listing of it"
                          : NULL;
    if (status != APR_SUCCESS) remote__explain(h->base, &answer, status, own, err, errlen);
    remote__answer_free(&answer);
    return status;
}
