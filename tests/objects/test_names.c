/*
 * test_names.c - names of files that are not below yet, and what happens to them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_general.h>

#include "tests/objects/support_rig.h"

static void lists(rig_t *rig, const char *path, const char *want)
{
    char got[256] = "";
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    OK(vfs_opendir(&dir, rig->fs, NULL, path, VFS_DIR_ATTRS));
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS)
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s:%d ", entry.name,
                 (int)entry.attr.size);
    OK(vfs_closedir(dir));
    cr_assert_str_eq(got, want);
}

Test(objects_names, a_new_file_is_there_for_everybody)
{
    rig_t rig;
    vfs_file_t *other;
    vfs_attr_t attr;
    rig_open(&rig, 0, 0);
    OK(vfs_mkdir(rig.fs, NULL, "/d", 0755));
    rig_text(&rig, "/d/b", "below");
    vfs_file_t *f = rig_file(&rig, "/d/n", CR);
    rig_write(f, 0, "new");
    IS(APR_EEXIST, vfs_open(&other, rig.fs, NULL, "/d/n", CR | VFS_O_EXCL, 0644, NULL, NULL));
    IS(APR_EEXIST, vfs_mkdir(rig.fs, NULL, "/d/n", 0755));
    IS(APR_ENOTDIR, vfs_stat(rig.fs, NULL, "/d/n/x", &attr));
    IS(APR_ENOTDIR, vfs_mkdir(rig.fs, NULL, "/d/n/x", 0755));
    IS(APR_ENOTDIR, vfs_open(&other, rig.fs, NULL, "/d/n/x", CR, 0644, NULL, NULL));
    IS(APR_ENOTEMPTY, vfs_rmdir(rig.fs, NULL, "/d"));
    OK(vfs_access(rig.fs, NULL, "/d/n", VFS_ACCESS_READ));
    lists(&rig, "/d", "b:5 n:3 ");
    rig_write(f, 3, "er");
    lists(&rig, "/d", "b:5 n:5 ");
    OK(vfs_close(f, NULL));
    lists(&rig, "/d", "b:5 n:5 ");
    rig_close(&rig, APR_SUCCESS);
}

static void absent(rig_t *rig, const char *path)
{
    vfs_attr_t attr;
    IS(APR_ENOENT, vfs_stat(rig->fs, NULL, path, &attr));
}

Test(objects_names, a_name_that_was_not_there_a_moment_ago_is_new)
{
    rig_t rig;
    unsigned asked = 1;
    rig_open(&rig, 0, 0);
    for (unsigned turn = 0; turn < 5 && asked > 0; turn++) { /* a moment may be over */
        char path[16];
        snprintf(path, sizeof(path), "/n%u", turn);
        absent(&rig, path);
        uint64_t before = rig_requests(&rig);
        vfs_file_t *f = rig_file(&rig, path, CR);
        asked = (unsigned)(rig_requests(&rig) - before);
        rig_write(f, 0, "new");
        OK(vfs_close(f, NULL));
        rig_holds_text(rig.mem, path, "new");
    }
    cr_expect_eq(asked, 0);
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_names, what_came_to_be_since_is_found)
{
    rig_t rig;
    vfs_file_t *f;
    rig_open(&rig, 0, 0);
    absent(&rig, "/excl");
    rig_text(&rig, "/excl", "theirs");
    IS(APR_EEXIST, vfs_open(&f, rig.fs, NULL, "/excl", CR | VFS_O_EXCL, 0644, NULL, NULL));
    absent(&rig, "/dir");
    OK(vfs_mkdir(rig.fs, NULL, "/dir", 0755));
    IS(OSERR(EISDIR), vfs_open(&f, rig.fs, NULL, "/dir", CR, 0644, NULL, NULL));
    rig_text(&rig, "/from", "moved");
    absent(&rig, "/to");
    OK(vfs_rename(rig.fs, NULL, "/from", "/to", 0));
    f = rig_file(&rig, "/to", CR);
    rig_reads(f, 0, "moved");
    OK(vfs_close(f, NULL));
    absent(&rig, "/dir/sub");
    OK(vfs_rmdir(rig.fs, NULL, "/dir"));
    IS(APR_ENOENT, vfs_open(&f, rig.fs, NULL, "/dir/sub", CR, 0644, NULL, NULL));
    absent(&rig, "/twice");
    f = rig_file(&rig, "/twice", CR);
    rig_write(f, 0, "once");
    OK(vfs_close(f, NULL));
    f = rig_file(&rig, "/twice", CR);
    rig_reads(f, 0, "once");
    OK(vfs_close(f, NULL));
    absent(&rig, "/late");
    rig_text(&rig, "/late", "theirs");
    f = rig_file(&rig, "/late", VFS_O_WRITE | VFS_O_CREATE);
    rig_write(f, 0, "ours");
    apr_status_t closed = vfs_close(f, NULL); /* APR_SUCCESS: that was no moment any more */
    cr_expect(closed == VFS_ECONFLICT || closed == APR_SUCCESS);
    rig_holds_text(rig.mem, "/late", closed == VFS_ECONFLICT ? "theirs" : "oursrs");
    rig_close(&rig, APR_SUCCESS);
}

/* Else it would change when it is committed. */
Test(objects_names, a_new_file_is_told_as_all_others_where_no_modes_and_owners_are_kept)
{
    rig_t rig;
    vfs_file_t *f;
    vfs_attr_t attr;
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.flags = VFS_CTX_CREDS;
    ctx.uid = ctx.gid = 1234;
    rig_open(&rig, VFS_CAP_MODE, 0);
    OK(vfs_open(&f, rig.fs, &ctx, "/n", CR, 0600, NULL, NULL));
    OK(vfs_fstat(f, NULL, &attr));
    cr_expect(attr.mode == 0644 && attr.uid == geteuid() && attr.gid == getegid());
    OK(vfs_close(f, NULL));
    rig_close(&rig, APR_SUCCESS);
    rig_open(&rig, 0, 0);
    OK(vfs_open(&f, rig.fs, &ctx, "/n", CR, 0600, NULL, NULL));
    OK(vfs_fstat(f, NULL, &attr));
    cr_expect(attr.mode == 0600 && attr.uid == geteuid(), "the rig keeps no owners");
    OK(vfs_close(f, NULL));
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_names, a_listing_has_each_name_once_whatever_is_committed_meanwhile)
{
    rig_t rig;
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    uint64_t cookie = 0;
    unsigned seen[4] = {0};
    rig_open(&rig, 0, 0);
    rig_text(&rig, "/0", "");
    rig_text(&rig, "/1", "");
    vfs_file_t *a = rig_file(&rig, "/2", CR), *b = rig_file(&rig, "/3", CR);
    OK(vfs_opendir(&dir, rig.fs, NULL, "/", 0));
    for (int i = 0; vfs_readdir(dir, NULL, &entry) == APR_SUCCESS; i++) {
        seen[entry.name[0] - '0']++;
        if (i == 0) cookie = entry.cookie;
        if (i == 1) OK(vfs_flush(a, NULL));
        if (i == 2) OK(vfs_flush(b, NULL));
    }
    for (int i = 0; i < 4; i++)
        cr_expect_eq(seen[i], 1u, "%d came %u times", i, seen[i]);
    OK(vfs_seekdir(dir, NULL, cookie)); /* behind the first */
    unsigned more = 0;
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS)
        more++;
    cr_expect_eq(more, 3u);
    OK(vfs_seekdir(dir, NULL, 0));
    for (more = 0; vfs_readdir(dir, NULL, &entry) == APR_SUCCESS;)
        more++;
    cr_expect_eq(more, 4u);
    OK(vfs_closedir(dir));
    OK(vfs_close(a, NULL));
    OK(vfs_close(b, NULL));
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_names, an_unlinked_new_file_lives_in_its_handle_and_is_never_below)
{
    rig_t rig;
    vfs_attr_t attr;
    rig_open(&rig, 0, 0);
    vfs_file_t *f = rig_file(&rig, "/tmp", CR);
    rig_write(f, 0, "one");
    vfs_count_reset(rig.count);
    OK(vfs_unlink(rig.fs, NULL, "/tmp"));
    IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/tmp", &attr));
    cr_expect_eq(rig_calls(&rig, VFS_OPID_unlink), 0u);
    rig_write(f, 3, " two");
    rig_reads(f, 0, "one two");
    OK(vfs_fstat(f, NULL, &attr));
    cr_expect(attr.nlink == 0 && attr.size == 7);
    OK(vfs_flush(f, NULL));
    vfs_file_t *g = rig_file(&rig, "/tmp", CR); /* another one */
    rig_write(g, 0, "other");
    rig_reads(f, 0, "one two");
    OK(vfs_close(f, NULL));
    OK(vfs_close(g, NULL));
    rig_holds_text(rig.mem, "/tmp", "other");
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_names, a_commit_that_may_have_been_done_is_unlinked_below)
{
    rig_t rig;
    vfs_attr_t attr;
    rig_open(&rig, 0, 0);
    vfs_file_t *f = rig_file(&rig, "/f", CR);
    rig_fail(&rig, VFS_OPID_commit, VFS_FAULT_LOST_REPLY, 1);
    rig_fail(&rig, VFS_OPID_open, VFS_FAULT_ERROR, 1); /* what came of it? */
    IS(OSERR(EIO), vfs_flush(f, NULL));
    OK(vfs_stat(rig.mem, NULL, "/f", &attr));
    OK(vfs_unlink(rig.fs, NULL, "/f"));
    IS(APR_ENOENT, vfs_stat(rig.mem, NULL, "/f", &attr));
    OK(vfs_close(f, NULL));
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_names, a_rename_commits_first_and_fails_if_that_does)
{
    rig_t rig;
    vfs_attr_t attr;
    rig_open(&rig, 0, 0);
    rig_text(&rig, "/to", "replaced");
    vfs_file_t *f = rig_file(&rig, "/from", CR), *t = rig_file(&rig, "/to", RW);
    rig_write(f, 0, "moved");
    rig_write(t, 0, "R");
    rig_fail(&rig, VFS_OPID_commit, VFS_FAULT_ERROR, 1);
    IS(OSERR(EIO), vfs_rename(rig.fs, NULL, "/from", "/to", 0));
    rig_holds_text(rig.fs, "/from", "moved");
    rig_holds_text(rig.fs, "/to", "Replaced");
    OK(vfs_rename(rig.fs, NULL, "/from", "/to", 0));
    rig_holds_text(rig.mem, "/to", "moved");
    IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/from", &attr));
    rig_reads(t, 0, "Replaced");
    rig_write(f, 5, " on");
    OK(vfs_close(f, NULL));
    OK(vfs_close(t, NULL));
    rig_holds_text(rig.mem, "/to", "moved on");
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_names, a_rename_whose_answer_was_lost_is_found_out)
{
    static const uint32_t flags[] = {0, VFS_RENAME_EXCHANGE};
    for (int k = 0; k < 2; k++)
        for (int lost = 0; lost < 2; lost++) {
            rig_t rig;
            rig_open(&rig, 0, 0);
            rig_text(&rig, "/a", "aaaa");
            rig_text(&rig, "/b", "bbbb");
            vfs_file_t *a = rig_file(&rig, "/a", RW);
            rig_fail(&rig, VFS_OPID_rename, lost ? VFS_FAULT_LOST_REPLY : VFS_FAULT_ERROR, 1);
            IS(lost ? APR_SUCCESS : OSERR(EIO), vfs_rename(rig.fs, NULL, "/a", "/b", flags[k]));
            rig_write(a, 0, "A");
            OK(vfs_close(a, NULL));
            rig_holds_text(rig.mem, lost ? "/b" : "/a", "Aaaa");
            if (!lost || k) rig_holds_text(rig.mem, lost ? "/a" : "/b", "bbbb");
            rig_close(&rig, APR_SUCCESS);
        }
}

Test(objects_names, an_unlink_whose_answer_was_lost_is_found_out)
{
    rig_t rig;
    char path[300];
    vfs_attr_t attr;
    rig_open(&rig, 0, 0);
    rig_text(&rig, "/f", "old");
    vfs_file_t *f = rig_file(&rig, "/f", RW);
    rig_write(f, 0, "N");
    rig_fail(&rig, VFS_OPID_unlink, VFS_FAULT_ERROR, 1);
    IS(OSERR(EIO), vfs_unlink(rig.fs, NULL, "/f"));
    rig_holds_text(rig.fs, "/f", "Nld");
    vfs_fault_clear(rig.fault);
    rig_fail(&rig, VFS_OPID_unlink, VFS_FAULT_LOST_REPLY, 1);
    OK(vfs_unlink(rig.fs, NULL, "/f"));
    IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/f", &attr));
    rig_reads(f, 0, "Nld");
    OK(vfs_close(f, NULL));
    cr_expect_eq(rig_conflicts(&rig, path, sizeof(path)), 0u);
    rig_close(&rig, APR_SUCCESS);
}

static apr_status_t give_text(void *baton, void *buf, size_t len, apr_off_t off)
{
    memcpy(buf, (const char *)baton + off, len);
    return APR_SUCCESS;
}

Test(objects_names, a_commit_of_the_user_s_own_whose_answer_was_lost_is_no_conflict)
{
    rig_t rig;
    char text[] = "whole", path[300];
    vfs_source_t source = {give_text, text, 5};
    rig_open(&rig, 0, 0);
    rig_text(&rig, "/f", "old");
    vfs_file_t *f = rig_file(&rig, "/f", RW);
    rig_write(f, 0, "staged");
    rig_fail(&rig, VFS_OPID_commit, VFS_FAULT_LOST_REPLY, 1);
    OK(vfs_commit(rig.fs, NULL, "/f", &source, NULL, NULL, NULL));
    rig_reads(f, 0, "whole");
    rig_write(f, 0, "W");
    OK(vfs_close(f, NULL));
    rig_holds_text(rig.mem, "/f", "Whole");
    cr_expect_eq(rig_conflicts(&rig, path, sizeof(path)), 0u);
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_names, a_directory_with_new_files_is_not_empty_and_no_file_either)
{
    rig_t rig;
    rig_open(&rig, 0, 0);
    OK(vfs_mkdir(rig.fs, NULL, "/a", 0755));
    OK(vfs_mkdir(rig.fs, NULL, "/b", 0755));
    vfs_file_t *f = rig_file(&rig, "/b/new", CR), *g = rig_file(&rig, "/file", CR);
    IS(APR_ENOTEMPTY, vfs_rename(rig.fs, NULL, "/a", "/b", 0));
    IS(APR_ENOTDIR, vfs_rename(rig.fs, NULL, "/a", "/file", 0));
    IS(APR_EEXIST, vfs_rename(rig.fs, NULL, "/a", "/file", VFS_RENAME_NOREPLACE));
    OK(vfs_close(f, NULL));
    OK(vfs_close(g, NULL));
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_names, a_commit_of_the_user_s_own_meets_what_is_told_here)
{
    rig_t rig;
    vfs_commit_t how = VFS_COMMIT_INIT;
    rig_open(&rig, 0, 0);
    rig_text(&rig, "/f", "old");
    vfs_file_t *f = rig_file(&rig, "/f", RW);
    vfs_validator_t before;
    OK(vfs_fvalidator(f, NULL, &before));
    rig_write(f, 0, "staged");
    vfs_source_t nothing = {NULL, NULL, 0};
    how.flags = VFS_COMMIT_IF_MATCH;
    how.expected = before;
    IS(VFS_ECONFLICT, vfs_commit(rig.fs, NULL, "/f", &nothing, &how, NULL, NULL));
    rig_reads(f, 0, "staged");
    OK(vfs_fvalidator(f, NULL, &how.expected));
    OK(vfs_commit(rig.fs, NULL, "/f", &nothing, &how, NULL, NULL));
    rig_holds_text(rig.mem, "/f", "");
    OK(vfs_close(f, NULL));
    rig_holds_text(rig.mem, "/f", "");
    f = rig_file(&rig, "/new", CR);
    how.flags = VFS_COMMIT_IF_NONE;
    IS(VFS_ECONFLICT, vfs_commit(rig.fs, NULL, "/new", &nothing, &how, NULL, NULL));
    OK(vfs_close(f, NULL));
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_names, a_stack_that_is_one_ends_as_one)
{
    apr_pool_t *pool;
    vfs_t *mem, *fs = NULL;
    vfs_objects_config_t config = VFS_OBJECTS_CONFIG_INIT;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    OK(vfs_mem_create(&mem, 0, pool));
    config.owns_lower = 1;
    config.spool_dir = "/nowhere/at/all";
    IS(APR_ENOENT, vfs_objects_create(&fs, mem, &config, pool));
    cr_assert_null(fs);
    config.spool_dir = NULL;
    OK(vfs_objects_create(&fs, mem, &config, pool));
    cr_expect_str_eq(vfs_name(fs), "mem");
    cr_expect_null(vfs_lower(fs));
    cr_expect(vfs_caps(fs)->bits & VFS_CAP_STAGED);
    OK(vfs_write_file(fs, NULL, "/f", "x", 1, 0644));
    OK(vfs_destroy_stack(fs));
    OK(vfs_mem_create(&mem, 0, pool));
    mem->caps.bits &= ~VFS_CAP_COMMIT;
    IS(APR_EINVAL, vfs_objects_create(&fs, mem, NULL, pool));
    OK(vfs_destroy(mem));
    apr_pool_destroy(pool);
}

Test(objects_names, a_listing_tells_of_what_was_moved_what_a_question_does)
{
    rig_t rig;
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    vfs_attr_t attr;
    vfs_validator_t val;
    vfs_path_t path;
    char buf[VFS_PATH_MAX + 1];
    rig_open(&rig, 0, 0);
    vfs_file_t *f = rig_file(&rig, "/d", CR);
    rig_write(f, 0, "bytes");
    OK(vfs_rename(rig.fs, NULL, "/d", "/c", 0)); /* told: the version that was staged */
    rig_text(&rig, "/c", "bytes");               /* as where a move makes another version */
    OK(vfs_opendir(&dir, rig.fs, NULL, "/", VFS_DIR_ATTRS));
    OK(vfs_readdir(dir, NULL, &entry));
    OK(vfs_path_init(&path, "/c", buf));
    OK(vfs_call_stat(rig.fs, NULL, &path, &attr, &val));
    cr_assert_str_eq(entry.name, "c");
    cr_assert(!entry.has_attr || vfs_validator_equal(&entry.validator, &val));
    OK(vfs_closedir(dir));
    OK(vfs_opendir(&dir, rig.fs, NULL, "/", VFS_DIR_ATTRS));
    OK(vfs_readdir(dir, NULL, &entry));
    cr_assert(entry.has_attr && vfs_validator_equal(&entry.validator, &val));
    OK(vfs_closedir(dir));
    OK(vfs_close(f, NULL));
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_names, a_small_file_that_is_open_lives_on_without_its_name)
{
    for (int staged = 0; staged < 2; staged++)
        for (int replaced = 0; replaced < 2; replaced++) {
            rig_t rig;
            vfs_attr_t attr;
            rig_open(&rig, VFS_CAP_UNLINKED_OPEN, 0);
            rig_text(&rig, "/f", "old bytes");
            rig_text(&rig, "/g", "another");
            vfs_file_t *f = rig_file(&rig, "/f", RW);
            if (staged) rig_write(f, 4, "B");
            OK(replaced ? vfs_rename(rig.fs, NULL, "/g", "/f", 0) : vfs_unlink(rig.fs, NULL, "/f"));
            vfs_count_reset(rig.count);
            rig_reads(f, 0, staged ? "old Bytes" : "old bytes");
            rig_write(f, 0, "O");
            rig_reads(f, 0, staged ? "Old Bytes" : "Old bytes");
            OK(vfs_fstat(f, NULL, &attr));
            cr_assert(attr.size == 9 && attr.nlink == 0);
            OK(vfs_close(f, NULL));
            cr_expect_eq(rig_requests(&rig), 0u);
            if (replaced) rig_holds_text(rig.mem, "/f", "another");
            rig_close(&rig, APR_SUCCESS);
        }
}

Test(objects_names, a_large_file_is_not_fetched_for_being_removed)
{
    enum { LARGE = (16 << 20) + 1 };
    rig_t rig;
    char *data = rig_bytes(LARGE, 1);
    rig_open(&rig, VFS_CAP_UNLINKED_OPEN, 0);
    rig_put(&rig, "/f", data, LARGE);
    vfs_file_t *f = rig_file(&rig, "/f", RW);
    vfs_count_reset(rig.count);
    OK(vfs_unlink(rig.fs, NULL, "/f"));
    cr_expect_eq(rig_calls(&rig, VFS_OPID_fetch), 0u);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_names, a_name_that_stays_changes_nothing_of_an_open_file)
{
    rig_t rig;
    rig_open(&rig, VFS_CAP_UNLINKED_OPEN, 0);
    rig_text(&rig, "/f", "old bytes");
    vfs_file_t *f = rig_file(&rig, "/f", RW);
    rig_fail(&rig, VFS_OPID_unlink, VFS_FAULT_ERROR, 1);
    IS(OSERR(EIO), vfs_unlink(rig.fs, NULL, "/f"));
    rig_text(&rig, "/f", "new bytes");
    rig_reads(f, 0, "new bytes");
    OK(vfs_close(f, NULL));
    cr_expect_eq(rig_calls(&rig, VFS_OPID_commit), 0u);
    rig_close(&rig, APR_SUCCESS);
}
