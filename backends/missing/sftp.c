/*
 * sftp.c - instead of the backend over SFTP, where libssh2 is not there. Floor 2.
 */
#include <stdio.h>

#include "backends/figures.h"
#include "vfs/vfs_ops.h"

apr_status_t vfs_sftp_create(vfs_t **out, const char *uri, char *err, size_t errlen,
                             apr_pool_t *pool)
{
    VFS_CHECK_ARG(out != NULL && uri != NULL && pool != NULL);
    if (err != NULL) (void)snprintf(err, errlen, "sftp: this library was built without libssh2");
    return APR_ENOTIMPL;
}

int sftp__figures_of(const vfs_t *fs, vfs_remote_figures_t *out)
{
    (void)fs;
    (void)out;
    return 0;
}
