/*
 * commit.c - an object is replaced whole. Floor 2. A small one by one request, a large one in
 * parts: those that lie wholly in what is kept are copied from the version before, on the server.
 *
 * Conditions go with the request where the server honours them. Elsewhere it is asked right before,
 * so somebody may come between; the caps say so. The end of an upload in parts is asked about
 * before as well, since that comes long after its beginning.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/s3/hash.h"
#include "backends/s3/s3.h"

#define NS_PER_S 1000000000

/* One commit under way. */
typedef struct s3_going_t {
    s3_t *s;
    const vfs_ctx_t *ctx;
    const char *path;
    const vfs_source_t *source;
    const vfs_commit_t *how;
    int exists;
    char old[REMOTE_TAG_MAX]; /* the tag of what is there */
    vfs_attr_t attr;          /* what it shall have */
    s3_meta_t meta;
    char etag[REMOTE_TAG_MAX]; /* what came of it */
    int64_t date_s;
} s3_going_t;

/* Which conditions go with the request. */
static const char *if_match(const s3_going_t *g)
{
    return g->s->conditional && (g->how->flags & VFS_COMMIT_IF_MATCH) ? g->old : NULL;
}

static int if_none(const s3_going_t *g)
{
    return g->s->conditional && (g->how->flags & VFS_COMMIT_IF_NONE);
}

/* ---- what is there */

static apr_status_t look_at_old(s3_going_t *g)
{
    const s3_request_t head = {.method = "HEAD", .path = g->path, .flags = REMOTE_AGAIN};
    remote_answer_t answer;
    vfs_validator_t now;
    apr_status_t status = s3__do(g->s, g->ctx, &head, &answer, NULL);
    g->exists = status == APR_SUCCESS;
    if (status == APR_SUCCESS && answer.length < 0) status = VFS_EFORMAT;
    if (status == APR_SUCCESS) {
        s3__attr(g->s, &answer, VFS_TYPE_FILE, (uint64_t)answer.length, g->path, &g->attr);
        remote__validator(&now, &answer, &g->attr);
        memcpy(g->old, answer.etag, sizeof(g->old));
        int same = vfs_validator_equal(&now, &g->how->expected);
        if (((g->how->flags & VFS_COMMIT_IF_MATCH) && !same) ||
            (g->how->flags & VFS_COMMIT_IF_NONE))
            status = VFS_ECONFLICT;
        else if (if_match(g) != NULL && answer.etag[0] == '\0')
            status = VFS_EFORMAT; /* a condition on it would be none */
        else if (g->attr.type == VFS_TYPE_LINK)
            status = APR_FROM_OS_ERROR(ELOOP);
        else
            status = s3__meta_of(&g->meta, g->s, &answer);
        if (!same) g->old[0] = '\0'; /* nothing is kept of another version */
    }
    remote__answer_free(&answer);
    if (!APR_STATUS_IS_ENOENT(status)) return status;
    return g->how->flags & VFS_COMMIT_IF_MATCH ? VFS_ECONFLICT : APR_SUCCESS;
}

/* A file that nobody said is new may be a directory. */
static apr_status_t look_for_dir(const s3_going_t *g)
{
    if (s3__was_seen(g->s, g->path)) return APR_FROM_OS_ERROR(EISDIR);
    if (g->how->flags & VFS_COMMIT_IF_NONE) return APR_SUCCESS; /* who says that has looked */
    apr_status_t status = s3__is_empty(g->s, g->ctx, g->path);
    if (APR_STATUS_IS_ENOENT(status)) return APR_SUCCESS;
    return status == APR_SUCCESS || APR_STATUS_IS_ENOTEMPTY(status) ? APR_FROM_OS_ERROR(EISDIR)
                                                                    : status;
}

static apr_status_t prepare_new(s3_going_t *g)
{
    apr_status_t status = look_for_dir(g);
    if (status == APR_SUCCESS) status = s3__parent_is_dir(g->s, g->ctx, g->path);
    if (status != APR_SUCCESS) return status;
    s3__attr(g->s, NULL, VFS_TYPE_FILE, 0, g->path, &g->attr);
    g->attr.mode = g->how->mode & 07777;
    if (g->ctx != NULL && (g->ctx->flags & VFS_CTX_CREDS)) {
        g->attr.uid = g->ctx->uid;
        g->attr.gid = g->ctx->gid;
    }
    if (!g->s->meta) s3__attr(g->s, NULL, VFS_TYPE_FILE, 0, g->path, &g->attr);
    g->attr.atime_ns = vfs_now_ns();
    return s3__meta_of(&g->meta, g->s, NULL);
}

static apr_status_t prepare(s3_going_t *g)
{
    apr_status_t status = APR_SUCCESS;
    if (!if_none(g)) status = look_at_old(g);
    if (status == APR_SUCCESS && !g->exists) status = prepare_new(g);
    if (status != APR_SUCCESS) return status;
    if (g->how->mtime_ns == VFS_TIME_NOW || (g->how->mtime_ns == VFS_TIME_OMIT && !g->exists))
        g->attr.mtime_ns = vfs_now_ns();
    else if (g->how->mtime_ns != VFS_TIME_OMIT)
        g->attr.mtime_ns = g->how->mtime_ns;
    g->attr.size = g->attr.allocated = g->source->size;
    status = s3__meta_attr(&g->meta, g->s, &g->attr);
    return status == APR_SUCCESS ? s3__meta_coding(&g->meta, g->source) : status;
}

/* ---- one request */

/* A condition that does not hold after a lost answer: is it our own work that is there? */
static int is_ours(const s3_going_t *g, const char *hex)
{
    char tag[2 * S3_MD5_BYTES + 3];
    (void)snprintf(tag, sizeof(tag), "\"%s\"", hex);
    return s3__has_tag(g->s, g->ctx, g->path, tag);
}

static apr_status_t put_once(s3_going_t *g, const char *data, const unsigned char *md5,
                             const char *hex, int *refused)
{
    char said[32], tag[REMOTE_TAG_MAX];
    s3_request_t request = {.method = "PUT",
                            .path = g->path,
                            .data = data,
                            .len = (size_t)g->source->size,
                            .flags = REMOTE_AGAIN};
    remote_answer_t answer;
    s3__base64(said, md5, S3_MD5_BYTES);
    s3__header(&request, "content-md5", said);
    s3__header(&request, "if-match", s3__tag_sent(g->s, if_match(g), tag));
    if (if_none(g)) s3__header(&request, "if-none-match", "*");
    s3__meta_add(&g->meta, &request);
    apr_status_t status = s3__do(g->s, g->ctx, &request, &answer, NULL);
    if (status == APR_SUCCESS) status = s3__check_tag(g->s, &answer, hex);
    if (APR_STATUS_IS_ENOENT(status) && if_match(g) != NULL) status = VFS_ECONFLICT; /* it went */
    memcpy(g->etag, answer.etag, sizeof(g->etag));
    g->date_s = answer.date_s;
    *refused = answer.status == 412 && if_match(g) != NULL;
    if (status == VFS_ECONFLICT && answer.unknown && is_ours(g, hex)) {
        (void)snprintf(g->etag, sizeof(g->etag), "\"%s\"", hex);
        status = APR_SUCCESS;
    }
    remote__answer_free(&answer);
    return status;
}

/* A condition is refused that holds, as far as we see: Ceph compares the tag with no quotes around
 * it. What is refused without them too is a server's that knows no such condition. */
static apr_status_t put(s3_going_t *g, const char *data)
{
    unsigned char md5[S3_MD5_BYTES];
    char hex[2 * S3_MD5_BYTES + 1];
    s3__md5(md5, data, (size_t)g->source->size);
    s3__hex(hex, md5, sizeof(md5));
    for (;;) {
        int refused = 0, bare = g->s->bare_tags;
        apr_status_t status = put_once(g, data, md5, hex, &refused);
        if (status != VFS_ECONFLICT || !refused || !s3__has_tag(g->s, g->ctx, g->path, g->old))
            return status;
        if (bare)
            g->s->conditional = 0;
        else
            g->s->bare_tags = 1;
    }
}

static apr_status_t put_whole(s3_going_t *g)
{
    size_t len = (size_t)g->source->size;
    char *data = malloc(len + 1);
    if (data == NULL) return APR_ENOMEM;
    apr_status_t status =
        len > 0 ? g->source->read_at(g->source->baton, data, len, 0) : APR_SUCCESS;
    if (status == APR_SUCCESS) status = put(g, data);
    free(data);
    return status;
}

/* ---- in parts */

/* Does a kept range hold all of [off, off + len)? *i is where to look, and goes on. */
static int is_kept(const vfs_commit_t *how, size_t *i, uint64_t off, uint64_t len)
{
    while (*i < how->kept_count && how->kept[*i].off + how->kept[*i].len < off + len)
        ++*i;
    return *i < how->kept_count && how->kept[*i].off <= off;
}

typedef enum s3_copies_e {
    S3_COPIES_NONE = 0,
    S3_COPIES_KEPT, /* of the version before */
    S3_COPIES_ALL   /* of another object */
} s3_copies_e;

/* Cells of one size; those that are copied are one part with their neighbours. */
static size_t plan(const s3_going_t *g, uint64_t cell, s3_copies_e copies, s3_part_t *parts)
{
    size_t count = 0, at = 0;
    for (uint64_t off = 0; off < g->source->size; off += cell) {
        uint64_t len = g->source->size - off < cell ? g->source->size - off : cell;
        int copied =
            copies == S3_COPIES_ALL || (copies == S3_COPIES_KEPT && is_kept(g->how, &at, off, len));
        s3_part_t *last = count > 0 ? &parts[count - 1] : NULL;
        if (copied && last != NULL && last->copied && last->len + len <= g->s->copy_max)
            last->len += len;
        else
            parts[count++] = (s3_part_t){.off = off, .len = len, .copied = copied};
    }
    return count;
}

/* *sent: all parts are there, and it is the end that failed. */
static apr_status_t upload(s3_going_t *g, s3_copies_e copies, int *sent)
{
    const vfs_validator_t *version = &g->how->same_version;
    char tag[VFS_VALIDATOR_BYTES + 1];
    uint64_t cell = g->s->part_bytes;
    uint64_t least = (g->source->size + S3_PARTS_MAX - 1) / S3_PARTS_MAX;
    if (cell < least) cell = least;
    s3_part_t *parts = calloc((size_t)((g->source->size + cell - 1) / cell), sizeof(*parts));
    s3_upload_t *u = calloc(1, sizeof(*u));
    apr_status_t status = parts != NULL && u != NULL ? APR_SUCCESS : APR_ENOMEM;
    if (status == APR_SUCCESS) {
        u->path = u->from = g->path;
        u->meta = &g->meta;
        u->source = g->source;
        u->from_etag = g->old;
        if (copies == S3_COPIES_ALL) {
            (void)snprintf(tag, sizeof(tag), "%.*s", (int)version->len,
                           (const char *)version->data);
            u->from = g->how->same_as;
            u->from_etag = tag;
        }
        if ((g->how->flags & VFS_COMMIT_IF_MATCH) && g->old[0] != '\0') u->if_match = g->old;
        u->if_none = (g->how->flags & VFS_COMMIT_IF_NONE) != 0;
        u->parts = parts;
        u->count = plan(g, cell, copies, parts);
        status = s3__upload(g->s, g->ctx, u);
        memcpy(g->etag, u->etag, sizeof(g->etag));
        g->date_s = u->date_s;
        *sent = u->sent;
    }
    free(parts);
    free(u);
    return status;
}

/* Is all of it that of another object, whose version can be told to the server? */
static int is_copy(const s3_going_t *g)
{
    const vfs_validator_t *of = &g->how->same_version;
    return g->how->same_as != NULL && of->kind == VFS_VALIDATOR_ETAG &&
           !(of->flags & VFS_VALIDATOR_WEAK);
}

static apr_status_t put_in_parts(s3_going_t *g)
{
    s3_copies_e copies = is_copy(g)                                    ? S3_COPIES_ALL
                         : g->how->kept_count > 0 && g->old[0] != '\0' ? S3_COPIES_KEPT
                                                                       : S3_COPIES_NONE;
    int sent = 0;
    if (atomic_load_explicit(&g->s->no_part_copy, memory_order_relaxed)) copies = S3_COPIES_NONE;
    apr_status_t status = upload(g, copies, &sent);
    if (status == APR_SUCCESS || copies == S3_COPIES_NONE || sent) return status;
    if (status == APR_ENOTIMPL)
        atomic_store_explicit(&g->s->no_part_copy, 1, memory_order_relaxed);
    else if (copies != S3_COPIES_ALL || (status != VFS_ECONFLICT && !APR_STATUS_IS_ENOENT(status)))
        return status; /* else the other is not what it was: the source may have it yet */
    return upload(g, S3_COPIES_NONE, &sent);
}

apr_status_t s3__commit(s3_t *s, const vfs_ctx_t *ctx, const char *path, const vfs_source_t *source,
                        const vfs_commit_t *how, vfs_attr_t *attr, vfs_validator_t *validator)
{
    if (path[1] == '\0') return APR_FROM_OS_ERROR(EISDIR);
    s3_going_t *g = calloc(1, sizeof(*g));
    if (g == NULL) return APR_ENOMEM;
    g->s = s;
    g->ctx = ctx;
    g->path = path;
    g->source = source;
    g->how = how;
    g->date_s = -1;
    apr_status_t status = prepare(g);
    if (status == APR_SUCCESS)
        status = source->size <= s->part_bytes ? put_whole(g) : put_in_parts(g);
    if (status == APR_SUCCESS) {
        int64_t now = g->date_s >= 0 ? g->date_s * NS_PER_S : vfs_now_ns();
        *attr = g->attr;
        attr->ctime_ns = now;
        if (!s->meta) attr->mtime_ns = attr->atime_ns = now;
        vfs_validator_from_tag(validator, VFS_VALIDATOR_ETAG, g->etag, strlen(g->etag));
        s3__seen_above(s, path);
    }
    s3__meta_free(&g->meta);
    free(g);
    return status;
}

/* ---- conditions */

static int put_probe(s3_t *s, const char *path, const char *name, const char *value)
{
    s3_request_t request = {.method = "PUT", .path = path, .flags = REMOTE_AGAIN};
    remote_answer_t answer;
    s3_meta_t meta;
    if (s3__meta_of(&meta, s, NULL) != APR_SUCCESS) return 0;
    s3__meta_add(&meta, &request);
    s3__header(&request, name, value);
    apr_status_t status = s3__do(s, NULL, &request, &answer, NULL);
    long said = answer.status;
    remote__answer_free(&answer);
    s3__meta_free(&meta);
    if (status == APR_SUCCESS) (void)s3__delete(s, NULL, path, 0); /* it was not to be made */
    return said == 412 || said == 404;
}

int s3__ask_conditional(s3_t *s)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/.cachefs-probe-%llx", (unsigned long long)vfs_now_ns());
    return put_probe(s, path, "if-match", "\"00000000000000000000000000000000\"");
}
