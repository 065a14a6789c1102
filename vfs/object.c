/*
 * object.c - making and ending file systems, and setting up handles.
 * Floor 1. Calls one op only: destroy.
 */
#include <string.h>

#include <apr_allocator.h>

#include "vfs/internal.h"

apr_status_t vfs__pool_create(apr_pool_t **out, apr_pool_t *parent)
{
    apr_allocator_t *allocator;
    *out = NULL;
    apr_status_t status = apr_allocator_create(&allocator);
    if (status != APR_SUCCESS) return status;
    status = apr_pool_create_ex(out, parent, NULL, allocator);
    if (status != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return status;
    }
    apr_allocator_owner_set(allocator, *out);
    return APR_SUCCESS;
}

apr_status_t vfs_create(vfs_t **out, const vfs_ops_t *ops, vfs_t *lower, void *state,
                        const vfs_caps_t *caps, apr_pool_t *pool)
{
    VFS_CHECK_ARG(out != NULL && ops != NULL && pool != NULL);
    *out = NULL;
    if (ops->abi != VFS_ABI || ops->size < offsetof(vfs_ops_t, destroy)) return VFS_EABI;
    if (lower != NULL) vfs__assert_fs(lower);
    if (caps == NULL && lower != NULL) caps = &lower->caps;
    VFS_CHECK_ARG(ops->name != NULL && caps != NULL);

    apr_pool_t *own;
    apr_status_t status = vfs__pool_create(&own, pool);
    if (status != APR_SUCCESS) return status;
    vfs_t *fs = apr_pcalloc(own, sizeof(*fs));
    fs->magic = VFS__FS_MAGIC;
    size_t size = ops->size < sizeof(fs->ops) ? ops->size : sizeof(fs->ops);
    memcpy(&fs->ops, ops, size);
    size = caps->size < sizeof(fs->caps) ? caps->size : sizeof(fs->caps);
    memcpy(&fs->caps, caps, size);
    fs->caps.size = sizeof(fs->caps);
    fs->lower = lower;
    fs->state = state;
    fs->pool = own;
    *out = fs;
    return APR_SUCCESS;
}

apr_status_t vfs_destroy(vfs_t *fs)
{
    vfs__assert_fs(fs);
    apr_status_t status = fs->ops.destroy != NULL ? fs->ops.destroy(fs) : APR_SUCCESS;
    fs->magic = VFS__DEAD_MAGIC;
    apr_pool_destroy(fs->pool);
    return status;
}

apr_status_t vfs_destroy_stack(vfs_t *fs)
{
    apr_status_t first = APR_SUCCESS;
    while (fs != NULL) {
        vfs_t *lower = vfs_lower(fs);
        apr_status_t status = vfs_destroy(fs);
        if (first == APR_SUCCESS) first = status;
        fs = lower;
    }
    return first;
}

const char *vfs_name(const vfs_t *fs)
{
    vfs__assert_fs(fs);
    return fs->ops.name;
}

vfs_t *vfs_lower(const vfs_t *fs)
{
    vfs__assert_fs(fs);
    return fs->lower;
}

vfs_t *vfs_find_layer(vfs_t *fs, const char *name)
{
    while (fs != NULL && strcmp(vfs_name(fs), name) != 0)
        fs = vfs_lower(fs);
    return fs;
}

const vfs_caps_t *vfs_caps(const vfs_t *fs)
{
    vfs__assert_fs(fs);
    return &fs->caps;
}

void vfs_file_init(vfs_file_t *file, vfs_t *fs, uint32_t flags, vfs_file_t *lower)
{
    vfs__assert_fs(fs);
    if (lower != NULL) vfs__assert_file(lower);
    memset(file, 0, sizeof(*file));
    file->magic = VFS__FILE_MAGIC;
    file->flags = flags;
    file->fs = fs;
    file->lower = lower;
}

void vfs_dir_init(vfs_dir_t *dir, vfs_t *fs, uint32_t flags, vfs_dir_t *lower)
{
    vfs__assert_fs(fs);
    if (lower != NULL) vfs__assert_dir(lower);
    memset(dir, 0, sizeof(*dir));
    dir->magic = VFS__DIR_MAGIC;
    dir->flags = flags;
    dir->fs = fs;
    dir->lower = lower;
}

vfs_t *vfs_file_fs(const vfs_file_t *file)
{
    vfs__assert_file(file);
    return file->fs;
}

uint32_t vfs_file_flags(const vfs_file_t *file)
{
    vfs__assert_file(file);
    return file->flags;
}
