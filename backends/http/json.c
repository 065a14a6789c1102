/*
 * json.c - the listing that nginx writes with `autoindex_format json`: an array of flat objects.
 * Floor 2. Anything else is VFS_EFORMAT: a listing that is not whole is none.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "backends/http/http.h"

#define TEXT_MAX 1024u
#define NS_PER_S 1000000000
#define TIME_MAX_S (1ll << 33)

typedef struct json_in_t {
    const char *at, *end;
    char text[TEXT_MAX]; /* the string or number that was read last */
    size_t len;
    int cut; /* it was longer */
} json_in_t;

static int blank(json_in_t *in, char c)
{
    while (in->at < in->end && isspace((unsigned char)*in->at))
        in->at++;
    if (in->at == in->end || *in->at != c) return 0;
    in->at++;
    return 1;
}

static void push(json_in_t *in, unsigned c)
{
    if (in->len + 1 < TEXT_MAX)
        in->text[in->len++] = (char)c;
    else
        in->cut = 1;
}

static void push_utf8(json_in_t *in, unsigned c)
{
    if (c < 0x80) {
        push(in, c);
    } else if (c < 0x800) {
        push(in, 0xc0 | c >> 6);
        push(in, 0x80 | (c & 63));
    } else if (c < 0x10000) {
        push(in, 0xe0 | c >> 12);
        push(in, 0x80 | (c >> 6 & 63));
        push(in, 0x80 | (c & 63));
    } else {
        push(in, 0xf0 | c >> 18);
        push(in, 0x80 | (c >> 12 & 63));
        push(in, 0x80 | (c >> 6 & 63));
        push(in, 0x80 | (c & 63));
    }
}

/* Four hexadecimal digits; -1: they are none. */
static int unit(json_in_t *in)
{
    int n = 0;
    if (in->end - in->at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        char c = *in->at++;
        if (!isxdigit((unsigned char)c)) return -1;
        n = 16 * n + (isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return n;
}

static int escape(json_in_t *in)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (in->at == in->end) return 0;
    char c = *in->at++;
    const char *known = c != '\0' ? strchr(from, c) : NULL;
    if (known != NULL) {
        push(in, (unsigned char)to[known - from]);
        return 1;
    }
    if (c != 'u') return 0;
    int n = unit(in);
    if (n >= 0xd800 && n < 0xdc00) { /* the first half of a pair */
        if (in->end - in->at < 2 || in->at[0] != '\\' || in->at[1] != 'u') return 0;
        in->at += 2;
        int low = unit(in);
        if (low < 0xdc00 || low > 0xdfff) return 0;
        n = 0x10000 + ((n - 0xd800) << 10) + (low - 0xdc00);
    } else if (n >= 0xdc00 && n < 0xe000) {
        return 0;
    }
    if (n <= 0) return 0; /* no name has the byte 0 */
    push_utf8(in, (unsigned)n);
    return 1;
}

static int string(json_in_t *in)
{
    in->len = 0;
    in->cut = 0;
    if (!blank(in, '"')) return 0;
    while (in->at < in->end && *in->at != '"') {
        char c = *in->at++;
        if (c == '\0') return 0;
        if (c != '\\')
            push(in, (unsigned char)c);
        else if (!escape(in))
            return 0;
    }
    in->text[in->len] = '\0';
    return in->at < in->end && *in->at++ == '"';
}

/* A string, a number, true, false or null. */
static int value(json_in_t *in)
{
    while (in->at < in->end && isspace((unsigned char)*in->at))
        in->at++;
    if (in->at < in->end && *in->at == '"') return string(in);
    in->len = 0;
    in->cut = 0;
    while (in->at < in->end &&
           (isalnum((unsigned char)*in->at) || *in->at == '-' || *in->at == '+' || *in->at == '.'))
        push(in, (unsigned char)*in->at++);
    in->text[in->len] = '\0';
    return in->len > 0;
}

/* One object; its name in `name`, "" without one. */
static int object(json_in_t *in, char *name, remote_entry_t *entry)
{
    int has_size = 0, has_time = 0;
    char key[16];
    name[0] = '\0';
    memset(entry, 0, sizeof(*entry));
    if (!blank(in, '{')) return 0;
    if (blank(in, '}')) return 1;
    do {
        if (!string(in)) return 0;
        memset(key, 0, sizeof(key)); /* a long one is none that counts */
        if (in->len < sizeof(key)) memcpy(key, in->text, in->len);
        if (!blank(in, ':') || !value(in)) return 0;
        if (strcmp(key, "name") == 0 && !in->cut) {
            memcpy(name, in->text, in->len + 1);
        } else if (strcmp(key, "type") == 0) {
            entry->type = strcmp(in->text, "directory") == 0 ? VFS_TYPE_DIR
                          : strcmp(in->text, "file") == 0    ? VFS_TYPE_FILE
                                                             : VFS_TYPE_UNKNOWN;
        } else if (strcmp(key, "size") == 0) {
            has_size = in->len < 19 && strspn(in->text, "0123456789") == in->len;
            entry->size = has_size ? strtoull(in->text, NULL, 10) : 0;
        } else if (strcmp(key, "mtime") == 0) {
            time_t t = curl_getdate(in->text, NULL);
            has_time = t >= 0 && t < TIME_MAX_S;
            entry->mtime_ns = has_time ? (int64_t)t * NS_PER_S : 0;
        }
    } while (blank(in, ','));
    entry->has_attr =
        has_time && (entry->type == VFS_TYPE_DIR || (entry->type == VFS_TYPE_FILE && has_size));
    if (entry->type == VFS_TYPE_DIR) entry->size = 0;
    return blank(in, '}');
}

apr_status_t http__parse_json(remote_names_t *names, const char *text, size_t len)
{
    json_in_t in = {.at = text, .end = text + len};
    char name[TEXT_MAX];
    remote_entry_t entry;
    if (!blank(&in, '[')) return VFS_EFORMAT;
    if (blank(&in, ']')) return APR_SUCCESS;
    do {
        if (!object(&in, name, &entry)) return VFS_EFORMAT;
        apr_status_t status = remote__names_add(names, name, strlen(name), &entry);
        if (status != APR_SUCCESS) return status;
    } while (blank(&in, ','));
    return blank(&in, ']') ? APR_SUCCESS : VFS_EFORMAT;
}
