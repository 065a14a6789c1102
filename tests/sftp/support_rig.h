/*
 * support_rig.h - a directory with a file of known bytes, an SSH server, and what a test spoils of
 * it. Floor 4: test support.
 */
#ifndef TESTS_SFTP_SUPPORT_RIG_H
#define TESTS_SFTP_SUPPORT_RIG_H

#include "backends/backends.h"
#include "tests/stacks/sshd.h"
#include "vfs/vfs.h"

#define RIG_BYTES 1000000u
#define RIG_LATER 2

typedef struct rig_t {
    sshd_t sshd;
    char root[64];
    char flag[80]; /**< a file that strikes once: see spoiler.c */
    char *bytes;   /**< of the file "big" */
    apr_pool_t *pool;
    char err[2048];
} rig_t;

/** @param how  of spoiler.c, or NULL: OpenSSH's own; @param which  the request
 *  @param once  1: only the first time; RIG_LATER: at each flag; 0: always */
void rig_start(rig_t *rig, const char *how, int which, int once);
void rig_stop(rig_t *rig);
/** Begin a log of what the server opens, makes durable and closes. */
void rig_log(const rig_t *rig);
/** How often does the log have this line, as in "fsync NAME"? The name is below the root; NULL: of
 * any. */
int rig_logged(const rig_t *rig, const char *what, const char *name);
/** Forget what was asked, and note it from now on. */
void rig_ask_anew(const rig_t *rig);
/** What was asked since: names of requests, with "; " between what did not come at once. */
void rig_asked(const rig_t *rig, char *out, size_t size);
/** Wait until all that was opened is closed; 0: it is not, however long that takes. */
int rig_all_closed(const rig_t *rig);
/** The next request ends the connection, and is not done; has it? */
void rig_cut(const rig_t *rig);
int rig_was_cut(const rig_t *rig);
/** The flag again: the next reply is spoilt, too. */
void rig_again(rig_t *rig);
/** Open it. @param port  a proxy's; 0: its own. @param more  options */
apr_status_t rig_open(rig_t *rig, vfs_t **fs, int port, const char *more);
/** The same; it must work. */
vfs_t *rig_fs(rig_t *rig, int port, const char *more);
/** Read "/big" from its beginning to its end by one call. APR_SUCCESS: the bytes are right. */
apr_status_t rig_read_big(const rig_t *rig, vfs_t *fs);
/** A file of these bytes in the directory, made behind the server's back. */
void rig_put(const rig_t *rig, const char *name, const void *data, size_t len);
/** Is there such a file? */
int rig_has(const rig_t *rig, const char *name);

#endif
