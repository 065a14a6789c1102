/*
 * test_tree.c - mkdir_all and remove_all.
 */
#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#include "support_fake.h"

static apr_pool_t *pool;
static vfs_t *fs;

static void setup(void)
{
    pool = test_pool();
    fs = mem_create(pool);
}

static void teardown(void)
{
    cr_assert_eq(vfs_destroy_stack(fs), APR_SUCCESS);
    apr_pool_destroy(pool);
}

Test(vfs_tree, mkdir_all_makes_what_is_missing, .init = setup, .fini = teardown)
{
    vfs_attr_t attr;
    cr_assert_eq(vfs_mkdir_all(fs, NULL, "/a/b//c/", 0750), APR_SUCCESS);
    cr_assert_eq(vfs_stat(fs, NULL, "/a/b/c", &attr), APR_SUCCESS);
    cr_assert_eq(attr.type, VFS_TYPE_DIR);
    cr_assert_eq(attr.mode, 0750u);
    cr_assert_eq(vfs_mkdir_all(fs, NULL, "/a/b/c", 0700), APR_SUCCESS, "there already");
    cr_assert_eq(vfs_mkdir_all(fs, NULL, "/a/b/c/d/e/f/g", 0700), APR_SUCCESS);
    cr_assert_eq(type_at(fs, "/a/b/c/d/e/f/g"), VFS_TYPE_DIR);
    cr_assert_eq(vfs_mkdir_all(fs, NULL, "/", 0700), APR_SUCCESS);
    cr_assert_eq(vfs_symlink(fs, NULL, "a", "/l"), APR_SUCCESS);
    cr_assert_eq(vfs_mkdir_all(fs, NULL, "/l/n", 0700), APR_SUCCESS);
    cr_assert_eq(type_at(fs, "/a/n"), VFS_TYPE_DIR);
    cr_assert_eq(vfs_mkdir_all(fs, NULL, "", 0700), APR_ENOENT);
}

Test(vfs_tree, mkdir_all_does_not_take_a_file_for_a_directory, .init = setup, .fini = teardown)
{
    put(fs, "/a/f", "");
    cr_assert_eq(vfs_mkdir_all(fs, NULL, "/a/f", 0700), APR_EEXIST);
    cr_assert_eq(vfs_mkdir_all(fs, NULL, "/a/f/b", 0700), APR_ENOTDIR);
    cr_assert_eq(vfs_mkdir_all(fs, NULL, "/a/f/b/c", 0700), APR_ENOTDIR);
    cr_assert_eq(vfs_symlink(fs, NULL, "nowhere", "/dangling"), APR_SUCCESS);
    cr_assert_eq(vfs_mkdir_all(fs, NULL, "/dangling/x", 0700), APR_ENOENT);
    fs->ops.mkdir = NULL;
    cr_assert_eq(vfs_mkdir_all(fs, NULL, "/new", 0700), APR_ENOTIMPL);
}

static void grow(const char *root)
{
    static const char *const files[] = {"/f", "/d/f", "/d/e/f", "/d/e/g", "/h/i/j/k"};
    char path[256];
    for (int i = 0; i < 5; i++)
        put(fs, strcat(strcpy(path, root), files[i]), "x");
    apr_status_t status = vfs_symlink(fs, NULL, "/keep", strcat(strcpy(path, root), "/link"));
    cr_assert(status == APR_SUCCESS || APR_STATUS_IS_EEXIST(status));
    cr_assert_eq(vfs_mkdir_all(fs, NULL, strcat(strcpy(path, root), "/empty"), 0755), APR_SUCCESS);
}

Test(vfs_tree, remove_all_takes_the_tree_and_nothing_else, .init = setup, .fini = teardown)
{
    put(fs, "/keep/f", "kept");
    grow("/t");
    grow("/tt");
    cr_assert_eq(vfs_remove_all(fs, NULL, "/t"), APR_SUCCESS);
    cr_assert_eq(type_at(fs, "/t"), VFS_TYPE_UNKNOWN);
    cr_assert_str_eq(text_of(fs, "/keep/f"), "kept", "links are not followed");
    cr_assert_str_eq(text_of(fs, "/tt/d/e/f"), "x", "a longer name is another one");
    cr_assert_eq(vfs_remove_all(fs, NULL, "/t"), APR_SUCCESS, "nothing there is fine");
    cr_assert_eq(vfs_remove_all(fs, NULL, "/none/below"), APR_SUCCESS);
    cr_assert_eq(vfs_remove_all(fs, NULL, "/tt/f"), APR_SUCCESS);
    cr_assert_eq(type_at(fs, "/tt/f"), VFS_TYPE_UNKNOWN);
    cr_assert_eq(vfs_remove_all(fs, NULL, "/tt/link/"), APR_ENOTDIR);
    cr_assert_eq(vfs_remove_all(fs, NULL, "/tt/d/"), APR_SUCCESS);
    cr_assert_eq(type_at(fs, "/tt/d"), VFS_TYPE_UNKNOWN);
    cr_assert_eq(vfs_remove_all(fs, NULL, "/"), APR_SUCCESS);
    cr_assert_eq(type_at(fs, "/keep"), VFS_TYPE_UNKNOWN);
    cr_assert_eq(type_at(fs, "/"), VFS_TYPE_DIR, "the root stays");
    cr_assert_eq(vfs_remove_all(fs, NULL, "relative"), APR_EINVAL);
}

Test(vfs_tree, remove_all_goes_as_deep_as_a_path_can, .init = setup, .fini = teardown)
{
    char path[VFS_PATH_MAX + 1];
    size_t len = 0;
    while (len + 2 <= VFS_PATH_MAX) {
        path[len++] = '/';
        path[len++] = 'd';
    }
    path[len] = '\0';
    cr_assert_eq(vfs_mkdir_all(fs, NULL, path, 0755), APR_SUCCESS);
    cr_assert_eq(vfs_remove_all(fs, NULL, "/d"), APR_SUCCESS);
    cr_assert_eq(type_at(fs, "/d"), VFS_TYPE_UNKNOWN);
}

/* Others at work in the tree, each through one op. */
static int intrusions;

static apr_status_t refill_rmdir(vfs_t *of, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    if (intrusions > 0) {
        char again[VFS_PATH_MAX + 1];
        intrusions--;
        put(of->lower, strcat(strcpy(again, path->str), "/again"), "");
    }
    return vfs_pass_rmdir(of, ctx, path);
}

static apr_status_t unlink_twice(vfs_t *of, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    cr_assert_eq(vfs_pass_unlink(of, ctx, path), APR_SUCCESS);
    return vfs_pass_unlink(of, ctx, path); /* another was faster */
}

static apr_status_t replace_opendir(vfs_dir_t **dir, vfs_t *of, const vfs_ctx_t *ctx,
                                    const vfs_path_t *path, uint32_t flags)
{
    if (strcmp(path->str, "/t/d") == 0 && intrusions > 0) {
        intrusions--;
        cr_assert_eq(vfs_remove_all(of->lower, NULL, "/t/d"), APR_SUCCESS);
        put(of->lower, "/t/d", "now a file");
    }
    return vfs_wrap_opendir(dir, of, ctx, path, flags);
}

static apr_status_t untyped_readdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, vfs_dirent_t *entry)
{
    apr_status_t status = vfs_pass_readdir(dir, ctx, entry);
    entry->type = VFS_TYPE_UNKNOWN;
    return status;
}

Test(vfs_tree, remove_all_stands_others_at_work, .init = setup, .fini = teardown)
{
    vfs_ops_t ops = pass_ops();
    fs = layer_create(fs, &ops, pool);
    grow("/t");
    fs->ops.rmdir = refill_rmdir;
    intrusions = 20;
    cr_assert_eq(vfs_remove_all(fs, NULL, "/t"), APR_SUCCESS);
    cr_assert_eq(type_at(fs, "/t"), VFS_TYPE_UNKNOWN);
    grow("/t");
    intrusions = 1000000;
    cr_assert(APR_STATUS_IS_ENOTEMPTY(vfs_remove_all(fs, NULL, "/t")), "but not for ever");
    intrusions = 0;
    fs->ops.unlink = unlink_twice;
    cr_assert_eq(vfs_remove_all(fs, NULL, "/t"), APR_SUCCESS);
    fs->ops = ops;
    fs->ops.opendir = replace_opendir;
    fs->ops.readdir = untyped_readdir;
    grow("/t");
    intrusions = 1;
    cr_assert_eq(vfs_remove_all(fs, NULL, "/t"), APR_SUCCESS);
    cr_assert_eq(type_at(fs, "/t"), VFS_TYPE_UNKNOWN);
}

static apr_status_t refuse_unlink(vfs_t *of, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    return strcmp(path->str, "/t/d/e/g") == 0 ? APR_EACCES : vfs_pass_unlink(of, ctx, path);
}

Test(vfs_tree, remove_all_ends_with_what_it_cannot_remove, .init = setup, .fini = teardown)
{
    vfs_ops_t ops = pass_ops();
    vfs_ctx_t late = VFS_CTX_INIT;
    ops.unlink = refuse_unlink;
    fs = layer_create(fs, &ops, pool);
    grow("/t");
    cr_assert_eq(vfs_remove_all(fs, NULL, "/t"), APR_EACCES);
    cr_assert_eq(type_at(fs, "/t/d/e/g"), VFS_TYPE_FILE);
    late.deadline = 1;
    cr_assert_eq(vfs_remove_all(fs, &late, "/t"), APR_TIMEUP);
    fs->ops.unlink = vfs_pass_unlink;
    fs->ops.rmdir = NULL;
    cr_assert_eq(vfs_remove_all(fs, NULL, "/t"), APR_ENOTIMPL);
    fs->caps.bits &= ~VFS_CAP_DIRS;
    grow("/t");
    fs->ops.readdir = NULL;
    cr_assert_eq(vfs_remove_all(fs, NULL, "/t"), APR_ENOTIMPL);
}
