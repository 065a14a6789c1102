/*
 * test_dir.c - listing directories: large ones, changing ones, positions, attributes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/local/support_box.h"

TestSuite(local_dir, .init = box_open, .fini = box_close);

#define MANY 10000

static void make_many(void)
{
    char path[64];
    cr_assert_eq(mkdir(os("/d"), 0755), 0);
    for (int i = 0; i < MANY; i++) {
        snprintf(path, sizeof(path), "/d/entry-with-a-name-%05d", i);
        int fd = open(os(path), O_CREAT | O_WRONLY, 0644);
        cr_assert_geq(fd, 0);
        close(fd);
    }
}

static int number_of(const vfs_dirent_t *entry)
{
    cr_assert_eq(strlen(entry->name), entry->name_len);
    cr_assert_eq(strncmp(entry->name, "entry-with-a-name-", 18), 0, "%s", entry->name);
    return atoi(entry->name + 18);
}

Test(local_dir, ten_thousand_entries_come_once_each_while_others_are_deleted)
{
    static unsigned char seen[MANY];
    char path[64];
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    apr_status_t status;
    int count = 0;
    make_many();
    cr_assert_eq(vfs_opendir(&dir, box.fs, NULL, "/d", 0), APR_SUCCESS);
    while ((status = vfs_readdir(dir, NULL, &entry)) == APR_SUCCESS) {
        int i = number_of(&entry);
        cr_assert_eq(entry.type, VFS_TYPE_FILE);
        cr_assert_neq(entry.ino, 0);
        cr_assert_eq(seen[i], 0, "twice");
        seen[i] = 1;
        snprintf(path, sizeof(path), "/d/entry-with-a-name-%05d", i);
        if (i % 2 == 0) cr_assert_eq(vfs_unlink(box.fs, NULL, path), APR_SUCCESS);
        count++;
    }
    cr_expect_eq(status, APR_EOF);
    cr_expect_eq(vfs_readdir(dir, NULL, &entry), APR_EOF);
    cr_expect_eq(count, MANY);
    /* From the beginning it is read anew. */
    cr_assert_eq(vfs_seekdir(dir, NULL, 0), APR_SUCCESS);
    for (count = 0; vfs_readdir(dir, NULL, &entry) == APR_SUCCESS; count++) {
        cr_assert_eq(number_of(&entry) % 2, 1);
    }
    cr_expect_eq(count, MANY / 2);
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
}

Test(local_dir, a_cookie_leads_back_behind_its_entry)
{
    static uint64_t cookies[MANY];
    static int numbers[MANY];
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    int count = 0;
    make_many();
    cr_assert_eq(vfs_opendir(&dir, box.fs, NULL, "/d", 0), APR_SUCCESS);
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS) {
        cookies[count] = entry.cookie;
        numbers[count++] = number_of(&entry);
    }
    cr_assert_eq(count, MANY);
    for (int i = MANY - 2; i >= 0; i -= 777) {
        cr_assert_eq(vfs_seekdir(dir, NULL, cookies[i]), APR_SUCCESS);
        cr_assert_eq(vfs_readdir(dir, NULL, &entry), APR_SUCCESS);
        cr_expect_eq(number_of(&entry), numbers[i + 1]);
    }
    cr_assert_eq(vfs_seekdir(dir, NULL, cookies[MANY - 1]), APR_SUCCESS);
    cr_expect_eq(vfs_readdir(dir, NULL, &entry), APR_EOF);
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
    /* A later handle understands them, too. */
    cr_assert_eq(vfs_opendir(&dir, box.fs, NULL, "/d", 0), APR_SUCCESS);
    cr_assert_eq(vfs_seekdir(dir, NULL, cookies[500]), APR_SUCCESS);
    cr_assert_eq(vfs_readdir(dir, NULL, &entry), APR_SUCCESS);
    cr_expect_eq(number_of(&entry), numbers[501]);
    cr_expect_eq(vfs_seekdir(dir, NULL, (uint64_t)-5), APR_EINVAL);
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
}

Test(local_dir, entries_carry_attributes_when_asked)
{
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    vfs_attr_t attr;
    vfs_validator_t version;
    char path[300];
    int count = 0;
    put("/f", "12345");
    cr_assert_eq(vfs_mkdir(box.fs, NULL, "/d", 0711), APR_SUCCESS);
    cr_assert_eq(vfs_symlink(box.fs, NULL, "/nowhere", "/l"), APR_SUCCESS);
    cr_assert_eq(vfs_mknod(box.fs, NULL, "/p", VFS_TYPE_FIFO, 0600, 0), APR_SUCCESS);
    cr_assert_eq(vfs_mknod(box.fs, NULL, "/s", VFS_TYPE_SOCKET, 0600, 0), APR_SUCCESS);
    cr_assert_eq(vfs_opendir(&dir, box.fs, NULL, "/", VFS_DIR_ATTRS), APR_SUCCESS);
    for (; vfs_readdir(dir, NULL, &entry) == APR_SUCCESS; count++) {
        snprintf(path, sizeof(path), "/%s", entry.name);
        vfs_path_t normal;
        char buf[VFS_PATH_MAX + 1];
        cr_assert_eq(vfs_path_init(&normal, path, buf), APR_SUCCESS);
        cr_assert_eq(vfs_call_lstat(box.fs, NULL, &normal, &attr, &version), APR_SUCCESS);
        cr_assert(entry.has_attr);
        cr_expect_eq(memcmp(&attr, &entry.attr, sizeof(attr)), 0, "%s", path);
        cr_expect(vfs_validator_equal(&version, &entry.validator), "%s", path);
        cr_expect_eq(entry.type, attr.type);
        cr_expect_eq(entry.ino, attr.ino);
    }
    cr_expect_eq(count, 5);
    cr_assert_eq(vfs_seekdir(dir, NULL, 0), APR_SUCCESS);
    cr_assert_eq(vfs_readdir(dir, NULL, &entry), APR_SUCCESS);
    const char *names[] = {"/f", "/l", "/p", "/s"};
    for (int i = 0; i < 4; i++)
        cr_assert_eq(vfs_unlink(box.fs, NULL, names[i]), APR_SUCCESS);
    cr_assert_eq(vfs_rmdir(box.fs, NULL, "/d"), APR_SUCCESS);
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS) {
        cr_expect_not(entry.has_attr, "%s has gone", entry.name);
    }
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
    cr_assert_eq(vfs_opendir(&dir, box.fs, NULL, "/", 0), APR_SUCCESS);
    cr_expect_eq(vfs_readdir(dir, NULL, &entry), APR_EOF);
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
}

Test(local_dir, only_a_directory_is_listed_and_one_that_went_is_empty)
{
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    put("/f", "f");
    cr_expect_eq(vfs_opendir(&dir, box.fs, NULL, "/f", 0), APR_ENOTDIR);
    cr_expect_eq(vfs_opendir(&dir, box.fs, NULL, "/no", 0), APR_ENOENT);
    cr_assert_eq(vfs_mkdir(box.fs, NULL, "/d", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_opendir(&dir, box.fs, NULL, "/d", 0), APR_SUCCESS);
    cr_assert_eq(vfs_rmdir(box.fs, NULL, "/d"), APR_SUCCESS);
    cr_expect_eq(vfs_readdir(dir, NULL, &entry), APR_EOF);
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
}
