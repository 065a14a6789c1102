/**
 * @file
 * check.h - looking at a store that no cache has open: is it sound, what is dirty, what is left
 * over. Floor 2, public.
 *
 * A store is what the field `store` of cachefs_config_t names. Nothing here needs the origin that
 * its bytes are of. docs/durability.md says what each finding means.
 */
#ifndef CACHEFS_CHECK_H
#define CACHEFS_CHECK_H

#include "vfs/vfs.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What is told of a store. */
typedef enum cachefs_told_e {
    CACHEFS_TOLD_NOTE = 0, /**< worth knowing, and nothing is wrong */
    CACHEFS_TOLD_DAMAGE,   /**< something is not as it was written, and stays so */
    CACHEFS_TOLD_REPAIRED, /**< something was damaged, and is no more */
    CACHEFS_TOLD_DIRTY     /**< a file of the origin with bytes that are not below yet */
} cachefs_told_e;

/** Hears what is found, on the caller's thread.
 *  @param baton  as given
 *  @param kind  what it is
 *  @param path  of the store; of the origin for CACHEFS_TOLD_DIRTY; valid during the call
 *  @param bytes  that it is about; of CACHEFS_TOLD_DIRTY those that were written and not retired,
 * bytes that were written twice counted twice
 *  @param text  a sentence without a full stop; valid during the call */
typedef void (*cachefs_told_fn)(void *baton, cachefs_told_e kind, const char *path, uint64_t bytes,
                                const char *text);

/** How to look at a store. Make it with CACHEFS_CHECK_INIT. */
typedef struct cachefs_check_options_t {
    size_t size;          /**< sizeof(cachefs_check_options_t) */
    const char *name;     /**< what messages call the store, such as its directory; may be NULL */
    int repair;           /**< mend what can be mended without a loss of acknowledged data */
    const vfs_ctx_t *ctx; /**< its cancellation ends the check; may be NULL */
    cachefs_told_fn told; /**< or NULL */
    void *baton;          /**< handed to told */
} cachefs_check_options_t;

/** Look only. */
#define CACHEFS_CHECK_INIT                                                                         \
    {                                                                                              \
        .size = sizeof(cachefs_check_options_t)                                                    \
    }

#define CACHEFS_ID_TEXT 33 /**< an identity in hexadecimal, and its NUL */

/** What a store has. */
typedef struct cachefs_check_t {
    size_t size;              /**< sizeof(cachefs_check_t), set by the caller */
    char id[CACHEFS_ID_TEXT]; /**< its identity; "": it cannot be read */
    uint32_t format;          /**< of its identity; 0: it cannot be read */
    char user[64];            /**< who opened it last, as "process 123"; "": nobody */
    /* cached bytes */
    uint64_t segments;         /**< files of cached bytes, of this store and sound */
    uint64_t segment_bytes;    /**< bytes of them */
    uint64_t sealed;           /**< segments whose footer, the checkpoint of the index, is sound */
    uint64_t records;          /**< in them, sound */
    uint64_t record_bytes;     /**< cached bytes in records */
    uint64_t damaged_segments; /**< that have something damaged, or are so themselves */
    uint64_t damaged_records;  /**< records that are damaged */
    uint64_t torn_bytes;   /**< behind the last record of a segment: of a write that was interrupted
                            */
    uint64_t orphans;      /**< files that nobody will ever read: cachefs_store_gc removes them */
    uint64_t orphan_bytes; /**< bytes of them */
    /* the journal */
    char origin[CACHEFS_ID_TEXT];  /**< whose data it has; "": it has none */
    char session[CACHEFS_ID_TEXT]; /**< who wrote the newest file; "": nobody */
    uint64_t journal_files;        /**< its files */
    uint64_t journal_bytes;        /**< bytes of them */
    uint64_t journal_records;      /**< records that count */
    uint64_t journal_lost;         /**< records that were acknowledged and cannot be read: damage */
    uint64_t journal_torn_bytes; /**< behind its end: of writes that nobody was told are durable */
    uint64_t dirty_files;        /**< files with something that is not below yet */
    uint64_t dirty_bytes;        /**< bytes written to them */
    uint64_t moves;              /**< renames that are not known to be durable below */
    uint64_t aside_files;        /**< that were set aside because they were damaged (damaged-*) */
    uint64_t aside_bytes;        /**< bytes of them */
    /* the verdict */
    uint64_t damage;   /**< places that are damaged now */
    uint64_t repaired; /**< places that were, and are no more */
} cachefs_check_t;

/** Check a store: verify all checksums, and say what is dirty. With `repair`: damaged segments of
 * cached bytes are deleted, a damaged identity is written anew (that of the segments, where they
 * agree), and files of the journal whose head cannot be read are set aside under the name
 * damaged-*. What can be read of a journal is never touched: the next cache on the store writes it
 * back.
 *  @param out  receives what was found, also on an error as far as it came; its `size` must be set;
 * of a smaller struct only what it has is filled
 *  @param fs  the file system whose root the store is
 *  @param options  NULL: look only, tell nobody
 *  @param err  receives a sentence for the user on failure; may be NULL
 *  @param errlen  bytes of err
 *  @return APR_SUCCESS (also with damage: see out->damage); APR_EINVAL (a NULL, no size);
 * APR_ENOENT (there is no store); APR_EAGAIN (in use, named in err); VFS_EFORMAT (of another
 * format: nothing was looked at); VFS_ECANCELED; APR_ENOMEM; what the file system says. Threads:
 * any. Blocks: while all of it is read. Owns: fills `out`. */
VFS_API apr_status_t cachefs_store_check(cachefs_check_t *out, vfs_t *fs,
                                         const cachefs_check_options_t *options, char *err,
                                         size_t errlen);

/** What was collected. */
typedef struct cachefs_gc_t {
    size_t size;            /**< sizeof(cachefs_gc_t), set by the caller */
    uint64_t removed;       /**< files */
    uint64_t removed_bytes; /**< bytes of them */
    uint64_t left_bytes;    /**< bytes of the segments that are left */
} cachefs_gc_t;

/** Remove cached bytes that nobody will read any more, and the oldest ones above a limit. The
 * journal is not touched.
 *  @param out  receives what was removed; its `size` must be set
 *  @param fs  the file system whose root the store is
 *  @param bytes  remove segments, the oldest first, until at most so many bytes of them are left;
 * UINT64_MAX: no limit
 *  @param options  its `told` hears of each file that is removed; `repair` means nothing; may be
 * NULL
 *  @param err  receives a sentence for the user on failure; may be NULL
 *  @param errlen  bytes of err
 *  @return as cachefs_store_check; an identity that cannot be read is VFS_ECHECKSUM: repair it
 * first. Threads: any. Blocks: while files are removed. Owns: fills `out`. */
VFS_API apr_status_t cachefs_store_gc(cachefs_gc_t *out, vfs_t *fs, uint64_t bytes,
                                      const cachefs_check_options_t *options, char *err,
                                      size_t errlen);

#ifdef __cplusplus
}
#endif
#endif
