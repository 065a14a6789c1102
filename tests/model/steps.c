/*
 * steps.c - random steps, and steps as lines of text. Floor 4. Names and offsets come from small
 * sets, so that steps meet each other: 4 names in 4 directories, offsets at the edges of blocks.
 */
#include <stdio.h>
#include <string.h>

#include <inttypes.h>

#include "tests/model/model.h"

static const char *const kind_names[] = {
#define X(name) #name,
    MODEL_OPS(X)
#undef X
};

/* How often a kind comes, of the sum of all. */
static const unsigned weights[MODEL_KINDS] = {
    [MODEL_open] = 14,    [MODEL_close] = 8,      [MODEL_read] = 18,     [MODEL_write] = 18,
    [MODEL_append] = 5,   [MODEL_truncate] = 2,   [MODEL_ftruncate] = 4, [MODEL_rename] = 4,
    [MODEL_unlink] = 3,   [MODEL_link] = 2,       [MODEL_mkdir] = 3,     [MODEL_rmdir] = 1,
    [MODEL_readdir] = 3,  [MODEL_stat] = 5,       [MODEL_fstat] = 3,     [MODEL_chmod] = 1,
    [MODEL_utimens] = 1,  [MODEL_sync] = 2,       [MODEL_flush] = 2,     [MODEL_get] = 4,
    [MODEL_allocate] = 2, [MODEL_copy_range] = 2, [MODEL_sync_fs] = 1,   [MODEL_invalidate] = 2,
    [MODEL_prefix] = 1,   [MODEL_clear] = 1,      [MODEL_prefetch] = 2,  [MODEL_flush_all] = 1,
};

static void random_path(model_rng_t *rng, const char *base, char *path)
{
    static const char *const dirs[] = {"", "", "", "/d", "/d", "/e", "/d/s"};
    static const char *const dir_names[] = {"/d", "/e", "/d/s", "/e/s"};
    if (model_random(rng, 12) == 0)
        snprintf(path, MODEL_PATH_MAX, "%s%s", base, dir_names[model_random(rng, 4)]);
    else
        snprintf(path, MODEL_PATH_MAX, "%s%s/%c", base, dirs[model_random(rng, 7)],
                 (char)('a' + (int)model_random(rng, 4)));
}

/* A directory; the base itself only where it is looked at. */
static void random_dir(model_rng_t *rng, const char *base, int looking, char *path)
{
    static const char *const dirs[] = {"/d", "/e", "/d/s", "/e/s", ""};
    snprintf(path, MODEL_PATH_MAX, "%s%s", base, dirs[model_random(rng, looking ? 5 : 4)]);
    if (path[0] == '\0') strcpy(path, "/");
}

static uint32_t random_open_flags(model_rng_t *rng)
{
    uint32_t flags = model_random(rng, 3) == 0 ? VFS_O_READ : VFS_O_READ | VFS_O_WRITE;
    if (model_random(rng, 10) == 0) flags = VFS_O_WRITE;
    if (model_random(rng, 2) == 0) flags |= VFS_O_CREATE;
    if ((flags & VFS_O_CREATE) && model_random(rng, 5) == 0) flags |= VFS_O_EXCL;
    if ((flags & VFS_O_WRITE) && model_random(rng, 8) == 0) flags |= VFS_O_TRUNC;
    if ((flags & VFS_O_WRITE) && model_random(rng, 8) == 0) flags |= VFS_O_APPEND;
    return flags;
}

static model_kind_e random_kind(model_rng_t *rng)
{
    unsigned sum = 0;
    for (size_t i = 0; i < MODEL_KINDS; i++)
        sum += weights[i];
    uint64_t at = model_random(rng, sum);
    size_t kind = 0;
    while (at >= weights[kind])
        at -= weights[kind++];
    return (model_kind_e)kind;
}

model_op_t model_generate(model_rng_t *rng, const char *base)
{
    static const uint32_t alloc_flags[] = {
        0, VFS_ALLOC_KEEP_SIZE, VFS_ALLOC_KEEP_SIZE | VFS_ALLOC_PUNCH_HOLE, VFS_ALLOC_ZERO_RANGE,
        VFS_ALLOC_KEEP_SIZE | VFS_ALLOC_ZERO_RANGE};
    model_op_t op;
    memset(&op, 0, sizeof op);
    op.kind = random_kind(rng);
    op.slot = (uint32_t)model_random(rng, MODEL_SLOTS);
    op.slot2 = (uint32_t)model_random(rng, MODEL_SLOTS);
    random_path(rng, base, op.path);
    random_path(rng, base, op.path2);
    op.off = model_random_off(rng);
    op.off2 = model_random_off(rng);
    op.len = model_random_len(rng);
    op.seed = model_random(rng, 1000000) + 1;
    switch (op.kind) {
    case MODEL_open:
        op.flags = random_open_flags(rng);
        break;
    case MODEL_mkdir:
    case MODEL_rmdir:
        random_dir(rng, base, 0, op.path);
        break;
    case MODEL_readdir:
    case MODEL_prefix:
        random_dir(rng, base, 1, op.path);
        break;
    case MODEL_rename:
        op.flags = model_random(rng, 6) == 0   ? VFS_RENAME_NOREPLACE
                   : model_random(rng, 6) == 0 ? VFS_RENAME_EXCHANGE
                                               : 0;
        break;
    case MODEL_allocate:
        op.flags = alloc_flags[model_random(rng, 5)];
        break;
    default:
        break;
    }
    return op;
}

void model_print(const model_op_t *op, char *line, size_t size)
{
    snprintf(line, size,
             "%s %" PRIu32 " %" PRIu32 " %s %s %" PRIu64 " %" PRIu64 " %" PRIu64 " 0x%" PRIx32
             " %" PRIu64,
             kind_names[op->kind], op->slot, op->slot2, op->path, op->path2, op->off, op->off2,
             op->len, op->flags, op->seed);
}

int model_parse(model_op_t *op, const char *line)
{
    char kind[32];
    memset(op, 0, sizeof *op);
    int fields = sscanf(line,
                        "%31s %" SCNu32 " %" SCNu32 " %47s %47s %" SCNu64 " %" SCNu64 " %" SCNu64
                        " 0x%" SCNx32 " %" SCNu64,
                        kind, &op->slot, &op->slot2, op->path, op->path2, &op->off, &op->off2,
                        &op->len, &op->flags, &op->seed);
    if (fields != 10 || op->slot >= MODEL_SLOTS || op->slot2 >= MODEL_SLOTS) return 0;
    for (size_t i = 0; i < MODEL_KINDS; i++) {
        if (strcmp(kind, kind_names[i]) == 0) {
            op->kind = (model_kind_e)i;
            return 1;
        }
    }
    return 0;
}
