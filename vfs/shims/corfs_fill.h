/*
 * corfs_fill.h - one file on its way into the copy.
 * Floor 1, private to vfs/shims/corfs*.c.
 */
#ifndef VFS_SHIMS_CORFS_FILL_H
#define VFS_SHIMS_CORFS_FILL_H

#include "vfs/shims/corfs.h"

typedef struct corfs_fill_t corfs_fill_t;

/** A fill of `path` in `copy` with the file that has these attributes. NULL: no memory. Nothing is
 * made in the copy before the first bytes come. */
corfs_fill_t *vfs__corfs_fill_new(vfs_t *copy, const vfs_path_t *path, const vfs_attr_t *attr);
/** Put bytes that were read at `off`. Returns whether the file is complete by now (true once only):
 * then publish it. Many threads may put at once. */
int vfs__corfs_fill_put(corfs_fill_t *fill, const vfs_iovec_t *iov, size_t count, uint64_t len,
                        uint64_t off);
/** The primary still is what was copied: give the copy its name. */
void vfs__corfs_fill_publish(corfs_fill_t *fill);
/** End it; an unpublished one leaves nothing behind. NULL is fine. */
void vfs__corfs_fill_free(corfs_fill_t *fill);

#endif
