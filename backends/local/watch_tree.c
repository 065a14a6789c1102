/*
 * watch_tree.c - putting watches on a path: the directories above it, itself, and all below.
 * Floor 2.
 */
#include "backends/local/watch.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 32768u

/* ---- watching a tree */

/* Paths that are still to be looked into. */
typedef struct todo_t {
    char **paths;
    size_t count;
    size_t room;
} todo_t;

static apr_status_t push(todo_t *todo, const char *path)
{
    if (todo->count == todo->room) {
        size_t room = todo->room != 0 ? 2 * todo->room : 64;
        char **grown = realloc(todo->paths, room * sizeof(*grown));
        if (grown == NULL) return APR_ENOMEM;
        todo->paths = grown;
        todo->room = room;
    }
    todo->paths[todo->count] = strdup(path);
    return todo->paths[todo->count] != NULL ? (todo->count++, APR_SUCCESS) : APR_ENOMEM;
}

static apr_status_t watch_dir(local_watcher_t *w, int fd, const char *path)
{
    int wd;
    local__watch_lock(w); /* an event must find its entry */
    apr_status_t status = port__watch_add(&w->port, fd, &wd);
    if (status == APR_SUCCESS) {
        status = local__watch_insert(w, wd, path);
        if (status != APR_SUCCESS && local__watch_find(w, wd, NULL) == NULL)
            port__watch_remove(&w->port, wd);
    }
    local__watch_unlock(w);
    return status;
}

static int is_dir(int fd, const port_dirent_t *entry)
{
    vfs_attr_t attr;
    if (entry->type != VFS_TYPE_UNKNOWN) return entry->type == VFS_TYPE_DIR;
    return port__statat(fd, entry->name, &attr) == APR_SUCCESS && attr.type == VFS_TYPE_DIR;
}

/* List a directory that is watched now: what it holds is told (with `telling`), directories are to
 * be looked into. */
static apr_status_t list(local_watcher_t *w, int fd, const char *path, char *block, int telling,
                         todo_t *todo)
{
    char child[VFS_PATH_MAX + 1];
    apr_status_t status = APR_SUCCESS;
    size_t len = 1;
    while (status == APR_SUCCESS && len > 0) {
        status = port__getdents(fd, block, BLOCK_BYTES, &len);
        for (size_t pos = 0; status == APR_SUCCESS && pos < len;) {
            port_dirent_t entry;
            port__dirent(block, &pos, &entry);
            if (local__watch_join(child, path, entry.name) == 0)
                continue; /* ".", "..", or too long for a path */
            if (is_dir(fd, &entry)) status = push(todo, child);
            if (telling) local__watch_tell(w, child, VFS_EVENT_CREATED);
        }
    }
    return status;
}

/* What cannot be opened cannot be watched: it has gone, is no directory, or is not ours to read. */
static apr_status_t look_into(local_watcher_t *w, const char *path, uint32_t flags, char *block,
                              int telling, todo_t *todo)
{
    int fd;
    int direct;
    if (port__open(w->root, path, VFS_O_DIRECTORY | flags, &fd, &direct) != APR_SUCCESS) {
        return APR_SUCCESS;
    }
    apr_status_t status = watch_dir(w, fd, path);
    if (status == APR_SUCCESS && todo != NULL) status = list(w, fd, path, block, telling, todo);
    port__close(fd);
    return status == VFS_ELIMIT || status == APR_ENOMEM ? status : APR_SUCCESS;
}

/* Watch `path` and all below it. */
apr_status_t local__watch_tree(local_watcher_t *w, const char *path, int telling)
{
    todo_t todo = {NULL, 0, 0};
    uint32_t flags = 0;
    char *block = malloc(BLOCK_BYTES);
    apr_status_t status = block != NULL ? push(&todo, path) : APR_ENOMEM;
    while (todo.count > 0) {
        char *next = todo.paths[--todo.count];
        if (status == APR_SUCCESS) status = look_into(w, next, flags, block, telling, &todo);
        flags = VFS_O_NOFOLLOW; /* below the top */
        free(next);
    }
    free(todo.paths);
    free(block);
    return status;
}

/* Watch the directories above `path`, then the tree. */
apr_status_t local__watch_path(local_watcher_t *w, const char *path)
{
    char above[VFS_PATH_MAX + 1];
    size_t len = strlen(path);
    apr_status_t status = len > 1 ? look_into(w, "/", 0, NULL, 0, NULL) : APR_SUCCESS;
    for (size_t i = 1; i < len && status == APR_SUCCESS; i++) {
        if (path[i] != '/') continue;
        memcpy(above, path, i);
        above[i] = '\0';
        status = look_into(w, above, 0, NULL, 0, NULL);
    }
    return status == APR_SUCCESS ? local__watch_tree(w, path, 0) : status;
}
