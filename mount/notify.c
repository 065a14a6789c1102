/*
 * notify.c - what the kernel keeps, and shall not any more: by one thread, from a queue.
 * Floor 4, private to mount/.
 *
 * The kernel answers such a message when it has let go, and may wait for that: for a page until
 * the call that fills it was answered, for a directory until the change in it was. So it must be
 * sent by nobody who answers calls, or holds what such a one needs (libfuse, fuse_lowlevel.h): this
 * thread answers none, and sends with no lock held. It is ended before those that answer are.
 *
 * A name is told to be asked for again (expired) where the kernel knows that. To drop it would tear
 * away what is mounted below, and the working directory of who is there; so on an older kernel
 * directories stay until their time is over.
 */
#include "mount/mount.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>

#define QUEUE_MAX 4096u /* then: everything */
#define BATCH 128u      /* names in one look at the table */
#define BUCKETS 256u    /* of it, at most */
#define TURN_NS 100000000L
#define PATIENCE 10 /* turns, before calls under way are given up */
#define TURNS_MAX 30

struct drop_t {
    drop_t *next;
    uint64_t number;
    mount_scope_e scope;
    size_t len;
    char path[];
};

/* A name that the kernel may know, and the inode behind it; 0: none is known. */
typedef struct told_t {
    fuse_ino_t dir, ino;
    int is_dir;
    size_t len;
    char name[VFS_NAME_MAX + 1];
} told_t;

typedef struct batch_t {
    size_t count;
    told_t told[BATCH];
} batch_t;

/* ---- telling */

static void tell_name(mount_t *m, const told_t *told)
{
    int result = -ENOSYS;
#if FUSE_VERSION < FUSE_MAKE_VERSION(3, 15)
    result = fuse_lowlevel_notify_expire_entry(m->session, told->dir, told->name, told->len,
                                               FUSE_LL_EXPIRE_ONLY);
#elif FUSE_VERSION >= FUSE_MAKE_VERSION(3, 16)
    result = fuse_lowlevel_notify_expire_entry(m->session, told->dir, told->name, told->len);
#endif
    if (result == -ENOSYS && !told->is_dir)
        (void)fuse_lowlevel_notify_inval_entry(m->session, told->dir, told->name, told->len);
}

/* What the kernel does not know any more it has let go of. */
static void tell(mount_t *m, const batch_t *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const told_t *told = &batch->told[i];
        if (told->len > 0) tell_name(m, told);
        if (told->ino != 0) (void)fuse_lowlevel_notify_inval_inode(m->session, told->ino, 0, 0);
    }
}

static void put(mount_t *m, batch_t *batch, inode_t *dir, const char *name, size_t len,
                inode_t *inode)
{
    told_t *told = &batch->told[batch->count++];
    memset(told, 0, sizeof(*told));
    if (len > VFS_NAME_MAX) len = 0; /* no such name can be there */
    if (dir != NULL) told->dir = mount__ino_of(m, dir);
    if (len > 0) memcpy(told->name, name, len);
    told->len = len;
    if (inode == NULL) return;
    inode->pages.kind = VFS_VALIDATOR_NONE; /* what comes next is of no known version */
    told->ino = mount__ino_of(m, inode);
    told->is_dir = inode->attr.type == VFS_TYPE_DIR;
}

/* ---- one path */

/* Along the names that are known; the directory of the last one may be all there is. Is anything
 * known below? */
static int find_path(mount_t *m, const char *path, batch_t *batch)
{
    inode_t *dir = &m->table.root, *inode = dir;
    const char *name = path;
    size_t len = 0;
    (void)pthread_mutex_lock(&m->table.mutex);
    for (const char *at = path + 1; inode != NULL && *at != '\0'; at += *at == '/') {
        dir = inode;
        name = at;
        len = strcspn(at, "/");
        name_t *found = mount__name_find(&m->table, dir, name, len);
        inode = found != NULL ? found->inode : NULL;
        at += len;
    }
    if (inode != NULL || name[len] == '\0') put(m, batch, dir, name, len, inode);
    if (dir != inode) put(m, batch, NULL, "", 0, dir); /* it has other times, and other entries */
    int below = inode != NULL && inode->children > 0;
    (void)pthread_mutex_unlock(&m->table.mutex);
    return below;
}

/* ---- many */

/* The path of a name, at the end of `text`; NULL: it is too long, or has come away. */
static const char *path_of_name(const table_t *table, const name_t *name, char *text)
{
    size_t at = VFS_PATH_MAX;
    text[at] = '\0';
    for (;;) {
        if (at < (size_t)name->len + 1) return NULL;
        at -= name->len;
        memcpy(text + at, name->text, name->len);
        text[--at] = '/';
        if (name->dir == &table->root) return text + at;
        if (name->dir->names == NULL) return NULL;
        name = name->dir->names;
    }
}

static int matches(const table_t *table, const name_t *name, const drop_t *drop)
{
    char text[VFS_PATH_MAX + 1];
    if (drop->scope == MOUNT_SCOPE_TREE && drop->len == 1) return 1;
    const char *path = path_of_name(table, name, text);
    if (path == NULL) return 1; /* once too often does no harm */
    if (drop->scope == MOUNT_SCOPE_GLOB) return vfs_glob_match(drop->path, path);
    return strncmp(path, drop->path, drop->len) == 0 &&
           (path[drop->len] == '/' || path[drop->len] == '\0');
}

/* Some of them, from bucket `at` on; where the next look begins. A table that grows meanwhile moves
 * names to later buckets only. */
static size_t find_some(mount_t *m, const drop_t *drop, size_t at, batch_t *batch)
{
    table_t *table = &m->table;
    size_t last = at + BUCKETS;
    (void)pthread_mutex_lock(&table->mutex);
    for (; at < table->name_size && at < last; at++) {
        size_t before = batch->count;
        name_t *name = table->by_name[at];
        for (; name != NULL && batch->count < BATCH; name = name->chain)
            if (matches(table, name, drop))
                put(m, batch, name->dir, name->text, name->len, name->inode);
        if (name == NULL) continue;
        if (before > 0) batch->count = before; /* once more, as the first of the next look */
        if (before > 0) break;
    }
    if (at >= table->name_size) at = SIZE_MAX;
    (void)pthread_mutex_unlock(&table->mutex);
    return at;
}

static void drop_many(mount_t *m, const drop_t *drop)
{
    batch_t *batch = calloc(1, sizeof(*batch));
    if (batch == NULL) return; /* the time of what the kernel has ends by itself */
    for (size_t at = 0; at != SIZE_MAX && !atomic_load(&m->notify.stop);) {
        batch->count = 0;
        at = find_some(m, drop, at, batch);
        tell(m, batch);
    }
    free(batch);
}

static void drop_one(mount_t *m, const drop_t *drop)
{
    batch_t batch;
    int below = 1;
    batch.count = 0;
    if (drop->scope != MOUNT_SCOPE_GLOB) below = find_path(m, drop->path, &batch);
    tell(m, &batch);
    if (drop->scope != MOUNT_SCOPE_PATH && below) drop_many(m, drop);
}

/* ---- the queue */

static drop_t *next_drop(notify_t *notify)
{
    drop_t *drop = notify->first;
    if (drop == NULL) return NULL;
    notify->first = drop->next;
    if (notify->first == NULL) notify->last = NULL;
    notify->count--;
    return drop;
}

static void *notify_main(void *baton)
{
    mount_t *m = baton;
    notify_t *notify = &m->notify;
    (void)pthread_mutex_lock(&notify->mutex);
    for (;;) {
        drop_t *drop = next_drop(notify);
        if (atomic_load(&notify->stop)) {
            free(drop);
            break;
        }
        if (drop == NULL) {
            (void)pthread_cond_wait(&notify->wake, &notify->mutex);
            continue;
        }
        (void)pthread_mutex_unlock(&notify->mutex);
        drop_one(m, drop);
        (void)pthread_mutex_lock(&notify->mutex);
        notify->done = drop->number;
        free(drop);
        (void)pthread_cond_broadcast(&notify->ended);
    }
    notify->over = 1;
    (void)pthread_cond_broadcast(&notify->ended);
    (void)pthread_mutex_unlock(&notify->mutex);
    return NULL;
}

static drop_t *new_drop(mount_scope_e scope, const char *path)
{
    size_t len = strlen(path);
    drop_t *drop = calloc(1, sizeof(*drop) + len + 1);
    if (drop == NULL) return NULL;
    memcpy(drop->path, path, len + 1);
    drop->len = len;
    drop->scope = scope;
    return drop;
}

static void drop_all(notify_t *notify)
{
    for (drop_t *drop = next_drop(notify); drop != NULL; drop = next_drop(notify))
        free(drop);
}

/* What is waiting already is not put there twice. Too many: all at once instead. */
uint64_t mount_drop(mount_t *m, mount_scope_e scope, const char *path)
{
    notify_t *notify = &m->notify;
    (void)pthread_mutex_lock(&notify->mutex);
    drop_t *last = notify->last;
    if (last != NULL && last->scope == scope && strcmp(last->path, path) == 0) {
        (void)pthread_mutex_unlock(&notify->mutex);
        return notify->asked;
    }
    if (notify->count >= QUEUE_MAX) {
        drop_all(notify);
        scope = MOUNT_SCOPE_TREE;
        path = "/";
    }
    drop_t *drop = new_drop(scope, path);
    if (drop != NULL) {
        drop->number = ++notify->asked;
        if (notify->last != NULL)
            notify->last->next = drop;
        else
            notify->first = drop;
        notify->last = drop;
        notify->count++;
        (void)pthread_cond_signal(&notify->wake);
    }
    uint64_t number = notify->asked;
    (void)pthread_mutex_unlock(&notify->mutex);
    return number;
}

static void wait_turn(notify_t *notify)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += TURN_NS;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    (void)pthread_cond_timedwait(&notify->ended, &notify->mutex, &until);
}

int mount_dropped(mount_t *m, uint64_t number, vfs_cancel_t *cancel)
{
    notify_t *notify = &m->notify;
    (void)pthread_mutex_lock(&notify->mutex);
    while (notify->done < number && !notify->over && !vfs_cancel_raised(cancel))
        wait_turn(notify);
    int done = notify->done >= number;
    (void)pthread_mutex_unlock(&notify->mutex);
    return done;
}

/* ---- change events */

/* A directory that went, or came, had other things below it. */
static void on_event(void *baton, uint32_t events, const char *path)
{
    uint32_t wide = VFS_EVENT_OVERFLOW | VFS_EVENT_REMOVED;
    (void)mount_drop(baton, events & wide ? MOUNT_SCOPE_TREE : MOUNT_SCOPE_PATH, path);
}

/* ---- life */

apr_status_t mount__notify_start(mount_t *m)
{
    notify_t *notify = &m->notify;
    (void)pthread_mutex_init(&notify->mutex, NULL);
    (void)pthread_cond_init(&notify->wake, NULL);
    (void)pthread_cond_init(&notify->ended, NULL);
    int error = pthread_create(&notify->thread, NULL, notify_main, m);
    if (error != 0) return APR_FROM_OS_ERROR(error);
    notify->started = 1;
    if (!m->config.watch || !(vfs_caps(m->fs)->bits & VFS_CAP_WATCH)) return APR_SUCCESS;
    apr_status_t status = vfs_watch(m->fs, NULL, "/", on_event, m, &notify->watch);
    notify->watching = status == APR_SUCCESS;
    return status;
}

/* Calls are still answered, so what it waits for comes; and if not, they are given up. */
void mount__notify_stop(mount_t *m)
{
    notify_t *notify = &m->notify;
    (void)pthread_mutex_lock(&notify->mutex);
    atomic_store(&notify->stop, 1);
    (void)pthread_cond_signal(&notify->wake);
    for (int turns = 0; notify->started && !notify->over && turns < TURNS_MAX; turns++) {
        wait_turn(notify);
        if (turns < PATIENCE || notify->over) continue;
        (void)pthread_mutex_unlock(&notify->mutex);
        mount__slots_raise(m);
        (void)pthread_mutex_lock(&notify->mutex);
    }
    (void)pthread_mutex_unlock(&notify->mutex);
}

/* Where the kernel still waits for answers that nobody gives any more, it is told so. */
void mount__notify_end(mount_t *m)
{
    notify_t *notify = &m->notify;
    if (notify->watching) (void)vfs_unwatch(m->fs, notify->watch); /* it is ours */
    if (!notify->started) return;
    (void)pthread_mutex_lock(&notify->mutex);
    atomic_store(&notify->stop, 1);
    (void)pthread_cond_signal(&notify->wake);
    if (!notify->over) wait_turn(notify);
    int over = notify->over;
    (void)pthread_mutex_unlock(&notify->mutex);
    if (!over) (void)umount2(m->config.mountpoint, MNT_FORCE | UMOUNT_NOFOLLOW); /* may be gone */
    (void)pthread_join(notify->thread, NULL); /* it has nothing to say */
    drop_all(notify);
    (void)pthread_cond_destroy(&notify->ended);
    (void)pthread_cond_destroy(&notify->wake);
    (void)pthread_mutex_destroy(&notify->mutex);
}
