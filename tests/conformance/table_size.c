/*
 * table_size.c - behaviours of truncate, flush, sync, close and statfs. contract.md, section 2.
 */
#include <stdlib.h>

#include "tests/conformance/conf.h"

static void truncate_to_nothing_empties_a_file(conf_t *t)
{
    PUT("/f", "0123456789");
    OK(vfs_truncate(t->fs, NULL, "/f", 0));
    HOLDS("/f", "");
}

static void truncate_cuts_at_any_offset(conf_t *t)
{
    static const size_t at[] = {1, 4095, 4096, 4097, 16384, 65537, 99999};
    char *data = malloc(100000);
    conf_fill(data, 100000, 11);
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        PUTN("/f", data, 100000);
        HOLDSN("/f", data, 100000);
        OK(vfs_truncate(t->fs, NULL, "/f", (apr_off_t)at[i]));
        HOLDSN("/f", data, at[i]);
    }
    free(data);
}

static void truncate_upwards_makes_zeros(conf_t *t)
{
    char want[10000] = "abc";
    PUT("/f", "abc");
    OK(vfs_truncate(t->fs, NULL, "/f", sizeof want));
    HOLDSN("/f", want, sizeof want);
}

static void what_was_cut_off_stays_gone(conf_t *t)
{
    char *want = calloc(1, 100000);
    char *data = malloc(100000);
    conf_fill(data, 100000, 12);
    memcpy(want, data, 5000);
    PUTN("/f", data, 100000);
    NEED_OPEN(f, "/f", RW);
    conf_file_holds(HERE, f, 0, data, 100000);
    OK(vfs_ftruncate(f, NULL, 5000));
    OK(vfs_ftruncate(f, NULL, 100000));
    conf_file_holds(HERE, f, 0, want, 100000);
    CLOSE(f);
    HOLDSN("/f", want, 100000);
    free(want);
    free(data);
}

static void a_write_behind_a_cut_leaves_zeros_between(conf_t *t)
{
    char want[20000];
    size_t n = 0;
    memset(want, 'o', sizeof want);
    PUTN("/f", want, sizeof want);
    memset(want + 10, 0, sizeof want - 10);
    want[19999] = 'e';
    NEED_OPEN(f, "/f", RW);
    OK(vfs_ftruncate(f, NULL, 10));
    OK(vfs_write_at(f, NULL, "e", 1, 19999, &n, NULL));
    conf_file_holds(HERE, f, 0, want, sizeof want);
    CLOSE(f);
    HOLDSN("/f", want, sizeof want);
}

static void truncate_shows_on_every_handle(conf_t *t)
{
    vfs_attr_t attr;
    char buf[16];
    size_t n = 0;
    memset(&attr, 0, sizeof attr);
    PUT("/f", "0123456789");
    NEED_OPEN(f, "/f", RD);
    NEED_OPEN(g, "/f", RW);
    OK(vfs_read_at(f, NULL, buf, sizeof buf, 0, &n));
    OK(vfs_ftruncate(g, NULL, 4));
    OK(vfs_read_at(f, NULL, buf, sizeof buf, 0, &n));
    EQ(n, 4);
    OK(vfs_fstat(f, NULL, &attr));
    EQ(attr.size, 4);
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    EQ(attr.size, 4);
    OK(vfs_truncate(t->fs, NULL, "/f", 2));
    OK(vfs_read_at(f, NULL, buf, sizeof buf, 0, &n));
    EQ(n, 2);
    CLOSE(f);
    CLOSE(g);
}

static void truncate_follows_links(conf_t *t)
{
    PUT("/f", "0123456789");
    OK(vfs_symlink(t->fs, NULL, "f", "/l"));
    OK(vfs_truncate(t->fs, NULL, "/l", 3));
    HOLDS("/f", "012");
}

static void truncate_answers_errors_of_linux(conf_t *t)
{
    PUT("/f", "data");
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    IS(APR_ENOENT, vfs_truncate(t->fs, NULL, "/missing", 0));
    IS(E(EISDIR), vfs_truncate(t->fs, NULL, "/d", 0));
    IS(APR_EINVAL, vfs_truncate(t->fs, NULL, "/f", -1));
    NEED_OPEN(f, "/f", RW);
    IS(APR_EINVAL, vfs_ftruncate(f, NULL, -1));
    CLOSE(f);
    NEED_OPEN(g, "/f", RD);
    CHECK(vfs_ftruncate(g, NULL, 0) != APR_SUCCESS);
    CLOSE(g);
    HOLDS("/f", "data");
}

static void truncate_to_the_same_size_keeps_the_bytes(conf_t *t)
{
    PUT("/f", "0123456789");
    OK(vfs_truncate(t->fs, NULL, "/f", 10));
    HOLDS("/f", "0123456789");
}

static void truncate_changes_the_modification_time(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    PUT("/f", "0123456789");
    OK(vfs_utimens(t->fs, NULL, "/f", 1000000000, 2000000000, 0));
    OK(vfs_truncate(t->fs, NULL, "/f", 5));
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    CHECK(attr.mtime_ns > 2000000000);
}

static void flush_and_sync_succeed_and_keep_the_bytes(conf_t *t)
{
    size_t n = 0;
    NEED_OPEN(f, "/f", RW | CR);
    OK(vfs_flush(f, NULL));
    OK(vfs_write_at(f, NULL, "one", 3, 0, &n, NULL));
    OK(vfs_flush(f, NULL));
    OK(vfs_write_at(f, NULL, "two", 3, 3, &n, NULL));
    OK(vfs_sync(f, NULL, VFS_SYNC_ALL));
    OK(vfs_write_at(f, NULL, "three", 5, 6, &n, NULL));
    OK(vfs_sync(f, NULL, VFS_SYNC_DATA));
    FILE_HOLDS(f, 0, "onetwothree");
    CLOSE(f);
    HOLDS("/f", "onetwothree");
}

static void sync_of_a_directory_and_of_everything_succeed(conf_t *t)
{
    vfs_attr_t attr;
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    PUT("/d/f", "x");
    OK(vfs_sync_dir(t->fs, NULL, "/d"));
    OK(vfs_sync_dir(t->fs, NULL, "/"));
    OK(vfs_sync_fs(t->fs, NULL));
    IS(APR_ENOENT, vfs_sync_dir(t->fs, NULL, "/missing"));
    IS(APR_ENOTDIR, vfs_sync_dir(t->fs, NULL, "/d/f"));
    OK(vfs_stat(t->fs, NULL, "/d/f", &attr));
}

static void sync_with_unknown_flags_is_einval(conf_t *t)
{
    PUT("/f", "x");
    NEED_OPEN(f, "/f", RW);
    IS(APR_EINVAL, vfs_sync(f, NULL, 0x80));
    CLOSE(f);
}

static void a_read_only_handle_can_be_synced(conf_t *t)
{
    PUT("/f", "x");
    NEED_OPEN(f, "/f", RD);
    OK(vfs_flush(f, NULL));
    OK(vfs_sync(f, NULL, VFS_SYNC_ALL));
    CLOSE(f);
}

static void what_was_synced_is_below(conf_t *t)
{
    size_t n = 0;
    NEED_OPEN(f, "/f", RW | CR);
    OK(vfs_write_at(f, NULL, "synced", 6, 0, &n, NULL));
    OK(vfs_sync(f, NULL, VFS_SYNC_ALL));
    LOWER_HOLDS("/f", "synced");
    OK(vfs_write_at(f, NULL, "flush!", 6, 0, &n, NULL));
    OK(vfs_flush(f, NULL));
    LOWER_HOLDS("/f", "flush!");
    OK(vfs_ftruncate(f, NULL, 2));
    OK(vfs_flush(f, NULL));
    LOWER_HOLDS("/f", "fl");
    CLOSE(f);
}

static void what_was_closed_is_below(conf_t *t)
{
    PUT("/f", "closed");
    LOWER_HOLDS("/f", "closed");
    OK(vfs_truncate(t->fs, NULL, "/f", 3));
    OK(vfs_sync_fs(t->fs, NULL));
    LOWER_HOLDS("/f", "clo");
}

static void statfs_is_plausible(conf_t *t)
{
    vfs_statfs_t s;
    memset(&s, 0, sizeof s);
    PUT("/f", "x");
    OK(vfs_statfs(t->fs, NULL, "/", &s));
    CHECK(s.block_size > 0);
    CHECK(s.bytes_total > 0);
    CHECK(s.bytes_free <= s.bytes_total);
    CHECK(s.bytes_available <= s.bytes_free);
    CHECK(s.files_free <= s.files_total);
    EQ(s.name_max, VFS_NAME_MAX);
    OK(vfs_statfs(t->fs, NULL, "/f", &s));
    IS(APR_ENOENT, vfs_statfs(t->fs, NULL, "/missing", &s));
}

static void size_and_allocated_grow_with_the_bytes(conf_t *t)
{
    vfs_attr_t attr;
    char *data = calloc(1, 100000);
    memset(&attr, 0, sizeof attr);
    memset(data, 'x', 100000);
    PUTN("/f", data, 100000);
    NEED_OPEN(f, "/f", RW);
    OK(vfs_sync(f, NULL, VFS_SYNC_ALL));
    OK(vfs_fstat(f, NULL, &attr));
    EQ(attr.size, 100000);
    CHECK(attr.allocated >= 100000);
    CHECK(attr.blksize > 0);
    CLOSE(f);
    free(data);
}

static const conf_behaviour_t behaviours[] = {
    B(truncate_to_nothing_empties_a_file),
    B(truncate_cuts_at_any_offset),
    B(truncate_upwards_makes_zeros),
    B(what_was_cut_off_stays_gone),
    B(a_write_behind_a_cut_leaves_zeros_between),
    B(truncate_shows_on_every_handle),
    B_CAPS(truncate_follows_links, VFS_CAP_SYMLINK),
    B(truncate_answers_errors_of_linux),
    B(truncate_to_the_same_size_keeps_the_bytes),
    B_CAPS(truncate_changes_the_modification_time, VFS_CAP_TIMES),
    B(flush_and_sync_succeed_and_keep_the_bytes),
    B(sync_of_a_directory_and_of_everything_succeed),
    B(sync_with_unknown_flags_is_einval),
    B(a_read_only_handle_can_be_synced),
    B_KEYS(what_was_synced_is_below, CONF_CACHE, "fsync=remote"),
    B_WANTS(what_was_closed_is_below, 0, CONF_CACHE | CONF_EAGER),
    B(statfs_is_plausible),
    B_CAPS(size_and_allocated_grow_with_the_bytes, VFS_CAP_SPARSE),
};
CONF_TABLE(size, behaviours);
