/*
 * role.c - the key of a profile, whoever lends it: itself, STS for a role (AssumeRole), a program.
 * Floor 2. The order is that of the tools of AWS. A profile may take its role by another profile's
 * key, and that one by another's; a circle is told of.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/s3/hash.h"
#include "backends/s3/profile.h"
#include "backends/s3/question.h"

#define DEPTH_MAX 5u
#define FORM_MAX 16384u
#define NS_PER_S 1000000000

#define REFUSED APR_FROM_OS_ERROR(EACCES)

/* ---- AssumeRole */

/* Who signs a question, and when it is by the clock of the server. */
typedef struct s3_signer_t {
    const s3_t *s;
    const s3_creds_t *creds;
} s3_signer_t;

static apr_status_t add_line(struct curl_slist **headers, const char *name, const char *value)
{
    size_t size = strlen(name) + strlen(value) + 3;
    char *line = malloc(size);
    if (line == NULL) return APR_ENOMEM;
    (void)snprintf(line, size, "%s: %s", name, value);
    apr_status_t status = s3__question_header(headers, line);
    explicit_bzero(line, size);
    free(line);
    return status;
}

/* The host as it goes into its header: without the port that is the scheme's own. */
static void host_of(const char *url, char *out, size_t size)
{
    const char *host = strchr(url, '/') + 2, *own = url[4] == 's' ? ":443" : ":80";
    size_t len = strcspn(host, "/"), n = strlen(own);
    if (len > n && strncmp(host + len - n, own, n) == 0) len -= n;
    (void)snprintf(out, size, "%.*s", (int)len, host);
}

/* The signature is of a moment, so each attempt has its own. */
static apr_status_t sign(s3_question_t *q, struct curl_slist **headers)
{
    const s3_signer_t *signer = q->baton;
    unsigned char hash[S3_SHA256_BYTES];
    char payload[2 * S3_SHA256_BYTES + 1], date[17], host[512];
    s3_header_t all[4];
    size_t count = 0;
    s3__sha256(hash, q->data, q->len);
    s3__hex(payload, hash, sizeof(hash));
    s3__date(date, vfs_now_ns() / NS_PER_S +
                       atomic_load_explicit(&signer->s->skew_s, memory_order_relaxed));
    host_of(q->url, host, sizeof(host));
    all[count++] = (s3_header_t){"content-type", q->type};
    all[count++] = (s3_header_t){"host", host};
    all[count++] = (s3_header_t){"x-amz-date", date};
    if (signer->creds->token[0] != '\0')
        all[count++] = (s3_header_t){"x-amz-security-token", signer->creds->token};
    const s3_sign_t what = {.method = q->method,
                            .path = strchr(strchr(q->url, '/') + 2, '/'),
                            .query = "",
                            .headers = all,
                            .nheaders = count,
                            .payload = payload,
                            .date = date,
                            .region = signer->s->region,
                            .service = "sts"};
    char *signature = s3__sign(&what, signer->creds);
    apr_status_t status = signature != NULL ? APR_SUCCESS : APR_ENOMEM;
    if (status == APR_SUCCESS) status = add_line(headers, "Authorization", signature);
    for (size_t i = 2; i < count && status == APR_SUCCESS; i++)
        status = add_line(headers, all[i].name, all[i].value);
    free(signature);
    return status;
}

/* What is sent to STS, encoded as a form. NULL: it does not fit, or there is no memory. */
static char *role_form(const s3_profile_t *p)
{
    char name[64], *form = calloc(1, FORM_MAX);
    (void)snprintf(name, sizeof(name), "cachefs-%lld", (long long)(vfs_now_ns() / NS_PER_S));
    int good =
        form != NULL && s3__query_add(form, FORM_MAX, "Action", "AssumeRole") &&
        s3__query_add(form, FORM_MAX, "Version", "2011-06-15") &&
        s3__query_add(form, FORM_MAX, "RoleArn", p->role) &&
        s3__query_add(form, FORM_MAX, "RoleSessionName",
                      p->session[0] != '\0' ? p->session : name) &&
        (p->external[0] == '\0' || s3__query_add(form, FORM_MAX, "ExternalId", p->external)) &&
        (p->seconds[0] == '\0' || s3__query_add(form, FORM_MAX, "DurationSeconds", p->seconds));
    if (good) return form;
    free(form);
    return NULL;
}

static const char *advice(const s3_advice_t *row, const char *code, const remote_answer_t *answer,
                          apr_status_t status)
{
    for (; row->code != NULL; row++)
        if (strcmp(code, row->code) == 0) return row->advice;
    if (answer->status == 0 && APR_STATUS_IS_EACCES(status))
        return "its certificate is not trusted: cacert=FILE names who signed it";
    if (status == VFS_EOFFLINE)
        return "is it up, is AWS_ENDPOINT_URL_STS right, is there a proxy (proxy=URL)?";
    return row->advice;
}

apr_status_t s3__question_key(s3_question_t *q, const vfs_ctx_t *ctx, const char *role,
                              const s3_advice_t *rows, s3_creds_t *creds, char *err, size_t errlen)
{
    char text[256];
    s3_error_t error;
    q->len = strlen(q->data);
    apr_status_t status = s3__question_ask(q, ctx);
    s3__parse_error(&error, q->answer.said, q->answer.said_len);
    int answered = status == APR_SUCCESS;
    if (answered) status = s3__lent_xml(creds, q->text, q->text_len);
    if (status != APR_SUCCESS)
        (void)snprintf(err, errlen, "STS at %s lends no key for the role %s: %s; %s", q->url, role,
                       answered ? "what it says is no key"
                                : s3__question_reason(q, error.code, status, text, sizeof(text)),
                       advice(rows, error.code, &q->answer, status));
    return status;
}

static const s3_advice_t role_advice[] = {
    {"AccessDenied", "the role has to trust who asks, and who asks needs sts:AssumeRole: check "
                     "role_arn, external_id and the profile or source that signs"},
    {"InvalidClientTokenId", "STS does not know the key that signs: check the profile or "
                             "source that it is of"},
    {"SignatureDoesNotMatch", "the secret does not belong to the key that signs: check the "
                              "profile or source that it is of, and the region"},
    {"ExpiredToken", "the session of the key that signs has ended: get a new one"},
    {"ExpiredTokenException", "the session of the key that signs has ended: get a new one"},
    {"ValidationError", "check role_arn, role_session_name, external_id and duration_seconds"},
    {"RegionDisabledException", "STS is turned off in this region: region=NAME"},
    {NULL, "check role_arn and AWS_ENDPOINT_URL_STS"}};

apr_status_t s3__lend_role(s3_t *s, const vfs_ctx_t *ctx, const s3_profile_t *p,
                           const s3_creds_t *source, s3_creds_t *creds, char *err, size_t errlen)
{
    const s3_signer_t signer = {s, source};
    s3_question_t *q = s3__question_sts(s);
    if (q == NULL) return APR_ENOMEM;
    q->more = sign;
    q->baton = &signer;
    q->data = role_form(p);
    apr_status_t status = REFUSED;
    if (q->data != NULL)
        status = s3__question_key(q, ctx, p->role, role_advice, creds, err, errlen);
    else
        (void)snprintf(err, errlen, "role_arn, external_id or role_session_name is too long");
    s3__question_free(q);
    return status;
}

/* ---- a profile */

typedef struct s3_lender_t {
    s3_t *s;
    const vfs_ctx_t *ctx;
    unsigned depth;
    char *err;
    size_t errlen;
} s3_lender_t;

static apr_status_t key_of(s3_lender_t *l, const char *name, s3_creds_t *creds, int *none);

static int is_whole(const s3_creds_t *creds)
{
    return creds->id[0] != '\0' && creds->secret[0] != '\0';
}

/* By what is beside the profiles. */
static apr_status_t origin_key(const s3_lender_t *l, const s3_profile_t *p, s3_creds_t *creds)
{
    static const char wants[] = "Environment, Ec2InstanceMetadata or EcsContainer";
    if (strcmp(p->origin, "Ec2InstanceMetadata") == 0)
        return s3__lend_machine(l->ctx, creds, l->err, l->errlen);
    if (strcmp(p->origin, "EcsContainer") == 0)
        return s3__lend_container(l->ctx, creds, l->err, l->errlen);
    if (strcmp(p->origin, "Environment") == 0 && s3__environment_key(creds)) return APR_SUCCESS;
    if (strcmp(p->origin, "Environment") == 0)
        (void)snprintf(l->err, l->errlen,
                       "credential_source=Environment: set AWS_ACCESS_KEY_ID and "
                       "AWS_SECRET_ACCESS_KEY");
    else
        (void)snprintf(l->err, l->errlen, "credential_source='%s' is unknown: it is %s", p->origin,
                       wants);
    return REFUSED;
}

static apr_status_t role_key(s3_lender_t *l, const s3_profile_t *p, const char *name,
                             s3_creds_t *creds)
{
    int none = 0;
    apr_status_t status = REFUSED;
    s3_creds_t *source = calloc(1, sizeof(*source));
    if (source == NULL) return APR_ENOMEM;
    if (p->mfa[0] != '\0') {
        (void)snprintf(l->err, l->errlen,
                       "the role asks for a code (mfa_serial), and nobody is asked here: name a "
                       "profile with the line credential_process = aws configure "
                       "export-credentials --profile %s --format process",
                       name);
    } else if (p->origin[0] != '\0') {
        status = origin_key(l, p, source);
    } else if (strcmp(p->source, name) == 0 && is_whole(&p->creds)) {
        *source = p->creds;
        status = APR_SUCCESS;
    } else if (++l->depth > DEPTH_MAX || strcmp(p->source, name) == 0) {
        (void)snprintf(l->err, l->errlen,
                       "source_profile=%s: it leads back, or through more than %u profiles, to "
                       "none with a key",
                       p->source, DEPTH_MAX);
    } else {
        status = key_of(l, p->source, source, &none);
    }
    if (status == APR_SUCCESS)
        status = s3__lend_role(l->s, l->ctx, p, source, creds, l->err, l->errlen);
    explicit_bzero(source, sizeof(*source));
    free(source);
    return status;
}

static void say_no_key(const s3_lender_t *l, const s3_profile_t *p, const char *name)
{
    if (p->role[0] != '\0')
        (void)snprintf(l->err, l->errlen,
                       "the profile has role_arn, and none of source_profile, credential_source "
                       "and web_identity_token_file, which say who takes the role (profile '%s')",
                       name);
    else if (p->sso[0] != '\0')
        (void)snprintf(l->err, l->errlen,
                       "the profile is one of single sign-on, whose files are not read: name a "
                       "profile with the line credential_process = aws configure "
                       "export-credentials --profile %s --format process, after aws sso login",
                       name);
    else
        (void)snprintf(l->err, l->errlen,
                       "%s has a profile without aws_access_key_id or aws_secret_access_key, and "
                       "it names nobody who lends them: role_arn or credential_process, here or in "
                       "%s (profile '%s')",
                       p->file, p->config, name);
}

static void say_no_profile(const s3_lender_t *l, const s3_profile_t *p, const char *name)
{
    if (p->error != 0)
        (void)snprintf(l->err, l->errlen,
                       "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the "
                       "environment, or write them into %s (%s), or say anonymous=yes for a "
                       "public bucket (profile '%s')",
                       p->file, strerror(p->error), name);
    else
        (void)snprintf(l->err, l->errlen, "%s has no such profile, nor has %s (profile '%s')",
                       p->file, p->config, name);
}

/* Before what went wrong: with which profile. */
static void say_profile(const s3_lender_t *l, const char *name)
{
    char *text = strdup(l->err);
    if (text == NULL) return;
    (void)snprintf(l->err, l->errlen, "profile '%s': %s", name, text);
    free(text);
}

static apr_status_t key_by(s3_lender_t *l, const s3_profile_t *p, const char *name,
                           s3_creds_t *creds)
{
    apr_status_t status = APR_SUCCESS;
    int by_role = p->role[0] != '\0' && (p->source[0] != '\0' || p->origin[0] != '\0');
    int by_token = !by_role && p->role[0] != '\0' && p->token_file[0] != '\0';
    int own = is_whole(&p->creds) && (p->own_key || p->process[0] == '\0');
    if (by_role)
        status = role_key(l, p, name, creds);
    else if (by_token)
        status =
            s3__lend_token(l->s, l->ctx, p->role, p->token_file,
                           p->session[0] != '\0' ? p->session : NULL, creds, l->err, l->errlen);
    else if (own)
        *creds = p->creds;
    else if (p->process[0] != '\0' && !p->own_key)
        status = s3__lend_process(l->ctx, p->process, l->s->process_us, creds, l->err, l->errlen);
    else {
        say_no_key(l, p, name);
        return REFUSED;
    }
    if (status != APR_SUCCESS) say_profile(l, name);
    creds->lent = !own || by_role || by_token; /* they have filled it anew */
    return status;
}

static apr_status_t key_of(s3_lender_t *l, const char *name, s3_creds_t *creds, int *none)
{
    apr_status_t status = REFUSED;
    s3_profile_t *p = malloc(sizeof(*p));
    if (p == NULL) return APR_ENOMEM;
    const char *complaint = s3__profile_read(p, name);
    *none = complaint == NULL && !p->found;
    if (complaint != NULL)
        (void)snprintf(l->err, l->errlen, "%s %s (profile '%s')", p->file, complaint, name);
    else if (*none)
        say_no_profile(l, p, name);
    else
        status = key_by(l, p, name, creds);
    explicit_bzero(p, sizeof(*p));
    free(p);
    return status;
}

apr_status_t s3__profile_key(s3_t *s, const vfs_ctx_t *ctx, s3_creds_t *creds, int *absent,
                             char *err, size_t errlen)
{
    const char *name = s->profile != NULL ? s->profile : s3__environment("AWS_PROFILE", NULL);
    int named = name != NULL || s3__environment("AWS_SHARED_CREDENTIALS_FILE", NULL) != NULL;
    int none = 0;
    s3_lender_t l = {s, ctx, 0, err, errlen};
    apr_status_t status = key_of(&l, name != NULL ? name : "default", creds, &none);
    *absent = none && !named;
    return status;
}
