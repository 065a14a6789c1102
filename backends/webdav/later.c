/*
 * later.c - locks that are given back behind the back of who had them: the answer tells nothing
 * that he wants to know, and would cost him a round trip. Floor 2.
 *
 * One thread gives them back in order, each at once. Whoever changes something that one of them may
 * be about waits for it. What cannot be given back within UNLOCK_US, or END_US when the instance
 * ends, ends by itself: a lock lasts a minute.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/webdav/webdav.h"
#include "vfs/wait.h"

#define UNLOCK_US 10000000
#define END_US 3000000

void webdav__later_init(webdav_t *w)
{
    pthread_mutex_init(&w->later.mutex, NULL);
    pthread_cond_init(&w->later.more, NULL);
    pthread_cond_init(&w->later.less, NULL);
}

/* ---- the thread */

/* Locked, and so it is again; not meanwhile. */
static void give_back(webdav_t *w, webdav_later_t *l)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;
    const webdav_owed_t owed = l->owed[l->first]; /* it stays there, for who asks */
    ctx.deadline = apr_time_now() + UNLOCK_US;
    if (l->ends && l->ends_us < ctx.deadline) ctx.deadline = l->ends_us;
    pthread_mutex_unlock(&l->mutex);
    if (vfs_ctx_check(&ctx) == APR_SUCCESS)
        webdav__unlock_token(w, &ctx, owed.path, owed.slash, owed.token);
    pthread_mutex_lock(&l->mutex);
    free(l->owed[l->first].path);
    l->owed[l->first].path = NULL;
    l->first = (l->first + 1) % WEBDAV_LATER_MAX;
    atomic_fetch_sub(&l->owed_count, 1);
    pthread_cond_broadcast(&l->less);
}

static void *run(void *baton)
{
    webdav_t *w = baton;
    webdav_later_t *l = &w->later;
    pthread_mutex_lock(&l->mutex);
    while (atomic_load(&l->owed_count) > 0 || !l->ends) {
        if (atomic_load(&l->owed_count) > 0)
            give_back(w, l);
        else
            pthread_cond_wait(&l->more, &l->mutex);
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

/* ---- who owes one */

/* Locked. 0: there is no room, no thread, or no memory. */
static int owe(webdav_t *w, const webdav_lock_t *lock)
{
    webdav_later_t *l = &w->later;
    const unsigned count = atomic_load(&l->owed_count);
    if (count == WEBDAV_LATER_MAX) return 0;
    if (!l->runs) l->runs = pthread_create(&l->thread, NULL, run, w) == 0;
    webdav_owed_t *owed = &l->owed[(l->first + count) % WEBDAV_LATER_MAX];
    if (l->runs) owed->path = strdup(lock->path);
    if (owed->path == NULL) return 0;
    owed->slash = lock->slash;
    memcpy(owed->token, lock->token, sizeof(owed->token));
    atomic_store(&l->owed_count, count + 1);
    pthread_cond_signal(&l->more);
    return 1;
}

void webdav__unlock_later(webdav_t *w, webdav_lock_t *lock)
{
    if (lock->token[0] == '\0') return;
    pthread_mutex_lock(&w->later.mutex);
    int owed = owe(w, lock);
    pthread_mutex_unlock(&w->later.mutex);
    if (!owed) webdav__unlock(w, lock);
    lock->token[0] = '\0';
}

/* ---- who would meet one */

static int within(const char *path, const char *dir)
{
    size_t len = strlen(dir);
    if (len == 1) return 1;
    return strncmp(path, dir, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

/* Locked. */
static int in_the_way(const webdav_later_t *l, const char *path)
{
    const unsigned count = atomic_load(&l->owed_count);
    for (unsigned i = 0; i < count; i++) {
        const char *owed = l->owed[(l->first + i) % WEBDAV_LATER_MAX].path;
        if (path == NULL || within(owed, path) || within(path, owed)) return 1;
    }
    return 0;
}

apr_status_t webdav__unlocked(webdav_t *w, const vfs_ctx_t *ctx, const char *path)
{
    webdav_later_t *l = &w->later;
    apr_status_t status = APR_SUCCESS;
    if (atomic_load(&l->owed_count) == 0) return APR_SUCCESS;
    pthread_mutex_lock(&l->mutex);
    while (status == APR_SUCCESS && in_the_way(l, path))
        status = vfs__cond_wait(&l->less, &l->mutex, ctx);
    pthread_mutex_unlock(&l->mutex);
    return status;
}

/* ---- the end */

void webdav__later_end(webdav_t *w)
{
    webdav_later_t *l = &w->later;
    pthread_mutex_lock(&l->mutex);
    l->ends = 1;
    l->ends_us = apr_time_now() + END_US;
    pthread_cond_signal(&l->more);
    pthread_mutex_unlock(&l->mutex);
    if (l->runs) (void)pthread_join(l->thread, NULL); /* it is ours, and ends */
    (void)pthread_mutex_destroy(&l->mutex);           /* nobody is left to wait */
    (void)pthread_cond_destroy(&l->more);
    (void)pthread_cond_destroy(&l->less);
}
