/*
 * test_file.c - open files of the local backend: attributes and versions with the open, bytes at
 * offsets and at the end, holes, extents, copies, sync.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/local/support_box.h"

TestSuite(local_file, .init = box_open, .fini = box_close);

#define RW (VFS_O_READ | VFS_O_WRITE)

static vfs_file_t *open_ok(const char *path, uint32_t flags)
{
    vfs_file_t *file;
    cr_assert_eq(vfs_open(&file, box.fs, NULL, path, flags, 0644, NULL, NULL), APR_SUCCESS, "%s",
                 path);
    return file;
}

static void write_ok(vfs_file_t *file, const char *text, apr_off_t off)
{
    size_t n;
    vfs_validator_t validator;
    cr_assert_eq(vfs_write_at(file, NULL, text, strlen(text), off, &n, &validator), APR_SUCCESS);
    cr_assert_eq(n, strlen(text));
    cr_assert_eq(validator.kind, VFS_VALIDATOR_NONE);
}

Test(local_file, open_answers_attributes_and_version)
{
    vfs_file_t *file;
    vfs_attr_t attr, again;
    vfs_validator_t version, later;
    os_write("/f", "12345");
    for (int tries = 0; tries < 1000; tries++) { /* until we are there while it is young */
        cr_assert_eq(chmod(os("/f"), 0640), 0);
        cr_assert_eq(vfs_open(&file, box.fs, NULL, "/f", RW, 0, &attr, &version), APR_SUCCESS);
        if (version.flags & VFS_VALIDATOR_YOUNG) break;
        cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    }
    cr_expect_eq(attr.size, 5);
    cr_expect_eq(attr.type, VFS_TYPE_FILE);
    cr_expect_eq(attr.mode, 0640);
    cr_expect_eq(attr.nlink, 1);
    cr_expect_gt(attr.btime_ns, 0);
    cr_expect_geq(attr.mtime_ns, attr.btime_ns);
    cr_expect_eq(version.kind, VFS_VALIDATOR_TIMES);
    cr_expect_neq(version.flags & VFS_VALIDATOR_YOUNG, 0);
    usleep(30000);
    cr_assert_eq(vfs_validator(box.fs, NULL, "/f", &later), APR_SUCCESS);
    cr_expect(vfs_validator_equal(&version, &later));
    cr_expect_eq(later.flags & VFS_VALIDATOR_YOUNG, 0);
    write_ok(file, "x", 5);
    cr_assert_eq(vfs_fstat(file, NULL, &again), APR_SUCCESS);
    cr_expect_eq(again.size, 6);
    cr_expect_eq(again.ino, attr.ino);
    cr_assert_eq(vfs_fvalidator(file, NULL, &later), APR_SUCCESS);
    cr_expect_not(vfs_validator_equal(&version, &later));
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_open(&file, box.fs, NULL, "/f", VFS_O_WRITE | VFS_O_TRUNC, 0, &attr, &version),
                 APR_SUCCESS);
    cr_expect_eq(attr.size, 0, "attributes are those after the truncation");
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}

Test(local_file, open_refuses_what_the_kernel_refuses)
{
    vfs_file_t *file;
    put("/f", "f");
    cr_assert_eq(vfs_mkdir(box.fs, NULL, "/d", 0755), APR_SUCCESS);
    const struct {
        const char *path;
        uint32_t flags;
        apr_status_t status;
    } rows[] = {
        {"/no", VFS_O_READ, APR_ENOENT},
        {"/no/f", RW | VFS_O_CREATE, APR_ENOENT},
        {"/f/g", VFS_O_READ, APR_ENOTDIR},
        {"/f/g", RW | VFS_O_CREATE, APR_ENOTDIR},
        {"/f/g", RW | VFS_O_CREATE | VFS_O_EXCL, APR_ENOTDIR},
        {"/f", RW | VFS_O_CREATE | VFS_O_EXCL, APR_EEXIST},
        {"/f", VFS_O_DIRECTORY, APR_ENOTDIR},
        {"/d", VFS_O_WRITE, APR_FROM_OS_ERROR(EISDIR)},
        {"/d", VFS_O_READ | VFS_O_CREATE, APR_FROM_OS_ERROR(EISDIR)},
        {"/d", RW | VFS_O_CREATE, APR_FROM_OS_ERROR(EISDIR)},
        {"/d", RW | VFS_O_CREATE | VFS_O_EXCL, APR_EEXIST},
        {"/f", VFS_O_READ | VFS_O_CREATE | VFS_O_NOFOLLOW | VFS_O_SYNC | VFS_O_DIRECT, APR_SUCCESS},
        {"/d", VFS_O_DIRECTORY, APR_SUCCESS},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        apr_status_t status =
            vfs_open(&file, box.fs, NULL, rows[i].path, rows[i].flags, 0644, NULL, NULL);
        cr_expect_eq(status, rows[i].status, "row %zu: %d", i, status);
        if (status == APR_SUCCESS) vfs_close(file, NULL);
    }
}

Test(local_file, a_short_read_is_the_end_of_file)
{
    char buf[64];
    size_t n;
    vfs_iovec_t iov[3] = {{buf, 3}, {buf + 3, 0}, {buf + 3, 40}};
    put("/f", "0123456789");
    vfs_file_t *file = open_ok("/f", VFS_O_READ);
    cr_assert_eq(vfs_read_at(file, NULL, buf, sizeof(buf), 4, &n), APR_SUCCESS);
    cr_expect_eq(n, 6);
    cr_expect_eq(memcmp(buf, "456789", 6), 0);
    cr_assert_eq(vfs_read_at(file, NULL, buf, 4, 10, &n), APR_SUCCESS);
    cr_expect_eq(n, 0);
    cr_assert_eq(vfs_read_at(file, NULL, buf, 4, 1 << 30, &n), APR_SUCCESS);
    cr_expect_eq(n, 0);
    cr_assert_eq(vfs_readv_at(file, NULL, iov, 3, 2, &n), APR_SUCCESS);
    cr_expect_eq(n, 8);
    cr_expect_eq(memcmp(buf, "23456789", 8), 0);
    cr_assert_eq(vfs_readv_at(file, NULL, iov, 3, 20, &n), APR_SUCCESS);
    cr_expect_eq(n, 0);
    vfs_validator_t version, now;
    cr_assert_eq(vfs_call_fetch(file, NULL, iov, 3, 1, &n, &version), APR_SUCCESS);
    cr_expect_eq(n, 9);
    cr_assert_eq(vfs_fvalidator(file, NULL, &now), APR_SUCCESS);
    cr_expect(vfs_validator_equal(&version, &now));
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    file = open_ok("/", VFS_O_READ | VFS_O_DIRECTORY);
    n = 7;
    cr_expect_eq(vfs_read_at(file, NULL, buf, 4, 0, &n), APR_FROM_OS_ERROR(EISDIR));
    cr_expect_eq(n, 0);
    cr_expect_eq(vfs_readv_at(file, NULL, iov, 3, 0, &n), APR_FROM_OS_ERROR(EISDIR));
    cr_expect_eq(vfs_call_fetch(file, NULL, iov, 3, 1, &n, &version), APR_FROM_OS_ERROR(EISDIR));
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}

Test(local_file, writes_go_to_offsets_and_to_the_end)
{
    size_t n;
    char a[] = "vec", b[] = "tor";
    vfs_iovec_t iov[2] = {{a, 3}, {b, 3}};
    vfs_file_t *file = open_ok("/f", RW | VFS_O_CREATE);
    write_ok(file, "hello", 0);
    write_ok(file, "J", 0);
    write_ok(file, "!", VFS_OFFSET_END);
    cr_assert_eq(vfs_writev_at(file, NULL, iov, 2, VFS_OFFSET_END, &n, NULL), APR_SUCCESS);
    cr_expect_eq(n, 6);
    cr_assert_eq(vfs_writev_at(file, NULL, iov, 1, 1, &n, NULL), APR_SUCCESS);
    cr_expect_eq(n, 3);
    cr_assert_eq(vfs_flush(file, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_sync(file, NULL, VFS_SYNC_DATA), APR_SUCCESS);
    cr_assert_eq(vfs_sync(file, NULL, VFS_SYNC_ALL), APR_SUCCESS);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_expect(holds("/f", "Jveco!vector"));
    file = open_ok("/f", VFS_O_WRITE | VFS_O_APPEND);
    write_ok(file, "+", 0);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_expect(holds("/f", "Jveco!vector+"));
    cr_expect_eq(vfs_sync_dir(box.fs, NULL, "/"), APR_SUCCESS);
    cr_expect_eq(vfs_sync_dir(box.fs, NULL, "/f"), APR_ENOTDIR);
    cr_expect_eq(vfs_sync_fs(box.fs, NULL), APR_SUCCESS);
}

Test(local_file, fetch_tells_the_version_that_the_bytes_belong_to)
{
    char buf[16];
    size_t n;
    vfs_iovec_t iov = {buf, sizeof(buf)};
    vfs_validator_t version, now;
    vfs_file_t *other = open_ok("/f", RW | VFS_O_CREATE);
    vfs_file_t *file = open_ok("/f", RW);
    for (unsigned i = 0; i < 3; i++) {
        usleep(20000);
        write_ok(i == 1 ? file : other, "x", VFS_OFFSET_END); /* by this handle, or by another */
        cr_assert_eq(vfs_call_fetch(file, NULL, &iov, 1, 0, &n, &version), APR_SUCCESS);
        cr_expect_eq(n, i + 1);
        cr_assert_eq(vfs_validator(box.fs, NULL, "/f", &now), APR_SUCCESS);
        cr_expect(vfs_validator_equal(&version, &now), "turn %u", i);
    }
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_close(other, NULL), APR_SUCCESS);
}

static int leased = -1;

static void give_up(int number)
{
    (void)number;
    (void)fcntl(leased, F_SETLEASE, F_UNLCK);
}

/* A file server's lease: the open waits until it is given up, though it never waits for a fifo. */
Test(local_file, an_open_waits_for_a_lease_to_be_broken)
{
    put("/f", "leased");
    leased = open(os("/f"), O_RDONLY);
    cr_assert_geq(leased, 0);
    cr_assert_neq(signal(SIGIO, give_up), SIG_ERR);
    if (fcntl(leased, F_SETLEASE, F_RDLCK) != 0) cr_skip_test("no leases on this file system");
    vfs_file_t *file = open_ok("/f", VFS_O_WRITE | VFS_O_TRUNC);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_expect_eq(fcntl(leased, F_GETLEASE), F_UNLCK);
    cr_expect(holds("/f", ""));
    close(leased);
}

/* Needs mounts of its own, so root. */
Test(local_file, sync_fs_reaches_what_is_mounted_below)
{
    vfs_t *fs;
    vfs_attr_t attr;
    cr_assert_eq(mkdir(os("/a b"), 0755), 0);
    int mounted = unshare(CLONE_NEWNS) == 0 &&
                  mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                  mount("none", os("/a b"), "tmpfs", 0, "size=1m") == 0;
    cr_assert_eq(vfs_local_create(&fs, box.root, box.pool), APR_SUCCESS);
    cr_expect_eq(vfs_sync_fs(fs, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_stat(fs, NULL, "/a b", &attr), APR_SUCCESS);
    uint64_t dev = attr.dev;
    cr_assert_eq(vfs_stat(fs, NULL, "/", &attr), APR_SUCCESS);
    cr_expect_eq(dev != attr.dev, mounted);
    cr_assert_eq(vfs_destroy(fs), APR_SUCCESS);
    if (mounted) cr_assert_eq(umount(os("/a b")), 0);
}

#define RECORDS 500

static void *appender(void *baton)
{
    char record[32];
    size_t n;
    vfs_file_t *file = open_ok("/log", VFS_O_WRITE | *(uint32_t *)baton);
    for (int i = 0; i < RECORDS; i++) {
        snprintf(record, sizeof(record), "%015d\n", i);
        cr_assert_eq(vfs_write_at(file, NULL, record, 16, VFS_OFFSET_END, &n, NULL), APR_SUCCESS);
    }
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    return NULL;
}

Test(local_file, appends_of_many_never_overwrite_each_other)
{
    pthread_t threads[4];
    uint32_t flags[4] = {0, VFS_O_APPEND, 0, VFS_O_APPEND};
    vfs_attr_t attr;
    put("/log", "");
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, appender, &flags[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    cr_assert_eq(vfs_stat(box.fs, NULL, "/log", &attr), APR_SUCCESS);
    cr_expect_eq(attr.size, 4u * RECORDS * 16);
}

Test(local_file, a_write_that_stops_says_how_much_went_in)
{
    char data[8192];
    size_t n;
    vfs_iovec_t iov[3] = {{data, 4096}, {data, 2000}, {data, 2000}};
    struct rlimit limit = {6000, 6000};
    memset(data, 'x', sizeof(data));
    vfs_file_t *file = open_ok("/f", RW | VFS_O_CREATE);
    cr_assert_neq(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_expect_eq(vfs_write_at(file, NULL, data, sizeof(data), 0, &n, NULL),
                 APR_FROM_OS_ERROR(EFBIG));
    cr_expect_eq(n, 6000);
    cr_expect_eq(vfs_writev_at(file, NULL, iov, 3, 0, &n, NULL), APR_FROM_OS_ERROR(EFBIG));
    cr_expect_eq(n, 6000);
    cr_expect_eq(vfs_writev_at(file, NULL, iov, 3, 6000, &n, NULL), APR_FROM_OS_ERROR(EFBIG));
    cr_expect_eq(n, 0);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}

Test(local_file, holes_are_found_punched_and_read_as_zeros)
{
    vfs_attr_t attr;
    apr_off_t where;
    char buf[16];
    size_t n;
    vfs_file_t *file = open_ok("/f", RW | VFS_O_CREATE);
    write_ok(file, "data", 1 << 20);
    cr_assert_eq(vfs_fstat(file, NULL, &attr), APR_SUCCESS);
    cr_expect_eq(attr.size, (1u << 20) + 4);
    cr_expect_lt(attr.allocated, 1u << 20);
    cr_assert_eq(vfs_seek_extent(file, NULL, 0, VFS_SEEK_DATA, &where), APR_SUCCESS);
    cr_expect_eq(where, 1 << 20);
    cr_assert_eq(vfs_seek_extent(file, NULL, 0, VFS_SEEK_HOLE, &where), APR_SUCCESS);
    cr_expect_eq(where, 0);
    cr_assert_eq(vfs_seek_extent(file, NULL, 1 << 20, VFS_SEEK_HOLE, &where), APR_SUCCESS);
    cr_expect_eq(where, (1 << 20) + 4);
    cr_expect_eq(vfs_seek_extent(file, NULL, 1 << 21, VFS_SEEK_DATA, &where), VFS_ENODATA);
    cr_expect_eq(vfs_seek_extent(file, NULL, 1 << 21, VFS_SEEK_HOLE, &where), VFS_ENODATA);
    cr_assert_eq(vfs_allocate(file, NULL, 0, 0, 65536), APR_SUCCESS);
    cr_assert_eq(vfs_fstat(file, NULL, &attr), APR_SUCCESS);
    cr_expect_geq(attr.allocated, 65536);
    cr_assert_eq(vfs_allocate(file, NULL, VFS_ALLOC_KEEP_SIZE | VFS_ALLOC_PUNCH_HOLE, 1 << 20, 2),
                 APR_SUCCESS);
    cr_assert_eq(vfs_read_at(file, NULL, buf, sizeof(buf), 1 << 20, &n), APR_SUCCESS);
    cr_expect_eq(n, 4);
    cr_expect_eq(memcmp(buf, "\0\0ta", 4), 0);
    /* Not every file system can do these; one that cannot says so. */
    uint32_t rare[] = {VFS_ALLOC_ZERO_RANGE, VFS_ALLOC_COLLAPSE, VFS_ALLOC_INSERT};
    for (int i = 0; i < 3; i++) {
        apr_status_t status = vfs_allocate(file, NULL, rare[i], 0, 4096);
        cr_expect(status == APR_SUCCESS || status == APR_ENOTIMPL, "%d", status);
    }
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}

Test(local_file, truncation_shrinks_and_makes_holes)
{
    vfs_attr_t attr;
    char buf[16];
    size_t n;
    put("/f", "0123456789");
    vfs_file_t *file = open_ok("/f", RW);
    cr_assert_eq(vfs_ftruncate(file, NULL, 4), APR_SUCCESS);
    cr_assert_eq(vfs_truncate(box.fs, NULL, "/f", 8), APR_SUCCESS);
    cr_assert_eq(vfs_read_at(file, NULL, buf, sizeof(buf), 0, &n), APR_SUCCESS);
    cr_expect_eq(n, 8);
    cr_expect_eq(memcmp(buf, "0123\0\0\0\0", 8), 0);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_expect_eq(vfs_truncate(box.fs, NULL, "/no", 8), APR_ENOENT);
    cr_expect_eq(vfs_truncate(box.fs, NULL, "/", 8), APR_FROM_OS_ERROR(EISDIR));
    cr_assert_eq(vfs_mknod(box.fs, NULL, "/fifo", VFS_TYPE_FIFO, 0600, 0), APR_SUCCESS);
    cr_expect_eq(vfs_truncate(box.fs, NULL, "/fifo", 8), APR_EINVAL);
    cr_assert_eq(vfs_stat(box.fs, NULL, "/f", &attr), APR_SUCCESS);
    cr_expect_eq(attr.size, 8);
}

Test(local_file, copy_range_copies_up_to_the_end)
{
    size_t n;
    put("/a", "0123456789");
    vfs_file_t *src = open_ok("/a", VFS_O_READ);
    vfs_file_t *dst = open_ok("/b", RW | VFS_O_CREATE);
    cr_assert_eq(vfs_copy_range(src, NULL, 2, dst, 1, 100, &n), APR_SUCCESS);
    cr_expect_eq(n, 8);
    char buf[16];
    cr_assert_eq(vfs_read_at(dst, NULL, buf, sizeof(buf), 0, &n), APR_SUCCESS);
    cr_expect_eq(n, 9);
    cr_expect_eq(memcmp(buf, "\00023456789", 9), 0);
    cr_assert_eq(vfs_close(src, NULL), APR_SUCCESS);
    src = open_ok("/", VFS_O_READ | VFS_O_DIRECTORY);
    cr_expect_neq(vfs_copy_range(src, NULL, 0, dst, 0, 5, &n), APR_SUCCESS);
    cr_expect_eq(n, 0);
    cr_assert_eq(vfs_close(src, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_close(dst, NULL), APR_SUCCESS);
}

Test(local_file, get_brings_everything_at_once_and_never_waits)
{
    char buf[8];
    size_t n;
    vfs_attr_t attr;
    vfs_validator_t version, now;
    put("/f", "0123456789");
    cr_assert_eq(vfs_get(box.fs, NULL, "/f", buf, sizeof(buf), &n, &attr, &version), APR_SUCCESS);
    cr_expect_eq(n, 8);
    cr_expect_eq(attr.size, 10);
    cr_assert_eq(vfs_validator(box.fs, NULL, "/f", &now), APR_SUCCESS);
    cr_expect(vfs_validator_equal(&version, &now));
    cr_assert_eq(vfs_get(box.fs, NULL, "/f", NULL, 0, &n, &attr, NULL), APR_SUCCESS);
    cr_expect_eq(n, 0);
    cr_expect_eq(vfs_get(box.fs, NULL, "/no", buf, sizeof(buf), &n, &attr, NULL), APR_ENOENT);
    cr_assert_eq(vfs_mknod(box.fs, NULL, "/fifo", VFS_TYPE_FIFO, 0600, 0), APR_SUCCESS);
    cr_assert_eq(vfs_mknod(box.fs, NULL, "/socket", VFS_TYPE_SOCKET, 0600, 0), APR_SUCCESS);
    const char *odd[] = {"/fifo", "/socket", "/"};
    vfs_type_e types[] = {VFS_TYPE_FIFO, VFS_TYPE_SOCKET, VFS_TYPE_DIR};
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(vfs_get(box.fs, NULL, odd[i], buf, sizeof(buf), &n, &attr, NULL), APR_SUCCESS,
                     "%s", odd[i]);
        cr_expect_eq(n, 0);
        cr_expect_eq(attr.type, types[i]);
    }
    /* Opening a fifo does not wait for its other end either. */
    vfs_file_t *file = open_ok("/fifo", VFS_O_READ);
    cr_expect_neq(vfs_read_at(file, NULL, buf, 1, 0, &n), APR_SUCCESS);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    cr_expect_eq(vfs_open(&file, box.fs, NULL, "/fifo", VFS_O_WRITE, 0, NULL, NULL),
                 APR_FROM_OS_ERROR(ENXIO));
}

Test(local_file, an_open_file_survives_rename_and_unlink)
{
    char buf[8];
    size_t n;
    put("/f", "f");
    vfs_file_t *file = open_ok("/f", RW);
    cr_assert_eq(vfs_rename(box.fs, NULL, "/f", "/g", 0), APR_SUCCESS);
    cr_assert_eq(vfs_unlink(box.fs, NULL, "/g"), APR_SUCCESS);
    write_ok(file, "gone", 0);
    cr_assert_eq(vfs_read_at(file, NULL, buf, sizeof(buf), 0, &n), APR_SUCCESS);
    cr_expect_eq(n, 4);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}

Test(local_file, it_says_what_it_can)
{
    const vfs_caps_t *caps = vfs_caps(box.fs);
    cr_expect_str_eq(vfs_name(box.fs), "local");
    cr_expect_null(vfs_lower(box.fs));
    cr_expect_eq(caps->bits & VFS_CAP_CONDITIONAL, 0);
    cr_expect_neq(caps->bits & VFS_CAP_CONFINED, 0);
    cr_expect_eq((caps->bits & VFS_CAP_CREDS) != 0, am_root());
    cr_expect_eq(caps->time_granularity_ns, 10000000u);
    cr_expect_eq(caps->name_max, 255);
}
