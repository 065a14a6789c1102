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
