/* test_watch.c - change events of the memory backend. */
#include <pthread.h>
#include <stdlib.h>

#include <apr_time.h>

#include "tests/mem/support_mem.h"

TestSuite(mem_watch, .init = mem_setup, .fini = mem_teardown);

/* What was heard, as text: "C/path " for created, "R" removed, "X" changed, "O" overflow. */
typedef struct heard_t {
    pthread_mutex_t lock;
    pthread_cond_t more;
    char text[8192];
    int count, overflows;
    int block;   /* callbacks wait while it is set */
    int entered; /* callbacks that have begun */
} heard_t;

static void heard_init(heard_t *heard)
{
    memset(heard, 0, sizeof(*heard));
    pthread_mutex_init(&heard->lock, NULL);
    pthread_cond_init(&heard->more, NULL);
}

static void hear(void *baton, uint32_t events, const char *path)
{
    heard_t *heard = baton;
    const char *what = events == VFS_EVENT_CREATED   ? "C"
                       : events == VFS_EVENT_REMOVED ? "R"
                       : events == VFS_EVENT_CHANGED ? "X"
                                                     : "O";

    pthread_mutex_lock(&heard->lock);
    heard->entered++;
    pthread_cond_broadcast(&heard->more);
    while (heard->block)
        pthread_cond_wait(&heard->more, &heard->lock);
    heard->count++;
    heard->overflows += events == VFS_EVENT_OVERFLOW;
    size_t len = strlen(heard->text);
    if (len + strlen(path) + 3 < sizeof(heard->text))
        sprintf(heard->text + len, "%s%s%s", len > 0 ? " " : "", what, path);
    pthread_cond_broadcast(&heard->more);
    pthread_mutex_unlock(&heard->lock);
}

static void set_block(heard_t *heard, int block)
{
    pthread_mutex_lock(&heard->lock);
    heard->block = block;
    pthread_cond_broadcast(&heard->more);
    pthread_mutex_unlock(&heard->lock);
}

/* Wait for the last of them, then compare. */
static void expect_heard(heard_t *heard, const char *text)
{
    int tries = 0;

    pthread_mutex_lock(&heard->lock);
    while (strlen(heard->text) < strlen(text) && tries++ < 60000) {
        pthread_mutex_unlock(&heard->lock);
        apr_sleep(1000);
        pthread_mutex_lock(&heard->lock);
    }
    cr_expect_str_eq(heard->text, text);
    heard->text[0] = '\0';
    pthread_mutex_unlock(&heard->lock);
}

Test(mem_watch, every_kind_of_change_is_told_in_order)
{
    static heard_t heard;
    uint64_t watch;
    size_t n;
    vfs_file_t *file;

    heard_init(&heard);
    OK(vfs_mkdir(fs, NULL, "/before", 0755));
    OK(vfs_watch(fs, NULL, "/", hear, &heard, &watch));
    OK(vfs_mkdir(fs, NULL, "/d", 0755));
    file = open_ok("/d/f", VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE);
    OK(vfs_write_at(file, NULL, "x", 1, 0, &n, NULL));
    expect_heard(&heard, "C/d C/d/f X/d/f");
    OK(vfs_chmod(fs, NULL, "/d", 0700, 0));
    OK(vfs_link(fs, NULL, "/d/f", "/g"));
    expect_heard(&heard, "X/d X/d/f C/g");
    OK(vfs_ftruncate(file, NULL, 0));
    expect_heard(&heard, "X/g X/d/f");
    OK(vfs_rename(fs, NULL, "/g", "/h", 0));
    expect_heard(&heard, "R/g C/h");
    OK(vfs_unlink(fs, NULL, "/h"));
    expect_heard(&heard, "R/h X/d/f");
    OK(vfs_fsetxattr(file, NULL, "user.a", "", 0, 0));
    OK(vfs_rename(fs, NULL, "/d", "/e", 0));
    expect_heard(&heard, "X/d/f R/d C/e");
    OK(vfs_rename(fs, NULL, "/e", "/before", VFS_RENAME_EXCHANGE));
    expect_heard(&heard, "R/e R/before C/e C/before");
    OK(vfs_utimens(fs, NULL, "/", 1, 1, 0));
    expect_heard(&heard, "X/");
    close_ok(file);
    OK(vfs_remove_all(fs, NULL, "/before"));
    expect_heard(&heard, "R/before/f R/before");
    OK(vfs_unwatch(fs, watch));
    put_ok("/silent", "");
    cr_expect_str_eq(heard.text, "");
    EXPECT(APR_EINVAL, vfs_unwatch(fs, watch));
}

Test(mem_watch, a_watch_hears_what_lies_below_it_in_its_own_words)
{
    static heard_t heard, linked;
    uint64_t watch, by_link;

    heard_init(&heard);
    heard_init(&linked);
    OK(vfs_mkdir_all(fs, NULL, "/a/b", 0755));
    OK(vfs_symlink(fs, NULL, "a/b", "/l"));
    OK(vfs_watch(fs, NULL, "/a/b", hear, &heard, &watch));
    OK(vfs_watch(fs, NULL, "/l", hear, &linked, &by_link));
    put_ok("/a/f", "");
    put_ok("/a/bc", "");
    OK(vfs_mkdir(fs, NULL, "/a/b/in", 0755));
    expect_heard(&heard, "C/a/b/in");
    expect_heard(&linked, "C/l/in");
    OK(vfs_chmod(fs, NULL, "/a/b", 0700, 0));
    expect_heard(&heard, "X/a/b");
    expect_heard(&linked, "X/l");
    OK(vfs_rename(fs, NULL, "/a", "/c", 0));
    expect_heard(&heard, "R/a/b");
    OK(vfs_rename(fs, NULL, "/c", "/a", 0));
    expect_heard(&heard, "O/a/b");
    expect_heard(&linked, "R/l O/l");
    OK(vfs_unwatch(fs, watch));
    OK(vfs_unwatch(fs, by_link));
    EXPECT(APR_ENOENT, vfs_watch(fs, NULL, "/none", hear, &heard, &watch));
    OK(vfs_symlink(fs, NULL, "..", "/a/up"));
    OK(vfs_symlink(fs, NULL, ".", "/a/dot"));
    OK(vfs_watch(fs, NULL, "/a/up", hear, &heard, &watch));
    OK(vfs_watch(fs, NULL, "/a/dot", hear, &linked, &by_link));
    put_ok("/a/g", "");
    expect_heard(&heard, "C/a/up/a/g");
    expect_heard(&linked, "C/a/dot/g");
}

Test(mem_watch, a_commit_is_one_change)
{
    static heard_t heard;
    uint64_t watch;
    vfs_source_t nothing = {NULL, NULL, 0};

    heard_init(&heard);
    OK(vfs_watch(fs, NULL, "/", hear, &heard, &watch));
    OK(vfs_commit(fs, NULL, "/f", &nothing, NULL, NULL, NULL));
    expect_heard(&heard, "C/f");
    OK(vfs_commit(fs, NULL, "/f", &nothing, NULL, NULL, NULL));
    expect_heard(&heard, "X/f");
}

Test(mem_watch, a_slow_watcher_stops_nobody_and_hears_that_events_were_lost)
{
    static heard_t heard;
    uint64_t watch;
    char path[32];

    heard_init(&heard);
    put_ok("/f", "");
    OK(vfs_watch(fs, NULL, "/", hear, &heard, &watch));
    set_block(&heard, 1);
    for (int i = 0; i < 20000; i++) {
        sprintf(path, "/%d", i);
        cr_assert(vfs_mknod(fs, NULL, path, VFS_TYPE_FILE, 0644, 0) == APR_SUCCESS);
    }
    set_block(&heard, 0);
    pthread_mutex_lock(&heard.lock);
    while (heard.overflows == 0)
        pthread_cond_wait(&heard.more, &heard.lock);
    cr_expect(heard.count >= 16384 && heard.count < 20001 && heard.overflows == 1);
    pthread_mutex_unlock(&heard.lock);
    OK(vfs_unwatch(fs, watch));
}

typedef struct unwatch_t {
    uint64_t watch;
    heard_t *heard;
    int count; /* of what was heard when unwatch returned */
} unwatch_t;

static void *unwatch_later(void *baton)
{
    unwatch_t *unwatch = baton;
    apr_status_t status = vfs_unwatch(fs, unwatch->watch);
    pthread_mutex_lock(&unwatch->heard->lock);
    unwatch->count = unwatch->heard->count;
    pthread_mutex_unlock(&unwatch->heard->lock);
    return status == APR_SUCCESS ? NULL : baton;
}

Test(mem_watch, unwatch_waits_for_the_callback)
{
    static heard_t heard;
    unwatch_t unwatch = {0, &heard, 0};
    pthread_t thread;
    void *failed;

    heard_init(&heard);
    OK(vfs_watch(fs, NULL, "/", hear, &heard, &unwatch.watch));
    set_block(&heard, 1);
    put_ok("/f", "");
    pthread_mutex_lock(&heard.lock);
    while (heard.entered == 0)
        pthread_cond_wait(&heard.more, &heard.lock);
    pthread_mutex_unlock(&heard.lock);
    cr_assert(pthread_create(&thread, NULL, unwatch_later, &unwatch) == 0);
    apr_sleep(20000); /* time to do it wrong */
    set_block(&heard, 0);
    cr_assert(pthread_join(thread, &failed) == 0);
    cr_expect(failed == NULL);
    cr_expect(unwatch.count >= 1, "it returned before the callback did");
    put_ok("/g", "");
    apr_sleep(20000); /* time to do it wrong */
    cr_expect(heard.count == unwatch.count);
}

Test(mem_watch, there_is_a_limit_to_watches)
{
    static heard_t heard;
    uint64_t watch, first = 0;

    heard_init(&heard);
    for (int i = 0; i < 1024; i++) {
        cr_assert(vfs_watch(fs, NULL, "/", hear, &heard, &watch) == APR_SUCCESS);
        if (i == 0) first = watch;
    }
    EXPECT(VFS_ELIMIT, vfs_watch(fs, NULL, "/", hear, &heard, &watch));
    OK(vfs_unwatch(fs, first));
    OK(vfs_watch(fs, NULL, "/", hear, &heard, &watch));
}

Test(mem_watch, the_file_system_may_end_with_events_waiting)
{
    static heard_t heard;
    uint64_t watch;
    char path[32];

    heard_init(&heard);
    OK(vfs_watch(fs, NULL, "/", hear, &heard, &watch));
    for (int i = 0; i < 5000; i++) {
        sprintf(path, "/%d", i);
        put_ok(path, "");
    }
    mem_limit(0);
    cr_expect(heard.overflows == 0);
}
