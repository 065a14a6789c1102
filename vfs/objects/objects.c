/*
 * objects.c - the layer's life and its table. Floor 1, private to vfs/objects/.
 */
#include <stdlib.h>
#include <unistd.h>

#include <apr_file_io.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "vfs/objects/objects.h"
#include "vfs/objects.h"

/* What the lower layer can do and we carry. Its numbers of files, locks and links of files are
 * those of what is committed, so they are not passed on; and who may write is asked at the commit,
 * too late to obey anybody's credentials. */
#define CARRIED                                                                                    \
    (VFS_CAP_WRITE | VFS_CAP_DIRS | VFS_CAP_XATTR | VFS_CAP_SPECIAL | VFS_CAP_MODE |               \
     VFS_CAP_OWNER | VFS_CAP_TIMES | VFS_CAP_ATOMIC_RENAME | VFS_CAP_RENAME_NOREPLACE |            \
     VFS_CAP_RENAME_EXCHANGE | VFS_CAP_COMMIT | VFS_CAP_COPY | VFS_CAP_CONDITIONAL |               \
     VFS_CAP_WATCH | VFS_CAP_SYNC | VFS_CAP_UNLINKED_OPEN | VFS_CAP_CONFINED |                     \
     VFS_CAP_STILL_DIRS | VFS_CAP_LISTS_ALL | VFS_CAP_PLAIN_LINKS)

static apr_status_t objects_destroy(vfs_t *fs)
{
    objects_t *o = fs->state;
    size_t left = 0;
    apr_status_t status = objects__commit_tree(o, NULL, NULL);
    objects__seen_end(o);
    for (unsigned k = 0; k < OBJECTS_BUCKETS; k++)
        while (o->buckets[k] != NULL) {
            node_t *n = o->buckets[k];
            left += n->stages > 0;
            objects__node_end(o, n);
        }
    if (status == APR_SUCCESS && left > 0) status = VFS_EDIRTY;
    apr_status_t lower = o->owns_lower ? vfs_destroy(o->lower) : APR_SUCCESS;
    if (status == APR_SUCCESS) status = lower;
    (void)pthread_cond_destroy(&o->cond); /* nobody is in a call */
    (void)pthread_mutex_destroy(&o->lock);
    free(o->spool.dir);
    free(o);
    return status;
}

static const vfs_ops_t objects_ops = {
    .abi = VFS_ABI,
    .size = sizeof(vfs_ops_t),
    .name = "objects",
    .destroy = objects_destroy,
    .open = objects_open,
    .opendir = objects_opendir,
    .close = objects_close,
    .closedir = objects_closedir,
    .copy_range = objects_copy_range,
    .get = objects_get,
    .stat = objects_stat,
    .lstat = objects_lstat,
    .mknod = objects_mknod,
    .mkdir = objects_mkdir,
    .rmdir = objects_rmdir,
    .unlink = objects_unlink,
    .rename = objects_rename,
    .symlink = objects_symlink,
    .readlink = objects_readlink,
    .truncate = objects_truncate,
    .chmod = objects_chmod,
    .chown = objects_chown,
    .utimens = objects_utimens,
    .statfs = objects_statfs,
    .getxattr = objects_getxattr,
    .setxattr = objects_setxattr,
    .listxattr = objects_listxattr,
    .removexattr = objects_removexattr,
    .sync_dir = objects_sync_dir,
    .sync_fs = objects_sync_fs,
    .commit = objects_commit,
    .watch = objects_watch,
    .unwatch = objects_unwatch,
    .read_at = objects_read_at,
    .write_at = objects_write_at,
    .readv_at = objects_readv_at,
    .fstat = objects_fstat,
    .ftruncate = objects_ftruncate,
    .fchmod = objects_fchmod,
    .fchown = objects_fchown,
    .futimens = objects_futimens,
    .fgetxattr = objects_fgetxattr,
    .fsetxattr = objects_fsetxattr,
    .flistxattr = objects_flistxattr,
    .fremovexattr = objects_fremovexattr,
    .flush = objects_flush,
    .sync = objects_sync,
    .allocate = objects_allocate,
    .fetch = objects_fetch,
    .readdir = objects_readdir,
    .seekdir = objects_seekdir,
};

vfs_t *vfs__objects_lower(const vfs_t *fs)
{
    return fs->ops.destroy == objects_destroy ? ((const objects_t *)fs->state)->lower : NULL;
}

/* Where staged bytes go, and that they can. */
static apr_status_t open_spool(objects_t *o, const char *dir, uint64_t max, apr_pool_t *pool)
{
    const char *temp = dir;
    int fd = -1;
    apr_status_t status = dir != NULL ? APR_SUCCESS : apr_temp_dir_get(&temp, pool);
    if (status != APR_SUCCESS) return status;
    o->spool.dir = strdup(temp);
    o->spool.max = max;
    if (o->spool.dir == NULL) return APR_ENOMEM;
    status = objects__spool_file(&o->spool, &fd);
    if (fd >= 0) (void)close(fd); /* nothing was written */
    return status;
}

apr_status_t vfs_objects_create(vfs_t **out, vfs_t *lower, const vfs_objects_config_t *config,
                                apr_pool_t *pool)
{
    static const vfs_objects_config_t plain = VFS_OBJECTS_CONFIG_INIT;
    const uint64_t needed = VFS_CAP_WRITE | VFS_CAP_COMMIT;
    VFS_CHECK_ARG(out != NULL && lower != NULL && pool != NULL);
    *out = NULL;
    if (config == NULL) config = &plain;
    VFS_CHECK_ARG(config->size >= sizeof(*config));
    VFS_CHECK_ARG((vfs_caps(lower)->bits & needed) == needed);
    objects_t *o = calloc(1, sizeof(*o));
    if (o == NULL) return APR_ENOMEM;
    o->lower = lower;
    o->log = config->log;
    o->log_baton = config->log_baton;
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->cond, NULL);
    vfs_caps_t caps = *vfs_caps(lower);
    caps.bits = (caps.bits & CARRIED) | VFS_CAP_RANDOM_WRITE | VFS_CAP_APPEND | VFS_CAP_STAGED |
                VFS_CAP_COPY_RANGE | VFS_CAP_ALLOCATE;
    apr_status_t status = open_spool(o, config->spool_dir, config->spool_bytes, pool);
    if (status == APR_SUCCESS) status = apr_generate_random_bytes(o->id, sizeof(o->id));
    if (status == APR_SUCCESS)
        status = vfs_create(out, &objects_ops, config->owns_lower ? NULL : lower, o, &caps, pool);
    if (status != APR_SUCCESS) {
        (void)pthread_cond_destroy(&o->cond); /* never used */
        (void)pthread_mutex_destroy(&o->lock);
        free(o->spool.dir);
        free(o);
        return status;
    }
    o->fs = *out;
    o->owns_lower = config->owns_lower;
    if (o->owns_lower) o->fs->ops.name = vfs_name(lower);
    return APR_SUCCESS;
}
