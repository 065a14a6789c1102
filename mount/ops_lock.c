/*
 * ops_lock.c - advisory locks, which are those of the stack: so they hold against all who lock the
 * same files below, if the backend has locks of its own.
 * Floor 4, private to mount/.
 *
 * Who waits for a lock does so on a thread of its own: the threads that serve the kernel must be
 * there for the one who unlocks. A signal to the waiter ends his waiting, as it would without us.
 */
#include "mount/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include <apr_pools.h>

static const vfs_ctx_t ctx_init = VFS_CTX_INIT;

static vfs_lock_t lock_of(const struct flock *from, uint64_t owner)
{
    vfs_lock_t lock = {.type = VFS_LOCK_UNLOCK};
    if (from->l_type == F_RDLCK) lock.type = VFS_LOCK_READ;
    if (from->l_type == F_WRLCK) lock.type = VFS_LOCK_WRITE;
    lock.start = from->l_start;
    lock.len = from->l_len;
    lock.owner = owner;
    return lock;
}

void mount__getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *from)
{
    vfs_lock_t lock = lock_of(from, fi->lock_owner);
    (void)ino;
    lock.flags = VFS_LOCK_TEST;
    apr_status_t status = vfs_lock(mount__file_of(fi)->file, NULL, &lock);
    if (status != APR_SUCCESS) {
        mount__reply_status(req, status);
        return;
    }
    from->l_type = F_UNLCK;
    if (lock.type != VFS_LOCK_UNLOCK) {
        from->l_type = lock.type == VFS_LOCK_READ ? F_RDLCK : F_WRLCK;
        from->l_whence = SEEK_SET;
        from->l_start = lock.start;
        from->l_len = lock.len;
        from->l_pid = lock.pid;
    }
    (void)fuse_reply_lock(req, from);
}

/* ---- waiting */

struct lock_waiter_t {
    lock_waiter_t *next, **at; /* of the mount, under its table's mutex */
    fuse_req_t req;
    mount_t *m;
    open_file_t *file;
    vfs_lock_t lock;
    vfs_ctx_t ctx;
    apr_pool_t *pool; /* of the cancel flag */
    vfs_cancel_t *cancel;
};

static void interrupted(fuse_req_t req, void *baton)
{
    (void)req;
    vfs_cancel_raise(((lock_waiter_t *)baton)->cancel);
}

static void waiter_end(lock_waiter_t *waiter)
{
    mount_t *m = waiter->m;
    mount__file_put(m, waiter->file);
    (void)pthread_mutex_lock(&m->table.mutex);
    *waiter->at = waiter->next;
    if (waiter->next != NULL) waiter->next->at = waiter->at;
    mount__table_wake(&m->table);
    (void)pthread_mutex_unlock(&m->table.mutex);
    apr_pool_destroy(waiter->pool);
    free(waiter);
}

static void *wait_for_lock(void *baton)
{
    lock_waiter_t *waiter = baton;
    apr_status_t status = vfs_lock(waiter->file->file, &waiter->ctx, &waiter->lock);
    fuse_req_interrupt_func(waiter->req, NULL, NULL); /* the flag goes away */
    mount__reply_status(waiter->req, status);
    waiter_end(waiter);
    return NULL;
}

static lock_waiter_t *waiter_new(fuse_req_t req, open_file_t *file, const vfs_lock_t *lock)
{
    mount_t *m = mount__of(req);
    lock_waiter_t *waiter = calloc(1, sizeof(*waiter));
    if (waiter == NULL) return NULL;
    if (apr_pool_create(&waiter->pool, NULL) != APR_SUCCESS) {
        free(waiter);
        return NULL;
    }
    if (vfs_cancel_create(&waiter->cancel, waiter->pool) != APR_SUCCESS) {
        apr_pool_destroy(waiter->pool);
        free(waiter);
        return NULL;
    }
    waiter->req = req;
    waiter->m = m;
    waiter->file = file;
    waiter->lock = *lock;
    waiter->lock.flags |= VFS_LOCK_WAIT;
    waiter->ctx = ctx_init;
    waiter->ctx.cancel = waiter->cancel;
    (void)pthread_mutex_lock(&m->table.mutex);
    file->refs++;
    waiter->next = m->waiters;
    waiter->at = &m->waiters;
    if (waiter->next != NULL) waiter->next->at = &waiter->next;
    m->waiters = waiter;
    (void)pthread_mutex_unlock(&m->table.mutex);
    return waiter;
}

/* 0, or why nobody waits. */
static int start_waiting(fuse_req_t req, open_file_t *file, const vfs_lock_t *lock)
{
    lock_waiter_t *waiter = waiter_new(req, file, lock);
    pthread_attr_t detached;
    pthread_t thread;
    if (waiter == NULL) return ENOMEM;
    fuse_req_interrupt_func(req, interrupted, waiter);
    (void)pthread_attr_init(&detached);
    (void)pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    int error = pthread_create(&thread, &detached, wait_for_lock, waiter);
    (void)pthread_attr_destroy(&detached);
    if (error == 0) return 0;
    fuse_req_interrupt_func(req, NULL, NULL);
    waiter_end(waiter);
    return error;
}

void mount__waiters_end(mount_t *m)
{
    (void)pthread_mutex_lock(&m->table.mutex);
    for (lock_waiter_t *waiter = m->waiters; waiter != NULL; waiter = waiter->next)
        vfs_cancel_raise(waiter->cancel);
    while (m->waiters != NULL)
        mount__table_wait(&m->table);
    (void)pthread_mutex_unlock(&m->table.mutex);
}

/* ---- locking */

static void set_lock(fuse_req_t req, open_file_t *file, vfs_lock_t *lock, int wait)
{
    apr_status_t status = vfs_lock(file->file, NULL, lock);
    int error = mount__errno(status);
    if (APR_STATUS_IS_EAGAIN(status) && wait && lock->type != VFS_LOCK_UNLOCK) {
        error = start_waiting(req, file, lock);
        if (error == 0) return; /* it answers */
    }
    (void)fuse_reply_err(req, error);
}

void mount__setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *from,
                  int wait)
{
    open_file_t *file = mount__file_of(fi);
    vfs_lock_t lock = lock_of(from, fi->lock_owner);
    (void)ino;
    atomic_store(&file->inode->locks, 1);
    set_lock(req, file, &lock, wait);
}

void mount__flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op)
{
    vfs_lock_t lock = {.type = VFS_LOCK_UNLOCK, .flags = VFS_LOCK_WHOLE};
    (void)ino;
    if ((op & ~LOCK_NB) == LOCK_SH) lock.type = VFS_LOCK_READ;
    if ((op & ~LOCK_NB) == LOCK_EX) lock.type = VFS_LOCK_WRITE;
    set_lock(req, mount__file_of(fi), &lock, !(op & LOCK_NB));
}

void mount__unlock_owner(open_file_t *file, uint64_t owner)
{
    vfs_lock_t lock = {.type = VFS_LOCK_UNLOCK, .owner = owner};
    (void)vfs_lock(file->file, NULL, &lock); /* what is not locked needs no unlocking */
}
