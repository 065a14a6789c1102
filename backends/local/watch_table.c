/*
 * watch_table.c - which directories the system watches for us, and for whom. Floor 2.
 */
#include "backends/local/watch.h"

#include <stdlib.h>
#include <string.h>

void local__watch_lock(local_watcher_t *w)
{
    (void)pthread_mutex_lock(&w->mutex); /* a default mutex does not fail */
}

void local__watch_unlock(local_watcher_t *w)
{
    (void)pthread_mutex_unlock(&w->mutex); /* as above */
}

int local__watch_within(const char *path, size_t len, const char *prefix, size_t prefix_len)
{
    vfs_path_t a = {path, (uint32_t)len, 0, 0};
    vfs_path_t b = {prefix, (uint32_t)prefix_len, 0, 0};
    return vfs_path_within(&a, &b);
}

/* "/a" and "b" to "/a/b" in buf (VFS_PATH_MAX + 1 bytes); 0 if that is too long. */
size_t local__watch_join(char *buf, const char *dir, const char *name)
{
    vfs_path_t out;
    vfs_path_t parent = {dir, (uint32_t)strlen(dir), 0, 0};
    apr_status_t status = vfs_path_join(&out, &parent, name, strlen(name), buf);
    return status == APR_SUCCESS ? out.len : 0;
}

/* ---- the table of watched directories, under the mutex */

static local_entry_t **bucket_of(local_watcher_t *w, int wd)
{
    return &w->buckets[(unsigned)wd % WATCH_BUCKETS];
}

/* The next entry of wd behind `after` (NULL: the first). */
local_entry_t *local__watch_find(local_watcher_t *w, int wd, const local_entry_t *after)
{
    local_entry_t *e = after != NULL ? after->next : *bucket_of(w, wd);
    while (e != NULL && e->wd != wd)
        e = e->next;
    return e;
}

apr_status_t local__watch_insert(local_watcher_t *w, int wd, const char *path)
{
    size_t len = strlen(path);
    for (local_entry_t *e = local__watch_find(w, wd, NULL); e != NULL;
         e = local__watch_find(w, wd, e)) {
        if (strcmp(e->path, path) == 0) return APR_SUCCESS;
    }
    local_entry_t *e = malloc(sizeof(*e) + len + 1);
    if (e == NULL) return APR_ENOMEM;
    e->wd = wd;
    e->len = (uint32_t)len;
    memcpy(e->path, path, len + 1);
    e->next = *bucket_of(w, wd);
    *bucket_of(w, wd) = e;
    return APR_SUCCESS;
}

/* Is it needed by any watch: on the way to it, or below it? */
static int covered(const local_watcher_t *w, const local_entry_t *e)
{
    for (const local_reg_t *r = w->regs; r != NULL; r = r->next) {
        if (local__watch_within(e->path, e->len, r->path, r->len) ||
            local__watch_within(r->path, r->len, e->path, e->len)) {
            return 1;
        }
    }
    return 0;
}

/* Forget the directories at and below `path`, or with NULL those that nobody needs. */
void local__watch_forget(local_watcher_t *w, const char *path, size_t len)
{
    for (unsigned i = 0; i < WATCH_BUCKETS; i++) {
        local_entry_t **at = &w->buckets[i];
        while (*at != NULL) {
            local_entry_t *e = *at;
            int drop =
                path != NULL ? local__watch_within(e->path, e->len, path, len) : !covered(w, e);
            if (!drop) {
                at = &e->next;
                continue;
            }
            *at = e->next;
            if (local__watch_find(w, e->wd, NULL) == NULL) port__watch_remove(&w->port, e->wd);
            free(e);
        }
    }
}

void local__watch_forget_wd(local_watcher_t *w, int wd)
{
    local_entry_t **at = bucket_of(w, wd);
    while (*at != NULL) {
        local_entry_t *e = *at;
        if (e->wd == wd) {
            *at = e->next;
            free(e);
        } else {
            at = &e->next;
        }
    }
}

/* ---- telling: on the thread only */

/* What a change of `path` is to one watch; 0: nothing. */
static uint32_t meaning(const local_reg_t *r, const char *path, size_t len, uint32_t events)
{
    if (local__watch_within(path, len, r->path, r->len)) return events;
    if (!local__watch_within(r->path, r->len, path, len)) return 0;
    /* Something on the way to it: it went or came with all that it holds. */
    events &= VFS_EVENT_CREATED | VFS_EVENT_REMOVED;
    return events != 0 ? events | VFS_EVENT_OVERFLOW : 0;
}

void local__watch_tell(local_watcher_t *w, const char *path, uint32_t events)
{
    size_t len = strlen(path);
    local__watch_lock(w);
    for (local_reg_t *r = w->regs; r != NULL; r = r->next) {
        uint32_t what = r->dead ? 0 : meaning(r, path, len, events);
        if (what == 0) continue;
        r->busy = 1; /* so it stays in the list */
        local__watch_unlock(w);
        r->fn(r->baton, what, local__watch_within(path, len, r->path, r->len) ? path : r->path);
        local__watch_lock(w);
        r->busy = 0;
        (void)pthread_cond_broadcast(&w->idle); /* does not fail */
    }
    local__watch_unlock(w);
}
