/*
 * trace_source.c - the bytes of a trace file, unpacked where the name ends in .zst.
 * Floor 4, private to tools/. Without libzstd such a file is an error that says so.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef CACHEFS_WITH_ZSTD
#include <zstd.h>
#endif

#include "tools/trace.h"

struct trace_source_t {
    FILE *file;
#ifdef CACHEFS_WITH_ZSTD
    ZSTD_DStream *stream; /* NULL: the file is plain */
    ZSTD_inBuffer in;
    unsigned char *packed;
    size_t packed_size;
    size_t more; /* what the stream said last: 0 between frames */
#endif
};

const char *trace_zstd_version(void)
{
#ifdef CACHEFS_WITH_ZSTD
    return ZSTD_versionString();
#else
    return NULL;
#endif
}

static int is_packed(const char *path)
{
    size_t length = strlen(path);
    return length > 4 && strcmp(path + length - 4, ".zst") == 0;
}

#ifdef CACHEFS_WITH_ZSTD
static int start_unpacking(trace_source_t *source)
{
    source->packed_size = ZSTD_DStreamInSize();
    source->packed = malloc(source->packed_size);
    source->stream = ZSTD_createDStream();
    source->in.src = source->packed;
    return source->packed != NULL && source->stream != NULL ? 0 : -1;
}

static long unpack(trace_source_t *source, void *buffer, size_t size, char *why, size_t why_size)
{
    ZSTD_outBuffer out = {buffer, size, 0};
    while (out.pos < size) {
        if (source->in.pos == source->in.size) {
            source->in.size = fread(source->packed, 1, source->packed_size, source->file);
            source->in.pos = 0;
            if (source->in.size == 0 && source->more != 0) {
                (void)snprintf(why, why_size, "it ends within a packed frame");
                return -1;
            }
            if (source->in.size == 0) break;
        }
        source->more = ZSTD_decompressStream(source->stream, &out, &source->in);
        if (ZSTD_isError(source->more)) {
            (void)snprintf(why, why_size, "cannot unpack it: %s", ZSTD_getErrorName(source->more));
            return -1;
        }
    }
    return (long)out.pos;
}
#endif

trace_source_t *trace_source_open(const char *path, char *why, size_t size)
{
    trace_source_t *source = calloc(1, sizeof(*source));
    if (source == NULL) {
        (void)snprintf(why, size, "out of memory");
        return NULL;
    }
#ifndef CACHEFS_WITH_ZSTD
    if (is_packed(path)) {
        (void)snprintf(why, size, "this program was built without libzstd: unpack it first");
        free(source);
        return NULL;
    }
#endif
    source->file = fopen(path, "rb");
    if (source->file == NULL) {
        (void)snprintf(why, size, "%s", strerror(errno));
        free(source);
        return NULL;
    }
#ifdef CACHEFS_WITH_ZSTD
    if (is_packed(path) && start_unpacking(source) != 0) {
        (void)snprintf(why, size, "out of memory");
        trace_source_close(source);
        return NULL;
    }
#endif
    return source;
}

long trace_source_read(trace_source_t *source, void *buffer, size_t size, char *why,
                       size_t why_size)
{
    long got;
#ifdef CACHEFS_WITH_ZSTD
    if (source->stream != NULL)
        got = unpack(source, buffer, size, why, why_size);
    else
#endif
        got = (long)fread(buffer, 1, size, source->file);
    if (ferror(source->file)) {
        (void)snprintf(why, why_size, "cannot read it");
        return -1;
    }
    return got;
}

void trace_source_close(trace_source_t *source)
{
#ifdef CACHEFS_WITH_ZSTD
    (void)ZSTD_freeDStream(source->stream);
    free(source->packed);
#endif
    (void)fclose(source->file); /* was only read */
    free(source);
}
