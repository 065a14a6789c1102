/*
 * trace_build.c - a trace in memory, grown request by request; objects get small numbers.
 * Floor 4, private to tools/. Knows nothing of files.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/trace.h"

#define ROOM_FIRST 65536u

int trace_builder_start(trace_builder_t *builder, trace_t *trace, int with_bytes)
{
    memset(trace, 0, sizeof(*trace));
    memset(builder, 0, sizeof(*builder));
    builder->trace = trace;
    builder->with_bytes = with_bytes;
    builder->table_size = ROOM_FIRST;
    builder->table = malloc(builder->table_size * sizeof(*builder->table));
    if (builder->table == NULL) return -1;
    memset(builder->table, 0xff, builder->table_size * sizeof(*builder->table));
    return 0;
}

void trace_builder_end(trace_builder_t *builder)
{
    free(builder->table);
    builder->table = NULL;
}

void trace_free(trace_t *trace)
{
    free(trace->requests);
    free(trace->bytes);
    free(trace->ids);
    memset(trace, 0, sizeof(*trace));
}

static uint64_t mixed(uint64_t id)
{
    id ^= id >> 32;
    id *= 0xd6e8feb86659fd93ull;
    return id ^ id >> 32;
}

static uint64_t find(const trace_builder_t *builder, uint64_t id)
{
    uint64_t at = mixed(id) & (builder->table_size - 1);
    while (builder->table[at] != TRACE_NEVER && builder->trace->ids[builder->table[at]] != id)
        at = (at + 1) & (builder->table_size - 1);
    return at;
}

static int grow_table(trace_builder_t *builder)
{
    uint32_t *old = builder->table;
    uint64_t size = builder->table_size * 2;
    uint32_t *table = malloc(size * sizeof(*table));
    if (table == NULL) return -1;
    memset(table, 0xff, size * sizeof(*table));
    builder->table = table;
    builder->table_size = size;
    for (uint32_t i = 0; i < builder->trace->objects; i++)
        table[find(builder, builder->trace->ids[i])] = i;
    free(old);
    return 0;
}

static int grow_requests(trace_builder_t *builder)
{
    trace_t *trace = builder->trace;
    uint64_t room = builder->room == 0 ? ROOM_FIRST : builder->room * 2;
    if (room > TRACE_NEVER) room = TRACE_NEVER;
    if (trace->count == room) return -1;
    uint32_t *requests = realloc(trace->requests, room * sizeof(*requests));
    if (requests == NULL) return -1;
    trace->requests = requests;
    if (builder->with_bytes) {
        uint32_t *bytes = realloc(trace->bytes, room * sizeof(*bytes));
        if (bytes == NULL) return -1;
        trace->bytes = bytes;
    }
    builder->room = room;
    return 0;
}

static int add_object(trace_builder_t *builder, uint64_t id, uint64_t at)
{
    trace_t *trace = builder->trace;
    if (trace->objects == builder->ids_room) {
        uint32_t room = builder->ids_room == 0 ? ROOM_FIRST / 2 : builder->ids_room * 2;
        uint64_t *ids = room > builder->ids_room ? realloc(trace->ids, room * sizeof(*ids)) : NULL;
        if (ids == NULL) return -1;
        trace->ids = ids;
        builder->ids_room = room;
    }
    trace->ids[trace->objects] = id;
    builder->table[at] = trace->objects++;
    return (uint64_t)trace->objects * 2 > builder->table_size ? grow_table(builder) : 0;
}

int trace_builder_add(trace_builder_t *builder, uint64_t id, uint64_t bytes)
{
    trace_t *trace = builder->trace;
    uint64_t at = find(builder, id);
    uint32_t object = builder->table[at];
    uint32_t size = !builder->with_bytes ? 1 : bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
    if (trace->count == builder->room && grow_requests(builder) != 0) return -1;
    if (object == TRACE_NEVER) {
        object = trace->objects;
        if (add_object(builder, id, at) != 0) return -1;
        trace->objects_bytes += size;
    }
    trace->requests[trace->count] = object;
    if (builder->with_bytes) trace->bytes[trace->count] = size;
    trace->requests_bytes += size;
    trace->count++;
    return 0;
}
