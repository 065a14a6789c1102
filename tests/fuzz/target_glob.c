/*
 * target_glob.c - patterns: vfs_glob_match agrees with a table of all prefixes, which is slow and
 * plain. The input is a pattern, a newline, and a path.
 */
#include "tests/fuzz/fuzz.h"
#include "vfs/vfs_ops.h"

const char *const fuzz_seeds[] = {"/a/*\n/a/b",
                                  "/**/*.c\n/x/y/z.c",
                                  "/[a-z]?\\*\n/bc*",
                                  "/[!a-c]/**\n/d/e/f",
                                  "/a**b*\n/aXbYb",
                                  "/**/**/a\n/b/a",
                                  NULL};
const char *const fuzz_pieces[] = {"*", "**", "/**", "?",    "[a-c]", "[!x]", "[^]]", "\\",
                                   "]", "[",  "/",   "/**/", "a",     "b",    "-",    NULL};

#define PARTS_MAX 40u
#define PART_MAX 60u

typedef struct piece_t {
    enum { ONE, ANY, STAR, CLASS } kind;
    int negated;
    unsigned char set[256]; /**< of a class */
    unsigned char byte;
} piece_t;

/* The pieces of one component; -1: broken. */
static int cut(const unsigned char *p, size_t len, piece_t *pieces)
{
    int n = 0;
    for (size_t i = 0; i < len; n++) {
        piece_t *piece = &pieces[n];
        memset(piece, 0, sizeof *piece);
        piece->kind = p[i] == '*' ? STAR : p[i] == '?' ? ANY : p[i] == '[' ? CLASS : ONE;
        if (p[i] == '\\' && ++i == len) return -1;
        piece->byte = p[i++];
        if (piece->kind != CLASS) continue;
        piece->negated = i < len && (p[i] == '!' || p[i] == '^');
        i += (size_t)piece->negated;
        for (int first = 1;; first = 0) {
            if (i >= len) return -1;
            if (p[i] == ']' && !first) break;
            if (p[i] == '\\' && ++i == len) return -1;
            unsigned low = p[i++], high = low;
            if (i + 1 < len && p[i] == '-' && p[i + 1] != ']') {
                i++;
                if (p[i] == '\\' && ++i == len) return -1;
                high = p[i++];
                if (high < low) return -1;
            }
            for (unsigned c = low; c <= high; c++)
                piece->set[c] = 1;
        }
        i++;
    }
    return n;
}

static int one_matches(const piece_t *piece, unsigned char c)
{
    if (piece->kind == CLASS) return piece->set[c] != piece->negated;
    return piece->kind == ANY || piece->byte == c;
}

static int component_matches(const piece_t *pieces, int n, const unsigned char *name, size_t len)
{
    unsigned char can[PART_MAX + 2][PART_MAX + 2];
    memset(can, 0, sizeof can);
    can[n][len] = 1;
    for (int i = n; i >= 0; i--) {
        for (size_t j = len + 1; j-- > 0;) {
            if (i == n) continue;
            if (pieces[i].kind == STAR)
                can[i][j] = can[i + 1][j] || (j < len && can[i][j + 1]);
            else
                can[i][j] = j < len && one_matches(&pieces[i], name[j]) && can[i + 1][j + 1];
        }
    }
    return can[0][0];
}

typedef struct parts_t {
    const unsigned char *at[PARTS_MAX];
    size_t len[PARTS_MAX], count;
} parts_t;

/* 0: longer than the tables. */
static int split(const char *text, parts_t *parts)
{
    parts->count = 0;
    while (*text != '\0') {
        text += strspn(text, "/");
        size_t n = strcspn(text, "/");
        if (n == 0) break;
        if (n > PART_MAX || parts->count == PARTS_MAX) return 0;
        parts->at[parts->count] = (const unsigned char *)text;
        parts->len[parts->count++] = n;
        text += n;
    }
    return 1;
}

/* -1: broken */
static int naive(const parts_t *pattern, const parts_t *path)
{
    static piece_t pieces[PARTS_MAX][PART_MAX];
    unsigned char can[PARTS_MAX + 1][PARTS_MAX + 1];
    int n[PARTS_MAX];
    memset(can, 0, sizeof can);
    for (size_t i = 0; i < pattern->count; i++) {
        n[i] = cut(pattern->at[i], pattern->len[i], pieces[i]);
        if (n[i] < 0) return -1;
    }
    can[pattern->count][path->count] = 1;
    for (size_t i = pattern->count; i-- > 0;) {
        int deep = pattern->len[i] == 2 && memcmp(pattern->at[i], "**", 2) == 0;
        for (size_t j = path->count + 1; j-- > 0;) {
            if (deep)
                can[i][j] = can[i + 1][j] || (j < path->count && can[i][j + 1]);
            else
                can[i][j] = j < path->count && can[i + 1][j + 1] &&
                            component_matches(pieces[i], n[i], path->at[j], path->len[j]);
        }
    }
    return can[0][0];
}

/* Every byte of a path escaped is a pattern that the path matches. */
static void check_escaped(const char *path)
{
    char *pattern = malloc(2 * strlen(path) + 1), *to = pattern;
    for (const char *p = path; *p != '\0'; p++) {
        if (*p != '/') *to++ = '\\';
        *to++ = *p;
    }
    *to = '\0';
    FUZZ_CHECK(vfs_glob_match(pattern, path));
    FUZZ_CHECK(vfs_glob_match("/**", path));
    free(pattern);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t normal;
    parts_t pattern_parts, path_parts;
    char *pattern = fuzz_text(data, size);
    char *path = strchr(pattern, '\n');
    if (path != NULL) *path++ = '\0';
    if (path == NULL || vfs_path_init(&normal, path, buf) != APR_SUCCESS)
        (void)vfs_path_init(&normal, "/some/path.txt", buf); /* a constant that is normal */
    int got = vfs_glob_match(pattern, normal.str);
    FUZZ_CHECK(got == 0 || got == 1);
    check_escaped(normal.str);
    if (split(pattern, &pattern_parts) && split(normal.str, &path_parts)) {
        int want = pattern[0] == '/' ? naive(&pattern_parts, &path_parts) : -1;
        FUZZ_CHECK(got == (want == 1));
    }
    free(pattern);
    return 0;
}
