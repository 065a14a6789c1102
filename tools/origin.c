/*
 * origin.c - what is an origin, and how paths of the operating system and paths of a stack belong
 * together. Floor 4, private to tools/. Opens nothing.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_escape.h>
#include <apr_strings.h>

#include "tools/cli.h"

int cli_is_origin(const char *text)
{
    const char *s = text;
    if (!isalpha((unsigned char)*s)) return 0;
    while (isalnum((unsigned char)*s) || *s == '+' || *s == '-' || *s == '.')
        s++;
    return *s == ':';
}

const char *cli_absolute(const char *path, apr_pool_t *pool)
{
    char *real = realpath(path, NULL);
    if (real != NULL) {
        const char *copy = apr_pstrdup(pool, real);
        free(real);
        return copy;
    }
    if (path[0] == '/') return path;
    char here[VFS_PATH_MAX + 1];
    if (getcwd(here, sizeof(here)) == NULL) return path;
    return apr_pstrcat(pool, strcmp(here, "/") == 0 ? "" : here, "/", path, NULL);
}

const char *cli_file_uri(const char *path, apr_pool_t *pool)
{
    const char *full = cli_absolute(path, pool);
    char *uri = apr_palloc(pool, strlen(full) * 3 + 1), *to = uri;
    for (const char *s = full; *s != '\0'; s++) {
        if (isalnum((unsigned char)*s) || strchr("/-._~+,@=:", *s) != NULL)
            *to++ = *s;
        else
            to += snprintf(to, 4, "%%%02X", (unsigned char)*s);
    }
    *to = '\0';
    return apr_pstrcat(pool, "file://", uri, NULL);
}

/* A secret key of S3 may have a '/' in it. */
const char *cli_origin_shown(const char *uri, apr_pool_t *pool)
{
    const char *from = strstr(uri, "://");
    if (from == NULL) return uri;
    from += 3;
    size_t len = strcspn(from, strncmp(uri, "s3:", 3) == 0 ? "?" : "/?#");
    const char *colon = memchr(from, ':', len), *at = memrchr(from, '@', len);
    if (colon == NULL || at == NULL || at < colon) return uri;
    return apr_pstrcat(pool, apr_pstrmemdup(pool, uri, (apr_size_t)(colon + 1 - uri)), "***", at,
                       NULL);
}

const char *cli_origin_root(const char *uri, apr_pool_t *pool)
{
    if (strncmp(uri, "file:", 5) != 0) return NULL;
    const char *path = uri + 5;
    if (strncmp(path, "//", 2) == 0) {
        path = strchr(path + 2, '/');
        if (path == NULL) return NULL;
    }
    const char *decoded = NULL;
    path = apr_pstrndup(pool, path, strcspn(path, "?#"));
    decoded = apr_punescape_url(pool, path, NULL, NULL, 0);
    return cli_absolute(decoded != NULL ? decoded : path, pool);
}

const char *cli_resolve(const char *path, apr_pool_t *pool)
{
    const char *full = cli_absolute(path, pool), *rest = "";
    for (;;) {
        char *real = realpath(full, NULL);
        const char *slash = strrchr(full, '/');
        if (real != NULL || slash == NULL || slash == full) {
            const char *dir = real == NULL ? full : strcmp(real, "/") != 0 ? real : "";
            const char *all = apr_pstrcat(pool, dir, rest, NULL);
            free(real);
            return all[0] != '\0' ? all : "/";
        }
        rest = apr_pstrcat(pool, slash, rest, NULL);
        full = apr_pstrndup(pool, full, (apr_size_t)(slash - full));
    }
}

int cli_path_within(const char *path, const char *dir)
{
    size_t len = strlen(dir);
    while (len > 0 && dir[len - 1] == '/')
        len--;
    return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

const char *cli_path_in_origin(const char *uri, const char *os_path, apr_pool_t *pool)
{
    const char *root = cli_origin_root(uri, pool);
    if (root == NULL || os_path[0] != '/') return NULL;
    size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (len == 0 || strncmp(os_path, root, len) != 0) return NULL;
    if (os_path[len] != '/' && os_path[len] != '\0') return NULL;
    return os_path[len] == '\0' ? "/" : os_path + len;
}

int cli_leads_out(const char *uri, const char *path, apr_pool_t *pool)
{
    const char *root = cli_origin_root(uri, pool);
    if (root == NULL || strcmp(root, "/") == 0) return 0;
    char *real = realpath(apr_pstrcat(pool, root, "/", path, NULL), NULL);
    int out = real != NULL && !cli_path_within(real, root);
    free(real);
    return out;
}

const char *cli_stack_path(const char *path, apr_pool_t *pool)
{
    return path[0] == '/' || path[0] == '\0' ? path : apr_pstrcat(pool, "/", path, NULL);
}
