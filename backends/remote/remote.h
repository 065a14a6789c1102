/*
 * remote.h - what backends over HTTP have in common: one server, its connections, and requests that
 * end in an answer or a clear error in bounded time. Floor 2, shared by backends/ alone. libcurl
 * speaks HTTP and TLS; here is when to try again, when not to ask at all, and what may be sent to
 * whom.
 *
 * A request goes out on the caller's thread, by a slot: a handle of libcurl with connections of its
 * own, which live on for the next. So there are as many requests at a time as slots, and no lock is
 * held while one is under way. A connection carries one request at a time, in HTTP/2 too.
 */
#ifndef BACKENDS_REMOTE_REMOTE_H
#define BACKENDS_REMOTE_REMOTE_H

#include <curl/curl.h>

#include "backends/backends.h"
#include "vfs/vfs_ops.h"

/** How the caller is known to the server. */
typedef enum remote_auth_e {
    REMOTE_AUTH_NONE = 0,
    REMOTE_AUTH_BASIC,
    REMOTE_AUTH_BEARER
} remote_auth_e;

/** One server: remote__config_init, then remote__uri. Texts live in the pool of the parse. */
typedef struct remote_config_t {
    const char *base;   /**< "http://host:port/prefix": no '/' at its end, no user, no options */
    remote_auth_e auth; /**< how */
    const char *user;
    const char *secret_env;  /**< the variable that has the password or token */
    const char *secret_file; /**< or the file; NULL: none */
    const char *proxy;       /**< NULL: as the environment says; "": none */
    const char *cacert;      /**< a file of certificates; NULL: the system's */
    const char *socket;      /**< a Unix socket to connect to instead of the host; NULL: none */
    const char *trace;       /**< a file that gets a line for each attempt; NULL: none */
    int verify;              /**< certificates, as it should be */
    int hedge; /**< a read that takes long is asked for twice, and the first answer is taken */
    uint64_t connections; /**< slots */
    uint64_t retries;     /**< attempts beyond the first */
    int64_t connect_us;
    int64_t first_byte_us;   /**< from the connection to the end of the headers */
    uint64_t requests_per_s; /**< 0: any number */
    uint64_t bytes_per_s;    /**< of bodies, both ways together; 0: any number */
    int64_t slow_us;         /**< with REMOTE_SLOW: at least so long, for both; no option sets it */
    int64_t stall_us;        /**< a body must move REMOTE_STALL_BYTES in such a time */
    int priced;              /**< one of the next is known; only S3 has options for them */
    double price_put, price_get; /**< of 1,000 requests */
    double price_gib;            /**< of what is received */
} remote_config_t;

#define REMOTE_STALL_BYTES 4096u
#define REMOTE_HEADERS_MAX 65536u          /**< bytes of all headers of an answer */
#define REMOTE_REFUSAL_MAX 65536u          /**< bytes of the body of an answer that is no 2xx */
#define REMOTE_PAUSE_MIN_US 100000         /**< before the second attempt, half of it by chance */
#define REMOTE_PAUSE_MAX_US 10000000       /**< before any */
#define REMOTE_RETRY_AFTER_MAX_US 30000000 /**< who is sent away for longer gives up */
#define REMOTE_KEPT_MAX 16384u             /**< bytes of headers that are kept */
#define REMOTE_TAG_MAX 1024u

/** An answer's headers, as far as more than one backend looks at them. -1: not said. */
typedef struct remote_answer_t {
    long status;         /**< of HTTP; 0: there is no answer */
    int64_t length;      /**< of the body */
    int framed;          /**< the end of the body cannot be taken for a broken connection */
    int coded;           /**< Content-Encoding is not identity */
    int64_t range_first; /**< Content-Range */
    int64_t range_last;
    int64_t range_total;
    int64_t modified_s;        /**< Last-Modified, since 1970 */
    int64_t date_s;            /**< Date */
    int64_t retry_us;          /**< Retry-After */
    char etag[REMOTE_TAG_MAX]; /**< with its quotes; "": none */
    char type[128];            /**< Content-Type, lower case, without parameters */
    char *location;            /**< where a redirect leads, absolute; NULL: none */
    char *said;                /**< with REMOTE_TELL: the body, if that is no 2xx; else NULL */
    size_t said_len;           /**< of it; a NUL is behind it */
    char *kept;      /**< with `keep`: "name: value" lines; NULL: none. See remote__kept */
    size_t kept_len; /**< of it; a NUL is behind it */
    int unknown;     /**< an attempt that has no clear answer may have been obeyed */
    char why[CURL_ERROR_SIZE]; /**< in words, where there is no answer */
} remote_answer_t;

#define REMOTE_AGAIN 0x1u   /**< it does no harm if it is done twice */
#define REMOTE_FOREIGN 0x2u /**< to another server: no credentials, not through the Unix socket */
#define REMOTE_TELL 0x4u    /**< the body of an answer that is no 2xx is wanted, in `said` */

/** The server has much to do for it: it may take minutes, in which it says nothing or a byte now
 * and then. Who is late with it is not asked again, nor taken for away. */
#define REMOTE_SLOW 0x8u

#define REMOTE_DEAR 0x10u /**< it costs what a PUT does */
#define REMOTE_FREE 0x20u /**< it costs nothing */

/** From `begin` or `body`: that is enough, end it well. */
#define REMOTE_ENOUGH (VFS_EEND + 64)

/** What a request brings. Each attempt reads it from its beginning. */
typedef struct remote_send_t {
    const void *data;           /**< `len` bytes; NULL: of the source */
    const vfs_source_t *source; /**< or these */
    apr_off_t off;              /**< of the source: where they begin */
    uint64_t len;               /**< bytes of the body */
} remote_send_t;

/** One request. Each function may be NULL; an error of one ends the request with that error. */
typedef struct remote_request_t {
    const char *method; /**< any; PUT and POST bring a body, if an empty one */
    const char *url;
    uint32_t flags; /**< REMOTE_* */
    /** Before each attempt: what it adds to the headers. So a later one can ask for the rest. */
    apr_status_t (*prepare)(void *baton, struct curl_slist **headers);
    /** The headers are here. REMOTE_ENOUGH: and that is all that is wanted. */
    apr_status_t (*begin)(void *baton, const remote_answer_t *answer);
    /** Bytes of the body of a 2xx. */
    apr_status_t (*body)(void *baton, const void *data, size_t len);
    void *baton;
    const remote_send_t *send; /**< NULL: nothing */
    const char *keep; /**< headers of the answer that begin so are kept; lower case; NULL: none */
    /** A header of an answer, before `begin`; both NULL: those of another answer begin. */
    void (*header)(void *baton, const char *name, const char *value);
} remote_request_t;

typedef struct remote_t remote_t; /**< a server with its slots */

/** What the state of each backend begins with. */
typedef struct remote_state_t {
    remote_t *remote;
    void (*end)(void *state); /**< frees the whole state */
} remote_state_t;
/** The `destroy` of each. */
apr_status_t remote__destroy_fs(vfs_t *fs);

/** What nobody said otherwise. */
void remote__config_init(remote_config_t *config);
/** A key that any backend over HTTP has. Returns NULL if it is understood, "" for another key, else
 * what would be. */
const char *remote__config_set(remote_config_t *config, const char *key, const char *value,
                               apr_pool_t *pool);
/** Keys that remote__config_set knows, for a message. */
extern const char remote__keys[];
/** "500ms", "10s", "2m", "1h" in microseconds. */
int remote__parse_time(const char *text, int64_t *us);
/** "64k", "16m", "1g", or bytes. */
int remote__parse_size(const char *text, uint64_t *bytes);

/** Take a URI apart: base, user; what is behind '?' is left to the caller.
 *  @return NULL, or a sentence that tells no secret. */
const char *remote__uri(remote_config_t *config, const char *uri, const char **options,
                        apr_pool_t *pool);
/** Percent-decode in place; 0: it is broken, or has the byte 0. */
int remote__unescape(char *text);
/** "http://host/a%20b": base and path, with all in it as data. Free it. */
char *remote__url(const char *base, const char *path, int slash);
/** Do both URLs name the same server: scheme, host and port? */
int remote__same_origin(const char *a, const char *b);
/** Is `to` what `from` is, with a '/' behind it? Servers say so of a directory. */
int remote__adds_slash(const char *from, const char *to);
/** May a request to `from` be sent on to `to`: HTTP or HTTPS, and not from the second to the first?
 */
int remote__may_follow(const char *from, const char *to);

/* ---- open.c */

/** The place of a value among the accepted ones, which stand there with commas between; -1. */
int remote__choice(const char *value, const char *accepted);
/** Whose options these are. */
typedef struct remote_options_t {
    const remote_config_t *remote; /**< for its base, in messages */
    const char *keys;              /**< the backend's own, for a message: "listing, probe" */
    /** Answers as remote__config_set, which it asks for what it does not know. */
    const char *(*set)(void *baton, const char *key, const char *value, apr_pool_t *pool);
} remote_options_t;
/** Take in "key=value&key=value". APR_EINVAL: a sentence goes to err. */
apr_status_t remote__options(const char *text, const remote_options_t *options, void *baton,
                             char *err, size_t errlen, apr_pool_t *pool);
/** `own` has the texts of the options; it is the instance's from success on. */
typedef apr_status_t (*remote_open_fn)(vfs_t **out, const char *uri, char *err, size_t errlen,
                                       apr_pool_t *pool, apr_pool_t *own);
/** Of a constructor by URI: checks its arguments, and makes the pool. err may be NULL. */
apr_status_t remote__open(vfs_t **out, const char *uri, char *err, size_t errlen, apr_pool_t *pool,
                          remote_open_fn open);
/** Why a server cannot be opened, and what to do about it: `own`, or what is true of any. */
void remote__explain(const char *base, const remote_answer_t *answer, apr_status_t status,
                     const char *own, char *err, size_t errlen);

/** A sentence goes to err on failure; it tells no secret. */
apr_status_t remote__create(remote_t **out, const remote_config_t *config, char *err,
                            size_t errlen);
void remote__destroy(remote_t *remote);
const remote_config_t *remote__config(const remote_t *remote);
void remote__figures(remote_t *remote, vfs_remote_figures_t *out);

/** Send it, again where that may help. APR_SUCCESS: there is an answer, whatever it says, and
 * remote__answer_free ends it, on an error too. VFS_EOFFLINE: there is none to be had; APR_EACCES:
 * the server's certificate is refused; VFS_EFORMAT: what came is no HTTP, or without measure. What
 * the source of the body says ends it too. Without REMOTE_AGAIN it is sent a second time only if
 * the server cannot have acted on the first.
 * Threads: any. Blocks: until the answer, at most as long as the limits say. */
apr_status_t remote__send(remote_t *remote, const vfs_ctx_t *ctx, const remote_request_t *request,
                          remote_answer_t *answer);
void remote__answer_free(remote_answer_t *answer);
/** Wait, with the deadline and cancellation of the call, which are its errors. */
apr_status_t remote__wait(remote_t *remote, const vfs_ctx_t *ctx, int64_t us);
/** The value of a header that was kept, in `out`; NULL: it is not there, or does not fit. */
const char *remote__kept(const remote_answer_t *answer, const char *name, char *out, size_t size);
/** Make it what an answer says that has this tag and time, for remote__validator. */
void remote__answer_tag(remote_answer_t *answer, const char *etag, int64_t modified_s);
/** What an answer means that is no 2xx. */
apr_status_t remote__status(const remote_answer_t *answer);
/** The version that an answer is of: its etag, else its Last-Modified with the size; YOUNG where a
 * change could have left it the same. */
void remote__validator(vfs_validator_t *out, const remote_answer_t *answer, const vfs_attr_t *attr);

#endif
