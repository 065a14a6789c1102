/*
 * support_fake.h - a file system that does nothing but remember how it was called, and layers over
 * a real one with single ops taken out or replaced.
 */
#ifndef TESTS_VFS_SUPPORT_FAKE_H
#define TESTS_VFS_SUPPORT_FAKE_H

#include "vfs/vfs_ops.h"

/** What the fake saw last, and what it shall answer. */
typedef struct fake_t {
    unsigned calls;   /**< of any op */
    const char *last; /**< the name of the last op */
    apr_status_t answer;
    char path[VFS_PATH_MAX + 1]; /**< of the last op with a path */
    uint32_t path_flags;
    uint32_t flags;       /**< of the last open, chmod, sync ... */
    apr_off_t off;        /**< of the last read, write ... */
    vfs_type_e type;      /**< what stat and lstat say */
    vfs_type_e link_type; /**< what lstat says, if not UNKNOWN */
    size_t got;           /**< what read_at, write_at, get ... say they moved */
} fake_t;

/** A table with every op; each counts in the fake_t that is the file system's state. */
vfs_ops_t fake_ops(void);
/** A file system of that table. */
vfs_t *fake_create(fake_t *fake, const vfs_ops_t *ops, apr_pool_t *pool);
/** A table in which every op passes through. */
vfs_ops_t pass_ops(void);
/** A layer of that table. */
vfs_t *layer_create(vfs_t *lower, const vfs_ops_t *ops, apr_pool_t *pool);
/** An empty file system in memory. */
vfs_t *mem_create(apr_pool_t *pool);
/** Make a file with these bytes, and what is above it. */
void put(vfs_t *fs, const char *path, const char *text);
/** The bytes of a file, in a buffer of this function; "(none)" if it cannot be read. */
const char *text_of(vfs_t *fs, const char *path);
/** The type that lstat tells, UNKNOWN if there is nothing. */
vfs_type_e type_at(vfs_t *fs, const char *path);
/** A pool for one test. */
apr_pool_t *test_pool(void);

#endif
