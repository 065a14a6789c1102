/*
 * test_sub.c - a subtree as a root of its own.
 */
#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#include "support_fake.h"

static apr_pool_t *pool;
static vfs_t *mem, *sub;

static void setup(void)
{
    pool = test_pool();
    mem = mem_create(pool);
    put(mem, "/a/b/f", "inside");
    put(mem, "/outside", "outside");
    cr_assert_eq(vfs_sub_create(&sub, mem, "/a/b/", pool), APR_SUCCESS);
}

static void teardown(void)
{
    cr_assert_eq(vfs_destroy_stack(sub), APR_SUCCESS);
    apr_pool_destroy(pool);
}

Test(vfs_sub, it_stands_on_a_directory_only, .init = setup, .fini = teardown)
{
    vfs_t *other;
    cr_assert_eq(vfs_sub_create(&other, mem, "/none", pool), APR_ENOENT);
    cr_assert_null(other);
    cr_assert_eq(vfs_sub_create(&other, mem, "/outside", pool), APR_ENOTDIR);
    cr_assert_eq(vfs_sub_create(&other, mem, "a", pool), APR_EINVAL);
    cr_assert_eq(vfs_sub_create(&other, NULL, "/a", pool), APR_EINVAL);
    cr_assert_str_eq(vfs_name(sub), "sub");
    cr_assert_eq(vfs_caps(sub)->bits & VFS_CAP_CONFINED, 0u);
}

Test(vfs_sub, its_root_is_the_directory, .init = setup, .fini = teardown)
{
    cr_assert_str_eq(text_of(sub, "/f"), "inside");
    cr_assert_str_eq(text_of(sub, "/../../outside"), "(none)");
    cr_assert_eq(type_at(sub, "/"), VFS_TYPE_DIR);
    put(sub, "/new/g", "made");
    cr_assert_str_eq(text_of(mem, "/a/b/new/g"), "made");
    cr_assert_eq(vfs_remove_all(sub, NULL, "/"), APR_SUCCESS);
    cr_assert_eq(type_at(mem, "/a/b"), VFS_TYPE_DIR);
    cr_assert_eq(type_at(mem, "/a/b/f"), VFS_TYPE_UNKNOWN);
    cr_assert_str_eq(text_of(mem, "/outside"), "outside");
}

Test(vfs_sub, links_are_followed_below_and_may_lead_out_of_the_subtree, .init = setup,
     .fini = teardown)
{
    cr_assert_eq(vfs_symlink(sub, NULL, "../../outside", "/out"), APR_SUCCESS);
    cr_assert_eq(vfs_symlink(sub, NULL, "/outside", "/absolute"), APR_SUCCESS);
    cr_assert_eq(vfs_symlink(sub, NULL, "/a/b/f", "/back"), APR_SUCCESS);
    cr_assert_str_eq(text_of(sub, "/out"), "outside");
    cr_assert_str_eq(text_of(sub, "/absolute"), "outside");
    cr_assert_str_eq(text_of(sub, "/back"), "inside");
    cr_assert_eq(vfs_symlink(sub, NULL, "../../../../outside", "/above"), APR_SUCCESS);
    cr_assert_str_eq(text_of(sub, "/above"), "(none)", "the root of the lower holds");
}

/* Every op with a path, seen from below. */
Test(vfs_sub, every_op_gets_the_prefix, .init = setup, .fini = teardown)
{
    char buf[64];
    size_t n;
    vfs_attr_t attr;
    vfs_validator_t validator;
    vfs_statfs_t space;
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    vfs_source_t empty = {NULL, NULL, 0};
    cr_assert_eq(vfs_get(sub, NULL, "/f", buf, sizeof(buf), &n, &attr, &validator), APR_SUCCESS);
    cr_assert_eq(n, 6u);
    cr_assert_eq(vfs_access(sub, NULL, "/f", VFS_ACCESS_READ), APR_SUCCESS);
    cr_assert_eq(vfs_mknod(sub, NULL, "/fifo", VFS_TYPE_FIFO, 0600, 0), APR_SUCCESS);
    cr_assert_eq(type_at(mem, "/a/b/fifo"), VFS_TYPE_FIFO);
    cr_assert_eq(vfs_mkdir(sub, NULL, "/d", 0700), APR_SUCCESS);
    cr_assert_eq(vfs_link(sub, NULL, "/f", "/d/h"), APR_SUCCESS);
    cr_assert_str_eq(text_of(mem, "/a/b/d/h"), "inside");
    cr_assert_eq(vfs_rename(sub, NULL, "/d/h", "/i", 0), APR_SUCCESS);
    cr_assert_str_eq(text_of(mem, "/a/b/i"), "inside");
    cr_assert_eq(vfs_rmdir(sub, NULL, "/d"), APR_SUCCESS);
    cr_assert_eq(vfs_unlink(sub, NULL, "/fifo"), APR_SUCCESS);
    cr_assert_eq(vfs_symlink(sub, NULL, "f", "/l"), APR_SUCCESS);
    cr_assert_eq(vfs_readlink(mem, NULL, "/a/b/l", buf, sizeof(buf), &n), APR_SUCCESS);
    cr_assert_str_eq(buf, "f", "the text of a link stays as it is");
    cr_assert_eq(vfs_readlink(sub, NULL, "/l", buf, sizeof(buf), &n), APR_SUCCESS);
    cr_assert_eq(vfs_truncate(sub, NULL, "/f", 3), APR_SUCCESS);
    cr_assert_str_eq(text_of(sub, "/l"), "ins");
    cr_assert_eq(vfs_chmod(sub, NULL, "/f", 0600, 0), APR_SUCCESS);
    cr_assert_eq(vfs_chown(sub, NULL, "/f", UINT32_MAX, UINT32_MAX, 0), APR_SUCCESS);
    cr_assert_eq(vfs_utimens(sub, NULL, "/f", 1, 2, 0), APR_SUCCESS);
    cr_assert_eq(vfs_stat(mem, NULL, "/a/b/f", &attr), APR_SUCCESS);
    cr_assert_eq(attr.mtime_ns, 2);
    cr_assert_eq(vfs_statfs(sub, NULL, "/", &space), APR_SUCCESS);
    cr_assert_eq(vfs_setxattr(sub, NULL, "/f", "user.x", "v", 1, 0, 0), APR_SUCCESS);
    cr_assert_eq(vfs_getxattr(sub, NULL, "/f", "user.x", buf, sizeof(buf), &n, 0), APR_SUCCESS);
    cr_assert_eq(vfs_listxattr(sub, NULL, "/f", buf, sizeof(buf), &n, 0), APR_SUCCESS);
    cr_assert_eq(n, sizeof("user.x"));
    cr_assert_eq(vfs_removexattr(sub, NULL, "/f", "user.x", 0), APR_SUCCESS);
    cr_assert_eq(vfs_sync_dir(sub, NULL, "/"), APR_SUCCESS);
    cr_assert_eq(vfs_sync_fs(sub, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_commit(sub, NULL, "/c", &empty, NULL, NULL, NULL), APR_SUCCESS);
    cr_assert_eq(type_at(mem, "/a/b/c"), VFS_TYPE_FILE);
    cr_assert_eq(vfs_opendir(&dir, sub, NULL, "/", 0), APR_SUCCESS);
    for (n = 0; vfs_readdir(dir, NULL, &entry) == APR_SUCCESS; n++)
        ;
    cr_assert_eq(n, 4u, "c, f, i, l");
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
}

Test(vfs_sub, paths_and_their_hashes_are_those_of_the_lower, .init = setup, .fini = teardown)
{
    fake_t fake = {.type = VFS_TYPE_DIR};
    vfs_ops_t ops = fake_ops();
    vfs_t *low = fake_create(&fake, &ops, pool), *high, *all;
    vfs_attr_t attr;
    cr_assert_eq(vfs_sub_create(&high, low, "/p/q", pool), APR_SUCCESS);
    cr_assert_eq(vfs_sub_create(&all, low, "/", pool), APR_SUCCESS);
    cr_assert_eq(vfs_stat(high, NULL, "/", &attr), APR_SUCCESS);
    cr_assert_str_eq(fake.path, "/p/q");
    cr_assert_eq(vfs_stat(high, NULL, "/r", &attr), APR_SUCCESS);
    cr_assert_str_eq(fake.path, "/p/q/r");
    cr_assert_eq(vfs_stat(all, NULL, "/", &attr), APR_SUCCESS);
    cr_assert_str_eq(fake.path, "/");
    cr_assert_eq(vfs_stat(all, NULL, "/r", &attr), APR_SUCCESS);
    cr_assert_str_eq(fake.path, "/r");
    char *longest = memset(apr_pcalloc(pool, VFS_PATH_MAX + 1), 'x', VFS_PATH_MAX);
    for (int i = 0; i < (int)VFS_PATH_MAX; i += 128)
        longest[i] = '/';
    cr_assert_eq(vfs_stat(all, NULL, longest, &attr), APR_SUCCESS);
    cr_assert_eq(vfs_stat(high, NULL, longest, &attr), APR_ENAMETOOLONG);
    longest[VFS_PATH_MAX - 4] = '\0';
    cr_assert_eq(vfs_stat(high, NULL, longest, &attr), APR_SUCCESS);
    cr_assert_eq(strlen(fake.path), VFS_PATH_MAX);
    cr_assert_eq(vfs_destroy(high), APR_SUCCESS);
    cr_assert_eq(vfs_destroy_stack(all), APR_SUCCESS);
}

/* ---- watches: the fake keeps the last one, and the test plays the backend */

static vfs_event_fn event_fn;
static void *event_baton;
static uint64_t last_watch;
static unsigned unwatched;
static char heard[256];

static apr_status_t keep_watch(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               vfs_event_fn fn, void *baton, uint64_t *watch)
{
    (void)fs, (void)ctx; /* one file system is enough */
    if (strcmp(path->str, "/p/refused") == 0) return VFS_ELIMIT;
    event_fn = fn;
    event_baton = baton;
    *watch = ++last_watch;
    return APR_SUCCESS;
}

static apr_status_t drop_watch(vfs_t *fs, uint64_t watch)
{
    (void)fs; /* likewise */
    unwatched++;
    return watch == 3 ? APR_EGENERAL : APR_SUCCESS;
}

static void hear(void *baton, uint32_t events, const char *path)
{
    cr_assert_eq(events, VFS_EVENT_CHANGED);
    strcat(strcat(strcat(heard, (const char *)baton), path), " ");
}

Test(vfs_sub, events_lose_the_prefix, .init = setup, .fini = teardown)
{
    static char me[] = "me:";
    fake_t fake = {.type = VFS_TYPE_DIR};
    vfs_ops_t ops = fake_ops();
    uint64_t one, two, three;
    ops.watch = keep_watch;
    ops.unwatch = drop_watch;
    vfs_t *high;
    cr_assert_eq(vfs_sub_create(&high, fake_create(&fake, &ops, pool), "/p", pool), APR_SUCCESS);
    cr_assert_eq(vfs_watch(high, NULL, "/x", hear, me, &one), APR_SUCCESS);
    event_fn(event_baton, VFS_EVENT_CHANGED, "/p/x/y");
    event_fn(event_baton, VFS_EVENT_CHANGED, "/p");
    event_fn(event_baton, VFS_EVENT_CHANGED, "/");
    event_fn(event_baton, VFS_EVENT_CHANGED, "/pq");
    cr_assert_str_eq(heard, "me:/x/y me:/ me:/ me:/ ");
    cr_assert_eq(vfs_watch(high, NULL, "/y", hear, me, &two), APR_SUCCESS);
    cr_assert_eq(vfs_watch(high, NULL, "/refused", hear, me, &three), VFS_ELIMIT);
    cr_assert_eq(vfs_unwatch(high, one), APR_SUCCESS);
    cr_assert_eq(vfs_unwatch(high, one), APR_EINVAL);
    cr_assert_eq(vfs_unwatch(high, 99), APR_EINVAL);
    cr_assert_eq(unwatched, 1u);
    cr_assert_eq(vfs_watch(high, NULL, "/z", hear, me, &three), APR_SUCCESS);
    cr_assert_eq(vfs_destroy_stack(high), APR_EGENERAL, "what the lower says at the end");
    cr_assert_eq(unwatched, 3u);
}
