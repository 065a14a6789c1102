/*
 * plugin_good.c - a plug-in for test_registry.c: the scheme "plugged", an empty file system that
 * can only stat its root. It uses the library of the program that loads it.
 */
#include <stdio.h>

#include "vfs/vfs_ops.h"

VFS_API apr_status_t vfs_plugin_init(uint32_t abi, apr_pool_t *pool);

static apr_status_t plugged_stat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                 vfs_attr_t *attr, vfs_validator_t *validator)
{
    (void)fs, (void)ctx, (void)validator; /* there is one directory */
    if (path->len > 1) return APR_ENOENT;
    attr->type = VFS_TYPE_DIR;
    return APR_SUCCESS;
}

static const vfs_ops_t ops = {
    .abi = VFS_ABI,
    .size = sizeof(vfs_ops_t),
    .name = "plugged",
    .stat = plugged_stat,
};

static apr_status_t plugged_open(vfs_t **out, const char *uri, char *err, size_t errlen,
                                 apr_pool_t *pool)
{
    static const vfs_caps_t caps = {.size = sizeof(vfs_caps_t)};
    (void)uri;               /* it takes no options */
    (void)err, (void)errlen; /* vfs_open_uri finds the words */
    return vfs_create(out, &ops, NULL, NULL, &caps, pool);
}

apr_status_t vfs_plugin_init(uint32_t abi, apr_pool_t *pool)
{
    if (abi != VFS_ABI) return VFS_EABI;
    if (pool == NULL) return APR_EINVAL;
    return vfs_register_scheme("plugged", plugged_open);
}
