/*
 * support_json.c - a strict reader of JSON (RFC 8259), for what the program prints. It recurses:
 * its input is ours.
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cli/support_run.h"

typedef struct reader_t {
    const char *s;
    int bad;
} reader_t;

static node_t *value(reader_t *in);

static void blanks(reader_t *in)
{
    while (*in->s == ' ' || *in->s == '\n' || *in->s == '\t' || *in->s == '\r')
        in->s++;
}

static int word(reader_t *in, const char *text)
{
    size_t len = strlen(text);
    if (strncmp(in->s, text, len) != 0) return 0;
    in->s += len;
    return 1;
}

/* Append a code point as UTF-8. */
static char *put(char *to, unsigned code)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3f));
    } else {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    }
    return to;
}

static char *escape(reader_t *in, char *to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    const char *which = *in->s != '\0' ? strchr(from, *in->s) : NULL;
    unsigned code = 0;
    if (which != NULL) {
        in->s++;
        *to++ = into[which - from];
        return to;
    }
    if (*in->s++ != 'u') in->bad = 1;
    for (int i = 0; i < 4 && !in->bad; i++, in->s++) {
        if (!isxdigit((unsigned char)*in->s)) in->bad = 1;
        code = code * 16 + (unsigned)(isdigit((unsigned char)*in->s)
                                          ? *in->s - '0'
                                          : tolower((unsigned char)*in->s) - 'a' + 10);
    }
    return in->bad ? to : put(to, code);
}

static char *string(reader_t *in)
{
    char *text = keep(malloc(strlen(in->s) + 1)), *to = text;
    if (*in->s++ != '"') in->bad = 1;
    while (!in->bad && *in->s != '"') {
        if ((unsigned char)*in->s < 0x20) {
            in->bad = 1; /* an end of the text, or a bare control character */
        } else if (*in->s == '\\') {
            in->s++;
            to = escape(in, to);
        } else {
            *to++ = *in->s++;
        }
    }
    if (!in->bad) in->s++;
    *to = '\0';
    return text;
}

static double number(reader_t *in)
{
    const char *start = in->s;
    if (*in->s == '-') in->s++;
    if (!isdigit((unsigned char)*in->s)) in->bad = 1;
    if (*in->s == '0' && isdigit((unsigned char)in->s[1])) in->bad = 1;
    while (isdigit((unsigned char)*in->s))
        in->s++;
    if (*in->s == '.') {
        if (!isdigit((unsigned char)*++in->s)) in->bad = 1;
        while (isdigit((unsigned char)*in->s))
            in->s++;
    }
    if (*in->s == 'e' || *in->s == 'E') {
        in->s++;
        if (*in->s == '+' || *in->s == '-') in->s++;
        if (!isdigit((unsigned char)*in->s)) in->bad = 1;
        while (isdigit((unsigned char)*in->s))
            in->s++;
    }
    return strtod(start, NULL);
}

/* What stands between brackets. */
static void members(reader_t *in, node_t *node, char close)
{
    node_t **last = &node->first;
    in->s++;
    blanks(in);
    if (*in->s == close) {
        in->s++;
        return;
    }
    while (!in->bad) {
        char *key = NULL;
        blanks(in);
        if (node->kind == JSON_OBJECT) {
            key = string(in);
            blanks(in);
            if (*in->s != ':') in->bad = 1;
            if (!in->bad) in->s++;
        }
        node_t *item = in->bad ? NULL : value(in);
        if (item == NULL) break;
        if (key != NULL && json_get(node, key) != NULL) in->bad = 1; /* twice the same */
        item->key = key;
        *last = item;
        last = &item->next;
        node->count++;
        blanks(in);
        if (*in->s == close) {
            in->s++;
            return;
        }
        if (*in->s++ != ',') in->bad = 1;
    }
    in->bad = 1;
}

static node_t *value(reader_t *in)
{
    node_t *node = keep(calloc(1, sizeof(*node)));
    blanks(in);
    if (*in->s == '{') {
        node->kind = JSON_OBJECT;
        members(in, node, '}');
    } else if (*in->s == '[') {
        node->kind = JSON_ARRAY;
        members(in, node, ']');
    } else if (*in->s == '"') {
        node->kind = JSON_STRING;
        node->string = string(in);
    } else if (word(in, "true")) {
        node->kind = JSON_BOOL;
        node->number = 1;
    } else if (word(in, "false")) {
        node->kind = JSON_BOOL;
    } else if (!word(in, "null")) {
        node->kind = JSON_NUMBER;
        node->number = number(in);
    }
    return in->bad ? NULL : node;
}

node_t *json_read(const char *text)
{
    reader_t in = {text, 0};
    node_t *node = value(&in);
    blanks(&in);
    return in.bad || *in.s != '\0' ? NULL : node;
}

node_t *json_get(const node_t *object, const char *key)
{
    if (object == NULL || object->kind != JSON_OBJECT) return NULL;
    for (node_t *item = object->first; item != NULL; item = item->next)
        if (item->key != NULL && strcmp(item->key, key) == 0) return item;
    return NULL;
}

node_t *json_item(const node_t *array, size_t i)
{
    if (array == NULL || array->kind != JSON_ARRAY) return NULL;
    node_t *item = array->first;
    while (item != NULL && i-- > 0)
        item = item->next;
    return item;
}

node_t *json_find(const node_t *array, const char *key, const char *text)
{
    for (size_t i = 0; json_item(array, i) != NULL; i++)
        if (strcmp(json_text(json_item(array, i), key), text) == 0) return json_item(array, i);
    return NULL;
}

double json_number(const node_t *object, const char *key)
{
    const node_t *item = json_get(object, key);
    return item != NULL && item->kind == JSON_NUMBER ? item->number : (double)NAN;
}

const char *json_text(const node_t *object, const char *key)
{
    const node_t *item = json_get(object, key);
    return item != NULL && item->kind == JSON_STRING ? item->string : "";
}
