/* test_saved.c - names, absent ones and listings that a store keeps for the next start. */
#include <stdlib.h>

#include "cachefs/engine.h"
#include "tests/store/support_store.h"

static disk_t disk;
static vfs_t *origin, *count, *fault, *fs;
static cachefs_config_t config;

static void begin(void)
{
    char err[512] = "";
    apr_status_t st = cachefs_create(&fs, fault, &config, err, sizeof(err), disk.pool);
    cr_assert(st == APR_SUCCESS, "%s: %s", disk_status(st), err);
}

static void again(void)
{
    OK(vfs_destroy(fs));
    begin();
    vfs_count_reset(count);
}

static void make(const char *path, const char *text)
{
    OK(vfs_write_file(origin, NULL, path, text, strlen(text), 0640));
}

static void setup(void)
{
    static const cachefs_config_t defaults = CACHEFS_CONFIG_INIT;
    disk_open(&disk, 0);
    OK(vfs_mem_create(&origin, 0, disk.pool));
    OK(vfs_count_create(&count, origin, disk.pool));
    OK(vfs_fault_create(&fault, count, 1, disk.pool));
    config = defaults;
    config.ram_bytes = 4u << 20;
    config.attr_ttl_us = config.negative_ttl_us = config.listing_ttl_us = 3600000000;
    config.store = disk.fs;
    config.store_bytes = 16u << 20;
    config.store_free_min = 1;
    config.store_names = 1;
    OK(vfs_mkdir(origin, NULL, "/d", 0755));
    make("/d/f", "text");
    make("/d/g", "longer text");
    apr_sleep(20000); /* older than any step of its clock: a nap proves nothing */
    begin();
}

static void teardown(void)
{
    OK(vfs_destroy(fs));
    OK(vfs_destroy_stack(fault));
    disk_close(&disk);
}

TestSuite(store_saved, .init = setup, .fini = teardown);

static uint64_t asked(void)
{
    vfs_counts_t counts;
    vfs_count_get(count, &counts);
    return counts.calls[VFS_OPID_stat] + counts.calls[VFS_OPID_lstat] +
           counts.calls[VFS_OPID_opendir] + counts.calls[VFS_OPID_open] +
           counts.calls[VFS_OPID_get];
}

static unsigned list(const char *path)
{
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    unsigned names = 0;
    OK(vfs_opendir(&dir, fs, NULL, path, 0));
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS)
        names += entry.name[0] != '.';
    OK(vfs_closedir(dir));
    return names;
}

static uint64_t size_of(const char *path)
{
    vfs_attr_t attr;
    OK(vfs_stat(fs, NULL, path, &attr));
    return attr.size;
}

static apr_status_t look(const char *path)
{
    vfs_attr_t attr;
    return vfs_stat(fs, NULL, path, &attr);
}

static void see_all(void)
{
    EQ(size_of("/d/f"), 4);
    EQ(size_of("/d/g"), 11);
    IS(APR_ENOENT, look("/d/none"));
    EQ(list("/d"), 2);
}

Test(store_saved, after_a_restart_names_are_known)
{
    vfs_attr_t attr;
    see_all();
    again();
    see_all();
    EQ(asked(), 0);
    OK(vfs_stat(fs, NULL, "/d/f", &attr));
    EQ(attr.mode & 07777, 0640);
    EQ(attr.type, VFS_TYPE_FILE);
    again(); /* and once more, of names that nobody asked for this time */
    see_all();
    EQ(asked(), 0);
}

Test(store_saved, bytes_come_without_a_question_too)
{
    char *text;
    size_t len;
    do { /* the first segment of the store is made by its own thread */
        cachefs__l2_stats_t s;
        cachefs__l2_stats(cachefs__of(fs)->l2, &s);
        if (s.segments) break;
        apr_sleep(1000);
    } while (1);
    OK(vfs_read_file(&text, &len, fs, NULL, "/d/g", 0, disk.pool));
    cachefs__l2_drain(cachefs__of(fs)->l2);
    again();
    OK(vfs_read_file(&text, &len, fs, NULL, "/d/g", 0, disk.pool));
    cr_assert_str_eq(text, "longer text");
    EQ(asked(), 0);
}

/* Their age when the cache ended, and the time until it began, count both. */
Test(store_saved, they_get_no_younger_by_it)
{
    OK(vfs_destroy(fs));
    config.attr_ttl_us = config.negative_ttl_us = config.listing_ttl_us = 600000;
    begin();
    see_all();
    apr_sleep(400000);
    OK(vfs_destroy(fs));
    apr_sleep(400000);
    begin();
    make("/d/f", "other");
    make("/d/none", "there");
    EQ(size_of("/d/f"), 5);
    EQ(size_of("/d/none"), 5);
    EQ(list("/d"), 3);
}

Test(store_saved, what_we_changed_is_as_we_left_it)
{
    see_all();
    OK(vfs_unlink(fs, NULL, "/d/f"));
    OK(vfs_write_file(fs, NULL, "/d/none", "ours", 4, 0600));
    OK(vfs_rename(fs, NULL, "/d/g", "/d/h", 0));
    again();
    IS(APR_ENOENT, look("/d/f"));
    IS(APR_ENOENT, look("/d/g"));
    EQ(size_of("/d/none"), 4);
    EQ(size_of("/d/h"), 11);
    EQ(list("/d"), 2);
}

/* Nobody can write them when he is killed, and those of before were good for one start. */
Test(store_saved, they_are_taken_once)
{
    char file[16];
    see_all();
    CHECK(!disk_has(&disk, "/names"));
    again();
    CHECK(disk_has(&disk, "/names"));
    EQ(disk_get(&disk, "/names", file, sizeof(file)), 0);
}

static size_t saved(void **bytes)
{
    size_t room = 1u << 20, len;
    *bytes = malloc(room);
    OK(vfs_destroy(fs));
    len = disk_get(&disk, "/names", *bytes, room);
    CHECK(len > 0 && len < room);
    return len;
}

Test(store_saved, damaged_ones_are_not_believed)
{
    void *bytes;
    see_all();
    size_t len = saved(&bytes);
    for (size_t at = 0; at < len; at += len / 61 + 1) {
        ((uint8_t *)bytes)[at] ^= 0x40;
        disk_put(&disk, "/names", bytes, len);
        ((uint8_t *)bytes)[at] ^= 0x40;
        begin();
        vfs_count_reset(count);
        EQ(size_of("/d/f"), 4);
        CHECK(asked() > 0);
        OK(vfs_destroy(fs));
    }
    disk_put(&disk, "/names", bytes, len / 2);
    begin();
    vfs_count_reset(count);
    see_all();
    CHECK(asked() > 0);
    free(bytes);
}

Test(store_saved, those_of_another_origin_are_not_ours)
{
    see_all();
    config.origin = "another";
    again();
    see_all();
    CHECK(asked() > 0);
}

/* What stands in the journal is not below yet, whatever was known of it. */
Test(store_saved, there_are_none_beside_a_journal)
{
    char file[16];
    vfs_file_t *f;
    uint64_t left;
    OK(vfs_destroy(fs));
    config.mode = CACHEFS_BACK;
    config.flush_on_close = 0;
    begin();
    see_all();
    OK(vfs_open(&f, fs, NULL, "/d/f", VFS_O_WRITE, 0, NULL, NULL));
    size_t done;
    OK(vfs_write_at(f, NULL, "dirty", 5, 0, &done, NULL));
    OK(vfs_close(f, NULL));
    OK(cachefs_destroy(fs, CACHEFS_END_KEEP, 0, &left));
    EQ(left, 0);
    CHECK(!disk_has(&disk, "/names") || disk_get(&disk, "/names", file, sizeof(file)) == 0);
    begin();
    EQ(size_of("/d/f"), 5);
}

Test(store_saved, nothing_is_kept_unless_it_was_asked_for)
{
    see_all();
    config.store_names = 0;
    again(); /* what was kept before is not for later either */
    see_all();
    CHECK(asked() > 0);
    config.store_names = 1;
    again();
    vfs_count_reset(count);
    see_all();
    CHECK(asked() > 0);
}

Test(store_saved, who_may_serve_what_is_old_can)
{
    OK(vfs_destroy(fs));
    config.serve_stale = 1;
    config.attr_ttl_us = config.negative_ttl_us = config.listing_ttl_us = 1000;
    begin();
    see_all();
    OK(vfs_destroy(fs));
    begin();
    apr_sleep(20000);
    vfs_fault_t away = {.status = VFS_EOFFLINE};
    OK(vfs_fault_add(fault, &away));
    EQ(size_of("/d/f"), 4);
    EQ(list("/d"), 2);
    vfs_fault_clear(fault);
}
