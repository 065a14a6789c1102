/*
 * watch.h - the watcher of an instance: its tables, and what watch*.c share. Floor 2, private to
 * backends/local. The essay is in watch.c.
 */
#ifndef BACKENDS_LOCAL_WATCH_H
#define BACKENDS_LOCAL_WATCH_H

#include "backends/local/local.h"

#define WATCH_BUCKETS 4096u

/* A directory that the system watches, by one of its paths. */
typedef struct local_entry_t {
    struct local_entry_t *next;
    int wd;
    uint32_t len;
    char path[];
} local_entry_t;

/* A watch of a caller. While busy, its fn runs and it stays; dead, it gets no more events. */
typedef struct local_reg_t {
    struct local_reg_t *next;
    uint64_t id;
    vfs_event_fn fn;
    void *baton;
    int busy;
    int dead;
    uint32_t len;
    char path[];
} local_reg_t;

/* `mutex` guards the two tables. No fn runs under it. */
struct local_watcher_t {
    const port_root_t *root;
    port_watch_t port;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t idle; /* a fn has ended */
    local_reg_t *regs;
    uint64_t ids;
    int blind; /* the thread's own: some directory could not be watched, try again */
    local_entry_t *buckets[WATCH_BUCKETS];
};

/* ---- watch_table.c: all but tell with the mutex held */

void local__watch_lock(local_watcher_t *w);
void local__watch_unlock(local_watcher_t *w);
/** Is `path` at or below `prefix`? */
int local__watch_within(const char *path, size_t len, const char *prefix, size_t prefix_len);
/** "/a" and "b" to "/a/b" in buf (VFS_PATH_MAX + 1 bytes); 0 if there is no such path. */
size_t local__watch_join(char *buf, const char *dir, const char *name);
/** The next entry of wd behind `after` (NULL: the first), or NULL. */
local_entry_t *local__watch_find(local_watcher_t *w, int wd, const local_entry_t *after);
apr_status_t local__watch_insert(local_watcher_t *w, int wd, const char *path);
/** Forget the directories at and below `path`, or with NULL those that nobody needs. */
void local__watch_forget(local_watcher_t *w, const char *path, size_t len);
void local__watch_forget_wd(local_watcher_t *w, int wd);
/** Call the watches that `path` concerns. On the watcher's thread, without the mutex. */
void local__watch_tell(local_watcher_t *w, const char *path, uint32_t events);

/* ---- watch_tree.c: without the mutex */

/** Watch `path` and all below it; with `telling`, what is found there is told as created.
 *  @return APR_SUCCESS; VFS_ELIMIT; APR_ENOMEM */
apr_status_t local__watch_tree(local_watcher_t *w, const char *path, int telling);
/** Watch the directories above `path`, then its tree. */
apr_status_t local__watch_path(local_watcher_t *w, const char *path);

#endif
