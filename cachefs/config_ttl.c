/*
 * config_ttl.c - the rules of the key "ttl": how long names under a pattern stay fresh.
 * Floor 2. Knows patterns and durations; not what they are used for.
 */
#include <stdio.h>
#include <string.h>

#include <apr_strings.h>

#include "cachefs/config.h"
#include "vfs/vfs_ops.h"

#define RULES_MAX 256u

typedef struct ttl_rule_t {
    const char *glob;
    int64_t ttl_us;
} ttl_rule_t;

struct cachefs__ttl_rules_t {
    size_t count;
    ttl_rule_t rules[];
};

/* One rule as it stands in the text. */
typedef struct piece_t {
    const char *glob;
    size_t glob_len;
    uint64_t ttl_us;
} piece_t;

/* What is wrong with a pattern; NULL: nothing. vfs_glob_match answers "no" for a broken one, which
 * would hide it. */
static const char *glob_fault(const char *glob, size_t len)
{
    size_t i;

    if (len == 0 || glob[0] != '/') return "a pattern begins with '/'";
    if (len > VFS_PATH_MAX) return "the pattern is too long";
    for (i = 0; i < len; i++) {
        if (glob[i] == '\\') {
            if (++i == len) return "nothing follows the last '\\'";
        } else if (glob[i] == '[') {
            size_t end = i + 1;

            if (end < len && (glob[end] == '!' || glob[end] == '^')) end++;
            if (end < len && glob[end] == ']') end++;
            while (end < len && glob[end] != ']')
                end += glob[end] == '\\' ? 2 : 1;
            if (end >= len) return "a '[' has no ']'";
            i = end;
        }
    }
    return NULL;
}

/* The end of the rule that begins at `text`: a comma that no '\' precedes, or the end of the text.
 */
static const char *rule_end(const char *text)
{
    while (*text != '\0' && *text != ',')
        text += text[0] == '\\' && text[1] != '\0' ? 2 : 1;
    return text;
}

/* Split the rule [text, end). Returns what is wrong with it, or NULL. */
static const char *parse_rule(const char *text, const char *end, piece_t *out)
{
    char duration[32];
    const char *equals = end;
    size_t len;

    while (equals > text && equals[-1] != '=')
        equals--;
    if (equals == text) return "it is not GLOB=DURATION";
    len = (size_t)(end - equals);
    out->glob = text;
    out->glob_len = (size_t)(equals - 1 - text);
    if (len >= sizeof(duration)) return "the duration is too long";
    memcpy(duration, equals, len);
    duration[len] = '\0';
    if (cachefs__parse_duration(duration, &out->ttl_us) != APR_SUCCESS ||
        out->ttl_us > INT64_MAX / 1000)
        return "the duration is not like 500ms, 5s, 10m or 1h";
    return glob_fault(out->glob, out->glob_len);
}

/* The next rule of *text, which moves on. APR_EOF behind the last one. */
static apr_status_t next_rule(const char **text, piece_t *out, char *err, size_t errlen)
{
    const char *begin = *text, *end, *fault;

    if (*begin == '\0') return APR_EOF;
    end = rule_end(begin);
    fault = parse_rule(begin, end, out);
    if (fault == NULL && end[0] == ',' && end[1] == '\0') fault = "a comma follows the last one";
    if (fault != NULL) {
        if (err != NULL && errlen > 0)
            (void)snprintf(err, errlen, "the rule \"%.*s\": %s", (int)(end - begin), begin, fault);
        return APR_EINVAL;
    }
    *text = *end == ',' ? end + 1 : end;
    return APR_SUCCESS;
}

static apr_status_t count_rules(const char *text, size_t *count, char *err, size_t errlen)
{
    piece_t piece;
    apr_status_t status;

    *count = 0;
    while ((status = next_rule(&text, &piece, err, errlen)) == APR_SUCCESS) {
        if (++*count <= RULES_MAX) continue;
        if (err != NULL && errlen > 0) (void)snprintf(err, errlen, "over %u rules", RULES_MAX);
        return APR_EINVAL;
    }
    return status == APR_EOF ? APR_SUCCESS : status;
}

apr_status_t cachefs__ttl_rules_check(const char *text, char *err, size_t errlen)
{
    size_t count;

    return text == NULL ? APR_SUCCESS : count_rules(text, &count, err, errlen);
}

apr_status_t cachefs__ttl_rules_parse(cachefs__ttl_rules_t **out, const char *text, char *err,
                                      size_t errlen, apr_pool_t *pool)
{
    cachefs__ttl_rules_t *rules;
    size_t count, i;
    apr_status_t status;

    if (text == NULL) text = "";
    status = count_rules(text, &count, err, errlen);
    if (status != APR_SUCCESS) return status;
    *out = NULL; /* no rules */
    if (count == 0) return APR_SUCCESS;
    rules = apr_palloc(pool, sizeof(*rules) + count * sizeof(rules->rules[0]));
    if (rules == NULL) return APR_ENOMEM;
    rules->count = count;
    for (i = 0; i < count; i++) {
        piece_t piece;

        status = next_rule(&text, &piece, NULL, 0);
        VFS_ASSERT(status == APR_SUCCESS); /* it was counted above */
        rules->rules[i].glob = apr_pstrmemdup(pool, piece.glob, piece.glob_len);
        rules->rules[i].ttl_us = (int64_t)piece.ttl_us;
        if (rules->rules[i].glob == NULL) return APR_ENOMEM;
    }
    *out = rules;
    return APR_SUCCESS;
}

int64_t cachefs__ttl_lookup(const cachefs__ttl_rules_t *rules, const char *path, int64_t dflt_us)
{
    size_t i;

    if (rules == NULL) return dflt_us;
    for (i = 0; i < rules->count; i++)
        if (vfs_glob_match(rules->rules[i].glob, path)) return rules->rules[i].ttl_us;
    return dflt_us;
}
