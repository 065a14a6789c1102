/* test_open.c - open with every flag, handles that outlive names, and what a handle refuses. */
#include "tests/mem/support_mem.h"

TestSuite(mem_open, .init = mem_setup, .fini = mem_teardown);

#define R VFS_O_READ
#define W VFS_O_WRITE
#define C VFS_O_CREATE

Test(mem_open, flags_answer_as_linux_does)
{
    static const struct {
        const char *path;
        uint32_t flags;
        apr_status_t status;
    } cases[] = {
        {"/f", R, APR_SUCCESS},
        {"/f", R | W | C, APR_SUCCESS},
        {"/f", W | C | VFS_O_EXCL, APR_EEXIST},
        {"/f", R | VFS_O_DIRECTORY, APR_ENOTDIR},
        {"/f/x", R, APR_ENOTDIR},
        {"/f/x", W | C, APR_ENOTDIR},
        {"/none", R, APR_ENOENT},
        {"/none/x", W | C, APR_ENOENT},
        {"/d", R, APR_SUCCESS},
        {"/d", R | VFS_O_DIRECTORY, APR_SUCCESS},
        {"/d", W, OSERR(EISDIR)},
        {"/d", R | C, OSERR(EISDIR)},
        {"/d", W | C | VFS_O_EXCL, APR_EEXIST},
        {"/l", R, APR_SUCCESS},
        {"/l", R | VFS_O_NOFOLLOW, OSERR(ELOOP)},
        {"/l", R | VFS_O_NOFOLLOW | VFS_O_DIRECTORY, APR_ENOTDIR},
        {"/l", W | C | VFS_O_NOFOLLOW, OSERR(ELOOP)},
        {"/ld", R | VFS_O_DIRECTORY, APR_SUCCESS},
        {"/dangling", R, APR_ENOENT},
        {"/dangling", W | C | VFS_O_EXCL, APR_EEXIST},
        {"/slash", W | C, OSERR(EISDIR)},
        {"/up", W | C, OSERR(EISDIR)},
        {"/p", R, OSERR(ENXIO)},
        {"/s", W, OSERR(ENXIO)},
        {"/c", R | W, OSERR(ENXIO)},
        {"/f", W | VFS_O_SYNC | VFS_O_DIRECT, APR_SUCCESS},
    };

    put_ok("/f", "text");
    OK(vfs_mkdir(fs, NULL, "/d", 0755));
    OK(vfs_symlink(fs, NULL, "f", "/l"));
    OK(vfs_symlink(fs, NULL, "d", "/ld"));
    OK(vfs_symlink(fs, NULL, "made", "/dangling"));
    OK(vfs_symlink(fs, NULL, "new/", "/slash"));
    OK(vfs_symlink(fs, NULL, "d/..", "/up"));
    OK(vfs_mknod(fs, NULL, "/p", VFS_TYPE_FIFO, 0644, 0));
    OK(vfs_mknod(fs, NULL, "/s", VFS_TYPE_SOCKET, 0644, 0));
    OK(vfs_mknod(fs, NULL, "/c", VFS_TYPE_CHAR, 0644, 1));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        vfs_file_t *file;
        apr_status_t status =
            vfs_open(&file, fs, NULL, cases[i].path, cases[i].flags, 0644, NULL, NULL);
        cr_expect(status == cases[i].status, "%s with %x: %d", cases[i].path, cases[i].flags,
                  status);
        if (status == APR_SUCCESS) close_ok(file);
    }
    holds("/f", "text");
    cr_expect_str_eq(names_in("/"), "f d l ld dangling slash up p s c");
    put_ok("/dangling", "born");
    holds("/made", "born");
}

Test(mem_open, open_answers_with_attributes_and_version)
{
    vfs_file_t *file;
    vfs_attr_t attr;
    vfs_validator_t version, now;

    OK(vfs_open(&file, fs, NULL, "/f", W | C, 04751, &attr, &version));
    cr_expect(attr.size == 0 && attr.mode == 04751 && attr.nlink == 1 &&
              attr.type == VFS_TYPE_FILE);
    cr_expect(attr.flags == (VFS_ATTR_DIRECT | VFS_ATTR_STABLE_ID));
    cr_expect(version.kind == VFS_VALIDATOR_VERSION && version.flags == 0 && version.len == 16);
    write_ok(file, "abc", 3, 0);
    now = version_of("/f");
    cr_expect(!vfs_validator_equal(&version, &now));
    close_ok(file);
    OK(vfs_open(&file, fs, NULL, "/f", W | VFS_O_TRUNC, 0, &attr, &version));
    cr_expect(attr.size == 0 && !vfs_validator_equal(&version, &now));
    close_ok(file);
    OK(vfs_symlink(fs, NULL, "f", "/l"));
    OK(vfs_open(&file, fs, NULL, "/l", R, 0, &attr, &version));
    cr_expect((attr.flags & VFS_ATTR_DIRECT) == 0);
    OK(vfs_fstat(file, NULL, &attr));
    cr_expect((attr.flags & VFS_ATTR_DIRECT) == 0);
    close_ok(file);
}

Test(mem_open, the_umask_counts_when_a_file_is_made)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;
    vfs_file_t *file;

    ctx.flags = VFS_CTX_UMASK;
    ctx.umask = 027;
    OK(vfs_open(&file, fs, &ctx, "/f", W | C, 0666, NULL, NULL));
    close_ok(file);
    OK(vfs_mkdir(fs, &ctx, "/d", 0777));
    OK(vfs_symlink(fs, &ctx, "f", "/l"));
    cr_expect(stat_of("/f").mode == 0640 && stat_of("/d").mode == 0750);
    cr_expect(lstat_of("/l").mode == 0777);
}

Test(mem_open, a_handle_outlives_its_name)
{
    char buf[8];
    size_t got;
    vfs_file_t *file;

    mem_limit(1 << 20);
    put_ok("/f", "alive");
    file = open_ok("/f", R | W);
    OK(vfs_unlink(fs, NULL, "/f"));
    cr_expect(fstat_of(file).nlink == 0);
    OK(vfs_read_at(file, NULL, buf, sizeof(buf), 0, &got));
    cr_expect(got == 5 && memcmp(buf, "alive", 5) == 0);
    write_ok(file, "!", 1, 5);
    cr_expect(fstat_of(file).size == 6 && bytes_used(1 << 20) == 4096);
    put_ok("/f", "new");
    close_ok(file);
    holds("/f", "new");
    cr_expect(bytes_used(1 << 20) == 4096);
    file = open_ok("/f", R);
    put_ok("/g", "other");
    OK(vfs_rename(fs, NULL, "/g", "/f", 0));
    OK(vfs_read_at(file, NULL, buf, sizeof(buf), 0, &got));
    cr_expect(got == 3 && memcmp(buf, "new", 3) == 0);
    close_ok(file);
}

Test(mem_open, a_directory_handle_refuses_bytes)
{
    char buf[8];
    size_t n;
    vfs_file_t *dir, *file;
    apr_off_t where;

    OK(vfs_mkdir(fs, NULL, "/d", 0755));
    put_ok("/f", "x");
    dir = open_ok("/d", R);
    file = open_ok("/f", R | W);
    EXPECT(OSERR(EISDIR), vfs_read_at(dir, NULL, buf, sizeof(buf), 0, &n));
    EXPECT(OSERR(EISDIR), vfs_seek_extent(dir, NULL, 0, VFS_SEEK_DATA, &where));
    EXPECT(OSERR(EISDIR), vfs_copy_range(dir, NULL, 0, file, 0, 1, &n));
    EXPECT(APR_EBADF, vfs_write_at(dir, NULL, buf, 1, 0, &n, NULL));
    OK(vfs_fchmod(dir, NULL, 0700));
    cr_expect(fstat_of(dir).mode == 0700 && fstat_of(dir).type == VFS_TYPE_DIR);
    OK(vfs_sync(dir, NULL, VFS_SYNC_ALL));
    OK(vfs_flush(file, NULL));
    close_ok(dir);
    close_ok(file);
}

Test(mem_open, get_brings_attributes_version_and_bytes)
{
    char buf[4];
    size_t got;
    vfs_attr_t attr;
    vfs_validator_t version, now;

    put_ok("/f", "longer");
    OK(vfs_get(fs, NULL, "/f", buf, sizeof(buf), &got, &attr, &version));
    now = version_of("/f");
    cr_expect(got == 4 && memcmp(buf, "long", 4) == 0 && attr.size == 6);
    cr_expect(vfs_validator_equal(&version, &now));
    OK(vfs_get(fs, NULL, "/", buf, sizeof(buf), &got, &attr, &version));
    cr_expect(got == 0 && attr.type == VFS_TYPE_DIR);
    EXPECT(APR_ENOENT, vfs_get(fs, NULL, "/none", buf, sizeof(buf), &got, &attr, &version));
    cr_expect((attr.flags & VFS_ATTR_DIRECT) != 0);
}

Test(mem_open, locks_belong_to_the_file_and_end_with_the_handle)
{
    vfs_lock_t lock = {.type = VFS_LOCK_WRITE, .start = 0, .len = 10};
    vfs_file_t *a, *b;

    put_ok("/f", "x");
    OK(vfs_link(fs, NULL, "/f", "/g"));
    a = open_ok("/f", R | W);
    b = open_ok("/g", R | W);
    OK(vfs_lock(a, NULL, &lock));
    EXPECT(APR_EAGAIN, vfs_lock(b, NULL, &lock));
    lock.start = 10;
    OK(vfs_lock(b, NULL, &lock));
    close_ok(a);
    lock.start = 0;
    OK(vfs_lock(b, NULL, &lock));
    close_ok(b);
}

Test(mem_open, a_whole_file_system_syncs_and_tells_its_space)
{
    vfs_statfs_t space;

    OK(vfs_sync_fs(fs, NULL));
    OK(vfs_sync_dir(fs, NULL, "/"));
    put_ok("/f", "x");
    EXPECT(APR_ENOTDIR, vfs_sync_dir(fs, NULL, "/f"));
    EXPECT(APR_ENOENT, vfs_sync_dir(fs, NULL, "/none"));
    EXPECT(APR_ENOENT, vfs_statfs(fs, NULL, "/none", &space));
    OK(vfs_statfs(fs, NULL, "/f", &space));
    cr_expect(space.bytes_total > 0 && space.bytes_free == space.bytes_total - 4096);
    cr_expect(space.files_total - space.files_free == 2 && space.name_max == VFS_NAME_MAX);
    EXPECT(APR_EINVAL, vfs_mem_create(NULL, 0, NULL));
}
