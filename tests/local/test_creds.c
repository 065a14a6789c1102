/*
 * test_creds.c - whose call it is: rights, owners, groups, set-id bits, umasks and default ACLs. As
 * root each test acts as others through the context; without root, it asserts what then holds: one
 * can be nobody but oneself.
 */
#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/local/support_box.h"

TestSuite(local_creds, .init = box_open, .fini = box_close);

#define RW (VFS_O_READ | VFS_O_WRITE)

/* Without root: others cannot be impersonated, and oneself is no matter. Returns whether to go on
 * as root. */
static int can_impersonate(void)
{
    vfs_attr_t attr;
    if (am_root()) return 1;
    vfs_ctx_t other = as_user((uint32_t)geteuid() + 1, 1);
    vfs_ctx_t self = as_user((uint32_t)geteuid(), 1);
    cr_expect_eq(vfs_stat(box.fs, &other, "/", &attr), APR_EACCES);
    cr_expect_eq(vfs_stat(box.fs, &self, "/", &attr), APR_SUCCESS);
    cr_expect_eq(vfs_caps(box.fs)->bits & VFS_CAP_CREDS, 0);
    return 0;
}

static vfs_attr_t lstat_ok(const char *path)
{
    vfs_attr_t attr;
    cr_assert_eq(vfs_lstat(box.fs, NULL, path, &attr), APR_SUCCESS, "%s", path);
    return attr;
}

Test(local_creds, the_kernel_checks_the_user_of_the_call)
{
    vfs_attr_t attr;
    vfs_file_t *file;
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    char buf[8];
    size_t n;
    if (!can_impersonate()) return;
    vfs_ctx_t nobody = as_user(NOBODY, NOBODY);
    put("/private", "p");
    cr_assert_eq(chmod(os("/private"), 0600), 0);
    cr_assert_eq(mkdir(os("/closed"), 0700), 0);
    put("/closed/f", "f");
    cr_assert_eq(mkdir(os("/readable"), 0744), 0);
    put("/readable/f", "f");
    cr_assert_eq(mkdir(os("/plain"), 0755), 0);
    cr_expect_eq(vfs_open(&file, box.fs, &nobody, "/private", VFS_O_READ, 0, NULL, NULL),
                 APR_EACCES);
    cr_expect_eq(vfs_open(&file, box.fs, &nobody, "/plain/x", RW | VFS_O_CREATE, 0600, NULL, NULL),
                 APR_EACCES);
    cr_expect_eq(vfs_get(box.fs, &nobody, "/private", buf, 8, &n, &attr, NULL), APR_EACCES);
    cr_expect_eq(vfs_get(box.fs, &nobody, "/closed", buf, 8, &n, &attr, NULL), APR_EACCES);
    cr_expect_eq(vfs_access(box.fs, &nobody, "/private", VFS_ACCESS_READ), APR_EACCES);
    cr_expect_eq(vfs_access(box.fs, NULL, "/private", VFS_ACCESS_READ), APR_SUCCESS);
    cr_expect_eq(vfs_stat(box.fs, &nobody, "/private", &attr), APR_SUCCESS);
    cr_expect_eq(vfs_stat(box.fs, &nobody, "/closed/f", &attr), APR_EACCES);
    cr_expect_eq(vfs_chmod(box.fs, &nobody, "/private", 0777, 0), APR_FROM_OS_ERROR(EPERM));
    cr_expect_eq(vfs_chown(box.fs, &nobody, "/private", NOBODY, NOBODY, 0),
                 APR_FROM_OS_ERROR(EPERM));
    cr_expect_eq(vfs_utimens(box.fs, &nobody, "/private", 0, 0, 0), APR_FROM_OS_ERROR(EPERM));
    cr_expect_eq(vfs_truncate(box.fs, &nobody, "/private", 0), APR_EACCES);
    cr_expect_eq(vfs_mkdir(box.fs, &nobody, "/plain/d", 0755), APR_EACCES);
    cr_expect_eq(vfs_unlink(box.fs, &nobody, "/readable/f"), APR_EACCES);
    cr_expect_eq(vfs_symlink(box.fs, &nobody, "x", "/plain/s"), APR_EACCES);
    cr_expect_eq(vfs_rename(box.fs, &nobody, "/readable/f", "/f", 0), APR_EACCES);
    cr_expect_eq(vfs_opendir(&dir, box.fs, &nobody, "/closed", 0), APR_EACCES);
    cr_expect_eq(vfs_sync_dir(box.fs, &nobody, "/closed"), APR_EACCES);
    cr_expect_eq(vfs_mknod(box.fs, &nobody, "/null", VFS_TYPE_CHAR, 0666, 259),
                 APR_FROM_OS_ERROR(EPERM));
    /* It may list, but not look at what it lists. */
    cr_assert_eq(vfs_opendir(&dir, box.fs, &nobody, "/readable", VFS_DIR_ATTRS), APR_SUCCESS);
    cr_assert_eq(vfs_readdir(dir, &nobody, &entry), APR_SUCCESS);
    cr_expect_str_eq(entry.name, "f");
    cr_expect_not(entry.has_attr);
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
    /* And the thread is itself again. */
    cr_expect_eq(setfsuid((uid_t)-1), 0);
    cr_expect(holds("/closed/f", "f"));
}

Test(local_creds, what_is_made_belongs_to_the_user_of_the_call)
{
    vfs_file_t *file;
    vfs_attr_t attr;
    if (!can_impersonate()) return;
    vfs_ctx_t user = as_user(1234, 2345);
    cr_assert_eq(chmod(box.root, 0777), 0);
    cr_assert_eq(vfs_open(&file, box.fs, &user, "/f", RW | VFS_O_CREATE, 0640, &attr, NULL),
                 APR_SUCCESS);
    cr_expect_eq(attr.uid, 1234);
    cr_expect_eq(attr.gid, 2345);
    cr_expect_eq(attr.mode, 0640);
    cr_expect_eq(vfs_fchmod(file, &user, 0600), APR_SUCCESS);
    cr_assert_eq(vfs_close(file, &user), APR_SUCCESS);
    cr_assert_eq(vfs_mkdir(box.fs, &user, "/d", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_mknod(box.fs, &user, "/fifo", VFS_TYPE_FIFO, 0600, 0), APR_SUCCESS);
    cr_assert_eq(vfs_symlink(box.fs, &user, "x", "/s"), APR_SUCCESS);
    cr_assert_eq(vfs_write_file(box.fs, &user, "/w", "w", 1, 0600), APR_SUCCESS);
    const char *names[] = {"/d", "/fifo", "/s", "/w"};
    for (int i = 0; i < 4; i++) {
        cr_expect_eq(lstat_ok(names[i]).uid, 1234, "%s", names[i]);
        cr_expect_eq(lstat_ok(names[i]).gid, 2345, "%s", names[i]);
    }
    vfs_ctx_t wheel = as_user(0, 77);
    cr_assert_eq(vfs_mkdir(box.fs, &wheel, "/wheel", 0755), APR_SUCCESS);
    cr_expect_eq(lstat_ok("/wheel").uid, 0);
    cr_expect_eq(lstat_ok("/wheel").gid, 77);
    cr_expect_eq(setfsgid((gid_t)-1), (int)getegid());
}

Test(local_creds, groups_count_and_are_put_back)
{
    vfs_attr_t attr;
    uint32_t groups[40];
    gid_t before[64], after[64];
    if (!can_impersonate()) return;
    for (uint32_t i = 0; i < 40; i++)
        groups[i] = 5000 + i;
    vfs_ctx_t user = as_user(1234, 2345);
    put("/f", "f");
    cr_assert_eq(chown(os("/f"), 0, 5039), 0);
    cr_assert_eq(chmod(os("/f"), 0040), 0);
    cr_expect_eq(vfs_access(box.fs, &user, "/f", VFS_ACCESS_READ), APR_EACCES);
    user.groups = groups;
    user.ngroups = 40;
    int count = getgroups(64, before);
    cr_expect_eq(vfs_access(box.fs, &user, "/f", VFS_ACCESS_READ), APR_SUCCESS);
    cr_expect_eq(getgroups(64, after), count);
    cr_expect_eq(memcmp(before, after, sizeof(gid_t) * (size_t)count), 0);
    /* Many groups of our own come back, too. */
    cr_assert_eq(setgroups(40, groups), 0);
    cr_expect_eq(vfs_stat(box.fs, &user, "/f", &attr), APR_SUCCESS);
    cr_expect_eq(getgroups(64, after), 40);
    user.ngroups = 70000;
    cr_expect_eq(vfs_stat(box.fs, &user, "/f", &attr), APR_EINVAL);
    vfs_ctx_t none = as_user((uint32_t)-1, 1);
    cr_expect_eq(vfs_stat(box.fs, &none, "/f", &attr), APR_FROM_OS_ERROR(EPERM),
                 "whom the kernel does not take is not mistaken for root");
    cr_expect_eq(setfsuid((uid_t)-1), 0);
    cr_expect_eq(getgroups(64, after), 40);
}

static void *bystander(void *baton)
{
    int *bad = baton;
    for (int i = 0; i < 20000; i++)
        *bad += setfsuid((uid_t)-1) != 0;
    return NULL;
}

Test(local_creds, other_threads_stay_who_they_are)
{
    pthread_t thread;
    vfs_attr_t attr;
    int bad = 0;
    if (!can_impersonate()) return;
    vfs_ctx_t nobody = as_user(NOBODY, NOBODY);
    cr_assert_eq(pthread_create(&thread, NULL, bystander, &bad), 0);
    for (int i = 0; i < 2000; i++) {
        cr_assert_eq(vfs_stat(box.fs, &nobody, "/", &attr), APR_SUCCESS);
    }
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_expect_eq(bad, 0);
}

Test(local_creds, set_id_bits_go_as_in_the_kernel)
{
    vfs_file_t *file;
    vfs_attr_t attr;
    size_t n;
    if (!can_impersonate()) return;
    vfs_ctx_t user = as_user(1234, 2345);
    cr_assert_eq(chmod(box.root, 0777), 0);
    cr_assert_eq(vfs_open(&file, box.fs, &user, "/f", RW | VFS_O_CREATE, 0600, NULL, NULL),
                 APR_SUCCESS);
    cr_assert_eq(vfs_chmod(box.fs, &user, "/f", 06777, 0), APR_SUCCESS);
    cr_expect_eq(lstat_ok("/f").mode, 06777);
    vfs_iovec_t iov = {&n, 1};
    cr_assert_eq(vfs_write_at(file, &user, "x", 1, 0, &n, NULL), APR_SUCCESS);
    cr_expect_eq(lstat_ok("/f").mode, 0777, "a write of a user clears them");
    cr_assert_eq(vfs_chmod(box.fs, &user, "/f", 06777, 0), APR_SUCCESS);
    cr_assert_eq(vfs_writev_at(file, &user, &iov, 1, 0, &n, NULL), APR_SUCCESS);
    cr_expect_eq(lstat_ok("/f").mode, 0777);
    cr_assert_eq(vfs_chmod(box.fs, &user, "/f", 06777, 0), APR_SUCCESS);
    cr_assert_eq(vfs_ftruncate(file, &user, 10), APR_SUCCESS);
    cr_expect_eq(lstat_ok("/f").mode, 0777);
    cr_assert_eq(vfs_chmod(box.fs, &user, "/f", 06777, 0), APR_SUCCESS);
    cr_assert_eq(vfs_fchown(file, &user, 1234, 2345), APR_SUCCESS);
    cr_expect_eq(lstat_ok("/f").mode, 0777);
    cr_assert_eq(vfs_chmod(box.fs, NULL, "/f", 06777, 0), APR_SUCCESS);
    cr_assert_eq(vfs_write_at(file, NULL, "x", 1, 0, &n, NULL), APR_SUCCESS);
    cr_expect_eq(lstat_ok("/f").mode, 06777, "a write of root does not");
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    /* chmod by one who is not in the file's group. */
    cr_assert_eq(vfs_chown(box.fs, NULL, "/f", 1234, 999, 0), APR_SUCCESS);
    cr_assert_eq(vfs_chmod(box.fs, &user, "/f", 02755, 0), APR_SUCCESS);
    cr_expect_eq(lstat_ok("/f").mode, 0755);
    /* A directory with the group bit hands on its group, and the bit to directories. */
    cr_assert_eq(mkdir(os("/g"), 0777), 0);
    cr_assert_eq(chown(os("/g"), 0, 999), 0);
    cr_assert_eq(chmod(os("/g"), 02777), 0);
    (void)umask(027);
    cr_assert_eq(vfs_mkdir(box.fs, &user, "/g/d", 0777), APR_SUCCESS);
    attr = lstat_ok("/g/d");
    cr_expect_eq(attr.gid, 999);
    cr_expect_eq(attr.mode, 02777);
    cr_assert_eq(vfs_open(&file, box.fs, &user, "/g/f", RW | VFS_O_CREATE, 0666, &attr, NULL),
                 APR_SUCCESS);
    cr_expect_eq(attr.gid, 999);
    cr_expect_eq(attr.mode, 0666);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    (void)umask(0);
}

Test(local_creds, a_sticky_directory_protects_its_files)
{
    if (!can_impersonate()) return;
    vfs_ctx_t one = as_user(1001, 1001), two = as_user(1002, 1002);
    cr_assert_eq(mkdir(os("/tmp"), 0777), 0);
    cr_assert_eq(chmod(os("/tmp"), 01777), 0);
    cr_assert_eq(vfs_mkdir(box.fs, &one, "/tmp/d", 0777), APR_SUCCESS);
    cr_expect_eq(vfs_rmdir(box.fs, &two, "/tmp/d"), APR_FROM_OS_ERROR(EPERM));
    cr_expect_eq(vfs_rename(box.fs, &two, "/tmp/d", "/tmp/e", 0), APR_FROM_OS_ERROR(EPERM));
    cr_expect_eq(vfs_rmdir(box.fs, &one, "/tmp/d"), APR_SUCCESS);
}

Test(local_creds, reserved_attributes_are_for_root)
{
    char buf[32];
    size_t len;
    vfs_file_t *file;
    if (!can_impersonate()) return;
    vfs_ctx_t user = as_user(1234, 2345);
    cr_assert_eq(chmod(box.root, 0777), 0);
    cr_assert_eq(vfs_open(&file, box.fs, &user, "/f", RW | VFS_O_CREATE, 0600, NULL, NULL),
                 APR_SUCCESS);
    apr_status_t eperm = APR_FROM_OS_ERROR(EPERM);
    cr_assert_eq(vfs_setxattr(box.fs, NULL, "/f", "trusted.a", "1", 1, 0, 0), APR_SUCCESS);
    cr_expect_eq(vfs_setxattr(box.fs, &user, "/f", "trusted.a", "1", 1, 0, 0), eperm);
    cr_expect_eq(vfs_setxattr(box.fs, &user, "/f", "security.a", "1", 1, 0, 0), eperm);
    cr_expect_eq(vfs_getxattr(box.fs, &user, "/f", "trusted.a", buf, 32, &len, 0), VFS_ENODATA);
    cr_expect_eq(vfs_getxattr(box.fs, NULL, "/f", "trusted.a", buf, 32, &len, 0), APR_SUCCESS);
    cr_expect_eq(vfs_removexattr(box.fs, &user, "/f", "trusted.a", 0), eperm);
    cr_expect_eq(vfs_fsetxattr(file, &user, "trusted.a", "1", 1, 0), eperm);
    cr_expect_eq(vfs_fgetxattr(file, &user, "trusted.a", buf, 32, &len), VFS_ENODATA);
    cr_expect_eq(vfs_fremovexattr(file, &user, "trusted.a"), eperm);
    cr_expect_eq(vfs_fsetxattr(file, &user, "user.a", "1", 1, 0), APR_SUCCESS);
    cr_expect_eq(vfs_flistxattr(file, &user, buf, 32, &len), APR_SUCCESS);
    vfs_ctx_t other = as_user(1235, 2345);
    cr_expect_eq(vfs_getxattr(box.fs, &other, "/f", "user.a", buf, 32, &len, 0), APR_EACCES);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}

Test(local_creds, reserved_attributes_are_listed_for_root_only)
{
    char buf[64];
    size_t len = 0;
    vfs_file_t *file;
    if (!can_impersonate()) return;
    vfs_ctx_t user = as_user(1234, 2345);
    cr_assert_eq(chmod(box.root, 0777), 0);
    cr_assert_eq(vfs_open(&file, box.fs, &user, "/f", RW | VFS_O_CREATE, 0600, NULL, NULL),
                 APR_SUCCESS);
    cr_assert_eq(vfs_setxattr(box.fs, NULL, "/f", "trusted.long.name", "1", 1, 0, 0), APR_SUCCESS);
    cr_assert_eq(vfs_setxattr(box.fs, &user, "/f", "user.a", "1", 1, 0, 0), APR_SUCCESS);
    cr_expect_eq(vfs_listxattr(box.fs, &user, "/f", NULL, 0, &len, 0), APR_SUCCESS);
    cr_expect_eq(len, sizeof("user.a"));
    cr_expect_eq(vfs_listxattr(box.fs, &user, "/f", buf, sizeof("user.a"), &len, 0), APR_SUCCESS);
    cr_expect(len == sizeof("user.a") && strcmp(buf, "user.a") == 0);
    cr_expect_eq(vfs_listxattr(box.fs, &user, "/f", buf, 3, &len, 0), APR_FROM_OS_ERROR(ERANGE));
    cr_expect_eq(vfs_flistxattr(file, &user, buf, sizeof(buf), &len), APR_SUCCESS);
    cr_expect(len == sizeof("user.a") && strcmp(buf, "user.a") == 0);
    cr_expect_eq(vfs_listxattr(box.fs, NULL, "/f", buf, sizeof(buf), &len, 0), APR_SUCCESS);
    cr_expect_eq(len, sizeof("user.a") + sizeof("trusted.long.name"));
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}

static uint32_t made_mode(const vfs_ctx_t *ctx, int kind, uint32_t mode)
{
    vfs_file_t *file;
    vfs_attr_t attr;
    const char *path = "/umask/x";
    switch (kind) {
    case 0:
    case 1:
        cr_assert_eq(vfs_open(&file, box.fs, ctx, path, RW | VFS_O_CREATE | (kind ? VFS_O_EXCL : 0),
                              mode, &attr, NULL),
                     APR_SUCCESS);
        cr_expect_eq(attr.mode, lstat_ok(path).mode, "the attributes of open are the final ones");
        vfs_close(file, NULL);
        break;
    case 2:
        cr_assert_eq(vfs_mkdir(box.fs, ctx, path, mode), APR_SUCCESS);
        break;
    case 3:
        cr_assert_eq(vfs_mknod(box.fs, ctx, path, VFS_TYPE_FILE, mode, 0), APR_SUCCESS);
        break;
    case 4:
        cr_assert_eq(vfs_mknod(box.fs, ctx, path, VFS_TYPE_FIFO, mode, 0), APR_SUCCESS);
        break;
    default: {
        vfs_source_t none = {NULL, NULL, 0};
        vfs_commit_t how = VFS_COMMIT_INIT;
        how.mode = mode;
        cr_assert_eq(vfs_commit(box.fs, ctx, path, &none, &how, NULL, NULL), APR_SUCCESS);
    }
    }
    mode = lstat_ok(path).mode;
    cr_assert_eq(remove(os(path)), 0);
    return mode;
}

Test(local_creds, a_mode_is_that_of_the_call_whatever_the_umask_of_the_process)
{
    const uint32_t modes[] = {0777, 0644, 0600, 0000, 0222};
    const uint32_t process[] = {0, 022, 077, 0777};
    const uint32_t masks[] = {0, 022, 0277, 0777};
    cr_assert_eq(mkdir(os("/umask"), 0777), 0);
    for (int kind = 0; kind < 6; kind++) {
        for (int m = 0; m < 5; m++) {
            for (int p = 0; p < 4; p++) {
                (void)umask(process[p]);
                cr_expect_eq(made_mode(NULL, kind, modes[m]), modes[m], "kind %d, %o, umask %o",
                             kind, modes[m], process[p]);
                for (int c = 0; c < 4; c++) {
                    vfs_ctx_t ctx = VFS_CTX_INIT;
                    ctx.flags = VFS_CTX_UMASK;
                    ctx.umask = masks[c];
                    cr_expect_eq(made_mode(&ctx, kind, modes[m]), modes[m] & ~masks[c],
                                 "kind %d, %o, umask %o, ours %o", kind, modes[m], process[p],
                                 masks[c]);
                }
            }
        }
    }
    (void)umask(0);
    put("/umask/old", "x");
    cr_assert_eq(chmod(os("/umask/old"), 0604), 0);
    (void)umask(077);
    put("/umask/old", "y");
    (void)umask(0);
    cr_expect_eq(lstat_ok("/umask/old").mode, 0604, "a file that exists keeps its mode");
}

/* u::rwx, g::r-x, o::r-- as a default ACL, in the kernel's format; with a user entry too, a mask of
 * r-x. */
static void set_default_acl(const char *path, int user)
{
    struct __attribute__((packed)) {
        uint32_t version;
        struct __attribute__((packed)) {
            uint16_t tag, perm;
            uint32_t id;
        } entries[5];
    } acl = {2, {{1, 7, ~0u}, {4, 5, ~0u}, {32, 4, ~0u}, {0, 0, 0}, {0, 0, 0}}};
    size_t len = 4 + 3 * 8;
    if (user) {
        acl.entries[1].tag = 2, acl.entries[1].perm = 7, acl.entries[1].id = 1234;
        acl.entries[2].tag = 4, acl.entries[2].perm = 5, acl.entries[2].id = ~0u;
        acl.entries[3].tag = 16, acl.entries[3].perm = 5, acl.entries[3].id = ~0u;
        acl.entries[4].tag = 32, acl.entries[4].perm = 4, acl.entries[4].id = ~0u;
        len = 4 + 5 * 8;
    }
    cr_assert_eq(setxattr(os(path), "system.posix_acl_default", &acl, len, 0), 0);
}

Test(local_creds, a_default_acl_takes_the_place_of_every_umask)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.flags = VFS_CTX_UMASK;
    ctx.umask = 077;
    cr_assert_eq(mkdir(os("/umask"), 0777), 0);
    for (int user = 0; user < 2; user++) {
        set_default_acl("/umask", user);
        for (int kind = 0; kind < 5; kind++) {
            for (uint32_t process = 0; process < 2; process++) {
                (void)umask(process ? 077 : 0);
                cr_expect_eq(made_mode(NULL, kind, 0777), 0754, "kind %d", kind);
                cr_expect_eq(made_mode(&ctx, kind, 0777), 0754, "kind %d", kind);
                cr_expect_eq(made_mode(&ctx, kind, 0640), 0640, "kind %d", kind);
            }
        }
    }
    (void)umask(0);
}
