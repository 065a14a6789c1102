/* test_listing.c - listings of the memory backend: order, cookies, and what comes and goes
 * meanwhile. */
#include <stdlib.h>

#include "tests/mem/support_mem.h"

TestSuite(mem_listing, .init = mem_setup, .fini = mem_teardown);

static vfs_dir_t *opendir_ok(const char *path, uint32_t flags)
{
    vfs_dir_t *dir;

    cr_assert(vfs_opendir(&dir, fs, NULL, path, flags) == APR_SUCCESS);
    return dir;
}

static void make_many(const char *dir, int count)
{
    char path[64];

    for (int i = 0; i < count; i++) {
        sprintf(path, "%s/%d", dir, i);
        cr_assert(vfs_mknod(fs, NULL, path, VFS_TYPE_FILE, 0644, 0) == APR_SUCCESS);
    }
}

Test(mem_listing, entries_come_in_order_with_attributes)
{
    vfs_dirent_t entry;
    vfs_validator_t version;
    vfs_dir_t *dir;

    OK(vfs_mkdir(fs, NULL, "/d", 0755));
    put_ok("/d/f", "four");
    OK(vfs_symlink(fs, NULL, "f", "/d/l"));
    OK(vfs_mkdir(fs, NULL, "/d/s", 0700));
    dir = opendir_ok("/d", VFS_DIR_ATTRS);
    version = version_of("/d/f");
    OK(vfs_readdir(dir, NULL, &entry));
    cr_expect(strcmp(entry.name, "f") == 0 && entry.name_len == 1 && entry.has_attr);
    cr_expect(entry.attr.size == 4 && entry.ino == stat_of("/d/f").ino && entry.cookie != 0);
    cr_expect(vfs_validator_equal(&entry.validator, &version));
    cr_expect((entry.attr.flags & VFS_ATTR_DIRECT) != 0);
    OK(vfs_readdir(dir, NULL, &entry));
    cr_expect(entry.type == VFS_TYPE_LINK && entry.attr.type == VFS_TYPE_LINK);
    OK(vfs_readdir(dir, NULL, &entry));
    cr_expect(entry.type == VFS_TYPE_DIR && entry.attr.mode == 0700);
    EXPECT(APR_EOF, vfs_readdir(dir, NULL, &entry));
    EXPECT(APR_EOF, vfs_readdir(dir, NULL, &entry));
    OK(vfs_closedir(dir));
    dir = opendir_ok("/d", 0);
    OK(vfs_readdir(dir, NULL, &entry));
    cr_expect(!entry.has_attr && entry.type == VFS_TYPE_FILE);
    OK(vfs_closedir(dir));
    EXPECT(APR_ENOTDIR, vfs_opendir(&dir, fs, NULL, "/d/f", 0));
    EXPECT(APR_ENOENT, vfs_opendir(&dir, fs, NULL, "/none", 0));
}

/* Half of 1000 entries go, and as many come, while the listing is under way. */
Test(mem_listing, an_entry_that_stays_is_seen_exactly_once)
{
    static int seen[1000];
    char path[64];
    int step = 0;
    vfs_dirent_t entry;
    apr_status_t status;
    vfs_dir_t *dir;

    OK(vfs_mkdir(fs, NULL, "/d", 0755));
    make_many("/d", 1000);
    dir = opendir_ok("/d", 0);
    while ((status = vfs_readdir(dir, NULL, &entry)) == APR_SUCCESS) {
        cr_assert(entry.name[0] >= '0' && entry.name[0] <= '9', "what came later is not listed");
        seen[atoi(entry.name)]++;
        sprintf(path, "/d/%d", (step * 7) % 1000 / 2 * 2 + 1);
        status = vfs_unlink(fs, NULL, path);
        cr_assert(status == APR_SUCCESS || status == APR_ENOENT);
        sprintf(path, "/d/new%d", step++);
        put_ok(path, "");
    }
    cr_assert(status == APR_EOF);
    for (int i = 0; i < 1000; i++)
        cr_assert(i % 2 == 0 ? seen[i] == 1 : seen[i] <= 1, "%d was seen %d times", i, seen[i]);
    OK(vfs_seekdir(dir, NULL, 0));
    int count = 0;
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS)
        count++;
    cr_expect(count > step, "the beginning reads the directory anew");
    OK(vfs_closedir(dir));
}

Test(mem_listing, a_name_that_is_replaced_stays_where_it_was)
{
    vfs_dirent_t entry;
    vfs_dir_t *dir;

    put_ok("/a", "a");
    put_ok("/b", "b");
    put_ok("/c", "c");
    dir = opendir_ok("/", 0);
    OK(vfs_readdir(dir, NULL, &entry));
    put_ok("/t", "new a");
    OK(vfs_rename(fs, NULL, "/t", "/a", 0));
    put_ok("/t", "new b");
    OK(vfs_rename(fs, NULL, "/t", "/b", 0));
    OK(vfs_readdir(dir, NULL, &entry));
    cr_expect_str_eq(entry.name, "b");
    OK(vfs_readdir(dir, NULL, &entry));
    cr_expect_str_eq(entry.name, "c");
    EXPECT(APR_EOF, vfs_readdir(dir, NULL, &entry));
    OK(vfs_closedir(dir));
    cr_expect_str_eq(names_in("/"), "a b c");
}

Test(mem_listing, renaming_all_that_is_read_comes_to_an_end)
{
    char from[64], to[80];
    int count = 0;
    vfs_dirent_t entry;
    vfs_dir_t *dir;

    OK(vfs_mkdir(fs, NULL, "/d", 0755));
    make_many("/d", 100);
    dir = opendir_ok("/d", 0);
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS && count < 1000) {
        sprintf(from, "/d/%s", entry.name);
        sprintf(to, "/d/%s.done", entry.name);
        OK(vfs_rename(fs, NULL, from, to, 0));
        count++;
    }
    cr_expect(count == 100);
    OK(vfs_closedir(dir));
}

Test(mem_listing, a_cookie_goes_on_behind_its_entry)
{
    static uint64_t cookies[300];
    static char names[300][16];
    vfs_dirent_t entry;
    vfs_dir_t *dir;

    OK(vfs_mkdir(fs, NULL, "/d", 0755));
    make_many("/d", 300);
    dir = opendir_ok("/d", 0);
    for (int i = 0; i < 300; i++) {
        OK(vfs_readdir(dir, NULL, &entry));
        cookies[i] = entry.cookie;
        strcpy(names[i], entry.name);
    }
    for (int i = 298; i >= 0; i -= 7) {
        OK(vfs_seekdir(dir, NULL, cookies[i]));
        OK(vfs_readdir(dir, NULL, &entry));
        cr_expect_str_eq(entry.name, names[i + 1]);
    }
    OK(vfs_closedir(dir));
    dir = opendir_ok("/d", 0);
    OK(vfs_unlink(fs, NULL, "/d/10"));
    OK(vfs_seekdir(dir, NULL, cookies[10]));
    OK(vfs_readdir(dir, NULL, &entry));
    cr_expect_str_eq(entry.name, names[11]);
    OK(vfs_seekdir(dir, NULL, cookies[299]));
    EXPECT(APR_EOF, vfs_readdir(dir, NULL, &entry));
    OK(vfs_closedir(dir));
}

Test(mem_listing, a_removed_directory_has_no_entries)
{
    vfs_dirent_t entry;
    vfs_dir_t *dir;

    OK(vfs_mkdir(fs, NULL, "/d", 0755));
    dir = opendir_ok("/d", 0);
    OK(vfs_rmdir(fs, NULL, "/d"));
    OK(vfs_seekdir(dir, NULL, 0));
    EXPECT(APR_EOF, vfs_readdir(dir, NULL, &entry));
    OK(vfs_closedir(dir));
}

/* The pattern of rm -r: each pass begins at the beginning and removes the first. Linear, or it
 * takes minutes. */
Test(mem_listing, a_large_directory_is_listed_and_emptied_from_the_front)
{
    enum { COUNT = 200000 };
    char path[64];
    int count = 0;
    vfs_dirent_t entry;
    vfs_dir_t *dir;

    OK(vfs_mkdir(fs, NULL, "/d", 0755));
    make_many("/d", COUNT);
    dir = opendir_ok("/d", VFS_DIR_ATTRS);
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS)
        count++;
    cr_expect(count == COUNT);
    for (int i = 0; i < COUNT; i++) {
        cr_assert(vfs_seekdir(dir, NULL, 0) == APR_SUCCESS);
        cr_assert(vfs_readdir(dir, NULL, &entry) == APR_SUCCESS);
        sprintf(path, "/d/%s", entry.name);
        cr_assert(vfs_unlink(fs, NULL, path) == APR_SUCCESS);
    }
    EXPECT(APR_EOF, vfs_readdir(dir, NULL, &entry));
    OK(vfs_closedir(dir));
    OK(vfs_rmdir(fs, NULL, "/d"));
}
