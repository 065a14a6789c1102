/*
 * names.c - names of the local backend: removing, renaming, linking. Floor 2. Each opens the parent
 * beneath the root and acts on a name in it, so a last component that is a link is never followed.
 */
#include "backends/local/local.h"

typedef struct place_t {
    port_creds_t creds;
    port_at_t at;
} place_t;

/* Become the caller and open the parent. Dispatch has answered for the root, which has none. */
static apr_status_t enter(place_t *place, vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    local_t *self = local__of(fs);
    VFS_ASSERT(path->len > 1);
    apr_status_t status = port__creds_enter(&self->root, ctx, &place->creds);
    if (status != APR_SUCCESS) return status;
    status = port__at_open(&self->root, path->str, 0, &place->at);
    if (status != APR_SUCCESS) port__creds_leave(&place->creds);
    return status;
}

static apr_status_t leave(place_t *place, apr_status_t status)
{
    port__creds_leave(&place->creds);
    port__at_close(&place->at);
    return status;
}

apr_status_t local__rmdir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    place_t place;
    apr_status_t status = enter(&place, fs, ctx, path);
    if (status != APR_SUCCESS) return status;
    return leave(&place, port__unlink(&place.at, 1));
}

apr_status_t local__unlink(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    place_t place;
    apr_status_t status = enter(&place, fs, ctx, path);
    if (status != APR_SUCCESS) return status;
    return leave(&place, port__unlink(&place.at, 0));
}

apr_status_t local__symlink(vfs_t *fs, const vfs_ctx_t *ctx, const char *target,
                            const vfs_path_t *path)
{
    place_t place;
    apr_status_t status = enter(&place, fs, ctx, path);
    if (status != APR_SUCCESS) return status;
    return leave(&place, port__symlink(target, &place.at));
}

apr_status_t local__readlink(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, char *buf,
                             size_t size, size_t *len)
{
    place_t place;
    if (path->len == 1) return APR_EINVAL; /* the root is no link */
    apr_status_t status = enter(&place, fs, ctx, path);
    if (status != APR_SUCCESS) return status;
    return leave(&place, port__readlink(&place.at, buf, size, len));
}

apr_status_t local__rename(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                           const vfs_path_t *to, uint32_t flags)
{
    place_t place;
    port_at_t dest;
    apr_status_t status = enter(&place, fs, ctx, from);
    if (status != APR_SUCCESS) return status;
    status = port__at_open(&local__of(fs)->root, to->str, 0, &dest);
    if (status != APR_SUCCESS) return leave(&place, status);
    status = port__rename(&place.at, &dest, flags);
    port__at_close(&dest);
    return leave(&place, status);
}

apr_status_t local__link(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                         const vfs_path_t *to)
{
    place_t place;
    port_at_t dest;
    vfs_attr_t attr;
    apr_status_t status = enter(&place, fs, ctx, from);
    if (status != APR_SUCCESS) return status;
    status = port__statat(place.at.fd, place.at.name, &attr); /* what is missing is said first */
    if (status != APR_SUCCESS) return leave(&place, status);
    status = port__at_open(&local__of(fs)->root, to->str, 0, &dest);
    if (status != APR_SUCCESS) return leave(&place, status);
    status = port__link(&place.at, &dest);
    port__at_close(&dest);
    return leave(&place, status);
}
