/*
 * heatlog.c - heat logs: which ranges were read, and how often. Floor 3.
 *
 *     cachefs-heat 1
 *     HEAT OFFSET LENGTH PATH      one line for each range, hottest first; bytes of the path that
 * are not printable ASCII, and '\', are written \xHH
 */
#include <stdlib.h>
#include <string.h>

#include "warming/internal.h"

#define TITLE "cachefs-heat 1"

/* ---- out */

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int by_place(const void *a, const void *b)
{
    const warm__range_t *x = a, *y = b;
    int order = strcmp(x->path, y->path);

    return order != 0 ? order : compare_u64(x->off, y->off);
}

static int by_heat(const void *a, const void *b)
{
    const warm__range_t *x = a, *y = b;
    int order = compare_u64(y->heat, x->heat);

    return order != 0 ? order : by_place(a, b);
}

/* Within a factor of two, as powers of two go: a file that was read through is one range then,
 * though some of its blocks were read once more than others. */
static int alike(uint64_t a, uint64_t b)
{
    return __builtin_clzll(a | 1) == __builtin_clzll(b | 1);
}

static size_t merge(warm__range_t *ranges, size_t count)
{
    size_t kept = 0, i;

    for (i = 1; i < count; i++) {
        warm__range_t *last = &ranges[kept];
        const warm__range_t *next = &ranges[i];

        if (strcmp(last->path, next->path) == 0 && next->off <= last->off + last->len &&
            alike(last->heat, next->heat)) {
            if (next->off + next->len > last->off + last->len)
                last->len = next->off + next->len - last->off;
            if (next->heat > last->heat) last->heat = next->heat;
        } else {
            ranges[++kept] = *next;
        }
    }
    return count == 0 ? 0 : kept + 1;
}

apr_status_t warm__heatlog_write(const char *file, warm__range_t *ranges, size_t count)
{
    char path[4 * VFS_PATH_MAX + 1];
    warm__output_t *output;
    apr_status_t status;
    size_t i;

    if (count > 0) qsort(ranges, count, sizeof(*ranges), by_place);
    count = merge(ranges, count);
    if (count > 0) qsort(ranges, count, sizeof(*ranges), by_heat);
    status = warm__output_open(&output, file);
    if (status != APR_SUCCESS) return status;
    warm__output_print(output, "%s\n", TITLE);
    for (i = 0; i < count; i++) {
        VFS_ASSERT(strlen(ranges[i].path) <= VFS_PATH_MAX);
        warm__escape(path, ranges[i].path);
        warm__output_print(output, "%llu %llu %llu %s\n", (unsigned long long)ranges[i].heat,
                           (unsigned long long)ranges[i].off, (unsigned long long)ranges[i].len,
                           path);
    }
    return warm__output_commit(output);
}

/* ---- in */

/* "HEAT OFFSET LENGTH PATH" into the item; its path is unescaped within `text`. Returns what is
 * wrong, or NULL. */
static const char *parse_range(char *text, warm__item_t *item, char *buf)
{
    uint64_t *const numbers[] = {&item->heat, &item->off, &item->len};
    const char *at = text, *fault;
    char *path;
    int dir;
    size_t i;

    for (i = 0; i < 3; i++)
        if (warm__parse_number(&at, numbers[i]) != APR_SUCCESS || *at++ != ' ')
            return "it is not \"HEAT OFFSET LENGTH PATH\"";
    if (item->heat == 0 || item->len == 0) return "heat and length begin at 1";
    if (item->off > INT64_MAX || item->len > INT64_MAX - item->off)
        return "the range is beyond any file";
    path = text + (at - text);
    if (warm__unescape(path) != APR_SUCCESS)
        return "the path has a byte that is not escaped, or wrongly";
    if (path[0] != '/') return "the path is not absolute";
    if (warm__path(path, buf, &dir, &fault) != APR_SUCCESS) return fault;
    if (dir) return "the path is that of a directory";
    item->path = buf;
    return NULL;
}

static int hotter(const void *a, const void *b)
{
    const warm__item_t *x = a, *y = b;
    int order = compare_u64(y->heat, x->heat);

    if (order == 0) order = strcmp(x->path, y->path);
    return order != 0 ? order : compare_u64(x->off, y->off);
}

static apr_status_t add_lines(warm_plan_t *plan, warm__lines_t *lines, char *err, size_t errlen)
{
    apr_status_t status = warm__lines_next(lines, err, errlen);

    if (status != APR_SUCCESS && status != APR_EOF) return status;
    if (status == APR_EOF || strcmp(lines->buf, TITLE) != 0) {
        warm__say(err, errlen, "%s, line 1: this is not a heat log (\"%s\")", lines->name, TITLE);
        return VFS_EFORMAT;
    }
    while ((status = warm__lines_next(lines, err, errlen)) == APR_SUCCESS) {
        warm__item_t item = {.size = WARM__SIZE_UNKNOWN};
        char buf[VFS_PATH_MAX + 1];
        const char *fault = parse_range(lines->buf, &item, buf);

        if (fault != NULL) {
            warm__say(err, errlen, "%s, line %llu: %s", lines->name,
                      (unsigned long long)lines->number, fault);
            return VFS_EFORMAT;
        }
        status = warm__plan_add(plan, &item);
        if (status != APR_SUCCESS) return status;
    }
    return status == APR_EOF ? APR_SUCCESS : status;
}

apr_status_t warm_plan_heat(warm_plan_t *plan, const char *file, char *err, size_t errlen)
{
    warm__lines_t *lines;
    apr_status_t status;
    size_t before;

    VFS_CHECK_ARG(plan != NULL && file != NULL);
    before = plan->count;
    status = warm__lines_open(&lines, file, err, errlen);
    if (status != APR_SUCCESS) return status;
    status = add_lines(plan, lines, err, errlen);
    warm__lines_close(lines);
    if (status != APR_SUCCESS)
        plan->count = before;
    else if (plan->count > before)
        qsort(plan->items + before, plan->count - before, sizeof(*plan->items), hotter);
    return status;
}
