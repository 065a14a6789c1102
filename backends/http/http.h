/*
 * http.h - the backend over plain HTTP: its types, shared by its files. Floor 2, private to
 * backends/http/ and its tests. What a web server serves, to be read.
 */
#ifndef BACKENDS_HTTP_HTTP_H
#define BACKENDS_HTTP_HTTP_H

#include "backends/remote/files.h"

#define HTTP_REDIRECTS_MAX 5u
#define HTTP_PAGE_MAX (64u << 20) /**< bytes of a listing */

typedef enum http_listing_e {
    HTTP_LISTING_AUTO = 0, /**< JSON by its type, else a page that calls itself an index */
    HTTP_LISTING_HTML,     /**< any page: its links are names */
    HTTP_LISTING_JSON,
    HTTP_LISTING_OFF
} http_listing_e;

typedef enum http_redirects_e {
    HTTP_REDIRECTS_ANY = 0, /**< to other servers too, without credentials */
    HTTP_REDIRECTS_ORIGIN,  /**< on the same server */
    HTTP_REDIRECTS_NONE     /**< only to say that a name is a directory */
} http_redirects_e;

/** One instance. */
typedef struct http_t {
    remote_state_t state; /**< its first member */
    char *base;           /**< of every URL */
    http_listing_e listing;
    http_redirects_e redirects;
    uint64_t skip_max; /**< bytes that may be read in vain where a server has no ranges */
    uint32_t uid, gid; /**< whose all is */
    apr_pool_t *pool;  /**< texts of the options; NULL until it is whole */
} http_t;

extern const remote_backend_t http__backend;

/* ---- ask.c */

/** Ask, and follow where that leads. APR_SUCCESS: answer has a status of HTTP, no redirect;
 * `*is_dir`: the server says that it is a directory. remote__answer_free ends the answer, always.
 */
apr_status_t http__ask(void *state, const vfs_ctx_t *ctx, const remote_ask_t *ask,
                       remote_answer_t *answer, int *is_dir);
/** Attributes and version by path. */
apr_status_t http__stat(void *state, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr,
                        vfs_validator_t *validator);
/** The same by HEAD alone. *blind: the server does not say by that. */
apr_status_t http__head(void *state, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr,
                        vfs_validator_t *validator, int *blind);
/** Is the server there, and the root? A sentence in err, without secrets. */
apr_status_t http__probe(http_t *h, char *err, size_t errlen);
/** The attributes of a directory, or of a file of `size` bytes. */
void http__attr(const void *state, const remote_answer_t *answer, vfs_type_e type, uint64_t size,
                const char *path, vfs_attr_t *attr);

/* ---- listing.c, page.c, json.c */

apr_status_t http__load(void *state, const vfs_ctx_t *ctx, const char *path, remote_names_t *names);
/** The names of a page: those links that lead to one component below it. With `index`, only of one
 * that calls itself an index and is whole, else VFS_EFORMAT. */
apr_status_t http__parse_page(remote_names_t *names, const char *page, size_t len, int index);
/** Of an array of objects with "name", "type", "size" and "mtime", as nginx writes it. */
apr_status_t http__parse_json(remote_names_t *names, const char *text, size_t len);

#endif
