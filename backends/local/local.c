/*
 * local.c - the local backend: a directory of the operating system as a file system. Its table, its
 * capabilities, its beginning and end. Floor 2; knows floor 1 only, and no system call: those are
 * port.h's.
 */
#include "backends/backends.h"
#include "backends/local/local.h"

#include <stdlib.h>

static apr_status_t destroy(vfs_t *fs)
{
    local_t *self = local__of(fs);
    local__watcher_destroy(self->watcher);
    VFS_ASSERT(self->owners == NULL); /* every handle was closed */
    local__lost_end(self);
    port__root_close(&self->root);
    (void)pthread_mutex_destroy(&self->mutex); /* nobody holds it: destroy is the last call */
    free(self);
    return APR_SUCCESS;
}

static const vfs_ops_t local_ops = {
    .abi = VFS_ABI,
    .size = sizeof(vfs_ops_t),
    .name = "local",
    .destroy = destroy,
    .open = local__open,
    .opendir = local__opendir,
    .close = local__close,
    .closedir = local__closedir,
    .copy_range = local__copy_range,
#define VFS_OP_FS(name, class, params, args, doc) .name = local__##name,
#define VFS_OP_FILE(name, class, params, args, doc) .name = local__##name,
#define VFS_OP_DIR(name, class, params, args, doc) .name = local__##name,
#include "vfs/vfs_ops.def"
};

static void fill_caps(const local_t *self, vfs_caps_t *caps)
{
    caps->size = sizeof(*caps);
    caps->bits = VFS_CAP_WRITE | VFS_CAP_RANDOM_WRITE | VFS_CAP_DIRS | VFS_CAP_SYMLINK |
                 VFS_CAP_HARDLINK | VFS_CAP_XATTR | VFS_CAP_SPECIAL | VFS_CAP_SPARSE |
                 VFS_CAP_MODE | VFS_CAP_OWNER | VFS_CAP_TIMES | VFS_CAP_ATOMIC_RENAME |
                 VFS_CAP_RENAME_NOREPLACE | VFS_CAP_RENAME_EXCHANGE | VFS_CAP_STABLE_ID |
                 VFS_CAP_EXCL_CREATE | VFS_CAP_COMMIT | VFS_CAP_LOCK | VFS_CAP_COPY_RANGE |
                 VFS_CAP_ALLOCATE | VFS_CAP_SHIFT | VFS_CAP_WATCH | VFS_CAP_SYNC |
                 VFS_CAP_UNLINKED_OPEN | VFS_CAP_APPEND | VFS_CAP_CONFINED;
    if (self->root.privileged) caps->bits |= VFS_CAP_CREDS;
    caps->time_granularity_ns = LOCAL_GRANULARITY_NS;
    caps->file_size_max = INT64_MAX;
    caps->name_max = VFS_NAME_MAX;
    caps->round_trip_us = 0;
}

apr_status_t vfs_local_create(vfs_t **out, const char *root, apr_pool_t *pool)
{
    vfs_caps_t caps;
    VFS_CHECK_ARG(out != NULL && root != NULL && pool != NULL);
    *out = NULL;
    if (root[0] == '\0') return APR_ENOENT;
    local_t *self = calloc(1, sizeof(*self));
    if (self == NULL) return APR_ENOMEM;
    apr_status_t status = port__root_open(&self->root, root);
    if (status != APR_SUCCESS) {
        free(self);
        return status;
    }
    int failed = pthread_mutex_init(&self->mutex, NULL);
    VFS_ASSERT(failed == 0); /* a default mutex has nothing to run out of */
    local__lost_begin(self);
    fill_caps(self, &caps);
    status = vfs_create(out, &local_ops, NULL, self, &caps, pool);
    if (status != APR_SUCCESS) {
        local__lost_end(self);
        port__root_close(&self->root);
        (void)pthread_mutex_destroy(&self->mutex); /* as above */
        free(self);
    }
    return status;
}
