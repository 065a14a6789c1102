/*
 * test_crash_trees.c - trees under the crash shim: whatever is moved where, and whichever of the
 * moves survive, nothing durable is lost and the tree stays one.
 */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/shims/support_shims.h"

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

typedef struct found_t {
    int marked, names;
} found_t;

static apr_status_t find_marked(void *baton, const char *path, const vfs_attr_t *attr,
                                apr_status_t status)
{
    found_t *found = baton;
    cr_assert_eq(status, APR_SUCCESS, "%s", path);
    cr_assert(strncmp(path, "/.vfs", 5) != 0);
    found->names++;
    found->marked += attr->type == VFS_TYPE_FILE && attr->size == 6;
    return APR_SUCCESS;
}

static void random_move(vfs_t *fs, uint64_t *random)
{
    static const char *const dirs[] = {"/", "/p", "/q", "/p/q", "/q/p", "/r", "/p/r", "/q/p/r"};
    static const char *const leaves[] = {"p", "q", "r", "f"};
    char from[32], to[32];
    uint64_t r = next_random(random);
    snprintf(from, sizeof(from), "%s/%s", dirs[r % 8], leaves[r / 8 % 4]);
    snprintf(to, sizeof(to), "%s/%s", dirs[r / 32 % 8], leaves[r / 256 % 4]);
    switch (r / 1024 % 8) {
    case 0:
    case 1:
        (void)vfs_mkdir(fs, NULL, to, 0755);
        break;
    case 2:
        (void)vfs_rmdir(fs, NULL, from);
        break;
    case 3:
        (void)vfs_sync_dir(fs, NULL, dirs[r / 8192 % 8]);
        break;
    case 4:
        (void)vfs_rename(fs, NULL, from, to, VFS_RENAME_EXCHANGE);
        break;
    default:
        (void)vfs_rename(fs, NULL, from, to, VFS_RENAME_NOREPLACE);
        break;
    }
}

Test(shims_crash_trees, a_durable_file_survives_any_moves)
{
    apr_pool_t *pool = test_pool();
    uint64_t random = 1234567;
    for (int run = 0; run < 400; run++) {
        vfs_t *lower = test_mem(pool), *fs;
        cr_assert_eq(vfs_crash_create(&fs, lower, pool), APR_SUCCESS);
        cr_assert_eq(vfs_mkdir(fs, NULL, "/p", 0755), APR_SUCCESS);
        cr_assert_eq(vfs_mkdir(fs, NULL, "/q", 0755), APR_SUCCESS);
        cr_assert_eq(vfs_mkdir(fs, NULL, "/q/p", 0755), APR_SUCCESS);
        test_put(fs, "/p/f", "marked");
        cr_assert_eq(vfs_sync_fs(fs, NULL), APR_SUCCESS);
        for (int life = 0; life < 3; life++) {
            for (int i = 0; i < 25; i++)
                random_move(fs, &random);
            vfs_crash_e how = life == 2 ? VFS_CRASH_DROP_UNSYNCED : VFS_CRASH_RANDOM;
            cr_assert_eq(vfs_crash_now(fs, how, random, 0), APR_SUCCESS, "run %d", run);
            vfs_crash_restart(fs);
            found_t found = {0, 0};
            cr_assert_eq(vfs_walk(lower, NULL, "/", find_marked, &found), APR_SUCCESS);
            cr_assert_eq(found.marked, 1, "run %d life %d: %d", run, life, found.marked);
        }
        vfs_destroy_stack(fs);
    }
    apr_pool_destroy(pool);
}
