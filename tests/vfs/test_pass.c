/*
 * test_pass.c - passing through: every op reaches the lower layer with the same arguments, and
 * wrappers are freed whatever happens.
 */
#include <string.h>

#include <criterion/criterion.h>

#include "support_fake.h"

static apr_pool_t *pool;
static fake_t fake;
static vfs_t *low, *high;

static void setup(void)
{
    vfs_ops_t ops = fake_ops(), pass = pass_ops();
    memset(&fake, 0, sizeof(fake));
    pool = test_pool();
    low = fake_create(&fake, &ops, pool);
    high = layer_create(low, &pass, pool);
}

static void teardown(void)
{
    cr_assert_eq(vfs_destroy_stack(high), APR_SUCCESS);
    apr_pool_destroy(pool);
}

Test(vfs_pass, open_can_hand_out_the_handle_of_the_lower, .init = setup, .fini = teardown)
{
    vfs_file_t *file;
    vfs_dir_t *dir;
    high->ops.open = vfs_pass_open;
    high->ops.opendir = vfs_pass_opendir;
    cr_assert_eq(vfs_open(&file, high, NULL, "/a", VFS_O_READ, 0, NULL, NULL), APR_SUCCESS);
    cr_assert_eq((void *)vfs_file_fs(file), (void *)low);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_opendir(&dir, high, NULL, "/a", VFS_DIR_ATTRS), APR_SUCCESS);
    cr_assert_eq((void *)dir->fs, (void *)low);
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
}

Test(vfs_pass, a_wrapped_handle_belongs_to_the_layer, .init = setup, .fini = teardown)
{
    vfs_file_t *file, *other;
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    size_t n;
    char buf[8];
    uint32_t flags = VFS_O_READ | VFS_O_WRITE;
    cr_assert_eq(vfs_open(&file, high, NULL, "/a", flags, 0, NULL, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_open(&other, high, NULL, "/b", flags, 0, NULL, NULL), APR_SUCCESS);
    cr_assert_eq((void *)vfs_file_fs(file), (void *)high);
    cr_assert_eq(vfs_file_flags(file), flags);
    fake.got = 5;
    cr_assert_eq(vfs_read_at(file, NULL, buf, 8, 77, &n), APR_SUCCESS);
    cr_assert_eq(n, 5u);
    cr_assert_eq(fake.off, 77);
    cr_assert_eq(vfs_copy_range(file, NULL, 0, other, 0, 8, &n), APR_SUCCESS);
    cr_assert_str_eq(fake.last, "copy_range");
    cr_assert_eq(vfs_close(other, NULL), APR_SUCCESS);
    fake.answer = APR_EGENERAL;
    cr_assert_eq(vfs_close(file, NULL), APR_EGENERAL, "freed, and the error is told");
    fake.answer = APR_SUCCESS;
    cr_assert_eq(vfs_opendir(&dir, high, NULL, "/a", 0), APR_SUCCESS);
    cr_assert_eq((void *)dir->fs, (void *)high);
    cr_assert_eq(vfs_readdir(dir, NULL, &entry), APR_SUCCESS);
    cr_assert_str_eq(entry.name, "name");
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
}

Test(vfs_pass, a_failing_open_leaves_no_wrapper, .init = setup, .fini = teardown)
{
    vfs_file_t *file;
    vfs_dir_t *dir;
    fake.answer = VFS_EOFFLINE;
    cr_assert_eq(vfs_open(&file, high, NULL, "/a", VFS_O_READ, 0, NULL, NULL), VFS_EOFFLINE);
    cr_assert_null(file);
    cr_assert_eq(vfs_opendir(&dir, high, NULL, "/a", 0), VFS_EOFFLINE);
    cr_assert_null(dir);
}

/* A tree through ten layers is the tree itself. */
Test(vfs_pass, layers_upon_layers_change_nothing, .init = setup, .fini = teardown)
{
    vfs_ops_t pass = pass_ops();
    vfs_t *top = mem_create(pool);
    for (int i = 0; i < 10; i++)
        top = layer_create(top, &pass, pool);
    put(top, "/a/b/c", "bytes");
    cr_assert_str_eq(text_of(top, "/a/b/c"), "bytes");
    cr_assert_eq(vfs_rename(top, NULL, "/a/b", "/x", 0), APR_SUCCESS);
    cr_assert_eq(vfs_symlink(top, NULL, "x/c", "/l"), APR_SUCCESS);
    cr_assert_str_eq(text_of(top, "/l"), "bytes");
    char buf[16];
    cr_assert_eq(vfs_readlink(top, NULL, "/l", buf, sizeof(buf), NULL), APR_SUCCESS);
    cr_assert_str_eq(buf, "x/c");
    cr_assert_eq(vfs_truncate(top, NULL, "/l", 2), APR_SUCCESS);
    cr_assert_str_eq(text_of(top, "/x/c"), "by");
    cr_assert_eq(vfs_destroy_stack(top), APR_SUCCESS);
}
