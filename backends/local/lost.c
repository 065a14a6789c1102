/*
 * lost.c - what a sync that failed may have lost. Floor 2.
 *
 * Linux tells an error of its own write-back once to each descriptor, and counts the pages as
 * written from then on: the next fsync succeeds although bytes were lost (LWN 752063; the same
 * broke PostgreSQL, "fsyncgate"). So a file whose sync failed is noted here, by what it is, not by
 * the handle. Its syncs fail until each byte that it had then was written again, or cut away, and a
 * sync that began after that succeeds. What cannot be noted makes every sync fail.
 *
 * For the same reason being told an error and noting it are one step: another sync between the two
 * would be told nothing and find nothing. So the syncs of a file take turns.
 */
#include "backends/local/local.h"

#include <errno.h>
#include <stdlib.h>

#define LOST_MAX 4096u /* files */
#define HOLES_MAX 64u  /* ranges of a file: a write that would leave more does not count */

typedef struct range_t {
    uint64_t start, end;
} range_t;

/* A file whose sync failed. In the list of the instance, under its mutex. */
struct local_lost_t {
    local_lost_t *next;
    uint64_t dev, ino;
    int64_t btime_ns;
    apr_status_t status;
    uint64_t turn; /* the failure, of all those of the instance */
    size_t count;
    range_t need[HOLES_MAX]; /* not written again yet, in order */
};

static void lock(local_t *self)
{
    (void)pthread_mutex_lock(&self->mutex); /* a default mutex does not fail */
}

static void unlock(local_t *self)
{
    (void)pthread_mutex_unlock(&self->mutex); /* as above */
}

static local_lost_t *find(local_t *self, const vfs_attr_t *attr)
{
    local_lost_t *lost = self->lost;
    while (lost != NULL &&
           (lost->ino != attr->ino || lost->dev != attr->dev || lost->btime_ns != attr->btime_ns)) {
        lost = lost->next;
    }
    return lost;
}

static local_lost_t *add(local_t *self, const vfs_attr_t *attr)
{
    uint64_t count = atomic_load(&self->lost_count);
    local_lost_t *lost = count < LOST_MAX ? calloc(1, sizeof(*lost)) : NULL;
    if (lost == NULL) return NULL;
    lost->dev = attr->dev;
    lost->ino = attr->ino;
    lost->btime_ns = attr->btime_ns;
    lost->next = self->lost;
    self->lost = lost;
    atomic_store(&self->lost_count, count + 1);
    return lost;
}

static void drop(local_t *self, local_lost_t *lost)
{
    local_lost_t **at = &self->lost;
    while (*at != lost)
        at = &(*at)->next;
    *at = lost->next;
    free(lost);
    atomic_fetch_sub(&self->lost_count, 1);
}

void local__lost(local_t *self, int fd, apr_status_t status)
{
    vfs_attr_t attr;
    apr_status_t known = port__stat(fd, &attr);
    lock(self);
    local_lost_t *lost = known == APR_SUCCESS ? find(self, &attr) : NULL;
    if (lost == NULL && known == APR_SUCCESS) lost = add(self, &attr);
    if (lost == NULL) {
        if (self->lost_some == APR_SUCCESS) self->lost_some = status;
        atomic_fetch_add(&self->lost_count, 1); /* for good */
    } else {
        lost->status = status;
        lost->turn = ++self->lost_turns;
        lost->count = attr.type != VFS_TYPE_FILE || attr.size > 0;
        /* the names of a directory cannot be written again */
        lost->need[0] = (range_t){0, attr.type == VFS_TYPE_FILE ? attr.size : UINT64_MAX};
    }
    unlock(self);
}

/* ---- written again */

/* Take [start, end) out of what is needed. Only one range can be split by that, which needs room
 * for one more. Instance locked. */
static void subtract(local_lost_t *lost, uint64_t start, uint64_t end)
{
    range_t left[HOLES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < lost->count; i++) {
        const range_t *r = &lost->need[i];
        range_t before = {r->start, r->end < start ? r->end : start};
        range_t after = {r->start > end ? r->start : end, r->end};
        int split = before.start < before.end && after.start < after.end;
        if (split && lost->count == HOLES_MAX) return;
        if (before.start < before.end) left[n++] = before;
        if (after.start < after.end) left[n++] = after;
    }
    for (size_t i = 0; i < n; i++)
        lost->need[i] = left[i];
    lost->count = n;
}

uint64_t local__lost_turn(local_t *self, int fd)
{
    vfs_attr_t attr;
    uint64_t turn = 0;
    if (atomic_load_explicit(&self->lost_count, memory_order_relaxed) == 0) return 0;
    if (port__stat(fd, &attr) != APR_SUCCESS) return 0;
    lock(self);
    const local_lost_t *lost = find(self, &attr);
    if (lost != NULL) turn = lost->turn;
    unlock(self);
    return turn;
}

/* What lies behind the end of the file by now was cut away. */
void local__lost_again(local_t *self, int fd, uint64_t turn, uint64_t start, uint64_t end)
{
    vfs_attr_t attr;
    if (turn == 0 || start >= end || port__stat(fd, &attr) != APR_SUCCESS) return;
    lock(self);
    local_lost_t *lost = find(self, &attr);
    if (lost != NULL && lost->turn == turn && attr.type == VFS_TYPE_FILE) {
        subtract(lost, start, end);
        subtract(lost, attr.size, UINT64_MAX);
    }
    unlock(self);
}

/* ---- turns */

apr_status_t local__sync_begin(local_t *self, int fd, pthread_mutex_t **turn)
{
    vfs_attr_t attr;
    apr_status_t status = port__stat(fd, &attr);
    if (status != APR_SUCCESS) return status;
    uint64_t hash = (attr.ino ^ (attr.dev << 32)) * 0x9e3779b97f4a7c15u;
    *turn = &self->syncing[(hash >> 32) % LOCAL_STRIPES];
    (void)pthread_mutex_lock(*turn); /* a default mutex does not fail */
    return APR_SUCCESS;
}

void local__sync_done(pthread_mutex_t *turn)
{
    (void)pthread_mutex_unlock(turn); /* as above */
}

/* Whoever was told an error by now has noted it after this. */
static void await_notes(local_t *self)
{
    for (unsigned i = 0; i < LOCAL_STRIPES; i++) {
        (void)pthread_mutex_lock(&self->syncing[i]); /* as above */
        local__sync_done(&self->syncing[i]);
    }
}

/* ---- sync */

/* What a sync answers that succeeded. `turn`, `whole`: as it was before that: all was written
 * again. */
static apr_status_t judge(local_t *self, const vfs_attr_t *attr, uint64_t turn, int whole)
{
    lock(self);
    apr_status_t status = self->lost_some;
    local_lost_t *lost = find(self, attr);
    if (lost != NULL && whole && lost->turn == turn) {
        drop(self, lost);
    } else if (lost != NULL) {
        status = lost->status;
    }
    unlock(self);
    return status;
}

/* In turn. */
static apr_status_t sync_in_turn(local_t *self, int fd, uint32_t flags)
{
    vfs_attr_t attr;
    uint64_t turn = 0;
    int whole = 0;
    if (atomic_load(&self->lost_count) > 0) {
        apr_status_t known = port__stat(fd, &attr);
        if (known != APR_SUCCESS) return known;
        lock(self);
        local_lost_t *lost = find(self, &attr);
        if (lost != NULL) turn = lost->turn;
        if (lost != NULL && attr.type == VFS_TYPE_FILE) subtract(lost, attr.size, UINT64_MAX);
        whole = lost != NULL && lost->count == 0;
        unlock(self);
    }
    apr_status_t status = port__sync(fd, flags);
    if (status != APR_SUCCESS) {
        /* refused: there are no bytes that could be lost */
        if (status != APR_EINVAL && status != APR_FROM_OS_ERROR(EROFS))
            local__lost(self, fd, status);
        return status;
    }
    if (atomic_load(&self->lost_count) == 0) return APR_SUCCESS;
    status = port__stat(fd, &attr);
    return status == APR_SUCCESS ? judge(self, &attr, turn, whole) : status;
}

apr_status_t local__sync_fd(local_t *self, int fd, uint32_t flags)
{
    pthread_mutex_t *turn;
    apr_status_t status = local__sync_begin(self, fd, &turn);
    if (status != APR_SUCCESS) return status;
    status = sync_in_turn(self, fd, flags);
    local__sync_done(turn);
    return status;
}

apr_status_t local__sync_all(local_t *self)
{
    (void)pthread_mutex_lock(&self->syncing_all); /* a default mutex does not fail */
    apr_status_t status = port__sync_fs(&self->root);
    await_notes(self);
    lock(self);
    /* whose bytes were lost is not told: it cannot be made good */
    if (status != APR_SUCCESS) self->lost_any = status;
    status = self->lost_any != APR_SUCCESS ? self->lost_any : self->lost_some;
    if (status == APR_SUCCESS && self->lost != NULL) status = self->lost->status;
    unlock(self);
    local__sync_done(&self->syncing_all);
    return status;
}

void local__lost_begin(local_t *self)
{
    int failed = pthread_mutex_init(&self->syncing_all, NULL);
    for (unsigned i = 0; i < LOCAL_STRIPES; i++)
        failed |= pthread_mutex_init(&self->syncing[i], NULL);
    VFS_ASSERT(failed == 0); /* a default mutex has nothing to run out of */
}

void local__lost_end(local_t *self)
{
    while (self->lost != NULL)
        drop(self, self->lost);
    for (unsigned i = 0; i < LOCAL_STRIPES; i++)
        (void)pthread_mutex_destroy(&self->syncing[i]); /* no call is under way */
    (void)pthread_mutex_destroy(&self->syncing_all);    /* as above */
}
