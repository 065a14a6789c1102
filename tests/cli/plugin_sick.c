/*
 * plugin_sick.c - a plug-in with the scheme "sick": a directory whose files named *bad* fail as the
 * URI says. Floor 4, for the tests of the program. sick:HOW:/dir, HOW one of eio, offline, flip,
 * nowrite, block, flaky; offline, block and flaky (one call in ten) concern every
 * file.
 */
#include <string.h>

#include "backends/backends.h"
#include "vfs/shims/shims.h"
#include "vfs/vfs_ops.h"

VFS_API apr_status_t vfs_plugin_init(uint32_t abi, apr_pool_t *pool);

typedef struct how_t {
    const char *name;
    vfs_fault_t fault;
} how_t;

static const how_t hows[] = {
    {"eio:", {.what = VFS_FAULT_ERROR, .glob = "/**/*bad*"}},
    {"offline:", {.what = VFS_FAULT_ERROR, .status = VFS_EOFFLINE}},
    {"flip:", {.what = VFS_FAULT_FLIP, .glob = "/**/*bad*"}},
    {"nowrite:", {.what = VFS_FAULT_ERROR, .status = VFS_EOFFLINE, .glob = "/**/*bad*"}},
    {"block:", {.what = VFS_FAULT_BLOCK}},
    {"flaky:", {.what = VFS_FAULT_ERROR, .probability = 0.1}},
};

static void choose_ops(vfs_fault_t *fault, const char *name)
{
    int flaky = strcmp(name, "flaky:") == 0;
    if (flaky || strcmp(name, "nowrite:") == 0) {
        VFS_FAULT_OP(*fault, VFS_OPID_write_at);
        VFS_FAULT_OP(*fault, VFS_OPID_writev_at);
        VFS_FAULT_OP(*fault, VFS_OPID_commit);
    }
    if (flaky || fault->what == VFS_FAULT_BLOCK) {
        VFS_FAULT_OP(*fault, VFS_OPID_get);
        VFS_FAULT_OP(*fault, VFS_OPID_read_at);
        VFS_FAULT_OP(*fault, VFS_OPID_readv_at);
        VFS_FAULT_OP(*fault, VFS_OPID_fetch);
    }
}

static apr_status_t sick_open(vfs_t **out, const char *uri, char *err, size_t errlen,
                              apr_pool_t *pool)
{
    const char *rest = uri + strlen("sick:");
    vfs_t *local = NULL;
    (void)err;
    (void)errlen;
    for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++) {
        size_t len = strlen(hows[i].name);
        if (strncmp(rest, hows[i].name, len) != 0) continue;
        vfs_fault_t fault = hows[i].fault;
        choose_ops(&fault, hows[i].name);
        apr_status_t status = vfs_local_create(&local, rest + len, pool);
        if (status != APR_SUCCESS) return status;
        status = vfs_fault_create(out, local, 1, pool);
        if (status == APR_SUCCESS) return vfs_fault_add(*out, &fault);
        (void)vfs_destroy(local);
        return status;
    }
    return APR_EINVAL;
}

apr_status_t vfs_plugin_init(uint32_t abi, apr_pool_t *pool)
{
    (void)pool;
    if (abi != VFS_ABI) return VFS_EABI;
    return vfs_register_scheme("sick", sick_open);
}
