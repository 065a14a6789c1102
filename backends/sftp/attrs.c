/*
 * attrs.c - attributes by path: asked for, and set. Floor 2.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/sftp/sftp.h"

#define NS_PER_S 1000000000

/* ---- asking */

typedef struct look_t {
    const char *path;
    uint8_t how; /* FXP_STAT or FXP_LSTAT */
    vfs_attr_t *attr;
    vfs_validator_t *version;
} look_t;

/* Is that the name's own? Then no link lies on the way. */
static int is_own(const sftp_call_t *c, const char *path, const uint8_t *real, size_t len)
{
    size_t base = strlen(c->session->base), path_len = strlen(path);
    if (path_len == 1) return 1;
    return len == base + path_len && memcmp(real, c->session->base, base) == 0 &&
           memcmp(real + base, path, path_len) == 0;
}

/* REALPATH beside it says whether a link lies on the way, and, where there is nothing, that there
 * is a directory where it could be. */
apr_status_t sftp__look(sftp_call_t *c, size_t at, const char *path, int follow, vfs_attr_t *attr)
{
    const uint8_t *real = NULL;
    size_t len = 0;
    apr_status_t status = sftp__reply_attr(c, at, attr);
    apr_status_t way = sftp__reply_name(c, at + 1, &real, &len);
    int absent = APR_STATUS_IS_ENOENT(status) && way == APR_SUCCESS;
    if (status != APR_SUCCESS && !absent) return sftp__why_path(c, path, status, follow);
    if (way == APR_SUCCESS ? is_own(c, path, real, len) : path[1] == '\0')
        attr->flags |= VFS_ATTR_DIRECT;
    return status;
}

static apr_status_t look(sftp_call_t *c, void *baton)
{
    const look_t *l = baton;
    sftp__ask_path(c, l->how, l->path);
    sftp__ask_path(c, FXP_REALPATH, l->path);
    apr_status_t status = sftp__wait(c);
    if (status == APR_SUCCESS) status = sftp__look(c, 0, l->path, l->how == FXP_STAT, l->attr);
    if (status == APR_SUCCESS) sftp__version(c->f, l->version, l->attr);
    return status;
}

apr_status_t sftp__stat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, vfs_attr_t *attr,
                        vfs_validator_t *validator)
{
    look_t l = {path->str, FXP_STAT, attr, validator};
    return sftp__run(fs->state, ctx, SFTP_AGAIN, look, &l);
}

apr_status_t sftp__lstat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, vfs_attr_t *attr,
                         vfs_validator_t *validator)
{
    look_t l = {path->str, FXP_LSTAT, attr, validator};
    return sftp__run(fs->state, ctx, SFTP_AGAIN, look, &l);
}

/* ---- may we? */

typedef struct may_t {
    const char *path;
    uint32_t mask;
} may_t;

/* Only the server knows who we are there: so what can be tried is tried. */
static apr_status_t may(sftp_call_t *c, void *baton)
{
    const may_t *m = baton;
    vfs_attr_t attr;
    uint8_t handle[SFTP_HANDLE_MAX];
    size_t len = 0;
    sftp__ask_path(c, FXP_STAT, m->path);
    sftp__ask_path(c, FXP_REALPATH, m->path);
    apr_status_t status = sftp__wait(c);
    if (status == APR_SUCCESS) status = sftp__look(c, 0, m->path, 1, &attr);
    if (status != APR_SUCCESS) return status;
    int dir = attr.type == VFS_TYPE_DIR;
    if ((m->mask & VFS_ACCESS_EXEC) && !(attr.mode & 0111)) return APR_EACCES;
    if ((m->mask & VFS_ACCESS_WRITE) && dir && !(attr.mode & 0222)) return APR_EACCES;
    uint32_t tried = m->mask & (VFS_ACCESS_READ | VFS_ACCESS_WRITE);
    if (dir) tried &= VFS_ACCESS_READ;
    if (tried == 0 || (!dir && attr.type != VFS_TYPE_FILE)) return APR_SUCCESS;
    if (dir)
        sftp__ask_path(c, FXP_OPENDIR, m->path);
    else
        sftp__ask_open(c, m->path,
                       (tried & VFS_ACCESS_READ ? FXF_READ : 0) |
                           (tried & VFS_ACCESS_WRITE ? FXF_WRITE : 0),
                       NULL);
    status = sftp__wait(c);
    if (status == APR_SUCCESS) status = sftp__reply_handle(c, 0, handle, &len);
    if (status != APR_SUCCESS) return status;
    sftp__drop_handle(c, handle, len);
    (void)sftp__wait(c); /* the answer is there */
    return APR_SUCCESS;
}

apr_status_t sftp__access(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t mask)
{
    may_t m = {path->str, mask};
    return sftp__run(fs->state, ctx, SFTP_AGAIN, may, &m);
}

/* ---- setting */

/* What is set: by path, or by the call's handle if `path` is NULL. */
typedef struct set_t {
    const char *path;
    int nofollow;
    sftp_attrs_t attrs;
    uint32_t keep; /* 1: uid, 2: gid, 4: atime, 8: mtime */
} set_t;

static apr_status_t ask_now(sftp_call_t *c, const set_t *s, vfs_attr_t *attr)
{
    if (s->path != NULL)
        sftp__ask_path(c, s->nofollow ? FXP_LSTAT : FXP_STAT, s->path);
    else
        sftp__ask_handle(c, FXP_FSTAT, c->handle, c->handle_len);
    apr_status_t status = sftp__wait(c);
    if (status == APR_SUCCESS) status = sftp__reply_attr(c, 0, attr);
    if (status != APR_SUCCESS && status != SFTP_LOST && s->path != NULL)
        return sftp__why_path(c, s->path, status, !s->nofollow);
    c->sent = 0; /* it has only been asked for */
    return status;
}

static void fill_in(set_t *s, const vfs_attr_t *now)
{
    if (s->keep & 1) s->attrs.uid = now->uid;
    if (s->keep & 2) s->attrs.gid = now->gid;
    if (s->keep & 4) s->attrs.atime = (uint32_t)(now->atime_ns / NS_PER_S);
    if (s->keep & 8) s->attrs.mtime = (uint32_t)(now->mtime_ns / NS_PER_S);
}

static void ask_set(sftp_call_t *c, const set_t *s, int link)
{
    if (link) {
        sftp__begin(c, FXP_EXTENDED);
        sftp__buf_text(&c->out, "lsetstat@openssh.com", 20);
        sftp__put_path(c, s->path);
    } else if (s->path != NULL) {
        sftp__begin(c, FXP_SETSTAT);
        sftp__put_path(c, s->path);
    } else {
        sftp__begin(c, FXP_FSETSTAT);
        sftp__buf_text(&c->out, c->handle, c->handle_len);
    }
    sftp__buf_attrs(&c->out, &s->attrs);
    sftp__end(c);
}

/* What it can leave, if nobody answers. */
static void begin_change(sftp_call_t *c, const set_t *s)
{
    sftp_change_t change = {.path = s->path, .least = UINT64_MAX};
    if (s->attrs.flags & FXA_SIZE) change.least = change.most = s->attrs.size;
    if (s->attrs.flags & FXA_TIMES) change.sets |= SFTP_SETS_TIMES;
    if (s->attrs.flags & FXA_OWNER) change.sets |= SFTP_SETS_OWNER;
    sftp__change_begin(c, &change);
}

static apr_status_t set(sftp_call_t *c, void *baton)
{
    set_t s = *(const set_t *)baton;
    vfs_attr_t now = {0};
    int link = 0;
    apr_status_t status = APR_SUCCESS;
    if (s.keep != 0 || s.nofollow) {
        status = ask_now(c, &s, &now);
        if (status != APR_SUCCESS) return status;
        fill_in(&s, &now);
        link = s.nofollow && now.type == VFS_TYPE_LINK;
    }
    if (link && (!(c->session->extensions & SFTP_EXT_LSETSTAT) || (s.attrs.flags & FXA_MODE)))
        return APR_ENOTIMPL;
    if (!link) begin_change(c, &s);
    ask_set(c, &s, link);
    if (!link && s.path != NULL) sftp__ask_path(c, FXP_STAT, s.path);
    if (s.path == NULL) sftp__ask_handle(c, FXP_FSTAT, c->handle, c->handle_len);
    status = sftp__wait(c);
    if (status == APR_SUCCESS && !link && sftp__reply_attr(c, 1, &now) == APR_SUCCESS) {
        if (s.path == NULL)
            sftp__changed(c->file, &now, c->reqs[1]->order);
        else if (sftp__reply(c, 0, FXP_STATUS, NULL) == APR_SUCCESS)
            sftp__saw_path(c->f, s.path, &now, c->reqs[1]->order);
    }
    if (status == APR_SUCCESS) status = sftp__reply(c, 0, FXP_STATUS, NULL);
    if (status == APR_SUCCESS || status == SFTP_LOST || s.path == NULL) return status;
    status = sftp__why_path(c, s.path, status, !s.nofollow);
    return status;
}

static apr_status_t set_path(vfs_t *fs, const vfs_ctx_t *ctx, set_t *s)
{
    sftp_t *f = fs->state;
    apr_status_t status = sftp__run(f, ctx, SFTP_AGAIN, set, s);
    if (status != APR_SUCCESS) return status;
    sftp__mark(f, s->path, 0);
    return status;
}

static apr_status_t set_file(vfs_file_t *base, const vfs_ctx_t *ctx, set_t *s)
{
    sftp_file_t *file = (sftp_file_t *)base;
    if (file->is_dir && file->handle_len == 0) { /* a server that does not open directories so */
        char path[VFS_PATH_MAX + 1];
        if (!sftp__file_path(file, path)) return VFS_ESTALE;
        s->path = path;
        return set_path(base->fs, ctx, s);
    }
    apr_status_t status = sftp__run_file(file, ctx, SFTP_AGAIN, set, s);
    atomic_fetch_add(&file->writes, 1); /* who failed may have done it */
    return status;
}

apr_status_t sftp__chmod(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t mode,
                         uint32_t flags)
{
    set_t s = {.path = path->str,
               .nofollow = (flags & VFS_NOFOLLOW) != 0,
               .attrs = {.flags = FXA_MODE, .mode = mode}};
    return set_path(fs, ctx, &s);
}

apr_status_t sftp__fchmod(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t mode)
{
    set_t s = {.attrs = {.flags = FXA_MODE, .mode = mode}};
    return set_file(file, ctx, &s);
}

static set_t owner(uint32_t uid, uint32_t gid)
{
    set_t s = {.attrs = {.flags = FXA_OWNER, .uid = uid, .gid = gid}};
    if (uid == (uint32_t)-1) s.keep |= 1;
    if (gid == (uint32_t)-1) s.keep |= 2;
    return s;
}

apr_status_t sftp__chown(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t uid,
                         uint32_t gid, uint32_t flags)
{
    set_t s = owner(uid, gid);
    s.path = path->str;
    s.nofollow = (flags & VFS_NOFOLLOW) != 0;
    return set_path(fs, ctx, &s);
}

apr_status_t sftp__fchown(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t uid, uint32_t gid)
{
    set_t s = owner(uid, gid);
    return set_file(file, ctx, &s);
}

/* Seconds since 1970, of 32 bits: the protocol has no more. 0: it does not fit. */
static int seconds(int64_t ns, uint32_t *out)
{
    if (ns == VFS_TIME_NOW) ns = vfs_now_ns();
    if (ns < 0 || ns / NS_PER_S > UINT32_MAX) return 0;
    *out = (uint32_t)(ns / NS_PER_S);
    return 1;
}

static apr_status_t times(set_t *s, int64_t atime_ns, int64_t mtime_ns)
{
    s->attrs.flags = FXA_TIMES;
    if (atime_ns == VFS_TIME_OMIT)
        s->keep |= 4;
    else if (!seconds(atime_ns, &s->attrs.atime))
        return APR_EINVAL;
    if (mtime_ns == VFS_TIME_OMIT)
        s->keep |= 8;
    else if (!seconds(mtime_ns, &s->attrs.mtime))
        return APR_EINVAL;
    return APR_SUCCESS;
}

apr_status_t sftp__utimens(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                           int64_t atime_ns, int64_t mtime_ns, uint32_t flags)
{
    set_t s = {.path = path->str, .nofollow = (flags & VFS_NOFOLLOW) != 0};
    apr_status_t status = times(&s, atime_ns, mtime_ns);
    return status == APR_SUCCESS ? set_path(fs, ctx, &s) : status;
}

apr_status_t sftp__futimens(vfs_file_t *file, const vfs_ctx_t *ctx, int64_t atime_ns,
                            int64_t mtime_ns)
{
    set_t s = {0};
    apr_status_t status = times(&s, atime_ns, mtime_ns);
    return status == APR_SUCCESS ? set_file(file, ctx, &s) : status;
}

apr_status_t sftp__truncate(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, apr_off_t size)
{
    set_t s = {.path = path->str, .attrs = {.flags = FXA_SIZE, .size = (uint64_t)size}};
    return set_path(fs, ctx, &s);
}

apr_status_t sftp__ftruncate(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t size)
{
    set_t s = {.attrs = {.flags = FXA_SIZE, .size = (uint64_t)size}};
    return set_file(file, ctx, &s);
}

/* ---- space */

typedef struct space_t {
    const char *path;
    vfs_statfs_t *out;
} space_t;

static apr_status_t space(sftp_call_t *c, void *baton)
{
    const space_t *s = baton;
    uint64_t n[11];
    sftp_in_t in;
    if (!(c->session->extensions & SFTP_EXT_STATVFS)) return APR_ENOTIMPL;
    sftp__begin(c, FXP_EXTENDED);
    sftp__buf_text(&c->out, "statvfs@openssh.com", 19);
    sftp__put_path(c, s->path);
    sftp__end(c);
    apr_status_t status = sftp__wait(c);
    if (status == APR_SUCCESS) status = sftp__reply(c, 0, FXP_EXTENDED_REPLY, &in);
    if (status == SFTP_LOST) return status;
    if (status != APR_SUCCESS) return sftp__why_path(c, s->path, status, 1);
    for (size_t i = 0; i < 11; i++)
        n[i] = sftp__in_64(&in);
    if (in.bad) return VFS_EFORMAT;
    /* bsize, frsize, blocks, bfree, bavail, files, ffree, favail, fsid, flag, namemax */
    s->out->block_size = (uint32_t)n[0];
    s->out->bytes_total = n[1] * n[2];
    s->out->bytes_free = n[1] * n[3];
    s->out->bytes_available = n[1] * n[4];
    s->out->files_total = n[5];
    s->out->files_free = n[6];
    s->out->name_max = n[10] < VFS_NAME_MAX ? (uint32_t)n[10] : VFS_NAME_MAX;
    return APR_SUCCESS;
}

apr_status_t sftp__statfs(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                          vfs_statfs_t *out)
{
    space_t s = {path->str, out};
    return sftp__run(fs->state, ctx, SFTP_AGAIN, space, &s);
}
