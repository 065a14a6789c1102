/*
 * test_plan.c - plans from paths, globs and trees.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/warming/support_warming.h"
#include "vfs/shims/shims.h"
#include "warming/internal.h"

TestSuite(plan, .init = warm_test_begin, .fini = warm_test_end);

static warm_plan_t *plan_new(void)
{
    warm_plan_t *plan = NULL;

    cr_assert_eq(warm_plan_create(&plan, warm_pool), APR_SUCCESS);
    cr_assert_eq(warm_plan_count(plan), 0);
    cr_assert_null(warm_plan_path(plan, 0));
    return plan;
}

static void holds(const warm_plan_t *plan, const char *const *paths, size_t count)
{
    size_t i;

    cr_assert_eq(warm_plan_count(plan), count, "%zu things, not %zu", warm_plan_count(plan), count);
    for (i = 0; i < count; i++)
        cr_assert_str_eq(warm_plan_path(plan, i), paths[i]);
    cr_assert_null(warm_plan_path(plan, count));
}

Test(plan, paths_are_made_normal_and_relative_ones_count_from_the_root)
{
    static const char *const given[] = {"/a/b", "c/d", "//x//./y/../z", "./#odd", "..",
                                        "/a/b", "d/"};
    static const char *const expected[] = {"/a/b", "/c/d", "/x/z", "/#odd", "/", "/a/b", "/d"};
    warm_plan_t *plan = plan_new();
    size_t i;

    cr_assert_eq(warm_plan_paths(plan, given, 7, NULL, 0), APR_SUCCESS);
    holds(plan, expected, 7);
    for (i = 0; i < 6; i++)
        if (i != 4) cr_assert_eq(plan->items[i].status, APR_SUCCESS);
    cr_assert_eq(plan->items[6].status, APR_FROM_OS_ERROR(EISDIR), "the '/' asks for a directory");
    cr_assert_eq(warm_plan_paths(plan, NULL, 0, NULL, 0), APR_SUCCESS);
}

Test(plan, path_that_is_none_is_named_and_nothing_is_added)
{
    char component[300], deep[VFS_PATH_MAX + 10], err[512];
    const char *const empty[] = {"/fine", ""}, *const null[] = {"/fine", NULL};
    const char *const broad[] = {"/fine", component}, *const tall[] = {"/fine", "/more", deep};
    static const char *const expected[] = {"/before"};
    warm_plan_t *plan = plan_new();
    size_t i;

    memset(component, 'x', sizeof(component) - 1);
    component[sizeof(component) - 1] = '\0';
    for (i = 0; i < sizeof(deep) - 1; i++)
        deep[i] = i % 2 == 0 ? '/' : 'y';
    deep[sizeof(deep) - 1] = '\0';
    cr_assert_eq(warm_plan_paths(plan, expected, 1, NULL, 0), APR_SUCCESS);
    cr_assert(APR_STATUS_IS_ENOENT(warm_plan_paths(plan, empty, 2, err, sizeof(err))));
    cr_assert_str_eq(err, "path 2, \"\": the path is empty");
    cr_assert_eq(warm_plan_paths(plan, null, 2, err, sizeof(err)), APR_EINVAL);
    cr_assert_str_eq(err, "path 2, \"\": there is no path");
    cr_assert(APR_STATUS_IS_ENAMETOOLONG(warm_plan_paths(plan, broad, 2, err, sizeof(err))));
    cr_assert_not_null(strstr(err, "path 2, \"xxxx"));
    cr_assert_not_null(strstr(err, "255"));
    cr_assert(APR_STATUS_IS_ENAMETOOLONG(warm_plan_paths(plan, tall, 3, err, sizeof(err))));
    cr_assert_not_null(strstr(err, "path 3, \"/y/y"));
    cr_assert(APR_STATUS_IS_ENAMETOOLONG(warm_plan_paths(plan, tall, 3, NULL, 0)));
    holds(plan, expected, 1);
    cr_assert_eq(warm_plan_paths(NULL, empty, 1, NULL, 0), APR_EINVAL);
    cr_assert_eq(warm_plan_paths(plan, NULL, 1, NULL, 0), APR_EINVAL);
}

Test(plan, longest_path_fits_and_many_paths_do)
{
    char longest[VFS_PATH_MAX + 1];
    const char *path = longest;
    warm_plan_t *plan = plan_new();
    size_t i;

    for (i = 0; i < VFS_PATH_MAX; i++)
        longest[i] = i % 200 == 0 ? '/' : 'z';
    longest[VFS_PATH_MAX] = '\0';
    cr_assert_eq(warm_plan_paths(plan, &path, 1, NULL, 0), APR_SUCCESS);
    cr_assert_str_eq(warm_plan_path(plan, 0), longest);
    for (i = 0; i < 5000; i++) {
        char name[32];
        const char *one = name;

        (void)snprintf(name, sizeof(name), "f%zu", i / 2);
        cr_assert_eq(warm_plan_paths(plan, &one, 1, NULL, 0), APR_SUCCESS);
    }
    cr_assert_eq(warm_plan_count(plan), 5001);
    cr_assert_str_eq(warm_plan_path(plan, 5000), "/f2499");
    cr_assert_eq(warm_plan_path(plan, 5000), warm_plan_path(plan, 4999), "one copy of equal ones");
}

Test(plan, hash_tells_plans_apart)
{
    static const char *const ab[] = {"/a", "/b"}, *const ba[] = {"/b", "/a"};
    warm_plan_t *one = plan_new(), *same = plan_new(), *turned = plan_new(), *shorter = plan_new();

    cr_assert_eq(warm_plan_paths(one, ab, 2, NULL, 0), APR_SUCCESS);
    cr_assert_eq(warm_plan_paths(same, ab, 2, NULL, 0), APR_SUCCESS);
    cr_assert_eq(warm_plan_paths(turned, ba, 2, NULL, 0), APR_SUCCESS);
    cr_assert_eq(warm_plan_paths(shorter, ab, 1, NULL, 0), APR_SUCCESS);
    cr_assert_eq(warm__plan_hash(one), warm__plan_hash(same));
    cr_assert_neq(warm__plan_hash(one), warm__plan_hash(turned));
    cr_assert_neq(warm__plan_hash(one), warm__plan_hash(shorter));
    one->items[0].len = 5;
    cr_assert_neq(warm__plan_hash(one), warm__plan_hash(same));
}

static vfs_t *some_files(void)
{
    vfs_t *fs = warm_test_mem();

    warm_test_file(fs, "/top.txt", 10);
    warm_test_file(fs, "/d/a.txt", 20);
    warm_test_file(fs, "/d/b.bin", 30);
    warm_test_file(fs, "/d/e/c.txt", 40);
    warm_test_file(fs, "/d/e/empty.txt", 0);
    warm_test_file(fs, "/database/x.txt", 50);
    cr_assert_eq(vfs_symlink(fs, NULL, "../top.txt", "/d/link.txt"), APR_SUCCESS);
    cr_assert_eq(vfs_symlink(fs, NULL, "..", "/d/e/up"), APR_SUCCESS);
    return fs;
}

Test(plan, tree_has_the_regular_files_in_byte_order_and_no_links)
{
    static const char *const below_d[] = {"/d/a.txt", "/d/b.bin", "/d/e/c.txt", "/d/e/empty.txt"};
    vfs_t *fs = some_files();
    warm_plan_t *plan = plan_new();

    cr_assert_eq(warm_plan_tree(plan, fs, NULL, "d/", NULL, 0), APR_SUCCESS);
    holds(plan, below_d, 4);
    cr_assert_eq(plan->items[1].size, 30);
    plan = plan_new();
    cr_assert_eq(warm_plan_tree(plan, fs, NULL, "/", NULL, 0), APR_SUCCESS);
    cr_assert_eq(warm_plan_count(plan), 6);
    vfs_destroy(fs);
}

Test(plan, tree_that_is_not_there_is_an_error)
{
    vfs_t *fs = some_files();
    warm_plan_t *plan = plan_new();
    char err[256];

    cr_assert(APR_STATUS_IS_ENOENT(warm_plan_tree(plan, fs, NULL, "/none", err, sizeof(err))));
    cr_assert_not_null(strstr(err, "\"/none\""));
    cr_assert(APR_STATUS_IS_ENOENT(warm_plan_tree(plan, fs, NULL, "", err, sizeof(err))));
    cr_assert_eq(warm_plan_tree(plan, NULL, NULL, "/", err, sizeof(err)), APR_EINVAL);
    cr_assert_eq(warm_plan_count(plan), 0);
    vfs_destroy(fs);
}

Test(plan, glob_has_the_regular_files_that_match)
{
    static const char *const texts[] = {"/d/a.txt", "/d/e/c.txt", "/d/e/empty.txt",
                                        "/database/x.txt", "/top.txt"};
    vfs_t *fs = some_files();
    warm_plan_t *plan = plan_new();
    char err[256], broad[VFS_PATH_MAX + 10];

    cr_assert_eq(warm_plan_glob(plan, fs, NULL, "**/*.txt", err, sizeof(err)), APR_SUCCESS, "%s",
                 err);
    holds(plan, texts, 5);
    cr_assert_eq(warm_plan_glob(plan, fs, NULL, "/nothing/*", err, sizeof(err)), APR_SUCCESS);
    cr_assert_eq(warm_plan_glob(plan, fs, NULL, "/d/[a", err, sizeof(err)), APR_EINVAL);
    cr_assert_not_null(strstr(err, "/d/[a"));
    memset(broad, '*', sizeof(broad) - 1);
    broad[sizeof(broad) - 1] = '\0';
    cr_assert(APR_STATUS_IS_ENAMETOOLONG(warm_plan_glob(plan, fs, NULL, broad, NULL, 0)));
    holds(plan, texts, 5);
    vfs_destroy(fs);
}

Test(plan, directory_that_cannot_be_read_is_planned_with_its_error)
{
    static const char *const expected[] = {"/d/a.txt", "/d/b.bin", "/d/e", "/database/x.txt",
                                           "/top.txt"};
    vfs_t *mem = some_files(), *fs;
    vfs_fault_t fault = {.status = APR_EACCES, .glob = "/d/e"};
    warm_plan_t *plan = plan_new();
    char err[256];

    cr_assert_eq(vfs_fault_create(&fs, mem, 1, warm_pool), APR_SUCCESS);
    VFS_FAULT_OP(fault, VFS_OPID_opendir);
    cr_assert_eq(vfs_fault_add(fs, &fault), APR_SUCCESS);
    cr_assert_eq(warm_plan_tree(plan, fs, NULL, "/", err, sizeof(err)), APR_SUCCESS, "%s", err);
    holds(plan, expected, 5);
    cr_assert(APR_STATUS_IS_EACCES(plan->items[2].status));

    plan = plan_new();
    cr_assert(APR_STATUS_IS_EACCES(warm_plan_tree(plan, fs, NULL, "/d/e", err, sizeof(err))));
    cr_assert_eq(warm_plan_count(plan), 0);
    vfs_destroy(fs);
    vfs_destroy(mem);
}

Test(plan, walk_ends_with_its_cancel_flag)
{
    vfs_t *fs = some_files();
    warm_plan_t *plan = plan_new();
    vfs_ctx_t ctx = VFS_CTX_INIT;
    vfs_cancel_t *cancel;
    char err[256];

    cr_assert_eq(vfs_cancel_create(&cancel, warm_pool), APR_SUCCESS);
    ctx.cancel = cancel;
    vfs_cancel_raise(cancel);
    cr_assert_eq(warm_plan_tree(plan, fs, &ctx, "/", err, sizeof(err)), VFS_ECANCELED);
    cr_assert_eq(warm_plan_count(plan), 0);
    vfs_destroy(fs);
}
