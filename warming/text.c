/*
 * text.c - the text files of warming: read line by line within bounds, written to be replaced at
 * once. Floor 3. Knows no plan and no job.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <apr_file_io.h>
#include <apr_strings.h>

#include "warming/internal.h"

void warm__say(char *err, size_t errlen, const char *format, ...)
{
    va_list args;

    if (err == NULL || errlen == 0) return;
    va_start(args, format);
    (void)vsnprintf(err, errlen, format, args);
    va_end(args);
}

/* ---- in */

apr_status_t warm__lines_open(warm__lines_t **out, const char *file, char *err, size_t errlen)
{
    warm__lines_t *lines = malloc(sizeof(*lines));
    apr_status_t status;
    char text[128];

    if (lines == NULL) return APR_ENOMEM;
    lines->number = 0;
    lines->len = 0;
    lines->name = strcmp(file, "-") == 0 ? "standard input" : file;
    lines->in = lines->name == file ? fopen(file, "re") : stdin;
    if (lines->in == NULL) {
        status = APR_FROM_OS_ERROR(errno);
        warm__say(err, errlen, "cannot open \"%.200s\": %s", file,
                  vfs_strerror(status, text, sizeof(text)));
        free(lines);
        return status;
    }
    *out = lines;
    return APR_SUCCESS;
}

void warm__lines_close(warm__lines_t *lines)
{
    if (lines->in != stdin) (void)fclose(lines->in); /* it was only read */
    free(lines);
}

/* Read up to the end of a line. Returns what is wrong with it, or NULL. */
static const char *read_line(warm__lines_t *lines)
{
    const char *fault = NULL;
    int c = EOF;

    lines->len = 0;
    while (fault == NULL && (c = getc(lines->in)) != EOF && c != '\n') {
        if (lines->len == WARM__LINE_MAX)
            fault = "it is too long";
        else if (c == '\0')
            fault = "it has a NUL byte";
        else
            lines->buf[lines->len++] = (char)c;
    }
    if (c == '\n' && lines->len > 0 && lines->buf[lines->len - 1] == '\r') lines->len--;
    lines->buf[lines->len] = '\0';
    return fault;
}

apr_status_t warm__lines_next(warm__lines_t *lines, char *err, size_t errlen)
{
    const char *fault;
    char text[128];

    lines->number++;
    errno = 0;
    fault = read_line(lines);
    if (fault != NULL) {
        warm__say(err, errlen, "%s, line %llu: %s", lines->name, (unsigned long long)lines->number,
                  fault);
        return VFS_EFORMAT;
    }
    if (ferror(lines->in)) {
        apr_status_t status = APR_FROM_OS_ERROR(errno != 0 ? errno : EIO);

        warm__say(err, errlen, "cannot read %s: %s", lines->name,
                  vfs_strerror(status, text, sizeof(text)));
        return status;
    }
    if (lines->number == 1 && strncmp(lines->buf, "\xef\xbb\xbf", 3) == 0) {
        lines->len -= 3; /* the byte order mark of some editors */
        memmove(lines->buf, lines->buf + 3, lines->len + 1);
    }
    return feof(lines->in) && lines->len == 0 ? APR_EOF : APR_SUCCESS;
}

/* ---- out */

struct warm__output_t {
    apr_pool_t *pool;
    apr_file_t *to;
    const char *file;
    char *temporary;
    apr_status_t status; /* the first error */
};

apr_status_t warm__output_open(warm__output_t **out, const char *file)
{
    warm__output_t *output;
    apr_pool_t *pool;
    apr_status_t status = apr_pool_create(&pool, NULL);

    if (status != APR_SUCCESS) return status;
    output = apr_pcalloc(pool, sizeof(*output));
    output->pool = pool;
    output->file = apr_pstrdup(pool, file);
    output->temporary = apr_pstrcat(pool, file, ".XXXXXX", NULL);
    status = apr_file_mktemp(&output->to, output->temporary,
                             APR_FOPEN_CREATE | APR_FOPEN_READ | APR_FOPEN_WRITE | APR_FOPEN_EXCL |
                                 APR_FOPEN_BUFFERED,
                             pool);
    if (status != APR_SUCCESS) {
        apr_pool_destroy(pool);
        return status;
    }
    *out = output;
    return APR_SUCCESS;
}

void warm__output_print(warm__output_t *output, const char *format, ...)
{
    char line[WARM__LINE_MAX + 1];
    va_list args;
    int len;

    if (output->status != APR_SUCCESS) return;
    va_start(args, format);
    len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    VFS_ASSERT(len >= 0 && (size_t)len < sizeof(line));
    output->status = apr_file_write_full(output->to, line, (apr_size_t)len, NULL);
}

apr_status_t warm__output_commit(warm__output_t *output)
{
    apr_status_t status = output->status, closed;

    if (status == APR_SUCCESS) status = apr_file_flush(output->to);
    if (status == APR_SUCCESS) status = apr_file_sync(output->to);
    closed = apr_file_close(output->to);
    if (status == APR_SUCCESS) status = closed;
    if (status == APR_SUCCESS)
        status = apr_file_rename(output->temporary, output->file, output->pool);
    if (status != APR_SUCCESS)
        (void)apr_file_remove(output->temporary, output->pool); /* the first error counts */
    apr_pool_destroy(output->pool);
    return status;
}

/* ---- words */

void warm__escape(char *buf, const char *path)
{
    static const char hex[] = "0123456789abcdef";

    for (; *path != '\0'; path++) {
        unsigned char c = (unsigned char)*path;

        if (c > 0x20 && c < 0x7f && c != '\\') {
            *buf++ = (char)c;
            continue;
        }
        *buf++ = '\\';
        *buf++ = 'x';
        *buf++ = hex[c >> 4];
        *buf++ = hex[c & 15];
    }
    *buf = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

apr_status_t warm__unescape(char *text)
{
    char *to = text;

    while (*text != '\0') {
        unsigned char c = (unsigned char)*text++;

        if (c <= 0x20 || c >= 0x7f) return VFS_EFORMAT;
        if (c == '\\') {
            int high = text[0] == 'x' ? hex_digit(text[1]) : -1;
            int low = high >= 0 ? hex_digit(text[2]) : -1;

            if (low < 0 || high * 16 + low == 0) return VFS_EFORMAT;
            c = (unsigned char)(high * 16 + low);
            text += 3;
        }
        *to++ = (char)c;
    }
    *to = '\0';
    return APR_SUCCESS;
}

apr_status_t warm__parse_number(const char **text, uint64_t *value)
{
    const char *at = *text;
    uint64_t number = 0;

    if (*at < '0' || *at > '9') return VFS_EFORMAT;
    for (; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');

        if (number > (UINT64_MAX - digit) / 10) return VFS_EFORMAT;
        number = number * 10 + digit;
    }
    *text = at;
    *value = number;
    return APR_SUCCESS;
}
