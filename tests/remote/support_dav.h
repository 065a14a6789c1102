/*
 * support_dav.h - a directory, a WebDAV server over it, and a file system over that. Floor 4: test
 * support.
 */
#ifndef TESTS_REMOTE_SUPPORT_DAV_H
#define TESTS_REMOTE_SUPPORT_DAV_H

#include "backends/backends.h"
#include "tests/stacks/webserver.h"

#define DAV_SERVERS 3u

/** A server that was started, and what stands over it. */
typedef struct dav_t {
    const char *name;
    char root[64];
    webserver_t web;
    vfs_t *fs;
    char err[512];
    apr_pool_t *pool;
} dav_t;

/** The i-th server: nginx, Apache, lighttpd. It must work.
 *  @param options  of the URI, such as "locks=no"; "": none */
void dav_start(dav_t *dav, size_t i, const char *options);
/** Another file system, through a port that leads there. */
apr_status_t dav_open(dav_t *dav, vfs_t **fs, int port, const char *options);
/** End all, and remove the directory. */
void dav_stop(dav_t *dav);
/** Replace a file by a text, on a condition: `flags` of vfs_commit_t. `version` may be NULL;
 * it has what is expected before, and the new one behind. */
apr_status_t dav_put(vfs_t *fs, const char *path, const char *text, uint32_t flags,
                     vfs_validator_t *version);
/** Does the file hold this text? */
int dav_holds(dav_t *dav, const char *path, const char *text);
/** The names of a directory of the server, as the operating system has them, each with a blank. */
const char *dav_on_disk(const dav_t *dav, const char *dir);
/** A program's `sh -c`: it must end well. */
void dav_shell(const dav_t *dav, const char *command);

#endif
