/**
 * @file
 * backends.h - the backends that come with the library, and their registration by URI.
 * Floor 2, public. Knows floor 1 only; never the cache.
 */
#ifndef BACKENDS_BACKENDS_H
#define BACKENDS_BACKENDS_H

#include "vfs/vfs.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Register every backend that this build has: "file", "mem".
 *  @return APR_SUCCESS or APR_ENOMEM.
 *  Threads: any; again is harmless. Blocks: no. Owns: nothing. */
VFS_API apr_status_t vfs_backends_register_all(void);

/** A directory of the operating system as a file system. Nothing outside `root` is ever read or
 *  written: a symbolic link that leads out is APR_EACCES when followed.
 *
 *  @param out  the file system
 *  @param root  a directory; absolute, or relative to the working directory of now
 *  @param pool  parent of the file system's own pool
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); APR_ENOENT, APR_ENOTDIR, APR_EACCES and what else
 * opening it says; APR_ENOTIMPL (a kernel without openat2); APR_ENOMEM. Threads: any. Blocks: opens
 * the directory. Owns: vfs_destroy closes it. */
VFS_API apr_status_t vfs_local_create(vfs_t **out, const char *root, apr_pool_t *pool);

/** An empty file system in memory, complete: links, holes, extended attributes, locks, change
 * events, conditional commits.
 *
 *  @param out  the file system
 *  @param bytes_max  bytes of all files together; ENOSPC above it; 0: no limit
 *  @param pool  parent of the file system's own pool; data does not come from it
 *  @return APR_SUCCESS; APR_EINVAL (a NULL); APR_ENOMEM.
 *  Threads: any. Blocks: no. Owns: vfs_destroy frees all. */
VFS_API apr_status_t vfs_mem_create(vfs_t **out, uint64_t bytes_max, apr_pool_t *pool);

#ifdef __cplusplus
}
#endif
#endif
