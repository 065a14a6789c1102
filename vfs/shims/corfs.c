/*
 * corfs.c - makes the copy-on-read shim, in one of its two variants.
 * Floor 1. corfs_exact.c is what a Go library does, corfs_serve.c what a user expects of it.
 */
#include <stdlib.h>

#include "vfs/shims/corfs.h"

apr_status_t vfs__corfs_destroy(vfs_t *fs)
{
    free(fs->state);
    return APR_SUCCESS;
}

apr_status_t vfs_corfs_create(vfs_t **out, vfs_t *primary, vfs_t *copy, uint32_t flags,
                              apr_pool_t *pool)
{
    VFS_CHECK_ARG(out != NULL && primary != NULL && copy != NULL && pool != NULL);
    VFS_CHECK_ARG((flags & ~VFS_CORFS_SERVE) == 0);
    corfs_t *corfs = malloc(sizeof(*corfs));
    if (corfs == NULL) return APR_ENOMEM;
    corfs->copy = copy;
    const vfs_ops_t *ops = flags & VFS_CORFS_SERVE ? &vfs__corfs_serve_ops : &vfs__corfs_exact_ops;
    apr_status_t status = vfs_create(out, ops, primary, corfs, NULL, pool);
    if (status != APR_SUCCESS) free(corfs);
    return status;
}
