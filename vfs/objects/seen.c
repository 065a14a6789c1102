/*
 * seen.c - what the lower layer said a moment ago: names that are directories, and names of which
 * nothing is there. Floor 1, private to vfs/objects/.
 *
 * Who makes a file has asked for its name before: an answer of that moment does, since the commit
 * has its condition. What is made here meanwhile is told apart by a count, of the slot of its name:
 * an answer to a question from before is not kept.
 */
#include <stdlib.h>

#include "vfs/objects/objects.h"

/* All static functions: locked. The place of a path; OBJECTS_SEEN: it has none. */
static unsigned find(const recent_t *seen, const vfs_path_t *path)
{
    unsigned k = 0;
    while (k < OBJECTS_SEEN &&
           (seen->list[k].str == NULL || seen->list[k].hash != path->hash ||
            seen->list[k].len != path->len || memcmp(seen->list[k].str, path->str, path->len) != 0))
        k++;
    return k;
}

static void drop(recent_t *seen, unsigned k)
{
    free(seen->list[k].str);
    seen->list[k].str = NULL;
}

static void drop_all(recent_t *seen)
{
    for (unsigned k = 0; k < OBJECTS_SEEN; k++)
        drop(seen, k);
}

static int is_known(const recent_t *seen, const vfs_path_t *path)
{
    unsigned k = find(seen, path);
    return k < OBJECTS_SEEN && apr_time_now() - seen->list[k].when < OBJECTS_SEEN_US;
}

/* `str` is a copy of the path, and given away. */
static void note(recent_t *seen, const vfs_path_t *path, char *str)
{
    unsigned k = find(seen, path);
    if (k == OBJECTS_SEEN) k = seen->next++ % OBJECTS_SEEN;
    drop(seen, k);
    seen->list[k].hash = path->hash;
    seen->list[k].len = path->len;
    seen->list[k].when = apr_time_now();
    seen->list[k].str = str;
}

static char *copy_of(const vfs_path_t *path)
{
    char *str = malloc(path->len + 1);
    if (str != NULL) memcpy(str, path->str, path->len + 1);
    return str; /* NULL: then it is asked for again */
}

/* ---- directories */

void objects__dir_seen(objects_t *o, const vfs_path_t *path)
{
    char *str = copy_of(path);
    if (str == NULL) return;
    pthread_mutex_lock(&o->lock);
    note(&o->dirs, path, str);
    pthread_mutex_unlock(&o->lock);
}

void objects__dir_seen_above(objects_t *o, const vfs_path_t *path)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t parent;
    (void)vfs_path_parent(&parent, path, buf);
    objects__dir_seen(o, &parent);
}

int objects__dir_known(objects_t *o, const vfs_path_t *path)
{
    if (vfs__is_root(path)) return 1;
    pthread_mutex_lock(&o->lock);
    int known = is_known(&o->dirs, path);
    pthread_mutex_unlock(&o->lock);
    return known;
}

void objects__dirs_forget(objects_t *o)
{
    pthread_mutex_lock(&o->lock);
    drop_all(&o->dirs);
    drop_all(&o->absent); /* in a directory that may be none any more */
    pthread_mutex_unlock(&o->lock);
}

/* ---- what was not there */

static uint32_t *slot_of(objects_t *o, const vfs_path_t *path)
{
    return &o->made[path->hash % OBJECTS_MADE];
}

uint32_t objects__made_before(objects_t *o, const vfs_path_t *path)
{
    pthread_mutex_lock(&o->lock);
    uint32_t made = *slot_of(o, path);
    pthread_mutex_unlock(&o->lock);
    return made;
}

void objects__absent_seen(objects_t *o, const vfs_path_t *path, uint32_t made)
{
    char *str = copy_of(path);
    if (str == NULL) return;
    pthread_mutex_lock(&o->lock);
    if (*slot_of(o, path) == made) {
        note(&o->absent, path, str);
        str = NULL;
    }
    pthread_mutex_unlock(&o->lock);
    free(str);
}

int objects__absent_known(objects_t *o, const vfs_path_t *path)
{
    pthread_mutex_lock(&o->lock);
    int known = is_known(&o->absent, path);
    pthread_mutex_unlock(&o->lock);
    return known;
}

void objects__made(objects_t *o, const vfs_path_t *path)
{
    pthread_mutex_lock(&o->lock);
    for (unsigned k = 0; path == NULL && k < OBJECTS_MADE; k++)
        o->made[k]++;
    if (path == NULL) {
        drop_all(&o->absent);
    } else {
        unsigned k = find(&o->absent, path);
        if (k < OBJECTS_SEEN) drop(&o->absent, k);
        ++*slot_of(o, path);
    }
    pthread_mutex_unlock(&o->lock);
}

void objects__seen_end(objects_t *o)
{
    drop_all(&o->dirs);
    drop_all(&o->absent);
}
