/*
 * sign.c - AWS Signature Version 4, as S3 has it: the path is encoded once (AWS, "Signature
 * Calculations for the Authorization Header"). Floor 2. Of our own: libcurl signs too, but 7.88,
 * which Debian 12 has, takes the query as it stands (curl issue 9717), and what it signs of headers
 * and bodies differs between releases that we may be built with.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/s3/hash.h"
#include "backends/s3/s3.h"

#define HEX_BYTES (2 * S3_SHA256_BYTES + 1)

void s3__date(char out[17], int64_t seconds)
{
    time_t t = (time_t)seconds;
    struct tm tm;
    memset(&tm, 0, sizeof(tm));
    (void)gmtime_r(&t, &tm); /* fails only for years beyond reach: then the server refuses it */
    (void)strftime(out, 17, "%Y%m%dT%H%M%SZ", &tm);
}

static void names(FILE *out, const s3_sign_t *what)
{
    for (size_t i = 0; i < what->nheaders; i++)
        (void)fprintf(out, "%s%s", i > 0 ? ";" : "", what->headers[i].name);
}

/* A value, with one blank for several and none around it. */
static void fold(FILE *out, const char *value)
{
    static const char blanks[] = " \t";
    const char *at = value + strspn(value, blanks);
    while (*at != '\0') {
        size_t len = strcspn(at, blanks);
        (void)fwrite(at, 1, len, out);
        at += len + strspn(at + len, blanks);
        if (*at != '\0') (void)fputc(' ', out);
    }
}

/* The hash of the canonical request. 0: no memory. */
static int canonical(const s3_sign_t *what, char hex[HEX_BYTES])
{
    char *text = NULL;
    size_t len = 0;
    unsigned char hash[S3_SHA256_BYTES];
    FILE *out = open_memstream(&text, &len);
    if (out == NULL) return 0;
    (void)fprintf(out, "%s\n%s\n%s\n", what->method, what->path, what->query);
    for (size_t i = 0; i < what->nheaders; i++) {
        (void)fprintf(out, "%s:", what->headers[i].name);
        fold(out, what->headers[i].value);
        (void)fputc('\n', out);
    }
    (void)fputc('\n', out);
    names(out, what);
    (void)fprintf(out, "\n%s", what->payload);
    int good = fclose(out) == 0;
    if (good) {
        s3__sha256(hash, text, len);
        s3__hex(hex, hash, sizeof(hash));
    }
    free(text);
    return good;
}

static void sign_key(unsigned char key[S3_SHA256_BYTES], const s3_sign_t *what,
                     const s3_creds_t *creds)
{
    char secret[sizeof(creds->secret) + 4];
    int n = snprintf(secret, sizeof(secret), "AWS4%s", creds->secret);
    s3__hmac(key, secret, (size_t)n, what->date, 8);
    s3__hmac(key, key, S3_SHA256_BYTES, what->region, strlen(what->region));
    s3__hmac(key, key, S3_SHA256_BYTES, what->service, strlen(what->service));
    s3__hmac(key, key, S3_SHA256_BYTES, "aws4_request", 12);
    explicit_bzero(secret, sizeof(secret));
}

char *s3__sign(const s3_sign_t *what, const s3_creds_t *creds)
{
    char hex[HEX_BYTES], scope[160], to_sign[512];
    unsigned char key[S3_SHA256_BYTES];
    char *text = NULL;
    size_t len = 0;
    if (!canonical(what, hex)) return NULL;
    (void)snprintf(scope, sizeof(scope), "%.8s/%s/%s/aws4_request", what->date, what->region,
                   what->service);
    int n =
        snprintf(to_sign, sizeof(to_sign), "AWS4-HMAC-SHA256\n%s\n%s\n%s", what->date, scope, hex);
    sign_key(key, what, creds);
    s3__hmac(key, key, sizeof(key), to_sign, (size_t)n);
    s3__hex(hex, key, sizeof(key));
    FILE *out = open_memstream(&text, &len);
    if (out == NULL) return NULL;
    (void)fprintf(out, "AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=", creds->id, scope);
    names(out, what);
    (void)fprintf(out, ",Signature=%s", hex);
    if (fclose(out) == 0) return text;
    free(text);
    return NULL;
}
