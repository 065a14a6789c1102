/*
 * path.c - paths: making them normal, joining, parents, prefixes, and their hash.
 * Floor 1. Knows bytes only; never asks a file system.
 *
 * A path that is normal already, as nearly all are, is checked and hashed, and not copied: sixteen
 * bytes at once where it is short and no component begins with a dot, else byte by byte. Any other
 * is taken apart from its right end, where a ".." can only cancel what is still to come: so the
 * result is written once, and nothing but the result has to fit into the limit.
 */
#include <string.h>

#include "vfs/internal.h"

#define FNV_OFFSET 2166136261u
#define FNV_PRIME 16777619u

/* No honest caller writes more detours than this. */
#define RAW_MAX (16u * VFS_PATH_MAX)

uint32_t vfs__hash_more(uint32_t hash, const char *str, size_t len)
{
    const unsigned char *p = (const unsigned char *)str;
    for (; len >= 8;
         len -= 8, p += 8) { /* each step waits for the one before: no time for a loop */
        hash = (hash ^ p[0]) * FNV_PRIME;
        hash = (hash ^ p[1]) * FNV_PRIME;
        hash = (hash ^ p[2]) * FNV_PRIME;
        hash = (hash ^ p[3]) * FNV_PRIME;
        hash = (hash ^ p[4]) * FNV_PRIME;
        hash = (hash ^ p[5]) * FNV_PRIME;
        hash = (hash ^ p[6]) * FNV_PRIME;
        hash = (hash ^ p[7]) * FNV_PRIME;
    }
    for (; len > 0; len--, p++)
        hash = (hash ^ *p) * FNV_PRIME;
    return hash;
}

uint32_t vfs_path_hash(const char *str, size_t len)
{
    return vfs__hash_more(FNV_OFFSET, str, len);
}

static int is_dots(const char *name, size_t len)
{
    return name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'));
}

/* The slow way, see above: `out` is the last byte of buf that is not written yet. */
static apr_status_t normalise(vfs_path_t *path, const char *raw, char *buf)
{
    size_t end = strnlen(raw, RAW_MAX + 1);
    if (end > RAW_MAX) return APR_ENAMETOOLONG;
    int dir = raw[end - 1] == '/';
    int last = 1;
    size_t cancel = 0;
    char *const limit = buf + VFS_PATH_MAX;
    char *out = limit;
    while (end > 0) {
        size_t start = end;
        while (start > 0 && raw[start - 1] != '/')
            start--;
        const char *name = raw + start;
        size_t len = end - start;
        end = start > 0 ? start - 1 : 0;
        if (len == 0) continue;
        if (len > VFS_NAME_MAX) return APR_ENAMETOOLONG;
        if (last) dir |= is_dots(name, len);
        last = 0;
        if (is_dots(name, len)) {
            cancel += len - 1;
        } else if (cancel > 0) {
            cancel--;
        } else {
            if ((size_t)(out - buf) < len + 1) return APR_ENAMETOOLONG;
            out -= len;
            memcpy(out, name, len);
            *--out = '/';
        }
    }
    size_t len = (size_t)(limit - out);
    if (len == 0) *--out = '/', len = 1, dir = 0;
    memmove(buf, out, len);
    buf[len] = '\0';
    path->str = buf;
    path->len = (uint32_t)len;
    path->hash = vfs_path_hash(buf, len);
    path->flags = dir ? VFS_PATH_DIR : 0;
    return APR_SUCCESS;
}

/* ---- the fast way, sixteen bytes at once */

typedef unsigned char bytes_t __attribute__((vector_size(16)));

static bytes_t load(const char *p)
{
    bytes_t bytes;
    memcpy(&bytes, p, sizeof(bytes));
    return bytes;
}

/* Those of 16 bytes that are a '/' before a '/' or '.'; these two differ in their lowest bit alone.
 * Reads the byte behind, too. */
static bytes_t doubtful(const char *p)
{
    return (bytes_t)((load(p) == '/') & ((load(p + 1) | 1) == '/'));
}

/* 0: not for sure. A path that is short has no component that is too long. `known`: so many bytes
 * are those of a path of which it is known. */
static inline int surely_normal(const char *raw, size_t len, size_t known)
{
    if (len < 16 || len > VFS_NAME_MAX || raw[0] != '/' || raw[len - 1] == '/') return 0;
    bytes_t found = doubtful(raw + len - 16);
    for (size_t i = known > 0 ? known - 1 : 0; i + 16 < len; i += 16)
        found |= doubtful(raw + i);
    uint64_t half[2];
    memcpy(half, &found, sizeof(half));
    return !(half[0] | half[1]);
}

static apr_status_t init_slowly(vfs_path_t *out, const char *raw, char *buf)
{
    if (raw[0] == '\0') return APR_ENOENT;
    if (raw[0] != '/') return APR_EINVAL;
    uint32_t hash = (FNV_OFFSET ^ '/') * FNV_PRIME;
    const char *p = raw + 1;
    while (*p != '\0') {
        const char *name = p;
        for (; *p != '/' && *p != '\0'; p++)
            hash = (hash ^ (unsigned char)*p) * FNV_PRIME;
        size_t len = (size_t)(p - name);
        if (len > VFS_NAME_MAX) return APR_ENAMETOOLONG;
        if (len == 0 || is_dots(name, len)) return normalise(out, raw, buf);
        if (*p == '\0') break;
        if (p[1] == '\0') return normalise(out, raw, buf);
        hash = (hash ^ '/') * FNV_PRIME;
        p++;
    }
    if ((size_t)(p - raw) > VFS_PATH_MAX) return APR_ENAMETOOLONG;
    out->str = raw;
    out->len = (uint32_t)(p - raw);
    out->hash = hash;
    out->flags = 0;
    return APR_SUCCESS;
}

/* 0: perhaps it is not normal. */
static int init_plain(vfs_path_t *out, const char *raw, size_t len)
{
    if (!surely_normal(raw, len, 0)) return 0;
    out->str = raw;
    out->len = (uint32_t)len;
    out->hash = vfs_path_hash(raw, len);
    out->flags = 0;
    return 1;
}

apr_status_t vfs_path_init(vfs_path_t *out, const char *raw, char *buf)
{
    if (raw == NULL) return APR_EINVAL;
    return init_plain(out, raw, strlen(raw)) ? APR_SUCCESS : init_slowly(out, raw, buf);
}

/* ---- many paths ---- */

/* The last path that was plain, and the hash of each of its beginnings. */
typedef struct plain_t {
    const char *str;
    size_t len;
    uint32_t hash[VFS_NAME_MAX + 1];
} plain_t;

static uint64_t load8(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

/* How many of n bytes are the same from the first on, or fewer: as many as whole words tell. */
static size_t alike(const char *a, const char *b, size_t n)
{
    size_t k = 0;
    while (k + 8 <= n && load8(a + k) == load8(b + k))
        k += 8;
    return k;
}

/* 1: it is plain, and the next one may begin like it. */
static int init_like(vfs_path_t *out, const char *raw, size_t len, plain_t *last)
{
    size_t k = alike(raw, last->str, len < last->len ? len : last->len);
    if (!surely_normal(raw, len, k)) return 0;
    uint32_t hash = last->hash[k];
    for (; k < len; k++)
        last->hash[k + 1] = hash = (hash ^ (unsigned char)raw[k]) * FNV_PRIME;
    last->str = raw;
    last->len = len;
    *out = (vfs_path_t){raw, (uint32_t)len, hash, 0};
    return 1;
}

void vfs_path_init_many(vfs_path_t *out, const char *const *raw, size_t count)
{
    plain_t last;
    last.str = "";
    last.len = 0;
    last.hash[0] = FNV_OFFSET;
    for (size_t i = 0; i < count; i++) {
        size_t len = raw[i] != NULL ? strlen(raw[i]) : 0;
        /* nothing comes behind the last one that could begin like it */
        int plain =
            count > 1 ? init_like(&out[i], raw[i], len, &last) : init_plain(&out[i], raw[i], len);
        if (!plain) out[i].str = NULL;
    }
}

apr_status_t vfs_path_join(vfs_path_t *out, const vfs_path_t *parent, const char *name,
                           size_t name_len, char *buf)
{
    VFS_CHECK_ARG(name != NULL && name_len > 0 && !is_dots(name, name_len));
    VFS_CHECK_ARG(memchr(name, '/', name_len) == NULL && memchr(name, '\0', name_len) == NULL);
    if (name_len > VFS_NAME_MAX) return APR_ENAMETOOLONG;
    size_t len = vfs__is_root(parent) ? 0 : parent->len;
    if (len + 1 + name_len > VFS_PATH_MAX) return APR_ENAMETOOLONG;
    uint32_t hash = parent->hash;
    if (parent->str != buf) memcpy(buf, parent->str, len);
    if (len > 0) hash = (hash ^ '/') * FNV_PRIME;
    buf[len] = '/';
    memcpy(buf + len + 1, name, name_len);
    len += 1 + name_len;
    buf[len] = '\0';
    out->str = buf;
    out->len = (uint32_t)len;
    out->hash = vfs__hash_more(hash, name, name_len);
    out->flags = 0;
    return APR_SUCCESS;
}

const char *vfs_path_parent(vfs_path_t *out, const vfs_path_t *path, char *buf)
{
    const char *name = path->str + path->len;
    while (name[-1] != '/')
        name--;
    size_t len = (size_t)(name - path->str);
    if (len > 1) len--;
    memcpy(buf, path->str, len);
    buf[len] = '\0';
    if (vfs__is_root(path)) name = path->str + 1;
    out->str = buf;
    out->len = (uint32_t)len;
    out->hash = vfs_path_hash(buf, len);
    out->flags = 0;
    return name;
}

int vfs_path_within(const vfs_path_t *path, const vfs_path_t *prefix)
{
    if (vfs__is_root(prefix)) return 1;
    if (path->len < prefix->len || memcmp(path->str, prefix->str, prefix->len) != 0) return 0;
    return path->len == prefix->len || path->str[prefix->len] == '/';
}
