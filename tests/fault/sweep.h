/*
 * sweep.h - the fault sweep: a scenario over a stack whose n-th call of one op fails, for every op
 * and every n. Floor 4.
 *
 * What may be seen is tracked for each file as a list of contents: one when all went well, more
 * after a call failed half-way. A call that succeeded narrows the list, a read that matches none of
 * it is a failure.
 */
#ifndef TESTS_FAULT_SWEEP_H
#define TESTS_FAULT_SWEEP_H

#include "tests/stacks/sut.h"
#include "vfs/vfs_ops.h"

#define TRACK_BYTES 49152u
#define TRACK_CANDIDATES 24u
#define TRACKS 4u

/** What a file may hold. */
typedef struct content_t {
    size_t len;
    unsigned char data[TRACK_BYTES]; /**< zero behind len */
} content_t;

/** One file of the scenario. */
typedef struct track_t {
    char path[32]; /**< "" while it has no name */
    vfs_file_t *file;
    size_t count;
    content_t can[TRACK_CANDIDATES];
} track_t;

/** One run of the scenario. */
typedef struct sweep_t {
    sut_t sut;
    apr_pool_t *pool;
    vfs_t *fs;
    track_t tracks[TRACKS];
    unsigned failed;   /**< calls that answered an error */
    unsigned wrong;    /**< checks that did not hold */
    const char *fault; /**< what is injected, in words */
} sweep_t;

/** A check that did not hold. */
void sweep_wrong(sweep_t *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Note what a call on `path` answered. @return 1: success. */
int sweep_said(sweep_t *s, const char *what, const char *path, apr_status_t status);

/* Each does one call, and keeps the track. A step on a file that could not be opened does nothing.
 */
void track_create(sweep_t *s, track_t *t, const char *path);
void track_open(sweep_t *s, track_t *t);
void track_write(sweep_t *s, track_t *t, apr_off_t off, size_t len, uint64_t seed);
void track_writev(sweep_t *s, track_t *t, apr_off_t off, size_t len, uint64_t seed);
void track_commit(sweep_t *s, track_t *t, size_t len, uint64_t seed);
void track_truncate(sweep_t *s, track_t *t, size_t size, int by_path);
void track_punch(sweep_t *s, track_t *t, size_t off, size_t len);
void track_copy(sweep_t *s, track_t *from, track_t *to, size_t off, size_t len);
void track_read(sweep_t *s, track_t *t);
void track_readv(sweep_t *s, track_t *t);
void track_get(sweep_t *s, track_t *t);
void track_sync(sweep_t *s, track_t *t, int flush_only);
void track_rename(sweep_t *s, track_t *t, const char *to);
void track_exchange(sweep_t *s, track_t *a, track_t *b);
void track_unlink(sweep_t *s, track_t *t);
void track_close(sweep_t *s, track_t *t);
/** Does the backend hold one of the contents? Narrows the list to it. */
void track_check_bottom(sweep_t *s, track_t *t, const char *when);
/** With the faults gone: the stack and the backend agree, and hold one of the contents. */
void track_check_end(sweep_t *s, track_t *t);

/** What belongs to a file besides its bytes: attributes by name and by handle, locks, extents.
 * What the stack says is what the backend has. */
void sweep_attributes(sweep_t *s, const char *path);
void sweep_attributes_open(sweep_t *s, track_t *t);
void sweep_locks(sweep_t *s, track_t *t);
void sweep_extents(sweep_t *s, track_t *t);
/** Hear of changes below "/". */
void sweep_watch(sweep_t *s);

/** The whole scenario. */
void sweep_scenario(sweep_t *s);

#endif
