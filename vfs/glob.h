/*
 * glob.h - patterns for paths, checked before they are used.
 * Floor 1, shared: for options and lists that hold patterns.
 */
#ifndef VFS_GLOB_H
#define VFS_GLOB_H

#include "vfs/vfs.h"

/** Is this a pattern that vfs_glob and vfs_glob_match understand? It begins with '/', its brackets
 * are closed, its ranges ascend, and no '\\' ends it.
 *  @return APR_SUCCESS or APR_EINVAL. Threads: any. Blocks: no. Owns: nothing. */
apr_status_t vfs__glob_check(const char *pattern);

#endif
