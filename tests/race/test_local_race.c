/*
 * test_local_race.c - many threads in one local file system, as different users, with watches that
 * come and go: for ThreadSanitizer; and locks that exclude, appends that do not overwrite, threads
 * that stay themselves.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include <apr_general.h>

#include "backends/backends.h"
#include "vfs/vfs_ops.h"

#define THREADS 6
#define TURNS 300

static vfs_t *fs;
static atomic_int events;
static atomic_int in_lock;

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void hear(void *baton, uint32_t what, const char *path)
{
    (void)baton;
    CHECK(what != 0 && path[0] == '/');
    atomic_fetch_add(&events, 1);
}

static void append_and_lock(const char *path, uint64_t owner)
{
    vfs_file_t *file;
    size_t n;
    vfs_lock_t lock = {VFS_LOCK_WRITE, VFS_LOCK_WAIT, 0, 10, owner, 0};
    uint32_t flags = VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE;
    CHECK(vfs_open(&file, fs, NULL, path, flags, 0666, NULL, NULL) == APR_SUCCESS);
    CHECK(vfs_lock(file, NULL, &lock) == APR_SUCCESS);
    CHECK(atomic_fetch_add(&in_lock, 1) == 0);
    CHECK(vfs_write_at(file, NULL, "x", 1, VFS_OFFSET_END, &n, NULL) == APR_SUCCESS);
    CHECK(atomic_fetch_sub(&in_lock, 1) == 1);
    CHECK(vfs_close(file, NULL) == APR_SUCCESS); /* which ends the lock */
}

static void watch_and_move(const char *dir, const char *moved)
{
    uint64_t watch;
    if (vfs_watch(fs, NULL, dir, hear, NULL, &watch) != APR_SUCCESS) return; /* moved by another */
    (void)vfs_rename(fs, NULL, dir, moved, 0);
    (void)vfs_rename(fs, NULL, moved, dir, 0);
    CHECK(vfs_unwatch(fs, watch) == APR_SUCCESS);
}

static void *work(void *baton)
{
    unsigned id = *(const unsigned *)baton;
    char dir[32], moved[32], path[64];
    vfs_attr_t attr;
    vfs_ctx_t ctx = VFS_CTX_INIT;
    int self = setfsuid((uid_t)-1);
    ctx.flags = geteuid() == 0 ? VFS_CTX_CREDS : 0;
    ctx.uid = ctx.gid = 1000 + id;
    snprintf(dir, sizeof(dir), "/d%u", id % 3);
    snprintf(moved, sizeof(moved), "/m%u", id);
    for (unsigned i = 0; i < TURNS; i++) {
        (void)vfs_mkdir(fs, NULL, dir, 0777); /* it may be there */
        append_and_lock("/log", i % 2 ? 100 + id : 0);
        snprintf(path, sizeof(path), "%s/f%u-%u", dir, id, i % 17);
        (void)vfs_mknod(fs, &ctx, path, VFS_TYPE_FILE, 0644, 0);
        if (vfs_stat(fs, &ctx, path, &attr) == APR_SUCCESS && ctx.flags != 0) {
            CHECK(attr.uid == ctx.uid);
        }
        CHECK(setfsuid((uid_t)-1) == self);
        if (i % 5 == 0) (void)vfs_unlink(fs, &ctx, path);
        if (i % 40 == 0) watch_and_move(dir, moved);
    }
    return NULL;
}

int main(void)
{
    apr_pool_t *pool;
    pthread_t threads[THREADS];
    unsigned ids[THREADS];
    vfs_attr_t attr;
    uint64_t watch;
    char root[] = "/tmp/cachefs-race-XXXXXX";
    CHECK(apr_initialize() == APR_SUCCESS && apr_pool_create(&pool, NULL) == APR_SUCCESS);
    CHECK(mkdtemp(root) != NULL);
    CHECK(vfs_local_create(&fs, root, pool) == APR_SUCCESS);
    CHECK(vfs_chmod(fs, NULL, "/", 0777, 0) == APR_SUCCESS);
    CHECK(vfs_watch(fs, NULL, "/", hear, NULL, &watch) == APR_SUCCESS);
    for (unsigned i = 0; i < THREADS; i++) {
        ids[i] = i;
        CHECK(pthread_create(&threads[i], NULL, work, &ids[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(vfs_stat(fs, NULL, "/log", &attr) == APR_SUCCESS);
    CHECK(attr.size == THREADS * TURNS);
    CHECK(atomic_load(&events) > 0);
    CHECK(vfs_remove_all(fs, NULL, "/") == APR_SUCCESS);
    CHECK(vfs_destroy(fs) == APR_SUCCESS); /* with a watch left */
    CHECK(rmdir(root) == 0);
    apr_pool_destroy(pool);
    return 0;
}
