/*
 * issuer.c - who lends keys for a time: STS for a token (web identity), the agent of a container,
 * the metadata service of a machine. Floor 2.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "backends/remote/json.h"
#include "backends/remote/xml.h"
#include "backends/s3/question.h"

#define TOKEN_MAX 20000u /* of web identity, says STS */

void s3__question_free(s3_question_t *q)
{
    if (q == NULL) return;
    if (q->data != NULL) explicit_bzero(q->data, q->len);
    free(q->data);
    remote__answer_free(&q->answer);
    explicit_bzero(q, sizeof(*q));
    free(q);
}

/* ---- asking */

apr_status_t s3__question_header(struct curl_slist **headers, const char *line)
{
    struct curl_slist *more = curl_slist_append(*headers, line);
    if (more == NULL) return APR_ENOMEM;
    *headers = more;
    return APR_SUCCESS;
}

static apr_status_t prepare(void *baton, struct curl_slist **headers)
{
    s3_question_t *q = baton;
    char line[128];
    apr_status_t status =
        q->header[0] != '\0' ? s3__question_header(headers, q->header) : APR_SUCCESS;
    if (status != APR_SUCCESS || q->type == NULL) return status;
    (void)snprintf(line, sizeof(line), "Content-Type: %s", q->type);
    status = s3__question_header(headers, line);
    return status == APR_SUCCESS && q->more != NULL ? q->more(q, headers) : status;
}

static apr_status_t begin(void *baton, const remote_answer_t *answer)
{
    (void)answer;
    ((s3_question_t *)baton)->text_len = 0;
    return APR_SUCCESS;
}

static apr_status_t body(void *baton, const void *data, size_t len)
{
    s3_question_t *q = baton;
    if (len > S3_REPLY_MAX - q->text_len) return VFS_ELIMIT;
    memcpy(q->text + q->text_len, data, len);
    q->text_len += len;
    return APR_SUCCESS;
}

/* Whoever is asked is asked rarely, so there is no connection to keep. */
apr_status_t s3__question_ask(s3_question_t *q, const vfs_ctx_t *ctx)
{
    remote_t *remote = NULL;
    const remote_send_t send = {.data = q->data, .len = q->len};
    const remote_request_t request = {.method = q->method,
                                      .url = q->url,
                                      .flags = REMOTE_AGAIN | REMOTE_TELL,
                                      .prepare = prepare,
                                      .begin = begin,
                                      .body = body,
                                      .baton = q,
                                      .send = q->len > 0 ? &send : NULL};
    q->config.base = q->url;
    remote__answer_free(&q->answer);
    apr_status_t status = remote__create(&remote, &q->config, q->answer.why, sizeof(q->answer.why));
    if (status != APR_SUCCESS) return status;
    status = remote__send(remote, ctx, &request, &q->answer);
    remote__destroy(remote);
    q->text[q->text_len] = '\0';
    if (status != APR_SUCCESS) return status;
    if (q->answer.status >= 200 && q->answer.status < 300) return APR_SUCCESS;
    return q->answer.status >= 500 || q->answer.status == 429 ? VFS_EOFFLINE
                                                              : APR_FROM_OS_ERROR(EACCES);
}

/* Somebody near, who answers at once or never. */
s3_question_t *s3__question_near(int64_t limit_us, uint64_t retries)
{
    s3_question_t *q = calloc(1, sizeof(*q));
    if (q == NULL) return NULL;
    remote__config_init(&q->config);
    q->config.proxy = "";
    q->config.connections = 1;
    q->config.retries = retries;
    q->config.connect_us = q->config.first_byte_us = q->config.stall_us = limit_us;
    q->method = "GET";
    return q;
}

/* What is wrong, in a few words. */
const char *s3__question_reason(const s3_question_t *q, const char *code, apr_status_t status,
                                char *out, size_t size)
{
    char text[128];
    if (code[0] != '\0')
        (void)snprintf(out, size, "%s", code);
    else if (q->answer.status != 0)
        (void)snprintf(out, size, "HTTP %ld", q->answer.status);
    else
        (void)snprintf(out, size, "%s",
                       q->answer.why[0] != '\0' ? q->answer.why
                                                : vfs_strerror(status, text, sizeof(text)));
    return out;
}

/* ---- what is answered */

static int put(char *out, size_t size, const char *text, size_t len)
{
    if (len >= size || strcspn(text, "\r\n") < len) return 0;
    memcpy(out, text, len);
    out[len] = '\0';
    return 1;
}

/* A time that may say how far it is from that of Greenwich: "+02:00". */
static int64_t ends_at(const char *text)
{
    int64_t us = s3__time(text) / 1000;
    const char *behind = strchr(text, 'T'), *zone = NULL;
    if (behind != NULL) zone = strpbrk(behind, "+-");
    if (us == 0 || zone == NULL || strspn(zone + 1, "0123456789:") < 5) return us;
    int64_t minutes = 60 * strtoll(zone + 1, NULL, 10) + strtoll(zone + 4, NULL, 10);
    return us - (zone[0] == '-' ? -minutes : minutes) * 60000000;
}

/* 0: that cannot be one. */
static int take_field(s3_creds_t *creds, const char *name, const char *text, size_t len)
{
    if (strcmp(name, "AccessKeyId") == 0) return put(creds->id, sizeof(creds->id), text, len);
    if (strcmp(name, "SecretAccessKey") == 0)
        return put(creds->secret, sizeof(creds->secret), text, len);
    if (strcmp(name, "Token") == 0 || strcmp(name, "SessionToken") == 0)
        return put(creds->token, sizeof(creds->token), text, len);
    if (strcmp(name, "Expiration") == 0) creds->expires_us = ends_at(text);
    if (strcmp(name, "Version") == 0) return strcmp(text, "1") == 0; /* of what programs print */
    return 1;
}

static apr_status_t whole(const s3_creds_t *creds)
{
    return creds->id[0] != '\0' && creds->secret[0] != '\0' ? APR_SUCCESS : VFS_EFORMAT;
}

apr_status_t s3__lent_json(s3_creds_t *creds, char code[64], const char *text, size_t len)
{
    char value[sizeof(creds->token)], name[32];
    remote_json_t in = {.at = text, .end = text + len, .text = value, .room = sizeof(value)};
    memset(creds, 0, sizeof(*creds));
    code[0] = '\0';
    int good = remote__json_mark(&in, '{') && !remote__json_mark(&in, '}');
    while (good) {
        good = remote__json_string(&in);
        memset(name, 0, sizeof(name)); /* a long one is none that counts */
        if (good && in.len < sizeof(name)) memcpy(name, in.text, in.len);
        good = good && remote__json_mark(&in, ':') && remote__json_value(&in);
        if (good && (strcmp(name, "Code") == 0 || strcmp(name, "code") == 0))
            (void)put(code, 64, in.text, strcmp(in.text, "Success") != 0 ? in.len : 0);
        else
            good = good && (!in.cut || name[0] == '\0') && take_field(creds, name, in.text, in.len);
        if (good && !remote__json_mark(&in, ',')) break;
    }
    good = good && remote__json_mark(&in, '}');
    explicit_bzero(value, sizeof(value));
    return good ? whole(creds) : VFS_EFORMAT;
}

static apr_status_t on_element(void *baton, const char *space, const char *name, const char *text,
                               size_t len)
{
    (void)space;
    return take_field(baton, name, text, len) ? APR_SUCCESS : VFS_EFORMAT;
}

apr_status_t s3__lent_xml(s3_creds_t *creds, const char *text, size_t len)
{
    static const remote_xml_events_t events = {NULL, on_element};
    remote_xml_t *xml = NULL;
    memset(creds, 0, sizeof(*creds));
    apr_status_t status = remote__xml_new(&xml, &events, creds);
    if (status == APR_SUCCESS) status = remote__xml_feed(xml, text, len);
    if (status == APR_SUCCESS) status = remote__xml_finish(xml);
    remote__xml_free(xml);
    return status == APR_SUCCESS ? whole(creds) : status;
}

/* ---- web identity */

/* A file of one word, in `out`. NULL, or what is wrong. */
static const char *read_word(const char *name, char *out, size_t size)
{
    FILE *file = fopen(name, "re");
    if (file == NULL) return strerror(errno);
    size_t len = fread(out, 1, size, file);
    int bad = ferror(file);
    (void)fclose(file); /* it was read only */
    if (bad) return "cannot be read";
    while (len > 0 && strchr(" \t\r\n", out[len - 1]) != NULL)
        len--;
    if (len == 0) return "is empty";
    if (len >= size) return "is too long";
    out[len] = '\0';
    return strlen(out) == len && out[strcspn(out, " \t\r\n")] == '\0' ? NULL : "has several words";
}

/* What is sent to STS, encoded as a form. NULL after a complaint. */
static char *web_form(const char *role, const char *file, const char *session, char *err,
                      size_t errlen)
{
    const size_t size = 3 * TOKEN_MAX + 8192;
    char name[64], *token = malloc(TOKEN_MAX), *form = calloc(1, size);
    const char *complaint =
        token != NULL && form != NULL ? read_word(file, token, TOKEN_MAX) : "no memory";
    (void)snprintf(name, sizeof(name), "cachefs-%lld", (long long)(vfs_now_ns() / 1000000000));
    if (session == NULL || session[0] == '\0') session = name;
    int good = complaint == NULL &&
               s3__query_add(form, size, "Action", "AssumeRoleWithWebIdentity") &&
               s3__query_add(form, size, "Version", "2011-06-15") &&
               s3__query_add(form, size, "RoleArn", role) &&
               s3__query_add(form, size, "RoleSessionName", session) &&
               s3__query_add(form, size, "WebIdentityToken", token);
    if (complaint != NULL)
        (void)snprintf(err, errlen,
                       "AWS_WEB_IDENTITY_TOKEN_FILE: %s: %s; whoever lends the identity has to "
                       "write the token there, or unset the variable",
                       file, complaint);
    else if (!good)
        (void)snprintf(err, errlen, "AWS_ROLE_ARN or AWS_ROLE_SESSION_NAME is too long");
    if (token != NULL) explicit_bzero(token, TOKEN_MAX);
    free(token);
    if (good) return form;
    free(form);
    return NULL;
}

static const s3_advice_t web_advice[] = {
    {"ExpiredTokenException", "the token of AWS_WEB_IDENTITY_TOKEN_FILE has expired: whoever "
                              "lends the identity has to write a new one there"},
    {"InvalidIdentityToken", "the token of AWS_WEB_IDENTITY_TOKEN_FILE is not accepted: the "
                             "account has to know its issuer and its audience"},
    {"AccessDenied", "the role does not let this identity take it: check AWS_ROLE_ARN, and "
                     "whom the role trusts"},
    {"ValidationError", "check AWS_ROLE_ARN and AWS_ROLE_SESSION_NAME"},
    {NULL, "check AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ENDPOINT_URL_STS"}};

void s3__sts_url(const s3_t *s, char *out, size_t size)
{
    const char *endpoint = s3__environment("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL");
    if (endpoint == NULL)
        (void)snprintf(out, size, "https://sts.%s.amazonaws.com%s/", s->region,
                       strncmp(s->region, "cn-", 3) == 0 ? ".cn" : "");
    else
        (void)snprintf(out, size, "%s%s", endpoint,
                       endpoint[strlen(endpoint) - 1] == '/' ? "" : "/");
}

s3_question_t *s3__question_sts(const s3_t *s)
{
    s3_question_t *q = s3__question_near(10000000, 2);
    if (q == NULL) return NULL;
    const remote_config_t *ours = remote__config(s->state.remote);
    q->config.proxy = ours->proxy;
    q->config.cacert = ours->cacert;
    q->config.verify = ours->verify;
    q->method = "POST";
    q->type = "application/x-www-form-urlencoded";
    s3__sts_url(s, q->url, sizeof(q->url));
    return q;
}

apr_status_t s3__lend_web(s3_t *s, const vfs_ctx_t *ctx, s3_creds_t *creds, char *err,
                          size_t errlen)
{
    return s3__lend_token(s, ctx, getenv("AWS_ROLE_ARN"), getenv("AWS_WEB_IDENTITY_TOKEN_FILE"),
                          getenv("AWS_ROLE_SESSION_NAME"), creds, err, errlen);
}

apr_status_t s3__lend_token(s3_t *s, const vfs_ctx_t *ctx, const char *role, const char *file,
                            const char *session, s3_creds_t *creds, char *err, size_t errlen)
{
    if (role == NULL || role[0] == '\0') {
        (void)snprintf(err, errlen,
                       "AWS_WEB_IDENTITY_TOKEN_FILE is set, and AWS_ROLE_ARN is not: "
                       "set it to the role that the token is for");
        return APR_FROM_OS_ERROR(EACCES);
    }
    s3_question_t *q = s3__question_sts(s);
    if (q == NULL) return APR_ENOMEM;
    q->data = web_form(role, file, session, err, errlen);
    apr_status_t status = APR_FROM_OS_ERROR(EACCES);
    if (q->data != NULL) status = s3__question_key(q, ctx, role, web_advice, creds, err, errlen);
    s3__question_free(q);
    return status;
}

/* ---- containers */

/* May a container's agent be there, who is asked without TLS? */
static int is_near(const char *host, size_t len)
{
    static const char *const agents[] = {"localhost", "169.254.170.2", "169.254.170.23",
                                         "[fd00:ec2::23]", "[::1]"};
    char text[64];
    struct in_addr v4;
    if (len == 0 || len >= sizeof(text)) return 0;
    memcpy(text, host, len);
    text[len] = '\0';
    for (size_t i = 0; i < sizeof(agents) / sizeof(agents[0]); i++)
        if (strcmp(text, agents[i]) == 0) return 1;
    return inet_pton(AF_INET, text, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

const char *s3__container_url(char *out, size_t size, const char *relative, const char *full)
{
    if (relative != NULL && relative[0] != '\0') {
        int n = snprintf(out, size, "http://169.254.170.2%s", relative);
        return relative[0] == '/' && n < (int)size
                   ? NULL
                   : "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI has to begin with '/'";
    }
    int n = full != NULL ? snprintf(out, size, "%s", full) : 0;
    if (n >= (int)size) return "AWS_CONTAINER_CREDENTIALS_FULL_URI is too long";
    if (n > 0 && strncmp(out, "https://", 8) == 0) return NULL;
    if (n > 0 && strncmp(out, "http://", 7) == 0) {
        const char *host = out + 7;
        size_t all = strcspn(host, "/?#");
        size_t len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
        if (len <= all && memchr(host, '@', all) == NULL && is_near(host, len)) return NULL;
    }
    return "AWS_CONTAINER_CREDENTIALS_FULL_URI has to be https://…, or http:// to this machine "
           "(localhost, 127.0.0.1) or to the agent of a container (169.254.170.2)";
}

/* The header that says who asks. NULL, or what is wrong. */
static const char *container_token(char *out, size_t size, char *err, size_t errlen)
{
    static const char head[] = "Authorization: ";
    const char *file = getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *token = getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN"), *complaint = NULL;
    out[0] = '\0';
    if (file != NULL && file[0] != '\0') {
        complaint = read_word(file, out + sizeof(head) - 1, size - sizeof(head) + 1);
        if (complaint != NULL) {
            (void)snprintf(err, errlen, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: %s: %s", file,
                           complaint);
            return err;
        }
        memcpy(out, head, sizeof(head) - 1);
    } else if (token != NULL && token[0] != '\0') {
        if (token[strcspn(token, "\r\n")] != '\0' || strlen(token) + sizeof(head) > size)
            return "AWS_CONTAINER_AUTHORIZATION_TOKEN is no token: it is too long, or has lines";
        (void)snprintf(out, size, "%s%s", head, token);
    }
    return NULL;
}

apr_status_t s3__lend_container(const vfs_ctx_t *ctx, s3_creds_t *creds, char *err, size_t errlen)
{
    char text[256], code[64] = "";
    s3_creds_t unwanted;
    s3_question_t *q = s3__question_near(5000000, 2);
    if (q == NULL) return APR_ENOMEM;
    const char *complaint =
        s3__container_url(q->url, sizeof(q->url), getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
                          getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI"));
    if (complaint == NULL) complaint = container_token(q->header, sizeof(q->header), err, errlen);
    if (complaint != NULL) {
        if (complaint != err) (void)snprintf(err, errlen, "%s", complaint);
        s3__question_free(q);
        return APR_FROM_OS_ERROR(EACCES);
    }
    apr_status_t status = s3__question_ask(q, ctx);
    int answered = status == APR_SUCCESS;
    if (answered)
        status = s3__lent_json(creds, code, q->text, q->text_len);
    else if (q->answer.said != NULL)
        (void)s3__lent_json(&unwanted, code, q->answer.said, q->answer.said_len);
    if (status != APR_SUCCESS)
        (void)snprintf(
            err, errlen,
            "the agent of the container (AWS_CONTAINER_CREDENTIALS_*_URI) lends no key: %s; %s",
            answered ? "what it says is no key"
                     : s3__question_reason(q, code, status, text, sizeof(text)),
            status == VFS_EOFFLINE ? "is it up?"
                                   : "has the task a role, and is "
                                     "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE the right one?");
    s3__question_free(q);
    return status;
}

/* ---- machines */

/* Where the metadata service is. */
static const char *machine_base(void)
{
    const char *endpoint = s3__environment("AWS_EC2_METADATA_SERVICE_ENDPOINT", NULL);
    const char *mode = s3__environment("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", NULL);
    if (endpoint != NULL) return endpoint;
    return mode != NULL && strcasecmp(mode, "IPv6") == 0 ? "http://[fd00:ec2::254]"
                                                         : "http://169.254.169.254";
}

/* One request of the dialogue; what came before goes into its URL. */
static apr_status_t machine_ask(s3_question_t *q, const vfs_ctx_t *ctx, const char *path,
                                const char *name)
{
    const char *base = machine_base();
    size_t len = strlen(base);
    while (len > 0 && base[len - 1] == '/')
        len--;
    int n = snprintf(q->url, sizeof(q->url), "%.*s/latest/%s%s", (int)len, base, path, name);
    return n < (int)sizeof(q->url) ? s3__question_ask(q, ctx) : APR_ENAMETOOLONG;
}

/* Its first line is a name; 0: it is none. */
static int take_name(s3_question_t *q, char *out, size_t size)
{
    size_t len = strcspn(q->text, "\r\n");
    if (len == 0 || len >= size) return 0;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)q->text[i] <= ' ' || (unsigned char)q->text[i] > '~' ||
            strchr("/?#%\\", q->text[i]) != NULL)
            return 0;
    memcpy(out, q->text, len);
    out[len] = '\0';
    return 1;
}

apr_status_t s3__lend_machine(const vfs_ctx_t *ctx, s3_creds_t *creds, char *err, size_t errlen)
{
    static const char roles[] = "meta-data/iam/security-credentials/";
    static const char token_head[] = "X-aws-ec2-metadata-token";
    char text[256], role[256] = "", code[64] = "";
    s3_question_t *q = s3__question_near(1000000, 0);
    if (q == NULL) return APR_ENOMEM;
    q->method = "PUT";
    (void)snprintf(q->header, sizeof(q->header), "%s-ttl-seconds: 21600", token_head);
    apr_status_t status = machine_ask(q, ctx, "api/token", "");
    const char *what = "lends no key";
    q->method = "GET";
    if (status == APR_SUCCESS) {
        q->text[strcspn(q->text, "\r\n")] = '\0';
        (void)snprintf(q->header, sizeof(q->header), "%s: %.4096s", token_head, q->text);
        status = machine_ask(q, ctx, roles, "");
        if (q->answer.status == 404) what = "knows no role: the machine needs an instance profile";
    }
    if (status == APR_SUCCESS && !take_name(q, role, sizeof(role))) status = VFS_EFORMAT;
    if (status == APR_SUCCESS) status = machine_ask(q, ctx, roles, role);
    if (status == APR_SUCCESS) status = s3__lent_json(creds, code, q->text, q->text_len);
    if (status != APR_SUCCESS)
        (void)snprintf(err, errlen, "the metadata service of the machine (%s) %s: %s",
                       machine_base(), what,
                       status == VFS_EFORMAT && code[0] == '\0'
                           ? "what it says is no key"
                           : s3__question_reason(q, code, status, text, sizeof(text)));
    s3__question_free(q);
    return status;
}
