/*
 * test_null.c - the null shim changes nothing, and the names of ops are what they say.
 */
#include <string.h>

#include <criterion/criterion.h>

#include "tests/shims/support_shims.h"

Test(shims_names, every_op_is_found_by_its_name)
{
    for (unsigned op = 0; op < VFS_OPID_COUNT; op++)
        cr_assert_eq(vfs_op_by_name(vfs_op_name((vfs_opid_e)op)), (vfs_opid_e)op);
    cr_assert_str_eq(vfs_op_name(VFS_OPID_read_at), "read_at");
    cr_assert_null(vfs_op_name(VFS_OPID_COUNT));
    cr_assert_eq(vfs_op_by_name("no_such_op"), VFS_OPID_COUNT);
    cr_assert_eq(vfs_op_by_name(NULL), VFS_OPID_COUNT);
}

Test(shims_null, every_op_answers_as_the_lower_does)
{
    static script_t plain, through;
    apr_pool_t *pool = test_pool();
    vfs_t *bare = test_mem(pool), *lower = test_mem(pool), *null;
    cr_assert_eq(vfs_null_create(&null, lower, pool), APR_SUCCESS);
    script_run(&plain, bare);
    script_run(&through, null);
    for (unsigned op = 0; op < VFS_OPID_COUNT; op++) {
        cr_assert(plain.ran[op] > 0, "%s was not called", vfs_op_name((vfs_opid_e)op));
        cr_assert_eq(plain.status[op], through.status[op], "%s", vfs_op_name((vfs_opid_e)op));
    }
    cr_assert_str_eq(plain.text, through.text);
    cr_assert_str_eq(vfs_name(null), "null");
    cr_assert_eq(vfs_caps(null)->bits, vfs_caps(lower)->bits);
    cr_assert_eq(vfs_destroy(null), APR_SUCCESS);
    cr_assert_str_eq(test_text(lower, "/c", pool), "committed");
    vfs_destroy(lower);
    vfs_destroy(bare);
    apr_pool_destroy(pool);
}

Test(shims_null, handles_belong_to_the_shim)
{
    apr_pool_t *pool = test_pool();
    vfs_t *lower = test_mem(pool), *null;
    cr_assert_eq(vfs_null_create(&null, lower, pool), APR_SUCCESS);
    test_put(null, "/a", "x");
    vfs_file_t *file = test_open(null, "/a", VFS_O_READ);
    cr_assert_eq(vfs_file_fs(file), null);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    vfs_destroy_stack(null);
    apr_pool_destroy(pool);
}

Test(shims_null, bad_arguments_make_nothing)
{
    apr_pool_t *pool = test_pool();
    vfs_t *fs = test_mem(pool), *out;
    cr_assert_eq(vfs_null_create(NULL, fs, pool), APR_EINVAL);
    cr_assert_eq(vfs_null_create(&out, NULL, pool), APR_EINVAL);
    cr_assert_eq(vfs_count_create(&out, NULL, pool), APR_EINVAL);
    cr_assert_eq(vfs_trace_create(&out, fs, NULL, NULL, pool), APR_EINVAL);
    cr_assert_eq(vfs_delay_create(&out, fs, NULL, pool), APR_EINVAL);
    cr_assert_eq(vfs_fault_create(&out, NULL, 1, pool), APR_EINVAL);
    cr_assert_eq(vfs_crash_create(&out, NULL, pool), APR_EINVAL);
    cr_assert_eq(vfs_corfs_create(&out, fs, NULL, 0, pool), APR_EINVAL);
    cr_assert_eq(vfs_corfs_create(&out, fs, fs, 8, pool), APR_EINVAL);
    vfs_destroy(fs);
    apr_pool_destroy(pool);
}
