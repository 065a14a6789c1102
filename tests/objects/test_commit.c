/*
 * test_commit.c - what goes below, when, and what becomes of it if that fails.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/objects/support_rig.h"

Test(objects_commit, a_new_small_file_costs_one_question_and_one_commit)
{
    rig_t rig;
    vfs_attr_t attr;
    rig_open(&rig, 0, 0);
    vfs_count_reset(rig.count);
    vfs_file_t *f = rig_file(&rig, "/new", CR);
    rig_write(f, 0, "bytes");
    IS(APR_ENOENT, vfs_stat(rig.mem, NULL, "/new", &attr));
    OK(vfs_stat(rig.fs, NULL, "/new", &attr));
    cr_assert_eq(attr.size, 5u);
    OK(vfs_close(f, NULL));
    cr_expect_eq(rig_calls(&rig, VFS_OPID_open), 1u);
    cr_expect_eq(rig_calls(&rig, VFS_OPID_commit), 1u);
    cr_expect_eq(rig_requests(&rig), 2u);
    rig_holds_text(rig.mem, "/new", "bytes");
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_commit, files_of_one_directory_ask_for_it_once)
{
    rig_t rig;
    char path[32];
    rig_open(&rig, 0, 0);
    OK(vfs_mkdir(rig.fs, NULL, "/d", 0755));
    vfs_count_reset(rig.count);
    for (int i = 0; i < 10; i++) {
        snprintf(path, sizeof(path), "/d/%d", i);
        OK(vfs_close(rig_file(&rig, path, CR), NULL));
    }
    /* a machine may take its time between two of them */
    cr_expect_leq(rig_calls(&rig, VFS_OPID_stat), 10u);
    cr_expect_eq(rig_requests(&rig), 20u + rig_calls(&rig, VFS_OPID_stat));
    rig_close(&rig, APR_SUCCESS);
}

/* The layer fetches nothing for an edit, and says what it keeps. */
typedef struct seen_t {
    vfs_range_t kept[8];
    size_t count;
    uint32_t flags;
} seen_t;
static seen_t seen;
static apr_status_t (*commit_below)(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                    const vfs_source_t *source, const vfs_commit_t *how,
                                    vfs_attr_t *attr, vfs_validator_t *validator);

static apr_status_t commit_seen(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                const vfs_source_t *source, const vfs_commit_t *how,
                                vfs_attr_t *attr, vfs_validator_t *validator)
{
    seen.count = how->kept_count;
    seen.flags = how->flags;
    for (size_t i = 0; i < how->kept_count && i < 8; i++)
        seen.kept[i] = how->kept[i];
    return commit_below(fs, ctx, path, source, how, attr, validator);
}

Test(objects_commit, an_edit_fetches_nothing_and_says_what_it_keeps)
{
    enum { SIZE = 1 << 20 };
    rig_t rig;
    char *data = rig_bytes(SIZE, 1), byte;
    size_t n;
    rig_open(&rig, 0, 0);
    commit_below = rig.whole->ops.commit;
    rig.whole->ops.commit = commit_seen;
    rig_put(&rig, "/large", data, SIZE);
    vfs_count_reset(rig.count);
    vfs_file_t *f = rig_file(&rig, "/large", VFS_O_WRITE);
    byte = data[700000] = (char)~data[700000];
    OK(vfs_write_at(f, NULL, &byte, 1, 700000, &n, NULL));
    cr_expect_eq(rig_calls(&rig, VFS_OPID_fetch), 0u);
    cr_expect_eq(rig_calls(&rig, VFS_OPID_commit), 0u);
    OK(vfs_flush(f, NULL));
    cr_expect_eq(rig_calls(&rig, VFS_OPID_commit), 1u);
    cr_assert_eq(seen.count, 2u);
    cr_expect(seen.kept[0].off == 0 && seen.kept[0].len == 700000);
    cr_expect(seen.kept[1].off == 700001 && seen.kept[1].len == SIZE - 700001);
    cr_expect_eq(seen.flags, VFS_COMMIT_IF_MATCH);
    rig_holds(rig.mem, "/large", data, SIZE);
    OK(vfs_flush(f, NULL)); /* nothing is staged */
    cr_expect_eq(rig_calls(&rig, VFS_OPID_commit), 1u);
    /* what was cut away is not kept, and what it grows by is zeros */
    OK(vfs_ftruncate(f, NULL, 1000));
    OK(vfs_ftruncate(f, NULL, 3000));
    memset(data + 1000, 0, 2000);
    OK(vfs_flush(f, NULL));
    cr_assert_eq(seen.count, 1u);
    cr_expect(seen.kept[0].off == 0 && seen.kept[0].len == 1000);
    rig_holds(rig.mem, "/large", data, 3000);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_commit, the_last_writer_commits_and_no_other_close)
{
    rig_t rig;
    rig_open(&rig, 0, 0);
    rig_text(&rig, "/f", "old");
    vfs_file_t *a = rig_file(&rig, "/f", RW), *b = rig_file(&rig, "/f", RW);
    vfs_file_t *r = rig_file(&rig, "/f", VFS_O_READ);
    rig_write(a, 0, "n");
    rig_reads(r, 0, "nld");
    OK(vfs_close(a, NULL));
    rig_holds_text(rig.mem, "/f", "old");
    OK(vfs_close(b, NULL));
    rig_holds_text(rig.mem, "/f", "nld");
    rig_reads(r, 0, "nld");
    OK(vfs_close(r, NULL));
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_commit, one_that_fails_keeps_all_and_is_tried_again)
{
    static const vfs_fault_e kinds[] = {VFS_FAULT_ERROR, VFS_FAULT_LOST_REPLY};
    for (int again = 0; again < 5; again++)
        for (int k = 0; k < 2; k++) {
            rig_t rig;
            rig_open(&rig, 0, 0);
            rig_text(&rig, "/f", "old bytes");
            vfs_file_t *f = rig_file(&rig, "/f", RW), *g = NULL;
            rig_write(f, 0, "new");
            rig_fail(&rig, VFS_OPID_commit, kinds[k], 1);
            if (k) rig_fail(&rig, VFS_OPID_open, VFS_FAULT_ERROR, 1); /* what came of it? */
            IS(OSERR(EIO), again == 2 ? vfs_close(f, NULL) : vfs_flush(f, NULL));
            if (!k) rig_holds_text(rig.fs, "/f", "new bytes");
            switch (again) {
            case 0:
                OK(vfs_flush(f, NULL));
                break;
            case 1:
                OK(vfs_sync(f, NULL, VFS_SYNC_ALL));
                break;
            case 2: /* by somebody else's close */
                g = rig_file(&rig, "/f", VFS_O_READ);
                rig_reads(g, 0, "new");
                OK(vfs_close(g, NULL));
                break;
            case 3:
                OK(vfs_sync_fs(rig.fs, NULL));
                break;
            default: /* with more on top */
                rig_write(f, 4, "BYTES");
                OK(vfs_flush(f, NULL));
                break;
            }
            rig_holds_text(rig.mem, "/f", again == 4 ? "new BYTES" : "new bytes");
            if (again != 2) OK(vfs_close(f, NULL));
            char path[300];
            cr_expect_eq(rig_conflicts(&rig, path, sizeof(path)), 0u); /* not with ourselves */
            rig_close(&rig, APR_SUCCESS);
        }
}

Test(objects_commit, one_whose_answer_was_lost_is_found_out)
{
    for (int fresh = 0; fresh < 2; fresh++) {
        rig_t rig;
        rig_open(&rig, 0, 0);
        if (!fresh) rig_text(&rig, "/f", "old bytes");
        vfs_file_t *f = rig_file(&rig, "/f", CR);
        rig_write(f, 0, "new");
        rig_fail(&rig, VFS_OPID_commit, VFS_FAULT_LOST_REPLY, 1);
        OK(vfs_flush(f, NULL));
        rig_holds_text(rig.fs, "/f", fresh ? "new" : "new bytes");
        rig_write(f, 2, "W");
        OK(vfs_close(f, NULL));
        rig_holds_text(rig.mem, "/f", fresh ? "neW" : "neW bytes");
        cr_expect_eq(rig_calls(&rig, VFS_OPID_commit), 2u);
        rig_close(&rig, APR_SUCCESS);
    }
}

Test(objects_commit, the_end_tries_again_and_says_what_is_lost)
{
    for (int lost = 0; lost < 2; lost++) {
        rig_t rig;
        vfs_attr_t attr;
        rig_open(&rig, 0, 0);
        vfs_file_t *f = rig_file(&rig, "/f", CR);
        rig_write(f, 0, "bytes");
        rig_fail(&rig, VFS_OPID_commit, VFS_FAULT_ERROR, lost ? 0 : 1);
        IS(OSERR(EIO), vfs_close(f, NULL));
        OK(vfs_stat(rig.fs, NULL, "/f", &attr));
        cr_assert_eq(attr.size, 5u);
        IS(lost ? OSERR(EIO) : APR_SUCCESS, vfs_destroy(rig.fs));
        if (!lost) rig_holds_text(rig.mem, "/f", "bytes");
        OK(vfs_destroy_stack(rig.count));
        apr_pool_destroy(rig.pool);
    }
}

Test(objects_commit, a_source_that_cannot_be_read_leaves_all_as_it_was)
{
    rig_t rig;
    rig_open(&rig, 0, 0);
    rig_text(&rig, "/f", "0123456789");
    vfs_file_t *f = rig_file(&rig, "/f", RW);
    rig_write(f, 3, "x");
    rig_fail(&rig, VFS_OPID_fetch, VFS_FAULT_ERROR, 1);
    IS(OSERR(EIO), vfs_flush(f, NULL));
    rig_holds_text(rig.mem, "/f", "0123456789");
    rig_reads(f, 0, "012x456789");
    OK(vfs_flush(f, NULL));
    rig_holds_text(rig.mem, "/f", "012x456789");
    OK(vfs_close(f, NULL));
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_commit, a_full_spool_refuses_writes_and_loses_nothing)
{
    rig_t rig;
    char *data = rig_bytes(4000, 2);
    size_t n;
    rig_open(&rig, 0, 4096);
    vfs_file_t *f = rig_file(&rig, "/f", CR), *g = rig_file(&rig, "/g", CR);
    OK(vfs_write_at(f, NULL, data, 4000, 0, &n, NULL));
    OK(vfs_write_at(f, NULL, data, 4000, 0, &n, NULL)); /* no more than before */
    IS(APR_ENOSPC, vfs_write_at(g, NULL, data, 200, 0, &n, NULL));
    cr_assert_eq(n, 0u);
    OK(vfs_flush(f, NULL));
    OK(vfs_write_at(g, NULL, data, 200, 0, &n, NULL));
    OK(vfs_ftruncate(g, NULL, 0));
    OK(vfs_write_at(f, NULL, data, 4000, 4000, &n, NULL));
    OK(vfs_close(f, NULL));
    OK(vfs_close(g, NULL));
    rig_holds_text(rig.mem, "/g", "");
    char twice[8000];
    memcpy(twice, data, 4000);
    memcpy(twice + 4000, data, 4000);
    rig_holds(rig.mem, "/f", twice, 8000);
    free(data);
    rig_close(&rig, APR_SUCCESS);
}

/* ---- while it goes */

typedef struct side_t {
    pthread_t thread;
    vfs_file_t *file;
    apr_status_t status;
} side_t;

static void *flush_it(void *baton)
{
    side_t *side = baton;
    side->status = vfs_flush(side->file, NULL);
    return NULL;
}

Test(objects_commit, who_writes_meanwhile_is_not_in_it_and_not_lost)
{
    for (int fails = 0; fails < 2; fails++) {
        rig_t rig;
        rig_open(&rig, 0, 0);
        rig_text(&rig, "/f", "0123456789");
        vfs_file_t *f = rig_file(&rig, "/f", RW);
        side_t side = {.file = f};
        rig_write(f, 0, "ab");
        rig_fail(&rig, VFS_OPID_commit, VFS_FAULT_BLOCK, 1);
        pthread_create(&side.thread, NULL, flush_it, &side);
        while (vfs_fault_blocked(rig.fault) == 0)
            apr_sleep(1000);
        rig_write(f, 1, "XYZ");
        OK(vfs_ftruncate(f, NULL, 8));
        OK(vfs_ftruncate(f, NULL, 9));
        rig_reads(f, 0, "aXYZ4567");
        if (fails) rig_fail(&rig, VFS_OPID_fetch, VFS_FAULT_ERROR, 1);
        vfs_fault_release(rig.fault);
        pthread_join(side.thread, NULL);
        IS(fails ? OSERR(EIO) : APR_SUCCESS, side.status);
        rig_holds_text(rig.mem, "/f", fails ? "0123456789" : "ab23456789");
        rig_holds(rig.fs, "/f", "aXYZ4567\0", 9);
        OK(vfs_close(f, NULL));
        rig_holds(rig.mem, "/f", "aXYZ4567\0", 9);
        rig_close(&rig, APR_SUCCESS);
    }
}

/* ---- versions */

static vfs_validator_t version_of(vfs_t *fs, const char *path)
{
    vfs_validator_t v;
    OK(vfs_validator(fs, NULL, path, &v));
    return v;
}

Test(objects_commit, a_flush_moves_the_version_and_no_other_commit_does)
{
    rig_t rig;
    rig_open(&rig, 0, 0);
    vfs_file_t *f = rig_file(&rig, "/f", CR);
    rig_write(f, 0, "one");
    vfs_validator_t staged = version_of(rig.fs, "/f"), now;
    rig_write(f, 0, "two");
    now = version_of(rig.fs, "/f");
    cr_expect(!vfs_validator_equal(&staged, &now));
    OK(vfs_flush(f, NULL));
    now = version_of(rig.fs, "/f");
    vfs_validator_t below = version_of(rig.whole, "/f");
    cr_expect(vfs_validator_equal(&below, &now));
    rig_write(f, 0, "3");
    staged = version_of(rig.fs, "/f");
    OK(vfs_sync_fs(rig.fs, NULL));
    now = version_of(rig.fs, "/f");
    cr_expect(vfs_validator_equal(&staged, &now));
    rig_write(f, 0, "4");
    staged = version_of(rig.fs, "/f");
    OK(vfs_close(f, NULL));
    rig_holds_text(rig.mem, "/f", "4wo");
    for (int i = 0; i < 3; i++) {
        now = version_of(rig.fs, "/f");
        cr_expect(vfs_validator_equal(&staged, &now));
        if (i == 1) OK(vfs_close(rig_file(&rig, "/f", RW), NULL));
    }
    rig_text(&rig, "/f", "4wo"); /* others: the same bytes, another version */
    now = version_of(rig.fs, "/f");
    cr_expect(!vfs_validator_equal(&staged, &now));
    below = version_of(rig.whole, "/f");
    cr_expect(vfs_validator_equal(&below, &now));
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_commit, what_is_told_goes_with_a_directory_that_moves)
{
    rig_t rig;
    rig_open(&rig, 0, 0);
    OK(vfs_mkdir(rig.fs, NULL, "/a", 0755));
    vfs_file_t *f = rig_file(&rig, "/a/f", CR);
    rig_write(f, 0, "bytes");
    vfs_validator_t staged = version_of(rig.fs, "/a/f");
    OK(vfs_rename(rig.fs, NULL, "/a", "/b", 0));
    rig_holds_text(rig.mem, "/b/f", "bytes");
    vfs_validator_t now = version_of(rig.fs, "/b/f");
    cr_expect(vfs_validator_equal(&staged, &now));
    rig_write(f, 0, "B");
    OK(vfs_close(f, NULL));
    rig_holds_text(rig.mem, "/b/f", "Bytes");
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_commit, the_mode_and_time_of_what_is_staged_go_with_it)
{
    rig_t rig;
    vfs_attr_t attr;
    rig_open(&rig, 0, 0);
    vfs_count_reset(rig.count);
    vfs_file_t *f = rig_file(&rig, "/f", CR);
    rig_write(f, 0, "bytes");
    OK(vfs_fchmod(f, NULL, 0600));
    OK(vfs_futimens(f, NULL, VFS_TIME_OMIT, 7000000000));
    OK(vfs_fstat(f, NULL, &attr));
    cr_expect(attr.mode == 0600 && attr.mtime_ns == 7000000000);
    OK(vfs_close(f, NULL));
    cr_expect_eq(rig_requests(&rig), 2u);
    OK(vfs_stat(rig.mem, NULL, "/f", &attr));
    cr_expect(attr.mode == 0600 && attr.mtime_ns == 7000000000);
    /* of one that is below, the time goes with the commit, the mode behind it */
    f = rig_file(&rig, "/f", RW);
    rig_write(f, 0, "B");
    OK(vfs_futimens(f, NULL, VFS_TIME_OMIT, 8000000000));
    OK(vfs_fchmod(f, NULL, 0640));
    OK(vfs_close(f, NULL));
    OK(vfs_stat(rig.mem, NULL, "/f", &attr));
    cr_expect_eq(attr.mode, 0640u);
    rig_holds_text(rig.mem, "/f", "Bytes");
    rig_close(&rig, APR_SUCCESS);
}
