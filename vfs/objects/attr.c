/*
 * attr.c - attributes. Floor 1, private to vfs/objects/.
 *
 * The time of what is staged, and the mode of a file that is not below yet, go with the commit.
 * Any other change is made below, behind a commit of what is staged, and leaves a version that is
 * asked for when it is needed.
 */
#include "vfs/objects/objects.h"

/* ---- a change */

typedef struct change_t {
    uint64_t cap;                                        /* that it takes */
    int (*keep)(node_t *n, const struct change_t *what); /* 1: it goes with what is staged */
    apr_status_t (*below)(vfs_t *lower, const vfs_ctx_t *ctx, const vfs_path_t *path,
                          const struct change_t *what);
    uint32_t flags, mode, uid, gid, how;
    int64_t atime_ns, mtime_ns;
    const char *name;
    const void *value;
    size_t len;
} change_t;

static int keep_none(node_t *n, const change_t *what)
{
    (void)n;
    (void)what;
    return 0;
}

/* Mutex held. */
static int keep_mode(node_t *n, const change_t *what)
{
    if (!objects__is_fresh(n) || n->committing || n->doubt) return 0;
    n->mode = what->mode;
    n->seq++;
    return 1;
}

/* Mutex held. */
static int keep_times(node_t *n, const change_t *what)
{
    if (n->stages == 0 || n->committing || n->doubt) return 0;
    if (what->mtime_ns == VFS_TIME_NOW)
        n->mtime_ns = vfs_now_ns();
    else if (what->mtime_ns != VFS_TIME_OMIT)
        n->mtime_ns = what->mtime_ns;
    n->seq++;
    return 1;
}

/* Path claimed. `n` may be NULL. */
static apr_status_t change(objects_t *o, node_t *n, const vfs_ctx_t *ctx, const vfs_path_t *path,
                           const change_t *what)
{
    if (n != NULL) {
        pthread_mutex_lock(&n->mutex);
        int kept = what->keep(n, what);
        pthread_mutex_unlock(&n->mutex);
        if (kept) return APR_SUCCESS;
        apr_status_t status = objects__commit_claimed(o, n, ctx, COMMIT_KEEPS);
        if (status != APR_SUCCESS) return status;
    }
    apr_status_t status = what->below(o->lower, ctx, path, what);
    if (n == NULL) return status;
    pthread_mutex_lock(&n->mutex);
    if (n->base.exists) n->base.known = 0;
    n->told = 0;
    n->epoch++;
    int staged = n->stages > 0;
    pthread_mutex_unlock(&n->mutex);
    if (staged) (void)objects__base_ask(o, n, ctx, 1); /* else whoever needs it asks */
    return status;
}

static apr_status_t change_path(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                const change_t *what)
{
    objects_t *o = objects__of(fs);
    claim_t c;
    if (!(o->lower->caps.bits & what->cap)) return APR_ENOTIMPL;
    apr_status_t status = objects__claim(o, ctx, &c, path, NULL, 0);
    if (status != APR_SUCCESS) return status;
    node_t *n = objects__node(o, path, 0);
    status = change(o, n, ctx, path, what);
    if (n != NULL) objects__node_put(o, n);
    status = objects__missing(o, path, status);
    objects__release(o, &c);
    return status;
}

/* A file without a name has attributes of its own as far as they could go with a commit. */
static apr_status_t change_gone(node_t *n, const change_t *what)
{
    pthread_mutex_lock(&n->mutex);
    int kept = what->keep(n, what);
    pthread_mutex_unlock(&n->mutex);
    return kept ? APR_SUCCESS : VFS_ESTALE;
}

static apr_status_t change_file(vfs_file_t *file, const vfs_ctx_t *ctx, const change_t *what)
{
    handle_t *h = (handle_t *)file;
    claim_t c;
    if (!(h->o->lower->caps.bits & what->cap)) return APR_ENOTIMPL;
    apr_status_t status = objects__claim_node(h->o, ctx, &c, h->node);
    if (status == VFS_ESTALE) return change_gone(h->node, what);
    if (status != APR_SUCCESS) return status;
    status = change(h->o, h->node, ctx, &c.a, what);
    objects__release(h->o, &c);
    return status;
}

/* ---- which */

static apr_status_t chmod_below(vfs_t *lower, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                const change_t *what)
{
    return vfs_call_chmod(lower, ctx, path, what->mode, what->flags);
}

static apr_status_t chown_below(vfs_t *lower, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                const change_t *what)
{
    return vfs_call_chown(lower, ctx, path, what->uid, what->gid, what->flags);
}

static apr_status_t utimens_below(vfs_t *lower, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                  const change_t *what)
{
    return vfs_call_utimens(lower, ctx, path, what->atime_ns, what->mtime_ns, what->flags);
}

static apr_status_t setxattr_below(vfs_t *lower, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                   const change_t *what)
{
    return vfs_call_setxattr(lower, ctx, path, what->name, what->value, what->len, what->how,
                             what->flags);
}

static apr_status_t removexattr_below(vfs_t *lower, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                      const change_t *what)
{
    return vfs_call_removexattr(lower, ctx, path, what->name, what->flags);
}

#define MODE                                                                                       \
    {                                                                                              \
        .cap = VFS_CAP_MODE, .keep = keep_mode, .below = chmod_below, .mode = mode                 \
    }
#define OWNER                                                                                      \
    {                                                                                              \
        .cap = VFS_CAP_OWNER, .keep = keep_none, .below = chown_below, .uid = uid, .gid = gid      \
    }
#define TIMES                                                                                      \
    {                                                                                              \
        .cap = VFS_CAP_TIMES, .keep = keep_times, .below = utimens_below, .atime_ns = atime_ns,    \
        .mtime_ns = mtime_ns                                                                       \
    }
#define SET                                                                                        \
    {                                                                                              \
        .cap = VFS_CAP_XATTR, .keep = keep_none, .below = setxattr_below, .name = name,            \
        .value = value, .len = len, .how = how                                                     \
    }
#define REMOVE                                                                                     \
    {                                                                                              \
        .cap = VFS_CAP_XATTR, .keep = keep_none, .below = removexattr_below, .name = name          \
    }

apr_status_t objects_chmod(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t mode,
                           uint32_t flags)
{
    change_t what = MODE;
    what.flags = flags;
    return change_path(fs, ctx, path, &what);
}

apr_status_t objects_fchmod(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t mode)
{
    const change_t what = MODE;
    return change_file(file, ctx, &what);
}

apr_status_t objects_chown(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t uid,
                           uint32_t gid, uint32_t flags)
{
    change_t what = OWNER;
    what.flags = flags;
    return change_path(fs, ctx, path, &what);
}

apr_status_t objects_fchown(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t uid, uint32_t gid)
{
    const change_t what = OWNER;
    return change_file(file, ctx, &what);
}

apr_status_t objects_utimens(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                             int64_t atime_ns, int64_t mtime_ns, uint32_t flags)
{
    change_t what = TIMES;
    what.flags = flags;
    return change_path(fs, ctx, path, &what);
}

apr_status_t objects_futimens(vfs_file_t *file, const vfs_ctx_t *ctx, int64_t atime_ns,
                              int64_t mtime_ns)
{
    const change_t what = TIMES;
    return change_file(file, ctx, &what);
}

apr_status_t objects_setxattr(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              const char *name, const void *value, size_t len, uint32_t how,
                              uint32_t flags)
{
    change_t what = SET;
    what.flags = flags;
    return change_path(fs, ctx, path, &what);
}

apr_status_t objects_fsetxattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name,
                               const void *value, size_t len, uint32_t how)
{
    const change_t what = SET;
    return change_file(file, ctx, &what);
}

apr_status_t objects_removexattr(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                 const char *name, uint32_t flags)
{
    change_t what = REMOVE;
    what.flags = flags;
    return change_path(fs, ctx, path, &what);
}

apr_status_t objects_fremovexattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name)
{
    const change_t what = REMOVE;
    return change_file(file, ctx, &what);
}

/* ---- extended attributes: asking. A file that is not below yet has none. */

static int is_fresh_node(node_t *n)
{
    if (n == NULL) return 0;
    pthread_mutex_lock(&n->mutex);
    int fresh = objects__is_fresh(n);
    pthread_mutex_unlock(&n->mutex);
    return fresh;
}

static int is_fresh_path(objects_t *o, const vfs_path_t *path)
{
    node_t *n = objects__node(o, path, 0);
    int fresh = is_fresh_node(n);
    if (n != NULL) objects__node_put(o, n);
    return fresh;
}

apr_status_t objects_getxattr(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              const char *name, void *buf, size_t size, size_t *len, uint32_t flags)
{
    objects_t *o = objects__of(fs);
    if (!(o->lower->caps.bits & VFS_CAP_XATTR)) return APR_ENOTIMPL;
    if (is_fresh_path(o, path)) return VFS_ENODATA;
    return vfs_call_getxattr(o->lower, ctx, path, name, buf, size, len, flags);
}

apr_status_t objects_listxattr(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, char *buf,
                               size_t size, size_t *len, uint32_t flags)
{
    objects_t *o = objects__of(fs);
    if (!(o->lower->caps.bits & VFS_CAP_XATTR)) return APR_ENOTIMPL;
    if (is_fresh_path(o, path)) return APR_SUCCESS;
    return vfs_call_listxattr(o->lower, ctx, path, buf, size, len, flags);
}

apr_status_t objects_fgetxattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name, void *buf,
                               size_t size, size_t *len)
{
    handle_t *h = (handle_t *)file;
    claim_t c;
    if (!(h->o->lower->caps.bits & VFS_CAP_XATTR)) return APR_ENOTIMPL;
    if (is_fresh_node(h->node)) return VFS_ENODATA;
    apr_status_t status = objects__claim_node(h->o, ctx, &c, h->node);
    if (status != APR_SUCCESS) return status;
    status = vfs_call_getxattr(h->o->lower, ctx, &c.a, name, buf, size, len, 0);
    objects__release(h->o, &c);
    return status;
}

apr_status_t objects_flistxattr(vfs_file_t *file, const vfs_ctx_t *ctx, char *buf, size_t size,
                                size_t *len)
{
    handle_t *h = (handle_t *)file;
    claim_t c;
    if (!(h->o->lower->caps.bits & VFS_CAP_XATTR)) return APR_ENOTIMPL;
    if (is_fresh_node(h->node)) return APR_SUCCESS;
    apr_status_t status = objects__claim_node(h->o, ctx, &c, h->node);
    if (status != APR_SUCCESS) return status;
    status = vfs_call_listxattr(h->o->lower, ctx, &c.a, buf, size, len, 0);
    objects__release(h->o, &c);
    return status;
}
