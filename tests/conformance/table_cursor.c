/*
 * table_cursor.c - behaviours of calls with several pieces, and of the cursor. contract.md,
 * section 2.
 */
#include <stdlib.h>

#include "tests/conformance/conf.h"

static void vectored_reads_fill_pieces_in_order(conf_t *t)
{
    char a[3], b[5], c[100];
    vfs_iovec_t iov[] = {{a, sizeof a}, {b, 0}, {b, sizeof b}, {c, sizeof c}};
    size_t got = 0;
    PUT("/f", "0123456789abcdef");
    NEED_OPEN(f, "/f", RD);
    OK(vfs_readv_at(f, NULL, iov, 4, 2, &got));
    EQ(got, 14);
    SAME(a, "234", 3);
    SAME(b, "56789", 5);
    SAME(c, "abcdef", 6);
    OK(vfs_readv_at(f, NULL, iov, 4, 16, &got));
    EQ(got, 0);
    OK(vfs_readv_at(f, NULL, iov, 0, 0, &got));
    EQ(got, 0);
    CLOSE(f);
}

static void vectored_writes_take_pieces_in_order(conf_t *t)
{
    char a[] = "abc", b[] = "defgh", none[] = "";
    vfs_iovec_t iov[] = {{a, 3}, {none, 0}, {b, 5}};
    size_t written = 0;
    NEED_OPEN(f, "/f", RW | CR);
    OK(vfs_writev_at(f, NULL, iov, 3, 2, &written, NULL));
    EQ(written, 8);
    OK(vfs_writev_at(f, NULL, iov, 1, VFS_OFFSET_END, &written, NULL));
    EQ(written, 3);
    CLOSE(f);
    HOLDSN("/f", "\0\0abcdefghabc", 13);
}

static void a_thousand_pieces_are_one_call(conf_t *t)
{
    enum { COUNT = 1024 };
    static vfs_iovec_t iov[COUNT + 1];
    static char data[COUNT * 7], back[COUNT * 7];
    size_t n = 0;
    conf_fill(data, sizeof data, 9);
    for (size_t i = 0; i <= COUNT; i++)
        iov[i] = (vfs_iovec_t){data + (i % COUNT) * 7, 7};
    NEED_OPEN(f, "/f", RW | CR);
    OK(vfs_writev_at(f, NULL, iov, COUNT, 0, &n, NULL));
    EQ(n, sizeof data);
    IS(APR_EINVAL, vfs_writev_at(f, NULL, iov, COUNT + 1, 0, &n, NULL));
    for (size_t i = 0; i <= COUNT; i++)
        iov[i].base = back + (i % COUNT) * 7;
    OK(vfs_readv_at(f, NULL, iov, COUNT, 0, &n));
    EQ(n, sizeof data);
    SAME(back, data, sizeof data);
    IS(APR_EINVAL, vfs_readv_at(f, NULL, iov, COUNT + 1, 0, &n));
    CLOSE(f);
}

static void the_cursor_moves_with_reads_and_writes(conf_t *t)
{
    char buf[8];
    size_t n = 0;
    apr_off_t where = -1;
    NEED_OPEN(f, "/f", RW | CR);
    OK(vfs_write(f, NULL, "0123", 4, &n));
    OK(vfs_write(f, NULL, "456789", 6, &n));
    OK(vfs_seek(f, NULL, 0, VFS_SEEK_CUR, &where));
    EQ(where, 10);
    OK(vfs_seek(f, NULL, 2, VFS_SEEK_SET, &where));
    OK(vfs_read(f, NULL, buf, 3, &n));
    SAME(buf, "234", 3);
    OK(vfs_read(f, NULL, buf, 8, &n));
    EQ(n, 5);
    SAME(buf, "56789", 5);
    OK(vfs_read(f, NULL, buf, 8, &n));
    EQ(n, 0);
    CLOSE(f);
    HOLDS("/f", "0123456789");
}

static void positional_calls_leave_the_cursor_alone(conf_t *t)
{
    char buf[8];
    size_t n = 0;
    PUT("/f", "0123456789");
    NEED_OPEN(f, "/f", RW);
    OK(vfs_read(f, NULL, buf, 2, &n));
    OK(vfs_read_at(f, NULL, buf, 4, 6, &n));
    OK(vfs_write_at(f, NULL, "X", 1, 9, &n, NULL));
    OK(vfs_read(f, NULL, buf, 2, &n));
    SAME(buf, "23", 2);
    CLOSE(f);
}

static void the_cursor_is_of_the_handle(conf_t *t)
{
    char buf[4];
    size_t n = 0;
    PUT("/f", "0123456789");
    NEED_OPEN(f, "/f", RD);
    NEED_OPEN(g, "/f", RD);
    OK(vfs_read(f, NULL, buf, 4, &n));
    OK(vfs_read(g, NULL, buf, 1, &n));
    SAME(buf, "0", 1);
    OK(vfs_read(f, NULL, buf, 1, &n));
    SAME(buf, "4", 1);
    CLOSE(f);
    CLOSE(g);
}

static void seek_goes_from_start_cursor_and_end(conf_t *t)
{
    apr_off_t where = -1;
    char buf[4];
    size_t n = 0;
    PUT("/f", "0123456789");
    NEED_OPEN(f, "/f", RD);
    OK(vfs_seek(f, NULL, -3, VFS_SEEK_END, &where));
    EQ(where, 7);
    OK(vfs_read(f, NULL, buf, 1, &n));
    SAME(buf, "7", 1);
    OK(vfs_seek(f, NULL, -4, VFS_SEEK_CUR, &where));
    EQ(where, 4);
    OK(vfs_seek(f, NULL, 5, VFS_SEEK_END, NULL));
    OK(vfs_read(f, NULL, buf, 1, &n));
    EQ(n, 0);
    CLOSE(f);
}

static void a_seek_before_the_start_is_einval_and_moves_nothing(conf_t *t)
{
    apr_off_t where = -1;
    PUT("/f", "0123456789");
    NEED_OPEN(f, "/f", RD);
    OK(vfs_seek(f, NULL, 5, VFS_SEEK_SET, NULL));
    IS(APR_EINVAL, vfs_seek(f, NULL, -1, VFS_SEEK_SET, NULL));
    IS(APR_EINVAL, vfs_seek(f, NULL, -6, VFS_SEEK_CUR, NULL));
    IS(APR_EINVAL, vfs_seek(f, NULL, -11, VFS_SEEK_END, NULL));
    OK(vfs_seek(f, NULL, 0, VFS_SEEK_CUR, &where));
    EQ(where, 5);
    CLOSE(f);
}

static void a_write_at_a_cursor_behind_the_end_leaves_a_hole(conf_t *t)
{
    size_t n = 0;
    PUT("/f", "abc");
    NEED_OPEN(f, "/f", RW);
    OK(vfs_seek(f, NULL, 3, VFS_SEEK_END, NULL));
    OK(vfs_write(f, NULL, "x", 1, &n));
    CLOSE(f);
    HOLDSN("/f", "abc\0\0\0x", 7);
}

static const conf_behaviour_t behaviours[] = {
    B(vectored_reads_fill_pieces_in_order),
    B(vectored_writes_take_pieces_in_order),
    B(a_thousand_pieces_are_one_call),
    B(the_cursor_moves_with_reads_and_writes),
    B(positional_calls_leave_the_cursor_alone),
    B(the_cursor_is_of_the_handle),
    B(seek_goes_from_start_cursor_and_end),
    B(a_seek_before_the_start_is_einval_and_moves_nothing),
    B(a_write_at_a_cursor_behind_the_end_leaves_a_hole),
};
CONF_TABLE(cursor, behaviours);
