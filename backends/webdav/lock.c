/*
 * lock.c - locks of the server, where it has them: so that nobody comes between a question and the
 * change that rests on its answer. Floor 2.
 *
 * Apache keeps locks in a file that its threads change without a lock of their own (mod_dav_fs up
 * to 2.4.71 at least): of two requests that take or give back one at the same time, one may be
 * forgotten, so that a file stays locked, or a lock is lost. So to that one such a request goes at
 * a time. Its header DAV tells who it is, behind a proxy too.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "backends/remote/xml.h"
#include "backends/webdav/webdav.h"

/* Who holds a lock may die, or the answer that has its token be lost: then it lasts so long. Who
 * needs it for longer asks again. */
#define TIMEOUT_LINE "Timeout: Second-60"
#define TIMEOUT_S 60
#define SOON_US 1000000 /* who has it for longer means it */
#define SOON_FIRST_US 10000

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

static const char apache[] = "<http://apache.org/dav/propset/fs/1>";

/* Every "dav" header that was kept; there may be several. */
static int kept_class_2(const remote_answer_t *answer, int *is_apache)
{
    int found = 0;
    *is_apache = 0;
    for (const char *at = answer->kept; at != NULL && *at != '\0'; at = strchr(at, '\n') + 1) {
        char line[512];
        size_t len = strcspn(at, "\n");
        if (strncmp(at, "dav: ", 5) != 0 || len >= sizeof(line)) continue;
        memcpy(line, at + 5, len - 5);
        line[len - 5] = '\0';
        found |= has_class_2(line);
        *is_apache |= strstr(line, apache) != NULL;
    }
    return found;
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
    int confused = 0;
    apr_status_t status = webdav__call(w, ctx, &call, &answer);
    int has = status == APR_SUCCESS && remote__status(&answer) == APR_SUCCESS &&
              kept_class_2(&answer, &confused);
    if (confused) atomic_store(&w->confused, 1);
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

/* ---- how long it lasts */

/* What the server says of that; what is no XML says nothing. */
typedef struct granted_t {
    remote_xml_t *xml;
    int64_t s; /* -1: not said */
    int forever;
} granted_t;

static apr_status_t take_timeout(void *baton, const char *space, const char *name, const char *text,
                                 size_t len)
{
    granted_t *g = baton;
    static const char second[] = "Second-";
    const size_t n = sizeof(second) - 1;
    (void)len;
    if (strcmp(space, "DAV:") != 0 || strcmp(name, "timeout") != 0) return APR_SUCCESS;
    size_t digits = strncasecmp(text, second, n) == 0 ? strspn(text + n, "0123456789") : 0;
    if (digits > 0) g->s = digits > 9 ? INT32_MAX : (int64_t)strtoll(text + n, NULL, 10);
    g->forever = strcasecmp(text, "Infinite") == 0;
    return APR_SUCCESS;
}

static apr_status_t take_granted(void *baton, const void *data, size_t len)
{
    granted_t *g = baton;
    (void)remote__xml_feed(g->xml, data, len); /* it stays failed */
    return APR_SUCCESS;
}

/* From `asked_us` on. */
static void note_granted(webdav_lock_t *lock, const granted_t *g, int64_t asked_us)
{
    int64_t s = g->s >= 0 ? g->s : TIMEOUT_S;
    lock->lasts_us = (s > 0 ? s : 1) * 1000000;
    lock->ends_us = g->forever ? INT64_MAX : asked_us + lock->lasts_us;
    lock->keep_us = g->forever ? INT64_MAX : asked_us + lock->lasts_us / 2;
}

/* Ask for a lock, or for more time. */
static apr_status_t ask_lock(webdav_t *w, const vfs_ctx_t *ctx, const webdav_call_t *how,
                             webdav_lock_t *lock, remote_answer_t *answer)
{
    static const remote_xml_events_t events = {NULL, take_timeout};
    granted_t granted = {.s = -1};
    const int64_t asked_us = apr_time_now();
    memset(answer, 0, sizeof(*answer));
    apr_status_t status = remote__xml_new(&granted.xml, &events, &granted);
    if (status != APR_SUCCESS) return status;
    webdav_call_t call = *how;
    call.body = take_granted;
    call.baton = &granted;
    status = webdav__call(w, ctx, &call, answer);
    if (status == APR_SUCCESS) status = remote__status(answer);
    if (status == APR_SUCCESS) note_granted(lock, &granted, asked_us);
    remote__xml_free(granted.xml);
    return status;
}

/* ---- lock and unlock */

static apr_status_t lock_at(webdav_t *w, const vfs_ctx_t *ctx, webdav_lock_t *lock, int depth,
                            long *said)
{
    static const char *const lines[] = {TIMEOUT_LINE, NULL};
    static const remote_send_t send = {.data = lock_body, .len = sizeof(lock_body) - 1};
    webdav_call_t call = {.method = "LOCK",
                          .path = lock->path,
                          .slash = lock->slash,
                          .locks = 1,
                          .depth = depth,
                          .send = &send,
                          .lines = lines,
                          .keep = "lock-token"};
    remote_answer_t answer;
    apr_status_t status = ask_lock(w, ctx, &call, lock, &answer);
    *said = answer.status;
    if (status == APR_SUCCESS &&
        (remote__kept(&answer, "lock-token", lock->token, sizeof(lock->token)) == NULL ||
         !is_token(lock->token))) {
        lock->token[0] = '\0';
        status = VFS_EFORMAT;
    }
    lock->slash = call.slash;
    lock->made = answer.status == 201;
    lock->date_s = answer.date_s;
    remote__answer_free(&answer);
    return status;
}

/* Others like us, who are done, give their lock back a moment later. */
static apr_status_t lock_soon(webdav_t *w, const vfs_ctx_t *ctx, webdav_lock_t *lock, int depth,
                              long *said)
{
    const int64_t until_us = apr_time_now() + SOON_US;
    apr_status_t status = lock_at(w, ctx, lock, depth, said);
    for (int64_t us = SOON_FIRST_US; *said == 423 && apr_time_now() + us < until_us; us *= 2) {
        status = remote__wait(w->state.remote, ctx, us);
        if (status != APR_SUCCESS) break;
        status = lock_at(w, ctx, lock, depth, said);
    }
    return status;
}

apr_status_t webdav__lock(webdav_t *w, const vfs_ctx_t *ctx, const char *path, int slash,
                          webdav_lock_t *lock)
{
    long said = 0;
    memset(lock, 0, sizeof(*lock));
    lock->date_s = -1;
    lock->path = path;
    lock->slash = slash;
    if (!webdav__has_locks(w, ctx)) return APR_ENOTIMPL;
    apr_status_t status = lock_soon(w, ctx, lock, slash ? WEBDAV_DEEP : 0, &said);
    /* nginx locks a directory with its names, but not to any depth */
    if (status != APR_SUCCESS && slash && said == 409) status = lock_at(w, ctx, lock, 0, &said);
    if (status != APR_SUCCESS) return status;
    /* of what the request is about: nginx does not know its own URLs again where they are escaped
     */
    (void)snprintf(lock->line, sizeof(lock->line), "If: (%s)", lock->token);
    return APR_SUCCESS;
}

void webdav__unlock_token(webdav_t *w, const vfs_ctx_t *ctx, const char *path, int slash,
                          const char *token)
{
    char line[WEBDAV_TOKEN_MAX + 16];
    const char *const lines[] = {line, NULL};
    webdav_call_t call = {.method = "UNLOCK",
                          .path = path,
                          .slash = slash,
                          .flags = REMOTE_AGAIN,
                          .locks = 1,
                          .depth = WEBDAV_FLAT,
                          .lines = lines};
    remote_answer_t answer;
    (void)snprintf(line, sizeof(line), "Lock-Token: %s", token);
    (void)webdav__call(w, ctx, &call, &answer); /* one that stays ends by itself */
    remote__answer_free(&answer);
}

void webdav__unlock(webdav_t *w, webdav_lock_t *lock)
{
    if (lock->token[0] != '\0') webdav__unlock_token(w, NULL, lock->path, lock->slash, lock->token);
    lock->token[0] = '\0';
}

/* ---- keeping it */

/* nginx makes a new lock where the old one has ended. */
static int is_another(webdav_t *w, const webdav_lock_t *lock, const remote_answer_t *answer)
{
    webdav_lock_t made = *lock;
    if (remote__kept(answer, "lock-token", made.token, sizeof(made.token)) == NULL) return 0;
    if (strcmp(made.token, lock->token) == 0 || !is_token(made.token)) return 0;
    webdav__unlock(w, &made);
    return 1;
}

apr_status_t webdav__lock_keep(webdav_t *w, const vfs_ctx_t *ctx, webdav_lock_t *lock)
{
    if (lock == NULL || apr_time_now() < lock->keep_us) return APR_SUCCESS;
    if (apr_time_now() >= lock->ends_us) return VFS_EOFFLINE; /* lighttpd would not say so */
    const char *const lines[] = {lock->line, TIMEOUT_LINE, NULL};
    webdav_call_t call = {.method = "LOCK",
                          .path = lock->path,
                          .slash = lock->slash,
                          .flags = REMOTE_AGAIN,
                          .locks = 1,
                          .lines = lines,
                          .keep = "lock-token"};
    remote_answer_t answer;
    apr_status_t status = ask_lock(w, ctx, &call, lock, &answer);
    const long said = answer.status;
    int gone = said == 412 || said == 423 || said == 404 || said == 409;
    if (status == APR_SUCCESS) gone = is_another(w, lock, &answer);
    remote__answer_free(&answer);
    if (gone) return VFS_EOFFLINE;
    if (status == APR_SUCCESS) return APR_SUCCESS;
    /* one that knows no refreshing is not asked again: others wait as long as it granted at first
     */
    int never = said >= 400 && said <= 499 && said != 408;
    lock->keep_us = never ? INT64_MAX : apr_time_now() + lock->lasts_us / 8;
    return APR_SUCCESS;
}
