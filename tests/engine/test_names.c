/*
 * test_names.c - changes of names: what is known of other names, and of open files, afterwards.
 */
#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h listing_ttl=1h "

/* We know a file; others put a directory in its place, and we know names in that. */
static void file_that_is_a_directory(rig_t *rig, const char *keys)
{
    vfs_attr_t attr;

    rig_open(rig, keys);
    rig_text(rig, "/a", "file");
    rig_text(rig, "/x", "other");
    OK(vfs_stat(rig->fs, NULL, "/a", &attr));
    OK(vfs_stat(rig->fs, NULL, "/x", &attr));
    OK(vfs_unlink(rig->bottom, NULL, "/a"));
    OK(vfs_mkdir_all(rig->bottom, NULL, "/a/in", 0755));
    rig_text(rig, "/a/in/f", "inside");
    OK(vfs_stat(rig->fs, NULL, "/a/in/f", &attr));
    OK(vfs_stat(rig->fs, NULL, "/a", &attr));
    EQ(attr.type, VFS_TYPE_FILE); /* the premise */
}

Test(names, what_is_below_a_name_goes_with_it_whatever_we_took_it_for)
{
    rig_t rig;

    file_that_is_a_directory(&rig, LONG);
    OK(vfs_rename(rig.fs, NULL, "/a", "/b", 0));
    IS(APR_FROM_OS_ERROR(ENOENT), vfs_stat(rig.fs, NULL, "/a/in/f", NULL));
    rig_holds_text(rig.fs, "/b/in/f", "inside");
    rig_close(&rig);

    file_that_is_a_directory(&rig, LONG);
    OK(vfs_rename(rig.fs, NULL, "/a", "/x", VFS_RENAME_EXCHANGE));
    CHECK(vfs_stat(rig.fs, NULL, "/a/in/f", NULL) != APR_SUCCESS);
    rig_holds_text(rig.fs, "/x/in/f", "inside");
    rig_close(&rig);

    file_that_is_a_directory(&rig, LONG);
    OK(vfs_remove_all(rig.bottom, NULL, "/a"));
    OK(vfs_mkdir(rig.fs, NULL, "/a", 0755));
    IS(APR_FROM_OS_ERROR(ENOENT), vfs_stat(rig.fs, NULL, "/a/in/f", NULL));
    rig_close(&rig);
}
