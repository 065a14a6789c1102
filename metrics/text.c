/*
 * text.c - text that grows, and numbers written the same way in every locale. Floor 1.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/metrics_private.h"

static int text_grow(metrics__text_t *text, size_t len)
{
    size_t size = text->size != 0 ? text->size : 4096;
    while (size - text->len <= len)
        size *= 2; /* one more for the NUL */
    char *data = realloc(text->data, size);
    if (data == NULL) return 0;
    text->data = data;
    text->size = size;
    return 1;
}

void metrics__put_bytes(metrics__text_t *text, const char *bytes, size_t len)
{
    if (text->failed) return;
    if (text->size - text->len <= len && !text_grow(text, len)) {
        text->failed = 1;
        return;
    }
    memcpy(text->data + text->len, bytes, len);
    text->len += len;
    text->data[text->len] = '\0';
}

void metrics__put(metrics__text_t *text, const char *string)
{
    metrics__put_bytes(text, string, strlen(string));
}

void metrics__put_u64(metrics__text_t *text, uint64_t value)
{
    char digits[24];
    (void)snprintf(digits, sizeof digits, "%" PRIu64, value);
    metrics__put(text, digits);
}

/* Whatever the locale has between digits becomes a point. */
static void point(char *number)
{
    char *to = number;
    int inside = 0;
    for (const char *from = number; *from != '\0'; from++) {
        if (strchr("0123456789eE+-", *from) != NULL) {
            *to++ = *from;
            inside = 0;
        } else if (!inside) {
            *to++ = '.';
            inside = 1;
        }
    }
    *to = '\0';
}

void metrics__put_double(metrics__text_t *text, double value)
{
    char number[64];
    if (isnan(value)) {
        metrics__put(text, "NaN");
        return;
    }
    if (isinf(value)) {
        metrics__put(text, value > 0 ? "+Inf" : "-Inf");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(number, sizeof number, "%.*g", digits, value);
        if (strtod(number, NULL) == value) break;
    }
    point(number);
    metrics__put(text, number);
}

void metrics__put_seconds(metrics__text_t *text, uint64_t ns)
{
    char number[40];
    int len = snprintf(number, sizeof number, "%" PRIu64 ".%09" PRIu64, ns / 1000000000u,
                       ns % 1000000000u);
    METRICS_ASSERT(len > 0 && (size_t)len < sizeof number);
    /* 1.500000000 is 1.5, and 2.000000000 is 2.0 */
    while (number[len - 1] == '0' && number[len - 2] != '.')
        len--;
    metrics__put_bytes(text, number, (size_t)len);
}
