/*
 * creds.c - who signs: from the environment, or from the file that the tools of AWS share. Floor 2.
 * A secret is in no message.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/s3/s3.h"

#define LINE_MAX_BYTES 16384u
#define RENEW_US 200000 /* no file is read more often, however much is refused */

/* Copy a text that has a value. 0: it is too long. */
static int put(char *out, size_t size, const char *value)
{
    size_t len = strlen(value);
    if (len >= size || value[strcspn(value, "\r\n")] != '\0') return 0;
    memcpy(out, value, len + 1);
    return 1;
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t len = strlen(text);
    while (len > 0 && isspace((unsigned char)text[len - 1]))
        text[--len] = '\0';
    return text;
}

static int take_line(s3_creds_t *creds, char *line)
{
    char *value = strchr(line, '=');
    if (value == NULL) return 1;
    *value++ = '\0';
    char *key = trim(line);
    value = trim(value);
    if (strcmp(key, "aws_access_key_id") == 0) return put(creds->id, sizeof(creds->id), value);
    if (strcmp(key, "aws_secret_access_key") == 0)
        return put(creds->secret, sizeof(creds->secret), value);
    if (strcmp(key, "aws_session_token") == 0)
        return put(creds->token, sizeof(creds->token), value);
    return 1;
}

/* NULL, or what is wrong. */
static const char *from_stream(s3_creds_t *creds, FILE *file, const char *profile)
{
    static _Thread_local char line[LINE_MAX_BYTES];
    int ours = 0, found = 0, good = 1;
    while (good && fgets(line, sizeof(line), file) != NULL) {
        char *text = trim(line);
        if (text[0] == '[') {
            size_t len = strcspn(text + 1, "]");
            text[1 + len] = '\0';
            ours = strcmp(trim(text + 1), profile) == 0;
            found |= ours;
        } else if (ours && text[0] != '#' && text[0] != ';') {
            good = take_line(creds, text);
        }
    }
    explicit_bzero(line, sizeof(line));
    if (!found) return "has no such profile";
    if (!good) return "has a line that is too long";
    return creds->id[0] != '\0' && creds->secret[0] != '\0'
               ? NULL
               : "has a profile without aws_access_key_id or aws_secret_access_key";
}

static const char *profile_of(const s3_t *s)
{
    const char *name = s->profile != NULL ? s->profile : getenv("AWS_PROFILE");
    return name != NULL && name[0] != '\0' ? name : "default";
}

static apr_status_t from_file(const s3_t *s, s3_creds_t *creds, char *err, size_t errlen)
{
    char name[VFS_PATH_MAX];
    const char *file_name = getenv("AWS_SHARED_CREDENTIALS_FILE");
    if (file_name == NULL || file_name[0] == '\0') {
        const char *home = getenv("HOME");
        (void)snprintf(name, sizeof(name), "%s/.aws/credentials", home != NULL ? home : "");
        file_name = name;
    }
    FILE *file = fopen(file_name, "re");
    if (file == NULL) {
        (void)snprintf(err, errlen,
                       "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the "
                       "environment, or write them into %s (%s), or say anonymous=yes for a "
                       "public bucket",
                       file_name, strerror(errno));
        return APR_FROM_OS_ERROR(EACCES);
    }
    const char *complaint = from_stream(creds, file, profile_of(s));
    (void)fclose(file); /* it was read only */
    if (complaint == NULL) return APR_SUCCESS;
    (void)snprintf(err, errlen, "%s %s (profile '%s')", file_name, complaint, profile_of(s));
    return APR_FROM_OS_ERROR(EACCES);
}

/* 1: the environment has them. */
static int from_environment(const s3_t *s, s3_creds_t *creds)
{
    const char *id = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY");
    const char *token = getenv("AWS_SESSION_TOKEN");
    if (s->profile != NULL || id == NULL || secret == NULL || id[0] == '\0') return 0;
    return put(creds->id, sizeof(creds->id), id) &&
           put(creds->secret, sizeof(creds->secret), secret) &&
           put(creds->token, sizeof(creds->token), token != NULL ? token : "");
}

/* From wherever they are now. */
static apr_status_t find(const s3_t *s, s3_creds_t *creds, char *err, size_t errlen)
{
    memset(creds, 0, sizeof(*creds));
    if (s->anonymous || from_environment(s, creds)) return APR_SUCCESS;
    memset(creds, 0, sizeof(*creds));
    return from_file(s, creds, err, errlen);
}

apr_status_t s3__creds_load(s3_t *s, char *err, size_t errlen)
{
    s3_creds_t fresh;
    apr_status_t status = find(s, &fresh, err, errlen);
    if (status == APR_SUCCESS) {
        pthread_mutex_lock(&s->creds_lock);
        s->creds = fresh;
        s->creds_us = apr_time_now();
        pthread_mutex_unlock(&s->creds_lock);
    }
    explicit_bzero(&fresh, sizeof(fresh));
    return status;
}

void s3__creds_get(s3_t *s, s3_creds_t *out)
{
    pthread_mutex_lock(&s->creds_lock);
    *out = s->creds;
    pthread_mutex_unlock(&s->creds_lock);
}

static int same(const s3_creds_t *a, const s3_creds_t *b)
{
    return strcmp(a->id, b->id) == 0 && strcmp(a->secret, b->secret) == 0 &&
           strcmp(a->token, b->token) == 0;
}

int s3__creds_renew(s3_t *s, const s3_creds_t *old)
{
    char unwanted[512];
    s3_creds_t now;
    if (s->anonymous) return 0;
    s3__creds_get(s, &now);
    int other = !same(&now, old); /* somebody else was here */
    if (!other) {
        pthread_mutex_lock(&s->creds_lock);
        int soon = apr_time_now() - s->creds_us < RENEW_US;
        s->creds_us = apr_time_now();
        pthread_mutex_unlock(&s->creds_lock);
        if (!soon && s3__creds_load(s, unwanted, sizeof(unwanted)) == APR_SUCCESS) {
            s3__creds_get(s, &now);
            other = !same(&now, old);
        }
    }
    explicit_bzero(&now, sizeof(now));
    return other;
}
