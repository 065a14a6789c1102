/*
 * webdav.h - the backend over WebDAV: its types, shared by its files. Floor 2, private to
 * backends/webdav/ and its tests. Files and directories of a server by RFC 4918.
 */
#ifndef BACKENDS_WEBDAV_WEBDAV_H
#define BACKENDS_WEBDAV_WEBDAV_H

#include <pthread.h>
#include <stdatomic.h>

#include "backends/remote/files.h"
#include "backends/webdav/multistatus.h"

#define WEBDAV_DIRS 256u      /**< directories that are remembered as such */
#define WEBDAV_TOKEN_MAX 256u /**< bytes of a lock token */
#define WEBDAV_HEADERS_MAX 6u
#define WEBDAV_TRIAL_MAX (VFS_PATH_MAX + 64)

/** What a server does is found out; until then it is not known. */
typedef enum webdav_known_e { WEBDAV_UNKNOWN = 0, WEBDAV_YES, WEBDAV_NO } webdav_known_e;

#define WEBDAV_UNMADE 64u
#define WEBDAV_ABOVE 16u

/** A directory that was asked for, and got a file of ours since. */
typedef struct webdav_above_t {
    char *path; /**< NULL: none */
    vfs_attr_t attr;
    int64_t until_us; /**< so long it is as we made it; 0: it is to be asked for */
} webdav_above_t;

#define WEBDAV_LATER_MAX                                                                           \
    32u /* locks that are to be given back; who has one more does it himself                       \
         */

/** A lock that is given back, or to be. */
typedef struct webdav_owed_t {
    char *path; /**< NULL: none */
    int slash;
    char token[WEBDAV_TOKEN_MAX];
} webdav_owed_t;

/** Locks that a thread gives back, so that nobody waits for the answer (later.c). */
typedef struct webdav_later_t {
    pthread_mutex_t
        mutex;           /**< guards what follows, but for owed_count, which is written under it */
    pthread_cond_t more; /**< there is one, or it ends */
    pthread_cond_t less; /**< one was given back */
    pthread_t thread;
    int runs, ends;
    int64_t ends_us;                      /**< until then those that are left are given back */
    webdav_owed_t owed[WEBDAV_LATER_MAX]; /**< a ring; the first is under way */
    unsigned first;
    _Atomic unsigned owed_count;
} webdav_later_t;

/** One instance. What is found out is written by whoever finds it, always the same. */
typedef struct webdav_t {
    remote_state_t state;   /**< its first member */
    char *base;             /**< of every URL */
    char *root;             /**< the path of that, decoded, without a '/' at its end */
    uint64_t skip_max;      /**< bytes that may be read in vain where a server has no ranges */
    uint32_t uid, gid;      /**< whose all is */
    apr_pool_t *pool;       /**< texts of the options; NULL until it is whole */
    _Atomic int tags;       /**< PROPFIND tells etags; where it does not, times tell versions */
    _Atomic int conditions; /**< PUT obeys If-Match and If-None-Match */
    _Atomic int locks;      /**< LOCK is there */
    _Atomic int spares;     /**< DELETE with a depth of 0 takes no directory */
    _Atomic unsigned removals;
    _Atomic int misses;   /**< GET says "not found" of no directory */
    _Atomic int dates;    /**< PUT makes the request's Date the time of the file */
    _Atomic int targets;  /**< MOVE obeys a condition on what it replaces: not refuted */
    _Atomic int confused; /**< it loses locks that are taken or given back at the same time */
    pthread_mutex_t turn_lock;
    pthread_cond_t turn_over;
    int turn_taken; /**< guarded by turn_lock: a request about locks is under way */
    webdav_later_t later;
    pthread_mutex_t above_lock;
    webdav_above_t above[WEBDAV_ABOVE]; /**< guarded by above_lock; by the hash of the path */
    _Atomic uint64_t chance;
    _Atomic uint64_t
        unmade[WEBDAV_UNMADE];          /**< hash: our lock made it, and it may be empty still */
    _Atomic uint64_t dirs[WEBDAV_DIRS]; /**< hash and second: it was a directory then */
} webdav_t;

/** A request and what came of it. */
typedef struct webdav_call_t {
    const char *method;
    const char *path;
    int slash;                 /**< ask for it as for a directory */
    unsigned flags;            /**< REMOTE_* */
    int locks;                 /**< it changes locks of the server */
    int depth;                 /**< 0, 1, or WEBDAV_DEEP; WEBDAV_FLAT: not said */
    const remote_send_t *send; /**< NULL: nothing */
    const char *const *lines;  /**< headers until NULL; or NULL */
    const char *keep;          /**< as in remote_request_t */
    webdav_found_fn found;     /**< files of a 207, if it is not all an error; or NULL */
    /** The body of any other 2xx; or NULL. */
    apr_status_t (*body)(void *baton, const void *data, size_t len);
    void *baton;
} webdav_call_t;
#define WEBDAV_FLAT (-1)
#define WEBDAV_DEEP 2

/** A lock that we have. */
typedef struct webdav_lock_t {
    char token[WEBDAV_TOKEN_MAX];     /**< with its '<' and '>'; "": none */
    char line[WEBDAV_TOKEN_MAX + 16]; /**< "If: (<token>)", or "" */
    const char *path;
    int slash;
    int made;         /**< the file was not there: it is now, and empty */
    int64_t lasts_us; /**< so long */
    int64_t ends_us;  /**< since 1970; INT64_MAX: never */
    int64_t date_s;   /**< of the server, when it was made; -1: not said */
    int64_t keep_us;  /**< when it is to be asked for again */
} webdav_lock_t;

extern const remote_backend_t webdav__backend;

/* ---- call.c */

/** Ask. Where the server says that it is a directory, one with `found` is asked again as for a
 * directory, any other is EISDIR. A 207 to one without `found` is the error that stands in it, in
 * answer->status. APR_SUCCESS: there is a status of HTTP. remote__answer_free ends the answer,
 * always. */
apr_status_t webdav__call(webdav_t *w, const vfs_ctx_t *ctx, webdav_call_t *call,
                          remote_answer_t *answer);
/** As remote_backend_t wants it. */
apr_status_t webdav__ask(void *state, const vfs_ctx_t *ctx, const remote_ask_t *ask,
                         remote_answer_t *answer, int *is_dir);

/* ---- find.c */

/** Attributes and version by PROPFIND; `tag` may be NULL, else receives the etag ("": none). */
apr_status_t webdav__stat(webdav_t *w, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr,
                          vfs_validator_t *validator, char tag[REMOTE_TAG_MAX]);
/** The same of what is known to be a directory, as far as that goes. */
apr_status_t webdav__stat_dir(webdav_t *w, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr,
                              vfs_validator_t *validator);
/** Of the root, with what the server said, which the caller frees. */
apr_status_t webdav__root(webdav_t *w, const vfs_ctx_t *ctx, remote_answer_t *answer,
                          vfs_attr_t *attr);
/** What an answer that is no 2xx means for this path: is it that something above it is no
 * directory, or not there? */
apr_status_t webdav__refused(webdav_t *w, const vfs_ctx_t *ctx, const char *path,
                             const remote_answer_t *answer);
/** Is the parent there, and a directory? APR_SUCCESS; APR_ENOENT; APR_ENOTDIR. */
apr_status_t webdav__parent(webdav_t *w, const vfs_ctx_t *ctx, const char *path);
/** Add what is said to the names of the directory `path`, if it is of one; *self: it is of the
 * directory itself. */
apr_status_t webdav__take_name(webdav_t *w, const char *path, const webdav_props_t *props,
                               remote_names_t *names, int *self);
/** APR_SUCCESS; APR_ENOTEMPTY; APR_ENOTDIR. */
apr_status_t webdav__empty(webdav_t *w, const vfs_ctx_t *ctx, const char *path);
apr_status_t webdav__statfs(webdav_t *w, const vfs_ctx_t *ctx, const char *path, vfs_statfs_t *out);
void webdav__attr(const void *state, const remote_answer_t *answer, vfs_type_e type, uint64_t size,
                  const char *path, vfs_attr_t *attr);

/* ---- dirs.c */

/** It is a directory now. */
void webdav__saw_dir(webdav_t *w, const char *path);
/** It is this directory, as the server says. */
void webdav__saw_dir_as(webdav_t *w, const char *path, const vfs_attr_t *attr);
/** Was it one some seconds ago? */
int webdav__seen_dir(webdav_t *w, const char *path);
/** It is none any more. */
void webdav__forget_dir(webdav_t *w, const char *path);
/** The same of all: one moved, with those below it. */
void webdav__forget_dirs(webdav_t *w);
/** 1: what the directory `path` is like is known, since a file was put into it a moment ago. */
int webdav__dir_told(webdav_t *w, const char *path, vfs_attr_t *attr, vfs_validator_t *validator);
/** A file was put at `path` at the time `date_s` of the server; -1: it did not say. */
void webdav__dir_got(webdav_t *w, const char *path, int64_t date_s);
/** A name may have come there, or gone. */
void webdav__dir_moved(webdav_t *w, const char *path);
void webdav__dirs_end(webdav_t *w);

/* ---- lock.c */

/** What the server can do: one request, where it is not known. */
int webdav__has_locks(webdav_t *w, const vfs_ctx_t *ctx);
/** Lock it against others. APR_ENOTIMPL: it cannot be locked; EBUSY: somebody has it. */
apr_status_t webdav__lock(webdav_t *w, const vfs_ctx_t *ctx, const char *path, int slash,
                          webdav_lock_t *lock);
/** Of the work under the lock, often: half of its time is over, so ask for more. NULL: there is
 * none. VFS_EOFFLINE: it ended, and others may have come between. */
apr_status_t webdav__lock_keep(webdav_t *w, const vfs_ctx_t *ctx, webdav_lock_t *lock);
/** Give it back; the deadline of the call does not count. Without a lock: nothing. */
void webdav__unlock(webdav_t *w, webdav_lock_t *lock);
/** The same of a token, by a context. */
void webdav__unlock_token(webdav_t *w, const vfs_ctx_t *ctx, const char *path, int slash,
                          const char *token);

/* ---- later.c */

/** As webdav__unlock, but nobody waits for it, unless there is no room. */
void webdav__unlock_later(webdav_t *w, webdav_lock_t *lock);
/** Before a change there: no lock that is owed is in its way, at, above or below `path` (NULL:
 * anywhere). APR_TIMEUP and VFS_ECANCELED as the context says. */
apr_status_t webdav__unlocked(webdav_t *w, const vfs_ctx_t *ctx, const char *path);
void webdav__later_init(webdav_t *w);
/** Give back all that are owed, for some seconds at most; what stays ends by itself. */
void webdav__later_end(webdav_t *w);

/* ---- names.c, commit.c: ops */

/** A name beside `path` that nobody has; 0: it would be too long. */
int webdav__trial_name(webdav_t *w, const char *path, char out[WEBDAV_TRIAL_MAX]);

apr_status_t webdav__mkdir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t mode);
apr_status_t webdav__rmdir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path);
apr_status_t webdav__unlink(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path);
apr_status_t webdav__rename(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                            const vfs_path_t *to, uint32_t flags);
apr_status_t webdav__commit(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                            const vfs_source_t *source, const vfs_commit_t *how, vfs_attr_t *attr,
                            vfs_validator_t *validator);

/* ---- webdav.c */

extern const vfs_ops_t webdav__ops;

#endif
