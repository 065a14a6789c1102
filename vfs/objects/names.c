/*
 * names.c - operations by path. Floor 1, private to vfs/objects/.
 *
 * What asks is answered from what is staged, else from below. What changes has a claim on its path,
 * and deals with what is staged there first.
 */
#include <stdlib.h>

#include "vfs/objects/objects.h"

/* ---- asking */

/* It is staged: a reference. Else `n` is the node that there is, or NULL; with a reference too. */
static int is_staged(objects_t *o, const vfs_path_t *path, node_t **n)
{
    *n = objects__node(o, path, 0);
    return *n != NULL && objects__staged(*n);
}

/* 0: it is not staged any more. */
static int tell(objects_t *o, node_t *n, vfs_attr_t *attr, vfs_validator_t *validator)
{
    pthread_mutex_lock(&n->mutex);
    int staged = n->stages > 0;
    if (staged) {
        objects__attr(n, attr);
        objects__version(o, n, validator);
    }
    pthread_mutex_unlock(&n->mutex);
    return staged;
}

/* What the lower layer says of a path that it does not have. */
static apr_status_t missed(objects_t *o, const vfs_path_t *path, const node_t *n, uint32_t made,
                           apr_status_t status)
{
    status = objects__missing(o, path, status);
    if (n == NULL && APR_STATUS_IS_ENOENT(status)) objects__absent_seen(o, path, made);
    return status;
}

static apr_status_t ask(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, int follow,
                        vfs_attr_t *attr, vfs_validator_t *validator)
{
    objects_t *o = objects__of(fs);
    uint32_t made = objects__made_before(o, path);
    node_t *n = objects__node(o, path, 0);
    apr_status_t status = APR_SUCCESS;
    if (n == NULL || !tell(o, n, attr, validator)) {
        uint32_t epoch = objects__epoch(n);
        status = follow ? vfs_call_stat(o->lower, ctx, path, attr, validator)
                        : vfs_call_lstat(o->lower, ctx, path, attr, validator);
        if (status == APR_SUCCESS) {
            objects__base_learn(o, n, epoch, attr, validator);
            objects__strip(attr);
            if (attr->type == VFS_TYPE_DIR) objects__dir_seen(o, path);
        } else if (n != NULL && APR_STATUS_IS_ENOENT(status) && tell(o, n, attr, validator)) {
            status = APR_SUCCESS; /* made meanwhile */
        } else {
            status = missed(o, path, n, made, status);
        }
    }
    if (n != NULL) objects__node_put(o, n);
    return status;
}

apr_status_t objects_stat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, vfs_attr_t *attr,
                          vfs_validator_t *validator)
{
    return ask(fs, ctx, path, 1, attr, validator);
}

apr_status_t objects_lstat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                           vfs_attr_t *attr, vfs_validator_t *validator)
{
    return ask(fs, ctx, path, 0, attr, validator);
}

/* Attributes and bytes of one moment. 0: it is not staged any more. */
static int get_staged(objects_t *o, node_t *n, const vfs_ctx_t *ctx, void *buf, size_t len,
                      size_t *got, vfs_attr_t *attr, vfs_validator_t *validator,
                      apr_status_t *status)
{
    vfs_iovec_t iov = {buf, len};
    vfs_validator_t read;
    *status = APR_SUCCESS;
    do {
        if (!tell(o, n, attr, validator)) return 0;
        read = *validator;
        if (len > 0) *status = objects__node_read(o, n, ctx, &iov, 1, 0, got, &read);
    } while (*status == APR_SUCCESS && !vfs_validator_equal(&read, validator));
    return 1;
}

apr_status_t objects_get(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, void *buf,
                         size_t len, size_t *got, vfs_attr_t *attr, vfs_validator_t *validator)
{
    objects_t *o = objects__of(fs);
    node_t *n;
    apr_status_t status;
    uint32_t made = objects__made_before(o, path);
    if (!is_staged(o, path, &n) ||
        !get_staged(o, n, ctx, buf, len, got, attr, validator, &status)) {
        uint32_t epoch = objects__epoch(n);
        status = vfs_call_get(o->lower, ctx, path, buf, len, got, attr, validator);
        if (status == APR_SUCCESS) {
            objects__base_learn(o, n, epoch, attr, validator);
            objects__strip(attr);
            if (attr->type == VFS_TYPE_DIR) objects__dir_seen(o, path);
        } else {
            status = missed(o, path, n, made, status);
        }
    }
    if (n != NULL) objects__node_put(o, n);
    return status;
}

apr_status_t objects_readlink(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, char *buf,
                              size_t size, size_t *len)
{
    objects_t *o = objects__of(fs);
    node_t *n;
    if (!(fs->caps.bits & VFS_CAP_PLAIN_LINKS)) return APR_ENOTIMPL;
    int staged = is_staged(o, path, &n);
    if (n != NULL) objects__node_put(o, n);
    if (staged) return APR_EINVAL; /* no link */
    return objects__missing(o, path, vfs_call_readlink(o->lower, ctx, path, buf, size, len));
}

/* ---- making */

/* Nothing may be there. Path claimed. */
static apr_status_t nothing_staged(objects_t *o, const vfs_path_t *path)
{
    node_t *n;
    int staged = is_staged(o, path, &n);
    if (n != NULL) objects__node_put(o, n);
    if (staged) return APR_EEXIST;
    return objects__under_file(o, path) ? APR_ENOTDIR : APR_SUCCESS;
}

#define MAKE(params, args, name, cap)                                                              \
    apr_status_t objects_##name params                                                             \
    {                                                                                              \
        objects_t *o = objects__of(fs);                                                            \
        claim_t c;                                                                                 \
        if ((fs->caps.bits & (cap)) != (cap)) return APR_ENOTIMPL;                                 \
        apr_status_t status = objects__claim(o, ctx, &c, path, NULL, 0);                           \
        if (status != APR_SUCCESS) return status;                                                  \
        status = nothing_staged(o, path);                                                          \
        if (status == APR_SUCCESS) status = vfs_call_##name args;                                  \
        objects__made(o, NULL); /* names behind a link, too */                                     \
        objects__release(o, &c);                                                                   \
        return status;                                                                             \
    }
MAKE((vfs_t * fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t mode),
     (o->lower, ctx, path, mode), mkdir, 0)
MAKE((vfs_t * fs, const vfs_ctx_t *ctx, const char *target, const vfs_path_t *path),
     (o->lower, ctx, target, path), symlink, VFS_CAP_PLAIN_LINKS)

apr_status_t objects_mknod(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, vfs_type_e type,
                           uint32_t mode, uint64_t rdev)
{
    objects_t *o = objects__of(fs);
    vfs_file_t *file;
    claim_t c;
    if (type == VFS_TYPE_FILE) {
        apr_status_t made = vfs_call_open(
            &file, fs, ctx, path, VFS_O_WRITE | VFS_O_CREATE | VFS_O_EXCL, mode, NULL, NULL);
        return made == APR_SUCCESS ? vfs_close(file, ctx) : made;
    }
    apr_status_t status = objects__claim(o, ctx, &c, path, NULL, 0);
    if (status != APR_SUCCESS) return status;
    status = nothing_staged(o, path);
    if (status == APR_SUCCESS) status = vfs_call_mknod(o->lower, ctx, path, type, mode, rdev);
    objects__made(o, path);
    objects__release(o, &c);
    return status;
}

/* ---- removing */

int objects__refused(apr_status_t status)
{
    return APR_STATUS_IS_ENOENT(status) || APR_STATUS_IS_ENOTDIR(status) ||
           APR_STATUS_IS_ENOTEMPTY(status) /* or EEXIST */ || APR_STATUS_IS_EACCES(status) ||
           APR_STATUS_IS_EINVAL(status) || APR_STATUS_IS_ENOTIMPL(status) ||
           status == APR_FROM_OS_ERROR(EISDIR) || status == APR_FROM_OS_ERROR(EBUSY) ||
           status == APR_FROM_OS_ERROR(EXDEV);
}

apr_status_t objects_rmdir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    objects_t *o = objects__of(fs);
    node_t *n;
    claim_t c;
    apr_status_t status = objects__claim(o, ctx, &c, path, NULL, 1);
    if (status != APR_SUCCESS) return status;
    int staged = is_staged(o, path, &n);
    if (n != NULL) objects__node_put(o, n);
    if (staged || objects__under_file(o, path))
        status = APR_ENOTDIR;
    else if (objects__holds_fresh(o, path))
        status = APR_ENOTEMPTY;
    else
        status = vfs_call_rmdir(o->lower, ctx, path);
    objects__dirs_forget(o);
    objects__release(o, &c);
    return status;
}

apr_status_t objects_unlink(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    objects_t *o = objects__of(fs);
    node_t *n;
    claim_t c;
    kept_t kept = {.node = NULL};
    int only_here = 0;
    apr_status_t status = objects__claim(o, ctx, &c, path, NULL, 0);
    if (status != APR_SUCCESS) return status;
    int staged = is_staged(o, path, &n);
    if (staged) {
        pthread_mutex_lock(&n->mutex);
        only_here = objects__is_fresh(n) && !n->doubt;
        pthread_mutex_unlock(&n->mutex);
    }
    if (n != NULL && !only_here) status = objects__keep(o, n, ctx, &kept);
    if (status == APR_SUCCESS && !only_here)
        status = objects__missing(o, path, vfs_call_unlink(o->lower, ctx, path));
    if (staged && APR_STATUS_IS_ENOENT(status)) status = APR_SUCCESS; /* it was here */
    if (n != NULL && status != APR_SUCCESS && !objects__refused(status) &&
        APR_STATUS_IS_ENOENT(vfs_call_lstat(o->lower, ctx, path, NULL, NULL)))
        status = APR_SUCCESS; /* it was its answer that was lost */
    objects__keep_end(&kept, status == APR_SUCCESS);
    if (n != NULL && status == APR_SUCCESS) objects__node_gone(o, n);
    if (n != NULL) objects__node_put(o, n);
    objects__release(o, &c);
    return status;
}

/* ---- attributes */

apr_status_t objects_truncate(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              apr_off_t size)
{
    vfs_file_t *file;
    apr_status_t status = vfs_call_open(&file, fs, ctx, path, VFS_O_WRITE, 0, NULL, NULL);
    if (status != APR_SUCCESS) return status;
    status = vfs_call_ftruncate(file, ctx, size);
    apr_status_t closed = vfs_close(file, ctx);
    return status != APR_SUCCESS ? status : closed;
}

apr_status_t objects_statfs(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                            vfs_statfs_t *out)
{
    objects_t *o = objects__of(fs);
    node_t *n;
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t parent;
    int staged = is_staged(o, path, &n);
    if (n != NULL) objects__node_put(o, n);
    if (staged) (void)vfs_path_parent(&parent, path, buf);
    return objects__missing(o, path, vfs_call_statfs(o->lower, ctx, staged ? &parent : path, out));
}

/* Is it an entry of the directory itself? */
static int is_entry(objects_t *o, const node_t *n, const vfs_path_t *dir)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t parent;
    pthread_mutex_lock(&o->lock);
    vfs_path_t path = objects__node_path(n);
    (void)vfs_path_parent(&parent, &path, buf);
    pthread_mutex_unlock(&o->lock);
    return parent.len == dir->len && path.len > dir->len && memcmp(buf, dir->str, dir->len) == 0;
}

apr_status_t objects_sync_dir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    objects_t *o = objects__of(fs);
    size_t count;
    apr_status_t status = APR_SUCCESS;
    node_t **nodes = objects__nodes(o, path, &count);
    if (nodes == NULL) return APR_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        if (!is_entry(o, nodes[i], path)) continue;
        apr_status_t one = objects__commit(o, nodes[i], ctx, COMMIT_KEEPS);
        if (status == APR_SUCCESS) status = one;
    }
    objects__nodes_put(o, nodes, count);
    if (status != APR_SUCCESS) return status;
    return objects__missing(o, path, vfs_call_sync_dir(o->lower, ctx, path));
}

apr_status_t objects_sync_fs(vfs_t *fs, const vfs_ctx_t *ctx)
{
    objects_t *o = objects__of(fs);
    apr_status_t first = objects__commit_tree(o, NULL, ctx);
    apr_status_t status = vfs_call_sync_fs(o->lower, ctx);
    if (APR_STATUS_IS_ENOTIMPL(status)) status = APR_SUCCESS; /* a commit is all that it can do */
    return first != APR_SUCCESS ? first : status;
}

apr_status_t objects_watch(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, vfs_event_fn fn,
                           void *baton, uint64_t *watch)
{
    return vfs_call_watch(objects__of(fs)->lower, ctx, path, fn, baton, watch);
}

apr_status_t objects_unwatch(vfs_t *fs, uint64_t watch)
{
    return vfs_call_unwatch(objects__of(fs)->lower, watch);
}
