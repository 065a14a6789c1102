/*
 * null.c - the shim that does nothing: every op is passed through, handles are wrapped.
 * Floor 1. What a layer costs, and the smallest example of one.
 */
#include "vfs/shims/shims.h"
#include "vfs/vfs_ops.h"

static const vfs_ops_t null_ops = {
    .abi = VFS_ABI,
    .size = sizeof(vfs_ops_t),
    .name = "null",
    .open = vfs_wrap_open,
    .opendir = vfs_wrap_opendir,
    .close = vfs_pass_close,
    .closedir = vfs_pass_closedir,
    .copy_range = vfs_pass_copy_range,
#define VFS_OP_FS(name_, class, params, args, doc) .name_ = vfs_pass_##name_,
#define VFS_OP_FILE(name_, class, params, args, doc) .name_ = vfs_pass_##name_,
#define VFS_OP_DIR(name_, class, params, args, doc) .name_ = vfs_pass_##name_,
#include "vfs/vfs_ops.def"
};

apr_status_t vfs_null_create(vfs_t **out, vfs_t *lower, apr_pool_t *pool)
{
    VFS_CHECK_ARG(out != NULL && lower != NULL && pool != NULL);
    return vfs_create(out, &null_ops, lower, NULL, NULL, pool);
}
