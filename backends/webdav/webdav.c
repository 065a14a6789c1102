/*
 * webdav.c - the file system that a WebDAV server's files make: handles and the table of ops.
 * Floor 2. Knows vfs and backends/remote. A file can be replaced as a whole only, by commit; what
 * is written anywhere in it is the business of the layer above.
 */
#include "backends/webdav/webdav.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- get */

/* A request for bytes whose answer is looked at: a whole one may be a page about a directory. */
typedef struct noting_t {
    webdav_t *w;
    int whole;
} noting_t;

static apr_status_t noting_ask(void *state, const vfs_ctx_t *ctx, const remote_ask_t *ask,
                               remote_answer_t *answer, int *is_dir)
{
    noting_t *n = state;
    apr_status_t status = webdav__ask(n->w, ctx, ask, answer, is_dir);
    n->whole = status == APR_SUCCESS && answer->status == 200;
    return status;
}

static void noting_attr(const void *state, const remote_answer_t *answer, vfs_type_e type,
                        uint64_t size, const char *path, vfs_attr_t *attr)
{
    webdav__attr(((const noting_t *)state)->w, answer, type, size, path, attr);
}

static apr_status_t noting_head(void *state, const vfs_ctx_t *ctx, const char *path,
                                vfs_attr_t *attr, vfs_validator_t *validator, int *blind)
{
    *blind = 0;
    return webdav__stat(((noting_t *)state)->w, ctx, path, attr, validator, NULL);
}

static const remote_backend_t noting_backend = {
    .ask = noting_ask, .attr = noting_attr, .head = noting_head};

static apr_status_t drop(void *baton, const void *data, size_t len)
{
    (void)baton;
    (void)data;
    (void)len;
    return REMOTE_ENOUGH;
}

/* A server may have no page for a directory, and say "not found" of one. Most send us on to the
 * same with a slash, or have a page, or say that there is no GET of it. It is tried with the one
 * above `path`, once: that is there, and known to be one. That of a whole server always has a
 * slash, and tells nothing. */
static int tells_misses(webdav_t *w, const vfs_ctx_t *ctx, const char *path)
{
    char above[VFS_PATH_MAX + 1];
    const char *slash = strrchr(path, '/');
    const remote_ask_t ask = {.method = "GET", .path = above, .body = drop};
    remote_answer_t answer;
    int is_dir = 0, known = atomic_load(&w->misses);
    if (known != WEBDAV_UNKNOWN) return known == WEBDAV_YES;
    memcpy(above, path, (size_t)(slash - path));
    above[slash - path] = '\0';
    if (above[0] == '\0' ? w->root[0] == '\0' : !webdav__seen_dir(w, above)) return 0;
    apr_status_t status = webdav__ask(w, ctx, &ask, &answer, &is_dir);
    const long s = answer.status;
    remote__answer_free(&answer);
    if (is_dir || (status == APR_SUCCESS && (s == 200 || s == 403 || s == 405 || s == 501)))
        known = WEBDAV_YES;
    else if (s == 404 || s == 410)
        known = WEBDAV_NO;
    atomic_store(&w->misses, known);
    return known == WEBDAV_YES;
}

static apr_status_t webdav_get(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, void *buf,
                               size_t len, size_t *got, vfs_attr_t *attr,
                               vfs_validator_t *validator)
{
    webdav_t *w = fs->state;
    noting_t n = {w, 0};
    const vfs_iovec_t iov = {buf, len};
    vfs_attr_t now;
    vfs_validator_t version;
    int is_dir = 0;
    if (webdav__dir_told(w, path->str, attr, validator)) return APR_SUCCESS;
    if (len == 0 || path->len == 1 || atomic_load(&w->tags) == WEBDAV_UNKNOWN) {
        apr_status_t status = webdav__stat(w, ctx, path->str, attr, validator, NULL);
        if (status != APR_SUCCESS || len == 0 || attr->type == VFS_TYPE_DIR || attr->size == 0)
            return status;
    }
    /* lighttpd has bytes for what is "below" a file: those of the file */
    apr_status_t status = webdav__parent(w, ctx, path->str);
    if (status != APR_SUCCESS) return status;
    status = remote__read(&noting_backend, &n, w->skip_max, ctx, path->str, &iov, 1, 0, got, attr,
                          validator, &is_dir);
    if (status == APR_SUCCESS && !is_dir && !n.whole) return APR_SUCCESS;
    if (is_dir) atomic_store(&w->misses, WEBDAV_YES);
    if (APR_STATUS_IS_ENOENT(status) && tells_misses(w, ctx, path->str)) return status;
    /* what GET says may be of anything: who is it really? */
    apr_status_t said = is_dir ? webdav__stat_dir(w, ctx, path->str, &now, &version)
                               : webdav__stat(w, ctx, path->str, &now, &version, NULL);
    if (said == APR_SUCCESS && status == APR_SUCCESS && now.type == VFS_TYPE_FILE) return status;
    *got = 0;
    if (said != APR_SUCCESS || now.type == VFS_TYPE_FILE)
        return said != APR_SUCCESS ? said : status;
    *attr = now;
    *validator = version;
    return APR_SUCCESS;
}

/* ---- names */

static apr_status_t webdav_stat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                vfs_attr_t *attr, vfs_validator_t *validator)
{
    if (webdav__dir_told(fs->state, path->str, attr, validator)) return APR_SUCCESS;
    return webdav__stat(fs->state, ctx, path->str, attr, validator, NULL);
}

static apr_status_t webdav_access(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                  uint32_t mask)
{
    vfs_attr_t attr;
    vfs_validator_t validator;
    apr_status_t status = webdav__stat(fs->state, ctx, path->str, &attr, &validator, NULL);
    return status == APR_SUCCESS ? vfs_attr_access(&attr, ctx, mask) : status;
}

static apr_status_t webdav_statfs(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                  vfs_statfs_t *out)
{
    return webdav__statfs(fs->state, ctx, path->str, out);
}

static apr_status_t webdav_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                                   const vfs_path_t *path, uint32_t flags)
{
    return remote__opendir(&webdav__backend, dir, fs, ctx, path, flags);
}

/* ---- files */

static apr_status_t webdav_open(vfs_file_t **out, vfs_t *fs, const vfs_ctx_t *ctx,
                                const vfs_path_t *path, uint32_t flags, uint32_t mode,
                                vfs_attr_t *attr, vfs_validator_t *validator)
{
    (void)mode;
    if (flags & (VFS_O_WRITE | VFS_O_CREATE)) return APR_ENOTIMPL;
    apr_status_t status = APR_SUCCESS;
    if (!(flags & VFS_O_KNOWN)) /* else each read says what it is of */
        status = webdav__stat(fs->state, ctx, path->str, attr, validator, NULL);
    if (status != APR_SUCCESS) return status;
    if ((flags & VFS_O_DIRECTORY) && attr->type != VFS_TYPE_DIR) return APR_FROM_OS_ERROR(ENOTDIR);
    return remote__file(out, &webdav__backend, ((const webdav_t *)fs->state)->skip_max, fs, path,
                        flags, attr->type);
}

static apr_status_t webdav_sync_dir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    vfs_attr_t attr;
    vfs_validator_t validator;
    apr_status_t status = webdav__stat(fs->state, ctx, path->str, &attr, &validator, NULL);
    if (status != APR_SUCCESS || attr.type == VFS_TYPE_DIR) return status;
    return APR_FROM_OS_ERROR(ENOTDIR);
}

/* What was put is there; what is still to be told to the server goes now. */
static apr_status_t webdav_sync_fs(vfs_t *fs, const vfs_ctx_t *ctx)
{
    return webdav__unlocked(fs->state, ctx, NULL);
}

const vfs_ops_t webdav__ops = {
    .abi = VFS_ABI,
    .size = sizeof(vfs_ops_t),
    .name = "webdav",
    .destroy = remote__destroy_fs,
    .open = webdav_open,
    .opendir = webdav_opendir,
    .close = remote__close,
    .closedir = remote__closedir,
    .get = webdav_get,
    .stat = webdav_stat,
    .lstat = webdav_stat,
    .access = webdav_access,
    .mkdir = webdav__mkdir,
    .rmdir = webdav__rmdir,
    .unlink = webdav__unlink,
    .rename = webdav__rename,
    .statfs = webdav_statfs,
    .sync_dir = webdav_sync_dir,
    .sync_fs = webdav_sync_fs,
    .commit = webdav__commit,
    .read_at = remote__read_at,
    .readv_at = remote__readv_at,
    .fstat = remote__fstat,
    .flush = remote__flush,
    .sync = remote__sync,
    .fetch = remote__fetch,
    .readdir = remote__readdir,
    .seekdir = remote__seekdir,
};
