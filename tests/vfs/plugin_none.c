/*
 * plugin_none.c - a shared object for test_registry.c that is no plug-in.
 */
#include "vfs/vfs_ops.h"

VFS_API int nothing_of_ours(void);

int nothing_of_ours(void)
{
    return 0;
}
