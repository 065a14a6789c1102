/*
 * test_arguments.c - what dispatch checks before and after an op: flags, values, handles, ranges,
 * out-parameters.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include <criterion/criterion.h>

#include "support_world.h"

Test(vfs_arguments, open_knows_which_flags_go_together, .init = setup, .fini = teardown)
{
    static const uint32_t bad[] = {0,
                                   VFS_O_CREATE,
                                   VFS_O_READ | VFS_O_EXCL,
                                   VFS_O_READ | VFS_O_TRUNC,
                                   VFS_O_READ | VFS_O_APPEND,
                                   VFS_O_READ | (VFS_O_ALL + 1),
                                   READ_WRITE | VFS_O_CREATE | VFS_O_DIRECTORY,
                                   READ_WRITE | VFS_O_KNOWN};
    static const uint32_t good[] = {VFS_O_READ, VFS_O_DIRECTORY, VFS_O_READ | VFS_O_CREATE,
                                    VFS_O_WRITE | VFS_O_TRUNC | VFS_O_APPEND,
                                    VFS_O_ALL & ~(VFS_O_DIRECTORY | VFS_O_KNOWN)};
    vfs_file_t *file;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert_eq(vfs_open(&file, w.fs, NULL, "/a", bad[i], 0644, NULL, NULL), APR_EINVAL, "%zu",
                     i);
    cr_assert_eq(w.fake.calls, 0u);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        cr_assert_eq(vfs_open(&file, w.fs, NULL, "/a", good[i], 0644, NULL, NULL), APR_SUCCESS);
        cr_assert_eq(w.fake.flags, good[i]);
        cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    }
    vfs_attr_t attr = {.type = VFS_TYPE_FILE, .size = 7};
    vfs_validator_t validator = {.kind = VFS_VALIDATOR_NONE};
    cr_assert_eq(vfs_open(&file, w.fs, NULL, "/a", VFS_O_READ | VFS_O_KNOWN, 0, &attr, &validator),
                 0);
    cr_assert_eq(w.fake.flags, VFS_O_READ, "no version is known");
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_open(&file, w.fs, NULL, "/a", VFS_O_READ | VFS_O_CREATE, 0100644, NULL, NULL),
                 APR_EINVAL, "a mode is permission bits only");
    cr_assert_eq(vfs_open(NULL, w.fs, NULL, "/a", VFS_O_READ, 0, NULL, NULL), APR_EINVAL);
    cr_assert_eq(vfs_opendir(NULL, w.fs, NULL, "/a", 0), APR_EINVAL);
    vfs_dir_t *dir;
    cr_assert_eq(vfs_opendir(&dir, w.fs, NULL, "/a", 2), APR_EINVAL);
}

static apr_status_t zeros(void *baton, void *bytes, size_t len, apr_off_t off)
{
    (void)baton;
    (void)off;
    memset(bytes, 0, len);
    return APR_SUCCESS;
}

Test(vfs_arguments, what_a_commit_keeps_is_in_order_and_of_a_version, .init = setup,
     .fini = teardown)
{
    static const vfs_range_t bad[][2] = {{{0, 0}, {1, 1}},  {{0, 2}, {1, 2}},
                                         {{4, 2}, {1, 2}},  {{0, 1}, {9, 2}},
                                         {{0, 1}, {11, 1}}, {{0, 1}, {5, UINT64_MAX}}};
    static const vfs_range_t good[2] = {{0, 4}, {4, 6}};
    vfs_source_t ten = {zeros, NULL, 10};
    vfs_commit_t how = VFS_COMMIT_INIT;
    how.kept_count = 2;
    how.expected.kind = VFS_VALIDATOR_ETAG;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        how.kept = bad[i];
        cr_assert_eq(vfs_commit(w.fs, NULL, "/p", &ten, &how, NULL, NULL), APR_EINVAL, "%zu", i);
    }
    how.kept = good;
    cr_assert_eq(vfs_commit(w.fs, NULL, "/p", &ten, &how, NULL, NULL), APR_SUCCESS);
    how.flags = VFS_COMMIT_IF_NONE;
    cr_assert_eq(vfs_commit(w.fs, NULL, "/p", &ten, &how, NULL, NULL), APR_EINVAL);
    how.flags = 0;
    how.expected.kind = VFS_VALIDATOR_NONE;
    cr_assert_eq(vfs_commit(w.fs, NULL, "/p", &ten, &how, NULL, NULL), APR_EINVAL);
    how.kept = NULL;
    how.expected.kind = VFS_VALIDATOR_ETAG;
    cr_assert_eq(vfs_commit(w.fs, NULL, "/p", &ten, &how, NULL, NULL), APR_EINVAL);
    /* whoever was built against an older header has no such fields, whatever lies there */
    how.size = offsetof(vfs_commit_t, kept);
    cr_assert_eq(vfs_commit(w.fs, NULL, "/p", &ten, &how, NULL, NULL), APR_SUCCESS);
    how.size--;
    cr_assert_eq(vfs_commit(w.fs, NULL, "/p", &ten, &how, NULL, NULL), APR_EINVAL);
}

Test(vfs_arguments, unknown_flags_and_impossible_values_are_refused, .init = setup,
     .fini = teardown)
{
    vfs_t *fs = w.fs;
    vfs_commit_t how = VFS_COMMIT_INIT;
    vfs_source_t nothing = {NULL, NULL, 1};
#define REFUSED(call) cr_assert_eq(call, APR_EINVAL, #call)
    REFUSED(vfs_access(fs, NULL, "/p", 8));
    REFUSED(vfs_mknod(fs, NULL, "/p", VFS_TYPE_DIR, 0, 0));
    REFUSED(vfs_mknod(fs, NULL, "/p", VFS_TYPE_LINK, 0, 0));
    REFUSED(vfs_mknod(fs, NULL, "/p", VFS_TYPE_FILE, 010000, 0));
    REFUSED(vfs_mkdir(fs, NULL, "/p", 010000));
    REFUSED(vfs_rename(fs, NULL, "/p", "/q", VFS_RENAME_NOREPLACE | VFS_RENAME_EXCHANGE));
    REFUSED(vfs_rename(fs, NULL, "/p", "/q", 4));
    REFUSED(vfs_symlink(fs, NULL, NULL, "/p"));
    REFUSED(vfs_readlink(fs, NULL, "/p", NULL, 8, &n));
    REFUSED(vfs_readlink(fs, NULL, "/p", buf, 0, &n));
    REFUSED(vfs_truncate(fs, NULL, "/p", -1));
    REFUSED(vfs_chmod(fs, NULL, "/p", 010000, 0));
    REFUSED(vfs_chmod(fs, NULL, "/p", 0, 2));
    REFUSED(vfs_chown(fs, NULL, "/p", 0, 0, 2));
    REFUSED(vfs_utimens(fs, NULL, "/p", 0, 0, 2));
    REFUSED(vfs_getxattr(fs, NULL, "/p", NULL, buf, 8, &n, 0));
    REFUSED(vfs_getxattr(fs, NULL, "/p", "", buf, 8, &n, 0));
    REFUSED(vfs_getxattr(fs, NULL, "/p", "n", NULL, 8, &n, 0));
    REFUSED(vfs_getxattr(fs, NULL, "/p", "n", buf, 8, &n, 2));
    REFUSED(vfs_setxattr(fs, NULL, "/p", "n", buf, 8, VFS_XATTR_CREATE | VFS_XATTR_REPLACE, 0));
    REFUSED(vfs_setxattr(fs, NULL, "/p", "n", NULL, 8, 0, 0));
    REFUSED(vfs_setxattr(fs, NULL, "/p", "n", buf, 8, 0, 2));
    REFUSED(vfs_listxattr(fs, NULL, "/p", NULL, 8, &n, 0));
    REFUSED(vfs_removexattr(fs, NULL, "/p", "n", 2));
    REFUSED(vfs_statfs(fs, NULL, "/p", NULL));
    REFUSED(vfs_validator(fs, NULL, "/p", NULL));
    REFUSED(vfs_get(fs, NULL, "/p", NULL, 8, &n, NULL, NULL));
    REFUSED(vfs_get(fs, NULL, "/p", buf, 8, NULL, NULL, NULL));
    REFUSED(vfs_watch(fs, NULL, "/p", NULL, NULL, &number));
    REFUSED(vfs_watch(fs, NULL, "/p", hear, NULL, NULL));
    REFUSED(vfs_commit(fs, NULL, "/p", NULL, &how, NULL, NULL));
    REFUSED(vfs_commit(fs, NULL, "/p", &nothing, &how, NULL, NULL));
    how.flags = VFS_COMMIT_IF_MATCH;
    REFUSED(vfs_commit(fs, NULL, "/p", &source, &how, NULL, NULL));
    how.expected.kind = VFS_VALIDATOR_ETAG;
    cr_assert_eq(vfs_commit(fs, NULL, "/p", &source, &how, NULL, NULL), APR_SUCCESS);
    how.flags |= VFS_COMMIT_IF_NONE;
    REFUSED(vfs_commit(fs, NULL, "/p", &source, &how, NULL, NULL));
    how.flags = 8;
    REFUSED(vfs_commit(fs, NULL, "/p", &source, &how, NULL, NULL));
    how.flags = 0;
    how.mode = 010000;
    REFUSED(vfs_commit(fs, NULL, "/p", &source, &how, NULL, NULL));
    REFUSED(vfs_ftruncate(&w.file, NULL, -1));
    REFUSED(vfs_fchmod(&w.file, NULL, 010000));
    REFUSED(vfs_fgetxattr(&w.file, NULL, "", buf, 8, &n));
    REFUSED(vfs_fsetxattr(&w.file, NULL, "n", buf, 8, 4));
    REFUSED(vfs_fsetxattr(&w.file, NULL, NULL, buf, 8, 0));
    REFUSED(vfs_flistxattr(&w.file, NULL, NULL, 8, &n));
    REFUSED(vfs_fremovexattr(&w.file, NULL, NULL));
    REFUSED(vfs_fvalidator(&w.file, NULL, NULL));
    REFUSED(vfs_sync(&w.file, NULL, 4));
    REFUSED(vfs_seek_extent(&w.file, NULL, 0, VFS_SEEK_END, &where));
    REFUSED(vfs_seek_extent(&w.file, NULL, -1, VFS_SEEK_DATA, &where));
    REFUSED(vfs_seek_extent(&w.file, NULL, 0, VFS_SEEK_DATA, NULL));
    REFUSED(vfs_readdir(&w.dir, NULL, NULL));
    cr_assert_eq(vfs_symlink(fs, NULL, "", "/p"), APR_ENOENT);
    char *longest = memset(apr_pcalloc(w.pool, VFS_PATH_MAX + 1), 't', VFS_PATH_MAX);
    cr_assert_eq(vfs_symlink(fs, NULL, longest, "/p"), APR_ENAMETOOLONG);
    longest[VFS_PATH_MAX - 1] = '\0';
    cr_assert_eq(vfs_symlink(fs, NULL, longest, "/p"), APR_SUCCESS);
}

Test(vfs_arguments, allocate_takes_one_kind_at_a_time, .init = setup, .fini = teardown)
{
    for (uint32_t flags = 0; flags < 64; flags++) {
        int keep = (flags & VFS_ALLOC_KEEP_SIZE) != 0;
        int good = flags == 0 || flags == 1 || (flags & ~1u) == VFS_ALLOC_ZERO_RANGE ||
                   ((flags & ~1u) == VFS_ALLOC_PUNCH_HOLE && keep) || flags == VFS_ALLOC_COLLAPSE ||
                   flags == VFS_ALLOC_INSERT;
        cr_assert_eq(vfs_allocate(&w.file, NULL, flags, 0, 1), good ? APR_SUCCESS : APR_EINVAL,
                     "%u", flags);
    }
    cr_assert_eq(vfs_allocate(&w.file, NULL, 0, 0, 0), APR_EINVAL);
    cr_assert_eq(vfs_allocate(&w.file, NULL, 0, -1, 1), APR_EINVAL);
    cr_assert_eq(vfs_allocate(&w.file, NULL, 0, INT64_MAX, 1), APR_EINVAL);
    cr_assert_eq(vfs_allocate(&w.file, NULL, 0, INT64_MAX - 1, 1), APR_SUCCESS);
}

Test(vfs_arguments, locks_are_checked_as_fcntl_does, .init = setup, .fini = teardown)
{
    vfs_lock_t lock = {.type = VFS_LOCK_WRITE};
    lock.start = -1;
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_EINVAL);
    lock.start = INT64_MAX;
    lock.len = 1;
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_EINVAL);
    lock = (vfs_lock_t){.type = VFS_LOCK_WRITE, .len = -1};
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_EINVAL);
    lock = (vfs_lock_t){.type = VFS_LOCK_WRITE, .flags = 8};
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_EINVAL);
    lock = (vfs_lock_t){.type = VFS_LOCK_UNLOCK, .flags = VFS_LOCK_TEST};
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_EINVAL);
    lock = (vfs_lock_t){.type = (vfs_lock_e)7};
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_EINVAL);
    cr_assert_eq(vfs_lock(&w.file, NULL, NULL), APR_EINVAL);

    lock = (vfs_lock_t){.type = VFS_LOCK_WRITE};
    w.file.flags = VFS_O_READ;
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_EBADF);
    lock.flags = VFS_LOCK_WHOLE;
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_SUCCESS, "flock asks for no mode");
    lock.flags = VFS_LOCK_TEST;
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_SUCCESS);
    lock = (vfs_lock_t){.type = VFS_LOCK_READ};
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_SUCCESS);
    w.file.flags = VFS_O_WRITE;
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_EBADF);
    lock.type = VFS_LOCK_UNLOCK;
    cr_assert_eq(vfs_lock(&w.file, NULL, &lock), APR_SUCCESS);
}

Test(vfs_arguments, a_handle_does_what_it_was_opened_for, .init = setup, .fini = teardown)
{
    w.file.flags = VFS_O_WRITE;
    cr_assert_eq(vfs_read_at(&w.file, NULL, buf, 8, 0, &n), APR_EBADF);
    cr_assert_eq(vfs_readv_at(&w.file, NULL, &iov, 1, 0, &n), APR_EBADF);
    cr_assert_eq(vfs_call_fetch(&w.file, NULL, &iov, 1, 0, &n, NULL), APR_EBADF);
    cr_assert_eq(vfs_copy_range(&w.file, NULL, 0, &w.other, 0, 8, &n), APR_EBADF);
    w.file.flags = VFS_O_READ;
    cr_assert_eq(vfs_write_at(&w.file, NULL, buf, 8, 0, &n, NULL), APR_EBADF);
    cr_assert_eq(vfs_writev_at(&w.file, NULL, &iov, 1, 0, &n, NULL), APR_EBADF);
    cr_assert_eq(vfs_ftruncate(&w.file, NULL, 0), APR_EBADF);
    cr_assert_eq(vfs_allocate(&w.file, NULL, 0, 0, 1), APR_EBADF);
    w.other.flags = VFS_O_READ;
    cr_assert_eq(vfs_copy_range(&w.file, NULL, 0, &w.other, 0, 8, &n), APR_EBADF);
    w.other.flags = VFS_O_WRITE | VFS_O_APPEND;
    cr_assert_eq(vfs_copy_range(&w.file, NULL, 0, &w.other, 0, 8, &n), APR_EBADF);
    cr_assert_eq(w.fake.calls, 0u);
}

Test(vfs_arguments, offsets_are_not_negative_and_do_not_overflow, .init = setup, .fini = teardown)
{
    apr_off_t max = INT64_MAX;
    vfs_iovec_t two[2] = {{buf, 8}, {buf, 8}};
    n = 7;
    cr_assert_eq(vfs_read_at(&w.file, NULL, buf, 8, -1, &n), APR_EINVAL);
    cr_assert_eq(n, 0u);
    cr_assert_eq(vfs_read_at(&w.file, NULL, buf, 8, max - 7, &n), APR_EINVAL);
    cr_assert_eq(vfs_read_at(&w.file, NULL, buf, 8, max - 8, &n), APR_SUCCESS);
    cr_assert_eq(vfs_read_at(&w.file, NULL, buf, SIZE_MAX, 0, &n), APR_EINVAL);
    cr_assert_eq(vfs_read_at(&w.file, NULL, buf, 8, 0, NULL), APR_EINVAL);
    cr_assert_eq(vfs_read_at(&w.file, NULL, NULL, 8, 0, &n), APR_EINVAL);
    cr_assert_eq(vfs_write_at(&w.file, NULL, buf, 8, -2, &n, NULL), APR_EINVAL);
    cr_assert_eq(vfs_write_at(&w.file, NULL, buf, 8, max - 7, &n, NULL), APR_EINVAL);
    cr_assert_eq(vfs_write_at(&w.file, NULL, buf, SIZE_MAX, VFS_OFFSET_END, &n, NULL), APR_EINVAL);
    cr_assert_eq(vfs_write_at(&w.file, NULL, NULL, 8, 0, &n, NULL), APR_EINVAL);
    cr_assert_eq(vfs_write_at(&w.file, NULL, buf, 8, 0, NULL, NULL), APR_EINVAL);
    cr_assert_eq(vfs_readv_at(&w.file, NULL, two, 2, max - 15, &n), APR_EINVAL);
    cr_assert_eq(vfs_readv_at(&w.file, NULL, two, 2, max - 16, &n), APR_SUCCESS);
    cr_assert_eq(vfs_readv_at(&w.file, NULL, two, 2, -1, &n), APR_EINVAL);
    cr_assert_eq(vfs_readv_at(&w.file, NULL, two, 1025, 0, &n), APR_EINVAL);
    cr_assert_eq(vfs_readv_at(&w.file, NULL, NULL, 1, 0, &n), APR_EINVAL);
    cr_assert_eq(vfs_readv_at(&w.file, NULL, two, 2, 0, NULL), APR_EINVAL);
    cr_assert_eq(vfs_writev_at(&w.file, NULL, two, 2, -2, &n, NULL), APR_EINVAL);
    cr_assert_eq(vfs_writev_at(&w.file, NULL, two, 2, 0, NULL, NULL), APR_EINVAL);
    cr_assert_eq(vfs_call_fetch(&w.file, NULL, two, 2, -1, &n, NULL), APR_EINVAL);
    cr_assert_eq(vfs_call_fetch(&w.file, NULL, two, 2, 0, NULL, NULL), APR_EINVAL);
    cr_assert_eq(vfs_call_fetch(&w.file, NULL, two, 2, max - 15, &n, NULL), APR_EINVAL);
    two[1].len = SIZE_MAX - 4;
    cr_assert_eq(vfs_writev_at(&w.file, NULL, two, 2, VFS_OFFSET_END, &n, NULL), APR_EINVAL);
    two[1] = (vfs_iovec_t){NULL, 1};
    cr_assert_eq(vfs_writev_at(&w.file, NULL, two, 2, 0, &n, NULL), APR_EINVAL);
    cr_assert_eq(vfs_copy_range(&w.file, NULL, -1, &w.other, 0, 8, &n), APR_EINVAL);
    cr_assert_eq(vfs_copy_range(&w.file, NULL, 0, &w.other, max - 7, 8, &n), APR_EINVAL);
    cr_assert_eq(vfs_copy_range(&w.file, NULL, 0, &w.other, 0, 8, NULL), APR_EINVAL);
}

Test(vfs_arguments, nothing_to_move_is_success_without_a_call, .init = setup, .fini = teardown)
{
    vfs_iovec_t empty[2] = {{NULL, 0}, {buf, 0}};
    vfs_validator_t validator = {.kind = VFS_VALIDATOR_ETAG};
    cr_assert_eq(vfs_read_at(&w.file, NULL, NULL, 0, 5, &n), APR_SUCCESS);
    cr_assert_eq(vfs_write_at(&w.file, NULL, NULL, 0, 5, &n, &validator), APR_SUCCESS);
    cr_assert_eq(validator.kind, VFS_VALIDATOR_NONE);
    cr_assert_eq(vfs_readv_at(&w.file, NULL, empty, 2, 5, &n), APR_SUCCESS);
    cr_assert_eq(vfs_readv_at(&w.file, NULL, NULL, 0, 5, &n), APR_SUCCESS);
    cr_assert_eq(vfs_writev_at(&w.file, NULL, empty, 2, 5, &n, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_call_fetch(&w.file, NULL, empty, 2, 5, &n, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_copy_range(&w.file, NULL, 0, &w.other, 0, 0, &n), APR_SUCCESS);
    cr_assert_eq(w.fake.calls, 0u);
    w.file.flags = VFS_O_WRITE;
    cr_assert_eq(vfs_read_at(&w.file, NULL, NULL, 0, 5, &n), APR_EBADF, "but not on any handle");
}

Test(vfs_arguments, an_error_reads_nothing, .init = setup, .fini = teardown)
{
    w.fake.got = 5;
    w.fake.answer = APR_EGENERAL;
    cr_assert_eq(vfs_read_at(&w.file, NULL, buf, 8, 0, &n), APR_EGENERAL);
    cr_assert_eq(n, 0u);
    cr_assert_eq(vfs_readv_at(&w.file, NULL, &iov, 1, 0, &n), APR_EGENERAL);
    cr_assert_eq(n, 0u);
    cr_assert_eq(vfs_get(w.fs, NULL, "/a", buf, 8, &n, NULL, NULL), APR_EGENERAL);
    cr_assert_eq(n, 0u);
    cr_assert_eq(vfs_write_at(&w.file, NULL, buf, 8, 0, &n, NULL), APR_EGENERAL);
    cr_assert_eq(n, 5u, "but a write says what was accepted");
    cr_assert_eq(vfs_copy_range(&w.file, NULL, 0, &w.other, 0, 8, &n), APR_EGENERAL);
    cr_assert_eq(n, 5u);
    cr_assert_eq(vfs_readdir(&w.dir, NULL, &entry), APR_EGENERAL);
    cr_assert_null(entry.name);
    w.fake.answer = APR_SUCCESS;
    cr_assert_eq(vfs_read_at(&w.file, NULL, buf, 8, 0, &n), APR_SUCCESS);
    cr_assert_eq(n, 5u);
}

Test(vfs_arguments, an_append_handle_writes_at_the_end_only, .init = setup, .fini = teardown)
{
    cr_assert_eq(vfs_write_at(&w.file, NULL, buf, 8, 3, &n, NULL), APR_SUCCESS);
    cr_assert_eq(w.fake.off, 3);
    w.file.flags |= VFS_O_APPEND;
    cr_assert_eq(vfs_write_at(&w.file, NULL, buf, 8, 3, &n, NULL), APR_SUCCESS);
    cr_assert_eq(w.fake.off, VFS_OFFSET_END);
    cr_assert_eq(vfs_writev_at(&w.file, NULL, &iov, 1, 3, &n, NULL), APR_SUCCESS);
    cr_assert_eq(w.fake.off, VFS_OFFSET_END);
}

Test(vfs_arguments, copying_stays_within_one_file_system_and_does_not_overlap, .init = setup,
     .fini = teardown)
{
    fake_t fake = {0};
    vfs_ops_t ops = fake_ops();
    vfs_t *elsewhere = fake_create(&fake, &ops, w.pool);
    vfs_file_t far;
    vfs_file_init(&far, elsewhere, READ_WRITE, NULL);
    cr_assert_eq(vfs_copy_range(&w.file, NULL, 0, &far, 0, 8, &n), APR_EINVAL);
    cr_assert_eq(vfs_copy_range(&w.file, NULL, 0, &w.file, 7, 8, &n), APR_EINVAL);
    cr_assert_eq(vfs_copy_range(&w.file, NULL, 7, &w.file, 0, 8, &n), APR_EINVAL);
    cr_assert_eq(vfs_copy_range(&w.file, NULL, 0, &w.file, 8, 8, &n), APR_SUCCESS);
    cr_assert_eq(vfs_copy_range(&w.file, NULL, 8, &w.file, 0, 8, &n), APR_SUCCESS);
    cr_assert_eq(vfs_destroy(elsewhere), APR_SUCCESS);
}

Test(vfs_arguments, the_root_cannot_be_made_moved_or_removed, .init = setup, .fini = teardown)
{
    apr_status_t busy = APR_FROM_OS_ERROR(EBUSY), isdir = APR_FROM_OS_ERROR(EISDIR);
    vfs_file_t *file;
    uint32_t create = READ_WRITE | VFS_O_CREATE;
    w.fake.type = VFS_TYPE_DIR;
    cr_assert_eq(vfs_unlink(w.fs, NULL, "/"), isdir);
    cr_assert_eq(vfs_rmdir(w.fs, NULL, "/"), busy);
    cr_assert_eq(vfs_rename(w.fs, NULL, "/", "/a", 0), busy);
    cr_assert_eq(vfs_rename(w.fs, NULL, "/a", "/..", 0), busy);
    cr_assert_eq(vfs_mkdir(w.fs, NULL, "/", 0755), APR_EEXIST);
    cr_assert_eq(vfs_mknod(w.fs, NULL, "/", VFS_TYPE_FILE, 0, 0), APR_EEXIST);
    cr_assert_eq(vfs_symlink(w.fs, NULL, "t", "/"), APR_EEXIST);
    cr_assert_eq(vfs_link(w.fs, NULL, "/a", "/"), APR_EEXIST);
    cr_assert_eq(vfs_commit(w.fs, NULL, "/", &source, NULL, NULL, NULL), isdir);
    cr_assert_eq(vfs_open(&file, w.fs, NULL, "/", VFS_O_WRITE, 0, NULL, NULL), isdir);
    cr_assert_eq(vfs_open(&file, w.fs, NULL, "/", VFS_O_READ | VFS_O_CREATE, 0, NULL, NULL), isdir);
    cr_assert_eq(vfs_open(&file, w.fs, NULL, "/", create | VFS_O_EXCL, 0, NULL, NULL), APR_EEXIST);
    cr_assert_eq(w.fake.calls, 0u);
}

static apr_status_t lying_read_at(vfs_file_t *file, const vfs_ctx_t *ctx, void *to, size_t len,
                                  apr_off_t off, size_t *got)
{
    (void)file, (void)ctx, (void)to, (void)off; /* it only lies */
    *got = len + 1;
    return APR_SUCCESS;
}

Test(vfs_arguments, a_layer_that_reads_more_than_asked_is_stopped, .signal = SIGABRT, .init = setup)
{
    w.fs->ops.read_at = lying_read_at;
    (void)vfs_read_at(&w.file, NULL, buf, 8, 0, &n);
}

static apr_status_t short_write_at(vfs_file_t *file, const vfs_ctx_t *ctx, const void *from,
                                   size_t len, apr_off_t off, size_t *written,
                                   vfs_validator_t *validator)
{
    (void)file, (void)ctx, (void)from, (void)off, (void)validator; /* it only falls short */
    *written = len - 1;
    return APR_SUCCESS;
}

Test(vfs_arguments, a_short_write_without_an_error_is_stopped, .signal = SIGABRT, .init = setup)
{
    w.fs->ops.write_at = short_write_at;
    (void)vfs_write_at(&w.file, NULL, buf, 8, 0, &n, NULL);
}

Test(vfs_arguments, a_closed_handle_is_noticed, .signal = SIGABRT, .init = setup)
{
    w.file.magic = 0;
    (void)vfs_read_at(&w.file, NULL, buf, 8, 0, &n);
}
