/*
 * multistatus.h - what a server says of files in a body of 207 (RFC 4918, 13): file by file, as it
 * comes. Floor 2, private to backends/webdav/ and its tests.
 */
#ifndef BACKENDS_WEBDAV_MULTISTATUS_H
#define BACKENDS_WEBDAV_MULTISTATUS_H

#include "backends/remote/remote.h"

#define WEBDAV_HAS_TYPE 0x1u
#define WEBDAV_HAS_LENGTH 0x2u
#define WEBDAV_HAS_MODIFIED 0x4u
#define WEBDAV_HAS_CREATED 0x8u
#define WEBDAV_HAS_TAG 0x10u
#define WEBDAV_HAS_AVAILABLE 0x20u
#define WEBDAV_HAS_USED 0x40u

/** What is said of one file. */
typedef struct webdav_props_t {
    char *href;   /**< as it came: a URL or a path, with percent signs */
    long status;  /**< of the whole; 0: that is said of properties only */
    unsigned has; /**< WEBDAV_HAS_*: properties that it has, and that could be understood */
    int is_dir;
    uint64_t length;
    int64_t modified_s, created_s; /**< since 1970 */
    uint64_t available, used;      /**< bytes, of RFC 4331 */
    char tag[REMOTE_TAG_MAX];      /**< with its quotes */
} webdav_props_t;

/** Hears of one file; what it gets is valid during the call. Its error ends the parse. */
typedef apr_status_t (*webdav_found_fn)(void *baton, const webdav_props_t *props);

typedef struct webdav_multi_t webdav_multi_t; /**< a body under way */

apr_status_t webdav__multi_new(webdav_multi_t **out, webdav_found_fn found, void *baton);
/** Begin again, with another body. */
apr_status_t webdav__multi_reset(webdav_multi_t *multi);
/** More of the body. VFS_EFORMAT: no XML, or has a document type; VFS_ELIMIT: without measure. */
apr_status_t webdav__multi_feed(webdav_multi_t *multi, const void *data, size_t len);
/** That was all. VFS_EFORMAT: it is not whole, or no multistatus. */
apr_status_t webdav__multi_finish(webdav_multi_t *multi);
/** May be NULL. */
void webdav__multi_free(webdav_multi_t *multi);

/** The path of a reference, decoded and without a '/' at its end, into `out`; 0: it is none, or of
 * another host than `base`. */
int webdav__href_path(const char *base, const char *href, char *out, size_t size);

#endif
