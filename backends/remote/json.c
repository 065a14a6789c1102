/*
 * json.c - see json.h. Floor 2.
 */
#include "backends/remote/json.h"

#include <ctype.h>
#include <string.h>

int remote__json_mark(remote_json_t *in, char c)
{
    while (in->at < in->end && isspace((unsigned char)*in->at))
        in->at++;
    if (in->at == in->end || *in->at != c) return 0;
    in->at++;
    return 1;
}

static void push(remote_json_t *in, unsigned c)
{
    if (in->len + 1 < in->room)
        in->text[in->len++] = (char)c;
    else
        in->cut = 1;
}

static void push_utf8(remote_json_t *in, unsigned c)
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
static int unit(remote_json_t *in)
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

static int escape(remote_json_t *in)
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
    if (n <= 0) return 0; /* no text has the byte 0 */
    push_utf8(in, (unsigned)n);
    return 1;
}

int remote__json_string(remote_json_t *in)
{
    in->len = 0;
    in->cut = 0;
    if (!remote__json_mark(in, '"')) return 0;
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

int remote__json_value(remote_json_t *in)
{
    while (in->at < in->end && isspace((unsigned char)*in->at))
        in->at++;
    if (in->at < in->end && *in->at == '"') return remote__json_string(in);
    in->len = 0;
    in->cut = 0;
    while (in->at < in->end &&
           (isalnum((unsigned char)*in->at) || *in->at == '-' || *in->at == '+' || *in->at == '.'))
        push(in, (unsigned char)*in->at++);
    in->text[in->len] = '\0';
    return in->len > 0;
}
