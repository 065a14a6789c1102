/*
 * objects.h - what an objects or a links layer stands on, where the two count as one. Floor 1,
 * shared.
 */
#ifndef VFS_OBJECTS_H
#define VFS_OBJECTS_H

#include "vfs/vfs.h"

/** The layer below an objects layer, also one that it owns; NULL: it is no such layer. */
vfs_t *vfs__objects_lower(const vfs_t *fs);
/** The same of a links layer. */
vfs_t *vfs__links_lower(const vfs_t *fs);

#endif
