/*
 * test_glob.c - patterns against a naive recursive reference, broken ones, and visits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "support_fake.h"
#include "vfs/glob.h"

/* ---- the reference: try everything */

/* One component; ends at '/' or NUL in both. */
static int ref_part(const char *p, const char *n)
{
    int p_end = *p == '/' || *p == '\0', n_end = *n == '/' || *n == '\0';
    if (p_end) return n_end;
    if (*p == '*') return ref_part(p + 1, n) || (!n_end && ref_part(p, n + 1));
    if (n_end) return 0;
    if (*p == '?') return ref_part(p + 1, n + 1);
    if (*p == '\\') return p[1] == *n && ref_part(p + 2, n + 1);
    if (*p == '[') { /* the test's own classes: [ab], [!ab], [a-c] */
        const char *close = strchr(p, ']');
        int negated = p[1] == '!', holds;
        if (p[2] == '-')
            holds = *n >= p[1] && *n <= p[3];
        else
            holds = memchr(p + 1 + negated, *n, (size_t)(close - p) - 1 - (size_t)negated) != NULL;
        return holds != negated && ref_part(close + 1, n + 1);
    }
    return *p == *n && ref_part(p + 1, n + 1);
}

static const char *ref_next(const char *s)
{
    s = strchr(s, '/');
    return s != NULL ? s + 1 : "";
}

/* Paths without their leading '/'; "" is the root. */
static int ref_path(const char *p, const char *n)
{
    if (*p == '\0') return *n == '\0';
    if (strncmp(p, "**", 2) == 0 && (p[2] == '/' || p[2] == '\0'))
        return ref_path(ref_next(p), n) || (*n != '\0' && ref_path(p, ref_next(n)));
    return *n != '\0' && ref_part(p, n) && ref_path(ref_next(p), ref_next(n));
}

static void random_of(char *out, const char *const *pieces, int count, int max)
{
    char *start = out;
    int n = 1 + rand() % max;
    *out++ = '/';
    for (int i = 0; i < n; i++) {
        const char *piece = pieces[rand() % count];
        if (piece[0] == '/' && out[-1] == '/') continue;
        strcpy(out, piece);
        out += strlen(piece);
    }
    if (out[-1] == '/' && out - start > 1) out--;
    *out = '\0';
}

Test(vfs_glob, random_patterns_match_what_the_reference_says)
{
    static const char *const pattern_pieces[] = {"a",    "b",    "/",     "/",   "*",   "/**/", "?",
                                                 "[ab]", "[!a]", "[a-c]", "\\*", "/**", "c"};
    static const char *const path_pieces[] = {"a", "b", "c", "/", "/", "*", "ab"};
    char pattern[256], path[256];
    size_t matches = 0;
    srand(7);
    for (int i = 0; i < 300000; i++) {
        random_of(pattern, pattern_pieces, 13, 9);
        random_of(path, path_pieces, 7, 7);
        int expected = ref_path(pattern + 1, path + 1);
        matches += (size_t)expected;
        cr_assert_eq(vfs_glob_match(pattern, path), expected, "%s %s", pattern, path);
    }
    cr_assert_gt(matches, 10000u);
}

Test(vfs_glob, a_pattern_of_stars_takes_no_exponential_time)
{
    char pattern[4097], path[4097];
    size_t len = 0;
    for (int i = 0; i < 60; i++)
        len += (size_t)sprintf(pattern + len, "/**/*a*a*a*b");
    memset(path, 'a', sizeof(path));
    for (size_t i = 0; i < sizeof(path); i += 40)
        path[i] = '/';
    path[4095] = '\0';
    cr_assert_not(vfs_glob_match(pattern, path), "and it returns at all");
}

Test(vfs_glob, classes_escapes_and_dots)
{
    static const struct {
        const char *pattern, *path;
        int match;
    } cases[] = {
        {"/[]a]", "/]", 1},     {"/[!]a]", "/]", 0},
        {"/[^a]", "/b", 1},     {"/[a-]", "/-", 1},
        {"/[a\\]]", "/]", 1},   {"/[\\a-c]", "/b", 1},
        {"/[a-\\c]", "/b", 1},  {"/\\[a]", "/[a]", 1},
        {"/*", "/.hidden", 1},  {"/a*b", "/a/b", 0},
        {"/a[/]b", "/a/b", 0},  {"/?", "/ab", 0},
        {"/**", "/", 1},        {"/a/**", "/a", 1},
        {"/a/**", "/ab", 0},    {"/", "/", 1},
        {"/**/b", "/b", 1},     {"/a**", "/abc", 1},
        {"/a**", "/a/b", 0},    {"/static/**", "/static/x/y", 1},
        {"a", "/a", 0},         {"/a", "a", 0},
        {"//a//b/", "/a/b", 1}, {"/[\xc3]", "/\xc3", 1},
        {"/\\", "/\\", 0},      {"/[a", "/a", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_assert_eq(vfs_glob_match(cases[i].pattern, cases[i].path), cases[i].match, "%s %s",
                     cases[i].pattern, cases[i].path);
    cr_assert_not(vfs_glob_match("/a", NULL));
    cr_assert_not(vfs_glob_match(NULL, "/a"));
}

Test(vfs_glob, a_broken_pattern_is_told_apart_from_one_that_does_not_match)
{
    static const char *const broken[] = {"",         "a",     "/[a",     "/[]",
                                         "/[!]",     "/\\",   "/a\\/b",  "/[z-a]",
                                         "/x/[a/b]", "/[a\\", "/[a-\\]", "/[a-b-"};
    static const char *const sound[] = {"/", "/a", "/[]]", "/**", "/[a-z]/?*", "/\\\\", "/a]"};
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        cr_assert_eq(vfs__glob_check(broken[i]), APR_EINVAL, "%s", broken[i]);
    for (size_t i = 0; i < sizeof(sound) / sizeof(sound[0]); i++)
        cr_assert_eq(vfs__glob_check(sound[i]), APR_SUCCESS, "%s", sound[i]);
    cr_assert_eq(vfs__glob_check(NULL), APR_EINVAL);
}

/* ---- visits */

static char visited[4096];

static apr_status_t remember(void *baton, const char *path, const vfs_attr_t *attr,
                             apr_status_t status)
{
    (void)baton; /* one list for all */
    cr_assert_eq(status, APR_SUCCESS);
    cr_assert_not_null(attr);
    strcat(strcat(visited, path), " ");
    return APR_SUCCESS;
}

static unsigned opened;

static apr_status_t count_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                                  const vfs_path_t *path, uint32_t flags)
{
    opened++;
    return vfs_wrap_opendir(dir, fs, ctx, path, flags);
}

static apr_status_t refuse_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                                   const vfs_path_t *path, uint32_t flags)
{
    return strcmp(path->str, "/a/b") == 0 ? APR_EACCES
                                          : vfs_wrap_opendir(dir, fs, ctx, path, flags);
}

static apr_status_t forgive(void *baton, const char *path, const vfs_attr_t *attr,
                            apr_status_t status)
{
    (void)attr; /* of no interest here */
    if (APR_STATUS_IS_EACCES(status)) strcat(strcat(baton, "!"), path);
    return APR_SUCCESS;
}

Test(vfs_glob, a_visit_finds_what_matches_and_looks_nowhere_else)
{
    static const struct {
        const char *pattern, *expected;
        unsigned opened;
    } cases[] = {
        {"/a/b/x.c", "/a/b/x.c ", 1},
        {"/a/*/x.c", "/a/b/x.c /a/c/x.c ", 3},
        {"/**/x.c", "/a/b/x.c /a/c/x.c /x.c ", 5},
        {"/a/b/*", "/a/b/x.c /a/b/y.h ", 1},
        {"/*", "/a /l /x.c /z ", 1},
        {"/a/c/**", "/a/c /a/c/x.c ", 1},
        {"/none/*", "", 0},
        {"/x.c/*", "", 0},
        {"/l/*", "/l/x.c /l/y.h ", 1}, /* a link that is named is followed */
        {"/**/y.*", "/a/b/y.h ", 5},   /* one that is found is not */
        {"/", "/ ", 0},
        {"/[xz]*", "/x.c /z ", 1},
    };
    apr_pool_t *pool = test_pool();
    vfs_ops_t ops = pass_ops();
    char forgiven[64] = "";
    ops.opendir = count_opendir;
    vfs_t *fs = layer_create(mem_create(pool), &ops, pool);
    put(fs, "/a/b/x.c", "");
    put(fs, "/a/b/y.h", "");
    put(fs, "/a/c/x.c", "");
    put(fs, "/x.c", "");
    cr_assert_eq(vfs_mkdir(fs, NULL, "/z", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_symlink(fs, NULL, "a/b", "/l"), APR_SUCCESS);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        visited[0] = '\0';
        opened = 0;
        cr_assert_eq(vfs_glob(fs, NULL, cases[i].pattern, remember, NULL), APR_SUCCESS);
        cr_assert_str_eq(visited, cases[i].expected, "%s: %s", cases[i].pattern, visited);
        cr_assert_eq(opened, cases[i].opened, "%s: %u", cases[i].pattern, opened);
    }
    fs->ops.opendir = refuse_opendir;
    cr_assert_eq(vfs_glob(fs, NULL, "/a/**/q", forgive, forgiven), APR_SUCCESS);
    cr_assert_str_eq(forgiven, "!/a/b", "what cannot be read is told");
    cr_assert_eq(vfs_glob(fs, NULL, "/[", remember, NULL), APR_EINVAL);
    cr_assert_eq(vfs_glob(fs, NULL, "/a", NULL, NULL), APR_EINVAL);
    char *longest = memset(apr_pcalloc(pool, 5000), 'd', 4200);
    for (int i = 0; i < 4200; i += 100)
        longest[i] = '/';
    cr_assert_eq(vfs_glob(fs, NULL, longest, remember, NULL), APR_ENAMETOOLONG);
    cr_assert_eq(vfs_destroy_stack(fs), APR_SUCCESS);
    apr_pool_destroy(pool);
}
