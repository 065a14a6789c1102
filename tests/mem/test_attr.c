/* test_attr.c - attributes and versions: what changes them, and what leaves them alone. */
#include "tests/mem/support_mem.h"

TestSuite(mem_attr, .init = mem_setup, .fini = mem_teardown);

#define RW (VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE)

Test(mem_attr, times_are_set_to_the_nanosecond)
{
    vfs_file_t *file;
    vfs_attr_t before, attr;
    int64_t start = vfs_now_ns();

    put_ok("/f", "x");
    before = stat_of("/f");
    cr_expect(before.mtime_ns >= start && before.mtime_ns <= vfs_now_ns());
    cr_expect(before.btime_ns >= start && before.btime_ns <= before.mtime_ns);
    OK(vfs_utimens(fs, NULL, "/f", 1000000001, -5, 0));
    attr = stat_of("/f");
    cr_expect(attr.atime_ns == 1000000001 && attr.mtime_ns == -5);
    cr_expect(attr.ctime_ns > before.ctime_ns);
    OK(vfs_utimens(fs, NULL, "/f", VFS_TIME_OMIT, 7, 0));
    cr_expect(stat_of("/f").atime_ns == 1000000001 && stat_of("/f").mtime_ns == 7);
    attr = stat_of("/f");
    OK(vfs_utimens(fs, NULL, "/f", VFS_TIME_OMIT, VFS_TIME_OMIT, 0));
    cr_expect(stat_of("/f").ctime_ns == attr.ctime_ns);
    file = open_ok("/f", VFS_O_READ);
    OK(vfs_futimens(file, NULL, VFS_TIME_NOW, VFS_TIME_OMIT));
    cr_expect(fstat_of(file).atime_ns >= attr.ctime_ns && fstat_of(file).mtime_ns == 7);
    close_ok(file);
    OK(vfs_symlink(fs, NULL, "f", "/l"));
    OK(vfs_utimens(fs, NULL, "/l", 1, 2, VFS_NOFOLLOW));
    cr_expect(lstat_of("/l").mtime_ns == 2 && stat_of("/l").mtime_ns == 7);
    OK(vfs_utimens(fs, NULL, "/l", VFS_TIME_OMIT, 9, 0));
    cr_expect(stat_of("/f").mtime_ns == 9);
    EXPECT(APR_ENOENT, vfs_utimens(fs, NULL, "/none", 1, 1, 0));
}

/* Which of these change the version of /f, and which its mtime? */
typedef struct change_t {
    const char *what;
    int version, mtime;
} change_t;

static void expect_change(const change_t *change, apr_status_t (*act)(vfs_file_t *),
                          vfs_file_t *file)
{
    vfs_validator_t old = version_of("/f"), now;
    vfs_attr_t before = stat_of("/f"), after;

    cr_assert(act(file) == APR_SUCCESS, "%s", change->what);
    now = version_of("/f");
    after = stat_of("/f");
    cr_expect(vfs_validator_equal(&old, &now) == !change->version, "version: %s", change->what);
    cr_expect((before.mtime_ns == after.mtime_ns) == !change->mtime, "mtime: %s", change->what);
    cr_expect(before.ctime_ns < after.ctime_ns, "ctime: %s", change->what);
}

static apr_status_t do_write(vfs_file_t *file)
{
    size_t n;
    return vfs_write_at(file, NULL, "y", 1, 0, &n, NULL);
}
static apr_status_t do_grow(vfs_file_t *file)
{
    return vfs_ftruncate(file, NULL, 9000);
}
static apr_status_t do_nothing(vfs_file_t *file)
{
    (void)file;
    return vfs_truncate(fs, NULL, "/f", 9000);
}
static apr_status_t do_punch(vfs_file_t *file)
{
    return vfs_allocate(file, NULL, VFS_ALLOC_PUNCH_HOLE | VFS_ALLOC_KEEP_SIZE, 0, 10);
}
static apr_status_t do_reserve(vfs_file_t *file)
{
    return vfs_allocate(file, NULL, 0, 0, 100);
}
static apr_status_t do_copy(vfs_file_t *file)
{
    size_t n;
    return vfs_copy_range(file, NULL, 0, file, 100, 10, &n);
}
static apr_status_t do_chmod(vfs_file_t *file)
{
    return vfs_fchmod(file, NULL, 0600);
}
static apr_status_t do_chown(vfs_file_t *file)
{
    return vfs_fchown(file, NULL, 5, (uint32_t)-1);
}
static apr_status_t do_xattr(vfs_file_t *file)
{
    return vfs_fsetxattr(file, NULL, "user.a", "v", 1, 0);
}
static apr_status_t do_utimens(vfs_file_t *file)
{
    return vfs_futimens(file, NULL, VFS_TIME_OMIT, 12345);
}
static apr_status_t do_link(vfs_file_t *file)
{
    (void)file;
    return vfs_link(fs, NULL, "/f", "/g");
}
static apr_status_t do_rename(vfs_file_t *file)
{
    apr_status_t status;
    (void)file;
    status = vfs_rename(fs, NULL, "/f", "/h", 0);
    return status == APR_SUCCESS ? vfs_rename(fs, NULL, "/h", "/f", 0) : status;
}

Test(mem_attr, the_version_changes_exactly_when_the_bytes_do)
{
    static const struct {
        change_t change;
        apr_status_t (*act)(vfs_file_t *);
    } acts[] = {
        {{"write", 1, 1}, do_write},       {{"grow", 1, 1}, do_grow},
        {{"same size", 0, 1}, do_nothing}, {{"punch", 1, 1}, do_punch},
        {{"reserve", 0, 0}, do_reserve},   {{"copy", 1, 1}, do_copy},
        {{"chmod", 0, 0}, do_chmod},       {{"chown", 0, 0}, do_chown},
        {{"xattr", 0, 0}, do_xattr},       {{"utimens", 0, 1}, do_utimens},
        {{"link", 0, 0}, do_link},         {{"rename", 0, 0}, do_rename},
    };
    vfs_file_t *file = open_ok("/f", RW);

    for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
        expect_change(&acts[i].change, acts[i].act, file);
    close_ok(file);
    vfs_validator_t before = version_of("/f"), after;
    vfs_attr_t attr = stat_of("/f");
    char byte;
    size_t got;
    OK(vfs_get(fs, NULL, "/f", &byte, 1, &got, NULL, NULL));
    after = version_of("/f");
    cr_expect(vfs_validator_equal(&before, &after) && stat_of("/f").atime_ns == attr.atime_ns);
}

Test(mem_attr, a_version_belongs_to_one_file_of_one_life)
{
    vfs_validator_t first, second, root;

    put_ok("/f", "x");
    first = version_of("/f");
    OK(vfs_unlink(fs, NULL, "/f"));
    put_ok("/f", "x");
    second = version_of("/f");
    cr_expect(!vfs_validator_equal(&first, &second));
    mem_limit(0);
    put_ok("/f", "x");
    second = version_of("/f");
    cr_expect(!vfs_validator_equal(&first, &second), "another file system begins elsewhere");
    root = version_of("/");
    put_ok("/g", "");
    second = version_of("/");
    cr_expect(!vfs_validator_equal(&root, &second), "a directory changes with its entries");
}

Test(mem_attr, two_file_systems_have_two_device_numbers)
{
    uint64_t dev = stat_of("/").dev;

    mem_limit(0);
    cr_expect(stat_of("/").dev != dev);
}

Test(mem_attr, a_directory_tells_when_its_entries_change)
{
    vfs_attr_t before = stat_of("/"), after;

    put_ok("/a", "");
    after = stat_of("/");
    cr_expect(after.mtime_ns > before.mtime_ns && after.ctime_ns == after.mtime_ns);
    before = after;
    OK(vfs_rename(fs, NULL, "/a", "/b", 0));
    after = stat_of("/");
    cr_expect(after.mtime_ns > before.mtime_ns);
    before = after;
    put_ok("/b", "x");
    cr_expect(stat_of("/").mtime_ns == before.mtime_ns, "bytes are no concern of the directory");
    OK(vfs_unlink(fs, NULL, "/b"));
    cr_expect(stat_of("/").mtime_ns > before.mtime_ns);
}

Test(mem_attr, modes_and_owners_are_set)
{
    vfs_file_t *file;

    put_ok("/f", "");
    OK(vfs_chmod(fs, NULL, "/f", 06755, 0));
    cr_expect(stat_of("/f").mode == 06755);
    OK(vfs_chown(fs, NULL, "/f", 10, 20, 0));
    cr_expect(stat_of("/f").uid == 10 && stat_of("/f").gid == 20);
    cr_expect(stat_of("/f").mode == 0755, "a new owner does not inherit the powers of the old one");
    OK(vfs_chmod(fs, NULL, "/f", 02644, 0));
    OK(vfs_chown(fs, NULL, "/f", 11, (uint32_t)-1, 0));
    cr_expect(stat_of("/f").uid == 11 && stat_of("/f").gid == 20 && stat_of("/f").mode == 02644);
    OK(vfs_symlink(fs, NULL, "f", "/l"));
    OK(vfs_chown(fs, NULL, "/l", 1, 1, VFS_NOFOLLOW));
    cr_expect(lstat_of("/l").uid == 1 && stat_of("/l").uid == 11);
    EXPECT(APR_ENOTIMPL, vfs_chmod(fs, NULL, "/l", 0600, VFS_NOFOLLOW));
    OK(vfs_chmod(fs, NULL, "/l", 0600, 0));
    cr_expect(stat_of("/f").mode == 0600);
    OK(vfs_mkdir(fs, NULL, "/d", 0755));
    OK(vfs_chmod(fs, NULL, "/d", 06755, 0));
    OK(vfs_chown(fs, NULL, "/d", 3, 3, 0));
    cr_expect(stat_of("/d").mode == 06755, "a directory keeps its bits");
    file = open_ok("/f", VFS_O_READ);
    OK(vfs_fchown(file, NULL, 7, 8));
    OK(vfs_fchmod(file, NULL, 0640));
    cr_expect(fstat_of(file).uid == 7 && fstat_of(file).gid == 8 && fstat_of(file).mode == 0640);
    close_ok(file);
    EXPECT(APR_ENOENT, vfs_chmod(fs, NULL, "/none", 0600, 0));
}

Test(mem_attr, truncate_by_name_minds_the_type)
{
    put_ok("/f", "hello");
    OK(vfs_truncate(fs, NULL, "/f", 2));
    holds("/f", "he");
    OK(vfs_mkdir(fs, NULL, "/d", 0755));
    OK(vfs_mknod(fs, NULL, "/p", VFS_TYPE_FIFO, 0644, 0));
    EXPECT(OSERR(EISDIR), vfs_truncate(fs, NULL, "/d", 0));
    EXPECT(APR_EINVAL, vfs_truncate(fs, NULL, "/p", 0));
    EXPECT(APR_ENOENT, vfs_truncate(fs, NULL, "/none", 0));
}
