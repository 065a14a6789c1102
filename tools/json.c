/*
 * json.c - writes JSON (RFC 8259), one value after the other.
 * Floor 4, private to tools/. Knows nothing of what it writes.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "tools/cli.h"
#include "vfs/vfs_ops.h"

void json_start(json_t *json, FILE *out)
{
    memset(json, 0, sizeof(*json));
    json->out = out;
}

void json_end(json_t *json)
{
    VFS_ASSERT(json->depth == 0);
    (void)putc('\n', json->out); /* cli_finish looks at the stream's error flag, here and below */
}

/* How many bytes the UTF-8 sequence at `s` has; 0 if it is none (RFC 3629, table 3-7 of Unicode).
 */
static size_t utf8_length(const unsigned char *s)
{
    size_t len = s[0] < 0x80   ? 1
                 : s[0] < 0xc2 ? 0
                 : s[0] < 0xe0 ? 2
                 : s[0] < 0xf0 ? 3
                 : s[0] < 0xf5 ? 4
                               : 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if (s[0] == 0xe0 && s[1] < 0xa0) return 0;
    if (s[0] == 0xed && s[1] > 0x9f) return 0;
    if (s[0] == 0xf0 && s[1] < 0x90) return 0;
    if (s[0] == 0xf4 && s[1] > 0x8f) return 0;
    return len;
}

static int is_utf8(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    while (*s != 0) {
        size_t len = utf8_length(s);
        if (len == 0) return 0;
        s += len;
    }
    return 1;
}

static void quoted(FILE *out, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    (void)putc('"', out);
    while (*s != 0) {
        size_t len = utf8_length(s);
        if (len == 0) {
            (void)fputs("\\ufffd", out);
            len = 1;
        } else if (*s == '"' || *s == '\\') {
            (void)fprintf(out, "\\%c", *s);
        } else if (*s < 0x20 || *s == 0x7f) {
            (void)fprintf(out, "\\u%04x", *s);
        } else {
            (void)fwrite(s, 1, len, out);
        }
        s += len;
    }
    (void)putc('"', out);
}

/* What stands before a value: a comma, a new line, its key. */
static void lead(json_t *json, const char *key)
{
    if (json->depth > 0) {
        if (json->filled[json->depth - 1]) (void)putc(',', json->out);
        json->filled[json->depth - 1] = 1;
        /* one object a line: readable, and easy to take apart with line tools */
        (void)fputs(json->depth == 1 ? "\n  " : " ", json->out);
    }
    if (key != NULL) {
        quoted(json->out, key);
        (void)fputs(": ", json->out);
    }
}

static void begin(json_t *json, const char *key, char bracket)
{
    VFS_ASSERT(json->depth + 1 < JSON_DEPTH_MAX);
    lead(json, key);
    (void)putc(bracket, json->out);
    json->filled[json->depth++] = 0;
}

void json_array(json_t *json, const char *key)
{
    begin(json, key, '[');
}

void json_object(json_t *json, const char *key)
{
    begin(json, key, '{');
}

void json_close(json_t *json, char bracket)
{
    VFS_ASSERT(json->depth > 0);
    json->depth--;
    if (json->filled[json->depth]) (void)putc(json->depth == 0 ? '\n' : ' ', json->out);
    (void)putc(bracket, json->out);
}

void json_string(json_t *json, const char *key, const char *value)
{
    lead(json, key);
    quoted(json->out, value);
}

void json_uint(json_t *json, const char *key, uint64_t value)
{
    lead(json, key);
    (void)fprintf(json->out, "%" PRIu64, value);
}

void json_int(json_t *json, const char *key, int64_t value)
{
    lead(json, key);
    (void)fprintf(json->out, "%" PRId64, value);
}

void json_double(json_t *json, const char *key, double value)
{
    lead(json, key);
    if (isfinite(value))
        (void)fprintf(json->out, "%.9g", value);
    else
        (void)fputs("null", json->out);
}

void json_bool(json_t *json, const char *key, int value)
{
    lead(json, key);
    (void)fputs(value ? "true" : "false", json->out);
}

void json_null(json_t *json, const char *key)
{
    lead(json, key);
    (void)fputs("null", json->out);
}

void json_path(json_t *json, const char *key, const char *path)
{
    json_string(json, key, path);
    if (is_utf8(path)) return;
    char name[64];
    (void)snprintf(name, sizeof(name), "%s_hex", key);
    lead(json, name);
    (void)putc('"', json->out);
    for (const unsigned char *s = (const unsigned char *)path; *s != 0; s++)
        (void)fprintf(json->out, "%02x", *s);
    (void)putc('"', json->out);
}
