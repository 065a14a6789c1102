/*
 * links.c - a layer that follows symbolic links, over one that only tells of them
 * (VFS_CAP_PLAIN_LINKS). Floor 1.
 *
 * Below, a path through a link is ENOTDIR, and a link that would have to be followed is ELOOP, or
 * is told of itself. So whatever meets no link costs no more than below. Only behind such an answer
 * the way is walked, name by name; then the same is asked of where it leads, where no link is.
 */
#include <stdlib.h>

#include "vfs/internal.h"
#include "vfs/objects.h"

#define FOLLOW_MAX 40u /* as Linux has it */
#define ELOOP_STATUS APR_FROM_OS_ERROR(ELOOP)

typedef struct links_t {
    vfs_t *lower;
    int owns_lower;
} links_t;

typedef struct links_file_t {
    vfs_file_t base;
    int by_link;
} links_file_t;

/* Where a path leads. */
typedef struct way_t {
    vfs_path_t path;
    char buf[VFS_PATH_MAX + 1];
    char rest[VFS_PATH_MAX + 1]; /* what is to be walked yet */
    size_t len;                  /* of what was walked */
    unsigned followed;
} way_t;

static vfs_t *lower_of(const vfs_t *fs)
{
    return ((const links_t *)fs->state)->lower;
}

/* ---- the way */

static void settle(way_t *w)
{
    if (w->len == 0) w->buf[w->len++] = '/';
    w->buf[w->len] = '\0';
    w->path = (vfs_path_t){w->buf, (uint32_t)w->len, vfs_path_hash(w->buf, w->len), 0};
}

static void drop_last(way_t *w)
{
    while (w->len > 0 && w->buf[--w->len] != '/')
        ;
}

/* The text of the link that was reached comes before what was to be walked. */
static apr_status_t enter_link(way_t *w, vfs_t *lower, const vfs_ctx_t *ctx, const char *rest)
{
    char text[VFS_PATH_MAX + 1];
    size_t len = 0, more = strlen(rest);
    if (++w->followed > FOLLOW_MAX) return ELOOP_STATUS;
    settle(w);
    apr_status_t status = vfs_call_readlink(lower, ctx, &w->path, text, sizeof(text), &len);
    if (APR_STATUS_IS_EINVAL(status)) return VFS_ESTALE; /* it is another thing by now */
    if (status != APR_SUCCESS) return status;
    if (len == 0 || len + more > VFS_PATH_MAX) return APR_ENAMETOOLONG;
    memmove(w->rest + len, rest, more + 1);
    memcpy(w->rest, text, len);
    if (text[0] == '/')
        w->len = 0;
    else
        drop_last(w);
    return APR_SUCCESS;
}

/* One name, at *at. *at: where the next one is. */
static apr_status_t step(way_t *w, vfs_t *lower, const vfs_ctx_t *ctx, int follow, const char **at)
{
    vfs_attr_t attr;
    const char *name = *at;
    size_t len = strcspn(name, "/");
    const char *rest = name + len;
    int last = rest[strspn(rest, "/")] == '\0', slash = rest[0] == '/';
    *at = rest;
    if (len == 1 && name[0] == '.') return APR_SUCCESS;
    if (len == 2 && name[0] == '.' && name[1] == '.') {
        if (w->len == 0) return APR_EACCES; /* out of the root */
        drop_last(w);
        return APR_SUCCESS;
    }
    if (len > VFS_NAME_MAX || w->len + 1 + len > VFS_PATH_MAX) return APR_ENAMETOOLONG;
    w->buf[w->len++] = '/';
    memcpy(w->buf + w->len, name, len);
    w->len += len;
    settle(w);
    apr_status_t status = vfs_call_lstat(lower, ctx, &w->path, &attr, NULL);
    if (APR_STATUS_IS_ENOENT(status) && last) return APR_SUCCESS; /* it may be made there */
    if (status != APR_SUCCESS) return status;
    if (attr.type == VFS_TYPE_LINK && (!last || slash || follow)) {
        *at = w->rest;
        return enter_link(w, lower, ctx, rest);
    }
    return (!last || slash) && attr.type != VFS_TYPE_DIR ? APR_ENOTDIR : APR_SUCCESS;
}

/* Where `path` leads; its last name need not be there, and is followed if that is asked for. */
static apr_status_t walk(way_t *w, vfs_t *lower, const vfs_ctx_t *ctx, const vfs_path_t *path,
                         int follow)
{
    apr_status_t status = APR_SUCCESS;
    const char *at = w->rest;
    w->len = w->followed = 0;
    memcpy(w->rest, path->str, path->len + 1);
    while (status == APR_SUCCESS && *(at += strspn(at, "/")) != '\0')
        status = step(w, lower, ctx, follow, &at);
    settle(w);
    return status;
}

static int leads_on(apr_status_t status)
{
    return APR_STATUS_IS_ENOTDIR(status) || status == ELOOP_STATUS;
}

/* Below they said `why`. Is that because of a link? Else it stands. */
static apr_status_t find_way(way_t *w, const vfs_t *fs, const vfs_ctx_t *ctx,
                             const vfs_path_t *path, int follow, apr_status_t why)
{
    apr_status_t status = walk(w, lower_of(fs), ctx, path, follow);
    return status == APR_SUCCESS && w->followed == 0 ? why : status;
}

/* ---- by one path */

/* `follows`: whether a link at its end is followed. */
#define ONE_PATH(name, params, args, follows)                                                      \
    static apr_status_t links_##name(vfs_t *fs, VFS_UNPACK params)                                 \
    {                                                                                              \
        way_t w;                                                                                   \
        vfs_t *lower = lower_of(fs);                                                               \
        apr_status_t status = vfs_call_##name(lower, VFS_UNPACK args);                             \
        if (!leads_on(status)) return status;                                                      \
        status = find_way(&w, fs, ctx, path, follows, status);                                     \
        path = &w.path;                                                                            \
        return status == APR_SUCCESS ? vfs_call_##name(lower, VFS_UNPACK args) : status;           \
    }
#define ITSELF(name, params, args) ONE_PATH(name, params, args, 0)
#define FOLLOWS(name, params, args) ONE_PATH(name, params, args, 1)
#define BY_FLAG(name, params, args) ONE_PATH(name, params, args, !(flags & VFS_NOFOLLOW))
#define OWN(name, params, args)
#define LINKS_get OWN
#define LINKS_stat OWN
#define LINKS_lstat OWN
#define LINKS_access FOLLOWS
#define LINKS_mknod ITSELF
#define LINKS_mkdir ITSELF
#define LINKS_rmdir ITSELF
#define LINKS_unlink ITSELF
#define LINKS_rename OWN
#define LINKS_link OWN
#define LINKS_symlink ITSELF
#define LINKS_readlink ITSELF
#define LINKS_truncate FOLLOWS
#define LINKS_chmod BY_FLAG
#define LINKS_chown BY_FLAG
#define LINKS_utimens BY_FLAG
#define LINKS_statfs FOLLOWS
#define LINKS_getxattr BY_FLAG
#define LINKS_setxattr BY_FLAG
#define LINKS_listxattr BY_FLAG
#define LINKS_removexattr BY_FLAG
#define LINKS_sync_dir FOLLOWS
#define LINKS_sync_fs OWN
#define LINKS_commit FOLLOWS
#define LINKS_watch FOLLOWS
#define LINKS_unwatch OWN
#define VFS_OP_FS(name, class, params, args, doc) LINKS_##name(name, params, args)
#include "vfs/vfs_ops.def"

/* What was found by a link is told so; what is a link still came there meanwhile. Of what was not
 * found nothing is told: not what the link is either. */
static apr_status_t found(apr_status_t status, int follow, vfs_attr_t *attr)
{
    if (status == APR_SUCCESS && follow && attr->type == VFS_TYPE_LINK) status = ELOOP_STATUS;
    attr->flags &= ~VFS_ATTR_DIRECT;
    if (status != APR_SUCCESS) vfs__attr_clear(attr);
    return status;
}

static apr_status_t links_lstat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                vfs_attr_t *attr, vfs_validator_t *validator)
{
    way_t w;
    apr_status_t status = vfs_call_lstat(lower_of(fs), ctx, path, attr, validator);
    if (!leads_on(status)) return status;
    status = find_way(&w, fs, ctx, path, 0, status);
    if (status == APR_SUCCESS) status = vfs_call_lstat(lower_of(fs), ctx, &w.path, attr, validator);
    return found(status, 0, attr);
}

static apr_status_t links_stat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               vfs_attr_t *attr, vfs_validator_t *validator)
{
    way_t w;
    apr_status_t status = vfs_call_stat(lower_of(fs), ctx, path, attr, validator);
    if (status == APR_SUCCESS && attr->type == VFS_TYPE_LINK) status = ELOOP_STATUS;
    if (!leads_on(status)) return status;
    status = find_way(&w, fs, ctx, path, 1, status);
    if (status == APR_SUCCESS) status = vfs_call_stat(lower_of(fs), ctx, &w.path, attr, validator);
    return found(status, 1, attr);
}

static apr_status_t links_get(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, void *buf,
                              size_t len, size_t *got, vfs_attr_t *attr, vfs_validator_t *validator)
{
    way_t w;
    vfs_t *lower = lower_of(fs);
    apr_status_t status = vfs_call_get(lower, ctx, path, buf, len, got, attr, validator);
    if (status == APR_SUCCESS && attr->type == VFS_TYPE_LINK) status = ELOOP_STATUS;
    if (!leads_on(status)) return status;
    status = find_way(&w, fs, ctx, path, 1, status);
    if (status == APR_SUCCESS)
        status = vfs_call_get(lower, ctx, &w.path, buf, len, got, attr, validator);
    return found(status, 1, attr);
}

/* ---- by two: of neither the last name is followed */

static apr_status_t find_ways(way_t *source, way_t *target, const vfs_t *fs, const vfs_ctx_t *ctx,
                              const vfs_path_t *from, const vfs_path_t *to, apr_status_t why)
{
    apr_status_t status = walk(source, lower_of(fs), ctx, from, 0);
    if (status == APR_SUCCESS) status = walk(target, lower_of(fs), ctx, to, 0);
    if (status != APR_SUCCESS) return status;
    return source->followed + target->followed == 0 ? why : APR_SUCCESS;
}

static apr_status_t links_rename(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                                 const vfs_path_t *to, uint32_t flags)
{
    way_t source, target;
    apr_status_t status = vfs_call_rename(lower_of(fs), ctx, from, to, flags);
    if (!leads_on(status)) return status;
    status = find_ways(&source, &target, fs, ctx, from, to, status);
    if (status != APR_SUCCESS) return status;
    return vfs_call_rename(lower_of(fs), ctx, &source.path, &target.path, flags);
}

static apr_status_t links_link(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                               const vfs_path_t *to)
{
    way_t source, target;
    apr_status_t status = vfs_call_link(lower_of(fs), ctx, from, to);
    if (!leads_on(status)) return status;
    status = find_ways(&source, &target, fs, ctx, from, to, status);
    return status == APR_SUCCESS ? vfs_call_link(lower_of(fs), ctx, &source.path, &target.path)
                                 : status;
}

/* ---- handles */

static apr_status_t open_below(vfs_file_t **out, vfs_t *fs, const vfs_ctx_t *ctx,
                               const vfs_path_t *path, uint32_t flags, uint32_t mode,
                               vfs_attr_t *attr, vfs_validator_t *validator)
{
    vfs_file_t *lower = NULL;
    links_file_t *file = malloc(sizeof(*file));
    if (file == NULL) return APR_ENOMEM;
    apr_status_t status =
        vfs_call_open(&lower, lower_of(fs), ctx, path, flags, mode, attr, validator);
    if (status != APR_SUCCESS) {
        free(file);
        return status;
    }
    vfs_file_init(&file->base, fs, flags, lower);
    file->by_link = 0;
    *out = &file->base;
    return APR_SUCCESS;
}

static apr_status_t links_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                               const vfs_path_t *path, uint32_t flags, uint32_t mode,
                               vfs_attr_t *attr, vfs_validator_t *validator)
{
    way_t w;
    int excl = (flags & VFS_O_CREATE) && (flags & VFS_O_EXCL);
    apr_status_t status = open_below(file, fs, ctx, path, flags, mode, attr, validator);
    if (!leads_on(status)) return status;
    status = find_way(&w, fs, ctx, path, !excl && !(flags & VFS_O_NOFOLLOW), status);
    if (status == APR_SUCCESS)
        status = open_below(file, fs, ctx, &w.path, flags, mode, attr, validator);
    if (status == ELOOP_STATUS && (flags & VFS_O_DIRECTORY) && w.followed <= FOLLOW_MAX)
        return APR_ENOTDIR; /* no loop, but a link that is not to be followed */
    if (status != APR_SUCCESS) return status;
    ((links_file_t *)*file)->by_link = 1;
    attr->flags &= ~VFS_ATTR_DIRECT;
    return APR_SUCCESS;
}

static apr_status_t links_fstat(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_attr_t *attr,
                                vfs_validator_t *validator)
{
    apr_status_t status = vfs_pass_fstat(file, ctx, attr, validator);
    if (((const links_file_t *)file)->by_link) attr->flags &= ~VFS_ATTR_DIRECT;
    return status;
}

/* One that was reached directly is the lower's own. */
static apr_status_t links_opendir(vfs_dir_t **out, vfs_t *fs, const vfs_ctx_t *ctx,
                                  const vfs_path_t *path, uint32_t flags)
{
    way_t w;
    vfs_dir_t *lower = NULL;
    apr_status_t status = vfs_call_opendir(out, lower_of(fs), ctx, path, flags);
    if (!leads_on(status)) return status;
    status = find_way(&w, fs, ctx, path, 1, status);
    if (status == APR_SUCCESS) status = vfs_call_opendir(&lower, lower_of(fs), ctx, &w.path, flags);
    if (status != APR_SUCCESS) return status;
    vfs_dir_t *dir = malloc(sizeof(*dir));
    if (dir == NULL) {
        (void)vfs_closedir(lower); /* opened a moment ago */
        return APR_ENOMEM;
    }
    vfs_dir_init(dir, fs, flags, lower);
    *out = dir;
    return APR_SUCCESS;
}

static apr_status_t links_readdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, vfs_dirent_t *entry)
{
    apr_status_t status = vfs_pass_readdir(dir, ctx, entry);
    if (status == APR_SUCCESS) entry->attr.flags &= ~VFS_ATTR_DIRECT;
    return status;
}

/* ---- life */

static apr_status_t links_sync_fs(vfs_t *fs, const vfs_ctx_t *ctx)
{
    return vfs_call_sync_fs(lower_of(fs), ctx);
}

static apr_status_t links_unwatch(vfs_t *fs, uint64_t watch)
{
    return vfs_call_unwatch(lower_of(fs), watch);
}

static apr_status_t links_destroy(vfs_t *fs)
{
    links_t *links = fs->state;
    apr_status_t status = links->owns_lower ? vfs_destroy(links->lower) : APR_SUCCESS;
    free(links);
    return status;
}

static const vfs_ops_t links_ops = {
    .abi = VFS_ABI,
    .size = sizeof(vfs_ops_t),
    .name = "links",
    .destroy = links_destroy,
    .open = links_open,
    .opendir = links_opendir,
    .close = vfs_pass_close,
    .closedir = vfs_pass_closedir,
    .copy_range = vfs_pass_copy_range,
    .get = links_get,
    .stat = links_stat,
    .lstat = links_lstat,
    .access = links_access,
    .mknod = links_mknod,
    .mkdir = links_mkdir,
    .rmdir = links_rmdir,
    .unlink = links_unlink,
    .rename = links_rename,
    .link = links_link,
    .symlink = links_symlink,
    .readlink = links_readlink,
    .truncate = links_truncate,
    .chmod = links_chmod,
    .chown = links_chown,
    .utimens = links_utimens,
    .statfs = links_statfs,
    .getxattr = links_getxattr,
    .setxattr = links_setxattr,
    .listxattr = links_listxattr,
    .removexattr = links_removexattr,
    .sync_dir = links_sync_dir,
    .sync_fs = links_sync_fs,
    .commit = links_commit,
    .watch = links_watch,
    .unwatch = links_unwatch,
    .read_at = vfs_pass_read_at,
    .write_at = vfs_pass_write_at,
    .readv_at = vfs_pass_readv_at,
    .writev_at = vfs_pass_writev_at,
    .fstat = links_fstat,
    .ftruncate = vfs_pass_ftruncate,
    .fchmod = vfs_pass_fchmod,
    .fchown = vfs_pass_fchown,
    .futimens = vfs_pass_futimens,
    .fgetxattr = vfs_pass_fgetxattr,
    .fsetxattr = vfs_pass_fsetxattr,
    .flistxattr = vfs_pass_flistxattr,
    .fremovexattr = vfs_pass_fremovexattr,
    .flush = vfs_pass_flush,
    .sync = vfs_pass_sync,
    .lock = vfs_pass_lock,
    .seek_extent = vfs_pass_seek_extent,
    .allocate = vfs_pass_allocate,
    .fetch = vfs_pass_fetch,
    .readdir = links_readdir,
    .seekdir = vfs_pass_seekdir,
};

vfs_t *vfs__links_lower(const vfs_t *fs)
{
    return fs->ops.destroy == links_destroy ? lower_of(fs) : NULL;
}

apr_status_t vfs_links_create(vfs_t **out, vfs_t *lower, int owns_lower, apr_pool_t *pool)
{
    VFS_CHECK_ARG(out != NULL && lower != NULL && pool != NULL);
    *out = NULL;
    vfs_caps_t caps = *vfs_caps(lower);
    VFS_CHECK_ARG((caps.bits & VFS_CAP_PLAIN_LINKS) != 0);
    links_t *links = malloc(sizeof(*links));
    if (links == NULL) return APR_ENOMEM;
    *links = (links_t){lower, owns_lower};
    caps.bits = (caps.bits & ~VFS_CAP_PLAIN_LINKS) | VFS_CAP_SYMLINK;
    apr_status_t status =
        vfs_create(out, &links_ops, owns_lower ? NULL : lower, links, &caps, pool);
    if (status != APR_SUCCESS) {
        free(links);
        return status;
    }
    if (owns_lower) (*out)->ops.name = vfs_name(lower);
    return APR_SUCCESS;
}
