/*
 * trace_read.c - the formats of trace files.
 * Floor 4, private to tools/.
 *
 * oracle  libCacheSim's oracleGeneral: records of 24 bytes, little-endian: u32 time, u64 object,
 *         u32 bytes, i64 index of its next request (not needed: it is found again)
 * csv     lines of columns with commas; a first line of names tells which is the object ("id",
 *         "obj", "obj_id", "object", "key", "block", "path") and which the size ("size", "bytes",
 *         "obj_size"). Without it: one column is the object, two are object and size, more are
 *         time, object, size. An object is a number or any text
 * lirs    one block number a line; "*" and empty lines are nothing
 * arc     lines of four numbers: first block, how many, and two that are ignored
 * access  the access log of a mount, which begins with "# cachefs access log": each 16 KiB that a
 *         successful read or write touched is a request of that block; other calls are nothing
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tools/trace.h"
#include "vfs/digest.h"

#define LINE_MAX_BYTES 32768u
#define RECORD_BYTES 24u
#define RECORDS 4096u
#define ARC_BLOCKS_MAX (1u << 20) /* a line that asks for more is damaged */
#define COLUMNS_MAX 64
#define ACCESS_HEAD "# cachefs access log "
#define ACCESS_BLOCK 16384u         /* what the cache fetches at least */
#define ACCESS_BYTES_MAX (1u << 30) /* a call of more is damaged */

typedef struct reader_t {
    trace_source_t *source;
    trace_builder_t builder;
    trace_format_e format;
    int id_column, size_column; /* csv; -1: not known yet, none */
    int columns_known;
    uint64_t line;
    char *why;
    size_t why_size;
} reader_t;

static const char *const format_names[] = {"guess", "oracle", "csv", "lirs", "arc", "access"};

int trace_format_find(const char *name)
{
    for (int i = TRACE_ORACLE; i <= TRACE_ACCESS; i++)
        if (strcmp(format_names[i], name) == 0) return i;
    return -1;
}

static int fail(reader_t *reader, const char *what)
{
    if (reader->line > 0)
        (void)snprintf(reader->why, reader->why_size, "line %llu: %s",
                       (unsigned long long)reader->line, what);
    else
        (void)snprintf(reader->why, reader->why_size, "%s", what);
    return -1;
}

static int add(reader_t *reader, uint64_t id, uint64_t bytes)
{
    if (trace_builder_add(&reader->builder, id, bytes) == 0) return 0;
    return fail(reader, "it is too large for the memory, or has over 4,294,967,294 requests");
}

/* ---- oracleGeneral */

static uint64_t little_endian(const unsigned char *at, int bytes)
{
    uint64_t value = 0;
    while (bytes-- > 0)
        value = value << 8 | at[bytes];
    return value;
}

static int read_oracle(reader_t *reader)
{
    size_t size = (size_t)RECORDS * RECORD_BYTES;
    unsigned char *buffer = malloc(size);
    int result = buffer != NULL ? 0 : fail(reader, "out of memory");
    long got = 0;
    while (result == 0) {
        got = trace_source_read(reader->source, buffer, size, reader->why, reader->why_size);
        if (got <= 0) break;
        if (got % (long)RECORD_BYTES != 0)
            result = fail(reader, "it ends within a record of 24 bytes: is it oracleGeneral?");
        for (long i = 0; i < got && result == 0; i += (long)RECORD_BYTES)
            result =
                add(reader, little_endian(buffer + i + 4, 8), little_endian(buffer + i + 12, 4));
        if ((size_t)got < size) break;
    }
    free(buffer);
    return got < 0 ? -1 : result;
}

/* ---- text */

static uint64_t id_of(const char *text)
{
    char *end = NULL;
    uint64_t id = strtoull(text, &end, 10);
    if (isdigit((unsigned char)text[0]) && *end == '\0') return id;
    return vfs__hash64(text, strlen(text), 0);
}

static int is_one_of(const char *name, const char *const *names)
{
    for (; *names != NULL; names++)
        if (strcasecmp(name, *names) == 0) return 1;
    return 0;
}

static char *trim(char *text)
{
    size_t length;
    while (isspace((unsigned char)*text) || *text == '"')
        text++;
    length = strlen(text);
    while (length > 0 && (isspace((unsigned char)text[length - 1]) || text[length - 1] == '"'))
        text[--length] = '\0';
    return text;
}

static int split(char *line, char **columns)
{
    int count = 0;
    for (char *next = line; next != NULL && count < COLUMNS_MAX; count++) {
        char *column = next;
        next = strchr(column, ',');
        if (next != NULL) *next++ = '\0';
        columns[count] = trim(column);
    }
    return count;
}

/* From the first line: which column is what. Returns whether it is a line of names. */
static int learn_columns(reader_t *reader, char *const *columns, int count)
{
    static const char *const ids[] = {"id",  "obj",   "obj_id", "object", "object_id",
                                      "key", "block", "path",   NULL};
    static const char *const sizes[] = {"size", "bytes", "obj_size", "object_size", NULL};
    reader->columns_known = 1;
    reader->id_column = reader->size_column = -1;
    for (int i = 0; i < count; i++) {
        if (is_one_of(columns[i], ids)) reader->id_column = i;
        if (is_one_of(columns[i], sizes)) reader->size_column = i;
    }
    if (reader->id_column >= 0) return 1;
    reader->id_column = count >= 3 ? 1 : 0;
    reader->size_column = count == 1 ? -1 : reader->id_column + 1;
    return 0;
}

static int csv_line(reader_t *reader, char *line)
{
    char *columns[COLUMNS_MAX];
    int count = split(line, columns);
    uint64_t bytes = 1;
    if (!reader->columns_known && learn_columns(reader, columns, count)) return 0;
    if (count <= reader->id_column || count <= reader->size_column)
        return fail(reader, "it has too few columns");
    if (reader->size_column >= 0) {
        const char *text = columns[reader->size_column];
        char *end = NULL;
        bytes = strtoull(text, &end, 10);
        if (!isdigit((unsigned char)text[0]) || *end != '\0')
            return fail(reader, "its size is no number");
    }
    return add(reader, id_of(columns[reader->id_column]), bytes);
}

static int lirs_line(reader_t *reader, char *line)
{
    if (strcmp(line, "*") == 0) return 0;
    if (!isdigit((unsigned char)line[0]) || line[strspn(line, "0123456789")] != '\0')
        return fail(reader, "it is no block number");
    return add(reader, id_of(line), 1);
}

static int arc_line(reader_t *reader, char *line)
{
    char *end = NULL;
    uint64_t first = strtoull(line, &end, 10);
    uint64_t blocks = strtoull(end, &end, 10);
    if (!isdigit((unsigned char)line[0]) || blocks == 0 || blocks > ARC_BLOCKS_MAX)
        return fail(reader, "it is not \"first block, blocks, ...\"");
    for (uint64_t i = 0; i < blocks; i++)
        if (add(reader, first + i, 1) != 0) return -1;
    return 0;
}

static int number_in(const char *text, uint64_t *number)
{
    char *end = NULL;
    *number = strtoull(text, &end, 10);
    return isdigit((unsigned char)text[0]) && *end == '\0';
}

/* time, op, path, offset, bytes, done, error, ... */
static int access_line(reader_t *reader, char *line)
{
    char *columns[COLUMNS_MAX];
    uint64_t offset, done, error;
    int count = split(line, columns);
    if (strcmp(columns[0], "time_us") == 0) return 0; /* their names, at the head of each file */
    if (count < 7 || !number_in(columns[3], &offset) || !number_in(columns[5], &done) ||
        !number_in(columns[6], &error) || done > ACCESS_BYTES_MAX || offset > INT64_MAX)
        return fail(reader, "it is no line of an access log: time, op, path, offset, bytes, done, "
                            "error, ...");
    if (strcmp(columns[1], "read") != 0 && strcmp(columns[1], "write") != 0) return 0;
    if (error != 0 || done == 0) return 0;
    for (uint64_t i = offset / ACCESS_BLOCK; i <= (offset + done - 1) / ACCESS_BLOCK; i++)
        if (add(reader, vfs__hash64(columns[2], strlen(columns[2]), i), ACCESS_BLOCK) != 0)
            return -1;
    return 0;
}

static trace_format_e guess_by_line(const char *line)
{
    if (strchr(line, ',') != NULL) return TRACE_CSV;
    return strpbrk(line, " \t") != NULL ? TRACE_ARC : TRACE_LIRS;
}

static int one_line(reader_t *reader, char *line)
{
    reader->line++;
    line = trim(line);
    if (reader->format == TRACE_GUESS && strncmp(line, ACCESS_HEAD, sizeof(ACCESS_HEAD) - 1) == 0)
        reader->format = TRACE_ACCESS;
    if (line[0] == '\0' || line[0] == '#') return 0;
    if (reader->format == TRACE_GUESS) reader->format = guess_by_line(line);
    if (reader->format == TRACE_CSV) return csv_line(reader, line);
    if (reader->format == TRACE_ACCESS) return access_line(reader, line);
    return reader->format == TRACE_LIRS ? lirs_line(reader, line) : arc_line(reader, line);
}

static int read_text(reader_t *reader)
{
    char *buffer = malloc(LINE_MAX_BYTES + 1);
    size_t have = 0;
    int result = buffer != NULL ? 0 : fail(reader, "out of memory"), more = 1;
    while (result == 0 && (more || have > 0)) {
        long got = more ? trace_source_read(reader->source, buffer + have, LINE_MAX_BYTES - have,
                                            reader->why, reader->why_size)
                        : 0;
        if (got < 0) result = -1;
        if (got < (long)(LINE_MAX_BYTES - have)) more = 0;
        if (got > 0) have += (size_t)got;
        char *from = buffer, *end;
        while (result == 0 && (end = memchr(from, '\n', have - (size_t)(from - buffer))) != NULL) {
            *end = '\0';
            result = one_line(reader, from);
            from = end + 1;
        }
        have -= (size_t)(from - buffer);
        memmove(buffer, from, have);
        if (result == 0 && have == LINE_MAX_BYTES)
            result = fail(reader, "it has a line of over 32,768 bytes: is it text?");
        if (result == 0 && !more && have > 0) {
            buffer[have] = '\0';
            have = 0;
            result = one_line(reader, buffer);
        }
    }
    free(buffer);
    return result;
}

/* ---- all of them */

static int ends_with(const char *path, const char *end)
{
    size_t length = strlen(path), end_length = strlen(end);
    if (length > 4 && strcmp(path + length - 4, ".zst") == 0) length -= 4;
    return length >= end_length && strncasecmp(path + length - end_length, end, end_length) == 0;
}

static trace_format_e guess_by_name(const char *path)
{
    const char *base = strrchr(path, '/');
    base = base != NULL ? base + 1 : path;
    if (strstr(base, "oracleGeneral") != NULL || ends_with(base, ".bin")) return TRACE_ORACLE;
    if (ends_with(base, ".csv")) return TRACE_CSV;
    if (ends_with(base, ".lis") || ends_with(base, ".arc")) return TRACE_ARC;
    if (ends_with(base, ".trc") || ends_with(base, ".lirs")) return TRACE_LIRS;
    return TRACE_GUESS;
}

const char *trace_read(trace_t *trace, const char *path, trace_format_e format, int with_bytes,
                       char *why, size_t size)
{
    reader_t reader = {.why = why, .why_size = size};
    int result = -1;
    memset(trace, 0, sizeof(*trace));
    reader.format = format == TRACE_GUESS ? guess_by_name(path) : format;
    reader.source = trace_source_open(path, why, size);
    if (reader.source == NULL) return why;
    if (trace_builder_start(&reader.builder, trace, with_bytes) != 0)
        (void)fail(&reader, "out of memory");
    else
        result = reader.format == TRACE_ORACLE ? read_oracle(&reader) : read_text(&reader);
    if (result == 0 && trace->count == 0) {
        reader.line = 0;
        result = fail(&reader, "it has no requests");
    }
    trace_builder_end(&reader.builder);
    trace_source_close(reader.source);
    if (result != 0) trace_free(trace);
    return result == 0 ? NULL : why;
}
