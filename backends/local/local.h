/*
 * local.h - the local backend's own types, shared by its files. Floor 2, private to backends/local.
 * Methods are local__OP, one for each op of the table in local.c. They know ports, not systems.
 */
#ifndef BACKENDS_LOCAL_LOCAL_H
#define BACKENDS_LOCAL_LOCAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "backends/local/port.h"
#include "vfs/vfs_ops.h"

/** The kernel stamps files with the time of its last tick. */
#define LOCAL_GRANULARITY_NS 10000000u
/** What a file system may round that down to: FAT keeps 2 s, ext with small inodes 1 s. */
#define LOCAL_COARSE_NS 2000000000u

/** Files whose syncs wait for each other: those of one stripe. */
#define LOCAL_STRIPES 64u

typedef struct local_owner_t local_owner_t;
typedef struct local_watcher_t local_watcher_t;
typedef struct local_lost_t local_lost_t;

/** One instance. `mutex` guards owners, what was lost, and the making of the watcher. It is taken
 * within a mutex of syncing, and those within sync_all's. */
typedef struct local_t {
    port_root_t root;
    pthread_mutex_t mutex;
    local_owner_t *owners;    /**< who holds locks through descriptors of their own: lock.c */
    local_watcher_t *watcher; /**< NULL until the first watch: watch.c */
    local_lost_t *lost;       /**< files whose sync failed: lost.c */
    apr_status_t lost_some;   /**< of files that could not be noted there */
    apr_status_t lost_any;    /**< of a sync of everything that failed */
    uint64_t lost_turns;      /**< failures so far: a number is never that of two */
    pthread_mutex_t
        syncing_all; /**< one sync of everything at a time, until what it was told is noted */
    pthread_mutex_t syncing[LOCAL_STRIPES]; /**< the same for the syncs of a file */
    _Atomic uint64_t lost_count; /**< 0: no sync of a file has failed that was not made good */
} local_t;

/** An open file. fd and direct never change; uses is guarded by the instance's mutex. */
typedef struct local_file_t {
    vfs_file_t base;
    int fd;
    uint32_t direct;          /**< VFS_ATTR_DIRECT or 0 */
    _Atomic uint64_t seen;    /**< a print of times and size when last looked at; 0: not known */
    struct local_use_t *uses; /**< lock owners that came through this handle */
} local_file_t;

static inline local_t *local__of(vfs_t *fs)
{
    return fs->state;
}

static inline local_file_t *local__file(vfs_file_t *file)
{
    return (local_file_t *)file;
}

/* ---- file.c */

apr_status_t local__open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                         uint32_t flags, uint32_t mode, vfs_attr_t *attr,
                         vfs_validator_t *validator);
apr_status_t local__close(vfs_file_t *file, const vfs_ctx_t *ctx);
apr_status_t local__copy_range(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                               vfs_file_t *dst, apr_off_t dst_off, size_t len, size_t *copied);
/** The validator of attributes that were read after `asked_ns`, and of bytes that were. */
void local__validate(const vfs_attr_t *attr, int64_t asked_ns, vfs_validator_t *validator);
/** What the validator of an open file depends on, in 64 bits; never 0. */
uint64_t local__print(const vfs_attr_t *attr);

/* ---- create.c */

/** Open `path` for `flags`, making it if need be. */
apr_status_t local__open_create(local_t *self, port_creds_t *creds, const vfs_ctx_t *ctx,
                                const char *path, uint32_t flags, uint32_t mode, int *fd,
                                int *direct, vfs_attr_t *attr);

/* ---- lost.c */

void local__lost_begin(local_t *self);
/** Begin a sync of the file, or a write that syncs: no other one is under way until `turn` is
 * unlocked, after local__lost if it failed. */
apr_status_t local__sync_begin(local_t *self, int fd, pthread_mutex_t **turn);
void local__sync_done(pthread_mutex_t *turn);
/** A sync of the file failed, or a write that syncs: what it has now may be lost. */
void local__lost(local_t *self, int fd, apr_status_t status);
/** Before a write: which failure it may make good. 0: none. */
uint64_t local__lost_turn(local_t *self, int fd);
/** Bytes [start, end) were written again since `turn` was told. */
void local__lost_again(local_t *self, int fd, uint64_t turn, uint64_t start, uint64_t end);
/** Sync that knows of earlier failures. */
apr_status_t local__sync_fd(local_t *self, int fd, uint32_t flags);
apr_status_t local__sync_all(local_t *self);
/** Free what was noted. */
void local__lost_end(local_t *self);

/* ---- lock.c */

/** Drop the locks of all owners that came through this handle. */
void local__locks_end(local_t *self, local_file_t *file);

/* ---- dir.c */

apr_status_t local__opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                            const vfs_path_t *path, uint32_t flags);
apr_status_t local__closedir(vfs_dir_t *dir);

/* ---- watch.c */

/** End the watcher's thread and free it. NULL is fine. */
void local__watcher_destroy(local_watcher_t *watcher);

/* ---- the rest of the table */

#define VFS_OP_FS(name, class, params, args, doc)                                                  \
    apr_status_t local__##name(vfs_t *fs, VFS_UNPACK params);
#define VFS_OP_FILE(name, class, params, args, doc)                                                \
    apr_status_t local__##name(vfs_file_t *file, VFS_UNPACK params);
#define VFS_OP_DIR(name, class, params, args, doc)                                                 \
    apr_status_t local__##name(vfs_dir_t *dir, VFS_UNPACK params);
#include "vfs/vfs_ops.def"

#endif
