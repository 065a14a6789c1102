/*
 * test_store.c - a --store under a user's bad days: several processes at once, a full disk, a disk
 * that is read-only.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/cli/support_run.h"

static pid_t start(const char *const *args)
{
    pid_t pid = fork();
    if (pid != 0) return pid;
    int none = open("/dev/null", O_WRONLY);
    (void)dup2(none, 1);
    (void)dup2(none, 2);
    (void)execv(getenv("CACHEFS_PROGRAM"), (char *const *)(uintptr_t)args);
    _exit(98);
}

/* All that is read through the store is right. */
static void reads_right(const char *dir, const char *store)
{
    static const char *const names[] = {"big.bin", "sub/deep/c.bin", "a.txt"};
    for (size_t i = 0; i < 3; i++) {
        size_t len;
        char *want = slurp(path_in(dir, names[i]), &len);
        run_t r = run("cat", origin_of(dir), names[i], "--store", store, NULL);
        cr_assert_eq(r.code, 0, "%s", r.err);
        cr_assert(r.out_len == len && !memcmp(r.out, want, len), "%s", names[i]);
    }
}

static node_t *fsck(const char *store, int code)
{
    run_t r = run("fsck", store, "--json", NULL);
    cr_assert_eq(r.code, code, "%d: %s%s", r.code, r.out, r.err);
    return json_get(json_read(r.out), "cached");
}

/* One of those that come at once has it, and the others are told so. */
Test(cli_store, of_several_at_once_one_has_the_store)
{
    enum { N = 6 };
    char *dir = tree_make(), *origin = origin_of(dir), *store = path_in(tree_make(), "store");
    const char *args[] = {"cachefs", "warm", origin, "--tree", "/", "--store", store, NULL};
    for (int round = 0; round < 5; round++) {
        pid_t pids[N];
        int had = 0;
        for (int i = 0; i < N; i++)
            pids[i] = start(args);
        for (int i = 0; i < N; i++) {
            int status;
            cr_assert_eq(waitpid(pids[i], &status, 0), pids[i]);
            cr_assert(WIFEXITED(status));
            cr_assert(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3, "%d", status);
            had += WEXITSTATUS(status) == 0;
        }
        cr_assert_geq(had, 1);
        (void)fsck(store, 0);
    }
    reads_right(dir, store);
}

/* A small disk of our own, which goes with this process. NULL: we may not make one. */
static char *small_disk(const char *options)
{
    char *dir = path_in(tree_make(), "disk");
    cr_assert_eq(mkdir(dir, 0700), 0);
    if (unshare(CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) != 0) return NULL;
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return NULL;
    return mount("disk", dir, "tmpfs", 0, options) == 0 ? dir : NULL;
}

Test(cli_store, a_disk_that_gets_full_stops_the_tier_and_nothing_else)
{
    char *dir = tree_make(), *disk = small_disk("size=6m"), *store;
    if (disk == NULL) cr_skip_test("no file system can be mounted here");
    store = path_in(disk, "store");
    for (int i = 0; i < 4; i++)
        reads_right(dir, store);
    node_t *cached = fsck(store, 0);
    cr_assert_leq(json_number(cached, "segment_bytes"), 6 << 20);
    /* somebody else takes all that is left */
    int fd = open(path_in(disk, "other"), O_WRONLY | O_CREAT, 0600);
    static const char bytes[65536] = {1};
    while (write(fd, bytes, sizeof(bytes)) > 0)
        continue;
    cr_assert_eq(errno, ENOSPC);
    (void)close(fd);
    reads_right(dir, store);
    (void)fsck(store, 0);
    run_t gc = run("gc", store, "--bytes", "0", NULL);
    cr_assert_eq(gc.code, 0, "%s", gc.err);
    reads_right(dir, store);
    /* and one that is full before there is a store */
    char *late = path_in(disk, "late");
    fd = open(path_in(disk, "more"), O_WRONLY | O_CREAT, 0600);
    while (write(fd, bytes, sizeof(bytes)) > 0)
        continue;
    (void)close(fd);
    reads_right(dir, late);
}

Test(cli_store, a_read_only_disk_is_done_without_and_can_be_checked)
{
    char *dir = tree_make(), *disk = small_disk("size=32m"), *store;
    if (disk == NULL) cr_skip_test("no file system can be mounted here");
    store = path_in(disk, "store");
    reads_right(dir, store);
    cr_assert_eq(mount("none", disk, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    reads_right(dir, store);
    run_t r = run("cat", origin_of(dir), "a.txt", "--store", store, NULL);
    cr_assert_not_null(strstr(r.err, "the disk tier is not used: "), "%s", r.err);
    cr_assert_not_null(strstr(r.err, "Read-only file system"), "%s", r.err);
    r = run("cat", origin_of(dir), "a.txt", "--store", store, "--mode", "back", NULL);
    cr_assert_eq(r.code, 3, "what is written back needs a journal: %s", r.err);
    cr_assert_not_null(strstr(r.err, "Read-only file system"), "%s", r.err);
    (void)fsck(store, 0);
    r = run("fsck", store, "--repair", NULL);
    cr_assert_eq(r.code, 8, "%s", r.out);
    cr_assert_not_null(strstr(r.err, "Read-only file system"), "%s", r.err);
    r = run("gc", store, NULL);
    cr_assert_eq(r.code, 3, "%s", r.out);
    cr_assert_not_null(strstr(r.err, "Read-only file system"), "%s", r.err);
}
