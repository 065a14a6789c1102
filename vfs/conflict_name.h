/*
 * conflict_name.h - where ours is kept if the file changed below. Floor 1, shared.
 */
#ifndef VFS_CONFLICT_NAME_H
#define VFS_CONFLICT_NAME_H

#include "vfs/vfs_ops.h"

/** NAME.conflict-HOST-TIME, NAME cut so that it fits; `k` tells tries apart. `out` borrows `buf`,
 * VFS_PATH_MAX + 1 bytes. */
apr_status_t vfs__conflict_path(const vfs_path_t *path, int k, vfs_path_t *out, char *buf);

#endif
