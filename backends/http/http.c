/*
 * http.c - the file system that a web server's files make: its life, its options, its table of ops.
 * Floor 2. Knows vfs and backends/remote. Nothing is ever changed on the server: each attempt is
 * EROFS.
 */
#include "backends/http/http.h"
#include "vfs/refuse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

/* A server's clock shows seconds; a request to one that is near takes some milliseconds. */
#define GRANULARITY_NS 1000000000
#define ROUND_TRIP_US 20000
#define SKIP_MAX (16u << 20)

/* ---- what reads */

static apr_status_t http_stat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              vfs_attr_t *attr, vfs_validator_t *validator)
{
    return http__stat(fs->state, ctx, path->str, attr, validator);
}

static apr_status_t http_access(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                uint32_t mask)
{
    vfs_attr_t attr;
    vfs_validator_t validator;
    apr_status_t status = http__stat(fs->state, ctx, path->str, &attr, &validator);
    if (status == APR_SUCCESS) status = vfs_attr_access(&attr, ctx, mask & ~VFS_ACCESS_WRITE);
    return status == APR_SUCCESS && (mask & VFS_ACCESS_WRITE) ? VFS__REFUSED : status;
}

static apr_status_t http_get(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, void *buf,
                             size_t len, size_t *got, vfs_attr_t *attr, vfs_validator_t *validator)
{
    http_t *h = fs->state;
    const vfs_iovec_t iov = {buf, len};
    int is_dir = 0;
    if (len == 0 || path->len == 1) return http__stat(h, ctx, path->str, attr, validator);
    apr_status_t status = remote__read(&http__backend, h, h->skip_max, ctx, path->str, &iov, 1, 0,
                                       got, attr, validator, &is_dir);
    if (status == APR_SUCCESS && is_dir) http__attr(h, NULL, VFS_TYPE_DIR, 0, path->str, attr);
    return status;
}

static apr_status_t may_open(const vfs_attr_t *attr, apr_status_t found, uint32_t flags)
{
    if (flags & VFS_O_WRITE) return VFS__REFUSED;
    if ((flags & VFS_O_CREATE) && APR_STATUS_IS_ENOENT(found)) return VFS__REFUSED;
    if (found != APR_SUCCESS) return found;
    if (flags & VFS_O_EXCL) return APR_EEXIST;
    if ((flags & VFS_O_CREATE) && attr->type == VFS_TYPE_DIR) return APR_FROM_OS_ERROR(EISDIR);
    if ((flags & VFS_O_DIRECTORY) && attr->type != VFS_TYPE_DIR) return APR_FROM_OS_ERROR(ENOTDIR);
    return APR_SUCCESS;
}

static apr_status_t http_open(vfs_file_t **out, vfs_t *fs, const vfs_ctx_t *ctx,
                              const vfs_path_t *path, uint32_t flags, uint32_t mode,
                              vfs_attr_t *attr, vfs_validator_t *validator)
{
    (void)mode;
    if (flags & VFS_O_WRITE) return VFS__REFUSED;
    if (!(flags & VFS_O_KNOWN)) { /* else each read says what it is of */
        apr_status_t found = http__stat(fs->state, ctx, path->str, attr, validator);
        apr_status_t status = may_open(attr, found, flags);
        if (status != APR_SUCCESS) return status;
    }
    return remote__file(out, &http__backend, ((const http_t *)fs->state)->skip_max, fs, path, flags,
                        attr->type);
}

static apr_status_t http_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                                 const vfs_path_t *path, uint32_t flags)
{
    if (((const http_t *)fs->state)->listing == HTTP_LISTING_OFF) return APR_ENOTIMPL;
    return remote__opendir(&http__backend, dir, fs, ctx, path, flags);
}

/* ---- life */

const remote_backend_t http__backend = {.ask = http__ask,
                                        .attr = http__attr,
                                        .head = http__head,
                                        .stat = http__stat,
                                        .load = http__load};

static const vfs_ops_t http_ops = {
    .abi = VFS_ABI,
    .size = sizeof(vfs_ops_t),
    .name = "http",
    .destroy = remote__destroy_fs,
    .open = http_open,
    .opendir = http_opendir,
    .close = remote__close,
    .closedir = remote__closedir,
    .get = http_get,
    .stat = http_stat,
    .lstat = http_stat,
    .access = http_access,
    .mknod = vfs__refuse_mknod,
    .mkdir = vfs__refuse_mkdir,
    .rmdir = vfs__refuse_rmdir,
    .unlink = vfs__refuse_unlink,
    .rename = vfs__refuse_rename,
    .link = vfs__refuse_link,
    .symlink = vfs__refuse_symlink,
    .truncate = vfs__refuse_truncate,
    .chmod = vfs__refuse_chmod,
    .chown = vfs__refuse_chown,
    .utimens = vfs__refuse_utimens,
    .setxattr = vfs__refuse_setxattr,
    .removexattr = vfs__refuse_removexattr,
    .sync_fs = remote__sync_fs,
    .commit = vfs__refuse_commit,
    .read_at = remote__read_at,
    .write_at = vfs__refuse_write_at,
    .readv_at = remote__readv_at,
    .writev_at = vfs__refuse_writev_at,
    .fstat = remote__fstat,
    .ftruncate = vfs__refuse_ftruncate,
    .fchmod = vfs__refuse_fchmod,
    .fchown = vfs__refuse_fchown,
    .futimens = vfs__refuse_futimens,
    .fsetxattr = vfs__refuse_fsetxattr,
    .fremovexattr = vfs__refuse_fremovexattr,
    .flush = remote__flush,
    .sync = remote__sync,
    .allocate = vfs__refuse_allocate,
    .fetch = remote__fetch,
    .readdir = remote__readdir,
    .seekdir = remote__seekdir,
};

static void http_free(void *state)
{
    http_t *h = state;
    apr_pool_t *pool = h->pool;
    if (h->state.remote != NULL) remote__destroy(h->state.remote);
    free(h->base);
    free(h);
    if (pool != NULL) apr_pool_destroy(pool);
}

/* ---- options */

/* What a URI says. */
typedef struct http_options_t {
    remote_config_t remote;
    http_listing_e listing;
    http_redirects_e redirects;
    uint64_t skip_max;
    int probe;
} http_options_t;

/* As remote__config_set, with the keys of this backend before those of all. */
static const char *set_option(void *baton, const char *key, const char *value, apr_pool_t *pool)
{
    http_options_t *o = baton;
    static const char listings[] = "auto,html,json,off", redirects[] = "any,origin,none";
    static const char probes[] = "no,yes";
    int at = 0;
    if (strcmp(key, "listing") == 0) {
        at = remote__choice(value, listings);
        if (at < 0) return listings;
        o->listing = (http_listing_e)at;
        return NULL;
    }
    if (strcmp(key, "redirects") == 0) {
        at = remote__choice(value, redirects);
        if (at < 0) return redirects;
        o->redirects = (http_redirects_e)at;
        return NULL;
    }
    if (strcmp(key, "probe") == 0) {
        at = remote__choice(value, probes);
        o->probe = at > 0;
        return at < 0 ? probes : NULL;
    }
    if (strcmp(key, "skip_max") == 0)
        return remote__parse_size(value, &o->skip_max) ? NULL : "a size, such as 16m";
    return remote__config_set(&o->remote, key, value, pool);
}

static apr_status_t http_new(http_t **out, const http_options_t *o, char *err, size_t errlen)
{
    char why[256] = "";
    http_t *h = calloc(1, sizeof(*h));
    if (h == NULL) return APR_ENOMEM;
    h->state.end = http_free;
    h->listing = o->listing;
    h->redirects = o->redirects;
    h->skip_max = o->skip_max;
    h->uid = (uint32_t)geteuid();
    h->gid = (uint32_t)getegid();
    h->base = strdup(o->remote.base);
    apr_status_t status = h->base != NULL
                              ? remote__create(&h->state.remote, &o->remote, why, sizeof(why))
                              : APR_ENOMEM;
    if (status != APR_SUCCESS)
        (void)snprintf(err, errlen, "%s: %s", o->remote.base, why);
    else if (o->probe)
        status = http__probe(h, err, errlen);
    if (status == APR_SUCCESS)
        *out = h;
    else
        http_free(h);
    return status;
}

static apr_status_t open_uri(vfs_t **out, const char *uri, char *err, size_t errlen,
                             apr_pool_t *pool, apr_pool_t *own)
{
    http_options_t o = {.skip_max = SKIP_MAX, .probe = 1};
    const remote_options_t known = {&o.remote, "listing, redirects, probe, skip_max", set_option};
    vfs_caps_t caps = {.size = sizeof(caps),
                       .bits = VFS_CAP_DIRS,
                       .time_granularity_ns = GRANULARITY_NS,
                       .file_size_max = INT64_MAX,
                       .name_max = VFS_NAME_MAX,
                       .round_trip_us = ROUND_TRIP_US};
    const char *options = NULL;
    http_t *h = NULL;
    remote__config_init(&o.remote);
    const char *complaint = remote__uri(&o.remote, uri, &options, own);
    if (complaint != NULL) {
        (void)snprintf(err, errlen, "http: %s", complaint); /* the URI may hold a password */
        return APR_EINVAL;
    }
    apr_status_t status = remote__options(options, &known, &o, err, errlen, own);
    if (status == APR_SUCCESS) status = http_new(&h, &o, err, errlen);
    if (status != APR_SUCCESS) return status;
    if (h->listing == HTTP_LISTING_OFF) caps.bits &= ~VFS_CAP_DIRS;
    status = vfs_create(out, &http_ops, NULL, h, &caps, pool);
    if (status == APR_SUCCESS)
        h->pool = own;
    else
        http_free(h);
    return status;
}

apr_status_t vfs_http_create(vfs_t **out, const char *uri, char *err, size_t errlen,
                             apr_pool_t *pool)
{
    return remote__open(out, uri, err, errlen, pool, open_uri);
}
