/*
 * remote.c - instead of the backends over HTTP, where libcurl is not there. Floor 2.
 */
#include <stdio.h>

#include "backends/figures.h"
#include "vfs/vfs_ops.h"

apr_status_t vfs_http_create(vfs_t **out, const char *uri, char *err, size_t errlen,
                             apr_pool_t *pool)
{
    VFS_CHECK_ARG(out != NULL && uri != NULL && pool != NULL);
    if (err != NULL) (void)snprintf(err, errlen, "http: this library was built without libcurl");
    return APR_ENOTIMPL;
}

apr_status_t vfs_s3_create(vfs_t **out, const char *uri, char *err, size_t errlen, apr_pool_t *pool)
{
    VFS_CHECK_ARG(out != NULL && uri != NULL && pool != NULL);
    if (err != NULL) (void)snprintf(err, errlen, "s3: this library was built without libcurl");
    return APR_ENOTIMPL;
}

apr_status_t vfs_webdav_create(vfs_t **out, const char *uri, char *err, size_t errlen,
                               apr_pool_t *pool)
{
    VFS_CHECK_ARG(out != NULL && uri != NULL && pool != NULL);
    if (err != NULL) (void)snprintf(err, errlen, "dav: this library was built without libcurl");
    return APR_ENOTIMPL;
}

int remote__figures_of(const vfs_t *fs, vfs_remote_figures_t *out)
{
    (void)fs;
    (void)out;
    return 0;
}
