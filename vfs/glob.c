/*
 * glob.c - patterns: matching a path, and visiting all that match. Floor 1.
 *
 * Both levels use one idea: a star first stands for nothing; when what follows fails, it takes one
 * more and what follows is tried again. Only the last star ever needs to take more: whatever an
 * earlier one could give, the later one can take. So a match costs at most length times length, and
 * no recursion: '*' does this with bytes in a component, "**" with components in a path.
 *
 * A visit starts at the directories that the pattern names literally and leaves out those that
 * nothing below can match.
 */
#include "vfs/glob.h"

#include <string.h>

#include "vfs/internal.h"

/* A stretch of a pattern or of a path: one component. */
typedef struct part_t {
    const char *at;
    const char *end;
} part_t;

/* The component at or behind `p`; p->at == p->end at the end of the string. */
static part_t part_from(const char *p)
{
    part_t part;
    while (*p == '/')
        p++;
    part.at = p;
    while (*p != '/' && *p != '\0')
        p++;
    part.end = p;
    return part;
}

/* In a pattern a '/' always separates: brackets and backslashes do not reach over it. */
static int is_globstar(part_t part)
{
    return part.end - part.at == 2 && part.at[0] == '*' && part.at[1] == '*';
}

/* Does the class that begins behind a '[' at `p` hold the byte? *after is behind its ']', or NULL
 * if the class is broken. */
static int class_holds(const char *p, const char *end, unsigned char byte, const char **after)
{
    int negated = p < end && (*p == '!' || *p == '^');
    int holds = 0;
    *after = NULL;
    p += negated;
    for (int first = 1; p < end && (*p != ']' || first); first = 0) {
        if (*p == '\\' && ++p == end) return 0;
        unsigned char low = (unsigned char)*p++;
        unsigned char high = low;
        if (end - p >= 2 && p[0] == '-' && p[1] != ']') {
            p++;
            if (*p == '\\' && ++p == end) return 0;
            high = (unsigned char)*p++;
            if (high < low) return 0;
        }
        holds |= byte >= low && byte <= high;
    }
    if (p >= end) return 0;
    *after = p + 1;
    return holds != negated;
}

/* Does the one element at `p` (no star) match the byte? *after is behind the element. */
static int element_matches(const char *p, const char *end, unsigned char byte, const char **after)
{
    *after = p + 1;
    switch (*p) {
    case '?':
        return 1;
    case '[': {
        int holds = class_holds(p + 1, end, byte, after);
        return *after != NULL && holds;
    }
    case '\\':
        if (p + 1 == end) return 0;
        *after = p + 2;
        return (unsigned char)p[1] == byte;
    default:
        return (unsigned char)*p == byte;
    }
}

static int part_matches(part_t pattern, part_t name)
{
    const char *p = pattern.at;
    const char *n = name.at;
    const char *star = NULL;  /* behind the last star seen */
    const char *taken = NULL; /* the name from where that star ends */
    while (n < name.end) {
        const char *after;
        if (p < pattern.end && *p == '*') {
            star = ++p;
            taken = n;
        } else if (p < pattern.end && element_matches(p, pattern.end, (unsigned char)*n, &after)) {
            p = after;
            n++;
        } else if (star != NULL) {
            p = star;
            n = ++taken;
        } else {
            return 0;
        }
    }
    while (p < pattern.end && *p == '*')
        p++;
    return p == pattern.end;
}

static apr_status_t check_part(part_t part)
{
    for (const char *p = part.at; p < part.end;) {
        if (*p == '\\') {
            if (p + 1 == part.end) return APR_EINVAL;
            p += 2;
        } else if (*p == '[') {
            (void)class_holds(p + 1, part.end, 0, &p); /* only whether it ends counts */
            if (p == NULL) return APR_EINVAL;
        } else {
            p++;
        }
    }
    return APR_SUCCESS;
}

apr_status_t vfs__glob_check(const char *pattern)
{
    if (pattern == NULL || pattern[0] != '/') return APR_EINVAL;
    for (part_t part = part_from(pattern); part.at != part.end; part = part_from(part.end)) {
        if (check_part(part) != APR_SUCCESS) return APR_EINVAL;
    }
    return APR_SUCCESS;
}

int vfs_glob_match(const char *pattern, const char *path)
{
    if (vfs__glob_check(pattern) != APR_SUCCESS || path == NULL || path[0] != '/') return 0;
    part_t p = part_from(pattern);
    part_t n = part_from(path);
    part_t star = {NULL, NULL};  /* behind the last "**" seen */
    part_t taken = {NULL, NULL}; /* the path from where that "**" ends */
    while (n.at != n.end) {
        if (p.at != p.end && is_globstar(p)) {
            star = p = part_from(p.end);
            taken = n;
        } else if (p.at != p.end && part_matches(p, n)) {
            p = part_from(p.end);
            n = part_from(n.end);
        } else if (star.at != NULL) {
            p = star;
            n = taken = part_from(taken.end);
        } else {
            return 0;
        }
    }
    while (p.at != p.end && is_globstar(p))
        p = part_from(p.end);
    return p.at == p.end;
}

/* ---- visiting */

/* Can something below the directory `path` match? */
static int leads_on(const char *pattern, const char *path)
{
    part_t p = part_from(pattern);
    for (part_t n = part_from(path); n.at != n.end; n = part_from(n.end)) {
        if (p.at == p.end) return 0;
        if (is_globstar(p)) return 1;
        if (!part_matches(p, n)) return 0;
        p = part_from(p.end);
    }
    return p.at != p.end;
}

typedef struct visit_t {
    const char *pattern;
    vfs_walk_fn fn;
    void *baton;
    int inside; /* the start exists */
} visit_t;

static apr_status_t visit(void *baton, const char *path, const vfs_attr_t *attr,
                          apr_status_t status)
{
    visit_t *v = baton;
    if (!v->inside && (APR_STATUS_IS_ENOENT(status) || APR_STATUS_IS_ENOTDIR(status)))
        return VFS_WALK_STOP; /* nothing is there, so nothing matches */
    v->inside = 1;
    int on = leads_on(v->pattern, path);
    if (vfs_glob_match(v->pattern, path) || (status != APR_SUCCESS && on)) {
        apr_status_t said = v->fn(v->baton, path, attr, status);
        if (said != APR_SUCCESS) return said;
    }
    return on ? APR_SUCCESS : VFS_WALK_SKIP;
}

static int is_literal(part_t part)
{
    for (const char *p = part.at; p < part.end; p++) {
        if (strchr("*?[\\", *p) != NULL) return 0;
    }
    return 1;
}

/* The directory to start in: the literal components before the last one, with a '/' behind them, so
 * that a link among them is followed. */
static apr_status_t start_of(const char *pattern, char *buf, size_t size)
{
    size_t len = 0;
    part_t part = part_from(pattern);
    for (;;) {
        part_t next = part_from(part.end);
        if (next.at == next.end || !is_literal(part)) break;
        size_t part_len = (size_t)(part.end - part.at);
        if (len + part_len + 3 > size) return APR_ENAMETOOLONG;
        buf[len] = '/';
        memcpy(buf + len + 1, part.at, part_len);
        len += part_len + 1;
        part = next;
    }
    buf[len] = '/';
    buf[len + 1] = '\0';
    return APR_SUCCESS;
}

apr_status_t vfs_glob(vfs_t *fs, const vfs_ctx_t *ctx, const char *pattern, vfs_walk_fn fn,
                      void *baton)
{
    char start[VFS_PATH_MAX + 2];
    visit_t v = {pattern, fn, baton, 0};
    VFS_CHECK_ARG(fn != NULL);
    apr_status_t status = vfs__glob_check(pattern);
    if (status != APR_SUCCESS) return status;
    status = start_of(pattern, start, sizeof(start));
    if (status != APR_SUCCESS) return status;
    return vfs_walk(fs, ctx, start, visit, &v);
}
