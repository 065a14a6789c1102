/*
 * watch.c - change events. Floor 2. The system watches single directories and reports names in
 * them. So a watch on a path takes: each directory above it, to see the path itself come and go;
 * its own, and all below it. A directory that appears is watched first and listed then, so that
 * nothing made meanwhile is missed (it may be told twice). One that is moved away is forgotten with
 * all below it, and told as removed with "anything below may have changed". Links are followed on
 * the way to the path, not below it.
 */
#include "backends/local/watch.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS 1000
#define RETRY_US 100000

/* ---- the thread */

/* The path of the first living watch behind id `after`; 0 if there is none. Ids fall along the
 * list. */
static uint64_t next_reg(local_watcher_t *w, uint64_t before, char *path)
{
    uint64_t id = 0;
    local__watch_lock(w);
    for (local_reg_t *r = w->regs; r != NULL && id == 0; r = r->next) {
        if (r->dead || r->id >= before) continue;
        id = r->id;
        memcpy(path, r->path, r->len + 1u);
    }
    local__watch_unlock(w);
    return id;
}

/* Look anew at what the watches at or below `path` need. */
static void watch_again(local_watcher_t *w, const char *path)
{
    char own[VFS_PATH_MAX + 1];
    size_t len = strlen(path);
    for (uint64_t id = UINT64_MAX; (id = next_reg(w, id, own)) != 0;) {
        if (!local__watch_within(own, strlen(own), path, len)) continue;
        if (local__watch_path(w, own) != APR_SUCCESS) w->blind = 1;
    }
}

static void lost_events(local_watcher_t *w)
{
    char own[VFS_PATH_MAX + 1];
    w->blind = 0;
    watch_again(w, "/");
    for (uint64_t id = UINT64_MAX; (id = next_reg(w, id, own)) != 0;) {
        local__watch_tell(w, own, VFS_EVENT_OVERFLOW);
    }
}

/* Is it at or below the path of any watch? */
static int wanted(local_watcher_t *w, const char *path)
{
    size_t len = strlen(path);
    int found = 0;
    local__watch_lock(w);
    for (const local_reg_t *r = w->regs; r != NULL && !found; r = r->next) {
        found = !r->dead && local__watch_within(path, len, r->path, r->len);
    }
    local__watch_unlock(w);
    return found;
}

/* A change of one path. What is told of a path that came back holds for all that was done until it
 * is watched again: so it is watched first. */
static void happened(local_watcher_t *w, const char *path, uint32_t events)
{
    uint32_t what = events & (VFS_EVENT_CHANGED | VFS_EVENT_CREATED | VFS_EVENT_REMOVED);
    int dir = (events & PORT_EVENT_DIR) != 0;
    if (dir && (events & PORT_EVENT_MOVED)) {
        local__watch_lock(w);
        local__watch_forget(w, path, strlen(path));
        local__watch_unlock(w);
        what |= VFS_EVENT_OVERFLOW;
    }
    int created = (what & VFS_EVENT_CREATED) != 0;
    if (created) watch_again(w, path);
    local__watch_tell(w, path, what);
    if (created && dir && wanted(w, path) && local__watch_tree(w, path, 1) != APR_SUCCESS)
        w->blind = 1;
}

static void dispatch(local_watcher_t *w, const port_event_t *event)
{
    char dir[VFS_PATH_MAX + 1];
    char path[VFS_PATH_MAX + 1];
    for (int nth = 0;; nth++) {
        local__watch_lock(w);
        local_entry_t *e = local__watch_find(w, event->wd, NULL);
        for (int i = 0; i < nth && e != NULL; i++)
            e = local__watch_find(w, event->wd, e);
        if (e != NULL) memcpy(dir, e->path, e->len + 1u);
        local__watch_unlock(w);
        if (e == NULL) return;
        if (event->name[0] == '\0') {
            happened(w, dir, event->events);
        } else if (local__watch_join(path, dir, event->name) != 0) {
            happened(w, path, event->events);
        }
    }
}

static void *run(void *baton)
{
    local_watcher_t *w = baton;
    _Alignas(8) char buf[16384];
    for (;;) {
        size_t len;
        int timeout_ms = w->blind ? RETRY_MS : -1;
        apr_status_t status = port__watch_wait(&w->port, buf, sizeof(buf), timeout_ms, &len);
        if (APR_STATUS_IS_EOF(status)) return NULL;
        if (status != APR_SUCCESS) {
            port__sleep_us(RETRY_US);
            w->blind = 1;
        }
        if (len == 0 && w->blind) lost_events(w);
        for (size_t pos = 0; pos < len;) {
            port_event_t event;
            port__watch_event(buf, &pos, &event);
            if (event.events & VFS_EVENT_OVERFLOW) {
                lost_events(w);
            } else if (event.events & PORT_EVENT_GONE) {
                local__watch_lock(w);
                local__watch_forget_wd(w, event.wd);
                local__watch_unlock(w);
            } else {
                dispatch(w, &event);
            }
        }
    }
}

/* ---- beginning and end */

static apr_status_t start(local_watcher_t *w)
{
    sigset_t all, before;
    (void)sigfillset(&all);                            /* cannot fail */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* the program's signals are its threads' */
    int err = pthread_create(&w->thread, NULL, run, w);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* as above */
    return err == 0 ? APR_SUCCESS : APR_FROM_OS_ERROR(err);
}

static apr_status_t make_watcher(const port_root_t *root, local_watcher_t **out)
{
    local_watcher_t *w = calloc(1, sizeof(*w));
    if (w == NULL) return APR_ENOMEM;
    w->root = root;
    int failed = pthread_mutex_init(&w->mutex, NULL) | pthread_cond_init(&w->idle, NULL);
    VFS_ASSERT(failed == 0); /* default ones have nothing to run out of */
    apr_status_t status = port__watch_open(&w->port);
    if (status == APR_SUCCESS) {
        status = start(w);
        if (status != APR_SUCCESS) port__watch_close(&w->port);
    }
    if (status != APR_SUCCESS) {
        (void)pthread_cond_destroy(&w->idle);   /* nobody waits */
        (void)pthread_mutex_destroy(&w->mutex); /* nobody holds it */
        free(w);
        return status;
    }
    *out = w;
    return APR_SUCCESS;
}

void local__watcher_destroy(local_watcher_t *w)
{
    if (w == NULL) return;
    port__watch_wake(&w->port);
    (void)pthread_join(w->thread, NULL); /* it is ours and was not joined */
    while (w->regs != NULL) {
        local_reg_t *r = w->regs;
        w->regs = r->next;
        free(r);
    }
    local__watch_forget(w, NULL, 0);
    port__watch_close(&w->port);
    (void)pthread_cond_destroy(&w->idle);   /* nobody waits */
    (void)pthread_mutex_destroy(&w->mutex); /* nobody holds it */
    free(w);
}

static apr_status_t watcher_of(local_t *self, local_watcher_t **out)
{
    apr_status_t status = APR_SUCCESS;
    (void)pthread_mutex_lock(&self->mutex); /* a default mutex does not fail */
    if (self->watcher == NULL) status = make_watcher(&self->root, &self->watcher);
    *out = self->watcher;
    (void)pthread_mutex_unlock(&self->mutex); /* as above */
    return status;
}

/* ---- the ops */

/* Whoever may read the path may hear of it; what lies below is not checked one by one. */
static apr_status_t may_watch(local_t *self, const vfs_ctx_t *ctx, const char *path)
{
    port_creds_t creds;
    int fd;
    int direct;
    apr_status_t status = port__creds_enter(&self->root, ctx, &creds);
    if (status != APR_SUCCESS) return status;
    status = port__open(&self->root, path, PORT_O_PATH, &fd, &direct);
    if (status == APR_SUCCESS) {
        status = port__access(fd, VFS_ACCESS_READ);
        port__close(fd);
    }
    port__creds_leave(&creds);
    return status;
}

apr_status_t local__watch(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, vfs_event_fn fn,
                          void *baton, uint64_t *watch)
{
    local_t *self = local__of(fs);
    local_watcher_t *w;
    apr_status_t status = may_watch(self, ctx, path->str);
    if (status == APR_SUCCESS) status = watcher_of(self, &w);
    if (status != APR_SUCCESS) return status;
    local_reg_t *r = calloc(1, sizeof(*r) + path->len + 1u);
    if (r == NULL) return APR_ENOMEM;
    r->fn = fn;
    r->baton = baton;
    r->len = path->len;
    memcpy(r->path, path->str, path->len + 1u);
    local__watch_lock(w);
    uint64_t id = r->id = ++w->ids;
    r->next = w->regs; /* the ids fall along the list */
    w->regs = r;
    local__watch_unlock(w);
    status = local__watch_path(w, path->str);
    if (status != APR_SUCCESS) {
        (void)local__unwatch(fs, id); /* it is there; the first error is the one to tell */
        return status;
    }
    *watch = id;
    return APR_SUCCESS;
}

apr_status_t local__unwatch(vfs_t *fs, uint64_t watch)
{
    local_t *self = local__of(fs);
    (void)pthread_mutex_lock(&self->mutex); /* a default mutex does not fail */
    local_watcher_t *w = self->watcher;
    (void)pthread_mutex_unlock(&self->mutex); /* as above */
    if (w == NULL) return APR_EINVAL;
    local__watch_lock(w);
    local_reg_t *r = w->regs;
    while (r != NULL && (r->id != watch || r->dead))
        r = r->next;
    if (r == NULL) {
        local__watch_unlock(w);
        return APR_EINVAL;
    }
    r->dead = 1;
    while (r->busy)
        (void)pthread_cond_wait(&w->idle, &w->mutex); /* a default one does not fail */
    local_reg_t **at = &w->regs;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    free(r);
    local__watch_forget(w, NULL, 0);
    local__watch_unlock(w);
    return APR_SUCCESS;
}
