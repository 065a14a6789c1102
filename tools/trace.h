/*
 * trace.h - a trace of accesses, as `cachefs replay` runs it.
 * Floor 4, private to tools/.
 */
#ifndef TOOLS_TRACE_H
#define TOOLS_TRACE_H

#include <stdint.h>

#define TRACE_NEVER UINT32_MAX

/* All of it in memory: objects are numbered in the order in which they are first seen. */
typedef struct trace_t {
    uint32_t *requests; /* the object of each */
    uint32_t *bytes;    /* the size that each request gives; NULL: all are 1 */
    uint64_t *ids;      /* of each object: its name in the trace, or the hash of that */
    uint64_t count;     /* of requests, below TRACE_NEVER */
    uint32_t objects;
    uint64_t objects_bytes;  /* of the distinct objects, each as first seen */
    uint64_t requests_bytes; /* of all requests */
} trace_t;

typedef enum trace_format_e {
    TRACE_GUESS, /* by the name of the file, and its first line */
    TRACE_ORACLE,
    TRACE_CSV,
    TRACE_LIRS,
    TRACE_ARC,
    TRACE_ACCESS
} trace_format_e;

/* The format of a name such as "csv"; -1 if there is none. */
int trace_format_find(const char *name);
/* Read a file. Returns NULL or what is wrong with it, in `why`. `with_bytes`: keep sizes. */
const char *trace_read(trace_t *trace, const char *path, trace_format_e format, int with_bytes,
                       char *why, size_t size);
void trace_free(trace_t *trace);

/* ---- trace_build.c: requests, one by one */

typedef struct trace_builder_t {
    trace_t *trace;
    uint64_t room; /* for requests */
    uint32_t ids_room;
    uint32_t *table;     /* objects by id; TRACE_NEVER: free */
    uint64_t table_size; /* a power of two */
    int with_bytes;
} trace_builder_t;

int trace_builder_start(trace_builder_t *builder, trace_t *trace, int with_bytes);
/* One more request. 0, or -1 where memory, or numbers, end. */
int trace_builder_add(trace_builder_t *builder, uint64_t id, uint64_t bytes);
void trace_builder_end(trace_builder_t *builder);

/* ---- trace_source.c: the bytes of a file, unpacked if it is packed */

typedef struct trace_source_t trace_source_t;
/* NULL after a message in `why`. */
trace_source_t *trace_source_open(const char *path, char *why, size_t size);
/* Up to `size` bytes; fewer only at the end. -1 after a message. */
long trace_source_read(trace_source_t *source, void *buffer, size_t size, char *why,
                       size_t why_size);
void trace_source_close(trace_source_t *source);
/* Can packed files be read? Its version, or NULL. */
const char *trace_zstd_version(void);

#endif
