/*
 * test_version.c - versions of the local backend: which bytes they belong to, and when a change can
 * hide behind them. The system's read is ours here, so that a file changes under it.
 */
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "backends/local/local.h"
#include "tests/local/support_box.h"

TestSuite(local_version, .init = box_open, .fini = box_close);

#define SECOND 1000000000
#define STEP ((int64_t)LOCAL_GRANULARITY_NS)

static int changes; /* to come, one within each read from the start */

ssize_t pread(int fd, void *buf, size_t len, off_t off)
{
    ssize_t n = syscall(SYS_pread64, fd, buf, len, (long)off);
    if (changes == 0 || off > 0) return n;
    const char text[] = "123456789";
    os_write("/f", text + changes--); /* a new size each: the stamps may be of one tick */
    return n;
}

Test(local_version, get_tells_the_version_that_the_bytes_belong_to)
{
    char buf[16];
    size_t n;
    vfs_attr_t attr;
    vfs_validator_t version, now;
    os_write("/f", "first");
    changes = 1;
    cr_assert_eq(vfs_get(box.fs, NULL, "/f", buf, sizeof(buf), &n, &attr, &version), APR_SUCCESS);
    cr_assert_eq(changes, 0);
    cr_assert_eq(vfs_validator(box.fs, NULL, "/f", &now), APR_SUCCESS);
    cr_expect(vfs_validator_equal(&version, &now));
    cr_expect_eq(n, 8);
    cr_expect_eq(attr.size, 8);
    cr_expect_eq(memcmp(buf, "23456789", 8), 0);
}

Test(local_version, get_of_a_file_that_changes_under_each_read_is_stale)
{
    char buf[16];
    size_t n;
    vfs_validator_t version;
    os_write("/f", "first");
    changes = 8;
    cr_expect_eq(vfs_get(box.fs, NULL, "/f", buf, sizeof(buf), &n, NULL, &version), VFS_ESTALE);
    cr_expect_eq(version.kind, VFS_VALIDATOR_NONE);
    cr_expect_eq(n, 0);
}

static int young(int64_t ctime_ns, int64_t mtime_ns, int64_t asked_ns)
{
    vfs_attr_t attr = {.ctime_ns = ctime_ns, .mtime_ns = mtime_ns};
    vfs_validator_t version;
    local__validate(&attr, asked_ns, &version);
    return (version.flags & VFS_VALIDATOR_YOUNG) != 0;
}

Test(local_version, stamps_without_a_part_below_the_second_are_young_for_two)
{
    int64_t whole = 1700000000LL * SECOND, fine = whole + 1;
    cr_expect(young(whole, whole, whole + 2LL * SECOND + STEP));
    cr_expect_not(young(whole, whole, whole + 2LL * SECOND + STEP + 1));
    cr_expect(young(fine, fine, fine + STEP));
    cr_expect_not(young(fine, fine, fine + STEP + 1));
    cr_expect_not(young(fine, whole, fine + STEP + 1), "mtime can be set to anything");
    cr_expect(young(whole, fine, fine + 2LL * SECOND));
}
