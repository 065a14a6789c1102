/*
 * table_modes.c - behaviours of the write modes: when a write is below, what is dirty, what ends
 * it. contract.md, section 3.
 */
#include <stdlib.h>

#include "tests/conformance/conf.h"

/* Nothing is flushed unless somebody asks. */
#define LAZY "flush_interval=1h,dirty_age=1h,attr_ttl=1h,negative_ttl=1h,listing_ttl=1h"
#define LAZIER LAZY ",flush_on_close=off"

static cachefs_stats_t stats(conf_t *t)
{
    cachefs_stats_t s = {.size = sizeof s};
    OK(cachefs_stats(t->sut.cache, &s));
    return s;
}

static void others_put(conf_t *t, const char *path, const char *text)
{
    OK(vfs_write_file(t->sut.lower, NULL, path, text, strlen(text), 0644));
    conf_grow_old(t);
}

static void a_write_is_below_when_it_returns(conf_t *t)
{
    size_t n = 0;
    NEED_OPEN(f, "/f", RW | CR);
    OK(vfs_write_at(f, NULL, "written", 7, 0, &n, NULL));
    LOWER_HOLDS("/f", "written");
    OK(vfs_write_at(f, NULL, "W", 1, 0, &n, NULL));
    LOWER_HOLDS("/f", "Written");
    OK(vfs_ftruncate(f, NULL, 3));
    LOWER_HOLDS("/f", "Wri");
    EQ(stats(t).dirty_bytes, 0);
    CLOSE(f);
}

static void a_write_through_updates_cached_blocks_in_place(conf_t *t)
{
    size_t n = 0;
    others_put(t, "/f", "0123456789");
    conf_grow_old(t); /* what is cached of a young version is read again at open */
    HOLDS("/f", "0123456789");
    NEED_OPEN(f, "/f", RW);
    OK(vfs_write_at(f, NULL, "ab", 2, 4, &n, NULL));
    uint64_t before = stats(t).backend_reads;
    FILE_HOLDS(f, 0, "0123ab6789");
    EQ(stats(t).backend_reads, before);
    CLOSE(f);
}

static void a_write_around_drops_the_cached_range(conf_t *t)
{
    size_t n = 0;
    others_put(t, "/f", "0123456789");
    HOLDS("/f", "0123456789");
    NEED_OPEN(f, "/f", RW);
    OK(vfs_write_at(f, NULL, "ab", 2, 4, &n, NULL));
    uint64_t before = stats(t).backend_read_bytes;
    FILE_HOLDS(f, 0, "0123ab6789");
    CHECK(stats(t).backend_read_bytes > before);
    CLOSE(f);
}

static void a_write_back_stays_in_the_cache_until_it_is_flushed(conf_t *t)
{
    size_t n = 0;
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    NEED_OPEN(f, "/f", RW | CR);
    OK(vfs_write_at(f, NULL, "dirty bytes", 11, 0, &n, NULL));
    CHECK(stats(t).dirty_bytes >= 11 && stats(t).dirty_bytes <= 4096); /* in units of the cache */
    EQ(stats(t).dirty_files, 1);
    OK(vfs_stat(t->sut.lower, NULL, "/f", &attr));
    EQ(attr.size, 0);
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    EQ(attr.size, 11);
    HOLDS("/f", "dirty bytes");
    OK(vfs_flush(f, NULL));
    LOWER_HOLDS("/f", "dirty bytes");
    EQ(stats(t).dirty_bytes, 0);
    CLOSE(f);
}

static void close_flushes_unless_it_is_told_not_to(conf_t *t)
{
    vfs_attr_t attr;
    char err[128];
    memset(&attr, 0, sizeof attr);
    PUT("/f", "flushed by close");
    LOWER_HOLDS("/f", "flushed by close");
    OK(cachefs_set(t->sut.cache, "flush_on_close", "off", err, sizeof err));
    PUT("/g", "not yet");
    OK(vfs_stat(t->sut.lower, NULL, "/g", &attr));
    EQ(attr.size, 0);
    HOLDS("/g", "not yet");
    OK(cachefs_flush(t->sut.cache, NULL, "/g", 0));
    LOWER_HOLDS("/g", "not yet");
}

static void dirty_data_is_flushed_by_itself_after_the_interval(conf_t *t)
{
    size_t n = 0;
    int there = 0;
    NEED_OPEN(f, "/f", RW | CR);
    OK(vfs_write_at(f, NULL, "soon", 4, 0, &n, NULL));
    for (int i = 0; i < 6000 && !there; i++) {
        there = stats(t).dirty_bytes == 0;
        apr_sleep(10000);
    }
    CHECK(there);
    LOWER_HOLDS("/f", "soon");
    CLOSE(f);
}

static void dirty_bytes_never_pass_their_limit(conf_t *t)
{
    char *data = malloc(3 << 20);
    size_t n = 0;
    conf_fill(data, 3 << 20, 81);
    NEED_OPEN(f, "/f", RW | CR);
    for (size_t at = 0; at < 3 << 20; at += 10000) {
        size_t len = (3 << 20) - at < 10000 ? (3 << 20) - at : 10000;
        NEED(OK(vfs_write_at(f, NULL, data + at, len, (apr_off_t)at, &n, NULL)));
        NEED(CHECK(stats(t).dirty_bytes <= 256 << 10));
    }
    conf_file_holds(HERE, f, 0, data, 3 << 20);
    CLOSE(f);
    conf_holds(HERE, t->sut.lower, "/f", data, 3 << 20);
    free(data);
}

static void many_small_writes_become_few_large_ones(conf_t *t)
{
    char data[50000];
    size_t n = 0;
    conf_fill(data, sizeof data, 82);
    NEED_OPEN(f, "/f", RW | CR);
    for (size_t at = 0; at < sizeof data; at += 50)
        OK(vfs_write_at(f, NULL, data + at, 50, (apr_off_t)at, &n, NULL));
    uint64_t before = stats(t).backend_writes;
    OK(vfs_flush(f, NULL));
    CHECK(stats(t).backend_writes - before <= 20);
    CLOSE(f);
    conf_holds(HERE, t->sut.lower, "/f", data, sizeof data);
}

static void a_partial_write_keeps_the_rest_of_its_file(conf_t *t)
{
    char *data = malloc(200000);
    size_t n = 0;
    conf_fill(data, 200000, 83);
    OK(vfs_write_file(t->sut.lower, NULL, "/f", data, 200000, 0644));
    NEED_OPEN(f, "/f", RW);
    memcpy(data + 70000, "part", 4);
    memcpy(data + 199998, "grows", 2);
    OK(vfs_write_at(f, NULL, "part", 4, 70000, &n, NULL));
    OK(vfs_write_at(f, NULL, "gr", 2, 199998, &n, NULL));
    conf_file_holds(HERE, f, 0, data, 200000);
    CLOSE(f);
    conf_holds(HERE, t->sut.lower, "/f", data, 200000);
    HOLDSN("/f", data, 200000);
    free(data);
}

static void invalidate_and_clear_keep_dirty_data(conf_t *t)
{
    uint64_t kept = 0;
    PUT("/f", "precious");
    OK(cachefs_invalidate(t->sut.cache, "/f", NULL, &kept));
    CHECK(kept >= 1);
    HOLDS("/f", "precious");
    kept = 0;
    OK(cachefs_invalidate_prefix(t->sut.cache, "/", NULL, &kept));
    CHECK(kept >= 1);
    OK(cachefs_invalidate_glob(t->sut.cache, "/*", NULL, &kept));
    CHECK(kept >= 1);
    HOLDS("/f", "precious");
    kept = 0;
    OK(cachefs_clear(t->sut.cache, &kept));
    CHECK(kept >= 1);
    HOLDS("/f", "precious");
    OK(cachefs_flush(t->sut.cache, NULL, NULL, 0));
    LOWER_HOLDS("/f", "precious");
}

static void dirty_data_moves_with_a_rename(conf_t *t)
{
    PUT("/a", "dirty a");
    PUT("/b", "dirty b");
    OK(vfs_rename(t->fs, NULL, "/a", "/c", 0));
    HOLDS("/c", "dirty a");
    OK(vfs_rename(t->fs, NULL, "/c", "/b", 0));
    HOLDS("/b", "dirty a");
    IS(APR_ENOENT, vfs_rename(t->fs, NULL, "/b", "/missing/b", 0));
    HOLDS("/b", "dirty a");
    SETTLE();
    LOWER_HOLDS("/b", "dirty a");
}

static void a_directory_rename_carries_dirty_files_along(conf_t *t)
{
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    PUT("/d/f", "dirty");
    OK(vfs_rename(t->fs, NULL, "/d", "/e", 0));
    HOLDS("/e/f", "dirty");
    SETTLE();
    LOWER_HOLDS("/e/f", "dirty");
    CHECK(strcmp(conf_names(t, t->sut.lower, "/"), "e ") == 0);
}

/* Its bytes may still be on their way below: that has nothing to do with how it was read. */
static void a_file_that_was_read_by_a_link_keeps_its_own_name(conf_t *t)
{
    size_t n = 0;
    NEED_OPEN(f, "/f", RW | CR);
    OK(vfs_write_at(f, NULL, "bytes", 5, 0, &n, NULL));
    OK(vfs_symlink(t->fs, NULL, "f", "/l"));
    HOLDS("/l", "bytes");
    OK(vfs_rename(t->fs, NULL, "/l", "/m", 0));
    HOLDS("/m", "bytes");
    OK(vfs_unlink(t->fs, NULL, "/m"));
    OK(vfs_write_at(f, NULL, " and more", 9, 5, &n, NULL));
    CLOSE(f);
    SETTLE();
    LOWER_HOLDS("/f", "bytes and more");
    CHECK(strcmp(conf_names(t, t->sut.lower, "/"), "f ") == 0);
}

static void unlinked_dirty_data_ends_with_its_last_handle(conf_t *t)
{
    vfs_attr_t attr;
    size_t n = 0;
    NEED_OPEN(f, "/f", RW | CR);
    OK(vfs_write_at(f, NULL, "dirty", 5, 0, &n, NULL));
    OK(vfs_unlink(t->fs, NULL, "/f"));
    FILE_HOLDS(f, 0, "dirty");
    CLOSE(f);
    EQ(stats(t).dirty_bytes, 0);
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/f", &attr));
    SETTLE();
    IS(APR_ENOENT, vfs_stat(t->sut.lower, NULL, "/f", &attr));
}

static void a_truncate_drops_dirty_data_behind_it(conf_t *t)
{
    PUT("/f", "0123456789");
    OK(vfs_truncate(t->fs, NULL, "/f", 4));
    HOLDS("/f", "0123");
    OK(vfs_truncate(t->fs, NULL, "/f", 8));
    HOLDSN("/f", "0123\0\0\0\0", 8);
    SETTLE();
    conf_holds(HERE, t->sut.lower, "/f", "0123\0\0\0\0", 8);
}

static void dirty_data_is_listed_with_its_size(conf_t *t)
{
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    PUT("/f", "0123456789");
    NEED(OK(vfs_opendir(&dir, t->fs, NULL, "/", VFS_DIR_ATTRS)));
    OK(vfs_readdir(dir, NULL, &entry));
    if (entry.has_attr) EQ(entry.attr.size, 10);
    OK(vfs_closedir(dir));
}

static void discard_throws_the_dirty_data_of_one_file_away(conf_t *t)
{
    uint64_t bytes = 0;
    others_put(t, "/f", "old");
    NEED_OPEN(f, "/f", RW);
    size_t n = 0;
    OK(vfs_write_at(f, NULL, "new text", 8, 0, &n, NULL));
    CLOSE(f);
    PUT("/g", "kept");
    OK(cachefs_discard(t->sut.cache, "/f", &bytes));
    CHECK(bytes >= 8 && bytes <= 4096); /* in units of the cache */
    HOLDS("/f", "old");
    HOLDS("/g", "kept");
    SETTLE();
    LOWER_HOLDS("/f", "old");
    LOWER_HOLDS("/g", "kept");
}

static void flush_of_a_directory_flushes_what_is_below_it(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    PUT("/d/f", "in d");
    PUT("/g", "beside");
    OK(cachefs_flush(t->sut.cache, NULL, "/d", 0));
    LOWER_HOLDS("/d/f", "in d");
    OK(vfs_stat(t->sut.lower, NULL, "/g", &attr));
    EQ(attr.size, 0);
    OK(cachefs_flush(t->sut.cache, NULL, NULL, 0));
    LOWER_HOLDS("/g", "beside");
}

static void the_end_of_a_cache_flushes_everything(conf_t *t)
{
    char path[16], text[32];
    for (int i = 0; i < 40; i++) {
        snprintf(path, sizeof path, "/f%d", i);
        snprintf(text, sizeof text, "text of file %d", i);
        PUT(path, text);
    }
    SETTLE();
    for (int i = 0; i < 40; i++) {
        snprintf(path, sizeof path, "/f%d", i);
        snprintf(text, sizeof text, "text of file %d", i);
        LOWER_HOLDS(path, text);
    }
}

/* Dirty bytes over a base that others change: "/f" was "base", ours says "ours", theirs "theirs!".
 */
static void make_conflict(conf_t *t)
{
    others_put(t, "/f", "base");
    NEED_OPEN(f, "/f", RW);
    size_t n = 0;
    conf_grow_old(t);
    OK(vfs_write_at(f, NULL, "ours", 4, 0, &n, NULL));
    CLOSE(f);
    others_put(t, "/f", "theirs!");
    (void)cachefs_flush(t->sut.cache, NULL, NULL, 0); /* what it answers depends on the policy */
}

static void a_conflict_keeps_both(conf_t *t)
{
    make_conflict(t);
    LOWER_HOLDS("/f", "theirs!");
    const char *names = conf_names(t, t->sut.lower, "/");
    const char *beside = strstr(names, "f.conflict-");
    NEED(CHECK(beside != NULL));
    char path[300] = "/";
    snprintf(path + 1, sizeof path - 1, "%.*s", (int)strcspn(beside, " "), beside);
    char *data = NULL;
    size_t len = 0;
    NEED(OK(vfs_read_file(&data, &len, t->sut.lower, NULL, path, 0, t->pool)));
    CHECK(len >= 4 && memcmp(data, "ours", 4) == 0);
    EQ(stats(t).conflicts, 1);
    EQ(stats(t).dirty_bytes, 0);
    HOLDS("/f", "theirs!");
}

static void a_conflict_is_won_by_ours(conf_t *t)
{
    char *data = NULL;
    size_t len = 0;
    make_conflict(t);
    NEED(OK(vfs_read_file(&data, &len, t->sut.lower, NULL, "/f", 0, t->pool)));
    CHECK(len >= 4 && memcmp(data, "ours", 4) == 0);
    CHECK(strcmp(conf_names(t, t->sut.lower, "/"), "f ") == 0);
    EQ(stats(t).conflicts, 1);
}

static void a_conflict_is_won_by_theirs(conf_t *t)
{
    make_conflict(t);
    LOWER_HOLDS("/f", "theirs!");
    CHECK(strcmp(conf_names(t, t->sut.lower, "/"), "f ") == 0);
    EQ(stats(t).conflicts, 1);
    EQ(stats(t).dirty_bytes, 0);
    HOLDS("/f", "theirs!");
}

#define BACK (CONF_CACHE | CONF_BACK)
#define BACK_FOREIGN (CONF_CACHE | CONF_BACK | CONF_DIRECT)
static const conf_behaviour_t behaviours[] = {
    B_KEYS(a_write_is_below_when_it_returns, CONF_CACHE | CONF_THROUGH, NULL),
    {"a_write_around_is_below_when_it_returns", a_write_is_below_when_it_returns, CONF_RW,
     CONF_CACHE | CONF_AROUND, NULL},
    B_KEYS(a_write_through_updates_cached_blocks_in_place, CONF_CACHE | CONF_THROUGH | CONF_LARGE,
           LAZY),
    B_KEYS(a_write_around_drops_the_cached_range, CONF_CACHE | CONF_AROUND, LAZY),
    B_KEYS(a_write_back_stays_in_the_cache_until_it_is_flushed, BACK, LAZY),
    B_KEYS(close_flushes_unless_it_is_told_not_to, BACK | CONF_EAGER, LAZY),
    B_KEYS(dirty_data_is_flushed_by_itself_after_the_interval, BACK, "flush_interval=20ms"),
    B_KEYS(dirty_bytes_never_pass_their_limit, BACK | CONF_EAGER, "dirty_max=256k"),
    B_KEYS(many_small_writes_become_few_large_ones, BACK, LAZY),
    B_KEYS(a_partial_write_keeps_the_rest_of_its_file, CONF_CACHE | CONF_EAGER, NULL),
    B_KEYS(invalidate_and_clear_keep_dirty_data, BACK, LAZIER),
    {"a_file_that_was_read_by_a_link_keeps_its_own_name",
     a_file_that_was_read_by_a_link_keeps_its_own_name, CONF_RW | VFS_CAP_SYMLINK, BACK, LAZIER},
    B_KEYS(dirty_data_moves_with_a_rename, BACK, LAZIER),
    B_KEYS(a_directory_rename_carries_dirty_files_along, BACK, LAZIER),
    B_KEYS(unlinked_dirty_data_ends_with_its_last_handle, BACK, LAZIER),
    B_KEYS(a_truncate_drops_dirty_data_behind_it, BACK, LAZIER),
    B_KEYS(dirty_data_is_listed_with_its_size, BACK, LAZIER),
    B_KEYS(discard_throws_the_dirty_data_of_one_file_away, BACK, LAZIER),
    B_KEYS(flush_of_a_directory_flushes_what_is_below_it, BACK, LAZIER),
    B_KEYS(the_end_of_a_cache_flushes_everything, BACK, LAZIER),
    B_KEYS(a_conflict_keeps_both, BACK_FOREIGN, LAZIER),
    B_KEYS(a_conflict_is_won_by_ours, BACK_FOREIGN, LAZIER ",conflict=ours"),
    B_KEYS(a_conflict_is_won_by_theirs, BACK_FOREIGN, LAZIER ",conflict=theirs"),
};
CONF_TABLE(modes, behaviours);
