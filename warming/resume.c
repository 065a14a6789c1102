/*
 * resume.c - the file that remembers what a job has done. Floor 3. Knows numbers of things only.
 *
 *     cachefs-warm-resume 1
 *     plan 4f2a9c... 1000          hash of the plan, things in it
 *     done 0-611                   ranges of things that are warm, rising
 *     done 613-613
 *     end 2                        ranges
 *
 * Work is handed out in order, so there are about as many ranges as workers, plus one for each
 * thing that failed.
 */
#include <string.h>

#include "warming/internal.h"

#define TITLE "cachefs-warm-resume 1"

static void set_bits(unsigned char *done, size_t first, size_t last)
{
    size_t i;

    for (i = first; i <= last; i++)
        done[i / 8] |= (unsigned char)(1u << (i % 8));
}

/* "done A-B" behind *from, which moves on. */
static apr_status_t parse_done(const char *text, size_t count, size_t *from, unsigned char *done)
{
    uint64_t first, last;

    if (warm__parse_number(&text, &first) != APR_SUCCESS || *text++ != '-') return VFS_EFORMAT;
    if (warm__parse_number(&text, &last) != APR_SUCCESS || *text != '\0') return VFS_EFORMAT;
    if (first < *from || last < first || last >= count) return VFS_EFORMAT;
    set_bits(done, (size_t)first, (size_t)last);
    *from = (size_t)last + 1;
    return APR_SUCCESS;
}

/* The lines behind the head. */
static apr_status_t parse_body(warm__lines_t *lines, size_t count, unsigned char *done)
{
    uint64_t ranges = 0, said;
    size_t from = 0;
    apr_status_t status;

    while ((status = warm__lines_next(lines, NULL, 0)) == APR_SUCCESS) {
        const char *text = lines->buf + 4;

        if (strncmp(lines->buf, "done ", 5) == 0) {
            status = parse_done(lines->buf + 5, count, &from, done);
            if (status != APR_SUCCESS) return status;
            ranges++;
            continue;
        }
        if (strncmp(lines->buf, "end ", 4) != 0) return VFS_EFORMAT;
        if (warm__parse_number(&text, &said) != APR_SUCCESS || *text != '\0') return VFS_EFORMAT;
        return said == ranges ? APR_SUCCESS : VFS_EFORMAT;
    }
    return status == APR_EOF ? VFS_EFORMAT : status;
}

static apr_status_t check_head(warm__lines_t *lines, uint64_t hash, size_t count, char *err,
                               size_t errlen)
{
    char expected[64];
    apr_status_t status = warm__lines_next(lines, NULL, 0);

    if (status != APR_SUCCESS || strcmp(lines->buf, TITLE) != 0) {
        warm__say(err, errlen, "\"%.200s\" is not a resume file", lines->name);
        return VFS_EFORMAT;
    }
    (void)snprintf(expected, sizeof(expected), "plan %016llx %zu", (unsigned long long)hash, count);
    status = warm__lines_next(lines, NULL, 0);
    if (status != APR_SUCCESS || strcmp(lines->buf, expected) != 0) {
        warm__say(err, errlen,
                  "\"%.200s\" belongs to another plan; remove it to warm this one from the start",
                  lines->name);
        return VFS_EFORMAT;
    }
    return APR_SUCCESS;
}

apr_status_t warm__resume_load(const char *file, uint64_t hash, size_t count, unsigned char *done,
                               char *err, size_t errlen)
{
    warm__lines_t *lines;
    apr_status_t status = warm__lines_open(&lines, file, err, errlen);

    if (APR_STATUS_IS_ENOENT(status)) {
        warm__say(err, errlen, "%s", ""); /* nothing was done yet: that is no failure */
        return APR_SUCCESS;
    }
    if (status != APR_SUCCESS) return status;
    status = check_head(lines, hash, count, err, errlen);
    if (status == APR_SUCCESS) {
        status = parse_body(lines, count, done);
        if (status != APR_SUCCESS)
            warm__say(err, errlen, "the resume file \"%.200s\" is damaged at line %llu", file,
                      (unsigned long long)lines->number);
    }
    warm__lines_close(lines);
    return status;
}

apr_status_t warm__resume_save(const char *file, uint64_t hash, size_t count,
                               const unsigned char *done)
{
    warm__output_t *output;
    size_t i = 0, last, ranges = 0;
    apr_status_t status = warm__output_open(&output, file);

    if (status != APR_SUCCESS) return status;
    warm__output_print(output, "%s\nplan %016llx %zu\n", TITLE, (unsigned long long)hash, count);
    while (i < count) {
        if (!warm__bit(done, i)) {
            i++;
            continue;
        }
        for (last = i; last + 1 < count && warm__bit(done, last + 1);)
            last++;
        warm__output_print(output, "done %zu-%zu\n", i, last);
        ranges++;
        i = last + 1;
    }
    warm__output_print(output, "end %zu\n", ranges);
    return warm__output_commit(output);
}
