/*
 * table_cache.c - behaviours that only a cache has: what it does not ask again, what it notices,
 * its limits. contract.md, sections 4, 5 and 7. Others make their changes on `t->sut.lower`.
 */
#include <math.h>
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
    apr_sleep(20000); /* past the time in which a validator is too young to trust */
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

static void invalidate_glob_and_batch_and_clear(conf_t *t)
{
    static const char *const paths[] = {"/a.c", "/b.c"};
    uint64_t count = 0, kept = 9;
    others_put(t, "/a.c", "old");
    others_put(t, "/b.c", "old");
    others_put(t, "/a.h", "old");
    HOLDS("/a.c", "old");
    HOLDS("/b.c", "old");
    HOLDS("/a.h", "old");
    others_put(t, "/a.c", "new");
    others_put(t, "/b.c", "new");
    others_put(t, "/a.h", "new");
    OK(cachefs_invalidate_glob(t->sut.cache, "/a.*", &count, &kept));
    EQ(count, 2);
    EQ(kept, 0);
    HOLDS("/a.c", "new");
    HOLDS("/a.h", "new");
    HOLDS("/b.c", "old");
    others_put(t, "/a.c", "newer");
    OK(cachefs_invalidate_batch(t->sut.cache, paths, 2, &count, &kept));
    HOLDS("/a.c", "newer");
    HOLDS("/b.c", "new");
    others_put(t, "/b.c", "newest");
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
    for (int i = 0; i < 300 && !seen; i++) {
        char *data = NULL;
        size_t len = 0;
        OK(vfs_read_file(&data, &len, t->fs, NULL, "/f", 0, t->pool));
        seen = len == 8;
        apr_sleep(10000);
    }
    CHECK(seen);
}

static void an_entry_says_what_is_held(conf_t *t)
{
    cachefs_entry_t e;
    const char *const paths[] = {"/f", "/missing", "/never", "relative"};
    cachefs_entry_t all[4];
    vfs_attr_t attr;
    others_put(t, "/f", "0123456789");
    HOLDS("/f", "0123456789");
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/missing", &attr));
    OK(cachefs_entry(t->sut.cache, "/f", &e));
    OK(e.status);
    EQ(e.size, 10);
    CHECK(e.resident >= 10);
    EQ(e.dirty, 0);
    CHECK(e.fresh && !e.negative);
    OK(cachefs_entries(t->sut.cache, paths, 4, all));
    OK(all[0].status);
    CHECK(all[1].status == APR_SUCCESS && all[1].negative);
    IS(APR_NOTFOUND, all[2].status);
    IS(APR_EINVAL, all[3].status);
}

static void prefetch_brings_a_file_in(conf_t *t)
{
    char *data = malloc(300000);
    uint64_t bytes = 0, fetched = 0;
    conf_fill(data, 300000, 74);
    OK(vfs_write_file(t->sut.lower, NULL, "/f", data, 300000, 0644));
    OK(cachefs_prefetch_path(t->sut.cache, NULL, "/f", &bytes, &fetched));
    EQ(bytes, 300000);
    CHECK(fetched >= 300000);
    (void)requests(t);
    HOLDSN("/f", data, 300000);
    EQ(requests(t), 0);
    OK(cachefs_prefetch_path(t->sut.cache, NULL, "/f", &bytes, &fetched));
    EQ(fetched, 0);
    IS(APR_ENOENT, cachefs_prefetch_path(t->sut.cache, NULL, "/missing", &bytes, &fetched));
    free(data);
}

static void borrowed_bytes_do_not_change(conf_t *t)
{
    cachefs_ref_t *ref = NULL;
    vfs_iovec_t iov[4];
    size_t count = 4, got = 0, n = 0;
    others_put(t, "/f", "borrowed");
    NEED_OPEN(f, "/f", RW);
    NEED(OK(cachefs_read_ref(&ref, f, NULL, 8, 0, iov, &count, &got)));
    EQ(got, 8);
    CHECK(count >= 1 && iov[0].len == 8);
    OK(vfs_write_at(f, NULL, "WRITTEN!", 8, 0, &n, NULL));
    FILE_HOLDS(f, 0, "WRITTEN!");
    OK(cachefs_clear(t->sut.cache, NULL));
    SAME(iov[0].base, "borrowed", 8);
    cachefs_ref_release(ref);
    CLOSE(f);
}

static void open_handles_have_a_limit(conf_t *t)
{
    vfs_file_t *f[9] = {NULL};
    others_put(t, "/f", "x");
    for (int i = 0; i < 8; i++)
        NEED((f[i] = OPEN("/f", RD)) != NULL);
    IS(VFS_ELIMIT, vfs_open(&f[8], t->fs, NULL, "/f", RD, 0, NULL, NULL));
    CHECK(f[8] == NULL);
    CLOSE(f[0]);
    NEED_OPEN(again, "/f", RD);
    CLOSE(again);
}

static void memory_and_entries_stay_within_their_limits(conf_t *t)
{
    char *data = malloc(100000), path[32];
    cachefs_stats_t s = {.size = sizeof s};
    for (int i = 0; i < 60; i++) {
        conf_fill(data, 100000, (uint64_t)i);
        snprintf(path, sizeof path, "/f%d", i);
        OK(vfs_write_file(t->sut.lower, NULL, path, data, 100000, 0644));
        HOLDSN(path, data, 100000);
        OK(cachefs_stats(t->sut.cache, &s));
        NEED(CHECK(s.ram_used <= s.ram_max));
        NEED(CHECK(s.ram_max <= 1u << 20));
        NEED(CHECK(s.blocks <= 64));
        NEED(CHECK(s.names <= 64));
        NEED(CHECK(s.resident_bytes <= s.ram_max));
    }
    CHECK(s.evictions > 0);
    for (int i = 0; i < 60; i++) {
        conf_fill(data, 100000, (uint64_t)i);
        snprintf(path, sizeof path, "/f%d", i);
        HOLDSN(path, data, 100000);
    }
    free(data);
}

static void counters_tell_hits_from_misses(conf_t *t)
{
    cachefs_stats_t a = {.size = sizeof a}, b = {.size = sizeof b};
    others_put(t, "/f", "0123456789");
    HOLDS("/f", "0123456789");
    OK(cachefs_stats(t->sut.cache, &a));
    CHECK(a.misses + a.hits >= 1);
    HOLDS("/f", "0123456789");
    OK(cachefs_stats(t->sut.cache, &b));
    CHECK(b.hits > a.hits);
    EQ(b.misses, a.misses);
    EQ(b.hit_bytes - a.hit_bytes, 10);
    EQ(b.backend_read_bytes, a.backend_read_bytes);
    OK(cachefs_stats_reset(t->sut.cache));
    OK(cachefs_stats(t->sut.cache, &a));
    EQ(a.hits, 0);
    CHECK(a.names > 0);
}

/* Pearson's chi-square of counts that should be equal, against its mean + 5 standard deviations. */
static void check_even(conf_t *t, const uint64_t *counts, size_t n, const char *what)
{
    double sum = 0, chi = 0, df = (double)n - 1;
    for (size_t i = 0; i < n; i++)
        sum += (double)counts[i];
    double expected = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        chi += ((double)counts[i] - expected) * ((double)counts[i] - expected) / expected;
    if (chi > df + 5 * sqrt(2 * df) + 5)
        (void)conf_fail(HERE, "%s: chi-square %.1f with %.0f degrees of freedom", what, chi, df);
}

static void keys_spread_evenly_over_shards(conf_t *t)
{
    uint64_t names[1024], blocks[1024], sum = 0;
    char path[64], *data = calloc(1, 4 << 20);
    vfs_attr_t attr;
    OK(vfs_mkdir(t->sut.lower, NULL, "/some-directory", 0755));
    for (int i = 0; i < 3000; i++) {
        snprintf(path, sizeof path, "/some-directory/file-%06d.dat", i);
        IS(APR_ENOENT, vfs_stat(t->fs, NULL, path, &attr));
    }
    OK(vfs_write_file(t->sut.lower, NULL, "/one-hot-file", data, 4 << 20, 0644));
    HOLDSN("/one-hot-file", data, 4 << 20);
    free(data);
    IS(APR_EINVAL, cachefs_shard_stats(t->sut.cache, names, blocks, t->sut.shards + 1));
    NEED(OK(cachefs_shard_stats(t->sut.cache, names, blocks, t->sut.shards)));
    for (size_t i = 0; i < t->sut.shards; i++)
        sum += names[i];
    CHECK(sum >= 3000);
    check_even(t, names, t->sut.shards, "names");
    check_even(t, blocks, t->sut.shards, "blocks of one file");
}

static void cache_calls_on_another_layer_are_einval(conf_t *t)
{
    cachefs_stats_t s = {.size = sizeof s};
    cachefs_entry_t e;
    CHECK(cachefs_is(t->sut.cache));
    CHECK(!cachefs_is(t->sut.lower));
    IS(APR_EINVAL, cachefs_stats(t->sut.lower, &s));
    IS(APR_EINVAL, cachefs_invalidate(t->sut.lower, "/f", NULL, NULL));
    IS(APR_EINVAL, cachefs_clear(t->sut.lower, NULL));
    IS(APR_EINVAL, cachefs_entry(t->sut.lower, "/f", &e));
    IS(APR_EINVAL, cachefs_flush(t->sut.lower, NULL, NULL, 0));
    CHECK(cachefs_metrics(t->sut.lower) == NULL);
    CHECK(cachefs_metrics(t->sut.cache) != NULL);
}

static void keys_can_be_changed_on_line(conf_t *t)
{
    char err[200] = "", buf[64] = "";
    OK(cachefs_set(t->sut.cache, "attr_ttl", "0", err, sizeof err));
    others_put(t, "/f", "old");
    HOLDS("/f", "old");
    others_put(t, "/f", "new");
    HOLDS("/f", "new");
    OK(cachefs_set(t->sut.cache, "attr_ttl", "1h", err, sizeof err));
    OK(cachefs_get(t->sut.cache, "attr_ttl", buf, sizeof buf));
    CHECK(strcmp(buf, "1h") == 0);
    HOLDS("/f", "new");
    others_put(t, "/f", "newer");
    HOLDS("/f", "new");
    IS(APR_EINVAL, cachefs_set(t->sut.cache, "no_such_key", "1", err, sizeof err));
    CHECK(strstr(err, "no_such_key") != NULL);
    IS(APR_EINVAL, cachefs_set(t->sut.cache, "attr_ttl", "soon", err, sizeof err));
    CHECK(strstr(err, "attr_ttl") != NULL && strstr(err, "soon") != NULL);
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
    B_KEYS(ttl_rules_count_by_path, FRESH, NO_TTL ",ttl=/static/**=1h"),
    B_KEYS(invalidate_prefix_counts_whole_components, FRESH, LONG_TTL),
    B_KEYS(invalidate_glob_and_batch_and_clear, FRESH, LONG_TTL),
    B_KEYS(events_from_below_invalidate, CONF_CACHE | CONF_DIRECT, LONG_TTL ",watch=on"),
    B_KEYS(an_entry_says_what_is_held, FRESH, LONG_TTL),
    B_KEYS(prefetch_brings_a_file_in, FRESH, LONG_TTL),
    B_KEYS(borrowed_bytes_do_not_change, CONF_CACHE | CONF_LARGE, NULL),
    B_KEYS(open_handles_have_a_limit, CONF_CACHE, "handles_max=8"),
    B_KEYS(memory_and_entries_stay_within_their_limits, CONF_CACHE | CONF_TINY, NULL),
    B_KEYS(counters_tell_hits_from_misses, FRESH, LONG_TTL),
    B_KEYS(keys_spread_evenly_over_shards, FRESH,
           LONG_TTL ",block_size=4k,metadata_entries_max=20000,readahead=0"),
    B_KEYS(cache_calls_on_another_layer_are_einval, CONF_CACHE, NULL),
    B_KEYS(keys_can_be_changed_on_line, FRESH, NULL),
};
CONF_TABLE(cache, behaviours);
