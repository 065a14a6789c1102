/*
 * test_path.c - paths: normal form against a naive reference, limits, joining, parents, prefixes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "vfs/vfs_ops.h"

static char buf[VFS_PATH_MAX + 1];

/* The plainest way there is: a list of components, from left to right. */
static uint32_t reference(const char *raw, char *out)
{
    const char *parts[64];
    size_t lens[64], count = 0;
    const char *p = raw;
    const char *last = "";
    size_t last_len = 0;
    while (*p != '\0') {
        while (*p == '/')
            p++;
        const char *name = p;
        while (*p != '/' && *p != '\0')
            p++;
        size_t len = (size_t)(p - name);
        if (len == 0) break;
        last = name, last_len = len;
        if (len == 1 && name[0] == '.') continue;
        if (len == 2 && name[0] == '.' && name[1] == '.') {
            if (count > 0) count--;
            continue;
        }
        parts[count] = name;
        lens[count++] = len;
    }
    char *to = out;
    for (size_t i = 0; i < count; i++) {
        *to++ = '/';
        memcpy(to, parts[i], lens[i]);
        to += lens[i];
    }
    if (count == 0) *to++ = '/';
    *to = '\0';
    int dots = (last_len == 1 && last[0] == '.') || (last_len == 2 && memcmp(last, "..", 2) == 0);
    int slash = raw[strlen(raw) - 1] == '/';
    return count > 0 && (dots || slash) ? VFS_PATH_DIR : 0;
}

Test(vfs_path, every_short_string_becomes_what_the_reference_says)
{
    static const char alphabet[] = "/.a";
    char raw[12], expected[16];
    for (size_t len = 1; len <= 10; len++) {
        size_t total = 1;
        for (size_t i = 1; i < len; i++)
            total *= 3;
        for (size_t n = 0; n < total; n++) {
            size_t rest = n;
            raw[0] = '/';
            for (size_t i = 1; i < len; i++, rest /= 3)
                raw[i] = alphabet[rest % 3];
            raw[len] = '\0';
            vfs_path_t path;
            cr_assert_eq(vfs_path_init(&path, raw, buf), APR_SUCCESS, "%s", raw);
            uint32_t flags = reference(raw, expected);
            cr_assert_str_eq(path.str, expected, "%s", raw);
            cr_assert_eq(path.flags, flags, "%s", raw);
            cr_assert_eq(path.len, strlen(expected));
            cr_assert_eq(path.hash, vfs_path_hash(expected, strlen(expected)), "%s", raw);
        }
    }
}

/* What is doubtful, at each place of a path that is looked at sixteen bytes at once. */
Test(vfs_path, every_place_of_a_longer_string_is_looked_at)
{
    static const char *const pieces[] = {"//", "/./", "/../", "/.a", "/..a", "/.", "/..",  "/",
                                         "a.", "a..", "./",   "../", ".",    "",   "/\x01"};
    char raw[96], expected[96];
    for (size_t before = 0; before <= 40; before++)
        for (size_t after = 0; after <= 26; after++)
            for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
                (void)snprintf(raw, sizeof(raw), "/%.*s%s%.*s", (int)before,
                               "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", pieces[i],
                               (int)after, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
                vfs_path_t path;
                cr_assert_eq(vfs_path_init(&path, raw, buf), APR_SUCCESS, "%s", raw);
                uint32_t flags = reference(raw, expected);
                cr_assert_str_eq(path.str, expected, "%s", raw);
                cr_assert_eq(path.flags, flags, "%s", raw);
                cr_assert_eq(path.len, strlen(expected), "%s", raw);
                cr_assert_eq(path.hash, vfs_path_hash(expected, path.len), "%s", raw);
            }
}

Test(vfs_path, a_longer_string_is_hashed_byte_by_byte)
{
    const char *text = "/a/path/of/more/than/eight/bytes";
    uint32_t hash = vfs_path_hash("", 0);
    for (size_t len = 0; text[len]; len++) {
        cr_assert_eq(vfs_path_hash(text, len), hash);
        hash = (hash ^ (unsigned char)text[len]) * 16777619u;
    }
}

Test(vfs_path, a_normal_path_is_not_copied)
{
    const char *raw = "/a/bc/..d/.e/f..";
    vfs_path_t path;
    cr_assert_eq(vfs_path_init(&path, raw, NULL), APR_SUCCESS);
    cr_assert_eq((const void *)path.str, (const void *)raw);
    cr_assert_eq(vfs_path_init(&path, "/", NULL), APR_SUCCESS);
    cr_assert_str_eq(path.str, "/");
}

Test(vfs_path, the_hash_is_fnv_1a)
{
    cr_assert_eq(vfs_path_hash("", 0), 0x811c9dc5u);
    cr_assert_eq(vfs_path_hash("a", 1), 0xe40c292cu);
    cr_assert_eq(vfs_path_hash("foobar", 6), 0xbf9cf968u);
}

Test(vfs_path, what_is_no_path_is_refused)
{
    vfs_path_t path;
    cr_assert_eq(vfs_path_init(&path, NULL, buf), APR_EINVAL);
    cr_assert_eq(vfs_path_init(&path, "", buf), APR_ENOENT);
    cr_assert_eq(vfs_path_init(&path, "a/b", buf), APR_EINVAL);
    cr_assert_eq(vfs_path_init(&path, "./a", buf), APR_EINVAL);
}

/* The next of a list: often one that begins as the one before. */
static void next_path(char *raw, unsigned *seed)
{
    size_t len = strlen(raw), keep = rand_r(seed) % 5 ? (size_t)rand_r(seed) % (len + 1) : 0;
    size_t more = rand_r(seed) % 12 ? (size_t)rand_r(seed) % 40 : (size_t)rand_r(seed) % 300;
    for (size_t i = keep; i < keep + more; i++)
        raw[i] = "abc/./d"[(rand_r(seed) >> 8) % (rand_r(seed) % 3 ? 3 : 7)];
    if (rand_r(seed) % 8) raw[0] = '/';
    raw[keep + more] = '\0';
    if (keep + more > 400) raw[rand_r(seed) % 20] = '\0';
}

Test(vfs_path, many_at_once_are_what_each_is_alone)
{
    enum { COUNT = 33 };
    static char raw[COUNT][1024];
    vfs_path_t many[COUNT], one;
    unsigned seed = 1, plain = 0, others = 0;
    for (int turn = 0; turn < 3000; turn++) {
        const char *list[COUNT];
        size_t count = turn % COUNT + 1u;
        for (size_t i = 0; i < count; i++) {
            if (i > 0) strcpy(raw[i], raw[i - 1]);
            next_path(raw[i], &seed);
            list[i] = rand_r(&seed) % 50 ? raw[i] : NULL;
        }
        vfs_path_init_many(many, list, count);
        for (size_t i = 0; i < count; i++) {
            apr_status_t status = vfs_path_init(&one, list[i], buf);
            int normal = status == APR_SUCCESS && one.str == list[i];
            if (many[i].str == NULL) {
                cr_assert(!normal || one.len < 16 || one.len > VFS_NAME_MAX ||
                              strstr(list[i], "/."),
                          "%s", list[i]);
                others++;
                continue;
            }
            plain++;
            cr_assert(normal && many[i].str == one.str && many[i].len == one.len &&
                          many[i].hash == one.hash && many[i].flags == one.flags,
                      "%s", list[i]);
        }
    }
    cr_assert(plain > 1000 && others > 1000, "%u %u", plain, others);
}

/* "/" and `len` bytes of 'x', then `more`. */
static char *with_component(size_t len, const char *more)
{
    static char raw[8192];
    raw[0] = '/';
    memset(raw + 1, 'x', len);
    strcpy(raw + 1 + len, more);
    return raw;
}

Test(vfs_path, a_component_may_have_255_bytes_wherever_it_stands)
{
    static const char *const behind[] = {"", "/", "/y", "/..", "/../y", "//z"};
    vfs_path_t path;
    for (size_t i = 0; i < sizeof(behind) / sizeof(behind[0]); i++) {
        cr_assert_eq(vfs_path_init(&path, with_component(255, behind[i]), buf), APR_SUCCESS);
        cr_assert_eq(vfs_path_init(&path, with_component(256, behind[i]), buf), APR_ENAMETOOLONG);
    }
}

Test(vfs_path, only_the_normal_form_counts_against_the_limit)
{
    char *raw = malloc(200000);
    vfs_path_t path;
    size_t len = 0;
    while (len < VFS_PATH_MAX) {
        memset(raw + len, 'y', 128);
        raw[len] = '/';
        len += 128;
    }
    raw[len] = '\0';
    cr_assert_eq(len, VFS_PATH_MAX);
    cr_assert_eq(vfs_path_init(&path, raw, buf), APR_SUCCESS);
    strcpy(raw + len, "/");
    cr_assert_eq(vfs_path_init(&path, raw, buf), APR_SUCCESS);
    cr_assert_eq(path.len, VFS_PATH_MAX);
    strcpy(raw + len, "z");
    cr_assert_eq(vfs_path_init(&path, raw, buf), APR_ENAMETOOLONG);
    strcpy(raw + len, "z/");
    cr_assert_eq(vfs_path_init(&path, raw, buf), APR_ENAMETOOLONG);
    strcpy(raw + len, "/more/..");
    cr_assert_eq(vfs_path_init(&path, raw, buf), APR_SUCCESS);
    cr_assert_eq(path.len, VFS_PATH_MAX);

    memset(raw, '/', 16 * VFS_PATH_MAX);
    strcpy(raw + 16 * VFS_PATH_MAX - 2, "/a");
    cr_assert_eq(vfs_path_init(&path, raw, buf), APR_SUCCESS);
    cr_assert_str_eq(path.str, "/a");
    memset(raw, '/', 16 * VFS_PATH_MAX + 1);
    strcpy(raw + 16 * VFS_PATH_MAX, "a");
    cr_assert_eq(vfs_path_init(&path, raw, buf), APR_ENAMETOOLONG, "no end of detours");
    free(raw);
}

static vfs_path_t path_of(const char *raw)
{
    vfs_path_t path;
    cr_assert_eq(vfs_path_init(&path, raw, NULL), APR_SUCCESS);
    return path;
}

Test(vfs_path, joining_is_normalising_with_a_slash_between)
{
    vfs_path_t root = path_of("/"), dir = path_of("/a/b"), out;
    cr_assert_eq(vfs_path_join(&out, &root, "name", 2, buf), APR_SUCCESS);
    cr_assert_str_eq(out.str, "/na");
    cr_assert_eq(out.hash, vfs_path_hash("/na", 3));
    cr_assert_eq(vfs_path_join(&out, &dir, "c", 1, buf), APR_SUCCESS);
    cr_assert_str_eq(out.str, "/a/b/c");
    cr_assert_eq(out.len, 6u);
    cr_assert_eq(out.hash, vfs_path_hash("/a/b/c", 6));
    cr_assert_eq(vfs_path_join(&out, &out, "...", 3, buf), APR_SUCCESS, "in place");
    cr_assert_str_eq(out.str, "/a/b/c/...");
    cr_assert_eq(out.hash, vfs_path_hash(out.str, out.len));
}

Test(vfs_path, a_name_that_is_no_name_cannot_be_joined)
{
    vfs_path_t dir = path_of("/a"), out;
    char name[256];
    memset(name, 'n', sizeof(name));
    cr_assert_eq(vfs_path_join(&out, &dir, "", 0, buf), APR_EINVAL);
    cr_assert_eq(vfs_path_join(&out, &dir, NULL, 3, buf), APR_EINVAL);
    cr_assert_eq(vfs_path_join(&out, &dir, ".", 1, buf), APR_EINVAL);
    cr_assert_eq(vfs_path_join(&out, &dir, "..", 2, buf), APR_EINVAL);
    cr_assert_eq(vfs_path_join(&out, &dir, "a/b", 3, buf), APR_EINVAL);
    cr_assert_eq(vfs_path_join(&out, &dir, "a\0b", 3, buf), APR_EINVAL);
    cr_assert_eq(vfs_path_join(&out, &dir, name, 255, buf), APR_SUCCESS);
    cr_assert_eq(vfs_path_join(&out, &dir, name, 256, buf), APR_ENAMETOOLONG);
    while (vfs_path_join(&out, &out, name, 255, buf) == APR_SUCCESS)
        ;
    uint32_t room = VFS_PATH_MAX - out.len;
    cr_assert_lt(room, 256u);
    cr_assert_eq(vfs_path_join(&dir, &out, name, room, buf), APR_ENAMETOOLONG);
    cr_assert_eq(vfs_path_join(&dir, &out, name, room - 1, buf), APR_SUCCESS);
    cr_assert_eq(dir.len, VFS_PATH_MAX);
}

Test(vfs_path, the_parent_of_a_path_and_its_last_component)
{
    vfs_path_t out, root = path_of("/"), one = path_of("/abc"), two = path_of("/abc/de");
    cr_assert_str_eq(vfs_path_parent(&out, &two, buf), "de");
    cr_assert_str_eq(out.str, "/abc");
    cr_assert_eq(out.hash, one.hash);
    cr_assert_str_eq(vfs_path_parent(&out, &one, buf), "abc");
    cr_assert_str_eq(out.str, "/");
    cr_assert_eq(out.hash, root.hash);
    cr_assert_str_eq(vfs_path_parent(&out, &root, buf), "");
    cr_assert_str_eq(out.str, "/");
    cr_assert_eq(out.len, 1u);
}

Test(vfs_path, a_prefix_holds_whole_components_only)
{
    vfs_path_t root = path_of("/"), a = path_of("/a"), ab = path_of("/ab"), below = path_of("/a/b");
    cr_assert(vfs_path_within(&a, &root));
    cr_assert(vfs_path_within(&root, &root));
    cr_assert(vfs_path_within(&a, &a));
    cr_assert(vfs_path_within(&below, &a));
    cr_assert_not(vfs_path_within(&ab, &a));
    cr_assert_not(vfs_path_within(&a, &below));
    cr_assert_not(vfs_path_within(&root, &a));
}
