/*
 * test_doubt_name.c - open files whose rename failed, and may have been done.
 */
#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h listing_ttl=1h "
#define EIO_ APR_FROM_OS_ERROR(EIO)

/* A rename fails, done or not, while nobody can be asked what came of it. */
static void doubtful(rig_t *rig, const char *from, const char *to, uint32_t flags, int done)
{
    vfs_fault_t rule = {
        .what = done ? VFS_FAULT_LOST_REPLY : VFS_FAULT_ERROR, .status = EIO_, .times = 1};
    VFS_FAULT_OP(rule, VFS_OPID_rename);
    OK(vfs_fault_add(rig->fault, &rule));
    rig_fail(rig, VFS_OPID_lstat, EIO_, 0, 0);
    IS(EIO_, vfs_rename(rig->fs, NULL, from, to, flags));
    vfs_fault_clear(rig->fault);
}

/* /d/f, open to be read, and nothing of it cached. */
static vfs_file_t *opened(rig_t *rig, const char *path)
{
    rig_text(rig, path, "what is in the file");
    return rig_file(rig->fs, path, RIG_R);
}

static void reads_on(rig_t *rig, vfs_file_t *f)
{
    rig_read(f, 0, "what is in the file", 19);
    EQ(rig_stats(rig).conflicts, 0);
    OK(vfs_close(f, NULL));
    rig_close(rig);
}

static void begin(rig_t *rig)
{
    rig_open(rig, LONG "mode=through get_size=0");
    OK(vfs_mkdir(rig->bottom, NULL, "/d", 0755));
    OK(vfs_mkdir(rig->bottom, NULL, "/e", 0755));
}

Test(doubt_name, what_is_open_below_a_directory_is_read_wherever_it_came_to)
{
    for (int done = 0; done < 2; done++) {
        rig_t rig;
        begin(&rig);
        vfs_file_t *f = opened(&rig, "/d/f");
        doubtful(&rig, "/d", "/new", 0, done);
        reads_on(&rig, f);
    }
}

Test(doubt_name, a_file_is_read_wherever_it_came_to)
{
    for (int done = 0; done < 2; done++) {
        rig_t rig;
        begin(&rig);
        vfs_file_t *f = opened(&rig, "/d/f");
        doubtful(&rig, "/d/f", "/e/g", 0, done);
        reads_on(&rig, f);
    }
}

Test(doubt_name, directories_that_may_have_been_exchanged_are_tried_both)
{
    for (int k = 0; k < 4; k++) {
        rig_t rig;
        begin(&rig);
        rig_text(&rig, k & 2 ? "/e/f" : "/d/f", "of the other directory");
        vfs_file_t *f = opened(&rig, k & 2 ? "/d/f" : "/e/f");
        doubtful(&rig, "/d", "/e", VFS_RENAME_EXCHANGE, k & 1);
        reads_on(&rig, f);
    }
}

/* Whatever came of the first one, the later ones move it from there. */
Test(doubt_name, renames_that_follow_move_each_name_that_it_may_have)
{
    for (int k = 0; k < 8; k++) {
        rig_t rig;
        begin(&rig);
        vfs_file_t *f = opened(&rig, "/d/f");
        doubtful(&rig, "/d", "/new", 0, k & 1);
        if (k & 2) {
            doubtful(&rig, k & 1 ? "/new" : "/d", "/newer", 0, k & 4);
        } else if (k & 4) {
            OK(vfs_rename(rig.fs, NULL, k & 1 ? "/new" : "/d", "/newer", 0));
        } else if (k & 1) { /* another file has the old name, and its directory moves */
            OK(vfs_mkdir(rig.fs, NULL, "/d", 0755));
            rig_text(&rig, "/d/f", "another one");
            OK(vfs_rename(rig.fs, NULL, "/d", "/newer", 0));
        }
        reads_on(&rig, f);
    }
}

Test(doubt_name, another_file_of_a_name_that_it_may_have_is_not_read)
{
    rig_t rig;
    char buf[32];
    size_t got;
    begin(&rig);
    vfs_file_t *f = opened(&rig, "/d/f");
    doubtful(&rig, "/d", "/new", 0, 1);
    OK(vfs_rename(rig.bottom, NULL, "/new", "/far", 0)); /* by others */
    OK(vfs_mkdir(rig.bottom, NULL, "/new", 0755));
    rig_text(&rig, "/new/f", "another one");
    IS(VFS_ESTALE, vfs_read_at(f, NULL, buf, sizeof(buf), 0, &got));
    OK(vfs_close(f, NULL));
    rig_close(&rig);
}

Test(doubt_name, it_is_locked_by_the_name_that_it_has)
{
    rig_t rig;
    vfs_lock_t lock = {.type = VFS_LOCK_READ, .len = 1};
    begin(&rig);
    vfs_file_t *f = opened(&rig, "/d/f");
    doubtful(&rig, "/d", "/new", 0, 1);
    OK(vfs_lock(f, NULL, &lock));
    reads_on(&rig, f);
}
