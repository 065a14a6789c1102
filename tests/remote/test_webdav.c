/*
 * test_webdav.c - files of nginx, Apache and lighttpd by WebDAV: read, replaced, moved, removed.
 * labels: webdav
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <criterion/criterion.h>

#include "backends/webdav/webdav.h"
#include "tests/remote/support_dav.h"
#include "vfs/vfs_ops.h"

#define E(code) APR_FROM_OS_ERROR(code)
#define MATCH VFS_COMMIT_IF_MATCH
#define NONE VFS_COMMIT_IF_NONE
#define EACH_SERVER(options)                                                                       \
    for (size_t i = 0; i < DAV_SERVERS && (dav_start(&dav, i, options), 1); dav_stop(&dav), i++)
#define IS(want, expr) cr_expect_eq(expr, want, "%s: %s", dav.name, #expr)
#define OK(expr) IS(APR_SUCCESS, expr)
#define HOLDS(path, text) cr_expect(dav_holds(&dav, path, text), "%s: %s", dav.name, path)
#define ON_DISK(dir, names) cr_expect_str_eq(dav_on_disk(&dav, dir), names, "%s", dav.name)

static dav_t dav;

TestSuite(remote_webdav);

Test(remote_webdav, a_file_is_made_and_replaced_as_a_whole)
{
    EACH_SERVER("")
    {
        vfs_attr_t attr;
        OK(dav_put(dav.fs, "/f", "first", 0, NULL));
        HOLDS("/f", "first");
        OK(dav_put(dav.fs, "/f", "", 0, NULL));
        HOLDS("/f", "");
        OK(dav_put(dav.fs, "/f", "a longer text than before", 0, NULL));
        HOLDS("/f", "a longer text than before");
        OK(vfs_stat(dav.fs, NULL, "/f", &attr));
        cr_expect_eq(attr.size, 25);
        cr_expect_eq(attr.type, VFS_TYPE_FILE);
        OK(vfs_mkdir(dav.fs, NULL, "/d", 0755));
        IS(E(EISDIR), dav_put(dav.fs, "/d", "x", 0, NULL));
        IS(E(EISDIR), dav_put(dav.fs, "/d", "x", NONE, NULL) == VFS_ECONFLICT
                          ? E(EISDIR)
                          : dav_put(dav.fs, "/d", "x", NONE, NULL));
        IS(APR_ENOENT, dav_put(dav.fs, "/none/f", "x", 0, NULL));
        IS(APR_ENOENT, dav_put(dav.fs, "/none/f", "x", NONE, NULL));
        IS(E(ENOTDIR), dav_put(dav.fs, "/f/x", "x", 0, NULL));
        ON_DISK("/", "d f ");
        ON_DISK("/d", "");
    }
}

static apr_status_t from_number(void *baton, void *buf, size_t len, apr_off_t off)
{
    unsigned char *bytes = buf;
    (void)baton;
    for (size_t n = 0; n < len; n++)
        bytes[n] = (unsigned char)(((size_t)off + n) * 2654435761u >> 13);
    return APR_SUCCESS;
}

Test(remote_webdav, a_large_file_goes_up_and_comes_back)
{
    enum { SIZE = 5000000 };
    unsigned char *want = malloc(SIZE);
    cr_assert_not_null(want);
    (void)from_number(NULL, want, SIZE, 0);
    EACH_SERVER("")
    {
        const vfs_source_t source = {from_number, NULL, SIZE};
        char *data = NULL;
        size_t len = 0;
        OK(vfs_commit(dav.fs, NULL, "/big", &source, NULL, NULL, NULL));
        OK(vfs_read_file(&data, &len, dav.fs, NULL, "/big", 0, dav.pool));
        cr_expect_eq(len, SIZE);
        cr_expect(len == SIZE && memcmp(data, want, SIZE) == 0, "%s", dav.name);
    }
    free(want);
}

static void conditions_hold(void)
{
    vfs_validator_t one, two, stale;
    IS(APR_SUCCESS, dav_put(dav.fs, "/f", "one", NONE, &one));
    IS(VFS_ECONFLICT, dav_put(dav.fs, "/f", "other", NONE, &two));
    HOLDS("/f", "one");
    stale = one;
    OK(dav_put(dav.fs, "/f", "second", MATCH, &one)); /* within a second: the tag may be weak */
    HOLDS("/f", "second");
    two = one;
    IS(VFS_ECONFLICT, dav_put(dav.fs, "/f", "third", MATCH, &stale));
    HOLDS("/f", "second");
    OK(vfs_validator(dav.fs, NULL, "/f", &one));
    cr_expect(vfs_validator_equal(&one, &two), "%s: what commit told is what is there", dav.name);
    OK(dav_put(dav.fs, "/f", "the fourth", MATCH, &one));
    HOLDS("/f", "the fourth");
    OK(vfs_unlink(dav.fs, NULL, "/f"));
    IS(VFS_ECONFLICT, dav_put(dav.fs, "/f", "gone", MATCH, &one));
    OK(dav_put(dav.fs, "/f", "again", NONE, NULL));
    OK(dav_put(dav.fs, "/f", "no lock is left", 0, NULL));
    OK(dav_put(dav.fs, "/a b%", "one", NONE, &one));
    OK(dav_put(dav.fs, "/a b%", "two", MATCH, &one));
    HOLDS("/a b%", "two");
    ON_DISK("/", "a b% f ");
}

Test(remote_webdav, a_condition_that_does_not_hold_changes_nothing)
{
    EACH_SERVER("") conditions_hold();
    EACH_SERVER("conditions=no") conditions_hold(); /* with locks */
    EACH_SERVER("conditions=no&locks=no") conditions_hold();
}

static apr_status_t from_broken(void *baton, void *buf, size_t len, apr_off_t off)
{
    (void)baton;
    memset(buf, 'x', len);
    return off + (apr_off_t)len > 500000 ? E(EIO) : APR_SUCCESS;
}

Test(remote_webdav, a_source_that_fails_changes_nothing)
{
    static const uint32_t conditions[] = {0, NONE, MATCH};
    EACH_SERVER("")
    {
        const vfs_source_t source = {from_broken, NULL, 1000000};
        vfs_validator_t version;
        OK(dav_put(dav.fs, "/f", "text", 0, &version));
        for (size_t n = 0; n < 3; n++) {
            vfs_commit_t how = VFS_COMMIT_INIT;
            how.flags = conditions[n];
            how.expected = version;
            const char *path = conditions[n] == NONE ? "/new" : "/f";
            IS(E(EIO), vfs_commit(dav.fs, NULL, path, &source, &how, NULL, NULL));
            HOLDS("/f", "text");
            /* Apache removes what it has when it sees that the connection is gone */
            for (unsigned turn = 0; turn < 3000 && strcmp(dav_on_disk(&dav, "/"), "f ") != 0;
                 turn++)
                apr_sleep(10000);
            ON_DISK("/", "f ");
        }
        OK(dav_put(dav.fs, "/f", "no lock is left", 0, NULL));
    }
}

Test(remote_webdav, directories_are_made_and_removed_empty)
{
    EACH_SERVER("")
    {
        vfs_attr_t attr;
        OK(vfs_mkdir(dav.fs, NULL, "/d", 0755));
        OK(vfs_stat(dav.fs, NULL, "/d", &attr));
        cr_expect_eq(attr.type, VFS_TYPE_DIR);
        IS(APR_EEXIST, vfs_mkdir(dav.fs, NULL, "/d", 0755));
        IS(APR_ENOENT, vfs_mkdir(dav.fs, NULL, "/none/d", 0755));
        OK(dav_put(dav.fs, "/d/f", "x", 0, NULL));
        IS(APR_EEXIST, vfs_mkdir(dav.fs, NULL, "/d/f", 0755));
        IS(E(ENOTDIR), vfs_mkdir(dav.fs, NULL, "/d/f/x", 0755));
        IS(E(ENOTEMPTY), vfs_rmdir(dav.fs, NULL, "/d"));
        HOLDS("/d/f", "x");
        OK(dav_put(dav.fs, "/d/f", "no lock is left", 0, NULL));
        IS(E(ENOTDIR), vfs_rmdir(dav.fs, NULL, "/d/f"));
        IS(E(EISDIR), vfs_unlink(dav.fs, NULL, "/d"));
        OK(vfs_unlink(dav.fs, NULL, "/d/f"));
        IS(APR_ENOENT, vfs_unlink(dav.fs, NULL, "/d/f"));
        OK(vfs_rmdir(dav.fs, NULL, "/d"));
        IS(APR_ENOENT, vfs_rmdir(dav.fs, NULL, "/d"));
        IS(APR_ENOENT, vfs_stat(dav.fs, NULL, "/d", &attr));
        OK(vfs_mkdir(dav.fs, NULL, "/d", 0755));
        OK(vfs_mkdir(dav.fs, NULL, "/d/a b%", 0755));
        OK(vfs_rmdir(dav.fs, NULL, "/d/a b%"));
        ON_DISK("/", "d ");
        ON_DISK("/d", "");
    }
}

Test(remote_webdav, names_move_and_replace_what_they_may)
{
    EACH_SERVER("")
    {
        dav_shell(&dav, "mkdir -m 777 d e full && echo -n x >full/x && chmod 666 full/x");
        OK(dav_put(dav.fs, "/a", "a", 0, NULL));
        OK(dav_put(dav.fs, "/b", "b", 0, NULL));
        IS(APR_EEXIST, vfs_rename(dav.fs, NULL, "/a", "/b", VFS_RENAME_NOREPLACE));
        IS(E(EISDIR), vfs_rename(dav.fs, NULL, "/a", "/d", 0));
        IS(E(ENOTDIR), vfs_rename(dav.fs, NULL, "/d", "/a", 0));
        IS(E(ENOTEMPTY), vfs_rename(dav.fs, NULL, "/d", "/full", 0));
        IS(APR_ENOENT, vfs_rename(dav.fs, NULL, "/none", "/c", 0));
        IS(APR_ENOENT, vfs_rename(dav.fs, NULL, "/a", "/none/c", 0));
        IS(E(ENOTDIR), vfs_rename(dav.fs, NULL, "/a", "/b/c", 0));
        IS(APR_EINVAL, vfs_rename(dav.fs, NULL, "/d", "/d/e", 0));
        IS(APR_ENOTIMPL, vfs_rename(dav.fs, NULL, "/a", "/b", VFS_RENAME_EXCHANGE));
        OK(vfs_rename(dav.fs, NULL, "/a", "/a", 0));
        HOLDS("/full/x", "x");
        ON_DISK("/", "a b d e full ");
        OK(vfs_rename(dav.fs, NULL, "/a", "/b", 0));
        HOLDS("/b", "a");
        OK(vfs_rename(dav.fs, NULL, "/b", "/d/c d%", 0));
        HOLDS("/d/c d%", "a");
        OK(vfs_rename(dav.fs, NULL, "/d", "/e", 0));
        HOLDS("/e/c d%", "a");
        OK(vfs_rename(dav.fs, NULL, "/e", "/g", VFS_RENAME_NOREPLACE));
        HOLDS("/g/c d%", "a");
        ON_DISK("/", "full g ");
    }
}

Test(remote_webdav, every_name_of_a_directory_is_listed_as_stat_has_it_by_one_request)
{
    static const char *const names[] = {"#hash", "%41", "&amp;",      "+plus",  ".dot",
                                        "?q=1",  "a b", "a:b",        "b\"c<>", "c;d=e@",
                                        "dir",   "k",   "t\xc3\xa4t", "{}|^`~"};
    enum { COUNT = sizeof(names) / sizeof(names[0]) };
    EACH_SERVER("")
    {
        vfs_remote_figures_t before = {.size = sizeof(before)}, after = before;
        vfs_dir_t *dir = NULL;
        vfs_dirent_t entry;
        size_t count = 0;
        char path[300];
        OK(vfs_mkdir(dav.fs, NULL, "/l", 0755));
        for (size_t n = 0; n < COUNT; n++) {
            snprintf(path, sizeof(path), "/l/%s", names[n]);
            if (strcmp(names[n], "dir") == 0)
                OK(vfs_mkdir(dav.fs, NULL, path, 0755));
            else
                OK(dav_put(dav.fs, path, names[n], 0, NULL));
        }
        OK(vfs_remote_figures(dav.fs, &before));
        OK(vfs_opendir(&dir, dav.fs, NULL, "/l", VFS_DIR_ATTRS));
        OK(vfs_remote_figures(dav.fs, &after));
        cr_expect_eq(after.requests - before.requests, 1, "%s", dav.name);
        for (; vfs_readdir(dir, NULL, &entry) == APR_SUCCESS; count++) {
            vfs_attr_t attr;
            vfs_validator_t version;
            /* nginx lists no name that begins with a dot */
            if (strcmp(names[count], ".dot") == 0 && strcmp(dav.name, "nginx") == 0) count++;
            cr_assert_lt(count, COUNT, "%s: '%s'", dav.name, entry.name);
            cr_expect_str_eq(entry.name, names[count], "%s: '%s'", dav.name, entry.name);
            snprintf(path, sizeof(path), "/l/%s", entry.name);
            OK(vfs_stat(dav.fs, NULL, path, &attr));
            OK(vfs_validator(dav.fs, NULL, path, &version));
            cr_expect_neq(entry.has_attr, 0);
            cr_expect_eq(entry.type, attr.type);
            cr_expect_eq(entry.attr.size, attr.size, "%s: '%s'", dav.name, entry.name);
            cr_expect_eq(entry.attr.mtime_ns, attr.mtime_ns, "%s: '%s'", dav.name, entry.name);
            if (attr.type == VFS_TYPE_DIR) continue;
            cr_expect(vfs_validator_equal(&entry.validator, &version), "%s: '%s'", dav.name,
                      entry.name);
            HOLDS(path, entry.name);
        }
        cr_expect_eq(count, COUNT, "%s: %zu", dav.name, count);
        OK(vfs_closedir(dir));
        IS(E(ENOTDIR), vfs_opendir(&dir, dav.fs, NULL, "/l/k", 0));
        IS(E(ENOTDIR), vfs_opendir(&dir, dav.fs, NULL, "/l/k/x", 0));
        IS(APR_ENOENT, vfs_opendir(&dir, dav.fs, NULL, "/none", 0));
    }
}

Test(remote_webdav, whoever_tells_a_version_tells_the_same)
{
    EACH_SERVER("")
    {
        vfs_validator_t put, stat, got, read;
        vfs_attr_t attr;
        vfs_file_t *file = NULL;
        char buf[16];
        size_t n = 0;
        const vfs_iovec_t iov = {buf, sizeof(buf)};
        OK(dav_put(dav.fs, "/f", "text", 0, &put));
        OK(vfs_validator(dav.fs, NULL, "/f", &stat));
        OK(vfs_get(dav.fs, NULL, "/f", buf, sizeof(buf), &n, &attr, &got));
        cr_expect_eq(n, 4);
        cr_expect_eq(attr.size, 4);
        OK(vfs_open(&file, dav.fs, NULL, "/f", VFS_O_READ, 0, NULL, NULL));
        OK(vfs_call_fetch(file, NULL, &iov, 1, 0, &n, &read));
        OK(vfs_close(file, NULL));
        cr_expect(vfs_validator_equal(&put, &stat), "%s", dav.name);
        cr_expect(vfs_validator_equal(&put, &got), "%s", dav.name);
        cr_expect(vfs_validator_equal(&put, &read), "%s", dav.name);
        cr_expect_neq(put.flags & VFS_VALIDATOR_YOUNG, 0, "%s", dav.name);
        dav_shell(&dav, "echo longer >f");
        OK(vfs_validator(dav.fs, NULL, "/f", &stat));
        cr_expect_not(vfs_validator_equal(&put, &stat), "%s", dav.name);
    }
}

Test(remote_webdav, get_tells_a_directory_from_a_file)
{
    EACH_SERVER("")
    {
        char buf[64];
        size_t n = 99;
        vfs_attr_t attr;
        dav_shell(&dav, "mkdir -m 777 d && : >empty");
        for (unsigned turn = 0; turn < 2; turn++) { /* the second time it knows the server */
            OK(vfs_get(dav.fs, NULL, "/d", buf, sizeof(buf), &n, &attr, NULL));
            cr_expect_eq(attr.type, VFS_TYPE_DIR, "%s", dav.name);
            cr_expect_eq(n, 0);
            OK(vfs_get(dav.fs, NULL, "/empty", buf, sizeof(buf), &n, &attr, NULL));
            cr_expect_eq(attr.type, VFS_TYPE_FILE, "%s", dav.name);
            cr_expect_eq(attr.size, 0);
            IS(APR_ENOENT, vfs_get(dav.fs, NULL, "/none", buf, sizeof(buf), &n, &attr, NULL));
            IS(E(ENOTDIR), vfs_get(dav.fs, NULL, "/empty/x", buf, sizeof(buf), &n, &attr, NULL));
        }
    }
}

Test(remote_webdav, a_lock_lasts_as_long_as_it_is_asked_for)
{
    EACH_SERVER("")
    {
        webdav_t *w = dav.fs->state;
        webdav_lock_t lock;
        dav_shell(&dav, "echo text >f && chmod 666 f");
        OK(webdav__lock(w, NULL, "/f", 0, &lock));
        cr_expect_eq(lock.lasts_us, 60000000, "%s: %lld", dav.name, (long long)lock.lasts_us);
        OK(webdav__lock_keep(w, NULL, &lock));
        for (unsigned turn = 0; turn < 2; turn++) {
            lock.keep_us = 0;
            OK(webdav__lock_keep(w, NULL, &lock));
            cr_expect_gt(lock.keep_us, apr_time_now(), "%s: it was granted", dav.name);
            IS(E(EBUSY), vfs_unlink(dav.fs, NULL, "/f"));
        }
        webdav_lock_t gone = lock;
        webdav__unlock(w, &lock);
        gone.keep_us = 0;
        if (i < 2) IS(VFS_EOFFLINE, webdav__lock_keep(w, NULL, &gone)); /* lighttpd does not tell */
        gone.keep_us = gone.ends_us = 0;
        IS(VFS_EOFFLINE, webdav__lock_keep(w, NULL, &gone));
        OK(vfs_unlink(dav.fs, NULL, "/f")); /* no lock is left */
    }
}

#define LOCKERS 4u
#define ROUNDS 60u

static void *lock_one(void *arg)
{
    webdav_t *w = dav.fs->state;
    webdav_lock_t lock;
    intptr_t bad = 0;
    for (unsigned i = 0; i < ROUNDS && bad == 0; i++) {
        bad = webdav__lock(w, NULL, arg, 0, &lock);
        if (bad == APR_SUCCESS) webdav__unlock(w, &lock);
    }
    return (void *)bad;
}

/* Apache forgets one of two that come at the same time: such a file was busy for a minute. */
Test(remote_webdav, locks_that_are_given_back_are_free_whoever_else_takes_some)
{
    EACH_SERVER("")
    {
        static char paths[LOCKERS][8];
        pthread_t threads[LOCKERS];
        for (unsigned n = 0; n < LOCKERS; n++) {
            snprintf(paths[n], sizeof(paths[n]), "/f%u", n);
            OK(dav_put(dav.fs, paths[n], "x", 0, NULL));
        }
        for (unsigned n = 0; n < LOCKERS; n++)
            cr_assert_eq(pthread_create(&threads[n], NULL, lock_one, paths[n]), 0);
        for (unsigned n = 0; n < LOCKERS; n++) {
            void *bad = NULL;
            cr_assert_eq(pthread_join(threads[n], &bad), 0);
            cr_expect_null(bad, "%s: %s answered %d", dav.name, paths[n], (int)(intptr_t)bad);
        }
    }
}
