/*
 * lock.c - locks of the server, where it has them: so that nobody comes between a question and the
 * change that rests on its answer. Floor 2.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/webdav/webdav.h"

/* Who holds a lock may die, or the answer that has its token be lost: then it lasts so long. */
#define TIMEOUT_LINE "Timeout: Second-60"

static const char lock_body[] =
    "<?xml version=\"1.0\" encoding=\"utf-8\"?><lockinfo xmlns=\"DAV:\"><lockscope><exclusive/>"
    "</lockscope><locktype><write/></locktype><owner>cachefs</owner></lockinfo>";

/* "1, 2, <http://...>": is 2 among them? */
static int has_class_2(const char *value)
{
    for (const char *at = value; *at != '\0';) {
        while (*at == ' ' || *at == ',')
            at++;
        size_t len = strcspn(at, ", ");
        if (len == 1 && *at == '2') return 1;
        at += len;
    }
    return 0;
}

/* Every "dav" header that was kept; there may be several. */
static int kept_class_2(const remote_answer_t *answer)
{
    for (const char *at = answer->kept; at != NULL && *at != '\0'; at = strchr(at, '\n') + 1) {
        char line[512];
        size_t len = strcspn(at, "\n");
        if (strncmp(at, "dav: ", 5) != 0 || len >= sizeof(line)) continue;
        memcpy(line, at + 5, len - 5);
        line[len - 5] = '\0';
        if (has_class_2(line)) return 1;
    }
    return 0;
}

int webdav__has_locks(webdav_t *w, const vfs_ctx_t *ctx)
{
    int known = atomic_load(&w->locks);
    if (known != WEBDAV_UNKNOWN) return known == WEBDAV_YES;
    webdav_call_t call = {.method = "OPTIONS",
                          .path = "/",
                          .slash = 1,
                          .flags = REMOTE_AGAIN,
                          .depth = WEBDAV_FLAT,
                          .keep = "dav"};
    remote_answer_t answer;
    apr_status_t status = webdav__call(w, ctx, &call, &answer);
    int has =
        status == APR_SUCCESS && remote__status(&answer) == APR_SUCCESS && kept_class_2(&answer);
    if (status == APR_SUCCESS) atomic_store(&w->locks, has ? WEBDAV_YES : WEBDAV_NO);
    remote__answer_free(&answer);
    return has;
}

/* It goes into a header of ours, and came from outside. */
static int is_token(const char *token)
{
    size_t len = strlen(token);
    if (len < 3 || token[0] != '<' || token[len - 1] != '>') return 0;
    for (size_t i = 1; i + 1 < len; i++)
        if (!isgraph((unsigned char)token[i]) || token[i] == '<' || token[i] == '>') return 0;
    return 1;
}

static apr_status_t lock_at(webdav_t *w, const vfs_ctx_t *ctx, webdav_lock_t *lock, int depth,
                            long *said)
{
    static const char *const lines[] = {TIMEOUT_LINE, NULL};
    static const remote_send_t send = {.data = lock_body, .len = sizeof(lock_body) - 1};
    webdav_call_t call = {.method = "LOCK",
                          .path = lock->path,
                          .slash = lock->slash,
                          .depth = depth,
                          .send = &send,
                          .lines = lines,
                          .keep = "lock-token"};
    remote_answer_t answer;
    apr_status_t status = webdav__call(w, ctx, &call, &answer);
    *said = answer.status;
    if (status == APR_SUCCESS) status = remote__status(&answer);
    if (status == APR_SUCCESS &&
        (remote__kept(&answer, "lock-token", lock->token, sizeof(lock->token)) == NULL ||
         !is_token(lock->token))) {
        lock->token[0] = '\0';
        status = VFS_EFORMAT;
    }
    lock->slash = call.slash;
    lock->made = answer.status == 201;
    remote__answer_free(&answer);
    return status;
}

apr_status_t webdav__lock(webdav_t *w, const vfs_ctx_t *ctx, const char *path, int slash,
                          webdav_lock_t *lock)
{
    long said = 0;
    memset(lock, 0, sizeof(*lock));
    lock->path = path;
    lock->slash = slash;
    if (!webdav__has_locks(w, ctx)) return APR_ENOTIMPL;
    apr_status_t status = lock_at(w, ctx, lock, slash ? WEBDAV_DEEP : 0, &said);
    /* nginx locks a directory with its names, but not to any depth */
    if (status != APR_SUCCESS && slash && said == 409) status = lock_at(w, ctx, lock, 0, &said);
    if (status != APR_SUCCESS) return status;
    /* of what the request is about: nginx does not know its own URLs again where they are escaped
     */
    (void)snprintf(lock->line, sizeof(lock->line), "If: (%s)", lock->token);
    return APR_SUCCESS;
}

void webdav__unlock(webdav_t *w, webdav_lock_t *lock)
{
    char line[WEBDAV_TOKEN_MAX + 16];
    const char *const lines[] = {line, NULL};
    if (lock->token[0] != '\0') {
        webdav_call_t call = {.method = "UNLOCK",
                              .path = lock->path,
                              .slash = lock->slash,
                              .flags = REMOTE_AGAIN,
                              .depth = WEBDAV_FLAT,
                              .lines = lines};
        remote_answer_t answer;
        (void)snprintf(line, sizeof(line), "Lock-Token: %s", lock->token);
        (void)webdav__call(w, NULL, &call, &answer); /* one that stays ends by itself */
        remote__answer_free(&answer);
    }
    lock->token[0] = '\0';
}
