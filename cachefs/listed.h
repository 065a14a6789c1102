/*
 * listed.h - names that are absent because a whole listing of their directory has them not
 * (listed.c). Included by engine.h. Floor 2, private to cachefs/ and its tests.
 */
#ifndef CACHEFS_LISTED_H
#define CACHEFS_LISTED_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "vfs/vfs_ops.h"

struct cache_t;
struct obj_t;

/* A filter of the names of a directory. */
typedef struct cachefs__listed_t {
    uint32_t chunk;     /* its path, and the filter behind that; NONE: nothing */
    uint32_t hash, len; /* of the path */
    uint32_t bytes, bits;
    uint32_t epoch;   /* meta_epoch, */
    int64_t asked_us; /* when it was asked for */
    uint64_t used;
} cachefs__listed_t;
#define LISTED_DIRS 64u
#define LISTING_CHANGES 64u
/* A listing under way, which becomes one. */
typedef struct cachefs__listing_t {
    struct cachefs__listing_t *next;
    const vfs_path_t *dir;
    cachefs__listed_t made;
    uint32_t epoch;
    int64_t asked_us;
    int listens; /* among those under way */
    int spoilt;
    unsigned count; /* of names that we changed meanwhile */
    uint64_t changed[LISTING_CHANGES];
} cachefs__listing_t;

/* All of them. */
typedef struct cachefs__listed_dirs_t {
    pthread_mutex_t lock; /* a leaf: what follows */
    cachefs__listed_t dirs[LISTED_DIRS];
    uint64_t bytes, uses;
    cachefs__listing_t *under_way;
    _Atomic unsigned users; /* filters, and listings under way */
} cachefs__listed_dirs_t;

/* Around a listing of the directory `dir`, which is `o` and stays as long: between them changes of
 * names are noted. */
void cachefs__listing_begin(struct cache_t *c, cachefs__listing_t *l, const vfs_path_t *dir,
                            const struct obj_t *o);
void cachefs__listing_end(struct cache_t *c, cachefs__listing_t *l);
/* It is whole, and has so many names: 0: they are not to be kept. Else each of them follows, and
 * then that it was the last. */
int cachefs__listing_room(struct cache_t *c, cachefs__listing_t *l, uint64_t names);
void cachefs__listing_name(struct cache_t *c, const cachefs__listing_t *l, const char *name,
                           size_t len);
void cachefs__listing_known(struct cache_t *c, cachefs__listing_t *l);
/* Is the name known to be absent by a listing that may be believed still? */
int cachefs__listed_absent(struct cache_t *c, const vfs_path_t *path);
/* We change this name: before that, and after. */
void cachefs__listed_change(struct cache_t *c, const vfs_path_t *path);
/* No listing of these directories counts any more: that of the name and those below it; NULL: all.
 */
void cachefs__listed_forget(struct cache_t *c, const vfs_path_t *below);

#endif
