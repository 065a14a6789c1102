/*
 * journal_private.h - what the files of the journal share.
 * Floor 2, private to cachefs/store/journal*.c.
 */
#ifndef CACHEFS_STORE_JOURNAL_PRIVATE_H
#define CACHEFS_STORE_JOURNAL_PRIVATE_H

#include <pthread.h>

#include "cachefs/rank.h"
#include "cachefs/store/journal.h"

#define JPATH_MAX (VFS_PATH_MAX + 1)

/* A file of the journal. */
typedef struct cachefs__jfile_t {
    uint64_t number;
    uint64_t size;
    uint64_t first; /* LSN; 0: its head cannot be read */
    uint64_t bound; /* its records end before this LSN: later files have the others */
    uint64_t live_from, nonce;
} cachefs__jfile_t;

/* [from, to): LSNs that no record has that can be read. */
typedef struct cachefs__jhole_t {
    uint64_t from, to;
} cachefs__jhole_t;

/* An object that is not retired. */
typedef struct cachefs__jlive_t {
    uint64_t object;      /* 0: free */
    uint64_t first, last; /* LSNs that it needs */
} cachefs__jlive_t;

/* Records on their way to the disk: kept until they are durable there. */
typedef struct cachefs__jbuffer_t {
    uint8_t *bytes;
    size_t used;
    uint64_t first, last; /* LSNs; first > last: empty */
} cachefs__jbuffer_t;

/* The first part never changes; `lock` guards the second; the third belongs to the leader (who set
 * `leading`), the fourth to who set `trimming`; before start all of it is the caller's. */
struct cachefs__journal_t {
    vfs_t *fs;
    char *dir;
    uint8_t origin[JOURNAL_ID_BYTES], session[JOURNAL_ID_BYTES];
    uint64_t bytes_max, file_bytes;
    size_t buffer_bytes;
    cachefs__jlog_fn log;
    void *baton;

    pthread_mutex_t lock;
    pthread_cond_t cond;
    cachefs__jbuffer_t buffers[2];
    cachefs__jbuffer_t *fill; /* one of them: records are appended here */
    size_t reserved;          /* of fill, for appends to come */
    uint64_t next;            /* LSN */
    uint64_t durable;         /* LSN */
    uint64_t disk;            /* bytes of files */
    uint64_t live_from;       /* what the last CHECKPOINT or head said */
    uint64_t next_object;
    cachefs__jlive_t *live; /* open addressing */
    size_t live_mask, live_used;
    cachefs__jfile_t *files; /* oldest first; the last one is written to */
    size_t nfiles, files_room;
    int leading, trimming;
    unsigned waiting; /* on cond */
    apr_status_t error;
    cachefs__jstats_t stats;

    vfs_file_t *file; /* the last of `files` */
    uint64_t nonce;   /* of it: `files` is the lock's */
    uint64_t pos;     /* in it */
    uint64_t zeroed;  /* bytes of it that exist */
    uint64_t marked;  /* LSN that a MARK in it speaks of */
    uint64_t number;
    int bad;     /* an error came: go on in another one */
    int dir_new; /* its name is not durable yet */
    int ended;   /* cachefs__journal_void was here: leading and trimming are its for good */
    uint8_t *zeros;

    uint64_t found_end;    /* what earlier sessions left, up to this LSN, counts; 0: it does not */
    uint64_t aside;        /* files up to this number are kept, for damage; 0: none */
    uint64_t start_number; /* of the session's first file; 0: not begun */
    cachefs__jfound_t found;
    cachefs__jhole_t *holes;
    size_t nholes, holes_room;
};

void cachefs__journal_log(const cachefs__journal_t *j, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The path of a file, written to buf (JPATH_MAX). */
const char *cachefs__journal_path(const cachefs__journal_t *j, uint64_t number, char *buf);

/* journal_scan.c */
apr_status_t cachefs__journal_survey(cachefs__journal_t *j, char *err, size_t errlen);

/* journal_files.c: by the leader, without the lock. */
/* Write records [at, at + len), which begin with LSN `first`, and sync them: in this file or, if
 * it is full or bad, in new ones. */
apr_status_t cachefs__journal_commit(cachefs__journal_t *j, uint8_t *at, size_t len, uint64_t first,
                                     uint64_t durable);
apr_status_t cachefs__journal_file_new(cachefs__journal_t *j, uint64_t first, uint64_t live_from);
/* Say behind the last record that this LSN is durable. */
void cachefs__journal_put_mark(cachefs__journal_t *j, uint64_t durable);
apr_status_t cachefs__journal_file_close(cachefs__journal_t *j);
/* Note a file. 0: no memory. Lock held. */
int cachefs__journal_file_add(cachefs__journal_t *j, const cachefs__jfile_t *f);

/* journal_live.c: lock held. */
int cachefs__journal_live_room(cachefs__journal_t *j);
void cachefs__journal_live_note(cachefs__journal_t *j, uint64_t object, uint64_t lsn);
void cachefs__journal_live_done(cachefs__journal_t *j, uint64_t object, uint64_t upto);
/* It needs no record before this one any more. */
void cachefs__journal_live_moved(cachefs__journal_t *j, uint64_t object, uint64_t first);
void cachefs__journal_live_none(cachefs__journal_t *j);
/* The first LSN that anybody needs; `next` if nobody does. */
uint64_t cachefs__journal_live_first(const cachefs__journal_t *j, uint64_t *object);

#endif
