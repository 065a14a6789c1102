/* test_names.c - names in the memory backend: make, remove, link, rename, follow. */
#include "tests/mem/support_mem.h"

TestSuite(mem_names, .init = mem_setup, .fini = mem_teardown);

Test(mem_names, a_new_file_system_is_an_empty_root)
{
    vfs_attr_t root = stat_of("/");

    cr_expect(root.type == VFS_TYPE_DIR && root.mode == 0755 && root.nlink == 2);
    cr_expect(root.flags == (VFS_ATTR_DIRECT | VFS_ATTR_STABLE_ID));
    cr_expect_str_eq(names_in("/"), "");
    cr_expect_str_eq(vfs_name(fs), "mem");
}

Test(mem_names, what_is_made_is_there_and_what_is_removed_is_gone)
{
    OK(vfs_mkdir(fs, NULL, "/d", 0750));
    put_ok("/d/f", "hello");
    OK(vfs_symlink(fs, NULL, "f", "/d/l"));
    OK(vfs_mknod(fs, NULL, "/d/p", VFS_TYPE_FIFO, 0600, 7));
    OK(vfs_mknod(fs, NULL, "/d/c", VFS_TYPE_CHAR, 0600, 7));
    cr_expect_str_eq(names_in("/d"), "f l p c");
    holds("/d/l", "hello");
    cr_expect(stat_of("/d").mode == 0750 && stat_of("/d").nlink == 2 && stat_of("/").nlink == 3);
    cr_expect(lstat_of("/d/p").type == VFS_TYPE_FIFO && lstat_of("/d/p").rdev == 0);
    cr_expect(lstat_of("/d/c").type == VFS_TYPE_CHAR && lstat_of("/d/c").rdev == 7);
    cr_expect(lstat_of("/d/l").size == 1 && lstat_of("/d/l").mode == 0777);
    EXPECT(APR_ENOTEMPTY, vfs_rmdir(fs, NULL, "/d"));
    OK(vfs_unlink(fs, NULL, "/d/f"));
    EXPECT(APR_ENOENT, vfs_unlink(fs, NULL, "/d/f"));
    OK(vfs_unlink(fs, NULL, "/d/l"));
    OK(vfs_unlink(fs, NULL, "/d/p"));
    OK(vfs_unlink(fs, NULL, "/d/c"));
    OK(vfs_rmdir(fs, NULL, "/d"));
    EXPECT(APR_ENOENT, vfs_rmdir(fs, NULL, "/d"));
    cr_expect(stat_of("/").nlink == 2);
}

Test(mem_names, rename_replaces)
{
    put_ok("/a", "one");
    put_ok("/b", "two");
    OK(vfs_rename(fs, NULL, "/a", "/b", 0));
    holds("/b", "one");
    cr_expect_str_eq(names_in("/"), "b");
}

Test(mem_names, rename_of_directories_follows_linux)
{
    static const struct {
        const char *from, *to;
        uint32_t flags;
        apr_status_t status;
    } cases[] = {
        {"/nothing", "/x", 0, APR_ENOENT},
        {"/full", "/full/in/side", 0, APR_ENOENT},
        {"/full", "/full/side", 0, APR_EINVAL},
        {"/full", "/full/f", 0, APR_EINVAL},
        {"/full/f", "/full", 0, APR_ENOTEMPTY},
        {"/full/f", "/full", VFS_RENAME_EXCHANGE, APR_EINVAL},
        {"/full/f", "/full", VFS_RENAME_NOREPLACE, APR_EEXIST},
        {"/file", "/empty", 0, OSERR(EISDIR)},
        {"/empty", "/file", 0, APR_ENOTDIR},
        {"/empty", "/full", 0, APR_ENOTEMPTY},
        {"/file", "/file", 0, APR_SUCCESS},
        {"/file", "/file", VFS_RENAME_NOREPLACE, APR_EEXIST},
        {"/file", "/same", 0, APR_SUCCESS},
        {"/file", "/file/x", 0, APR_ENOTDIR},
        {"/file", "/nothing", VFS_RENAME_EXCHANGE, APR_ENOENT},
        {"/empty", "/full", VFS_RENAME_NOREPLACE, APR_EEXIST},
    };

    OK(vfs_mkdir(fs, NULL, "/full", 0755));
    OK(vfs_mkdir(fs, NULL, "/empty", 0755));
    put_ok("/full/f", "");
    put_ok("/file", "");
    OK(vfs_link(fs, NULL, "/file", "/same"));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        EXPECT(cases[i].status, vfs_rename(fs, NULL, cases[i].from, cases[i].to, cases[i].flags));
    cr_expect_str_eq(names_in("/"), "full empty file same");
    cr_expect(stat_of("/").nlink == 4 && stat_of("/file").nlink == 2);
}

Test(mem_names, a_directory_moves_with_what_is_in_it_and_counts_are_right)
{
    OK(vfs_mkdir(fs, NULL, "/a", 0755));
    OK(vfs_mkdir(fs, NULL, "/b", 0755));
    OK(vfs_mkdir(fs, NULL, "/a/sub", 0755));
    put_ok("/a/sub/f", "deep");
    OK(vfs_rename(fs, NULL, "/a/sub", "/b/moved", 0));
    holds("/b/moved/f", "deep");
    cr_expect(stat_of("/a").nlink == 2 && stat_of("/b").nlink == 3);
    OK(vfs_mkdir(fs, NULL, "/a/empty", 0755));
    OK(vfs_rename(fs, NULL, "/b/moved", "/a/empty", 0));
    holds("/a/empty/f", "deep");
    cr_expect(stat_of("/a").nlink == 3 && stat_of("/b").nlink == 2);
    OK(vfs_rename(fs, NULL, "/a/empty", "/a/again", VFS_RENAME_NOREPLACE));
    cr_expect(stat_of("/a").nlink == 3);
    OK(vfs_symlink(fs, NULL, "../b", "/a/again/up"));
    OK(vfs_rename(fs, NULL, "/a/again", "/again", 0));
    cr_expect(stat_of("/again/up").ino == stat_of("/b").ino,
              "the link counts from where it is now");
}

Test(mem_names, exchange_swaps_files_and_directories)
{
    OK(vfs_mkdir(fs, NULL, "/d", 0755));
    OK(vfs_mkdir(fs, NULL, "/d/sub", 0755));
    put_ok("/f", "file");
    put_ok("/d/sub/g", "inside");
    OK(vfs_rename(fs, NULL, "/f", "/d/sub", VFS_RENAME_EXCHANGE));
    holds("/d/sub", "file");
    holds("/f/g", "inside");
    cr_expect(stat_of("/").nlink == 4 && stat_of("/d").nlink == 2);
    OK(vfs_rename(fs, NULL, "/f", "/d", VFS_RENAME_EXCHANGE));
    holds("/d/g", "inside");
    holds("/f/sub", "file");
    cr_expect(stat_of("/").nlink == 4);
    put_ok("/h", "h");
    OK(vfs_rename(fs, NULL, "/h", "/d/g", VFS_RENAME_EXCHANGE));
    holds("/h", "inside");
    holds("/d/g", "h");
}

Test(mem_names, hard_links_share_the_file)
{
    put_ok("/a", "x");
    OK(vfs_mkdir(fs, NULL, "/d", 0755));
    OK(vfs_link(fs, NULL, "/a", "/d/b"));
    cr_expect(stat_of("/a").nlink == 2 && stat_of("/a").ino == stat_of("/d/b").ino);
    put_ok("/d/b", "changed");
    holds("/a", "changed");
    EXPECT(APR_EEXIST, vfs_link(fs, NULL, "/a", "/d/b"));
    EXPECT(APR_ENOENT, vfs_link(fs, NULL, "/none", "/d/c"));
    EXPECT(OSERR(EPERM), vfs_link(fs, NULL, "/d", "/e"));
    EXPECT(APR_ENOENT, vfs_link(fs, NULL, "/a", "/none/c"));
    OK(vfs_symlink(fs, NULL, "a", "/l"));
    OK(vfs_link(fs, NULL, "/l", "/m"));
    cr_expect(lstat_of("/m").type == VFS_TYPE_LINK && lstat_of("/m").nlink == 2);
    OK(vfs_unlink(fs, NULL, "/a"));
    holds("/d/b", "changed");
    cr_expect(stat_of("/d/b").nlink == 1);
}

Test(mem_names, a_file_has_at_most_65000_names)
{
    char name[32];

    put_ok("/f", "");
    for (int i = 1; i < 65000; i++) {
        sprintf(name, "/%d", i);
        cr_assert(vfs_link(fs, NULL, "/f", name) == APR_SUCCESS);
    }
    EXPECT(OSERR(EMLINK), vfs_link(fs, NULL, "/f", "/more"));
    OK(vfs_unlink(fs, NULL, "/1"));
    OK(vfs_link(fs, NULL, "/f", "/more"));
}

Test(mem_names, links_are_followed_within_the_root)
{
    char buf[32];
    size_t len;

    OK(vfs_mkdir_all(fs, NULL, "/a/b", 0755));
    put_ok("/a/b/f", "found");
    static const char *const links[][2] = {
        {"b/f", "/a/l1"}, {"/a/b/f", "/a/b/l2"}, {"../b/./f", "/a/b/l3"},
        {"a//b", "/l4"},  {"l4/f", "/l5"},       {"/", "/a/root"},
        {".", "/a/here"}, {"..", "/a/b/up"},     {"root/a/../a/b/f", "/a/l6"},
    };
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
        OK(vfs_symlink(fs, NULL, links[i][0], links[i][1]));
    static const char *const same[] = {
        "/a/l1",      "/a/b/l2", "/a/b/l3",    "/l4/f",      "/l5",
        "/a/root/l5", "/a/l6",   "/a/here/l1", "/a/b/up/l1", "/a/root/a/here/root/l4/up/b/f"};
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        holds(same[i], "found");
        cr_expect((stat_of(same[i]).flags & VFS_ATTR_DIRECT) == 0, "%s", same[i]);
    }
    cr_expect((lstat_of("/a/l1").flags & VFS_ATTR_DIRECT) != 0);
    cr_expect((lstat_of("/l4/f").flags & VFS_ATTR_DIRECT) == 0);
    cr_expect((stat_of("/a/b/f").flags & VFS_ATTR_DIRECT) != 0);
    cr_expect(stat_of("/a/root").ino == stat_of("/").ino);
    OK(vfs_readlink(fs, NULL, "/a/l1", buf, sizeof(buf), &len));
    cr_expect(len == 3 && strcmp(buf, "b/f") == 0);
    EXPECT(OSERR(ERANGE), vfs_readlink(fs, NULL, "/a/l1", buf, 3, &len));
    EXPECT(APR_EINVAL, vfs_readlink(fs, NULL, "/a", buf, sizeof(buf), &len));
    EXPECT(APR_ENOENT, vfs_readlink(fs, NULL, "/none", buf, sizeof(buf), &len));
}

Test(mem_names, links_that_lead_nowhere_are_told_apart)
{
    static char name[300], text[4097];
    vfs_attr_t attr;

    OK(vfs_symlink(fs, NULL, "loop", "/loop"));
    OK(vfs_symlink(fs, NULL, "none", "/dangling"));
    OK(vfs_symlink(fs, NULL, "../out", "/out"));
    OK(vfs_symlink(fs, NULL, "f/", "/slash"));
    OK(vfs_symlink(fs, NULL, "f/x", "/through"));
    put_ok("/f", "");
    EXPECT(OSERR(ELOOP), vfs_stat(fs, NULL, "/loop", &attr));
    EXPECT(OSERR(ELOOP), vfs_stat(fs, NULL, "/loop/x", &attr));
    EXPECT(APR_ENOENT, vfs_stat(fs, NULL, "/dangling", &attr));
    cr_expect((attr.flags & VFS_ATTR_DIRECT) == 0, "absent, but by way of a link");
    EXPECT(APR_ENOENT, vfs_stat(fs, NULL, "/none", &attr));
    cr_expect((attr.flags & VFS_ATTR_DIRECT) != 0, "absent, no link on the way");
    EXPECT(APR_ENOENT, vfs_lstat(fs, NULL, "/none/x", &attr));
    cr_expect((attr.flags & VFS_ATTR_DIRECT) != 0);
    EXPECT(APR_EACCES, vfs_stat(fs, NULL, "/out", &attr));
    EXPECT(APR_ENOTDIR, vfs_stat(fs, NULL, "/slash", &attr));
    EXPECT(APR_ENOTDIR, vfs_stat(fs, NULL, "/through", &attr));
    EXPECT(APR_ENOTDIR, vfs_stat(fs, NULL, "/f/x", &attr));
    memset(name, 'n', 256);
    OK(vfs_symlink(fs, NULL, name, "/long"));
    EXPECT(APR_ENAMETOOLONG, vfs_stat(fs, NULL, "/long", &attr));
    memset(text, 't', 4095);
    OK(vfs_symlink(fs, NULL, text, "/longest"));
    text[4095] = 't';
    EXPECT(APR_ENAMETOOLONG, vfs_symlink(fs, NULL, text, "/longer"));
    EXPECT(APR_EEXIST, vfs_symlink(fs, NULL, "x", "/f"));
    EXPECT(APR_EEXIST, vfs_mkdir(fs, NULL, "/dangling", 0755));
    EXPECT(APR_ENOENT, vfs_mkdir(fs, NULL, "/none/x", 0755));
    EXPECT(APR_ENOTDIR, vfs_rmdir(fs, NULL, "/dangling"));
    OK(vfs_mkdir(fs, NULL, "/d", 0755));
    EXPECT(OSERR(EISDIR), vfs_unlink(fs, NULL, "/d"));
}

Test(mem_names, forty_links_are_followed_and_no_more)
{
    char name[32], target[32];

    put_ok("/0", "end");
    for (int i = 1; i <= 41; i++) {
        sprintf(name, "/%d", i);
        sprintf(target, "%d", i - 1);
        OK(vfs_symlink(fs, NULL, target, name));
    }
    holds("/40", "end");
    EXPECT(OSERR(ELOOP), vfs_access(fs, NULL, "/41", VFS_ACCESS_READ));
}

Test(mem_names, a_file_system_of_many_levels_is_freed)
{
    char path[VFS_PATH_MAX + 1] = "";

    for (int i = 0; i < 2000; i++) {
        strcat(path, "/d");
        cr_assert(vfs_mkdir(fs, NULL, path, 0755) == APR_SUCCESS);
    }
    strcat(path, "/f");
    put_ok(path, "deep");
    holds(path, "deep");
}
