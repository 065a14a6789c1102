/* test_data.c - bytes in the memory backend: sparse files, ends of files, limits, ranges, copies.
 */
#include <stdlib.h>

#include "tests/mem/support_mem.h"

TestSuite(mem_data, .init = mem_setup, .fini = mem_teardown);

#define RW (VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE)
#define PAGE 4096
#define TIB ((apr_off_t)1 << 40)
#define FILE_MAX ((apr_off_t)0xffffffffu << 12)

static size_t read_ok(vfs_file_t *file, void *buf, size_t len, apr_off_t off)
{
    size_t got;

    cr_assert(vfs_read_at(file, NULL, buf, len, off, &got) == APR_SUCCESS);
    return got;
}

static int all(const unsigned char *buf, size_t len, unsigned char value)
{
    for (size_t i = 0; i < len; i++) {
        if (buf[i] != value) return 0;
    }
    return 1;
}

static apr_off_t seek_of(vfs_file_t *file, apr_off_t off, vfs_whence_e whence)
{
    apr_off_t where = -1;
    apr_status_t status = vfs_seek_extent(file, NULL, off, whence, &where);

    if (status == APR_SUCCESS) return where;
    cr_expect(status == VFS_ENODATA);
    return -1;
}

/* A file, and beside it a plain array that says what it should hold. */
enum { SHADOW = 64 * PAGE };
static unsigned char shadow[SHADOW], seen[SHADOW];
static size_t shadow_size;

static void same_as_shadow(vfs_file_t *file, const char *what)
{
    memset(seen, 0xee, sizeof(seen));
    size_t got = read_ok(file, seen, sizeof(seen), 0);
    cr_assert(got == shadow_size, "%s: %zu bytes, not %zu", what, got, shadow_size);
    for (size_t i = 0; i < got; i++)
        cr_assert(seen[i] == shadow[i], "%s: byte %zu is %u, not %u", what, i, seen[i], shadow[i]);
    cr_assert(fstat_of(file).size == shadow_size);
}

static void shadow_write(size_t off, size_t len, int value)
{
    memset(shadow + off, value, len);
    if (off + len > shadow_size) shadow_size = off + len;
}

static void shadow_resize(size_t size)
{
    if (size < shadow_size) memset(shadow + size, 0, shadow_size - size);
    shadow_size = size;
}

static unsigned below(unsigned limit)
{
    static uint32_t state = 12345;

    state = state * 1664525u + 1013904223u;
    return (state >> 8) % limit;
}

static void one_step(vfs_file_t *file, int round)
{
    size_t off = below(SHADOW / 2), len = 1 + below(5 * PAGE), page = below(16) * (size_t)PAGE;
    int value = 1 + (int)below(255);

    switch (below(8)) {
    case 0:
    case 1:
    case 2:
        memset(seen, value, len);
        write_ok(file, seen, len, (apr_off_t)off);
        shadow_write(off, len, value);
        break;
    case 3:
        OK(vfs_ftruncate(file, NULL, (apr_off_t)off));
        shadow_resize(off);
        break;
    case 4:
        OK(vfs_allocate(file, NULL, VFS_ALLOC_PUNCH_HOLE | VFS_ALLOC_KEEP_SIZE, (apr_off_t)off,
                        (apr_off_t)len));
        if (off < shadow_size)
            memset(shadow + off, 0, len < shadow_size - off ? len : shadow_size - off);
        break;
    case 5:
        OK(vfs_allocate(file, NULL, round % 2 ? VFS_ALLOC_ZERO_RANGE : 0, (apr_off_t)off,
                        (apr_off_t)len));
        if (round % 2 && off < shadow_size)
            memset(shadow + off, 0, len < shadow_size - off ? len : shadow_size - off);
        if (off + len > shadow_size) shadow_resize(off + len);
        break;
    case 6:
        if (page + 2 * PAGE >= shadow_size) break;
        OK(vfs_allocate(file, NULL, VFS_ALLOC_COLLAPSE, (apr_off_t)page, 2 * PAGE));
        memmove(shadow + page, shadow + page + 2 * PAGE, shadow_size - page - 2 * PAGE);
        shadow_resize(shadow_size - 2 * PAGE);
        break;
    default:
        if (page >= shadow_size || shadow_size + 3 * PAGE > SHADOW) break;
        OK(vfs_allocate(file, NULL, VFS_ALLOC_INSERT, (apr_off_t)page, 3 * PAGE));
        memmove(shadow + page + 3 * PAGE, shadow + page, shadow_size - page);
        memset(shadow + page, 0, 3 * PAGE);
        shadow_size += 3 * PAGE;
    }
}

Test(mem_data, every_change_leaves_what_an_array_would_hold)
{
    char what[32];
    vfs_file_t *file;

    mem_limit(1 << 24);
    file = open_ok("/f", RW);
    for (int round = 0; round < 3000; round++) {
        one_step(file, round);
        sprintf(what, "round %d", round);
        same_as_shadow(file, what);
        cr_assert(bytes_used(1 << 24) == fstat_of(file).allocated);
    }
    OK(vfs_ftruncate(file, NULL, 0));
    cr_expect(bytes_used(1 << 24) == 0);
    close_ok(file);
}

Test(mem_data, a_tebibyte_of_hole_costs_nothing_and_reads_as_zeros)
{
    static unsigned char buf[1 << 20];
    vfs_file_t *file;

    mem_limit(1 << 20);
    file = open_ok("/f", RW);
    write_ok(file, "first", 5, 0);
    write_ok(file, "last", 4, TIB - 4);
    write_ok(file, "middle", 6, TIB / 2 - 3);
    cr_expect(fstat_of(file).size == (uint64_t)TIB && fstat_of(file).allocated == 4 * PAGE);
    cr_expect(bytes_used(1 << 20) == 4 * PAGE);
    cr_expect(read_ok(file, buf, sizeof(buf), TIB / 4) == sizeof(buf) && all(buf, sizeof(buf), 0));
    cr_expect(read_ok(file, buf, 100, TIB - 10) == 10 && memcmp(buf + 6, "last", 4) == 0);
    cr_expect(read_ok(file, buf, 100, TIB) == 0);
    cr_expect(seek_of(file, 0, VFS_SEEK_DATA) == 0);
    cr_expect(seek_of(file, 0, VFS_SEEK_HOLE) == PAGE);
    cr_expect(seek_of(file, PAGE, VFS_SEEK_DATA) == TIB / 2 - PAGE);
    cr_expect(seek_of(file, TIB / 2, VFS_SEEK_HOLE) == TIB / 2 + PAGE);
    cr_expect(seek_of(file, TIB / 2 + PAGE, VFS_SEEK_DATA) == TIB - PAGE);
    cr_expect(seek_of(file, TIB - 2, VFS_SEEK_DATA) == TIB - 2);
    cr_expect(seek_of(file, TIB - 2, VFS_SEEK_HOLE) == TIB);
    cr_expect(seek_of(file, TIB, VFS_SEEK_HOLE) == -1);
    OK(vfs_ftruncate(file, NULL, TIB / 2));
    OK(vfs_ftruncate(file, NULL, TIB));
    cr_expect(read_ok(file, buf, 8, TIB / 2 - 3) == 8 && memcmp(buf, "mid\0\0\0\0\0", 8) == 0);
    cr_expect(seek_of(file, TIB / 2, VFS_SEEK_DATA) == -1);
    OK(vfs_allocate(file, NULL, VFS_ALLOC_PUNCH_HOLE | VFS_ALLOC_KEEP_SIZE, 0, TIB));
    cr_expect(bytes_used(1 << 20) == 0 && fstat_of(file).size == (uint64_t)TIB);
    write_ok(file, "again", 5, 3 * PAGE);
    cr_expect(fstat_of(file).allocated == PAGE);
    close_ok(file);
}

Test(mem_data, the_largest_file_is_that_of_the_caps)
{
    size_t written;
    vfs_file_t *file = open_ok("/f", RW);

    cr_expect(vfs_caps(fs)->file_size_max == (uint64_t)FILE_MAX);
    write_ok(file, "x", 1, FILE_MAX - 1);
    EXPECT(OSERR(EFBIG), vfs_write_at(file, NULL, "ab", 2, FILE_MAX - 1, &written, NULL));
    cr_expect(written == 1);
    EXPECT(OSERR(EFBIG), vfs_write_at(file, NULL, "a", 1, FILE_MAX, &written, NULL));
    cr_expect(written == 0);
    EXPECT(OSERR(EFBIG), vfs_write_at(file, NULL, "a", 1, INT64_MAX - 1, &written, NULL));
    EXPECT(OSERR(EFBIG), vfs_write_at(file, NULL, "a", 1, VFS_OFFSET_END, &written, NULL));
    EXPECT(OSERR(EFBIG), vfs_ftruncate(file, NULL, FILE_MAX + 1));
    EXPECT(OSERR(EFBIG), vfs_allocate(file, NULL, 0, FILE_MAX, 1));
    EXPECT(OSERR(EFBIG), vfs_allocate(file, NULL, VFS_ALLOC_INSERT, 0, PAGE));
    OK(vfs_ftruncate(file, NULL, FILE_MAX));
    cr_expect(fstat_of(file).size == (uint64_t)FILE_MAX);
    EXPECT(OSERR(EFBIG), vfs_truncate(fs, NULL, "/f", FILE_MAX + 1));
    close_ok(file);
}

Test(mem_data, a_full_file_system_says_how_much_it_took)
{
    static unsigned char buf[8 * PAGE];
    size_t written;
    vfs_file_t *file, *other;

    mem_limit(10 * PAGE);
    memset(buf, 'x', sizeof(buf));
    file = open_ok("/f", RW);
    other = open_ok("/g", RW);
    write_ok(file, buf, 6 * PAGE, 0);
    EXPECT(APR_ENOSPC, vfs_write_at(other, NULL, buf, 5 * PAGE + 9, 0, &written, NULL));
    cr_expect(written == 4 * PAGE && fstat_of(other).size == 4 * PAGE);
    EXPECT(APR_ENOSPC, vfs_write_at(other, NULL, buf, 10, 4 * PAGE, &written, NULL));
    cr_expect(written == 0 && bytes_used(10 * PAGE) == 10 * PAGE);
    write_ok(other, buf, PAGE, 100);
    vfs_iovec_t iov[2] = {{buf, PAGE}, {buf, 10}};
    OK(vfs_ftruncate(file, NULL, 5 * PAGE));
    EXPECT(APR_ENOSPC, vfs_writev_at(file, NULL, iov, 2, 5 * PAGE, &written, NULL));
    cr_expect(written == PAGE);
    EXPECT(APR_ENOSPC, vfs_allocate(file, NULL, 0, 0, 8 * PAGE));
    EXPECT(APR_ENOSPC, vfs_allocate(file, NULL, VFS_ALLOC_ZERO_RANGE, 0, 8 * PAGE));
    cr_expect(fstat_of(file).size == 6 * PAGE && fstat_of(file).allocated == 6 * PAGE);
    close_ok(file);
    OK(vfs_unlink(fs, NULL, "/f"));
    cr_expect(bytes_used(10 * PAGE) == 4 * PAGE);
    OK(vfs_allocate(other, NULL, VFS_ALLOC_KEEP_SIZE, 0, 10 * PAGE));
    cr_expect(bytes_used(10 * PAGE) == 10 * PAGE && fstat_of(other).size == 4 * PAGE);
    write_ok(other, buf, 6 * PAGE, 4 * PAGE);
    close_ok(other);
    OK(vfs_unlink(fs, NULL, "/g"));
    cr_expect(bytes_used(10 * PAGE) == 0);
}

Test(mem_data, reserved_space_is_a_hole_until_it_is_written)
{
    unsigned char buf[PAGE];
    vfs_file_t *file = open_ok("/f", RW);

    OK(vfs_allocate(file, NULL, 0, 10, 5 * PAGE));
    cr_expect(fstat_of(file).size == 5 * PAGE + 10 && fstat_of(file).allocated == 6 * PAGE);
    cr_expect(seek_of(file, 0, VFS_SEEK_DATA) == -1 && seek_of(file, 5, VFS_SEEK_HOLE) == 5);
    write_ok(file, "x", 1, 2 * PAGE + 7);
    cr_expect(seek_of(file, 0, VFS_SEEK_DATA) == 2 * PAGE);
    cr_expect(seek_of(file, 2 * PAGE, VFS_SEEK_HOLE) == 3 * PAGE);
    cr_expect(read_ok(file, buf, 8, 2 * PAGE) == 8 && memcmp(buf, "\0\0\0\0\0\0\0x", 8) == 0);
    OK(vfs_allocate(file, NULL, VFS_ALLOC_ZERO_RANGE | VFS_ALLOC_KEEP_SIZE, 0, 9 * PAGE));
    cr_expect(seek_of(file, 0, VFS_SEEK_DATA) == -1 && fstat_of(file).size == 5 * PAGE + 10);
    cr_expect(fstat_of(file).allocated == 9 * PAGE);
    OK(vfs_ftruncate(file, NULL, 5 * PAGE + 10));
    cr_expect(fstat_of(file).allocated == 6 * PAGE);
    EXPECT(APR_ENOSPC, vfs_allocate(file, NULL, 0, 0, 8 * TIB));
    close_ok(file);
}

Test(mem_data, ranges_that_move_must_be_whole_pages_within_the_file)
{
    vfs_file_t *file = open_ok("/f", RW);

    OK(vfs_ftruncate(file, NULL, 4 * PAGE));
    static const struct {
        uint32_t how;
        apr_off_t off, len;
    } bad[] = {
        {VFS_ALLOC_COLLAPSE, 1, PAGE},
        {VFS_ALLOC_COLLAPSE, 0, PAGE + 1},
        {VFS_ALLOC_COLLAPSE, 2 * PAGE, 2 * PAGE},
        {VFS_ALLOC_COLLAPSE, 8 * PAGE, PAGE},
        {VFS_ALLOC_INSERT, 5, PAGE},
        {VFS_ALLOC_INSERT, 0, 5},
        {VFS_ALLOC_INSERT, 4 * PAGE, PAGE},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        EXPECT(APR_EINVAL, vfs_allocate(file, NULL, bad[i].how, bad[i].off, bad[i].len));
    cr_expect(fstat_of(file).size == 4 * PAGE);
    close_ok(file);
}

Test(mem_data, append_goes_to_the_end_whatever_the_offset)
{
    char buf[16];
    size_t n;
    vfs_file_t *plain = open_ok("/f", RW), *app = open_ok("/f", VFS_O_WRITE | VFS_O_APPEND);

    write_ok(plain, "ab", 2, 0);
    OK(vfs_write_at(app, NULL, "cd", 2, 0, &n, NULL));
    OK(vfs_write_at(plain, NULL, "ef", 2, VFS_OFFSET_END, &n, NULL));
    vfs_iovec_t iov[3] = {{(char[]){"g"}, 1}, {NULL, 0}, {(char[]){"hi"}, 2}};
    OK(vfs_writev_at(app, NULL, iov, 3, 1, &n, NULL));
    cr_expect(n == 3);
    holds("/f", "abcdefghi");
    vfs_iovec_t out[3] = {{buf, 2}, {buf + 2, 3}, {buf + 5, 11}};
    OK(vfs_readv_at(plain, NULL, out, 3, 1, &n));
    cr_expect(n == 8 && memcmp(buf, "bcdefghi", 8) == 0);
    EXPECT(APR_EBADF, vfs_copy_range(plain, NULL, 0, app, 0, 1, &n));
    close_ok(plain);
    close_ok(app);
}

Test(mem_data, fetch_tells_the_version_of_the_bytes_it_brings)
{
    char buf[4];
    size_t n;
    vfs_validator_t version, wrote;
    vfs_iovec_t iov = {buf, sizeof(buf)};
    vfs_file_t *file = open_ok("/f", RW);

    OK(vfs_write_at(file, NULL, "abc", 3, 0, &n, &wrote));
    OK(vfs_call_fetch(file, NULL, &iov, 1, 1, &n, &version));
    cr_expect(n == 2 && memcmp(buf, "bc", 2) == 0 && vfs_validator_equal(&version, &wrote));
    close_ok(file);
}

Test(mem_data, copy_range_copies_bytes_and_keeps_holes)
{
    static unsigned char buf[3 * PAGE];
    size_t copied;
    vfs_file_t *a, *b;

    mem_limit(1 << 20);
    a = open_ok("/a", RW);
    b = open_ok("/b", RW);
    memset(buf, 'a', sizeof(buf));
    write_ok(a, buf, PAGE, 0);
    write_ok(a, "tail", 4, 20 * PAGE);
    memset(buf, 'b', sizeof(buf));
    write_ok(b, buf, 3 * PAGE, 10);
    OK(vfs_copy_range(a, NULL, 0, b, 7, TIB, &copied));
    cr_expect(copied == 20 * PAGE + 4 && fstat_of(b).size == 20 * PAGE + 11);
    cr_expect(read_ok(b, buf, PAGE, 7) == PAGE && all(buf, PAGE, 'a'));
    cr_expect(read_ok(b, buf, 3 * PAGE, PAGE + 7) == 3 * PAGE && all(buf, 3 * PAGE, 0));
    cr_expect(read_ok(b, buf, 100, 20 * PAGE + 7) == 4 && memcmp(buf, "tail", 4) == 0);
    OK(vfs_copy_range(b, NULL, 7, a, 0, 4, &copied));
    cr_expect(copied == 4);
    OK(vfs_copy_range(b, NULL, TIB, a, 0, 4, &copied));
    cr_expect(copied == 0);
    OK(vfs_copy_range(a, NULL, 20 * PAGE, a, 4, 4, &copied));
    cr_expect(copied == 4 && read_ok(a, buf, 9, 0) == 9 && memcmp(buf, "aaaataila", 9) == 0);
    close_ok(b);
    b = open_ok("/a", RW);
    EXPECT(APR_EINVAL, vfs_copy_range(a, NULL, 0, b, 10, 11, &copied));
    OK(vfs_ftruncate(a, NULL, 2 * PAGE));
    EXPECT(OSERR(EFBIG), vfs_copy_range(a, NULL, PAGE, b, FILE_MAX - 10, PAGE, &copied));
    EXPECT(OSERR(EFBIG), vfs_copy_range(a, NULL, 0, b, FILE_MAX - 10, PAGE, &copied));
    cr_expect(copied == 10);
    close_ok(a);
    close_ok(b);
}

Test(mem_data, a_copy_of_several_pieces_is_whole)
{
    enum { SIZE = 20 << 20 };
    unsigned char *buf = malloc(SIZE);
    size_t copied;
    vfs_file_t *a = open_ok("/a", RW), *b = open_ok("/b", RW);

    cr_assert(buf != NULL);
    for (size_t i = 0; i < SIZE; i++)
        buf[i] = (unsigned char)(i * 31 + (i >> 12));
    write_ok(a, buf, SIZE, 0);
    OK(vfs_copy_range(a, NULL, 0, b, 0, SIZE, &copied));
    cr_expect(copied == SIZE);
    unsigned char *back = malloc(SIZE);
    cr_assert(back != NULL);
    cr_expect(read_ok(b, back, SIZE, 0) == SIZE && memcmp(buf, back, SIZE) == 0);
    free(back);
    free(buf);
    close_ok(a);
    close_ok(b);
}
