/*
 * target_path.c - paths: the answer of vfs_path_init is that of a naive normaliser, is normal, and
 * stays what it is.
 */
#include "tests/fuzz/fuzz.h"
#include "vfs/vfs_ops.h"

const char *const fuzz_seeds[] = {"/", "/a/b/c", "//a/./b/../c/", "/../..",
                                  "a", "/a//",   "/.../..a/b..",  NULL};
const char *const fuzz_pieces[] = {"/", "//", "/.", "/..",   "/../", "/./",
                                   ".", "..", "/a", "/name", NULL};

/* Left to right, with a list of components: what vfs_path_init does from the right. */
static apr_status_t naive(const char *raw, char *out, int *dir)
{
    size_t starts[40000], depth = 0, len = 0, raw_len = strlen(raw);
    if (raw_len == 0) return APR_ENOENT;
    if (raw[0] != '/') return APR_EINVAL;
    *dir = raw[raw_len - 1] == '/';
    for (const char *p = raw; *p != '\0';) {
        size_t n = strcspn(p + 1, "/");
        const char *name = p + 1;
        int is_last = strspn(name + n, "/") == strlen(name + n);
        p = name + n;
        if (n == 0) continue;
        if (n > VFS_NAME_MAX) return APR_ENAMETOOLONG;
        int dots = (n == 1 && name[0] == '.') || (n == 2 && name[0] == '.' && name[1] == '.');
        if (is_last && dots) *dir = 1;
        if (dots) {
            if (n == 2 && depth > 0) len = starts[--depth];
            continue;
        }
        starts[depth++] = len;
        out[len++] = '/';
        memcpy(out + len, name, n);
        len += n;
    }
    if (len > VFS_PATH_MAX) return APR_ENAMETOOLONG;
    if (len == 0) {
        out[len++] = '/';
        *dir = 0;
    }
    out[len] = '\0';
    return APR_SUCCESS;
}

static void check_parent(const vfs_path_t *path)
{
    char parent_buf[VFS_PATH_MAX + 1], joined_buf[VFS_PATH_MAX + 1];
    vfs_path_t parent, joined;
    const char *name = vfs_path_parent(&parent, path, parent_buf);
    FUZZ_CHECK(fuzz_is_normal(parent.str));
    FUZZ_CHECK(parent.hash == vfs_path_hash(parent.str, parent.len));
    FUZZ_CHECK(vfs_path_within(path, &parent));
    if (path->len == 1) {
        FUZZ_CHECK(name[0] == '\0' && parent.len == 1);
        return;
    }
    FUZZ_CHECK(!vfs_path_within(&parent, path));
    FUZZ_CHECK(vfs_path_join(&joined, &parent, name, strlen(name), joined_buf) == APR_SUCCESS);
    FUZZ_CHECK(joined.len == path->len && joined.hash == path->hash);
    FUZZ_CHECK(strcmp(joined.str, path->str) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char buf[VFS_PATH_MAX + 1], again[VFS_PATH_MAX + 1];
    vfs_path_t path, same;
    int dir = 0;
    if (size > 30000) return 0;
    char *raw = fuzz_text(data, size), *want = malloc(size + 3);
    apr_status_t rv = vfs_path_init(&path, raw, buf);
    FUZZ_CHECK(rv == naive(raw, want, &dir));
    if (rv == APR_SUCCESS) {
        FUZZ_CHECK(strcmp(path.str, want) == 0);
        FUZZ_CHECK(path.len == strlen(want) && fuzz_is_normal(path.str));
        FUZZ_CHECK(path.hash == vfs_path_hash(path.str, path.len));
        FUZZ_CHECK(((path.flags & VFS_PATH_DIR) != 0) == dir);
        FUZZ_CHECK(vfs_path_init(&same, path.str, again) == APR_SUCCESS);
        FUZZ_CHECK(same.str == path.str && same.len == path.len && same.hash == path.hash);
        check_parent(&path);
    }
    free(raw);
    free(want);
    return 0;
}
