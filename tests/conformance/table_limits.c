/*
 * table_limits.c - behaviours of what a cache holds: entries, prefetching, borrowing, limits,
 * counters, shards, keys. contract.md, sections 5 and 7. Others make their changes on
 * `t->sut.lower`.
 */
#include <math.h>
#include <stdlib.h>

#include "tests/conformance/conf.h"

#define LONG_TTL "attr_ttl=1h,negative_ttl=1h,listing_ttl=1h"

/* Round trips below the cache since the last call. */
static uint64_t requests(conf_t *t)
{
    vfs_counts_t counts;
    vfs_count_get(t->sut.count, &counts);
    vfs_count_reset(t->sut.count);
    return vfs_counts_requests(&counts);
}

static void others_put(conf_t *t, const char *path, const char *text)
{
    OK(vfs_write_file(t->sut.lower, NULL, path, text, strlen(text), 0644));
    conf_grow_old(t);
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
    CHECK(!cachefs_is(t->sut.bottom));
    IS(APR_EINVAL, cachefs_stats(t->sut.bottom, &s));
    IS(APR_EINVAL, cachefs_invalidate(t->sut.bottom, "/f", NULL, NULL));
    IS(APR_EINVAL, cachefs_clear(t->sut.bottom, NULL));
    IS(APR_EINVAL, cachefs_entry(t->sut.bottom, "/f", &e));
    IS(APR_EINVAL, cachefs_flush(t->sut.bottom, NULL, NULL, 0));
    CHECK(cachefs_metrics(t->sut.bottom) == NULL);
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
CONF_TABLE(limits, behaviours);
