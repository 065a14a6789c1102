/* test_creds.c - what an ordinary user may do, step by step as Linux has it. */
#include "tests/mem/support_mem.h"

TestSuite(mem_creds, .init = mem_setup, .fini = mem_teardown);

#define W VFS_O_WRITE
#define C VFS_O_CREATE

static vfs_ctx_t ann, bob;
static const uint32_t extra = 77;

static void people(void)
{
    ann = user_ctx(1000, 1000, &extra);
    bob = user_ctx(1001, 1001, NULL);
    OK(vfs_mkdir(fs, NULL, "/home", 0755));
    OK(vfs_mkdir(fs, NULL, "/home/ann", 0755));
    OK(vfs_chown(fs, NULL, "/home/ann", 1000, 1000, 0));
    OK(vfs_mkdir(fs, NULL, "/tmp", 0777));
    OK(vfs_chmod(fs, NULL, "/tmp", 01777, 0));
}

static apr_status_t try_open(const vfs_ctx_t *ctx, const char *path, uint32_t flags, uint32_t mode)
{
    vfs_file_t *file;
    apr_status_t status = vfs_open(&file, fs, ctx, path, flags, mode, NULL, NULL);

    return status == APR_SUCCESS ? vfs_close(file, ctx) : status;
}

Test(mem_creds, what_is_made_belongs_to_its_maker)
{
    people();
    OK(try_open(&ann, "/home/ann/f", W | C, 0600));
    cr_expect(stat_of("/home/ann/f").uid == 1000 && stat_of("/home/ann/f").gid == 1000);
    EXPECT(APR_EACCES, try_open(&bob, "/home/ann/f", VFS_O_READ, 0));
    EXPECT(APR_EACCES, try_open(&bob, "/home/ann/g", W | C, 0600));
    EXPECT(APR_EACCES, vfs_mkdir(fs, &ann, "/home/x", 0755));
    EXPECT(APR_EEXIST, vfs_mkdir(fs, &bob, "/home/ann", 0755));
    EXPECT(APR_EACCES, vfs_link(fs, &bob, "/home/ann/f", "/home/ann/g"));
    OK(vfs_link(fs, &bob, "/home/ann/f", "/tmp/g"));
    OK(try_open(&ann, "/home/ann/ro", W | C, 0400));
    EXPECT(APR_EACCES, try_open(&ann, "/home/ann/ro", W, 0));
    EXPECT(OSERR(EPERM), vfs_mknod(fs, &ann, "/tmp/dev", VFS_TYPE_CHAR, 0600, 1));
    EXPECT(APR_EACCES, vfs_mknod(fs, &ann, "/dev", VFS_TYPE_CHAR, 0600, 1));
    EXPECT(APR_EEXIST, vfs_mknod(fs, &ann, "/tmp/g", VFS_TYPE_CHAR, 0600, 1));
    OK(vfs_mknod(fs, &ann, "/tmp/fifo", VFS_TYPE_FIFO, 0600, 0));
}

Test(mem_creds, every_directory_on_the_way_must_be_searched)
{
    vfs_attr_t attr;
    vfs_dir_t *dir;
    vfs_dirent_t entry;

    people();
    OK(vfs_mkdir(fs, &ann, "/home/ann/in", 0755));
    OK(try_open(&ann, "/home/ann/in/f", W | C, 0644));
    OK(vfs_stat(fs, &bob, "/home/ann/in/f", &attr));
    OK(vfs_chmod(fs, &ann, "/home/ann", 0744, 0));
    EXPECT(APR_EACCES, vfs_stat(fs, &bob, "/home/ann/in/f", &attr));
    EXPECT(APR_EACCES, vfs_stat(fs, &bob, "/home/ann/none", &attr));
    OK(vfs_opendir(&dir, fs, &bob, "/home/ann", VFS_DIR_ATTRS));
    OK(vfs_readdir(dir, &bob, &entry));
    cr_expect(!entry.has_attr && strcmp(entry.name, "in") == 0, "read, but not searched");
    OK(vfs_closedir(dir));
    OK(vfs_chmod(fs, &ann, "/home/ann", 0711, 0));
    OK(vfs_stat(fs, &bob, "/home/ann/in/f", &attr));
    EXPECT(APR_EACCES, vfs_opendir(&dir, fs, &bob, "/home/ann", 0));
    OK(vfs_symlink(fs, NULL, "/home/ann/in/../in/f", "/tmp/l"));
    OK(vfs_stat(fs, &bob, "/tmp/l", &attr));
    OK(vfs_chmod(fs, &ann, "/home/ann/in", 0700, 0));
    EXPECT(APR_EACCES, vfs_stat(fs, &bob, "/tmp/l", &attr));
    OK(vfs_stat(fs, NULL, "/tmp/l", &attr));
}

Test(mem_creds, access_answers_for_the_caller)
{
    static const struct {
        uint32_t mode, mask;
        apr_status_t owner, group, other, root;
    } cases[] = {
        {0700, 7, 0, APR_EACCES, APR_EACCES, 0},
        {0070, 7, APR_EACCES, 0, APR_EACCES, 0},
        {0007, 7, APR_EACCES, APR_EACCES, 0, 0},
        {0644, VFS_ACCESS_READ, 0, 0, 0, 0},
        {0644, VFS_ACCESS_WRITE, 0, APR_EACCES, APR_EACCES, 0},
        {0644, VFS_ACCESS_EXEC, APR_EACCES, APR_EACCES, APR_EACCES, APR_EACCES},
        {0000, VFS_ACCESS_EXIST, 0, 0, 0, 0},
        {0000, VFS_ACCESS_READ | VFS_ACCESS_WRITE, APR_EACCES, APR_EACCES, APR_EACCES, 0},
    };
    vfs_ctx_t root = user_ctx(0, 0, NULL), group = user_ctx(5, 5, &extra);

    people();
    put_ok("/f", "");
    OK(vfs_chown(fs, NULL, "/f", 1000, 77, 0));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        OK(vfs_chmod(fs, NULL, "/f", cases[i].mode, 0));
        EXPECT(cases[i].owner, vfs_access(fs, &ann, "/f", cases[i].mask));
        EXPECT(cases[i].group, vfs_access(fs, &group, "/f", cases[i].mask));
        EXPECT(cases[i].other, vfs_access(fs, &bob, "/f", cases[i].mask));
        EXPECT(cases[i].root, vfs_access(fs, &root, "/f", cases[i].mask));
        EXPECT(cases[i].root, vfs_access(fs, NULL, "/f", cases[i].mask));
    }
    EXPECT(APR_ENOENT, vfs_access(fs, &ann, "/none", 0));
}

Test(mem_creds, a_sticky_directory_guards_names)
{
    people();
    OK(try_open(&ann, "/tmp/a", W | C, 0666));
    OK(try_open(&bob, "/tmp/b", W | C, 0666));
    OK(vfs_mkdir(fs, &ann, "/tmp/d", 0777));
    EXPECT(OSERR(EPERM), vfs_unlink(fs, &bob, "/tmp/a"));
    EXPECT(OSERR(EPERM), vfs_rmdir(fs, &bob, "/tmp/d"));
    EXPECT(OSERR(EPERM), vfs_rename(fs, &bob, "/tmp/a", "/tmp/c", 0));
    EXPECT(OSERR(EPERM), vfs_rename(fs, &bob, "/tmp/b", "/tmp/a", 0));
    EXPECT(OSERR(EPERM), vfs_rename(fs, &bob, "/tmp/b", "/tmp/a", VFS_RENAME_EXCHANGE));
    OK(vfs_rename(fs, &bob, "/tmp/b", "/tmp/c", 0));
    OK(vfs_unlink(fs, &ann, "/tmp/a"));
    OK(vfs_chown(fs, NULL, "/tmp", 1000, 1000, 0));
    OK(vfs_unlink(fs, &ann, "/tmp/c"));
}

Test(mem_creds, a_directory_moves_only_for_those_who_may_write_it)
{
    people();
    OK(vfs_mkdir(fs, NULL, "/pub", 0777));
    OK(vfs_chmod(fs, NULL, "/pub", 0777, 0));
    OK(vfs_mkdir(fs, NULL, "/pub/d", 0755));
    OK(vfs_mkdir(fs, &bob, "/pub/mine", 0755));
    OK(vfs_rename(fs, &bob, "/pub/d", "/pub/e", 0));
    EXPECT(APR_EACCES, vfs_rename(fs, &bob, "/pub/e", "/tmp/e", 0));
    OK(vfs_mkdir(fs, &bob, "/tmp/x", 0755));
    EXPECT(APR_EACCES, vfs_rename(fs, &bob, "/tmp/x", "/pub/e", VFS_RENAME_EXCHANGE));
    OK(vfs_rename(fs, &bob, "/tmp/x", "/pub/mine", VFS_RENAME_EXCHANGE));
    EXPECT(APR_EACCES, vfs_rename(fs, &bob, "/tmp/x", "/home/x", 0));
    EXPECT(APR_EACCES, vfs_rename(fs, &bob, "/home/ann", "/tmp/ann", 0));
    EXPECT(APR_EACCES, vfs_unlink(fs, &bob, "/home/ann"));
}

Test(mem_creds, only_the_owner_changes_modes_owners_and_times)
{
    people();
    OK(try_open(&ann, "/tmp/f", W | C, 0644));
    EXPECT(OSERR(EPERM), vfs_chmod(fs, &bob, "/tmp/f", 0666, 0));
    EXPECT(OSERR(EPERM), vfs_chown(fs, &bob, "/tmp/f", 1001, (uint32_t)-1, 0));
    EXPECT(OSERR(EPERM), vfs_chown(fs, &ann, "/tmp/f", 1001, (uint32_t)-1, 0));
    EXPECT(OSERR(EPERM), vfs_chown(fs, &ann, "/tmp/f", (uint32_t)-1, 1001, 0));
    EXPECT(OSERR(EPERM), vfs_chown(fs, &bob, "/tmp/f", (uint32_t)-1, 1001, 0));
    OK(vfs_chown(fs, &bob, "/tmp/f", (uint32_t)-1, (uint32_t)-1, 0));
    OK(vfs_chown(fs, &ann, "/tmp/f", 1000, 77, 0));
    cr_expect(stat_of("/tmp/f").gid == 77);
    EXPECT(OSERR(EPERM), vfs_utimens(fs, &bob, "/tmp/f", 1, 1, 0));
    EXPECT(APR_EACCES, vfs_utimens(fs, &bob, "/tmp/f", VFS_TIME_NOW, VFS_TIME_NOW, 0));
    OK(vfs_chmod(fs, &ann, "/tmp/f", 0666, 0));
    OK(vfs_utimens(fs, &bob, "/tmp/f", VFS_TIME_NOW, VFS_TIME_NOW, 0));
    EXPECT(OSERR(EPERM), vfs_utimens(fs, &bob, "/tmp/f", VFS_TIME_NOW, VFS_TIME_OMIT, 0));
    OK(vfs_utimens(fs, &ann, "/tmp/f", 1, 1, 0));
    OK(vfs_chmod(fs, &ann, "/tmp/f", 0644, 0));
    EXPECT(APR_EACCES, vfs_truncate(fs, &bob, "/tmp/f", 0));
}

Test(mem_creds, suid_and_sgid_go_when_others_write)
{
    size_t n;
    vfs_file_t *file;

    people();
    put_ok("/tmp/f", "text");
    OK(vfs_chown(fs, NULL, "/tmp/f", 1000, 1000, 0));
    OK(vfs_chmod(fs, NULL, "/tmp/f", 06777, 0));
    OK(vfs_open(&file, fs, &bob, "/tmp/f", W | VFS_O_READ, 0, NULL, NULL));
    OK(vfs_write_at(file, NULL, "x", 1, 0, &n, NULL));
    cr_expect(stat_of("/tmp/f").mode == 06777, "root may");
    OK(vfs_write_at(file, &bob, "x", 1, 0, &n, NULL));
    cr_expect(stat_of("/tmp/f").mode == 0777);
    OK(vfs_chmod(fs, NULL, "/tmp/f", 06767, 0));
    OK(vfs_ftruncate(file, &ann, 1));
    cr_expect(stat_of("/tmp/f").mode == 02767, "it is no power without group execution");
    OK(vfs_ftruncate(file, &bob, 1));
    cr_expect(stat_of("/tmp/f").mode == 0767, "but not for those outside the group");
    OK(vfs_chmod(fs, NULL, "/tmp/f", 06777, 0));
    OK(vfs_copy_range(file, &bob, 0, file, 1, 1, &n));
    cr_expect(stat_of("/tmp/f").mode == 0777);
    OK(vfs_chmod(fs, NULL, "/tmp/f", 06777, 0));
    OK(vfs_allocate(file, &bob, 0, 0, 10));
    cr_expect(stat_of("/tmp/f").mode == 0777);
    OK(vfs_close(file, NULL));
    OK(vfs_chmod(fs, &ann, "/tmp/f", 04755, 0));
    cr_expect(stat_of("/tmp/f").mode == 04755);
    OK(vfs_chown(fs, NULL, "/tmp/f", 1000, 1001, 0));
    OK(vfs_chmod(fs, &ann, "/tmp/f", 02755, 0));
    cr_expect(stat_of("/tmp/f").mode == 0755, "not in the group: no sgid");
    OK(vfs_chmod(fs, NULL, "/tmp/f", 04755, 0));
    EXPECT(OSERR(EPERM), vfs_chown(fs, &bob, "/tmp/f", (uint32_t)-1, (uint32_t)-1, 0));
}

Test(mem_creds, a_directory_with_sgid_hands_down_its_group)
{
    people();
    OK(vfs_chown(fs, NULL, "/tmp", 0, 55, 0));
    OK(vfs_chmod(fs, NULL, "/tmp", 02777, 0));
    OK(try_open(&ann, "/tmp/f", W | C, 02775));
    OK(vfs_mkdir(fs, &ann, "/tmp/d", 04755));
    cr_expect(stat_of("/tmp/f").gid == 55 && stat_of("/tmp/f").mode == 0775);
    cr_expect(stat_of("/tmp/d").gid == 55 && stat_of("/tmp/d").mode == 02755);
    OK(vfs_symlink(fs, &ann, "f", "/tmp/l"));
    cr_expect(lstat_of("/tmp/l").gid == 55 && lstat_of("/tmp/l").uid == 1000);
}

Test(mem_creds, get_and_commit_ask_too)
{
    char buf[4];
    size_t got;
    vfs_source_t nothing = {NULL, NULL, 0};
    vfs_commit_t how = VFS_COMMIT_INIT;

    people();
    OK(try_open(&ann, "/home/ann/f", W | C, 0600));
    EXPECT(APR_EACCES, vfs_get(fs, &bob, "/home/ann/f", buf, 4, &got, NULL, NULL));
    EXPECT(APR_EACCES, vfs_commit(fs, &bob, "/home/ann/f", &nothing, &how, NULL, NULL));
    EXPECT(APR_EACCES, vfs_commit(fs, &bob, "/home/ann/g", &nothing, &how, NULL, NULL));
    OK(vfs_commit(fs, &ann, "/home/ann/g", &nothing, &how, NULL, NULL));
    cr_expect(stat_of("/home/ann/g").uid == 1000);
}
