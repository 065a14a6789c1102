/*
 * names.c - changes of names: MKCOL, DELETE, MOVE. Floor 2.
 *
 * DELETE takes a directory with all that is in it, and so does a MOVE that overwrites one. So what
 * shall be a file, or empty, is looked at first. A lock keeps others away from a directory
 * meanwhile, where the server has locks; a file is named by its etag, where it has a strong one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/webdav/webdav.h"

/* Somebody changes the file between the look and the deed: look again, so often. */
#define LOOKS_MAX 4u
#define REMOVALS_FIRST 8u /* each asked about, before it is found out whether that is needed */
#define HEADER_MAX (REMOTE_TAG_MAX + 32)

/* What is at a path. */
typedef struct look_t {
    vfs_attr_t attr;
    vfs_validator_t validator;
    char tag[REMOTE_TAG_MAX]; /* a strong one, or "" */
} look_t;

static apr_status_t look_at(webdav_t *w, const vfs_ctx_t *ctx, const char *path, look_t *look)
{
    apr_status_t status = webdav__stat(w, ctx, path, &look->attr, &look->validator, look->tag);
    if (status == APR_SUCCESS && strncmp(look->tag, "W/", 2) == 0) look->tag[0] = '\0';
    return status;
}

static int is_dir(const look_t *look)
{
    return look->attr.type == VFS_TYPE_DIR;
}

/* ---- mkdir */

apr_status_t webdav__mkdir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t mode)
{
    webdav_t *w = fs->state;
    webdav_call_t call = {.method = "MKCOL", .path = path->str, .slash = 1, .depth = WEBDAV_FLAT};
    remote_answer_t answer;
    look_t look;
    (void)mode; /* there are none */
    if (path->len == 1) return APR_EEXIST;
    apr_status_t status = webdav__call(w, ctx, &call, &answer);
    /* a server may see the parent before the name, or not at all */
    if (status == APR_SUCCESS && answer.status >= 400 && answer.status != 401) {
        status = answer.status == 405 || answer.status == 409 || answer.status == 400
                     ? look_at(w, ctx, path->str, &look)
                     : APR_ENOENT;
        if (status == APR_SUCCESS)
            status = APR_EEXIST;
        else if (APR_STATUS_IS_ENOENT(status))
            status = webdav__refused(w, ctx, path->str, &answer);
        if (status == VFS_ECONFLICT) status = APR_ENOENT; /* says RFC 4918, 9.3.1 */
    } else if (status == APR_SUCCESS) {
        status = remote__status(&answer);
    }
    remote__answer_free(&answer);
    if (status == APR_SUCCESS) webdav__saw_dir(w, path->str);
    return status;
}

/* ---- removal */

/* What became of a DELETE. */
typedef struct removal_t {
    apr_status_t status;
    long said;   /* of HTTP */
    int unknown; /* it may have been done: what has the name now may be what others made since */
} removal_t;

/* `line` may be NULL. */
static removal_t delete_it(webdav_t *w, const vfs_ctx_t *ctx, const char *path, int depth,
                           const char *line)
{
    const char *const lines[] = {line, NULL};
    webdav_call_t call = {.method = "DELETE",
                          .path = path,
                          .slash = depth == WEBDAV_DEEP,
                          .locks =
                              depth == WEBDAV_DEEP, /* a directory is locked: that goes along */
                          .depth = depth,
                          .lines = lines};
    remote_answer_t answer;
    removal_t done = {.status = webdav__call(w, ctx, &call, &answer)};
    done.said = answer.status;
    if (done.status == APR_SUCCESS) done.status = remote__status(&answer);
    done.unknown = done.status != APR_SUCCESS && answer.unknown;
    remote__answer_free(&answer);
    return done;
}

/* Is it what it was? Not what others made since, which looks the same if both are young. */
static int is_same(const look_t *was, const look_t *now)
{
    return !(was->validator.flags & VFS_VALIDATOR_YOUNG) &&
           vfs_validator_equal(&was->validator, &now->validator);
}

/* The answer to a DELETE was lost, and this was `found` then. APR_SUCCESS: it is still there, and
 * can be removed once more; APR_ENOENT: it is gone. */
static apr_status_t lost_removal(const look_t *was, const look_t *now, apr_status_t found)
{
    if (APR_STATUS_IS_ENOENT(found)) return APR_ENOENT;
    return found == APR_SUCCESS && is_same(was, now) ? APR_SUCCESS : VFS_EOFFLINE;
}

static int no_time(apr_status_t status)
{
    return status == APR_TIMEUP || status == VFS_ECANCELED;
}

/* A directory cannot go with a depth of 0 (RFC 4918, 9.6.1): does the server refuse that? It is
 * tried with one of our own, which must still be there then. */
static int try_sparing(webdav_t *w, const vfs_ctx_t *ctx, const char *path)
{
    char name[WEBDAV_TRIAL_MAX];
    webdav_call_t call = {.method = "MKCOL", .path = name, .slash = 1, .depth = WEBDAV_FLAT};
    remote_answer_t answer;
    if (!webdav__trial_name(w, path, name)) return WEBDAV_UNKNOWN;
    apr_status_t status = webdav__call(w, ctx, &call, &answer);
    if (status == APR_SUCCESS) status = remote__status(&answer);
    remote__answer_free(&answer);
    if (status != APR_SUCCESS) return WEBDAV_NO;
    removal_t flat = delete_it(w, ctx, name, 0, NULL);
    removal_t deep = delete_it(w, ctx, name, WEBDAV_DEEP, NULL);
    int spared = flat.status != APR_SUCCESS && !flat.unknown && deep.status == APR_SUCCESS;
    return spared ? WEBDAV_YES : WEBDAV_NO;
}

/* Who removes many files finds it out. */
static int spares_dirs(webdav_t *w, const vfs_ctx_t *ctx, const char *path)
{
    int known = atomic_load(&w->spares);
    if (known == WEBDAV_UNKNOWN && atomic_fetch_add(&w->removals, 1) >= REMOVALS_FIRST) {
        known = try_sparing(w, ctx, path);
        atomic_store(&w->spares, known);
    }
    return known == WEBDAV_YES;
}

/* By one request. 0: it was refused, and is to be looked at. */
static int unlink_blindly(webdav_t *w, const vfs_ctx_t *ctx, const char *path, apr_status_t *status)
{
    look_t look;
    if (!spares_dirs(w, ctx, path)) return 0;
    removal_t done = delete_it(w, ctx, path, 0, NULL);
    *status = done.status;
    if (done.unknown && !no_time(done.status))
        *status = APR_STATUS_IS_ENOENT(look_at(w, ctx, path, &look)) ? APR_SUCCESS : VFS_EOFFLINE;
    return done.status == APR_SUCCESS || done.unknown || no_time(done.status);
}

apr_status_t webdav__unlink(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    webdav_t *w = fs->state;
    removal_t done = {.status = VFS_ECONFLICT};
    char line[HEADER_MAX];
    if (path->len > 1 && unlink_blindly(w, ctx, path->str, &done.status)) return done.status;
    done.status = VFS_ECONFLICT;
    look_t was, look;
    for (unsigned i = 0; i <= LOOKS_MAX && !no_time(done.status); i++) {
        if (done.unknown) was = look;
        apr_status_t found = look_at(w, ctx, path->str, &look);
        if (done.unknown) found = lost_removal(&was, &look, found);
        if (done.unknown && found == APR_ENOENT) return APR_SUCCESS;
        if (found != APR_SUCCESS) return found;
        if (is_dir(&look)) return APR_FROM_OS_ERROR(EISDIR);
        if (i == LOOKS_MAX) break;
        (void)snprintf(line, sizeof(line), "If-Match: %s", look.tag);
        done = delete_it(w, ctx, path->str, WEBDAV_FLAT, look.tag[0] != '\0' ? line : NULL);
        if (!done.unknown && done.said != 412) break;
    }
    return done.status;
}

/* The token is sent with the URL that it is of, as Apache wants it for a directory; then without,
 * for nginx does not know its own URLs again where they are escaped. */
static removal_t delete_locked(webdav_t *w, const vfs_ctx_t *ctx, const char *path,
                               const webdav_lock_t *lock)
{
    if (lock->token[0] == '\0') return delete_it(w, ctx, path, WEBDAV_DEEP, NULL);
    char *url = remote__url(w->base, path, 1);
    size_t size = url != NULL ? strlen(url) + WEBDAV_TOKEN_MAX + 16 : 0;
    char *line = url != NULL ? malloc(size) : NULL;
    removal_t done = {.status = APR_ENOMEM};
    if (line != NULL) {
        (void)snprintf(line, size, "If: <%s> (%s)", url, lock->token);
        done = delete_it(w, ctx, path, WEBDAV_DEEP, line);
    }
    free(line);
    free(url);
    return done.said == 423 ? delete_it(w, ctx, path, WEBDAV_DEEP, lock->line) : done;
}

/* An empty directory looks like any other: one that is there is not removed once more. */
static apr_status_t delete_dir(webdav_t *w, const vfs_ctx_t *ctx, const char *path,
                               const webdav_lock_t *lock)
{
    look_t look;
    removal_t done = delete_locked(w, ctx, path, lock);
    if (!done.unknown || no_time(done.status)) return done.status;
    return APR_STATUS_IS_ENOENT(look_at(w, ctx, path, &look)) ? APR_SUCCESS : VFS_EOFFLINE;
}

/* It is a directory: only an empty one goes. */
static apr_status_t remove_empty(webdav_t *w, const vfs_ctx_t *ctx, const char *path)
{
    webdav_lock_t lock;
    apr_status_t status = webdav__lock(w, ctx, path, 1, &lock);
    /* one that cannot be locked, for any other reason, can be looked at all the same */
    if (status == APR_FROM_OS_ERROR(EBUSY) || status == VFS_EOFFLINE) return status;
    if (lock.made) { /* it was seen, and has gone since */
        (void)delete_it(w, ctx, path, WEBDAV_DEEP, lock.line);
        webdav__unlock(w, &lock);
        return APR_ENOENT;
    }
    status = webdav__empty(w, ctx, path);
    if (status == APR_SUCCESS) status = delete_dir(w, ctx, path, &lock);
    if (status != APR_SUCCESS) webdav__unlock(w, &lock); /* else it is gone with the directory */
    if (status == APR_SUCCESS) webdav__forget_dir(w, path);
    return status;
}

apr_status_t webdav__rmdir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    look_t look;
    if (path->len == 1) return APR_FROM_OS_ERROR(EBUSY);
    if (webdav__seen_dir(fs->state, path->str)) return remove_empty(fs->state, ctx, path->str);
    apr_status_t status = look_at(fs->state, ctx, path->str, &look);
    if (status != APR_SUCCESS) return status;
    if (!is_dir(&look)) return APR_FROM_OS_ERROR(ENOTDIR);
    return remove_empty(fs->state, ctx, path->str);
}

/* ---- rename */

typedef struct rename_t {
    webdav_t *w;
    const vfs_ctx_t *ctx;
    const char *from, *to;
    look_t source, target;
    int replace;
    int into_itself;              /* the new name is below the old one */
    int onto_parent;              /* what is replaced has the source in it */
    char refused[REMOTE_TAG_MAX]; /* the condition that did not hold the last time */
} rename_t;

/* The answer to a MOVE was lost: did it happen? It did if what was there is where it shall be. */
static apr_status_t lost(const rename_t *r, apr_status_t was)
{
    look_t now;
    if (no_time(was)) return was;
    apr_status_t status = look_at(r->w, r->ctx, r->from, &now);
    if (status == APR_SUCCESS) return was == VFS_EFORMAT ? VFS_EOFFLINE : was; /* or not yet done */
    if (!APR_STATUS_IS_ENOENT(status)) return VFS_EOFFLINE;
    status = look_at(r->w, r->ctx, r->to, &now);
    if (status != APR_SUCCESS || now.attr.type != r->source.attr.type) return VFS_EOFFLINE;
    return now.attr.size == r->source.attr.size ? APR_SUCCESS : VFS_EOFFLINE;
}

/* What is replaced is named by its tag. lighttpd takes that for a tag of the source: where the same
 * one is refused twice, none is sent any more. */
static int wants_tag(const rename_t *r)
{
    if (!r->replace || r->target.tag[0] == '\0') return 0;
    if (strcmp(r->target.tag, r->refused) == 0) atomic_store(&r->w->targets, WEBDAV_NO);
    return atomic_load(&r->w->targets) != WEBDAV_NO;
}

static apr_status_t move(const rename_t *r, long *said)
{
    const size_t size = 3 * VFS_PATH_MAX + HEADER_MAX + strlen(r->w->base);
    const int slash = is_dir(&r->source), tagged = wants_tag(r);
    char *url = remote__url(r->w->base, r->to, slash);
    char *destination = malloc(size), *condition = malloc(size);
    const char *const lines[] = {r->replace ? "Overwrite: T" : "Overwrite: F", destination,
                                 tagged ? condition : NULL, NULL};
    webdav_call_t call = {.method = "MOVE",
                          .path = r->from,
                          .slash = slash,
                          .depth = slash ? WEBDAV_DEEP : WEBDAV_FLAT,
                          .lines = lines};
    remote_answer_t answer;
    apr_status_t status = APR_ENOMEM;
    if (url != NULL && destination != NULL && condition != NULL) {
        (void)snprintf(destination, size, "Destination: %s", url);
        (void)snprintf(condition, size, "If: <%s> ([%s])", url, r->target.tag);
        memset(&answer, 0, sizeof(answer));
        status = webdav__unlocked(r->w, r->ctx, r->to);
        if (status == APR_SUCCESS) status = webdav__call(r->w, r->ctx, &call, &answer);
        *said = answer.status;
        if (status == APR_SUCCESS) status = *said == 409 ? APR_ENOENT : remote__status(&answer);
        if (status != APR_SUCCESS && answer.unknown) status = lost(r, status);
        remote__answer_free(&answer);
        webdav__dir_moved(r->w, r->to);
        if (slash) webdav__forget_dirs(r->w); /* it may have gone, with those below it */
    }
    free(url);
    free(destination);
    free(condition);
    return status;
}

/* What may take the place of what. APR_SUCCESS: nothing is in the way, or it may be replaced. */
static apr_status_t may_replace(const rename_t *r, apr_status_t found)
{
    if (APR_STATUS_IS_ENOENT(found)) return webdav__parent(r->w, r->ctx, r->to);
    if (found != APR_SUCCESS) return found;
    if (is_dir(&r->source) && !is_dir(&r->target)) return APR_FROM_OS_ERROR(ENOTDIR);
    if (!is_dir(&r->source) && is_dir(&r->target)) return APR_FROM_OS_ERROR(EISDIR);
    return is_dir(&r->target) ? remove_empty(r->w, r->ctx, r->to) : APR_SUCCESS;
}

/* What must replace nothing: the server looks (Overwrite: F), but lighttpd puts a file into the
 * directory that is there, and nginx makes the one that is not. */
static apr_status_t move_new(rename_t *r, long *said)
{
    apr_status_t status = look_at(r->w, r->ctx, r->to, &r->target);
    if (status == APR_SUCCESS) return APR_EEXIST;
    status = may_replace(r, status);
    if (status != APR_SUCCESS) return status;
    status = move(r, said);
    if (*said == 412) return APR_EEXIST;
    if (status == APR_SUCCESS || *said == 0) return status;
    apr_status_t above = webdav__parent(r->w, r->ctx, r->to);
    return above != APR_SUCCESS ? above : status;
}

static apr_status_t rename_once(rename_t *r, int noreplace, long *said)
{
    *said = 0;
    r->replace = 0;
    apr_status_t status = look_at(r->w, r->ctx, r->from, &r->source);
    if (status != APR_SUCCESS) return status;
    if (r->into_itself) return is_dir(&r->source) ? APR_EINVAL : APR_FROM_OS_ERROR(ENOTDIR);
    r->target.tag[0] = '\0';
    if (noreplace && !r->onto_parent && strcmp(r->from, r->to) != 0) return move_new(r, said);
    apr_status_t found = look_at(r->w, r->ctx, r->to, &r->target);
    if (found == APR_SUCCESS && noreplace) return APR_EEXIST;
    if (found == APR_SUCCESS && strcmp(r->from, r->to) == 0) return APR_SUCCESS;
    if (r->onto_parent) return APR_FROM_OS_ERROR(ENOTEMPTY);
    status = may_replace(r, found);
    if (status != APR_SUCCESS) return status;
    r->replace = found == APR_SUCCESS && !is_dir(&r->target);
    status = move(r, said);
    if (*said == 412) memcpy(r->refused, r->target.tag, sizeof(r->refused));
    return status;
}

/* Is `path` below `dir`? */
static int below(const vfs_path_t *path, const vfs_path_t *dir)
{
    return path->len > dir->len && vfs_path_within(path, dir);
}

apr_status_t webdav__rename(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                            const vfs_path_t *to, uint32_t flags)
{
    const int noreplace = (flags & VFS_RENAME_NOREPLACE) != 0;
    rename_t *r = calloc(1, sizeof(*r));
    apr_status_t status = APR_ENOMEM;
    long said = 412;
    if (flags & VFS_RENAME_EXCHANGE) status = APR_ENOTIMPL;
    if (from->len == 1 || to->len == 1) status = APR_FROM_OS_ERROR(EBUSY);
    if (r == NULL || status != APR_ENOMEM) {
        free(r);
        return status;
    }
    r->w = fs->state;
    r->ctx = ctx;
    r->from = from->str;
    r->to = to->str;
    r->into_itself = below(to, from);
    r->onto_parent = below(from, to);
    for (unsigned i = 0; i < LOOKS_MAX && said == 412; i++) {
        status = rename_once(r, noreplace, &said);
        if (noreplace) break;
    }
    free(r);
    return status;
}
