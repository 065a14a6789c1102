/*
 * replay_private.h - what the files of the recovery share.
 * Floor 2, private to cachefs/store/replay*.c.
 */
#ifndef CACHEFS_STORE_REPLAY_PRIVATE_H
#define CACHEFS_STORE_REPLAY_PRIVATE_H

#include "cachefs/store/replay.h"

/* Where an object's records go. */
typedef enum where_e {
    WHERE_UNKNOWN = 0, /* not looked at yet */
    WHERE_FILE,        /* into `target` */
    WHERE_NOWHERE      /* not wanted any more */
} where_e;

/* An object of the journal. */
typedef struct item_t {
    uint64_t id;
    cachefs__jbase_t base;
    uint64_t based; /* LSN of that */
    char **paths;   /* names that it may have; the newest last */
    size_t npaths;
    uint64_t retired, last; /* LSNs */
    char *from, *to;        /* of a move, else NULL */
    int created;            /* ours from its creation on */
    int flushed;            /* what differs below may be ours */
    int dropped;            /* we were about to unlink it */
    int part;               /* it ends amid the copies of data that had no record */
    int beside;             /* target is the copy of a conflict */
    where_e where;
    char *target;
    int64_t mtime_ns;
    vfs_file_t *out;       /* target, open for writing */
    struct item_t *before; /* the same file, under an earlier id */
    size_t chain;          /* next one of the same bucket; SIZE_MAX: none */
} item_t;

#define BUCKETS 4096u
#define OPEN_MAX 32u

typedef struct cachefs__replay_t {
    cachefs__replay_options_t o;
    cachefs__replayed_t done;
    item_t **items; /* by id */
    size_t nitems, room;
    size_t buckets[BUCKETS]; /* of items, by identity */
    int again;               /* an earlier recovery began */
    item_t *open[OPEN_MAX];
    unsigned turn;
    uint64_t told; /* bytes at the last line of progress */
} replay_t;

void cachefs__replay_log(const replay_t *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Decide where an object's records go; makes the file if it has to be made. */
apr_status_t cachefs__replay_resolve(replay_t *r, item_t *it);
/* Has it records that count? */
int cachefs__replay_wanted(const item_t *it);
/* The newest of its names. */
const char *cachefs__replay_name(const item_t *it);

#endif
