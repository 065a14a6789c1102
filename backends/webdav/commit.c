/*
 * commit.c - a whole file at once, by PUT, on a condition where the caller has one. Floor 2.
 *
 * Whether PUT obeys conditions is found out by a file of our own, once: nginx for one does not, and
 * would overwrite what the condition is to protect. Where it does not, or has no strong etag of the
 * version, a lock keeps others away while it is looked at; without locks the race is only
 * narrowed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_time.h>

#include "backends/webdav/webdav.h"

#define NS_PER_S 1000000000
#define PIECE (256u << 10)
#define HEADER_MAX (REMOTE_TAG_MAX + 32)
#define TRIAL_S 784111777 /* a day in 1994 */
static const char none_line[] = "If-None-Match: *";

typedef struct put_t {
    webdav_t *w;
    const vfs_ctx_t *ctx;
    const char *path;
    const vfs_source_t *source;
    const vfs_commit_t *how;
    char tag[REMOTE_TAG_MAX]; /* that the server gave what we put, or "" */
    int64_t modified_s, date_s;
    int64_t sent_s;      /* the time that it has, at a server that takes it from us; or -1 */
    int unknown;         /* the answer was lost */
    int cut;             /* the source failed: what was sent is no whole body */
    webdav_lock_t *lock; /* that we have meanwhile, or NULL */
    vfs_attr_t *attr;    /* what came of it, once it is */
    vfs_validator_t *validator;
    int described;
    long said;
} put_t;

/* ---- one PUT */

static apr_status_t refused(const put_t *p, const char *path, const remote_answer_t *answer)
{
    vfs_attr_t attr;
    vfs_validator_t validator;
    if (answer->status == 405 || answer->status == 409) {
        apr_status_t there = webdav__stat(p->w, p->ctx, path, &attr, &validator, NULL);
        if (there == APR_SUCCESS && attr.type == VFS_TYPE_DIR) return APR_FROM_OS_ERROR(EISDIR);
    }
    apr_status_t status = webdav__refused(p->w, p->ctx, path, answer);
    /* a conflict is a condition that does not hold */
    return status == VFS_ECONFLICT && answer->status != 412 ? APR_FROM_OS_ERROR(EIO) : status;
}

static apr_status_t put_bytes(put_t *p, const char *path, const remote_send_t *send, unsigned flags,
                              const char *const *lines)
{
    webdav_call_t call = {.method = "PUT",
                          .path = path,
                          .flags = flags,
                          .depth = WEBDAV_FLAT,
                          .send = send,
                          .lines = lines};
    remote_answer_t answer;
    apr_status_t status = webdav__call(p->w, p->ctx, &call, &answer);
    p->said = answer.status;
    memcpy(p->tag, answer.etag, sizeof(p->tag));
    p->modified_s = answer.modified_s;
    p->date_s = answer.date_s;
    if (status == APR_SUCCESS) status = refused(p, path, &answer);
    p->unknown = status != APR_SUCCESS && answer.unknown;
    remote__answer_free(&answer);
    return status;
}

static apr_status_t read_source(void *baton, void *buf, size_t len, apr_off_t off)
{
    put_t *p = baton;
    apr_status_t status = webdav__lock_keep(p->w, p->ctx, p->lock);
    if (status == APR_SUCCESS) status = p->source->read_at(p->source->baton, buf, len, off);
    p->cut |= status != APR_SUCCESS;
    return status;
}

static int has_time(const vfs_commit_t *how)
{
    return how->mtime_ns != VFS_TIME_NOW && how->mtime_ns != VFS_TIME_OMIT;
}

/* The time that is sent, or -1. It is the server's own, of when it was locked, so that it tells
 * versions as any other does: who comes later has a later one, or a young one. */
static int64_t own_time(const put_t *p)
{
    if (p->lock == NULL || has_time(p->how)) return -1;
    return atomic_load(&p->w->dates) == WEBDAV_YES ? p->lock->date_s : -1;
}

static const char *date_line(char *out, size_t size, int64_t date_s)
{
    char date[APR_RFC822_DATE_LEN];
    (void)apr_rfc822_date(date, date_s * APR_USEC_PER_SEC); /* it always succeeds */
    (void)snprintf(out, size, "Date: %s", date);
    return out;
}

/* `line`: a condition, or NULL; then it may be done twice. */
static apr_status_t put_source(put_t *p, const char *line)
{
    const vfs_source_t source = {read_source, p, p->source->size};
    const remote_send_t send = {.source = &source, .len = source.size};
    const char *lines[4] = {NULL, NULL, NULL, NULL};
    char mtime[64], date[HEADER_MAX];
    size_t n = 0;
    if (line != NULL) lines[n++] = line;
    p->sent_s = own_time(p);
    if (p->sent_s >= 0) lines[n++] = date_line(date, sizeof(date), p->sent_s);
    if (has_time(p->how)) {
        (void)snprintf(mtime, sizeof(mtime), "X-OC-Mtime: %" PRId64, p->how->mtime_ns / NS_PER_S);
        lines[n++] = mtime;
    }
    p->cut = 0;
    apr_status_t status = put_bytes(p, p->path, &send, line == NULL ? REMOTE_AGAIN : 0, lines);
    if (p->cut) p->unknown = 0; /* half a body is not obeyed */
    return status;
}

/* ---- what the server does with conditions */

int webdav__trial_name(webdav_t *w, const char *path, char out[WEBDAV_TRIAL_MAX])
{
    size_t len = (size_t)(strrchr(path, '/') - path);
    uint64_t n = (uint64_t)vfs_now_ns() ^ atomic_fetch_add(&w->chance, 0x9e3779b97f4a7c15u);
    (void)snprintf(out, WEBDAV_TRIAL_MAX, "%.*s/.cachefs-trial-%016" PRIx64, (int)len, path, n);
    return strlen(out) <= VFS_PATH_MAX;
}

/* nginx makes the Date of a PUT the time of the file. So it need not be asked for it then. */
static void try_date(const put_t *p, const char *name)
{
    vfs_attr_t attr;
    vfs_validator_t validator;
    if (webdav__stat(p->w, p->ctx, name, &attr, &validator, NULL) != APR_SUCCESS) return;
    int took = attr.mtime_ns == (int64_t)TRIAL_S * NS_PER_S;
    atomic_store(&p->w->dates, took ? WEBDAV_YES : WEBDAV_NO);
}

/* A file that is not there must not come by If-Match, nor one that is be replaced against
 * If-None-Match. Nothing is learnt from an answer that has other reasons. */
static int try_conditions(put_t *p)
{
    static const remote_send_t nothing = {.data = "", .len = 0};
    char date[HEADER_MAX];
    const char *const match[] = {"If-Match: \"none\"", date_line(date, sizeof(date), TRIAL_S),
                                 NULL};
    static const char *const none[] = {none_line, NULL};
    char name[WEBDAV_TRIAL_MAX];
    webdav_call_t call = {
        .method = "DELETE", .path = name, .flags = REMOTE_AGAIN, .depth = WEBDAV_FLAT};
    remote_answer_t answer;
    if (!webdav__trial_name(p->w, p->path, name)) return WEBDAV_UNKNOWN;
    int known = WEBDAV_UNKNOWN;
    apr_status_t status = put_bytes(p, name, &nothing, 0, match);
    if (status == APR_SUCCESS) known = WEBDAV_NO;
    if (status == APR_SUCCESS) try_date(p, name);
    if (status == VFS_ECONFLICT && p->said == 412 &&
        put_bytes(p, name, &nothing, REMOTE_AGAIN, NULL) == APR_SUCCESS) {
        status = put_bytes(p, name, &nothing, 0, none);
        known = status == VFS_ECONFLICT && p->said == 412 ? WEBDAV_YES : WEBDAV_NO;
    } else if (status == VFS_ECONFLICT) {
        return WEBDAV_UNKNOWN;
    }
    (void)webdav__call(p->w, p->ctx, &call,
                       &answer); /* what stays is empty, and says whose it is */
    remote__answer_free(&answer);
    return known;
}

static int has_conditions(put_t *p)
{
    int known = atomic_load(&p->w->conditions);
    if (known == WEBDAV_UNKNOWN) {
        known = try_conditions(p);
        atomic_store(&p->w->conditions, known);
    }
    return known == WEBDAV_YES;
}

/* ---- what became of it */

/* Does the file hold exactly our bytes? */
static apr_status_t compare(const put_t *p, char *ours, char *theirs)
{
    for (uint64_t off = 0; off < p->source->size;) {
        size_t n = p->source->size - off < PIECE ? (size_t)(p->source->size - off) : PIECE;
        const vfs_iovec_t iov = {theirs, n};
        size_t got = 0;
        apr_status_t status = p->source->read_at(p->source->baton, ours, n, (apr_off_t)off);
        if (status == APR_SUCCESS)
            status = remote__read(&webdav__backend, p->w, p->w->skip_max, p->ctx, p->path, &iov, 1,
                                  off, &got, NULL, NULL, NULL);
        if (status != APR_SUCCESS) return status;
        if (got != n || memcmp(ours, theirs, n) != 0) return VFS_ECONFLICT;
        off += n;
    }
    return APR_SUCCESS;
}

/* The answer to a conditional PUT was lost. It is not sent again: if it was obeyed, the condition
 * does not hold any more. What is there now tells. An empty file may be anybody's. */
static apr_status_t lost(put_t *p, apr_status_t was)
{
    const int made = p->lock != NULL && p->lock->made;
    const apr_status_t undone = was == VFS_EFORMAT ? VFS_EOFFLINE : was; /* or not yet done */
    vfs_attr_t attr;
    vfs_validator_t now;
    p->sent_s = -1;
    if (was == APR_TIMEUP || was == VFS_ECANCELED) return was; /* there is no time to look */
    apr_status_t status = webdav__stat(p->w, p->ctx, p->path, &attr, &now, NULL);
    if (status == APR_SUCCESS && made && attr.size == 0) { /* as our lock made it */
        p->unknown = 0;
        return p->source->size == 0 ? APR_SUCCESS : undone;
    }
    if (APR_STATUS_IS_ENOENT(status)) return undone;
    if (status != APR_SUCCESS || p->source->size == 0) return VFS_EOFFLINE;
    if ((p->how->flags & VFS_COMMIT_IF_MATCH) && vfs_validator_equal(&now, &p->how->expected))
        return undone;
    if (attr.size != p->source->size) return VFS_ECONFLICT;
    char *pieces = malloc(2 * (size_t)PIECE);
    if (pieces == NULL) return APR_ENOMEM;
    status = compare(p, pieces, pieces + PIECE);
    free(pieces);
    return status;
}

static apr_status_t put_if(put_t *p, const char *line)
{
    apr_status_t status = put_source(p, line);
    return status != APR_SUCCESS && p->unknown ? lost(p, status) : status;
}

/* ---- what it is like now */

static const char *opaque(const char *tag)
{
    return strncmp(tag, "W/", 2) == 0 ? tag + 2 : tag;
}

/* The answer to our PUT has its tag, and that is what tells versions here, or the time does, which
 * was ours to say: nothing else is asked. With a tag its time is what the server says it is, or
 * the server's own when it answered. */
static int told(put_t *p)
{
    const int tags = atomic_load(&p->w->tags);
    const int tagged = tags == WEBDAV_YES && p->tag[0] == '"';
    const int timed = tags == WEBDAV_NO && p->sent_s >= 0;
    if ((!tagged && !timed) || has_time(p->how)) return 0;
    int64_t modified_s = p->modified_s >= 0 ? p->modified_s : p->date_s;
    if (timed) modified_s = p->sent_s;
    remote_answer_t *answer = calloc(1, sizeof(*answer));
    if (answer == NULL) return 0;
    remote__answer_tag(answer, tagged ? p->tag : "", modified_s);
    answer->date_s = p->date_s;
    webdav__attr(p->w, answer, VFS_TYPE_FILE, p->source->size, p->path, p->attr);
    remote__validator(p->validator, answer, p->attr);
    free(answer);
    return 1;
}

/* Another version than ours has come already if its tag is not the one that the server gave ours:
 * then ours is told, so that the other is seen. */
static apr_status_t describe(put_t *p)
{
    char tag[REMOTE_TAG_MAX];
    if (told(p)) return APR_SUCCESS;
    apr_status_t status = webdav__stat(p->w, p->ctx, p->path, p->attr, p->validator, tag);
    if (status != APR_SUCCESS || p->tag[0] == '\0' || atomic_load(&p->w->tags) != WEBDAV_YES)
        return status;
    const char *ours = opaque(p->tag);
    if (strcmp(ours, opaque(tag)) == 0) return APR_SUCCESS;
    vfs_validator_from_tag(p->validator, VFS_VALIDATOR_ETAG, ours, strlen(ours));
    p->validator->flags = VFS_VALIDATOR_YOUNG;
    return APR_SUCCESS;
}

/* ---- conditions */

/* Files that only the lock made, and that could not be removed, since the server is away: who tries
 * again shall not take them for others'. */
static _Atomic uint64_t *unmade_slot(const put_t *p, uint64_t *mark)
{
    uint32_t hash = vfs_path_hash(p->path, strlen(p->path));
    *mark = (uint64_t)hash << 32 | 1;
    return &p->w->unmade[hash % WEBDAV_UNMADE];
}

static void set_unmade(const put_t *p, int is)
{
    uint64_t mark;
    _Atomic uint64_t *slot = unmade_slot(p, &mark);
    if (is)
        atomic_store(slot, mark);
    else
        (void)atomic_compare_exchange_strong(slot, &mark, 0); /* it may be another's by now */
}

static int is_unmade(const put_t *p, const vfs_attr_t *attr)
{
    uint64_t mark;
    _Atomic uint64_t *slot = unmade_slot(p, &mark);
    return attr->type == VFS_TYPE_FILE && attr->size == 0 && atomic_load(slot) == mark;
}

/* Is it still what the caller expects? `tag` receives its etag. */
static apr_status_t as_expected(const put_t *p, char tag[REMOTE_TAG_MAX])
{
    vfs_attr_t attr;
    vfs_validator_t now;
    apr_status_t status = webdav__stat(p->w, p->ctx, p->path, &attr, &now, tag);
    if (p->how->flags & VFS_COMMIT_IF_NONE) {
        if (status == APR_SUCCESS) return is_unmade(p, &attr) ? APR_SUCCESS : VFS_ECONFLICT;
        return APR_STATUS_IS_ENOENT(status) ? APR_SUCCESS : status;
    }
    if (APR_STATUS_IS_ENOENT(status)) return VFS_ECONFLICT;
    if (status != APR_SUCCESS) return status;
    if (attr.type == VFS_TYPE_DIR) return APR_FROM_OS_ERROR(EISDIR);
    return vfs_validator_equal(&now, &p->how->expected) ? APR_SUCCESS : VFS_ECONFLICT;
}

/* A file that only the lock made, for a PUT that failed. */
static void unmake(const put_t *p, const webdav_lock_t *lock)
{
    const char *const lines[] = {lock->line, NULL};
    webdav_call_t call = {
        .method = "DELETE", .path = p->path, .depth = WEBDAV_FLAT, .lines = lines};
    remote_answer_t answer;
    apr_status_t status = webdav__call(p->w, NULL, &call, &answer);
    if (status == APR_SUCCESS) status = remote__status(&answer);
    if (status == APR_SUCCESS) set_unmade(p, 0);
    remote__answer_free(&answer);
}

/* Nobody comes between the look and the PUT, if it is locked. A lock that makes the file says that
 * it was not there. */
static apr_status_t put_looked_at(put_t *p, int is_new)
{
    char tag[REMOTE_TAG_MAX];
    apr_status_t status = APR_SUCCESS;
    const int made = p->lock != NULL && p->lock->made;
    if (made && !is_new) return VFS_ECONFLICT; /* others removed it */
    if (!made) status = as_expected(p, tag);
    /* what is locked and has no length is a name without a file (RFC 2518, 7.4) */
    if (p->lock != NULL && status == VFS_EFORMAT) status = is_new ? APR_SUCCESS : VFS_ECONFLICT;
    if (status != APR_SUCCESS) return status;
    status = put_source(p, p->lock != NULL ? p->lock->line : NULL);
    return status != APR_SUCCESS && p->unknown ? lost(p, status) : status;
}

/* With a lock where there are locks. What came of it is asked for before that is given back. */
static apr_status_t put_guarded(put_t *p)
{
    webdav_lock_t lock;
    int is_new = (p->how->flags & VFS_COMMIT_IF_NONE) != 0;
    apr_status_t status = webdav__lock(p->w, p->ctx, p->path, 0, &lock);
    if (status != APR_SUCCESS && status != APR_ENOTIMPL) {
        apr_status_t above = webdav__parent(p->w, p->ctx, p->path);
        return above != APR_SUCCESS ? above : status;
    }
    p->lock = status == APR_SUCCESS ? &lock : NULL;
    status = put_looked_at(p, is_new);
    if (status == APR_SUCCESS) p->described = describe(p) == APR_SUCCESS;
    if (status == APR_SUCCESS || lock.made) set_unmade(p, status != APR_SUCCESS);
    if (status != APR_SUCCESS && lock.made && !p->unknown) unmake(p, &lock);
    p->lock = NULL;
    if (status == APR_SUCCESS)
        webdav__unlock_later(p->w, &lock);
    else
        webdav__unlock(p->w, &lock);
    return status;
}

static apr_status_t put_on_condition(put_t *p)
{
    const vfs_validator_t *want = &p->how->expected;
    char line[HEADER_MAX], tag[REMOTE_TAG_MAX] = "";
    if (!has_conditions(p)) return put_guarded(p);
    if (p->how->flags & VFS_COMMIT_IF_NONE) return put_if(p, none_line);
    const int weak = (want->flags & VFS_VALIDATOR_WEAK) != 0;
    if (weak && webdav__has_locks(p->w, p->ctx)) return put_guarded(p); /* a moment ago it was */
    if (want->kind == VFS_VALIDATOR_ETAG && !weak) {
        memcpy(tag, want->data, want->len);
        tag[want->len] = '\0';
    } else {
        apr_status_t status = as_expected(p, tag);
        if (status != APR_SUCCESS) return status;
        if (strncmp(tag, "W/", 2) == 0) tag[0] = '\0';
    }
    if (tag[0] == '\0') return put_guarded(p);
    (void)snprintf(line, sizeof(line), "If-Match: %s", tag);
    apr_status_t status = put_if(p, line);
    /* the same version may have a weak tag, which matches nothing, as long as it is young */
    if (status != VFS_ECONFLICT || p->said != 412 || as_expected(p, tag) != APR_SUCCESS)
        return status;
    return put_guarded(p);
}

/* ---- the op */

apr_status_t webdav__commit(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                            const vfs_source_t *source, const vfs_commit_t *how, vfs_attr_t *attr,
                            vfs_validator_t *validator)
{
    put_t *p = calloc(1, sizeof(*p));
    if (p == NULL) return APR_ENOMEM;
    *p = (put_t){.w = fs->state,
                 .ctx = ctx,
                 .path = path->str,
                 .source = source,
                 .how = how,
                 .sent_s = -1,
                 .attr = attr,
                 .validator = validator};
    apr_status_t status = path->len == 1 ? APR_FROM_OS_ERROR(EISDIR) : APR_SUCCESS;
    if (status == APR_SUCCESS)
        status = how->flags & (VFS_COMMIT_IF_MATCH | VFS_COMMIT_IF_NONE) ? put_on_condition(p)
                                                                         : put_source(p, NULL);
    if (status == APR_SUCCESS && !p->described && describe(p) != APR_SUCCESS) {
        /* it is there; what it is like is asked for again */
        memset(validator, 0, sizeof(*validator));
        webdav__attr(p->w, NULL, VFS_TYPE_FILE, source->size, path->str, attr);
        attr->mtime_ns = attr->ctime_ns = attr->atime_ns = vfs_now_ns();
    }
    if (status == APR_SUCCESS) webdav__dir_got(p->w, p->path, p->date_s);
    free(p);
    return status;
}
