/*
 * table_links.c - behaviours of symbolic and hard links: loops, dangling ones, ways out of the
 * root, shared bytes.
 */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/conformance/conf.h"

static void a_symlink_keeps_its_text(conf_t *t)
{
    static const char *const texts[] = {"f",     "../x//y/.", "/abs",
                                        "a b\n", "\xff",      "nowhere/at/all"};
    char path[8], buf[64];
    size_t len = 0;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        snprintf(path, sizeof path, "/l%zu", i);
        OK(vfs_symlink(t->fs, NULL, texts[i], path));
        OK(vfs_readlink(t->fs, NULL, path, buf, sizeof buf, &len));
        EQ(len, strlen(texts[i]));
        CHECK(strcmp(buf, texts[i]) == 0);
    }
}

static void lstat_of_a_symlink_is_of_the_link(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    PUT("/f", "0123456789");
    OK(vfs_symlink(t->fs, NULL, "f", "/l"));
    OK(vfs_lstat(t->fs, NULL, "/l", &attr));
    EQ(attr.type, VFS_TYPE_LINK);
    EQ(attr.size, 1);
    OK(vfs_stat(t->fs, NULL, "/l", &attr));
    EQ(attr.type, VFS_TYPE_FILE);
    EQ(attr.size, 10);
}

static void reads_and_writes_go_through_a_link(conf_t *t)
{
    size_t n = 0;
    PUT("/f", "target");
    OK(vfs_symlink(t->fs, NULL, "f", "/l"));
    HOLDS("/l", "target");
    NEED_OPEN(f, "/l", RW);
    OK(vfs_write_at(f, NULL, "T", 1, 0, &n, NULL));
    CLOSE(f);
    HOLDS("/f", "Target");
    PUT("/f", "changed under the link");
    HOLDS("/l", "changed under the link");
    PUT("/l", "by the link");
    HOLDS("/f", "by the link");
}

static void a_way_through_a_link_is_never_called_direct(conf_t *t)
{
    vfs_attr_t attr;
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    PUT("/d/f", "asked for by two paths");
    OK(vfs_symlink(t->fs, NULL, "d", "/l"));
    for (int i = 0; i < 2; i++) {
        OK(vfs_stat(t->fs, NULL, "/d/f", &attr));
        OK(vfs_stat(t->fs, NULL, "/l/f", &attr));
        CHECK(!(attr.flags & VFS_ATTR_DIRECT));
        OK(vfs_lstat(t->fs, NULL, "/l/f", &attr));
        CHECK(!(attr.flags & VFS_ATTR_DIRECT));
    }
}

static void a_link_in_the_middle_of_a_path_is_followed(conf_t *t)
{
    OK(vfs_mkdir_all(t->fs, NULL, "/d/e", 0755));
    PUT("/d/e/f", "deep");
    OK(vfs_symlink(t->fs, NULL, "d", "/l"));
    OK(vfs_symlink(t->fs, NULL, "../d/e", "/d/m"));
    HOLDS("/l/e/f", "deep");
    HOLDS("/l/m/f", "deep");
    HOLDS("/d/m/f", "deep");
    PUT("/l/m/new", "made");
    HOLDS("/d/e/new", "made");
    NAMES("/l/m", "f new ");
    OK(vfs_unlink(t->fs, NULL, "/l/m/new"));
    NAMES("/d/e", "f ");
}

static void an_absolute_link_within_the_root_is_followed(conf_t *t)
{
    char text[128];
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    PUT("/d/f", "x");
    snprintf(text, sizeof text, "%s/d/f", t->sut.root); /* as the operating system names it */
    OK(vfs_symlink(t->fs, NULL, text, "/d/abs"));
    snprintf(text, sizeof text, "%s/d", t->sut.root);
    OK(vfs_symlink(t->fs, NULL, text, "/absdir"));
    HOLDS("/d/abs", "x");
    HOLDS("/absdir/f", "x");
}

static void a_link_out_of_the_root_is_eacces(conf_t *t)
{
    vfs_file_t *f = NULL;
    vfs_attr_t attr;
    char buf[64];
    OK(vfs_symlink(t->fs, NULL, "../../../../../../../../etc/passwd", "/l"));
    OK(vfs_readlink(t->fs, NULL, "/l", buf, sizeof buf, NULL));
    NAMES("/", "l ");
    IS(APR_EACCES, vfs_open(&f, t->fs, NULL, "/l", RD, 0, NULL, NULL));
    IS(APR_EACCES, vfs_stat(t->fs, NULL, "/l", &attr));
    OK(vfs_lstat(t->fs, NULL, "/l", &attr));
    OK(vfs_symlink(t->fs, NULL, "../..", "/up"));
    IS(APR_EACCES, vfs_stat(t->fs, NULL, "/up/etc", &attr));
    IS(APR_EACCES, vfs_open(&f, t->fs, NULL, "/up/new", WR | CR, 0644, NULL, NULL));
    OK(vfs_unlink(t->fs, NULL, "/l"));
}

static void an_absolute_link_counts_from_the_root_or_is_refused(conf_t *t)
{
    vfs_file_t *f = NULL;
    char link[16], outside[64], *data = NULL;
    size_t len = 0;
    /* a file beside the root, with its absolute path of the operating system */
    strcpy(outside, "/tmp/cachefs-outside-XXXXXX");
    int fd = mkstemp(outside);
    NEED(CHECK(fd >= 0));
    CHECK(write(fd, "secret", 6) == 6);
    (void)close(fd); /* written; nothing to lose */
    snprintf(link, sizeof link, "/l");
    OK(vfs_symlink(t->fs, NULL, outside, link));
    apr_status_t rv = vfs_open(&f, t->fs, NULL, link, RD, 0, NULL, NULL);
    CHECK(rv == APR_EACCES || rv == APR_ENOENT);
    if (f != NULL) OK(vfs_close(f, NULL));
    CHECK(vfs_read_file(&data, &len, t->fs, NULL, link, 0, t->pool) != APR_SUCCESS);
    (void)unlink(outside); /* a temporary file */
}

static void loops_of_links_are_eloop(conf_t *t)
{
    vfs_file_t *f = NULL;
    vfs_attr_t attr;
    OK(vfs_symlink(t->fs, NULL, "a", "/a"));
    OK(vfs_symlink(t->fs, NULL, "c", "/b"));
    OK(vfs_symlink(t->fs, NULL, "b", "/c"));
    IS(E(ELOOP), vfs_stat(t->fs, NULL, "/a", &attr));
    IS(E(ELOOP), vfs_stat(t->fs, NULL, "/b", &attr));
    IS(E(ELOOP), vfs_stat(t->fs, NULL, "/b/x", &attr));
    IS(E(ELOOP), vfs_open(&f, t->fs, NULL, "/c", RD, 0, NULL, NULL));
    IS(E(ELOOP), vfs_open(&f, t->fs, NULL, "/c", WR | CR, 0644, NULL, NULL));
    OK(vfs_lstat(t->fs, NULL, "/a", &attr));
    OK(vfs_unlink(t->fs, NULL, "/a"));
}

static void a_chain_of_thirty_links_is_followed(conf_t *t)
{
    char path[16], text[16];
    PUT("/l0", "end");
    for (int i = 1; i <= 30; i++) {
        snprintf(path, sizeof path, "/l%d", i);
        snprintf(text, sizeof text, "l%d", i - 1);
        OK(vfs_symlink(t->fs, NULL, text, path));
    }
    HOLDS("/l30", "end");
}

static void a_dangling_link_is_there_and_its_target_is_not(conf_t *t)
{
    vfs_file_t *f = NULL;
    vfs_attr_t attr;
    OK(vfs_symlink(t->fs, NULL, "nowhere", "/l"));
    OK(vfs_lstat(t->fs, NULL, "/l", &attr));
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/l", &attr));
    IS(APR_ENOENT, vfs_open(&f, t->fs, NULL, "/l", RD, 0, NULL, NULL));
    IS(APR_ENOENT, vfs_truncate(t->fs, NULL, "/l", 0));
    NAMES("/", "l ");
    PUT("/nowhere", "now it is");
    HOLDS("/l", "now it is");
    OK(vfs_unlink(t->fs, NULL, "/nowhere"));
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/l", &attr));
}

static void unlink_of_a_link_keeps_its_target(conf_t *t)
{
    PUT("/f", "kept");
    OK(vfs_symlink(t->fs, NULL, "f", "/l"));
    HOLDS("/l", "kept");
    OK(vfs_unlink(t->fs, NULL, "/l"));
    HOLDS("/f", "kept");
    NAMES("/", "f ");
}

static void a_link_that_is_moved_points_elsewhere(conf_t *t)
{
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    PUT("/f", "above");
    PUT("/d/f", "below");
    OK(vfs_symlink(t->fs, NULL, "f", "/l"));
    HOLDS("/l", "above");
    OK(vfs_rename(t->fs, NULL, "/l", "/d/l", 0));
    HOLDS("/d/l", "below");
    OK(vfs_unlink(t->fs, NULL, "/d/l"));
    OK(vfs_symlink(t->fs, NULL, "../f", "/d/l"));
    HOLDS("/d/l", "above");
}

static void a_link_through_a_directory_that_moves(conf_t *t)
{
    vfs_attr_t attr;
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    PUT("/d/f", "x");
    OK(vfs_symlink(t->fs, NULL, "d/f", "/l"));
    HOLDS("/l", "x");
    OK(vfs_rename(t->fs, NULL, "/d", "/e", 0));
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/l", &attr));
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    PUT("/d/f", "another");
    HOLDS("/l", "another");
}

static void a_trailing_slash_follows_a_link_to_a_directory(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    OK(vfs_symlink(t->fs, NULL, "d", "/l"));
    OK(vfs_lstat(t->fs, NULL, "/l/", &attr));
    EQ(attr.type, VFS_TYPE_DIR);
    OK(vfs_lstat(t->fs, NULL, "/l", &attr));
    EQ(attr.type, VFS_TYPE_LINK);
}

static void symlink_answers_errors_of_linux(conf_t *t)
{
    char buf[8];
    PUT("/f", "x");
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    IS(APR_EEXIST, vfs_symlink(t->fs, NULL, "a", "/f"));
    IS(APR_EEXIST, vfs_symlink(t->fs, NULL, "a", "/d"));
    IS(APR_ENOENT, vfs_symlink(t->fs, NULL, "a", "/missing/l"));
    IS(APR_ENOENT, vfs_symlink(t->fs, NULL, "", "/l"));
    IS(APR_EINVAL, vfs_readlink(t->fs, NULL, "/f", buf, sizeof buf, NULL));
    IS(APR_EINVAL, vfs_readlink(t->fs, NULL, "/d", buf, sizeof buf, NULL));
    IS(APR_ENOENT, vfs_readlink(t->fs, NULL, "/missing", buf, sizeof buf, NULL));
}

static void readlink_into_a_small_buffer_is_erange(conf_t *t)
{
    char buf[8];
    size_t len = 0;
    OK(vfs_symlink(t->fs, NULL, "1234567", "/fits"));
    OK(vfs_symlink(t->fs, NULL, "12345678", "/too-long"));
    OK(vfs_readlink(t->fs, NULL, "/fits", buf, sizeof buf, &len));
    EQ(len, 7);
    IS(E(ERANGE), vfs_readlink(t->fs, NULL, "/too-long", buf, sizeof buf, &len));
}

static void a_hard_link_is_the_same_file(conf_t *t)
{
    vfs_attr_t f, g;
    size_t n = 0;
    memset(&f, 0, sizeof f);
    memset(&g, 0, sizeof g);
    PUT("/f", "one file");
    HOLDS("/f", "one file");
    OK(vfs_link(t->fs, NULL, "/f", "/g"));
    OK(vfs_stat(t->fs, NULL, "/f", &f));
    OK(vfs_stat(t->fs, NULL, "/g", &g));
    EQ(f.ino, g.ino);
    EQ(f.nlink, 2);
    EQ(g.nlink, 2);
    NEED_OPEN(h, "/g", RW);
    OK(vfs_write_at(h, NULL, "ONE", 3, 0, &n, NULL));
    HOLDS("/f", "ONE file");
    CLOSE(h);
    HOLDS("/f", "ONE file");
    HOLDS("/g", "ONE file");
}

static void names_of_one_file_share_attributes(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    PUT("/f", "0123456789");
    OK(vfs_link(t->fs, NULL, "/f", "/g"));
    OK(vfs_stat(t->fs, NULL, "/g", &attr));
    OK(vfs_chmod(t->fs, NULL, "/f", 0600, 0));
    OK(vfs_stat(t->fs, NULL, "/g", &attr));
    EQ(attr.mode, 0600);
    OK(vfs_truncate(t->fs, NULL, "/g", 4));
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    EQ(attr.size, 4);
    HOLDS("/f", "0123");
    OK(vfs_unlink(t->fs, NULL, "/f"));
    OK(vfs_stat(t->fs, NULL, "/g", &attr));
    EQ(attr.nlink, 1);
}

static void unlink_of_one_name_keeps_the_other(conf_t *t)
{
    PUT("/f", "shared");
    OK(vfs_link(t->fs, NULL, "/f", "/g"));
    HOLDS("/g", "shared");
    OK(vfs_unlink(t->fs, NULL, "/f"));
    HOLDS("/g", "shared");
    PUT("/f", "fresh");
    HOLDS("/g", "shared");
    HOLDS("/f", "fresh");
}

static void bytes_written_by_one_name_are_read_by_the_other_before_a_flush(conf_t *t)
{
    size_t n = 0;
    PUT("/f", "0000000000");
    OK(vfs_link(t->fs, NULL, "/f", "/g"));
    NEED_OPEN(f, "/f", RW);
    NEED_OPEN(g, "/g", RW);
    OK(vfs_write_at(f, NULL, "f", 1, 0, &n, NULL));
    OK(vfs_write_at(g, NULL, "g", 1, 9, &n, NULL));
    FILE_HOLDS(g, 0, "f00000000g");
    FILE_HOLDS(f, 0, "f00000000g");
    CLOSE(f);
    CLOSE(g);
    HOLDS("/f", "f00000000g");
}

static void link_answers_errors_of_linux(conf_t *t)
{
    PUT("/f", "x");
    PUT("/g", "y");
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    IS(APR_EEXIST, vfs_link(t->fs, NULL, "/f", "/g"));
    IS(APR_EEXIST, vfs_link(t->fs, NULL, "/f", "/f"));
    IS(APR_EEXIST, vfs_link(t->fs, NULL, "/f", "/d"));
    IS(APR_ENOENT, vfs_link(t->fs, NULL, "/missing", "/h"));
    IS(APR_ENOENT, vfs_link(t->fs, NULL, "/f", "/missing/h"));
    IS(E(EPERM), vfs_link(t->fs, NULL, "/d", "/h"));
    IS(APR_ENOTDIR, vfs_link(t->fs, NULL, "/f", "/g/h"));
    HOLDS("/g", "y");
}

static void a_hard_link_to_a_symlink_links_the_link(conf_t *t)
{
    char buf[8];
    PUT("/f", "x");
    OK(vfs_symlink(t->fs, NULL, "f", "/l"));
    OK(vfs_link(t->fs, NULL, "/l", "/m"));
    OK(vfs_readlink(t->fs, NULL, "/m", buf, sizeof buf, NULL));
    CHECK(strcmp(buf, "f") == 0);
}

static const conf_behaviour_t behaviours[] = {
    B_CAPS(a_symlink_keeps_its_text, VFS_CAP_SYMLINK),
    B_CAPS(lstat_of_a_symlink_is_of_the_link, VFS_CAP_SYMLINK),
    B_CAPS(reads_and_writes_go_through_a_link, VFS_CAP_SYMLINK),
    B_CAPS(a_way_through_a_link_is_never_called_direct, VFS_CAP_SYMLINK),
    B_CAPS(a_link_in_the_middle_of_a_path_is_followed, VFS_CAP_SYMLINK),
    B_WANTS(an_absolute_link_within_the_root_is_followed, VFS_CAP_SYMLINK, CONF_WHOLE),
    B_CAPS(a_link_out_of_the_root_is_eacces, VFS_CAP_SYMLINK | VFS_CAP_CONFINED),
    B_CAPS(an_absolute_link_counts_from_the_root_or_is_refused, VFS_CAP_SYMLINK | VFS_CAP_CONFINED),
    B_CAPS(loops_of_links_are_eloop, VFS_CAP_SYMLINK),
    B_CAPS(a_chain_of_thirty_links_is_followed, VFS_CAP_SYMLINK),
    B_CAPS(a_dangling_link_is_there_and_its_target_is_not, VFS_CAP_SYMLINK),
    B_CAPS(unlink_of_a_link_keeps_its_target, VFS_CAP_SYMLINK),
    B_CAPS(a_link_that_is_moved_points_elsewhere, VFS_CAP_SYMLINK),
    B_CAPS(a_link_through_a_directory_that_moves, VFS_CAP_SYMLINK),
    B_CAPS(a_trailing_slash_follows_a_link_to_a_directory, VFS_CAP_SYMLINK),
    B_CAPS(symlink_answers_errors_of_linux, VFS_CAP_SYMLINK),
    B_CAPS(readlink_into_a_small_buffer_is_erange, VFS_CAP_SYMLINK),
    B_CAPS(a_hard_link_is_the_same_file, VFS_CAP_HARDLINK),
    B_CAPS(names_of_one_file_share_attributes, VFS_CAP_HARDLINK | VFS_CAP_MODE),
    B_CAPS(unlink_of_one_name_keeps_the_other, VFS_CAP_HARDLINK),
    B_CAPS(bytes_written_by_one_name_are_read_by_the_other_before_a_flush, VFS_CAP_HARDLINK),
    B_CAPS(link_answers_errors_of_linux, VFS_CAP_HARDLINK),
    B_CAPS(a_hard_link_to_a_symlink_links_the_link, VFS_CAP_HARDLINK | VFS_CAP_SYMLINK),
};
CONF_TABLE(links, behaviours);
