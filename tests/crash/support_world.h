/*
 * support_world.h - a few files on a write-back cache with a journal, over a store and a lower
 * layer on one disk that loses power; each file and all that it has been. What a sync acknowledged
 * has to be there whatever happens, and each file has to be a prefix of its own history.
 */
#ifndef TESTS_CRASH_SUPPORT_WORLD_H
#define TESTS_CRASH_SUPPORT_WORLD_H

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>

#include "backends/backends.h"
#include "cachefs/engine.h"
#include "vfs/shims/shims.h"

/* A check that did not hold. In a process of world_apart it is told there, and ends it. */
void world_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define OK(e)                                                                                      \
    do {                                                                                           \
        apr_status_t st_ = (e);                                                                    \
        char text_[128];                                                                           \
        if (st_) world_wrong("%s: %s", #e, vfs_strerror(st_, text_, sizeof(text_)));               \
    } while (0)
#define CHECK(e)                                                                                   \
    do {                                                                                           \
        if (!(e)) world_wrong("%s", #e);                                                           \
    } while (0)

#define FILES 3u
#define STATES 192u
#define FILE_BYTES 12288u

typedef struct state_t {
    uint32_t size;
    uint8_t bytes[FILE_BYTES];
} state_t;

/* A file and all that it has been. */
typedef struct file_t {
    int exists, acked_name, gone;
    char name[16], old[16]; /* `old`: while a rename is under way */
    vfs_file_t *f;
    unsigned states, acked;
    state_t *history;
} file_t;

typedef struct world_t {
    apr_pool_t *pool;
    vfs_t *mem, *crash, *trace; /* one disk, and what is heard of it */
    vfs_t *sub, *lower;         /* two directories of it */
    vfs_t *store, *fs;          /* faults over the one; the cache over the other */
    uint32_t seed;
    unsigned names;
    uint64_t written; /* bytes of the last write to the disk */
    file_t files[FILES];
} world_t;

void world_open(world_t *w, uint32_t seed);
/* The cache begins, on what is there: a recovery first. */
apr_status_t world_begin(world_t *w);
/* So many random steps, or until power is off. */
void world_live(world_t *w, unsigned steps);
int world_power_is_off(world_t *w);
/* Power is lost, in the k-th way; the process with it. All is kept, all that was not synced is
 * lost, two random subsets are, and the last write is torn at each multiple of 512. */
#define WORLD_WAYS 6u /* that there always are */
#define WORLD_RANDOM_FROM 2u
#define WORLD_TEARS_FROM 4u
void world_power(world_t *w, size_t k);
/* So many ways there are now: of the last write has something stayed, and not all of it. */
size_t world_ways(const world_t *w);
/* The process is gone, the power was off before. Nothing has been chosen yet. */
void world_gone(world_t *w);
/* What `fn` does to the world in a process of its own, and what it answers: 0 or 1. */
int world_apart(world_t *w, int (*fn)(world_t *w, size_t a, size_t b), size_t a, size_t b);
/* What is there now, through the cache: acknowledged, and a prefix. */
void world_check(world_t *w);
/* After two failures at once: what was acknowledged, and no byte that was never there. */
void world_check_acknowledged(world_t *w);
void world_close(world_t *w);

#endif
