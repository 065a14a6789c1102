/*
 * support_shims.h - what the tests of the shims share: a file system in memory, and a script that
 * calls every op once. Test support.
 */
#ifndef TESTS_SHIMS_SUPPORT_SHIMS_H
#define TESTS_SHIMS_SUPPORT_SHIMS_H

#include <apr_pools.h>

#include "vfs/shims/shims.h"
#include "vfs/vfs_ops.h"

/** A pool of its own for a test; APR is initialised. */
apr_pool_t *test_pool(void);
/** An empty file system in memory. */
vfs_t *test_mem(apr_pool_t *pool);
/** Write a whole file in place (made if need be); asserts. */
void test_put(vfs_t *fs, const char *path, const char *text);
/** The content of a file as text, or "!" and the status. In a buffer of the pool. */
const char *test_text(vfs_t *fs, const char *path, apr_pool_t *pool);
/** Open, or fail the test. */
vfs_file_t *test_open(vfs_t *fs, const char *path, uint32_t flags);

/** What a run of the script saw: for each op the status of its latest call, and all results as
 * text. */
typedef struct script_t {
    int ran[VFS_OPID_COUNT];
    int failed[VFS_OPID_COUNT];
    apr_status_t status[VFS_OPID_COUNT];
    size_t len;
    char text[32768];
} script_t;
/** Call every op at least once on an empty file system, and clean up. Ops that cannot be called
 * because one before failed are left out. */
void script_run(script_t *script, vfs_t *fs);

#endif
