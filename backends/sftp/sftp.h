/*
 * sftp.h - the backend over SFTP: its types, shared by its files. Floor 2, private to
 * backends/sftp/ and its tests. libssh2 does SSH; SFTP itself is spoken here, so that many requests
 * can be in flight on one connection, each call can leave when its time is over, and every byte
 * that a server sends is checked.
 *
 *   op --> sftp__run: breaker, connection, again if that does no harm   (run.c)
 *            --> sftp__ask_*: requests of a call, put together           (ask.c)
 *            --> sftp__wait: sent, and their replies                     (pump.c)
 *                  connection: TCP, SSH, who is the server, who are we   (connect.c, auth.c)
 */
#ifndef BACKENDS_SFTP_SFTP_H
#define BACKENDS_SFTP_SFTP_H

#include <pthread.h>
#include <stdatomic.h>

#include <libssh2.h>

#include "backends/sftp/wire.h"
#include "vfs/breaker.h"
#include "vfs/vfs_ops.h"

#define SFTP_HANDLE_MAX 256u          /**< bytes of a server's handle */
#define SFTP_MESSAGE_MAX (512u << 10) /**< bytes of one message from a server */
#define SFTP_FLIGHT_MAX (4u << 20)    /**< bytes that a call has in flight */
#define SFTP_PIECE 32768u             /**< of one request, where the server names no limit */
#define SFTP_PIECE_MAX (255u << 10)
#define SFTP_NAMES_MAX (8u << 20) /**< of a listing */

/** Within the backend: the connection ended before the replies came. Never leaves it. */
#define SFTP_LOST (VFS_EEND + 80)

/* Extensions that a server has. */
#define SFTP_EXT_POSIX_RENAME 0x1u
#define SFTP_EXT_FSYNC 0x2u
#define SFTP_EXT_STATVFS 0x4u
#define SFTP_EXT_LSETSTAT 0x8u
#define SFTP_EXT_LIMITS 0x10u

/** What a URI says. Texts live in the pool of the parse. */
typedef struct sftp_config_t {
    const char *shown; /**< the URI without its options, for messages */
    const char *host, *user, *dir;
    uint16_t port;
    const char *identity;    /**< a private key; NULL: those of ~/.ssh, and the agent */
    const char *known_hosts; /**< keys of servers */
    const char *secret_env;  /**< the variable that has the password */
    const char *secret_file; /**< or the file; NULL: none */
    int use_agent, probe, links;
    uint64_t connections, retries;
    int64_t connect_us, stall_us, skew_us;
} sftp_config_t;

typedef struct sftp_call_t sftp_call_t;
typedef struct sftp_file_t sftp_file_t;

#define SFTP_SETS_TIMES 0x1u
#define SFTP_SETS_OWNER 0x2u
/** What a change can leave: a size from `least` (or that before) to `most` (likewise). */
typedef struct sftp_change_t {
    int begun;
    const char *path; /**< NULL: by the call's handle */
    uint64_t least, most;
    uint32_t sets; /**< SFTP_SETS_* */
} sftp_change_t;

/** A request in flight, or its reply. The session's mutex guards it until the reply is there. */
typedef struct sftp_req_t {
    struct sftp_req_t *next; /**< in the session's table */
    sftp_call_t *call;       /**< NULL: nobody waits for it */
    uint32_t id;
    uint8_t asked; /**< FXP_*: the handle of an open that nobody waits for is closed */
    uint8_t type;  /**< of the reply; 0: there is none */
    void *into;    /**< where bytes of an FXP_DATA go */
    size_t into_len, got;
    uint64_t order; /**< of the replies of the instance: this one came so late */
    uint8_t *body;  /**< the reply behind its id, but for bytes that went to `into` */
    size_t len;
} sftp_req_t;

#define SFTP_TABLE 64u

/** A connection. One thread at a time speaks to libssh2, with the mutex held, and never waits in
 * it: what is to be sent is buffered in `wire`. One of those who wait for replies is the pump: it
 * polls the socket, without the mutex, and hands out what comes; the others sleep. */
typedef struct sftp_session_t {
    pthread_mutex_t mutex; /**< a leaf; guards all but the next four */
    struct sftp_t *f;
    struct sftp_session_t *next; /**< in the instance's list; its mutex */
    atomic_uint refs;
    atomic_uint calls; /**< under way, for whoever looks for the one with the least */
    LIBSSH2_SESSION *ssh;
    LIBSSH2_CHANNEL *channel;
    int fd, wake;    /**< wake: an eventfd that ends the pump's poll */
    sftp_buf_t wire; /**< SSH, for the socket */
    sftp_buf_t out;  /**< SFTP, for libssh2 */
    sftp_buf_t in;   /**< SFTP, as far as it came */
    sftp_req_t *table[SFTP_TABLE];
    size_t in_flight;
    sftp_call_t *pump;    /**< whose thread polls; NULL: nobody's */
    sftp_call_t *waiting; /**< who sleeps */
    atomic_uint next_id;
    _Atomic int dead;
    apr_status_t why; /**< it is dead: SFTP_LOST, or what came is no SFTP */
    int greeting;     /**< not yet through: what it may send is limited */
    int broken; /**< the socket has ended: what libssh2 says of it then is not the server's word */
    uint64_t heard;      /**< bytes of the socket */
    int64_t limit_us;    /**< greeting: no longer than that */
    int64_t progress_us; /**< when something came last, or the first request went out */
    uint32_t extensions; /**< SFTP_EXT_*; from here on nothing changes after the greeting */
    uint32_t read_max, write_max;
    char base[VFS_PATH_MAX]; /**< the root, as the server names it; "" for "/" */
} sftp_session_t;

/** An instance. mutex guards sessions, connecting, breaker, files, their paths and marks; it is a
 * leaf. */
typedef struct sftp_t {
    sftp_config_t config;
    char *secret; /**< NULL: there is none */
    pthread_mutex_t mutex;
    pthread_cond_t room;  /**< a connection was made, or was not */
    pthread_cond_t pause; /**< never signalled: for waiting until a deadline */
    sftp_session_t *sessions;
    uint64_t nsessions; /**< in the list */
    uint64_t connecting;
    int64_t more_us; /**< before, no further connection is tried: the server did not want one */
    vfs__breaker_t breaker;
    struct sftp_file_t *files;  /**< open ones */
    struct sftp_mark_t **marks; /**< names that changed since they were made durable */
    size_t nmarks, marks_room;
    uint64_t mark_seq;      /**< counts changes of the set */
    uint64_t moving, moves; /**< renames under way; that ended */
    int forgotten;          /**< the set was full: a name that is not durable is not in it */
    pthread_mutex_t append; /**< held over the two round trips of an append by a plain handle */
    _Atomic uint64_t chance, replies;
    _Atomic uint64_t requests, attempts, failures, refused, bytes_in, bytes_out, connections;
    apr_pool_t *pool; /**< texts of the options; NULL until it is whole */
} sftp_t;

/** A call: requests that go together, and their replies. On the caller's stack. */
struct sftp_call_t {
    sftp_t *f;
    sftp_session_t *session;
    const vfs_ctx_t *ctx;
    struct sftp_call_t *next; /**< among the waiting ones */
    pthread_cond_t cond;
    sftp_buf_t out;    /**< not handed over yet */
    sftp_buf_t drops;  /**< handles that are closed behind it, whatever becomes of the call */
    sftp_req_t **reqs; /**< of this round, in their order */
    size_t count, room, missing;
    size_t message;                  /**< where the one that is being put together begins */
    uint8_t handle[SFTP_HANDLE_MAX]; /**< of the file that it is about */
    size_t handle_len;
    sftp_file_t *file; /**< likewise; or NULL */
    sftp_change_t change;
    int64_t begun_us;
    int sent;   /**< something of it may have reached the server */
    int failed; /**< no memory */
    int closes; /**< it is sent though its time is over */
};

/** An open file. The server's handle belongs to one connection; where that ends it is opened again,
 * if it is still the same file. `mutex` guards session, handle and stale; from path on the
 * instance's does. */
struct sftp_file_t {
    vfs_file_t base;
    struct sftp_file_t *next, *prev; /**< the instance's open files */
    pthread_mutex_t mutex;
    sftp_session_t *session;
    uint8_t handle[SFTP_HANDLE_MAX];
    size_t handle_len;
    int is_dir, stale;
    _Atomic uint64_t writes; /**< that ended */
    char *path;              /**< NULL: the name is gone, or another file's */
    uint64_t synced;         /**< of the writes: durable, or its name is marked */
    vfs_attr_t seen;         /**< as we saw it last */
    uint64_t order;          /**< of the reply that said so: threads come to it as they like */
    unsigned changes;        /**< of ours that are under way */
    int doubt;               /**< one of ours may have been made, or not */
    sftp_change_t may;       /**< what these can leave, all together */
};

/* ---- connect.c, known.c, auth.c, session.c */

/** Make a connection: TCP, SSH, SFTP. A sentence goes to err. */
apr_status_t sftp__connect(sftp_session_t **out, sftp_t *f, const vfs_ctx_t *ctx, char *err,
                           size_t errlen);
/** What known_hosts says of a server that shows a key. */
typedef struct sftp_known_t {
    const char *shown; /**< in base64; NULL: none yet */
    LIBSSH2_KNOWNHOSTS *keys;
    int revoked;   /**< the key that is shown */
    int authority; /**< somebody else is said to vouch for the server's keys */
} sftp_known_t;
/** Read it; from success on the caller frees `keys`. */
apr_status_t sftp__known_read(sftp_session_t *s, sftp_known_t *known);
/** Is the server who it should be, and does it let us in? While greeting. */
apr_status_t sftp__check_host(sftp_session_t *s, char *err, size_t errlen);
apr_status_t sftp__prefer_known_keys(sftp_session_t *s, char *err, size_t errlen);
apr_status_t sftp__log_in(sftp_session_t *s, const vfs_ctx_t *ctx, char *err, size_t errlen);
/** Send what there is, and wait until the socket has news. While greeting. */
apr_status_t sftp__await(sftp_session_t *s, const vfs_ctx_t *ctx);
void sftp__session_ref(sftp_session_t *s);
void sftp__session_unref(sftp_session_t *s);
/** A live one; `fresh`: what was made for it. */
apr_status_t sftp__session_get(sftp_t *f, const vfs_ctx_t *ctx, sftp_session_t **out, char *err,
                               size_t errlen);

/* ---- ask.c: what a call asks. Each begins with a message of its own. */

void sftp__begin(sftp_call_t *c, uint8_t type);
void sftp__end(sftp_call_t *c);
/** The path of a name below the root. */
void sftp__put_path(sftp_call_t *c, const char *path);
void sftp__ask_path(sftp_call_t *c, uint8_t type, const char *path);
void sftp__ask_handle(sftp_call_t *c, uint8_t type, const uint8_t *handle, size_t len);
void sftp__ask_open(sftp_call_t *c, const char *path, uint32_t flags, const uint32_t *mode);
void sftp__ask_read(sftp_call_t *c, const uint8_t *handle, size_t handle_len, uint64_t off,
                    void *into, size_t len);
/** Close with the next sftp__wait, behind its requests, without waiting for what it says: nothing
 * was written by it. A wait for that alone cannot fail. */
void sftp__drop_handle(sftp_call_t *c, const uint8_t *handle, size_t len);
/** Did the n-th request of this round get such a reply? FXP_STATUS: is it well done? */
apr_status_t sftp__reply(const sftp_call_t *c, size_t n, uint8_t type, sftp_in_t *in);
/** The server's own number; FX_OK where it is no FXP_STATUS. */
uint32_t sftp__reply_code(const sftp_call_t *c, size_t n);
/** A round of ATTRS, as attributes. */
apr_status_t sftp__reply_attr(const sftp_call_t *c, size_t n, vfs_attr_t *attr);
/** The one name of a NAME, within the reply. */
apr_status_t sftp__reply_name(const sftp_call_t *c, size_t n, const uint8_t **name, size_t *len);
apr_status_t sftp__reply_handle(const sftp_call_t *c, size_t n, uint8_t *handle, size_t *len);

/* ---- pump.c */

/** Send what was asked, and wait for the replies. Afterwards the next request begins another round.
 * SFTP_LOST; APR_TIMEUP and VFS_ECANCELED: the replies will be thrown away; VFS_EFORMAT. */
apr_status_t sftp__wait(sftp_call_t *c);
/** Throw away this round. */
void sftp__clear(sftp_call_t *c);
/** Hand out the whole messages of `in`, the mutex held. VFS_EFORMAT: what came is no SFTP. */
apr_status_t sftp__take_messages(sftp_session_t *s);
/** Callbacks of libssh2. */
ssize_t sftp__wire_send(libssh2_socket_t fd, const void *data, size_t len, int flags,
                        void **abstract);
ssize_t sftp__wire_recv(libssh2_socket_t fd, void *data, size_t len, int flags, void **abstract);
/** Send what lies in `wire`. 0: the connection is gone. */
int sftp__wire_flush(sftp_session_t *s);
int64_t sftp__now_us(void);

/* ---- run.c */

typedef apr_status_t (*sftp_fn)(sftp_call_t *c, void *baton);
#define SFTP_AGAIN 0x1u /**< it does no harm if it is done twice */
/** Let `fn` speak to the server. SFTP_LOST of it: again, if it may be; else EIO, since nobody knows
 * what was done. VFS_EOFFLINE: the server is away. */
apr_status_t sftp__run(sftp_t *f, const vfs_ctx_t *ctx, uint32_t flags, sftp_fn fn, void *baton);
/** The same on the connection that a file's handle belongs to; it is opened again where that is
 * gone. */
apr_status_t sftp__run_file(sftp_file_t *file, const vfs_ctx_t *ctx, uint32_t flags, sftp_fn fn,
                            void *baton);
/** Does it leave open whether the server did what it was asked for? */
int sftp__unsure(apr_status_t status);
void sftp__call_init(sftp_call_t *c, sftp_t *f, sftp_session_t *s, const vfs_ctx_t *ctx);
void sftp__call_end(sftp_call_t *c);
void sftp__version(const sftp_t *f, vfs_validator_t *out, const vfs_attr_t *attr);

/* ---- why.c: what a failure was about that the protocol has no number for */

apr_status_t sftp__why_path(sftp_call_t *c, const char *path, apr_status_t status, int follow);
apr_status_t sftp__why_new(sftp_call_t *c, const char *path, apr_status_t status);
apr_status_t sftp__why_remove(sftp_call_t *c, const char *path, apr_status_t status, int dir);
apr_status_t sftp__why_rename(sftp_call_t *c, const char *from, const char *to, int noreplace,
                              apr_status_t status);
apr_status_t sftp__why_write(sftp_call_t *c, const sftp_file_t *file, apr_status_t status);

/* ---- attrs.c, names.c, file.c, data.c, listing.c, sync.c: ops */

#define SFTP_FS_OP(name, params) apr_status_t sftp__##name(vfs_t *fs, VFS_UNPACK params);
#define SFTP_FILE_OP(name, params) apr_status_t sftp__##name(vfs_file_t *file, VFS_UNPACK params);
#define VFS_OP_FS(name, class, params, args, doc) SFTP_FS_OP(name, params)
#define VFS_OP_FILE(name, class, params, args, doc) SFTP_FILE_OP(name, params)
#include "vfs/vfs_ops.def"
apr_status_t sftp__open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                        uint32_t flags, uint32_t mode, vfs_attr_t *attr,
                        vfs_validator_t *validator);
apr_status_t sftp__close(vfs_file_t *file, const vfs_ctx_t *ctx);
apr_status_t sftp__opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                           uint32_t flags);
apr_status_t sftp__readdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, vfs_dirent_t *entry);
apr_status_t sftp__seekdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, uint64_t cookie);
apr_status_t sftp__closedir(vfs_dir_t *dir);

/** A reply to FXP_STAT or FXP_LSTAT, and one to FXP_REALPATH behind it. */
apr_status_t sftp__look(sftp_call_t *c, size_t at, const char *path, int follow, vfs_attr_t *attr);
/** A name led to another file from now on, or moved: what handles are opened again by. */
void sftp__files_gone(sftp_t *f, const char *path);
void sftp__files_moved(sftp_t *f, const char *from, const char *to);
/** Its name as it is now; 0: it has none. */
int sftp__file_path(const sftp_file_t *file, char path[VFS_PATH_MAX + 1]);

/* ---- version.c: of which version an open file is */

/** Looked at by its handle, in the reply of that order: nothing is in doubt any more. */
void sftp__saw(sftp_file_t *file, const vfs_attr_t *attr, uint64_t order);
/** As it was seen last. */
void sftp__last_seen(sftp_file_t *file, vfs_attr_t *attr);
/** The same, and it is so by our own doing: other handles of its name are told. */
void sftp__changed(sftp_file_t *file, const vfs_attr_t *attr, uint64_t order);
/** What has this name is so by our own doing. */
void sftp__saw_path(sftp_t *f, const char *path, const vfs_attr_t *attr, uint64_t order);
/** A change is about to be sent. */
void sftp__change_begin(sftp_call_t *c, const sftp_change_t *change);
/** So its call ended. */
void sftp__change_end(sftp_call_t *c, apr_status_t status);
/** Can the file that was opened have these attributes, if nobody but us changed it? */
int sftp__is_same(sftp_file_t *file, const vfs_attr_t *now);

/** A name changed, and is not known to be durable: 0: what it leads to, 1: its directory too, 2:
 * that alone. */
void sftp__mark(sftp_t *f, const char *path, int parent);
/** The same for a file that was written to by its handle; before nobody finds that any more. */
void sftp__mark_file(sftp_file_t *file);
/** Around a rename: names that are marked move, too. The first returns `begun`. */
uint64_t sftp__marks_moving(sftp_t *f);
void sftp__marks_moved(sftp_t *f, const char *from, const char *to, uint64_t begun,
                       apr_status_t status);
void sftp__marks_free(sftp_t *f);
/** Parse what stands in a URI. NULL, or a complaint that tells no secret. */
const char *sftp__parse(sftp_config_t *config, const char *uri, char *why, size_t size,
                        apr_pool_t *pool);

#endif
