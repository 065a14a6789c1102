/*
 * test_watch.c - change events: in trees that grow, move and vanish; by anybody, through links, on
 * a path that comes and goes; and the end of watching.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/local/support_box.h"

TestSuite(local_watch, .init = box_open, .fini = box_close);

#define EVENTS_MAX 65536

/* What a watch has heard. */
typedef struct log_t {
    pthread_mutex_t mutex;
    size_t count;
    struct {
        uint32_t events;
        char path[96];
    } heard[EVENTS_MAX];
} log_t;

static log_t first = {.mutex = PTHREAD_MUTEX_INITIALIZER};
static log_t second = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void hear(void *baton, uint32_t events, const char *path)
{
    log_t *log = baton;
    pthread_mutex_lock(&log->mutex);
    if (log->count < EVENTS_MAX) {
        log->heard[log->count].events = events;
        snprintf(log->heard[log->count].path, sizeof(log->heard[0].path), "%s", path);
        log->count++;
    }
    pthread_mutex_unlock(&log->mutex);
}

static int heard_now(log_t *log, const char *path, uint32_t events)
{
    int found = 0;
    pthread_mutex_lock(&log->mutex);
    for (size_t i = 0; i < log->count && !found; i++) {
        found = (log->heard[i].events & events) == events && strcmp(log->heard[i].path, path) == 0;
    }
    pthread_mutex_unlock(&log->mutex);
    return found;
}

/* Wait for an event, for at most a minute. */
static int heard(log_t *log, const char *path, uint32_t events)
{
    for (int i = 0; i < 12000; i++) {
        if (heard_now(log, path, events)) return 1;
        usleep(5000);
    }
    return 0;
}

static void forget(log_t *log)
{
    pthread_mutex_lock(&log->mutex);
    log->count = 0;
    pthread_mutex_unlock(&log->mutex);
}

static uint64_t watch_ok(const char *path, log_t *log)
{
    uint64_t watch;
    cr_assert_eq(vfs_watch(box.fs, NULL, path, hear, log, &watch), APR_SUCCESS, "%s", path);
    cr_assert_neq(watch, 0);
    return watch;
}

Test(local_watch, changes_in_the_tree_are_told_whoever_makes_them)
{
    cr_assert_eq(vfs_mkdir_all(box.fs, NULL, "/a/b", 0755), APR_SUCCESS);
    put("/a/b/old", "x");
    uint64_t watch = watch_ok("/", &first);
    put("/new", "x");
    cr_expect(heard(&first, "/new", VFS_EVENT_CREATED));
    cr_expect(heard(&first, "/new", VFS_EVENT_CHANGED));
    os_write("/a/b/old", "other");
    cr_expect(heard(&first, "/a/b/old", VFS_EVENT_CHANGED));
    cr_assert_eq(chmod(os("/a/b"), 0700), 0);
    cr_expect(heard(&first, "/a/b", VFS_EVENT_CHANGED));
    cr_assert_eq(vfs_unlink(box.fs, NULL, "/a/b/old"), APR_SUCCESS);
    cr_expect(heard(&first, "/a/b/old", VFS_EVENT_REMOVED));
    cr_assert_eq(vfs_rename(box.fs, NULL, "/new", "/a/moved", 0), APR_SUCCESS);
    cr_expect(heard(&first, "/new", VFS_EVENT_REMOVED));
    cr_expect(heard(&first, "/a/moved", VFS_EVENT_CREATED));
    cr_assert_eq(vfs_unwatch(box.fs, watch), APR_SUCCESS);
    forget(&first);
    put("/silent", "x");
    usleep(50000);
    cr_expect_eq(first.count, 0);
    cr_expect_eq(vfs_unwatch(box.fs, watch), APR_EINVAL);
}

Test(local_watch, directories_that_appear_or_move_are_watched)
{
    watch_ok("/", &first);
    cr_assert_eq(vfs_mkdir_all(box.fs, NULL, "/a/b/c/d", 0755), APR_SUCCESS);
    put("/a/b/c/d/f", "x");
    cr_expect(heard(&first, "/a/b/c/d/f", VFS_EVENT_CREATED));
    cr_assert_eq(vfs_rename(box.fs, NULL, "/a/b", "/z", 0), APR_SUCCESS);
    cr_expect(heard(&first, "/a/b", VFS_EVENT_REMOVED | VFS_EVENT_OVERFLOW));
    cr_expect(heard(&first, "/z", VFS_EVENT_CREATED));
    cr_expect(heard(&first, "/z/c/d/f", VFS_EVENT_CREATED));
    forget(&first);
    os_write("/z/c/d/f", "y");
    cr_expect(heard(&first, "/z/c/d/f", VFS_EVENT_CHANGED));
    cr_expect_not(heard_now(&first, "/a/b/c/d/f", 0));
    cr_assert_eq(vfs_remove_all(box.fs, NULL, "/z"), APR_SUCCESS);
    cr_expect(heard(&first, "/z", VFS_EVENT_REMOVED));
    forget(&first);
    cr_assert_eq(vfs_mkdir_all(box.fs, NULL, "/z/c", 0755), APR_SUCCESS);
    put("/z/c/again", "x");
    cr_expect(heard(&first, "/z/c/again", VFS_EVENT_CREATED));
}

Test(local_watch, a_watch_hears_of_its_own_path_only)
{
    cr_assert_eq(vfs_mkdir_all(box.fs, NULL, "/a/b", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_mkdir_all(box.fs, NULL, "/ab/b", 0755), APR_SUCCESS);
    put("/a/file", "x");
    uint64_t one = watch_ok("/a", &first);
    uint64_t two = watch_ok("/a/file", &second);
    put("/ab/b/f", "x");
    put("/a/b/f", "x");
    put("/top", "x");
    os_write("/a/file", "y");
    cr_expect(heard(&first, "/a/b/f", VFS_EVENT_CREATED));
    cr_expect(heard(&first, "/a/file", VFS_EVENT_CHANGED));
    cr_expect(heard(&second, "/a/file", VFS_EVENT_CHANGED));
    cr_expect_not(heard_now(&first, "/ab/b/f", 0));
    cr_expect_not(heard_now(&first, "/top", 0));
    for (size_t i = 0; i < second.count; i++)
        cr_expect_str_eq(second.heard[i].path, "/a/file");
    /* The other one goes on. */
    cr_assert_eq(vfs_unwatch(box.fs, one), APR_SUCCESS);
    forget(&second);
    cr_assert_eq(vfs_unlink(box.fs, NULL, "/a/file"), APR_SUCCESS);
    cr_expect(heard(&second, "/a/file", VFS_EVENT_REMOVED));
    put("/a/file", "again");
    cr_expect(heard(&second, "/a/file", VFS_EVENT_CREATED));
    cr_assert_eq(vfs_unwatch(box.fs, two), APR_SUCCESS);
}

Test(local_watch, a_path_that_goes_and_comes_back_stays_watched)
{
    cr_assert_eq(vfs_mkdir_all(box.fs, NULL, "/a/b/c", 0755), APR_SUCCESS);
    watch_ok("/a/b", &first);
    cr_assert_eq(vfs_rename(box.fs, NULL, "/a", "/elsewhere", 0), APR_SUCCESS);
    cr_expect(heard(&first, "/a/b", VFS_EVENT_REMOVED | VFS_EVENT_OVERFLOW));
    cr_assert_eq(vfs_rename(box.fs, NULL, "/elsewhere", "/a", 0), APR_SUCCESS);
    cr_expect(heard(&first, "/a/b", VFS_EVENT_CREATED | VFS_EVENT_OVERFLOW));
    forget(&first);
    put("/a/b/c/f", "x");
    cr_expect(heard(&first, "/a/b/c/f", VFS_EVENT_CREATED));
}

Test(local_watch, one_directory_is_watched_by_two_names)
{
    cr_assert_eq(vfs_mkdir(box.fs, NULL, "/real", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_symlink(box.fs, NULL, "real", "/link"), APR_SUCCESS);
    watch_ok("/real", &first);
    uint64_t link = watch_ok("/link", &second);
    put("/real/f", "x");
    cr_expect(heard(&first, "/real/f", VFS_EVENT_CREATED));
    cr_expect(heard(&second, "/link/f", VFS_EVENT_CREATED));
    cr_assert_eq(vfs_unwatch(box.fs, link), APR_SUCCESS);
    put("/real/g", "x");
    cr_expect(heard(&first, "/real/g", VFS_EVENT_CREATED));
}

Test(local_watch, nothing_is_watched_that_is_not_there_or_not_readable)
{
    uint64_t watch;
    cr_expect_eq(vfs_unwatch(box.fs, 1), APR_EINVAL);
    cr_expect_eq(vfs_watch(box.fs, NULL, "/no", hear, &first, &watch), APR_ENOENT);
    cr_assert_eq(vfs_symlink(box.fs, NULL, "/etc", "/out"), APR_SUCCESS);
    cr_expect_eq(vfs_watch(box.fs, NULL, "/out", hear, &first, &watch), APR_EACCES);
    cr_assert_eq(mkdir(os("/closed"), 0700), 0);
    vfs_ctx_t nobody = as_user(NOBODY - 1, NOBODY - 1);
    cr_expect_eq(vfs_watch(box.fs, &nobody, "/closed", hear, &first, &watch), APR_EACCES);
}

static atomic_int running, finished;

static void slow(void *baton, uint32_t events, const char *path)
{
    (void)baton;
    (void)events;
    (void)path;
    atomic_store(&running, 1);
    usleep(100000);
    atomic_store(&finished, 1);
}

Test(local_watch, unwatch_waits_for_the_callback)
{
    uint64_t watch;
    cr_assert_eq(vfs_watch(box.fs, NULL, "/", slow, NULL, &watch), APR_SUCCESS);
    cr_assert_eq(vfs_mkdir(box.fs, NULL, "/d", 0755), APR_SUCCESS);
    while (!atomic_load(&running))
        usleep(1000);
    cr_assert_eq(vfs_unwatch(box.fs, watch), APR_SUCCESS);
    cr_expect_eq(atomic_load(&finished), 1);
}

static long limit_of(const char *name)
{
    char path[128];
    long value = -1;
    snprintf(path, sizeof(path), "/proc/sys/fs/inotify/%s", name);
    FILE *f = fopen(path, "r");
    cr_assert_not_null(f);
    cr_assert_eq(fscanf(f, "%ld", &value), 1);
    fclose(f);
    return value;
}

static void hear_slowly(void *baton, uint32_t events, const char *path)
{
    usleep(atomic_load(&running) ? 0 : 1000);
    hear(baton, events, path);
}

/* More events than the system keeps, while the callback is slow. */
Test(local_watch, lost_events_are_told_as_an_overflow)
{
    uint64_t watch;
    long queue = limit_of("max_queued_events");
    if (queue > 100000)
        queue = 100000; /* then the loop below does not fill it, and nothing is lost */
    put("/f", "x");
    put("/g", "x");
    cr_assert_eq(vfs_watch(box.fs, NULL, "/", hear_slowly, &first, &watch), APR_SUCCESS);
    for (long i = 0; i <= 2 * queue; i++) {
        cr_assert_eq(chmod(os(i % 2 ? "/f" : "/g"), (mode_t)(0600 + i % 3)), 0);
    }
    atomic_store(&running, 1);
    cr_expect(heard(&first, "/", VFS_EVENT_OVERFLOW) || limit_of("max_queued_events") > 100000);
    forget(&first);
    put("/after", "x");
    cr_expect(heard(&first, "/after", VFS_EVENT_CREATED));
    cr_assert_eq(vfs_unwatch(box.fs, watch), APR_SUCCESS);
}

Test(local_watch, a_system_without_room_for_watches_says_so)
{
    uint64_t watch;
    vfs_t *others[1024];
    long max = limit_of("max_user_instances");
    long count = 0;
    apr_status_t status = APR_SUCCESS;
    struct rlimit files = {8192, 8192};
    if (max > 1000) {
        /* Too many to use up: run out of descriptors instead, which counts as the same limit. */
        watch_ok("/", &first);
        return;
    }
    (void)setrlimit(RLIMIT_NOFILE, &files);
    while (count <= max && status == APR_SUCCESS) {
        cr_assert_eq(vfs_local_create(&others[count], box.root, box.pool), APR_SUCCESS);
        status = vfs_watch(others[count++], NULL, "/", hear, &first, &watch);
    }
    cr_expect_eq(status, VFS_ELIMIT);
    while (count > 0)
        cr_assert_eq(vfs_destroy(others[--count]), APR_SUCCESS);
    watch_ok("/", &first);
}
