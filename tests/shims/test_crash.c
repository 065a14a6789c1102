/*
 * test_crash.c - what the crash shim keeps and loses.
 */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/shims/support_shims.h"

typedef struct stand_t {
    apr_pool_t *pool;
    vfs_t *lower;
    vfs_t *fs;
} stand_t;

static stand_t stand_up(void)
{
    stand_t s;
    s.pool = test_pool();
    s.lower = test_mem(s.pool);
    cr_assert_eq(vfs_crash_create(&s.fs, s.lower, s.pool), APR_SUCCESS);
    return s;
}

static void tear_down(stand_t *s)
{
    vfs_destroy(s->fs);
    vfs_attr_t attr;
    cr_assert(APR_STATUS_IS_ENOENT(vfs_lstat(s->lower, NULL, "/.vfs-crash", &attr)));
    vfs_destroy(s->lower);
    apr_pool_destroy(s->pool);
}

static void lose(stand_t *s, vfs_crash_e how)
{
    cr_assert_eq(vfs_crash_now(s->fs, how, 0, 0), APR_SUCCESS);
    vfs_crash_restart(s->fs);
}

static void put_at(vfs_t *fs, const char *path, const char *text, apr_off_t off)
{
    size_t written;
    vfs_file_t *file = test_open(fs, path, VFS_O_WRITE);
    cr_assert_eq(vfs_write_at(file, NULL, text, strlen(text), off, &written, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}

static void sync_file(vfs_t *fs, const char *path)
{
    vfs_file_t *file = test_open(fs, path, VFS_O_READ);
    cr_assert_eq(vfs_sync(file, NULL, VFS_SYNC_ALL), APR_SUCCESS);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}

#define cr_text(fs, path, expected) cr_assert_str_eq(test_text(fs, path, s.pool), expected)

static int exists(vfs_t *fs, const char *path)
{
    vfs_attr_t attr;
    return vfs_lstat(fs, NULL, path, &attr) == APR_SUCCESS;
}

Test(shims_crash, all_ops_answer_as_the_lower_does)
{
    static script_t plain, through;
    stand_t s = stand_up();
    vfs_t *bare = test_mem(s.pool);
    script_run(&plain, bare);
    script_run(&through, s.fs);
    for (unsigned op = 0; op < VFS_OPID_COUNT; op++)
        if (op != VFS_OPID_commit)
            cr_assert_eq(plain.status[op], through.status[op], "%s: %d, %d",
                         vfs_op_name((vfs_opid_e)op), plain.status[op], through.status[op]);
    cr_assert_eq(through.status[VFS_OPID_commit], APR_ENOTIMPL);
    cr_assert_eq(vfs_caps(s.fs)->bits & (VFS_CAP_COMMIT | VFS_CAP_CONDITIONAL), 0);
    cr_assert(vfs_caps(s.fs)->bits & VFS_CAP_SYNC);
    vfs_destroy(bare);
    tear_down(&s);
}

Test(shims_crash, unsynced_bytes_are_dropped_and_synced_ones_stay)
{
    stand_t s = stand_up();
    test_put(s.fs, "/a", "durable");
    cr_assert_eq(vfs_sync_fs(s.fs, NULL), APR_SUCCESS);
    put_at(s.fs, "/a", "XXXXXXXXXX", 2);
    cr_text(s.fs, "/a", "duXXXXXXXXXX");
    lose(&s, VFS_CRASH_DROP_UNSYNCED);
    cr_text(s.fs, "/a", "durable");
    put_at(s.fs, "/a", "YY", 5);
    sync_file(s.fs, "/a");
    put_at(s.fs, "/a", "ZZ", 0);
    lose(&s, VFS_CRASH_DROP_UNSYNCED);
    cr_text(s.fs, "/a", "durabYY");
    tear_down(&s);
}

Test(shims_crash, keep_all_keeps_all)
{
    stand_t s = stand_up();
    test_put(s.fs, "/a", "one");
    test_put(s.fs, "/b", "two");
    cr_assert_eq(vfs_rename(s.fs, NULL, "/b", "/c", 0), APR_SUCCESS);
    cr_assert_eq(vfs_unlink(s.fs, NULL, "/a"), APR_SUCCESS);
    lose(&s, VFS_CRASH_KEEP_ALL);
    cr_assert(!exists(s.fs, "/a") && !exists(s.fs, "/b"));
    cr_text(s.fs, "/c", "two");
    tear_down(&s);
}

Test(shims_crash, a_tear_cuts_the_last_write_only)
{
    stand_t s = stand_up();
    test_put(s.fs, "/a", "0123456789");
    cr_assert_eq(vfs_sync_fs(s.fs, NULL), APR_SUCCESS);
    put_at(s.fs, "/a", "first", 0);
    put_at(s.fs, "/a", "LAST!", 5);
    cr_assert_eq(vfs_crash_now(s.fs, VFS_CRASH_TEAR_LAST, 0, 2), APR_SUCCESS);
    vfs_crash_restart(s.fs);
    cr_text(s.fs, "/a", "firstLA789");
    put_at(s.fs, "/a", "more", 10);
    cr_assert_eq(vfs_crash_now(s.fs, VFS_CRASH_TEAR_LAST, 0, 0), APR_SUCCESS);
    vfs_crash_restart(s.fs);
    cr_text(s.fs, "/a", "firstLA789");
    put_at(s.fs, "/a", "more", 10);
    cr_assert_eq(vfs_crash_now(s.fs, VFS_CRASH_TEAR_LAST, 0, 400), APR_SUCCESS);
    vfs_crash_restart(s.fs);
    cr_text(s.fs, "/a", "firstLA789more");
    tear_down(&s);
}

Test(shims_crash, a_sync_covers_the_name_of_a_new_file_but_not_its_rename)
{
    stand_t s = stand_up();
    test_put(s.fs, "/new", "x");
    test_put(s.fs, "/unsynced", "y");
    sync_file(s.fs, "/new");
    cr_assert_eq(vfs_rename(s.fs, NULL, "/new", "/renamed", 0), APR_SUCCESS);
    sync_file(s.fs, "/renamed");
    lose(&s, VFS_CRASH_DROP_UNSYNCED);
    cr_text(s.fs, "/new", "x");
    cr_assert(!exists(s.fs, "/renamed") && !exists(s.fs, "/unsynced"));
    cr_assert_eq(vfs_rename(s.fs, NULL, "/new", "/renamed", 0), APR_SUCCESS);
    cr_assert_eq(vfs_sync_dir(s.fs, NULL, "/"), APR_SUCCESS);
    lose(&s, VFS_CRASH_DROP_UNSYNCED);
    cr_text(s.fs, "/renamed", "x");
    cr_assert(!exists(s.fs, "/new"));
    tear_down(&s);
}

Test(shims_crash, a_synced_name_without_its_bytes_is_an_empty_file)
{
    stand_t s = stand_up();
    test_put(s.fs, "/a", "bytes");
    cr_assert_eq(vfs_sync_dir(s.fs, NULL, "/"), APR_SUCCESS);
    lose(&s, VFS_CRASH_DROP_UNSYNCED);
    cr_text(s.fs, "/a", "");
    tear_down(&s);
}

Test(shims_crash, a_removed_file_comes_back_with_its_durable_bytes)
{
    stand_t s = stand_up();
    test_put(s.fs, "/a", "old");
    test_put(s.fs, "/b", "other");
    cr_assert_eq(vfs_sync_fs(s.fs, NULL), APR_SUCCESS);
    put_at(s.fs, "/a", "NEW", 0);
    cr_assert_eq(vfs_unlink(s.fs, NULL, "/a"), APR_SUCCESS);
    cr_assert_eq(vfs_rename(s.fs, NULL, "/b", "/a", 0), APR_SUCCESS);
    test_put(s.fs, "/b", "third");
    cr_text(s.fs, "/a", "other");
    lose(&s, VFS_CRASH_DROP_UNSYNCED);
    cr_text(s.fs, "/a", "old");
    cr_text(s.fs, "/b", "other");
    tear_down(&s);
}

Test(shims_crash, a_replaced_file_comes_back)
{
    stand_t s = stand_up();
    test_put(s.fs, "/a", "old");
    cr_assert_eq(vfs_sync_fs(s.fs, NULL), APR_SUCCESS);
    test_put(s.fs, "/t", "new");
    sync_file(s.fs, "/t");
    cr_assert_eq(vfs_rename(s.fs, NULL, "/t", "/a", 0), APR_SUCCESS);
    lose(&s, VFS_CRASH_DROP_UNSYNCED);
    cr_text(s.fs, "/a", "old");
    cr_text(s.fs, "/t", "new");
    cr_assert_eq(vfs_rename(s.fs, NULL, "/t", "/a", 0), APR_SUCCESS);
    cr_assert_eq(vfs_sync_dir(s.fs, NULL, "/"), APR_SUCCESS);
    lose(&s, VFS_CRASH_DROP_UNSYNCED);
    cr_text(s.fs, "/a", "new");
    cr_assert(!exists(s.fs, "/t"));
    tear_down(&s);
}

Test(shims_crash, removed_directories_and_links_are_made_again)
{
    char text[32];
    stand_t s = stand_up();
    vfs_attr_t attr;
    cr_assert_eq(vfs_mkdir(s.fs, NULL, "/d", 0750), APR_SUCCESS);
    cr_assert_eq(vfs_mkdir(s.fs, NULL, "/d/e", 0700), APR_SUCCESS);
    cr_assert_eq(vfs_symlink(s.fs, NULL, "target", "/d/l"), APR_SUCCESS);
    test_put(s.fs, "/d/f", "in d");
    cr_assert_eq(vfs_sync_fs(s.fs, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_remove_all(s.fs, NULL, "/d"), APR_SUCCESS);
    cr_assert(!exists(s.fs, "/d"));
    lose(&s, VFS_CRASH_DROP_UNSYNCED);
    cr_text(s.fs, "/d/f", "in d");
    cr_assert_eq(vfs_readlink(s.fs, NULL, "/d/l", text, sizeof(text), NULL), APR_SUCCESS);
    cr_assert_str_eq(text, "target");
    cr_assert_eq(vfs_stat(s.fs, NULL, "/d", &attr), APR_SUCCESS);
    cr_assert_eq(attr.mode, 0750);
    cr_assert_eq(vfs_stat(s.fs, NULL, "/d/e", &attr), APR_SUCCESS);
    cr_assert_eq(attr.type, VFS_TYPE_DIR);
    tear_down(&s);
}

Test(shims_crash, what_is_synced_in_a_directory_that_is_not_is_lost_with_it)
{
    stand_t s = stand_up();
    cr_assert_eq(vfs_mkdir(s.fs, NULL, "/d", 0755), APR_SUCCESS);
    test_put(s.fs, "/d/f", "x");
    sync_file(s.fs, "/d/f");
    cr_assert_eq(vfs_sync_dir(s.fs, NULL, "/d"), APR_SUCCESS);
    lose(&s, VFS_CRASH_DROP_UNSYNCED);
    cr_assert(!exists(s.fs, "/d"));
    cr_assert_eq(vfs_mkdir(s.fs, NULL, "/d", 0755), APR_SUCCESS);
    test_put(s.fs, "/d/f", "x");
    sync_file(s.fs, "/d/f");
    cr_assert_eq(vfs_sync_dir(s.fs, NULL, "/"), APR_SUCCESS);
    lose(&s, VFS_CRASH_DROP_UNSYNCED);
    cr_text(s.fs, "/d/f", "x");
    tear_down(&s);
}

Test(shims_crash, a_directory_that_moves_takes_along_what_is_in_it)
{
    stand_t s = stand_up();
    cr_assert_eq(vfs_mkdir(s.fs, NULL, "/a", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_mkdir(s.fs, NULL, "/b", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_sync_fs(s.fs, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_rename(s.fs, NULL, "/a", "/b/a", 0), APR_SUCCESS);
    test_put(s.fs, "/b/a/f", "x");
    sync_file(s.fs, "/b/a/f");
    lose(&s, VFS_CRASH_DROP_UNSYNCED);
    cr_text(s.fs, "/a/f", "x");
    cr_assert(!exists(s.fs, "/b/a"));
    tear_down(&s);
}

Test(shims_crash, a_move_into_a_new_directory_makes_that_durable_too)
{
    stand_t s = stand_up();
    test_put(s.fs, "/f", "x");
    cr_assert_eq(vfs_sync_fs(s.fs, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_mkdir(s.fs, NULL, "/d", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_mkdir(s.fs, NULL, "/d/e", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_rename(s.fs, NULL, "/f", "/d/e/f", 0), APR_SUCCESS);
    cr_assert_eq(vfs_sync_dir(s.fs, NULL, "/d/e"), APR_SUCCESS);
    lose(&s, VFS_CRASH_DROP_UNSYNCED);
    cr_text(s.fs, "/d/e/f", "x");
    cr_assert(!exists(s.fs, "/f"));
    tear_down(&s);
}

Test(shims_crash, syncing_a_directory_covers_its_own_names_only)
{
    stand_t s = stand_up();
    cr_assert_eq(vfs_mkdir(s.fs, NULL, "/a", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_mkdir(s.fs, NULL, "/b", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_sync_fs(s.fs, NULL), APR_SUCCESS);
    test_put(s.fs, "/a/f", "x");
    test_put(s.fs, "/b/f", "x");
    cr_assert_eq(vfs_sync_dir(s.fs, NULL, "/a"), APR_SUCCESS);
    vfs_file_t *dir = test_open(s.fs, "/", VFS_O_READ | VFS_O_DIRECTORY);
    test_put(s.fs, "/f", "x");
    cr_assert_eq(vfs_sync(dir, NULL, VFS_SYNC_ALL), APR_SUCCESS);
    cr_assert_eq(vfs_close(dir, NULL), APR_SUCCESS);
    lose(&s, VFS_CRASH_DROP_UNSYNCED);
    cr_assert(exists(s.fs, "/a/f") && exists(s.fs, "/f"));
    cr_assert(!exists(s.fs, "/b/f"));
    tear_down(&s);
}

Test(shims_crash, an_exchange_with_a_new_directory_needs_it)
{
    /* The durable file is in a directory that is durable only with the exchange that brought it
     * there. */
    for (uint64_t seed = 0; seed < 40; seed++) {
        stand_t s = stand_up();
        test_put(s.fs, "/f", "x");
        cr_assert_eq(vfs_sync_fs(s.fs, NULL), APR_SUCCESS);
        cr_assert_eq(vfs_mkdir(s.fs, NULL, "/d", 0755), APR_SUCCESS);
        test_put(s.fs, "/d/new", "y");
        apr_status_t status = seed % 2 == 0
                                  ? vfs_rename(s.fs, NULL, "/f", "/d/new", VFS_RENAME_EXCHANGE)
                                  : vfs_rename(s.fs, NULL, "/d/new", "/f", VFS_RENAME_EXCHANGE);
        cr_assert_eq(status, APR_SUCCESS);
        cr_assert_eq(vfs_crash_now(s.fs, VFS_CRASH_RANDOM, seed, 0), APR_SUCCESS);
        vfs_crash_restart(s.fs);
        int moved = exists(s.fs, "/d/new") && strcmp(test_text(s.fs, "/d/new", s.pool), "x") == 0;
        int stayed = exists(s.fs, "/f") && strcmp(test_text(s.fs, "/f", s.pool), "x") == 0;
        cr_assert_eq(moved + stayed, 1, "seed %d", (int)seed);
        tear_down(&s);
    }
}

Test(shims_crash, truncation_exchange_links_and_attributes_go_back)
{
    char value[8] = "";
    size_t len;
    vfs_attr_t attr;
    stand_t s = stand_up();
    test_put(s.fs, "/a", "long content");
    test_put(s.fs, "/b", "b");
    cr_assert_eq(vfs_utimens(s.fs, NULL, "/a", 1000, 2000, 0), APR_SUCCESS);
    cr_assert_eq(vfs_setxattr(s.fs, NULL, "/a", "user.k", "old", 3, 0, 0), APR_SUCCESS);
    cr_assert_eq(vfs_sync_fs(s.fs, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_truncate(s.fs, NULL, "/a", 4), APR_SUCCESS);
    cr_assert_eq(vfs_truncate(s.fs, NULL, "/a", 30), APR_SUCCESS);
    test_put(s.fs, "/b", "replaced by truncating");
    cr_assert_eq(vfs_chmod(s.fs, NULL, "/a", 0600, 0), APR_SUCCESS);
    cr_assert_eq(vfs_setxattr(s.fs, NULL, "/a", "user.k", "newer", 5, 0, 0), APR_SUCCESS);
    cr_assert_eq(vfs_setxattr(s.fs, NULL, "/a", "user.n", "n", 1, 0, 0), APR_SUCCESS);
    cr_assert_eq(vfs_link(s.fs, NULL, "/a", "/also"), APR_SUCCESS);
    cr_assert_eq(vfs_rename(s.fs, NULL, "/a", "/b", VFS_RENAME_EXCHANGE), APR_SUCCESS);
    lose(&s, VFS_CRASH_DROP_UNSYNCED);
    cr_text(s.fs, "/a", "long content");
    cr_text(s.fs, "/b", "b");
    cr_assert(!exists(s.fs, "/also"));
    cr_assert_eq(vfs_stat(s.fs, NULL, "/a", &attr), APR_SUCCESS);
    cr_assert_eq(attr.mode, 0644);
    cr_assert_eq(attr.mtime_ns, 2000);
    cr_assert_eq(vfs_getxattr(s.fs, NULL, "/a", "user.k", value, sizeof(value), &len, 0),
                 APR_SUCCESS);
    cr_assert(len == 3 && memcmp(value, "old", 3) == 0);
    cr_assert_eq(vfs_getxattr(s.fs, NULL, "/a", "user.n", value, sizeof(value), &len, 0),
                 VFS_ENODATA);
    tear_down(&s);
}

/* What a file looks like after a power loss, as one number; -1 where it is none of what it may be.
 */
static int attrs_seen(vfs_t *fs)
{
    char value[4] = "";
    size_t len = 0;
    vfs_attr_t attr;
    cr_assert_eq(vfs_stat(fs, NULL, "/a", &attr), APR_SUCCESS);
    apr_status_t status = vfs_getxattr(fs, NULL, "/a", "user.k", value, sizeof(value), &len, 0);
    int written = attr.mtime_ns != 2000;
    if (attr.size != (written ? 8u : 3u)) return -1;
    if (status == VFS_ENODATA) value[0] = '2';
    if (strchr("012", value[0]) == NULL || value[0] == '\0') return -1;
    return written + 2 * (attr.uid == 7) + 4 * (attr.mode == 0600) + 8 * (value[0] - '0');
}

Test(shims_crash, chance_takes_each_change_of_a_file_for_itself)
{
    enum { SEEN = 24 };
    int seen[SEEN] = {0}, kinds = 0;
    for (uint64_t seed = 0; seed < 400; seed++) {
        size_t n;
        stand_t s = stand_up();
        test_put(s.fs, "/a", "old");
        cr_assert_eq(vfs_setxattr(s.fs, NULL, "/a", "user.k", "0", 1, 0, 0), APR_SUCCESS);
        cr_assert_eq(vfs_utimens(s.fs, NULL, "/a", 1000, 2000, 0), APR_SUCCESS);
        cr_assert_eq(vfs_sync_fs(s.fs, NULL), APR_SUCCESS);
        vfs_file_t *file = test_open(s.fs, "/a", VFS_O_WRITE);
        cr_assert_eq(vfs_write_at(file, NULL, "write", 5, 3, &n, NULL), APR_SUCCESS);
        cr_assert_eq(vfs_fsetxattr(file, NULL, "user.k", "1", 1, 0), APR_SUCCESS);
        cr_assert_eq(vfs_fchmod(file, NULL, 0600), APR_SUCCESS);
        cr_assert_eq(vfs_fchown(file, NULL, 7, 0), APR_SUCCESS);
        cr_assert_eq(vfs_fremovexattr(file, NULL, "user.k"), APR_SUCCESS);
        cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
        cr_assert_eq(vfs_crash_now(s.fs, VFS_CRASH_RANDOM, seed, 0), APR_SUCCESS);
        vfs_crash_restart(s.fs);
        int now = attrs_seen(s.fs);
        cr_assert(now >= 0 && now < SEEN, "seed %d: %d", (int)seed, now);
        kinds += seen[now]++ == 0;
        tear_down(&s);
    }
    cr_assert_eq(kinds, SEEN, "%d of %d survivors came", kinds, SEEN);
}

Test(shims_crash, a_data_sync_keeps_bytes_and_not_modes)
{
    vfs_attr_t attr;
    stand_t s = stand_up();
    test_put(s.fs, "/a", "old");
    cr_assert_eq(vfs_sync_fs(s.fs, NULL), APR_SUCCESS);
    vfs_file_t *file = test_open(s.fs, "/a", VFS_O_WRITE);
    size_t n;
    cr_assert_eq(vfs_write_at(file, NULL, "new", 3, 0, &n, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_fchmod(file, NULL, 0600), APR_SUCCESS);
    cr_assert_eq(vfs_flush(file, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_sync(file, NULL, VFS_SYNC_DATA), APR_SUCCESS);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    lose(&s, VFS_CRASH_DROP_UNSYNCED);
    cr_text(s.fs, "/a", "new");
    cr_assert_eq(vfs_stat(s.fs, NULL, "/a", &attr), APR_SUCCESS);
    cr_assert_eq(attr.mode, 0644);
    tear_down(&s);
}

Test(shims_crash, a_handle_that_writes_through_loses_nothing)
{
    size_t n;
    stand_t s = stand_up();
    vfs_file_t *file = test_open(s.fs, "/a", VFS_O_WRITE | VFS_O_CREATE | VFS_O_SYNC);
    cr_assert_eq(vfs_write_at(file, NULL, "safe", 4, 0, &n, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    lose(&s, VFS_CRASH_DROP_UNSYNCED);
    cr_text(s.fs, "/a", "safe");
    tear_down(&s);
}

Test(shims_crash, appends_holes_copies_and_allocations_go_back)
{
    size_t n;
    stand_t s = stand_up();
    test_put(s.fs, "/a", "0123456789");
    test_put(s.fs, "/b", "abc");
    cr_assert_eq(vfs_sync_fs(s.fs, NULL), APR_SUCCESS);
    vfs_file_t *a = test_open(s.fs, "/a", VFS_O_READ | VFS_O_WRITE);
    vfs_file_t *b = test_open(s.fs, "/b", VFS_O_READ | VFS_O_WRITE | VFS_O_APPEND);
    cr_assert_eq(vfs_write_at(b, NULL, "def", 3, 0, &n, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_write_at(a, NULL, "far", 3, 20000, &n, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_allocate(a, NULL, VFS_ALLOC_PUNCH_HOLE | VFS_ALLOC_KEEP_SIZE, 2, 4),
                 APR_SUCCESS);
    cr_assert_eq(vfs_copy_range(b, NULL, 0, a, 6, 3, &n), APR_SUCCESS);
    cr_text(s.fs, "/b", "abcdef");
    cr_assert_eq(vfs_close(a, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_close(b, NULL), APR_SUCCESS);
    lose(&s, VFS_CRASH_DROP_UNSYNCED);
    cr_text(s.fs, "/a", "0123456789");
    cr_text(s.fs, "/b", "abc");
    tear_down(&s);
}

Test(shims_crash, kept_punches_and_copies_are_done_again)
{
    /* A tear of the last write makes the replay redo all that came before it. */
    char buf[16];
    size_t n;
    stand_t s = stand_up();
    test_put(s.fs, "/a", "0123456789");
    test_put(s.fs, "/b", "abc");
    cr_assert_eq(vfs_sync_fs(s.fs, NULL), APR_SUCCESS);
    vfs_file_t *a = test_open(s.fs, "/a", VFS_O_READ | VFS_O_WRITE);
    vfs_file_t *b = test_open(s.fs, "/b", VFS_O_READ);
    cr_assert_eq(vfs_allocate(a, NULL, VFS_ALLOC_PUNCH_HOLE | VFS_ALLOC_KEEP_SIZE, 2, 2),
                 APR_SUCCESS);
    cr_assert_eq(vfs_copy_range(b, NULL, 0, a, 8, 3, &n), APR_SUCCESS);
    cr_assert_eq(vfs_ftruncate(a, NULL, 12), APR_SUCCESS);
    cr_assert_eq(vfs_write_at(a, NULL, "XYZ", 3, 5, &n, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_close(a, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_close(b, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_crash_now(s.fs, VFS_CRASH_TEAR_LAST, 0, 1), APR_SUCCESS);
    vfs_crash_restart(s.fs);
    cr_assert_eq(vfs_get(s.fs, NULL, "/a", buf, sizeof(buf), &n, NULL, NULL), APR_SUCCESS);
    cr_assert_eq(n, 12);
    cr_assert_eq(memcmp(buf,
                        "01\0\0"
                        "4X67abc\0",
                        12),
                 0);
    tear_down(&s);
}
