/*
 * test_dir.c - directories: listings that are kept, large ones, cookies, what an entry tells.
 */
#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h listing_ttl=1h "

static uint64_t count_names(vfs_t *fs, const char *path, uint32_t flags)
{
    vfs_dir_t *d;
    vfs_dirent_t e;
    uint64_t n = 0;
    apr_status_t st;

    OK(vfs_opendir(&d, fs, NULL, path, flags));
    while ((st = vfs_readdir(d, NULL, &e)) == APR_SUCCESS) {
        CHECK(e.name[0] && strlen(e.name) == e.name_len);
        if (flags & VFS_DIR_ATTRS) CHECK(!e.has_attr || e.attr.type != VFS_TYPE_UNKNOWN);
        n++;
    }
    CHECK(APR_STATUS_IS_EOF(st));
    OK(vfs_closedir(d));
    return n;
}

Test(dir, a_listing_is_asked_for_once)
{
    rig_t rig;
    char name[32];

    rig_open(&rig, LONG);
    OK(vfs_mkdir(rig.bottom, NULL, "/d", 0755));
    for (int i = 0; i < 500; i++) {
        (void)snprintf(name, sizeof(name), "/d/f%d", i);
        rig_text(&rig, name, "x");
    }
    EQ(count_names(rig.fs, "/d", 0), 500);
    rig_reset(&rig);
    for (int i = 0; i < 5; i++)
        EQ(count_names(rig.fs, "/d", 0), 500);
    EQ(rig_requests(&rig), 0);
    EQ(rig_calls(&rig, VFS_OPID_readdir), 0);
    EQ(rig_stats(&rig).listing_hits, 5);
    EQ(rig_stats(&rig).listing_misses, 1);
    rig_close(&rig);
}

Test(dir, a_listing_with_attributes_feeds_the_names)
{
    rig_t rig;
    char name[32];
    vfs_attr_t attr;

    rig_open(&rig, LONG);
    for (int i = 0; i < 50; i++) {
        (void)snprintf(name, sizeof(name), "/f%d", i);
        rig_text(&rig, name, "text");
    }
    EQ(count_names(rig.fs, "/", VFS_DIR_ATTRS), 50);
    rig_reset(&rig);
    for (int i = 0; i < 50; i++) {
        (void)snprintf(name, sizeof(name), "/f%d", i);
        OK(vfs_lstat(rig.fs, NULL, name, &attr));
        EQ(attr.size, 4);
    }
    EQ(rig_requests(&rig), 0);
    rig_close(&rig);
}

/* Where a remote lists with attributes, one question tells them all, again when they are old. */
Test(dir, attributes_that_are_old_come_by_the_listing_again)
{
    rig_t rig;
    vfs_dir_t *d;
    vfs_dirent_t e;

    rig_open(&rig, "attr_ttl=1us negative_ttl=1h listing_ttl=1h");
    rig_text(&rig, "/a", "text");
    rig_text(&rig, "/b", "text");
    EQ(count_names(rig.fs, "/", VFS_DIR_ATTRS), 2);
    rig_text(&rig, "/a", "longer text");
    rig_nap(50);
    rig_set(&rig, "attr_ttl", "1h");
    rig_reset(&rig);
    EQ(count_names(rig.fs, "/", 0), 2); /* the names alone are good for longer */
    EQ(rig_calls(&rig, VFS_OPID_opendir), 0);
    rig_set(&rig, "attr_ttl", "1us");
    OK(vfs_opendir(&d, rig.fs, NULL, "/", VFS_DIR_ATTRS));
    EQ(rig_calls(&rig, VFS_OPID_opendir), 1);
    rig_set(&rig, "attr_ttl", "1h");
    for (int i = 0; i < 2; i++) {
        OK(vfs_readdir(d, NULL, &e));
        CHECK(e.has_attr);
        EQ(e.attr.size, strcmp(e.name, "a") ? 4 : 11);
    }
    OK(vfs_closedir(d));
    EQ(rig_calls(&rig, VFS_OPID_lstat) + rig_calls(&rig, VFS_OPID_stat), 1); /* the directory */
    rig_close(&rig);
}

Test(dir, entries_tell_what_is_dirty_of_them)
{
    rig_t rig;
    vfs_dir_t *d;
    vfs_dirent_t e;

    rig_open(&rig, LONG "mode=back flush_interval=1h dirty_age=1h flush_on_close=off");
    rig_text(&rig, "/f", "old");
    EQ(count_names(rig.fs, "/", VFS_DIR_ATTRS), 1);
    rig_save(&rig, "/f", "longer text", 11);
    OK(vfs_opendir(&d, rig.fs, NULL, "/", VFS_DIR_ATTRS));
    OK(vfs_readdir(d, NULL, &e));
    CHECK(e.has_attr);
    EQ(e.attr.size, 11);
    OK(vfs_closedir(d));
    rig_close(&rig);
}

Test(dir, changes_of_ours_show_at_once_and_those_of_others_after_the_ttl)
{
    rig_t rig;

    rig_open(&rig, "attr_ttl=1h negative_ttl=1h listing_ttl=60ms");
    EQ(count_names(rig.fs, "/", 0), 0);
    rig_save(&rig, "/a", "x", 1);
    EQ(count_names(rig.fs, "/", 0), 1);
    OK(vfs_mkdir(rig.fs, NULL, "/b", 0755));
    OK(vfs_symlink(rig.fs, NULL, "/a", "/c"));
    OK(vfs_link(rig.fs, NULL, "/a", "/e"));
    EQ(count_names(rig.fs, "/", 0), 4);
    OK(vfs_rename(rig.fs, NULL, "/a", "/b/a", 0));
    EQ(count_names(rig.fs, "/", 0), 3);
    EQ(count_names(rig.fs, "/b", 0), 1);
    OK(vfs_unlink(rig.fs, NULL, "/b/a"));
    EQ(count_names(rig.fs, "/b", 0), 0);
    OK(vfs_rmdir(rig.fs, NULL, "/b"));
    EQ(count_names(rig.fs, "/", 0), 2);
    rig_text(&rig, "/by-others", "x");
    rig_nap(80);
    EQ(count_names(rig.fs, "/", 0), 3);
    rig_close(&rig);
}

Test(dir, each_entry_comes_once_though_names_come_and_go)
{
    rig_t rig;
    char name[32], seen[300] = {0};
    vfs_dir_t *d;
    vfs_dirent_t e;
    int n = 0;

    rig_open(&rig, LONG);
    for (int i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof(name), "/f%d", i);
        rig_text(&rig, name, "x");
    }
    OK(vfs_opendir(&d, rig.fs, NULL, "/", 0));
    while (vfs_readdir(d, NULL, &e) == APR_SUCCESS) {
        int i = -1;
        if (sscanf(e.name, "f%d", &i) == 1 && i < 300) {
            CHECK(!seen[i]);
            seen[i] = 1;
        }
        (void)snprintf(name, sizeof(name), "/new%d", n++);
        rig_save(&rig, name, "x", 1);
    }
    OK(vfs_closedir(d));
    for (int i = 0; i < 300; i++)
        CHECK(seen[i]);
    rig_close(&rig);
}

Test(dir, a_cookie_goes_on_behind_its_entry_and_a_made_up_one_is_refused)
{
    rig_t rig;
    char name[32], names[60][32];
    uint64_t cookies[60];
    vfs_dir_t *d;
    vfs_dirent_t e;

    rig_open(&rig, LONG);
    for (int i = 0; i < 60; i++) {
        (void)snprintf(name, sizeof(name), "/f%d", i);
        rig_text(&rig, name, "x");
    }
    OK(vfs_opendir(&d, rig.fs, NULL, "/", 0));
    for (int i = 0; i < 60; i++) {
        OK(vfs_readdir(d, NULL, &e));
        cookies[i] = e.cookie;
        (void)snprintf(names[i], sizeof(names[i]), "%s", e.name);
    }
    for (int i = 58; i >= 0; i -= 7) {
        OK(vfs_seekdir(d, NULL, cookies[i]));
        OK(vfs_readdir(d, NULL, &e));
        cr_assert_str_eq(e.name, names[i + 1]);
    }
    OK(vfs_seekdir(d, NULL, cookies[59]));
    IS(APR_EOF, vfs_readdir(d, NULL, &e));
    IS(APR_EINVAL, vfs_seekdir(d, NULL, cookies[0] + 1));
    IS(APR_EINVAL, vfs_seekdir(d, NULL, cookies[59] + 1000));
    rig_save(&rig, "/new", "x", 1);
    OK(vfs_seekdir(d, NULL, 0)); /* reads the directory anew */
    int n = 0;
    while (vfs_readdir(d, NULL, &e) == APR_SUCCESS)
        n++;
    EQ(n, 61);
    OK(vfs_closedir(d));
    rig_close(&rig);
}

Test(dir, a_listing_beyond_its_limit_is_walked_below_and_is_whole)
{
    rig_t rig;
    vfs_dir_t *d;
    vfs_dirent_t e;
    char name[260];
    uint64_t cookie = 0;

    rig_open(&rig, LONG "ram=1m"); /* a sixteenth of it: 64 KiB of names */
    memset(name, 'n', sizeof(name));
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(name, 250, "/%0240d", i);
        rig_text(&rig, name, "x");
    }
    EQ(count_names(rig.fs, "/", 0), 1000);
    EQ(count_names(rig.fs, "/", VFS_DIR_ATTRS), 1000);
    EQ(rig_stats(&rig).listing_hits, 0);
    OK(vfs_opendir(&d, rig.fs, NULL, "/", 0));
    for (int i = 0; i < 500; i++) {
        OK(vfs_readdir(d, NULL, &e));
        if (i == 99) cookie = e.cookie;
    }
    OK(vfs_seekdir(d, NULL, cookie));
    int n = 100;
    while (vfs_readdir(d, NULL, &e) == APR_SUCCESS)
        n++;
    EQ(n, 1000);
    OK(vfs_seekdir(d, NULL, 0));
    for (n = 0; vfs_readdir(d, NULL, &e) == APR_SUCCESS;)
        n++;
    EQ(n, 1000);
    OK(vfs_closedir(d));
    CHECK(rig_stats(&rig).ram_used <= 1u << 20);
    rig_close(&rig);
}

Test(dir, a_listing_of_more_than_eight_mib_is_whole)
{
    rig_t rig;
    char name[260];
    int count = 36000; /* of 251 bytes each */

    rig_open(&rig, LONG "ram=256m");
    for (int i = 0; i < count; i++) {
        vfs_file_t *f;
        (void)snprintf(name, sizeof(name), "/%0240d", i);
        OK(vfs_open(&f, rig.bottom, NULL, name, RIG_C, 0644, NULL, NULL));
        OK(vfs_close(f, NULL));
    }
    EQ(count_names(rig.fs, "/", 0), count);
    EQ(count_names(rig.fs, "/", 0), count);
    EQ(rig_stats(&rig).listing_hits, 0);
    rig_close(&rig);
}

Test(dir, an_error_in_the_middle_is_told_and_not_kept)
{
    rig_t rig;
    vfs_dir_t *d = NULL;

    rig_open(&rig, LONG);
    rig_text(&rig, "/a", "x");
    rig_text(&rig, "/b", "x");
    rig_fail(&rig, VFS_OPID_readdir, APR_FROM_OS_ERROR(EIO), 2, 1);
    IS(APR_FROM_OS_ERROR(EIO), vfs_opendir(&d, rig.fs, NULL, "/", 0));
    EQ(rig_stats(&rig).open_handles, 0);
    EQ(count_names(rig.fs, "/", 0), 2);
    IS(APR_ENOTDIR, vfs_opendir(&d, rig.fs, NULL, "/a", 0));
    IS(APR_ENOENT, vfs_opendir(&d, rig.fs, NULL, "/nope", 0));
    rig_close(&rig);
}

Test(dir, the_text_of_a_link_is_kept)
{
    rig_t rig;
    char buf[64];
    size_t len;

    rig_open(&rig, LONG);
    OK(vfs_symlink(rig.bottom, NULL, "/some/where", "/l"));
    OK(vfs_readlink(rig.fs, NULL, "/l", buf, sizeof(buf), &len));
    cr_assert_str_eq(buf, "/some/where");
    rig_reset(&rig);
    OK(vfs_readlink(rig.fs, NULL, "/l", buf, sizeof(buf), &len));
    cr_assert_str_eq(buf, "/some/where");
    EQ(len, 11);
    EQ(rig_requests(&rig), 0);
    IS(APR_FROM_OS_ERROR(ERANGE), vfs_readlink(rig.fs, NULL, "/l", buf, 11, &len));
    rig_text(&rig, "/f", "x");
    IS(APR_EINVAL, vfs_readlink(rig.fs, NULL, "/f", buf, sizeof(buf), &len));
    rig_close(&rig);
}

/* Who is told an error has the listing that he had. */
Test(dir, a_rewind_that_fails_half_way_changes_nothing)
{
    rig_t rig;
    vfs_dir_t *d;
    vfs_dirent_t e;
    char name[32];

    rig_open(&rig, "listing_ttl=0");
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "/f%d", i);
        rig_text(&rig, name, "x");
    }
    OK(vfs_opendir(&d, rig.fs, NULL, "/", 0));
    for (int i = 0; i < 5; i++)
        OK(vfs_readdir(d, NULL, &e));
    rig_fail(&rig, VFS_OPID_readdir, APR_FROM_OS_ERROR(EIO), 7, 1);
    IS(APR_FROM_OS_ERROR(EIO), vfs_seekdir(d, NULL, 0));
    for (int i = 5; i < 20; i++)
        OK(vfs_readdir(d, NULL, &e));
    CHECK(APR_STATUS_IS_EOF(vfs_readdir(d, NULL, &e)));
    OK(vfs_seekdir(d, NULL, 0));
    for (int i = 0; i < 20; i++)
        OK(vfs_readdir(d, NULL, &e));
    CHECK(APR_STATUS_IS_EOF(vfs_readdir(d, NULL, &e)));
    OK(vfs_closedir(d));
    rig_close(&rig);
}
