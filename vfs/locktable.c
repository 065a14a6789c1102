/*
 * locktable.c - advisory locks, see locktable.h. Floor 1. Knows no file system.
 *
 * The ranges of one owner never overlap: a new lock first cuts its range out of what the owner
 * holds, then joins its neighbours of the same type. Memory for a cut in the middle is taken before
 * anything changes.
 *
 * Who waits for whom is not stored but read off the locks: a waiter waits for the owners of the
 * locks in its way, and these may be waiters themselves. Before each wait the graph is searched
 * from the new waiter; if it leads back to it, nobody in the circle could ever go on. Only waiting
 * adds an edge that can close a circle, so every circle is found by its last member.
 */
#include "vfs/locktable.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "vfs/internal.h"
#include "vfs/wait.h"

typedef struct vfs__lock_rec_t rec_t;

/* Who locks: a number of the caller's choice, or the handle itself. */
typedef struct owner_t {
    uint64_t number;
    const void *handle;
} owner_t;

struct vfs__lock_rec_t {
    rec_t *next;
    vfs_lock_e type;
    apr_off_t start;
    apr_off_t end; /* the last byte */
    owner_t owner;
    int32_t pid;
};

typedef struct waiter_t {
    struct waiter_t *next;    /* of all that wait */
    struct waiter_t *pending; /* of those still to be looked at, within one search */
    int seen;
    const vfs__locks_t *locks;
    const rec_t *wish;
} waiter_t;

struct vfs__locktable_t {
    pthread_mutex_t mutex; /* guards everything here and every vfs__locks_t; a leaf */
    pthread_cond_t freed;
    waiter_t *waiters;
};

apr_status_t vfs__locktable_create(vfs__locktable_t **out)
{
    vfs__locktable_t *table = calloc(1, sizeof(*table));
    *out = table;
    if (table == NULL) return APR_ENOMEM;
    int rc = pthread_mutex_init(&table->mutex, NULL);
    VFS_ASSERT(rc == 0);
    rc = pthread_cond_init(&table->freed, NULL);
    VFS_ASSERT(rc == 0);
    return APR_SUCCESS;
}

void vfs__locktable_destroy(vfs__locktable_t *table)
{
    VFS_ASSERT(table->waiters == NULL);
    (void)pthread_cond_destroy(&table->freed); /* nobody waits */
    (void)pthread_mutex_destroy(&table->mutex);
    free(table);
}

static int same_owner(const owner_t *a, const owner_t *b)
{
    if (a->number != b->number) return 0;
    return a->number != 0 || a->handle == b->handle;
}

static int overlaps(const rec_t *a, const rec_t *b)
{
    return a->start <= b->end && b->start <= a->end;
}

static int conflicts(const rec_t *held, const rec_t *wish)
{
    if (held->type != VFS_LOCK_WRITE && wish->type != VFS_LOCK_WRITE) return 0;
    return overlaps(held, wish) && !same_owner(&held->owner, &wish->owner);
}

/* The first lock from `held` on that is in the way. */
static const rec_t *next_conflict(const rec_t *held, const rec_t *wish)
{
    if (wish->type == VFS_LOCK_UNLOCK) return NULL;
    while (held != NULL && !conflicts(held, wish))
        held = held->next;
    return held;
}

/* ---- ranges */

static void insert(rec_t **list, rec_t *rec)
{
    while (*list != NULL && (*list)->start < rec->start)
        list = &(*list)->next;
    rec->next = *list;
    *list = rec;
}

/* Cut the range of `hole` out of what its owner holds; *spare is used where a lock falls in two. */
static void cut(rec_t **list, const rec_t *hole, rec_t **spare)
{
    rec_t **link = list;
    while (*link != NULL) {
        rec_t *rec = *link;
        if (!same_owner(&rec->owner, &hole->owner) || !overlaps(rec, hole)) {
            link = &rec->next;
            continue;
        }
        if (rec->start < hole->start && rec->end > hole->end) {
            rec_t *tail = *spare;
            VFS_ASSERT(tail != NULL);
            *spare = NULL;
            *tail = *rec;
            tail->start = hole->end + 1;
            rec->end = hole->start - 1;
            insert(list, tail);
            return; /* nothing else of this owner can be here */
        }
        if (rec->start < hole->start) {
            rec->end = hole->start - 1;
            link = &rec->next;
            continue;
        }
        *link = rec->next;
        if (rec->end > hole->end) {
            rec->start = hole->end + 1;
            insert(list, rec); /* further on: it does not overlap the hole any more */
        } else {
            free(rec);
        }
    }
}

/* Insert `rec`, swallowing neighbours that say the same. */
static void join(rec_t **list, rec_t *rec)
{
    rec_t **link = list;
    while (*link != NULL) {
        rec_t *near = *link;
        int before = near->end != VFS__OFF_MAX && near->end + 1 == rec->start;
        int behind = rec->end != VFS__OFF_MAX && rec->end + 1 == near->start;
        if ((before || behind) && near->type == rec->type &&
            same_owner(&near->owner, &rec->owner) && near->owner.handle == rec->owner.handle) {
            if (before) rec->start = near->start;
            if (behind) rec->end = near->end;
            *link = near->next;
            free(near);
        } else {
            link = &near->next;
        }
    }
    insert(list, rec);
}

/* Give up the flock lock of a handle. Was there one? */
static int drop_whole(vfs__locks_t *locks, const void *handle)
{
    for (rec_t **link = &locks->wholes; *link != NULL; link = &(*link)->next) {
        rec_t *rec = *link;
        if (rec->owner.handle != handle) continue;
        *link = rec->next;
        free(rec);
        return 1;
    }
    return 0;
}

/* ---- waiting */

/* Is there a way from `me` back to its owner? Byte-range locks only, as in fcntl(2). */
static int would_deadlock(vfs__locktable_t *table, waiter_t *me)
{
    for (waiter_t *w = table->waiters; w != NULL; w = w->next)
        w->seen = 0;
    me->seen = 1;
    me->pending = NULL;
    waiter_t *pending = me;
    while (pending != NULL) {
        waiter_t *at = pending;
        pending = at->pending;
        const rec_t *rec = at->locks->ranges;
        while ((rec = next_conflict(rec, at->wish)) != NULL) {
            if (same_owner(&rec->owner, &me->wish->owner)) return 1;
            for (waiter_t *w = table->waiters; w != NULL; w = w->next) {
                if (w->seen || !same_owner(&w->wish->owner, &rec->owner)) continue;
                w->seen = 1;
                w->pending = pending;
                pending = w;
            }
            rec = rec->next;
        }
    }
    return 0;
}

static void leave(vfs__locktable_t *table, waiter_t *me)
{
    waiter_t **link = &table->waiters;
    while (*link != me)
        link = &(*link)->next;
    *link = me->next;
}

/* Wait until nothing is in the way, with the mutex held. */
static apr_status_t wait_free(vfs__locktable_t *table, vfs__locks_t *locks, rec_t *const *list,
                              const vfs_ctx_t *ctx, const rec_t *wish)
{
    int whole = list == &locks->wholes;
    waiter_t me = {.next = table->waiters, .locks = locks, .wish = wish};
    apr_status_t status = APR_SUCCESS;
    if (whole && drop_whole(locks, wish->owner.handle)) pthread_cond_broadcast(&table->freed);
    if (!whole) table->waiters = &me;
    while (status == APR_SUCCESS && next_conflict(*list, wish) != NULL) {
        if (!whole && would_deadlock(table, &me))
            status = APR_FROM_OS_ERROR(EDEADLK);
        else
            status = vfs__cond_wait(&table->freed, &table->mutex, ctx);
    }
    if (!whole) leave(table, &me);
    return status;
}

/* ---- the interface */

static void describe(vfs_lock_t *out, const rec_t *rec)
{
    if (rec == NULL) {
        out->type = VFS_LOCK_UNLOCK;
        return;
    }
    out->type = rec->type;
    out->start = rec->start;
    out->len = rec->end == VFS__OFF_MAX ? 0 : rec->end - rec->start + 1;
    out->owner = rec->owner.number;
    out->pid = rec->pid;
}

static rec_t wish_of(const void *handle, const vfs_lock_t *lock)
{
    rec_t wish = {.type = lock->type, .start = lock->start, .end = VFS__OFF_MAX};
    wish.owner.handle = handle;
    wish.pid = lock->pid != 0 ? lock->pid : (int32_t)getpid();
    if (lock->flags & VFS_LOCK_WHOLE) {
        wish.start = 0; /* and the owner is the handle, whoever calls */
        return wish;
    }
    wish.owner.number = lock->owner;
    if (lock->len > 0) wish.end = lock->start + (lock->len - 1);
    return wish;
}

/* Nothing is in the way: put *rec in. What is not used of *rec and *spare stays the caller's. */
static void apply(vfs__locks_t *locks, int whole, const rec_t *wish, rec_t **rec, rec_t **spare)
{
    if (whole)
        (void)drop_whole(locks, wish->owner.handle); /* whether there was one makes no difference */
    else
        cut(&locks->ranges, wish, spare);
    if (wish->type == VFS_LOCK_UNLOCK) return;
    **rec = *wish;
    if (whole)
        insert(&locks->wholes, *rec);
    else
        join(&locks->ranges, *rec);
    *rec = NULL;
}

static apr_status_t set_lock(vfs__locktable_t *table, vfs__locks_t *locks, const vfs_ctx_t *ctx,
                             const rec_t *wish, uint32_t flags)
{
    int whole = (flags & VFS_LOCK_WHOLE) != 0;
    rec_t **list = whole ? &locks->wholes : &locks->ranges;
    apr_status_t status = APR_ENOMEM;
    rec_t *rec = malloc(sizeof(*rec));
    rec_t *spare = malloc(sizeof(*spare));
    if (rec == NULL || spare == NULL) goto done;
    status = APR_SUCCESS;
    pthread_mutex_lock(&table->mutex);
    if (next_conflict(*list, wish) != NULL) {
        status = APR_EAGAIN;
        if (flags & VFS_LOCK_WAIT) status = wait_free(table, locks, list, ctx, wish);
    }
    if (status == APR_SUCCESS) {
        apply(locks, whole, wish, &rec, &spare);
        pthread_cond_broadcast(&table->freed);
    }
    pthread_mutex_unlock(&table->mutex);
done:
    free(rec);
    free(spare);
    return status;
}

apr_status_t vfs__locktable_lock(vfs__locktable_t *table, vfs__locks_t *locks, const void *handle,
                                 const vfs_ctx_t *ctx, vfs_lock_t *lock)
{
    VFS_ASSERT(handle != NULL);
    rec_t wish = wish_of(handle, lock);
    VFS_ASSERT(wish.start >= 0 && wish.end >= wish.start);
    if (!(lock->flags & VFS_LOCK_TEST)) return set_lock(table, locks, ctx, &wish, lock->flags);
    pthread_mutex_lock(&table->mutex);
    describe(lock,
             next_conflict(lock->flags & VFS_LOCK_WHOLE ? locks->wholes : locks->ranges, &wish));
    pthread_mutex_unlock(&table->mutex);
    return APR_SUCCESS;
}

void vfs__locktable_release(vfs__locktable_t *table, vfs__locks_t *locks, const void *handle)
{
    pthread_mutex_lock(&table->mutex);
    int freed = drop_whole(locks, handle);
    rec_t **link = &locks->ranges;
    while (*link != NULL) {
        rec_t *rec = *link;
        if (rec->owner.handle != handle) {
            link = &rec->next;
            continue;
        }
        *link = rec->next;
        free(rec);
        freed = 1;
    }
    if (freed) pthread_cond_broadcast(&table->freed);
    pthread_mutex_unlock(&table->mutex);
}
