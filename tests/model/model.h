/*
 * model.h - random operations on a stack, compared with a reference that is too simple to be wrong.
 * Floor 4. The reference shares no code with any backend: a flat list of paths and an array of
 * bytes for each file.
 */
#ifndef TESTS_MODEL_MODEL_H
#define TESTS_MODEL_MODEL_H

#include "tests/model/random.h"
#include "tests/stacks/sut.h"
#include "vfs/vfs_ops.h"

#define MODEL_SLOTS 6u         /**< handles that may be open at once */
#define MODEL_FILE_MAX 320000u /**< bytes in a file */
#define MODEL_PATH_MAX 48u
#define MODEL_ENTRIES_MAX 128u

/* X(name): every kind of step */
#define MODEL_OPS(X)                                                                               \
    X(open)                                                                                        \
    X(close)                                                                                       \
    X(read)                                                                                        \
    X(write)                                                                                       \
    X(append)                                                                                      \
    X(truncate) X(ftruncate) X(rename) X(unlink) X(link) X(mkdir) X(rmdir) X(readdir) X(stat)      \
        X(fstat) X(chmod) X(utimens) X(sync) X(flush) X(get) X(allocate) X(copy_range) X(sync_fs)  \
            X(invalidate) X(prefix) X(clear) X(prefetch) X(flush_all)

typedef enum model_kind_e {
#define X(name) MODEL_##name,
    MODEL_OPS(X)
#undef X
        MODEL_KINDS
} model_kind_e;

/** One step. Fields that a kind does not use are zero. */
typedef struct model_op_t {
    model_kind_e kind;
    uint32_t slot, slot2;
    char path[MODEL_PATH_MAX], path2[MODEL_PATH_MAX];
    uint64_t off, off2, len;
    uint32_t flags;
    uint64_t seed; /**< of the bytes that are written; a time or a mode for other kinds */
} model_op_t;

/* ---- random steps */

/** A step below the directory `base` ("" for the root). */
model_op_t model_generate(model_rng_t *rng, const char *base);
/** A step as a line that model_parse reads again. */
void model_print(const model_op_t *op, char *line, size_t size);
int model_parse(model_op_t *op, const char *line);

/* ---- the reference */

typedef struct ref_node_t {
    int dir;
    uint32_t mode, nlink;
    unsigned holds; /**< entries and handles */
    uint64_t size;
    unsigned char *data; /**< MODEL_FILE_MAX bytes, zero behind size; NULL for a directory */
    int64_t mtime_ns;    /**< as it was set; 0: whatever the clock said */
} ref_node_t;

typedef struct ref_entry_t {
    char path[MODEL_PATH_MAX];
    ref_node_t *node;
} ref_entry_t;

typedef struct ref_t {
    ref_entry_t entries[MODEL_ENTRIES_MAX];
    size_t count;
    struct {
        ref_node_t *node; /**< NULL: the slot is free */
        uint32_t flags;
    } slots[MODEL_SLOTS];
} ref_t;

/** Empty but for the directory `base`, or the root. */
void ref_init(ref_t *ref, const char *base);
void ref_free(ref_t *ref);
ref_node_t *ref_find(const ref_t *ref, const char *path);
/** Does a stack with these capabilities claim to do the step? To take the last name of what is
 * open, or that of an open directory, wants VFS_CAP_UNLINKED_OPEN. `keeps`: it keeps such files, if
 * they are as small as here. */
int ref_claims(const ref_t *ref, const model_op_t *op, uint64_t bits, int keeps);
/** What each step answers on Linux. */
apr_status_t ref_lookup(const ref_t *ref, const char *path, ref_node_t **node);
apr_status_t ref_open(ref_t *ref, uint32_t slot, const char *path, uint32_t flags);
void ref_close(ref_t *ref, uint32_t slot);
apr_status_t ref_resize(ref_node_t *node, uint64_t size);
void ref_write(ref_node_t *node, uint64_t off, const void *data, size_t len);
apr_status_t ref_rename(ref_t *ref, const char *from, const char *to, uint32_t flags);
/** Is `status` one of the reasons why it cannot be? Where there are several, POSIX leaves it open
 * which one is told. */
int ref_rename_fails(const ref_t *ref, const char *from, const char *to, uint32_t flags,
                     apr_status_t status);
apr_status_t ref_unlink(ref_t *ref, const char *path);
apr_status_t ref_link(ref_t *ref, const char *from, const char *to);
apr_status_t ref_mkdir(ref_t *ref, const char *path);
apr_status_t ref_rmdir(ref_t *ref, const char *path);

/* ---- a run */

typedef struct model_run_t {
    sut_t *sut;
    const char *base;
    ref_t ref;
    vfs_file_t *files[MODEL_SLOTS];
    unsigned char *buf, *want; /**< MODEL_FILE_MAX bytes each */
    apr_pool_t *pool;
    char why[400]; /**< the first difference */
} model_run_t;

apr_status_t model_start(model_run_t *run, sut_t *sut, const char *base, apr_pool_t *pool);
/** Do a step on both and compare. @return 1: the same; 0: see why. */
int model_step(model_run_t *run, const model_op_t *op);
/** Close what is open. @return 1: no error. */
int model_close_all(model_run_t *run);
/** Does `fs` hold exactly what the reference does? */
int model_compare(model_run_t *run, vfs_t *fs);
void model_end(model_run_t *run);

/** Run a sequence on a fresh stack, end it, compare what is below. @param failed the index of the
 * step that differed, `count` for the check at the end @return 1: no difference. */
int model_run(const char *spec, const model_op_t *ops, size_t count, size_t *failed, char *why,
              size_t whylen);
/** The same in a child process: a crash or a hang is a difference too. */
int model_try(const char *spec, const model_op_t *ops, size_t count, size_t *failed, char *why,
              size_t whylen);
/** Find a short subsequence that still fails, and print it. */
void model_shrink(const char *spec, const model_op_t *ops, size_t count);
/** `threads` threads, each in a directory of its own and all on shared files. @return 1: no
 * difference. */
int model_threads(const char *spec, unsigned threads, size_t ops, uint64_t seed);

#endif
