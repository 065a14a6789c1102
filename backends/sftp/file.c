/*
 * file.c - open files: opened, closed, and known by their names while those change. Floor 2.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "backends/sftp/sftp.h"

/* ---- the open files of an instance */

static void enlist(sftp_t *f, sftp_file_t *file)
{
    pthread_mutex_lock(&f->mutex);
    file->next = f->files;
    if (f->files != NULL) f->files->prev = file;
    f->files = file;
    pthread_mutex_unlock(&f->mutex);
}

static void delist(sftp_t *f, sftp_file_t *file)
{
    pthread_mutex_lock(&f->mutex);
    if (file->prev != NULL)
        file->prev->next = file->next;
    else
        f->files = file->next;
    if (file->next != NULL) file->next->prev = file->prev;
    pthread_mutex_unlock(&f->mutex);
}

/* Is `path` the name, or below it? Then what is behind the name. */
static const char *below(const char *path, const char *name)
{
    size_t len = strlen(name);
    if (path == NULL || strncmp(path, name, len) != 0) return NULL;
    return path[len] == '\0' || path[len] == '/' ? path + len : NULL;
}

void sftp__files_gone(sftp_t *f, const char *path)
{
    pthread_mutex_lock(&f->mutex);
    for (sftp_file_t *file = f->files; file != NULL; file = file->next) {
        if (below(file->path, path) == NULL) continue;
        free(file->path);
        file->path = NULL;
    }
    pthread_mutex_unlock(&f->mutex);
}

void sftp__files_moved(sftp_t *f, const char *from, const char *to)
{
    sftp__files_gone(f, to); /* what had that name is another file */
    pthread_mutex_lock(&f->mutex);
    for (sftp_file_t *file = f->files; file != NULL; file = file->next) {
        const char *rest = below(file->path, from);
        if (rest == NULL) continue;
        size_t len = strlen(to), rest_len = strlen(rest);
        char *path = malloc(len + rest_len + 1);
        if (path != NULL) memcpy(path, to, len + 1);
        if (path != NULL) memcpy(path + len, rest, rest_len + 1);
        free(file->path);
        file->path = path;
    }
    pthread_mutex_unlock(&f->mutex);
}

int sftp__file_path(const sftp_file_t *file, char path[VFS_PATH_MAX + 1])
{
    sftp_t *f = file->base.fs->state;
    path[0] = '\0';
    pthread_mutex_lock(&f->mutex);
    if (file->path != NULL) (void)apr_cpystrn(path, file->path, VFS_PATH_MAX + 1);
    pthread_mutex_unlock(&f->mutex);
    return path[0] != '\0';
}

/* ---- open */

typedef struct open_t {
    const char *path;
    uint32_t flags, mode;
    vfs_attr_t *attr;
    vfs_validator_t *version;
    sftp_file_t *file;
} open_t;

static uint32_t fx_flags(uint32_t flags)
{
    uint32_t fx = 0;
    if ((flags & VFS_O_READ) || !(flags & VFS_O_WRITE)) fx |= FXF_READ;
    if (flags & VFS_O_WRITE) fx |= FXF_WRITE;
    if (flags & VFS_O_APPEND) fx |= FXF_APPEND;
    if (flags & VFS_O_CREATE) fx |= FXF_CREAT;
    if (flags & VFS_O_EXCL) fx |= FXF_EXCL;
    if ((flags & VFS_O_TRUNC) && (flags & VFS_O_WRITE)) fx |= FXF_TRUNC;
    return fx;
}

static apr_status_t is_link(const open_t *o)
{
    return APR_FROM_OS_ERROR(o->flags & VFS_O_DIRECTORY ? ENOTDIR : ELOOP);
}

/* The protocol has no way to say "no link". Of an open that changes nothing, and of one that makes
 * the file alone, the name is looked at in the same round; before one that cuts it that is first.
 */
static apr_status_t look_first(sftp_call_t *c, const open_t *o, uint32_t fx)
{
    vfs_attr_t attr;
    if (!(o->flags & VFS_O_NOFOLLOW) || !(fx & FXF_TRUNC) || (fx & FXF_CREAT)) return APR_SUCCESS;
    sftp__ask_path(c, FXP_LSTAT, o->path);
    apr_status_t status = sftp__wait(c);
    if (status != APR_SUCCESS) return status;
    c->sent = 0; /* it has only been asked for */
    status = sftp__reply_attr(c, 0, &attr);
    return status == APR_SUCCESS && attr.type == VFS_TYPE_LINK ? is_link(o) : APR_SUCCESS;
}

static apr_status_t why_not_open(sftp_call_t *c, const open_t *o, apr_status_t status)
{
    vfs_attr_t attr;
    if (o->flags & VFS_O_EXCL) return sftp__why_new(c, o->path, status);
    if (status == APR_FROM_OS_ERROR(EIO) || APR_STATUS_IS_EACCES(status)) {
        sftp__ask_path(c, FXP_STAT, o->path);
        if (sftp__wait(c) == APR_SUCCESS && sftp__reply_attr(c, 0, &attr) == APR_SUCCESS &&
            attr.type == VFS_TYPE_DIR && (o->flags & (VFS_O_WRITE | VFS_O_CREATE)))
            return APR_FROM_OS_ERROR(EISDIR);
        return status;
    }
    apr_status_t why = sftp__why_path(c, o->path, status, !(o->flags & VFS_O_CREATE));
    if (APR_STATUS_IS_ENOENT(why) && (o->flags & VFS_O_CREATE))
        return sftp__why_path(c, o->path, status, 1); /* a link that leads nowhere, or in circles */
    return why;
}

/* What was opened is closed; the answer stays the same. */
static apr_status_t give_up(sftp_call_t *c, const uint8_t *handle, size_t len, apr_status_t status)
{
    if (len == 0) return status;
    sftp__drop_handle(c, handle, len);
    (void)sftp__wait(c);
    return status;
}

/* What was opened is a directory, or should have been one. */
static apr_status_t check_kind(sftp_call_t *c, const open_t *o, const uint8_t *handle, size_t len)
{
    sftp_file_t *file = o->file;
    apr_status_t status = APR_SUCCESS;
    file->is_dir = o->attr->type == VFS_TYPE_DIR;
    if ((o->flags & VFS_O_DIRECTORY) && !file->is_dir) status = APR_FROM_OS_ERROR(ENOTDIR);
    if (file->is_dir && (o->flags & (VFS_O_WRITE | VFS_O_CREATE)))
        status = APR_FROM_OS_ERROR(EISDIR);
    if (len == 0) return status;
    if (status == APR_SUCCESS) {
        memcpy(file->handle, handle, len);
        file->handle_len = len;
        file->session = c->session;
        sftp__session_ref(c->session);
        return status;
    }
    return give_up(c, handle, len, status);
}

typedef struct opened_t {
    uint8_t handle[SFTP_HANDLE_MAX];
    size_t len;
    apr_status_t status; /* of opening it */
    apr_status_t found;  /* of looking at it */
    vfs_attr_t attr;
} opened_t;

static apr_status_t open_round(sftp_call_t *c, const open_t *o, uint32_t fx, opened_t *got)
{
    memset(got, 0, sizeof(*got));
    sftp__ask_open(c, o->path, fx, fx & FXF_CREAT ? &o->mode : NULL);
    sftp__ask_path(c, o->flags & VFS_O_NOFOLLOW ? FXP_LSTAT : FXP_STAT, o->path);
    sftp__ask_path(c, FXP_REALPATH, o->path);
    apr_status_t status = sftp__wait(c);
    if (status != APR_SUCCESS) return status;
    got->status = sftp__reply_handle(c, 0, got->handle, &got->len);
    got->found = sftp__reply_attr(c, 1, &got->attr);
    if (got->found != APR_SUCCESS || got->attr.type != VFS_TYPE_LINK || (o->flags & VFS_O_EXCL))
        return APR_SUCCESS;
    return give_up(c, got->handle, got->len, is_link(o));
}

/* Where links are not followed, what is to be made is at first made alone: a link is in the way of
 * that, as all else is. */
static apr_status_t open_name(sftp_call_t *c, const open_t *o, opened_t *got)
{
    const uint32_t fx = fx_flags(o->flags), nofollow = o->flags & VFS_O_NOFOLLOW;
    apr_status_t status = look_first(c, o, fx);
    if (status != APR_SUCCESS) return status;
    if (!nofollow || !(fx & FXF_CREAT) || (fx & FXF_EXCL)) return open_round(c, o, fx, got);
    status = open_round(c, o, (fx & ~FXF_TRUNC) | FXF_EXCL, got);
    if (status != APR_SUCCESS) return status;
    if (got->status == APR_SUCCESS && (got->attr.size == 0 || !(fx & FXF_TRUNC))) return status;
    (void)give_up(c, got->handle, got->len, status); /* there are servers that make nothing alone */
    return open_round(c, o, fx, got);
}

static apr_status_t open_it(sftp_call_t *c, void *baton)
{
    const open_t *o = baton;
    opened_t got;
    apr_status_t status = open_name(c, o, &got);
    if (status != APR_SUCCESS) return status;
    const uint64_t order = c->reqs[1]->order;
    status = got.status;
    if (status != APR_SUCCESS && got.found == APR_SUCCESS && got.attr.type == VFS_TYPE_DIR &&
        !(o->flags & (VFS_O_WRITE | VFS_O_CREATE)) && !APR_STATUS_IS_EACCES(status) &&
        status != VFS_EFORMAT)
        status = APR_SUCCESS; /* a server that does not open directories so */
    if (status != APR_SUCCESS) return why_not_open(c, o, status);
    apr_status_t found = sftp__look(c, 1, o->path, 1, o->attr);
    if (found != APR_SUCCESS && got.len > 0) { /* it was there, and has gone again */
        sftp__ask_handle(c, FXP_FSTAT, got.handle, got.len);
        found = sftp__wait(c);
        if (found == APR_SUCCESS) found = sftp__reply_attr(c, 0, o->attr);
    }
    if (found != APR_SUCCESS) return give_up(c, got.handle, got.len, found);
    sftp__version(c->f, o->version, o->attr);
    o->file->seen = *o->attr;
    o->file->order = order;
    return check_kind(c, o, got.handle, got.len);
}

static void file_free(sftp_file_t *file)
{
    if (file->session != NULL) sftp__session_unref(file->session);
    (void)pthread_mutex_destroy(&file->mutex);
    free(file->path);
    free(file);
}

apr_status_t sftp__open(vfs_file_t **out, vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                        uint32_t flags, uint32_t mode, vfs_attr_t *attr, vfs_validator_t *validator)
{
    sftp_t *f = fs->state;
    sftp_file_t *file = calloc(1, sizeof(*file));
    if (file == NULL) return APR_ENOMEM;
    open_t o = {path->str, flags, vfs_ctx_mode(ctx, mode), attr, validator, file};
    pthread_mutex_init(&file->mutex, NULL);
    file->path = strdup(path->str);
    apr_status_t status = APR_ENOMEM;
    if (file->path != NULL) /* to cut a file twice does no harm, nor to make it; but alone, once */
        status = sftp__run(f, ctx, flags & VFS_O_EXCL ? 0 : SFTP_AGAIN, open_it, &o);
    if (status != APR_SUCCESS) {
        file_free(file);
        return status;
    }
    vfs_file_init(&file->base, fs, flags, NULL);
    enlist(f, file);
    if (flags & (VFS_O_CREATE | VFS_O_TRUNC)) {
        atomic_fetch_add(&file->writes, 1);
        sftp__saw_path(f, path->str, attr, file->order);
        sftp__mark(f, path->str, 1);
    }
    *out = &file->base;
    return APR_SUCCESS;
}

/* ---- close */

/* Servers can tell of a write that failed late; who read only need not wait. */
static void close_handle(sftp_file_t *file, const vfs_ctx_t *ctx, apr_status_t *status)
{
    sftp_t *f = file->base.fs->state;
    sftp_call_t c;
    int wait = (file->base.flags & VFS_O_WRITE) != 0;
    sftp__call_init(&c, f, file->session, wait ? ctx : NULL);
    c.closes = 1;
    if (wait)
        sftp__ask_handle(&c, FXP_CLOSE, file->handle, file->handle_len);
    else
        sftp__drop_handle(&c, file->handle, file->handle_len);
    *status = sftp__wait(&c);
    if (*status == APR_SUCCESS && wait) *status = sftp__reply(&c, 0, FXP_STATUS, NULL);
    sftp__call_end(&c);
    if (*status == SFTP_LOST) *status = APR_SUCCESS; /* each write had its answer before */
}

apr_status_t sftp__close(vfs_file_t *base, const vfs_ctx_t *ctx)
{
    sftp_file_t *file = (sftp_file_t *)base;
    sftp_t *f = base->fs->state;
    apr_status_t status = APR_SUCCESS;
    if (file->session != NULL && !atomic_load(&file->session->dead))
        close_handle(file, ctx, &status);
    sftp__mark_file(file);
    delist(f, file);
    file_free(file);
    return status;
}

/* ---- attributes */

static apr_status_t ask_attr(sftp_call_t *c, void *baton)
{
    vfs_attr_t *attr = baton;
    sftp__ask_handle(c, FXP_FSTAT, c->handle, c->handle_len);
    apr_status_t status = sftp__wait(c);
    if (status == APR_SUCCESS) status = sftp__reply_attr(c, 0, attr);
    if (status == APR_SUCCESS) sftp__saw(c->file, attr, c->reqs[0]->order);
    return status;
}

apr_status_t sftp__fstat(vfs_file_t *base, const vfs_ctx_t *ctx, vfs_attr_t *attr,
                         vfs_validator_t *validator)
{
    sftp_file_t *file = (sftp_file_t *)base;
    sftp_t *f = base->fs->state;
    apr_status_t status;
    if (file->is_dir && file->handle_len == 0) {
        char path[VFS_PATH_MAX + 1];
        if (!sftp__file_path(file, path)) return VFS_ESTALE;
        const vfs_path_t p = {path, (uint32_t)strlen(path), 0, 0};
        return sftp__stat(base->fs, ctx, &p, attr, validator);
    }
    status = sftp__run_file(file, ctx, SFTP_AGAIN, ask_attr, attr);
    if (status != APR_SUCCESS) return status;
    sftp__version(f, validator, attr);
    pthread_mutex_lock(&f->mutex);
    if (file->path == NULL) attr->nlink = 0; /* its name is gone: the protocol does not say more */
    pthread_mutex_unlock(&f->mutex);
    return APR_SUCCESS;
}
