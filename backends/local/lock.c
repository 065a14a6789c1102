/*
 * lock.c - advisory locks. Floor 2. The system's locks belong to an open of a file, so a handle's
 * own (owner 0) and whole-file ones are set on its descriptor. Any other owner gets an open of its
 * own for each file that it locks, shared by all handles through which it comes: two owners are in
 * each other's way, one owner is never in its own. When a handle is closed, the owners that came
 * through it lose their locks on the file, as POSIX has it for processes. Waiting with a deadline
 * or a cancel flag asks again, after 1 ms, then at growing intervals up to 16 ms.
 */
#include "backends/local/local.h"

#include <errno.h>
#include <stdlib.h>

#define PAUSE_MIN_US 1000
#define PAUSE_MAX_US 16000

/* A lock owner's open of a file. In the list of the instance, under its mutex. */
struct local_owner_t {
    local_owner_t *next;
    uint64_t dev;
    uint64_t ino;
    uint64_t id;
    int fd;
    unsigned uses; /* handles */
};

/* A handle's share in an owner. */
typedef struct local_use_t {
    struct local_use_t *next;
    local_owner_t *owner;
} local_use_t;

static local_owner_t *find_owner(local_t *self, const vfs_attr_t *attr, uint64_t id)
{
    local_owner_t *owner = self->owners;
    while (owner != NULL &&
           (owner->id != id || owner->ino != attr->ino || owner->dev != attr->dev)) {
        owner = owner->next;
    }
    return owner;
}

static apr_status_t make_owner(local_t *self, const local_file_t *file, const vfs_attr_t *attr,
                               uint64_t id, local_owner_t **out)
{
    local_owner_t *owner = malloc(sizeof(*owner));
    if (owner == NULL) return APR_ENOMEM;
    /* For both, so that it serves the owner's other handles too; else for what this one may. */
    apr_status_t status = port__reopen(file->fd, VFS_O_READ | VFS_O_WRITE, &owner->fd);
    if (status != APR_SUCCESS) {
        status = port__reopen(file->fd, file->base.flags & (VFS_O_READ | VFS_O_WRITE), &owner->fd);
    }
    if (status != APR_SUCCESS) {
        free(owner);
        return status;
    }
    owner->dev = attr->dev;
    owner->ino = attr->ino;
    owner->id = id;
    owner->uses = 0;
    owner->next = self->owners;
    self->owners = owner;
    *out = owner;
    return APR_SUCCESS;
}

/* The descriptor that `id` locks with, through this handle. */
static apr_status_t owner_fd(local_t *self, local_file_t *file, uint64_t id, int *fd)
{
    vfs_attr_t attr;
    apr_status_t status = port__stat(file->fd, &attr);
    if (status != APR_SUCCESS) return status;
    local_use_t *fresh = malloc(sizeof(*fresh));
    if (fresh == NULL) return APR_ENOMEM;
    (void)pthread_mutex_lock(&self->mutex); /* a default mutex does not fail */
    local_use_t *use = file->uses;
    while (use != NULL && use->owner->id != id)
        use = use->next;
    if (use == NULL) {
        fresh->owner = find_owner(self, &attr, id);
        if (fresh->owner == NULL) status = make_owner(self, file, &attr, id, &fresh->owner);
        if (status == APR_SUCCESS) {
            use = fresh;
            use->owner->uses++;
            use->next = file->uses;
            file->uses = use;
            fresh = NULL;
        }
    }
    if (status == APR_SUCCESS) *fd = use->owner->fd;
    (void)pthread_mutex_unlock(&self->mutex); /* as above */
    free(fresh);
    return status;
}

static void drop_owner(local_t *self, local_owner_t *owner)
{
    local_owner_t **at = &self->owners;
    while (*at != owner)
        at = &(*at)->next;
    *at = owner->next;
    port__close(owner->fd);
    free(owner);
}

void local__locks_end(local_t *self, local_file_t *file)
{
    static const vfs_lock_t all = {.type = VFS_LOCK_UNLOCK};
    if (file->uses == NULL) return; /* only calls on this handle could change that: it is closing */
    (void)pthread_mutex_lock(&self->mutex); /* a default mutex does not fail */
    while (file->uses != NULL) {
        local_use_t *use = file->uses;
        file->uses = use->next;
        (void)port__lock(use->owner->fd, &all, 0); /* unlocking what is held cannot fail */
        if (--use->owner->uses == 0) drop_owner(self, use->owner);
        free(use);
    }
    (void)pthread_mutex_unlock(&self->mutex); /* as above */
}

static apr_status_t lock_once(int fd, const vfs_lock_t *lock, int wait)
{
    return (lock->flags & VFS_LOCK_WHOLE) ? port__lock_whole(fd, lock->type, wait)
                                          : port__lock(fd, lock, wait);
}

static apr_status_t lock_until(int fd, const vfs_ctx_t *ctx, const vfs_lock_t *lock)
{
    int64_t pause_us = PAUSE_MIN_US;
    if (ctx == NULL || (ctx->deadline == 0 && ctx->cancel == NULL)) return lock_once(fd, lock, 1);
    for (;;) {
        apr_status_t status = lock_once(fd, lock, 0);
        if (!APR_STATUS_IS_EAGAIN(status)) return status;
        status = vfs_ctx_check(ctx);
        if (status != APR_SUCCESS) return status;
        int64_t left_us = ctx->deadline != 0 ? ctx->deadline - apr_time_now() : pause_us;
        if (left_us > pause_us) left_us = pause_us;
        if (left_us > 0) port__sleep_us(left_us);
        if (pause_us < PAUSE_MAX_US) pause_us *= 2;
    }
}

/* flock has no way to ask; trying would convert, or drop, the lock that the handle may have. */
apr_status_t local__lock(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_lock_t *lock)
{
    local_file_t *own = local__file(file);
    int fd = own->fd;
    int whole = (lock->flags & VFS_LOCK_WHOLE) != 0;
    if (whole && (lock->flags & VFS_LOCK_TEST)) return APR_ENOTIMPL;
    if (lock->owner != 0 && !whole) {
        apr_status_t status = owner_fd(local__of(file->fs), own, lock->owner, &fd);
        if (status != APR_SUCCESS) return status;
    }
    if (lock->flags & VFS_LOCK_TEST) return port__lock_test(fd, lock);
    if (lock->type != VFS_LOCK_UNLOCK && (lock->flags & VFS_LOCK_WAIT)) {
        return lock_until(fd, ctx, lock);
    }
    return lock_once(fd, lock, 0);
}
