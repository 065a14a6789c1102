/*
 * url.c - URLs: taken apart by libcurl, put together from paths, compared. Floor 2.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <apr_strings.h>

#include "backends/remote/private.h"

/* One part of a parsed URL in the pool; NULL: it has none. */
static const char *part(CURLU *url, CURLUPart what, apr_pool_t *pool)
{
    char *text = NULL;
    if (curl_url_get(url, what, &text, what == CURLUPART_USER ? CURLU_URLDECODE : 0) != CURLUE_OK)
        return NULL;
    char *copy = apr_pstrdup(pool, text);
    curl_free(text);
    return copy;
}

static const char *take_parts(remote_config_t *config, CURLU *url, apr_pool_t *pool)
{
    const char *scheme = part(url, CURLUPART_SCHEME, pool);
    const char *host = part(url, CURLUPART_HOST, pool);
    const char *port = part(url, CURLUPART_PORT, pool);
    const char *path = part(url, CURLUPART_PATH, pool);
    if (scheme == NULL || host == NULL || host[0] == '\0') return "no host is named";
    if (part(url, CURLUPART_PASSWORD, pool) != NULL)
        return "a password in a URI is seen by everybody who lists processes; leave it out, and "
               "put "
               "it into the environment as CACHEFS_SECRET, or into a file: secret_file=FILE";
    if (part(url, CURLUPART_FRAGMENT, pool) != NULL) return "a '#' in a path is %23";
    const char *user = part(url, CURLUPART_USER, pool);
    if (user != NULL) {
        config->user = user;
        config->auth = REMOTE_AUTH_BASIC;
    }
    if (path == NULL) path = "";
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] == '/')
        len--;
    config->base = apr_pstrcat(pool, scheme, "://", host, port != NULL ? ":" : "",
                               port != NULL ? port : "", apr_pstrmemdup(pool, path, len), NULL);
    return NULL;
}

const char *remote__uri(remote_config_t *config, const char *uri, const char **options,
                        apr_pool_t *pool)
{
    size_t len = strcspn(uri, "?");
    const char *plain = apr_pstrmemdup(pool, uri, len);
    const char *complaint = "not a URL such as https://host/dir";
    *options = uri[len] == '?' ? uri + len + 1 : "";
    CURLU *url = curl_url();
    if (url == NULL) return "out of memory";
    if (curl_url_set(url, CURLUPART_URL, plain, 0) == CURLUE_OK)
        complaint = take_parts(config, url, pool);
    curl_url_cleanup(url);
    return complaint;
}

/* RFC 3986: what needs no code in a path. */
static int is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~/", c) != NULL);
}

char *remote__url(const char *base, const char *path, int slash)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t len = strlen(base);
    char *url = malloc(len + 3 * strlen(path) + 2);
    if (url == NULL) return NULL;
    memcpy(url, base, len);
    for (const unsigned char *at = (const unsigned char *)path; *at != '\0'; at++) {
        if (is_plain(*at)) {
            url[len++] = (char)*at;
            continue;
        }
        url[len++] = '%';
        url[len++] = digits[*at >> 4];
        url[len++] = digits[*at & 15];
    }
    if (slash && url[len - 1] != '/') url[len++] = '/';
    url[len] = '\0';
    return url;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int remote__unescape(char *text)
{
    char *out = text;
    for (const char *at = text; *at != '\0'; at++) {
        char c = *at;
        if (c == '%') {
            int high = hex(at[1]), low = high >= 0 ? hex(at[2]) : -1;
            if (low < 0 || high + low == 0) return 0;
            c = (char)(16 * high + low);
            at += 2;
        }
        *out++ = c;
    }
    *out = '\0';
    return 1;
}

/* Two URLs, taken apart. */
typedef struct pair_t {
    CURLU *a, *b;
} pair_t;

static int pair_open(pair_t *pair, const char *a, const char *b)
{
    pair->a = curl_url();
    pair->b = curl_url();
    return pair->a != NULL && pair->b != NULL &&
           curl_url_set(pair->a, CURLUPART_URL, a, 0) == CURLUE_OK &&
           curl_url_set(pair->b, CURLUPART_URL, b, 0) == CURLUE_OK;
}

static void pair_close(pair_t *pair)
{
    curl_url_cleanup(pair->a);
    curl_url_cleanup(pair->b);
}

/* Is this part of both the same, with `more` behind that of a? */
static int pair_same(const pair_t *pair, CURLUPart what, unsigned flags, const char *more)
{
    char *a = NULL, *b = NULL;
    int same = curl_url_get(pair->a, what, &a, flags) == CURLUE_OK &&
               curl_url_get(pair->b, what, &b, flags) == CURLUE_OK;
    if (same && what == CURLUPART_PATH) {
        size_t len = strlen(a);
        same = strncmp(a, b, len) == 0 && strcmp(b + len, more) == 0;
    } else if (same) {
        same = strcasecmp(a, b) == 0;
    }
    curl_free(a);
    curl_free(b);
    return same;
}

int remote__same_origin(const char *a, const char *b)
{
    pair_t pair;
    int same = pair_open(&pair, a, b) && pair_same(&pair, CURLUPART_SCHEME, 0, "") &&
               pair_same(&pair, CURLUPART_HOST, 0, "") &&
               pair_same(&pair, CURLUPART_PORT, CURLU_DEFAULT_PORT, "");
    pair_close(&pair);
    return same;
}

int remote__adds_slash(const char *from, const char *to)
{
    pair_t pair;
    int adds = pair_open(&pair, from, to) && pair_same(&pair, CURLUPART_PATH, CURLU_URLDECODE, "/");
    pair_close(&pair);
    return adds;
}

int remote__may_follow(const char *from, const char *to)
{
    if (strncasecmp(to, "https://", 8) == 0) return 1;
    return strncasecmp(to, "http://", 7) == 0 && strncasecmp(from, "https://", 8) != 0;
}
