/*
 * read.c - ranges of bytes, all of one version. Floor 2.
 *
 * An answer's bytes are of the version that its own headers name. Where one answer does not bring
 * all, because the connection broke or the server gave less, the next request asks for the rest on
 * the condition of that version (If-Match), and what comes is compared all the same: servers ignore
 * conditions. Another version throws away what is there and begins again, once.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/remote/files.h"

/* From begin: what comes is of another version than what is there. */
#define CHANGED (VFS_EEND + 65)

typedef struct remote_read_t {
    const remote_backend_t *backend;
    void *state;
    uint64_t skip_max;
    const char *path;
    const vfs_iovec_t *iov;
    size_t count;
    uint64_t off, len;
    uint64_t done;    /* bytes of the range that are there */
    uint64_t skip;    /* of the answer, before the range */
    uint64_t bytes;   /* of the answer, so far */
    int64_t promised; /* bytes of the answer; -1: not said */
    int64_t total;    /* of the file; -1: not known */
    vfs_attr_t attr;
    vfs_validator_t version;   /* of what is there */
    char etag[REMOTE_TAG_MAX]; /* a strong one, else "" */
} remote_read_t;

/* What is coded on its way has a tag that is weak, or none. */
int remote__recoded(const remote_backend_t *backend, const remote_answer_t *answer)
{
    return answer->coded && !(backend->exact && answer->etag[0] == '"');
}

static apr_status_t prepare(void *baton, struct curl_slist **headers)
{
    remote_read_t *r = baton;
    char text[REMOTE_TAG_MAX + 32];
    (void)snprintf(text, sizeof(text), "Range: bytes=%" PRIu64 "-%" PRIu64, r->off + r->done,
                   r->off + r->len - 1);
    struct curl_slist *more = curl_slist_append(*headers, text);
    if (more == NULL) return APR_ENOMEM;
    *headers = more;
    if (r->done == 0 || r->etag[0] == '\0') return APR_SUCCESS;
    (void)snprintf(text, sizeof(text), "If-Match: %s", r->etag);
    return curl_slist_append(*headers, text) != NULL ? APR_SUCCESS : APR_ENOMEM;
}

/* Where do the answer's bytes belong? */
static apr_status_t place(remote_read_t *r, const remote_answer_t *answer)
{
    uint64_t at = r->off + r->done;
    r->skip = r->bytes = 0;
    if (remote__recoded(r->backend, answer) || !answer->framed) return VFS_EFORMAT;
    if (answer->status == 200) {
        r->skip = at;
        r->promised = r->total = answer->length;
        if (r->total >= 0 && (uint64_t)r->total <= at) return APR_SUCCESS; /* nothing is wanted */
        return r->skip > r->skip_max ? APR_ENOTIMPL : APR_SUCCESS;
    }
    if (answer->status != 206 || answer->range_first != (int64_t)at) return VFS_EFORMAT;
    r->promised = answer->range_last - answer->range_first + 1;
    r->total = answer->range_total;
    return answer->length >= 0 && answer->length != r->promised ? VFS_EFORMAT : APR_SUCCESS;
}

static apr_status_t begin(void *baton, const remote_answer_t *answer)
{
    remote_read_t *r = baton;
    vfs_attr_t attr;
    vfs_validator_t version;
    if (answer->status < 200 || answer->status > 299) return APR_SUCCESS;
    apr_status_t status = place(r, answer);
    if (status != APR_SUCCESS) return status;
    r->backend->attr(r->state, answer, VFS_TYPE_FILE, r->total >= 0 ? (uint64_t)r->total : 0,
                     r->path, &attr);
    remote__validator(&version, answer, &attr);
    if (r->backend->exact) version.flags &= (uint8_t)~VFS_VALIDATOR_YOUNG;
    if (r->done > 0 && !vfs_validator_equal(&version, &r->version)) return CHANGED;
    r->attr = attr;
    r->version = version;
    r->etag[0] = '\0';
    if (version.kind == VFS_VALIDATOR_ETAG && !(version.flags & VFS_VALIDATOR_WEAK))
        memcpy(r->etag, answer->etag, strlen(answer->etag) + 1);
    return answer->status == 200 && r->total > 0 && (uint64_t)r->total <= r->skip ? REMOTE_ENOUGH
                                                                                  : APR_SUCCESS;
}

/* Put bytes behind those that are there. */
static void put(remote_read_t *r, const char *data, size_t len)
{
    uint64_t at = r->done;
    r->done += len;
    for (size_t i = 0; i < r->count && len > 0; i++) {
        if (at >= r->iov[i].len) {
            at -= r->iov[i].len;
            continue;
        }
        size_t n = r->iov[i].len - at < len ? r->iov[i].len - (size_t)at : len;
        memcpy((char *)r->iov[i].base + at, data, n);
        data += n;
        len -= n;
        at = 0;
    }
}

static apr_status_t body(void *baton, const void *data, size_t len)
{
    remote_read_t *r = baton;
    const char *bytes = data;
    r->bytes += len;
    if (r->skip > 0) {
        size_t n = r->skip < len ? (size_t)r->skip : len;
        r->skip -= n;
        bytes += n;
        len -= n;
    }
    size_t want = r->len - r->done < len ? (size_t)(r->len - r->done) : len;
    put(r, bytes, want);
    int more = want < len || (r->done == r->len && r->promised > (int64_t)r->bytes);
    return more ? REMOTE_ENOUGH : APR_SUCCESS;
}

/* An answer is whole. *end: so is the range, or the file ends here. */
static apr_status_t take(remote_read_t *r, const remote_answer_t *answer, int *end)
{
    *end = 1;
    if (answer->status == 416) { /* nothing there: the file ends at or before it */
        if (r->done > 0 && r->total > (int64_t)(r->off + r->done)) return CHANGED;
        if (answer->range_total > (int64_t)(r->off + r->done)) return VFS_EFORMAT;
        if (r->done > 0) return APR_SUCCESS;
        r->total = answer->range_total;
        r->backend->attr(r->state, answer, VFS_TYPE_FILE, r->total > 0 ? (uint64_t)r->total : 0,
                         r->path, &r->attr);
        return APR_SUCCESS;
    }
    apr_status_t status = remote__status(answer);
    if (status != APR_SUCCESS || r->done == r->len) return status;
    if (r->promised >= 0 && r->bytes != (uint64_t)r->promised && r->skip == 0) return VFS_EFORMAT;
    if (answer->status == 206 && r->total != (int64_t)(r->off + r->done)) {
        *end = 0;
        return r->bytes > 0 ? APR_SUCCESS : VFS_EFORMAT;
    }
    if (r->total < 0) r->total = (int64_t)r->bytes; /* it was told by its end */
    return APR_SUCCESS;
}

/* The server said that the range lies behind the end, but not of which version. *again: it has
 * grown meanwhile. */
static apr_status_t ask_version(remote_read_t *r, const vfs_ctx_t *ctx, int *again)
{
    vfs_attr_t attr;
    vfs_validator_t version;
    int blind = 0;
    apr_status_t status = r->backend->head(r->state, ctx, r->path, &attr, &version, &blind);
    if (status != APR_SUCCESS) return status;
    if (blind) return r->total >= 0 ? APR_SUCCESS : VFS_EFORMAT; /* there is no more to be had */
    if (attr.type == VFS_TYPE_DIR) return APR_FROM_OS_ERROR(EISDIR);
    *again = attr.size > r->off;
    r->attr = attr;
    r->version = version;
    return APR_SUCCESS;
}

static void start_again(remote_read_t *r)
{
    r->done = 0;
    r->total = -1;
    r->etag[0] = '\0';
    memset(&r->version, 0, sizeof(r->version));
}

/* All requests of one read. */
static apr_status_t read_range(remote_read_t *r, const vfs_ctx_t *ctx, int want_version,
                               int *is_dir)
{
    const remote_ask_t ask = {"GET", r->path, 0, prepare, begin, body, r};
    unsigned changes = 0;
    int end = 0;
    while (!end) {
        remote_answer_t answer;
        int changed = 0;
        apr_status_t status = r->backend->ask(r->state, ctx, &ask, &answer, is_dir);
        long said = answer.status;
        if (status == APR_SUCCESS && !*is_dir && said != 412) status = take(r, &answer, &end);
        remote__answer_free(&answer);
        if (status == APR_SUCCESS && *is_dir) return APR_SUCCESS;
        if (status == APR_SUCCESS && said == 416 && r->done == 0 && want_version)
            status = ask_version(r, ctx, &changed);
        if (status == CHANGED || (status == APR_SUCCESS && said == 412)) {
            status = APR_SUCCESS;
            changed = 1;
        }
        if (status != APR_SUCCESS) return status;
        if (!changed) continue;
        if (++changes > 1) return VFS_ESTALE;
        start_again(r);
        end = 0;
    }
    return APR_SUCCESS;
}

apr_status_t remote__read(const remote_backend_t *backend, void *state, uint64_t skip_max,
                          const vfs_ctx_t *ctx, const char *path, const vfs_iovec_t *iov,
                          size_t count, uint64_t off, size_t *got, vfs_attr_t *attr,
                          vfs_validator_t *validator, int *is_dir)
{
    remote_read_t *r = calloc(1, sizeof(*r));
    int dir = 0;
    *got = 0;
    if (r == NULL) return APR_ENOMEM;
    *r = (remote_read_t){.backend = backend,
                         .state = state,
                         .skip_max = skip_max,
                         .path = path,
                         .iov = iov,
                         .count = count,
                         .off = off,
                         .total = -1};
    for (size_t i = 0; i < count; i++)
        r->len += iov[i].len;
    apr_status_t status = read_range(r, ctx, attr != NULL || validator != NULL, &dir);
    if (status == APR_SUCCESS && dir && is_dir == NULL) status = APR_FROM_OS_ERROR(EISDIR);
    if (status == APR_SUCCESS && !dir && attr != NULL && r->total < 0 && r->done > 0) {
        free(r);
        return VFS_EFORMAT; /* bytes of a file whose size the server does not tell */
    }
    if (status == APR_SUCCESS && !dir) {
        *got = (size_t)r->done;
        if (attr != NULL) *attr = r->attr;
        if (attr != NULL && r->done > 0) attr->size = attr->allocated = (uint64_t)r->total;
        if (validator != NULL) *validator = r->version;
    }
    if (is_dir != NULL) *is_dir = dir;
    free(r);
    return status;
}
