/*
 * objects.h - files that can be written anywhere, over a layer that takes whole ones only.
 * Floor 1, private to vfs/objects/.
 *
 * A *node* is a file that is open, staged, or remembered: its path, the version below that it is
 * based on, and its stages. A *stage* is what was written over that version and is not below yet:
 * ranges of bytes in a spool file, a size, and how much of what lies under it still shows. A node
 * has none (it is clean), one, or two: while the first is committed it stands still, and who writes
 * meanwhile writes to the second, which lies on top. If the commit succeeds, the first goes; if it
 * fails, the second is merged into it.
 *
 *   clean --write, cut, create--> staged --flush, sync, close--> committing --> clean, or staged
 *
 * Whoever asks the lower layer about a path, or changes it there, has a *claim* on the path, or on
 * all that is below it; a second one waits. No lock is held across such a call. All claims of a
 * call are had at once or not at all, so there is no deadlock. Reads and writes of staged bytes
 * need none.
 *
 * Locks: objects_t.lock, then node_t.mutex.
 */
#ifndef VFS_OBJECTS_OBJECTS_H
#define VFS_OBJECTS_OBJECTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "vfs/internal.h"

#define OBJECTS_BUCKETS 1024u
#define OBJECTS_TOLD_MAX 4096u  /* nodes that are kept for the version that was told alone */
#define OBJECTS_SEEN 64u        /* names of a kind that were asked for a moment ago */
#define OBJECTS_SEEN_US 1000000 /* how long the answer is believed */
#define OBJECTS_MADE 64u        /* slots, by the hash of a path */

/* ---- stages (stage.c) */

/** Where staged bytes of all nodes lie. */
typedef struct spool_t {
    char *dir;
    uint64_t max; /**< 0: none */
    atomic_uint_fast64_t used;
} spool_t;

/** Bytes [from, to). */
typedef struct extent_t {
    uint64_t from, to;
} extent_t;

/** What was written over what lies under it. A byte is that of an extent, else that of what lies
 * under it where that still shows, else 0. */
typedef struct stage_t {
    spool_t *spool;
    int fd;         /**< bytes at their own offsets; -1: none yet */
    extent_t *list; /**< ascending, with gaps between them */
    size_t count, room;
    uint64_t size; /**< of the file */
    uint64_t keep; /**< below this what lies under it shows */
} stage_t;

void objects__stage_init(stage_t *s, spool_t *spool, uint64_t size, uint64_t keep);
void objects__stage_end(stage_t *s);
/** The first extent that ends behind `off`; count: none. */
size_t objects__stage_find(const stage_t *s, uint64_t off);
apr_status_t objects__stage_write(stage_t *s, const void *buf, size_t len, uint64_t off,
                                  size_t *written);
apr_status_t objects__stage_read(const stage_t *s, void *buf, size_t len, uint64_t off);
/** [from, to), within its size, reads as zeros. On an error a part of it may. */
apr_status_t objects__stage_zero(stage_t *s, uint64_t from, uint64_t to);
void objects__stage_cut(stage_t *s, uint64_t size);
/** What lies in `top` goes into `s`. On an error both are as good as before. */
apr_status_t objects__stage_merge(stage_t *s, stage_t *top);
/** A file in the spool directory that has no name. */
apr_status_t objects__spool_file(const spool_t *spool, int *fd);

/* ---- nodes and claims (node.c) */

/** A handle below to read the base by; the last user closes it. */
typedef struct reader_t {
    vfs_file_t *file;
    unsigned refs; /**< guarded by the mutex of its node */
} reader_t;

/** The file below that a node is based on. */
typedef struct base_t {
    int known;  /**< asked for, and not moved since */
    int exists; /**< there is one */
    vfs_attr_t attr;
    vfs_validator_t val;
} base_t;

typedef struct node_t {
    struct node_t *next; /**< of its bucket. Up to `told_next`: guarded by objects_t.lock */
    char *str;
    uint32_t len, hash;
    uint32_t refs, writers; /**< handles and visitors; handles that may write */
    int gone;               /**< it has no name any more */
    int listed;             /**< among those that are kept for what was told */
    struct node_t *told_prev, *told_next;

    pthread_mutex_t mutex; /**< guards what follows */
    base_t base;
    reader_t *reader; /**< or NULL */
    stage_t stage[2];
    unsigned stages;
    int committing; /**< stage[0] stands still */
    int settling;   /**< a conflict is, or others' whole file comes: writers wait for the claim */
    int doubt; /**< a commit of stage[0] may have been done: it stands still until that is known */
    uint32_t epoch;   /**< the base is another one */
    uint64_t seq;     /**< of changes, for the version that is told */
    int64_t mtime_ns; /**< of what is staged */
    uint32_t mode;    /**< of a file that is not below yet; as uid and gid */
    uint32_t uid, gid;
    uint64_t number; /**< never used again; the same for the life of the node */
    int just;        /**< a flush made base.attr a moment ago, and nobody asked since */
    int nameless;    /**< as `gone` */
    int told;        /**< base.val is ours, or will be, and `told_val` is told for it */
    vfs_validator_t told_val;
} node_t;

/** A claim on one or two paths, or on all at and below them. */
typedef struct claim_t {
    struct claim_t *next;
    vfs_path_t a, b; /**< b.str NULL: only one */
    int tree;
    char buf[VFS_PATH_MAX + 1]; /**< of the path of a node */
} claim_t;

/** Names of one kind that were asked for a moment ago. */
typedef struct recent_t {
    struct {
        uint32_t hash, len;
        apr_time_t when;
        char *str;
    } list[OBJECTS_SEEN];
    unsigned next;
} recent_t;

typedef struct objects_t {
    vfs_t *fs, *lower;
    int owns_lower;
    void (*log)(void *baton, const char *line);
    void *log_baton;
    spool_t spool;
    uint8_t id[8];
    pthread_mutex_t lock; /**< guards what follows */
    pthread_cond_t cond;  /**< a claim went */
    node_t *buckets[OBJECTS_BUCKETS];
    claim_t *claims;
    node_t *told_first, *told_last; /**< the one told longest ago first */
    size_t told_count;
    uint64_t numbers;
    recent_t dirs, absent;       /**< directories; what was not there */
    uint32_t made[OBJECTS_MADE]; /**< changes of it: names that came to be */
    atomic_size_t fresh;         /**< staged files that are not below yet, about: 0 means none */
} objects_t;

/** An open file. */
typedef struct handle_t {
    vfs_file_t base;
    objects_t *o;
    node_t *node;
} handle_t;

static inline objects_t *objects__of(const vfs_t *fs)
{
    return fs->state;
}

apr_status_t objects__claim(objects_t *o, const vfs_ctx_t *ctx, claim_t *c, const vfs_path_t *a,
                            const vfs_path_t *b, int tree);
/** On the path that the node has by then. VFS_ESTALE: it has none. */
apr_status_t objects__claim_node(objects_t *o, const vfs_ctx_t *ctx, claim_t *c, node_t *n);
void objects__release(objects_t *o, claim_t *c);

/** The node of a path, with a reference; NULL: none, or no memory for a new one. */
node_t *objects__node(objects_t *o, const vfs_path_t *path, int make);
/** The same for a file that is made, with a claim on its path: one that nobody else has, or that is
 * `staged`; what others had open is without a name from then on. NULL: no memory. */
node_t *objects__node_made(objects_t *o, const vfs_path_t *path, int *staged);
void objects__node_put(objects_t *o, node_t *n);
/** Free one that nobody has. Locked, or nobody else is there. */
void objects__node_end(objects_t *o, node_t *n);
/** Its name is gone, or another file's. */
void objects__node_gone(objects_t *o, node_t *n);
int objects__is_gone(objects_t *o, const node_t *n);
/** Those at and below `path` (NULL: all) that have a name, with references; at least one slot.
 * NULL: no memory. */
node_t **objects__nodes(objects_t *o, const vfs_path_t *path, size_t *count);
void objects__nodes_put(objects_t *o, node_t **nodes, size_t count);
/** Names at and below `from` are at and below `to` now; `swap`: and the other way round. Paths
 * claimed. */
apr_status_t objects__nodes_move(objects_t *o, const vfs_path_t *from, const vfs_path_t *to,
                                 int swap);
vfs_path_t objects__node_path(const node_t *n);

static inline int objects__is_fresh(const node_t *n) /* mutex held */
{
    return n->stages > 0 && n->base.known && !n->base.exists;
}
int objects__staged(node_t *n);
/** Is a name on the way to `path` that of a file that is not below yet? */
int objects__under_file(objects_t *o, const vfs_path_t *path);
/** What the lower layer says of a path that it does not have: if a file of ours is on the way, that
 * is no directory, and may have come below since. */
apr_status_t objects__missing(objects_t *o, const vfs_path_t *path, apr_status_t status);
/** Is one of these below the directory `path`? */
int objects__holds_fresh(objects_t *o, const vfs_path_t *path);

/* ---- what was seen a moment ago (seen.c) */

/** Directories that were there. */
void objects__dir_seen(objects_t *o, const vfs_path_t *path);
int objects__dir_known(objects_t *o, const vfs_path_t *path);
/** A name in it was there. */
void objects__dir_seen_above(objects_t *o, const vfs_path_t *path);
/** Some of them may be gone. */
void objects__dirs_forget(objects_t *o);

/** Names of which nothing was there. `made`: of the name, before its node was looked for and the
 * lower layer was asked. */
uint32_t objects__made_before(objects_t *o, const vfs_path_t *path);
void objects__absent_seen(objects_t *o, const vfs_path_t *path, uint32_t made);
int objects__absent_known(objects_t *o, const vfs_path_t *path);
/** It came to be, here or below; NULL: any may have. */
void objects__made(objects_t *o, const vfs_path_t *path);
void objects__seen_end(objects_t *o);

/* ---- the base of a node (base.c) */

/** What is told of a node. Mutex held. */
void objects__attr(const node_t *n, vfs_attr_t *attr);
void objects__version(const objects_t *o, const node_t *n, vfs_validator_t *val);
void objects__strip(vfs_attr_t *attr);
uint64_t objects__size(const node_t *n);
/** It has other bytes, or another size, time or mode. Mutex held. */
void objects__touch(node_t *n);
/** The base is this from now on. Mutex held. Returns a handle to be closed, or NULL. */
vfs_file_t *objects__base_set(node_t *n, int exists, const vfs_attr_t *attr,
                              const vfs_validator_t *val);
/** What the lower layer said of the path of a node; what is told instead. `epoch`: before it was
 * asked. */
void objects__base_learn(objects_t *o, node_t *n, uint32_t epoch, const vfs_attr_t *attr,
                         vfs_validator_t *val);
uint32_t objects__epoch(node_t *n);
/** A handle below that reads the base; opened if there is none: with a claim on the path, or by one
 * of its own. VFS_ESTALE: the base is not there any more. */
apr_status_t objects__reader(objects_t *o, node_t *n, const vfs_ctx_t *ctx, int claimed,
                             reader_t **out);
void objects__reader_put(node_t *n, reader_t *r);
/** Ask for the base, if it is not known. */
apr_status_t objects__base_ask(objects_t *o, node_t *n, const vfs_ctx_t *ctx, int claimed);
/** Read the version `val` of the base, whole ranges. VFS_ESTALE: it is another one by now. */
apr_status_t objects__base_read(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                                uint64_t off, const vfs_validator_t *val);

/* ---- commits (commit.c, conflict.c) */

typedef enum commit_e {
    COMMIT_MOVES = 0, /* whoever asks is told the version below */
    COMMIT_KEEPS      /* he is told the one that he knows, as long as it is the same file */
} commit_e;

/** What is staged goes below. */
apr_status_t objects__commit(objects_t *o, node_t *n, const vfs_ctx_t *ctx, commit_e kind);
/** The same with a claim on the path. */
apr_status_t objects__commit_claimed(objects_t *o, node_t *n, const vfs_ctx_t *ctx, commit_e kind);
/** All of a file is replaced, by what may be a copy; what is staged of it goes. Claimed. The
 * version that is demanded is one that is told here, `same_as` one below. */
apr_status_t objects__commit_whole(objects_t *o, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                   const vfs_source_t *source, const vfs_commit_t *how,
                                   vfs_attr_t *attr, vfs_validator_t *validator);
/** A new file belongs to who made it, whoever it is that writes it back: where a layer keeps owners
 * and does not judge by them. */
const vfs_ctx_t *objects__as_maker(const objects_t *o, uint32_t uid, uint32_t gid,
                                   const vfs_ctx_t *ctx, vfs_ctx_t *maker);
/** Find out what became of a commit that is in doubt. Path claimed, the base known. */
apr_status_t objects__resolve(objects_t *o, node_t *n, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              commit_e kind);
/** All at and below `path` (NULL: all, by claims of its own). The first error. */
apr_status_t objects__commit_tree(objects_t *o, const vfs_path_t *path, const vfs_ctx_t *ctx);

/** The bytes of a commit: those of stage[0], which stands still, over its base. */
typedef struct source_t {
    objects_t *o;
    node_t *n;
    const vfs_ctx_t *ctx;
    reader_t *reader;    /* of the base, once it is needed */
    vfs_file_t *instead; /* of it, where the base is not to be had: what is there now */
    uint64_t borrowed;   /* bytes of that */
    vfs_validator_t val; /* of the base */
} source_t;
apr_status_t objects__source_read(void *baton, void *buf, size_t len, apr_off_t off);

/** Somebody else replaced the file. Claimed; stage[0] stands still. APR_SUCCESS: it was no other
 * than what we wanted, and `attr` and `val` say what there is; VFS_ECONFLICT: ours is beside it,
 * and they say what theirs is (`exists`: if there is one); else ours stays staged. */
apr_status_t objects__conflict(objects_t *o, node_t *n, const vfs_ctx_t *ctx,
                               const vfs_path_t *path, vfs_attr_t *attr, vfs_validator_t *val,
                               int *exists);

/** Is it a clear no of the lower layer: was nothing done? */
int objects__refused(apr_status_t status);
/** A commit failed: was it done all the same? Then `attr` and `val` say what there is. Claimed;
 * stage[0] stands still. */
apr_status_t objects__was_done(objects_t *o, node_t *n, const vfs_ctx_t *ctx,
                               const vfs_path_t *path, vfs_attr_t *attr, vfs_validator_t *val,
                               int *done);

/* ---- what loses its name (keep.c) */

/** What of the base of a node shows, and is kept for who has it open. */
typedef struct kept_t {
    node_t *node; /**< or NULL: nothing */
    stage_t bytes;
    int whole; /**< all of it */
} kept_t;
/** Before the name goes. Path claimed, and a reference to the node. On an error it must stay. */
apr_status_t objects__keep(objects_t *o, node_t *n, const vfs_ctx_t *ctx, kept_t *k);
/** Then: is it `gone`? Before objects__node_gone. */
void objects__keep_end(kept_t *k, int gone);

/* ---- the table (open.c, file.c, range.c, names.c, attr.c, rename.c, dir.c, whole.c) */

apr_status_t objects__node_read(objects_t *o, node_t *n, const vfs_ctx_t *ctx,
                                const vfs_iovec_t *iov, size_t count, uint64_t off, size_t *got,
                                vfs_validator_t *val);
apr_status_t objects__node_write(objects_t *o, node_t *n, const vfs_ctx_t *ctx, const void *buf,
                                 size_t len, apr_off_t off, size_t *written, vfs_validator_t *val);
/** Lock the mutex with the base known: what the node had before it moved is gone. */
apr_status_t objects__lock_based(objects_t *o, node_t *n, const vfs_ctx_t *ctx);
/** The stage that takes changes. Mutex held; the base is known. */
stage_t *objects__top_stage(objects_t *o, node_t *n);
/** Nothing came of it after all; `before`: how many stages there were. Mutex held. */
void objects__untouch(node_t *n, unsigned before);
/** Size 0 or any, of a node whose base is known. */
apr_status_t objects__node_cut(objects_t *o, node_t *n, uint64_t size);

apr_status_t objects_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                          const vfs_path_t *path, uint32_t flags, uint32_t mode, vfs_attr_t *attr,
                          vfs_validator_t *validator);
apr_status_t objects_close(vfs_file_t *file, const vfs_ctx_t *ctx);
apr_status_t objects_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                             const vfs_path_t *path, uint32_t flags);
apr_status_t objects_closedir(vfs_dir_t *dir);
apr_status_t objects_copy_range(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                                vfs_file_t *dst, apr_off_t dst_off, size_t len, size_t *copied);
#define VFS_OP_FS(name, class, params, args, doc)                                                  \
    apr_status_t objects_##name(vfs_t *fs, VFS_UNPACK params);
#define VFS_OP_FILE(name, class, params, args, doc)                                                \
    apr_status_t objects_##name(vfs_file_t *file, VFS_UNPACK params);
#define VFS_OP_DIR(name, class, params, args, doc)                                                 \
    apr_status_t objects_##name(vfs_dir_t *dir, VFS_UNPACK params);
#include "vfs/vfs_ops.def"

#endif
