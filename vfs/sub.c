/*
 * sub.c - a layer that makes a subtree the root: every path gets a prefix, nothing else changes.
 * Floor 1. Handles are the lower's own, so their operations do not come by here.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "vfs/internal.h"

/* A watch, to take the prefix off the paths of its events. */
typedef struct sub_watch_t {
    struct sub_watch_t *next;
    const struct sub_t *sub;
    vfs_event_fn fn;
    void *baton;
    uint64_t number;
} sub_watch_t;

typedef struct sub_t {
    const char *prefix; /* "" for the root of the lower */
    uint32_t prefix_len;
    uint32_t prefix_hash;
    pthread_mutex_t mutex; /* guards watches; a leaf */
    sub_watch_t *watches;
} sub_t;

/* What the lower calls `path`; buf holds VFS_PATH_MAX + 1 bytes. */
static apr_status_t map(vfs_path_t *out, const vfs_t *fs, const vfs_path_t *path, char *buf)
{
    const sub_t *sub = fs->state;
    uint32_t len = vfs__is_root(path) && sub->prefix_len > 0 ? 0 : path->len;
    if (sub->prefix_len + len > VFS_PATH_MAX) return APR_ENAMETOOLONG;
    memcpy(buf, sub->prefix, sub->prefix_len);
    memcpy(buf + sub->prefix_len, path->str, len);
    out->str = buf;
    out->len = sub->prefix_len + len;
    buf[out->len] = '\0';
    out->hash = vfs__hash_more(sub->prefix_hash, path->str, len);
    out->flags = path->flags;
    return APR_SUCCESS;
}

#define MAP(path)                                                                                  \
    char buf_of_##path[VFS_PATH_MAX + 1];                                                          \
    vfs_path_t lower_##path;                                                                       \
    do {                                                                                           \
        apr_status_t mapped = map(&lower_##path, fs, path, buf_of_##path);                         \
        if (mapped != APR_SUCCESS) return mapped;                                                  \
        path = &lower_##path;                                                                      \
    } while (0)

/* One function for each op with one path, made from the list; ops without or with two are below. */
#define SUB_PATH(name, params, args)                                                               \
    static apr_status_t sub_##name(vfs_t *fs, VFS_UNPACK params)                                   \
    {                                                                                              \
        MAP(path);                                                                                 \
        return vfs_call_##name(fs->lower, VFS_UNPACK args);                                        \
    }
#define SUB_TWO(name, params, args)                                                                \
    static apr_status_t sub_##name(vfs_t *fs, VFS_UNPACK params)                                   \
    {                                                                                              \
        MAP(from);                                                                                 \
        MAP(to);                                                                                   \
        return vfs_call_##name(fs->lower, VFS_UNPACK args);                                        \
    }
#define SUB_OWN(name, params, args)
#define SUB_get SUB_PATH
#define SUB_stat SUB_PATH
#define SUB_lstat SUB_PATH
#define SUB_access SUB_PATH
#define SUB_mknod SUB_PATH
#define SUB_mkdir SUB_PATH
#define SUB_rmdir SUB_PATH
#define SUB_unlink SUB_PATH
#define SUB_rename SUB_TWO
#define SUB_link SUB_TWO
#define SUB_symlink SUB_PATH
#define SUB_readlink SUB_PATH
#define SUB_truncate SUB_PATH
#define SUB_chmod SUB_PATH
#define SUB_chown SUB_PATH
#define SUB_utimens SUB_PATH
#define SUB_statfs SUB_PATH
#define SUB_getxattr SUB_PATH
#define SUB_setxattr SUB_PATH
#define SUB_listxattr SUB_PATH
#define SUB_removexattr SUB_PATH
#define SUB_sync_dir SUB_PATH
#define SUB_sync_fs SUB_OWN
#define SUB_commit SUB_OWN
#define SUB_watch SUB_OWN
#define SUB_unwatch SUB_OWN
#define VFS_OP_FS(name, class, params, args, doc) SUB_##name(name, params, args)
#include "vfs/vfs_ops.def"

static apr_status_t sub_commit(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               const vfs_source_t *source, const vfs_commit_t *how,
                               vfs_attr_t *attr, vfs_validator_t *validator)
{
    vfs_commit_t below = *how;
    MAP(path);
    below.same_as = NULL; /* a path of ours: the source has the bytes as well */
    return vfs_call_commit(fs->lower, ctx, path, source, &below, attr, validator);
}

static apr_status_t sub_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                             const vfs_path_t *path, uint32_t flags, uint32_t mode,
                             vfs_attr_t *attr, vfs_validator_t *validator)
{
    MAP(path);
    return vfs_call_open(file, fs->lower, ctx, path, flags, mode, attr, validator);
}

static apr_status_t sub_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                                const vfs_path_t *path, uint32_t flags)
{
    MAP(path);
    return vfs_call_opendir(dir, fs->lower, ctx, path, flags);
}

/* ---- watches */

static void sub_event(void *baton, uint32_t events, const char *path)
{
    const sub_watch_t *watch = baton;
    const sub_t *sub = watch->sub;
    const char *own = "/"; /* what is said of a directory above us is said of all that we have */
    if (strncmp(path, sub->prefix, sub->prefix_len) == 0 && path[sub->prefix_len] == '/')
        own = path + sub->prefix_len;
    watch->fn(watch->baton, events, own);
}

static apr_status_t sub_watch(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              vfs_event_fn fn, void *baton, uint64_t *number)
{
    sub_t *sub = fs->state;
    MAP(path);
    sub_watch_t *watch = malloc(sizeof(*watch));
    if (watch == NULL) return APR_ENOMEM;
    *watch = (sub_watch_t){.sub = sub, .fn = fn, .baton = baton};
    apr_status_t status = vfs_call_watch(fs->lower, ctx, path, sub_event, watch, &watch->number);
    if (status != APR_SUCCESS) {
        free(watch);
        return status;
    }
    *number = watch->number;
    pthread_mutex_lock(&sub->mutex);
    watch->next = sub->watches;
    sub->watches = watch;
    pthread_mutex_unlock(&sub->mutex);
    return APR_SUCCESS;
}

static apr_status_t sub_unwatch(vfs_t *fs, uint64_t number)
{
    sub_t *sub = fs->state;
    pthread_mutex_lock(&sub->mutex);
    sub_watch_t **link = &sub->watches;
    while (*link != NULL && (*link)->number != number)
        link = &(*link)->next;
    sub_watch_t *watch = *link;
    if (watch != NULL) *link = watch->next;
    pthread_mutex_unlock(&sub->mutex);
    if (watch == NULL) return APR_EINVAL; /* not one of ours, whatever the lower may know */
    apr_status_t status = vfs_call_unwatch(fs->lower, number);
    free(watch); /* the lower calls it no more */
    return status;
}

/* ---- life */

static apr_status_t sub_destroy(vfs_t *fs)
{
    sub_t *sub = fs->state;
    apr_status_t first = APR_SUCCESS;
    while (sub->watches != NULL) {
        apr_status_t status = sub_unwatch(fs, sub->watches->number);
        if (first == APR_SUCCESS) first = status;
    }
    (void)pthread_mutex_destroy(&sub->mutex); /* nobody is in a call */
    free(sub);
    return first;
}

static const vfs_ops_t sub_ops = {
    .abi = VFS_ABI,
    .size = sizeof(vfs_ops_t),
    .name = "sub",
    .destroy = sub_destroy,
    .open = sub_open,
    .opendir = sub_opendir,
    .get = sub_get,
    .stat = sub_stat,
    .lstat = sub_lstat,
    .access = sub_access,
    .mknod = sub_mknod,
    .mkdir = sub_mkdir,
    .rmdir = sub_rmdir,
    .unlink = sub_unlink,
    .rename = sub_rename,
    .link = sub_link,
    .symlink = sub_symlink,
    .readlink = sub_readlink,
    .truncate = sub_truncate,
    .chmod = sub_chmod,
    .chown = sub_chown,
    .utimens = sub_utimens,
    .statfs = sub_statfs,
    .getxattr = sub_getxattr,
    .setxattr = sub_setxattr,
    .listxattr = sub_listxattr,
    .removexattr = sub_removexattr,
    .sync_dir = sub_sync_dir,
    .sync_fs = vfs_pass_sync_fs,
    .commit = sub_commit,
    .watch = sub_watch,
    .unwatch = sub_unwatch,
};

apr_status_t vfs_sub_create(vfs_t **out, vfs_t *lower, const char *path, apr_pool_t *pool)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t root;
    vfs_attr_t attr;
    VFS_CHECK_ARG(out != NULL && lower != NULL && pool != NULL);
    *out = NULL;
    apr_status_t status = vfs_path_init(&root, path, buf);
    if (status != APR_SUCCESS) return status;
    status = vfs_call_stat(lower, NULL, &root, &attr, NULL);
    if (status != APR_SUCCESS) return status;
    if (attr.type != VFS_TYPE_DIR) return APR_ENOTDIR;

    uint32_t len = vfs__is_root(&root) ? 0 : root.len;
    sub_t *sub = calloc(1, sizeof(*sub) + len + 1);
    if (sub == NULL) return APR_ENOMEM;
    char *prefix = (char *)(sub + 1);
    memcpy(prefix, root.str, len);
    sub->prefix = prefix;
    sub->prefix_len = len;
    sub->prefix_hash = vfs_path_hash(prefix, len);
    pthread_mutex_init(&sub->mutex, NULL);
    vfs_caps_t caps = *vfs_caps(lower);
    caps.bits &= ~VFS_CAP_CONFINED; /* a link may lead out of the subtree */
    status = vfs_create(out, &sub_ops, lower, sub, &caps, pool);
    if (status != APR_SUCCESS) {
        (void)pthread_mutex_destroy(&sub->mutex); /* never used */
        free(sub);
    }
    return status;
}
