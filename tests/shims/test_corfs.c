/*
 * test_corfs.c - copy on read, as the Go library does it and as a user expects it.
 */
#include <string.h>

#include <criterion/criterion.h>

#include "tests/shims/support_shims.h"

typedef struct stand_t {
    apr_pool_t *pool;
    vfs_t *primary; /* counted, and made to fail */
    vfs_t *fault;
    vfs_t *mem;
    vfs_t *copy;
    vfs_t *fs;
} stand_t;

static stand_t stand_up(uint32_t flags)
{
    stand_t s;
    s.pool = test_pool();
    s.mem = test_mem(s.pool);
    s.copy = test_mem(s.pool);
    cr_assert_eq(vfs_fault_create(&s.fault, s.mem, 1, s.pool), APR_SUCCESS);
    cr_assert_eq(vfs_count_create(&s.primary, s.fault, s.pool), APR_SUCCESS);
    cr_assert_eq(vfs_corfs_create(&s.fs, s.primary, s.copy, flags, s.pool), APR_SUCCESS);
    return s;
}

static void tear_down(stand_t *s)
{
    vfs_destroy_stack(s->fs);
    vfs_destroy(s->copy);
    apr_pool_destroy(s->pool);
}

static uint64_t calls(stand_t *s, vfs_opid_e op)
{
    vfs_counts_t counts;
    vfs_count_get(s->primary, &counts);
    return counts.calls[op];
}

static void fail_primary(stand_t *s)
{
    vfs_fault_t offline = {.status = VFS_EOFFLINE};
    cr_assert_eq(vfs_fault_add(s->fault, &offline), APR_SUCCESS);
}

/* Read a file through in pieces of so many bytes. */
static const char *read_through(stand_t *s, const char *path, size_t piece)
{
    static char buf[256];
    size_t at = 0, got;
    vfs_file_t *file = test_open(s->fs, path, VFS_O_READ);
    do {
        cr_assert_eq(vfs_read_at(file, NULL, buf + at, piece, (apr_off_t)at, &got), APR_SUCCESS);
        at += got;
    } while (got == piece);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    buf[at] = '\0';
    return buf;
}

#define cr_text(fs, path, expected) cr_assert_str_eq(test_text(fs, path, s.pool), expected)

static int exists(vfs_t *fs, const char *path)
{
    vfs_attr_t attr;
    return vfs_lstat(fs, NULL, path, &attr) == APR_SUCCESS;
}

static size_t entries(vfs_t *fs)
{
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    size_t count = 0;
    cr_assert_eq(vfs_opendir(&dir, fs, NULL, "/", 0), APR_SUCCESS);
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS)
        count++;
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
    return count;
}

/* ---- exact */

Test(shims_corfs_exact, ops_answer_as_the_primary_does)
{
    static script_t plain, through;
    stand_t s = stand_up(VFS_CORFS_EXACT);
    vfs_t *bare = test_mem(s.pool);
    script_run(&plain, bare);
    script_run(&through, s.fs);
    cr_assert_str_eq(plain.text, through.text);
    cr_assert_str_eq(vfs_name(s.fs), "corfs");
    vfs_destroy(bare);
    tear_down(&s);
}

Test(shims_corfs_exact, five_reads_of_a_file_are_five_primary_opens)
{
    stand_t s = stand_up(VFS_CORFS_EXACT);
    test_put(s.mem, "/a", "content");
    for (int i = 0; i < 5; i++)
        cr_assert_str_eq(read_through(&s, "/a", 4), "content");
    cr_assert_eq(calls(&s, VFS_OPID_open), 5);
    cr_assert(calls(&s, VFS_OPID_read_at) >= 10);
    cr_text(s.copy, "/a", "content");
    tear_down(&s);
}

Test(shims_corfs_exact, bytes_go_to_the_copys_own_position_and_nothing_is_cut)
{
    char buf[8], more[8];
    size_t n;
    stand_t s = stand_up(VFS_CORFS_EXACT);
    test_put(s.mem, "/a", "0123456789");
    test_put(s.copy, "/a", "................");
    vfs_file_t *file = test_open(s.fs, "/a", VFS_O_READ);
    vfs_iovec_t iov[2] = {{buf, 1}, {more, 2}};
    cr_assert_eq(vfs_read_at(file, NULL, buf, 3, 7, &n), APR_SUCCESS);
    cr_assert_eq(vfs_readv_at(file, NULL, iov, 2, 0, &n), APR_SUCCESS);
    cr_assert_eq(vfs_call_fetch(file, NULL, iov, 2, 1, &n, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_text(s.copy, "/a", "789012123.......");
    tear_down(&s);
}

Test(shims_corfs_exact, writes_and_changes_go_to_both)
{
    char buf[8];
    size_t n;
    stand_t s = stand_up(VFS_CORFS_EXACT);
    cr_assert_eq(vfs_mkdir(s.fs, NULL, "/d", 0755), APR_SUCCESS);
    test_put(s.fs, "/d/a", "both");
    cr_text(s.mem, "/d/a", "both");
    cr_text(s.copy, "/d/a", "both");
    cr_assert_eq(vfs_rename(s.fs, NULL, "/d/a", "/b", 0), APR_SUCCESS);
    cr_assert(exists(s.copy, "/b") && !exists(s.copy, "/d/a"));
    cr_assert_eq(vfs_truncate(s.fs, NULL, "/b", 2), APR_SUCCESS);
    cr_text(s.copy, "/b", "bo");
    cr_assert_eq(vfs_get(s.fs, NULL, "/b", buf, sizeof(buf), &n, NULL, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_unlink(s.fs, NULL, "/b"), APR_SUCCESS);
    cr_assert(!exists(s.copy, "/b"));
    tear_down(&s);
}

Test(shims_corfs_exact, the_copys_errors_do_not_matter)
{
    stand_t s = stand_up(VFS_CORFS_EXACT);
    cr_assert_eq(vfs_mkdir(s.mem, NULL, "/d", 0755), APR_SUCCESS);
    test_put(s.fs, "/d/a", "no copy");
    cr_assert_str_eq(read_through(&s, "/d/a", 3), "no copy");
    cr_text(s.mem, "/d/a", "no copy");
    cr_assert(!exists(s.copy, "/d"));
    cr_assert_eq(vfs_unlink(s.fs, NULL, "/d/a"), APR_SUCCESS);
    tear_down(&s);
}

Test(shims_corfs_exact, reads_stat_and_listings_fall_back_to_the_copy)
{
    char buf[8];
    size_t n;
    vfs_attr_t attr;
    vfs_dir_t *dir;
    vfs_file_t *file;
    stand_t s = stand_up(VFS_CORFS_EXACT);
    test_put(s.fs, "/a", "copied");
    fail_primary(&s);
    cr_assert_str_eq(read_through(&s, "/a", 10), "copied");
    cr_assert_eq(vfs_stat(s.fs, NULL, "/a", &attr), APR_SUCCESS);
    cr_assert_eq(attr.size, 6);
    cr_assert_eq(vfs_lstat(s.fs, NULL, "/a", &attr), APR_SUCCESS);
    cr_assert_eq(vfs_get(s.fs, NULL, "/a", buf, sizeof(buf), &n, NULL, NULL), APR_SUCCESS);
    cr_assert_eq(n, 6);
    cr_assert_eq(vfs_opendir(&dir, s.fs, NULL, "/", 0), APR_SUCCESS);
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
    cr_assert_eq(vfs_open(&file, s.fs, NULL, "/a", VFS_O_WRITE, 0, NULL, NULL), VFS_EOFFLINE);
    cr_assert_eq(vfs_open(&file, s.fs, NULL, "/z", VFS_O_READ, 0, NULL, NULL), VFS_EOFFLINE);
    cr_assert_eq(vfs_mkdir(s.fs, NULL, "/e", 0755), VFS_EOFFLINE);
    cr_assert(exists(s.copy, "/e"), "the copy is changed all the same, as in the library");
    tear_down(&s);
}

/* ---- serve */

Test(shims_corfs_serve, ops_answer_as_the_primary_does)
{
    static script_t plain, through;
    stand_t s = stand_up(VFS_CORFS_SERVE);
    vfs_t *bare = test_mem(s.pool);
    script_run(&plain, bare);
    script_run(&through, s.fs);
    cr_assert_str_eq(plain.text, through.text);
    vfs_destroy(bare);
    tear_down(&s);
}

Test(shims_corfs_serve, a_complete_copy_is_served_after_one_stat)
{
    stand_t s = stand_up(VFS_CORFS_SERVE);
    cr_assert_eq(vfs_mkdir(s.mem, NULL, "/d", 0755), APR_SUCCESS);
    test_put(s.mem, "/d/a", "content");
    cr_assert_str_eq(read_through(&s, "/d/a", 3), "content");
    cr_text(s.copy, "/d/a", "content");
    cr_assert_eq(calls(&s, VFS_OPID_open), 1);
    cr_assert_eq(calls(&s, VFS_OPID_stat), 0);
    for (uint64_t i = 1; i <= 5; i++) {
        cr_assert_str_eq(read_through(&s, "/d/a", 3), "content");
        cr_assert_eq(calls(&s, VFS_OPID_stat), i);
    }
    cr_assert_eq(calls(&s, VFS_OPID_open), 1);
    tear_down(&s);
}

Test(shims_corfs_serve, a_change_of_the_primary_is_seen_at_the_next_open)
{
    stand_t s = stand_up(VFS_CORFS_SERVE);
    test_put(s.mem, "/a", "first");
    cr_assert_str_eq(read_through(&s, "/a", 100), "first");
    test_put(s.mem, "/a", "other");
    cr_assert_eq(vfs_utimens(s.mem, NULL, "/a", 5, 5000000000, 0), APR_SUCCESS);
    cr_assert_str_eq(read_through(&s, "/a", 100), "other");
    cr_text(s.copy, "/a", "other");
    cr_assert_eq(calls(&s, VFS_OPID_open), 2);
    cr_assert_str_eq(read_through(&s, "/a", 100), "other");
    cr_assert_eq(calls(&s, VFS_OPID_open), 2);
    tear_down(&s);
}

Test(shims_corfs_serve, an_incomplete_copy_has_no_name)
{
    char buf[4];
    size_t n;
    stand_t s = stand_up(VFS_CORFS_SERVE);
    test_put(s.mem, "/a", "0123456789");
    vfs_file_t *file = test_open(s.fs, "/a", VFS_O_READ);
    cr_assert_eq(vfs_read_at(file, NULL, buf, 4, 0, &n), APR_SUCCESS);
    cr_assert_eq(vfs_read_at(file, NULL, buf, 4, 6, &n), APR_SUCCESS);
    cr_assert(!exists(s.copy, "/a"));
    cr_assert_eq(entries(s.copy), 1, "a temporary file");
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_assert_eq(entries(s.copy), 0);
    tear_down(&s);
}

Test(shims_corfs_serve, pieces_may_come_in_any_order)
{
    static const int order[10] = {7, 1, 9, 3, 5, 0, 8, 2, 6, 4};
    char buf[10], more[4];
    size_t n;
    stand_t s = stand_up(VFS_CORFS_SERVE);
    test_put(s.mem, "/a", "0123456789");
    vfs_file_t *file = test_open(s.fs, "/a", VFS_O_READ);
    for (int i = 0; i < 10; i++) {
        cr_assert(!exists(s.copy, "/a"));
        vfs_iovec_t iov[2] = {{buf, 0}, {more, 1}};
        if (i % 3 == 0)
            cr_assert_eq(vfs_read_at(file, NULL, more, 1, order[i], &n), APR_SUCCESS);
        else if (i % 3 == 1)
            cr_assert_eq(vfs_readv_at(file, NULL, iov, 2, order[i], &n), APR_SUCCESS);
        else
            cr_assert_eq(vfs_call_fetch(file, NULL, iov, 2, order[i], &n, NULL), APR_SUCCESS);
    }
    cr_text(s.copy, "/a", "0123456789");
    cr_assert_eq(vfs_read_at(file, NULL, buf, 10, 0, &n), APR_SUCCESS);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_assert_eq(entries(s.copy), 1);
    tear_down(&s);
}

Test(shims_corfs_serve, too_many_gaps_make_no_copy_and_no_wrong_one)
{
    static char content[400];
    char byte;
    size_t n;
    stand_t s = stand_up(VFS_CORFS_SERVE);
    memset(content, 'x', sizeof(content) - 1);
    test_put(s.mem, "/a", content);
    vfs_file_t *file = test_open(s.fs, "/a", VFS_O_READ);
    for (int i = 0; i < 399; i += 2)
        cr_assert_eq(vfs_read_at(file, NULL, &byte, 1, i, &n), APR_SUCCESS);
    for (int i = 1; i < 399; i += 2)
        cr_assert_eq(vfs_read_at(file, NULL, &byte, 1, i, &n), APR_SUCCESS);
    cr_assert(!exists(s.copy, "/a"));
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_assert_eq(entries(s.copy), 0);
    tear_down(&s);
}

Test(shims_corfs_serve, a_file_that_changes_while_it_is_read_is_not_kept)
{
    char buf[8];
    size_t n;
    stand_t s = stand_up(VFS_CORFS_SERVE);
    test_put(s.mem, "/a", "oldold");
    vfs_file_t *file = test_open(s.fs, "/a", VFS_O_READ);
    cr_assert_eq(vfs_read_at(file, NULL, buf, 3, 0, &n), APR_SUCCESS);
    vfs_file_t *other = test_open(s.mem, "/a", VFS_O_WRITE);
    cr_assert_eq(vfs_write_at(other, NULL, "newnew", 6, 0, &n, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_futimens(other, NULL, 7, 7), APR_SUCCESS);
    cr_assert_eq(vfs_close(other, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_read_at(file, NULL, buf, 3, 3, &n), APR_SUCCESS);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_assert(!exists(s.copy, "/a"));
    cr_assert_eq(entries(s.copy), 0);
    tear_down(&s);
}

Test(shims_corfs_serve, a_get_of_a_whole_file_is_kept_and_served)
{
    char buf[16];
    size_t n;
    vfs_attr_t attr, copied;
    stand_t s = stand_up(VFS_CORFS_SERVE);
    test_put(s.mem, "/a", "content");
    cr_assert_eq(vfs_get(s.fs, NULL, "/a", buf, 3, &n, NULL, NULL), APR_SUCCESS);
    cr_assert(!exists(s.copy, "/a"), "it was not whole");
    cr_assert_eq(vfs_get(s.fs, NULL, "/a", buf, sizeof(buf), &n, &attr, NULL), APR_SUCCESS);
    cr_text(s.copy, "/a", "content");
    cr_assert_eq(calls(&s, VFS_OPID_get), 2);
    cr_assert_eq(vfs_get(s.fs, NULL, "/a", buf, sizeof(buf), &n, &copied, NULL), APR_SUCCESS);
    cr_assert_eq(calls(&s, VFS_OPID_get), 2);
    cr_assert(n == 7 && memcmp(buf, "content", 7) == 0);
    cr_assert_eq(attr.ino, copied.ino, "attributes are the primary's");
    cr_assert_neq(vfs_get(s.fs, NULL, "/none", buf, sizeof(buf), &n, NULL, NULL), APR_SUCCESS);
    fail_primary(&s);
    cr_assert_eq(vfs_get(s.fs, NULL, "/a", buf, sizeof(buf), &n, NULL, NULL), VFS_EOFFLINE);
    tear_down(&s);
}

Test(shims_corfs_serve, changes_through_the_layer_drop_the_copy)
{
    stand_t s = stand_up(VFS_CORFS_SERVE);
    test_put(s.fs, "/a", "one");
    (void)read_through(&s, "/a", 100);
    cr_assert(exists(s.copy, "/a"));
    cr_assert_eq(vfs_rename(s.fs, NULL, "/a", "/b", 0), APR_SUCCESS);
    cr_assert(!exists(s.copy, "/a"));
    (void)read_through(&s, "/b", 100);
    test_put(s.fs, "/b", "two");
    cr_assert(!exists(s.copy, "/b"));
    (void)read_through(&s, "/b", 100);
    cr_assert_eq(vfs_truncate(s.fs, NULL, "/b", 1), APR_SUCCESS);
    cr_assert(!exists(s.copy, "/b"));
    cr_assert_str_eq(read_through(&s, "/b", 100), "t");
    cr_assert_eq(vfs_unlink(s.fs, NULL, "/b"), APR_SUCCESS);
    cr_assert(!exists(s.copy, "/b"));
    tear_down(&s);
}

Test(shims_corfs_serve, a_served_handle_answers_for_the_primary)
{
    char value[8];
    size_t n;
    vfs_attr_t attr, primary;
    vfs_validator_t validator, expected;
    stand_t s = stand_up(VFS_CORFS_SERVE);
    test_put(s.mem, "/a", "content");
    cr_assert_eq(vfs_setxattr(s.mem, NULL, "/a", "user.k", "v", 1, 0, 0), APR_SUCCESS);
    (void)read_through(&s, "/a", 100);
    cr_assert_eq(vfs_stat(s.mem, NULL, "/a", &primary), APR_SUCCESS);
    cr_assert_eq(vfs_validator(s.mem, NULL, "/a", &expected), APR_SUCCESS);
    vfs_file_t *file = test_open(s.fs, "/a", VFS_O_READ);
    cr_assert_eq(vfs_fstat(file, NULL, &attr), APR_SUCCESS);
    cr_assert_eq(attr.ino, primary.ino);
    cr_assert_eq(vfs_fvalidator(file, NULL, &validator), APR_SUCCESS);
    cr_assert(vfs_validator_equal(&validator, &expected));
    char buf[8];
    vfs_iovec_t iov = {buf, 8};
    cr_assert_eq(vfs_call_fetch(file, NULL, &iov, 1, 0, &n, &validator), APR_SUCCESS);
    cr_assert(vfs_validator_equal(&validator, &expected));
    cr_assert_eq(calls(&s, VFS_OPID_open), 1);
    cr_assert_eq(vfs_fgetxattr(file, NULL, "user.k", value, sizeof(value), &n), APR_SUCCESS);
    cr_assert(n == 1 && value[0] == 'v');
    cr_assert_eq(vfs_flistxattr(file, NULL, value, sizeof(value), &n), APR_SUCCESS);
    vfs_lock_t lock = {.type = VFS_LOCK_READ};
    cr_assert_eq(vfs_lock(file, NULL, &lock), APR_SUCCESS);
    cr_assert_eq(calls(&s, VFS_OPID_open), 2, "the primary was opened when it was needed");
    vfs_file_t *to = test_open(s.fs, "/b", VFS_O_WRITE | VFS_O_CREATE);
    cr_assert_eq(vfs_copy_range(file, NULL, 0, to, 0, 7, &n), APR_SUCCESS);
    cr_assert_eq(n, 7);
    cr_assert_eq(vfs_close(to, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_text(s.mem, "/b", "content");
    tear_down(&s);
}

Test(shims_corfs_serve, who_may_not_read_the_primary_is_not_served)
{
    vfs_file_t *file;
    stand_t s = stand_up(VFS_CORFS_SERVE);
    test_put(s.mem, "/a", "secret");
    (void)read_through(&s, "/a", 100);
    cr_assert_eq(vfs_chmod(s.mem, NULL, "/a", 0600, 0), APR_SUCCESS);
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.flags = VFS_CTX_CREDS;
    ctx.uid = 12345;
    ctx.gid = 12345;
    apr_status_t status = vfs_open(&file, s.fs, &ctx, "/a", VFS_O_READ, 0, NULL, NULL);
    cr_assert(APR_STATUS_IS_EACCES(status));
    tear_down(&s);
}

Test(shims_corfs_serve, an_empty_file_and_an_unreachable_primary)
{
    vfs_file_t *file;
    stand_t s = stand_up(VFS_CORFS_SERVE);
    test_put(s.mem, "/empty", "");
    cr_assert_str_eq(read_through(&s, "/empty", 10), "");
    cr_assert(exists(s.copy, "/empty"));
    cr_assert_str_eq(read_through(&s, "/empty", 10), "");
    cr_assert_eq(calls(&s, VFS_OPID_open), 1);
    fail_primary(&s);
    cr_assert_eq(vfs_open(&file, s.fs, NULL, "/empty", VFS_O_READ, 0, NULL, NULL), VFS_EOFFLINE);
    tear_down(&s);
}

Test(shims_corfs_serve, a_copy_that_cannot_be_written_does_not_matter)
{
    apr_pool_t *pool = test_pool();
    vfs_t *mem = test_mem(pool), *copy_mem = test_mem(pool), *copy, *fs;
    vfs_fault_t broken = {.what = VFS_FAULT_ERROR};
    vfs_opid_e op = VFS_OPID_open;
    test_put(mem, "/a", "content");
    const vfs_opid_e ops[] = {VFS_OPID_open, VFS_OPID_writev_at, VFS_OPID_futimens,
                              VFS_OPID_rename};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        op = ops[i];
        memset(broken.ops, 0, sizeof(broken.ops));
        VFS_FAULT_OP(broken, op);
        cr_assert_eq(vfs_fault_create(&copy, copy_mem, 1, pool), APR_SUCCESS);
        cr_assert_eq(vfs_fault_add(copy, &broken), APR_SUCCESS);
        cr_assert_eq(vfs_corfs_create(&fs, mem, copy, VFS_CORFS_SERVE, pool), APR_SUCCESS);
        cr_assert_str_eq(test_text(fs, "/a", pool), "content");
        stand_t s = {.fs = fs};
        cr_assert_str_eq(read_through(&s, "/a", 100), "content");
        cr_assert(!exists(copy_mem, "/a"));
        cr_assert_eq(entries(copy_mem), 0, "%s", vfs_op_name(op));
        vfs_destroy(fs);
        vfs_destroy(copy);
    }
    vfs_destroy(mem);
    vfs_destroy(copy_mem);
    apr_pool_destroy(pool);
}
