/**
 * @file
 * backends.h - the backends that come with the library, and their registration by URI.
 * Floor 2, public. Knows floor 1 only; never the cache.
 */
#ifndef BACKENDS_BACKENDS_H
#define BACKENDS_BACKENDS_H

#include "metrics/metrics.h"
#include "vfs/vfs.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Register every backend: "file", "mem", "http", "https", "s3", "dav", "davs", "sftp". Those that
 *  need a library which this build has not say so when they are opened.
 *  @return APR_SUCCESS or APR_ENOMEM.
 *  Threads: any; again is harmless. Blocks: no. Owns: nothing. */
VFS_API apr_status_t vfs_backends_register_all(void);

/** A directory of the operating system as a file system. Nothing outside `root` is ever read or
 *  written: a symbolic link that leads out is APR_EACCES when followed.
 *
 *  @param out  the file system
 *  @param root  a directory; absolute, or relative to the working directory of now
 *  @param pool  parent of the file system's own pool
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); APR_ENOENT, APR_ENOTDIR, APR_EACCES and what else
 * opening it says; APR_ENOTIMPL (a kernel without openat2); APR_ENOMEM. Threads: any. Blocks: opens
 * the directory. Owns: vfs_destroy closes it. */
VFS_API apr_status_t vfs_local_create(vfs_t **out, const char *root, apr_pool_t *pool);

/** An empty file system in memory, complete: links, holes, extended attributes, locks, change
 * events, conditional commits.
 *
 *  @param out  the file system
 *  @param bytes_max  bytes of all files together; ENOSPC above it; 0: no limit
 *  @param pool  parent of the file system's own pool; data does not come from it
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); APR_ENOMEM.
 *  Threads: any. Blocks: no. Owns: vfs_destroy frees all. */
VFS_API apr_status_t vfs_mem_create(vfs_t **out, uint64_t bytes_max, apr_pool_t *pool);

/** Files of a web server, to be read: "http://host/dir?option=value&option=value". docs/remote.md
 * has the options.
 *
 *  @param out  the file system
 *  @param uri  the directory that becomes the root, and options
 *  @param err  receives a sentence for the user on failure, without any secret; may be NULL
 *  @param errlen  bytes of err
 *  @param pool  parent of the file system's own pool
 *  @return APR_SUCCESS; APR_EINVAL (a NULL, no such URL, an unknown option); APR_EACCES (the server
 * refuses us, or we its certificate, or there is no password); APR_ENOENT; VFS_EOFFLINE;
 * VFS_EFORMAT (what answers is no HTTP server); APR_ENOTIMPL (built without libcurl); APR_ENOMEM.
 * Threads: any. Blocks: one request, unless the option probe=no. Owns: end it with vfs_destroy. */
VFS_API apr_status_t vfs_http_create(vfs_t **out, const char *uri, char *err, size_t errlen,
                                     apr_pool_t *pool);

/** A bucket of S3, or of what speaks its protocol: "s3://bucket/prefix?option=value".
 * docs/remote.md has the options. Files can only be replaced whole (vfs_commit); vfs_open_uri puts
 * vfs_objects_create over it.
 *
 *  @param out  the file system
 *  @param uri  the bucket, what its keys begin with, and options
 *  @param err  receives a sentence for the user on failure, without any secret; may be NULL
 *  @param errlen  bytes of err
 *  @param pool  parent of the file system's own pool
 *  @return APR_SUCCESS; APR_EINVAL (a NULL, no such URI, an unknown option); APR_EACCES (the server
 * refuses us, or we its certificate, or there are no credentials); APR_ENOENT (no such bucket);
 * VFS_EOFFLINE; VFS_EFORMAT (what answers is no S3); APR_ENOTIMPL (built without libcurl);
 * APR_ENOMEM. Threads: any. Blocks: one request, unless the option probe=no. Owns: end it with
 * vfs_destroy. */
VFS_API apr_status_t vfs_s3_create(vfs_t **out, const char *uri, char *err, size_t errlen,
                                   apr_pool_t *pool);

/** Files of a WebDAV server (RFC 4918): "dav://host/dir?option=value&option=value", or "davs" for
 * HTTPS. docs/remote.md has the options. A file is replaced as a whole, by vfs_commit.
 *
 *  @param out  the file system
 *  @param uri  the directory that becomes the root, and options
 *  @param err  receives a sentence for the user on failure, without any secret; may be NULL
 *  @param errlen  bytes of err
 *  @param pool  parent of the file system's own pool
 *  @return APR_SUCCESS; APR_EINVAL (a NULL, no such URL, an unknown option); APR_EACCES (the server
 * refuses us, or we its certificate, or there is no password); APR_ENOENT; APR_ENOTDIR;
 * VFS_EOFFLINE; VFS_EFORMAT (what answers speaks no WebDAV); APR_ENOTIMPL (neither does it; or
 * built without libcurl); APR_ENOMEM. Threads: any. Blocks: two requests, unless the option
 * probe=no. Owns: end it with vfs_destroy. */
VFS_API apr_status_t vfs_webdav_create(vfs_t **out, const char *uri, char *err, size_t errlen,
                                       apr_pool_t *pool);
/** A directory of an SSH server: "sftp://user@host:port/dir?option=value&option=value"; "/~/dir" is
 * one of the home. docs/remote.md has the options. Symbolic links are the server's to follow: one
 * can lead out of the directory.
 *
 * @param out  the file system
 * @param uri  the directory that becomes the root, and options
 * @param err  receives a sentence for the user on failure, without any secret; may be NULL
 * @param errlen  bytes of err; 1024 hold the line that accepts an unknown server
 * @param pool  parent of the file system's own pool
 * @return APR_SUCCESS; APR_EINVAL (a NULL, no such URL, an unknown option); APR_EACCES (the server
 * refuses us, or we its key); APR_ENOENT, APR_ENOTDIR; VFS_EOFFLINE; VFS_EFORMAT (what answers is
 * no SFTP); APR_ENOTIMPL (built without libssh2); APR_ENOMEM. Threads: any. Blocks: until the
 * connection is made, unless the option probe=no. Owns: end it with vfs_destroy. */
VFS_API apr_status_t vfs_sftp_create(vfs_t **out, const char *uri, char *err, size_t errlen,
                                     apr_pool_t *pool);

/** What a remote backend has done so far. */
typedef struct vfs_remote_figures_t {
    size_t size;          /**< sizeof(vfs_remote_figures_t), set by the caller */
    uint64_t requests;    /**< asked for by callers; a redirect that is followed is one more; over
                             SFTP:    operations, of one round trip or several */
    uint64_t attempts;    /**< sent, with those that were sent again */
    uint64_t failures;    /**< of them: without an answer, or the server was overloaded */
    uint64_t refused;     /**< not sent, since the server is known to be away */
    uint64_t bytes_in;    /**< of bodies; of files, over SFTP */
    uint64_t bytes_out;   /**< likewise; what was sent again counts again */
    uint64_t connections; /**< that were made */
    uint64_t breaker_opened; /**< how often the server was found to be away */
    uint32_t breaker_open;   /**< 1: it is */
    uint32_t priced;         /**< 1: the URI has prices */
    uint64_t hedged;         /**< reads that took long and were asked for once more; of attempts */
    uint64_t billed_puts;    /**< of attempts, over S3: answered PUT, COPY, POST and LIST */
    uint64_t billed_gets;    /**< likewise: the others, but for those that remove, which are free */
    double cost;             /**< of them and of bytes_in, by the prices of the URI; an estimate */
} vfs_remote_figures_t;
/** The figures of a remote backend.
 *  @param fs  the backend, or a layer above it
 *  @param out  its size is set; receives the rest
 *  @return APR_SUCCESS; APR_EINVAL (a NULL, another size, no remote backend).
 *  Threads: any. Blocks: no. Owns: nothing. */
VFS_API apr_status_t vfs_remote_figures(vfs_t *fs, vfs_remote_figures_t *out);
/** The same figures as metrics of a registry, such as that of the cache above: docs/metrics.md.
 *  @param fs  the backend, or a layer above it
 *  @param registry  it must end before the backend does
 *  @return APR_SUCCESS; APR_EINVAL (a NULL, no remote backend); what metrics_callback says.
 *  Threads: one that may use the pool of `fs`. Blocks: no. Owns: nothing. */
VFS_API apr_status_t vfs_remote_metrics(vfs_t *fs, metrics_registry_t *registry);

#ifdef __cplusplus
}
#endif
#endif
