/*
 * table_cache.c - behaviours that only a cache has: what it does not ask again, what it notices,
 * its limits. contract.md, sections 4, 5 and 7. Others make their changes on `t->sut.lower`.
 */
#include <stdlib.h>

#include "tests/conformance/conf.h"

#define LONG_TTL "attr_ttl=1h,negative_ttl=1h,listing_ttl=1h"
#define NO_TTL "attr_ttl=0,negative_ttl=0,listing_ttl=0"

/* Round trips below the cache since the last call. */
static uint64_t requests(conf_t *t)
{
    vfs_counts_t counts;
    vfs_count_get(t->sut.count, &counts);
    vfs_count_reset(t->sut.count);
    return vfs_counts_requests(&counts);
}

static uint64_t bytes_from_below(conf_t *t)
{
    vfs_counts_t counts;
    vfs_count_get(t->sut.count, &counts);
    vfs_count_reset(t->sut.count);
    return counts.bytes_read;
}

static void others_put(conf_t *t, const char *path, const char *text)
{
    OK(vfs_write_file(t->sut.lower, NULL, path, text, strlen(text), 0644));
    conf_grow_old(t);
}

/* The same without a temporary file, which would take an inode of its own. */
static void others_put_in_place(conf_t *t, const char *path, const char *text)
{
    vfs_file_t *f = NULL;
    size_t n = 0;
    NEED(OK(vfs_open(&f, t->sut.lower, NULL, path, WR | CR | VFS_O_TRUNC, 0644, NULL, NULL)));
    OK(vfs_write_at(f, NULL, text, strlen(text), 0, &n, NULL));
    OK(vfs_close(f, NULL));
    conf_grow_old(t);
}

static void a_warm_file_asks_nothing_below(conf_t *t)
{
    vfs_attr_t attr;
    others_put(t, "/f", "some text");
    HOLDS("/f", "some text");
    (void)requests(t);
    for (int i = 0; i < 5; i++) {
        HOLDS("/f", "some text");
        OK(vfs_stat(t->fs, NULL, "/f", &attr));
    }
    EQ(requests(t), 0);
}

static void a_small_cold_file_costs_one_round_trip(conf_t *t)
{
    char buf[64];
    size_t n = 0;
    others_put(t, "/f", "some text");
    (void)requests(t);
    NEED_OPEN(f, "/f", RD);
    OK(vfs_read_at(f, NULL, buf, sizeof buf, 0, &n));
    EQ(n, 9);
    CLOSE(f);
    EQ(requests(t), 1);
}

static void a_cold_random_read_moves_sixteen_kib_at_most(conf_t *t)
{
    char *data = malloc(4 << 20), buf[4096];
    size_t n = 0;
    conf_fill(data, 4 << 20, 71);
    OK(vfs_write_file(t->sut.lower, NULL, "/f", data, 4 << 20, 0644));
    NEED_OPEN(f, "/f", RD);
    (void)bytes_from_below(t);
    for (int i = 0; i < 8; i++) {
        size_t off = (size_t)((i * 37 + 11) % 64) * 65536 + 8192;
        OK(vfs_read_at(f, NULL, buf, sizeof buf, (apr_off_t)off, &n));
        SAME(buf, data + off, sizeof buf);
    }
    CHECK(bytes_from_below(t) <= 8 * 16384);
    CLOSE(f);
    free(data);
}

static void a_listing_and_an_absence_are_kept(conf_t *t)
{
    vfs_attr_t attr;
    others_put(t, "/f", "x");
    NAMES("/", "f ");
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/missing", &attr));
    (void)requests(t);
    NAMES("/", "f ");
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/missing", &attr));
    EQ(requests(t), 0);
}

static void within_the_ttl_others_changes_stay_unseen(conf_t *t)
{
    others_put(t, "/f", "old");
    HOLDS("/f", "old");
    others_put(t, "/f", "new text");
    HOLDS("/f", "old");
    OK(cachefs_invalidate(t->sut.cache, "/f", NULL, NULL));
    HOLDS("/f", "new text");
}

static void without_a_ttl_every_open_sees_others_changes(conf_t *t)
{
    vfs_attr_t attr;
    others_put(t, "/f", "old");
    HOLDS("/f", "old");
    others_put(t, "/f", "new");
    HOLDS("/f", "new");
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/g", &attr));
    others_put(t, "/g", "made");
    HOLDS("/g", "made");
    NAMES("/", "f g ");
    OK(vfs_unlink(t->sut.lower, NULL, "/f"));
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/f", &attr));
    NAMES("/", "g ");
    OK(vfs_rename(t->sut.lower, NULL, "/g", "/h", 0));
    HOLDS("/h", "made");
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/g", &attr));
}

static void the_ttl_ends_by_time(conf_t *t)
{
    vfs_attr_t attr;
    others_put(t, "/f", "old");
    HOLDS("/f", "old");
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/g", &attr));
    NAMES("/", "f ");
    others_put(t, "/f", "new text");
    others_put(t, "/g", "made");
    apr_sleep(80000);
    HOLDS("/f", "new text");
    HOLDS("/g", "made");
    NAMES("/", "f g ");
}

static void revalidation_of_an_unchanged_file_reads_no_bytes(conf_t *t)
{
    char *data = malloc(200000);
    conf_fill(data, 200000, 72);
    OK(vfs_write_file(t->sut.lower, NULL, "/f", data, 200000, 0644));
    HOLDSN("/f", data, 200000);
    conf_grow_old(t);
    HOLDSN("/f", data, 200000);
    (void)bytes_from_below(t);
    HOLDSN("/f", data, 200000);
    EQ(bytes_from_below(t), 0);
    free(data);
}

static void an_open_handle_moves_on_to_the_new_version_whole(conf_t *t)
{
    enum { SIZE = 150000 };
    char *old = malloc(SIZE), *new = malloc(SIZE), *buf = malloc(SIZE);
    size_t n = 0;
    memset(old, 'o', SIZE);
    memset(new, 'n', SIZE);
    OK(vfs_write_file(t->sut.lower, NULL, "/f", old, SIZE, 0644));
    NEED_OPEN(f, "/f", RD);
    OK(vfs_read_at(f, NULL, buf, SIZE / 2, 0, &n));
    conf_grow_old(t); /* else the two may look the same */
    vfs_file_t *g = NULL;
    NEED(OK(vfs_open(&g, t->sut.lower, NULL, "/f", WR, 0, NULL, NULL)));
    OK(vfs_write_at(g, NULL, new, SIZE, 0, &n, NULL));
    OK(vfs_close(g, NULL));
    apr_sleep(20000);
    OK(vfs_read_at(f, NULL, buf, SIZE, 0, &n));
    EQ(n, SIZE);
    CHECK(memcmp(buf, old, SIZE) == 0 || memcmp(buf, new, SIZE) == 0);
    CLOSE(f);
    HOLDSN("/f", new, SIZE);
    free(old);
    free(new);
    free(buf);
}

static void a_file_that_others_cut_is_never_padded(conf_t *t)
{
    char *data = malloc(100000);
    conf_fill(data, 100000, 73);
    OK(vfs_write_file(t->sut.lower, NULL, "/f", data, 100000, 0644));
    HOLDSN("/f", data, 100000);
    OK(vfs_truncate(t->sut.lower, NULL, "/f", 777));
    HOLDSN("/f", data, 777);
    OK(vfs_truncate(t->sut.lower, NULL, "/f", 5000));
    memset(data + 777, 0, 5000 - 777);
    HOLDSN("/f", data, 5000);
    free(data);
}

/* Make "/c" of the inode that "/b" had: file systems hand numbers out again. 0: this one does not.
 */
static int take_the_inode(conf_t *t, uint64_t ino)
{
    vfs_attr_t attr;
    for (int i = 0; i < 200; i++) {
        memset(&attr, 0, sizeof attr);
        others_put_in_place(t, "/c", "cccc");
        OK(vfs_stat(t->sut.lower, NULL, "/c", &attr));
        if (attr.ino == ino) return 1;
        char path[24];
        snprintf(path, sizeof path, "/spare%d", i);
        OK(vfs_rename(t->sut.lower, NULL, "/c", path, 0));
    }
    return 0;
}

static void a_reused_inode_never_serves_the_bytes_of_another_file(conf_t *t)
{
    vfs_attr_t attr;
    char *data = NULL;
    size_t len = 0;
    memset(&attr, 0, sizeof attr);
    others_put_in_place(t, "/b", "bbbb");
    OK(vfs_stat(t->sut.lower, NULL, "/b", &attr));
    HOLDS("/b", "bbbb");
    OK(vfs_unlink(t->sut.lower, NULL, "/b"));
    if (!take_the_inode(t, attr.ino)) return;
    HOLDS("/c", "cccc");
    apr_status_t rv = vfs_read_file(&data, &len, t->fs, NULL, "/b", 0, t->pool);
    CHECK(rv == APR_ENOENT || (rv == APR_SUCCESS && len == 4 && memcmp(data, "bbbb", 4) == 0));
    HOLDS("/c", "cccc");
}

static void ttl_rules_count_by_path(conf_t *t)
{
    OK(vfs_mkdir(t->sut.lower, NULL, "/static", 0755));
    others_put(t, "/static/f", "old");
    others_put(t, "/f", "old");
    HOLDS("/static/f", "old");
    HOLDS("/f", "old");
    others_put(t, "/static/f", "new");
    others_put(t, "/f", "new");
    HOLDS("/static/f", "old");
    HOLDS("/f", "new");
}

static void invalidate_prefix_counts_whole_components(conf_t *t)
{
    uint64_t count = 0;
    OK(vfs_mkdir(t->sut.lower, NULL, "/a", 0755));
    OK(vfs_mkdir(t->sut.lower, NULL, "/ab", 0755));
    others_put(t, "/a/f", "old");
    others_put(t, "/ab/f", "old");
    HOLDS("/a/f", "old");
    HOLDS("/ab/f", "old");
    others_put(t, "/a/f", "new");
    others_put(t, "/ab/f", "new");
    OK(cachefs_invalidate_prefix(t->sut.cache, "/a", &count, NULL));
    CHECK(count >= 1);
    HOLDS("/a/f", "new");
    HOLDS("/ab/f", "old");
}

/* In place: a new file could get the number of one that was replaced, which tells the cache that
 * the old one is gone. */
static void invalidate_glob_and_batch_and_clear(conf_t *t)
{
    static const char *const paths[] = {"/a.c", "/b.c"};
    uint64_t count = 0, kept = 9;
    others_put_in_place(t, "/a.c", "old");
    others_put_in_place(t, "/b.c", "old");
    others_put_in_place(t, "/a.h", "old");
    HOLDS("/a.c", "old");
    HOLDS("/b.c", "old");
    HOLDS("/a.h", "old");
    others_put_in_place(t, "/a.c", "new");
    others_put_in_place(t, "/b.c", "new");
    others_put_in_place(t, "/a.h", "new");
    OK(cachefs_invalidate_glob(t->sut.cache, "/a.*", &count, &kept));
    EQ(count, 2);
    EQ(kept, 0);
    HOLDS("/a.c", "new");
    HOLDS("/a.h", "new");
    HOLDS("/b.c", "old");
    others_put_in_place(t, "/a.c", "newer");
    OK(cachefs_invalidate_batch(t->sut.cache, paths, 2, &count, &kept));
    HOLDS("/a.c", "newer");
    HOLDS("/b.c", "new");
    others_put_in_place(t, "/b.c", "newest");
    OK(cachefs_clear(t->sut.cache, &kept));
    EQ(kept, 0);
    HOLDS("/b.c", "newest");
    IS(APR_EINVAL, cachefs_invalidate(t->sut.cache, "relative", NULL, NULL));
    IS(APR_EINVAL, cachefs_invalidate_glob(t->sut.cache, "/[", NULL, NULL));
}

static void events_from_below_invalidate(conf_t *t)
{
    int seen = 0;
    if (!(vfs_caps(t->sut.lower)->bits & VFS_CAP_WATCH)) return;
    others_put(t, "/f", "old");
    HOLDS("/f", "old");
    others_put(t, "/f", "new text");
    for (int i = 0; i < 6000 && !seen; i++) {
        char *data = NULL;
        size_t len = 0;
        OK(vfs_read_file(&data, &len, t->fs, NULL, "/f", 0, t->pool));
        seen = len == 8;
        apr_sleep(10000);
    }
    CHECK(seen);
}

#define FRESH (CONF_CACHE | CONF_LARGE | CONF_DIRECT)
static const conf_behaviour_t behaviours[] = {
    B_KEYS(a_warm_file_asks_nothing_below, FRESH, LONG_TTL),
    B_KEYS(a_small_cold_file_costs_one_round_trip, FRESH, LONG_TTL),
    B_KEYS(a_cold_random_read_moves_sixteen_kib_at_most, FRESH, LONG_TTL ",readahead=0,get_size=0"),
    B_KEYS(a_listing_and_an_absence_are_kept, FRESH, LONG_TTL),
    B_KEYS(within_the_ttl_others_changes_stay_unseen, FRESH, LONG_TTL),
    B_KEYS(without_a_ttl_every_open_sees_others_changes, CONF_CACHE | CONF_DIRECT, NO_TTL),
    B_KEYS(the_ttl_ends_by_time, CONF_CACHE | CONF_DIRECT,
           "attr_ttl=50ms,negative_ttl=50ms,listing_ttl=50ms"),
    B_KEYS(revalidation_of_an_unchanged_file_reads_no_bytes, FRESH, NO_TTL),
    B_KEYS(an_open_handle_moves_on_to_the_new_version_whole, CONF_CACHE | CONF_DIRECT, NO_TTL),
    B_KEYS(a_file_that_others_cut_is_never_padded, CONF_CACHE | CONF_DIRECT, NO_TTL),
    B_KEYS(a_reused_inode_never_serves_the_bytes_of_another_file, FRESH, LONG_TTL),
    B_KEYS(ttl_rules_count_by_path, FRESH, NO_TTL ",ttl=/static/**=1h"),
    B_KEYS(invalidate_prefix_counts_whole_components, FRESH, LONG_TTL),
    B_KEYS(invalidate_glob_and_batch_and_clear, FRESH, LONG_TTL),
    B_KEYS(events_from_below_invalidate, CONF_CACHE | CONF_DIRECT, LONG_TTL ",watch=on"),
};
CONF_TABLE(cache, behaviours);
