/*
 * journal.h - the write-back journal: what was acknowledged and is not below yet, on a disk of our
 * own. Floor 2, private to cachefs/ and its tests. Knows vfs only, never the engine.
 *
 * journal_format.c has the bytes, journal.c appends and commits, journal_files.c makes and deletes
 * files, journal_scan.c reads what an earlier process left. replay.c says what the records mean.
 */
#ifndef CACHEFS_STORE_JOURNAL_H
#define CACHEFS_STORE_JOURNAL_H

#include "vfs/vfs_ops.h"

/* ---- records
 *
 * A record has a number, its LSN; numbers rise by one. What an object needs is in the records of
 * its id that no RETIRE or DISCARD covers. */

typedef enum cachefs__jtype_e {
    JOURNAL_BASE = 1, /* what the object is and was based on: cachefs__jbase_t */
    JOURNAL_WRITE,    /* bytes at an offset */
    JOURNAL_RETIRE,   /* records up to an LSN are durable below */
    JOURNAL_DISCARD,  /* records up to an LSN are not wanted any more */
    JOURNAL_FLUSH,    /* from here on the lower file may have bytes of ours */
    JOURNAL_DROP,     /* its name is about to be unlinked (1: was not): if it is gone, it was us */
    JOURNAL_RENAME,   /* a name, or all below it, is about to move; retired when that is durable */
    JOURNAL_CHECKPOINT, /* of no object: all records before an LSN are dead */
    JOURNAL_REPLAY,     /* of no object: a recovery began to write below */
    JOURNAL_MARK,       /* of no object and without an LSN of its own: tells what is durable */
    JOURNAL_TYPES
} cachefs__jtype_e;

#define JOURNAL_CREATED 0x1u  /* BASE: the file is ours from its creation on */
#define JOURNAL_EXCHANGE 0x2u /* RENAME: the names change places */
#define JOURNAL_PART 0x4u     /* BASE: none of its records counts before a BASE without this */

#define JOURNAL_RECORD_BYTES 40u       /* of a record's head */
#define JOURNAL_HEADER_BYTES 4096u     /* of a file's head, which lies in it twice */
#define JOURNAL_ID_BYTES 16u           /* of an origin, of a session */
#define JOURNAL_BASE_BYTES 120u        /* of a BASE body before its path */
#define JOURNAL_WRITE_BYTES 16u        /* of a WRITE body before its bytes */
#define JOURNAL_WRITE_MAX (256u << 10) /* bytes that one WRITE holds; a larger write is several */
#define JOURNAL_BODY_MAX (JOURNAL_WRITE_MAX + JOURNAL_WRITE_BYTES)

/** A record as it is appended or was read; `body` is borrowed. */
typedef struct cachefs__jrecord_t {
    cachefs__jtype_e type;
    uint32_t flags;
    uint64_t lsn;
    uint64_t durable; /* records up to this LSN were on stable storage when it was written */
    uint64_t object;  /* 0: of none */
    const uint8_t *body;
    uint32_t len;
} cachefs__jrecord_t;

/** What an object is. */
typedef struct cachefs__jbase_t {
    uint64_t dev, ino; /* 0: the backend has no number for it */
    int64_t born_ns;
    uint64_t size;
    uint32_t mode, uid, gid;
    vfs_validator_t validator; /* NONE: not known */
    const char *path;          /* not terminated */
    uint32_t path_len;
} cachefs__jbase_t;

/** The head of a file. */
typedef struct cachefs__jheader_t {
    uint8_t origin[JOURNAL_ID_BYTES];
    uint8_t session[JOURNAL_ID_BYTES];
    uint64_t number;
    uint64_t first;     /* LSN of its first record; what older files have from there on is void */
    uint64_t live_from; /* records before this LSN are dead */
    uint64_t nonce;     /* seed of its records' checksums */
} cachefs__jheader_t;

/* ---- journal_format.c: pure functions on bytes */

/** Bytes that a record takes in a file. */
static inline size_t cachefs__jsize(uint32_t len)
{
    return (JOURNAL_RECORD_BYTES + (size_t)len + 7) & ~(size_t)7;
}
/** Write a record without its checksum. Returns its bytes. `tail`: bytes that follow rec->body. */
size_t cachefs__jput(uint8_t *at, const cachefs__jrecord_t *rec, const void *tail, uint32_t len);
/** Set `durable` and the checksum of a record that jput wrote. Returns its bytes. */
size_t cachefs__jseal(uint8_t *at, uint64_t durable, uint64_t nonce);
/** Read the record at `at`. Returns its bytes, or 0: there is none that can be believed. */
size_t cachefs__jget(cachefs__jrecord_t *rec, const uint8_t *at, size_t have, uint64_t nonce);

/** Write both copies of a head: JOURNAL_HEADER_BYTES. */
void cachefs__jheader_put(uint8_t *at, const cachefs__jheader_t *h);
/** @return APR_SUCCESS; VFS_ECHECKSUM (no copy can be believed); VFS_EFORMAT (a newer format). */
apr_status_t cachefs__jheader_get(cachefs__jheader_t *h, const uint8_t *at, size_t have);

/** Bodies. The gets answer 0 if the body is not what the type demands. */
uint32_t cachefs__jbase_put(uint8_t *at, const cachefs__jbase_t *b);
int cachefs__jbase_get(cachefs__jbase_t *b, const uint8_t *body, uint32_t len);
int cachefs__jwrite_get(const cachefs__jrecord_t *rec, uint64_t *off, int64_t *mtime_ns,
                        const uint8_t **bytes, uint32_t *len);
int cachefs__jlsn_get(const cachefs__jrecord_t *rec, uint64_t *lsn);
int cachefs__jrename_get(const cachefs__jrecord_t *rec, const char **from, uint32_t *from_len,
                         const char **to, uint32_t *to_len);

/* ---- the journal */

typedef void (*cachefs__jlog_fn)(void *baton, int level, const char *text);

typedef struct cachefs__joptions_t {
    vfs_t *fs;             /* of the store; must outlive the journal */
    const char *dir;       /* where its files are; exists */
    const uint8_t *origin; /* JOURNAL_ID_BYTES: whose data it is */
    uint64_t bytes_max;    /* of all files together */
    uint64_t file_bytes;   /* of one; 0: an eighth of bytes_max, at most 64 MiB */
    size_t buffer_bytes;   /* of one of the two buffers; 0: 4 MiB, less for a small journal */
    cachefs__jlog_fn log;  /* or NULL */
    void *baton;
} cachefs__joptions_t;

/** What a scan found. */
typedef struct cachefs__jfound_t {
    uint64_t files, records, bytes;
    uint64_t lost;           /* records that were durable and cannot be read */
    uint64_t torn;           /* bytes behind the end: of writes that nobody was told were durable */
    uint64_t headless;       /* files whose head cannot be read, as of one that was never ready */
    uint64_t live_from, end; /* records in [live_from, end) count */
} cachefs__jfound_t;

typedef struct cachefs__journal_t cachefs__journal_t;

/** Look at what is there; write nothing.
 *  @return APR_SUCCESS; APR_EINVAL; APR_ENOMEM; VFS_EFORMAT (a newer format); VFS_ECONFLICT (of
 * another origin); what the store says. After an error nothing was changed. Threads: one. Blocks:
 * while all of it is read. Owns: end it with cachefs__journal_close. */
apr_status_t cachefs__journal_open(cachefs__journal_t **out, const cachefs__joptions_t *options,
                                   char *err, size_t errlen);
const cachefs__jfound_t *cachefs__journal_found(const cachefs__journal_t *j);
/** Hear each record that counts, in order.
 *  @return what `fn` said, if not APR_SUCCESS; what the store says. */
typedef apr_status_t (*cachefs__jvisit_fn)(void *baton, const cachefs__jrecord_t *rec);
apr_status_t cachefs__journal_visit(cachefs__journal_t *j, cachefs__jvisit_fn fn, void *baton);
/** Begin a session: a file of its own, durable. What was found counts until
 * cachefs__journal_recovered.
 *  @return APR_SUCCESS; what the store says. */
apr_status_t cachefs__journal_start(cachefs__journal_t *j);
/** All that was found is durable below: forget it. The same for objects of this session that are
 * retired comes by itself (cachefs__journal_trim). */
apr_status_t cachefs__journal_recovered(cachefs__journal_t *j);
/** Write what is buffered, say that it is durable, and end. Files stay. */
apr_status_t cachefs__journal_close(cachefs__journal_t *j);

/* Who may fill the journal how far. */
typedef enum cachefs__jshare_e {
    JOURNAL_ORDINARY = 0, /* seven eighths */
    JOURNAL_CONTROL,      /* all of it: what makes it shorter at once */
    JOURNAL_COPY          /* fifteen sixteenths: what makes it shorter when it is whole */
} cachefs__jshare_e;

/** Take room for records of `bytes` (cachefs__jsize) together, so that an append cannot fail.
 *  @return APR_SUCCESS; VFS_ELIMIT (full: retire something); the error that ended the journal;
 * APR_TIMEUP, VFS_ECANCELED. Threads: any. Blocks: while the buffers are written. */
apr_status_t cachefs__journal_reserve(cachefs__journal_t *j, const vfs_ctx_t *ctx, size_t bytes,
                                      cachefs__jshare_e share);
void cachefs__journal_unreserve(cachefs__journal_t *j, size_t bytes);
/** Append with room that was reserved. Returns its LSN. Threads: any, under locks of lower rank
 * than RANK_LEAF. Blocks: no. */
uint64_t cachefs__journal_append(cachefs__journal_t *j, const cachefs__jrecord_t *rec);
uint64_t cachefs__journal_write(cachefs__journal_t *j, uint64_t object, uint64_t off,
                                int64_t mtime_ns, const void *bytes, uint32_t len);
/** What an object is: a new one (0), or one that has a new name. Returns its id; *lsn of the
 * record. Needs cachefs__jsize(JOURNAL_BASE_BYTES + path). */
uint64_t cachefs__journal_base(cachefs__journal_t *j, uint64_t object, const cachefs__jbase_t *b,
                               uint32_t flags, uint64_t *lsn);
/** RETIRE or DISCARD: this object's records up to `upto` count no more. */
uint64_t cachefs__journal_done(cachefs__journal_t *j, cachefs__jtype_e type, uint64_t object,
                               uint64_t upto);
/** The object's records from `first` on say all that those up to `upto` said: RETIRE these. */
uint64_t cachefs__journal_moved(cachefs__journal_t *j, uint64_t object, uint64_t upto,
                                uint64_t first);
/** Bytes to reserve for the records of a write, or of the others. */
size_t cachefs__journal_write_bytes(uint64_t len);
#define JOURNAL_SMALL_BYTES 64u /* FLUSH, RETIRE, DISCARD, CHECKPOINT, REPLAY, DROP */

/** Return when the record is on stable storage. One caller writes and syncs for all who wait.
 *  @return APR_SUCCESS; the error that ended the journal; APR_TIMEUP, VFS_ECANCELED.
 *  Threads: any. Blocks: until then. */
apr_status_t cachefs__journal_sync(cachefs__journal_t *j, const vfs_ctx_t *ctx, uint64_t lsn);
/** Append a small record of an object (or 0: of none) and return when it is durable. */
apr_status_t cachefs__journal_note(cachefs__journal_t *j, const vfs_ctx_t *ctx,
                                   cachefs__jtype_e type, uint64_t object, uint64_t upto);
/** A name, or all below it, is about to move below: returns when that is noted durably. Give
 * *object to cachefs__journal_done when the move, or that it was refused, is durable below.
 *  @param flags  JOURNAL_EXCHANGE or 0 */
apr_status_t cachefs__journal_rename(cachefs__journal_t *j, const vfs_ctx_t *ctx, const char *from,
                                     const char *to, uint32_t flags, uint64_t *object);
/** Delete files that nobody needs any more. Threads: any; one works at a time. */
apr_status_t cachefs__journal_trim(cachefs__journal_t *j);
/** End the journal and remove its files, oldest first, each durably before the next: what a power
 * loss leaves of it is always its newest part. All that it has must be durable below.
 *  @return APR_SUCCESS; what the store says: some are left, and it can be tried again. Threads:
 * any, one at a time. Blocks: until then. */
apr_status_t cachefs__journal_void(cachefs__journal_t *j);
/** Begin again after cachefs__journal_void, in a new file. Objects of before are forgotten; ids and
 * LSNs go on. Nobody may be about to append what he reserved room for before.
 *  @return APR_SUCCESS; what the store says: nothing is left behind, and it can be tried again.
 * Threads: any, one at a time. Blocks: until the file is durable. */
apr_status_t cachefs__journal_again(cachefs__journal_t *j);
/** Nothing happens at the moment: note what is durable, so that damage of the last records can be
 * told from a torn end. */
void cachefs__journal_mark(cachefs__journal_t *j);

typedef struct cachefs__jstats_t {
    uint64_t bytes, bytes_max; /* of its files and buffers; what ordinary records may use */
    uint64_t files, objects;   /* objects that are not retired */
    uint64_t appended, appended_bytes, written_bytes;
    uint64_t syncs, groups, acknowledged; /* of the device; commits; callers who waited for one */
    uint64_t durable, next;               /* LSNs */
    uint64_t oldest, oldest_lsn;          /* object that keeps the oldest file; 0: none */
    uint64_t rescues;                     /* files given up after an error */
    apr_status_t error;                   /* that ended it */
} cachefs__jstats_t;
void cachefs__journal_stats(cachefs__journal_t *j, cachefs__jstats_t *out);

#endif
