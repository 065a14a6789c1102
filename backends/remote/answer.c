/*
 * answer.c - the headers of an answer, and what an answer means. Floor 2. Every line of it comes
 * from outside: what is too long is cut or left out, what cannot be read is not there.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "backends/remote/private.h"

#define NS_PER_S 1000000000
/* A server's clock has steps of a second, and so have its files, as far as it tells. */
#define GRANULARITY_S 1
#define TIME_MAX_S (1ll << 33)

void remote__answer_clear(remote_answer_t *answer)
{
    free(answer->location);
    free(answer->said);
    free(answer->kept);
    memset(answer, 0, offsetof(remote_answer_t, why));
    answer->length = answer->range_first = answer->range_last = answer->range_total = -1;
    answer->modified_s = answer->date_s = answer->retry_us = -1;
}

void remote__answer_free(remote_answer_t *answer)
{
    remote__answer_clear(answer);
}

/* A number of at most 18 digits at *at, which goes behind it; -1: there is none. */
static int64_t number(const char **at)
{
    int64_t n = 0;
    size_t digits = 0;
    while (isdigit((unsigned char)(*at)[digits]) && digits < 19)
        n = digits < 18 ? n * 10 + ((*at)[digits++] - '0') : (int64_t)digits++;
    if (digits == 0 || digits > 18) return -1;
    *at += digits;
    return n;
}

/* "bytes 0-99/1234", "bytes 0-99/" and a star, "bytes", a star and "/1234". */
static void content_range(remote_answer_t *answer, const char *value)
{
    if (strncasecmp(value, "bytes", 5) != 0) return;
    const char *at = value + 5;
    while (*at == ' ' || *at == '=')
        at++;
    int64_t first = -1, last = -1;
    if (*at == '*') {
        at++;
    } else {
        first = number(&at);
        if (first < 0 || *at++ != '-') return;
        last = number(&at);
        if (last < first) return;
    }
    if (*at++ != '/') return;
    int64_t total = *at == '*' ? -1 : number(&at);
    if (total >= 0 && last >= total) return;
    answer->range_first = first;
    answer->range_last = last;
    answer->range_total = total;
}

static int64_t date(const char *value)
{
    time_t t = curl_getdate(value, NULL);
    return t < 0 || t > TIME_MAX_S ? -1 : (int64_t)t;
}

/* Seconds, or a date. */
static int64_t retry_after(const char *value)
{
    const char *at = value;
    int64_t s = number(&at);
    if (s < 0) {
        int64_t then = date(value);
        if (then < 0) return -1;
        s = then - vfs_now_ns() / NS_PER_S;
        if (s < 0) s = 0;
    }
    return s > TIME_MAX_S ? INT64_MAX : s * 1000000;
}

static void lower_word(char *out, size_t size, const char *value)
{
    size_t n = 0;
    for (; n + 1 < size && value[n] != '\0' && value[n] != ';' && value[n] != ' '; n++)
        out[n] = (char)tolower((unsigned char)value[n]);
    out[n] = '\0';
}

static void take(remote_answer_t *answer, const char *name, const char *value)
{
    const char *at = value;
    if (strcasecmp(name, "content-length") == 0) {
        answer->length = number(&at);
        answer->framed = answer->length >= 0;
    } else if (strcasecmp(name, "transfer-encoding") == 0) {
        answer->framed |= strcasecmp(value, "chunked") == 0;
    } else if (strcasecmp(name, "content-encoding") == 0) {
        answer->coded = value[0] != '\0' && strcasecmp(value, "identity") != 0;
    } else if (strcasecmp(name, "content-range") == 0) {
        content_range(answer, value);
    } else if (strcasecmp(name, "content-type") == 0) {
        lower_word(answer->type, sizeof(answer->type), value);
    } else if (strcasecmp(name, "last-modified") == 0) {
        answer->modified_s = date(value);
    } else if (strcasecmp(name, "date") == 0) {
        answer->date_s = date(value);
    } else if (strcasecmp(name, "retry-after") == 0) {
        answer->retry_us = retry_after(value);
    } else if (strcasecmp(name, "etag") == 0 && strlen(value) < REMOTE_TAG_MAX) {
        memcpy(answer->etag, value, strlen(value) + 1);
    }
}

/* What has no room is not there. */
static void keep(remote_answer_t *answer, const char *name, const char *value)
{
    size_t need = strlen(name) + strlen(value) + sizeof(": \n");
    if (answer->kept == NULL) answer->kept = calloc(1, REMOTE_KEPT_MAX);
    if (answer->kept == NULL || need > REMOTE_KEPT_MAX - answer->kept_len) return;
    char *out = answer->kept + answer->kept_len;
    answer->kept_len += (size_t)snprintf(out, need, "%s: %s\n", name, value);
    for (; *out != ':'; out++)
        *out = (char)tolower((unsigned char)*out);
}

const char *remote__kept(const remote_answer_t *answer, const char *name, char *out, size_t size)
{
    size_t len = strlen(name);
    for (const char *at = answer->kept; at != NULL && *at != '\0'; at = strchr(at, '\n') + 1) {
        if (strncmp(at, name, len) != 0 || strncmp(at + len, ": ", 2) != 0) continue;
        size_t n = strcspn(at + len + 2, "\n");
        if (n >= size) return NULL;
        memcpy(out, at + len + 2, n);
        out[n] = '\0';
        return out;
    }
    return NULL;
}

void remote__answer_tag(remote_answer_t *answer, const char *etag, int64_t modified_s)
{
    answer->date_s = -1;
    answer->modified_s = modified_s;
    if (strlen(etag) < REMOTE_TAG_MAX) memcpy(answer->etag, etag, strlen(etag) + 1);
}

void remote__answer_header(remote_answer_t *answer, const remote_request_t *request,
                           const char *line, size_t len)
{
    char text[REMOTE_HEADER_MAX];
    while (len > 0 && isspace((unsigned char)line[len - 1]))
        len--;
    if (len >= sizeof(text) || memchr(line, '\0', len) != NULL) return;
    memcpy(text, line, len);
    text[len] = '\0';
    char *value = strchr(text, ':');
    if (value == NULL) return;
    *value++ = '\0';
    while (isspace((unsigned char)*value))
        value++;
    take(answer, text, value);
    if (request->keep != NULL && strncasecmp(text, request->keep, strlen(request->keep)) == 0)
        keep(answer, text, value);
    if (request->header != NULL) request->header(request->baton, text, value);
}

apr_status_t remote__status(const remote_answer_t *answer)
{
    static const struct {
        long http;
        apr_status_t status;
    } rows[] = {
        {400, APR_FROM_OS_ERROR(EIO)},
        {401, APR_FROM_OS_ERROR(EACCES)},
        {402, APR_FROM_OS_ERROR(EACCES)},
        {403, APR_FROM_OS_ERROR(EACCES)},
        {404, APR_FROM_OS_ERROR(ENOENT)},
        {405, APR_ENOTIMPL},
        {407, APR_FROM_OS_ERROR(EACCES)},
        {408, VFS_EOFFLINE},
        {409, VFS_ECONFLICT},
        {410, APR_FROM_OS_ERROR(ENOENT)},
        {412, VFS_ECONFLICT},
        {413, APR_FROM_OS_ERROR(EFBIG)},
        {414, APR_ENAMETOOLONG},
        {423, APR_FROM_OS_ERROR(EBUSY)},
        {424, APR_FROM_OS_ERROR(EBUSY)},
        {429, VFS_EOFFLINE},
        {451, APR_FROM_OS_ERROR(EACCES)},
        {501, APR_ENOTIMPL},
        {502, VFS_EOFFLINE},
        {503, VFS_EOFFLINE},
        {504, VFS_EOFFLINE},
        {507, APR_FROM_OS_ERROR(ENOSPC)},
    };
    if (answer->status >= 200 && answer->status < 300) return APR_SUCCESS;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].http == answer->status) return rows[i].status;
    }
    return APR_FROM_OS_ERROR(EIO);
}

void remote__validator(vfs_validator_t *out, const remote_answer_t *answer, const vfs_attr_t *attr)
{
    int64_t now_s = answer->date_s >= 0 ? answer->date_s : vfs_now_ns() / NS_PER_S;
    memset(out, 0, sizeof(*out));
    if (answer->etag[0] != '\0') {
        /* Apache's is weak as long as the file is young: it becomes no other version by ageing */
        int weak = strncmp(answer->etag, "W/", 2) == 0;
        const char *tag = answer->etag + (weak ? 2 : 0);
        vfs_validator_from_tag(out, VFS_VALIDATOR_ETAG, tag, strlen(tag));
        if (weak) out->flags |= VFS_VALIDATOR_WEAK;
    } else if (answer->modified_s >= 0) {
        vfs_validator_from_attr(out, attr, now_s * NS_PER_S, 0);
    }
    /* most etags are made of times: two writes within a step of the clock may leave the same one */
    if (out->kind != VFS_VALIDATOR_NONE && answer->modified_s >= 0 &&
        now_s - answer->modified_s <= GRANULARITY_S)
        out->flags |= VFS_VALIDATOR_YOUNG;
}
