/*
 * table_io.c - behaviours of reading and writing: offsets, ends, appends, pieces, the cursor.
 * contract.md, section 2.
 */
#include <stdlib.h>

#include <apr_thread_proc.h>

#include "tests/conformance/conf.h"

#define BIG (600u * 1024 + 123)

static void what_was_written_is_read(conf_t *t)
{
    PUT("/empty", "");
    PUT("/one", "1");
    PUT("/text", "The quick brown fox");
    HOLDS("/empty", "");
    HOLDS("/one", "1");
    HOLDS("/text", "The quick brown fox");
}

static void bytes_of_every_value_survive(conf_t *t)
{
    unsigned char all[1024];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (unsigned char)(i * 7 + i / 256);
    PUTN("/f", all, sizeof all);
    HOLDSN("/f", all, sizeof all);
}

static void files_of_every_size_around_block_edges(conf_t *t)
{
    static const size_t edges[] = {1024, 4096, 16384, 65536, 262144};
    char *data = malloc(BIG);
    conf_fill(data, BIG, 1);
    for (size_t e = 0; e < sizeof edges / sizeof edges[0]; e++) {
        for (size_t size = edges[e] - 1; size <= edges[e] + 1; size++) {
            PUTN("/f", data, size);
            HOLDSN("/f", data, size);
        }
    }
    free(data);
}

static void a_large_file_reads_back_in_every_chunk_size(conf_t *t)
{
    static const size_t chunks[] = {997, 4096, 10000, 65536, 262144, BIG, 2 * BIG};
    char *data = malloc(BIG), *back = malloc(2 * BIG);
    conf_fill(data, BIG, 2);
    PUTN("/f", data, BIG);
    NEED_OPEN(f, "/f", RD);
    for (size_t c = 0; c < sizeof chunks / sizeof chunks[0]; c++) {
        size_t at = 0, got = 1;
        while (got > 0 && at < 2 * BIG) {
            size_t left = 2 * BIG - at;
            if (!OK(vfs_read_at(f, NULL, back + at, left < chunks[c] ? left : chunks[c],
                                (apr_off_t)at, &got)))
                break;
            at += got;
        }
        EQ(at, BIG);
        SAME(back, data, BIG);
    }
    CLOSE(f);
    free(data);
    free(back);
}

static void a_large_file_written_backwards_reads_forwards(conf_t *t)
{
    enum { CHUNK = 5000 };
    char *data = malloc(BIG);
    size_t written = 0;
    conf_fill(data, BIG, 3);
    NEED_OPEN(f, "/f", WR | CR);
    for (size_t end = BIG; end > 0;) {
        size_t len = end < CHUNK ? end : CHUNK;
        end -= len;
        if (!OK(vfs_write_at(f, NULL, data + end, len, (apr_off_t)end, &written, NULL))) break;
    }
    CLOSE(f);
    HOLDSN("/f", data, BIG);
    free(data);
}

static void a_read_at_the_end_of_file_is_short(conf_t *t)
{
    char buf[32];
    size_t got = 99;
    PUT("/f", "0123456789");
    NEED_OPEN(f, "/f", RD);
    OK(vfs_read_at(f, NULL, buf, sizeof buf, 0, &got));
    EQ(got, 10);
    OK(vfs_read_at(f, NULL, buf, sizeof buf, 7, &got));
    EQ(got, 3);
    SAME(buf, "789", 3);
    OK(vfs_read_at(f, NULL, buf, 3, 7, &got));
    EQ(got, 3);
    CLOSE(f);
}

static void a_read_behind_the_end_of_file_reads_nothing(conf_t *t)
{
    char buf[8];
    size_t got = 99;
    PUT("/f", "0123456789");
    NEED_OPEN(f, "/f", RD);
    OK(vfs_read_at(f, NULL, buf, sizeof buf, 10, &got));
    EQ(got, 0);
    OK(vfs_read_at(f, NULL, buf, sizeof buf, 1000000, &got));
    EQ(got, 0);
    OK(vfs_read_at(f, NULL, buf, sizeof buf, ((apr_off_t)1 << 50), &got));
    EQ(got, 0);
    CLOSE(f);
}

static void a_second_read_sees_the_same_bytes(conf_t *t)
{
    char *data = malloc(BIG);
    conf_fill(data, BIG, 4);
    PUTN("/f", data, BIG);
    for (int i = 0; i < 4; i++)
        HOLDSN("/f", data, BIG);
    free(data);
}

static void a_read_never_touches_more_than_it_got(conf_t *t)
{
    char buf[16];
    size_t got = 0;
    PUT("/f", "abc");
    NEED_OPEN(f, "/f", RD);
    memset(buf, 'z', sizeof buf);
    OK(vfs_read_at(f, NULL, buf, 2, 0, &got));
    SAME(buf, "abzz", 4);
    CLOSE(f);
}

static void a_read_or_write_of_no_bytes_does_nothing(conf_t *t)
{
    char buf[4] = "zzz";
    size_t count = 99;
    PUT("/f", "data");
    NEED_OPEN(f, "/f", RW);
    OK(vfs_read_at(f, NULL, buf, 0, 0, &count));
    EQ(count, 0);
    count = 99;
    OK(vfs_write_at(f, NULL, buf, 0, 100, &count, NULL));
    EQ(count, 0);
    CLOSE(f);
    HOLDS("/f", "data");
}

static void an_overwrite_changes_only_its_range(conf_t *t)
{
    char *data = malloc(BIG);
    size_t written = 0;
    conf_fill(data, BIG, 5);
    PUTN("/f", data, BIG);
    NEED_OPEN(f, "/f", RW);
    static const size_t at[] = {0, 1, 4095, 4096, 16380, 65530, 262140, BIG - 10};
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        memset(data + at[i], 'A' + (int)i, 10);
        OK(vfs_write_at(f, NULL, data + at[i], 10, (apr_off_t)at[i], &written, NULL));
        EQ(written, 10);
        conf_file_holds(HERE, f, 0, data, BIG);
    }
    CLOSE(f);
    HOLDSN("/f", data, BIG);
    free(data);
}

static void a_write_across_the_end_grows_the_file(conf_t *t)
{
    size_t written = 0;
    PUT("/f", "0123456789");
    NEED_OPEN(f, "/f", RW);
    OK(vfs_write_at(f, NULL, "abcdef", 6, 8, &written, NULL));
    FILE_HOLDS(f, 0, "01234567abcdef");
    CLOSE(f);
    HOLDS("/f", "01234567abcdef");
}

static void a_gap_before_a_write_reads_zeros(conf_t *t)
{
    static const size_t gaps[] = {1, 100, 4096, 5000, 70000, 300000};
    size_t written = 0;
    for (size_t i = 0; i < sizeof gaps / sizeof gaps[0]; i++) {
        size_t len = 3 + gaps[i] + 3;
        char *want = calloc(1, len);
        memcpy(want, "abc", 3);
        memcpy(want + len - 3, "end", 3);
        PUT("/f", "abc");
        NEED_OPEN(f, "/f", RW);
        OK(vfs_write_at(f, NULL, "end", 3, (apr_off_t)(len - 3), &written, NULL));
        conf_file_holds(HERE, f, 0, want, len);
        CLOSE(f);
        HOLDSN("/f", want, len);
        free(want);
    }
}

static void a_hole_is_found_after_its_file_was_cached(conf_t *t)
{
    char want[9000];
    char buf[9000];
    size_t n = 0;
    memset(want, 0, sizeof want);
    memset(want, 'x', 100);
    want[8999] = 'y';
    PUTN("/f", want, 100);
    NEED_OPEN(f, "/f", RW);
    OK(vfs_read_at(f, NULL, buf, sizeof buf, 0, &n));
    EQ(n, 100);
    OK(vfs_write_at(f, NULL, "y", 1, 8999, &n, NULL));
    conf_file_holds(HERE, f, 0, want, sizeof want);
    CLOSE(f);
    HOLDSN("/f", want, sizeof want);
}

static void a_file_far_behind_four_gigabytes(conf_t *t)
{
    apr_off_t far_off = ((apr_off_t)5 << 30) + 17;
    char buf[16];
    size_t n = 0;
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    NEED_OPEN(f, "/f", RW | CR);
    OK(vfs_write_at(f, NULL, "far away", 8, far_off, &n, NULL));
    FILE_HOLDS(f, far_off, "far away");
    OK(vfs_read_at(f, NULL, buf, 8, far_off - 8, &n));
    EQ(n, 8);
    SAME(buf, "\0\0\0\0\0\0\0\0", 8);
    OK(vfs_fstat(f, NULL, &attr));
    EQ(attr.size, (uint64_t)far_off + 8);
    CLOSE(f);
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    EQ(attr.size, (uint64_t)far_off + 8);
}

static void append_handles_write_at_the_end(conf_t *t)
{
    size_t written = 0;
    PUT("/f", "one");
    NEED_OPEN(f, "/f", WR | VFS_O_APPEND);
    OK(vfs_write_at(f, NULL, "two", 3, 0, &written, NULL));
    EQ(written, 3);
    OK(vfs_write_at(f, NULL, "three", 5, 1, &written, NULL));
    OK(vfs_write(f, NULL, "four", 4, &written));
    CLOSE(f);
    HOLDS("/f", "onetwothreefour");
}

static void offset_end_appends_on_any_handle(conf_t *t)
{
    size_t written = 0;
    PUT("/f", "one");
    NEED_OPEN(f, "/f", RW);
    OK(vfs_write_at(f, NULL, "two", 3, VFS_OFFSET_END, &written, NULL));
    EQ(written, 3);
    OK(vfs_write_at(f, NULL, "O", 1, 0, &written, NULL));
    OK(vfs_write_at(f, NULL, "three", 5, VFS_OFFSET_END, &written, NULL));
    CLOSE(f);
    HOLDS("/f", "Onetwothree");
}

static void two_append_handles_take_turns(conf_t *t)
{
    size_t written = 0;
    NEED_OPEN(f, "/f", WR | CR | VFS_O_APPEND);
    NEED_OPEN(g, "/f", WR | VFS_O_APPEND);
    for (int i = 0; i < 3; i++) {
        OK(vfs_write_at(f, NULL, "f", 1, 0, &written, NULL));
        OK(vfs_write_at(g, NULL, "gg", 2, 0, &written, NULL));
    }
    CLOSE(f);
    CLOSE(g);
    HOLDS("/f", "fggfggfgg");
}

static void append_after_truncate_writes_at_the_new_end(conf_t *t)
{
    size_t written = 0;
    PUT("/f", "0123456789");
    NEED_OPEN(f, "/f", WR | VFS_O_APPEND);
    OK(vfs_ftruncate(f, NULL, 3));
    OK(vfs_write_at(f, NULL, "X", 1, 0, &written, NULL));
    OK(vfs_truncate(t->fs, NULL, "/f", 1));
    OK(vfs_write_at(f, NULL, "Y", 1, 0, &written, NULL));
    CLOSE(f);
    HOLDS("/f", "0Y");
}

#define APPENDERS 4
#define APPENDS 100

typedef struct appender_t {
    vfs_t *fs;
    char letter;
    apr_status_t rv;
} appender_t;

static void *APR_THREAD_FUNC append_records(apr_thread_t *thread, void *baton)
{
    appender_t *a = baton;
    vfs_file_t *f = NULL;
    char record[10];
    size_t written = 0;
    memset(record, a->letter, sizeof record);
    a->rv = vfs_open(&f, a->fs, NULL, "/f", WR | VFS_O_APPEND, 0, NULL, NULL);
    for (int i = 0; i < APPENDS && a->rv == APR_SUCCESS; i++)
        a->rv = vfs_write_at(f, NULL, record, sizeof record, 0, &written, NULL);
    if (f != NULL) {
        apr_status_t rv = vfs_close(f, NULL);
        a->rv = a->rv != APR_SUCCESS ? a->rv : rv;
    }
    (void)thread;
    return NULL;
}

static void appends_of_several_threads_do_not_mix(conf_t *t)
{
    appender_t a[APPENDERS];
    apr_thread_t *threads[APPENDERS];
    char *data = NULL;
    size_t len = 0, counts[APPENDERS] = {0};
    PUT("/f", "");
    for (int i = 0; i < APPENDERS; i++) {
        a[i] = (appender_t){t->fs, (char)('a' + i), APR_SUCCESS};
        NEED(OK(apr_thread_create(&threads[i], NULL, append_records, &a[i], t->pool)));
    }
    for (int i = 0; i < APPENDERS; i++) {
        apr_status_t ended;
        OK(apr_thread_join(&ended, threads[i]));
        OK(a[i].rv);
    }
    NEED(OK(vfs_read_file(&data, &len, t->fs, NULL, "/f", 0, t->pool)));
    NEED(EQ(len, APPENDERS * APPENDS * 10));
    for (size_t i = 0; i < len; i += 10) {
        for (size_t k = 1; k < 10; k++)
            NEED(CHECK(data[i + k] == data[i]));
        NEED(CHECK(data[i] >= 'a' && data[i] < 'a' + APPENDERS));
        counts[data[i] - 'a']++;
    }
    for (int i = 0; i < APPENDERS; i++)
        EQ(counts[i], APPENDS);
}

static const conf_behaviour_t behaviours[] = {
    B(what_was_written_is_read),
    B(bytes_of_every_value_survive),
    B(files_of_every_size_around_block_edges),
    B(a_large_file_reads_back_in_every_chunk_size),
    B(a_large_file_written_backwards_reads_forwards),
    B(a_read_at_the_end_of_file_is_short),
    B(a_read_behind_the_end_of_file_reads_nothing),
    B(a_second_read_sees_the_same_bytes),
    B(a_read_never_touches_more_than_it_got),
    B(a_read_or_write_of_no_bytes_does_nothing),
    B(an_overwrite_changes_only_its_range),
    B(a_write_across_the_end_grows_the_file),
    B(a_gap_before_a_write_reads_zeros),
    B(a_hole_is_found_after_its_file_was_cached),
    B_CAPS(a_file_far_behind_four_gigabytes, VFS_CAP_SPARSE),
    B(append_handles_write_at_the_end),
    B(offset_end_appends_on_any_handle),
    B(two_append_handles_take_turns),
    B(append_after_truncate_writes_at_the_new_end),
    B_CAPS(appends_of_several_threads_do_not_mix, VFS_CAP_APPEND),
};
CONF_TABLE(io, behaviours);
