/*
 * dirs.c - what is remembered of directories, for some seconds. Floor 2.
 *
 * Who makes a file asks for its directory next, since that has changed: a system call, or the
 * kernel, for each. When and how is known: the server answered to the PUT, and said what time it
 * is. So what was known before, with that time, is told for ABOVE_US.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/webdav/webdav.h"

#define NS_PER_S 1000000000
#define DIR_S 5
#define ABOVE_US 1000000

/* ---- that they are there */

static uint64_t seen_mark(const char *path, _Atomic uint64_t **slot, webdav_t *w)
{
    uint32_t hash = vfs_path_hash(path, strlen(path));
    *slot = &w->dirs[hash % WEBDAV_DIRS];
    return (uint64_t)hash << 32;
}

static uint32_t now_s(void)
{
    return (uint32_t)(vfs_now_ns() / NS_PER_S);
}

void webdav__saw_dir(webdav_t *w, const char *path)
{
    _Atomic uint64_t *slot = NULL;
    uint64_t mark = seen_mark(path, &slot, w);
    atomic_store_explicit(slot, mark | now_s(), memory_order_relaxed);
}

int webdav__seen_dir(webdav_t *w, const char *path)
{
    _Atomic uint64_t *slot = NULL;
    uint64_t mark = seen_mark(path, &slot, w);
    uint64_t was = atomic_load_explicit(slot, memory_order_relaxed);
    return was >> 32 == mark >> 32 && now_s() - (uint32_t)was <= DIR_S;
}

/* ---- what they are like. All static functions: locked, but for the first. */

static webdav_above_t *above_slot(webdav_t *w, const char *path)
{
    return &w->above[vfs_path_hash(path, strlen(path)) % WEBDAV_ABOVE];
}

static void above_clear(webdav_above_t *slot)
{
    free(slot->path);
    *slot = (webdav_above_t){.path = NULL};
}

/* NULL: all. Not locked. */
static void above_forget(webdav_t *w, const char *path)
{
    pthread_mutex_lock(&w->above_lock);
    for (unsigned i = 0; i < WEBDAV_ABOVE; i++) {
        webdav_above_t *slot = &w->above[i];
        if (slot->path != NULL && (path == NULL || strcmp(slot->path, path) == 0))
            above_clear(slot);
    }
    pthread_mutex_unlock(&w->above_lock);
}

void webdav__saw_dir_as(webdav_t *w, const char *path, const vfs_attr_t *attr)
{
    webdav_above_t *slot = above_slot(w, path);
    webdav__saw_dir(w, path);
    pthread_mutex_lock(&w->above_lock);
    if (slot->path == NULL || strcmp(slot->path, path) != 0) {
        above_clear(slot);
        slot->path = strdup(path);
    }
    slot->attr = *attr;
    slot->until_us = 0;
    pthread_mutex_unlock(&w->above_lock);
}

/* The directory that `path` is in. */
static void above_of(const char *path, char above[VFS_PATH_MAX + 1])
{
    size_t len = (size_t)(strrchr(path, '/') - path);
    if (len == 0) len = 1;
    memcpy(above, path, len);
    above[len] = '\0';
}

/* It has this time; -1: who knows. */
static void above_touch(webdav_t *w, const char *above, int64_t date_s)
{
    webdav_above_t *slot = above_slot(w, above);
    pthread_mutex_lock(&w->above_lock);
    if (slot->path != NULL && strcmp(slot->path, above) == 0) {
        if (date_s >= 0)
            slot->attr.mtime_ns = slot->attr.ctime_ns = slot->attr.atime_ns = date_s * NS_PER_S;
        slot->until_us = date_s >= 0 ? apr_time_now() + ABOVE_US : 0;
    }
    pthread_mutex_unlock(&w->above_lock);
}

void webdav__dir_got(webdav_t *w, const char *path, int64_t date_s)
{
    char above[VFS_PATH_MAX + 1];
    above_of(path, above);
    webdav__saw_dir(w, above);
    above_touch(w, above, date_s);
}

void webdav__dir_moved(webdav_t *w, const char *path)
{
    char above[VFS_PATH_MAX + 1];
    above_of(path, above);
    above_touch(w, above, -1);
}

int webdav__dir_told(webdav_t *w, const char *path, vfs_attr_t *attr, vfs_validator_t *validator)
{
    webdav_above_t *slot = above_slot(w, path);
    pthread_mutex_lock(&w->above_lock);
    int told =
        slot->path != NULL && strcmp(slot->path, path) == 0 && slot->until_us > apr_time_now();
    if (told) *attr = slot->attr;
    pthread_mutex_unlock(&w->above_lock);
    if (told) memset(validator, 0, sizeof(*validator));
    return told;
}

void webdav__dirs_end(webdav_t *w)
{
    above_forget(w, NULL);
    (void)pthread_mutex_destroy(&w->above_lock); /* nobody is left to ask */
}

/* ---- what is not so any more */

void webdav__forget_dir(webdav_t *w, const char *path)
{
    _Atomic uint64_t *slot = NULL;
    uint64_t mark = seen_mark(path, &slot, w);
    uint64_t was = atomic_load_explicit(slot, memory_order_relaxed);
    if (was >> 32 == mark >> 32) atomic_store_explicit(slot, 0, memory_order_relaxed);
    above_forget(w, path);
}

void webdav__forget_dirs(webdav_t *w)
{
    for (unsigned i = 0; i < WEBDAV_DIRS; i++)
        atomic_store_explicit(&w->dirs[i], 0, memory_order_relaxed);
    above_forget(w, NULL);
}
