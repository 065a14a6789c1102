/*
 * names.c - names that come, go and move. Floor 2. What was done cannot be asked for afterwards, so
 * none of these is sent a second time: a lost reply is EIO.
 */
#include <errno.h>
#include <string.h>

#include "backends/sftp/sftp.h"

typedef struct change_t {
    const char *path, *to;
    uint32_t mode;
    int dir;
} change_t;

static apr_status_t make_dir(sftp_call_t *c, void *baton)
{
    const change_t *n = baton;
    const sftp_attrs_t attrs = {.flags = FXA_MODE, .mode = n->mode};
    sftp__begin(c, FXP_MKDIR);
    sftp__put_path(c, n->path);
    sftp__buf_attrs(&c->out, &attrs);
    sftp__end(c);
    apr_status_t status = sftp__wait(c);
    if (status != APR_SUCCESS) return status;
    status = sftp__reply(c, 0, FXP_STATUS, NULL);
    return status == APR_SUCCESS ? status : sftp__why_new(c, n->path, status);
}

apr_status_t sftp__mkdir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t mode)
{
    change_t n = {.path = path->str, .mode = vfs_ctx_mode(ctx, mode)};
    if (path->len == 1) return APR_EEXIST;
    apr_status_t status = sftp__run(fs->state, ctx, 0, make_dir, &n);
    if (status == APR_SUCCESS) sftp__mark(fs->state, path->str, 1);
    return status;
}

static apr_status_t make_file(sftp_call_t *c, void *baton)
{
    const change_t *n = baton;
    uint8_t handle[SFTP_HANDLE_MAX];
    size_t len = 0;
    sftp__ask_open(c, n->path, FXF_WRITE | FXF_CREAT | FXF_EXCL, &n->mode);
    apr_status_t status = sftp__wait(c);
    if (status != APR_SUCCESS) return status;
    status = sftp__reply_handle(c, 0, handle, &len);
    if (status != APR_SUCCESS) return sftp__why_new(c, n->path, status);
    sftp__drop_handle(c, handle, len);
    (void)sftp__wait(c); /* the answer is there */
    return APR_SUCCESS;
}

apr_status_t sftp__mknod(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, vfs_type_e type,
                         uint32_t mode, uint64_t rdev)
{
    change_t n = {.path = path->str, .mode = vfs_ctx_mode(ctx, mode)};
    (void)rdev;
    if (type != VFS_TYPE_FILE) return APR_ENOTIMPL;
    if (path->len == 1) return APR_EEXIST;
    apr_status_t status = sftp__run(fs->state, ctx, 0, make_file, &n);
    if (status == APR_SUCCESS) sftp__mark(fs->state, path->str, 1);
    return status;
}

static apr_status_t remove_name(sftp_call_t *c, void *baton)
{
    const change_t *n = baton;
    sftp__ask_path(c, n->dir ? FXP_RMDIR : FXP_REMOVE, n->path);
    apr_status_t status = sftp__wait(c);
    if (status != APR_SUCCESS) return status;
    status = sftp__reply(c, 0, FXP_STATUS, NULL);
    return status == APR_SUCCESS ? status : sftp__why_remove(c, n->path, status, n->dir);
}

static apr_status_t remove_one(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, int dir)
{
    change_t n = {.path = path->str, .dir = dir};
    if (path->len == 1) return APR_FROM_OS_ERROR(dir ? EBUSY : EISDIR);
    apr_status_t status = sftp__run(fs->state, ctx, 0, remove_name, &n);
    if (status != APR_SUCCESS) return status;
    sftp__files_gone(fs->state, path->str);
    sftp__mark(fs->state, path->str, 2);
    return status;
}

apr_status_t sftp__rmdir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    return remove_one(fs, ctx, path, 1);
}

apr_status_t sftp__unlink(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    return remove_one(fs, ctx, path, 0);
}

/* FXP_RENAME replaces nothing; the extension does, atomically. */
static apr_status_t move_name(sftp_call_t *c, void *baton)
{
    const change_t *n = baton;
    int replace = !(n->mode & VFS_RENAME_NOREPLACE);
    int posix = replace && (c->session->extensions & SFTP_EXT_POSIX_RENAME);
    sftp__begin(c, posix ? FXP_EXTENDED : FXP_RENAME);
    if (posix) sftp__buf_text(&c->out, "posix-rename@openssh.com", 24);
    sftp__put_path(c, n->path);
    sftp__put_path(c, n->to);
    sftp__end(c);
    apr_status_t status = sftp__wait(c);
    if (status != APR_SUCCESS) return status;
    status = sftp__reply(c, 0, FXP_STATUS, NULL);
    if (status == APR_SUCCESS) return status;
    int silent = replace && !posix; /* it would replace, but the server cannot */
    status = sftp__why_rename(c, n->path, n->to, !replace || silent, status);
    return status == APR_EEXIST && silent ? APR_ENOTIMPL : status;
}

apr_status_t sftp__rename(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                          const vfs_path_t *to, uint32_t flags)
{
    change_t n = {.path = from->str, .to = to->str, .mode = flags};
    if (flags & VFS_RENAME_EXCHANGE) return APR_ENOTIMPL;
    if (from->len == 1 || to->len == 1) return APR_FROM_OS_ERROR(EBUSY);
    uint64_t begun = sftp__marks_moving(fs->state);
    apr_status_t status = sftp__run(fs->state, ctx, 0, move_name, &n);
    int moved = status == APR_SUCCESS && strcmp(from->str, to->str) != 0;
    if (moved) sftp__files_moved(fs->state, from->str, to->str);
    sftp__marks_moved(fs->state, from->str, to->str, begun, status);
    if (!moved) return status;
    sftp__mark(fs->state, from->str, 2);
    sftp__mark(fs->state, to->str, 1);
    return status;
}

static apr_status_t make_link(sftp_call_t *c, void *baton)
{
    const change_t *n = baton;
    sftp__begin(c, FXP_SYMLINK);
    sftp__buf_text(&c->out, n->to, strlen(n->to)); /* first, as OpenSSH and all others have it */
    sftp__put_path(c, n->path);
    sftp__end(c);
    apr_status_t status = sftp__wait(c);
    if (status != APR_SUCCESS) return status;
    status = sftp__reply(c, 0, FXP_STATUS, NULL);
    return status == APR_SUCCESS ? status : sftp__why_new(c, n->path, status);
}

apr_status_t sftp__symlink(vfs_t *fs, const vfs_ctx_t *ctx, const char *target,
                           const vfs_path_t *path)
{
    const sftp_t *f = fs->state;
    change_t n = {.path = path->str, .to = target};
    if (!f->config.links) return APR_ENOTIMPL;
    if (path->len == 1) return APR_EEXIST;
    apr_status_t status = sftp__run(fs->state, ctx, 0, make_link, &n);
    if (status == APR_SUCCESS) sftp__mark(fs->state, path->str, 2);
    return status;
}

typedef struct text_t {
    const char *path;
    char *buf;
    size_t size, *len;
} text_t;

static apr_status_t read_link(sftp_call_t *c, void *baton)
{
    const text_t *t = baton;
    const uint8_t *text = NULL;
    size_t len = 0;
    sftp__ask_path(c, FXP_READLINK, t->path);
    apr_status_t status = sftp__wait(c);
    if (status != APR_SUCCESS) return status;
    status = sftp__reply_name(c, 0, &text, &len);
    if (status != APR_SUCCESS) return sftp__why_path(c, t->path, status, 0);
    if (len > VFS_PATH_MAX) return VFS_EFORMAT;
    if (len + 1 > t->size) return APR_FROM_OS_ERROR(ERANGE);
    memcpy(t->buf, text, len);
    t->buf[len] = '\0';
    *t->len = len;
    return APR_SUCCESS;
}

apr_status_t sftp__readlink(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, char *buf,
                            size_t size, size_t *len)
{
    const sftp_t *f = fs->state;
    size_t unwanted = 0;
    text_t t = {path->str, buf, size, len != NULL ? len : &unwanted};
    if (!f->config.links) return APR_ENOTIMPL;
    return sftp__run(fs->state, ctx, SFTP_AGAIN, read_link, &t);
}
