/*
 * ops_names.c - calls that look up, make, remove and move names.
 * Floor 4, private to mount/. The kernel has locked the directories, so two changes of one name do
 * not meet; what they must not meet besides is in paths.c.
 */
#include "mount/mount.h"

#include <errno.h>
#include <string.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1u
#define RENAME_EXCHANGE 2u
#endif

static void reply_entry(fuse_req_t req, inode_t *dir, const char *name, const vfs_attr_t *attr,
                        inode_t *source)
{
    mount_t *m = mount__of(req);
    struct fuse_entry_param entry;
    int error = mount__entry(m, dir, name, attr, source, &entry);
    if (error != 0) {
        (void)fuse_reply_err(req, error); /* who asked may be gone */
    } else if (fuse_reply_entry(req, &entry) != 0) {
        mount__inode_forget(&m->table, mount__inode_of(m, entry.ino), 1);
    }
}

/* The context of a look-up: where programs read what they look up, the bytes of a small file come
 * in the same trip. */
static const vfs_ctx_t *looking(mount_t *m, fuse_req_t req, vfs_ctx_t *room)
{
    const vfs_ctx_t *ctx = mount__ctx(req);
    if (ctx == NULL || atomic_load_explicit(&m->reads, memory_order_relaxed) < READS_ALL / 2)
        return ctx;
    *room = *ctx;
    room->flags |= VFS_CTX_READS;
    return room;
}

/* Two at once may count as one. */
static void looked_up(mount_t *m, const vfs_attr_t *attr)
{
    int reads = atomic_load_explicit(&m->reads, memory_order_relaxed);
    if (attr->type == VFS_TYPE_FILE && reads > 0)
        atomic_store_explicit(&m->reads, reads - (reads + 15) / 16, memory_order_relaxed);
}

void mount__lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    mount_t *m = mount__of(req);
    inode_t *dir = mount__inode_of(m, parent);
    struct fuse_entry_param absent = {.entry_timeout = m->negative_timeout};
    vfs_attr_t attr;
    vfs_ctx_t room;
    path_t path;
    uint64_t known = mount__name_known(&m->table, dir, name);
    int error = mount__path_in(&m->table, dir, name, &path);
    if (error != 0) {
        (void)fuse_reply_err(req, error);
        return;
    }
    apr_status_t status = vfs_lstat(m->fs, looking(m, req, &room), path.text, &attr);
    if (status == APR_SUCCESS) looked_up(m, &attr);
    if (APR_STATUS_IS_ENOENT(status) && known != 0) mount__name_gone(&m->table, dir, name, known);
    mount__path_end(&m->table, &path);
    mount__heard(req, .op = "lookup", .inode = dir, .name = name, .error = mount__errno(status));
    if (status == APR_SUCCESS)
        reply_entry(req, dir, name, &attr, NULL);
    else if (APR_STATUS_IS_ENOENT(status) && m->negative_timeout > 0)
        (void)fuse_reply_entry(req, &absent);
    else
        mount__reply_status(req, status);
}

void mount__forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    mount_t *m = mount__of(req);
    if (ino != FUSE_ROOT_ID) mount__inode_forget(&m->table, mount__inode_of(m, ino), count);
    fuse_reply_none(req);
}

void mount__forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    mount_t *m = mount__of(req);
    for (size_t i = 0; i < count; i++)
        if (forgets[i].ino != FUSE_ROOT_ID)
            mount__inode_forget(&m->table, mount__inode_of(m, forgets[i].ino), forgets[i].nlookup);
    fuse_reply_none(req);
}

/* ---- making */

typedef struct make_t {
    const char *op;
    vfs_type_e type;
    mode_t mode;
    dev_t rdev;
    const char *target;
} make_t;

static apr_status_t make_below(mount_t *m, const vfs_ctx_t *ctx, const char *path,
                               const make_t *how)
{
    if (how->target != NULL) return vfs_symlink(m->fs, ctx, how->target, path);
    if (how->type == VFS_TYPE_DIR) return vfs_mkdir(m->fs, ctx, path, how->mode & 07777u);
    return vfs_mknod(m->fs, ctx, path, how->type, how->mode & 07777u, how->rdev);
}

/* As ourselves: see mount__stands_in. */
static apr_status_t make_for(mount_t *m, const inode_t *dir, const caller_t *caller,
                             const char *path, const make_t *how)
{
    make_t closed = *how;
    closed.mode &= S_IRWXU;
    uint32_t gid = mount__gives_group(dir, caller);
    uint32_t mode = how->mode & 07777u & ~caller->ctx.umask;
    apr_status_t status = make_below(m, caller->own, path, &closed);
    if (status != APR_SUCCESS) return status;
    if (how->type == VFS_TYPE_DIR) mode |= dir->attr.mode & S_ISGID;
    status = vfs_chown(m->fs, caller->own, path, caller->ctx.uid, gid, VFS_NOFOLLOW);
    if (status == APR_SUCCESS && how->target == NULL)
        status = vfs_chmod(m->fs, caller->own, path, mode, VFS_NOFOLLOW);
    return status;
}

static void make(fuse_req_t req, fuse_ino_t parent, const char *name, const make_t *how)
{
    mount_t *m = mount__of(req);
    inode_t *dir = mount__inode_of(m, parent);
    caller_t caller;
    vfs_attr_t attr;
    path_t path;
    int error = mount__path_in(&m->table, dir, name, &path);
    if (error != 0) {
        (void)fuse_reply_err(req, error);
        return;
    }
    mount__caller(req, &caller);
    apr_status_t status = make_below(m, &caller.ctx, path.text, how);
    if (mount__stands_in(&caller, status)) status = make_for(m, dir, &caller, path.text, how);
    mount__caller_end(&caller);
    if (status == APR_SUCCESS) status = vfs_lstat(m->fs, caller.own, path.text, &attr);
    mount__path_end(&m->table, &path);
    mount__heard(req, .op = how->op, .inode = dir, .name = name, .text = how->target,
                 .error = mount__errno(status));
    if (status == APR_SUCCESS)
        reply_entry(req, dir, name, &attr, NULL);
    else
        mount__reply_status(req, status);
}

void mount__mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    make_t how = {.op = "mknod", .type = VFS_TYPE_FILE, .mode = mode, .rdev = rdev};
    if (S_ISFIFO(mode)) how.type = VFS_TYPE_FIFO;
    if (S_ISSOCK(mode)) how.type = VFS_TYPE_SOCKET;
    if (S_ISCHR(mode)) how.type = VFS_TYPE_CHAR;
    if (S_ISBLK(mode)) how.type = VFS_TYPE_BLOCK;
    make(req, parent, name, &how);
}

void mount__mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    const make_t how = {.op = "mkdir", .type = VFS_TYPE_DIR, .mode = mode};
    make(req, parent, name, &how);
}

void mount__symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    const make_t how = {.op = "symlink", .type = VFS_TYPE_LINK, .target = target};
    make(req, parent, name, &how);
}

void mount__link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    mount_t *m = mount__of(req);
    inode_t *source = mount__inode_of(m, ino), *dir = mount__inode_of(m, parent);
    vfs_attr_t attr;
    path_t from, to;
    int error = mount__path_both(&m->table, source, &from, dir, name, &to);
    if (error != 0) {
        (void)fuse_reply_err(req, error);
        return;
    }
    const vfs_ctx_t *ctx = mount__ctx(req);
    apr_status_t status = vfs_link(m->fs, ctx, from.text, to.text);
    if (status == APR_SUCCESS) status = vfs_lstat(m->fs, ctx, to.text, &attr);
    mount__path_end(&m->table, &to);
    mount__path_end(&m->table, &from);
    mount__heard(req, .op = "link", .inode = source, .to_dir = dir, .to_name = name,
                 .error = mount__errno(status));
    if (status == APR_SUCCESS)
        reply_entry(req, dir, name, &attr, source);
    else
        mount__reply_status(req, status);
}

/* ---- removing and moving */

/* A file that is open keeps its inode: its attributes are asked for through a handle from now on.
 */
static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name, int is_dir)
{
    mount_t *m = mount__of(req);
    claim_t claim;
    int error = mount__claim(&m->table, &claim, mount__inode_of(m, parent), name, NULL, NULL);
    if (error != 0) {
        (void)fuse_reply_err(req, error);
        return;
    }
    const vfs_ctx_t *ctx = mount__ctx(req);
    apr_status_t status =
        is_dir ? vfs_rmdir(m->fs, ctx, claim.at[0].text) : vfs_unlink(m->fs, ctx, claim.at[0].text);
    if (status == APR_SUCCESS) mount__claim_removed(&m->table, &claim);
    mount__claim_end(&m->table, &claim);
    mount__heard(req, .op = is_dir ? "rmdir" : "unlink", .inode = mount__inode_of(m, parent),
                 .name = name, .error = mount__errno(status));
    mount__reply_status(req, status);
}

void mount__unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_name(req, parent, name, 0);
}

void mount__rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_name(req, parent, name, 1);
}

void mount__rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent,
                   const char *to_name, unsigned flags)
{
    mount_t *m = mount__of(req);
    claim_t claim;
    uint32_t how = (flags & RENAME_NOREPLACE ? VFS_RENAME_NOREPLACE : 0) |
                   (flags & RENAME_EXCHANGE ? VFS_RENAME_EXCHANGE : 0);
    if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) {
        (void)fuse_reply_err(req, EINVAL);
        return;
    }
    int error = mount__claim(&m->table, &claim, mount__inode_of(m, parent), name,
                             mount__inode_of(m, to_parent), to_name);
    if (error != 0) {
        (void)fuse_reply_err(req, error);
        return;
    }
    apr_status_t status =
        vfs_rename(m->fs, mount__ctx(req), claim.at[0].text, claim.at[1].text, how);
    if (status == APR_SUCCESS)
        mount__claim_moved(&m->table, &claim, (flags & RENAME_EXCHANGE) != 0);
    mount__claim_end(&m->table, &claim);
    mount__heard(req, .op = "rename", .inode = mount__inode_of(m, parent), .name = name,
                 .to_dir = mount__inode_of(m, to_parent), .to_name = to_name,
                 .error = mount__errno(status));
    mount__reply_status(req, status);
}
