/*
 * test_object.c - making and ending file systems, tables of other sizes, handles, stacks.
 */
#include <signal.h>
#include <string.h>

#include <criterion/criterion.h>

#include "support_fake.h"

Test(vfs_object, a_table_of_an_older_size_is_taken_as_far_as_it_goes)
{
    apr_pool_t *pool = test_pool();
    fake_t fake = {0};
    vfs_ops_t ops = fake_ops();
    vfs_attr_t attr;
    ops.size = offsetof(vfs_ops_t, lstat); /* stat is its last op */
    vfs_t *fs = fake_create(&fake, &ops, pool);
    cr_assert_eq(vfs_stat(fs, NULL, "/a", &attr), APR_SUCCESS);
    cr_assert_eq(vfs_lstat(fs, NULL, "/a", &attr), APR_ENOTIMPL);
    cr_assert_eq(fake.calls, 1u);
    cr_assert_null(fs->ops.allocate);
    cr_assert_eq(vfs_destroy(fs), APR_SUCCESS);
    apr_pool_destroy(pool);
}

Test(vfs_object, a_table_of_a_newer_size_is_cut_to_what_we_know)
{
    apr_pool_t *pool = test_pool();
    struct {
        vfs_ops_t ops;
        void *of_tomorrow;
    } newer = {fake_ops(), &newer};
    fake_t fake = {0};
    newer.ops.size = sizeof(newer);
    vfs_t *fs = fake_create(&fake, &newer.ops, pool);
    cr_assert_eq(fs->caps.bits, VFS_CAP_WRITE, "nothing was written behind the table");
    cr_assert_not_null(fs->ops.readdir);
    cr_assert_eq(vfs_destroy(fs), APR_SUCCESS);
    apr_pool_destroy(pool);
}

Test(vfs_object, what_cannot_be_a_file_system_is_refused)
{
    apr_pool_t *pool = test_pool();
    vfs_caps_t caps = {.size = sizeof(caps)};
    vfs_ops_t ops = fake_ops();
    vfs_t *fs = (vfs_t *)&caps;
    ops.abi = VFS_ABI + 1;
    cr_assert_eq(vfs_create(&fs, &ops, NULL, NULL, &caps, pool), VFS_EABI);
    cr_assert_null(fs);
    ops = fake_ops();
    ops.size = offsetof(vfs_ops_t, destroy) - 1;
    cr_assert_eq(vfs_create(&fs, &ops, NULL, NULL, &caps, pool), VFS_EABI);
    ops = fake_ops();
    ops.name = NULL;
    cr_assert_eq(vfs_create(&fs, &ops, NULL, NULL, &caps, pool), APR_EINVAL);
    ops = fake_ops();
    cr_assert_eq(vfs_create(&fs, &ops, NULL, NULL, NULL, pool), APR_EINVAL,
                 "no caps from anywhere");
    cr_assert_eq(vfs_create(NULL, &ops, NULL, NULL, &caps, pool), APR_EINVAL);
    cr_assert_eq(vfs_create(&fs, NULL, NULL, NULL, &caps, pool), APR_EINVAL);
    cr_assert_eq(vfs_create(&fs, &ops, NULL, NULL, &caps, NULL), APR_EINVAL);
    apr_pool_destroy(pool);
}

Test(vfs_object, caps_come_from_the_lower_and_an_older_struct_is_filled_with_zeros)
{
    apr_pool_t *pool = test_pool();
    vfs_ops_t ops = fake_ops();
    fake_t fake = {0};
    vfs_caps_t caps = {.bits = 5, .time_granularity_ns = 6, .file_size_max = 7, .name_max = 8};
    vfs_t *low, *high;
    caps.size = offsetof(vfs_caps_t, file_size_max);
    cr_assert_eq(vfs_create(&low, &ops, NULL, &fake, &caps, pool), APR_SUCCESS);
    cr_assert_eq(vfs_caps(low)->bits, 5u);
    cr_assert_eq(vfs_caps(low)->time_granularity_ns, 6u);
    cr_assert_eq(vfs_caps(low)->file_size_max, 0u);
    cr_assert_eq(vfs_caps(low)->size, sizeof(vfs_caps_t));
    ops.name = "high";
    cr_assert_eq(vfs_create(&high, &ops, low, &fake, NULL, pool), APR_SUCCESS);
    cr_assert_eq(vfs_caps(high)->bits, 5u);
    cr_assert_eq(vfs_destroy_stack(high), APR_SUCCESS);
    apr_pool_destroy(pool);
}

static char ended[8];

static apr_status_t end_one(vfs_t *fs)
{
    strcat(ended, vfs_name(fs));
    return *(apr_status_t *)fs->state;
}

Test(vfs_object, a_stack_ends_from_the_top_with_its_first_error)
{
    apr_pool_t *pool = test_pool();
    vfs_caps_t caps = {.size = sizeof(caps)};
    apr_status_t said[3] = {APR_EGENERAL, VFS_EDIRTY, APR_SUCCESS};
    vfs_t *fs[3] = {NULL, NULL, NULL};
    static const char *const names[3] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) {
        vfs_ops_t ops = {.abi = VFS_ABI, .size = sizeof(ops), .name = names[i], .destroy = end_one};
        cr_assert_eq(vfs_create(&fs[i], &ops, i > 0 ? fs[i - 1] : NULL, &said[i], &caps, pool),
                     APR_SUCCESS);
    }
    cr_assert_eq((void *)vfs_lower(fs[2]), (void *)fs[1]);
    cr_assert_null(vfs_lower(fs[0]));
    cr_assert_eq((void *)vfs_find_layer(fs[2], "a"), (void *)fs[0]);
    cr_assert_eq((void *)vfs_find_layer(fs[2], "c"), (void *)fs[2]);
    cr_assert_null(vfs_find_layer(fs[2], "d"));
    cr_assert_eq(vfs_destroy_stack(fs[2]), VFS_EDIRTY);
    cr_assert_str_eq(ended, "cba");
    apr_pool_destroy(pool);
}

Test(vfs_object, a_handle_knows_its_layer_and_its_flags)
{
    apr_pool_t *pool = test_pool();
    fake_t fake = {0};
    vfs_ops_t ops = fake_ops();
    vfs_t *fs = fake_create(&fake, &ops, pool);
    vfs_file_t low, file;
    vfs_dir_t low_dir, dir;
    vfs_file_init(&low, fs, VFS_O_READ, NULL);
    vfs_file_init(&file, fs, VFS_O_WRITE, &low);
    cr_assert_eq((void *)vfs_file_fs(&file), (void *)fs);
    cr_assert_eq(vfs_file_flags(&file), VFS_O_WRITE);
    cr_assert_eq((void *)file.lower, (void *)&low);
    vfs_dir_init(&low_dir, fs, 0, NULL);
    vfs_dir_init(&dir, fs, VFS_DIR_ATTRS, &low_dir);
    cr_assert_eq((void *)dir.lower, (void *)&low_dir);
    cr_assert_eq(dir.flags, VFS_DIR_ATTRS);
    cr_assert_eq(vfs_destroy(fs), APR_SUCCESS);
    apr_pool_destroy(pool);
}

Test(vfs_object, something_that_is_no_file_system_is_noticed, .signal = SIGABRT)
{
    vfs_t zero;
    memset(&zero, 0, sizeof(zero));
    (void)vfs_name(&zero);
}
