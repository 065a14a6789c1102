/*
 * watch.c - change events. Floor 2.
 *
 * Whoever changes something queues an event while it still holds fs->names, so events have the
 * order of the changes. A thread, started with the first watch, takes them out and calls the
 * watchers with no lock held; `running` says whom it calls, and unwatch waits for that. The queue
 * is bounded: what does not fit is an overflow, told once to every watch. A watch hears of what
 * lies at or below its path, and of a directory above it that goes or comes.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "backends/mem/mem.h"

apr_status_t mem__watches_init(mem_watches_t *watches)
{
    if (pthread_mutex_init(&watches->lock, NULL) != 0) return APR_ENOMEM;
    if (pthread_cond_init(&watches->wake, NULL) != 0) goto no_wake;
    if (pthread_cond_init(&watches->idle, NULL) != 0) goto no_idle;
    atomic_init(&watches->count, 0);
    watches->next_id = 1;
    return APR_SUCCESS;
no_idle:
    (void)pthread_cond_destroy(&watches->wake);
no_wake:
    (void)pthread_mutex_destroy(&watches->lock);
    return APR_ENOMEM;
}

void mem__watches_destroy(mem_watches_t *watches)
{
    pthread_mutex_lock(&watches->lock);
    watches->stop = 1;
    pthread_cond_broadcast(&watches->wake);
    pthread_mutex_unlock(&watches->lock);
    if (watches->started) pthread_join(watches->thread, NULL);
    while (watches->list != NULL) {
        mem_watch_t *next = watches->list->next;
        free(watches->list->real);
        free(watches->list);
        watches->list = next;
    }
    while (watches->head != NULL) {
        mem_event_t *next = watches->head->next;
        free(watches->head);
        watches->head = next;
    }
    (void)pthread_cond_destroy(&watches->idle); /* nobody is left who waits */
    (void)pthread_cond_destroy(&watches->wake);
    (void)pthread_mutex_destroy(&watches->lock);
}

/* ---- the side of those who change */

/* "/a/b/name"; fs->names held. The caller frees it. With *len the bytes before the NUL; `before`
 * bytes are left free in front. */
static char *path_make(mem_inode_t *dir, const char *name, size_t name_len, size_t before,
                       size_t *len)
{
    size_t need = name_len + 1;
    char *out, *end;

    for (mem_inode_t *at = dir; at->names != NULL; at = at->names->parent)
        need += at->names->len + 1;
    out = malloc(before + need + 1);
    if (out == NULL) return NULL;
    *len = need;
    end = out + before + need;
    *end = '\0';
    end -= name_len;
    memcpy(end, name, name_len);
    *--end = '/';
    for (mem_inode_t *at = dir; at->names != NULL; at = at->names->parent) {
        end -= at->names->len;
        memcpy(end, at->names->name, at->names->len);
        *--end = '/';
    }
    VFS_ASSERT(end == out + before);
    return out;
}

/* Events were lost: every watch will be told. lock held. */
static void overflow(mem_watches_t *watches)
{
    for (mem_watch_t *watch = watches->list; watch != NULL; watch = watch->next)
        watch->overflow = 1;
    pthread_cond_signal(&watches->wake);
}

static void enqueue(mem_watches_t *watches, mem_event_t *event)
{
    pthread_mutex_lock(&watches->lock);
    mem_event_t *tail = watches->tail;
    if (event == NULL || watches->queued >= MEM_EVENTS_MAX) {
        overflow(watches);
        free(event);
    } else if (tail != NULL && tail->bits == event->bits && tail->len == event->len &&
               tail->before == watches->next_id &&
               memcmp(tail->path, event->path, tail->len) == 0) {
        free(event); /* the same again, and nobody heard of it yet */
    } else {
        event->before = watches->next_id;
        event->next = NULL;
        if (tail != NULL)
            tail->next = event;
        else
            watches->head = event;
        watches->tail = event;
        watches->queued++;
        pthread_cond_signal(&watches->wake);
    }
    pthread_mutex_unlock(&watches->lock);
}

void mem__event_name(mem_fs_t *fs, uint32_t bits, mem_inode_t *dir, const char *name, size_t len,
                     int moved)
{
    size_t path_len;

    if (!mem__watched(fs)) return;
    mem_event_t *event =
        (mem_event_t *)(void *)path_make(dir, name, len, offsetof(mem_event_t, path), &path_len);
    if (event != NULL) {
        event->bits = bits;
        event->moved = moved;
        event->len = path_len;
    }
    enqueue(&fs->watches, event);
}

void mem__event_inode(mem_fs_t *fs, uint32_t bits, mem_inode_t *inode)
{
    if (!mem__watched(fs)) return;
    for (mem_dirent_t *at = inode->names; at != NULL; at = at->after)
        mem__event_name(fs, bits, at->parent, at->name, at->len, 0);
    if (inode == fs->root) mem__event_name(fs, bits, inode, "", 0, 0);
}

void mem__event_changed(mem_fs_t *fs, mem_inode_t *inode)
{
    if (!mem__watched(fs)) return;
    mem__rd(&fs->names);
    mem__event_inode(fs, VFS_EVENT_CHANGED, inode);
    mem__un(&fs->names);
}

/* ---- the thread */

/* Is `path` at or below `prefix`? The root is written "/". */
static int is_within(const char *path, size_t len, const char *prefix, size_t prefix_len)
{
    if (prefix_len == 1) return 1;
    return len >= prefix_len && memcmp(path, prefix, prefix_len) == 0 &&
           (len == prefix_len || path[prefix_len] == '/');
}

/* Call a watcher. lock held, and dropped meanwhile. */
static void tell(mem_watches_t *watches, mem_watch_t *watch, uint32_t bits, const char *path)
{
    watches->running = watch;
    pthread_mutex_unlock(&watches->lock);
    watch->fn(watch->baton, bits, path);
    pthread_mutex_lock(&watches->lock);
    watches->running = NULL;
    pthread_cond_broadcast(&watches->idle);
}

/* Tell one watch of an event, if it concerns it. lock held, and dropped meanwhile. */
static void deliver(mem_watches_t *watches, mem_watch_t *watch, const mem_event_t *event)
{
    if (is_within(event->path, event->len, watch->real, watch->real_len)) {
        /* In the caller's own words: its path, and what follows where that leads. */
        const char *rest = event->path + (watch->real_len == 1 ? 0 : watch->real_len);
        size_t asked = strlen(watch->asked), rest_len = strlen(rest);
        if (asked == 1) asked = 0;
        if (rest_len == 1 && rest[0] == '/') rest_len = 0;
        char *path = malloc(asked + rest_len + 2);
        if (path == NULL) {
            watch->overflow = 1;
            return;
        }
        memcpy(path, watch->asked, asked);
        memcpy(path + asked, rest, rest_len);
        if (asked + rest_len == 0) path[rest_len++] = '/';
        path[asked + rest_len] = '\0';
        tell(watches, watch, event->bits, path);
        free(path);
    } else if (event->moved && is_within(watch->real, watch->real_len, event->path, event->len)) {
        uint32_t bits = (event->bits & VFS_EVENT_CREATED) != 0 ? VFS_EVENT_OVERFLOW : event->bits;
        tell(watches, watch, bits, watch->asked);
    }
}

/* The first watch with an id above `id`. lock held. */
static mem_watch_t *watch_above(const mem_watches_t *watches, uint64_t id)
{
    mem_watch_t *watch = watches->list;

    while (watch != NULL && watch->id <= id)
        watch = watch->next;
    return watch;
}

static mem_watch_t *watch_overflown(const mem_watches_t *watches)
{
    mem_watch_t *watch = watches->list;

    while (watch != NULL && !watch->overflow)
        watch = watch->next;
    return watch;
}

static void *watch_thread(void *baton)
{
    mem_watches_t *watches = baton;

    pthread_mutex_lock(&watches->lock);
    while (!watches->stop) {
        mem_watch_t *watch = watch_overflown(watches);
        mem_event_t *event = watches->head;
        if (event != NULL) {
            watches->head = event->next;
            if (event->next == NULL) watches->tail = NULL;
            watches->queued--;
            uint64_t id = 0;
            while (!watches->stop && (watch = watch_above(watches, id)) != NULL &&
                   watch->id < event->before) {
                id = watch->id;
                deliver(watches, watch, event);
            }
            free(event);
        } else if (watch != NULL) {
            watch->overflow = 0;
            tell(watches, watch, VFS_EVENT_OVERFLOW, watch->asked);
        } else {
            pthread_cond_wait(&watches->wake, &watches->lock);
        }
    }
    pthread_mutex_unlock(&watches->lock);
    return NULL;
}

/* lock held. */
static apr_status_t watch_start(mem_watches_t *watches)
{
    sigset_t all, old;
    int err;

    if (watches->started) return APR_SUCCESS;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are for the program's own threads */
    err = pthread_create(&watches->thread, NULL, watch_thread, watches);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err != 0) return MEM_ERR(err);
    watches->started = 1;
    return APR_SUCCESS;
}

/* ---- the ops */

static apr_status_t watch_add(mem_watches_t *watches, mem_watch_t *watch, uint64_t *id)
{
    mem_watch_t **end = &watches->list;
    apr_status_t status;

    pthread_mutex_lock(&watches->lock);
    status = atomic_load_explicit(&watches->count, memory_order_relaxed) < MEM_WATCHES_MAX
                 ? watch_start(watches)
                 : VFS_ELIMIT;
    if (status == APR_SUCCESS) {
        while (*end != NULL)
            end = &(*end)->next;
        *end = watch;
        *id = watch->id = watches->next_id++;
        atomic_fetch_add_explicit(&watches->count, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&watches->lock);
    return status;
}

apr_status_t mem_watch(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, vfs_event_fn fn,
                       void *baton, uint64_t *id)
{
    mem_fs_t *m = fs->state;
    mem_user_t user = mem__user(m, ctx);
    mem_watch_t *watch = calloc(1, sizeof(*watch) + path->len + 1);
    mem_walk_t w;
    apr_status_t status;

    if (watch == NULL) return APR_ENOMEM;
    watch->fn = fn;
    watch->baton = baton;
    memcpy(watch->asked, path->str, path->len + 1);
    mem__rd(&m->names);
    status = mem__walk(&w, m, &user, path->str, 1);
    if (status == APR_SUCCESS && w.inode == NULL) status = APR_ENOENT;
    if (status == APR_SUCCESS) {
        if (w.entry != NULL)
            watch->real = path_make(w.dir, w.name, w.len, 0, &watch->real_len);
        else if (w.inode->names != NULL)
            watch->real = path_make(w.inode->names->parent, w.inode->names->name,
                                    w.inode->names->len, 0, &watch->real_len);
        else
            watch->real = path_make(w.inode, "", 0, 0, &watch->real_len);
        if (watch->real == NULL) status = APR_ENOMEM;
    }
    /* Still under fs->names: from here on no change is missed, and none from before is told. */
    if (status == APR_SUCCESS) status = watch_add(&m->watches, watch, id);
    mem__un(&m->names);
    if (status != APR_SUCCESS) {
        free(watch->real);
        free(watch);
    }
    return status;
}

apr_status_t mem_unwatch(vfs_t *fs, uint64_t id)
{
    mem_watches_t *watches = &((mem_fs_t *)fs->state)->watches;
    mem_watch_t **at = &watches->list, *watch;

    pthread_mutex_lock(&watches->lock);
    while (*at != NULL && (*at)->id != id)
        at = &(*at)->next;
    watch = *at;
    if (watch != NULL) {
        *at = watch->next;
        atomic_fetch_sub_explicit(&watches->count, 1, memory_order_relaxed);
        while (watches->running == watch)
            pthread_cond_wait(&watches->idle, &watches->lock);
    }
    pthread_mutex_unlock(&watches->lock);
    if (watch == NULL) return APR_EINVAL;
    free(watch->real);
    free(watch);
    return APR_SUCCESS;
}
