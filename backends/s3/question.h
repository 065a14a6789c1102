/*
 * question.h - questions to those who lend keys. Floor 2, private to backends/s3/. What is said and
 * answered are secrets: nothing of it goes into a trace or a message, but for the code of a
 * refusal.
 */
#ifndef BACKENDS_S3_QUESTION_H
#define BACKENDS_S3_QUESTION_H

#include "backends/s3/s3.h"

#define S3_REPLY_MAX 65536u

/** One question, and what was answered. */
typedef struct s3_question_t {
    const char *method;
    char url[2048];
    char header[8192]; /**< a line more; "": none */
    const char *type;  /**< of the body; NULL: there is none */
    char *data;
    size_t len;
    /** With a type: what it adds to the headers of each attempt; may be NULL. */
    apr_status_t (*more)(struct s3_question_t *q, struct curl_slist **headers);
    const void *baton; /**< of `more` */
    remote_config_t config;
    remote_answer_t answer;
    char text[S3_REPLY_MAX + 1];
    size_t text_len;
} s3_question_t;

/** What to do about a refusal, by its code. The last row has none, and is for all others. */
typedef struct s3_advice_t {
    const char *code, *advice;
} s3_advice_t;

/** To somebody near, who answers at once or never. NULL: no memory. */
s3_question_t *s3__question_near(int64_t limit_us, uint64_t retries);
/** To STS, by the network options of the URI. */
s3_question_t *s3__question_sts(const s3_t *s);
void s3__question_free(s3_question_t *q);
apr_status_t s3__question_header(struct curl_slist **headers, const char *line);
/** APR_SUCCESS: it is a 2xx, and its body is in `text`. */
apr_status_t s3__question_ask(s3_question_t *q, const vfs_ctx_t *ctx);
/** What is wrong, in a few words. */
const char *s3__question_reason(const s3_question_t *q, const char *code, apr_status_t status,
                                char *out, size_t size);
/** Ask STS, as `q` says, for a key of `role`. After a failure `err` says what to do. */
apr_status_t s3__question_key(s3_question_t *q, const vfs_ctx_t *ctx, const char *role,
                              const s3_advice_t *rows, s3_creds_t *creds, char *err, size_t errlen);
void s3__sts_url(const s3_t *s, char *out, size_t size);

#endif
