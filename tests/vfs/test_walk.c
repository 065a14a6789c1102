/*
 * test_walk.c - visiting trees: order, depth, errors, and what the callback may answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "support_fake.h"

static apr_pool_t *pool;
static vfs_t *fs;
static char visited[65536];

static void setup(void)
{
    pool = test_pool();
    fs = mem_create(pool);
    put(fs, "/b/x", "");
    put(fs, "/b/a/y", "");
    put(fs, "/a", "");
    put(fs, "/b-c", "");
    cr_assert_eq(vfs_symlink(fs, NULL, "b", "/l"), APR_SUCCESS);
    visited[0] = '\0';
}

static void teardown(void)
{
    cr_assert_eq(vfs_destroy_stack(fs), APR_SUCCESS);
    apr_pool_destroy(pool);
}

/* What to answer at which path. */
typedef struct answer_t {
    const char *path;
    apr_status_t status;
} answer_t;

static apr_status_t remember(void *baton, const char *path, const vfs_attr_t *attr,
                             apr_status_t status)
{
    const answer_t *answer = baton;
    strcat(strcat(visited, path), status == APR_SUCCESS ? " " : "! ");
    cr_assert(attr != NULL || status != APR_SUCCESS);
    if (answer != NULL && strcmp(path, answer->path) == 0) return answer->status;
    return APR_SUCCESS;
}

static void expect(const char *start, const answer_t *answer, apr_status_t status,
                   const char *expected)
{
    answer_t copy = {"", APR_SUCCESS};
    if (answer != NULL) copy = *answer;
    visited[0] = '\0';
    cr_assert_eq(vfs_walk(fs, NULL, start, remember, &copy), status);
    cr_assert_str_eq(visited, expected, "%s", visited);
}

Test(vfs_walk, parents_come_first_and_names_in_byte_order, .init = setup, .fini = teardown)
{
    expect("/", NULL, APR_SUCCESS, "/ /a /b /b/a /b/a/y /b/x /b-c /l ");
    expect("/b/", NULL, APR_SUCCESS, "/b /b/a /b/a/y /b/x ");
    expect("/a", NULL, APR_SUCCESS, "/a ");
    expect("/l", NULL, APR_SUCCESS, "/l ");
    expect("/l/", NULL, APR_SUCCESS, "/l /l/a /l/a/y /l/x ");
    expect("/none", NULL, APR_SUCCESS, "/none! ");
    cr_assert_eq(vfs_walk(fs, NULL, "none", remember, NULL), APR_EINVAL);
    cr_assert_eq(vfs_walk(fs, NULL, "/", NULL, NULL), APR_EINVAL);
}

Test(vfs_walk, the_callback_skips_stops_and_fails, .init = setup, .fini = teardown)
{
    answer_t skip = {"/b", VFS_WALK_SKIP}, stop = {"/b/a", VFS_WALK_STOP};
    answer_t fail = {"/b/a/y", APR_EGENERAL}, skip_file = {"/a", VFS_WALK_SKIP};
    answer_t give_up = {"/none", APR_ENOENT}, skip_none = {"/none", VFS_WALK_SKIP};
    expect("/", &skip, APR_SUCCESS, "/ /a /b /b-c /l ");
    expect("/", &stop, APR_SUCCESS, "/ /a /b /b/a ");
    expect("/", &fail, APR_EGENERAL, "/ /a /b /b/a /b/a/y ");
    expect("/", &skip_file, APR_SUCCESS, "/ /a /b /b/a /b/a/y /b/x /b-c /l ");
    expect("/none", &give_up, APR_ENOENT, "/none! ");
    expect("/none", &skip_none, APR_SUCCESS, "/none! ");
}

static apr_status_t readdir_answer, opendir_answer;

static apr_status_t failing_opendir(vfs_dir_t **dir, vfs_t *of, const vfs_ctx_t *ctx,
                                    const vfs_path_t *path, uint32_t flags)
{
    if (opendir_answer != APR_SUCCESS && strcmp(path->str, "/b") == 0) return opendir_answer;
    return vfs_wrap_opendir(dir, of, ctx, path, flags);
}

static apr_status_t failing_readdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, vfs_dirent_t *entry)
{
    apr_status_t status = vfs_pass_readdir(dir, ctx, entry);
    if (status == APR_EOF && readdir_answer != APR_SUCCESS) return readdir_answer;
    entry->has_attr = 0; /* so that each name costs an lstat */
    return status;
}

static apr_status_t failing_lstat(vfs_t *of, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                  vfs_attr_t *attr, vfs_validator_t *validator)
{
    if (strcmp(path->str, "/a") == 0) return APR_EACCES;
    if (strcmp(path->str, "/b/x") == 0) return APR_ENOENT; /* it went away in between */
    return vfs_pass_lstat(of, ctx, path, attr, validator);
}

Test(vfs_walk, errors_are_told_and_do_not_end_it, .init = setup, .fini = teardown)
{
    vfs_ops_t ops = pass_ops();
    answer_t skip = {"/b", VFS_WALK_SKIP}, fail = {"/a", APR_EACCES};
    ops.opendir = failing_opendir;
    ops.readdir = failing_readdir;
    ops.lstat = failing_lstat;
    fs = layer_create(fs, &ops, pool);
    expect("/", NULL, APR_SUCCESS, "/ /a! /b /b/a /b/a/y /b-c /l ");
    expect("/", &fail, APR_EACCES, "/ /a! ");
    opendir_answer = APR_EACCES;
    expect("/", NULL, APR_SUCCESS, "/ /a! /b /b! /b-c /l ");
    opendir_answer = APR_ENOENT;
    expect("/", NULL, APR_SUCCESS, "/ /a! /b /b-c /l ");
    opendir_answer = VFS_ECANCELED;
    expect("/", NULL, VFS_ECANCELED, "/ /a! /b ");
    opendir_answer = APR_SUCCESS;
    readdir_answer = APR_EGENERAL;
    expect("/b", NULL, APR_SUCCESS, "/b /b! /b/a /b/a! /b/a/y ");
    expect("/b", &skip, APR_SUCCESS, "/b ");
    fs->ops.opendir = NULL;
    expect("/b", NULL, APR_SUCCESS, "/b /b! ");
}

Test(vfs_walk, a_context_ends_it, .init = setup, .fini = teardown)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.deadline = 1;
    cr_assert_eq(vfs_walk(fs, &ctx, "/", remember, NULL), APR_TIMEUP);
    cr_assert_str_eq(visited, "", "the callback is not asked for every name");
}

static apr_status_t count_and_remove(void *baton, const char *path, const vfs_attr_t *attr,
                                     apr_status_t status)
{
    size_t *depth = baton;
    cr_assert_eq(status, APR_SUCCESS);
    ++*depth;
    return attr->type == VFS_TYPE_FILE ? vfs_unlink(fs, NULL, path) : APR_SUCCESS;
}

Test(vfs_walk, a_tree_may_be_as_deep_as_a_path_is_long, .init = setup, .fini = teardown)
{
    char path[VFS_PATH_MAX + 1];
    size_t len = 0, names = 0;
    while (len + 2 <= VFS_PATH_MAX) {
        path[len++] = '/';
        path[len++] = 'd';
    }
    path[len] = '\0';
    cr_assert_eq(vfs_mkdir_all(fs, NULL, path, 0755), APR_SUCCESS);
    cr_assert_eq(vfs_walk(fs, NULL, "/d", count_and_remove, &names), APR_SUCCESS);
    cr_assert_eq(names, VFS_PATH_MAX / 2);
    names = 0;
    cr_assert_eq(vfs_walk(fs, NULL, "/b", count_and_remove, &names), APR_SUCCESS);
    cr_assert_eq(names, 4u, "the callback may change what is below");
    cr_assert_eq(type_at(fs, "/b/x"), VFS_TYPE_UNKNOWN);
}

Test(vfs_walk, a_directory_with_many_names_comes_in_order, .init = setup, .fini = teardown)
{
    char path[64];
    for (int i = 0; i < 2000; i++) {
        snprintf(path, sizeof(path), "/many/%d", i * 7919 % 2000);
        cr_assert_eq(vfs_mkdir_all(fs, NULL, path, 0755), APR_SUCCESS);
    }
    expect("/many", NULL, APR_SUCCESS, visited);
    char *name = strchr(visited, ' ') + 1;
    const char *before = "/many";
    int count = 0;
    for (char *end; (end = strchr(name, ' ')) != NULL; name = end + 1, count++) {
        *end = '\0';
        cr_assert_lt(strcmp(before, name), 0);
        before = name;
    }
    cr_assert_eq(count, 2000);
}
