/*
 * tree.c - making a directory with all above it, and removing a tree.
 * Floor 1. Holds nothing but the path it is at, so the tree may be as deep as a path can be long.
 */
#include <string.h>

#include "vfs/internal.h"

/* How often a directory may get new entries while we empty it. */
#define ROUNDS_MAX 100

/* ---- mkdir_all */

static void cut_to(vfs_path_t *path, char *buf, uint32_t len)
{
    buf[len] = '\0';
    path->str = buf;
    path->len = len;
    path->hash = vfs_path_hash(buf, len);
    path->flags = 0;
}

/* Make one directory; one that is there already is fine. */
static apr_status_t make(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t mode)
{
    vfs_attr_t attr;
    apr_status_t status = vfs_call_mkdir(fs, ctx, path, mode);
    if (!APR_STATUS_IS_EEXIST(status)) return status;
    status = vfs_call_stat(fs, ctx, path, &attr, NULL);
    if (status == APR_SUCCESS && attr.type != VFS_TYPE_DIR) return APR_EEXIST;
    return status;
}

apr_status_t vfs_mkdir_all(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, uint32_t mode)
{
    char raw_buf[VFS_PATH_MAX + 1], buf[VFS_PATH_MAX + 1];
    vfs_path_t full, at;
    apr_status_t status = vfs_path_init(&full, path, raw_buf);
    if (status != APR_SUCCESS) return status;
    memcpy(buf, full.str, full.len + 1u);
    uint32_t len = full.len;
    cut_to(&at, buf, len);
    status = make(fs, ctx, &at, mode);
    while (APR_STATUS_IS_ENOENT(status)) { /* up, to what can be made */
        while (len > 1 && full.str[--len] != '/')
            ;
        if (len <= 1) return status;
        cut_to(&at, buf, len);
        status = make(fs, ctx, &at, mode);
    }
    while (status == APR_SUCCESS && len < full.len) { /* and down again */
        buf[len] = full.str[len];
        do {
            len++;
            buf[len] = full.str[len];
        } while (len < full.len && full.str[len] != '/');
        cut_to(&at, buf, len);
        status = make(fs, ctx, &at, mode);
    }
    return APR_STATUS_IS_EEXIST(status) && len < full.len ? APR_ENOTDIR : status;
}

/* ---- remove_all */

typedef struct remove_t {
    vfs_t *fs;
    const vfs_ctx_t *ctx;
    char buf[VFS_PATH_MAX + 1];
} remove_t;

static apr_status_t gone_is_fine(apr_status_t status)
{
    return APR_STATUS_IS_ENOENT(status) ? APR_SUCCESS : status;
}

static apr_status_t is_dir(remove_t *rm, const vfs_path_t *path, vfs_type_e type, int *dir)
{
    vfs_attr_t attr;
    apr_status_t status = APR_SUCCESS;
    if (type == VFS_TYPE_UNKNOWN) {
        status = vfs_call_lstat(rm->fs, rm->ctx, path, &attr, NULL);
        type = status == APR_SUCCESS ? attr.type : VFS_TYPE_UNKNOWN;
    }
    *dir = type == VFS_TYPE_DIR;
    return status;
}

/* Remove what is no directory from `at`. *into says that `at` is now a directory within, which has
 * to go first. */
static apr_status_t empty(remove_t *rm, vfs_path_t *at, int *into)
{
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    const uint32_t len = at->len;
    *into = 0;
    apr_status_t status = vfs_call_opendir(&dir, rm->fs, rm->ctx, at, 0);
    if (status != APR_SUCCESS) return status;
    while (!*into && (status = vfs_call_readdir(dir, rm->ctx, &entry)) == APR_SUCCESS) {
        status = vfs_path_join(at, at, entry.name, entry.name_len, rm->buf);
        if (status != APR_SUCCESS) break;
        status = is_dir(rm, at, entry.type, into);
        if (status == APR_SUCCESS && !*into) status = vfs_call_unlink(rm->fs, rm->ctx, at);
        status = gone_is_fine(status);
        if (status != APR_SUCCESS) break;
        if (!*into) cut_to(at, rm->buf, len);
    }
    if (!*into) cut_to(at, rm->buf, len);
    apr_status_t closed = vfs_closedir(dir);
    if (status == APR_EOF) status = APR_SUCCESS;
    return status != APR_SUCCESS ? status : closed;
}

/* Remove the directory itself; the root stays. */
static apr_status_t finish(remove_t *rm, const vfs_path_t *at)
{
    if (vfs__is_root(at)) return APR_SUCCESS;
    apr_status_t status = vfs_call_rmdir(rm->fs, rm->ctx, at);
    int virtual = !(vfs_caps(rm->fs)->bits & VFS_CAP_DIRS);
    if (status == APR_ENOTIMPL && virtual) return APR_SUCCESS; /* it ended with its last file */
    return gone_is_fine(status);
}

/* Remove all below and including the directory `start`. */
static apr_status_t remove_dir(remove_t *rm, const vfs_path_t *start)
{
    vfs_path_t at = *start;
    int rounds = 0;
    for (;;) {
        int into;
        apr_status_t status = empty(rm, &at, &into);
        if (APR_STATUS_IS_ENOTDIR(status)) /* another put a file in its place */
            status = vfs_call_unlink(rm->fs, rm->ctx, &at);
        status = gone_is_fine(status);
        if (status != APR_SUCCESS) return status;
        if (into) continue;
        status = finish(rm, &at);
        if (APR_STATUS_IS_ENOTEMPTY(status)) { /* EEXIST is one way to say it */
            if (++rounds > ROUNDS_MAX) return status;
            continue;
        }
        status = gone_is_fine(APR_STATUS_IS_ENOTDIR(status) ? APR_SUCCESS : status);
        if (status != APR_SUCCESS || at.len == start->len) return status;
        uint32_t len = at.len;
        while (rm->buf[--len] != '/')
            ;
        cut_to(&at, rm->buf, len > 0 ? len : 1);
        rounds = 0;
    }
}

apr_status_t vfs_remove_all(vfs_t *fs, const vfs_ctx_t *ctx, const char *path)
{
    remove_t rm = {fs, ctx, {0}};
    vfs_path_t start;
    vfs_attr_t attr;
    vfs__assert_fs(fs);
    apr_status_t status = vfs_path_init(&start, path, rm.buf);
    if (status != APR_SUCCESS) return status;
    int slash = (start.flags & VFS_PATH_DIR) != 0;
    if (start.str != rm.buf) memcpy(rm.buf, start.str, start.len + 1u);
    cut_to(&start, rm.buf, start.len);
    status = vfs_call_lstat(fs, ctx, &start, &attr, NULL);
    if (status != APR_SUCCESS) return gone_is_fine(status);
    if (attr.type == VFS_TYPE_DIR) return remove_dir(&rm, &start);
    if (slash) return APR_ENOTDIR;
    return gone_is_fine(vfs_call_unlink(fs, ctx, &start));
}
