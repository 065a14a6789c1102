/*
 * create.c - making files, directories and special files with exactly the mode that was asked for:
 * mode & ~umask of the context, or what the directory's default ACL makes of it. Floor 2. The umask
 * of the process belongs to all its threads, so it cannot be set aside; what it took is given back
 * by a chmod of the new file, before its caller sees it. To know that a file is new, it is made
 * exclusively.
 */
#include "backends/local/local.h"

#define TURNS_MAX 64
#define PERMISSIONS 0777u

/* The mode to ask the system for, and the one to end up with. */
typedef struct birth_t {
    uint32_t mode; /**< for the call */
    int acl;       /**< the directory has access rules of its own: whatever comes out is right */
    int certain;   /**< the descriptor is of what was made, not found by its name again */
    int64_t before_ns; /**< when the call was made */
} birth_t;

static void plan_birth(const port_at_t *at, const vfs_ctx_t *ctx, uint32_t mode, birth_t *birth)
{
    birth->mode = vfs_ctx_mode(ctx, mode);
    birth->acl = birth->mode != mode && port__has_default_acl(at->fd);
    if (birth->acl) birth->mode = mode;
    birth->certain = 0;
    birth->before_ns = vfs_now_ns();
}

/* Is it ours, of just now, and not another one that took its name? */
static int newborn(const vfs_attr_t *attr, const birth_t *birth, uint32_t uid)
{
    if (birth->certain) return 1;
    int64_t born_ns = attr->btime_ns != 0 ? attr->btime_ns : attr->ctime_ns;
    return attr->uid == uid && born_ns >= birth->before_ns - 2 * (int64_t)LOCAL_GRANULARITY_NS;
}

/* Give back to `fd`, just made, what the umask of the process has taken. attr is read anew then. */
static apr_status_t give_mode(int fd, const port_at_t *at, const birth_t *birth, uint32_t uid,
                              vfs_attr_t *attr)
{
    apr_status_t status = port__stat(fd, attr);
    if (status != APR_SUCCESS || birth->acl) return status;
    uint32_t want = birth->mode & PERMISSIONS;
    if ((attr->mode & PERMISSIONS) == want || !newborn(attr, birth, uid)) return status;
    if (port__has_default_acl(at->fd)) return status;
    status = port__chmod(fd, (attr->mode & ~PERMISSIONS) | want);
    return status != APR_SUCCESS ? status : port__stat(fd, attr);
}

/* chmod as the caller would clear the group bit of a directory of a foreign group: so the rest is
 * done as ourselves. */
static apr_status_t finish(port_creds_t *creds, int fd, const port_at_t *at, const birth_t *birth,
                           vfs_attr_t *attr)
{
    port__creds_leave(creds);
    return give_mode(fd, at, birth, creds->as_uid, attr);
}

static apr_status_t make(local_t *self, port_creds_t *creds, const vfs_ctx_t *ctx, const char *path,
                         int follow, uint32_t flags, uint32_t mode, int *fd, int *direct,
                         vfs_attr_t *attr)
{
    port_at_t at;
    birth_t birth;
    apr_status_t status = port__at_open(&self->root, path, follow, &at);
    *direct = *direct && at.direct;
    if (status != APR_SUCCESS) return status;
    if (at.name[0] == '\0') { /* a link that leads to the root */
        status = APR_EEXIST;
    } else {
        plan_birth(&at, ctx, mode, &birth);
        birth.certain = 1; /* what is opened is what was made */
        status = port__create(&at, flags, birth.mode, fd);
    }
    if (status == APR_SUCCESS) {
        status = finish(creds, *fd, &at, &birth, attr);
        if (status != APR_SUCCESS) port__close(*fd);
    }
    port__at_close(&at);
    return status;
}

apr_status_t local__open_create(local_t *self, port_creds_t *creds, const vfs_ctx_t *ctx,
                                const char *path, uint32_t flags, uint32_t mode, int *fd,
                                int *direct, vfs_attr_t *attr)
{
    *direct = 1;
    if (flags & VFS_O_EXCL) {
        return make(self, creds, ctx, path, 0, flags, mode, fd, direct, attr);
    }
    apr_status_t status = APR_EEXIST;
    for (int turn = 0; turn < TURNS_MAX && APR_STATUS_IS_EEXIST(status); turn++) {
        status = port__open(&self->root, path, flags, fd, direct);
        if (status == APR_SUCCESS) {
            status = port__stat(*fd, attr);
            if (status == APR_SUCCESS && attr->type == VFS_TYPE_DIR) {
                status = APR_FROM_OS_ERROR(EISDIR);
            }
            if (status != APR_SUCCESS) port__close(*fd);
            return status;
        }
        if (!APR_STATUS_IS_ENOENT(status)) return status;
        /* A link that leads to no file yet: it is made where the link leads to. */
        int follow = !*direct && (flags & VFS_O_NOFOLLOW) == 0;
        status = make(self, creds, ctx, path, follow, flags, mode, fd, direct, attr);
    }
    return status;
}

/* ---- what has no handle */

typedef enum kind_e { MAKE_DIR, MAKE_NODE } kind_e;

static apr_status_t make_name(local_t *self, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              kind_e kind, vfs_type_e type, uint32_t mode, uint64_t rdev)
{
    port_creds_t creds;
    port_at_t at;
    birth_t birth;
    vfs_attr_t attr;
    int fd = -1;
    apr_status_t status = port__creds_enter(&self->root, ctx, &creds);
    if (status != APR_SUCCESS) return status;
    status = port__at_open(&self->root, path->str, 0, &at);
    if (status != APR_SUCCESS) {
        port__creds_leave(&creds);
        return status;
    }
    plan_birth(&at, ctx, mode, &birth);
    status =
        kind == MAKE_DIR ? port__mkdir(&at, birth.mode) : port__mknod(&at, type, birth.mode, rdev);
    if (status == APR_SUCCESS && port__openat(&at, PORT_O_PATH, &fd) == APR_SUCCESS) {
        status = finish(&creds, fd, &at, &birth, &attr);
        port__close(fd);
    }
    port__creds_leave(&creds);
    port__at_close(&at);
    return status;
}

apr_status_t local__mkdir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t mode)
{
    return make_name(local__of(fs), ctx, path, MAKE_DIR, VFS_TYPE_DIR, mode, 0);
}

apr_status_t local__mknod(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, vfs_type_e type,
                          uint32_t mode, uint64_t rdev)
{
    return make_name(local__of(fs), ctx, path, MAKE_NODE, type, mode, rdev);
}
