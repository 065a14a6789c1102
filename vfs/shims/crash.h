/*
 * crash.h - what the files of the crash shim share. The model stands at the top of crash.c.
 * Floor 1, private to vfs/shims/crash*.c.
 */
#ifndef VFS_SHIMS_CRASH_H
#define VFS_SHIMS_CRASH_H

#include <pthread.h>
#include <stdint.h>

#include "vfs/shims/shims.h"
#include "vfs/vfs_ops.h"

#define CRASH_LIMBO "/.vfs-crash" /**< where removed files wait until their removal is durable */
#define CRASH_BLOCK 4096u         /**< unit in which old bytes are kept */
#define CRASH_BYTES_MAX                                                                            \
    (256ull << 20)             /**< of logged bytes; above it the disk writes back by itself */
#define CRASH_NAMES_MAX 16384u /**< of logged changes of names, likewise */

typedef struct crash_change_t crash_change_t;
typedef struct crash_node_t crash_node_t;
typedef struct crash_op_t crash_op_t;

typedef enum crash_kind_e {
    CRASH_SET_BYTES, /**< size, if not negative, then bytes at off */
    CRASH_SET_ATTRS, /**< what mask says */
    CRASH_SET_XATTR  /**< one extended attribute */
} crash_kind_e;

#define CRASH_MODE 0x1u
#define CRASH_OWNER 0x2u
#define CRASH_TIMES 0x4u

/** A change of one file that is not durable yet. */
struct crash_change_t {
    crash_change_t *next;
    uint64_t seq; /**< its place among all changes */
    crash_kind_e kind;
    uint32_t mask;   /**< CRASH_SET_ATTRS: CRASH_MODE, CRASH_OWNER, CRASH_TIMES */
    int64_t size;    /**< CRASH_SET_BYTES: the size set first; -1: none */
    uint64_t off;    /**< CRASH_SET_BYTES */
    size_t len;      /**< of bytes, or of the new value */
    int64_t old_len; /**< CRASH_SET_XATTR: of the old value behind the name; -1: there was none */
    int gone;        /**< CRASH_SET_XATTR: removed */
    int keep;        /**< replay: it survives */
    size_t room;     /**< bytes that it was made for */
    vfs_attr_t attr; /**< CRASH_SET_ATTRS */
    char name[VFS_NAME_MAX + 1]; /**< CRASH_SET_XATTR */
    unsigned char
        bytes[]; /**< new bytes; of an extended attribute the old value, then the new one */
};

/** A block of the durable content that was overwritten since. */
typedef struct crash_block_t {
    uint64_t index;
    size_t len;
    unsigned char *bytes;
} crash_block_t;

/** A file, directory or link that the log knows.
 *
 *   state     alive  parked  it is
 *   named       1    NULL    in the tree of the lower, under one name at least
 *   in limbo    1    path    a file, whose removed name may come back: a hard link in limbo holds
 * it ghost       0    NULL    a directory or link that was removed; it is made again if its name
 * comes back
 *
 *  A node is freed when no logged operation speaks of it and nothing of its own is logged. */
struct crash_node_t {
    crash_node_t *next; /**< in its bucket */
    uint64_t dev, ino;  /**< in the lower, while alive */
    vfs_type_e type;
    int alive;
    unsigned refs;    /**< places in logged operations that name it */
    unsigned removed; /**< of these, edits that took a name from it */
    char *parked;     /**< its link in limbo */
    char *target;     /**< the text of a link that is a ghost */
    int bytes_noted;  /**< base_size and blocks tell what is durable */
    uint64_t base_size;
    crash_block_t *blocks; /**< ascending index */
    size_t nblocks, room;
    int attrs_noted; /**< base tells what is durable */
    vfs_attr_t base;
    crash_change_t *first, **last;
    vfs_attr_t now;   /**< replay: as the lower has it */
    const char *path; /**< replay: one of its names now; NULL: none */
};

/** One name changes its meaning. */
typedef struct crash_edit_t {
    crash_node_t *dir;
    crash_node_t *before, *after; /**< NULL: nothing of that name */
    char *name;
} crash_edit_t;

/** A change of names that is not durable yet; all its edits survive together, or none. */
struct crash_op_t {
    crash_op_t *prev, *next;
    uint64_t seq;
    crash_edit_t edits[2];
    unsigned nedits;
    int durable;          /**< about to leave the log */
    int keep;             /**< replay: it survives */
    crash_node_t *made;   /**< the file whose own name this is */
    crash_node_t *gone;   /**< the directory that was removed */
    crash_node_t **above; /**< directories of the log above the new place of what was moved */
    size_t nabove;
};

#define CRASH_BUCKETS 1024u

typedef struct crash_id_t {
    uint64_t dev, ino;
} crash_id_t;

typedef struct crash_t {
    pthread_mutex_t lock; /**< guards the first part */
    pthread_cond_t turn;
    int busy;       /**< somebody has the turn */
    int down;       /**< power is off */
    int replayed;   /**< and the lower is what is left */
    uint64_t epoch; /**< of handles; moves on when power goes */
    uint64_t ops;
    uint64_t at; /**< calls until power goes; 0: never */
    crash_id_t *parked;
    size_t nparked, parked_room;

    vfs_t *lower; /**< the second part belongs to whoever has the turn */
    crash_node_t *buckets[CRASH_BUCKETS];
    crash_op_t *first, *last;
    size_t nops;
    uint64_t seq;
    uint64_t bytes;  /**< kept in blocks and changes */
    uint64_t places; /**< names used in limbo */
    int limbo;       /**< it exists */
} crash_t;

typedef struct crash_file_t {
    vfs_file_t base;
    vfs_file_t
        *reader; /**< the lower's file for reading what a write replaces; may be base.lower */
    uint64_t epoch;
} crash_file_t;

typedef struct crash_dir_t {
    vfs_dir_t base;
    uint64_t epoch;
} crash_dir_t;

/* crash.c: turns. One changing call runs at a time, so that the log has the order of the lower. */

/** Take the turn, for a handle of this epoch (NULL: no handle), and count the call unless `quiet`.
 *  @return APR_SUCCESS; VFS_EOFFLINE (power is off, or goes with this call); VFS_ESTALE (a handle
 * from before); APR_TIMEUP, VFS_ECANCELED. Without success there is no turn. */
apr_status_t vfs__crash_enter(vfs_t *fs, const vfs_ctx_t *ctx, const uint64_t *epoch, int quiet);
/** Give it back. Returns status. */
apr_status_t vfs__crash_leave(vfs_t *fs, apr_status_t status);
/** What a handle that is opened now remembers. */
uint64_t vfs__crash_epoch(crash_t *crash);
/** Is power on, and the handle of this time? */
apr_status_t vfs__crash_check(crash_t *crash, const uint64_t *epoch);
/** Hide the link in limbo from attributes. */
void vfs__crash_show(crash_t *crash, vfs_attr_t *attr);
/** Refuse a path in limbo: APR_SUCCESS or `status`. */
apr_status_t vfs__crash_visible(const vfs_path_t *path, apr_status_t status);

/* crash_log.c: with the turn. Where memory is short they answer APR_ENOMEM and change nothing. */

/** The node of these attributes, made if need be; NULL: no memory. */
crash_node_t *vfs__crash_node(crash_t *crash, const vfs_attr_t *attr);
/** The node of these attributes if there is one. */
crash_node_t *vfs__crash_find(crash_t *crash, uint64_t dev, uint64_t ino);
/** Free a node of which nothing is logged. NULL is fine. */
void vfs__crash_tidy(crash_t *crash, crash_node_t *node);
/** It has left the lower; if its name comes back it is made from `attr` and `target` (owned now).
 */
void vfs__crash_ghost(crash_node_t *node, const vfs_attr_t *attr, char *target);
/** Give a file a name in limbo. */
apr_status_t vfs__crash_park(crash_t *crash, crash_node_t *node, const vfs_path_t *path);
void vfs__crash_unpark(crash_t *crash, crash_node_t *node);
/** A new path in limbo, which exists from then on; written to buf. */
apr_status_t vfs__crash_place(crash_t *crash, char *buf, size_t size);

/** Note what is durable, before a change: attributes, or bytes [from, to) too. */
void vfs__crash_note_attrs(crash_node_t *node, const vfs_attr_t *attr);
apr_status_t vfs__crash_note_bytes(crash_t *crash, crash_node_t *node, vfs_file_t *reader,
                                   const vfs_attr_t *attr, uint64_t from, uint64_t to);
/** A change with room for `room` bytes, not in the log; NULL: no memory. Free it with free. */
crash_change_t *vfs__crash_change(crash_kind_e kind, size_t room);
/** Put a change into the log. */
void vfs__crash_log(crash_t *crash, crash_node_t *node, crash_change_t *change);
/** An operation on one name or two, not in the log. */
crash_op_t *vfs__crash_op(void);
/** Fill an edit of an op that is not in the log. */
apr_status_t vfs__crash_edit(crash_op_t *op, crash_node_t *dir, const char *name,
                             crash_node_t *before, crash_node_t *after);
/** Put an operation into the log; all its nodes are known by then. */
void vfs__crash_log_op(crash_t *crash, crash_op_t *op);
void vfs__crash_op_free(crash_op_t *op);
/** Must `later` not survive without `earlier`? */
int vfs__crash_depends(const crash_op_t *later, const crash_op_t *earlier);

/** These are durable now: a file's bytes (and attributes, if `all`) and its own name if new; a
 * directory's names; everything. */
void vfs__crash_file_durable(crash_t *crash, crash_node_t *node, int all);
void vfs__crash_dir_durable(crash_t *crash, crash_node_t *dir);
void vfs__crash_all_durable(crash_t *crash);
/** The log is too long: the disk writes back by itself. */
void vfs__crash_limit(crash_t *crash);
/** Forget the log, whatever the lower has. */
void vfs__crash_forget(crash_t *crash);

/* crash_replay.c: with the turn. Takes the lower to what survives; the log is empty then. */
apr_status_t vfs__crash_replay(crash_t *crash, vfs_crash_e how, uint64_t seed, uint64_t tear_bytes,
                               apr_pool_t *pool);

/* crash_names.c: open `path` below, and log the name if that makes one; it would be made at `end`.
 */
apr_status_t vfs__crash_make_open(vfs_file_t **lower, vfs_t *fs, const vfs_ctx_t *ctx,
                                  const vfs_path_t *path, const vfs_path_t *end, uint32_t flags,
                                  uint32_t mode, vfs_attr_t *attr, vfs_validator_t *validator);

/* crash_open.c, crash_files.c and crash_names.c: the ops of the table that change something. */
apr_status_t vfs__crash_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                             const vfs_path_t *path, uint32_t flags, uint32_t mode,
                             vfs_attr_t *attr, vfs_validator_t *validator);
apr_status_t vfs__crash_copy_range(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                                   vfs_file_t *dst, apr_off_t dst_off, size_t len, size_t *copied);
#define CRASH_FS_READ(name, params)
#define CRASH_FS_META(name, params)
#define CRASH_FS_WRITE(name, params)
#define CRASH_FS_CHANGE(name, params) apr_status_t vfs__crash_##name(vfs_t *fs, VFS_UNPACK params);
#define CRASH_FS_SYNC(name, params) CRASH_FS_CHANGE(name, params)
#define CRASH_FILE_READ(name, params)
#define CRASH_FILE_META(name, params)
#define CRASH_FILE_HANDLE(name, params)
#define CRASH_FILE_WRITE(name, params)                                                             \
    apr_status_t vfs__crash_##name(vfs_file_t *file, VFS_UNPACK params);
#define CRASH_FILE_CHANGE(name, params) CRASH_FILE_WRITE(name, params)
#define CRASH_FILE_SYNC(name, params) CRASH_FILE_WRITE(name, params)
#define VFS_OP_FS(name, class, params, args, doc) CRASH_FS_##class(name, params)
#define VFS_OP_FILE(name, class, params, args, doc) CRASH_FILE_##class(name, params)
#include "vfs/vfs_ops.def"
#undef CRASH_FS_READ
#undef CRASH_FS_META
#undef CRASH_FS_WRITE
#undef CRASH_FS_CHANGE
#undef CRASH_FS_SYNC
#undef CRASH_FILE_READ
#undef CRASH_FILE_META
#undef CRASH_FILE_HANDLE
#undef CRASH_FILE_WRITE
#undef CRASH_FILE_CHANGE
#undef CRASH_FILE_SYNC

#endif
