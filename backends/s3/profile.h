/*
 * profile.h - a profile of the tools of AWS, and who lends keys by it. Floor 2, private to
 * backends/s3/ and its tests.
 */
#ifndef BACKENDS_S3_PROFILE_H
#define BACKENDS_S3_PROFILE_H

#include "backends/s3/s3.h"

#define S3_PROCESS_US 60000000 /* a program that lends keys has ended by then */

/** What the files say of one profile; "": nothing. */
typedef struct s3_profile_t {
    int found;
    int own_key; /**< the key is of the first file, not of the second */
    int error;   /**< why the first file was not read; 0: it was */
    s3_creds_t creds;
    char role[2048];           /**< role_arn */
    char source[256];          /**< source_profile */
    char origin[64];           /**< credential_source */
    char session[128];         /**< role_session_name */
    char external[1280];       /**< external_id */
    char seconds[16];          /**< duration_seconds */
    char token_file[4096];     /**< web_identity_token_file */
    char process[8192];        /**< credential_process */
    char mfa[256];             /**< mfa_serial */
    char sso[2048];            /**< sso_session, or sso_start_url */
    char file[VFS_PATH_MAX];   /**< ~/.aws/credentials; that of a complaint */
    char config[VFS_PATH_MAX]; /**< ~/.aws/config */
} s3_profile_t;

/** NULL, or what is wrong with `file`. Wipe it when it is done with. */
const char *s3__profile_read(s3_profile_t *p, const char *name);

/** The key of a profile, whoever lends it. *absent: none is named, and there is none. */
apr_status_t s3__profile_key(s3_t *s, const vfs_ctx_t *ctx, s3_creds_t *creds, int *absent,
                             char *err, size_t errlen);
/** The key of the environment. 0: it has none. */
int s3__environment_key(s3_creds_t *creds);

/** Ask STS for the role of a profile, signed by `source`. As s3__lend_web. */
apr_status_t s3__lend_role(s3_t *s, const vfs_ctx_t *ctx, const s3_profile_t *p,
                           const s3_creds_t *source, s3_creds_t *creds, char *err, size_t errlen);

/** Run a program, without a shell, and read the key that it prints. A sentence in err, which has
 * nothing of what was printed. VFS_EOFFLINE: it did not end in time. */
apr_status_t s3__lend_process(const vfs_ctx_t *ctx, const char *command, int64_t limit_us,
                              s3_creds_t *creds, char *err, size_t errlen);
/** Take a command line apart in place: words, quotes and backslashes as a shell has them, nothing
 * else. -1: a quote is not closed, or there are too many words. argv ends with NULL. */
int s3__words(char *line, char **argv, size_t max);

#endif
