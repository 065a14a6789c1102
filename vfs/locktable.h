/*
 * locktable.h - advisory locks for backends that have none of their own: byte ranges as POSIX has
 * them (splitting, merging, deadlock detection) and whole-file locks as flock has them. Floor 1,
 * shared: a backend may include it. It knows no file system.
 */
#ifndef VFS_LOCKTABLE_H
#define VFS_LOCKTABLE_H

#include "vfs/vfs.h"

/** The locks of one file. The owner of the file object embeds it, zeroed, and keeps it as long as a
 *  handle on the file is open. The table's mutex guards what it points to. */
typedef struct vfs__locks_t {
    struct vfs__lock_rec_t *ranges; /**< byte-range locks, by start */
    struct vfs__lock_rec_t *wholes; /**< flock locks, at most one for each handle */
} vfs__locks_t;

/** The locks of one file system. */
typedef struct vfs__locktable_t vfs__locktable_t;

/** @return APR_SUCCESS or APR_ENOMEM. Threads: any. Blocks: no. Owns: end it with
 * vfs__locktable_destroy. */
apr_status_t vfs__locktable_create(vfs__locktable_t **out);
/** End the table. Nobody waits in it and no lock is left. Threads: one. Blocks: no. Owns: frees it.
 */
void vfs__locktable_destroy(vfs__locktable_t *table);

/** Lock, unlock or test, with arguments that dispatch has checked.
 *
 *  @param locks  of the file that `handle` is open on
 *  @param handle  who asks; with lock->owner 0 it is the owner too
 *  @param lock  the wish. lock->pid names the process that locks, 0 this one. With VFS_LOCK_TEST it
 *         receives the first lock in the way, or type VFS_LOCK_UNLOCK if there is none
 *  @return APR_SUCCESS; APR_EAGAIN (held by another, and no VFS_LOCK_WAIT); APR_TIMEUP;
 * VFS_ECANCELED; EDEADLK (waiting would never end); APR_ENOMEM (nothing changed). A whole-file lock
 * that is converted and has to wait is given up first, as flock does. Threads: any. Blocks: with
 * VFS_LOCK_WAIT. Owns: nothing. */
apr_status_t vfs__locktable_lock(vfs__locktable_t *table, vfs__locks_t *locks, const void *handle,
                                 const vfs_ctx_t *ctx, vfs_lock_t *lock);
/** Drop all locks that were taken through `handle`: call it on close.
 *  Threads: any. Blocks: no. Owns: nothing. */
void vfs__locktable_release(vfs__locktable_t *table, vfs__locks_t *locks, const void *handle);

#endif
