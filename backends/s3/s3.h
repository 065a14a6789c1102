/*
 * s3.h - the backend over S3: its types, shared by its files. Floor 2, private to backends/s3/ and
 * its tests.
 *
 * A file is an object, a directory is what keys have in common up to a '/', with or without an
 * object of its own ("dir/", a marker). There is no order between keys and no lock: what takes
 * several requests can be seen half done.
 */
#ifndef BACKENDS_S3_S3_H
#define BACKENDS_S3_S3_H

#include <pthread.h>
#include <stdatomic.h>

#include "backends/remote/files.h"

#define S3_META_MAX 64u  /* headers that an object keeps */
#define S3_META_TEXT 40u /* bytes of one of ours */
#define S3_HEADERS_MAX (S3_META_MAX + 8u)
#define S3_KEY_MAX 1024u         /* bytes of a key, says S3 */
#define S3_PART_MIN (5u << 20)   /* of a part that is not the last, says S3 */
#define S3_PARTS_MAX 10000u      /* of an upload, says S3 */
#define S3_COPY_MAX (5ull << 30) /* bytes that one request may copy, says S3 */
#define S3_SEEN 64u              /* directories that were seen a moment ago */
#define S3_SEEN_US 1000000       /* how long that is believed */
#define S3_ABSENT 2u             /* after so many it is asked for the next in another way */
#define S3_CREDS_PAUSE_US 10000000
#define S3_MARKED_US 60000000 /* and that they have a marker: that it is lost does little harm */

/** Who signs. */
typedef struct s3_creds_t {
    char id[160]; /**< "": nobody, requests are anonymous */
    char secret[256];
    char token[8192];   /**< "": none */
    int64_t expires_us; /**< since 1970; 0: nobody said */
    int lent;           /**< for a time, by somebody who was asked for them */
} s3_creds_t;

/** One header that is signed; its name is in lower case. Both are borrowed. */
typedef struct s3_header_t {
    const char *name, *value;
} s3_header_t;

/** What a refusal says. */
typedef struct s3_error_t {
    char code[64];
    char message[256];
    char region[64];
} s3_error_t;

/** A directory that was there. */
typedef struct s3_seen_t {
    uint32_t hash;
    apr_time_t when;        /**< it was */
    apr_time_t marked_when; /**< with a marker; 0: never */
    char *path;
} s3_seen_t;

#define S3_CONDITIONAL_ASK 0
#define S3_CONDITIONAL_YES 1

/** What a URI says. */
typedef struct s3_options_t {
    remote_config_t remote; /**< its base is that of the bucket */
    const char *host, *bucket, *prefix, *region, *endpoint, *profile;
    int path_style; /**< -1: as it fits the endpoint */
    int meta, anonymous, payer, probe;
    int links;       /**< -1: as `meta` */
    int conditional; /**< S3_CONDITIONAL_ASK, S3_CONDITIONAL_YES, 2: no */
    uint64_t part_bytes, parallel;
    const char *storage_class, *sse, *sse_key;
} s3_options_t;

/** One instance. */
typedef struct s3_t {
    remote_state_t state; /**< its first member */
    const char *base;     /**< URL of the bucket, without '/' at its end */
    const char *host;     /**< as in the header Host */
    const char *bucket;
    const char *region;
    const char *prefix;  /**< before each key: "" or "dir/" */
    const char *profile; /**< of the shared file; NULL: the default one */
    int meta;            /**< mode, owner and times are kept as metadata */
    int links;           /**< and that it is a symbolic link */
    int anonymous;
    int https;
    uint32_t uid, gid;          /**< whose all is that says nothing else */
    int payer;                  /**< the requester pays */
    _Atomic int conditional;    /**< the server honours If-Match and If-None-Match of PUT */
    _Atomic int bare_tags;      /**< it wants the tag of If-Match without its quotes */
    uint64_t part_bytes;        /**< of an upload in parts */
    uint64_t parallel;          /**< parts, or copies, at a time */
    uint64_t copy_max;          /**< bytes that one request may copy */
    const char *storage_class;  /**< NULL: the object's, or the bucket's */
    const char *sse, *sse_key;  /**< likewise */
    _Atomic int no_part_copy;   /**< the server cannot copy into a part */
    _Atomic int tags_are_md5;   /**< one was, of a body that we know */
    _Atomic unsigned absent;    /**< so many names in a row were not there */
    _Atomic int no_near;        /**< the server lists nothing by a part of a name */
    _Atomic int64_t skew_s;     /**< the server's clock less ours */
    pthread_mutex_t creds_lock; /**< guards the next five */
    pthread_cond_t creds_came;  /**< creds_busy has ended */
    int creds_busy;             /**< somebody fetches others */
    s3_creds_t creds;
    apr_time_t creds_us;       /**< when they were looked for */
    apr_status_t creds_status; /**< how that went */
    int64_t creds_pause_us;    /**< who lends them is not asked more often */
    int64_t process_us;        /**< how long a program may take to lend one */
    pthread_mutex_t seen_lock; /**< guards the next two */
    s3_seen_t seen[S3_SEEN];
    unsigned seen_next;
    apr_pool_t *pool; /**< texts of the options; NULL until it is whole */
} s3_t;

/** What is asked of the server. */
typedef struct s3_request_t {
    const char *method;
    const char *path;  /**< within the root; NULL: the bucket */
    int slash;         /**< the marker of that directory */
    const char *query; /**< encoded, sorted by name, each with its '='; NULL: none */
    s3_header_t headers[S3_HEADERS_MAX];
    size_t nheaders;
    const void *data; /**< the body */
    size_t len;
    uint32_t flags;                                                    /**< REMOTE_AGAIN */
    apr_status_t (*prepare)(void *baton, struct curl_slist **headers); /**< not signed */
    apr_status_t (*begin)(void *baton, const remote_answer_t *answer);
    apr_status_t (*body)(void *baton, const void *data, size_t len);
    void *baton;
} s3_request_t;

extern const remote_backend_t s3__backend;

/* ---- options.c */

/** The first of two variables (the second may be NULL) that says something; NULL: none. */
const char *s3__environment(const char *one, const char *other);

/** Texts go into the pool. A sentence in err, without secrets. */
apr_status_t s3__options(s3_options_t *options, const char *uri, char *err, size_t errlen,
                         apr_pool_t *pool);

/* ---- sign.c */

/** What is signed (AWS Signature Version 4). `headers` are sorted by name. */
typedef struct s3_sign_t {
    const char *method, *path, *query; /**< encoded; query "" without one */
    const s3_header_t *headers;
    size_t nheaders;
    const char *payload; /**< hash of the body in hexadecimal, or UNSIGNED-PAYLOAD */
    const char *date;    /**< "20130524T000000Z" */
    const char *region;
    const char *service; /**< "s3" */
} s3_sign_t;
/** The value of the header Authorization; free it. NULL: no memory. */
char *s3__sign(const s3_sign_t *what, const s3_creds_t *creds);
/** A time as in s3_sign_t. */
void s3__date(char out[17], int64_t seconds);

/* ---- creds.c */

/** Find out who signs. A sentence in err. */
apr_status_t s3__creds_load(s3_t *s, const vfs_ctx_t *ctx, char *err, size_t errlen);
/** Those of now; what ends soon is replaced first. An error: there are none that are good. */
apr_status_t s3__creds_get(s3_t *s, const vfs_ctx_t *ctx, s3_creds_t *out);
/** The server refused `old`: are there others now? */
int s3__creds_renew(s3_t *s, const vfs_ctx_t *ctx, const s3_creds_t *old);

/* ---- issuer.c */

/** Ask STS for the role of AWS_ROLE_ARN. A sentence in err. VFS_EOFFLINE: nobody answers;
 * APR_EACCES: it refuses; VFS_EFORMAT: what it says is no key. */
apr_status_t s3__lend_web(s3_t *s, const vfs_ctx_t *ctx, s3_creds_t *creds, char *err,
                          size_t errlen);
/** The same for any role, by the token in a file. `session` may be NULL. */
apr_status_t s3__lend_token(s3_t *s, const vfs_ctx_t *ctx, const char *role, const char *file,
                            const char *session, s3_creds_t *creds, char *err, size_t errlen);
/** The same of the agent that AWS_CONTAINER_CREDENTIALS_* name. */
apr_status_t s3__lend_container(const vfs_ctx_t *ctx, s3_creds_t *creds, char *err, size_t errlen);
/** The same of the metadata service of the machine. */
apr_status_t s3__lend_machine(const vfs_ctx_t *ctx, s3_creds_t *creds, char *err, size_t errlen);
/** Where that agent is; NULL, or what is wrong. Without TLS it has to be near. */
const char *s3__container_url(char *out, size_t size, const char *relative, const char *full);
/** What they answer. VFS_EFORMAT: it is no key; `code` is what the refusal says, or "". */
apr_status_t s3__lent_json(s3_creds_t *creds, char code[64], const char *text, size_t len);
apr_status_t s3__lent_xml(s3_creds_t *creds, const char *text, size_t len);

/* ---- ask.c */

/** Ask, as somebody who may, at the time that the server has. APR_SUCCESS: there is an answer. What
 * a refusal says is in `error`, which may be NULL. remote__answer_free ends the answer, always. */
apr_status_t s3__send(s3_t *s, const vfs_ctx_t *ctx, const s3_request_t *request,
                      remote_answer_t *answer, s3_error_t *error);
/** The same; any status but 2xx is an error. */
apr_status_t s3__do(s3_t *s, const vfs_ctx_t *ctx, const s3_request_t *request,
                    remote_answer_t *answer, s3_error_t *error);
void s3__header(s3_request_t *request, const char *name, const char *value);
/** What an answer means that is no 2xx. */
apr_status_t s3__status(const remote_answer_t *answer, const s3_error_t *error);
/** Read <Error>; what it does not say is "". */
void s3__parse_error(s3_error_t *error, const char *text, size_t len);
/** `text` encoded for a query, behind what is in `out`. 0: it does not fit. */
int s3__query_add(char *out, size_t size, const char *name, const char *value);
/** Is the bucket there, and may we? A sentence in err. */
apr_status_t s3__probe(s3_t *s, char *err, size_t errlen);

/* ---- attr.c */

void s3__attr(const void *state, const remote_answer_t *answer, vfs_type_e type, uint64_t size,
              const char *path, vfs_attr_t *attr);
apr_status_t s3__head(void *state, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr,
                      vfs_validator_t *validator, int *blind);
/** Attributes and version of a file or of a directory. */
apr_status_t s3__stat(s3_t *s, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr,
                      vfs_validator_t *validator);
/** The same of what is no file, by its own answer. */
apr_status_t s3__stat_other(s3_t *s, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr);
/** ENOENT, or ENOTDIR where the path leads through a file. */
apr_status_t s3__absent(s3_t *s, const vfs_ctx_t *ctx, const char *path);
/** Is there anything, after many that were not there? ENOENT, ENOTDIR: nothing is. Else it must be
 * asked for; `other`: it is no file, at least. */
apr_status_t s3__guess(s3_t *s, const vfs_ctx_t *ctx, const char *path, int *other);
/** What a question found is counted, for the next guess. Returns `status`. */
apr_status_t s3__guessed(s3_t *s, apr_status_t status);

/* ---- seen.c */

/** A directory was there, perhaps with a marker; or is not any more, nor what is below it. */
void s3__seen(s3_t *s, const char *path, int marked);
/** What is at `path` was, so what is above it is a directory. */
void s3__seen_above(s3_t *s, const char *path);
void s3__unseen(s3_t *s, const char *path);
int s3__was_seen(s3_t *s, const char *path);
int s3__marked(s3_t *s, const char *path);

/* ---- list.c */

/** "2009-10-12T17:50:30.000Z" in nanoseconds; 0: it is none. */
int64_t s3__time(const char *text);

/** What is told of each key of a listing. `key` is below the root; `prefix`: what keys have in
 * common, up to and with a '/'. */
typedef struct s3_item_t {
    const char *key;
    int prefix;
    uint64_t size;
    int64_t mtime_ns;
    const char *etag;
    const char *class; /**< where it is stored; "": not said */
} s3_item_t;
/** Keys that begin as the path does, as a directory: those right below, or all (`deep`). At most
 * `max`; 0: all of them, page by page. `take` is called once a page is whole, in its order. */
typedef struct s3_lister_t {
    int deep;
    int near; /**< those that begin as the path does, without a '/' behind it */
    int *cut; /**< NULL, or: there are more than `max` */
    unsigned max;
    apr_status_t (*take)(void *baton, const s3_item_t *item);
    void (*again)(void *baton); /**< forget what came since the last page was whole */
    void (*whole)(void *baton); /**< a page is whole */
    void *baton;
    remote_answer_t *answer; /**< the last one, for who frees it; or NULL */
    s3_error_t *error;       /**< what a refusal says; or NULL */
} s3_lister_t;
apr_status_t s3__list(s3_t *s, const vfs_ctx_t *ctx, const char *path, const s3_lister_t *lister);
/** Does a path lead to what has this key below it: is each component one? */
int s3__has_path(const char *key);
/** The same of a page that is there already, in pieces, and of a directory: what the fuzzer reads.
 */
apr_status_t s3__list_text(const s3_lister_t *lister, const char *root, const char *text,
                           size_t len, size_t piece);
apr_status_t s3__load_text(remote_names_t *names, const char *root, const char *text, size_t len,
                           size_t piece);
apr_status_t s3__load(void *state, const vfs_ctx_t *ctx, const char *path, remote_names_t *names);

/* ---- meta.c */

/** Headers that an object is stored with. */
typedef struct s3_meta_t {
    s3_header_t headers[S3_META_MAX];
    size_t count;
    char *text; /**< what they point into, besides these */
    char mode[S3_META_TEXT], uid[S3_META_TEXT], gid[S3_META_TEXT];
    char mtime[S3_META_TEXT], atime[S3_META_TEXT], ctime[S3_META_TEXT];
} s3_meta_t;
/** Those that the object has, by an answer about it (NULL: it is new), and those of the URI.
 * VFS_ELIMIT: they are too many. It must stay where it is. */
apr_status_t s3__meta_of(s3_meta_t *meta, const s3_t *s, const remote_answer_t *answer);
/** Those of attributes, if they are kept at all. */
apr_status_t s3__meta_attr(s3_meta_t *meta, const s3_t *s, const vfs_attr_t *attr);
void s3__meta_add(const s3_meta_t *meta, s3_request_t *request);
/** Only what a copy by the server does not bring along. */
void s3__meta_add_own(const s3_meta_t *meta, s3_request_t *request);
/** Forget Content-Encoding, if it is gzip and the new bytes are not. */
apr_status_t s3__meta_coding(s3_meta_t *meta, const vfs_source_t *source);
void s3__meta_free(s3_meta_t *meta);

#define S3_SET_MODE 0x1u
#define S3_SET_OWNER 0x2u
#define S3_SET_TIMES 0x4u
/** A change of attributes, each as in the op of that name. */
typedef struct s3_change_t {
    unsigned set; /**< S3_SET_* */
    int itself;   /**< of a link; else that is ELOOP */
    uint32_t mode, uid, gid;
    int64_t atime_ns, mtime_ns;
} s3_change_t;
apr_status_t s3__change(s3_t *s, const vfs_ctx_t *ctx, const char *path, const s3_change_t *how);

/* ---- link.c */

/** Could it be a link, as far as its size tells? */
int s3__may_be_link(const s3_t *s, uint64_t size);
apr_status_t s3__symlink(s3_t *s, const vfs_ctx_t *ctx, const char *target, const char *path);
apr_status_t s3__readlink(s3_t *s, const vfs_ctx_t *ctx, const char *path, char *buf, size_t size,
                          size_t *len);

/* ---- names.c */

apr_status_t s3__unlink(s3_t *s, const vfs_ctx_t *ctx, const char *path);
apr_status_t s3__mkdir(s3_t *s, const vfs_ctx_t *ctx, const char *path, uint32_t mode);
apr_status_t s3__rmdir(s3_t *s, const vfs_ctx_t *ctx, const char *path);
/** Store a marker. `fresh`: APR_EEXIST if there is one, as far as the server can tell. */
apr_status_t s3__mark(s3_t *s, const vfs_ctx_t *ctx, const char *path, const s3_meta_t *meta,
                      int fresh);
/** Before the key of `path` goes: its directory shall stay. */
apr_status_t s3__keep_parent(s3_t *s, const vfs_ctx_t *ctx, const char *path, int slash);
apr_status_t s3__parent_is_dir(s3_t *s, const vfs_ctx_t *ctx, const char *path);
apr_status_t s3__delete(s3_t *s, const vfs_ctx_t *ctx, const char *path, int slash);
/** Nothing, or only its own marker, is in this directory. */
apr_status_t s3__is_empty(s3_t *s, const vfs_ctx_t *ctx, const char *path);

/* ---- copy.c, rename.c */

/** An object is copied, on the server. */
typedef struct s3_copy_t {
    const char *from, *to;
    int slash;        /**< both are markers */
    uint64_t size;    /**< of it */
    const char *etag; /**< only that version, else VFS_ECONFLICT; NULL: any */
    const s3_meta_t
        *meta;         /**< what it has then; NULL: what it had, as far as this and the next say */
    int look;          /**< what does not come along by itself is asked for */
    const char *class; /**< or this is its class; NULL, "": nobody said */
} s3_copy_t;
apr_status_t s3__copy(s3_t *s, const vfs_ctx_t *ctx, const s3_copy_t *copy);
/** The value of x-amz-copy-source. Free it. */
char *s3__copy_source(const s3_t *s, const char *path, int slash);
apr_status_t s3__rename(s3_t *s, const vfs_ctx_t *ctx, const char *from, const char *to);

/* ---- result.c */

/** What a short XML answer says. */
typedef struct s3_result_t {
    char root[64];
    char etag[REMOTE_TAG_MAX]; /**< with its quotes; "": none */
    char upload[1024];         /**< id */
    s3_error_t error;
} s3_result_t;
/** As s3__do, for an answer in XML; the request brings no functions. An error may come with status
 * 200. */
apr_status_t s3__do_xml(s3_t *s, const vfs_ctx_t *ctx, const s3_request_t *request,
                        remote_answer_t *answer, s3_result_t *result);

/** The same of a text that is there already, in pieces: what the fuzzer reads. */
apr_status_t s3__result_text(s3_result_t *result, const char *text, size_t len, size_t piece);

/* ---- upload.c */

/** A part of an upload. */
typedef struct s3_part_t {
    uint64_t off, len;
    int copied; /**< from the object `from`, else from the source */
    char etag[80];
} s3_part_t;
/** An upload in parts. */
typedef struct s3_upload_t {
    const char *path;
    const s3_meta_t *meta;
    const vfs_source_t *source; /**< asked by one thread at a time */
    const char *from;           /**< what is copied; its version is `from_etag`, NULL: any */
    const char *from_etag;
    const char *if_match; /**< conditions, of the end of it; NULL, 0: none */
    int if_none;
    s3_part_t *parts;
    size_t count;
    char etag[REMOTE_TAG_MAX]; /**< of what came of it */
    int64_t date_s;            /**< when; -1: not said */
    int sent;                  /**< the parts are all there, whatever came of the end */
} s3_upload_t;
/** All or nothing. APR_ENOTIMPL: the server cannot copy into a part. */
apr_status_t s3__upload(s3_t *s, const vfs_ctx_t *ctx, s3_upload_t *upload);
/** VFS_ECHECKSUM: the tag in an answer is not that of the bytes that we sent, whose MD5 is `hex`,
 * on a server whose tags are such. */
apr_status_t s3__check_tag(s3_t *s, const remote_answer_t *answer, const char *hex);
/** A tag as the server wants it in If-Match of a PUT; NULL: none is sent. */
const char *s3__tag_sent(const s3_t *s, const char *etag, char out[REMOTE_TAG_MAX]);
/** Does the object have this tag? */
int s3__has_tag(s3_t *s, const vfs_ctx_t *ctx, const char *path, const char *etag);

/* ---- commit.c */

apr_status_t s3__commit(s3_t *s, const vfs_ctx_t *ctx, const char *path, const vfs_source_t *source,
                        const vfs_commit_t *how, vfs_attr_t *attr, vfs_validator_t *validator);
/** Does the server honour conditions? It is tried on a name that nobody has. */
int s3__ask_conditional(s3_t *s);

#endif
