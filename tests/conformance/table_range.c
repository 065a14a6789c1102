/*
 * table_range.c - behaviours of ranges: holes and data, allocate in all its kinds, copy_range.
 */
#include <stdlib.h>

#include "tests/conformance/conf.h"

#define KIB(n) ((n)*1024)

static void data_and_holes_are_found(conf_t *t)
{
    char *block = malloc(KIB(64));
    apr_off_t where = -1;
    size_t n = 0;
    conf_fill(block, KIB(64), 41);
    NEED_OPEN(f, "/f", RW | CR);
    OK(vfs_write_at(f, NULL, block, KIB(64), KIB(256), &n, NULL));
    OK(vfs_ftruncate(f, NULL, KIB(1024)));
    OK(vfs_sync(f, NULL, VFS_SYNC_ALL));
    OK(vfs_seek_extent(f, NULL, 0, VFS_SEEK_DATA, &where));
    EQ(where, KIB(256));
    OK(vfs_seek_extent(f, NULL, KIB(256) + 5, VFS_SEEK_DATA, &where));
    EQ(where, KIB(256) + 5);
    OK(vfs_seek_extent(f, NULL, 0, VFS_SEEK_HOLE, &where));
    EQ(where, 0);
    OK(vfs_seek_extent(f, NULL, KIB(256), VFS_SEEK_HOLE, &where));
    EQ(where, KIB(320));
    IS(VFS_ENODATA, vfs_seek_extent(f, NULL, KIB(320), VFS_SEEK_DATA, &where));
    CLOSE(f);
    free(block);
}

static void dirty_data_is_found_before_it_is_flushed(conf_t *t)
{
    apr_off_t where = -1;
    size_t n = 0;
    char block[8192];
    conf_fill(block, sizeof block, 42);
    NEED_OPEN(f, "/f", RW | CR);
    OK(vfs_ftruncate(f, NULL, KIB(512)));
    OK(vfs_write_at(f, NULL, block, sizeof block, KIB(128), &n, NULL));
    OK(vfs_seek_extent(f, NULL, 0, VFS_SEEK_DATA, &where));
    CHECK(where <= KIB(128)); /* a layer may know less than there is, but never hide data */
    OK(vfs_seek_extent(f, NULL, KIB(128), VFS_SEEK_HOLE, &where));
    CHECK(where >= KIB(136));
    CLOSE(f);
}

static void the_end_of_a_file_is_a_hole(conf_t *t)
{
    apr_off_t where = -1;
    PUT("/f", "0123456789");
    NEED_OPEN(f, "/f", RD);
    OK(vfs_seek_extent(f, NULL, 0, VFS_SEEK_HOLE, &where));
    EQ(where, 10);
    OK(vfs_seek_extent(f, NULL, 3, VFS_SEEK_DATA, &where));
    EQ(where, 3);
    IS(VFS_ENODATA, vfs_seek_extent(f, NULL, 10, VFS_SEEK_DATA, &where));
    IS(VFS_ENODATA, vfs_seek_extent(f, NULL, 11, VFS_SEEK_HOLE, &where));
    IS(APR_EINVAL, vfs_seek_extent(f, NULL, -1, VFS_SEEK_DATA, &where));
    IS(APR_EINVAL, vfs_seek_extent(f, NULL, 0, VFS_SEEK_SET, &where));
    CLOSE(f);
}

static void seek_to_data_moves_the_cursor(conf_t *t)
{
    char buf[4];
    size_t n = 0;
    apr_off_t where = -1;
    NEED_OPEN(f, "/f", RW | CR);
    OK(vfs_write_at(f, NULL, "data", 4, KIB(256), &n, NULL));
    OK(vfs_sync(f, NULL, VFS_SYNC_ALL));
    OK(vfs_seek(f, NULL, 0, VFS_SEEK_DATA, &where));
    EQ(where, KIB(256));
    OK(vfs_read(f, NULL, buf, 4, &n));
    SAME(buf, "data", 4);
    CLOSE(f);
}

static void holes_take_no_storage(conf_t *t)
{
    vfs_attr_t attr;
    size_t n = 0;
    memset(&attr, 0, sizeof attr);
    NEED_OPEN(f, "/f", RW | CR);
    OK(vfs_write_at(f, NULL, "x", 1, KIB(16384), &n, NULL));
    OK(vfs_sync(f, NULL, VFS_SYNC_ALL));
    OK(vfs_fstat(f, NULL, &attr));
    EQ(attr.size, KIB(16384) + 1);
    CHECK(attr.allocated < KIB(2048));
    CLOSE(f);
}

static void allocate_extends_with_zeros(conf_t *t)
{
    char want[KIB(32)] = "head";
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    PUT("/f", "head");
    NEED_OPEN(f, "/f", RW);
    OK(vfs_allocate(f, NULL, 0, 0, sizeof want));
    OK(vfs_fstat(f, NULL, &attr));
    EQ(attr.size, sizeof want);
    CHECK(attr.allocated >= sizeof want);
    conf_file_holds(HERE, f, 0, want, sizeof want);
    CLOSE(f);
    HOLDSN("/f", want, sizeof want);
}

static void allocate_never_shrinks(conf_t *t)
{
    PUT("/f", "0123456789");
    NEED_OPEN(f, "/f", RW);
    OK(vfs_allocate(f, NULL, 0, 0, 4));
    CLOSE(f);
    HOLDS("/f", "0123456789");
}

static void allocate_with_keep_size_keeps_it(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    PUT("/f", "head");
    NEED_OPEN(f, "/f", RW);
    OK(vfs_allocate(f, NULL, VFS_ALLOC_KEEP_SIZE, 0, KIB(64)));
    OK(vfs_fstat(f, NULL, &attr));
    EQ(attr.size, 4);
    CLOSE(f);
    HOLDS("/f", "head");
}

static void a_punched_hole_reads_zeros(conf_t *t)
{
    char *want = malloc(KIB(300));
    conf_fill(want, KIB(300), 43);
    PUTN("/f", want, KIB(300));
    NEED_OPEN(f, "/f", RW);
    conf_file_holds(HERE, f, 0, want, KIB(300));
    memset(want + 5000, 0, KIB(200));
    OK(vfs_allocate(f, NULL, VFS_ALLOC_PUNCH_HOLE | VFS_ALLOC_KEEP_SIZE, 5000, KIB(200)));
    conf_file_holds(HERE, f, 0, want, KIB(300));
    OK(vfs_allocate(f, NULL, VFS_ALLOC_PUNCH_HOLE | VFS_ALLOC_KEEP_SIZE, KIB(290), KIB(100)));
    memset(want + KIB(290), 0, KIB(10));
    CLOSE(f);
    HOLDSN("/f", want, KIB(300));
    free(want);
}

static void a_hole_punched_into_fresh_writes_reads_zeros(conf_t *t)
{
    char want[KIB(64)];
    size_t n = 0;
    memset(want, 'w', sizeof want);
    NEED_OPEN(f, "/f", RW | CR);
    OK(vfs_write_at(f, NULL, want, sizeof want, 0, &n, NULL));
    OK(vfs_allocate(f, NULL, VFS_ALLOC_PUNCH_HOLE | VFS_ALLOC_KEEP_SIZE, KIB(16), KIB(16)));
    memset(want + KIB(16), 0, KIB(16));
    conf_file_holds(HERE, f, 0, want, sizeof want);
    CLOSE(f);
    HOLDSN("/f", want, sizeof want);
}

static void zero_range_zeros_and_may_extend(conf_t *t)
{
    char want[KIB(24)];
    memset(want, 'z', sizeof want);
    PUTN("/f", want, KIB(16));
    NEED_OPEN(f, "/f", RW);
    OK(vfs_allocate(f, NULL, VFS_ALLOC_ZERO_RANGE, 100, 200));
    memset(want + 100, 0, 200);
    conf_file_holds(HERE, f, 0, want, KIB(16));
    OK(vfs_allocate(f, NULL, VFS_ALLOC_ZERO_RANGE, KIB(12), KIB(12)));
    memset(want + KIB(12), 0, KIB(12));
    CLOSE(f);
    HOLDSN("/f", want, sizeof want);
}

static void zero_range_with_keep_size_does_not_extend(conf_t *t)
{
    char want[KIB(8)];
    memset(want, 'z', sizeof want);
    PUTN("/f", want, sizeof want);
    NEED_OPEN(f, "/f", RW);
    OK(vfs_allocate(f, NULL, VFS_ALLOC_ZERO_RANGE | VFS_ALLOC_KEEP_SIZE, KIB(4), KIB(64)));
    memset(want + KIB(4), 0, KIB(4));
    CLOSE(f);
    HOLDSN("/f", want, sizeof want);
}

static void collapse_takes_a_range_out(conf_t *t)
{
    char *data = malloc(KIB(64));
    conf_fill(data, KIB(64), 44);
    PUTN("/f", data, KIB(64));
    NEED_OPEN(f, "/f", RW);
    conf_file_holds(HERE, f, 0, data, KIB(64));
    OK(vfs_allocate(f, NULL, VFS_ALLOC_COLLAPSE, KIB(8), KIB(16)));
    memmove(data + KIB(8), data + KIB(24), KIB(40));
    conf_file_holds(HERE, f, 0, data, KIB(48));
    IS(APR_EINVAL, vfs_allocate(f, NULL, VFS_ALLOC_COLLAPSE, KIB(32), KIB(16)));
    CLOSE(f);
    HOLDSN("/f", data, KIB(48));
    free(data);
}

static void insert_makes_room_of_zeros(conf_t *t)
{
    char *data = malloc(KIB(96));
    conf_fill(data, KIB(64), 45);
    PUTN("/f", data, KIB(64));
    NEED_OPEN(f, "/f", RW);
    conf_file_holds(HERE, f, 0, data, KIB(64));
    OK(vfs_allocate(f, NULL, VFS_ALLOC_INSERT, KIB(16), KIB(32)));
    memmove(data + KIB(48), data + KIB(16), KIB(48));
    memset(data + KIB(16), 0, KIB(32));
    conf_file_holds(HERE, f, 0, data, KIB(96));
    IS(APR_EINVAL, vfs_allocate(f, NULL, VFS_ALLOC_INSERT, KIB(96), KIB(4)));
    CLOSE(f);
    HOLDSN("/f", data, KIB(96));
    free(data);
}

static void wrong_arguments_of_allocate(conf_t *t)
{
    PUT("/f", "data");
    NEED_OPEN(f, "/f", RW);
    IS(APR_EINVAL, vfs_allocate(f, NULL, 0, 0, 0));
    IS(APR_EINVAL, vfs_allocate(f, NULL, 0, -1, 10));
    IS(APR_EINVAL, vfs_allocate(f, NULL, 0, 0, -10));
    IS(APR_EINVAL, vfs_allocate(f, NULL, 0x100, 0, 10));
    IS(APR_EINVAL, vfs_allocate(f, NULL, VFS_ALLOC_PUNCH_HOLE, 0, 10));
    IS(APR_EINVAL, vfs_allocate(f, NULL, VFS_ALLOC_COLLAPSE | VFS_ALLOC_INSERT, 0, 4096));
    CLOSE(f);
    NEED_OPEN(g, "/f", RD);
    IS(APR_EBADF, vfs_allocate(g, NULL, 0, 0, 10));
    CLOSE(g);
    HOLDS("/f", "data");
}

static void copy_range_copies_between_files(conf_t *t)
{
    char *data = malloc(KIB(200));
    size_t copied = 0;
    conf_fill(data, KIB(200), 46);
    PUTN("/a", data, KIB(200));
    PUT("/b", "old content");
    NEED_OPEN(a, "/a", RD);
    NEED_OPEN(b, "/b", RW);
    OK(vfs_copy_range(a, NULL, 0, b, 0, KIB(200), &copied));
    EQ(copied, KIB(200));
    conf_file_holds(HERE, b, 0, data, KIB(200));
    CLOSE(a);
    CLOSE(b);
    HOLDSN("/b", data, KIB(200));
    HOLDSN("/a", data, KIB(200));
    free(data);
}

static void copy_range_sees_fresh_writes_of_both_files(conf_t *t)
{
    size_t n = 0, copied = 0;
    NEED_OPEN(a, "/a", RW | CR);
    NEED_OPEN(b, "/b", RW | CR);
    OK(vfs_write_at(a, NULL, "0123456789", 10, 0, &n, NULL));
    OK(vfs_write_at(b, NULL, "----------", 10, 0, &n, NULL));
    OK(vfs_copy_range(a, NULL, 2, b, 4, 3, &copied));
    EQ(copied, 3);
    FILE_HOLDS(b, 0, "----234---");
    OK(vfs_write_at(a, NULL, "XXX", 3, 2, &n, NULL));
    FILE_HOLDS(b, 0, "----234---");
    CLOSE(a);
    CLOSE(b);
    HOLDS("/b", "----234---");
    HOLDS("/a", "01XXX56789");
}

static void copy_range_ends_at_the_end_of_the_source(conf_t *t)
{
    size_t copied = 99;
    PUT("/a", "0123456789");
    PUT("/b", "");
    NEED_OPEN(a, "/a", RD);
    NEED_OPEN(b, "/b", RW);
    OK(vfs_copy_range(a, NULL, 7, b, 0, 100, &copied));
    EQ(copied, 3);
    OK(vfs_copy_range(a, NULL, 10, b, 3, 100, &copied));
    EQ(copied, 0);
    OK(vfs_copy_range(a, NULL, 0, b, 3, 0, &copied));
    EQ(copied, 0);
    CLOSE(a);
    CLOSE(b);
    HOLDS("/b", "789");
}

static void copy_range_behind_the_end_leaves_a_hole(conf_t *t)
{
    size_t copied = 0;
    PUT("/a", "abc");
    PUT("/b", "x");
    NEED_OPEN(a, "/a", RD);
    NEED_OPEN(b, "/b", RW);
    OK(vfs_copy_range(a, NULL, 0, b, 5, 3, &copied));
    CLOSE(a);
    CLOSE(b);
    HOLDSN("/b", "x\0\0\0\0abc", 8);
}

static void copy_range_within_one_file(conf_t *t)
{
    size_t copied = 0;
    PUT("/f", "abcdefghij");
    NEED_OPEN(f, "/f", RW);
    NEED_OPEN(g, "/f", RW);
    OK(vfs_copy_range(f, NULL, 0, f, 5, 5, &copied));
    EQ(copied, 5);
    FILE_HOLDS(g, 0, "abcdeabcde");
    IS(APR_EINVAL, vfs_copy_range(f, NULL, 0, f, 3, 5, &copied));
    IS(APR_EINVAL, vfs_copy_range(f, NULL, 0, g, 3, 5, &copied));
    CLOSE(f);
    CLOSE(g);
    HOLDS("/f", "abcdeabcde");
}

static void wrong_arguments_of_copy_range(conf_t *t)
{
    size_t copied = 9;
    PUT("/a", "aaaa");
    PUT("/b", "bbbb");
    NEED_OPEN(a, "/a", RD);
    NEED_OPEN(w, "/a", WR);
    NEED_OPEN(b, "/b", RW);
    NEED_OPEN(append, "/b", WR | VFS_O_APPEND);
    IS(APR_EINVAL, vfs_copy_range(a, NULL, -1, b, 0, 1, &copied));
    IS(APR_EINVAL, vfs_copy_range(a, NULL, 0, b, -1, 1, &copied));
    IS(APR_EINVAL, vfs_copy_range(a, NULL, 0, b, 0, 1, NULL));
    IS(APR_EBADF, vfs_copy_range(w, NULL, 0, b, 0, 1, &copied));
    IS(APR_EBADF, vfs_copy_range(b, NULL, 0, a, 0, 1, &copied));
    IS(APR_EBADF, vfs_copy_range(a, NULL, 0, append, 0, 1, &copied));
    CLOSE(a);
    CLOSE(w);
    CLOSE(b);
    CLOSE(append);
    HOLDS("/a", "aaaa");
    HOLDS("/b", "bbbb");
}

static const conf_behaviour_t behaviours[] = {
    B_CAPS(data_and_holes_are_found, VFS_CAP_SPARSE),
    B_CAPS(dirty_data_is_found_before_it_is_flushed, VFS_CAP_SPARSE),
    B_CAPS(the_end_of_a_file_is_a_hole, VFS_CAP_SPARSE),
    B_CAPS(seek_to_data_moves_the_cursor, VFS_CAP_SPARSE),
    B_CAPS(holes_take_no_storage, VFS_CAP_SPARSE),
    B_CAPS(allocate_extends_with_zeros, VFS_CAP_ALLOCATE),
    B_CAPS(allocate_never_shrinks, VFS_CAP_ALLOCATE),
    B_CAPS(allocate_with_keep_size_keeps_it, VFS_CAP_ALLOCATE),
    B_CAPS(a_punched_hole_reads_zeros, VFS_CAP_ALLOCATE),
    B_CAPS(a_hole_punched_into_fresh_writes_reads_zeros, VFS_CAP_ALLOCATE),
    B_CAPS(zero_range_zeros_and_may_extend, VFS_CAP_ALLOCATE),
    B_CAPS(zero_range_with_keep_size_does_not_extend, VFS_CAP_ALLOCATE),
    B_CAPS(collapse_takes_a_range_out, VFS_CAP_SHIFT),
    B_CAPS(insert_makes_room_of_zeros, VFS_CAP_SHIFT),
    B_CAPS(wrong_arguments_of_allocate, VFS_CAP_ALLOCATE),
    B_CAPS(copy_range_copies_between_files, VFS_CAP_COPY_RANGE),
    B_CAPS(copy_range_sees_fresh_writes_of_both_files, VFS_CAP_COPY_RANGE),
    B_CAPS(copy_range_ends_at_the_end_of_the_source, VFS_CAP_COPY_RANGE),
    B_CAPS(copy_range_behind_the_end_leaves_a_hole, VFS_CAP_COPY_RANGE),
    B_CAPS(copy_range_within_one_file, VFS_CAP_COPY_RANGE),
    B_CAPS(wrong_arguments_of_copy_range, VFS_CAP_COPY_RANGE),
};
CONF_TABLE(range, behaviours);
