/*
 * table_rename.c - behaviours of rename: every kind of name over every other, flags, open handles,
 * itself.
 */
#include <stdlib.h>

#include "tests/conformance/conf.h"

static void rename_moves_a_file(conf_t *t)
{
    vfs_attr_t attr;
    PUT("/a", "text");
    OK(vfs_rename(t->fs, NULL, "/a", "/b", 0));
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/a", &attr));
    HOLDS("/b", "text");
    NAMES("/", "b ");
}

static void rename_keeps_the_identity_of_a_file(conf_t *t)
{
    vfs_attr_t before, after;
    memset(&before, 0, sizeof before);
    memset(&after, 0, sizeof after);
    PUT("/a", "text");
    OK(vfs_stat(t->fs, NULL, "/a", &before));
    OK(vfs_rename(t->fs, NULL, "/a", "/b", 0));
    OK(vfs_stat(t->fs, NULL, "/b", &after));
    EQ(after.ino, before.ino);
    EQ(after.mtime_ns, before.mtime_ns);
}

static void rename_replaces_a_file(conf_t *t)
{
    PUT("/a", "new");
    PUT("/b", "old and longer");
    HOLDS("/b", "old and longer");
    OK(vfs_rename(t->fs, NULL, "/a", "/b", 0));
    HOLDS("/b", "new");
    NAMES("/", "b ");
}

static void rename_between_directories(conf_t *t)
{
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    OK(vfs_mkdir(t->fs, NULL, "/e", 0755));
    PUT("/d/f", "x");
    OK(vfs_rename(t->fs, NULL, "/d/f", "/e/g", 0));
    HOLDS("/e/g", "x");
    NAMES("/d", "");
    NAMES("/e", "g ");
}

static void rename_moves_a_directory_with_all_below(conf_t *t)
{
    vfs_attr_t attr;
    OK(vfs_mkdir_all(t->fs, NULL, "/d/e/g", 0755));
    PUT("/d/f", "1");
    PUT("/d/e/f", "2");
    PUT("/d/e/g/f", "3");
    HOLDS("/d/e/g/f", "3");
    NAMES("/d/e", "f g ");
    OK(vfs_rename(t->fs, NULL, "/d", "/moved", 0));
    HOLDS("/moved/f", "1");
    HOLDS("/moved/e/f", "2");
    HOLDS("/moved/e/g/f", "3");
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/d", &attr));
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/d/e/f", &attr));
    NAMES("/", "moved ");
}

static void rename_of_a_directory_leaves_its_sibling_alone(conf_t *t)
{
    OK(vfs_mkdir(t->fs, NULL, "/data", 0755));
    OK(vfs_mkdir(t->fs, NULL, "/database", 0755));
    PUT("/data/f", "in data");
    PUT("/database/f", "in database");
    OK(vfs_rename(t->fs, NULL, "/data", "/new", 0));
    HOLDS("/database/f", "in database");
    HOLDS("/new/f", "in data");
}

static void rename_replaces_an_empty_directory(conf_t *t)
{
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    PUT("/d/f", "x");
    OK(vfs_mkdir(t->fs, NULL, "/e", 0755));
    OK(vfs_rename(t->fs, NULL, "/d", "/e", 0));
    HOLDS("/e/f", "x");
    NAMES("/", "e ");
}

static void rename_over_a_full_directory_is_enotempty(conf_t *t)
{
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    OK(vfs_mkdir(t->fs, NULL, "/e", 0755));
    PUT("/e/f", "x");
    IS(E(ENOTEMPTY), vfs_rename(t->fs, NULL, "/d", "/e", 0));
    HOLDS("/e/f", "x");
    NAMES("/", "d e ");
}

static void rename_does_not_mix_files_and_directories(conf_t *t)
{
    PUT("/f", "x");
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    IS(E(EISDIR), vfs_rename(t->fs, NULL, "/f", "/d", 0));
    IS(APR_ENOTDIR, vfs_rename(t->fs, NULL, "/d", "/f", 0));
    HOLDS("/f", "x");
    NAMES("/", "d f ");
}

static void rename_of_a_directory_into_itself_is_einval(conf_t *t)
{
    OK(vfs_mkdir_all(t->fs, NULL, "/d/e", 0755));
    IS(APR_EINVAL, vfs_rename(t->fs, NULL, "/d", "/d/e/f", 0));
    IS(APR_EINVAL, vfs_rename(t->fs, NULL, "/d", "/d/f", 0));
    NAMES("/", "d ");
    NAMES("/d", "e ");
}

static void rename_onto_a_parent_is_enotempty(conf_t *t)
{
    OK(vfs_mkdir_all(t->fs, NULL, "/d/e", 0755));
    PUT("/d/f", "x");
    IS(E(ENOTEMPTY), vfs_rename(t->fs, NULL, "/d/e", "/d", 0));
    IS(E(ENOTEMPTY), vfs_rename(t->fs, NULL, "/d/f", "/d", 0));
    NAMES("/d", "e f ");
}

static void rename_onto_itself_changes_nothing(conf_t *t)
{
    PUT("/f", "x");
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    OK(vfs_rename(t->fs, NULL, "/f", "/f", 0));
    OK(vfs_rename(t->fs, NULL, "/f", "//./f", 0));
    OK(vfs_rename(t->fs, NULL, "/d", "/d", 0));
    HOLDS("/f", "x");
    NAMES("/", "d f ");
}

static void rename_of_nothing_is_enoent(conf_t *t)
{
    PUT("/f", "x");
    IS(APR_ENOENT, vfs_rename(t->fs, NULL, "/missing", "/f", 0));
    IS(APR_ENOENT, vfs_rename(t->fs, NULL, "/missing", "/new", 0));
    IS(APR_ENOENT, vfs_rename(t->fs, NULL, "/missing", "/missing", 0));
    HOLDS("/f", "x");
    NAMES("/", "f ");
}

static void rename_between_two_names_of_one_file_changes_nothing(conf_t *t)
{
    PUT("/f", "x");
    OK(vfs_link(t->fs, NULL, "/f", "/g"));
    OK(vfs_rename(t->fs, NULL, "/f", "/g", 0));
    HOLDS("/f", "x");
    HOLDS("/g", "x");
    NAMES("/", "f g ");
}

static void rename_keeps_open_handles_on_their_file(conf_t *t)
{
    size_t n = 0;
    PUT("/a", "file a");
    PUT("/b", "file b");
    NEED_OPEN(a, "/a", RW);
    NEED_OPEN(b, "/b", RW);
    OK(vfs_rename(t->fs, NULL, "/a", "/b", 0));
    FILE_HOLDS(a, 0, "file a");
    FILE_HOLDS(b, 0, "file b");
    OK(vfs_write_at(a, NULL, "A", 1, 0, &n, NULL));
    OK(vfs_write_at(b, NULL, "B", 1, 0, &n, NULL));
    FILE_HOLDS(a, 0, "Aile a");
    FILE_HOLDS(b, 0, "Bile b");
    CLOSE(b);
    CLOSE(a);
    HOLDS("/b", "Aile a");
    NAMES("/", "b ");
}

static void rename_of_a_file_under_write_loses_nothing(conf_t *t)
{
    char want[50000];
    size_t n = 0;
    conf_fill(want, sizeof want, 21);
    NEED_OPEN(f, "/a", RW | CR);
    OK(vfs_write_at(f, NULL, want, 20000, 0, &n, NULL));
    OK(vfs_rename(t->fs, NULL, "/a", "/b", 0));
    OK(vfs_write_at(f, NULL, want + 20000, 30000, 20000, &n, NULL));
    HOLDSN("/b", want, sizeof want);
    CLOSE(f);
    HOLDSN("/b", want, sizeof want);
    NAMES("/", "b ");
}

static void rename_of_a_directory_keeps_handles_below_it(conf_t *t)
{
    size_t n = 0;
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    NEED_OPEN(f, "/d/f", RW | CR);
    OK(vfs_write_at(f, NULL, "before", 6, 0, &n, NULL));
    OK(vfs_rename(t->fs, NULL, "/d", "/e", 0));
    OK(vfs_write_at(f, NULL, "AFTER", 5, 0, &n, NULL));
    FILE_HOLDS(f, 0, "AFTERe");
    HOLDS("/e/f", "AFTERe");
    CLOSE(f);
    HOLDS("/e/f", "AFTERe");
}

static void rename_chain_of_many_steps(conf_t *t)
{
    char from[16], to[16];
    PUT("/n0", "traveller");
    for (int i = 0; i < 60; i++) {
        snprintf(from, sizeof from, "/n%d", i);
        snprintf(to, sizeof to, "/n%d", i + 1);
        OK(vfs_rename(t->fs, NULL, from, to, 0));
    }
    HOLDS("/n60", "traveller");
    NAMES("/", "n60 ");
}

static void rename_and_create_again_are_two_files(conf_t *t)
{
    PUT("/log", "old");
    HOLDS("/log", "old");
    OK(vfs_rename(t->fs, NULL, "/log", "/log.1", 0));
    PUT("/log", "new file");
    HOLDS("/log.1", "old");
    HOLDS("/log", "new file");
}

static void noreplace_refuses_an_existing_name(conf_t *t)
{
    PUT("/a", "a");
    PUT("/b", "b");
    IS(APR_EEXIST, vfs_rename(t->fs, NULL, "/a", "/b", VFS_RENAME_NOREPLACE));
    HOLDS("/a", "a");
    HOLDS("/b", "b");
    OK(vfs_rename(t->fs, NULL, "/a", "/c", VFS_RENAME_NOREPLACE));
    HOLDS("/c", "a");
    IS(APR_EEXIST, vfs_rename(t->fs, NULL, "/c", "/c", VFS_RENAME_NOREPLACE));
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    OK(vfs_mkdir(t->fs, NULL, "/e", 0755));
    IS(APR_EEXIST, vfs_rename(t->fs, NULL, "/c", "/d", VFS_RENAME_NOREPLACE));
    IS(APR_EEXIST, vfs_rename(t->fs, NULL, "/e", "/d", VFS_RENAME_NOREPLACE));
    IS(APR_ENOENT, vfs_rename(t->fs, NULL, "/c", "/n/c", VFS_RENAME_NOREPLACE));
    HOLDS("/c", "a");
    NAMES("/d", "");
}

static void exchange_swaps_two_files(conf_t *t)
{
    PUT("/a", "was a");
    PUT("/b", "was b, longer");
    NEED_OPEN(f, "/a", RD);
    OK(vfs_rename(t->fs, NULL, "/a", "/b", VFS_RENAME_EXCHANGE));
    HOLDS("/a", "was b, longer");
    HOLDS("/b", "was a");
    FILE_HOLDS(f, 0, "was a");
    CLOSE(f);
    NAMES("/", "a b ");
}

static void exchange_swaps_a_file_and_a_directory(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    PUT("/f", "file");
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    PUT("/d/in", "inside");
    HOLDS("/d/in", "inside");
    OK(vfs_rename(t->fs, NULL, "/f", "/d", VFS_RENAME_EXCHANGE));
    HOLDS("/d", "file");
    HOLDS("/f/in", "inside");
    IS(APR_ENOTDIR, vfs_stat(t->fs, NULL, "/d/in", &attr));
}

static void exchange_needs_both_names(conf_t *t)
{
    PUT("/a", "a");
    IS(APR_ENOENT, vfs_rename(t->fs, NULL, "/a", "/b", VFS_RENAME_EXCHANGE));
    IS(APR_ENOENT, vfs_rename(t->fs, NULL, "/b", "/a", VFS_RENAME_EXCHANGE));
    HOLDS("/a", "a");
    NAMES("/", "a ");
}

static void exchange_of_a_directory_with_its_own_child_is_einval(conf_t *t)
{
    OK(vfs_mkdir_all(t->fs, NULL, "/d/e", 0755));
    IS(APR_EINVAL, vfs_rename(t->fs, NULL, "/d", "/d/e", VFS_RENAME_EXCHANGE));
    IS(APR_EINVAL, vfs_rename(t->fs, NULL, "/d/e", "/d", VFS_RENAME_EXCHANGE));
    NAMES("/d", "e ");
}

static void wrong_rename_flags_are_einval(conf_t *t)
{
    PUT("/a", "a");
    PUT("/b", "b");
    IS(APR_EINVAL, vfs_rename(t->fs, NULL, "/a", "/b", VFS_RENAME_NOREPLACE | VFS_RENAME_EXCHANGE));
    IS(APR_EINVAL, vfs_rename(t->fs, NULL, "/a", "/b", 0x40));
    HOLDS("/a", "a");
    HOLDS("/b", "b");
}

static void rename_of_a_link_moves_the_link(conf_t *t)
{
    char buf[32];
    PUT("/f", "x");
    OK(vfs_symlink(t->fs, NULL, "f", "/l"));
    OK(vfs_rename(t->fs, NULL, "/l", "/m", 0));
    OK(vfs_readlink(t->fs, NULL, "/m", buf, sizeof buf, NULL));
    CHECK(strcmp(buf, "f") == 0);
    HOLDS("/f", "x");
    NAMES("/", "f m ");
}

static void rename_over_a_link_replaces_the_link(conf_t *t)
{
    PUT("/f", "target");
    PUT("/g", "moved");
    OK(vfs_symlink(t->fs, NULL, "f", "/l"));
    OK(vfs_rename(t->fs, NULL, "/g", "/l", 0));
    HOLDS("/l", "moved");
    HOLDS("/f", "target");
}

static void rename_over_an_unread_file_serves_no_old_bytes(conf_t *t)
{
    char path[16];
    for (int i = 0; i < 10; i++) {
        snprintf(path, sizeof path, "version %d", i);
        PUT("/tmp", path);
        OK(vfs_rename(t->fs, NULL, "/tmp", "/f", 0));
        HOLDS("/f", path);
    }
}

static void a_file_where_a_directory_was_has_nothing_below(conf_t *t)
{
    for (int gone = 0; gone < 2; gone++) {
        vfs_attr_t attr;
        vfs_file_t *file = NULL;
        OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
        PUT("/d/f", "x");
        HOLDS("/d/f", "x");
        if (gone) {
            OK(vfs_unlink(t->fs, NULL, "/d/f"));
            OK(vfs_rmdir(t->fs, NULL, "/d"));
        } else {
            OK(vfs_rename(t->fs, NULL, "/d", "/e", 0));
        }
        PUT("/a", "y");
        OK(vfs_rename(t->fs, NULL, "/a", "/d", 0));
        IS(APR_ENOTDIR, vfs_mkdir(t->fs, NULL, "/d/s", 0755));
        IS(APR_ENOTDIR, vfs_stat(t->fs, NULL, "/d/f", &attr));
        IS(APR_ENOTDIR, vfs_open(&file, t->fs, NULL, "/d/f", RW | CR, 0644, NULL, NULL));
        HOLDS("/d", "y");
        OK(vfs_unlink(t->fs, NULL, "/d"));
    }
}

static const conf_behaviour_t behaviours[] = {
    B(rename_moves_a_file),
    B_CAPS(rename_keeps_the_identity_of_a_file, VFS_CAP_STABLE_ID),
    B(rename_replaces_a_file),
    B(rename_between_directories),
    B(rename_moves_a_directory_with_all_below),
    B(rename_of_a_directory_leaves_its_sibling_alone),
    B(rename_replaces_an_empty_directory),
    B(rename_over_a_full_directory_is_enotempty),
    B(rename_does_not_mix_files_and_directories),
    B(rename_of_a_directory_into_itself_is_einval),
    B(rename_onto_a_parent_is_enotempty),
    B(rename_onto_itself_changes_nothing),
    B(rename_of_nothing_is_enoent),
    B_CAPS(rename_between_two_names_of_one_file_changes_nothing, VFS_CAP_HARDLINK),
    B_CAPS(rename_keeps_open_handles_on_their_file, VFS_CAP_UNLINKED_OPEN),
    B(rename_of_a_file_under_write_loses_nothing),
    B(rename_of_a_directory_keeps_handles_below_it),
    B(rename_chain_of_many_steps),
    B(rename_and_create_again_are_two_files),
    B_CAPS(noreplace_refuses_an_existing_name, VFS_CAP_RENAME_NOREPLACE),
    B_CAPS(exchange_swaps_two_files, VFS_CAP_RENAME_EXCHANGE),
    B_CAPS(exchange_swaps_a_file_and_a_directory, VFS_CAP_RENAME_EXCHANGE),
    B_CAPS(exchange_needs_both_names, VFS_CAP_RENAME_EXCHANGE),
    B_CAPS(exchange_of_a_directory_with_its_own_child_is_einval, VFS_CAP_RENAME_EXCHANGE),
    B(wrong_rename_flags_are_einval),
    B_CAPS(rename_of_a_link_moves_the_link, VFS_CAP_SYMLINK),
    B_CAPS(rename_over_a_link_replaces_the_link, VFS_CAP_SYMLINK),
    B(rename_over_an_unread_file_serves_no_old_bytes),
    B(a_file_where_a_directory_was_has_nothing_below),
};
CONF_TABLE(rename, behaviours);
