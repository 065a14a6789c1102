/*
 * test_range.c - ranges that are zeroed, or copied, in what is staged.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/objects/support_rig.h"

#define HOLE (VFS_ALLOC_PUNCH_HOLE | VFS_ALLOC_KEEP_SIZE)

static vfs_range_t kept[8];
static size_t kept_count;
static apr_status_t (*commit_below)(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                    const vfs_source_t *source, const vfs_commit_t *how,
                                    vfs_attr_t *attr, vfs_validator_t *validator);

static apr_status_t commit_seen(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                const vfs_source_t *source, const vfs_commit_t *how,
                                vfs_attr_t *attr, vfs_validator_t *validator)
{
    kept_count = how->kept_count;
    for (size_t i = 0; i < how->kept_count && i < 8; i++)
        kept[i] = how->kept[i];
    return commit_below(fs, ctx, path, source, how, attr, validator);
}

static void rig_watch(rig_t *rig)
{
    commit_below = rig->whole->ops.commit;
    rig->whole->ops.commit = commit_seen;
}

static uint64_t staged_bytes(const rig_t *rig)
{
    return atomic_load(&((const objects_t *)rig->fs->state)->spool.used);
}

Test(objects_range, a_hole_fetches_nothing_and_is_not_kept)
{
    enum { SIZE = 1 << 20 };
    rig_t rig;
    char *data = rig_bytes(SIZE, 1);
    rig_open(&rig, 0, 0);
    rig_watch(&rig);
    rig_put(&rig, "/large", data, SIZE);
    vfs_count_reset(rig.count);
    vfs_file_t *f = rig_file(&rig, "/large", RW);
    OK(vfs_allocate(f, NULL, HOLE, 100000, 200000));
    memset(data + 100000, 0, 200000);
    cr_expect_eq(rig_calls(&rig, VFS_OPID_fetch), 0u);
    rig_holds(rig.fs, "/large", data, SIZE);
    OK(vfs_flush(f, NULL));
    cr_assert_eq(kept_count, 2u);
    cr_expect(kept[0].off == 0 && kept[0].len == 100000);
    cr_expect(kept[1].off == 300000 && kept[1].len == SIZE - 300000);
    rig_holds(rig.mem, "/large", data, SIZE);
    /* what it grew by is not of the version below, and a hole in it is nothing to be staged */
    OK(vfs_allocate(f, NULL, 0, SIZE, 4096));
    OK(vfs_allocate(f, NULL, HOLE, SIZE + 100, 100));
    cr_expect_eq(staged_bytes(&rig), 0u);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_range, a_hole_gives_the_room_of_what_was_staged_back)
{
    rig_t rig;
    char *data = rig_bytes(8000, 2);
    rig_open(&rig, 0, 8192);
    vfs_file_t *f = rig_file(&rig, "/f", CR);
    size_t n;
    OK(vfs_write_at(f, NULL, data, 8000, 0, &n, NULL));
    IS(APR_ENOSPC, vfs_write_at(f, NULL, data, 1000, 8000, &n, NULL));
    OK(vfs_allocate(f, NULL, HOLE, 1000, 2000)); /* in the middle of one extent */
    cr_expect_eq(staged_bytes(&rig), 6000u);
    OK(vfs_allocate(f, NULL, VFS_ALLOC_ZERO_RANGE, 500, 7000)); /* over the ends of two */
    cr_expect_eq(staged_bytes(&rig), 1000u);
    memset(data + 500, 0, 7000);
    OK(vfs_write_at(f, NULL, data + 7000, 1000, 7000, &n, NULL));
    rig_holds(rig.fs, "/f", data, 8000);
    OK(vfs_close(f, NULL));
    rig_holds(rig.mem, "/f", data, 8000);
    free(data);
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_range, a_hole_over_a_commit_that_failed_is_committed_with_it)
{
    rig_t rig;
    vfs_attr_t attr;
    rig_open(&rig, 0, 0);
    rig_text(&rig, "/f", "0123456789");
    vfs_file_t *f = rig_file(&rig, "/f", RW);
    rig_write(f, 2, "abcd");
    rig_fail(&rig, VFS_OPID_commit, VFS_FAULT_LOST_REPLY, 1); /* done, and nobody knows */
    rig_fail(&rig, VFS_OPID_stat, VFS_FAULT_ERROR, 1);
    rig_fail(&rig, VFS_OPID_open, VFS_FAULT_ERROR, 1);
    cr_assert_neq(vfs_flush(f, NULL), APR_SUCCESS);
    OK(vfs_allocate(f, NULL, HOLE, 3, 5)); /* what was sent stands still under it */
    OK(vfs_fstat(f, NULL, &attr));
    cr_expect_eq(attr.size, 10u);
    OK(vfs_flush(f, NULL));
    rig_holds(rig.mem, "/f", "01a\0\0\0\0\089", 10);
    OK(vfs_close(f, NULL));
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_range, what_changes_nothing_commits_nothing)
{
    rig_t rig;
    vfs_attr_t attr;
    rig_open(&rig, 0, 0);
    rig_text(&rig, "/f", "0123456789");
    vfs_file_t *f = rig_file(&rig, "/f", RW);
    vfs_count_reset(rig.count);
    OK(vfs_allocate(f, NULL, VFS_ALLOC_KEEP_SIZE, 0, 1 << 20));
    OK(vfs_allocate(f, NULL, 0, 3, 7));
    OK(vfs_allocate(f, NULL, HOLE, 10, 100));
    IS(APR_ENOTIMPL, vfs_allocate(f, NULL, VFS_ALLOC_COLLAPSE, 0, 4));
    IS(APR_ENOTIMPL, vfs_allocate(f, NULL, VFS_ALLOC_INSERT, 0, 4));
    OK(vfs_close(f, NULL));
    cr_expect_eq(rig_calls(&rig, VFS_OPID_commit), 0u);
    OK(vfs_stat(rig.fs, NULL, "/f", &attr));
    cr_expect_eq(attr.size, 10u);
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_range, no_file_grows_beyond_what_the_layer_below_takes)
{
    rig_t rig;
    rig_open(&rig, 0, 0);
    rig.fs->caps.file_size_max = 1000;
    vfs_file_t *f = rig_file(&rig, "/f", CR);
    IS(OSERR(EFBIG), vfs_allocate(f, NULL, 0, 900, 101));
    OK(vfs_allocate(f, NULL, 0, 900, 100));
    OK(vfs_close(f, NULL));
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_range, a_copy_to_a_synchronous_file_is_one_commit)
{
    enum { SIZE = 3 << 20 };
    rig_t rig;
    char *data = rig_bytes(SIZE, 3);
    size_t copied = 0;
    rig_open(&rig, 0, 0);
    rig_put(&rig, "/a", data, SIZE);
    vfs_file_t *a = rig_file(&rig, "/a", VFS_O_READ), *b = rig_file(&rig, "/b", CR | VFS_O_SYNC);
    vfs_count_reset(rig.count);
    OK(vfs_copy_range(a, NULL, 5, b, 0, SIZE, &copied));
    cr_expect_eq(copied, SIZE - 5u);
    cr_expect_eq(rig_calls(&rig, VFS_OPID_commit), 1u);
    rig_holds(rig.mem, "/b", data + 5, SIZE - 5);
    OK(vfs_close(a, NULL));
    OK(vfs_close(b, NULL));
    free(data);
    rig_close(&rig, APR_SUCCESS);
}

Test(objects_range, a_source_that_is_gone_is_told_and_copies_nothing)
{
    rig_t rig;
    size_t copied = 0;
    rig_open(&rig, 0, 0);
    rig_text(&rig, "/a", "0123456789");
    rig_text(&rig, "/b", "old");
    vfs_file_t *a = rig_file(&rig, "/a", VFS_O_READ), *b = rig_file(&rig, "/b", RW);
    rig_fail(&rig, VFS_OPID_readv_at, VFS_FAULT_ERROR, 0);
    rig_fail(&rig, VFS_OPID_read_at, VFS_FAULT_ERROR, 0);
    cr_assert_neq(vfs_copy_range(a, NULL, 0, b, 0, 10, &copied), APR_SUCCESS);
    cr_expect_eq(copied, 0u);
    vfs_fault_clear(rig.fault);
    rig_reads(b, 0, "old");
    OK(vfs_close(a, NULL));
    OK(vfs_close(b, NULL));
    rig_holds_text(rig.mem, "/b", "old");
    rig_close(&rig, APR_SUCCESS);
}
