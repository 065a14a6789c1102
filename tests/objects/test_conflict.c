/*
 * test_conflict.c - others change a file below while it is open, staged, or on its way.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/objects/support_rig.h"

/* With conditions below, and without: then it is asked for right before. */
static const uint64_t lowers[] = {0, VFS_CAP_CONDITIONAL};

Test(objects_conflict, ours_is_beside_theirs_and_the_call_says_so)
{
    for (int l = 0; l < 2; l++) {
        rig_t rig;
        char beside[300];
        rig_open(&rig, lowers[l], 0);
        rig_text(&rig, "/f", "old");
        vfs_file_t *f = rig_file(&rig, "/f", RW);
        rig_write(f, 0, "ours, longer");
        rig_text(&rig, "/f", "theirs");
        rig_holds_text(rig.fs, "/f", "ours, longer");
        IS(VFS_ECONFLICT, vfs_flush(f, NULL));
        rig_holds_text(rig.mem, "/f", "theirs");
        rig_holds_text(rig.fs, "/f", "theirs");
        rig_reads(f, 0, "theirs");
        cr_assert_eq(rig_conflicts(&rig, beside, sizeof(beside)), 1u);
        rig_holds_text(rig.mem, beside, "ours, longer");
        cr_expect(strstr(rig.logged, beside) != NULL, "%s", rig.logged);
        OK(vfs_flush(f, NULL));
        rig_write(f, 0, "T"); /* on top of theirs */
        OK(vfs_close(f, NULL));
        rig_holds_text(rig.mem, "/f", "Theirs");
        cr_assert_eq(rig_conflicts(&rig, beside, sizeof(beside)), 1u);
        rig_close(&rig, APR_SUCCESS);
    }
}

Test(objects_conflict, what_others_made_meanwhile_is_not_replaced)
{
    for (int l = 0; l < 2; l++) {
        rig_t rig;
        char beside[300];
        rig_open(&rig, lowers[l], 0);
        vfs_file_t *f = rig_file(&rig, "/f", CR);
        rig_write(f, 0, "ours");
        rig_text(&rig, "/f", "theirs");
        IS(VFS_ECONFLICT, vfs_close(f, NULL));
        rig_holds_text(rig.mem, "/f", "theirs");
        cr_assert_eq(rig_conflicts(&rig, beside, sizeof(beside)), 1u);
        rig_holds_text(rig.mem, beside, "ours");
        rig_close(&rig, APR_SUCCESS);
    }
}

Test(objects_conflict, the_same_bytes_are_none)
{
    rig_t rig;
    char beside[300];
    rig_open(&rig, 0, 0);
    vfs_file_t *f = rig_file(&rig, "/f", CR);
    rig_write(f, 0, "same");
    rig_text(&rig, "/f", "same");
    OK(vfs_close(f, NULL));
    cr_assert_eq(rig_conflicts(&rig, beside, sizeof(beside)), 0u);
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_conflict, a_read_never_mixes_versions)
{
    rig_t rig;
    char buf[16];
    size_t n;
    rig_open(&rig, 0, 0);
    rig_text(&rig, "/f", "old old old");
    vfs_file_t *f = rig_file(&rig, "/f", RW);
    rig_write(f, 4, "NEW");
    rig_reads(f, 0, "old NEW old");
    rig_text(&rig, "/f", "their bytes");
    IS(VFS_ESTALE, vfs_read_at(f, NULL, buf, 11, 0, &n));
    cr_assert_eq(n, 0u);
    rig_reads(f, 4, "NEW"); /* what is ours is there */
    IS(VFS_ECONFLICT, vfs_close(f, NULL));
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_conflict, bytes_of_a_base_that_is_gone_are_theirs_and_the_log_says_so)
{
    rig_t rig;
    char beside[300];
    rig_open(&rig, 0, 0);
    rig_text(&rig, "/f", "old old old");
    vfs_file_t *f = rig_file(&rig, "/f", RW);
    rig_write(f, 4, "NEW");
    rig_text(&rig, "/f", "their bytes");
    IS(VFS_ECONFLICT, vfs_flush(f, NULL));
    cr_assert_eq(rig_conflicts(&rig, beside, sizeof(beside)), 1u);
    rig_holds_text(rig.mem, beside, "theiNEWytes");
    cr_expect(strstr(rig.logged, "8 bytes") != NULL, "%s", rig.logged);
    OK(vfs_close(f, NULL));
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_conflict, one_that_cannot_be_kept_beside_stays_staged)
{
    rig_t rig;
    char beside[300];
    rig_open(&rig, 0, 0);
    rig_text(&rig, "/f", "old");
    vfs_file_t *f = rig_file(&rig, "/f", RW);
    rig_write(f, 0, "ours");
    rig_text(&rig, "/f", "theirs");
    rig_fail(&rig, VFS_OPID_open, VFS_FAULT_ERROR, 1); /* what is there now? */
    IS(OSERR(EIO), vfs_flush(f, NULL));
    rig_holds_text(rig.fs, "/f", "ours");
    cr_assert_eq(rig_conflicts(&rig, beside, sizeof(beside)), 0u);
    IS(VFS_ECONFLICT, vfs_flush(f, NULL));
    cr_assert_eq(rig_conflicts(&rig, beside, sizeof(beside)), 1u);
    rig_holds_text(rig.mem, beside, "ours");
    OK(vfs_close(f, NULL));
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_conflict, a_file_that_others_removed_is_beside_where_it_can_be_put_together)
{
    rig_t rig;
    char beside[300], buf[4];
    size_t n;
    vfs_attr_t attr;
    rig_open(&rig, 0, 0);
    rig_text(&rig, "/f", "old");
    vfs_file_t *f = rig_file(&rig, "/f", RW | VFS_O_TRUNC);
    rig_write(f, 0, "ours");
    OK(vfs_unlink(rig.mem, NULL, "/f"));
    IS(VFS_ECONFLICT, vfs_flush(f, NULL));
    IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/f", &attr));
    cr_assert_eq(rig_conflicts(&rig, beside, sizeof(beside)), 1u);
    rig_holds_text(rig.mem, beside, "ours");
    IS(VFS_ESTALE, vfs_read_at(f, NULL, buf, 4, 0, &n));
    OK(vfs_close(f, NULL));
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_conflict, pieces_of_a_file_that_is_gone_are_no_file_with_holes)
{
    rig_t rig;
    char beside[300];
    vfs_file_t *f;
    rig_open(&rig, 0, 0);
    rig_text(&rig, "/f", "old bytes");
    f = rig_file(&rig, "/f", RW);
    rig_write(f, 0, "OLD");
    OK(vfs_flush(f, NULL)); /* so that no handle below has the base */
    rig_write(f, 0, "new");
    OK(vfs_unlink(rig.mem, NULL, "/f"));
    IS(VFS_ESTALE, vfs_flush(f, NULL));
    IS(VFS_ESTALE, vfs_sync_fs(rig.fs, NULL));
    rig_reads(f, 0, "new");
    cr_assert_eq(rig_conflicts(&rig, beside, sizeof(beside)), 0u);
    OK(vfs_unlink(rig.fs, NULL, "/f"));
    OK(vfs_close(f, NULL));
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_conflict, who_only_reads_moves_on)
{
    rig_t rig;
    rig_open(&rig, 0, 0);
    rig_text(&rig, "/f", "old");
    vfs_file_t *f = rig_file(&rig, "/f", RW);
    rig_reads(f, 0, "old");
    rig_text(&rig, "/f", "new one");
    vfs_validator_t told, now;
    OK(vfs_fvalidator(f, NULL, &told)); /* what he writes now is based on what he was told */
    OK(vfs_validator(rig.whole, NULL, "/f", &now));
    cr_assert(vfs_validator_equal(&told, &now));
    rig_write(f, 0, "N");
    OK(vfs_close(f, NULL));
    rig_holds_text(rig.mem, "/f", "New one");
    rig_close(&rig, APR_SUCCESS);
}

typedef struct side_t {
    pthread_t thread;
    rig_t *rig;
    vfs_file_t *file;
    uint32_t flags;
    apr_status_t status;
} side_t;

static void *flush_it(void *baton)
{
    side_t *side = baton;
    side->status = vfs_flush(side->file, NULL);
    return NULL;
}

static void *open_it(void *baton)
{
    side_t *side = baton;
    side->status = vfs_open(&side->file, side->rig->fs, NULL, "/f", side->flags, 0644, NULL, NULL);
    return NULL;
}

static void begin_blocked(rig_t *rig, side_t *side, vfs_opid_e op, void *(*run)(void *))
{
    rig_fail(rig, op, VFS_FAULT_BLOCK, 1);
    side->rig = rig;
    cr_assert_eq(pthread_create(&side->thread, NULL, run, side), 0);
    while (vfs_fault_blocked(rig->fault) == 0)
        apr_sleep(1000);
}

static void end_blocked(side_t *side)
{
    vfs_fault_release(side->rig->fault);
    pthread_join(side->thread, NULL);
}

Test(objects_conflict, what_is_written_during_the_commit_is_of_ours_too)
{
    for (int removed = 0; removed < 2; removed++) {
        rig_t rig;
        char beside[300];
        vfs_attr_t attr;
        rig_open(&rig, 0, 0);
        rig_text(&rig, "/f", "old bytes");
        vfs_file_t *f = rig_file(&rig, "/f", RW | VFS_O_TRUNC);
        rig_write(f, 0, "ours");
        side_t side = {.file = f};
        begin_blocked(&rig, &side, VFS_OPID_commit, flush_it);
        if (removed)
            OK(vfs_unlink(rig.mem, NULL, "/f"));
        else
            rig_text(&rig, "/f", "theirs is long");
        rig_write(f, 4, "more");
        end_blocked(&side);
        IS(VFS_ECONFLICT, side.status);
        cr_assert_eq(rig_conflicts(&rig, beside, sizeof(beside)), 1u);
        rig_holds_text(rig.mem, beside, "oursmore");
        OK(vfs_close(f, NULL));
        if (removed)
            IS(APR_ENOENT, vfs_stat(rig.mem, NULL, "/f", &attr));
        else
            rig_holds_text(rig.mem, "/f", "theirs is long");
        cr_assert_eq(rig_conflicts(&rig, beside, sizeof(beside)), 1u);
        rig_close(&rig, APR_SUCCESS);
    }
}

Test(objects_conflict, a_file_made_where_others_removed_an_open_one_is_another)
{
    rig_t rig;
    rig_open(&rig, 0, 0);
    rig_text(&rig, "/f", "old bytes");
    vfs_file_t *a = rig_file(&rig, "/f", RW);
    OK(vfs_unlink(rig.mem, NULL, "/f"));
    vfs_file_t *b = rig_file(&rig, "/f", CR | VFS_O_EXCL);
    rig_write(b, 0, "new");
    rig_write(a, 0, "OLD and more");
    rig_reads(b, 0, "new");
    OK(vfs_close(a, NULL));
    OK(vfs_close(b, NULL));
    rig_holds_text(rig.mem, "/f", "new");
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_conflict, one_that_is_written_to_while_it_is_made_is_there)
{
    for (int excl = 0; excl < 2; excl++) {
        rig_t rig;
        rig_open(&rig, 0, 0);
        rig_text(&rig, "/f", "old bytes");
        vfs_file_t *a = rig_file(&rig, "/f", RW);
        OK(vfs_unlink(rig.mem, NULL, "/f"));
        side_t side = {.flags = CR | (excl ? VFS_O_EXCL : 0)};
        begin_blocked(&rig, &side, VFS_OPID_open, open_it);
        rig_write(a, 0, "new bytes");
        end_blocked(&side);
        IS(excl ? APR_EEXIST : APR_SUCCESS, side.status);
        if (!excl) {
            rig_reads(side.file, 0, "new bytes");
            OK(vfs_close(side.file, NULL));
        }
        OK(vfs_unlink(rig.fs, NULL, "/f")); /* ours has no base, which its commit would tell */
        OK(vfs_close(a, NULL));
        rig_close(&rig, APR_SUCCESS);
    }
}

static apr_status_t read_hundred(void *baton, void *buf, size_t len, apr_off_t off)
{
    (void)baton;
    (void)off;
    memset(buf, 'w', len);
    return APR_SUCCESS;
}

static void *replace_it(void *baton)
{
    side_t *side = baton;
    vfs_source_t source = {read_hundred, NULL, 100};
    vfs_commit_t how = VFS_COMMIT_INIT;
    side->status = vfs_commit(side->rig->fs, NULL, "/f", &source, &how, NULL, NULL);
    return NULL;
}

static void *write_it(void *baton)
{
    side_t *side = baton;
    size_t n;
    side->status = vfs_write_at(side->file, NULL, "X", 1, 0, &n, NULL);
    return NULL;
}

Test(objects_conflict, what_is_written_while_a_whole_file_comes_is_on_top_of_all_of_it)
{
    for (int staged = 0; staged < 2; staged++) {
        rig_t rig;
        char want[100];
        rig_open(&rig, 0, 0);
        rig_text(&rig, "/f", "old bytes");
        vfs_file_t *f = rig_file(&rig, "/f", RW);
        if (staged) rig_write(f, 3, "-");
        side_t whole = {.rig = &rig}, one = {.file = f};
        begin_blocked(&rig, &whole, VFS_OPID_commit, replace_it);
        cr_assert_eq(pthread_create(&one.thread, NULL, write_it, &one), 0);
        apr_sleep(20000); /* it is there before the other ends, or after: it is the same */
        vfs_fault_release(rig.fault);
        pthread_join(whole.thread, NULL);
        pthread_join(one.thread, NULL);
        OK(whole.status);
        OK(one.status);
        OK(vfs_close(f, NULL));
        memset(want, 'w', sizeof(want));
        want[0] = 'X';
        rig_holds(rig.mem, "/f", want, sizeof(want));
        rig_close(&rig, APR_SUCCESS);
    }
}

/* The answer to our commit is lost, and so is the question what came of it. */
Test(objects_conflict, a_whole_file_meets_our_own_commit_that_is_in_doubt)
{
    rig_t rig;
    vfs_attr_t attr;
    vfs_path_t path;
    char buf[VFS_PATH_MAX + 1], beside[300];
    vfs_source_t source = {read_hundred, NULL, 100};
    vfs_commit_t how = VFS_COMMIT_INIT;
    rig_open(&rig, 0, 0);
    rig_text(&rig, "/f", "old bytes");
    vfs_file_t *f = rig_file(&rig, "/f", RW);
    rig_write(f, 0, "our bytes");
    rig_fail(&rig, VFS_OPID_commit, VFS_FAULT_LOST_REPLY, 1);
    rig_fail(&rig, VFS_OPID_open, VFS_FAULT_ERROR, 1);
    IS(OSERR(EIO), vfs_flush(f, NULL));
    rig_write(f, 0, "O"); /* on top of it */
    OK(vfs_path_init(&path, "/f", buf));
    OK(vfs_call_stat(rig.fs, NULL, &path, &attr, &how.expected));
    how.flags = VFS_COMMIT_IF_MATCH;
    OK(vfs_commit(rig.fs, NULL, "/f", &source, &how, NULL, NULL));
    OK(vfs_fstat(f, NULL, &attr));
    cr_assert_eq(attr.size, 100u);
    OK(vfs_close(f, NULL));
    cr_assert_eq(rig_conflicts(&rig, beside, sizeof(beside)), 0u);
    rig_close(&rig, APR_SUCCESS);
}
