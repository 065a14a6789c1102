/*
 * compare_reference.c - what the compared files are: sizes and checksums, read once from the origin
 * itself. Floor 4. Its file is for children of the same program, in a directory that nobody else
 * can write to.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/compare.h"
#include "vfs/digest.h"

#define MAGIC "cfsref1\n"

typedef struct header_t {
    char magic[8];
    uint64_t files, blocks, names; /* names: bytes of all paths, NULs included */
} header_t;

typedef struct record_t {
    uint64_t size, hash;
} record_t;

uint32_t reference_block_hash(const void *data, size_t len)
{
    return (uint32_t)vfs__hash64(data, len, 0);
}

/* Room for one more file and for its blocks. */
static apr_status_t make_room(reference_t *reference, uint64_t size)
{
    size_t blocks = reference->block_count + (size_t)(size / COMPARE_BLOCK) + 2;
    if (reference->count == reference->room) {
        size_t room = reference->room * 2 + 64;
        void *files = realloc(reference->files, room * sizeof(*reference->files));
        if (files == NULL) return APR_ENOMEM;
        reference->files = files;
        reference->room = room;
    }
    if (blocks > reference->block_room) {
        size_t room = blocks + reference->block_room / 2;
        void *grown = realloc(reference->blocks, room * sizeof(*reference->blocks));
        if (grown == NULL) return APR_ENOMEM;
        reference->blocks = grown;
        reference->block_room = room;
    }
    return APR_SUCCESS;
}

static apr_status_t add_file(cli_t *cli, reference_t *reference, vfs_t *fs, const char *path,
                             char *buf)
{
    vfs_file_t *file = NULL;
    vfs_attr_t attr;
    size_t got = COMPARE_CHUNK, first = reference->block_count;
    uint64_t size = 0, hash = 0;
    apr_status_t status = vfs_open(&file, fs, &cli->ctx, path, VFS_O_READ, 0, &attr, NULL);
    if (status != APR_SUCCESS) return status;
    if (attr.type == VFS_TYPE_DIR) status = APR_FROM_OS_ERROR(EISDIR);
    while (status == APR_SUCCESS && got == COMPARE_CHUNK) {
        status = vfs_read_at(file, &cli->ctx, buf, COMPARE_CHUNK, (apr_off_t)size, &got);
        size += got;
        if (status == APR_SUCCESS) status = make_room(reference, got);
        if (status != APR_SUCCESS) break;
        hash = vfs__hash64(buf, got, hash);
        for (size_t off = 0; off < got; off += COMPARE_BLOCK)
            reference->blocks[reference->block_count++] = reference_block_hash(
                buf + off, got - off < COMPARE_BLOCK ? got - off : COMPARE_BLOCK);
    }
    apr_status_t closed = vfs_close(file, &cli->ctx);
    if (status == APR_SUCCESS) status = closed;
    if (status == APR_SUCCESS) status = make_room(reference, 0);
    if (status != APR_SUCCESS) {
        reference->block_count = first;
        return status;
    }
    reference->files[reference->count++] = (reference_file_t){path, size, hash, first};
    reference->bytes += size;
    return APR_SUCCESS;
}

int reference_make(cli_t *cli, reference_t *out, vfs_t *fs, const warm_plan_t *plan)
{
    size_t count = warm_plan_count(plan);
    char *buf = malloc(COMPARE_CHUNK);
    memset(out, 0, sizeof(*out));
    if (buf == NULL) {
        cli_error(cli, "out of memory");
        return CLI_INTERNAL;
    }
    cli_progress_t *progress = cli_progress_start(cli, "reading the origin", count);
    for (size_t i = 0; i < count && !cli_stopped(cli); i++) {
        uint64_t before = out->bytes;
        const char *path = warm_plan_path(plan, i);
        apr_status_t status = add_file(cli, out, fs, path, buf);
        if (status != APR_SUCCESS) cli_file_failed(cli, cli->args[0], path, status);
        cli_progress_add(progress, out->bytes - before);
    }
    cli_progress_end(progress);
    free(buf);
    return CLI_DONE;
}

apr_status_t reference_save(const reference_t *reference, const char *file)
{
    header_t header = {MAGIC, reference->count, reference->block_count, 0};
    FILE *out = fopen(file, "wbx");
    int ok;
    if (out == NULL) return APR_FROM_OS_ERROR(errno);
    for (size_t i = 0; i < reference->count; i++)
        header.names += strlen(reference->files[i].path) + 1;
    ok = fwrite(&header, sizeof(header), 1, out) == 1;
    for (size_t i = 0; ok && i < reference->count; i++) {
        record_t record = {reference->files[i].size, reference->files[i].hash};
        ok = fwrite(&record, sizeof(record), 1, out) == 1;
    }
    for (size_t i = 0; ok && i < reference->count; i++)
        ok = fwrite(reference->files[i].path, strlen(reference->files[i].path) + 1, 1, out) == 1;
    if (ok && reference->block_count > 0)
        ok = fwrite(reference->blocks, sizeof(*reference->blocks), reference->block_count, out) ==
             reference->block_count;
    int error = errno;
    if (fclose(out) != 0 && ok) {
        error = errno;
        ok = 0;
    }
    return ok ? APR_SUCCESS : APR_FROM_OS_ERROR(error);
}

static apr_status_t load(reference_t *out, FILE *in)
{
    header_t header;
    if (fread(&header, sizeof(header), 1, in) != 1 || memcmp(header.magic, MAGIC, 8) != 0)
        return VFS_EFORMAT;
    if (header.files > SIZE_MAX / 64 || header.blocks > SIZE_MAX / 64 ||
        header.names > SIZE_MAX / 64)
        return VFS_EFORMAT;
    out->files = calloc((size_t)header.files + 1, sizeof(*out->files));
    out->names = calloc(1, (size_t)header.names + 1); /* the last path ends, whatever was read */
    out->blocks = calloc((size_t)header.blocks + 1, sizeof(*out->blocks));
    if (out->files == NULL || out->names == NULL || out->blocks == NULL) return APR_ENOMEM;
    for (uint64_t i = 0; i < header.files; i++) {
        record_t record;
        if (fread(&record, sizeof(record), 1, in) != 1) return VFS_EFORMAT;
        out->files[i].size = record.size;
        out->files[i].hash = record.hash;
    }
    if (fread(out->names, 1, (size_t)header.names, in) != header.names) return VFS_EFORMAT;
    if (fread(out->blocks, sizeof(*out->blocks), (size_t)header.blocks, in) != header.blocks)
        return VFS_EFORMAT;
    const char *name = out->names, *end = out->names + header.names;
    uint64_t block = 0;
    for (uint64_t i = 0; i < header.files; i++) {
        reference_file_t *file = &out->files[i];
        uint64_t blocks = file->size / COMPARE_BLOCK + (file->size % COMPARE_BLOCK != 0);
        if (name >= end || blocks > header.blocks - block) return VFS_EFORMAT;
        file->path = name;
        file->first_block = (size_t)block;
        name += strlen(name) + 1;
        block += blocks;
        out->bytes += file->size;
        out->count++;
    }
    out->block_count = (size_t)header.blocks;
    return APR_SUCCESS;
}

apr_status_t reference_load(reference_t *out, const char *file)
{
    FILE *in = fopen(file, "rb");
    memset(out, 0, sizeof(*out));
    if (in == NULL) return APR_FROM_OS_ERROR(errno);
    apr_status_t status = load(out, in);
    (void)fclose(in); /* it was only read */
    if (status != APR_SUCCESS) reference_free(out);
    return status;
}

void reference_free(reference_t *reference)
{
    free(reference->files);
    free(reference->blocks);
    free(reference->names);
    memset(reference, 0, sizeof(*reference));
}
