/*
 * options.c - what a URI says of a bucket: "s3://bucket/prefix?option=value". Floor 2.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "backends/s3/s3.h"

#define BUCKET_MAX 255u
#define REGION_MAX 63u
#define PART_BYTES (8u << 20)
#define PART_MAX (1u << 30)
#define PARALLEL 4u
#define PARALLEL_MAX 64u

static const char *set_flag(int *out, const char *value)
{
    int at = remote__choice(value, "no,yes");
    *out = at > 0;
    return at < 0 ? "no,yes" : NULL;
}

/* "0.005": no sign and no exponent, and a point whatever the locale says. */
static const char *set_price(s3_options_t *o, double *out, const char *value)
{
    const char *at = value;
    double n = 0, unit = 1;
    for (; isdigit((unsigned char)*at) && n < 1e6; at++)
        n = 10 * n + (*at - '0');
    int good = at > value;
    if (good && *at == '.')
        for (at++; isdigit((unsigned char)*at); at++)
            n += (*at - '0') * (unit /= 10);
    if (!good || *at != '\0') return "a number, such as 0.005";
    *out = n;
    o->remote.priced = 1;
    return NULL;
}

static int is_region(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && text[i] != '-') return 0;
    return len > 0 && len <= REGION_MAX;
}

static const char *set_option(void *baton, const char *key, const char *value, apr_pool_t *pool)
{
    s3_options_t *o = baton;
    static const char *const foreign[] = {"auth", "user", "secret_env", "secret_file"};
    const struct {
        const char *key;
        int *out;
    } flags[] = {{"meta", &o->meta},
                 {"anonymous", &o->anonymous},
                 {"requester_pays", &o->payer},
                 {"probe", &o->probe}};
    const struct {
        const char *key;
        const char **out;
    } words[] = {{"profile", &o->profile},
                 {"storage_class", &o->storage_class},
                 {"sse", &o->sse},
                 {"sse_key", &o->sse_key}};
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (strcmp(key, flags[i].key) == 0) return set_flag(flags[i].out, value);
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        if (strcmp(key, foreign[i]) == 0)
            return "used with s3: credentials are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in "
                   "the environment, or a profile (profile=NAME) of ~/.aws/credentials";
    if (strcmp(key, "region") == 0) {
        o->region = apr_pstrdup(pool, value);
        return is_region(value) ? NULL : "a region, such as eu-central-1";
    }
    if (strcmp(key, "endpoint") == 0) {
        o->endpoint = apr_pstrdup(pool, value);
        return strncmp(value, "http://", 7) == 0 || strncmp(value, "https://", 8) == 0
                   ? NULL
                   : "a URL, such as https://s3.example.org";
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(key, words[i].key) != 0) continue;
        *words[i].out = apr_pstrdup(pool, value);
        return value[0] != '\0' && value[strcspn(value, "\r\n")] == '\0' ? NULL : "a name";
    }
    const struct {
        const char *key;
        double *out;
    } prices[] = {{"price_put", &o->remote.price_put},
                  {"price_get", &o->remote.price_get},
                  {"price_gib", &o->remote.price_gib}};
    for (size_t i = 0; i < sizeof(prices) / sizeof(prices[0]); i++)
        if (strcmp(key, prices[i].key) == 0) return set_price(o, prices[i].out, value);
    if (strcmp(key, "links") == 0) return set_flag(&o->links, value);
    if (strcmp(key, "conditional") == 0) {
        o->conditional = remote__choice(value, "ask,yes,no");
        return o->conditional < 0 ? "ask,yes,no" : NULL;
    }
    if (strcmp(key, "part_size") == 0) {
        int good = remote__parse_size(value, &o->part_bytes) && o->part_bytes >= S3_PART_MIN &&
                   o->part_bytes <= PART_MAX;
        return good ? NULL : "a size from 5m to 1g";
    }
    if (strcmp(key, "parallel") == 0) {
        int good = remote__parse_size(value, &o->parallel) && o->parallel >= 1 &&
                   o->parallel <= PARALLEL_MAX;
        return good ? NULL : "a number from 1 to 64";
    }
    if (strcmp(key, "path_style") == 0) {
        o->path_style = remote__choice(value, "no,yes");
        return o->path_style < 0 ? "no,yes" : NULL;
    }
    return remote__config_set(&o->remote, key, value, pool);
}

/* "bucket/a/b/" in two; the prefix without slashes around it, but with one behind it. */
static const char *take_place(s3_options_t *o, char *place, apr_pool_t *pool)
{
    char *slash = strchr(place, '/');
    char *prefix = slash != NULL ? slash + 1 : place + strlen(place);
    if (slash != NULL) *slash = '\0';
    size_t len = strlen(place);
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)place[i]) && strchr("-._", place[i]) == NULL)
            return "the name of a bucket has letters, digits, '-', '.' and '_' only";
    if (len == 0) return "no bucket is named: s3://BUCKET/PREFIX";
    if (len > BUCKET_MAX) return "the name of the bucket is too long";
    if (!remote__unescape(prefix)) return "a '%' needs two hexadecimal digits behind it";
    while (*prefix == '/')
        prefix++;
    for (len = strlen(prefix); len > 0 && prefix[len - 1] == '/';)
        prefix[--len] = '\0';
    if (len + 1 >= S3_KEY_MAX) return "the prefix is longer than a key may be";
    o->bucket = apr_pstrdup(pool, place);
    o->prefix = len > 0 ? apr_pstrcat(pool, prefix, "/", NULL) : "";
    return NULL;
}

const char *s3__environment(const char *one, const char *other)
{
    const char *value = getenv(one);
    if ((value == NULL || value[0] == '\0') && other != NULL) value = getenv(other);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* The host as it goes into the header: without the port that is the scheme's own. */
static const char *host_of(const char *base, apr_pool_t *pool)
{
    const char *host = strchr(base, '/') + 2;
    size_t len = strcspn(host, "/");
    const char *own = base[4] == 's' ? ":443" : ":80";
    size_t n = strlen(own);
    if (len > n && strncmp(host + len - n, own, n) == 0) len -= n;
    return apr_pstrmemdup(pool, host, len);
}

/* Where the bucket is. In its own name, if it has one that a certificate can cover. */
static const char *take_endpoint(s3_options_t *o, apr_pool_t *pool)
{
    const char *rest = NULL;
    const char *endpoint = o->endpoint != NULL
                               ? o->endpoint
                               : s3__environment("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL");
    if (o->path_style < 0) o->path_style = endpoint != NULL || strchr(o->bucket, '.') != NULL;
    if (endpoint == NULL)
        endpoint = apr_psprintf(pool, "https://s3.%s.amazonaws.com%s", o->region,
                                strncmp(o->region, "cn-", 3) == 0 ? ".cn" : "");
    const char *complaint = remote__uri(&o->remote, endpoint, &rest, pool);
    if (complaint != NULL) return complaint;
    if (rest[0] != '\0' || o->remote.user != NULL) return "an endpoint is no more than a URL";
    const char *base = o->remote.base, *host = strchr(base, '/') + 2;
    o->remote.base = o->path_style
                         ? apr_pstrcat(pool, base, "/", o->bucket, NULL)
                         : apr_pstrcat(pool, apr_pstrmemdup(pool, base, (size_t)(host - base)),
                                       o->bucket, ".", host, NULL);
    o->host = host_of(o->remote.base, pool);
    return NULL;
}

apr_status_t s3__options(s3_options_t *o, const char *uri, char *err, size_t errlen,
                         apr_pool_t *pool)
{
    static const char scheme[] = "s3://";
    const remote_options_t known = {
        &o->remote,
        "region, endpoint, path_style, profile, anonymous, meta, "
        "links, conditional, part_size, parallel, "
        "storage_class, sse, sse_key, requester_pays, probe, price_put, price_get, price_gib",
        set_option};
    memset(o, 0, sizeof(*o));
    remote__config_init(&o->remote);
    o->probe = 1;
    o->part_bytes = PART_BYTES;
    o->parallel = PARALLEL;
    o->path_style = -1;
    o->links = -1;
    if (strncmp(uri, scheme, sizeof(scheme) - 1) != 0) {
        (void)snprintf(err, errlen, "s3: write s3://BUCKET/PREFIX");
        return APR_EINVAL;
    }
    const char *place = uri + sizeof(scheme) - 1;
    size_t len = strcspn(place, "?");
    const char *complaint = memchr(place, '@', len) != NULL
                                ? "credentials in a URI are seen by everybody who lists processes; "
                                  "put them into the environment as AWS_ACCESS_KEY_ID and "
                                  "AWS_SECRET_ACCESS_KEY"
                                : take_place(o, apr_pstrmemdup(pool, place, len), pool);
    if (complaint != NULL) {
        (void)snprintf(err, errlen, "s3: %s", complaint); /* the URI may hold a secret */
        return APR_EINVAL;
    }
    o->remote.base = apr_pstrcat(pool, scheme, o->bucket, NULL); /* for messages */
    apr_status_t status =
        remote__options(place[len] == '?' ? place + len + 1 : "", &known, o, err, errlen, pool);
    if (status != APR_SUCCESS) return status;
    if (o->sse_key != NULL && o->sse == NULL) o->sse = "aws:kms";
    if (o->sse_key != NULL && strncmp(o->sse, "aws:kms", 7) != 0) {
        (void)snprintf(err, errlen, "s3://%s: sse_key=%s is a key of KMS: with it goes sse=aws:kms",
                       o->bucket, o->sse_key);
        return APR_EINVAL;
    }
    if (o->links < 0) o->links = o->meta;
    if (o->links && !o->meta) {
        (void)snprintf(err, errlen,
                       "s3://%s: links=yes: that an object is a link is metadata: with it goes "
                       "meta=yes",
                       o->bucket);
        return APR_EINVAL;
    }
    if (o->region == NULL) o->region = s3__environment("AWS_REGION", "AWS_DEFAULT_REGION");
    o->region = o->region != NULL ? apr_pstrdup(pool, o->region) : "us-east-1";
    complaint = is_region(o->region) ? take_endpoint(o, pool) : "AWS_REGION is no region";
    if (complaint == NULL) return APR_SUCCESS;
    (void)snprintf(err, errlen, "s3://%s: %s", o->bucket, complaint);
    return APR_EINVAL;
}
