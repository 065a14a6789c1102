/* test_tier.c - a cache over a store: what it read is there after a restart, and is never of
 * another version than the origin's. */
#include <stdlib.h>

#include "cachefs/engine.h"
#include "tests/store/support_store.h"

#define KIB 1024u

static disk_t disk;
static vfs_t *origin, *count, *fs;
static cachefs_config_t config;
static unsigned logged;

static void log_line(void *baton, int level, const char *line)
{
    (void)baton;
    (void)line;
    if (level < 2) logged++;
}

static void begin(void)
{
    char err[512] = "";
    apr_status_t st = cachefs_create(&fs, count, &config, err, sizeof(err), disk.pool);
    cr_assert(st == APR_SUCCESS, "%s: %s", disk_status(st), err);
}

static void end(void)
{
    OK(vfs_destroy(fs));
    fs = NULL;
}

/* The cache ends and begins anew; what was asked below until now does not count. */
static void again(void)
{
    end();
    begin();
    vfs_count_reset(count);
}

static void setup(void)
{
    static const cachefs_config_t defaults = CACHEFS_CONFIG_INIT;
    disk_open(&disk, 0);
    OK(vfs_mem_create(&origin, 0, disk.pool));
    OK(vfs_count_create(&count, origin, disk.pool));
    config = defaults;
    config.ram_bytes = 4u << 20;
    config.attr_ttl_us = 0;
    config.readahead_bytes = 0;
    config.store = disk.fs;
    config.store_name = "/disk";
    config.store_bytes = 16u << 20;
    config.store_free_min = 1;
    config.log = log_line;
    logged = 0;
    begin();
}

static void teardown(void)
{
    if (fs) end();
    OK(vfs_destroy_stack(count));
    disk_close(&disk);
}

TestSuite(store_tier, .init = setup, .fini = teardown);

static char *made(size_t len, unsigned seed)
{
    char *data = malloc(len);
    for (size_t i = 0; i < len; i++)
        data[i] = (char)((i * 2654435761u >> 11) ^ seed * 40503u ^ i);
    return data;
}

/* Others write a file below, and it gets old enough to be trusted. */
static void save(const char *path, size_t len, unsigned seed)
{
    char *data = made(len, seed);
    OK(vfs_write_file(origin, NULL, path, data, len, 0644));
    OK(vfs_utimens(origin, NULL, path, VFS_TIME_OMIT, seed * 1000000007ll, 0));
    free(data);
    apr_sleep(20000); /* older than any step of its clock: a nap proves nothing */
}

static void drain(void)
{
    if (cachefs__of(fs)->l2) cachefs__l2_drain(cachefs__of(fs)->l2);
}

/* Through the cache, in pieces of `step`: all of it is right. No piece is refused by the tier since
 * its writer had no time. */
static void check(const char *path, size_t len, unsigned seed, size_t step)
{
    char *data = made(len, seed), *buf = malloc(step);
    vfs_file_t *file;
    size_t got;
    OK(vfs_open(&file, fs, NULL, path, VFS_O_READ, 0, NULL, NULL));
    for (size_t off = 0; off < len; off += step) {
        OK(vfs_read_at(file, NULL, buf, step, (apr_off_t)off, &got));
        EQ(got, len - off < step ? len - off : step);
        cr_assert(!memcmp(buf, data + off, got), "%s at %zu", path, off);
        drain();
    }
    OK(vfs_close(file, NULL));
    free(data);
    free(buf);
}

static void ready(void)
{
    cachefs__l2_t *l2 = cachefs__of(fs)->l2;
    cachefs__l2_stats_t s;
    do { /* its first segment is made by its own thread */
        cachefs__l2_stats(l2, &s);
        if (!s.segments) apr_sleep(1000);
    } while (!s.segments);
}

static uint64_t below(vfs_opid_e op)
{
    vfs_counts_t counts;
    vfs_count_get(count, &counts);
    return counts.calls[op];
}

static uint64_t moved(void)
{
    vfs_counts_t counts;
    vfs_count_get(count, &counts);
    return counts.bytes_read;
}

static cachefs_stats_t stats(void)
{
    cachefs_stats_t s = {.size = sizeof(s)};
    OK(cachefs_stats(fs, &s));
    return s;
}

Test(store_tier, after_a_restart_nothing_is_read_below)
{
    ready();
    save("/small", 700, 1);
    save("/large", 900 * KIB + 77, 2);
    check("/small", 700, 1, 4096);
    check("/large", 900 * KIB + 77, 2, 128 * KIB);
    again();
    check("/small", 700, 1, 4096);
    check("/large", 900 * KIB + 77, 2, 100000);
    EQ(moved(), 0);
    EQ(below(VFS_OPID_open), 0);
    CHECK(stats().l2_hit_bytes >= 900 * KIB + 700 && stats().l2_bad == 0);
}

/* Whoever asked for attributes first, or listed the directory, finds the bytes as cheaply. */
Test(store_tier, after_a_restart_no_bytes_are_fetched_with_attributes_either)
{
    vfs_attr_t attr;
    ready();
    OK(cachefs_set(fs, "attr_ttl", "1h", NULL, 0));
    save("/f", 40 * KIB, 1);
    save("/g", 300 * KIB, 2);
    OK(vfs_stat(fs, NULL, "/f", &attr));
    OK(vfs_stat(fs, NULL, "/g", &attr));
    check("/f", 40 * KIB, 1, 4096);
    check("/g", 300 * KIB, 2, 64 * KIB);
    CHECK(stats().l2_put_bytes >= 340 * KIB);
    again();
    check("/f", 40 * KIB, 1, 4096);
    check("/g", 300 * KIB, 2, 64 * KIB);
    EQ(below(VFS_OPID_get), 0);
    EQ(moved(), 0);
}

static void lose_events(void)
{
    cachefs__on_event(cachefs__of(fs), VFS_EVENT_OVERFLOW, "/");
}

Test(store_tier, lost_events_cost_questions_and_no_bytes)
{
    ready();
    save("/f", 100 * KIB, 1);
    check("/f", 100 * KIB, 1, 64 * KIB);
    OK(cachefs_set(fs, "attr_ttl", "1h", NULL, 0));
    vfs_count_reset(count);
    lose_events();
    check("/f", 100 * KIB, 1, 64 * KIB);
    EQ(moved(), 0);
    EQ(below(VFS_OPID_stat) + below(VFS_OPID_lstat) + below(VFS_OPID_open), 1);
}

/* What is open is not asked about before its next read: so that goes below. */
Test(store_tier, after_lost_events_an_open_file_reads_what_is_there_now)
{
    char buf[4096], *data = made(100 * KIB, 2);
    vfs_file_t *file;
    size_t got;
    ready();
    save("/f", 100 * KIB, 1);
    check("/f", 100 * KIB, 1, 64 * KIB);
    OK(cachefs_set(fs, "attr_ttl", "1h", NULL, 0));
    OK(vfs_open(&file, fs, NULL, "/f", VFS_O_READ, 0, NULL, NULL));
    save("/f", 100 * KIB, 2);
    lose_events();
    OK(vfs_read_at(file, NULL, buf, sizeof(buf), 8192, &got));
    EQ(got, sizeof(buf));
    CHECK(!memcmp(buf, data + 8192, got));
    OK(vfs_close(file, NULL));
    free(data);
}

Test(store_tier, what_memory_let_go_comes_from_the_store)
{
    ready();
    save("/f", 8u << 20, 3);
    for (size_t off = 0; off < 8u << 20; off += 1u << 20) {
        char buf[1024];
        size_t got;
        vfs_file_t *file;
        OK(vfs_open(&file, fs, NULL, "/f", VFS_O_READ, 0, NULL, NULL));
        for (size_t at = off; at < off + (1u << 20); at += 64 * KIB)
            OK(vfs_read_at(file, NULL, buf, sizeof(buf), (apr_off_t)at, &got));
        OK(vfs_close(file, NULL));
        drain();
    }
    vfs_count_reset(count);
    for (int i = 0; i < 2; i++)
        check("/f", 8u << 20, 3, 256 * KIB);
    CHECK(stats().l2_hit_bytes > 0);
    CHECK(moved() < 9u << 20); /* once at most, of what had not been read before */
}

Test(store_tier, another_version_is_never_mixed_in)
{
    ready();
    for (unsigned seed = 1; seed < 12; seed++) {
        save("/f", 200 * KIB, seed);
        check("/f", 200 * KIB, seed, 64 * KIB);
        if (seed % 3 == 0) again();
        check("/f", 200 * KIB, seed, 16 * KIB);
    }
}

Test(store_tier, a_file_of_the_same_name_is_another_one)
{
    ready();
    save("/f", 100 * KIB, 1);
    check("/f", 100 * KIB, 1, 64 * KIB);
    OK(vfs_unlink(origin, NULL, "/f"));
    save("/f", 100 * KIB, 2);
    again();
    check("/f", 100 * KIB, 2, 64 * KIB);
}

Test(store_tier, our_own_writes_are_seen_through_it)
{
    char *mine = made(300 * KIB, 9);
    ready();
    save("/f", 300 * KIB, 1);
    check("/f", 300 * KIB, 1, 64 * KIB);
    vfs_file_t *file;
    size_t n;
    OK(vfs_open(&file, fs, NULL, "/f", VFS_O_READ | VFS_O_WRITE, 0, NULL, NULL));
    for (size_t off = 0; off < 300 * KIB; off += 5000) {
        size_t len = 300 * KIB - off < 5000 ? 300 * KIB - off : 5000;
        OK(vfs_write_at(file, NULL, mine + off, len, (apr_off_t)off, &n, NULL));
        OK(cachefs_invalidate(fs, "/f", NULL, NULL));
        char buf[100];
        OK(vfs_read_at(file, NULL, buf, sizeof(buf), (apr_off_t)off, &n));
        CHECK(!memcmp(buf, mine + off, n));
    }
    OK(vfs_close(file, NULL));
    free(mine);
    check("/f", 300 * KIB, 9, 64 * KIB);
    again();
    check("/f", 300 * KIB, 9, 64 * KIB);
}

Test(store_tier, invalidated_bytes_are_read_below_again)
{
    ready();
    save("/f", 100 * KIB, 1);
    check("/f", 100 * KIB, 1, 64 * KIB);
    OK(cachefs_invalidate(fs, "/f", NULL, NULL));
    vfs_count_reset(count);
    check("/f", 100 * KIB, 1, 64 * KIB);
    CHECK(moved() >= 100 * KIB);
    OK(cachefs_clear(fs, NULL));
    vfs_count_reset(count);
    check("/f", 100 * KIB, 1, 64 * KIB);
    CHECK(moved() >= 100 * KIB);
}

/* The file's object, and its key as a fill would have made it. */
static cachefs__tier_key_t key_of(vfs_file_t *file, int *keyed)
{
    obj_t *o = cachefs__handle(file)->obj;
    cachefs__tier_key_t key = {.size = 0};
    cachefs__obj_lock(cachefs__of(fs), o);
    *keyed = cachefs__tier_key(cachefs__of(fs), o, &key);
    cachefs__obj_unlock(cachefs__of(fs), o);
    return key;
}

static int in_tier(const cachefs__tier_key_t *key)
{
    uint64_t stop;
    return cachefs__l2_extent(cachefs__of(fs)->l2, &key->key, 0, key->size, &stop);
}

Test(store_tier, a_fill_that_an_invalidation_overtook_leaves_nothing)
{
    static char bytes[8 * KIB];
    vfs_iovec_t iov = {bytes, sizeof(bytes)};
    vfs_file_t *file;
    int keyed;
    ready();
    save("/f", sizeof(bytes), 1);
    check("/f", sizeof(bytes), 1, 4096);
    OK(vfs_open(&file, fs, NULL, "/f", VFS_O_READ, 0, NULL, NULL));
    cache_t *c = cachefs__of(fs);
    obj_t *o = cachefs__handle(file)->obj;
    cachefs__tier_key_t key = key_of(file, &keyed);
    CHECK(keyed && in_tier(&key));
    cachefs__tier_keep(c, o, &key, &key.validator, 0, &iov, 1, sizeof(bytes));
    CHECK(in_tier(&key));
    OK(cachefs_invalidate(fs, "/f", NULL, NULL));
    CHECK(!in_tier(&key));
    uint64_t bytes_put = stats().l2_put_bytes;
    cachefs__tier_keep(c, o, &key, &key.validator, 0, &iov, 1, sizeof(bytes));
    EQ(stats().l2_put_bytes, bytes_put + sizeof(bytes));
    CHECK(!in_tier(&key));
    OK(vfs_close(file, NULL));
}

Test(store_tier, a_file_known_by_its_path_needs_more_than_times)
{
    vfs_file_t *file;
    int keyed;
    save("/f", 8 * KIB, 1);
    OK(vfs_open(&file, fs, NULL, "/f", VFS_O_READ, 0, NULL, NULL));
    obj_t *o = cachefs__handle(file)->obj;
    uint8_t kind = o->validator.kind;
    CHECK(kind > VFS_VALIDATOR_TIMES);
    o->flags |= OBJ_BY_PATH;
    (void)key_of(file, &keyed);
    CHECK(keyed);
    o->validator.kind = VFS_VALIDATOR_TIMES;
    (void)key_of(file, &keyed);
    CHECK(!keyed);
    o->flags &= ~OBJ_BY_PATH;
    (void)key_of(file, &keyed);
    CHECK(keyed);
    o->validator.kind = kind;
    OK(vfs_close(file, NULL));
}

static int64_t root_btime;
static uint32_t root_flags;

static apr_status_t plain_root(vfs_t *layer, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               vfs_attr_t *attr, vfs_validator_t *validator)
{
    apr_status_t st = vfs_pass_lstat(layer, ctx, path, attr, validator);
    if (!st && attr && path->len == 1) {
        attr->btime_ns = root_btime;
        attr->flags = root_flags;
    }
    return st;
}

Test(store_tier, an_origin_whose_root_says_too_little_needs_a_name)
{
    vfs_ops_t ops = disk_pass_ops();
    vfs_t *layer;
    ops.lstat = plain_root;
    end();
    OK(vfs_create(&layer, &ops, count, NULL, NULL, disk.pool));
    count = layer;
    for (int i = 0; i < 4; i++) {
        root_btime = i & 1 ? 12345 : 0;
        root_flags = VFS_ATTR_DIRECT | (i & 2 ? VFS_ATTR_STABLE_ID : 0);
        logged = 0;
        config.origin = NULL;
        begin();
        EQ(cachefs__of(fs)->l2 != NULL, i == 3);
        EQ(logged, i != 3);
        end();
        config.origin = "a name";
        begin();
        CHECK(cachefs__of(fs)->l2 != NULL);
        end();
    }
}

Test(store_tier, a_second_cache_on_the_store_is_refused)
{
    vfs_t *second = NULL;
    char err[512] = "";
    IS(APR_EAGAIN, cachefs_create(&second, count, &config, err, sizeof(err), disk.pool));
    CHECK(second == NULL);
    cr_assert(strstr(err, "/disk is in use by process "), "%s", err);
}

Test(store_tier, a_store_that_cannot_be_had_is_done_without)
{
    vfs_t *ro;
    end();
    OK(vfs_readonly_create(&ro, disk.fs, disk.pool));
    config.store = ro;
    begin();
    save("/f", 100 * KIB, 1);
    check("/f", 100 * KIB, 1, 64 * KIB);
    CHECK(cachefs__of(fs)->l2 == NULL);
    EQ(logged, 1);
    end();
    config.mode = CACHEFS_BACK; /* then dirty data counts on it */
    char err[512] = "";
    IS(APR_FROM_OS_ERROR(EROFS), cachefs_create(&fs, count, &config, err, sizeof(err), disk.pool));
    cr_assert(strstr(err, "/disk cannot be used"), "%s", err);
    OK(vfs_destroy(ro));
}

Test(store_tier, a_damaged_identity_is_said_and_the_cache_begins_anew)
{
    ready();
    save("/f", 100 * KIB, 1);
    check("/f", 100 * KIB, 1, 64 * KIB);
    end();
    disk_put(&disk, "/STORE", "junk", 4);
    begin();
    EQ(logged, 1);
    vfs_count_reset(count);
    check("/f", 100 * KIB, 1, 64 * KIB);
    CHECK(moved() >= 100 * KIB);
}

Test(store_tier, a_store_that_fails_leaves_the_reads_to_the_origin)
{
    ready();
    save("/f", 900 * KIB, 1);
    check("/f", 900 * KIB, 1, 64 * KIB);
    again();
    disk_fail(&disk, VFS_OPID_readv_at, EIO, 0, 0);
    check("/f", 900 * KIB, 1, 64 * KIB);
    EQ(moved(), 900 * KIB);
    CHECK(stats().l2_errors >= 3);
    vfs_fault_clear(disk.fault);
}

Test(store_tier, another_origin_in_the_same_store_has_its_own_bytes)
{
    vfs_t *other, *was = count;
    ready();
    save("/f", 100 * KIB, 1);
    check("/f", 100 * KIB, 1, 64 * KIB);
    end();
    vfs_t *first = origin;
    OK(vfs_mem_create(&other, 0, disk.pool));
    origin = other;
    OK(vfs_count_create(&count, other, disk.pool));
    begin();
    save("/f", 100 * KIB, 2);
    check("/f", 100 * KIB, 2, 64 * KIB);
    end();
    OK(vfs_destroy_stack(count));
    count = was;
    origin = first;
    begin();
    vfs_count_reset(count);
    check("/f", 100 * KIB, 1, 64 * KIB);
    EQ(moved(), 0);
}

Test(store_tier, how_much_it_has_of_a_file_is_told)
{
    const char *const paths[] = {"/a", "/none", "bad", "/b"};
    uint64_t has[4] = {9, 9, 9, 9};
    vfs_attr_t attr;
    ready();
    save("/a", 900 * KIB + 77, 1);
    save("/b", 300 * KIB, 2);
    check("/a", 900 * KIB + 77, 1, 128 * KIB);
    OK(cachefs_stored(fs, paths, 4, has));
    CHECK(has[0] == 900 * KIB + 77 && !has[1] && !has[2] && !has[3]);
    again();
    OK(vfs_stat(fs, NULL, "/a", &attr)); /* then the cache knows it, and has nothing of it */
    OK(cachefs_stored(fs, paths, 1, has));
    CHECK(has[0] == 900 * KIB + 77 && stats().resident_bytes == 0);
    OK(cachefs_clear(fs, NULL));
    OK(vfs_stat(fs, NULL, "/a", &attr));
    OK(cachefs_stored(fs, paths, 1, has));
    CHECK(has[0] == 0 && cachefs_stored(fs, NULL, 1, has) == APR_EINVAL);
}
