/*
 * plugin_foreign.c - a plug-in for test_registry.c that was built for another ABI.
 */
#include "vfs/vfs_ops.h"

VFS_API apr_status_t vfs_plugin_init(uint32_t abi, apr_pool_t *pool);

apr_status_t vfs_plugin_init(uint32_t abi, apr_pool_t *pool)
{
    (void)pool; /* it gets no further */
    return abi == VFS_ABI + 1 ? APR_SUCCESS : VFS_EABI;
}
