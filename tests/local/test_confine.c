/*
 * test_confine.c - nothing outside the root is ever reached: not by "..", not by any kind of link,
 * not by a link that is swapped in while a call runs; and what lies inside is reached, by every
 * kind of link.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/local/support_box.h"

TestSuite(local_confine, .init = box_open, .fini = box_close);

static void link_to(const char *target, const char *name)
{
    cr_assert_eq(vfs_symlink(box.fs, NULL, target, name), APR_SUCCESS, "%s", name);
}

static uint32_t flags_of(const char *path, apr_status_t expected, int nofollow)
{
    vfs_attr_t attr;
    apr_status_t status =
        nofollow ? vfs_lstat(box.fs, NULL, path, &attr) : vfs_stat(box.fs, NULL, path, &attr);
    cr_assert_eq(status, expected, "%s: %d", path, status);
    return attr.flags;
}

static void hear_nothing(void *baton, uint32_t events, const char *path)
{
    (void)baton;
    (void)events;
    cr_expect_fail("%s was heard of", path);
}

/* Every call that follows links, on a path that leads out. */
static void expect_refused(const char *path)
{
    vfs_attr_t attr;
    vfs_statfs_t statfs;
    vfs_dir_t *dir;
    vfs_file_t *file;
    char buf[16];
    size_t n;
    uint64_t watch;
    cr_expect_eq(try_open(path), APR_EACCES, "%s", path);
    cr_expect_eq(vfs_open(&file, box.fs, NULL, path, VFS_O_WRITE | VFS_O_CREATE | VFS_O_TRUNC, 0600,
                          NULL, NULL),
                 APR_EACCES);
    cr_expect_eq(vfs_stat(box.fs, NULL, path, &attr), APR_EACCES);
    cr_expect_eq(vfs_get(box.fs, NULL, path, buf, sizeof(buf), &n, &attr, NULL), APR_EACCES);
    cr_expect_eq(vfs_access(box.fs, NULL, path, VFS_ACCESS_EXIST), APR_EACCES);
    cr_expect_eq(vfs_truncate(box.fs, NULL, path, 0), APR_EACCES);
    cr_expect_eq(vfs_chmod(box.fs, NULL, path, 0, 0), APR_EACCES);
    cr_expect_eq(vfs_chown(box.fs, NULL, path, 1, 1, 0), APR_EACCES);
    cr_expect_eq(vfs_utimens(box.fs, NULL, path, 0, 0, 0), APR_EACCES);
    cr_expect_eq(vfs_statfs(box.fs, NULL, path, &statfs), APR_EACCES);
    cr_expect_eq(vfs_getxattr(box.fs, NULL, path, "user.a", buf, sizeof(buf), &n, 0), APR_EACCES);
    cr_expect_eq(vfs_setxattr(box.fs, NULL, path, "user.a", "b", 1, 0, 0), APR_EACCES);
    cr_expect_eq(vfs_listxattr(box.fs, NULL, path, buf, sizeof(buf), &n, 0), APR_EACCES);
    cr_expect_eq(vfs_removexattr(box.fs, NULL, path, "user.a", 0), APR_EACCES);
    cr_expect_eq(vfs_opendir(&dir, box.fs, NULL, path, 0), APR_EACCES);
    cr_expect_eq(vfs_sync_dir(box.fs, NULL, path), APR_EACCES);
    cr_expect_eq(vfs_watch(box.fs, NULL, path, hear_nothing, NULL, &watch), APR_EACCES, "%s", path);
}

/* Every call that takes a name in a directory, with a directory that leads out. */
static void expect_refused_below(const char *dir)
{
    vfs_source_t none = {NULL, NULL, 0};
    char path[256];
    char buf[64];
    snprintf(path, sizeof(path), "%s/secret", dir);
    expect_refused(path);
    cr_expect_eq(vfs_unlink(box.fs, NULL, path), APR_EACCES, "%s", path);
    cr_expect_eq(vfs_rmdir(box.fs, NULL, path), APR_EACCES);
    cr_expect_eq(vfs_readlink(box.fs, NULL, path, buf, sizeof(buf), NULL), APR_EACCES);
    cr_expect_eq(vfs_rename(box.fs, NULL, path, "/stolen", 0), APR_EACCES);
    cr_expect_eq(vfs_link(box.fs, NULL, path, "/stolen"), APR_EACCES);
    put("/mine", "x");
    snprintf(path, sizeof(path), "%s/new", dir);
    cr_expect_eq(vfs_mkdir(box.fs, NULL, path, 0777), APR_EACCES);
    cr_expect_eq(vfs_mknod(box.fs, NULL, path, VFS_TYPE_FILE, 0666, 0), APR_EACCES);
    cr_expect_eq(vfs_symlink(box.fs, NULL, "x", path), APR_EACCES);
    cr_expect_eq(vfs_rename(box.fs, NULL, "/mine", path, 0), APR_EACCES);
    cr_expect_eq(vfs_link(box.fs, NULL, "/mine", path), APR_EACCES);
    cr_expect_eq(vfs_commit(box.fs, NULL, path, &none, NULL, NULL, NULL), APR_EACCES);
    vfs_file_t *file;
    cr_expect_eq(vfs_open(&file, box.fs, NULL, path, VFS_O_WRITE | VFS_O_CREATE | VFS_O_EXCL, 0600,
                          NULL, NULL),
                 APR_EACCES);
}

Test(local_confine, dot_dot_stays_at_the_root)
{
    put("/a", "in");
    cr_assert(holds("/../../../a", "in"));
    cr_assert_eq(try_open("/../outside/secret"), APR_ENOENT);
}

Test(local_confine, links_that_lead_out_are_refused_by_every_call)
{
    char path[256];
    cr_assert_eq(vfs_mkdir(box.fs, NULL, "/d", 0777), APR_SUCCESS);
    link_to("../outside/secret", "/rel");
    link_to("../../outside/secret", "/d/rel");
    snprintf(path, sizeof(path), "%s/secret", box.outside);
    link_to(path, "/abs");
    link_to("/etc/passwd", "/etc");
    link_to("rel", "/chain1");
    link_to("d/../chain1", "/chain2");
    link_to("abs", "/chain3");
    snprintf(path, sizeof(path), "%s/../outside/secret", box.root);
    link_to(path, "/sneaky");
    snprintf(path, sizeof(path), "%s-not/x", box.root);
    link_to(path, "/prefix");
    snprintf(path, sizeof(path), "%s/chain2", box.root);
    link_to(path, "/abs-to-chain");
    const char *all[] = {"/rel",    "/d/rel",  "/abs",    "/etc",    "/chain1",
                         "/chain2", "/chain3", "/sneaky", "/prefix", "/abs-to-chain"};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        expect_refused(all[i]);
}

Test(local_confine, directories_that_lead_out_are_refused_as_parents)
{
    char path[256];
    link_to("../outside", "/rel");
    link_to(box.outside, "/abs");
    link_to("rel/../rel", "/chain");
    snprintf(path, sizeof(path), "%s/abs", box.root);
    link_to(path, "/abs-chain");
    const char *all[] = {"/rel", "/abs", "/chain", "/abs-chain"};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        expect_refused_below(all[i]);
    cr_assert_eq(access(os("/../outside/new"), F_OK), -1);
}

Test(local_confine, links_that_lead_out_can_be_made_read_and_listed)
{
    char buf[64];
    size_t len;
    vfs_attr_t attr;
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    link_to("/etc/passwd", "/l");
    cr_assert_eq(vfs_readlink(box.fs, NULL, "/l", buf, sizeof(buf), &len), APR_SUCCESS);
    cr_assert_str_eq(buf, "/etc/passwd");
    cr_assert_eq(len, 11);
    cr_assert_eq(vfs_lstat(box.fs, NULL, "/l", &attr), APR_SUCCESS);
    cr_assert_eq(attr.type, VFS_TYPE_LINK);
    cr_assert_eq(vfs_opendir(&dir, box.fs, NULL, "/", VFS_DIR_ATTRS), APR_SUCCESS);
    cr_assert_eq(vfs_readdir(dir, NULL, &entry), APR_SUCCESS);
    cr_assert_str_eq(entry.name, "l");
    cr_assert_eq(entry.attr.type, VFS_TYPE_LINK);
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
    cr_assert_eq(vfs_rename(box.fs, NULL, "/l", "/m", 0), APR_SUCCESS);
    cr_assert_eq(vfs_link(box.fs, NULL, "/m", "/n"), APR_SUCCESS);
    cr_assert_eq(vfs_lstat(box.fs, NULL, "/n", &attr), APR_SUCCESS);
    cr_assert_eq(attr.type, VFS_TYPE_LINK);
    cr_assert_eq(vfs_unlink(box.fs, NULL, "/m"), APR_SUCCESS);
}

Test(local_confine, absolute_links_into_the_root_are_followed)
{
    char path[256];
    cr_assert_eq(vfs_mkdir_all(box.fs, NULL, "/a/b", 0777), APR_SUCCESS);
    put("/a/b/f", "inside");
    snprintf(path, sizeof(path), "%s/a/b/f", box.root);
    link_to(path, "/file");
    snprintf(path, sizeof(path), "%s//a/./b/", box.root);
    link_to(path, "/dir");
    link_to(box.root, "/top");
    snprintf(path, sizeof(path), "%s/dir", box.root);
    link_to(path, "/a/up");
    link_to("../../dir/f", "/a/b/rel");
    link_to("up/../../dir/rel", "/a/mixed");
    const char *all[] = {"/file",    "/dir/f",   "/top/a/b/f",       "/a/up/f",
                         "/a/b/rel", "/a/mixed", "/top/top/dir/rel", "/dir/../file"};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        cr_expect(holds(all[i], "inside"), "%s", all[i]);
        cr_expect_eq(flags_of(all[i], APR_SUCCESS, 0) & VFS_ATTR_DIRECT, 0, "%s", all[i]);
    }
    /* Names are made through them, too. */
    put("/dir/new", "made");
    cr_expect(holds("/a/b/new", "made"));
    cr_expect_eq(vfs_unlink(box.fs, NULL, "/top/dir/new"), APR_SUCCESS);
    cr_expect_eq(vfs_mkdir(box.fs, NULL, "/dir/d", 0755), APR_SUCCESS);
    cr_expect_eq(vfs_rename(box.fs, NULL, "/dir/d", "/top/d", 0), APR_SUCCESS);
    cr_expect_eq(vfs_link(box.fs, NULL, "/dir/f", "/top/hard"), APR_SUCCESS);
    cr_expect(holds("/hard", "inside"));
}

Test(local_confine, a_dangling_link_is_created_where_it_leads)
{
    char path[256];
    vfs_attr_t attr;
    cr_assert_eq(vfs_mkdir(box.fs, NULL, "/d", 0777), APR_SUCCESS);
    link_to("d/one", "/rel");
    snprintf(path, sizeof(path), "%s/d/two", box.root);
    link_to(path, "/abs");
    link_to("d/three/", "/slash");
    snprintf(path, sizeof(path), "%s/no/dir", box.root);
    link_to(path, "/nodir");
    cr_expect_eq(flags_of("/abs", APR_ENOENT, 0) & VFS_ATTR_DIRECT, 0);
    put("/rel", "1");
    put("/abs", "2");
    cr_expect(holds("/d/one", "1"));
    cr_expect(holds("/d/two", "2"));
    vfs_file_t *file;
    uint32_t flags = VFS_O_WRITE | VFS_O_CREATE;
    cr_expect_eq(vfs_open(&file, box.fs, NULL, "/slash", flags, 0600, NULL, NULL),
                 APR_FROM_OS_ERROR(EISDIR));
    cr_expect_eq(vfs_open(&file, box.fs, NULL, "/nodir", flags, 0600, NULL, NULL), APR_ENOENT);
    cr_expect_eq(vfs_open(&file, box.fs, NULL, "/rel", flags | VFS_O_EXCL, 0600, NULL, NULL),
                 APR_EEXIST);
    cr_expect_eq(vfs_open(&file, box.fs, NULL, "/rel", flags | VFS_O_NOFOLLOW, 0600, NULL, NULL),
                 APR_FROM_OS_ERROR(ELOOP));
    cr_expect_eq(vfs_open(&file, box.fs, NULL, "/abs", VFS_O_READ | VFS_O_NOFOLLOW, 0, NULL, NULL),
                 APR_FROM_OS_ERROR(ELOOP));
    cr_expect_eq(vfs_open(&file, box.fs, NULL, "/abs", VFS_O_READ, 0, &attr, NULL), APR_SUCCESS);
    cr_expect_eq(attr.flags & VFS_ATTR_DIRECT, 0);
    cr_expect_eq(vfs_close(file, NULL), APR_SUCCESS);
}

Test(local_confine, endless_links_end)
{
    char path[256];
    char name[32], target[256];
    link_to("b", "/a");
    link_to("a", "/b");
    cr_expect_eq(try_open("/a"), APR_FROM_OS_ERROR(ELOOP));
    snprintf(path, sizeof(path), "%s/abs", box.root);
    link_to(path, "/abs");
    cr_expect_eq(try_open("/abs"), APR_FROM_OS_ERROR(ELOOP));
    cr_expect_eq(try_open("/abs/below"), APR_FROM_OS_ERROR(ELOOP));
    put("/end", "end");
    snprintf(target, sizeof(target), "%s/end", box.root);
    for (int i = 0; i <= 40; i++) { /* l39 takes 40 links, l40 takes 41 */
        snprintf(name, sizeof(name), "/l%d", i);
        link_to(target, name);
        snprintf(target, sizeof(target), "%s%s", box.root, name);
    }
    cr_expect(holds("/l39", "end"));
    cr_expect_eq(try_open("/l40"), APR_FROM_OS_ERROR(ELOOP));
}

Test(local_confine, odd_link_texts_are_answered_as_the_kernel_would)
{
    char path[4200];
    cr_assert_eq(vfs_mkdir(box.fs, NULL, "/d", 0777), APR_SUCCESS);
    put("/d/f", "f");
    snprintf(path, sizeof(path), "%s/d/f/", box.root);
    link_to(path, "/file-slash");
    cr_expect_eq(try_open("/file-slash"), APR_ENOTDIR);
    snprintf(path, sizeof(path), "%s/d/f/..", box.root);
    link_to(path, "/file-up");
    cr_expect_eq(try_open("/file-up"), APR_ENOTDIR);
    snprintf(path, sizeof(path), "%s/d/../d/.//f", box.root);
    link_to(path, "/dots");
    cr_expect(holds("/dots", "f"));
    snprintf(path, sizeof(path), "%s/no/f", box.root);
    link_to(path, "/no-dir");
    cr_expect_eq(try_open("/no-dir"), APR_ENOENT);
    snprintf(path, sizeof(path), "%s/", box.root);
    size_t len = strlen(path);
    memset(path + len, 'x', 300);
    path[len + 300] = '\0';
    link_to(path, "/long-name");
    cr_expect_eq(try_open("/long-name"), APR_ENAMETOOLONG);
    snprintf(path, sizeof(path), "%s", box.root);
    for (len = strlen(path); len < 4000; len += 5)
        memcpy(path + len, "/d/..", 6);
    link_to(path, "/long");
    char deep[400] = "/long/";
    memset(deep + 6, 'y', 200);
    cr_expect_eq(try_open(deep), APR_ENAMETOOLONG);
    cr_expect_eq(try_open("/long/d/f"), APR_SUCCESS);
}

Test(local_confine, direct_tells_whether_a_link_was_met)
{
    vfs_attr_t attr;
    vfs_file_t *file;
    char buf[8];
    size_t n;
    cr_assert_eq(vfs_mkdir(box.fs, NULL, "/d", 0777), APR_SUCCESS);
    put("/d/f", "f");
    link_to("d", "/l");
    link_to("no", "/dangling");
    const struct {
        const char *path;
        apr_status_t status;
        int direct, direct_l;
    } rows[] = {
        {"/", APR_SUCCESS, 1, 1},     {"/d", APR_SUCCESS, 1, 1},   {"/d/f", APR_SUCCESS, 1, 1},
        {"/l", APR_SUCCESS, 0, 1},    {"/l/f", APR_SUCCESS, 0, 0}, {"/d/no", APR_ENOENT, 1, 1},
        {"/no/no", APR_ENOENT, 1, 1}, {"/l/no", APR_ENOENT, 0, 0}, {"/l/no/no", APR_ENOENT, 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *path = rows[i].path;
        int direct = rows[i].direct;
        cr_expect_eq((flags_of(path, rows[i].status, 0) & VFS_ATTR_DIRECT) != 0, direct, "%s",
                     path);
        cr_expect_eq((flags_of(path, rows[i].status, 1) & VFS_ATTR_DIRECT) != 0, rows[i].direct_l,
                     "lstat %s", path);
        cr_expect_eq(vfs_get(box.fs, NULL, path, buf, sizeof(buf), &n, &attr, NULL),
                     rows[i].status);
        cr_expect_eq((attr.flags & VFS_ATTR_DIRECT) != 0, direct, "get %s", path);
        apr_status_t status = vfs_open(&file, box.fs, NULL, path, VFS_O_READ, 0, &attr, NULL);
        cr_expect_eq(status, rows[i].status);
        cr_expect_eq((attr.flags & VFS_ATTR_DIRECT) != 0, direct, "open %s", path);
        if (status != APR_SUCCESS) continue;
        cr_expect_eq(vfs_fstat(file, NULL, &attr), APR_SUCCESS);
        cr_expect_eq((attr.flags & VFS_ATTR_DIRECT) != 0, direct, "fstat %s", path);
        cr_expect_neq(attr.flags & VFS_ATTR_STABLE_ID, 0);
        cr_expect_eq(vfs_close(file, NULL), APR_SUCCESS);
    }
    uint32_t make = VFS_O_WRITE | VFS_O_CREATE;
    cr_expect_eq(vfs_open(&file, box.fs, NULL, "/d/new", make, 0600, &attr, NULL), APR_SUCCESS);
    cr_expect_neq(attr.flags & VFS_ATTR_DIRECT, 0);
    vfs_close(file, NULL);
    cr_expect_eq(vfs_open(&file, box.fs, NULL, "/l/new2", make | VFS_O_EXCL, 0600, &attr, NULL),
                 APR_SUCCESS);
    cr_expect_eq(attr.flags & VFS_ATTR_DIRECT, 0);
    vfs_close(file, NULL);
    cr_expect_eq(vfs_open(&file, box.fs, NULL, "/d/no/x", make | VFS_O_EXCL, 0600, &attr, NULL),
                 APR_ENOENT);
    cr_expect_neq(attr.flags & VFS_ATTR_DIRECT, 0);
    cr_expect_eq(vfs_open(&file, box.fs, NULL, "/l/no/x", make | VFS_O_EXCL, 0600, &attr, NULL),
                 APR_ENOENT);
    cr_expect_eq(attr.flags & VFS_ATTR_DIRECT, 0);
}

static atomic_int stop;

/* "/swap" is now a directory, now a link that leads out: relative or absolute. */
static void *swapper(void *baton)
{
    (void)baton;
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        (void)renameat2(-1, os("/swap"), -1, os(i % 2 ? "/out-rel" : "/out-abs"), RENAME_EXCHANGE);
    }
    return NULL;
}

Test(local_confine, a_link_that_is_swapped_in_never_leads_out)
{
    pthread_t thread;
    vfs_attr_t attr;
    char buf[16];
    size_t n;
    int inside = 0;
    cr_assert_eq(vfs_mkdir(box.fs, NULL, "/swap", 0777), APR_SUCCESS);
    put("/swap/secret", "inside");
    link_to("../outside", "/out-rel");
    link_to(box.outside, "/out-abs");
    char path[256];
    snprintf(path, sizeof(path), "%s/swap/secret", box.root);
    link_to(path, "/by-abs");
    link_to("out-rel/../swap/secret", "/by-rel");
    cr_assert_eq(pthread_create(&thread, NULL, swapper, NULL), 0);
    for (int i = 0; i < 4000; i++) {
        const char *names[] = {"/swap/secret", "/by-abs", "/by-rel", "/swap/secret"};
        const char *name = names[i % 4];
        apr_status_t status = vfs_get(box.fs, NULL, name, buf, sizeof(buf), &n, &attr, NULL);
        if (status == APR_SUCCESS) {
            inside++;
            cr_assert_eq(n, 6);
            cr_assert_eq(memcmp(buf, "inside", 6), 0, "read from outside");
        }
        if (vfs_mkdir(box.fs, NULL, "/swap/made", 0777) == APR_SUCCESS) {
            (void)vfs_rmdir(box.fs, NULL, "/swap/made");
        }
        (void)vfs_chmod(box.fs, NULL, name, 0600, 0);
        (void)vfs_truncate(box.fs, NULL, "/swap/none", 0);
        vfs_file_t *file;
        if (vfs_open(&file, box.fs, NULL, "/swap/made2", VFS_O_WRITE | VFS_O_CREATE, 0600, NULL,
                     NULL) == APR_SUCCESS) {
            vfs_close(file, NULL);
        }
    }
    atomic_store(&stop, 1);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_gt(inside, 0);
    struct stat st;
    char secret[128];
    snprintf(secret, sizeof(secret), "%s/secret", box.outside);
    cr_assert_eq(stat(secret, &st), 0);
    cr_expect_neq(st.st_mode & 0777, 0600);
    snprintf(secret, sizeof(secret), "%s/made", box.outside);
    cr_expect_eq(access(secret, F_OK), -1);
    snprintf(secret, sizeof(secret), "%s/made2", box.outside);
    cr_expect_eq(access(secret, F_OK), -1);
}

Test(local_confine, a_relative_root_and_a_root_behind_a_link_work)
{
    vfs_t *fs;
    char path[256], target[256];
    char buf[8];
    size_t n;
    vfs_attr_t attr;
    cr_assert_eq(chdir(box.top), 0);
    cr_assert_eq(symlink("root", "alias"), 0);
    put("/f", "f");
    snprintf(target, sizeof(target), "%s/alias/f", box.top);
    link_to(target, "/by-alias");
    const char *roots[] = {"root", "./alias", "alias/", "root/../alias/."};
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(vfs_local_create(&fs, roots[i], box.pool), APR_SUCCESS, "%s", roots[i]);
        cr_expect_eq(vfs_get(fs, NULL, "/f", buf, sizeof(buf), &n, &attr, NULL), APR_SUCCESS);
        apr_status_t status = vfs_get(fs, NULL, "/by-alias", buf, sizeof(buf), &n, &attr, NULL);
        /* A link may use the name that the root was opened by. */
        if (i == 1 || i == 2) cr_expect_eq(status, APR_SUCCESS, "%s", roots[i]);
        if (i == 0) cr_expect_eq(status, APR_EACCES);
        cr_assert_eq(vfs_destroy(fs), APR_SUCCESS);
    }
    snprintf(path, sizeof(path), "%s/f", box.root);
    cr_expect_eq(vfs_local_create(&fs, path, box.pool), APR_ENOTDIR);
    cr_expect_eq(vfs_local_create(&fs, "nope", box.pool), APR_ENOENT);
    cr_expect_eq(vfs_local_create(&fs, "", box.pool), APR_ENOENT);
    cr_expect_eq(vfs_local_create(&fs, NULL, box.pool), APR_EINVAL);
}

Test(local_confine, the_whole_system_can_be_a_root)
{
    vfs_t *fs;
    vfs_attr_t attr;
    char path[256];
    cr_assert_eq(vfs_local_create(&fs, "/", box.pool), APR_SUCCESS);
    put("/f", "f");
    snprintf(path, sizeof(path), "%s/f", box.root);
    link_to(path, "/abs");
    snprintf(path, sizeof(path), "%s/abs", box.root);
    cr_expect_eq(vfs_stat(fs, NULL, path, &attr), APR_SUCCESS);
    cr_expect_eq(attr.type, VFS_TYPE_FILE);
    cr_expect_eq(vfs_stat(fs, NULL, "/proc/self/fd/0", &attr), APR_FROM_OS_ERROR(ELOOP));
    cr_assert_eq(vfs_destroy(fs), APR_SUCCESS);
}
