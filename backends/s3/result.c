/*
 * result.c - short answers in XML: which object came of a request, or why none did. Floor 2. What
 * takes long is answered with status 200 at once, and may be refused in what follows.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "backends/remote/xml.h"
#include "backends/s3/s3.h"

typedef struct s3_reading_t {
    s3_result_t *result;
    remote_xml_t *xml;
    int begun; /* something but blanks came */
} s3_reading_t;

static void copy(char *out, size_t size, const char *text, size_t len)
{
    if (len >= size) len = 0; /* too long to be any */
    memcpy(out, text, len);
    out[len] = '\0';
}

static apr_status_t on_begin(void *baton, const char *space, const char *name)
{
    s3_result_t *result = ((s3_reading_t *)baton)->result;
    (void)space;
    if (result->root[0] == '\0') copy(result->root, sizeof(result->root), name, strlen(name));
    return APR_SUCCESS;
}

static apr_status_t on_end(void *baton, const char *space, const char *name, const char *text,
                           size_t len)
{
    s3_result_t *r = ((s3_reading_t *)baton)->result;
    (void)space;
    if (strcmp(name, "ETag") == 0 && len > 0 && len + 3 < sizeof(r->etag)) {
        const char *quote = text[0] == '"' ? "" : "\"";
        (void)snprintf(r->etag, sizeof(r->etag), "%s%s%s", quote, text, quote);
    } else if (strcmp(name, "UploadId") == 0) {
        copy(r->upload, sizeof(r->upload), text, len);
    } else if (strcmp(name, "Code") == 0) {
        copy(r->error.code, sizeof(r->error.code), text, len);
    }
    return APR_SUCCESS;
}

static apr_status_t begin(void *baton, const remote_answer_t *answer)
{
    s3_reading_t *reading = baton;
    (void)answer;
    memset(reading->result, 0, sizeof(*reading->result));
    reading->begun = 0;
    return remote__xml_reset(reading->xml);
}

/* Blanks may come first, so that the connection is not taken for dead. */
static apr_status_t body(void *baton, const void *data, size_t len)
{
    s3_reading_t *reading = baton;
    const char *bytes = data;
    while (!reading->begun && len > 0 && isspace((unsigned char)*bytes)) {
        bytes++;
        len--;
    }
    reading->begun |= len > 0;
    return remote__xml_feed(reading->xml, bytes, len);
}

static const remote_xml_events_t events = {on_begin, on_end};

apr_status_t s3__result_text(s3_result_t *result, const char *text, size_t len, size_t piece)
{
    s3_reading_t reading = {.result = result};
    memset(result, 0, sizeof(*result));
    apr_status_t status = remote__xml_new(&reading.xml, &events, &reading);
    for (size_t at = 0; at < len && status == APR_SUCCESS; at += piece)
        status = body(&reading, text + at, len - at < piece ? len - at : piece);
    if (status == APR_SUCCESS) status = remote__xml_finish(reading.xml);
    remote__xml_free(reading.xml);
    return status;
}

apr_status_t s3__do_xml(s3_t *s, const vfs_ctx_t *ctx, const s3_request_t *request,
                        remote_answer_t *answer, s3_result_t *result)
{
    s3_reading_t reading = {.result = result};
    s3_request_t ours = *request;
    s3_error_t error;
    memset(result, 0, sizeof(*result));
    memset(answer, 0, sizeof(*answer));
    apr_status_t status = remote__xml_new(&reading.xml, &events, &reading);
    if (status != APR_SUCCESS) return status;
    ours.begin = begin;
    ours.body = body;
    ours.baton = &reading;
    status = s3__do(s, ctx, &ours, answer, &error);
    if (status == APR_SUCCESS) status = remote__xml_finish(reading.xml);
    if (status == APR_SUCCESS && strcmp(result->root, "Error") == 0) {
        answer->status = 500; /* what it should have been */
        status = s3__status(answer, &result->error);
    } else if (status != APR_SUCCESS && error.code[0] != '\0') {
        result->error = error;
    }
    remote__xml_free(reading.xml);
    return status;
}
