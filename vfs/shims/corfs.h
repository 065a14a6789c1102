/*
 * corfs.h - what the two variants of the copy-on-read shim share.
 * Floor 1, private to vfs/shims/corfs*.c.
 */
#ifndef VFS_SHIMS_CORFS_H
#define VFS_SHIMS_CORFS_H

#include "vfs/shims/shims.h"
#include "vfs/vfs_ops.h"

/** The state of a corfs: the primary is the layer's lower, the copy is beside it. */
typedef struct corfs_t {
    vfs_t *copy;
} corfs_t;

static inline vfs_t *corfs_copy(const vfs_t *fs)
{
    return ((const corfs_t *)fs->state)->copy;
}

apr_status_t vfs__corfs_destroy(vfs_t *fs);
extern const vfs_ops_t vfs__corfs_exact_ops;
extern const vfs_ops_t vfs__corfs_serve_ops;

#endif
