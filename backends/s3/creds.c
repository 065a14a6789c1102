/*
 * creds.c - who signs: the environment, a profile of the tools of AWS, or who lends keys for a
 * time. Floor 2. A secret is in no message.
 *
 * What is lent is fetched again before it ends, by one thread; the others go on with the old key as
 * long as it is good, and wait then.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "backends/s3/profile.h"
#include "vfs/wait.h"

#define RENEW_US 200000      /* no file is read more often, however much is refused */
#define EARLY_US 300000000ll /* what ends sooner is replaced */

/* Copy a text that has a value. 0: it is too long. */
static int put(char *out, size_t size, const char *value)
{
    size_t len = strlen(value);
    if (len >= size || value[strcspn(value, "\r\n")] != '\0') return 0;
    memcpy(out, value, len + 1);
    return 1;
}

int s3__environment_key(s3_creds_t *creds)
{
    const char *id = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY");
    const char *token = getenv("AWS_SESSION_TOKEN");
    memset(creds, 0, sizeof(*creds));
    if (id == NULL || secret == NULL || id[0] == '\0') return 0;
    return put(creds->id, sizeof(creds->id), id) &&
           put(creds->secret, sizeof(creds->secret), secret) &&
           put(creds->token, sizeof(creds->token), token != NULL ? token : "");
}

static int has_container(void)
{
    return s3__environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                           "AWS_CONTAINER_CREDENTIALS_FULL_URI") != NULL;
}

static int has_machine(void)
{
    const char *disabled = getenv("AWS_EC2_METADATA_DISABLED");
    return disabled == NULL || strcasecmp(disabled, "true") != 0;
}

static int was_lent(s3_t *s)
{
    pthread_mutex_lock(&s->creds_lock);
    int lent = s->creds.lent;
    pthread_mutex_unlock(&s->creds_lock);
    return lent;
}

/* From wherever they are now, in the order of the tools of AWS. */
static apr_status_t find(s3_t *s, const vfs_ctx_t *ctx, s3_creds_t *creds, char *err, size_t errlen)
{
    int absent = 0;
    apr_status_t status = APR_SUCCESS;
    memset(creds, 0, sizeof(*creds));
    if (s->anonymous || (s->profile == NULL && s3__environment_key(creds))) return APR_SUCCESS;
    memset(creds, 0, sizeof(*creds));
    if (s->profile == NULL && s3__environment("AWS_WEB_IDENTITY_TOKEN_FILE", NULL) != NULL) {
        status = s3__lend_web(s, ctx, creds, err, errlen);
    } else {
        status = s3__profile_key(s, ctx, creds, &absent, err, errlen);
        if (status == APR_SUCCESS || !absent) return status;
        if (has_container()) {
            status = s3__lend_container(ctx, creds, err, errlen);
        } else if (has_machine()) {
            size_t len = strlen(err);
            int more = len + 2 < errlen ? snprintf(err + len, errlen - len, "; ") : 0;
            status = s3__lend_machine(ctx, creds, err + len + more, errlen - len - (size_t)more);
            if (status == VFS_EOFFLINE && !was_lent(s)) /* then there is none */
                status = APR_FROM_OS_ERROR(EACCES);
        }
    }
    creds->lent = 1;
    return status;
}

/* A key that is there already is better than one that nobody could fetch. What the caller's context
 * ended says nothing. */
apr_status_t s3__creds_load(s3_t *s, const vfs_ctx_t *ctx, char *err, size_t errlen)
{
    s3_creds_t fresh;
    apr_status_t status = find(s, ctx, &fresh, err, errlen);
    int ended = vfs_ctx_check(ctx) != APR_SUCCESS;
    pthread_mutex_lock(&s->creds_lock);
    if (status == APR_SUCCESS) s->creds = fresh;
    if (status == APR_SUCCESS || !ended) {
        s->creds_us = apr_time_now();
        s->creds_status = status;
    }
    pthread_mutex_unlock(&s->creds_lock);
    explicit_bzero(&fresh, sizeof(fresh));
    return status;
}

/* By one thread, with the lock held before and after, but not meanwhile. */
static apr_status_t reload(s3_t *s, const vfs_ctx_t *ctx)
{
    char unwanted[1024];
    s->creds_busy = 1;
    pthread_mutex_unlock(&s->creds_lock);
    apr_status_t status = s3__creds_load(s, ctx, unwanted, sizeof(unwanted));
    pthread_mutex_lock(&s->creds_lock);
    s->creds_busy = 0;
    pthread_cond_broadcast(&s->creds_came);
    return status;
}

/* Is there no key, or is it over by the server's clock? `early_us`: or will it be by then? */
static int is_over(const s3_t *s, int64_t early_us)
{
    int64_t skew_us = 1000000 * atomic_load_explicit(&s->skew_s, memory_order_relaxed);
    if (s->anonymous) return 0;
    if (s->creds.id[0] == '\0') return 1;
    return s->creds.expires_us > 0 && apr_time_now() + skew_us + early_us >= s->creds.expires_us;
}

apr_status_t s3__creds_get(s3_t *s, const vfs_ctx_t *ctx, s3_creds_t *out)
{
    apr_status_t status = APR_SUCCESS;
    pthread_mutex_lock(&s->creds_lock);
    while (status == APR_SUCCESS && is_over(s, EARLY_US)) {
        int over = is_over(s, 0);
        if (s->creds_busy) {
            if (!over) break;
            status = vfs__cond_wait(&s->creds_came, &s->creds_lock, ctx);
        } else if (apr_time_now() - s->creds_us >= s->creds_pause_us) {
            status = reload(s, ctx);
            if (!over) status = APR_SUCCESS; /* the old one is good for a while */
            break;
        } else {
            if (over) status = s->creds_status;
            break;
        }
    }
    *out = s->creds;
    pthread_mutex_unlock(&s->creds_lock);
    return status;
}

static int same(const s3_creds_t *a, const s3_creds_t *b)
{
    return strcmp(a->id, b->id) == 0 && strcmp(a->secret, b->secret) == 0 &&
           strcmp(a->token, b->token) == 0;
}

int s3__creds_renew(s3_t *s, const vfs_ctx_t *ctx, const s3_creds_t *old)
{
    apr_status_t status = APR_SUCCESS;
    if (s->anonymous) return 0;
    pthread_mutex_lock(&s->creds_lock);
    while (s->creds_busy && same(&s->creds, old) && status == APR_SUCCESS)
        status = vfs__cond_wait(&s->creds_came, &s->creds_lock, ctx);
    int64_t pause_us = s->creds.lent ? s->creds_pause_us : RENEW_US;
    if (status == APR_SUCCESS && same(&s->creds, old) && /* else somebody else was here */
        apr_time_now() - s->creds_us >= pause_us)
        (void)reload(s, ctx); /* then it is still the old one */
    int other = !same(&s->creds, old);
    pthread_mutex_unlock(&s->creds_lock);
    return other;
}
