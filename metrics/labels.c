/*
 * labels.c - what is a name, a label, a help text. Floor 1.
 * Rules: Prometheus data model, text format 0.0.4, OpenMetrics 1.0.
 */
#include <string.h>

#include "metrics/metrics_private.h"

static int is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int ends_with(const char *name, const char *suffix)
{
    size_t len = strlen(name), tail = strlen(suffix);
    return len > tail && memcmp(name + len - tail, suffix, tail) == 0;
}

int metrics__name_ok(const char *name, metrics__type_e type)
{
    size_t len = 0;
    for (; name[len] != '\0'; len++) {
        if (len == METRICS__NAME_MAX) return 0;
        char c = name[len];
        if (!is_letter(c) && c != ':' && (len == 0 || !is_digit(c))) return 0;
    }
    if (len == 0) return 0;
    return ends_with(name, "_total") == (type == METRICS__COUNTER);
}

/* Bytes of the sequence that begins here, or 0 (RFC 3629: no overlong form, no surrogate). */
static size_t utf8_len(const unsigned char *s)
{
    size_t more;
    unsigned char low = 0x80, high = 0xbf;
    if (s[0] < 0x80) return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
    more = s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : 3;
    if (s[0] == 0xe0) low = 0xa0;
    if (s[0] == 0xed) high = 0x9f;
    if (s[0] == 0xf0) low = 0x90;
    if (s[0] == 0xf4) high = 0x8f;
    for (size_t i = 1; i <= more; i++) {
        if (s[i] < low || s[i] > high) return 0;
        low = 0x80;
        high = 0xbf;
    }
    return more + 1;
}

int metrics__utf8_ok(const char *text, size_t max)
{
    size_t at = 0;
    while (text[at] != '\0') {
        size_t len = utf8_len((const unsigned char *)text + at);
        if (len == 0 || at + len > max) return 0;
        at += len;
    }
    return 1;
}

/* Behind a label's name, or NULL. Names that begin with two underscores are Prometheus's own. */
static const char *key_end(const char *s)
{
    if (!is_letter(*s) || (s[0] == '_' && s[1] == '_')) return NULL;
    while (is_letter(*s) || is_digit(*s))
        s++;
    return s;
}

/* The quote behind a value, or NULL. */
static const char *value_end(const char *s)
{
    for (; *s != '"'; s++) {
        if (*s == '\0' || *s == '\n') return NULL;
        if (*s == '\\') {
            s++;
            if (*s != '\\' && *s != '"' && *s != 'n') return NULL;
        }
    }
    return s;
}

int metrics__labels_split(metrics__pair_t *pairs, const char *labels)
{
    int count = 0;
    const char *at = labels;
    if (*at == '\0') return 0;
    for (;;) {
        if (count == (int)METRICS__PAIRS_MAX) return -1;
        metrics__pair_t *pair = &pairs[count++];
        const char *end = key_end(at);
        if (end == NULL || end[0] != '=' || end[1] != '"') return -1;
        pair->key = at;
        pair->key_len = (size_t)(end - at);
        pair->value = end + 2;
        end = value_end(pair->value);
        if (end == NULL) return -1;
        pair->value_len = (size_t)(end - pair->value);
        if (end[1] == '\0') return count;
        if (end[1] != ',') return -1;
        at = end + 2;
    }
}

static int key_cmp(const metrics__pair_t *a, const metrics__pair_t *b)
{
    size_t len = a->key_len < b->key_len ? a->key_len : b->key_len;
    int order = memcmp(a->key, b->key, len);
    return order != 0 ? order : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

static void pairs_sort(metrics__pair_t *pairs, int count)
{
    for (int i = 1; i < count; i++) {
        metrics__pair_t pair = pairs[i];
        int j = i;
        for (; j > 0 && key_cmp(&pairs[j - 1], &pair) > 0; j--)
            pairs[j] = pairs[j - 1];
        pairs[j] = pair;
    }
}

apr_status_t metrics__labels_sort(char *out, const char *labels, metrics__type_e type)
{
    metrics__pair_t pairs[METRICS__PAIRS_MAX];
    *out = '\0';
    if (labels == NULL) return APR_SUCCESS;
    if (!metrics__utf8_ok(labels, METRICS__LABELS_MAX)) return APR_EINVAL;
    int count = metrics__labels_split(pairs, labels);
    if (count < 0) return APR_EINVAL;
    pairs_sort(pairs, count);
    for (int i = 0; i < count; i++) {
        const metrics__pair_t *pair = &pairs[i];
        if (i > 0 && key_cmp(pair - 1, pair) == 0) return APR_EINVAL;
        if (type == METRICS__HISTOGRAM && pair->key_len == 2 && memcmp(pair->key, "le", 2) == 0) {
            return APR_EINVAL;
        }
        /* as long together as it was, but in order */
        if (i > 0) *out++ = ',';
        size_t len = (size_t)(pair->value - pair->key) + pair->value_len + 1;
        memcpy(out, pair->key, len);
        out += len;
    }
    *out = '\0';
    return APR_SUCCESS;
}

size_t metrics__family_len(const char *name, metrics__type_e type)
{
    size_t len = strlen(name);
    return type == METRICS__COUNTER ? len - strlen("_total") : len;
}

/* Is `sample` a name that the histogram `name` gives to its samples? */
static int sample_of(const char *name, const char *sample)
{
    static const char *const suffixes[] = {"_bucket", "_sum", "_count", "_created"};
    size_t len = strlen(name);
    if (strncmp(name, sample, len) != 0) return 0;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        if (strcmp(sample + len, suffixes[i]) == 0) return 1;
    }
    return 0;
}

int metrics__names_clash(const char *a, metrics__type_e a_type, const char *b,
                         metrics__type_e b_type)
{
    size_t a_len = metrics__family_len(a, a_type), b_len = metrics__family_len(b, b_type);
    if (a_len == b_len && memcmp(a, b, a_len) == 0) return 1;
    return (a_type == METRICS__HISTOGRAM && sample_of(a, b)) ||
           (b_type == METRICS__HISTOGRAM && sample_of(b, a));
}
