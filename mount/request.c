/*
 * request.c - what all calls share: who asks, what the kernel is told.
 * Floor 4, private to mount/.
 */
#include "mount/mount.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

inode_t *mount__inode_of(mount_t *m, fuse_ino_t ino)
{
    return ino == FUSE_ROOT_ID ? &m->table.root : (inode_t *)(uintptr_t)ino;
}

fuse_ino_t mount__ino_of(mount_t *m, const inode_t *inode)
{
    return inode == &m->table.root ? FUSE_ROOT_ID : (fuse_ino_t)(uintptr_t)inode;
}

/* ---- the context of a call */

/* A call whose caller is being killed is given up: else he would stay until the origin answers. Any
 * other signal has to wait, since no program expects a file to be interrupted. Each thread that
 * serves has a slot; they are freed when all have ended. */
struct call_slot_t {
    call_slot_t *next; /* of the mount */
    pthread_mutex_t mutex;
    fuse_req_t req; /* the call that it is of now */
    apr_pool_t *pool;
    vfs_cancel_t *cancel;
    vfs_ctx_t ctx;
    uint64_t began_ns; /* 0: nobody listens */
};

static _Thread_local call_slot_t *own_slot;

#define PENDING_KILL (1ull << (SIGKILL - 1))

static FILE *open_status(pid_t pid)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%ld/status", (long)pid);
    return fopen(path, "re");
}

static int is_dying(pid_t pid)
{
    char line[256];
    unsigned long long pending = 0;
    FILE *file = open_status(pid);
    if (file == NULL) return 0;
    while (!(pending & PENDING_KILL) && fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, "SigPnd:", 7) == 0 || strncmp(line, "ShdPnd:", 7) == 0)
            pending = strtoull(line + 7, NULL, 16);
    (void)fclose(file); /* only read */
    return (pending & PENDING_KILL) != 0;
}

/* It may come late: then the slot is another call's. `req` stays as long as this runs, so no other
 * has its address. */
static void interrupted(fuse_req_t req, void *baton)
{
    call_slot_t *slot = baton;
    if (!is_dying(fuse_req_ctx(req)->pid)) return;
    (void)pthread_mutex_lock(&slot->mutex);
    if (slot->req == req) vfs_cancel_raise(slot->cancel);
    (void)pthread_mutex_unlock(&slot->mutex);
}

static call_slot_t *new_slot(mount_t *m)
{
    call_slot_t *slot = calloc(1, sizeof(*slot));
    if (slot == NULL) return NULL;
    if (apr_pool_create(&slot->pool, NULL) != APR_SUCCESS) {
        free(slot);
        return NULL;
    }
    (void)pthread_mutex_init(&slot->mutex, NULL);
    (void)pthread_mutex_lock(&m->table.mutex);
    slot->next = m->slots;
    m->slots = slot;
    (void)pthread_mutex_unlock(&m->table.mutex);
    return slot;
}

/* A flag that was raised stays so: the next call needs another. */
static int take_slot(call_slot_t *slot, fuse_req_t req)
{
    static const vfs_ctx_t init = VFS_CTX_INIT;
    (void)pthread_mutex_lock(&slot->mutex);
    if (slot->cancel == NULL || vfs_cancel_raised(slot->cancel)) {
        slot->cancel = NULL;
        apr_pool_clear(slot->pool);
        if (vfs_cancel_create(&slot->cancel, slot->pool) != APR_SUCCESS) slot->cancel = NULL;
    }
    slot->ctx = init;
    slot->ctx.cancel = slot->cancel;
    slot->req = slot->cancel != NULL ? req : NULL;
    (void)pthread_mutex_unlock(&slot->mutex);
    return slot->cancel != NULL;
}

uint64_t mount__began_ns(void)
{
    return own_slot != NULL ? own_slot->began_ns : 0;
}

const vfs_ctx_t *mount__ctx(fuse_req_t req)
{
    mount_t *m = mount__of(req);
    if (own_slot == NULL) own_slot = new_slot(m);
    if (own_slot == NULL || !take_slot(own_slot, req)) return NULL; /* then it cannot be given up */
    int listens = atomic_load_explicit(&m->listens, memory_order_relaxed);
    own_slot->began_ns = listens ? mount__clock_ns() : 0;
    fuse_req_interrupt_func(req, interrupted, own_slot);
    return &own_slot->ctx;
}

void mount__slots_raise(mount_t *m)
{
    (void)pthread_mutex_lock(&m->table.mutex);
    for (call_slot_t *slot = m->slots; slot != NULL; slot = slot->next) {
        (void)pthread_mutex_lock(&slot->mutex);
        if (slot->cancel != NULL) vfs_cancel_raise(slot->cancel);
        (void)pthread_mutex_unlock(&slot->mutex);
    }
    (void)pthread_mutex_unlock(&m->table.mutex);
}

void mount__slots_end(mount_t *m)
{
    while (m->slots != NULL) {
        call_slot_t *slot = m->slots;
        m->slots = slot->next;
        (void)pthread_mutex_destroy(&slot->mutex);
        apr_pool_destroy(slot->pool);
        free(slot);
    }
}

/* ---- the caller */

/* The numbers of a line into `to`; how many there are, also where there is no room for them. */
static size_t parse_groups(const char *text, uint32_t *to, size_t room)
{
    size_t count = 0;
    for (;;) {
        char *end = NULL;
        unsigned long group = strtoul(text, &end, 10);
        if (end == text) return count;
        if (count < room) to[count] = (uint32_t)group;
        count++;
        text = end;
    }
}

/* The supplementary groups are not in the request, but in /proc, where a process of another name
 * space may not be found: then he has none. (fuse_req_getgroups of libfuse 3.14 reads behind its
 * buffer.) */
static void read_groups(pid_t pid, caller_t *caller)
{
    size_t few = sizeof(caller->few) / sizeof(caller->few[0]), size = 0;
    char *line = NULL;
    FILE *file = open_status(pid);
    caller->ctx.groups = caller->few;
    if (file == NULL) return;
    while (getline(&line, &size, file) > 0) {
        if (strncmp(line, "Groups:", 7) != 0) continue;
        size_t count = parse_groups(line + 7, caller->few, few);
        caller->ctx.ngroups = count < few ? count : few;
        if (count > few) caller->groups = malloc(count * sizeof(*caller->groups));
        if (caller->groups != NULL) {
            caller->ctx.ngroups = parse_groups(line + 7, caller->groups, count);
            caller->ctx.groups = caller->groups;
        }
        break;
    }
    free(line);
    (void)fclose(file); /* only read */
}

void mount__caller(fuse_req_t req, caller_t *caller)
{
    static const vfs_ctx_t init = VFS_CTX_INIT;
    const struct fuse_ctx *from = fuse_req_ctx(req);
    const vfs_ctx_t *ctx = mount__ctx(req);
    caller->ctx = ctx != NULL ? *ctx : init;
    caller->own = ctx;
    caller->groups = NULL;
    caller->ctx.flags = VFS_CTX_CREDS | VFS_CTX_UMASK;
    caller->ctx.uid = from->uid;
    caller->ctx.gid = from->gid;
    caller->ctx.umask = from->umask;
    if (from->uid != 0) read_groups(from->pid, caller);
}

void mount__caller_end(caller_t *caller)
{
    free(caller->groups);
}

/* He may search the directory, since the kernel let him make a name in it, but not all above it:
 * they were passed by one with more rights, or long ago. So it is made as ourselves, for nobody but
 * us, and then given to him. */
int mount__stands_in(const caller_t *caller, apr_status_t status)
{
    return APR_STATUS_IS_EACCES(status) && caller->ctx.uid != 0 && geteuid() == 0;
}

/* A directory that hands its group on has done so already. */
uint32_t mount__gives_group(const inode_t *dir, const caller_t *caller)
{
    return dir->attr.mode & S_ISGID ? (uint32_t)-1 : caller->ctx.gid;
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
