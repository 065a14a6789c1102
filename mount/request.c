/*
 * request.c - what all calls share: who asks, what the kernel is told.
 * Floor 4, private to mount/.
 */
#include "mount/mount.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

inode_t *mount__inode_of(mount_t *m, fuse_ino_t ino)
{
    return ino == FUSE_ROOT_ID ? &m->table.root : (inode_t *)(uintptr_t)ino;
}

fuse_ino_t mount__ino_of(mount_t *m, const inode_t *inode)
{
    return inode == &m->table.root ? FUSE_ROOT_ID : (fuse_ino_t)(uintptr_t)inode;
}

/* ---- the caller */

/* The supplementary groups are not in the request: libfuse reads them from /proc, where a process
 * of another name space may not be found. Then he has none. */
static void read_groups(fuse_req_t req, caller_t *caller)
{
    int few = (int)(sizeof(caller->few) / sizeof(caller->few[0]));
    int count = fuse_req_getgroups(req, few, caller->few);
    caller->ctx.groups = caller->few;
    if (count > few) {
        caller->groups = malloc((size_t)count * sizeof(*caller->groups));
        int again = caller->groups != NULL ? fuse_req_getgroups(req, count, caller->groups) : -1;
        if (caller->groups != NULL) caller->ctx.groups = caller->groups;
        count = again < count ? again : count;
    }
    caller->ctx.ngroups = count > 0 ? (size_t)count : 0;
}

void mount__caller(fuse_req_t req, caller_t *caller)
{
    static const vfs_ctx_t init = VFS_CTX_INIT;
    const struct fuse_ctx *from = fuse_req_ctx(req);
    caller->ctx = init;
    caller->groups = NULL;
    caller->ctx.flags = VFS_CTX_CREDS | VFS_CTX_UMASK;
    caller->ctx.uid = from->uid;
    caller->ctx.gid = from->gid;
    caller->ctx.umask = from->umask;
    if (from->uid != 0) read_groups(req, caller);
}

void mount__caller_end(caller_t *caller)
{
    free(caller->groups);
}

/* ---- answers */

int mount__errno(apr_status_t status)
{
    if (status == VFS_ECANCELED) return EINTR;
    if (status == VFS_ELIMIT) return ENFILE;
    return vfs_status_errno(status);
}

void mount__reply_status(fuse_req_t req, apr_status_t status)
{
    (void)fuse_reply_err(req, mount__errno(status)); /* who asked may be gone */
}

static mode_t type_mode(vfs_type_e type)
{
    switch (type) {
    case VFS_TYPE_DIR:
        return S_IFDIR;
    case VFS_TYPE_LINK:
        return S_IFLNK;
    case VFS_TYPE_FIFO:
        return S_IFIFO;
    case VFS_TYPE_SOCKET:
        return S_IFSOCK;
    case VFS_TYPE_CHAR:
        return S_IFCHR;
    case VFS_TYPE_BLOCK:
        return S_IFBLK;
    case VFS_TYPE_FILE:
    case VFS_TYPE_UNKNOWN:
        break;
    }
    return S_IFREG;
}

static struct timespec time_of(int64_t ns)
{
    struct timespec time = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
    if (time.tv_nsec < 0) {
        time.tv_nsec += 1000000000;
        time.tv_sec--;
    }
    return time;
}

void mount__stat(const inode_t *inode, const vfs_attr_t *attr, struct stat *st)
{
    memset(st, 0, sizeof(*st));
    st->st_ino = inode->number;
    st->st_mode = type_mode(attr->type) | (attr->mode & 07777u);
    st->st_nlink = attr->nlink;
    st->st_uid = attr->uid;
    st->st_gid = attr->gid;
    st->st_rdev = (dev_t)attr->rdev;
    st->st_size = (off_t)attr->size;
    st->st_blocks = (blkcnt_t)((attr->allocated + 511) / 512);
    st->st_blksize = (blksize_t)attr->blksize;
    st->st_atim = time_of(attr->atime_ns);
    st->st_mtim = time_of(attr->mtime_ns);
    st->st_ctim = time_of(attr->ctime_ns);
}

int mount__entry(mount_t *m, inode_t *dir, const char *name, const vfs_attr_t *attr,
                 inode_t *source, struct fuse_entry_param *entry)
{
    inode_t *inode = mount__inode_learn(&m->table, dir, name, attr, source);
    if (inode == NULL) return errno;
    memset(entry, 0, sizeof(*entry));
    entry->ino = mount__ino_of(m, inode);
    entry->generation = inode->generation;
    entry->attr_timeout = m->attr_timeout;
    entry->entry_timeout = m->attr_timeout;
    mount__stat(inode, attr, &entry->attr);
    return 0;
}

void mount__reply_attr(fuse_req_t req, inode_t *inode, const vfs_attr_t *attr)
{
    mount_t *m = mount__of(req);
    struct stat st;
    mount__inode_told(&m->table, inode, attr);
    mount__stat(inode, attr, &st);
    (void)fuse_reply_attr(req, &st, m->attr_timeout); /* who asked may be gone */
}
