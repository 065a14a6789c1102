/*
 * trace.c - the shim that tells of each call in one line of text, when it ends.
 * Floor 1.
 *
 * A line is
 *   OP ["PATH"[#HANDLE]] ["TEXT"]... [NAME=NUMBER]... [trace=ID] -> STATUS, BYTES, MICROSECONDS
 * for example
 *   read_at "/a b"#7 len=4096 off=0 -> ok, 4096, 12
 *   rename "/a" "/b" flags=0 -> 2, 0, 3
 * Quoted texts are paths, the second path of rename, link and copy_range, and the target of a
 * symlink or the name of an extended attribute. In them bytes below 0x20, above 0x7e, '"' and '\'
 * are written \xHH. `mode` is octal, other numbers are decimal. STATUS is "ok", the name of one of
 * our codes, or the number of another.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vfs/shims/shim.h"

/* Three texts at four bytes for each of theirs, and all the rest. */
#define TEXT_MAX (4 * (size_t)VFS_PATH_MAX)
#define LINE_BYTES (3 * (TEXT_MAX + 16) + 512)

typedef struct trace_t {
    vfs_trace_fn fn;
    void *baton;
} trace_t;

typedef struct line_t {
    size_t len;
    char text[LINE_BYTES];
} line_t;

static void put(line_t *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(line_t *line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line->text + line->len, sizeof(line->text) - line->len, format, args);
    va_end(args);
    VFS_ASSERT(n >= 0 && (size_t)n < sizeof(line->text) - line->len);
    line->len += (size_t)n;
}

/* A text longer than any path (the value of nothing that we know) ends in "...". */
static void put_text(line_t *line, const char *text)
{
    static const char hex[] = "0123456789abcdef";
    size_t start = line->len;
    if (text == NULL) return;
    put(line, " \"");
    for (const char *p = text; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (line->len - start > TEXT_MAX) {
            put(line, "...");
            break;
        }
        if (c >= 0x20 && c <= 0x7e && c != '"' && c != '\\') {
            line->text[line->len++] = (char)c;
        } else {
            const char escaped[4] = {'\\', 'x', hex[c >> 4], hex[c & 15]};
            memcpy(line->text + line->len, escaped, sizeof(escaped));
            line->len += sizeof(escaped);
        }
    }
    put(line, "\"");
}

static void put_numbers(line_t *line, const shim_call_t *call)
{
    for (size_t i = 0; i < sizeof(call->num) / sizeof(call->num[0]); i++) {
        const shim_num_t *num = &call->num[i];
        if (num->name == NULL) return;
        if (strcmp(num->name, "mode") == 0)
            put(line, " mode=0%" PRIo64, (uint64_t)num->value);
        else
            put(line, " %s=%" PRId64, num->name, num->value);
    }
}

static apr_status_t trace_begin(shim_call_t *call)
{
    call->since_ns = vfs__shim_now_ns();
    return APR_SUCCESS;
}

static apr_status_t trace_end(shim_call_t *call, apr_status_t status)
{
    const trace_t *trace = call->fs->state;
    int64_t took_us = (vfs__shim_now_ns() - call->since_ns) / 1000;
    line_t line;
    line.len = 0;
    put(&line, "%s", vfs_op_name(call->op));
    put_text(&line, call->path);
    if (call->handle != 0) put(&line, "#%" PRIu64, call->handle);
    put_text(&line, call->to);
    put_text(&line, call->text);
    put_numbers(&line, call);
    if (call->ctx != NULL && call->ctx->trace_id != 0)
        put(&line, " trace=%" PRIu64, call->ctx->trace_id);
    const char *name = status == APR_SUCCESS ? "ok" : vfs_status_name(status);
    char number[16];
    (void)snprintf(number, sizeof(number), "%d", status);
    put(&line, " -> %s, %zu, %" PRId64, name != NULL ? name : number,
        call->done != NULL ? *call->done : 0, took_us);
    trace->fn(trace->baton, line.text);
    return status;
}

static apr_status_t trace_destroy(vfs_t *fs)
{
    free(fs->state);
    return APR_SUCCESS;
}

#define SHIM trace
#include "vfs/shims/shim_ops.def"

apr_status_t vfs_trace_create(vfs_t **out, vfs_t *lower, vfs_trace_fn fn, void *baton,
                              apr_pool_t *pool)
{
    VFS_CHECK_ARG(out != NULL && lower != NULL && fn != NULL && pool != NULL);
    trace_t *trace = malloc(sizeof(*trace));
    if (trace == NULL) return APR_ENOMEM;
    *trace = (trace_t){.fn = fn, .baton = baton};
    apr_status_t status = vfs_create(out, &trace_ops, lower, trace, NULL, pool);
    if (status != APR_SUCCESS) free(trace);
    return status;
}
