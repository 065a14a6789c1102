/* test_xattr.c - extended attributes of the memory backend, and their limits. */
#include "tests/mem/support_mem.h"

TestSuite(mem_xattr, .init = mem_setup, .fini = mem_teardown);

Test(mem_xattr, values_are_kept_replaced_listed_and_removed)
{
    char buf[64];
    size_t len;

    put_ok("/f", "");
    OK(vfs_setxattr(fs, NULL, "/f", "user.a", "one", 3, 0, 0));
    OK(vfs_setxattr(fs, NULL, "/f", "user.b", "", 0, VFS_XATTR_CREATE, 0));
    OK(vfs_getxattr(fs, NULL, "/f", "user.a", buf, sizeof(buf), &len, 0));
    cr_expect(len == 3 && memcmp(buf, "one", 3) == 0);
    EXPECT(APR_EEXIST, vfs_setxattr(fs, NULL, "/f", "user.a", "x", 1, VFS_XATTR_CREATE, 0));
    EXPECT(VFS_ENODATA, vfs_setxattr(fs, NULL, "/f", "user.c", "x", 1, VFS_XATTR_REPLACE, 0));
    OK(vfs_setxattr(fs, NULL, "/f", "user.a", "longer", 6, VFS_XATTR_REPLACE, 0));
    OK(vfs_getxattr(fs, NULL, "/f", "user.a", NULL, 0, &len, 0));
    cr_expect(len == 6);
    EXPECT(OSERR(ERANGE), vfs_getxattr(fs, NULL, "/f", "user.a", buf, 5, &len, 0));
    OK(vfs_getxattr(fs, NULL, "/f", "user.b", buf, 5, &len, 0));
    cr_expect(len == 0);
    OK(vfs_listxattr(fs, NULL, "/f", buf, sizeof(buf), &len, 0));
    cr_expect(len == 14 && memcmp(buf, "user.a\0user.b", 14) == 0);
    EXPECT(OSERR(ERANGE), vfs_listxattr(fs, NULL, "/f", buf, 13, &len, 0));
    OK(vfs_listxattr(fs, NULL, "/f", NULL, 0, &len, 0));
    cr_expect(len == 14);
    OK(vfs_removexattr(fs, NULL, "/f", "user.a", 0));
    EXPECT(VFS_ENODATA, vfs_removexattr(fs, NULL, "/f", "user.a", 0));
    EXPECT(VFS_ENODATA, vfs_getxattr(fs, NULL, "/f", "user.a", buf, sizeof(buf), &len, 0));
    EXPECT(APR_ENOENT, vfs_getxattr(fs, NULL, "/none", "user.a", buf, sizeof(buf), &len, 0));
    EXPECT(APR_ENOENT, vfs_setxattr(fs, NULL, "/none", "user.a", "", 0, 0, 0));
    EXPECT(APR_ENOENT, vfs_listxattr(fs, NULL, "/none", NULL, 0, &len, 0));
    EXPECT(APR_ENOENT, vfs_removexattr(fs, NULL, "/none", "user.a", 0));
}

Test(mem_xattr, a_handle_reaches_them_too)
{
    char buf[8];
    size_t len;
    vfs_file_t *file;

    put_ok("/f", "");
    file = open_ok("/f", VFS_O_READ);
    OK(vfs_fsetxattr(file, NULL, "user.a", "v", 1, 0));
    OK(vfs_fgetxattr(file, NULL, "user.a", buf, sizeof(buf), &len));
    cr_expect(len == 1 && buf[0] == 'v');
    OK(vfs_flistxattr(file, NULL, buf, sizeof(buf), &len));
    cr_expect(len == 7);
    OK(vfs_fremovexattr(file, NULL, "user.a"));
    EXPECT(VFS_ENODATA, vfs_fremovexattr(file, NULL, "user.a"));
    close_ok(file);
}

Test(mem_xattr, limits_and_names_are_those_of_linux)
{
    static char name[300], value[65537];
    size_t len;

    put_ok("/f", "");
    memset(name, 'n', 256);
    memcpy(name, "user.", 5);
    EXPECT(OSERR(ERANGE), vfs_setxattr(fs, NULL, "/f", name, "", 0, 0, 0));
    name[255] = '\0';
    OK(vfs_setxattr(fs, NULL, "/f", name, value, 65536, 0, 0));
    OK(vfs_getxattr(fs, NULL, "/f", name, value, sizeof(value), &len, 0));
    cr_expect(len == 65536);
    EXPECT(OSERR(E2BIG), vfs_setxattr(fs, NULL, "/f", "user.a", value, 65537, 0, 0));
    EXPECT(APR_EINVAL, vfs_setxattr(fs, NULL, "/f", "user.", "", 0, 0, 0));
    EXPECT(APR_ENOTIMPL, vfs_setxattr(fs, NULL, "/f", "other.a", "", 0, 0, 0));
    EXPECT(APR_ENOTIMPL, vfs_getxattr(fs, NULL, "/f", "other.a", NULL, 0, &len, 0));
    EXPECT(APR_ENOTIMPL, vfs_removexattr(fs, NULL, "/f", "other.a", 0));
    for (int i = 0; i < 255; i++) {
        sprintf(name + 250, "%03d", i);
        name[253] = 'x';
        cr_assert(vfs_setxattr(fs, NULL, "/f", name, "", 0, 0, 0) == APR_SUCCESS);
    }
    EXPECT(APR_ENOSPC, vfs_setxattr(fs, NULL, "/f", "user.more", "", 0, 0, 0));
    OK(vfs_setxattr(fs, NULL, "/f", name, "v", 1, 0, 0));
    OK(vfs_listxattr(fs, NULL, "/f", value, sizeof(value), &len, 0));
    cr_expect(len == 65536);
}

Test(mem_xattr, they_are_for_files_and_directories_only)
{
    size_t len;

    OK(vfs_mkdir(fs, NULL, "/d", 0755));
    OK(vfs_symlink(fs, NULL, "d", "/l"));
    OK(vfs_mknod(fs, NULL, "/p", VFS_TYPE_FIFO, 0644, 0));
    OK(vfs_setxattr(fs, NULL, "/l", "user.a", "v", 1, 0, 0));
    OK(vfs_getxattr(fs, NULL, "/d", "user.a", NULL, 0, &len, 0));
    EXPECT(OSERR(EPERM), vfs_setxattr(fs, NULL, "/l", "user.a", "v", 1, 0, VFS_NOFOLLOW));
    EXPECT(VFS_ENODATA, vfs_getxattr(fs, NULL, "/l", "user.a", NULL, 0, &len, VFS_NOFOLLOW));
    EXPECT(OSERR(EPERM), vfs_removexattr(fs, NULL, "/p", "user.a", 0));
    OK(vfs_listxattr(fs, NULL, "/p", NULL, 0, &len, 0));
    cr_expect(len == 0);
}

Test(mem_xattr, permission_bits_guard_them)
{
    vfs_ctx_t ann = user_ctx(1000, 1000, NULL), bob = user_ctx(1001, 1001, NULL);
    size_t len;

    put_ok("/f", "");
    OK(vfs_chown(fs, NULL, "/f", 1000, 1000, 0));
    OK(vfs_chmod(fs, NULL, "/f", 0640, 0));
    OK(vfs_setxattr(fs, &ann, "/f", "user.a", "v", 1, 0, 0));
    EXPECT(APR_EACCES, vfs_setxattr(fs, &bob, "/f", "user.a", "v", 1, 0, 0));
    EXPECT(APR_EACCES, vfs_getxattr(fs, &bob, "/f", "user.a", NULL, 0, &len, 0));
    EXPECT(APR_EACCES, vfs_removexattr(fs, &bob, "/f", "user.a", 0));
    OK(vfs_mkdir(fs, NULL, "/tmp", 0777));
    OK(vfs_chmod(fs, NULL, "/tmp", 01777, 0));
    EXPECT(OSERR(EPERM), vfs_setxattr(fs, &ann, "/tmp", "user.a", "v", 1, 0, 0));
}

Test(mem_xattr, they_count_against_the_limit_and_are_given_back)
{
    static char value[1000];

    mem_limit(2500);
    OK(vfs_mkdir(fs, NULL, "/d", 0755));
    OK(vfs_setxattr(fs, NULL, "/d", "user.a", value, 1000, 0, 0));
    OK(vfs_setxattr(fs, NULL, "/d", "user.b", value, 1000, 0, 0));
    EXPECT(APR_ENOSPC, vfs_setxattr(fs, NULL, "/d", "user.c", value, 1000, 0, 0));
    cr_expect(bytes_used(2500) == 2012);
    OK(vfs_setxattr(fs, NULL, "/d", "user.a", value, 10, 0, 0));
    cr_expect(bytes_used(2500) == 1022);
    OK(vfs_removexattr(fs, NULL, "/d", "user.a", 0));
    cr_expect(bytes_used(2500) == 1006);
    OK(vfs_rmdir(fs, NULL, "/d"));
    cr_expect(bytes_used(2500) == 0);
}
