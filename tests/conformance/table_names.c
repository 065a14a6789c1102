/*
 * table_names.c - behaviours of mkdir, rmdir, unlink, mknod and what they answer when they cannot.
 */
#include <stdlib.h>

#include "tests/conformance/conf.h"

static void mkdir_makes_an_empty_directory(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    OK(vfs_stat(t->fs, NULL, "/d", &attr));
    EQ(attr.type, VFS_TYPE_DIR);
    NAMES("/d", "");
    NAMES("/", "d ");
}

static void mkdir_obeys_mode_and_umask(conf_t *t)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    OK(vfs_mkdir(t->fs, NULL, "/d", 0711));
    OK(vfs_stat(t->fs, NULL, "/d", &attr));
    EQ(attr.mode & 0777, 0711);
    ctx.flags = VFS_CTX_UMASK;
    ctx.umask = 077;
    OK(vfs_mkdir(t->fs, &ctx, "/e", 0777));
    OK(vfs_stat(t->fs, NULL, "/e", &attr));
    EQ(attr.mode & 0777, 0700);
}

static void mkdir_of_an_existing_name_is_eexist(conf_t *t)
{
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    PUT("/f", "x");
    IS(APR_EEXIST, vfs_mkdir(t->fs, NULL, "/d", 0755));
    IS(APR_EEXIST, vfs_mkdir(t->fs, NULL, "/d/", 0755));
    IS(APR_EEXIST, vfs_mkdir(t->fs, NULL, "/f", 0755));
    HOLDS("/f", "x");
}

static void mkdir_of_a_dangling_link_is_eexist(conf_t *t)
{
    vfs_attr_t attr;
    OK(vfs_symlink(t->fs, NULL, "nowhere", "/l"));
    IS(APR_EEXIST, vfs_mkdir(t->fs, NULL, "/l", 0755));
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/nowhere", &attr));
}

static void rmdir_removes_only_empty_directories(conf_t *t)
{
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    PUT("/d/f", "x");
    IS(E(ENOTEMPTY), vfs_rmdir(t->fs, NULL, "/d"));
    HOLDS("/d/f", "x");
    OK(vfs_unlink(t->fs, NULL, "/d/f"));
    OK(vfs_rmdir(t->fs, NULL, "/d"));
    IS(APR_ENOENT, vfs_rmdir(t->fs, NULL, "/d"));
    NAMES("/", "");
}

static void rmdir_of_a_file_or_link_is_enotdir(conf_t *t)
{
    PUT("/f", "x");
    IS(APR_ENOTDIR, vfs_rmdir(t->fs, NULL, "/f"));
    HOLDS("/f", "x");
    if (!(vfs_caps(t->fs)->bits & VFS_CAP_SYMLINK)) return;
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    OK(vfs_symlink(t->fs, NULL, "d", "/l"));
    IS(APR_ENOTDIR, vfs_rmdir(t->fs, NULL, "/l"));
    NAMES("/", "d f l ");
}

static void rmdir_of_a_subtree_counts_links(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    OK(vfs_stat(t->fs, NULL, "/d", &attr));
    EQ(attr.nlink, 2);
    OK(vfs_mkdir(t->fs, NULL, "/d/e", 0755));
    OK(vfs_mkdir(t->fs, NULL, "/d/g", 0755));
    OK(vfs_stat(t->fs, NULL, "/d", &attr));
    EQ(attr.nlink, 4);
    OK(vfs_rmdir(t->fs, NULL, "/d/e"));
    OK(vfs_stat(t->fs, NULL, "/d", &attr));
    EQ(attr.nlink, 3);
}

static void unlink_removes_a_file(conf_t *t)
{
    vfs_attr_t attr;
    vfs_file_t *f = NULL;
    PUT("/f", "x");
    PUT("/g", "y");
    OK(vfs_unlink(t->fs, NULL, "/f"));
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/f", &attr));
    IS(APR_ENOENT, vfs_lstat(t->fs, NULL, "/f", &attr));
    IS(APR_ENOENT, vfs_open(&f, t->fs, NULL, "/f", RD, 0, NULL, NULL));
    IS(APR_ENOENT, vfs_unlink(t->fs, NULL, "/f"));
    IS(APR_ENOENT, vfs_access(t->fs, NULL, "/f", VFS_ACCESS_EXIST));
    HOLDS("/g", "y");
    NAMES("/", "g ");
}

static void unlink_of_a_directory_is_eisdir(conf_t *t)
{
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    IS(E(EISDIR), vfs_unlink(t->fs, NULL, "/d"));
    IS(E(EISDIR), vfs_unlink(t->fs, NULL, "/d/"));
    NAMES("/", "d ");
}

static void a_file_is_listed_as_soon_as_it_exists(conf_t *t)
{
    NAMES("/", "");
    NEED_OPEN(f, "/f", WR | CR);
    NAMES("/", "f ");
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    NAMES("/", "d f ");
    OK(vfs_unlink(t->fs, NULL, "/f"));
    NAMES("/", "d ");
    CLOSE(f);
    OK(vfs_rmdir(t->fs, NULL, "/d"));
    NAMES("/", "");
}

static void absence_that_was_asked_for_ends_with_creation(conf_t *t)
{
    vfs_attr_t attr;
    vfs_file_t *f = NULL;
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/f", &attr));
    IS(APR_ENOENT, vfs_open(&f, t->fs, NULL, "/f", RD, 0, NULL, NULL));
    PUT("/f", "now");
    HOLDS("/f", "now");
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/d", &attr));
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    OK(vfs_stat(t->fs, NULL, "/d", &attr));
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/r", &attr));
    OK(vfs_rename(t->fs, NULL, "/f", "/r", 0));
    HOLDS("/r", "now");
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/f", &attr));
}

static void absence_below_a_directory_ends_when_it_is_moved_in(conf_t *t)
{
    vfs_attr_t attr;
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    PUT("/d/f", "x");
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/e/f", &attr));
    OK(vfs_rename(t->fs, NULL, "/d", "/e", 0));
    HOLDS("/e/f", "x");
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/d/f", &attr));
}

static void names_in_a_removed_directory_are_gone(conf_t *t)
{
    vfs_attr_t attr;
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    PUT("/d/f", "x");
    HOLDS("/d/f", "x");
    OK(vfs_remove_all(t->fs, NULL, "/d"));
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/d/f", &attr));
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/d/f", &attr));
    NAMES("/d", "");
}

static void mknod_makes_an_empty_file(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    OK(vfs_mknod(t->fs, NULL, "/f", VFS_TYPE_FILE, 0640, 0));
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    EQ(attr.type, VFS_TYPE_FILE);
    EQ(attr.mode, 0640);
    HOLDS("/f", "");
    IS(APR_EEXIST, vfs_mknod(t->fs, NULL, "/f", VFS_TYPE_FILE, 0640, 0));
}

static void mknod_makes_fifos_and_sockets(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    OK(vfs_mknod(t->fs, NULL, "/fifo", VFS_TYPE_FIFO, 0600, 0));
    OK(vfs_mknod(t->fs, NULL, "/sock", VFS_TYPE_SOCKET, 0600, 0));
    OK(vfs_stat(t->fs, NULL, "/fifo", &attr));
    EQ(attr.type, VFS_TYPE_FIFO);
    OK(vfs_stat(t->fs, NULL, "/sock", &attr));
    EQ(attr.type, VFS_TYPE_SOCKET);
    IS(APR_EEXIST, vfs_mknod(t->fs, NULL, "/fifo", VFS_TYPE_FIFO, 0600, 0));
    OK(vfs_unlink(t->fs, NULL, "/fifo"));
    OK(vfs_unlink(t->fs, NULL, "/sock"));
    NAMES("/", "");
}

static void mknod_of_a_device_keeps_its_number(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    OK(vfs_mknod(t->fs, NULL, "/null", VFS_TYPE_CHAR, 0600, (1u << 8) | 3));
    OK(vfs_lstat(t->fs, NULL, "/null", &attr));
    EQ(attr.type, VFS_TYPE_CHAR);
    EQ(attr.rdev, (1u << 8) | 3);
    OK(vfs_unlink(t->fs, NULL, "/null"));
}

static void mknod_of_a_directory_or_link_is_einval(conf_t *t)
{
    IS(APR_EINVAL, vfs_mknod(t->fs, NULL, "/n", VFS_TYPE_DIR, 0755, 0));
    IS(APR_EINVAL, vfs_mknod(t->fs, NULL, "/n", VFS_TYPE_LINK, 0755, 0));
    IS(APR_EINVAL, vfs_mknod(t->fs, NULL, "/n", VFS_TYPE_UNKNOWN, 0755, 0));
    NAMES("/", "");
}

static void a_directory_changes_its_times_with_its_names(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    OK(vfs_utimens(t->fs, NULL, "/d", 1000000000, 1000000000, 0));
    PUT("/d/f", "x");
    OK(vfs_stat(t->fs, NULL, "/d", &attr));
    CHECK(attr.mtime_ns > 1000000000);
    OK(vfs_utimens(t->fs, NULL, "/d", 1000000000, 1000000000, 0));
    OK(vfs_unlink(t->fs, NULL, "/d/f"));
    OK(vfs_stat(t->fs, NULL, "/d", &attr));
    CHECK(attr.mtime_ns > 1000000000);
}

static void five_hundred_names_in_one_directory(conf_t *t)
{
    char path[32], text[32];
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    for (int i = 0; i < 500; i++) {
        snprintf(path, sizeof path, "/d/name-%d", i);
        snprintf(text, sizeof text, "text %d", i);
        PUT(path, text);
    }
    for (int i = 499; i >= 0; i--) {
        snprintf(path, sizeof path, "/d/name-%d", i);
        snprintf(text, sizeof text, "text %d", i);
        HOLDS(path, text);
        if (i % 2 == 0) OK(vfs_unlink(t->fs, NULL, path));
    }
    for (int i = 0; i < 500; i++) {
        vfs_attr_t attr;
        snprintf(path, sizeof path, "/d/name-%d", i);
        IS(i % 2 == 0 ? APR_ENOENT : APR_SUCCESS, vfs_stat(t->fs, NULL, path, &attr));
    }
}

static const conf_behaviour_t behaviours[] = {
    B(mkdir_makes_an_empty_directory),
    B_CAPS(mkdir_obeys_mode_and_umask, VFS_CAP_MODE),
    B(mkdir_of_an_existing_name_is_eexist),
    B_CAPS(mkdir_of_a_dangling_link_is_eexist, VFS_CAP_SYMLINK),
    B(rmdir_removes_only_empty_directories),
    B(rmdir_of_a_file_or_link_is_enotdir),
    B_CAPS(rmdir_of_a_subtree_counts_links, VFS_CAP_HARDLINK),
    B(unlink_removes_a_file),
    B(unlink_of_a_directory_is_eisdir),
    B(a_file_is_listed_as_soon_as_it_exists),
    B(absence_that_was_asked_for_ends_with_creation),
    B(absence_below_a_directory_ends_when_it_is_moved_in),
    B(names_in_a_removed_directory_are_gone),
    B_CAPS(mknod_makes_an_empty_file, VFS_CAP_SPECIAL),
    B_CAPS(mknod_makes_fifos_and_sockets, VFS_CAP_SPECIAL),
    B_WANTS(mknod_of_a_device_keeps_its_number, VFS_CAP_SPECIAL, CONF_ROOT),
    B(mknod_of_a_directory_or_link_is_einval),
    B_WANTS(a_directory_changes_its_times_with_its_names, VFS_CAP_TIMES, CONF_MOVING),
    B(five_hundred_names_in_one_directory),
};
CONF_TABLE(names, behaviours);
