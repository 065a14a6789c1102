/*
 * backends.c - the backends of this build by URI: what stands in it is checked here, in words for
 * the user. Floor 2; knows the constructors of backends.h and the registry of vfs.h.
 */
#include "backends/backends.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define TEXT_MAX 256

typedef struct sentence_t {
    char *buf;
    size_t size;
} sentence_t;

static void say(const sentence_t *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(const sentence_t *err, const char *format, ...)
{
    va_list args;
    if (err->buf == NULL || err->size == 0) return;
    va_start(args, format);
    (void)vsnprintf(err->buf, err->size, format, args); /* cut where it does not fit */
    va_end(args);
}

/* ---- parts of a URI */

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Percent-decode `len` bytes of `text` into out (VFS_PATH_MAX + 1 bytes). Returns a complaint, or
 * NULL. */
static const char *decode(char *out, const char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < len ? hex(text[i + 1]) : -1;
            int low = i + 2 < len ? hex(text[i + 2]) : -1;
            if (high < 0 || low < 0) return "a '%' must be followed by two hexadecimal digits";
            c = (char)(16 * high + low);
            if (c == '\0') return "a path cannot hold the byte 0";
            i += 2;
        }
        if (n == VFS_PATH_MAX) return "the path is too long";
        out[n++] = c;
    }
    out[n] = '\0';
    return NULL;
}

/* What stands behind "scheme:". */
static const char *behind_scheme(const char *uri)
{
    const char *colon = strchr(uri, ':');
    return colon != NULL ? colon + 1 : uri + strlen(uri);
}

/* ---- file: */

/* Skip the "//host" of a file URI. Returns where its path begins, or NULL after a complaint. */
static const char *skip_host(const char *text, const char *end, const char *uri,
                             const sentence_t *err)
{
    if (strncmp(text, "//", 2) != 0) return text;
    const char *host = text + 2;
    const char *path = host;
    while (path < end && *path != '/')
        path++;
    size_t len = (size_t)(path - host);
    if (len != 0 && (len != 9 || strncasecmp(host, "localhost", 9) != 0)) {
        say(err, "%s: '%.*s' is another host; write file:///DIR for a directory of this one", uri,
            (int)len, host);
        return NULL;
    }
    return path;
}

static const char *why(apr_status_t status, char *buf, size_t size)
{
    if (APR_STATUS_IS_ENOENT(status)) return "no such directory";
    if (APR_STATUS_IS_ENOTDIR(status)) return "not a directory";
    if (APR_STATUS_IS_EACCES(status)) return "permission denied";
    if (status == APR_ENOTIMPL) return "this system cannot confine a directory (no openat2)";
    return vfs_strerror(status, buf, size);
}

static apr_status_t open_file(vfs_t **out, const char *uri, char *buf, size_t size,
                              apr_pool_t *pool)
{
    const sentence_t err = {buf, size};
    char path[VFS_PATH_MAX + 1];
    char text[TEXT_MAX];
    const char *begin = behind_scheme(uri);
    const char *end = begin + strcspn(begin, "?");
    if (end[0] == '?' && end[1] != '\0') {
        say(&err,
            "%s: file: takes no options, so nothing is accepted behind '?' (a '?' in a name is "
            "%%3F)",
            uri);
        return APR_EINVAL;
    }
    begin = skip_host(begin, end, uri, &err);
    if (begin == NULL) return APR_EINVAL;
    if (begin == end) {
        say(&err, "%s: no directory is named; write file:///DIR, or file:DIR for a relative one",
            uri);
        return APR_EINVAL;
    }
    const char *complaint = decode(path, begin, (size_t)(end - begin));
    if (complaint != NULL) {
        say(&err, "%s: %s", uri, complaint);
        return APR_EINVAL;
    }
    apr_status_t status = vfs_local_create(out, path, pool);
    if (status != APR_SUCCESS) say(&err, "%s: %s", uri, why(status, text, sizeof(text)));
    return status;
}

/* ---- mem: */

/* "64m" in bytes; 0 after a broken text is told by the result. */
static int parse_size(const char *text, size_t len, uint64_t *bytes)
{
    static const char units[] = "kmgt";
    uint64_t n = 0;
    size_t i = 0;
    for (; i < len && text[i] >= '0' && text[i] <= '9'; i++) {
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (n > (UINT64_MAX - digit) / 10) return 0;
        n = 10 * n + digit;
    }
    if (i == 0) return 0;
    if (i < len) {
        char unit = (char)(text[i] | 0x20); /* to lower case */
        const char *at = strchr(units, unit);
        if (at == NULL || i + 1 != len) return 0;
        unsigned shift = 10u * (unsigned)(at - units + 1);
        if (n > UINT64_MAX >> shift) return 0;
        n <<= shift;
    }
    *bytes = n;
    return 1;
}

static apr_status_t mem_option(const char *uri, const char *option, size_t len, uint64_t *bytes,
                               const sentence_t *err)
{
    static const char accepted[] = "accepted is size=BYTES, such as size=64m";
    if (len < 5 || strncmp(option, "size=", 5) != 0) {
        say(err, "%s: unknown option '%.*s'; %s", uri, (int)len, option, accepted);
        return APR_EINVAL;
    }
    if (!parse_size(option + 5, len - 5, bytes)) {
        say(err, "%s: '%.*s' is no size; %s", uri, (int)(len - 5), option + 5, accepted);
        return APR_EINVAL;
    }
    return APR_SUCCESS;
}

static apr_status_t open_mem(vfs_t **out, const char *uri, char *buf, size_t size, apr_pool_t *pool)
{
    const sentence_t err = {buf, size};
    char text[TEXT_MAX];
    uint64_t bytes = 0;
    const char *at = behind_scheme(uri);
    while (*at == '/')
        at++; /* "mem:///" is "mem:" */
    if (*at != '\0' && *at != '?') {
        say(&err, "%s: mem: has no path; write mem: or mem:?size=64m", uri);
        return APR_EINVAL;
    }
    if (*at == '?') at++;
    while (*at != '\0') {
        size_t len = strcspn(at, "&");
        apr_status_t status = mem_option(uri, at, len, &bytes, &err);
        if (status != APR_SUCCESS) return status;
        at += len;
        if (*at == '&') at++;
    }
    apr_status_t status = vfs_mem_create(out, bytes, pool);
    if (status != APR_SUCCESS) say(&err, "%s: %s", uri, vfs_strerror(status, text, sizeof(text)));
    return status;
}

/* ---- servers that take whole files only */

/* Over such a one, files that can be written anywhere; the two are one. */
static apr_status_t stage(vfs_t **out, vfs_t *raw, const char *uri, char *buf, size_t size,
                          apr_pool_t *pool)
{
    const sentence_t err = {buf, size};
    char text[TEXT_MAX];
    vfs_objects_config_t config = VFS_OBJECTS_CONFIG_INIT;
    config.owns_lower = 1;
    apr_status_t status = vfs_objects_create(out, raw, &config, pool);
    if (status == APR_SUCCESS) return status;
    say(&err, "%.*s: nothing can be written beside (TMPDIR): %s", (int)strcspn(uri, "?"), uri,
        vfs_strerror(status, text, sizeof(text)));
    (void)vfs_destroy(raw); /* nothing was written to it */
    return status;
}

static apr_status_t open_dav(vfs_t **out, const char *uri, char *err, size_t errlen,
                             apr_pool_t *pool)
{
    vfs_t *raw = NULL;
    apr_status_t status = vfs_webdav_create(&raw, uri, err, errlen, pool);
    return status == APR_SUCCESS ? stage(out, raw, uri, err, errlen, pool) : status;
}

static apr_status_t open_s3(vfs_t **out, const char *uri, char *err, size_t errlen,
                            apr_pool_t *pool)
{
    vfs_t *raw = NULL, *staged = NULL;
    apr_status_t status = vfs_s3_create(&raw, uri, err, errlen, pool);
    if (status == APR_SUCCESS) status = stage(&staged, raw, uri, err, errlen, pool);
    if (status != APR_SUCCESS) return status;
    *out = staged;
    if (!(vfs_caps(staged)->bits & VFS_CAP_PLAIN_LINKS)) return APR_SUCCESS;
    status = vfs_links_create(out, staged, 1, pool);
    if (status != APR_SUCCESS) (void)vfs_destroy(staged); /* nothing was written to it */
    return status;
}

apr_status_t vfs_backends_register_all(void)
{
    apr_status_t status = vfs_register_scheme("file", open_file);
    if (status == APR_SUCCESS) status = vfs_register_scheme("mem", open_mem);
    if (status == APR_SUCCESS) status = vfs_register_scheme("http", vfs_http_create);
    if (status == APR_SUCCESS) status = vfs_register_scheme("https", vfs_http_create);
    if (status == APR_SUCCESS) status = vfs_register_scheme("s3", open_s3);
    if (status == APR_SUCCESS) status = vfs_register_scheme("dav", open_dav);
    if (status == APR_SUCCESS) status = vfs_register_scheme("davs", open_dav);
    if (status == APR_SUCCESS) status = vfs_register_scheme("sftp", vfs_sftp_create);
    return status;
}
