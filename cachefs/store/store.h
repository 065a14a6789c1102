/*
 * store.h - the frame of a store: a directory, on any file system, where cached bytes (l2/) and the
 * write-back journal (journal/) outlive the process. Floor 2, private to cachefs/ and its tests.
 * Knows vfs only; what lies in the two subdirectories is the business of those who keep it there.
 */
#ifndef CACHEFS_STORE_STORE_H
#define CACHEFS_STORE_STORE_H

#include "cachefs/cachefs.h"

#define CACHEFS__STORE_L2 "/l2"
#define CACHEFS__STORE_JOURNAL "/journal"
#define CACHEFS__STORE_ID_BYTES 16u
#define CACHEFS__STORE_FORMAT 1u

/** What its identity file said when the store was opened. */
typedef enum cachefs__store_found_e {
    CACHEFS__STORE_SAME = 0, /**< it is as this program left it */
    CACHEFS__STORE_NEW,      /**< there was none: the store has a new identity */
    CACHEFS__STORE_DAMAGED,  /**< it could not be read: the store has a new identity */
    CACHEFS__STORE_FOREIGN   /**< of another format or checksum: the store has a new identity */
} cachefs__store_found_e;

typedef struct cachefs__store_t cachefs__store_t;

/** Open a store: lock it, read its identity, make what is missing of it.
 *  @param out  the store
 *  @param fs  the file system whose root it is; must outlive the store, which does not end it
 *  @param name  what messages call it, such as its directory; NULL: "the store"
 *  @param err  receives a sentence for the user on failure; may be NULL
 *  @param errlen  bytes of err
 *  @return APR_SUCCESS; APR_EAGAIN (in use, by this process or another); VFS_EFORMAT (of another
 * format or checksum, and its journal is not empty: only who wrote it may touch it); APR_ENOTIMPL
 * (the file system has no locks, or cannot be written to by its kind); what the file system says
 * (EROFS, ENOSPC, EIO ...). Threads: any. Blocks: as the file system does. Owns: end it with
 * cachefs__store_close. */
apr_status_t cachefs__store_open(cachefs__store_t **out, vfs_t *fs, const char *name, char *err,
                                 size_t errlen);
/** What is known of a store that is looked at. */
typedef struct cachefs__store_looked_t {
    cachefs__store_found_e found; /**< NEW: it has no identity file */
    uint32_t format, hash;        /**< that the identity says, where it is sound */
    char user[64];                /**< who opened it last, as "process 123"; "": nobody */
} cachefs__store_looked_t;

/** Open a store to look at it: nothing is made, no identity is drawn.
 *  @param out  the store
 *  @param fs  the file system whose root it is; must outlive the store
 *  @param name  as in cachefs__store_open
 *  @param change  0: others may look at it too, and nothing is written at all; 1: for who will
 * change something, and wants it for himself
 *  @param looked  what was found
 *  @param err,errlen  as in cachefs__store_open
 *  @return APR_SUCCESS; APR_ENOENT (there is no store); else as cachefs__store_open, but that a
 * store of another format is opened. Threads: any. Blocks: as the file system does. Owns: end it
 * with cachefs__store_close. */
apr_status_t cachefs__store_look(cachefs__store_t **out, vfs_t *fs, const char *name, int change,
                                 cachefs__store_looked_t *looked, char *err, size_t errlen);
/** Give a store that is looked at an identity.
 *  @param store  opened for changes
 *  @param id  CACHEFS__STORE_ID_BYTES; NULL: draw one
 *  @return what the file system says. Threads: one. Blocks: until it is on stable storage. */
apr_status_t cachefs__store_renew(cachefs__store_t *store, const uint8_t *id);
/** Give the lock back. What is in the store stays.
 *  @param store  may be NULL. Threads: one, and nobody else uses it. Blocks: as the file system
 * does. Owns: frees `store`. */
void cachefs__store_close(cachefs__store_t *store);

/** The file system of the store. Threads: any. Blocks: no. Owns: as given to open. */
vfs_t *cachefs__store_fs(const cachefs__store_t *store);
/** What messages call it. Threads: any. Blocks: no. Owns: lives as long as the store. */
const char *cachefs__store_name(const cachefs__store_t *store);
/** CACHEFS__STORE_ID_BYTES that no other store has; files of the store carry them, so that a file
 * of another store is known. Threads: any. Blocks: no. Owns: lives as long as the store. */
const uint8_t *cachefs__store_id(const cachefs__store_t *store);
/** What was found at open. Threads: any. Blocks: no. */
cachefs__store_found_e cachefs__store_found(const cachefs__store_t *store);

/** Replace a file of the store as a whole: after a power loss it is the old one or the new one.
 *  @param store  the store
 *  @param path  absolute; PATH.new beside it is used on the way
 *  @param buf,len  its bytes
 *  @return what the file system says; the old file is there then. Threads: one for a path. Blocks:
 * until it is on stable storage. Owns: nothing. */
apr_status_t cachefs__store_replace(cachefs__store_t *store, const char *path, const void *buf,
                                    size_t len);
/** Read the whole of a small file.
 *  @param store  the store
 *  @param path  absolute
 *  @param buf  receives the bytes; the caller's to free(); NULL on an error
 *  @param len  how many
 *  @param max  VFS_ELIMIT if it has more
 *  @return APR_SUCCESS; VFS_ELIMIT; APR_ENOMEM; what the file system says. Threads: any. Blocks: as
 * the file system does. */
apr_status_t cachefs__store_load(cachefs__store_t *store, const char *path, uint8_t **buf,
                                 size_t *len, size_t max);

/** Who an origin is, for what is kept of it in a store: a digest of its name and of what its root
 * says of itself (device, inode, birth), as far as the backend tells. Two origins with the same
 * answer are one.
 *  @param out  receives CACHEFS__STORE_ID_BYTES
 *  @param lower  the origin
 *  @param name  such as its URI; may be NULL
 *  @return APR_SUCCESS; what lstat of its root says. Threads: any. Blocks: one lstat below. */
apr_status_t cachefs__store_origin(uint8_t *out, vfs_t *lower, const char *name);

#endif
